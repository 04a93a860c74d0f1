/*
 * dot_maddubs.h: exact integer sums over a block of 32 columns by byte-pair multiplies (AVX2, AVX-512 BW).
 *
 * The instruction multiplies unsigned by signed bytes and adds neighbours into 16 bits, saturating; further sums of 16
 * bits wrap. One pair never saturates here: 63 * 127 * 2 < 2^15, and for 8-bit weights 128 * 127 * 2. A sum over many
 * pairs may wrap on its way as long as its final value fits, because addition modulo 2^16 is exact. So the offset of a
 * type (weight less 8, 16 or 32) is what makes the final value fit: each 16-bit lane starts from minus offset times the
 * sum of its own q, and after its 16 (Q4_0, Q5_0, MXFP4) or 8 (Q6_K) products holds at most 16 * 16 * 127 or
 * 8 * 32 * 127 in magnitude, below 2^15. Q4_1 and Q4_K need no offset: 16 * 15 * 127; nor do Q5_1 and Q5_K, whose lanes take
 * 8 products of 31. The last step, a multiply of 16-bit pairs by 1 or by the scales of Q6_K, widens to 32 bits.
 *
 * 8-bit weights, also those of the table of IQ4_NL and IQ4_XS, give their sign to q and are multiplied as magnitudes. A pair
 * of products fills 16 bits, so each is widened before it is added.
 */
#ifndef LLMK_DOT_MADDUBS_H
#define LLMK_DOT_MADDUBS_H

#include "cpu/codes.h"
#include "cpu/panel.h"

/* sums of q over the columns of even and odd pairs, of the 4 quads at q, as the two 16-bit halves of a word */
VEC_INLINE uint32_t
pair_sums(const int8_t *q)
{
	__m128i		pairs = _mm_maddubs_epi16(_mm_set1_epi8(1), _mm_loadu_si128((const void *) q));

	pairs = _mm_add_epi16(pairs, _mm_shuffle_epi32(pairs, 0x4e));
	pairs = _mm_add_epi16(pairs, _mm_shuffle_epi32(pairs, 0xb1));
	return (uint32_t) _mm_cvtsi128_si32(pairs);
}

/* both halves of two words added or multiplied by themselves */
VEC_INLINE uint32_t
add_halves(uint32_t a, uint32_t b)
{
	return ((a + b) & 0xffff) | ((a & 0xffff0000) + (b & 0xffff0000));
}

VEC_INLINE uint32_t
scale_halves(uint32_t a, int factor)
{
	return ((a * (uint32_t) factor) & 0xffff) | ((a >> 16) * (uint32_t) factor) << 16;
}

/* what the sums of a token's block q start from; s: sums of each 16 of q */
VEC_INLINE void
dot_start(const LlmType type, const int8_t *q, const int16_t *s, uint32_t *start)
{
	const int	offset = dot_offset(type);

	if (type == LLM_TYPE_Q2_K)
		start[0] = dot_both_sums(s);
	else if (dot_has_halves(type))
	{
		start[0] = scale_halves(pair_sums(q), -offset);
		start[1] = scale_halves(pair_sums(q + 16), -offset);
	}
	else if (offset != 0)
		start[0] = scale_halves(add_halves(pair_sums(q), pair_sums(q + 16)), -offset);
}

/* 16-bit sums of the products of 8 quads with the q of every other one, from `first` on */
VEC_INLINE vec_i
dot_every_other(const vec_i *w, const PanelTerm *p, int first)
{
	vec_i		sum = vec_maddubs(w[first], vec_bcast(p->q + 4 * first));
	int			k;

	for (k = first + 2; k < 8; k += 2)
		sum = vec_add16(sum, vec_maddubs(w[k], vec_bcast(p->q + 4 * k)));
	return sum;
}

