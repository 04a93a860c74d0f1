/*
 * eval.h: evaluation of models on rows that say what was expected (llm_eval, llm_compare).
 *
 * The caller's query runs once, and its rows are kept. For each model one SELECT over these rows, which this extension writes, calls
 * the function of the task; so a batch node computes all rows together. What it gives is counted row by row.
 *
 * Columns of the query are arguments of the task's function by name, beside input and expected. Options are such arguments
 * too, the same for all rows; those that are none become the function's own options.
 */
#ifndef PGLLM_EVAL_H
#define PGLLM_EVAL_H

#include "pg_llm.h"

#include "access/tupdesc.h"
#include "nodes/params.h"
#include "utils/tuplestore.h"

/* ---- rows (eval_rows.c) ---- */

#define PGLLM_EVAL_ROWS "llm_eval_rows" /* name of the kept rows in statements */

typedef struct PgLlmEvalRows
{
	TupleDesc	desc;
	Tuplestorestate *store;
	double		n_rows;
} PgLlmEvalRows;

/* raises unless the text is one query that only reads */
extern TupleDesc pgllm_eval_columns(const char *sql);

/* run it, with the caller's rights, in a transaction that reads only. SPI is connected. */
extern void pgllm_eval_rows_read(const char *sql, PgLlmEvalRows *rows);

/* ---- tasks (eval_task.c) ---- */

typedef enum PgLlmTaskKind
{
	PGLLM_TASK_CLASSIFY,
	PGLLM_TASK_FILTER,
	PGLLM_TASK_GENERATE,
	PGLLM_TASK_EXTRACT
} PgLlmTaskKind;

/* columns of a task's statement: one row for each of the rows; for classify one for each of its labels, or one with NULL */
enum
{
	PGLLM_EVAL_NO,				/* bigint */
	PGLLM_EVAL_HAS_INPUT,		/* boolean */
	PGLLM_EVAL_EXPECTED,		/* text */
	PGLLM_EVAL_ANSWER,			/* text; NULL: none */
	PGLLM_EVAL_PROBABILITY,		/* float8, of the answer, or NULL */
	PGLLM_EVAL_SCORE,			/* float8, what the row counts, where that is not whether answer and expected are equal */
	PGLLM_EVAL_F1,				/* float8, of DROP */
	PGLLM_EVAL_COLUMNS
};

typedef struct PgLlmTask
{
	PgLlmTaskKind kind;
	const char *name;
	int			model_kinds;	/* PGLLM_KIND_* */
	bool		has_f1;
	char	   *sql;
	ParamListInfo params;		/* the first is the model's name, put in by the caller */
} PgLlmTask;

extern bool pgllm_task_has_classes(const PgLlmTask *task);

/*
 * The statement of a task over these rows. schema: where the extension's functions are; options: a JSON object, or NULL.
 * SPI is connected and has the rows. Raises if a column or an option will not do.
 */
extern PgLlmTask *pgllm_task_create(const char *name, const PgLlmEvalRows *rows, const char *schema, const text *options);

#endif
