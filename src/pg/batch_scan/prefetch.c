/*
 * prefetch.c: computing ahead: for the rows of a batch, the calls that will be made for them, together.
 *
 * Calls are taken by level: those in arguments and guards of others first. For each row and call its guards are tested and
 * its arguments evaluated; then its requests begin. When enough are under way, they run, and their answers go to the shelf,
 * where the calls will look.
 *
 * Evaluation can raise: a row that would never have been reached must not end the statement. So it happens in a
 * subtransaction, and what raised is left to the call itself, which raises again when its row is returned. Where there can
 * be no subtransactions (parallel mode before PostgreSQL 17), only calls of columns and constants are computed ahead.
 * Cancel and the like are raised at once.
 */
#include "batch_scan/batch_scan.h"
#include "call_stats.h"
#include "progress.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/tuplestore.h"

/* requests under way together: their number, and tokens that they hold or may come to hold */
#define MAX_WORKS 256
#define MAX_WORK_TOKENS 65536

/* what sites hold that was parsed for requests under way, as a new grammar for each row: bytes from which no more begin */
#define MAX_PARSED_BYTES ((Size) 64 * 1024 * 1024)

/* a call whose evaluation raises again and again is left alone */
#define MAX_SITE_ERRORS 8

typedef struct Work
{
	PgLlmSiteState *site;
	PgLlmPrepared prepared;
	PgLlmWork  *work;
	bool		whole;			/* no more requests follow */
	bool		broken;			/* that raised: the call itself will do so again */
} Work;

/* where the computing of a level stands */
typedef struct Ahead
{
	PgLlmBatchState *b;
	int			level;
	int64		n_rows;
	int64		row;			/* rows read */
	int			site;			/* the next for the last row read */
	int			n_works;
	Work		works[MAX_WORKS];
	uint64		tokens;			/* of works */
	int			n_asked;		/* works asked for more in this round */
	int			n_more;			/* of them, works that have begun more */
	int			n_settled;
	int64		row_before;		/* rows read when these works began */
} Ahead;

/* ---- sites ---- */

static bool
simple_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (!IsA(node, Var) && !IsA(node, Const) && !IsA(node, Param) && !IsA(node, RelabelType) && !IsA(node, List))
		return true;
	return expression_tree_walker(node, simple_walker, context);
}

static bool
exec_params_walker(Node *node, Bitmapset **params)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC)
		*params = bms_add_member(*params, ((Param *) node)->paramid);
	return expression_tree_walker(node, exec_params_walker, params);
}

/* expressions for evaluation, in the query's memory */
static void
init_expressions(PgLlmBatchState *b, PgLlmSiteState *site)
{
	MemoryContext old = MemoryContextSwitchTo(b->css.ss.ps.state->es_query_cxt);
	int			i = 0;
	ListCell   *cell;

	site->guards = ExecInitQual(site->guard_exprs, &b->css.ss.ps);
	foreach(cell, site->call->args)
		site->args[i++] = ExecInitExpr(lfirst(cell), &b->css.ss.ps);
	MemoryContextSwitchTo(old);
}

/* what the query says of a result in FROM */
static Node *
result_info(const RangeTblFunction *columns)
{
	ReturnSetInfo *info;

	if (columns == NULL)
		return NULL;
	info = makeNode(ReturnSetInfo);
	info->allowedModes = SFRM_Materialize;
	info->expectedDesc = BuildDescFromLists(columns->funccolnames, columns->funccoltypes, columns->funccoltypmods, columns->funccolcollations);
	return (Node *) info;
}