/* w: 8 vectors of unsigned bytes, one per quad, at most 15, or 31 with an offset or for Q5_1 and Q5_K */
VEC_INLINE vec_i
dot_nibbles(const LlmType type, const vec_i *w, const PanelTerm *p)
{
	vec_i		even = dot_every_other(w, p, 0);
	vec_i		odd = dot_every_other(w, p, 1);

	/* 8 products of 31 by 127 fit, 16 do not */
	if (type == LLM_TYPE_Q5_1 || type == LLM_TYPE_Q5_K)
		return vec_add32(vec_madd(even, vec_set16(1)), vec_madd(odd, vec_set16(1)));
	if (dot_offset(type) != 0)
		even = vec_add16(even, vec_bcast(&p->start[0]));
	return vec_madd(vec_add16(even, odd), vec_set16(1));
}

/* scales of 16 columns as dot_halves wants them, from 32-bit lanes: in both 16-bit halves */
VEC_INLINE vec_i
dot_half_scale(vec_i scale)
{
	return vec_or(vec_and(scale, vec_set32(0xffff)), vec_sll32(scale, 16));
}

/* w: 8 vectors of 0 .. 63; half: the sums of 16 columns, times their scale */
VEC_INLINE void
dot_halves(const LlmType type, const vec_i *w, const vec_i *scale, const PanelTerm *p, vec_i *half)
{
	int			h;

	for (h = 0; h < 2; h++)
	{
		const int8_t *q = p->q + 16 * h;
		vec_i		even = vec_maddubs(w[4 * h], vec_bcast(q));
		vec_i		odd = vec_maddubs(w[4 * h + 1], vec_bcast(q + 4));

		if (dot_offset(type) != 0)
			even = vec_add16(vec_bcast(&p->start[h]), even);
		even = vec_add16(even, vec_maddubs(w[4 * h + 2], vec_bcast(q + 8)));
		odd = vec_add16(odd, vec_maddubs(w[4 * h + 3], vec_bcast(q + 12)));
		half[h] = vec_madd(vec_add16(even, odd), scale[h]);
	}
}

/* magnitudes of 8-bit weights, at most 128 */
VEC_INLINE vec_i
dot_q8_0_weight(vec_i w)
{
	return vec_abs8(w);
}

/* 32-bit sums of the products of 8 quads with the q of every other one, from `first` on; magnitudes and signed weights */
VEC_INLINE vec_i
dot_signed(const vec_i *magnitude, const vec_i *w, const PanelTerm *p, int first)
{
	vec_i		sum = vec_madd(vec_maddubs(magnitude[first], vec_sign8(vec_bcast(p->q + 4 * first), w[first])), vec_set16(1));
	int			k;

	for (k = first + 2; k < 8; k += 2)
		sum = vec_add32(sum, vec_madd(vec_maddubs(magnitude[k], vec_sign8(vec_bcast(p->q + 4 * k), w[k])), vec_set16(1)));
	return sum;
}

/* w: 8 vectors of magnitudes; block: the packed bytes, for the signs */
VEC_INLINE vec_i
dot_q8_0(const vec_i *w, const uint8_t *block, size_t group_stride, const PanelTerm *p)
{
	vec_i		packed[8];
	int			k;

	for (k = 0; k < 8; k++)
		packed[k] = vec_load(block + 32 * k, group_stride);
	return vec_add32(dot_signed(w, packed, p, 0), dot_signed(w, packed, p, 1));
}

/* w[k]: magnitudes of the table entries of quad k, w[8 + k] the entries */
VEC_INLINE void
dot_iq4_weights(const vec_i *codes, vec_i *w)
{
	int			k;

	for (k = 0; k < 8; k++)
	{
		w[8 + k] = vec_lookup8(llmk_iq4_values, codes[k]);
		w[k] = vec_abs8(w[8 + k]);
	}
}

VEC_INLINE vec_i
dot_iq4(const vec_i *w, const PanelTerm *p)
{
	return vec_add32(dot_signed(w, w + 8, p, 0), dot_signed(w, w + 8, p, 1));
}

#endif
