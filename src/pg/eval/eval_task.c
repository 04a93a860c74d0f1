/*
 * eval_task.c: tasks, and the statement that asks a model for the answers of one.
 *
 * A table says which function a task calls and which arguments it takes. The statement names everything with its schema, as
 * it runs with the caller's search_path. Values of the caller are parameters; only names from the tables are text in it.
 */
#include "eval/eval.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "measure/exact_match.h"

typedef struct Argument
{
	const char *name;
	Oid			type;
	const char *sql_type;
} Argument;

#define MAX_ARGUMENTS 8

typedef struct Task
{
	const char *name;
	const char *function;
	const char *input_argument;
	const char *required;		/* NULL: none */
	Oid			expected_type;
	int			model_kinds;
	Argument	arguments[MAX_ARGUMENTS];	/* beside input, model and options; ended by a name of NULL */
} Task;

#define TEXT(name) {name, TEXTOID, "pg_catalog.text"}
#define JSON(name) {name, JSONOID, "pg_catalog.json"}
#define TEXTS(name) {name, TEXTARRAYOID, "pg_catalog.text[]"}
#define INTEGER(name) {name, INT4OID, "pg_catalog.int4"}
#define BIGINT(name) {name, INT8OID, "pg_catalog.int8"}
#define NUMBER(name) {name, FLOAT8OID, "pg_catalog.float8"}

static const Task tasks[] = {
	[PGLLM_TASK_CLASSIFY] = {"classify", "llm_classify_probs", "input", NULL, TEXTOID, PGLLM_KIND_GENERATE | PGLLM_KIND_EMBED,
	{TEXTS("labels"), TEXT("instruction"), JSON("descriptions"), JSON("examples")}},
	[PGLLM_TASK_FILTER] = {"filter", "llm_filter", "input", "condition", BOOLOID, PGLLM_KIND_GENERATE | PGLLM_KIND_EMBED,
	{TEXT("condition"), NUMBER("threshold"), JSON("examples")}},
	[PGLLM_TASK_GENERATE] = {"generate", "llm_generate", "prompt", NULL, TEXTOID, PGLLM_KIND_GENERATE,
	{TEXT("system"), INTEGER("max_tokens"), NUMBER("temperature"), BIGINT("seed"), TEXTS("stop"), JSON("schema")}},
	[PGLLM_TASK_EXTRACT] = {"extract", "llm_extract", "input", "schema", JSONBOID, PGLLM_KIND_GENERATE,
	{JSON("schema"), TEXT("instruction"), JSON("examples"), INTEGER("max_tokens")}},
};

static const char rule_drop[] = "drop";

/* a statement being made */
typedef struct Builder
{
	const Task *task;
	PgLlmTaskKind kind;
	const PgLlmEvalRows *rows;
	const char *schema;			/* quoted */
	StringInfoData call;		/* arguments of the function */
	StringInfoData rest;		/* options of the function, members of a JSON object */
	const char *rule;
	bool		given[MAX_ARGUMENTS];
	int			n_params;
	Datum		values[MAX_ARGUMENTS + 4];
	Oid			types[MAX_ARGUMENTS + 4];
} Builder;

bool
pgllm_task_has_classes(const PgLlmTask *task)
{
	return task->kind == PGLLM_TASK_CLASSIFY || task->kind == PGLLM_TASK_FILTER;
}

/* number of a new parameter */
static int
add_param(Builder *b, Oid type, Datum value)
{
	b->types[b->n_params] = type;
	b->values[b->n_params] = value;
	return ++b->n_params;
}

static int
find_argument(const Task *task, const char *name)
{
	for (int i = 0; i < MAX_ARGUMENTS && task->arguments[i].name != NULL; i++)
		if (strcmp(task->arguments[i].name, name) == 0)
			return i;
	return -1;
}

static PgLlmTaskKind
find_task(const char *name)
{
	for (int i = 0; i < (int) lengthof(tasks); i++)
		if (strcmp(tasks[i].name, name) == 0)
			return (PgLlmTaskKind) i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown task \"%s\"", name),
			 errhint("Give one of classify, filter, generate, extract.")));
}

/* ---- columns ---- */

