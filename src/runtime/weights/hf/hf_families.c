/*
 * hf_families.c: the table of model classes, and what each has beyond the keys that all share.
 *
 * Source: transformers 5, configuration_*.py and modeling_*.py; llama.cpp, conversion/.
 */
#include "weights/hf/hf_families.h"

#include <json-c/json.h>
#include <math.h>
#include <string.h>

/* the configuration's own word for the feed-forward is the same for nearly all */
LlmStatus
llm_hf_dense(LlmHfParams *p)
{
	LLM_TRY(llm_hf_copy_uint(p, "intermediate_size", "feed_forward_length"));
	return llm_hf_copy_float(p, "rms_norm_eps|norm_eps", "attention.layer_norm_rms_epsilon");
}

LlmStatus
llm_hf_layer_norm(LlmHfParams *p)
{
	LLM_TRY(llm_hf_copy_uint(p, "intermediate_size|n_inner", "feed_forward_length"));
	return llm_hf_copy_float(p, "norm_eps|layer_norm_eps|layer_norm_epsilon|norm_epsilon", "attention.layer_norm_epsilon");
}

static LlmStatus
expert_counts(LlmHfParams *p)
{
	LLM_TRY(llm_hf_must_agree(&p->config, "num_local_experts|num_experts|n_routed_experts"));
	LLM_TRY(llm_hf_copy_uint(p, "num_local_experts|num_experts|n_routed_experts", "expert_count"));
	return llm_hf_copy_uint(p, "num_experts_per_tok", "expert_used_count");
}

LlmStatus
llm_hf_experts(LlmHfParams *p)
{
	LLM_TRY(expert_counts(p));
	return llm_hf_copy_bool(p, "norm_topk_prob", "expert_weights_norm");
}

static LlmStatus
mixtral(LlmHfParams *p)
{
	LLM_TRY(llm_hf_dense(p));
	return llm_hf_experts(p);
}

static LlmStatus
ministral3(LlmHfParams *p)
{
	struct json_object *rope = llm_hf_get(&p->config, "rope_parameters");
	struct json_object *beta;
	double		value;

	LLM_TRY(llm_hf_dense(p));
	if (!rope || !json_object_object_get_ex(rope, "llama_4_scaling_beta", &beta) || !beta)
		return LLM_OK;
	LLM_TRY(llm_hf_float_of(&p->config, beta, "llama_4_scaling_beta", &value));
	return llm_hf_put_float(p, "attention.temperature_scale", value);
}

LlmStatus
llm_hf_qwen_experts(LlmHfParams *p)
{
	struct json_object *dense_layers;

	/* the width of feed-forwards without experts, of which there are none: newer files do not say it */
	LLM_TRY(llm_hf_copy_uint(p, "intermediate_size|moe_intermediate_size", "feed_forward_length"));
	LLM_TRY(llm_hf_copy_float(p, "rms_norm_eps", "attention.layer_norm_rms_epsilon"));
	LLM_TRY(llm_hf_experts(p));
	LLM_TRY(llm_hf_copy_uint(p, "moe_intermediate_size", "expert_feed_forward_length"));
	LLM_TRY(llm_hf_copy_uint(p, "shared_expert_intermediate_size", "expert_shared_feed_forward_length"));
	LLM_TRY(llm_hf_must_equal(&p->config, "decoder_sparse_step", 1));
	dense_layers = llm_hf_get(&p->config, "mlp_only_layers");
	if (json_object_is_type(dense_layers, json_type_array) && json_object_array_length(dense_layers) > 0)
		return llm_hf_refuse(&p->config, "mlp_only_layers", dense_layers);
	return LLM_OK;
}

static LlmStatus
olmoe(LlmHfParams *p)
{
	LLM_TRY(llm_hf_dense(p));
	return llm_hf_experts(p);
}

static LlmStatus
gpt_oss(LlmHfParams *p)
{
	LLM_TRY(llm_hf_dense(p));
	LLM_TRY(llm_hf_experts(p));
	LLM_TRY(llm_hf_must_equal(&p->config, "swiglu_alpha", 1.702));
	LLM_TRY(llm_hf_must_equal(&p->config, "swiglu_limit", 7));
	(void) llm_hf_get(&p->config, "experts_per_token|initial_context_length");	/* the same again, and of training */
	return llm_hf_copy_uint(p, "intermediate_size", "expert_feed_forward_length");
}

/* the class that also sees images leaves the soft cap of logits out */
LlmStatus
llm_hf_gemma_keys(LlmHfParams *p)
{
	const bool	sees = strcmp(p->family->architecture, "Gemma3ForConditionalGeneration") == 0;
	double		scalar;
	bool		found;

	LLM_TRY(llm_hf_dense(p));
	LLM_TRY(llm_hf_float(&p->config, "query_pre_attn_scalar", &found, &scalar));
	if (found && scalar > 0)
		LLM_TRY(llm_hf_put_float(p, "attention.scale", 1 / sqrt(scalar)));
	(void) llm_hf_get(&p->config, "attn_logit_softcapping");	/* only the second generation has it in its scores */
	if (sees)
		(void) llm_hf_get(&p->config, "final_logit_softcapping");
	return sees ? LLM_OK : llm_hf_copy_float(p, "final_logit_softcapping", "final_logit_softcapping");
}

static LlmStatus
gemma(LlmHfParams *p)
{
	LLM_TRY(llm_hf_must_equal(&p->config, "use_bidirectional_attention", 0));
	return llm_hf_gemma_keys(p);
}

static LlmStatus
gemma1(LlmHfParams *p)
{
	LLM_TRY(llm_hf_must_equal(&p->config, "use_bidirectional_attention", 0));
	return llm_hf_dense(p);
}

