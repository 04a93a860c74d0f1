/*
 * hf_params.c: the keys that all families share, and the order in which a configuration is read.
 */
#include "weights/hf/hf_params.h"

#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_LAYERS 4096

#define PROMPT_KEY "sentence_transformers.prompt."
#define MAX_TASK 128			/* bytes of a task's name; a longer one cannot be asked for */

typedef char KeyName[128];

static const char *
key_name(const LlmHfParams *p, const char *suffix, KeyName name)
{
	snprintf(name, sizeof(KeyName), "%s.%s", p->arch, suffix);
	return name;
}

LlmStatus
llm_hf_put_uint(LlmHfParams *p, const char *suffix, uint64_t value)
{
	KeyName		key;

	return llm_meta_write_uint(p->meta, key_name(p, suffix, key), value, p->err);
}

LlmStatus
llm_hf_put_float(LlmHfParams *p, const char *suffix, double value)
{
	KeyName		key;

	return llm_meta_write_float(p->meta, key_name(p, suffix, key), value, p->err);
}

LlmStatus
llm_hf_put_bool(LlmHfParams *p, const char *suffix, bool value)
{
	KeyName		key;

	return llm_meta_write_bool(p->meta, key_name(p, suffix, key), value, p->err);
}

LlmStatus
llm_hf_put_string(LlmHfParams *p, const char *suffix, const char *value)
{
	KeyName		key;

	return llm_meta_write_string(p->meta, key_name(p, suffix, key), (LlmStr) {value, strlen(value)}, p->err);
}

LlmStatus
llm_hf_put_uints(LlmHfParams *p, const char *suffix, const uint32_t *values, uint64_t n)
{
	KeyName		key;

	return llm_meta_write_uints(p->meta, key_name(p, suffix, key), values, n, p->err);
}

LlmStatus
llm_hf_put_bools(LlmHfParams *p, const char *suffix, const bool *values, uint64_t n)
{
	KeyName		key;

	return llm_meta_write_bools(p->meta, key_name(p, suffix, key), values, n, p->err);
}

LlmStatus
llm_hf_put_by_layer(LlmHfParams *p, const char *suffix, const bool *is, uint64_t value)
{
	uint32_t   *values;
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(&p->folder->arena, p->n_layer, sizeof(uint32_t), &ptr, p->err));
	values = ptr;
	for (uint64_t i = 0; i < p->n_layer; i++)
		values[i] = is[i] ? (uint32_t) value : 0;
	return llm_hf_put_uints(p, suffix, values, p->n_layer);
}

LlmStatus
llm_hf_copy_uint(LlmHfParams *p, const char *keys, const char *suffix)
{
	uint64_t	value;
	bool		found;

	LLM_TRY(llm_hf_uint(&p->config, keys, &found, &value));
	return found ? llm_hf_put_uint(p, suffix, value) : LLM_OK;
}

LlmStatus
llm_hf_copy_float(LlmHfParams *p, const char *keys, const char *suffix)
{
	double		value;
	bool		found;

	LLM_TRY(llm_hf_float(&p->config, keys, &found, &value));
	return found ? llm_hf_put_float(p, suffix, value) : LLM_OK;
}

LlmStatus
llm_hf_copy_bool(LlmHfParams *p, const char *keys, const char *suffix)
{
	bool		value;
	bool		found;

	LLM_TRY(llm_hf_bool(&p->config, keys, &found, &value));
	return found ? llm_hf_put_bool(p, suffix, value) : LLM_OK;
}

static bool
word_in(struct json_object *value, const char *words)
{
	for (const char *at = words; *at && json_object_is_type(value, json_type_string);)
	{
		size_t		len = strcspn(at, "|");

		if ((size_t) json_object_get_string_len(value) == len && memcmp(json_object_get_string(value), at, len) == 0)
			return true;
		at += len + (at[len] == '|');
	}
	return false;
}

