/*
 * hf_recurrent.c: configurations of models in which some layers have a state: state spaces, delta nets, convolutions.
 *
 * Source: transformers 5, configuration_*.py and modeling_*.py; llama.cpp, conversion/.
 */
#include "weights/hf/hf_families.h"

#include <json-c/json.h>
#include <string.h>

/* a step of the state space is limited by no more than 0 and infinity (null, or written as a word) */
static LlmStatus
check_step_limit(LlmHfParams *p)
{
	struct json_object *limit = llm_hf_get(&p->config, "time_step_limit");

	if (!limit)
		return LLM_OK;
	if (!json_object_is_type(limit, json_type_array) || json_object_array_length(limit) != 2 ||
		json_object_get_double(json_object_array_get_idx(limit, 0)) != 0 ||
		json_object_is_type(json_object_array_get_idx(limit, 1), json_type_double) ||
		json_object_is_type(json_object_array_get_idx(limit, 1), json_type_int))
		return llm_hf_refuse(&p->config, "time_step_limit", limit);
	return LLM_OK;
}

LlmStatus
llm_hf_state_space(LlmHfParams *p, const char *heads, const char *head_dim, const char *state)
{
	struct json_object *size = llm_hf_get(&p->config, head_dim);
	uint64_t	n_head;
	uint64_t	expand = 2;
	uint64_t	dim;
	bool		found;

	LLM_TRY(llm_hf_required(&p->config, heads, &n_head));
	LLM_TRY(llm_hf_uint(&p->config, "expand|mamba_expand", &found, &expand));
	if (json_object_is_type(size, json_type_string) && strcmp(json_object_get_string(size), "auto") == 0 && n_head > 0)
		dim = expand * p->n_embd / n_head;
	else
		LLM_TRY(llm_hf_required(&p->config, head_dim, &dim));
	LLM_TRY(llm_hf_required(&p->config, "n_groups|mamba_n_groups", &p->n_group));
	LLM_TRY(check_step_limit(p));
	LLM_TRY(llm_hf_must_equal(&p->config, "rms_norm", 1));
	(void) llm_hf_get(&p->config, "intermediate_size");	/* the number of heads says it */
	LLM_TRY(llm_hf_put_uint(p, "ssm.inner_size", n_head * dim));
	LLM_TRY(llm_hf_put_uint(p, "ssm.time_step_rank", n_head));
	LLM_TRY(llm_hf_put_uint(p, "ssm.group_count", p->n_group));
	LLM_TRY(llm_hf_copy_uint(p, state, "ssm.state_size"));
	LLM_TRY(llm_hf_copy_uint(p, "conv_kernel|mamba_d_conv", "ssm.conv_kernel"));
	return llm_hf_copy_float(p, "layer_norm_epsilon|rms_norm_eps|norm_eps", "attention.layer_norm_rms_epsilon");
}

LlmStatus
llm_hf_mamba2(LlmHfParams *p)
{
	p->n_ctx = 1 << 20;			/* there is no limit */
	LLM_TRY(llm_hf_put_uint(p, "attention.head_count", 0));
	LLM_TRY(llm_hf_put_uint(p, "feed_forward_length", 0));
	return llm_hf_state_space(p, "num_heads", "head_dim", "state_size");
}

/* the kind of each layer: a word in a list, or a letter in older files */
static LlmStatus
layer_kinds(LlmHfParams *p, const char *letters, const char *words, bool **is)
{
	struct json_object *pattern = llm_hf_get(&p->config, "hybrid_override_pattern");
	void	   *ptr;

	if (!json_object_is_type(pattern, json_type_string))
		return llm_hf_layer_words(p, "layers_block_type|layer_types", words, is);
	if ((uint64_t) json_object_get_string_len(pattern) < p->n_layer)
		return llm_hf_refuse(&p->config, "hybrid_override_pattern", pattern);
	LLM_TRY(llm_arena_alloc(&p->folder->arena, p->n_layer, sizeof(bool), &ptr, p->err));
	*is = ptr;
	for (uint64_t i = 0; i < p->n_layer; i++)
		(*is)[i] = strchr(letters, json_object_get_string(pattern)[i]) != NULL;
	return LLM_OK;
}

