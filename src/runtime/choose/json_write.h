/*
 * json_write.h: canonical writing of JSON, as machines of schemas read it: separators and escapes of Python's json.dumps
 * (ensure_ascii=False), canonical numbers. Internal to choose/.
 */
#ifndef LLM_JSON_WRITE_H
#define LLM_JSON_WRITE_H

#include "choose/json_tree.h"

/* where a key belongs; equal ranks keep their order */
typedef size_t (*LlmKeyRank) (const void *ctx, LlmStr key);

extern LlmStatus llm_json_write(const LlmJson *v, bool compact, LlmKeyRank rank, const void *ctx, LlmBuf *out, LlmError *err);

/* a string without its opening quote, with its closing one */
extern LlmStatus llm_json_write_key(LlmArena *arena, LlmStr s, LlmStr *out, LlmError *err);

#endif
