/*
 * sampler_test.c: filters and the draw against a reference in double precision that sorts everything, over many random
 * distributions; known answers and frequencies of the generator; bias, penalties and logits that are no numbers; the same
 * choice at every CPU level.
 *
 * The reference adds weights in double precision, the sampler in single precision, so a head of an order may end one token
 * earlier or later where the sum comes within TOLERANCE of the limit, and only there.
 */
#include <math.h>

#include "check.h"
#include "choose/candidates.h"
#include "choose/philox.h"
#include "choose/sampler.h"
#include "vector_levels.h"

#define MAX_N 5000
#define TOLERANCE 1e-5			/* of a share of the total weight */

static uint32_t random_state = 1;

static double
random_double(void)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (random_state >> 8) / 16777216.0;
}

static int
random_below(int n)
{
	return (int) (random_double() * n);
}

/* ---- the reference ---- */

typedef struct Reference
{
	int32_t		ids[MAX_N];		/* in the order of a filter */
	double		key[MAX_N];		/* by id */
	double		weight[MAX_N];	/* by id; 0 for tokens left out */
	double		total;
	int			n;
} Reference;

static Reference ref;

static int
compare_ids(const void *a, const void *b)
{
	int32_t		x = *(const int32_t *) a;
	int32_t		y = *(const int32_t *) b;

	if (ref.key[x] != ref.key[y])
		return ref.key[x] > ref.key[y] ? -1 : 1;
	return x < y ? -1 : 1;
}

static double
weight_of(const float *logits, int32_t id, float max, double temperature)
{
	return exp(((double) logits[id] - max) / temperature);
}

/* candidates as they are, in falling order of their logits */
static void
reference_of(const LlmCandidates *c)
{
	ref.n = 0;
	ref.total = 0;
	memset(ref.weight, 0, sizeof(ref.weight));
	for (int32_t i = 0; i < c->n; i++)
	{
		int32_t		id = c->ids ? c->ids[i] : i;

		if (c->logits[i] == -INFINITY)
			continue;
		ref.key[id] = c->logits[i];
		ref.weight[id] = weight_of(c->logits, i, c->max, c->temperature);
		ref.total += ref.weight[id];
		ref.ids[ref.n++] = id;
	}
	qsort(ref.ids, (size_t) ref.n, sizeof(ref.ids[0]), compare_ids);
}

/* the candidates are the first c->n of the reference's order, and lie by rising id */
static bool
is_head(const LlmCandidates *c)
{
	static bool in_head[MAX_N];

	memset(in_head, 0, sizeof(in_head));
	for (int i = 0; i < c->n && i < ref.n; i++)
		in_head[ref.ids[i]] = true;
	for (int i = 0; i < c->n; i++)
		if (!in_head[c->ids[i]] || (i > 0 && c->ids[i] <= c->ids[i - 1]))
			return false;
	return c->n >= 1 && c->n <= ref.n;
}

/* the head of n weighs p of the total, and no shorter one does */
static bool
weighs(int n, double p)
{
	double		sum = 0;

	for (int i = 0; i < n - 1; i++)
		sum += ref.weight[ref.ids[i]];
	return (n == 1 || sum < (p + TOLERANCE) * ref.total) &&
		(n == ref.n || sum + ref.weight[ref.ids[n - 1]] >= (p - TOLERANCE) * ref.total);
}

/* ---- filters ---- */

static void
check_top_k(LlmCandidates *c, int32_t k)
{
	reference_of(c);
	llm_candidates_top_k(c, k);
	CHECK_MSG(is_head(c) && c->n == (k < ref.n ? k : ref.n), "top_k %d of %d: %d", (int) k, ref.n, (int) c->n);
}

static void
check_top_p(LlmCandidates *c, double p)
{
	reference_of(c);
	llm_candidates_top_p(c, p);
	CHECK_MSG(is_head(c) && weighs(c->n, p), "top_p %.9g of %d, temperature %g: %d", p, ref.n, c->temperature, (int) c->n);
}

static void
check_min_p(LlmCandidates *c, double p)
{
	double		most;
	int			n = 0;
	int			n_sure = 0;
	int			n_possible = 0;

	reference_of(c);
	llm_candidates_min_p(c, p);
	most = ref.weight[ref.ids[0]];
	for (; n < ref.n; n++)
	{
		n_sure += ref.weight[ref.ids[n]] >= p * most * (1 + TOLERANCE);
		n_possible += ref.weight[ref.ids[n]] >= p * most * (1 - TOLERANCE);
	}
	CHECK_MSG(is_head(c) && c->n >= n_sure && c->n <= n_possible, "min_p %.9g of %d, temperature %g: %d, not %d", p, ref.n,
			  c->temperature, (int) c->n, n_sure);
}

