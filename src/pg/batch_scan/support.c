/*
 * support.c: what the planner is told of our functions: rows of set-returning ones, and costs.
 *
 * A call costs thousands of operators, which is little for what it takes, but enough for the planner to evaluate it late and
 * seldom; true costs would let one call decide between plans of a whole query. Generation is scaled by the tokens allowed.
 */
#include "batch_scan/batch_scan.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/syscache.h"

#define DEFAULT_MAX_TOKENS 256
#define LEAST_SCALE 0.1
#define LARGEST_SCALE 4.0

/* the function that a node calls, NULL: none of ours */
static const PgLlmFunction *
function_of(Node *node)
{
	return node != NULL && IsA(node, FuncExpr) ? pgllm_function_of(((FuncExpr *) node)->funcid) : NULL;
}

/* a row for each element of an array */
static Node *
estimate_rows(SupportRequestRows *request)
{
	const PgLlmFunction *function = function_of(request->node);
	Node	   *array;

	if (function == NULL || function->rows_arg == 0 || list_length(((FuncExpr *) request->node)->args) <= function->rows_arg)
		return NULL;
	array = list_nth(((FuncExpr *) request->node)->args, function->rows_arg);
	if (IsA(array, Const) && !((Const *) array)->constisnull)
	{
		ArrayType  *value = DatumGetArrayTypeP(((Const *) array)->constvalue);

		request->rows = ArrayGetNItems(ARR_NDIM(value), ARR_DIMS(value));
	}
	else if (IsA(array, ArrayExpr))
		request->rows = list_length(((ArrayExpr *) array)->elements);
	else
		return NULL;
	return (Node *) request;
}

static Node *
estimate_cost(SupportRequestCost *request)
{
	const PgLlmFunction *function = function_of(request->node);
	double		scale;
	Node	   *max_tokens;
	HeapTuple	tuple;

	if (function == NULL || function->max_tokens_arg == 0 || list_length(((FuncExpr *) request->node)->args) <= function->max_tokens_arg)
		return NULL;
	max_tokens = list_nth(((FuncExpr *) request->node)->args, function->max_tokens_arg);
	if (!IsA(max_tokens, Const) || ((Const *) max_tokens)->constisnull)
		return NULL;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(request->funcid));
	if (!HeapTupleIsValid(tuple))
		return NULL;
	scale = (double) DatumGetInt32(((Const *) max_tokens)->constvalue) / DEFAULT_MAX_TOKENS;
	scale = Min(Max(scale, LEAST_SCALE), LARGEST_SCALE);
	request->startup = 0;
	request->per_tuple = ((Form_pg_proc) GETSTRUCT(tuple))->procost * cpu_operator_cost * scale;
	ReleaseSysCache(tuple);
	return (Node *) request;
}

Node *
pgllm_support_estimate(Node *request)
{
	if (IsA(request, SupportRequestRows))
		return estimate_rows((SupportRequestRows *) request);
	if (IsA(request, SupportRequestCost))
		return estimate_cost((SupportRequestCost *) request);
	return NULL;
}
