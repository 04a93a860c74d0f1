/*
 * matmul_bench.c: speed of the matrix products on one thread, for every type and each level this machine has.
 *
 * A cell is the best of several runs over one matrix of 2048 columns, in pieces of PIECE_GROUPS groups as the runtime
 * calls them: multiply-adds per second (GMAC/s) and bytes of packed weights read per second (GB/s). Few tokens use a
 * matrix of 48 MB, beyond the caches, so that the second figure is the speed of memory; many tokens one of 512 rows. Time is processor time of the
 * thread, so that other work on the machine disturbs less.
 *
 * Usage: matmul_bench [type [level]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels.h"

#define N_COLS 2048
#define PIECE_GROUPS 16
#define LARGE_BYTES (48 << 20)
#define MAX_TOKENS 512
#define MIN_SECONDS 0.12

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

static uint32_t
random_u32(void)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t) (state >> 32);
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

/* bytes that make neither infinite nor tiny weights, which some processors are slow with: exponents stay in the middle */
static void
fill_weights(uint8_t *p, size_t n)
{
	size_t		i;

	for (i = 0; i < n; i++)
		p[i] = ((uint8_t) random_u32() & 0xbf) | 0x20;
}

/* best seconds of one product of all rows */
static double
measure(const LlmKernels *k, const LlmkMatrix *w, const LlmkActs *acts, float *out)
{
	int64_t		n_groups = w->n_rows / LLMK_ROWS;
	double		best = 1e30;
	double		start = now();
	int			runs = 0;

	while (runs < 3 || now() - start < MIN_SECONDS)
	{
		double		t = now();
		int64_t		g;

		for (g = 0; g < n_groups; g += PIECE_GROUPS)
			k->matmul[w->type] (w, acts, g, g + PIECE_GROUPS < n_groups ? g + PIECE_GROUPS : n_groups, out, w->n_rows);
		t = now() - t;
		best = t < best ? t : best;
		runs++;
	}
	return best;
}

static void
bench_type(const LlmKernels *k, LlmType type, LlmkActs acts, uint8_t *data, float *out)
{
	static const int tokens[] = {1, 2, 3, 4, 8, 64, 512};
	size_t		group_bytes = llmk_group_bytes(type, N_COLS);
	size_t		i;

	printf("%-10s %-5s", k->name, llmk_type_info(type)->name);
	for (i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++)
	{
		int64_t		n_groups = tokens[i] <= 4 ? (int64_t) (LARGE_BYTES / group_bytes) : 64;
		LlmkMatrix	w = {type, n_groups * LLMK_ROWS, N_COLS, data};
		double		seconds;

		if (tokens[i] > 64 && k->required == 0)
			break;
		acts.n_tokens = tokens[i];
		seconds = measure(k, &w, &acts, out);
		printf("  %6.1f %5.1f", (double) (w.n_rows * N_COLS) * tokens[i] / seconds * 1e-9,
			   (double) group_bytes * (double) n_groups / seconds * 1e-9);
		fflush(stdout);
	}
	printf("\n");
}

static void
quantize_all(const LlmKernels *k, const LlmkActs *acts, int n_tokens)
{
	for (int t = 0; t < n_tokens; t++)
	{
		LlmkTerm	row[2];

		for (int i = 0; i < 2; i++)
			row[i] = (LlmkTerm) {acts->term[i].q + t * N_COLS, acts->term[i].d + t * (N_COLS / 32),
			acts->term[i].s + t * (N_COLS / 16)};
		k->quantize(acts->x + t * N_COLS, N_COLS, row);
	}
}

static void
bench_quantize(const LlmKernels *k, const LlmkActs *acts)
{
	double		best = 1e30;
	int			run;

	for (run = 0; run < 20; run++)
	{
		double		t = now();

		quantize_all(k, acts, 64);
		t = now() - t;
		best = t < best ? t : best;
	}
	printf("%-10s quantize %.2f G numbers/s\n", k->name, N_COLS * 64 / best * 1e-9);
}

int
main(int argc, char **argv)
{
	static const LlmType types[] = {
		LLM_TYPE_Q4_0, LLM_TYPE_Q4_1, LLM_TYPE_Q5_0, LLM_TYPE_Q5_1, LLM_TYPE_Q8_0, LLM_TYPE_Q6_K,
		LLM_TYPE_Q2_K, LLM_TYPE_Q3_K, LLM_TYPE_Q4_K, LLM_TYPE_Q5_K, LLM_TYPE_IQ4_NL, LLM_TYPE_IQ4_XS, LLM_TYPE_MXFP4,
		LLM_TYPE_NVFP4, LLM_TYPE_Q1_0, LLM_TYPE_Q2_0, LLM_TYPE_TQ1_0, LLM_TYPE_TQ2_0, LLM_TYPE_IQ1_S, LLM_TYPE_IQ1_M,
		LLM_TYPE_IQ2_XXS, LLM_TYPE_IQ2_XS, LLM_TYPE_IQ2_S, LLM_TYPE_IQ3_XXS, LLM_TYPE_IQ3_S, LLM_TYPE_F32, LLM_TYPE_F16,
		LLM_TYPE_BF16
	};
	uint32_t	features = llmk_cpu_features();
	size_t		most_rows = LARGE_BYTES / (N_COLS / 256 * 36);
	uint8_t    *data = room(LARGE_BYTES + 4096);
	float	   *out = room(sizeof(float) * (most_rows * 4 > 512 * MAX_TOKENS ? most_rows * 4 : 512 * MAX_TOKENS));
	float	   *x = room(sizeof(float) * N_COLS * MAX_TOKENS);
	LlmkActs	acts = {MAX_TOKENS, N_COLS, x, N_COLS, {{0}}};
	int			level;
	size_t		i;

	for (i = 0; i < 2; i++)
		acts.term[i] = (LlmkTerm) {room(N_COLS * MAX_TOKENS), room(sizeof(float) * N_COLS / 32 * MAX_TOKENS),
		room(sizeof(int16_t) * N_COLS / 16 * MAX_TOKENS)};
	fill_weights(data, LARGE_BYTES);

	/* a fifth of the blocks is large and gets a second term, as in real models */
	for (i = 0; i < N_COLS * MAX_TOKENS; i++)
		x[i] = (float) (int32_t) random_u32() * (i / 32 % 5 ? 0x1p-31f : 0x1p-28f);
	quantize_all(llmk_level(0), &acts, MAX_TOKENS);

	printf("one thread; GMAC/s and GB/s of weights for %s tokens\n", "1, 2, 3, 4 (48 MB of weights), 8, 64, 512");
	for (level = 0; level < llmk_level_count(); level++)
	{
		const LlmKernels *k = llmk_level(level);

		if ((k->required & features) != k->required || (argc > 2 && strcmp(argv[2], k->name) != 0))
			continue;
		for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
			if (argc < 2 || strcmp(argv[1], "all") == 0 || strcmp(argv[1], llmk_type_info(types[i])->name) == 0)
				bench_type(k, types[i], acts, data, out);
		bench_quantize(k, &acts);
	}
	return 0;
}
