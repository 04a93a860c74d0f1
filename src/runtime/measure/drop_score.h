/*
 * drop_score.h: exact match and F1 of an answer of spans, by the official rules of DROP (Dua et al. 2019, arXiv 1903.00161).
 */
#ifndef LLM_DROP_SCORE_H
#define LLM_DROP_SCORE_H

#include "base/arena.h"

#define LLM_DROP_MAX_SPANS 256

typedef struct LlmDropScore
{
	double		em;				/* 0 or 1 */
	double		f1;				/* 0 to 1, to two digits */
} LlmDropScore;

/* of one gold answer with at least one span. Errors: LLM_E_LIMIT beyond LLM_DROP_MAX_SPANS spans, LLM_E_NOMEM. */
extern LlmStatus llm_drop_score(const LlmStr *predicted, int n_predicted, const LlmStr *gold, int n_gold, const LlmAllocator *a,
								LlmDropScore *score, LlmError *err);

/* a gold answer whose first span is blank counts for nothing */
extern bool llm_drop_is_blank(LlmStr span);

#endif
