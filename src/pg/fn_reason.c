/*
 * fn_reason.c: llm_reason: an answer to a question, by samples that reason and vote, with the trail of how it came about.
 */
#include "reason.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_reason);

#define ARG_QUESTION 0
#define ARG_MODEL 1
#define ARG_CONTEXT 2
#define ARG_SAMPLES 3
#define ARG_MAX_TOKENS 4
#define ARG_BUDGET 5
#define ARG_TEMPERATURE 6
#define ARG_SEED 7
#define ARG_SYSTEM 8
#define ARG_OPTIONS 9
#define REASON_SITE 0x3F8		/* all but question, model and context */

#define DEFAULT_SAMPLES 1
#define DEFAULT_MAX_TOKENS 512

void
pgllm_reason_samples(int samples, PgLlmReasonArgs *args)
{
	if (samples < 1 || samples > PGLLM_REASON_MAX_SAMPLES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("samples must be from 1 to %d, is %d", PGLLM_REASON_MAX_SAMPLES, samples),
				 errhint("More than a few samples seldom change a vote.")));
	args->samples = samples;
}

static void
parse_samples(FunctionCallInfo fcinfo, PgLlmReasonArgs *args)
{
	pgllm_reason_samples(PG_ARGISNULL(ARG_SAMPLES) ? DEFAULT_SAMPLES : PG_GETARG_INT32(ARG_SAMPLES), args);
	if (PG_ARGISNULL(ARG_BUDGET))
		return;
	if (PG_GETARG_INT32(ARG_BUDGET) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("think_budget must not be negative, is %d", PG_GETARG_INT32(ARG_BUDGET)),
				 errhint("0 ends the thinking part at once; leave it out to let the model think as long as max_tokens allows.")));
	args->has_budget = true;
	args->think_budget = (uint32_t) PG_GETARG_INT32(ARG_BUDGET);
}

static void *
parse(FunctionCallInfo fcinfo)
{
	PgLlmReasonArgs *args = palloc0(sizeof(PgLlmReasonArgs));
	PgLlmOptions *options = &args->generate.options;

	args->given = PG_ARGISNULL(ARG_OPTIONS) ? NULL : PG_GETARG_JSONB_P_COPY(ARG_OPTIONS);
	pgllm_options_parse(args->given, PGLLM_OPT_REASON | PGLLM_OPT_REASON_ROW, options);
	parse_samples(fcinfo, args);
	options->max_tokens = PG_ARGISNULL(ARG_MAX_TOKENS) ? DEFAULT_MAX_TOKENS : PG_GETARG_INT32(ARG_MAX_TOKENS);
	pgllm_check_max_tokens(options);
	if (!PG_ARGISNULL(ARG_TEMPERATURE))
		pgllm_parse_temperature(PG_GETARG_FLOAT8(ARG_TEMPERATURE), options);
	else if (args->samples > 1)
		options->sampling.temperature = PGLLM_REASON_TEMPERATURE;
	if (!PG_ARGISNULL(ARG_SEED))
	{
		options->has_seed = true;
		options->sampling.seed = (uint64_t) PG_GETARG_INT64(ARG_SEED);
	}
	if (!PG_ARGISNULL(ARG_SYSTEM))
	{
		args->generate.has_system = true;
		args->generate.system = pgllm_str_copy(pgllm_to_utf8(PG_GETARG_TEXT_PP(ARG_SYSTEM)));
	}
	return args;
}

LlmStr
pgllm_reason_instruction(const PgLlmOptions *options)
{
	static const char *const forms[LLM_ANSWER_KINDS] = {
		[LLM_ANSWER_AUTO] = "the answer",
		[LLM_ANSWER_TEXT] = "the answer",
		[LLM_ANSWER_NUMBER] = "a number",
		[LLM_ANSWER_DATE] = "a date as year-month-day",
		[LLM_ANSWER_CHOICE] = "one of these: ",
	};
	StringInfoData s;

	if (options->instruction.data != NULL)
		return options->instruction;
	initStringInfo(&s);
	appendStringInfo(&s, "Think step by step. End with a line that has \"Answer: \" and %s", forms[options->answer.kind]);
	for (int i = 0; i < options->answer.n_choices; i++)
	{
		appendStringInfoString(&s, i == 0 ? "" : ", ");
		appendBinaryStringInfo(&s, options->answer.choices[i].data, (int) options->answer.choices[i].len);
	}
	appendStringInfoChar(&s, '.');
	return (LlmStr) {s.data, (size_t) s.len};
}

