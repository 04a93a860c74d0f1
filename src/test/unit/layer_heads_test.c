/*
 * layer_heads_test.c: layers with fewer heads and a narrower feed-forward than others, against a model whose layers are all as
 * wide, but where what the narrow layer lacks is multiplied by zeros: the same bytes of logits. And numbers that do not fit.
 */
#include "rewritten_model.h"

#include <math.h>

#define N_LAYER 3
#define NARROW "blk.1."			/* the layer with half the heads */
#define N_KV 2
#define N_FF 96
#define N_FF_NARROW 64
#define Q_ROWS (NAIVE_HEAD * NAIVE_HEAD_DIM)
#define KV_ROWS (N_KV * NAIVE_HEAD_DIM)
#define BY_LAYER(name, numbers) {.suffix = name, .by_layer = numbers}

static const int32_t heads[N_LAYER] = {NAIVE_HEAD, NAIVE_HEAD / 2, NAIVE_HEAD};
static const int32_t heads_kv[N_LAYER] = {N_KV, N_KV / 2, N_KV};
static const int32_t widths[N_LAYER] = {N_FF, N_FF_NARROW, N_FF};
static const TinyKey wide_keys[] = {{0}};
static const TinyKey narrow_keys[] = {BY_LAYER("attention.head_count", heads), BY_LAYER("attention.head_count_kv", heads_kv),
	BY_LAYER("feed_forward_length", widths), {.suffix = "attention.key_length", .value = NAIVE_HEAD_DIM},
{.suffix = "attention.value_length", .value = NAIVE_HEAD_DIM}, {0}};

/* columns of a matrix that a narrow layer has; 0: it has all */
static int64_t
narrow_cols(const char *role)
{
	return strcmp(role, "attn_output.weight") == 0 ? Q_ROWS / 2 : strcmp(role, "ffn_down.weight") == 0 ? N_FF_NARROW : 0;
}

/* does it have this row? */
static bool
has_row(const char *role, int64_t row)
{
	if (strcmp(role, "attn_q.weight") == 0)
		return row < Q_ROWS / 2;
	if (strcmp(role, "attn_k.weight") == 0 || strcmp(role, "attn_v.weight") == 0)
		return row < KV_ROWS / 2;
	if (strcmp(role, "attn_qkv.weight") == 0)
		return row < Q_ROWS ? row < Q_ROWS / 2 : (row - Q_ROWS) % KV_ROWS < KV_ROWS / 2;
	if (strcmp(role, "ffn_gate.weight") == 0 || strcmp(role, "ffn_up.weight") == 0)
		return row < N_FF_NARROW;
	return true;
}

/* all is there, but columns over heads and features that the narrow layer lacks are zeros */
static bool
blank(GgufWriter *w, const LlmTensor *t, const char *name, const uint8_t *data)
{
	const int64_t kept = strncmp(name, NARROW, strlen(NARROW)) == 0 ? narrow_cols(name + strlen(NARROW)) : 0;
	float	   *values = gw_grow(NULL, t->n_bytes);

	memcpy(values, data, t->n_bytes);
	for (int64_t r = 0; kept && r < t->dim[1]; r++)
		memset(values + r * t->dim[0] + kept, 0, (size_t) (t->dim[0] - kept) * sizeof(float));
	write_as_is(w, t, name, (uint8_t *) values);
	free(values);
	return true;
}

/* rows and columns that the narrow layer lacks are left out */
static bool
cut(GgufWriter *w, const LlmTensor *t, const char *name, const uint8_t *data)
{
	const float *from = (const float *) data;
	const char *role = name + strlen(NARROW);
	uint64_t	dims[2] = {(uint64_t) t->dim[0], 0};
	float	   *values;

	if (strncmp(name, NARROW, strlen(NARROW)) != 0 || t->n_dims != 2)
		return false;
	if (narrow_cols(role))
		dims[0] = (uint64_t) narrow_cols(role);
	values = gw_grow(NULL, t->n_bytes);
	for (int64_t r = 0; r < t->dim[1]; r++)
		if (has_row(role, r))
			memcpy(values + dims[0] * dims[1]++, from + r * t->dim[0], dims[0] * sizeof(float));
	gw_tensor(w, name, LLM_TYPE_F32, 2, dims, values, dims[0] * dims[1] * sizeof(float));
	free(values);
	return true;
}

static NaiveModel
model_of(const char *arch, bool fused, int qk_norm)
{
	return (NaiveModel) {.arch = arch, .n_layer = N_LAYER, .n_head_kv = N_KV, .n_rot = 16, .n_ff = N_FF, .rope_base = 10000,
	.norm_before = true, .fused_qkv = fused, .qk_norm = qk_norm};
}

static void
test_narrow_layer(const char *arch, bool fused, int qk_norm)
{
	const NaiveModel d = model_of(arch, fused, qk_norm);
	GgufWriter	wide;
	GgufWriter	narrow;

	make_rewritten(&d, wide_keys, blank, &wide);
	make_rewritten(&d, narrow_keys, cut, &narrow);
	CHECK(narrow.data.len < wide.data.len);
	check_same_logits(&narrow, &wide, arch);
}

