/*
 * matmul_spread.h: quantized products of several tokens with byte-pair multiplies in 256-bit registers; part of matmul_quant.h.
 *
 * A multiply takes one operand from memory, a load that only repeats 4 bytes in all lanes is an instruction of its own. So
 * each quad of the activations is stored as often as there are lanes, which makes a term 8 times as long. To keep terms in
 * the first-level cache, the order of work is another than in matmul_quant.h: a tile of tokens and CHUNK_GROUPS groups of
 * rows; then block by block, for each the tile's terms, mostly 7 KB, and then all the groups, whose sums are read in order.
 * The numbers are the same: an output's blocks still come in ascending order.
 *
 * In that order weights are read in steps as long as a group, which no processor foresees, so they are asked for while
 * AHEAD_TERMS are computed before them: about the time that memory takes.
 */
#ifndef LLMK_MATMUL_SPREAD_H
#define LLMK_MATMUL_SPREAD_H

#define CHUNK_GROUPS 64			/* their sums, 32 KB, are read in order */
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
	uint32_t	sums;			/* where the token's sums begin among those of a group */
	uint32_t	joins_next;		/* is the next term the second of this token, to be joined? */
} SpreadTerm;

/*
 * Sums of a term that spread_finish makes one of: 16 bits, of even and odd quads; for types with halves or of 8 bits 32 bits, of
 * each half, or of even and odd quads.
 */
typedef struct SpreadSums
{
	vec_i		part[2];
} SpreadSums;

VEC_INLINE bool
spread_has_min(const LlmType type)
{
	return type == LLM_TYPE_Q4_1 || type == LLM_TYPE_Q5_1 || type == LLM_TYPE_Q4_K || type == LLM_TYPE_Q5_K;
}

/* has the type such sums of 16 bits? */
VEC_INLINE bool
spread_is_short(const LlmType type)
{
	return !dot_has_halves(type) && !dot_is_iq4(type) && type != LLM_TYPE_Q8_0;
}

/*
 * dot_nibbles of dot_maddubs.h. The empty statements fix the order of additions: else compilers begin many products early,
 * and weights lose their registers to them.
 */
VEC_INLINE void
spread_nibbles(const LlmType type, const vec_i *w, const SpreadTerm *p, SpreadSums *s)
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
	s->part[0] = dot_offset(type) != 0 ? vec_add16(even, p->start[0]) : even;
	s->part[1] = odd;
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
VEC_INLINE void
spread_signed(const vec_i *magnitude, const void *w, const SpreadTerm *p, SpreadSums *s)
{
	int			k;

	LLMK_UNROLL
	for (k = 0; k < 8; k++)
	{
		const vec_i q = vec_sign8(p->q[k], vec_load((const uint8_t *) w + 32 * k, 0));
		const vec_i product = vec_madd(vec_maddubs(magnitude[k], q), vec_set16(1));

		s->part[k % 2] = k < 2 ? product : vec_add32(s->part[k % 2], product);
		__asm__ volatile("":"+x" (s->part[k % 2]));
	}
}

VEC_INLINE void
spread_sums(const LlmType type, const DecodedBlock *block, const SpreadTerm *p, SpreadSums *s)
{
	if (dot_has_halves(type))
		for (int h = 0; h < 2; h++)
			s->part[h] = spread_half(type, block, p, h);
	else if (dot_is_iq4(type))
		spread_signed(block->w, block->w + 8, p, s);
	else if (type == LLM_TYPE_Q8_0)
		spread_signed(block->w, block->bytes, p, s);
	else
		spread_nibbles(type, block->w, p, s);
}

/*
 * The sum of a term, times unit: LLMK_TERM_RATIO for the first of two terms, else 1. The last multiply of short sums does that
 * too. NVFP4: of half h.
 */
