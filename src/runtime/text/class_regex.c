/*
 * class_regex.c: Oniguruma's expressions (Ruby syntax) rewritten over character classes, and run by PCRE2.
 *
 * The expression is read twice by the same code. The first time collects what characters it names: a group is a bracket
 * expression, a literal or a script, with ranges of characters above ASCII. Characters that lie in the same groups and
 * have the same category get one byte together. The second time writes the expression with sets of bytes.
 * Source: Oniguruma 6.9, doc/RE.
 */
#include "text/class_regex.h"
#include "text/class_set.h"
#include "text/unicode_class.h"
#include "text/utf8.h"

#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define MAX_PATTERN_BYTES 65536
#define MAX_GROUPS 64
#define MAX_DEPTH 32
#define MAX_REPEAT 1000
#define N_CATEGORIES 34			/* LLM_CLASS_LU to LLM_CLASS_INVALID */
#define FOLDED_RANGE 1000		/* larger ranges have their cases in themselves */
#define MIN_MATCH_STEPS 10000000
#define MAX_HEAP_KB 65536

typedef struct GroupRange
{
	LlmCharRange chars;
	int			group;
} GroupRange;

/* characters that the expression tells apart from others of their category */
typedef struct Interval
{
	LlmCharRange chars;
	int			marks;			/* index in marks */
} Interval;

/* the groups that such characters are in, and the byte for each category (0: none has it) */
typedef struct Marks
{
	uint64_t	groups;
	uint8_t		byte[N_CATEGORIES];
} Marks;

struct LlmRegex
{
	const LlmAllocator *allocator;
	pcre2_general_context *general;
	pcre2_code *code;
	bool		jit;
	Interval   *intervals;		/* ascending */
	size_t		n_intervals;
	Marks		marks[MAX_GROUPS];
	int			n_marks;
	int			n_bytes;		/* of marks, from LLM_CLASS_MARK on */
	uint8_t		category[256];	/* of each byte, as LlmClass */
	uint64_t	byte_groups[256];	/* which groups the characters of a byte are in */
};

struct LlmRegexMatch
{
	const LlmAllocator *allocator;
	pcre2_general_context *general;
	pcre2_match_data *data;
	pcre2_match_context *limits;
};

typedef struct Parser
{
	LlmRegex   *r;
	LlmStr		pattern;
	size_t		pos;
	bool		collecting;		/* first time: ranges into list; second time: out */
	LlmBuf		ranges;			/* GroupRange each */
	LlmBuf		out;
	int			n_groups;
	bool		ignore_case;
	bool		dot_all;
	int			depth;
} Parser;

static LlmStatus
bad_pattern(const Parser *p, LlmStatus status, const char *reason, LlmError *err)
{
	llm_fail(err, status, "a regular expression of the tokenizer %s", reason);
	llm_error_detail(err, "At offset %zu of \"%.*s\".", p->pos, (int) (p->pattern.len < 300 ? p->pattern.len : 300), p->pattern.data);
	return status;
}

static bool
at_end(const Parser *p)
{
	return p->pos >= p->pattern.len;
}

static bool
looking_at(const Parser *p, const char *text)
{
	size_t		n = strlen(text);

	return p->pattern.len - p->pos >= n && memcmp(p->pattern.data + p->pos, text, n) == 0;
}

static bool
accept(Parser *p, const char *text)
{
	if (!looking_at(p, text))
		return false;
	p->pos += strlen(text);
	return true;
}

static LlmStatus
put(Parser *p, const char *text, LlmError *err)
{
	return p->collecting ? LLM_OK : llm_buf_append(&p->out, text, strlen(text), err);
}

/* a set as a class of PCRE2 */
static LlmStatus
put_set(Parser *p, const LlmClassSet *set, LlmError *err)
{
	char		text[32];
	bool		any = false;

	LLM_TRY(put(p, "[", err));
	for (int b = 0; b < 256; b++)
	{
		int			last = b;

		if (!llm_class_set_has(set, (uint8_t) b))
			continue;
		while (last < 255 && llm_class_set_has(set, (uint8_t) (last + 1)))
			last++;
		snprintf(text, sizeof(text), last > b ? "\\x%02x-\\x%02x" : "\\x%02x", b, last);
		LLM_TRY(put(p, text, err));
		any = true;
		b = last;
	}
	/* no byte is all: a class must not be empty */
	return put(p, any ? "]" : "^\\x00-\\xff]", err);
}

