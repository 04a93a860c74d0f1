/*
 * attention_bench.c: speed of attention and of the vector operations on one thread, for each level this machine has.
 *
 * A cell of the attention table is one call pattern of the runtime: n queries over 16 pages (1024 keys), every key
 * visible. A query-key pair costs 2 * head_dim fused multiply-adds, one exp and its part of the conversions from half
 * precision. "peak" is the multiply-add rate of this core, measured by the same program on registers alone.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cpu/levels.h"

#define N_PAGES 16
#define MAX_QUERIES 64
#define MAX_DIM 256

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec * 1e6 + (double) t.tv_nsec * 1e-3;
}

static float
random_float(void)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (float) (int64_t) state * 0x1p-63f;
}

static void *
room(size_t bytes)
{
	void	   *p = aligned_alloc(LLMK_ALIGN, (bytes + LLMK_ALIGN - 1) / LLMK_ALIGN * LLMK_ALIGN);

	if (p == NULL)
	{
		fprintf(stderr, "out of memory\n");
		exit(1);
	}
	return p;
}

typedef struct Buffers
{
	float	   *q[MAX_QUERIES];
	float	   *acc[MAX_QUERIES];
	float		max[MAX_QUERIES];
	float		sum[MAX_QUERIES];
	int			begin[MAX_QUERIES];
	int			end[MAX_QUERIES];
	void	   *k[N_PAGES];
	void	   *v[N_PAGES];
} Buffers;

static void
fill_buffers(const LlmKernels *kernels, Buffers *b, int dim, LlmKvType type)
{
	float		row[MAX_DIM];

	for (int page = 0; page < N_PAGES; page++)
	{
		for (int key = 0; key < LLMK_PAGE_KEYS; key++)
		{
			for (int d = 0; d < dim; d++)
				row[d] = random_float();
			kernels->store_key(row, dim, type, key, b->k[page]);
			kernels->store_value(row, dim, type, key, b->v[page]);
		}
	}
	for (int i = 0; i < MAX_QUERIES; i++)
	{
		for (int d = 0; d < dim; d++)
		{
			b->q[i][d] = random_float();
			b->acc[i][d] = 0;
		}
		b->max[i] = -INFINITY;
		b->sum[i] = 0;
		b->begin[i] = 0;
		b->end[i] = LLMK_PAGE_KEYS;
	}
}

/* best of several runs, in microseconds, of n queries over all pages */
static double
time_attention(const LlmKernels *kernels, Buffers *b, int n, int dim, LlmKvType type)
{
	LlmkAttend	a = {
		.n_queries = n, .head_dim_k = dim, .head_dim_v = dim, .kv_type = type, .scale = 0.125f,
		.q = (const float *const *) b->q, .key_begin = b->begin, .key_end = b->end,
		.max = b->max, .sum = b->sum, .acc = b->acc
	};
	double		best = 1e30;
	double		stop = now_us() + 60e3;

	fill_buffers(kernels, b, dim, type);
	do
	{
		double		start = now_us();
		double		took;

		for (int page = 0; page < N_PAGES; page++)
		{
			a.k_page = b->k[page];
			a.v_page = b->v[page];
			kernels->attend_page(&a);
		}
		took = now_us() - start;
		best = took < best ? took : best;
	} while (now_us() < stop);
	return best;
}

static void
attention_table(const LlmKernels *kernels, Buffers *b)
{
	static const int queries[] = {1, 2, 3, 4, 6, 12, 64};
	static const int dims[] = {64, 128};

	for (int type = LLM_KV_F32; type <= LLM_KV_F16; type++)
	{
		for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
		{
			for (size_t j = 0; j < sizeof queries / sizeof *queries; j++)
			{
				int			n = queries[j];
				double		us = time_attention(kernels, b, n, dims[i], type);
				double		pairs = (double) n * N_PAGES * LLMK_PAGE_KEYS;

				printf("%-8s attention %s head_dim %3d, %2d queries: %7.3f ns per query and key, %7.4f per dimension, "
					   "%6.2f GFMA/s\n", kernels->name, type == LLM_KV_F32 ? "f32" : "f16", dims[i], n,
					   us * 1e3 / pairs, us * 1e3 / (pairs * dims[i]), pairs * 2 * dims[i] / us * 1e-3);
			}
		}
	}
}

/* nanoseconds per element of one operation over n elements that stay in the cache */
static void
vector_table(const LlmKernels *kernels, float *x, float *y, float *z)
{
	static const char *const names[] = {"rms_norm", "add", "silu_mul", "rope_norm", "rope_neox", "max", "sum_exp", "scale"};
	const int	n = 1536;

	for (int op = 0; op < 8; op++)
	{
		double		best = 1e30;
		double		stop = now_us() + 20e3;
		volatile float sink = 0;

		for (int i = 0; i < n; i++)
		{
			x[i] = random_float();
			y[i] = random_float();
		}
		do
		{
			double		start = now_us();
			double		took;

			for (int repeat = 0; repeat < 16; repeat++)
			{
				switch (op)
				{
					case 0:
						kernels->rms_norm(x, y, n, 1e-5f, z);
						break;
					case 1:
						kernels->add(z, x, n);
						break;
					case 2:
						kernels->silu_mul(x, y, n, z);
						break;
					case 3:
						kernels->rope_norm(x, y, y, n / 2);
						break;
					case 4:
						kernels->rope_neox(x, y, y, n / 2);
						break;
					case 5:
						sink = kernels->max(x, n);
						break;
					case 6:
						sink = kernels->sum_exp(x, n, 1.0f, 1.0f);
						break;
					default:
						kernels->scale(x, n, 1.0f);
				}
			}
			took = now_us() - start;
			best = took < best ? took : best;
		} while (now_us() < stop);
		(void) sink;
		printf("%-8s %-10s %7.4f ns per element\n", kernels->name, names[op], best * 1e3 / (16.0 * n));
	}
}

int
main(void)
{
	uint32_t	features = llmk_cpu_features();
	Buffers		b;
	float	   *x = room(3 * 2048 * sizeof(float));

	for (int i = 0; i < MAX_QUERIES; i++)
	{
		b.q[i] = room(MAX_DIM * sizeof(float));
		b.acc[i] = room(MAX_DIM * sizeof(float));
	}
	for (int i = 0; i < N_PAGES; i++)
	{
		b.k[i] = room(MAX_DIM * LLMK_PAGE_KEYS * sizeof(float));
		b.v[i] = room(MAX_DIM * LLMK_PAGE_KEYS * sizeof(float));
	}
	for (int i = 0; i < llmk_level_count(); i++)
	{
		const LlmKernels *kernels = llmk_level(i);

		if ((kernels->required & features) != kernels->required)
			continue;
		attention_table(kernels, &b);
		vector_table(kernels, x, x + 2048, x + 4096);
	}
	for (int i = 0; i < MAX_QUERIES; i++)
	{
		free(b.q[i]);
		free(b.acc[i]);
	}
	for (int i = 0; i < N_PAGES; i++)
	{
		free(b.k[i]);
		free(b.v[i]);
	}
	free(x);
	return 0;
}
