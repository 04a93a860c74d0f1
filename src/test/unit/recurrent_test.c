/*
 * recurrent_test.c: models with recurrent layers. Same row, same bytes, in all ways of batch_ways.h and at every CPU level; a
 * stored prompt is used where the new one begins with all of it, and only there; states count against the memory limit.
 */
#include "batch_ways.h"
#include "draft_ways.h"
#include "hybrid_model.h"
#include "model/forward.h"
#include "tested_levels.h"

static int32_t prompts[4][200];

/* logits after n tokens; *n_cached: how many of them were found in the prefix cache */
static void
logits_after(LlmScheduler *s, const int32_t *tokens, size_t n, float *logits, uint32_t *n_cached)
{
	LlmRequest *r;
	LlmError	err;

	CHECK(test_ok(llm_request_logits(s, tokens, n, &r, &err), &err));
	CHECK(run_to_end(s, NULL));
	CHECK(llm_request_finish(r) == LLM_FINISH_STOP);
	memcpy(logits, llm_request_logits_result(r), MIXED_N_VOCAB * sizeof(float));
	*n_cached = llm_request_cached_tokens(r);
	llm_request_free(r);
}

/* prompts in order, with what the cache must give of each: the longest stored prompt that they begin with */
static void
test_prefix_cache(const LlmModel *model)
{
	static const struct
	{
		int			prompt;
		size_t		n;
		uint32_t	n_cached;
	}			steps[] = {
		{0, 100, 0}, {0, 150, 100}, {0, 100, 0}, {0, 101, 100}, {1, 150, 0}, {0, 199, 150}, {0, 64, 0}, {0, 99, 64}, {0, 101, 100},
		{1, 200, 150}, {2, 20, 0},
	};
	LlmSchedulerOptions cached = {.batch_tokens = 64, .prefix_cache_bytes = 1 << 26};
	LlmSchedulerOptions plain = {.batch_tokens = 64};
	LlmScheduler *with;
	LlmScheduler *without;
	LlmPool    *pool;
	LlmError	err;

	for (int i = 0; i < 200; i++)
		for (int p = 0; p < 3; p++)
			prompts[p][i] = (i * 31 + 7 + (i >= 90 ? p * 13 : 0)) % MIXED_N_VOCAB; /* all begin alike */
	CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, 2, &pool, &err), &err));
	CHECK(test_ok(llm_scheduler_create(model, pool, &cached, &llm_malloc_allocator, &with, &err), &err));
	CHECK(test_ok(llm_scheduler_create(model, pool, &plain, &llm_malloc_allocator, &without, &err), &err));
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
	{
		float		a[MIXED_N_VOCAB];
		float		b[MIXED_N_VOCAB];
		uint32_t	n_cached;
		uint32_t	none;

		logits_after(with, prompts[steps[i].prompt], steps[i].n, a, &n_cached);
		logits_after(without, prompts[steps[i].prompt], steps[i].n, b, &none);
		CHECK_MSG(memcmp(a, b, sizeof(a)) == 0, "step %zu", i);
		CHECK_MSG(n_cached == steps[i].n_cached && none == 0, "step %zu: %u cached, not %u", i, n_cached, steps[i].n_cached);
	}
	llm_scheduler_free(with);
	llm_scheduler_free(without);
	llm_pool_free(pool);
}

/* the order of tokens, and each of them, matters to the last logits: a state is really carried from batch to batch */
static void
test_state_matters(const LlmModel *model)
{
	LlmSchedulerOptions options = {.batch_tokens = 16};
	LlmScheduler *s;
	LlmPool    *pool;
	LlmError	err;
	float		a[MIXED_N_VOCAB];
	float		b[MIXED_N_VOCAB];
	uint32_t	n_cached;
	int32_t		tokens[40];

	CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, 1, &pool, &err), &err));
	CHECK(test_ok(llm_scheduler_create(model, pool, &options, &llm_malloc_allocator, &s, &err), &err));
	memcpy(tokens, prompts[0], sizeof(tokens));
	logits_after(s, tokens, 40, a, &n_cached);
	tokens[38] = 200;
	logits_after(s, tokens, 40, b, &n_cached);
	CHECK(memcmp(a, b, sizeof(a)) != 0);
	llm_scheduler_free(s);
	llm_pool_free(pool);
}

