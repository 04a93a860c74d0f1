/*
 * request_limits_test.c: the ends of the context, labels in number, and models that compute no numbers: a value that is not
 * finite in any tensor is an error of every request it reaches, never an answer.
 */
#include <math.h>

#include "mixed_model.h"
#include "tested_levels.h"
#include "workload.h"

typedef struct Bench
{
	TestModel	t;
	LlmPool    *pool;
	LlmScheduler *s;
} Bench;

static Bench
bench_open(const LlmModelOptions *options, const LlmKernels *k, const MixedSpoil *spoil)
{
	LlmSchedulerOptions so = {.prefix_cache_bytes = 0};
	LlmError	err;
	Bench		b;

	b.t = mixed_model_open(options, k, spoil);
	CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, 2, &b.pool, &err), &err));
	CHECK(test_ok(llm_scheduler_create(b.t.model, b.pool, &so, &llm_malloc_allocator, &b.s, &err), &err));
	return b;
}

static void
bench_close(Bench *b)
{
	llm_scheduler_free(b->s);
	llm_pool_free(b->pool);
	test_model_close(&b->t);
}

static LlmRequest *
generate(Bench *b, int p, size_t n_prompt, int max_tokens)
{
	LlmGenerateParams params = {.sampling = llm_sampling_default, .max_tokens = max_tokens, .ignore_end = true};
	LlmRequest *r = NULL;
	LlmError	err;

	CHECK(test_ok(llm_request_generate(b->s, workload_prompt[p], n_prompt, &params, &r, &err), &err));
	return r;
}

static LlmRequest *
score(Bench *b, int p, size_t n_prompt, const LlmBranch *branches, int n)
{
	LlmRequest *r = NULL;
	LlmError	err;

	CHECK(test_ok(llm_request_score(b->s, workload_prompt[p], n_prompt, branches, n, &r, &err), &err));
	return r;
}

static void
run(Bench *b)
{
	LlmError	err;

	CHECK(test_ok(llm_scheduler_run(b->s, NULL, &err), &err));
}

/* ---- context ---- */

/* tokens after a prompt near the end of a context of 130, against the same with all the room there is */
static void
test_context(const LlmKernels *k)
{
	LlmModelOptions narrow = {.n_ctx = 130};
	LlmModelOptions wide = {.n_ctx = 0};
	Bench		a = bench_open(&narrow, k, NULL);
	Bench		b = bench_open(&wide, k, NULL);

	CHECK(a.t.model->n_ctx == 130 && b.t.model->n_ctx == MIXED_N_CTX);
	for (size_t n_prompt = 125; n_prompt <= 132; n_prompt++)
		for (int max_tokens = 1; max_tokens <= 4; max_tokens++)
		{
			LlmRequest *r = generate(&a, 1, n_prompt, max_tokens);
			LlmRequest *want = generate(&b, 1, n_prompt, max_tokens);
			LlmGeneration g;
			LlmGeneration w;
			size_t		room = n_prompt <= 130 ? 130 - n_prompt + 1 : 0;

			run(&a);
			run(&b);
			llm_request_generation(r, &g);
			llm_request_generation(want, &w);
			if (room == 0)
				CHECK(g.finish == LLM_FINISH_ERROR && llm_request_error(r)->status == LLM_E_LIMIT && g.n_tokens == 0);
			else
				CHECK_MSG(g.finish == LLM_FINISH_LENGTH && g.n_tokens == (room < (size_t) max_tokens ? room : (size_t) max_tokens) &&
						  memcmp(g.tokens, w.tokens, g.n_tokens * sizeof(int32_t)) == 0, "prompt of %zu, %d more", n_prompt, max_tokens);
			llm_request_free(r);
			llm_request_free(want);
		}
	for (size_t n_prompt = 126; n_prompt <= 131; n_prompt++)
	{
		static const int32_t label[] = {5, 6, 7};
		LlmBranch	branches[2] = {{label, 1}, {label, 3}};
		LlmRequest *r = score(&a, 2, n_prompt, branches, 2);
		LlmRequest *want = score(&b, 2, n_prompt, branches, 2);

		run(&a);
		run(&b);
		if (n_prompt + 2 <= 130)	/* the label's last token is not fed */
			CHECK(llm_request_finish(r) == LLM_FINISH_STOP &&
				  memcmp(llm_request_scores(r), llm_request_scores(want), 2 * sizeof(double)) == 0);
		else
			CHECK(llm_request_finish(r) == LLM_FINISH_ERROR && llm_request_error(r)->status == LLM_E_LIMIT);
		llm_request_free(r);
		llm_request_free(want);
	}
	bench_close(&a);
	bench_close(&b);
}

