/*
 * draft_ways.h: requests whose next tokens are guessed in several ways, which must give the same bytes as without.
 */
#ifndef LLM_TEST_DRAFT_WAYS_H
#define LLM_TEST_DRAFT_WAYS_H

#include "ways.h"

#define DRAFT_REQUESTS 4
#define DRAFT_OUTPUT 40

typedef struct DraftWay
{
	const char *name;
	LlmDraftKind kind;
	const LlmModel *draft_model;
	int			draft_tokens;
	int			threads;
	int			batch_tokens;
	bool		together;
} DraftWay;

/* texts that repeat themselves, of lengths around a page */
static inline size_t
draft_prompt(int r, int32_t n_vocab, int32_t *out)
{
	static const size_t len[DRAFT_REQUESTS] = {30, 62, 90, 127};

	for (size_t i = 0; i < len[r]; i++)
		out[i] = (int32_t) ((i % (size_t) (7 + 4 * r)) * 29 + (size_t) r * 13) % n_vocab;
	return len[r];
}

/* sampled and greedy in turn. The last ends last, so that also of requests that run together it is given guesses; it is greedy. */
static inline LlmGenerateParams
draft_params(int r, const DraftWay *way)
{
	LlmGenerateParams p = {.sampling = llm_sampling_default, .max_tokens = DRAFT_OUTPUT, .ignore_end = true, .top_logprobs = 3,
	.draft = way->kind, .draft_model = way->draft_model, .draft_tokens = way->draft_tokens};

	if (r % 2 == 0)
	{
		p.sampling.temperature = r == 0 ? 0.5f : 1.2f;
		p.sampling.seed = (uint64_t) r + 1;
		p.sampling.top_p = 0.9f;
		p.sampling.repeat_penalty = r == 0 ? 1 : 1.1f;
	}
	return p;
}

static inline void
run_draft_way(const LlmModel *model, const DraftWay *way, const LlmStop *stop, uint64_t *digests, LlmSchedulerStats *stats)
{
	LlmSchedulerOptions options = {.batch_tokens = way->batch_tokens, .prefix_cache_bytes = 1 << 24};
	const Work	work = {WORK_GREEDY, 0, DRAFT_OUTPUT};
	LlmRequest *requests[DRAFT_REQUESTS];
	LlmPool    *pool;
	LlmScheduler *s;
	LlmError	err;

	CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, way->threads, &pool, &err), &err));
	CHECK(test_ok(llm_scheduler_create(model, pool, &options, &llm_malloc_allocator, &s, &err), &err));
	for (int r = 0; r < DRAFT_REQUESTS; r++)
	{
		int32_t		prompt[128];
		size_t		n = draft_prompt(r, llm_tokenizer_vocab_size(model->tokenizer), prompt);
		LlmGenerateParams params = draft_params(r, way);

		CHECK(test_ok(llm_request_generate(s, prompt, n, &params, &requests[r], &err), &err));
		if (!way->together)
			CHECK(run_to_end(s, stop));
	}
	CHECK(run_to_end(s, stop));
	for (int r = 0; r < DRAFT_REQUESTS; r++)
		digests[r] = workload_digest(model, &work, requests[r]);
	llm_scheduler_stats(s, stats);
	llm_scheduler_free(s);
	llm_pool_free(pool);
}

/* n numbers with the other sign, the caller's to free; NULL of NULL */
static inline float *
draft_negated(const float *x, size_t n)
{
	float	   *out = x ? malloc(n * sizeof(float)) : NULL;

	for (size_t i = 0; out && i < n; i++)
		out[i] = -x[i];
	return out;
}

/*
 * other: a model with the same vocabulary. It may guess anything, so nothing is said of how often it is right. The opposite has the
 * model's own logits with the other sign: to a request without sampling it never guesses right.
 */
static inline void
test_draft_ways(const char *what, const LlmModel *model, const LlmModel *other)
{
	LlmModel	opposite = *model;
	const DraftWay ways[] = {
		{"plain", LLM_DRAFT_OFF, NULL, 0, 1, 0, false},
		{"text", LLM_DRAFT_PROMPT, NULL, 0, 2, 0, false},
		{"text, together", LLM_DRAFT_PROMPT, NULL, 3, 1, 40, true},
		{"the same model", LLM_DRAFT_MODEL, model, 0, 1, 0, false},
		{"the same model, together", LLM_DRAFT_MODEL, model, 5, 2, 33, true},
		{"another model", LLM_DRAFT_MODEL, other, 4, 1, 0, false},
		{"another model, together", LLM_DRAFT_MODEL, other, 0, 1, 70, true},
		{"the opposite model, together", LLM_DRAFT_MODEL, &opposite, 0, 1, 70, true},
	};
	uint64_t	want[DRAFT_REQUESTS];
	uint64_t	got[DRAFT_REQUESTS];
	float	   *weight = draft_negated(model->output_norm.weight, model->hp.n_embd);
	float	   *bias = draft_negated(model->output_norm.bias, model->hp.n_embd);

	CHECK_MSG(weight && !model->output.bias, "%s: logits cannot be negated by the last norm", what);
	opposite.output_norm = (LlmNorm) {weight, bias};
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
	{
		LlmSchedulerStats stats;

		run_draft_way(model, &ways[i], NULL, i == 0 ? want : got, &stats);
		for (int r = 0; r < DRAFT_REQUESTS; r++)
			CHECK_MSG(want[r] != 0 && (i == 0 || want[r] == got[r]), "%s: request %d with guesses by %s", what, r, ways[i].name);
		CHECK(stats.output_tokens == DRAFT_REQUESTS * DRAFT_OUTPUT && stats.accepted_tokens <= stats.drafted_tokens);
		CHECK_MSG(ways[i].kind == LLM_DRAFT_PROMPT || (stats.drafted_tokens > 0) == (ways[i].kind == LLM_DRAFT_MODEL), "%s: %s, %d guesses",
				  what, ways[i].name, (int) stats.drafted_tokens);
		if (ways[i].draft_model == model)
			CHECK_MSG(stats.accepted_tokens == stats.drafted_tokens, "%s: %s, %d of %d", what, ways[i].name,
					  (int) stats.accepted_tokens, (int) stats.drafted_tokens);
		if (ways[i].draft_model == &opposite)
			CHECK_MSG(stats.accepted_tokens < stats.drafted_tokens, "%s: %s, %d of %d", what, ways[i].name,
					  (int) stats.accepted_tokens, (int) stats.drafted_tokens);
	}
	free(weight);
	free(bias);
}

#endif
