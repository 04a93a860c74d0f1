/*
 * gguf_source.h: a GGUF as a source of weights.
 *
 * A pack is known by the content of its source: whoever changes what a file becomes raises LLMK_PACK_VERSION.
 */
#ifndef LLM_GGUF_SOURCE_H
#define LLM_GGUF_SOURCE_H

#include "weights/gguf.h"
#include "weights/source.h"

/* a GGUF just opened becomes the source's, or is closed. Errors: those of llm_gguf_views */
extern LlmStatus llm_gguf_source(LlmGguf *opened, const LlmAllocator *a, LlmSource *source, LlmError *err);

#endif
