/*
 * call_stats.c: counting what calls on models took.
 */
#include "call_stats.h"
#include "models.h"

static PgLlmTotals session;
static PgLlmTotals statement;
static uint64 statement_id = 0; /* that statement's totals are of */

/* totals of the client's statement as it is now */
static PgLlmTotals *
current_statement(void)
{
	if (statement_id != pgllm_statement_id())
	{
		statement_id = pgllm_statement_id();
		memset(&statement, 0, sizeof statement);
	}
	return &statement;
}

const PgLlmTotals *
pgllm_session_totals(void)
{
	return &session;
}

const PgLlmTotals *
pgllm_statement_totals(void)
{
	return current_statement();
}

static void
add(PgLlmTotals *sum, const PgLlmTotals *more)
{
	sum->calls += more->calls;
	sum->errors += more->errors;
	sum->prompt_tokens += more->prompt_tokens;
	sum->cached_tokens += more->cached_tokens;
	sum->output_tokens += more->output_tokens;
}

/* what a call has taken so far */
static void
taken_by(const PgLlmCall *call, PgLlmTotals *taken)
{
	LlmGeneration generation;

	memset(taken, 0, sizeof *taken);
	if (call->request == NULL)
		return;
	taken->prompt_tokens = call->n_prompt;
	taken->cached_tokens = llm_request_cached_tokens(call->request);
	if (call->max_output == 0)
		return;
	llm_request_generation(call->request, &generation);
	taken->output_tokens = generation.n_tokens;
}

void
pgllm_stats_call_done(PgLlmCall *call)
{
	PgLlmTotals taken;

	if (call->counted)
		return;
	call->counted = true;
	taken_by(call, &taken);
	taken.calls = 1;
	taken.errors = call->error.status != LLM_OK;
	add(&session, &taken);
	add(current_statement(), &taken);
}
