/*
 * hf_older.c: configurations of decoders from before rope: BLOOM, MPT, StarCoder 1.
 *
 * Source: transformers 5, configuration_*.py and modeling_*.py; llama.cpp, conversion/.
 */
#include "weights/hf/hf_families.h"

#include <json-c/json.h>
#include <string.h>

/* ALiBi knows no limit: where the file does not say what the model was trained for, what all of the class were */
LlmStatus
llm_hf_bloom(LlmHfParams *p)
{
	bool		found;

	p->n_ctx = 2048;
	LLM_TRY(llm_hf_uint(&p->config, "seq_length", &found, &p->n_ctx));
	LLM_TRY(llm_hf_must_equal(&p->config, "apply_residual_connection_post_layernorm", 0));
	(void) llm_hf_get(&p->config, "slow_but_exact|skip_bias_add|skip_bias_add_qkv|attention_softmax_in_fp32|offset_alibi|masked_softmax_fusion|bias_dropout_fusion");
	LLM_TRY(llm_hf_copy_float(p, "layer_norm_epsilon", "attention.layer_norm_epsilon"));
	LLM_TRY(llm_hf_put_uint(p, "attention.head_count", p->n_head));
	return llm_hf_put_uint(p, "feed_forward_length", 4 * p->n_embd);
}

/* what MPT has in a dictionary of its own: nothing that this class does not compute */
static LlmStatus
mpt_attention(LlmHfParams *p, struct json_object *dict)
{
	static const char *const off[] = {"qk_ln", "prefix_lm", "attn_uses_sequence_id"};
	struct json_object *value;
	double		number;

	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
		if (json_object_object_get_ex(dict, off[i], &value) && json_object_get_boolean(value))
			return llm_hf_refuse(&p->config, off[i], value);
	if (json_object_object_get_ex(dict, "alibi", &value) && !json_object_get_boolean(value))
		return llm_hf_refuse(&p->config, "alibi", value);
	if (json_object_object_get_ex(dict, "attn_type", &value) &&
		!(json_object_is_type(value, json_type_string) && strcmp(json_object_get_string(value), "multihead_attention") == 0))
		return llm_hf_refuse(&p->config, "attn_type", value);
	if (json_object_object_get_ex(dict, "clip_qkv", &value) && value)
	{
		LLM_TRY(llm_hf_float_of(&p->config, value, "clip_qkv", &number));
		LLM_TRY(llm_hf_put_float(p, "attention.clamp_kqv", number));
	}
	if (json_object_object_get_ex(dict, "softmax_scale", &value) && value)
	{
		LLM_TRY(llm_hf_float_of(&p->config, value, "softmax_scale", &number));
		LLM_TRY(llm_hf_put_float(p, "attention.scale", number));
	}
	number = 8;
	if (json_object_object_get_ex(dict, "alibi_bias_max", &value) && value)
		LLM_TRY(llm_hf_float_of(&p->config, value, "alibi_bias_max", &number));
	return llm_hf_put_float(p, "attention.max_alibi_bias", number);
}

LlmStatus
llm_hf_mpt(LlmHfParams *p)
{
	struct json_object *scale = llm_hf_get(&p->config, "logit_scale");

	LLM_TRY(llm_hf_required(&p->config, "max_seq_len", &p->n_ctx));
	if (scale)
		return llm_hf_refuse(&p->config, "logit_scale", scale);
	LLM_TRY(llm_hf_must_equal(&p->config, "expansion_ratio", 4));
	/* of training, and what the tensors say */
	(void) llm_hf_get(&p->config, "learned_pos_emb|no_bias|init_device|embedding_fraction|norm_type|emb_pdrop|init_config|tokenizer_name|verbose|n_heads");
	LLM_TRY(mpt_attention(p, llm_hf_get(&p->config, "attn_config")));
	LLM_TRY(llm_hf_copy_float(p, "layer_norm_epsilon", "attention.layer_norm_epsilon"));
	LLM_TRY(llm_hf_put_uint(p, "attention.head_count", p->n_head));
	return llm_hf_put_uint(p, "feed_forward_length", 4 * p->n_embd);
}

LlmStatus
llm_hf_big_code(LlmHfParams *p)
{
	bool		one = true;
	bool		found;

	LLM_TRY(llm_hf_must_equal(&p->config, "scale_attn_weights", 1));
	LLM_TRY(llm_hf_must_equal(&p->config, "add_cross_attention", 0));
	(void) llm_hf_get(&p->config, "attention_softmax_in_fp32|scale_attention_softmax_in_fp32|runner_max_sequence_length|inference_runner");
	(void) llm_hf_get(&p->config, "pre_allocate_kv_cache|validate_runner_input");
	LLM_TRY(llm_hf_bool(&p->config, "multi_query", &found, &one));
	p->n_head_kv = one ? 1 : p->n_head;
	LLM_TRY(llm_hf_copy_float(p, "layer_norm_epsilon", "attention.layer_norm_epsilon"));
	LLM_TRY(llm_hf_put_uint(p, "attention.head_count", p->n_head));
	LLM_TRY(llm_hf_put_uint(p, "attention.head_count_kv", p->n_head_kv));
	return llm_hf_wide_feed_forward(p, "n_inner");
}
