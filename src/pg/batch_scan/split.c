/*
 * split.c: a plan node that computes calls, in two: below, the node itself, which returns columns only; above, a batch node,
 * which evaluates the expressions as they were.
 *
 * Leaves are what only the node can give: its columns and, for aggregation and windows, their results. In the expressions
 * they become columns of the batch node's input. Nothing else of an expression changes, so whatever is in it (volatile
 * functions, sub-plans, CASE) is evaluated once for each row that is returned, as before.
 *
 * Quals keep their order: those from the first call on move up together. Of a join only a trailing run of calls moves: what
 * the planner knows of a join (that its inner side is unique, say) may rest on its other clauses.
 */
#include "batch_scan/batch_plan.h"

#include <math.h>

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

/* ---- leaves ---- */

typedef struct LeafContext
{
	List	   *leaves;
	bool		aggregates;		/* results of aggregates and window functions are leaves */
	bool		converted_rows; /* and rows of a partition as rows of its parent, so that partitions have the same leaves */
} LeafContext;

static bool
is_converted_row(Node *node)
{
	if (!IsA(node, ConvertRowtypeExpr))
		return false;
	while (IsA(node, ConvertRowtypeExpr))
		node = (Node *) ((ConvertRowtypeExpr *) node)->arg;
	return IsA(node, Var);
}

static bool
is_leaf(Node *node, const LeafContext *context)
{
	if (IsA(node, Var) || (context->converted_rows && is_converted_row(node)))
		return true;
	return context->aggregates && (IsA(node, Aggref) || IsA(node, WindowFunc) || IsA(node, GroupingFunc));
}

/* the input column that a leaf becomes */
static Var *
leaf_column(Node *leaf, LeafContext *context)
{
	ListCell   *cell;
	AttrNumber	no = 0;

	foreach(cell, context->leaves)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (equal(entry->expr, leaf))
			no = entry->resno;
	}
	if (no == 0)
	{
		no = (AttrNumber) (list_length(context->leaves) + 1);
		context->leaves = lappend(context->leaves, makeTargetEntry((Expr *) copyObject(leaf), no, NULL, false));
	}
	return makeVar(INDEX_VAR, no, exprType(leaf), exprTypmod(leaf), exprCollation(leaf), 0);
}

static Node *
leaf_mutator(Node *node, LeafContext *context)
{
	if (node == NULL)
		return NULL;
	if (is_leaf(node, context))
		return (Node *) leaf_column(node, context);
	return expression_tree_mutator(node, leaf_mutator, context);
}

Node *
pgllm_over_leaves(Node *node, List **leaves)
{
	LeafContext context = {.leaves = *leaves};
	Node	   *result = leaf_mutator(node, &context);

	*leaves = context.leaves;
	return result;
}

/* ---- splitting ---- */

static bool
can_split(Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_SeqScan:
		case T_SampleScan:
		case T_IndexScan:
		case T_IndexOnlyScan:
		case T_BitmapHeapScan:
		case T_TidScan:
		case T_TidRangeScan:
		case T_SubqueryScan:
		case T_FunctionScan:
		case T_TableFuncScan:
		case T_ValuesScan:
		case T_CteScan:
		case T_NamedTuplestoreScan:
		case T_WorkTableScan:
		case T_NestLoop:
		case T_MergeJoin:
		case T_HashJoin:
		case T_Agg:
		case T_WindowAgg:
		case T_Gather:
		case T_GatherMerge:
			return true;
		case T_ForeignScan:
			return ((ForeignScan *) plan)->operation == CMD_SELECT;
		default:
			return false;
	}
}

/* how many quals stay with the node: those before the first call, or before the trailing run of calls */
static int
n_kept(List *quals, bool trailing)
{
	int			n = list_length(quals);

	if (trailing)
	{
		while (n > 0 && pgllm_has_call(list_nth(quals, n - 1)))
			n--;
		return n;
	}
	for (int i = 0; i < n; i++)
		if (pgllm_has_call(list_nth(quals, i)))
			return i;
	return n;
}

