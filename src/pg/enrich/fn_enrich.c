/*
 * fn_enrich.c: CALL llm_enrich and CALL llm_retry: arguments, the loop over chunks, notices.
 *
 * A call is many transactions: one claims a chunk, the next computes and writes it, and so on. Each reads what is committed,
 * whatever the session's default is: a row that another session changed must show, not fail. The table is looked up anew in
 * each of them, so that a table that was renamed or changed meanwhile is seen as it is.
 */
#include "enrich/enrich.h"
#include "llm_call.h"
#include "progress.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/pquery.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_enrich);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_retry);

#define MAX_BATCH_ROWS 100000

/* rows of the first chunk under a token limit, when it is not known how much a row takes */
#define FIRST_ROWS_UNDER_LIMIT 8

#define NOTICE_SECONDS 10

/* ---- arguments ---- */

static void
raise_argument(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", message),
			 errhint("%s", hint)));
}

static void
check_may_commit(FunctionCallInfo fcinfo, const char *name)
{
	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) || castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot run inside a transaction block or a function", name),
				 errdetail("It commits after each chunk of rows."),
				 errhint("CALL it as a statement of its own, outside BEGIN and COMMIT. For rows that must be written together, use UPDATE.")));
	PreventCommandIfReadOnly(name);
}

static int
batch_rows_arg(FunctionCallInfo fcinfo, int arg)
{
	int			rows = PG_ARGISNULL(arg) ? 256 : PG_GETARG_INT32(arg);

	if (rows < 1 || rows > MAX_BATCH_ROWS)
		raise_argument(psprintf("batch_rows is %d", rows), psprintf("Give a number of rows from 1 to %d.", MAX_BATCH_ROWS));
	return rows;
}

static int64
token_limit_arg(FunctionCallInfo fcinfo, int arg)
{
	if (PG_ARGISNULL(arg))
		return 0;
	if (PG_GETARG_INT64(arg) < 1)
		raise_argument(psprintf("token_limit is " INT64_FORMAT, PG_GETARG_INT64(arg)), "Give a number of tokens above 0, or NULL for no limit.");
	return PG_GETARG_INT64(arg);
}

static PgLlmEnrichOnError
on_error_arg(FunctionCallInfo fcinfo, int arg)
{
	char	   *word = PG_ARGISNULL(arg) ? "log" : text_to_cstring(PG_GETARG_TEXT_PP(arg));

	if (strcmp(word, "log") == 0)
		return PGLLM_ENRICH_LOG;
	if (strcmp(word, "error") == 0)
		return PGLLM_ENRICH_ERROR;
	if (strcmp(word, "null") != 0)
		raise_argument(psprintf("on_error is \"%s\"", word), "Give log, error or null.");
	return PGLLM_ENRICH_NULL;
}

/* a call in memory that lasts as long as the procedure, which is switched to; connects SPI, whose own ends with a transaction */
static PgLlmEnrich *
create_call(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_llm enrich", ALLOCSET_DEFAULT_SIZES);
	PgLlmEnrich *call;

	SPI_connect_ext(SPI_OPT_NONATOMIC);
	MemoryContextSwitchTo(context);
	call = palloc0(sizeof(PgLlmEnrich));
	call->context = context;
	call->role = GetUserId();
	call->tokens_before = pgllm_tokens_spent();
	call->rows_expected = -1;
	return call;
}

static void
end_call(PgLlmEnrich *call)
{
	pgllm_progress_job(-1, -1);
	SPI_finish();
	MemoryContextDelete(call->context);
}

static char *
required_text(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s is NULL", name),
				 errhint("Give it: CALL llm_enrich('table', 'column', 'expression').")));
	return text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

static void
read_arguments(FunctionCallInfo fcinfo, PgLlmEnrich *call)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s is NULL", PG_ARGISNULL(0) ? "target" : "set_column"),
				 errhint("Give it: CALL llm_enrich('table', 'column', 'expression').")));
	call->relid = PG_GETARG_OID(0);
	call->column = palloc0(NAMEDATALEN);	/* a whole name, as it is stored as one */
	strlcpy(call->column, NameStr(*PG_GETARG_NAME(1)), NAMEDATALEN);
	call->expression = required_text(fcinfo, 2, "expression");
	call->where = PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3));
	call->batch_rows = batch_rows_arg(fcinfo, 4);
	call->token_limit = token_limit_arg(fcinfo, 5);
	call->on_error = on_error_arg(fcinfo, 6);
	pgllm_enrich_check_expression("expression", call->expression);
	if (call->where != NULL)
		pgllm_enrich_check_expression("where_clause", call->where);
}