/* the column as a value of that type */
static char *
column_as(const FormData_pg_attribute *column, Oid type, const char *sql_type)
{
	if (!can_coerce_type(1, &column->atttypid, &type, COERCION_ASSIGNMENT))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" has type %s, not %s", NameStr(column->attname), format_type_be(column->atttypid), format_type_be(type)),
				 errhint("Cast it in the query.")));
	return psprintf("CAST(r.%s AS %s)", quote_identifier(NameStr(column->attname)), sql_type);
}

static const char *
type_in_sql(Oid type)
{
	return type == TEXTOID ? "pg_catalog.text" : type == BOOLOID ? "pg_catalog.bool" : "pg_catalog.jsonb";
}

static const FormData_pg_attribute *
find_column(const Builder *b, const char *name)
{
	const FormData_pg_attribute *found = NULL;

	for (int i = 0; i < b->rows->desc->natts; i++)
	{
		const FormData_pg_attribute *column = TupleDescAttr(b->rows->desc, i);

		if (strcmp(NameStr(column->attname), name) != 0)
			continue;
		if (found != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_AMBIGUOUS_COLUMN),
					 errmsg("query has two columns \"%s\"", name),
					 errhint("Give each column a name of its own.")));
		found = column;
	}
	return found;
}

static const FormData_pg_attribute *
required_column(const Builder *b, const char *name)
{
	const FormData_pg_attribute *column = find_column(b, name);

	if (column == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("query has no column \"%s\"", name),
				 errhint("Name its columns: SELECT body AS input, mood AS expected FROM reviews.")));
	return column;
}

static char *
argument_names(const Task *task)
{
	StringInfoData s;

	initStringInfo(&s);
	for (int i = 0; i < MAX_ARGUMENTS && task->arguments[i].name != NULL; i++)
		appendStringInfo(&s, ", %s", task->arguments[i].name);
	return s.data;
}

static void
read_columns(Builder *b)
{
	for (int i = 0; i < b->rows->desc->natts; i++)
	{
		const FormData_pg_attribute *column = find_column(b, NameStr(TupleDescAttr(b->rows->desc, i)->attname));
		const char *name = NameStr(column->attname);
		int			argument = find_argument(b->task, name);

		if (strcmp(name, "input") == 0 || strcmp(name, "expected") == 0)
			continue;
		if (argument < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("task \"%s\" has no use for column \"%s\"", b->task->name, name),
					 errhint("Its columns are input, expected%s.", argument_names(b->task))));
		appendStringInfo(&b->call, ", %s => %s", name,
						 column_as(column, b->task->arguments[argument].type, b->task->arguments[argument].sql_type));
		b->given[argument] = true;
	}
}

/* ---- options ---- */

static void
bad_option(const char *key, const char *expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\"", key),
			 errhint("%s", expected)));
}

/* a member of the options, as the query in read_options gives it */
typedef struct Option
{
	char	   *key;
	char	   *kind;			/* json_typeof */
	char	   *json;
	char	   *scalar;
	Datum		list;			/* text[]; valid if kind is array */
} Option;

static void
check_number(const Option *option, Oid type)
{
	double		value;
	double		bound = type == INT4OID ? 2147483648.0 : 9223372036854775808.0;

	if (strcmp(option->kind, "number") != 0)
		bad_option(option->key, "Give a number.");
	if (type == FLOAT8OID)
		return;
	value = strtod(option->scalar, NULL);
	if (strspn(option->scalar, "-0123456789") != strlen(option->scalar) || !(value >= -bound && value < bound))
		bad_option(option->key, "Give an integer.");
}

/* an option that is an argument of the function */
static void
add_argument(Builder *b, int argument, const Option *option)
{
	const Argument *a = &b->task->arguments[argument];
	Oid			type = TEXTOID;
	Datum		value = CStringGetTextDatum(option->scalar);

	if (b->given[argument])
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is given twice", a->name),
				 errhint("Give it as a column or as an option, once.")));
	if (a->type == TEXTOID && strcmp(option->kind, "string") != 0)
		bad_option(option->key, "Give a string.");
	if (a->type == TEXTARRAYOID && strcmp(option->kind, "array") != 0)
		bad_option(option->key, "Give an array of strings.");
	if (a->type == INT4OID || a->type == INT8OID || a->type == FLOAT8OID)
		check_number(option, a->type);
	if (a->type == TEXTARRAYOID)
	{
		type = TEXTARRAYOID;
		value = option->list;
	}
	else if (a->type == JSONOID)
		value = CStringGetTextDatum(option->json);
	appendStringInfo(&b->call, ", %s => CAST($%d AS %s)", a->name, add_param(b, type, value), a->sql_type);
	b->given[argument] = true;
}