static void
complement(LlmClassSet *set)
{
	for (int i = 0; i < 4; i++)
		set->word[i] = ~set->word[i];
}

static void
add_categories(const Parser *p, uint64_t categories, LlmClassSet *set)
{
	for (int b = 0; b < 256; b++)
		if (categories >> (p->r->category[b] - 0x80) & 1)
			llm_class_set_add(set, (uint8_t) b);
}

/* characters of a group; *group -1: it has no number yet */
static LlmStatus
add_range(Parser *p, uint32_t first, uint32_t last, int *group, LlmClassSet *set, LlmError *err)
{
	for (uint32_t c = first; c <= last && c < 0x80; c++)
		llm_class_set_add(set, (uint8_t) c);
	if (last < 0x80)
		return LLM_OK;
	if (*group < 0)
	{
		if (p->n_groups == MAX_GROUPS)
			return bad_pattern(p, LLM_E_LIMIT, "names too many sets of characters", err);
		*group = p->n_groups++;
	}
	if (p->collecting)
	{
		GroupRange	range = {{first < 0x80 ? 0x80 : first, last}, *group};

		return llm_buf_append(&p->ranges, &range, sizeof(range), err);
	}
	for (int b = LLM_CLASS_MARK; b < 256; b++)
		if (p->r->byte_groups[b] >> *group & 1)
			llm_class_set_add(set, (uint8_t) b);
	return LLM_OK;
}

static LlmStatus
add_char(Parser *p, uint32_t c, int *group, LlmClassSet *set, LlmError *err)
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
add_char_range(Parser *p, uint32_t first, uint32_t last, int *group, LlmClassSet *set, LlmError *err)
{
	LLM_TRY(add_range(p, first, last, group, set, err));
	for (uint32_t c = first; p->ignore_case && c <= last && last - first <= FOLDED_RANGE; c++)
		LLM_TRY(add_char(p, c, group, set, err));
	return LLM_OK;
}

/* \w: in brackets Oniguruma does not count six digits and fractions of Latin-1 that count elsewhere */
static LlmStatus
add_word(Parser *p, bool in_brackets, LlmClassSet *set, LlmError *err)
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
add_space(const Parser *p, LlmClassSet *set)
{
	for (uint8_t c = '\t'; c <= '\r'; c++)
		llm_class_set_add(set, c);
	add_categories(p, llm_class_property((LlmStr) {"z", 1}) | LLM_CLASS_BIT(LLM_CLASS_NEXT_LINE), set);
}

/* a property in braces, behind \p, \P or [: */
static LlmStatus
add_property(Parser *p, LlmStr name, bool negated, LlmClassSet *set, LlmError *err)
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
		LLM_TRY(add_word(p, true, &own, err));
	else if (!script)
		return bad_pattern(p, LLM_E_UNSUPPORTED, "names a property that is not known", err);
	for (size_t i = 0; i < n; i++)
		LLM_TRY(add_range(p, script[i].first, script[i].last, &group, &own, err));
	if (negated)
		complement(&own);
	for (int i = 0; i < 4; i++)
		set->word[i] |= own.word[i];
	return LLM_OK;
}

static LlmStatus
read_hex(Parser *p, int max_digits, uint32_t *c, LlmError *err)
{
	int			n = 0;

	*c = 0;
	for (; n < max_digits && !at_end(p); n++, p->pos++)
	{
		char		d = p->pattern.data[p->pos];
		int			value = d >= '0' && d <= '9' ? d - '0' : d >= 'a' && d <= 'f' ? d - 'a' + 10 : d >= 'A' && d <= 'F' ? d - 'A' + 10 : -1;

		if (value < 0)
			break;
		*c = *c << 4 | (uint32_t) value;
	}
	return n == 0 || *c > 0x10FFFF ? bad_pattern(p, LLM_E_FORMAT, "has a bad number of a character", err) : LLM_OK;
}

