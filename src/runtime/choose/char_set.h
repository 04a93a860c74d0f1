/*
 * char_set.h: sets of characters as ascending ranges of code points. Surrogates are in no set. Internal to choose/.
 */
#ifndef LLM_CHAR_SET_H
#define LLM_CHAR_SET_H

#include "choose/compile.h"
#include "text/char_range.h"

#define LLM_MAX_CHAR 0x10FFFF

typedef struct LlmCharSet
{
	LlmVec		ranges;			/* LlmCharRange: ascending and apart once normalised */
} LlmCharSet;

extern LlmStatus llm_char_set_add(LlmCompile *cx, LlmCharSet *set, uint32_t first, uint32_t last);
extern LlmStatus llm_char_set_add_set(LlmCompile *cx, LlmCharSet *set, const LlmCharSet *other);
extern LlmStatus llm_char_set_normalize(LlmCompile *cx, LlmCharSet *set);
extern LlmStatus llm_char_set_complement(LlmCompile *cx, LlmCharSet *set);	/* of a normalised set */
extern bool llm_char_set_has(const LlmCharSet *set, uint32_t c);	/* in a normalised set */

/*
 * Add the characters of a Unicode property: name and value as in \p{name} or \p{name=value}. General categories, Any, ASCII,
 * Assigned, White_Space (Unicode 16). *known false: not among them.
 */
extern LlmStatus llm_char_set_add_property(LlmCompile *cx, LlmCharSet *set, LlmStr name, LlmStr value, bool *known);

#endif