static void
init_site(PgLlmBatchState *b, PgLlmSiteState *site, List *node)
{
	int			n_args;

	site->call = PGLLM_SITE_CALL(node);
	site->function = pgllm_function_of(site->call->funcid);
	site->guard_exprs = PGLLM_SITE_GUARDS(node);
	n_args = list_length(site->call->args);
	site->simple = !simple_walker((Node *) site->call->args, NULL) && !simple_walker((Node *) site->guard_exprs, NULL);
	(void) exec_params_walker((Node *) node, &site->exec_params);
	site->args = palloc(sizeof(ExprState *) * n_args);
	init_expressions(b, site);
	fmgr_info(site->call->funcid, &site->flinfo);
	fmgr_info_set_expr((Node *) site->call, &site->flinfo);
	site->fcinfo = palloc0(SizeForFunctionCallInfo(n_args));
	InitFunctionCallInfoData(*site->fcinfo, &site->flinfo, n_args, site->call->inputcollid, NULL, result_info(PGLLM_SITE_COLUMNS(node)));
	/* calls within: the sites of these come before */
	if (pgllm_has_call((Node *) site->call->args) || pgllm_has_call((Node *) site->guard_exprs))
		site->level = ++b->max_level;
}

void
pgllm_prefetch_init(PgLlmBatchState *b, List *sites)
{
	ListCell   *cell;

	b->sites = palloc0(sizeof(PgLlmSiteState) * Max(list_length(sites), 1));
	foreach(cell, sites)
	{
		PgLlmSiteState *site = &b->sites[b->n_sites];

		init_site(b, site, lfirst(cell));
		/* a function that was made anew meanwhile, and is not ours any more */
		if (site->function != NULL)
			b->n_sites++;
	}
}

/* parameters are computed by the first call that needs them, not here */
static bool
params_known(PgLlmBatchState *b, PgLlmSiteState *site)
{
	int			id = -1;

	while ((id = bms_next_member(site->exec_params, id)) >= 0)
		if (b->ahead_context->ecxt_param_exec_vals[id].execPlan != NULL)
			return false;
	return true;
}

/* ---- what may raise ---- */

static bool
may_subtransact(void)
{
	return !PGLLM_NO_SUBTRANSACTIONS;
}

/* errors that are not about what was evaluated: cancel, timeouts, shutdown; conflicts that end the transaction */
static bool
must_raise(int sqlerrcode)
{
	return ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION) ||
		ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK);
}

/* run fn; false if it raised, and nothing of that is left */
static bool
try(void (*fn) (Ahead *ahead), Ahead *ahead)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	PgLlmAhead	mode = {0};
	PgLlmAhead *outer = pgllm_ahead;
	bool		sub = may_subtransact();
	ErrorData  *volatile error = NULL;

	if (sub)
	{
		BeginInternalSubTransaction(NULL);
		MemoryContextSwitchTo(context);
	}
	PG_TRY();
	{
		pgllm_ahead = &mode;
		fn(ahead);
		pgllm_ahead = outer;
		if (sub)
			ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		pgllm_ahead = outer;
		if (!sub)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error != NULL && must_raise(error->sqlerrcode))
		ReThrowError(error);
	if (error != NULL)
		FreeErrorData(error);
	return error == NULL;
}

/* ---- beginning ---- */

/* tokens that a call holds, and may come to hold, at the end */
static uint64
tokens_of(const PgLlmWork *work)
{
	uint64		tokens = 0;

	for (int i = 0; i < work->n_calls; i++)
		tokens += work->calls[i]->n_prompt + work->calls[i]->max_output;
	return tokens;
}

/* begin the requests of a site for the row in the scan slot, unless an equal call is there */
static void
begin_site(Ahead *ahead, PgLlmSiteState *site)
{
	PgLlmBatchState *b = ahead->b;
	ExprContext *econtext = b->ahead_context;
	FunctionCallInfo fcinfo = site->fcinfo;
	PgLlmPrepared prepared;
	const PgLlmAnswer *answer;
	bool		from_shared;
	Work	   *work;

	if (!ExecQual(site->guards, econtext))
		return;
	for (int i = 0; i < fcinfo->nargs; i++)
		fcinfo->args[i].value = ExecEvalExpr(site->args[i], econtext, &fcinfo->args[i].isnull);
	if (pgllm_ahead->missing || !pgllm_function_prepare(fcinfo, site->function, &prepared))
		return;
	((PgLlmSite *) site->flinfo.fn_extra)->keep = true; /* works of rows before need what was parsed */
	b->stats.calls++;
	if (!prepared.drawn && pgllm_shelf_claim(b->shelf, &prepared.key))
		return;
	answer = prepared.drawn ? NULL : pgllm_function_known(site->function, &prepared, &from_shared);
	if (answer != NULL)
	{
		b->stats.shared_hits += from_shared;
		pgllm_shelf_put(b->shelf, &prepared.key, answer);
		return;
	}
	MemoryContextSwitchTo(b->chunk_context);
	work = &ahead->works[ahead->n_works];
	work->site = site;
	work->prepared = prepared;
	work->whole = site->function->more == NULL;
	work->broken = false;
	work->work = pgllm_function_begin(fcinfo, site->function, &prepared);
	ahead->tokens += tokens_of(work->work);
	ahead->n_works++;
	b->stats.inputs++;
}

