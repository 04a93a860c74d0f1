/*
 * block_exec.c: the node LlmBlock in execution.
 *
 * When the first row is asked for, both sides are read to their ends, their texts are embedded, and it is chosen what is near
 * enough. Then pairs are handed on as a nested loop does: in the order of the outer side, whose order the plan may rely on.
 * A recheck of changed rows (EvalPlanQual) has one row on each side, which were paired before: there every pair is handed on.
 */
#include "block_scan/block_scan.h"
#include "batch_scan/batch_scan.h"
#include "llm_call.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

static Node *create_state(CustomScan *scan);
static void begin_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_scan(CustomScanState *node);
static void end_scan(CustomScanState *node);
static void rescan(CustomScanState *node);

const CustomScanMethods pgllm_block_scan_methods = {
	.CustomName = "LlmBlock",
	.CreateCustomScanState = create_state,
};

static const CustomExecMethods exec_methods = {
	.CustomName = "LlmBlock",
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = exec_scan,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan,
	.ExplainCustomScan = pgllm_block_explain,
};

void
pgllm_block_init(void)
{
	RegisterCustomScanMethods(&pgllm_block_scan_methods);
	pgllm_block_paths_init();
}

/* ---- begin and end ---- */

static Node *
create_state(CustomScan *scan)
{
	PgLlmBlockState *b = palloc0(sizeof(PgLlmBlockState));

	NodeSetTag(b, T_CustomScanState);
	b->css.methods = &exec_methods;
	return (Node *) b;
}

void
pgllm_block_init_parts(PgLlmBlockState *b, int no)
{
	PgLlmBlockSide *side = &b->sides[no];
	List	   *parts = PGLLM_BLOCK_PARTS((CustomScan *) b->css.ss.ps.plan, no);
	int			i = 0;
	ListCell   *cell;

	side->simple = pgllm_cannot_fail((Node *) parts);
	side->n_parts = list_length(parts);
	side->parts = palloc(sizeof(ExprState *) * side->n_parts);
	side->is_text = palloc(sizeof(bool) * side->n_parts);
	side->output = palloc(sizeof(FmgrInfo) * side->n_parts);
	foreach(cell, parts)
	{
		Oid			output;
		bool		is_varlena;

		side->parts[i] = ExecInitExpr(lfirst(cell), &b->css.ss.ps);
		side->is_text[i] = exprType(lfirst(cell)) == TEXTOID;
		getTypeOutputInfo(exprType(lfirst(cell)), &output, &is_varlena);
		fmgr_info(output, &side->output[i]);
		i++;
	}
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	PgLlmBlockState *b = (PgLlmBlockState *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	int			child_flags = eflags & ~(EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK);
	ListCell   *cell;

	outerPlanState(node) = ExecInitNode(outerPlan(scan), estate, child_flags);
	innerPlanState(node) = ExecInitNode(innerPlan(scan), estate, child_flags);
	b->column_side = palloc(sizeof(int) * Max(list_length(scan->custom_scan_tlist), 1));
	b->column_no = palloc(sizeof(AttrNumber) * Max(list_length(scan->custom_scan_tlist), 1));
	foreach(cell, scan->custom_scan_tlist)
	{
		Var		   *column = (Var *) lfirst_node(TargetEntry, cell)->expr;

		b->column_side[b->n_columns] = column->varno == OUTER_VAR ? PGLLM_OUTER : PGLLM_INNER;
		b->column_no[b->n_columns++] = column->varattno;
	}
	for (int side = 0; side < PGLLM_SIDES; side++)
	{
		PlanState  *child = side == PGLLM_OUTER ? outerPlanState(node) : innerPlanState(node);

		pgllm_block_init_parts(b, side);
		b->sides[side].slot = ExecInitExtraTupleSlot(estate, ExecGetResultType(child), &TTSOpsMinimalTuple);
	}
}

/* as if nothing had been read */
static void
forget(PgLlmBlockState *b)
{
	ExecClearTuple(b->css.ss.ss_ScanTupleSlot);
	for (int side = 0; side < PGLLM_SIDES; side++)
	{
		ExecClearTuple(b->sides[side].slot);
		if (b->sides[side].rows != NULL)
			tuplestore_end(b->sides[side].rows);
		b->sides[side].rows = NULL;
	}
	if (b->context != NULL)
		MemoryContextDelete(b->context);
	b->context = NULL;
	b->ready = false;
}

static void
end_scan(CustomScanState *node)
{
	forget((PgLlmBlockState *) node);
	ExecEndNode(outerPlanState(node));
	ExecEndNode(innerPlanState(node));
}

static void
to_start(PgLlmBlockState *b)
{
	tuplestore_rescan(b->sides[PGLLM_OUTER].rows);
	b->outer_row = -1;
	b->has_outer = false;
	b->bits_begin = b->bits_end = 0;
}

static void
rescan(CustomScanState *node)
{
	PgLlmBlockState *b = (PgLlmBlockState *) node;
	PlanState  *outer = outerPlanState(node);
	PlanState  *inner = innerPlanState(node);

	if (b->ready && outer->chgParam == NULL && inner->chgParam == NULL)
	{
		to_start(b);
		return;
	}
	forget(b);
	if (outer->chgParam == NULL)
		ExecReScan(outer);
	if (inner->chgParam == NULL)
		ExecReScan(inner);
}

/* ---- reading and choosing ---- */

static void
read_options(PgLlmBlockState *b)
{
	FuncExpr   *call = PGLLM_BLOCK_CALL((CustomScan *) b->css.ss.ps.plan);
	Const	   *options = list_nth(call->args, PGLLM_FILTER_OPTIONS);
	MemoryContext old = MemoryContextSwitchTo(b->context);

	pgllm_options_parse(DatumGetJsonbP(options->constvalue), PGLLM_OPT_LABELS | PGLLM_OPT_BLOCK, &b->options);
	pgllm_check_blocking(&b->options);
	MemoryContextSwitchTo(old);
}

static void
prepare(PgLlmBlockState *b)
{
	EState	   *estate = b->css.ss.ps.state;
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);
	instr_time	clock;

	INSTR_TIME_SET_CURRENT(clock);
	forget(b);
	b->context = AllocSetContextCreate(estate->es_query_cxt, "pg_llm blocked join", ALLOCSET_DEFAULT_SIZES);
	for (int side = 0; side < PGLLM_SIDES; side++)
	{
		b->sides[side].rows = tuplestore_begin_heap(false, false, Max(work_mem / 2, 64));
		tuplestore_set_eflags(b->sides[side].rows, EXEC_FLAG_REWIND);
	}
	MemoryContextSwitchTo(old);
	b->bits = NULL;
	b->n_bits = 0;
	b->everything = estate->es_epq_active != NULL;
	read_options(b);
	pgllm_block_read(b);
	pgllm_add_time(&b->stats.read_time, &clock);
	if (!b->everything)
		pgllm_block_choose(b);
	pgllm_add_time(&b->stats.choose_time, &clock);
	to_start(b);
	b->ready = true;
}

