/*
 * math.c: the transcendental functions of kernels.h.
 *
 * The C library's functions differ between versions and processors; these are sums, products and fused multiply-adds in
 * one written order, so that they give the same bits everywhere. Double precision serves tables and log probabilities
 * and is not hot: polynomials are plain Taylor series, long enough that their error is below 2^-57.
 */
#include "cpu/math_double.h"
#include "cpu/math_scalar.h"
#include "kernels.h"

/* pi / 2 in pieces of 30 bits, each times an integer below 2^23 being exact, and a rest */
#define PIO2_1			0x1.921fb54p+0
#define PIO2_2			0x1.10b46118p-30
#define PIO2_3			0x1.313198ap-61
#define PIO2_4			0x1.701b839a25204p-92
#define TWO_OVER_PI		0x1.45f306dc9c883p-1
#define SINCOS_MAX		1e7

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

/* exp(x) */
double
llmk_exp(double x)
{
	return llmk_exp_inline(x);
}

/* log(x) */
double
llmk_log(double x)
{
	return llmk_log_inline(x);
}

double
llmk_softplus(double x)
{
	return llmk_softplus_inline(x);
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
