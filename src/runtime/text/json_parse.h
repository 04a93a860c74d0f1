/*
 * json_parse.h: JSON text (RFC 8259) to the tree of json-c, for all who read JSON.
 */
#ifndef LLM_JSON_PARSE_H
#define LLM_JSON_PARSE_H

#include "base/arena.h"

struct json_object;

/*
 * Parse one value that fills json (len). *out is the caller's (json_object_put); it is NULL for null. Numbers without
 * fraction and exponent must fit int64; of equal keys the last value wins, at the place of the first; a lone surrogate
 * becomes U+FFFD. Depth at most 100, length below 1 GB. Errors: LLM_E_ARGUMENT with the offset, LLM_E_LIMIT, LLM_E_NOMEM.
 */
extern LlmStatus llm_json_parse(const char *json, size_t len, const LlmAllocator *a, struct json_object **out, LlmError *err);

#endif
