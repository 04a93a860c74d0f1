/*
 * batch_scan.h: the batch node, shared by its files. README.md explains how they work together.
 *
 * In the plan the node is a CustomScan with its child as outer plan. Its targetlist and qual are evaluated as in any scan,
 * over the child's columns (INDEX_VAR, described by custom_scan_tlist). What it computes ahead is in custom_exprs.
 */
#ifndef PGLLM_BATCH_SCAN_H
#define PGLLM_BATCH_SCAN_H

#include "batch_scan/memo.h"
#include "nodes/execnodes.h"
#include "nodes/extensible.h"
#include "nodes/plannodes.h"

/* ---- calls to be computed ahead (sites.c) ---- */

/*
 * One call in an expression: the call itself and the conditions under which it is reached, all of which must be true (a
 * list for ExecInitQual); of a call in FROM also the columns that the query names. As a node, so that plans can be copied: a list of these three.
 */
#define PGLLM_SITE_CALL(site)  linitial_node(FuncExpr, (List *) (site))
#define PGLLM_SITE_GUARDS(site)  ((List *) lsecond((List *) (site)))
#define PGLLM_SITE_COLUMNS(site)  ((RangeTblFunction *) lthird((List *) (site)))	/* NULL: none */

/* whether an expression has a call of one of our functions, sub-plans left out */
extern bool pgllm_has_call(Node *node);

/* whether it calls a volatile function that is not ours, or does something else that must not be done early or twice */
extern bool pgllm_has_volatile(Node *node);

/*
 * The calls in quals (which all must be true) and then in exprs, in the order of evaluation. What cannot be evaluated early
 * is left out. in_aggregates: only calls in arguments and filters of aggregates and window functions; else none of these.
 */
extern List *pgllm_sites(List *quals, List *exprs, bool in_aggregates, const Bitmapset *multiexpr_params);

/* parameters that sub-plans of UPDATE … SET (a, b) = (SELECT …) fill for each row */
extern Bitmapset *pgllm_multiexpr_params(Node *node, Bitmapset *params);

/* ---- evaluation that may raise (attempt.c) ---- */

/* whether an expression, or a list of them, is nothing but columns and constants */
extern bool pgllm_cannot_fail(Node *node);

/* run fn; false if it raised, of which nothing is left then. mode: of calls within (pgllm_ahead); NULL: they run as ever */
extern bool pgllm_attempt(void (*fn) (void *opaque), void *opaque, PgLlmAhead *mode);

/* ---- the node in a plan ---- */

/* custom_exprs is a list of three: sites, and of LIMIT above (NULL: none) count and offset */
#define PGLLM_SCAN_SITES(scan)  ((List *) linitial((scan)->custom_exprs))
#define PGLLM_SCAN_LIMIT(scan)  ((Expr *) lsecond((scan)->custom_exprs))
#define PGLLM_SCAN_OFFSET(scan)  ((Expr *) lthird((scan)->custom_exprs))

/*
 * custom_private is a list of four integers: all rows will be asked for if the plan runs to its end; calls may not be made;
 * how many joins filters of the node were moved above, and how many per mille of the rows these leave
 */
#define PGLLM_SCAN_ALL_ROWS(scan)  (intVal(linitial((scan)->custom_private)) != 0)
#define PGLLM_SCAN_UNCERTAIN(scan)  (intVal(lsecond((scan)->custom_private)) != 0)
#define PGLLM_SCAN_JOINS_PASSED(scan)  (intVal(lthird((scan)->custom_private)))
#define PGLLM_SCAN_PER_MILLE_KEPT(scan)  (intVal(lfourth((scan)->custom_private)))

extern const CustomScanMethods pgllm_batch_scan_methods;

/* put batch nodes into a finished plan that calls our functions, and leave all others as they are (rewrite.c) */
extern void pgllm_batch_plan(PlannedStmt *stmt, int cursor_options);

/* answer what the planner asks the support function; NULL: nothing is known (support.c) */
extern Node *pgllm_support_estimate(Node *request);

/* called once, when the library is loaded (exec.c) */
extern void pgllm_batch_init(void);

/* ---- the node in execution ---- */

typedef struct PgLlmSiteState
{
	FuncExpr   *call;
	const PgLlmFunction *function;
	List	   *guard_exprs;
	int			level;			/* calls of lower levels are done before */
	bool		simple;			/* nothing but columns and constants: evaluation cannot fail */
	Bitmapset  *exec_params;	/* that must have been computed */
	int			n_errors;		/* evaluations that raised */
	ExprState  *guards;			/* NULL: always reached */
	ExprState **args;
	FmgrInfo	flinfo;
	FunctionCallInfo fcinfo;
} PgLlmSiteState;

typedef struct PgLlmBatchStats
{
	uint64		rows;
	uint64		batches;
	uint64		largest;		/* rows of a batch */
	uint64		calls;
	uint64		inputs;			/* calls that the model ran for */
	uint64		shared_hits;	/* calls answered from the shared result cache */
	uint64		prompt_tokens;
	uint64		cached_tokens;	/* of those, found in the prefix cache */
	uint64		output_tokens;
	uint64		drafted_tokens;	/* guesses of next tokens, and those that were right */
	uint64		accepted_tokens;
	instr_time	fetch_time;		/* rows of the child */
	instr_time	prepare_time;	/* evaluation, rendering, tokenizing */
	instr_time	model_time;
} PgLlmBatchStats;

typedef struct PgLlmBatchState
{
	CustomScanState css;		/* first */
	int			n_sites;
	PgLlmSiteState *sites;
	int			max_level;
	ExprState  *limit;			/* NULL: none */
	ExprState  *offset;
	bool		all_rows;
	bool		uncertain;

	/* of this scan */
	bool		started;
	bool		batching;		/* settings as they were when it started */
	int			batch_tokens;
	int64		bound;			/* rows that will be asked for at most; -1: not known */
	int64		n_fetched;
	int64		n_expected;		/* rows that the planner expects; more if there were more */
	int64		next_rows;		/* size of the next batch */
	bool		child_done;

	/* the batch */
	Tuplestorestate *rows;
	TupleTableSlot *row_slot;	/* a row of them */
	MemoryContext batch_context;	/* shelf, and below it: */
	MemoryContext parsed_context;	/* constants of sites */
	MemoryContext chunk_context;	/* requests under way */
	PgLlmShelf *shelf;
	ExprContext *ahead_context; /* for evaluation ahead */
	PgLlmBatchStats stats;
} PgLlmBatchState;

/* sites for execution, by the node's sites in the plan (prefetch.c) */
extern void pgllm_prefetch_init(PgLlmBatchState *b, List *sites);

/* compute ahead for the rows in b->rows; their number */
extern void pgllm_prefetch(PgLlmBatchState *b, int64 n_rows);

/* make the scan slot hold a row */
extern void pgllm_batch_store_row(PgLlmBatchState *b, TupleTableSlot *row);

extern void pgllm_batch_explain(CustomScanState *node, List *ancestors, struct ExplainState *es);

/* tokens that a batch should have, so that the model's steps are full; rows at most */
#define PGLLM_BATCH_STEPS 16
#define PGLLM_BATCH_MAX_ROWS 1024

#endif
