/*
 * matmul_generic.c: the matrix product in plain C, and with it the definition of its numbers for all levels.
 *
 * Float weights (F32, F16, BF16), every output by itself, columns ascending, starting from 0:
 *     acc = fmaf(w[c], x[c], acc)
 *
 * Quantized weights, blocks b of 32 columns ascending, for each its first term and then its second, if it has one,
 * starting from 0:
 *     isum = sum over the block of weight * q, exact in 32-bit integers; a weight is its stored number less its offset
 *            (8, 16 and 32 for Q4_0, Q5_0, Q6_K), for Q6_K times its 8-bit scale: at most 32 * 128 * 127 * 32 < 2^24
 *     acc = fmaf((float) isum, w_d * a_d, acc)
 * and for types with a minimum (Q4_1, Q5_1), with asum the exact sum of the block's q:
 *     acc = fmaf(w_m, a_d * (float) asum, acc)
 * w_d and w_m are the half-precision scales as F32, a_d the scale of the activations; each product is rounded once.
 *
 * A level may compute isum in any way, as it is exact, but q must be in -127 .. 127, as quantize makes it. A NaN in
 * weights or activations gives a NaN; which of its bit patterns is not defined.
 */
#include <math.h>

#include "cpu/get_row.h"
#include "cpu/half.h"
#include "cpu/levels.h"
#include "cpu/packed_formats.h"

/* tokens that share one decoding of the weights */
#define TILE_TOKENS 8

/* 32 columns of a group, decoded: w includes offset and 8-bit scale */
typedef struct DecodedBlock
{
	int16_t		w[LLM_QK][LLMK_ROWS];
	float		d[LLMK_ROWS];
	float		m[LLMK_ROWS];
} DecodedBlock;

static void
decode_halves(const uint16_t *src, float *dst)
{
	int			r;

	for (r = 0; r < LLMK_ROWS; r++)
		dst[r] = llmk_half_inline(src[r]);
}

/* nibbles (and fifth bits, if qh is not NULL) less offset */
static void
decode_nibbles(const uint8_t qs[4][LLMK_ROWS][4], const uint8_t (*qh)[4], int offset, DecodedBlock *block)
{
	int			c;
	int			r;

	for (c = 0; c < LLM_QK; c++)
		for (r = 0; r < LLMK_ROWS; r++)
		{
			int			value = qs[c / 4 % 4][r][c % 4] >> (c < 16 ? 0 : 4) & 15;

			if (qh != NULL)
				value |= (qh[r][c % 4] >> (c / 4) & 1) << 4;
			block->w[c][r] = (int16_t) (value - offset);
		}
}

static void
decode_q6_k(const LlmkPackedQ6_K *super, int part_index, DecodedBlock *block)
{
	const LlmkPackedQ6_KPart *part = &super->part[part_index];
	int			c;
	int			r;

	for (c = 0; c < LLM_QK; c++)
		for (r = 0; r < LLMK_ROWS; r++)
		{
			int			low = part->ql[c / 4 % 4][r][c % 4] >> (c < 16 ? 0 : 4) & 15;
			int			high = part->qh[c / 16][r][c % 4] >> (2 * (c / 4 % 4)) & 3;

			block->w[c][r] = (int16_t) (((low | high << 4) - 32) * super->scales[2 * part_index + c / 16][r]);
		}
	decode_halves(super->d, block->d);
}

/* decode columns 32 b .. 32 b + 31 of a group; true if the type has minima */
static bool
decode_block(LlmType type, const uint8_t *group, int64_t b, DecodedBlock *block)
{
	int			c;
	int			r;

	switch (type)
	{
		case LLM_TYPE_Q4_0:
			{
				const LlmkPackedQ4_0 *src = (const LlmkPackedQ4_0 *) group + b;

				decode_nibbles(src->qs, NULL, 8, block);
				decode_halves(src->d, block->d);
				return false;
			}
		case LLM_TYPE_Q4_1:
			{
				const LlmkPackedQ4_1 *src = (const LlmkPackedQ4_1 *) group + b;

				decode_nibbles(src->qs, NULL, 0, block);
				decode_halves(src->d, block->d);
				decode_halves(src->m, block->m);
				return true;
			}
		case LLM_TYPE_Q5_0:
			{
				const LlmkPackedQ5_0 *src = (const LlmkPackedQ5_0 *) group + b;

				decode_nibbles(src->qs, src->qh, 16, block);
				decode_halves(src->d, block->d);
				return false;
			}
		case LLM_TYPE_Q5_1:
			{
				const LlmkPackedQ5_1 *src = (const LlmkPackedQ5_1 *) group + b;

				decode_nibbles(src->qs, src->qh, 0, block);
				decode_halves(src->d, block->d);
				decode_halves(src->m, block->m);
				return true;
			}
		case LLM_TYPE_Q8_0:
			{
				const LlmkPackedQ8_0 *src = (const LlmkPackedQ8_0 *) group + b;

				for (c = 0; c < LLM_QK; c++)
					for (r = 0; r < LLMK_ROWS; r++)
						block->w[c][r] = src->qs[c / 4][r][c % 4];
				decode_halves(src->d, block->d);
				return false;
			}
		default:				/* Q6_K, the only other type in the table */
			decode_q6_k((const LlmkPackedQ6_K *) group + b / 8, (int) (b % 8), block);
			return false;
	}
}

