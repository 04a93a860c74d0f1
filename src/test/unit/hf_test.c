/*
 * hf_test.c: Hugging Face folders: small models against transformers, every way of reading a tensor, and damaged folders.
 */
#include "fail_alloc.h"
#include "hf_reference.h"
#include "hf_writer.h"

#define DATA "sql-tests/data/hf/"

static const char *const models[] = {"llama-biases", "gemma3-few", "deepseek_v3", "gpt-oss-small", "nemotron_h_latent", "qwen3next", "qwen3_5"};

#define N_MODELS (sizeof(models) / sizeof(models[0]))

/* ---- against transformers ---- */

static void
test_reference(const char *name)
{
	char		path[256];
	struct json_object *reference;

	snprintf(path, sizeof(path), DATA "%s/reference.json", name);
	reference = hf_read_json(path);
	CHECK(json_object_array_length(json_object_object_get(reference, "cases")) == 3);
	snprintf(path, sizeof(path), DATA "%s", name);
	hf_check_reference(path, name, reference);
	json_object_put(reference);
}

/* ---- reading ---- */

/* whatever the pieces, the bytes are those of the whole */
static void
check_pieces(const LlmSource *source, const LlmTensor *t)
{
	const LlmTypeInfo *info = llmk_type_info(t->type);
	const int64_t unit = t->n_dims == 1 ? info->block_len : t->dim[0];
	const size_t unit_bytes = (size_t) (unit / info->block_len) * (size_t) info->block_bytes;
	uint8_t    *whole = malloc(t->n_bytes);
	uint8_t    *pieces = malloc(t->n_bytes);
	int64_t		n = 1;
	LlmError	err;

	for (int i = 0; i < LLM_MAX_DIMS; i++)
		n *= t->dim[i];
	CHECK(t->n_bytes == (uint64_t) (n / unit) * unit_bytes);
	CHECK(llm_source_read(source, t, 0, n, whole, NULL, &err) == LLM_OK);
	for (int64_t step = 1; step <= 5; step += 2)
	{
		memset(pieces, 0xEE, t->n_bytes);
		for (int64_t at = 0; at < n / unit; at += step)
		{
			int64_t		count = n / unit - at < step ? n / unit - at : step;

			CHECK(llm_source_read(source, t, at * unit, count * unit, pieces + (size_t) at * unit_bytes, NULL, &err) == LLM_OK);
		}
		CHECK_MSG(memcmp(whole, pieces, t->n_bytes) == 0, "%.*s in pieces of %lld", (int) t->name.len, t->name.data, (long long) step);
	}
	free(whole);
	free(pieces);
}

static void
test_pieces(const char *name)
{
	char		path[256];
	LlmSource	source;
	LlmError	err;

	snprintf(path, sizeof(path), DATA "%s", name);
	CHECK(llm_source_open(path, &llm_malloc_allocator, NULL, &source, &err) == LLM_OK);
	for (uint64_t i = 0; i < source.n_tensors; i++)
	{
		char		text[128];

		snprintf(text, sizeof(text), "%.*s", (int) source.tensors[i].name.len, source.tensors[i].name.data);
		CHECK(llm_source_find(&source, text) == &source.tensors[i]);
		check_pieces(&source, &source.tensors[i]);
	}
	llm_source_close(&source);
}

/* each allocation failing in turn: an error, and nothing left */
static void
test_memory(const char *name)
{
	char		path[256];

	snprintf(path, sizeof(path), DATA "%s", name);
	for (long k = 0;; k++)
	{
		FailAlloc	fa;
		LlmSource	source;
		const uint8_t *base;
		size_t		size;
		LlmError	err;
		LlmStatus	status;

		fail_alloc_init(&fa, k);
		status = llm_source_open(path, &fa.allocator, NULL, &source, &err);
		if (status == LLM_OK)
		{
			status = llm_pack_to_memory(&source, &fa.allocator, NULL, &base, &size, &err);
			if (status == LLM_OK)
				llm_memory_pack_free(base, size);
			llm_source_close(&source);
		}
		CHECK_MSG(fa.n_alive == 0, "allocation %ld: %ld left", k, fa.n_alive);
		CHECK(status == (fa.refused ? LLM_E_NOMEM : LLM_OK));
		if (!fa.refused)
			break;
	}
}