static LlmStatus
read_plain_char(Parser *p, uint32_t *c, LlmError *err)
{
	int			n = llm_utf8_char((const uint8_t *) p->pattern.data + p->pos, p->pattern.len - p->pos, c);

	if (n == 0)
		return bad_pattern(p, LLM_E_FORMAT, "is not UTF-8", err);
	p->pos += (size_t) n;
	return LLM_OK;
}

/* behind a backslash: one character into *c, or (*is_set) characters into set */
static LlmStatus
read_escape(Parser *p, bool in_brackets, uint32_t *c, bool *is_set, LlmClassSet *set, LlmError *err)
{
	char		e;
	LlmClassSet own = {{0}};
	bool		negated;

	if (at_end(p))
		return bad_pattern(p, LLM_E_FORMAT, "ends with a backslash", err);
	e = p->pattern.data[p->pos];
	negated = e >= 'A' && e <= 'Z';
	*is_set = true;
	if (e == 'p' || e == 'P')
	{
		const char *close;
		LlmStr		name;
		bool		caret;

		p->pos++;
		if (!accept(p, "{"))
			return bad_pattern(p, LLM_E_FORMAT, "has a property without braces", err);
		caret = accept(p, "^");
		name.data = p->pattern.data + p->pos;
		close = memchr(name.data, '}', p->pattern.len - p->pos);
		if (!close)
			return bad_pattern(p, LLM_E_FORMAT, "has a property without end", err);
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
			LLM_TRY(add_word(p, in_brackets, &own, err));
		else
			for (const char *h = "0123456789abcdefABCDEF"; *h; h++)
				llm_class_set_add(&own, (uint8_t) *h);
		if (negated)
			complement(&own);
		for (int i = 0; i < 4; i++)
			set->word[i] |= own.word[i];
		return LLM_OK;
	}
	*is_set = false;
	if (e == 'x' || e == 'u')
	{
		bool		braces;

		p->pos++;
		braces = e == 'x' && accept(p, "{");
		LLM_TRY(read_hex(p, braces ? 8 : e == 'x' ? 2 : 4, c, err));
		return braces && !accept(p, "}") ? bad_pattern(p, LLM_E_FORMAT, "has a number of a character without end", err) : LLM_OK;
	}
	if ((e >= '0' && e <= '9') || (e >= 'A' && e <= 'Z') || (e >= 'a' && e <= 'z'))
	{
		static const char letters[] = "tnrfvae";
		static const char values[] = "\t\n\r\f\v\a\033";
		const char *at = strchr(letters, e);

		if (!at)
			return bad_pattern(p, LLM_E_UNSUPPORTED, "has an escape that is not supported", err);
		*c = (uint32_t) values[at - letters];
		p->pos++;
		return LLM_OK;
	}
	return read_plain_char(p, c, err);
}

static LlmStatus read_bracket(Parser *p, LlmClassSet *set, LlmError *err);

