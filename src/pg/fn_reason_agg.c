/*
 * fn_reason_agg.c: llm_reason_agg: an answer that is reasoned out from all rows of a group.
 *
 * Rows that fit one prompt are what llm_reason gets as its context. Else the model notes what in each chunk of them matters for
 * the question, and reasons over the notes. A row is a text as its type prints it; a composite value is JSON.
 */
#include "aggregate/aggregate.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_reason_agg_add);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_reason_agg_answer);

/* (state, input, question, model, samples, max_tokens, options), as far as they are given */
enum
{
	ARG_STATE,
	ARG_INPUT,
	ARG_QUESTION,
	ARG_MODEL,
	ARG_SAMPLES,
	ARG_MAX_TOKENS,
	ARG_OPTIONS
};

#define HAS_ARG(n)  ((n) < PG_NARGS() && !PG_ARGISNULL(n))

#define DEFAULT_MAX_TOKENS 512

static LlmStr
row_text(FunctionCallInfo fcinfo)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, ARG_INPUT);
	Datum		value = PG_GETARG_DATUM(ARG_INPUT);
	Oid			output;
	bool		is_varlena;

	if (type == TEXTOID)
		return pgllm_to_utf8(DatumGetTextPP(value));
	if (type_is_rowtype(type))
		return pgllm_to_utf8(DatumGetTextPP(DirectFunctionCall1(row_to_json, value)));
	getTypeOutputInfo(type, &output, &is_varlena);
	return pgllm_cstring_to_utf8(OidOutputFunctionCall(output, value));
}

/* how the last answer is reasoned out */
static PgLlmReasonArgs *
parse_reason(FunctionCallInfo fcinfo)
{
	PgLlmReasonArgs *args = palloc0(sizeof *args);
	PgLlmOptions *options = &args->generate.options;
	Jsonb	   *given = HAS_ARG(ARG_OPTIONS) ? PG_GETARG_JSONB_P_COPY(ARG_OPTIONS) : NULL;

	args->given = given;
	pgllm_options_parse(given, PGLLM_OPT_REASON | PGLLM_OPT_REASON_GROUP | PGLLM_OPT_AGGREGATE, options);
	pgllm_reason_samples(HAS_ARG(ARG_SAMPLES) ? PG_GETARG_INT32(ARG_SAMPLES) : 1, args);
	options->max_tokens = HAS_ARG(ARG_MAX_TOKENS) ? PG_GETARG_INT32(ARG_MAX_TOKENS) : DEFAULT_MAX_TOKENS;
	pgllm_check_max_tokens(options);
	options->truncate = PGLLM_TRUNCATE_ERROR;	/* what does not fit becomes another chunk */
	if (args->samples > 1 && (given == NULL || pgllm_trail_field(&given->root, "temperature") == NULL))
		options->sampling.temperature = PGLLM_REASON_TEMPERATURE;
	args->has_budget = options->think_budget >= 0;
	args->think_budget = args->has_budget ? (uint32_t) options->think_budget : 0;
	return args;
}

static LlmStr
words(const char *format, const char *question)
{
	return pgllm_str_copy(pgllm_cstring_to_utf8(psprintf(format, question)));
}

static void
ask(FunctionCallInfo fcinfo, PgLlmQuestion *question)
{
	char	   *q = text_to_cstring(PG_GETARG_TEXT_PP(ARG_QUESTION));
	LlmStr		instruction;

	if (q[strspn(q, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("question is empty"),
				 errhint("Ask what all rows of the group together answer, such as 'Which part breaks most often?'.")));
	question->function = "llm_reason_agg";
	if (HAS_ARG(ARG_MODEL))
		question->model = PG_GETARG_TEXT_P_COPY(ARG_MODEL);
	question->reason = parse_reason(fcinfo);
	/* notes are greedy, and bound to nothing but their length */
	pgllm_options_parse(NULL, PGLLM_OPT_AGGREGATE, &question->args.options);
	question->args.options.max_tokens = question->reason->generate.options.max_tokens;
	question->args.options.chunk_tokens = question->reason->generate.options.chunk_tokens;
	question->args.options.template_kwargs = question->reason->generate.options.template_kwargs;
	question->args.options.truncate = PGLLM_TRUNCATE_ERROR;
	question->of_texts = words("Question: %s\n\nNote in a few words what in the following texts helps to answer it, with numbers and names. "
							   "Do not answer it yet.\n\n", q);
	question->of_parts = words("Question: %s\n\nPut the following notes together in one short note, with all numbers and names that help to "
							   "answer it. Do not answer it yet.\n\n", q);
	question->last_of_parts = words("%s", "These notes were taken from many texts.\n\n");
	instruction = pgllm_reason_instruction(&question->reason->generate.options);
	question->last_after = words("\n\nQuestion: %s", q);
	if (instruction.len > 0)
		question->last_after = pgllm_str_copy((LlmStr) {
			.data = psprintf("%s\n\n%.*s", question->last_after.data, (int) instruction.len, instruction.data),
			.len = question->last_after.len + 2 + instruction.len});
}

Datum
pgllm_fn_llm_reason_agg_add(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(ARG_INPUT) || PG_ARGISNULL(ARG_QUESTION) || pgllm_ahead != NULL)
		return pgllm_aggregate_skip(fcinfo);
	return pgllm_aggregate_add(fcinfo, row_text(fcinfo), ask);
}

Datum
pgllm_fn_llm_reason_agg_answer(PG_FUNCTION_ARGS)
{
	PgLlmGroup *group = pgllm_aggregate_finish(fcinfo);
	PgLlmReasonTexts texts;

	if (group == NULL)
		PG_RETURN_NULL();
	texts = (PgLlmReasonTexts) {.rows = group->n_texts, .parts = group->n_parts, .digest = group->digest.digest};
	return pgllm_reason_row(fcinfo, pgllm_model_use(group->question.model, PGLLM_KIND_GENERATE), group->reasoned, &texts);
}
