/*
 * explain.c: what EXPLAIN says of a batch node: which calls it computes ahead with which models, and, after ANALYZE, of how
 * many rows, inputs and tokens, and where the time went.
 *
 * Inputs are calls that the model ran for: equal calls count once. Nothing here opens a model.
 */
#include "batch_scan/batch_scan.h"
#include "models.h"

#include PGLLM_EXPLAIN_HEADER
#include PGLLM_EXPLAIN_STATE_HEADER
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* the model that a call names, the default, or that it depends on the row */
static char *
model_of(const PgLlmSiteState *site)
{
	Node	   *arg = list_nth(site->call->args, site->function->model_arg);
	const char *setting;
	const char *name;

	if (!IsA(arg, Const))
		return "by row";
	if (!((Const *) arg)->constisnull)
		return TextDatumGetCString(((Const *) arg)->constvalue);
	name = pgllm_catalog_default(pgllm_function_kinds(site->function), &setting);
	return name[0] != '\0' ? pstrdup(name) : "none";
}

/* names with one more, unless it is there */
static List *
with_name(List *names, char *name)
{
	ListCell   *cell;

	foreach(cell, names)
		if (strcmp(lfirst(cell), name) == 0)
			return names;
	return lappend(names, name);
}

static void
explain_calls(const PgLlmBatchState *b, ExplainState *es)
{
	List	   *functions = NIL;
	List	   *models = NIL;

	for (int i = 0; i < b->n_sites; i++)
	{
		functions = with_name(functions, get_func_name(b->sites[i].call->funcid));
		models = with_name(models, model_of(&b->sites[i]));
	}
	ExplainPropertyList("Functions", functions, es);
	ExplainPropertyList("Models", models, es);
	ExplainPropertyInteger("Batch Tokens", NULL, (int64) pgllm_batch_tokens * PGLLM_BATCH_STEPS, es);
	if (pgllm_batching < (b->uncertain ? PGLLM_BATCHING_EAGER : PGLLM_BATCHING_ON))
		ExplainPropertyText("Batching", "off", es);
}

/* filters that moved above joins, and why */
static void
explain_deferred(const CustomScan *scan, ExplainState *es)
{
	int			joins = PGLLM_SCAN_JOINS_PASSED(scan);

	if (joins == 0)
		return;
	if (es->costs)
		ExplainPropertyText("Filter Deferred", psprintf("above %d join%s, which leave%s about %.1f %% of the rows", joins,
														joins == 1 ? "" : "s", joins == 1 ? "s" : "",
														PGLLM_SCAN_PER_MILLE_KEPT(scan) / 10.0), es);
	else
		ExplainPropertyText("Filter Deferred", psprintf("above %d join%s", joins, joins == 1 ? "" : "s"), es);
}

static void
explain_times(const PgLlmBatchStats *stats, ExplainState *es)
{
	double		seconds = INSTR_TIME_GET_DOUBLE(stats->model_time);
	uint64		tokens = stats->prompt_tokens - stats->cached_tokens + stats->output_tokens;

	if (seconds > 0)
		ExplainPropertyFloat("Tokens per Second", NULL, (double) tokens / seconds, 1, es);
	ExplainPropertyFloat("Fetch Time", "ms", INSTR_TIME_GET_MILLISEC(stats->fetch_time), 3, es);
	ExplainPropertyFloat("Prepare Time", "ms", INSTR_TIME_GET_MILLISEC(stats->prepare_time), 3, es);
	ExplainPropertyFloat("Model Time", "ms", INSTR_TIME_GET_MILLISEC(stats->model_time), 3, es);
}

void
pgllm_batch_explain(CustomScanState *node, List *ancestors, ExplainState *es)
{
	const PgLlmBatchState *b = (const PgLlmBatchState *) node;
	const PgLlmBatchStats *stats = &b->stats;

	explain_calls(b, es);
	explain_deferred((const CustomScan *) node->ss.ps.plan, es);
	if (!es->analyze || stats->batches == 0)
		return;
	ExplainPropertyInteger("Rows", NULL, (int64) stats->rows, es);
	ExplainPropertyInteger("Batches", NULL, (int64) stats->batches, es);
	ExplainPropertyInteger("Largest Batch", "rows", (int64) stats->largest, es);
	ExplainPropertyInteger("Calls", NULL, (int64) stats->calls, es);
	ExplainPropertyInteger("Distinct Inputs", NULL, (int64) stats->inputs, es);
	if (pgllm_result_cache == PGLLM_RESULTS_SHARED)
		ExplainPropertyInteger("Shared Results", NULL, (int64) stats->shared_hits, es);
	ExplainPropertyInteger("Prompt Tokens", NULL, (int64) stats->prompt_tokens, es);
	ExplainPropertyInteger("Cached Tokens", NULL, (int64) stats->cached_tokens, es);
	ExplainPropertyInteger("Output Tokens", NULL, (int64) stats->output_tokens, es);
	if (stats->drafted_tokens > 0)
	{
		ExplainPropertyInteger("Drafted Tokens", NULL, (int64) stats->drafted_tokens, es);
		ExplainPropertyInteger("Accepted Tokens", NULL, (int64) stats->accepted_tokens, es);
	}
	if (es->timing)
		explain_times(stats, es);
}
