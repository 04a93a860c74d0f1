/*
 * math_avx512.h: math_scalar.h for sixteen floats at once, operation by operation the same.
 */
#ifndef LLMK_MATH_AVX512_H
#define LLMK_MATH_AVX512_H

#include "cpu/math_scalar.h"
#include "cpu/simd.h"

/* as llmk_exp_reduced */
static inline __m512
llmk_exp_reduced_avx512(__m512 x, __m512i *n_out)
{
	const __m512 magic = _mm512_set1_ps(LLMK_ROUND_MAGIC);
	const __m512 one = _mm512_set1_ps(1.0f);
	__m512		t = _mm512_fmadd_ps(x, _mm512_set1_ps(LLMK_LOG2E), magic);
	__m512		n = _mm512_sub_ps(t, magic);
	__m512		r = _mm512_fmadd_ps(n, _mm512_set1_ps(-LLMK_LN2_HI), x);
	__m512		p;

	r = _mm512_fmadd_ps(n, _mm512_set1_ps(-LLMK_LN2_LO), r);
	p = _mm512_fmadd_ps(_mm512_set1_ps(LLMK_EXP_C6), r, _mm512_set1_ps(LLMK_EXP_C5));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(LLMK_EXP_C4));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(LLMK_EXP_C3));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(LLMK_EXP_C2));
	p = _mm512_fmadd_ps(p, r, one);
	p = _mm512_fmadd_ps(p, r, one);
	*n_out = _mm512_sub_epi32(_mm512_castps_si512(t), _mm512_set1_epi32(LLMK_ROUND_MAGIC_BITS));
	return p;
}

/* 2^n for n of exponents, -126 <= n <= 127 */
static inline __m512
llmk_power_of_two_avx512(__m512i n)
{
	return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(127)), 23));
}

/* as llmk_expf_inline */
static inline __m512
llmk_expf_avx512(__m512 x)
{
	__m512i		n;
	__m512i		half;
	__m512		p;

	x = _mm512_min_ps(_mm512_set1_ps(LLMK_EXP_MAX), x);
	x = _mm512_max_ps(_mm512_set1_ps(LLMK_EXP_MIN), x);
	p = llmk_exp_reduced_avx512(x, &n);
	half = _mm512_srai_epi32(n, 1);
	p = _mm512_mul_ps(p, llmk_power_of_two_avx512(half));
	return _mm512_mul_ps(p, llmk_power_of_two_avx512(_mm512_sub_epi32(n, half)));
}

/* as llmk_exp_softmax_inline */
static inline __m512
llmk_exp_softmax_avx512(__m512 x)
{
	__mmask16	below = _mm512_cmp_ps_mask(x, _mm512_set1_ps(LLMK_SOFTMAX_MIN), _CMP_LT_OQ);
	__m512i		n;
	__m512		p = llmk_exp_reduced_avx512(x, &n);

	p = _mm512_mul_ps(p, llmk_power_of_two_avx512(n));
	return _mm512_mask_blend_ps(below, p, _mm512_setzero_ps());
}

/* as llmk_tanhf_inline */
static inline __m512
llmk_tanhf_avx512(__m512 x)
{
	const __m512 sign = _mm512_set1_ps(-0.0f);
	const __m512 magic = _mm512_set1_ps(LLMK_ROUND_MAGIC);
	__m512		a = _mm512_min_ps(_mm512_set1_ps(LLMK_TANH_MAX), _mm512_andnot_ps(sign, x));
	__m512		t;
	__m512		n;
	__m512		r;
	__m512		p;
	__m512		s;
	__m512		d;
	__m512		q;

	a = _mm512_add_ps(a, a);
	t = _mm512_fmadd_ps(a, _mm512_set1_ps(LLMK_LOG2E), magic);
	n = _mm512_sub_ps(t, magic);
	r = _mm512_fmadd_ps(n, _mm512_set1_ps(-LLMK_LN2_HI), a);
	r = _mm512_fmadd_ps(n, _mm512_set1_ps(-LLMK_LN2_LO), r);
	p = _mm512_fmadd_ps(_mm512_set1_ps(LLMK_EXPM1_C7), r, _mm512_set1_ps(LLMK_EXPM1_C6));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(LLMK_EXPM1_C5));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(LLMK_EXPM1_C4));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(LLMK_EXPM1_C3));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(LLMK_EXPM1_C2));
	p = _mm512_fmadd_ps(_mm512_mul_ps(r, r), p, r);
	s = llmk_power_of_two_avx512(_mm512_sub_epi32(_mm512_castps_si512(t), _mm512_set1_epi32(LLMK_ROUND_MAGIC_BITS)));
	p = _mm512_fmadd_ps(s, p, _mm512_sub_ps(s, _mm512_set1_ps(1.0f)));
	d = _mm512_add_ps(p, _mm512_set1_ps(2.0f));
	q = _mm512_div_ps(p, d);
	r = _mm512_fnmadd_ps(q, d, p);
	r = _mm512_fnmadd_ps(q, _mm512_sub_ps(p, _mm512_sub_ps(d, _mm512_set1_ps(2.0f))), r);
	q = _mm512_add_ps(q, _mm512_div_ps(r, d));
	return _mm512_or_ps(_mm512_andnot_ps(sign, q), _mm512_and_ps(sign, x));
}

