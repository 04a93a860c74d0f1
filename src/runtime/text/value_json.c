/*
 * value_json.c: JSON text to a value, by json-c.
 *
 * json-c works with malloc, so its tree is copied into the arena and released before we return. It is more tolerant than
 * RFC 8259 in a few places even when strict (numbers like 1. and -01, NaN, control characters in strings), cuts keys at
 * \u0000 and clamps large integers silently. A first pass over the tokens refuses what it would let through.
 */
#include "text/value.h"

#include <json-c/json.h>
#include <limits.h>
#include <string.h>

#define MAX_DEPTH 100
#define MAX_LENGTH ((size_t) 1 << 30)

static LlmStatus
bad_json(LlmError *err, size_t offset, const char *reason)
{
	llm_fail(err, LLM_E_ARGUMENT, "invalid JSON");
	llm_error_detail(err, "At offset %zu: %s.", offset, reason);
	llm_error_hint(err, "Give well-formed JSON, nested at most %d levels deep.", MAX_DEPTH);
	return LLM_E_ARGUMENT;
}

static bool
is_digit(const char *json, size_t len, size_t pos)
{
	return pos < len && json[pos] >= '0' && json[pos] <= '9';
}

/* a number at *pos, as RFC 8259 writes it; moves *pos behind it */
static LlmStatus
scan_number(const char *json, size_t len, size_t *pos, LlmError *err)
{
	size_t		start = *pos;
	size_t		p = start;
	size_t		digits;
	bool		integer = true;
	uint64_t	magnitude = 0;
	bool		negative = json[p] == '-';

	if (negative)
		p++;
	digits = p;
	while (is_digit(json, len, p))
		p++;
	if (p == digits || (json[digits] == '0' && p > digits + 1))
		return bad_json(err, start, "a number was expected");
	for (size_t i = digits; i < p; i++)
		if (__builtin_mul_overflow(magnitude, 10, &magnitude) || __builtin_add_overflow(magnitude, (uint64_t) (json[i] - '0'), &magnitude))
		{
			magnitude = UINT64_MAX;
			break;
		}
	if (p < len && json[p] == '.')
	{
		integer = false;
		p++;
		if (!is_digit(json, len, p))
			return bad_json(err, start, "a digit was expected after the decimal point");
		while (is_digit(json, len, p))
			p++;
	}
	if (p < len && (json[p] == 'e' || json[p] == 'E'))
	{
		integer = false;
		p++;
		if (p < len && (json[p] == '+' || json[p] == '-'))
			p++;
		if (!is_digit(json, len, p))
			return bad_json(err, start, "a digit was expected in the exponent");
		while (is_digit(json, len, p))
			p++;
	}
	if (integer && magnitude > (uint64_t) INT64_MAX + (negative ? 1 : 0))
		return bad_json(err, start, "the integer does not fit 64 bits");
	*pos = p;
	return LLM_OK;
}

/* a string that begins at *pos; moves *pos behind its closing quote */
static LlmStatus
scan_string(const char *json, size_t len, size_t *pos, LlmError *err)
{
	size_t		start = *pos;
	size_t		p = start + 1;
	bool		has_nul = false;

	while (p < len && json[p] != '"')
	{
		if ((unsigned char) json[p] < 0x20)
			return bad_json(err, p, "control characters in a string must be escaped");
		if (json[p] == '\\')
		{
			if (len - p >= 6 && memcmp(json + p, "\\u0000", 6) == 0)
				has_nul = true;
			p++;
		}
		p++;
	}
	if (p >= len)
		return bad_json(err, start, "the string is not closed");
	*pos = ++p;
	while (p < len && (json[p] == ' ' || json[p] == '\t' || json[p] == '\n' || json[p] == '\r'))
		p++;
	if (has_nul && p < len && json[p] == ':')
		return bad_json(err, start, "\\u0000 is not allowed in a key");
	return LLM_OK;
}

