/*
 * math_double.h: exp and log in double precision as inline functions, for math.c and for kernels whose level multiplies and adds in
 * one instruction. Polynomials are plain Taylor series, long enough that their error is below 2^-57.
 */
#ifndef LLMK_MATH_DOUBLE_H
#define LLMK_MATH_DOUBLE_H

#include <stdint.h>
#include <string.h>

#define ROUND_MAGIC		0x1.8p52
#define ROUND_MAGIC_BITS 0x4338000000000000u
#define LN2_HI			0x1.62e42feep-1		/* 32 bits, so that n * LN2_HI is exact */
#define LN2_LO			0x1.a39ef35793c76p-33

static inline uint64_t
double_bits(double x)
{
	uint64_t	u;

	memcpy(&u, &x, sizeof u);
	return u;
}

static inline double
double_from_bits(uint64_t u)
{
	double		x;

	memcpy(&x, &u, sizeof x);
	return x;
}

/* exp(x): as in math_scalar.h with Taylor's series up to r^13 */
static inline double
llmk_exp_inline(double x)
{
	static const double inverse_factorial[] = {
		1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
		1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 1.0 / 2
	};
	double		t;
	double		n;
	double		r;
	double		p;
	uint64_t	i;
	uint64_t	half;

	x = x > 710.0 ? 710.0 : x;
	x = x < -746.0 ? -746.0 : x;
	t = __builtin_fma(x, 0x1.71547652b82fep+0, ROUND_MAGIC);
	n = t - ROUND_MAGIC;
	r = __builtin_fma(n, -LN2_HI, x);
	r = __builtin_fma(n, -LN2_LO, r);
	p = inverse_factorial[0];
	for (int k = 1; k < 12; k++)
		p = __builtin_fma(p, r, inverse_factorial[k]);
	p = __builtin_fma(p, r, 1.0);
	p = __builtin_fma(p, r, 1.0);
	i = double_bits(t) - ROUND_MAGIC_BITS;
	half = (uint64_t) ((int64_t) i >> 1);
	return (p * double_from_bits((half + 1023) << 52)) * double_from_bits((i - half + 1023) << 52);
}

/*
 * Natural logarithm; -INFINITY for 0, NaN below. x = 2^k (1 + f) with 1 + f in [sqrt 1/2, sqrt 2); with s = f / (2 + f),
 * log(1 + f) = 2 atanh(s), arranged as f - (f^2/2 - s (f^2/2 + series)) so that the large part f stays exact.
 */
static inline double
llmk_log_inline(double x)
{
	uint64_t	u;
	int64_t		k = 0;
	double		f;
	double		s;
	double		z;
	double		half_square;
	double		series;

	if (!(x > 0))
		return x == 0 ? -__builtin_inf() : x < 0 ? __builtin_nan("") : x;
	if (x > 0x1.fffffffffffffp1023)
		return x;
	if (x < 0x1p-1022)
	{
		x *= 0x1p54;
		k = -54;
	}
	u = double_bits(x) - 0x3fe6a09e667f3bcdu;	/* bits of sqrt 1/2 */
	k += (int64_t) u >> 52;
	f = double_from_bits((u & 0xfffffffffffffu) + 0x3fe6a09e667f3bcdu) - 1.0;
	s = f / (2.0 + f);
	z = s * s;
	half_square = 0.5 * f * f;
	series = 2.0 / 25;
	for (int odd = 23; odd >= 3; odd -= 2)
		series = __builtin_fma(series, z, 2.0 / odd);
	series *= z;
	return (double) k * LN2_HI - ((half_square - __builtin_fma(s, half_square + series, (double) k * LN2_LO)) - f);
}

/* log(1 + exp(x)); x itself where the difference is no more than rounding */
static inline double
llmk_softplus_inline(double x)
{
	return x > 20 ? x : llmk_log_inline(1 + llmk_exp_inline(x));
}

#endif
