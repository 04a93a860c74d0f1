/*
 * block_formats.h: element types of tensors and the byte layout of quantized blocks as GGUF files hold them.
 *
 * Shared by the CPU and GPU kernels and by the readers. A block is a run of `block_len` consecutive elements of one
 * row; d and m are IEEE half-precision scales. Type numbers are those of GGUF.
 * Source: the GGUF specification (ggml/docs/gguf.md) and ggml/src/ggml-common.h.
 */
#ifndef LLMK_BLOCK_FORMATS_H
#define LLMK_BLOCK_FORMATS_H

#include <stdint.h>
#include <stddef.h>

typedef enum LlmType
{
	LLM_TYPE_F32 = 0,
	LLM_TYPE_F16 = 1,
	LLM_TYPE_Q4_0 = 2,
	LLM_TYPE_Q4_1 = 3,
	LLM_TYPE_Q5_0 = 6,
	LLM_TYPE_Q5_1 = 7,
	LLM_TYPE_Q8_0 = 8,
	LLM_TYPE_Q8_1 = 9,
	LLM_TYPE_Q2_K = 10,
	LLM_TYPE_Q3_K = 11,
	LLM_TYPE_Q4_K = 12,
	LLM_TYPE_Q5_K = 13,
	LLM_TYPE_Q6_K = 14,
	LLM_TYPE_Q8_K = 15,
	LLM_TYPE_IQ2_XXS = 16,
	LLM_TYPE_IQ2_XS = 17,
	LLM_TYPE_IQ3_XXS = 18,
	LLM_TYPE_IQ1_S = 19,
	LLM_TYPE_IQ4_NL = 20,
	LLM_TYPE_IQ3_S = 21,
	LLM_TYPE_IQ2_S = 22,
	LLM_TYPE_IQ4_XS = 23,
	LLM_TYPE_I8 = 24,
	LLM_TYPE_I16 = 25,
	LLM_TYPE_I32 = 26,
	LLM_TYPE_I64 = 27,
	LLM_TYPE_F64 = 28,
	LLM_TYPE_IQ1_M = 29,
	LLM_TYPE_BF16 = 30,
	LLM_TYPE_TQ1_0 = 34,
	LLM_TYPE_TQ2_0 = 35,
	LLM_TYPE_MXFP4 = 39,
	LLM_TYPE_NVFP4 = 40,
	LLM_TYPE_Q1_0 = 41,
	LLM_TYPE_Q2_0 = 42,
	LLM_TYPE_COUNT = 48			/* array bound; numbers without a name above are unknown */
} LlmType;

#define LLM_QK 32				/* elements of a simple block, and of a block of quantized activations */
#define LLM_QK_K 256			/* elements of a super-block */

typedef struct LlmBlockQ4_0
{
	uint16_t	d;
	uint8_t		qs[16];			/* low nibbles: elements 0..15, high nibbles: 16..31; value (q - 8) * d */
} LlmBlockQ4_0;

typedef struct LlmBlockQ4_1
{
	uint16_t	d;
	uint16_t	m;
	uint8_t		qs[16];			/* nibbles as in Q4_0; value q * d + m */
} LlmBlockQ4_1;

typedef struct LlmBlockQ5_0
{
	uint16_t	d;
	uint8_t		qh[4];			/* bit i: fifth bit of element i, little-endian */
	uint8_t		qs[16];			/* value (q - 16) * d */
} LlmBlockQ5_0;

typedef struct LlmBlockQ5_1
{
	uint16_t	d;
	uint16_t	m;
	uint8_t		qh[4];
	uint8_t		qs[16];			/* value q * d + m */
} LlmBlockQ5_1;

typedef struct LlmBlockQ8_0
{
	uint16_t	d;
	int8_t		qs[32];			/* value q * d */
} LlmBlockQ8_0;

typedef struct LlmBlockQ6_K
{
	uint8_t		ql[128];		/* low 4 bits */
	uint8_t		qh[64];			/* high 2 bits */
	int8_t		scales[16];		/* one per 16 elements; value (q - 32) * scale * d */
	uint16_t	d;
} LlmBlockQ6_K;

