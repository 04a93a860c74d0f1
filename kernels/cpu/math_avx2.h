/*
 * math_avx2.h: math_scalar.h for eight floats at once, operation by operation the same.
 */
#ifndef LLMK_MATH_AVX2_H
#define LLMK_MATH_AVX2_H

#include "cpu/math_scalar.h"
#include "cpu/simd.h"

/* as llmk_exp_reduced */
static inline __m256
llmk_exp_reduced_avx2(__m256 x, __m256i *n_out)
{
	const __m256 magic = _mm256_set1_ps(LLMK_ROUND_MAGIC);
	const __m256 one = _mm256_set1_ps(1.0f);
	__m256		t = _mm256_fmadd_ps(x, _mm256_set1_ps(LLMK_LOG2E), magic);
	__m256		n = _mm256_sub_ps(t, magic);
	__m256		r = _mm256_fmadd_ps(n, _mm256_set1_ps(-LLMK_LN2_HI), x);
	__m256		p;

	r = _mm256_fmadd_ps(n, _mm256_set1_ps(-LLMK_LN2_LO), r);
	p = _mm256_fmadd_ps(_mm256_set1_ps(LLMK_EXP_C6), r, _mm256_set1_ps(LLMK_EXP_C5));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(LLMK_EXP_C4));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(LLMK_EXP_C3));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(LLMK_EXP_C2));
	p = _mm256_fmadd_ps(p, r, one);
	p = _mm256_fmadd_ps(p, r, one);
	*n_out = _mm256_sub_epi32(_mm256_castps_si256(t), _mm256_set1_epi32(LLMK_ROUND_MAGIC_BITS));
	return p;
}

/* 2^n for n of exponents, -126 <= n <= 127 */
static inline __m256
llmk_power_of_two_avx2(__m256i n)
{
	return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

/* as llmk_expf_inline */
static inline __m256
llmk_expf_avx2(__m256 x)
{
	__m256i		n;
	__m256i		half;
	__m256		p;

	x = _mm256_min_ps(_mm256_set1_ps(LLMK_EXP_MAX), x);
	x = _mm256_max_ps(_mm256_set1_ps(LLMK_EXP_MIN), x);
	p = llmk_exp_reduced_avx2(x, &n);
	half = _mm256_srai_epi32(n, 1);
	p = _mm256_mul_ps(p, llmk_power_of_two_avx2(half));
	return _mm256_mul_ps(p, llmk_power_of_two_avx2(_mm256_sub_epi32(n, half)));
}

/* as llmk_exp_softmax_inline */
static inline __m256
llmk_exp_softmax_avx2(__m256 x)
{
	__m256		below = _mm256_cmp_ps(x, _mm256_set1_ps(LLMK_SOFTMAX_MIN), _CMP_LT_OQ);
	__m256i		n;
	__m256		p = llmk_exp_reduced_avx2(x, &n);

	return _mm256_andnot_ps(below, _mm256_mul_ps(p, llmk_power_of_two_avx2(n)));
}

/* as llmk_tanhf_inline */
static inline __m256
llmk_tanhf_avx2(__m256 x)
{
	const __m256 sign = _mm256_set1_ps(-0.0f);
	const __m256 magic = _mm256_set1_ps(LLMK_ROUND_MAGIC);
	__m256		a = _mm256_min_ps(_mm256_set1_ps(LLMK_TANH_MAX), _mm256_andnot_ps(sign, x));
	__m256		t;
	__m256		n;
	__m256		r;
	__m256		p;
	__m256		s;
	__m256		d;
	__m256		q;

	a = _mm256_add_ps(a, a);
	t = _mm256_fmadd_ps(a, _mm256_set1_ps(LLMK_LOG2E), magic);
	n = _mm256_sub_ps(t, magic);
	r = _mm256_fmadd_ps(n, _mm256_set1_ps(-LLMK_LN2_HI), a);
	r = _mm256_fmadd_ps(n, _mm256_set1_ps(-LLMK_LN2_LO), r);
	p = _mm256_fmadd_ps(_mm256_set1_ps(LLMK_EXPM1_C7), r, _mm256_set1_ps(LLMK_EXPM1_C6));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(LLMK_EXPM1_C5));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(LLMK_EXPM1_C4));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(LLMK_EXPM1_C3));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(LLMK_EXPM1_C2));
	p = _mm256_fmadd_ps(_mm256_mul_ps(r, r), p, r);
	s = llmk_power_of_two_avx2(_mm256_sub_epi32(_mm256_castps_si256(t), _mm256_set1_epi32(LLMK_ROUND_MAGIC_BITS)));
	p = _mm256_fmadd_ps(s, p, _mm256_sub_ps(s, _mm256_set1_ps(1.0f)));
	d = _mm256_add_ps(p, _mm256_set1_ps(2.0f));
	q = _mm256_div_ps(p, d);
	r = _mm256_fnmadd_ps(q, d, p);
	r = _mm256_fnmadd_ps(q, _mm256_sub_ps(p, _mm256_sub_ps(d, _mm256_set1_ps(2.0f))), r);
	q = _mm256_add_ps(q, _mm256_div_ps(r, d));
	return _mm256_or_ps(_mm256_andnot_ps(sign, q), _mm256_and_ps(sign, x));
}

