/*
 * symbol_dfa.c: expression to nondeterministic automaton (Thompson's construction) to sets of its nodes (subset
 * construction).
 *
 * A state is the set of nodes that wait for a symbol, and of assertions not yet decided: whether a word ends here is known
 * only with the next character. So a state also knows whether the last character was part of a word.
 */
#include "choose/symbol_dfa.h"

#include <stdlib.h>
#include <string.h>

LlmStatus
llm_expr_make(LlmCompile *cx, LlmExprKind kind, LlmExpr **out)
{
	LLM_TRY(llm_compile_steps(cx, 1));
	LLM_TRY(llm_compile_alloc(cx, 1, sizeof(LlmExpr), out));
	(*out)->kind = kind;
	return LLM_OK;
}

LlmStatus
llm_expr_add(LlmCompile *cx, LlmExpr *to, LlmExpr *part)
{
	return llm_vec_push(cx, &to->parts, &part, sizeof(part));
}

LlmStatus
llm_expr_repeat(LlmCompile *cx, LlmExpr *part, uint32_t min, uint32_t max, LlmExpr **out)
{
	LLM_TRY(llm_expr_make(cx, LLM_EXPR_REPEAT, out));
	(*out)->min = min;
	(*out)->max = max;
	return llm_expr_add(cx, *out, part);
}

/* ---- nodes ---- */

typedef struct Node
{
	LlmExprKind kind;			/* SET, CALL, assertions; CHOICE: goes on to both without a symbol; EMPTY: the match */
	int32_t		symbol;			/* of a SET its index in sets, of a CALL the rule */
	int32_t		out;
	int32_t		out2;
} Node;

typedef struct Nfa
{
	LlmCompile *cx;
	LlmVec		nodes;			/* Node */
	LlmVec		sets;			/* const LlmCharSet *, distinct */
	bool		uses_words;
	int32_t		n_classes;
	int32_t		n_symbols;
	LlmVec		ranges;			/* LlmClassRange */
	uint8_t    *has;			/* (sets, n_classes) */
	uint8_t    *word;			/* (n_classes) */
} Nfa;

static LlmStatus
add_node(Nfa *a, LlmExprKind kind, int32_t symbol, int32_t out, int32_t out2, int32_t *node)
{
	Node		n = {kind, symbol, out, out2};

	LLM_TRY(llm_compile_steps(a->cx, 1));
	LLM_TRY(llm_compile_states(a->cx, a->nodes.n + 1));
	*node = (int32_t) a->nodes.n;
	return llm_vec_push(a->cx, &a->nodes, &n, sizeof(n));
}

static LlmStatus
find_set(Nfa *a, const LlmCharSet *set, int32_t *index)
{
	const LlmCharSet **sets = a->sets.data;

	for (size_t i = 0; i < a->sets.n; i++)
	{
		if (sets[i] == set || (sets[i]->ranges.n == set->ranges.n && (set->ranges.n == 0 ||
			memcmp(sets[i]->ranges.data, set->ranges.data, set->ranges.n * sizeof(LlmCharRange)) == 0)))
		{
			*index = (int32_t) i;
			return LLM_OK;
		}
	}
	*index = (int32_t) a->sets.n;
	return llm_vec_push(a->cx, &a->sets, &set, sizeof(set));
}

static LlmStatus build(Nfa *a, const LlmExpr *e, int32_t to, int depth, int32_t *from);

/* part{min,max}: min copies, then a loop or a chain of copies that can each be left for `to` */
static LlmStatus
build_repeat(Nfa *a, const LlmExpr *e, int32_t to, int depth, int32_t *from)
{
	const LlmExpr *part = *(LlmExpr **) e->parts.data;
	int32_t		at = to;

	if (e->max == UINT32_MAX)
	{
		int32_t		inner;

		LLM_TRY(add_node(a, LLM_EXPR_CHOICE, 0, -1, to, &at));
		LLM_TRY(build(a, part, at, depth + 1, &inner));
		((Node *) a->nodes.data)[at].out = inner;
	}
	else
	{
		for (uint32_t i = e->min; i < e->max; i++)
		{
			int32_t		inner;

			LLM_TRY(build(a, part, at, depth + 1, &inner));
			LLM_TRY(add_node(a, LLM_EXPR_CHOICE, 0, inner, to, &at));
		}
	}
	for (uint32_t i = 0; i < e->min; i++)
	{
		LLM_TRY(llm_compile_steps(a->cx, 1));
		LLM_TRY(build(a, part, at, depth + 1, &at));
	}
	*from = at;
	return LLM_OK;
}

