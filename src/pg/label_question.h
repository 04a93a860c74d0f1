/*
 * label_question.h: questions with fixed answers: what is asked (parsed once per call site) and the calls that ask it.
 *
 * Answers are read from the model's probabilities for each label, not from generated text. The score of a label is the log
 * probability of its words and of those of its variants together; scores less the calibration, through softmax, are the
 * probabilities.
 */
#ifndef PGLLM_LABEL_QUESTION_H
#define PGLLM_LABEL_QUESTION_H

#include "llm_function.h"

typedef struct PgLlmQuestion
{
	const PgLlmOptions *options;
	LlmLabelQuestion asked;		/* its labels: the labels, then their variants */
	int		   *label_of;		/* (asked.n_labels) index of the label that each of them counts for */
	int			n_labels;
	double	   *given;			/* (n_labels) calibration from options, NULL: none */

	/* for models of kind embed, which compare texts; filled by whoever creates the question */
	bool		has_instruction;	/* by the user: such models follow none */
	const LlmStr *descriptions; /* (n_labels) data NULL: none; NULL: no label has one */
} PgLlmQuestion;

/*
 * A question in the current memory context. Strings and options must live as long as it does. Raises if a calibration or
 * a variant of the options does not fit the labels.
 */
extern PgLlmQuestion *pgllm_question_create(const PgLlmOptions *options, LlmStr instruction, const LlmStr *labels, int n_labels,
											const LlmLabelExample *examples, int n_examples, const char *label_name);

/* begin to score the labels for a row's text */
extern PgLlmCall *pgllm_question_begin(PgLlmModel *model, const PgLlmQuestion *question, LlmStr input);

/*
 * Probabilities (n_labels) from a call that is done without error; they sum to 1. Measures the calibration if the question
 * wants one, once for a model and statement.
 */
extern void pgllm_question_read(const PgLlmCall *call, const PgLlmQuestion *question, double *probabilities);

/* ---- by similarity (label_similarity.c) ---- */

/* as pgllm_question_begin for a model of kind embed; raises if the question has what such a model cannot follow */
extern PgLlmCall *pgllm_similarity_begin(PgLlmModel *model, const PgLlmQuestion *question, LlmStr input);

/* similarity of the row's text to each label (n_labels), from -1 to 1, from a call that is done without error */
extern void pgllm_similarity_read(const PgLlmCall *call, const PgLlmQuestion *question, double *similarities);

/* ---- arguments (label_args.c); all results in the current memory context, in UTF-8 ---- */

/* labels that can be told apart: at least n_min, none empty, no duplicates; what: their name in messages */
extern void pgllm_labels_check(const LlmStr *labels, int n_labels, int n_min, const char *what);

/* index of a label, -1 if it is not among them */
extern int	pgllm_label_find(const LlmStr *labels, int n_labels, LlmStr label);

/* descriptions json {"label": "text", …} by label; data NULL: none */
extern LlmStr *pgllm_descriptions_parse(const text *json, const LlmStr *labels, int n_labels);

typedef enum PgLlmExampleKind
{
	PGLLM_EXAMPLE_LABEL,		/* {"input", "label"}: label is one of the labels */
	PGLLM_EXAMPLE_YES_NO,		/* {"input", "label"}: label is true, false, "yes" or "no" */
	PGLLM_EXAMPLE_LABELS		/* {"input", "labels"}: those of the labels that apply */
} PgLlmExampleKind;

typedef struct PgLlmExample
{
	LlmStr		input;
	int			label;			/* index; of yes and no 0 and 1 */
	bool	   *applies;		/* PGLLM_EXAMPLE_LABELS: (n_labels) */
} PgLlmExample;

extern PgLlmExample *pgllm_examples_parse(const text *json, PgLlmExampleKind kind, const LlmStr *labels, int n_labels, int *n);

/* a fraction argument: default if NULL; raises unless 0 <= value <= 1 */
extern double pgllm_fraction_arg(FunctionCallInfo fcinfo, int argno, const char *name, double default_value);

#endif
