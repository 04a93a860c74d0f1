/*
 * merge.c: merging neighbours by rank with a binary heap of candidates.
 */
#include "text/merge.h"

#include <string.h>

#define POLL_STEPS 8192			/* a few milliseconds */

void
llm_merge_init(LlmMergeScratch *m, const LlmAllocator *a)
{
	memset(m, 0, sizeof(*m));
	m->allocator = a;
}

void
llm_merge_free(LlmMergeScratch *m)
{
	llm_free(m->allocator, m->nodes);
	llm_free(m->allocator, m->heap);
	llm_merge_init(m, m->allocator);
}

LlmStatus
llm_merge_begin(LlmMergeScratch *m, size_t n_nodes, LlmError *err)
{
	m->n_nodes = 0;
	m->n_heap = 0;
	if (n_nodes > m->node_capacity)
	{
		void	   *nodes;

		LLM_TRY(llm_alloc(m->allocator, n_nodes, sizeof(LlmMergeNode), &nodes, err));
		llm_free(m->allocator, m->nodes);
		m->nodes = nodes;
		m->node_capacity = n_nodes;
	}
	return LLM_OK;
}

static LlmStatus
grow_heap(LlmMergeScratch *m, LlmError *err)
{
	size_t		capacity = m->heap_capacity ? m->heap_capacity * 2 : 256;
	void	   *heap;

	LLM_TRY(llm_alloc(m->allocator, capacity, sizeof(LlmMergeCandidate), &heap, err));
	if (m->n_heap)
		memcpy(heap, m->heap, m->n_heap * sizeof(LlmMergeCandidate));
	llm_free(m->allocator, m->heap);
	m->heap = heap;
	m->heap_capacity = capacity;
	return LLM_OK;
}

/* put the pair of a node and its next on the heap, if it has a merge */
static LlmStatus
push_pair(LlmMergeScratch *m, int32_t left, LlmMergeFind find, const void *ctx, LlmError *err)
{
	const LlmMergeNode *l;
	const LlmMergeNode *r;
	LlmMergeCandidate c;
	uint32_t	rank;
	size_t		i;

	if (left < 0 || m->nodes[left].next < 0)
		return LLM_OK;
	l = &m->nodes[left];
	r = &m->nodes[l->next];
	if (!find(ctx, l, r, &rank, &c.merged))
		return LLM_OK;
	c.key = (uint64_t) rank << 32 | (uint32_t) left;
	c.len = l->len + r->len;
	if (m->n_heap == m->heap_capacity)
		LLM_TRY(grow_heap(m, err));
	for (i = m->n_heap++; i > 0 && m->heap[(i - 1) / 2].key > c.key; i = (i - 1) / 2)
		m->heap[i] = m->heap[(i - 1) / 2];
	m->heap[i] = c;
	return LLM_OK;
}

static LlmMergeCandidate
pop_lowest(LlmMergeScratch *m)
{
	LlmMergeCandidate lowest = m->heap[0];
	LlmMergeCandidate last = m->heap[--m->n_heap];
	size_t		i = 0;
	size_t		child;

	while ((child = 2 * i + 1) < m->n_heap)
	{
		if (child + 1 < m->n_heap && m->heap[child + 1].key < m->heap[child].key)
			child++;
		if (last.key <= m->heap[child].key)
			break;
		m->heap[i] = m->heap[child];
		i = child;
	}
	m->heap[i] = last;
	return lowest;
}

LlmStatus
llm_merge_run(LlmMergeScratch *m, LlmMergeFind find, const void *ctx, const LlmStop *stop, LlmError *err)
{
	for (size_t i = 0; i + 1 < m->n_nodes; i++)
	{
		LLM_TRY(push_pair(m, (int32_t) i, find, ctx, err));
		if (i % POLL_STEPS == POLL_STEPS - 1 && llm_should_stop(stop))
			return LLM_PAUSED;
	}
	for (size_t step = 1; m->n_heap > 0; step++)
	{
		LlmMergeCandidate c = pop_lowest(m);
		int32_t		left = (int32_t) (uint32_t) c.key;
		LlmMergeNode *l = &m->nodes[left];
		LlmMergeNode *r;

		if (step % POLL_STEPS == 0 && llm_should_stop(stop))
			return LLM_PAUSED;
		if (l->len == 0 || l->next < 0)
			continue;
		r = &m->nodes[l->next];
		if (l->len + r->len != c.len)
			continue;
		l->len += r->len;
		l->symbol = c.merged;
		l->next = r->next;
		r->len = 0;
		if (l->next >= 0)
			m->nodes[l->next].prev = left;
		LLM_TRY(push_pair(m, l->prev, find, ctx, err));
		LLM_TRY(push_pair(m, left, find, ctx, err));
	}
	return LLM_OK;
}
