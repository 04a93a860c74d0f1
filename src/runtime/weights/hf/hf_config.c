/*
 * hf_config.c: reading config.json by json-c, with note of what was asked for.
 */
#include "weights/hf/hf_config.h"

#include "text/json_parse.h"

#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* keys that say nothing about results: training, bookkeeping, speed, or facts that the tensors themselves show */
static const char *const harmless[] = {
	"_attn_implementation_autoset", "_flash_attn_2_enabled", "_name_or_path", "_sliding_window_pattern", "add_bos_token",
	"architectures", "attention_bias", "attention_dropout", "attention_probs_dropout_prob", "attn_pdrop", "auto_map",
	"bos_token_id", "cache_implementation", "chunk_size", "classifier_activation", "classifier_bias", "classifier_dropout",
	"cls_token_id", "conv_bias", "decoder_bias", "deterministic_flash_attn", "dtype", "embd_pdrop", "embedding_dropout",
	"eos_token_id", "finetuning_task", "gradient_checkpointing", "hidden_dropout", "hidden_dropout_prob", "id2label",
	"initializer_cutoff_factor", "initializer_range", "label2id", "mamba_proj_bias", "mamba_ssm_cache_dtype",
	"max_window_layers", "mlp_bias", "mlp_dropout", "model_type", "moe_shared_expert_overlap", "mtp_layers_block_type",
	"norm_bias", "num_logits_to_keep", "output_router_logits", "pad_token_id", "pretraining_tp", "problem_type", "qkv_bias",
	"rescale_prenorm_residual", "residual_dropout", "resid_pdrop", "residual_in_fp32", "router_aux_loss_coef", "router_jitter_noise",
	"router_z_loss_coef", "aux_loss_alpha", "seq_aux", "sep_token_id", "sparse_pred_ignore_index", "sparse_prediction",
	"summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj",
	"time_step_floor", "time_step_max", "time_step_min", "time_step_rank", "time_step_init_scheme", "time_step_scale",
	"torch_dtype", "transformers_version", "unsloth_fixed", "unsloth_version", "use_bias", "use_cache", "use_conv_bias",
	"use_mamba_kernels", "mask_token_id", "unk_token_id", "gradient_checkpointing", "boi_token_index", "eoi_token_index",
	"image_token_index", "ep_size", "transformers.js_config", "pad_vocab_size_multiple", "fused_bias_fc", "fused_dropout_add_ln",
	"fused_mlp", "use_flash_attn", "use_xentropy", "mlp_checkpoint_lvl", "last_layer_subset", "bos_token_ids", "is_llama_config",
	"interpolate_factor", "full_attn_mod", "mtp_hybrid_override_pattern", "reference_compile", "repad_logits_with_grad",
	"dense_seq_output", "norm_before_gate", "use_parallel_embedding", "use_embedding_sharing", "max_seq_len", "seq_length",
	"layer_types_string", "vision_feature_layer", "torch_compile", "use_return_dict", "return_dict", "output_hidden_states",
	"output_attentions", "init_method", "mamba_chunk_size", "mamba_conv_bias", "output_past", "num_query_groups", "model_max_length",
	"sbert_ce_default_activation_function", "sentence_transformers", "chunk_size_feed_forward", "tf_legacy_loss",

	/* of choosing tokens, which older files keep here */
	"max_length", "min_length", "length_penalty", "num_beams", "num_beam_groups", "num_return_sequences", "repetition_penalty",
	"temperature", "top_k", "top_p", "typical_p", "do_sample", "diversity_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size",
	"decoder_start_token_id", "prefix", "task_specific_params",
};

LlmStatus
llm_hf_config_open(LlmHfFolder *folder, const char *file, const LlmStop *stop, LlmHfConfig *config, LlmError *err)
{
	struct json_object *part;

	memset(config, 0, sizeof(*config));
	config->file = file;
	config->err = err;
	LLM_TRY(llm_hf_json(folder, file, stop, &config->root, err));
	if (!json_object_is_type(config->root, json_type_object))
		return llm_fail(err, LLM_E_FORMAT, "file \"%s\" is not a JSON object", file);
	config->text = config->root;
	if (json_object_object_get_ex(config->root, "text_config", &part) && json_object_is_type(part, json_type_object))
		config->text = part;
	config->architecture = "";
	if (json_object_object_get_ex(config->root, "architectures", &part) && json_object_is_type(part, json_type_array) &&
		json_object_array_length(part) > 0 && json_object_is_type(json_object_array_get_idx(part, 0), json_type_string))
		config->architecture = json_object_get_string(json_object_array_get_idx(part, 0));
	return LLM_OK;
}