/* soft caps that Gemma 2 takes from its row of the table unless metadata says otherwise: none is not something that GGUF can say */
static LlmStatus
gemma2(LlmHfParams *p)
{
	if (!llm_hf_get(&p->config, "attn_logit_softcapping") || !llm_hf_get(&p->config, "final_logit_softcapping"))
		return llm_fail(p->err, LLM_E_UNSUPPORTED, "Gemma 2 without attn_logit_softcapping or final_logit_softcapping in config.json is not supported");
	LLM_TRY(llm_hf_copy_float(p, "attn_logit_softcapping", "attn_logit_softcapping"));
	return gemma(p);
}

LlmStatus
llm_hf_granite_scales(LlmHfParams *p)
{
	LLM_TRY(llm_hf_copy_float(p, "attention_multiplier", "attention.scale"));
	LLM_TRY(llm_hf_copy_float(p, "embedding_multiplier", "embedding_scale"));
	LLM_TRY(llm_hf_copy_float(p, "residual_multiplier", "residual_scale"));
	return llm_hf_copy_float(p, "logits_scaling", "logit_scale");
}

static LlmStatus
granite(LlmHfParams *p)
{
	LLM_TRY(llm_hf_dense(p));
	return llm_hf_granite_scales(p);
}

static LlmStatus
cohere2(LlmHfParams *p)
{
	static const char *const on[] = {"use_gated_activation", "use_parallel_block", "rotary_pct"};

	LLM_TRY(llm_hf_layer_norm(p));
	for (size_t i = 0; i < sizeof(on) / sizeof(on[0]); i++)
		LLM_TRY(llm_hf_must_equal(&p->config, on[i], 1));
	LLM_TRY(llm_hf_must_be(&p->config, "position_embedding_type", "rope_gptj"));
	LLM_TRY(llm_hf_must_be(&p->config, "order_of_interleaved_layers", "local_attn_first"));
	LLM_TRY(llm_hf_must_equal(&p->config, "layer_switch", 4));
	return llm_hf_copy_float(p, "logit_scale", "logit_scale");
}

static LlmStatus
cohere(LlmHfParams *p)
{
	(void) llm_hf_get(&p->config, "use_qk_norm");	/* the tensors say it */
	LLM_TRY(llm_hf_layer_norm(p));
	return llm_hf_copy_float(p, "logit_scale", "logit_scale");
}

/* queries and keys are not normalised: that of Phi is over biases and weights of its own */
static LlmStatus
phi(LlmHfParams *p)
{
	LLM_TRY(llm_hf_layer_norm(p));
	return llm_hf_must_equal(&p->config, "qk_layernorm", 0);
}

static LlmStatus
gpt_neox(LlmHfParams *p)
{
	p->n_head_kv = p->n_head;
	LLM_TRY(llm_hf_layer_norm(p));
	return llm_hf_copy_bool(p, "use_parallel_residual", "use_parallel_residual");
}

/* four times the width where the file does not say it */
LlmStatus
llm_hf_wide_feed_forward(LlmHfParams *p, const char *key)
{
	uint64_t	n_ff = 4 * p->n_embd;
	bool		found;

	LLM_TRY(llm_hf_uint(&p->config, key, &found, &n_ff));
	return llm_hf_put_uint(p, "feed_forward_length", n_ff);
}

static LlmStatus
gpt2(LlmHfParams *p)
{
	static const char *const off[] = {"scale_attn_by_inverse_layer_idx", "add_cross_attention"};

	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
		LLM_TRY(llm_hf_must_equal(&p->config, off[i], 0));
	LLM_TRY(llm_hf_must_equal(&p->config, "scale_attn_weights", 1));
	(void) llm_hf_get(&p->config, "reorder_and_upcast_attn|n_ctx");	/* the order of a product; the same as n_positions */
	LLM_TRY(llm_hf_copy_float(p, "layer_norm_epsilon", "attention.layer_norm_epsilon"));
	LLM_TRY(llm_hf_put_uint(p, "attention.head_count", p->n_head));
	return llm_hf_wide_feed_forward(p, "n_inner");
}

/* the blocks are in parallel in all but the smallest models of the class, which have ALiBi too */
static LlmStatus
falcon(LlmHfParams *p)
{
	bool		grouped = false;
	bool		one = true;
	bool		found;
	uint64_t	n_kv = p->n_head;

	LLM_TRY(llm_hf_must_equal(&p->config, "alibi", 0));
	LLM_TRY(llm_hf_must_equal(&p->config, "parallel_attn", 1));
	LLM_TRY(llm_hf_bool(&p->config, "new_decoder_architecture", &found, &grouped));
	LLM_TRY(llm_hf_bool(&p->config, "multi_query", &found, &one));
	LLM_TRY(llm_hf_uint(&p->config, "num_kv_heads|n_head_kv", &found, &n_kv));
	(void) llm_hf_get(&p->config, "num_ln_in_parallel_attn|bias");	/* the tensors say it */
	p->n_head_kv = grouped || !one ? n_kv : 1;
	if (p->n_head_kv == 0)
		return llm_fail(p->err, LLM_E_FORMAT, "key \"num_kv_heads\" of config.json is 0");
	LLM_TRY(llm_hf_copy_float(p, "layer_norm_epsilon", "attention.layer_norm_epsilon"));
	return llm_hf_wide_feed_forward(p, "ffn_hidden_size");
}

/* of images; a text has none */
static void
ignore_images(LlmHfParams *p)
{
	(void) llm_hf_get(&p->config, "vision_config|image_token_id|video_token_id|vision_start_token_id|vision_end_token_id|vision_token_id");
}

static LlmStatus
qwen_vl(LlmHfParams *p)
{
	ignore_images(p);
	return llm_hf_dense(p);
}

