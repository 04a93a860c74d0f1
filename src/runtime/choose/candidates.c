/*
 * candidates.c: filters over the tokens that may be chosen, and the draw.
 *
 * A filter keeps the head of an order (falling logit, or nearness to the entropy) up to some count or weight. Nothing sorts a
 * vocabulary: candidates are put into buckets of equal width by their key, buckets are added from the top until the head is
 * complete, and the bucket in which that happens is divided again. So a filter is a few passes, whatever the distribution.
 * The kept ones stay in order of id, because a draw needs no other.
 *
 * Weights are exp((logit - largest logit) / temperature). Sums of many are made by the kernels, block by block, in single
 * precision, and added in double precision; single weights are computed in double precision.
 */
#include "choose/candidates.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define N_BUCKETS 1024

/* so few are put in order directly */
#define N_DIRECT 24

/* logits whose weights are added in single precision before they join the sum */
#define SUM_BLOCK 1024

/* blocks of which only the largest logit is looked at first */
#define TOP_K_BLOCK 64

/* how much of an order is kept: so many, or a weight */
typedef struct Enough
{
	bool		by_count;
	double		amount;
} Enough;

/* the last of what is kept: its key, and its place among the candidates (ties beyond it are left out) */
typedef struct Cut
{
	float		key;
	int32_t		place;
} Cut;

size_t
llm_candidates_scratch_bytes(int32_t n_vocab)
{
	return (size_t) n_vocab * (3 * sizeof(int32_t) + 3 * sizeof(float));
}

void
llm_candidates_init(LlmCandidates *c, const LlmKernels *k, const float *logits, int32_t n_vocab, float max,
					float temperature, void *scratch)
{
	c->kernels = k;
	c->temperature = (double) temperature;
	c->max = max;
	c->n = n_vocab;
	c->ids = NULL;
	c->logits = logits;
	c->own_ids = scratch;
	c->part = c->own_ids + n_vocab;
	c->sorted = c->part + n_vocab;
	c->own_logits = (float *) (c->sorted + n_vocab);
	c->nearness = c->own_logits + n_vocab;
	c->sorted_logits = c->nearness + n_vocab;
}

/* ---- weights ---- */

static double
exponent(const LlmCandidates *c, float logit)
{
	return ((double) logit - (double) c->max) / c->temperature;
}

static double
sum_block(const LlmCandidates *c, const float *logits, int32_t n)
{
	return (double) c->kernels->sum_exp(logits, n, c->max, (float) (1.0 / c->temperature));
}

/* sum of weights of logits (n,) */
static double
sum_weights(const LlmCandidates *c, const float *logits, int32_t n)
{
	double		sum = 0;

	for (int32_t begin = 0; begin < n; begin += SUM_BLOCK)
		sum += sum_block(c, logits + begin, n - begin < SUM_BLOCK ? n - begin : SUM_BLOCK);
	return sum;
}

/* ---- leaving out ---- */

/*
 * Keep the candidates whose logit is at least `least`, and no forbidden one. From the first call on they have arrays of
 * their own.
 */
static void
keep_at_least(LlmCandidates *c, double least)
{
	const float at_least = least > -FLT_MAX ? (float) least : -FLT_MAX;
	const float *logits = c->logits;
	const int32_t *from = c->ids;
	int32_t    *ids = c->own_ids;
	float	   *own = c->own_logits;
	int32_t		n = 0;

	for (int32_t i = 0; i < c->n; i++)
	{
		float		logit = logits[i];

		ids[n] = from ? from[i] : i;
		own[n] = logit;
		n += logit >= at_least;
	}
	c->n = n;
	c->ids = ids;
	c->logits = own;
}

/* keep the candidates whose key is not after the cut; key (n,) may be the logits themselves */
static void
keep_to(LlmCandidates *c, const float *key, Cut cut)
{
	int32_t    *ids = c->own_ids;
	float	   *own = c->own_logits;
	int32_t		n = 0;

	for (int32_t i = 0; i < c->n; i++)
	{
		bool		keep = key[i] > cut.key || (key[i] == cut.key && i <= cut.place);

		ids[n] = ids[i];
		own[n] = own[i];
		n += keep;
	}
	c->n = n;
}

