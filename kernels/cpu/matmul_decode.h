/*
 * matmul_decode.h: one block of 32 columns of packed weights to registers, for matmul_quant.h.
 *
 * A vector of w is a quad of columns of all lanes' rows. The layouts are in packed_formats.h and codes.h. Scales become
 * what matmul_generic.c calls w_d and w_m.
 */
#ifndef LLMK_MATMUL_DECODE_H
#define LLMK_MATMUL_DECODE_H

#include "cpu/codes.h"

/* one block of VEC_GROUPS groups, decoded; bytes stays in packed form */
typedef struct DecodedBlock
{
	vec_i		w[16];			/* 8 are used, but for IQ4_NL and IQ4_XS in dot_maddubs.h */
	vec_i		scale[2];		/* whole-number scales of 16 columns */
	vec_i		min;			/* Q2_K: minima of both halves as 16-bit numbers */
	vec_f		d;				/* NVFP4: of columns 0 .. 15 */
	vec_f		d1;				/* NVFP4: of columns 16 .. 31 */
	vec_f		m;				/* of types with minima */
	const uint8_t *bytes;
} DecodedBlock;

/* the quads of a block from 4 vectors of nibbles */
VEC_INLINE void
decode_nibbles(const uint8_t *qs, size_t group_stride, vec_i *w)
{
	int			k;

	for (k = 0; k < 4; k++)
	{
		vec_i		both = vec_load(qs + 32 * k, group_stride);

		w[k] = vec_and(both, vec_set8(15));
		w[k + 4] = vec_and(vec_srl16(both, 4), vec_set8(15));
	}
}

/* the quads from 2 vectors: bits 2i, 2i + 1 of vector v belong to quad 4v + i */
VEC_INLINE void
decode_bit_pairs(const uint8_t *qs, size_t group_stride, vec_i *w)
{
	int			k;

	for (k = 0; k < 8; k++)
		w[k] = vec_and(vec_srl16(vec_load(qs + 32 * (k / 4), group_stride), 2 * (k % 4)), vec_set8(3));
}

/* add high bits: bit k of each byte belongs to quad k and becomes its bit `to` */
VEC_INLINE void
decode_high_bits(const uint8_t *qh, size_t group_stride, int to, vec_i *w)
{
	vec_i		bits = vec_load(qh, group_stride);
	int			k;

	for (k = 0; k < 8; k++)
	{
		vec_i		bit = k < to ? vec_sll16(bits, to - k) : vec_srl16(bits, k - to);

		w[k] = vec_or(w[k], vec_and(bit, vec_set8(1 << to)));
	}
}

/* add the upper two bits of Q6_K: bits 2i, 2i + 1 of vector v belong to quad 4v + i and become its bits 4 and 5 */
VEC_INLINE void
decode_upper_bits(const uint8_t *qh, size_t group_stride, vec_i *w)
{
	int			k;

	for (k = 0; k < 8; k++)
	{
		vec_i		bits = vec_load(qh + 32 * (k / 4), group_stride);
		int			i = k % 4;

		bits = i < 2 ? vec_sll16(bits, 4 - 2 * i) : vec_srl16(bits, 2 * i - 4);
		w[k] = vec_or(w[k], vec_and(bits, vec_set8(48)));
	}
}

/* bits [shift, shift + n) of scale byte j of all rows */
VEC_INLINE vec_i
scale_bits(const uint8_t *scales, size_t group_stride, int j, int shift, int n)
{
	vec_i		bytes = vec_load_u8(scales + j * LLMK_ROWS, group_stride);

	return vec_and(vec_srl32(bytes, shift), vec_set32((1 << n) - 1));
}

/* low 4 bits and high 2 bits of a scale */
VEC_INLINE vec_i
join_6_bits(vec_i low, vec_i high)
{
	return vec_or(low, vec_sll32(high, 4));
}

