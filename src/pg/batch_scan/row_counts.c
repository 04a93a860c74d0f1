/*
 * row_counts.c: how many rows a plan node returns when conditions have been taken off it.
 *
 * The planner's number is of the rows that pass. Of what it took for the conditions only defaults are known now: it has no
 * statistics about what our functions answer, and took these too. A table has no more rows than it had at the last ANALYZE.
 */
#include "batch_scan/batch_plan.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_operator.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"

#define DEFAULT_FUNCTION_SEL 0.3333333

double
pgllm_table_rows(const PlannedStmt *stmt, const Plan *scan)
{
	Index		relid = ((const Scan *) scan)->scanrelid;
	RangeTblEntry *rte = relid > 0 ? rt_fetch(relid, stmt->rtable) : NULL;
	HeapTuple	tuple;
	double		rows;

	if (rte == NULL || rte->rtekind != RTE_RELATION)
		return -1;
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(rte->relid));
	if (!HeapTupleIsValid(tuple))
		return -1;
	rows = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;
	ReleaseSysCache(tuple);
	return rows;
}

/* what the planner takes for a condition that it knows nothing about */
static double
default_selectivity(Node *qual)
{
	if (is_notclause(qual))
		return 1 - default_selectivity((Node *) get_notclausearg((Expr *) qual));
	if (IsA(qual, OpExpr))
		return get_oprrest(((OpExpr *) qual)->opno) == F_EQSEL ? 1.0 / DEFAULT_NUM_DISTINCT : DEFAULT_INEQ_SEL;
	if (IsA(qual, NullTest))
		return ((NullTest *) qual)->nulltesttype == IS_NULL ? DEFAULT_UNK_SEL : DEFAULT_NOT_UNK_SEL;
	return DEFAULT_FUNCTION_SEL;
}

double
pgllm_rows_without(const PlannedStmt *stmt, const Plan *plan, List *quals, List *kept_quals)
{
	double		rows = plan->plan_rows;
	double		most = -1;
	ListCell   *cell;

	foreach(cell, quals)
		rows /= default_selectivity(lfirst(cell));
	switch (nodeTag(plan))
	{
		case T_SeqScan:
		case T_IndexScan:
		case T_IndexOnlyScan:
		case T_BitmapHeapScan:
			most = pgllm_table_rows(stmt, plan);
			if (IsA(plan, SeqScan) && kept_quals == NIL && most >= 0)
				rows = most;
			break;
		case T_NestLoop:
		case T_HashJoin:
		case T_MergeJoin:
			most = outerPlan(plan)->plan_rows * innerPlan(plan)->plan_rows;
			break;
		case T_Append:
		case T_MergeAppend:
			rows = 0;
			foreach(cell, pgllm_append_children(plan))
				rows += pgllm_rows_without(stmt, lfirst(cell), quals, ((const Plan *) lfirst(cell))->qual);
			break;
		default:
			break;
	}
	return Max(most >= 0 ? Min(rows, most) : rows, plan->plan_rows);
}
