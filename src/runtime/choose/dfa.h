/*
 * dfa.h: deterministic automata over bytes: the regular parts of a grammar.
 *
 * A state has for each class of bytes a next state or none, and a label: what the bytes read so far are (-1: nothing). Start is state 0.
 * Every state can reach a label, except in an automaton without labels, which has one state. Everything lives in the
 * compilation's arena. Internal to choose/.
 */
#ifndef LLM_DFA_H
#define LLM_DFA_H

#include "choose/compile.h"

typedef struct LlmDfa
{
	int32_t		n_states;
	int32_t		n_classes;
	uint8_t		class_of[256];
	int32_t    *next;			/* (n_states, n_classes); -1: none */
	int32_t    *label;			/* (n_states); -1: none */
} LlmDfa;

static inline int32_t
llm_dfa_next(const LlmDfa *d, int32_t state, uint8_t byte)
{
	return state < 0 ? -1 : d->next[(size_t) state * d->n_classes + d->class_of[byte]];
}

static inline int32_t
llm_dfa_label(const LlmDfa *d, int32_t state)
{
	return state < 0 ? -1 : d->label[state];
}

/* a partition of the bytes, to be made finer; begins with one class */
typedef struct LlmByteClasses
{
	uint8_t		class_of[256];
	int			n;
} LlmByteClasses;

extern void llm_byte_classes_init(LlmByteClasses *c);
extern void llm_byte_classes_split(LlmByteClasses *c, const uint8_t *class_of);	/* bytes that class_of tells apart */
extern void llm_byte_classes_range(LlmByteClasses *c, int first, int last);

/*
 * An automaton described by functions: a state is n_key whole numbers. step: false if the byte leads nowhere. Bytes of a class must behave alike.
 */
typedef struct LlmDfaSource
{
	void	   *ctx;
	int			n_key;
	const int32_t *start;
	bool		(*step) (void *ctx, const int32_t *key, uint8_t byte, int32_t *next);
	LlmStatus	(*label) (void *ctx, const int32_t *key, int32_t *label);
	LlmByteClasses classes;
} LlmDfaSource;

/* all states that matter, smallest possible */
extern LlmStatus llm_dfa_build(LlmCompile *cx, const LlmDfaSource *source, LlmDfa **out);

/* leave out states that reach no label, and join those that behave alike */
extern LlmStatus llm_dfa_minimize(LlmCompile *cx, LlmDfa *d);

/* exactly these strings; the label is the index of the first equal string */
extern LlmStatus llm_dfa_strings(LlmCompile *cx, const LlmStr *strings, size_t n, bool one_label, LlmDfa **out);

extern int32_t llm_dfa_run(const LlmDfa *d, const char *bytes, size_t n);	/* label, -1: none */

#endif
