/*
 * scheduler_test.c: the same request gives the same bytes alone or with others, for any batch size, thread count, CPU
 * level, cache state, and however often it is paused; a request freed in the middle leaves nothing behind; limits and
 * failing allocations are reported.
 */
#include <math.h>

#include "fail_alloc.h"
#include "model/forward.h"
#include "test_model.h"

#define MODEL "sql-tests/data/models/llama3.gguf"
#define N_PROMPTS 6
#define N_OUTPUT 24

typedef struct Answer
{
	int32_t		tokens[N_OUTPUT];
	size_t		n_tokens;
	double		logprob;
	double		scores[3];
} Answer;

typedef struct Config
{
	int			threads;
	int			batch_tokens;
	int			max_sequences;
	size_t		prefix_cache_bytes;
	bool		together;		/* all requests at once, or one after the other */
	bool		backwards;		/* order of the requests */
	int			pause_every;	/* 0: never */
} Config;

static int32_t prompts[N_PROMPTS][300];
static size_t prompt_len[N_PROMPTS] = {1, 63, 64, 65, 150, 300};
static const int32_t branch_tokens[3][3] = {{5, 0, 0}, {5, 9, 0}, {17, 300, 31}};

static void
make_prompts(int32_t n_vocab)
{
	uint32_t	x = 12345;

	for (int p = 0; p < N_PROMPTS; p++)
	{
		for (size_t i = 0; i < prompt_len[p]; i++)
		{
			x = x * 1664525u + 1013904223u;

			/* all but the first share their first 40 tokens */
			prompts[p][i] = i < 40 && p > 0 ? (int32_t) ((i * 37 + 11) % 400) : (int32_t) ((x >> 8) % (uint32_t) (n_vocab - 20));
		}
	}
}

/* says pause at random, once in `every` questions: an operation asks several times and starts over after a pause */
typedef struct Pauser
{
	uint32_t	random;
	int			every;
} Pauser;

static bool
pause_now(void *opaque)
{
	Pauser	   *p = opaque;

	p->random = p->random * 1664525u + 1013904223u;
	return p->every > 0 && (p->random >> 8) % (uint32_t) p->every == 0;
}

static void
run_all(LlmScheduler *s, int pause_every)
{
	Pauser		pauser = {0, pause_every};
	LlmStop		stop = {pause_now, &pauser};
	LlmError	err;
	LlmStatus	status;
	long		pauses = 0;

	while ((status = llm_scheduler_run(s, &stop, &err)) == LLM_PAUSED && pauses < 1000000)
		pauses++;
	CHECK(test_ok(status, &err));
	if (pause_every > 0)
		CHECK(pauses > 0);
}

static LlmRequest *
generate(LlmScheduler *s, int p)
{
	LlmGenerateParams params = {.sampling = llm_sampling_default, .max_tokens = N_OUTPUT, .ignore_end = true};
	LlmRequest *r = NULL;
	LlmError	err;

	if (p % 2)
	{
		params.sampling.temperature = 0.9f;
		params.sampling.seed = 42;
		params.sampling.top_k = 50;
	}
	CHECK(test_ok(llm_request_generate(s, prompts[p], prompt_len[p], &params, &r, &err), &err));
	return r;
}

static LlmRequest *
score(LlmScheduler *s, int p)
{
	LlmBranch	branches[3];
	LlmRequest *r = NULL;
	LlmError	err;

	for (int b = 0; b < 3; b++)
		branches[b] = (LlmBranch) {branch_tokens[b], (size_t) b + 1};
	CHECK(test_ok(llm_request_score(s, prompts[p], prompt_len[p], branches, 3, &r, &err), &err));
	return r;
}

static void
collect(LlmRequest *g, LlmRequest *sc, Answer *a)
{
	LlmGeneration out;

	CHECK_MSG(llm_request_finish(g) == LLM_FINISH_LENGTH, "%d %s", llm_request_finish(g), llm_request_error(g)->message);
	CHECK(llm_request_finish(sc) == LLM_FINISH_STOP);
	llm_request_generation(g, &out);
	a->n_tokens = out.n_tokens;
	memcpy(a->tokens, out.tokens, out.n_tokens * sizeof(int32_t));
	a->logprob = out.logprob;
	memcpy(a->scores, llm_request_scores(sc), sizeof(a->scores));
	llm_request_free(g);
	llm_request_free(sc);
}

