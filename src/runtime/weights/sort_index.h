/*
 * sort_index.h: sorting of element numbers by a caller's order, for names and offsets from untrusted files.
 *
 * Heap sort: no memory, and n log n steps for every input, so a file cannot be made that is slow to check.
 */
#ifndef LLM_SORT_INDEX_H
#define LLM_SORT_INDEX_H

#include "base/status.h"

/* negative, 0 or positive as element a comes before, with or after element b */
typedef int (*LlmIndexCompare) (const void *ctx, uint32_t a, uint32_t b);

/* fill index (n) with 0 .. n-1 and sort it; equal elements come in any order */
extern void llm_sort_index(uint32_t *index, uint32_t n, LlmIndexCompare compare, const void *ctx);

/* bytewise order, a shorter string before its continuations */
extern int	llm_str_compare(LlmStr a, LlmStr b);

#endif
