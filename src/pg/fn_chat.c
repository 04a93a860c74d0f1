/*
 * fn_chat.c: llm_chat: a whole conversation as JSON through the model's own chat template; the answer as a row.
 *
 * Tools are given to the template, which shows them to the model in the way it was trained on; calls that the model makes
 * are in the answer's text. A template that shows no tools is refused with an error instead of losing them.
 */
#include "generate_call.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_chat);

/* (messages, tools, model, max_tokens, temperature, seed, stop, schema, options) */
static const PgLlmGenerateArgno chat_argno = {.model = 2, .system = -1, .max_tokens = 3, .temperature = 4, .seed = 5,
	.stop = 6, .schema = 7, .options = 8, .allowed = PGLLM_OPT_SAMPLING | PGLLM_OPT_PROMPT};

static void *
parse_chat(FunctionCallInfo fcinfo)
{
	return pgllm_generate_parse(fcinfo, &chat_argno);
}

static void
begin_chat(FunctionCallInfo fcinfo, PgLlmWork *work)
{
	LlmStr		tools;

	if (!PG_ARGISNULL(1))
		tools = pgllm_to_utf8(PG_GETARG_TEXT_PP(1));
	pgllm_work_add(work, pgllm_generate_chat(work->model, work->parsed, pgllm_to_utf8(PG_GETARG_TEXT_PP(0)),
											 PG_ARGISNULL(1) ? NULL : &tools));
}

const PgLlmFunction pgllm_function_chat = {
	.symbol = "pgllm_fn_llm_chat",
	.model_arg = 2,
	.constant_args = 0x1F8,		/* all but messages, tools and model */
	.required_args = 1,
	.parse = parse_chat,
	.drawn = pgllm_generate_drawn,
	.begin = begin_chat,
	.answer = pgllm_generate_answer,
	.finish = pgllm_generate_finish_row,
};

Datum
pgllm_fn_llm_chat(PG_FUNCTION_ARGS)
{
	return pgllm_function_call(fcinfo, &pgllm_function_chat);
}
