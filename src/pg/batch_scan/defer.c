/*
 * defer.c: filters that run a model, moved above joins that leave fewer rows.
 *
 * PostgreSQL evaluates a filter where its columns first are, which is right for filters that cost nothing. One that runs a
 * model is better asked of the rows that joins leave, and above a nested loop whose inner side is looked up row by row it is
 * asked of many rows together. So of each scan or join the trailing filters with calls move up to the join on their way
 * that has the fewest rows by the planner's estimate. They pass inner joins, and outer, semi and anti joins from the side
 * whose rows these keep: there a filter commutes with the join.
 *
 * Estimates are those after filters, on both sides of the comparison: the guess for the moved filter cancels out.
 *
 * Filters that all partitions of a table have are taken from them together, and move from their Append on.
 *
 * Nothing moves in a statement with row security or a security barrier view: finished plans do not say which filters are
 * barriers for others.
 */
#include "block_scan/block_scan.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* a join must leave fewer rows than this part, or the filter stays */
#define WORTH_MOVING 0.99
#define DEEPEST 64

typedef struct Way
{
	PgLlmRewrite *r;
	Plan	   *above[DEEPEST];	/* nodes from the top down to the one that is looked at */
	int			depth;
} Way;

/* ---- what may move ---- */

static bool
is_source(const Plan *plan)
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
			return true;
		case T_ForeignScan:
			return ((const ForeignScan *) plan)->operation == CMD_SELECT && ((const ForeignScan *) plan)->scan.scanrelid > 0;
		default:
			return pgllm_is_join(plan);
	}
}

static bool
is_append(const Plan *plan)
{
	return pgllm_append_children(plan) != NIL;
}

/* parameters and sub-plans belong to their place in the plan; whole rows and system columns are not handed on */
static bool
bound_to_place_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubPlan) || IsA(node, AlternativeSubPlan) || IsA(node, CurrentOfExpr))
		return true;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC)
		return true;
	if (IsA(node, Var) && ((Var *) node)->varattno <= 0)
		return true;
	return expression_tree_walker(node, bound_to_place_walker, context);
}

static bool
may_move(Node *qual)
{
	/* a join is blocked where its clause is */
	return pgllm_has_call(qual) && !pgllm_has_blocking(list_make1(qual)) && !pgllm_has_volatile(qual) && !bound_to_place_walker(qual, NULL);
}

/* how many quals at the end of a list may move */
static int
n_movable(List *quals)
{
	int			n = 0;

	while (n < list_length(quals) && may_move(list_nth(quals, list_length(quals) - 1 - n)))
		n++;
	return n;
}

/* take the trailing filters of a node from it */
static List *
take_quals(Plan *plan)
{
	int			n = n_movable(plan->qual);
	List	   *result = list_copy_tail(plan->qual, list_length(plan->qual) - n);

	/* a clause of an inner join is a filter of its rows, before the others */
	if (pgllm_is_join(plan) && ((Join *) plan)->jointype == JOIN_INNER && n == list_length(plan->qual))
	{
		Join	   *join = (Join *) plan;
		int			n_join = n_movable(join->joinqual);
		int			n_left = list_length(join->joinqual) - n_join;

		result = list_concat(list_copy_tail(join->joinqual, n_left), result);
		if (n_join > 0)
		{
			join->joinqual = list_copy_head(join->joinqual, n_left);
			join->inner_unique = false;	/* with fewer clauses there may be more than one match */
		}
	}
	plan->qual = list_copy_head(plan->qual, list_length(plan->qual) - n);
	return result;
}

/* ---- where to ---- */

/* whether a filter of the child's rows is the same as one of the join's */
static bool
commutes(const Join *join, const Plan *child)
{
	bool		outer = child == join->plan.lefttree;

	switch (join->jointype)
	{
		case JOIN_INNER:
			return true;
		case JOIN_LEFT:
		case JOIN_SEMI:
		case JOIN_ANTI:
			return outer;
		case JOIN_RIGHT:
			return !outer;
		default:
			return false;
	}
}

