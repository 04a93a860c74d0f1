/*
 * fn_chat.c: llm_chat: a whole conversation as JSON through the model's own chat template; the answer as a row.
 *
 * Tools are given to the template, which shows them to the model in the way it was trained on. A template that shows no
 * tools is refused with an error instead of losing them. An answer that calls tools is then given as a message in JSON,
 * which can be appended to the conversation; its special tokens, which the text leaves out, say where calls are.
 */
#include "generate_call.h"
#include "text/tool_calls.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_chat);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_tool_calls);

/* (messages, tools, model, max_tokens, temperature, seed, stop, schema, options) */
static const PgLlmGenerateArgno chat_argno = {.model = 2, .system = -1, .max_tokens = 3, .temperature = 4, .seed = 5,
	.stop = 6, .schema = 7, .options = 8, .allowed = PGLLM_OPT_SAMPLING | PGLLM_OPT_PROMPT};

static text *
message_of(const char *answer, size_t len, const LlmAllocator *a)
{
	LlmBuf		message;
	LlmError	err;
	text	   *result = NULL;
	int			n_calls;

	llm_buf_init(&message, a);
	PGLLM_CHECK(llm_tool_calls_parse(answer, len, &message, &n_calls, &err), &err);
	if (n_calls > 0)
		result = pgllm_from_utf8(message.data, message.len);
	llm_buf_free(&message);
	return result;
}

text *
pgllm_chat_message(PgLlmCall *call, const LlmGeneration *generation)
{
	LlmBuf		answer;
	LlmError	err;
	text	   *message;

	llm_buf_init(&answer, call->allocator);
	PGLLM_CHECK(llm_detokenize(call->model->model->tokenizer, generation->tokens, generation->n_tokens, true, &answer, &err), &err);
	message = message_of(answer.data, answer.len, call->allocator);
	llm_buf_free(&answer);
	return message;
}

/* llm_tool_calls(answer): the message that a text stands for, NULL if it calls no tools */
Datum
pgllm_fn_llm_tool_calls(PG_FUNCTION_ARGS)
{
	LlmStr		answer = pgllm_to_utf8(PG_GETARG_TEXT_PP(0));
	text	   *message = message_of(answer.data, answer.len, pgllm_allocator(CurrentMemoryContext));

	if (message == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(message);
}

static void *
parse_chat(FunctionCallInfo fcinfo)
{
	return pgllm_generate_parse(fcinfo, &chat_argno);
}

static void
begin_chat(FunctionCallInfo fcinfo, PgLlmWork *work)
{
	PgLlmCall  *call;
	LlmStr		tools;

	if (!PG_ARGISNULL(1))
		tools = pgllm_to_utf8(PG_GETARG_TEXT_PP(1));
	call = pgllm_generate_chat(work->model, work->parsed, pgllm_to_utf8(PG_GETARG_TEXT_PP(0)), PG_ARGISNULL(1) ? NULL : &tools);
	/* a stop string cuts the text, and what is behind it is no part of the answer */
	call->reads_calls = !PG_ARGISNULL(1) && PG_ARGISNULL(chat_argno.stop);
	pgllm_work_add(work, call);
}

const PgLlmFunction pgllm_function_chat = {
	.symbol = "pgllm_fn_llm_chat",
	.model_arg = 2,
	.constant_args = 0x1F8,		/* all but messages, tools and model */
	.required_args = 1,
	.max_tokens_arg = 3,
	.shareable = true,
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