static void
run_config(const LlmModel *model, const Config *c, Answer *answers)
{
	LlmPool    *pool;
	LlmScheduler *s;
	LlmError	err;
	LlmSchedulerOptions options = {.batch_tokens = c->batch_tokens, .max_sequences = c->max_sequences,
	.prefix_cache_bytes = c->prefix_cache_bytes};
	LlmRequest *g[N_PROMPTS];
	LlmRequest *sc[N_PROMPTS];
	LlmSchedulerStats stats;

	CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, c->threads, &pool, &err), &err));
	CHECK(test_ok(llm_scheduler_create(model, pool, &options, &llm_malloc_allocator, &s, &err), &err));
	for (int i = 0; i < N_PROMPTS; i++)
	{
		int			p = c->backwards ? N_PROMPTS - 1 - i : i;

		g[p] = generate(s, p);
		sc[p] = score(s, p);
		if (!c->together)
		{
			run_all(s, c->pause_every);
			collect(g[p], sc[p], &answers[p]);
		}
	}
	if (c->together)
	{
		run_all(s, c->pause_every);
		for (int p = 0; p < N_PROMPTS; p++)
			collect(g[p], sc[p], &answers[p]);
	}
	llm_scheduler_stats(s, &stats);
	CHECK(!c->prefix_cache_bytes || c->together || stats.cached_tokens > 0);
	CHECK(c->prefix_cache_bytes || stats.cached_tokens == 0);
	llm_scheduler_free(s);
	llm_pool_free(pool);
}

static void
check_same(const LlmModel *model)
{
	static const Config configs[] = {
		{1, 0, 0, 0, false, false, 0},
		{1, 0, 0, 0, true, false, 0},
		{2, 0, 0, 0, true, true, 0},
		{2, 7, 0, 0, true, false, 0},
		{1, 1, 1, 0, true, false, 0},
		{3, 64, 3, 0, true, true, 0},
		{2, 0, 0, 1 << 26, false, false, 0},
		{1, 33, 0, 1 << 26, false, true, 0},
		{2, 0, 0, 1 << 26, true, false, 0},
		{2, 0, 0, 0, true, false, 20},
		{1, 50, 2, 1 << 26, true, false, 30},
	};
	Answer		first[N_PROMPTS];
	Answer		other[N_PROMPTS];

	memset(first, 0, sizeof(first));
	memset(other, 0, sizeof(other));
	for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++)
	{
		run_config(model, &configs[i], i == 0 ? first : other);
		for (int p = 0; i > 0 && p < N_PROMPTS; p++)
			CHECK_MSG(memcmp(&first[p], &other[p], sizeof(Answer)) == 0,
					  "configuration %zu, prompt %d: log-probability %.17g %.17g, scores %.17g %.17g, %.17g %.17g, %.17g %.17g", i,
					  p, first[p].logprob, other[p].logprob, first[p].scores[0], other[p].scores[0], first[p].scores[1],
					  other[p].scores[1], first[p].scores[2], other[p].scores[2]);
	}
	for (int p = 0; p < N_PROMPTS; p++)
	{
		for (int b = 0; b < 3; b++)
			CHECK(first[p].scores[b] < 0 && first[p].scores[b] > -100);
	}
}

/* scores of branches equal the sum of what generation reports when those tokens are forced */
static void
check_scores_by_forcing(const LlmModel *model)
{
	LlmPool    *pool;
	LlmScheduler *s;
	LlmError	err;
	LlmSchedulerOptions options = {0};
	int32_t		tokens[400];
	double		sum = 0;
	LlmRequest *r;

	CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, 1, &pool, &err), &err));
	CHECK(test_ok(llm_scheduler_create(model, pool, &options, &llm_malloc_allocator, &s, &err), &err));
	r = score(s, 4);
	run_all(s, 0);
	memcpy(tokens, prompts[4], prompt_len[4] * sizeof(int32_t));
	for (size_t i = 0; i < 3; i++)
	{
		LlmRequest *l;

		CHECK(test_ok(llm_request_logits(s, tokens, prompt_len[4] + i, &l, &err), &err));
		run_all(s, 0);
		sum += llm_log_probability(model->kernels, llm_request_logits_result(l), (int32_t) model->hp.n_vocab, branch_tokens[2][i]);
		llm_request_free(l);
		tokens[prompt_len[4] + i] = branch_tokens[2][i];
	}
	CHECK_MSG(llm_request_scores(r)[2] == sum, "%.17g %.17g", llm_request_scores(r)[2], sum);
	llm_scheduler_free(s);		/* frees r too */
	llm_pool_free(pool);
}

