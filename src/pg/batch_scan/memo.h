/*
 * memo.h: answers of calls, found by the calls' keys.
 *
 * Two places hold answers. The statement's memo holds those that were made since the statement began, up to a size, the
 * least recently used leave first. A shelf holds what a batch node has computed ahead for the rows of its current batch; it
 * ends with its memory context, and so outlives a statement if a cursor does. A call looks on the shelves, then in the memo.
 */
#ifndef PGLLM_MEMO_H
#define PGLLM_MEMO_H

#include "llm_function.h"

/* key of anything that is not a call: bytes, and what they are of */
extern PgLlmKey pgllm_key(const char *what, const void *bytes, size_t n);

/* an answer that equal calls share; NULL: none. Borrowed until the next call of a function of this file. */
extern const PgLlmAnswer *pgllm_memo_find(const PgLlmKey *key);

/* a drawn answer, which nobody else gets: taken off a shelf, in the current memory context; NULL: none */
extern const PgLlmAnswer *pgllm_memo_take(const PgLlmKey *key);

/* keep an answer for the rest of the statement */
extern void pgllm_memo_store(const PgLlmKey *key, const PgLlmAnswer *answer);

/* the client's statement or the transaction has ended */
extern void pgllm_memo_forget(void);

/* ---- shelves ---- */
typedef struct PgLlmShelf PgLlmShelf;

extern PgLlmShelf *pgllm_shelf_create(MemoryContext context);

/* whether an equal call is on this shelf, with its answer or waiting for it; if not, it waits from now on */
extern bool pgllm_shelf_claim(PgLlmShelf *shelf, const PgLlmKey *key);

/* put an answer that equal calls share; NULL: there is none, and calls have to make their own */
extern void pgllm_shelf_put(PgLlmShelf *shelf, const PgLlmKey *key, const PgLlmAnswer *answer);

/* put a drawn answer beside others of the same key */
extern void pgllm_shelf_put_drawn(PgLlmShelf *shelf, const PgLlmKey *key, const PgLlmAnswer *answer);

#endif
