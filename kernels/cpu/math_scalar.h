/*
 * math_scalar.h: exp and tanh in single precision, one value at a time, as inline functions for every level's tails.
 *
 * The vector forms (math_avx2.h, math_avx512.h) run the same operations in the same order with these constants, so the
 * result of an element does not depend on the level or on whether it fell into a vector or into a tail. Every fused
 * multiply-add is written out; the build forbids the compiler to make others (-ffp-contract=off).
 *
 * exp: x = n ln 2 + r with |r| <= ln 2 / 2 (Cody and Waite), n rounded by adding and subtracting 1.5 * 2^23, whose low
 * bits then hold n as an integer; a polynomial (Remez, relative error 2^-28) for exp(r); then scaling by powers of two.
 */
#ifndef LLMK_MATH_SCALAR_H
#define LLMK_MATH_SCALAR_H

#include "cpu/half.h"

#define LLMK_ROUND_MAGIC	0x1.8p23f
#define LLMK_ROUND_MAGIC_BITS 0x4b400000u
#define LLMK_LOG2E			0x1.715476p+0f
#define LLMK_LN2_HI			0x1.62e4p-1f		/* 16 bits, so that n * LLMK_LN2_HI is exact */
#define LLMK_LN2_LO			0x1.7f7d1cp-20f

/* below -104 exp is 0, above 89 infinite; between, the scale 2^n splits into two normal factors */
#define LLMK_EXP_MAX		89.0f
#define LLMK_EXP_MIN		(-104.0f)

/* exp(r) = 1 + r (1 + r (C2 + r (C3 + ...))) */
#define LLMK_EXP_C2			0x1.fffffcp-2f
#define LLMK_EXP_C3			0x1.555418p-3f
#define LLMK_EXP_C4			0x1.555824p-5f
#define LLMK_EXP_C5			0x1.1267d8p-7f
#define LLMK_EXP_C6			0x1.6ae6dep-10f

/* exp(r) - 1 = r + r^2 (C2 + r (C3 + ...)), for tanh, where the small values count */
#define LLMK_EXPM1_C2		0x1p-1f
#define LLMK_EXPM1_C3		0x1.555556p-3f
#define LLMK_EXPM1_C4		0x1.5554aep-5f
#define LLMK_EXPM1_C5		0x1.111090p-7f
#define LLMK_EXPM1_C6		0x1.6d74cep-10f
#define LLMK_EXPM1_C7		0x1.a1a1b6p-13f

/* tanh rounds to 1 from here on */
#define LLMK_TANH_MAX		10.0f

/* smallest argument whose exp llmk_exp_softmax_inline keeps: its result is a normal number */
#define LLMK_SOFTMAX_MIN	(-87.0f)

/* x = n ln 2 + r: returns exp(r) and n as a two's complement integer (any integer if x is NaN or infinite) */
static inline float
llmk_exp_reduced(float x, uint32_t *n_out)
{
	float		t = __builtin_fmaf(x, LLMK_LOG2E, LLMK_ROUND_MAGIC);
	float		n = t - LLMK_ROUND_MAGIC;
	float		r = __builtin_fmaf(n, -LLMK_LN2_HI, x);
	float		p;

	r = __builtin_fmaf(n, -LLMK_LN2_LO, r);
	p = __builtin_fmaf(LLMK_EXP_C6, r, LLMK_EXP_C5);
	p = __builtin_fmaf(p, r, LLMK_EXP_C4);
	p = __builtin_fmaf(p, r, LLMK_EXP_C3);
	p = __builtin_fmaf(p, r, LLMK_EXP_C2);
	p = __builtin_fmaf(p, r, 1.0f);
	p = __builtin_fmaf(p, r, 1.0f);
	*n_out = llmk_float_to_bits(t) - LLMK_ROUND_MAGIC_BITS;
	return p;
}