/* go on with rows and sites until the requests are enough */
static void
begin_some(Ahead *ahead)
{
	PgLlmBatchState *b = ahead->b;

	while (ahead->n_works < MAX_WORKS && ahead->tokens < MAX_WORK_TOKENS &&
		   MemoryContextMemAllocated(b->parsed_context, true) < MAX_PARSED_BYTES)
	{
		PgLlmSiteState *site;

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(b->batch_context);	/* a row that was spilled is read into memory, and stays */
		if (ahead->site == b->n_sites || ahead->row == 0)
		{
			if (ahead->row == ahead->n_rows || !tuplestore_gettupleslot(b->rows, true, false, b->row_slot))
			{
				ahead->row = ahead->n_rows;
				return;
			}
			ahead->row++;
			ahead->site = 0;
			pgllm_batch_store_row(b, b->row_slot);
			b->ahead_context->ecxt_scantuple = b->css.ss.ss_ScanTupleSlot;
		}
		if (b->n_sites == 0)
			continue;
		site = &b->sites[ahead->site++];
		if (site->level != ahead->level || site->n_errors > MAX_SITE_ERRORS || !params_known(b, site) ||
			(!site->simple && !may_subtransact()))
			continue;
		pgllm_ahead->missing = false;
		MemoryContextSwitchTo(b->ahead_context->ecxt_per_tuple_memory);
		begin_site(ahead, site);
		ResetExprContext(b->ahead_context);
	}
}

/* ---- running ---- */

static void
count_tokens(PgLlmBatchState *b, const PgLlmWork *work)
{
	for (int i = 0; i < work->n_calls; i++)
	{
		const PgLlmCall *call = work->calls[i];
		PgLlmTotals taken;
		uint64_t	n_drafted;
		uint64_t	n_accepted;

		pgllm_call_taken(call, &taken);
		b->stats.prompt_tokens += taken.prompt_tokens;
		b->stats.cached_tokens += taken.cached_tokens;
		b->stats.output_tokens += taken.output_tokens;
		if (call->request == NULL || call->max_output == 0)
			continue;
		llm_request_drafts(call->request, &n_drafted, &n_accepted);
		b->stats.drafted_tokens += n_drafted;
		b->stats.accepted_tokens += n_accepted;
	}
}

/* tell how far the batch is: rows of all levels, those of calls under way by the part that is done */
static void
show_progress(const Ahead *ahead)
{
	const PgLlmBatchState *b = ahead->b;
	int64		before = b->n_fetched - ahead->n_rows;
	int64		row = ahead->row_before;

	if (ahead->n_works > 0)
		row += (ahead->row - ahead->row_before) * ahead->n_settled / ahead->n_works;
	pgllm_progress_rows(b, before + (ahead->level * ahead->n_rows + row) / (b->max_level + 1),
						b->child_done ? b->n_fetched : Max(b->n_expected, b->n_fetched));
}

/* wait for the requests of works that may need more, and begin those */
static void
ask_for_more(Ahead *ahead)
{
	while (ahead->n_asked < ahead->n_works)
	{
		Work	   *work = &ahead->works[ahead->n_asked++];

		if (work->whole)
			continue;
		MemoryContextSwitchTo(ahead->b->chunk_context);
		work->broken = true;	/* unless it comes to its end here */
		work->whole = true;
		for (int i = 0; i < work->work->n_calls; i++)
			pgllm_call_settle(work->work->calls[i]);
		work->whole = !pgllm_function_more(work->site->function, work->work);
		work->broken = false;
		ahead->n_more += work->whole ? 0 : 1;
	}
}