static LlmStatus
build(Nfa *a, const LlmExpr *e, int32_t to, int depth, int32_t *from)
{
	LlmExpr   **parts = e->parts.data;
	int32_t		symbol = 0;

	if (depth > 4 * LLM_GRAMMAR_MAX_DEPTH)
		return llm_compile_limit(a->cx, "a pattern is nested more than %d deep", LLM_GRAMMAR_MAX_DEPTH);
	switch (e->kind)
	{
		case LLM_EXPR_EMPTY:
			*from = to;
			return LLM_OK;
		case LLM_EXPR_SEQUENCE:
			for (size_t i = e->parts.n; i-- > 0;)
				LLM_TRY(build(a, parts[i], to, depth + 1, &to));
			*from = to;
			return LLM_OK;
		case LLM_EXPR_CHOICE:
			for (size_t i = e->parts.n; i-- > 0;)
			{
				int32_t		one;

				LLM_TRY(build(a, parts[i], to, depth + 1, &one));
				if (i + 1 == e->parts.n)
					*from = one;
				else
					LLM_TRY(add_node(a, LLM_EXPR_CHOICE, 0, one, *from, from));
			}
			return LLM_OK;
		case LLM_EXPR_REPEAT:
			return build_repeat(a, e, to, depth, from);
		case LLM_EXPR_SET:
			LLM_TRY(find_set(a, &e->set, &symbol));
			break;
		case LLM_EXPR_CALL:
			symbol = e->rule;
			break;
		case LLM_EXPR_EDGE:
		case LLM_EXPR_NO_EDGE:
			a->uses_words = true;
			break;
		case LLM_EXPR_BEGIN:
		case LLM_EXPR_END:
			break;
	}
	return add_node(a, e->kind, symbol, to, -1, from);
}

/* ---- classes of characters ---- */

static int
compare_chars(const void *a, const void *b)
{
	uint32_t	x = *(const uint32_t *) a;
	uint32_t	y = *(const uint32_t *) b;

	return (x > y) - (x < y);
}

static bool
is_word(uint32_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= 'a' && c <= 'z');
}

/* where any set, the surrogates or words begin or end */
static LlmStatus
list_borders(Nfa *a, LlmVec *borders)
{
	static const uint32_t fixed[] = {0, '0', '9' + 1, 'A', 'Z' + 1, '_', '_' + 1, 'a', 'z' + 1, 0xD800, 0xE000, LLM_MAX_CHAR + 1};
	const LlmCharSet **sets = a->sets.data;

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		LLM_TRY(llm_vec_push(a->cx, borders, &fixed[i], sizeof(uint32_t)));
	for (size_t s = 0; s < a->sets.n; s++)
	{
		const LlmCharRange *r = sets[s]->ranges.data;

		for (size_t i = 0; i < sets[s]->ranges.n; i++)
		{
			uint32_t	end = r[i].last + 1;

			LLM_TRY(llm_vec_push(a->cx, borders, &r[i].first, sizeof(uint32_t)));
			LLM_TRY(llm_vec_push(a->cx, borders, &end, sizeof(uint32_t)));
		}
	}
	qsort(borders->data, borders->n, sizeof(uint32_t), compare_chars);
	return LLM_OK;
}

