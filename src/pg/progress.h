/*
 * progress.h: what a session's statement does with models right now: the view llm_stat_progress, the process title, and the
 * wait events of pg_stat_activity.
 *
 * The view needs shared memory, so it is empty unless the library is preloaded. A statement shows itself after a fifth of a
 * second and then as often; short ones leave nothing behind. A job of many transactions shows itself at once, and stays.
 */
#ifndef PGLLM_PROGRESS_H
#define PGLLM_PROGRESS_H

#include "call_stats.h"

#include "datatype/timestamp.h"
#include "storage/lwlock.h"

typedef enum PgLlmPhase
{
	PGLLM_PHASE_NONE = 0,		/* no model is in use */
	PGLLM_PHASE_LOADING,		/* a model is opened: read and packed, or waited for */
	PGLLM_PHASE_BATCH,			/* a batch node computes ahead */
	PGLLM_PHASE_ROWS			/* a call alone */
} PgLlmPhase;

typedef struct PgLlmProgress
{
	int			pid;			/* 0: nobody's */
	PgLlmPhase	phase;
	Oid			role;			/* of the session, as in pg_stat_activity */
	Oid			database;
	uint64		query_id;
	char		model[NAMEDATALEN];
	char		function[NAMEDATALEN];	/* empty while loading */
	int64		rows_done;
	int64		rows_expected;	/* -1: not known */
	double		rows_under_way; /* what calls that run now have done of more rows */
	uint64		prompt_tokens;
	uint64		cached_tokens;
	uint64		output_tokens;
	TimestampTz started;		/* first step of the statement; while loading, when that began */
	TimestampTz updated;
} PgLlmProgress;

/* a model is being opened; end says that it is, or that it failed. At once, as it may take minutes. */
extern void pgllm_progress_loading(const char *model);
extern void pgllm_progress_loaded(void);

/*
 * A batch node has done so many rows of so many, and each call that it runs is that part of a row. Of several nodes the one is
 * shown that has most rows to do.
 */
extern void pgllm_progress_rows(const void *node, int64 done, int64 expected, double rows_per_call);

/*
 * The statement is one of many transactions that do so many rows (-1: not known), and have done these before; done < 0: it is
 * not any more, as after an error.
 */
extern void pgllm_progress_job(int64 done, int64 expected);

/* the model has made a step for that function */
extern void pgllm_progress_tick(const char *model, const char *function);

/* the statement, or the transaction, has ended */
extern void pgllm_progress_end(void);

/* of all sessions, palloc'd */
extern int	pgllm_progress_list(PgLlmProgress **out);

/* wait events, for pgstat_report_wait_start */
extern uint32 pgllm_wait_compute(void);
extern uint32 pgllm_wait_load(void);

/* ---- in shared memory (shared_memory.c) ---- */
extern Size pgllm_progress_bytes(void);
extern void pgllm_progress_attach(LWLock *lock);

#endif
