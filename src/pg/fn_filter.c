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
parse_condition(FunctionCallInfo fcinfo, int condition_argno, int examples_argno, int options_argno)
{
	YesNo	   *y = palloc0(sizeof(YesNo));
	LlmStr		condition = pgllm_to_utf8(PG_GETARG_TEXT_PP(condition_argno));
	PgLlmExample *examples = NULL;
	int			n_examples = 0;
	StringInfoData instruction;

	pgllm_options_parse(PG_ARGISNULL(options_argno) ? NULL : PG_GETARG_JSONB_P(options_argno), PGLLM_OPT_LABELS, &y->options);
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

/* llm_classify_multi: one question per label */
static YesNo *
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
	return y;
}

/* P(yes) of each question for the row, or NULL if the row becomes NULL */
static double *
ask(PgLlmModel *model, YesNo *y, LlmStr input)
{
	PgLlmCall **calls = palloc(sizeof(PgLlmCall *) * y->n_questions);
	double	   *yes = palloc(sizeof(double) * y->n_questions);
	bool		failed = false;

	for (int i = 0; i < y->n_questions; i++)
		calls[i] = pgllm_question_begin(model, y->questions[i], input);
	for (int i = 0; i < y->n_questions; i++)
	{
		double		probabilities[N_ANSWERS];

		if (failed)
			pgllm_call_free(calls[i]);	/* the row is counted once */
		else
			failed = !pgllm_question_finish(calls[i], y->questions[i], probabilities);
		yes[i] = failed ? 0 : probabilities[YES];
	}
	pfree(calls);
	return failed ? NULL : yes;
}

/* (input, condition, model, threshold, examples, options) */
Datum
pgllm_fn_llm_filter(PG_FUNCTION_ARGS)
{
	PgLlmSite  *site;
	double	   *yes;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || pgllm_planner_evaluates())
		PG_RETURN_NULL();
	site = pgllm_site(fcinfo, BIT(1) | BIT(3) | BIT(4) | BIT(5));
	if (site->parsed == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(site->context);
		YesNo	   *y = parse_condition(fcinfo, 1, 4, 5);

		y->threshold = pgllm_fraction_arg(fcinfo, 3, "threshold", 0.5);
		site->parsed = y;
		MemoryContextSwitchTo(old);
	}
	yes = ask(pgllm_model_use(PGLLM_ARG_TEXT_OR_NULL(2), PGLLM_KIND_GENERATE), site->parsed,
			  pgllm_to_utf8(PG_GETARG_TEXT_PP(0)));
	if (yes == NULL)
		PG_RETURN_NULL();
	PG_RETURN_BOOL(yes[0] >= ((YesNo *) site->parsed)->threshold);
}

/* (input, criterion, model, examples, options) */
Datum
pgllm_fn_llm_score(PG_FUNCTION_ARGS)
{
	PgLlmSite  *site;
	double	   *yes;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || pgllm_planner_evaluates())
		PG_RETURN_NULL();
	site = pgllm_site(fcinfo, BIT(1) | BIT(3) | BIT(4));
	if (site->parsed == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(site->context);

		site->parsed = parse_condition(fcinfo, 1, 3, 4);
		MemoryContextSwitchTo(old);
	}
	yes = ask(pgllm_model_use(PGLLM_ARG_TEXT_OR_NULL(2), PGLLM_KIND_GENERATE), site->parsed,
			  pgllm_to_utf8(PG_GETARG_TEXT_PP(0)));
	if (yes == NULL)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(yes[0]);
}

/* (input, labels, model, threshold, instruction, descriptions, examples, options): the labels that fit, in the order given */
Datum
pgllm_fn_llm_classify_multi(PG_FUNCTION_ARGS)
{
	PgLlmSite  *site;
	YesNo	   *y;
	double	   *yes;
	Datum	   *fitting;
	int			n = 0;

	if (PG_ARGISNULL(0) || pgllm_planner_evaluates())
		PG_RETURN_NULL();
	site = pgllm_site(fcinfo, BIT(1) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7));
	if (site->parsed == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(site->context);

		site->parsed = parse_multi(fcinfo);
		MemoryContextSwitchTo(old);
	}
	y = site->parsed;
	yes = ask(pgllm_model_use(PGLLM_ARG_TEXT_OR_NULL(2), PGLLM_KIND_GENERATE), y, pgllm_to_utf8(PG_GETARG_TEXT_PP(0)));
	if (yes == NULL)
		PG_RETURN_NULL();
	fitting = palloc(sizeof(Datum) * y->n_questions);
	for (int i = 0; i < y->n_questions; i++)
		if (yes[i] >= y->threshold)
			fitting[n++] = y->labels[i];
	PG_RETURN_ARRAYTYPE_P(construct_array(fitting, n, TEXTOID, -1, false, TYPALIGN_INT));
}