/* exp(x) for every float; denormal results are rounded once */
static inline float
llmk_expf_inline(float x)
{
	uint32_t	n;
	uint32_t	half;
	float		p;

	x = LLMK_EXP_MAX < x ? LLMK_EXP_MAX : x;
	x = LLMK_EXP_MIN > x ? LLMK_EXP_MIN : x;
	p = llmk_exp_reduced(x, &n);
	half = (uint32_t) ((int32_t) n >> 1);
	return (p * llmk_bits_to_float((half + 127) << 23)) * llmk_bits_to_float((n - half + 127) << 23);
}

/*
 * exp(x) for x <= 0 or NaN: as llmk_expf_inline from -87 on, 0 below, so that no weight of a softmax is denormal (some
 * processors take a hundred cycles for those).
 */
static inline float
llmk_exp_softmax_inline(float x)
{
	uint32_t	n;
	float		p = llmk_exp_reduced(x, &n);

	p = p * llmk_bits_to_float((n + 127) << 23);
	return x < LLMK_SOFTMAX_MIN ? 0.0f : p;
}

/*
 * tanh(x) = e / (e + 2) with e = exp(2 |x|) - 1, sign of x. The quotient is corrected by its remainder, into which the
 * rounding of e + 2 goes, too.
 */
static inline float
llmk_tanhf_inline(float x)
{
	float		a = llmk_bits_to_float(llmk_float_to_bits(x) & 0x7fffffffu);
	float		t;
	float		n;
	float		r;
	float		p;
	float		s;
	float		d;
	float		q;

	a = LLMK_TANH_MAX < a ? LLMK_TANH_MAX : a;
	a = a + a;
	t = __builtin_fmaf(a, LLMK_LOG2E, LLMK_ROUND_MAGIC);
	n = t - LLMK_ROUND_MAGIC;
	r = __builtin_fmaf(n, -LLMK_LN2_HI, a);
	r = __builtin_fmaf(n, -LLMK_LN2_LO, r);
	p = __builtin_fmaf(LLMK_EXPM1_C7, r, LLMK_EXPM1_C6);
	p = __builtin_fmaf(p, r, LLMK_EXPM1_C5);
	p = __builtin_fmaf(p, r, LLMK_EXPM1_C4);
	p = __builtin_fmaf(p, r, LLMK_EXPM1_C3);
	p = __builtin_fmaf(p, r, LLMK_EXPM1_C2);
	p = __builtin_fmaf(r * r, p, r);
	s = llmk_bits_to_float((llmk_float_to_bits(t) - LLMK_ROUND_MAGIC_BITS + 127) << 23);
	p = __builtin_fmaf(s, p, s - 1.0f);
	d = p + 2.0f;
	q = p / d;
	r = __builtin_fmaf(-q, d, p);
	r = __builtin_fmaf(-q, p - (d - 2.0f), r);
	q = q + r / d;
	return llmk_bits_to_float((llmk_float_to_bits(q) & 0x7fffffffu) | (llmk_float_to_bits(x) & 0x80000000u));
}

/* the inner polynomial of gelu: sqrt(2 / pi) (x + 0.044715 x^3) */
#define LLMK_GELU_SCALE		0x1.988454p-1f
#define LLMK_GELU_CUBE		0x1.6e4e26p-5f

/* gelu(gate) * up, gelu by tanh */
static inline float
llmk_gelu_mul_inline(float gate, float up)
{
	float		inner = __builtin_fmaf(gate * gate, LLMK_GELU_CUBE, 1.0f) * (gate * LLMK_GELU_SCALE);

	return gate * 0.5f * (1.0f + llmk_tanhf_inline(inner)) * up;
}

/*
 * erf(x): below LLMK_ERF_SPLIT x + x P(x^2), from there on 1 - exp(-|x| Q(|x|)) with the sign of x; polynomials fitted for the
 * least largest error of erf (2^-29). It rounds to 1 from LLMK_ERF_MAX on.
 */
