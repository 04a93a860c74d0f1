/*
 * class_regex_sets.c: what an expression says about single characters: literals, escapes, properties, brackets.
 */
#include "text/class_regex_impl.h"
#include "text/utf8.h"

#include <utf8proc.h>

#define FOLDED_RANGE 1000		/* larger ranges have their cases in themselves */

LlmStatus
llm_regex_bad_pattern(const LlmRegexParser *p, LlmStatus status, const char *reason, LlmError *err)
{
	llm_fail(err, status, "a regular expression of the tokenizer %s", reason);
	llm_error_detail(err, "At offset %zu of \"%.*s\".", p->pos, (int) (p->pattern.len < 300 ? p->pattern.len : 300), p->pattern.data);
	return status;
}

static void
add_categories(const LlmRegexParser *p, uint64_t categories, LlmClassSet *set)
{
	for (int b = 0; b < 256; b++)
		if (categories >> (p->r->category[b] - 0x80) & 1)
			llm_class_set_add(set, (uint8_t) b);
}

/* characters of a group; *group -1: it has no number yet */
static LlmStatus
add_range(LlmRegexParser *p, uint32_t first, uint32_t last, int *group, LlmClassSet *set, LlmError *err)
{
	for (uint32_t c = first; c <= last && c < 0x80; c++)
		llm_class_set_add(set, (uint8_t) c);
	if (last < 0x80)
		return LLM_OK;
	if (*group < 0)
	{
		if (p->n_groups == LLM_REGEX_MAX_GROUPS)
			return llm_regex_bad_pattern(p, LLM_E_LIMIT, "names too many sets of characters", err);
		*group = p->n_groups++;
	}
	if (p->collecting)
	{
		LlmRegexRange	range = {{first < 0x80 ? 0x80 : first, last}, *group};

		return llm_buf_append(&p->ranges, &range, sizeof(range), err);
	}
	for (int b = LLM_CLASS_MARK; b < 256; b++)
		if (p->r->byte_groups[b] >> *group & 1)
			llm_class_set_add(set, (uint8_t) b);
	return LLM_OK;
}

LlmStatus
llm_regex_add_char(LlmRegexParser *p, uint32_t c, int *group, LlmClassSet *set, LlmError *err)
{
	uint32_t	small;
	uint32_t	large;

	LLM_TRY(add_range(p, c, c, group, set, err));
	if (!p->ignore_case)
		return LLM_OK;
	small = (uint32_t) utf8proc_tolower((utf8proc_int32_t) c);
	large = (uint32_t) utf8proc_toupper((utf8proc_int32_t) c);
	if (small != c)
		LLM_TRY(add_range(p, small, small, group, set, err));
	if (large != c)
		LLM_TRY(add_range(p, large, large, group, set, err));
	if (small == 's')
		LLM_TRY(add_range(p, 0x17F, 0x17F, group, set, err));
	return small == 'k' ? add_range(p, 0x212A, 0x212A, group, set, err) : LLM_OK;
}

static LlmStatus
add_char_range(LlmRegexParser *p, uint32_t first, uint32_t last, int *group, LlmClassSet *set, LlmError *err)
{
	LLM_TRY(add_range(p, first, last, group, set, err));
	for (uint32_t c = first; p->ignore_case && c <= last && last - first <= FOLDED_RANGE; c++)
		LLM_TRY(llm_regex_add_char(p, c, group, set, err));
	return LLM_OK;
}

/* \w: in brackets Oniguruma does not count six digits and fractions of Latin-1 that count elsewhere */
LlmStatus
llm_regex_add_word(LlmRegexParser *p, bool in_brackets, LlmClassSet *set, LlmError *err)
{
	static const LlmCharRange symbols[] = {
		{0xB2, 0xB3}, {0xB9, 0xB9}, {0xBC, 0xBE}, {0x24B6, 0x24E9}, {0x1F130, 0x1F149}, {0x1F150, 0x1F169}, {0x1F170, 0x1F189}
	};
	int			group = -1;

	add_categories(p, llm_class_property((LlmStr) {"l", 1}) | llm_class_property((LlmStr) {"m", 1}) | LLM_CLASS_BIT(LLM_CLASS_ND) |
				   LLM_CLASS_BIT(LLM_CLASS_NL) | LLM_CLASS_BIT(LLM_CLASS_PC), set);
	for (size_t i = in_brackets ? 3 : 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)
		LLM_TRY(add_range(p, symbols[i].first, symbols[i].last, &group, set, err));
	return LLM_OK;
}

