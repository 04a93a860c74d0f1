/*
 * stat_table.c: the table of statistics of calls, shared or of this session.
 *
 * One hash table, whose entries are also in a list, those used last at its end; so the one that has to go is known at once.
 * Its lock, which only the shared one needs, guards all of it. Sessions hand over what they counted once per statement or
 * second, so that nobody waits for it.
 */
#include "stat_table.h"

#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define DEFAULT_ENTRIES 5000

/* entries stay where they are, and shared memory is at the same address in all processes; so the list may have pointers */
typedef struct Listed
{
	PgLlmStatEntry entry;		/* first, as its key is the table's */
	dlist_node	node;
} Listed;

static int	max_entries = DEFAULT_ENTRIES;
static HTAB *table = NULL;
static dlist_head *by_use = NULL;	/* of Listed */
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
	return add_size(hash_estimate_size(max_entries, sizeof(Listed)), sizeof(dlist_head));
}

void
pgllm_stat_table_attach(LWLock *lock)
{
	HASHCTL		ctl = {.keysize = sizeof(PgLlmStatKey), .entrysize = sizeof(Listed)};
	bool		known;

	table = ShmemInitHash("pg_llm stat calls", max_entries, max_entries, &ctl, HASH_ELEM | HASH_BLOBS);
	by_use = ShmemInitStruct("pg_llm stat calls by use", sizeof(dlist_head), &known);
	if (!known)
		dlist_init(by_use);
	table_lock = lock;
}

static void
create_own(void)
{
	static dlist_head own = DLIST_STATIC_INIT(own);
	HASHCTL		ctl = {.keysize = sizeof(PgLlmStatKey), .entrysize = sizeof(Listed), .hcxt = TopMemoryContext};

	by_use = &own;
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
remove_entry(Listed *listed)
{
	dlist_delete(&listed->node);
	hash_search(table, &listed->entry.key, HASH_REMOVE, NULL);
}

/* the entry of a key at the end of the list, a new one without numbers; NULL: there is no memory */
static Listed *
find_entry(const PgLlmStatKey *key)
{
	Listed	   *listed = hash_search(table, key, HASH_FIND, NULL);

	if (listed != NULL)
		dlist_delete(&listed->node);
	else
	{
		if (hash_get_num_entries(table) >= max_entries)
			remove_entry(dlist_head_element(Listed, node, by_use));
		listed = hash_search(table, key, table_lock != NULL ? HASH_ENTER_NULL : HASH_ENTER, NULL);
		if (listed == NULL)
			return NULL;
		memset(&listed->entry.totals, 0, sizeof listed->entry.totals);
	}
	dlist_push_tail(by_use, &listed->node);
	return listed;
}

void
pgllm_stat_table_add(const PgLlmStatEntry *entries, int n)
{
	TimestampTz now = GetCurrentTimestamp();

	if (table == NULL)
		create_own();
	lock_table(LW_EXCLUSIVE);
	for (int i = 0; i < n; i++)
	{
		Listed	   *listed = find_entry(&entries[i].key);

		if (listed == NULL)
			continue;
		pgllm_totals_add(&listed->entry.totals, &entries[i].totals);
		listed->entry.last_used = now;
	}
	unlock_table();
}

int
pgllm_stat_table_list(PgLlmStatEntry **out)
{
	dlist_iter	it;
	int			n = 0;

	/* room for all, before the lock is held */
	*out = palloc_extended(sizeof(PgLlmStatEntry) * max_entries, MCXT_ALLOC_HUGE);
	if (table == NULL)
		return 0;
	lock_table(LW_SHARED);
	dlist_foreach(it, by_use)
		(*out)[n++] = dlist_container(Listed, node, it.cur)->entry;
	unlock_table();
	return n;
}

void
pgllm_stat_table_reset(void)
{
	if (table == NULL)
		return;
	lock_table(LW_EXCLUSIVE);
	while (!dlist_is_empty(by_use))
		remove_entry(dlist_head_element(Listed, node, by_use));
	unlock_table();
}
