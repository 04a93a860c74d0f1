/*
 * hf_hybrid.c: configurations of models with a selective state space (Mamba 1, Falcon Mamba, Jamba), and of Falcon H1, whose layers
 * have one beside attention.
 *
 * Source: transformers 5, configuration_*.py and modeling_*.py; llama.cpp, conversion/.
 */
#include "weights/hf/hf_families.h"

#include <json-c/json.h>
#include <string.h>

/* numbers that steps are made from: a sixteenth of the width, rounded up, where the file says "auto" or nothing */
static LlmStatus
step_rank(LlmHfParams *p, const char *key)
{
	struct json_object *rank = llm_hf_get(&p->config, key);
	uint64_t	value = (p->n_embd + 15) / 16;
	bool		found;

	if (rank && !(json_object_is_type(rank, json_type_string) && strcmp(json_object_get_string(rank), "auto") == 0))
		LLM_TRY(llm_hf_uint(&p->config, key, &found, &value));
	return llm_hf_put_uint(p, "ssm.time_step_rank", value);
}

/* keys of how other programs compute the same */
static void
ignore_ways(LlmHfParams *p)
{
	(void) llm_hf_get(&p->config, "use_mambapy|use_falcon_mambapy|use_associative_scan|use_mamba_kernels");
}

LlmStatus
llm_hf_mamba1(LlmHfParams *p)
{
	const bool	falcon = strcmp(p->family->architecture, "FalconMambaForCausalLM") == 0;
	uint64_t	expand = 2;
	uint64_t	width;
	bool		found;

	p->n_ctx = 1 << 20;			/* there is no limit */
	LLM_TRY(llm_hf_uint(&p->config, "expand", &found, &expand));
	width = expand * p->n_embd;
	LLM_TRY(llm_hf_uint(&p->config, "intermediate_size", &found, &width));
	ignore_ways(p);
	LLM_TRY(llm_hf_put_uint(p, "attention.head_count", 0));
	LLM_TRY(llm_hf_put_uint(p, "feed_forward_length", 0));
	LLM_TRY(llm_hf_put_uint(p, "ssm.inner_size", width));
	LLM_TRY(llm_hf_copy_uint(p, "state_size", "ssm.state_size"));
	LLM_TRY(llm_hf_copy_uint(p, "conv_kernel", "ssm.conv_kernel"));
	LLM_TRY(step_rank(p, "time_step_rank"));
	LLM_TRY(llm_hf_put_bool(p, "ssm.dt_b_c_rms", falcon));
	if (falcon)
		LLM_TRY(llm_hf_copy_float(p, "mixer_rms_eps", "ssm.dt_b_c_rms_epsilon"));
	return llm_hf_copy_float(p, "layer_norm_epsilon", "attention.layer_norm_rms_epsilon");
}

LlmStatus
llm_hf_jamba(LlmHfParams *p)
{
	uint64_t	period;
	uint64_t	offset;
	uint64_t	expand;
	bool	   *attends;
	void	   *ptr;

	LLM_TRY(llm_hf_dense(p));
	LLM_TRY(llm_hf_experts(p));
	/* which layers have experts the tensors say */
	(void) llm_hf_get(&p->config, "expert_layer_period|expert_layer_offset|layers_block_type|layer_types|layers_num_experts|num_logits_to_keep|sliding_window");
	ignore_ways(p);
	LLM_TRY(llm_hf_required(&p->config, "attn_layer_period", &period));
	LLM_TRY(llm_hf_required(&p->config, "attn_layer_offset", &offset));
	LLM_TRY(llm_hf_required(&p->config, "mamba_expand", &expand));
	if (period == 0 || offset >= period)
		return llm_fail(p->err, LLM_E_FORMAT, "layer %llu of every %llu cannot attend (attn_layer_offset, attn_layer_period of config.json)",
						(unsigned long long) offset, (unsigned long long) period);
	LLM_TRY(llm_arena_alloc(&p->folder->arena, p->n_layer, sizeof(bool), &ptr, p->err));
	attends = ptr;
	for (uint64_t i = 0; i < p->n_layer; i++)
		attends[i] = i % period == offset;
	LLM_TRY(llm_hf_put_uint(p, "attention.head_count", p->n_head));
	LLM_TRY(llm_hf_put_by_layer(p, "attention.head_count_kv", attends, p->n_head_kv));
	LLM_TRY(llm_hf_put_uint(p, "ssm.inner_size", expand * p->n_embd));
	LLM_TRY(llm_hf_copy_uint(p, "mamba_d_state", "ssm.state_size"));
	LLM_TRY(llm_hf_copy_uint(p, "mamba_d_conv", "ssm.conv_kernel"));
	return step_rank(p, "mamba_dt_rank");
}

/* ---- Falcon H1 ---- */

