/*
 * estimate.h: what a query would take, told without answering it (llm_estimate).
 *
 * While a sample of the query's rows is read, functions are called as ever, but run no model: their prompts are made, noted,
 * and given up.
 */
#ifndef PGLLM_ESTIMATE_H
#define PGLLM_ESTIMATE_H

#include "llm_function.h"
#include "nodes/plannodes.h"

/* a sample is being read: batch nodes pass rows on, and no model runs */
extern bool pgllm_estimating(void);

/* note a prepared call; a value that stands for its result. Ends the sample, by an error, when it is large enough. */
extern Datum pgllm_estimate_call(FunctionCallInfo fcinfo, const PgLlmFunction *function, const PgLlmPrepared *prepared);

/* ---- what is run of a query (estimate_query.c) ---- */

/* one statement of the caller, without what may have effects; raises if it is none that can be estimated */
extern Query *pgllm_estimate_analyze(const char *sql);

/* the part of its plan that reads */
extern PlannedStmt *pgllm_estimate_reading_part(const PlannedStmt *stmt);

pg_noreturn extern void pgllm_estimate_refuse(const char *message, const char *hint);

/* ---- calls in a plan (estimate_plan.c) ---- */

typedef struct PgLlmPlanCall
{
	FuncExpr   *call;
	const PgLlmFunction *function;
	double		rows;			/* that the planner expects to reach the expression */
	Plan	   *seen_at;		/* whose rows (of its own, or of its outer child) a sample counts for it; NULL: none */
	bool		emitted;		/* it is in the target list of seen_at, so a row counts when it has been left */
} PgLlmPlanCall;

/* all calls of a plan, a list of PgLlmPlanCall */
extern List *pgllm_plan_calls(PlannedStmt *stmt);

#endif
