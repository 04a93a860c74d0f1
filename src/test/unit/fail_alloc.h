/*
 * fail_alloc.h: an allocator for tests that refuses one request, counts what is alive, and gives memory aligned to 8
 * bytes only, as memory contexts do.
 *
 * To refuse each request in turn: for (k = 0;; k++) { fail_alloc_init(&fa, k); ...; if (!fa.refused) break; }
 */
#ifndef LLM_TEST_FAIL_ALLOC_H
#define LLM_TEST_FAIL_ALLOC_H

#include "base/arena.h"

#include <stdlib.h>

typedef struct FailAlloc
{
	LlmAllocator allocator;
	long		n_requests;
	long		fail_at;		/* the request (from 0) that is refused; negative: none */
	long		n_alive;
	size_t		max_bytes;		/* requests above are refused too; 0: no bound */
	size_t		largest_bytes;	/* largest request seen */
	bool		refused;
} FailAlloc;

static void *
fail_alloc_alloc(void *ctx, size_t size)
{
	FailAlloc  *fa = ctx;
	char	   *raw;

	if (size > fa->largest_bytes)
		fa->largest_bytes = size;
	if (fa->n_requests++ == fa->fail_at || (fa->max_bytes && size > fa->max_bytes))
	{
		fa->refused = true;
		return NULL;
	}
	raw = malloc(size + 8);
	if (!raw)
		return NULL;
	fa->n_alive++;
	return raw + 8;
}

static void
fail_alloc_free(void *ctx, void *ptr)
{
	FailAlloc  *fa = ctx;

	if (!ptr)
		return;
	fa->n_alive--;
	free((char *) ptr - 8);
}

static inline void
fail_alloc_init(FailAlloc *fa, long fail_at)
{
	*fa = (FailAlloc) {.fail_at = fail_at};
	fa->allocator = (LlmAllocator) {fail_alloc_alloc, fail_alloc_free, fa};
}

#endif
