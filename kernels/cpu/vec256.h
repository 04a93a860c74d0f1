/*
 * vec256.h: 8 lanes of 32 bits in AVX2 registers, under the names that matmul_quant.h and matmul_float.h use.
 *
 * A vector covers VEC_GROUPS groups of 8 rows: here one, so the distance between groups is never needed.
 */
#ifndef LLMK_VEC256_H
#define LLMK_VEC256_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cpu/simd.h"

#define VEC_GROUPS 1
#define VEC_LANES 8
#define VEC_TILE_TOKENS 6		/* float tile: 2 vectors of rows by 6 tokens leaves 4 of 16 registers */

#define VEC_INLINE static inline __attribute__((always_inline))

typedef __m256i vec_i;
typedef __m256 vec_f;

/* 32 bytes of each group */
VEC_INLINE vec_i
vec_load(const void *p, size_t group_stride)
{
	(void) group_stride;
	return _mm256_loadu_si256(p);
}

VEC_INLINE void
vec_store(void *p, vec_i a)
{
	_mm256_storeu_si256(p, a);
}

/* 8 bytes of each group, as signed numbers in 32-bit lanes */
VEC_INLINE vec_i
vec_load_i8(const void *p, size_t group_stride)
{
	(void) group_stride;
	return _mm256_cvtepi8_epi32(_mm_loadl_epi64(p));
}

/* 8 bytes of each group, as unsigned numbers in 32-bit lanes */
VEC_INLINE vec_i
vec_load_u8(const void *p, size_t group_stride)
{
	(void) group_stride;
	return _mm256_cvtepu8_epi32(_mm_loadl_epi64(p));
}

/* 8 floats, halves or bfloat16 of each group */
VEC_INLINE vec_f
vec_load_f32(const void *p, size_t group_stride)
{
	(void) group_stride;
	return _mm256_loadu_ps(p);
}

VEC_INLINE vec_f
vec_load_f16(const void *p, size_t group_stride)
{
	(void) group_stride;
	return _mm256_cvtph_ps(_mm_loadu_si128(p));
}

VEC_INLINE vec_f
vec_load_bf16(const void *p, size_t group_stride)
{
	(void) group_stride;
	return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(p)), 16));
}

/* 4 bytes in every lane */
VEC_INLINE vec_i
vec_bcast(const void *p)
{
	int			word;

	memcpy(&word, p, sizeof(word));
	return _mm256_set1_epi32(word);
}

VEC_INLINE vec_f
vec_bcast_f(const float *p)
{
	return _mm256_broadcast_ss(p);
}

VEC_INLINE vec_f
vec_set_f(float value)
{
	return _mm256_set1_ps(value);
}

VEC_INLINE vec_i
vec_set8(int value)
{
	return _mm256_set1_epi8((char) value);
}

VEC_INLINE vec_i
vec_set16(int value)
{
	return _mm256_set1_epi16((short) value);
}

VEC_INLINE vec_i
vec_set32(int value)
{
	return _mm256_set1_epi32(value);
}

VEC_INLINE vec_i
vec_and(vec_i a, vec_i b)
{
	return _mm256_and_si256(a, b);
}

VEC_INLINE vec_i
vec_or(vec_i a, vec_i b)
{
	return _mm256_or_si256(a, b);
}

VEC_INLINE vec_i
vec_xor(vec_i a, vec_i b)
{
	return _mm256_xor_si256(a, b);
}

VEC_INLINE vec_i
vec_srl16(vec_i a, int n)
{
	return _mm256_srli_epi16(a, n);
}

VEC_INLINE vec_i
vec_sll16(vec_i a, int n)
{
	return _mm256_slli_epi16(a, n);
}

VEC_INLINE vec_i
vec_sra16(vec_i a, int n)
{
	return _mm256_srai_epi16(a, n);
}

VEC_INLINE vec_i
vec_sll32(vec_i a, int n)
{
	return _mm256_slli_epi32(a, n);
}

/* n need not be a constant */
VEC_INLINE vec_i
vec_srl32(vec_i a, int n)
{
	return _mm256_srl_epi32(a, _mm_cvtsi32_si128(n));
}

/* entries of a table of 16 bytes by the bytes of index, 0 .. 15 */
VEC_INLINE vec_i
vec_lookup8(const int8_t *table, vec_i index)
{
	return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const void *) table)), index);
}

VEC_INLINE vec_i
vec_abs8(vec_i a)
{
	return _mm256_abs_epi8(a);
}

/* a with the sign of b's bytes; where b is 0 the result does not matter */
VEC_INLINE vec_i
vec_sign8(vec_i a, vec_i b)
{
	return _mm256_sign_epi8(a, b);
}

VEC_INLINE vec_i
vec_add16(vec_i a, vec_i b)
{
	return _mm256_add_epi16(a, b);
}

VEC_INLINE vec_i
vec_add32(vec_i a, vec_i b)
{
	return _mm256_add_epi32(a, b);
}

VEC_INLINE vec_i
vec_max32(vec_i a, vec_i b)
{
	return _mm256_max_epi32(a, b);
}

VEC_INLINE vec_i
vec_min32(vec_i a, vec_i b)
{
	return _mm256_min_epi32(a, b);
}

/* the low 16 bits of each product */
VEC_INLINE vec_i
vec_mul16(vec_i a, vec_i b)
{
	return _mm256_mullo_epi16(a, b);
}

VEC_INLINE vec_i
vec_mul32(vec_i a, vec_i b)
{
	return _mm256_mullo_epi32(a, b);
}

/* 16-bit lanes: sums of 2 products of unsigned a and signed b */
VEC_INLINE vec_i
vec_maddubs(vec_i a, vec_i b)
{
	return _mm256_maddubs_epi16(a, b);
}

/* 32-bit lanes: sums of 2 products of 16-bit numbers */
VEC_INLINE vec_i
vec_madd(vec_i a, vec_i b)
{
	return _mm256_madd_epi16(a, b);
}

VEC_INLINE vec_f
vec_to_f(vec_i a)
{
	return _mm256_cvtepi32_ps(a);
}

/* halves in the low 16 bits of each lane; lanes as the bits of floats */
VEC_INLINE vec_f
vec_half_to_f(vec_i a)
{
	return _mm256_cvtph_ps(_mm_packus_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1)));
}

VEC_INLINE vec_f
vec_bits_to_f(vec_i a)
{
	return _mm256_castsi256_ps(a);
}

VEC_INLINE vec_f
vec_zero_f(void)
{
	return _mm256_setzero_ps();
}

VEC_INLINE vec_f
vec_load_acc(const float *p)
{
	return _mm256_loadu_ps(p);
}

VEC_INLINE void
vec_store_acc(float *p, vec_f a)
{
	_mm256_storeu_ps(p, a);
}

/* 8 lanes for each group, group_stride bytes apart */
VEC_INLINE void
vec_store_groups(void *p, size_t group_stride, vec_f a)
{
	(void) group_stride;
	_mm256_storeu_ps(p, a);
}

VEC_INLINE vec_f
vec_mul_f(vec_f a, vec_f b)
{
	return _mm256_mul_ps(a, b);
}

/* a * b + c, rounded once */
VEC_INLINE vec_f
vec_fma(vec_f a, vec_f b, vec_f c)
{
	return _mm256_fmadd_ps(a, b, c);
}

#endif
