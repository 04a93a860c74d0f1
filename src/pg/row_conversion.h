/*
 * row_conversion.h: JSON as SQL values, by the types' own input functions.
 */
#ifndef PGLLM_ROW_CONVERSION_H
#define PGLLM_ROW_CONVERSION_H

#include "postgres.h"
#include "fmgr.h"

typedef struct PgLlmConversion
{
	FmgrInfo	flinfo;			/* of PostgreSQL's function; keeps what it looked up */
	Oid			base_type;		/* of json_populate_record's first argument; InvalidOid: the function has only json */
} PgLlmConversion;

/* of json_populate_record (base_type), json_to_record or json_to_recordset; in the current memory context */
extern PgLlmConversion *pgllm_conversion_create(Oid function, Oid base_type);

/*
 * The function's result, with what the query says of the result (resultinfo). false: a value was refused, and the row becomes NULL by
 * pg_llm.on_error; else that raises.
 */
extern bool pgllm_convert(PgLlmConversion *conversion, FunctionCallInfo caller, NullableDatum base, text *json, NullableDatum *result);

#endif
