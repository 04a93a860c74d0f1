/*
 * math_test.c: accuracy of the kernels' own exp, tanh, log, sine and cosine against the C library in long double, in
 * units in the last place of the result type, over bit patterns of the whole range, dense intervals, and special values.
 */
#include <float.h>
#include <math.h>

#include "kernels.h"
#include "check.h"

static uint64_t random_state = 88172645463325252u;

static uint64_t
random_bits(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* distance of got from want in units in the last place that a float (digits 24, least exponent -149) or double has there */
static double
ulp_error(long double got, long double want, int digits, int least_exponent)
{
	int			exponent;

	if (isnan(want))
		return isnan(got) ? 0 : INFINITY;
	if (got == want)
		return 0;
	if (isinf(got))
	{
		/* an overflow is right from half a unit past the largest value on */
		long double largest = digits == 24 ? FLT_MAX : DBL_MAX;

		return fabsl(want) >= largest && signbit(got) == signbit(want) ? 0 : INFINITY;
	}
	if (isinf(want))
		return INFINITY;
	frexpl(want, &exponent);
	exponent -= digits;
	if (exponent < least_exponent)
		exponent = least_exponent;
	return (double) ldexpl(fabsl(got - want), -exponent);
}

static double
ulp_float(float got, long double want)
{
	return ulp_error(got, want, 24, -149);
}

static double
ulp_double(double got, long double want)
{
	return ulp_error(got, want, 53, -1074);
}

static float
float_of(uint32_t bits)
{
	float		x;

	memcpy(&x, &bits, sizeof x);
	return x;
}

static double
double_of(uint64_t bits)
{
	double		x;

	memcpy(&x, &bits, sizeof x);
	return x;
}

typedef struct Worst
{
	double		error;
	double		at;
} Worst;

static void
note(Worst *w, double error, double at)
{
	if (error > w->error)
	{
		w->error = error;
		w->at = at;
	}
}

static void
report(const char *name, const Worst *w)
{
	printf("%-28s largest error %.3f ulp at %a\n", name, w->error, w->at);
	CHECK_MSG(w->error < 2.0, "%s: %.3f ulp at %a", name, w->error, w->at);
}

static void
test_single(void)
{
	Worst		e = {0, 0};
	Worst		t = {0, 0};

	/* every 2003rd of all bit patterns, denormals, infinities and NaNs among them */
	for (uint64_t bits = 0; bits < (1ull << 32); bits += 2003)
	{
		float		x = float_of((uint32_t) bits);

		note(&e, ulp_float(llmk_expf(x), expl(x)), x);
		note(&t, ulp_float(llmk_tanhf(x), tanhl(x)), x);
	}
	for (int i = -600000; i <= 600000; i++)
	{
		float		x = (float) i * (107.0f / 600000);

		note(&e, ulp_float(llmk_expf(x), expl(x)), x);
		x = (float) i * (11.0f / 600000);
		note(&t, ulp_float(llmk_tanhf(x), tanhl(x)), x);
	}
	report("expf", &e);
	report("tanhf", &t);
}

static void
test_double(void)
{
	Worst		e = {0, 0};
	Worst		l = {0, 0};

	for (int i = 0; i < 1000000; i++)
	{
		double		x = double_of(random_bits());

		note(&e, ulp_double(llmk_exp(x), expl(x)), x);
		note(&l, ulp_double(llmk_log(fabs(x)), logl(fabsl(x))), x);
		x = ((double) (random_bits() >> 11) * 0x1p-53 - 0.5) * 1500;
		note(&e, ulp_double(llmk_exp(x), expl(x)), x);
		x = (double) (random_bits() >> 11) * 0x1p-52;	/* around 1, where the logarithm is small */
		note(&l, ulp_double(llmk_log(x), logl(x)), x);
		x = 1.0 + ((double) (random_bits() >> 11) * 0x1p-53 - 0.5) * ldexp(1.0, -(int) (random_bits() % 50));
		note(&l, ulp_double(llmk_log(x), logl(x)), x);
		x = double_of(random_bits() >> 12);		/* denormals */
		note(&l, ulp_double(llmk_log(x), logl(x)), x);
	}
	report("exp", &e);
	report("log", &l);
}

static void
sincos_at(double x, Worst *w)
{
	double		s;
	double		c;

	llmk_sincos(x, &s, &c);
	note(w, ulp_double(s, sinl(x)), x);
	note(w, ulp_double(c, cosl(x)), x);
}

static void
test_sincos(void)
{
	Worst		small = {0, 0};
	Worst		large = {0, 0};
	Worst		near = {0, 0};

	for (int i = 0; i < 400000; i++)
	{
		double		unit = (double) (random_bits() >> 11) * 0x1p-52 - 1.0;
		double		multiple;

		sincos_at(unit * 20, &small);
		sincos_at(unit * ldexp(1.0, -(int) (random_bits() % 60)), &small);
		sincos_at(unit * 1e7, &large);
		/* the doubles next to multiples of pi/2, where one result is nearly 0 */
		multiple = (double) (random_bits() % 6366197);
		sincos_at((double) (multiple * 1.57079632679489661923L), &near);
		sincos_at(nextafter((double) (multiple * 1.57079632679489661923L), 0), &near);
	}
	/* positions times a frequency, as rotary embeddings use them */
	for (int position = 0; position < 1000; position++)
		for (int i = 0; i < 64; i++)
			sincos_at(position * 131.0 * exp2(-13.0 * i / 64), &small);
	report("sincos, |x| <= 130000", &small);
	report("sincos, |x| <= 1e7", &large);
	report("sincos, multiples of pi/2", &near);
}

static void
test_special(void)
{
	double		s;
	double		c;

	CHECK(llmk_expf(0.0f) == 1.0f && llmk_expf(-0.0f) == 1.0f);
	CHECK(llmk_expf(INFINITY) == INFINITY && llmk_expf(1000.0f) == INFINITY && llmk_expf(FLT_MAX) == INFINITY);
	CHECK(llmk_expf(-INFINITY) == 0 && llmk_expf(-1000.0f) == 0 && llmk_expf(-FLT_MAX) == 0);
	CHECK(isnan(llmk_expf(NAN)) && isnan(llmk_expf(-NAN)));
	CHECK(llmk_expf(88.72f) < INFINITY && llmk_expf(88.73f) == INFINITY);
	CHECK(llmk_expf(-103.0f) == FLT_TRUE_MIN);

	CHECK(llmk_tanhf(0.0f) == 0 && !signbit(llmk_tanhf(0.0f)));
	CHECK(llmk_tanhf(-0.0f) == 0 && signbit(llmk_tanhf(-0.0f)));
	CHECK(llmk_tanhf(INFINITY) == 1 && llmk_tanhf(-INFINITY) == -1 && llmk_tanhf(FLT_MAX) == 1);
	CHECK(isnan(llmk_tanhf(NAN)));
	CHECK(llmk_tanhf(FLT_TRUE_MIN) == FLT_TRUE_MIN && llmk_tanhf(-FLT_MIN) == -FLT_MIN);

	CHECK(llmk_exp(0.0) == 1 && llmk_exp(INFINITY) == INFINITY && llmk_exp(-INFINITY) == 0);
	CHECK(isnan(llmk_exp(NAN)) && llmk_exp(710.0) == INFINITY && llmk_exp(-746.0) == 0);
	CHECK(llmk_exp(-745.0) == DBL_TRUE_MIN);

	CHECK(llmk_log(1.0) == 0 && !signbit(llmk_log(1.0)));
	CHECK(llmk_log(0.0) == -INFINITY && llmk_log(-0.0) == -INFINITY && llmk_log(INFINITY) == INFINITY);
	CHECK(isnan(llmk_log(-1.0)) && isnan(llmk_log(-INFINITY)) && isnan(llmk_log(NAN)));

	llmk_sincos(0.0, &s, &c);
	CHECK(s == 0 && !signbit(s) && c == 1);
	llmk_sincos(-0.0, &s, &c);
	CHECK(s == 0 && signbit(s) && c == 1);
	llmk_sincos(-DBL_TRUE_MIN, &s, &c);
	CHECK(s == -DBL_TRUE_MIN && c == 1);
	llmk_sincos(1e7, &s, &c);
	CHECK(!isnan(s) && !isnan(c));
	llmk_sincos(nextafter(1e7, INFINITY), &s, &c);
	CHECK(isnan(s) && isnan(c));
	llmk_sincos(-INFINITY, &s, &c);
	CHECK(isnan(s) && isnan(c));
	llmk_sincos(NAN, &s, &c);
	CHECK(isnan(s) && isnan(c));
}

int
main(void)
{
	test_single();
	test_double();
	test_sincos();
	test_special();
	CHECK_DONE();
}
