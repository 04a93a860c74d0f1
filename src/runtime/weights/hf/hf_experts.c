/*
 * hf_experts.c: configurations of models with experts whose keys are their own: Granite, GLM, ERNIE, Hunyuan, dots.llm1, MiniMax,
 * Phi 3.5, Llama 4.
 *
 * Source: transformers 5, configuration_*.py and modeling_*.py; llama.cpp, conversion/.
 */
#include "weights/hf/hf_families.h"

#include <json-c/json.h>
#include <string.h>

/* ---- Granite ---- */

LlmStatus
llm_hf_granite_experts(LlmHfParams *p)
{
	LLM_TRY(llm_hf_dense(p));
	LLM_TRY(llm_hf_experts(p));
	LLM_TRY(llm_hf_copy_uint(p, "shared_intermediate_size", "expert_shared_feed_forward_length"));
	return llm_hf_granite_scales(p);
}

/* which layers attend; where none are listed all are a state space */
static LlmStatus
hybrid_layers(LlmHfParams *p, bool **attends, bool *recurrent)
{
	bool	   *known;
	void	   *ptr;

	LLM_TRY(llm_hf_layer_words(p, "layer_types", "attention|full_attention", attends));
	LLM_TRY(llm_hf_layer_words(p, "layer_types", "attention|full_attention|mamba|linear_attention", &known));
	*recurrent = *attends == NULL;
	if (*attends == NULL)
	{
		LLM_TRY(llm_arena_alloc(&p->folder->arena, p->n_layer, sizeof(bool), &ptr, p->err));
		memset(ptr, 0, p->n_layer * sizeof(bool));
		*attends = ptr;
		return LLM_OK;
	}
	for (uint64_t i = 0; i < p->n_layer; i++)
	{
		if (!known[i])
			return llm_hf_refuse(&p->config, "layer_types", json_object_array_get_idx(llm_hf_get(&p->config, "layer_types"), i));
		*recurrent = *recurrent || !(*attends)[i];
	}
	return LLM_OK;
}

/* as it is where no layer is a state space: the architecture without them */
static LlmStatus
hybrid_attention(LlmHfParams *p)
{
	(void) llm_hf_get(&p->config, "mamba_n_heads|mamba_d_head|mamba_d_state|mamba_d_conv|mamba_n_groups|mamba_expand|time_step_limit");
	return llm_hf_copy_float(p, "rms_norm_eps", "attention.layer_norm_rms_epsilon");
}

/* what all layers have: experts and a feed-forward beside them, or that feed-forward alone */
static LlmStatus
hybrid_feed_forward(LlmHfParams *p, bool has_experts)
{
	static const LlmHfRule *const dense_rules[LLM_HF_MAX_RULES] = {llm_hf_rules_granite_dense, llm_hf_rules_granite_mamba,
		llm_hf_rules_rope_pairs, llm_hf_rules_llama};

	if (!has_experts)
	{
		p->rules = dense_rules;
		(void) llm_hf_get(&p->config, "num_experts_per_tok|intermediate_size");
		return llm_hf_copy_uint(p, "shared_intermediate_size", "feed_forward_length");
	}
	LLM_TRY(llm_hf_experts(p));
	LLM_TRY(llm_hf_copy_uint(p, "intermediate_size", "feed_forward_length"));
	return llm_hf_copy_uint(p, "shared_intermediate_size", "expert_shared_feed_forward_length");
}

