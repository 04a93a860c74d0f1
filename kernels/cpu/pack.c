/*
 * pack.c: laying rows of a tensor out for the kernels, and taking a row back out.
 *
 * The layout is in packed_formats.h and codes.h. Packing only moves bits: unpack_* are the inverse, and get_row is
 * unpacking followed by llmk_dequantize or its last step, so a packed row is bit for bit the file's row.
 */
#include <string.h>

#include "kernels.h"
#include "cpu/codes.h"
#include "cpu/get_row.h"

#define FLOAT_SQUARE 32			/* columns of F32, F16 and BF16 that are laid out together */

/*
 * llmk_group_bytes: bytes of one packed group of 8 rows of n_cols columns.
 *
 * 0 if the type is not computed with, n_cols is not a positive multiple of its block length, or the size does not fit.
 */
size_t
llmk_group_bytes(LlmType type, int64_t n_cols)
{
	const LlmTypeInfo *info = llmk_type_info(type);
	size_t		bytes;

	if (info == NULL || !info->decoded || n_cols <= 0 || n_cols % info->block_len != 0)
		return 0;
	if (__builtin_mul_overflow((size_t) (n_cols / info->block_len), (size_t) info->block_bytes * LLMK_ROWS, &bytes))
		return 0;
	return bytes;
}

/* qs of a row's block of 32, in Q4_0, Q4_1, Q5_0, Q5_1: quad k and quad k + 4 share bytes in the file already */
static void
pack_nibbles(uint8_t qs[4][LLMK_ROWS][4], int row, const uint8_t *src)
{
	int			k;

	for (k = 0; k < 4; k++)
		memcpy(qs[k][row], src + 4 * k, 4);
}

static void
unpack_nibbles(const uint8_t qs[4][LLMK_ROWS][4], int row, uint8_t *dst)
{
	int			k;

	for (k = 0; k < 4; k++)
		memcpy(dst + 4 * k, qs[k][row], 4);
}

/* qh: bit 4j + i of the 32 (column 4j + i) moves to bit j of byte i */
static void
pack_fifth_bits(uint8_t qh[LLMK_ROWS][4], int row, const uint8_t *src)
{
	const uint32_t bits = src[0] | (uint32_t) src[1] << 8 | (uint32_t) src[2] << 16 | (uint32_t) src[3] << 24;

	for (int i = 0; i < 4; i++)
	{
		uint32_t	each_fourth = bits >> i & 0x11111111;

		each_fourth = (each_fourth | each_fourth >> 3) & 0x03030303;
		each_fourth = (each_fourth | each_fourth >> 6) & 0x000f000f;
		qh[row][i] = (uint8_t) (each_fourth | each_fourth >> 12);
	}
}

static void
unpack_fifth_bits(const uint8_t qh[LLMK_ROWS][4], int row, uint8_t *dst)
{
	int			c;

	memset(dst, 0, 4);
	for (c = 0; c < LLM_QK; c++)
		dst[c / 8] |= (uint8_t) ((qh[row][c % 4] >> (c / 4) & 1) << (c % 8));
}

/* where Q6_K keeps element e of a super-block in the file: see dequantize_q6_k */
typedef struct Q6Place
{
	int			ql;				/* byte in ql */
	int			ql_shift;
	int			qh;				/* byte in qh */
	int			qh_shift;
} Q6Place;

static Q6Place
q6_place(int e)
{
	int			h = e / 128;
	int			j = e / 32 % 4;
	int			l = e % 32;
	Q6Place		place = {64 * h + 32 * (j & 1) + l, j < 2 ? 0 : 4, 32 * h + l, 2 * j};

	return place;
}

/* four bytes of the file, shifted; the caller masks what crosses over to the next byte */
static inline uint32_t
quad_at(const uint8_t *p, int shift)
{
	uint32_t	quad;

	memcpy(&quad, p, sizeof(quad));
	return quad >> shift;
}

