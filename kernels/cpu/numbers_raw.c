/*
 * numbers_raw.c: the numbers of blocks that are packed byte by byte: IQ1, IQ2, IQ3 and TQ1_0.
 *
 * An IQ type stores indices into a table of points (iq_grids.h) of 8 or 4 numbers each, their signs, and an odd scale
 * 2s + 1 of each 32 or 16 columns, which is part of w here. The file's fractions (scale s + 1/2, a quarter of it; points
 * moved by 1/8 in IQ1) become whole numbers by taking a power of two out of d, so every value stays exact. |w| is at most
 * 31 * 62 (IQ3_XXS), so a sum over 32 columns is below 2^24.
 * Source: ggml/src/ggml-quants.c, dequantize_row_*.
 */
#include <string.h>

#include "cpu/codes.h"
#include "cpu/half.h"
#include "cpu/iq_grids.h"

static void
fill_d(LlmkNumbers *numbers, float d)
{
	int			i;

	for (i = 0; i < 16; i++)
		numbers->d[i] = d;
}

/* bit j of signs: element j is negative; without branches, as signs cannot be predicted */
static inline void
put_signed(const void *point, int n, unsigned int signs, int scale, int16_t *w)
{
	static const uint8_t bits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
	const uint8_t *grid = point;
	int			j;

	for (j = 0; j < n; j++)
	{
		int16_t		negative = (int16_t) -((uint8_t) signs & bits[j] ? 1 : 0);

		w[j] = (int16_t) ((int16_t) (scale * grid[j] ^ negative) - negative);
	}
}

/* 7 stored signs of 8: the number of negative ones is even */
static unsigned int
eight_signs(unsigned int seven)
{
	return seven | (unsigned int) __builtin_parity(seven) << 7;
}

/* of each 32 columns: 4 indices of 8 bits, 4 times 7 signs, 4 bits of scale */
static void
numbers_iq2_xxs(const LlmBlockIQ2_XXS *b, LlmkNumbers *numbers)
{
	int			i;

	for (i = 0; i < 32; i++)
	{
		const uint8_t *qs = b->qs + i / 4 * 8;
		uint32_t	word;

		memcpy(&word, qs + 4, 4);
		put_signed(&iq2_xxs_grid[qs[i % 4]], 8, eight_signs(word >> (7 * (i % 4)) & 127), 2 * (int) (word >> 28) + 1,
				   numbers->w + 8 * i);
	}
	fill_d(numbers, llmk_half_inline(b->d) * 0.125f);
}

/* a word for 8 columns: 9 bits of index, 7 signs; a nibble of scale for 16 */
static void
numbers_iq2_xs(const LlmBlockIQ2_XS *b, LlmkNumbers *numbers)
{
	int			i;

	for (i = 0; i < 32; i++)
		put_signed(&iq2_xs_grid[b->qs[i] & 511], 8, eight_signs(b->qs[i] >> 9),
				   2 * (b->scales[i / 4] >> (4 * (i / 2 % 2)) & 15) + 1, numbers->w + 8 * i);
	fill_d(numbers, llmk_half_inline(b->d) * 0.125f);
}

/* 10 bits of index, of which two in qh */
static void
numbers_iq2_s(const LlmBlockIQ2_S *b, LlmkNumbers *numbers)
{
	int			i;

	for (i = 0; i < 32; i++)
		put_signed(&iq2_s_grid[b->qs[i] | (b->qh[i / 4] >> (2 * (i % 4)) & 3) << 8], 8, b->signs[i],
				   2 * (b->scales[i / 4] >> (4 * (i / 2 % 2)) & 15) + 1, numbers->w + 8 * i);
	fill_d(numbers, llmk_half_inline(b->d) * 0.125f);
}

/* points of 4; signs and scale as in IQ2_XXS */
static void
numbers_iq3_xxs(const LlmBlockIQ3_XXS *b, LlmkNumbers *numbers)
{
	int			i;

	for (i = 0; i < 64; i++)
	{
		uint32_t	word;
		unsigned int signs;

		memcpy(&word, b->scales_signs + i / 8 * 4, 4);
		signs = eight_signs(word >> (7 * (i / 2 % 4)) & 127) >> (4 * (i % 2));
		put_signed(&iq3_xxs_grid[b->qs[i]], 4, signs, 2 * (int) (word >> 28) + 1, numbers->w + 4 * i);
	}
	fill_d(numbers, llmk_half_inline(b->d) * 0.25f);
}

