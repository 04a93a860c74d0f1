/*
 * fn_eval.c: llm_eval, llm_compare: answers of models on rows that say what was expected, as figures.
 *
 * While they run the transaction reads only, rows that cannot be answered become NULL and are counted, and no answer comes
 * from the shared result cache, so tokens and seconds are those of the model. After an error all of this ends with the
 * (sub)transaction.
 */
#include "eval/eval.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "call_stats.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "llm_call.h"
#include "measure/class_metrics.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_eval);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_compare);

/* columns of llm_eval_report */
enum
{
	REPORT_MODEL,
	REPORT_DIGEST,
	REPORT_TASK,
	REPORT_ROWS,
	REPORT_ANSWERED,
	REPORT_ERRORS,
	REPORT_ACCURACY,
	REPORT_BALANCED_ACCURACY,
	REPORT_MACRO_F1,
	REPORT_DROP_F1,
	REPORT_CONFUSION,
	REPORT_CALIBRATION_ERROR,
	REPORT_PROMPT_TOKENS,
	REPORT_OUTPUT_TOKENS,
	REPORT_SECONDS,
	REPORT_COLUMNS
};

/* what a task's statement gives, counted as it comes */
typedef struct Counter
{
	DestReceiver pub;
	const PgLlmTask *task;
	MemoryContext context;		/* of the row that is being read */
	int64		row_no;			/* 0: none yet */
	bool		has_input;
	char	   *expected;
	char	   *answer;			/* NULL: none */
	double		probability;	/* NaN: not known */
	int64		n_rows;
	int64		n_answered;
	int64		n_errors;
	double		score;			/* sums */
	double		f1;
	LlmClassMetrics classes;
} Counter;

/* ---- counting ---- */

/* the row that was read is complete */
static void
count_row(Counter *c)
{
	LlmStr		answer = {0};
	LlmError	err;

	if (c->row_no == 0)
		return;
	c->n_rows++;
	c->n_answered += c->answer != NULL;
	c->n_errors += c->answer == NULL && c->has_input;
	if (pgllm_task_has_classes(c->task))
	{
		if (c->answer != NULL)
			answer = (LlmStr) {c->answer, strlen(c->answer)};
		PGLLM_CHECK(llm_class_metrics_add(&c->classes, (LlmStr) {c->expected, strlen(c->expected)}, answer, c->probability, &err), &err);
	}
	MemoryContextReset(c->context);
}

static void
begin_row(Counter *c, TupleTableSlot *slot)
{
	c->row_no = DatumGetInt64(slot->tts_values[PGLLM_EVAL_NO]);
	c->has_input = DatumGetBool(slot->tts_values[PGLLM_EVAL_HAS_INPUT]);
	c->answer = NULL;
	c->probability = NAN;
	if (slot->tts_isnull[PGLLM_EVAL_EXPECTED])
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("row %lld of the query has no expected value", (long long) c->row_no),
				 errhint("Leave such rows out: WHERE … IS NOT NULL.")));
	c->expected = TextDatumGetCString(slot->tts_values[PGLLM_EVAL_EXPECTED]);
	if (!slot->tts_isnull[PGLLM_EVAL_SCORE])
		c->score += DatumGetFloat8(slot->tts_values[PGLLM_EVAL_SCORE]);
	if (!slot->tts_isnull[PGLLM_EVAL_F1])
		c->f1 += DatumGetFloat8(slot->tts_values[PGLLM_EVAL_F1]);
}

/* of several answers to a row the most probable counts, of equals the first */
static bool
receive(TupleTableSlot *slot, DestReceiver *self)
{
	Counter	   *c = (Counter *) self;
	MemoryContext old = MemoryContextSwitchTo(c->context);
	double		probability = NAN;

	slot_getallattrs(slot);
	if (DatumGetInt64(slot->tts_values[PGLLM_EVAL_NO]) != c->row_no)
	{
		count_row(c);
		begin_row(c, slot);
	}
	if (!slot->tts_isnull[PGLLM_EVAL_PROBABILITY])
		probability = DatumGetFloat8(slot->tts_values[PGLLM_EVAL_PROBABILITY]);
	if (!slot->tts_isnull[PGLLM_EVAL_ANSWER] && (c->answer == NULL || probability > c->probability))
	{
		c->answer = TextDatumGetCString(slot->tts_values[PGLLM_EVAL_ANSWER]);
		c->probability = probability;
	}
	MemoryContextSwitchTo(old);
	return true;
}

