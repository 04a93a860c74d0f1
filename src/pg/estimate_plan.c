/*
 * estimate_plan.c: calls of our functions in a finished plan, and how many rows the planner expects to reach each.
 *
 * Expressions of a node are evaluated for rows of its outer child (conditions, arguments of aggregates) or for its own (target
 * list). Below a LIMIT only a part of the rows is asked for, down to the first node that needs all of its input. Plans of
 * sub-selects count once, or for each row if they depend on it.
 */
#include "estimate.h"

#include "batch_scan/batch_plan.h"
#include "nodes/nodeFuncs.h"

typedef struct PlanWalk
{
	PlannedStmt *stmt;
	List	   *calls;
	int			depth;			/* of plans of sub-selects */

	/* of the expression */
	Plan	   *plan;
	double		rows;			/* that reach it */
	double		input_rows;		/* that reach arguments of aggregates in it */
	Plan	   *seen_at;
	bool		emitted;
} PlanWalk;

static void walk_plan(PlanWalk *walk, Plan *plan, double part);

static void
walk_subplan(PlanWalk *walk, const SubPlan *subplan)
{
	PlanWalk	saved = *walk;
	double		times = subplan->parParam != NIL ? walk->rows : 1;

	if (walk->depth > 16)
		return;
	walk->depth++;
	walk_plan(walk, list_nth(walk->stmt->subplans, subplan->plan_id - 1), times);
	saved.calls = walk->calls;
	*walk = saved;
}

static bool
expression_walker(Node *node, PlanWalk *walk)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref) || IsA(node, WindowFunc))
	{
		PlanWalk	saved = *walk;

		walk->rows = walk->input_rows;
		walk->seen_at = outerPlan(walk->plan);
		walk->emitted = false;
		(void) expression_tree_walker(node, expression_walker, walk);
		saved.calls = walk->calls;
		*walk = saved;
		return false;
	}
	if (IsA(node, SubPlan))
		walk_subplan(walk, (SubPlan *) node);
	if (IsA(node, FuncExpr) && pgllm_function_of(((FuncExpr *) node)->funcid) != NULL)
	{
		PgLlmPlanCall *call = palloc0(sizeof(PgLlmPlanCall));

		call->call = (FuncExpr *) node;
		call->function = pgllm_function_of(call->call->funcid);
		call->rows = walk->rows;
		call->seen_at = walk->seen_at;
		call->emitted = walk->emitted;
		walk->calls = lappend(walk->calls, call);
	}
	return expression_tree_walker(node, expression_walker, walk);
}

/* expressions that so many rows reach; seen: the node whose rows are these, NULL: not known */
static void
walk_expressions(PlanWalk *walk, Plan *plan, void *expressions, double rows, double input_rows, Plan *seen, bool emitted)
{
	walk->plan = plan;
	walk->rows = rows;
	walk->input_rows = input_rows;
	walk->seen_at = seen;
	walk->emitted = emitted;
	(void) expression_walker(expressions, walk);
}

static bool
is_join(const Plan *plan)
{
	return IsA(plan, NestLoop) || IsA(plan, HashJoin) || IsA(plan, MergeJoin);
}

/* rows that reach a node's conditions */
static double
rows_before(const PlanWalk *walk, const Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_SeqScan:
		case T_SampleScan:
			return Max(pgllm_table_rows(walk->stmt, plan), plan->plan_rows);
		case T_NestLoop:
			return Max(outerPlan(plan)->plan_rows * innerPlan(plan)->plan_rows, plan->plan_rows);
		case T_SubqueryScan:
			return ((const SubqueryScan *) plan)->subplan->plan_rows;
		case T_Agg:
		case T_Group:
			return plan->plan_rows;
		default:
			return outerPlan(plan) != NULL ? Max(outerPlan(plan)->plan_rows, plan->plan_rows) : plan->plan_rows;
	}
}

/* whether a node reads all of its input before it returns a row */
static bool
needs_all(const Plan *plan)
{
	return IsA(plan, Sort) || IsA(plan, Agg) || IsA(plan, Hash) || IsA(plan, ModifyTable);
}

