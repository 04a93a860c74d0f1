/*
 * prompt_parts.h: a prompt put together from pieces, each byte marked as written by the template or by a caller.
 *
 * Internal to serve/. LlmParts grows by doubling; its text is borrowed until the next change.
 */
#ifndef LLM_PROMPT_PARTS_H
#define LLM_PROMPT_PARTS_H

#include "model/model.h"

typedef struct LlmParts
{
	LlmBuf		bytes;
	LlmBuf		from_data;		/* a flag for each byte, as in LlmText */
} LlmParts;

extern void llm_parts_init(LlmParts *parts, const LlmAllocator *a);
extern void llm_parts_free(LlmParts *parts);

/* on an error the parts are as before; errors: LLM_E_NOMEM, LLM_E_LIMIT */
extern LlmStatus llm_parts_add(LlmParts *parts, const char *bytes, size_t len, bool from_data, LlmError *err);
extern LlmStatus llm_parts_add_text(LlmParts *parts, LlmText text, LlmError *err);

/* cut back to len bytes */
extern void llm_parts_cut(LlmParts *parts, size_t len);

extern LlmText llm_parts_text(const LlmParts *parts);
extern LlmStatus llm_parts_copy(const LlmParts *parts, LlmArena *arena, LlmText *out, LlmError *err);

/* append the bos token if the model's metadata puts one before a text */
extern LlmStatus llm_prompt_append_bos(const LlmModel *model, LlmTokens *out, LlmError *err);

#endif
