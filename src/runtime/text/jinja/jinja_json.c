/*
 * jinja_json.c: the tojson filter as Hugging Face sets it: json.dumps(x, ensure_ascii=False), without HTML escapes.
 */
#include "text/jinja/jinja.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct JsonStyle
{
	bool		ensure_ascii;
	bool		sort_keys;
	bool		multi_line;
	LlmText		indent;			/* per level */
	LlmText		item_separator;
	LlmText		key_separator;
} JsonStyle;

static LlmStatus put_json(Jinja *j, const JsonStyle *style, const LlmValue *v, int level);

static LlmStatus
put_escape(Jinja *j, uint32_t c, bool data)
{
	char		escape[16];
	int			n;

	if (c >= 0x10000)
		n = snprintf(escape, sizeof(escape), "\\u%04" PRIx32 "\\u%04" PRIx32, 0xD800 + ((c - 0x10000) >> 10), 0xDC00 + (c & 0x3FF));
	else
		n = snprintf(escape, sizeof(escape), "\\u%04" PRIx32, c);
	return llm_jinja_put_bytes(j, escape, (size_t) n, data);
}

static LlmStatus
put_json_string(Jinja *j, const JsonStyle *style, LlmText text)
{
	static const char special[] = "\"\\\n\r\t\b\f";
	static const char letters[] = "\"\\nrtbf";
	size_t		pos = 0;

	LLM_TRY(llm_jinja_step(j, text.len / 32));
	LLM_TRY(llm_jinja_put_bytes(j, "\"", 1, false));
	while (pos < text.len)
	{
		size_t		end = pos;
		uint32_t	c;
		size_t		used;
		const char *found;

		/* what stays as it is, in one piece */
		while (end < text.len && (unsigned char) text.bytes[end] >= ' ' && text.bytes[end] != '"' && text.bytes[end] != '\\' &&
			   !(style->ensure_ascii && (unsigned char) text.bytes[end] >= 0x7F))
			end++;
		LLM_TRY(llm_jinja_put(j, llm_jinja_sub(text, pos, end)));
		pos = end;
		if (pos == text.len)
			break;
		used = llm_jinja_decode(text.bytes + pos, text.len - pos, &c);
		found = c && c < 0x80 ? strchr(special, (int) c) : NULL;
		if (found)
		{
			char		escape[2] = {'\\', letters[found - special]};

			LLM_TRY(llm_jinja_put_bytes(j, escape, 2, text.from_data && text.from_data[pos]));
		}
		else if (c >= JINJA_BAD_BYTE)
			LLM_TRY(llm_jinja_put(j, llm_jinja_sub(text, pos, pos + used)));
		else
			LLM_TRY(put_escape(j, c, text.from_data && text.from_data[pos]));
		pos += used;
	}
	return llm_jinja_put_bytes(j, "\"", 1, false);
}

static LlmStatus
put_scalar(Jinja *j, const LlmValue *v)
{
	const char *word;

	if (v->kind == LLM_VALUE_NULL)
		word = "null";
	else if (v->kind == LLM_VALUE_BOOL)
		word = v->u.boolean ? "true" : "false";
	else if (v->kind == LLM_VALUE_FLOAT && !isfinite(v->u.number))
		word = isnan(v->u.number) ? "NaN" : v->u.number < 0 ? "-Infinity" : "Infinity";
	else
		return llm_jinja_put_str(j, v);
	return llm_jinja_put_bytes(j, word, strlen(word), false);
}

static LlmStatus
new_line(Jinja *j, const JsonStyle *style, int level)
{
	if (!style->multi_line)
		return LLM_OK;
	LLM_TRY(llm_jinja_put_bytes(j, "\n", 1, false));
	return llm_jinja_put_fill(j, style->indent, (size_t) level);
}

static LlmStatus
put_json_key(Jinja *j, const JsonStyle *style, const LlmValue *key)
{
	size_t		mark = j->out.len;
	LlmValue   *text;

	if (key->kind == LLM_VALUE_STRING)
		return put_json_string(j, style, key->u.text);
	if (key->kind != LLM_VALUE_NULL && key->kind != LLM_VALUE_BOOL && key->kind != LLM_VALUE_INT && key->kind != LLM_VALUE_FLOAT)
		return llm_jinja_fail(j, "keys must be str, int, float, bool or None, not %s", llm_jinja_type_name(key));
	LLM_TRY(put_scalar(j, key));
	LLM_TRY(llm_jinja_cut(j, mark, &text));
	return put_json_string(j, style, text->u.text);
}