static LlmStatus
nemotron_h_experts(LlmHfParams *p)
{
	uint64_t	n_shared = 1;
	uint64_t	width = 0;
	bool		found;

	LLM_TRY(llm_hf_experts(p));
	LLM_TRY(llm_hf_expert_groups(p));
	LLM_TRY(llm_hf_copy_uint(p, "moe_intermediate_size", "expert_feed_forward_length"));
	LLM_TRY(llm_hf_uint(&p->config, "moe_shared_expert_intermediate_size", &found, &width));
	LLM_TRY(llm_hf_uint(&p->config, "n_shared_experts", &found, &n_shared));
	LLM_TRY(llm_hf_put_uint(p, "expert_shared_feed_forward_length", width * n_shared));
	LLM_TRY(llm_hf_copy_uint(p, "moe_latent_size", "moe_latent_size"));
	return llm_hf_copy_float(p, "routed_scaling_factor", "expert_weights_scale");
}

/* keys of experts are in the file also where no layer has any */
static void
ignore_experts(LlmHfParams *p)
{
	(void) llm_hf_get(&p->config, "n_routed_experts|num_experts_per_tok|norm_topk_prob|moe_intermediate_size|n_group|topk_group");
	(void) llm_hf_get(&p->config, "moe_shared_expert_intermediate_size|n_shared_experts|moe_latent_size|routed_scaling_factor");
}

LlmStatus
llm_hf_nemotron_h(LlmHfParams *p)
{
	struct json_object *types = llm_hf_get(&p->config, "layers_block_type|layer_types");
	uint64_t	n_ff;
	bool	   *attends;
	bool	   *feeds;
	bool	   *has_experts;
	bool		any = false;

	(void) llm_hf_get(&p->config, "num_hidden_layers");
	LLM_TRY(layer_kinds(p, "*", "attention|full_attention", &attends));
	LLM_TRY(layer_kinds(p, "-", "mlp", &feeds));
	LLM_TRY(layer_kinds(p, "E", "moe", &has_experts));
	if (!attends || !feeds || !has_experts)
		return llm_fail(p->err, LLM_E_FORMAT, "config.json does not say the kinds of layers (layers_block_type)");
	for (uint64_t i = 0; i < p->n_layer; i++)
		any = any || has_experts[i];
	p->arch = any ? "nemotron_h_moe" : "nemotron_h";
	LLM_TRY(llm_hf_required(&p->config, any ? "moe_intermediate_size" : "intermediate_size", &n_ff));
	(void) llm_hf_get(&p->config, "intermediate_size|num_nextn_predict_layers");
	for (uint64_t i = 0; i < p->n_layer && any; i++)
		if (feeds[i])
			return llm_hf_refuse(&p->config, "layers_block_type", types);
	LLM_TRY(llm_hf_put_by_layer(p, "feed_forward_length", any ? has_experts : feeds, n_ff));
	LLM_TRY(llm_hf_put_by_layer(p, "attention.head_count_kv", attends, p->n_head_kv));
	LLM_TRY(llm_hf_put_uint(p, "attention.head_count", p->n_head));
	LLM_TRY(llm_hf_put_uint(p, "attention.key_length", p->head_dim));
	LLM_TRY(llm_hf_put_uint(p, "attention.value_length", p->head_dim));
	p->tied = false;			/* this class has its output matrix in any case */
	LLM_TRY(llm_hf_must_be(&p->config, "mlp_hidden_act", "relu2"));
	LLM_TRY(llm_hf_must_be(&p->config, "mamba_hidden_act", "silu"));
	LLM_TRY(llm_hf_copy_float(p, "time_step_min", "ssm.time_step_min"));	/* this class, unlike others, computes with it */
	(void) llm_hf_get(&p->config, "rope_theta|partial_rotary_factor|rope_parameters");	/* attention has no positions */
	if (any)
		LLM_TRY(nemotron_h_experts(p));
	else
		ignore_experts(p);
	return llm_hf_state_space(p, "mamba_num_heads", "mamba_head_dim", "ssm_state_size");
}

/* attention, or a convolution, by layer, and what both have */
static LlmStatus
lfm2_common(LlmHfParams *p, const bool *attends)
{
	LLM_TRY(llm_hf_put_by_layer(p, "attention.head_count_kv", attends, p->n_head_kv));
	LLM_TRY(llm_hf_put_uint(p, "attention.head_count", p->n_head));
	LLM_TRY(llm_hf_copy_uint(p, "conv_L_cache", "shortconv.l_cache"));
	LLM_TRY(llm_hf_copy_float(p, "norm_eps|block_norm_eps", "attention.layer_norm_rms_epsilon"));
	return llm_hf_rope(p);
}

