/*
 * pcre_memory.c: PCRE2 with memory of an allocator.
 */
#include "text/pcre_memory.h"

static void *
take(size_t size, void *allocator)
{
	const LlmAllocator *a = allocator;

	return a->alloc(a->ctx, size ? size : 1);
}

static void
give_back(void *ptr, void *allocator)
{
	llm_free(allocator, ptr);
}

pcre2_general_context *
llm_pcre_context(const LlmAllocator *allocator)
{
	return pcre2_general_context_create(take, give_back, (void *) allocator);
}