/* rows that a filter drops are none of those that a join is blocked by */
static bool
may_be_blocked(const Join *join)
{
	return pgllm_has_blocking(join->joinqual) || pgllm_has_blocking(join->plan.qual);
}

static bool
hands_on_rows(const Plan *plan)
{
	return IsA(plan, Hash) || IsA(plan, Sort) || IsA(plan, Material);
}

/* whether the inner side of a nested loop is run for each outer row, with its values */
static bool
is_looked_up(const Plan *join, const Plan *child)
{
	ListCell   *cell;

	if (!IsA(join, NestLoop) || child != join->righttree)
		return false;
	foreach(cell, ((const NestLoop *) join)->nestParams)
		if (bms_is_member(lfirst_node(NestLoopParam, cell)->paramno, child->extParam))
			return true;
	return false;
}

/* the place in way->above of the join with the fewest rows on the way up; -1: none has fewer than the node itself */
static int
best_join(const Way *way, const Plan *plan, double *kept)
{
	const Plan *child = plan;
	double		own = plan->plan_rows;
	double		best_rows = own;
	int			best = -1;

	for (int i = way->depth - 1; i >= 0; i--)
	{
		const Plan *above = way->above[i];

		if (pgllm_is_join(above))
		{
			bool		looked_up = is_looked_up(above, child);

			if (!commutes((const Join *) above, child) || may_be_blocked((const Join *) above))
				break;
			if (looked_up)
			{
				own *= above->lefttree->plan_rows;
				best_rows *= above->lefttree->plan_rows;
			}
			/* of rows that are looked up one by one more can be computed together above, if they are not more */
			if (above->plan_rows <= best_rows * (looked_up ? 1.01 : WORTH_MOVING))
			{
				best = i;
				best_rows = above->plan_rows;
			}
		}
		else if (!hands_on_rows(above))
			break;
		child = above;
	}
	*kept = own > 0 ? Min(best_rows / own, 1) : 1;
	return best;
}

/* ---- moving ---- */

typedef struct ColumnContext
{
	Plan	   *plan;			/* returns the columns; gets those that it lacks */
	int			varno;			/* by which the node above knows them */
} ColumnContext;

/* the column of a node's result that is a Var of its own; added if it is not there */
static AttrNumber
result_column(Plan *plan, Var *var)
{
	ListCell   *cell;
	AttrNumber	no;

	foreach(cell, plan->targetlist)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);

		if (equal(entry->expr, var))
			return entry->resno;
	}
	no = (AttrNumber) (list_length(plan->targetlist) + 1);
	plan->targetlist = lappend(plan->targetlist, makeTargetEntry((Expr *) copyObject(var), no, NULL, false));
	plan->plan_width += get_typavgwidth(var->vartype, var->vartypmod);
	return no;
}

static Node *
column_mutator(Node *node, ColumnContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		return (Node *) makeVar(context->varno, result_column(context->plan, var), var->vartype, var->vartypmod, var->varcollid, 0);
	}
	return expression_tree_mutator(node, column_mutator, context);
}

/* quals over a node's columns, as the node above it in the path would write them */
static List *
over_result(List *quals, Plan *plan, const Plan *above)
{
	ColumnContext context = {.plan = plan, .varno = plan == above->lefttree ? OUTER_VAR : INNER_VAR};

	return (List *) column_mutator((Node *) quals, &context);
}

/* ---- from partitions ---- */

/*
 * Take the trailing filters that all children of an Append have alike; what they read is added to its columns. Only the
 * children's places say that columns are the same, so filters are compared over places.
 */
