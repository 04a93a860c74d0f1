/*
 * draft_test.c: guessing next tokens changes no byte: with grammars, stop strings, the end of a text, penalties and log-probabilities,
 * paused anywhere, with requests freed in the middle. A draft model's memory counts against the limit, and each
 * allocation that fails is reported. A model with another vocabulary is refused.
 */
#include "draft_ways.h"
#include "fail_alloc.h"
#include "model/forward.h"

#define MODEL "sql-tests/data/models/llama3.gguf"
#define OTHER_VOCABULARY "sql-tests/data/models/mistral.gguf"

/* says pause at random, once in `every` questions */
typedef struct RandomPauser
{
	uint32_t	random;
	int			every;
} RandomPauser;

static bool
pause_now(void *opaque)
{
	RandomPauser *p = opaque;

	p->random = p->random * 1664525u + 1013904223u;
	return (p->random >> 8) % (uint32_t) p->every == 0;
}

static LlmStr
str(const char *s)
{
	return (LlmStr) {s, strlen(s)};
}

/* the answer to a text with parameters, guesses by kind */
static uint64_t
answer(const LlmModel *model, const char *text, LlmGenerateParams params, LlmDraftKind kind, uint64_t *n_accepted)
{
	LlmSchedulerOptions options = {0};
	LlmTokens	tokens;
	LlmGeneration g;
	LlmRequest *r;
	LlmPool    *pool;
	LlmScheduler *s;
	LlmError	err;
	uint64_t	h = 14695981039346656037u;
	uint64_t	n_drafted;

	params.draft = kind;
	params.draft_model = kind == LLM_DRAFT_MODEL ? model : NULL;
	llm_tokens_init(&tokens, &llm_malloc_allocator);
	CHECK(test_ok(llm_tokenize(model->tokenizer, (LlmText) {text, NULL, strlen(text)}, 0, NULL, &tokens, &err), &err));
	CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, 1, &pool, &err), &err));
	CHECK(test_ok(llm_scheduler_create(model, pool, &options, &llm_malloc_allocator, &s, &err), &err));
	CHECK(test_ok(llm_request_generate(s, tokens.ids, tokens.n, &params, &r, &err), &err));
	CHECK(run_to_end(s, NULL));
	CHECK_MSG(llm_request_finish(r) != LLM_FINISH_ERROR, "%s", llm_request_error(r)->message);
	llm_request_generation(r, &g);
	h = workload_hash(h, g.tokens, g.n_tokens * sizeof(int32_t));
	h = workload_hash(h, g.text, g.text_len);
	h = workload_hash(h, &g.logprob, sizeof g.logprob);
	h = workload_hash(h, &g.finish, sizeof g.finish);
	h = workload_hash(h, g.token_logprobs, g.n_tokens * sizeof(float));
	llm_request_drafts(r, &n_drafted, n_accepted);
	CHECK(*n_accepted <= n_drafted && (kind != LLM_DRAFT_OFF || n_drafted == 0));
	llm_scheduler_free(s);
	llm_pool_free(pool);
	llm_tokens_free(&tokens);
	return h;
}

static void
test_options(const LlmModel *model)
{
	static const char text[] = "one two three, one two three, {\"k\": \"one two three\"}, one two three, one";
	static const char schema[] = "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},"
		"\"kind\":{\"enum\":[\"a\",\"b\"]}},\"required\":[\"name\",\"kind\"]}}";
	LlmStr		stop[2] = {str("e"), str("th")};
	LlmLogitBias bias[1] = {{5, 3.0f}};
	LlmGrammar *grammar = NULL;
	LlmError	err;
	uint64_t	accepted = 0;

	CHECK(test_ok(llm_grammar_json_schema(str(schema), false, &llm_malloc_allocator, NULL, &grammar, &err), &err));
	for (int i = 0; i < 64; i++)
	{
		LlmGenerateParams params = {.sampling = llm_sampling_default, .max_tokens = 10 + i, .top_logprobs = i % 3, .starts_text = i % 2};
		uint64_t	n;
		uint64_t	want;

		params.sampling.temperature = i & 1 ? 0.8f : 0;
		params.sampling.seed = (uint64_t) i;
		params.sampling.frequency_penalty = i & 2 ? 0.3f : 0;
		params.sampling.bias = bias;
		params.sampling.n_bias = i & 4 ? 1 : 0;
		params.stop = stop;
		params.n_stop = i & 8 ? 2 : 0;
		params.ignore_end = i & 16;
		params.grammar = i & 32 ? grammar : NULL;
		params.max_tokens += params.grammar ? 20 : 0;
		want = answer(model, text, params, LLM_DRAFT_OFF, &n);
		CHECK_MSG(answer(model, text, params, LLM_DRAFT_PROMPT, &n) == want, "from the text, options %d", i);
		accepted += n;
		CHECK_MSG(answer(model, text, params, LLM_DRAFT_MODEL, &n) == want, "by a model, options %d", i);
		accepted += n;
	}
	CHECK_MSG(accepted > 100, "%d", (int) accepted);
	llm_grammar_free(grammar);
}

