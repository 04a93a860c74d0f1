/*
 * quantize_avx512.c: activations to 8 bits with AVX-512; the numbers are those of quantize_generic.c.
 */
#include <string.h>

#include "cpu/levels.h"
#include "cpu/simd.h"

/* x / scale rounded half to even and limited to -127 .. 127, as 16 bytes */
static inline __m128i
quantize_lanes(__m512 x, __m512 scale)
{
	__m512i		q = _mm512_cvtps_epi32(_mm512_div_ps(x, scale));

	q = _mm512_max_epi32(_mm512_min_epi32(q, _mm512_set1_epi32(127)), _mm512_set1_epi32(-127));
	return _mm512_cvtepi32_epi8(q);
}

/* largest of 8 32-bit numbers */
static inline int
max_lanes(__m256i a)
{
	__m128i		m = _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));

	m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
	m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
	return _mm_cvtsi128_si32(m);
}

/* sum of 16 signed bytes */
static inline int
sum_bytes(__m128i a)
{
	__m128i		pairs = _mm_maddubs_epi16(_mm_set1_epi8(1), a);
	__m128i		quads = _mm_madd_epi16(pairs, _mm_set1_epi16(1));

	quads = _mm_add_epi32(quads, _mm_shuffle_epi32(quads, 0x4e));
	quads = _mm_add_epi32(quads, _mm_shuffle_epi32(quads, 0xb1));
	return _mm_cvtsi128_si32(quads);
}

static inline float
block_scale(const float *x)
{
	const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
	__m512i		largest = _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(_mm512_loadu_ps(x)), magnitude),
										   _mm512_and_si512(_mm512_castps_si512(_mm512_loadu_ps(x + 16)), magnitude));
	int			bits = max_lanes(_mm256_max_epi32(_mm512_castsi512_si256(largest), _mm512_extracti64x4_epi64(largest, 1)));

	return bits < 0x7f800000 ? _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(bits))) / 127.0f : __builtin_nanf("");
}

static inline void
block_round(const float *x, float d, int8_t *q, int16_t *s)
{
	int			i;

	if (!(d > 0.0f))
	{
		memset(q, 0, LLM_QK);
		s[0] = s[1] = 0;
		return;
	}
	for (i = 0; i < 2; i++)
	{
		__m128i		bytes = quantize_lanes(_mm512_loadu_ps(x + 16 * i), _mm512_set1_ps(d));

		_mm_storeu_si128((void *) (q + 16 * i), bytes);
		s[i] = (int16_t) sum_bytes(bytes);
	}
}

static inline void
block_rest(const float *x, const int8_t *q, float d2, float *rest)
{
	const __m256 scale = _mm256_set1_ps(d2);
	const __m256 ratio = _mm256_set1_ps(LLMK_TERM_RATIO);
	int			i;

	for (i = 0; i < LLM_QK; i += 8)
	{
		__m256		v = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *) (q + i))));

		_mm256_storeu_ps(rest + i, _mm256_fnmadd_ps(scale, _mm256_mul_ps(ratio, v), _mm256_loadu_ps(x + i)));
	}
}

#include "cpu/quantize.h"

/*
 * llmk_quantize_avx512: see quantize in kernels.h.
 */
void
llmk_quantize_avx512(const float *x, int64_t n, const LlmkTerm term[2])
{
	quantize_row(x, n, term);
}
