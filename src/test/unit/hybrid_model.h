/*
 * hybrid_model.h: small models made in memory whose layers are of different kinds, with random weights: Mamba2, experts in a
 * latent space and attention (nemotron_h_moe), Mamba2 alone (mamba2), short convolutions and attention (lfm2), gated delta nets and gated attention (qwen3next, qwen35),
 * Mamba2 and attention, each with a feed-forward (granitehybrid), Mamba1 alone (mamba) and with attention and experts (jamba), Mamba2 beside
 * attention (falcon-h1).
 */
#ifndef LLM_TEST_HYBRID_MODEL_H
#define LLM_TEST_HYBRID_MODEL_H

#include "mixed_model.h"

#define HYBRID_N_EMBD 64
#define HYBRID_N_HEAD 4			/* of Mamba2: heads of 40, in 2 groups, which are no multiples of a vector */
#define HYBRID_N_INNER 160
#define HYBRID_N_STATE 24
#define HYBRID_N_CHANNELS (HYBRID_N_INNER + 4 * HYBRID_N_STATE)

typedef enum HybridFill
{
	HYBRID_PLAIN,
	HYBRID_AROUND_ONE,			/* norms */
	HYBRID_NEGATIVE,			/* ssm_a */
	HYBRID_LARGE				/* taps and biases that matter */
} HybridFill;

typedef struct HybridTensor
{
	const char *name;			/* without "blk.N." */
	uint32_t	n_dims;
	uint64_t	dims[3];
	LlmType		type;
	HybridFill	fill;
} HybridTensor;

#define HYBRID_NORM(name) {name, 1, {HYBRID_N_EMBD, 1, 1}, LLM_TYPE_F32, HYBRID_AROUND_ONE}
#define HYBRID_MATRIX(name, cols, rows, type) {name, 2, {cols, rows, 1}, type, HYBRID_PLAIN}

static const HybridTensor hybrid_mamba2[] = {
	HYBRID_NORM("attn_norm.weight"),
	HYBRID_MATRIX("ssm_in.weight", HYBRID_N_EMBD, HYBRID_N_INNER + HYBRID_N_CHANNELS + HYBRID_N_HEAD, LLM_TYPE_Q8_0),
	{"ssm_conv1d.weight", 2, {4, HYBRID_N_CHANNELS, 1}, LLM_TYPE_F32, HYBRID_LARGE},
	{"ssm_conv1d.bias", 1, {HYBRID_N_CHANNELS, 1, 1}, LLM_TYPE_F32, HYBRID_PLAIN},
	{"ssm_dt.bias", 1, {HYBRID_N_HEAD, 1, 1}, LLM_TYPE_F32, HYBRID_LARGE},
	{"ssm_a", 2, {1, HYBRID_N_HEAD, 1}, LLM_TYPE_F32, HYBRID_NEGATIVE},
	{"ssm_d", 2, {1, HYBRID_N_HEAD, 1}, LLM_TYPE_F32, HYBRID_LARGE},
	{"ssm_norm.weight", 2, {HYBRID_N_INNER / 2, 2, 1}, LLM_TYPE_F32, HYBRID_AROUND_ONE},
	HYBRID_MATRIX("ssm_out.weight", HYBRID_N_INNER, HYBRID_N_EMBD, LLM_TYPE_Q4_0),
	{0}
};

