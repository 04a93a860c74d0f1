/*
 * enrich_chunk.c: a chunk of rows: computed by one SELECT, written back row by row.
 *
 * Computing: rows come in the order of their keys and are kept as they come. If a row's error ends the SELECT, rows that had
 * come are kept, the next one is tried alone to learn which row it was, and a SELECT goes on behind it; answers that were
 * computed ahead are found in the statement's memo. So one bad row costs a few statements, and no answer is paid twice.
 *
 * Writing: each row by its key, and only if it is the version that was read (tableoid and xmin): whoever changed it meanwhile
 * gave it another xmin. Then it is computed anew, alone; if what the model reads is unchanged, the answer is in the memo. All
 * of it is tried in one subtransaction first, and row by row if one of them raises.
 */
#include "enrich/enrich.h"

#include "access/sysattr.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "llm_call.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* a row that others change again and again is left to a later try */
#define MAX_TRIES 5

typedef struct Row
{
	Datum	   *key;
	Oid			table;
	TransactionId xmin;
	Datum		value;
	bool		is_null;
	ErrorData  *error;			/* NULL: none */
	bool		missed;			/* the UPDATE found no such version */
} Row;

typedef struct Run
{
	PgLlmEnrich *call;
	const PgLlmEnrichTarget *target;
	const PgLlmEnrichChunk *chunk;
	MemoryContext context;
	List	   *rows;			/* of Row */
	const Datum *after;			/* of the rows to come, beside what the chunk says */
	Row		   *only;			/* the row of this key alone; NULL: all of the chunk */
	bool		first_only;
	bool		without_value;	/* the expression is left out */
	const char *cast;			/* "::type" or nothing, behind the expression */
	Oid			value_type;
	int16		value_len;
	bool		value_by_value;
	SPIPlanPtr	update;
	Row		   *writing;		/* by write_one; NULL: all rows */
	int64		n_skipped;
} Run;

/* ---- computing ---- */

typedef struct Receiver
{
	DestReceiver pub;
	Run		   *run;
	List	   *rows;
} Receiver;

static void
receive_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	Run		   *run = ((Receiver *) self)->run;

	run->value_type = TupleDescAttr(desc, desc->natts - 1)->atttypid;
	get_typlenbyval(run->value_type, &run->value_len, &run->value_by_value);
}

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	Receiver   *receiver = (Receiver *) self;
	Run		   *run = receiver->run;
	int			n_keys = run->target->n_keys;
	MemoryContext old = MemoryContextSwitchTo(run->context);
	Row		   *row = palloc0(sizeof(Row));

	slot_getallattrs(slot);
	row->key = pgllm_enrich_key_copy(run->target, slot->tts_values);
	row->table = DatumGetObjectId(slot->tts_values[n_keys]);
	row->xmin = DatumGetTransactionId(slot->tts_values[n_keys + 1]);
	row->is_null = slot->tts_isnull[n_keys + 2];
	if (!row->is_null && run->value_len == -1)
		row->value = PointerGetDatum(PG_DETOAST_DATUM_COPY(slot->tts_values[n_keys + 2]));
	else if (!row->is_null)
		row->value = datumCopy(slot->tts_values[n_keys + 2], run->value_by_value, run->value_len);
	receiver->rows = lappend(receiver->rows, row);
	MemoryContextSwitchTo(old);
	return true;
}

static void
receive_nothing(DestReceiver *self)
{
}

