/*
 * symbol_dfa.h: expressions over characters and rules, and what they become.
 *
 * An expression is a tree (sets of characters, sequences, choices, repetitions, assertions, calls of rules). It becomes an
 * automaton over symbols: classes of characters that no set tells apart, and rules. That one is small whatever the sets
 * are; UTF-8 comes last, when it is turned into an automaton over bytes. Internal to choose/.
 */
#ifndef LLM_SYMBOL_DFA_H
#define LLM_SYMBOL_DFA_H

#include "choose/char_set.h"
#include "choose/dfa.h"

typedef enum LlmExprKind
{
	LLM_EXPR_EMPTY,
	LLM_EXPR_SET,
	LLM_EXPR_CALL,				/* a rule */
	LLM_EXPR_SEQUENCE,
	LLM_EXPR_CHOICE,
	LLM_EXPR_REPEAT,
	LLM_EXPR_BEGIN,				/* assertions: begin of text, end of text, edge of a word, no edge of a word */
	LLM_EXPR_END,
	LLM_EXPR_EDGE,
	LLM_EXPR_NO_EDGE
} LlmExprKind;

typedef struct LlmExpr LlmExpr;

struct LlmExpr
{
	LlmExprKind kind;
	LlmCharSet	set;			/* normalised */
	int32_t		rule;
	uint32_t	min;
	uint32_t	max;			/* UINT32_MAX: no bound */
	LlmVec		parts;			/* LlmExpr *: sequence, choice; one for repeat */
};

extern LlmStatus llm_expr_make(LlmCompile *cx, LlmExprKind kind, LlmExpr **out);
extern LlmStatus llm_expr_add(LlmCompile *cx, LlmExpr *to, LlmExpr *part);
extern LlmStatus llm_expr_repeat(LlmCompile *cx, LlmExpr *part, uint32_t min, uint32_t max, LlmExpr **out);

/* ranges of characters and their class, ascending, covering all characters but surrogates */
typedef struct LlmClassRange
{
	uint32_t	first;
	uint32_t	last;
	int32_t		cls;
} LlmClassRange;

typedef struct LlmSymbolDfa
{
	int32_t		n_states;
	int32_t		n_classes;		/* symbols 0 .. n_classes-1 are classes, then come rules */
	int32_t		n_symbols;
	int32_t    *next;			/* (n_states, n_symbols) */
	int32_t    *label;			/* (n_states): 0 or -1 */
	LlmClassRange *ranges;
	size_t		n_ranges;
} LlmSymbolDfa;

/* search: the expression matches anywhere in the text, else it is the whole text */
extern LlmStatus llm_symbol_dfa(LlmCompile *cx, const LlmExpr *expr, bool search, int32_t n_rules, LlmSymbolDfa **out);

/* over UTF-8; its first n_states states are those of d in order; not minimised, rules left out */
extern LlmStatus llm_symbol_dfa_bytes(LlmCompile *cx, const LlmSymbolDfa *d, LlmDfa **out);

/* texts of min to max characters */
extern LlmStatus llm_dfa_length(LlmCompile *cx, uint32_t min, uint32_t max, LlmDfa **out);

#endif