/* a list of n numbers; all 1 where the file has none */
static LlmStatus
numbers(LlmHfParams *p, const char *key, size_t n, double *values)
{
	struct json_object *list = llm_hf_get(&p->config, key);

	for (size_t i = 0; i < n; i++)
		values[i] = 1;
	if (!list)
		return LLM_OK;
	if (!json_object_is_type(list, json_type_array) || json_object_array_length(list) != n)
		return llm_hf_refuse(&p->config, key, list);
	for (size_t i = 0; i < n; i++)
		LLM_TRY(llm_hf_float_of(&p->config, json_object_array_get_idx(list, i), key, &values[i]));
	return LLM_OK;
}

static LlmStatus
number(LlmHfParams *p, const char *key, double *value)
{
	bool		found;

	*value = 1;
	return llm_hf_float(&p->config, key, &found, value);
}

static void
add_factor(LlmHfParams *p, const char *role, double weight, double bias)
{
	p->factors[p->n_factors++] = (LlmHfFactor) {.role = role, .weight = weight, .bias = bias};
}

/* rows of the input projection: gate, inputs, B, C, steps */
static LlmStatus
state_factors(LlmHfParams *p)
{
	uint64_t	n_head;
	uint64_t	n_state;
	uint64_t	width;
	uint64_t	sizes[5];
	uint64_t	n = 0;
	double		values[5];
	double		in;
	float	   *rows;
	void	   *ptr;

	LLM_TRY(number(p, "ssm_in_multiplier", &in));
	LLM_TRY(numbers(p, "ssm_multipliers", 5, values));
	LLM_TRY(llm_hf_required(&p->config, "mamba_n_heads", &n_head));
	LLM_TRY(llm_hf_required(&p->config, "mamba_d_state", &n_state));
	LLM_TRY(llm_hf_required(&p->config, "mamba_d_ssm", &width));
	memcpy(sizes, (const uint64_t[]) {width, width, p->n_group * n_state, p->n_group * n_state, n_head}, sizeof(sizes));
	for (int i = 0; i < 5; i++)
	{
		if (sizes[i] > 1 << 20)
			return llm_fail(p->err, LLM_E_FORMAT, "sizes mamba_* of config.json are not possible: a state space of %llu", (unsigned long long) sizes[i]);
		n += sizes[i];
	}
	LLM_TRY(llm_arena_alloc(&p->folder->arena, n, sizeof(float), &ptr, p->err));
	rows = ptr;
	for (int i = 0; i < 5; i++)
		for (uint64_t k = 0; k < sizes[i]; k++)
			*rows++ = (float) values[i];
	p->factors[p->n_factors++] = (LlmHfFactor) {.role = "ssm_in", .weight = in, .bias = 1, .rows = ptr, .n_rows = n};
	return LLM_OK;
}

/* what the class multiplies activations by becomes part of the matrices, but for what a matrix may share with the output's */
static LlmStatus
multipliers(LlmHfParams *p)
{
	double		in;
	double		out;
	double		key;
	double		state_out;
	double		logits;
	double		mlp[2];

	LLM_TRY(number(p, "attention_in_multiplier", &in));
	LLM_TRY(number(p, "attention_out_multiplier", &out));
	LLM_TRY(number(p, "key_multiplier", &key));
	LLM_TRY(number(p, "ssm_out_multiplier", &state_out));
	LLM_TRY(number(p, "lm_head_multiplier", &logits));
	LLM_TRY(numbers(p, "mlp_multipliers", 2, mlp));
	add_factor(p, "attn_q", in, 1);
	add_factor(p, "attn_k", in * key, key);
	add_factor(p, "attn_v", in, 1);
	add_factor(p, "attn_output", out, out);
	add_factor(p, "ssm_out", state_out, state_out);
	add_factor(p, "ffn_gate", mlp[0], mlp[0]);
	add_factor(p, "ffn_down", mlp[1], mlp[1]);
	if (logits == 0)
		return llm_hf_refuse(&p->config, "lm_head_multiplier", llm_hf_get(&p->config, "lm_head_multiplier"));
	LLM_TRY(llm_hf_put_float(p, "logit_scale", 1 / logits));
	LLM_TRY(llm_hf_copy_float(p, "embedding_multiplier", "embedding_scale"));
	return state_factors(p);
}

LlmStatus
llm_hf_falcon_h1(LlmHfParams *p)
{
	bool		norm = false;
	bool		found;

	LLM_TRY(llm_hf_copy_uint(p, "intermediate_size", "feed_forward_length"));
	LLM_TRY(llm_hf_state_space(p, "mamba_n_heads", "mamba_d_head", "mamba_d_state"));
	LLM_TRY(llm_hf_bool(&p->config, "mamba_rms_norm", &found, &norm));
	if (norm)
		LLM_TRY(llm_hf_must_equal(&p->config, "mamba_norm_before_gate", 0));
	(void) llm_hf_get(&p->config, "mamba_norm_before_gate|projectors_bias|mamba_use_mlp|layers_block_type|layer_types|attn_layer_indices");
	return multipliers(p);
}