static void
add_space(const LlmRegexParser *p, LlmClassSet *set)
{
	for (uint8_t c = '\t'; c <= '\r'; c++)
		llm_class_set_add(set, c);
	add_categories(p, llm_class_property((LlmStr) {"z", 1}) | LLM_CLASS_BIT(LLM_CLASS_NEXT_LINE), set);
}

/* a property in braces, behind \p, \P or [: */
static LlmStatus
add_property(LlmRegexParser *p, LlmStr name, bool negated, LlmClassSet *set, LlmError *err)
{
	LlmClassSet own = {{0}};
	uint64_t	categories = llm_class_property(name);
	size_t		n = 0;
	const LlmCharRange *script = categories ? NULL : llm_class_script(name, &n);
	int			group = -1;

	if (categories)
		add_categories(p, categories, &own);
	else if (name.len == 5 && memcmp(name.data, "space", 5) == 0)
		add_space(p, &own);
	else if (name.len == 4 && memcmp(name.data, "word", 4) == 0)
		LLM_TRY(llm_regex_add_word(p, true, &own, err));
	else if (!script)
		return llm_regex_bad_pattern(p, LLM_E_UNSUPPORTED, "names a property that is not known", err);
	for (size_t i = 0; i < n; i++)
		LLM_TRY(add_range(p, script[i].first, script[i].last, &group, &own, err));
	if (negated)
		llm_regex_complement(&own);
	for (int i = 0; i < 4; i++)
		set->word[i] |= own.word[i];
	return LLM_OK;
}

static LlmStatus
read_hex(LlmRegexParser *p, int max_digits, uint32_t *c, LlmError *err)
{
	int			n = 0;

	*c = 0;
	for (; n < max_digits && !llm_regex_at_end(p); n++, p->pos++)
	{
		char		d = p->pattern.data[p->pos];
		int			value = d >= '0' && d <= '9' ? d - '0' : d >= 'a' && d <= 'f' ? d - 'a' + 10 : d >= 'A' && d <= 'F' ? d - 'A' + 10 : -1;

		if (value < 0)
			break;
		*c = *c << 4 | (uint32_t) value;
	}
	return n == 0 || *c > 0x10FFFF ? llm_regex_bad_pattern(p, LLM_E_FORMAT, "has a bad number of a character", err) : LLM_OK;
}

LlmStatus
llm_regex_read_plain_char(LlmRegexParser *p, uint32_t *c, LlmError *err)
{
	int			n = llm_utf8_char((const uint8_t *) p->pattern.data + p->pos, p->pattern.len - p->pos, c);

	if (n == 0)
		return llm_regex_bad_pattern(p, LLM_E_FORMAT, "is not UTF-8", err);
	p->pos += (size_t) n;
	return LLM_OK;
}

/* behind a backslash: one character into *c, or (*is_set) characters into set */
LlmStatus
llm_regex_read_escape(LlmRegexParser *p, bool in_brackets, uint32_t *c, bool *is_set, LlmClassSet *set, LlmError *err)
{
	char		e;
	LlmClassSet own = {{0}};
	bool		negated;

	if (llm_regex_at_end(p))
		return llm_regex_bad_pattern(p, LLM_E_FORMAT, "ends with a backslash", err);
	e = p->pattern.data[p->pos];
	negated = e >= 'A' && e <= 'Z';
	*is_set = true;
	if (e == 'p' || e == 'P')
	{
		const char *close;
		LlmStr		name;
		bool		caret;

		p->pos++;
		if (!llm_regex_accept(p, "{"))
			return llm_regex_bad_pattern(p, LLM_E_FORMAT, "has a property without braces", err);
		caret = llm_regex_accept(p, "^");
		name.data = p->pattern.data + p->pos;
		close = memchr(name.data, '}', p->pattern.len - p->pos);
		if (!close)
			return llm_regex_bad_pattern(p, LLM_E_FORMAT, "has a property without end", err);
		name.len = (size_t) (close - name.data);
		LLM_TRY(add_property(p, name, negated != caret, set, err));
		p->pos += name.len + 1;
		return LLM_OK;
	}
	if (strchr("dDsSwWhH", e))
	{
		p->pos++;
		if (e == 'd' || e == 'D')
			add_categories(p, LLM_CLASS_BIT(LLM_CLASS_ND), &own);
		else if (e == 's' || e == 'S')
			add_space(p, &own);
		else if (e == 'w' || e == 'W')
			LLM_TRY(llm_regex_add_word(p, in_brackets, &own, err));
		else
			for (const char *h = "0123456789abcdefABCDEF"; *h; h++)
				llm_class_set_add(&own, (uint8_t) *h);
		if (negated)
			llm_regex_complement(&own);
		for (int i = 0; i < 4; i++)
			set->word[i] |= own.word[i];
		return LLM_OK;
	}
	*is_set = false;
	if (e == 'x' || e == 'u')
	{
		bool		braces;

		p->pos++;
		braces = e == 'x' && llm_regex_accept(p, "{");
		LLM_TRY(read_hex(p, braces ? 8 : e == 'x' ? 2 : 4, c, err));
		return braces && !llm_regex_accept(p, "}") ? llm_regex_bad_pattern(p, LLM_E_FORMAT, "has a number of a character without end", err) : LLM_OK;
	}
	if ((e >= '0' && e <= '9') || (e >= 'A' && e <= 'Z') || (e >= 'a' && e <= 'z'))
	{
		static const char letters[] = "tnrfvae";
		static const char values[] = "\t\n\r\f\v\a\033";
		const char *at = strchr(letters, e);

		if (!at)
			return llm_regex_bad_pattern(p, LLM_E_UNSUPPORTED, "has an escape that is not supported", err);
		*c = (uint32_t) values[at - letters];
		p->pos++;
		return LLM_OK;
	}
	return llm_regex_read_plain_char(p, c, err);
}