/* channels with steps of their own, made from 4 numbers each */
static const HybridTensor hybrid_mamba1[] = {
	HYBRID_NORM("attn_norm.weight"),
	HYBRID_MATRIX("ssm_in.weight", HYBRID_N_EMBD, 2 * HYBRID_N_INNER, LLM_TYPE_Q8_0),
	{"ssm_conv1d.weight", 2, {4, HYBRID_N_INNER, 1}, LLM_TYPE_F32, HYBRID_LARGE},
	{"ssm_conv1d.bias", 1, {HYBRID_N_INNER, 1, 1}, LLM_TYPE_F32, HYBRID_PLAIN},
	HYBRID_MATRIX("ssm_x.weight", HYBRID_N_INNER, HYBRID_N_HEAD + 2 * HYBRID_N_STATE, LLM_TYPE_Q4_0),
	HYBRID_MATRIX("ssm_dt.weight", HYBRID_N_HEAD, HYBRID_N_INNER, LLM_TYPE_F32),
	{"ssm_dt.bias", 1, {HYBRID_N_INNER, 1, 1}, LLM_TYPE_F32, HYBRID_LARGE},
	{"ssm_a", 2, {HYBRID_N_STATE, HYBRID_N_INNER, 1}, LLM_TYPE_F32, HYBRID_NEGATIVE},
	{"ssm_d", 1, {HYBRID_N_INNER, 1, 1}, LLM_TYPE_F32, HYBRID_LARGE},
	HYBRID_MATRIX("ssm_out.weight", HYBRID_N_INNER, HYBRID_N_EMBD, LLM_TYPE_Q4_0),
	{0}
};

static const HybridTensor hybrid_mamba1_norms[] = {
	{"ssm_dt_norm.weight", 1, {HYBRID_N_HEAD, 1, 1}, LLM_TYPE_F32, HYBRID_AROUND_ONE},
	{"ssm_b_norm.weight", 1, {HYBRID_N_STATE, 1, 1}, LLM_TYPE_F32, HYBRID_AROUND_ONE},
	{"ssm_c_norm.weight", 1, {HYBRID_N_STATE, 1, 1}, LLM_TYPE_F32, HYBRID_AROUND_ONE},
	{0}
};

static const HybridTensor hybrid_experts_ffn[] = {
	HYBRID_NORM("ffn_norm.weight"),
	HYBRID_MATRIX("ffn_gate_inp.weight", HYBRID_N_EMBD, 6, LLM_TYPE_F32),
	{"ffn_gate_exps.weight", 3, {HYBRID_N_EMBD, 96, 6}, LLM_TYPE_Q4_0, HYBRID_PLAIN},
	{"ffn_up_exps.weight", 3, {HYBRID_N_EMBD, 96, 6}, LLM_TYPE_Q4_0, HYBRID_PLAIN},
	{"ffn_down_exps.weight", 3, {96, HYBRID_N_EMBD, 6}, LLM_TYPE_F16, HYBRID_PLAIN},
	{0}
};

/* attention beside a state */
static const HybridTensor hybrid_side[] = {
	HYBRID_MATRIX("attn_q.weight", HYBRID_N_EMBD, 128, LLM_TYPE_F16),
	HYBRID_MATRIX("attn_k.weight", HYBRID_N_EMBD, 64, LLM_TYPE_Q8_0),
	HYBRID_MATRIX("attn_v.weight", HYBRID_N_EMBD, 64, LLM_TYPE_F32),
	HYBRID_MATRIX("attn_output.weight", 128, HYBRID_N_EMBD, LLM_TYPE_Q8_0),
	{0}
};

static const HybridTensor hybrid_attention[] = {
	HYBRID_NORM("attn_norm.weight"),
	HYBRID_MATRIX("attn_q.weight", HYBRID_N_EMBD, 128, LLM_TYPE_F16),
	HYBRID_MATRIX("attn_k.weight", HYBRID_N_EMBD, 64, LLM_TYPE_Q8_0),
	HYBRID_MATRIX("attn_v.weight", HYBRID_N_EMBD, 64, LLM_TYPE_F32),
	HYBRID_MATRIX("attn_output.weight", 128, HYBRID_N_EMBD, LLM_TYPE_Q8_0),
	{0}
};

