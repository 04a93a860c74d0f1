/*
 * check_schema.c: CHECK conditions as JSON Schema: lists of values, ranges, lengths, patterns, and these joined by AND and OR.
 *
 * An expression becomes a schema in text, or none. Of an AND what can be said is said; of an OR all or nothing, so that a schema
 * never is narrower than the condition.
 */
#include "type_schema.h"

#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "grammar_args.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/primnodes.h"
#include "posix_regex.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "access/htup_details.h"

static bool condition(const PgLlmConditions *c, Node *expr, StringInfo out);

/* ---- the value and what it is compared with ---- */

static bool
is_number_type(Oid type)
{
	return pgllm_value_kind(type) == PGLLM_VALUE_NUMBER;
}

/* without casts that do not change what is written in JSON */
static Node *
strip_casts(Node *node)
{
	for (;;)
	{
		if (IsA(node, RelabelType))
			node = (Node *) ((RelabelType *) node)->arg;
		else if (IsA(node, FuncExpr) && list_length(((FuncExpr *) node)->args) == 1 &&
				 ((FuncExpr *) node)->funcformat == COERCE_IMPLICIT_CAST && is_number_type(((FuncExpr *) node)->funcresulttype) &&
				 is_number_type(exprType(linitial(((FuncExpr *) node)->args))))
			node = linitial(((FuncExpr *) node)->args);
		else
			return node;
	}
}

static bool
is_value(const PgLlmConditions *c, Node *node)
{
	node = strip_casts(node);
	if (IsA(node, CoerceToDomainValue))
		return c->column == 0;
	return IsA(node, Var) && c->column != 0 && ((Var *) node)->varattno == c->column;
}

/* name of a function or an operator of PostgreSQL itself, else "" */
static const char *
system_operator(Oid opno)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(opno));
	const char *name = "";

	if (!HeapTupleIsValid(tuple))
		return name;
	if (((Form_pg_operator) GETSTRUCT(tuple))->oprnamespace == PG_CATALOG_NAMESPACE)
		name = pstrdup(NameStr(((Form_pg_operator) GETSTRUCT(tuple))->oprname));
	ReleaseSysCache(tuple);
	return name;
}

static const char *
system_function(Oid funcid)
{
	return get_func_namespace(funcid) == PG_CATALOG_NAMESPACE ? get_func_name(funcid) : "";
}

/* the value's number of characters */
static bool
is_length(const PgLlmConditions *c, Node *node)
{
	const char *name;

	if (!IsA(node, FuncExpr) || list_length(((FuncExpr *) node)->args) != 1 || c->kind != PGLLM_VALUE_STRING)
		return false;
	name = system_function(((FuncExpr *) node)->funcid);
	return (strcmp(name, "length") == 0 || strcmp(name, "char_length") == 0 || strcmp(name, "character_length") == 0) &&
		is_value(c, linitial(((FuncExpr *) node)->args));
}

static char *
datum_text(Oid type, Datum value)
{
	Oid			output;
	bool		is_varlena;

	getTypeOutputInfo(type, &output, &is_varlena);
	return OidOutputFunctionCall(output, value);
}

/* a value as JSON writes it; false: it is not one that this kind of value can be compared with */
static bool
append_json(const PgLlmConditions *c, Oid type, Datum value, StringInfo out)
{
	const char *text = datum_text(type, value);

	if (pgllm_value_kind(type) != c->kind || c->kind == PGLLM_VALUE_OTHER)
		return false;
	if (c->kind == PGLLM_VALUE_STRING)
		escape_json(out, text);
	else if (strspn(text, "0123456789+-.e") != strlen(text))
		return false;			/* NaN, Infinity */
	else
		appendStringInfoString(out, text);
	return true;
}

/* ---- comparisons ---- */

