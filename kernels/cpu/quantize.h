/*
 * quantize.h: activations to 8 bits, a row at a time; included by the file of each level.
 *
 * Rows of real models have a few blocks with values far above the rest. What such a block loses in 8 bits outweighs the
 * error of all others together, so it is written as a sum of two terms, which holds 15 bits. A block gets a second term if
 * its scale is above the root mean square of the row's scales: on language models about a fifth of the blocks, which lowers
 * the error of the products by a factor of 2.5 (docs/architecture.md, Numbers). Where no scale is above twice that, the error is
 * spread over all blocks, and half of them would be above: there the square of a scale must be above 1.5 times the mean square.
 *
 * The including file defines, for a block of 32 numbers:
 *     block_scale(x)           largest magnitude / 127 in F32; NaN if any number is NaN or infinite
 *     block_round(x, d, q, s)  q = x / d in F32, rounded half to even, limited to -127 .. 127 (the limit acts only where d
 *                              is denormal, or on a second term); 0 unless d > 0. s: the sums of q over each 16.
 *     block_rest(x, q, d, r)   r = fma(-d, q, x)
 */
#ifndef LLMK_QUANTIZE_H
#define LLMK_QUANTIZE_H

#include "kernels.h"

/* what the first term leaves is at most d / 2 */
#define SECOND_SCALE 254.0f

/* a row has outliers if the square of a scale is above OUTLIER mean squares; in others second terms begin at EVEN_ROW */
#define OUTLIER 4.0f
#define EVEN_ROW 1.5f

static inline void
quantize_row(const float *x, int64_t n, const LlmkTerm term[2])
{
	const int64_t n_blocks = n / LLM_QK;
	float		squares = 0.0f;
	float		largest = 0.0f;
	float		limit;
	int64_t		b;

	for (b = 0; b < n_blocks; b++)
	{
		float		d = block_scale(x + LLM_QK * b);

		term[0].d[b] = d;
		squares = __builtin_fmaf(d, d, squares);
		largest = d > largest ? d : largest;
		block_round(x + LLM_QK * b, d, term[0].q + LLM_QK * b, term[0].s + 2 * b);
	}
	limit = squares / (float) n_blocks;
	if (largest * largest <= OUTLIER * limit)
		limit *= EVEN_ROW;
	for (b = 0; b < n_blocks; b++)
	{
		const float d = term[0].d[b];
		float		rest[LLM_QK];

		term[1].d[b] = d * d > limit ? d / SECOND_SCALE : 0.0f;
		if (!(term[1].d[b] > 0.0f))
			continue;
		block_rest(x + LLM_QK * b, term[0].q + LLM_QK * b, d, rest);
		block_round(rest, term[1].d[b], term[1].q + LLM_QK * b, term[1].s + 2 * b);
	}
}

#endif
