/*
 * enrich_jobs.c: what is remembered of jobs: three tables of the extension, and locks.
 *
 *   llm_job_state     a job: what was asked for, up to which key rows were given to sessions, counts
 *   llm_job_chunks    ranges of keys that were given to a session and are not finished
 *   llm_job_failures  rows that failed
 *
 * Nobody but their owner may read the tables; statements on them run as that owner, and are ours alone. What a role may see
 * comes through views. Locks are on the number of a job or chunk, as on an object of the table:
 *
 *   (llm_job_state, 0)             until the end of the transaction, by who looks for a job or makes one
 *   (llm_job_state, job)           the same, by who claims a chunk or ends the job: one at a time
 *   (llm_job_chunks, chunk)        of the session that works on the chunk
 *   (llm_job_failures, job)        of the session that tries failed rows again
 */
#include "enrich/enrich.h"
#include "own_tables.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_drop_job);

#define MAX_ARGS 12

/* ---- tables ---- */

typedef struct JobTables
{
	PgLlmOwnTable state;
	PgLlmOwnTable chunks;
	PgLlmOwnTable failures;
} JobTables;

static JobTables
find_tables(void)
{
	return (JobTables) {
		.state = pgllm_own_table("llm_job_state"),
		.chunks = pgllm_own_table("llm_job_chunks"),
		.failures = pgllm_own_table("llm_job_failures"),
	};
}

typedef struct Arg
{
	Oid			type;
	Datum		value;
	bool		is_null;
} Arg;

#define ARG_INT8(v)  {INT8OID, Int64GetDatum(v), false}
#define ARG_OID(v)  {OIDOID, ObjectIdGetDatum(v), false}
#define ARG_NAME(v)  {NAMEOID, CStringGetDatum(v), false}
#define ARG_TEXT(v)  {TEXTOID, (v) ? CStringGetTextDatum(v) : (Datum) 0, (v) == NULL}
#define ARG_TEXTS(v)  {TEXTARRAYOID, PointerGetDatum(v), (v) == NULL}

/* a statement on one of the tables, which it calls %s, as its owner; rows it gave or wrote */
static uint64
as_owner(const PgLlmOwnTable *table, const char *sql, int n, const Arg *args)
{
	char	   *text = psprintf(sql, table->name);
	Oid			types[MAX_ARGS];
	Datum		values[MAX_ARGS];
	char		nulls[MAX_ARGS];
	PgLlmFormerUser former;
	int			result;
	MemoryContext memory = CurrentMemoryContext;

	Assert(n <= MAX_ARGS);
	for (int i = 0; i < n; i++)
	{
		types[i] = args[i].type;
		values[i] = args[i].value;
		nulls[i] = args[i].is_null ? 'n' : ' ';
	}
	pgllm_become_owner(table, &former);
	result = SPI_execute_with_args(text, n, types, values, nulls, false, 0);
	pgllm_become_former(&former);
	MemoryContextSwitchTo(memory);	/* SPI leaves its own */
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", text, SPI_result_code_string(result));
	pfree(text);
	return SPI_processed;
}

static int64
result_int8(int row, int column)
{
	bool		is_null;

	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &is_null));
}

/* an array of texts, copied; NULL: it is NULL */
static ArrayType *
result_texts(int row, int column)
{
	bool		is_null;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &is_null);

	return is_null ? NULL : DatumGetArrayTypePCopy(value);
}

/* ---- locks ---- */

static LOCKTAG
lock_tag(Oid table, int64 number)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, table, (uint32) number, 0);
	return tag;
}

static bool
lock_number(Oid table, int64 number, bool for_session, bool wait)
{
	LOCKTAG		tag = lock_tag(table, number);

	return LockAcquire(&tag, ExclusiveLock, for_session, !wait) != LOCKACQUIRE_NOT_AVAIL;
}

static void
unlock_number(Oid table, int64 number)
{
	LOCKTAG		tag = lock_tag(table, number);

	LockRelease(&tag, ExclusiveLock, true);
}