static const HybridTensor hybrid_experts[] = {
	HYBRID_NORM("attn_norm.weight"),
	HYBRID_MATRIX("ffn_gate_inp.weight", HYBRID_N_EMBD, 6, LLM_TYPE_F32),
	{"exp_probs_b.bias", 1, {6, 1, 1}, LLM_TYPE_F32, HYBRID_PLAIN},
	HYBRID_MATRIX("ffn_latent_down.weight", HYBRID_N_EMBD, 32, LLM_TYPE_Q8_0),
	HYBRID_MATRIX("ffn_latent_up.weight", 32, HYBRID_N_EMBD, LLM_TYPE_Q8_0),
	{"ffn_up_exps.weight", 3, {32, 96, 6}, LLM_TYPE_Q4_0, HYBRID_PLAIN},
	{"ffn_down_exps.weight", 3, {96, 32, 6}, LLM_TYPE_F16, HYBRID_PLAIN},
	HYBRID_MATRIX("ffn_up_shexp.weight", HYBRID_N_EMBD, 128, LLM_TYPE_F32),
	HYBRID_MATRIX("ffn_down_shexp.weight", 128, HYBRID_N_EMBD, LLM_TYPE_Q8_0),
	{0}
};

static const HybridTensor hybrid_conv[] = {
	HYBRID_NORM("attn_norm.weight"),
	HYBRID_MATRIX("shortconv.in_proj.weight", HYBRID_N_EMBD, 3 * HYBRID_N_EMBD, LLM_TYPE_Q8_0),
	{"shortconv.conv.weight", 2, {3, HYBRID_N_EMBD, 1}, LLM_TYPE_F32, HYBRID_LARGE},
	HYBRID_MATRIX("shortconv.out_proj.weight", HYBRID_N_EMBD, HYBRID_N_EMBD, LLM_TYPE_F32),
	{0}
};

/* queries and keys of 2 heads of 20, values of 4 heads of 40 */
static const HybridTensor hybrid_delta[] = {
	HYBRID_NORM("attn_norm.weight"),
	HYBRID_MATRIX("attn_qkv.weight", HYBRID_N_EMBD, HYBRID_N_CHANNELS, LLM_TYPE_Q8_0),
	HYBRID_MATRIX("attn_gate.weight", HYBRID_N_EMBD, HYBRID_N_INNER, LLM_TYPE_F16),
	{"ssm_conv1d.weight", 2, {4, HYBRID_N_CHANNELS, 1}, LLM_TYPE_F32, HYBRID_LARGE},
	{"ssm_dt.bias", 1, {HYBRID_N_HEAD, 1, 1}, LLM_TYPE_F32, HYBRID_LARGE},
	{"ssm_a", 1, {HYBRID_N_HEAD, 1, 1}, LLM_TYPE_F32, HYBRID_NEGATIVE},
	{"ssm_norm.weight", 1, {HYBRID_N_INNER / HYBRID_N_HEAD, 1, 1}, LLM_TYPE_F32, HYBRID_AROUND_ONE},
	HYBRID_MATRIX("ssm_out.weight", HYBRID_N_INNER, HYBRID_N_EMBD, LLM_TYPE_Q4_0),
	{0}
};

static const HybridTensor hybrid_gates_joined[] = {
	HYBRID_MATRIX("ssm_ba.weight", HYBRID_N_EMBD, 2 * HYBRID_N_HEAD, LLM_TYPE_F32),
	{0}
};

static const HybridTensor hybrid_gates[] = {
	HYBRID_MATRIX("ssm_beta.weight", HYBRID_N_EMBD, HYBRID_N_HEAD, LLM_TYPE_Q8_0),
	HYBRID_MATRIX("ssm_alpha.weight", HYBRID_N_EMBD, HYBRID_N_HEAD, LLM_TYPE_F32),
	{0}
};