/* as llmk_gelu_mul_inline */
static inline __m512
llmk_gelu_mul_avx512(__m512 gate, __m512 up)
{
	const __m512 one = _mm512_set1_ps(1.0f);
	__m512		cube = _mm512_fmadd_ps(_mm512_mul_ps(gate, gate), _mm512_set1_ps(LLMK_GELU_CUBE), one);
	__m512		inner = _mm512_mul_ps(cube, _mm512_mul_ps(gate, _mm512_set1_ps(LLMK_GELU_SCALE)));
	__m512		half = _mm512_mul_ps(gate, _mm512_set1_ps(0.5f));

	return _mm512_mul_ps(_mm512_mul_ps(half, _mm512_add_ps(one, llmk_tanhf_avx512(inner))), up);
}

/* as llmk_erff_inline */
static inline __m512
llmk_erff_avx512(__m512 x)
{
	const __m512 sign = _mm512_set1_ps(-0.0f);
	const __m512 a = _mm512_andnot_ps(sign, x);
	const __m512 t = _mm512_min_ps(_mm512_set1_ps(LLMK_ERF_MAX), a);
	const __m512 s = _mm512_mul_ps(x, x);
	__m512		p = _mm512_set1_ps(LLMK_ERF_P6);
	__m512		q = _mm512_set1_ps(LLMK_ERF_Q7);

	p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(LLMK_ERF_P5));
	p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(LLMK_ERF_P4));
	p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(LLMK_ERF_P3));
	p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(LLMK_ERF_P2));
	p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(LLMK_ERF_P1));
	p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(LLMK_ERF_P0));
	p = _mm512_fmadd_ps(p, x, x);
	q = _mm512_fmadd_ps(q, t, _mm512_set1_ps(LLMK_ERF_Q6));
	q = _mm512_fmadd_ps(q, t, _mm512_set1_ps(LLMK_ERF_Q5));
	q = _mm512_fmadd_ps(q, t, _mm512_set1_ps(LLMK_ERF_Q4));
	q = _mm512_fmadd_ps(q, t, _mm512_set1_ps(LLMK_ERF_Q3));
	q = _mm512_fmadd_ps(q, t, _mm512_set1_ps(LLMK_ERF_Q2));
	q = _mm512_fmadd_ps(q, t, _mm512_set1_ps(LLMK_ERF_Q1));
	q = _mm512_fmadd_ps(q, t, _mm512_set1_ps(LLMK_ERF_Q0));
	q = _mm512_sub_ps(_mm512_set1_ps(1.0f), llmk_expf_avx512(_mm512_xor_ps(_mm512_mul_ps(q, t), sign)));
	q = _mm512_or_ps(_mm512_andnot_ps(sign, q), _mm512_and_ps(sign, x));
	return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, _mm512_set1_ps(LLMK_ERF_SPLIT), _CMP_LT_OQ), q, p);
}

/* as llmk_gelu_erf_inline */
static inline __m512
llmk_gelu_erf_avx512(__m512 x)
{
	const __m512 one = _mm512_set1_ps(1.0f);
	__m512		erf = llmk_erff_avx512(_mm512_mul_ps(x, _mm512_set1_ps(LLMK_GELU_ERF_SCALE)));

	return _mm512_mul_ps(_mm512_mul_ps(x, _mm512_set1_ps(0.5f)), _mm512_add_ps(one, erf));
}

/* as llmk_relu_sqr_inline: of two equal or unordered operands, max takes the second */
static inline __m512
llmk_relu_sqr_avx512(__m512 x)
{
	__m512		y = _mm512_max_ps(_mm512_setzero_ps(), x);

	return _mm512_mul_ps(y, y);
}

/* as llmk_soft_cap_inline */
static inline __m512
llmk_soft_cap_avx512(__m512 x, __m512 cap)
{
	return _mm512_mul_ps(cap, llmk_tanhf_avx512(_mm512_div_ps(x, cap)));
}

/* as llmk_silu_mul_inline */
static inline __m512
llmk_silu_mul_avx512(__m512 gate, __m512 up)
{
	__m512		e = llmk_expf_avx512(_mm512_xor_ps(gate, _mm512_set1_ps(-0.0f)));

	return _mm512_mul_ps(_mm512_div_ps(gate, _mm512_add_ps(_mm512_set1_ps(1.0f), e)), up);
}

#endif
