/*
 * generate_args.c: arguments of the generating functions: ranges, stop strings, options, and what this version cannot do.
 *
 * An argument given as NULL takes its default, so that a caller can pass through what it may not have.
 */
#include "generate_call.h"
#include "grammar_args.h"

#include "utils/array.h"
#include "utils/builtins.h"

#define MAX_STOP_STRINGS 16

static void
parse_stop(ArrayType *array, PgLlmOptions *options)
{
	options->stop = pgllm_text_array(array, "stop", &options->n_stop);
	if (options->n_stop > MAX_STOP_STRINGS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("stop has %d strings, at most %d are allowed", options->n_stop, MAX_STOP_STRINGS),
				 errhint("Cut the answer in SQL instead, for example with split_part().")));
	for (int i = 0; i < options->n_stop; i++)
		if (options->stop[i].len == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("stop must not contain an empty string, but element %d is", i + 1),
					 errhint("Leave stop out to generate until the model ends its answer.")));
}

void
pgllm_parse_temperature(float8 temperature, PgLlmOptions *options)
{
	if (!(temperature >= 0 && temperature <= PGLLM_MAX_TEMPERATURE))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("temperature must be from 0 to %d, is %g", PGLLM_MAX_TEMPERATURE, temperature),
				 errhint("0 always takes the most likely token; 1 draws by the model's own probabilities.")));
	options->sampling.temperature = (float) temperature;
}

void
pgllm_check_max_tokens(const PgLlmOptions *options)
{
	if (options->max_tokens < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_tokens must be at least 1, is %d", options->max_tokens),
				 errhint("To look at a prompt without generating, use llm_count_tokens().")));
}

PgLlmGenerateArgs *
pgllm_generate_parse(FunctionCallInfo fcinfo, const PgLlmGenerateArgno *argno)
{
	PgLlmGenerateArgs *args = palloc0(sizeof(PgLlmGenerateArgs));

	pgllm_options_parse(PG_ARGISNULL(argno->options) ? NULL : PG_GETARG_JSONB_P(argno->options), argno->allowed, &args->options);
	if (!PG_ARGISNULL(argno->schema))
		pgllm_read_schema(PG_GETARG_TEXT_PP(argno->schema), &args->options);
	if (argno->system >= 0 && !PG_ARGISNULL(argno->system))
	{
		args->has_system = true;
		args->system = pgllm_str_copy(pgllm_to_utf8(PG_GETARG_TEXT_PP(argno->system)));
	}
	if (!PG_ARGISNULL(argno->max_tokens))
		args->options.max_tokens = PG_GETARG_INT32(argno->max_tokens);
	pgllm_check_max_tokens(&args->options);
	if (!PG_ARGISNULL(argno->temperature))
		pgllm_parse_temperature(PG_GETARG_FLOAT8(argno->temperature), &args->options);
	if (!PG_ARGISNULL(argno->seed))
	{
		args->options.has_seed = true;
		args->options.sampling.seed = (uint64_t) PG_GETARG_INT64(argno->seed);
	}
	if (!PG_ARGISNULL(argno->stop))
		parse_stop(PG_GETARG_ARRAYTYPE_P(argno->stop), &args->options);
	return args;
}

bool
pgllm_generate_drawn(const void *parsed)
{
	const PgLlmOptions *options = &((const PgLlmGenerateArgs *) parsed)->options;

	return options->sampling.temperature > 0 && !options->has_seed;
}