/* the order may differ from the reference's among distances that rounding cannot tell apart */
static void
check_typical(LlmCandidates *c, double p)
{
	double		entropy = 0;
	double		kept = 0;
	double		farthest = 0;
	double		nearest_out = INFINITY;
	double		heaviest_far = 0;
	double		slack;
	static bool in[MAX_N];

	reference_of(c);
	for (int i = 0; i < ref.n; i++)
		if (ref.weight[ref.ids[i]] > 0)
			entropy -= ref.weight[ref.ids[i]] / ref.total * log(ref.weight[ref.ids[i]] / ref.total);
	for (int i = 0; i < ref.n; i++)
		ref.key[ref.ids[i]] = fabs(log(ref.total) - (ref.key[ref.ids[i]] - (double) c->max) / c->temperature - entropy);
	llm_candidates_typical(c, p);
	memset(in, 0, sizeof(in));
	for (int i = 0; i < c->n; i++)
	{
		in[c->ids[i]] = true;
		kept += ref.weight[c->ids[i]];
		farthest = fmax(farthest, ref.key[c->ids[i]]);
	}
	for (int i = 0; i < ref.n; i++)
		if (!in[ref.ids[i]])
			nearest_out = fmin(nearest_out, ref.key[ref.ids[i]]);
	slack = TOLERANCE * (1 + farthest);
	for (int i = 0; i < c->n; i++)
		if (ref.key[c->ids[i]] >= farthest - slack)
			heaviest_far = fmax(heaviest_far, ref.weight[c->ids[i]]);
	CHECK_MSG(c->n >= 1 && farthest <= nearest_out + slack, "typical_p %g of %d: %.9g is in, %.9g is not", p, ref.n, farthest,
			  nearest_out);
	CHECK_MSG(c->n == ref.n || kept >= (p - TOLERANCE) * ref.total, "typical_p %g: %g", p, kept / ref.total);
	CHECK_MSG(c->n == 1 || kept - heaviest_far < (p + TOLERANCE) * ref.total, "typical_p %g: %g", p, kept / ref.total);
}

static void
check_draw(const LlmCandidates *c, double unit)
{
	int32_t		token = llm_candidates_draw(c, unit);
	double		sum = 0;

	reference_of(c);
	CHECK_MSG(token >= 0 && ref.weight[token] > 0, "token %d cannot be chosen", (int) token);
	for (int32_t id = 0; id < token; id++)
		sum += ref.weight[id];
	CHECK_MSG(sum <= (unit + TOLERANCE) * ref.total && sum + ref.weight[token] >= (unit - TOLERANCE) * ref.total,
			  "%.9g drew %d, which has %.9g to %.9g", unit, (int) token, sum / ref.total, (sum + ref.weight[token]) / ref.total);
}

/* logits of one of several kinds; at least one is finite */
static float
fill_logits(float *logits, int n, int kind)
{
	float		max = -INFINITY;

	for (int i = 0; i < n; i++)
	{
		double		normal = sqrt(-2 * log(random_double() + 1e-9)) * cos(6.283185307 * random_double());

		switch (kind)
		{
			case 0:
				logits[i] = (float) (3 * normal);
				break;
			case 1:				/* many ties */
				logits[i] = (float) random_below(4);
				break;
			case 2:				/* all equal */
				logits[i] = -7.25f;
				break;
			case 3:				/* forbidden ones, whole blocks of them too */
				logits[i] = random_below(3) == 0 || i / 100 % 2 ? -INFINITY : (float) normal;
				break;
			case 4:				/* one far above the rest, one far below */
				logits[i] = i == n / 2 ? 1000.0f : i == n / 3 ? -1e30f : (float) normal;
				break;
			case 5:				/* extreme range, and both zeros */
				logits[i] = (float) (normal * pow(10, 20 * random_double())) * (random_below(3) ? 1.0f : 0.0f);
				break;
			default:			/* ordered */
				logits[i] = (float) (kind == 6 ? i : n - i) * 0.01f;
				break;
		}
	}
	if (kind == 3)
		logits[random_below(n < 100 ? n : 100)] = 0.5f;
	for (int i = 0; i < n; i++)
		max = logits[i] > max ? logits[i] : max;
	return max;
}

