/*
 * scan_test.c: the state space recurrence: the generic level against double precision, all levels bit by bit, and a run cut
 * in two against the whole.
 */
#include <math.h>
#include <string.h>

#include "check.h"
#include "vector_levels.h"

#define MAX_DIM 100
#define N_STATE 19
#define N_TOKENS 5
#define LD (MAX_DIM + 2 * N_STATE + 3)

static const int dims[] = {1, 7, 8, 31, 32, 33, 64, 80, 100};
static float in[N_TOKENS * LD];
static float dt[N_TOKENS * 2];
static float decay[N_TOKENS * 2];
static float start[N_STATE * MAX_DIM];

static float
random_float(void)
{
	static uint32_t x = 5;

	x = x * 1664525u + 1013904223u;
	return ((float) (x >> 8) / (float) (1 << 24) - 0.5f) * ((x & 0x700) ? 2.0f : 200.0f);
}

static void
fill(void)
{
	for (int i = 0; i < N_TOKENS * LD; i++)
		in[i] = random_float();
	for (int i = 0; i < N_STATE * MAX_DIM; i++)
		start[i] = random_float();
	for (int i = 0; i < N_TOKENS * 2; i++)
	{
		dt[i] = fabsf(random_float()) * 0.01f;
		decay[i] = expf(-dt[i]);
	}
}

static void
run(const LlmKernels *k, int dim, int first, int n, const float *from, float *state, float *out)
{
	LlmkScan	scan = {
		.n_tokens = n, .head_dim = dim, .n_state = N_STATE, .x = in + first * LD, .b = in + first * LD + MAX_DIM,
		.c = in + first * LD + MAX_DIM + N_STATE, .ld_in = LD, .dt = dt + 2 * first, .decay = decay + 2 * first, .ld_dt = 2,
		.skip = 0.7f, .from = from, .state = state, .out = out + first * (dim + 1), .ld_out = dim + 1,
	};

	k->ssm_scan(&scan);
}

/* largest error of an output, in parts of the sum of its terms' sizes */
static double
error(int dim, const float *out)
{
	double		worst = 0;

	for (int i = 0; i < dim; i++)
	{
		double		h[N_STATE];
		double		size_h[N_STATE];

		for (int n = 0; n < N_STATE; n++)
			size_h[n] = fabs(h[n] = start[n * dim + i]);
		for (int t = 0; t < N_TOKENS; t++)
		{
			const float *row = in + t * LD;
			double		y = 0.7f * (double) row[i];
			double		size = fabs(y);

			for (int n = 0; n < N_STATE; n++)
			{
				double		add = (double) row[i] * dt[2 * t] * row[MAX_DIM + n];

				h[n] = h[n] * decay[2 * t] + add;
				size_h[n] = size_h[n] * decay[2 * t] + fabs(add);
				y += h[n] * row[MAX_DIM + N_STATE + n];
				size += size_h[n] * fabs(row[MAX_DIM + N_STATE + n]);
			}
			worst = check_larger(worst, fabs(out[t * (dim + 1) + i] - y) / size);
		}
	}
	return worst;
}

int
main(void)
{
	static float want[N_TOKENS * (MAX_DIM + 1)];
	static float got[N_TOKENS * (MAX_DIM + 1)];
	static float want_state[N_STATE * MAX_DIM + 1];
	static float got_state[N_STATE * MAX_DIM + 1];
	double		worst = 0;

	list_vector_levels();
	for (size_t d = 0; d < sizeof(dims) / sizeof(dims[0]); d++)
	{
		const int	dim = dims[d];

		fill();
		memset(want, 0x55, sizeof(want));
		memset(want_state, 0x55, sizeof(want_state));
		run(&tested_levels[0], dim, 0, N_TOKENS, start, want_state, want);
		worst = check_larger(worst, error(dim, want));
		for (int level = 0; level < n_tested_levels; level++)
		{
			for (int cut = 0; cut < N_TOKENS; cut++)
			{
				memset(got, 0x55, sizeof(got));
				memset(got_state, 0x55, sizeof(got_state));
				if (cut > 0)
					run(&tested_levels[level], dim, 0, cut, start, got_state, got);
				run(&tested_levels[level], dim, cut, N_TOKENS - cut, cut > 0 ? got_state : start, got_state, got);
				CHECK_MSG(memcmp(want, got, sizeof(want)) == 0 && memcmp(want_state, got_state, sizeof(want_state)) == 0,
						  "%s, heads of %d, cut at %d", tested_levels[level].name, dim, cut);
			}
		}
	}
	printf("largest error: %.2e\n", worst);
	CHECK_MSG(worst <= 2e-6, "%g", worst);
	CHECK_DONE();
}
