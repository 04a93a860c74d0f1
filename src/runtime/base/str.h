/*
 * str.h: comparing LlmStr with each other, with text, and with lists of names.
 */
#ifndef LLM_STR_H
#define LLM_STR_H

#include "base/status.h"

#include <string.h>

static inline bool
llm_str_same(LlmStr a, LlmStr b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool
llm_str_equals(LlmStr s, const char *text)
{
	return llm_str_same(s, (LlmStr) {text, strlen(text)});
}

/* names ends with NULL */
static inline bool
llm_str_is_one_of(LlmStr s, const char *const *names)
{
	while (*names && !llm_str_equals(s, *names))
		names++;
	return *names != NULL;
}

#endif
