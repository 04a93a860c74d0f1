/*
 * json_reader.c: strings, numbers and the spans of values, straight from the text.
 */
#include "text/json_reader.h"

#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 100
#define MAX_NUMBER_BYTES 40
#define POLL_BYTES ((size_t) 1 << 18)

LlmStatus
llm_json_error(const LlmJsonReader *r, const char *reason, LlmError *err)
{
	llm_fail(err, LLM_E_FORMAT, "%s is damaged", r->what);
	llm_error_detail(err, "At offset %zu of %zu: %s.", r->pos, r->len, reason);
	return LLM_E_FORMAT;
}

char
llm_json_peek(LlmJsonReader *r)
{
	while (r->pos < r->len && (r->text[r->pos] == ' ' || r->text[r->pos] == '\n' || r->text[r->pos] == '\t' || r->text[r->pos] == '\r'))
		r->pos++;
	return r->pos < r->len ? r->text[r->pos] : '\0';
}

LlmStatus
llm_json_expect(LlmJsonReader *r, char c, LlmError *err)
{
	char		reason[] = "\"?\" was expected";

	reason[1] = c;
	if (llm_json_peek(r) != c)
		return llm_json_error(r, reason, err);
	r->pos++;
	return LLM_OK;
}

static LlmStatus
poll(LlmJsonReader *r)
{
	if (r->pos - r->polled < POLL_BYTES)
		return LLM_OK;
	r->polled = r->pos;
	return llm_should_stop(r->stop) ? LLM_PAUSED : LLM_OK;
}

LlmStatus
llm_json_next(LlmJsonReader *r, char close, bool *first, bool *more, LlmError *err)
{
	*more = true;
	LLM_TRY(poll(r));
	if (llm_json_peek(r) == close)
	{
		r->pos++;
		*more = false;
		return LLM_OK;
	}
	if (!*first)
		LLM_TRY(llm_json_expect(r, ',', err));
	*first = false;
	return llm_json_peek(r) == close ? llm_json_error(r, "a value was expected", err) : LLM_OK;
}

/* the closing quote of the string whose first character is at r->pos, *escaped: it has backslashes */
static LlmStatus
find_quote(LlmJsonReader *r, size_t *end, bool *escaped, LlmError *err)
{
	size_t		i = r->pos;

	*escaped = false;
	for (;; i++)
	{
		if (i >= r->len)
			return llm_json_error(r, "the string has no end", err);
		if (r->text[i] == '"')
			break;
		if ((unsigned char) r->text[i] < ' ')
			return llm_json_error(r, "control characters in a string must be escaped", err);
		if (r->text[i] == '\\')
		{
			*escaped = true;
			i++;
		}
	}
	*end = i;
	return LLM_OK;
}

static bool
hex_unit(const char *s, size_t len, uint32_t *unit)
{
	*unit = 0;
	if (len < 4)
		return false;
	for (int i = 0; i < 4; i++)
	{
		char		c = s[i];
		int			digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;

		if (digit < 0)
			return false;
		*unit = *unit << 4 | (uint32_t) digit;
	}
	return true;
}

static size_t
put_utf8(uint32_t c, char *out)
{
	if (c < 0x80)
	{
		out[0] = (char) c;
		return 1;
	}
	if (c < 0x800)
	{
		out[0] = (char) (0xC0 | c >> 6);
		out[1] = (char) (0x80 | (c & 0x3F));
		return 2;
	}
	if (c < 0x10000)
	{
		out[0] = (char) (0xE0 | c >> 12);
		out[1] = (char) (0x80 | (c >> 6 & 0x3F));
		out[2] = (char) (0x80 | (c & 0x3F));
		return 3;
	}
	out[0] = (char) (0xF0 | c >> 18);
	out[1] = (char) (0x80 | (c >> 12 & 0x3F));
	out[2] = (char) (0x80 | (c >> 6 & 0x3F));
	out[3] = (char) (0x80 | (c & 0x3F));
	return 4;
}

