/*
 * attention_test.c: attention over pages, every level: against a softmax in double precision over the stored keys and
 * values, equal bits on all levels, a query's result independent of the queries beside it, masked slots without effect
 * whatever they hold, and spans merged.
 */
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "vector_levels.h"

#define MAX_QUERIES 72
#define MAX_DIM 320
#define MAX_PAGES 9

static uint64_t random_state = 88172645463325252u;

static uint32_t
random_bits(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t) (random_state >> 32);
}

static int
random_below(int n)
{
	return (int) (random_bits() % (uint32_t) n);
}

static float
random_float(void)
{
	return (float) (int32_t) random_bits() * 0x1p-31f * 2;
}

/* what the queries see: [begin, end) over all keys */
enum Mask
{
	FULL,
	CAUSAL,						/* query i sees one key more than query i - 1, all end in the last page */
	CAUSAL_GROUPS,				/* the same with three heads per token */
	WINDOW,						/* causal with a window of 70 keys */
	RANDOM_RANGES,				/* empty ones among them */
	N_MASKS
};

typedef struct Case
{
	int			n_queries;
	int			n_pages;
	int			dim_k;
	int			dim_v;
	LlmKvType	type;
	float		scale;
	float		softcap;
	bool		sloped;			/* scores fall with distance, by slope[i] a key */
	float		slope[MAX_QUERIES];
	int			position[MAX_QUERIES];
	int			begin[MAX_QUERIES];
	int			end[MAX_QUERIES];
} Case;

static float queries[MAX_QUERIES][MAX_DIM];
static float k_pages[MAX_PAGES][MAX_DIM * LLMK_PAGE_KEYS] __attribute__((aligned(64)));
static float v_pages[MAX_PAGES][MAX_DIM * LLMK_PAGE_KEYS] __attribute__((aligned(64)));

/* the running state of all queries */
typedef struct State
{
	float		max[MAX_QUERIES];
	float		sum[MAX_QUERIES];
	float		acc[MAX_QUERIES][MAX_DIM];
} State;

static void
start_state(State *s)
{
	memset(s, 0, sizeof *s);
	for (int i = 0; i < MAX_QUERIES; i++)
		s->max[i] = -INFINITY;
}

/* the listed queries over pages [first, last) */
static void
attend(const LlmKernels *k, const Case *c, const int *list, int n, int first, int last, State *s)
{
	const float *q[MAX_QUERIES];
	float	   *acc[MAX_QUERIES];
	float		max[MAX_QUERIES];
	float		sum[MAX_QUERIES];
	int			begin[MAX_QUERIES];
	int			end[MAX_QUERIES];
	float		slope[MAX_QUERIES];
	int			distance[MAX_QUERIES];
	LlmkAttend	a = {
		.n_queries = n, .head_dim_k = c->dim_k, .head_dim_v = c->dim_v, .kv_type = c->type, .scale = c->scale,
		.softcap = c->softcap, .slope = c->sloped ? slope : NULL, .distance = distance, .q = q, .key_begin = begin, .key_end = end, .max = max, .sum = sum, .acc = acc
	};

	for (int i = 0; i < n; i++)
	{
		q[i] = queries[list[i]];
		acc[i] = s->acc[list[i]];
		max[i] = s->max[list[i]];
		sum[i] = s->sum[list[i]];
		slope[i] = c->slope[list[i]];
	}
	for (int page = first; page < last; page++)
	{
		for (int i = 0; i < n; i++)
		{
			int			b = c->begin[list[i]] - page * LLMK_PAGE_KEYS;
			int			e = c->end[list[i]] - page * LLMK_PAGE_KEYS;

			distance[i] = c->position[list[i]] - page * LLMK_PAGE_KEYS;
			begin[i] = b < 0 ? 0 : b > LLMK_PAGE_KEYS ? LLMK_PAGE_KEYS : b;
			end[i] = e < 0 ? 0 : e > LLMK_PAGE_KEYS ? LLMK_PAGE_KEYS : e;
		}
		a.k_page = k_pages[page];
		a.v_page = v_pages[page];
		k->attend_page(&a);
	}
	for (int i = 0; i < n; i++)
	{
		s->max[list[i]] = max[i];
		s->sum[list[i]] = sum[i];
	}
}

