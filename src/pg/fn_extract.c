/*
 * fn_extract.c: llm_extract, llm_populate, llm_to_record, llm_to_recordset: the data of a text.
 *
 * All of them ask for JSON. llm_extract is given its schema; for the others it is made from the types of a row (type_schema.c), and
 * JSON becomes a row by the types' own input functions (row_conversion.c).
 */
#include "extract_call.h"
#include "row_conversion.h"
#include "type_schema.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_extract);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_populate);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_to_record);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_to_recordset);

/* (input, schema, model, instruction, examples, max_tokens, options), and with base for populate: (base, input, model, …) */
static const PgLlmExtractArgno extract_argno = {.input = 0, .model = 2, .instruction = 3, .examples = 4, .max_tokens = 5, .options = 6};
static const PgLlmExtractArgno populate_argno = {.input = 1, .model = 2, .instruction = 3, .examples = 4, .max_tokens = 5, .options = 6};

/* (input, model, instruction, examples, max_tokens, options) */
static const PgLlmExtractArgno record_argno = {.input = 0, .model = 1, .instruction = 2, .examples = 3, .max_tokens = 4, .options = 5};

#define EXTRACT_SITE  0x7A		/* all but input and model */
#define POPULATE_SITE  0x78		/* and base */
#define RECORD_SITE  0x3C

/* ---- llm_extract ---- */

static void *
parse_extract(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("schema must not be NULL"),
				 errhint("Give a JSON Schema such as '{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\"}}}'.")));
	return pgllm_extraction_parse(fcinfo, &extract_argno, pgllm_str_copy(pgllm_to_utf8(PG_GETARG_TEXT_PP(1))));
}

static void
begin_first(FunctionCallInfo fcinfo, PgLlmWork *work)
{
	pgllm_extraction_begin(work, PG_GETARG_TEXT_PP(0));
}

static Datum
finish_extract(FunctionCallInfo fcinfo, const PgLlmPrepared *prepared, const PgLlmAnswer *answer)
{
	if (pgllm_answer_failed(answer))
		PG_RETURN_NULL();
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(text_to_cstring(pgllm_generate_text(answer))));
}

const PgLlmFunction pgllm_function_extract = {
	.symbol = "pgllm_fn_llm_extract",
	.model_arg = 2,
	.constant_args = EXTRACT_SITE,
	.required_args = 1,
	.stable = true,
	.max_tokens_arg = 5,
	.parse = parse_extract,
	.begin = begin_first,
	.answer = pgllm_generate_answer,
	.finish = finish_extract,
};

Datum
pgllm_fn_llm_extract(PG_FUNCTION_ARGS)
{
	return pgllm_function_call(fcinfo, &pgllm_function_extract);
}

/* ---- llm_populate ---- */

static PgLlmExtraction *
parse_rows(FunctionCallInfo fcinfo, const PgLlmExtractArgno *argno, TupleDesc desc, bool many)
{
	StringInfoData schema;

	initStringInfo(&schema);
	if (many)
		appendStringInfoString(&schema, "{\"type\": \"array\", \"items\": ");
	pgllm_row_schema(&schema, desc);
	if (many)
		appendStringInfoChar(&schema, '}');
	return pgllm_extraction_parse(fcinfo, argno, pgllm_str_copy(pgllm_cstring_to_utf8(schema.data)));
}

static void *
parse_populate(FunctionCallInfo fcinfo)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);
	PgLlmExtraction *e;

	if (!OidIsValid(type))
		elog(ERROR, "could not determine the type of argument \"base\"");
	if (get_typtype(getBaseType(type)) != TYPTYPE_COMPOSITE)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("type %s is not a composite type", format_type_be(type)),
				 errhint("Give a NULL of a row type, such as NULL::invoices, or use llm_to_record() with a list of columns.")));
	e = parse_rows(fcinfo, &populate_argno, lookup_rowtype_tupdesc_copy(getBaseType(type), -1), false);
	e->conversion = pgllm_conversion_create(F_JSON_POPULATE_RECORD, type);
	return e;
}

static void
begin_populate(FunctionCallInfo fcinfo, PgLlmWork *work)
{
	pgllm_extraction_begin(work, PG_GETARG_TEXT_PP(1));
}

