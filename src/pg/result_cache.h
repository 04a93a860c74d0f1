/*
 * result_cache.h: answers that statements and sessions share (pg_llm.result_cache = shared), by the calls' keys.
 *
 * A key is made of what an answer depends on: digest and options of the model, numeric version, function and arguments
 * (llm_function.c). Who looks an answer up has been checked for the model's USAGE and has the arguments, so gets nothing that
 * it could not compute; that an answer comes at once tells that someone asked the same before (docs/settings.md).
 */
#ifndef PGLLM_RESULT_CACHE_H
#define PGLLM_RESULT_CACHE_H

#include "llm_function.h"

#include "storage/lwlock.h"

/* there is one: the library is preloaded, and pg_llm.result_cache_size is not 0 */
extern bool pgllm_result_cache_exists(void);

/* a copy in the current memory context; NULL: it is not there */
extern PgLlmAnswer *pgllm_result_cache_find(const PgLlmKey *key);

/* the oldest answers make room; one that is too large, or an error, is left out */
extern void pgllm_result_cache_store(const PgLlmKey *key, const PgLlmAnswer *answer);

extern void pgllm_result_cache_clear(void);

/* ---- in shared memory (shared_memory.c) ---- */
extern void pgllm_result_cache_settings(void);
extern Size pgllm_result_cache_bytes(void);
extern void pgllm_result_cache_attach(LWLock *lock);

#endif