static void
startup(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
nothing(DestReceiver *self)
{
}

/* ---- a model ---- */

static void
set_setting(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* run the task's statement with the model whose name is its first parameter */
static void
ask(Counter *c)
{
	SPIExecuteOptions options = {.params = c->task->params, .read_only = false, .dest = &c->pub};
	int			level = NewGUCNestLevel();

	set_setting("pg_llm.on_error", "null");
	if (pgllm_result_cache == PGLLM_RESULTS_SHARED)
		set_setting("pg_llm.result_cache", "statement");
	c->pub.receiveSlot = receive;
	c->pub.rStartup = startup;
	c->pub.rShutdown = nothing;
	c->pub.rDestroy = nothing;
	c->pub.mydest = DestTuplestore;
	c->context = AllocSetContextCreate(CurrentMemoryContext, "pg_llm eval row", ALLOCSET_DEFAULT_SIZES);
	if (SPI_execute_extended(c->task->sql, &options) < 0)
		elog(ERROR, "could not execute \"%s\"", c->task->sql);
	count_row(c);
	AtEOXact_GUC(true, level);
}

/* {"expected": {"answer": rows}} */
static Datum
confusion(const LlmClassMetrics *m)
{
	StringInfoData s;
	bool		first = true;

	initStringInfo(&s);
	appendStringInfoChar(&s, '{');
	for (size_t e = 0; e < m->n_classes; e++)
	{
		bool		open = false;

		for (size_t i = 0; i < m->n_cells; i++)
		{
			if (m->cells[i].expected != e)
				continue;
			if (!open)
			{
				appendStringInfoString(&s, first ? "" : ", ");
				escape_json(&s, m->classes[e].data);
				appendStringInfoString(&s, ": {");
			}
			else
				appendStringInfoString(&s, ", ");
			open = true;
			first = false;
			escape_json(&s, m->classes[m->cells[i].answer].data);
			appendStringInfo(&s, ": %llu", (unsigned long long) m->cells[i].n);
		}
		if (open)
			appendStringInfoChar(&s, '}');
	}
	appendStringInfoChar(&s, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(s.data));
}

/* NaN is a figure that is not defined */
static void
put_figure(Datum *values, bool *nulls, int column, double figure)
{
	nulls[column] = isnan(figure);
	values[column] = Float8GetDatum(figure);
}

static void
put_figures(const Counter *c, Datum *values, bool *nulls)
{
	const LlmClassMetrics *m = &c->classes;
	bool		classes = pgllm_task_has_classes(c->task);

	values[REPORT_ROWS] = Int64GetDatum(c->n_rows);
	values[REPORT_ANSWERED] = Int64GetDatum(c->n_answered);
	values[REPORT_ERRORS] = Int64GetDatum(c->n_errors);
	put_figure(values, nulls, REPORT_ACCURACY,
			   classes ? llm_class_accuracy(m) : c->n_rows > 0 ? c->score / (double) c->n_rows : NAN);
	put_figure(values, nulls, REPORT_BALANCED_ACCURACY, classes ? llm_class_balanced_accuracy(m) : NAN);
	put_figure(values, nulls, REPORT_MACRO_F1, classes ? llm_class_macro_f1(m) : NAN);
	put_figure(values, nulls, REPORT_DROP_F1, c->task->has_f1 && c->n_rows > 0 ? c->f1 / (double) c->n_rows : NAN);
	put_figure(values, nulls, REPORT_CALIBRATION_ERROR, classes ? llm_class_calibration_error(m) : NAN);
	nulls[REPORT_CONFUSION] = !classes;
	if (classes)
		values[REPORT_CONFUSION] = confusion(m);
}

/* the report on one model (NULL: the default of the task), in the current memory context */
static void
evaluate(const PgLlmTask *task, const text *model_name, Datum *values, bool *nulls)
{
	PgLlmModel *model = pgllm_model_use(model_name, task->model_kinds);
	Counter		c = {.task = task};
	PgLlmTotals before;
	instr_time	begun;
	instr_time	took;
	LlmError	err;

	memset(nulls, 0, sizeof(bool) * REPORT_COLUMNS);
	values[REPORT_MODEL] = CStringGetTextDatum(model->name);
	values[REPORT_DIGEST] = CStringGetTextDatum(model->digest);
	values[REPORT_TASK] = CStringGetTextDatum(task->name);
	task->params->params[0].value = values[REPORT_MODEL];
	task->params->params[0].isnull = false;
	PGLLM_CHECK(llm_class_metrics_init(&c.classes, pgllm_allocator(CurrentMemoryContext), &err), &err);
	before = *pgllm_session_totals();
	INSTR_TIME_SET_CURRENT(begun);
	ask(&c);
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, begun);
	put_figures(&c, values, nulls);
	llm_class_metrics_free(&c.classes);
	values[REPORT_PROMPT_TOKENS] = Int64GetDatum((int64) (pgllm_session_totals()->prompt_tokens - before.prompt_tokens));
	values[REPORT_OUTPUT_TOKENS] = Int64GetDatum((int64) (pgllm_session_totals()->output_tokens - before.output_tokens));
	values[REPORT_SECONDS] = Float8GetDatum(INSTR_TIME_GET_DOUBLE(took));
}

/* ---- the functions ---- */

typedef struct Evaluation
{
	PgLlmEvalRows rows;
	PgLlmTask  *task;
	bool		read_only;		/* what the transaction was before */
} Evaluation;

/* rows and task, with SPI connected */
static void
begin(FunctionCallInfo fcinfo, int task_argno, int options_argno, Evaluation *e)
{
	char	   *sql = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Oid			schema = get_func_namespace(fcinfo->flinfo->fn_oid);

	if (PG_ARGISNULL(task_argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("task must not be NULL"),
				 errhint("Give one of classify, filter, generate, extract.")));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	e->read_only = XactReadOnly;
	XactReadOnly = true;
	e->rows.desc = pgllm_eval_columns(sql);
	pgllm_eval_rows_read(sql, &e->rows);
	e->task = pgllm_task_create(text_to_cstring(PG_GETARG_TEXT_PP(task_argno)), &e->rows, get_namespace_name(schema),
								PGLLM_ARG_TEXT_OR_NULL(options_argno));
}

static void
end(Evaluation *e)
{
	tuplestore_end(e->rows.store);
	SPI_finish();
	XactReadOnly = e->read_only;
}

/* (query, task, model, options) */
Datum
pgllm_fn_llm_eval(PG_FUNCTION_ARGS)
{
	Evaluation	e;
	Datum		values[REPORT_COLUMNS];
	bool		nulls[REPORT_COLUMNS];
	TupleDesc	desc;
	HeapTupleHeader result;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != REPORT_COLUMNS)
		elog(ERROR, "result must be a report");
	desc = BlessTupleDesc(desc);
	begin(fcinfo, 1, 3, &e);
	evaluate(e.task, PGLLM_ARG_TEXT_OR_NULL(2), values, nulls);
	result = SPI_returntuple(heap_form_tuple(desc, values, nulls), desc);
	end(&e);
	PG_RETURN_HEAPTUPLEHEADER(result);
}

/* (query, models, task, options): a report for each model */
Datum
pgllm_fn_llm_compare(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Evaluation	e;
	Datum	   *models;
	bool	   *null_models;
	int			n = 0;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	if (!PG_ARGISNULL(1))
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &models, &null_models, &n);
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no models to compare"),
				 errhint("Give an array such as '{smollm2,qwen3}'.")));
	begin(fcinfo, 2, 3, &e);
	for (int i = 0; i < n; i++)
	{
		Datum		values[REPORT_COLUMNS];
		bool		nulls[REPORT_COLUMNS];

		evaluate(e.task, null_models[i] ? NULL : DatumGetTextPP(models[i]), values, nulls);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	end(&e);
	return (Datum) 0;
}