/* what the text does not say stays as it is in base */
static Datum
finish_populate(FunctionCallInfo fcinfo, const PgLlmPrepared *prepared, const PgLlmAnswer *answer)
{
	const PgLlmExtraction *e = prepared->parsed;
	Datum		json;
	NullableDatum result;

	if (pgllm_answer_failed(answer))
		PG_RETURN_NULL();
	json = PointerGetDatum(pgllm_generate_text(answer));
	if (!PG_ARGISNULL(0))
		json = DirectFunctionCall1(json_strip_nulls, json);
	if (!pgllm_convert(e->conversion, fcinfo, fcinfo->args[0], DatumGetTextPP(json), &result) || result.isnull)
		PG_RETURN_NULL();
	return result.value;
}

const PgLlmFunction pgllm_function_populate = {
	.symbol = "pgllm_fn_llm_populate",
	.model_arg = 2,
	.constant_args = POPULATE_SITE,
	.required_args = 2,
	.stable = true,
	.max_tokens_arg = 5,
	.parse = parse_populate,
	.shape = pgllm_extraction_schema,
	.begin = begin_populate,
	.answer = pgllm_generate_answer,
	.finish = finish_populate,
};

Datum
pgllm_fn_llm_populate(PG_FUNCTION_ARGS)
{
	return pgllm_function_call(fcinfo, &pgllm_function_populate);
}

/* ---- llm_to_record, llm_to_recordset ---- */

/* the columns that the query asks for */
static TupleDesc
asked_columns(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	if (rsinfo == NULL || !IsA(rsinfo, ReturnSetInfo) || rsinfo->expectedDesc == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("function returning record called in context that cannot accept type record"),
				 errhint("Call it in FROM with a list of columns: FROM llm_to_record(body) AS x(vendor text, total numeric).")));
	return rsinfo->expectedDesc;
}

static void *
parse_record(FunctionCallInfo fcinfo)
{
	PgLlmExtraction *e = parse_rows(fcinfo, &record_argno, asked_columns(fcinfo), false);

	e->conversion = pgllm_conversion_create(F_JSON_TO_RECORD, InvalidOid);
	return e;
}

static void *
parse_recordset(FunctionCallInfo fcinfo)
{
	PgLlmExtraction *e = parse_rows(fcinfo, &record_argno, asked_columns(fcinfo), true);

	e->conversion = pgllm_conversion_create(F_JSON_TO_RECORDSET, InvalidOid);
	return e;
}

static Datum
finish_record(FunctionCallInfo fcinfo, const PgLlmPrepared *prepared, const PgLlmAnswer *answer)
{
	const PgLlmExtraction *e = prepared->parsed;
	NullableDatum none = {.isnull = true};
	NullableDatum result;

	if (pgllm_answer_failed(answer) || !pgllm_convert(e->conversion, fcinfo, none, pgllm_generate_text(answer), &result) || result.isnull)
		PG_RETURN_NULL();
	return result.value;
}

const PgLlmFunction pgllm_function_to_record = {
	.symbol = "pgllm_fn_llm_to_record",
	.model_arg = 1,
	.constant_args = RECORD_SITE,
	.required_args = 1,
	.stable = true,
	.max_tokens_arg = 4,
	.parse = parse_record,
	.shape = pgllm_extraction_schema,
	.begin = begin_first,
	.answer = pgllm_generate_answer,
	.finish = finish_record,
};

const PgLlmFunction pgllm_function_to_recordset = {
	.symbol = "pgllm_fn_llm_to_recordset",
	.model_arg = 1,
	.constant_args = RECORD_SITE,
	.required_args = 1,
	.stable = true,
	.max_tokens_arg = 4,
	.parse = parse_recordset,
	.shape = pgllm_extraction_schema,
	.begin = begin_first,
	.answer = pgllm_generate_answer,
	.finish = finish_record,
};

Datum
pgllm_fn_llm_to_record(PG_FUNCTION_ARGS)
{
	return pgllm_function_call(fcinfo, &pgllm_function_to_record);
}

Datum
pgllm_fn_llm_to_recordset(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	(void) asked_columns(fcinfo);
	/* without an answer the set is empty */
	rsinfo->returnMode = SFRM_Materialize;
	return pgllm_function_call(fcinfo, &pgllm_function_to_recordset);
}