/* \uXXXX behind the u, with the other half of a pair; a half alone becomes U+FFFD */
static LlmStatus
read_unit(LlmJsonReader *r, const char *s, size_t len, uint32_t *c, size_t *used, LlmError *err)
{
	uint32_t	low;

	if (!hex_unit(s, len, c))
		return llm_json_error(r, "\\u needs four digits", err);
	*used = 4;
	if ((*c & 0xF800) != 0xD800)
		return LLM_OK;
	if ((*c & 0xFC00) == 0xD800 && len >= 10 && s[4] == '\\' && s[5] == 'u' && hex_unit(s + 6, len - 6, &low) && (low & 0xFC00) == 0xDC00)
	{
		*c = 0x10000 + ((*c & 0x3FF) << 10 | (low & 0x3FF));
		*used = 10;
	}
	else
		*c = 0xFFFD;
	return LLM_OK;
}

/* s (len) with escapes into out, which has room for len */
static LlmStatus
unescape(LlmJsonReader *r, const char *s, size_t len, char *out, size_t *n_out, LlmError *err)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char values[] = "\"\\/\b\f\n\r\t";
	size_t		n = 0;

	for (size_t i = 0; i < len;)
	{
		const char *at;
		uint32_t	c = 0;
		size_t		used = 0;

		if (s[i] != '\\')
		{
			out[n++] = s[i++];
			continue;
		}
		i++;
		at = s[i] ? strchr(letters, s[i]) : NULL;
		if (at)
			out[n++] = values[at - letters];
		else if (s[i] == 'u')
		{
			LLM_TRY(read_unit(r, s + i + 1, len - i - 1, &c, &used, err));
			n += put_utf8(c, out + n);
			i += used;
		}
		else
			return llm_json_error(r, "the escape is not known", err);
		i++;
	}
	*n_out = n;
	return LLM_OK;
}

LlmStatus
llm_json_string(LlmJsonReader *r, LlmBuf *scratch, LlmStr *out, LlmError *err)
{
	size_t		end;
	bool		escaped;

	LLM_TRY(llm_json_expect(r, '"', err));
	LLM_TRY(find_quote(r, &end, &escaped, err));
	*out = (LlmStr) {r->text + r->pos, end - r->pos};
	if (escaped)
	{
		scratch->len = 0;
		LLM_TRY(llm_buf_reserve(scratch, out->len, err));
		LLM_TRY(unescape(r, out->data, out->len, scratch->data, &scratch->len, err));
		*out = (LlmStr) {scratch->data, scratch->len};
	}
	r->pos = end + 1;
	return LLM_OK;
}

LlmStatus
llm_json_number(LlmJsonReader *r, double *out, LlmError *err)
{
	char		text[MAX_NUMBER_BYTES + 1];
	char	   *end;
	size_t		n = 0;
	char		c = llm_json_peek(r);

	if (c != '-' && !(c >= '0' && c <= '9'))
		return llm_json_error(r, "a number was expected", err);
	while (n < MAX_NUMBER_BYTES && r->pos + n < r->len && r->text[r->pos + n] && strchr("0123456789+-.eE", r->text[r->pos + n]))
	{
		text[n] = r->text[r->pos + n];
		n++;
	}
	text[n] = '\0';
	*out = strtod(text, &end);
	if (end != text + n)
		return llm_json_error(r, "a number was expected", err);
	r->pos += n;
	return LLM_OK;
}

LlmStatus
llm_json_skip(LlmJsonReader *r, LlmStr *span, LlmError *err)
{
	char		open[MAX_DEPTH];
	int			depth = 0;
	char		c = llm_json_peek(r);

	span->data = r->text + r->pos;
	do
	{
		size_t		end;
		bool		escaped;

		LLM_TRY(poll(r));
		c = llm_json_peek(r);
		if (c == '\0')
			return llm_json_error(r, "the text ends too early", err);
		r->pos++;
		if (c == '"')
		{
			LLM_TRY(find_quote(r, &end, &escaped, err));
			r->pos = end + 1;
		}
		else if (c == '{' || c == '[')
		{
			if (depth == MAX_DEPTH)
				return llm_json_error(r, "nested deeper than 100 levels", err);
			open[depth++] = c;
		}
		else if (c == '}' || c == ']')
		{
			if (depth == 0 || open[--depth] != (c == '}' ? '{' : '['))
				return llm_json_error(r, "a bracket does not fit", err);
		}
		else if (c != ',' && c != ':')
			while (r->pos < r->len && r->text[r->pos] && !strchr(",:]}[{\" \n\t\r", r->text[r->pos]))
				r->pos++;
		else if (depth == 0)
			return llm_json_error(r, "a value was expected", err);
	} while (depth > 0);
	span->len = (size_t) (r->text + r->pos - span->data);
	return LLM_OK;
}