/* the 6-bit scale and minimum of each 32 columns lie in 12 bytes: k_scale of codes.c */
typedef struct LlmBlockQ4_K
{
	uint16_t	d;
	uint16_t	dmin;
	uint8_t		scales[12];
	uint8_t		qs[128];		/* of each 64 elements 32 bytes: low nibbles first; value q * (scale * d) - min * dmin */
} LlmBlockQ4_K;

typedef struct LlmBlockQ5_K
{
	uint16_t	d;
	uint16_t	dmin;
	uint8_t		scales[12];
	uint8_t		qh[32];			/* bit i of byte l: fifth bit of element 32 i + l */
	uint8_t		qs[128];		/* as in Q4_K */
} LlmBlockQ5_K;

typedef struct LlmBlockQ2_K
{
	uint8_t		scales[16];		/* one per 16 elements: low nibble scale, high nibble minimum */
	uint8_t		qs[64];			/* element 128 h + 32 j + l: bits 2j, 2j + 1 of byte 32 h + l */
	uint16_t	d;
	uint16_t	dmin;			/* value q * (scale * d) - min * dmin */
} LlmBlockQ2_K;

typedef struct LlmBlockQ3_K
{
	uint8_t		hmask[32];		/* bit i of byte l: third bit of element 32 i + l */
	uint8_t		qs[64];			/* low two bits, as in Q2_K */
	uint8_t		scales[12];		/* 6 bits per 16 elements: q3_k_scale of codes.c */
	uint16_t	d;				/* value (q - 4) * (scale - 32) * d */
} LlmBlockQ3_K;

typedef struct LlmBlockIQ4_NL
{
	uint16_t	d;
	uint8_t		qs[16];			/* nibbles as in Q4_0; value llmk_iq4_values[q] * d */
} LlmBlockIQ4_NL;

typedef struct LlmBlockIQ4_XS
{
	uint16_t	d;
	uint8_t		scales_h[2];	/* two high bits of the scale of each 32 elements */
	uint8_t		scales_l[4];	/* four low bits */
	uint8_t		qs[128];		/* of each 32 elements 16 bytes as in IQ4_NL; value table[q] * (scale - 32) * d */
} LlmBlockIQ4_XS;

typedef struct LlmBlockMXFP4
{
	uint8_t		e;				/* scale 2^(e - 128) */
	uint8_t		qs[16];			/* nibbles as in Q4_0; value llmk_fp4_values[q] * scale */
} LlmBlockMXFP4;

typedef struct LlmBlockNVFP4
{
	uint8_t		d[4];			/* scale of each 16 elements: a float of 4 exponent and 3 mantissa bits, halved */
	uint8_t		qs[32];			/* of each 16 elements 8 bytes: low nibbles first; value llmk_fp4_values[q] * scale */
} LlmBlockNVFP4;

typedef struct LlmBlockQ1_0
{
	uint16_t	d;
	uint8_t		qs[16];			/* element i: bit i; value d if set, else -d */
} LlmBlockQ1_0;

typedef struct LlmBlockQ2_0
{
	uint16_t	d;
	uint8_t		qs[16];			/* element i: bits 2 (i mod 4) of byte i / 4; value (q - 1) * d */
} LlmBlockQ2_0;

typedef struct LlmBlockTQ1_0
{
	uint8_t		qs[48];			/* five digits of base 3 a byte, see numbers_raw.c; value (digit - 1) * d */
	uint8_t		qh[4];			/* four digits */
	uint16_t	d;
} LlmBlockTQ1_0;

typedef struct LlmBlockTQ2_0
{
	uint8_t		qs[64];			/* as in Q2_K; value (q - 1) * d */
	uint16_t	d;
} LlmBlockTQ2_0;

/* the IQ types take 8 or 4 elements at once from tables (iq_grids.h); how, is said in numbers_raw.c */
typedef struct LlmBlockIQ1_S
{
	uint16_t	d;
	uint8_t		qs[32];
	uint16_t	qh[8];
} LlmBlockIQ1_S;

typedef struct LlmBlockIQ1_M
{
	uint8_t		qs[32];
	uint8_t		qh[16];
	uint8_t		scales[8];		/* the half-precision scale of all is spread over high nibbles */
} LlmBlockIQ1_M;