/* ---- jobs ---- */

/* a job of a table whose key is another one now cannot go on */
static void
check_key(const PgLlmEnrich *call, const PgLlmEnrichTarget *target, ArrayType *columns)
{
	Datum		now = PointerGetDatum(pgllm_enrich_key_columns(target));

	if (!DatumGetBool(OidFunctionCall2Coll(F_ARRAY_EQ, C_COLLATION_OID, PointerGetDatum(columns), now)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the key of table %s is not the one that job " INT64_FORMAT " began with", target->table, call->job),
				 errhint("SELECT llm_drop_job(" INT64_FORMAT "), and call again.", call->job)));
}

void
pgllm_enrich_job_open(PgLlmEnrich *call, const PgLlmEnrichTarget *target, bool *resumed)
{
	JobTables	tables = find_tables();
	Arg			args[] = {ARG_OID(call->role), ARG_OID(call->relid), ARG_NAME(call->column), ARG_TEXT(call->expression),
		ARG_TEXT(call->where), ARG_TEXTS(pgllm_enrich_key_columns(target))};

	(void) lock_number(tables.state.oid, 0, false, true);
	*resumed = as_owner(&tables.state, "SELECT job, key_columns FROM %s WHERE owner OPERATOR(pg_catalog.=) $1"
						" AND target OPERATOR(pg_catalog.=) $2 AND set_column OPERATOR(pg_catalog.=) $3"
						" AND expression OPERATOR(pg_catalog.=) $4 AND (where_clause OPERATOR(pg_catalog.=) $5 OR where_clause IS NULL AND $5 IS NULL) AND finished IS NULL"
						" ORDER BY job LIMIT 1", 5, args) > 0;
	if (*resumed)
	{
		call->job = result_int8(0, 1);
		check_key(call, target, result_texts(0, 2));
		return;
	}
	as_owner(&tables.state, "INSERT INTO %s (owner, target, set_column, expression, where_clause, key_columns)"
			 " VALUES ($1, $2, $3, $4, $5, $6) RETURNING job", 6, args);
	call->job = result_int8(0, 1);
}

static void
raise_no_job(int64 job)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("job " INT64_FORMAT " does not exist", job),
			 errhint("The view llm_jobs shows your jobs.")));
}

void
pgllm_enrich_job_load(PgLlmEnrich *call, int64 job, bool to_run)
{
	JobTables	tables = find_tables();
	Arg			args[] = {ARG_INT8(job)};
	HeapTuple	tuple;
	TupleDesc	desc;
	bool		is_null;
	Oid			owner;
	char	   *where;

	if (as_owner(&tables.state, "SELECT owner, target, set_column, expression, where_clause FROM %s"
				 " WHERE job OPERATOR(pg_catalog.=) $1", 1, args) == 0)
		raise_no_job(job);
	tuple = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	owner = DatumGetObjectId(SPI_getbinval(tuple, desc, 1, &is_null));
	if (!has_privs_of_role(call->role, owner))
		raise_no_job(job);
	if (to_run && call->role != owner)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("job " INT64_FORMAT " belongs to role \"%s\"", job, GetUserNameFromId(owner, true)),
				 errdetail("Its expression is what that role gave, and would run with your rights."),
				 errhint("Use SET ROLE first, or run llm_enrich() yourself.")));
	call->job = job;
	call->relid = DatumGetObjectId(SPI_getbinval(tuple, desc, 2, &is_null));
	call->column = MemoryContextAllocZero(call->context, NAMEDATALEN);
	strlcpy(call->column, SPI_getvalue(tuple, desc, 3), NAMEDATALEN);
	call->expression = MemoryContextStrdup(call->context, SPI_getvalue(tuple, desc, 4));
	where = SPI_getvalue(tuple, desc, 5);
	call->where = where == NULL ? NULL : MemoryContextStrdup(call->context, where);
}

