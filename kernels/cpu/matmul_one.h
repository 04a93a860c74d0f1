/*
 * matmul_one.h: quantized products of one token with byte-pair multiplies in 256-bit registers; part of matmul_quant.h.
 *
 * Weights are used once, so they are decoded quad by quad just before their multiplies and never kept: with all of a block
 * in registers little room was left and much went to the stack. A block with a second term has code of its own, which
 * decodes once for both. Two groups of rows go together: they share the loads of activations, and the question whether a
 * block has a second term, whose answers a processor foresees badly.
 */
#ifndef LLMK_MATMUL_ONE_H
#define LLMK_MATMUL_ONE_H

#define ONE_GROUPS 2

/* the types that are computed here; others are rare */
VEC_INLINE bool
one_has(const LlmType type)
{
	return type == LLM_TYPE_Q4_0 || type == LLM_TYPE_Q4_1 || type == LLM_TYPE_Q5_0 || type == LLM_TYPE_Q5_1 ||
		type == LLM_TYPE_Q8_0 || type == LLM_TYPE_Q2_K || type == LLM_TYPE_Q3_K || type == LLM_TYPE_Q4_K ||
		type == LLM_TYPE_Q5_K || type == LLM_TYPE_Q6_K;
}

VEC_INLINE bool
one_is_k(const LlmType type)
{
	return type == LLM_TYPE_Q2_K || type == LLM_TYPE_Q3_K || type == LLM_TYPE_Q4_K || type == LLM_TYPE_Q5_K || type == LLM_TYPE_Q6_K;
}

/* bytes of a block's quads and high bits */
VEC_INLINE size_t
one_part_bytes(const LlmType type)
{
	switch (type)
	{
		case LLM_TYPE_Q8_0:
			return sizeof(((LlmkPackedQ8_0 *) 0)->qs);
		case LLM_TYPE_Q6_K:
			return sizeof(LlmkPackedQ6_KPart);
		case LLM_TYPE_Q4_0:
		case LLM_TYPE_Q4_1:
			return sizeof(((LlmkPackedQ4_0 *) 0)->qs);
		case LLM_TYPE_Q5_0:
		case LLM_TYPE_Q5_1:
			return offsetof(LlmkPackedQ5_0, d);
		default:
			return llmk_part_bytes(llmk_code_layout(type));
	}
}

/* bytes of a block with its scales, or its share of a super-block */
VEC_INLINE size_t
one_block_bytes(const LlmType type)
{
	switch (type)
	{
		case LLM_TYPE_Q4_0:
			return sizeof(LlmkPackedQ4_0);
		case LLM_TYPE_Q4_1:
			return sizeof(LlmkPackedQ4_1);
		case LLM_TYPE_Q5_0:
			return sizeof(LlmkPackedQ5_0);
		case LLM_TYPE_Q5_1:
			return sizeof(LlmkPackedQ5_1);
		case LLM_TYPE_Q8_0:
			return sizeof(LlmkPackedQ8_0);
		case LLM_TYPE_Q6_K:
			return sizeof(LlmkPackedQ6_K) / 8;
		default:
			return llmk_code_block_bytes(llmk_code_layout(type)) / 8;
	}
}

/* scales of a block of 32 columns, or those that all parts of a super-block share with bytes for the rest */
typedef struct OneScales
{
	_Alignas(64) uint8_t bytes[16][LLMK_ROWS];	/* Q4_K, Q5_K: scales, then minima, of each part; Q3_K: scales of each half */
	vec_f		d;
	vec_f		m;				/* minus that of the file, for types of super-blocks */
	vec_i		half[2];		/* as dot_half_scale makes them */
	vec_i		min;			/* Q2_K: of both halves as 16-bit numbers */
} OneScales;