/* ---- pairs ---- */

void
pgllm_block_store_pair(PgLlmBlockState *b)
{
	TupleTableSlot *slot = b->css.ss.ss_ScanTupleSlot;

	ExecClearTuple(slot);
	for (int i = 0; i < b->n_columns; i++)
		slot->tts_values[i] = slot_getattr(b->sides[b->column_side[i]].slot, b->column_no[i], &slot->tts_isnull[i]);
	ExecStoreVirtualTuple(slot);
}

/* the bits of the outer row; NULL: it has no text, or there is none */
static const uint64 *
bits_of_row(PgLlmBlockState *b)
{
	int32		text = b->sides[PGLLM_OUTER].text_of[b->outer_row];

	if (text < 0 || b->sides[PGLLM_INNER].n_texts == 0)
		return NULL;
	if (b->outer_row >= b->bits_end)
		pgllm_block_fill_bits(b, b->outer_row);
	return b->bits + (size_t) b->bits_of[text] * (((size_t) b->sides[PGLLM_INNER].n_texts + 63) / 64);
}

/* go on to the next inner row that is near to the outer one */
static bool
next_inner(PgLlmBlockState *b)
{
	PgLlmBlockSide *inner = &b->sides[PGLLM_INNER];
	const bool	everything = b->everything || b->sides[PGLLM_OUTER].text_of[b->outer_row] == PGLLM_BLOCK_FAILED;
	const uint64 *bits = everything ? NULL : bits_of_row(b);

	for (; b->inner_row < inner->n_rows; b->inner_row++)
	{
		int32		text = inner->text_of[b->inner_row];

		if (everything || text == PGLLM_BLOCK_FAILED || (bits != NULL && text >= 0 && (bits[text / 64] >> (text % 64) & 1)))
			break;
	}
	if (b->inner_row == inner->n_rows)
		return false;
	if (!tuplestore_skiptuples(inner->rows, b->inner_row - b->inner_read, true) ||
		!tuplestore_gettupleslot(inner->rows, true, false, inner->slot))
		elog(ERROR, "row " INT64_FORMAT " of a join is missing", b->inner_row);
	b->inner_read = ++b->inner_row;
	return true;
}

static bool
next_pair(PgLlmBlockState *b)
{
	PgLlmBlockSide *outer = &b->sides[PGLLM_OUTER];

	for (;;)
	{
		if (b->has_outer && next_inner(b))
		{
			b->stats.n_pairs++;
			return true;
		}
		CHECK_FOR_INTERRUPTS();
		b->has_outer = tuplestore_gettupleslot(outer->rows, true, false, outer->slot);
		if (!b->has_outer)
			return false;
		b->outer_row++;
		b->inner_row = b->inner_read = 0;
		tuplestore_rescan(b->sides[PGLLM_INNER].rows);
	}
}

static TupleTableSlot *
exec_scan(CustomScanState *node)
{
	PgLlmBlockState *b = (PgLlmBlockState *) node;
	ExprContext *econtext = node->ss.ps.ps_ExprContext;

	if (!b->ready)
		prepare(b);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		ResetExprContext(econtext);
		if (!next_pair(b))
			return ExecClearTuple(node->ss.ps.ps_ResultTupleSlot ? node->ss.ps.ps_ResultTupleSlot : node->ss.ss_ScanTupleSlot);
		pgllm_block_store_pair(b);
		econtext->ecxt_scantuple = node->ss.ss_ScanTupleSlot;
		if (!ExecQual(node->ss.ps.qual, econtext))
			InstrCountFiltered1(node, 1);
		else
			return node->ss.ps.ps_ProjInfo ? ExecProject(node->ss.ps.ps_ProjInfo) : node->ss.ss_ScanTupleSlot;
	}
}