/* the same in a packed part, four columns at once: column c = 4 j + i of 32 is byte i of quad j */
static void
pack_q6_k(LlmkPackedQ6_K *dst, int row, const LlmBlockQ6_K *src)
{
	for (int i = 0; i < 8; i++)
	{
		const Q6Place place = q6_place(32 * i);
		LlmkPackedQ6_KPart *part = &dst->part[i];

		for (int k = 0; k < 4; k++)
		{
			const uint8_t *ql = src->ql + place.ql + 4 * k;
			uint32_t	quads = (quad_at(ql, place.ql_shift) & 0x0f0f0f0f) | (quad_at(ql + 16, place.ql_shift) & 0x0f0f0f0f) << 4;

			memcpy(part->ql[k][row], &quads, sizeof(quads));
		}
		for (int v = 0; v < 2; v++)
		{
			uint32_t	quads = 0;

			for (int k = 0; k < 4; k++)
				quads |= (quad_at(src->qh + place.qh + 16 * v + 4 * k, place.qh_shift) & 0x03030303) << (2 * k);
			memcpy(part->qh[v][row], &quads, sizeof(quads));
		}
	}
	for (int i = 0; i < 16; i++)
		dst->scales[i][row] = src->scales[i];
	dst->d[row] = src->d;
}

static void
unpack_q6_k(const LlmkPackedQ6_K *src, int row, LlmBlockQ6_K *dst)
{
	int			e;
	int			i;

	memset(dst, 0, sizeof(*dst));
	for (e = 0; e < LLM_QK_K; e++)
	{
		const LlmkPackedQ6_KPart *part = &src->part[e / 32];
		Q6Place		place = q6_place(e);
		int			quad = e % 32 / 4;
		int			low = part->ql[quad % 4][row][e % 4] >> (quad < 4 ? 0 : 4) & 15;
		int			high = part->qh[quad / 4][row][e % 4] >> (2 * (quad % 4)) & 3;

		dst->ql[place.ql] |= (uint8_t) (low << place.ql_shift);
		dst->qh[place.qh] |= (uint8_t) (high << place.qh_shift);
	}
	for (i = 0; i < 16; i++)
		dst->scales[i] = src->scales[i][row];
	dst->d = src->d[row];
}

/* block i of row `row` of a raw type: each byte beside those of the other rows */
static void
pack_raw(int block_bytes, uint8_t *group, int64_t i, int row, const uint8_t *src)
{
	uint8_t    *dst = group + (size_t) (i * LLMK_ROWS * block_bytes + row);

	for (int j = 0; j < block_bytes; j++)
		dst[j * LLMK_ROWS] = src[j];
}

static void
unpack_raw(int block_bytes, const uint8_t *group, int64_t i, int row, uint8_t *dst)
{
	const uint8_t *src = group + (size_t) (i * LLMK_ROWS * block_bytes + row);

	for (int j = 0; j < block_bytes; j++)
		dst[j] = src[j * LLMK_ROWS];
}

/* put block i of a row of a type that has codes or is raw into its place in a group */
static void
pack_codes(LlmType type, void *group, int64_t i, int row, const uint8_t *src)
{
	const size_t block_bytes = (size_t) llmk_type_info(type)->block_bytes;
	LlmkAnyBlock block;
	LlmkCodes	codes;

	if (llmk_is_raw(type))
	{
		pack_raw((int) block_bytes, group, i, row, src);
		return;
	}
	memcpy(&block, src, block_bytes);
	llmk_codes_from_file(type, &block, &codes);
	llmk_codes_to_packed(type, &codes, row, (uint8_t *) group + (size_t) i * LLMK_ROWS * block_bytes);
}

/*
 * llmk_numbers_from_group: the numbers of block i of row `row` of a group, of a type that has codes or is raw.
 */
void
llmk_numbers_from_group(LlmType type, const void *group, int64_t i, int row, LlmkNumbers *numbers)
{
	const size_t block_bytes = (size_t) llmk_type_info(type)->block_bytes;
	LlmkAnyBlock block;
	LlmkCodes	codes;

	if (llmk_is_raw(type))
	{
		unpack_raw((int) block_bytes, group, i, row, (uint8_t *) &block);
		llmk_numbers_from_raw(type, &block, numbers);
		return;
	}
	llmk_codes_from_packed(type, (const uint8_t *) group + (size_t) i * LLMK_ROWS * block_bytes, row, &codes);
	llmk_numbers_from_codes(type, &codes, numbers);
}

