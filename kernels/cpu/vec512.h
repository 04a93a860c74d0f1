/*
 * vec512.h: 16 lanes of 32 bits in AVX-512 registers, under the names that matmul_quant.h and matmul_float.h use.
 *
 * A vector covers VEC_GROUPS groups of 8 rows, here two, which lie group_stride bytes apart.
 */
#ifndef LLMK_VEC512_H
#define LLMK_VEC512_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cpu/simd.h"

#define VEC_GROUPS 2
#define VEC_LANES 16
#define VEC_TILE_TOKENS 8		/* float tile: 2 vectors of rows by 8 tokens, 16 sums to hide the latency of each */

#define VEC_INLINE static inline __attribute__((always_inline))

typedef __m512i vec_i;
typedef __m512 vec_f;

VEC_INLINE vec_i
vec_join(__m256i low, __m256i high)
{
	return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

/* 16 bytes of each group */
VEC_INLINE __m256i
vec_load_16(const void *p, size_t group_stride)
{
	return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(p)),
								   _mm_loadu_si128((const void *) ((const char *) p + group_stride)), 1);
}

/* 32 bytes of each group */
VEC_INLINE vec_i
vec_load(const void *p, size_t group_stride)
{
	return vec_join(_mm256_loadu_si256(p), _mm256_loadu_si256((const void *) ((const char *) p + group_stride)));
}

/* 8 bytes of each group, as signed numbers in 32-bit lanes */
VEC_INLINE vec_i
vec_load_i8(const void *p, size_t group_stride)
{
	__m128i		low = _mm_loadl_epi64(p);
	__m128i		high = _mm_loadl_epi64((const void *) ((const char *) p + group_stride));

	return vec_join(_mm256_cvtepi8_epi32(low), _mm256_cvtepi8_epi32(high));
}

/* 8 bytes of each group, as unsigned numbers in 32-bit lanes */
VEC_INLINE vec_i
vec_load_u8(const void *p, size_t group_stride)
{
	__m128i		low = _mm_loadl_epi64(p);
	__m128i		high = _mm_loadl_epi64((const void *) ((const char *) p + group_stride));

	return vec_join(_mm256_cvtepu8_epi32(low), _mm256_cvtepu8_epi32(high));
}

/* 8 floats, halves or bfloat16 of each group */
VEC_INLINE vec_f
vec_load_f32(const void *p, size_t group_stride)
{
	return _mm512_castsi512_ps(vec_load(p, group_stride));
}

VEC_INLINE vec_f
vec_load_f16(const void *p, size_t group_stride)
{
	return _mm512_cvtph_ps(vec_load_16(p, group_stride));
}

VEC_INLINE vec_f
vec_load_bf16(const void *p, size_t group_stride)
{
	return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(vec_load_16(p, group_stride)), 16));
}

/* 4 bytes in every lane */
VEC_INLINE vec_i
vec_bcast(const void *p)
{
	int			word;

	memcpy(&word, p, sizeof(word));
	return _mm512_set1_epi32(word);
}

VEC_INLINE vec_f
vec_bcast_f(const float *p)
{
	return _mm512_set1_ps(*p);
}

VEC_INLINE vec_f
vec_set_f(float value)
{
	return _mm512_set1_ps(value);
}

VEC_INLINE vec_i
vec_set8(int value)
{
	return _mm512_set1_epi8((char) value);
}

VEC_INLINE vec_i
vec_set16(int value)
{
	return _mm512_set1_epi16((short) value);
}

VEC_INLINE vec_i
vec_set32(int value)
{
	return _mm512_set1_epi32(value);
}

VEC_INLINE vec_i
vec_and(vec_i a, vec_i b)
{
	return _mm512_and_si512(a, b);
}

VEC_INLINE vec_i
vec_or(vec_i a, vec_i b)
{
	return _mm512_or_si512(a, b);
}

VEC_INLINE vec_i
vec_xor(vec_i a, vec_i b)
{
	return _mm512_xor_si512(a, b);
}

VEC_INLINE vec_i
vec_srl16(vec_i a, int n)
{
	return _mm512_srli_epi16(a, (unsigned int) n);
}

