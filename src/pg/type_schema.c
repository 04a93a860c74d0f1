/*
 * type_schema.c: SQL types as JSON Schema.
 *
 * A schema says what the type's input function takes, as far as a schema can: ranges of numbers, lengths, labels of enums, CHECK
 * of domains. It must never refuse all that fits; where it is too wide, the input function has the last word. Every column is
 * a required key, null if the column may be NULL: a model decides on each. Comments become descriptions.
 */
#include "type_schema.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
#include "enum_labels.h"

/* days of the calendar; PostgreSQL has no year 0 */
#define YEAR "(?:[1-9][0-9]{3}|0[0-9]{2}[1-9]|0[0-9][1-9][0-9]|0[1-9][0-9]{2})"
#define DAY "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
#define LEAP "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29"
#define DATE "(?:" YEAR "-" DAY "|" LEAP ")"
#define TIME "(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?"
#define ZONE "(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])?"
#define COUNT(unit) "[0-9]{1,5} " unit "s?"
#define AND_COUNT(unit) "(?: [0-9]{1,5} " unit "s?)?"
#define INTERVAL "(?:" COUNT("year") AND_COUNT("month") AND_COUNT("day") "|" COUNT("month") AND_COUNT("day") "|" COUNT("week") AND_COUNT("day") \
	"|" COUNT("day") AND_COUNT("hour") AND_COUNT("minute") "|" COUNT("hour") AND_COUNT("minute") AND_COUNT("second") \
	"|" COUNT("minute") AND_COUNT("second") "|" COUNT("second") "|[0-9]{1,4}:[0-5][0-9](?::[0-5][0-9])?)"

/* types that are strings of a certain form; format: what a prompt says, no format of JSON Schema but for uuid */
static const struct
{
	Oid			type;
	const char *format;
	const char *pattern;
}			forms[] =
{
	{DATEOID, "date (YYYY-MM-DD)", "^" DATE "$"},
	{TIMEOID, "time (HH:MM:SS)", "^" TIME "$"},
	{TIMETZOID, "time (HH:MM:SS+00:00)", "^" TIME ZONE "$"},
	{TIMESTAMPOID, "date and time (YYYY-MM-DD HH:MM:SS)", "^" DATE "[ T]" TIME "$"},
	{TIMESTAMPTZOID, "date and time (YYYY-MM-DD HH:MM:SS+00:00)", "^" DATE "[ T]" TIME ZONE "$"},
	{INTERVALOID, "duration (such as 3 days or 2 hours 30 minutes)", "^" INTERVAL "$"},
	{UUIDOID, "uuid", NULL},
	{MACADDROID, "MAC address", "^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$"},
	{MACADDR8OID, "MAC address", "^[0-9a-f]{2}(?::[0-9a-f]{2}){7}$"},
};

#define LONGEST_SCHEMA (1024 * 1024)

static void value_schema(StringInfo s, Oid type, int32 typmod, PgLlmConditions *conditions);
static void row_schema(StringInfo s, TupleDesc desc, Oid relid);

PgLlmValueKind
pgllm_value_kind(Oid base_type)
{
	switch (base_type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case FLOAT4OID:
		case FLOAT8OID:
			return PGLLM_VALUE_NUMBER;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			return PGLLM_VALUE_STRING;
		default:
			return type_is_enum(base_type) ? PGLLM_VALUE_STRING : PGLLM_VALUE_OTHER;
	}
}

/* ---- one type ---- */

/* digits of a bound of numeric(precision, scale) */
static void
append_nines(StringInfo s, int precision, int scale)
{
	int			whole = precision - scale;

	if (whole <= 0)
		appendStringInfoChar(s, '0');
	for (int i = 0; i < whole; i++)
		appendStringInfoChar(s, i < precision ? '9' : '0');
	if (scale > 0)
		appendStringInfoChar(s, '.');
	for (int i = 0; i < scale; i++)
		appendStringInfoChar(s, i < -whole ? '0' : '9');
}

/* numbers of more digits are left to the input function */
#define MOST_DIGITS 40

static void
numeric_schema(StringInfo s, int32 typmod)
{
	int			precision = ((typmod - VARHDRSZ) >> 16) & 0xFFFF;
	int			scale = (((typmod - VARHDRSZ) & 0x7FF) ^ 1024) - 1024;

	if (typmod < (int32) VARHDRSZ || precision > MOST_DIGITS || scale > MOST_DIGITS || scale < -MOST_DIGITS)
	{
		appendStringInfoString(s, "\"type\": \"number\"");
		return;
	}
	appendStringInfo(s, "\"type\": \"%s\", \"minimum\": -", scale > 0 ? "number" : "integer");
	append_nines(s, precision, scale);
	appendStringInfoString(s, ", \"maximum\": ");
	append_nines(s, precision, scale);
	if (scale > 0)
		appendStringInfo(s, ", \"multipleOf\": 0.%0*d", scale, 1);
}

