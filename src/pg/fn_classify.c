/*
 * fn_classify.c: llm_classify, llm_classify_probs, llm_classify_enum: which of several labels a text has.
 *
 * The instruction, when none is given, is "Classify each text as one of: a, b, c."; each description is a line "label:
 * text" after it.
 */
#include "enum_labels.h"
#include "label_question.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_classify);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_classify_probs);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_classify_enum);

/* where the functions have their arguments; input is 0, labels or the enum is 1, model is 2 */
enum
{
	ARG_INPUT = 0,
	ARG_LABELS = 1,
	ARG_MODEL = 2,
	ARG_INSTRUCTION = 3,
	ARG_DESCRIPTIONS = 4,
	ARG_EXAMPLES = 5,
	ARG_MIN_CONFIDENCE = 6,
	ARG_OPTIONS = 7,
	ARG_PROBS_OPTIONS = 6		/* llm_classify_probs has no min_confidence */
};

#define BIT(arg) (1u << (arg))
#define QUESTION_ARGS (BIT(ARG_INSTRUCTION) | BIT(ARG_DESCRIPTIONS) | BIT(ARG_EXAMPLES))

typedef struct Classification
{
	PgLlmOptions options;
	PgLlmQuestion *question;
	double		min_confidence;
	int			n_labels;
	LlmStr	   *labels;
	Datum	   *results;		/* (n_labels) text, or the enum's values */
	bool		by_value;
} Classification;

/* "Classify each text as one of: a, b, c.", or the user's; and a line for each description */
static LlmStr
make_instruction(const text *given, const LlmStr *labels, int n_labels, const LlmStr *descriptions)
{
	StringInfoData s;

	initStringInfo(&s);
	if (given != NULL)
	{
		LlmStr		utf8 = pgllm_to_utf8(given);

		appendBinaryStringInfo(&s, utf8.data, (int) utf8.len);
	}
	else
	{
		appendStringInfoString(&s, "Classify each text as one of: ");
		for (int i = 0; i < n_labels; i++)
		{
			if (i > 0)
				appendStringInfoString(&s, ", ");
			appendBinaryStringInfo(&s, labels[i].data, (int) labels[i].len);
		}
		appendStringInfoChar(&s, '.');
	}
	for (int i = 0; descriptions != NULL && i < n_labels; i++)
	{
		if (descriptions[i].data == NULL)
			continue;
		appendStringInfoChar(&s, '\n');
		appendBinaryStringInfo(&s, labels[i].data, (int) labels[i].len);
		appendStringInfoString(&s, ": ");
		appendBinaryStringInfo(&s, descriptions[i].data, (int) descriptions[i].len);
	}
	return (LlmStr) {.data = s.data, .len = (size_t) s.len};
}

/* enum type of argument ARG_LABELS */
static Oid
enum_argument(FunctionCallInfo fcinfo)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, ARG_LABELS);

	if (!OidIsValid(type))
		elog(ERROR, "could not determine the type of argument \"kind\"");
	if (!type_is_enum(type))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("type %s is not an enum", format_type_be(type)),
				 errhint("Give a NULL of an enum type, such as NULL::ticket_kind, or use llm_classify() with an array of labels.")));
	return type;
}

