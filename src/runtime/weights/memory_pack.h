/*
 * memory_pack.h: a pack in memory of this process alone, for tools and tests.
 */
#ifndef LLM_MEMORY_PACK_H
#define LLM_MEMORY_PACK_H

#include "weights/pack.h"

/*
 * Pack source into one block of anonymous memory (large pages where the system gives them); a is for the work only.
 * *base is 64-byte aligned and freed by llm_memory_pack_free. LLM_PAUSED when stopped: nothing is kept, call again from
 * the start. Errors: those of llm_packer_begin and llm_packer_run, LLM_E_NOMEM.
 */
extern LlmStatus llm_pack_to_memory(const LlmSource *source, const LlmAllocator *a, const LlmStop *stop,
									const uint8_t **base, size_t *size, LlmError *err);

/* the same by the threads of pool */
extern LlmStatus llm_pack_to_memory_with(const LlmSource *source, LlmPool *pool, const LlmAllocator *a, const LlmStop *stop,
										 const uint8_t **base, size_t *size, LlmError *err);

/* an outline of source (llm_packer_begin_outline), which costs memory for what is written into it, and address space for the rest */
extern LlmStatus llm_pack_outline(const LlmSource *source, const LlmAllocator *a, const LlmStop *stop,
								  const uint8_t **base, size_t *size, LlmError *err);
extern void llm_memory_pack_free(const uint8_t *base, size_t size);

#endif
