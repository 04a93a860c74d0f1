/*
 * decode_grids.h: blocks of the raw types (llmk_is_raw) to quads of signed bytes and whole-number scales, in 256-bit registers.
 *
 * What the types store is told in numbers_raw.c; packed, byte i of a row's super-block is byte 8 i + row of the group's, so 8 bytes
 * that belong together are one load. A super-block is opened first: indices of points, signs and scales of all its parts, by
 * vector code. Then a part is decoded: points are loaded into all lanes and blended, which takes less than gathering them or
 * inserting them one by one (7 to 9 cycles for 8 points, where a gather takes 11 on Zen 3).
 */
#ifndef LLMK_DECODE_GRIDS_H
#define LLMK_DECODE_GRIDS_H

#include "cpu/codes.h"
#include "cpu/iq_grids.h"

#define GRID_PARTS (LLM_QK_K / LLM_QK)

/* an opened super-block of 8 rows */
typedef struct GridBlock
{
	_Alignas(64) uint16_t index[GRID_PARTS][8][LLMK_ROWS];	/* of a part's points of 4 columns, or of 8: then 4 are used */
	vec_i		signs[GRID_PARTS];	/* a lane is a row, byte i of columns 8 i ..: bit j: is column 8 i + j negative; IQ1: what moves */
	uint8_t		scale[16][LLMK_ROWS];	/* of 16 columns, or of 32: then 8 are used */
	vec_f		d;
	const uint8_t *bytes;
} GridBlock;

VEC_INLINE size_t
grid_block_bytes(const LlmType type)
{
	switch (type)
	{
		case LLM_TYPE_IQ1_S:
			return LLMK_ROWS * sizeof(LlmBlockIQ1_S);
		case LLM_TYPE_IQ1_M:
			return LLMK_ROWS * sizeof(LlmBlockIQ1_M);
		case LLM_TYPE_IQ2_XXS:
			return LLMK_ROWS * sizeof(LlmBlockIQ2_XXS);
		case LLM_TYPE_IQ2_XS:
			return LLMK_ROWS * sizeof(LlmBlockIQ2_XS);
		case LLM_TYPE_IQ2_S:
			return LLMK_ROWS * sizeof(LlmBlockIQ2_S);
		case LLM_TYPE_IQ3_XXS:
			return LLMK_ROWS * sizeof(LlmBlockIQ3_XXS);
		case LLM_TYPE_IQ3_S:
			return LLMK_ROWS * sizeof(LlmBlockIQ3_S);
		default:				/* TQ1_0 */
			return LLMK_ROWS * sizeof(LlmBlockTQ1_0);
	}
}

/* has the type a scale for each 16 columns? */
VEC_INLINE bool
grid_has_halves(const LlmType type)
{
	return type == LLM_TYPE_IQ2_XS || type == LLM_TYPE_IQ2_S || type == LLM_TYPE_IQ1_M;
}

VEC_INLINE bool
grid_is_iq1(const LlmType type)
{
	return type == LLM_TYPE_IQ1_S || type == LLM_TYPE_IQ1_M;
}

/* byte i of 8 rows, and of a field */
#define GRID_BYTE(block, i) ((block) + (size_t) LLMK_ROWS * (size_t) (i))
#define GRID_FIELD(block, type, field) GRID_BYTE(block, offsetof(type, field))

VEC_INLINE __m128i
grid_load8(const uint8_t *p)
{
	return _mm_loadl_epi64((const void *) p);
}

/* the same 16 bytes in both halves of a register */
VEC_INLINE vec_i
grid_twice(__m128i bytes)
{
	return _mm256_broadcastsi128_si256(bytes);
}

/* two bytes of each row, 8 rows and 8 rows, as 16-bit numbers */
VEC_INLINE __m128i
grid_words16(const uint8_t *p)
{
	return _mm_unpacklo_epi8(grid_load8(p), grid_load8(p + LLMK_ROWS));
}

