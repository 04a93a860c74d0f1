/*
 * exec.c: the batch node in execution.
 *
 * Rows of the child are collected in a tuplestore (which spills by work_mem), the calls that will be made for them are
 * computed ahead (prefetch.c), and then the rows are returned one by one, with quals and targetlist evaluated as in any
 * scan: nothing here decides a result.
 *
 * How many rows: batches begin with one row, which also brings the common beginning of prompts into the prefix cache. If
 * all rows will be asked for, the next has as many as give the model full steps; else each batch is at most twice as large
 * as the one before. A LIMIT above bounds them.
 *
 * A recheck (EvalPlanQual) replaces rows below; there, and with pg_llm.batching off, rows pass one by one.
 */
#include "batch_scan/batch_scan.h"
#include "estimate.h"
#include "progress.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

static Node *create_state(CustomScan *scan);
static void begin_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_scan(CustomScanState *node);
static void end_scan(CustomScanState *node);
static void rescan(CustomScanState *node);

const CustomScanMethods pgllm_batch_scan_methods = {
	.CustomName = "LlmBatch",
	.CreateCustomScanState = create_state,
};

static const CustomExecMethods exec_methods = {
	.CustomName = "LlmBatch",
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = exec_scan,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan,
	.ExplainCustomScan = pgllm_batch_explain,
};

void
pgllm_batch_init(void)
{
	RegisterCustomScanMethods(&pgllm_batch_scan_methods);
}

/* ---- begin and end ---- */

static Node *
create_state(CustomScan *scan)
{
	PgLlmBatchState *b = palloc0(sizeof(PgLlmBatchState));

	NodeSetTag(b, T_CustomScanState);
	b->css.methods = &exec_methods;
	return (Node *) b;
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	PgLlmBatchState *b = (PgLlmBatchState *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;

	outerPlanState(node) = ExecInitNode(outerPlan(scan), estate, eflags & ~(EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK));
	b->all_rows = PGLLM_SCAN_ALL_ROWS(scan);
	b->uncertain = PGLLM_SCAN_UNCERTAIN(scan);
	b->limit = ExecInitExpr(PGLLM_SCAN_LIMIT(scan), &node->ss.ps);
	b->offset = ExecInitExpr(PGLLM_SCAN_OFFSET(scan), &node->ss.ps);
	pgllm_prefetch_init(b, PGLLM_SCAN_SITES(scan));
	b->row_slot = ExecInitExtraTupleSlot(estate, node->ss.ss_ScanTupleSlot->tts_tupleDescriptor, &TTSOpsMinimalTuple);
	b->ahead_context = CreateExprContext(estate);
}

/* give up the rows that wait */
static void
end_batch(PgLlmBatchState *b)
{
	ExecClearTuple(b->row_slot);
	ExecClearTuple(b->css.ss.ss_ScanTupleSlot);
	if (b->rows != NULL)
		tuplestore_clear(b->rows);
	if (b->batch_context != NULL)
		MemoryContextReset(b->batch_context);
	b->shelf = NULL;
}

static void
end_scan(CustomScanState *node)
{
	PgLlmBatchState *b = (PgLlmBatchState *) node;

	end_batch(b);
	if (b->rows != NULL)
		tuplestore_end(b->rows);
	if (b->batch_context != NULL)
	{
		MemoryContextDelete(b->batch_context);
		MemoryContextDelete(b->chunk_context);
	}
	b->rows = NULL;
	b->batch_context = b->chunk_context = NULL;
	ExecEndNode(outerPlanState(node));
}

/* ---- the size of batches ---- */

static bool
evaluate_count(ExprState *state, ExprContext *econtext, int64 *count)
{
	bool		is_null;
	Datum		value = ExecEvalExprSwitchContext(state, econtext, &is_null);

	*count = is_null ? 0 : DatumGetInt64(value);
	return !is_null && *count >= 0;
}

/* rows that LIMIT above will ask for, -1: not known */
static int64
find_bound(PgLlmBatchState *b)
{
	ExprContext *econtext = b->css.ss.ps.ps_ExprContext;
	int64		limit;
	int64		offset = 0;

	if (b->limit == NULL || !evaluate_count(b->limit, econtext, &limit))
		return -1;
	if (b->offset != NULL && !evaluate_count(b->offset, econtext, &offset))
		offset = 0;
	return limit > PG_INT32_MAX || offset > PG_INT32_MAX ? -1 : limit + offset;
}

/* tell the child, too: a bound that is not known ends an earlier one */
static void
set_bound(PgLlmBatchState *b)
{
	b->bound = find_bound(b);
	ExecSetTupleBound(b->bound, outerPlanState(b));
}

static void
start(PgLlmBatchState *b)
{
	EState	   *estate = b->css.ss.ps.state;

	b->started = true;
	b->child_done = false;
	b->n_fetched = 0;
	b->n_expected = (int64) Min(outerPlan(b->css.ss.ps.plan)->plan_rows, (double) PG_INT32_MAX);
	b->next_rows = 1;
	b->batching = pgllm_batching >= (b->uncertain ? PGLLM_BATCHING_EAGER : PGLLM_BATCHING_ON) && b->n_sites > 0 && estate->es_epq_active == NULL &&
		ScanDirectionIsForward(estate->es_direction) && !pgllm_estimating();
	b->batch_tokens = pgllm_batch_tokens;
	if (!b->batching)
		return;
	set_bound(b);
	if (b->bound >= 0)
		b->n_expected = Min(b->n_expected, b->bound);
	if (b->rows == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);

		b->rows = tuplestore_begin_heap(false, false, work_mem);
		tuplestore_set_eflags(b->rows, EXEC_FLAG_REWIND);
		b->batch_context = AllocSetContextCreate(estate->es_query_cxt, "pg_llm batch", ALLOCSET_DEFAULT_SIZES);
		b->chunk_context = AllocSetContextCreate(estate->es_query_cxt, "pg_llm batch requests", ALLOCSET_DEFAULT_SIZES);
		MemoryContextSwitchTo(old);
	}
}

