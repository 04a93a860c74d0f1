/*
 * module.c: loading of the library, and the hooks by which it knows where a statement begins, is planned and ends.
 *
 * The planner's hook puts batch nodes into plans (batch_scan/). For the rest the hooks keep three facts:
 * - nesting: how many executor runs and utility statements are on the stack. At zero, the end of one is the end of the
 *   client's statement: rows that became NULL are reported then, and files of models are looked at again after it.
 * - the innermost planner run (or start of an executor that only explains), with the nesting and the error context stack
 *   at its beginning. A call that sees both unchanged was made by the planner itself, not by a function that the planner
 *   happens to run: functions of SQL and PL/pgSQL push an error context, and queries raise the nesting.
 * - the end of the transaction, when schedulers (caches of keys and values) are given back.
 *
 * Without preloading, the session's first statement is being planned when the library is loaded, below the hook. The
 * planner support function of our STABLE functions is called in that planning before any of them can be evaluated, and
 * marks it; the executor's start, or another statement, takes the mark away.
 */
#include "models.h"
#include "block_scan/block_scan.h"
#include "progress.h"
#include "shared_cache.h"
#include "shared_memory.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/supportnodes.h"
#include "optimizer/planner.h"
#include "storage/ipc.h"
#include "tcop/utility.h"
#include "utils/elog.h"
#include "utils/timestamp.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

PG_FUNCTION_INFO_V1(pgllm_fn_llm_planner_support);

/* a point on the stack: calls made from there directly see the same nesting and error contexts */
typedef struct StackPoint
{
	int			nesting;
	ErrorContextCallback *errors;
} StackPoint;

static int	nesting = 0;
static bool runs_to_end = false;	/* the innermost run of the executor */
static uint64 statement_number = 1;
static const StackPoint *planner_at = NULL; /* innermost planner run that passed our hook */

/* planner run that began before the hook was there */
static struct
{
	bool		set;
	StackPoint	at;
	TimestampTz statement;
}			unhooked_planner;

static planner_hook_type prev_planner_hook = NULL;
static ExecutorStart_hook_type prev_ExecutorStart_hook = NULL;
static ExecutorRun_hook_type prev_ExecutorRun_hook = NULL;
static ExecutorFinish_hook_type prev_ExecutorFinish_hook = NULL;
static ExecutorEnd_hook_type prev_ExecutorEnd_hook = NULL;
static ProcessUtility_hook_type prev_ProcessUtility_hook = NULL;

static StackPoint
stack_here(void)
{
	StackPoint	here = {.nesting = nesting, .errors = error_context_stack};

	return here;
}

static bool
stack_is_at(const StackPoint *point)
{
	return point->nesting == nesting && point->errors == error_context_stack;
}

bool
pgllm_planner_evaluates(void)
{
	if (planner_at)
		return stack_is_at(planner_at);
	return unhooked_planner.set && stack_is_at(&unhooked_planner.at) &&
		unhooked_planner.statement == GetCurrentStatementStartTimestamp();
}

/* support function: simplifies nothing, but its call says that the planner is at work; estimates rows and costs */
Datum
pgllm_fn_llm_planner_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	/* root is NULL when an expression is prepared outside a query, to be executed right after, without ExecutorStart */
	if (!planner_at && request && IsA(request, SupportRequestSimplify) &&
		((SupportRequestSimplify *) request)->root != NULL)
	{
		unhooked_planner.set = true;
		unhooked_planner.at = stack_here();
		unhooked_planner.statement = GetCurrentStatementStartTimestamp();
	}
	PG_RETURN_POINTER(request ? pgllm_support_estimate(request) : NULL);
}

bool
pgllm_runs_to_end(void)
{
	return runs_to_end;
}

uint64
pgllm_statement_id(void)
{
	static TimestampTz last_start = 0;

	if (last_start != GetCurrentStatementStartTimestamp())
	{
		last_start = GetCurrentStatementStartTimestamp();
		statement_number++;
	}
	return statement_number;
}

int64_t
pgllm_statement_time(void)
{
	return (int64_t) timestamptz_to_time_t(GetCurrentStatementStartTimestamp());
}

/* a statement of the client has done its work, if nothing is on the stack */
static void
maybe_statement_end(void)
{
	if (nesting > 0)
		return;
	statement_number++;
	pgllm_memo_forget();
	pgllm_stats_flush();
	pgllm_progress_end();
	pgllm_row_errors_report();
}

static PlannedStmt *
pgllm_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo bound_params)
{
	const StackPoint *outer = planner_at;
	StackPoint	here = stack_here();
	PlannedStmt *result;

	planner_at = &here;
	PG_TRY();
	{
		if (prev_planner_hook)
			result = prev_planner_hook(parse, query_string, cursor_options, bound_params);
		else
			result = standard_planner(parse, query_string, cursor_options, bound_params);
	}
	PG_FINALLY();
	{
		planner_at = outer;
	}
	PG_END_TRY();
	pgllm_batch_plan(result, cursor_options);
	return result;
}