typedef struct LlmBlockIQ2_XXS
{
	uint16_t	d;
	uint8_t		qs[64];
} LlmBlockIQ2_XXS;

typedef struct LlmBlockIQ2_XS
{
	uint16_t	d;
	uint16_t	qs[32];
	uint8_t		scales[8];
} LlmBlockIQ2_XS;

typedef struct LlmBlockIQ2_S
{
	uint16_t	d;
	uint8_t		qs[32];
	uint8_t		signs[32];
	uint8_t		qh[8];
	uint8_t		scales[8];
} LlmBlockIQ2_S;

typedef struct LlmBlockIQ3_XXS
{
	uint16_t	d;
	uint8_t		qs[64];
	uint8_t		scales_signs[32];
} LlmBlockIQ3_XXS;

typedef struct LlmBlockIQ3_S
{
	uint16_t	d;
	uint8_t		qs[64];
	uint8_t		qh[8];
	uint8_t		signs[32];
	uint8_t		scales[4];
} LlmBlockIQ3_S;

_Static_assert(sizeof(LlmBlockQ4_0) == 18, "Q4_0 block");
_Static_assert(sizeof(LlmBlockQ4_1) == 20, "Q4_1 block");
_Static_assert(sizeof(LlmBlockQ5_0) == 22, "Q5_0 block");
_Static_assert(sizeof(LlmBlockQ5_1) == 24, "Q5_1 block");
_Static_assert(sizeof(LlmBlockQ8_0) == 34, "Q8_0 block");
_Static_assert(sizeof(LlmBlockQ6_K) == 210, "Q6_K block");
_Static_assert(sizeof(LlmBlockQ2_K) == 84, "Q2_K block");
_Static_assert(sizeof(LlmBlockQ3_K) == 110, "Q3_K block");
_Static_assert(sizeof(LlmBlockQ4_K) == 144, "Q4_K block");
_Static_assert(sizeof(LlmBlockQ5_K) == 176, "Q5_K block");
_Static_assert(sizeof(LlmBlockIQ4_NL) == 18, "IQ4_NL block");
_Static_assert(sizeof(LlmBlockIQ4_XS) == 136, "IQ4_XS block");
_Static_assert(sizeof(LlmBlockMXFP4) == 17, "MXFP4 block");
_Static_assert(sizeof(LlmBlockNVFP4) == 36, "NVFP4 block");
_Static_assert(sizeof(LlmBlockQ1_0) == 18, "Q1_0 block");
_Static_assert(sizeof(LlmBlockQ2_0) == 18, "Q2_0 block");
_Static_assert(sizeof(LlmBlockTQ1_0) == 54, "TQ1_0 block");
_Static_assert(sizeof(LlmBlockTQ2_0) == 66, "TQ2_0 block");
_Static_assert(sizeof(LlmBlockIQ1_S) == 50, "IQ1_S block");
_Static_assert(sizeof(LlmBlockIQ1_M) == 56, "IQ1_M block");
_Static_assert(sizeof(LlmBlockIQ2_XXS) == 66, "IQ2_XXS block");
_Static_assert(sizeof(LlmBlockIQ2_XS) == 74, "IQ2_XS block");
_Static_assert(sizeof(LlmBlockIQ2_S) == 82, "IQ2_S block");
_Static_assert(sizeof(LlmBlockIQ3_XXS) == 98, "IQ3_XXS block");
_Static_assert(sizeof(LlmBlockIQ3_S) == 110, "IQ3_S block");

/*
 * What is known of a type: its name, elements and bytes of a block (0 bytes: not a type that a file may hold),
 * and whether this version computes with it.
 */
typedef struct LlmTypeInfo
{
	const char *name;			/* NULL: no such type */
	int			block_len;
	int			block_bytes;
	int			decoded;		/* 1: kernels exist */
	int			quantized;		/* 1: multiplies activations quantized to 8 bits; 0: multiplies F32 activations */
} LlmTypeInfo;

/* llmk_type_info: facts about a type number taken from a file; NULL if the number has no name. */
extern const LlmTypeInfo *llmk_type_info(uint32_t type);

#endif
