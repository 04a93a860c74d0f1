/*
 * arena.c: allocation through the caller's allocator, the bump arena, and two growable arrays.
 *
 * Sizes of 0 are allocated as 1 byte, so that NULL always means failure.
 */
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64

#define ARENA_ALIGN ((size_t) 16)
#define ARENA_FIRST_BLOCK ((size_t) 4096)
#define ARENA_MAX_BLOCK ((size_t) 1 << 20)

/* header of a block; its data follows, aligned (the allocator may align to 8 bytes only) */
struct LlmArenaBlock
{
	LlmArenaBlock *next;
	size_t		capacity;		/* bytes of data */
};

static void *
malloc_alloc(void *ctx, size_t size)
{
	(void) ctx;
	return malloc(size);
}

static void
malloc_free(void *ctx, void *ptr)
{
	(void) ctx;
	free(ptr);
}

const LlmAllocator llm_malloc_allocator = {malloc_alloc, malloc_free, NULL};

static LlmStatus
out_of_memory(LlmError *err, size_t bytes)
{
	llm_fail(err, LLM_E_NOMEM, "out of memory");
	llm_error_detail(err, "Failed on a request of %zu bytes.", bytes);
	return LLM_E_NOMEM;
}

static LlmStatus
too_large(LlmError *err, size_t n, size_t size)
{
	llm_fail(err, LLM_E_LIMIT, "size of an allocation is out of range");
	llm_error_detail(err, "%zu elements of %zu bytes were asked for.", n, size);
	return LLM_E_LIMIT;
}

LlmStatus
llm_alloc(const LlmAllocator *a, size_t n, size_t size, void **out, LlmError *err)
{
	size_t		bytes;
	void	   *ptr;

	if (!llm_size_mul(n, size, &bytes) || bytes > PTRDIFF_MAX)
		return too_large(err, n, size);
	ptr = a->alloc(a->ctx, bytes ? bytes : 1);
	if (!ptr)
		return out_of_memory(err, bytes);
	*out = ptr;
	return LLM_OK;
}

LlmStatus
llm_alloc_zero(const LlmAllocator *a, size_t n, size_t size, void **out, LlmError *err)
{
	LLM_TRY(llm_alloc(a, n, size, out, err));
	memset(*out, 0, n * size);
	return LLM_OK;
}

void
llm_free(const LlmAllocator *a, void *ptr)
{
	if (ptr)
		a->free(a->ctx, ptr);
}

/* the address that the allocator gave is kept in the word before the aligned one */
LlmStatus
llm_alloc_aligned(const LlmAllocator *a, size_t n, size_t size, void **out, LlmError *err)
{
	size_t		bytes;
	void	   *raw;
	uintptr_t	address;

	if (!llm_size_mul(n, size, &bytes) || !llm_size_add(bytes, ALIGNMENT + sizeof(void *), &bytes))
		return too_large(err, n, size);
	LLM_TRY(llm_alloc(a, bytes, 1, &raw, err));
	address = ((uintptr_t) raw + sizeof(void *) + ALIGNMENT - 1) & ~(uintptr_t) (ALIGNMENT - 1);
	memcpy((char *) address - sizeof(void *), &raw, sizeof(void *));
	*out = (void *) address;
	return LLM_OK;
}

void
llm_free_aligned(const LlmAllocator *a, void *ptr)
{
	void	   *raw;

	if (!ptr)
		return;
	memcpy(&raw, (char *) ptr - sizeof(void *), sizeof(void *));
	llm_free(a, raw);
}

void
llm_arena_init(LlmArena *arena, const LlmAllocator *allocator, size_t limit_bytes)
{
	memset(arena, 0, sizeof(*arena));
	arena->allocator = allocator;
	arena->limit_bytes = limit_bytes;
}

void
llm_arena_free(LlmArena *arena)
{
	LlmArenaBlock *block = arena->blocks;

	while (block)
	{
		LlmArenaBlock *next = block->next;

		llm_free(arena->allocator, block);
		block = next;
	}
	arena->blocks = NULL;
	arena->used_bytes = 0;
	arena->total_bytes = 0;
}

static char *
block_data(LlmArenaBlock *block)
{
	return (char *) (((uintptr_t) (block + 1) + ARENA_ALIGN - 1) & ~(uintptr_t) (ARENA_ALIGN - 1));
}

