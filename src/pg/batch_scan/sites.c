/*
 * sites.c: finding the calls in an expression that can be computed ahead, and what must be true for them to be reached.
 *
 * The guards of a call are what CASE, COALESCE, AND, OR and FILTER test before it. A call is left out if its arguments or
 * guards hold what must be evaluated once and in its place: volatile functions other than ours, sub-plans, parameters that
 * change from row to row. Leaving one out costs time only: it runs when its row does.
 */
#include "batch_scan/batch_scan.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"

/* ---- tests ---- */

static bool
has_call_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && pgllm_function_of(((FuncExpr *) node)->funcid) != NULL)
		return true;
	if (IsA(node, SubPlan) || IsA(node, AlternativeSubPlan))
		return false;
	return expression_tree_walker(node, has_call_walker, context);
}

bool
pgllm_has_call(Node *node)
{
	return has_call_walker(node, NULL);
}

static bool
is_volatile(Oid funcid, void *context)
{
	return pgllm_function_of(funcid) == NULL && func_volatile(funcid) == PROVOLATILE_VOLATILE;
}

static bool
volatile_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, NextValueExpr) || check_functions_in_node(node, is_volatile, context))
		return true;
	return expression_tree_walker(node, volatile_walker, context);
}

bool
pgllm_has_volatile(Node *node)
{
	return volatile_walker(node, NULL);
}

typedef struct EarlyContext
{
	const Bitmapset *multiexpr_params;
	int			case_depth;		/* placeholders of CASE and array coercions inside of the expression are fine */
} EarlyContext;

/* whether something in an expression forbids to evaluate it early */
static bool
not_early_walker(Node *node, EarlyContext *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_SubPlan:
		case T_AlternativeSubPlan:
		case T_Aggref:
		case T_WindowFunc:
		case T_GroupingFunc:
		case T_CoerceToDomainValue:
		case T_SetToDefault:
		case T_CurrentOfExpr:
		case T_NextValueExpr:
			return true;
		case T_CaseTestExpr:
			return context->case_depth == 0;
		case T_Param:
			return ((Param *) node)->paramkind == PARAM_EXEC &&
				bms_is_member(((Param *) node)->paramid, context->multiexpr_params);
		case T_CaseExpr:
		case T_ArrayCoerceExpr:
			{
				bool		result;

				context->case_depth++;
				result = expression_tree_walker(node, not_early_walker, context);
				context->case_depth--;
				return result;
			}
		default:
			break;
	}
	if (check_functions_in_node(node, is_volatile, NULL))
		return true;
	return expression_tree_walker(node, not_early_walker, context);
}

static bool
multiexpr_walker(Node *node, Bitmapset **params)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubPlan) && ((SubPlan *) node)->subLinkType == MULTIEXPR_SUBLINK)
	{
		ListCell   *cell;

		foreach(cell, ((SubPlan *) node)->setParam)
			*params = bms_add_member(*params, lfirst_int(cell));
	}
	return expression_tree_walker(node, multiexpr_walker, params);
}

Bitmapset *
pgllm_multiexpr_params(Node *node, Bitmapset *params)
{
	(void) multiexpr_walker(node, &params);
	return params;
}

/* ---- guards ---- */

/* guards with one more condition; the list given is not changed */
static List *
with_guard(List *guards, Node *condition)
{
	return lappend(list_copy(guards), condition);
}

static Node *
boolean_test(Node *arg, BoolTestType type)
{
	BooleanTest *test = makeNode(BooleanTest);

	test->arg = (Expr *) arg;
	test->booltesttype = type;
	test->location = -1;
	return (Node *) test;
}

static Node *
is_null(Node *arg)
{
	NullTest   *test = makeNode(NullTest);

	test->arg = (Expr *) arg;
	test->nulltesttype = IS_NULL;
	test->location = -1;
	return (Node *) test;
}

/* whether CASE comes to arm number n after passing those before: to its result, or (reached) only to its condition */
static Node *
case_guard(const CaseExpr *original, int n, bool reached)
{
	CaseExpr   *test = makeNode(CaseExpr);

	test->casetype = BOOLOID;
	test->arg = original->arg;
	test->location = -1;
	for (int i = 0; i < list_length(original->args) && (i < n || (i == n && !reached)); i++)
	{
		CaseWhen   *when = makeNode(CaseWhen);

		when->expr = list_nth_node(CaseWhen, original->args, i)->expr;
		when->result = (Expr *) makeBoolConst(i == n, false);
		when->location = -1;
		test->args = lappend(test->args, when);
	}
	test->defresult = (Expr *) makeBoolConst(reached, false);
	return (Node *) test;
}

