/*
 * block_sample.c: the model's verdict on some pairs of texts.
 *
 * For a pair of texts the call is made with the first rows that have them: whatever it reads of a row is in the text. Calls run
 * together, and their answers stay in the statement's memo, where the join finds them again.
 *
 * Other conditions of the join may drop a pair of the sample, so that what raises for it (a value that makes an expression
 * fail, a text too long) must not end the statement: the pair counts as no match, and the call raises if it is reached.
 */
#include "block_scan/block_scan.h"
#include "batch_scan/batch_scan.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#define MAX_CALLS 128
#define MAX_CALL_TOKENS 32768

/* what was parsed for the call, as a new condition for each pair: bytes from which it is forgotten */
#define MAX_PARSED_BYTES ((Size) 64 * 1024 * 1024)

typedef struct Begun
{
	PgLlmPair  *pair;
	PgLlmPrepared prepared;
	PgLlmWork  *work;
} Begun;

typedef struct Verifier
{
	PgLlmBlockState *b;
	const PgLlmFunction *function;
	FmgrInfo	flinfo;
	FunctionCallInfo fcinfo;
	MemoryContext context;
	MemoryContext sites_context;	/* constants of the call site, which works need */
	MemoryContext chunk_context;	/* works that run */
	int			n_begun;
	uint64		tokens;
	Begun		begun[MAX_CALLS];
	PgLlmPair  *pair;			/* that is begun, or that has its answer */
	const PgLlmPrepared *prepared;
	const PgLlmAnswer *answer;
} Verifier;

static void
fetch_row(PgLlmBlockSide *side, int64 row)
{
	tuplestore_rescan(side->rows);
	if (!tuplestore_skiptuples(side->rows, row, true) || !tuplestore_gettupleslot(side->rows, true, false, side->slot))
		elog(ERROR, "row " INT64_FORMAT " of a join is missing", row);
}

static void
init(Verifier *v, PgLlmBlockState *b)
{
	FuncExpr   *call = PGLLM_BLOCK_CALL((CustomScan *) b->css.ss.ps.plan);
	int			n = list_length(call->args);

	memset(v, 0, sizeof *v);
	v->b = b;
	v->context = AllocSetContextCreate(b->context, "pg_llm sample", ALLOCSET_DEFAULT_SIZES);
	v->chunk_context = AllocSetContextCreate(b->context, "pg_llm sample requests", ALLOCSET_DEFAULT_SIZES);
	v->function = pgllm_function_of(call->funcid);
	if (v->function == NULL)
		elog(ERROR, "function of a blocked join is none of pg_llm");
	v->sites_context = AllocSetContextCreate(v->context, "pg_llm sample call site", ALLOCSET_DEFAULT_SIZES);
	fmgr_info_cxt(call->funcid, &v->flinfo, v->sites_context);
	fmgr_info_set_expr((Node *) call, &v->flinfo);
	v->fcinfo = MemoryContextAllocZero(v->context, SizeForFunctionCallInfo(n));
	InitFunctionCallInfoData(*v->fcinfo, &v->flinfo, n, call->inputcollid, NULL, NULL);
}

/* once for all samples: expressions go with the query's memory, as they are known to its executor */
static void
init_args(PgLlmBlockState *b)
{
	MemoryContext old = MemoryContextSwitchTo(b->css.ss.ps.state->es_query_cxt);
	List	   *args = PGLLM_BLOCK_CALL((CustomScan *) b->css.ss.ps.plan)->args;
	int			i = 0;
	ListCell   *cell;

	if (b->call_args == NULL)
	{
		b->call_args = palloc(sizeof(ExprState *) * list_length(args));
		foreach(cell, args)
			b->call_args[i++] = ExecInitExpr(lfirst(cell), &b->css.ss.ps);
	}
	MemoryContextSwitchTo(old);
}

/* of v->answer */
static void
finish_pair(void *opaque)
{
	Verifier   *v = opaque;
	Datum		verdict;

	v->fcinfo->isnull = false;
	verdict = v->function->finish(v->fcinfo, v->prepared, v->answer);
	v->pair->matches = !v->fcinfo->isnull && DatumGetBool(verdict);
}

static void
take_verdict(Verifier *v, PgLlmPair *pair, const PgLlmPrepared *prepared, const PgLlmAnswer *answer)
{
	v->pair = pair;
	v->prepared = prepared;
	v->answer = answer;
	pair->matches = false;
	(void) pgllm_attempt(finish_pair, v, NULL);
}

