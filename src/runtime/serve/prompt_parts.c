/*
 * prompt_parts.c: bytes and their origin flags, grown together; and the bos that goes before a text.
 */
#include <string.h>

#include "serve/prompt_parts.h"

void
llm_parts_init(LlmParts *parts, const LlmAllocator *a)
{
	llm_buf_init(&parts->bytes, a);
	llm_buf_init(&parts->from_data, a);
}

void
llm_parts_free(LlmParts *parts)
{
	llm_buf_free(&parts->bytes);
	llm_buf_free(&parts->from_data);
}

/* room for len more bytes in both arrays */
static LlmStatus
parts_reserve(LlmParts *parts, size_t len, LlmError *err)
{
	LLM_TRY(llm_buf_reserve(&parts->bytes, len, err));
	return llm_buf_reserve(&parts->from_data, len, err);
}

LlmStatus
llm_parts_add(LlmParts *parts, const char *bytes, size_t len, bool from_data, LlmError *err)
{
	if (len == 0)
		return LLM_OK;
	LLM_TRY(parts_reserve(parts, len, err));
	LLM_TRY(llm_buf_append(&parts->bytes, bytes, len, err));
	memset(parts->from_data.data + parts->from_data.len, from_data, len);
	parts->from_data.len += len;
	return LLM_OK;
}

LlmStatus
llm_parts_add_text(LlmParts *parts, LlmText text, LlmError *err)
{
	if (!text.from_data)
		return llm_parts_add(parts, text.bytes, text.len, false, err);
	if (text.len == 0)
		return LLM_OK;
	LLM_TRY(parts_reserve(parts, text.len, err));
	LLM_TRY(llm_buf_append(&parts->bytes, text.bytes, text.len, err));
	return llm_buf_append(&parts->from_data, text.from_data, text.len, err);
}

void
llm_parts_cut(LlmParts *parts, size_t len)
{
	if (len < parts->bytes.len)
	{
		parts->bytes.len = len;
		parts->from_data.len = len;
	}
}

LlmText
llm_parts_text(const LlmParts *parts)
{
	LlmText		text = {parts->bytes.data, (const uint8_t *) parts->from_data.data, parts->bytes.len};

	return text;
}

LlmStatus
llm_parts_copy(const LlmParts *parts, LlmArena *arena, LlmText *out, LlmError *err)
{
	size_t		len = parts->bytes.len;
	char	   *bytes;
	uint8_t    *from_data;

	LLM_TRY(llm_arena_alloc(arena, len + 1, 1, (void **) &bytes, err));
	LLM_TRY(llm_arena_alloc(arena, len + 1, 1, (void **) &from_data, err));
	if (len > 0)
	{
		memcpy(bytes, parts->bytes.data, len);
		memcpy(from_data, parts->from_data.data, len);
	}
	bytes[len] = '\0';
	out->bytes = bytes;
	out->from_data = from_data;
	out->len = len;
	return LLM_OK;
}

/*
 * llm_prompt_append_bos: what the tokenizer adds around an empty text tells whether it adds a bos; an eos that it would
 * add after a text is left out, since a prompt goes on.
 */
LlmStatus
llm_prompt_append_bos(const LlmModel *model, LlmTokens *out, LlmError *err)
{
	LlmText		empty = {"", NULL, 0};
	LlmTokens	added;
	int32_t		bos = llm_tokenizer_bos(model->tokenizer);
	LlmStatus	status;

	llm_tokens_init(&added, out->allocator);
	status = llm_tokenize(model->tokenizer, empty, LLM_TOKENIZE_ADD_SPECIAL, NULL, &added, err);
	if (status == LLM_OK && bos >= 0 && added.n > 0 && added.ids[0] == bos)
		status = llm_tokens_append(out, bos, err);
	llm_tokens_free(&added);
	return status;
}
