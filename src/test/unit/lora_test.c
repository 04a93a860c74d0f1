/*
 * lora_test.c: adapters. A model with an adapter gives the logits of the model whose weights have it added in; the same row
 * gives the same bytes in whatever way and at every level; what does not fit is refused by name.
 */
#include <math.h>

#include "tested_levels.h"
#include "tiny_model.h"
#include "ways.h"

#define RANK 5
#define SCALE 0.5
#define ALPHA 3.0
#define NAME_SIZE 96

typedef struct Case
{
	const char *what;
	bool		tied;
	NaiveModel	d;
	TinyKey		keys[8];
} Case;

#define SHAPE .n_layer = 2, .n_head_kv = 2, .n_rot = 16, .n_ff = 96, .rope_base = 10000, .norm_before = true
#define KEY(suffix_, value_) {.suffix = suffix_, .value = value_}

static const Case cases[] = {
	{.what = "llama", .d = {.arch = "llama", SHAPE}},
	{.what = "tied", .tied = true, .d = {.arch = "qwen3", SHAPE, .qk_norm = 1, .neox = true}},
	{.what = "biases", .tied = true, .d = {.arch = "qwen2", SHAPE, .biases = true, .neox = true}},
	{.what = "experts", .d = {.arch = "llama", SHAPE, .n_expert = 8, .n_used = 2, .router = 1, .renorm = true},
		.keys = {KEY("expert_count", 8), KEY("expert_used_count", 2)}},
	{.what = "shared expert", .d = {.arch = "qwen2moe", SHAPE, .neox = true, .n_expert = 6, .n_used = 3, .router = 1, .n_ff_shared = 160},
		.keys = {KEY("expert_count", 6), KEY("expert_used_count", 3), KEY("expert_shared_feed_forward_length", 160)}},
	{.what = "joined matrices", .d = {.arch = "phi3", .n_layer = 2, .n_head_kv = 2, .n_rot = 16, .n_ff = 100, .rope_base = 10000,
		.norm_before = true, .neox = true, .fused_qkv = true, .fused_gate = true}},
};

#define N_CASES ((int) (sizeof cases / sizeof *cases))

/* ---- an adapter of every matrix: its numbers are made from the names ---- */

static float
number_of(const char *name, const char *side, size_t i)
{
	uint32_t	h = 2166136261u;

	for (const char *p = name; *p; p++)
		h = (h ^ (uint8_t) *p) * 16777619u;
	h = (h ^ (uint8_t) side[5]) * 16777619u + (uint32_t) i * 2654435761u;
	h ^= h >> 15;
	h *= 2246822519u;
	h ^= h >> 13;
	return (float) (h >> 8) / 16777216.0f * 2 - 1;
}

static double
size_of(const char *name, int n_cols)
{
	return strcmp(name, "token_embd.weight") == 0 ? 1 : 2 / sqrt(n_cols);
}

/* not those whose adapters are nowhere used */
static bool
is_adapted(const char *name, int n_rows)
{
	return n_rows > 0 && strstr(name, ".weight") && !strstr(name, "norm");
}

/* add the adapter to a tensor of the model */
static void
merge(const char *name, float *data, int n_cols, int n_rows, int n_stack)
{
	const bool	embedding = strcmp(name, "token_embd.weight") == 0;
	const double scale = SCALE * ALPHA / RANK;
	const int	depth = n_stack ? n_stack : 1;

	if (!is_adapted(name, n_rows))
		return;
	for (int s = 0; s < depth; s++)
		for (int r = 0; r < n_rows; r++)
			for (int c = 0; c < n_cols; c++)
			{
				double		sum = 0;

				for (int k = 0; k < RANK; k++)
				{
					size_t		a = embedding ? (size_t) r * RANK + (size_t) k : ((size_t) s * RANK + (size_t) k) * (size_t) n_cols + (size_t) c;
					size_t		b = embedding ? (size_t) c * RANK + (size_t) k : ((size_t) s * (size_t) n_rows + (size_t) r) * RANK + (size_t) k;

					sum += (double) (float) (number_of(name, "lora_a", a) * size_of(name, n_cols)) * (double) number_of(name, "lora_b", b);
				}
				data[((size_t) s * (size_t) n_rows + (size_t) r) * (size_t) n_cols + (size_t) c] += (float) (scale * sum);
			}
}

static GgufWriter adapter_file;

static void
put_side(const char *name, const char *side, int n_cols, int n_rows, int depth, double size)
{
	char		full[NAME_SIZE + 16];
	uint64_t	dims[3] = {(uint64_t) n_cols, (uint64_t) n_rows, (uint64_t) depth};
	size_t		n = (size_t) n_cols * (size_t) n_rows * (size_t) depth;
	float	   *data = gw_grow(NULL, n * sizeof(float));

	for (size_t i = 0; i < n; i++)
		data[i] = (float) (number_of(name, side, i) * size);
	snprintf(full, sizeof full, "%s.%s", name, side);
	gw_tensor(&adapter_file, full, LLM_TYPE_F32, depth > 1 ? 3 : 2, dims, data, n * sizeof(float));
	free(data);
}