/* free requests while a pass is paused in the middle; the others still give their answers */
static void
check_freed_in_pause(const LlmModel *model)
{
	Config		plain = {1, 0, 0, 0, false, false, 0};
	Answer		want[N_PROMPTS];
	LlmError	err;

	run_config(model, &plain, want);
	for (int every = 1; every < 40; every += 3)
	{
		LlmPool    *pool;
		LlmScheduler *s;
		LlmSchedulerOptions options = {.batch_tokens = 100, .prefix_cache_bytes = 1 << 24};
		LlmRequest *g[N_PROMPTS];
		LlmRequest *sc[N_PROMPTS];
		Pauser		pauser = {0, every};
		LlmStop		stop = {pause_now, &pauser};
		Answer		got;
		bool		more = true;
		LlmStatus	status = LLM_OK;

		CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, 2, &pool, &err), &err));
		CHECK(test_ok(llm_scheduler_create(model, pool, &options, &llm_malloc_allocator, &s, &err), &err));
		for (int p = 0; p < N_PROMPTS; p++)
		{
			g[p] = generate(s, p);
			sc[p] = score(s, p);
		}
		for (int i = 0; i < every && status == LLM_OK && more; i++)
			status = llm_scheduler_step(s, &stop, &more, &err);
		llm_request_free(g[2]);
		llm_request_free(sc[2]);
		llm_request_free(g[5]);
		llm_request_free(sc[0]);
		run_all(s, 0);
		collect(g[4], sc[4], &got);
		CHECK(memcmp(&got, &want[4], sizeof(got)) == 0);
		llm_scheduler_free(s);
		llm_pool_free(pool);
	}
}

static void
check_limits(const LlmModel *model)
{
	LlmPool    *pool;
	LlmScheduler *s;
	LlmError	err;
	LlmSchedulerOptions options = {.memory_limit_bytes = 1000};
	LlmGenerateParams params = {.sampling = llm_sampling_default, .max_tokens = 0};
	LlmRequest *r = NULL;
	int32_t		bad = (int32_t) model->hp.n_vocab;
	int32_t    *many = calloc(model->n_ctx + 1, sizeof(int32_t));
	LlmGeneration out;
	LlmBranch	empty = {many, 0};

	CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, 1, &pool, &err), &err));
	CHECK(llm_scheduler_create(model, pool, &options, &llm_malloc_allocator, &s, &err) == LLM_E_LIMIT);
	CHECK(strstr(err.hint, "memory limit") != NULL);
	options.memory_limit_bytes = llm_pass_bytes(model, 512, 1) + (1 << 20);
	CHECK(test_ok(llm_scheduler_create(model, pool, &options, &llm_malloc_allocator, &s, &err), &err));
	CHECK(llm_request_generate(s, prompts[1], 10, &params, &r, &err) == LLM_E_ARGUMENT);
	params.max_tokens = 5;
	CHECK(llm_request_generate(s, prompts[1], 0, &params, &r, &err) == LLM_E_ARGUMENT);
	CHECK(llm_request_generate(s, &bad, 1, &params, &r, &err) == LLM_E_ARGUMENT);
	CHECK(llm_request_score(s, prompts[1], 10, &empty, 1, &r, &err) == LLM_E_ARGUMENT);

	/* too long for the context: the request's own error */
	CHECK(test_ok(llm_request_generate(s, many, model->n_ctx + 1, &params, &r, &err), &err));
	CHECK(llm_request_finish(r) == LLM_FINISH_ERROR && llm_request_error(r)->status == LLM_E_LIMIT);
	llm_request_free(r);

	/* exactly the context: one token can follow */
	CHECK(test_ok(llm_request_generate(s, many, model->n_ctx, &params, &r, &err), &err));
	run_all(s, 0);
	if (llm_request_finish(r) != LLM_FINISH_ERROR)	/* the limit may forbid it */
	{
		llm_request_generation(r, &out);
		CHECK(out.n_tokens <= 1);
	}
	else
		CHECK(llm_request_error(r)->status == LLM_E_LIMIT);
	llm_request_free(r);
	llm_scheduler_free(s);
	llm_pool_free(pool);
	free(many);
}