static void
settle(Verifier *v)
{
	for (int i = 0; i < v->n_begun; i++)
	{
		Begun	   *begun = &v->begun[i];
		PgLlmAnswer *answer;

		for (int k = 0; k < begun->work->n_calls; k++)
			pgllm_call_wait(begun->work->calls[k]);
		answer = pgllm_function_answer(v->function, begun->work);
		pgllm_work_free(begun->work);
		if (!begun->prepared.drawn)
			pgllm_function_keep(&begun->prepared, answer);
		take_verdict(v, begun->pair, &begun->prepared, answer);
	}
	v->n_begun = 0;
	v->tokens = 0;
}

/* the call for the pair in the scan slot */
static void
begin_call(void *opaque)
{
	Verifier   *v = opaque;
	PgLlmBlockState *b = v->b;
	Begun	   *begun = &v->begun[v->n_begun];
	bool		from_shared;

	for (int i = 0; i < v->fcinfo->nargs; i++)
		v->fcinfo->args[i].value = ExecEvalExpr(b->call_args[i], b->css.ss.ps.ps_ExprContext, &v->fcinfo->args[i].isnull);
	if (!pgllm_function_prepare(v->fcinfo, v->function, &begun->prepared))
		return;
	((PgLlmSite *) v->flinfo.fn_extra)->keep = true;
	v->answer = begun->prepared.drawn ? NULL : pgllm_function_known(v->function, &begun->prepared, &from_shared);
	if (v->answer != NULL)
	{
		v->prepared = &begun->prepared;
		finish_pair(v);
		return;
	}
	MemoryContextSwitchTo(v->chunk_context);
	begun->pair = v->pair;
	begun->work = pgllm_function_begin(v->fcinfo, v->function, &begun->prepared);
	for (int k = 0; k < begun->work->n_calls; k++)
		v->tokens += begun->work->calls[k]->n_prompt;
	v->n_begun++;
}

static void
begin_pair(Verifier *v, PgLlmPair *pair)
{
	PgLlmBlockState *b = v->b;
	ExprContext *econtext = b->css.ss.ps.ps_ExprContext;
	MemoryContext old;

	for (int side = 0; side < PGLLM_SIDES; side++)
		fetch_row(&b->sides[side], b->sides[side].first_row[pair->texts[side]]);
	pgllm_block_store_pair(b);
	econtext->ecxt_scantuple = b->css.ss.ss_ScanTupleSlot;
	old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	pair->matches = false;
	v->pair = pair;
	if (b->n_call_errors >= PGLLM_BLOCK_MAX_ERRORS)
		begin_call(v);
	else if (!pgllm_attempt(begin_call, v, NULL))
	{
		/* an evaluation that was left in its middle may not go on: begin anew */
		b->n_call_errors++;
		b->call_args = NULL;
		init_args(b);
		v->flinfo.fn_extra = NULL;
	}
	MemoryContextSwitchTo(old);
	ResetExprContext(econtext);
}

/* whether those that are begun are to run now */
static bool
is_full(const Verifier *v)
{
	return v->n_begun == MAX_CALLS || v->tokens >= MAX_CALL_TOKENS || MemoryContextMemAllocated(v->sites_context, true) >= MAX_PARSED_BYTES;
}

static void
run_begun(Verifier *v)
{
	MemoryContext old = MemoryContextSwitchTo(v->chunk_context);

	settle(v);
	MemoryContextSwitchTo(old);
	MemoryContextReset(v->chunk_context);
	if (MemoryContextMemAllocated(v->sites_context, true) >= MAX_PARSED_BYTES)
	{
		MemoryContextReset(v->sites_context);
		v->flinfo.fn_extra = NULL;
	}
}

void
pgllm_block_verify(PgLlmBlockState *b, PgLlmPair *pairs, int n)
{
	Verifier   *v = pgllm_block_alloc(b, 1, sizeof(Verifier));

	init(v, b);
	init_args(b);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		begin_pair(v, &pairs[i]);
		/* the first alone brings the common beginning of prompts into the prefix cache */
		if (i == 0 || i == n - 1 || is_full(v))
			run_begun(v);
	}
	MemoryContextDelete(v->chunk_context);
	MemoryContextDelete(v->context);
	pfree(v);
}
