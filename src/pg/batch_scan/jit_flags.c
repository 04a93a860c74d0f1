/*
 * jit_flags.c: JIT compilation decided without the cost of calls on models.
 *
 * A call costs thousands of times what an operator costs, which is true, and makes the planner evaluate it late. But
 * compiling expressions saves nothing of that time, and for a statement of some rows it would take longer than the rest.
 */
#include "batch_scan/batch_plan.h"

#include "jit/jit.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/plancat.h"

/* cost of evaluating all calls of an expression once */
static bool
call_cost_walker(Node *node, Cost *cost)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && pgllm_function_of(((FuncExpr *) node)->funcid) != NULL)
	{
		QualCost	call = {0};

		add_function_cost(NULL, ((FuncExpr *) node)->funcid, node, &call);
		*cost += call.per_tuple;
	}
	return expression_tree_walker(node, call_cost_walker, cost);
}

static Plan *
add_cost(Plan *child, Plan *parent, void *sum)
{
	*(Cost *) sum += child->total_cost;
	return child;
}

/* what a node costs beyond its children is that of its rows; of each row's, the part that is calls */
static Plan *
add_excess(Plan *plan, Plan *parent, void *excess)
{
	Cost		calls = 0;
	Cost		children = 0;

	(void) call_cost_walker((Node *) plan->targetlist, &calls);
	(void) call_cost_walker((Node *) plan->qual, &calls);
	pgllm_plan_map(plan, add_cost, &children);
	if (calls > 0 && plan->total_cost > children)
		*(Cost *) excess += (plan->total_cost - children) * calls / (calls + cpu_tuple_cost);
	pgllm_plan_map(plan, add_excess, excess);
	return plan;
}

void
pgllm_recompute_jit(PlannedStmt *stmt)
{
	Cost		excess = 0;
	Cost		cost;

	if ((stmt->jitFlags & PGJIT_PERFORM) == 0)
		return;
	(void) add_excess(stmt->planTree, NULL, &excess);
	cost = stmt->planTree->total_cost - excess;
	if (cost <= jit_above_cost)
		stmt->jitFlags = PGJIT_NONE;
	if (cost <= jit_optimize_above_cost)
		stmt->jitFlags &= ~PGJIT_OPT3;
	if (cost <= jit_inline_above_cost)
		stmt->jitFlags &= ~PGJIT_INLINE;
}