int64
pgllm_enrich_job_close(PgLlmEnrich *call)
{
	JobTables	tables = find_tables();
	Arg			args[] = {ARG_INT8(call->job)};

	(void) lock_number(tables.state.oid, call->job, false, true);
	if (as_owner(&tables.chunks, "SELECT chunk FROM %s WHERE job OPERATOR(pg_catalog.=) $1 ORDER BY chunk LIMIT 1", 1, args) > 0)
		return result_int8(0, 1);
	as_owner(&tables.state, "UPDATE %s SET finished = pg_catalog.clock_timestamp()"
			 " WHERE job OPERATOR(pg_catalog.=) $1 AND finished IS NULL AND exhausted", 1, args);
	return 0;
}

/* ---- claiming ---- */

/* a chunk that was given to a session which did not finish it; locked */
static bool
take_abandoned(const JobTables *tables, int64 job, PgLlmEnrichChunk *chunk, const PgLlmEnrichTarget *target)
{
	Arg			args[] = {ARG_INT8(job)};
	uint64		n = as_owner(&tables->chunks, "SELECT chunk FROM %s WHERE job OPERATOR(pg_catalog.=) $1 ORDER BY chunk", 1, args);
	int64	   *numbers = palloc(sizeof(int64) * Max(n, 1));

	for (uint64 i = 0; i < n; i++)
		numbers[i] = result_int8((int) i, 1);
	for (uint64 i = 0; i < n; i++)
	{
		Arg			number[] = {ARG_INT8(numbers[i])};

		if (!lock_number(tables->chunks.oid, numbers[i], true, false))
			continue;
		/* it may have been finished before we got its lock */
		if (as_owner(&tables->chunks, "SELECT after, upto FROM %s WHERE chunk OPERATOR(pg_catalog.=) $1", 1, number) > 0)
		{
			ArrayType  *after = result_texts(0, 1);

			chunk->number = numbers[i];
			chunk->upto = pgllm_enrich_key_in(target, result_texts(0, 2));
			chunk->after = after == NULL ? NULL : pgllm_enrich_key_in(target, after);
			return true;
		}
		unlock_number(tables->chunks.oid, numbers[i]);
	}
	return false;
}

/*
 * The key of the last one of the next rows, NULL: there are none. A WHERE that calls models is left to the computing of the
 * chunk, which would have to do it again.
 */
static Datum *
next_boundary(const PgLlmEnrich *call, const PgLlmEnrichTarget *target, int max_rows, const Datum *after)
{
	PgLlmStatement s;
	SPIExecuteOptions options = {.read_only = false};
	Datum		key[PGLLM_ENRICH_KEYS];
	MemoryContext context = CurrentMemoryContext;

	pgllm_statement_init(&s);
	pgllm_statement_add(&s, "SELECT %s FROM %s WHERE true", target->key_list, target->table);
	if (after != NULL)
	{
		pgllm_statement_add(&s, " AND ");
		pgllm_statement_compare(&s, target, ">", after);
	}
	if (call->where != NULL && !call->where_calls_model)
		pgllm_statement_add(&s, " AND (\n%s\n)", call->where);
	pgllm_statement_add(&s, " ORDER BY %s LIMIT %d", target->key_list, max_rows);
	options.params = pgllm_statement_params(&s);
	if (SPI_execute_extended(s.sql.data, &options) != SPI_OK_SELECT)
		elog(ERROR, "could not execute \"%s\"", s.sql.data);
	MemoryContextSwitchTo(context);
	if (SPI_processed == 0)
		return NULL;
	for (int i = 0; i < target->n_keys; i++)
	{
		bool		is_null;

		key[i] = SPI_getbinval(SPI_tuptable->vals[SPI_processed - 1], SPI_tuptable->tupdesc, i + 1, &is_null);
	}
	return pgllm_enrich_key_copy(target, key);
}