/* Granite 4: layers are a state space or attention, which rotates only if the file says so */
LlmStatus
llm_hf_granite_hybrid(LlmHfParams *p)
{
	struct json_object *positions = llm_hf_get(&p->config, "position_embedding_type");
	const bool	rope = json_object_is_type(positions, json_type_string) && strcmp(json_object_get_string(positions), "rope") == 0;
	uint64_t	n_expert = 0;
	bool		found;
	bool		recurrent;
	bool	   *attends;

	if (!rope)
		LLM_TRY(llm_hf_must_be(&p->config, "position_embedding_type", "nope"));
	LLM_TRY(llm_hf_must_be(&p->config, "normalization_function", "rmsnorm"));
	LLM_TRY(llm_hf_uint(&p->config, "num_local_experts", &found, &n_expert));
	LLM_TRY(hybrid_layers(p, &attends, &recurrent));
	p->arch = recurrent ? "granitehybrid" : n_expert > 0 ? "granitemoe" : "granite";
	LLM_TRY(llm_hf_put_bool(p, "rope.scaling.finetuned", rope));
	LLM_TRY(llm_hf_granite_scales(p));
	LLM_TRY(hybrid_feed_forward(p, n_expert > 0));
	if (!recurrent)
		return hybrid_attention(p);
	p->kv_layers = attends;
	return llm_hf_state_space(p, "mamba_n_heads", "mamba_d_head", "mamba_d_state");
}

/* ---- routers like that of DeepSeek V3 ---- */

/* experts with a sigmoid router and a bias for choosing, leading layers without */
static LlmStatus
sigmoid_experts(LlmHfParams *p)
{
	LLM_TRY(llm_hf_experts(p));
	LLM_TRY(llm_hf_expert_groups(p));
	LLM_TRY(llm_hf_must_be(&p->config, "topk_method", "noaux_tc"));
	LLM_TRY(llm_hf_must_be(&p->config, "scoring_func", "sigmoid|noaux_tc"));
	LLM_TRY(llm_hf_must_equal(&p->config, "moe_layer_freq", 1));
	LLM_TRY(llm_hf_put_uint(p, "expert_gating_func", 2));
	LLM_TRY(llm_hf_copy_uint(p, "moe_intermediate_size", "expert_feed_forward_length"));
	LLM_TRY(llm_hf_copy_uint(p, "n_shared_experts", "expert_shared_count"));
	LLM_TRY(llm_hf_copy_uint(p, "first_k_dense_replace", "leading_dense_block_count"));
	return llm_hf_copy_float(p, "routed_scaling_factor", "expert_weights_scale");
}

LlmStatus
llm_hf_glm4_experts(LlmHfParams *p)
{
	(void) llm_hf_get(&p->config, "num_nextn_predict_layers|num_mtp_layers|use_qk_norm");	/* not used; the tensors say it */
	LLM_TRY(llm_hf_dense(p));
	return sigmoid_experts(p);
}

/* layers listed as dense or sparse: the dense ones lead */
static LlmStatus
check_lead(LlmHfParams *p)
{
	struct json_object *list = llm_hf_get(&p->config, "mlp_layer_types");
	uint64_t	n_lead = 0;
	bool		found;
	bool	   *dense;
	bool	   *known;

	LLM_TRY(llm_hf_layer_words(p, "mlp_layer_types", "dense", &dense));
	LLM_TRY(llm_hf_layer_words(p, "mlp_layer_types", "dense|sparse", &known));
	LLM_TRY(llm_hf_uint(&p->config, "first_k_dense_replace", &found, &n_lead));
	for (uint64_t i = 0; dense && i < p->n_layer; i++)
		if (!known[i] || dense[i] != (i < n_lead))
			return llm_hf_refuse(&p->config, "mlp_layer_types", list);
	return LLM_OK;
}

LlmStatus
llm_hf_glm4_lite(LlmHfParams *p)
{
	LLM_TRY(check_lead(p));
	LLM_TRY(llm_hf_deepseek(p));
	LLM_TRY(llm_hf_must_be(&p->config, "topk_method", "noaux_tc"));
	LLM_TRY(llm_hf_must_be(&p->config, "scoring_func", "sigmoid"));
	LLM_TRY(llm_hf_put_uint(p, "expert_gating_func", 2));
	return llm_hf_expert_groups(p);
}

/* windows of this class are for layers that no model of it has */
LlmStatus
llm_hf_dots1(LlmHfParams *p)
{
	struct json_object *window = llm_hf_get(&p->config, "sliding_window");
	uint64_t	first = 0;
	bool		found;
	bool	   *local;
	bool		any = false;

	LLM_TRY(llm_hf_dense(p));
	LLM_TRY(llm_hf_layer_windows(p, &local));
	LLM_TRY(llm_hf_uint(&p->config, "max_window_layers", &found, &first));
	for (uint64_t i = 0; i < p->n_layer; i++)
		any = any || (local ? local[i] : i >= first);
	if (window && any)
		return llm_hf_refuse(&p->config, "sliding_window", window);
	return sigmoid_experts(p);
}

