/*
 * fn_generate.c: llm_generate, llm_generate_detail, llm_complete: text from a model, one call per row.
 */
#include "generate_call.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_generate);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_generate_detail);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_complete);

/* (prompt, model, system, max_tokens, temperature, seed, stop, schema, options) */
static const PgLlmGenerateArgno generate_argno = {.model = 1, .system = 2, .max_tokens = 3, .temperature = 4, .seed = 5,
	.stop = 6, .schema = 7, .options = 8, .allowed = PGLLM_OPT_SAMPLING | PGLLM_OPT_PROMPT};

/* (prompt, model, max_tokens, temperature, seed, stop, schema, options) */
static const PgLlmGenerateArgno complete_argno = {.model = 1, .system = -1, .max_tokens = 2, .temperature = 3, .seed = 4,
	.stop = 5, .schema = 6, .options = 7, .allowed = PGLLM_OPT_SAMPLING | PGLLM_OPT_RAW};

/* the text of a begun call, or NULL by pg_llm.on_error */
static Datum
finish_text(FunctionCallInfo fcinfo, PgLlmCall *call)
{
	text	   *result = pgllm_generate_wait(call);

	if (pgllm_call_failed(call))
	{
		pgllm_call_free(call);
		PG_RETURN_NULL();
	}
	pgllm_call_free(call);
	PG_RETURN_TEXT_P(result);
}

Datum
pgllm_fn_llm_generate(PG_FUNCTION_ARGS)
{
	PgLlmGenerateArgs *args;
	PgLlmModel *model;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	args = pgllm_generate_args(fcinfo, &generate_argno);
	model = pgllm_model_use(PGLLM_ARG_TEXT_OR_NULL(generate_argno.model), PGLLM_KIND_GENERATE);
	return finish_text(fcinfo, pgllm_generate_turn(model, args, pgllm_to_utf8(PG_GETARG_TEXT_PP(0))));
}

Datum
pgllm_fn_llm_generate_detail(PG_FUNCTION_ARGS)
{
	PgLlmGenerateArgs *args;
	PgLlmModel *model;
	PgLlmCall  *call;
	Datum		result;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	args = pgllm_generate_args(fcinfo, &generate_argno);
	model = pgllm_model_use(PGLLM_ARG_TEXT_OR_NULL(generate_argno.model), PGLLM_KIND_GENERATE);
	call = pgllm_generate_turn(model, args, pgllm_to_utf8(PG_GETARG_TEXT_PP(0)));
	result = pgllm_generate_row(fcinfo, call);
	pgllm_call_free(call);
	return result;
}

Datum
pgllm_fn_llm_complete(PG_FUNCTION_ARGS)
{
	PgLlmGenerateArgs *args;
	PgLlmModel *model;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	args = pgllm_generate_args(fcinfo, &complete_argno);
	model = pgllm_model_use(PGLLM_ARG_TEXT_OR_NULL(complete_argno.model), PGLLM_KIND_GENERATE);
	return finish_text(fcinfo, pgllm_generate_raw(model, args, pgllm_to_utf8(PG_GETARG_TEXT_PP(0))));
}