/* rounds, in each of which every work that needs more begins it, so that these run together too */
static void
run_rounds(Ahead *ahead)
{
	do
	{
		ahead->n_asked = ahead->n_more = 0;
		while (ahead->n_asked < ahead->n_works)
			(void) try(ask_for_more, ahead);
	} while (ahead->n_more > 0);
}

/* wait for one call after the other (they run together) and put their answers on the shelf */
static void
settle_some(Ahead *ahead)
{
	PgLlmBatchState *b = ahead->b;

	while (ahead->n_settled < ahead->n_works)
	{
		Work	   *work = &ahead->works[ahead->n_settled];
		bool		usable = true;
		PgLlmAnswer *answer;

		show_progress(ahead);
		ahead->n_settled++;
		MemoryContextSwitchTo(b->chunk_context);
		for (int i = 0; i < work->work->n_calls; i++)
		{
			pgllm_call_settle(work->work->calls[i]);
			usable = usable && !work->work->calls[i]->not_the_rows;
		}
		usable = usable && !work->broken;
		count_tokens(b, work->work);
		if (!usable)
			continue;
		answer = pgllm_function_answer(work->site->function, work->work);
		if (work->prepared.drawn)
			pgllm_shelf_put_drawn(b->shelf, &work->prepared.key, answer);
		else
		{
			pgllm_shelf_put(b->shelf, &work->prepared.key, answer);
			pgllm_function_keep(&work->prepared, answer);
		}
		pfree(answer);
		pgllm_work_free(work->work);
	}
}

/* sites parse anew; no work is under way */
static void
forget_parsed(PgLlmBatchState *b)
{
	MemoryContextReset(b->parsed_context);
	for (int i = 0; i < b->n_sites; i++)
		b->sites[i].flinfo.fn_extra = NULL;
}

/* calls of one level for all rows */
static void
run_level(Ahead *ahead)
{
	PgLlmBatchState *b = ahead->b;
	instr_time	clock;

	INSTR_TIME_SET_CURRENT(clock);
	tuplestore_rescan(b->rows);
	ahead->row = 0;
	ahead->site = b->n_sites;
	while (ahead->row < ahead->n_rows || ahead->site < b->n_sites)
	{
		ahead->n_works = ahead->n_settled = 0;
		ahead->tokens = 0;
		ahead->row_before = ahead->row;
		if (!try(begin_some, ahead))
		{
			PgLlmSiteState *site = &b->sites[Max(ahead->site, 1) - 1];

			/* an evaluation that was left in its middle may not go on: begin anew */
			site->n_errors++;
			site->flinfo.fn_extra = NULL;
			if (site->n_errors <= MAX_SITE_ERRORS)
				init_expressions(b, site);
			ResetExprContext(b->ahead_context);
		}
		pgllm_add_time(&b->stats.prepare_time, &clock);
		run_rounds(ahead);
		while (ahead->n_settled < ahead->n_works)
			(void) try(settle_some, ahead);
		pgllm_add_time(&b->stats.model_time, &clock);
		MemoryContextReset(b->chunk_context);
		if (MemoryContextMemAllocated(b->parsed_context, true) >= MAX_PARSED_BYTES)
			forget_parsed(b);
	}
}

void
pgllm_prefetch(PgLlmBatchState *b, int64 n_rows)
{
	MemoryContext old = MemoryContextSwitchTo(b->batch_context);
	Ahead	   *ahead = palloc0(sizeof(Ahead));

	b->shelf = pgllm_shelf_create(b->batch_context);
	b->parsed_context = AllocSetContextCreate(b->batch_context, "pg_llm batch call sites", ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < b->n_sites; i++)
	{
		b->sites[i].flinfo.fn_extra = NULL;
		b->sites[i].flinfo.fn_mcxt = b->parsed_context;
	}
	ahead->b = b;
	ahead->n_rows = n_rows;
	for (ahead->level = 0; ahead->level <= b->max_level; ahead->level++)
		run_level(ahead);
	MemoryContextSwitchTo(old);
}
