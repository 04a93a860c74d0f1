/*
 * rewrite.c: batch nodes in a finished plan.
 *
 * The whole plan is walked once, from the top, knowing how the rows of each node are asked for. A node that computes calls
 * from its own columns is split (split.c). Calls that cannot move, as they are in aggregates, in join conditions, in
 * RETURNING or in set-returning functions, get a batch node below, which computes them ahead from the columns it sees.
 *
 * Quals are evaluated in the order that the planner gave them, so a security barrier stays one; before, filters may move
 * above joins (defer.c), where there is no barrier.
 */
#include "block_scan/block_scan.h"

#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "optimizer/planmain.h"
#include "utils/syscache.h"

static Plan *rewrite(PgLlmRewrite *r, Plan *plan, PgLlmFlow flow);

/* ---- how rows are asked for ---- */

static bool
can_evaluate_twice(Expr *expr)
{
	return expr == NULL || (!pgllm_has_volatile((Node *) expr) && !IsA(expr, SubPlan));
}

static bool
is_block_node(Plan *plan)
{
	return IsA(plan, CustomScan) && ((CustomScan *) plan)->methods == &pgllm_block_scan_methods;
}

/* how the rows of a child are asked for, given how those of its parent are */
static PgLlmFlow
child_flow(Plan *parent, Plan *child, PgLlmFlow flow)
{
	PgLlmFlow	no_bound = {.all_rows = flow.all_rows};
	PgLlmFlow	nothing_known = {0};
	PgLlmFlow	everything = {.all_rows = true};

	switch (nodeTag(parent))
	{
		case T_Limit:
			{
				Limit	   *limit = (Limit *) parent;
				PgLlmFlow	limited = {.limit = (Expr *) limit->limitCount, .offset = (Expr *) limit->limitOffset};

				if (limit->limitCount == NULL)
					return no_bound;
				if (limit->limitOption != LIMIT_OPTION_COUNT || !can_evaluate_twice(limited.limit) ||
					!can_evaluate_twice(limited.offset))
					return nothing_known;
				return limited;
			}
		case T_Result:
		case T_SubqueryScan:
			return parent->qual == NIL ? flow : no_bound;
		case T_Append:
		case T_MergeAppend:
		case T_Gather:
		case T_GatherMerge:
		case T_LockRows:
			return flow;
		case T_Sort:
		case T_Hash:
			return everything;
		case T_CustomScan:
			return is_block_node(parent) ? everything : no_bound;
		case T_Agg:
			return ((Agg *) parent)->aggstrategy == AGG_SORTED ? no_bound : everything;
		case T_Group:
		case T_Unique:
		case T_WindowAgg:
		case T_IncrementalSort:
		case T_ProjectSet:
		case T_Material:
		case T_SetOp:
		case T_ModifyTable:
			return no_bound;
		case T_NestLoop:
		case T_HashJoin:
			return child == outerPlan(parent) ? no_bound : nothing_known;
		default:
			return nothing_known;
	}
}

/* ---- calls that are computed from below ---- */

/* put a batch node above an outer (or inner) child for those calls that need only its columns */
static Plan *
below_if(PgLlmRewrite *r, Plan *parent, Plan *child, int varno, List *sites, PgLlmFlow flow, bool uncertain)
{
	List	   *usable = pgllm_sites_of(sites, varno);

	if (usable == NIL || !pgllm_may_run_ahead(child, NULL))
		return child;
	flow = child_flow(parent, child, flow);
	flow.uncertain = uncertain;
	return pgllm_batch_node_below(r, child, usable, flow);
}

static Plan *
below(PgLlmRewrite *r, Plan *parent, Plan *child, int varno, List *sites, PgLlmFlow flow)
{
	return below_if(r, parent, child, varno, sites, flow, false);
}

typedef struct ParamsContext
{
	List	   *nest_params;
} ParamsContext;

/* parameters of a nested loop become the outer side's columns that they are */
static Node *
nest_param_mutator(Node *node, ParamsContext *context)
{
	ListCell   *cell;

	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC)
		foreach(cell, context->nest_params)
		{
			NestLoopParam *param = lfirst_node(NestLoopParam, cell);

			if (param->paramno == ((Param *) node)->paramid)
				return (Node *) copyObject(param->paramval);
		}
	return expression_tree_mutator(node, nest_param_mutator, context);
}