/* one item in brackets, with the range that it may begin */
static LlmStatus
read_bracket_item(Parser *p, int *group, LlmClassSet *set, LlmError *err)
{
	uint32_t	first;
	uint32_t	last;
	bool		is_set = false;
	LlmClassSet inner = {{0}};

	if (looking_at(p, "[:"))
	{
		const char *close = memmem(p->pattern.data + p->pos, p->pattern.len - p->pos, ":]", 2);
		bool		negated;
		LlmStr		name;

		p->pos += 2;
		negated = accept(p, "^");
		name.data = p->pattern.data + p->pos;
		if (!close || close < name.data)
			return bad_pattern(p, LLM_E_FORMAT, "has a property without end", err);
		name.len = (size_t) (close - name.data);
		if (name.len == 5 && memcmp(name.data, "punct", 5) == 0)
			return bad_pattern(p, LLM_E_UNSUPPORTED, "names a property that is not known", err);
		LLM_TRY(add_property(p, name, negated, set, err));
		p->pos += name.len + 2;
		return LLM_OK;
	}
	if (accept(p, "["))
	{
		LLM_TRY(read_bracket(p, &inner, err));
		for (int i = 0; i < 4; i++)
			set->word[i] |= inner.word[i];
		return LLM_OK;
	}
	if (accept(p, "\\"))
		LLM_TRY(read_escape(p, true, &first, &is_set, set, err));
	else
		LLM_TRY(read_plain_char(p, &first, err));
	if (is_set)
		return LLM_OK;
	if (!looking_at(p, "-") || p->pos + 1 >= p->pattern.len || p->pattern.data[p->pos + 1] == ']')
		return add_char(p, first, group, set, err);
	p->pos++;
	if (accept(p, "\\"))
		LLM_TRY(read_escape(p, true, &last, &is_set, set, err));
	else
		LLM_TRY(read_plain_char(p, &last, err));
	if (is_set || last < first)
		return bad_pattern(p, LLM_E_FORMAT, "has a range that is none", err);
	return add_char_range(p, first, last, group, set, err);
}