static void
set_rule(Builder *b, const Option *option)
{
	bool		drop = strcmp(option->scalar, rule_drop) == 0;
	bool		known = drop;

	for (int i = 0; i < LLM_MATCH_RULES; i++)
		known = known || strcmp(option->scalar, llm_match_rule_names[i]) == 0;
	if (!known)
		bad_option(option->key, "Give one of exact, gsm8k_strict, gsm8k_flexible, gsm8k_cot, drop.");
	b->rule = drop ? rule_drop : option->scalar;
}

static void
add_option(Builder *b, const Option *option)
{
	int			argument = find_argument(b->task, option->key);

	if (strcmp(option->kind, "null") == 0)
		return;
	if (argument >= 0)
		add_argument(b, argument, option);
	else if (b->kind == PGLLM_TASK_GENERATE && strcmp(option->key, "rule") == 0)
		set_rule(b, option);
	else
	{
		appendStringInfoString(&b->rest, b->rest.len == 0 ? "{" : ", ");
		escape_json(&b->rest, option->key);
		appendStringInfo(&b->rest, ": %s", option->json);
	}
}

static void
read_options(Builder *b, const text *options)
{
	static const char sql[] = "SELECT o.key, pg_catalog.json_typeof(o.value), CAST(o.value AS pg_catalog.text), "
		"COALESCE(o.value OPERATOR(pg_catalog.#>>) '{}', ''), CASE WHEN pg_catalog.json_typeof(o.value) OPERATOR(pg_catalog.=) 'array' THEN "
		"ARRAY(SELECT pg_catalog.json_array_elements_text(o.value)) END FROM pg_catalog.json_each(CAST($1 AS pg_catalog.json)) o";
	Oid			type = TEXTOID;
	Datum		value = PointerGetDatum(options);
	char	   *json = text_to_cstring(options);

	if (json[strspn(json, " \t\r\n")] != '{')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options must be a JSON object"),
				 errhint("Give an object such as {\"labels\": [\"good\", \"bad\"]}.")));
	if (SPI_execute_with_args(sql, 1, &type, &value, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read options");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		is_null;
		Option		option = {
			.key = SPI_getvalue(row, desc, 1),
			.kind = SPI_getvalue(row, desc, 2),
			.json = SPI_getvalue(row, desc, 3),
			.scalar = SPI_getvalue(row, desc, 4),
			.list = SPI_getbinval(row, desc, 5, &is_null),
		};

		add_option(b, &option);
	}
}

/* ---- what was not given ---- */

/* labels: the values that are expected; none without rows */
static void
find_labels(Builder *b, const char *expected)
{
	char	   *sql = psprintf("SELECT ARRAY(SELECT DISTINCT %s COLLATE pg_catalog.\"C\" FROM " PGLLM_EVAL_ROWS " r "
							   "WHERE r.expected IS NOT NULL ORDER BY 1), EXISTS (SELECT FROM " PGLLM_EVAL_ROWS ")", expected);
	bool		is_null;
	Datum		labels;
	bool		rows;
	int			n;

	if (SPI_execute(sql, false, 0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not read labels");
	labels = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
	rows = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &is_null));
	n = ArrayGetNItems(ARR_NDIM(DatumGetArrayTypeP(labels)), ARR_DIMS(DatumGetArrayTypeP(labels)));
	if (rows && n < 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("labels are taken from column \"expected\", which has %d different %s", n, n == 1 ? "value" : "values"),
				 errhint("Give all labels by the option \"labels\", such as {\"labels\": [\"good\", \"bad\"]}.")));
	appendStringInfo(&b->call, ", labels => $%d", add_param(b, TEXTARRAYOID, labels));
}

static void
check_required(Builder *b, const char *expected)
{
	if (b->kind == PGLLM_TASK_CLASSIFY && !b->given[find_argument(b->task, "labels")])
		find_labels(b, expected);
	if (b->task->required != NULL && !b->given[find_argument(b->task, b->task->required)])
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("task \"%s\" needs \"%s\"", b->task->name, b->task->required),
				 errhint("Give it in options, or as a column of the query.")));
}

/* ---- the statement ---- */

