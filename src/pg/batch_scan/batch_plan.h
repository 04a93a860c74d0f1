/*
 * batch_plan.h: inside of the rewriting of plans: splitting a plan node in two, and making batch nodes.
 */
#ifndef PGLLM_BATCH_PLAN_H
#define PGLLM_BATCH_PLAN_H

#include "batch_scan/batch_scan.h"

/* how the rows of a plan node are asked for */
typedef struct PgLlmFlow
{
	bool		all_rows;		/* all of them, if the statement runs to its end */
	Expr	   *limit;			/* at most so many after offset; NULL: not known */
	Expr	   *offset;
	bool		uncertain;		/* calls for them may not be made: computed ahead only if pg_llm.batching says so */
} PgLlmFlow;

/* filters that were moved to a join (defer.c) */
typedef struct PgLlmDeferred
{
	Plan	   *plan;
	int			n_joins;		/* that they passed */
	double		kept;			/* the part of the rows that the joins leave, by the planner's estimate */
} PgLlmDeferred;

typedef struct PgLlmRewrite
{
	PlannedStmt *stmt;
	List	   *deferred;		/* of PgLlmDeferred * */
	Bitmapset  *multiexpr_params;
	int			last_node_id;
} PgLlmRewrite;

/* ---- making nodes (split.c) ---- */

/*
 * A plan node in two: what it computes from columns, aggregates and window results (tlist and quals, over INDEX_VAR), and
 * these themselves (leaves), which are all that remains for it to return.
 */
typedef struct PgLlmSplit
{
	List	   *tlist;
	List	   *quals;
	List	   *leaves;			/* of TargetEntry */
	List	   *kept_quals;
	List	   *kept_joinquals;
} PgLlmSplit;

/* false if it is a node that cannot be split, or has no calls */
extern bool pgllm_split(Plan *plan, PgLlmSplit *split);
extern void pgllm_split_apply(Plan *plan, const PgLlmSplit *split);

/* the calls of a split that depend on its leaves */
extern List *pgllm_split_sites(const PgLlmRewrite *r, const PgLlmSplit *split);

/* a batch node that evaluates a split above its plan node */
extern Plan *pgllm_batch_node_above(PgLlmRewrite *r, Plan *plan, const PgLlmSplit *split, List *sites, PgLlmFlow flow);

/* a batch node that hands on the rows of a child, for calls above it */
extern Plan *pgllm_batch_node_below(PgLlmRewrite *r, Plan *child, List *sites, PgLlmFlow flow);

/* calls whose columns are all those of varno, over INDEX_VAR; others are left out */
extern List *pgllm_sites_of(List *sites, int varno);

/*
 * Whether rows can be taken from a plan before they are needed: nothing in it has effects that are seen. With a split
 * that is to be applied, only what stays in the node counts.
 */
extern bool pgllm_may_run_ahead(Plan *plan, const PgLlmSplit *split);

/* an expression over columns of leaves (INDEX_VAR); columns that they lack are added */
extern Node *pgllm_over_leaves(Node *node, List **leaves);

/* ---- Append and MergeAppend (append.c) ---- */

/* a batch node above one whose children compute the same; NULL: none is above, though there may be some below */
extern Plan *pgllm_rewrite_append(PgLlmRewrite *r, Plan *append, PgLlmFlow flow);

extern List *pgllm_append_children(const Plan *plan);
extern List *pgllm_append_columns(List *child_columns);

/* ---- walking plans (plan_walk.c) ---- */
typedef Plan *(*PgLlmPlanFn) (Plan *child, Plan *parent, void *context);

extern bool pgllm_is_join(const Plan *plan);

/* put in place of each child what fn returns for it */
extern void pgllm_plan_map(Plan *plan, PgLlmPlanFn fn, void *context);

/* ---- numbers of rows (row_counts.c) ---- */

/* rows of the table that a scan reads, by the catalog; -1: not known */
extern double pgllm_table_rows(const PlannedStmt *stmt, const Plan *scan);

/* rows of a node without some of its conditions */
extern double pgllm_rows_without(const PlannedStmt *stmt, const Plan *plan, List *quals, List *kept_quals);

/* ---- filters above joins (defer.c) ---- */

/* move filters with calls to joins that leave fewer rows; notes them in r->deferred */
extern void pgllm_defer_filters(PgLlmRewrite *r, Plan *plan);

/* whether a statement has row security or a security barrier view */
extern bool pgllm_has_security_barrier(const PlannedStmt *stmt);

/* ---- JIT (jit_flags.c) ---- */

/* take back JIT that only the cost of calls on models brought about */
extern void pgllm_recompute_jit(PlannedStmt *stmt);

#endif
