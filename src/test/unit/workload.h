/*
 * workload.h: a fixed set of requests over a model, and a digest of what each answers, for tests that run it in many ways
 * and want the same bytes.
 */
#ifndef LLM_TEST_WORKLOAD_H
#define LLM_TEST_WORKLOAD_H

#include "test_model.h"

#define WORKLOAD_MAX 48
#define WORKLOAD_LABELS 6

typedef enum WorkKind
{
	WORK_GREEDY,
	WORK_SAMPLED,
	WORK_SCORE,
	WORK_LOGITS
} WorkKind;

typedef struct Work
{
	WorkKind	kind;
	int			n_prompt;
	int			n_output;
} Work;

typedef struct Workload
{
	const Work *work;
	int			n;
	uint64_t	digest[WORKLOAD_MAX];	/* of the answers */
} Workload;

static int32_t workload_prompt[WORKLOAD_MAX][700];
static const int32_t workload_labels[WORKLOAD_LABELS][70] = {{9}, {9, 12}, {9, 12, 40}, {44, 3, 3, 7}, {9, 12, 41}, {100}};
static const int workload_label_len[WORKLOAD_LABELS] = {1, 2, 3, 70, 3, 1};

/* every third prompt is a random text of its own, the others begin alike */
static inline void
workload_make_prompts(int n_vocab)
{
	uint32_t	x = 99;

	for (int p = 0; p < WORKLOAD_MAX; p++)
		for (int i = 0; i < 700; i++)
		{
			x = x * 1664525u + 1013904223u;
			workload_prompt[p][i] = p % 3 && i < 50 + p ? (i * 31 + 7) % n_vocab : (int32_t) ((x >> 8) % (uint32_t) n_vocab);
		}
}

static inline uint64_t
workload_hash(uint64_t h, const void *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ ((const uint8_t *) data)[i]) * 1099511628211u;
	return h;
}

static inline LlmStatus
workload_add(LlmScheduler *s, const Work *w, int p, LlmRequest **out, LlmError *err)
{
	LlmGenerateParams params = {.sampling = llm_sampling_default, .max_tokens = w->n_output, .ignore_end = true, .top_logprobs = 3};
	LlmBranch	branches[WORKLOAD_LABELS];

	if (w->kind == WORK_SCORE)
	{
		for (int b = 0; b < WORKLOAD_LABELS; b++)
			branches[b] = (LlmBranch) {workload_labels[b], (size_t) workload_label_len[b]};
		return llm_request_score(s, workload_prompt[p], (size_t) w->n_prompt, branches, WORKLOAD_LABELS, out, err);
	}
	if (w->kind == WORK_LOGITS)
		return llm_request_logits(s, workload_prompt[p], (size_t) w->n_prompt, out, err);
	if (w->kind == WORK_SAMPLED)
	{
		params.sampling.temperature = 1.5f;
		params.sampling.top_p = 0.95f;
		params.sampling.repeat_penalty = 1.1f;
		params.sampling.seed = 42;
	}
	return llm_request_generate(s, workload_prompt[p], (size_t) w->n_prompt, &params, out, err);
}

/* what the request answered, as a number; 0 if it did not end well */
static inline uint64_t
workload_digest(const LlmModel *model, const Work *w, const LlmRequest *r)
{
	LlmGeneration g;
	uint64_t	h = 14695981039346656037u;

	if (llm_request_finish(r) != (w->kind <= WORK_SAMPLED ? LLM_FINISH_LENGTH : LLM_FINISH_STOP))
	{
		fprintf(stderr, "finish %d: %s\n", (int) llm_request_finish(r), llm_request_error(r)->message);
		return 0;
	}
	if (w->kind == WORK_SCORE)
		return workload_hash(h, llm_request_scores(r), WORKLOAD_LABELS * sizeof(double));
	if (w->kind == WORK_LOGITS)
		return workload_hash(h, llm_request_logits_result(r), model->hp.n_vocab * sizeof(float));
	llm_request_generation(r, &g);
	h = workload_hash(h, g.tokens, g.n_tokens * sizeof(int32_t));
	h = workload_hash(h, g.text, g.text_len);
	h = workload_hash(h, &g.logprob, sizeof(g.logprob));
	h = workload_hash(h, g.token_logprobs, g.n_tokens * sizeof(float));
	return workload_hash(h, g.top, g.n_tokens * 3 * sizeof(LlmTokenProb));
}

#endif
