/*
 * eval_rows.c: the rows of an evaluation: a query of the caller, run once and kept.
 *
 * They are kept so that all models are asked about the same rows, even if the query takes them at random, and so that no text
 * of the caller becomes a part of a statement of ours.
 */
#include "eval/eval.h"

#include "executor/executor.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"

static void
refuse(int code, const char *message)
{
	ereport(ERROR,
			(errcode(code),
			 errmsg("%s", message),
			 errhint("Give one SELECT that only reads, with columns \"input\" and \"expected\".")));
}

TupleDesc
pgllm_eval_columns(const char *sql)
{
	List	   *raw = pg_parse_query(sql);
	List	   *queries;
	Query	   *query;

	if (list_length(raw) != 1)
		refuse(ERRCODE_INVALID_PARAMETER_VALUE, psprintf("query has %d statements, not one", list_length(raw)));
	queries = pg_analyze_and_rewrite_fixedparams(linitial(raw), sql, NULL, 0, NULL);
	if (list_length(queries) != 1)
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED, "query is made several or none by rules");
	query = linitial(queries);
	if (query->commandType != CMD_SELECT)
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED, "query is not a SELECT");
	if (query->hasModifyingCTE)
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED, "query modifies data in WITH");
	if (query->rowMarks != NIL)
		refuse(ERRCODE_FEATURE_NOT_SUPPORTED, "query locks rows");
	return ExecCleanTypeFromTL(query->targetList);
}

void
pgllm_eval_rows_read(const char *sql, PgLlmEvalRows *rows)
{
	SPIExecuteOptions options = {.read_only = false};
	EphemeralNamedRelation relation = palloc0(sizeof(EphemeralNamedRelationData));

	rows->store = tuplestore_begin_heap(true, false, work_mem);
	options.dest = CreateDestReceiver(DestTuplestore);
	SetTuplestoreDestReceiverParams(options.dest, rows->store, CurrentMemoryContext, true, NULL, NULL);
	if (SPI_execute_extended(sql, &options) < 0)
		elog(ERROR, "could not execute \"%s\"", sql);
	rows->n_rows = (double) tuplestore_tuple_count(rows->store);

	relation->md.name = PGLLM_EVAL_ROWS;
	relation->md.tupdesc = rows->desc;
	relation->md.enrtype = ENR_NAMED_TUPLESTORE;
	relation->md.enrtuples = rows->n_rows;
	relation->reldata = rows->store;
	if (SPI_register_relation(relation) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register the rows of an evaluation");
}
