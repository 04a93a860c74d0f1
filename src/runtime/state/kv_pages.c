/*
 * kv_pages.c: see kv_pages.h.
 */
#include <string.h>

#include "state/kv_pages.h"

struct LlmKvPage
{
	LlmKvPage  *next_free;
	uint32_t	n_refs;
	uint8_t    *data;			/* page_bytes, aligned */
};

static const char *const type_names[] = {[LLM_KV_F32] = "f32", [LLM_KV_F16] = "f16", [LLM_KV_Q8] = "q8"};

const char *
llm_kv_type_name(LlmKvType type)
{
	return type_names[type];
}

bool
llm_kv_type_find(const char *name, LlmKvType *type)
{
	for (int i = 0; i < (int) (sizeof type_names / sizeof type_names[0]); i++)
	{
		if (strcmp(type_names[i], name) == 0)
		{
			*type = (LlmKvType) i;
			return true;
		}
	}
	return false;
}

LlmStatus
llm_kv_pool_init(LlmKvPool *pool, const LlmAllocator *a, LlmKvType type, uint32_t n_layer, uint32_t n_head_kv,
				 uint32_t head_dim_k, uint32_t head_dim_v, LlmError *err)
{
	size_t		key_bytes = llmk_page_bytes(type, head_dim_k);
	size_t		head_bytes = key_bytes + llmk_page_bytes(type, head_dim_v);
	size_t		page_bytes;

	if (!llm_size_mul(head_bytes, n_head_kv, &page_bytes) || !llm_size_mul(page_bytes, n_layer, &page_bytes))
		return llm_fail(err, LLM_E_LIMIT, "a cache page of %u layers, %u heads and %u + %u dimensions is too large",
						n_layer, n_head_kv, head_dim_k, head_dim_v);
	memset(pool, 0, sizeof(*pool));
	pool->allocator = a;
	pool->type = type;
	pool->n_layer = n_layer;
	pool->n_head_kv = n_head_kv;
	pool->head_dim_k = head_dim_k;
	pool->head_dim_v = head_dim_v;
	pool->key_bytes = key_bytes;
	pool->head_bytes = head_bytes;
	pool->page_bytes = page_bytes ? page_bytes : LLMK_ALIGN;	/* without layers that attend a page is empty */
	return LLM_OK;
}

void
llm_kv_pool_set_recurrent(LlmKvPool *pool, size_t n_floats)
{
	llm_recurrent_init(&pool->recurrent, pool->allocator, n_floats);
	pool->state_pages = (n_floats * sizeof(float) + pool->page_bytes - 1) / pool->page_bytes;
}

size_t
llm_kv_pool_used(const LlmKvPool *pool)
{
	return pool->n_used + pool->recurrent.n_used * pool->state_pages;
}

size_t
llm_kv_pool_bytes(const LlmKvPool *pool)
{
	return pool->n_pages * pool->page_bytes + pool->recurrent.n_states * pool->recurrent.n_floats * sizeof(float);
}

static void
page_destroy(LlmKvPool *pool, LlmKvPage *page)
{
	llm_free_aligned(pool->allocator, page->data);
	llm_free(pool->allocator, page);
	pool->n_pages--;
}

void
llm_kv_pool_trim(LlmKvPool *pool, size_t keep_pages)
{
	const size_t states = pool->recurrent.n_used * pool->state_pages;
	size_t		keep = keep_pages > states ? keep_pages - states : 0;

	while (pool->free_pages && pool->n_pages > keep)
	{
		LlmKvPage  *page = pool->free_pages;

		pool->free_pages = page->next_free;
		page_destroy(pool, page);
	}
	if (pool->state_pages > 0)
		llm_recurrent_trim(&pool->recurrent, keep_pages > pool->n_pages ? (keep_pages - pool->n_pages) / pool->state_pages : 0);
}

void
llm_kv_pool_free(LlmKvPool *pool)
{
	llm_kv_pool_trim(pool, 0);
}

static LlmStatus
page_get(LlmKvPool *pool, LlmKvPage **out, LlmError *err)
{
	LlmKvPage  *page = pool->free_pages;

	if (page)
		pool->free_pages = page->next_free;
	else
	{
		void	   *p;
		void	   *data;
		LlmStatus	status;

		LLM_TRY(llm_alloc(pool->allocator, 1, sizeof(LlmKvPage), &p, err));
		status = llm_alloc_aligned(pool->allocator, 1, pool->page_bytes, &data, err);
		if (status != LLM_OK)
		{
			llm_free(pool->allocator, p);
			return status;
		}
		page = p;
		page->data = data;
		pool->n_pages++;
	}
	page->next_free = NULL;
	page->n_refs = 1;
	pool->n_used++;
	*out = page;
	return LLM_OK;
}

static void
page_release(LlmKvPool *pool, LlmKvPage *page)
{
	if (--page->n_refs > 0)
		return;
	page->next_free = pool->free_pages;
	pool->free_pages = page;
	pool->n_used--;
}

void
llm_kv_seq_init(LlmKvSeq *seq)
{
	memset(seq, 0, sizeof(*seq));
}