static void
test_filters(const LlmKernels *k, bool all)
{
	static const int sizes[] = {1, 2, 3, 23, 24, 25, 26, 63, 64, 65, 200, 1023, 1024, 1025, 3000, MAX_N};
	static const float temperatures[] = {1e-6f, 0.01f, 0.7f, 1.0f, 5.0f, 1e6f};
	static const double shares[] = {0, 1e-6, 0.1, 0.5, 0.9, 0.95, 0.999, 0.9999999, 1};
	static float logits[MAX_N];
	void	   *scratch = malloc(llm_candidates_scratch_bytes(MAX_N));

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (int kind = 0; kind < 8; kind++)
			for (size_t t = 0; t < sizeof(temperatures) / sizeof(temperatures[0]); t++)
			{
				int			n = sizes[s];
				float		max = fill_logits(logits, n, kind);
				int			repeats = all && n <= 200 ? 4 : 1;

				for (int r = 0; r < repeats; r++)
				{
					LlmCandidates c;
					double		p = shares[random_below(9)];
					int			order = random_below(8);

					llm_candidates_init(&c, k, logits, n, max, temperatures[t], scratch);
					check_draw(&c, random_double());
					if (order & 1)
						check_top_k(&c, 1 + random_below(order == 1 ? n + 5 : 30));
					if (order & 2)
						check_typical(&c, p);
					if (order & 4)
						check_top_p(&c, shares[random_below(9)]);
					check_min_p(&c, shares[random_below(9)]);
					check_draw(&c, random_below(4) ? random_double() : random_below(2) ? 0 : 0x1.fffffffffffffp-1);
				}
			}
	free(scratch);
}

/* ---- the generator ---- */