static void
write_select(const Run *run, PgLlmStatement *s)
{
	const PgLlmEnrichTarget *target = run->target;
	const Datum *after = run->after != NULL ? run->after : run->chunk->after;

	pgllm_statement_init(s);
	pgllm_statement_add(s, "SELECT %s, %s.tableoid, %s.xmin, (\n%s\n)%s FROM %s WHERE true", target->key_list, target->qualifier,
						target->qualifier, run->without_value ? "NULL" : run->call->expression, run->without_value ? "" : run->cast, target->table);
	if (after != NULL && run->only == NULL)
	{
		pgllm_statement_add(s, " AND ");
		pgllm_statement_compare(s, target, ">", after);
	}
	if (run->chunk->upto != NULL && run->only == NULL)
	{
		pgllm_statement_add(s, " AND ");
		pgllm_statement_compare(s, target, "<=", run->chunk->upto);
	}
	if (run->chunk->keys != NIL || run->only != NULL)
	{
		pgllm_statement_add(s, " AND ");
		pgllm_statement_one_of(s, target, run->only != NULL ? list_make1(run->only->key) : run->chunk->keys);
	}
	if (run->call->where != NULL)
		pgllm_statement_add(s, " AND (\n%s\n)", run->call->where);
	pgllm_statement_add(s, " ORDER BY %s%s", target->key_list, run->first_only ? " LIMIT 1" : "");
}

/*
 * What an UPDATE fits to its column because of where it stands there, a literal without type or ROW(…), becomes text or a record
 * in a SELECT, which cannot be assigned any more; so it is cast.
 */
static const char *
needed_cast(const PgLlmEnrich *call, const PgLlmEnrichTarget *target)
{
	Oid			type = pgllm_enrich_type(psprintf("SELECT (\n%s\n) FROM %s", call->expression, target->table));

	if (type != target->column_type && (type == RECORDOID || !can_coerce_type(1, &type, &target->column_type, COERCION_ASSIGNMENT)))
		return psprintf("::%s", format_type_be_qualified(target->column_type));
	return "";
}

/* rows that the SELECT gives; those that came before an error are there too */
static void
select_rows(void *arg)
{
	Run		   *run = ((Receiver *) arg)->run;
	PgLlmStatement s;
	SPIExecuteOptions options = {.read_only = false, .dest = arg};

	write_select(run, &s);
	options.params = pgllm_statement_params(&s);
	if (SPI_execute_extended(s.sql.data, &options) < 0)
		elog(ERROR, "could not execute \"%s\"", s.sql.data);
}

static ErrorData *
try_select(Run *run, List **rows)
{
	Receiver   *receiver = palloc0(sizeof(Receiver));
	ErrorData  *error;

	receiver->pub.receiveSlot = receive_row;
	receiver->pub.rStartup = receive_startup;
	receiver->pub.rShutdown = receive_nothing;
	receiver->pub.rDestroy = receive_nothing;
	receiver->pub.mydest = DestTuplestore;
	receiver->run = run;
	error = pgllm_enrich_trap(select_rows, receiver, false);
	*rows = receiver->rows;
	return error;
}

static void
add_rows(Run *run, List *rows)
{
	run->rows = list_concat(run->rows, rows);
	if (rows != NIL)
		run->after = ((Row *) llast(rows))->key;
}

/* the first row that is left raised: which one it is, without the expression; an error of WHERE is not a row's */
static Row *
first_key(Run *run, ErrorData *error)
{
	List	   *rows;
	Oid			value_type = run->value_type;
	ErrorData  *again;

	run->without_value = true;
	again = try_select(run, &rows);
	run->without_value = false;
	run->value_type = value_type;
	if (again != NULL)
		ReThrowError(again);
	if (rows == NIL)
		return NULL;			/* it was deleted meanwhile */
	((Row *) linitial(rows))->error = error;
	return linitial(rows);
}

/* after an error: rows alone, up to the one that raises */
static void
find_failing(Run *run)
{
	List	   *rows;
	ErrorData  *error;

	run->first_only = true;
	while ((error = try_select(run, &rows)) == NULL && rows != NIL)
	{
		add_rows(run, rows);
		CHECK_FOR_INTERRUPTS();
	}
	if (error != NULL)
	{
		Row		   *row = first_key(run, error);

		if (row != NULL)
			add_rows(run, list_make1(row));
	}
	run->first_only = false;
}