static LlmStatus
make_classes(Nfa *a)
{
	const size_t n_sets = a->sets.n;
	const LlmCharSet **sets = a->sets.data;
	LlmVec		borders = {0};
	LlmVec		signatures = {0};	/* (n_sets + 1) bytes a class */
	uint8_t    *signature;

	LLM_TRY(list_borders(a, &borders));
	LLM_TRY(llm_compile_alloc(a->cx, n_sets + 1, 1, &signature));
	for (size_t i = 0; i + 1 < borders.n; i++)
	{
		LlmClassRange r = {((uint32_t *) borders.data)[i], ((uint32_t *) borders.data)[i + 1] - 1, 0};

		if (r.first > r.last || r.last + 1 == r.first || (r.first >= 0xD800 && r.first <= 0xDFFF))
			continue;
		LLM_TRY(llm_compile_steps(a->cx, n_sets / 4 + signatures.n / 16 + 1));
		for (size_t s = 0; s < n_sets; s++)
			signature[s] = llm_char_set_has(sets[s], r.first);
		signature[n_sets] = a->uses_words && is_word(r.first);
		while ((size_t) r.cls < signatures.n &&
			   memcmp((uint8_t *) signatures.data + r.cls * (n_sets + 1), signature, n_sets + 1) != 0)
			r.cls++;
		if ((size_t) r.cls == signatures.n)
			LLM_TRY(llm_vec_push(a->cx, &signatures, signature, n_sets + 1));
		LLM_TRY(llm_vec_push(a->cx, &a->ranges, &r, sizeof(r)));
	}
	a->n_classes = (int32_t) signatures.n;
	LLM_TRY(llm_compile_alloc(a->cx, n_sets * signatures.n, 1, &a->has));
	LLM_TRY(llm_compile_alloc(a->cx, signatures.n, 1, &a->word));
	for (size_t c = 0; c < signatures.n; c++)
	{
		const uint8_t *sig = (uint8_t *) signatures.data + c * (n_sets + 1);

		for (size_t s = 0; s < n_sets; s++)
			a->has[s * signatures.n + c] = sig[s];
		a->word[c] = sig[n_sets];
	}
	return LLM_OK;
}

/* ---- sets of nodes ---- */

#define FLAG_START 1			/* nothing was read */
#define FLAG_WORD 2				/* the last character was part of a word */

/* a state of the subset construction: flags, then nodes ascending */
typedef struct Subset
{
	size_t		off;			/* in pool */
	int32_t		n;
	int32_t		flags;
} Subset;

typedef struct Subsets
{
	Nfa		   *a;
	bool		search;
	LlmVec		list;			/* Subset */
	LlmVec		pool;			/* int32_t */
	int32_t    *table;
	size_t		table_size;
	uint32_t   *seen;			/* (nodes): stamp of the closure that visited the node */
	uint32_t	stamp;
	LlmVec		work;			/* int32_t: nodes to visit */
	LlmVec		core;			/* int32_t: nodes found */
	bool		matched;		/* the closure reached the match */
} Subsets;

typedef enum Next
{
	NEXT_UNKNOWN,				/* assertions stay */
	NEXT_END,
	NEXT_WORD,
	NEXT_OTHER
} Next;

static bool
assertion_holds(LlmExprKind kind, int flags, Next next)
{
	bool		edge = ((flags & FLAG_WORD) != 0) != (next == NEXT_WORD);

	switch (kind)
	{
		case LLM_EXPR_BEGIN:
			return (flags & FLAG_START) != 0;
		case LLM_EXPR_END:
			return next == NEXT_END;
		case LLM_EXPR_EDGE:
			return edge;
		default:
			return !edge;
	}
}

/* visit what is in work: nodes that wait go to core */
static LlmStatus
closure(Subsets *s, int flags, Next next)
{
	Nfa		   *a = s->a;

	while (s->work.n > 0)
	{
		int32_t		i = ((int32_t *) s->work.data)[--s->work.n];
		const Node *n = &((Node *) a->nodes.data)[i];

		if (s->seen[i] == s->stamp)
			continue;
		s->seen[i] = s->stamp;
		LLM_TRY(llm_compile_steps(a->cx, 1));
		switch (n->kind)
		{
			case LLM_EXPR_EMPTY:
				s->matched = true;
				LLM_TRY(llm_vec_push(a->cx, &s->core, &i, sizeof(i)));
				break;
			case LLM_EXPR_CHOICE:
				LLM_TRY(llm_vec_push(a->cx, &s->work, &n->out2, sizeof(int32_t)));
				LLM_TRY(llm_vec_push(a->cx, &s->work, &n->out, sizeof(int32_t)));
				break;
			case LLM_EXPR_SET:
			case LLM_EXPR_CALL:
				LLM_TRY(llm_vec_push(a->cx, &s->core, &i, sizeof(i)));
				break;
			default:
				if (next == NEXT_UNKNOWN)
					LLM_TRY(llm_vec_push(a->cx, &s->core, &i, sizeof(i)));
				else if (assertion_holds(n->kind, flags, next))
					LLM_TRY(llm_vec_push(a->cx, &s->work, &n->out, sizeof(int32_t)));
				break;
		}
	}
	return LLM_OK;
}

