/*
 * matmul_grids.h: matrix products of the raw types (IQ1 to IQ3, TQ1_0) in 256-bit registers; numbers as in matmul_generic.c.
 *
 * Several tokens go the way of matmul_pairs.h. One token has byte-pair multiplies: a part is decoded to quads of bytes, which are
 * multiplied as magnitudes while the activations take their signs. Magnitudes are at most 62, so 4 products fit 16 bits
 * (62 * 127 * 4); then the multiply by the scale widens them.
 */
#ifndef LLMK_MATMUL_GRIDS_H
#define LLMK_MATMUL_GRIDS_H

/* two quads, of columns q and on, with one term: 16-bit sums of 4 products */
VEC_INLINE vec_i
grid_products(const vec_i *quads, const int8_t *q)
{
	const vec_i first = vec_maddubs(vec_abs8(quads[0]), vec_sign8(vec_bcast(q), quads[0]));
	const vec_i second = vec_maddubs(vec_abs8(quads[1]), vec_sign8(vec_bcast(q + 4), quads[1]));

	return vec_add16(first, second);
}

/* block b of the activations times a part, added to the sum of one group; the empty statement as in spread_nibbles */
VEC_INLINE vec_f
grid_part(const LlmType type, const GridBlock *grid, int part, const LlmkActs *acts, int64_t b, vec_f sum)
{
	const bool	two = acts->term[1].d[b] != 0.0f;
	vec_i		isum[2] = {vec_set32(0), vec_set32(0)};

	LLMK_UNROLL
	for (int i = 0; i < 4; i++)
	{
		const vec_i scale = grid_half_scale(type, grid, part, i / 2);
		vec_i		quads[2];

		decode_grid(type, grid, part, i, quads);
		isum[0] = vec_add32(isum[0], vec_madd(grid_products(quads, acts->term[0].q + LLM_QK * b + 8 * i), scale));
		if (two)
			isum[1] = vec_add32(isum[1], vec_madd(grid_products(quads, acts->term[1].q + LLM_QK * b + 8 * i), scale));
		__asm__ volatile("":"+x" (isum[0]), "+x" (isum[1]));
	}
	if (two)
		isum[0] = vec_add32(vec_mul32(isum[0], vec_set32(LLMK_TERM_RATIO)), isum[1]);
	return vec_fma(vec_to_f(isum[0]), vec_mul_f(grid->d, vec_bcast_f(&acts->term[two].d[b])), sum);
}

/* one group and one token */
VEC_INLINE vec_f
grid_one(const LlmType type, const uint8_t *group, const LlmkActs *acts)
{
	vec_f		sum = vec_zero_f();

	for (int64_t b = 0; b < acts->n_cols / LLM_QK; b += GRID_PARTS, group += grid_block_bytes(type))
	{
		GridBlock	grid;

		prefetch(group + AHEAD_BYTES, grid_block_bytes(type));
		open_grid(type, group, &grid);
		for (int part = 0; part < GRID_PARTS; part++)
			sum = grid_part(type, &grid, part, acts, b + part, sum);
	}
	return sum;
}

/*
 * matmul_grid: see LlmkMatmulFn; type is a constant.
 */
VEC_INLINE void
matmul_grid(const LlmType type, const LlmkMatrix *w, const LlmkActs *acts, int64_t group_begin, int64_t group_end, float *out,
			int64_t ld_out)
{
	const size_t group_bytes = llmk_group_bytes(type, w->n_cols);

	if (acts->n_tokens > 1)
	{
		matmul_pairs(type, w, acts, group_begin, group_end, out, ld_out);
		return;
	}
	for (int64_t g = group_begin; g < group_end && acts->n_tokens > 0; g++)
	{
		const int64_t row = g * LLMK_ROWS;
		const int64_t n_rows = w->n_rows - row < LLMK_ROWS ? w->n_rows - row : LLMK_ROWS;
		_Alignas(64) float sums[VEC_LANES];

		vec_store_acc(sums, grid_one(type, w->data + (size_t) g * group_bytes, acts));
		memcpy(out + row, sums, (size_t) n_rows * sizeof(float));
	}
}

#define GRID_FUNCTION(type) \
	static void \
	llmk_matmul_##type(const LlmkMatrix *w, const LlmkActs *acts, int64_t group_begin, int64_t group_end, float *out, \
					   int64_t ld_out) \
	{ \
		matmul_grid(LLM_TYPE_##type, w, acts, group_begin, group_end, out, ld_out); \
	}

GRID_FUNCTION(IQ1_S)
GRID_FUNCTION(IQ1_M)
GRID_FUNCTION(IQ2_XXS)
GRID_FUNCTION(IQ2_XS)
GRID_FUNCTION(IQ2_S)
GRID_FUNCTION(IQ3_XXS)
GRID_FUNCTION(IQ3_S)
GRID_FUNCTION(TQ1_0)

static void
fill_grids(LlmKernels *k)
{
	k->matmul[LLM_TYPE_IQ1_S] = llmk_matmul_IQ1_S;
	k->matmul[LLM_TYPE_IQ1_M] = llmk_matmul_IQ1_M;
	k->matmul[LLM_TYPE_IQ2_XXS] = llmk_matmul_IQ2_XXS;
	k->matmul[LLM_TYPE_IQ2_XS] = llmk_matmul_IQ2_XS;
	k->matmul[LLM_TYPE_IQ2_S] = llmk_matmul_IQ2_S;
	k->matmul[LLM_TYPE_IQ3_XXS] = llmk_matmul_IQ3_XXS;
	k->matmul[LLM_TYPE_IQ3_S] = llmk_matmul_IQ3_S;
	k->matmul[LLM_TYPE_TQ1_0] = llmk_matmul_TQ1_0;
}

#endif
