/*
 * regex.h: regular expressions of ECMA-262 (with the flag u, without i, m and s).
 *
 * As JSON Schema says, a pattern matches anywhere in a text; ^ and $ are its begin and end. Refused by name: backreferences
 * and lookaround, which are not regular. Groups only group, lazy quantifiers are those without `?`: as sets of texts they are the same.
 * \p{} knows what char_set.h lists. Internal to choose/.
 */
#ifndef LLM_REGEX_H
#define LLM_REGEX_H

#include "choose/symbol_dfa.h"

/* errors: LLM_E_ARGUMENT with the offset, LLM_E_UNSUPPORTED, LLM_E_LIMIT */
extern LlmStatus llm_regex_parse(LlmCompile *cx, LlmStr pattern, LlmExpr **out);

/* texts in which the pattern matches, label 0 */
extern LlmStatus llm_regex_dfa(LlmCompile *cx, LlmStr pattern, LlmDfa **out);

#endif