bool
pgllm_split(Plan *plan, PgLlmSplit *split)
{
	LeafContext context = {.aggregates = IsA(plan, Agg) || IsA(plan, WindowAgg), .converted_rows = true};
	List	   *joinquals = NIL;
	List	   *moved = NIL;
	int			kept;

	if (!can_split(plan))
		return false;
	memset(split, 0, sizeof *split);
	if (pgllm_is_join(plan))
	{
		/* an outer join's own clauses decide which rows are extended by NULLs: they cannot move */
		joinquals = ((Join *) plan)->joinqual;
		kept = ((Join *) plan)->jointype == JOIN_INNER ? n_kept(joinquals, true) : list_length(joinquals);
		split->kept_joinquals = list_copy_head(joinquals, kept);
		moved = list_copy_tail(joinquals, kept);
	}
	kept = moved != NIL ? 0 : n_kept(plan->qual, pgllm_is_join(plan));
	split->kept_quals = list_copy_head(plan->qual, kept);
	moved = list_concat(moved, list_copy_tail(plan->qual, kept));
	if (moved == NIL && !pgllm_has_call((Node *) plan->targetlist))
		return false;
	split->quals = (List *) leaf_mutator((Node *) moved, &context);
	split->tlist = (List *) leaf_mutator((Node *) plan->targetlist, &context);
	split->leaves = context.leaves;
	return true;
}

void
pgllm_split_apply(Plan *plan, const PgLlmSplit *split)
{
	plan->targetlist = split->leaves;
	plan->qual = split->kept_quals;
	/* one that is asynchronous would return rows to an Append only */
	plan->async_capable = false;
	if (pgllm_is_join(plan))
	{
		Join	   *join = (Join *) plan;

		/* with fewer clauses there may be more than one match */
		if (list_length(join->joinqual) > list_length(split->kept_joinquals))
			join->inner_unique = false;
		join->joinqual = split->kept_joinquals;
	}
}

/* ---- sites over the input of a batch node ---- */

static bool
has_column_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return true;
	return expression_tree_walker(node, has_column_walker, context);
}

/* without calls that are the same for all rows: the first row's call answers those of the others */
static List *
dependent_sites(List *sites)
{
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, sites)
		if (has_column_walker((Node *) PGLLM_SITE_CALL(lfirst(cell))->args, NULL))
			result = lappend(result, lfirst(cell));
	return result;
}

List *
pgllm_split_sites(const PgLlmRewrite *r, const PgLlmSplit *split)
{
	return dependent_sites(pgllm_sites(split->quals, split->tlist, false, r->multiexpr_params));
}

typedef struct VarnoContext
{
	int			varno;
	bool		others;			/* there are columns of another */
} VarnoContext;

static Node *
varno_mutator(Node *node, VarnoContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varno == context->varno && var->varattno > 0)
			return (Node *) makeVar(INDEX_VAR, var->varattno, var->vartype, var->vartypmod, var->varcollid, 0);
		context->others = true;
		return node;
	}
	return expression_tree_mutator(node, varno_mutator, context);
}

List *
pgllm_sites_of(List *sites, int varno)
{
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, sites)
	{
		VarnoContext context = {.varno = varno};
		List	   *site = (List *) varno_mutator(lfirst(cell), &context);

		if (!context.others)
			result = lappend(result, site);
	}
	return dependent_sites(result);
}

/* ---- nodes ---- */

/* a batch node above child, with its costs and parameters; targetlist and qual are the caller's to fill */
static CustomScan *
make_node(PgLlmRewrite *r, Plan *child, List *sites, PgLlmFlow flow)
{
	CustomScan *node = makeNode(CustomScan);
	Plan	   *plan = &node->scan.plan;
	ListCell   *cell;

	plan->startup_cost = child->startup_cost;
	plan->total_cost = child->total_cost;
	plan->plan_rows = child->plan_rows;
	plan->plan_width = child->plan_width;
	plan->plan_node_id = ++r->last_node_id;
	plan->lefttree = child;
	plan->initPlan = child->initPlan;
	child->initPlan = NIL;
	plan->extParam = bms_copy(child->extParam);
	plan->allParam = bms_copy(child->allParam);
	foreach(cell, child->targetlist)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Node	   *expr = (Node *) entry->expr;
		Var		   *column = makeVar(OUTER_VAR, entry->resno, exprType(expr), exprTypmod(expr), exprCollation(expr), 0);

		node->custom_scan_tlist = lappend(node->custom_scan_tlist, makeTargetEntry((Expr *) column, entry->resno, entry->resname, false));
	}
	node->custom_exprs = list_make3(sites, copyObject(flow.limit), copyObject(flow.offset));
	node->custom_private = list_make4(makeInteger(flow.all_rows ? 1 : 0), makeInteger(flow.uncertain ? 1 : 0),
									  makeInteger(0), makeInteger(1000));
	node->methods = &pgllm_batch_scan_methods;
	return node;
}