LlmStatus
llm_hf_layer_words(LlmHfParams *p, const char *key, const char *words, bool **is)
{
	struct json_object *list = llm_hf_get(&p->config, key);
	void	   *ptr;

	*is = NULL;
	if (!list)
		return LLM_OK;
	if (!json_object_is_type(list, json_type_array) || json_object_array_length(list) < p->n_layer)
		return llm_fail(p->err, LLM_E_FORMAT, "key \"%s\" of config.json is not an array of %llu words", key,
						(unsigned long long) p->n_layer);
	LLM_TRY(llm_arena_alloc(&p->folder->arena, p->n_layer, sizeof(bool), &ptr, p->err));
	*is = ptr;
	for (uint64_t i = 0; i < p->n_layer; i++)
		(*is)[i] = word_in(json_object_array_get_idx(list, i), words);
	return LLM_OK;
}

LlmStatus
llm_hf_layer_uint(LlmHfParams *p, const char *keys, bool *found, uint64_t *value)
{
	struct json_object *list = llm_hf_get(&p->config, keys);
	struct json_object *first;
	double		number;

	if (!json_object_is_type(list, json_type_array))
		return llm_hf_uint(&p->config, keys, found, value);
	first = json_object_array_get_idx(list, 0);
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (!json_object_equal(json_object_array_get_idx(list, i), first))
			return llm_hf_refuse(&p->config, keys, list);
	LLM_TRY(llm_hf_float_of(&p->config, first, keys, &number));
	if (!(number >= 0 && number <= UINT32_MAX && number == floor(number)) || json_object_array_length(list) < p->n_layer)
		return llm_hf_refuse(&p->config, keys, list);
	*found = true;
	*value = (uint64_t) number;
	return LLM_OK;
}

/* ---- sizes ---- */

static LlmStatus
read_heads(LlmHfParams *p)
{
	bool		found;

	LLM_TRY(llm_hf_uint(&p->config, "num_attention_heads|n_head|n_heads", &found, &p->n_head));
	if (!found)
		return LLM_OK;
	if (p->n_head == 0)
		return llm_fail(p->err, LLM_E_FORMAT, "key \"num_attention_heads\" of config.json is 0");
	p->n_head_kv = p->n_head;
	LLM_TRY(llm_hf_uint(&p->config, "num_key_value_heads", &found, &p->n_head_kv));
	p->head_dim = p->n_embd / p->n_head;
	LLM_TRY(llm_hf_uint(&p->config, "head_dim|attention_head_dim|kv_channels", &found, &p->head_dim));
	if (p->n_head_kv == 0 || p->head_dim == 0)
		return llm_fail(p->err, LLM_E_FORMAT, "heads of config.json are not possible: %llu key/value heads of %llu dimensions",
						(unsigned long long) p->n_head_kv, (unsigned long long) p->head_dim);
	return LLM_OK;
}

static LlmStatus
read_sizes(LlmHfParams *p)
{
	struct json_object *kinds = llm_hf_get(&p->config, "layers_block_type");
	bool		found;

	if (json_object_is_type(kinds, json_type_array))	/* says it by itself, and before a number that may contradict */
		p->n_layer = json_object_array_length(kinds);
	else
		LLM_TRY(llm_hf_required(&p->config, "num_hidden_layers|n_layer|n_layers", &p->n_layer));
	if (p->n_layer < 1 || p->n_layer > MAX_LAYERS)
		return llm_fail(p->err, LLM_E_FORMAT, "key \"num_hidden_layers\" of config.json is %llu, outside 1 to %d",
						(unsigned long long) p->n_layer, MAX_LAYERS);
	LLM_TRY(llm_hf_required(&p->config, "hidden_size|n_embd|d_model|n_embed", &p->n_embd));
	LLM_TRY(llm_hf_uint(&p->config, "max_position_embeddings|n_positions", &found, &p->n_ctx));
	LLM_TRY(llm_hf_required(&p->config, "vocab_size", &p->n_vocab));
	return read_heads(p);
}

/* the keys of attention with heads all alike; a family with others writes them itself */
static LlmStatus
write_sizes(LlmHfParams *p)
{
	if (p->n_ctx == 0)
	{
		llm_fail(p->err, LLM_E_FORMAT, "key \"max_position_embeddings\" is missing in config.json, or 0");
		llm_error_hint(p->err, "It says how long a text may be; add it to the file.");
		return LLM_E_FORMAT;
	}
	LLM_TRY(llm_hf_put_uint(p, "block_count", p->n_layer));
	LLM_TRY(llm_hf_put_uint(p, "context_length", p->n_ctx));
	LLM_TRY(llm_hf_put_uint(p, "embedding_length", p->n_embd));
	return llm_hf_put_uint(p, "vocab_size", p->n_vocab);
}

