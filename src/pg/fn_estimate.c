/*
 * fn_estimate.c: llm_estimate: calls, tokens and seconds that a query would take.
 *
 * The query is planned with the caller's rights. Calls follow from the rows that the planner expects. Tokens follow from a
 * sample: the reading part of the plan runs, in a subtransaction that is read-only and rolled back, until functions of ours
 * have been called SAMPLE_CALLS times; each makes its prompt and is given up. Volatile functions of others become NULL before
 * planning, so nothing is done that a query could do beside reading. Seconds follow from what the same function took with the
 * same model on this server (llm_stat_calls); if that is too little, some of the sample are run for a second.
 */
#include "estimate.h"

#include "call_stats.h"
#include "models.h"
#include "stat_table.h"
#include "batch_scan/batch_plan.h"

#include <math.h>

#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_estimate);

#define SAMPLE_CALLS 64
#define SAMPLE_US 2000000
#define PROBE_WORKS 8			/* of a call site */
#define PROBE_US 1000000
#define PROBE_MAX_US 10000000	/* if nothing is done before */

/* what statistics must have seen before they are believed */
#define KNOWN_US 500000
#define KNOWN_CALLS 8

typedef struct Site
{
	const PgLlmPlanCall *call;
	int			n_seen;
	double		prompt_tokens;	/* of those seen */
	double		max_output;
	double		requests;
	PgLlmModel *model;			/* NULL: not seen */
	PgLlmWork  *works[PROBE_WORKS];
	int			n_works;
} Site;

typedef struct Sample
{
	MemoryContext context;
	int			n_sites;
	Site	   *sites;
	int			n_seen;
	bool		complete;		/* ended by ourselves */
	instr_time	begun;
	QueryDesc  *query;
} Sample;

static Sample *sample = NULL;

bool
pgllm_estimating(void)
{
	return sample != NULL;
}

static uint64
us_since(instr_time begun)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, begun);
	return INSTR_TIME_GET_MICROSEC(now);
}

/* ---- the query ---- */

static void
refuse(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s", message),
			 errhint("%s", hint)));
}

/* volatile, and known to change nothing */
static bool
is_harmless(Oid funcid)
{
	return funcid == PGLLM_F_RANDOM || funcid == F_CLOCK_TIMESTAMP || funcid == F_TIMEOFDAY || funcid == F_GEN_RANDOM_UUID;
}

static void
check_own_function(Oid funcid)
{
	Oid			extension = get_extension_oid("pg_llm", true);

	if (OidIsValid(extension) && getExtensionOfObject(ProcedureRelationId, funcid) == extension)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("llm_estimate() cannot tell what %s() takes", get_func_name(funcid)),
				 errhint("Estimate the query without it, or with a function that answers row by row.")));
}

/* a row of NULLs cannot stand for one whose columns only the function knows */
static void
check_row_is_known(Oid funcid, Oid type)
{
	if (type == RECORDOID && get_func_result_type(funcid, NULL, NULL) == TYPEFUNC_COMPOSITE)
		refuse(psprintf("llm_estimate() cannot estimate a query with volatile function %s(), which returns a row", get_func_name(funcid)),
			   "Put what it returns into a table, and estimate the query over that.");
}

static bool
is_volatile(Oid funcid, void *context)
{
	return func_volatile(funcid) == PROVOLATILE_VOLATILE;
}

/* NULL in place of what may have effects */
static Node *
without_effects(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, without_effects, context, 0);
	if (IsA(node, NextValueExpr))
		return (Node *) makeNullConst(((NextValueExpr *) node)->typeId, -1, InvalidOid);
	if (IsA(node, FuncExpr))
	{
		FuncExpr   *call = (FuncExpr *) node;

		if (func_volatile(call->funcid) == PROVOLATILE_VOLATILE && pgllm_function_of(call->funcid) == NULL && !is_harmless(call->funcid))
		{
			check_own_function(call->funcid);
			check_row_is_known(call->funcid, call->funcresulttype);
			return (Node *) makeNullConst(call->funcresulttype, -1, call->funccollid);
		}
	}
	if ((IsA(node, OpExpr) || IsA(node, DistinctExpr) || IsA(node, NullIfExpr) || IsA(node, ScalarArrayOpExpr)) &&
		check_functions_in_node(node, is_volatile, NULL))
		return (Node *) makeNullConst(exprType(node), -1, exprCollation(node));
	return expression_tree_mutator(node, without_effects, context);
}

