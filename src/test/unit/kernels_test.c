/*
 * kernels_test.c: what surrounds the matrix products: types and sizes, choice of a level, half precision, decoding of
 * blocks against known values, quantization of activations.
 */
#include <math.h>

#include "check.h"
#include "tested_levels.h"
#include "dequant_vectors.h"

static uint64_t random_state = 88172645463325252u;

static uint32_t
random_u32(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t) (random_state >> 32);
}

static float
float_of(uint32_t bits)
{
	float		f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

static void
test_types(void)
{
	int			n_names = 0;
	uint32_t	i;
	uint32_t	j;

	for (i = 0; i < 70; i++)
	{
		const LlmTypeInfo *info = llmk_type_info(i);

		if (info == NULL)
			continue;
		n_names++;
		CHECK(info->block_len > 0 && info->block_bytes > 0);
		for (j = 0; j < i; j++)
			CHECK(llmk_type_info(j) == NULL || strcmp(llmk_type_info(j)->name, info->name) != 0);
		CHECK_MSG((llmk_group_bytes((LlmType) i, 256) != 0) == (info->decoded != 0), "%s", info->name);
	}
	CHECK(n_names == 35);
	CHECK(llmk_type_info(4) == NULL && llmk_type_info(31) == NULL && llmk_type_info(UINT32_MAX) == NULL);
	CHECK(strcmp(llmk_type_info(14)->name, "Q6_K") == 0);
	CHECK(llmk_group_bytes(LLM_TYPE_Q6_K, 512) == 8 * 2 * 210);
	CHECK(llmk_group_bytes(LLM_TYPE_Q6_K, 288) == 0);
	CHECK(llmk_group_bytes(LLM_TYPE_Q4_0, 0) == 0);
	CHECK(llmk_group_bytes(LLM_TYPE_Q4_0, -32) == 0);
	CHECK(llmk_group_bytes(LLM_TYPE_F32, INT64_MAX) == 0);
	CHECK(llmk_group_bytes(LLM_TYPE_F32, 7) == 7 * 8 * 4);
}

static void
test_select(void)
{
	uint32_t	features = llmk_cpu_features();
	int			i;

	CHECK(llmk_level(-1) == NULL && llmk_level(llmk_level_count()) == NULL);
	CHECK(strcmp(llmk_select("auto", 0)->name, "generic") == 0);
	CHECK(strcmp(llmk_select(NULL, 0)->name, "generic") == 0);
	CHECK(llmk_select("avx1024", features) == NULL);
	CHECK(llmk_select("", features) == NULL);
	CHECK(llmk_select(NULL, UINT32_MAX) == llmk_level(llmk_level_count() - 1));
	for (i = 0; i < llmk_level_count(); i++)
	{
		const LlmKernels *k = llmk_level(i);

		CHECK(llmk_select(k->name, UINT32_MAX) == k);
		CHECK(llmk_select(k->name, k->required) == k);
		if (k->required != 0)
			CHECK(llmk_select(k->name, 0) == NULL);
	}
	printf("best level here: %s\n", llmk_select("auto", features)->name);
}

/* nearest half to f, ties to even, as a double; f finite */
static double
nearest_half(float f)
{
	double		a = fabs((double) f);
	int			e = a < 0x1p-14 ? -14 : ilogb(a);
	double		unit = ldexp(1.0, e - 10);
	double		r = nearbyint(a / unit) * unit;

	return copysign(r >= 65536.0 ? (double) INFINITY : r, (double) f);
}

static void
check_half_of(float f)
{
	uint16_t	h = llmk_float_to_half(f);
	double		got = (double) llmk_half_to_float(h);

	CHECK_MSG(got == nearest_half(f) && (h >> 15) == (signbit(f) != 0), "%a: %a", (double) f, got);
}

static void
test_half(void)
{
	uint32_t	i;

	for (i = 0; i < 0x10000; i++)
	{
		float		f = llmk_half_to_float((uint16_t) i);

		if ((i & 0x7fff) > 0x7c00)
		{
			CHECK(isnan(f));
			CHECK(isnan(llmk_half_to_float(llmk_float_to_half(f))));
			continue;
		}
		CHECK(llmk_float_to_half(f) == i);
		if ((i & 0x7fff) < 0x7c00)
		{
			uint32_t	bits;

			/* the neighbours of f, and of the middle between f and the next half */
			float		next = (i & 0x7fff) == 0x7bff ? copysignf(65536.0f, f) : llmk_half_to_float((uint16_t) (i + 1));
			float		middle = (f + next) * 0.5f;

			memcpy(&bits, &middle, 4);
			check_half_of(middle);
			check_half_of(float_of(bits + 1));
			check_half_of(float_of(bits - 1));
			check_half_of(nextafterf(f, INFINITY));
		}
	}
	for (i = 0; i < 300000; i++)
	{
		float		f = float_of(random_u32());

		if (isfinite(f))
			check_half_of(f);
	}
	CHECK(llmk_float_to_half(INFINITY) == 0x7c00 && llmk_float_to_half(-INFINITY) == 0xfc00);
	CHECK(llmk_float_to_half(3.4e38f) == 0x7c00);
}

static void
test_dequantize(void)
{
	size_t		i;

	for (i = 0; i < sizeof(dequant_vectors) / sizeof(dequant_vectors[0]); i++)
	{
		const DequantVector *v = &dequant_vectors[i];
		float		out[256];
		int			j;

		llmk_dequantize(v->type, v->bytes, v->n, out);
		for (j = 0; j < v->n; j++)
			CHECK_MSG(out[j] == v->values[j], "%s element %d: %.9g, known %.9g", llmk_type_info(v->type)->name, j,
					  (double) out[j], (double) v->values[j]);
	}
}

/* one block of a term, which is to stand for x, by the generic level against the definition */
static void
check_block(const float *x, const int8_t *q, float d, const int16_t *s)
{
	int			sums[2] = {0, 0};
	int			i;

	for (i = 0; i < 32; i++)
	{
		double		expected = d > 0 ? nearbyint((double) (x[i] / d)) : 0;

		sums[i / 16] += q[i];
		CHECK_MSG(q[i] == (int) fmax(fmin(expected, 127), -127), "%g by %g: %d", (double) x[i], (double) d, q[i]);
	}
	CHECK(s[0] == sums[0] && s[1] == sums[1]);
}

/* a row (n,) by the generic level against the definition */
static void
check_quantized(const float *x, int n, const LlmkTerm *term)
{
	float		squares = 0;
	float		limit;
	int			b;
	int			i;

	for (b = 0; b < n / 32; b++)
	{
		double		largest = 0;
		bool		finite = true;
		float		d = term[0].d[b];

		for (i = 0; i < 32; i++)
		{
			finite = finite && isfinite(x[32 * b + i]);
			largest = fmax(largest, fabs((double) x[32 * b + i]));
		}
		CHECK(finite ? d == (float) largest / 127.0f : isnan(d));
		squares = fmaf(d, d, squares);
		check_block(x + 32 * b, term[0].q + 32 * b, d, term[0].s + 2 * b);
	}
	limit = n <= 256 ? 0.0f : 1.5f * (squares / (float) (n / 32));
	for (b = 0; b < n / 32; b++)
	{
		float		d = term[0].d[b];
		float		d2 = term[1].d[b];
		float		rest[32];

		if (!(d * d > limit))
		{
			CHECK(term[1].d[b] == 0.0f);
			continue;
		}
		CHECK(d2 == d / 254.0f);
		for (i = 0; i < 32; i++)
			rest[i] = fmaf(-d2, 254.0f * (float) term[0].q[32 * b + i], x[32 * b + i]);
		check_block(rest, term[1].q + 32 * b, d2, term[1].s + 2 * b);
		for (i = 0; i < 32; i++)
			CHECK(fabs((double) x[32 * b + i] - (double) d2 * (254 * term[0].q[32 * b + i] + term[1].q[32 * b + i])) <=
				  0.501 * (double) d2);
	}
}

static void
test_quantize(void)
{
	enum
	{
		N_BLOCKS = 64
	};
	float		x[32 * N_BLOCKS];
	static int8_t q[2][2][32 * N_BLOCKS];	/* by level and term */
	static float d[2][2][N_BLOCKS];
	static int16_t s[2][2][2 * N_BLOCKS];
	LlmkTerm	term[2][2];
	int			n_second = 0;
	int			round;
	int			b;
	int			i;
	int			j;

	for (i = 0; i < 2; i++)
		for (j = 0; j < 2; j++)
			term[i][j] = (LlmkTerm) {q[i][j], d[i][j], s[i][j]};
	for (round = 0; round < 120; round++)
	{
		/* long rows with a NaN or infinity have no second terms, so half of them have none; also rows of few blocks */
		const int	n_kinds = round % 2 ? 8 : 5;
		const int	n = 32 * (round % 3 ? N_BLOCKS : 1 + (int) (random_u32() % 12));

		memset(q, 0, sizeof(q));
		memset(d, 0, sizeof(d));
		memset(s, 0, sizeof(s));
		for (b = 0; b < N_BLOCKS; b++)
		{
			int			kind = (int) (random_u32() % (uint32_t) n_kinds);
			float		size = ldexpf(1.0f, round % 4 ? (int) (random_u32() % 250) - 149 : (int) (random_u32() % 5));

			for (i = 0; i < 32; i++)
			{
				float		f = (float) (int32_t) random_u32() * 0x1p-31f;

				switch (kind)
				{
					case 0:
						f = 0.0f;
						break;
					case 1:		/* ties: multiples of half a step, largest 127 */
						f = i == 0 ? 127.0f : (float) ((int) (random_u32() % 509) - 254) * 0.5f;
						break;
					case 2:
						f = i == 5 ? f * 1.0e6f : f;
						break;
					case 3:		/* denormals */
						f = float_of(random_u32() & 0x800001ff);
						break;
					case 4:
						f *= size;
						break;
					case 5:
						f = i == (int) (random_u32() % 32) ? NAN : f;
						break;
					case 6:
						f = i == 17 ? -INFINITY : f * 3.0e38f;
						break;
					default:
						break;
				}
				x[32 * b + i] = f;
			}
		}
		for (i = 0; i < n_tested_levels; i++)
		{
			int			slot = i == 0 ? 0 : 1;

			tested_levels[i].quantize(x, n, term[slot]);
			if (i == 0)
			{
				check_quantized(x, n, term[0]);
				for (b = 0; b < n / 32; b++)
					n_second += d[0][1][b] != 0.0f;
				continue;
			}

			/* what is not defined stays as it was, or is written alike */
			CHECK_MSG(memcmp(q[0], q[1], sizeof(q[0])) == 0, "%s", tested_levels[i].name);
			CHECK_MSG(memcmp(s[0], s[1], sizeof(s[0])) == 0, "%s", tested_levels[i].name);
			for (b = 0; b < N_BLOCKS; b++)
				for (j = 0; j < 2; j++)
					CHECK_MSG(memcmp(&d[0][j][b], &d[1][j][b], 4) == 0 || (isnan(d[0][j][b]) && isnan(d[1][j][b])),
							  "%s: %a, %a", tested_levels[i].name, (double) d[0][j][b], (double) d[1][j][b]);
		}
	}
	CHECK(n_second > 100);
}

int
main(void)
{
	list_tested_levels();
	test_types();
	test_select();
	test_half();
	test_dequantize();
	test_quantize();
	CHECK_DONE();
}
