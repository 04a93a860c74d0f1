/*
 * json_parse.c: JSON by json-c, made as strict as RFC 8259.
 *
 * json-c is more tolerant in a few places even when strict (numbers like 1. and -01, NaN, control characters in strings),
 * cuts keys at \u0000 and clamps large integers silently: a first pass over the tokens refuses what it would let through.
 * And it takes an escaped character above U+FFFF whose low 16 bits look like a surrogate (U+7DA07) for another half of a
 * pair: escaped pairs are written as UTF-8 before it sees them.
 */
#include "text/json_parse.h"

#include <json-c/json.h>
#include <limits.h>
#include <string.h>

#define MAX_DEPTH 100
#define MAX_LENGTH ((size_t) 1 << 30)
#define PAIR_BYTES 12			/* \ud83d\ude00 */

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

static bool
hex_unit(const char *s, uint32_t *unit)
{
	*unit = 0;
	for (int i = 0; i < 4; i++)
	{
		char		c = s[i];
		int			digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
			c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;

		if (digit < 0)
			return false;
		*unit = *unit << 4 | (uint32_t) digit;
	}
	return true;
}

/* the code point of an escaped surrogate pair at s (len), or 0 if there is none */
static uint32_t
escaped_pair(const char *s, size_t len)
{
	uint32_t	high;
	uint32_t	low;

	if (len < PAIR_BYTES || s[0] != '\\' || s[1] != 'u' || s[6] != '\\' || s[7] != 'u' ||
		!hex_unit(s + 2, &high) || !hex_unit(s + 8, &low) || (high & 0xFC00) != 0xD800 || (low & 0xFC00) != 0xDC00)
		return 0;
	return 0x10000 + ((high & 0x3FF) << 10 | (low & 0x3FF));
}

/*
 * copy json with escaped pairs as UTF-8, until json (len) ends or at least max_out bytes are written; returns how much of
 * json was read. out NULL: only count.
 */
static size_t
join_pairs(const char *json, size_t len, char *out, size_t max_out, size_t *n_out)
{
	size_t		n = 0;
	size_t		i = 0;

	while (i < len && n < max_out)
	{
		uint32_t	c = escaped_pair(json + i, len - i);
		char		utf8[4] = {(char) (0xF0 | c >> 18), (char) (0x80 | (c >> 12 & 0x3F)), (char) (0x80 | (c >> 6 & 0x3F)),
			(char) (0x80 | (c & 0x3F))};
		size_t		used = c ? PAIR_BYTES : json[i] == '\\' && i + 1 < len ? 2 : 1;
		size_t		written = c ? sizeof(utf8) : used;

		if (out)
			memcpy(out + n, c ? utf8 : json + i, written);
		n += written;
		i += used;
	}
	*n_out = n;
	return i;
}

/* json-c over text; *end is where it stopped */
static LlmStatus
parse(const char *text, size_t len, json_object **out, size_t *end, const char **reason, LlmError *err)
{
	json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH + 2);
	enum json_tokener_error result;

	if (!tokener)
		return llm_fail(err, LLM_E_NOMEM, "out of memory");
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	*out = json_tokener_parse_ex(tokener, text, (int) len);
	result = json_tokener_get_error(tokener);
	*end = json_tokener_get_parse_end(tokener);
	if (result == json_tokener_continue)
	{
		/* a number at the very end is complete only now */
		*out = json_tokener_parse_ex(tokener, "", 1);
		*end = len;
		if (json_tokener_get_error(tokener) == json_tokener_success)
			result = json_tokener_success;
	}
	*reason = result == json_tokener_success ? NULL : json_tokener_error_desc(result);
	json_tokener_free(tokener);
	return LLM_OK;
}

LlmStatus
llm_json_parse(const char *json, size_t len, const LlmAllocator *a, struct json_object **out, LlmError *err)
{
	size_t		joined_len;
	void	   *joined;
	const char *reason;
	size_t		end;
	json_object *object = NULL;
	LlmStatus	status;

	if (len >= MAX_LENGTH || len > INT_MAX)
	{
		llm_fail(err, LLM_E_LIMIT, "JSON text is too long");
		llm_error_detail(err, "It has %zu bytes; the limit is %zu.", len, MAX_LENGTH - 1);
		return LLM_E_LIMIT;
	}
	LLM_TRY(scan_tokens(json, len, err));
	join_pairs(json, len, NULL, SIZE_MAX, &joined_len);
	if (joined_len == len)
		LLM_TRY(parse(json, len, &object, &end, &reason, err));
	else
	{
		LLM_TRY(llm_alloc(a, joined_len, 1, &joined, err));
		join_pairs(json, len, joined, SIZE_MAX, &joined_len);
		status = parse(joined, joined_len, &object, &end, &reason, err);
		llm_free(a, joined);
		if (status != LLM_OK)
			return status;
		end = join_pairs(json, len, NULL, end, &joined_len);
	}
	if (reason)
		return bad_json(err, end, reason);
	*out = object;
	return LLM_OK;
}