static bool
append_bound(StringInfo out, const char *op, const char *of_length, const char *number)
{
	static const struct
	{
		const char *op;
		const char *keyword;
		const char *length;		/* keyword for lengths, and what is added to the number */
		int			more;
	}			bounds[] = {
		{"<", "exclusiveMaximum", "maxLength", -1}, {"<=", "maximum", "maxLength", 0}, {">", "exclusiveMinimum", "minLength", 1},
		{">=", "minimum", "minLength", 0},
	};

	for (int i = 0; i < (int) lengthof(bounds); i++)
		if (strcmp(bounds[i].op, op) == 0)
		{
			if (of_length == NULL)
				appendStringInfo(out, "{\"%s\": %s}", bounds[i].keyword, number);
			else
				appendStringInfo(out, "{\"%s\": %d}", bounds[i].length, Max(atoi(of_length) + bounds[i].more, 0));
			return true;
		}
	return false;
}

static bool
length_condition(const char *op, const Const *n, StringInfo out)
{
	const char *number;

	if (n->consttype != INT4OID)
		return false;
	number = datum_text(INT4OID, n->constvalue);
	if (strcmp(op, "=") == 0)
	{
		appendStringInfo(out, "{\"minLength\": %d, \"maxLength\": %d}", Max(atoi(number), 0), Max(atoi(number), 0));
		return true;
	}
	/* more than the last int: says nothing that fits */
	return DatumGetInt32(n->constvalue) < PG_INT32_MAX && append_bound(out, op, number, number);
}

/* a pattern that the compiler of grammars takes */
static bool
pattern_condition(const char *op, const Const *pattern, StringInfo out)
{
	const char *text = datum_text(pattern->consttype, pattern->constvalue);
	char	   *ecma = strcmp(op, "~") == 0 ? pgllm_posix_to_ecma(text) : pgllm_like_to_ecma(text);

	if (ecma == NULL || !pgllm_pattern_compiles(ecma))
		return false;
	appendStringInfoString(out, "{\"pattern\": ");
	escape_json(out, ecma);
	appendStringInfoChar(out, '}');
	return true;
}

static bool
value_condition(const PgLlmConditions *c, const char *op, const Const *other, StringInfo out)
{
	StringInfoData json;

	if (c->kind == PGLLM_VALUE_STRING && (strcmp(op, "~") == 0 || strcmp(op, "~~") == 0))
		return pattern_condition(op, other, out);
	initStringInfo(&json);
	if (!append_json(c, other->consttype, other->constvalue, &json))
		return false;
	if (strcmp(op, "=") == 0)
	{
		appendStringInfo(out, "{\"enum\": [%s]}", json.data);
		return true;
	}
	if (c->kind == PGLLM_VALUE_STRING)
	{
		if (strcmp(op, "<>") != 0 || strcmp(json.data, "\"\"") != 0)
			return false;
		appendStringInfoString(out, "{\"minLength\": 1}");
		return true;
	}
	return append_bound(out, op, NULL, json.data);
}

static bool
comparison(const PgLlmConditions *c, OpExpr *expr, StringInfo out)
{
	Oid			opno = expr->opno;
	Node	   *left;
	Node	   *right;

	if (list_length(expr->args) != 2)
		return false;
	left = linitial(expr->args);
	right = lsecond(expr->args);
	if (IsA(strip_casts(left), Const))
	{
		Node	   *swap = left;

		left = right;
		right = swap;
		opno = get_commutator(opno);
	}
	right = strip_casts(right);
	if (!OidIsValid(opno) || !IsA(right, Const) || ((Const *) right)->constisnull)
		return false;
	if (is_length(c, left))
		return length_condition(system_operator(opno), (Const *) right, out);
	return is_value(c, left) && value_condition(c, system_operator(opno), (Const *) right, out);
}