VEC_INLINE vec_i
spread_finish(const LlmType type, const int unit, const SpreadSums *s, int h)
{
	vec_i		sum;

	if (type == LLM_TYPE_Q5_1 || type == LLM_TYPE_Q5_K)
		return vec_add32(vec_madd(s->part[0], vec_set16(unit)), vec_madd(s->part[1], vec_set16(unit)));
	if (spread_is_short(type))
		return vec_madd(vec_add16(s->part[0], s->part[1]), vec_set16(unit));
	sum = type == LLM_TYPE_NVFP4 ? s->part[h] : vec_add32(s->part[0], s->part[1]);
	return unit == 1 ? sum : vec_mul32(sum, vec_set32(unit));
}

/*
 * Add the step of a token to its sums, as add_step of matmul_quant.h; p: its term, or its first of two, which are joined. Returns
 * its last. What both cases have in common is the same code, so that weights keep their registers.
 */
VEC_INLINE const SpreadTerm *
add_spread(const LlmType type, const DecodedBlock *block, const SpreadTerm *p, float *acc)
{
	const int	n_sums = type == LLM_TYPE_NVFP4 ? 2 : 1;
	SpreadSums	s;
	vec_i		isum[2];
	vec_i		minima;
	float	   *sums;
	vec_f		sum;
	int			h;

	spread_sums(type, block, p, &s);
	if (type == LLM_TYPE_Q2_K)
		minima = vec_madd(block->min, p->start[0]);
	if (p->joins_next)
	{
		for (h = 0; h < n_sums; h++)
			isum[h] = spread_finish(type, LLMK_TERM_RATIO, &s, h);
		p++;
		spread_sums(type, block, p, &s);
		for (h = 0; h < n_sums; h++)
			isum[h] = vec_add32(isum[h], spread_finish(type, 1, &s, h));
		if (type == LLM_TYPE_Q2_K)
			minima = dot_join(minima, vec_madd(block->min, p->start[0]));
	}
	else
		for (h = 0; h < n_sums; h++)
			isum[h] = spread_finish(type, 1, &s, h);
	sums = acc + p->sums;
	sum = vec_fma(vec_to_f(isum[0]), vec_mul_f(block->d, p->d), vec_load_acc(sums));
	if (type == LLM_TYPE_NVFP4)
		sum = vec_fma(vec_to_f(isum[1]), vec_mul_f(block->d1, p->d), sum);
	if (spread_has_min(type))
		sum = vec_fma(block->m, p->m, sum);
	if (type == LLM_TYPE_Q2_K)
		sum = vec_fma(vec_to_f(minima), vec_mul_f(block->m, p->d), sum);
	vec_store_acc(sums, sum);
	return p;
}

/* term i of block `at` */
VEC_INLINE void
spread_term(const LlmType type, const LlmkActs *acts, int i, int64_t at, int token, SpreadTerm *p)
{
	const LlmkTerm *term = &acts->term[i];
	const int8_t *q = term->q + LLM_QK * at;
	float		m;
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
	if (spread_has_min(type))
	{
		m = act_sum(acts, i, at);
		p->m = vec_bcast_f(&m);
	}
	p->sums = (uint32_t) (token * VEC_LANES);
	p->joins_next = 0;
}

/* the terms of block b of n_tokens tokens from t0 on, in the order of order_tokens; returns how many */
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
	{
		SpreadTerm *two = &terms[2 * i - n_one];

		for (int j = 0; j < 2; j++)
			spread_term(type, acts, j, (t0 + order[i]) * row_blocks + b, order[i], &two[j]);
		two->joins_next = llmk_terms_join(type);
	}
	return 2 * n_tokens - n_one;
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
		const SpreadTerm *end = terms + spread_block(type, acts, t0, n_tokens, b, terms);
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
			for (const SpreadTerm *p = terms; p < end; p++)
				p = add_spread(type, &block, p, sums);
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
				{
					if (n_rows == LLMK_ROWS)
						vec_store_acc(out + (t0 + t) * ld_out + row, vec_load_acc(sums));
					else
						memcpy(out + (t0 + t) * ld_out + row, sums, (size_t) n_rows * sizeof(float));
				}
			}
		}
	}
}

#endif
