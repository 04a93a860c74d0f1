/*
 * block_paths.c: joins that are to be blocked, in the planner.
 *
 * With a condition such as x.i < y.i beside llm_filter the planner may look up rows of the inner side by an index for each outer
 * row. Then there are no two sides to compare, and the model would be asked about all pairs that the index finds. So such a join
 * gets a nested loop over both whole sides, which block_plan.c makes a node LlmBlock of; the condition filters its pairs. A
 * join with an equality between its sides is left alone.
 */
#include "block_scan/block_scan.h"

#include "optimizer/cost.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"

static set_join_pathlist_hook_type prev_hook = NULL;

/* whether the conditions of a join have a call to block by, and no equality */
static bool
is_to_be_blocked(List *restrictlist)
{
	bool		blocking = false;
	ListCell   *cell;

	foreach(cell, restrictlist)
	{
		const RestrictInfo *info = lfirst_node(RestrictInfo, cell);

		if (info->can_join && (info->mergeopfamilies != NIL || OidIsValid(info->hashjoinoperator)))
			return false;
		blocking = blocking || pgllm_is_blocking((Node *) info->clause);
	}
	return blocking;
}

/* a nested loop whose inner side depends on the outer one */
static bool
looks_up(Path *path, const RelOptInfo *outer, const RelOptInfo *inner)
{
	const JoinPath *join = (const JoinPath *) path;

	return IsA(path, NestPath) && join->outerjoinpath->parent == outer && join->innerjoinpath->parent == inner &&
		bms_overlap(PATH_REQ_OUTER(join->innerjoinpath), outer->relids);
}

static void
block_paths(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outer, RelOptInfo *inner, JoinType jointype, JoinPathExtraData *extra)
{
	Path	   *outer_path = outer->cheapest_total_path;
	Path	   *inner_path = inner->cheapest_total_path;
	JoinCostWorkspace workspace;
	ListCell   *cell;

	if (prev_hook)
		prev_hook(root, joinrel, outer, inner, jointype, extra);
	if (jointype != JOIN_INNER || !is_to_be_blocked(extra->restrictlist) || PATH_REQ_OUTER(outer_path) != NULL ||
		PATH_REQ_OUTER(inner_path) != NULL)
		return;
	foreach(cell, joinrel->pathlist)
		if (looks_up(lfirst(cell), outer, inner))
			joinrel->pathlist = foreach_delete_current(joinrel->pathlist, cell);
	initial_cost_nestloop(root, &workspace, jointype, outer_path, inner_path, extra);
	add_path(joinrel, (Path *) create_nestloop_path(root, joinrel, jointype, &workspace, extra, outer_path, inner_path,
													extra->restrictlist, NIL, NULL));
}

void
pgllm_block_paths_init(void)
{
	prev_hook = set_join_pathlist_hook;
	set_join_pathlist_hook = block_paths;
}
