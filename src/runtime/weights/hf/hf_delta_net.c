/*
 * hf_delta_net.c: configurations of Qwen 3 Next and 3.5, in which most layers are gated delta nets and the others attend.
 *
 * Source: transformers 5, configuration_qwen3_next.py, configuration_qwen3_5.py and their modeling_*.py.
 */
#include "weights/hf/hf_families.h"

#include <json-c/json.h>

#define MAX_SIZE (1 << 20)		/* of heads and their dimensions: keeps products of three within 64 bits */

/* a number of the delta net's shape */
static LlmStatus
read_size(LlmHfParams *p, const char *key, uint64_t *value)
{
	LLM_TRY(llm_hf_required(&p->config, key, value));
	if (*value < 1 || *value > MAX_SIZE)
		return llm_fail(p->err, LLM_E_FORMAT, "key \"%s\" of config.json is %llu, outside 1 to %d", key, (unsigned long long) *value,
						MAX_SIZE);
	return LLM_OK;
}

/* which layers attend: listed by kind, or one in so many, the last of them */
static LlmStatus
write_layers(LlmHfParams *p)
{
	bool	   *is_delta;
	bool	   *attends;
	bool		found;
	uint64_t	every = 4;

	LLM_TRY(llm_hf_uint(&p->config, "full_attention_interval", &found, &every));
	LLM_TRY(llm_hf_layer_words(p, "layer_types", "linear_attention", &is_delta));
	if (!is_delta)
		return llm_hf_put_uint(p, "full_attention_interval", every);
	LLM_TRY(llm_hf_layer_words(p, "layer_types", "full_attention", &attends));
	for (uint64_t i = 0; i < p->n_layer; i++)
		if (is_delta[i] == attends[i])
			return llm_hf_refuse(&p->config, "layer_types", json_object_array_get_idx(llm_hf_get(&p->config, "layer_types"), i));
	return llm_hf_put_bools(p, "attention.recurrent_layers", is_delta, p->n_layer);
}

static LlmStatus
delta_net(LlmHfParams *p)
{
	uint64_t	n_value_head;
	uint64_t	value_dim;

	LLM_TRY(read_size(p, "linear_num_key_heads", &p->n_group));
	LLM_TRY(read_size(p, "linear_num_value_heads", &n_value_head));
	LLM_TRY(read_size(p, "linear_key_head_dim", &p->group_keys));
	LLM_TRY(read_size(p, "linear_value_head_dim", &value_dim));
	if (n_value_head % p->n_group != 0)
		return llm_fail(p->err, LLM_E_FORMAT, "%llu value heads of config.json cannot share %llu key heads (linear_num_value_heads, linear_num_key_heads)",
						(unsigned long long) n_value_head, (unsigned long long) p->n_group);
	p->group_values = n_value_head / p->n_group * value_dim;
	LLM_TRY(llm_hf_put_uint(p, "ssm.group_count", p->n_group));
	LLM_TRY(llm_hf_put_uint(p, "ssm.time_step_rank", n_value_head));
	LLM_TRY(llm_hf_put_uint(p, "ssm.state_size", p->group_keys));
	LLM_TRY(llm_hf_put_uint(p, "ssm.inner_size", n_value_head * value_dim));
	LLM_TRY(llm_hf_copy_uint(p, "linear_conv_kernel_dim", "ssm.conv_kernel"));
	LLM_TRY(llm_hf_put_bool(p, "ssm.grouped_heads", true));	/* GGUF files of Qwen 3.5 have value heads in another order */
	LLM_TRY(llm_hf_must_equal(&p->config, "attn_output_gate", 1));
	(void) llm_hf_get(&p->config, "mamba_ssm_dtype|mtp_num_hidden_layers|mtp_use_dedicated_embeddings");
	return write_layers(p);
}

LlmStatus
llm_hf_qwen3_next(LlmHfParams *p)
{
	LLM_TRY(llm_hf_qwen_experts(p));
	return delta_net(p);
}

LlmStatus
llm_hf_qwen3_5(LlmHfParams *p)
{
	LLM_TRY(llm_hf_dense(p));
	return delta_net(p);
}