#define LLMK_ERF_SPLIT		1.0f
#define LLMK_ERF_MAX		4.0f
#define LLMK_ERF_P0			0x1.06eba8p-3f
#define LLMK_ERF_P1			(-0x1.81273ep-2f)
#define LLMK_ERF_P2			0x1.ce2cf8p-4f
#define LLMK_ERF_P3			(-0x1.b7f912p-6f)
#define LLMK_ERF_P4			0x1.5405cep-8f
#define LLMK_ERF_P5			(-0x1.a3f7b8p-11f)
#define LLMK_ERF_P6			0x1.496bf4p-14f
#define LLMK_ERF_Q0			0x1.20eb84p+0f
#define LLMK_ERF_Q1			0x1.4557dap-1f
#define LLMK_ERF_Q2			0x1.b0a04ap-4f
#define LLMK_ERF_Q3			(-0x1.798d8ap-6f)
#define LLMK_ERF_Q4			0x1.9d6342p-9f
#define LLMK_ERF_Q5			(-0x1.0e8898p-13f)
#define LLMK_ERF_Q6			(-0x1.fbe814p-16f)
#define LLMK_ERF_Q7			0x1.f0ec60p-19f

static inline float
llmk_erff_inline(float x)
{
	float		a = llmk_bits_to_float(llmk_float_to_bits(x) & 0x7fffffffu);
	float		s = x * x;
	float		p;
	float		q;

	p = __builtin_fmaf(LLMK_ERF_P6, s, LLMK_ERF_P5);
	p = __builtin_fmaf(p, s, LLMK_ERF_P4);
	p = __builtin_fmaf(p, s, LLMK_ERF_P3);
	p = __builtin_fmaf(p, s, LLMK_ERF_P2);
	p = __builtin_fmaf(p, s, LLMK_ERF_P1);
	p = __builtin_fmaf(p, s, LLMK_ERF_P0);
	p = __builtin_fmaf(p, x, x);
	if (a < LLMK_ERF_SPLIT)
		return p;
	a = LLMK_ERF_MAX < a ? LLMK_ERF_MAX : a;
	q = __builtin_fmaf(LLMK_ERF_Q7, a, LLMK_ERF_Q6);
	q = __builtin_fmaf(q, a, LLMK_ERF_Q5);
	q = __builtin_fmaf(q, a, LLMK_ERF_Q4);
	q = __builtin_fmaf(q, a, LLMK_ERF_Q3);
	q = __builtin_fmaf(q, a, LLMK_ERF_Q2);
	q = __builtin_fmaf(q, a, LLMK_ERF_Q1);
	q = __builtin_fmaf(q, a, LLMK_ERF_Q0);
	q = 1.0f - llmk_expf_inline(-(q * a));
	return llmk_bits_to_float((llmk_float_to_bits(q) & 0x7fffffffu) | (llmk_float_to_bits(x) & 0x80000000u));
}

/* sqrt(1 / 2), of gelu by erf */
#define LLMK_GELU_ERF_SCALE	0x1.6a09e6p-1f

/* gelu by erf: x / 2 (1 + erf(x / sqrt(2))) */
static inline float
llmk_gelu_erf_inline(float x)
{
	return x * 0.5f * (1.0f + llmk_erff_inline(x * LLMK_GELU_ERF_SCALE));
}

/* max(x, 0)^2; NaN stays */
static inline float
llmk_relu_sqr_inline(float x)
{
	float		y = 0.0f > x ? 0.0f : x;

	return y * y;
}

/* cap tanh(x / cap) */
static inline float
llmk_soft_cap_inline(float x, float cap)
{
	return cap * llmk_tanhf_inline(x / cap);
}

/* silu(gate) * up; gates below -88.7 give 0, as their exp(-gate) is infinite */
static inline float
llmk_silu_mul_inline(float gate, float up)
{
	float		e = llmk_expf_inline(-gate);

	return gate / (1.0f + e) * up;
}

#endif
