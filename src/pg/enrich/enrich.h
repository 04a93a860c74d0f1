/*
 * enrich.h: CALL llm_enrich: an expression over the rows of a table, written into a column, chunk by chunk.
 *
 * A job is what a role asked for: table, column, expression, WHERE. Its rows are taken in the order of a key, in chunks. A
 * chunk is a range of keys and belongs to one session at a time, which
 *
 *   claims it     the range goes on where the last one ended; a row in llm_job_chunks, and a lock on that row's number
 *   computes      a SELECT over the range, through the batch node; no row is locked
 *   writes back   an UPDATE of each row, if it still is the version that was read; else the row is computed anew
 *   finishes      the chunk's row goes, failing rows are noted, in the transaction that writes
 *
 * and each of these is committed. So what is written is never computed again, and a session that ends in the middle leaves a
 * chunk without lock, which the next one takes over. The lock is a session's lock of the default lock method, as VACUUM
 * holds one across its transactions: it ends with an error or with the session, and nothing has to be cleaned up.
 *
 *   fn_enrich.c      SQL procedures: arguments, the loop over chunks, notices
 *   enrich_text.c    are the caller's texts single expressions; do they call models; their type
 *   enrich_target.c  the table, its key, and statements over it
 *   enrich_jobs.c    the tables of jobs, chunks and failures, which only the extension's owner can read
 *   enrich_chunk.c   a chunk: compute and write back
 *   enrich_trap.c    errors of rows
 */
#ifndef PGLLM_ENRICH_H
#define PGLLM_ENRICH_H

#include "pg_llm.h"

#include "access/attnum.h"
#include "lib/stringinfo.h"
#include "nodes/params.h"
#include "nodes/pg_list.h"
#include "utils/array.h"

typedef enum PgLlmEnrichOnError
{
	PGLLM_ENRICH_LOG,			/* the row stays as it is, and is noted in llm_job_failures */
	PGLLM_ENRICH_ERROR,			/* the call ends; rows before it are written */
	PGLLM_ENRICH_NULL			/* the row gets NULL */
} PgLlmEnrichOnError;

/* a call, from arguments to counters; lives until its end */
typedef struct PgLlmEnrich
{
	MemoryContext context;
	Oid			role;			/* who called: owner of the job */
	Oid			relid;
	char	   *column;			/* of NAMEDATALEN bytes */
	char	   *expression;
	char	   *where;			/* NULL: all rows */
	bool		where_calls_model;
	int			batch_rows;
	int64		token_limit;	/* 0: none */
	PgLlmEnrichOnError on_error;
	int64		job;
	int64		rows_expected;	/* by the planner, -1: not known */
	int64		n_written;		/* by this call, as the other counters */
	int64		n_failed;
	int64		n_skipped;		/* gone, or not wanted any more, when they were to be written */
	uint64		tokens_before;	/* what this session had spent */
} PgLlmEnrich;

/* ---- enrich_text.c ---- */

/* raises unless the text is one SQL expression and nothing else; what: its name in messages */
extern void pgllm_enrich_check_expression(const char *what, const char *text);

/* whether a statement calls one of the functions that run a model, as far as one can see; SPI is connected */
extern bool pgllm_enrich_calls_model(const char *statement);

/* rows of a SELECT by the planner's estimate; SPI is connected */
extern int64 pgllm_enrich_rows(const char *statement);

/* type of the one column of a SELECT; SPI is connected */
extern Oid	pgllm_enrich_type(const char *statement);

/* ---- enrich_target.c ---- */

#define PGLLM_ENRICH_KEYS 8

typedef struct PgLlmEnrichKey
{
	char	   *column;
	Oid			type;
	int16		len;
	bool		by_value;
	char		align;
} PgLlmEnrichKey;

/* the table as a transaction finds it, locked until its end */
typedef struct PgLlmEnrichTarget
{
	char	   *table;			/* quoted, with schema */
	char	   *qualifier;		/* quoted, as columns are qualified by it */
	char	   *column;			/* quoted */
	Oid			column_type;
	int			n_keys;
	PgLlmEnrichKey keys[PGLLM_ENRICH_KEYS];
	char	   *key_list;		/* quoted and qualified, with commas */
	char	   *operators;		/* quoted schema of the operators that compare keys */
} PgLlmEnrichTarget;

/* raises if there is no such table or column, or rows cannot be taken and written one by one */
extern PgLlmEnrichTarget *pgllm_enrich_target_open(const PgLlmEnrich *call);

/* raises what an UPDATE of the column with the expression would raise before its first row */
extern void pgllm_enrich_target_check(const PgLlmEnrich *call, const PgLlmEnrichTarget *target);

/* names of the key's columns as text[] */
extern ArrayType *pgllm_enrich_key_columns(const PgLlmEnrichTarget *target);

