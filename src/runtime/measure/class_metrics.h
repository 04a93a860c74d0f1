/*
 * class_metrics.h: how well answers that are one of several classes agree with what was expected.
 *
 * Rows are counted in a confusion matrix; the figures follow from it as scikit-learn defines them. A row may have no answer:
 * it is in no cell of the matrix, and counts as wrong in every figure but the calibration error.
 */
#ifndef LLM_CLASS_METRICS_H
#define LLM_CLASS_METRICS_H

#include "base/arena.h"

#define LLM_CLASS_MAX 1024
#define LLM_CALIBRATION_BINS 10

typedef struct LlmClassCell
{
	uint64_t	n;
	uint32_t	expected;		/* index of a class */
	uint32_t	answer;
} LlmClassCell;

typedef struct LlmClassMetrics
{
	const LlmAllocator *allocator;
	size_t		n_classes;
	LlmStr	   *classes;		/* in the order in which they came; bytes are owned, and end with a NUL */
	uint64_t   *n_expected;		/* rows of each, with an answer or without */
	uint64_t   *n_answer;
	uint64_t   *n_right;
	size_t		n_cells;
	size_t		max_cells;
	LlmClassCell *cells;		/* those that are not zero */
	uint64_t	n_rows;
	uint64_t	n_bin[LLM_CALIBRATION_BINS];	/* rows with a probability, by it */
	uint64_t	right_bin[LLM_CALIBRATION_BINS];
	double		probability_bin[LLM_CALIBRATION_BINS];	/* sums */
} LlmClassMetrics;

extern LlmStatus llm_class_metrics_init(LlmClassMetrics *m, const LlmAllocator *a, LlmError *err);
extern void llm_class_metrics_free(LlmClassMetrics *m);

/*
 * Count a row. answer.data NULL: it has none. probability: what the answer was given, from 0 to 1; NaN: not known.
 * Errors: LLM_E_LIMIT beyond LLM_CLASS_MAX classes, LLM_E_NOMEM; then the row is not counted.
 */
extern LlmStatus llm_class_metrics_add(LlmClassMetrics *m, LlmStr expected, LlmStr answer, double probability, LlmError *err);

/* the share of rows that are right, and the mean of that share over the classes that were expected; NaN without rows */
extern double llm_class_accuracy(const LlmClassMetrics *m);
extern double llm_class_balanced_accuracy(const LlmClassMetrics *m);

/* the mean F1 of all classes that were expected or answered, 0 for one that was never right; NaN without rows */
extern double llm_class_macro_f1(const LlmClassMetrics *m);

/*
 * Expected calibration error: answers in ten bins of equal width by their probability p, a bin for each b / 10 < p <=
 * (b + 1) / 10; the mean over answers of the distance between a bin's accuracy and its mean probability. NaN if no
 * probability is known. Source: Guo et al. 2017, arXiv 1706.04599, eq. 3.
 */
extern double llm_class_calibration_error(const LlmClassMetrics *m);

#endif
