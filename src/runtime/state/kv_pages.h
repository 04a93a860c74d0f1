/*
 * kv_pages.h: what a sequence remembers: the paged cache of keys and values of the layers that attend, and the state of the
 * recurrent ones (recurrent.h).
 *
 * A page holds LLMK_PAGE_KEYS positions of every layer and key/value head. Within it, for layer l and head h, keys come
 * first, transposed (head_dim_k, 64), then values (64, head_dim_v). Pages are shared between sequences by reference count;
 * a page is written only by its sole owner, so a shared one is copied before the first write. Freed pages are kept for
 * reuse. Positions are absolute: page i of a sequence holds positions 64 i to 64 i + 63, so results never depend on where a
 * page lies. Used by one thread at a time; kernels write different slots of an owned page in parallel.
 */
#ifndef LLM_KV_PAGES_H
#define LLM_KV_PAGES_H

#include "base/arena.h"
#include "state/recurrent.h"
#include "kernels.h"

typedef struct LlmKvPage LlmKvPage;

typedef struct LlmKvPool
{
	const LlmAllocator *allocator;
	LlmKvType	type;
	uint32_t	n_layer;		/* that attend */
	uint32_t	n_head_kv;
	uint32_t	head_dim_k;
	uint32_t	head_dim_v;
	size_t		head_bytes;		/* keys and values of one head of one layer in a page */
	size_t		key_bytes;		/* the keys of it */
	size_t		page_bytes;
	size_t		n_pages;		/* allocated, in use or free */
	size_t		n_used;
	LlmKvPage  *free_pages;
	LlmRecurrentPool recurrent;
	size_t		state_pages;	/* pages that have the size of a state: memory is counted in pages */
} LlmKvPool;

typedef struct LlmKvSeq
{
	LlmKvPage **pages;
	uint32_t	n_pages;
	uint32_t	capacity;		/* of pages */
	uint32_t	n_past;			/* positions that hold keys and values */
	LlmRecurrentState *state;	/* after n_past positions; NULL: there are none, or the model has no recurrent layers */
	LlmRecurrentState *next_state;	/* being made by the step that was reserved; NULL: none */
} LlmKvSeq;

/* f32, f16, q8; false if the name is none of them */
extern const char *llm_kv_type_name(LlmKvType type);
extern bool llm_kv_type_find(const char *name, LlmKvType *type);

/* Errors: LLM_E_LIMIT if a page's size overflows */
extern LlmStatus llm_kv_pool_init(LlmKvPool *pool, const LlmAllocator *a, LlmKvType type, uint32_t n_layer, uint32_t n_head_kv,
								  uint32_t head_dim_k, uint32_t head_dim_v, LlmError *err);
extern void llm_kv_pool_free(LlmKvPool *pool);	/* every sequence must have been freed */

/* sequences also have a recurrent state of n_floats (0: none) */
extern void llm_kv_pool_set_recurrent(LlmKvPool *pool, size_t n_floats);

/* pages in use, states counted as pages */
extern size_t llm_kv_pool_used(const LlmKvPool *pool);
extern size_t llm_kv_pool_bytes(const LlmKvPool *pool); /* allocated, in use or free */

/* give free pages and states back to the allocator until at most keep_pages are allocated */
extern void llm_kv_pool_trim(LlmKvPool *pool, size_t keep_pages);

/* pages that n positions need */
static inline size_t
llm_kv_pages_for(size_t n_positions)
{
	return (n_positions + LLMK_PAGE_KEYS - 1) / LLMK_PAGE_KEYS;
}

extern void llm_kv_seq_init(LlmKvSeq *seq);
extern void llm_kv_seq_free(LlmKvPool *pool, LlmKvSeq *seq);

/*
 * make [n_past, n_past + n_new) writable: allocates pages and copies a shared last one, and makes room for the next state.
 * On error the contents of seq are as they were.
 */
extern LlmStatus llm_kv_seq_reserve(LlmKvPool *pool, LlmKvSeq *seq, uint32_t n_new, LlmError *err);

/* the n_new positions reserved last were computed: they, and the next state, count from now on */
extern void llm_kv_seq_commit(LlmKvPool *pool, LlmKvSeq *seq, uint32_t n_new);

/*
 * the same for the first n_new of them: the others, which were guesses, are wrong. A recurrent state is known after all of
 * them only, so with one none counts.
 */
extern void llm_kv_seq_commit_part(LlmKvSeq *seq, uint32_t n_new);

/*
 * dst (empty) becomes a sequence of the first n_positions of src, sharing its pages. A recurrent state is known at the end of
 * src only: with less of it dst stays empty.
 */
extern LlmStatus llm_kv_seq_fork(LlmKvPool *pool, const LlmKvSeq *src, uint32_t n_positions, LlmKvSeq *dst, LlmError *err);

/* forget positions from n_positions on; all, if the recurrent state there is not known */
extern void llm_kv_seq_cut(LlmKvPool *pool, LlmKvSeq *seq, uint32_t n_positions);

/* keys and values of page i of a sequence, for one layer (of those that attend) and head */
extern void *llm_kv_keys(const LlmKvPool *pool, const LlmKvSeq *seq, uint32_t page, uint32_t layer, uint32_t head);
extern void *llm_kv_values(const LlmKvPool *pool, const LlmKvSeq *seq, uint32_t page, uint32_t layer, uint32_t head);

#endif
