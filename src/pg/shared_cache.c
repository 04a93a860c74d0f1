/*
 * shared_cache.c: packed models in the server's main shared memory.
 *
 * One piece of shared memory: a directory of slots, then pg_llm.cache_size bytes that slots own extents of. An extent is
 * contiguous, as a pack is. The directory's lock is held for look-ups and changes of slots only, never while a model is
 * written or read. A slot is
 *
 *   free      its extent is nobody's
 *   loading   its owner writes the extent; nobody else looks at it
 *   ready     its extent does not change; it goes when no session uses it and room is needed (least recently used first,
 *             never if pinned), or by pgllm_shared_cache_remove
 *
 * A session uses a model from its first need in a transaction to the transaction's end, so that idle connections hold
 * nothing. Between transactions it keeps addresses, and the number of the slot's generation tells whether they still hold
 * what they did. The uses and loads of a session are noted here too, so that the end of a process gives them back whatever it
 * was in.
 */
#include "shared_cache.h"

#include <limits.h>

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#define MAX_SLOTS 256
#define EXTENT_ALIGN 4096
#define CLEAR_BYTES ((size_t) 8 * 1024 * 1024)
#define TRANCHE "pg_llm shared cache"

typedef enum SlotState
{
	SLOT_FREE = 0,
	SLOT_LOADING,
	SLOT_READY
} SlotState;

typedef struct Slot
{
	SlotState	state;
	uint64		generation;		/* of what is in it now */
	size_t		offset;			/* of the extent, and its length */
	size_t		extent_bytes;
	PgLlmCachedModel model;
} Slot;

/* everything below is guarded by lock, but for the extents themselves */
typedef struct SharedCache
{
	LWLock	   *lock;
	size_t		size_bytes;
	uint64		next_generation;
	size_t		touched_bytes;	/* behind these, memory still is zero */
	Slot		slots[MAX_SLOTS];
} SharedCache;

static int	cache_size_mb = 0;
static SharedCache *cache = NULL;
static uint8 *extents = NULL;

/* of this process */
static uint32 own_uses[MAX_SLOTS];
static bool own_loads[MAX_SLOTS];

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

/* ---- when the server starts ---- */

static Size
directory_bytes(void)
{
	return TYPEALIGN(EXTENT_ALIGN, sizeof(SharedCache));
}

static Size
total_bytes(void)
{
	/* room to align the first extent too */
	return add_size(add_size(directory_bytes(), EXTENT_ALIGN), (Size) cache_size_mb * 1024 * 1024);
}

static void
request_memory(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(total_bytes());
	RequestNamedLWLockTranche(TRANCHE, 1);
}

static void
startup_memory(void)
{
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	cache = ShmemInitStruct(TRANCHE, total_bytes(), &found);
	extents = (uint8 *) TYPEALIGN(EXTENT_ALIGN, (char *) cache + directory_bytes());
	if (!found)
	{
		memset(cache, 0, sizeof(*cache));
		cache->lock = &GetNamedLWLockTranche(TRANCHE)->lock;
		cache->size_bytes = (size_t) cache_size_mb * 1024 * 1024;
		cache->next_generation = 1;
	}
	LWLockRelease(AddinShmemInitLock);
}

void
pgllm_shared_cache_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	DefineCustomIntVariable("pg_llm.cache_size",
							"Shared memory for packed models.",
							"0: none; models are mapped from files in pg_llm.cache_path, as are those that do not fit.",
							&cache_size_mb, 0, 0, INT_MAX, PGC_POSTMASTER, GUC_UNIT_MB, NULL, NULL, NULL);
	if (cache_size_mb == 0)
		return;
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_memory;
}

size_t
pgllm_shared_cache_bytes(void)
{
	return cache ? cache->size_bytes : 0;
}

/* ---- uses ---- */

static Slot *
find_slot(const char *digest)
{
	for (int i = 0; i < MAX_SLOTS; i++)
		if (cache->slots[i].state == SLOT_READY && strcmp(cache->slots[i].model.digest, digest) == 0)
			return &cache->slots[i];
	return NULL;
}

static void
give_back_at_exit(int code, Datum arg)
{
	LWLockAcquire(cache->lock, LW_EXCLUSIVE);
	for (int i = 0; i < MAX_SLOTS; i++)
	{
		if (own_uses[i] > 0)
			cache->slots[i].model.n_users--;
		if (own_loads[i])
			cache->slots[i].state = SLOT_FREE;
		own_uses[i] = 0;
		own_loads[i] = false;
	}
	LWLockRelease(cache->lock);
}