/* which layers attend: listed by kind in new files, by number in older ones; the others convolve */
static LlmStatus
lfm2_layers(LlmHfParams *p, bool **attends)
{
	struct json_object *numbers = llm_hf_get(&p->config, "full_attn_idxs");
	bool	   *convolves;
	void	   *ptr;

	LLM_TRY(llm_hf_layer_words(p, "layer_types", "full_attention", attends));
	LLM_TRY(llm_hf_layer_words(p, "layer_types", "conv", &convolves));
	for (uint64_t i = 0; *attends && i < p->n_layer; i++)
		if ((*attends)[i] == convolves[i])
			return llm_hf_refuse(&p->config, "layer_types", llm_hf_get(&p->config, "layer_types"));
	if (*attends)
		return LLM_OK;
	if (!json_object_is_type(numbers, json_type_array))
		return llm_fail(p->err, LLM_E_FORMAT, "config.json does not say the kinds of layers (layer_types)");
	LLM_TRY(llm_arena_alloc(&p->folder->arena, p->n_layer, sizeof(bool), &ptr, p->err));
	memset(ptr, 0, p->n_layer * sizeof(bool));
	*attends = ptr;
	for (size_t i = 0; i < json_object_array_length(numbers); i++)
	{
		int64_t		layer = json_object_get_int64(json_object_array_get_idx(numbers, i));

		if (layer < 0 || (uint64_t) layer >= p->n_layer)
			return llm_hf_refuse(&p->config, "full_attn_idxs", numbers);
		(*attends)[layer] = true;
	}
	return LLM_OK;
}

LlmStatus
llm_hf_lfm2(LlmHfParams *p)
{
	uint64_t	n_ff;
	uint64_t	multiple = 256;
	double		multiplier = 1;
	bool		adjust = true;
	bool		found;
	bool	   *attends;

	LLM_TRY(llm_hf_required(&p->config, "block_ff_dim|intermediate_size", &n_ff));
	LLM_TRY(llm_hf_uint(&p->config, "block_multiple_of", &found, &multiple));
	LLM_TRY(llm_hf_float(&p->config, "block_ffn_dim_multiplier", &found, &multiplier));
	LLM_TRY(llm_hf_bool(&p->config, "block_auto_adjust_ff_dim", &found, &adjust));
	if (adjust)
	{
		n_ff = (uint64_t) (multiplier * (double) (2 * n_ff / 3));
		if (multiple == 0 || n_ff > UINT32_MAX)
			return llm_fail(p->err, LLM_E_FORMAT, "keys block_* of config.json give no width of the feed-forward");
		n_ff = (n_ff + multiple - 1) / multiple * multiple;
	}
	LLM_TRY(lfm2_layers(p, &attends));
	(void) llm_hf_get(&p->config, "block_dim|block_mlp_init_scale|block_norm_eps|block_out_init_scale|block_use_swiglu");
	(void) llm_hf_get(&p->config, "block_use_xavier_init|conv_dim|conv_dim_out|conv_use_xavier_init|num_heads|use_pos_enc");
	LLM_TRY(llm_hf_put_uint(p, "feed_forward_length", n_ff));
	return lfm2_common(p, attends);
}

LlmStatus
llm_hf_lfm2_experts(LlmHfParams *p)
{
	static const LlmHfRule *const plain_rules[LLM_HF_MAX_RULES] = {llm_hf_rules_lfm2_no_bias, llm_hf_rules_lfm2_experts,
		llm_hf_rules_lfm2, llm_hf_rules_llama};
	bool	   *attends;
	bool		with_bias = true;
	bool		found;

	LLM_TRY(lfm2_layers(p, &attends));
	LLM_TRY(llm_hf_bool(&p->config, "use_expert_bias", &found, &with_bias));
	if (!with_bias)
		p->rules = plain_rules;
	LLM_TRY(llm_hf_copy_uint(p, "intermediate_size", "feed_forward_length"));
	LLM_TRY(llm_hf_experts(p));
	LLM_TRY(llm_hf_copy_uint(p, "moe_intermediate_size", "expert_feed_forward_length"));
	LLM_TRY(llm_hf_copy_uint(p, "num_dense_layers", "leading_dense_block_count"));
	LLM_TRY(llm_hf_copy_float(p, "routed_scaling_factor", "expert_weights_scale"));
	return lfm2_common(p, attends);
}
