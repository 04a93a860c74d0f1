/*
 * class_regex.h: regular expressions that a file brings along (Oniguruma's syntax, as tokenizer.json has them), run by PCRE2.
 *
 * As with the known pre-tokenizers (unicode_class.h), an expression is matched against one byte for each character. The
 * expression is rewritten: every set of characters in it becomes a set of these bytes. Characters that it names itself
 * (ranges, scripts) get bytes of their own, one for each way in which its sets tell them apart. So the Unicode version is
 * ours, and matching takes the same time for all scripts.
 */
#ifndef LLM_CLASS_REGEX_H
#define LLM_CLASS_REGEX_H

#include "base/arena.h"

typedef struct LlmRegex LlmRegex;
typedef struct LlmRegexMatch LlmRegexMatch;	/* memory of a run */

/*
 * a must outlive it. Errors: LLM_E_UNSUPPORTED naming what is not known (back references, unknown properties and escapes),
 * LLM_E_FORMAT for one that is not well formed, LLM_E_LIMIT for too large a one, LLM_E_NOMEM.
 */
extern LlmStatus llm_regex_compile(LlmStr pattern, const LlmAllocator *a, LlmRegex **out, LlmError *err);
extern void llm_regex_free(LlmRegex *r);

extern LlmStatus llm_regex_match_create(const LlmAllocator *a, LlmRegexMatch **out, LlmError *err);
extern void llm_regex_match_free(LlmRegexMatch *m);

/* one byte for each character of s into classes (room for len); returns their number. ASCII stays as it is. */
extern size_t llm_regex_classify(const LlmRegex *r, const uint8_t *s, size_t len, uint8_t *classes);

/*
 * The first match in classes (n) at or after from: characters [*begin, *end). *found false: none. LLM_E_LIMIT if the
 * expression takes too many steps, so that a bad one is an error and not a hang.
 */
extern LlmStatus llm_regex_find(const LlmRegex *r, LlmRegexMatch *m, const uint8_t *classes, size_t n, size_t from,
								bool *found, size_t *begin, size_t *end, LlmError *err);

#endif
