/*
 * normal_form.h: texts made comparable: the normal form of the official DROP rules, and words without case and punctuation.
 *
 * What is a letter, a digit or white space follows Python's str, by which those rules are defined.
 */
#ifndef LLM_NORMAL_FORM_H
#define LLM_NORMAL_FORM_H

#include "base/arena.h"

/*
 * Append the normal form of a span: pieces between ' ' and '-', each in lower case, without ASCII punctuation and the words
 * a, an, the, numbers written as Python writes a float; joined by one space.
 */
extern LlmStatus llm_normal_span(LlmStr span, LlmBuf *out, LlmError *err);

/* is a text what Python's float() takes? *value is the number */
extern bool llm_normal_float(LlmStr text, double *value);

/* append words in lower case (or as they are), each between single spaces; everything but letters and digits is left out */
extern LlmStatus llm_normal_words(LlmStr text, bool lower, LlmBuf *out, LlmError *err);

/* white space of Python's str.split() */
extern bool llm_normal_is_space(uint32_t c);

/* bytes and code point of the character at s; a byte that is not UTF-8 is a character of its own, U+FFFD */
extern int	llm_normal_char(const char *s, size_t len, uint32_t *c);

#endif