/* ---- transactions ---- */

static void
begin(void)
{
	if (XactIsoLevel != XACT_READ_COMMITTED)
		(void) set_config_option("transaction_isolation", "read committed", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	PreventCommandIfReadOnly("CALL llm_enrich()");
	EnsurePortalSnapshotExists();
}

/*
 * Commits, and begins the next. What SPI gave lasts until SPI is left, which for a job of many chunks is too long; so it is
 * left and entered again. Nothing of a transaction's results is used in the next.
 */
static void
commit(void)
{
	MemoryContext context = CurrentMemoryContext;

	SPI_commit();
	SPI_finish();
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	MemoryContextSwitchTo(context);
	begin();
}

/* ---- the loop ---- */

static int64
tokens_used(const PgLlmEnrich *call)
{
	return (int64) (pgllm_tokens_spent() - call->tokens_before);
}

/* rows of the next chunk: fewer when the budget ends before; 0: it is used up */
static int
rows_within_limit(const PgLlmEnrich *call)
{
	int64		used = tokens_used(call);
	int64		rows = call->n_written + call->n_skipped + call->n_failed;
	double		may;

	if (call->token_limit == 0)
		return call->batch_rows;
	if (used >= call->token_limit)
		return 0;
	if (used == 0)
		return rows > 0 ? call->batch_rows : Min(call->batch_rows, FIRST_ROWS_UNDER_LIMIT);
	may = (double) (call->token_limit - used) * rows / used;
	return may >= call->batch_rows ? call->batch_rows : Max((int) may, 1);
}

static void
show_progress(const PgLlmEnrich *call)
{
	pgllm_progress_job(call->n_written + call->n_failed + call->n_skipped, call->rows_expected);
}

static void
notice_progress(const PgLlmEnrich *call, TimestampTz begun, TimestampTz *last)
{
	TimestampTz now = GetCurrentTimestamp();
	double		seconds = (double) (now - begun) / USECS_PER_SEC;

	if (!TimestampDifferenceExceeds(*last, now, NOTICE_SECONDS * 1000))
		return;
	*last = now;
	ereport(NOTICE,
			(errmsg("job " INT64_FORMAT ": " INT64_FORMAT " rows written, " INT64_FORMAT " failed, %.1f rows per second",
					call->job, call->n_written, call->n_failed, (call->n_written + call->n_failed) / Max(seconds, 0.001))));
}

static void
notice_end(const PgLlmEnrich *call, const char *how, const char *hint)
{
	ereport(NOTICE,
			(errmsg("job " INT64_FORMAT " %s: " INT64_FORMAT " rows written, " INT64_FORMAT " failed, " INT64_FORMAT " skipped",
					call->job, how, call->n_written, call->n_failed, call->n_skipped),
			 hint ? errhint("%s", hint) : 0));
	if (call->on_error == PGLLM_ENRICH_NULL && call->n_failed > 0)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg_plural("%llu row became NULL, as its data could not be answered",
							   "%llu rows became NULL, as their data could not be answered",
							   (unsigned long) call->n_failed, (unsigned long long) call->n_failed),
				 errhint("With on_error 'log' the view llm_job_errors has the reasons.")));
}

/* in the transaction that takes a chunk: the check locks the table for writing, and computing should not */
static PgLlmEnrichTarget *
open_and_check(const PgLlmEnrich *call)
{
	PgLlmEnrichTarget *target = pgllm_enrich_target_open(call);

	pgllm_enrich_target_check(call, target);
	return target;
}

/* compute and write a chunk, which is committed; its memory goes with it */
static void
run_chunk(PgLlmEnrich *call, const PgLlmEnrichChunk *chunk)
{
	ErrorData  *error;

	show_progress(call);
	error = pgllm_enrich_run(call, pgllm_enrich_target_open(call), chunk);
	commit();
	pgllm_enrich_release(chunk);
	if (error != NULL)
		ReThrowError(error);
}

