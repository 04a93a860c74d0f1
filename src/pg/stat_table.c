/*
 * stat_table.c: the table of statistics of calls, shared or of this session.
 *
 * One hash table; its lock, which only the shared one needs, guards all of it. Sessions hand over what they counted once per
 * statement or second, so that nobody waits for it.
 */
#include "stat_table.h"

#include "miscadmin.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define DEFAULT_ENTRIES 5000

static int	max_entries = DEFAULT_ENTRIES;
static HTAB *table = NULL;
static LWLock *table_lock = NULL;	/* NULL: the table is this session's */

/* ---- where it lies ---- */

void
pgllm_stat_table_settings(void)
{
	DefineCustomIntVariable("pg_llm.stat_calls_max",
							"Entries of llm_stat_calls.",
							"For a new entry above that number the one that was used longest ago goes.",
							&max_entries, DEFAULT_ENTRIES, 100, 1000000, PGC_POSTMASTER, 0, NULL, NULL, NULL);
}

Size
pgllm_stat_table_bytes(void)
{
	return hash_estimate_size(max_entries, sizeof(PgLlmStatEntry));
}

void
pgllm_stat_table_attach(LWLock *lock)
{
	HASHCTL		ctl = {.keysize = sizeof(PgLlmStatKey), .entrysize = sizeof(PgLlmStatEntry)};

	table = ShmemInitHash("pg_llm stat calls", max_entries, max_entries, &ctl, HASH_ELEM | HASH_BLOBS);
	table_lock = lock;
}

static void
create_own(void)
{
	HASHCTL		ctl = {.keysize = sizeof(PgLlmStatKey), .entrysize = sizeof(PgLlmStatEntry), .hcxt = TopMemoryContext};

	table = hash_create("pg_llm stat calls", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static void
lock_table(LWLockMode mode)
{
	if (table_lock != NULL)
		LWLockAcquire(table_lock, mode);
}

static void
unlock_table(void)
{
	if (table_lock != NULL)
		LWLockRelease(table_lock);
}

/* ---- entries ---- */

static void
remove_oldest(void)
{
	HASH_SEQ_STATUS scan;
	PgLlmStatEntry *entry;
	PgLlmStatEntry *oldest = NULL;

	hash_seq_init(&scan, table);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (oldest == NULL || entry->last_used < oldest->last_used)
			oldest = entry;
	if (oldest != NULL)
		hash_search(table, &oldest->key, HASH_REMOVE, NULL);
}

static void
add_entry(const PgLlmStatEntry *more, TimestampTz now)
{
	PgLlmStatEntry *entry = hash_search(table, &more->key, HASH_FIND, NULL);

	if (entry == NULL)
	{
		if (hash_get_num_entries(table) >= max_entries)
			remove_oldest();
		entry = hash_search(table, &more->key, table_lock != NULL ? HASH_ENTER_NULL : HASH_ENTER, NULL);
		if (entry == NULL)
			return;
		memset(&entry->totals, 0, sizeof entry->totals);
	}
	pgllm_totals_add(&entry->totals, &more->totals);
	entry->last_used = now;
}

void
pgllm_stat_table_add(const PgLlmStatEntry *entries, int n)
{
	TimestampTz now = GetCurrentTimestamp();

	if (table == NULL)
		create_own();
	lock_table(LW_EXCLUSIVE);
	for (int i = 0; i < n; i++)
		add_entry(&entries[i], now);
	unlock_table();
}

int
pgllm_stat_table_list(PgLlmStatEntry **out)
{
	HASH_SEQ_STATUS scan;
	PgLlmStatEntry *entry;
	int			n = 0;

	/* room for all, before the lock is held */
	*out = palloc_extended(sizeof(PgLlmStatEntry) * max_entries, MCXT_ALLOC_HUGE);
	if (table == NULL)
		return 0;
	lock_table(LW_SHARED);
	hash_seq_init(&scan, table);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (n == max_entries)
		{
			hash_seq_term(&scan);
			break;
		}
		(*out)[n++] = *entry;
	}
	unlock_table();
	return n;
}

void
pgllm_stat_table_reset(void)
{
	HASH_SEQ_STATUS scan;
	PgLlmStatEntry *entry;

	if (table == NULL)
		return;
	lock_table(LW_EXCLUSIVE);
	hash_seq_init(&scan, table);
	while ((entry = hash_seq_search(&scan)) != NULL)
		hash_search(table, &entry->key, HASH_REMOVE, NULL);
	unlock_table();
}
