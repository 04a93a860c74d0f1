/*
 * codes.c: from the blocks of a file to codes, and from codes to the numbers that they stand for (codes.h).
 *
 * Source of the layouts: ggml/src/ggml-common.h and ggml-quants.c.
 */
#include <string.h>

#include "cpu/codes.h"
#include "cpu/half.h"

const int8_t llmk_iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
const int8_t llmk_fp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/*
 * These run for every weight when a model is packed: loops without a branch or division, which compilers turn into vectors.
 */

/* runs of `run` bytes, each of which holds 2 * run elements: the low nibbles first */
static inline void
nibbles(const uint8_t *qs, int n_bytes, const int run, uint8_t *q)
{
	for (int i = 0; i < n_bytes; i += run, q += 2 * run)
	{
		for (int l = 0; l < run; l++)
			q[l] = qs[i + l] & 15;
		for (int l = 0; l < run; l++)
			q[run + l] = qs[i + l] >> 4;
	}
}

/* bits 2j, 2j + 1 of byte 32 h + l are those of element 128 h + 32 j + l */
static void
bit_pairs(const uint8_t *qs, uint8_t *q)
{
	for (int i = 0; i < LLM_QK_K / 32; i++)
		for (int l = 0; l < 32; l++)
			q[32 * i + l] = qs[i / 4 * 32 + l] >> (2 * (i % 4)) & 3;
}

/* bit i of byte l belongs to element 32 i + l; it becomes bit `to` of the code */
static void
high_bits(const uint8_t *qh, int to, uint8_t *q)
{
	for (int i = 0; i < LLM_QK_K / 32; i++)
		for (int l = 0; l < 32; l++)
			q[32 * i + l] |= (uint8_t) ((qh[l] >> i & 1) << to);
}

/*
 * llmk_codes_from_file: a block in file form to codes; type is one that has a code layout.
 */
void
llmk_codes_from_file(LlmType type, const LlmkAnyBlock *b, LlmkCodes *codes)
{
	int			e;

	switch (type)
	{
		case LLM_TYPE_Q2_K:
			bit_pairs(b->q2_k.qs, codes->q);
			memcpy(codes->s, b->q2_k.scales, 16);
			codes->d = b->q2_k.d;
			codes->m = b->q2_k.dmin;
			break;
		case LLM_TYPE_Q3_K:
			bit_pairs(b->q3_k.qs, codes->q);
			high_bits(b->q3_k.hmask, 2, codes->q);
			memcpy(codes->s, b->q3_k.scales, 12);
			codes->d = b->q3_k.d;
			break;
		case LLM_TYPE_Q4_K:
			nibbles(b->q4_k.qs, 128, 32, codes->q);
			memcpy(codes->s, b->q4_k.scales, 12);
			codes->d = b->q4_k.d;
			codes->m = b->q4_k.dmin;
			break;
		case LLM_TYPE_Q5_K:
			nibbles(b->q5_k.qs, 128, 32, codes->q);
			high_bits(b->q5_k.qh, 4, codes->q);
			memcpy(codes->s, b->q5_k.scales, 12);
			codes->d = b->q5_k.d;
			codes->m = b->q5_k.dmin;
			break;
		case LLM_TYPE_IQ4_NL:
			nibbles(b->iq4_nl.qs, 16, 16, codes->q);
			codes->d = b->iq4_nl.d;
			break;
		case LLM_TYPE_IQ4_XS:
			nibbles(b->iq4_xs.qs, 128, 16, codes->q);
			memcpy(codes->s, b->iq4_xs.scales_l, 4);
			memcpy(codes->s + 4, b->iq4_xs.scales_h, 2);
			codes->d = b->iq4_xs.d;
			break;
		case LLM_TYPE_MXFP4:
			nibbles(b->mxfp4.qs, 16, 16, codes->q);
			codes->s[0] = b->mxfp4.e;
			break;
		case LLM_TYPE_NVFP4:
			nibbles(b->nvfp4.qs, 32, 8, codes->q);
			/* 127 is the NaN of this float, which stands for 0; written as 0, so that levels need not look for it */
			for (e = 0; e < 4; e++)
				codes->s[e] = b->nvfp4.d[e] == 127 ? 0 : b->nvfp4.d[e];
			break;
		case LLM_TYPE_TQ2_0:
			bit_pairs(b->tq2_0.qs, codes->q);
			codes->d = b->tq2_0.d;
			break;
		case LLM_TYPE_Q2_0:
			for (e = 0; e < 64; e++)
				codes->q[e] = b->q2_0.qs[e / 4] >> (2 * (e % 4)) & 3;
			codes->d = b->q2_0.d;
			break;
		default:				/* Q1_0 */
			for (e = 0; e < 128; e++)
				codes->q[e] = b->q1_0.qs[e / 8] >> (e % 8) & 1;
			codes->d = b->q1_0.d;
			break;
	}
}

