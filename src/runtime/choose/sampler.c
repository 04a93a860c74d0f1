/*
 * sampler.c: choosing the next token: options and their ranges, bias and penalties, then the largest logit or a draw
 * (candidates.h). Everything is computed by one sequence of operations, so that all CPU levels choose alike.
 */
#include "choose/sampler.h"

#include <math.h>
#include <string.h>

#include "choose/candidates.h"
#include "choose/philox.h"

/* below this a temperature is taken as 0: logits that differ by 1e-4 already differ by a factor of e^100 */
#define MIN_TEMPERATURE 1e-6f
#define MAX_PENALTY 1000.0f

const LlmSampling llm_sampling_default = {.top_p = 1.0f, .typical_p = 1.0f, .repeat_penalty = 1.0f};

/* scratch: logits as the model gave them (n_vocab), then occurrences of tokens (n_vocab) or, after them, the candidates' */
size_t
llm_sample_scratch_bytes(int32_t n_vocab)
{
	return (size_t) n_vocab * sizeof(float) + llm_candidates_scratch_bytes(n_vocab);
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

LlmStatus
llm_fail_not_finite(LlmError *err)
{
	LlmStatus	status = llm_fail(err, LLM_E_FORMAT, "the model computed logits that are not finite numbers");

	llm_error_hint(err, "The model file may be damaged; get it again from where it came.");
	return status;
}

LlmLogSoftmax
llm_log_softmax(const LlmKernels *k, const float *logits, int32_t n_vocab)
{
	float		max = k->max(logits, n_vocab);

	return (LlmLogSoftmax) {(double) max, llmk_log((double) k->sum_exp(logits, n_vocab, max, 1.0f))};
}

double
llm_log_probability(const LlmKernels *k, const float *logits, int32_t n_vocab, int32_t id)
{
	LlmLogSoftmax s = llm_log_softmax(k, logits, n_vocab);

	return llm_log_softmax_of(&s, logits[id]);
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

/* ---- the draw ---- */

/* 53 random bits as a number in [0, 1): the seed is the key, the position the counter */
static double
random_unit(uint64_t seed, uint64_t position)
{
	const uint32_t counter[4] = {(uint32_t) position, (uint32_t) (position >> 32), 0, 0};
	const uint32_t key[2] = {(uint32_t) seed, (uint32_t) (seed >> 32)};
	uint32_t	r[4];

	llm_philox4x32(counter, key, r);
	return (double) (((uint64_t) r[0] << 32 | r[1]) >> 11) * 0x1p-53;
}

static int32_t
draw(const LlmKernels *k, const LlmSampling *s, const float *logits, int32_t n_vocab, float max, uint64_t position,
	 void *scratch)
{
	LlmCandidates c;

	llm_candidates_init(&c, k, logits, n_vocab, max, s->temperature, scratch);
	if (s->top_k > 0 && s->top_k < n_vocab)
		llm_candidates_top_k(&c, s->top_k);
	if (s->typical_p < 1.0f)
		llm_candidates_typical(&c, (double) s->typical_p);
	if (s->top_p < 1.0f)
		llm_candidates_top_p(&c, (double) s->top_p);
	if (s->min_p > 0.0f)
		llm_candidates_min_p(&c, (double) s->min_p);
	return llm_candidates_draw(&c, random_unit(s->seed, position));
}

/* bias and penalties left no logit to choose by */
static LlmStatus
fail_changed(float max, LlmError *err)
{
	LlmStatus	status = llm_fail(err, LLM_E_ARGUMENT, max < 0 ? "logit_bias forbids every token" :
								  "logit_bias and penalties make logits that are not finite numbers");

	llm_error_hint(err, "Leave out some of logit_bias, or give it smaller numbers.");
	return status;
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
	float	   *kept = scratch;
	const float *raw = logits;
	float		max = k->max(logits, n_vocab);

	scratch = kept + n_vocab;
	if (!isfinite(max))
		return llm_fail_not_finite(err);
	if (changes_logits(s))
	{
		memcpy(kept, logits, (size_t) n_vocab * sizeof(float));
		raw = kept;
		for (int i = 0; i < s->n_bias; i++)
			logits[s->bias[i].id] += s->bias[i].bias;
		apply_penalties(s, logits, prompt, n_prompt, output, n_output, scratch);
		max = k->max(logits, n_vocab);
		if (!isfinite(max))
			return fail_changed(max, err);
	}
	*token = s->temperature < MIN_TEMPERATURE ? first_with(logits, max) :
		draw(k, s, logits, n_vocab, max, position, scratch);
	*logprob = llm_log_probability(k, raw, n_vocab, *token);
	return LLM_OK;
}