static void
compute(Run *run)
{
	List	   *rows;

	for (;;)
	{
		ErrorData  *error = try_select(run, &rows);

		add_rows(run, rows);
		if (error == NULL)
			return;
		FreeErrorData(error);
		find_failing(run);
		if (run->call->on_error == PGLLM_ENRICH_ERROR && run->rows != NIL && ((Row *) llast(run->rows))->error != NULL)
			return;				/* nothing behind it is of use */
		CHECK_FOR_INTERRUPTS();
	}
}

/* ---- writing ---- */

static SPIPlanPtr
prepare_update(Run *run)
{
	const PgLlmEnrichTarget *target = run->target;
	PgLlmStatement s;
	Datum		no_key[PGLLM_ENRICH_KEYS] = {0};
	SPIPlanPtr	plan;

	pgllm_statement_init(&s);
	pgllm_statement_add(&s, "UPDATE %s SET %s = ", target->table, target->column);
	pgllm_statement_param(&s, run->value_type, (Datum) 0);
	pgllm_statement_add(&s, " WHERE ");
	pgllm_statement_compare(&s, target, "=", no_key);
	pgllm_statement_add(&s, " AND %s.tableoid OPERATOR(pg_catalog.=) ", target->qualifier);
	pgllm_statement_param(&s, OIDOID, (Datum) 0);
	pgllm_statement_add(&s, " AND %s.xmin OPERATOR(pg_catalog.=) ", target->qualifier);
	pgllm_statement_param(&s, XIDOID, (Datum) 0);
	if (run->call->where != NULL)
		pgllm_statement_add(&s, " AND (\n%s\n)", run->call->where);
	plan = SPI_prepare(s.sql.data, s.n, s.types);
	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", s.sql.data, SPI_result_code_string(SPI_result));
	return plan;
}

static void
write_row(Run *run, Row *row)
{
	int			n_keys = run->target->n_keys;
	Datum		values[PGLLM_ENRICH_KEYS + 3];
	char		nulls[PGLLM_ENRICH_KEYS + 3];

	memset(nulls, ' ', sizeof(nulls));
	nulls[0] = row->is_null ? 'n' : ' ';
	values[0] = row->value;
	memcpy(&values[1], row->key, sizeof(Datum) * n_keys);
	values[n_keys + 1] = ObjectIdGetDatum(row->table);
	values[n_keys + 2] = TransactionIdGetDatum(row->xmin);
	if (SPI_execute_plan(run->update, values, nulls, false, 0) < 0)
		elog(ERROR, "could not update");
	row->missed = SPI_processed == 0;
}

static void
write_rows(void *arg)
{
	Run		   *run = arg;
	ListCell   *cell;

	if (run->update == NULL)
		run->update = prepare_update(run);
	if (run->writing != NULL)
	{
		write_row(run, run->writing);
		return;
	}
	foreach(cell, run->rows)
	{
		Row		   *row = lfirst(cell);

		if (row->error == NULL)
			write_row(run, row);
	}
}

/* one row, or all; conflicts with other transactions are tried again */
static ErrorData *
try_write(Run *run, Row *row)
{
	ErrorData  *error;
	int			tries = 0;

	do
	{
		run->writing = row;
		run->update = NULL;
		error = pgllm_enrich_trap(write_rows, run, true);
		if (run->update != NULL)
			SPI_freeplan(run->update);
	} while (error != NULL && ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK) &&
			 ++tries < MAX_TRIES);
	return error;
}

/* the row as it is now; false if it is gone or not wanted any more */
static bool
compute_again(Run *run, Row *row)
{
	List	   *rows;
	Row		   *now;

	run->only = row;
	row->error = try_select(run, &rows);
	run->only = NULL;
	if (row->error != NULL)
		return true;
	if (rows == NIL)
		return false;
	now = linitial(rows);
	if (now->xmin == row->xmin && now->table == row->table)
		row->error = pgllm_enrich_error(ERRCODE_TRIGGERED_ACTION_EXCEPTION, "a trigger or a policy kept the row from being written",
										"Look for BEFORE UPDATE triggers and row security policies of the table.");
	row->value = now->value;
	row->is_null = now->is_null;
	row->xmin = now->xmin;
	row->table = now->table;
	return true;
}