static bool
always(void *opaque)
{
	(void) opaque;
	return true;
}

static void
test_list(void)
{
	static const char *const names[] = {"config.json", "generation_config.json", "model.safetensors.index.json",
	"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"};
	LlmStop		stop = {always, NULL};
	LlmSourceList list;
	LlmSource	source;
	LlmError	err;

	CHECK(llm_source_list(DATA "deepseek_v3", &llm_malloc_allocator, &list, &err) == LLM_OK && list.is_folder && list.n_files == 5);
	CHECK(llm_source_open(DATA "deepseek_v3", &llm_malloc_allocator, NULL, &source, &err) == LLM_OK && llm_source_n_files(&source) == 5);
	for (uint32_t i = 0; i < list.n_files; i++)
		CHECK(strcmp(list.names[i], names[i]) == 0 && strcmp(llm_source_file(&source, i)->path, list.paths[i]) == 0);
	CHECK(llm_source_check_unchanged(&source, &err) == LLM_OK);
	llm_source_close(&source);
	llm_source_list_free(&list);
	CHECK(llm_source_open(DATA "deepseek_v3", &llm_malloc_allocator, &stop, &source, &err) == LLM_PAUSED);
	CHECK(llm_source_list("/nowhere/at/all", &llm_malloc_allocator, &list, &err) == LLM_OK && !list.is_folder && list.n_files == 1);
	llm_source_list_free(&list);
}

/* ---- damaged folders ---- */

static void
expect(LlmStatus status, const char *says, const char *what)
{
	LlmSource	source;
	LlmError	err = {0};
	LlmStatus	got = llm_source_open(hf_folder_path, &llm_malloc_allocator, NULL, &source, &err);

	CHECK_MSG(got == status, "%s: status %d, %s | %s", what, (int) got, err.message, err.detail);
	CHECK_MSG(!says || strstr(err.message, says) || strstr(err.detail, says) || strstr(err.hint, says), "%s: %s | %s | %s", what,
			  err.message, err.detail, err.hint);
	if (got == LLM_OK)
		llm_source_close(&source);
}

#define ONE(dtype, shape, offsets) "{\"model.norm.weight\": {\"dtype\": \"" dtype "\", \"shape\": [" shape "], \"data_offsets\": [" offsets "]}}"