/* behind an opening bracket; set is empty */
static LlmStatus
read_bracket(Parser *p, LlmClassSet *set, LlmError *err)
{
	LlmClassSet all;
	bool		negated = accept(p, "^");
	int			group = -1;
	bool		first = true;

	memset(&all, 0xFF, sizeof(all));
	if (++p->depth > MAX_DEPTH)
		return bad_pattern(p, LLM_E_LIMIT, "is nested too deeply", err);
	while (first || !looking_at(p, "]"))
	{
		if (at_end(p))
			return bad_pattern(p, LLM_E_FORMAT, "has a bracket without end", err);
		first = false;
		if (accept(p, "&&"))
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
		complement(set);
	return LLM_OK;
}

/* \b and \B as what they mean with our words */
static LlmStatus
put_word_boundary(Parser *p, bool is_boundary, LlmError *err)
{
	LlmClassSet word = {{0}};
	const char *const parts[] = {"(?:(?<=", ")(?!", ")|(?<!", ")(?=", "))"};
	const char *const others[] = {"(?:(?<=", ")(?=", ")|(?<!", ")(?!", "))"};

	for (int i = 0; i < 5; i++)
	{
		LLM_TRY(put(p, is_boundary ? parts[i] : others[i], err));
		memset(&word, 0, sizeof(word));
		if (i == 4)
			break;
		LLM_TRY(add_word(p, false, &word, err));
		LLM_TRY(put_set(p, &word, err));
	}
	return LLM_OK;
}

/* {n}, {n,}, {n,m} or {,m} at the opening brace; *valid false: the brace is a character */
static LlmStatus
read_repeat(Parser *p, char text[32], bool *valid, LlmError *err)
{
	size_t		start = p->pos;
	unsigned	number[2] = {0, 0};
	bool		given[2] = {false, false};
	int			k = 0;

	p->pos++;
	for (; !at_end(p) && p->pattern.data[p->pos] != '}'; p->pos++)
	{
		char		c = p->pattern.data[p->pos];

		if (c == ',' && k == 0)
			k = 1;
		else if (c >= '0' && c <= '9' && number[k] <= MAX_REPEAT)
		{
			number[k] = number[k] * 10 + (unsigned) (c - '0');
			given[k] = true;
		}
		else
			break;
	}
	*valid = accept(p, "}") && (given[0] || given[1]);
	if (!*valid)
	{
		p->pos = start;
		return LLM_OK;
	}
	if (number[0] > MAX_REPEAT || number[1] > MAX_REPEAT)
		return bad_pattern(p, LLM_E_LIMIT, "repeats too often", err);
	if (k == 0)
		snprintf(text, 32, "{%u}", number[0]);
	else if (given[1])
		snprintf(text, 32, "{%u,%u}", number[0], number[1]);
	else
		snprintf(text, 32, "{%u,}", number[0]);
	return LLM_OK;
}

static LlmStatus
wrap_atom(Parser *p, size_t atom, LlmError *err)
{
	if (p->collecting)
		return LLM_OK;
	LLM_TRY(llm_buf_reserve(&p->out, 4, err));
	memmove(p->out.data + atom + 3, p->out.data + atom, p->out.len - atom);
	memcpy(p->out.data + atom, "(?:", 3);
	p->out.len += 3;
	return put(p, ")", err);
}

/* what repeats the atom that begins at this offset of out. {n,m}+ is no possessive one here: it repeats the repetition. */
static LlmStatus
read_quantifiers(Parser *p, size_t atom, LlmError *err)
{
	bool		repeated = false;

	while (!at_end(p) && strchr("*+?{", p->pattern.data[p->pos]) && p->pattern.data[p->pos])
	{
		char		text[32] = {p->pattern.data[p->pos]};
		bool		is_brace = text[0] == '{';
		bool		valid = true;

		if (is_brace)
			LLM_TRY(read_repeat(p, text, &valid, err));
		else
			p->pos++;
		if (!valid)
			break;
		if (repeated)
			LLM_TRY(wrap_atom(p, atom, err));
		LLM_TRY(put(p, text, err));
		repeated = true;
		if (accept(p, "?"))
			LLM_TRY(put(p, "?", err));
		else if (!is_brace && accept(p, "+"))
			LLM_TRY(put(p, "+", err));
	}
	return LLM_OK;
}

static LlmStatus read_alternatives(Parser *p, LlmError *err);

/* behind "(?": options that hold to the end of the group; *done: the whole was "(?i)" */
static LlmStatus
read_options(Parser *p, bool *done, LlmError *err)
{
	bool		on = true;

	for (; !at_end(p); p->pos++)
	{
		char		c = p->pattern.data[p->pos];

		if (c == '-')
			on = false;
		else if (c == 'i')
			p->ignore_case = on;
		else if (c == 'm')
			p->dot_all = on;
		else
			break;
	}
	*done = accept(p, ")");
	return *done || accept(p, ":") ? LLM_OK : bad_pattern(p, LLM_E_UNSUPPORTED, "has a group that is not supported", err);
}

/* behind an opening parenthesis */
static LlmStatus
read_group(Parser *p, bool *is_atom, LlmError *err)
{
	static const char *const openings[] = {"?:", "?=", "?!", "?<=", "?<!", "?>"};
	bool		ignore_case = p->ignore_case;
	bool		dot_all = p->dot_all;
	bool		done = false;
	const char *opening = "?:";

	*is_atom = true;
	if (++p->depth > MAX_DEPTH)
		return bad_pattern(p, LLM_E_LIMIT, "is nested too deeply", err);
	if (looking_at(p, "?"))
	{
		size_t		k = 0;

		while (k < 6 && !accept(p, openings[k]))
			k++;
		if (k < 6)
			opening = openings[k];
		else
		{
			p->pos++;
			LLM_TRY(read_options(p, &done, err));
		}
	}
	if (done)
	{
		/* to the end of the group around it, which restores the options */
		*is_atom = false;
		p->depth--;
		return LLM_OK;
	}
	LLM_TRY(put(p, "(", err));
	LLM_TRY(put(p, opening, err));
	LLM_TRY(read_alternatives(p, err));
	if (!accept(p, ")"))
		return bad_pattern(p, LLM_E_FORMAT, "has a group without end", err);
	p->ignore_case = ignore_case;
	p->dot_all = dot_all;
	p->depth--;
	return put(p, ")", err);
}

/* one character, set or group; *is_atom false if nothing can repeat it */
static LlmStatus
read_atom(Parser *p, bool *is_atom, LlmError *err)
{
	static const struct
	{
		const char *text;
		const char *meaning;
	}			anchors[] = {{"^", "(?m:^)"}, {"$", "(?m:$)"}, {"\\A", "\\A"}, {"\\z", "\\z"}, {"\\Z", "\\Z"}, {"\\G", "\\G"}};
	LlmClassSet set = {{0}};
	uint32_t	c = 0;
	int			group = -1;
	bool		is_set = false;

	*is_atom = false;
	for (size_t i = 0; i < sizeof(anchors) / sizeof(anchors[0]); i++)
		if (accept(p, anchors[i].text))
			return put(p, anchors[i].meaning, err);
	if (looking_at(p, "\\b") || looking_at(p, "\\B"))
	{
		p->pos += 2;
		return put_word_boundary(p, p->pattern.data[p->pos - 1] == 'b', err);
	}
	*is_atom = true;
	if (accept(p, "("))
		return read_group(p, is_atom, err);
	if (accept(p, "["))
		LLM_TRY(read_bracket(p, &set, err));
	else if (accept(p, "."))
	{
		if (!p->dot_all)
			llm_class_set_add(&set, '\n');
		complement(&set);
	}
	else
	{
		if (accept(p, "\\"))
			LLM_TRY(read_escape(p, false, &c, &is_set, &set, err));
		else
			LLM_TRY(read_plain_char(p, &c, err));
		if (!is_set)
			LLM_TRY(add_char(p, c, &group, &set, err));
	}
	return put_set(p, &set, err);
}

/* up to the end or a closing parenthesis */
static LlmStatus
read_alternatives(Parser *p, LlmError *err)
{
	while (!at_end(p) && !looking_at(p, ")"))
	{
		size_t		atom = p->out.len;
		bool		is_atom;

		if (p->out.len > 16 * MAX_PATTERN_BYTES)
			return bad_pattern(p, LLM_E_LIMIT, "is too large", err);
		if (accept(p, "|"))
		{
			LLM_TRY(put(p, "|", err));
			continue;
		}
		if (looking_at(p, "*") || looking_at(p, "+") || looking_at(p, "?"))
			return bad_pattern(p, LLM_E_FORMAT, "repeats nothing", err);
		LLM_TRY(read_atom(p, &is_atom, err));
		if (is_atom)
			LLM_TRY(read_quantifiers(p, atom, err));
	}
	return LLM_OK;
}

static LlmStatus
read_pattern(Parser *p, bool collecting, LlmError *err)
{
	p->pos = 0;
	p->n_groups = 0;
	p->depth = 0;
	p->ignore_case = false;
	p->dot_all = false;
	p->collecting = collecting;
	LLM_TRY(read_alternatives(p, err));
	return at_end(p) ? LLM_OK : bad_pattern(p, LLM_E_FORMAT, "has a closing parenthesis too many", err);
}

/* give bytes to the characters of an interval, which are in these groups */
static LlmStatus
mark_interval(Parser *p, uint32_t first, uint32_t end, uint64_t groups, LlmError *err)
{
	LlmRegex   *r = p->r;
	int			k = 0;

	while (k < r->n_marks && r->marks[k].groups != groups)
		k++;
	if (k == MAX_GROUPS)
		return bad_pattern(p, LLM_E_LIMIT, "names too many sets of characters", err);
	if (k == r->n_marks)
		r->marks[r->n_marks++].groups = groups;
	for (uint32_t c = first; c < end; c++)
	{
		uint8_t		class = llm_unicode_class(c);
		uint8_t    *byte = &r->marks[k].byte[class - 0x80];

		if (*byte)
			continue;
		if (LLM_CLASS_MARK + r->n_bytes > 255)
			return bad_pattern(p, LLM_E_LIMIT, "names too many sets of characters", err);
		*byte = (uint8_t) (LLM_CLASS_MARK + r->n_bytes++);
		r->category[*byte] = class;
		r->byte_groups[*byte] = groups;
	}
	r->intervals[r->n_intervals++] = (Interval) {{first, end - 1}, k};
	return LLM_OK;
}

/* intervals between all borders of the n ranges */
static LlmStatus
make_intervals(Parser *p, const GroupRange *ranges, size_t n, LlmError *err)
{
	void	   *memory;
	uint32_t	begin = 0x80;

	if (n > 4096)
		return bad_pattern(p, LLM_E_LIMIT, "names too many ranges of characters", err);
	LLM_TRY(llm_alloc(p->r->allocator, 2 * n + 1, sizeof(Interval), &memory, err));
	p->r->intervals = memory;
	while (begin <= 0x10FFFF)
	{
		uint32_t	end = 0x110000;
		uint64_t	groups = 0;

		for (size_t i = 0; i < n; i++)
		{
			const LlmCharRange *chars = &ranges[i].chars;

			if (chars->first <= begin && begin <= chars->last)
				groups |= UINT64_C(1) << ranges[i].group;
			if (chars->first > begin && chars->first < end)
				end = chars->first;
			if (chars->last >= begin && chars->last < end)
				end = chars->last + 1;
		}
		if (groups)
			LLM_TRY(mark_interval(p, begin, end, groups, err));
		begin = end;
	}
	return LLM_OK;
}

static void *
pcre_malloc(size_t size, void *ctx)
{
	const LlmAllocator *a = ctx;

	return a->alloc(a->ctx, size ? size : 1);
}

static void
pcre_free(void *ptr, void *ctx)
{
	llm_free(ctx, ptr);
}

static LlmStatus
out_of_memory(LlmError *err)
{
	return llm_fail(err, LLM_E_NOMEM, "out of memory for the tokenizer's regular expressions");
}

static LlmStatus
compile(Parser *p, LlmError *err)
{
	LlmRegex   *r = p->r;
	pcre2_compile_context *context;
	int			code;
	PCRE2_SIZE	offset;

	r->general = pcre2_general_context_create(pcre_malloc, pcre_free, (void *) r->allocator);
	if (!r->general)
		return out_of_memory(err);
	context = pcre2_compile_context_create(r->general);
	if (!context)
		return out_of_memory(err);
	pcre2_set_newline(context, PCRE2_NEWLINE_LF);
	r->code = pcre2_compile((PCRE2_SPTR) p->out.data, p->out.len, PCRE2_DOLLAR_ENDONLY, &code, &offset, context);
	pcre2_compile_context_free(context);
	if (!r->code)
	{
		PCRE2_UCHAR reason[128];

		if (code == PCRE2_ERROR_HEAP_FAILED || code == PCRE2_ERROR_NOMEMORY)
			return out_of_memory(err);
		pcre2_get_error_message(code, reason, sizeof(reason));
		return bad_pattern(p, LLM_E_UNSUPPORTED, (char *) reason, err);
	}
	r->jit = pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE) == 0;
	return LLM_OK;
}

