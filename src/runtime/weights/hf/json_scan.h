/*
 * json_scan.h: a cursor over JSON text whose form is known: the header of a safetensors file, and its index.
 *
 * Such text can be megabytes of names, so no tree is made: the reader asks for what must come next. Strings are borrowed and
 * must be plain (no escapes, no control characters, UTF-8 as it comes): names of tensors and files are.
 */
#ifndef LLM_JSON_SCAN_H
#define LLM_JSON_SCAN_H

#include "base/status.h"

typedef struct LlmJsonScan
{
	const char *text;
	size_t		len;
	size_t		pos;
	const char *what;			/* what is scanned, for messages: a path */
	LlmError   *err;
} LlmJsonScan;

/* LLM_E_FORMAT, with the offset and what was expected there */
extern LlmStatus llm_scan_fail(const LlmJsonScan *s, const char *expected);

/* is c the next character (after white space)? If so, the cursor moves behind it. */
extern bool llm_scan_take(LlmJsonScan *s, char c);
extern LlmStatus llm_scan_expect(LlmJsonScan *s, char c);
extern LlmStatus llm_scan_string(LlmJsonScan *s, LlmStr *out);
extern LlmStatus llm_scan_uint(LlmJsonScan *s, uint64_t *out);

/* a string, number, word, or flat object or array of such; nested at most a few levels */
extern LlmStatus llm_scan_skip(LlmJsonScan *s);

/* nothing but white space is left */
extern LlmStatus llm_scan_end(LlmJsonScan *s);

#endif
