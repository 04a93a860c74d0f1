/*
 * block_plan.c: which joins are blocked, and by what.
 *
 * An inner nested loop without parameters is, if a batch node above it evaluates a call of llm_filter with option block_model, and
 * what the call reads can be told apart by sides. Of f(a.x, g(a.y), b.z) with functions and operators f it reads a.x and
 * g(a.y) of the one side and b.z of the other: the largest expressions of one side only. These are evaluated for every row of
 * a side, so a CASE or COALESCE over both sides, which may guard some, is not looked into.
 *
 * Nothing is blocked in a statement with row security or a security barrier view, as filters do not move there either.
 */
#include "block_scan/block_scan.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

/* ---- recognising ---- */

static bool
is_blocking(Node *qual)
{
	const FuncExpr *call = (const FuncExpr *) qual;
	Const	   *options;
	Jsonb	   *value;

	if (!IsA(qual, FuncExpr) || pgllm_function_of(call->funcid) != &pgllm_function_filter)
		return false;
	options = list_nth(call->args, PGLLM_FILTER_OPTIONS);
	if (!IsA(options, Const) || options->constisnull)
		return false;
	value = DatumGetJsonbP(options->constvalue);
	return JB_ROOT_IS_OBJECT(value) && getKeyJsonValueFromContainer(&value->root, "block_model", strlen("block_model"), NULL) != NULL;
}

static Node *
first_blocking(List *quals)
{
	ListCell   *cell;

	foreach(cell, quals)
		if (is_blocking(lfirst(cell)))
			return lfirst(cell);
	return NULL;
}

bool
pgllm_has_blocking(List *quals)
{
	return first_blocking(quals) != NULL;
}

/* ---- what a call reads of each side ---- */

typedef struct Reads
{
	const List *columns;		/* of the join: TargetEntry over OUTER_VAR and INNER_VAR */
	List	   *parts[PGLLM_SIDES];
} Reads;

static const Var *
column_of(const Reads *reads, const Var *var)
{
	return (const Var *) list_nth_node(TargetEntry, reads->columns, var->varattno - 1)->expr;
}

typedef struct SidesContext
{
	const Reads *reads;
	int			sides;			/* bit 1 << side */
} SidesContext;

static bool
sides_walker(Node *node, SidesContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		context->sides |= 1 << (column_of(context->reads, (Var *) node)->varno == OUTER_VAR ? PGLLM_OUTER : PGLLM_INNER);
		return false;
	}
	return expression_tree_walker(node, sides_walker, context);
}

static int
sides_of(const Reads *reads, Node *node)
{
	SidesContext context = {.reads = reads};

	(void) sides_walker(node, &context);
	return context.sides;
}

/* over the columns of the join's children */
static Node *
child_column_mutator(Node *node, Reads *reads)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
		return (Node *) copyObject(column_of(reads, (Var *) node));
	return expression_tree_mutator(node, child_column_mutator, reads);
}

static bool collect_parts(Reads *reads, Node *node);

static bool
collect_list(Reads *reads, List *nodes)
{
	ListCell   *cell;

	foreach(cell, nodes)
		if (!collect_parts(reads, lfirst(cell)))
			return false;
	return true;
}

/* false if the sides cannot be told apart */
static bool
collect_parts(Reads *reads, Node *node)
{
	int			sides = sides_of(reads, node);

	if (sides == 0)
		return true;
	if (sides != (1 << PGLLM_OUTER | 1 << PGLLM_INNER))
	{
		int			side = sides == 1 << PGLLM_OUTER ? PGLLM_OUTER : PGLLM_INNER;

		reads->parts[side] = list_append_unique(reads->parts[side], child_column_mutator(node, reads));
		return true;
	}
	switch (nodeTag(node))
	{
		case T_FuncExpr:
			return collect_list(reads, ((FuncExpr *) node)->args);
		case T_OpExpr:
			return collect_list(reads, ((OpExpr *) node)->args);
		case T_ArrayExpr:
			return collect_list(reads, ((ArrayExpr *) node)->elements);
		case T_RelabelType:
			return collect_parts(reads, (Node *) ((RelabelType *) node)->arg);
		case T_CoerceViaIO:
			return collect_parts(reads, (Node *) ((CoerceViaIO *) node)->arg);
		default:
			return false;
	}
}

static bool
bound_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubPlan) || IsA(node, AlternativeSubPlan) || (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC))
		return true;
	return expression_tree_walker(node, bound_walker, context);
}

/* input and condition of both sides, nothing else of any; evaluated early and twice */
static bool
find_parts(Reads *reads, FuncExpr *call)
{
	if (pgllm_has_volatile((Node *) call) || bound_walker((Node *) call, NULL))
		return false;
	for (int i = 2; i < list_length(call->args); i++)
		if (sides_of(reads, list_nth(call->args, i)) != 0)
			return false;
	return collect_list(reads, list_copy_head(call->args, 2)) &&
		reads->parts[PGLLM_OUTER] != NIL && reads->parts[PGLLM_INNER] != NIL;
}

/* ---- the node ---- */

static Plan *
without_material(Plan *plan)
{
	return IsA(plan, Material) && plan->initPlan == NIL ? plan->lefttree : plan;
}

static Plan *
make_node(const NestLoop *join, FuncExpr *call, const Reads *reads)
{
	CustomScan *node = makeNode(CustomScan);
	Plan	   *plan = &node->scan.plan;
	List	   *quals = list_concat(list_copy(join->join.joinqual), join->join.plan.qual);
	ListCell   *cell;

	plan->startup_cost = plan->total_cost = join->join.plan.total_cost;
	plan->plan_rows = join->join.plan.plan_rows;
	plan->plan_width = join->join.plan.plan_width;
	plan->plan_node_id = join->join.plan.plan_node_id;
	plan->lefttree = join->join.plan.lefttree;
	plan->righttree = without_material(join->join.plan.righttree);
	plan->extParam = bms_copy(join->join.plan.extParam);
	plan->allParam = bms_copy(join->join.plan.allParam);
	node->custom_scan_tlist = copyObject(join->join.plan.targetlist);
	foreach(cell, join->join.plan.targetlist)
	{
		TargetEntry *entry = flatCopyTargetEntry(lfirst_node(TargetEntry, cell));
		Node	   *expr = (Node *) entry->expr;

		entry->expr = (Expr *) makeVar(INDEX_VAR, entry->resno, exprType(expr), exprTypmod(expr), exprCollation(expr), 0);
		plan->targetlist = lappend(plan->targetlist, entry);
	}
	plan->qual = (List *) pgllm_over_leaves((Node *) quals, &node->custom_scan_tlist);
	node->custom_exprs = list_make3(copyObject(call), reads->parts[PGLLM_OUTER], reads->parts[PGLLM_INNER]);
	node->methods = &pgllm_block_scan_methods;
	return plan;
}

Plan *
pgllm_block_join(const PgLlmRewrite *r, Plan *batch_node, Plan *join)
{
	NestLoop   *loop = (NestLoop *) join;
	FuncExpr   *call;
	Reads		reads = {.columns = join->targetlist};

	if (!IsA(join, NestLoop) || loop->join.jointype != JOIN_INNER || loop->nestParams != NIL)
		return join;
	call = (FuncExpr *) first_blocking(batch_node->qual);
	if (call == NULL || !find_parts(&reads, call) || pgllm_has_security_barrier(r->stmt) ||
		!pgllm_may_run_ahead(outerPlan(join), NULL) || !pgllm_may_run_ahead(innerPlan(join), NULL))
		return join;
	return batch_node->lefttree = make_node(loop, call, &reads);
}
