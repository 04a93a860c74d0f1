/*
 * hf_adapter_test.c: PEFT folders as adapters: one against transformers and peft, the tensors that they become, and what is refused.
 */
#include "weights/hf/hf_adapter.h"
#include "fail_alloc.h"
#include "hf_writer.h"
#include "test_model.h"

#include <json-c/json.h>
#include <math.h>

#define DATA "sql-tests/data/hf/"
#define TOLERANCE 1e-4			/* the logits are up to 9; written by src/test/references/peft_folders.py */

#define CONFIG "\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 6, \"bias\": \"none\", \"fan_in_fan_out\": false, \"modules_to_save\": null"
#define Q "base_model.model.model.layers.0.self_attn.q_proj"
#define Q_TENSOR "blk.0.attn_q.weight"

/* ---- against transformers ---- */

static void
check_case(LlmScheduler *scheduler, struct json_object *c)
{
	struct json_object *ids = json_object_object_get(c, "token_ids");
	struct json_object *logits = json_object_object_get(c, "logits");
	const size_t n = json_object_array_length(ids);
	int32_t		tokens[64];
	LlmRequest *request;
	LlmError	err;
	double		worst = 0;

	for (size_t i = 0; i < n && i < 64; i++)
		tokens[i] = json_object_get_int(json_object_array_get_idx(ids, i));
	CHECK(test_ok(llm_request_logits(scheduler, tokens, n, &request, &err), &err));
	CHECK(llm_scheduler_run(scheduler, NULL, &err) == LLM_OK && llm_request_finish(request) == LLM_FINISH_STOP);
	for (size_t i = 0; i < json_object_array_length(logits); i++)
	{
		double		d = fabs(llm_request_logits_result(request)[i] - json_object_get_double(json_object_array_get_idx(logits, i)));

		worst = check_larger(worst, d);
	}
	printf("%zu tokens: logits differ by up to %.1e\n", n, worst);
	CHECK_MSG(worst <= TOLERANCE, "%zu tokens: logits differ by %g", n, worst);
	llm_request_free(request);
}

/* all matrices and the embeddings; ranks, scales and types of their own */
static void
test_reference(void)
{
	struct json_object *reference = json_object_from_file(DATA "llama-lora/reference.json");
	struct json_object *cases = json_object_object_get(reference, "cases");
	LlmAdapterPack adapter = {.scale = 1};
	LlmModelOptions options = {.kv_type = LLM_KV_F32, .adapters = &adapter, .n_adapters = 1};
	LlmSchedulerOptions scheduler_options = {.batch_tokens = 0};
	LlmScheduler *scheduler;
	LlmPool    *pool;
	TestModel	t;
	LlmError	err;

	test_pack(DATA "llama-lora", &adapter.base, &adapter.size);
	t = test_model_open(DATA "llama-biases", &options, llmk_select(NULL, llmk_cpu_features()));
	CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, 2, &pool, &err), &err));
	CHECK(test_ok(llm_scheduler_create(t.model, pool, &scheduler_options, &llm_malloc_allocator, &scheduler, &err), &err));
	CHECK(json_object_array_length(cases) == 3);
	for (size_t i = 0; i < json_object_array_length(cases); i++)
		check_case(scheduler, json_object_array_get_idx(cases, i));
	llm_scheduler_free(scheduler);
	llm_pool_free(pool);
	test_model_close(&t);
	llm_memory_pack_free(adapter.base, adapter.size);
	json_object_put(reference);
}

/* each allocation failing in turn leaves nothing behind */
static void
test_memory(void)
{
	for (long k = 0;; k++)
	{
		FailAlloc	fa;
		LlmSource	source;
		LlmError	err;
		LlmStatus	status;

		fail_alloc_init(&fa, k);
		status = llm_source_open(DATA "llama-lora", &fa.allocator, NULL, &source, &err);
		if (status == LLM_OK)
			llm_source_close(&source);
		CHECK_MSG(fa.n_alive == 0, "allocation %ld: %ld left", k, fa.n_alive);
		CHECK(status == (fa.refused ? LLM_E_NOMEM : LLM_OK));
		if (!fa.refused)
			break;
	}
}

/* ---- what becomes of tensors ---- */

static void
write_folder(const char *config, HfHeader *h)
{
	hf_write_text("adapter_config.json", config);
	hf_finish(h, "adapter_model.safetensors");
}

