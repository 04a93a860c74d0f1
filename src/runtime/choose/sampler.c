/*
 * sampler.c: choosing the next token.
 *
 * Candidates are token ids ordered by falling logit, ties by rising id. Filters need only the most likely of them, so the
 * ids are made a heap (2 n comparisons) and taken from its top one by one: nothing sorts a whole vocabulary. Weights are
 * exp((logit - largest logit) / temperature) in double precision; sums over the whole vocabulary are added block by block.
 */
#include "choose/sampler.h"

#include <math.h>
#include <string.h>

/* below this a temperature is taken as 0: logits that differ by 1e-4 already differ by a factor of e^100 */
#define MIN_TEMPERATURE 1e-6f
#define MAX_PENALTY 1000.0f

/* logits whose weights are added in single precision before they join the sum */
#define SUM_BLOCK 1024

const LlmSampling llm_sampling_default = {.top_p = 1.0f, .typical_p = 1.0f, .repeat_penalty = 1.0f};

/* the parts of the scratch memory, each (n_vocab) */
typedef struct Scratch
{
	float	   *raw;			/* logits as the model gave them, where bias or penalties change them */
	uint32_t   *count;			/* occurrences of a token; only those of tokens in sight are valid */
	int32_t    *ids;			/* candidates */
	float	   *nearness;		/* order of typical sampling, by token */
} Scratch;

size_t
llm_sample_scratch_bytes(int32_t n_vocab)
{
	return (size_t) n_vocab * (sizeof(float) + sizeof(uint32_t) + sizeof(int32_t) + sizeof(float));
}

static Scratch
divide_scratch(void *memory, int32_t n_vocab)
{
	Scratch		s;

	s.raw = memory;
	s.count = (uint32_t *) (s.raw + n_vocab);
	s.ids = (int32_t *) (s.count + n_vocab);
	s.nearness = (float *) (s.ids + n_vocab);
	return s;
}

static LlmStatus
check_range(const char *name, float value, float min, float max, LlmError *err)
{
	LlmStatus	status;

	if (value >= min && value <= max)
		return LLM_OK;
	status = llm_fail(err, LLM_E_ARGUMENT, "%s must be from %g to %g, is %g", name, (double) min, (double) max, (double) value);
	llm_error_hint(err, "Leave the option out to switch it off.");
	return status;
}

LlmStatus
llm_sampling_check(const LlmSampling *s, int32_t n_vocab, LlmError *err)
{
	LLM_TRY(check_range("temperature", s->temperature, 0.0f, 1e6f, err));
	LLM_TRY(check_range("top_p", s->top_p, 0.0f, 1.0f, err));
	LLM_TRY(check_range("min_p", s->min_p, 0.0f, 1.0f, err));
	LLM_TRY(check_range("typical_p", s->typical_p, 0.0f, 1.0f, err));
	LLM_TRY(check_range("repeat_penalty", s->repeat_penalty, 1.0f / MAX_PENALTY, MAX_PENALTY, err));
	LLM_TRY(check_range("presence_penalty", s->presence_penalty, -MAX_PENALTY, MAX_PENALTY, err));
	LLM_TRY(check_range("frequency_penalty", s->frequency_penalty, -MAX_PENALTY, MAX_PENALTY, err));
	if (s->top_k < 0)
		return llm_fail(err, LLM_E_ARGUMENT, "top_k must be 0 (all tokens) or more, is %d", (int) s->top_k);
	for (int i = 0; i < s->n_bias; i++)
	{
		const LlmLogitBias *b = &s->bias[i];

		if (b->id < 0 || b->id >= n_vocab)
		{
			LlmStatus	status = llm_fail(err, LLM_E_ARGUMENT, "logit_bias names token %d, which is not in the vocabulary", (int) b->id);

			llm_error_hint(err, "Token ids of this model go from 0 to %d.", (int) n_vocab - 1);
			return status;
		}
		if (isnan(b->bias) || b->bias == INFINITY)
			return llm_fail(err, LLM_E_ARGUMENT, "logit_bias of token %d must be a finite number, or -infinity to forbid it", (int) b->id);
	}
	return LLM_OK;
}

