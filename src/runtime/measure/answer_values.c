/*
 * answer_values.c: numbers and dates, by their characters.
 *
 * A number's form has no sign unless negative, no zeros at its beginning or behind the decimals, no groups: "-$1,200.50" is
 * "-1200.5". A date's form is year-month-day. A date of three numbers counts only if it can be read in one way.
 */
#include "measure/answer_values.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool
digit_at(LlmStr s, size_t at)
{
	return at < s.len && s.data[at] >= '0' && s.data[at] <= '9';
}

static bool
letter_at(LlmStr s, size_t at)
{
	return at < s.len && ((uint8_t) s.data[at] >= 0x80 || ((s.data[at] | 0x20) >= 'a' && (s.data[at] | 0x20) <= 'z'));
}

static bool
starts_with(LlmStr s, size_t at, const char *what)
{
	size_t		len = strlen(what);

	return at <= s.len && s.len - at >= len && memcmp(s.data + at, what, len) == 0;
}

/* ---- numbers ---- */

static const char *const minus_signs[] = {"-", "\xE2\x88\x92", NULL};	/* also U+2212 */
static const char *const currencies[] = {"$", "\xE2\x82\xAC", "\xC2\xA3", "\xC2\xA5", NULL};

/* at, or behind the one that begins there */
static size_t
skip_one(LlmStr s, size_t at, const char *const *of)
{
	for (int i = 0; of[i]; i++)
		if (starts_with(s, at, of[i]))
			return at + strlen(of[i]);
	return at;
}

/* digits of a whole number at `at`, with or without groups; where they end */
static size_t
whole_digits(LlmStr s, size_t at, LlmBuf *digits, LlmStatus *status, LlmError *err)
{
	size_t		begin = at;

	while (digit_at(s, at))
		at++;
	*status = llm_buf_append(digits, s.data + begin, at - begin, err);
	while (*status == LLM_OK && at > begin && at - begin <= 3 && at < s.len && s.data[at] == ',' && digit_at(s, at + 1) &&
		   digit_at(s, at + 2) && digit_at(s, at + 3) && !digit_at(s, at + 4))
	{
		*status = llm_buf_append(digits, s.data + at + 1, 3, err);
		begin = at + 1;
		at += 4;
	}
	return at;
}

/* cut the zeros at the beginning of digits; what is left is at least one digit */
static void
cut_zeros(LlmBuf *form, size_t begin)
{
	size_t		n = 0;

	while (begin + n + 1 < form->len && form->data[begin + n] == '0' && form->data[begin + n + 1] != '.')
		n++;
	memmove(form->data + begin, form->data + begin + n, form->len - begin - n);
	form->len -= n;
}

/* decimals behind the whole part; where they end */
static size_t
decimals(LlmStr s, size_t at, LlmBuf *form, LlmStatus *status, LlmError *err)
{
	size_t		begin = at;
	size_t		last = at;

	if (!(at < s.len && s.data[at] == '.' && digit_at(s, at + 1)))
		return at;
	for (at++; digit_at(s, at); at++)
		if (s.data[at] != '0')
			last = at + 1;
	*status = last > begin ? llm_buf_append(form, s.data + begin, last - begin, err) : LLM_OK;
	return at;
}

bool
llm_answer_number(LlmStr text, size_t at, size_t *end, LlmBuf *form, LlmStatus *status, LlmError *err)
{
	const size_t begin = form->len;
	size_t		sign = skip_one(text, at, minus_signs);
	size_t		s = skip_one(text, sign, currencies);
	bool		negative = sign > at;
	size_t		digits;

	*status = LLM_OK;
	if (!negative && s > at)
	{
		sign = skip_one(text, s, minus_signs);
		negative = sign > s;
		s = sign;
	}
	if (!digit_at(text, s) && !(s < text.len && text.data[s] == '.' && digit_at(text, s + 1)))
		return false;
	if (negative)
		*status = llm_buf_append(form, "-", 1, err);
	digits = form->len;
	if (*status == LLM_OK && !digit_at(text, s))
		*status = llm_buf_append(form, "0", 1, err);
	else if (*status == LLM_OK)
		s = whole_digits(text, s, form, status, err);
	if (*status == LLM_OK)
	{
		cut_zeros(form, digits);
		s = decimals(text, s, form, status, err);
	}
	if (*status == LLM_OK && s < text.len && text.data[s] == '/' && digit_at(text, s + 1))
	{
		size_t		below;

		*status = llm_buf_append(form, "/", 1, err);
		below = form->len;
		if (*status == LLM_OK)
			s = whole_digits(text, s + 1, form, status, err);
		if (*status == LLM_OK)
			cut_zeros(form, below);
	}
	if (*status == LLM_OK && negative && form->len == digits + 1 && form->data[digits] == '0')
	{
		form->data[begin] = '0';
		form->len = begin + 1;
	}
	*end = s;
	return true;
}