/* its norms have no weights, and an epsilon that is not in the file */
static LlmStatus
olmo(LlmHfParams *p)
{
	double		limit;
	bool		found;

	LLM_TRY(llm_hf_copy_uint(p, "intermediate_size", "feed_forward_length"));
	LLM_TRY(llm_hf_put_float(p, "attention.layer_norm_epsilon", 1e-5));
	LLM_TRY(llm_hf_float(&p->config, "clip_qkv", &found, &limit));
	if (found && limit <= 0)
		return llm_hf_refuse(&p->config, "clip_qkv", llm_hf_get(&p->config, "clip_qkv"));
	return found ? llm_hf_put_float(p, "attention.clamp_kqv", limit) : LLM_OK;
}

static LlmStatus
starcoder2(LlmHfParams *p)
{
	(void) llm_hf_get(&p->config, "activation_function");	/* of the model before it; hidden_act counts */
	LLM_TRY(llm_hf_must_be(&p->config, "mlp_type", "default"));
	LLM_TRY(llm_hf_must_be(&p->config, "norm_type", "layer_norm"));
	return llm_hf_layer_norm(p);
}

/* norms of heads are known by their tensors */
static LlmStatus
stablelm(LlmHfParams *p)
{
	(void) llm_hf_get(&p->config, "qk_layernorm|use_qkv_bias");
	LLM_TRY(llm_hf_layer_norm(p));
	return llm_hf_must_equal(&p->config, "use_parallel_residual", 0);
}

static LlmStatus
seed_oss(LlmHfParams *p)
{
	(void) llm_hf_get(&p->config, "attention_out_bias");	/* the tensors say it */
	return llm_hf_dense(p);
}

/* one layer in so many goes without rope; what the architecture's row says must be what the file says */
static LlmStatus
smollm3(LlmHfParams *p)
{
	struct json_object *list = llm_hf_get(&p->config, "no_rope_layers");

	LLM_TRY(llm_hf_dense(p));
	if (!json_object_is_type(list, json_type_array))
		return llm_hf_must_equal(&p->config, "no_rope_layer_interval", 4);
	(void) llm_hf_get(&p->config, "no_rope_layer_interval");
	for (uint64_t i = 0; i < p->n_layer && i < json_object_array_length(list); i++)
		if ((json_object_get_int(json_object_array_get_idx(list, i)) != 0) != ((i + 1) % 4 != 0))
			return llm_hf_refuse(&p->config, "no_rope_layers", list);
	return LLM_OK;
}

/* ---- DeepSeek ---- */

static LlmStatus
latent_sizes(LlmHfParams *p)
{
	uint64_t	rank = 512;
	uint64_t	keys;
	uint64_t	rotated;
	uint64_t	values;

	LLM_TRY(llm_hf_required(&p->config, "kv_lora_rank", &rank));
	LLM_TRY(llm_hf_required(&p->config, "qk_nope_head_dim", &keys));
	LLM_TRY(llm_hf_required(&p->config, "qk_rope_head_dim", &rotated));
	LLM_TRY(llm_hf_required(&p->config, "v_head_dim", &values));
	(void) llm_hf_get(&p->config, "qk_head_dim|head_dim");	/* follow from those */
	p->kv_b_keys = keys;
	p->kv_b_values = values;
	p->head_dim = rotated;		/* what turns */
	p->n_head_kv = 1;
	LLM_TRY(llm_hf_copy_uint(p, "q_lora_rank", "attention.q_lora_rank"));
	LLM_TRY(llm_hf_put_uint(p, "attention.kv_lora_rank", rank));
	LLM_TRY(llm_hf_put_uint(p, "attention.head_count", p->n_head));
	LLM_TRY(llm_hf_put_uint(p, "attention.head_count_kv", 1));
	LLM_TRY(llm_hf_put_uint(p, "attention.key_length", rank + rotated));
	LLM_TRY(llm_hf_put_uint(p, "attention.value_length", rank));
	LLM_TRY(llm_hf_put_uint(p, "attention.key_length_mla", keys + rotated));
	return llm_hf_put_uint(p, "attention.value_length_mla", values);
}

LlmStatus
llm_hf_deepseek(LlmHfParams *p)
{
	LLM_TRY(llm_hf_dense(p));
	LLM_TRY(latent_sizes(p));
	if (strcmp(p->family->architecture, "DeepseekV2ForCausalLM") == 0)
		(void) llm_hf_get(&p->config, "norm_topk_prob");	/* the class does not compute with it */
	else
		LLM_TRY(llm_hf_copy_bool(p, "norm_topk_prob", "expert_weights_norm"));
	LLM_TRY(expert_counts(p));
	LLM_TRY(llm_hf_must_equal(&p->config, "moe_layer_freq", 1));
	LLM_TRY(llm_hf_must_equal(&p->config, "rope_interleave", 1));
	(void) llm_hf_get(&p->config, "num_nextn_predict_layers");
	LLM_TRY(llm_hf_copy_uint(p, "moe_intermediate_size", "expert_feed_forward_length"));
	LLM_TRY(llm_hf_copy_uint(p, "n_shared_experts", "expert_shared_count"));
	LLM_TRY(llm_hf_copy_uint(p, "first_k_dense_replace", "leading_dense_block_count"));
	LLM_TRY(llm_hf_copy_float(p, "routed_scaling_factor", "expert_weights_scale"));
	return llm_hf_rope(p);
}

LlmStatus
llm_hf_expert_groups(LlmHfParams *p)
{
	LLM_TRY(llm_hf_copy_uint(p, "n_group", "expert_group_count"));
	return llm_hf_copy_uint(p, "topk_group", "expert_group_used_count");
}

