/*
 * candidates.h: the tokens that may still be chosen: filters that leave some out, and the draw of one.
 *
 * Candidates are kept by rising id, with their logits side by side. Internal to choose/.
 */
#ifndef LLM_CANDIDATES_H
#define LLM_CANDIDATES_H

#include "kernels.h"

/* bytes of scratch for a vocabulary; aligned as int32_t */
extern size_t llm_candidates_scratch_bytes(int32_t n_vocab);

typedef struct LlmCandidates
{
	const LlmKernels *kernels;
	double		temperature;	/* above 0 */
	float		max;			/* largest logit of all tokens, finite */
	int32_t		n;
	int32_t    *ids;			/* NULL while nothing is left out: then ids are 0 .. n-1 */
	const float *logits;		/* (n) */

	/* scratch, each (n_vocab) */
	int32_t    *own_ids;
	float	   *own_logits;
	float	   *nearness;
	int32_t    *part;
	int32_t    *sorted;
	float	   *sorted_logits;
} LlmCandidates;

/* all tokens of logits (n_vocab), whose largest is max; logits is borrowed until the draw */
extern void llm_candidates_init(LlmCandidates *c, const LlmKernels *k, const float *logits, int32_t n_vocab, float max,
								float temperature, void *scratch);

/* each keeps at least one; order is that of falling probability, ties by lower id */
extern void llm_candidates_top_k(LlmCandidates *c, int32_t k);
extern void llm_candidates_typical(LlmCandidates *c, double p);
extern void llm_candidates_top_p(LlmCandidates *c, double p);
extern void llm_candidates_min_p(LlmCandidates *c, double p);

/* the token at which the running sum of probabilities, by rising id, passes unit (in [0, 1)) */
extern int32_t llm_candidates_draw(const LlmCandidates *c, double unit);

#endif