/* the next chunk of a job; false: none is left, or the limit is reached (*limited) */
static bool
run_next(PgLlmEnrich *call, bool *limited)
{
	PgLlmEnrichChunk chunk;
	int			rows = rows_within_limit(call);

	*limited = rows == 0;
	if (*limited || !pgllm_enrich_claim(call, open_and_check(call), rows, &chunk))
		return false;
	commit();
	run_chunk(call, &chunk);
	return true;
}

/* all chunks that are left, and those of sessions that end before they are done */
static void
run_job(PgLlmEnrich *call, MemoryContext chunk_context)
{
	TimestampTz begun = GetCurrentTimestamp();
	TimestampTz last = begun;
	bool		limited = false;

	for (;;)
	{
		int64		others;

		MemoryContextReset(chunk_context);
		MemoryContextSwitchTo(chunk_context);
		if (run_next(call, &limited))
		{
			notice_progress(call, begun, &last);
			continue;
		}
		commit();
		if (limited)
			break;
		others = pgllm_enrich_job_close(call);
		commit();
		if (others == 0)
			break;
		pgllm_enrich_wait(others);
		commit();
	}
	MemoryContextSwitchTo(call->context);
	if (limited)
		notice_end(call, "stopped at its token limit", "CALL it again to go on.");
	else
		notice_end(call, "is done", call->on_error == PGLLM_ENRICH_LOG && call->n_failed > 0 ?
				   "The view llm_job_errors says why rows failed; llm_retry() tries them again." : NULL);
}

static MemoryContext
chunk_context_of(const PgLlmEnrich *call)
{
	return AllocSetContextCreate(call->context, "pg_llm enrich chunk", ALLOCSET_DEFAULT_SIZES);
}

static void
look_at_rows(PgLlmEnrich *call, const PgLlmEnrichTarget *target)
{
	const char *statement = psprintf("SELECT FROM %s WHERE (\n%s\n)", target->table, call->where ? call->where : "true");

	call->where_calls_model = call->where != NULL && pgllm_enrich_calls_model(statement);
	call->rows_expected = pgllm_enrich_rows(statement);
}

Datum
pgllm_fn_llm_enrich(PG_FUNCTION_ARGS)
{
	PgLlmEnrich *call;
	PgLlmEnrichTarget *target;
	bool		resumed;

	check_may_commit(fcinfo, "llm_enrich");
	call = create_call();
	read_arguments(fcinfo, call);
	commit();
	target = open_and_check(call);
	look_at_rows(call, target);
	pgllm_enrich_job_open(call, target, &resumed);
	commit();
	if (resumed)
	{
		call->rows_expected = -1;	/* what is left is not known */
		ereport(NOTICE, (errmsg("job " INT64_FORMAT " goes on", call->job)));
	}
	run_job(call, chunk_context_of(call));
	end_call(call);
	PG_RETURN_VOID();
}

/* ---- failed rows again ---- */

Datum
pgllm_fn_llm_retry(PG_FUNCTION_ARGS)
{
	PgLlmEnrich *call;
	MemoryContext chunk_context;
	PgLlmEnrichChunk chunk;
	TimestampTz before;
	int			rows;

	check_may_commit(fcinfo, "llm_retry");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("job is NULL"),
				 errhint("Give the number of a job of the view llm_jobs.")));
	call = create_call();
	call->batch_rows = batch_rows_arg(fcinfo, 1);
	call->token_limit = token_limit_arg(fcinfo, 2);
	commit();
	pgllm_enrich_job_load(call, PG_GETARG_INT64(0), true);
	pgllm_enrich_lock_failed(call);
	before = GetCurrentTimestamp();
	chunk_context = chunk_context_of(call);
	while ((rows = rows_within_limit(call)) > 0)
	{
		commit();
		MemoryContextReset(chunk_context);
		MemoryContextSwitchTo(chunk_context);
		if (!pgllm_enrich_take_failed(call, open_and_check(call), rows, before, &chunk))
			break;
		commit();
		run_chunk(call, &chunk);
	}
	MemoryContextSwitchTo(call->context);
	notice_end(call, rows > 0 ? "was tried again" : "stopped at its token limit", NULL);
	pgllm_enrich_unlock_failed(call);
	end_call(call);
	PG_RETURN_VOID();
}
