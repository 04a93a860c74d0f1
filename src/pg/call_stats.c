/*
 * call_stats.c: counting what calls on models took, and ending statements that would take too much.
 *
 * Calls with a request are in a list from begin to end. A call that is given up (an error, a closed cursor) leaves it by the
 * reset of its memory context; then it is counted with what it took so far. What was counted waits in a small array, by
 * role, query, model and function, until it is handed over to the table of statistics.
 */
#include "call_stats.h"
#include "estimate.h"

#include "models.h"
#include "progress.h"
#include "stat_table.h"

#include "miscadmin.h"
#include "utils/backend_status.h"

static PgLlmTotals session;
static PgLlmTotals statement;
static uint64 statement_id = 0; /* that statement's totals are of */
static const char *current_function = "";
static dlist_head live_calls = DLIST_STATIC_INIT(live_calls);

#define MAX_PENDING 16

static PgLlmStatEntry pending[MAX_PENDING];
static int	n_pending = 0;

/* ---- totals ---- */

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

void
pgllm_totals_add(PgLlmTotals *sum, const PgLlmTotals *more)
{
	sum->calls += more->calls;
	sum->rows += more->rows;
	sum->errors += more->errors;
	sum->cache_hits += more->cache_hits;
	sum->prompt_tokens += more->prompt_tokens;
	sum->cached_tokens += more->cached_tokens;
	sum->output_tokens += more->output_tokens;
	sum->us += more->us;
}

/* ---- by role, query, model and function ---- */

static void
key_fill(PgLlmStatKey *key, const PgLlmModel *model, const char *function)
{
	memset(key, 0, sizeof *key);
	key->query_id = (uint64) pgstat_get_my_query_id();
	key->role = GetUserId();
	key->database = MyDatabaseId;
	strlcpy(key->model, model->name, sizeof key->model);
	strlcpy(key->function, function, sizeof key->function);
}

static void
count(const PgLlmModel *model, const char *function, const PgLlmTotals *more)
{
	PgLlmStatKey key;
	int			i = 0;

	pgllm_totals_add(&session, more);
	pgllm_totals_add(current_statement(), more);
	key_fill(&key, model, function);
	while (i < n_pending && memcmp(&pending[i].key, &key, sizeof key) != 0)
		i++;
	if (i == MAX_PENDING)
	{
		pgllm_stats_flush();
		i = 0;
	}
	if (i == n_pending)
	{
		pending[i].key = key;
		memset(&pending[i].totals, 0, sizeof pending[i].totals);
		n_pending++;
	}
	pgllm_totals_add(&pending[i].totals, more);
}

void
pgllm_stats_flush(void)
{
	int			n = n_pending;

	n_pending = 0;
	if (n > 0)
		pgllm_stat_table_add(pending, n);
}

void
pgllm_stats_function(const char *name)
{
	current_function = name;
}

void
pgllm_stats_rows(const PgLlmModel *model, uint64 rows)
{
	PgLlmTotals more = {.rows = rows};

	count(model, current_function, &more);
}

void
pgllm_stats_cache_hit(const PgLlmModel *model)
{
	PgLlmTotals more = {.cache_hits = 1};

	count(model, current_function, &more);
}

/* ---- calls ---- */

void
pgllm_call_taken(const PgLlmCall *call, PgLlmTotals *taken)
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

double
pgllm_stats_under_way(PgLlmTotals *sum)
{
	double		n_calls = 0;
	dlist_iter	it;

	dlist_foreach(it, &live_calls)
	{
		const PgLlmCall *call = dlist_container(PgLlmCall, stats.node, it.cur);
		const bool	done = call->request != NULL && llm_request_finish(call->request) != LLM_FINISH_NONE;
		PgLlmTotals taken;

		pgllm_call_taken(call, &taken);
		if (!done && taken.output_tokens == 0)
			continue;
		n_calls += done ? 1 : Min((double) taken.output_tokens / call->max_output, 1);
		pgllm_totals_add(sum, &taken);
	}
	return n_calls;
}

/* prompts and answers of the statement, of calls under way too; how far their prompts are does not matter */
static uint64
statement_tokens(void)
{
	const PgLlmTotals *done = current_statement();
	uint64		sum = done->prompt_tokens + done->output_tokens;
	dlist_iter	it;

	dlist_foreach(it, &live_calls)
	{
		PgLlmTotals taken;

		pgllm_call_taken(dlist_container(PgLlmCall, stats.node, it.cur), &taken);
		sum += taken.prompt_tokens + taken.output_tokens;
	}
	return sum;
}

/* more: tokens that are about to be taken */
static void
check_limit(uint64 more)
{
	uint64		tokens;

	if (pgllm_statement_token_limit == 0 || pgllm_estimating())
		return;
	tokens = statement_tokens();
	if (tokens + more <= (uint64) pgllm_statement_token_limit)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("statement needs more tokens than pg_llm.statement_token_limit allows"),
			 more > 0 ? errdetail("Prompts and answers have taken %llu tokens, the next needs %llu, the limit is %d.",
								  (unsigned long long) tokens, (unsigned long long) more, pgllm_statement_token_limit) :
			 errdetail("Prompts and answers have taken %llu tokens, the limit is %d.", (unsigned long long) tokens,
					   pgllm_statement_token_limit),
			 errhint("Let the statement work on fewer rows, or ask a superuser to raise the limit; llm_estimate() tells what a query needs.")));
}

static void
call_context_reset(void *call)
{
	pgllm_stats_call_end(call);
}

void
pgllm_stats_call_begin(PgLlmCall *call)
{
	/* its request is not in the list, so its prompt comes on top */
	check_limit(call->n_prompt);
	call->stats.function = current_function;
	call->stats.live = true;
	dlist_push_tail(&live_calls, &call->stats.node);
	call->stats.callback.func = call_context_reset;
	call->stats.callback.arg = call;
	MemoryContextRegisterResetCallback(call->context, &call->stats.callback);
}

void
pgllm_stats_call_step(PgLlmCall *call, const instr_time *took)
{
	call->stats.us += INSTR_TIME_GET_MICROSEC(*took);
	pgllm_progress_tick(call->model->name, call->stats.function);
	check_limit(0);
}

void
pgllm_stats_call_end(PgLlmCall *call)
{
	PgLlmTotals taken;

	if (call->stats.counted)
		return;
	call->stats.counted = true;
	if (call->stats.live)
		dlist_delete(&call->stats.node);
	pgllm_call_taken(call, &taken);
	taken.calls = 1;
	taken.errors = call->error.status != LLM_OK;
	taken.us = call->stats.us;
	count(call->model, call->stats.live ? call->stats.function : current_function, &taken);
	call->stats.live = false;
}

void
pgllm_stats_call_forget(PgLlmCall *call)
{
	if (call->stats.live)
		dlist_delete(&call->stats.node);
	call->stats.live = false;
	call->stats.counted = true;
}

void
pgllm_stats_end_transaction(void)
{
	dlist_mutable_iter it;

	dlist_foreach_modify(it, &live_calls)
		pgllm_stats_call_end(dlist_container(PgLlmCall, stats.node, it.cur));
	pgllm_stats_flush();
}