/* = ANY of an array of constants */
static bool
list_condition(const PgLlmConditions *c, ScalarArrayOpExpr *expr, StringInfo out)
{
	Node	   *list = strip_casts(lsecond(expr->args));
	Oid			element;
	int16		length;
	bool		by_value;
	char		align;
	Datum	   *values;
	bool	   *nulls;
	int			n;
	StringInfoData json;

	if (!expr->useOr || strcmp(system_operator(expr->opno), "=") != 0 || !is_value(c, linitial(expr->args)) ||
		!IsA(list, Const) || ((Const *) list)->constisnull)
		return false;
	element = get_element_type(((Const *) list)->consttype);
	if (!OidIsValid(element))
		return false;
	get_typlenbyvalalign(element, &length, &by_value, &align);
	deconstruct_array(DatumGetArrayTypeP(((Const *) list)->constvalue), element, length, by_value, align, &values, &nulls, &n);
	initStringInfo(&json);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			return false;
		appendStringInfoString(&json, i > 0 ? ", " : "");
		if (!append_json(c, element, values[i], &json))
			return false;
	}
	appendStringInfo(out, "{\"enum\": [%s]}", json.data);
	return n > 0;
}

/* ---- AND and OR ---- */

static bool
any_of(const PgLlmConditions *c, List *args, StringInfo out)
{
	StringInfoData all;
	ListCell   *cell;

	initStringInfo(&all);
	foreach(cell, args)
	{
		Node	   *arg = lfirst(cell);

		/* of a value that is not NULL the others decide */
		if (IsA(arg, NullTest) && ((NullTest *) arg)->nulltesttype == IS_NULL && is_value(c, (Node *) ((NullTest *) arg)->arg))
			continue;
		appendStringInfoString(&all, all.len > 0 ? ", " : "");
		if (!condition(c, arg, &all))
			return false;
	}
	appendStringInfo(out, "{\"anyOf\": [%s]}", all.data);
	return all.len > 0;
}

static bool
all_of(const PgLlmConditions *c, List *args, StringInfo out)
{
	StringInfoData all;
	ListCell   *cell;

	initStringInfo(&all);
	foreach(cell, args)
	{
		StringInfoData one;

		initStringInfo(&one);
		if (condition(c, lfirst(cell), &one))
			appendStringInfo(&all, "%s%s", all.len > 0 ? ", " : "", one.data);
	}
	if (all.len > 0)
		appendStringInfo(out, "{\"allOf\": [%s]}", all.data);
	return all.len > 0;
}

/* append the schema of an expression; false: none, and out may hold anything */
static bool
condition(const PgLlmConditions *c, Node *expr, StringInfo out)
{
	check_stack_depth();
	if (IsA(expr, BoolExpr) && ((BoolExpr *) expr)->boolop == OR_EXPR)
		return any_of(c, ((BoolExpr *) expr)->args, out);
	if (IsA(expr, BoolExpr) && ((BoolExpr *) expr)->boolop == AND_EXPR)
		return all_of(c, ((BoolExpr *) expr)->args, out);
	if (IsA(expr, OpExpr))
		return comparison(c, (OpExpr *) expr, out);
	if (IsA(expr, ScalarArrayOpExpr))
		return list_condition(c, (ScalarArrayOpExpr *) expr, out);
	return false;
}

void
pgllm_add_condition(PgLlmConditions *conditions, Node *expr)
{
	StringInfoData one;

	if (IsA(expr, List) || (IsA(expr, BoolExpr) && ((BoolExpr *) expr)->boolop == AND_EXPR))
	{
		List	   *args = IsA(expr, List) ? (List *) expr : ((BoolExpr *) expr)->args;
		ListCell   *cell;

		foreach(cell, args)
			pgllm_add_condition(conditions, lfirst(cell));
		return;
	}
	if (IsA(expr, NullTest) && ((NullTest *) expr)->nulltesttype == IS_NOT_NULL && is_value(conditions, (Node *) ((NullTest *) expr)->arg))
	{
		conditions->not_null = true;
		return;
	}
	initStringInfo(&one);
	if (condition(conditions, expr, &one))
		appendStringInfo(&conditions->text, "%s%s", conditions->n++ > 0 ? ", " : "", one.data);
}