static LlmStatus
deepseek_v2(LlmHfParams *p)
{
	struct json_object *method = llm_hf_get(&p->config, "topk_method");
	const char *name = method ? json_object_get_string(method) : "greedy";

	LLM_TRY(llm_hf_deepseek(p));
	LLM_TRY(llm_hf_must_be(&p->config, "scoring_func", "softmax"));
	LLM_TRY(llm_hf_put_uint(p, "expert_gating_func", 1));
	if (strcmp(name, "group_limited_greedy") == 0)
		return llm_hf_expert_groups(p);
	(void) llm_hf_get(&p->config, "n_group|topk_group");	/* not used by the plain method */
	return strcmp(name, "greedy") == 0 ? LLM_OK : llm_hf_refuse(&p->config, "topk_method", method);
}

static LlmStatus
deepseek_v3(LlmHfParams *p)
{
	LLM_TRY(llm_hf_deepseek(p));
	LLM_TRY(llm_hf_must_be(&p->config, "topk_method", "noaux_tc"));
	LLM_TRY(llm_hf_must_be(&p->config, "scoring_func", "sigmoid"));
	LLM_TRY(llm_hf_put_uint(p, "expert_gating_func", 2));
	return llm_hf_expert_groups(p);
}

/* ---- the table ---- */

#define LLAMA_LIKE (LLM_HF_HAS_ROPE | LLM_HF_HAS_WINDOWS)
#define PAIRS llm_hf_rules_rope_pairs
#define COMMON llm_hf_rules_llama
#define ENCODER LLM_HF_IS_ENCODER
#define DELTA_DEFAULTS \
	"{\"head_dim\": 256, \"partial_rotary_factor\": 0.25, \"linear_conv_kernel_dim\": 4, \"linear_key_head_dim\": 128, "\
	"\"linear_value_head_dim\": 128, \"linear_num_key_heads\": 16, \"linear_num_value_heads\": 32, \"rms_norm_eps\": 1e-06}"
#define GEMMA3_DEFAULTS \
	"{\"head_dim\": 256, \"query_pre_attn_scalar\": 256, \"sliding_window\": 4096, \"rope_theta\": 1000000.0, \"num_attention_heads\": 8, "\
	"\"num_key_value_heads\": 4, \"vocab_size\": 262208, \"max_position_embeddings\": 131072, \"rms_norm_eps\": 1e-06, "\
	"\"tie_word_embeddings\": true}"

#define MPT_DEFAULTS "{\"tie_word_embeddings\": true, \"layer_norm_epsilon\": 1e-05, \"max_seq_len\": 2048}"
#define PHIMOE_DEFAULTS \
	"{\"rope_theta\": 1000000.0, \"num_local_experts\": 16, \"num_experts_per_tok\": 2, \"router_jitter_noise\": 0.01, \"rms_norm_eps\": 1e-05}"
#define LLAMA4_DEFAULTS \
	"{\"head_dim\": 128, \"rope_theta\": 500000.0, \"intermediate_size_mlp\": 16384, \"num_local_experts\": 16, \"num_experts_per_tok\": 1, "\
	"\"interleave_moe_layer_step\": 1, \"use_qk_norm\": true, \"no_rope_layer_interval\": 4, \"attention_chunk_size\": 8192, "\
	"\"attn_temperature_tuning\": true, \"floor_scale\": 8192, \"attn_scale\": 0.1, \"rms_norm_eps\": 1e-05}"
#define JAMBA_DEFAULTS \
	"{\"mamba_d_state\": 16, \"mamba_d_conv\": 4, \"mamba_expand\": 2, \"num_experts\": 16, \"num_experts_per_tok\": 2, \"attn_layer_period\": 8, "\
	"\"attn_layer_offset\": 4, \"expert_layer_period\": 2, \"expert_layer_offset\": 1, \"rms_norm_eps\": 1e-06}"
#define FALCON_H1_DEFAULTS \
	"{\"mamba_n_heads\": 128, \"mamba_d_head\": \"auto\", \"mamba_n_groups\": 1, \"mamba_d_state\": 256, \"mamba_d_conv\": 4, "\
	"\"mamba_rms_norm\": false, \"mamba_norm_before_gate\": true, \"rms_norm_eps\": 1e-05}"

#define GRANITE_DEFAULTS \
	"{\"attention_multiplier\": 1.0, \"rms_norm_eps\": 1e-06"
#define SIGMOID_DEFAULTS \
	"{\"rms_norm_eps\": 1e-05, \"norm_topk_prob\": true, \"n_group\": 1, \"topk_group\": 1, "

