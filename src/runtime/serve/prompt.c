/*
 * prompt.c: a chat as text and as tokens, through the model's own template.
 *
 * The template is run for every chat with the variables Hugging Face gives it: messages, tools and documents (none unless
 * given), add_generation_prompt, and the texts of the model's special tokens (bos_token, …). Those and the template's own
 * words are template bytes; everything a caller wrote is data, which the tokenizer never takes for a special token. What
 * the template writes is the whole prompt: no bos is added to it, as templates of models that want one write it.
 *
 * A model without template (a base model) gets the plain form: each message's content followed by a blank line, after the
 * bos that the metadata asks for. An answer prefix follows in both forms.
 */
#include <string.h>

#include "serve/prompt.h"
#include "serve/prompt_parts.h"

/* special tokens that templates may name, with the metadata key of their id */
static const struct
{
	const char *variable;
	const char *key;
}			special_variables[] = {
	{"bos_token", "tokenizer.ggml.bos_token_id"},
	{"eos_token", "tokenizer.ggml.eos_token_id"},
	{"unk_token", "tokenizer.ggml.unknown_token_id"},
	{"sep_token", "tokenizer.ggml.seperator_token_id"},
	{"pad_token", "tokenizer.ggml.padding_token_id"},
	{"cls_token", "tokenizer.ggml.cls_token_id"},
	{"mask_token", "tokenizer.ggml.mask_token_id"},
};

/* set the variables of special tokens that the model has */
static LlmStatus
set_special_variables(const LlmModel *model, LlmValue *variables, LlmArena *arena, LlmError *err)
{
	uint64_t	n_vocab = (uint64_t) llm_tokenizer_vocab_size(model->tokenizer);

	for (size_t i = 0; i < sizeof special_variables / sizeof special_variables[0]; i++)
	{
		uint64_t	id = UINT64_MAX;
		LlmStr		text;
		LlmValue   *value;

		LLM_TRY(llm_meta_uint(&model->pack.meta, special_variables[i].key, false, UINT32_MAX, &id, err));
		if (id >= n_vocab)
			continue;			/* absent, or written as -1 by some converters */
		text = llm_tokenizer_token_text(model->tokenizer, (int32_t) id);
		LLM_TRY(llm_value_string(arena, text.data, text.len, false, &value, err));
		LLM_TRY(llm_value_set(arena, variables, special_variables[i].variable, value, err));
	}
	return LLM_OK;
}

/* copy every entry of map into variables; a later entry replaces an equal key */
static LlmStatus
set_extra_variables(const LlmValue *map, LlmValue *variables, LlmArena *arena, LlmError *err)
{
	if (!map)
		return LLM_OK;
	if (map->kind != LLM_VALUE_MAP)
		return llm_fail(err, LLM_E_ARGUMENT, "template variables must be an object");
	for (size_t i = 0; i < map->u.seq.n; i++)
	{
		const LlmText *key = &map->u.seq.keys[i]->u.text;
		char	   *name;

		if (map->u.seq.keys[i]->kind != LLM_VALUE_STRING || memchr(key->bytes, 0, key->len))
			return llm_fail(err, LLM_E_ARGUMENT, "names of template variables must be strings without NUL");
		LLM_TRY(llm_arena_alloc(arena, key->len + 1, 1, (void **) &name, err));
		memcpy(name, key->bytes, key->len);
		name[key->len] = '\0';
		LLM_TRY(llm_value_set(arena, variables, name, map->u.seq.items[i], err));
	}
	return LLM_OK;
}

/* the variables of a rendering, in the arena */
static LlmStatus
make_variables(const LlmModel *model, const LlmValue *messages, const LlmValue *extra, bool add_generation_prompt,
			   LlmArena *arena, LlmValue **out, LlmError *err)
{
	LlmValue   *variables;
	LlmValue   *value;

	LLM_TRY(llm_value_map(arena, &variables, err));
	LLM_TRY(llm_value_set(arena, variables, "messages", (LlmValue *) messages, err));
	LLM_TRY(llm_value_null(arena, &value, err));
	LLM_TRY(llm_value_set(arena, variables, "tools", value, err));
	LLM_TRY(llm_value_set(arena, variables, "documents", value, err));
	LLM_TRY(llm_value_bool(arena, add_generation_prompt, &value, err));
	LLM_TRY(llm_value_set(arena, variables, "add_generation_prompt", value, err));
	LLM_TRY(set_special_variables(model, variables, arena, err));
	LLM_TRY(set_extra_variables(extra, variables, arena, err));
	*out = variables;
	return LLM_OK;
}