static void
test_pauses(const LlmModel *model)
{
	const DraftWay plain = {"plain", LLM_DRAFT_OFF, NULL, 0, 1, 0, true};
	const DraftWay ways[] = {{"text", LLM_DRAFT_PROMPT, NULL, 0, 2, 30, true}, {"model", LLM_DRAFT_MODEL, model, 6, 1, 30, true}};
	uint64_t	want[DRAFT_REQUESTS];
	uint64_t	got[DRAFT_REQUESTS];
	LlmSchedulerStats stats;

	run_draft_way(model, &plain, NULL, want, &stats);
	for (int i = 0; i < 2; i++)
		for (int every = 3; every < 40; every += 12)
		{
			RandomPauser pauser = {(uint32_t) every, every};
			LlmStop		stop = {pause_now, &pauser};

			run_draft_way(model, &ways[i], &stop, got, &stats);
			CHECK_MSG(memcmp(want, got, sizeof got) == 0, "%s, paused once in %d", ways[i].name, every);
		}
}

/* requests freed in a pause, of the model or of its draft model; the others give the same answers */
static void
test_freed(const LlmModel *model)
{
	const DraftWay plain = {"plain", LLM_DRAFT_OFF, NULL, 0, 1, 0, true};
	const Work	work = {WORK_GREEDY, 0, DRAFT_OUTPUT};
	uint64_t	want[DRAFT_REQUESTS];
	LlmSchedulerStats stats;

	run_draft_way(model, &plain, NULL, want, &stats);
	for (int steps = 1; steps < 120; steps += 7)
	{
		const DraftWay way = {"model", steps % 2 ? LLM_DRAFT_MODEL : LLM_DRAFT_PROMPT, steps % 2 ? model : NULL, 4, 1, 60, true};
		LlmSchedulerOptions options = {.batch_tokens = way.batch_tokens};
		RandomPauser pauser = {(uint32_t) steps, 4};
		LlmStop		stop = {pause_now, &pauser};
		LlmRequest *requests[DRAFT_REQUESTS];
		LlmPool    *pool;
		LlmScheduler *s;
		LlmError	err;
		LlmStatus	status = LLM_OK;
		bool		more = true;

		CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, 1, &pool, &err), &err));
		CHECK(test_ok(llm_scheduler_create(model, pool, &options, &llm_malloc_allocator, &s, &err), &err));
		for (int r = 0; r < DRAFT_REQUESTS; r++)
		{
			int32_t		prompt[128];
			size_t		n = draft_prompt(r, llm_tokenizer_vocab_size(model->tokenizer), prompt);
			LlmGenerateParams params = draft_params(r, &way);

			CHECK(test_ok(llm_request_generate(s, prompt, n, &params, &requests[r], &err), &err));
		}
		for (int i = 0; i < steps && (status == LLM_OK || status == LLM_PAUSED) && more; i++)
			status = llm_scheduler_step(s, &stop, &more, &err);
		llm_request_free(requests[steps % DRAFT_REQUESTS]);
		CHECK(run_to_end(s, &stop));
		for (int r = 0; r < DRAFT_REQUESTS; r++)
			if (r != steps % DRAFT_REQUESTS)
				CHECK_MSG(workload_digest(model, &work, requests[r]) == want[r], "request %d, freed after %d steps", r, steps);
		llm_scheduler_free(s);
		llm_pool_free(pool);
	}
}