/* actions of MERGE, of which a row takes one: as if they took turns; of ON CONFLICT, as if all rows did conflict */
static void
walk_actions(PlanWalk *walk, ModifyTable *modify, double rows)
{
	ListCell   *cell;

	walk_expressions(walk, &modify->plan, modify->onConflictSet, rows, rows, NULL, false);
	walk_expressions(walk, &modify->plan, modify->onConflictWhere, rows, rows, NULL, false);
	if (modify->mergeActionLists == NIL)
		return;
	foreach(cell, linitial_node(List, modify->mergeActionLists))
	{
		MergeAction *action = lfirst_node(MergeAction, cell);
		double		taken = rows / list_length(linitial_node(List, modify->mergeActionLists));

		walk_expressions(walk, &modify->plan, action->qual, taken, taken, NULL, false);
		walk_expressions(walk, &modify->plan, action->targetList, taken, taken, NULL, false);
	}
}

/* part: of the rows that the planner gives for the node, how many will be asked for */
static void
walk_node_expressions(PlanWalk *walk, Plan *plan, double part)
{
	const double rows = plan->plan_rows * part;
	const double before = rows_before(walk, plan) * part;
	const double input = outerPlan(plan) != NULL ? outerPlan(plan)->plan_rows * (needs_all(plan) ? 1 : part) : rows;
	Plan	   *source = outerPlan(plan) != NULL && !is_join(plan) && !IsA(plan, Agg) ? outerPlan(plan) : NULL;
	double		times;

	walk_expressions(walk, plan, plan->initPlan, 1, 1, NULL, false);
	if (IsA(plan, ProjectSet))
		walk_expressions(walk, plan, plan->targetlist, input, input, outerPlan(plan), false);
	else if (!IsA(plan, ModifyTable))
		walk_expressions(walk, plan, plan->targetlist, rows, input, plan, true);
	walk_expressions(walk, plan, plan->qual, before, input, source, false);
	switch (nodeTag(plan))
	{
		case T_HashJoin:
			walk_expressions(walk, plan, ((HashJoin *) plan)->hashclauses, before, before, NULL, false);
			walk_expressions(walk, plan, ((Join *) plan)->joinqual, before, before, NULL, false);
			break;
		case T_NestLoop:
		case T_MergeJoin:
			walk_expressions(walk, plan, ((Join *) plan)->joinqual, before, before, NULL, false);
			break;
		case T_Result:
			walk_expressions(walk, plan, ((Result *) plan)->resconstantqual, 1, 1, NULL, false);
			break;
		case T_FunctionScan:
			/* its rows are kept, unless they depend on the row of a join or sub-select outside */
			times = bms_is_empty(plan->extParam) ? 1 : Max(part, 1);
			walk_expressions(walk, plan, ((FunctionScan *) plan)->functions, times, times, NULL, false);
			break;
		case T_ValuesScan:
			walk_expressions(walk, plan, ((ValuesScan *) plan)->values_lists, 1, 1, NULL, false);
			break;
		case T_ModifyTable:
			walk_expressions(walk, plan, ((ModifyTable *) plan)->returningLists, input, input, NULL, false);
			walk_actions(walk, (ModifyTable *) plan, input);
			break;
		default:
			break;
	}
}

static void
walk_plan(PlanWalk *walk, Plan *plan, double part)
{
	List	   *children = NIL;
	ListCell   *cell;

	if (plan == NULL)
		return;
	walk_node_expressions(walk, plan, part);
	if (IsA(plan, Append))
		children = ((Append *) plan)->appendplans;
	else if (IsA(plan, MergeAppend))
		children = ((MergeAppend *) plan)->mergeplans;
	else if (IsA(plan, SubqueryScan))
		children = list_make1(((SubqueryScan *) plan)->subplan);
	if (IsA(plan, Limit) && outerPlan(plan)->plan_rows > 0)
		part *= Min(plan->plan_rows / outerPlan(plan)->plan_rows, 1);
	else if (needs_all(plan))
		part = Max(part, 1);
	foreach(cell, children)
		walk_plan(walk, lfirst(cell), part);
	walk_plan(walk, outerPlan(plan), part);
	/* the inner side of a nested loop is read again for each row */
	walk_plan(walk, innerPlan(plan), IsA(plan, NestLoop) ? part * Max(outerPlan(plan)->plan_rows, 1) : Max(part, 1));
}

List *
pgllm_plan_calls(PlannedStmt *stmt)
{
	PlanWalk	walk = {.stmt = stmt};

	walk_plan(&walk, stmt->planTree, 1);
	return walk.calls;
}
