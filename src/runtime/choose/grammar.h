/*
 * grammar.h: what texts a model may write: JSON Schema, GBNF, regular expressions, choices.
 *
 * A grammar is compiled once, never changes, and is shared by any number of requests. All kinds become one machine (machine.h). Compiling
 * is bounded by counted work (about 50 ms) and states (1 million); beyond that LLM_E_LIMIT. What is well formed and not
 * supported is LLM_E_UNSUPPORTED and named; LLM_E_ARGUMENT is a mistake in the grammar, or one that no text fits.
 */
#ifndef LLM_GRAMMAR_H
#define LLM_GRAMMAR_H

#include "base/arena.h"

typedef struct LlmGrammar LlmGrammar;

/*
 * How to compile; NULL for neither. Every compiler below returns LLM_PAUSED, with nothing left, when stop says so: begin anew.
 */
typedef struct LlmGrammarWork
{
	const LlmAllocator *scratch;	/* for what is needed while compiling only; NULL: where the grammar goes */
	const LlmStop *stop;		/* NULL: never */
} LlmGrammarWork;

/*
 * JSON Schema, draft 2020-12: values as a model is offered them: keys in the order of the schema, no others unless it speaks
 * of them, separators as Python's json.dumps writes them (compact: without spaces).
 */
extern LlmStatus llm_grammar_json_schema(LlmStr schema, bool compact, const LlmAllocator *a, const LlmGrammarWork *work, LlmGrammar **out,
										 LlmError *err);

/* GBNF, the grammars of llama.cpp; begins with the rule root */
extern LlmStatus llm_grammar_gbnf(LlmStr text, const LlmAllocator *a, const LlmGrammarWork *work, LlmGrammar **out, LlmError *err);

/* texts in which a regular expression (ECMA-262) matches; anchor it with ^ and $ for the whole text */
extern LlmStatus llm_grammar_regex(LlmStr pattern, const LlmAllocator *a, const LlmGrammarWork *work, LlmGrammar **out, LlmError *err);

/* exactly one of these texts; none may be empty */
extern LlmStatus llm_grammar_choice(const LlmStr *texts, size_t n, const LlmAllocator *a, const LlmGrammarWork *work, LlmGrammar **out, LlmError *err);

extern void llm_grammar_free(LlmGrammar *g);

/* is the whole text in the language? Errors: LLM_E_NOMEM, LLM_E_LIMIT */
extern LlmStatus llm_grammar_accepts(const LlmGrammar *g, LlmStr text, bool *accepted, LlmError *err);

/* fewest bytes of a text */
extern int32_t llm_grammar_least_bytes(const LlmGrammar *g);

/*
 * does instance fit schema? It is written canonically and run through the machine of all values that fit. Of equal keys the last
 * counts. Nothing stays in a. LLM_PAUSED: begin anew.
 */
extern LlmStatus llm_schema_accepts(LlmStr schema, LlmStr instance, const LlmAllocator *a, const LlmStop *stop, bool *accepted, LlmError *err);

#endif
