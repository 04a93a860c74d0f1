/*
 * matmul_spread.h: quantized products of many tokens with byte-pair multiplies in 256-bit registers; part of matmul_quant.h.
 *
 * A multiply takes one operand from memory, a load that only repeats 4 bytes in all lanes is an instruction of its own. So
 * each quad of the activations is stored as often as there are lanes, which makes a term 8 times as long. To keep terms in
 * the first-level cache, the order of work is another than in matmul_quant.h: a tile of tokens and CHUNK_GROUPS groups of
 * rows, whose sums stay beside; then block by block, for each the tile's terms and then all the groups. The numbers are
 * the same: an output's blocks still come in ascending order.
 */
#ifndef LLMK_MATMUL_SPREAD_H
#define LLMK_MATMUL_SPREAD_H

#define CHUNK_GROUPS 32			/* their sums are 16 KB, the terms of a block mostly 7 KB */
#define SPREAD_MIN_TOKENS 8		/* below, weights are better read group by group, in the order of memory */

_Static_assert(VEC_GROUPS == 1, "a vector is one group");

/* a PanelTerm with every quad and number in all lanes */
typedef struct SpreadTerm
{
	vec_i		q[8];
	vec_i		start;
	vec_f		d;
	vec_f		m;
	int			token;
} SpreadTerm;

/* does dot_nibbles make the type's sums? */
VEC_INLINE bool
is_spread(LlmType type)
{
	return !dot_has_halves(type) && !dot_is_iq4(type) && type != LLM_TYPE_Q8_0;
}

/*
 * dot_nibbles of dot_maddubs.h. The empty statements fix the order of additions: else compilers begin many products early,
 * and weights lose their registers to them.
 */
VEC_INLINE vec_i
dot_spread(const LlmType type, const vec_i *w, const SpreadTerm *p)
{
	vec_i		even = vec_maddubs(w[0], p->q[0]);
	vec_i		odd = vec_maddubs(w[1], p->q[1]);
	int			k;

	LLMK_UNROLL
	for (k = 2; k < 8; k += 2)
	{
		__asm__ volatile("":"+x" (even));
		even = vec_add16(even, vec_maddubs(w[k], p->q[k]));
		__asm__ volatile("":"+x" (odd));
		odd = vec_add16(odd, vec_maddubs(w[k + 1], p->q[k + 1]));
	}
	if (type == LLM_TYPE_Q5_1 || type == LLM_TYPE_Q5_K)
		return vec_add32(vec_madd(even, vec_set16(1)), vec_madd(odd, vec_set16(1)));
	if (dot_offset(type) != 0)
		even = vec_add16(even, p->start);
	return vec_madd(vec_add16(even, odd), vec_set16(1));
}

/* add a term to the sums of its token */
VEC_INLINE void
add_spread(const LlmType type, const DecodedBlock *block, const SpreadTerm *p, float *sums)
{
	vec_f		sum = vec_fma(vec_to_f(dot_spread(type, block->w, p)), vec_mul_f(block->d, p->d), vec_load_acc(sums));

	if (type == LLM_TYPE_Q4_1 || type == LLM_TYPE_Q5_1 || type == LLM_TYPE_Q4_K || type == LLM_TYPE_Q5_K)
		sum = vec_fma(block->m, p->m, sum);
	vec_store_acc(sums, sum);
}

VEC_INLINE void
spread_term(const LlmType type, const LlmkTerm *term, int64_t at, int token, SpreadTerm *p)
{
	PanelTerm	narrow;
	int			k;

	fill_term(type, term, at, token, &narrow);
	for (k = 0; k < 8; k++)
		p->q[k] = vec_bcast(narrow.q + 4 * k);
	if (dot_offset(type) != 0)
		p->start = vec_bcast(&narrow.start[0]);
	p->d = vec_bcast_f(&narrow.d);
	p->m = vec_bcast_f(&narrow.m);
	p->token = token;
}

/* the terms of block b of n_tokens tokens from t0 on: first ones in order, then second ones; returns how many */
VEC_INLINE int
spread_block(const LlmType type, const LlmkActs *acts, int64_t t0, int n_tokens, int64_t b, SpreadTerm *terms)
{
	const int64_t row_blocks = acts->n_cols / LLM_QK;
	int			n = n_tokens;
	int			t;

	for (t = 0; t < n_tokens; t++)
	{
		const int64_t at = (t0 + t) * row_blocks + b;

		spread_term(type, &acts->term[0], at, t, &terms[t]);
		if (acts->term[1].d[at] != 0.0f)
			spread_term(type, &acts->term[1], at, t, &terms[n++]);
	}
	return n;
}

/* the sums (n_tokens, 8) of groups [g0, g1), one after the other in acc, of a tile of tokens */
VEC_INLINE void
spread_chunk(const LlmType type, const LlmkMatrix *w, const LlmkActs *acts, int64_t t0, int n_tokens, int64_t g0, int64_t g1,
			 float *acc)
{
	const size_t group_bytes = llmk_group_bytes(type, w->n_cols);
	SpreadTerm	terms[2 * TILE_TOKENS];
	int64_t		b;

	memset(acc, 0, (size_t) ((g1 - g0) * n_tokens * VEC_LANES) * sizeof(float));
	for (b = 0; b < w->n_cols / LLM_QK; b++)
	{
		const int	n = spread_block(type, acts, t0, n_tokens, b, terms);
		float	   *sums = acc;
		int64_t		g;

		for (g = g0; g < g1; g++, sums += n_tokens * VEC_LANES)
		{
			DecodedBlock block;
			float	   *to = sums;
			int			i;

			decode_block(type, w->data + (size_t) g * group_bytes, group_bytes, b, &block);
			for (i = 0; i < n_tokens; i++, to += VEC_LANES)
				add_spread(type, &block, &terms[i], to);
			for (; i < n; i++)
				add_spread(type, &block, &terms[i], sums + terms[i].token * VEC_LANES);
		}
	}
}

/*
 * matmul_spread: see LlmkMatmulFn; type is a constant.
 */
VEC_INLINE void
matmul_spread(const LlmType type, const LlmkMatrix *w, const LlmkActs *acts, int64_t group_begin, int64_t group_end,
			  float *out, int64_t ld_out)
{
	_Alignas(64) float acc[CHUNK_GROUPS * TILE_TOKENS * VEC_LANES];
	int64_t		t0;

	for (t0 = 0; t0 < acts->n_tokens; t0 += TILE_TOKENS)
	{
		const int	n = acts->n_tokens - t0 < TILE_TOKENS ? (int) (acts->n_tokens - t0) : TILE_TOKENS;
		int64_t		g0;

		for (g0 = group_begin; g0 < group_end; g0 += CHUNK_GROUPS)
		{
			const int64_t g1 = group_end - g0 < CHUNK_GROUPS ? group_end : g0 + CHUNK_GROUPS;
			const float *sums = acc;
			int64_t		g;
			int			t;

			spread_chunk(type, w, acts, t0, n, g0, g1, acc);
			for (g = g0; g < g1; g++)
			{
				const int64_t row = g * LLMK_ROWS;
				const int64_t n_rows = w->n_rows - row < LLMK_ROWS ? w->n_rows - row : LLMK_ROWS;

				for (t = 0; t < n; t++, sums += VEC_LANES)
					memcpy(out + (t0 + t) * ld_out + row, sums, (size_t) n_rows * sizeof(float));
			}
		}
	}
}

#endif
