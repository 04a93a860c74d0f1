/*
 * quant_config.c: reading quantization_config, as transformers, modelopt and compressed-tensors write it.
 *
 * Most of it repeats what the stored tensors say, or is about activations, which we quantize in our own way. Read is what
 * tensors do not tell; refused is what would change weights and is not computed.
 */
#include "weights/hf/quant.h"

#include <json-c/json.h>
#include <string.h>

#define DEFAULT_TILE 128

static LlmStatus
refuse(LlmError *err, const char *key, struct json_object *value)
{
	llm_fail(err, LLM_E_UNSUPPORTED, "quantization with \"%s\" is not supported", key);
	llm_error_detail(err, "Its value is %.200s.", value ? json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN) : "null");
	return LLM_E_UNSUPPORTED;
}

/* NULL also if it is null */
static struct json_object *
member(struct json_object *object, const char *key)
{
	struct json_object *value;

	return json_object_is_type(object, json_type_object) && json_object_object_get_ex(object, key, &value) ? value : NULL;
}

static bool
text_is(struct json_object *value, const char *text)
{
	return json_object_is_type(value, json_type_string) && strcasecmp(json_object_get_string(value), text) == 0;
}

/* an object or array that has to be empty */
static LlmStatus
check_empty(struct json_object *object, const char *key, LlmError *err)
{
	struct json_object *value = member(object, key);

	if (value == NULL ||
		(json_object_is_type(value, json_type_object) && json_object_object_length(value) == 0) ||
		(json_object_is_type(value, json_type_array) && json_object_array_length(value) == 0))
		return LLM_OK;
	return refuse(err, key, value);
}

/* [rows, columns] */
static LlmStatus
read_tile(struct json_object *value, const char *key, LlmHfQuantConfig *config, LlmError *err)
{
	int64_t		tile[2];

	if (value == NULL)
		return LLM_OK;
	if (!json_object_is_type(value, json_type_array) || json_object_array_length(value) != 2)
		return refuse(err, key, value);
	for (int i = 0; i < 2; i++)
	{
		tile[i] = json_object_get_int64(json_object_array_get_idx(value, i));
		if (tile[i] < 1 || tile[i] > 1 << 20)
			return refuse(err, key, value);
	}
	config->tile_rows = tile[0];
	config->tile_cols = tile[1];
	return LLM_OK;
}

static LlmStatus
read_bits(struct json_object *q, LlmHfQuantConfig *config, LlmError *err)
{
	struct json_object *bits = member(q, "bits");

	config->bits = json_object_get_int(bits);
	if (config->bits != 2 && config->bits != 4 && config->bits != 8)
		return refuse(err, "bits", bits);
	return LLM_OK;
}

static LlmStatus
read_gptq(struct json_object *q, LlmHfQuantConfig *config, LlmError *err)
{
	struct json_object *format = member(q, "checkpoint_format");

	config->method = LLM_HF_METHOD_GPTQ;
	LLM_TRY(read_bits(q, config, err));
	/* the first format stores zero points less one */
	config->zero_offset = text_is(format, "gptq_v2") ? 0 : 1;
	if (format && !text_is(format, "gptq") && !text_is(format, "gptq_v2"))
		return refuse(err, "checkpoint_format", format);
	return check_empty(q, "dynamic", err);
}

static LlmStatus
read_awq(struct json_object *q, LlmHfQuantConfig *config, LlmError *err)
{
	struct json_object *version = member(q, "version");

	config->method = LLM_HF_METHOD_AWQ;
	LLM_TRY(read_bits(q, config, err));
	if (config->bits != 4)
		return refuse(err, "bits", member(q, "bits"));
	if (version && !text_is(version, "gemm"))
		return refuse(err, "version", version);
	return LLM_OK;
}

/* what a group of compressed-tensors says of its weights; strategies are seen by the shape of factors, but for tiles */
static LlmStatus
read_groups(struct json_object *groups, LlmHfQuantConfig *config, LlmError *err)
{
	if (!json_object_is_type(groups, json_type_object))
		return LLM_OK;
	json_object_object_foreach(groups, name, group)
	{
		(void) name;
		LLM_TRY(read_tile(member(member(group, "weights"), "block_structure"), "block_structure", config, err));
	}
	return LLM_OK;
}

static LlmStatus
read_compressed(struct json_object *q, LlmHfQuantConfig *config, LlmError *err)
{
	struct json_object *status = member(q, "quantization_status");

	if (status && !text_is(status, "compressed") && !text_is(status, "frozen"))
		return refuse(err, "quantization_status", status);
	if (member(q, "sparsity_config") && !text_is(member(member(q, "sparsity_config"), "format"), "dense"))
		LLM_TRY(check_empty(q, "sparsity_config", err));
	if (member(q, "transform_config"))
		LLM_TRY(check_empty(member(q, "transform_config"), "config_groups", err));
	return read_groups(member(q, "config_groups"), config, err);
}

LlmStatus
llm_hf_quant_config(struct json_object *q, LlmHfQuantConfig *config, LlmError *err)
{
	struct json_object *method = member(q, "quant_method");

	memset(config, 0, sizeof(*config));
	config->tile_rows = config->tile_cols = DEFAULT_TILE;
	if (q == NULL)
		return LLM_OK;			/* what is stored may be quantized all the same */
	if (text_is(method, "gptq"))
		return read_gptq(q, config, err);
	if (text_is(method, "awq"))
		return read_awq(q, config, err);
	if (text_is(method, "compressed-tensors"))
		return read_compressed(q, config, err);
	if (text_is(method, "fp8"))
		return read_tile(member(q, "weight_block_size"), "weight_block_size", config, err);
	if (text_is(method, "modelopt") || text_is(method, "mxfp4") || text_is(method, "fbgemm_fp8"))
		return LLM_OK;
	return refuse(err, "quant_method", method);
}