static void
string_schema(StringInfo s, int32 length)
{
	appendStringInfoString(s, "\"type\": \"string\"");
	if (length >= 0)
		appendStringInfo(s, ", \"maxLength\": %d", length);
}

static void
enum_schema(StringInfo s, Oid type)
{
	int			n;
	char	  **labels = pgllm_enum_labels(type, &n);

	appendStringInfoString(s, "\"enum\": [");
	for (int i = 0; i < n; i++)
	{
		appendStringInfoString(s, i > 0 ? ", " : "");
		escape_json(s, labels[i]);
	}
	appendStringInfoChar(s, ']');
}

static void
scalar_schema(StringInfo s, Oid type, int32 typmod)
{
	for (int i = 0; i < (int) lengthof(forms); i++)
		if (forms[i].type == type)
		{
			appendStringInfoString(s, "\"type\": \"string\", \"format\": ");
			escape_json(s, forms[i].format);
			if (forms[i].pattern != NULL)
			{
				appendStringInfoString(s, ", \"pattern\": ");
				escape_json(s, forms[i].pattern);
			}
			return;
		}
	switch (type)
	{
		case BOOLOID:
			appendStringInfoString(s, "\"type\": \"boolean\"");
			break;
		case INT2OID:
			appendStringInfo(s, "\"type\": \"integer\", \"minimum\": %d, \"maximum\": %d", PG_INT16_MIN, PG_INT16_MAX);
			break;
		case INT4OID:
			appendStringInfo(s, "\"type\": \"integer\", \"minimum\": %d, \"maximum\": %d", PG_INT32_MIN, PG_INT32_MAX);
			break;
		case INT8OID:
			appendStringInfo(s, "\"type\": \"integer\", \"minimum\": " INT64_FORMAT ", \"maximum\": " INT64_FORMAT, PG_INT64_MIN, PG_INT64_MAX);
			break;
		case OIDOID:
			appendStringInfo(s, "\"type\": \"integer\", \"minimum\": 0, \"maximum\": %u", PG_UINT32_MAX);
			break;
		case FLOAT4OID:
		case FLOAT8OID:
		case MONEYOID:
			appendStringInfoString(s, "\"type\": \"number\"");
			break;
		case NUMERICOID:
			numeric_schema(s, typmod);
			break;
		case VARCHAROID:
		case BPCHAROID:
			string_schema(s, typmod >= (int32) VARHDRSZ ? typmod - (int32) VARHDRSZ : -1);
			break;
		case INETOID:
		case CIDROID:
			appendStringInfoString(s, "\"anyOf\": [{\"type\": \"string\", \"format\": \"ipv4\"}, {\"type\": \"string\", \"format\": \"ipv6\"}]");
			break;
		case JSONOID:
		case JSONBOID:
			appendStringInfoString(s, "\"type\": [\"object\", \"array\", \"string\", \"number\", \"boolean\"]");
			break;
		default:
			string_schema(s, -1);
			break;
	}
}

/* ---- types made of others ---- */

/* conditions of a domain and those that it is made of */
static void
domain_conditions(Oid domain, PgLlmConditions *conditions)
{
	DomainConstraintRef *ref = palloc0(sizeof(DomainConstraintRef));	/* released with its context */
	ListCell   *cell;

	InitDomainConstraintRef(domain, ref, CurrentMemoryContext, false);
	foreach(cell, ref->constraints)
	{
		DomainConstraintState *constraint = lfirst(cell);

		if (constraint->constrainttype == DOM_CONSTRAINT_NOTNULL)
			conditions->not_null = true;
		else
			pgllm_add_condition(conditions, (Node *) expression_planner(copyObject(constraint->check_expr)));
	}
}

static void
domain_schema(StringInfo s, Oid domain, PgLlmConditions *conditions)
{
	int32		typmod = -1;
	Oid			base = getBaseTypeAndTypmod(domain, &typmod);

	domain_conditions(domain, conditions);
	value_schema(s, base, typmod, NULL);
}

static void
composite_schema(StringInfo s, Oid type, int32 typmod)
{
	TupleDesc	desc = lookup_rowtype_tupdesc_copy(type, typmod);

	row_schema(s, desc, get_typ_typrelid(type));
}

/* a type that holds another one twice, which holds another one twice, and so on, is long before it is deep */
static void
check_length(const StringInfoData *s)
{
	if (s->len > LONGEST_SCHEMA)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the JSON Schema of a row is longer than %d bytes", LONGEST_SCHEMA),
				 errhint("Ask for a type of fewer columns, or with fewer types within types.")));
}

