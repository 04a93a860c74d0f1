/*
 * dequantize.c: the values that a file's blocks stand for, in plain C: the reference for all kernels.
 *
 * Each value is computed in F32 by the expression that the block's comment in block_formats.h gives, rounded once.
 */
#include "kernels.h"
#include "cpu/codes.h"
#include "cpu/half.h"

static void
dequantize_q4_0(const LlmBlockQ4_0 *b, float *out)
{
	float		d = llmk_half_inline(b->d);
	int			i;

	for (i = 0; i < 16; i++)
	{
		out[i] = (float) ((b->qs[i] & 15) - 8) * d;
		out[i + 16] = (float) ((b->qs[i] >> 4) - 8) * d;
	}
}

static void
dequantize_q4_1(const LlmBlockQ4_1 *b, float *out)
{
	float		d = llmk_half_inline(b->d);
	float		m = llmk_half_inline(b->m);
	int			i;

	/* the product is exact: 4 by 11 bits */
	for (i = 0; i < 16; i++)
	{
		out[i] = (float) (b->qs[i] & 15) * d + m;
		out[i + 16] = (float) (b->qs[i] >> 4) * d + m;
	}
}

static int
fifth_bit(const uint8_t *qh, int i)
{
	return (qh[i / 8] >> (i % 8) & 1) << 4;
}

static void
dequantize_q5_0(const LlmBlockQ5_0 *b, float *out)
{
	float		d = llmk_half_inline(b->d);
	int			i;

	for (i = 0; i < 16; i++)
	{
		out[i] = (float) (((b->qs[i] & 15) | fifth_bit(b->qh, i)) - 16) * d;
		out[i + 16] = (float) (((b->qs[i] >> 4) | fifth_bit(b->qh, i + 16)) - 16) * d;
	}
}

static void
dequantize_q5_1(const LlmBlockQ5_1 *b, float *out)
{
	float		d = llmk_half_inline(b->d);
	float		m = llmk_half_inline(b->m);
	int			i;

	for (i = 0; i < 16; i++)
	{
		out[i] = (float) ((b->qs[i] & 15) | fifth_bit(b->qh, i)) * d + m;
		out[i + 16] = (float) ((b->qs[i] >> 4) | fifth_bit(b->qh, i + 16)) * d + m;
	}
}

static void
dequantize_q8_0(const LlmBlockQ8_0 *b, float *out)
{
	float		d = llmk_half_inline(b->d);
	int			i;

	for (i = 0; i < LLM_QK; i++)
		out[i] = (float) b->qs[i] * d;
}

/*
 * Element e = 128 h + 32 j + l has its low bits in ql[64 h + 32 (j & 1) + l], low nibble for j < 2, and its high bits in
 * qh[32 h + l] at bit 2 j.
 */
static void
dequantize_q6_k(const LlmBlockQ6_K *b, float *out)
{
	float		d = llmk_half_inline(b->d);
	int			e;

	for (e = 0; e < LLM_QK_K; e++)
	{
		int			h = e / 128;
		int			j = e / 32 % 4;
		int			l = e % 32;
		int			low = b->ql[64 * h + 32 * (j & 1) + l] >> (j < 2 ? 0 : 4) & 15;
		int			high = b->qh[32 * h + l] >> (2 * j) & 3;

		out[e] = d * (float) b->scales[e / 16] * (float) ((low | high << 4) - 32);
	}
}

/*
 * llmk_numbers_to_floats: the first n elements of a block. Only the difference is rounded; without minima nothing is.
 */
void
llmk_numbers_to_floats(const LlmkNumbers *numbers, int n, float *out)
{
	int			e;

	for (e = 0; e < n; e++)
		out[e] = (float) numbers->w[e] * numbers->d[e / 16] - (float) numbers->min[e / 16] * numbers->m;
}

/*
 * llmk_dequantize: n elements of a row in file form to F32.
 *
 * n is a multiple of the type's block length; blocks need no alignment. A type without kernels leaves out untouched.
 */
void
llmk_dequantize(LlmType type, const void *blocks, int64_t n, float *out)
{
	const LlmTypeInfo *info = llmk_type_info(type);
	const uint8_t *src = blocks;
	LlmkAnyBlock b;
	int64_t		i;

	if (info == NULL || !info->decoded)
		return;
	for (i = 0; i < n; i += info->block_len, src += info->block_bytes)
	{
		memcpy(&b, src, (size_t) info->block_bytes);
		switch (type)
		{
			case LLM_TYPE_F32:
				out[i] = b.f32;
				break;
			case LLM_TYPE_F16:
				out[i] = llmk_half_inline(b.u16);
				break;
			case LLM_TYPE_BF16:
				out[i] = llmk_bf16_inline(b.u16);
				break;
			case LLM_TYPE_Q4_0:
				dequantize_q4_0(&b.q4_0, out + i);
				break;
			case LLM_TYPE_Q4_1:
				dequantize_q4_1(&b.q4_1, out + i);
				break;
			case LLM_TYPE_Q5_0:
				dequantize_q5_0(&b.q5_0, out + i);
				break;
			case LLM_TYPE_Q5_1:
				dequantize_q5_1(&b.q5_1, out + i);
				break;
			case LLM_TYPE_Q8_0:
				dequantize_q8_0(&b.q8_0, out + i);
				break;
			case LLM_TYPE_Q6_K:
				dequantize_q6_k(&b.q6_k, out + i);
				break;
			default:
				{
					LlmkCodes	codes;
					LlmkNumbers numbers;

					if (llmk_is_raw(type))
						llmk_numbers_from_raw(type, &b, &numbers);
					else
					{
						llmk_codes_from_file(type, &b, &codes);
						llmk_numbers_from_codes(type, &codes, &numbers);
					}
					llmk_numbers_to_floats(&numbers, info->block_len, out + i);
					break;
				}
		}
	}
}