/* after a batch: rows of the next */
static void
grow(PgLlmBatchState *b)
{
	const PgLlmBatchStats *stats = &b->stats;
	uint64		computed = stats->prompt_tokens - stats->cached_tokens + stats->output_tokens;
	uint64		wanted = (uint64) b->batch_tokens * PGLLM_BATCH_STEPS;
	int64		full = PGLLM_BATCH_MAX_ROWS;

	if (computed > 0)
		full = Min(full, Max((int64) (wanted * stats->rows / computed), 1));
	b->next_rows = b->all_rows && pgllm_runs_to_end() ? full : Min(b->next_rows * 2, full);
	if (b->bound > b->n_fetched)
		b->next_rows = Min(full, b->bound - b->n_fetched);
}

/* ---- again ---- */

static void
rescan(CustomScanState *node)
{
	PgLlmBatchState *b = (PgLlmBatchState *) node;
	PlanState  *child = outerPlanState(node);

	end_batch(b);
	/* before the child is told: a sort that was bounded has to know whether it must sort again */
	if (b->batching && b->started)
		set_bound(b);
	b->started = false;
	if (child->chgParam == NULL)
		ExecReScan(child);
}

/* ---- rows ---- */

void
pgllm_batch_store_row(PgLlmBatchState *b, TupleTableSlot *row)
{
	TupleTableSlot *slot = b->css.ss.ss_ScanTupleSlot;
	int			n = slot->tts_tupleDescriptor->natts;

	slot_getallattrs(row);
	ExecClearTuple(slot);
	memcpy(slot->tts_values, row->tts_values, sizeof(Datum) * n);
	memcpy(slot->tts_isnull, row->tts_isnull, sizeof(bool) * n);
	ExecStoreVirtualTuple(slot);
}

/* collect rows of the child and compute ahead for them; false if there are none */
static bool
fill_batch(PgLlmBatchState *b)
{
	int64		n = 0;
	instr_time	before;
	instr_time	after;

	INSTR_TIME_SET_CURRENT(before);
	while (n < b->next_rows)
	{
		/* in no context of the batch: the child keeps what it allocates here */
		TupleTableSlot *row = ExecProcNode(outerPlanState(b));

		if (TupIsNull(row))
		{
			b->child_done = true;
			break;
		}
		tuplestore_puttupleslot(b->rows, row);
		n++;
	}
	INSTR_TIME_SET_CURRENT(after);
	INSTR_TIME_ACCUM_DIFF(b->stats.fetch_time, after, before);
	if (n == 0)
		return false;
	b->n_fetched += n;
	b->stats.rows += n;
	b->stats.batches++;
	b->stats.largest = Max(b->stats.largest, (uint64) n);
	pgllm_prefetch(b, n);
	pgllm_progress_rows(b, b->n_fetched, b->child_done ? b->n_fetched : Max(b->n_expected, b->n_fetched), 0);
	tuplestore_rescan(b->rows);
	grow(b);
	return true;
}

/* the next row of the child, by batches */
static TupleTableSlot *
next_row(PgLlmBatchState *b)
{
	while (!tuplestore_gettupleslot(b->rows, true, false, b->row_slot))
	{
		end_batch(b);
		if (b->child_done || !fill_batch(b))
			return NULL;
	}
	return b->row_slot;
}

static TupleTableSlot *
exec_scan(CustomScanState *node)
{
	PgLlmBatchState *b = (PgLlmBatchState *) node;
	ExprContext *econtext = node->ss.ps.ps_ExprContext;

	if (!b->started)
		start(b);
	for (;;)
	{
		TupleTableSlot *row;

		CHECK_FOR_INTERRUPTS();
		ResetExprContext(econtext);
		row = b->batching ? next_row(b) : ExecProcNode(outerPlanState(node));
		if (TupIsNull(row))
			return ExecClearTuple(node->ss.ps.ps_ResultTupleSlot ? node->ss.ps.ps_ResultTupleSlot : node->ss.ss_ScanTupleSlot);
		pgllm_batch_store_row(b, row);
		econtext->ecxt_scantuple = node->ss.ss_ScanTupleSlot;
		if (!ExecQual(node->ss.ps.qual, econtext))
			InstrCountFiltered1(node, 1);
		else
			return node->ss.ps.ps_ProjInfo ? ExecProject(node->ss.ps.ps_ProjInfo) : node->ss.ss_ScanTupleSlot;
	}
}