/* ---- embeddings ---- */

/* what follows the model in sentence-transformers: only what is computed here */
static LlmStatus
check_modules(LlmHfParams *p, const LlmStop *stop)
{
	static const char *const known[] = {"Transformer", "Pooling", "Normalize"};
	struct json_object *modules;
	struct json_object *type;
	struct json_object *path;
	LlmStatus	status = LLM_OK;

	LLM_TRY(llm_hf_json(p->folder, "modules.json", stop, &modules, p->err));
	for (size_t i = 0; json_object_is_type(modules, json_type_array) && i < json_object_array_length(modules); i++)
	{
		struct json_object *module = json_object_array_get_idx(modules, i);
		const char *name = json_object_object_get_ex(module, "type", &type) ? json_object_get_string(type) : "";
		const char *folder = json_object_object_get_ex(module, "path", &path) ? json_object_get_string(path) : "";
		const char *last = name && strrchr(name, '.') ? strrchr(name, '.') + 1 : name ? name : "";
		bool		is_known = strcmp(last, "Dense") == 0 && folder && (strcmp(folder, "2_Dense") == 0 || strcmp(folder, "3_Dense") == 0);

		if (status == LLM_OK && strcmp(last, "Pooling") == 0 && !(folder && strcmp(folder, "1_Pooling") == 0))
			status = llm_fail(p->err, LLM_E_UNSUPPORTED, "module \"Pooling\" of file \"modules.json\" is in folder \"%.60s\", not \"1_Pooling\"",
							  folder ? folder : "");
		for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
			is_known = is_known || strcmp(last, known[k]) == 0;
		if (!is_known && status == LLM_OK)
			status = llm_fail(p->err, LLM_E_UNSUPPORTED, "module \"%.60s\" of file \"modules.json\" is not supported", last);
	}
	json_object_put(modules);
	return status;
}

/* how the vectors of tokens become one, as GGUF numbers it: new files have a word, older ones a boolean for each; 0: not known, or several */
static int
pooling_type(struct json_object *pooling)
{
	static const struct
	{
		const char *word;
		const char *key;
		int			type;
	}			modes[] = {
		{"mean", "pooling_mode_mean_tokens", 1}, {"cls", "pooling_mode_cls_token", 2}, {"lasttoken", "pooling_mode_lasttoken", 3},
		{"max", "pooling_mode_max_tokens", 0}, {"mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", 0},
		{"weightedmean", "pooling_mode_weightedmean_tokens", 0},
	};
	struct json_object *word = NULL;
	struct json_object *value;
	int			type = 0;
	int			n = 0;

	(void) json_object_object_get_ex(pooling, "pooling_mode", &word);
	if (json_object_is_type(word, json_type_array) && json_object_array_length(word) == 1)
		word = json_object_array_get_idx(word, 0);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (word ? json_object_is_type(word, json_type_string) && strcmp(json_object_get_string(word), modes[i].word) == 0 :
			json_object_object_get_ex(pooling, modes[i].key, &value) && json_object_get_boolean(value))
		{
			type = modes[i].type;
			n++;
		}
	return n == 1 ? type : 0;
}

/* what sentence-transformers stores of it beside the model */
static LlmStatus
write_pooling(LlmHfParams *p, const LlmStop *stop)
{
	struct json_object *pooling;
	struct json_object *value;
	bool		with_prompt;
	int			type;

	LLM_TRY(check_modules(p, stop));
	LLM_TRY(llm_hf_json(p->folder, "1_Pooling/config.json", stop, &pooling, p->err));
	if (!pooling)
		return LLM_OK;
	type = pooling_type(pooling);
	with_prompt = !json_object_object_get_ex(pooling, "include_prompt", &value) || !value || json_object_get_boolean(value);
	json_object_put(pooling);
	if (type == 0)
		return llm_fail(p->err, LLM_E_UNSUPPORTED, "pooling of file \"1_Pooling/config.json\" is not supported: mean, cls or lasttoken is");
	if (!with_prompt)
		return llm_fail(p->err, LLM_E_UNSUPPORTED, "pooling of file \"1_Pooling/config.json\" without the prompt (include_prompt) is not supported");
	return llm_hf_put_uint(p, "pooling_type", (uint64_t) type);
}