/* 6-bit scale (min 0) or minimum (min 1) j of 8, of Q4_K and Q5_K */
static int
k_scale(const uint8_t *s, int j, int min)
{
	if (j < 4)
		return s[j + 4 * min] & 63;
	return (s[j + 4] >> (4 * min) & 15) | s[j - 4 + 4 * min] >> 6 << 4;
}

/* 6-bit scale j of 16, of Q3_K */
static int
q3_k_scale(const uint8_t *s, int j)
{
	return ((s[j % 8] >> (4 * (j / 8)) & 15) | (s[8 + j % 4] >> (2 * (j / 4)) & 3) << 4) - 32;
}

static int
iq4_xs_scale(const uint8_t *s, int j)
{
	return ((s[j / 2] >> (4 * (j % 2)) & 15) | (s[4 + j / 4] >> (2 * (j % 4)) & 3) << 4) - 32;
}

/* 2^(e - 128), which for e < 2 is denormal */
static float
e8m0_half(uint8_t e)
{
	return llmk_bits_to_float(e < 2 ? 0x00200000u << e : (uint32_t) (e - 1) << 23);
}

/* half the unsigned 8-bit float */
static float
ue4m3_half(uint8_t x)
{
	return llmk_half_inline((uint16_t) ((x & 127) << 7)) * 128.0f;
}

static void
fill_w(const LlmkCodes *codes, int n, const int8_t *values, int offset, int16_t *w)
{
	int			e;

	for (e = 0; e < n; e++)
		w[e] = (int16_t) (values != NULL ? values[codes->q[e]] : codes->q[e] - offset);
}

/* scales and minima of the K types; i: of 16 columns */
static void
k_scales(LlmType type, const LlmkCodes *codes, LlmkNumbers *numbers)
{
	float		d = llmk_half_inline(codes->d);
	int			i;
	int			e;

	for (i = 0; i < 16; i++)
	{
		int			scale = 1;

		switch (type)
		{
			case LLM_TYPE_Q2_K:
				scale = codes->s[i] & 15;
				numbers->min[i] = codes->s[i] >> 4;
				break;
			case LLM_TYPE_Q3_K:
				scale = q3_k_scale(codes->s, i);
				break;
			default:			/* Q4_K, Q5_K, IQ4_XS: one scale for 32 columns joins d */
				break;
		}
		for (e = 16 * i; e < 16 * i + 16; e++)
			numbers->w[e] = (int16_t) (numbers->w[e] * scale);
		numbers->d[i] = d;
		if (type == LLM_TYPE_IQ4_XS)
			numbers->d[i] = d * (float) iq4_xs_scale(codes->s, i / 2);
		if (type == LLM_TYPE_Q4_K || type == LLM_TYPE_Q5_K)
		{
			numbers->d[i] = d * (float) k_scale(codes->s, i / 2, 0);
			numbers->min[i] = (uint8_t) k_scale(codes->s, i / 2, 1);
		}
	}
	if (llmk_code_layout(type).n_halves == 2)
		numbers->m = llmk_half_inline(codes->m);
}

/*
 * llmk_numbers_from_codes: what the codes of a block stand for. Every product in it is exact.
 */
void
llmk_numbers_from_codes(LlmType type, const LlmkCodes *codes, LlmkNumbers *numbers)
{
	const int	n = llmk_code_layout(type).n_parts * LLM_QK;
	int			i;

	numbers->m = 0.0f;
	memset(numbers->min, 0, sizeof(numbers->min));
	switch (type)
	{
		case LLM_TYPE_Q2_K:
		case LLM_TYPE_Q4_K:
		case LLM_TYPE_Q5_K:
			fill_w(codes, n, NULL, 0, numbers->w);
			k_scales(type, codes, numbers);
			return;
		case LLM_TYPE_Q3_K:
			fill_w(codes, n, NULL, 4, numbers->w);
			k_scales(type, codes, numbers);
			return;
		case LLM_TYPE_IQ4_XS:
			fill_w(codes, n, llmk_iq4_values, 0, numbers->w);
			k_scales(type, codes, numbers);
			return;
		case LLM_TYPE_IQ4_NL:
			fill_w(codes, n, llmk_iq4_values, 0, numbers->w);
			break;
		case LLM_TYPE_MXFP4:
		case LLM_TYPE_NVFP4:
			fill_w(codes, n, llmk_fp4_values, 0, numbers->w);
			for (i = 0; i < n / 16; i++)
				numbers->d[i] = type == LLM_TYPE_NVFP4 ? ue4m3_half(codes->s[i]) : e8m0_half(codes->s[0]);
			return;
		case LLM_TYPE_Q1_0:
			for (i = 0; i < n; i++)
				numbers->w[i] = codes->q[i] ? 1 : -1;
			break;
		default:				/* TQ2_0, Q2_0 */
			fill_w(codes, n, NULL, 1, numbers->w);
			break;
	}
	for (i = 0; i < n / 16; i++)
		numbers->d[i] = llmk_half_inline(codes->d);
}