static void
closure_begin(Subsets *s)
{
	s->stamp++;
	s->work.n = s->core.n = 0;
	s->matched = false;
}

static int
compare_nodes(const void *a, const void *b)
{
	int32_t		x = *(const int32_t *) a;
	int32_t		y = *(const int32_t *) b;

	return (x > y) - (x < y);
}

static uint32_t
hash_nodes(const int32_t *nodes, int32_t n, int flags)
{
	uint64_t	h = (uint64_t) flags + 0x9E3779B97F4A7C15u;

	for (int32_t i = 0; i < n; i++)
		h = (h ^ (uint32_t) nodes[i]) * 0xD6E8FEB86659FD93u, h ^= h >> 32;
	return (uint32_t) (h ^ h >> 29);
}

static LlmStatus
grow_subset_table(Subsets *s)
{
	size_t		size = s->table_size ? s->table_size * 4 : 64;
	const Subset *list = s->list.data;

	LLM_TRY(llm_compile_alloc(s->a->cx, size, sizeof(int32_t), &s->table));
	s->table_size = size;
	for (size_t i = 0; i < s->list.n; i++)
	{
		size_t		at = hash_nodes((int32_t *) s->pool.data + list[i].off, list[i].n, list[i].flags) & (size - 1);

		while (s->table[at])
			at = (at + 1) & (size - 1);
		s->table[at] = (int32_t) i + 1;
	}
	return LLM_OK;
}

/* the state of what is in core; -1 if that is nothing */
static LlmStatus
find_subset(Subsets *s, int flags, int32_t *state)
{
	Subset		subset = {s->pool.n, (int32_t) s->core.n, flags};
	int32_t    *nodes = s->core.data;
	size_t		at;

	*state = -1;
	if (s->core.n == 0)
		return LLM_OK;
	if (s->search && s->matched)
	{
		/* found: whatever follows stays a match */
		nodes[0] = 0;
		subset.n = 1;
		subset.flags = 0;
	}
	qsort(nodes, subset.n, sizeof(int32_t), compare_nodes);
	if (s->list.n * 2 >= s->table_size)
		LLM_TRY(grow_subset_table(s));
	at = hash_nodes(nodes, subset.n, subset.flags) & (s->table_size - 1);
	for (; s->table[at]; at = (at + 1) & (s->table_size - 1))
	{
		const Subset *old = (Subset *) s->list.data + s->table[at] - 1;

		if (old->n == subset.n && old->flags == subset.flags &&
			memcmp((int32_t *) s->pool.data + old->off, nodes, subset.n * sizeof(int32_t)) == 0)
		{
			*state = s->table[at] - 1;
			return LLM_OK;
		}
	}
	*state = (int32_t) s->list.n;
	LLM_TRY(llm_compile_states(s->a->cx, s->list.n + 1));
	for (int32_t i = 0; i < subset.n; i++)
		LLM_TRY(llm_vec_push(s->a->cx, &s->pool, &nodes[i], sizeof(int32_t)));
	LLM_TRY(llm_vec_push(s->a->cx, &s->list, &subset, sizeof(subset)));
	s->table[at] = *state + 1;
	return LLM_OK;
}

/* decide the assertions of a state; core then holds what waits for a symbol */
static LlmStatus
decide(Subsets *s, int32_t state, Next next)
{
	const Subset *subset = (Subset *) s->list.data + state;

	closure_begin(s);
	for (int32_t i = 0; i < subset->n; i++)
		LLM_TRY(llm_vec_push(s->a->cx, &s->work, (int32_t *) s->pool.data + subset->off + i, sizeof(int32_t)));
	return closure(s, subset->flags, next);
}