/* allocated memory stays below the limit at each step, with stored prompts too; too low a limit is an error */
static void
test_memory_limit(const LlmModel *model)
{
	const size_t state_bytes = model->hp.recurrent.state_floats * model->hp.n_layer_recurrent * sizeof(float);
	LlmSchedulerOptions options = {.batch_tokens = 64, .prefix_cache_bytes = 1 << 26};
	LlmScheduler *s;
	LlmPool    *pool;
	LlmError	err;
	LlmRequest *r;
	LlmSchedulerStats stats;
	bool		more = true;

	CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, 1, &pool, &err), &err));
	options.memory_limit_bytes = llm_pass_bytes(model, 64, 1) + state_bytes;
	CHECK(llm_scheduler_create(model, pool, &options, &llm_malloc_allocator, &s, &err) == LLM_E_LIMIT);
	options.memory_limit_bytes += 12 * state_bytes + (1 << 18);
	CHECK(test_ok(llm_scheduler_create(model, pool, &options, &llm_malloc_allocator, &s, &err), &err));
	for (int i = 0; i < 10; i++)
	{
		const Work	work = {i % 2 ? WORK_SCORE : WORK_GREEDY, 30 + i, 20};

		CHECK(test_ok(workload_add(s, &work, i, &r, &err), &err));
	}
	while (more)
	{
		CHECK(test_ok(llm_scheduler_step(s, NULL, &more, &err), &err));
		llm_scheduler_stats(s, &stats);
		CHECK_MSG(stats.memory_bytes <= options.memory_limit_bytes, "%zu of %zu bytes", stats.memory_bytes, options.memory_limit_bytes);
	}
	CHECK(llm_request_finish(r) == LLM_FINISH_STOP);
	llm_scheduler_free(s);
	llm_pool_free(pool);
}

/* opening a model of that kind fails, with a message that names the matter */
static void
check_refused(const HybridKind *kind, LlmStatus want, const char *word)
{
	const LlmModelOptions options = {.kv_type = LLM_KV_F16};
	const LlmAllocator *a = &llm_malloc_allocator;
	char		path[64];
	int			fd = hybrid_model_file(kind, path);
	const uint8_t *base;
	size_t		size;
	LlmSource	source;
	LlmModel   *model;
	LlmError	err;
	LlmStatus	status;

	CHECK(test_ok(llm_source_open(path, a, NULL, &source, &err), &err));
	CHECK(test_ok(llm_pack_to_memory(&source, a, NULL, &base, &size, &err), &err));
	llm_source_close(&source);
	status = llm_model_open(base, size, &options, llmk_select("generic", 0), a, &model, &err);
	CHECK_MSG(status == want && strstr(err.message, word), "status %d: %s", (int) status, err.message);
	if (status == LLM_OK)
		llm_model_close(model);
	llm_memory_pack_free(base, size);
	close(fd);
}

