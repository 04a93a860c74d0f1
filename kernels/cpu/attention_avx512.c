/*
 * attention_avx512.c: attention_tile.h with 512-bit vectors. Writing keys and values stays with AVX2: it is bound by
 * memory.
 */
#include "cpu/math_avx512.h"

typedef __m512 Vec;

#define VEC_LANES 16
#define VEC_SUMS 12

static inline Vec
vec_set1(float x)
{
	return _mm512_set1_ps(x);
}

static inline Vec
vec_load(const float *x)
{
	return _mm512_loadu_ps(x);
}

static inline void
vec_store(float *x, Vec v)
{
	_mm512_storeu_ps(x, v);
}

static inline Vec
vec_load_half(const uint16_t *x)
{
	__m256		low = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) x));
	__m256		high = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) (x + 8)));

	return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
}

static inline Vec
vec_hold(Vec v)
{
	return v;
}

static inline Vec
vec_fma(Vec a, Vec b, Vec c)
{
	return _mm512_fmadd_ps(a, b, c);
}

static inline Vec
vec_mul(Vec a, Vec b)
{
	return _mm512_mul_ps(a, b);
}

static inline Vec
vec_div(Vec a, Vec b)
{
	return _mm512_div_ps(a, b);
}

static inline Vec
vec_sub(Vec a, Vec b)
{
	return _mm512_sub_ps(a, b);
}

static inline Vec
vec_add(Vec a, Vec b)
{
	return _mm512_add_ps(a, b);
}

static inline Vec
vec_larger(Vec candidate, Vec max)
{
	return _mm512_max_ps(candidate, max);
}

static inline float
vec_largest_lane(Vec v)
{
	__m256		m8 = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
	__m128		m = _mm_max_ps(_mm256_castps256_ps128(m8), _mm256_extractf128_ps(m8, 1));

	m = _mm_max_ps(m, _mm_movehl_ps(m, m));
	return _mm_cvtss_f32(_mm_max_ss(m, _mm_shuffle_ps(m, m, 1)));
}

static inline Vec
vec_exp_softmax(Vec x)
{
	return llmk_exp_softmax_avx512(x);
}

static inline Vec
vec_tanh(Vec x)
{
	return llmk_tanhf_avx512(x);
}

static inline Vec
vec_visible(Vec v, int first, int begin, int end, Vec other)
{
	__m512i		key = _mm512_add_epi32(_mm512_set1_epi32(first),
									   _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
	__mmask16	before = _mm512_cmpgt_epi32_mask(_mm512_set1_epi32(begin), key);
	__mmask16	not_after = _mm512_cmpgt_epi32_mask(_mm512_set1_epi32(end), key);

	return _mm512_mask_blend_ps((__mmask16) (not_after & ~before), other, v);
}

#include "cpu/attention_tile.h"

void
llmk_attention_fill_avx512(LlmKernels *k)
{
	k->attend_page = attend_page;
	k->attend_merge = attend_merge;
}