static void
add_pair(HfHeader *h, const char *module, int rank, int n_in, int n_out)
{
	char		name[200];

	snprintf(name, sizeof(name), "%s.lora_A.weight", module);
	hf_add(h, name, "F32", 4, rank, n_in);
	snprintf(name, sizeof(name), "%s.lora_B.weight", module);
	hf_add(h, name, "F32", 4, n_out, rank);
}

static void
check_tensor(const LlmSource *source, const char *name, int64_t n_cols, int64_t n_rows, int64_t depth, const float *want, double times)
{
	const LlmTensor *t = llm_source_find(source, name);
	float		got[256];
	const int64_t n = n_cols * n_rows * depth;
	LlmError	err;

	CHECK_MSG(t != NULL, "%s", name);
	if (!t)
		return;
	CHECK_MSG(t->dim[0] == n_cols && t->dim[1] == n_rows && t->dim[2] == depth && t->type == LLM_TYPE_F32, "%s: %d x %d x %d", name,
			  (int) t->dim[0], (int) t->dim[1], (int) t->dim[2]);
	CHECK(test_ok(llm_source_read(source, t, 0, n, got, NULL, &err), &err));
	for (int64_t i = 0; want && i < n; i++)
		CHECK_MSG(got[i] == (float) (want[i] * times), "%s: element %d is %g, not %g", name, (int) i, got[i], want[i] * times);
}

/* element i of the file's data */
static void
read_data(size_t n, float *out)
{
	char		path[128];
	uint64_t	len = 0;
	FILE	   *f;

	snprintf(path, sizeof(path), "%s/adapter_model.safetensors", hf_folder_path);
	f = fopen(path, "r");
	CHECK(f && fread(&len, 8, 1, f) == 1 && fseek(f, (long) len, SEEK_CUR) == 0 && fread(out, sizeof(float), n, f) == n);
	if (f)
		fclose(f);
}

/* experts one by one become a stack; A of an embedding is turned over; a pattern changes B */
static void
test_tensors(void)
{
	HfHeader	h = hf_header();
	float		data[256];
	float		stacked[32];
	float		columns[10];
	LlmSource	source;
	LlmError	err;

	hf_begin();
	add_pair(&h, "base_model.model.model.layers.3.mlp.experts.0.up_proj", 2, 4, 8);	/* 8 and 16 numbers */
	add_pair(&h, "base_model.model.model.layers.3.mlp.experts.1.up_proj", 2, 4, 8);
	hf_add(&h, "base_model.model.model.embed_tokens.lora_embedding_A", "F32", 4, 2, 5);
	hf_add(&h, "base_model.model.model.embed_tokens.lora_embedding_B", "F32", 4, 8, 2);
	add_pair(&h, Q, 2, 4, 8);
	write_folder("{" CONFIG ", \"alpha_pattern\": {\"0.self_attn.q_proj\": 3, \"q_proj\": 600, \"_proj\": 600}}", &h);
	CHECK(test_ok(llm_source_open(hf_folder_path, &llm_malloc_allocator, NULL, &source, &err), &err));
	read_data(98, data);
	for (int i = 0; i < 32; i++)
		stacked[i] = data[i < 16 ? 8 + i : 32 + i - 16];
	for (int i = 0; i < 10; i++)
		columns[i] = data[48 + i % 2 * 5 + i / 2];
	CHECK(source.n_tensors == 6);
	check_tensor(&source, "blk.3.ffn_up_exps.weight.lora_a", 4, 2, 2, NULL, 1);
	check_tensor(&source, "blk.3.ffn_up_exps.weight.lora_b", 2, 8, 2, stacked, 1);
	check_tensor(&source, "token_embd.weight.lora_a", 2, 5, 1, columns, 1);
	check_tensor(&source, "token_embd.weight.lora_b", 2, 8, 1, data + 58, 1);
	check_tensor(&source, Q_TENSOR ".lora_a", 4, 2, 1, data + 74, 1);
	check_tensor(&source, Q_TENSOR ".lora_b", 2, 8, 1, data + 82, 0.5);
	llm_source_close(&source);
	hf_end();
}

/* ---- what is refused ---- */

static void
expect(LlmStatus status, const char *says)
{
	LlmSource	source;
	LlmError	err = {0};
	LlmStatus	got = llm_source_open(hf_folder_path, &llm_malloc_allocator, NULL, &source, &err);

	CHECK_MSG(got == status && (!says || strstr(err.message, says) || strstr(err.detail, says)), "%s: status %d, %s | %s",
			  says ? says : "-", (int) got, err.message, err.detail);
	if (got == LLM_OK)
		llm_source_close(&source);
}