/* ---- ERNIE 4.5 ---- */

LlmStatus
llm_hf_ernie_experts(LlmHfParams *p)
{
	struct json_object *end = llm_hf_get(&p->config, "moe_layer_end_index");

	LLM_TRY(llm_hf_dense(p));
	LLM_TRY(llm_hf_must_equal(&p->config, "moe_layer_interval", 1));
	LLM_TRY(llm_hf_must_be(&p->config, "moe_gate", "topk"));
	LLM_TRY(llm_hf_must_be(&p->config, "moe_gate_act", "softmax"));
	if (end && json_object_get_int64(end) != -1 && json_object_get_int64(end) != (int64_t) p->n_layer - 1)
		return llm_hf_refuse(&p->config, "moe_layer_end_index", end);
	(void) llm_hf_get(&p->config, "moe_norm_min|moe_use_aux_free");	/* for sums of 0, which there are not; the tensors say it */
	(void) llm_hf_get(&p->config, "moe_capacity|num_nextn_predict_layers");	/* of training; not used */
	LLM_TRY(llm_hf_copy_uint(p, "moe_num_experts|num_experts", "expert_count"));
	LLM_TRY(llm_hf_copy_uint(p, "moe_k|num_experts_per_tok", "expert_used_count"));
	LLM_TRY(llm_hf_copy_uint(p, "moe_intermediate_size", "expert_feed_forward_length"));
	LLM_TRY(llm_hf_copy_uint(p, "moe_num_shared_experts", "expert_shared_count"));
	return llm_hf_copy_uint(p, "moe_layer_start_index", "leading_dense_block_count");
}

/* ---- Hunyuan ---- */

/* keys of both forms: ids of the tokenizer, of images, and switches of what these models could do and do not */
LlmStatus
llm_hf_hunyuan(LlmHfParams *p)
{
	static const char *const on[] = {"use_rotary_pos_emb", "use_qk_norm"};
	static const char *const off[] = {"use_cla", "use_mla", "position_embedding_xdrope", "add_classification_head", "moe_layer_num_skipped"};

	for (size_t i = 0; i < sizeof(on) / sizeof(on[0]); i++)
		LLM_TRY(llm_hf_must_equal(&p->config, on[i], 1));
	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
		LLM_TRY(llm_hf_must_equal(&p->config, off[i], 0));
	LLM_TRY(llm_hf_must_be(&p->config, "norm_type", "rms"));
	(void) llm_hf_get(&p->config, "eod_token_id|pad_id|org_vocab_size|class_num|cla_share_factor|dense_list|pool_type|mask_init_id");
	(void) llm_hf_get(&p->config, "im_start_id|im_end_id|im_newline_id|text_start_id|text_end_id|video_start_id|video_end_id");
	(void) llm_hf_get(&p->config, "num_media_embeds|anyres_pooling_size|vit_input_resolution|vit_mapping_type|vit_norm_type|vit_patch");
	(void) llm_hf_get(&p->config, "vit_token|num_experts|num_shared_expert|moe_topk|moe_intermediate_size|use_mixed_mlp_moe");
	(void) llm_hf_get(&p->config, "norm_topk_prob|routed_scaling_factor");
	return llm_hf_dense(p);
}