double
llm_log_probability(const LlmKernels *k, const float *logits, int32_t n_vocab, int32_t id)
{
	float		max = k->max(logits, n_vocab);

	return (double) logits[id] - (double) max - llmk_log((double) k->sum_exp(logits, n_vocab, max, 1.0f));
}

/* ---- bias and penalties ---- */

static bool
changes_logits(const LlmSampling *s)
{
	return s->n_bias > 0 || s->repeat_penalty != 1.0f || s->presence_penalty != 0.0f || s->frequency_penalty != 0.0f;
}

static void
penalise(const LlmSampling *s, uint32_t n_in_output, float *logit)
{
	if (*logit > 0.0f)
		*logit /= s->repeat_penalty;
	else
		*logit *= s->repeat_penalty;
	if (n_in_output > 0)
		*logit -= s->presence_penalty;
	*logit -= s->frequency_penalty * (float) n_in_output;
}

/* each distinct token once. Sources: Keskar et al. 2019, arXiv 1909.05858 (repeat); OpenAI's API (presence, frequency). */
static void
apply_penalties(const LlmSampling *s, float *logits, const int32_t *prompt, size_t n_prompt, const int32_t *output,
				size_t n_output, uint32_t *count)
{
	const uint32_t done = UINT32_MAX;

	for (size_t i = 0; i < n_prompt; i++)
		count[prompt[i]] = 0;
	for (size_t i = 0; i < n_output; i++)
		count[output[i]] = 0;
	for (size_t i = 0; i < n_output; i++)
		count[output[i]]++;
	for (size_t i = 0; i < n_prompt + n_output; i++)
	{
		int32_t		id = i < n_prompt ? prompt[i] : output[i - n_prompt];

		if (count[id] == done)
			continue;
		penalise(s, count[id], &logits[id]);
		count[id] = done;
	}
}

/* ---- candidates ---- */

/* a comes before b in the order of falling key */
static inline bool
before(const float *key, int32_t a, int32_t b)
{
	return key[a] > key[b] || (key[a] == key[b] && a < b);
}