static bool
exec_param_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC)
		return true;
	return expression_tree_walker(node, exec_param_walker, context);
}

typedef struct FunctionsContext
{
	PgLlmRewrite *r;
	List	   *sites;
} FunctionsContext;

/* the calls of a function in FROM; its own names its columns if it returns record */
static List *
function_sites(PgLlmRewrite *r, RangeTblFunction *function)
{
	List	   *sites = pgllm_sites(NIL, list_make1(function->funcexpr), false, r->multiexpr_params);
	ListCell   *cell;

	foreach(cell, sites)
		if ((Node *) PGLLM_SITE_CALL(lfirst(cell)) == function->funcexpr && function->funccolnames != NIL)
		{
			RangeTblFunction *columns = copyObject(function);

			columns->funcexpr = NULL;
			lthird((List *) lfirst(cell)) = columns;
		}
	return sites;
}

/* calls in FROM, and in sub-selects without FROM: they have no columns, only parameters */
static Plan *
collect_functions(Plan *plan, Plan *parent, void *opaque)
{
	FunctionsContext *context = opaque;
	ListCell   *cell;

	if (IsA(plan, Result) && outerPlan(plan) == NULL)
		context->sites = list_concat(context->sites, pgllm_sites(NIL, plan->targetlist, false, context->r->multiexpr_params));
	if (IsA(plan, FunctionScan))
		foreach(cell, ((FunctionScan *) plan)->functions)
			context->sites = list_concat(context->sites, function_sites(context->r, lfirst_node(RangeTblFunction, cell)));
	pgllm_plan_map(plan, collect_functions, opaque);
	return plan;
}

/* FROM t, llm_function(t.x): the inner side's calls, from the outer side's columns */
static List *
lateral_sites(PgLlmRewrite *r, NestLoop *join)
{
	FunctionsContext functions = {.r = r};
	ParamsContext params = {.nest_params = join->nestParams};
	List	   *result = NIL;
	ListCell   *cell;

	if (join->nestParams == NIL)
		return NIL;
	(void) collect_functions(innerPlan(join), NULL, &functions);
	foreach(cell, functions.sites)
	{
		Node	   *site = nest_param_mutator(lfirst(cell), &params);

		/* what another join sets is not known yet */
		if (!exec_param_walker(site, NULL))
			result = lappend(result, site);
	}
	return result;
}

/* join clauses, each side by itself: where they only match rows, a call for a row is needed whatever the other side has */
static void
below_join(PgLlmRewrite *r, Plan *plan, PgLlmFlow flow)
{
	Join	   *join = (Join *) plan;
	List	   *sites = pgllm_sites(join->joinqual, NIL, false, r->multiexpr_params);

	if (IsA(plan, HashJoin))
	{
		Plan	   *hash = innerPlan(plan);
		List	   *clauses = ((HashJoin *) plan)->hashclauses;

		sites = list_concat(pgllm_sites(NIL, clauses, false, r->multiexpr_params), sites);
		outerPlan(hash) = below(r, hash, outerPlan(hash), INNER_VAR, sites, flow);
	}
	else if (IsA(plan, NestLoop))
	{
		sites = list_concat(sites, lateral_sites(r, (NestLoop *) plan));
		innerPlan(plan) = below(r, plan, innerPlan(plan), INNER_VAR, sites, flow);
	}
	outerPlan(plan) = below(r, plan, outerPlan(plan), OUTER_VAR, sites, flow);
}

/* calls in what a blocked join reads of its sides */
static void
below_block(PgLlmRewrite *r, Plan *plan, PgLlmFlow flow)
{
	List	   *outer = pgllm_sites(NIL, PGLLM_BLOCK_PARTS((CustomScan *) plan, PGLLM_OUTER), false, r->multiexpr_params);
	List	   *inner = pgllm_sites(NIL, PGLLM_BLOCK_PARTS((CustomScan *) plan, PGLLM_INNER), false, r->multiexpr_params);

	outerPlan(plan) = below(r, plan, outerPlan(plan), OUTER_VAR, outer, flow);
	innerPlan(plan) = below(r, plan, innerPlan(plan), INNER_VAR, inner, flow);
}

