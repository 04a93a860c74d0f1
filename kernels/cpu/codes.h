/*
 * codes.h: blocks of the K types, 4-bit tables and small types in two plain forms, and their packed layout.
 *
 * Codes are what a row's block stores, one byte an element, with its scale bytes untouched; packing spreads them over a
 * group. Numbers are what codes stand for: whole numbers and their scales. They define the matrix product
 * (matmul_generic.c). Other types (IQ1 to IQ3, TQ1_0) are packed byte by byte, and have numbers only ("raw" types).
 */
#ifndef LLMK_CODES_H
#define LLMK_CODES_H

#include "kernels.h"
#include "cpu/packed_formats.h"

typedef struct LlmkCodes
{
	uint8_t		q[LLM_QK_K];
	uint8_t		s[16];			/* scale bytes in the file's order; IQ4_XS: low bits, then high bits */
	uint16_t	d;
	uint16_t	m;
} LlmkCodes;

/* element e is w[e] * d[e / 16] - min[e / 16] * m */
typedef struct LlmkNumbers
{
	int16_t		w[LLM_QK_K];	/* offset applied; times its whole-number scale where scales change within 32 columns */
	float		d[16];
	uint8_t		min[16];
	float		m;
} LlmkNumbers;

/*
 * Packed block of a type with codes: n_parts of 32 columns, each 4 (low_bits 4), 2 or no vectors of low bits, then one of
 * high bits (if any); after the parts the scale bytes, each of 8 rows; then d, then m, of 8 rows. low_bits 4: vector k holds
 * quad k in low nibbles and quad k + 4 in high ones; 2: vector v holds in bits 2i, 2i + 1 quad 4v + i; high bits: bit j
 * belongs to quad j. n_parts 0: the type has no codes.
 */
typedef struct LlmkCodeLayout
{
	int			n_parts;
	int			low_bits;
	int			high_bits;
	int			n_scales;
	int			n_halves;		/* 0, 1: d, 2: d and m */
} LlmkCodeLayout;

/* inline, so that it is a constant where the type is one */
static inline LlmkCodeLayout
llmk_code_layout(LlmType type)
{
	switch (type)
	{
		case LLM_TYPE_Q2_K:
			return (LlmkCodeLayout) {8, 2, 0, 16, 2};
		case LLM_TYPE_Q3_K:
			return (LlmkCodeLayout) {8, 2, 1, 12, 1};
		case LLM_TYPE_Q4_K:
			return (LlmkCodeLayout) {8, 4, 0, 12, 2};
		case LLM_TYPE_Q5_K:
			return (LlmkCodeLayout) {8, 4, 1, 12, 2};
		case LLM_TYPE_IQ4_NL:
			return (LlmkCodeLayout) {1, 4, 0, 0, 1};
		case LLM_TYPE_IQ4_XS:
			return (LlmkCodeLayout) {8, 4, 0, 6, 1};
		case LLM_TYPE_MXFP4:
			return (LlmkCodeLayout) {1, 4, 0, 1, 0};
		case LLM_TYPE_NVFP4:
			return (LlmkCodeLayout) {2, 4, 0, 4, 0};
		case LLM_TYPE_TQ2_0:
			return (LlmkCodeLayout) {8, 2, 0, 0, 1};
		case LLM_TYPE_Q2_0:
			return (LlmkCodeLayout) {2, 2, 0, 0, 1};
		case LLM_TYPE_Q1_0:
			return (LlmkCodeLayout) {4, 0, 1, 0, 1};
		default:
			return (LlmkCodeLayout) {0, 0, 0, 0, 0};
	}
}

/* bytes of a part, of a block; places in a block */
static inline size_t
llmk_part_bytes(LlmkCodeLayout l)
{
	return (size_t) (l.low_bits + l.high_bits) * LLMK_ROWS * 4;
}

static inline size_t
llmk_scales_off(LlmkCodeLayout l)
{
	return (size_t) l.n_parts * llmk_part_bytes(l);
}

static inline size_t
llmk_halves_off(LlmkCodeLayout l)
{
	return llmk_scales_off(l) + (size_t) l.n_scales * LLMK_ROWS;
}

static inline size_t
llmk_code_block_bytes(LlmkCodeLayout l)
{
	return llmk_halves_off(l) + (size_t) l.n_halves * LLMK_ROWS * sizeof(uint16_t);
}

/*
 * Are the sums of a block's two terms joined as whole numbers? The joined sum is at most 32 * |w| * (254 * 127 + 127), with
 * whole-number scales of 16 columns as part of w. It fits 32 bits for |w| up to 2072: the largest is 31 * 62 (IQ3_XXS), but for
 * Q6_K, whose w is up to 32 * 128.
 */
static inline bool
llmk_terms_join(LlmType type)
{
	return type != LLM_TYPE_Q6_K;
}

_Static_assert((int64_t) LLM_QK * 31 * 62 * (LLMK_TERM_RATIO * 127 + 127) <= INT32_MAX, "joined sums of IQ3_XXS");

/* values of the 4-bit codes of IQ4_NL and IQ4_XS; twice those of 4-bit floats (MXFP4, NVFP4) */
extern const int8_t llmk_iq4_values[16];
extern const int8_t llmk_fp4_values[16];

/* codes.c: a block of a file; codes to numbers */
extern void llmk_codes_from_file(LlmType type, const LlmkAnyBlock *b, LlmkCodes *codes);
extern void llmk_numbers_from_codes(LlmType type, const LlmkCodes *codes, LlmkNumbers *numbers);

/* pack_codes.c: to and from row `row` of a packed block */
extern void llmk_codes_to_packed(LlmType type, const LlmkCodes *codes, int row, void *block);
extern void llmk_codes_from_packed(LlmType type, const void *block, int row, LlmkCodes *codes);

/* numbers_raw.c: a block of a raw type */
extern void llmk_numbers_from_raw(LlmType type, const LlmkAnyBlock *b, LlmkNumbers *numbers);

/* pack.c: block i of row `row` of a group, of a type that has codes or is raw */
extern void llmk_numbers_from_group(LlmType type, const void *group, int64_t i, int row, LlmkNumbers *numbers);

/* dequantize.c */
extern void llmk_numbers_to_floats(const LlmkNumbers *numbers, int n, float *out);

#endif