static void
test_configs(void)
{
	static const struct
	{
		const char *config;
		LlmStatus	status;
		const char *says;
	}			cases[] = {
		{"{" CONFIG "}", LLM_OK, NULL},
		{"{" CONFIG ", \"init_lora_weights\": true, \"target_modules\": [\"q_proj\"], \"use_dora\": false, \"megatron_core\": \"x\"}", LLM_OK, NULL},
		{"[]", LLM_E_FORMAT, "is not a JSON object"},
		{"{", LLM_E_FORMAT, "\"adapter_config.json\" is not JSON"},
		{"{\"lora_alpha\": 6}", LLM_E_FORMAT, "key \"r\" is missing in adapter_config.json"},
		{"{\"r\": 2}", LLM_E_FORMAT, "key \"lora_alpha\" is missing in adapter_config.json"},
		{"{\"r\": 3, \"lora_alpha\": 6}", LLM_E_FORMAT, "\"" Q ".lora_A.weight\" has an impossible shape"},
		{"{\"r\": 3, \"lora_alpha\": 6, \"rank_pattern\": {\"q_proj\": 2}}", LLM_OK, NULL},
		{"{\"r\": 2, \"lora_alpha\": 0}", LLM_E_UNSUPPORTED, "is 0, not above 0"},
		{"{\"r\": 2, \"lora_alpha\": \"6\"}", LLM_E_FORMAT, "\"lora_alpha\" of adapter_config.json is \"6\""},
		{"{" CONFIG ", \"peft_type\": \"IA3\"}", LLM_E_UNSUPPORTED, "\"peft_type\" = \"IA3\" of adapter_config.json"},
		{"{" CONFIG ", \"use_dora\": true}", LLM_E_UNSUPPORTED, "\"use_dora\" = true"},
		{"{" CONFIG ", \"bias\": \"all\"}", LLM_E_UNSUPPORTED, "\"bias\" = \"all\""},
		{"{" CONFIG ", \"fan_in_fan_out\": true}", LLM_E_UNSUPPORTED, "\"fan_in_fan_out\" = true"},
		{"{" CONFIG ", \"modules_to_save\": [\"lm_head\"]}", LLM_E_UNSUPPORTED, "\"modules_to_save\" ="},
		{"{" CONFIG ", \"lora_bias\": true}", LLM_E_UNSUPPORTED, "\"lora_bias\" = true"},
		{"{" CONFIG ", \"init_lora_weights\": \"pissa\"}", LLM_E_UNSUPPORTED, "\"init_lora_weights\" = \"pissa\""},
		{"{" CONFIG ", \"layer_replication\": [[0, 2]]}", LLM_E_UNSUPPORTED, "\"layer_replication\" ="},
		{"{" CONFIG ", \"alpha_pattern\": {\".*q_proj\": 6}}", LLM_E_UNSUPPORTED, "\"alpha_pattern\" ="},
		{"{" CONFIG ", \"alpha_pattern\": {\"q_proj\": \"6\"}}", LLM_E_UNSUPPORTED, "\"alpha_pattern\" ="},
		{"{" CONFIG ", \"alpha_pattern\": {\"q_proj\": -6}}", LLM_E_UNSUPPORTED, "is -6, not above 0"},
		{"{" CONFIG ", \"something_new\": 7}", LLM_E_UNSUPPORTED, "\"something_new\" = 7"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		HfHeader	h = hf_header();

		hf_begin();
		add_pair(&h, Q, 2, 8, 8);
		write_folder(cases[i].config, &h);
		expect(cases[i].status, cases[i].says);
		hf_end();
	}
}

static void
test_names(void)
{
	static const struct
	{
		const char *name;
		int			b;
		LlmStatus	status;
		const char *says;
	}			cases[] = {
		{Q ".lora_A.weight", 8, LLM_OK, NULL},
		{Q ".lora_A.weight", 0, LLM_E_FORMAT, "impossible shape"},
		{Q ".lora_A.default.weight", 8, LLM_E_UNSUPPORTED, "\"" Q ".lora_A.default.weight\" belongs to no module"},
		{Q ".lora_magnitude_vector", 0, LLM_E_UNSUPPORTED, "lora_magnitude_vector\" belongs to no module"},
		{"base_model.model.lora_A.weight", 8, LLM_E_UNSUPPORTED, "belongs to no module"},
		{"base_model.model.lm_head.weight", 8, LLM_E_UNSUPPORTED, "belongs to no module"},
		{"base_model.model.model.layers.0.self_attn.z_proj.lora_A.weight", 8, LLM_E_UNSUPPORTED, "z_proj.lora_A.weight\" belongs to no module"},
		{"base_model.model.model.layers.0.mlp.experts.lora_A.weight", 8, LLM_E_UNSUPPORTED, "experts.lora_A.weight\" belongs to no module"},
		{"model.layers.0.self_attn.q_proj.lora_A.weight", 8, LLM_E_UNSUPPORTED, "belongs to no module"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		HfHeader	h = hf_header();

		hf_begin();
		hf_add(&h, cases[i].name, "F32", 4, 2, cases[i].b);
		write_folder("{" CONFIG "}", &h);
		expect(cases[i].status, cases[i].says);
		hf_end();
	}
}

/* files of weights that are missing; beside those of a model, an adapter's configuration is not looked at */
static void
test_files(void)
{
	HfHeader	h = hf_llama(NULL);

	hf_begin();
	hf_write_text("adapter_config.json", "{" CONFIG "}");
	expect(LLM_E_ARGUMENT, "has no file \"adapter_model.safetensors\"");
	hf_write_text("config.json", "{" HF_CONFIG "}");
	hf_finish(&h, "model.safetensors");
	expect(LLM_OK, NULL);
	hf_end();
}

/* with the smallest llama (width 8, two heads) */
static void
check_model(const char *config, HfHeader *adapter_header, LlmStatus want, const char *says)
{
	HfHeader	h = hf_llama(NULL);
	LlmAdapterPack adapter = {.scale = 1};
	LlmModelOptions options = {.adapters = &adapter, .n_adapters = 1};
	const uint8_t *base;
	size_t		size;
	LlmModel   *m = NULL;
	LlmError	err = {0};
	LlmStatus	status;

	hf_begin();
	write_folder("{" CONFIG "}", adapter_header);
	test_pack(hf_folder_path, &adapter.base, &adapter.size);
	hf_end();
	hf_begin();
	hf_write_text("config.json", config);
	hf_finish(&h, "model.safetensors");
	test_pack(hf_folder_path, &base, &size);
	hf_end();
	status = llm_model_open(base, size, &options, llmk_level(0), &llm_malloc_allocator, &m, &err);
	CHECK_MSG(status == want && (!says || strstr(err.message, says)), "status %d, %s", (int) status, err.message);
	llm_model_close(m);
	llm_memory_pack_free(base, size);
	llm_memory_pack_free(adapter.base, adapter.size);
}

static void
test_models(void)
{
	static const char llama[] = "{" HF_CONFIG "}";
	HfHeader	h = hf_header();

	add_pair(&h, Q, 2, 8, 8);
	check_model(llama, &h, LLM_OK, NULL);
	h = hf_header();
	add_pair(&h, Q, 2, 8, 16);
	check_model(llama, &h, LLM_E_FORMAT, "\"" Q_TENSOR ".lora_a\" and \"" Q_TENSOR ".lora_b\" do not fit the model");
	h = hf_header();
	hf_add(&h, Q ".lora_A.weight", "F32", 4, 2, 8);
	check_model(llama, &h, LLM_E_FORMAT, "but not \"" Q_TENSOR ".lora_b\"");
	h = hf_header();
	add_pair(&h, "base_model.model.model.layers.1.self_attn.q_proj", 2, 8, 8);
	check_model(llama, &h, LLM_E_UNSUPPORTED, "\"blk.1.attn_q.weight.lora_a\" belongs to no product");
	h = hf_header();
	add_pair(&h, "base_model.model.model.layers.0.mixer.in_proj", 2, 8, 8);
	check_model(llama, &h, LLM_E_UNSUPPORTED, "\"blk.0.ssm_in.weight.lora_a\" belongs to no product");
}

/* classes whose matrices are not those of the folder, or whose heads lie otherwise than in Llama's */
static void
test_fits(void)
{
	bool		turn;

	CHECK(!llm_hf_adapter_fits("falcon-h1", &turn));
	CHECK(!llm_hf_adapter_fits("gemma3n", &turn));
	CHECK(llm_hf_adapter_fits("llama4", &turn) && !turn);
	CHECK(llm_hf_adapter_fits("llama", &turn) && turn);
}

int
main(void)
{
	test_fits();
	test_reference();
	test_memory();
	test_tensors();
	test_configs();
	test_names();
	test_files();
	test_models();
	CHECK_DONE();
}