/* the same of 4 bytes: a lane is a row */
VEC_INLINE vec_i
grid_words32(const uint8_t *p)
{
	const __m128i bytes = _mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
	const __m128i words = _mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15);
	const vec_i both = _mm256_shuffle_epi8(vec_load(p, 0), grid_twice(bytes));

	return _mm256_shuffle_epi8(_mm256_permute4x64_epi64(both, 0xd8), grid_twice(words));
}

/* 8 signs of each byte from 7 that are stored: the number of negative ones is even */
VEC_INLINE vec_i
grid_even_signs(vec_i seven)
{
	static const int8_t odd[16] = {0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128, -128, 0};
	const vec_i folded = vec_and(vec_xor(seven, vec_srl16(seven, 4)), vec_set8(15));

	return vec_or(seven, vec_lookup8(odd, folded));
}

/* 4 times 7 bits of each lane to bytes */
VEC_INLINE vec_i
grid_seven_bits(vec_i word)
{
	const vec_i low = vec_or(vec_and(word, vec_set32(0x7f)), vec_and(vec_sll32(word, 1), vec_set32(0x7f00)));
	const vec_i high = vec_or(vec_and(vec_sll32(word, 2), vec_set32(0x7f0000)), vec_and(vec_sll32(word, 3), vec_set32(0x7f000000)));

	return vec_or(low, high);
}

/* bits of each byte that are at `from` become an odd number 2 s + 1, at most 7 or 15 for s */
VEC_INLINE __m128i
grid_odd(__m128i bytes, int from, int largest)
{
	const __m128i doubled = from == 0 ? _mm_slli_epi16(bytes, 1) : _mm_srli_epi16(bytes, from - 1);

	return _mm_or_si128(_mm_and_si128(doubled, _mm_set1_epi8((char) (2 * largest))), _mm_set1_epi8(1));
}

VEC_INLINE void
grid_put_scale(GridBlock *grid, int i, __m128i eight)
{
	_mm_storel_epi64((void *) grid->scale[i], eight);
}

/* scales of n parts, in nibbles of n_bytes bytes at p: low nibbles of parts 2 i (or halves), high ones of 2 i + 1 */
VEC_INLINE void
grid_nibble_scales(const uint8_t *p, int n_bytes, GridBlock *grid)
{
	for (int i = 0; i < n_bytes; i++)
	{
		const __m128i nibbles = grid_load8(GRID_BYTE(p, i));

		grid_put_scale(grid, 2 * i, grid_odd(nibbles, 0, 15));
		grid_put_scale(grid, 2 * i + 1, grid_odd(nibbles, 4, 15));
	}
}

/* index of point k of a part: 8 bits at p, and higher ones */
VEC_INLINE void
grid_put_index(GridBlock *grid, int part, int k, const uint8_t *p, __m128i high)
{
	_mm_store_si128((void *) grid->index[part][k], _mm_or_si128(_mm_cvtepu8_epi16(grid_load8(p)), high));
}

/* points k and k + 1, whose high bits are where multiplying by `left` puts them, among those of mask */
VEC_INLINE void
grid_put_two(GridBlock *grid, int part, int k, const uint8_t *p, vec_i bits, vec_i left, int mask)
{
	const vec_i low = _mm256_cvtepu8_epi16(_mm_loadu_si128((const void *) GRID_BYTE(p, k)));

	vec_store(grid->index[part][k], vec_or(low, vec_and(vec_mul16(bits, left), vec_set16(mask))));
}

VEC_INLINE vec_i
grid_two_factors(int low, int high)
{
	return _mm256_setr_m128i(_mm_set1_epi16((short) low), _mm_set1_epi16((short) high));
}

/* a byte of 8 rows twice, as 16-bit numbers */
VEC_INLINE vec_i
grid_bits(const uint8_t *p)
{
	return _mm256_cvtepu8_epi16(_mm_unpacklo_epi64(grid_load8(p), grid_load8(p)));
}

