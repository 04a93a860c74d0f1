/*
 * fn_stats.c: SQL functions behind llm_stat_calls and llm_stat_progress, and those that begin anew.
 *
 * Who sees what follows pg_stat_activity: what a role did is for those that have its privileges, and for pg_read_all_stats.
 */
#include "progress.h"
#include "result_cache.h"
#include "stat_table.h"

#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_call_stats);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_progress);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_stat_reset);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_clear_result_cache);

static bool
may_see(Oid role)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) || has_privs_of_role(GetUserId(), role);
}

/* a name in values[i], NULL if there is none (any more) */
static void
put_name(Datum *values, bool *nulls, int i, const char *name)
{
	nulls[i] = name == NULL || name[0] == '\0';
	if (!nulls[i])
		values[i] = DirectFunctionCall1(namein, CStringGetDatum(name));
}

static void
put_query_id(Datum *values, bool *nulls, int i, uint64 query_id)
{
	values[i] = Int64GetDatum((int64) query_id);
	nulls[i] = query_id == 0;
}

static void
put_calls(ReturnSetInfo *rsinfo, const PgLlmStatEntry *e)
{
	enum
	{
		ROLE, DATABASE, QUERY_ID, MODEL, FUNCTION, CALLS, ROWS, ERRORS, CACHE_HITS, PROMPT, CACHED, OUTPUT, MS, LAST_USED, N_COLUMNS
	};
	Datum		values[N_COLUMNS];
	bool		nulls[N_COLUMNS] = {false};

	put_name(values, nulls, ROLE, GetUserNameFromId(e->key.role, true));
	put_name(values, nulls, DATABASE, get_database_name(e->key.database));
	put_query_id(values, nulls, QUERY_ID, e->key.query_id);
	put_name(values, nulls, MODEL, e->key.model);
	put_name(values, nulls, FUNCTION, e->key.function);
	values[CALLS] = Int64GetDatum((int64) e->totals.calls);
	values[ROWS] = Int64GetDatum((int64) e->totals.rows);
	values[ERRORS] = Int64GetDatum((int64) e->totals.errors);
	values[CACHE_HITS] = Int64GetDatum((int64) e->totals.cache_hits);
	values[PROMPT] = Int64GetDatum((int64) e->totals.prompt_tokens);
	values[CACHED] = Int64GetDatum((int64) e->totals.cached_tokens);
	values[OUTPUT] = Int64GetDatum((int64) e->totals.output_tokens);
	values[MS] = Float8GetDatum((double) e->totals.us / 1000.0);
	values[LAST_USED] = TimestampTzGetDatum(e->last_used);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

Datum
pgllm_fn_llm_call_stats(PG_FUNCTION_ARGS)
{
	PgLlmStatEntry *entries;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	pgllm_stats_flush();
	n = pgllm_stat_table_list(&entries);
	for (int i = 0; i < n; i++)
		if (may_see(entries[i].key.role))
			put_calls((ReturnSetInfo *) fcinfo->resultinfo, &entries[i]);
	return (Datum) 0;
}

/* ---- progress ---- */

static const char *
phase_name(PgLlmPhase phase)
{
	switch (phase)
	{
		case PGLLM_PHASE_NONE:
			break;
		case PGLLM_PHASE_LOADING:
			return "loading";
		case PGLLM_PHASE_BATCH:
			return "computing batch";
		case PGLLM_PHASE_ROWS:
			return "computing row";
	}
	return "idle";
}

static Datum
interval_of(double seconds)
{
	return DirectFunctionCall7(make_interval, Int32GetDatum(0), Int32GetDatum(0), Int32GetDatum(0), Int32GetDatum(0),
							   Int32GetDatum(0), Int32GetDatum(0), Float8GetDatum(seconds));
}

static void
put_progress(ReturnSetInfo *rsinfo, const PgLlmProgress *p)
{
	enum
	{
		PID, DATABASE, ROLE, QUERY_ID, PHASE, MODEL, FUNCTION, ROWS_DONE, ROWS_EXPECTED, PROMPT, CACHED, OUTPUT, PER_SECOND,
		TIME_LEFT, STARTED, N_COLUMNS
	};
	Datum		values[N_COLUMNS];
	bool		nulls[N_COLUMNS] = {false};
	double		seconds = (double) (GetCurrentTimestamp() - p->started) / USECS_PER_SEC;
	double		until = (double) (p->updated - p->started) / USECS_PER_SEC;
	double		rows = (double) Max(p->rows_done, 0) + p->rows_under_way;
	bool		computes = p->phase != PGLLM_PHASE_LOADING;

	values[PID] = Int32GetDatum(p->pid);
	put_name(values, nulls, DATABASE, get_database_name(p->database));
	put_name(values, nulls, ROLE, GetUserNameFromId(p->role, true));
	put_query_id(values, nulls, QUERY_ID, p->query_id);
	values[PHASE] = CStringGetTextDatum(phase_name(p->phase));
	put_name(values, nulls, MODEL, p->model);
	put_name(values, nulls, FUNCTION, p->function);
	values[ROWS_DONE] = Int64GetDatum(Max(p->rows_done, 0));
	values[ROWS_EXPECTED] = Int64GetDatum(p->rows_expected);
	nulls[ROWS_EXPECTED] = p->rows_expected < 0;
	values[PROMPT] = Int64GetDatum((int64) p->prompt_tokens);
	values[CACHED] = Int64GetDatum((int64) p->cached_tokens);
	values[OUTPUT] = Int64GetDatum((int64) p->output_tokens);
	nulls[PER_SECOND] = !computes || until <= 0;
	if (!nulls[PER_SECOND])
		values[PER_SECOND] = Float8GetDatum((double) (p->prompt_tokens - p->cached_tokens + p->output_tokens) / until);
	nulls[TIME_LEFT] = !computes || p->rows_expected < 0 || rows <= 0 || until <= 0;
	if (!nulls[TIME_LEFT])
		values[TIME_LEFT] = interval_of(Max(until * (double) p->rows_expected / rows - seconds, 0));
	values[STARTED] = TimestampTzGetDatum(p->started);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

Datum
pgllm_fn_llm_progress(PG_FUNCTION_ARGS)
{
	PgLlmProgress *sessions;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	n = pgllm_progress_list(&sessions);
	for (int i = 0; i < n; i++)
		if (may_see(sessions[i].role))
			put_progress((ReturnSetInfo *) fcinfo->resultinfo, &sessions[i]);
	return (Datum) 0;
}

/* ---- beginning anew: privileges are those of EXECUTE ---- */

Datum
pgllm_fn_llm_stat_reset(PG_FUNCTION_ARGS)
{
	pgllm_stats_flush();
	pgllm_stat_table_reset();
	PG_RETURN_VOID();
}

Datum
pgllm_fn_llm_clear_result_cache(PG_FUNCTION_ARGS)
{
	pgllm_result_cache_clear();
	PG_RETURN_VOID();
}
