/*
 * bert_chars.h: classes of characters as BERT's normalizer in the tokenizers library sees them.
 */
#ifndef LLM_BERT_CHARS_H
#define LLM_BERT_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern bool llm_bert_is_space(uint32_t c);
extern bool llm_bert_is_removed(uint32_t c);	/* control characters and the like, U+FFFD */
extern bool llm_bert_is_mark(uint32_t c);	/* an accent: Mn */
extern bool llm_bert_is_punctuation(uint32_t c);	/* a word of its own */
extern bool llm_bert_is_ideograph(uint32_t c);	/* a word of its own */

#endif
