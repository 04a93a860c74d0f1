/*
 * fn_measure.c: llm_exact_match, llm_drop_score: what published results on GSM8K and DROP are measured by.
 */
#include "llm_call.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "measure/drop_score.h"
#include "measure/exact_match.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_exact_match);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_drop_score);

static LlmMatchRule
rule_of(const char *name)
{
	for (int i = 0; i < LLM_MATCH_RULES; i++)
		if (strcmp(name, llm_match_rule_names[i]) == 0)
			return (LlmMatchRule) i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown rule \"%s\"", name),
			 errhint("Give one of exact, gsm8k_strict, gsm8k_flexible, gsm8k_cot.")));
}

/* (prediction, gold, rule) */
Datum
pgllm_fn_llm_exact_match(PG_FUNCTION_ARGS)
{
	LlmMatchRule rule = rule_of(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	LlmError	err;
	bool		matches;

	PGLLM_CHECK(llm_match(pgllm_to_utf8(PG_GETARG_TEXT_PP(0)), pgllm_to_utf8(PG_GETARG_TEXT_PP(1)), rule,
						  pgllm_allocator(CurrentMemoryContext), &matches, &err), &err);
	PG_RETURN_BOOL(matches);
}

/* ---- DROP ---- */

static void
bad_gold(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("gold is no answer as DROP has them: %s", what),
			 errhint("Give {\"number\": …, \"spans\": […], \"date\": {…}}, or an array of such answers.")));
}

static JsonbValue *
field(JsonbContainer *object, const char *key)
{
	return getKeyJsonValueFromContainer(object, key, (int) strlen(key), NULL);
}

/* a string or number as text; empty if it is missing or null */
static LlmStr
scalar(const JsonbValue *v)
{
	if (v == NULL || v->type == jbvNull)
		return (LlmStr) {"", 0};
	if (v->type == jbvString)
		return pgllm_cstring_to_utf8(pnstrdup(v->val.string.val, v->val.string.len));
	if (v->type == jbvNumeric)
		return pgllm_cstring_to_utf8(DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric))));
	bad_gold("a number, span or part of a date is neither a string nor a number");
	pg_unreachable();
}

static JsonbContainer *
container(const JsonbValue *v, bool array)
{
	if (v == NULL || v->type != jbvBinary || JsonContainerIsArray(v->val.binary.data) != array)
		return NULL;
	return v->val.binary.data;
}

/* the spans of a gold answer: its number, else its spans, else its date */
static LlmStr *
gold_spans(JsonbContainer *answer, int *n)
{
	LlmStr		number = scalar(field(answer, "number"));
	JsonbContainer *spans = container(field(answer, "spans"), true);
	JsonbContainer *date = container(field(answer, "date"), false);
	LlmStr	   *result = palloc(sizeof(LlmStr) * (spans ? Max(JsonContainerSize(spans), 1) : 1));

	*n = 1;
	if (number.len > 0 && !(number.len == 1 && number.data[0] == '0' && field(answer, "number")->type == jbvNumeric))
		result[0] = number;
	else if (spans && JsonContainerSize(spans) > 0)
	{
		*n = (int) JsonContainerSize(spans);
		for (int i = 0; i < *n; i++)
			result[i] = scalar(getIthJsonbValueFromContainer(spans, (uint32) i));
	}
	else if (date)
	{
		LlmStr		day = scalar(field(date, "day"));
		LlmStr		month = scalar(field(date, "month"));
		LlmStr		year = scalar(field(date, "year"));
		char	   *text = psprintf("%.*s %.*s %.*s", (int) day.len, day.data, (int) month.len, month.data, (int) year.len, year.data);

		result[0] = (LlmStr) {text, strlen(text)};
	}
	else
		bad_gold("it has no number, spans or date");
	return result;
}

/* the better of both measures, each by itself */
static void
score_one(const JsonbValue *answer, const LlmStr *predicted, int n_predicted, LlmDropScore *best)
{
	JsonbContainer *object = container(answer, false);
	LlmDropScore score;
	LlmStr	   *spans;
	LlmError	err;
	int			n;

	if (object == NULL)
		bad_gold("an answer is not an object");
	spans = gold_spans(object, &n);
	if (llm_drop_is_blank(spans[0]))
		return;
	PGLLM_CHECK(llm_drop_score(predicted, n_predicted, spans, n, pgllm_allocator(CurrentMemoryContext), &score, &err), &err);
	best->em = Max(best->em, score.em);
	best->f1 = Max(best->f1, score.f1);
}

/* (prediction, gold): (em, f1) */
Datum
pgllm_fn_llm_drop_score(PG_FUNCTION_ARGS)
{
	LlmDropScore best = {0};
	Jsonb	   *gold = PG_GETARG_JSONB_P(1);
	int			n;
	LlmStr	   *predicted = pgllm_text_array(PG_GETARG_ARRAYTYPE_P(0), "prediction", &n);
	Datum		values[2];
	bool		nulls[2] = {false};
	TupleDesc	desc;

	if (JB_ROOT_IS_SCALAR(gold))
		bad_gold("it is neither an object nor an array");
	if (JB_ROOT_IS_ARRAY(gold))
		for (uint32 i = 0; i < JB_ROOT_COUNT(gold); i++)
		{
			CHECK_FOR_INTERRUPTS();
			score_one(getIthJsonbValueFromContainer(&gold->root, i), predicted, n, &best);
		}
	else
	{
		JsonbValue	whole = {.type = jbvBinary, .val.binary = {.len = (int) VARSIZE(gold) - VARHDRSZ, .data = &gold->root}};

		score_one(&whole, predicted, n, &best);
	}
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "result must be a row");
	values[0] = Float8GetDatum(best.em);
	values[1] = Float8GetDatum(best.f1);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}