VEC_INLINE void
open_iq3_s(const uint8_t *b, GridBlock *grid)
{
	const vec_i left[4] = {grid_two_factors(256, 128), grid_two_factors(64, 32), grid_two_factors(16, 8), grid_two_factors(4, 2)};

	for (int part = 0; part < GRID_PARTS; part++)
	{
		const uint8_t *qs = GRID_BYTE(GRID_FIELD(b, LlmBlockIQ3_S, qs), 8 * part);
		const vec_i bits = grid_bits(GRID_BYTE(GRID_FIELD(b, LlmBlockIQ3_S, qh), part));

		for (int k = 0; k < 8; k += 2)
			grid_put_two(grid, part, k, qs, bits, left[k / 2], 256);
		grid->signs[part] = grid_words32(GRID_BYTE(GRID_FIELD(b, LlmBlockIQ3_S, signs), 4 * part));
	}
	grid_nibble_scales(GRID_FIELD(b, LlmBlockIQ3_S, scales), 4, grid);
}

VEC_INLINE void
open_iq2_s(const uint8_t *b, GridBlock *grid)
{
	const vec_i left[2] = {grid_two_factors(256, 64), grid_two_factors(16, 4)};

	for (int part = 0; part < GRID_PARTS; part++)
	{
		const uint8_t *qs = GRID_BYTE(GRID_FIELD(b, LlmBlockIQ2_S, qs), 4 * part);
		const vec_i bits = grid_bits(GRID_BYTE(GRID_FIELD(b, LlmBlockIQ2_S, qh), part));

		for (int k = 0; k < 4; k += 2)
			grid_put_two(grid, part, k, qs, bits, left[k / 2], 0x300);
		grid->signs[part] = grid_words32(GRID_BYTE(GRID_FIELD(b, LlmBlockIQ2_S, signs), 4 * part));
	}
	grid_nibble_scales(GRID_FIELD(b, LlmBlockIQ2_S, scales), 8, grid);
}

/* IQ3_XXS and IQ2_XXS: n_points indices of a part, and a word of signs and scale */
VEC_INLINE void
open_xxs(const uint8_t *qs, const uint8_t *words, const int n_points, const int stride, GridBlock *grid)
{
	for (int part = 0; part < GRID_PARTS; part++)
	{
		const uint8_t *word = GRID_BYTE(words, stride * part);

		for (int k = 0; k < n_points; k++)
			grid_put_index(grid, part, k, GRID_BYTE(qs, 8 * part + k), _mm_setzero_si128());
		grid->signs[part] = grid_even_signs(grid_seven_bits(grid_words32(word)));
		grid_put_scale(grid, part, grid_odd(grid_load8(GRID_BYTE(word, 3)), 4, 15));
	}
}

VEC_INLINE void
open_iq2_xs(const uint8_t *b, GridBlock *grid)
{
	for (int part = 0; part < GRID_PARTS; part++)
	{
		const uint8_t *qs = GRID_BYTE(GRID_FIELD(b, LlmBlockIQ2_XS, qs), 8 * part);
		__m128i		signs[4];

		for (int k = 0; k < 4; k++)
		{
			const __m128i word = grid_words16(GRID_BYTE(qs, 2 * k));

			_mm_store_si128((void *) grid->index[part][k], _mm_and_si128(word, _mm_set1_epi16(511)));
			signs[k] = _mm_srli_epi16(word, 9);
		}
		/* 16-bit numbers of two points to pairs of bytes, then both pairs to a lane */
		signs[0] = _mm_or_si128(signs[0], _mm_slli_epi16(signs[1], 8));
		signs[2] = _mm_or_si128(signs[2], _mm_slli_epi16(signs[3], 8));
		grid->signs[part] = grid_even_signs(_mm256_setr_m128i(_mm_unpacklo_epi16(signs[0], signs[2]),
															  _mm_unpackhi_epi16(signs[0], signs[2])));
	}
	grid_nibble_scales(GRID_FIELD(b, LlmBlockIQ2_XS, scales), 8, grid);
}

