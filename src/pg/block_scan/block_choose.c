/*
 * block_choose.c: how near texts have to be.
 *
 * By recall: pairs are put into strata by their cosine, each three times as large as all nearer ones together, as matches are
 * among the nearest mostly. Of each stratum equally many pairs are verified by the model, those with the smallest hashes of
 * their texts, so that the choice depends on the texts alone. A match stands for as many as its stratum is larger than
 * its sample. The least cosine is that of the match at which the matches before reach the recall. A sample without matches
 * says nothing, and all pairs are near enough.
 */
#include "block_scan/block_scan.h"

#include <math.h>

#include "miscadmin.h"

#define N_BINS 65536			/* of cosines from -1 to 1 */
#define N_STRATA 8
#define DEFAULT_RECALL 0.95
#define DEFAULT_SAMPLE 256

/* ---- the nearest of each text ---- */

/* the k largest numbers so far, the smallest of them first */
typedef struct Nearest
{
	int			k[PGLLM_SIDES];	/* as many as were asked for, or all texts of the other side */
	float	   *of[PGLLM_SIDES];	/* (n_texts, k) */
} Nearest;

static void
keep_largest(float *heap, int k, float x)
{
	int			i = 0;

	if (!(x > heap[0]))
		return;
	for (;;)
	{
		int			child = 2 * i + 1;

		if (child + 1 < k && heap[child + 1] < heap[child])
			child++;
		if (child >= k || heap[child] >= x)
			break;
		heap[i] = heap[child];
		i = child;
	}
	heap[i] = x;
}

/* PgLlmCosinesFn */
static void
note_nearest(void *opaque, int i, int32 first, int n, const float *cosines)
{
	const Nearest *nearest = opaque;
	const int	k_outer = nearest->k[PGLLM_OUTER];
	const int	k_inner = nearest->k[PGLLM_INNER];

	for (int j = 0; j < n; j++)
	{
		keep_largest(nearest->of[PGLLM_OUTER] + (size_t) i * k_outer, k_outer, cosines[j]);
		keep_largest(nearest->of[PGLLM_INNER] + (size_t) (first + j) * k_inner, k_inner, cosines[j]);
	}
}

static void
choose_nearest(PgLlmBlockState *b)
{
	Nearest		nearest;

	for (int side = 0; side < PGLLM_SIDES; side++)
	{
		size_t		n = (size_t) b->sides[side].n_texts;

		nearest.k[side] = Min(b->options.block_top, b->sides[side == PGLLM_OUTER ? PGLLM_INNER : PGLLM_OUTER].n_texts);
		nearest.of[side] = pgllm_block_alloc(b, n, sizeof(float) * nearest.k[side]);
		for (size_t i = 0; i < n * nearest.k[side]; i++)
			nearest.of[side][i] = -INFINITY;
	}
	pgllm_block_cosines(b, NULL, b->sides[PGLLM_OUTER].n_texts, note_nearest, &nearest);
	for (int side = 0; side < PGLLM_SIDES; side++)
	{
		b->sides[side].least = pgllm_block_alloc(b, b->sides[side].n_texts, sizeof(float));
		for (int32 i = 0; i < b->sides[side].n_texts; i++)
			b->sides[side].least[i] = nearest.of[side][(size_t) i * nearest.k[side]];
		pfree(nearest.of[side]);
	}
}

/* ---- strata ---- */

typedef struct Strata
{
	PgLlmBlockState *b;
	int			n;
	uint64		counts[N_BINS];
	uint8		stratum_of[N_BINS];
	uint64		size[N_STRATA];
	int			n_wanted;		/* pairs of each */
	int			n_taken[N_STRATA];
	PgLlmPair  *pairs;			/* (n, n_wanted) those with the smallest hashes, the largest of them first */
} Strata;

static int
bin_of(float cosine)
{
	float		x = (cosine + 1) * (N_BINS / 2);

	return x >= N_BINS - 1 ? N_BINS - 1 : x > 0 ? (int) x : 0;
}

/* PgLlmCosinesFn */
static void
count_pairs(void *opaque, int i, int32 first, int n, const float *cosines)
{
	Strata	   *strata = opaque;

	for (int j = 0; j < n; j++)
		strata->counts[bin_of(cosines[j])]++;
}

/* bins to strata, the nearest first */
static void
make_strata(Strata *strata, uint64 n_pairs, int n_sample)
{
	uint64		before = 0;
	uint64		end;
	int			stratum = 0;

	strata->n = N_STRATA;
	end = n_pairs >> (2 * (N_STRATA - 1));
	while (strata->n > 1 && end < (uint64) (n_sample / strata->n))
	{
		strata->n--;
		end = n_pairs >> (2 * (strata->n - 1));
	}
	strata->n_wanted = Max(n_sample / strata->n, 1);
	for (int bin = N_BINS - 1; bin >= 0; bin--)
	{
		while (before >= end && stratum < strata->n - 1)
		{
			stratum++;
			end = n_pairs >> (2 * (strata->n - 1 - stratum));
		}
		strata->stratum_of[bin] = (uint8) stratum;
		strata->size[stratum] += strata->counts[bin];
		before += strata->counts[bin];
	}
}

/* ---- the sample ---- */