/* where symbol leads from what is in waiting */
static LlmStatus
move(Subsets *s, const int32_t *waiting, size_t n, int32_t symbol, int32_t *state)
{
	const Nfa  *a = s->a;
	const bool	is_class = symbol < a->n_classes;

	closure_begin(s);
	LLM_TRY(llm_compile_steps(a->cx, n / 4 + 1));
	for (size_t i = 0; i < n; i++)
	{
		const Node *node = &((Node *) a->nodes.data)[waiting[i]];
		bool		takes = false;

		if (node->kind == LLM_EXPR_SET)
			takes = is_class && a->has[(size_t) node->symbol * a->n_classes + symbol];
		else if (node->kind == LLM_EXPR_CALL)
			takes = node->symbol == symbol - a->n_classes;
		else if (node->kind == LLM_EXPR_EMPTY && s->search)
			LLM_TRY(llm_vec_push(a->cx, &s->work, &waiting[i], sizeof(int32_t)));	/* stays matched */
		if (takes)
			LLM_TRY(llm_vec_push(a->cx, &s->work, &node->out, sizeof(int32_t)));
	}
	LLM_TRY(closure(s, 0, NEXT_UNKNOWN));
	return find_subset(s, a->uses_words && is_class && a->word[symbol] ? FLAG_WORD : 0, state);
}

static LlmStatus
make_states(Subsets *s, LlmVec *rows, LlmVec *labels)
{
	Nfa		   *a = s->a;
	LlmVec		waiting = {0};
	int32_t    *row;

	LLM_TRY(llm_compile_alloc(a->cx, a->n_symbols, sizeof(int32_t), &row));
	for (size_t i = 0; i < s->list.n; i++)
	{
		int32_t		label;
		Next		decided = NEXT_UNKNOWN;

		LLM_TRY(decide(s, (int32_t) i, NEXT_END));
		label = s->matched ? 0 : -1;
		for (int32_t k = 0; k < a->n_symbols; k++)
		{
			Next		next = k < a->n_classes && a->word[k] ? NEXT_WORD : NEXT_OTHER;

			if (next != decided)
			{
				LLM_TRY(decide(s, (int32_t) i, next));
				waiting.n = 0;
				for (size_t w = 0; w < s->core.n; w++)
					LLM_TRY(llm_vec_push(a->cx, &waiting, (int32_t *) s->core.data + w, sizeof(int32_t)));
				decided = next;
			}
			LLM_TRY(move(s, waiting.data, waiting.n, k, &row[k]));
		}
		LLM_TRY(llm_vec_push(a->cx, rows, row, a->n_symbols * sizeof(int32_t)));
		LLM_TRY(llm_vec_push(a->cx, labels, &label, sizeof(label)));
	}
	return LLM_OK;
}

LlmStatus
llm_symbol_dfa(LlmCompile *cx, const LlmExpr *expr, bool search, int32_t n_rules, LlmSymbolDfa **out)
{
	Nfa			a = {.cx = cx};
	Subsets		s = {.a = &a, .search = search};
	LlmVec		rows = {0};
	LlmVec		labels = {0};
	LlmExpr		any = {.kind = LLM_EXPR_SET};
	LlmSymbolDfa *d;
	int32_t		match;
	int32_t		from;
	int32_t		state;

	LLM_TRY(llm_char_set_complement(cx, &any.set));
	LLM_TRY(add_node(&a, LLM_EXPR_EMPTY, 0, -1, -1, &match));
	LLM_TRY(build(&a, expr, match, 0, &from));
	if (search)
	{
		int32_t		loop;
		int32_t		start;

		LLM_TRY(build(&a, &any, -1, 0, &loop));
		LLM_TRY(add_node(&a, LLM_EXPR_CHOICE, 0, from, loop, &start));
		((Node *) a.nodes.data)[loop].out = start;
		from = start;
	}
	LLM_TRY(make_classes(&a));
	a.n_symbols = a.n_classes + n_rules;
	LLM_TRY(llm_compile_alloc(cx, a.nodes.n, sizeof(uint32_t), &s.seen));
	closure_begin(&s);
	LLM_TRY(llm_vec_push(cx, &s.work, &from, sizeof(from)));
	LLM_TRY(closure(&s, FLAG_START, NEXT_UNKNOWN));
	LLM_TRY(find_subset(&s, FLAG_START, &state));
	LLM_TRY(make_states(&s, &rows, &labels));
	LLM_TRY(llm_compile_alloc(cx, 1, sizeof(*d), &d));
	*d = (LlmSymbolDfa) {(int32_t) s.list.n, a.n_classes, a.n_symbols, rows.data, labels.data, a.ranges.data, a.ranges.n};
	*out = d;
	return LLM_OK;
}
