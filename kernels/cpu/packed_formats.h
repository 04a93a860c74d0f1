/*
 * packed_formats.h: the bytes of packed groups, one struct per block of 8 rows.
 *
 * A vector lane is an output row: a vector of 32 bytes holds, for each of the 8 rows in turn, 4 consecutive columns (a
 * quad), because the byte multiply instructions sum 2 or 4 neighbouring bytes into one lane. Quad j of a block of 32
 * columns is columns 4j .. 4j + 3. Every struct is a multiple of 16 bytes, so all parts stay 16-byte aligned. Types that have
 * no struct here are laid out by codes.h, or byte by byte: byte j of a block beside byte j of the other rows' (llmk_is_raw). Their
 * parts need no alignment.
 *
 * A group is the array of these structs along the columns; for F32 it is float[n_cols][8], for F16 and BF16
 * uint16_t[n_cols][8]. A group has exactly the bytes of its 8 rows in the file.
 */
#ifndef LLMK_PACKED_FORMATS_H
#define LLMK_PACKED_FORMATS_H

#include "kernels.h"

/* qs[k]: low nibbles quad k, high nibbles quad k + 4 */
typedef struct LlmkPackedQ4_0
{
	uint8_t		qs[4][LLMK_ROWS][4];
	uint16_t	d[LLMK_ROWS];
} LlmkPackedQ4_0;

typedef struct LlmkPackedQ4_1
{
	uint8_t		qs[4][LLMK_ROWS][4];
	uint16_t	d[LLMK_ROWS];
	uint16_t	m[LLMK_ROWS];
} LlmkPackedQ4_1;

/* qh: bit j of a byte is the fifth bit of that byte's place in quad j */
typedef struct LlmkPackedQ5_0
{
	uint8_t		qs[4][LLMK_ROWS][4];
	uint8_t		qh[LLMK_ROWS][4];
	uint16_t	d[LLMK_ROWS];
} LlmkPackedQ5_0;

typedef struct LlmkPackedQ5_1
{
	uint8_t		qs[4][LLMK_ROWS][4];
	uint8_t		qh[LLMK_ROWS][4];
	uint16_t	d[LLMK_ROWS];
	uint16_t	m[LLMK_ROWS];
} LlmkPackedQ5_1;

/* qs[j]: quad j */
typedef struct LlmkPackedQ8_0
{
	int8_t		qs[8][LLMK_ROWS][4];
	uint16_t	d[LLMK_ROWS];
} LlmkPackedQ8_0;

/* 32 columns of a Q6_K super-block: ql as in Q4_0; qh[v]: bits 2i and 2i + 1 are the upper bits of quad 4v + i */
typedef struct LlmkPackedQ6_KPart
{
	uint8_t		ql[4][LLMK_ROWS][4];
	uint8_t		qh[2][LLMK_ROWS][4];
} LlmkPackedQ6_KPart;

/* scales[i]: of columns 16i .. 16i + 15 */
typedef struct LlmkPackedQ6_K
{
	LlmkPackedQ6_KPart part[8];
	int8_t		scales[16][LLMK_ROWS];
	uint16_t	d[LLMK_ROWS];
} LlmkPackedQ6_K;

/* one block of any type, as the file holds it */
typedef union LlmkAnyBlock
{
	float		f32;
	uint16_t	u16;
	LlmBlockQ4_0 q4_0;
	LlmBlockQ4_1 q4_1;
	LlmBlockQ5_0 q5_0;
	LlmBlockQ5_1 q5_1;
	LlmBlockQ8_0 q8_0;
	LlmBlockQ6_K q6_k;
	LlmBlockQ2_K q2_k;
	LlmBlockQ3_K q3_k;
	LlmBlockQ4_K q4_k;
	LlmBlockQ5_K q5_k;
	LlmBlockIQ4_NL iq4_nl;
	LlmBlockIQ4_XS iq4_xs;
	LlmBlockMXFP4 mxfp4;
	LlmBlockNVFP4 nvfp4;
	LlmBlockQ1_0 q1_0;
	LlmBlockQ2_0 q2_0;
	LlmBlockTQ1_0 tq1_0;
	LlmBlockTQ2_0 tq2_0;
	LlmBlockIQ1_S iq1_s;
	LlmBlockIQ1_M iq1_m;
	LlmBlockIQ2_XXS iq2_xxs;
	LlmBlockIQ2_XS iq2_xs;
	LlmBlockIQ2_S iq2_s;
	LlmBlockIQ3_XXS iq3_xxs;
	LlmBlockIQ3_S iq3_s;
} LlmkAnyBlock;

_Static_assert(sizeof(LlmkPackedQ4_0) == 8 * sizeof(LlmBlockQ4_0), "packed Q4_0");
_Static_assert(sizeof(LlmkPackedQ4_1) == 8 * sizeof(LlmBlockQ4_1), "packed Q4_1");
_Static_assert(sizeof(LlmkPackedQ5_0) == 8 * sizeof(LlmBlockQ5_0), "packed Q5_0");
_Static_assert(sizeof(LlmkPackedQ5_1) == 8 * sizeof(LlmBlockQ5_1), "packed Q5_1");
_Static_assert(sizeof(LlmkPackedQ8_0) == 8 * sizeof(LlmBlockQ8_0), "packed Q8_0");
_Static_assert(sizeof(LlmkPackedQ6_K) == 8 * sizeof(LlmBlockQ6_K), "packed Q6_K");

#endif
