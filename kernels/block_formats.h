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

_Static_assert(sizeof(LlmBlockQ4_0) == 18, "Q4_0 block");
_Static_assert(sizeof(LlmBlockQ4_1) == 20, "Q4_1 block");
_Static_assert(sizeof(LlmBlockQ5_0) == 22, "Q5_0 block");
_Static_assert(sizeof(LlmBlockQ5_1) == 24, "Q5_1 block");
_Static_assert(sizeof(LlmBlockQ8_0) == 34, "Q8_0 block");
_Static_assert(sizeof(LlmBlockQ6_K) == 210, "Q6_K block");

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