/* put block i of a row (src, file form, any alignment) into its place in a group; src NULL: zeros */
static void
pack_block(LlmType type, void *group, int64_t i, int row, const uint8_t *src)
{
	static const LlmBlockQ6_K zero;
	int			j;

	if (src == NULL)
		src = (const uint8_t *) &zero;
	switch (type)
	{
		case LLM_TYPE_Q4_0:
		case LLM_TYPE_IQ4_NL:	/* has the same bytes, in the file and packed */
			{
				LlmkPackedQ4_0 *dst = (LlmkPackedQ4_0 *) group + i;

				memcpy(&dst->d[row], src, 2);
				pack_nibbles(dst->qs, row, src + offsetof(LlmBlockQ4_0, qs));
				break;
			}
		case LLM_TYPE_Q4_1:
			{
				LlmkPackedQ4_1 *dst = (LlmkPackedQ4_1 *) group + i;

				memcpy(&dst->d[row], src, 2);
				memcpy(&dst->m[row], src + offsetof(LlmBlockQ4_1, m), 2);
				pack_nibbles(dst->qs, row, src + offsetof(LlmBlockQ4_1, qs));
				break;
			}
		case LLM_TYPE_Q5_0:
			{
				LlmkPackedQ5_0 *dst = (LlmkPackedQ5_0 *) group + i;

				memcpy(&dst->d[row], src, 2);
				pack_fifth_bits(dst->qh, row, src + offsetof(LlmBlockQ5_0, qh));
				pack_nibbles(dst->qs, row, src + offsetof(LlmBlockQ5_0, qs));
				break;
			}
		case LLM_TYPE_Q5_1:
			{
				LlmkPackedQ5_1 *dst = (LlmkPackedQ5_1 *) group + i;

				memcpy(&dst->d[row], src, 2);
				memcpy(&dst->m[row], src + offsetof(LlmBlockQ5_1, m), 2);
				pack_fifth_bits(dst->qh, row, src + offsetof(LlmBlockQ5_1, qh));
				pack_nibbles(dst->qs, row, src + offsetof(LlmBlockQ5_1, qs));
				break;
			}
		case LLM_TYPE_Q8_0:
			{
				LlmkPackedQ8_0 *dst = (LlmkPackedQ8_0 *) group + i;

				memcpy(&dst->d[row], src, 2);
				for (j = 0; j < 8; j++)
					memcpy(dst->qs[j][row], src + offsetof(LlmBlockQ8_0, qs) + 4 * j, 4);
				break;
			}
		case LLM_TYPE_Q6_K:
			{
				LlmBlockQ6_K block;

				memcpy(&block, src, sizeof(block));
				pack_q6_k((LlmkPackedQ6_K *) group + i, row, &block);
				break;
			}
		default:
			pack_codes(type, group, i, row, src);
			break;
	}
}

/* rows of floats of 2 or 4 bytes: turned in squares, so that whole cache lines are read and written */
static void
pack_floats(const uint8_t *rows, int size, int64_t n_cols, int n_rows, uint8_t *group)
{
	if (n_rows < LLMK_ROWS)
		memset(group, 0, (size_t) (n_cols * LLMK_ROWS * size));
	for (int64_t c0 = 0; c0 < n_cols; c0 += FLOAT_SQUARE)
	{
		const int64_t end = n_cols - c0 < FLOAT_SQUARE ? n_cols : c0 + FLOAT_SQUARE;

		for (int row = 0; row < n_rows; row++)
		{
			for (int64_t c = c0; c < end && size == 2; c++)
				memcpy(group + (c * LLMK_ROWS + row) * 2, rows + (row * n_cols + c) * 2, 2);
			for (int64_t c = c0; c < end && size == 4; c++)
				memcpy(group + (c * LLMK_ROWS + row) * 4, rows + (row * n_cols + c) * 4, 4);
		}
	}
}

/*
 * llmk_pack_group: lay n_rows (1 .. 8) consecutive rows, as the file holds them, out as one group.
 *
 * rows: n_rows times n_cols / block_len blocks, no alignment needed; group: llmk_group_bytes() bytes, 16-byte aligned, all
 * of them written; missing rows become zeros. Nothing is done for a type or width for which llmk_group_bytes() is 0.
 */