LlmStatus
llm_hf_hunyuan_experts(LlmHfParams *p)
{
	uint64_t	n_ff = 0;
	uint64_t	n_ff_expert;
	uint64_t	n_expert = 1;
	uint64_t	n_used = 1;
	uint64_t	n_shared = 1;
	bool		found;

	LLM_TRY(llm_hf_hunyuan(p));
	LLM_TRY(llm_hf_must_equal(&p->config, "use_mixed_mlp_moe", 1));
	LLM_TRY(llm_hf_must_equal(&p->config, "norm_topk_prob", 1));
	LLM_TRY(llm_hf_must_equal(&p->config, "routed_scaling_factor", 1));
	LLM_TRY(llm_hf_required(&p->config, "intermediate_size", &n_ff));
	n_ff_expert = n_ff;
	LLM_TRY(llm_hf_layer_uint(p, "num_experts|num_local_experts", &found, &n_expert));
	LLM_TRY(llm_hf_layer_uint(p, "moe_topk|num_experts_per_tok", &found, &n_used));
	LLM_TRY(llm_hf_layer_uint(p, "num_shared_expert", &found, &n_shared));
	LLM_TRY(llm_hf_layer_uint(p, "moe_intermediate_size", &found, &n_ff_expert));
	LLM_TRY(llm_hf_put_uint(p, "expert_count", n_expert));
	LLM_TRY(llm_hf_put_uint(p, "expert_used_count", n_used));
	LLM_TRY(llm_hf_put_uint(p, "expert_feed_forward_length", n_ff_expert));
	return llm_hf_put_uint(p, "expert_shared_feed_forward_length", n_shared * n_ff);
}

/* ---- MiniMax ---- */

/* layers of attention alone; keys of its predecessor, and of layers that predict further tokens */
LlmStatus
llm_hf_minimax_m2(LlmHfParams *p)
{
	static const char *const on[] = {"use_qk_norm", "use_routing_bias", "layernorm_full_attention_beta", "layernorm_linear_attention_beta",
	"layernorm_mlp_beta"};
	struct json_object *kinds = llm_hf_get(&p->config, "attn_type_list");
	bool		found;

	LLM_TRY(llm_hf_dense(p));
	LLM_TRY(llm_hf_experts(p));
	LLM_TRY(llm_hf_copy_uint(p, "intermediate_size", "expert_feed_forward_length"));
	for (size_t i = 0; i < sizeof(on) / sizeof(on[0]); i++)
		LLM_TRY(llm_hf_must_equal(&p->config, on[i], 1));
	LLM_TRY(llm_hf_must_equal(&p->config, "shared_intermediate_size", 0));
	LLM_TRY(llm_hf_must_be(&p->config, "scoring_func", "sigmoid"));
	LLM_TRY(llm_hf_must_be(&p->config, "qk_norm_type", "per_layer"));
	for (size_t i = 0; json_object_is_type(kinds, json_type_array) && i < json_object_array_length(kinds); i++)
		if (json_object_get_int(json_object_array_get_idx(kinds, i)) != 1)
			return llm_hf_refuse(&p->config, "attn_type_list", kinds);
	(void) llm_hf_get(&p->config, "mlp_intermediate_size|shared_moe_mode|use_mtp|num_mtp_modules|mtp_transformer_layers");
	LLM_TRY(llm_hf_put_uint(p, "expert_gating_func", 2));
	LLM_TRY(llm_hf_uint(&p->config, "rotary_dim", &found, &p->n_rot));
	if (p->n_rot > p->head_dim)
		return llm_fail(p->err, LLM_E_FORMAT, "key \"rotary_dim\" of config.json is %llu, more than a head's %llu", (unsigned long long) p->n_rot,
						(unsigned long long) p->head_dim);
	return LLM_OK;
}

/* ---- Phi 3.5 ---- */

/* its norms are LayerNorm, with an epsilon by the other name */
LlmStatus
llm_hf_phimoe(LlmHfParams *p)
{
	LLM_TRY(llm_hf_copy_uint(p, "intermediate_size", "feed_forward_length"));
	LLM_TRY(llm_hf_copy_float(p, "rms_norm_eps", "attention.layer_norm_epsilon"));
	LLM_TRY(llm_hf_experts(p));
	LLM_TRY(llm_hf_must_equal(&p->config, "num_experts_per_tok", 2));
	LLM_TRY(llm_hf_must_equal(&p->config, "router_jitter_noise", 0.01));
	(void) llm_hf_get(&p->config, "input_jitter_noise|lm_head_bias");	/* of training; the tensors say it */
	return LLM_OK;
}

/* ---- Llama 4 ---- */