static const HybridTensor hybrid_gated_attention[] = {
	HYBRID_NORM("attn_norm.weight"),
	HYBRID_MATRIX("attn_q.weight", HYBRID_N_EMBD, 256, LLM_TYPE_Q8_0),
	HYBRID_MATRIX("attn_k.weight", HYBRID_N_EMBD, 64, LLM_TYPE_Q8_0),
	HYBRID_MATRIX("attn_v.weight", HYBRID_N_EMBD, 64, LLM_TYPE_F32),
	HYBRID_MATRIX("attn_output.weight", 128, HYBRID_N_EMBD, LLM_TYPE_Q8_0),
	{"attn_q_norm.weight", 1, {32, 1, 1}, LLM_TYPE_F32, HYBRID_AROUND_ONE},
	{"attn_k_norm.weight", 1, {32, 1, 1}, LLM_TYPE_F32, HYBRID_AROUND_ONE},
	{0}
};

static const HybridTensor hybrid_late_ffn[] = {
	HYBRID_NORM("post_attention_norm.weight"),
	HYBRID_MATRIX("ffn_gate.weight", HYBRID_N_EMBD, 96, LLM_TYPE_Q8_0),
	HYBRID_MATRIX("ffn_up.weight", HYBRID_N_EMBD, 96, LLM_TYPE_F32),
	HYBRID_MATRIX("ffn_down.weight", 96, HYBRID_N_EMBD, LLM_TYPE_F16),
	{0}
};

static const HybridTensor hybrid_qk_norms[] = {
	{"attn_q_norm.weight", 1, {32, 1, 1}, LLM_TYPE_F32, HYBRID_AROUND_ONE},
	{"attn_k_norm.weight", 1, {32, 1, 1}, LLM_TYPE_F32, HYBRID_AROUND_ONE},
	{0}
};

static const HybridTensor hybrid_ffn[] = {
	HYBRID_NORM("ffn_norm.weight"),
	HYBRID_MATRIX("ffn_gate.weight", HYBRID_N_EMBD, 96, LLM_TYPE_Q8_0),
	HYBRID_MATRIX("ffn_up.weight", HYBRID_N_EMBD, 96, LLM_TYPE_F32),
	HYBRID_MATRIX("ffn_down.weight", 96, HYBRID_N_EMBD, LLM_TYPE_F16),
	{0}
};

/* the same with a norm whose name has no ending, as some files have it */
static const HybridTensor hybrid_bare_ffn[] = {
	HYBRID_NORM("ffn_norm"),
	HYBRID_MATRIX("ffn_gate.weight", HYBRID_N_EMBD, 96, LLM_TYPE_Q8_0),
	HYBRID_MATRIX("ffn_up.weight", HYBRID_N_EMBD, 96, LLM_TYPE_F32),
	HYBRID_MATRIX("ffn_down.weight", 96, HYBRID_N_EMBD, LLM_TYPE_F16),
	{0}
};

static const HybridTensor hybrid_ends[] = {
	HYBRID_MATRIX("token_embd.weight", HYBRID_N_EMBD, MIXED_N_VOCAB, LLM_TYPE_F32),
	HYBRID_MATRIX("output.weight", HYBRID_N_EMBD, MIXED_N_VOCAB, LLM_TYPE_Q8_0),
	{0}
};

#define HYBRID_MAX_LAYERS 5

typedef struct HybridKind
{
	const char *arch;
	const char *output_norm;
	int			n_layer;
	const HybridTensor *layers[HYBRID_MAX_LAYERS][3];	/* groups of tensors */
	int32_t		n_kv[HYBRID_MAX_LAYERS];
	int32_t		n_ff[HYBRID_MAX_LAYERS];
	const char *spoiled;		/* a key whose value is then this; NULL: none */
	uint32_t	spoiled_value;
} HybridKind;