static float
stored(const void *page, LlmKvType type, int at)
{
	return type == LLM_KV_F32 ? ((const float *) page)[at] : llmk_half_to_float(((const uint16_t *) page)[at]);
}

static void
make_case(Case *c, enum Mask mask)
{
	static const int dims[] = {1, 7, 8, 15, 16, 20, 33, 48, 64, 80, 96, 100, 128, 192, 256, 320};
	static const int counts[] = {1, 2, 3, 4, 5, 6, 7, 9, 12, 24, 25, 40, MAX_QUERIES};
	int			n_keys;

	c->n_queries = counts[random_below(sizeof counts / sizeof *counts)];
	c->n_pages = 1 + random_below(MAX_PAGES);
	c->dim_k = dims[random_below(sizeof dims / sizeof *dims)];
	c->dim_v = random_below(2) ? c->dim_k : dims[random_below(sizeof dims / sizeof *dims)];
	c->type = random_below(2) ? LLM_KV_F16 : LLM_KV_F32;
	c->scale = random_below(4) ? 1.0f / sqrtf((float) c->dim_k) : 2.0f;
	c->softcap = random_below(3) ? 0.0f : 20.0f;
	c->sloped = random_below(4) == 0;
	n_keys = c->n_pages * LLMK_PAGE_KEYS - random_below(LLMK_PAGE_KEYS);
	for (int i = 0; i < c->n_queries; i++)
	{
		int			visible = n_keys - (mask == CAUSAL_GROUPS ? (c->n_queries - 1 - i) / 3 : c->n_queries - 1 - i);

		c->slope[i] = 0.5f / (float) (1 + random_below(8));
		c->position[i] = random_below(n_keys);
		c->begin[i] = 0;
		c->end[i] = mask == FULL ? n_keys : visible < 1 ? 1 : visible;
		if (mask == WINDOW)
			c->begin[i] = c->end[i] > 70 ? c->end[i] - 70 : 0;
		else if (mask == RANDOM_RANGES)
		{
			c->begin[i] = random_below(n_keys + 1);
			c->end[i] = c->begin[i] + random_below(n_keys + 1 - c->begin[i]);
		}
	}
	for (int i = 0; i < c->n_queries; i++)
	{
		for (int d = 0; d < c->dim_k; d++)
			queries[i][d] = random_float();
	}
	/* slots that nobody writes hold NaN in both page types */
	memset(k_pages, 0xff, sizeof k_pages);
	memset(v_pages, 0xff, sizeof v_pages);
}

/* write keys and values through a level's own functions, those that some query sees */
static void
store_keys(const LlmKernels *k, const Case *c)
{
	for (int key = 0; key < c->n_pages * LLMK_PAGE_KEYS; key++)
	{
		float		row[MAX_DIM];
		int			seen = 0;

		for (int i = 0; i < c->n_queries; i++)
			seen |= key >= c->begin[i] && key < c->end[i];
		if (!seen)
			continue;
		for (int d = 0; d < c->dim_k; d++)
			row[d] = random_float() * (random_below(40) ? 1 : 8);
		k->store_key(row, c->dim_k, c->type, key % LLMK_PAGE_KEYS, k_pages[key / LLMK_PAGE_KEYS]);
		for (int d = 0; d < c->dim_v; d++)
			row[d] = random_float() * (random_below(40) ? 1 : 100);
		k->store_value(row, c->dim_v, c->type, key % LLMK_PAGE_KEYS, v_pages[key / LLMK_PAGE_KEYS]);
	}
}

/*
 * A query's attention in double precision: out (dim_v), and the size of the terms it is a sum of. Returns the size of the
 * largest score's terms, whose rounding shows in every weight.
 */