/* every allocation fails in turn: an error, or success, and nothing leaks (the sanitizer run sees leaks) */
static void
check_failing_allocations(const LlmModel *model)
{
	LlmPool    *pool;
	LlmError	err;
	long		n = 0;
	bool		succeeded = false;

	CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, 1, &pool, &err), &err));
	for (; n < 400 && !succeeded; n++)
	{
		FailAlloc	fa;
		LlmScheduler *s;
		LlmSchedulerOptions options = {.prefix_cache_bytes = 1 << 24};
		LlmRequest *r;
		LlmGenerateParams params = {.sampling = llm_sampling_default, .max_tokens = 4, .top_logprobs = 2};
		LlmBranch	branch = {branch_tokens[2], 3};

		fail_alloc_init(&fa, n);
		if (llm_scheduler_create(model, pool, &options, &fa.allocator, &s, &err) == LLM_OK)
		{
			bool		ok = llm_request_generate(s, prompts[3], prompt_len[3], &params, &r, &err) == LLM_OK &&
				llm_request_score(s, prompts[4], prompt_len[4], &branch, 1, &r, &err) == LLM_OK &&
				llm_scheduler_run(s, NULL, &err) == LLM_OK;

			succeeded = ok && !fa.refused;
			llm_scheduler_free(s);
		}
		CHECK(fa.n_alive == 0);
	}
	CHECK_MSG(succeeded && n > 10, "%ld allocations", n);
	llm_pool_free(pool);
}

/* a token allocates nothing, but for a page of the cache now and then and a text that doubles its memory */
static void
check_allocations_per_token(const LlmModel *model)
{
	for (int kind = LLM_DRAFT_OFF; kind <= LLM_DRAFT_PROMPT; kind++)
	{
		LlmSchedulerOptions options = {0};
		LlmGenerateParams params = {.sampling = llm_sampling_default, .max_tokens = 300, .ignore_end = true, .top_logprobs = 3,
		.draft = (LlmDraftKind) kind};
		FailAlloc	fa;
		LlmPool    *pool;
		LlmScheduler *s;
		LlmRequest *r;
		LlmError	err;
		bool		more;
		long		before;

		params.sampling.temperature = 0.8f;
		params.sampling.top_k = 40;
		params.sampling.min_p = 0.01f;
		params.sampling.repeat_penalty = 1.1f;
		fail_alloc_init(&fa, -1);
		CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, 1, &pool, &err), &err));
		CHECK(test_ok(llm_scheduler_create(model, pool, &options, &fa.allocator, &s, &err), &err));
		CHECK(test_ok(llm_request_generate(s, prompts[1], prompt_len[1], &params, &r, &err), &err));
		CHECK(test_ok(llm_scheduler_step(s, NULL, &more, &err), &err));
		before = fa.n_requests;
		run_all(s, 0);
		CHECK(llm_request_finish(r) == LLM_FINISH_LENGTH);

		/* five pages, each of a head and its data; 300 tokens are a text of some thousand bytes */
		CHECK_MSG(fa.n_requests - before <= 5 * 2 + 10, "%ld allocations for 300 tokens", fa.n_requests - before);
		llm_scheduler_free(s);
		llm_pool_free(pool);
	}
}

int
main(void)
{
	for (int kv = 0; kv < 2; kv++)
	{
		LlmModelOptions options = {.kv_type = kv ? LLM_KV_F16 : LLM_KV_F32};
		Answer		by_level[2][N_PROMPTS];
		int			n_levels = 0;

		for (int i = 0; i < llmk_level_count(); i++)
		{
			const LlmKernels *kernels = llmk_level(i);
			TestModel	t;
			Config		plain = {2, 0, 0, 0, true, false, 0};

			if ((kernels->required & llmk_cpu_features()) != kernels->required)
				continue;
			printf("level %s, kv %s\n", kernels->name, kv ? "f16" : "f32");
			t = test_model_open(MODEL, &options, kernels);
			make_prompts((int32_t) t.model->hp.n_vocab);
			memset(by_level[n_levels > 0], 0, sizeof(by_level[0]));
			run_config(t.model, &plain, by_level[n_levels > 0]);
			CHECK(n_levels == 0 || memcmp(by_level[0], by_level[1], sizeof(by_level[0])) == 0);
			n_levels++;
			if (kernels == llmk_select(NULL, llmk_cpu_features()))
			{
				check_same(t.model);
				check_scores_by_forcing(t.model);
				check_freed_in_pause(t.model);
				check_limits(t.model);
				check_allocations_per_token(t.model);
				check_failing_allocations(t.model);
			}
			test_model_close(&t);
		}
	}
	CHECK_DONE();
}