static const HybridKind hybrid_kinds[] = {
	{
		"nemotron_h_moe", "output_norm.weight", 5,
		{{hybrid_mamba2}, {hybrid_experts}, {hybrid_attention}, {hybrid_mamba2}, {hybrid_experts}}, {0, 0, 2, 0, 0}, {0, 96, 0, 0, 96},
		NULL, 0
	},
	{"mamba2", "output_norm.weight", 2, {{hybrid_mamba2}, {hybrid_mamba2}}, {0}, {0}, NULL, 0},
	{
		"lfm2", "token_embd_norm.weight", 3,
		{{hybrid_conv, hybrid_ffn}, {hybrid_attention, hybrid_qk_norms, hybrid_ffn}, {hybrid_conv, hybrid_ffn}}, {0, 2, 0}, {96, 96, 96},
		NULL, 0
	},
	{
		"qwen35", "output_norm.weight", 3,
		{{hybrid_delta, hybrid_gates, hybrid_late_ffn}, {hybrid_gated_attention, hybrid_late_ffn}, {hybrid_delta, hybrid_gates, hybrid_late_ffn}},
		{2, 2, 2}, {96, 96, 96}, NULL, 0
	},
	{
		"qwen3next", "output_norm.weight", 3,
		{{hybrid_delta, hybrid_gates_joined, hybrid_late_ffn}, {hybrid_gated_attention, hybrid_late_ffn},
		{hybrid_delta, hybrid_gates_joined, hybrid_late_ffn}},
		{2, 2, 2}, {96, 96, 96}, NULL, 0
	},
	{
		"granitehybrid", "output_norm.weight", 3,
		{{hybrid_mamba2, hybrid_ffn}, {hybrid_attention, hybrid_ffn}, {hybrid_mamba2, hybrid_ffn}}, {0, 2, 0}, {96, 96, 96}, NULL, 0
	},
	{"mamba", "output_norm.weight", 2, {{hybrid_mamba1}, {hybrid_mamba1}}, {0}, {0}, NULL, 0},
	{
		"jamba", "output_norm.weight", 3,
		{{hybrid_mamba1, hybrid_mamba1_norms, hybrid_ffn}, {hybrid_attention, hybrid_experts_ffn},
		{hybrid_mamba1, hybrid_mamba1_norms, hybrid_experts_ffn}}, {0, 2, 0}, {96, 96, 96}, NULL, 0
	},
	{
		"falcon-h1", "output_norm.weight", 2, {{hybrid_mamba2, hybrid_side, hybrid_ffn}, {hybrid_mamba2, hybrid_side, hybrid_bare_ffn}}, {2, 2},
		{96, 96}, NULL, 0
	},
};

#define N_HYBRID_KINDS ((int) (sizeof(hybrid_kinds) / sizeof(hybrid_kinds[0])))

static inline void
hybrid_add_tensor(GgufWriter *w, const char *name, const HybridTensor *t, uint32_t *random)
{
	static uint8_t data[MIXED_N_VOCAB * 256 * 4];
	const LlmTypeInfo *info = llmk_type_info(t->type);
	size_t		n_bytes = (size_t) (t->dims[0] * t->dims[1] * t->dims[2]) / (size_t) info->block_len * (size_t) info->block_bytes;
	float	   *x = (float *) data;

	for (size_t i = 0; i < n_bytes; i++)
	{
		*random = *random * 1664525u + 1013904223u;
		data[i] = (uint8_t) (*random >> 24);
	}
	for (size_t i = 0; i < n_bytes; i += (size_t) info->block_bytes)
		mixed_tame(t->type, data + i);
	for (size_t i = 0; t->fill != HYBRID_PLAIN && i < n_bytes / sizeof(float); i++)
		x[i] = t->fill == HYBRID_AROUND_ONE ? x[i] + 1 : t->fill == HYBRID_LARGE ? 6 * x[i] : -0.02f - 4 * (x[i] < 0 ? -x[i] : x[i]);
	gw_tensor(w, name, t->type, t->n_dims, t->dims, data, n_bytes);
}

static inline void
hybrid_add_u32(GgufWriter *w, const HybridKind *kind, const char *key, uint32_t value)
{
	char		name[96];

	snprintf(name, sizeof(name), "%s.%s", kind->arch, key);
	gw_u32(w, name, kind->spoiled && strcmp(key, kind->spoiled) == 0 ? kind->spoiled_value : value);
}

