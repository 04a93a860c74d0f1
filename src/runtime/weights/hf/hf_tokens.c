/*
 * hf_tokens.c: what a folder says about text, as metadata.
 *
 * tokenizer.json and tokenizer_config.json are carried as they are ("tokenizer.huggingface.json" and ".config"): the reader of
 * those is a tokenizer's (text/). Ids of special tokens come from generation_config.json, then config.json; the chat template
 * from chat_template.jinja, then chat_template.json, then tokenizer_config.json.
 */
#include "weights/hf/hf_tokens.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#define MAX_EOS 64
#define MAX_VOCAB (1 << 20)		/* of ids without texts, for which a few bytes of configuration ask: about 130 bytes of memory each */
#define NAME_BYTES 16

static LlmStr
text_of(struct json_object *json)
{
	return (LlmStr) {json_object_get_string(json), (size_t) json_object_get_string_len(json)};
}

/* ids alone: a text for each that no text of a row is */
static LlmStatus
write_no_tokenizer(LlmHfFolder *folder, uint64_t n_vocab, LlmMetaWriter *meta, LlmError *err)
{
	LlmStr	   *names;
	uint32_t   *types;
	void	   *ptr;

	if (n_vocab < 1 || n_vocab > MAX_VOCAB)
	{
		llm_fail(err, LLM_E_LIMIT, "key \"vocab_size\" of config.json is %llu, outside 1 to %d", (unsigned long long) n_vocab, MAX_VOCAB);
		llm_error_hint(err, "Put the model's tokenizer.json into its folder.");
		return LLM_E_LIMIT;
	}
	LLM_TRY(llm_arena_alloc(&folder->arena, n_vocab, sizeof(LlmStr), &ptr, err));
	names = ptr;
	LLM_TRY(llm_arena_alloc(&folder->arena, n_vocab, sizeof(uint32_t), &ptr, err));
	types = ptr;
	for (uint64_t i = 0; i < n_vocab; i++)
	{
		LLM_TRY(llm_arena_alloc(&folder->arena, NAME_BYTES, 1, &ptr, err));
		names[i] = (LlmStr) {ptr, (size_t) snprintf(ptr, NAME_BYTES, "<|%u|>", (unsigned) i)};
		types[i] = 3;			/* control: never made from data */
	}
	LLM_TRY(llm_meta_write_string(meta, "tokenizer.ggml.model", (LlmStr) {"none", 4}, err));
	LLM_TRY(llm_meta_write_strings(meta, "tokenizer.ggml.tokens", names, n_vocab, err));
	return llm_meta_write_uints(meta, "tokenizer.ggml.token_type", types, n_vocab, err);
}

static LlmStatus
write_tokenizer(LlmHfFolder *folder, uint64_t n_vocab, const LlmStop *stop, LlmMetaWriter *meta, LlmError *err)
{
	LlmStr		text;

	LLM_TRY(llm_hf_text(folder, "tokenizer.json", stop, &text, err));
	if (!text.data)
		return write_no_tokenizer(folder, n_vocab, meta, err);
	LLM_TRY(llm_meta_write_string(meta, "tokenizer.ggml.model", (LlmStr) {"huggingface", 11}, err));
	LLM_TRY(llm_meta_write_string(meta, "tokenizer.huggingface.json", text, err));
	LLM_TRY(llm_hf_text(folder, "tokenizer_config.json", stop, &text, err));
	if (text.data)
		LLM_TRY(llm_meta_write_string(meta, "tokenizer.huggingface.config", text, err));
	/* a model often has more rows than its tokenizer has tokens */
	return llm_meta_write_uint(meta, "tokenizer.huggingface.vocab_size", n_vocab, err);
}

/* ---- special tokens ---- */

/* of several files the first that has the key */
static struct json_object *
first_of(struct json_object *const *files, int n, const char *key)
{
	struct json_object *value;

	for (int i = 0; i < n; i++)
		if (json_object_is_type(files[i], json_type_object) && json_object_object_get_ex(files[i], key, &value) && value)
			return value;
	return NULL;
}

static LlmStatus
check_id(struct json_object *value, const char *key, LlmError *err)
{
	if (json_object_is_type(value, json_type_int) && json_object_get_int64(value) >= 0 && json_object_get_int64(value) <= INT32_MAX)
		return LLM_OK;
	return llm_fail(err, LLM_E_FORMAT, "key \"%s\" of the model's configuration is no token id: %.60s", key,
					json_object_to_json_string(value));
}