static LlmStatus
put_container(Jinja *j, const JsonStyle *style, const LlmValue *v, int level)
{
	bool		is_map = v->kind == LLM_VALUE_MAP;
	LlmValue   *sorted = NULL;
	LlmValue  **keys = v->u.seq.keys;
	LlmValue  **items = v->u.seq.items;
	size_t		n = v->u.seq.n;

	if (is_map && style->sort_keys)
	{
		LlmValue   *values;

		LLM_TRY(llm_jinja_list(j, n, &sorted));
		LLM_TRY(llm_jinja_list(j, n, &values));
		for (size_t i = 0; i < n; i++)
		{
			LLM_TRY(llm_jinja_push(j, sorted, keys[i]));
			LLM_TRY(llm_jinja_push(j, values, items[i]));
		}
		LLM_TRY(llm_jinja_sort(j, values->u.seq.items, sorted->u.seq.items, n, false));
		keys = sorted->u.seq.items;
		items = values->u.seq.items;
	}
	LLM_TRY(llm_jinja_put_bytes(j, is_map ? "{" : "[", 1, false));
	for (size_t i = 0; i < n; i++)
	{
		if (i)
			LLM_TRY(llm_jinja_put(j, style->item_separator));
		LLM_TRY(new_line(j, style, level + 1));
		if (is_map)
		{
			LLM_TRY(put_json_key(j, style, keys[i]));
			LLM_TRY(llm_jinja_put(j, style->key_separator));
		}
		LLM_TRY(put_json(j, style, items[i], level + 1));
	}
	if (n)
		LLM_TRY(new_line(j, style, level));
	return llm_jinja_put_bytes(j, is_map ? "}" : "]", 1, false);
}

static LlmStatus
put_json(Jinja *j, const JsonStyle *style, const LlmValue *v, int level)
{
	LLM_TRY(llm_jinja_step(j, 1));
	if (level > LLM_JINJA_MAX_VALUE_DEPTH)
		return llm_jinja_limit(j, "a value nested deeper than %d levels", LLM_JINJA_MAX_VALUE_DEPTH);
	if (v->kind == LLM_VALUE_STRING)
		return put_json_string(j, style, v->u.text);
	if (v->kind == LLM_VALUE_MAP || (v->kind == LLM_VALUE_LIST && v->flavour <= JINJA_GROUP))
		return put_container(j, style, v, level);
	if (v->kind == LLM_VALUE_UNDEFINED || v->kind == LLM_VALUE_LIST || v->kind == LLM_VALUE_FUNCTION)
		return llm_jinja_fail(j, "Object of type %s is not JSON serializable", llm_jinja_type_name(v));
	return put_scalar(j, v);
}

/* tojson(ensure_ascii, indent, separators, sort_keys) */
LlmStatus
llm_jinja_tojson(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	JsonStyle	style = {.item_separator = {", ", NULL, 2}, .key_separator = {": ", NULL, 2}, .indent = {"", NULL, 0}};
	size_t		mark = j->out.len;
	int64_t		width;

	(void) args;
	style.ensure_ascii = llm_jinja_is_true(v[0]);
	style.sort_keys = llm_jinja_is_true(v[3]);
	if (llm_jinja_given(v[1]))
	{
		style.multi_line = true;
		style.item_separator.len = 1;
		if (v[1]->kind == LLM_VALUE_STRING)
			style.indent = v[1]->u.text;
		else
		{
			LlmValue   *indent;

			LLM_TRY(llm_jinja_arg_int(j, v[1], "indent", &width));
			LLM_TRY(llm_jinja_put_fill(j, (LlmText) {" ", NULL, 1}, width > 0 ? (size_t) width : 0));
			LLM_TRY(llm_jinja_cut(j, mark, &indent));
			style.indent = indent->u.text;
		}
	}
	if (llm_jinja_given(v[2]))
	{
		LlmValue  **parts;
		size_t		n;

		LLM_TRY(llm_jinja_items(j, v[2], &parts, &n));
		if (n != 2)
			return llm_jinja_fail(j, "separators must be a pair");
		LLM_TRY(llm_jinja_arg_text(j, parts[0], "separator", &style.item_separator));
		LLM_TRY(llm_jinja_arg_text(j, parts[1], "separator", &style.key_separator));
	}
	LLM_TRY(put_json(j, &style, self, 0));
	return llm_jinja_cut(j, mark, out);
}
