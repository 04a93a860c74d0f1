/*
 * call_stats.h: what calls on models took, and what a statement may take.
 *
 * A call is counted once, when it is done or given up (llm_call.c), whoever made it: a batch node, a function alone, a
 * stream. Running totals of this process only grow; who wants to know what a piece of work took copies them before and
 * subtracts. Those of the statement begin anew with each statement of the client; all that a CALL or DO does is one
 * statement. The view llm_stat_calls has the same numbers by role, query, model and function (stat_table.h).
 */
#ifndef PGLLM_CALL_STATS_H
#define PGLLM_CALL_STATS_H

#include "llm_call.h"

typedef struct PgLlmTotals
{
	uint64		calls;			/* runs of a model: equal inputs that share one count once */
	uint64		rows;			/* answers that SQL got, shared ones too */
	uint64		errors;			/* calls that ended with a row's error */
	uint64		cache_hits;		/* answers from the shared result cache */
	uint64		prompt_tokens;
	uint64		cached_tokens;	/* of those, found in the prefix cache */
	uint64		output_tokens;
	uint64		us;				/* that the model computed */
} PgLlmTotals;

/* borrowed; go on changing */
extern const PgLlmTotals *pgllm_session_totals(void);
extern const PgLlmTotals *pgllm_statement_totals(void);

extern void pgllm_totals_add(PgLlmTotals *sum, const PgLlmTotals *more);

/* what a call has taken until now, its time left out */
extern void pgllm_call_taken(const PgLlmCall *call, PgLlmTotals *taken);

/*
 * Add what calls under way have taken that are past their prompts. How many calls that makes: an answer counts by its part of
 * the tokens that it may have.
 */
extern double pgllm_stats_under_way(PgLlmTotals *sum);

/*
 * SQL name of the function that calls from now on are made for, a string that stays; who makes calls says it before. Its
 * symbol in C is that name after "pgllm_fn_".
 */
extern void pgllm_stats_function(const char *name);
#define PGLLM_SYMBOL_NAME(symbol)  ((symbol) + strlen("pgllm_fn_"))

/* that function gave so many answers, of these some from the shared result cache */
extern void pgllm_stats_rows(const PgLlmModel *model, uint64 rows);
extern void pgllm_stats_cache_hit(const PgLlmModel *model);

/* ---- for llm_call.c ---- */

/* a call has a request from now on; raises if that is more than pg_llm.statement_token_limit allows */
extern void pgllm_stats_call_begin(PgLlmCall *call);

/* a step for a call took so long; raises if requests have now taken more than that */
extern void pgllm_stats_call_step(PgLlmCall *call, const instr_time *took);

/* a call is done or given up: count it, once */
extern void pgllm_stats_call_end(PgLlmCall *call);

/* a call is given up that ran for no statement: do not count it */
extern void pgllm_stats_call_forget(PgLlmCall *call);

/* ---- for module.c ---- */

/* requests are about to be freed with their schedulers */
extern void pgllm_stats_end_transaction(void);

/* hand over what was counted since the last time */
extern void pgllm_stats_flush(void);

#endif