/* what is common: question from instruction, descriptions, examples and options */
static void
parse_question(FunctionCallInfo fcinfo, int options_argno, Classification *c)
{
	PgLlmExample *examples = NULL;
	LlmLabelExample *asked;
	LlmStr	   *descriptions = NULL;
	int			n_examples = 0;

	pgllm_labels_check(c->labels, c->n_labels, 2, "labels");
	pgllm_options_parse(PG_ARGISNULL(options_argno) ? NULL : PG_GETARG_JSONB_P(options_argno), PGLLM_OPT_LABELS, &c->options);
	if (!PG_ARGISNULL(ARG_DESCRIPTIONS))
		descriptions = pgllm_descriptions_parse(PG_GETARG_TEXT_PP(ARG_DESCRIPTIONS), c->labels, c->n_labels);
	if (!PG_ARGISNULL(ARG_EXAMPLES))
		examples = pgllm_examples_parse(PG_GETARG_TEXT_PP(ARG_EXAMPLES), PGLLM_EXAMPLE_LABEL, c->labels, c->n_labels, &n_examples);
	asked = palloc(sizeof(LlmLabelExample) * Max(n_examples, 1));
	for (int i = 0; i < n_examples; i++)
		asked[i] = (LlmLabelExample) {.input = examples[i].input, .label = c->labels[examples[i].label]};
	c->question = pgllm_question_create(&c->options,
										make_instruction(PGLLM_ARG_TEXT_OR_NULL(ARG_INSTRUCTION), c->labels, c->n_labels, descriptions),
										c->labels, c->n_labels, asked, n_examples, "Label");
	c->question->has_instruction = !PG_ARGISNULL(ARG_INSTRUCTION);
	c->question->descriptions = descriptions;
}

static Classification *
parse_labels(FunctionCallInfo fcinfo, int options_argno)
{
	Classification *c = palloc0(sizeof(Classification));

	if (PG_ARGISNULL(ARG_LABELS))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("labels must not be NULL"),
				 errhint("Give an array such as '{positive,negative}'.")));
	c->labels = pgllm_text_array(PG_GETARG_ARRAYTYPE_P(ARG_LABELS), "labels", &c->n_labels);
	parse_question(fcinfo, options_argno, c);
	c->results = palloc(sizeof(Datum) * c->n_labels);
	for (int i = 0; i < c->n_labels; i++)
		c->results[i] = PointerGetDatum(pgllm_from_utf8(c->labels[i].data, c->labels[i].len));
	return c;
}

static void *
parse_enum(FunctionCallInfo fcinfo)
{
	Classification *c = palloc0(sizeof(Classification));
	Oid			type = enum_argument(fcinfo);
	Oid			input_function;
	Oid			io_param;
	char	  **names;

	names = pgllm_enum_labels(type, &c->n_labels);
	c->labels = palloc(sizeof(LlmStr) * Max(c->n_labels, 1));
	for (int i = 0; i < c->n_labels; i++)
		c->labels[i] = pgllm_str_copy(pgllm_cstring_to_utf8(names[i]));
	parse_question(fcinfo, ARG_OPTIONS, c);
	c->min_confidence = pgllm_fraction_arg(fcinfo, ARG_MIN_CONFIDENCE, "min_confidence", 0);
	c->by_value = true;			/* as all enums */
	getTypeInputInfo(type, &input_function, &io_param);
	c->results = palloc(sizeof(Datum) * c->n_labels);
	for (int i = 0; i < c->n_labels; i++)
		c->results[i] = OidInputFunctionCall(input_function,
											 text_to_cstring(pgllm_from_utf8(c->labels[i].data, c->labels[i].len)), io_param, -1);
	return c;
}

static void *
parse_classify(FunctionCallInfo fcinfo)
{
	Classification *c = parse_labels(fcinfo, ARG_OPTIONS);

	c->min_confidence = pgllm_fraction_arg(fcinfo, ARG_MIN_CONFIDENCE, "min_confidence", 0);
	return c;
}

static void *
parse_probs(FunctionCallInfo fcinfo)
{
	return parse_labels(fcinfo, ARG_PROBS_OPTIONS);
}

static void
begin(FunctionCallInfo fcinfo, PgLlmWork *work)
{
	const Classification *c = work->parsed;

	pgllm_work_add(work, pgllm_question_begin(work->model, c->question, pgllm_to_utf8(PG_GETARG_TEXT_PP(ARG_INPUT))));
}

/* the probabilities of the labels */
static PgLlmAnswer *
read_answer(PgLlmWork *work)
{
	const Classification *c = work->parsed;
	PgLlmAnswer *answer = pgllm_answer_create(sizeof(double) * c->n_labels, &work->calls[0]->error);

	if (pgllm_answer_error(answer) == NULL)
		pgllm_question_read(work->calls[0], c->question, (double *) answer->data);
	return answer;
}