/* members of the schema of a type, without braces; conditions may be added to, NULL: there can be none */
static void
value_schema(StringInfo s, Oid type, int32 typmod, PgLlmConditions *conditions)
{
	Oid			element = get_element_type(type);

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (OidIsValid(element))
	{
		PgLlmConditions own = {.kind = pgllm_value_kind(getBaseType(element))};

		initStringInfo(&own.text);
		appendStringInfoString(s, "\"type\": \"array\", \"items\": {");
		value_schema(s, element, typmod, &own);
		if (own.n > 0)
			appendStringInfo(s, ", \"allOf\": [%s]", own.text.data);
		appendStringInfoChar(s, '}');
	}
	else if (get_typtype(type) == TYPTYPE_DOMAIN && conditions != NULL)
		domain_schema(s, type, conditions);
	else if (type_is_enum(type))
		enum_schema(s, type);
	else if (get_typtype(type) == TYPTYPE_COMPOSITE)
		composite_schema(s, type, typmod);
	else
		scalar_schema(s, type, typmod);
}

/* ---- rows ---- */

/* conditions of the table, as far as they speak of one column by itself */
static void
table_conditions(Relation rel, PgLlmConditions *conditions)
{
	const TupleConstr *constr = rel == NULL ? NULL : RelationGetDescr(rel)->constr;

	for (int i = 0; constr != NULL && i < constr->num_check; i++)
		pgllm_add_condition(conditions, (Node *) expression_planner(stringToNode(constr->check[i].ccbin)));
}

/* comment on a column, else on its type if that is a domain */
static char *
column_comment(Oid relid, const FormData_pg_attribute *column)
{
	char	   *comment = OidIsValid(relid) ? GetComment(relid, RelationRelationId, column->attnum) : NULL;

	if (comment == NULL && get_typtype(column->atttypid) == TYPTYPE_DOMAIN)
		comment = GetComment(column->atttypid, TypeRelationId, 0);
	return comment;
}

static void
column_schema(StringInfo s, Relation rel, Oid relid, const FormData_pg_attribute *column)
{
	PgLlmConditions conditions = {.kind = pgllm_value_kind(getBaseType(column->atttypid)), .not_null = column->attnotnull};
	char	   *comment = column_comment(relid, column);
	StringInfoData value;

	initStringInfo(&value);
	initStringInfo(&conditions.text);
	value_schema(&value, column->atttypid, column->atttypmod, &conditions);
	conditions.column = column->attnum;
	table_conditions(rel, &conditions);
	if (conditions.n > 0)
		appendStringInfo(&value, ", \"allOf\": [%s]", conditions.text.data);
	appendStringInfoChar(s, '{');
	if (comment != NULL)
	{
		appendStringInfoString(s, "\"description\": ");
		escape_json(s, comment);
		appendStringInfoString(s, ", ");
	}
	if (conditions.not_null)
		appendStringInfoString(s, value.data);
	else
		appendStringInfo(s, "\"anyOf\": [{%s}, {\"type\": \"null\"}]", value.data);
	appendStringInfoChar(s, '}');
}

/* columns that a value can be given for, each name once */
static bool
is_asked_for(TupleDesc desc, int i)
{
	const FormData_pg_attribute *column = TupleDescAttr(desc, i);

	if (column->attisdropped || column->attgenerated != '\0')
		return false;
	for (int k = 0; k < i; k++)
		if (!TupleDescAttr(desc, k)->attisdropped && strcmp(NameStr(TupleDescAttr(desc, k)->attname), NameStr(column->attname)) == 0)
			return false;
	return true;
}

static void
row_schema(StringInfo s, TupleDesc desc, Oid relid)
{
	Relation	rel = OidIsValid(relid) ? relation_open(relid, AccessShareLock) : NULL;
	StringInfoData required;
	bool		first = true;

	initStringInfo(&required);
	appendStringInfoString(s, "\"type\": \"object\", \"properties\": {");
	for (int i = 0; i < desc->natts; i++)
	{
		const FormData_pg_attribute *column = TupleDescAttr(desc, i);

		if (!is_asked_for(desc, i))
			continue;
		if (!first)
		{
			appendStringInfoString(s, ", ");
			appendStringInfoString(&required, ", ");
		}
		first = false;
		escape_json(s, NameStr(column->attname));
		escape_json(&required, NameStr(column->attname));
		appendStringInfoString(s, ": ");
		column_schema(s, rel, relid, column);
		check_length(s);
	}
	appendStringInfo(s, "}, \"required\": [%s], \"additionalProperties\": false", required.data);
	if (rel != NULL)
		relation_close(rel, NoLock);
}

void
pgllm_row_schema(StringInfo s, TupleDesc desc)
{
	Oid			relid = OidIsValid(desc->tdtypeid) && desc->tdtypeid != RECORDOID ? get_typ_typrelid(desc->tdtypeid) : InvalidOid;

	appendStringInfoChar(s, '{');
	row_schema(s, desc, relid);
	appendStringInfoChar(s, '}');
}