/* a key as text[] and back, the same for every session's settings */
extern ArrayType *pgllm_enrich_key_out(const PgLlmEnrichTarget *target, const Datum *key);
extern Datum *pgllm_enrich_key_in(const PgLlmEnrichTarget *target, ArrayType *key_text);
extern Datum *pgllm_enrich_key_copy(const PgLlmEnrichTarget *target, const Datum *key);

/* a statement with its parameters, while it is written */
typedef struct PgLlmStatement
{
	StringInfoData sql;
	int			n;
	Oid			types[4 * PGLLM_ENRICH_KEYS];
	Datum		values[4 * PGLLM_ENRICH_KEYS];
} PgLlmStatement;

extern void pgllm_statement_init(PgLlmStatement *s);
extern void pgllm_statement_add(PgLlmStatement *s, const char *format,...) pg_attribute_printf(2, 3);
extern void pgllm_statement_param(PgLlmStatement *s, Oid type, Datum value);	/* writes $n */
extern ParamListInfo pgllm_statement_params(const PgLlmStatement *s);

/* writes a comparison of the row's key with one: op is >, <= or = */
extern void pgllm_statement_compare(PgLlmStatement *s, const PgLlmEnrichTarget *target, const char *op, const Datum *key);

/* writes that the row's key is one of a list of Datum * */
extern void pgllm_statement_one_of(PgLlmStatement *s, const PgLlmEnrichTarget *target, List *keys);

/* ---- enrich_jobs.c ---- */

/* rows that a session works on */
typedef struct PgLlmEnrichChunk
{
	int64		number;			/* 0: a list of failed rows */
	Datum	   *after;			/* NULL: from the first row */
	Datum	   *upto;
	List	   *keys;			/* of Datum *, if it is such a list */
	List	   *key_texts;		/* the same as ArrayType * */
} PgLlmEnrichChunk;

/* a row that failed, to be noted */
typedef struct PgLlmEnrichFailure
{
	Datum	   *key;
	ErrorData  *error;
} PgLlmEnrichFailure;

/* find the unfinished job of this call, or begin one: fills call->job. *resumed: it was there */
extern void pgllm_enrich_job_open(PgLlmEnrich *call, const PgLlmEnrichTarget *target, bool *resumed);

/*
 * Fill the call's table, column and texts from a job; raises if it is not of a role that the caller has. To run: it must be
 * the caller's own, so that nobody's expression runs with the rights of another one.
 */
extern void pgllm_enrich_job_load(PgLlmEnrich *call, int64 job, bool to_run);

/* a chunk of at most so many rows, locked for this session; false: there is none that is not being worked on */
extern bool pgllm_enrich_claim(PgLlmEnrich *call, const PgLlmEnrichTarget *target, int max_rows, PgLlmEnrichChunk *chunk);

/* after that: mark the job as done and return 0, or return the number of a chunk that others work on */
extern int64 pgllm_enrich_job_close(PgLlmEnrich *call);

/* until the session that works on a chunk is done with it */
extern void pgllm_enrich_wait(int64 chunk);

/* failing rows noted before a moment, at most so many; false: none */
extern bool pgllm_enrich_take_failed(PgLlmEnrich *call, const PgLlmEnrichTarget *target, int max_rows, int64 before,
									 PgLlmEnrichChunk *chunk);

/* raises if another session tries the failed rows of this job; else it is this session that does */
extern void pgllm_enrich_lock_failed(const PgLlmEnrich *call);
extern void pgllm_enrich_unlock_failed(const PgLlmEnrich *call);

/*
 * Note what came of a chunk: counts, and failures (PgLlmEnrichFailure). The chunk is finished, or, if rest_after is a key, what
 * is left of it begins there.
 */
extern void pgllm_enrich_note(PgLlmEnrich *call, const PgLlmEnrichTarget *target, const PgLlmEnrichChunk *chunk,
							  int64 n_written, int64 n_skipped, int64 tokens, List *failures, const Datum *rest_after);

/* after the commit: others may take what is left of it */
extern void pgllm_enrich_release(const PgLlmEnrichChunk *chunk);

/* ---- enrich_chunk.c ---- */

/* compute a chunk and write it back, in this transaction; an error that ends the call is returned, to be raised after the commit */
extern ErrorData *pgllm_enrich_run(PgLlmEnrich *call, const PgLlmEnrichTarget *target, const PgLlmEnrichChunk *chunk);

/* ---- enrich_trap.c ---- */

/*
 * Run a step in a subtransaction; NULL if it raised nothing, else a row's error, in the current memory context, and nothing of
 * the step is left. Other errors (cancel, no memory, no such model, …) are raised.
 */
extern ErrorData *pgllm_enrich_trap(void (*step) (void *arg), void *arg, bool writes);

/* an error of a row that no step raised */
extern ErrorData *pgllm_enrich_error(int code, const char *message, const char *hint);

#endif