/* scale bytes of Q4_K and Q5_K: decode_k_scales; of Q3_K: decode_q3_k_scale, four vectors of 4 scales */
VEC_INLINE void
one_super_bytes(const LlmType type, const uint8_t *s, OneScales *o)
{
	const vec_i first = vec_load(s, 0);
	const vec_i second = vec_load(s + 32, 0);
	const vec_i third = vec_load(s + 64, 0);
	const vec_i low = vec_set8(15);
	const vec_i high = vec_set8(48);
	vec_i		v[4];

	if (type == LLM_TYPE_Q3_K)
	{
		v[0] = vec_or(vec_and(first, low), vec_and(vec_sll16(third, 4), high));
		v[1] = vec_or(vec_and(second, low), vec_and(vec_sll16(third, 2), high));
		v[2] = vec_or(vec_and(vec_srl16(first, 4), low), vec_and(third, high));
		v[3] = vec_or(vec_and(vec_srl16(second, 4), low), vec_and(vec_srl16(third, 2), high));
		for (int i = 0; i < 4; i++)
			v[i] = _mm256_sub_epi8(v[i], vec_set8(32));
	}
	else
	{
		v[0] = vec_and(first, vec_set8(63));
		v[1] = vec_or(vec_and(third, low), vec_and(vec_srl16(first, 2), high));
		v[2] = vec_and(second, vec_set8(63));
		v[3] = vec_or(vec_and(vec_srl16(third, 4), low), vec_and(vec_srl16(second, 2), high));
	}
	memcpy(o->bytes, v, sizeof(v));
}

/* what the parts of the super-block share */
VEC_INLINE void
one_super(const LlmType type, const uint8_t *super, OneScales *o)
{
	const LlmkCodeLayout l = llmk_code_layout(type);

	if (type == LLM_TYPE_Q6_K)
	{
		o->d = vec_load_f16(super + offsetof(LlmkPackedQ6_K, d), 0);
		return;
	}
	o->d = vec_load_f16(super + llmk_halves_off(l), 0);
	if (l.n_halves > 1)
		o->m = vec_mul_f(vec_load_f16(super + llmk_halves_off(l) + 2 * LLMK_ROWS, 0), vec_set_f(-1.0f));
	if (type != LLM_TYPE_Q2_K)
		one_super_bytes(type, super + llmk_scales_off(l), o);
}

/*
 * From 16 bytes, 8 rows of one half and then of the other, to the two 16-bit numbers of each lane, which is a row: first its byte
 * of half `first`, then that of half `second`. up: into the upper bytes of the numbers, else the lower ones; the others are 0.
 */
VEC_INLINE vec_i
one_rows(const uint8_t *p, int first, int second, bool up)
{
	const vec_i row = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
	const int	places = LLMK_ROWS * first | (LLMK_ROWS * second) << 16;
	const vec_i low = vec_add32(vec_mul32(row, vec_set32(0x00010001)), vec_set32(places));
	const vec_i index = up ? vec_or(vec_sll16(low, 8), vec_set16(0x0080)) : vec_or(low, vec_set16(0x8000));

	return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const void *) p)), index);
}

/* half h of 16 signed bytes, as dot_half_scale makes it */
VEC_INLINE vec_i
one_signed_half(const uint8_t *p, int h)
{
	return _mm256_srai_epi16(one_rows(p, h, h, true), 8);
}