/* before the lock is taken: what may fail */
static void
prepare_use(void)
{
	static bool registered = false;

	if (!registered)
		before_shmem_exit(give_back_at_exit, (Datum) 0);
	registered = true;
}

static void
begin_use(Slot *slot)
{
	if (own_uses[slot - cache->slots]++ == 0)
		slot->model.n_users++;
	slot->model.hits++;
	slot->model.last_used = GetCurrentTimestamp();
}

bool
pgllm_shared_cache_use(const char *digest, PgLlmPlace *place, const uint8_t **base, size_t *size)
{
	Slot	   *slot;

	prepare_use();
	LWLockAcquire(cache->lock, LW_EXCLUSIVE);
	slot = find_slot(digest);
	if (slot)
	{
		begin_use(slot);
		place->slot = (int) (slot - cache->slots);
		place->generation = slot->generation;
		*base = extents + slot->offset;
		*size = slot->model.bytes;
	}
	LWLockRelease(cache->lock);
	return slot != NULL;
}

bool
pgllm_shared_cache_reuse(const PgLlmPlace *place)
{
	Slot	   *slot = &cache->slots[place->slot];
	bool		same;

	prepare_use();
	LWLockAcquire(cache->lock, LW_EXCLUSIVE);
	same = slot->state == SLOT_READY && slot->generation == place->generation;
	if (same)
		begin_use(slot);
	LWLockRelease(cache->lock);
	return same;
}

void
pgllm_shared_cache_release(const PgLlmPlace *place)
{
	Slot	   *slot = &cache->slots[place->slot];

	LWLockAcquire(cache->lock, LW_EXCLUSIVE);
	if (own_uses[place->slot] > 0 && --own_uses[place->slot] == 0)
		slot->model.n_users--;
	slot->model.last_used = GetCurrentTimestamp();
	LWLockRelease(cache->lock);
}

/* ---- room ---- */

static bool
can_go(const Slot *slot)
{
	return slot->state == SLOT_READY && slot->model.n_users == 0 && !slot->model.pinned;
}

/* the smallest gap that holds so many bytes between the extents that stay; without_idle: as if all that can go were gone */
static bool
find_gap(size_t bytes, bool without_idle, size_t *offset)
{
	size_t		best = SIZE_MAX;
	size_t		begin = 0;

	for (;;)
	{
		const Slot *next = NULL;
		size_t		end;

		for (int i = 0; i < MAX_SLOTS; i++)
		{
			const Slot *s = &cache->slots[i];

			if (s->state != SLOT_FREE && s->offset >= begin && !(without_idle && can_go(s)) &&
				(next == NULL || s->offset < next->offset))
				next = s;
		}
		end = next ? next->offset : cache->size_bytes;
		if (end - begin >= bytes && end - begin < best)
		{
			best = end - begin;
			*offset = begin;
		}
		if (next == NULL)
			return best != SIZE_MAX;
		begin = next->offset + next->extent_bytes;
	}
}

static Slot *
least_recently_used(void)
{
	Slot	   *oldest = NULL;

	for (int i = 0; i < MAX_SLOTS; i++)
		if (can_go(&cache->slots[i]) && (oldest == NULL || cache->slots[i].model.last_used < oldest->model.last_used))
			oldest = &cache->slots[i];
	return oldest;
}

static Slot *
free_slot(void)
{
	for (int i = 0; i < MAX_SLOTS; i++)
		if (cache->slots[i].state == SLOT_FREE)
			return &cache->slots[i];
	return NULL;
}

/* a slot and room for it, at the cost of models that can go; NULL if that would not be enough */
static Slot *
make_room(size_t bytes, size_t *offset)
{
	Slot	   *slot;

	if (!find_gap(bytes, true, offset))
		return NULL;
	while ((slot = free_slot()) == NULL || !find_gap(bytes, false, offset))
	{
		Slot	   *oldest = least_recently_used();

		if (oldest == NULL)
			return NULL;
		oldest->state = SLOT_FREE;
	}
	return slot;
}

