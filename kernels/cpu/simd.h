/*
 * simd.h: the x86 intrinsics for files that belong to one CPU level.
 *
 * Files of the levels AVX-VNNI, AVX-512 and AVX-512 VNNI are compiled twice: for use, with the compiler's own
 * intrinsics; and for tests, with LLMK_SIMDE defined, where SIMDe stands in for instructions the machine lacks and the
 * functions get other names (levels.h), so that both can be linked into one program.
 * Source: SIMD Everywhere, https://github.com/simd-everywhere/simde
 */
#ifndef LLMK_SIMD_H
#define LLMK_SIMD_H

/* before a loop whose count is a constant below 16: unrolled whole, so that arrays of vectors become registers */
#if defined(__clang__)
#define LLMK_UNROLL _Pragma("clang loop unroll(full)")
#else
#define LLMK_UNROLL _Pragma("GCC unroll 16")
#endif

#if defined(LLMK_SIMDE)

#define SIMDE_ENABLE_NATIVE_ALIASES
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"
#include <simde/x86/avx512.h>
#pragma GCC diagnostic pop
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>

/* missing or wrong in SIMDe 0.7.4 */
#undef _mm512_madd_epi16
#define _mm512_madd_epi16(a, b) simde_mm512_madd_epi16(a, b)

#define LLMK_JOIN(low, high) _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1)
#define LLMK_LOW_PS(a) _mm256_castsi256_ps(_mm512_castsi512_si256(_mm512_castps_si512(a)))
#define LLMK_HIGH_PS(a) _mm256_castsi256_ps(_mm512_extracti64x4_epi64(_mm512_castps_si512(a), 1))

static inline __m512
llmk_simde_cvtph_ps(__m256i a)
{
	__m256		low = _mm256_cvtph_ps(_mm256_castsi256_si128(a));
	__m256		high = _mm256_cvtph_ps(_mm256_extracti128_si256(a, 1));

	return _mm512_castsi512_ps(LLMK_JOIN(_mm256_castps_si256(low), _mm256_castps_si256(high)));
}
#undef _mm512_cvtph_ps
#define _mm512_cvtph_ps(a) llmk_simde_cvtph_ps(a)

static inline __m512
llmk_simde_cvtepi32_ps(__m512i a)
{
	__m256		low = _mm256_cvtepi32_ps(_mm512_castsi512_si256(a));
	__m256		high = _mm256_cvtepi32_ps(_mm512_extracti64x4_epi64(a, 1));

	return _mm512_castsi512_ps(LLMK_JOIN(_mm256_castps_si256(low), _mm256_castps_si256(high)));
}
#undef _mm512_cvtepi32_ps
#define _mm512_cvtepi32_ps(a) llmk_simde_cvtepi32_ps(a)

static inline __m512i
llmk_simde_cvtps_epi32(__m512 a)
{
	return LLMK_JOIN(_mm256_cvtps_epi32(LLMK_LOW_PS(a)), _mm256_cvtps_epi32(LLMK_HIGH_PS(a)));
}
#undef _mm512_cvtps_epi32
#define _mm512_cvtps_epi32(a) llmk_simde_cvtps_epi32(a)

static inline __m512i
llmk_simde_cvtepu16_epi32(__m256i a)
{
	return LLMK_JOIN(_mm256_cvtepu16_epi32(_mm256_castsi256_si128(a)),
					 _mm256_cvtepu16_epi32(_mm256_extracti128_si256(a, 1)));
}
#undef _mm512_cvtepu16_epi32
#define _mm512_cvtepu16_epi32(a) llmk_simde_cvtepu16_epi32(a)

static inline __m128i
llmk_simde_cvtepi32_epi8(__m512i a)
{
	int			lanes[16];
	signed char bytes[16];
	int			i;

	_mm512_storeu_si512(lanes, a);
	for (i = 0; i < 16; i++)
		bytes[i] = (signed char) lanes[i];
	return _mm_loadu_si128((const void *) bytes);
}
#undef _mm512_cvtepi32_epi8
#define _mm512_cvtepi32_epi8(a) llmk_simde_cvtepi32_epi8(a)

static inline __m256
llmk_simde_extractf32x8_ps(__m512 a, int half)
{
	float		lanes[16];

	_mm512_storeu_ps(lanes, a);
	return _mm256_loadu_ps(lanes + 8 * half);
}
#undef _mm512_extractf32x8_ps
#define _mm512_extractf32x8_ps(a, half) llmk_simde_extractf32x8_ps(a, half)

static inline __m512i
llmk_simde_srai_epi32(__m512i a, unsigned int count)
{
	int			lanes[16];
	int			i;

	_mm512_storeu_si512(lanes, a);
	for (i = 0; i < 16; i++)
		lanes[i] >>= count;
	return _mm512_loadu_si512(lanes);
}
#undef _mm512_srai_epi32
#define _mm512_srai_epi32(a, count) llmk_simde_srai_epi32(a, count)

static inline __m512
llmk_simde_mask_loadu_ps(__m512 other, __mmask16 mask, const float *p)
{
	float		lanes[16];
	int			i;

	_mm512_storeu_ps(lanes, other);
	for (i = 0; i < 16; i++)
	{
		if (mask >> i & 1)
			lanes[i] = p[i];
	}
	return _mm512_loadu_ps(lanes);
}
#undef _mm512_mask_loadu_ps
#define _mm512_mask_loadu_ps(other, mask, p) llmk_simde_mask_loadu_ps(other, mask, p)
#undef _mm512_maskz_loadu_ps
#define _mm512_maskz_loadu_ps(mask, p) llmk_simde_mask_loadu_ps(_mm512_setzero_ps(), mask, p)

static inline void
llmk_simde_mask_storeu_ps(float *p, __mmask16 mask, __m512 a)
{
	float		lanes[16];
	int			i;

	_mm512_storeu_ps(lanes, a);
	for (i = 0; i < 16; i++)
	{
		if (mask >> i & 1)
			p[i] = lanes[i];
	}
}
#undef _mm512_mask_storeu_ps
#define _mm512_mask_storeu_ps(p, mask, a) llmk_simde_mask_storeu_ps(p, mask, a)

#define _mm256_dpbusd_avx_epi32(sum, a, b) simde_mm256_dpbusd_epi32(sum, a, b)

#else

#include <immintrin.h>

#endif

#endif
