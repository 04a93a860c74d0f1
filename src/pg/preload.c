/*
 * preload.c: models that are in the shared cache before anybody asks (pg_llm.preload_models).
 *
 * When the server is ready for reading, a launcher starts a background worker for one after the other, which connects to
 * its database, loads the model as a session would, and ends. A model that cannot be loaded is one message in the log and no
 * reason to stop anything. The launcher stays, without a database: when all processes are started anew after one of them
 * crashed, it is too, and loads again into the cache that is empty then. A worker that had ended would not come back.
 */
#include "shared_cache.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/memutils.h"
#include "utils/varlena.h"
#include "utils/wait_event.h"

extern PGDLLEXPORT void pgllm_preload_launcher(Datum arg);
extern PGDLLEXPORT void pgllm_preload_main(Datum arg);

/* after an error of the launcher itself */
#define RESTART_SECONDS 60

static char *preload_models = NULL;

/* 'database.model' in two; false if it is no such thing */
static bool
split_entry(const char *entry, char *database, char *model)
{
	const char *dot = strchr(entry, '.');
	size_t		n = dot ? (size_t) (dot - entry) : 0;

	if (n == 0 || n >= NAMEDATALEN || dot[1] == '\0' || strlen(dot + 1) >= NAMEDATALEN)
		return false;
	memcpy(database, entry, n);
	database[n] = '\0';
	strlcpy(model, dot + 1, NAMEDATALEN);
	return true;
}

static bool
split_setting(const char *value, List **entries)
{
	char	   *copy = pstrdup(value);
	ListCell   *cell;

	if (!SplitGUCList(copy, ',', entries))
		return false;
	foreach(cell, *entries)
	{
		char		database[NAMEDATALEN];
		char		model[NAMEDATALEN];

		if (!split_entry(lfirst(cell), database, model))
			return false;
	}
	return true;
}

static bool
check_preload_models(char **newval, void **extra, GucSource source)
{
	List	   *entries;

	if (*newval == NULL || split_setting(*newval, &entries))
		return true;
	GUC_check_errdetail("It must be a list of database.model, separated by commas.");
	return false;
}

static void
fill_worker(BackgroundWorker *worker, const char *function, const char *name)
{
	memset(worker, 0, sizeof *worker);
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS;
	worker->bgw_start_time = BgWorkerStart_ConsistentState;
	strlcpy(worker->bgw_library_name, "pg_llm", sizeof(worker->bgw_library_name));
	strlcpy(worker->bgw_function_name, function, sizeof(worker->bgw_function_name));
	strlcpy(worker->bgw_name, name, sizeof(worker->bgw_name));
	strlcpy(worker->bgw_type, "pg_llm preload", sizeof(worker->bgw_type));
}

void
pgllm_preload_init(void)
{
	BackgroundWorker worker;

	if (!process_shared_preload_libraries_in_progress)
		return;
	DefineCustomStringVariable("pg_llm.preload_models",
							   "Models that are loaded into the shared cache when the server starts.",
							   "A list of database.model. One after the other, each by a background worker.",
							   &preload_models, "", PGC_POSTMASTER, GUC_LIST_INPUT, check_preload_models, NULL, NULL);
	if (preload_models == NULL || preload_models[strspn(preload_models, " ,")] == '\0')
		return;
	fill_worker(&worker, "pgllm_preload_launcher", "pg_llm preload launcher");
	worker.bgw_restart_time = RESTART_SECONDS;
	RegisterBackgroundWorker(&worker);
}

/* a worker that loads, and ends; the launcher waits for it */
static void
load_entry(const char *entry)
{
	BackgroundWorker worker;
	BackgroundWorkerHandle *handle;
	char		name[BGW_MAXLEN];

	snprintf(name, sizeof name, "pg_llm preload %s", entry);
	fill_worker(&worker, "pgllm_preload_main", name);
	worker.bgw_flags |= BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	strlcpy(worker.bgw_extra, entry, sizeof(worker.bgw_extra));
	if (!RegisterDynamicBackgroundWorker(&worker, &handle))
	{
		ereport(WARNING,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not load \"%s\" of pg_llm.preload_models: no background worker is free", entry),
				 errhint("Set max_worker_processes higher, or load it by llm_load().")));
		return;
	}
	if (WaitForBackgroundWorkerShutdown(handle) == BGWH_POSTMASTER_DIED)
		proc_exit(1);
	pfree(handle);
}

/* loads all, and sleeps: it is there so that a restart after a crash, which empties the cache, starts it again */
void
pgllm_preload_launcher(Datum arg)
{
	List	   *entries = NIL;
	ListCell   *cell;

	pqsignal(SIGTERM, die);
	/* sets the latch when a worker has ended; ignored by default in a worker without a database */
	pqsignal(SIGUSR1, procsignal_sigusr1_handler);
	BackgroundWorkerUnblockSignals();
	CurrentMemoryContext = TopMemoryContext;
	if (split_setting(preload_models, &entries))
		foreach(cell, entries)
			load_entry(lfirst(cell));
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

void
pgllm_preload_main(Datum arg)
{
	char		database[NAMEDATALEN];
	char		model[NAMEDATALEN];

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	if (!split_entry(MyBgworkerEntry->bgw_extra, database, model))
		proc_exit(0);
	BackgroundWorkerInitializeConnection(database, NULL, 0);
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	(void) pgllm_model_open(cstring_to_text(model));
	PopActiveSnapshot();
	CommitTransactionCommand();
	proc_exit(0);
}
