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
 * dot_nibbles of dot_maddubs.h, times unit: LLMK_TERM_RATIO for the first of two terms, which the last multiply does too, else 1.
 * The empty statements fix the order of additions: else compilers begin many products early, and weights lose their registers
 * to them.
 */
VEC_INLINE vec_i
spread_nibbles(const LlmType type, const int unit, const vec_i *w, const SpreadTerm *p)
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
		return vec_add32(vec_madd(even, vec_set16(unit)), vec_madd(odd, vec_set16(unit)));
	if (dot_offset(type) != 0)
		even = vec_add16(even, p->start[0]);
	return vec_madd(vec_add16(even, odd), vec_set16(unit));
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

/* dot_signed of dot_maddubs.h, times unit; w: signed weights, in memory */
VEC_INLINE vec_i
spread_signed(const int unit, const vec_i *magnitude, const void *w, const SpreadTerm *p)
{
	vec_i		sum[2];
	int			k;

	LLMK_UNROLL
	for (k = 0; k < 8; k++)
	{
		const vec_i q = vec_sign8(p->q[k], vec_load((const uint8_t *) w + 32 * k, 0));
		const vec_i product = vec_madd(vec_maddubs(magnitude[k], q), vec_set16(unit));

		sum[k % 2] = k < 2 ? product : vec_add32(sum[k % 2], product);
		__asm__ volatile("":"+x" (sum[k % 2]));
	}
	return vec_add32(sum[0], sum[1]);
}

/* integer sums of a term, times unit */
VEC_INLINE vec_i
dot_spread(const LlmType type, const int unit, const DecodedBlock *block, const SpreadTerm *p)
{
	if (dot_has_halves(type))
	{
		const vec_i sum = vec_add32(spread_half(type, block, p, 0), spread_half(type, block, p, 1));

		return unit == 1 ? sum : vec_mul32(sum, vec_set32(unit));
	}
	if (dot_is_iq4(type))
		return spread_signed(unit, block->w, block->w + 8, p);
	if (type == LLM_TYPE_Q8_0)
		return spread_signed(unit, block->w, block->bytes, p);
	return spread_nibbles(type, unit, block->w, p);
}

/* the same of n_terms terms, p and p + 1 if two, joined; one half of them; minima times sums */
VEC_INLINE vec_i
join_spread(const LlmType type, const int n_terms, const DecodedBlock *block, const SpreadTerm *p)
{
	if (n_terms == 1)
		return dot_spread(type, 1, block, p);
	return vec_add32(dot_spread(type, LLMK_TERM_RATIO, block, p), dot_spread(type, 1, block, p + 1));
}

VEC_INLINE vec_i
join_half(const LlmType type, const int n_terms, const DecodedBlock *block, const SpreadTerm *p, int h)
{
	const vec_i sum = spread_half(type, block, p, h);

	return n_terms == 1 ? sum : dot_join(sum, spread_half(type, block, p + 1, h));
}

VEC_INLINE vec_i
join_minima(const int n_terms, const DecodedBlock *block, const SpreadTerm *p)
{
	const vec_i sum = vec_madd(block->min, p->start[0]);

	return n_terms == 1 ? sum : dot_join(sum, vec_madd(block->min, p[1].start[0]));
}

/* add a step of n_terms terms to the sums of their token, as add_step of matmul_quant.h */
VEC_INLINE void
add_spread(const LlmType type, const int n_terms, const DecodedBlock *block, const SpreadTerm *p, float *acc)
{
	const SpreadTerm *last = p + n_terms - 1;
	float	   *sums = acc + last->sums;
	vec_f		sum = vec_load_acc(sums);

	if (type == LLM_TYPE_NVFP4)
	{
		sum = vec_fma(vec_to_f(join_half(type, n_terms, block, p, 0)), vec_mul_f(block->d, last->d), sum);
		sum = vec_fma(vec_to_f(join_half(type, n_terms, block, p, 1)), vec_mul_f(block->d1, last->d), sum);
	}
	else
		sum = vec_fma(vec_to_f(join_spread(type, n_terms, block, p)), vec_mul_f(block->d, last->d), sum);
	if (type == LLM_TYPE_Q4_1 || type == LLM_TYPE_Q5_1 || type == LLM_TYPE_Q4_K || type == LLM_TYPE_Q5_K)
		sum = vec_fma(block->m, last->m, sum);
	if (type == LLM_TYPE_Q2_K)
		sum = vec_fma(vec_to_f(join_minima(n_terms, block, p)), vec_mul_f(block->m, last->d), sum);
	vec_store_acc(sums, sum);
}