/* a row that was changed while it was computed, until it is written */
static void
write_again(Run *run, Row *row)
{
	for (int tries = 0; row->missed && row->error == NULL; tries++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!compute_again(run, row))
		{
			run->n_skipped++;
			return;
		}
		if (row->error == NULL && tries == MAX_TRIES)
			row->error = pgllm_enrich_error(ERRCODE_T_R_SERIALIZATION_FAILURE, "the row was changed each time while it was computed",
											"Try it again when it is changed less often.");
		if (row->error == NULL)
			row->error = try_write(run, row);
	}
}

/* with on_error null, a row that failed gets NULL; what keeps NULL from being written stays an error */
static void
write_null(Run *run, Row *row)
{
	row->value = (Datum) 0;
	row->is_null = true;
	row->error = NULL;
	row->error = try_write(run, row);
	write_again(run, row);
}

static void
write_back(Run *run)
{
	ErrorData  *error;
	ListCell   *cell;

	if (run->rows == NIL)
		return;
	error = try_write(run, NULL);
	foreach(cell, run->rows)
	{
		Row		   *row = lfirst(cell);

		if (row->error == NULL && error != NULL)
			row->error = try_write(run, row);
		if (row->error == NULL && row->missed)
			write_again(run, row);
		if (row->error != NULL && run->call->on_error == PGLLM_ENRICH_ERROR)
			return;
	}
}

/* ---- outcome ---- */

static void
count(Run *run, int64 *n_written, List **failures, const Datum **rest_after, ErrorData **error)
{
	ListCell   *cell;
	const Datum *last = run->chunk->after;

	*n_written = 0;
	foreach(cell, run->rows)
	{
		Row		   *row = lfirst(cell);

		if (row->error != NULL && run->call->on_error == PGLLM_ENRICH_ERROR)
		{
			*error = row->error;
			*rest_after = last;
			return;
		}
		last = row->key;
		if (row->error == NULL)
			*n_written += row->missed ? 0 : 1;
		else
		{
			PgLlmEnrichFailure *failure = palloc(sizeof(PgLlmEnrichFailure));

			failure->key = row->key;
			failure->error = row->error;
			*failures = lappend(*failures, failure);
		}
	}
}

ErrorData *
pgllm_enrich_run(PgLlmEnrich *call, const PgLlmEnrichTarget *target, const PgLlmEnrichChunk *chunk)
{
	Run			run = {.call = call, .target = target, .chunk = chunk, .context = CurrentMemoryContext, .value_type = target->column_type};
	int			level = NewGUCNestLevel();
	uint64		tokens = pgllm_tokens_spent();
	List	   *failures = NIL;
	const Datum *rest_after = NULL;
	ErrorData  *error = NULL;
	int64		n_written;
	ListCell   *cell;

	/* what a row's own trouble leads to is said by the call, not by the setting */
	(void) set_config_option("pg_llm.on_error", "error", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	run.cast = needed_cast(call, target);
	compute(&run);
	write_back(&run);
	foreach(cell, run.rows)
		if (((Row *) lfirst(cell))->error != NULL && call->on_error == PGLLM_ENRICH_NULL)
		{
			call->n_failed++;
			write_null(&run, lfirst(cell));
		}
	AtEOXact_GUC(true, level);
	count(&run, &n_written, &failures, &rest_after, &error);
	/* failed rows that are gone, or not wanted any more */
	if (chunk->keys != NIL && error == NULL)
		run.n_skipped += list_length(chunk->keys) - list_length(run.rows);
	if (error == NULL || rest_after != NULL)
		pgllm_enrich_note(call, target, chunk, n_written, run.n_skipped, (int64) (pgllm_tokens_spent() - tokens), failures, rest_after);
	call->n_written += n_written;
	call->n_skipped += run.n_skipped;
	call->n_failed += list_length(failures);
	return error;
}