/* refuse what json-c would let through; leaves the structure to it */
static LlmStatus
scan_tokens(const char *json, size_t len, LlmError *err)
{
	size_t		pos = 0;
	int			depth = 0;

	while (pos < len)
	{
		char		c = json[pos];

		if (c == '"')
			LLM_TRY(scan_string(json, len, &pos, err));
		else if (c == '-' || (c >= '0' && c <= '9'))
			LLM_TRY(scan_number(json, len, &pos, err));
		else if (c == '[' || c == '{')
		{
			if (++depth > MAX_DEPTH)
				return bad_json(err, pos, "nested deeper than 100 levels");
			pos++;
		}
		else if (c == ']' || c == '}')
		{
			depth--;
			pos++;
		}
		else if (c == '\0' || c == 'N' || c == 'I')
			return bad_json(err, pos, "unexpected character");
		else
			pos++;
	}
	return LLM_OK;
}

static LlmStatus
convert(LlmArena *arena, json_object *object, LlmValue **out, LlmError *err)
{
	switch (json_object_get_type(object))
	{
		case json_type_null:
			return llm_value_null(arena, out, err);
		case json_type_boolean:
			return llm_value_bool(arena, json_object_get_boolean(object), out, err);
		case json_type_double:
			return llm_value_float(arena, json_object_get_double(object), out, err);
		case json_type_int:
			return llm_value_int(arena, json_object_get_int64(object), out, err);
		case json_type_string:
			return llm_value_string(arena, json_object_get_string(object), (size_t) json_object_get_string_len(object), true, out, err);
		case json_type_array:
			{
				LlmValue   *list;
				size_t		n = json_object_array_length(object);

				LLM_TRY(llm_value_list(arena, &list, err));
				for (size_t i = 0; i < n; i++)
				{
					LlmValue   *item;

					LLM_TRY(convert(arena, json_object_array_get_idx(object, i), &item, err));
					LLM_TRY(llm_value_append(arena, list, item, err));
				}
				*out = list;
				return LLM_OK;
			}
		case json_type_object:
			{
				LlmValue   *map;

				LLM_TRY(llm_value_map(arena, &map, err));
				json_object_object_foreach(object, key, child)
				{
					LlmValue   *name;
					LlmValue   *item;

					LLM_TRY(llm_value_string(arena, key, strlen(key), true, &name, err));
					LLM_TRY(convert(arena, child, &item, err));
					LLM_TRY(llm_value_add(arena, map, name, item, err));
				}
				*out = map;
				return LLM_OK;
			}
	}
	return llm_fail(err, LLM_E_ARGUMENT, "invalid JSON");
}

LlmStatus
llm_value_from_json(LlmArena *arena, const char *json, size_t len, LlmValue **out, LlmError *err)
{
	json_tokener *tokener;
	json_object *object;
	enum json_tokener_error result;
	LlmStatus	status;

	if (len >= MAX_LENGTH || len > INT_MAX)
	{
		llm_fail(err, LLM_E_LIMIT, "JSON text is too long");
		llm_error_detail(err, "It has %zu bytes; the limit is %zu.", len, MAX_LENGTH - 1);
		return LLM_E_LIMIT;
	}
	LLM_TRY(scan_tokens(json, len, err));
	tokener = json_tokener_new_ex(MAX_DEPTH + 2);
	if (!tokener)
		return llm_fail(err, LLM_E_NOMEM, "out of memory");
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	object = json_tokener_parse_ex(tokener, json, (int) len);
	result = json_tokener_get_error(tokener);
	if (result == json_tokener_continue)
	{
		/* a number at the very end is complete only now */
		object = json_tokener_parse_ex(tokener, "", 1);
		result = json_tokener_get_error(tokener);
		if (result != json_tokener_success)
			result = json_tokener_continue;
	}
	if (result == json_tokener_success)
		status = convert(arena, object, out, err);
	else
		status = bad_json(err, result == json_tokener_continue ? len : json_tokener_get_parse_end(tokener),
						  json_tokener_error_desc(result));
	json_object_put(object);
	json_tokener_free(tokener);
	return status;
}
