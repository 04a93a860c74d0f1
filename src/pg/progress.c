/*
 * progress.c: an array of slots in shared memory, one for a session that runs models, taken at its first long statement and
 * given back when the process ends. One lock guards all of it; a session writes a few times per second.
 *
 * The process title is the server's, with what we say behind it; it is put back when the statement ends.
 */
#include "progress.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/backend_status.h"
#include "utils/ps_status.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#define PUBLISH_INTERVAL_US 200000
#define TITLE_BYTES 256

typedef struct ProgressArray
{
	int			n;
	PgLlmProgress slots[FLEXIBLE_ARRAY_MEMBER];
} ProgressArray;

static ProgressArray *array = NULL;
static LWLock *array_lock = NULL;
static PgLlmProgress *own_slot = NULL;

/* of this session's statement */
static PgLlmProgress now_at = {.rows_done = -1, .rows_expected = -1};

/* rows of the batch node that is shown, and of the transactions before; done < 0: there are none */
typedef struct Rows
{
	int64		done;
	int64		expected;
	double		per_call;
} Rows;

static const void *shown_node = NULL;
static Rows of_node = {-1, -1, 0};
static Rows of_job = {-1, -1, 0};
static bool published = false;
static instr_time last_publish;	/* or, before the first, the first tick */
static char title[TITLE_BYTES]; /* the server's; empty: it is as the server wants it */

/* ---- shared memory ---- */

Size
pgllm_progress_bytes(void)
{
	return add_size(offsetof(ProgressArray, slots), mul_size(sizeof(PgLlmProgress), MaxBackends));
}

void
pgllm_progress_attach(LWLock *lock)
{
	bool		known;

	array = ShmemInitStruct("pg_llm progress", pgllm_progress_bytes(), &known);
	array_lock = lock;
	if (known)
		return;
	memset(array, 0, pgllm_progress_bytes());
	array->n = MaxBackends;
}

static void
leave_slot(int code, Datum arg)
{
	LWLockAcquire(array_lock, LW_EXCLUSIVE);
	own_slot->pid = 0;
	LWLockRelease(array_lock);
	own_slot = NULL;
}

/* with the lock held; true if this process has one now, and did not before */
static bool
take_slot(void)
{
	for (int i = 0; own_slot == NULL && i < array->n; i++)
	{
		if (array->slots[i].pid != 0)
			continue;
		own_slot = &array->slots[i];
		own_slot->pid = MyProcPid;
		return true;
	}
	return false;
}

static void
write_slot(void)
{
	bool		taken;

	if (array == NULL)
		return;
	LWLockAcquire(array_lock, LW_EXCLUSIVE);
	taken = take_slot();
	if (own_slot != NULL)
	{
		*own_slot = now_at;
		own_slot->pid = MyProcPid;
	}
	LWLockRelease(array_lock);
	if (taken)
		before_shmem_exit(leave_slot, (Datum) 0);
}

int
pgllm_progress_list(PgLlmProgress **out)
{
	int			n = 0;

	*out = palloc(sizeof(PgLlmProgress) * (array != NULL ? array->n : 1));
	if (array == NULL)
		return 0;
	LWLockAcquire(array_lock, LW_SHARED);
	for (int i = 0; i < array->n; i++)
		if (array->slots[i].pid != 0 && array->slots[i].phase != PGLLM_PHASE_NONE)
			(*out)[n++] = array->slots[i];
	LWLockRelease(array_lock);
	return n;
}

/* ---- process title ---- */

static void
show_title(void)
{
	char		text[TITLE_BYTES + 128];
	int			len;
	const char *shown;

	if (!update_process_title)
		return;
	if (title[0] == '\0')
	{
		shown = get_ps_display(&len);
		strlcpy(title, shown, Min((size_t) len + 1, sizeof title));
	}
	if (now_at.phase == PGLLM_PHASE_LOADING)
		snprintf(text, sizeof text, "%s pg_llm: loading %s", title, now_at.model);
	else if (now_at.rows_expected > 0)
		snprintf(text, sizeof text, "%s pg_llm: row %lld of %lld", title, (long long) now_at.rows_done, (long long) now_at.rows_expected);
	else
		snprintf(text, sizeof text, "%s pg_llm: row %lld", title, (long long) now_at.rows_done);
	set_ps_display(text);
}

static void
restore_title(void)
{
	if (title[0] != '\0')
		set_ps_display(title);
	title[0] = '\0';
}

