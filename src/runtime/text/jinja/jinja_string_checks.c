/*
 * jinja_string_checks.c: methods of strings that answer with a number or with yes or no.
 */
#include "text/jinja/jinja.h"

#include <string.h>

#define SELF (self->u.text)

/* bytes of the code points start..end that the last two arguments of find, count and startswith name; false if start is beyond the end */
static LlmStatus
window(Jinja *j, LlmText text, LlmValue *start, LlmValue *end, LlmText *out, size_t *first, bool *valid)
{
	int64_t		n = (int64_t) llm_jinja_count(text);
	int64_t		a = 0;
	int64_t		b = n;

	LLM_TRY(llm_jinja_step(j, text.len / 32));
	if (start && start->kind != LLM_VALUE_NULL)
		LLM_TRY(llm_jinja_arg_int(j, start, "start", &a));
	if (end && end->kind != LLM_VALUE_NULL)
		LLM_TRY(llm_jinja_arg_int(j, end, "end", &b));
	if (a < 0)
		a = a + n < 0 ? 0 : a + n;
	if (b < 0)
		b = b + n < 0 ? 0 : b + n;
	if (b > n)
		b = n;
	*valid = a <= b;
	if (!*valid)
		return LLM_OK;
	*first = (size_t) a;
	*out = llm_jinja_sub(text, llm_jinja_offset(text, (size_t) a), llm_jinja_offset(text, (size_t) b));
	return LLM_OK;
}

/* code point index of an occurrence, or -1 */
static LlmStatus
find(Jinja *j, LlmValue *self, LlmValue **v, bool from_right, int64_t *out)
{
	LlmText		needle;
	LlmText		part;
	size_t		first;
	size_t		found;
	bool		valid;

	*out = -1;
	LLM_TRY(llm_jinja_arg_text(j, v[0], "searched text", &needle));
	LLM_TRY(window(j, SELF, v[1], v[2], &part, &first, &valid));
	if (!valid)
		return LLM_OK;
	if (from_right)
		LLM_TRY(llm_jinja_find_last(j, part, needle, part.len, &found));
	else
		found = llm_jinja_find(part, needle, 0);
	if (found != SIZE_MAX)
		*out = (int64_t) (first + llm_jinja_count(llm_jinja_sub(part, 0, found)));
	return LLM_OK;
}

static LlmStatus
find_value(Jinja *j, LlmValue *self, LlmValue **v, bool from_right, bool must, LlmValue **out)
{
	int64_t		at;

	LLM_TRY(find(j, self, v, from_right, &at));
	if (at < 0 && must)
		return llm_jinja_fail(j, "substring not found");
	return llm_jinja_int(j, at, out);
}

static LlmStatus
str_find(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return find_value(j, self, v, false, false, out);
}

static LlmStatus
str_rfind(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return find_value(j, self, v, true, false, out);
}

static LlmStatus
str_index(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return find_value(j, self, v, false, true, out);
}

static LlmStatus
str_rindex(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return find_value(j, self, v, true, true, out);
}

static LlmStatus
str_count(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmText		needle;
	LlmText		part;
	size_t		first;
	size_t		pos = 0;
	int64_t		n = 0;
	bool		valid;

	(void) args;
	LLM_TRY(llm_jinja_arg_text(j, v[0], "counted text", &needle));
	LLM_TRY(window(j, SELF, v[1], v[2], &part, &first, &valid));
	if (valid && needle.len == 0)
		return llm_jinja_int(j, (int64_t) llm_jinja_count(part) + 1, out);
	while (valid && (pos = llm_jinja_find(part, needle, pos)) != SIZE_MAX)
	{
		n++;
		pos += needle.len;
	}
	return llm_jinja_int(j, n, out);
}

/* does the text begin (end) with one of a string or tuple of strings? */
static LlmStatus
has_affix(Jinja *j, LlmValue *self, LlmValue **v, bool at_end, LlmValue **out)
{
	LlmText		part;
	size_t		first;
	bool		valid;
	bool		is_tuple = v[0]->kind == LLM_VALUE_LIST && (v[0]->flavour == JINJA_TUPLE || v[0]->flavour == JINJA_GROUP);
	size_t		n = is_tuple ? v[0]->u.seq.n : 1;
	bool		found = false;

	LLM_TRY(window(j, SELF, v[1], v[2], &part, &first, &valid));
	for (size_t i = 0; i < n && !found; i++)
	{
		LlmText		affix;

		LLM_TRY(llm_jinja_arg_text(j, is_tuple ? v[0]->u.seq.items[i] : v[0], "prefix or suffix", &affix));
		found = valid && part.len >= affix.len &&
			(affix.len == 0 || memcmp(at_end ? part.bytes + part.len - affix.len : part.bytes, affix.bytes, affix.len) == 0);
	}
	*out = llm_jinja_bool(found);
	return LLM_OK;
}

static LlmStatus
str_startswith(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return has_affix(j, self, v, false, out);
}

static LlmStatus
str_endswith(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return has_affix(j, self, v, true, out);
}