/* ---- labels ---- */

/* many labels that begin alike, of 1 to 70 tokens: each as if scored alone */
static void
test_labels(const LlmKernels *k)
{
	enum
	{
		N_LABELS = 200
	};
	static int32_t tokens[N_LABELS][70];
	LlmBranch	branches[N_LABELS];
	LlmModelOptions options = {.n_ctx = 0};
	Bench		b = bench_open(&options, k, NULL);
	LlmRequest *all;

	for (int i = 0; i < N_LABELS; i++)
	{
		for (int j = 0; j < 70; j++)
			tokens[i][j] = j < i % 4 ? 20 + j : (i * 7 + j * 13) % MIXED_N_VOCAB;
		branches[i] = (LlmBranch) {tokens[i], i % 50 == 49 ? 70 : (size_t) (1 + i % 5)};
	}
	all = score(&b, 4, 61, branches, N_LABELS);
	run(&b);
	CHECK(llm_request_finish(all) == LLM_FINISH_STOP);
	for (int i = 0; i < N_LABELS; i += i % 50 == 48 ? 1 : 3)
	{
		LlmRequest *one = score(&b, 4, 61, &branches[i], 1);

		run(&b);
		CHECK_MSG(llm_request_scores(one)[0] == llm_request_scores(all)[i] && llm_request_scores(one)[0] < 0, "label %d", i);
		llm_request_free(one);
	}
	bench_close(&b);
}

/* ---- no numbers ---- */

/* all requests end with LLM_E_FORMAT (expect_error) or well; token 5 is in every prompt, label 9 begins the labels */
static void
check_spoiled(const LlmKernels *k, const MixedSpoil *spoil, bool expect_error)
{
	LlmModelOptions options = {.n_ctx = 0};
	Bench		b = bench_open(&options, k, spoil);

	workload_prompt[0][1] = 5;
	for (int kind = WORK_GREEDY; kind <= WORK_LOGITS; kind++)
	{
		Work		w = {(WorkKind) kind, 4, 3};
		LlmRequest *r = NULL;
		LlmError	err;

		CHECK(test_ok(workload_add(b.s, &w, 0, &r, &err), &err));
		run(&b);
		if (expect_error)
			CHECK_MSG(llm_request_finish(r) == LLM_FINISH_ERROR && llm_request_error(r)->status == LLM_E_FORMAT &&
					  llm_request_error(r)->hint[0], "%s, %s[%zu] = %g, kind %d: finish %d", k->name, spoil->tensor, spoil->at,
					  (double) spoil->value, kind, (int) llm_request_finish(r));
		else
			CHECK(llm_request_finish(r) != LLM_FINISH_ERROR);
		llm_request_free(r);
	}
	bench_close(&b);
}

static void
test_not_finite(const LlmKernels *k)
{
	static const struct
	{
		const char *tensor;
		size_t		at;
	}			places[] = {
		{"token_embd.weight", 5 * MIXED_N_EMBD + 17}, {"blk.0.attn_norm.weight", 3}, {"blk.0.attn_q.weight", 100},
		{"blk.0.attn_k.weight", 0}, {"blk.1.attn_v.weight", 12345}, {"blk.0.attn_output.weight", 65535},
		{"blk.1.ffn_norm.weight", 255}, {"blk.0.ffn_gate.weight", 777}, {"blk.1.ffn_up.weight", 1}, {"blk.0.ffn_down.weight", 131071},
		{"output_norm.weight", 0}, {"output.weight", 299 * MIXED_N_EMBD},
	};
	MixedSpoil	spoil;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
	{
		spoil = (MixedSpoil) {places[i].tensor, places[i].at, NAN};
		check_spoiled(k, &spoil, true);
	}
	spoil = (MixedSpoil) {"output_norm.weight", 9, INFINITY};
	check_spoiled(k, &spoil, true);
	spoil = (MixedSpoil) {"blk.1.ffn_down.weight", 9, -INFINITY};
	check_spoiled(k, &spoil, true);

	/* the row of a token that no prompt has */
	spoil = (MixedSpoil) {"token_embd.weight", 250 * MIXED_N_EMBD, NAN};
	for (int i = 0; i < 4; i++)
		workload_prompt[0][i] = 6 + i;
	check_spoiled(k, &spoil, false);
}

int
main(void)
{
	workload_make_prompts(MIXED_N_VOCAB);
	list_tested_levels();
	test_context(llmk_select(NULL, llmk_cpu_features()));
	test_labels(llmk_select(NULL, llmk_cpu_features()));
	for (int i = 0; i < n_tested_levels; i++)
		test_not_finite(&tested_levels[i]);
	CHECK_DONE();
}