static double
reference(const Case *c, int query, double *out, double *size)
{
	double		score[MAX_PAGES * LLMK_PAGE_KEYS];
	double		max = -INFINITY;
	double		sum = 0;
	double		largest = 0;

	for (int key = c->begin[query]; key < c->end[query]; key++)
	{
		const void *page = k_pages[key / LLMK_PAGE_KEYS];
		double		s = 0;
		double		terms = 0;

		for (int d = 0; d < c->dim_k; d++)
		{
			double		term = (double) queries[query][d]
				* stored(page, c->type, d * LLMK_PAGE_KEYS + key % LLMK_PAGE_KEYS);

			s += term;
			terms += fabs(term);
		}
		s *= c->scale;
		largest = fmax(largest, terms * c->scale);
		if (c->softcap != 0)
			s = c->softcap * tanh(s / c->softcap);
		if (c->sloped)
			s -= (double) c->slope[query] * abs(c->position[query] - key);
		score[key] = s;
		max = s > max ? s : max;
	}
	for (int d = 0; d < c->dim_v; d++)
		out[d] = size[d] = 0;
	for (int key = c->begin[query]; key < c->end[query]; key++)
	{
		const void *page = v_pages[key / LLMK_PAGE_KEYS];
		double		p = exp(score[key] - max);

		sum += p;
		for (int d = 0; d < c->dim_v; d++)
		{
			double		v = stored(page, c->type, key % LLMK_PAGE_KEYS * c->dim_v + d);

			out[d] += p * v;
			size[d] += p * fabs(v);
		}
	}
	for (int d = 0; d < c->dim_v; d++)
	{
		out[d] /= sum;
		size[d] /= sum;
	}
	return largest;
}

