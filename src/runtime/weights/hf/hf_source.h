/*
 * hf_source.h: a Hugging Face folder as a source of weights.
 *
 * A pack is known by the content of its source: whoever changes what a folder becomes raises LLMK_PACK_VERSION.
 */
#ifndef LLM_HF_SOURCE_H
#define LLM_HF_SOURCE_H

#include "weights/source.h"

/*
 * Errors: those of opening files, of damaged headers and configurations (LLM_E_FORMAT), and LLM_E_UNSUPPORTED naming the model
 * class, key or tensor that is not known. LLM_PAUSED: nothing is kept, call again.
 */
extern LlmStatus llm_hf_open(const char *path, const LlmAllocator *a, const LlmStop *stop, LlmSource *source, LlmError *err);

#endif