/* true if the string is not empty and every character is of the class */
static LlmStatus
all_chars(Jinja *j, LlmText text, bool (*is) (uint32_t c), LlmValue **out)
{
	size_t		pos = 0;
	bool		all = text.len > 0;

	LLM_TRY(llm_jinja_step(j, text.len / 32));
	while (all && pos < text.len)
	{
		uint32_t	c;

		pos += llm_jinja_decode(text.bytes + pos, text.len - pos, &c);
		all = is(c);
	}
	*out = llm_jinja_bool(all);
	return LLM_OK;
}

static bool
is_alnum(uint32_t c)
{
	return llm_jinja_is_alpha(c) || llm_jinja_is_numeric(c);
}

static bool
is_ascii(uint32_t c)
{
	return c < 0x80;
}

static bool
is_identifier_char(uint32_t c)
{
	return c == '_' || llm_jinja_is_alpha(c) || llm_jinja_is_decimal(c);
}

#define CLASS_METHOD(name, is, empty) \
	static LlmStatus \
	name(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out) \
	{ \
		(void) v; \
		(void) args; \
		LLM_TRY(all_chars(j, SELF, is, out)); \
		if ((empty) && SELF.len == 0) \
			*out = llm_jinja_bool(true); \
		return LLM_OK; \
	}

CLASS_METHOD(str_isalnum, is_alnum, false)
CLASS_METHOD(str_isalpha, llm_jinja_is_alpha, false)
CLASS_METHOD(str_isascii, is_ascii, true)
CLASS_METHOD(str_isdecimal, llm_jinja_is_decimal, false)
CLASS_METHOD(str_isdigit, llm_jinja_is_digit, false)
CLASS_METHOD(str_isnumeric, llm_jinja_is_numeric, false)
CLASS_METHOD(str_isprintable, llm_jinja_is_printable, true)
CLASS_METHOD(str_isspace, llm_jinja_is_space, false)

static LlmStatus
str_isidentifier(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	uint32_t	c;

	(void) v;
	(void) args;
	LLM_TRY(all_chars(j, SELF, is_identifier_char, out));
	llm_jinja_decode(SELF.bytes, SELF.len, &c);
	if (llm_jinja_is_decimal(c))
		*out = llm_jinja_bool(false);
	return LLM_OK;
}

/* at least one cased character, and none of the other case */
bool
llm_jinja_all_case(LlmText text, bool upper)
{
	size_t		pos = 0;
	bool		any = false;

	while (pos < text.len)
	{
		uint32_t	c;

		pos += llm_jinja_decode(text.bytes + pos, text.len - pos, &c);
		if (llm_jinja_is_title(c) || (upper ? llm_jinja_is_lower(c) : llm_jinja_is_upper(c)))
			return false;
		any |= upper ? llm_jinja_is_upper(c) : llm_jinja_is_lower(c);
	}
	return any;
}

static LlmStatus
str_islower(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) v;
	(void) args;
	*out = llm_jinja_bool(llm_jinja_all_case(SELF, false));
	return llm_jinja_step(j, SELF.len / 32);
}

static LlmStatus
str_isupper(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) v;
	(void) args;
	*out = llm_jinja_bool(llm_jinja_all_case(SELF, true));
	return llm_jinja_step(j, SELF.len / 32);
}

/* upper case only after what has no case, lower case only after what has */
static LlmStatus
str_istitle(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	size_t		pos = 0;
	bool		any = false;
	bool		previous = false;
	bool		ok = true;

	(void) v;
	(void) args;
	LLM_TRY(llm_jinja_step(j, SELF.len / 32));
	while (ok && pos < SELF.len)
	{
		uint32_t	c;

		pos += llm_jinja_decode(SELF.bytes + pos, SELF.len - pos, &c);
		if (llm_jinja_is_upper(c) || llm_jinja_is_title(c))
		{
			ok = !previous;
			previous = any = true;
		}
		else if (llm_jinja_is_lower(c))
		{
			ok = previous;
			any = true;
		}
		else
			previous = false;
	}
	*out = llm_jinja_bool(ok && any);
	return LLM_OK;
}

const JinjaFunction llm_jinja_string_checks[] = {
	{"count", str_count, "/sub start end", 1},
	{"endswith", str_endswith, "/suffix start end", 1},
	{"find", str_find, "/sub start end", 1},
	{"index", str_index, "/sub start end", 1},
	{"isalnum", str_isalnum, "", 0},
	{"isalpha", str_isalpha, "", 0},
	{"isascii", str_isascii, "", 0},
	{"isdecimal", str_isdecimal, "", 0},
	{"isdigit", str_isdigit, "", 0},
	{"isidentifier", str_isidentifier, "", 0},
	{"islower", str_islower, "", 0},
	{"isnumeric", str_isnumeric, "", 0},
	{"isprintable", str_isprintable, "", 0},
	{"isspace", str_isspace, "", 0},
	{"istitle", str_istitle, "", 0},
	{"isupper", str_isupper, "", 0},
	{"rfind", str_rfind, "/sub start end", 1},
	{"rindex", str_rindex, "/sub start end", 1},
	{"startswith", str_startswith, "/prefix start end", 1},
	{NULL, NULL, NULL, 0}
};