/* scales of part `part` */
VEC_INLINE void
one_scales(const LlmType type, const uint8_t *super, int part, const OneScales *shared, OneScales *o)
{
	const LlmkCodeLayout l = llmk_code_layout(type);
	const uint8_t *own = super + one_part_bytes(type);

	switch (type)
	{
		case LLM_TYPE_Q4_K:
		case LLM_TYPE_Q5_K:
			o->d = vec_mul_f(shared->d, vec_to_f(vec_load_u8(shared->bytes[part], 0)));
			o->m = vec_mul_f(shared->m, vec_to_f(vec_load_u8(shared->bytes[8 + part], 0)));
			break;
		case LLM_TYPE_Q2_K:
			own = super + llmk_scales_off(l) + 2 * LLMK_ROWS * part;
			o->half[0] = vec_and(one_rows(own, 0, 0, false), vec_set16(15));
			o->half[1] = vec_and(one_rows(own, 1, 1, false), vec_set16(15));
			o->min = vec_srl16(one_rows(own, 0, 1, false), 4);
			o->d = shared->d;
			o->m = shared->m;
			break;
		case LLM_TYPE_Q3_K:
		case LLM_TYPE_Q6_K:
			own = type == LLM_TYPE_Q3_K ? shared->bytes[2 * part] :
				super + offsetof(LlmkPackedQ6_K, scales) + 2 * LLMK_ROWS * part;
			o->half[0] = one_signed_half(own, 0);
			o->half[1] = one_signed_half(own, 1);
			o->d = shared->d;
			break;
		default:				/* after the quads d, and m of types with minima */
			o->d = vec_load_f16(own, 0);
			if (spread_has_min(type))
				o->m = vec_load_f16(own + 2 * LLMK_ROWS, 0);
			break;
	}
}

/* bits of `from` up (left > 0) or down, those of mask */
VEC_INLINE vec_i
one_bits(vec_i from, int left, int mask)
{
	if (left != 0)
		from = left > 0 ? vec_sll16(from, left) : vec_srl16(from, -left);
	return vec_and(from, vec_set8(mask));
}

/* quads k and k + 4, k 0 .. 3, as decode_block gives them */
VEC_INLINE void
one_quads(const LlmType type, const uint8_t *bytes, int k, vec_i *w)
{
	if (type == LLM_TYPE_Q2_K || type == LLM_TYPE_Q3_K)
	{
		w[0] = one_bits(vec_load(bytes, 0), -2 * k, 3);
		w[1] = one_bits(vec_load(bytes + 32, 0), -2 * k, 3);
	}
	else
	{
		const vec_i both = vec_load(bytes + 32 * k, 0);

		w[0] = one_bits(both, 0, 15);
		w[1] = one_bits(both, -4, 15);
	}
	if (type == LLM_TYPE_Q3_K)
	{
		w[0] = vec_or(w[0], one_bits(vec_load(bytes + 64, 0), 2 - k, 4));
		w[1] = vec_or(w[1], one_bits(vec_load(bytes + 64, 0), -2 - k, 4));
	}
	if (type == LLM_TYPE_Q5_0 || type == LLM_TYPE_Q5_1 || type == LLM_TYPE_Q5_K)
	{
		w[0] = vec_or(w[0], one_bits(vec_load(bytes + 128, 0), 4 - k, 16));
		w[1] = vec_or(w[1], one_bits(vec_load(bytes + 128, 0), -k, 16));
	}
	if (type == LLM_TYPE_Q6_K)
	{
		w[0] = vec_or(w[0], one_bits(vec_load(bytes + 128, 0), 4 - 2 * k, 48));
		w[1] = vec_or(w[1], one_bits(vec_load(bytes + 160, 0), 4 - 2 * k, 48));
	}
}

/*
 * Products of quads k and k + 4 added to the sums of both halves; unit: see one_whole; the empty statement keeps the order, see
 * spread_nibbles.
 */
VEC_INLINE void
one_products(const LlmType type, const int unit, const vec_i *w, int k, const PanelTerm *p, vec_i *half)
{
	int			h;

	for (h = 0; h < 2; h++)
	{
		const vec_i q = vec_bcast(p->q + 16 * h + 4 * k);

		if (type == LLM_TYPE_Q8_0)
		{
			const vec_i product = vec_madd(vec_maddubs(vec_abs8(w[h]), vec_sign8(q, w[h])), vec_set16(unit));

			half[h] = k == 0 ? product : vec_add32(half[h], product);
		}
		else
			half[h] = k == 0 ? vec_maddubs(w[h], q) : vec_add16(half[h], vec_maddubs(w[h], q));
		__asm__ volatile("":"+x" (half[h]));
	}
}