/* ---- publishing ---- */

/* without a batch node rows are counted when they are answered; a job's are those before and these */
static void
fill_rows(const PgLlmTotals *totals)
{
	now_at.rows_done = of_node.done >= 0 ? of_node.done : (int64) totals->rows;
	now_at.rows_expected = of_node.expected;
	if (of_job.done < 0)
		return;
	now_at.rows_done = of_job.done + Max(of_node.done, 0);
	now_at.rows_expected = of_job.expected < 0 ? -1 : Max(of_job.expected, now_at.rows_done);
}

static void
publish(void)
{
	PgLlmTotals totals = *pgllm_statement_totals();

	now_at.rows_under_way = of_node.per_call * pgllm_stats_under_way(&totals);
	now_at.pid = MyProcPid;
	now_at.role = GetSessionUserId();
	now_at.database = MyDatabaseId;
	now_at.query_id = (uint64) pgstat_get_my_query_id();
	now_at.prompt_tokens = totals.prompt_tokens;
	now_at.cached_tokens = totals.cached_tokens;
	now_at.output_tokens = totals.output_tokens;
	now_at.updated = GetCurrentTimestamp();
	if (now_at.started == 0)
		now_at.started = now_at.updated;
	fill_rows(&totals);
	write_slot();
	show_title();
	published = true;
	INSTR_TIME_SET_CURRENT(last_publish);
}

void
pgllm_progress_loading(const char *model)
{
	now_at.phase = PGLLM_PHASE_LOADING;
	strlcpy(now_at.model, model, sizeof now_at.model);
	now_at.function[0] = '\0';
	publish();
}

void
pgllm_progress_loaded(void)
{
	/* rates are those of computing, so time begins with it */
	if (pgllm_statement_totals()->calls == 0)
		now_at.started = 0;
	now_at.phase = PGLLM_PHASE_NONE;
	write_slot();
	restore_title();
}

void
pgllm_progress_rows(const void *node, int64 done, int64 expected, double rows_per_call)
{
	const bool	busy = shown_node != NULL && of_node.done < of_node.expected;

	if (busy && node != shown_node && expected <= of_node.expected)
		return;
	shown_node = node;
	of_node = (Rows) {done, expected, rows_per_call};
}

void
pgllm_progress_job(int64 done, int64 expected)
{
	of_job = (Rows) {done, done < 0 ? -1 : expected, 0};
	if (done < 0)
		return;
	now_at.phase = PGLLM_PHASE_BATCH;
	publish();
}

void
pgllm_progress_tick(const char *model, const char *function)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	if (INSTR_TIME_IS_ZERO(last_publish))
		last_publish = now;
	if (now_at.started == 0)
		now_at.started = GetCurrentTimestamp();
	INSTR_TIME_SUBTRACT(now, last_publish);
	if (INSTR_TIME_GET_MICROSEC(now) < PUBLISH_INTERVAL_US && (of_job.done < 0 || now_at.function[0] != '\0'))
		return;
	now_at.phase = of_node.done >= 0 ? PGLLM_PHASE_BATCH : PGLLM_PHASE_ROWS;
	strlcpy(now_at.model, model, sizeof now_at.model);
	strlcpy(now_at.function, function, sizeof now_at.function);
	publish();
	pgllm_stats_flush();
}

void
pgllm_progress_end(void)
{
	shown_node = NULL;
	of_node = (Rows) {-1, -1, 0};
	/* between the transactions of a job it stays where it is; most statements have run no model */
	if (of_job.done >= 0 || (INSTR_TIME_IS_ZERO(last_publish) && !published))
		return;
	memset(&now_at, 0, sizeof now_at);
	now_at.rows_done = now_at.rows_expected = -1;
	INSTR_TIME_SET_ZERO(last_publish);
	if (!published)
		return;
	published = false;
	if (own_slot != NULL)
	{
		LWLockAcquire(array_lock, LW_EXCLUSIVE);
		own_slot->phase = PGLLM_PHASE_NONE;
		LWLockRelease(array_lock);
	}
	restore_title();
}

/* ---- wait events ---- */

uint32
pgllm_wait_compute(void)
{
	static uint32 event = 0;

	if (event == 0)
		event = PGLLM_WAIT_EVENT("LlmCompute");
	return event;
}

uint32
pgllm_wait_load(void)
{
	static uint32 event = 0;

	if (event == 0)
		event = PGLLM_WAIT_EVENT("LlmLoad");
	return event;
}
