/*
 * machine_bench.c: what the machine can do at most, to set beside what the model does: bytes read from memory, products of
 * 8-bit integers, and float32 fused multiply-adds, per second, by a given number of threads.
 *
 * Each measure is the best of several passes between two barriers. The arithmetic loops keep everything in registers and
 * use the widest instructions of the processor that matrix kernels use: vpdpbusd where there is VNNI, else vpmaddubsw and
 * a 16-bit add. One line of JSON goes out.
 *
 * Usage: machine_bench THREADS
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define MAX_THREADS 256
#define BUFFER_BYTES ((size_t) 512 << 20)	/* far beyond any cache */
#define PASSES 7
#define ROUNDS 20000000			/* of an arithmetic loop */
#define CHAINS 12				/* independent sums, to hide latency */

/* one arithmetic loop: returns operations done; *sink keeps the result alive */
typedef double (*LoopFn) (long rounds, volatile int *sink);

#if defined(__x86_64__)

/* fewer sums than elsewhere: with twelve the compiler keeps some of them in memory, which halves the rate */
#define CHAINS_AVX2 8

__attribute__((target("avx2")))
static double
int8_avx2(long rounds, volatile int *sink)
{
	__m256i		sum[CHAINS_AVX2];
	__m256i		a = _mm256_set1_epi8(3);
	__m256i		b = _mm256_set1_epi8(1);

	for (int i = 0; i < CHAINS_AVX2; i++)
		sum[i] = _mm256_setzero_si256();
	for (long r = 0; r < rounds; r += CHAINS_AVX2)
	{
#pragma GCC unroll 8
		for (int i = 0; i < CHAINS_AVX2; i++)
		{
			__m256i		product;

			/* one of its own for each chain, which the compiler must not take out of the loop */
			__asm__ volatile ("vpmaddubsw %2, %1, %0":"=x" (product):"x" (a), "x" (b));
			sum[i] = _mm256_add_epi16(sum[i], product);
		}
	}
	for (int i = 1; i < CHAINS_AVX2; i++)
		sum[0] = _mm256_add_epi16(sum[0], sum[i]);
	*sink = _mm256_extract_epi16(sum[0], 0);
	return (double) rounds * 32;
}

__attribute__((target("avx512f,avx512vnni")))
static double
int8_avx512vnni(long rounds, volatile int *sink)
{
	__m512i		sum[CHAINS];
	__m512i		a = _mm512_set1_epi32(0x03030303);
	__m512i		b = _mm512_set1_epi32(0x01010101);

	for (int i = 0; i < CHAINS; i++)
		sum[i] = _mm512_setzero_si512();
	for (long r = 0; r < rounds; r += CHAINS)
	{
#pragma GCC unroll 12
		for (int i = 0; i < CHAINS; i++)
		{
			__asm__ volatile ("":"+v" (a));
			sum[i] = _mm512_dpbusd_epi32(sum[i], a, b);
		}
	}
	for (int i = 1; i < CHAINS; i++)
		sum[0] = _mm512_add_epi32(sum[0], sum[i]);
	*sink = _mm512_cvtsi512_si32(sum[0]);
	return (double) rounds * 64;
}

__attribute__((target("avx2,fma")))
static double
float_avx2(long rounds, volatile int *sink)
{
	__m256		sum[CHAINS];
	__m256		a = _mm256_set1_ps(0.5f);
	__m256		b = _mm256_set1_ps(0.25f);

	for (int i = 0; i < CHAINS; i++)
		sum[i] = _mm256_setzero_ps();
	for (long r = 0; r < rounds; r += CHAINS)
	{
#pragma GCC unroll 12
		for (int i = 0; i < CHAINS; i++)
			sum[i] = _mm256_fmadd_ps(a, b, sum[i]);
	}
	for (int i = 1; i < CHAINS; i++)
		sum[0] = _mm256_add_ps(sum[0], sum[i]);
	*sink = (int) _mm256_cvtss_f32(sum[0]);
	return (double) rounds * 8;
}

__attribute__((target("avx512f")))
static double
float_avx512(long rounds, volatile int *sink)
{
	__m512		sum[CHAINS];
	__m512		a = _mm512_set1_ps(0.5f);
	__m512		b = _mm512_set1_ps(0.25f);

	for (int i = 0; i < CHAINS; i++)
		sum[i] = _mm512_setzero_ps();
	for (long r = 0; r < rounds; r += CHAINS)
	{
#pragma GCC unroll 12
		for (int i = 0; i < CHAINS; i++)
			sum[i] = _mm512_fmadd_ps(a, b, sum[i]);
	}
	for (int i = 1; i < CHAINS; i++)
		sum[0] = _mm512_add_ps(sum[0], sum[i]);
	*sink = (int) _mm512_cvtss_f32(sum[0]);
	return (double) rounds * 16;
}

#endif

/* what any processor can do: sums of products that the compiler may put into vectors */
static double
int8_generic(long rounds, volatile int *sink)
{
	static const int8_t a[32] = {1, 2, 3, 4, 5, 6, 7, 8};
	int8_t		b[32];
	int			sum = 0;

	memcpy(b, a, sizeof b);
	for (long r = 0; r < rounds; r++)
	{
		__asm__ volatile ("":"+m" (b));
		for (int i = 0; i < 32; i++)
			sum += a[i] * b[i];
	}
	*sink = sum;
	return (double) rounds * 32;
}