static List *
take_append_quals(Plan *append)
{
	List	   *children = pgllm_append_children(append);
	List	   *quals = NIL;
	List	   *tlists = NIL;
	ListCell   *cell;

	foreach(cell, children)
	{
		Plan	   *child = lfirst(cell);
		Plan		wider = *child;
		ColumnContext context = {.plan = &wider, .varno = OUTER_VAR};
		int			n_left = list_length(child->qual) - n_movable(child->qual);
		List	   *own;

		wider.targetlist = list_copy(child->targetlist);
		own = (List *) column_mutator((Node *) list_copy_tail(child->qual, n_left), &context);
		if (!is_source(child) || pgllm_is_join(child) || own == NIL || (quals != NIL && !equal(own, quals)) ||
			(tlists != NIL && list_length(wider.targetlist) != list_length(linitial(tlists))))
			return NIL;
		quals = own;
		tlists = lappend(tlists, wider.targetlist);
	}
	foreach(cell, children)
	{
		Plan	   *child = lfirst(cell);

		(void) take_quals(child);
		child->targetlist = list_nth(tlists, foreach_current_index(cell));
	}
	append->targetlist = list_concat(list_copy(append->targetlist),
									 list_copy_tail(pgllm_append_columns(linitial(tlists)), list_length(append->targetlist)));
	return quals;
}

static void
note_deferred(PgLlmRewrite *r, Plan *from, Plan *to, int n_joins, double kept)
{
	PgLlmDeferred *note;
	ListCell   *cell;

	/* filters that were moved to a join before go on with its own */
	foreach(cell, r->deferred)
	{
		note = lfirst(cell);
		if (note->plan == from)
		{
			note->plan = to;
			note->n_joins += n_joins;
			note->kept *= kept;
			return;
		}
	}
	note = palloc(sizeof *note);
	*note = (PgLlmDeferred) {.plan = to, .n_joins = n_joins, .kept = kept};
	r->deferred = lappend(r->deferred, note);
}

/* move the trailing filters of the node at the end of the path to the join of the path that suits them best */
static void
defer_filters(Way *way, Plan *plan)
{
	double		kept;
	int			target = best_join(way, plan, &kept);
	List	   *quals;
	int			n_joins = 0;

	if (target < 0)
		return;
	quals = is_append(plan) ? take_append_quals(plan) : take_quals(plan);
	if (quals == NIL)
		return;
	for (int i = way->depth - 1; i >= target; i--)
	{
		Plan	   *child = i == way->depth - 1 ? plan : way->above[i + 1];

		quals = over_result(quals, child, way->above[i]);
		n_joins += pgllm_is_join(way->above[i]) ? 1 : 0;
	}
	way->above[target]->qual = list_concat(list_copy(way->above[target]->qual), quals);
	note_deferred(way->r, plan, way->above[target], n_joins, kept);
}

/* ---- the walk ---- */

/* children first: what moved to a join is not moved again, as its best place was seen from below */
static Plan *
defer_below(Plan *plan, Plan *parent, void *opaque)
{
	Way	   *way = opaque;

	if (way->depth == DEEPEST)
		return plan;
	way->above[way->depth++] = plan;
	pgllm_plan_map(plan, defer_below, way);
	way->depth--;
	if (is_source(plan) || is_append(plan))
		defer_filters(way, plan);
	return plan;
}

/* also for roles that it does not restrict: a plan does not say for whom it was made */
static bool
has_row_security(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	bool		result = !HeapTupleIsValid(tuple) || ((Form_pg_class) GETSTRUCT(tuple))->relrowsecurity;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return result;
}

bool
pgllm_has_security_barrier(const PlannedStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->rtable)
	{
		const RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);

		if (rte->security_barrier || rte->securityQuals != NIL || (rte->rtekind == RTE_RELATION && has_row_security(rte->relid)))
			return true;
	}
	return false;
}

void
pgllm_defer_filters(PgLlmRewrite *r, Plan *plan)
{
	Way		way = {.r = r};

	if (!pgllm_has_security_barrier(r->stmt))
		(void) defer_below(plan, NULL, &way);
}