/* ---- where a head ends ---- */

static bool
before(const float *key, int32_t a, int32_t b)
{
	return key[a] > key[b] || (key[a] == key[b] && a < b);
}

/* the end of the head among the few (or equal) places of part (n,), which go on from a sum */
static Cut
cut_directly(const LlmCandidates *c, const float *key, int32_t n, bool all_equal, double sum, Enough enough)
{
	int32_t    *part = c->part;
	int32_t		last = 0;

	for (int32_t i = 1; i < n && !all_equal; i++)
	{
		int32_t		place = part[i];
		int32_t		at = i;

		for (; at > 0 && before(key, place, part[at - 1]); at--)
			part[at] = part[at - 1];
		part[at] = place;
	}
	for (; last < n - 1; last++)
	{
		sum += enough.by_count ? 1.0 : llmk_exp(exponent(c, c->logits[part[last]]));
		if (sum >= enough.amount)
			break;
	}
	return (Cut) {key[part[last]], part[last]};
}

static void
key_range(const float *key, const int32_t *part, int32_t n, float *low, float *high)
{
	float		least = key[part[0]];
	float		most = least;

	for (int32_t i = 1; i < n; i++)
	{
		float		x = key[part[i]];

		least = x < least ? x : least;
		most = x > most ? x : most;
	}
	*low = least;
	*high = most;
}

/* a bucket of equal width for a key; the highest keys are in bucket 0 */
static inline int
bucket_of(float key, float high, double scale)
{
	int			b = (int) (((double) high - (double) key) * scale);

	return b < N_BUCKETS ? b : N_BUCKETS - 1;
}

/* places of part (n,) and their logits in order of bucket, within one by rising place; end[b] is the end of bucket b */
static void
sort_by_bucket(const LlmCandidates *c, const float *key, int32_t n, float low, float high, int32_t *end)
{
	const double scale = N_BUCKETS / ((double) high - (double) low);
	const int32_t *part = c->part;
	const float *logits = c->logits;
	int32_t    *sorted = c->sorted;
	float	   *sorted_logits = c->sorted_logits;
	int32_t		begin = 0;

	memset(end, 0, N_BUCKETS * sizeof(*end));
	for (int32_t i = 0; i < n; i++)
		end[bucket_of(key[part[i]], high, scale)]++;
	for (int b = 0; b < N_BUCKETS; b++)
	{
		int32_t		count = end[b];

		end[b] = begin;
		begin += count;
	}
	for (int32_t i = 0; i < n; i++)
	{
		int32_t		place = part[i];
		int32_t		to = end[bucket_of(key[place], high, scale)]++;

		sorted[to] = place;
		sorted_logits[to] = logits[place];
	}
}

/*
 * The end of the shortest head, in the order of falling key (n,), finite, that is enough; the last candidate if all together are not.
 * Each round either ends or goes on in one bucket, which has a narrower range of keys.
 */
static Cut
find_cut(const LlmCandidates *c, const float *key, Enough enough)
{
	int32_t		n = c->n;
	double		sum = 0;

	for (int32_t i = 0; i < n; i++)
		c->part[i] = i;
	for (;;)
	{
		int32_t		end[N_BUCKETS];
		int32_t		begin = 0;
		float		low;
		float		high;

		key_range(key, c->part, n, &low, &high);
		if (n <= N_DIRECT || low == high)
			return cut_directly(c, key, n, low == high, sum, enough);
		sort_by_bucket(c, key, n, low, high, end);
		for (int b = 0; b < N_BUCKETS; b++)
		{
			int32_t		count = end[b] - begin;
			double		weight;

			if (count == 0)
				continue;
			weight = enough.by_count ? (double) count : sum_weights(c, c->sorted_logits + begin, count);
			if (sum + weight >= enough.amount || end[b] == n)
			{
				n = count;
				break;
			}
			sum += weight;
			begin = end[b];
		}
		memcpy(c->part, c->sorted + begin, (size_t) n * sizeof(*c->part));
	}
}

