/*
 * gguf_file.h: one file of a model, inside this folder: the first or another part, or the only one.
 */
#ifndef LLM_GGUF_FILE_H
#define LLM_GGUF_FILE_H

#include "weights/gguf.h"

/* as llm_gguf_open, of this file alone, whatever its metadata says of parts */
extern LlmStatus llm_gguf_open_file(const char *path, const LlmAllocator *a, const LlmStop *stop, LlmGguf *gguf, LlmError *err);

/* the same of an open file, which belongs to gguf on success and is closed otherwise */
extern LlmStatus llm_gguf_read_file(const LlmFile *file, const LlmAllocator *a, const LlmStop *stop, LlmGguf *gguf, LlmError *err);

/* index (n_tensors) becomes gguf->by_name; LLM_E_FORMAT if a name appears twice */
extern LlmStatus llm_gguf_index_names(LlmGguf *gguf, uint32_t *index, LlmError *err);

#endif