VEC_INLINE vec_i
vec_sll16(vec_i a, int n)
{
	return _mm512_slli_epi16(a, (unsigned int) n);
}

VEC_INLINE vec_i
vec_sll32(vec_i a, int n)
{
	return _mm512_slli_epi32(a, (unsigned int) n);
}

/* n need not be a constant */
VEC_INLINE vec_i
vec_srl32(vec_i a, int n)
{
	return _mm512_srl_epi32(a, _mm_cvtsi32_si128(n));
}

/* entries of a table of 16 bytes by the bytes of index, 0 .. 15 */
VEC_INLINE vec_i
vec_lookup8(const int8_t *table, vec_i index)
{
	__m256i		twice = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *) table));

	return _mm512_shuffle_epi8(vec_join(twice, twice), index);
}

VEC_INLINE vec_i
vec_abs8(vec_i a)
{
	return _mm512_abs_epi8(a);
}

/* a with the sign of b's bytes; where b is 0 the result does not matter */
VEC_INLINE vec_i
vec_sign8(vec_i a, vec_i b)
{
	return _mm512_mask_sub_epi8(a, _mm512_movepi8_mask(b), _mm512_setzero_si512(), a);
}

VEC_INLINE vec_i
vec_add16(vec_i a, vec_i b)
{
	return _mm512_add_epi16(a, b);
}

VEC_INLINE vec_i
vec_add32(vec_i a, vec_i b)
{
	return _mm512_add_epi32(a, b);
}

VEC_INLINE vec_i
vec_max32(vec_i a, vec_i b)
{
	return _mm512_max_epi32(a, b);
}

VEC_INLINE vec_i
vec_min32(vec_i a, vec_i b)
{
	return _mm512_min_epi32(a, b);
}

VEC_INLINE vec_i
vec_mul32(vec_i a, vec_i b)
{
	return _mm512_mullo_epi32(a, b);
}

/* 16-bit lanes: sums of 2 products of unsigned a and signed b */
VEC_INLINE vec_i
vec_maddubs(vec_i a, vec_i b)
{
	return _mm512_maddubs_epi16(a, b);
}

/* 32-bit lanes: sums of 2 products of 16-bit numbers */
VEC_INLINE vec_i
vec_madd(vec_i a, vec_i b)
{
	return _mm512_madd_epi16(a, b);
}

VEC_INLINE vec_f
vec_to_f(vec_i a)
{
	return _mm512_cvtepi32_ps(a);
}

/* halves in the low 16 bits of each lane; lanes as the bits of floats */
VEC_INLINE vec_f
vec_half_to_f(vec_i a)
{
	__m256i		low = _mm512_castsi512_si256(a);
	__m256i		high = _mm512_extracti64x4_epi64(a, 1);

	/* packing works on 128-bit parts: the middle ones change places */
	return _mm512_cvtph_ps(_mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8));
}

VEC_INLINE vec_f
vec_bits_to_f(vec_i a)
{
	return _mm512_castsi512_ps(a);
}

VEC_INLINE vec_f
vec_zero_f(void)
{
	return _mm512_setzero_ps();
}

VEC_INLINE vec_f
vec_load_acc(const float *p)
{
	return _mm512_loadu_ps(p);
}

VEC_INLINE void
vec_store_acc(float *p, vec_f a)
{
	_mm512_storeu_ps(p, a);
}

/* 8 lanes for each group, group_stride bytes apart */
VEC_INLINE void
vec_store_groups(void *p, size_t group_stride, vec_f a)
{
	vec_i		bits = _mm512_castps_si512(a);

	_mm256_storeu_si256(p, _mm512_castsi512_si256(bits));
	_mm256_storeu_si256((void *) ((char *) p + group_stride), _mm512_extracti64x4_epi64(bits, 1));
}

VEC_INLINE vec_f
vec_mul_f(vec_f a, vec_f b)
{
	return _mm512_mul_ps(a, b);
}

/* a * b + c, rounded once */
VEC_INLINE vec_f
vec_fma(vec_f a, vec_f b, vec_f c)
{
	return _mm512_fmadd_ps(a, b, c);
}

#endif