/* zeros where an earlier model may have been; pages that nobody touched are zero, and are left untouched */
static void
clear_extent(const Slot *slot)
{
	size_t		end = slot->offset + slot->extent_bytes;
	size_t		touched;

	LWLockAcquire(cache->lock, LW_EXCLUSIVE);
	touched = Min(cache->touched_bytes, end);
	cache->touched_bytes = Max(cache->touched_bytes, end);
	LWLockRelease(cache->lock);
	for (size_t at = slot->offset; at < touched; at += CLEAR_BYTES)
	{
		memset(extents + at, 0, Min(CLEAR_BYTES, touched - at));
		CHECK_FOR_INTERRUPTS();
	}
}

bool
pgllm_shared_cache_reserve(const char *digest, const char *name, uint64 size, PgLlmPlace *place, uint8_t **base)
{
	Slot	   *slot = NULL;
	size_t		extent_bytes = TYPEALIGN(EXTENT_ALIGN, size);
	size_t		offset;

	place->slot = PGLLM_NO_PLACE;
	if (size > cache->size_bytes)
		return false;
	prepare_use();
	LWLockAcquire(cache->lock, LW_EXCLUSIVE);
	slot = make_room(extent_bytes, &offset);
	if (slot)
	{
		memset(slot, 0, sizeof(*slot));
		slot->state = SLOT_LOADING;
		slot->generation = cache->next_generation++;
		slot->offset = offset;
		slot->extent_bytes = extent_bytes;
		slot->model.bytes = size;
		slot->model.database = MyDatabaseId;
		slot->model.loading = true;
		strlcpy(slot->model.name, name, sizeof(slot->model.name));
		strlcpy(slot->model.digest, digest, sizeof(slot->model.digest));
		place->slot = (int) (slot - cache->slots);
		place->generation = slot->generation;
		own_loads[place->slot] = true;
		*base = extents + offset;
	}
	LWLockRelease(cache->lock);
	if (slot == NULL)
		return false;
	PG_TRY();
	{
		clear_extent(slot);
	}
	PG_CATCH();
	{
		pgllm_shared_cache_give_up(place);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return true;
}

void
pgllm_shared_cache_publish(const PgLlmPlace *place)
{
	Slot	   *slot = &cache->slots[place->slot];

	LWLockAcquire(cache->lock, LW_EXCLUSIVE);
	slot->state = SLOT_READY;
	own_loads[place->slot] = false;
	slot->model.loading = false;
	slot->model.loaded = GetCurrentTimestamp();
	begin_use(slot);
	LWLockRelease(cache->lock);
}

void
pgllm_shared_cache_give_up(PgLlmPlace *place)
{
	if (place->slot == PGLLM_NO_PLACE)
		return;
	LWLockAcquire(cache->lock, LW_EXCLUSIVE);
	cache->slots[place->slot].state = SLOT_FREE;
	own_loads[place->slot] = false;
	LWLockRelease(cache->lock);
	place->slot = PGLLM_NO_PLACE;	/* another session's from now on */
}

/* ---- what owners and DBAs do ---- */

bool
pgllm_shared_cache_pin(const char *digest, bool pin)
{
	Slot	   *slot;

	LWLockAcquire(cache->lock, LW_EXCLUSIVE);
	slot = find_slot(digest);
	if (slot)
		slot->model.pinned = pin;
	LWLockRelease(cache->lock);
	return slot != NULL;
}

bool
pgllm_shared_cache_remove(const char *digest, uint32 *n_users)
{
	Slot	   *slot;

	*n_users = 0;
	LWLockAcquire(cache->lock, LW_EXCLUSIVE);
	slot = find_slot(digest);
	if (slot)
	{
		*n_users = slot->model.n_users;
		if (*n_users == 0)
			slot->state = SLOT_FREE;
	}
	LWLockRelease(cache->lock);
	return *n_users == 0;
}

int
pgllm_shared_cache_list(PgLlmCachedModel **out)
{
	PgLlmCachedModel *models = palloc(sizeof(PgLlmCachedModel) * MAX_SLOTS);
	int			n = 0;

	*out = models;
	if (cache == NULL)
		return 0;
	LWLockAcquire(cache->lock, LW_SHARED);
	for (int i = 0; i < MAX_SLOTS; i++)
		if (cache->slots[i].state != SLOT_FREE)
			models[n++] = cache->slots[i].model;
	LWLockRelease(cache->lock);
	return n;
}
