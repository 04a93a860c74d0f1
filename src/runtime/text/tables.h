/*
 * tables.h: a run of bytes that holds arrays one after the other: what a tokenizer looks up, in a form that a pack can keep and many
 * processes can use where it lies.
 *
 * Nothing in it is an address, so it means the same wherever it is mapped. Whoever gets arrays out of it does so in the order in
 * which they were put, and says what an element is; each is aligned to 16 bytes if the first byte is. Numbers are those of the
 * machine. The bytes are checked as if they came from a stranger: no count or index in them can lead outside.
 */
#ifndef LLM_TABLES_H
#define LLM_TABLES_H

#include "base/arena.h"

/* append an array of n elements of size bytes to out, which holds nothing else */
extern LlmStatus llm_tables_put(LlmBuf *out, const void *elements, size_t n, size_t size, LlmError *err);

typedef struct LlmTables
{
	const uint8_t *bytes;		/* must outlive what is got */
	size_t		n_bytes;
	size_t		pos;
} LlmTables;

/* the next array, borrowed. Errors: LLM_E_FORMAT if it is not one of elements of that size, as are all of the following. */
extern LlmStatus llm_tables_get(LlmTables *t, size_t size, size_t *n, const void **elements, LlmError *err);

/* the same, where n is known */
extern LlmStatus llm_tables_get_n(LlmTables *t, size_t size, size_t n, const void **elements, LlmError *err);

/* LLM_E_FORMAT: what does not fit together */
extern LlmStatus llm_tables_damaged(const char *what, LlmError *err);

/* whether all of n numbers are in [low, high) */
extern bool llm_tables_in_range(const int32_t *numbers, size_t n, int32_t low, int32_t high);

#endif