/* a block of at least need bytes of data (a multiple of ARENA_ALIGN); blocks double up to a bound */
static LlmStatus
arena_add_block(LlmArena *arena, size_t need, LlmError *err)
{
	size_t		capacity = ARENA_FIRST_BLOCK;
	size_t		bytes;
	void	   *ptr;
	LlmArenaBlock *block;

	while (capacity < ARENA_MAX_BLOCK && capacity < arena->total_bytes)
		capacity *= 2;
	if (arena->limit_bytes && (arena->total_bytes >= arena->limit_bytes || capacity > arena->limit_bytes - arena->total_bytes))
		capacity = need;
	if (capacity < need)
		capacity = need;
	if (!llm_size_add(capacity, sizeof(LlmArenaBlock) + ARENA_ALIGN, &bytes))
		return too_large(err, need, 1);
	if (arena->limit_bytes && (capacity > arena->limit_bytes || arena->total_bytes > arena->limit_bytes - capacity))
	{
		llm_fail(err, LLM_E_LIMIT, "memory needed exceeds its limit");
		llm_error_detail(err, "%zu bytes are in use and %zu more are needed; the limit is %zu bytes.",
						 arena->total_bytes, need, arena->limit_bytes);
		return LLM_E_LIMIT;
	}
	LLM_TRY(llm_alloc(arena->allocator, bytes, 1, &ptr, err));
	block = ptr;
	block->capacity = capacity;
	block->next = arena->blocks;
	arena->blocks = block;
	arena->used_bytes = 0;
	arena->total_bytes += capacity;
	return LLM_OK;
}

LlmStatus
llm_arena_alloc(LlmArena *arena, size_t n, size_t size, void **out, LlmError *err)
{
	size_t		bytes;

	if (!llm_size_mul(n, size, &bytes) || bytes > PTRDIFF_MAX - ARENA_ALIGN)
		return too_large(err, n, size);
	bytes = (bytes + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
	if (bytes == 0)
		bytes = ARENA_ALIGN;
	if (!arena->blocks || bytes > arena->blocks->capacity - arena->used_bytes)
		LLM_TRY(arena_add_block(arena, bytes, err));
	*out = block_data(arena->blocks) + arena->used_bytes;
	arena->used_bytes += bytes;
	return LLM_OK;
}

/*
 * grow_array: make room for `need` elements of elem_size bytes where *capacity are and the first `used` hold values;
 * doubles, so that appending costs constant time.
 */
static LlmStatus
grow_array(const LlmAllocator *a, void **data, size_t used, size_t *capacity, size_t need, size_t elem_size, LlmError *err)
{
	size_t		grown = *capacity ? *capacity : 64;
	void	   *fresh;

	if (need <= *capacity)
		return LLM_OK;
	while (grown < need)
		if (!llm_size_mul(grown, 2, &grown))
			return too_large(err, need, elem_size);
	LLM_TRY(llm_alloc(a, grown, elem_size, &fresh, err));
	if (used)
		memcpy(fresh, *data, used * elem_size);
	llm_free(a, *data);
	*data = fresh;
	*capacity = grown;
	return LLM_OK;
}

void
llm_buf_init(LlmBuf *buf, const LlmAllocator *allocator)
{
	memset(buf, 0, sizeof(*buf));
	buf->allocator = allocator;
}

void
llm_buf_free(LlmBuf *buf)
{
	llm_free(buf->allocator, buf->data);
	llm_buf_init(buf, buf->allocator);
}

LlmStatus
llm_buf_reserve(LlmBuf *buf, size_t extra, LlmError *err)
{
	size_t		need;
	void	   *data = buf->data;

	if (extra <= buf->capacity - buf->len)
		return LLM_OK;			/* most calls, with a byte or a token */
	if (!llm_size_add(buf->len, extra, &need))
		return too_large(err, extra, 1);
	LLM_TRY(grow_array(buf->allocator, &data, buf->len, &buf->capacity, need, 1, err));
	buf->data = data;
	return LLM_OK;
}

LlmStatus
llm_buf_append(LlmBuf *buf, const void *data, size_t len, LlmError *err)
{
	if (len == 0)
		return LLM_OK;
	LLM_TRY(llm_buf_reserve(buf, len, err));
	memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	return LLM_OK;
}

void
llm_tokens_init(LlmTokens *tokens, const LlmAllocator *allocator)
{
	memset(tokens, 0, sizeof(*tokens));
	tokens->allocator = allocator;
}

void
llm_tokens_free(LlmTokens *tokens)
{
	llm_free(tokens->allocator, tokens->ids);
	llm_tokens_init(tokens, tokens->allocator);
}

LlmStatus
llm_tokens_append(LlmTokens *tokens, int32_t id, LlmError *err)
{
	void	   *ids = tokens->ids;

	if (tokens->n == SIZE_MAX)
		return too_large(err, tokens->n, sizeof(int32_t));
	LLM_TRY(grow_array(tokens->allocator, &ids, tokens->n, &tokens->capacity, tokens->n + 1, sizeof(int32_t), err));
	tokens->ids = ids;
	tokens->ids[tokens->n++] = id;
	return LLM_OK;
}

void
llm_tokens_cut(LlmTokens *tokens, size_t n, size_t n_last)
{
	memmove(tokens->ids + n - n_last, tokens->ids + tokens->n - n_last, n_last * sizeof(int32_t));
	tokens->n = n;
}