bool
pgllm_enrich_claim(PgLlmEnrich *call, const PgLlmEnrichTarget *target, int max_rows, PgLlmEnrichChunk *chunk)
{
	JobTables	tables = find_tables();
	Arg			args[] = {ARG_INT8(call->job), ARG_TEXTS(NULL), ARG_TEXTS(NULL)};
	ArrayType  *given;
	bool		exhausted;
	bool		is_null;

	memset(chunk, 0, sizeof(*chunk));
	(void) lock_number(tables.state.oid, call->job, false, true);
	if (as_owner(&tables.state, "SELECT given, exhausted, key_columns FROM %s WHERE job OPERATOR(pg_catalog.=) $1", 1, args) == 0)
		raise_no_job(call->job);
	given = result_texts(0, 1);
	exhausted = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &is_null));
	check_key(call, target, result_texts(0, 3));
	if (take_abandoned(&tables, call->job, chunk, target))
		return true;
	if (exhausted)
		return false;
	chunk->after = given == NULL ? NULL : pgllm_enrich_key_in(target, given);
	chunk->upto = next_boundary(call, target, max_rows, chunk->after);
	if (chunk->upto == NULL)
	{
		as_owner(&tables.state, "UPDATE %s SET exhausted = true WHERE job OPERATOR(pg_catalog.=) $1", 1, args);
		return false;
	}
	args[1] = (Arg) ARG_TEXTS(given);
	args[2] = (Arg) ARG_TEXTS(pgllm_enrich_key_out(target, chunk->upto));
	as_owner(&tables.chunks, "INSERT INTO %s (job, after, upto) VALUES ($1, $2, $3) RETURNING chunk", 3, args);
	chunk->number = result_int8(0, 1);
	(void) lock_number(tables.chunks.oid, chunk->number, true, true);
	args[1] = args[2];
	as_owner(&tables.state, "UPDATE %s SET given = $2 WHERE job OPERATOR(pg_catalog.=) $1", 2, args);
	return true;
}

void
pgllm_enrich_wait(int64 chunk)
{
	(void) lock_number(pgllm_own_table("llm_job_chunks").oid, chunk, false, true);
}

void
pgllm_enrich_release(const PgLlmEnrichChunk *chunk)
{
	if (chunk->number != 0)
		unlock_number(pgllm_own_table("llm_job_chunks").oid, chunk->number);
}

/* ---- failures ---- */

void
pgllm_enrich_lock_failed(const PgLlmEnrich *call)
{
	if (!lock_number(pgllm_own_table("llm_job_failures").oid, call->job, true, false))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("another session tries the failed rows of job " INT64_FORMAT, call->job),
				 errhint("Wait until it is done.")));
}

void
pgllm_enrich_unlock_failed(const PgLlmEnrich *call)
{
	unlock_number(pgllm_own_table("llm_job_failures").oid, call->job);
}

bool
pgllm_enrich_take_failed(PgLlmEnrich *call, const PgLlmEnrichTarget *target, int max_rows, int64 before, PgLlmEnrichChunk *chunk)
{
	JobTables	tables = find_tables();
	Arg			args[] = {ARG_INT8(call->job), {TIMESTAMPTZOID, TimestampTzGetDatum(before), false}, ARG_INT8(max_rows)};
	uint64		n;

	memset(chunk, 0, sizeof(*chunk));
	if (as_owner(&tables.state, "SELECT key_columns FROM %s WHERE job OPERATOR(pg_catalog.=) $1", 1, args) == 0)
		raise_no_job(call->job);
	check_key(call, target, result_texts(0, 1));
	n = as_owner(&tables.failures, "SELECT key FROM %s WHERE job OPERATOR(pg_catalog.=) $1 AND at OPERATOR(pg_catalog.<) $2"
				 " ORDER BY at LIMIT $3", 3, args);
	for (uint64 i = 0; i < n; i++)
		chunk->key_texts = lappend(chunk->key_texts, result_texts((int) i, 1));
	for (uint64 i = 0; i < n; i++)
		chunk->keys = lappend(chunk->keys, pgllm_enrich_key_in(target, list_nth(chunk->key_texts, (int) i)));
	return n > 0;
}

