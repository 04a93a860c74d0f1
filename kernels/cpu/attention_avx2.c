/*
 * attention_avx2.c: attention_tile.h with 256-bit vectors. Twelve sums, a key or value and up to three broadcast numbers
 * fill the sixteen registers.
 */
#include "cpu/math_avx2.h"
#include "cpu/cache_q8.h"

typedef __m256 Vec;

#define VEC_LANES 8
#define VEC_SUMS 12

static inline Vec
vec_set1(float x)
{
	return _mm256_set1_ps(x);
}

static inline Vec
vec_load(const float *x)
{
	return _mm256_loadu_ps(x);
}

static inline void
vec_store(float *x, Vec v)
{
	_mm256_storeu_ps(x, v);
}

static inline Vec
vec_load_half(const uint16_t *x)
{
	return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) x));
}

/* gcc would fold the load into each of its uses, and loads are as scarce as multiply-adds */
static inline Vec
vec_hold(Vec v)
{
	__asm__("" : "+x"(v));
	return v;
}

static inline Vec
vec_fma(Vec a, Vec b, Vec c)
{
	return _mm256_fmadd_ps(a, b, c);
}

static inline Vec
vec_mul(Vec a, Vec b)
{
	return _mm256_mul_ps(a, b);
}

static inline Vec
vec_div(Vec a, Vec b)
{
	return _mm256_div_ps(a, b);
}

static inline Vec
vec_sub(Vec a, Vec b)
{
	return _mm256_sub_ps(a, b);
}

static inline Vec
vec_add(Vec a, Vec b)
{
	return _mm256_add_ps(a, b);
}

static inline Vec
vec_larger(Vec candidate, Vec max)
{
	return _mm256_max_ps(candidate, max);
}

static inline float
vec_largest_lane(Vec v)
{
	__m128		m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

	m = _mm_max_ps(m, _mm_movehl_ps(m, m));
	return _mm_cvtss_f32(_mm_max_ss(m, _mm_shuffle_ps(m, m, 1)));
}

static inline Vec
vec_exp_softmax(Vec x)
{
	return llmk_exp_softmax_avx2(x);
}

static inline Vec
vec_tanh(Vec x)
{
	return llmk_tanhf_avx2(x);
}

static inline Vec
vec_visible(Vec v, int first, int begin, int end, Vec other)
{
	__m256i		key = _mm256_add_epi32(_mm256_set1_epi32(first), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
	__m256i		before = _mm256_cmpgt_epi32(_mm256_set1_epi32(begin), key);
	__m256i		inside = _mm256_andnot_si256(before, _mm256_cmpgt_epi32(_mm256_set1_epi32(end), key));

	return _mm256_blendv_ps(other, v, _mm256_castsi256_ps(inside));
}

#include "cpu/attention_tile.h"

static void
store_key_avx2(const float *k, int head_dim, LlmKvType type, int slot, void *k_page)
{
	if (type == LLM_KV_Q8)
	{
		llmk_q8_store_key(k, head_dim, slot, k_page);
		return;
	}
	for (int d = 0; d < head_dim; d++)
	{
		if (type == LLM_KV_F32)
			((float *) k_page)[(int64_t) d * LLMK_PAGE_KEYS + slot] = k[d];
		else
			((uint16_t *) k_page)[(int64_t) d * LLMK_PAGE_KEYS + slot] = _cvtss_sh(k[d], 0);
	}
}

static void
store_value_avx2(const float *v, int head_dim, LlmKvType type, int slot, void *v_page)
{
	uint16_t   *row = (uint16_t *) v_page + (int64_t) slot * head_dim;
	int			d = 0;

	if (type == LLM_KV_Q8)
	{
		llmk_q8_store_value(v, head_dim, slot, v_page);
		return;
	}
	if (type == LLM_KV_F32)
	{
		memcpy((float *) v_page + (int64_t) slot * head_dim, v, sizeof(float) * (size_t) head_dim);
		return;
	}
	for (; d + 8 <= head_dim; d += 8)
		_mm_storeu_si128((__m128i *) (row + d), _mm256_cvtps_ph(_mm256_loadu_ps(v + d), 0));
	for (; d < head_dim; d++)
		row[d] = _cvtss_sh(v[d], 0);
}

void
llmk_attention_fill_avx2(LlmKernels *k)
{
	k->attend_page = attend_page;
	k->attend_merge = attend_merge;
	k->store_key = store_key_avx2;
	k->store_value = store_value_avx2;
	k->read_keys = llmk_q8_read_keys_avx2;
	k->read_values = llmk_q8_read_values_avx2;
}
