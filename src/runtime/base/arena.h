/*
 * arena.h: where memory comes from. The caller gives an LlmAllocator; all allocation happens on the calling thread.
 *
 * LlmArena is a bump allocator over it: many small values with one end of life. Sizes go through checked arithmetic.
 */
#ifndef LLM_ARENA_H
#define LLM_ARENA_H

#include "base/status.h"

typedef struct LlmAllocator
{
	void	   *(*alloc) (void *ctx, size_t size);	/* NULL when out of memory */
	void		(*free) (void *ctx, void *ptr);		/* ptr may be NULL */
	void	   *ctx;
} LlmAllocator;

/* malloc and free, for tools and tests */
extern const LlmAllocator llm_malloc_allocator;

/* n * size bytes, not cleared; LLM_E_NOMEM or LLM_E_LIMIT on overflow */
extern LlmStatus llm_alloc(const LlmAllocator *a, size_t n, size_t size, void **out, LlmError *err);
extern LlmStatus llm_alloc_zero(const LlmAllocator *a, size_t n, size_t size, void **out, LlmError *err);
extern void llm_free(const LlmAllocator *a, void *ptr);

/* as llm_alloc, aligned to 64 bytes; freed with llm_free_aligned */
extern LlmStatus llm_alloc_aligned(const LlmAllocator *a, size_t n, size_t size, void **out, LlmError *err);
extern void llm_free_aligned(const LlmAllocator *a, void *ptr);

/* checked size arithmetic: false on overflow, *out untouched */
static inline bool
llm_size_mul(size_t a, size_t b, size_t *out)
{
	size_t		r;

	if (__builtin_mul_overflow(a, b, &r))
		return false;
	*out = r;
	return true;
}

static inline bool
llm_size_add(size_t a, size_t b, size_t *out)
{
	size_t		r;

	if (__builtin_add_overflow(a, b, &r))
		return false;
	*out = r;
	return true;
}

typedef struct LlmArenaBlock LlmArenaBlock;

typedef struct LlmArena
{
	const LlmAllocator *allocator;
	LlmArenaBlock *blocks;		/* newest first */
	size_t		used_bytes;		/* in the newest block */
	size_t		total_bytes;	/* all blocks */
	size_t		limit_bytes;	/* 0: none; beyond it LLM_E_LIMIT */
} LlmArena;

extern void llm_arena_init(LlmArena *arena, const LlmAllocator *allocator, size_t limit_bytes);
extern void llm_arena_free(LlmArena *arena);	/* all blocks; the arena can be used again */
extern LlmStatus llm_arena_alloc(LlmArena *arena, size_t n, size_t size, void **out, LlmError *err);	/* 16-byte aligned */

/* a growable array of bytes; grows by doubling through the allocator */
typedef struct LlmBuf
{
	const LlmAllocator *allocator;
	char	   *data;
	size_t		len;
	size_t		capacity;
} LlmBuf;

extern void llm_buf_init(LlmBuf *buf, const LlmAllocator *allocator);
extern void llm_buf_free(LlmBuf *buf);
extern LlmStatus llm_buf_reserve(LlmBuf *buf, size_t extra, LlmError *err);
extern LlmStatus llm_buf_append(LlmBuf *buf, const void *data, size_t len, LlmError *err);

/* a growable array of token ids */
typedef struct LlmTokens
{
	const LlmAllocator *allocator;
	int32_t    *ids;
	size_t		n;
	size_t		capacity;
} LlmTokens;

extern void llm_tokens_init(LlmTokens *tokens, const LlmAllocator *allocator);
extern void llm_tokens_free(LlmTokens *tokens);
extern LlmStatus llm_tokens_append(LlmTokens *tokens, int32_t id, LlmError *err);

/* shorten to n tokens, of which the last n_last are those that were the last: n_last <= n <= tokens->n */
extern void llm_tokens_cut(LlmTokens *tokens, size_t n, size_t n_last);

#endif
