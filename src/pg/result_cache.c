/*
 * result_cache.c: a ring of answers in shared memory, and a hash table from keys to places in it.
 *
 * The ring is a row of records, each a key and its answer. New ones are written at the head; what lies in their way is the
 * oldest, whose records and keys go. An answer that is found in the older half is written again at the head, so that what is
 * in use stays. Places are counted on and on, from the start of the server; modulo the ring's size they are offsets. A record
 * does not wrap: where the rest of the ring is too short, a record without key fills it.
 *
 * One lock guards ring and table. It is held for copying one answer.
 */
#include "result_cache.h"

#include "miscadmin.h"
#include "storage/shmem.h"
#include "utils/guc.h"
#include "utils/hsearch.h"

/* an answer may have this part of the ring */
#define LARGEST_SHARE 16

/* the table has an entry for so many bytes of the ring; more answers than that are not kept */
#define BYTES_PER_ENTRY 256

typedef struct Record
{
	Size		size_bytes;		/* of the whole record, aligned */
	bool		filler;			/* no key, no answer */
	PgLlmKey	key;
} Record;

#define RECORD_BYTES MAXALIGN(sizeof(Record))

/* records and the ring are multiples of it, so that a rest always has room for a filler's header */
#define RECORD_ALIGN 64
StaticAssertDecl(RECORD_BYTES <= RECORD_ALIGN, "a record's header must fit into the least record");

typedef struct Entry
{
	PgLlmKey	key;			/* first */
	uint64		place;
} Entry;

typedef struct Ring
{
	Size		size_bytes;
	uint64		head;			/* where the next record begins */
	uint64		tail;			/* the oldest record */
} Ring;

static int	cache_size_kb = 16 * 1024;
static Ring *ring = NULL;
static char *records = NULL;
static HTAB *table = NULL;
static LWLock *ring_lock = NULL;

/* ---- shared memory ---- */

void
pgllm_result_cache_settings(void)
{
	DefineCustomIntVariable("pg_llm.result_cache_size",
							"Shared memory for answers that sessions share by pg_llm.result_cache = shared.",
							"0: none.",
							&cache_size_kb, 16 * 1024, 0, 64 * 1024 * 1024, PGC_POSTMASTER, GUC_UNIT_KB, NULL, NULL, NULL);
}

static Size
ring_bytes(void)
{
	return (Size) cache_size_kb * 1024;
}

static long
max_entries(void)
{
	return (long) Max(ring_bytes() / BYTES_PER_ENTRY, 16);
}

static Size
block_bytes(void)
{
	return add_size(MAXALIGN(sizeof(Ring)), ring_bytes());
}

Size
pgllm_result_cache_bytes(void)
{
	if (cache_size_kb == 0)
		return 0;
	return add_size(block_bytes(), hash_estimate_size(max_entries(), sizeof(Entry)));
}

void
pgllm_result_cache_attach(LWLock *lock)
{
	HASHCTL		ctl = {.keysize = sizeof(PgLlmKey), .entrysize = sizeof(Entry)};
	bool		found;

	if (cache_size_kb == 0)
		return;
	ring = ShmemInitStruct("pg_llm result cache", block_bytes(), &found);
	records = (char *) ring + MAXALIGN(sizeof(Ring));
	table = ShmemInitHash("pg_llm result cache keys", max_entries(), max_entries(), &ctl, HASH_ELEM | HASH_BLOBS);
	ring_lock = lock;
	if (!found)
	{
		memset(ring, 0, sizeof *ring);
		ring->size_bytes = ring_bytes();
	}
}

bool
pgllm_result_cache_exists(void)
{
	return ring != NULL;
}

/* ---- records; all with the lock held ---- */

static Record *
record_at(uint64 place)
{
	return (Record *) (records + place % ring->size_bytes);
}

static PgLlmAnswer *
answer_of(Record *record)
{
	return (PgLlmAnswer *) ((char *) record + RECORD_BYTES);
}

static void
drop_oldest(void)
{
	Record	   *record = record_at(ring->tail);
	Entry	   *entry = record->filler ? NULL : hash_search(table, &record->key, HASH_FIND, NULL);

	/* the key may have been written again since */
	if (entry != NULL && entry->place == ring->tail)
		hash_search(table, &record->key, HASH_REMOVE, NULL);
	ring->tail += record->size_bytes;
}

/* room at the head for a record of that size, contiguous */
static Record *
make_room(Size size)
{
	Size		rest = ring->size_bytes - ring->head % ring->size_bytes;
	Size		filler = rest < size ? rest : 0;
	Record	   *record;

	while (ring->head + filler + size - ring->tail > ring->size_bytes ||
		   (ring->tail < ring->head && hash_get_num_entries(table) >= max_entries()))
		drop_oldest();
	if (filler > 0)
	{
		record = record_at(ring->head);
		record->size_bytes = filler;
		record->filler = true;
		ring->head += filler;
	}
	record = record_at(ring->head);
	record->size_bytes = size;
	record->filler = false;
	return record;
}

static Size
record_size(const PgLlmAnswer *answer)
{
	return TYPEALIGN(RECORD_ALIGN, RECORD_BYTES + answer->size_bytes);
}

static void
put(const PgLlmKey *key, const PgLlmAnswer *answer)
{
	Size		size = record_size(answer);
	Record	   *record = make_room(size);
	Entry	   *entry = hash_search(table, key, HASH_ENTER_NULL, NULL);

	if (entry == NULL)
		return;					/* what was made room for is free again */
	record->key = *key;
	memcpy(answer_of(record), answer, answer->size_bytes);
	entry->place = ring->head;
	ring->head += size;
}

/* ---- answers ---- */

PgLlmAnswer *
pgllm_result_cache_find(const PgLlmKey *key)
{
	PgLlmAnswer *found = NULL;
	Entry	   *entry;
	Size		size = 0;
	bool		old = false;

	if (ring == NULL)
		return NULL;
	LWLockAcquire(ring_lock, LW_SHARED);
	entry = hash_search(table, key, HASH_FIND, NULL);
	if (entry != NULL)
	{
		PgLlmAnswer *answer = answer_of(record_at(entry->place));

		size = answer->size_bytes;
		found = palloc_extended(size, MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
		if (found != NULL)
			memcpy(found, answer, size);
		old = ring->head - entry->place > ring->size_bytes / 2;
	}
	LWLockRelease(ring_lock);
	if (found != NULL && old)
		pgllm_result_cache_store(key, found);
	return found;
}

void
pgllm_result_cache_store(const PgLlmKey *key, const PgLlmAnswer *answer)
{
	if (ring == NULL || answer->error_off != 0 || record_size(answer) > ring->size_bytes / LARGEST_SHARE)
		return;
	LWLockAcquire(ring_lock, LW_EXCLUSIVE);
	put(key, answer);
	LWLockRelease(ring_lock);
}

void
pgllm_result_cache_clear(void)
{
	if (ring == NULL)
		return;
	LWLockAcquire(ring_lock, LW_EXCLUSIVE);
	while (ring->tail < ring->head)
		drop_oldest();
	memset(records, 0, ring->size_bytes);	/* what was answered is not left lying about */
	LWLockRelease(ring_lock);
}