/* -1 where bytes are negative, else 1 */
VEC_INLINE vec_i
grid_moves(vec_i bytes)
{
	return vec_or(_mm256_cmpgt_epi8(vec_set32(0), bytes), vec_set8(1));
}

VEC_INLINE void
open_iq1_s(const uint8_t *b, GridBlock *grid)
{
	for (int part = 0; part < GRID_PARTS; part++)
	{
		const uint8_t *qs = GRID_BYTE(GRID_FIELD(b, LlmBlockIQ1_S, qs), 4 * part);
		const uint8_t *qh = GRID_BYTE(GRID_FIELD(b, LlmBlockIQ1_S, qh), 2 * part);
		const __m128i word = grid_words16(qh);
		const __m128i upper = grid_load8(GRID_BYTE(qh, 1));
		const __m128i high[4] = {_mm_slli_epi16(word, 8), _mm_slli_epi16(word, 5), _mm_slli_epi16(word, 2), _mm_srli_epi16(word, 1)};
		const __m128i twice = _mm_unpacklo_epi8(upper, upper);

		for (int k = 0; k < 4; k++)
			grid_put_index(grid, part, k, GRID_BYTE(qs, k), _mm_and_si128(high[k], _mm_set1_epi16(0x700)));
		grid->signs[part] = grid_moves(_mm256_setr_m128i(_mm_unpacklo_epi16(twice, twice), _mm_unpackhi_epi16(twice, twice)));
		grid_put_scale(grid, part, grid_odd(upper, 4, 7));
	}
}

VEC_INLINE void
open_iq1_m(const uint8_t *b, GridBlock *grid)
{
	const uint8_t *scales = GRID_FIELD(b, LlmBlockIQ1_M, scales);

	for (int part = 0; part < GRID_PARTS; part++)
	{
		const uint8_t *qs = GRID_BYTE(GRID_FIELD(b, LlmBlockIQ1_M, qs), 4 * part);
		__m128i		moves[2];

		for (int i = 0; i < 2; i++)
		{
			const __m128i bits = grid_load8(GRID_BYTE(GRID_FIELD(b, LlmBlockIQ1_M, qh), 2 * part + i));
			const __m128i word = _mm_cvtepu8_epi16(bits);

			for (int k = 0; k < 2; k++)
				grid_put_index(grid, part, 2 * i + k, GRID_BYTE(qs, 2 * i + k),
							   _mm_and_si128(_mm_slli_epi16(word, 8 - 4 * k), _mm_set1_epi16(0x700)));
			/* bits 3 and 7 to the signs of two bytes */
			moves[i] = _mm_unpacklo_epi8(_mm_slli_epi16(bits, 4), bits);
		}
		grid->signs[part] = grid_moves(_mm256_setr_m128i(_mm_unpacklo_epi16(moves[0], moves[1]),
														 _mm_unpackhi_epi16(moves[0], moves[1])));
	}
	for (int i = 0; i < 16; i++)
	{
		const __m128i bits = _mm_and_si128(_mm_srli_epi16(grid_words16(GRID_BYTE(scales, i / 4 * 2)), 3 * (i % 4)), _mm_set1_epi16(7));

		grid_put_scale(grid, i, grid_odd(_mm_packus_epi16(bits, bits), 0, 7));
	}
}

/* the scale of IQ1_M is spread over the upper nibbles of 4 words */
VEC_INLINE __m128i
grid_iq1_m_half(const uint8_t *scales)
{
	__m128i		part[4];

	for (int i = 0; i < 4; i++)
		part[i] = _mm_slli_epi16(_mm_srli_epi16(grid_words16(GRID_BYTE(scales, 2 * i)), 12), 4 * i);
	return _mm_or_si128(_mm_or_si128(part[0], part[1]), _mm_or_si128(part[2], part[3]));
}

