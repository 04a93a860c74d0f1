/*
 * class_set.h: sets of character classes, and the properties that expressions may name. Internal to class_regex.
 */
#ifndef LLM_CLASS_SET_H
#define LLM_CLASS_SET_H

#include "base/status.h"
#include "text/char_range.h"

/* a set of bytes, of which each stands for a class of characters */
typedef struct LlmClassSet
{
	uint64_t	word[4];
} LlmClassSet;

static inline void
llm_class_set_add(LlmClassSet *set, uint8_t byte)
{
	set->word[byte >> 6] |= UINT64_C(1) << (byte & 63);
}

static inline bool
llm_class_set_has(const LlmClassSet *set, uint8_t byte)
{
	return set->word[byte >> 6] >> (byte & 63) & 1;
}

/* a property by its name (letter, lu, space, …): the general categories in it as bits (LlmClass minus 0x80); 0: not known */
extern uint64_t llm_class_property(LlmStr name);

/* the category of an ASCII character, as LlmClass */
extern uint8_t llm_class_of_ascii(uint8_t c);

#define LLM_CLASS_BIT(class) (UINT64_C(1) << ((class) - 0x80))

/* the characters of a script (or "alphabetic symbols") by its name; NULL: not known */
extern const LlmCharRange *llm_class_script(LlmStr name, size_t *n);

#endif