static void
note_failure(const JobTables *tables, const PgLlmEnrich *call, const PgLlmEnrichTarget *target, const PgLlmEnrichFailure *failure)
{
	const ErrorData *error = failure->error;
	Arg			args[] = {ARG_INT8(call->job), ARG_TEXTS(pgllm_enrich_key_out(target, failure->key)),
		ARG_TEXT(unpack_sql_state(error->sqlerrcode)), ARG_TEXT(error->message), ARG_TEXT(error->detail), ARG_TEXT(error->hint)};

	as_owner(&tables->failures, "INSERT INTO %s (job, key, code, message, detail, hint) VALUES ($1, $2, $3, $4, $5, $6)", 6, args);
}

void
pgllm_enrich_note(PgLlmEnrich *call, const PgLlmEnrichTarget *target, const PgLlmEnrichChunk *chunk, int64 n_written, int64 n_skipped,
				  int64 tokens, List *failures, const Datum *rest_after)
{
	JobTables	tables = find_tables();
	Arg			counts[] = {ARG_INT8(call->job), ARG_INT8(n_written), ARG_INT8(n_skipped), ARG_INT8(tokens)};
	Arg			number[] = {ARG_INT8(chunk->number), ARG_TEXTS(rest_after == NULL ? NULL : pgllm_enrich_key_out(target, rest_after))};
	ListCell   *cell;

	foreach(cell, chunk->key_texts)
	{
		Arg			key[] = {ARG_INT8(call->job), ARG_TEXTS((ArrayType *) lfirst(cell))};

		as_owner(&tables.failures, "DELETE FROM %s WHERE job OPERATOR(pg_catalog.=) $1 AND key OPERATOR(pg_catalog.=) $2", 2, key);
	}
	foreach(cell, failures)
		note_failure(&tables, call, target, lfirst(cell));
	if (rest_after != NULL)
		as_owner(&tables.chunks, "UPDATE %s SET after = $2 WHERE chunk OPERATOR(pg_catalog.=) $1", 2, number);
	else
		as_owner(&tables.chunks, "DELETE FROM %s WHERE chunk OPERATOR(pg_catalog.=) $1", 1, number);
	if (as_owner(&tables.state, "UPDATE %s SET rows_written = rows_written OPERATOR(pg_catalog.+) $2,"
				 " rows_skipped = rows_skipped OPERATOR(pg_catalog.+) $3, tokens = tokens OPERATOR(pg_catalog.+) $4,"
				 " changed = pg_catalog.clock_timestamp() WHERE job OPERATOR(pg_catalog.=) $1", 4, counts) == 0)
		raise_no_job(call->job);
}

/* ---- llm_drop_job(job) ---- */

Datum
pgllm_fn_llm_drop_job(PG_FUNCTION_ARGS)
{
	int64		job = PG_GETARG_INT64(0);
	PgLlmEnrich call = {.context = CurrentMemoryContext, .role = GetUserId()};
	Arg			args[] = {ARG_INT8(job)};
	JobTables	tables;
	uint64		n;

	PreventCommandIfReadOnly("llm_drop_job()");
	SPI_connect();
	pgllm_enrich_job_load(&call, job, false);
	tables = find_tables();
	(void) lock_number(tables.state.oid, job, false, true);
	n = as_owner(&tables.chunks, "SELECT chunk FROM %s WHERE job OPERATOR(pg_catalog.=) $1", 1, args);
	for (uint64 i = 0; i < n; i++)
		if (!lock_number(tables.chunks.oid, result_int8((int) i, 1), false, false))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("a session works on job " INT64_FORMAT, job),
					 errhint("Cancel it first; pg_locks shows who holds locks on objects of llm_job_chunks.")));
	as_owner(&tables.failures, "DELETE FROM %s WHERE job OPERATOR(pg_catalog.=) $1", 1, args);
	as_owner(&tables.chunks, "DELETE FROM %s WHERE job OPERATOR(pg_catalog.=) $1", 1, args);
	as_owner(&tables.state, "DELETE FROM %s WHERE job OPERATOR(pg_catalog.=) $1", 1, args);
	SPI_finish();
	PG_RETURN_VOID();
}
