/*
 * gbnf.c: reading rules, refusing left recursion, and a procedure of the machine for each rule.
 */
#include "choose/gbnf.h"

#include <string.h>

#include "choose/json_tree.h"
#include "choose/symbol_dfa.h"
#include "text/utf8.h"

#define MAX_REPEAT 2000
#define MAX_BEGINNINGS 4000

typedef struct Rule
{
	LlmStr		name;
	LlmExpr    *body;			/* NULL: only mentioned so far */
	bool		nullable;
	uint8_t		visit;			/* left recursion: 0 not seen, 1 on the way, 2 done */
} Rule;

typedef struct Parser
{
	LlmCompile *cx;
	LlmStr		text;
	size_t		at;
	int			depth;
	LlmVec		rules;			/* Rule */
} Parser;

static LlmStatus
fail_at(Parser *p, const char *what)
{
	LlmStatus	status = llm_fail(p->cx->err, LLM_E_ARGUMENT, "grammar: %s at offset %zu", what, p->at);

	llm_error_hint(p->cx->err, "Grammars are written in GBNF: rules like root ::= \"yes\" | \"no\".");
	return status;
}

static int
peek(const Parser *p)
{
	return p->at < p->text.len ? (uint8_t) p->text.data[p->at] : -1;
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

static void
skip_space(Parser *p, bool newlines)
{
	for (;;)
	{
		if (peek(p) == ' ' || peek(p) == '\t' || (newlines && (peek(p) == '\n' || peek(p) == '\r')))
			p->at++;
		else if (peek(p) == '#')
		{
			while (peek(p) >= 0 && peek(p) != '\n' && peek(p) != '\r')
				p->at++;
		}
		else
			return;
	}
}

static bool
is_name(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static LlmStr
name(Parser *p)
{
	size_t		begin = p->at;

	while (is_name(peek(p)))
		p->at++;
	return (LlmStr) {p->text.data + begin, p->at - begin};
}

static LlmStatus
find_rule(Parser *p, LlmStr rule, int32_t *index)
{
	Rule		r = {.name = rule};

	LLM_TRY(llm_compile_steps(p->cx, p->rules.n / 4 + 1));
	for (*index = 0; (size_t) *index < p->rules.n; (*index)++)
	{
		if (llm_str_same(((Rule *) p->rules.data)[*index].name, rule))
			return LLM_OK;
	}
	return llm_vec_push(p->cx, &p->rules, &r, sizeof(r));
}

/* ---- characters ---- */

static LlmStatus
hex_digits(Parser *p, int n, uint32_t *c)
{
	*c = 0;
	for (int i = 0; i < n; i++, p->at++)
	{
		int			d = peek(p);

		if (d >= '0' && d <= '9')
			d -= '0';
		else if ((d | 0x20) >= 'a' && (d | 0x20) <= 'f')
			d = (d | 0x20) - 'a' + 10;
		else
			return fail_at(p, "a hexadecimal digit is missing");
		*c = *c * 16 + (uint32_t) d;
	}
	if (*c > LLM_MAX_CHAR || (*c >= 0xD800 && *c <= 0xDFFF))
		return fail_at(p, "not a character");
	return LLM_OK;
}

static LlmStatus
character(Parser *p, uint32_t *c)
{
	static const char names[] = "tnr\\\"[]-^.";
	static const char values[] = "\t\n\r\\\"[]-^.";
	const char *found;
	int			n;

	if (accept(p, "\\"))
	{
		int			which = peek(p);

		if (which < 0)
			return fail_at(p, "it ends with a backslash");
		p->at++;
		if (which == 'x' || which == 'u' || which == 'U')
			return hex_digits(p, which == 'x' ? 2 : which == 'u' ? 4 : 8, c);
		found = which ? strchr(names, which) : NULL;
		if (!found)
			return fail_at(p, "an unknown escape");
		*c = (uint8_t) values[found - names];
		return LLM_OK;
	}
	n = p->at < p->text.len ? llm_utf8_char((const uint8_t *) p->text.data + p->at, p->text.len - p->at, c) : 0;
	if (n == 0)
		return fail_at(p, peek(p) < 0 ? "it ends too early" : "bytes are not UTF-8");
	p->at += (size_t) n;
	return LLM_OK;
}

/* after the opening quote */
static LlmStatus
literal(Parser *p, LlmExpr **out)
{
	LLM_TRY(llm_expr_make(p->cx, LLM_EXPR_SEQUENCE, out));
	while (!accept(p, "\""))
	{
		LlmExpr    *one;
		uint32_t	c;

		LLM_TRY(character(p, &c));
		LLM_TRY(llm_expr_make(p->cx, LLM_EXPR_SET, &one));
		LLM_TRY(llm_char_set_add(p->cx, &one->set, c, c));
		LLM_TRY(llm_char_set_normalize(p->cx, &one->set));
		LLM_TRY(llm_expr_add(p->cx, *out, one));
	}
	return LLM_OK;
}

/* after the opening bracket */
static LlmStatus
class(Parser *p, LlmExpr **out)
{
	bool		negated = accept(p, "^");

	LLM_TRY(llm_expr_make(p->cx, LLM_EXPR_SET, out));
	while (!accept(p, "]"))
	{
		uint32_t	first;
		uint32_t	last;

		LLM_TRY(character(p, &first));
		last = first;
		if (peek(p) == '-' && p->at + 1 < p->text.len && p->text.data[p->at + 1] != ']')
		{
			p->at++;
			LLM_TRY(character(p, &last));
			if (last < first)
				return fail_at(p, "a range is out of order");
		}
		LLM_TRY(llm_char_set_add(p->cx, &(*out)->set, first, last));
	}
	LLM_TRY(llm_char_set_normalize(p->cx, &(*out)->set));
	return negated ? llm_char_set_complement(p->cx, &(*out)->set) : LLM_OK;
}

/* ---- rules ---- */

static LlmStatus choice(Parser *p, bool nested, LlmExpr **out);

static LlmStatus
number(Parser *p, uint32_t *n)
{
	size_t		begin = p->at;

	for (*n = 0; peek(p) >= '0' && peek(p) <= '9'; p->at++)
		*n = *n > MAX_REPEAT ? *n : *n * 10 + (uint32_t) (peek(p) - '0');
	if (p->at == begin)
		return fail_at(p, "a number is missing");
	if (*n > MAX_REPEAT)
		return llm_compile_limit(p->cx, "a grammar repeats more than %d times", MAX_REPEAT);
	return LLM_OK;
}

/* what follows an item: *found false if it is not a repetition */
static LlmStatus
quantifier(Parser *p, uint32_t *min, uint32_t *max, bool *found)
{
	*found = true;
	*min = 0;
	*max = UINT32_MAX;
	if (accept(p, "*"))
		return LLM_OK;
	if (accept(p, "+"))
	{
		*min = 1;
		return LLM_OK;
	}
	if (accept(p, "?"))
	{
		*max = 1;
		return LLM_OK;
	}
	*found = accept(p, "{");
	if (!*found)
		return LLM_OK;
	skip_space(p, false);
	if (peek(p) != ',')
		LLM_TRY(number(p, min));
	*max = *min;
	skip_space(p, false);
	if (accept(p, ","))
	{
		*max = UINT32_MAX;
		skip_space(p, false);
		if (peek(p) != '}')
			LLM_TRY(number(p, max));
	}
	skip_space(p, false);
	if (!accept(p, "}"))
		return fail_at(p, "} is missing");
	return *min > *max ? fail_at(p, "the numbers of a repetition are out of order") : LLM_OK;
}

static LlmStatus
item(Parser *p, LlmExpr **out)
{
	if (accept(p, "\""))
		return literal(p, out);
	if (accept(p, "["))
		return class(p, out);
	if (accept(p, "."))
	{
		LLM_TRY(llm_expr_make(p->cx, LLM_EXPR_SET, out));
		return llm_char_set_complement(p->cx, &(*out)->set);
	}
	if (accept(p, "("))
	{
		if (++p->depth > LLM_GRAMMAR_MAX_DEPTH)
			return llm_compile_limit(p->cx, "a grammar is nested more than %d deep", LLM_GRAMMAR_MAX_DEPTH);
		skip_space(p, true);
		LLM_TRY(choice(p, true, out));
		p->depth--;
		return accept(p, ")") ? LLM_OK : fail_at(p, ") is missing");
	}
	if (is_name(peek(p)))
	{
		LLM_TRY(llm_expr_make(p->cx, LLM_EXPR_CALL, out));
		return find_rule(p, name(p), &(*out)->rule);
	}
	return fail_at(p, "an unknown item");
}

static LlmStatus
sequence(Parser *p, bool nested, LlmExpr **out)
{
	LLM_TRY(llm_expr_make(p->cx, LLM_EXPR_SEQUENCE, out));
	for (;;)
	{
		int			c = peek(p);
		LlmExpr    *one;

		if (c != '"' && c != '[' && c != '.' && c != '(' && !is_name(c))
			return LLM_OK;
		LLM_TRY(item(p, &one));
		for (;;)
		{
			bool		found;
			uint32_t	min;
			uint32_t	max;

			skip_space(p, nested);
			LLM_TRY(quantifier(p, &min, &max, &found));
			if (!found)
				break;
			LLM_TRY(llm_expr_repeat(p->cx, one, min, max, &one));
		}
		LLM_TRY(llm_expr_add(p->cx, *out, one));
	}
}

static LlmStatus
choice(Parser *p, bool nested, LlmExpr **out)
{
	LLM_TRY(llm_expr_make(p->cx, LLM_EXPR_CHOICE, out));
	do
	{
		LlmExpr    *one;

		skip_space(p, true);
		LLM_TRY(sequence(p, nested, &one));
		LLM_TRY(llm_expr_add(p->cx, *out, one));
		skip_space(p, nested);
	} while (accept(p, "|"));
	return LLM_OK;
}

static LlmStatus
rule(Parser *p)
{
	LlmStr		own = name(p);
	LlmExpr    *body;
	int32_t		index;

	if (own.len == 0)
		return fail_at(p, "the name of a rule is missing");
	LLM_TRY(find_rule(p, own, &index));
	skip_space(p, false);
	if (!accept(p, "::="))
		return fail_at(p, "::= is missing");
	skip_space(p, true);
	LLM_TRY(choice(p, false, &body));
	if (peek(p) >= 0 && peek(p) != '\n' && peek(p) != '\r')
		return fail_at(p, "an unknown item");
	skip_space(p, true);
	if (((Rule *) p->rules.data)[index].body)
		return fail_at(p, "a rule is written twice before this place");
	((Rule *) p->rules.data)[index].body = body;
	return LLM_OK;
}

/* ---- left recursion ---- */

static LlmStatus
is_nullable(const Parser *p, const LlmExpr *e, bool *nullable)
{
	LlmExpr   **parts = e->parts.data;
	const bool	choice = e->kind == LLM_EXPR_CHOICE;

	LLM_TRY(llm_compile_steps(p->cx, 1));
	*nullable = e->kind != LLM_EXPR_SET;
	if (e->kind == LLM_EXPR_CALL)
		*nullable = ((Rule *) p->rules.data)[e->rule].nullable;
	if (e->kind == LLM_EXPR_SET || e->kind == LLM_EXPR_CALL || (e->kind == LLM_EXPR_REPEAT && e->min == 0))
		return LLM_OK;

	/* a choice is if one of its parts is, all else if all are */
	*nullable = !choice;
	for (size_t i = 0; i < e->parts.n && *nullable != choice; i++)
		LLM_TRY(is_nullable(p, parts[i], nullable));
	return LLM_OK;
}

static LlmStatus visit_rule(Parser *p, int32_t index, int depth);

/* visit the rules that can begin e; depth counts the calls on the stack, through groups and rules alike */
static LlmStatus
visit(Parser *p, const LlmExpr *e, int depth)
{
	LlmExpr   **parts = e->parts.data;

	if (depth > MAX_BEGINNINGS)
		return llm_compile_limit(p->cx, "rules and groups of a grammar begin with each other more than %d deep", MAX_BEGINNINGS);
	if (e->kind == LLM_EXPR_CALL)
		return visit_rule(p, e->rule, depth + 1);
	for (size_t i = 0; i < e->parts.n; i++)
	{
		bool		nullable = true;

		LLM_TRY(llm_compile_steps(p->cx, 1));
		LLM_TRY(visit(p, parts[i], depth + 1));
		if (e->kind == LLM_EXPR_SEQUENCE)
			LLM_TRY(is_nullable(p, parts[i], &nullable));
		if (!nullable)
			return LLM_OK;
	}
	return LLM_OK;
}

static LlmStatus
visit_rule(Parser *p, int32_t index, int depth)
{
	Rule	   *r = (Rule *) p->rules.data + index;
	LlmStatus	status;

	if (r->visit == 2)
		return LLM_OK;
	if (r->visit == 1)
	{
		status = llm_fail(p->cx->err, LLM_E_UNSUPPORTED, "left recursion in the rule \"%.*s\" of a grammar is not supported",
						  (int) (r->name.len > 60 ? 60 : r->name.len), r->name.data);
		llm_error_hint(p->cx->err, "Write the rule with a repetition: list ::= item (\",\" item)*.");
		return status;
	}
	r->visit = 1;
	LLM_TRY(visit(p, r->body, depth));
	((Rule *) p->rules.data)[index].visit = 2;
	return LLM_OK;
}

static LlmStatus
check_rules(Parser *p)
{
	Rule	   *rules = p->rules.data;
	bool		changed = true;

	for (size_t i = 0; i < p->rules.n; i++)
	{
		if (!rules[i].body)
		{
			LlmStatus	status = llm_fail(p->cx->err, LLM_E_ARGUMENT, "grammar: the rule \"%.*s\" is not written",
										  (int) (rules[i].name.len > 60 ? 60 : rules[i].name.len), rules[i].name.data);

			llm_error_hint(p->cx->err, "Every rule that is used must be written, and one of them is root.");
			return status;
		}
	}
	while (changed)
	{
		changed = false;
		for (size_t i = 0; i < p->rules.n; i++)
		{
			LLM_TRY(llm_compile_steps(p->cx, 4));
			if (rules[i].nullable)
				continue;
			LLM_TRY(is_nullable(p, rules[i].body, &rules[i].nullable));
			changed |= rules[i].nullable;
		}
	}
	for (size_t i = 0; i < p->rules.n; i++)
		LLM_TRY(visit_rule(p, (int32_t) i, 0));
	return LLM_OK;
}

/* ---- the machine ---- */

static LlmStatus
build_rule(LlmMachineBuild *b, int32_t proc, const LlmExpr *body, int32_t n_rules)
{
	LlmSymbolDfa *symbols;
	LlmDfa	   *d;
	int32_t		first;

	LLM_TRY(llm_symbol_dfa(b->cx, body, false, n_rules, &symbols));
	LLM_TRY(llm_symbol_dfa_bytes(b->cx, symbols, &d));
	LLM_TRY(llm_machine_dfa(b, proc, d, NULL, &first));
	((LlmProc *) b->procs.data)[proc].entry = first;

	/* its states are numbered from first on, those of symbols before all others */
	for (int32_t s = 0; s < symbols->n_states; s++)
	{
		for (int32_t r = 0; r < n_rules; r++)
		{
			int32_t		to = symbols->next[(size_t) s * symbols->n_symbols + symbols->n_classes + r];
			int32_t		call;

			if (to < 0)
				continue;
			LLM_TRY(llm_machine_call(b, first + s, r, &call));
			LLM_TRY(llm_machine_return(b, call, 0, first + to));
		}
	}
	return LLM_OK;
}

LlmStatus
llm_gbnf_compile(LlmCompile *cx, LlmStr text, LlmMachine *m)
{
	Parser		p = {.cx = cx, .text = text};
	LlmMachineBuild b = {.cx = cx};
	int32_t		root;

	LLM_TRY(find_rule(&p, (LlmStr) {"root", 4}, &root));	/* procedure 0 */
	skip_space(&p, true);
	while (peek(&p) >= 0)
		LLM_TRY(rule(&p));
	LLM_TRY(check_rules(&p));
	for (size_t i = 0; i < p.rules.n; i++)
	{
		int32_t		proc;

		LLM_TRY(llm_machine_proc(&b, &proc));
	}
	for (size_t i = 0; i < p.rules.n; i++)
		LLM_TRY(build_rule(&b, (int32_t) i, ((Rule *) p.rules.data)[i].body, (int32_t) p.rules.n));
	return llm_machine_finish(&b, m);
}