/* what sentence-transformers puts before a text of a task, as serve/embed.h reads it: "sentence_transformers.prompt.TASK" */
static LlmStatus
write_prompts(LlmHfParams *p, const LlmStop *stop)
{
	struct json_object *root;
	struct json_object *prompts;
	struct json_object *name;
	LlmStatus	status = LLM_OK;

	LLM_TRY(llm_hf_json(p->folder, "config_sentence_transformers.json", stop, &root, p->err));
	if (!root)
		return LLM_OK;
	if (json_object_object_get_ex(root, "prompts", &prompts) && json_object_is_type(prompts, json_type_object))
	{
		json_object_object_foreach(prompts, task, prompt)
		{
			LlmStr		text = {json_object_get_string(prompt), (size_t) json_object_get_string_len(prompt)};
			char		key[sizeof(PROMPT_KEY) + MAX_TASK];

			if (status != LLM_OK || !json_object_is_type(prompt, json_type_string) || strlen(task) > MAX_TASK)
				continue;
			snprintf(key, sizeof(key), "%s%s", PROMPT_KEY, task);
			status = llm_meta_write_string(p->meta, key, text, p->err);
		}
	}
	if (status == LLM_OK && json_object_object_get_ex(root, "default_prompt_name", &name) && json_object_is_type(name, json_type_string))
		status = llm_meta_write_string(p->meta, "sentence_transformers.default_prompt_name",
									   (LlmStr) {json_object_get_string(name), (size_t) json_object_get_string_len(name)}, p->err);
	json_object_put(root);
	return status;
}

/* names of classes, in their order */
static LlmStatus
write_labels(LlmHfParams *p)
{
	struct json_object *labels;
	struct json_object *label;
	KeyName		key;
	LlmStr	   *names;
	void	   *ptr;
	int			n;

	if (!json_object_object_get_ex(p->config.root, "id2label", &labels) || !json_object_is_type(labels, json_type_object))
		return LLM_OK;
	n = json_object_object_length(labels);
	LLM_TRY(llm_arena_alloc(&p->folder->arena, (size_t) n, sizeof(LlmStr), &ptr, p->err));
	names = ptr;
	for (int i = 0; i < n; i++)
	{
		char		number[16];

		snprintf(number, sizeof(number), "%d", i);
		if (!json_object_object_get_ex(labels, number, &label) || !json_object_is_type(label, json_type_string))
			return llm_fail(p->err, LLM_E_FORMAT, "key \"id2label\" of config.json has no text for %d", i);
		names[i] = (LlmStr) {json_object_get_string(label), (size_t) json_object_get_string_len(label)};
	}
	return llm_meta_write_strings(p->meta, key_name(p, "classifier.output_labels", key), names, (uint64_t) n, p->err);
}

static LlmStatus
write_encoder(LlmHfParams *p)
{
	LLM_TRY(llm_hf_put_bool(p, "attention.causal", false));
	LLM_TRY(llm_hf_must_equal(&p->config, "is_decoder", 0));
	return llm_hf_must_equal(&p->config, "add_cross_attention", 0);
}

static LlmStatus
write_classifier(LlmHfParams *p)
{
	LLM_TRY(llm_hf_put_uint(p, "pooling_type", 4));
	return write_labels(p);
}

/* ---- the whole ---- */