/* open a super-block; bytes: borrowed as long as grid is used */
VEC_INLINE void
open_grid(const LlmType type, const uint8_t *bytes, GridBlock *grid)
{
	const size_t d_at = type == LLM_TYPE_TQ1_0 ? offsetof(LlmBlockTQ1_0, d) : 0;
	const float factor = type == LLM_TYPE_IQ3_S || type == LLM_TYPE_TQ1_0 ? 1.0f : type == LLM_TYPE_IQ3_XXS ? 0.25f : 0.125f;
	__m128i		half = grid_words16(GRID_BYTE(bytes, d_at));

	grid->bytes = bytes;
	switch (type)
	{
		case LLM_TYPE_IQ1_S:
			open_iq1_s(bytes, grid);
			break;
		case LLM_TYPE_IQ1_M:
			open_iq1_m(bytes, grid);
			half = grid_iq1_m_half(GRID_FIELD(bytes, LlmBlockIQ1_M, scales));
			break;
		case LLM_TYPE_IQ2_XXS:
			open_xxs(GRID_FIELD(bytes, LlmBlockIQ2_XXS, qs), GRID_BYTE(GRID_FIELD(bytes, LlmBlockIQ2_XXS, qs), 4), 4, 8, grid);
			break;
		case LLM_TYPE_IQ2_XS:
			open_iq2_xs(bytes, grid);
			break;
		case LLM_TYPE_IQ2_S:
			open_iq2_s(bytes, grid);
			break;
		case LLM_TYPE_IQ3_XXS:
			open_xxs(GRID_FIELD(bytes, LlmBlockIQ3_XXS, qs), GRID_FIELD(bytes, LlmBlockIQ3_XXS, scales_signs), 8, 4, grid);
			break;
		case LLM_TYPE_IQ3_S:
			open_iq3_s(bytes, grid);
			break;
		default:				/* TQ1_0 has neither points nor signs nor scales */
			break;
	}
	grid->d = vec_mul_f(_mm256_cvtph_ps(half), vec_set_f(factor));
}

/* points of 4 columns of 8 rows: a quad */
VEC_INLINE vec_i
grid_quad(const uint32_t *points, const uint16_t *index)
{
#define POINT(i) vec_set32((int) points[index[i]])
	const vec_i a = _mm256_blend_epi32(_mm256_blend_epi32(POINT(0), POINT(1), 0x02), _mm256_blend_epi32(POINT(2), POINT(3), 0x08), 0x0c);
	const vec_i b = _mm256_blend_epi32(_mm256_blend_epi32(POINT(4), POINT(5), 0x20), _mm256_blend_epi32(POINT(6), POINT(7), 0x80), 0xc0);

	return _mm256_blend_epi32(a, b, 0xf0);
#undef POINT
}

/* points of 8 columns: two quads */
VEC_INLINE void
grid_two_quads(const uint64_t *points, const uint16_t *index, vec_i *quads)
{
#define POINT(i) _mm256_set1_epi64x((long long) points[index[i]])
	const vec_i a = _mm256_blend_epi32(_mm256_blend_epi32(POINT(0), POINT(1), 0x0c), _mm256_blend_epi32(POINT(4), POINT(5), 0xc0), 0xf0);
	const vec_i b = _mm256_blend_epi32(_mm256_blend_epi32(POINT(2), POINT(3), 0x0c), _mm256_blend_epi32(POINT(6), POINT(7), 0xc0), 0xf0);

	quads[0] = _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88));
	quads[1] = _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0xdd));
#undef POINT
}

