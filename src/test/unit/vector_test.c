/*
 * vector_test.c: the vector operations of every level: equal bits on all levels, tails and outliers included, and the
 * plain C level within a few roundings of double precision.
 */
#include <float.h>
#include <math.h>

#include "check.h"
#include "vector_levels.h"

#define MAX_N 16384
#define MARGIN 32				/* elements past the end that must stay as they were */

static const int sizes[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 100, 127, 576, 1000, 1023, 1024, 1025,
	1040, 1536, 2047, 2049, 4101, MAX_N};
#define N_SIZES ((int) (sizeof sizes / sizeof *sizes))

enum Kind
{
	PLAIN,						/* about 1 in size */
	OUTLIERS,					/* a few values of 1e4 */
	TINY,						/* squares are denormal */
	HUGE_VALUES,				/* squares overflow */
	SPECIAL,					/* zeros of both signs, denormals, infinities, NaN among plain values */
	N_KINDS
};

static uint64_t random_state = 88172645463325252u;

static uint32_t
random_bits(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t) (random_state >> 32);
}

static float
random_float(void)
{
	return (float) (int32_t) random_bits() * 0x1p-31f * 2;
}

static void
fill(float *x, int n, enum Kind kind)
{
	static const float special[] = {0.0f, -0.0f, FLT_TRUE_MIN, -FLT_MIN, INFINITY, -INFINITY, NAN, FLT_MAX, 88.8f, -104.0f};

	for (int i = 0; i < n; i++)
	{
		x[i] = random_float();
		if (kind == OUTLIERS && random_bits() % 50 == 0)
			x[i] *= 1e4f;
		else if (kind == TINY)
			x[i] *= 1e-21f;
		else if (kind == HUGE_VALUES)
			x[i] *= 1e25f;
		else if (kind == SPECIAL && random_bits() % 8 == 0)
			x[i] = special[random_bits() % (sizeof special / sizeof *special)];
	}
}

/* equal bits, all NaNs being one */
static int
same_float(float a, float b)
{
	return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static int
first_difference(const float *a, const float *b, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (!same_float(a[i], b[i]))
			return i;
	}
	return -1;
}

static float x[MAX_N + MARGIN + 1];
static float y[MAX_N + MARGIN + 1];
static float z[MAX_N + MARGIN + 1];

enum Op
{
	RMS_NORM,
	RMS_NORM_IN_PLACE,
	LAYER_NORM,
	LAYER_NORM_IN_PLACE,
	ADD,
	GELU_MUL,
	GELU_MUL_INTO_GATE,
	GELU_ERF,
	GELU_ERF_ALONE,
	RELU_SQR,
	SOFT_CAP,
	SILU_MUL,
	SILU_MUL_INTO_GATE,
	SILU_MUL_INTO_UP,
	ROPE_NORM,
	ROPE_NEOX,
	MAX,
	SUM_EXP,
	SCALE,
	N_OPS
};

static const char *const op_names[N_OPS] = {"rms_norm", "rms_norm in place", "layer_norm", "layer_norm in place", "add",
	"gelu_mul", "gelu_mul into gate", "gelu_erf", "gelu_erf alone", "relu_sqr", "soft_cap", "silu_mul", "silu_mul into gate", "silu_mul into up", "rope_norm",
	"rope_neox", "max", "sum_exp", "scale"};