/* the sum of a term's halves, times unit: LLMK_TERM_RATIO for the first of two terms, which the last multiply does too, else 1 */
VEC_INLINE vec_i
one_whole(const LlmType type, const int unit, const OneScales *o, const PanelTerm *p, const vec_i *half)
{
	vec_i		whole;

	if (type == LLM_TYPE_Q8_0)
		return vec_add32(half[0], half[1]);
	if (dot_has_halves(type))
	{
		vec_i		scaled[2];

		for (int h = 0; h < 2; h++)
			scaled[h] = vec_madd(dot_offset(type) != 0 ? vec_add16(half[h], vec_bcast(&p->start[h])) : half[h], o->half[h]);
		whole = vec_add32(scaled[0], scaled[1]);
		return unit == 1 ? whole : vec_mul32(whole, vec_set32(unit));
	}
	if (type == LLM_TYPE_Q5_1 || type == LLM_TYPE_Q5_K)
		return vec_add32(vec_madd(half[0], vec_set16(unit)), vec_madd(half[1], vec_set16(unit)));
	whole = vec_add16(half[0], half[1]);
	if (dot_offset(type) != 0)
		whole = vec_add16(whole, vec_bcast(&p->start[0]));
	return vec_madd(whole, vec_set16(unit));
}

/* sums of the halves of n_terms terms to the output's chain, as add_step */
VEC_INLINE vec_f
one_add(const LlmType type, const int n_terms, const OneScales *o, const PanelTerm *p, vec_i half[][2], vec_f sum)
{
	const PanelTerm *last = p + n_terms - 1;
	const vec_f a_d = vec_bcast_f(&last->d);
	vec_i		whole = one_whole(type, n_terms == 2 ? LLMK_TERM_RATIO : 1, o, p, half[0]);

	if (n_terms == 2)
		whole = vec_add32(whole, one_whole(type, 1, o, last, half[1]));
	sum = vec_fma(vec_to_f(whole), vec_mul_f(o->d, a_d), sum);
	if (spread_has_min(type))
		sum = vec_fma(o->m, vec_bcast_f(&last->m), sum);
	if (type == LLM_TYPE_Q2_K)
	{
		vec_i		minima = vec_madd(o->min, vec_bcast(&p->start[0]));

		if (n_terms == 2)
			minima = dot_join(minima, vec_madd(o->min, vec_bcast(&last->start[0])));
		sum = vec_fma(vec_to_f(minima), vec_mul_f(o->m, a_d), sum);
	}
	return sum;
}

/* a block with n_terms terms p of n_groups groups, group_bytes apart; both numbers are constants */
VEC_INLINE void
one_block(const LlmType type, const int n_groups, const int n_terms, const uint8_t *super, size_t group_bytes, int part,
		  const OneScales *shared, const PanelTerm *p, vec_f *sum)
{
	const uint8_t *bytes = super + one_part_bytes(type) * (size_t) part;
	vec_i		half[2][2][2];

	/* else compilers move what the code for one and for two terms has in common, and with it all the weights, to before both */
	__asm__ volatile("":"+r" (bytes));

	LLMK_UNROLL
	for (int k = 0; k < 4; k++)
		for (int g = 0; g < n_groups; g++)
		{
			const uint8_t *from = bytes + (size_t) g * group_bytes;
			vec_i		w[2];

			if (type == LLM_TYPE_Q8_0)
			{
				w[0] = vec_load(from + 32 * k, 0);
				w[1] = vec_load(from + 32 * (k + 4), 0);
			}
			else
				one_quads(type, from, k, w);
			for (int t = 0; t < n_terms; t++)
				one_products(type, t + 1 < n_terms ? LLMK_TERM_RATIO : 1, w, k, &p[t], half[g][t]);
		}
	for (int g = 0; g < n_groups; g++)
	{
		OneScales	own;

		one_scales(type, super + (size_t) g * group_bytes, part, &shared[g], &own);
		if (llmk_terms_join(type))
			sum[g] = one_add(type, n_terms, &own, p, half[g], sum[g]);
		else
			for (int t = 0; t < n_terms; t++)
				sum[g] = one_add(type, 1, &own, &p[t], &half[g][t], sum[g]);
	}
}

