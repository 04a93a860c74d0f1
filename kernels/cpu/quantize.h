/*
 * quantize.h: activations to 8 bits, a row at a time; included by the file of each level.
 *
 * Rows of real models have a few blocks with values far above the rest. What such a block loses in 8 bits outweighs the
 * error of all others together, so it is written in two terms, d2 * (254 q + r), which hold 15 bits. A block gets a second term
 * if the square of its scale is above SECOND_ABOVE times the mean square of the row's scales: on language models a seventh of
 * the blocks, which halves the error of the products (docs/architecture.md, Numbers). In rows of at most NARROW_BLOCKS every
 * block has two: such matrices are bottlenecks (low ranks, time steps) or of small models, where an error weighs more than time.
 *
 * The including file defines, for a block of 32 numbers:
 *     block_scale(x)           largest magnitude / 127 in F32; NaN if any number is NaN or infinite
 *     block_round(x, d, q, s)  q = x / d in F32, rounded half to even, limited to -127 .. 127 (the limit acts only where d
 *                              is denormal, or on a second term); 0 unless d > 0. s: the sums of q over each 16.
 *     block_rest(x, q, d2, r)  r = fma(-d2, 254 q, x)
 */
#ifndef LLMK_QUANTIZE_H
#define LLMK_QUANTIZE_H

#include "kernels.h"

#define SECOND_ABOVE 1.5f
#define NARROW_BLOCKS 8

static inline void
quantize_row(const float *x, int64_t n, const LlmkTerm term[2])
{
	const int64_t n_blocks = n / LLM_QK;
	float		squares = 0.0f;
	float		limit;
	int64_t		b;

	for (b = 0; b < n_blocks; b++)
	{
		float		d = block_scale(x + LLM_QK * b);

		term[0].d[b] = d;
		squares = __builtin_fmaf(d, d, squares);
		block_round(x + LLM_QK * b, d, term[0].q + LLM_QK * b, term[0].s + 2 * b);
	}
	limit = n_blocks <= NARROW_BLOCKS ? 0.0f : SECOND_ABOVE * (squares / (float) n_blocks);
	for (b = 0; b < n_blocks; b++)
	{
		const float d = term[0].d[b];
		const bool	second = d * d > limit;	/* so d / 254 is not 0, nor denormal */
		const float d2 = second ? d / (float) LLMK_TERM_RATIO : 0.0f;
		float		rest[LLM_QK];

		term[1].d[b] = d2;
		if (!second)
			continue;
		block_rest(x + LLM_QK * b, term[0].q + LLM_QK * b, d2, rest);
		block_round(rest, d2, term[1].q + LLM_QK * b, term[1].s + 2 * b);
	}
}

#endif