static void
test_headers(void)
{
	static const struct
	{
		const char *header;
		size_t		n_data;
		LlmStatus	status;
		const char *says;
	}			cases[] = {
		{ONE("F32", "8", "0, 32"), 32, LLM_OK, NULL},
		{"{}", 0, LLM_OK, NULL},
		{"{\"__metadata__\": {\"format\": \"pt\", \"x\": \"a\\\"b\"}}", 0, LLM_OK, NULL},
		{"{}", 4, LLM_E_FORMAT, "belongs to no tensor"},
		{"", 0, LLM_E_FORMAT, "'{' was expected"},
		{"[]", 0, LLM_E_FORMAT, "'{' was expected"},
		{"{} x", 0, LLM_E_FORMAT, "the end was expected"},
		{"{\"a", 0, LLM_E_FORMAT, "the end of a string"},
		{ONE("F32", "8", "0, 32") " \t\n", 32, LLM_OK, NULL},
		{ONE("F32", "8", "0, 36"), 36, LLM_E_FORMAT, "need 32"},
		{ONE("F32", "8", "0, 28"), 28, LLM_E_FORMAT, "need 32"},
		{ONE("F32", "8", "0, 32"), 28, LLM_E_FORMAT, "the data has 28 bytes"},
		{ONE("F32", "8", "32, 0"), 32, LLM_E_FORMAT, "data_offsets are 32 and 0"},
		{ONE("F32", "8", "4, 36"), 36, LLM_E_FORMAT, "begins at byte"},
		{ONE("F32", "8", "0, 18446744073709551615"), 32, LLM_E_FORMAT, "the data has 32 bytes"},
		{ONE("F32", "8", "0, 18446744073709551616"), 32, LLM_E_FORMAT, "a number below 2^64"},
		{ONE("F32", "8", "-4, 28"), 32, LLM_E_FORMAT, "a whole number"},
		{ONE("F32", "8", "0.5, 32"), 32, LLM_E_FORMAT, "',' was expected"},
		{ONE("F32", "0", "0, 0"), 0, LLM_E_FORMAT, "dimensions are 1 to"},
		{ONE("F32", "9223372036854775808", "0, 32"), 32, LLM_E_FORMAT, "dimensions are 1 to"},
		{ONE("F32", "4294967296, 4294967296", "0, 32"), 32, LLM_E_FORMAT, "more than"},
		{ONE("F32", "1, 1, 1, 1, 8", "0, 32"), 32, LLM_E_UNSUPPORTED, "5 dimensions, more than 4"},
		{ONE("F32", "1, 1, 1, 1, 1, 1, 1, 1, 8", "0, 32"), 32, LLM_E_UNSUPPORTED, "more than 8 dimensions"},
		{ONE("F4", "8", "0, 32"), 32, LLM_E_UNSUPPORTED, "unknown dtype \"F4\""},
		{ONE("U32", "8", "0, 32"), 32, LLM_E_UNSUPPORTED, "dtype U32"},
		{ONE("I8", "8", "0, 8"), 8, LLM_E_FORMAT, "quantized matrix \"model.norm\" has no tensor"},
		{ONE("F8_E4M3", "8", "0, 8"), 8, LLM_E_FORMAT, "quantized matrix \"model.norm\" has no tensor"},
		{ONE("F64", "8", "0, 64"), 64, LLM_OK, NULL},
		{"{\"model.norm.weight\": {\"dtype\": \"F32\", \"shape\": [8]}}", 0, LLM_E_FORMAT, "dtype, shape and data_offsets"},
		{"{\"model.norm.weight\": {\"dtype\": \"F32\", \"dtype\": \"F32\", \"shape\": [8], \"data_offsets\": [0, 32]}}", 32, LLM_E_FORMAT, "each once"},
		{"{\"model.norm.weight\": {\"dtype\": \"F32\", \"shape\": [8], \"data_offsets\": [0, 32], \"x\": 1}}", 32, LLM_E_FORMAT, "each once"},
		{"{\"model.norm.weight\": {\"dtype\": \"F32\", \"shape\": [8], \"data_offsets\": [0, 32]}, "
		"\"model.norm.weight\": {\"dtype\": \"F32\", \"shape\": [8], \"data_offsets\": [32, 64]}}", 64, LLM_E_FORMAT, "more than once"},
		{"{\"model.norm.weight\": {\"dtype\": \"F32\", \"shape\": [8], \"data_offsets\": [0, 32]}, "
		"\"lm_head.weight\": {\"dtype\": \"F32\", \"shape\": [8], \"data_offsets\": [16, 48]}}", 48, LLM_E_FORMAT, "begins at byte"},
		{"{\"a\\u0062\": {\"dtype\": \"F32\", \"shape\": [8], \"data_offsets\": [0, 32]}}", 32, LLM_E_FORMAT, "a plain string"},
		{"{\"__metadata__\": [[[[[[[[[[1]]]]]]]]]]}", 0, LLM_E_FORMAT, "nested"},
		{"{\"what.is.this\": {\"dtype\": \"F32\", \"shape\": [8], \"data_offsets\": [0, 32]}}", 32, LLM_E_UNSUPPORTED, "\"what.is.this\" is not known"},
		{"{\"model.layers.x.input_layernorm.weight\": {\"dtype\": \"F32\", \"shape\": [8], \"data_offsets\": [0, 32]}}", 32, LLM_E_UNSUPPORTED, "is not known"},
		{"{\"model.layers.0.self_attn.rotary_emb.inv_freq\": {\"dtype\": \"I64\", \"shape\": [4], \"data_offsets\": [0, 32]}}", 32, LLM_OK, NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		hf_begin();
		hf_write_text("config.json", "{" HF_CONFIG "}");
		hf_write_safetensors("model.safetensors", cases[i].header, cases[i].n_data);
		expect(cases[i].status, cases[i].says, cases[i].header);
		hf_end();
	}
}

/* the length that a header claims */
static void
test_lengths(void)
{
	static const struct
	{
		const char *bytes;
		size_t		len;
		LlmStatus	status;
		const char *says;
	}			cases[] = {
		{"", 0, LLM_E_FORMAT, "not a safetensors file"},
		{"\2\0\0", 3, LLM_E_FORMAT, "not a safetensors file"},
		{"\3\0\0\0\0\0\0\0{}", 10, LLM_E_FORMAT, "has 3 bytes by the first 8"},
		{"\377\377\377\377\377\377\377\377{}", 10, LLM_E_FORMAT, "18446744073709551615"},
		{"version https://git-lfs.github.com/spec/v1", 42, LLM_E_FORMAT, "git lfs pull"},
		{"\2\0\0\0\0\0\0\0{}", 10, LLM_OK, NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		hf_begin();
		hf_write_text("config.json", "{" HF_CONFIG "}");
		hf_write("model.safetensors", cases[i].bytes, cases[i].len);
		expect(cases[i].status, cases[i].says, "length");
		hf_end();
	}
}

static void
test_indexes(void)
{
	static const struct
	{
		const char *index;
		LlmStatus	status;
		const char *says;
	}			cases[] = {
		{"{\"metadata\": {\"total_size\": 32}, \"weight_map\": {\"model.norm.weight\": \"part.safetensors\"}}", LLM_OK, NULL},
		{"{\"weight_map\": {\"model.norm.weight\": \"../part.safetensors\"}}", LLM_E_FORMAT, "outside of it"},
		{"{\"weight_map\": {\"model.norm.weight\": \"/etc/passwd\"}}", LLM_E_FORMAT, "outside of it"},
		{"{\"weight_map\": {\"model.norm.weight\": \"a/part.safetensors\"}}", LLM_E_FORMAT, "outside of it"},
		{"{\"weight_map\": {\"model.norm.weight\": \"..\"}}", LLM_E_FORMAT, "outside of it"},
		{"{\"weight_map\": {\"model.norm.weight\": \"\"}}", LLM_E_FORMAT, "outside of it"},
		{"{\"weight_map\": {\"model.norm.weight\": \"gone.safetensors\"}}", LLM_E_IO, "fetch the missing file"},
		{"{\"weight_map\": {\"lm_head.weight\": \"part.safetensors\"}}", LLM_E_FORMAT, "where the index of the folder has it"},
		{"{\"weight_map\": {}}", LLM_E_FORMAT, "names tensors"},
		{"{\"metadata\": {}}", LLM_E_FORMAT, "names tensors"},
		{"{\"weight_map\": {\"model.norm.weight\": 7}}", LLM_E_FORMAT, "was expected"},
		{"{\"weight_map\": {\"model.norm.weight\": \"part.safetensors\"}, \"weight_map\": {}}", LLM_E_FORMAT, "only one weight_map"},
		{"[]", LLM_E_FORMAT, "'{' was expected"},
		{"", LLM_E_FORMAT, "'{' was expected"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		hf_begin();
		hf_write_text("config.json", "{" HF_CONFIG "}");
		hf_write_text("model.safetensors.index.json", cases[i].index);
		hf_write_safetensors("part.safetensors", ONE("F32", "8", "0, 32"), 32);
		expect(cases[i].status, cases[i].says, cases[i].index);
		hf_end();
	}
	hf_begin();
	expect(LLM_E_ARGUMENT, "no file \"config.json\"", "empty folder");
	hf_write_text("config.json", "{" HF_CONFIG "}");
	expect(LLM_E_ARGUMENT, "no file \"model.safetensors\"", "no weights");
	hf_end();
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
		{HF_CONFIG, LLM_OK, NULL},
		{HF_CONFIG ", \"transformers_version\": \"5.0\", \"a_new_key\": null, \"b\": false, \"c\": [], \"d\": {}", LLM_OK, NULL},
		{HF_CONFIG ", \"a_new_key\": 1.5", LLM_E_UNSUPPORTED, "\"a_new_key\" = 1.5"},
		{HF_CONFIG ", \"quantization_config\": {\"quant_method\": \"poetry\"}", LLM_E_UNSUPPORTED, "quant_method"},
		{HF_CONFIG ", \"hidden_act\": \"quick_gelu\"", LLM_E_UNSUPPORTED, "\"hidden_act\" = \"quick_gelu\""},
		{HF_CONFIG ", \"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2.0}", LLM_OK, NULL},
		{HF_CONFIG ", \"rope_scaling\": {\"type\": \"helix\", \"factor\": 2.0}", LLM_E_UNSUPPORTED, "rope type \"helix\""},
		{HF_CONFIG ", \"rope_scaling\": {\"rope_type\": \"default\", \"unheard\": 2.0}", LLM_E_UNSUPPORTED, "\"unheard\""},
		{HF_CONFIG ", \"rope_scaling\": 7", LLM_E_UNSUPPORTED, "rope_parameters"},
		{HF_CONFIG ", \"layer_types\": [\"full_attention\"]", LLM_OK, NULL},
		{HF_CONFIG ", \"layer_types\": [\"chunked_attention\"]", LLM_E_UNSUPPORTED, "\"layer_types\" = \"chunked_attention\""},
		{HF_CONFIG ", \"layer_types\": [null]", LLM_E_UNSUPPORTED, "\"layer_types\" = null"},
		{HF_CONFIG ", \"rope_theta\": \"x\"", LLM_E_FORMAT, "not a number"},
		{HF_CONFIG ", \"num_hidden_layers\": 5000", LLM_E_FORMAT, "outside 1 to 4096"},
		{HF_CONFIG ", \"num_hidden_layers\": -1", LLM_E_FORMAT, "not a whole number"},
		{HF_CONFIG ", \"num_hidden_layers\": null", LLM_E_FORMAT, "\"num_hidden_layers\" is missing"},
		{HF_CONFIG ", \"num_attention_heads\": 0", LLM_E_FORMAT, "is 0"},
		{HF_CONFIG ", \"vocab_size\": 4294967295", LLM_E_LIMIT, "vocab_size"},
		{HF_CONFIG ", \"vocab_size\": 1048576", LLM_OK, NULL},	/* no sorting of a million made-up texts */
		{HF_CONFIG ", \"vocab_size\": 1048577", LLM_E_LIMIT, "outside 1 to 1048576"},
		{HF_CONFIG ", \"vocab_size\": 1e300", LLM_E_FORMAT, "vocab_size"},
		{HF_CONFIG ", \"tie_word_embeddings\": \"no\"", LLM_E_FORMAT, "tie_word_embeddings"},
		{HF_CONFIG ", \"eos_token_id\": [2, -1]", LLM_E_FORMAT, "eos_token_id"},
		{HF_CONFIG ", \"eos_token_id\": []", LLM_E_FORMAT, "0 ids"},
		{HF_CONFIG ", \"architectures\": [\"SomethingElse\"]", LLM_E_UNSUPPORTED, "model class \"SomethingElse\""},
		{HF_CONFIG ", \"architectures\": []", LLM_E_UNSUPPORTED, "model class \"\""},
		{HF_CONFIG ", \"x\": [", LLM_E_FORMAT, "\"config.json\" is not JSON"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		char		text[1024];
		HfHeader	h = hf_llama(NULL);

		snprintf(text, sizeof(text), "{%s}", cases[i].config);
		hf_begin();
		hf_write_text("config.json", text);
		hf_finish(&h, "model.safetensors");
		expect(cases[i].status, cases[i].says, cases[i].config);
		hf_end();
	}
}

/* a tensor that is not there is missed when the model is opened, one too many before */
static void
test_tensors(void)
{
	HfHeader	h = hf_llama("model.layers.0.self_attn.q_proj.weight");

	hf_begin();
	hf_write_text("config.json", "{" HF_CONFIG "}");
	hf_add(&h, "model.layers.0.self_attn.q_proj.weight", "F32", 4, 9, 8);
	hf_finish(&h, "model.safetensors");
	expect(LLM_E_FORMAT, "rows are those of all heads", "rows of a head");
	hf_clean();

	h = hf_llama(NULL);
	hf_write_text("config.json", "{" HF_CONFIG "}");
	hf_add(&h, "norm.weight", "F32", 4, 8, 0);
	hf_finish(&h, "model.safetensors");
	expect(LLM_E_FORMAT, "is there twice", "one name with prefix and without");
	hf_clean();

	h = hf_llama("lm_head.weight");
	hf_write_text("config.json", "{" HF_CONFIG ", \"architectures\": [\"MixtralForCausalLM\"]}");
	hf_add(&h, "model.layers.0.block_sparse_moe.experts.1.w1.weight", "F32", 4, 8, 8);
	hf_finish(&h, "model.safetensors");
	expect(LLM_E_FORMAT, "an expert before it is missing", "experts from 1 on");
	hf_clean();

	h = hf_llama("lm_head.weight");
	hf_write_text("config.json", "{" HF_CONFIG ", \"architectures\": [\"MixtralForCausalLM\"]}");
	hf_add(&h, "model.layers.0.block_sparse_moe.experts.0.w1.weight", "F32", 4, 8, 8);
	hf_add(&h, "model.layers.0.block_sparse_moe.experts.1.w1.weight", "BF16", 2, 8, 8);
	hf_finish(&h, "model.safetensors");
	expect(LLM_E_FORMAT, "another shape or type", "experts that differ");
	hf_end();
}

/* one tensor of this shape, under a configuration whose numbers are as large as they can be */
static void
expect_refused(const char *config, const char *name, const char *shape, int n, const char *says)
{
	char		header[256];

	snprintf(header, sizeof(header), "{\"%s\": {\"dtype\": \"F32\", \"shape\": [%s], \"data_offsets\": [0, %d]}}", name, shape, n * 4);
	hf_begin();
	hf_write_text("config.json", config);
	hf_write_safetensors("model.safetensors", header, (size_t) n * 4);
	expect(LLM_E_FORMAT, says, name);
	hf_end();
}

/* shapes that the sizes of a configuration do not fit, also where their products are larger than any number */
static void
test_shapes(void)
{
	static const char state_space[] = "{" HF_CONFIG ", \"architectures\": [\"FalconH1ForCausalLM\"], \"mamba_n_heads\": 2, \"mamba_d_head\": 4, "
	"\"mamba_d_ssm\": 8, \"mamba_d_state\": 2, \"mamba_n_groups\": 1, \"mamba_d_conv\": 4, \"ssm_multipliers\": [1, 2, 3, 4, 5]}";

	expect_refused(state_space, "model.layers.0.mamba.in_proj.weight", "64, 22, 8", 64 * 22 * 8, "its rows have factors");
	expect_refused(state_space, "model.layers.0.mamba.in_proj.weight", "21, 8", 21 * 8, "its rows have factors");
	expect_refused("{\"architectures\": [\"BloomForCausalLM\"], \"hidden_size\": 8, \"n_layer\": 1, \"n_head\": 4294967295, \"vocab_size\": 5, "
				   "\"num_key_value_heads\": 1, \"head_dim\": 4294967295}", "h.0.self_attention.query_key_value.weight", "24, 8", 24 * 8,
				   "its rows are queries, keys and values");
	expect_refused("{" HF_CONFIG ", \"architectures\": [\"DeepseekV3ForCausalLM\"], \"num_attention_heads\": 4294967295, \"head_dim\": 8, \"qk_nope_head_dim\": 4294967295, "
				   "\"qk_rope_head_dim\": 2, \"v_head_dim\": 4294967295, \"kv_lora_rank\": 8}", "model.layers.0.self_attn.kv_b_proj.weight", "24, 8", 24 * 8,
				   "qk_nope_head_dim");
}

/* a folder that is changed while it is open; a link to a file elsewhere is as good as the file */
static void
test_changes(void)
{
	HfHeader	h = hf_llama(NULL);
	char		path[128];
	char		other[160];
	LlmSource	source;
	const uint8_t *base;
	size_t		size;
	LlmError	err;

	hf_begin();
	hf_write_text("config.json", "{" HF_CONFIG "}");
	hf_finish(&h, "blob");
	snprintf(other, sizeof(other), "%s/model.safetensors", hf_folder_path);
	CHECK(symlink("blob", other) == 0);
	snprintf(path, sizeof(path), "%s/blob", hf_folder_path);
	CHECK(llm_source_open(hf_folder_path, &llm_malloc_allocator, NULL, &source, &err) == LLM_OK);
	CHECK(truncate(path, 2000) == 0);
	CHECK(llm_source_check_unchanged(&source, &err) == LLM_E_FORMAT);
	CHECK(llm_pack_to_memory(&source, &llm_malloc_allocator, NULL, &base, &size, &err) == LLM_E_FORMAT);
	llm_source_close(&source);
	unlink(other);
	CHECK(mkfifo(other, 0600) == 0);
	expect(LLM_E_ARGUMENT, "no file \"model.safetensors\"", "a pipe");
	hf_end();
}

/* ---- metadata beside the weights ---- */

static void
check_string(const LlmSource *source, const char *key, const char *value)
{
	LlmStr		text = {NULL, 0};
	LlmError	err;

	CHECK(llm_meta_string(source->meta, key, value != NULL, &text, &err) == LLM_OK);
	CHECK_MSG(value ? text.len == strlen(value) && memcmp(text.data, value, text.len) == 0 : text.data == NULL, "%s: %.*s", key,
			  (int) text.len, text.data);
}

static void
check_number(const LlmSource *source, const char *key, uint64_t value)
{
	uint64_t	number = UINT64_MAX;
	LlmError	err;

	CHECK_MSG(llm_meta_uint(source->meta, key, false, UINT32_MAX, &number, &err) == LLM_OK && number == value, "%s: %lld", key,
			  (long long) number);
}

/* what says how text is meant goes into metadata; an id that no row has does not */
static void
test_text_side(void)
{
	HfHeader	h = hf_llama(NULL);
	LlmSource	source;
	const LlmMetaArray *ends;
	LlmTokenizer *tokenizer;
	LlmError	err;

	hf_begin();
	hf_write_text("config.json", "{" HF_CONFIG ", \"bos_token_id\": 1, \"eos_token_id\": 2, \"pad_token_id\": -1}");
	hf_write_text("generation_config.json", "{\"eos_token_id\": [3, 128001, 2]}");
	hf_write_text("tokenizer.json", "{\"a\": 1}");
	hf_write_text("tokenizer_config.json", "{\"chat_template\": [{\"name\": \"tool\", \"template\": \"x\"}, "
				  "{\"name\": \"default\", \"template\": \"{{ messages }}\"}]}");
	hf_write_text("config_sentence_transformers.json", "{\"prompts\": {\"query\": \"q: \", \"document\": \"\"}, \"default_prompt_name\": \"query\"}");
	hf_write_text("modules.json", "[{\"type\": \"sentence_transformers.models.Transformer\", \"path\": \"\"}]");
	hf_finish(&h, "model.safetensors");
	CHECK_MSG(llm_source_open(hf_folder_path, &llm_malloc_allocator, NULL, &source, &err) == LLM_OK, "%s", err.message);
	check_string(&source, "tokenizer.ggml.model", "huggingface");
	check_string(&source, "tokenizer.huggingface.json", "{\"a\": 1}");
	check_string(&source, "tokenizer.chat_template", "{{ messages }}");
	check_string(&source, "sentence_transformers.prompt.query", "q: ");
	check_string(&source, "sentence_transformers.prompt.document", "");
	check_string(&source, "sentence_transformers.default_prompt_name", "query");
	check_number(&source, "tokenizer.huggingface.vocab_size", 5);
	check_number(&source, "tokenizer.ggml.bos_token_id", 1);
	check_number(&source, "tokenizer.ggml.eos_token_id", 3);
	check_number(&source, "tokenizer.ggml.padding_token_id", UINT64_MAX);
	CHECK(llm_meta_array(source.meta, "tokenizer.ggml.eos_token_ids", true, LLM_META_UINT32, &ends, &err) == LLM_OK && ends->count == 2 &&
		  llm_meta_array_int(ends, 1) == 2);
	llm_source_close(&source);

	/* a model with more rows than its tokenizer has tokens */
	hf_write_text("tokenizer.json", "{\"model\": {\"type\": \"WordLevel\", \"vocab\": {\"a\": 0, \"b\": 1, \"?\": 2}, \"unk_token\": \"?\"}}");
	CHECK(llm_source_open(hf_folder_path, &llm_malloc_allocator, NULL, &source, &err) == LLM_OK);
	CHECK_MSG(llm_tokenizer_create(source.meta, &llm_malloc_allocator, &tokenizer, &err) == LLM_OK, "%s", err.message);
	CHECK(llm_tokenizer_vocab_size(tokenizer) == 5 && llm_tokenizer_eos(tokenizer) == 3 && llm_tokenizer_is_end(tokenizer, 2) &&
		  !llm_tokenizer_is_end(tokenizer, 1));
	llm_tokenizer_free(tokenizer);
	llm_source_close(&source);

	/* a template in a file of its own comes first */
	hf_write_text("chat_template.jinja", "{{ 1 }}");
	CHECK(llm_source_open(hf_folder_path, &llm_malloc_allocator, NULL, &source, &err) == LLM_OK);
	check_string(&source, "tokenizer.chat_template", "{{ 1 }}");
	llm_source_close(&source);
	hf_write_text("modules.json", "[{\"type\": \"sentence_transformers.models.LSTM\", \"path\": \"1_LSTM\"}]");
	expect(LLM_E_UNSUPPORTED, "module \"LSTM\"", "a module that is not known");
	hf_write_text("modules.json", "[{\"type\": \"sentence_transformers.models.Pooling\", \"path\": \"2_Pooling\"}]");
	expect(LLM_E_UNSUPPORTED, "folder \"2_Pooling\"", "pooling that would not be found");
	hf_end();
}

/* how sentence-transformers says what becomes of a text's vectors, before and since its version 6 */
static void
test_pooling(void)
{
	static const struct
	{
		const char *config;
		uint64_t	type;		/* 0: refused */
	}			cases[] = {
		{"{\"pooling_mode_cls_token\": false, \"pooling_mode_mean_tokens\": true}", 1},
		{"{\"embedding_dimension\": 8, \"pooling_mode\": \"mean\", \"include_prompt\": true}", 1},
		{"{\"pooling_mode\": \"cls\"}", 2},
		{"{\"pooling_mode\": [\"lasttoken\"]}", 3},
		{"{\"pooling_mode\": \"max\"}", 0},
		{"{\"pooling_mode\": [\"mean\", \"max\"]}", 0},
		{"{\"pooling_mode\": 1}", 0},
		{"{\"pooling_mode_mean_tokens\": true, \"pooling_mode_max_tokens\": true}", 0},
		{"{\"pooling_mode_mean_tokens\": true, \"include_prompt\": false}", 0},
		{"[]", 0},
	};
	HfHeader	h = hf_llama(NULL);
	LlmSource	source;
	LlmError	err;
	char		path[128];

	hf_begin();
	hf_write_text("config.json", "{" HF_CONFIG "}");
	hf_finish(&h, "model.safetensors");
	snprintf(path, sizeof(path), "%s/1_Pooling", hf_folder_path);
	CHECK(mkdir(path, 0700) == 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		hf_write_text("1_Pooling/config.json", cases[i].config);
		if (cases[i].type == 0)
			expect(LLM_E_UNSUPPORTED, "1_Pooling/config.json", cases[i].config);
		else if (llm_source_open(hf_folder_path, &llm_malloc_allocator, NULL, &source, &err) == LLM_OK)
		{
			check_number(&source, "llama.pooling_type", cases[i].type);
			llm_source_close(&source);
		}
		else
			CHECK_MSG(false, "%s: %s", cases[i].config, err.message);
	}
	strcat(path, "/config.json");
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	hf_end();
}

int
main(void)
{
	for (size_t i = 0; i < N_MODELS; i++)
	{
		test_reference(models[i]);
		test_pieces(models[i]);
	}
	test_memory("gpt-oss-small");
	test_memory("deepseek_v3");
	test_list();
	test_headers();
	test_lengths();
	test_indexes();
	test_configs();
	test_tensors();
	test_shapes();
	test_changes();
	test_text_side();
	test_pooling();
	CHECK_DONE();
}