void
llmk_pack_group(LlmType type, int64_t n_cols, const void *rows, int n_rows, void *group)
{
	const LlmTypeInfo *info = llmk_type_info(type);
	int64_t		n_blocks;
	int64_t		i;
	int			row;

	if (llmk_group_bytes(type, n_cols) == 0)
		return;
	n_blocks = n_cols / info->block_len;
	if (info->block_len == 1)
	{
		pack_floats(rows, info->block_bytes, n_cols, n_rows, group);
		return;
	}
	for (row = 0; row < LLMK_ROWS; row++)
	{
		const uint8_t *src = row < n_rows ? (const uint8_t *) rows + row * n_blocks * info->block_bytes : NULL;

		for (i = 0; i < n_blocks; i++)
			pack_block(type, group, i, row, src == NULL ? NULL : src + i * info->block_bytes);
	}
}

/* take block i of a row out of a group, in file form */
static void
unpack_block(LlmType type, const void *group, int64_t i, int row, LlmkAnyBlock *dst)
{
	int			j;

	switch (type)
	{
		case LLM_TYPE_F32:
			dst->f32 = ((const float *) group)[i * LLMK_ROWS + row];
			break;
		case LLM_TYPE_F16:
		case LLM_TYPE_BF16:
			dst->u16 = ((const uint16_t *) group)[i * LLMK_ROWS + row];
			break;
		case LLM_TYPE_Q4_0:
			{
				const LlmkPackedQ4_0 *src = (const LlmkPackedQ4_0 *) group + i;
				LlmBlockQ4_0 *block = &dst->q4_0;

				block->d = src->d[row];
				unpack_nibbles(src->qs, row, block->qs);
				break;
			}
		case LLM_TYPE_Q4_1:
			{
				const LlmkPackedQ4_1 *src = (const LlmkPackedQ4_1 *) group + i;
				LlmBlockQ4_1 *block = &dst->q4_1;

				block->d = src->d[row];
				block->m = src->m[row];
				unpack_nibbles(src->qs, row, block->qs);
				break;
			}
		case LLM_TYPE_Q5_0:
			{
				const LlmkPackedQ5_0 *src = (const LlmkPackedQ5_0 *) group + i;
				LlmBlockQ5_0 *block = &dst->q5_0;

				block->d = src->d[row];
				unpack_fifth_bits(src->qh, row, block->qh);
				unpack_nibbles(src->qs, row, block->qs);
				break;
			}
		case LLM_TYPE_Q5_1:
			{
				const LlmkPackedQ5_1 *src = (const LlmkPackedQ5_1 *) group + i;
				LlmBlockQ5_1 *block = &dst->q5_1;

				block->d = src->d[row];
				block->m = src->m[row];
				unpack_fifth_bits(src->qh, row, block->qh);
				unpack_nibbles(src->qs, row, block->qs);
				break;
			}
		case LLM_TYPE_Q8_0:
			{
				const LlmkPackedQ8_0 *src = (const LlmkPackedQ8_0 *) group + i;
				LlmBlockQ8_0 *block = &dst->q8_0;

				block->d = src->d[row];
				for (j = 0; j < 8; j++)
					memcpy(block->qs + 4 * j, src->qs[j][row], 4);
				break;
			}
		case LLM_TYPE_Q6_K:
			unpack_q6_k((const LlmkPackedQ6_K *) group + i, row, &dst->q6_k);
			break;
		default:
			break;
	}
}

/*
 * llmk_get_row: row `row` of a packed matrix as F32 (n_cols,), exactly as llmk_dequantize gives it for the file's blocks.
 */
void
llmk_get_row(const LlmkMatrix *w, int64_t row, float *out)
{
	const LlmTypeInfo *info = llmk_type_info(w->type);
	const uint8_t *group = w->data + (size_t) (row / LLMK_ROWS) * llmk_group_bytes(w->type, w->n_cols);
	int64_t		n_blocks = w->n_cols / info->block_len;
	const bool	has_numbers = llmk_is_raw(w->type) || llmk_code_layout(w->type).n_parts > 0;
	LlmkAnyBlock block;
	LlmkNumbers numbers;
	int64_t		i;

	for (i = 0; i < n_blocks; i++)
	{
		if (has_numbers)
		{
			llmk_numbers_from_group(w->type, group, i, (int) (row % LLMK_ROWS), &numbers);
			llmk_numbers_to_floats(&numbers, info->block_len, out + i * info->block_len);
			continue;
		}
		unpack_block(w->type, group, i, (int) (row % LLMK_ROWS), &block);
		llmk_dequantize(w->type, &block, info->block_len, out + i * info->block_len);
	}
}
