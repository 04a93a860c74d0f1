/*
 * fn_filter.c: llm_filter, llm_score, llm_classify_multi: yes or no, as a decision or as a probability.
 *
 * Each question has the labels yes and no. P(yes) is compared with the threshold (at or above it is yes), or is the
 * result. The instructions are documented in docs/functions.md.
 */
#include "label_question.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_filter);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_score);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_classify_multi);

#define BIT(arg) (1u << (arg))

enum
{
	YES,
	NO,
	N_ANSWERS
};

static const LlmStr answers[N_ANSWERS] = {[YES] = {.data = "yes", .len = 3}, [NO] = {.data = "no", .len = 2}};

/* one condition, or one for each of several labels */
typedef struct YesNo
{
	PgLlmOptions options;
	double		threshold;
	int			n_questions;
	PgLlmQuestion **questions;	/* (n_questions) */
	Datum	   *labels;			/* (n_questions) text; llm_classify_multi only */
	PgLlmQuestion *by_similarity;	/* all labels in one question for models of kind embed; llm_classify_multi only */
} YesNo;

static void
append_str(StringInfo s, LlmStr str)
{
	appendBinaryStringInfo(s, str.data, (int) str.len);
}

static PgLlmQuestion *
yes_no_question(const PgLlmOptions *options, StringInfo instruction, const PgLlmExample *examples, int n_examples, int label)
{
	LlmLabelExample *asked = palloc(sizeof(LlmLabelExample) * Max(n_examples, 1));

	for (int i = 0; i < n_examples; i++)
	{
		int			answer = examples[i].applies == NULL ? examples[i].label : examples[i].applies[label] ? YES : NO;

		asked[i] = (LlmLabelExample) {.input = examples[i].input, .label = answers[answer]};
	}
	return pgllm_question_create(options, (LlmStr) {.data = instruction->data, .len = (size_t) instruction->len},
								 answers, N_ANSWERS, asked, n_examples, "Answer");
}

/* llm_filter and llm_score: one question */
static YesNo *
parse_condition(FunctionCallInfo fcinfo, int condition_argno, int examples_argno, int options_argno, int allowed)
{
	YesNo	   *y = palloc0(sizeof(YesNo));
	LlmStr		condition = pgllm_to_utf8(PG_GETARG_TEXT_PP(condition_argno));
	PgLlmExample *examples = NULL;
	int			n_examples = 0;
	StringInfoData instruction;

	pgllm_options_parse(PG_ARGISNULL(options_argno) ? NULL : PG_GETARG_JSONB_P(options_argno), allowed, &y->options);
	if (!PG_ARGISNULL(examples_argno))
		examples = pgllm_examples_parse(PG_GETARG_TEXT_PP(examples_argno), PGLLM_EXAMPLE_YES_NO, answers, N_ANSWERS, &n_examples);
	initStringInfo(&instruction);
	appendStringInfoString(&instruction, "Is this true of each text? Answer yes or no.\nCondition: ");
	append_str(&instruction, condition);
	y->n_questions = 1;
	y->questions = palloc(sizeof(PgLlmQuestion *));
	y->questions[0] = yes_no_question(&y->options, &instruction, examples, n_examples, 0);
	return y;
}

/* the labels to be compared with; an example is one of each label that applies to it */
static PgLlmQuestion *
similarity_question(const PgLlmOptions *options, const LlmStr *labels, int n_labels, const LlmStr *descriptions,
					const PgLlmExample *examples, int n_examples)
{
	LlmLabelExample *asked = palloc(sizeof(LlmLabelExample) * Max((size_t) n_examples * n_labels, 1));
	int			n = 0;
	PgLlmQuestion *question;

	for (int i = 0; i < n_examples; i++)
		for (int label = 0; label < n_labels; label++)
			if (examples[i].applies[label])
				asked[n++] = (LlmLabelExample) {.input = examples[i].input, .label = labels[label]};
	question = pgllm_question_create(options, (LlmStr) {.data = "", .len = 0}, labels, n_labels, asked, n, "Label");
	question->descriptions = descriptions;
	return question;
}

