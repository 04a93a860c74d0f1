/*
 * fn_rewrite.c: llm_summarize, llm_translate: a text in other words. What is asked comes first in the prompt, so that rows share it.
 */
#include "generate_call.h"

#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_summarize);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_translate);

/* (input, max_words or to_language, model, max_tokens, options) */
#define ARG_INPUT 0
#define ARG_HOW 1
#define ARG_MODEL 2
#define ARG_MAX_TOKENS 3
#define ARG_OPTIONS 4
#define REWRITE_SITE 0x1A		/* all but input and model */
#define MAX_WORDS 10000

static PgLlmGenerateArgs *
parse(FunctionCallInfo fcinfo, const char *instruction)
{
	PgLlmGenerateArgs *args = palloc0(sizeof(PgLlmGenerateArgs));

	pgllm_options_parse(PG_ARGISNULL(ARG_OPTIONS) ? NULL : PG_GETARG_JSONB_P(ARG_OPTIONS), PGLLM_OPT_PROMPT, &args->options);
	if (!PG_ARGISNULL(ARG_MAX_TOKENS))
		args->options.max_tokens = PG_GETARG_INT32(ARG_MAX_TOKENS);
	if (args->options.max_tokens < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_tokens must be at least 1, is %d", args->options.max_tokens),
				 errhint("Leave it out for 256 tokens.")));
	args->before = pgllm_str_copy(pgllm_cstring_to_utf8(instruction));
	return args;
}

static void *
parse_summarize(FunctionCallInfo fcinfo)
{
	int			max_words = PG_GETARG_INT32(ARG_HOW);

	if (max_words < 1 || max_words > MAX_WORDS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_words must be from 1 to %d, is %d", MAX_WORDS, max_words),
				 errhint("It is what the model is asked for; max_tokens is what it cannot pass.")));
	return parse(fcinfo, psprintf("Summarize the following text in at most %d words. Answer with the summary only.\n\n", max_words));
}

static void *
parse_translate(FunctionCallInfo fcinfo)
{
	char	   *language = text_to_cstring(PG_GETARG_TEXT_PP(ARG_HOW));

	if (language[strspn(language, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("to_language is empty"),
				 errhint("Give the name of a language, such as 'German'.")));
	return parse(fcinfo, psprintf("Translate the following text to %s. Answer with the translation only.\n\n", language));
}

static void
begin(FunctionCallInfo fcinfo, PgLlmWork *work)
{
	pgllm_work_add(work, pgllm_generate_turn(work->model, work->parsed, pgllm_to_utf8(PG_GETARG_TEXT_PP(ARG_INPUT))));
}

const PgLlmFunction pgllm_function_summarize = {
	.symbol = "pgllm_fn_llm_summarize",
	.model_arg = ARG_MODEL,
	.constant_args = REWRITE_SITE,
	.required_args = (1 << ARG_INPUT) | (1 << ARG_HOW),
	.stable = true,
	.max_tokens_arg = ARG_MAX_TOKENS,
	.parse = parse_summarize,
	.begin = begin,
	.answer = pgllm_generate_answer,
	.finish = pgllm_generate_finish_text,
};

const PgLlmFunction pgllm_function_translate = {
	.symbol = "pgllm_fn_llm_translate",
	.model_arg = ARG_MODEL,
	.constant_args = REWRITE_SITE,
	.required_args = (1 << ARG_INPUT) | (1 << ARG_HOW),
	.stable = true,
	.max_tokens_arg = ARG_MAX_TOKENS,
	.parse = parse_translate,
	.begin = begin,
	.answer = pgllm_generate_answer,
	.finish = pgllm_generate_finish_text,
};

Datum
pgllm_fn_llm_summarize(PG_FUNCTION_ARGS)
{
	return pgllm_function_call(fcinfo, &pgllm_function_summarize);
}

Datum
pgllm_fn_llm_translate(PG_FUNCTION_ARGS)
{
	return pgllm_function_call(fcinfo, &pgllm_function_translate);
}
