/*
 * matmul_generic.c: the matrix product in plain C, and with it the definition of its numbers for all levels.
 *
 * Float weights (F32, F16, BF16), every output by itself, columns ascending, starting from 0:
 *     acc = fmaf(w[c], x[c], acc)
 *
 * Quantized weights, blocks b of 32 columns ascending, starting from 0:
 *     isum = sum over the block of weight * a, exact in 32-bit integers; a weight is its stored number less its offset
 *            (8, 16 and 32 for Q4_0, Q5_0, Q6_K), for Q6_K times its 8-bit scale; a is q, or 254 q + r if the block has
 *            a second term with numbers r
 *     acc = fmaf((float) isum, w_d * a_d, acc)
 * and for types with a minimum (Q4_1, Q5_1), with asum the exact sum of the block's a:
 *     acc = fmaf(w_m, a_d * (float) asum, acc)
 * w_d and w_m are the half-precision scales as F32, a_d the scale of the activations: that of the second term, if there is one;
 * each product is rounded once, and isum where it is above 2^24.
 *
 * Q6_K has weights that are too large for such a joined sum (llmk_terms_join). Two terms are two steps, with q and d of the
 * first term, then with those of the second.
 *
 * All other types are defined by their numbers (codes.h): w times a makes isum, w_d is d. Whole-number scales of 32 columns
 * are part of w_d (an exact product), those of 16 part of w. Q4_K and Q5_K have w_m = -(min * m), exact too. Q2_K has minima
 * of 16 columns; with s0, s1 the sums of a over each half of the block:
 *     acc = fmaf(-(float) (min0 * s0 + min1 * s1), m * a_d, acc)
 * NVFP4 has a float scale of 16 columns, so each half of a block is a step of its own:
 *     acc = fmaf((float) isum0, w_d0 * a_d, acc), then the same with isum1 and w_d1
 *
 * A level may compute isum in any way, as it is exact, but q must be in -127 .. 127, as quantize makes it. A NaN in
 * weights or activations gives a NaN; which of its bit patterns is not defined.
 */
#include <math.h>

#include "cpu/codes.h"
#include "cpu/get_row.h"
#include "cpu/half.h"
#include "cpu/levels.h"

/* tokens that share one decoding of the weights */
#define TILE_TOKENS 8

/* what follows the products with w in a block */
typedef enum MinKind
{
	MIN_NONE,
	MIN_BLOCK,					/* m of 32 columns */
	MIN_HALVES					/* min of 16 columns, times m */
} MinKind;

/* 32 columns of a group, decoded: w includes offset and whole-number scale */
typedef struct DecodedBlock
{
	int16_t		w[LLM_QK][LLMK_ROWS];
	float		d[LLMK_ROWS];
	float		m[LLMK_ROWS];
	MinKind		min_kind;
	bool		two_scales;		/* d is of columns 0 .. 15, d1 of 16 .. 31 */
	float		d1[LLMK_ROWS];
	int			min[2][LLMK_ROWS];
} DecodedBlock;

/* the numbers of a group's block of 32, 64, 128 or 256 columns, which many blocks of 32 are taken from */
typedef struct DecodedNumbers
{
	LlmkNumbers row[LLMK_ROWS];
} DecodedNumbers;

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

/* columns 32 b .. 32 b + 31 from the numbers of their block, which are decoded when b is its first */
static void
decode_part(LlmType type, const uint8_t *group, int64_t b, DecodedNumbers *numbers, DecodedBlock *block)
{
	const int	n_parts = llmk_type_info(type)->block_len / LLM_QK;
	const int	part = (int) (b % n_parts);
	int			c;
	int			r;

	for (r = 0; r < LLMK_ROWS && part == 0; r++)
		llmk_numbers_from_group(type, group, b / n_parts, r, &numbers->row[r]);
	block->min_kind = type == LLM_TYPE_Q2_K ? MIN_HALVES
		: type == LLM_TYPE_Q4_K || type == LLM_TYPE_Q5_K ? MIN_BLOCK : MIN_NONE;
	block->two_scales = type == LLM_TYPE_NVFP4;
	for (r = 0; r < LLMK_ROWS; r++)
	{
		const LlmkNumbers *row = &numbers->row[r];

		for (c = 0; c < LLM_QK; c++)
			block->w[c][r] = row->w[LLM_QK * part + c];
		block->d[r] = row->d[2 * part];
		block->d1[r] = row->d[2 * part + 1];
		for (c = 0; c < 2; c++)
			block->min[c][r] = row->min[2 * part + c];
		block->m[r] = block->min_kind == MIN_BLOCK ? -((float) block->min[0][r] * row->m) : row->m;
	}
}

