/*
 * schema_words.c: a JSON Schema in words, as a prompt says it: a line for each property.
 *
 *     - vendor: text, at most 60 characters
 *     - status: "open" or "closed", null if not known. Where the ticket stands
 *     - items: list of objects with
 *         - name: text
 *
 * Only what helps to fill in values is said; the grammar sees to the rest.
 */
#include "choose/schema_words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "choose/json_tree.h"
#include "choose/json_write.h"

#define MAX_DEPTH 8				/* of values in values */
#define MAX_REFS 5				/* one leading to the next */
#define MAX_VALUES 50			/* of an enum */
#define MAX_BYTES 32768			/* of the whole: later properties are only named, and then left out */
#define LONG_NUMBER 5			/* bounds of more characters are those of a type, not of a meaning */
#define LONG_PATTERN 60

typedef struct Words
{
	LlmBuf	   *out;
	const LlmJson *root;
	int			depth;			/* of the value at hand */
	LlmError   *err;
} Words;

static LlmStatus value_words(Words *w, const LlmJson *schema, int indent);

static LlmStatus
add(Words *w, const char *text)
{
	return llm_buf_append(w->out, text, strlen(text), w->err);
}

static LlmStatus
add_str(Words *w, LlmStr s)
{
	return llm_buf_append(w->out, s.data, s.len, w->err);
}

/* ---- looking into schemas ---- */

static const LlmJson *
get(const LlmJson *schema, const char *key, LlmJsonKind kind)
{
	const LlmJson *v = llm_json_get(schema, key);

	return v && v->kind == kind ? v : NULL;
}

/* what #/$defs/name or #/definitions/name is; other references are not said in words */
static const LlmJson *
resolve(const Words *w, const LlmJson *schema)
{
	static const char *const places[] = {"$defs", "definitions"};

	for (int i = 0; i < MAX_REFS; i++)
	{
		const LlmJson *ref = get(schema, "$ref", LLM_JSON_STRING);
		const LlmJson *found = NULL;

		if (!ref)
			return schema;
		for (size_t p = 0; p < 2 && !found; p++)
		{
			const LlmJson *defs = get(w->root, places[p], LLM_JSON_OBJECT);
			size_t		skip = strlen(places[p]) + 3;

			for (size_t k = 0; defs && k < defs->n && ref->text.len > skip; k++)
			{
				if (llm_str_same(defs->keys[k], (LlmStr) {ref->text.data + skip, ref->text.len - skip}) &&
					memcmp(ref->text.data + 2, places[p], strlen(places[p])) == 0)
					found = defs->items[k];
			}
		}
		if (!found)
			return schema;
		schema = found;
	}
	return schema;
}

static bool
is_null_type(const LlmJson *schema)
{
	const LlmJson *type = get(schema, "type", LLM_JSON_STRING);

	return type && llm_str_equals(type->text, "null");
}

/* the one alternative that is not null; *nullable if there is null beside it */
static const LlmJson *
without_null(const Words *w, const LlmJson *schema, bool *nullable)
{
	static const char *const groups[] = {"anyOf", "oneOf"};

	*nullable = false;
	schema = resolve(w, schema);
	for (size_t g = 0; g < 2; g++)
	{
		const LlmJson *group = get(schema, groups[g], LLM_JSON_ARRAY);

		if (!group || group->n != 2 || is_null_type(group->items[0]) == is_null_type(group->items[1]))
			continue;
		*nullable = true;
		return resolve(w, group->items[is_null_type(group->items[0]) ? 1 : 0]);
	}
	return schema;
}

/* ---- scalars ---- */

static LlmStatus
enum_words(Words *w, const LlmJson *values)
{
	for (size_t i = 0; i < values->n && i < MAX_VALUES; i++)
	{
		if (i > 0)
			LLM_TRY(add(w, i + 1 == values->n ? " or " : ", "));
		LLM_TRY(llm_json_write(values->items[i], false, NULL, NULL, w->out, w->err));
	}
	return values->n > MAX_VALUES ? add(w, ", …") : LLM_OK;
}

static LlmStatus
string_words(Words *w, const LlmJson *schema)
{
	static const struct
	{
		const char *format;
		const char *words;
	}			formats[] = {
		{"date", "date (YYYY-MM-DD)"}, {"time", "time (HH:MM:SS)"}, {"date-time", "date and time (YYYY-MM-DDTHH:MM:SSZ)"},
		{"email", "e-mail address"}, {"uuid", "UUID"}, {"uri", "URI"}, {"ipv4", "IPv4 address"}, {"ipv6", "IPv6 address"},
	};
	const LlmJson *format = get(schema, "format", LLM_JSON_STRING);
	const LlmJson *pattern = get(schema, "pattern", LLM_JSON_STRING);
	const LlmJson *most = get(schema, "maxLength", LLM_JSON_NUMBER);

	for (size_t i = 0; format && i < sizeof(formats) / sizeof(formats[0]); i++)
	{
		if (llm_str_equals(format->text, formats[i].format))
			return add(w, formats[i].words);
	}
	if (format)
		return add_str(w, format->text);
	LLM_TRY(add(w, "text"));
	if (pattern && pattern->text.len <= LONG_PATTERN)
	{
		LLM_TRY(add(w, " matching "));
		LLM_TRY(add_str(w, pattern->text));
	}
	if (most && most->text.len < LONG_NUMBER)
	{
		LLM_TRY(add(w, ", at most "));
		LLM_TRY(add_str(w, most->text));
		LLM_TRY(add(w, " characters"));
	}
	return LLM_OK;
}

