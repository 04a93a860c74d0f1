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

Datum
pgllm_fn_llm_chat(PG_FUNCTION_ARGS)
{
	PgLlmGenerateArgs *args;
	PgLlmModel *model;
	PgLlmCall  *call;
	LlmStr		tools;
	Datum		result;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	args = pgllm_generate_args(fcinfo, &chat_argno);
	model = pgllm_model_use(PGLLM_ARG_TEXT_OR_NULL(chat_argno.model), PGLLM_KIND_GENERATE);
	if (!PG_ARGISNULL(1))
		tools = pgllm_to_utf8(PG_GETARG_TEXT_PP(1));
	call = pgllm_generate_chat(model, args, pgllm_to_utf8(PG_GETARG_TEXT_PP(0)), PG_ARGISNULL(1) ? NULL : &tools);
	result = pgllm_generate_row(fcinfo, call);
	pgllm_call_free(call);
	return result;
}