/* scale (min 0) or minimum (min 1) of part j of Q4_K and Q5_K; compare k_scale of codes.c, as the next two */
VEC_INLINE vec_f
decode_k_scale(const uint8_t *s, size_t group_stride, int j, int min)
{
	if (j < 4)
		return vec_to_f(scale_bits(s, group_stride, j + 4 * min, 0, 6));
	return vec_to_f(join_6_bits(scale_bits(s, group_stride, j + 4, 4 * min, 4),
								scale_bits(s, group_stride, j - 4 + 4 * min, 6, 2)));
}

VEC_INLINE vec_i
decode_q3_k_scale(const uint8_t *s, size_t group_stride, int j)
{
	vec_i		scale = join_6_bits(scale_bits(s, group_stride, j % 8, 4 * (j / 8), 4),
									scale_bits(s, group_stride, 8 + j % 4, 2 * (j / 4), 2));

	return vec_add32(scale, vec_set32(-32));
}

VEC_INLINE vec_f
decode_iq4_xs_scale(const uint8_t *s, size_t group_stride, int j)
{
	vec_i		scale = join_6_bits(scale_bits(s, group_stride, j / 2, 4 * (j % 2), 4),
									scale_bits(s, group_stride, 4 + j / 4, 2 * (j % 4), 2));

	return vec_to_f(vec_add32(scale, vec_set32(-32)));
}

/* 2^(e - 128): e - 1 is the exponent of the float; for e = 0 and 1 the denormals 1 << 21 and 1 << 22 */
VEC_INLINE vec_f
decode_e8m0(vec_i e)
{
	vec_i		normal = vec_sll32(vec_add32(e, vec_set32(-1)), 23);
	vec_i		denormal = vec_min32(vec_sll32(vec_add32(e, vec_set32(1)), 21), vec_set32(1 << 22));

	return vec_bits_to_f(vec_max32(normal, denormal));
}

/* 4 exponent and 3 mantissa bits, moved to their places in a half, whose exponent means 2^-8 of theirs */
VEC_INLINE vec_f
decode_ue4m3(const uint8_t *s, size_t group_stride, int j)
{
	return vec_mul_f(vec_half_to_f(vec_sll32(scale_bits(s, group_stride, j, 0, 7), 7)), vec_set_f(128.0f));
}

/* scales of Q4_K and Q5_K of a super-block of VEC_GROUPS groups */
typedef struct KScales
{
	_Alignas(64) uint8_t scale[2][4 * VEC_LANES];	/* of parts 0 .. 3 and 4 .. 7; of each group 8 rows of a part */
	_Alignas(64) uint8_t min[2][4 * VEC_LANES];
	vec_f		d;
	vec_f		m;
} KScales;

/* 4 parts at once, compare decode_k_scale */
VEC_INLINE void
decode_k_scales(const LlmType type, const uint8_t *super, size_t group_stride, KScales *k)
{
	const LlmkCodeLayout l = llmk_code_layout(type);
	const uint8_t *s = super + llmk_scales_off(l);
	const uint8_t *halves = super + llmk_halves_off(l);
	const vec_i scale = vec_load(s, group_stride);
	const vec_i min = vec_load(s + 4 * LLMK_ROWS, group_stride);
	const vec_i both = vec_load(s + 8 * LLMK_ROWS, group_stride);
	const vec_i high = vec_set8(48);
	const vec_i low = vec_set8(15);
	const vec_i scales[2] = {vec_and(scale, vec_set8(63)), vec_or(vec_and(both, low), vec_and(vec_srl16(scale, 2), high))};
	const vec_i mins[2] = {vec_and(min, vec_set8(63)),
	vec_or(vec_and(vec_srl16(both, 4), low), vec_and(vec_srl16(min, 2), high))};

	memcpy(k->scale, scales, sizeof(scales));
	memcpy(k->min, mins, sizeof(mins));
	k->d = vec_load_f16(halves, group_stride);
	k->m = vec_mul_f(vec_load_f16(halves + 2 * LLMK_ROWS, group_stride), vec_set_f(-1.0f));
}