static LlmStatus
compile_pattern(Parser *p, LlmError *err)
{
	if (p->pattern.len > MAX_PATTERN_BYTES)
		return llm_fail(err, LLM_E_LIMIT, "a regular expression of the tokenizer has %zu bytes, at most %d are allowed",
						p->pattern.len, MAX_PATTERN_BYTES);
	for (int b = 0; b < 256; b++)
		p->r->category[b] = b < 0x80 ? llm_class_of_ascii((uint8_t) b) : b <= LLM_CLASS_INVALID ? (uint8_t) b : LLM_CLASS_INVALID;
	LLM_TRY(read_pattern(p, true, err));
	LLM_TRY(make_intervals(p, (const GroupRange *) p->ranges.data, p->ranges.len / sizeof(GroupRange), err));
	LLM_TRY(read_pattern(p, false, err));
	return compile(p, err);
}

LlmStatus
llm_regex_compile(LlmStr pattern, const LlmAllocator *a, LlmRegex **out, LlmError *err)
{
	void	   *memory;
	Parser		p = {.pattern = pattern};
	LlmStatus	status;

	LLM_TRY(llm_alloc_zero(a, 1, sizeof(LlmRegex), &memory, err));
	p.r = memory;
	p.r->allocator = a;
	llm_buf_init(&p.ranges, a);
	llm_buf_init(&p.out, a);
	status = compile_pattern(&p, err);
	llm_buf_free(&p.ranges);
	llm_buf_free(&p.out);
	if (status != LLM_OK)
	{
		llm_regex_free(p.r);
		return status;
	}
	*out = p.r;
	return LLM_OK;
}