static Query *
analyze(const char *sql)
{
	static const char one_query[] = "Give one SELECT, INSERT, UPDATE, DELETE or MERGE.";
	List	   *raw = pg_parse_query(sql);
	List	   *queries;
	Query	   *query;

	if (list_length(raw) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("query has %d statements, not one", list_length(raw)),
				 errhint("%s", one_query)));
	queries = pg_analyze_and_rewrite_fixedparams(linitial(raw), sql, NULL, 0, NULL);
	if (list_length(queries) != 1)
		refuse("llm_estimate() cannot estimate a query that rules make several or none of", one_query);
	query = linitial(queries);
	if (query->commandType == CMD_UTILITY)
		refuse("llm_estimate() cannot estimate a utility statement",
			   "Give one SELECT, INSERT, UPDATE, DELETE or MERGE; for CALL llm_enrich() the UPDATE that it stands for.");
	if (query->hasModifyingCTE)
		refuse("llm_estimate() cannot estimate a query that modifies data in WITH", "Estimate its parts one by one.");
	return (Query *) without_effects((Node *) query, NULL);
}

static Plan *
without_locks(Plan *child, Plan *parent, void *context)
{
	while (child != NULL && IsA(child, LockRows))
		child = outerPlan(child);
	if (child != NULL)
		pgllm_plan_map(child, without_locks, context);
	return child;
}

/* the part of a plan that reads */
static PlannedStmt *
reading_part(const PlannedStmt *stmt)
{
	PlannedStmt *part = palloc(sizeof(PlannedStmt));
	ListCell   *cell;

	*part = *stmt;
	part->commandType = CMD_SELECT;
	part->hasReturning = false;
	part->resultRelations = NIL;
	if (IsA(part->planTree, ModifyTable))
		part->planTree = outerPlan(part->planTree);
	part->planTree = without_locks(part->planTree, NULL, NULL);
	foreach(cell, part->subplans)
		lfirst(cell) = without_locks(lfirst(cell), NULL, NULL);
	return part;
}

/* ---- the sample ---- */

static Site *
find_site(const Node *call)
{
	for (int i = 0; i < sample->n_sites; i++)
		if ((const Node *) sample->sites[i].call->call == call)
			return &sample->sites[i];
	return NULL;
}

static void
note_work(Site *site, PgLlmModel *model, PgLlmWork *work)
{
	const PgLlmFunction *function = site->call->function;
	const double requests = function->most_calls != NULL ? function->most_calls(work) : work->n_calls;
	const double part = work->n_calls > 0 ? requests / work->n_calls : 0;

	site->model = model;
	site->n_seen++;
	site->requests += requests;
	/* those that follow are like the first ones */
	for (int i = 0; i < work->n_calls; i++)
	{
		site->prompt_tokens += part * (double) work->calls[i]->n_prompt;
		site->max_output += part * (double) work->calls[i]->max_output;
	}
	if (site->n_works < PROBE_WORKS)
	{
		site->works[site->n_works++] = work;
		return;
	}
	for (int i = 0; i < work->n_calls; i++)
		pgllm_stats_call_forget(work->calls[i]);
	pgllm_work_free(work);
}

/* what stands for the result: filters let rows pass, texts are as long as what they were made of */
static Datum
stand_in(FunctionCallInfo fcinfo)
{
	Oid			type = get_fn_expr_rettype(fcinfo->flinfo);

	if (type == BOOLOID)
		PG_RETURN_BOOL(true);
	if (type == TEXTOID && get_fn_expr_argtype(fcinfo->flinfo, 0) == TEXTOID && !PG_ARGISNULL(0))
		return PG_GETARG_DATUM(0);
	PG_RETURN_NULL();
}

