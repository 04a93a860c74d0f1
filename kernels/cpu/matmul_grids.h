/*
 * matmul_grids.h: matrix products of the raw types (IQ1 to IQ3, TQ1_0) in 256-bit registers; numbers as in matmul_generic.c.
 *
 * Several tokens go the way of matmul_pairs.h. One token has byte-pair multiplies: a part is decoded to quads of bytes, which are
 * multiplied as magnitudes while the activations take their signs. Magnitudes are at most 62, so 4 products fit 16 bits
 * (62 * 127 * 4); then the multiply by the scale widens them.
 */
#ifndef LLMK_MATMUL_GRIDS_H
#define LLMK_MATMUL_GRIDS_H

/* integer sums of a part with one term */
VEC_INLINE vec_i
grid_dot(const vec_i *quads, const vec_i *scale, const int8_t *q)
{
	vec_i		sum = vec_set32(0);

	LLMK_UNROLL
	for (int k = 0; k < 8; k += 2)
	{
		const vec_i first = vec_maddubs(vec_abs8(quads[k]), vec_sign8(vec_bcast(q + 4 * k), quads[k]));
		const vec_i second = vec_maddubs(vec_abs8(quads[k + 1]), vec_sign8(vec_bcast(q + 4 * k + 4), quads[k + 1]));

		sum = vec_add32(sum, vec_madd(vec_add16(first, second), scale[k / 4]));
	}
	return sum;
}

/* block b of the activations times a part, added to the sum of one group */
VEC_INLINE vec_f
grid_add(const vec_i *quads, const vec_i *scale, vec_f w_d, const LlmkActs *acts, int64_t b, vec_f sum)
{
	const float *d = &acts->term[0].d[b];
	vec_i		isum = grid_dot(quads, scale, acts->term[0].q + LLM_QK * b);

	if (acts->term[1].d[b] != 0.0f)
	{
		isum = vec_mul32(isum, vec_set32(LLMK_TERM_RATIO));
		isum = vec_add32(isum, grid_dot(quads, scale, acts->term[1].q + LLM_QK * b));
		d = &acts->term[1].d[b];
	}
	return vec_fma(vec_to_f(isum), vec_mul_f(w_d, vec_bcast_f(d)), sum);
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
		{
			vec_i		quads[8];
			vec_i		scale[2];

			decode_grid(type, &grid, part, quads, scale);
			sum = grid_add(quads, scale, grid.d, acts, b + part, sum);
		}
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
