/*
 * jinja_unicode.c: code points as Python's str sees them: decoding, classes, case, white space, searching.
 *
 * A byte that is not part of well-formed UTF-8 is a code point of its own (JINJA_BAD_BYTE + byte) and is written back as
 * that byte, so text in other encodings passes through unchanged.
 */
#include "text/jinja/jinja.h"

#include <string.h>
#include <utf8proc.h>

#include "text/jinja/jinja_unicode_tables.h"

size_t
llm_jinja_decode(const char *bytes, size_t len, uint32_t *c)
{
	const unsigned char *s = (const unsigned char *) bytes;
	utf8proc_int32_t cp;
	utf8proc_ssize_t used;

	if (len == 0)
	{
		*c = 0;
		return 0;
	}
	if (s[0] < 0x80)
	{
		*c = s[0];
		return 1;
	}
	used = utf8proc_iterate(s, len > 4 ? 4 : (utf8proc_ssize_t) len, &cp);
	if (used <= 0)
	{
		*c = JINJA_BAD_BYTE + s[0];
		return 1;
	}
	*c = (uint32_t) cp;
	return (size_t) used;
}

/* the last character of text: the longest ending that decodes as a whole */
size_t
llm_jinja_decode_last(const char *bytes, size_t len, uint32_t *c)
{
	for (size_t n = 1; n <= 4 && n <= len; n++)
		if (((unsigned char) bytes[len - n] & 0xC0) != 0x80)
		{
			if (llm_jinja_decode(bytes + len - n, n, c) == n)
				return n;
			break;
		}
	if (len)
		*c = JINJA_BAD_BYTE + (unsigned char) bytes[len - 1];
	return len ? 1 : 0;
}

size_t
llm_jinja_count(LlmText text)
{
	size_t		n = 0;
	size_t		pos = 0;
	uint32_t	c;

	while (pos < text.len)
	{
		pos += llm_jinja_decode(text.bytes + pos, text.len - pos, &c);
		n++;
	}
	return n;
}

size_t
llm_jinja_offset(LlmText text, size_t n)
{
	size_t		pos = 0;
	uint32_t	c;

	while (n-- > 0 && pos < text.len)
		pos += llm_jinja_decode(text.bytes + pos, text.len - pos, &c);
	return pos;
}

int
llm_jinja_encode(uint32_t c, char *bytes)
{
	if (c >= JINJA_BAD_BYTE)
	{
		bytes[0] = (char) (c - JINJA_BAD_BYTE);
		return 1;
	}
	if (c >= 0xD800 && c < 0xE000)
		c = 0xFFFD;
	return (int) utf8proc_encode_char((utf8proc_int32_t) c, (utf8proc_uint8_t *) bytes);
}