static int
same_float(float a, float b)
{
	return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static int
same_state(const Case *c, const State *a, const State *b)
{
	for (int i = 0; i < c->n_queries; i++)
	{
		if (!same_float(a->max[i], b->max[i]) || !same_float(a->sum[i], b->sum[i]))
			return 0;
		for (int d = 0; d < c->dim_v; d++)
		{
			if (!same_float(a->acc[i][d], b->acc[i][d]))
				return 0;
		}
	}
	return 1;
}

static void
describe(const Case *c, char *text, size_t size)
{
	snprintf(text, size, "%d queries, %d pages, dims %d and %d, type %d, scale %g, softcap %g", c->n_queries, c->n_pages,
			 c->dim_k, c->dim_v, (int) c->type, (double) c->scale, (double) c->softcap);
}

static State want;
static State got;
static State later;
static double worst_error;

static void
check_reference(const Case *c, const State *s, const char *text)
{
	for (int i = 0; i < c->n_queries; i++)
	{
		double		out[MAX_DIM];
		double		size[MAX_DIM];
		double		score_terms;

		if (c->begin[i] >= c->end[i])
		{
			CHECK(s->max[i] == -INFINITY && s->sum[i] == 0 && s->acc[i][0] == 0);
			continue;
		}
		score_terms = reference(c, i, out, size);
		for (int d = 0; d < c->dim_v; d++)
		{
			double		error = fabs((double) s->acc[i][d] / s->sum[i] - out[d]) / (size[d] + 1e-30);

			if (!(error / (10 + score_terms) <= worst_error))
				worst_error = error / (10 + score_terms);
			CHECK_MSG(error <= 3e-7 * (10 + score_terms), "%s: query %d, dimension %d: relative error %g", text, i, d,
					  error);
		}
	}
}

/* every level on one case; spans of pages merged; queries alone and shuffled */
static void
test_case(const Case *c, const char *text)
{
	const LlmKernels *generic = &tested_levels[0];
	int			all[MAX_QUERIES];
	int			split = random_below(c->n_pages + 1);

	for (int i = 0; i < c->n_queries; i++)
		all[i] = i;
	start_state(&want);
	attend(generic, c, all, c->n_queries, 0, c->n_pages, &want);
	check_reference(c, &want, text);

	for (int level = 1; level < n_tested_levels; level++)
	{
		const LlmKernels *k = &tested_levels[level];

		start_state(&got);
		attend(k, c, all, c->n_queries, 0, c->n_pages, &got);
		CHECK_MSG(same_state(c, &want, &got), "%s: %s differs from generic", text, k->name);

		/* shuffled, in groups of random size: the same bits */
		for (int i = c->n_queries - 1; i > 0; i--)
		{
			int			j = random_below(i + 1);
			int			swapped = all[i];

			all[i] = all[j];
			all[j] = swapped;
		}
		start_state(&got);
		for (int i = 0; i < c->n_queries;)
		{
			int			n = 1 + random_below(c->n_queries - i);

			attend(k, c, all + i, n, 0, c->n_pages, &got);
			i += n;
		}
		CHECK_MSG(same_state(c, &want, &got), "%s: %s depends on neighbours", text, k->name);
	}

	/* two spans merged: near the reference, and equal on all levels */
	for (int level = 0; level < n_tested_levels; level++)
	{
		const LlmKernels *k = &tested_levels[level];
		State	   *s = level == 0 ? &want : &got;

		start_state(s);
		start_state(&later);
		attend(k, c, all, c->n_queries, 0, split, s);
		attend(k, c, all, c->n_queries, split, c->n_pages, &later);
		for (int i = 0; i < c->n_queries; i++)
			k->attend_merge(&s->max[i], &s->sum[i], s->acc[i], later.max[i], later.sum[i], later.acc[i], c->dim_v);
		if (level == 0)
			check_reference(c, s, text);
		else
			CHECK_MSG(same_state(c, &want, &got), "%s: %s merges otherwise than generic", text, k->name);
	}
}

static void
test_random_cases(void)
{
	for (int round = 0; round < 12; round++)
	{
		for (int mask = 0; mask < N_MASKS; mask++)
		{
			Case		c;
			char		text[200];
			static float k_copy[MAX_PAGES][MAX_DIM * LLMK_PAGE_KEYS];
			static float v_copy[MAX_PAGES][MAX_DIM * LLMK_PAGE_KEYS];
			uint64_t	values;

			make_case(&c, mask);
			describe(&c, text, sizeof text);
			values = random_state;
			store_keys(&tested_levels[0], &c);
			memcpy(k_copy, k_pages, sizeof k_pages);
			memcpy(v_copy, v_pages, sizeof v_pages);
			for (int level = 1; level < n_tested_levels; level++)
			{
				memset(k_pages, 0xff, sizeof k_pages);
				memset(v_pages, 0xff, sizeof v_pages);
				random_state = values;
				store_keys(&tested_levels[level], &c);
				CHECK_MSG(memcmp(k_copy, k_pages, sizeof k_pages) == 0, "%s: keys of %s", text, tested_levels[level].name);
				CHECK_MSG(memcmp(v_copy, v_pages, sizeof v_pages) == 0, "%s: values of %s", text, tested_levels[level].name);
			}
			test_case(&c, text);
		}
	}
	printf("largest error of attention, relative to its terms and to 10 + the terms of a score: %.2e\n", worst_error);
}

/* one query, three keys of one dimension with these scores, over pages of F32; returns sum and acc */
static void
three_scores(const LlmKernels *k, const float *scores, int masked, float *max, float *sum, float *acc)
{
	static float kp[LLMK_PAGE_KEYS];
	static float vp[LLMK_PAGE_KEYS];
	const float one = 1.0f;
	const float *q = &one;
	int			begin = masked ? 1 : 0;
	int			end = 3;
	LlmkAttend	a = {
		.n_queries = 1, .head_dim_k = 1, .head_dim_v = 1, .kv_type = LLM_KV_F32, .scale = 1.0f,
		.q = &q, .k_page = kp, .v_page = vp, .key_begin = &begin, .key_end = &end, .max = max, .sum = sum, .acc = &acc
	};

	for (int i = 0; i < LLMK_PAGE_KEYS; i++)
		kp[i] = vp[i] = NAN;
	for (int i = 0; i < 3; i++)
	{
		kp[i] = scores[i];
		vp[i] = (float) (i + 1);
	}
	k->attend_page(&a);
}

static void
test_special_scores(void)
{
	const float inf = INFINITY;

	for (int level = 0; level < n_tested_levels; level++)
	{
		const LlmKernels *k = &tested_levels[level];
		float		max = -INFINITY;
		float		sum = 0;
		float		acc = 0;

		/* nothing but -inf: no weight yet, and no NaN */
		three_scores(k, (float[3]) {-inf, -inf, -inf}, 0, &max, &sum, &acc);
		CHECK(max == -INFINITY && sum == 0 && acc == 0);
		/* then keys far below zero, of which the largest counts alone */
		three_scores(k, (float[3]) {-3000, -2000, -inf}, 0, &max, &sum, &acc);
		CHECK(max == -2000 && sum == 1 && acc == 2);
		/* the maximum rises by more than exp can hold: what was before counts nothing */
		three_scores(k, (float[3]) {-inf, 1000, 1000}, 0, &max, &sum, &acc);
		CHECK(max == 1000 && sum == 2 && acc == 5);
		/* and falls: the page adds nothing */
		three_scores(k, (float[3]) {-1000, 0, 500}, 0, &max, &sum, &acc);
		CHECK(max == 1000 && sum == 2 && acc == 5);
		/* weights below 2^-126 are zero, not denormal */
		three_scores(k, (float[3]) {1000 - 88, 1000 - 95, 1000 - 103}, 0, &max, &sum, &acc);
		CHECK(max == 1000 && sum == 2 && acc == 5);
		/* a masked NaN does nothing, a visible one shows */
		three_scores(k, (float[3]) {NAN, 1000, -inf}, 1, &max, &sum, &acc);
		CHECK(max == 1000 && sum == 3 && acc == 7);
		three_scores(k, (float[3]) {0, NAN, 1001}, 0, &max, &sum, &acc);
		CHECK(max == 1001 && isnan(sum) && isnan(acc));
		/* so does +inf */
		max = -INFINITY;
		sum = acc = 0;
		three_scores(k, (float[3]) {0, inf, 1}, 0, &max, &sum, &acc);
		CHECK(max == INFINITY && isnan(sum) && isnan(acc));
	}
}

static void
test_merge(void)
{
	for (int level = 0; level < n_tested_levels; level++)
	{
		const LlmKernels *k = &tested_levels[level];

		for (int dim = 1; dim <= 40; dim++)
		{
			float		max = -INFINITY;
			float		sum = 0;
			float		acc[40] = {0};
			float		acc2[40];

			for (int d = 0; d < dim; d++)
				acc2[d] = (float) d - 3;
			/* nothing and nothing, then something into nothing, then nothing into something */
			k->attend_merge(&max, &sum, acc, -INFINITY, 0, acc, dim);
			CHECK(max == -INFINITY && sum == 0 && acc[0] == 0);
			k->attend_merge(&max, &sum, acc, -4, 1.5f, acc2, dim);
			CHECK(max == -4 && sum == 1.5f && memcmp(acc, acc2, sizeof(float) * (size_t) dim) == 0);
			k->attend_merge(&max, &sum, acc, -INFINITY, 0, (float[40]) {NAN}, dim);
			CHECK(max == -4 && sum == 1.5f && memcmp(acc, acc2, sizeof(float) * (size_t) dim) == 0);
			/* equal maxima add up; a far smaller one adds nothing; a far larger one replaces */
			k->attend_merge(&max, &sum, acc, -4, 0.5f, acc2, dim);
			CHECK(max == -4 && sum == 2 && acc[dim - 1] == 2 * acc2[dim - 1]);
			k->attend_merge(&max, &sum, acc, -200, 0.5f, acc2, dim);
			CHECK(max == -4 && sum == 2 && acc[dim - 1] == 2 * acc2[dim - 1]);
			k->attend_merge(&max, &sum, acc, 200, 1, acc2, dim);
			CHECK(max == 200 && sum == 1 && acc[dim - 1] == acc2[dim - 1]);
		}
	}
}

int
main(void)
{
	list_vector_levels();
	test_random_cases();
	test_special_scores();
	test_merge();
	CHECK_DONE();
}
