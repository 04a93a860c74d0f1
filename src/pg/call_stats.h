/*
 * call_stats.h: what calls on models took: running totals of this process.
 *
 * A call is counted once, when it is done (llm_call.c), whoever made it: a batch node, a function alone, a stream. Totals
 * only grow; who wants to know what a piece of work took copies them before and subtracts. Those of the statement begin
 * anew with each statement of the client; all that a CALL or DO does is one statement.
 */
#ifndef PGLLM_CALL_STATS_H
#define PGLLM_CALL_STATS_H

#include "llm_call.h"

typedef struct PgLlmTotals
{
	uint64		calls;			/* runs of a model: equal inputs that share one count once */
	uint64		errors;			/* of those, that ended with a row's error */
	uint64		prompt_tokens;
	uint64		cached_tokens;	/* of those, found in the prefix cache */
	uint64		output_tokens;
} PgLlmTotals;

/* borrowed; go on changing */
extern const PgLlmTotals *pgllm_session_totals(void);
extern const PgLlmTotals *pgllm_statement_totals(void);

/* a call is done: count it, once */
extern void pgllm_stats_call_done(PgLlmCall *call);

#endif
