/*
 * extract_call.c: the question that extraction asks, and its arguments.
 *
 * The prompt begins with what all rows share: the instruction, what the schema says in words, and examples. The row's text comes
 * last. Answers are greedy unless the option temperature says otherwise; then they are drawn with the option seed, or seed 0:
 * the same row always has the same answer.
 */
#include "extract_call.h"

#include "batch_scan/memo.h"
#include "choose/grammar.h"
#include "choose/schema_words.h"
#include "grammar_args.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

#define DEFAULT_MAX_TOKENS 512

static const char default_instruction[] = "Extract the data of each text.";
static const char examples_hint[] = "Examples are an array such as [{\"input\": \"Ann is 7.\", \"output\": {\"name\": \"Ann\", \"age\": 7}}].";

/* ---- instruction ---- */

/* the user's words, then what the schema says */
static LlmStr
make_instruction(const text *given, LlmStr schema)
{
	LlmStr		words = {default_instruction, sizeof default_instruction - 1};
	LlmBuf		buf;
	LlmError	err;

	if (given != NULL)
		words = pgllm_to_utf8(given);
	llm_buf_init(&buf, pgllm_allocator(CurrentMemoryContext));
	PGLLM_CHECK(llm_buf_append(&buf, words.data, words.len, &err), &err);
	PGLLM_CHECK(llm_buf_append(&buf, "\nAnswer with JSON: ", 19, &err), &err);
	PGLLM_CHECK(llm_schema_words(schema, buf.allocator, &buf, &err), &err);
	return (LlmStr) {buf.data, buf.len};
}

/* ---- examples ---- */

static void
bad_example(int no, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("example %d %s", no, what),
			 errhint("%s", examples_hint)));
}

/* a member of a JSON object as JSON, or as a text; NULL: there is none */
static text *
member(text *object, const char *name, bool as_text)
{
	LOCAL_FCINFO(fcinfo, 2);
	FmgrInfo	flinfo;
	Datum		result;

	fmgr_info(as_text ? F_JSON_OBJECT_FIELD_TEXT : F_JSON_OBJECT_FIELD, &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0] = (NullableDatum) {.value = PointerGetDatum(object)};
	fcinfo->args[1] = (NullableDatum) {.value = CStringGetTextDatum(name)};
	result = FunctionCallInvoke(fcinfo);
	return fcinfo->isnull ? NULL : DatumGetTextPP(result);
}

static const char *
json_type(text *json)
{
	return TextDatumGetCString(DirectFunctionCall1(json_typeof, PointerGetDatum(json)));
}

/* the output as answers are written; it must fit the schema, as else it teaches what cannot be answered */
static LlmStr
example_output(text *json, int no, LlmStr schema, bool compact)
{
	const LlmAllocator *a = pgllm_allocator(CurrentMemoryContext);
	LlmStr		output = pgllm_str_copy(pgllm_to_utf8(json));
	LlmBuf		buf;
	LlmError	err;

	llm_buf_init(&buf, a);
	PGLLM_CHECK(llm_json_dumps(output, compact, a, &buf, &err), &err);
	if (!pgllm_schema_fits(schema, output))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("output of example %d does not fit the schema", no),
				 errdetail("The schema is %s.", pgllm_message_from_utf8(pnstrdup(schema.data, schema.len))),
				 errhint("Give every key, null where the text says nothing.")));
	return (LlmStr) {buf.data, buf.len};
}

static void
parse_examples(text *json, LlmStr schema, bool compact, LlmLabelQuestion *question)
{
	LlmLabelExample *examples;
	int			n;

	if (strcmp(json_type(json), "array") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("examples must be a JSON array"),
				 errhint("%s", examples_hint)));
	n = DatumGetInt32(DirectFunctionCall1(json_array_length, PointerGetDatum(json)));
	examples = palloc0(sizeof(LlmLabelExample) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		text	   *example = DatumGetTextPP(DirectFunctionCall2(json_array_element, PointerGetDatum(json), Int32GetDatum(i)));
		text	   *input = NULL;
		text	   *output;

		CHECK_FOR_INTERRUPTS();
		if (strcmp(json_type(example), "object") != 0)
			bad_example(i + 1, "is not an object");
		output = member(example, "output", false);
		if (output == NULL)
			bad_example(i + 1, "has no \"output\"");
		input = member(example, "input", false);
		if (input == NULL || strcmp(json_type(input), "string") != 0)
			bad_example(i + 1, "has no \"input\" that is a string");
		examples[i].input = pgllm_str_copy(pgllm_to_utf8(member(example, "input", true)));
		examples[i].label = example_output(output, i + 1, schema, compact);
	}
	question->examples = examples;
	question->n_examples = n;
}

/* ---- the call ---- */

PgLlmExtraction *
pgllm_extraction_parse(FunctionCallInfo fcinfo, const PgLlmExtractArgno *argno, LlmStr schema)
{
	PgLlmExtraction *e = palloc0(sizeof(PgLlmExtraction));
	PgLlmOptions *options = &e->args.options;

	pgllm_options_parse(PG_ARGISNULL(argno->options) ? NULL : PG_GETARG_JSONB_P(argno->options),
						PGLLM_OPT_SAMPLING | PGLLM_OPT_PROMPT | PGLLM_OPT_EXTRACT, options);
	options->has_seed = true;
	options->max_tokens = PG_ARGISNULL(argno->max_tokens) ? DEFAULT_MAX_TOKENS : PG_GETARG_INT32(argno->max_tokens);
	pgllm_check_max_tokens(options);
	pgllm_set_schema(schema, options);
	e->schema = pgllm_key("schema", schema.data, schema.len);
	e->question = (LlmLabelQuestion) {.form = options->form, .input_name = {"Text", 4}, .label_name = {"JSON", 4}, .label_break = {"\n", 1},
		.answer_prefix = options->answer_prefix};
	e->question.instruction = make_instruction(PGLLM_ARG_TEXT_OR_NULL(argno->instruction), schema);
	if (!PG_ARGISNULL(argno->examples))
		parse_examples(PG_GETARG_TEXT_PP(argno->examples), schema, options->compact, &e->question);
	return e;
}

const PgLlmKey *
pgllm_extraction_schema(const void *parsed)
{
	return &((const PgLlmExtraction *) parsed)->schema;
}

void
pgllm_extraction_begin(PgLlmWork *work, const text *input)
{
	PgLlmExtraction *e = work->parsed;

	pgllm_work_add(work, pgllm_generate_answer_to(work->model, &e->args, &e->question, pgllm_to_utf8(input)));
}