/* the same tensor's pair, into adapter_file */
static void
put_pair(const char *name, float *data, int n_cols, int n_rows, int n_stack)
{
	const bool	embedding = strcmp(name, "token_embd.weight") == 0;
	const int	depth = n_stack ? n_stack : 1;

	(void) data;
	if (!is_adapted(name, n_rows))
		return;
	put_side(name, "lora_a", embedding ? RANK : n_cols, embedding ? n_rows : RANK, depth, size_of(name, n_cols));
	put_side(name, "lora_b", RANK, embedding ? n_cols : n_rows, depth, 1);
}

static void
begin_adapter(const char *type, const char *kind, const char *arch)
{
	gw_init(&adapter_file);
	gw_string(&adapter_file, "general.type", type);
	gw_string(&adapter_file, "general.architecture", arch);
	gw_string(&adapter_file, "adapter.type", kind);
	gw_f32(&adapter_file, "adapter.lora.alpha", (float) ALPHA);
}

static void
pack_file(GgufWriter *w, const uint8_t **base, size_t *size)
{
	char		path[64];
	int			fd;

	gw_finish(w);
	fd = gw_memfd(w->file.data, w->file.len, path);
	test_pack(path, base, size);
	close(fd);
	gw_free(w);
}

static void
pack_model(const Case *c, void (*change) (const char *, float *, int, int, int), bool quantized, const uint8_t **base, size_t *size)
{
	NaiveModel	d = c->d;
	TinyMaker	k;

	d.change = change;
	d.quantized = quantized;
	tiny_make(&k, &d, c->keys, c->tied);
	pack_file(&k.w, base, size);
}

static void
pack_adapter(const Case *c, LlmAdapterPack *adapter)
{
	const uint8_t *unused;
	size_t		size;

	begin_adapter("adapter", "lora", c->d.arch);
	pack_model(c, put_pair, false, &unused, &size);
	llm_memory_pack_free(unused, size);
	pack_file(&adapter_file, &adapter->base, &adapter->size);
	adapter->scale = SCALE;
}

/* ---- */

static void
logits_of(const uint8_t *base, size_t size, const LlmAdapterPack *adapter, float *out)
{
	LlmModelOptions options = {.kv_type = LLM_KV_F32, .adapters = adapter, .n_adapters = adapter ? 1 : 0};
	LlmSchedulerOptions scheduler_options = {.batch_tokens = 24};
	LlmModel   *m;
	LlmPool    *pool;
	LlmScheduler *s;
	LlmRequest *request;
	LlmError	err;

	CHECK(test_ok(llm_model_open(base, size, &options, llmk_select(NULL, llmk_cpu_features()), &llm_malloc_allocator, &m, &err), &err));
	CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, 2, &pool, &err), &err));
	CHECK(test_ok(llm_scheduler_create(m, pool, &scheduler_options, &llm_malloc_allocator, &s, &err), &err));
	CHECK(test_ok(llm_request_logits(s, workload_prompt[0], 40, &request, &err), &err));
	CHECK(run_to_end(s, NULL));
	memcpy(out, llm_request_logits_result(request), TINY_VOCAB * sizeof(float));
	llm_scheduler_free(s);
	llm_pool_free(pool);
	llm_model_close(m);
}

static void
test_against_merged(const Case *c)
{
	static float merged[TINY_VOCAB];
	static float beside[TINY_VOCAB];
	static float without[TINY_VOCAB];
	LlmAdapterPack adapter;
	const uint8_t *base;
	size_t		size;
	double		worst = 0;
	double		changed = 0;
	double		largest = 0;

	pack_adapter(c, &adapter);
	pack_model(c, merge, false, &base, &size);
	/* of a tied model, the output was merged too, which adapters do not do */
	if (!c->tied)
		logits_of(base, size, NULL, merged);
	llm_memory_pack_free(base, size);
	pack_model(c, NULL, false, &base, &size);
	logits_of(base, size, &adapter, beside);
	logits_of(base, size, NULL, without);
	llm_memory_pack_free(base, size);
	llm_memory_pack_free(adapter.base, adapter.size);
	for (int i = 0; i < TINY_VOCAB; i++)
	{
		worst = check_larger(worst, c->tied ? 0 : fabs((double) merged[i] - (double) beside[i]));
		changed = fmax(changed, fabs((double) without[i] - (double) beside[i]));
		largest = fmax(largest, fabs((double) beside[i]));
	}
	printf("%s: logits up to %.1f, changed by up to %.1f, largest difference from merged weights %.1e\n", c->what, largest, changed, worst);
	CHECK_MSG(worst <= 1e-4 * largest && changed > 0.5, "%s: differs by %g, changed by %g", c->what, worst, changed);
}