/* ---- dates ---- */

/* up to max_digits digits as a number; -1 if there are none or more */
static int
small_number(LlmStr s, size_t *at, int max_digits)
{
	size_t		begin = *at;
	int			value = 0;

	while (digit_at(s, *at) && *at - begin <= (size_t) max_digits)
		value = value * 10 + (s.data[(*at)++] - '0');
	return *at == begin || *at - begin > (size_t) max_digits ? -1 : value;
}

/* the month whose English name, or its first letters, is the word at *at; 0: none */
static int
month_name(LlmStr s, size_t *at)
{
	static const char *const names[] = {"january", "february", "march", "april", "may", "june", "july", "august", "september",
		"october", "november", "december"};
	size_t		n = 0;

	while (letter_at(s, *at + n))
		n++;
	for (int m = 0; m < 12 && n >= 3; m++)
		if (n <= strlen(names[m]) && (n == 3 || n == strlen(names[m]) || (m == 8 && n == 4)) &&
			strncasecmp(s.data + *at, names[m], n) == 0)
		{
			*at += n;
			if (n <= 4 && *at < s.len && s.data[*at] == '.')
				(*at)++;
			return m + 1;
		}
	return 0;
}

static void
skip_spaces(LlmStr s, size_t *at)
{
	while (*at < s.len && (s.data[*at] == ' ' || s.data[*at] == ','))
		(*at)++;
}

static void
skip_ordinal(LlmStr s, size_t *at)
{
	if (letter_at(s, *at) && letter_at(s, *at + 1) && !letter_at(s, *at + 2) &&
		(starts_with(s, *at, "st") || starts_with(s, *at, "nd") || starts_with(s, *at, "rd") || starts_with(s, *at, "th")))
		*at += 2;
}

/* three numbers with one mark between them: year first, or day and month that cannot be mistaken */
static bool
numeric_date(LlmStr s, size_t *at, int *year, int *month, int *day)
{
	int			part[3];
	char		mark = 0;

	for (int i = 0; i < 3; i++)
	{
		if (i > 0)
		{
			if (*at >= s.len || (s.data[*at] != '-' && s.data[*at] != '/' && s.data[*at] != '.') || (i == 2 && s.data[*at] != mark))
				return false;
			mark = s.data[(*at)++];
		}
		if ((part[i] = small_number(s, at, 4)) < 0)
			return false;
	}
	*year = part[0] > 31 ? part[0] : part[2];
	*month = part[1];
	*day = part[0] > 31 ? part[2] : part[0];
	if (part[0] > 31)
		return true;
	if (mark == '.')
		return part[2] > 31;
	if (part[1] > 12)
	{
		*month = part[0];
		*day = part[1];
	}
	return part[2] > 31 && (part[0] > 12 || part[1] > 12 || part[0] == part[1]);
}

/* "2 May 2024", "2nd of May, 2024", "May 2, 2024" */
static bool
named_date(LlmStr s, size_t *at, int *year, int *month, int *day)
{
	*day = -1;
	if (digit_at(s, *at))
	{
		*day = small_number(s, at, 2);
		skip_ordinal(s, at);
		skip_spaces(s, at);
		if (starts_with(s, *at, "of "))
			*at += 3;
	}
	*month = month_name(s, at);
	if (*month == 0)
		return false;
	skip_spaces(s, at);
	if (*day < 0)
	{
		*day = small_number(s, at, 2);
		skip_ordinal(s, at);
		skip_spaces(s, at);
	}
	*year = small_number(s, at, 4);
	return true;
}

bool
llm_answer_date(LlmStr text, size_t at, size_t *end, LlmBuf *form, LlmStatus *status, LlmError *err)
{
	static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	char		iso[40];
	size_t		s = at;
	int			year;
	int			month;
	int			day;

	*status = LLM_OK;
	if (!numeric_date(text, &s, &year, &month, &day))
	{
		s = at;
		if (!named_date(text, &s, &year, &month, &day))
			return false;
	}
	if (year < 1 || month < 1 || month > 12 || day < 1 || day > days[month - 1] ||
		(month == 2 && day == 29 && (year % 4 != 0 || (year % 100 == 0 && year % 400 != 0))) || digit_at(text, s))
		return false;
	snprintf(iso, sizeof iso, "%04d-%02d-%02d", year, month, day);
	*status = llm_buf_append(form, iso, strlen(iso), err);
	*end = s;
	return true;
}
