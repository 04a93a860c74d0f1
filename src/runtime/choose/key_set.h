/*
 * key_set.h: numbers for keys of a fixed number of whole numbers, in the order in which they are met. Internal to choose/.
 */
#ifndef LLM_KEY_SET_H
#define LLM_KEY_SET_H

#include "choose/compile.h"

typedef struct LlmKeySet
{
	int			n_key;			/* set by the owner; the rest begins as zero */
	LlmVec		keys;			/* n_key whole numbers each */
	int32_t    *table;			/* open addressing; 0: free, else number + 1 */
	size_t		table_size;
} LlmKeySet;

/* the number of key; it is the last if it was not met before */
extern LlmStatus llm_key_set_find(LlmCompile *cx, LlmKeySet *s, const int32_t *key, int32_t *number);

static inline const int32_t *
llm_key_set_get(const LlmKeySet *s, size_t number)
{
	return (const int32_t *) s->keys.data + number * (size_t) s->n_key;
}

#endif
