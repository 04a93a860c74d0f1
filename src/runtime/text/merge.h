/*
 * merge.h: the merging that byte-level BPE and SentencePiece have in common.
 *
 * A text is a chain of nodes, each a run of its bytes with a symbol. Of all neighbours that have a merge, the pair of the
 * lowest rank is joined (of equal ranks the leftmost), until none has one. Candidates wait in a heap and are checked when
 * they come out, so n nodes take O(n log n). Source: Sennrich et al. 2016, arXiv 1508.07909, algorithm 1.
 */
#ifndef LLM_MERGE_H
#define LLM_MERGE_H

#include "base/arena.h"

typedef struct LlmMergeNode
{
	int32_t		prev;			/* -1: none */
	int32_t		next;			/* -1: none */
	uint32_t	begin;			/* offset in the text */
	uint32_t	len;			/* 0: joined with an earlier node */
	int32_t		symbol;			/* -1: none has these bytes */
} LlmMergeNode;

typedef struct LlmMergeCandidate
{
	uint64_t	key;			/* rank << 32 | index of the left node */
	uint32_t	len;			/* of both nodes; if it differs now, one of them was joined elsewhere */
	int32_t		merged;
} LlmMergeCandidate;

/* memory of a run, kept from text to text */
typedef struct LlmMergeScratch
{
	const LlmAllocator *allocator;
	LlmMergeNode *nodes;
	size_t		n_nodes;
	size_t		node_capacity;
	LlmMergeCandidate *heap;
	size_t		n_heap;
	size_t		heap_capacity;
} LlmMergeScratch;

/* whether two neighbours have a merge; if so its rank and symbol */
typedef bool (*LlmMergeFind) (const void *ctx, const LlmMergeNode *left, const LlmMergeNode *right,
							  uint32_t *rank, int32_t *merged);

extern void llm_merge_init(LlmMergeScratch *m, const LlmAllocator *a);
extern void llm_merge_free(LlmMergeScratch *m);

/* begin a chain that will have at most n_nodes (below 2^31) */
extern LlmStatus llm_merge_begin(LlmMergeScratch *m, size_t n_nodes, LlmError *err);

/* append a node (room was made by begin) */
static inline void
llm_merge_append(LlmMergeScratch *m, uint32_t begin, uint32_t len, int32_t symbol)
{
	int32_t		i = (int32_t) m->n_nodes++;

	m->nodes[i] = (LlmMergeNode) {i - 1, -1, begin, len, symbol};
	if (i > 0)
		m->nodes[i - 1].next = i;
}

/* merge the chain; what is left of it begins at node 0. Errors: LLM_E_NOMEM, LLM_PAUSED. */
extern LlmStatus llm_merge_run(LlmMergeScratch *m, LlmMergeFind find, const void *ctx, const LlmStop *stop, LlmError *err);

#endif
