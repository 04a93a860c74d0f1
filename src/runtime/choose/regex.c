/*
 * regex.c: recursive descent over the grammar of ECMA-262, 22.2.1.
 */
#include "choose/regex.h"

#include <string.h>

#include "text/utf8.h"

#define MAX_REPEAT 100000

typedef struct Parser
{
	LlmCompile *cx;
	LlmStr		text;
	size_t		at;
	int			depth;
} Parser;

static LlmStatus
fail_at(Parser *p, const char *what)
{
	LlmStatus	status = llm_fail(p->cx->err, LLM_E_ARGUMENT, "regular expression: %s at offset %zu", what, p->at);

	llm_error_detail(p->cx->err, "The expression is \"%.*s\".", (int) (p->text.len > 200 ? 200 : p->text.len), p->text.data);
	llm_error_hint(p->cx->err, "Regular expressions are those of ECMA-262 (JavaScript).");
	return status;
}

static bool
at_end(const Parser *p)
{
	return p->at >= p->text.len;
}

static int
peek(const Parser *p)
{
	return at_end(p) ? -1 : (uint8_t) p->text.data[p->at];
}

static bool
accept(Parser *p, const char *what)
{
	size_t		n = strlen(what);

	if (p->text.len - p->at < n || memcmp(p->text.data + p->at, what, n) != 0)
		return false;
	p->at += n;
	return true;
}

static LlmStatus
next_char(Parser *p, uint32_t *c)
{
	int			n = at_end(p) ? 0 : llm_utf8_char((const uint8_t *) p->text.data + p->at, p->text.len - p->at, c);

	if (n == 0)
		return fail_at(p, at_end(p) ? "it ends too early" : "bytes are not UTF-8");
	p->at += (size_t) n;
	return LLM_OK;
}

/* ---- escapes ---- */