/* layers with experts: the last of every so many; a list of them must say the same */
static LlmStatus
llama4_layers(LlmHfParams *p)
{
	struct json_object *list = llm_hf_get(&p->config, "moe_layers");
	uint64_t	step;
	uint64_t	n = 0;

	LLM_TRY(llm_hf_required(&p->config, "interleave_moe_layer_step", &step));
	for (uint64_t i = 0; json_object_is_type(list, json_type_array) && step > 0 && i < p->n_layer; i++)
	{
		if ((i + 1) % step != 0)
			continue;
		if (n >= json_object_array_length(list) || json_object_get_int64(json_object_array_get_idx(list, n)) != (int64_t) i)
			return llm_hf_refuse(&p->config, "moe_layers", list);
		n++;
	}
	if (json_object_is_type(list, json_type_array) && n != json_object_array_length(list))
		return llm_hf_refuse(&p->config, "moe_layers", list);
	return llm_hf_put_uint(p, "interleave_moe_layer_step", step);
}

/* layers with rope have chunks, the others see all: one list or the other says it, or a number */
static LlmStatus
llama4_chunks(LlmHfParams *p, bool **chunked)
{
	struct json_object *list = llm_hf_get(&p->config, "no_rope_layers");
	const bool	listed = json_object_is_type(list, json_type_array) && json_object_array_length(list) >= p->n_layer;
	bool	   *by_type;
	bool	   *full;
	uint64_t	every;
	void	   *ptr;

	LLM_TRY(llm_hf_required(&p->config, "no_rope_layer_interval", &every));
	LLM_TRY(llm_hf_layer_words(p, "layer_types", "chunked_attention", &by_type));
	LLM_TRY(llm_hf_layer_words(p, "layer_types", "full_attention", &full));
	LLM_TRY(llm_arena_alloc(&p->folder->arena, p->n_layer, sizeof(bool), &ptr, p->err));
	*chunked = ptr;
	for (uint64_t i = 0; i < p->n_layer; i++)
	{
		(*chunked)[i] = listed ? json_object_get_int(json_object_array_get_idx(list, i)) != 0 : every == 0 || (i + 1) % every != 0;
		if (by_type && (by_type[i] != (*chunked)[i] || by_type[i] == full[i]))
			return llm_hf_refuse(&p->config, "layer_types", llm_hf_get(&p->config, "layer_types"));
	}
	return LLM_OK;
}

LlmStatus
llm_hf_llama4(LlmHfParams *p)
{
	bool		tuned = true;
	bool		found;
	bool	   *chunked;
	double		scale = 0.1;
	uint64_t	size = 0;

	LLM_TRY(llm_hf_copy_uint(p, "intermediate_size_mlp", "feed_forward_length"));
	LLM_TRY(llm_hf_copy_uint(p, "intermediate_size", "expert_feed_forward_length"));
	LLM_TRY(llm_hf_copy_float(p, "rms_norm_eps", "attention.layer_norm_rms_epsilon"));
	LLM_TRY(llm_hf_experts(p));
	LLM_TRY(llama4_layers(p));
	LLM_TRY(llama4_chunks(p, &chunked));
	LLM_TRY(llm_hf_uint(&p->config, "attention_chunk_size", &found, &size));
	if (!found || size == 0)
		return llm_hf_refuse(&p->config, "attention_chunk_size", llm_hf_get(&p->config, "attention_chunk_size"));
	LLM_TRY(llm_hf_put_uint(p, "attention.sliding_window", size));
	LLM_TRY(llm_hf_put_bools(p, "attention.sliding_window_pattern", chunked, p->n_layer));
	LLM_TRY(llm_hf_copy_bool(p, "use_qk_norm", "attention.qk_norm"));
	LLM_TRY(llm_hf_bool(&p->config, "attn_temperature_tuning", &found, &tuned));
	LLM_TRY(llm_hf_float(&p->config, "attn_scale", &found, &scale));
	LLM_TRY(llm_hf_copy_uint(p, "floor_scale", "attention.temperature_length"));
	return llm_hf_put_float(p, "attention.temperature_scale", tuned ? scale : 0);
}
