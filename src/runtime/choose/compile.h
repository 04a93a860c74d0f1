/*
 * compile.h: what the compilers of grammars share: an arena, a budget, and one place for refusals.
 *
 * A grammar comes from a user and can be small in text and huge as an automaton. Work is therefore counted in steps (a
 * transition looked at, a state made), not in time, so that the same grammar is refused on every machine. Internal to choose/.
 */
#ifndef LLM_COMPILE_H
#define LLM_COMPILE_H

#include "base/arena.h"

#define LLM_GRAMMAR_MAX_STATES 1000000
#define LLM_GRAMMAR_MAX_STEPS 3000000	/* about 0.1 s */
#define LLM_GRAMMAR_MAX_TEXT ((size_t) 4 << 20)
#define LLM_GRAMMAR_MAX_BYTES ((size_t) 1 << 29)
#define LLM_GRAMMAR_MAX_DEPTH 200	/* of nesting in a pattern, a grammar or a schema */

typedef struct LlmCompile
{
	LlmArena   *arena;			/* ends with the compilation */
	uint64_t	steps;
	uint64_t	unpolled;		/* small operations since stop was last asked */
	const LlmStop *stop;		/* NULL: never */
	LlmError   *err;
} LlmCompile;

/* count work; LLM_E_LIMIT beyond the budget. LLM_PAUSED: the compilation is given up, and can be begun anew. */
extern LlmStatus llm_compile_steps(LlmCompile *cx, uint64_t n);

/* n small operations that no budget counts (there are so many for a step): ask stop now and then */
extern LlmStatus llm_compile_poll(LlmCompile *cx, uint64_t n);

/* LLM_E_LIMIT unless n_states may be held */
extern LlmStatus llm_compile_states(LlmCompile *cx, size_t n_states);

/* memory of the compilation, cleared */
extern LlmStatus llm_compile_alloc(LlmCompile *cx, size_t n, size_t size, void *out);

/* a growable array in the arena */
typedef struct LlmVec
{
	void	   *data;
	size_t		n;
	size_t		capacity;
} LlmVec;

extern LlmStatus llm_vec_push(LlmCompile *cx, LlmVec *v, const void *item, size_t size);

/* LLM_E_LIMIT with the message and a hint */
extern LlmStatus llm_compile_limit(LlmCompile *cx, const char *format,...) __attribute__((format(printf, 2, 3)));

/* LLM_E_UNSUPPORTED: "what" is refused by name */
extern LlmStatus llm_compile_refuse(LlmCompile *cx, const char *what, const char *hint);

#endif