void
llm_regex_free(LlmRegex *r)
{
	if (!r)
		return;
	if (r->code)
		pcre2_code_free(r->code);
	if (r->general)
		pcre2_general_context_free(r->general);
	llm_free(r->allocator, r->intervals);
	llm_free(r->allocator, r);
}

LlmStatus
llm_regex_match_create(const LlmAllocator *a, LlmRegexMatch **out, LlmError *err)
{
	void	   *memory;
	LlmRegexMatch *m;

	LLM_TRY(llm_alloc_zero(a, 1, sizeof(LlmRegexMatch), &memory, err));
	m = memory;
	m->allocator = a;
	m->general = pcre2_general_context_create(pcre_malloc, pcre_free, (void *) a);
	if (m->general)
		m->data = pcre2_match_data_create(1, m->general);
	if (m->data)
		m->limits = pcre2_match_context_create(m->general);
	if (!m->limits)
	{
		llm_regex_match_free(m);
		return out_of_memory(err);
	}
	pcre2_set_heap_limit(m->limits, MAX_HEAP_KB);
	*out = m;
	return LLM_OK;
}

void
llm_regex_match_free(LlmRegexMatch *m)
{
	if (!m)
		return;
	if (m->limits)
		pcre2_match_context_free(m->limits);
	if (m->data)
		pcre2_match_data_free(m->data);
	if (m->general)
		pcre2_general_context_free(m->general);
	llm_free(m->allocator, m);
}

