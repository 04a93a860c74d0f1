/*
 * cache_q8.c: writing keys and values in 8 bits, and reading a page of them in plain C.
 */
#include "cpu/cache_q8.h"
#include "cpu/half.h"

size_t
llmk_page_bytes(LlmKvType type, int64_t head_dim)
{
	switch (type)
	{
		case LLM_KV_F32:
			return sizeof(float) * LLMK_PAGE_KEYS * (size_t) head_dim;
		case LLM_KV_F16:
			return sizeof(uint16_t) * LLMK_PAGE_KEYS * (size_t) head_dim;
		case LLM_KV_Q8:
			return LLMK_PAGE_KEYS * ((size_t) head_dim + sizeof(uint16_t) * (size_t) llmk_q8_blocks((int) head_dim));
	}
	return 0;
}

/* a block of n numbers: its scale; a NaN or infinity in it makes the scale NaN and every q 0 */
static uint16_t
round_block(const float *x, int n, int8_t *q, int64_t stride)
{
	uint32_t	largest = 0;	/* as bits: magnitudes order like integers, infinities and NaN above all */
	uint16_t	scale;
	float		d;

	for (int i = 0; i < n; i++)
	{
		uint32_t	bits = llmk_float_to_bits(x[i]) & 0x7fffffff;

		largest = bits > largest ? bits : largest;
	}
	scale = largest < 0x7f800000 ? llmk_float_to_half(llmk_bits_to_float(largest) / 127.0f) : 0x7e00;
	d = llmk_half_inline(scale);
	for (int i = 0; i < n; i++)
	{
		/* half to even; what a small scale cannot hold is limited */
		float		r = d > 0 && d <= 65504.0f ? x[i] / d : 0;

		r = r > 127 ? 127 : r < -127 ? -127 : r;
		q[i * stride] = (int8_t) ((r + 12582912.0f) - 12582912.0f);
	}
	return scale;
}

void
llmk_q8_store_key(const float *k, int head_dim, int slot, void *k_page)
{
	int8_t	   *q = (int8_t *) k_page + slot;
	uint16_t   *scale = llmk_q8_scales(k_page, head_dim) + slot;

	for (int d = 0; d < head_dim; d += LLM_QK)
		scale[d / LLM_QK * LLMK_PAGE_KEYS] = round_block(k + d, head_dim - d < LLM_QK ? head_dim - d : LLM_QK,
														 q + (int64_t) d * LLMK_PAGE_KEYS, LLMK_PAGE_KEYS);
}

void
llmk_q8_store_value(const float *v, int head_dim, int slot, void *v_page)
{
	int8_t	   *q = (int8_t *) v_page + (int64_t) slot * head_dim;
	uint16_t   *scale = llmk_q8_scales(v_page, head_dim) + slot * llmk_q8_blocks(head_dim);

	for (int d = 0; d < head_dim; d += LLM_QK)
		scale[d / LLM_QK] = round_block(v + d, head_dim - d < LLM_QK ? head_dim - d : LLM_QK, q + d, 1);
}

void
llmk_q8_read_keys_generic(const void *k_page, int head_dim, float *out)
{
	const int8_t *q = k_page;
	const uint16_t *scales = llmk_q8_scales(k_page, head_dim);

	for (int d = 0; d < head_dim; d++)
	{
		for (int key = 0; key < LLMK_PAGE_KEYS; key++)
			out[d * LLMK_PAGE_KEYS + key] = llmk_half_inline(scales[d / LLM_QK * LLMK_PAGE_KEYS + key]) *
				(float) q[d * LLMK_PAGE_KEYS + key];
	}
}

void
llmk_q8_read_values_generic(const void *v_page, int head_dim, float *out)
{
	const int8_t *q = v_page;
	const uint16_t *scales = llmk_q8_scales(v_page, head_dim);
	const int64_t n_blocks = llmk_q8_blocks(head_dim);

	for (int key = 0; key < LLMK_PAGE_KEYS; key++)
	{
		for (int d = 0; d < head_dim; d++)
			out[key * head_dim + d] = llmk_half_inline(scales[key * n_blocks + d / LLM_QK]) * (float) q[key * head_dim + d];
	}
}