/* Source: Random123 1.14, examples/kat_vectors, philox4x32 10 */
static void
test_philox(void)
{
	static const struct
	{
		uint32_t	counter[4];
		uint32_t	key[2];
		uint32_t	out[4];
	}			known[] = {
		{{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff},
		{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0},
		{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
	{
		uint32_t	out[4];

		llm_philox4x32(known[i].counter, known[i].key, out);
		CHECK(memcmp(out, known[i].out, sizeof(out)) == 0);
	}
}

typedef struct Chosen
{
	LlmStatus	status;
	int32_t		token;
	double		logprob;
	LlmError	err;
} Chosen;

/* a choice from a copy of logits (n,) */
static Chosen
sample(const LlmKernels *k, const LlmSampling *s, const float *logits, int n, const int32_t *prompt, size_t n_prompt,
	   const int32_t *output, size_t n_output, uint64_t position)
{
	static float copy[MAX_N];
	static int32_t scratch[MAX_N * 8];
	Chosen		c = {.token = -1};

	CHECK(llm_sample_scratch_bytes(n) <= sizeof(scratch));
	memcpy(copy, logits, (size_t) n * sizeof(float));
	c.status = llm_sample(k, s, copy, n, prompt, n_prompt, output, n_output, position, scratch, &c.token, &c.logprob, &c.err);
	return c;
}

/* Pearson's statistic over N_CELLS cells; 98.4 is passed once in 10,000 seeds with 49 degrees of freedom, and the seed is fixed */
static void
test_frequencies(const LlmKernels *k)
{
	enum
	{
		N_CELLS = 50, N_DRAWS = 200000
	};
	float		logits[N_CELLS];
	int			seen[N_CELLS] = {0};
	LlmSampling s = llm_sampling_default;
	double		total = 0;
	double		statistic = 0;

	s.temperature = 0.8f;
	s.seed = 20240229;
	for (int i = 0; i < N_CELLS; i++)
	{
		logits[i] = (float) (2 * random_double());
		total += exp((double) logits[i] / 0.8f);
	}
	for (int i = 0; i < N_DRAWS; i++)
	{
		Chosen		c = sample(k, &s, logits, N_CELLS, NULL, 0, NULL, 0, (uint64_t) i);

		seen[c.token < 0 ? 0 : c.token]++;
	}
	for (int i = 0; i < N_CELLS; i++)
	{
		double		expected = N_DRAWS * exp((double) logits[i] / 0.8f) / total;

		statistic += (seen[i] - expected) * (seen[i] - expected) / expected;
	}
	printf("chi-square of %d draws over %d tokens: %.1f\n", N_DRAWS, N_CELLS, statistic);
	CHECK_MSG(statistic < 98.4 && statistic > 15, "%g", statistic);
}

/* ---- llm_sample ---- */

static void
test_greedy(const LlmKernels *k)
{
	const float logits[] = {-1, 3, 2, 3, -INFINITY};
	LlmSampling s = llm_sampling_default;
	Chosen		c = sample(k, &s, logits, 5, NULL, 0, NULL, 0, 0);
	double		sum = exp(-1) + 2 * exp(3) + exp(2);

	CHECK(c.status == LLM_OK && c.token == 1 && fabs(c.logprob - (3 - log(sum))) < 1e-6);
	s.temperature = 1e-7f;		/* as good as 0 */
	CHECK(sample(k, &s, logits, 5, NULL, 0, NULL, 0, 9).token == 1);
	s.temperature = 1;
	s.top_k = 1;				/* ties go to the lowest id */
	for (int i = 0; i < 20; i++)
		CHECK(sample(k, &s, logits, 5, NULL, 0, NULL, 0, (uint64_t) i).token == 1);
	s = llm_sampling_default;
	for (int i = 0; i < 3; i++)
	{
		float		one = 7;

		s.temperature = (float) i;
		c = sample(k, &s, &one, 1, NULL, 0, NULL, 0, 3);
		CHECK(c.status == LLM_OK && c.token == 0 && fabs(c.logprob) < 1e-6);
	}
}

/* bias, then penalties of each distinct token once: what is left shows in what greedy choice needs to be overtaken */
static void
test_bias_and_penalties(const LlmKernels *k)
{
	const int32_t prompt[] = {1, 1, 4};
	const int32_t output[] = {2, 1, 2, 2, 5};
	const float logits[6] = {0, 6, 5, 0, -2, 4};
	const LlmLogitBias base[2] = {{3, 1.5f}, {3, 0.25f}};
	LlmSampling s = llm_sampling_default;
	double		want[6];

	s.repeat_penalty = 2;
	s.presence_penalty = 0.5f;
	s.frequency_penalty = 0.25f;
	want[0] = 0;
	want[1] = 6 / 2.0 - 0.5 - 0.25;
	want[2] = 5 / 2.0 - 0.5 - 0.75;
	want[3] = 1.75;
	want[4] = -2 * 2.0;
	want[5] = 4 / 2.0 - 0.5 - 0.25;
	for (int id = 0; id < 6; id++)
		for (int side = 0; side < 2; side++)
		{
			/* token 0 is raised to just below or above token id, all others are forbidden */
			LlmLogitBias bias[8] = {base[0], base[1], {0, (float) (want[id] + (side ? 0.01 : -0.01))}};
			int			n = 3;
			Chosen		c;

			for (int other = 1; other < 6; other++)
				if (other != id)
					bias[n++] = (LlmLogitBias) {other, -INFINITY};
			s.bias = bias;
			s.n_bias = n;
			c = sample(k, &s, logits, 6, prompt, 3, output, 5, 0);
			CHECK_MSG(c.status == LLM_OK && c.token == (side || id == 0 ? 0 : id), "token %d, side %d: %d", id, side, (int) c.token);

			/* the log-probability is that of the model, whatever was changed */
			CHECK(fabs(c.logprob - ((double) logits[c.token] - log(2 + exp(6) + exp(5) + exp(-2) + exp(4)))) < 1e-6);
		}
	for (int t = 0; t < 2; t++)
	{
		LlmLogitBias all[3] = {{0, -INFINITY}, {1, -INFINITY}, {2, -INFINITY}};
		Chosen		c;

		s = llm_sampling_default;
		s.temperature = (float) t;
		s.bias = all;
		s.n_bias = 3;
		c = sample(k, &s, logits, 3, NULL, 0, NULL, 0, 0);
		CHECK(c.status == LLM_E_ARGUMENT && strstr(c.err.message, "forbids") && c.err.hint[0]);
		all[0].bias = all[1].bias = 3e38f;
		all[1].id = 0;
		c = sample(k, &s, logits, 3, NULL, 0, NULL, 0, 0);
		CHECK(c.status == LLM_E_ARGUMENT && strstr(c.err.message, "finite"));
	}
}

static void
test_not_finite(const LlmKernels *k)
{
	static float logits[300];
	static const float bad[] = {NAN, INFINITY};

	for (int n = 1; n <= 300; n += n < 70 ? 1 : 46)
		for (int at = 0; at < n; at += 1 + n / 20)
			for (int b = 0; b < 2; b++)
				for (int t = 0; t < 2; t++)
				{
					LlmSampling s = llm_sampling_default;

					for (int i = 0; i < n; i++)
						logits[i] = (float) i;
					logits[at] = bad[b];
					s.temperature = (float) t;
					s.top_p = 0.9f;
					CHECK_MSG(sample(k, &s, logits, n, NULL, 0, NULL, 0, 0).status == LLM_E_FORMAT, "%g at %d of %d", (double) bad[b], at, n);
					CHECK(!isfinite(llm_log_probability(k, logits, n, n - 1)));
				}
	for (int i = 0; i < 300; i++)
		logits[i] = -INFINITY;
	CHECK(sample(k, &llm_sampling_default, logits, 300, NULL, 0, NULL, 0, 0).status == LLM_E_FORMAT);
}

static void
test_check(void)
{
	LlmSampling s = llm_sampling_default;
	LlmLogitBias bias = {0, 0};
	LlmError	err;
	const struct
	{
		float	   *field;
		float		wrong;
	}			cases[] = {
		{&s.temperature, -0.1f}, {&s.temperature, NAN}, {&s.temperature, INFINITY}, {&s.top_p, 1.01f}, {&s.top_p, NAN},
		{&s.min_p, -1}, {&s.typical_p, 2}, {&s.repeat_penalty, 0}, {&s.repeat_penalty, NAN}, {&s.presence_penalty, 1e9f},
		{&s.frequency_penalty, -INFINITY}, {&bias.bias, NAN}, {&bias.bias, INFINITY},
	};

	s.bias = &bias;
	s.n_bias = 1;
	CHECK(llm_sampling_check(&s, 10, &err) == LLM_OK);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		float		right = *cases[i].field;

		*cases[i].field = cases[i].wrong;
		CHECK_MSG(llm_sampling_check(&s, 10, &err) == LLM_E_ARGUMENT && err.message[0], "case %zu", i);
		*cases[i].field = right;
	}
	s.top_k = -1;
	CHECK(llm_sampling_check(&s, 10, &err) == LLM_E_ARGUMENT);
	s.top_k = INT32_MAX;
	bias.bias = -INFINITY;
	CHECK(llm_sampling_check(&s, 10, &err) == LLM_OK);
	for (int32_t id = -1; id <= 10; id += 11)
	{
		bias.id = id;
		CHECK(llm_sampling_check(&s, 10, &err) == LLM_E_ARGUMENT && err.hint[0]);
	}
}

/* one choice with random options at every level: same token, same bits of the log-probability */
static void
test_levels(void)
{
	static float logits[MAX_N];

	for (int i = 0; i < 400; i++)
	{
		int			n = 1 + random_below(MAX_N);
		LlmSampling s = llm_sampling_default;
		Chosen		first = {0};

		fill_logits(logits, n, random_below(8));
		s.temperature = (float) pow(10, 3 * random_double() - 2);
		s.top_k = random_below(2) ? random_below(2 * n) : 0;
		s.top_p = random_below(2) ? (float) random_double() : 1;
		s.min_p = random_below(3) ? 0 : (float) random_double() * 0.1f;
		s.typical_p = random_below(3) ? 1 : (float) random_double();
		s.seed = (uint64_t) i << 33;
		for (int level = 0; level < n_tested_levels; level++)
		{
			Chosen		c = sample(&tested_levels[level], &s, logits, n, NULL, 0, NULL, 0, (uint64_t) i);

			if (level == 0)
				first = c;
			CHECK_MSG(c.status == LLM_OK && c.token == first.token && memcmp(&c.logprob, &first.logprob, sizeof(double)) == 0,
					  "%s: %d, not %d", tested_levels[level].name, (int) c.token, (int) first.token);
		}
	}
}

int
main(void)
{
	list_vector_levels();
	test_philox();
	test_check();
	for (int level = 0; level < n_tested_levels; level++)
	{
		const LlmKernels *k = &tested_levels[level];
		bool		all = level < 2;

		test_filters(k, all);
		test_greedy(k);
		test_bias_and_penalties(k);
		test_not_finite(k);
		if (all)
			test_frequencies(k);
	}
	test_levels();
	CHECK_DONE();
}