static int
hex_value(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static LlmStatus
hex_digits(Parser *p, int n, uint32_t *c)
{
	*c = 0;
	for (int i = 0; i < n; i++)
	{
		int			v = hex_value(peek(p));

		if (v < 0)
			return fail_at(p, "a hexadecimal digit is missing");
		*c = *c * 16 + (uint32_t) v;
		p->at++;
	}
	return LLM_OK;
}

/* after \u: four digits, a pair of surrogates, or braces */
static LlmStatus
unicode_escape(Parser *p, uint32_t *c)
{
	if (accept(p, "{"))
	{
		*c = 0;
		if (peek(p) == '}')
			return fail_at(p, "a hexadecimal digit is missing");
		while (!accept(p, "}"))
		{
			uint32_t	digit;

			LLM_TRY(hex_digits(p, 1, &digit));
			*c = *c * 16 + digit;
			if (*c > LLM_MAX_CHAR)
				return fail_at(p, "a code point is too large");
		}
	}
	else
	{
		LLM_TRY(hex_digits(p, 4, c));
		if (*c >= 0xD800 && *c < 0xDC00 && accept(p, "\\u"))
		{
			uint32_t	low;

			LLM_TRY(hex_digits(p, 4, &low));
			if (low < 0xDC00 || low > 0xDFFF)
				return fail_at(p, "half a surrogate pair");
			*c = 0x10000 + ((*c - 0xD800) << 10) + (low - 0xDC00);
		}
	}
	if (*c >= 0xD800 && *c <= 0xDFFF)
		return fail_at(p, "half a surrogate pair");
	return LLM_OK;
}

static LlmStatus
property(Parser *p, bool negated, LlmCharSet *set)
{
	LlmCharSet	own = {0};
	LlmStr		name;
	LlmStr		value = {NULL, 0};
	size_t		begin = p->at + 1;
	bool		known;

	if (!accept(p, "{"))
		return fail_at(p, "{ is missing after \\p");
	while (!at_end(p) && peek(p) != '}')
		p->at++;
	name = (LlmStr) {p->text.data + begin, p->at - begin};
	if (!accept(p, "}"))
		return fail_at(p, "} is missing");
	if (memchr(name.data, '=', name.len))
	{
		value.data = (char *) memchr(name.data, '=', name.len) + 1;
		value.len = (size_t) (name.data + name.len - value.data);
		name.len -= value.len + 1;
	}
	LLM_TRY(llm_char_set_add_property(p->cx, &own, name, value, &known));
	if (!known)
	{
		LlmStatus	status = llm_fail(p->cx->err, LLM_E_UNSUPPORTED, "the Unicode property \"%.*s\" in a regular expression is not supported",
									  (int) (p->at - 1 - begin > 60 ? 60 : p->at - 1 - begin), p->text.data + begin);

		llm_error_hint(p->cx->err, "Supported are general categories (\\p{L}, \\p{Lu}, …), Any, ASCII, Assigned and White_Space.");
		return status;
	}
	LLM_TRY(llm_char_set_normalize(p->cx, &own));
	if (negated)
		LLM_TRY(llm_char_set_complement(p->cx, &own));
	return llm_char_set_add_set(p->cx, set, &own);
}

/* \d \w \s and their opposites */
static LlmStatus
class_escape(Parser *p, int which, LlmCharSet *set)
{
	static const LlmCharRange space[] = {{9, 13}, {32, 32}, {0xA0, 0xA0}, {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029},
	{0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
	static const LlmCharRange word[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
	const LlmCharRange *ranges = which == 's' || which == 'S' ? space : word;
	size_t		n = ranges == space ? sizeof(space) / sizeof(space[0]) : which == 'd' || which == 'D' ? 1 : 4;
	LlmCharSet	own = {0};

	for (size_t i = 0; i < n; i++)
		LLM_TRY(llm_char_set_add(p->cx, &own, ranges[i].first, ranges[i].last));
	if (which < 'a')
		LLM_TRY(llm_char_set_complement(p->cx, &own));
	return llm_char_set_add_set(p->cx, set, &own);
}

/* after a backslash: a set (*single false) or a character */
static LlmStatus
escape(Parser *p, bool in_class, LlmCharSet *set, uint32_t *c, bool *single)
{
	static const char plain[] = "tnvfr";
	static const char codes[] = {9, 10, 11, 12, 13};
	int			which = peek(p);
	const char *found = which > 0 ? strchr(plain, which) : NULL;

	*single = true;
	if (which < 0)
		return fail_at(p, "it ends with a backslash");
	if (strchr("dDwWsS", which))
	{
		*single = false;
		p->at++;
		return class_escape(p, which, set);
	}
	if (which == 'p' || which == 'P')
	{
		*single = false;
		p->at++;
		return property(p, which == 'P', set);
	}
	if (found)
	{
		p->at++;
		*c = (uint32_t) codes[found - plain];
		return LLM_OK;
	}
	if (accept(p, "x"))
		return hex_digits(p, 2, c);
	if (accept(p, "u"))
		return unicode_escape(p, c);
	if (accept(p, "c"))
	{
		int			letter = peek(p);

		if (!((letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z')))
			return fail_at(p, "a letter is missing after \\c");
		p->at++;
		*c = (uint32_t) letter & 31;
		return LLM_OK;
	}
	if (which == '0')
	{
		p->at++;
		*c = 0;
		return peek(p) >= '0' && peek(p) <= '9' ? fail_at(p, "an octal escape is not part of ECMA-262") : LLM_OK;
	}
	if (which == 'b' && in_class)
	{
		p->at++;
		*c = 8;
		return LLM_OK;
	}
	if ((which >= '1' && which <= '9') || (which == 'k' && !in_class))
		return llm_compile_refuse(p->cx, "a backreference in a regular expression", "Write the alternatives out.");
	if ((which >= 'a' && which <= 'z') || (which >= 'A' && which <= 'Z'))
		return fail_at(p, "an unknown escape");
	return next_char(p, c);
}

/* ---- classes ---- */

static LlmStatus
class_atom(Parser *p, LlmCharSet *set, uint32_t *c, bool *single)
{
	*single = true;
	if (accept(p, "\\"))
		return escape(p, true, set, c, single);
	return next_char(p, c);
}

/* after [ */
static LlmStatus
class(Parser *p, LlmExpr **out)
{
	bool		negated = accept(p, "^");
	LlmCharSet *set;

	LLM_TRY(llm_expr_make(p->cx, LLM_EXPR_SET, out));
	set = &(*out)->set;
	while (!accept(p, "]"))
	{
		uint32_t	first;
		uint32_t	last;
		bool		single;
		size_t		before;

		if (at_end(p))
			return fail_at(p, "] is missing");
		LLM_TRY(class_atom(p, set, &first, &single));
		if (!single)
			continue;
		before = p->at;
		last = first;
		if (peek(p) == '-' && p->at + 1 < p->text.len && p->text.data[p->at + 1] != ']')
		{
			p->at++;
			LLM_TRY(class_atom(p, set, &last, &single));
			if (!single)
				return fail_at(p, "a class of characters cannot end a range");
			if (last < first)
			{
				p->at = before;
				return fail_at(p, "a range is out of order");
			}
		}
		LLM_TRY(llm_char_set_add(p->cx, set, first, last));
	}
	LLM_TRY(llm_char_set_normalize(p->cx, set));
	return negated ? llm_char_set_complement(p->cx, set) : LLM_OK;
}

/* ---- expressions ---- */

static LlmStatus disjunction(Parser *p, LlmExpr **out);

/* after ( */
static LlmStatus
group(Parser *p, LlmExpr **out)
{
	if (accept(p, "?"))
	{
		if (peek(p) == '=' || peek(p) == '!')
			return llm_compile_refuse(p->cx, "lookahead in a regular expression", "Split the condition into several patterns with allOf.");
		if (accept(p, "<"))
		{
			if (peek(p) == '=' || peek(p) == '!')
				return llm_compile_refuse(p->cx, "lookbehind in a regular expression", "Write the condition without looking back.");
			while (!at_end(p) && peek(p) != '>')
				p->at++;
			if (!accept(p, ">"))
				return fail_at(p, "the name of a group does not end");
		}
		else if (!accept(p, ":"))
			return fail_at(p, "an unknown kind of group");
	}
	if (++p->depth > LLM_GRAMMAR_MAX_DEPTH)
		return llm_compile_limit(p->cx, "a regular expression is nested more than %d deep", LLM_GRAMMAR_MAX_DEPTH);
	LLM_TRY(disjunction(p, out));
	p->depth--;
	return accept(p, ")") ? LLM_OK : fail_at(p, ") is missing");
}

static LlmStatus
single_set(Parser *p, uint32_t c, LlmExpr **out)
{
	LLM_TRY(llm_expr_make(p->cx, LLM_EXPR_SET, out));
	LLM_TRY(llm_char_set_add(p->cx, &(*out)->set, c, c));
	return llm_char_set_normalize(p->cx, &(*out)->set);
}

static bool
number(Parser *p, uint32_t *n)
{
	size_t		begin = p->at;
	uint64_t	v = 0;

	while (peek(p) >= '0' && peek(p) <= '9')
	{
		v = v * 10 + (uint64_t) (peek(p) - '0');
		v = v > MAX_REPEAT + 1 ? MAX_REPEAT + 1 : v;
		p->at++;
	}
	*n = (uint32_t) v;
	return p->at > begin;
}

/* {n}, {n,} or {n,m}; *found false, and nothing read, if it is none of them */
static LlmStatus
braces(Parser *p, uint32_t *min, uint32_t *max, bool *found)
{
	size_t		begin = p->at;

	*found = accept(p, "{") && number(p, min);
	if (*found)
	{
		*max = *min;
		if (accept(p, ",") && !number(p, max))
			*max = UINT32_MAX;
		*found = accept(p, "}");
	}
	if (!*found)
	{
		p->at = begin;
		return LLM_OK;
	}
	if (*min > MAX_REPEAT || (*max > MAX_REPEAT && *max != UINT32_MAX))
		return llm_compile_limit(p->cx, "a regular expression repeats more than %d times", MAX_REPEAT);
	return *min > *max ? fail_at(p, "the numbers of a quantifier are out of order") : LLM_OK;
}

static LlmStatus
atom(Parser *p, LlmExpr **out, bool *assertion)
{
	uint32_t	c = 0;
	uint32_t	min;
	uint32_t	max;
	bool		quantifier;

	*assertion = true;
	if (accept(p, "^"))
		return llm_expr_make(p->cx, LLM_EXPR_BEGIN, out);
	if (accept(p, "$"))
		return llm_expr_make(p->cx, LLM_EXPR_END, out);
	if (accept(p, "\\b"))
		return llm_expr_make(p->cx, LLM_EXPR_EDGE, out);
	if (accept(p, "\\B"))
		return llm_expr_make(p->cx, LLM_EXPR_NO_EDGE, out);
	*assertion = false;
	if (accept(p, "("))
		return group(p, out);
	if (accept(p, "["))
		return class(p, out);
	if (accept(p, "."))
	{
		LLM_TRY(llm_expr_make(p->cx, LLM_EXPR_SET, out));
		LLM_TRY(llm_char_set_add(p->cx, &(*out)->set, '\n', '\n'));
		LLM_TRY(llm_char_set_add(p->cx, &(*out)->set, '\r', '\r'));
		LLM_TRY(llm_char_set_add(p->cx, &(*out)->set, 0x2028, 0x2029));
		LLM_TRY(llm_char_set_normalize(p->cx, &(*out)->set));
		return llm_char_set_complement(p->cx, &(*out)->set);
	}
	if (accept(p, "\\"))
	{
		LlmCharSet	set = {0};
		bool		single;

		LLM_TRY(escape(p, false, &set, &c, &single));
		if (single)
			return single_set(p, c, out);
		LLM_TRY(llm_expr_make(p->cx, LLM_EXPR_SET, out));
		(*out)->set = set;
		return llm_char_set_normalize(p->cx, &(*out)->set);
	}
	LLM_TRY(braces(p, &min, &max, &quantifier));
	if (quantifier || peek(p) == '*' || peek(p) == '+' || peek(p) == '?')
		return fail_at(p, "there is nothing to repeat");
	LLM_TRY(next_char(p, &c));
	return single_set(p, c, out);
}

static LlmStatus
term(Parser *p, LlmExpr **out)
{
	bool		assertion;
	bool		found = true;
	uint32_t	min = 0;
	uint32_t	max = UINT32_MAX;

	LLM_TRY(atom(p, out, &assertion));
	if (accept(p, "*"))
		;
	else if (accept(p, "+"))
		min = 1;
	else if (accept(p, "?"))
		max = 1;
	else
		LLM_TRY(braces(p, &min, &max, &found));
	if (!found)
		return LLM_OK;
	if (assertion)
		return fail_at(p, "an assertion cannot be repeated");
	accept(p, "?");				/* lazy: the same set of texts */
	return llm_expr_repeat(p->cx, *out, min, max, out);
}

static LlmStatus
disjunction(Parser *p, LlmExpr **out)
{
	LlmExpr    *choice = NULL;

	for (;;)
	{
		LlmExpr    *sequence;

		LLM_TRY(llm_expr_make(p->cx, LLM_EXPR_SEQUENCE, &sequence));
		while (!at_end(p) && peek(p) != '|' && peek(p) != ')')
		{
			LlmExpr    *part;

			LLM_TRY(term(p, &part));
			LLM_TRY(llm_expr_add(p->cx, sequence, part));
		}
		*out = sequence;
		if (!choice && peek(p) != '|')
			return LLM_OK;
		if (!choice)
			LLM_TRY(llm_expr_make(p->cx, LLM_EXPR_CHOICE, &choice));
		LLM_TRY(llm_expr_add(p->cx, choice, sequence));
		*out = choice;
		if (!accept(p, "|"))
			return LLM_OK;
	}
}

LlmStatus
llm_regex_parse(LlmCompile *cx, LlmStr pattern, LlmExpr **out)
{
	Parser		p = {.cx = cx, .text = pattern};

	LLM_TRY(disjunction(&p, out));
	return at_end(&p) ? LLM_OK : fail_at(&p, ") has no (");
}

LlmStatus
llm_regex_dfa(LlmCompile *cx, LlmStr pattern, LlmDfa **out)
{
	LlmExpr    *expr;
	LlmSymbolDfa *d;

	LLM_TRY(llm_regex_parse(cx, pattern, &expr));
	LLM_TRY(llm_symbol_dfa(cx, expr, true, 0, &d));
	LLM_TRY(llm_symbol_dfa_bytes(cx, d, out));
	return llm_dfa_minimize(cx, *out);
}
