/*
 * prefix_cache.c: see prefix_cache.h.
 */
#include <string.h>

#include "state/prefix_cache.h"

void
llm_prefix_cache_init(LlmPrefixCache *cache, LlmKvPool *pool, size_t max_pages, const LlmAllocator *a)
{
	memset(cache, 0, sizeof(*cache));
	cache->allocator = a;
	cache->pool = pool;
	cache->max_pages = max_pages;
}

static size_t
seq_pages(const LlmPrefixCache *cache, const LlmKvSeq *seq)
{
	return seq->n_pages + (seq->state ? cache->pool->state_pages : 0);
}

static bool
is_recurrent(const LlmPrefixCache *cache)
{
	return cache->pool->recurrent.n_floats > 0;
}

static void
remove_entry(LlmPrefixCache *cache, int i)
{
	LlmPrefixEntry *e = &cache->entries[i];

	cache->n_pages -= seq_pages(cache, &e->seq);
	llm_kv_seq_free(cache->pool, &e->seq);
	llm_free(cache->allocator, e->tokens);
	*e = cache->entries[--cache->n_entries];
}

void
llm_prefix_cache_free(LlmPrefixCache *cache)
{
	while (cache->n_entries > 0)
		remove_entry(cache, cache->n_entries - 1);
}

bool
llm_prefix_cache_evict(LlmPrefixCache *cache)
{
	int			oldest = 0;

	if (cache->n_entries == 0)
		return false;
	for (int i = 1; i < cache->n_entries; i++)
	{
		if (cache->entries[i].used < cache->entries[oldest].used)
			oldest = i;
	}
	remove_entry(cache, oldest);
	return true;
}

static uint32_t
common_prefix(const LlmPrefixEntry *e, const int32_t *tokens, uint32_t n_tokens)
{
	uint32_t	limit = e->n_tokens < n_tokens ? e->n_tokens : n_tokens;
	uint32_t	n = 0;

	while (n < limit && e->tokens[n] == tokens[n])
		n++;
	return n;
}

LlmStatus
llm_prefix_cache_get(LlmPrefixCache *cache, const int32_t *tokens, uint32_t n_tokens, LlmKvSeq *seq, LlmError *err)
{
	LlmPrefixEntry *best = NULL;
	uint32_t	best_n = LLM_PREFIX_MIN_TOKENS - 1;

	for (int i = 0; i < cache->n_entries; i++)
	{
		uint32_t	n = common_prefix(&cache->entries[i], tokens, n_tokens - 1);

		if (n > best_n && (n == cache->entries[i].n_tokens || !is_recurrent(cache)))
		{
			best = &cache->entries[i];
			best_n = n;
		}
	}
	if (!best)
		return LLM_OK;
	best->used = ++cache->clock;
	return llm_kv_seq_fork(cache->pool, &best->seq, best_n, seq, err);
}

void
llm_prefix_cache_put(LlmPrefixCache *cache, const int32_t *tokens, uint32_t n_tokens, const LlmKvSeq *seq)
{
	size_t		n_pages = llm_kv_pages_for(n_tokens) + cache->pool->state_pages;
	LlmPrefixEntry e = {.n_tokens = n_tokens};
	void	   *p;

	if (n_pages > cache->max_pages || n_tokens < LLM_PREFIX_MIN_TOKENS)
		return;

	/* an entry that the new one contains, or that contains it, says nothing more, but for the state at its end */
	for (int i = cache->n_entries - 1; i >= 0; i--)
	{
		uint32_t	n = common_prefix(&cache->entries[i], tokens, n_tokens);

		if (n == n_tokens && (n == cache->entries[i].n_tokens || !is_recurrent(cache)))
		{
			cache->entries[i].used = ++cache->clock;
			return;
		}
		if (n == cache->entries[i].n_tokens && !is_recurrent(cache))
			remove_entry(cache, i);
	}
	while (cache->n_entries == LLM_PREFIX_ENTRIES || cache->n_pages + n_pages > cache->max_pages)
		llm_prefix_cache_evict(cache);
	if (llm_alloc(cache->allocator, n_tokens, sizeof(int32_t), &p, NULL) != LLM_OK)
		return;
	e.tokens = p;
	memcpy(e.tokens, tokens, n_tokens * sizeof(int32_t));
	if (llm_kv_seq_fork(cache->pool, seq, n_tokens, &e.seq, NULL) != LLM_OK || e.seq.n_past != n_tokens)
	{
		llm_free(cache->allocator, p);
		return;
	}
	e.used = ++cache->clock;
	cache->n_pages += seq_pages(cache, &e.seq);
	cache->entries[cache->n_entries++] = e;
}
