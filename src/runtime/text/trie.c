/*
 * trie.c: building tries.
 */
#include "text/trie.h"

#include <string.h>

#define FIRST_SLOTS 1024
#define MAX_NODES (UINT32_C(1) << 28)

static LlmStatus
make_slots(LlmTrie *t, size_t n_slots, LlmError *err)
{
	void	   *slots;

	LLM_TRY(llm_alloc_zero(t->allocator, n_slots, sizeof(LlmTrieEdge), &slots, err));
	t->slots = slots;
	t->n_slots = n_slots;
	return LLM_OK;
}

LlmStatus
llm_trie_init(LlmTrie *t, uint64_t seed, const LlmAllocator *a, LlmError *err)
{
	memset(t, 0, sizeof(*t));
	t->allocator = a;
	t->seed = llm_hash_seed(seed, t);
	return make_slots(t, FIRST_SLOTS, err);
}

void
llm_trie_free(LlmTrie *t)
{
	if (t->allocator)
		llm_free(t->allocator, t->slots);
	t->slots = NULL;
}

static LlmTrieEdge *
free_slot(LlmTrie *t, uint64_t key)
{
	size_t		i = llm_slot_first(llm_hash_mix(key ^ t->seed, UINT64_C(0x9E3779B97F4A7C15)), t->n_slots);

	while (t->slots[i].child)
		i = llm_slot_next(i, t->n_slots);
	return &t->slots[i];
}

/* the same edges in more slots, or fewer; t's own slots stay if it fails */
static LlmStatus
resize(LlmTrie *t, size_t n_slots, LlmError *err)
{
	LlmTrieEdge *old = t->slots;
	size_t		n_old = t->n_slots;

	LLM_TRY(make_slots(t, n_slots, err));
	for (size_t i = 0; i < n_old; i++)
		if (old[i].child)
			*free_slot(t, old[i].key) = old[i];
	return LLM_OK;
}

static LlmStatus
grow(LlmTrie *t, LlmError *err)
{
	LlmTrieEdge *old = t->slots;

	LLM_TRY(resize(t, t->n_slots * 2, err));
	llm_free(t->allocator, old);
	return LLM_OK;
}

LlmStatus
llm_trie_add(LlmTrie *t, const char *bytes, size_t len, int32_t value, int32_t *before, LlmError *err)
{
	uint32_t	node = 0;

	for (size_t i = 0; i < len; i++)
	{
		LlmTrieEdge *edge = (LlmTrieEdge *) llm_trie_step(t, node, (uint8_t) bytes[i]);

		if (!edge)
		{
			uint64_t	key = (uint64_t) node << 8 | (uint8_t) bytes[i];

			if (t->n_nodes >= MAX_NODES)
				return llm_fail(err, LLM_E_LIMIT, "vocabulary is too large: its strings have more than %lu parts", (unsigned long) MAX_NODES);
			if (t->n_nodes + 1 > t->n_slots / 2)
				LLM_TRY(grow(t, err));
			edge = free_slot(t, key);
			*edge = (LlmTrieEdge) {key, ++t->n_nodes, -1};
		}
		node = edge->child;
		if (i + 1 == len)
		{
			*before = edge->value;
			edge->value = value;
		}
	}
	return LLM_OK;
}

LlmStatus
llm_trie_put(const LlmTrie *t, LlmBuf *out, LlmError *err)
{
	const uint64_t head[] = {t->seed, t->n_nodes};
	LlmTrie		small = *t;
	LlmStatus	status;

	LLM_TRY(llm_tables_put(out, head, 2, sizeof(uint64_t), err));
	LLM_TRY(resize(&small, LLM_SLOTS_FOR((size_t) t->n_nodes), err));
	status = llm_tables_put(out, small.slots, small.n_slots, sizeof(LlmTrieEdge), err);
	llm_trie_free(&small);
	return status;
}

/* a walk takes a byte of the text for each edge, so it ends whatever the children are; a search for one needs a free slot */
LlmStatus
llm_trie_get(LlmTrie *t, LlmTables *tables, int32_t n_values, LlmError *err)
{
	const LlmTrieEdge *edges;
	const void *head;
	const void *slots;
	size_t		n_slots;
	bool		good = true;
	bool		any_free = false;

	LLM_TRY(llm_tables_get_n(tables, sizeof(uint64_t), 2, &head, err));
	LLM_TRY(llm_tables_get(tables, sizeof(LlmTrieEdge), &n_slots, &slots, err));
	edges = slots;
	for (size_t i = 0; i < n_slots; i++)
	{
		good &= edges[i].child == 0 || (edges[i].value >= -1 && edges[i].value < n_values);
		any_free |= edges[i].child == 0;
	}
	if (!good || !any_free)
		return llm_tables_damaged("tree of tokens", err);
	*t = (LlmTrie) {.seed = ((const uint64_t *) head)[0], .slots = (LlmTrieEdge *) slots, .n_slots = n_slots,
		.n_nodes = (uint32_t) ((const uint64_t *) head)[1]};
	return LLM_OK;
}
