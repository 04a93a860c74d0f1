/*
 * pack_codes.c: codes of a row to and from their place in a packed block; the layout is in codes.h.
 */
#include <string.h>

#include "cpu/codes.h"

/* four codes at once: quads are moved as one number, in which no bit leaves its byte */
static inline uint32_t
load_quad(const uint8_t *p)
{
	uint32_t	quad;

	memcpy(&quad, p, sizeof(quad));
	return quad;
}

static inline void
store_quad(uint8_t *p, uint32_t quad)
{
	memcpy(p, &quad, sizeof(quad));
}

/* code and code + 4 quads share the nibbles of a byte; p: bytes of the row's quad 0 in a part */
static void
put_low(int low_bits, const uint8_t *q, uint8_t *p)
{
	const int	quad_stride = 4 * LLMK_ROWS;
	const uint32_t nibbles = 0x0f0f0f0f;
	const uint32_t pairs = 0x03030303;

	for (int k = 0; k < 4 && low_bits == 4; k++)
		store_quad(p + k * quad_stride, (load_quad(q + 4 * k) & nibbles) | (load_quad(q + 4 * k + 16) & nibbles) << 4);
	for (int k = 0; k < 2 && low_bits == 2; k++)
	{
		const uint8_t *four = q + 16 * k;

		store_quad(p + k * quad_stride, (load_quad(four) & pairs) | (load_quad(four + 4) & pairs) << 2 |
				   (load_quad(four + 8) & pairs) << 4 | (load_quad(four + 12) & pairs) << 6);
	}
}

static void
get_low(int low_bits, const uint8_t *p, uint8_t *q)
{
	const int	quad_stride = 4 * LLMK_ROWS;
	int			c;

	memset(q, 0, LLM_QK);
	for (c = 0; c < LLM_QK && low_bits == 4; c++)
		q[c] = p[c / 4 % 4 * quad_stride + c % 4] >> (c < 16 ? 0 : 4) & 15;
	for (c = 0; c < LLM_QK && low_bits == 2; c++)
		q[c] = p[c / 16 * quad_stride + c % 4] >> (2 * (c / 4 % 4)) & 3;
}

/* bit low_bits of the code of column c to bit c / 4 of byte c % 4 */
static void
put_high(int low_bits, const uint8_t *q, uint8_t *p)
{
	uint32_t	bits = 0;

	for (int k = 0; k < LLM_QK / 4; k++)
		bits |= (load_quad(q + 4 * k) >> low_bits & 0x01010101) << k;
	store_quad(p, bits);
}

static void
get_high(int low_bits, const uint8_t *p, uint8_t *q)
{
	int			c;

	for (c = 0; c < LLM_QK; c++)
		q[c] |= (uint8_t) ((p[c % 4] >> (c / 4) & 1) << low_bits);
}

/*
 * llmk_codes_to_packed: codes into row `row` of a packed block; every byte of the row is written.
 */
void
llmk_codes_to_packed(LlmType type, const LlmkCodes *codes, int row, void *block)
{
	const LlmkCodeLayout l = llmk_code_layout(type);
	uint8_t    *halves = (uint8_t *) block + llmk_halves_off(l) + 2 * row;
	uint8_t    *scales = (uint8_t *) block + llmk_scales_off(l) + row;
	int			i;

	for (i = 0; i < l.n_parts; i++)
	{
		uint8_t    *part = (uint8_t *) block + (size_t) i * llmk_part_bytes(l) + 4 * row;

		put_low(l.low_bits, codes->q + LLM_QK * i, part);
		if (l.high_bits)
			put_high(l.low_bits, codes->q + LLM_QK * i, part + l.low_bits * 4 * LLMK_ROWS);
	}
	for (i = 0; i < l.n_scales; i++)
		scales[i * LLMK_ROWS] = codes->s[i];
	if (l.n_halves > 0)
		memcpy(halves, &codes->d, 2);
	if (l.n_halves > 1)
		memcpy(halves + 2 * LLMK_ROWS, &codes->m, 2);
}

/*
 * llmk_codes_from_packed: the inverse of llmk_codes_to_packed.
 */
void
llmk_codes_from_packed(LlmType type, const void *block, int row, LlmkCodes *codes)
{
	const LlmkCodeLayout l = llmk_code_layout(type);
	const uint8_t *halves = (const uint8_t *) block + llmk_halves_off(l) + 2 * row;
	const uint8_t *scales = (const uint8_t *) block + llmk_scales_off(l) + row;
	int			i;

	for (i = 0; i < l.n_parts; i++)
	{
		const uint8_t *part = (const uint8_t *) block + (size_t) i * llmk_part_bytes(l) + 4 * row;

		get_low(l.low_bits, part, codes->q + LLM_QK * i);
		if (l.high_bits)
			get_high(l.low_bits, part + l.low_bits * 4 * LLMK_ROWS, codes->q + LLM_QK * i);
	}
	for (i = 0; i < l.n_scales; i++)
		codes->s[i] = scales[i * LLMK_ROWS];
	if (l.n_halves > 0)
		memcpy(&codes->d, halves, 2);
	if (l.n_halves > 1)
		memcpy(&codes->m, halves + 2 * LLMK_ROWS, 2);
}