/* the user turn: question and instruction, before them the text to read, which then is what may be cut */
static bool
build_prompt(FunctionCallInfo fcinfo, PgLlmCall *call, PgLlmReasonArgs *args, LlmTokens *prompt)
{
	LlmStr		question = pgllm_to_utf8(PG_GETARG_TEXT_PP(ARG_QUESTION));
	LlmStr		instruction = pgllm_reason_instruction(&args->generate.options);
	StringInfoData after;

	initStringInfo(&after);
	if (!PG_ARGISNULL(ARG_CONTEXT))
	{
		appendStringInfoString(&after, "\n\nQuestion: ");
		appendBinaryStringInfo(&after, question.data, (int) question.len);
	}
	if (instruction.len > 0)
	{
		appendStringInfoString(&after, "\n\n");
		appendBinaryStringInfo(&after, instruction.data, (int) instruction.len);
	}
	return pgllm_generate_prompt(call, &args->generate, (LlmStr) {"", 0},
								 PG_ARGISNULL(ARG_CONTEXT) ? question : pgllm_to_utf8(PG_GETARG_TEXT_PP(ARG_CONTEXT)),
								 (LlmStr) {after.data, (size_t) after.len}, prompt);
}

uint64
pgllm_reason_seed(const PgLlmReasonArgs *args)
{
	uint64		seed = args->generate.options.sampling.seed;

	if (pgllm_generate_drawn(&args->generate) && !pg_strong_random(&seed, sizeof seed))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a random seed"),
				 errhint("Give a seed.")));
	return seed;
}

static void
begin(FunctionCallInfo fcinfo, PgLlmWork *work)
{
	PgLlmReasonArgs *args = work->parsed;
	PgLlmCall  *call = pgllm_call_create(work->model);
	LlmTokens	prompt;

	(void) build_prompt(fcinfo, call, args, &prompt);
	pgllm_reason_begin(work, call, args, &prompt, pgllm_reason_seed(args));
}

static bool
drawn(const void *parsed)
{
	return pgllm_generate_drawn(&((const PgLlmReasonArgs *) parsed)->generate);
}

Datum
pgllm_reason_row(FunctionCallInfo fcinfo, const PgLlmModel *model, const PgLlmAnswer *answer, const PgLlmReasonTexts *texts)
{
	enum
	{
		ANSWER, VOTES, SAMPLES, CONFIDENCE, TRAIL, N_COLUMNS
	};
	const PgLlmReasonAnswer *data = (const PgLlmReasonAnswer *) answer->data;
	Datum		values[N_COLUMNS] = {0};
	bool		nulls[N_COLUMNS] = {false};
	Jsonb	   *body = PGLLM_REASON_BODY(data);
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != N_COLUMNS)
		elog(ERROR, "result must be llm_answer");
	nulls[ANSWER] = data->answer_bytes < 0;
	if (!nulls[ANSWER])
		values[ANSWER] = PointerGetDatum(cstring_to_text_with_len((const char *) data + data->answer_off, data->answer_bytes));
	values[VOTES] = Int32GetDatum(data->votes);
	values[SAMPLES] = Int32GetDatum(data->samples);
	values[CONFIDENCE] = Float8GetDatum((double) data->votes / data->samples);
	if (texts != NULL)
		body = pgllm_trail_with(body, "texts", psprintf("{\"rows\": " INT64_FORMAT ", \"parts\": " INT64_FORMAT ", \"digest\": \"%s\"}",
														texts->rows, texts->parts, pgllm_trail_hex(texts->digest, sizeof(PgLlmKey))));
	values[TRAIL] = JsonbPGetDatum(pgllm_trail_whole(body, model, model->name));
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

static Datum
finish(FunctionCallInfo fcinfo, const PgLlmPrepared *prepared, const PgLlmAnswer *answer)
{
	if (pgllm_answer_failed(answer))
		PG_RETURN_NULL();
	return pgllm_reason_row(fcinfo, prepared->model, answer, NULL);
}

const PgLlmFunction pgllm_function_reason = {
	.symbol = "pgllm_fn_llm_reason",
	.model_arg = ARG_MODEL,
	.constant_args = REASON_SITE,
	.required_args = 1 << ARG_QUESTION,
	.max_tokens_arg = ARG_MAX_TOKENS,
	.parse = parse,
	.drawn = drawn,
	.begin = begin,
	.more = pgllm_reason_more,
	.answer = pgllm_reason_answer,
	.finish = finish,
};

Datum
pgllm_fn_llm_reason(PG_FUNCTION_ARGS)
{
	return pgllm_function_call(fcinfo, &pgllm_function_reason);
}