/* 9 bits of index, of which one in qh */
static void
numbers_iq3_s(const LlmBlockIQ3_S *b, LlmkNumbers *numbers)
{
	int			i;

	for (i = 0; i < 64; i++)
		put_signed(&iq3_s_grid[b->qs[i] | (b->qh[i / 8] >> (i % 8) & 1) << 8], 4,
				   (unsigned int) b->signs[i / 2] >> (4 * (i % 2)),
				   2 * (b->scales[i / 16] >> (4 * (i / 8 % 2)) & 15) + 1, numbers->w + 4 * i);
	fill_d(numbers, llmk_half_inline(b->d));
}

/* a point of IQ1 moved by an eighth, down if `down`; in eighths */
static void
put_moved(uint64_t point, bool down, int scale, int16_t *w)
{
	int			j;

	for (j = 0; j < 8; j++)
		w[j] = (int16_t) (scale * (8 * (int8_t) (point >> (8 * j) & 255) + (down ? -1 : 1)));
}

/* qh of 32 columns: 4 times 3 high bits of index, 3 bits of scale, direction */
static void
numbers_iq1_s(const LlmBlockIQ1_S *b, LlmkNumbers *numbers)
{
	int			i;

	for (i = 0; i < 32; i++)
	{
		unsigned int qh = b->qh[i / 4];

		put_moved(iq1_s_grid[b->qs[i] | (qh >> (3 * (i % 4)) & 7) << 8], qh >> 15, 2 * (int) (qh >> 12 & 7) + 1,
				  numbers->w + 8 * i);
	}
	fill_d(numbers, llmk_half_inline(b->d) * 0.125f);
}

/* a nibble of qh for 8 columns: 3 high bits of index, direction; of 64 columns 4 scales of 3 bits and a nibble of d */
static void
numbers_iq1_m(const LlmBlockIQ1_M *b, LlmkNumbers *numbers)
{
	uint16_t	words[4];
	unsigned int d = 0;
	int			i;

	memcpy(words, b->scales, sizeof(words));
	for (i = 0; i < 4; i++)
		d |= (unsigned int) (words[i] >> 12) << (4 * i);
	for (i = 0; i < 32; i++)
	{
		unsigned int qh = b->qh[i / 2] >> (4 * (i % 2)) & 15;

		put_moved(iq1_s_grid[b->qs[i] | (qh & 7) << 8], qh >> 3, 2 * (words[i / 8] >> (3 * (i / 2 % 4)) & 7) + 1,
				  numbers->w + 8 * i);
	}
	fill_d(numbers, llmk_half_inline((uint16_t) d) * 0.125f);
}

/*
 * Digit n of a byte, from the most significant, of q * 3^n mod 256: (that * 3) >> 8. Bytes 0..31 hold digits of elements
 * 32 n + m, bytes 32..47 of 160 + 16 n + m, qh of 240 + 4 n + m.
 */
static void
numbers_tq1_0(const LlmBlockTQ1_0 *b, LlmkNumbers *numbers)
{
	static const uint8_t powers[5] = {1, 3, 9, 27, 81};
	int			e;

	for (e = 0; e < LLM_QK_K; e++)
	{
		uint8_t		byte = e < 160 ? b->qs[e % 32] : e < 240 ? b->qs[32 + (e - 160) % 16] : b->qh[(e - 240) % 4];
		int			n = e < 160 ? e / 32 : e < 240 ? (e - 160) / 16 : (e - 240) / 4;

		numbers->w[e] = (int16_t) (((uint8_t) (byte * powers[n]) * 3 >> 8) - 1);
	}
	fill_d(numbers, llmk_half_inline(b->d));
}

/*
 * llmk_numbers_from_raw: what a block of a raw type stands for (llmk_is_raw).
 */
void
llmk_numbers_from_raw(LlmType type, const LlmkAnyBlock *b, LlmkNumbers *numbers)
{
	numbers->m = 0.0f;
	memset(numbers->min, 0, sizeof(numbers->min));
	switch (type)
	{
		case LLM_TYPE_IQ1_S:
			numbers_iq1_s(&b->iq1_s, numbers);
			break;
		case LLM_TYPE_IQ1_M:
			numbers_iq1_m(&b->iq1_m, numbers);
			break;
		case LLM_TYPE_IQ2_XXS:
			numbers_iq2_xxs(&b->iq2_xxs, numbers);
			break;
		case LLM_TYPE_IQ2_XS:
			numbers_iq2_xs(&b->iq2_xs, numbers);
			break;
		case LLM_TYPE_IQ2_S:
			numbers_iq2_s(&b->iq2_s, numbers);
			break;
		case LLM_TYPE_IQ3_XXS:
			numbers_iq3_xxs(&b->iq3_xxs, numbers);
			break;
		case LLM_TYPE_IQ3_S:
			numbers_iq3_s(&b->iq3_s, numbers);
			break;
		default:				/* TQ1_0 */
			numbers_tq1_0(&b->tq1_0, numbers);
			break;
	}
}