/* d and m of a part */
VEC_INLINE void
use_k_scales(const KScales *k, int part, DecodedBlock *block)
{
	const int	at = part % 4 * LLMK_ROWS;

	block->d = vec_mul_f(k->d, vec_to_f(vec_load_u8(k->scale[part / 4] + at, 4 * LLMK_ROWS)));
	block->m = vec_mul_f(k->m, vec_to_f(vec_load_u8(k->min[part / 4] + at, 4 * LLMK_ROWS)));
}

/* scales and minima of part `part` of a block that starts at `super` */
VEC_INLINE void
decode_code_scales(const LlmType type, const uint8_t *super, size_t group_stride, int part, DecodedBlock *block)
{
	const LlmkCodeLayout l = llmk_code_layout(type);
	const uint8_t *s = super + llmk_scales_off(l);
	const uint8_t *halves = super + llmk_halves_off(l);
	int			h;

	if (l.n_halves > 0)
		block->d = vec_load_f16(halves, group_stride);
	if (l.n_halves > 1)
		block->m = vec_mul_f(vec_load_f16(halves + 2 * LLMK_ROWS, group_stride), vec_set_f(-1.0f));
	switch (type)
	{
		case LLM_TYPE_Q4_K:
		case LLM_TYPE_Q5_K:
			block->d = vec_mul_f(block->d, decode_k_scale(s, group_stride, part, 0));
			block->m = vec_mul_f(block->m, decode_k_scale(s, group_stride, part, 1));
			break;
		case LLM_TYPE_IQ4_XS:
			block->d = vec_mul_f(block->d, decode_iq4_xs_scale(s, group_stride, part));
			break;
		case LLM_TYPE_Q2_K:
			for (h = 0; h < 2; h++)
				block->scale[h] = dot_half_scale(scale_bits(s, group_stride, 2 * part + h, 0, 4));
			block->min = vec_or(scale_bits(s, group_stride, 2 * part, 4, 4),
								vec_sll32(scale_bits(s, group_stride, 2 * part + 1, 4, 4), 16));
			break;
		case LLM_TYPE_Q3_K:
			for (h = 0; h < 2; h++)
				block->scale[h] = dot_half_scale(decode_q3_k_scale(s, group_stride, 2 * part + h));
			break;
		case LLM_TYPE_MXFP4:
			block->d = decode_e8m0(vec_load_u8(s, group_stride));
			break;
		case LLM_TYPE_NVFP4:
			for (h = 0; h < 2; h++)
				block->scale[h] = dot_half_scale(vec_set32(1));
			block->d = decode_ue4m3(s, group_stride, 2 * part);
			block->d1 = decode_ue4m3(s, group_stride, 2 * part + 1);
			break;
		default:				/* IQ4_NL, TQ2_0, Q2_0, Q1_0: d alone */
			break;
	}
}

/* block b of a type that has codes */
VEC_INLINE void
decode_code_block(const LlmType type, const uint8_t *group, size_t group_stride, int64_t b, DecodedBlock *block)
{
	static const int8_t fp4_from_below[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};
	const LlmkCodeLayout l = llmk_code_layout(type);
	const uint8_t *super = group + (size_t) (b / l.n_parts) * llmk_code_block_bytes(l);
	const int	part = (int) (b % l.n_parts);
	const uint8_t *codes = super + (size_t) part * llmk_part_bytes(l);
	vec_i		w[8];
	int			k;

	for (k = 0; k < 8; k++)
		w[k] = vec_set32(0);
	if (l.low_bits == 4)
		decode_nibbles(codes, group_stride, w);
	else if (l.low_bits == 2)
		decode_bit_pairs(codes, group_stride, w);
	if (l.high_bits != 0)
		decode_high_bits(codes + l.low_bits * 4 * LLMK_ROWS, group_stride, type == LLM_TYPE_Q1_0 ? 1 : l.low_bits, w);
	if (dot_is_iq4(type))
		dot_iq4_weights(w, block->w);
	else
		for (k = 0; k < 8; k++)
			block->w[k] = type == LLM_TYPE_MXFP4 || type == LLM_TYPE_NVFP4 ? vec_lookup8(fp4_from_below, w[k]) : w[k];
	decode_code_scales(type, super, group_stride, part, block);
}