static void
call_executor_start(QueryDesc *query_desc, int eflags)
{
	if (prev_ExecutorStart_hook)
		prev_ExecutorStart_hook(query_desc, eflags);
	else
		standard_ExecutorStart(query_desc, eflags);
}

/* EXPLAIN without ANALYZE starts the executor too, which prunes partitions by evaluating STABLE functions */
static void
pgllm_ExecutorStart(QueryDesc *query_desc, int eflags)
{
	const StackPoint *outer = planner_at;
	StackPoint	here = stack_here();

	if (unhooked_planner.set && stack_is_at(&unhooked_planner.at))
		unhooked_planner.set = false;
	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0)
	{
		call_executor_start(query_desc, eflags);
		return;
	}
	planner_at = &here;
	PG_TRY();
	{
		call_executor_start(query_desc, eflags);
	}
	PG_FINALLY();
	{
		planner_at = outer;
	}
	PG_END_TRY();
}

static void
pgllm_ExecutorRun(PGLLM_EXECUTOR_RUN_PARAMS)
{
	bool		outer_runs_to_end = runs_to_end;

	nesting++;
	runs_to_end = count == 0;
	PG_TRY();
	{
		if (prev_ExecutorRun_hook)
			prev_ExecutorRun_hook(PGLLM_EXECUTOR_RUN_ARGS);
		else
			standard_ExecutorRun(PGLLM_EXECUTOR_RUN_ARGS);
	}
	PG_FINALLY();
	{
		nesting--;
		runs_to_end = outer_runs_to_end;
	}
	PG_END_TRY();
	/* run to the end: in the extended protocol ExecutorEnd may come after the client has read that the command is complete */
	if (count == 0)
		maybe_statement_end();
}

static void
pgllm_ExecutorFinish(QueryDesc *query_desc)
{
	nesting++;
	PG_TRY();
	{
		if (prev_ExecutorFinish_hook)
			prev_ExecutorFinish_hook(query_desc);
		else
			standard_ExecutorFinish(query_desc);
	}
	PG_FINALLY();
	{
		nesting--;
	}
	PG_END_TRY();
}

static void
pgllm_ExecutorEnd(QueryDesc *query_desc)
{
	if (prev_ExecutorEnd_hook)
		prev_ExecutorEnd_hook(query_desc);
	else
		standard_ExecutorEnd(query_desc);
	maybe_statement_end();
}

static void
pgllm_ProcessUtility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree, ProcessUtilityContext context,
					 ParamListInfo params, QueryEnvironment *query_env, DestReceiver *dest, QueryCompletion *completion)
{
	nesting++;
	PG_TRY();
	{
		if (prev_ProcessUtility_hook)
			prev_ProcessUtility_hook(pstmt, query_string, read_only_tree, context, params, query_env, dest, completion);
		else
			standard_ProcessUtility(pstmt, query_string, read_only_tree, context, params, query_env, dest, completion);
	}
	PG_FINALLY();
	{
		nesting--;
	}
	PG_END_TRY();
	maybe_statement_end();
}

/* requests go with the transaction */
static void
end_work(void)
{
	pgllm_stats_end_transaction();
	pgllm_progress_end();
}

static void
pgllm_transaction_callback(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PARALLEL_PRE_COMMIT && event != XACT_EVENT_PRE_PREPARE)
		pgllm_memo_forget();
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			pgllm_row_errors_report();
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
			pgllm_row_errors_forget();
			end_work();
			pgllm_models_end_transaction();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PREPARE:
			end_work();
			pgllm_models_end_transaction();
			break;
		default:
			break;
	}
}

void
_PG_init(void)
{
	pgllm_shared_memory_init();	/* before guc.c reserves the names of settings */
	pgllm_shared_cache_init();
	pgllm_preload_init();
	pgllm_guc_init();
	pgllm_models_init();
	pgllm_batch_init();
	pgllm_block_init();

	prev_planner_hook = planner_hook;
	planner_hook = pgllm_planner;
	prev_ExecutorStart_hook = ExecutorStart_hook;
	ExecutorStart_hook = pgllm_ExecutorStart;
	prev_ExecutorRun_hook = ExecutorRun_hook;
	ExecutorRun_hook = pgllm_ExecutorRun;
	prev_ExecutorFinish_hook = ExecutorFinish_hook;
	ExecutorFinish_hook = pgllm_ExecutorFinish;
	prev_ExecutorEnd_hook = ExecutorEnd_hook;
	ExecutorEnd_hook = pgllm_ExecutorEnd;
	prev_ProcessUtility_hook = ProcessUtility_hook;
	ProcessUtility_hook = pgllm_ProcessUtility;
	RegisterXactCallback(pgllm_transaction_callback, NULL);
}