void
llm_hf_config_close(LlmHfConfig *config)
{
	json_object_put(config->root);
	json_object_put(config->defaults);
	config->root = NULL;
	config->defaults = NULL;
}

LlmStatus
llm_hf_config_defaults(LlmHfConfig *config, const char *json, const LlmAllocator *a)
{
	return json ? llm_json_parse(json, strlen(json), a, &config->defaults, config->err) : LLM_OK;
}

static void
note(LlmHfConfig *config, LlmStr key)
{
	for (int i = 0; i < config->n_asked; i++)
		if (config->asked[i].len == key.len && memcmp(config->asked[i].data, key.data, key.len) == 0)
			return;
	if (config->n_asked < LLM_HF_MAX_ASKED)
		config->asked[config->n_asked++] = key;
}

/* one of the alternatives in an object; noted if config is given. *present also where it is null. */
static struct json_object *
find(LlmHfConfig *noting, struct json_object *object, const char *keys, bool *present)
{
	struct json_object *found = NULL;

	for (const char *at = keys; object && *at;)
	{
		size_t		len = strcspn(at, "|");
		char		key[64];
		struct json_object *value;

		if (noting)
			note(noting, (LlmStr) {at, len});
		if (!found && len < sizeof(key))
		{
			memcpy(key, at, len);
			key[len] = '\0';
			if (json_object_object_get_ex(object, key, &value))
			{
				found = value;
				*present = true;
			}
		}
		at += len + (at[len] == '|');
	}
	return found;
}

struct json_object *
llm_hf_get(LlmHfConfig *config, const char *keys)
{
	bool		present = false;
	struct json_object *value = find(config, config->text, keys, &present);

	/* null is an answer too: what a class has by default is then not there */
	return present ? value : find(NULL, config->defaults, keys, &present);
}

static const char *
value_text(struct json_object *value)
{
	return json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);
}

static LlmStatus
wrong_type(LlmHfConfig *config, const char *keys, struct json_object *value, const char *expected)
{
	return llm_fail(config->err, LLM_E_FORMAT, "key \"%.*s\" of %s is %.60s, not %s", (int) strcspn(keys, "|"), keys,
					config->file, value_text(value), expected);
}

LlmStatus
llm_hf_uint(LlmHfConfig *config, const char *keys, bool *found, uint64_t *value)
{
	struct json_object *json = llm_hf_get(config, keys);

	*found = json != NULL;
	if (!json)
		return LLM_OK;
	if (!json_object_is_type(json, json_type_int) || json_object_get_int64(json) < 0 || json_object_get_int64(json) > UINT32_MAX)
		return wrong_type(config, keys, json, "a whole number from 0 to 4294967295");
	*value = (uint64_t) json_object_get_int64(json);
	return LLM_OK;
}

LlmStatus
llm_hf_required(LlmHfConfig *config, const char *keys, uint64_t *value)
{
	bool		found;

	LLM_TRY(llm_hf_uint(config, keys, &found, value));
	return found ? LLM_OK : llm_fail(config->err, LLM_E_FORMAT, "key \"%.*s\" is missing in %s",
									 (int) strcspn(keys, "|"), keys, config->file);
}

LlmStatus
llm_hf_float_of(LlmHfConfig *config, struct json_object *value, const char *key, double *out)
{
	if ((!json_object_is_type(value, json_type_double) && !json_object_is_type(value, json_type_int)) ||
		!isfinite(json_object_get_double(value)))
		return wrong_type(config, key, value, "a number");
	*out = json_object_get_double(value);
	return LLM_OK;
}

LlmStatus
llm_hf_float(LlmHfConfig *config, const char *keys, bool *found, double *value)
{
	struct json_object *json = llm_hf_get(config, keys);

	*found = json != NULL;
	return json ? llm_hf_float_of(config, json, keys, value) : LLM_OK;
}

