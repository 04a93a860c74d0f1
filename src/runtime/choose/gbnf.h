/*
 * gbnf.h: GBNF, the grammars of llama.cpp: rules `name ::= …` of texts in quotes, classes in brackets, `.`, groups, `|`, and the repetitions *, +, ? and
 * {n,m}; # begins a comment. A rule ends with its line, except inside parentheses or after |. Recursion may not begin a rule: left recursion is refused. Internal to choose/.
 */
#ifndef LLM_GBNF_H
#define LLM_GBNF_H

#include "choose/machine.h"

extern LlmStatus llm_gbnf_compile(LlmCompile *cx, LlmStr text, LlmMachine *m);

#endif
