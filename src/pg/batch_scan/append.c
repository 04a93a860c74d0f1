/*
 * append.c: one batch node above an Append or a MergeAppend whose children compute the same, in place of one for each child.
 *
 * Partitions may be many and small: batches should reach across them. Neighbours whose expressions are the same over what they
 * return (a run) are split (split.c), and a node above evaluates these expressions for all. If not all children of an Append
 * are one run, as in a UNION ALL of unlike parts, each run gets an Append of its own in its place, so that rows keep their
 * order. A MergeAppend is one run or none, and what it sorts by has to be among the columns of its children.
 */
#include "block_scan/block_scan.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

/* the children of an Append or a MergeAppend; NIL: it is neither */
List *
pgllm_append_children(const Plan *plan)
{
	if (IsA(plan, Append))
		return ((const Append *) plan)->appendplans;
	if (IsA(plan, MergeAppend))
		return ((const MergeAppend *) plan)->mergeplans;
	return NIL;
}

/* the columns of an Append, by those of a child */
List *
pgllm_append_columns(List *child_columns)
{
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, child_columns)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Node	   *expr = (Node *) entry->expr;
		Var		   *column = makeVar(OUTER_VAR, entry->resno, exprType(expr), exprTypmod(expr), exprCollation(expr), 0);

		result = lappend(result, makeTargetEntry((Expr *) column, entry->resno, NULL, false));
	}
	return result;
}

/* ---- runs ---- */

static bool
can_join_run(Plan *child, PgLlmSplit *split)
{
	return pgllm_split(child, split) && !pgllm_has_blocking(split->quals) && pgllm_may_run_ahead(child, split);
}

/* how many children from the first given one on compute the same; 0: it computes nothing that can be done above */
static int
run_length(List *children, int first, PgLlmSplit *splits)
{
	int			n = 0;

	while (first + n < list_length(children) && can_join_run(list_nth(children, first + n), &splits[n]) &&
		   equal(splits[n].tlist, splits[0].tlist) && equal(splits[n].quals, splits[0].quals))
		n++;
	return n;
}

/* a MergeAppend sorts by columns of its children: their places among the leaves; false: something is not handed on as it is */
static bool
find_sort_columns(const MergeAppend *merge, const PgLlmSplit *split, AttrNumber *columns)
{
	for (int i = 0; i < merge->numCols; i++)
	{
		TargetEntry *entry = list_nth_node(TargetEntry, split->tlist, merge->sortColIdx[i] - 1);

		if (!IsA(entry->expr, Var))
			return false;
		columns[i] = ((Var *) entry->expr)->varattno;
	}
	return true;
}

/* a batch node above, whose children are one run; NULL: it would have nothing to do, or the order of rows needs it below */
static Plan *
node_above(PgLlmRewrite *r, Plan *append, PgLlmSplit *splits, PgLlmFlow flow)
{
	List	   *sites = pgllm_split_sites(r, &splits[0]);
	ListCell   *cell;

	if (sites == NIL)
		return NULL;
	if (IsA(append, MergeAppend))
	{
		MergeAppend *merge = (MergeAppend *) append;
		AttrNumber *columns = palloc(sizeof(AttrNumber) * Max(merge->numCols, 1));

		if (!find_sort_columns(merge, &splits[0], columns))
			return NULL;
		merge->sortColIdx = columns;
	}
	foreach(cell, pgllm_append_children(append))
	{
		Plan	   *child = lfirst(cell);
		bool		async = child->async_capable;

		pgllm_split_apply(child, &splits[foreach_current_index(cell)]);
		child->async_capable = async;	/* its rows go to the Append as before */
	}
	/* names and junk marks are those of the topmost node */
	foreach(cell, append->targetlist)
	{
		TargetEntry *from = lfirst_node(TargetEntry, cell);
		TargetEntry *to = list_nth_node(TargetEntry, splits[0].tlist, foreach_current_index(cell));

		to->resname = from->resname;
		to->resjunk = from->resjunk;
		to->ressortgroupref = from->ressortgroupref;
		to->resorigtbl = from->resorigtbl;
		to->resorigcol = from->resorigcol;
	}
	append->targetlist = pgllm_append_columns(splits[0].leaves);
	return pgllm_batch_node_above(r, append, &splits[0], sites, flow);
}

/* an Append of n of the children of another */
static Append *
part_of(PgLlmRewrite *r, const Append *whole, int first, int n)
{
	Append	   *part = makeNode(Append);

	*part = *whole;
	part->appendplans = list_copy_head(list_copy_tail(whole->appendplans, first), n);
	part->first_partial_plan = n;
	part->plan.plan_node_id = ++r->last_node_id;
	part->plan.initPlan = NIL;
	part->plan.targetlist = copyObject(whole->plan.targetlist);
	part->plan.plan_rows = 0;
	for (int i = 0; i < n; i++)
		part->plan.plan_rows += ((Plan *) list_nth(part->appendplans, i))->plan_rows;
	return part;
}

/* children that are pruned when the plan runs, and those that workers share out, are known by their places */
static void
node_above_each_run(PgLlmRewrite *r, Append *append, PgLlmSplit *splits, PgLlmFlow flow)
{
	List	   *children = NIL;
	int			first = 0;

	if (PGLLM_APPEND_PRUNES(append) || append->plan.parallel_aware)
		return;
	while (first < list_length(append->appendplans))
	{
		int			n = run_length(append->appendplans, first, splits);
		Plan	   *above = n > 1 ? node_above(r, &part_of(r, append, first, n)->plan, splits, flow) : NULL;

		n = Max(n, 1);
		if (above != NULL)
			children = lappend(children, above);
		else
			children = list_concat(children, list_copy_head(list_copy_tail(append->appendplans, first), n));
		first += n;
	}
	append->appendplans = children;
}

Plan *
pgllm_rewrite_append(PgLlmRewrite *r, Plan *append, PgLlmFlow flow)
{
	List	   *children = pgllm_append_children(append);
	PgLlmSplit *splits = palloc(sizeof(PgLlmSplit) * Max(list_length(children), 1));

	if (children != NIL && run_length(children, 0, splits) == list_length(children))
		return node_above(r, append, splits, flow);
	if (IsA(append, Append))
		node_above_each_run(r, (Append *) append, splits, flow);
	return NULL;
}