/* quantized weights with an adapter: equal bytes in all ways and at all levels */
static void
test_ways(const Case *c)
{
	static const Work work[] = {{WORK_GREEDY, 5, 4}, {WORK_LOGITS, 64, 0}, {WORK_SCORE, 63, 0}, {WORK_SAMPLED, 90, 5}};
	static const Way ways[] = {
		{1, 512, 0, false, false, false}, {2, 7, 3, true, true, true}, {2, 1, 0, false, true, false}, {3, 64, 0, false, true, true},
	};
	Workload	want = {.work = work, .n = 4};
	LlmAdapterPack adapter;
	LlmModelOptions options = {.kv_type = LLM_KV_F16, .adapters = &adapter, .n_adapters = 1};
	const uint8_t *base;
	size_t		size;

	pack_adapter(c, &adapter);
	pack_model(c, NULL, true, &base, &size);
	for (int level = 0; level < n_tested_levels; level++)
	{
		LlmModel   *m;
		LlmError	err;

		CHECK(test_ok(llm_model_open(base, size, &options, &tested_levels[level], &llm_malloc_allocator, &m, &err), &err));
		for (size_t i = 0; i < (level == 1 ? sizeof ways / sizeof *ways : 1); i++)
		{
			Workload	got = {.work = work, .n = 4};

			run_way(m, &ways[i], NULL, &got);
			if (level == 0)
				want = got;
			check_equal(&want, &got, c->what, level * 10 + (long) i);
		}
		llm_model_close(m);
	}
	llm_memory_pack_free(base, size);
	llm_memory_pack_free(adapter.base, adapter.size);
}

/* ---- what is refused ---- */

static void
check_refused(LlmStatus want, const char *says)
{
	LlmAdapterPack adapter = {.scale = 1};
	LlmModelOptions options = {.adapters = &adapter, .n_adapters = 1};
	const uint8_t *base;
	size_t		size;
	LlmModel   *m = NULL;
	LlmError	err;
	LlmStatus	status;

	pack_file(&adapter_file, &adapter.base, &adapter.size);
	pack_model(&cases[0], NULL, false, &base, &size);
	status = llm_model_open(base, size, &options, llmk_level(0), &llm_malloc_allocator, &m, &err);
	CHECK_MSG(status == want && strstr(err.message, says), "%s: status %d, %s", says, (int) status, status ? err.message : "");
	llm_model_close(m);
	llm_memory_pack_free(base, size);
	llm_memory_pack_free(adapter.base, adapter.size);
}

static void
test_refused(void)
{
	static const char q[] = "blk.0.attn_q.weight";

	begin_adapter("model", "lora", "llama");
	check_refused(LLM_E_UNSUPPORTED, "\"general.type\" = \"model\"");
	begin_adapter("adapter", "control", "llama");
	check_refused(LLM_E_UNSUPPORTED, "\"adapter.type\" = \"control\"");
	begin_adapter("adapter", "lora", "qwen2");
	check_refused(LLM_E_UNSUPPORTED, "\"general.architecture\" = \"qwen2\"");
	begin_adapter("adapter", "lora", "llama");
	put_side(q, "lora_a", NAIVE_EMBD, RANK, 1, 1);
	check_refused(LLM_E_FORMAT, "but not \"blk.0.attn_q.weight.lora_b\"");
	begin_adapter("adapter", "lora", "llama");
	put_side(q, "lora_a", NAIVE_EMBD, RANK + 1, 1, 1);
	put_side(q, "lora_b", RANK, NAIVE_HEAD * NAIVE_HEAD_DIM, 1, 1);
	check_refused(LLM_E_FORMAT, "blk.0.attn_q.weight.lora_a");
	begin_adapter("adapter", "lora", "llama");
	put_side(q, "lora_a", NAIVE_EMBD, RANK, 1, 1);
	put_side(q, "lora_b", RANK, NAIVE_HEAD * NAIVE_HEAD_DIM + 8, 1, 1);
	check_refused(LLM_E_FORMAT, "do not fit the model");
	begin_adapter("adapter", "lora", "llama");
	put_pair("blk.7.attn_q.weight", NULL, NAIVE_EMBD, 8, 0);
	check_refused(LLM_E_UNSUPPORTED, "\"blk.7.attn_q.weight.lora_a\" belongs to no product");
	begin_adapter("adapter", "lora", "llama");
	put_pair("blk.0.attn_norm.weight", NULL, NAIVE_EMBD, 8, 0);
	put_side("blk.0.attn_norm.weight", "lora_c", 8, 8, 1, 1);
	check_refused(LLM_E_UNSUPPORTED, "blk.0.attn_norm.weight");
	begin_adapter("adapter", "lora", "llama");
	put_side("output.weight", "extra", 8, 8, 1, 1);
	check_refused(LLM_E_UNSUPPORTED, "output.weight.extra");
}

int
main(void)
{
	workload_make_prompts(TINY_VOCAB);
	list_tested_levels();
	for (int i = 0; i < N_CASES; i++)
	{
		test_against_merged(&cases[i]);
		if (strcmp(cases[i].what, "joined matrices") != 0)	/* quantized ones cannot be parted there */
			test_ways(&cases[i]);
	}
	test_refused();
	CHECK_DONE();
}
