/*
 * scan.h: the state space recurrence (LlmkScan) in plain C. All levels use the generic one: compiled for AVX2 it
 * took 2.7 times as long (gcc 12.2, one head of 64 x 128 over 512 tokens).
 *
 * A lane is an element of the head; lanes are taken in strips whose states stay in the nearest cache over all tokens. Each
 * operation is one multiplication or addition of a lane, in written order, so all levels give the same bits.
 */
#ifndef LLMK_SCAN_H
#define LLMK_SCAN_H

#include "kernels.h"

#define LLMK_SCAN_LANES 32

/* n_lanes (at most LLMK_SCAN_LANES) from lane `first` on, over all tokens */
static inline __attribute__((always_inline)) void
llmk_scan_strip(const LlmkScan *s, int64_t first, int n_lanes)
{
	float		xdt[LLMK_SCAN_LANES];
	float		sum[LLMK_SCAN_LANES];
	float		h[LLMK_SCAN_LANES];

	for (int64_t t = 0; t < s->n_tokens; t++)
	{
		const float *x = s->x + t * s->ld_in + first;
		const float *b = s->b + t * s->ld_in;
		const float *c = s->c + t * s->ld_in;
		const float *from = (t == 0 ? s->from : s->state) + first;
		float	   *to = s->state + first;
		float	   *out = s->out + t * s->ld_out + first;
		const float dt = s->dt[t * s->ld_dt];
		const float decay = s->decay[t * s->ld_dt];

		for (int i = 0; i < n_lanes; i++)
		{
			xdt[i] = x[i] * dt;
			sum[i] = 0;
		}
		for (int64_t n = 0; n < s->n_state; n++, from += s->head_dim, to += s->head_dim)
		{
			for (int i = 0; i < n_lanes; i++)
				h[i] = from[i];
			for (int i = 0; i < n_lanes; i++)
			{
				h[i] = h[i] * decay + xdt[i] * b[n];
				sum[i] += h[i] * c[n];
			}
			for (int i = 0; i < n_lanes; i++)
				to[i] = h[i];
		}
		for (int i = 0; i < n_lanes; i++)
			out[i] = sum[i] + s->skip * x[i];
	}
}

static inline __attribute__((always_inline)) void
llmk_scan(const LlmkScan *s)
{
	int64_t		first = 0;

	for (; first + LLMK_SCAN_LANES <= s->head_dim; first += LLMK_SCAN_LANES)
		llmk_scan_strip(s, first, LLMK_SCAN_LANES);
	if (first < s->head_dim)
		llmk_scan_strip(s, first, (int) (s->head_dim - first));
}

#endif