/* run an operation on x, y, z (n elements and a margin each); out holds the changed array and n_out its elements */
static void
run_op(const LlmKernels *k, enum Op op, int n, int shift, float *out)
{
	float		a[MAX_N + MARGIN + 1];
	float		b[MAX_N + MARGIN + 1];
	float	   *result = a + shift;
	int			n_all = n + MARGIN;

	memcpy(a, x, sizeof(float) * (size_t) (n_all + shift));
	memcpy(b, y, sizeof(float) * (size_t) (n_all + shift));
	memcpy(out, z, sizeof(float) * (size_t) n_all);
	switch (op)
	{
		case RMS_NORM:
			k->rms_norm(a + shift, b + shift, n, 1e-5f, out);
			return;
		case RMS_NORM_IN_PLACE:
			k->rms_norm(a + shift, b + shift, n, 1e-5f, a + shift);
			break;
		case LAYER_NORM:
			k->layer_norm(a + shift, b + shift, z + shift, n, 1e-5f, out);
			return;
		case LAYER_NORM_IN_PLACE:
			k->layer_norm(a + shift, b + shift, NULL, n, 1e-5f, a + shift);
			break;
		case GELU_MUL:
			k->gelu_mul(a + shift, b + shift, n, out);
			return;
		case GELU_MUL_INTO_GATE:
			k->gelu_mul(a + shift, b + shift, n, a + shift);
			break;
		case GELU_ERF:
			k->gelu_erf(a + shift, b + shift, n, out);
			return;
		case GELU_ERF_ALONE:
			k->gelu_erf(a + shift, NULL, n, a + shift);
			break;
		case RELU_SQR:
			k->relu_sqr(a + shift, n);
			break;
		case SOFT_CAP:
			k->soft_cap(a + shift, n, 7.0f);
			break;
		case ADD:
			k->add(a + shift, b + shift, n);
			break;
		case SILU_MUL:
			k->silu_mul(a + shift, b + shift, n, out);
			return;
		case SILU_MUL_INTO_GATE:
			k->silu_mul(a + shift, b + shift, n, a + shift);
			break;
		case SILU_MUL_INTO_UP:
			k->silu_mul(a + shift, b + shift, n, b + shift);
			result = b + shift;
			break;
		case ROPE_NORM:
			k->rope_norm(a + shift, b + shift, z + shift, n / 2);
			break;
		case ROPE_NEOX:
			k->rope_neox(a + shift, b + shift, z + shift, n / 2);
			break;
		case MAX:
			a[shift] = k->max(a + shift, n);
			break;
		case SUM_EXP:
			a[shift] = k->sum_exp(a + shift, n, 2.0f, 0.7f);
			break;
		default:
			k->scale(a + shift, n, -0.3f);
	}
	memcpy(out, result, sizeof(float) * (size_t) n_all);
}

/* every operation, size, kind of input and alignment: all levels give the bits of the generic one, and touch no margin */
static void
test_levels_equal(void)
{
	static float want[MAX_N + MARGIN];
	static float got[MAX_N + MARGIN];

	for (int kind = 0; kind < N_KINDS; kind++)
	{
		for (int i = 0; i < N_SIZES; i++)
		{
			int			n = sizes[i];
			int			shift = i % 2;

			fill(x, n + MARGIN + 1, kind);
			fill(y, n + MARGIN + 1, kind == SPECIAL ? PLAIN : kind);
			fill(z, n + MARGIN + 1, PLAIN);
			for (int op = 0; op < N_OPS; op++)
			{
				run_op(&tested_levels[0], op, n, shift, want);
				for (int level = 1; level < n_tested_levels; level++)
				{
					int			at;

					run_op(&tested_levels[level], op, n, shift, got);
					at = first_difference(want, got, n + MARGIN);
					CHECK_MSG(at < 0, "%s, %s, n %d, kind %d: element %d is %a, not %a", tested_levels[level].name,
							  op_names[op], n, kind, at, (double) got[at < 0 ? 0 : at], (double) want[at < 0 ? 0 : at]);
				}
			}
		}
	}
}

static void
note(double *worst, double error)
{
	*worst = check_larger(*worst, error);
}