/* add one term of a block to the 8 outputs of one token; at: block of the activations */
static void
add_term(const DecodedBlock *block, bool has_min, const LlmkTerm *term, int64_t at, float *acc)
{
	const int8_t *q = term->q + LLM_QK * at;
	int32_t		isum[LLMK_ROWS] = {0};
	float		a_d = term->d[at];
	float		a_m = a_d * (float) (term->s[2 * at] + term->s[2 * at + 1]);
	int			c;
	int			r;

	for (c = 0; c < LLM_QK; c++)
		for (r = 0; r < LLMK_ROWS; r++)
			isum[r] += block->w[c][r] * q[c];
	for (r = 0; r < LLMK_ROWS; r++)
		acc[r] = fmaf((float) isum[r], block->d[r] * a_d, acc[r]);
	if (has_min)
		for (r = 0; r < LLMK_ROWS; r++)
			acc[r] = fmaf(block->m[r], a_m, acc[r]);
}

/* write the outputs of one group and token, without the rows that only fill up the last group */
static void
write_group(const LlmkMatrix *w, int64_t group, const float *acc, float *out_row)
{
	int64_t		first = group * LLMK_ROWS;
	int64_t		n = w->n_rows - first;
	int64_t		r;

	for (r = 0; r < LLMK_ROWS && r < n; r++)
		out_row[first + r] = acc[r];
}

static void
llmk_matmul_quant_generic(const LlmkMatrix *w, const LlmkActs *acts, int64_t group_begin, int64_t group_end,
						  float *out, int64_t ld_out)
{
	size_t		group_bytes = llmk_group_bytes(w->type, w->n_cols);
	int64_t		n_blocks = w->n_cols / LLM_QK;
	int64_t		g;
	int64_t		t0;

	for (g = group_begin; g < group_end; g++)
		for (t0 = 0; t0 < acts->n_tokens; t0 += TILE_TOKENS)
		{
			int			n = acts->n_tokens - t0 < TILE_TOKENS ? (int) (acts->n_tokens - t0) : TILE_TOKENS;
			float		acc[TILE_TOKENS][LLMK_ROWS] = {{0}};
			int64_t		b;
			int			t;

			for (b = 0; b < n_blocks; b++)
			{
				DecodedBlock block;
				bool		has_min = decode_block(w->type, w->data + (size_t) g * group_bytes, b, &block);

				for (t = 0; t < n; t++)
				{
					const int64_t at = (t0 + t) * n_blocks + b;

					add_term(&block, has_min, &acts->term[0], at, acc[t]);
					if (acts->term[1].d[at] != 0.0f)
						add_term(&block, has_min, &acts->term[1], at, acc[t]);
				}
			}
			for (t = 0; t < n; t++)
				write_group(w, g, acc[t], out + (t0 + t) * ld_out);
		}
}

/* the 8 weights of column c of a group */
static void
decode_column(LlmType type, const uint8_t *group, int64_t c, float *w)
{
	int			r;

	switch (type)
	{
		case LLM_TYPE_F32:
			memcpy(w, (const float *) group + c * LLMK_ROWS, LLMK_ROWS * sizeof(float));
			break;
		case LLM_TYPE_F16:
			decode_halves((const uint16_t *) group + c * LLMK_ROWS, w);
			break;
		default:				/* BF16, the only other float type in the table */
			for (r = 0; r < LLMK_ROWS; r++)
				w[r] = llmk_bf16_inline(((const uint16_t *) group)[c * LLMK_ROWS + r]);
			break;
	}
}

static void
llmk_matmul_float_generic(const LlmkMatrix *w, const LlmkActs *acts, int64_t group_begin, int64_t group_end,
						  float *out, int64_t ld_out)
{
	size_t		group_bytes = llmk_group_bytes(w->type, w->n_cols);
	int64_t		g;
	int64_t		t0;

	for (g = group_begin; g < group_end; g++)
		for (t0 = 0; t0 < acts->n_tokens; t0 += TILE_TOKENS)
		{
			int			n = acts->n_tokens - t0 < TILE_TOKENS ? (int) (acts->n_tokens - t0) : TILE_TOKENS;
			float		acc[TILE_TOKENS][LLMK_ROWS] = {{0}};
			int64_t		c;
			int			t;
			int			r;

			for (c = 0; c < w->n_cols; c++)
			{
				float		column[LLMK_ROWS];

				decode_column(w->type, w->data + (size_t) g * group_bytes, c, column);
				for (t = 0; t < n; t++)
				{
					float		x = acts->x[(t0 + t) * acts->ld_x + c];

					for (r = 0; r < LLMK_ROWS; r++)
						acc[t][r] = fmaf(column[r], x, acc[t][r]);
				}
			}
			for (t = 0; t < n; t++)
				write_group(w, g, acc[t], out + (t0 + t) * ld_out);
		}
}

/*
 * llmk_matmul_fill_generic: matmul, get_row and quantize of the generic table.
 */
void
llmk_matmul_fill_generic(LlmKernels *k)
{
	uint32_t	type;

	for (type = 0; type < LLM_TYPE_COUNT; type++)
	{
		const LlmTypeInfo *info = llmk_type_info(type);

		if (info == NULL || !info->decoded)
			continue;
		k->matmul[type] = info->quantized ? llmk_matmul_quant_generic : llmk_matmul_float_generic;
		k->get_row[type] = llmk_get_row;
	}
	k->quantize = llmk_quantize_generic;
}
