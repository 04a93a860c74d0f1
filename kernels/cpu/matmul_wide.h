/*
 * matmul_wide.h: the matrix product with weights that plain C decodes into 16-bit numbers: the types that are packed as
 * they are (llmk_is_raw). Compiled for the levels AVX2 and AVX-512; numbers as in matmul_generic.c.
 *
 * Order of work: a tile of tokens; a block of 256 columns, whose activations are widened to 16 bits, where two terms are one
 * number (254 q + r is below 2^15); then all groups of rows. A group's block is decoded once for the tile. Its sums lie in out
 * between blocks. The multiply adds two products into a 32-bit lane, and sums fit (llmk_terms_join): whole-number scales, which
 * are part of the weights, need no other care.
 */
#ifndef LLMK_MATMUL_WIDE_H
#define LLMK_MATMUL_WIDE_H

#include "cpu/codes.h"

#define WIDE_TOKENS 32
#define WIDE_PARTS (LLM_QK_K / LLM_QK)

/* one block of activations of a tile */
typedef struct WidePanel
{
	_Alignas(64) int16_t a[WIDE_TOKENS][LLM_QK_K];
	float		d[WIDE_TOKENS][WIDE_PARTS];
} WidePanel;

/* one block of VEC_GROUPS groups: pairs of columns of all lanes; these types have one scale for all columns */
typedef struct WideBlock
{
	_Alignas(64) int16_t w[LLM_QK_K / 2][VEC_LANES][2];
	_Alignas(64) float d[VEC_LANES];
} WideBlock;

VEC_INLINE void
fill_wide_panel(const LlmkActs *acts, int64_t t0, int n_tokens, int64_t b, WidePanel *panel)
{
	for (int t = 0; t < n_tokens; t++)
		for (int part = 0; part < WIDE_PARTS; part++)
		{
			const int64_t at = (t0 + t) * acts->n_cols + b * LLM_QK_K + LLM_QK * part;
			const bool	two = acts->term[1].d[at / LLM_QK] != 0.0f;
			const int8_t *q = acts->term[0].q + at;
			const int8_t *r = acts->term[1].q + at;
			int16_t    *a = panel->a[t] + LLM_QK * part;

			panel->d[t][part] = acts->term[two].d[at / LLM_QK];
			for (int c = 0; c < LLM_QK; c++)
				a[c] = (int16_t) (two ? LLMK_TERM_RATIO * q[c] + r[c] : q[c]);
		}
}

static void
decode_wide_block(LlmType type, const uint8_t *group, size_t group_stride, int64_t b, WideBlock *block)
{
	for (int r = 0; r < VEC_LANES; r++)
	{
		LlmkNumbers numbers;

		llmk_numbers_from_group(type, group + (size_t) (r / LLMK_ROWS) * group_stride, b, r % LLMK_ROWS, &numbers);
		for (int k = 0; k < LLM_QK_K / 2; k++)
			memcpy(block->w[k][r], numbers.w + 2 * k, sizeof(block->w[k][r]));
		block->d[r] = numbers.d[0];
	}
}

/* integer sums of 32 columns: 16 pairs of w and a */
VEC_INLINE vec_i
dot_wide(const int16_t (*w)[VEC_LANES][2], const int16_t *a)
{
	vec_i		even = vec_set32(0);
	vec_i		odd = vec_set32(0);

	for (int k = 0; k < LLM_QK / 2; k += 2)
	{
		even = vec_add32(even, vec_madd(vec_load(w[k], 32), vec_bcast(a + 2 * k)));
		odd = vec_add32(odd, vec_madd(vec_load(w[k + 1], 32), vec_bcast(a + 2 * k + 2)));
	}
	return vec_add32(even, odd);
}

/* add a block's products with token t to its sums */
VEC_INLINE vec_f
add_wide_block(const WideBlock *block, const WidePanel *panel, int t, vec_f sum)
{
	const vec_f d = vec_load_acc(block->d);

	for (int part = 0; part < WIDE_PARTS; part++)
	{
		const int	c = LLM_QK * part;

		sum = vec_fma(vec_to_f(dot_wide(&block->w[c / 2], &panel->a[t][c])), vec_mul_f(d, vec_bcast_f(&panel->d[t][part])), sum);
	}
	return sum;
}

/*
 * llmk_matmul_wide: see LlmkMatmulFn.
 */
static void
llmk_matmul_wide(const LlmkMatrix *w, const LlmkActs *acts, int64_t group_begin, int64_t group_end, float *out,
				 int64_t ld_out)
{
	const size_t group_bytes = llmk_group_bytes(w->type, w->n_cols);
	WidePanel	panel;
	WideBlock	block;

	for (int64_t t0 = 0; t0 < acts->n_tokens; t0 += WIDE_TOKENS)
	{
		const int	n = acts->n_tokens - t0 < WIDE_TOKENS ? (int) (acts->n_tokens - t0) : WIDE_TOKENS;

		for (int64_t b = 0; b < w->n_cols / LLM_QK_K; b++)
		{
			fill_wide_panel(acts, t0, n, b, &panel);
			for (int64_t g = group_begin; g < group_end; g += VEC_GROUPS)
			{
				/* a last single group fills all lanes of a wider vector by itself, and only its own are written */
				const bool	whole = g + VEC_GROUPS <= group_end;
				const int64_t row = g * LLMK_ROWS;
				int64_t		n_rows = whole ? VEC_LANES : LLMK_ROWS;

				n_rows = w->n_rows - row < n_rows ? w->n_rows - row : n_rows;
				decode_wide_block(w->type, w->data + (size_t) g * group_bytes, whole ? group_bytes : 0, b, &block);
				for (int t = 0; t < n; t++)
				{
					float	   *to = out + (t0 + t) * ld_out + row;
					_Alignas(64) float acc[VEC_LANES] = {0};

					if (b > 0)
						memcpy(acc, to, (size_t) n_rows * sizeof(float));
					vec_store_acc(acc, add_wide_block(&block, &panel, t, vec_load_acc(acc)));
					memcpy(to, acc, (size_t) n_rows * sizeof(float));
				}
			}
		}
	}
}

static void
fill_wide(LlmKernels *k)
{
	for (int type = 0; type < LLM_TYPE_COUNT; type++)
		if (llmk_is_raw((LlmType) type))
			k->matmul[type] = llmk_matmul_wide;
}

#endif