/* the generic level against double precision */
static void
test_accuracy(void)
{
	const LlmKernels *k = &tested_levels[0];
	static float out[MAX_N + MARGIN];
	double		norm = 0;
	double		silu = 0;
	double		rope = 0;
	double		sum = 0;

	for (int kind = PLAIN; kind <= OUTLIERS; kind++)
	{
		for (int i = 0; i < N_SIZES; i++)
		{
			int			n = sizes[i];
			double		total = 0;
			double		exps = 0;
			float		largest = -INFINITY;

			fill(x, n, kind);
			fill(y, n, PLAIN);
			fill(z, n, PLAIN);
			for (int j = 0; j < n; j++)
			{
				total += (double) x[j] * x[j];
				largest = x[j] > largest ? x[j] : largest;
			}
			k->rms_norm(x, y, n, 1e-5f, out);
			for (int j = 0; j < n; j++)
			{
				double		want = x[j] / sqrt(total / n + 1e-5f) * y[j];

				note(&norm, fabs(out[j] - want) / fmax(fabs(want), 1e-30));
			}

			k->silu_mul(x, y, n, out);
			for (int j = 0; j < n; j++)
			{
				double		want = x[j] / (1 + exp(-(double) x[j])) * y[j];

				/* below -87 the result is 0, and smaller than any normal number times the gate */
				note(&silu, x[j] < -87 ? fabs(out[j]) > 1e-34 : fabs(out[j] - want) / fmax(fabs(want), 1e-30));
			}

			CHECK(k->max(x, n) == largest);
			for (int j = 0; j < n; j++)
				exps += exp(((double) x[j] - largest) * (double) 0.7f);
			note(&sum, fabs(k->sum_exp(x, n, largest, 0.7f) - exps) / exps);

			if (n < 2)
				continue;
			memcpy(out, x, sizeof(float) * (size_t) n);
			k->rope_norm(out, y, z, n / 2);
			for (int j = 0; j < n / 2; j++)
			{
				double		size = fabs((double) x[2 * j]) + fabs((double) x[2 * j + 1]);
				double		a = (double) x[2 * j] * y[j] - (double) x[2 * j + 1] * z[j];
				double		b = (double) x[2 * j + 1] * y[j] + (double) x[2 * j] * z[j];

				note(&rope, (fabs(out[2 * j] - a) + fabs(out[2 * j + 1] - b)) / size);
			}
			memcpy(out, x, sizeof(float) * (size_t) n);
			k->rope_neox(out, y, z, n / 2);
			for (int j = 0; j < n / 2; j++)
			{
				double		size = fabs((double) x[j]) + fabs((double) x[n / 2 + j]);
				double		a = (double) x[j] * y[j] - (double) x[n / 2 + j] * z[j];
				double		b = (double) x[n / 2 + j] * y[j] + (double) x[j] * z[j];

				note(&rope, (fabs(out[j] - a) + fabs(out[n / 2 + j] - b)) / size);
			}
		}
	}
	printf("largest relative errors: rms_norm %.2e, silu_mul %.2e, rope %.2e, sum_exp %.2e\n", norm, silu, rope, sum);
	CHECK(norm <= 1e-6);
	CHECK(silu <= 5e-7);
	CHECK(rope <= 5e-7);
	CHECK(sum <= 2e-6);
}

