/*
 * quantize_avx2.c: activations to 8 bits with AVX2; the numbers are those of quantize_generic.c.
 */
#include <string.h>

#include "cpu/levels.h"
#include "cpu/simd.h"

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

/* x / scale rounded half to even, as bits limited to -127 .. 127 */
static inline __m256i
quantize_lanes(__m256 x, __m256 scale)
{
	__m256i		q = _mm256_cvtps_epi32(_mm256_div_ps(x, scale));

	return _mm256_max_epi32(_mm256_min_epi32(q, _mm256_set1_epi32(127)), _mm256_set1_epi32(-127));
}

static inline float
block_scale(const float *x)
{
	const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
	__m256i		largest = _mm256_setzero_si256();
	int			bits;
	int			i;

	for (i = 0; i < 4; i++)
		largest = _mm256_max_epi32(largest, _mm256_and_si256(_mm256_castps_si256(_mm256_loadu_ps(x + 8 * i)), magnitude));
	bits = max_lanes(largest);
	return bits < 0x7f800000 ? _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(bits))) / 127.0f : __builtin_nanf("");
}

static inline void
block_round(const float *x, float d, int8_t *q, int16_t *s)
{
	const __m256 scale = _mm256_set1_ps(d);
	__m256i		low;
	__m256i		high;

	if (!(d > 0.0f))
	{
		memset(q, 0, LLM_QK);
		s[0] = s[1] = 0;
		return;
	}

	/* packing takes 4 numbers of each half at a time: put the words of 4 bytes back into order at the end */
	low = _mm256_packs_epi32(quantize_lanes(_mm256_loadu_ps(x), scale), quantize_lanes(_mm256_loadu_ps(x + 8), scale));
	high = _mm256_packs_epi32(quantize_lanes(_mm256_loadu_ps(x + 16), scale), quantize_lanes(_mm256_loadu_ps(x + 24), scale));
	low = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
	_mm256_storeu_si256((void *) q, low);
	s[0] = (int16_t) sum_bytes(_mm256_castsi256_si128(low));
	s[1] = (int16_t) sum_bytes(_mm256_extracti128_si256(low, 1));
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
 * llmk_quantize_avx2: see quantize in kernels.h.
 */
void
llmk_quantize_avx2(const float *x, int64_t n, const LlmkTerm term[2])
{
	quantize_row(x, n, term);
}
