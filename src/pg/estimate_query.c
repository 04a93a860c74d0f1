/*
 * estimate_query.c: what llm_estimate runs of a query: the part that reads, without what could have effects.
 *
 * Volatile functions of others become NULL before planning, so nothing is done that a query could do beside reading.
 */
#include "estimate.h"

#include "batch_scan/batch_plan.h"

#include "catalog/dependency.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "tcop/tcopprot.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

void
pgllm_estimate_refuse(const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s", message),
			 errhint("%s", hint)));
}

/* volatile, and known to change nothing */
static bool
is_harmless(Oid funcid)
{
	return funcid == PGLLM_F_RANDOM || funcid == F_CLOCK_TIMESTAMP || funcid == F_TIMEOFDAY || funcid == F_GEN_RANDOM_UUID;
}

static void
check_own_function(Oid funcid)
{
	Oid			extension = get_extension_oid("pg_llm", true);

	if (OidIsValid(extension) && getExtensionOfObject(ProcedureRelationId, funcid) == extension)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("llm_estimate() cannot tell what %s() takes", get_func_name(funcid)),
				 errhint("Estimate the query without it, or with a function that answers row by row.")));
}

/* a row of NULLs cannot stand for one whose columns only the function knows */
static void
check_row_is_known(Oid funcid, Oid type)
{
	if (type == RECORDOID && get_func_result_type(funcid, NULL, NULL) == TYPEFUNC_COMPOSITE)
		pgllm_estimate_refuse(psprintf("llm_estimate() cannot estimate a query with volatile function %s(), which returns a row", get_func_name(funcid)),
			   "Put what it returns into a table, and estimate the query over that.");
}

static bool
is_volatile(Oid funcid, void *context)
{
	return func_volatile(funcid) == PROVOLATILE_VOLATILE;
}

static bool
is_null(Node *expr)
{
	Node	   *value = eval_const_expressions(NULL, expr);

	return IsA(value, Const) && ((Const *) value)->constisnull;
}

/* a call whose input is NULL now would count for nothing, and the estimate would be far too low */
static void
check_input_is_known(const FuncExpr *before, const FuncExpr *call)
{
	const PgLlmFunction *function = pgllm_function_of(call->funcid);

	for (int i = 0; function != NULL && i < list_length(call->args); i++)
	{
		Node	   *old = list_nth(before->args, i);
		Node	   *new = list_nth(call->args, i);
		int			no = IsA(new, NamedArgExpr) ? ((NamedArgExpr *) new)->argnumber : i;

		if ((function->required_args & (1u << no)) == 0 || equal(old, new))
			continue;
		if (IsA(new, NamedArgExpr))
		{
			old = (Node *) ((NamedArgExpr *) old)->arg;
			new = (Node *) ((NamedArgExpr *) new)->arg;
		}
		if (is_null(new) && !is_null(old))
			pgllm_estimate_refuse(psprintf("llm_estimate() cannot tell what %s() takes for what a volatile function returns",
										   get_func_name(call->funcid)),
								  "Declare that function STABLE or IMMUTABLE if it is, or put what it returns into a table, and estimate the query over that.");
	}
}

/* NULL in place of what may have effects */
static Node *
without_effects(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, without_effects, context, 0);
	if (IsA(node, NextValueExpr))
		return (Node *) makeNullConst(((NextValueExpr *) node)->typeId, -1, InvalidOid);
	if (IsA(node, FuncExpr))
	{
		FuncExpr   *call = (FuncExpr *) node;

		if (func_volatile(call->funcid) == PROVOLATILE_VOLATILE && pgllm_function_of(call->funcid) == NULL && !is_harmless(call->funcid))
		{
			check_own_function(call->funcid);
			check_row_is_known(call->funcid, call->funcresulttype);
			return (Node *) makeNullConst(call->funcresulttype, -1, call->funccollid);
		}
		call = (FuncExpr *) expression_tree_mutator(node, without_effects, context);
		check_input_is_known((FuncExpr *) node, call);
		return (Node *) call;
	}
	if ((IsA(node, OpExpr) || IsA(node, DistinctExpr) || IsA(node, NullIfExpr) || IsA(node, ScalarArrayOpExpr)) &&
		check_functions_in_node(node, is_volatile, NULL))
		return (Node *) makeNullConst(exprType(node), -1, exprCollation(node));
	return expression_tree_mutator(node, without_effects, context);
}

Query *
pgllm_estimate_analyze(const char *sql)
{
	static const char one_query[] = "Give one SELECT, INSERT, UPDATE, DELETE or MERGE.";
	List	   *raw = pg_parse_query(sql);
	List	   *queries;
	Query	   *query;

	if (list_length(raw) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("query has %d statements, not one", list_length(raw)),
				 errhint("%s", one_query)));
	queries = pg_analyze_and_rewrite_fixedparams(linitial(raw), sql, NULL, 0, NULL);
	if (list_length(queries) != 1)
		pgllm_estimate_refuse("llm_estimate() cannot estimate a query that rules make several or none of", one_query);
	query = linitial(queries);
	if (query->commandType == CMD_UTILITY)
		pgllm_estimate_refuse("llm_estimate() cannot estimate a utility statement",
							  "Give one SELECT, INSERT, UPDATE, DELETE or MERGE; for CALL llm_enrich() the UPDATE that it stands for.");
	if (query->hasModifyingCTE)
		pgllm_estimate_refuse("llm_estimate() cannot estimate a query that modifies data in WITH", "Estimate its parts one by one.");
	return (Query *) without_effects((Node *) query, NULL);
}

static Plan *
without_locks(Plan *child, Plan *parent, void *context)
{
	while (child != NULL && IsA(child, LockRows))
		child = outerPlan(child);
	if (child != NULL)
		pgllm_plan_map(child, without_locks, context);
	return child;
}

/* the part of a plan that reads */
PlannedStmt *
pgllm_estimate_reading_part(const PlannedStmt *stmt)
{
	PlannedStmt *part = palloc(sizeof(PlannedStmt));
	ListCell   *cell;

	*part = *stmt;
	part->commandType = CMD_SELECT;
	part->hasReturning = false;
	part->resultRelations = NIL;
	if (IsA(part->planTree, ModifyTable))
		part->planTree = outerPlan(part->planTree);
	part->planTree = without_locks(part->planTree, NULL, NULL);
	foreach(cell, part->subplans)
		lfirst(cell) = without_locks(lfirst(cell), NULL, NULL);
	return part;
}