static bool
in_ranges(const Range *ranges, size_t n, uint32_t c)
{
	size_t		low = 0;
	size_t		high = n;

	while (low < high)
	{
		size_t		mid = low + (high - low) / 2;

		if (c > ranges[mid].last)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n && c >= ranges[low].first;
}

#define IN_RANGES(table, c) in_ranges((table), sizeof(table) / sizeof((table)[0]), (c))

static utf8proc_category_t
category(uint32_t c)
{
	return c >= JINJA_BAD_BYTE ? UTF8PROC_CATEGORY_CN : utf8proc_category((utf8proc_int32_t) c);
}

bool
llm_jinja_is_space(uint32_t c)
{
	return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
		(c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool
llm_jinja_is_line_end(uint32_t c)
{
	return (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

bool
llm_jinja_is_alpha(uint32_t c)
{
	utf8proc_category_t k = category(c);

	return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

bool
llm_jinja_is_decimal(uint32_t c)
{
	return category(c) == UTF8PROC_CATEGORY_ND;
}

bool
llm_jinja_is_digit(uint32_t c)
{
	return llm_jinja_is_decimal(c) || IN_RANGES(extra_digits, c);
}

bool
llm_jinja_is_numeric(uint32_t c)
{
	utf8proc_category_t k = category(c);

	return k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO || IN_RANGES(extra_numerics, c);
}

bool
llm_jinja_is_printable(uint32_t c)
{
	switch (category(c))
	{
		case UTF8PROC_CATEGORY_CN:
		case UTF8PROC_CATEGORY_CC:
		case UTF8PROC_CATEGORY_CF:
		case UTF8PROC_CATEGORY_CS:
		case UTF8PROC_CATEGORY_CO:
		case UTF8PROC_CATEGORY_ZL:
		case UTF8PROC_CATEGORY_ZP:
			return false;
		case UTF8PROC_CATEGORY_ZS:
			return c == ' ';
		default:
			return true;
	}
}

bool
llm_jinja_is_lower(uint32_t c)
{
	return category(c) == UTF8PROC_CATEGORY_LL || IN_RANGES(other_lower, c);
}

bool
llm_jinja_is_upper(uint32_t c)
{
	return category(c) == UTF8PROC_CATEGORY_LU || IN_RANGES(other_upper, c);
}

bool
llm_jinja_is_title(uint32_t c)
{
	return category(c) == UTF8PROC_CATEGORY_LT;
}

static bool
is_cased(uint32_t c)
{
	return llm_jinja_is_lower(c) || llm_jinja_is_upper(c) || llm_jinja_is_title(c);
}

static const SpecialCase *
special_case(uint32_t c)
{
	size_t		low = 0;
	size_t		high = sizeof(special_cases) / sizeof(special_cases[0]);

	while (low < high)
	{
		size_t		mid = low + (high - low) / 2;

		if (special_cases[mid].c < c)
			low = mid + 1;
		else
			high = mid;
	}
	return low < sizeof(special_cases) / sizeof(special_cases[0]) && special_cases[low].c == c ? &special_cases[low] : NULL;
}

static int
copy_special(const uint32_t from[3], uint32_t out[3])
{
	int			n = 0;

	while (n < 3 && from[n])
	{
		out[n] = from[n];
		n++;
	}
	return n;
}

static int
to_upper(uint32_t c, uint32_t out[3])
{
	const SpecialCase *special = c < 0x80 ? NULL : special_case(c);

	if (special)
		return copy_special(special->upper, out);
	out[0] = c >= JINJA_BAD_BYTE ? c : (uint32_t) utf8proc_toupper((utf8proc_int32_t) c);
	return 1;
}

static int
to_title(uint32_t c, uint32_t out[3])
{
	const SpecialCase *special = c < 0x80 ? NULL : special_case(c);

	if (special)
		return copy_special(special->title, out);
	out[0] = c >= JINJA_BAD_BYTE ? c : (uint32_t) utf8proc_totitle((utf8proc_int32_t) c);
	return 1;
}

static int
to_lower(uint32_t c, uint32_t out[3])
{
	if (c == 0x130)
	{
		out[0] = 'i';
		out[1] = 0x307;
		return 2;
	}
	out[0] = c >= JINJA_BAD_BYTE ? c : (uint32_t) utf8proc_tolower((utf8proc_int32_t) c);
	return 1;
}

static int
to_fold(uint32_t c, uint32_t out[3])
{
	utf8proc_int32_t folded[8];
	int			boundary = 0;
	utf8proc_ssize_t n;

	out[0] = c;
	if (c >= JINJA_BAD_BYTE)
		return 1;
	n = utf8proc_decompose_char((utf8proc_int32_t) c, folded, 8, UTF8PROC_CASEFOLD, &boundary);
	if (n < 1 || n > 3)
		return 1;
	for (int i = 0; i < n; i++)
		out[i] = (uint32_t) folded[i];
	return (int) n;
}

/* characters that do not matter for what stands around a sigma: Case_Ignorable */
static bool
is_case_ignorable(uint32_t c)
{
	utf8proc_category_t k = category(c);

	return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_ME || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_LM ||
		k == UTF8PROC_CATEGORY_SK || c == '\'' || c == '.' || c == ':' || c == 0xB7 || c == 0x387 || c == 0x55F ||
		c == 0x5F4 || c == 0x2018 || c == 0x2019 || c == 0x2024 || c == 0x2027 || c == 0xFE13 || c == 0xFE52 ||
		c == 0xFE55 || c == 0xFF07 || c == 0xFF0E || c == 0xFF1A;
}

/* is the capital sigma at pos (2 bytes) the end of a word, so that its lower case is the final form? */
static bool
is_final_sigma(LlmText text, size_t pos)
{
	size_t		p = pos;
	uint32_t	c = 0;
	bool		before = false;

	while (p > 0)
	{
		p -= llm_jinja_decode_last(text.bytes, p, &c);
		if (!is_case_ignorable(c))
		{
			before = is_cased(c);
			break;
		}
	}
	if (!before)
		return false;
	p = pos + 2;
	while (p < text.len)
	{
		p += llm_jinja_decode(text.bytes + p, text.len - p, &c);
		if (!is_case_ignorable(c))
			return !is_cased(c);
	}
	return true;
}

/* put text in another case; every character made keeps the origin of the one it came from */
LlmStatus
llm_jinja_put_case(Jinja *j, LlmText text, JinjaCase to)
{
	size_t		pos = 0;
	bool		previous_cased = false;

	LLM_TRY(llm_jinja_step(j, text.len / 16));
	while (pos < text.len)
	{
		uint32_t	c;
		uint32_t	made[3];
		int			n = 1;
		size_t		used = llm_jinja_decode(text.bytes + pos, text.len - pos, &c);
		JinjaCase	one = to;

		if (to == JINJA_CASE_CAPITALIZE)
			one = pos == 0 ? JINJA_CASE_TITLE : JINJA_CASE_LOWER;
		else if (to == JINJA_CASE_TITLE)
			one = previous_cased ? JINJA_CASE_LOWER : JINJA_CASE_TITLE;
		else if (to == JINJA_CASE_SWAP)
			one = llm_jinja_is_upper(c) ? JINJA_CASE_LOWER : JINJA_CASE_UPPER;
		previous_cased = to == JINJA_CASE_TITLE && is_cased(c);
		if (to == JINJA_CASE_SWAP && !llm_jinja_is_upper(c) && !llm_jinja_is_lower(c))
			made[0] = c;
		else if (one == JINJA_CASE_UPPER)
			n = to_upper(c, made);
		else if (one == JINJA_CASE_TITLE)
			n = to_title(c, made);
		else if (one == JINJA_CASE_FOLD)
			n = to_fold(c, made);
		else if (c == 0x3A3)
			made[0] = is_final_sigma(text, pos) ? 0x3C2 : 0x3C3;
		else
			n = to_lower(c, made);
		for (int i = 0; i < n; i++)
			LLM_TRY(llm_jinja_put_char(j, made[i], text.from_data && text.from_data[pos]));
		pos += used;
	}
	return LLM_OK;
}

static bool
is_stripped(uint32_t c, const LlmText *chars)
{
	size_t		pos = 0;
	uint32_t	other;

	if (!chars)
		return llm_jinja_is_space(c);
	while (pos < chars->len)
	{
		pos += llm_jinja_decode(chars->bytes + pos, chars->len - pos, &other);
		if (other == c)
			return true;
	}
	return false;
}

LlmText
llm_jinja_strip(LlmText text, const LlmText *chars, bool left, bool right)
{
	size_t		start = 0;
	size_t		end = text.len;
	uint32_t	c = 0;

	while (left && start < end)
	{
		size_t		used = llm_jinja_decode(text.bytes + start, end - start, &c);

		if (!is_stripped(c, chars))
			break;
		start += used;
	}
	while (right && end > start)
	{
		size_t		used = llm_jinja_decode_last(text.bytes + start, end - start, &c);

		if (!is_stripped(c, chars))
			break;
		end -= used;
	}
	return llm_jinja_sub(text, start, end);
}

size_t
llm_jinja_find(LlmText text, LlmText needle, size_t from)
{
	const char *found;

	if (from > text.len)
		return SIZE_MAX;
	if (needle.len == 0)
		return from;
	found = memmem(text.bytes + from, text.len - from, needle.bytes, needle.len);
	return found ? (size_t) (found - text.bytes) : SIZE_MAX;
}

/* comparing from every place can be quadratic, so it is counted */
LlmStatus
llm_jinja_find_last(Jinja *j, LlmText text, LlmText needle, size_t end, size_t *out)
{
	*out = SIZE_MAX;
	if (needle.len > end)
		return LLM_OK;
	for (size_t pos = end - needle.len + 1; pos-- > 0;)
	{
		size_t		n = 0;

		while (n < needle.len && text.bytes[pos + n] == needle.bytes[n])
			n++;
		if (n == needle.len)
		{
			*out = pos;
			return LLM_OK;
		}
		if (n >= 64 || pos % 64 == 0)
			LLM_TRY(llm_jinja_step(j, 1 + n / 64));
	}
	return LLM_OK;
}
