/*
 * matmul_spread.h: quantized products of several tokens with byte-pair multiplies in 256-bit registers; part of matmul_quant.h.
 *
 * A multiply takes one operand from memory, a load that only repeats 4 bytes in all lanes is an instruction of its own. So
 * each quad of the activations is stored as often as there are lanes, which makes a term 8 times as long. To keep terms in
 * the first-level cache, the order of work is another than in matmul_quant.h: a tile of tokens and CHUNK_GROUPS groups of
 * rows, whose sums stay beside; then block by block, for each the tile's terms and then all the groups. The numbers are
 * the same: an output's blocks still come in ascending order.
 *
 * In that order weights are read in steps as long as a group, which no processor foresees, so they are asked for while
 * AHEAD_TERMS are computed before them: about the time that memory takes.
 */
#ifndef LLMK_MATMUL_SPREAD_H
#define LLMK_MATMUL_SPREAD_H

#define CHUNK_GROUPS 32			/* their sums are 16 KB, the terms of a block mostly 7 KB */
#define SPREAD_MIN_TOKENS 2		/* one token reads weights group by group, in the order of memory */
#define AHEAD_TERMS 48			/* some 350 cycles */

_Static_assert(VEC_GROUPS == 1, "a vector is one group");

/* a PanelTerm with every quad and number in all lanes */
typedef struct SpreadTerm
{
	vec_i		q[8];
	vec_i		start[2];
	vec_f		d;
	vec_f		m;
	size_t		sums;			/* where the token's sums begin among those of a group */
} SpreadTerm;

/*
 * dot_nibbles of dot_maddubs.h. The empty statements fix the order of additions: else compilers begin many products early,
 * and weights lose their registers to them.
 */
VEC_INLINE vec_i
spread_nibbles(const LlmType type, const vec_i *w, const SpreadTerm *p)
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
		even = vec_add16(even, p->start[0]);
	return vec_madd(vec_add16(even, odd), vec_set16(1));
}

/* half h of dot_halves */
VEC_INLINE vec_i
spread_half(const LlmType type, const DecodedBlock *block, const SpreadTerm *p, int h)
{
	const vec_i *w = block->w + 4 * h;
	const vec_i *q = p->q + 4 * h;
	vec_i		even = vec_maddubs(w[0], q[0]);
	vec_i		odd = vec_maddubs(w[1], q[1]);

	__asm__ volatile("":"+x" (even));
	even = vec_add16(even, vec_maddubs(w[2], q[2]));
	__asm__ volatile("":"+x" (odd));
	odd = vec_add16(odd, vec_maddubs(w[3], q[3]));
	if (dot_offset(type) != 0)
		even = vec_add16(even, p->start[h]);
	return vec_madd(vec_add16(even, odd), block->scale[h]);
}

/* dot_signed of dot_maddubs.h; w: signed weights, in memory */
VEC_INLINE vec_i
spread_signed(const vec_i *magnitude, const void *w, const SpreadTerm *p)
{
	vec_i		sum[2];
	int			k;

	LLMK_UNROLL
	for (k = 0; k < 8; k++)
	{
		const vec_i q = vec_sign8(p->q[k], vec_load((const uint8_t *) w + 32 * k, 0));
		const vec_i product = vec_madd(vec_maddubs(magnitude[k], q), vec_set16(1));

		sum[k % 2] = k < 2 ? product : vec_add32(sum[k % 2], product);
		__asm__ volatile("":"+x" (sum[k % 2]));
	}
	return vec_add32(sum[0], sum[1]);
}

VEC_INLINE vec_i
dot_spread(const LlmType type, const DecodedBlock *block, const SpreadTerm *p)
{
	if (dot_has_halves(type))
		return vec_add32(spread_half(type, block, p, 0), spread_half(type, block, p, 1));
	if (dot_is_iq4(type))
		return spread_signed(block->w, block->w + 8, p);
	if (type == LLM_TYPE_Q8_0)
		return spread_signed(block->w, block->bytes, p);
	return spread_nibbles(type, block->w, p);
}