Datum
pgllm_estimate_call(FunctionCallInfo fcinfo, const PgLlmFunction *function, const PgLlmPrepared *prepared)
{
	MemoryContext old = MemoryContextSwitchTo(sample->context);
	Site	   *site = find_site(fcinfo->flinfo->fn_expr);

	/* what is inside functions of the user is not in the plan, and not counted */
	if (site != NULL)
	{
		((PgLlmSite *) fcinfo->flinfo->fn_extra)->keep = true; /* works need what was parsed */
		note_work(site, prepared->model, pgllm_function_begin(fcinfo, function, prepared));
		sample->n_seen++;
	}
	MemoryContextSwitchTo(old);
	sample->complete = sample->n_seen >= SAMPLE_CALLS || us_since(sample->begun) > SAMPLE_US;
	/* an error that no handler of the query's functions takes for its own */
	if (sample->complete)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("sample is complete"),
				 errhint("This is no error.")));
	return stand_in(fcinfo);
}

static void
run_sample(PlannedStmt *stmt, const char *sql)
{
	PushActiveSnapshot(GetActiveSnapshot());
	sample->query = CreateQueryDesc(stmt, sql, GetActiveSnapshot(), InvalidSnapshot, None_Receiver, NULL, NULL, INSTRUMENT_ROWS);
	ExecutorStart(sample->query, 0);	/* checks privileges, those of writing too */
	XactReadOnly = true;
	pgllm_executor_run(sample->query);
	PopActiveSnapshot();
}

/* the sample, in a subtransaction that ends by being rolled back */
static void
take_sample(PlannedStmt *stmt, const char *sql)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	INSTR_TIME_SET_CURRENT(sample->begun);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(sample->context);
	PG_TRY();
	{
		run_sample(stmt, sql);
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		error = pgllm_end_failed_subtransaction(sample->context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error != NULL && !sample->complete)
		ReThrowError(error);
}

typedef struct CountRows
{
	const Plan *plan;
	double		rows;			/* -1: the node was not found */
} CountRows;

static bool
count_rows(PlanState *state, void *opaque)
{
	CountRows  *count = opaque;

	if (state == NULL)
		return false;
	if (state->plan == count->plan && state->instrument != NULL)
	{
		count->rows = state->instrument->ntuples + state->instrument->tuplecount;
		return true;
	}
	return planstate_tree_walker(state, count_rows, opaque);
}

/* of the rows that reach a call's expression, the part that reaches the call: guards keep others away */
static double
reached(const Site *site)
{
	const PgLlmPlanCall *call = site->call;
	CountRows	count = {.plan = call->seen_at, .rows = -1};

	if (call->seen_at != NULL)
		(void) count_rows(sample->query->planstate, &count);
	if (count.rows < 0)
		return 1;
	if (call->emitted && sample->complete)
		count.rows++;			/* the one that the sample ended in */
	return count.rows < 1 ? 1 : Min(site->n_seen / count.rows, 1);
}

/* ---- speed ---- */

/* what the function took with the model, by the statistics that there are */
static void
known_totals(const Site *site, PgLlmTotals *known)
{
	PgLlmStatEntry *entries;
	int			n;

	memset(known, 0, sizeof *known);
	pgllm_stats_flush();
	n = pgllm_stat_table_list(&entries);
	for (int i = 0; i < n; i++)
		if (entries[i].key.database == MyDatabaseId && strcmp(entries[i].key.model, site->model->name) == 0 &&
			strcmp(entries[i].key.function, PGLLM_SYMBOL_NAME(site->call->function->symbol)) == 0)
			pgllm_totals_add(known, &entries[i].totals);
	pfree(entries);
}

