/*
 * attention.h: the steps of attention that are single numbers, the same code for every level. Inside kernels/cpu only.
 */
#ifndef LLMK_ATTENTION_H
#define LLMK_ATTENTION_H

#include "kernels.h"
#include "cpu/math_scalar.h"
#include "cpu/vector.h"

/* a running maximum: NaN is passed over, -0 counts as +0 */
static inline float
llmk_larger(float candidate, float max)
{
	return (candidate > max ? candidate : max) + 0.0f;
}

/* ALiBi: a score of a key at `key` of its page, for a query at `distance` from the page's first key */
static inline float
llmk_distance_score(float score, float slope, int distance, int key)
{
	float		d = (float) distance - (float) key;

	return __builtin_fmaf(-slope, 0.0f - d > d ? 0.0f - d : d, score);
}

/* what scores are measured from: their maximum, or 0 while every score was -INFINITY, so that exp gives 0 and not NaN */
static inline float
llmk_softmax_base(float max)
{
	return max == -__builtin_inff() ? 0.0f : max;
}

/* take a page's maximum (of all scores so far) and sum of weights into a query's state; returns what scales its acc */
static inline float
llmk_attend_update(const LlmkAttend *a, int query, float max, float page_sum)
{
	float		factor = 1.0f;

	if (a->max[query] != max || max - max != 0)
		factor = llmk_exp_softmax_inline(a->max[query] - llmk_softmax_base(max));
	a->sum[query] = __builtin_fmaf(a->sum[query], factor, page_sum);
	a->max[query] = max;
	return factor;
}

/* attend_merge but for acc, which becomes acc * factor + acc2 * factor2; false: the later span is empty */
static inline bool
llmk_merge_factors(float *max, float *sum, float max2, float sum2, float *factor, float *factor2)
{
	float		larger = llmk_larger(max2, *max);
	float		base = llmk_softmax_base(larger);

	if (max2 == -__builtin_inff() && sum2 == 0)
		return false;
	*factor = llmk_exp_softmax_inline(*max - base);
	*factor2 = llmk_exp_softmax_inline(max2 - base);
	*sum = __builtin_fmaf(sum2, *factor2, *sum * *factor);
	*max = larger;
	return true;
}

#endif
