/*
 * delta.h: the gated delta rule (LlmkDelta) in plain C, for all levels as scan.h is and in its way: a lane is an element of
 * the head, strips of lanes keep their states near over all tokens, every operation is one multiplication or addition of a
 * lane, in written order.
 */
#ifndef LLMK_DELTA_H
#define LLMK_DELTA_H

#include "kernels.h"

#define LLMK_DELTA_LANES 32

/* n_lanes (at most LLMK_DELTA_LANES) from lane `first` on, over all tokens */
static inline __attribute__((always_inline)) void
llmk_delta_strip(const LlmkDelta *s, int64_t first, int n_lanes)
{
	float		sum[LLMK_DELTA_LANES];
	float		change[LLMK_DELTA_LANES];
	float		h[LLMK_DELTA_LANES];

	for (int64_t t = 0; t < s->n_tokens; t++)
	{
		const float *v = s->v + t * s->ld_in + first;
		const float *k = s->k + t * s->ld_in;
		const float *q = s->q + t * s->ld_in;
		const float *from = (t == 0 ? s->from : s->state) + first;
		float	   *state = s->state + first;
		float	   *out = s->out + t * s->ld_out + first;
		const float beta = s->beta[t * s->ld_gate];
		const float decay = s->decay[t * s->ld_gate];

		for (int i = 0; i < n_lanes; i++)
			sum[i] = 0;
		for (int64_t n = 0; n < s->n_state; n++)
		{
			for (int i = 0; i < n_lanes; i++)
				h[i] = from[n * s->head_dim + i] * decay;
			for (int i = 0; i < n_lanes; i++)
				sum[i] += h[i] * k[n];
			for (int i = 0; i < n_lanes; i++)
				state[n * s->head_dim + i] = h[i];
		}
		for (int i = 0; i < n_lanes; i++)
		{
			change[i] = (v[i] - sum[i]) * beta;
			sum[i] = 0;
		}
		for (int64_t n = 0; n < s->n_state; n++)
		{
			for (int i = 0; i < n_lanes; i++)
				h[i] = state[n * s->head_dim + i] + change[i] * k[n];
			for (int i = 0; i < n_lanes; i++)
				sum[i] += h[i] * q[n];
			for (int i = 0; i < n_lanes; i++)
				state[n * s->head_dim + i] = h[i];
		}
		for (int i = 0; i < n_lanes; i++)
			out[i] = sum[i];
	}
}

static inline __attribute__((always_inline)) void
llmk_delta(const LlmkDelta *s)
{
	int64_t		first = 0;

	for (; first + LLMK_DELTA_LANES <= s->head_dim; first += LLMK_DELTA_LANES)
		llmk_delta_strip(s, first, LLMK_DELTA_LANES);
	if (first < s->head_dim)
		llmk_delta_strip(s, first, (int) (s->head_dim - first));
}

#endif
