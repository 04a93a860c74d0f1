/*
 * math.c: the transcendental functions of kernels.h.
 *
 * The C library's functions differ between versions and processors; these are sums, products and fused multiply-adds in
 * one written order, so that they give the same bits everywhere. Double precision serves tables and log probabilities
 * and is not hot: polynomials are plain Taylor series, long enough that their error is below 2^-57.
 */
#include "kernels.h"
#include "cpu/math_scalar.h"

#define ROUND_MAGIC		0x1.8p52
#define ROUND_MAGIC_BITS 0x4338000000000000u
#define LN2_HI			0x1.62e42feep-1		/* 32 bits, so that n * LN2_HI is exact */
#define LN2_LO			0x1.a39ef35793c76p-33

/* pi / 2 in pieces of 30 bits, each times an integer below 2^23 being exact, and a rest */
#define PIO2_1			0x1.921fb54p+0
#define PIO2_2			0x1.10b46118p-30
#define PIO2_3			0x1.313198ap-61
#define PIO2_4			0x1.701b839a25204p-92
#define TWO_OVER_PI		0x1.45f306dc9c883p-1
#define SINCOS_MAX		1e7

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

/* exp(x) */
float
llmk_expf(float x)
{
	return llmk_expf_inline(x);
}

/* tanh(x) */
float
llmk_tanhf(float x)
{
	return llmk_tanhf_inline(x);
}

/* exp(x): as in math_scalar.h with Taylor's series up to r^13 */
double
llmk_exp(double x)
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
double
llmk_log(double x)
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

/* a + b = *sum + *error exactly */
static inline void
two_sum(double a, double b, double *sum, double *error)
{
	double		s = a + b;
	double		b_part = s - a;

	*error = (a - (s - b_part)) + (b - b_part);
	*sum = s;
}

/* sine of r + l with |r| <= pi/4 and l far smaller: Taylor's series up to r^17 */
static double
sine_reduced(double r, double l)
{
	double		z = r * r;
	double		p = 1.0 / 355687428096000;

	p = __builtin_fma(p, z, -1.0 / 1307674368000);
	p = __builtin_fma(p, z, 1.0 / 6227020800);
	p = __builtin_fma(p, z, -1.0 / 39916800);
	p = __builtin_fma(p, z, 1.0 / 362880);
	p = __builtin_fma(p, z, -1.0 / 5040);
	p = __builtin_fma(p, z, 1.0 / 120);
	p = __builtin_fma(p, z, -1.0 / 6);
	return r + __builtin_fma(r * z, p, l * __builtin_fma(z, -0.5, 1.0));
}

/* cosine of r + l: Taylor's series up to r^18 */
static double
cosine_reduced(double r, double l)
{
	double		z = r * r;
	double		half_z = 0.5 * z;
	double		w = 1.0 - half_z;
	double		p = -1.0 / 6402373705728000;

	p = __builtin_fma(p, z, 1.0 / 20922789888000);
	p = __builtin_fma(p, z, -1.0 / 87178291200);
	p = __builtin_fma(p, z, 1.0 / 479001600);
	p = __builtin_fma(p, z, -1.0 / 3628800);
	p = __builtin_fma(p, z, 1.0 / 40320);
	p = __builtin_fma(p, z, -1.0 / 720);
	p = __builtin_fma(p, z, 1.0 / 24);
	return w + (((1.0 - w) - half_z) + __builtin_fma(z * z, p, -(r * l)));
}

/*
 * Sine and cosine of x radians, |x| <= 1e7; NaN beyond, where the reduction would lose bits. x - n pi/2 is taken piece by
 * piece and kept as r + l, so that the result is good also next to multiples of pi/2.
 */
void
llmk_sincos(double x, double *sine, double *cosine)
{
	double		t;
	double		n;
	double		r;
	double		l;
	double		e2;
	double		e3;
	double		s;
	double		c;

	if (!(x >= -SINCOS_MAX && x <= SINCOS_MAX))
	{
		*sine = *cosine = __builtin_nan("");
		return;
	}
	if (x > -0x1p-27 && x < 0x1p-27)
	{
		*sine = x;
		*cosine = 1.0;
		return;
	}
	t = __builtin_fma(x, TWO_OVER_PI, ROUND_MAGIC);
	n = t - ROUND_MAGIC;
	r = __builtin_fma(-n, PIO2_1, x);
	two_sum(r, -(n * PIO2_2), &r, &e2);
	two_sum(r, -(n * PIO2_3), &r, &e3);
	l = __builtin_fma(-n, PIO2_4, e2 + e3);
	two_sum(r, l, &r, &l);
	s = sine_reduced(r, l);
	c = cosine_reduced(r, l);
	switch (double_bits(t) & 3)
	{
		case 0:
			*sine = s;
			*cosine = c;
			break;
		case 1:
			*sine = c;
			*cosine = -s;
			break;
		case 2:
			*sine = -s;
			*cosine = -c;
			break;
		default:
			*sine = -c;
			*cosine = s;
	}
}