LlmStatus
llm_hf_bool(LlmHfConfig *config, const char *keys, bool *found, bool *value)
{
	struct json_object *json = llm_hf_get(config, keys);

	*found = json != NULL;
	if (!json)
		return LLM_OK;
	if (!json_object_is_type(json, json_type_boolean))
		return wrong_type(config, keys, json, "true or false");
	*value = json_object_get_boolean(json);
	return LLM_OK;
}

LlmStatus
llm_hf_refuse(LlmHfConfig *config, const char *key, struct json_object *value)
{
	llm_fail(config->err, LLM_E_UNSUPPORTED, "key \"%.80s\" = %.60s of %s is not supported for \"%.40s\"", key,
			 value_text(value), config->file, config->architecture);
	llm_error_hint(config->err, "What it asks for is not computed, so the answers would be wrong.");
	return LLM_E_UNSUPPORTED;
}

LlmStatus
llm_hf_must_be(LlmHfConfig *config, const char *key, const char *words)
{
	struct json_object *value = llm_hf_get(config, key);

	if (!value)
		return LLM_OK;
	for (const char *at = words; *at && json_object_is_type(value, json_type_string);)
	{
		size_t		len = strcspn(at, "|");

		if ((size_t) json_object_get_string_len(value) == len && memcmp(json_object_get_string(value), at, len) == 0)
			return LLM_OK;
		at += len + (at[len] == '|');
	}
	return llm_hf_refuse(config, key, value);
}

LlmStatus
llm_hf_must_equal(LlmHfConfig *config, const char *key, double number)
{
	struct json_object *value = llm_hf_get(config, key);

	if (!value || ((json_object_is_type(value, json_type_double) || json_object_is_type(value, json_type_int) ||
					json_object_is_type(value, json_type_boolean)) && json_object_get_double(value) == number))
		return LLM_OK;
	return llm_hf_refuse(config, key, value);
}

LlmStatus
llm_hf_must_agree(LlmHfConfig *config, const char *keys)
{
	struct json_object *first = NULL;
	const char *first_key = NULL;
	int			first_len = 0;

	for (const char *at = keys; *at;)
	{
		size_t		len = strcspn(at, "|");
		char		key[64];
		struct json_object *value = NULL;

		snprintf(key, sizeof(key), "%.*s", (int) len, at);
		(void) json_object_object_get_ex(config->text, key, &value);
		if (first && value && !json_object_equal(first, value))
			return llm_fail(config->err, LLM_E_FORMAT, "keys \"%.*s\" = %.40s and \"%s\" = %.40s of %s contradict each other", first_len,
							first_key, value_text(first), key, value_text(value), config->file);
		if (!first && value)
		{
			first = value;
			first_key = at;
			first_len = (int) len;
		}
		at += len + (at[len] == '|');
	}
	return LLM_OK;
}

bool
llm_hf_has_default(const LlmHfConfig *config, const char *key)
{
	return config->defaults && json_object_object_get_ex(config->defaults, key, NULL);
}

/* null, false, and empty say that something is not there */
static bool
is_neutral(struct json_object *value)
{
	switch (json_object_get_type(value))
	{
		case json_type_null:
			return true;
		case json_type_boolean:
			return !json_object_get_boolean(value);
		case json_type_array:
			return json_object_array_length(value) == 0;
		case json_type_object:
			return json_object_object_length(value) == 0;
		default:
			return false;
	}
}

static bool
is_known(const LlmHfConfig *config, const char *key)
{
	for (int i = 0; i < config->n_asked; i++)
		if (config->asked[i].len == strlen(key) && memcmp(config->asked[i].data, key, config->asked[i].len) == 0)
			return true;
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		if (strcmp(key, harmless[i]) == 0)
			return true;
	return false;
}

LlmStatus
llm_hf_config_check(LlmHfConfig *config)
{
	struct json_object_iterator it = json_object_iter_begin(config->text);
	struct json_object_iterator end = json_object_iter_end(config->text);

	for (; !json_object_iter_equal(&it, &end); json_object_iter_next(&it))
	{
		const char *key = json_object_iter_peek_name(&it);

		if (!is_known(config, key) && !is_neutral(json_object_iter_peek_value(&it)))
			return llm_hf_refuse(config, key, json_object_iter_peek_value(&it));
	}
	return LLM_OK;
}
