/*
 * schema_words.h: what a prompt says about the JSON that is wanted.
 */
#ifndef LLM_SCHEMA_WORDS_H
#define LLM_SCHEMA_WORDS_H

#include "base/arena.h"

/*
 * Append what values of a JSON Schema are, in words: of an object "object with" and a line for each property. Keywords that
 * have no words are left out; at most about 32 kB. Errors: LLM_E_ARGUMENT (no JSON), LLM_E_LIMIT, LLM_E_NOMEM.
 */
extern LlmStatus llm_schema_words(LlmStr schema, const LlmAllocator *a, LlmBuf *out, LlmError *err);

/* append a JSON text as answers are written: separators and escapes of Python's json.dumps, canonical numbers */
extern LlmStatus llm_json_dumps(LlmStr json, bool compact, const LlmAllocator *a, LlmBuf *out, LlmError *err);

#endif