static const LlmHfFamily families[] = {
	{"LlamaForCausalLM", "llama", {PAIRS, COMMON}, "silu|swish", LLAMA_LIKE, NULL, llm_hf_dense},
	{"LLaMAForCausalLM", "llama", {PAIRS, COMMON}, "silu|swish", LLAMA_LIKE, NULL, llm_hf_dense},
	{"MistralForCausalLM", "llama", {PAIRS, COMMON}, "silu", LLAMA_LIKE, NULL, llm_hf_dense},
	{"LlamaModel", "llama", {PAIRS, COMMON}, "silu|swish", LLAMA_LIKE, NULL, llm_hf_dense},
	{"MistralModel", "llama", {PAIRS, COMMON}, "silu", LLAMA_LIKE, NULL, llm_hf_dense},
	{"MixtralForCausalLM", "llama", {llm_hf_rules_mixtral, PAIRS, COMMON}, "silu", LLAMA_LIKE, "{\"rope_theta\": 1000000.0}", mixtral},
	{"Ministral3ForCausalLM", "mistral3", {PAIRS, COMMON}, "silu", LLAMA_LIKE, NULL, ministral3},
	{"Mistral3ForConditionalGeneration", "mistral3", {llm_hf_rules_text_part, PAIRS, COMMON}, "silu", LLAMA_LIKE, NULL, ministral3},
	{"Qwen2ForCausalLM", "qwen2", {COMMON}, "silu", LLAMA_LIKE, "{\"use_sliding_window\": false}", llm_hf_dense},
	{"Qwen2Model", "qwen2", {COMMON}, "silu", LLAMA_LIKE, "{\"use_sliding_window\": false}", llm_hf_dense},
	{"Qwen2MoeForCausalLM", "qwen2moe", {llm_hf_rules_experts, COMMON}, "silu", LLAMA_LIKE, "{\"use_sliding_window\": false}", llm_hf_qwen_experts},
	{"Qwen3ForCausalLM", "qwen3", {COMMON}, "silu", LLAMA_LIKE, "{\"head_dim\": 128, \"use_sliding_window\": false}", llm_hf_dense},
	{"Qwen3Model", "qwen3", {COMMON}, "silu", LLAMA_LIKE, "{\"head_dim\": 128, \"use_sliding_window\": false}", llm_hf_dense},
	{"Qwen3MoeForCausalLM", "qwen3moe", {llm_hf_rules_experts, COMMON}, "silu", LLAMA_LIKE,
	"{\"norm_topk_prob\": false, \"use_sliding_window\": false}", llm_hf_qwen_experts},
	{"Qwen3NextForCausalLM", "qwen3next", {llm_hf_rules_delta_net, llm_hf_rules_experts, COMMON}, "silu", LLM_HF_HAS_ROPE, DELTA_DEFAULTS,
	llm_hf_qwen3_next},
	{"Qwen3_5ForCausalLM", "qwen35", {llm_hf_rules_delta_net, COMMON}, "silu", LLM_HF_HAS_ROPE, DELTA_DEFAULTS, llm_hf_qwen3_5},
	{"Qwen3_5ForConditionalGeneration", "qwen35", {llm_hf_rules_text_part, llm_hf_rules_delta_net, COMMON}, "silu", LLM_HF_HAS_ROPE,
	DELTA_DEFAULTS, llm_hf_qwen3_5},
	{"Qwen3_5MoeForCausalLM", "qwen35moe", {llm_hf_rules_delta_net, llm_hf_rules_experts, COMMON}, "silu", LLM_HF_HAS_ROPE, DELTA_DEFAULTS,
	llm_hf_qwen3_next},
	{"Qwen3_5MoeForConditionalGeneration", "qwen35moe", {llm_hf_rules_text_part, llm_hf_rules_delta_net, llm_hf_rules_experts, COMMON}, "silu",
	LLM_HF_HAS_ROPE, DELTA_DEFAULTS, llm_hf_qwen3_next},
	{"LlamaForSequenceClassification", "llama", {llm_hf_rules_score, PAIRS, COMMON}, "silu|swish", LLAMA_LIKE | LLM_HF_HAS_CLASSIFIER, NULL,
	llm_hf_dense},
	{"Qwen2ForSequenceClassification", "qwen2", {llm_hf_rules_score, COMMON}, "silu", LLAMA_LIKE | LLM_HF_HAS_CLASSIFIER,
	"{\"use_sliding_window\": false}", llm_hf_dense},
	{"Qwen3ForSequenceClassification", "qwen3", {llm_hf_rules_score, COMMON}, "silu", LLAMA_LIKE | LLM_HF_HAS_CLASSIFIER,
	"{\"head_dim\": 128, \"use_sliding_window\": false}", llm_hf_dense},
	{"Gemma2ForCausalLM", "gemma2", {llm_hf_rules_gemma, COMMON}, "gelu_pytorch_tanh|gelu_new|gelu_fast", LLAMA_LIKE,
	"{\"head_dim\": 256, \"query_pre_attn_scalar\": 256, \"sliding_window\": 4096, \"tie_word_embeddings\": true}", gemma2},
	{"Gemma3ForCausalLM", "gemma3", {llm_hf_rules_gemma, COMMON}, "gelu_pytorch_tanh|gelu_new|gelu_fast", LLAMA_LIKE,
	GEMMA3_DEFAULTS, gemma},
	{"Gemma3ForConditionalGeneration", "gemma3", {llm_hf_rules_text_part, llm_hf_rules_gemma, COMMON}, "gelu_pytorch_tanh|gelu_new|gelu_fast", LLAMA_LIKE,
	GEMMA3_DEFAULTS, gemma},
	{"GemmaForCausalLM", "gemma", {llm_hf_rules_gemma1, COMMON}, "gelu_pytorch_tanh|gelu|gelu_new|gelu_fast", LLM_HF_HAS_ROPE,
	"{\"head_dim\": 256, \"tie_word_embeddings\": true, \"rms_norm_eps\": 1e-06}", gemma1},
	{"ArceeForCausalLM", "arcee", {PAIRS, COMMON}, "relu2", LLM_HF_HAS_ROPE, NULL, llm_hf_dense},
	{"Ernie4_5ForCausalLM", "ernie4_5", {COMMON}, "silu", LLM_HF_HAS_ROPE, "{\"tie_word_embeddings\": true, \"rope_theta\": 500000.0}",
	llm_hf_dense},
	{"Ernie4_5_ForCausalLM", "ernie4_5", {COMMON}, "silu", LLM_HF_HAS_ROPE, "{\"tie_word_embeddings\": true, \"rope_theta\": 500000.0}",
	llm_hf_dense},
	{"Ernie4_5_MoeForCausalLM", "ernie4_5-moe", {llm_hf_rules_ernie_experts, llm_hf_rules_experts, COMMON}, "silu", LLM_HF_HAS_ROPE,
	"{\"tie_word_embeddings\": true, \"rope_theta\": 500000.0, \"rms_norm_eps\": 1e-05, \"moe_num_experts\": 64, \"moe_k\": 6, "
	"\"moe_intermediate_size\": 1536, \"moe_num_shared_experts\": 2, \"moe_layer_start_index\": 1}", llm_hf_ernie_experts},
	{"HunYuanDenseV1ForCausalLM", "hunyuan-dense", {llm_hf_rules_hunyuan, COMMON}, "silu", LLM_HF_HAS_ROPE, NULL, llm_hf_hunyuan},
	{"HunYuanMoEV1ForCausalLM", "hunyuan-moe", {llm_hf_rules_hunyuan, llm_hf_rules_hunyuan_experts, llm_hf_rules_experts, COMMON}, "silu",
	LLM_HF_HAS_ROPE, "{\"rms_norm_eps\": 1e-05}", llm_hf_hunyuan_experts},
	{"SeedOssForCausalLM", "seed_oss", {llm_hf_rules_second_norm, COMMON}, "silu", LLM_HF_HAS_ROPE, NULL, seed_oss},
	{"CohereForCausalLM", "command-r", {COMMON}, "silu", LLM_HF_HAS_ROPE,
	"{\"tie_word_embeddings\": true, \"logit_scale\": 0.0625, \"rope_theta\": 500000.0}", cohere},
	{"PhiForCausalLM", "phi2", {llm_hf_rules_phi, COMMON}, "gelu_new|gelu_pytorch_tanh|gelu_fast", LLM_HF_HAS_ROPE, "{\"partial_rotary_factor\": 0.5}", phi},
	{"Starcoder2ForCausalLM", "starcoder2", {llm_hf_rules_starcoder2, COMMON}, "gelu_pytorch_tanh|gelu_new|gelu_fast", LLAMA_LIKE,
	"{\"tie_word_embeddings\": true}", starcoder2},
	{"StableLmForCausalLM", "stablelm", {llm_hf_rules_stablelm, COMMON}, "silu", LLM_HF_HAS_ROPE, "{\"partial_rotary_factor\": 0.25}", stablelm},
	{"GPTNeoXForCausalLM", "gptneox", {llm_hf_rules_gpt_neox}, "gelu", LLM_HF_HAS_ROPE, "{\"partial_rotary_factor\": 0.25}", gpt_neox},
	{"GPT2LMHeadModel", "gpt2", {llm_hf_rules_gpt2}, "gelu_new|gelu_pytorch_tanh|gelu_fast", 0,
	"{\"tie_word_embeddings\": true, \"layer_norm_epsilon\": 1e-05, \"n_positions\": 1024}", gpt2},
	{"FalconForCausalLM", "falcon", {llm_hf_rules_falcon}, "gelu", LLM_HF_HAS_ROPE,
	"{\"tie_word_embeddings\": true, \"layer_norm_epsilon\": 1e-05, \"max_position_embeddings\": 2048}", falcon},
	{"BloomForCausalLM", "bloom", {llm_hf_rules_bloom}, NULL, 0, "{\"tie_word_embeddings\": true, \"layer_norm_epsilon\": 1e-05}", llm_hf_bloom},
	{"MptForCausalLM", "mpt", {llm_hf_rules_mpt}, NULL, 0, MPT_DEFAULTS, llm_hf_mpt},
	{"MPTForCausalLM", "mpt", {llm_hf_rules_mpt}, NULL, 0, MPT_DEFAULTS, llm_hf_mpt},
	{"GPTBigCodeForCausalLM", "starcoder", {llm_hf_rules_big_code}, "gelu_pytorch_tanh|gelu_new|gelu_fast", 0,
	"{\"tie_word_embeddings\": true, \"layer_norm_epsilon\": 1e-05, \"n_positions\": 1024}", llm_hf_big_code},
	{"PhimoeForCausalLM", "phimoe", {llm_hf_rules_mixtral, COMMON}, "silu", LLAMA_LIKE, PHIMOE_DEFAULTS, llm_hf_phimoe},
	{"PhiMoEForCausalLM", "phimoe", {llm_hf_rules_mixtral, COMMON}, "silu", LLAMA_LIKE, PHIMOE_DEFAULTS, llm_hf_phimoe},
	{"Llama4ForCausalLM", "llama4", {llm_hf_rules_llama4, COMMON}, "silu", LLM_HF_HAS_ROPE, LLAMA4_DEFAULTS, llm_hf_llama4},
	{"Llama4ForConditionalGeneration", "llama4", {llm_hf_rules_text_part, llm_hf_rules_llama4, COMMON}, "silu", LLM_HF_HAS_ROPE, LLAMA4_DEFAULTS,
	llm_hf_llama4},
	{"MambaForCausalLM", "mamba", {llm_hf_rules_mamba1}, "silu", 0,
	"{\"tie_word_embeddings\": true, \"conv_kernel\": 4, \"state_size\": 16, \"layer_norm_epsilon\": 1e-05}", llm_hf_mamba1},
	{"FalconMambaForCausalLM", "mamba", {llm_hf_rules_mamba1}, "silu", 0,
	"{\"tie_word_embeddings\": true, \"conv_kernel\": 4, \"state_size\": 16, \"layer_norm_epsilon\": 1e-05}", llm_hf_mamba1},
	{"JambaForCausalLM", "jamba", {llm_hf_rules_jamba, COMMON}, "silu", 0, JAMBA_DEFAULTS, llm_hf_jamba},
	{"FalconH1ForCausalLM", "falcon-h1", {llm_hf_rules_falcon_h1, llm_hf_rules_granite_mamba, COMMON}, "silu", LLM_HF_HAS_ROPE, FALCON_H1_DEFAULTS,
	llm_hf_falcon_h1},
	{"ApertusForCausalLM", "apertus", {llm_hf_rules_apertus, COMMON}, "xielu", LLM_HF_HAS_ROPE, "{\"rms_norm_eps\": 1e-05}", llm_hf_dense},
	{"GlmForCausalLM", "chatglm", {COMMON}, "silu", LLM_HF_HAS_ROPE,
	"{\"partial_rotary_factor\": 0.5, \"head_dim\": 128, \"num_key_value_heads\": 2, \"rms_norm_eps\": 1.5625e-07}", llm_hf_dense},
	{"Qwen2VLForConditionalGeneration", "qwen2vl", {llm_hf_rules_text_part, COMMON}, "silu", LLAMA_LIKE, "{\"use_sliding_window\": false}", qwen_vl},
	{"Qwen2_5_VLForConditionalGeneration", "qwen2vl", {llm_hf_rules_text_part, COMMON}, "silu", LLAMA_LIKE, "{\"use_sliding_window\": false}",
	qwen_vl},
	{"Qwen3VLForConditionalGeneration", "qwen3vl", {llm_hf_rules_text_part, COMMON}, "silu", LLM_HF_HAS_ROPE,
	"{\"head_dim\": 128, \"rope_theta\": 500000.0}", llm_hf_dense},
	{"Qwen3VLMoeForConditionalGeneration", "qwen3vlmoe", {llm_hf_rules_text_part, llm_hf_rules_qwen3_vl_experts, llm_hf_rules_experts, COMMON}, "silu",
	LLM_HF_HAS_ROPE, "{\"rope_theta\": 500000.0}", llm_hf_qwen_experts},
	{"OlmoForCausalLM", "olmo", {PAIRS, COMMON}, "silu", LLM_HF_HAS_ROPE, NULL, olmo},
	{"MiniMaxM2ForCausalLM", "minimax-m2", {llm_hf_rules_minimax, llm_hf_rules_mixtral, COMMON}, "silu", LLM_HF_HAS_ROPE,
	"{\"partial_rotary_factor\": 1.0, \"head_dim\": 128}", llm_hf_minimax_m2},
	{"Phi3ForCausalLM", "phi3", {COMMON}, "silu", LLAMA_LIKE, "{\"partial_rotary_factor\": 1.0}", llm_hf_dense},
	{"NemotronForCausalLM", "nemotron", {llm_hf_rules_nemotron, COMMON}, "relu2", LLM_HF_HAS_ROPE, "{\"partial_rotary_factor\": 0.5}",
	llm_hf_layer_norm},
	{"SmolLM3ForCausalLM", "smollm3", {PAIRS, COMMON}, "silu", LLAMA_LIKE,
	"{\"tie_word_embeddings\": true, \"use_sliding_window\": false, \"rope_theta\": 2000000.0}", smollm3},
	{"GraniteForCausalLM", "granite", {PAIRS, COMMON}, "silu", LLM_HF_HAS_ROPE, GRANITE_DEFAULTS "}", granite},
	{"GraniteMoeForCausalLM", "granitemoe", {llm_hf_rules_granite_experts, PAIRS, COMMON}, "silu", LLM_HF_HAS_ROPE, GRANITE_DEFAULTS "}",
	llm_hf_granite_experts},
	{"GraniteMoeSharedForCausalLM", "granitemoe", {llm_hf_rules_granite_experts, PAIRS, COMMON}, "silu", LLM_HF_HAS_ROPE,
	GRANITE_DEFAULTS "}", llm_hf_granite_experts},
	{"GraniteMoeHybridForCausalLM", "granitehybrid", {llm_hf_rules_granite_experts, llm_hf_rules_granite_mamba, PAIRS, COMMON}, "silu",
	LLM_HF_HAS_ROPE, GRANITE_DEFAULTS ", \"shared_intermediate_size\": 1024, \"num_local_experts\": 8, \"num_experts_per_tok\": 2, "
	"\"mamba_n_heads\": 128, \"mamba_d_head\": \"auto\", \"mamba_d_state\": 256, \"mamba_d_conv\": 4, \"mamba_n_groups\": 1}",
	llm_hf_granite_hybrid},
	{"GptOssForCausalLM", "gpt-oss", {llm_hf_rules_gpt_oss, COMMON}, "silu", LLAMA_LIKE, "{\"rope_theta\": 150000.0}", gpt_oss},
	{"OlmoeForCausalLM", "olmoe", {llm_hf_rules_experts, COMMON}, "silu", LLM_HF_HAS_ROPE, "{\"norm_topk_prob\": false}", olmoe},
	{"Olmo2ForCausalLM", "olmo2", {llm_hf_rules_olmo2, COMMON}, "silu", LLAMA_LIKE, NULL, llm_hf_dense},
	{"Olmo3ForCausalLM", "olmo2", {llm_hf_rules_olmo2, COMMON}, "silu", LLAMA_LIKE, "{\"sliding_window\": 4096}", llm_hf_dense},
	{"Glm4ForCausalLM", "glm4", {llm_hf_rules_glm4, COMMON}, "silu", LLM_HF_HAS_ROPE, "{\"partial_rotary_factor\": 0.5}", llm_hf_dense},
	{"Glm4MoeForCausalLM", "glm4moe", {llm_hf_rules_second_norm, llm_hf_rules_experts, COMMON}, "silu", LLM_HF_HAS_ROPE | LLM_HF_HAS_NEXT,
	SIGMOID_DEFAULTS "\"first_k_dense_replace\": 1, \"n_shared_experts\": 1, \"partial_rotary_factor\": 0.5}", llm_hf_glm4_experts},
	{"Glm4MoeLiteForCausalLM", "deepseek2", {llm_hf_rules_deepseek, llm_hf_rules_experts, COMMON}, "silu", LLM_HF_HAS_NEXT,
	SIGMOID_DEFAULTS "\"first_k_dense_replace\": 1, \"n_shared_experts\": 1, \"q_lora_rank\": 768, \"routed_scaling_factor\": 1.8}",
	llm_hf_glm4_lite},
	{"Dots1ForCausalLM", "dots1", {llm_hf_rules_experts, COMMON}, "silu", LLM_HF_HAS_ROPE,
	"{\"rms_norm_eps\": 1e-06, \"n_shared_experts\": 0, \"norm_topk_prob\": false, \"sliding_window\": 4096, \"max_window_layers\": 62}", llm_hf_dots1},
	{"Exaone4ForCausalLM", "exaone4", {llm_hf_rules_olmo2, COMMON}, "silu", LLAMA_LIKE, "{\"rms_norm_eps\": 1e-05, \"sliding_window\": 4096}",
	llm_hf_dense},
	{"Cohere2ForCausalLM", "cohere2", {COMMON}, "silu", LLAMA_LIKE, "{\"tie_word_embeddings\": true, \"logit_scale\": 0.0625}", cohere2},
	{"DeepseekV2ForCausalLM", "deepseek2", {llm_hf_rules_deepseek, llm_hf_rules_experts, COMMON}, "silu", 0,
	"{\"rms_norm_eps\": 1e-06}", deepseek_v2},
	{"DeepseekV3ForCausalLM", "deepseek2", {llm_hf_rules_deepseek, llm_hf_rules_experts, COMMON}, "silu", LLM_HF_HAS_NEXT,
	"{\"rms_norm_eps\": 1e-06}", deepseek_v3},
	{"Mamba2ForCausalLM", "mamba2", {llm_hf_rules_mamba2}, "silu", 0, "{\"n_groups\": 1, \"conv_kernel\": 4}", llm_hf_mamba2},
	{"NemotronHForCausalLM", "nemotron_h", {llm_hf_rules_mamba2, llm_hf_rules_nemotron_h}, NULL, 0, "{\"conv_kernel\": 4}", llm_hf_nemotron_h},
	{"Lfm2ForCausalLM", "lfm2", {llm_hf_rules_lfm2, COMMON}, NULL, 0, "{\"tie_word_embeddings\": true, \"rope_theta\": 1000000.0}", llm_hf_lfm2},
	{"Lfm2MoeForCausalLM", "lfm2moe", {llm_hf_rules_lfm2_experts, llm_hf_rules_lfm2, COMMON}, NULL, 0,
	"{\"tie_word_embeddings\": true, \"rope_theta\": 1000000.0, \"norm_eps\": 1e-05, \"conv_L_cache\": 3, \"num_dense_layers\": 2, "
	"\"norm_topk_prob\": true}", llm_hf_lfm2_experts},
	{"BertModel", "bert", {llm_hf_rules_bert}, "gelu", ENCODER, NULL, llm_hf_bert},
	{"BertForMaskedLM", "bert", {llm_hf_rules_bert}, "gelu", ENCODER, NULL, llm_hf_bert},
	{"BertForSequenceClassification", "bert", {llm_hf_rules_bert_classifier, llm_hf_rules_bert}, "gelu",
	ENCODER | LLM_HF_HAS_CLASSIFIER, NULL, llm_hf_bert},
	{"RobertaModel", "bert", {llm_hf_rules_bert}, "gelu", ENCODER | LLM_HF_OFFSET_POSITIONS, NULL, llm_hf_bert},
	{"RobertaForSequenceClassification", "bert", {llm_hf_rules_roberta, llm_hf_rules_bert}, "gelu",
	ENCODER | LLM_HF_OFFSET_POSITIONS | LLM_HF_HAS_CLASSIFIER, NULL, llm_hf_bert},
	{"XLMRobertaModel", "bert", {llm_hf_rules_bert}, "gelu", ENCODER | LLM_HF_OFFSET_POSITIONS, NULL, llm_hf_bert},
	{"XLMRobertaForSequenceClassification", "bert", {llm_hf_rules_roberta, llm_hf_rules_bert}, "gelu",
	ENCODER | LLM_HF_OFFSET_POSITIONS | LLM_HF_HAS_CLASSIFIER, NULL, llm_hf_bert},
	{"Gemma3TextModel", "gemma-embedding", {llm_hf_rules_dense_after, llm_hf_rules_gemma, COMMON}, "gelu_pytorch_tanh|gelu_new|gelu_fast",
	LLAMA_LIKE | ENCODER, GEMMA3_DEFAULTS, llm_hf_gemma_embedding},
	{"EuroBertModel", "eurobert", {COMMON}, "silu", ENCODER | LLM_HF_HAS_ROPE, NULL, llm_hf_eurobert},
	{"JinaEmbeddingsV3Model", "jina-bert-v3", {llm_hf_rules_jina_v3, llm_hf_rules_nomic_bert, llm_hf_rules_bert}, "gelu",
	ENCODER | LLM_HF_HAS_ROPE, NULL, llm_hf_jina_v3},
	{"NomicBertModel", "nomic-bert", {llm_hf_rules_nomic_bert, llm_hf_rules_bert}, NULL, ENCODER | LLM_HF_HAS_ROPE, NULL, llm_hf_nomic_bert},
	{"ModernBertModel", "modern-bert", {llm_hf_rules_modern_bert}, "gelu", ENCODER | LLM_HF_HAS_ROPE,
	"{\"rope_theta\": 160000.0, \"local_rope_theta\": 10000.0}", llm_hf_modern_bert},
	{"ModernBertForMaskedLM", "modern-bert", {llm_hf_rules_modern_bert}, "gelu", ENCODER | LLM_HF_HAS_ROPE,
	"{\"rope_theta\": 160000.0, \"local_rope_theta\": 10000.0}", llm_hf_modern_bert},
	{"ModernBertForSequenceClassification", "modern-bert", {llm_hf_rules_modern_bert_classifier, llm_hf_rules_modern_bert}, "gelu",
	ENCODER | LLM_HF_HAS_ROPE | LLM_HF_HAS_CLASSIFIER, "{\"rope_theta\": 160000.0, \"local_rope_theta\": 10000.0}", llm_hf_modern_bert},
};

const LlmHfFamily *
llm_hf_family(const char *architecture)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		if (strcmp(families[i].architecture, architecture) == 0)
			return &families[i];
	return NULL;
}

const LlmHfFamily *
llm_hf_family_at(size_t i)
{
	return i < sizeof(families) / sizeof(families[0]) ? &families[i] : NULL;
}
