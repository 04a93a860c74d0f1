/*
 * shared_cache.h: packed models in the server's main shared memory, one copy for all sessions.
 *
 * Exists if the library is preloaded and pg_llm.cache_size is above 0. Its file says how it works and what a lock guards.
 */
#ifndef PGLLM_SHARED_CACHE_H
#define PGLLM_SHARED_CACHE_H

#include "models.h"

#include "datatype/timestamp.h"

typedef struct PgLlmCachedModel
{
	char		name[NAMEDATALEN];	/* as who loaded it called it */
	Oid			database;
	char		digest[PGLLM_DIGEST_HEX + 1];
	size_t		bytes;
	bool		loading;
	bool		pinned;
	uint32		n_users;		/* sessions that use it in a transaction now */
	uint64		hits;			/* uses since it was loaded */
	TimestampTz loaded;
	TimestampTz last_used;
} PgLlmCachedModel;

/* settings, and room in shared memory; called when the library is loaded */
extern void pgllm_shared_cache_init(void);

/* bytes of the cache; 0: there is none */
extern size_t pgllm_shared_cache_bytes(void);

/* use the model of that digest; false if it is not in the cache. A use ends by release, or with the process. */
extern bool pgllm_shared_cache_use(const char *digest, PgLlmPlace *place, const uint8_t **base, size_t *size);

/* use again what was released; false if it is not there any more */
extern bool pgllm_shared_cache_reuse(const PgLlmPlace *place);
extern void pgllm_shared_cache_release(const PgLlmPlace *place);

/*
 * Load: reserve room of that size, removing the least recently used models that are neither used nor pinned; false if
 * there is not enough even then, and nothing is removed. All bytes at *base are zero; the caller writes the pack and then
 * publishes it (which is a use) or gives it up. Serves interrupts. One session at a time for a digest: the caller's duty.
 */
extern bool pgllm_shared_cache_reserve(const char *digest, const char *name, uint64 size, PgLlmPlace *place, uint8_t **base);
extern void pgllm_shared_cache_publish(const PgLlmPlace *place);
extern void pgllm_shared_cache_give_up(PgLlmPlace *place);	/* does nothing if it is none */

/* false if it is not in the cache */
extern bool pgllm_shared_cache_pin(const char *digest, bool pin);

/* remove it, pinned or not: false if it is in use, and the number of users then */
extern bool pgllm_shared_cache_remove(const char *digest, uint32 *n_users);

/* all that is there, palloc'd */
extern int	pgllm_shared_cache_list(PgLlmCachedModel **out);

/* preload.c: the setting of models to load when the server starts, and who does it; called when the library is loaded */
extern void pgllm_preload_init(void);

#endif