/* llm_classify_multi: one question per label */
static void *
parse_multi(FunctionCallInfo fcinfo)
{
	enum
	{
		LABELS = 1, THRESHOLD = 3, INSTRUCTION, DESCRIPTIONS, EXAMPLES, OPTIONS
	};
	YesNo	   *y = palloc0(sizeof(YesNo));
	LlmStr	   *labels;
	LlmStr	   *descriptions = NULL;
	PgLlmExample *examples = NULL;
	int			n_examples = 0;

	if (PG_ARGISNULL(LABELS))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("labels must not be NULL"),
				 errhint("Give an array such as '{delivery,price,quality}'.")));
	labels = pgllm_text_array(PG_GETARG_ARRAYTYPE_P(LABELS), "labels", &y->n_questions);
	pgllm_labels_check(labels, y->n_questions, 1, "labels");
	pgllm_options_parse(PG_ARGISNULL(OPTIONS) ? NULL : PG_GETARG_JSONB_P(OPTIONS), PGLLM_OPT_LABELS, &y->options);
	y->threshold = pgllm_fraction_arg(fcinfo, THRESHOLD, "threshold", 0.5);
	if (!PG_ARGISNULL(DESCRIPTIONS))
		descriptions = pgllm_descriptions_parse(PG_GETARG_TEXT_PP(DESCRIPTIONS), labels, y->n_questions);
	if (!PG_ARGISNULL(EXAMPLES))
		examples = pgllm_examples_parse(PG_GETARG_TEXT_PP(EXAMPLES), PGLLM_EXAMPLE_LABELS, labels, y->n_questions, &n_examples);
	y->questions = palloc(sizeof(PgLlmQuestion *) * y->n_questions);
	y->labels = palloc(sizeof(Datum) * y->n_questions);
	for (int i = 0; i < y->n_questions; i++)
	{
		StringInfoData instruction;

		initStringInfo(&instruction);
		if (!PG_ARGISNULL(INSTRUCTION))
		{
			append_str(&instruction, pgllm_to_utf8(PG_GETARG_TEXT_PP(INSTRUCTION)));
			appendStringInfoChar(&instruction, '\n');
		}
		appendStringInfoString(&instruction, "Does this label fit each text? Answer yes or no.\nLabel: ");
		append_str(&instruction, labels[i]);
		if (descriptions != NULL && descriptions[i].data != NULL)
		{
			appendStringInfoString(&instruction, ": ");
			append_str(&instruction, descriptions[i]);
		}
		y->questions[i] = yes_no_question(&y->options, &instruction, examples, n_examples, i);
		y->labels[i] = PointerGetDatum(pgllm_from_utf8(labels[i].data, labels[i].len));
	}
	y->by_similarity = similarity_question(&y->options, labels, y->n_questions, descriptions, examples, n_examples);
	y->by_similarity->has_instruction = !PG_ARGISNULL(INSTRUCTION);
	return y;
}

static void *
parse_filter(FunctionCallInfo fcinfo)
{
	YesNo	   *y = parse_condition(fcinfo, 1, 4, 5, PGLLM_OPT_LABELS | PGLLM_OPT_BLOCK);

	pgllm_check_blocking(&y->options);
	y->threshold = pgllm_fraction_arg(fcinfo, 3, "threshold", 0.5);
	return y;
}

static void *
parse_score(FunctionCallInfo fcinfo)
{
	return parse_condition(fcinfo, 1, 3, 4, PGLLM_OPT_LABELS);
}

static void
begin(FunctionCallInfo fcinfo, PgLlmWork *work)
{
	const YesNo *y = work->parsed;
	LlmStr		input = pgllm_to_utf8(PG_GETARG_TEXT_PP(0));

	if (work->model->kind == PGLLM_KIND_EMBED)
		pgllm_work_add(work, pgllm_question_begin(work->model, y->by_similarity, input));
	for (int i = 0; i < y->n_questions && work->model->kind != PGLLM_KIND_EMBED; i++)
		pgllm_work_add(work, pgllm_question_begin(work->model, y->questions[i], input));
}

