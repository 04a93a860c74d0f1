/*
 * dot_vnni.h: exact integer sums over a block of 32 columns by dpbusd (AVX-VNNI, AVX-512 VNNI).
 *
 * The instruction adds 4 products of unsigned by signed bytes to a 32-bit lane, without saturation, so nothing can
 * overflow. Offsets of weights are undone by starting from minus offset times the sum of q. 8-bit weights are made
 * unsigned by adding 128. The level's file defines vec_dpbusd(sum, unsigned, signed) before it includes this one.
 */
#ifndef LLMK_DOT_VNNI_H
#define LLMK_DOT_VNNI_H

#include "cpu/codes.h"
#include "cpu/panel.h"

/* what the sums of a token's block q start from; s: sums of each 16 of q */
VEC_INLINE void
dot_start(const LlmType type, const int8_t *q, const int16_t *s, uint32_t *start)
{
	const int	offset = type == LLM_TYPE_Q8_0 || dot_is_iq4(type) ? 128 : dot_offset(type);

	(void) q;
	if (type == LLM_TYPE_Q2_K)
		start[0] = dot_both_sums(s);
	else if (dot_has_halves(type))
	{
		start[0] = (uint32_t) (-offset * s[0]);
		start[1] = (uint32_t) (-offset * s[1]);
	}
	else
		start[0] = (uint32_t) (-offset * (s[0] + s[1]));
}

/* 4 quads of w from `first` on, added to sum */
VEC_INLINE vec_i
dot_quads(vec_i sum, const vec_i *w, const PanelTerm *p, int first)
{
	int			k;

	for (k = first; k < first + 4; k++)
		sum = vec_dpbusd(sum, w[k], vec_bcast(p->q + 4 * k));
	return sum;
}

/* w: 8 vectors of unsigned bytes, one per quad */
VEC_INLINE vec_i
dot_nibbles(const LlmType type, const vec_i *w, const PanelTerm *p)
{
	vec_i		start = dot_offset(type) != 0 ? vec_bcast(&p->start[0]) : vec_set32(0);

	return vec_add32(dot_quads(start, w, p, 0), dot_quads(vec_set32(0), w, p, 4));
}

/* table entries plus 128 */
VEC_INLINE void
dot_iq4_weights(const vec_i *codes, vec_i *w)
{
	int			k;

	for (k = 0; k < 8; k++)
		w[k] = vec_xor(vec_lookup8(llmk_iq4_values, codes[k]), vec_set8(-128));
}

VEC_INLINE vec_i
dot_iq4(const vec_i *w, const PanelTerm *p)
{
	return vec_add32(dot_quads(vec_bcast(&p->start[0]), w, p, 0), dot_quads(vec_set32(0), w, p, 4));
}

/* scales of 16 columns as dot_halves wants them, from 32-bit lanes: as they are */
VEC_INLINE vec_i
dot_half_scale(vec_i scale)
{
	return scale;
}

/* w: 8 vectors of 0 .. 63; half: the sums of 16 columns, times their scale */
VEC_INLINE void
dot_halves(const LlmType type, const vec_i *w, const vec_i *scale, const PanelTerm *p, vec_i *half)
{
	int			h;

	for (h = 0; h < 2; h++)
	{
		vec_i		start = dot_offset(type) != 0 ? vec_bcast(&p->start[h]) : vec_set32(0);

		half[h] = vec_mul32(dot_quads(start, w, p, 4 * h), scale[h]);
	}
}

/* 8-bit weights plus 128 */
VEC_INLINE vec_i
dot_q8_0_weight(vec_i w)
{
	return vec_xor(w, vec_set8(-128));
}

/* w: 8 vectors of unsigned bytes */
VEC_INLINE vec_i
dot_q8_0(const vec_i *w, const uint8_t *block, size_t group_stride, const PanelTerm *p)
{
	(void) block;
	(void) group_stride;
	return vec_add32(dot_quads(vec_bcast(&p->start[0]), w, p, 0), dot_quads(vec_set32(0), w, p, 4));
}

#endif
