/*
 * json_scan.c: the cursor of json_scan.h.
 */
#include "weights/hf/json_scan.h"

#include <string.h>

#define MAX_SKIP_DEPTH 8

LlmStatus
llm_scan_fail(const LlmJsonScan *s, const char *expected)
{
	llm_fail(s->err, LLM_E_FORMAT, "JSON of \"%s\" is damaged", s->what);
	llm_error_detail(s->err, "At offset %zu: %s was expected.", s->pos, expected);
	return LLM_E_FORMAT;
}

static void
skip_space(LlmJsonScan *s)
{
	while (s->pos < s->len && (s->text[s->pos] == ' ' || s->text[s->pos] == '\n' || s->text[s->pos] == '\r' || s->text[s->pos] == '\t'))
		s->pos++;
}

bool
llm_scan_take(LlmJsonScan *s, char c)
{
	skip_space(s);
	if (s->pos >= s->len || s->text[s->pos] != c)
		return false;
	s->pos++;
	return true;
}

LlmStatus
llm_scan_expect(LlmJsonScan *s, char c)
{
	char		expected[4] = {'\'', c, '\'', '\0'};

	return llm_scan_take(s, c) ? LLM_OK : llm_scan_fail(s, expected);
}

LlmStatus
llm_scan_string(LlmJsonScan *s, LlmStr *out)
{
	size_t		first;

	LLM_TRY(llm_scan_expect(s, '"'));
	first = s->pos;
	while (s->pos < s->len && s->text[s->pos] != '"')
	{
		if (s->text[s->pos] == '\\' || (unsigned char) s->text[s->pos] < 0x20)
			return llm_scan_fail(s, "a plain string");
		s->pos++;
	}
	if (s->pos >= s->len)
		return llm_scan_fail(s, "the end of a string");
	*out = (LlmStr) {s->text + first, s->pos - first};
	s->pos++;
	return LLM_OK;
}

LlmStatus
llm_scan_uint(LlmJsonScan *s, uint64_t *out)
{
	uint64_t	value = 0;
	size_t		first;

	skip_space(s);
	first = s->pos;
	while (s->pos < s->len && s->text[s->pos] >= '0' && s->text[s->pos] <= '9')
	{
		if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, (uint64_t) (s->text[s->pos] - '0'), &value))
			return llm_scan_fail(s, "a number below 2^64");
		s->pos++;
	}
	if (s->pos == first || (s->text[first] == '0' && s->pos > first + 1))
		return llm_scan_fail(s, "a whole number");
	*out = value;
	return LLM_OK;
}

/* a string that is not looked at: escapes are allowed */
static LlmStatus
skip_string(LlmJsonScan *s)
{
	LLM_TRY(llm_scan_expect(s, '"'));
	while (s->pos < s->len && s->text[s->pos] != '"')
		s->pos += s->text[s->pos] == '\\' ? 2 : 1;
	if (s->pos >= s->len)
	{
		s->pos = s->len;
		return llm_scan_fail(s, "the end of a string");
	}
	s->pos++;
	return LLM_OK;
}

static LlmStatus
skip_value(LlmJsonScan *s, int depth)
{
	char		close;

	skip_space(s);
	if (s->pos < s->len && s->text[s->pos] == '"')
		return skip_string(s);
	if (s->pos < s->len && (s->text[s->pos] == '{' || s->text[s->pos] == '['))
	{
		if (depth == 0)
			return llm_scan_fail(s, "a value that is not nested so deeply");
		close = s->text[s->pos++] == '{' ? '}' : ']';
		if (llm_scan_take(s, close))
			return LLM_OK;
		do
		{
			if (close == '}')
			{
				LLM_TRY(skip_string(s));
				LLM_TRY(llm_scan_expect(s, ':'));
			}
			LLM_TRY(skip_value(s, depth - 1));
		} while (llm_scan_take(s, ','));
		return llm_scan_expect(s, close);
	}
	if (s->pos >= s->len || !strchr("-0123456789tfn", s->text[s->pos]))
		return llm_scan_fail(s, "a value");
	while (s->pos < s->len && s->text[s->pos] && strchr("+-.0123456789abcdefghijklmnopqrstuvwxyzE", s->text[s->pos]))
		s->pos++;
	return LLM_OK;
}

LlmStatus
llm_scan_skip(LlmJsonScan *s)
{
	return skip_value(s, MAX_SKIP_DEPTH);
}

LlmStatus
llm_scan_end(LlmJsonScan *s)
{
	skip_space(s);
	return s->pos == s->len ? LLM_OK : llm_scan_fail(s, "the end");
}