/* the likeliest label, the first of equals; -1 if the row becomes NULL */
static int
best_label(const Classification *c, const PgLlmAnswer *answer)
{
	const double *probabilities = (const double *) answer->data;
	int			best = 0;

	if (pgllm_answer_failed(answer))
		return -1;
	for (int i = 1; i < c->n_labels; i++)
		if (probabilities[i] > probabilities[best])
			best = i;
	return probabilities[best] < c->min_confidence ? -1 : best;
}

static Datum
finish_label(FunctionCallInfo fcinfo, const PgLlmPrepared *prepared, const PgLlmAnswer *answer)
{
	const Classification *c = prepared->parsed;
	int			best = best_label(c, answer);

	if (best < 0)
		PG_RETURN_NULL();
	return c->by_value ? c->results[best] : datumCopy(c->results[best], false, -1);
}

/* a row per label, in the order given */
static Datum
finish_rows(FunctionCallInfo fcinfo, const PgLlmPrepared *prepared, const PgLlmAnswer *answer)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const Classification *c = prepared->parsed;
	const double *probabilities = (const double *) answer->data;

	if (pgllm_answer_failed(answer))
		return (Datum) 0;
	for (int i = 0; i < c->n_labels; i++)
	{
		Datum		values[2] = {c->results[i], Float8GetDatum(probabilities[i])};
		bool		nulls[2] = {false, false};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

const PgLlmFunction pgllm_function_classify = {
	.symbol = "pgllm_fn_llm_classify",
	.model_arg = ARG_MODEL,
	.kinds = PGLLM_KIND_GENERATE | PGLLM_KIND_EMBED,
	.constant_args = BIT(ARG_LABELS) | QUESTION_ARGS | BIT(ARG_MIN_CONFIDENCE) | BIT(ARG_OPTIONS),
	.required_args = BIT(ARG_INPUT),
	.stable = true,
	.shareable = true,
	.parse = parse_classify,
	.begin = begin,
	.answer = read_answer,
	.finish = finish_label,
};

const PgLlmFunction pgllm_function_classify_enum = {
	.symbol = "pgllm_fn_llm_classify_enum",
	.model_arg = ARG_MODEL,
	.kinds = PGLLM_KIND_GENERATE | PGLLM_KIND_EMBED,
	.constant_args = QUESTION_ARGS | BIT(ARG_MIN_CONFIDENCE) | BIT(ARG_OPTIONS),
	.required_args = BIT(ARG_INPUT),
	.stable = true,
	.parse = parse_enum,
	.begin = begin,
	.answer = read_answer,
	.finish = finish_label,
};

const PgLlmFunction pgllm_function_classify_probs = {
	.symbol = "pgllm_fn_llm_classify_probs",
	.model_arg = ARG_MODEL,
	.kinds = PGLLM_KIND_GENERATE | PGLLM_KIND_EMBED,
	.constant_args = BIT(ARG_LABELS) | QUESTION_ARGS | BIT(ARG_PROBS_OPTIONS),
	.required_args = BIT(ARG_INPUT),
	.rows_arg = ARG_LABELS,
	.shareable = true,
	.parse = parse_probs,
	.begin = begin,
	.answer = read_answer,
	.finish = finish_rows,
};

Datum
pgllm_fn_llm_classify(PG_FUNCTION_ARGS)
{
	return pgllm_function_call(fcinfo, &pgllm_function_classify);
}

Datum
pgllm_fn_llm_classify_enum(PG_FUNCTION_ARGS)
{
	return pgllm_function_call(fcinfo, &pgllm_function_classify_enum);
}

/* (input, labels, model, instruction, descriptions, examples, options) */
Datum
pgllm_fn_llm_classify_probs(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	return pgllm_function_call(fcinfo, &pgllm_function_classify_probs);
}
