/*
 * stat_table.h: statistics of calls by role, database, query, model and function: what llm_stat_calls shows.
 *
 * In shared memory, for the whole server, if the library is preloaded; else each session has its own. At most
 * pg_llm.stat_calls_max entries; for a new one the one that was used longest ago goes.
 */
#ifndef PGLLM_STAT_TABLE_H
#define PGLLM_STAT_TABLE_H

#include "call_stats.h"

#include "datatype/timestamp.h"
#include "storage/lwlock.h"

/* compared as bytes: zero it before filling */
typedef struct PgLlmStatKey
{
	uint64		query_id;		/* 0: not known */
	Oid			role;
	Oid			database;
	char		model[NAMEDATALEN];
	char		function[NAMEDATALEN];
} PgLlmStatKey;

typedef struct PgLlmStatEntry
{
	PgLlmStatKey key;			/* first */
	PgLlmTotals totals;
	TimestampTz last_used;
} PgLlmStatEntry;

/* never raises, but for lack of memory in a session's own table */
extern void pgllm_stat_table_add(const PgLlmStatEntry *entries, int n);

/* a copy of all entries, palloc'd */
extern int	pgllm_stat_table_list(PgLlmStatEntry **out);

extern void pgllm_stat_table_reset(void);

/* ---- in shared memory (shared_memory.c) ---- */
extern void pgllm_stat_table_settings(void);
extern Size pgllm_stat_table_bytes(void);
extern void pgllm_stat_table_attach(LWLock *lock);

#endif