/* ---- MERGE, ON CONFLICT, RETURNING ---- */

/* calls in actions that depend on what is found in the table; in finished plans the source's columns are the inner ones */
static List *
action_sites(PgLlmRewrite *r, const ModifyTable *modify)
{
	List	   *sites = NIL;
	ListCell   *cell;

	if (modify->onConflictAction == ONCONFLICT_UPDATE)
		sites = pgllm_sites((List *) modify->onConflictWhere, modify->onConflictSet, false, r->multiexpr_params);
	if (modify->mergeActionLists != NIL)
		foreach(cell, linitial_node(List, modify->mergeActionLists))
		{
			MergeAction *action = lfirst_node(MergeAction, cell);

			sites = list_concat(sites, pgllm_sites((List *) action->qual, action->targetList, false, r->multiexpr_params));
		}
	return sites;
}

typedef struct ReturningContext
{
	int			rti;
	List	   *columns;		/* of the target: column numbers, in the order of the input's columns */
} ReturningContext;

/* columns of the target become those of the input that they are made of; before triggers, so it is a guess */
static Node *
returning_mutator(Node *node, ReturningContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varno == context->rti && !PGLLM_VAR_IS_OLD((Var *) node))
	{
		Var		   *var = (Var *) node;

		for (int i = 0; i < list_length(context->columns); i++)
			if (list_nth_int(context->columns, i) == var->varattno)
				return (Node *) makeVar(OUTER_VAR, (AttrNumber) (i + 1), var->vartype, var->vartypmod, var->varcollid, 0);
		return node;
	}
	return expression_tree_mutator(node, returning_mutator, context);
}

/* calls in RETURNING, as far as they can be foreseen */
static void
below_modify(PgLlmRewrite *r, Plan *plan, PgLlmFlow flow)
{
	ModifyTable *modify = (ModifyTable *) plan;
	ReturningContext context = {0};
	List	   *sites = action_sites(r, modify);

	outerPlan(plan) = below_if(r, plan, outerPlan(plan), INNER_VAR, sites, flow, true);
	if (list_length(modify->returningLists) != 1 || modify->onConflictAction != ONCONFLICT_NONE ||
		(modify->operation != CMD_INSERT && modify->operation != CMD_UPDATE))
		return;
	context.rti = linitial_int(modify->resultRelations);
	if (modify->operation == CMD_UPDATE)
		context.columns = linitial(modify->updateColnosLists);
	else
		for (int i = 1; i <= list_length(outerPlan(plan)->targetlist); i++)
			context.columns = lappend_int(context.columns, i);
	sites = pgllm_sites(NIL, linitial(modify->returningLists), false, r->multiexpr_params);
	sites = (List *) returning_mutator((Node *) sites, &context);
	outerPlan(plan) = below(r, plan, outerPlan(plan), OUTER_VAR, sites, flow);
}

/* batch nodes for what a node computes itself */
static void
rewrite_below(PgLlmRewrite *r, Plan *plan, PgLlmFlow flow)
{
	List	   *sites = NIL;

	switch (nodeTag(plan))
	{
		case T_Result:
		case T_ProjectSet:
			sites = pgllm_sites(plan->qual, plan->targetlist, false, r->multiexpr_params);
			break;
		case T_Agg:
		case T_WindowAgg:
			sites = pgllm_sites(plan->qual, plan->targetlist, true, r->multiexpr_params);
			break;
		case T_NestLoop:
		case T_HashJoin:
		case T_MergeJoin:
			below_join(r, plan, flow);
			return;
		case T_ModifyTable:
			below_modify(r, plan, flow);
			return;
		case T_CustomScan:
			if (is_block_node(plan))
				below_block(r, plan, flow);
			return;
		default:
			return;
	}
	/* a Result without child computes one row; PL/pgSQL assigns by it */
	if (outerPlan(plan) != NULL)
		outerPlan(plan) = below(r, plan, outerPlan(plan), OUTER_VAR, sites, flow);
}

/* ---- above ---- */

