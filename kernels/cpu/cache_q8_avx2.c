/*
 * cache_q8_avx2.c: reading pages in 8 bits with 256-bit vectors.
 */
#include <immintrin.h>

#include "cpu/cache_q8.h"
#include "cpu/half.h"

static inline __m256
load_q(const int8_t *q)
{
	return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *) q)));
}

void
llmk_q8_read_keys_avx2(const void *k_page, int head_dim, float *out)
{
	const int8_t *q = k_page;
	const uint16_t *scales = llmk_q8_scales(k_page, head_dim);

	for (int d = 0; d < head_dim; d += LLM_QK)
	{
		const int	end = head_dim - d < LLM_QK ? head_dim : d + LLM_QK;

		for (int key = 0; key < LLMK_PAGE_KEYS; key += 8)
		{
			const uint16_t *s = scales + d / LLM_QK * LLMK_PAGE_KEYS + key;
			const __m256 scale = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) s));

			for (int i = d; i < end; i++)
				_mm256_storeu_ps(out + i * LLMK_PAGE_KEYS + key, _mm256_mul_ps(scale, load_q(q + i * LLMK_PAGE_KEYS + key)));
		}
	}
}

void
llmk_q8_read_values_avx2(const void *v_page, int head_dim, float *out)
{
	const int8_t *q = v_page;
	const uint16_t *scales = llmk_q8_scales(v_page, head_dim);

	for (int key = 0; key < LLMK_PAGE_KEYS; key++)
	{
		for (int d = 0; d < head_dim; d += LLM_QK, scales++)
		{
			const int	end = head_dim - d < LLM_QK ? head_dim : d + LLM_QK;
			const float scale = _cvtsh_ss(*scales);
			int			i = d;

			for (; i + 8 <= end; i += 8)
				_mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_set1_ps(scale), load_q(q + i)));
			for (; i < end; i++)
				out[i] = scale * (float) q[i];
		}
		q += head_dim;
		out += head_dim;
	}
}