/* add the panel's blocks of n_groups groups to the sums acc (n_groups, VEC_LANES); n_groups is a constant */
VEC_INLINE void
one_groups(const LlmType type, const int n_groups, const uint8_t *group, size_t group_bytes, const Panel *panel, float *acc)
{
	const int	n_parts = one_is_k(type) ? LLM_QK_K / LLM_QK : 1;
	const size_t block_bytes = one_block_bytes(type);
	OneScales	shared[ONE_GROUPS];
	vec_f		sum[ONE_GROUPS];
	int			i = 0;
	int64_t		b;

	for (int g = 0; g < n_groups; g++)
	{
		sum[g] = vec_load_acc(acc + g * VEC_LANES);
		if (one_is_k(type))
			one_super(type, group + (size_t) g * group_bytes + (size_t) (panel->first_block / n_parts * n_parts) * block_bytes,
					  &shared[g]);
	}
	for (b = 0; b < panel->n_blocks; b++)
	{
		const int64_t at = panel->first_block + b;
		const int	part = (int) (at % n_parts);
		const uint8_t *super = group + (size_t) (at - part) * block_bytes;

		prefetch_ahead(group, group_bytes, n_groups, at, block_bytes);
		for (int g = 0; g < n_groups && one_is_k(type) && part == 0 && b > 0; g++)
			one_super(type, super + (size_t) g * group_bytes, &shared[g]);
		if (i < panel->end_one[b])
			one_block(type, n_groups, 1, super, group_bytes, part, shared, &panel->terms[i], sum);
		else
			one_block(type, n_groups, 2, super, group_bytes, part, shared, &panel->terms[i], sum);
		i = panel->end[b];
	}
	for (int g = 0; g < n_groups; g++)
		vec_store_acc(acc + g * VEC_LANES, sum[g]);
}

/*
 * matmul_one: see LlmkMatmulFn, for at most one token; type is a constant.
 */
VEC_INLINE void
matmul_one(const LlmType type, const LlmkMatrix *w, const LlmkActs *acts, int64_t group_begin, int64_t group_end, float *out)
{
	const size_t group_bytes = llmk_group_bytes(type, w->n_cols);
	const int64_t n_blocks = w->n_cols / LLM_QK;
	Panel		panel;
	int64_t		b0;

	for (b0 = 0; b0 < n_blocks && acts->n_tokens > 0; b0 += panel.n_blocks)
	{
		int64_t		g;
		int			n_groups;

		fill_panel(type, acts, 0, 1, b0, &panel);
		for (g = group_begin; g < group_end; g += n_groups)
		{
			const uint8_t *group = w->data + (size_t) g * group_bytes;
			_Alignas(64) float acc[ONE_GROUPS * VEC_LANES] = {0};
			float	   *rows = out + g * LLMK_ROWS;
			int64_t		n_rows;

			n_groups = group_end - g < ONE_GROUPS ? 1 : ONE_GROUPS;
			n_rows = n_groups * LLMK_ROWS;
			n_rows = w->n_rows - g * LLMK_ROWS < n_rows ? w->n_rows - g * LLMK_ROWS : n_rows;
			if (b0 > 0)
				memcpy(acc, rows, (size_t) n_rows * sizeof(float));
			if (n_groups == ONE_GROUPS)
				one_groups(type, ONE_GROUPS, group, group_bytes, &panel, acc);
			else
				one_groups(type, 1, group, group_bytes, &panel, acc);
			memcpy(rows, acc, (size_t) n_rows * sizeof(float));
		}
	}
}

#endif
