/*
 * enrich_text.c: the texts of SQL that a caller gives.
 *
 * They become part of statements that run with the caller's own rights, so they can do nothing that the caller could not do.
 * But a text that closes a parenthesis which it did not open could reach beyond its place, and past the range of a chunk. So
 * each must be, by itself, what stands in a select list: then it is one expression within parentheses too.
 */
#include "enrich/enrich.h"
#include "llm_function.h"

#include "executor/spi.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "utils/plancache.h"

#define SELECT_WORD "SELECT "

/* a syntax error points into the text, not into the statement that called */
static void
point_into_text(void *text)
{
	int			at = geterrposition();

	if (at > 0)
	{
		errposition(0);
		internalerrposition(Max(at - (int) strlen(SELECT_WORD), 1));
		internalerrquery(text);
	}
}

/* a SELECT of one thing and nothing else */
static bool
selects_one_expression(List *statements)
{
	SelectStmt *select;
	ResTarget  *target;

	if (list_length(statements) != 1)
		return false;
	select = (SelectStmt *) linitial_node(RawStmt, statements)->stmt;
	if (!IsA(select, SelectStmt) || list_length(select->targetList) != 1 || select->op != SETOP_NONE)
		return false;
	if (select->distinctClause || select->intoClause || select->fromClause || select->whereClause || select->groupClause ||
		select->havingClause || select->windowClause || select->sortClause || select->limitOffset || select->limitCount ||
		select->lockingClause || select->withClause || select->valuesLists)
		return false;
	target = linitial_node(ResTarget, select->targetList);
	return target->name == NULL && target->indirection == NIL;
}

void
pgllm_enrich_check_expression(const char *what, const char *text)
{
	ErrorContextCallback callback = {.callback = point_into_text, .arg = (void *) text, .previous = error_context_stack};
	List	   *statements;

	error_context_stack = &callback;
	statements = raw_parser(psprintf(SELECT_WORD "%s\n", text), RAW_PARSE_DEFAULT);
	error_context_stack = callback.previous;
	if (!selects_one_expression(statements))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("%s is not a single SQL expression", what),
				 errdetail("It is: %s", text),
				 errhint("Give what could stand in parentheses, such as llm_classify(body, '{good,bad}')%s.",
						 strcmp(what, "where_clause") == 0 ? " = 'good'" : "")));
}

static bool
calls_model(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, calls_model, context, 0);
	if (IsA(node, FuncExpr) && pgllm_function_of(((FuncExpr *) node)->funcid) != NULL)
		return true;
	return expression_tree_walker(node, calls_model, context);
}

bool
pgllm_enrich_calls_model(const char *statement)
{
	MemoryContext context = CurrentMemoryContext;
	SPIPlanPtr	plan = SPI_prepare(statement, 0, NULL);
	bool		result = false;
	ListCell   *source;

	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", statement, SPI_result_code_string(SPI_result));
	foreach(source, SPI_plan_get_plan_sources(plan))
	{
		ListCell   *query;

		foreach(query, ((CachedPlanSource *) lfirst(source))->query_list)
			result = result || calls_model(lfirst(query), NULL);
	}
	SPI_freeplan(plan);
	MemoryContextSwitchTo(context);
	return result;
}

int64
pgllm_enrich_rows(const char *statement)
{
	MemoryContext context = CurrentMemoryContext;
	SPIPlanPtr	plan = SPI_prepare(statement, 0, NULL);
	CachedPlan *cached;
	double		rows;

	if (plan == NULL || (cached = SPI_plan_get_cached_plan(plan)) == NULL)
		elog(ERROR, "could not plan \"%s\": %s", statement, SPI_result_code_string(SPI_result));
	rows = linitial_node(PlannedStmt, cached->stmt_list)->planTree->plan_rows;
	ReleaseCachedPlan(cached, NULL);
	SPI_freeplan(plan);
	MemoryContextSwitchTo(context);
	return (int64) Min(rows, 1e15);
}

Oid
pgllm_enrich_type(const char *statement)
{
	MemoryContext context = CurrentMemoryContext;
	SPIPlanPtr	plan = SPI_prepare(statement, 0, NULL);
	Oid			type;

	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", statement, SPI_result_code_string(SPI_result));
	type = TupleDescAttr(((CachedPlanSource *) linitial(SPI_plan_get_plan_sources(plan)))->resultDesc, 0)->atttypid;
	SPI_freeplan(plan);
	MemoryContextSwitchTo(context);
	return type;
}