/* each allocation fails in turn: an error, and then the same bytes */
static void
test_failing_allocations(const LlmModel *model)
{
	LlmPool    *pool;
	LlmError	err;
	long		n_failed = 0;

	CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, 1, &pool, &err), &err));
	for (;; n_failed++)
	{
		const DraftWay way = {"model", LLM_DRAFT_MODEL, model, 4, 1, 60, true};
		LlmSchedulerOptions options = {.batch_tokens = 60};
		LlmGenerateParams params = draft_params(1, &way);
		int32_t		prompt[128];
		size_t		n = draft_prompt(1, llm_tokenizer_vocab_size(model->tokenizer), prompt);
		LlmRequest *r = NULL;
		FailAlloc	fa;
		LlmScheduler *s;

		fail_alloc_init(&fa, n_failed);
		if (llm_scheduler_create(model, pool, &options, &fa.allocator, &s, &err) == LLM_OK)
		{
			if (llm_request_generate(s, prompt, n, &params, &r, &err) != LLM_OK)
				CHECK(err.status == LLM_E_NOMEM && test_ok(llm_request_generate(s, prompt, n, &params, &r, &err), &err));
			if (llm_scheduler_run(s, NULL, &err) != LLM_OK)
				CHECK(err.status == LLM_E_NOMEM && test_ok(llm_scheduler_run(s, NULL, &err), &err));
			CHECK(llm_request_finish(r) == LLM_FINISH_LENGTH || llm_request_error(r)->status == LLM_E_NOMEM);
			llm_scheduler_free(s);
		}
		CHECK(fa.n_alive == 0);
		if (!fa.refused)
			break;
	}
	CHECK_MSG(n_failed > 20, "%ld", n_failed);
	llm_pool_free(pool);
}

static void
test_refused(const LlmModel *model, const LlmModel *other)
{
	const DraftWay way = {"other", LLM_DRAFT_MODEL, other, 4, 1, 60, true};
	const DraftWay same = {"same", LLM_DRAFT_MODEL, model, 4, 1, 60, true};
	LlmSchedulerOptions options = {.batch_tokens = 60};
	LlmGenerateParams params = draft_params(0, &way);
	int32_t		token = 5;
	LlmRequest *r;
	LlmPool    *pool;
	LlmScheduler *s;
	LlmError	err;

	CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, 1, &pool, &err), &err));
	CHECK(test_ok(llm_scheduler_create(model, pool, &options, &llm_malloc_allocator, &s, &err), &err));
	CHECK(llm_request_generate(s, &token, 1, &params, &r, &err) == LLM_E_ARGUMENT);
	CHECK_MSG(strstr(err.message, "vocabulary") && err.hint[0], "%s", err.message);
	params = draft_params(0, &same);
	params.draft_tokens = LLM_DRAFT_MAX + 1;
	CHECK(llm_request_generate(s, &token, 1, &params, &r, &err) == LLM_E_ARGUMENT);
	llm_scheduler_free(s);

	/* memory for one model, not for two */
	options.memory_limit_bytes = llm_pass_bytes(model, 60, 1) + (1 << 20);
	CHECK(test_ok(llm_scheduler_create(model, pool, &options, &llm_malloc_allocator, &s, &err), &err));
	params = draft_params(0, &same);
	if (llm_pass_bytes(model, 60, 1) > 1 << 20)
	{
		CHECK(llm_request_generate(s, &token, 1, &params, &r, &err) == LLM_E_LIMIT);
		CHECK_MSG(strstr(err.message, "draft model") && err.hint[0], "%s", err.message);
	}
	params.draft = LLM_DRAFT_PROMPT;
	CHECK(test_ok(llm_request_generate(s, &token, 1, &params, &r, &err), &err));
	CHECK(run_to_end(s, NULL));
	llm_scheduler_free(s);
	llm_pool_free(pool);
}

int
main(void)
{
	LlmModelOptions options = {.kv_type = LLM_KV_F16};
	const LlmKernels *kernels = llmk_select(NULL, llmk_cpu_features());
	TestModel	t = test_model_open(MODEL, &options, kernels);
	TestModel	other = test_model_open(OTHER_VOCABULARY, &options, kernels);

	printf("level %s\n", kernels->name);
	test_options(t.model);
	test_pauses(t.model);
	test_freed(t.model);
	test_failing_allocations(t.model);
	test_refused(t.model, other.model);
	test_model_close(&other);
	test_model_close(&t);
	CHECK_DONE();
}