/* append the text of a message's content: a string, or a list of parts {"type": "text", "text": …} */
static LlmStatus
append_content(const LlmValue *message, size_t index, LlmParts *parts, LlmError *err)
{
	const LlmValue *content = llm_value_get(message, "content");

	if (content && content->kind == LLM_VALUE_STRING)
		return llm_parts_add(parts, content->u.text.bytes, content->u.text.len, true, err);
	if (content && content->kind == LLM_VALUE_LIST)
	{
		for (size_t i = 0; i < content->u.seq.n; i++)
		{
			const LlmValue *text = llm_value_get(content->u.seq.items[i], "text");

			if (!text || text->kind != LLM_VALUE_STRING)
			{
				llm_fail(err, LLM_E_ARGUMENT, "part %zu of message %zu has no text", i + 1, index + 1);
				llm_error_hint(err, "Parts are objects such as {\"type\": \"text\", \"text\": \"…\"}.");
				return LLM_E_ARGUMENT;
			}
			LLM_TRY(llm_parts_add(parts, text->u.text.bytes, text->u.text.len, true, err));
		}
		return LLM_OK;
	}
	llm_fail(err, LLM_E_ARGUMENT, "message %zu has no content", index + 1);
	llm_error_hint(err, "A message is an object such as {\"role\": \"user\", \"content\": \"…\"}.");
	return LLM_E_ARGUMENT;
}

/* the plain form of a chat */
static LlmStatus
append_plain_chat(const LlmValue *messages, LlmParts *parts, LlmError *err)
{
	for (size_t i = 0; i < messages->u.seq.n; i++)
	{
		LLM_TRY(append_content(messages->u.seq.items[i], i, parts, err));
		LLM_TRY(llm_parts_add(parts, "\n\n", 2, false, err));
	}
	return LLM_OK;
}

/*
 * llm_prompt_render: see prompt.h. Errors: LLM_E_ARGUMENT when messages are no list or the template refuses them;
 * LLM_E_LIMIT; LLM_PAUSED (call again). Source of the variables: transformers, apply_chat_template.
 */
LlmStatus
llm_prompt_render(const LlmModel *model, const LlmValue *messages, const LlmValue *extra, LlmStr answer_prefix,
				  bool add_generation_prompt, int64_t now, LlmArena *arena, const LlmStop *stop, LlmText *out, LlmError *err)
{
	LlmParts	parts;
	LlmStatus	status;

	if (!messages || messages->kind != LLM_VALUE_LIST)
	{
		llm_fail(err, LLM_E_ARGUMENT, "messages must be a list");
		llm_error_hint(err, "Give a JSON array of objects such as {\"role\": \"user\", \"content\": \"…\"}.");
		return LLM_E_ARGUMENT;
	}
	llm_parts_init(&parts, arena->allocator);
	if (model->chat_template)
	{
		LlmValue   *variables;
		LlmText		text;

		status = make_variables(model, messages, extra, add_generation_prompt, arena, &variables, err);
		if (status == LLM_OK)
			status = llm_template_render(model->chat_template, variables, now, arena, stop, &text, err);
		if (status == LLM_OK)
			status = llm_parts_add_text(&parts, text, err);
	}
	else
		status = append_plain_chat(messages, &parts, err);
	if (status == LLM_OK)
		status = llm_parts_add(&parts, answer_prefix.data, answer_prefix.len, true, err);
	if (status == LLM_OK)
		status = llm_parts_copy(&parts, arena, out, err);
	llm_parts_free(&parts);
	return status;
}

/*
 * llm_prompt_chat: see prompt.h. On an error out holds what it held before.
 */
LlmStatus
llm_prompt_chat(const LlmModel *model, const LlmValue *messages, const LlmValue *extra, LlmStr answer_prefix,
				bool add_generation_prompt, int64_t now, LlmArena *arena, const LlmStop *stop, LlmTokens *out, LlmError *err)
{
	LlmText		text;
	size_t		n_before = out->n;
	LlmStatus	status = LLM_OK;

	LLM_TRY(llm_prompt_render(model, messages, extra, answer_prefix, add_generation_prompt, now, arena, stop, &text, err));
	if (!model->chat_template)
		status = llm_prompt_append_bos(model, out, err);
	if (status == LLM_OK)
		status = llm_tokenize(model->tokenizer, text, LLM_TOKENIZE_PARSE_SPECIAL, stop, out, err);
	if (status != LLM_OK)
		out->n = n_before;
	return status;
}
