/*
 * pcre_memory.h: PCRE2 with memory of an allocator.
 */
#ifndef LLM_PCRE_MEMORY_H
#define LLM_PCRE_MEMORY_H

#include "base/arena.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* NULL: out of memory; the allocator must outlive it */
extern pcre2_general_context *llm_pcre_context(const LlmAllocator *allocator);

#endif