/* each size wrong in turn, and layers that cannot be */
static void
test_refusals(void)
{
	static const struct
	{
		int			kind;
		const char *key;
		uint32_t	value;
		const char *word;
	}			spoiled[] = {
		{0, "ssm.conv_kernel", 1, "ssm.conv_kernel"}, {0, "ssm.conv_kernel", 5, "ssm_conv1d"}, {0, "ssm.inner_size", 0, "ssm.inner_size"},
		{0, "ssm.inner_size", 162, "state space"}, {0, "ssm.state_size", 1u << 30, "ssm.state_size"}, {0, "ssm.state_size", 25, "ssm_in"},
		{0, "ssm.time_step_rank", 0, "time_step_rank"}, {0, "ssm.group_count", 3, "groups"}, {1, "ssm.group_count", 4, "ssm_in"},
		{0, "moe_latent_size", 64, "ffn_up_exps"}, {0, "moe_latent_size", 0, "ffn_up_exps"}, {0, "attention.head_count", 0, "heads"},
		{2, "shortconv.l_cache", 1, "shortconv.l_cache"}, {2, "shortconv.l_cache", 4, "shortconv.conv"},
		{2, "attention.head_count", 3, "heads"},
		{6, "ssm.time_step_rank", 0, "time_step_rank"}, {6, "ssm.time_step_rank", 5, "ssm_x"}, {6, "ssm.state_size", 25, "ssm_x"},
		{6, "ssm.inner_size", 128, "ssm_in"}, {7, "ssm.time_step_rank", 1u << 30, "time_step_rank"}, {8, "ssm.group_count", 3, "groups"},
		{8, "attention.head_count", 3, "heads"},
		{3, "full_attention_interval", 0, "full_attention_interval"}, {3, "full_attention_interval", 3, "attn_qkv"},
		{3, "ssm.group_count", 3, "groups"}, {3, "attention.value_length", 16, "gate"}, {4, "ssm.state_size", 25, "attn_qkv"}, {2, "block_count", 4, "elements"},
	};
	HybridKind	kind;

	for (size_t i = 0; i < sizeof(spoiled) / sizeof(spoiled[0]); i++)
	{
		kind = hybrid_kinds[spoiled[i].kind];
		kind.spoiled = spoiled[i].key;
		kind.spoiled_value = spoiled[i].value;
		check_refused(&kind, LLM_E_FORMAT, spoiled[i].word);
	}
	kind = hybrid_kinds[0];
	kind.n_ff[2] = 96;			/* attention and feed-forward in one layer */
	check_refused(&kind, LLM_E_FORMAT, "layer 2");
	kind = hybrid_kinds[2];
	kind.n_ff[1] = 0;
	check_refused(&kind, LLM_E_FORMAT, "layer 1");
	kind = hybrid_kinds[2];
	kind.n_kv[0] = 3;
	check_refused(&kind, LLM_E_FORMAT, "cannot be shared");
	kind = hybrid_kinds[2];
	kind.n_kv[0] = -1;
	check_refused(&kind, LLM_E_FORMAT, "head_count_kv");
}

/* of every row with recurrent layers, one with that kind of layer has a case here */
static void
test_all_rows_covered(void)
{
	for (int i = 0; i < llm_arch_count(); i++)
	{
		LlmMixer	mixer = llm_arch_get(i)->recurrent;
		int			n = mixer == LLM_MIXER_ATTENTION;

		for (int k = 0; k < N_HYBRID_KINDS; k++)
		{
			const char *name = hybrid_kinds[k].arch;

			n += llm_arch_find((LlmStr) {name, strlen(name)})->recurrent == mixer;
		}
		CHECK_MSG(n > 0, "architecture %s is not tested", llm_arch_get(i)->name);
	}
}

int
main(void)
{
	workload_make_prompts(MIXED_N_VOCAB);
	list_tested_levels();
	test_all_rows_covered();
	test_refusals();
	for (int i = 0; i < N_HYBRID_KINDS; i++)
	{
		LlmModelOptions options = {.kv_type = LLM_KV_F16};
		Workload	first = {.n = 0};
		TestModel	other;
		TestModel	t;

		printf("%s\n", hybrid_kinds[i].arch);
		for (int level = 0; level < n_tested_levels; level++)
		{
			t = hybrid_model_open(&hybrid_kinds[i], &options, &tested_levels[level]);
			test_level(t.model, &first);
			test_model_close(&t);
		}
		t = hybrid_model_open(&hybrid_kinds[i], &options, llmk_select(NULL, llmk_cpu_features()));
		test_prefix_cache(t.model);
		test_state_matters(t.model);
		test_memory_limit(t.model);
		test_all_ways(t.model, true);
		other = hybrid_model_open(&hybrid_kinds[(i + 1) % N_HYBRID_KINDS], &options, t.model->kernels);
		test_draft_ways(hybrid_kinds[i].arch, t.model, other.model);
		test_model_close(&other);
		test_model_close(&t);
	}
	CHECK_DONE();
}
