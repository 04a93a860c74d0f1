/*
 * prefix_cache.h: the cache pages of recent prompts, so that a prompt that begins like one of them starts there.
 *
 * An entry is the tokens of a prompt and a sequence that shares its pages. Prompts of one statement have their fixed part
 * in common, and the turns of a chat all but the last; so a few entries, used least recently thrown out first, find them.
 * Reuse cannot change a result: pages hold what the same tokens at the same positions gave, bit by bit. Where the model has
 * recurrent layers, their state is known at the end of a stored prompt only, so a prompt must begin with all of it.
 */
#ifndef LLM_PREFIX_CACHE_H
#define LLM_PREFIX_CACHE_H

#include "state/kv_pages.h"

#define LLM_PREFIX_ENTRIES 16

/* a shorter common part is not worth the copy of its last page */
#define LLM_PREFIX_MIN_TOKENS 8

typedef struct LlmPrefixEntry
{
	int32_t    *tokens;
	uint32_t	n_tokens;
	LlmKvSeq	seq;
	uint64_t	used;			/* clock of the last use */
} LlmPrefixEntry;

typedef struct LlmPrefixCache
{
	const LlmAllocator *allocator;
	LlmKvPool  *pool;
	size_t		max_pages;		/* held by all entries together (shared ones, and states, counted each time); 0: off */
	size_t		n_pages;
	uint64_t	clock;
	int			n_entries;
	LlmPrefixEntry entries[LLM_PREFIX_ENTRIES];
} LlmPrefixCache;

extern void llm_prefix_cache_init(LlmPrefixCache *cache, LlmKvPool *pool, size_t max_pages, const LlmAllocator *a);
extern void llm_prefix_cache_free(LlmPrefixCache *cache);

/*
 * seq (empty) becomes the longest stored beginning of tokens, of at most n_tokens - 1 positions, as the last token's
 * logits must be computed. Stays empty if nothing useful is stored. Errors: LLM_E_NOMEM.
 */
extern LlmStatus llm_prefix_cache_get(LlmPrefixCache *cache, const int32_t *tokens, uint32_t n_tokens, LlmKvSeq *seq,
									  LlmError *err);

/* remember a computed prompt. Where memory is short it is not remembered: that costs time later, never a result. */
extern void llm_prefix_cache_put(LlmPrefixCache *cache, const int32_t *tokens, uint32_t n_tokens, const LlmKvSeq *seq);

/* forget the least recently used entry; false if there is none */
extern bool llm_prefix_cache_evict(LlmPrefixCache *cache);

#endif
