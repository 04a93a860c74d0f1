/*
 * selective_test.c: a step of the selective recurrence: the generic level against double precision, and all levels bit by bit, in
 * place and from another state, with channels that are no multiple of a vector, and with numbers that are none.
 */
#include <math.h>
#include <string.h>

#include "check.h"
#include "vector_levels.h"

#define MAX_N 70
#define N_STATE 19
#define LD 77

static const int widths[] = {1, 7, 8, 9, 31, 32, 40, 70};

static float dt[MAX_N];
static float u[MAX_N];
static float d[MAX_N];
static float b[N_STATE];
static float c[N_STATE];
static float a[N_STATE * LD];
static float start[N_STATE * LD];

static float
random_float(float size)
{
	static uint32_t x = 5;

	x = x * 1664525u + 1013904223u;
	return ((float) (x >> 8) / (float) (1 << 24) - 0.5f) * 2 * size;
}

static void
fill(float *x, int n, float size)
{
	for (int i = 0; i < n; i++)
		x[i] = random_float(size);
}

static void
fill_all(void)
{
	fill(dt, MAX_N, 30);
	fill(u, MAX_N, 3);
	fill(d, MAX_N, 2);
	fill(b, N_STATE, 2);
	fill(c, N_STATE, 2);
	fill(start, N_STATE * LD, 10);
	fill(a, N_STATE * LD, 8);
	for (int i = 0; i < N_STATE * LD; i++)
		a[i] = -fabsf(a[i]);
}

static void
run(const LlmKernels *k, int n, const float *from, float *state, float *out)
{
	const LlmkSelective step = {
		.n = n, .n_state = N_STATE, .ld = LD, .dt = dt, .u = u, .a = a, .b = b, .c = c, .d = d, .from = from, .state = state, .out = out,
	};

	k->selective_step(&step);
}

/* largest error of an output, in parts of the sum of its terms' sizes */
static double
error(int n, const float *out)
{
	double		worst = 0;

	for (int i = 0; i < n; i++)
	{
		const double step = log1p(exp((double) dt[i]));
		double		y = (double) d[i] * u[i];
		double		size = fabs(y);

		for (int s = 0; s < N_STATE; s++)
		{
			const double kept = start[s * LD + i] * exp(step * a[s * LD + i]);
			const double added = step * u[i] * b[s];

			y += (kept + added) * c[s];
			size += (fabs(kept) + fabs(added)) * fabs(c[s]);
		}
		worst = check_larger(worst, fabs(out[i] - y) / size);
	}
	return worst;
}

static void
check_levels(int n)
{
	static float want[MAX_N];
	static float got[MAX_N];
	static float want_state[N_STATE * LD];
	static float got_state[N_STATE * LD];

	memset(want, 0x55, sizeof(want));
	memset(want_state, 0x55, sizeof(want_state));
	run(&tested_levels[0], n, start, want_state, want);
	for (int level = 0; level < n_tested_levels; level++)
	{
		const char *name = tested_levels[level].name;

		memset(got, 0x55, sizeof(got));
		memset(got_state, 0x55, sizeof(got_state));
		run(&tested_levels[level], n, start, got_state, got);
		CHECK_MSG(memcmp(want, got, sizeof(want)) == 0 && memcmp(want_state, got_state, sizeof(want_state)) == 0, "%s, %d channels", name, n);

		/* in place: what lies between channels stays */
		memcpy(got_state, start, sizeof(start));
		run(&tested_levels[level], n, got_state, got_state, got);
		CHECK_MSG(memcmp(want, got, sizeof(want)) == 0, "%s, %d channels in place", name, n);
		for (int i = 0; i < N_STATE * LD; i++)
			CHECK_MSG(memcmp(&got_state[i], i % LD < n ? &want_state[i] : &start[i], sizeof(float)) == 0, "%s, %d channels: number %d", name, n, i);
	}
}

int
main(void)
{
	static float state[N_STATE * LD];
	static float out[MAX_N];
	double		worst = 0;

	list_vector_levels();
	for (size_t w = 0; w < sizeof(widths) / sizeof(widths[0]); w++)
	{
		fill_all();
		run(&tested_levels[0], widths[w], start, state, out);
		worst = check_larger(worst, error(widths[w], out));
		check_levels(widths[w]);

		dt[widths[w] / 2] = NAN;
		u[0] = INFINITY;
		start[widths[w] - 1] = -INFINITY;
		check_levels(widths[w]);
	}
	printf("largest error: %.2e\n", worst);
	CHECK_MSG(worst <= 2e-6, "%g", worst);
	CHECK_DONE();
}