/* ---- filters ---- */

/*
 * A logit that k others surely reach: the k-th largest of the largest of many blocks. With fewer tokens to look at, the
 * search for the k-th is faster. -infinity if there are too few blocks.
 */
static double
surely_reached(LlmCandidates *c, int32_t k)
{
	const int32_t n_blocks = c->n / TOP_K_BLOCK;
	LlmCandidates blocks = *c;
	float	   *most = c->nearness;

	if (k > n_blocks)
		return -INFINITY;
	for (int32_t i = 0; i < n_blocks; i++)
		most[i] = fmaxf(c->kernels->max(c->logits + i * TOP_K_BLOCK, TOP_K_BLOCK), -FLT_MAX);	/* keys are finite */
	blocks.n = n_blocks;
	blocks.logits = most;
	return (double) find_cut(&blocks, most, (Enough) {true, (double) k}).key;
}

void
llm_candidates_top_k(LlmCandidates *c, int32_t k)
{
	keep_at_least(c, surely_reached(c, k));
	if (k < c->n)
		keep_to(c, c->logits, find_cut(c, c->logits, (Enough) {true, (double) k}));
}

/* those lighter than a share of what may be left out are left out first (half of it, so that no rounding matters) */
void
llm_candidates_top_p(LlmCandidates *c, double p)
{
	double		total = sum_weights(c, c->logits, c->n);

	keep_at_least(c, p < 1.0 ? (double) c->max + c->temperature * llmk_log(0.5 * (1.0 - p) * total / (double) c->n) : -INFINITY);
	keep_to(c, c->logits, find_cut(c, c->logits, (Enough) {false, p * total}));
}

/* those with at least p times the weight of the most likely */
void
llm_candidates_min_p(LlmCandidates *c, double p)
{
	double		max = (double) c->kernels->max(c->logits, c->n);

	keep_at_least(c, p > 0 ? max + c->temperature * llmk_log(p) : -INFINITY);
}

/* the order is that of the distance between a token's surprise and the entropy (mean surprise) */
void
llm_candidates_typical(LlmCandidates *c, double p)
{
	double		total;
	double		log_total;
	double		entropy = 0;

	keep_at_least(c, -INFINITY);
	total = sum_weights(c, c->logits, c->n);
	log_total = llmk_log(total);
	for (int32_t i = 0; i < c->n; i++)
	{
		double		x = exponent(c, c->logits[i]);

		entropy += llmk_exp(x) * (log_total - x);
	}
	entropy /= total;
	for (int32_t i = 0; i < c->n; i++)
		c->nearness[i] = (float) fmax(-fabs(log_total - exponent(c, c->logits[i]) - entropy), -FLT_MAX);
	keep_to(c, c->nearness, find_cut(c, c->nearness, (Enough) {false, p * total}));
}

/* ---- the draw ---- */

int32_t
llm_candidates_draw(const LlmCandidates *c, double unit)
{
	double		target = unit * sum_weights(c, c->logits, c->n);
	int32_t		begin = 0;
	int32_t		last;
	double		sum = 0;

	/* the block in which the sum passes the target (the last with any weight if rounding keeps it below), then the token */
	for (int32_t next = 0; next < c->n; next += SUM_BLOCK)
	{
		double		w = sum_block(c, c->logits + next, c->n - next < SUM_BLOCK ? c->n - next : SUM_BLOCK);

		if (w > 0)
			begin = next;
		if (w > target)
			break;
		target -= w;
	}
	last = begin;
	for (int32_t i = begin; i < c->n && i < begin + SUM_BLOCK && sum <= target; i++)
	{
		double		w = llmk_exp(exponent(c, c->logits[i]));

		if (w > 0)
			last = i;
		sum += w;
	}
	return c->ids ? c->ids[last] : last;
}
