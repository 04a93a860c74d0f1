/*
 * token_trie.h: a vocabulary as a tree of bytes, in depth-first order: what turns states of a grammar into sets of tokens.
 *
 * Nodes lie in order of a walk that visits a node before its children; `end` is the first node that is not below. Tokens lie in the same
 * order, so the tokens below a node are one range. Special tokens and those that end a text are not in it. A token counts with the
 * bytes that it adds in the middle of a text, or (first) at its beginning, where SentencePiece drops a space.
 */
#ifndef LLM_TOKEN_TRIE_H
#define LLM_TOKEN_TRIE_H

#include "base/arena.h"
#include "text/tokenizer.h"

/* not only plain characters below; the largest number of them that is told apart */
#define LLM_TRIE_NOT_PLAIN 255
#define LLM_TRIE_MAX_PLAIN 254

typedef struct LlmTrieNode
{
	int32_t		end;
	int32_t		first_token;	/* in ids; its own tokens end where those of the next node begin */
	uint8_t		byte;			/* that leads to it */
	uint8_t		plain;			/* the longest way below, in plain characters (machine.h), or LLM_TRIE_NOT_PLAIN */
	uint8_t		chars;			/* that begin from the root to here, LLM_TRIE_MAX_PLAIN at most */
} LlmTrieNode;

/* a token with two quotes or more: it can write a whole key of JSON */
typedef struct LlmQuoting
{
	int32_t		id;
	uint32_t	off;			/* of its bytes in quoting_bytes */
	uint32_t	len;
} LlmQuoting;

typedef struct LlmTokenTrie
{
	const LlmAllocator *allocator;
	LlmTrieNode *nodes;			/* n_nodes and one more; node 0 is the root */
	int32_t		n_nodes;
	int32_t    *ids;
	uint8_t    *chars;			/* (n_ids): characters that begin in the token, LLM_TRIE_MAX_PLAIN at most */
	int32_t		n_ids;
	int32_t		n_vocab;		/* ids are below */
	LlmQuoting *quoting;
	char	   *quoting_bytes;
	int32_t		n_quoting;
	int32_t    *ends;			/* tokens that end a text */
	int32_t		n_ends;
} LlmTokenTrie;

/* tokens from n_vocab on are left out */
extern LlmStatus llm_token_trie_create(const LlmTokenizer *t, int32_t n_vocab, bool first, const LlmAllocator *a, LlmTokenTrie **out,
									   LlmError *err);
extern void llm_token_trie_free(LlmTokenTrie *trie);

/*
 * Append the ids of bytes (max_tokens at most), each time the token that takes most; *taken: bytes that were written so (less than n only where
 * the vocabulary has no token for the next byte).
 */
extern LlmStatus llm_token_trie_greedy(const LlmTokenTrie *trie, const char *bytes, size_t n, size_t max_tokens, LlmTokens *out,
									   size_t *taken, LlmError *err);

#endif
