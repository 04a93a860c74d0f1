/*
 * hf_config.h: a model's config.json (or an adapter's adapter_config.json). Every key that is asked for is noted; at the end one that nobody asked for, and that is
 * not known to leave results alone, is refused by name: it would change answers silently.
 *
 * A key is given as alternatives, "num_hidden_layers|n_layer"; null counts as absent. What the file does not say comes from the
 * defaults of the family (those of its class in transformers).
 */
#ifndef LLM_HF_CONFIG_H
#define LLM_HF_CONFIG_H

#include "weights/hf/hf_folder.h"

#define LLM_HF_MAX_ASKED 256

typedef struct LlmHfConfig
{
	const char *file;			/* its name, for messages */
	struct json_object *root;	/* the whole file */
	struct json_object *text;	/* what says how text is computed: the whole, or its part "text_config" */
	struct json_object *defaults;
	const char *architecture;	/* first of "architectures", or "" */
	LlmStr		asked[LLM_HF_MAX_ASKED];
	int			n_asked;
	LlmError   *err;
} LlmHfConfig;

extern LlmStatus llm_hf_config_open(LlmHfFolder *folder, const char *file, const LlmStop *stop, LlmHfConfig *config, LlmError *err);
extern void llm_hf_config_close(LlmHfConfig *config);

/* the family's defaults, as JSON; NULL: none */
extern LlmStatus llm_hf_config_defaults(LlmHfConfig *config, const char *json, const LlmAllocator *a);

/* the value of a key, or NULL; noted as asked for */
extern struct json_object *llm_hf_get(LlmHfConfig *config, const char *keys);

/* typed: *found says whether there is a value; of another type: LLM_E_FORMAT with key and value */
extern LlmStatus llm_hf_uint(LlmHfConfig *config, const char *keys, bool *found, uint64_t *value);
extern LlmStatus llm_hf_float(LlmHfConfig *config, const char *keys, bool *found, double *value);
extern LlmStatus llm_hf_bool(LlmHfConfig *config, const char *keys, bool *found, bool *value);
extern LlmStatus llm_hf_required(LlmHfConfig *config, const char *keys, uint64_t *value);
extern LlmStatus llm_hf_float_of(LlmHfConfig *config, struct json_object *value, const char *key, double *out);

/* the value is absent or one of the words ("silu|swish"); else it is refused by key and value */
extern LlmStatus llm_hf_must_be(LlmHfConfig *config, const char *key, const char *words);

/* absent, or this number */
extern LlmStatus llm_hf_must_equal(LlmHfConfig *config, const char *key, double number);

/* those of the keys that are there have one value; else LLM_E_FORMAT with two keys and their values */
extern LlmStatus llm_hf_must_agree(LlmHfConfig *config, const char *keys);

/* whether the family's defaults have the key: its class knows it */
extern bool llm_hf_has_default(const LlmHfConfig *config, const char *key);

/* a feature that is not computed: LLM_E_UNSUPPORTED with key and value */
extern LlmStatus llm_hf_refuse(LlmHfConfig *config, const char *key, struct json_object *value);

/* every key was asked for or leaves results alone */
extern LlmStatus llm_hf_config_check(LlmHfConfig *config);

#endif
