/*
 * tool_calls.h: calls of tools in an answer, whatever way the model was trained to write them.
 */
#ifndef LLM_TOOL_CALLS_H
#define LLM_TOOL_CALLS_H

#include "base/arena.h"

/*
 * If text (an answer with its special tokens written out) calls tools, message becomes the answer as a message in JSON:
 * {"role": "assistant", "content": text or null, "reasoning_content": text (if there is some), "tool_calls": [{"id": …,
 * "type": "function", "function": {"name": …, "arguments": JSON as a string}}, …]}. *n_calls is 0, and message stays empty,
 * for an answer without calls, and for one of which any call is not well formed: that stays text.
 * Errors: LLM_E_NOMEM.
 */
extern LlmStatus llm_tool_calls_parse(const char *text, size_t len, LlmBuf *message, int *n_calls, LlmError *err);

#endif
