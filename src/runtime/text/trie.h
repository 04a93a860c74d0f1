/*
 * trie.h: strings by their bytes, to find all that begin at a place of a text in one walk.
 *
 * Nodes are numbers, the root 0; edges lie in one hash table, seeded as those of vocab.h.
 */
#ifndef LLM_TRIE_H
#define LLM_TRIE_H

#include "text/vocab.h"

typedef struct LlmTrieEdge
{
	uint64_t	key;			/* node << 8 | byte */
	uint32_t	child;			/* 0: free slot */
	int32_t		value;			/* of the string that ends here, -1: none does */
} LlmTrieEdge;

typedef struct LlmTrie
{
	const LlmAllocator *allocator;	/* NULL: borrowed */
	uint64_t	seed;
	LlmTrieEdge *slots;
	size_t		n_slots;
	uint32_t	n_nodes;		/* without the root */
} LlmTrie;

/* seed 0: by address */
extern LlmStatus llm_trie_init(LlmTrie *t, uint64_t seed, const LlmAllocator *a, LlmError *err);
extern void llm_trie_free(LlmTrie *t);

/* bytes must not be empty; a string that is there already gets the new value, and *before its old one (else -1) */
extern LlmStatus llm_trie_add(LlmTrie *t, const char *bytes, size_t len, int32_t value, int32_t *before, LlmError *err);

/* into tables, and from there; all values must be below n_values */
extern LlmStatus llm_trie_put(const LlmTrie *t, LlmBuf *out, LlmError *err);
extern LlmStatus llm_trie_get(LlmTrie *t, LlmTables *tables, int32_t n_values, LlmError *err);

/* the edge from a node by a byte, NULL if there is none */
static inline const LlmTrieEdge *
llm_trie_step(const LlmTrie *t, uint32_t node, uint8_t byte)
{
	uint64_t	key = (uint64_t) node << 8 | byte;
	size_t		i = llm_slot_first(llm_hash_mix(key ^ t->seed, UINT64_C(0x9E3779B97F4A7C15)), t->n_slots);

	for (;; i = llm_slot_next(i, t->n_slots))
	{
		const LlmTrieEdge *edge = &t->slots[i];

		if (edge->child == 0)
			return NULL;
		if (edge->key == key)
			return edge;
	}
}

#endif
