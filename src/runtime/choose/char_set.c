/*
 * char_set.c: ranges of code points, and Unicode properties from our table of general categories.
 */
#include "choose/char_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "text/unicode_class.h"

LlmStatus
llm_char_set_add(LlmCompile *cx, LlmCharSet *set, uint32_t first, uint32_t last)
{
	LlmCharRange r = {first, last};

	if (first > last)
		return LLM_OK;
	return llm_vec_push(cx, &set->ranges, &r, sizeof(r));
}

LlmStatus
llm_char_set_add_set(LlmCompile *cx, LlmCharSet *set, const LlmCharSet *other)
{
	const LlmCharRange *r = other->ranges.data;

	for (size_t i = 0; i < other->ranges.n; i++)
		LLM_TRY(llm_char_set_add(cx, set, r[i].first, r[i].last));
	return LLM_OK;
}

static int
compare_ranges(const void *a, const void *b)
{
	const LlmCharRange *x = a;
	const LlmCharRange *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

/* add, leaving out surrogates, which UTF-8 cannot hold */
static LlmStatus
add_scalar(LlmCompile *cx, LlmCharSet *set, uint32_t first, uint32_t last)
{
	if (first < 0xD800)
		LLM_TRY(llm_char_set_add(cx, set, first, last < 0xD800 ? last : 0xD7FF));
	if (last > 0xDFFF)
		LLM_TRY(llm_char_set_add(cx, set, first > 0xDFFF ? first : 0xE000, last));
	return LLM_OK;
}

LlmStatus
llm_char_set_normalize(LlmCompile *cx, LlmCharSet *set)
{
	LlmCharSet	to = {0};
	LlmCharRange *r = set->ranges.data;
	size_t		n = set->ranges.n;

	LLM_TRY(llm_compile_steps(cx, n));
	if (n > 0)
		qsort(r, n, sizeof(*r), compare_ranges);
	for (size_t i = 0; i < n;)
	{
		uint32_t	first = r[i].first;
		uint32_t	last = r[i].last;

		for (i++; i < n && r[i].first <= last + 1; i++)
			last = r[i].last > last ? r[i].last : last;
		LLM_TRY(add_scalar(cx, &to, first, last));
	}
	*set = to;
	return LLM_OK;
}

LlmStatus
llm_char_set_complement(LlmCompile *cx, LlmCharSet *set)
{
	LlmCharSet	to = {0};
	const LlmCharRange *r = set->ranges.data;
	uint32_t	from = 0;

	for (size_t i = 0; i < set->ranges.n; i++)
	{
		if (r[i].first > from)
			LLM_TRY(add_scalar(cx, &to, from, r[i].first - 1));
		from = r[i].last + 1;
	}
	if (from <= LLM_MAX_CHAR)
		LLM_TRY(add_scalar(cx, &to, from, LLM_MAX_CHAR));
	*set = to;
	return LLM_OK;
}

bool
llm_char_set_has(const LlmCharSet *set, uint32_t c)
{
	return llm_char_ranges_have(set->ranges.data, set->ranges.n, c);
}

/* ---- properties ---- */

/* general categories in the order of LlmClass */
static const char *const short_name[] = {"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi",
"Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn"};

static const struct
{
	const char *name;
	const char *members;		/* short names; one letter takes all that begin with it */
}			long_name[] = {
	{"Uppercase_Letter", "Lu"}, {"Lowercase_Letter", "Ll"}, {"Titlecase_Letter", "Lt"}, {"Cased_Letter", "Lu Ll Lt"}, {"LC", "Lu Ll Lt"},
	{"Modifier_Letter", "Lm"}, {"Other_Letter", "Lo"}, {"Letter", "L"}, {"Nonspacing_Mark", "Mn"}, {"Spacing_Mark", "Mc"},
	{"Enclosing_Mark", "Me"}, {"Mark", "M"}, {"Combining_Mark", "M"}, {"Decimal_Number", "Nd"}, {"digit", "Nd"}, {"Letter_Number", "Nl"},
	{"Other_Number", "No"}, {"Number", "N"}, {"Connector_Punctuation", "Pc"}, {"Dash_Punctuation", "Pd"}, {"Open_Punctuation", "Ps"},
	{"Close_Punctuation", "Pe"}, {"Initial_Punctuation", "Pi"}, {"Final_Punctuation", "Pf"}, {"Other_Punctuation", "Po"},
	{"Punctuation", "P"}, {"punct", "P"}, {"Math_Symbol", "Sm"}, {"Currency_Symbol", "Sc"}, {"Modifier_Symbol", "Sk"},
	{"Other_Symbol", "So"}, {"Symbol", "S"}, {"Space_Separator", "Zs"}, {"Line_Separator", "Zl"}, {"Paragraph_Separator", "Zp"},
	{"Separator", "Z"}, {"Control", "Cc"}, {"cntrl", "Cc"}, {"Format", "Cf"}, {"Private_Use", "Co"}, {"Unassigned", "Cn"}, {"Other", "C"},
	{"L", "L"}, {"M", "M"}, {"N", "N"}, {"P", "P"}, {"S", "S"}, {"Z", "Z"}, {"C", "C"}, {"Assigned", "L M N P S Z Cc Cf Co"},
};

static const char ascii_category[] =
	"Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc Cc "
	"Zs Po Po Po Sc Po Po Po Ps Pe Po Sm Po Pd Po Po Nd Nd Nd Nd Nd Nd Nd Nd Nd Nd Po Po Sm Sm Sm Po "
	"Po Lu Lu Lu Lu Lu Lu Lu Lu Lu Lu Lu Lu Lu Lu Lu Lu Lu Lu Lu Lu Lu Lu Lu Lu Lu Lu Ps Po Pe Sk Pc "
	"Sk Ll Ll Ll Ll Ll Ll Ll Ll Ll Ll Ll Ll Ll Ll Ll Ll Ll Ll Ll Ll Ll Ll Ll Ll Ll Ll Ps Sm Pe Sm Cc";

static const char *
category_of(uint32_t c)
{
	uint8_t		cls;

	if (c < 0x80)
		return ascii_category + 3 * c;
	cls = llm_unicode_class(c);
	if (cls < LLM_CLASS_NEXT_LINE)
		return short_name[cls - LLM_CLASS_LU];
	return cls == LLM_CLASS_NEXT_LINE ? "Cc" : cls == LLM_CLASS_LONG_S ? "Ll" : "Cn";
}

static bool
is_member(const char *category, const char *members)
{
	for (const char *m = members; *m; m += m[1] && m[1] != ' ' ? 2 : 1)
	{
		while (*m == ' ')
			m++;
		if (m[0] == category[0] && (!m[1] || m[1] == ' ' || m[1] == category[1]))
			return true;
	}
	return false;
}

static LlmStatus
add_categories(LlmCompile *cx, LlmCharSet *set, const char *members)
{
	uint32_t	first = 0;
	bool		inside = false;

	LLM_TRY(llm_compile_steps(cx, (LLM_MAX_CHAR + 1) / 32));
	for (uint32_t c = 0; c <= LLM_MAX_CHAR + 1; c++)
	{
		bool		now = c <= LLM_MAX_CHAR && is_member(category_of(c), members);

		if (now && !inside)
			first = c;
		else if (!now && inside)
			LLM_TRY(llm_char_set_add(cx, set, first, c - 1));
		inside = now;
	}
	return LLM_OK;
}

LlmStatus
llm_char_set_add_property(LlmCompile *cx, LlmCharSet *set, LlmStr name, LlmStr value, bool *known)
{
	*known = true;
	if (value.len > 0)
	{
		if (!llm_str_equals(name, "General_Category") && !llm_str_equals(name, "gc"))
		{
			*known = false;
			return LLM_OK;
		}
		name = value;
	}
	else if (llm_str_equals(name, "Any"))
		return llm_char_set_add(cx, set, 0, LLM_MAX_CHAR);
	else if (llm_str_equals(name, "ASCII"))
		return llm_char_set_add(cx, set, 0, 0x7F);
	else if (llm_str_equals(name, "White_Space") || llm_str_equals(name, "space"))
	{
		LLM_TRY(llm_char_set_add(cx, set, 9, 13));
		LLM_TRY(llm_char_set_add(cx, set, 0x85, 0x85));
		return add_categories(cx, set, "Z");
	}
	for (size_t i = 0; i < sizeof(short_name) / sizeof(short_name[0]); i++)
	{
		if (llm_str_equals(name, short_name[i]))
			return add_categories(cx, set, short_name[i]);
	}
	for (size_t i = 0; i < sizeof(long_name) / sizeof(long_name[0]); i++)
	{
		if (llm_str_equals(name, long_name[i].name))
			return add_categories(cx, set, long_name[i].members);
	}
	*known = false;
	return LLM_OK;
}