static void
check_refused(const NaiveModel *d, const TinyKey *keys, LlmStatus expected, const char *says)
{
	const LlmModelOptions options = {.kv_type = LLM_KV_F16};
	const uint8_t *base;
	size_t		size;
	LlmModel   *m = NULL;
	LlmError	err;
	LlmStatus	status;
	GgufWriter	w;
	char		path[64];
	int			fd;

	make_rewritten(d, keys, NULL, &w);
	fd = gw_memfd(w.file.data, w.file.len, path);
	test_pack(path, &base, &size);
	close(fd);
	status = llm_model_open(base, size, &options, llmk_level(0), &llm_malloc_allocator, &m, &err);
	CHECK_MSG(status == expected && strstr(err.message, says), "%s, \"%s\": status %d, %s", d->arch, says, (int) status,
			  status == LLM_OK ? "no message" : err.message);
	llm_model_close(m);
	llm_memory_pack_free(base, size);
	gw_free(&w);
}

/* heads of the second layer and its key/value heads, and what comes of them */
static void
test_refused(void)
{
	static const struct
	{
		const char *arch;
		int32_t		n_head;
		int32_t		n_kv;
		LlmStatus	status;
		const char *says;
	}			some[] = {
		{"llama", 2, 2, LLM_E_FORMAT, "blk.1.attn_q"},
		{"llama", 4, 1, LLM_E_FORMAT, "blk.1.attn_k"},
		{"llama", 3, 2, LLM_E_FORMAT, "cannot be shared"},
		{"falcon-h1", 2, 1, LLM_E_UNSUPPORTED, "key/value heads"},
		{"llama", 0, 0, LLM_E_UNSUPPORTED, "key/value heads"},
		{"llama", 0, 1, LLM_E_FORMAT, "cannot be shared"},
		{"deci", 0, 1, LLM_E_FORMAT, "cannot be shared"},
		{"llama", -2, 1, LLM_E_FORMAT, "attention.head_count"},
		{"llama", 1 << 30, 1, LLM_E_FORMAT, "attention.head_count"},
		{"llama", 6, 3, LLM_E_FORMAT, "blk.1.attn_q"},
		{"llama", 2, 1, LLM_E_FORMAT, "blk.1.attn_q"},
		{"deepseek2", 2, 1, LLM_E_UNSUPPORTED, "key/value heads"},
		{"jina-bert-v2", 2, 1, LLM_E_UNSUPPORTED, "key/value heads"},
		{"qwen3next", 4, 0, LLM_E_UNSUPPORTED, "layers with 0 and with 2 key/value heads"},
		{"granitehybrid", 0, 1, LLM_E_FORMAT, "cannot be shared"},
	};

	for (size_t i = 0; i < sizeof some / sizeof *some; i++)
	{
		const NaiveModel d = model_of(some[i].arch, false, 0);
		const int32_t n_head[N_LAYER] = {4, some[i].n_head, 4};
		const int32_t n_kv[N_LAYER] = {2, some[i].n_kv, 2};
		const TinyKey keys[] = {BY_LAYER("attention.head_count", n_head), BY_LAYER("attention.head_count_kv", n_kv),
		{.suffix = "attention.key_length", .value = NAIVE_HEAD_DIM}, {.suffix = "attention.value_length", .value = NAIVE_HEAD_DIM},
		{.suffix = "full_attention_interval", .value = 2}, {0}};

		check_refused(&d, keys, some[i].status, some[i].says);
	}
}

/* a layer that shares keys and values has queries alone: a matrix of all three would make some that no layer is to read */
static void
test_shared_layer(void)
{
	static const float all[N_LAYER] = {-INFINITY, -INFINITY, -INFINITY};
	static const TinyKey keys[] = {{.suffix = "altup.num_inputs", .value = 2}, {.suffix = "altup.active_idx", .value = 0},
	{.suffix = "embedding_length_per_layer_input", .value = 8}, {.suffix = "attention.shared_kv_layers", .value = 1}, {0}};
	const NaiveModel d = {.arch = "gemma3n", .n_layer = N_LAYER, .n_head_kv = N_KV, .n_rot = 16, .n_ff = N_FF, .rope_base = 10000, .norm_before = true,
	.norm_after = true, .act = NAIVE_GELU, .fused_qkv = true, .qk_norm = 1, .n_streams = 2, .n_input = 8, .n_shared = 1, .laurel_rank = 4, .sparsity = all};

	check_refused(&d, keys, LLM_E_FORMAT, "blk.2.attn_q.weight");
}

int
main(void)
{
	workload_make_prompts(TINY_VOCAB);
	test_narrow_layer("llama", false, 0);
	test_narrow_layer("qwen3", false, 1);
	test_narrow_layer("openelm", true, 1);
	test_refused();
	test_shared_layer();
	CHECK_DONE();
}