Plan *
pgllm_batch_node_above(PgLlmRewrite *r, Plan *plan, const PgLlmSplit *split, List *sites, PgLlmFlow flow)
{
	CustomScan *node;
	ListCell   *cell;

	/* how many rows have to be looked at for the rows that pass is not known */
	if (split->quals != NIL)
		flow.limit = flow.offset = NULL;
	node = make_node(r, plan, sites, flow);
	node->scan.plan.targetlist = split->tlist;
	node->scan.plan.qual = split->quals;
	if (split->quals != NIL)
		plan->plan_rows = pgllm_rows_without(r->stmt, plan, split->quals, split->kept_quals);
	foreach(cell, r->deferred)
	{
		const PgLlmDeferred *note = lfirst(cell);

		if (note->plan == plan)
		{
			lthird(node->custom_private) = makeInteger(note->n_joins);
			lfourth(node->custom_private) = makeInteger((int) rint(note->kept * 1000));
		}
	}
	return &node->scan.plan;
}

Plan *
pgllm_batch_node_below(PgLlmRewrite *r, Plan *child, List *sites, PgLlmFlow flow)
{
	CustomScan *node = make_node(r, child, sites, flow);
	ListCell   *cell;

	foreach(cell, child->targetlist)
	{
		TargetEntry *entry = flatCopyTargetEntry(lfirst_node(TargetEntry, cell));
		Node	   *expr = (Node *) entry->expr;

		entry->expr = (Expr *) makeVar(INDEX_VAR, entry->resno, exprType(expr), exprTypmod(expr), exprCollation(expr), 0);
		node->scan.plan.targetlist = lappend(node->scan.plan.targetlist, entry);
	}
	child->async_capable = false;
	return &node->scan.plan;
}

/* ---- running ahead ---- */

static Plan *
find_effects(Plan *plan, Plan *parent, void *found)
{
	if (pgllm_has_volatile((Node *) plan->targetlist) || pgllm_has_volatile((Node *) plan->qual) ||
		(pgllm_is_join(plan) && pgllm_has_volatile((Node *) ((Join *) plan)->joinqual)) ||
		IsA(plan, LockRows) || IsA(plan, ModifyTable) ||
		(IsA(plan, ForeignScan) && ((ForeignScan *) plan)->operation != CMD_SELECT))
		*(bool *) found = true;
	/* these take all their rows before they return the first: nobody sees them run ahead */
	if (IsA(plan, Sort) || IsA(plan, Hash) || (IsA(plan, Agg) && ((Agg *) plan)->aggstrategy != AGG_SORTED))
		return plan;
	pgllm_plan_map(plan, find_effects, found);
	return plan;
}

bool
pgllm_may_run_ahead(Plan *plan, const PgLlmSplit *split)
{
	List	   *tlist = plan->targetlist;
	List	   *quals = plan->qual;
	List	   *joinquals = pgllm_is_join(plan) ? ((Join *) plan)->joinqual : NIL;
	bool		found = false;

	if (split != NULL)
	{
		plan->targetlist = split->leaves;
		plan->qual = split->kept_quals;
		if (pgllm_is_join(plan))
			((Join *) plan)->joinqual = split->kept_joinquals;
	}
	(void) find_effects(plan, NULL, &found);
	plan->targetlist = tlist;
	plan->qual = quals;
	if (pgllm_is_join(plan))
		((Join *) plan)->joinqual = joinquals;
	return !found;
}