static double
float_generic(long rounds, volatile int *sink)
{
	float		sum[32] = {0};
	float		a = 0.5f;

	for (long r = 0; r < rounds; r++)
	{
		__asm__ volatile ("":"+m" (a));
		for (int i = 0; i < 32; i++)
			sum[i] += a * 0.25f;
	}
	for (int i = 1; i < 32; i++)
		sum[0] += sum[i];
	*sink = (int) sum[0];
	return (double) rounds * 32;
}

typedef struct Loops
{
	const char *int8_name;
	LoopFn		int8;
	const char *float_name;
	LoopFn		floats;
} Loops;

static Loops
choose_loops(void)
{
	Loops		loops = {"generic", int8_generic, "generic", float_generic};

#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		loops = (Loops) {"vpmaddubsw 256", int8_avx2, "vfmadd 256", float_avx2};
	if (__builtin_cpu_supports("avx512f"))
	{
		loops.float_name = "vfmadd 512";
		loops.floats = float_avx512;
	}
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vnni"))
	{
		loops.int8_name = "vpdpbusd 512";
		loops.int8 = int8_avx512vnni;
	}
#endif
	return loops;
}

/* ---- threads ---- */

typedef enum Measure
{
	MEASURE_READ,
	MEASURE_INT8,
	MEASURE_FLOAT,
	MEASURES
} Measure;

typedef struct Shared
{
	int			n_threads;
	Loops		loops;
	const uint64_t *buffer;
	pthread_barrier_t barrier;
	double		rate[MEASURES]; /* best so far, operations or bytes per second; thread 0 writes */
	double		amount[MAX_THREADS];
} Shared;

typedef struct Worker
{
	Shared	   *shared;
	int			index;
	pthread_t	thread;
} Worker;

static double
now_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

/* read a thread's share of the buffer; the compiler may use vectors, and all loads happen */
static double
read_share(const Shared *s, int index, volatile int *sink)
{
	size_t		n = BUFFER_BYTES / sizeof(uint64_t) / (size_t) s->n_threads / 32 * 32;
	const uint64_t *p = s->buffer + n * (size_t) index;
	uint64_t	sum[32] = {0};

	for (size_t i = 0; i < n; i += 32)
		for (int k = 0; k < 32; k++)
			sum[k] |= p[i + (size_t) k];
	for (int k = 1; k < 32; k++)
		sum[0] |= sum[k];
	*sink = (int) sum[0];
	return (double) n * sizeof(uint64_t);
}

static void *
work(void *arg)
{
	Worker	   *w = arg;
	Shared	   *s = w->shared;
	volatile int sink;

	for (int pass = 0; pass < PASSES * MEASURES; pass++)
	{
		Measure		measure = (Measure) (pass % MEASURES);
		double		start;

		pthread_barrier_wait(&s->barrier);
		start = now_seconds();
		if (measure == MEASURE_READ)
			s->amount[w->index] = read_share(s, w->index, &sink);
		else
			s->amount[w->index] = (measure == MEASURE_INT8 ? s->loops.int8 : s->loops.floats) (ROUNDS, &sink);
		pthread_barrier_wait(&s->barrier);
		if (w->index == 0)
		{
			double		seconds = now_seconds() - start;
			double		amount = 0;

			for (int i = 0; i < s->n_threads; i++)
				amount += s->amount[i];
			if (amount / seconds > s->rate[measure])
				s->rate[measure] = amount / seconds;
		}
	}
	(void) sink;
	return NULL;
}

int
main(int argc, char **argv)
{
	static Shared shared;
	static Worker workers[MAX_THREADS];
	int			n = argc == 2 ? atoi(argv[1]) : 0;
	void	   *buffer;

	if (n < 1 || n > MAX_THREADS)
	{
		fprintf(stderr, "usage: machine_bench THREADS (1 to %d)\n", MAX_THREADS);
		return 1;
	}
	if (posix_memalign(&buffer, 4096, BUFFER_BYTES) != 0)
	{
		fprintf(stderr, "machine_bench: %zu bytes of memory are needed\n", BUFFER_BYTES);
		return 1;
	}
	memset(buffer, 1, BUFFER_BYTES);
	shared.n_threads = n;
	shared.loops = choose_loops();
	shared.buffer = buffer;
	pthread_barrier_init(&shared.barrier, NULL, (unsigned) n);
	for (int i = 0; i < n; i++)
	{
		workers[i].shared = &shared;
		workers[i].index = i;
		if (i > 0 && pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
		{
			fprintf(stderr, "machine_bench: could not start thread %d of %d\n", i + 1, n);
			return 1;
		}
	}
	work(&workers[0]);
	for (int i = 1; i < n; i++)
		pthread_join(workers[i].thread, NULL);
	printf("{\"threads\":%d,\"read_gbytes\":%.3f,\"int8_gmacs\":%.2f,\"int8_with\":\"%s\",\"float_gfmas\":%.2f,\"float_with\":\"%s\"}\n",
		   n, shared.rate[MEASURE_READ] / 1e9, shared.rate[MEASURE_INT8] / 1e9, shared.loops.int8_name,
		   shared.rate[MEASURE_FLOAT] / 1e9, shared.loops.float_name);
	free(buffer);
	return 0;
}