/* a query for what the answer a.answer counts, and its F1 */
static char *
score_sql(Builder *b)
{
	if (b->kind == PGLLM_TASK_EXTRACT)
		return "SELECT CASE WHEN pg_catalog.jsonb_typeof(a.expected) OPERATOR(pg_catalog.<>) 'object' "
			"THEN CAST(a.answer OPERATOR(pg_catalog.=) a.expected AS pg_catalog.int4) ELSE (SELECT COALESCE(pg_catalog.avg(CASE WHEN "
			"a.answer OPERATOR(pg_catalog.->) f.key OPERATOR(pg_catalog.=) f.value THEN 1.0 ELSE 0.0 END), 1.0) "
			"FROM pg_catalog.jsonb_each(a.expected) f) END, NULL";
	if (b->kind != PGLLM_TASK_GENERATE)
		return "SELECT NULL, NULL";
	if (b->rule == rule_drop)
		return psprintf("SELECT d.em, d.f1 FROM %s.llm_drop_score(CASE WHEN a.answer IS NOT NULL THEN ARRAY[a.answer] END, "
						"a.expected) d", b->schema);
	return psprintf("SELECT CASE WHEN %s.llm_exact_match(a.answer, a.expected, '%s') THEN 1 ELSE 0 END, NULL", b->schema, b->rule);
}

static char *
statement(Builder *b, const char *input, const char *expected)
{
	const char *rows = psprintf("(SELECT *, pg_catalog.row_number() OVER () AS no FROM " PGLLM_EVAL_ROWS ") r");
	char	   *call = psprintf("%s.%s(%s%s)", b->schema, b->task->function, psprintf("%s => %s", b->task->input_argument, input), b->call.data);

	if (b->kind == PGLLM_TASK_CLASSIFY)
		return psprintf("SELECT r.no, %s IS NOT NULL, %s, a.label, a.probability, NULL, NULL FROM %s LEFT JOIN LATERAL %s a ON true",
						input, expected, rows, call);
	return psprintf("SELECT a.no, a.has_input, CAST(a.expected AS pg_catalog.text), CAST(a.answer AS pg_catalog.text), "
					"CAST(NULL AS pg_catalog.float8), CAST(s.score AS pg_catalog.float8), CAST(s.f1 AS pg_catalog.float8) FROM "
					"(SELECT r.no, %s IS NOT NULL AS has_input, %s AS expected, %s AS answer FROM %s OFFSET 0) a, "
					"LATERAL (%s) s (score, f1)", input, expected, call, rows, score_sql(b));
}

static ParamListInfo
make_params(const Builder *b)
{
	ParamListInfo params = makeParamList(b->n_params);

	for (int i = 0; i < b->n_params; i++)
		params->params[i] = (ParamExternData) {
			.value = b->values[i],
			.isnull = b->values[i] == (Datum) 0,
			.pflags = PARAM_FLAG_CONST,
			.ptype = b->types[i],
		};
	return params;
}

PgLlmTask *
pgllm_task_create(const char *name, const PgLlmEvalRows *rows, const char *schema, const text *options)
{
	PgLlmTask  *task = palloc0(sizeof(PgLlmTask));
	Builder		b = {.rows = rows, .schema = quote_identifier(schema), .rule = llm_match_rule_names[LLM_MATCH_EXACT]};
	char	   *input;
	char	   *expected;
	Oid			expected_type;

	b.kind = find_task(name);
	b.task = &tasks[b.kind];
	initStringInfo(&b.call);
	initStringInfo(&b.rest);
	appendStringInfo(&b.call, ", model => $%d", add_param(&b, TEXTOID, (Datum) 0));
	input = column_as(required_column(&b, "input"), TEXTOID, "pg_catalog.text");
	read_columns(&b);
	if (options != NULL)
		read_options(&b, options);
	expected_type = b.rule == rule_drop ? JSONBOID : b.task->expected_type;
	expected = column_as(required_column(&b, "expected"), expected_type, type_in_sql(expected_type));
	check_required(&b, expected);
	if (b.rest.len > 0)
	{
		appendStringInfoChar(&b.rest, '}');
		appendStringInfo(&b.call, ", options => CAST($%d AS pg_catalog.jsonb)",
						 add_param(&b, TEXTOID, CStringGetTextDatum(b.rest.data)));
	}
	task->kind = b.kind;
	task->name = b.task->name;
	task->model_kinds = b.task->model_kinds;
	task->has_f1 = b.rule == rule_drop;
	task->sql = statement(&b, input, expected);
	task->params = make_params(&b);
	return task;
}