/* add a term to the sums of its token */
VEC_INLINE void
add_spread(const LlmType type, const DecodedBlock *block, const SpreadTerm *p, float *sums)
{
	vec_f		sum = vec_load_acc(sums);

	if (type == LLM_TYPE_NVFP4)
	{
		sum = vec_fma(vec_to_f(spread_half(type, block, p, 0)), vec_mul_f(block->d, p->d), sum);
		sum = vec_fma(vec_to_f(spread_half(type, block, p, 1)), vec_mul_f(block->d1, p->d), sum);
	}
	else
		sum = vec_fma(vec_to_f(dot_spread(type, block, p)), vec_mul_f(block->d, p->d), sum);
	if (type == LLM_TYPE_Q4_1 || type == LLM_TYPE_Q5_1 || type == LLM_TYPE_Q4_K || type == LLM_TYPE_Q5_K)
		sum = vec_fma(block->m, p->m, sum);
	if (type == LLM_TYPE_Q2_K)
		sum = vec_fma(vec_to_f(vec_madd(block->min, p->start[0])), vec_mul_f(block->m, p->d), sum);
	vec_store_acc(sums, sum);
}

VEC_INLINE void
spread_term(const LlmType type, const LlmkTerm *term, int64_t at, int token, SpreadTerm *p)
{
	const int8_t *q = term->q + LLM_QK * at;
	const int16_t *s = term->s + 2 * at;
	const float m = term->d[at] * (float) (s[0] + s[1]);
	uint32_t	start[2] = {0, 0};
	int			k;

	for (k = 0; k < 8; k++)
		p->q[k] = vec_bcast(q + 4 * k);
	dot_start(type, q, s, start);
	if (dot_offset(type) != 0 || type == LLM_TYPE_Q2_K)
		p->start[0] = vec_bcast(&start[0]);
	if (dot_offset(type) != 0 && dot_has_halves(type))
		p->start[1] = vec_bcast(&start[1]);
	p->d = vec_bcast_f(&term->d[at]);
	p->m = vec_bcast_f(&m);
	p->sums = (size_t) token * VEC_LANES;
}

/* the terms of block b of n_tokens tokens from t0 on: first ones in order, then second ones; returns how many */
VEC_INLINE int
spread_block(const LlmType type, const LlmkActs *acts, int64_t t0, int n_tokens, int64_t b, SpreadTerm *terms)
{
	const int64_t row_blocks = acts->n_cols / LLM_QK;
	int			second[TILE_TOKENS + 1];
	int			n_second = 0;
	int			i;

	for (i = 0; i < n_tokens; i++)
	{
		const int64_t at = (t0 + i) * row_blocks + b;

		spread_term(type, &acts->term[0], at, i, &terms[i]);

		/* without a branch, which could not be foreseen */
		second[n_second] = i;
		n_second += acts->term[1].d[at] != 0.0f;
	}
	for (i = 0; i < n_second; i++)
		spread_term(type, &acts->term[1], (t0 + second[i]) * row_blocks + b, second[i], &terms[n_tokens + i]);
	return n_tokens + n_second;
}

/* the sums (n_tokens, 8) of groups [g0, g1), one after the other in acc, of a tile of tokens */
VEC_INLINE void
spread_chunk(const LlmType type, const LlmkMatrix *w, const LlmkActs *acts, int64_t t0, int n_tokens, int64_t g0, int64_t g1,
			 float *acc)
{
	const size_t group_bytes = llmk_group_bytes(type, w->n_cols);
	const int64_t n_blocks = w->n_cols / LLM_QK;
	const size_t block_bytes = group_bytes / (size_t) n_blocks;
	const int64_t n_groups = g1 - g0;
	const int64_t ahead = AHEAD_TERMS / n_tokens;
	SpreadTerm	terms[2 * TILE_TOKENS];
	int64_t		b;

	memset(acc, 0, (size_t) ((g1 - g0) * n_tokens * VEC_LANES) * sizeof(float));
	for (b = 0; b < n_blocks; b++)
	{
		const int	n = spread_block(type, acts, t0, n_tokens, b, terms);
		const SpreadTerm *end = terms + n;
		float	   *sums = acc;
		int64_t		g;

		for (g = g0; g < g1; g++, sums += n_tokens * VEC_LANES)
		{
			const uint8_t *group = w->data + (size_t) g * group_bytes;
			DecodedBlock block;
			const SpreadTerm *p;

			if (g + ahead < g1)
				prefetch(group + (size_t) ahead * group_bytes + (size_t) b * block_bytes, block_bytes);
			else if (ahead <= n_groups && b + 1 < n_blocks)
				prefetch(group - (size_t) (n_groups - ahead) * group_bytes + (size_t) (b + 1) * block_bytes, block_bytes);
			decode_block(type, group, group_bytes, b, &block);
			for (p = terms; p < end; p++)
				add_spread(type, &block, p, sums + p->sums);
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
