/*
 * chunk.h: a long text in pieces of so many tokens, cut where a reader would cut it.
 */
#ifndef LLM_CHUNK_H
#define LLM_CHUNK_H

#include "text/tokenizer.h"

/* cuts one text, piece after piece; all positions are bytes of the text */
typedef struct LlmChunker
{
	const LlmTokenizer *tokenizer;
	LlmStr		text;			/* borrowed */
	size_t		max_tokens;		/* of a piece, at least 1 */
	size_t		overlap;		/* tokens that a piece repeats from the end of the one before at most; below max_tokens */
	size_t		start;			/* of the last piece */
	size_t		stop;			/* its end; 0: none yet */
	size_t		guess_bytes;	/* about what a piece will have */
	LlmTokens	ids;			/* scratch */
} LlmChunker;

/* memory comes from a; max_tokens and overlap as the fields say */
extern void llm_chunker_init(LlmChunker *c, const LlmTokenizer *tokenizer, LlmStr text, size_t max_tokens, size_t overlap,
							 const LlmAllocator *a);
extern void llm_chunker_free(LlmChunker *c);

/*
 * The next piece, as c->start and c->stop; *more false if there is none. A piece has at most max_tokens tokens, without
 * special ones, when tokenized by itself; a single character that has more is a piece by itself. Without overlap the
 * pieces put together are the text. LLM_PAUSED: the last piece is as it was; call again.
 */
extern LlmStatus llm_chunker_next(LlmChunker *c, const LlmStop *stop, bool *more, LlmError *err);

#endif