/* decode block b (32 columns) of the groups at `group` */
VEC_INLINE void
decode_block(const LlmType type, const uint8_t *group, size_t group_stride, int64_t b, DecodedBlock *block)
{
	int			k;

	switch (type)
	{
		case LLM_TYPE_Q4_0:
			block->bytes = group + (size_t) b * sizeof(LlmkPackedQ4_0);
			decode_nibbles(block->bytes, group_stride, block->w);
			block->d = vec_load_f16(block->bytes + offsetof(LlmkPackedQ4_0, d), group_stride);
			break;
		case LLM_TYPE_Q4_1:
			block->bytes = group + (size_t) b * sizeof(LlmkPackedQ4_1);
			decode_nibbles(block->bytes, group_stride, block->w);
			block->d = vec_load_f16(block->bytes + offsetof(LlmkPackedQ4_1, d), group_stride);
			block->m = vec_load_f16(block->bytes + offsetof(LlmkPackedQ4_1, m), group_stride);
			break;
		case LLM_TYPE_Q5_0:
			block->bytes = group + (size_t) b * sizeof(LlmkPackedQ5_0);
			decode_nibbles(block->bytes, group_stride, block->w);
			decode_high_bits(block->bytes + offsetof(LlmkPackedQ5_0, qh), group_stride, 4, block->w);
			block->d = vec_load_f16(block->bytes + offsetof(LlmkPackedQ5_0, d), group_stride);
			break;
		case LLM_TYPE_Q5_1:
			block->bytes = group + (size_t) b * sizeof(LlmkPackedQ5_1);
			decode_nibbles(block->bytes, group_stride, block->w);
			decode_high_bits(block->bytes + offsetof(LlmkPackedQ5_1, qh), group_stride, 4, block->w);
			block->d = vec_load_f16(block->bytes + offsetof(LlmkPackedQ5_1, d), group_stride);
			block->m = vec_load_f16(block->bytes + offsetof(LlmkPackedQ5_1, m), group_stride);
			break;
		case LLM_TYPE_Q8_0:
			block->bytes = group + (size_t) b * sizeof(LlmkPackedQ8_0);
			for (k = 0; k < 8; k++)
				block->w[k] = dot_q8_0_weight(vec_load(block->bytes + 32 * k, group_stride));
			block->d = vec_load_f16(block->bytes + offsetof(LlmkPackedQ8_0, d), group_stride);
			break;
		case LLM_TYPE_Q6_K:
			{
				const uint8_t *super = group + (size_t) (b / 8) * sizeof(LlmkPackedQ6_K);
				const uint8_t *scales = super + offsetof(LlmkPackedQ6_K, scales) + (size_t) (b % 8) * 2 * LLMK_ROWS;

				block->bytes = super + (size_t) (b % 8) * sizeof(LlmkPackedQ6_KPart);
				decode_nibbles(block->bytes, group_stride, block->w);
				decode_upper_bits(block->bytes + offsetof(LlmkPackedQ6_KPart, qh), group_stride, block->w);
				for (k = 0; k < 2; k++)
					block->scale[k] = dot_half_scale(vec_load_i8(scales + k * LLMK_ROWS, group_stride));
				block->d = vec_load_f16(super + offsetof(LlmkPackedQ6_K, d), group_stride);
				break;
			}
		default:
			decode_code_block(type, group, group_stride, b, block);
			break;
	}
}

#endif
