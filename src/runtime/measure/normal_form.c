/*
 * normal_form.c: normal forms, character by character.
 *
 * Source of the rules: AllenNLP, drop_eval.py (Dua et al. 2019, arXiv 1903.00161).
 */
#include "measure/normal_form.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "text/unicode_class.h"
#include "text/utf8.h"

#define MAX_FLOAT_CHARS 400		/* more digits than these are cut: they change no double */

int
llm_normal_char(const char *s, size_t len, uint32_t *c)
{
	int			n = llm_utf8_char((const uint8_t *) s, len, c);

	if (n > 0)
		return n;
	*c = 0xFFFD;
	return 1;
}

bool
llm_normal_is_space(uint32_t c)
{
	if (c < 0x80)
		return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20);
	if (c == 0x85)
		return true;
	switch (llm_unicode_class(c))
	{
		case LLM_CLASS_ZS:
		case LLM_CLASS_ZL:
		case LLM_CLASS_ZP:
			return true;
		default:
			return false;
	}
}

/* str.isalnum() or an underscore: what \w is to Python */
static bool
is_word(uint32_t c)
{
	uint8_t		k;

	if (c < 0x80)
		return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
	k = llm_unicode_class(c);
	return (k >= LLM_CLASS_LU && k <= LLM_CLASS_LO) || (k >= LLM_CLASS_ND && k <= LLM_CLASS_NO) || k == LLM_CLASS_LONG_S;
}