static void
sift_down(const float *key, int32_t *heap, int32_t n, int32_t at)
{
	int32_t		id = heap[at];

	for (int32_t child = 2 * at + 1; child < n; child = 2 * at + 1)
	{
		if (child + 1 < n && before(key, heap[child + 1], heap[child]))
			child++;
		if (!before(key, heap[child], id))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = id;
}

static void
make_heap(const float *key, int32_t *ids, int32_t n)
{
	for (int32_t i = n / 2 - 1; i >= 0; i--)
		sift_down(key, ids, n, i);
}

/* move the first of a heap of n to its end, which it leaves */
static void
take_first(const float *key, int32_t *heap, int32_t n)
{
	int32_t		first = heap[0];

	heap[0] = heap[n - 1];
	heap[n - 1] = first;
	if (n > 1)
		sift_down(key, heap, n - 1, 0);
}

/* what was taken lies at the end of ids (n), the last one first: bring it to the front, in order */
static void
bring_to_front(int32_t *ids, int32_t n, int32_t n_taken)
{
	memmove(ids, ids + (n - n_taken), (size_t) n_taken * sizeof(*ids));
	for (int32_t i = 0; i < n_taken / 2; i++)
	{
		int32_t		id = ids[i];

		ids[i] = ids[n_taken - 1 - i];
		ids[n_taken - 1 - i] = id;
	}
}

/* the tokens that may still be chosen: ids[0 .. n) */
typedef struct Choice
{
	const LlmKernels *k;
	const LlmSampling *s;
	const float *logits;
	int32_t		n_vocab;
	float		max;			/* largest logit */
	int32_t    *ids;
	int32_t		n;
	bool		filtered;		/* else ids are all tokens that are not forbidden, by rising id */
} Choice;

static double
weight_of(const Choice *c, int32_t id)
{
	return llmk_exp(((double) c->logits[id] - (double) c->max) / (double) c->s->temperature);
}

static double
weight_of_block(const Choice *c, int32_t begin)
{
	int32_t		n = c->n_vocab - begin < SUM_BLOCK ? c->n_vocab - begin : SUM_BLOCK;

	return (double) c->k->sum_exp(c->logits + begin, n, c->max, 1.0f / c->s->temperature);
}

/* sum of the weights of all candidates */
static double
total_weight(const Choice *c)
{
	double		total = 0;

	if (c->filtered)
		for (int32_t i = 0; i < c->n; i++)
			total += weight_of(c, c->ids[i]);
	else
		for (int32_t begin = 0; begin < c->n_vocab; begin += SUM_BLOCK)
			total += weight_of_block(c, begin);
	return total;
}

static void
keep_top_k(Choice *c)
{
	int32_t		taken = 0;

	make_heap(c->logits, c->ids, c->n);
	for (; taken < c->n && taken < c->s->top_k; taken++)
		take_first(c->logits, c->ids, c->n - taken);
	bring_to_front(c->ids, c->n, taken);
	c->n = taken;
	c->filtered = true;
}

/* those whose surprise is nearest to the entropy, until their weights reach typical_p of the total */
static void
keep_typical(Choice *c, float *nearness)
{
	const double total = total_weight(c);
	const double log_total = llmk_log(total);
	double		entropy = 0;
	double		sum = 0;
	int32_t		taken = 0;

	for (int32_t i = 0; i < c->n; i++)
	{
		double		x = ((double) c->logits[c->ids[i]] - (double) c->max) / (double) c->s->temperature;

		entropy += weight_of(c, c->ids[i]) / total * (log_total - x);
	}
	for (int32_t i = 0; i < c->n; i++)
	{
		double		x = ((double) c->logits[c->ids[i]] - (double) c->max) / (double) c->s->temperature;

		nearness[c->ids[i]] = (float) -fabs(log_total - x - entropy);
	}
	make_heap(nearness, c->ids, c->n);
	for (; taken < c->n && (taken == 0 || sum < (double) c->s->typical_p * total); taken++)
	{
		sum += weight_of(c, c->ids[0]);
		take_first(nearness, c->ids, c->n - taken);
	}
	bring_to_front(c->ids, c->n, taken);
	c->n = taken;
	c->filtered = true;
}

/*
 * The most likely until their weights reach top_p of the total; of these, those with at least min_p of the largest weight.
 * One is always kept.
 */
static void
keep_top_p_and_min_p(Choice *c)
{
	const double enough = c->s->top_p < 1.0f ? (double) c->s->top_p * total_weight(c) : INFINITY;
	double		least = 0;
	double		sum = 0;
	int32_t		taken = 0;

	make_heap(c->logits, c->ids, c->n);
	for (; taken < c->n && (taken == 0 || sum < enough); taken++)
	{
		double		w = weight_of(c, c->ids[0]);

		if (taken == 0)
			least = (double) c->s->min_p * w;
		else if (w < least)
			break;
		sum += w;
		take_first(c->logits, c->ids, c->n - taken);
	}
	bring_to_front(c->ids, c->n, taken);
	c->n = taken;
	c->filtered = true;
}

/* ---- the draw ---- */

/*
 * 53 random bits as a number in [0, 1): Philox4x32-10 with the seed as key and the position as counter.
 * Source: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
 */
static double
random_unit(uint64_t seed, uint64_t position)
{
	uint32_t	c[4] = {(uint32_t) position, (uint32_t) (position >> 32), 0, 0};
	uint32_t	key[2] = {(uint32_t) seed, (uint32_t) (seed >> 32)};

	for (int round = 0; round < 10; round++)
	{
		uint64_t	p0 = (uint64_t) 0xD2511F53u * c[0];
		uint64_t	p1 = (uint64_t) 0xCD9E8D57u * c[2];
		uint32_t	next[4] = {(uint32_t) (p1 >> 32) ^ c[1] ^ key[0], (uint32_t) p1,
		(uint32_t) (p0 >> 32) ^ c[3] ^ key[1], (uint32_t) p0};

		memcpy(c, next, sizeof(c));
		key[0] += 0x9E3779B9u;
		key[1] += 0xBB67AE85u;
	}
	return (double) (((uint64_t) c[0] << 32 | c[1]) >> 11) * 0x1p-53;
}

/* the token at which the running sum of weights passes target; the last with a weight if rounding keeps it below */
static int32_t
draw_among(const Choice *c, const int32_t *ids, int32_t n, double target)
{
	double		sum = 0;
	int32_t		last = ids[0];

	for (int32_t i = 0; i < n; i++)
	{
		double		w = weight_of(c, ids[i]);

		if (w > 0)
			last = ids[i];
		sum += w;
		if (sum > target)
			break;
	}
	return last;
}

/* the same over all tokens by rising id: first the block is found, then the token in it */
static int32_t
draw_among_all(const Choice *c, double target)
{
	int32_t		begin = 0;
	int32_t		first = 0;
	int32_t		n = 0;

	for (int32_t next = 0; next < c->n_vocab; next += SUM_BLOCK)
	{
		double		w = weight_of_block(c, next);

		if (w > 0)
			begin = next;
		if (w > target)
			break;
		target -= w;
	}
	while (first < c->n && c->ids[first] < begin)
		first++;
	while (first + n < c->n && c->ids[first + n] < begin + SUM_BLOCK)
		n++;
	return draw_among(c, c->ids + first, n, target);
}

static int32_t
draw(Choice *c, uint64_t position, const Scratch *scratch)
{
	double		target;

	for (int32_t id = 0; id < c->n_vocab; id++)
		if (c->logits[id] > -INFINITY)
			c->ids[c->n++] = id;
	if (c->s->top_k > 0 && c->s->top_k < c->n)
		keep_top_k(c);
	if (c->s->typical_p < 1.0f)
		keep_typical(c, scratch->nearness);
	if (c->s->top_p < 1.0f || c->s->min_p > 0.0f)
		keep_top_p_and_min_p(c);
	target = random_unit(c->s->seed, position) * total_weight(c);
	return c->filtered ? draw_among(c, c->ids, c->n, target) : draw_among_all(c, target);
}

static int32_t
first_with(const float *logits, float value)
{
	int32_t		id = 0;

	while (logits[id] != value)
		id++;
	return id;
}

LlmStatus
llm_sample(const LlmKernels *k, const LlmSampling *s, float *logits, int32_t n_vocab, const int32_t *prompt, size_t n_prompt,
		   const int32_t *output, size_t n_output, uint64_t position, void *scratch, int32_t *token, double *logprob,
		   LlmError *err)
{
	const Scratch memory = divide_scratch(scratch, n_vocab);
	const float *raw = logits;
	Choice		c = {.k = k, .s = s, .logits = logits, .n_vocab = n_vocab, .ids = memory.ids};

	c.max = k->max(logits, n_vocab);
	if (!isfinite(c.max))
		return llm_fail(err, LLM_E_FORMAT, "the model computed logits that are not finite numbers");
	if (changes_logits(s))
	{
		memcpy(memory.raw, logits, (size_t) n_vocab * sizeof(float));
		raw = memory.raw;
		for (int i = 0; i < s->n_bias; i++)
			logits[s->bias[i].id] += s->bias[i].bias;
		apply_penalties(s, logits, prompt, n_prompt, output, n_output, memory.count);
		c.max = k->max(logits, n_vocab);
		if (!isfinite(c.max))
			return llm_fail(err, LLM_E_ARGUMENT, "logit_bias forbids every token");
	}
	*token = s->temperature < MIN_TEMPERATURE ? first_with(logits, c.max) : draw(&c, position, &memory);
	*logprob = llm_log_probability(k, raw, n_vocab, *token);
	return LLM_OK;
}