/* run what was begun of a site, for a while; only what is done counts */
static void
probe(Site *site, PgLlmTotals *done)
{
	instr_time	begun;
	bool		more = true;

	memset(done, 0, sizeof *done);
	INSTR_TIME_SET_CURRENT(begun);
	while (more && (us_since(begun) < PROBE_US || (done->calls == 0 && us_since(begun) < PROBE_MAX_US)))
	{
		pgllm_model_step(site->model, &more);
		memset(done, 0, sizeof *done);
		for (int w = 0; w < site->n_works; w++)
			for (int i = 0; i < site->works[w]->n_calls; i++)
			{
				const PgLlmCall *call = site->works[w]->calls[i];
				PgLlmTotals taken;

				if (call->request == NULL)
					continue;
				pgllm_call_taken(call, &taken);
				taken.calls = llm_request_finish(call->request) != LLM_FINISH_NONE;
				if (taken.calls > 0 || taken.output_tokens > 0)
					pgllm_totals_add(done, &taken);
			}
	}
	done->us = us_since(begun);
}

/* requests that a sample left behind */
static void
give_up_works(Site *site)
{
	for (int w = 0; w < site->n_works; w++)
	{
		for (int i = 0; i < site->works[w]->n_calls; i++)
			pgllm_stats_call_forget(site->works[w]->calls[i]);
		pgllm_work_free(site->works[w]);
	}
	site->n_works = 0;
}

/* ---- the whole ---- */

typedef struct Estimate
{
	double		calls;
	double		prompt_tokens;
	double		output_tokens;
	double		seconds;		/* -1: not known */
} Estimate;

/* calls of a site that the sample did not reach, or did not find a model for, are as the planner says, without tokens */
static void
add_site(Estimate *sum, Site *site)
{
	double		calls = site->call->rows * reached(site);
	double		output;
	PgLlmTotals known;

	sum->calls += calls;
	if (site->n_seen == 0)
	{
		if (calls > 0)
			sum->seconds = -1;
		return;
	}
	output = site->max_output / site->n_seen;
	known_totals(site, &known);
	if (known.us < KNOWN_US || (output > 0 && known.calls < KNOWN_CALLS))
		probe(site, &known);
	give_up_works(site);
	if (known.calls > 0)
		output = Min(output, site->requests / site->n_seen * (double) known.output_tokens / (double) known.calls);
	sum->prompt_tokens += calls * site->prompt_tokens / site->n_seen;
	sum->output_tokens += calls * output;
	if (known.us == 0 || known.prompt_tokens + known.output_tokens == 0)
		sum->seconds = -1;
	else if (sum->seconds >= 0)
		sum->seconds += calls * (site->prompt_tokens / site->n_seen + output) * (double) known.us / 1e6 /
			(double) (known.prompt_tokens + known.output_tokens);
}

static void
estimate(const char *sql, Estimate *result)
{
	PlannedStmt *stmt = pg_plan_query(analyze(sql), sql, 0, NULL);
	List	   *calls = pgllm_plan_calls(stmt);
	ListCell   *cell;

	sample->sites = palloc0(sizeof(Site) * Max(list_length(calls), 1));
	foreach(cell, calls)
		sample->sites[sample->n_sites++].call = lfirst(cell);
	take_sample(reading_part(stmt), sql);
	for (int i = 0; i < sample->n_sites; i++)
		add_site(result, &sample->sites[i]);
}

/* (query): (calls, prompt_tokens, output_tokens, seconds), one row */
Datum
pgllm_fn_llm_estimate(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Estimate	result = {0};
	Datum		values[4];
	bool		nulls[4] = {false};
	Sample		own = {0};
	MemoryContext old;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	if (sample != NULL)
		refuse("llm_estimate() cannot estimate itself", "Give the query that is to be estimated.");
	own.context = AllocSetContextCreate(CurrentMemoryContext, "pg_llm estimate", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(own.context);
	sample = &own;
	PG_TRY();
	{
		estimate(text_to_cstring(PG_GETARG_TEXT_PP(0)), &result);
	}
	PG_FINALLY();
	{
		sample = NULL;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	values[0] = Int64GetDatum((int64) rint(Min(result.calls, 1e18)));
	values[1] = Int64GetDatum((int64) rint(Min(result.prompt_tokens, 1e18)));
	values[2] = Int64GetDatum((int64) rint(Min(result.output_tokens, 1e18)));
	values[3] = Float8GetDatum(result.seconds);
	nulls[3] = result.seconds < 0;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	MemoryContextDelete(own.context);
	return (Datum) 0;
}
