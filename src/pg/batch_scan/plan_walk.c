/*
 * plan_walk.c: the children of plan nodes, which PostgreSQL keeps in different places for different nodes.
 */
#include "batch_scan/batch_plan.h"

#include "miscadmin.h"

bool
pgllm_is_join(const Plan *plan)
{
	return IsA(plan, NestLoop) || IsA(plan, MergeJoin) || IsA(plan, HashJoin);
}

static void
map_list(List *children, Plan *parent, PgLlmPlanFn fn, void *context)
{
	ListCell   *cell;

	foreach(cell, children)
		lfirst(cell) = fn(lfirst(cell), parent, context);
}

void
pgllm_plan_map(Plan *plan, PgLlmPlanFn fn, void *context)
{
	check_stack_depth();
	if (plan->lefttree != NULL)
		plan->lefttree = fn(plan->lefttree, plan, context);
	if (plan->righttree != NULL)
		plan->righttree = fn(plan->righttree, plan, context);
	switch (nodeTag(plan))
	{
		case T_Append:
			map_list(((Append *) plan)->appendplans, plan, fn, context);
			break;
		case T_MergeAppend:
			map_list(((MergeAppend *) plan)->mergeplans, plan, fn, context);
			break;
		case T_SubqueryScan:
			((SubqueryScan *) plan)->subplan = fn(((SubqueryScan *) plan)->subplan, plan, context);
			break;
		case T_CustomScan:
			map_list(((CustomScan *) plan)->custom_plans, plan, fn, context);
			break;
		default:
			break;
	}
}