static LlmStatus
number_words(Words *w, const LlmJson *schema, const char *name)
{
	const LlmJson *least = get(schema, "minimum", LLM_JSON_NUMBER);
	const LlmJson *most = get(schema, "maximum", LLM_JSON_NUMBER);

	LLM_TRY(add(w, name));
	if (least && least->text.len < LONG_NUMBER)
	{
		LLM_TRY(add(w, most && most->text.len < LONG_NUMBER ? " from " : " of at least "));
		LLM_TRY(add_str(w, least->text));
	}
	if (most && most->text.len < LONG_NUMBER)
	{
		LLM_TRY(add(w, least && least->text.len < LONG_NUMBER ? " to " : " of at most "));
		LLM_TRY(add_str(w, most->text));
	}
	return LLM_OK;
}

static LlmStatus
type_words(Words *w, const LlmJson *schema, LlmStr type)
{
	if (llm_str_equals(type, "string"))
		return string_words(w, schema);
	if (llm_str_equals(type, "integer"))
		return number_words(w, schema, "whole number");
	if (llm_str_equals(type, "number"))
		return number_words(w, schema, "number");
	if (llm_str_equals(type, "boolean"))
		return add(w, "true or false");
	return add_str(w, type);
}

/* ---- objects ---- */

static LlmStatus
property_lines(Words *w, const LlmJson *properties, int indent)
{
	for (size_t i = 0; i < properties->n && w->out->len < MAX_BYTES; i++)
	{
		LLM_TRY(add(w, "\n"));
		for (int k = 0; k < indent; k++)
			LLM_TRY(add(w, "    "));
		LLM_TRY(add(w, "- "));
		LLM_TRY(add_str(w, properties->keys[i]));
		LLM_TRY(add(w, ": "));
		LLM_TRY(value_words(w, properties->items[i], indent + 1));
	}
	return LLM_OK;
}

/* the kind of a value; *properties NULL if there are none to speak of */
static LlmStatus
kind_words(Words *w, const LlmJson *schema, const LlmJson **properties)
{
	const LlmJson *values = get(schema, "enum", LLM_JSON_ARRAY);
	const LlmJson *all = get(schema, "allOf", LLM_JSON_ARRAY);
	const LlmJson *type = get(schema, "type", LLM_JSON_STRING);

	*properties = get(schema, "properties", LLM_JSON_OBJECT);
	for (size_t i = 0; !values && all && i < all->n; i++)
		values = get(all->items[i], "enum", LLM_JSON_ARRAY);
	if (values || (*properties && ((*properties)->n == 0 || w->depth >= MAX_DEPTH)))
		*properties = NULL;
	if (values)
		return enum_words(w, values);
	if (*properties)
		return add(w, "object with");
	return type && !llm_str_equals(type->text, "array") ? type_words(w, schema, type->text) : add(w, "JSON");
}

/* "list of " for each list around; the schema inside */
static LlmStatus
list_words(Words *w, const LlmJson **schema)
{
	for (int i = 0; i < MAX_DEPTH; i++)
	{
		const LlmJson *type = get(*schema, "type", LLM_JSON_STRING);
		const LlmJson *items = get(*schema, "items", LLM_JSON_OBJECT);
		bool		nullable;

		if (!type || !llm_str_equals(type->text, "array"))
			return LLM_OK;
		LLM_TRY(add(w, "list of "));
		if (!items)
			return LLM_OK;
		*schema = without_null(w, items, &nullable);
	}
	return LLM_OK;
}

/* what a value is; of an object the lines of its properties follow, indent steps to the right */
static LlmStatus
value_words(Words *w, const LlmJson *schema, int indent)
{
	const LlmJson *about = get(schema, "description", LLM_JSON_STRING);
	const LlmJson *properties;
	bool		nullable;
	const LlmJson *s = without_null(w, schema, &nullable);

	if (!about)
		about = get(s, "description", LLM_JSON_STRING);
	w->depth++;
	LLM_TRY(list_words(w, &s));
	LLM_TRY(kind_words(w, s, &properties));
	if (nullable)
		LLM_TRY(add(w, ", null if not known"));
	if (about)
	{
		LLM_TRY(add(w, ". "));
		LLM_TRY(add_str(w, about->text));
	}
	if (properties)
		LLM_TRY(property_lines(w, properties, indent));
	w->depth--;
	return LLM_OK;
}

LlmStatus
llm_schema_words(LlmStr schema, const LlmAllocator *a, LlmBuf *out, LlmError *err)
{
	LlmArena	arena;
	LlmJson    *tree;
	Words		w = {.out = out, .err = err};
	LlmStatus	status;

	llm_arena_init(&arena, a, 0);
	status = llm_json_tree(&arena, schema.data, schema.len, NULL, &tree, err);
	w.root = tree;
	if (status == LLM_OK)
		status = value_words(&w, tree, 0);
	llm_arena_free(&arena);
	return status;
}

LlmStatus
llm_json_dumps(LlmStr json, bool compact, const LlmAllocator *a, LlmBuf *out, LlmError *err)
{
	LlmArena	arena;
	LlmJson    *tree;
	LlmStatus	status;

	llm_arena_init(&arena, a, 0);
	status = llm_json_tree(&arena, json.data, json.len, NULL, &tree, err);
	if (status == LLM_OK)
		status = llm_json_write(tree, compact, NULL, NULL, out, err);
	llm_arena_free(&arena);
	return status;
}