/* as llmk_gelu_mul_inline */
static inline __m256
llmk_gelu_mul_avx2(__m256 gate, __m256 up)
{
	const __m256 one = _mm256_set1_ps(1.0f);
	__m256		cube = _mm256_fmadd_ps(_mm256_mul_ps(gate, gate), _mm256_set1_ps(LLMK_GELU_CUBE), one);
	__m256		inner = _mm256_mul_ps(cube, _mm256_mul_ps(gate, _mm256_set1_ps(LLMK_GELU_SCALE)));
	__m256		half = _mm256_mul_ps(gate, _mm256_set1_ps(0.5f));

	return _mm256_mul_ps(_mm256_mul_ps(half, _mm256_add_ps(one, llmk_tanhf_avx2(inner))), up);
}

/* as llmk_erff_inline */
static inline __m256
llmk_erff_avx2(__m256 x)
{
	const __m256 sign = _mm256_set1_ps(-0.0f);
	const __m256 a = _mm256_andnot_ps(sign, x);
	const __m256 t = _mm256_min_ps(_mm256_set1_ps(LLMK_ERF_MAX), a);
	const __m256 s = _mm256_mul_ps(x, x);
	__m256		p = _mm256_set1_ps(LLMK_ERF_P6);
	__m256		q = _mm256_set1_ps(LLMK_ERF_Q7);

	p = _mm256_fmadd_ps(p, s, _mm256_set1_ps(LLMK_ERF_P5));
	p = _mm256_fmadd_ps(p, s, _mm256_set1_ps(LLMK_ERF_P4));
	p = _mm256_fmadd_ps(p, s, _mm256_set1_ps(LLMK_ERF_P3));
	p = _mm256_fmadd_ps(p, s, _mm256_set1_ps(LLMK_ERF_P2));
	p = _mm256_fmadd_ps(p, s, _mm256_set1_ps(LLMK_ERF_P1));
	p = _mm256_fmadd_ps(p, s, _mm256_set1_ps(LLMK_ERF_P0));
	p = _mm256_fmadd_ps(p, x, x);
	q = _mm256_fmadd_ps(q, t, _mm256_set1_ps(LLMK_ERF_Q6));
	q = _mm256_fmadd_ps(q, t, _mm256_set1_ps(LLMK_ERF_Q5));
	q = _mm256_fmadd_ps(q, t, _mm256_set1_ps(LLMK_ERF_Q4));
	q = _mm256_fmadd_ps(q, t, _mm256_set1_ps(LLMK_ERF_Q3));
	q = _mm256_fmadd_ps(q, t, _mm256_set1_ps(LLMK_ERF_Q2));
	q = _mm256_fmadd_ps(q, t, _mm256_set1_ps(LLMK_ERF_Q1));
	q = _mm256_fmadd_ps(q, t, _mm256_set1_ps(LLMK_ERF_Q0));
	q = _mm256_sub_ps(_mm256_set1_ps(1.0f), llmk_expf_avx2(_mm256_xor_ps(_mm256_mul_ps(q, t), sign)));
	q = _mm256_or_ps(_mm256_andnot_ps(sign, q), _mm256_and_ps(sign, x));
	return _mm256_blendv_ps(q, p, _mm256_cmp_ps(a, _mm256_set1_ps(LLMK_ERF_SPLIT), _CMP_LT_OQ));
}

/* as llmk_gelu_erf_inline */
static inline __m256
llmk_gelu_erf_avx2(__m256 x)
{
	const __m256 one = _mm256_set1_ps(1.0f);
	__m256		erf = llmk_erff_avx2(_mm256_mul_ps(x, _mm256_set1_ps(LLMK_GELU_ERF_SCALE)));

	return _mm256_mul_ps(_mm256_mul_ps(x, _mm256_set1_ps(0.5f)), _mm256_add_ps(one, erf));
}

/* as llmk_relu_sqr_inline: of two equal or unordered operands, max takes the second */
static inline __m256
llmk_relu_sqr_avx2(__m256 x)
{
	__m256		y = _mm256_max_ps(_mm256_setzero_ps(), x);

	return _mm256_mul_ps(y, y);
}

/* as llmk_soft_cap_inline */
static inline __m256
llmk_soft_cap_avx2(__m256 x, __m256 cap)
{
	return _mm256_mul_ps(cap, llmk_tanhf_avx2(_mm256_div_ps(x, cap)));
}

/* as llmk_silu_mul_inline */
static inline __m256
llmk_silu_mul_avx2(__m256 gate, __m256 up)
{
	__m256		e = llmk_expf_avx2(_mm256_xor_ps(gate, _mm256_set1_ps(-0.0f)));

	return _mm256_mul_ps(_mm256_div_ps(gate, _mm256_add_ps(_mm256_set1_ps(1.0f), e)), up);
}

#endif
