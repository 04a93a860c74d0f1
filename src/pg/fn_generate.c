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

#define GENERATE_SITE  0x1FC	/* all but prompt and model */
#define COMPLETE_SITE  0xFC

static void *
parse_generate(FunctionCallInfo fcinfo)
{
	return pgllm_generate_parse(fcinfo, &generate_argno);
}

static void *
parse_complete(FunctionCallInfo fcinfo)
{
	return pgllm_generate_parse(fcinfo, &complete_argno);
}

static void
begin_turn(FunctionCallInfo fcinfo, PgLlmWork *work)
{
	pgllm_work_add(work, pgllm_generate_turn(work->model, work->parsed, pgllm_to_utf8(PG_GETARG_TEXT_PP(0))));
}

static void
begin_raw(FunctionCallInfo fcinfo, PgLlmWork *work)
{
	pgllm_work_add(work, pgllm_generate_raw(work->model, work->parsed, pgllm_to_utf8(PG_GETARG_TEXT_PP(0))));
}

const PgLlmFunction pgllm_function_generate = {
	.symbol = "pgllm_fn_llm_generate",
	.model_arg = 1,
	.constant_args = GENERATE_SITE,
	.required_args = 1,
	.max_tokens_arg = 3,
	.shareable = true,
	.parse = parse_generate,
	.drawn = pgllm_generate_drawn,
	.begin = begin_turn,
	.answer = pgllm_generate_answer,
	.finish = pgllm_generate_finish_text,
};

const PgLlmFunction pgllm_function_generate_detail = {
	.symbol = "pgllm_fn_llm_generate_detail",
	.model_arg = 1,
	.constant_args = GENERATE_SITE,
	.required_args = 1,
	.max_tokens_arg = 3,
	.shareable = true,
	.parse = parse_generate,
	.drawn = pgllm_generate_drawn,
	.begin = begin_turn,
	.answer = pgllm_generate_answer,
	.finish = pgllm_generate_finish_row,
};

const PgLlmFunction pgllm_function_complete = {
	.symbol = "pgllm_fn_llm_complete",
	.model_arg = 1,
	.constant_args = COMPLETE_SITE,
	.required_args = 1,
	.max_tokens_arg = 2,
	.shareable = true,
	.parse = parse_complete,
	.drawn = pgllm_generate_drawn,
	.begin = begin_raw,
	.answer = pgllm_generate_answer,
	.finish = pgllm_generate_finish_text,
};

Datum
pgllm_fn_llm_generate(PG_FUNCTION_ARGS)
{
	return pgllm_function_call(fcinfo, &pgllm_function_generate);
}

Datum
pgllm_fn_llm_generate_detail(PG_FUNCTION_ARGS)
{
	return pgllm_function_call(fcinfo, &pgllm_function_generate_detail);
}

Datum
pgllm_fn_llm_complete(PG_FUNCTION_ARGS)
{
	return pgllm_function_call(fcinfo, &pgllm_function_complete);
}
