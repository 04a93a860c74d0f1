/*
 * vector.h: what the vector operations and attention share between CPU levels, inside kernels/cpu only.
 *
 * A sum over n elements has one order for all levels. Elements are taken in blocks of LLMK_SUM_BLOCK; in a block,
 * element i goes to virtual lane i mod LLMK_LANES, each lane is one ascending chain, and llmk_lane_tree adds the lanes.
 * The totals of blocks are added in double precision, ascending.
 */
#ifndef LLMK_VECTOR_H
#define LLMK_VECTOR_H

#include "kernels.h"
#include "cpu/math_scalar.h"

#define LLMK_LANES 16
#define LLMK_SUM_BLOCK 1024

#if defined(LLMK_SIMDE)
#define llmk_attention_fill_avx512 llmk_simde_attention_fill_avx512
#endif

/* the entries of attention: attend_page, attend_merge, store_key, store_value (store_* not in avx512) */
extern void llmk_attention_fill_generic(LlmKernels *k);
extern void llmk_attention_fill_avx2(LlmKernels *k);
extern void llmk_attention_fill_avx512(LlmKernels *k);

/* sum of the lanes: l + (l + 8), then 4, 2, 1 apart */
static inline float
llmk_lane_tree(const float *lane)
{
	float		s[8];

	for (int i = 0; i < 8; i++)
		s[i] = lane[i] + lane[i + 8];
	for (int i = 0; i < 4; i++)
		s[i] += s[i + 4];
	return (s[0] + s[2]) + (s[1] + s[3]);
}

/* the factor of rms_norm: 1 / sqrt(total / n + eps) */
static inline float
llmk_rms_factor(double total, int64_t n, float eps)
{
	float		mean = (float) (total / (double) n);

	return 1.0f / __builtin_sqrtf(mean + eps);
}

/* the mean of n elements of which total is the sum; layer_norm's factor is that of rms_norm over the differences to it */
static inline float
llmk_mean(double total, int64_t n)
{
	return (float) (total / (double) n);
}

/* rotate the pair (*a, *b) */
static inline void
llmk_rotate_pair(float *a, float *b, float cosine, float sine)
{
	float		x = *a;
	float		y = *b;

	*a = __builtin_fmaf(x, cosine, -(y * sine));
	*b = __builtin_fmaf(y, cosine, x * sine);
}

#endif
