/*
 * type_schema.h: SQL types as JSON Schema: what json_populate_record() and the types' own input functions can take.
 */
#ifndef PGLLM_TYPE_SCHEMA_H
#define PGLLM_TYPE_SCHEMA_H

#include "postgres.h"
#include "access/tupdesc.h"
#include "lib/stringinfo.h"

/* append the schema of rows: an object with the columns as keys, in their order. Server's encoding. */
extern void pgllm_row_schema(StringInfo s, TupleDesc desc);

/* ---- conditions (check_schema.c) ---- */

/* kinds of types whose values are compared in JSON as in SQL */
typedef enum PgLlmValueKind
{
	PGLLM_VALUE_STRING,
	PGLLM_VALUE_NUMBER,
	PGLLM_VALUE_OTHER			/* written in more than one way: only NULL is known */
} PgLlmValueKind;

/* what conditions say of a value */
typedef struct PgLlmConditions
{
	PgLlmValueKind kind;
	AttrNumber	column;			/* that they are about in conditions of a table; 0: the value of a domain */
	bool		not_null;
	int			n;				/* schemas in text, separated by commas */
	StringInfoData text;
} PgLlmConditions;

extern PgLlmValueKind pgllm_value_kind(Oid base_type);

/*
 * Add what an expression (simplified, no sublinks) says. What has no words in JSON Schema is left out: then the type's input
 * function finds a value that does not fit.
 */
extern void pgllm_add_condition(PgLlmConditions *conditions, Node *expr);

#endif