/* one item in brackets, with the range that it may begin */
static LlmStatus
read_bracket_item(LlmRegexParser *p, int *group, LlmClassSet *set, LlmError *err)
{
	uint32_t	first;
	uint32_t	last;
	bool		is_set = false;
	LlmClassSet inner = {{0}};

	if (llm_regex_looking_at(p, "[:"))
	{
		const char *close = memmem(p->pattern.data + p->pos, p->pattern.len - p->pos, ":]", 2);
		bool		negated;
		LlmStr		name;

		p->pos += 2;
		negated = llm_regex_accept(p, "^");
		name.data = p->pattern.data + p->pos;
		if (!close || close < name.data)
			return llm_regex_bad_pattern(p, LLM_E_FORMAT, "has a property without end", err);
		name.len = (size_t) (close - name.data);
		if (name.len == 5 && memcmp(name.data, "punct", 5) == 0)
			return llm_regex_bad_pattern(p, LLM_E_UNSUPPORTED, "names a property that is not known", err);
		LLM_TRY(add_property(p, name, negated, set, err));
		p->pos += name.len + 2;
		return LLM_OK;
	}
	if (llm_regex_accept(p, "["))
	{
		LLM_TRY(llm_regex_read_bracket(p, &inner, err));
		for (int i = 0; i < 4; i++)
			set->word[i] |= inner.word[i];
		return LLM_OK;
	}
	if (llm_regex_accept(p, "\\"))
		LLM_TRY(llm_regex_read_escape(p, true, &first, &is_set, set, err));
	else
		LLM_TRY(llm_regex_read_plain_char(p, &first, err));
	if (is_set)
		return LLM_OK;
	if (!llm_regex_looking_at(p, "-") || p->pos + 1 >= p->pattern.len || p->pattern.data[p->pos + 1] == ']')
		return llm_regex_add_char(p, first, group, set, err);
	p->pos++;
	if (llm_regex_accept(p, "\\"))
		LLM_TRY(llm_regex_read_escape(p, true, &last, &is_set, set, err));
	else
		LLM_TRY(llm_regex_read_plain_char(p, &last, err));
	if (is_set || last < first)
		return llm_regex_bad_pattern(p, LLM_E_FORMAT, "has a range that is none", err);
	return add_char_range(p, first, last, group, set, err);
}

/* behind an opening bracket; set is empty */
LlmStatus
llm_regex_read_bracket(LlmRegexParser *p, LlmClassSet *set, LlmError *err)
{
	LlmClassSet all;
	bool		negated = llm_regex_accept(p, "^");
	int			group = -1;
	bool		first = true;

	memset(&all, 0xFF, sizeof(all));
	if (++p->depth > LLM_REGEX_MAX_DEPTH)
		return llm_regex_bad_pattern(p, LLM_E_LIMIT, "is nested too deeply", err);
	while (first || !llm_regex_looking_at(p, "]"))
	{
		if (llm_regex_at_end(p))
			return llm_regex_bad_pattern(p, LLM_E_FORMAT, "has a bracket without end", err);
		first = false;
		if (llm_regex_accept(p, "&&"))
		{
			for (int i = 0; i < 4; i++)
				all.word[i] &= set->word[i];
			memset(set, 0, sizeof(*set));
			group = -1;
			continue;
		}
		LLM_TRY(read_bracket_item(p, &group, set, err));
	}
	p->pos++;
	p->depth--;
	for (int i = 0; i < 4; i++)
		set->word[i] &= all.word[i];
	if (negated)
		llm_regex_complement(set);
	return LLM_OK;
}