/* term i of block `at` */
VEC_INLINE void
spread_term(const LlmType type, const LlmkActs *acts, int i, int64_t at, int token, SpreadTerm *p)
{
	const LlmkTerm *term = &acts->term[i];
	const int8_t *q = term->q + LLM_QK * at;
	const float m = act_sum(acts, i, at);
	uint32_t	start[2] = {0, 0};
	int			k;

	for (k = 0; k < 8; k++)
		p->q[k] = vec_bcast(q + 4 * k);
	dot_start(type, q, term->s + 2 * at, start);
	if (dot_offset(type) != 0 || type == LLM_TYPE_Q2_K)
		p->start[0] = vec_bcast(&start[0]);
	if (dot_offset(type) != 0 && dot_has_halves(type))
		p->start[1] = vec_bcast(&start[1]);
	p->d = vec_bcast_f(&term->d[at]);
	p->m = vec_bcast_f(&m);
	p->sums = (size_t) token * VEC_LANES;
}

/* the terms of block b of n_tokens tokens from t0 on, in the order of order_tokens; returns how many tokens have one */
VEC_INLINE int
spread_block(const LlmType type, const LlmkActs *acts, int64_t t0, int n_tokens, int64_t b, SpreadTerm *terms)
{
	const int64_t row_blocks = acts->n_cols / LLM_QK;
	int			order[TILE_TOKENS + 1];
	const int	n_one = order_tokens(acts, t0, n_tokens, b, order);
	int			i;

	for (i = 0; i < n_one; i++)
		spread_term(type, acts, 0, (t0 + order[i]) * row_blocks + b, order[i], &terms[i]);
	for (; i < n_tokens; i++)
		for (int j = 0; j < 2; j++)
			spread_term(type, acts, j, (t0 + order[i]) * row_blocks + b, order[i], &terms[2 * i - n_one + j]);
	return n_one;
}

/* a step of every token: n_one tokens with one term, the others up to n_tokens with two */
VEC_INLINE void
add_tile(const LlmType type, const DecodedBlock *block, const SpreadTerm *terms, int n_one, int n_tokens, float *acc)
{
	const SpreadTerm *end_one = terms + n_one;
	const SpreadTerm *end = end_one + 2 * (n_tokens - n_one);
	const SpreadTerm *p;

	for (p = terms; p < end_one; p++)
		add_spread(type, 1, block, p, acc);
	for (; p < end && llmk_terms_join(type); p += 2)
		add_spread(type, 2, block, p, acc);
	for (; p < end; p++)
		add_spread(type, 1, block, p, acc);
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
		const int	n_one = spread_block(type, acts, t0, n_tokens, b, terms);
		float	   *sums = acc;
		int64_t		g;

		for (g = g0; g < g1; g++, sums += n_tokens * VEC_LANES)
		{
			const uint8_t *group = w->data + (size_t) g * group_bytes;
			DecodedBlock block;

			if (g + ahead < g1)
				prefetch(group + (size_t) ahead * group_bytes + (size_t) b * block_bytes, block_bytes);
			else if (ahead <= n_groups && b + 1 < n_blocks)
				prefetch(group - (size_t) (n_groups - ahead) * group_bytes + (size_t) (b + 1) * block_bytes, block_bytes);
			decode_block(type, group, group_bytes, b, &block);
			add_tile(type, &block, terms, n_one, n_tokens, sums);
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
