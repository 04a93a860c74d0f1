/*
 * fn_aggregate.c: llm_agg, llm_summarize_agg: one answer of a model to all texts of a group.
 *
 * The state is a PgLlmGroup (aggregate/aggregate.h). What the group is asked is taken from its first row that counts.
 */
#include "aggregate/aggregate.h"
#include "call_stats.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_agg_add);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_summarize_agg_add);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_agg_answer);

/* (state, input, …); after the arguments of the aggregate's own (model, max_tokens, options), as far as there are any */
#define ARG_STATE 0
#define ARG_INPUT 1
#define ARG_INSTRUCTION 2		/* of llm_agg */

#define HAS_ARG(n)  ((n) < PG_NARGS() && !PG_ARGISNULL(n))

/* raises outside of an aggregate */
static MemoryContext
aggregation_context(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "function was called outside of an aggregate");
	return context;
}

/* the arguments after the first ones, in the aggregation's memory */
static void
parse_question(FunctionCallInfo fcinfo, int first, PgLlmQuestion *question)
{
	PgLlmOptions *options = &question->args.options;

	if (HAS_ARG(first))
		question->model = PG_GETARG_TEXT_P_COPY(first);
	pgllm_options_parse(HAS_ARG(first + 2) ? PG_GETARG_JSONB_P(first + 2) : NULL, PGLLM_OPT_AGGREGATE, options);
	if (HAS_ARG(first + 1))
		options->max_tokens = PG_GETARG_INT32(first + 1);
	pgllm_check_max_tokens(options);
	options->truncate = PGLLM_TRUNCATE_ERROR;	/* what does not fit becomes another chunk */
}

static void
ask_instruction(FunctionCallInfo fcinfo, PgLlmQuestion *question)
{
	char	   *instruction = text_to_cstring(PG_GETARG_TEXT_PP(ARG_INSTRUCTION));

	if (instruction[strspn(instruction, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("instruction is empty"),
				 errhint("Say what the model is to make of the texts, such as 'List the complaints in these reviews.'.")));
	question->function = "llm_agg";
	question->of_texts = pgllm_str_copy(pgllm_cstring_to_utf8(psprintf("%s\n\n", instruction)));
	question->of_parts = pgllm_str_copy(pgllm_cstring_to_utf8(psprintf(
		"The texts were too many to be read at once. Below are the answers that parts of them gave to this request:\n\n"
		"%s\n\nCombine them into one answer to the request.\n\n", instruction)));
	parse_question(fcinfo, ARG_INSTRUCTION + 1, question);
}

static void
ask_summary(FunctionCallInfo fcinfo, PgLlmQuestion *question)
{
	question->function = "llm_summarize_agg";
	question->of_texts = pgllm_str_copy(pgllm_cstring_to_utf8(
		"Summarize the following texts together in one short paragraph. Answer with the summary only.\n\n"));
	question->of_parts = pgllm_str_copy(pgllm_cstring_to_utf8(
		"Combine the following summaries into one short paragraph. Answer with the summary only.\n\n"));
	parse_question(fcinfo, ARG_INPUT + 1, question);
}

Datum
pgllm_aggregate_add(FunctionCallInfo fcinfo, LlmStr text, PgLlmAskFn ask)
{
	MemoryContext context = aggregation_context(fcinfo);
	PgLlmGroup *group = PG_ARGISNULL(ARG_STATE) ? NULL : (PgLlmGroup *) PG_GETARG_POINTER(ARG_STATE);
	bool		is_new = group == NULL;
	PgLlmModel *model;

	if (is_new)
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		group = pgllm_group_create(context);
		ask(fcinfo, &group->question);
		MemoryContextSwitchTo(old);
	}
	model = pgllm_model_use(group->question.model, PGLLM_KIND_GENERATE);
	if (is_new)
		pgllm_tree_begin(group, model);
	pgllm_tree_add_text(group, model, text);
	pgllm_batch_run_if_full(group->batch);
	if (group->error.status != LLM_OK && pgllm_on_error == PGLLM_ON_ERROR_ERROR)
		(void) pgllm_row_error(&group->error);
	PG_RETURN_POINTER(group);
}

Datum
pgllm_aggregate_skip(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(ARG_STATE))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(PG_GETARG_DATUM(ARG_STATE));
}

/* (state, input, instruction, model, max_tokens, options) */
Datum
pgllm_fn_llm_agg_add(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(ARG_INPUT) || PG_ARGISNULL(ARG_INSTRUCTION) || pgllm_ahead != NULL)
		return pgllm_aggregate_skip(fcinfo);
	return pgllm_aggregate_add(fcinfo, pgllm_to_utf8(PG_GETARG_TEXT_PP(ARG_INPUT)), ask_instruction);
}

/* (state, input, model, max_tokens, options) */
Datum
pgllm_fn_llm_summarize_agg_add(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(ARG_INPUT) || pgllm_ahead != NULL)
		return pgllm_aggregate_skip(fcinfo);
	return pgllm_aggregate_add(fcinfo, pgllm_to_utf8(PG_GETARG_TEXT_PP(ARG_INPUT)), ask_summary);
}

PgLlmGroup *
pgllm_aggregate_finish(FunctionCallInfo fcinfo)
{
	PgLlmGroup *group;

	(void) aggregation_context(fcinfo);
	if (pgllm_ahead != NULL)
	{
		pgllm_ahead->missing = true;
		return NULL;
	}
	if (PG_ARGISNULL(ARG_STATE))
		return NULL;
	group = (PgLlmGroup *) PG_GETARG_POINTER(ARG_STATE);
	pgllm_group_finish(group);
	pgllm_group_close(group);
	pgllm_stats_function(group->question.function);
	pgllm_stats_rows(pgllm_model_use(group->question.model, PGLLM_KIND_GENERATE), 1);
	if (group->error.status != LLM_OK && pgllm_row_error(&group->error))
		return NULL;
	return group;
}

Datum
pgllm_fn_llm_agg_answer(PG_FUNCTION_ARGS)
{
	PgLlmGroup *group = pgllm_aggregate_finish(fcinfo);

	if (group == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(group->answer);
}