static inline void
hybrid_add_metadata(GgufWriter *w, const HybridKind *kind)
{
	static const struct
	{
		const char *key;
		uint32_t	value;
	}			numbers[] = {
		{"context_length", MIXED_N_CTX}, {"embedding_length", HYBRID_N_EMBD}, {"attention.head_count", 4},
		{"attention.key_length", 32}, {"attention.value_length", 32}, {"ssm.conv_kernel", 4},
		{"ssm.inner_size", HYBRID_N_INNER}, {"ssm.state_size", HYBRID_N_STATE}, {"ssm.time_step_rank", HYBRID_N_HEAD},
		{"ssm.group_count", 2}, {"shortconv.l_cache", 3}, {"full_attention_interval", 2},
	};
	char		name[96];

	gw_string(w, "general.architecture", kind->arch);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		hybrid_add_u32(w, kind, numbers[i].key, numbers[i].value);
	hybrid_add_u32(w, kind, "block_count", (uint32_t) kind->n_layer);
	if (kind->layers[1][0] == hybrid_experts)
	{
		hybrid_add_u32(w, kind, "expert_count", 6);
		hybrid_add_u32(w, kind, "expert_used_count", 2);
		hybrid_add_u32(w, kind, "expert_feed_forward_length", 96);
		hybrid_add_u32(w, kind, "expert_shared_feed_forward_length", 128);
		hybrid_add_u32(w, kind, "moe_latent_size", 32);
	}
	if (kind->layers[1][1] == hybrid_experts_ffn)
	{
		hybrid_add_u32(w, kind, "expert_count", 6);
		hybrid_add_u32(w, kind, "expert_used_count", 2);
	}
	snprintf(name, sizeof(name), "%s.attention.head_count_kv", kind->arch);
	gw_i32s(w, name, kind->n_kv, (uint64_t) kind->n_layer);
	snprintf(name, sizeof(name), "%s.feed_forward_length", kind->arch);
	gw_i32s(w, name, kind->n_ff, (uint64_t) kind->n_layer);
	snprintf(name, sizeof(name), "%s.attention.layer_norm_rms_epsilon", kind->arch);
	gw_f32(w, name, 1e-5f);
	mixed_add_vocabulary(w);
}

/* a file in memory at path (64 bytes), which lives as long as the descriptor */
static inline int
hybrid_model_file(const HybridKind *kind, char *path)
{
	static const HybridTensor output_norm = HYBRID_NORM("");
	GgufWriter	w;
	char		text[96];
	uint32_t	random = 11;
	int			fd;

	gw_init(&w);
	hybrid_add_metadata(&w, kind);
	for (const HybridTensor *tensor = hybrid_ends; tensor->name; tensor++)
		hybrid_add_tensor(&w, tensor->name, tensor, &random);
	hybrid_add_tensor(&w, kind->output_norm, &output_norm, &random);
	for (int layer = 0; layer < kind->n_layer; layer++)
		for (int group = 0; group < 3 && kind->layers[layer][group]; group++)
			for (const HybridTensor *tensor = kind->layers[layer][group]; tensor->name; tensor++)
			{
				snprintf(text, sizeof(text), "blk.%d.%s", layer, tensor->name);
				hybrid_add_tensor(&w, text, tensor, &random);
			}
	gw_finish(&w);
	fd = gw_memfd(w.file.data, w.file.len, path);
	gw_free(&w);
	return fd;
}

static inline TestModel
hybrid_model_open(const HybridKind *kind, const LlmModelOptions *options, const LlmKernels *kernels)
{
	char		path[64];
	int			fd = hybrid_model_file(kind, path);
	TestModel	t = test_model_open(path, options, kernels);

	close(fd);
	return t;
}

#endif