static LlmStatus
find_family(LlmHfParams *p)
{
	struct json_object *quantization = llm_hf_get(&p->config, "quantization_config");

	p->family = llm_hf_family(p->config.architecture);
	if (!p->family)
	{
		llm_fail(p->err, LLM_E_UNSUPPORTED, "model class \"%.80s\" of config.json is not supported", p->config.architecture);
		llm_error_hint(p->err, "docs/models.md lists the classes that are known; a GGUF file of the model may work.");
		return LLM_E_UNSUPPORTED;
	}
	p->arch = p->family->arch;
	p->rules = p->family->rules;
	if (!quantization)
		quantization = llm_hf_get(&p->config, "compression_config");
	if (!quantization)
		json_object_object_get_ex(p->config.root, "quantization_config", &quantization);
	LLM_TRY(llm_hf_quant_config(quantization, &p->quantization, p->err));
	return llm_hf_config_defaults(&p->config, p->family->defaults, p->folder->arena.allocator);
}

static LlmStatus
write_heads(LlmHfParams *p)
{
	LLM_TRY(llm_hf_put_uint(p, "attention.head_count", p->n_head));
	if (p->kv_layers)
		LLM_TRY(llm_hf_put_by_layer(p, "attention.head_count_kv", p->kv_layers, p->n_head_kv));
	else
		LLM_TRY(llm_hf_put_uint(p, "attention.head_count_kv", p->n_head_kv));
	LLM_TRY(llm_hf_put_uint(p, "attention.key_length", p->head_dim));
	return llm_hf_put_uint(p, "attention.value_length", p->head_dim);
}

/* of a model with a text part, what the whole says counts, if it says it */
static LlmStatus
read_tied(LlmHfParams *p)
{
	struct json_object *value;
	bool		found;

	LLM_TRY(llm_hf_bool(&p->config, "tie_word_embeddings|tie_embedding", &found, &p->tied));
	if (p->config.text != p->config.root && json_object_object_get_ex(p->config.root, "tie_word_embeddings", &value) && value)
		p->tied = json_object_get_boolean(value);
	return LLM_OK;
}

/*
 * The activation, where it is not that of the architecture's row: hparams.c computes it or refuses it. Of the two keys the newer
 * one counts where a class has it.
 */
static LlmStatus
write_activation(LlmHfParams *p)
{
	struct json_object *value = llm_hf_get(&p->config, "hidden_activation");
	struct json_object *older = llm_hf_get(&p->config, "hidden_act|activation_function|activation");

	if (!value || strcmp(p->arch, "gemma") == 0)
		value = older;
	if (!value || word_in(value, p->family->activation))
		return LLM_OK;
	if (!json_object_is_type(value, json_type_string) || !word_in(value, "silu|swish|gelu|gelu_new|gelu_fast|gelu_pytorch_tanh|relu2"))
		return llm_hf_refuse(&p->config, "hidden_act", value);
	return llm_hf_put_string(p, "hidden_activation", json_object_get_string(value));
}

LlmStatus
llm_hf_params_read(LlmHfParams *p, const LlmStop *stop)
{
	LlmStr		arch;

	LLM_TRY(llm_hf_config_open(p->folder, "config.json", stop, &p->config, p->err));
	LLM_TRY(find_family(p));
	LLM_TRY(read_sizes(p));
	LLM_TRY(read_tied(p));
	if (p->family->special)
		LLM_TRY(p->family->special(p));
	arch = (LlmStr) {p->arch, strlen(p->arch)};
	LLM_TRY(llm_meta_write_string(p->meta, "general.architecture", arch, p->err));
	LLM_TRY(write_sizes(p));
	if (p->family->has & LLM_HF_HAS_ROPE)
	{
		LLM_TRY(write_heads(p));
		LLM_TRY(llm_hf_rope(p));
	}
	if (p->family->has & LLM_HF_HAS_WINDOWS)
		LLM_TRY(llm_hf_windows(p));
	if (p->family->activation)
		LLM_TRY(write_activation(p));
	if (p->family->has & LLM_HF_IS_ENCODER)
		LLM_TRY(write_encoder(p));
	if (p->family->has & LLM_HF_HAS_CLASSIFIER)
		LLM_TRY(write_classifier(p));
	else
	{
		LLM_TRY(write_pooling(p, stop));
		LLM_TRY(write_prompts(p, stop));
	}
	return llm_hf_config_check(&p->config);
}

void
llm_hf_params_close(LlmHfParams *p)
{
	llm_hf_config_close(&p->config);
}