/* the points of columns 8 i .. 8 i + 7 of a part */
VEC_INLINE void
grid_points(const LlmType type, const uint16_t (*index)[LLMK_ROWS], int i, vec_i *quads)
{
	const uint64_t *points = type == LLM_TYPE_IQ2_XXS ? iq2_xxs_grid : type == LLM_TYPE_IQ2_XS ? iq2_xs_grid
		: type == LLM_TYPE_IQ2_S ? iq2_s_grid : iq1_s_grid;

	if (type == LLM_TYPE_IQ3_XXS || type == LLM_TYPE_IQ3_S)
		for (int k = 0; k < 2; k++)
			quads[k] = grid_quad(type == LLM_TYPE_IQ3_S ? iq3_s_grid : iq3_xxs_grid, index[2 * i + k]);
	else
		grid_two_quads(points, index[i], quads);
}

/* signs or moves of 8 columns applied to their two quads; signs: byte `byte` of each lane */
VEC_INLINE void
grid_apply(const LlmType type, vec_i signs, int byte, vec_i *quads)
{
	const vec_i all = _mm256_shuffle_epi8(signs, vec_add32(_mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c, 0, 0x04040404,
																			   0x08080808, 0x0c0c0c0c), vec_set8(byte)));

	for (int i = 0; i < 2; i++)
	{
		const vec_i bits = vec_set32(i == 0 ? 0x08040201 : (int) 0x80402010);

		if (grid_is_iq1(type))
			quads[i] = _mm256_add_epi8(vec_and(vec_sll16(quads[i], 3), vec_set8(-8)), all);
		else
		{
			const vec_i negative = _mm256_cmpeq_epi8(vec_and(all, bits), bits);

			quads[i] = _mm256_sub_epi8(vec_xor(quads[i], negative), negative);
		}
	}
}

/* a scale of 8 rows in both 16-bit halves of each lane */
VEC_INLINE vec_i
grid_scale(const uint8_t *eight)
{
	const vec_i places = _mm256_setr_epi32((int) 0x80008000, (int) 0x80018001, (int) 0x80028002, (int) 0x80038003,
										   (int) 0x80048004, (int) 0x80058005, (int) 0x80068006, (int) 0x80078007);

	return _mm256_shuffle_epi8(grid_twice(grid_load8(eight)), places);
}

/* quad k of a part of TQ1_0: digit n of 4 bytes */
VEC_INLINE vec_i
grid_digits(const uint8_t *bytes, int part, int k)
{
	static const uint8_t powers[5] = {1, 3, 9, 27, 81};
	const int	at = part < 5 ? 4 * k : part == 7 && k >= 4 ? 48 : 32 + 4 * (k % 4);
	const int	n = part < 5 ? part : part < 7 ? 2 * (part - 5) + k / 4 : k < 4 ? 4 : k - 4;
	const vec_i quad = grid_words32(GRID_BYTE(bytes, at));
	const vec_i low = vec_set16(255);
	vec_i		digit[2] = {vec_and(quad, low), vec_srl16(quad, 8)};

	for (int i = 0; i < 2; i++)
		digit[i] = vec_srl16(vec_mul16(vec_and(vec_mul16(digit[i], vec_set16(powers[n])), low), vec_set16(3)), 8);
	return _mm256_sub_epi8(vec_or(digit[0], vec_sll16(digit[1], 8)), vec_set8(1));
}

/* quads 2 i and 2 i + 1 of part `part` of an opened super-block, signed bytes */
VEC_INLINE void
decode_grid(const LlmType type, const GridBlock *grid, int part, int i, vec_i *quads)
{
	if (type == LLM_TYPE_TQ1_0)
	{
		for (int k = 0; k < 2; k++)
			quads[k] = grid_digits(grid->bytes, part, 2 * i + k);
		return;
	}
	grid_points(type, grid->index[part], i, quads);
	grid_apply(type, grid->signs[part], i, quads);
}

/* the scale of half h of a part, in both 16-bit halves of each lane */
VEC_INLINE vec_i
grid_half_scale(const LlmType type, const GridBlock *grid, int part, int h)
{
	if (type == LLM_TYPE_TQ1_0)
		return vec_set16(1);
	return grid_scale(grid->scale[grid_has_halves(type) ? 2 * part + h : part]);
}

#endif