void
llm_kv_seq_free(LlmKvPool *pool, LlmKvSeq *seq)
{
	llm_kv_seq_cut(pool, seq, 0);
	llm_free(pool->allocator, seq->pages);
	llm_kv_seq_init(seq);
}

void
llm_kv_seq_cut(LlmKvPool *pool, LlmKvSeq *seq, uint32_t n_positions)
{
	uint32_t	keep;

	if (seq->state && n_positions < seq->n_past)
		n_positions = 0;
	keep = (uint32_t) llm_kv_pages_for(n_positions);
	while (seq->n_pages > keep)
		page_release(pool, seq->pages[--seq->n_pages]);
	if (seq->n_past > n_positions)
		seq->n_past = n_positions;
	llm_recurrent_release(&pool->recurrent, seq->next_state);
	seq->next_state = NULL;
	if (n_positions > 0)
		return;
	llm_recurrent_release(&pool->recurrent, seq->state);
	seq->state = NULL;
}

/* room for n page pointers */
static LlmStatus
grow_table(LlmKvPool *pool, LlmKvSeq *seq, uint32_t n, LlmError *err)
{
	uint32_t	capacity = seq->capacity ? seq->capacity : 8;
	void	   *p;

	if (n <= seq->capacity)
		return LLM_OK;
	while (capacity < n)
		capacity *= 2;
	LLM_TRY(llm_alloc(pool->allocator, capacity, sizeof(LlmKvPage *), &p, err));
	if (seq->n_pages)
		memcpy(p, seq->pages, seq->n_pages * sizeof(LlmKvPage *));
	llm_free(pool->allocator, seq->pages);
	seq->pages = p;
	seq->capacity = capacity;
	return LLM_OK;
}

LlmStatus
llm_kv_seq_reserve(LlmKvPool *pool, LlmKvSeq *seq, uint32_t n_new, LlmError *err)
{
	uint32_t	first = seq->n_past / LLMK_PAGE_KEYS;
	uint32_t	n_pages = (uint32_t) llm_kv_pages_for((size_t) seq->n_past + n_new);
	uint32_t	n_before = seq->n_pages;

	LLM_TRY(grow_table(pool, seq, n_pages, err));
	if (pool->recurrent.n_floats > 0 && n_new > 0 && !seq->next_state)
		LLM_TRY(llm_recurrent_get(&pool->recurrent, &seq->next_state, err));

	/* pages past n_past that exist already are empty and owned; only the partial one may be shared */
	if (first < seq->n_pages && n_new > 0 && seq->pages[first]->n_refs > 1)
	{
		LlmKvPage  *copy;

		LLM_TRY(page_get(pool, &copy, err));
		memcpy(copy->data, seq->pages[first]->data, pool->page_bytes);
		page_release(pool, seq->pages[first]);
		seq->pages[first] = copy;
	}
	while (seq->n_pages < n_pages)
	{
		LlmStatus	status = page_get(pool, &seq->pages[seq->n_pages], err);

		if (status != LLM_OK)
		{
			while (seq->n_pages > n_before)
				page_release(pool, seq->pages[--seq->n_pages]);
			return status;
		}
		seq->n_pages++;
	}
	return LLM_OK;
}

void
llm_kv_seq_commit(LlmKvPool *pool, LlmKvSeq *seq, uint32_t n_new)
{
	seq->n_past += n_new;
	if (!seq->next_state)
		return;
	llm_recurrent_release(&pool->recurrent, seq->state);
	seq->state = seq->next_state;
	seq->next_state = NULL;
}

void
llm_kv_seq_commit_part(LlmKvSeq *seq, uint32_t n_new)
{
	if (!seq->next_state)
		seq->n_past += n_new;
}

LlmStatus
llm_kv_seq_fork(LlmKvPool *pool, const LlmKvSeq *src, uint32_t n_positions, LlmKvSeq *dst, LlmError *err)
{
	uint32_t	n_pages;

	llm_kv_seq_init(dst);
	if (pool->recurrent.n_floats > 0 && n_positions != src->n_past)
		return LLM_OK;
	n_pages = (uint32_t) llm_kv_pages_for(n_positions);
	LLM_TRY(grow_table(pool, dst, n_pages, err));
	for (uint32_t i = 0; i < n_pages; i++)
	{
		dst->pages[i] = src->pages[i];
		dst->pages[i]->n_refs++;
	}
	dst->n_pages = n_pages;
	dst->n_past = n_positions;
	dst->state = llm_recurrent_share(src->state);
	return LLM_OK;
}

static uint8_t *
head_data(const LlmKvPool *pool, const LlmKvSeq *seq, uint32_t page, uint32_t layer, uint32_t head)
{
	return seq->pages[page]->data + ((size_t) layer * pool->n_head_kv + head) * pool->head_bytes;
}

void *
llm_kv_keys(const LlmKvPool *pool, const LlmKvSeq *seq, uint32_t page, uint32_t layer, uint32_t head)
{
	return head_data(pool, seq, page, layer, head);
}

void *
llm_kv_values(const LlmKvPool *pool, const LlmKvSeq *seq, uint32_t page, uint32_t layer, uint32_t head)
{
	return head_data(pool, seq, page, layer, head) + pool->key_bytes;
}