static uint64
mix(uint64 x)
{
	x += UINT64CONST(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64CONST(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64CONST(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static void
swap_pairs(PgLlmPair *a, PgLlmPair *b)
{
	PgLlmPair	c = *a;

	*a = *b;
	*b = c;
}

/* put a pair into the heap of its stratum, whose largest hash leaves if it is full */
static void
take_pair(Strata *strata, const PgLlmPair *pair)
{
	PgLlmPair  *heap = strata->pairs + (size_t) pair->stratum * strata->n_wanted;
	int			n = strata->n_taken[pair->stratum];
	int			i = 0;

	if (n < strata->n_wanted)
	{
		for (i = n, strata->n_taken[pair->stratum]++, heap[i] = *pair; i > 0 && heap[(i - 1) / 2].hash < heap[i].hash; i = (i - 1) / 2)
			swap_pairs(&heap[i], &heap[(i - 1) / 2]);
		return;
	}
	if (pair->hash >= heap[0].hash)
		return;
	heap[0] = *pair;
	for (;;)
	{
		int			child = 2 * i + 1;

		if (child + 1 < n && heap[child + 1].hash > heap[child].hash)
			child++;
		if (child >= n || heap[child].hash <= heap[i].hash)
			break;
		swap_pairs(&heap[i], &heap[child]);
		i = child;
	}
}

/* PgLlmCosinesFn */
static void
sample_pairs(void *opaque, int i, int32 first, int n, const float *cosines)
{
	Strata	   *strata = opaque;
	const PgLlmBlockState *b = strata->b;
	uint64		outer = b->hashes[b->sides[PGLLM_OUTER].vector_of[i]];

	for (int j = 0; j < n; j++)
	{
		PgLlmPair	pair = {.texts = {i, first + j}, .cosine = cosines[j], .stratum = strata->stratum_of[bin_of(cosines[j])]};

		pair.hash = mix(outer ^ mix(b->hashes[b->sides[PGLLM_INNER].vector_of[first + j]]));
		take_pair(strata, &pair);
	}
}

/* nearest first */
static int
compare_pairs(const void *a, const void *b)
{
	const PgLlmPair *x = a;
	const PgLlmPair *y = b;

	if (x->cosine != y->cosine)
		return x->cosine > y->cosine ? -1 : 1;
	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* pairs that a match of a stratum stands for */
static double
weight_of(const Strata *strata, int stratum)
{
	return (double) strata->size[stratum] / strata->n_taken[stratum];
}

/* the least cosine by the verified pairs, which are sorted */
static void
choose_by_sample(PgLlmBlockState *b, const Strata *strata, const PgLlmPair *pairs, int n, double recall)
{
	double		all = 0;
	double		kept = 0;

	for (int i = 0; i < n; i++)
		if (pairs[i].matches)
		{
			all += weight_of(strata, pairs[i].stratum);
			b->stats.n_matches++;
		}
	b->stats.n_sampled = n;
	b->stats.recall = 1;
	for (int i = 0; i < n && kept < all * recall; i++)
		if (pairs[i].matches)
		{
			kept += weight_of(strata, pairs[i].stratum);
			b->least = pairs[i].cosine;
			b->stats.recall = kept / all;
		}
}

static void
choose_by_recall(PgLlmBlockState *b)
{
	double		recall = b->options.block_recall > 0 ? b->options.block_recall : DEFAULT_RECALL;
	int			n_sample = b->options.block_sample > 0 ? b->options.block_sample : DEFAULT_SAMPLE;
	uint64		n_pairs = (uint64) b->sides[PGLLM_OUTER].n_texts * (uint64) b->sides[PGLLM_INNER].n_texts;
	Strata	   *strata;
	int			n = 0;

	/* as many as would be verified for the choice */
	if (n_pairs <= (uint64) n_sample)
		return;
	strata = pgllm_block_alloc(b, 1, sizeof(Strata));
	memset(strata, 0, sizeof(Strata));
	strata->b = b;
	pgllm_block_cosines(b, NULL, b->sides[PGLLM_OUTER].n_texts, count_pairs, strata);
	make_strata(strata, n_pairs, n_sample);
	strata->pairs = pgllm_block_alloc(b, (size_t) strata->n * strata->n_wanted, sizeof(PgLlmPair));
	pgllm_block_cosines(b, NULL, b->sides[PGLLM_OUTER].n_texts, sample_pairs, strata);
	for (int i = 0; i < strata->n; i++)
	{
		memmove(strata->pairs + n, strata->pairs + (size_t) i * strata->n_wanted, sizeof(PgLlmPair) * strata->n_taken[i]);
		n += strata->n_taken[i];
	}
	qsort(strata->pairs, n, sizeof(PgLlmPair), compare_pairs);
	pgllm_block_verify(b, strata->pairs, n);
	choose_by_sample(b, strata, strata->pairs, n, recall);
	pfree(strata->pairs);
	pfree(strata);
}

void
pgllm_block_choose(PgLlmBlockState *b)
{
	b->least = -INFINITY;
	b->sides[PGLLM_OUTER].least = b->sides[PGLLM_INNER].least = NULL;
	b->stats.recall = -1;
	b->stats.n_sampled = b->stats.n_matches = 0;
	if (b->sides[PGLLM_OUTER].n_texts == 0 || b->sides[PGLLM_INNER].n_texts == 0)
		return;
	pgllm_block_pack(b);
	if (b->options.block_top > 0)
		choose_nearest(b);
	else if (b->options.has_block_similarity)
		b->least = (float) b->options.block_similarity;
	else
		choose_by_recall(b);
}
