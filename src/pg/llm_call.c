/*
 * llm_call.c: the life of a call's request in the model's scheduler.
 *
 * Requests of other calls (a stream half read, say) may be in the same scheduler; a step serves them too, but nobody waits
 * for more than the own request. A call's memory is one context; the request hangs on it, so an ERROR frees both.
 */
#include "call_stats.h"
#include "estimate.h"

#include "miscadmin.h"
#include "utils/memutils.h"

PgLlmCall *
pgllm_call_create(PgLlmModel *model)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_llm call", ALLOCSET_DEFAULT_SIZES);
	PgLlmCall  *call = MemoryContextAllocZero(context, sizeof(PgLlmCall));

	call->context = context;
	call->allocator = pgllm_allocator(context);
	call->model = model;
	INSTR_TIME_SET_CURRENT(call->begun);
	return call;
}

void
pgllm_call_set_request(PgLlmCall *call, LlmRequest *request)
{
	call->request = request;
	pgllm_request_own(call->context, request);
	pgllm_stats_call_begin(call);
}

/* one step of the scheduler, on the time of the call */
static void
model_step(PgLlmCall *call, bool *more)
{
	instr_time	begun;
	instr_time	took;

	if (pgllm_estimating())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("llm_estimate() cannot tell what this query takes"),
				 errdetail("A function in it runs a model for other than the rows of the query."),
				 errhint("Estimate the query without that function.")));
	INSTR_TIME_SET_CURRENT(begun);
	pgllm_model_step(call->model, more);
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, begun);
	pgllm_stats_call_step(call, &took);
}

/* true while the request is not done; an error of its own is kept in the call */
static bool
step(PgLlmCall *call)
{
	LlmFinish	finish;
	bool		more;

	if (call->request == NULL)
	{
		pgllm_stats_call_end(call);
		return false;
	}
	if (llm_request_finish(call->request) == LLM_FINISH_NONE)
	{
		model_step(call, &more);
		if (!more && llm_request_finish(call->request) == LLM_FINISH_NONE)
			elog(ERROR, "scheduler stopped before the request was done");
	}
	finish = llm_request_finish(call->request);
	if (finish == LLM_FINISH_ERROR)
	{
		/* no finite logits: this row's numbers; anything else (memory, say) is not about the row */
		call->error = *llm_request_error(call->request);
		call->not_the_rows = call->error.status != LLM_E_FORMAT;
		/* the runtime knows no settings */
		if (call->error.status == LLM_E_LIMIT)
			llm_error_hint(&call->error,
						   "Give a shorter prompt or a smaller max_tokens, or ask a superuser to raise pg_llm.memory_limit.");
	}
	if (finish != LLM_FINISH_NONE)
		pgllm_stats_call_end(call);
	return finish == LLM_FINISH_NONE;
}

bool
pgllm_call_step(PgLlmCall *call)
{
	bool		more = step(call);

	if (call->not_the_rows)
		pgllm_raise(&call->error);
	return more;
}

void
pgllm_call_wait(PgLlmCall *call)
{
	while (pgllm_call_step(call))
		continue;
}

void
pgllm_call_settle(PgLlmCall *call)
{
	while (step(call))
		continue;
}

static uint64 tokens_spent = 0;

uint64
pgllm_tokens_spent(void)
{
	return tokens_spent;
}

void
pgllm_call_free(PgLlmCall *call)
{
	if (call->request != NULL)
	{
		LlmGeneration generation = {0};

		if (call->max_output > 0)
			llm_request_generation(call->request, &generation);
		tokens_spent += call->n_prompt + generation.n_tokens;
	}
	MemoryContextDelete(call->context);
}

bool
pgllm_call_failed(const PgLlmCall *call)
{
	return call->error.status != LLM_OK && pgllm_row_error(&call->error);
}
