/*
 * chat_parts.c: message contents in parts, for templates that know strings only.
 *
 * Many templates put a content into the prompt as it is. Given parts they fail, or show the model how Python prints a list. Whether a template reads
 * parts is asked of the template itself, with a message of one part whose text must come out and whose frame must not.
 */
#include "serve/prompt.h"

#include <string.h>

#define PROBE_TEXT "text-of-a-part"

static const char probe[] = "[{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"" PROBE_TEXT "\"}]}]";

/* a list of parts that are texts and nothing else */
static bool
is_text_parts(const LlmValue *content)
{
	if (!content || content->kind != LLM_VALUE_LIST || content->u.seq.n == 0)
		return false;
	for (size_t i = 0; i < content->u.seq.n; i++)
	{
		const LlmValue *type = llm_value_get(content->u.seq.items[i], "type");
		const LlmValue *text = llm_value_get(content->u.seq.items[i], "text");

		if (!type || type->kind != LLM_VALUE_STRING || type->u.text.len != 4 || memcmp(type->u.text.bytes, "text", 4) != 0 ||
			!text || text->kind != LLM_VALUE_STRING)
			return false;
	}
	return true;
}

static LlmStatus
reads_parts(const LlmModel *model, int64_t now, LlmArena *arena, const LlmStop *stop, bool *reads, LlmError *err)
{
	LlmValue   *messages;
	LlmText		text;
	LlmStatus	status;

	LLM_TRY(llm_value_from_json(arena, probe, strlen(probe), &messages, err));
	status = llm_prompt_render(model, messages, NULL, (LlmStr) {.data = "", .len = 0}, true, now, arena, stop, &text, err);
	if (status == LLM_PAUSED || status == LLM_E_NOMEM)
		return status;
	*reads = status == LLM_OK && memmem(text.bytes, text.len, PROBE_TEXT, strlen(PROBE_TEXT)) &&
		!memmem(text.bytes, text.len, "'type'", 6) && !memmem(text.bytes, text.len, "\"type\"", 6);
	return LLM_OK;
}

static LlmStatus
join(LlmArena *arena, const LlmValue *content, LlmValue **out, LlmError *err)
{
	size_t		len = 0;
	size_t		at = 0;
	char	   *bytes;

	for (size_t i = 0; i < content->u.seq.n; i++)
		len += llm_value_get(content->u.seq.items[i], "text")->u.text.len;
	LLM_TRY(llm_arena_alloc(arena, len + 1, 1, (void **) &bytes, err));
	for (size_t i = 0; i < content->u.seq.n; i++)
	{
		const LlmText text = llm_value_get(content->u.seq.items[i], "text")->u.text;

		if (text.len > 0)
			memcpy(bytes + at, text.bytes, text.len);
		at += text.len;
	}
	return llm_value_string(arena, bytes, len, true, out, err);
}

LlmStatus
llm_prompt_join_parts(const LlmModel *model, LlmValue *messages, int64_t now, LlmArena *arena, const LlmStop *stop, LlmError *err)
{
	bool		reads = false;
	bool		asked = false;

	if (!model->chat_template || messages->kind != LLM_VALUE_LIST)
		return LLM_OK;
	for (size_t i = 0; i < messages->u.seq.n; i++)
	{
		LlmValue   *message = messages->u.seq.items[i];
		const LlmValue *content = llm_value_get(message, "content");
		LlmValue   *whole;

		if (!is_text_parts(content))
			continue;
		if (!asked)
			LLM_TRY(reads_parts(model, now, arena, stop, &reads, err));
		asked = true;
		if (reads)
			return LLM_OK;
		LLM_TRY(join(arena, content, &whole, err));
		LLM_TRY(llm_value_set(arena, message, "content", whole, err));
	}
	return LLM_OK;
}
