/*
 * hf_chars.h: what the tokenizers library knows about characters.
 */
#ifndef LLM_HF_CHARS_H
#define LLM_HF_CHARS_H

#include <stdbool.h>
#include <stdint.h>

extern bool llm_hf_may_decompose(uint32_t c, bool compatibility);
extern int	llm_hf_combining_class(uint32_t c);
extern bool llm_hf_is_mark(uint32_t c);	/* Mn, Mc, Me */
extern uint32_t llm_hf_lower(uint32_t c);	/* of U+0130, which has two, the caller takes care */

#endif
