/*
 * sampler.h: which token is next, from logits.
 *
 * Order: logit bias, penalties, then (temperature > 0) temperature, top-k, typical, top-p, min-p, and one draw; the draw
 * is a function of (seed, position) only, so a row's randomness does not depend on its neighbours. Temperature 0 takes
 * the largest logit; ties go to the lowest id. Sources: Holtzman et al. 2020 (top-p, arXiv 1904.09751), Meister et al.
 * 2023 (typical, arXiv 2202.00666), Nguyen et al. 2024 (min-p, arXiv 2407.01082), Salmon et al. 2011 (Philox).
 */
#ifndef LLM_SAMPLER_H
#define LLM_SAMPLER_H

#include "base/arena.h"
#include "kernels.h"

typedef struct LlmLogitBias
{
	int32_t		id;
	float		bias;			/* added to the logit; -INFINITY forbids the token */
} LlmLogitBias;

typedef struct LlmSampling
{
	float		temperature;	/* 0 (or below 1e-6): greedy */
	int32_t		top_k;			/* 0: all */
	float		top_p;			/* 1: off */
	float		min_p;			/* 0: off */
	float		typical_p;		/* 1: off */
	float		repeat_penalty; /* 1: off; over prompt and output tokens */
	float		presence_penalty;	/* 0: off; over output tokens */
	float		frequency_penalty;	/* 0: off; over output tokens */
	uint64_t	seed;
	const LlmLogitBias *bias;	/* borrowed for the life of the request */
	int			n_bias;
} LlmSampling;

extern const LlmSampling llm_sampling_default;	/* greedy */

/* LLM_E_ARGUMENT naming the option and its range */
extern LlmStatus llm_sampling_check(const LlmSampling *s, int32_t n_vocab, LlmError *err);

/* bytes of scratch that llm_sample needs for a vocabulary */
extern size_t llm_sample_scratch_bytes(int32_t n_vocab);

/*
 * Choose a token from logits (n_vocab), which are changed in place by bias and penalties. prompt and output: tokens so far.
 * position: index of the token being chosen (counts prompt and output). *logprob: natural log of the chosen token's
 * probability under softmax of the raw logits (before bias, penalties and temperature). Errors: LLM_E_FORMAT if a
 * logit is NaN or +infinity, or none is finite; LLM_E_ARGUMENT if bias forbids every token.
 */
extern LlmStatus llm_sample(const LlmKernels *k, const LlmSampling *s, float *logits, int32_t n_vocab,
							const int32_t *prompt, size_t n_prompt, const int32_t *output, size_t n_output,
							uint64_t position, void *scratch, int32_t *token, double *logprob, LlmError *err);

/* LLM_E_FORMAT: logits are not finite, which only a damaged model computes */
extern LlmStatus llm_fail_not_finite(LlmError *err);

/* what turns logits (n_vocab) into natural logs of their softmax; both are not finite if logits are not */
typedef struct LlmLogSoftmax
{
	double		max;
	double		log_sum;
} LlmLogSoftmax;

extern LlmLogSoftmax llm_log_softmax(const LlmKernels *k, const float *logits, int32_t n_vocab);

static inline double
llm_log_softmax_of(const LlmLogSoftmax *s, float logit)
{
	return (double) logit - s->max - s->log_sum;
}

/* natural log of softmax(logits)[id]; NaN or infinite if logits are not finite */
extern double llm_log_probability(const LlmKernels *k, const float *logits, int32_t n_vocab, int32_t id);

#endif