static Plan *
rewrite_above(PgLlmRewrite *r, Plan *plan, PgLlmFlow flow)
{
	PgLlmSplit	split;
	List	   *sites;

	if (IsA(plan, Append) || IsA(plan, MergeAppend))
		return pgllm_rewrite_append(r, plan, flow);
	if (!pgllm_split(plan, &split))
		return NULL;
	sites = pgllm_split_sites(r, &split);
	if (sites == NIL || !pgllm_may_run_ahead(plan, &split))
		return NULL;
	pgllm_split_apply(plan, &split);
	return pgllm_batch_node_above(r, plan, &split, sites, flow);
}

/* ---- the walk ---- */

typedef struct WalkContext
{
	PgLlmRewrite *r;
	PgLlmFlow	flow;			/* of the parent */
} WalkContext;

static Plan *
rewrite_child(Plan *child, Plan *parent, void *opaque)
{
	WalkContext *context = opaque;

	return rewrite(context->r, child, child_flow(parent, child, context->flow));
}

static bool
is_batch_node(Plan *plan)
{
	return IsA(plan, CustomScan) && ((CustomScan *) plan)->methods == &pgllm_batch_scan_methods;
}

static Plan *
materialize(PgLlmRewrite *r, Plan *plan)
{
	Plan	   *result = materialize_finished_plan(plan);

	result->plan_node_id = ++r->last_node_id;
	return result;
}

static Plan *
rewrite(PgLlmRewrite *r, Plan *plan, PgLlmFlow flow)
{
	WalkContext context = {.r = r, .flow = flow};
	Plan	   *above = rewrite_above(r, plan, flow);

	if (above != NULL)
		plan = pgllm_block_join(r, above, plan);
	pgllm_plan_map(plan, rewrite_child, &context);
	rewrite_below(r, plan, flow);
	/* a merge join marks and restores positions of its inner side, which the planner provided for */
	if (IsA(plan, MergeJoin) && is_batch_node(innerPlan(plan)))
		innerPlan(plan) = materialize(r, innerPlan(plan));
	return above != NULL ? above : plan;
}

/* ---- the statement ---- */

static Plan *
survey(Plan *plan, Plan *parent, void *opaque)
{
	PgLlmRewrite *r = opaque;

	r->last_node_id = Max(r->last_node_id, plan->plan_node_id);
	r->multiexpr_params = pgllm_multiexpr_params((Node *) plan->targetlist, r->multiexpr_params);
	pgllm_plan_map(plan, survey, opaque);
	return plan;
}

/* the catalog functions that a plan depends on are listed in it, the server's own left out: most plans have none */
static bool
may_have_calls(const PlannedStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->invalItems)
		if (lfirst_node(PlanInvalItem, cell)->cacheId == PROCOID)
			return stmt->planTree != NULL;
	return false;
}

void
pgllm_batch_plan(PlannedStmt *stmt, int cursor_options)
{
	PgLlmRewrite r = {.stmt = stmt};
	PgLlmFlow	from_client = {.all_rows = true};
	PgLlmFlow	from_expression = {0};
	bool		scrollable;
	ListCell   *cell;

	if (!may_have_calls(stmt))
		return;
	pgllm_recompute_jit(stmt);
	scrollable = ExecSupportsBackwardScan(stmt->planTree);
	(void) survey(stmt->planTree, NULL, &r);
	foreach(cell, stmt->subplans)
		if (lfirst(cell) != NULL)
			(void) survey(lfirst(cell), NULL, &r);
	if (pgllm_defer_filters_on)
	{
		foreach(cell, stmt->subplans)
			if (lfirst(cell) != NULL)
				pgllm_defer_filters(&r, lfirst(cell));
		pgllm_defer_filters(&r, stmt->planTree);
	}
	foreach(cell, stmt->subplans)
		if (lfirst(cell) != NULL)
			lfirst(cell) = rewrite(&r, lfirst(cell), from_expression);
	stmt->planTree = rewrite(&r, stmt->planTree, from_client);

	/* a cursor that could be read backwards still can; FAST_PLAN is what tells a cursor from other statements */
	if ((cursor_options & (CURSOR_OPT_SCROLL | CURSOR_OPT_FAST_PLAN)) != 0 && (cursor_options & CURSOR_OPT_NO_SCROLL) == 0 &&
		scrollable && !ExecSupportsBackwardScan(stmt->planTree))
		stmt->planTree = materialize(&r, stmt->planTree);
}
