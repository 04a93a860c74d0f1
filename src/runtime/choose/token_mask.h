/*
 * token_mask.h: which tokens may come next in a grammar.
 *
 * The tokens of one (state, top of stack) are found by walking the vocabulary's tree with the machine, once, and kept. A
 * token that returns from more calls than the top one depends on the rest of the stack: for those the place in the tree is kept, and
 * the walk goes on from there each time. What is plain text in a string needs no walk: a subtree whose ways are no longer than the
 * state's run is allowed as a whole.
 */
#ifndef LLM_TOKEN_MASK_H
#define LLM_TOKEN_MASK_H

#include "choose/grammar_run.h"
#include "choose/token_trie.h"

typedef struct LlmMasker LlmMasker;

/* grammar and trie must outlive it. limit_bytes: kept masks at most */
extern LlmStatus llm_masker_create(const LlmGrammar *g, const LlmTokenTrie *trie, size_t limit_bytes, const LlmAllocator *a,
								   LlmMasker **out, LlmError *err);
extern void llm_masker_free(LlmMasker *masker);

/*
 * Bits of the tokens that may come next: tokens of the text, and the end tokens if it is whole. Borrowed until the next call. (n_vocab of the
 * trie; bit id % 32 of word id / 32.) run is unchanged but for its scratch. *any false: none.
 */
extern LlmStatus llm_masker_mask(LlmMasker *masker, LlmGrammarRun *run, const uint32_t **bits, bool *any, LlmError *err);

#endif