/* an id, or a list of which the first is the id and all end an answer; ids that no row has are of no use, and not rare */
static LlmStatus
write_eos(struct json_object *value, uint64_t n_vocab, LlmMetaWriter *meta, LlmError *err)
{
	uint32_t	ids[MAX_EOS];
	size_t		n_ids = 0;
	size_t		n = json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 1;

	if (n < 1 || n > MAX_EOS)
		return llm_fail(err, LLM_E_FORMAT, "key \"eos_token_id\" of the model's configuration has %zu ids, outside 1 to %d", n, MAX_EOS);
	for (size_t i = 0; i < n; i++)
	{
		struct json_object *item = json_object_is_type(value, json_type_array) ? json_object_array_get_idx(value, i) : value;

		LLM_TRY(check_id(item, "eos_token_id", err));
		if ((uint64_t) json_object_get_int64(item) < n_vocab)
			ids[n_ids++] = (uint32_t) json_object_get_int64(item);
	}
	if (n_ids == 0)
		return LLM_OK;
	LLM_TRY(llm_meta_write_uint(meta, "tokenizer.ggml.eos_token_id", ids[0], err));
	return llm_meta_write_uints(meta, "tokenizer.ggml.eos_token_ids", ids, n_ids, err);
}

static LlmStatus
write_id(struct json_object *value, const char *key, uint64_t n_vocab, LlmMetaWriter *meta, LlmError *err)
{
	if ((uint64_t) json_object_get_int64(value) >= n_vocab)
		return LLM_OK;
	return llm_meta_write_uint(meta, key, (uint64_t) json_object_get_int64(value), err);
}

static LlmStatus
write_ids(struct json_object *const *files, int n, uint64_t n_vocab, LlmMetaWriter *meta, LlmError *err)
{
	struct json_object *bos = first_of(files, n, "bos_token_id");
	struct json_object *eos = first_of(files, n, "eos_token_id");
	struct json_object *pad = first_of(files, n, "pad_token_id");

	if (bos)
	{
		LLM_TRY(check_id(bos, "bos_token_id", err));
		LLM_TRY(write_id(bos, "tokenizer.ggml.bos_token_id", n_vocab, meta, err));
	}
	if (eos)
		LLM_TRY(write_eos(eos, n_vocab, meta, err));
	if (pad && check_id(pad, "pad_token_id", NULL) == LLM_OK)	/* -1 says that there is none */
		LLM_TRY(write_id(pad, "tokenizer.ggml.padding_token_id", n_vocab, meta, err));
	return LLM_OK;
}

/* ---- chat template ---- */

/* a template, or several with names, of which that named default is it */
static LlmStatus
write_template(struct json_object *file, LlmMetaWriter *meta, bool *written, LlmError *err)
{
	struct json_object *value;
	struct json_object *name;
	struct json_object *text;

	if (*written || !json_object_is_type(file, json_type_object) || !json_object_object_get_ex(file, "chat_template", &value))
		return LLM_OK;
	if (json_object_is_type(value, json_type_array))
		for (size_t i = 0; i < json_object_array_length(value); i++)
		{
			struct json_object *item = json_object_array_get_idx(value, i);

			if (json_object_is_type(item, json_type_object) && json_object_object_get_ex(item, "name", &name) &&
				json_object_is_type(name, json_type_string) && strcmp(json_object_get_string(name), "default") == 0 &&
				json_object_object_get_ex(item, "template", &text))
			{
				value = text;
				break;
			}
		}
	if (!json_object_is_type(value, json_type_string))
		return LLM_OK;
	*written = true;
	return llm_meta_write_string(meta, "tokenizer.chat_template", text_of(value), err);
}

static LlmStatus
write_chat_template(LlmHfFolder *folder, struct json_object *tokenizer_config, const LlmStop *stop, LlmMetaWriter *meta, LlmError *err)
{
	struct json_object *file;
	LlmStr		text;
	bool		written = false;
	LlmStatus	status;

	LLM_TRY(llm_hf_text(folder, "chat_template.jinja", stop, &text, err));
	if (text.data)
		return llm_meta_write_string(meta, "tokenizer.chat_template", text, err);
	LLM_TRY(llm_hf_json(folder, "chat_template.json", stop, &file, err));
	status = write_template(file, meta, &written, err);
	json_object_put(file);
	LLM_TRY(status);
	return write_template(tokenizer_config, meta, &written, err);
}

LlmStatus
llm_hf_tokens(LlmHfFolder *folder, struct json_object *config, uint64_t n_vocab, const LlmStop *stop, LlmMetaWriter *meta, LlmError *err)
{
	struct json_object *files[3] = {NULL, config, NULL};
	LlmStatus	status;

	LLM_TRY(write_tokenizer(folder, n_vocab, stop, meta, err));
	LLM_TRY(llm_hf_json(folder, "generation_config.json", stop, &files[0], err));
	status = llm_hf_json(folder, "tokenizer_config.json", stop, &files[2], err);
	if (status == LLM_OK)
		status = write_ids(files, 2, n_vocab, meta, err);
	if (status == LLM_OK)
		status = write_chat_template(folder, files[2], stop, meta, err);
	json_object_put(files[0]);
	json_object_put(files[2]);
	return status;
}
