/*
 * json_write.c: writing JSON in one way only.
 */
#include "choose/json_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* at most 6 bytes for a byte of s, and the closing quote */
static size_t
write_chars(LlmStr s, char *to)
{
	static const char names[] = "\"\\bfnrt";
	static const char values[] = "\"\\\b\f\n\r\t";
	size_t		n = 0;

	for (size_t i = 0; i < s.len; i++)
	{
		uint8_t		c = (uint8_t) s.data[i];
		const char *found = c ? strchr(values, c) : NULL;

		if (found)
		{
			to[n++] = '\\';
			to[n++] = names[found - values];
		}
		else if (c < 0x20)
		{
			static const char hex[] = "0123456789abcdef";

			memcpy(to + n, "\\u00", 4);
			to[n + 4] = hex[c >> 4];
			to[n + 5] = hex[c & 15];
			n += 6;
		}
		else
			to[n++] = (char) c;
	}
	to[n++] = '"';
	return n;
}

LlmStatus
llm_json_write_key(LlmArena *arena, LlmStr s, LlmStr *out, LlmError *err)
{
	void	   *p;

	LLM_TRY(llm_arena_alloc(arena, s.len * 6 + 1, 1, &p, err));
	*out = (LlmStr) {p, write_chars(s, p)};
	return LLM_OK;
}

static LlmStatus
write_string(LlmStr s, LlmBuf *out, LlmError *err)
{
	LLM_TRY(llm_buf_append(out, "\"", 1, err));
	LLM_TRY(llm_buf_reserve(out, s.len * 6 + 1, err));
	out->len += write_chars(s, out->data + out->len);
	return LLM_OK;
}

typedef struct Ranked
{
	size_t		rank;
	size_t		index;
} Ranked;

static int
compare_ranked(const void *a, const void *b)
{
	const Ranked *x = a;
	const Ranked *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

static LlmStatus
write_members(const LlmJson *v, const Ranked *order, bool compact, LlmKeyRank rank, const void *ctx, LlmBuf *out, LlmError *err)
{
	for (size_t i = 0; i < v->n; i++)
	{
		size_t		k = order ? order[i].index : i;

		if (i > 0)
			LLM_TRY(llm_buf_append(out, ", ", compact ? 1 : 2, err));
		if (v->kind == LLM_JSON_OBJECT)
		{
			LLM_TRY(write_string(v->keys[k], out, err));
			LLM_TRY(llm_buf_append(out, ": ", compact ? 1 : 2, err));
		}
		LLM_TRY(llm_json_write(v->items[k], compact, rank, ctx, out, err));
	}
	return LLM_OK;
}

LlmStatus
llm_json_write(const LlmJson *v, bool compact, LlmKeyRank rank, const void *ctx, LlmBuf *out, LlmError *err)
{
	static const char *const words[] = {"null", "false", "true"};
	const bool	object = v->kind == LLM_JSON_OBJECT;
	void	   *p = NULL;
	LlmStatus	status;

	if (v->kind <= LLM_JSON_TRUE)
		return llm_buf_append(out, words[v->kind], strlen(words[v->kind]), err);
	if (v->kind == LLM_JSON_NUMBER)
		return llm_buf_append(out, v->text.data, v->text.len, err);
	if (v->kind == LLM_JSON_STRING)
		return write_string(v->text, out, err);
	LLM_TRY(llm_buf_append(out, object ? "{" : "[", 1, err));
	if (object && rank && v->n > 1)
	{
		Ranked	   *order;

		LLM_TRY(llm_alloc(out->allocator, v->n, sizeof(*order), &p, err));
		order = p;
		for (size_t i = 0; i < v->n; i++)
			order[i] = (Ranked) {rank(ctx, v->keys[i]), i};
		qsort(order, v->n, sizeof(*order), compare_ranked);
	}
	status = write_members(v, p, compact, rank, ctx, out, err);
	llm_free(out->allocator, p);
	LLM_TRY(status);
	return llm_buf_append(out, object ? "}" : "]", 1, err);
}