/* P(yes) of each question, or the similarity to each label; the first error is the row's */
static PgLlmAnswer *
read_answer(PgLlmWork *work)
{
	const YesNo *y = work->parsed;
	PgLlmAnswer *answer;
	double	   *yes;

	for (int i = 0; i < work->n_calls; i++)
		if (work->calls[i]->error.status != LLM_OK)
			return pgllm_answer_create(0, &work->calls[i]->error);
	answer = pgllm_answer_create(sizeof(double) * y->n_questions, NULL);
	yes = (double *) answer->data;
	if (work->model->kind == PGLLM_KIND_EMBED)
	{
		pgllm_similarity_read(work->calls[0], y->by_similarity, yes);
		return answer;
	}
	for (int i = 0; i < y->n_questions; i++)
	{
		double		probabilities[N_ANSWERS];

		pgllm_question_read(work->calls[i], y->questions[i], probabilities);
		yes[i] = probabilities[YES];
	}
	return answer;
}

static Datum
finish_filter(FunctionCallInfo fcinfo, const PgLlmPrepared *prepared, const PgLlmAnswer *answer)
{
	const YesNo *y = prepared->parsed;

	if (pgllm_answer_failed(answer))
		PG_RETURN_NULL();
	PG_RETURN_BOOL(((const double *) answer->data)[0] >= y->threshold);
}

static Datum
finish_score(FunctionCallInfo fcinfo, const PgLlmPrepared *prepared, const PgLlmAnswer *answer)
{
	if (pgllm_answer_failed(answer))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(((const double *) answer->data)[0]);
}

/* the labels that fit, in the order given */
static Datum
finish_multi(FunctionCallInfo fcinfo, const PgLlmPrepared *prepared, const PgLlmAnswer *answer)
{
	const YesNo *y = prepared->parsed;
	const double *yes = (const double *) answer->data;
	Datum	   *fitting;
	int			n = 0;

	if (pgllm_answer_failed(answer))
		PG_RETURN_NULL();
	fitting = palloc(sizeof(Datum) * y->n_questions);
	for (int i = 0; i < y->n_questions; i++)
		if (yes[i] >= y->threshold)
			fitting[n++] = y->labels[i];
	PG_RETURN_ARRAYTYPE_P(construct_array(fitting, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* (input, condition, model, threshold, examples, options) */
const PgLlmFunction pgllm_function_filter = {
	.symbol = "pgllm_fn_llm_filter",
	.model_arg = 2,
	.constant_args = BIT(1) | BIT(3) | BIT(4) | BIT(5),
	.required_args = BIT(0) | BIT(1),
	.stable = true,
	.shareable = true,
	.parse = parse_filter,
	.begin = begin,
	.answer = read_answer,
	.finish = finish_filter,
};

/* (input, criterion, model, examples, options) */
const PgLlmFunction pgllm_function_score = {
	.symbol = "pgllm_fn_llm_score",
	.model_arg = 2,
	.constant_args = BIT(1) | BIT(3) | BIT(4),
	.required_args = BIT(0) | BIT(1),
	.stable = true,
	.shareable = true,
	.parse = parse_score,
	.begin = begin,
	.answer = read_answer,
	.finish = finish_score,
};

/* (input, labels, model, threshold, instruction, descriptions, examples, options) */
const PgLlmFunction pgllm_function_classify_multi = {
	.symbol = "pgllm_fn_llm_classify_multi",
	.model_arg = 2,
	.kinds = PGLLM_KIND_GENERATE | PGLLM_KIND_EMBED,
	.constant_args = BIT(1) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7),
	.required_args = BIT(0),
	.stable = true,
	.shareable = true,
	.parse = parse_multi,
	.begin = begin,
	.answer = read_answer,
	.finish = finish_multi,
};

Datum
pgllm_fn_llm_filter(PG_FUNCTION_ARGS)
{
	return pgllm_function_call(fcinfo, &pgllm_function_filter);
}

Datum
pgllm_fn_llm_score(PG_FUNCTION_ARGS)
{
	return pgllm_function_call(fcinfo, &pgllm_function_score);
}

Datum
pgllm_fn_llm_classify_multi(PG_FUNCTION_ARGS)
{
	return pgllm_function_call(fcinfo, &pgllm_function_classify_multi);
}