static bool
is_ascii_punctuation(uint32_t c)
{
	return c > ' ' && c < 0x7F && !(c >= '0' && c <= '9') && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* append c in lower case, as str.lower() has it (the end form of sigma aside) */
static LlmStatus
append_lower(uint32_t c, LlmBuf *out, LlmError *err)
{
	utf8proc_uint8_t utf8[4];

	if (c == 0x130)				/* the only letter with two in lower case */
		return llm_buf_append(out, "i\xCC\x87", 3, err);
	return llm_buf_append(out, utf8, (size_t) utf8proc_encode_char(utf8proc_tolower((utf8proc_int32_t) c), utf8), err);
}

/* ---- numbers ---- */

/* value of a decimal digit of any script, or -1 */
static int
decimal_digit(uint32_t c)
{
	uint32_t	first = c;

	if (c < 0x80)
		return c >= '0' && c <= '9' ? (int) (c - '0') : -1;
	if (llm_unicode_class(c) != LLM_CLASS_ND)
		return -1;
	if (c >= 0x1D7CE && c <= 0x1D7FF)	/* five alphabets of digits without a gap */
		return (int) ((c - 0x1D7CE) % 10);
	while (c - first < 10 && llm_unicode_class(first - 1) == LLM_CLASS_ND)
		first--;
	return (int) ((c - first) % 10);
}

/* text without white space around it, all digits as ASCII, into ascii (size, terminated); false if there are other characters */
static bool
to_ascii(LlmStr text, char *ascii, size_t size)
{
	size_t		n = 0;
	size_t		end = 0;
	uint32_t	c;

	for (size_t at = 0; at < text.len;)
	{
		int			digit;
		bool		space;

		at += (size_t) llm_normal_char(text.data + at, text.len - at, &c);
		digit = decimal_digit(c);
		space = llm_normal_is_space(c);
		if (space && n == 0)
			continue;
		if (!space && end < n)
			return false;		/* white space in the middle */
		if (space)
		{
			n = end + 1;
			continue;
		}
		if (digit < 0 && (c >= 0x80 || c == 0))
			return false;
		if (n + 1 == size)
			return false;
		ascii[n++] = digit >= 0 ? (char) ('0' + digit) : (char) c;
		end = n;
	}
	ascii[end] = '\0';
	return end > 0;
}

/* digits with single underscores between them; where they end */
static const char *
skip_digits(const char *s, char **out)
{
	while ((*s >= '0' && *s <= '9') || (*s == '_' && s[-1] >= '0' && s[-1] <= '9' && s[1] >= '0' && s[1] <= '9'))
	{
		if (*s != '_')
			*(*out)++ = *s;
		s++;
	}
	return s;
}

static bool
equals_any(const char *s, const char *a, const char *b)
{
	size_t		i;

	for (i = 0; s[i] && i < 9; i++)
	{
		char		c = (char) (s[i] | 0x20);

		if ((!a || c != a[i]))
			a = NULL;
		if ((!b || c != b[i]))
			b = NULL;
		if (!a && !b)
			return false;
	}
	return s[i] == '\0' && i > 0 && ((a && a[i] == '\0') || (b && b[i] == '\0'));
}

bool
llm_normal_float(LlmStr text, double *value)
{
	char		ascii[MAX_FLOAT_CHARS + 2];
	char		plain[MAX_FLOAT_CHARS + 2];
	char	   *to = plain;
	const char *s = ascii + 1;
	const char *digits;
	bool		any;

	ascii[0] = ' ';
	if (!to_ascii(text, ascii + 1, sizeof ascii - 1))
		return false;
	if (*s == '+' || *s == '-')
		*to++ = *s++;
	if (equals_any(s, "inf", "infinity") || equals_any(s, "nan", NULL))
	{
		*value = (*s | 0x20) == 'n' ? NAN : plain[0] == '-' && to > plain ? -INFINITY : INFINITY;
		return true;
	}
	digits = s;
	s = skip_digits(s, &to);
	any = s > digits;
	if (*s == '.')
	{
		*to++ = *s++;
		digits = s;
		s = skip_digits(s, &to);
		any = any || s > digits;
	}
	if (any && (*s | 0x20) == 'e')
	{
		*to++ = *s++;
		if (*s == '+' || *s == '-')
			*to++ = *s++;
		digits = s;
		s = skip_digits(s, &to);
		any = s > digits;
	}
	*to = '\0';
	if (!any || *s != '\0')
		return false;
	*value = strtod(plain, NULL);
	return true;
}

/* as Python's str(float) writes it: the shortest digits that give it again */
static LlmStatus
append_float(double value, LlmBuf *out, LlmError *err)
{
	char		text[64];
	char		digits[32];
	int			exponent;
	int			precision = 0;
	int			n;

	if (isnan(value) || isinf(value))
		return llm_buf_append(out, isnan(value) ? "nan" : value < 0 ? "-inf" : "inf", isinf(value) && value < 0 ? 4 : 3, err);
	do
		snprintf(digits, sizeof digits, "%.*e", precision, value);
	while (strtod(digits, NULL) != value && ++precision < DBL_DECIMAL_DIG);
	exponent = atoi(strchr(digits, 'e') + 1);
	if (exponent >= -4 && exponent < 16)
	{
		n = snprintf(text, sizeof text, "%.*f", precision > exponent ? precision - exponent : 0, value);
		if (precision <= exponent)
			n += snprintf(text + n, sizeof text - (size_t) n, ".0");
	}
	else
		n = snprintf(text, sizeof text, "%s", digits);
	return llm_buf_append(out, text, (size_t) n, err);
}

/* ---- spans ---- */

static bool
is_article(const char *word, size_t len)
{
	return (len == 1 && word[0] == 'a') || (len == 2 && memcmp(word, "an", 2) == 0) || (len == 3 && memcmp(word, "the", 3) == 0);
}

/* append a piece without articles, its white space collapsed; a word is what has no boundary (\b) in it */
static LlmStatus
append_without_articles(LlmStr piece, LlmBuf *out, size_t begin, LlmError *err)
{
	bool		space = out->len > begin;
	size_t		at = 0;

	while (at < piece.len)
	{
		size_t		end = at;
		uint32_t	c;
		int			n = llm_normal_char(piece.data + at, piece.len - at, &c);

		if (llm_normal_is_space(c))
		{
			space = out->len > begin;
			at += (size_t) n;
			continue;
		}
		if (is_word(c))
		{
			while (end < piece.len && is_word(c))
			{
				end += (size_t) n;
				n = end < piece.len ? llm_normal_char(piece.data + end, piece.len - end, &c) : 0;
			}
			if (is_article(piece.data + at, end - at))
			{
				space = out->len > begin;
				at = end;
				continue;
			}
		}
		else
			end = at + (size_t) n;
		if (space)
			LLM_TRY(llm_buf_append(out, " ", 1, err));
		space = false;
		LLM_TRY(llm_buf_append(out, piece.data + at, end - at, err));
		at = end;
	}
	return LLM_OK;
}

/* one piece of a span; piece and scratch are buffers to work in */
static LlmStatus
append_piece(LlmStr text, LlmBuf *piece, LlmBuf *scratch, LlmBuf *out, size_t begin, LlmError *err)
{
	LlmStr		rest;
	double		value;
	uint32_t	c;

	piece->len = scratch->len = 0;
	for (size_t at = 0; at < text.len;)
	{
		int			n = llm_normal_char(text.data + at, text.len - at, &c);

		if (c == 0xFFFD)
			LLM_TRY(llm_buf_append(piece, text.data + at, (size_t) n, err));
		else
			LLM_TRY(append_lower(c, piece, err));
		at += (size_t) n;
	}
	rest = (LlmStr) {piece->data, piece->len};
	if (!llm_normal_float(rest, &value))
	{
		for (size_t i = 0; i < piece->len; i++)
			if (!is_ascii_punctuation((uint8_t) piece->data[i]))
				LLM_TRY(llm_buf_append(scratch, piece->data + i, 1, err));
		rest = (LlmStr) {scratch->data, scratch->len};
	}
	if (llm_normal_float(rest, &value))
	{
		scratch->len = 0;
		LLM_TRY(append_float(value, scratch, err));
		rest = (LlmStr) {scratch->data, scratch->len};
	}
	return append_without_articles(rest, out, begin, err);
}

LlmStatus
llm_normal_span(LlmStr span, LlmBuf *out, LlmError *err)
{
	const size_t begin = out->len;
	LlmBuf		piece;
	LlmBuf		scratch;
	LlmStatus	status = LLM_OK;

	llm_buf_init(&piece, out->allocator);
	llm_buf_init(&scratch, out->allocator);
	for (size_t at = 0; at < span.len && status == LLM_OK; at++)
	{
		size_t		end = at;

		while (end < span.len && span.data[end] != ' ' && span.data[end] != '-')
			end++;
		if (end > at)
			status = append_piece((LlmStr) {span.data + at, end - at}, &piece, &scratch, out, begin, err);
		at = end;
	}
	llm_buf_free(&piece);
	llm_buf_free(&scratch);
	return status;
}

LlmStatus
llm_normal_words(LlmStr text, bool lower, LlmBuf *out, LlmError *err)
{
	bool		in_word = false;
	uint32_t	c;

	LLM_TRY(llm_buf_append(out, " ", 1, err));
	for (size_t at = 0; at < text.len;)
	{
		int			n = llm_normal_char(text.data + at, text.len - at, &c);

		if (is_word(c) && c != '_')
		{
			in_word = true;
			if (lower)
				LLM_TRY(append_lower(c, out, err));
			else
				LLM_TRY(llm_buf_append(out, text.data + at, (size_t) n, err));
		}
		else if (in_word)
		{
			in_word = false;
			LLM_TRY(llm_buf_append(out, " ", 1, err));
		}
		at += (size_t) n;
	}
	return in_word ? llm_buf_append(out, " ", 1, err) : LLM_OK;
}
