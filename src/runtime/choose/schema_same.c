/*
 * schema_same.c: schemas that say the same of a value share a number, and so all that is compiled of them.
 *
 * A table of a hundred columns has a handful of types, and a schema for it repeats a handful of schemas, which differ in their titles at
 * most. Only schemas without parts and references are compared: what they mean depends on nothing around them.
 */
#include "base/str.h"
#include "choose/schema.h"

#include <string.h>

/* what says nothing about values */
static const char *const annotations[] = {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment", NULL};

static const char *const plain[] = {"type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
"pattern", "format", "minLength", "maxLength", NULL};

static bool
is_plain(const LlmJson *json)
{
	for (size_t i = 0; i < json->n; i++)
	{
		if (!llm_str_is_one_of(json->keys[i], annotations) && !llm_str_is_one_of(json->keys[i], plain))
			return false;
	}
	return true;
}

static uint64_t
mix(uint64_t h, LlmStr text)
{
	for (size_t i = 0; i < text.len; i++)
		h = (h ^ (uint8_t) text.data[i]) * 0x100000001B3u;
	return (h ^ 0x100) * 0x100000001B3u;	/* texts end somewhere */
}

static LlmStatus
hash_value(LlmCompile *cx, const LlmJson *v, uint64_t *h)
{
	LLM_TRY(llm_compile_poll(cx, v->text.len + v->n));
	*h = (*h ^ (uint64_t) v->kind) * 0x100000001B3u;
	if (v->kind == LLM_JSON_STRING || v->kind == LLM_JSON_NUMBER)
		*h = mix(*h, v->text);
	for (size_t i = 0; i < v->n; i++)
	{
		if (v->kind == LLM_JSON_OBJECT)
			*h = mix(*h, v->keys[i]);
		LLM_TRY(hash_value(cx, v->items[i], h));
	}
	return LLM_OK;
}

/* the first keyword at or after i that is no annotation */
static size_t
next_keyword(const LlmJson *json, size_t i)
{
	while (i < json->n && llm_str_is_one_of(json->keys[i], annotations))
		i++;
	return i;
}

/* the same keywords with the same values, in the same order */
static bool
says_the_same(const LlmJson *a, const LlmJson *b)
{
	size_t		i = next_keyword(a, 0);
	size_t		k = next_keyword(b, 0);

	for (; i < a->n && k < b->n; i = next_keyword(a, i + 1), k = next_keyword(b, k + 1))
	{
		if (!llm_str_same(a->keys[i], b->keys[k]) || !llm_json_same(a->items[i], b->items[k]))
			return false;
	}
	return i == a->n && k == b->n;
}

LlmStatus
llm_schemas_same(LlmSchemas *s, const LlmJson *json, const LlmJson **same)
{
	uint64_t	h = 0xCBF29CE484222325u;
	int32_t		key[2];
	int32_t		number;
	const LlmJson *first;

	*same = json;
	if (!is_plain(json))
		return LLM_OK;
	for (size_t i = next_keyword(json, 0); i < json->n; i = next_keyword(json, i + 1))
	{
		h = mix(h, json->keys[i]);
		LLM_TRY(hash_value(s->cx, json->items[i], &h));
	}
	memcpy(key, &h, sizeof(key));
	s->plain_hashes.n_key = 2;
	LLM_TRY(llm_key_set_find(s->cx, &s->plain_hashes, key, &number));
	if ((size_t) number == s->plain.n)
		return llm_vec_push(s->cx, &s->plain, &json, sizeof(json));
	first = ((const LlmJson **) s->plain.data)[number];
	if (says_the_same(first, json))
		*same = first;
	return LLM_OK;
}