/* ---- collecting ---- */

typedef struct Collect
{
	EarlyContext early;
	bool		in_aggregates;	/* only calls in aggregates and window functions are wanted */
	bool		inside;			/* now in one of these */
	List	   *guards;			/* here */
	List	   *sites;
} Collect;

static bool collect_walker(Node *node, Collect *c);

static void
collect_with(Node *node, List *guards, Collect *c)
{
	List	   *outer = c->guards;

	c->guards = guards;
	(void) collect_walker(node, c);
	c->guards = outer;
}

static void
collect_case(const CaseExpr *expr, Collect *c)
{
	int			n = 0;
	ListCell   *cell;

	collect_with((Node *) expr->arg, c->guards, c);
	foreach(cell, expr->args)
	{
		CaseWhen   *when = lfirst_node(CaseWhen, cell);

		collect_with((Node *) when->expr, n == 0 ? c->guards : with_guard(c->guards, case_guard(expr, n, true)), c);
		collect_with((Node *) when->result, with_guard(c->guards, case_guard(expr, n, false)), c);
		n++;
	}
	collect_with((Node *) expr->defresult, with_guard(c->guards, case_guard(expr, n, true)), c);
}

/* arguments that are evaluated one after the other until one decides: AND, OR, COALESCE */
static void
collect_in_turn(Node *expr, List *args, Collect *c)
{
	List	   *guards = c->guards;
	ListCell   *cell;

	foreach(cell, args)
	{
		Node	   *arg = lfirst(cell);

		collect_with(arg, guards, c);
		if (IsA(expr, CoalesceExpr))
			guards = with_guard(guards, is_null(arg));
		else
			guards = with_guard(guards, boolean_test(arg, ((BoolExpr *) expr)->boolop == AND_EXPR ? IS_NOT_FALSE : IS_NOT_TRUE));
	}
}

static void
collect_aggregate(List *args, Expr *filter, Collect *c)
{
	if (!c->in_aggregates)
		return;
	c->inside = true;
	collect_with((Node *) filter, c->guards, c);
	collect_with((Node *) args, filter == NULL ? c->guards : with_guard(c->guards, (Node *) filter), c);
	c->inside = false;
}

static void
add_site(FuncExpr *call, Collect *c)
{
	ListCell   *cell;

	if (c->in_aggregates && !c->inside)
		return;
	if (not_early_walker((Node *) call->args, &c->early) || not_early_walker((Node *) c->guards, &c->early))
		return;
	foreach(cell, c->sites)
		if (equal(PGLLM_SITE_CALL(lfirst(cell)), call) && equal(PGLLM_SITE_GUARDS(lfirst(cell)), c->guards) &&
			func_volatile(call->funcid) != PROVOLATILE_VOLATILE)
			return;
	c->sites = lappend(c->sites, list_make3(call, c->guards, NULL));
}

static bool
collect_walker(Node *node, Collect *c)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_SubPlan:
		case T_AlternativeSubPlan:
		case T_GroupingFunc:
			return false;
		case T_Aggref:
			collect_aggregate(((Aggref *) node)->args, ((Aggref *) node)->aggfilter, c);
			return false;
		case T_WindowFunc:
			collect_aggregate(((WindowFunc *) node)->args, ((WindowFunc *) node)->aggfilter, c);
			return false;
		case T_CaseExpr:
			collect_case((CaseExpr *) node, c);
			return false;
		case T_CoalesceExpr:
			collect_in_turn(node, ((CoalesceExpr *) node)->args, c);
			return false;
		case T_BoolExpr:
			collect_in_turn(node, ((BoolExpr *) node)->args, c);
			return false;
		case T_FuncExpr:
			/* arguments first: calls in them are needed for this one */
			(void) expression_tree_walker(node, collect_walker, c);
			if (pgllm_function_of(((FuncExpr *) node)->funcid) != NULL)
				add_site((FuncExpr *) node, c);
			return false;
		default:
			return expression_tree_walker(node, collect_walker, c);
	}
}

List *
pgllm_sites(List *quals, List *exprs, bool in_aggregates, const Bitmapset *multiexpr_params)
{
	Collect		c = {.early = {.multiexpr_params = multiexpr_params}, .in_aggregates = in_aggregates};
	ListCell   *cell;

	foreach(cell, quals)
	{
		(void) collect_walker(lfirst(cell), &c);
		c.guards = with_guard(c.guards, lfirst(cell));
	}
	if (in_aggregates)
		c.guards = NIL;			/* quals come after aggregation */
	(void) collect_walker((Node *) exprs, &c);
	return c.sites;
}
