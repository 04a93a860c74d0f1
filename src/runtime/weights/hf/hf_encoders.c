/*
 * hf_encoders.c: what the configurations of encoders have beyond the keys that all share.
 *
 * Source: transformers 5, configuration_*.py and modeling_*.py; llama.cpp, conversion/bert.py and gemma.py.
 */
#include "weights/hf/hf_families.h"

#include <json-c/json.h>
#include <string.h>

static LlmStatus
encoder_sizes(LlmHfParams *p)
{
	uint64_t	n_types = 1;
	bool		found;

	LLM_TRY(llm_hf_layer_norm(p));
	LLM_TRY(llm_hf_uint(&p->config, "type_vocab_size", &found, &n_types));
	return llm_meta_write_uint(p->meta, "tokenizer.ggml.token_type_count", n_types, p->err);
}

LlmStatus
llm_hf_bert(LlmHfParams *p)
{
	bool		found;

	LLM_TRY(encoder_sizes(p));
	LLM_TRY(llm_hf_put_uint(p, "attention.head_count", p->n_head));
	LLM_TRY(llm_hf_must_be(&p->config, "position_embedding_type", "absolute"));
	if (!(p->family->has & LLM_HF_OFFSET_POSITIONS))
		return LLM_OK;
	LLM_TRY(llm_hf_uint(&p->config, "pad_token_id", &found, &p->first_position));
	p->first_position = found ? p->first_position + 1 : 0;
	if (p->first_position >= p->n_ctx)
		return llm_fail(p->err, LLM_E_FORMAT, "key \"pad_token_id\" of config.json leaves no positions");
	p->n_ctx -= p->first_position;
	return LLM_OK;
}

LlmStatus
llm_hf_nomic_bert(LlmHfParams *p)
{
	static const char *const off[] = {"causal", "prenorm", "qkv_proj_bias", "mlp_fc1_bias", "mlp_fc2_bias", "rotary_emb_interleaved",
	"parallel_block", "parallel_block_tied_norm", "use_rms_norm", "scale_attn_by_inverse_layer_idx"};
	uint64_t	trained = 2048;
	bool		found;

	LLM_TRY(encoder_sizes(p));
	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
		LLM_TRY(llm_hf_must_equal(&p->config, off[i], 0));
	LLM_TRY(llm_hf_must_be(&p->config, "activation_function", "swiglu"));
	LLM_TRY(llm_hf_must_be(&p->config, "hidden_act", "silu"));
	LLM_TRY(llm_hf_must_equal(&p->config, "rotary_emb_fraction", 1));
	LLM_TRY(llm_hf_must_equal(&p->config, "scale_attn_weights", 1));
	LLM_TRY(llm_hf_must_equal(&p->config, "reorder_and_upcast_attn", 0));
	(void) llm_hf_get(&p->config, "rotary_scaling_factor");	/* beyond what it was trained for, which is left out */
	LLM_TRY(llm_hf_uint(&p->config, "max_trained_positions", &found, &trained));
	p->n_ctx = p->n_ctx < trained ? p->n_ctx : trained;
	return LLM_OK;
}

static LlmStatus
write_classifier_pooling(LlmHfParams *p)
{
	struct json_object *pooling = llm_hf_get(&p->config, "classifier_pooling");

	LLM_TRY(llm_hf_must_be(&p->config, "classifier_pooling", "cls|mean"));
	if (!pooling)
		return LLM_OK;
	return llm_hf_put_uint(p, "classifier.pooling_type", strcmp(json_object_get_string(pooling), "mean") == 0 ? 1 : 2);
}

/* a layer that follows the mean: linear, and no more (sentence-transformers takes tanh where no activation is named) */
static LlmStatus
check_dense(LlmHfParams *p, const char *file)
{
	struct json_object *config;
	struct json_object *value;
	bool		is_linear;
	bool		adds_input;

	LLM_TRY(llm_hf_json(p->folder, file, NULL, &config, p->err));
	if (!config)
		return LLM_OK;
	is_linear = json_object_object_get_ex(config, "activation_function", &value) && json_object_is_type(value, json_type_string) &&
		strstr(json_object_get_string(value), "Identity") != NULL;
	adds_input = json_object_object_get_ex(config, "use_residual", &value) && json_object_get_boolean(value);
	json_object_put(config);
	if (!is_linear)
		return llm_fail(p->err, LLM_E_UNSUPPORTED, "activation_function of file \"%s\" is not supported: it is not Identity", file);
	return adds_input ? llm_fail(p->err, LLM_E_UNSUPPORTED, "use_residual of file \"%s\" is not supported", file) : LLM_OK;
}

/* in both directions, with what follows the mean in folders of its own */
LlmStatus
llm_hf_gemma_embedding(LlmHfParams *p)
{
	bool		both_ways = false;
	bool		found;

	LLM_TRY(llm_hf_bool(&p->config, "use_bidirectional_attention", &found, &both_ways));
	if (!both_ways)
		return llm_fail(p->err, LLM_E_UNSUPPORTED, "model class \"Gemma3TextModel\" is not supported with attention in one direction");
	LLM_TRY(check_dense(p, "2_Dense/config.json"));
	LLM_TRY(check_dense(p, "3_Dense/config.json"));
	return llm_hf_gemma_keys(p);
}

LlmStatus
llm_hf_jina_v3(LlmHfParams *p)
{
	LLM_TRY(encoder_sizes(p));
	return llm_hf_must_equal(&p->config, "rotary_emb_fraction", 1);
}

LlmStatus
llm_hf_eurobert(LlmHfParams *p)
{
	(void) llm_hf_get(&p->config, "classifier_pooling");	/* of a classifier, which this class has not */
	return llm_hf_dense(p);
}

/* which layers have a window: listed in new files, every so many (from the first) in older ones */
LlmStatus
llm_hf_modern_bert(LlmHfParams *p)
{
	uint64_t	every = 3;
	bool		found;
	bool	   *local;
	void	   *ptr;

	LLM_TRY(llm_hf_layer_norm(p));
	LLM_TRY(llm_hf_copy_uint(p, "local_attention", "attention.sliding_window"));
	LLM_TRY(llm_hf_uint(&p->config, "global_attn_every_n_layers", &found, &every));
	LLM_TRY(llm_hf_layer_windows(p, &local));
	if (!local)
	{
		LLM_TRY(llm_arena_alloc(&p->folder->arena, p->n_layer, sizeof(bool), &ptr, p->err));
		local = ptr;
		for (uint64_t i = 0; i < p->n_layer; i++)
			local[i] = every == 0 || i % every != 0;
	}
	LLM_TRY(llm_hf_put_bools(p, "attention.sliding_window_pattern", local, p->n_layer));
	LLM_TRY(llm_hf_must_be(&p->config, "position_embedding_type", "absolute"));
	if (p->family->has & LLM_HF_HAS_CLASSIFIER)
		LLM_TRY(llm_hf_must_be(&p->config, "classifier_activation", "gelu"));
	return write_classifier_pooling(p);
}