/* the byte of a character above ASCII */
static uint8_t
class_of(const LlmRegex *r, uint32_t c)
{
	size_t		low = 0;		/* the first interval that does not end before c */
	size_t		high = r->n_intervals;

	while (low < high)
	{
		size_t		middle = low + (high - low) / 2;

		if (r->intervals[middle].chars.last < c)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < r->n_intervals && r->intervals[low].chars.first <= c)
		return r->marks[r->intervals[low].marks].byte[llm_unicode_class(c) - 0x80];
	return llm_unicode_class(c);
}

size_t
llm_regex_classify(const LlmRegex *r, const uint8_t *s, size_t len, uint8_t *classes)
{
	size_t		n = 0;

	for (size_t i = 0; i < len;)
	{
		uint32_t	c = 0;
		int			step;

		if (s[i] < 0x80)
		{
			classes[n++] = s[i++];
			continue;
		}
		step = llm_utf8_char(s + i, len - i, &c);
		classes[n++] = step ? class_of(r, c) : LLM_CLASS_INVALID;
		i += step ? (size_t) step : 1;
	}
	return n;
}

LlmStatus
llm_regex_find(const LlmRegex *r, LlmRegexMatch *m, const uint8_t *classes, size_t n, size_t from, bool *found, size_t *begin,
			   size_t *end, LlmError *err)
{
	uint64_t	steps = MIN_MATCH_STEPS + 64 * (uint64_t) n;
	int			rc = PCRE2_ERROR_JIT_STACKLIMIT;

	pcre2_set_match_limit(m->limits, steps < UINT32_MAX ? (uint32_t) steps : UINT32_MAX);
	if (r->jit)
		rc = pcre2_jit_match(r->code, classes, n, from, 0, m->data, m->limits);
	if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
		rc = pcre2_match(r->code, classes, n, from, PCRE2_NO_JIT, m->data, m->limits);
	*found = rc >= 0;
	if (rc >= 0)
	{
		*begin = pcre2_get_ovector_pointer(m->data)[0];
		*end = pcre2_get_ovector_pointer(m->data)[1];
		return LLM_OK;
	}
	if (rc == PCRE2_ERROR_NOMATCH)
		return LLM_OK;
	if (rc == PCRE2_ERROR_NOMEMORY)
		return out_of_memory(err);
	llm_fail(err, LLM_E_LIMIT, "a regular expression of the tokenizer takes too many steps");
	llm_error_detail(err, "It was matched at character %zu of a text of %zu.", from, n);
	llm_error_hint(err, "Split the text into shorter ones.");
	return LLM_E_LIMIT;
}