/* decode columns 32 b .. 32 b + 31 of a group; calls for a group go through b in ascending order and share numbers */
static void
decode_block(LlmType type, const uint8_t *group, int64_t b, DecodedNumbers *numbers, DecodedBlock *block)
{
	int			c;
	int			r;

	block->two_scales = false;
	block->min_kind = type == LLM_TYPE_Q4_1 || type == LLM_TYPE_Q5_1 ? MIN_BLOCK : MIN_NONE;
	switch (type)
	{
		case LLM_TYPE_Q4_0:
			{
				const LlmkPackedQ4_0 *src = (const LlmkPackedQ4_0 *) group + b;

				decode_nibbles(src->qs, NULL, 8, block);
				decode_halves(src->d, block->d);
				break;
			}
		case LLM_TYPE_Q4_1:
			{
				const LlmkPackedQ4_1 *src = (const LlmkPackedQ4_1 *) group + b;

				decode_nibbles(src->qs, NULL, 0, block);
				decode_halves(src->d, block->d);
				decode_halves(src->m, block->m);
				break;
			}
		case LLM_TYPE_Q5_0:
			{
				const LlmkPackedQ5_0 *src = (const LlmkPackedQ5_0 *) group + b;

				decode_nibbles(src->qs, src->qh, 16, block);
				decode_halves(src->d, block->d);
				break;
			}
		case LLM_TYPE_Q5_1:
			{
				const LlmkPackedQ5_1 *src = (const LlmkPackedQ5_1 *) group + b;

				decode_nibbles(src->qs, src->qh, 0, block);
				decode_halves(src->d, block->d);
				decode_halves(src->m, block->m);
				break;
			}
		case LLM_TYPE_Q8_0:
			{
				const LlmkPackedQ8_0 *src = (const LlmkPackedQ8_0 *) group + b;

				for (c = 0; c < LLM_QK; c++)
					for (r = 0; r < LLMK_ROWS; r++)
						block->w[c][r] = src->qs[c / 4][r][c % 4];
				decode_halves(src->d, block->d);
				break;
			}
		case LLM_TYPE_Q6_K:
			decode_q6_k((const LlmkPackedQ6_K *) group + b / 8, (int) (b % 8), block);
			break;
		default:
			decode_part(type, group, b, numbers, block);
			break;
	}
}

/* a block of activations of one token: a stands for d * a; s: sums of a over each 16 */
typedef struct BlockActs
{
	int16_t		a[LLM_QK];
	int			s[2];
	float		d;
} BlockActs;

/* term i of block `at` */
static void
take_term(const LlmkActs *acts, int i, int64_t at, BlockActs *a)
{
	const LlmkTerm *term = &acts->term[i];
	int			c;

	for (c = 0; c < LLM_QK; c++)
		a->a[c] = term->q[LLM_QK * at + c];
	for (c = 0; c < 2; c++)
		a->s[c] = term->s[2 * at + c];
	a->d = term->d[at];
}

/* both terms of block `at` as one */
static void
take_joined(const LlmkActs *acts, int64_t at, BlockActs *a)
{
	BlockActs	second;
	int			c;

	take_term(acts, 0, at, a);
	take_term(acts, 1, at, &second);
	for (c = 0; c < LLM_QK; c++)
		a->a[c] = (int16_t) (LLMK_TERM_RATIO * a->a[c] + second.a[c]);
	for (c = 0; c < 2; c++)
		a->s[c] = LLMK_TERM_RATIO * a->s[c] + second.s[c];
	a->d = second.d;
}

/* add the products of columns c0 .. c1 - 1 with their scale to the 8 outputs of one token */
static void
add_products(const DecodedBlock *block, int c0, int c1, const float *d, const BlockActs *a, float *acc)
{
	int32_t		isum[LLMK_ROWS] = {0};
	int			c;
	int			r;

	for (c = c0; c < c1; c++)
		for (r = 0; r < LLMK_ROWS; r++)
			isum[r] += block->w[c][r] * a->a[c];
	for (r = 0; r < LLMK_ROWS; r++)
		acc[r] = fmaf((float) isum[r], d[r] * a->d, acc[r]);
}

/* add one step to the 8 outputs of one token */
static void
add_step(const DecodedBlock *block, const BlockActs *a, float *acc)
{
	float		a_m = a->d * (float) (a->s[0] + a->s[1]);
	int			r;

	add_products(block, 0, block->two_scales ? 16 : LLM_QK, block->d, a, acc);
	if (block->two_scales)
		add_products(block, 16, LLM_QK, block->d1, a, acc);
	for (r = 0; r < LLMK_ROWS && block->min_kind == MIN_BLOCK; r++)
		acc[r] = fmaf(block->m[r], a_m, acc[r]);
	for (r = 0; r < LLMK_ROWS && block->min_kind == MIN_HALVES; r++)
		acc[r] = fmaf(-(float) (block->min[0][r] * a->s[0] + block->min[1][r] * a->s[1]), block->m[r] * a->d, acc[r]);
}

/* add a block to the 8 outputs of one token; at: block of the activations */
static void
add_block(LlmType type, const DecodedBlock *block, const LlmkActs *acts, int64_t at, float *acc)
{
	const bool	two = acts->term[1].d[at] != 0.0f;
	BlockActs	a;

	if (two && llmk_terms_join(type))
	{
		take_joined(acts, at, &a);
		add_step(block, &a, acc);
		return;
	}
	take_term(acts, 0, at, &a);
	add_step(block, &a, acc);
	if (two)
	{
		take_term(acts, 1, at, &a);
		add_step(block, &a, acc);
	}
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
	DecodedNumbers numbers;
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

				decode_block(w->type, w->data + (size_t) g * group_bytes, b, &numbers, &block);
				for (t = 0; t < n; t++)
					add_block(w->type, &block, acts, (t0 + t) * n_blocks + b, acc[t]);
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