/* the generic level's layer_norm, gelu_mul, gelu_erf, relu_sqr and soft_cap against double precision */
static void
test_accuracy_of_dense_blocks(void)
{
	const LlmKernels *k = &tested_levels[0];
	static float out[MAX_N + MARGIN];
	double		norm = 0;
	double		gelu = 0;
	double		erf_gelu = 0;
	double		relu = 0;
	double		cap = 0;

	for (int i = 0; i < N_SIZES; i++)
	{
		int			n = sizes[i];
		double		mean = 0;
		double		variance = 0;

		fill(x, n, i % 2 ? OUTLIERS : PLAIN);
		fill(y, n, PLAIN);
		fill(z, n, PLAIN);
		for (int j = 0; j < n; j++)
			mean += (double) x[j] / n;
		for (int j = 0; j < n; j++)
			variance += (x[j] - mean) * (x[j] - mean) / n;
		k->layer_norm(x, y, z, n, 1e-5f, out);
		for (int j = 0; n > 1 && j < n; j++)
			note(&norm, fabs(out[j] - ((x[j] - mean) / sqrt(variance + 1e-5f) * y[j] + z[j])) /
				 (1 + fabs(mean) / sqrt(variance)));

		k->gelu_mul(x, y, n, out);
		for (int j = 0; j < n; j++)
		{
			double		v = x[j];
			double		want = 0.5 * v * (1 + tanh(sqrt(2 / M_PI) * (v + 0.044715 * v * v * v))) * y[j];

			note(&gelu, fabs(out[j] - want) / fmax(fabs(want), fabs(v * (double) y[j]) * 0.1));
		}

		k->gelu_erf(x, NULL, n, out);
		for (int j = 0; j < n; j++)
			note(&erf_gelu, fabs(out[j] - 0.5 * x[j] * erfc(-x[j] / sqrt(2))) / fmax(fabs(x[j]), 1e-30));

		memcpy(out, x, sizeof(float) * (size_t) n);
		k->relu_sqr(out, n);
		for (int j = 0; j < n; j++)
			note(&relu, fabs(out[j] - fmax(x[j], 0) * fmax(x[j], 0)) / fmax(x[j] * (double) x[j], 1e-30));

		memcpy(out, x, sizeof(float) * (size_t) n);
		k->soft_cap(out, n, 7.0f);
		for (int j = 0; j < n; j++)
			note(&cap, fabs(out[j] - 7 * tanh(x[j] / 7.0)) / fmax(fabs(7 * tanh(x[j] / 7.0)), 1e-30));
	}
	printf("largest errors: layer_norm %.2e, gelu_mul %.2e, gelu_erf %.2e, relu_sqr %.2e, soft_cap %.2e\n", norm, gelu,
		   erf_gelu, relu, cap);
	CHECK(norm <= 3e-6);
	CHECK(gelu <= 1e-6);
	CHECK(erf_gelu <= 1.5e-7);
	CHECK(relu <= 1e-7);
	CHECK(cap <= 4e-7);
}

/* a vocabulary with one likely token: the many small terms must not be lost in the sum */
static void
test_long_tail(void)
{
	enum { N = 128256 };
	float	   *logits = malloc(sizeof(float) * N);
	double		want = 0;
	float		got;

	CHECK(logits != NULL);
	if (logits == NULL)
		return;
	for (int i = 0; i < N; i++)
		logits[i] = i == 777 ? 0.0f : -17.5f + random_float();
	for (int i = 0; i < N; i++)
		want += exp(logits[i]);
	got = tested_levels[0].sum_exp(logits, N, 0.0f, 1.0f);
	printf("sum_exp over a vocabulary: relative error %.2e\n", fabs(got - want) / want);
	CHECK(fabs(got - want) <= 1e-6 * want);
	for (int level = 1; level < n_tested_levels; level++)
		CHECK(tested_levels[level].sum_exp(logits, N, 0.0f, 1.0f) == got);
	free(logits);
}

static void
test_special_values(void)
{
	for (int level = 0; level < n_tested_levels; level++)
	{
		const LlmKernels *k = &tested_levels[level];

		for (int n = 1; n <= 40; n++)
		{
			for (int at = 0; at < n; at++)
			{
				fill(x, n, PLAIN);
				x[at] = NAN;
				CHECK(isnan(k->max(x, n)));
				CHECK(isnan(k->sum_exp(x, n, 1.0f, 1.0f)));
				x[at] = 100.0f;
				CHECK(k->max(x, n) == 100.0f);
				for (int i = 0; i < n; i++)
					x[i] = -INFINITY;
				CHECK(k->max(x, n) == -INFINITY);
				CHECK(k->sum_exp(x, n, 0.0f, 1.0f) == 0.0f);
				x[at] = 5.0f;
				CHECK(k->sum_exp(x, n, 5.0f, 3.0f) == 1.0f);
			}
		}
		x[0] = x[1] = -0.0f;
		CHECK(k->max(x, 2) == 0 && !signbit(k->max(x, 2)));
		x[0] = -100.0f;
		x[1] = 100.0f;
		y[0] = y[1] = 1.0f;
		k->silu_mul(x, y, 2, z);
		CHECK(z[0] == 0 && z[1] == 100.0f);
	}
}

int
main(void)
{
	list_vector_levels();
	test_levels_equal();
	test_accuracy();
	test_accuracy_of_dense_blocks();
	test_long_tail();
	test_special_values();
	CHECK_DONE();
}
