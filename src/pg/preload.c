/*
 * preload.c: models that are in the shared cache before anybody asks (pg_llm.preload_models).
 *
 * For each a background worker connects to its database when the server is ready for reading, loads the model as a session
 * would, and ends. A model that cannot be loaded is one message in the log and no reason to stop anything.
 */
#include "shared_cache.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/varlena.h"

extern PGDLLEXPORT void pgllm_preload_main(Datum arg);

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
register_worker(const char *entry)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "pg_llm", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "pgllm_preload_main", sizeof(worker.bgw_function_name));
	snprintf(worker.bgw_name, BGW_MAXLEN, "pg_llm preload %s", entry);
	strlcpy(worker.bgw_type, "pg_llm preload", sizeof(worker.bgw_type));
	strlcpy(worker.bgw_extra, entry, sizeof(worker.bgw_extra));
	RegisterBackgroundWorker(&worker);
}

void
pgllm_preload_init(void)
{
	List	   *entries = NIL;
	ListCell   *cell;

	if (!process_shared_preload_libraries_in_progress)
		return;
	DefineCustomStringVariable("pg_llm.preload_models",
							   "Models that are loaded into the shared cache when the server starts.",
							   "A list of database.model. Each takes a background worker for as long as loading lasts.",
							   &preload_models, "", PGC_POSTMASTER, GUC_LIST_INPUT, check_preload_models, NULL, NULL);
	if (!split_setting(preload_models, &entries))
		return;
	foreach(cell, entries)
		register_worker(lfirst(cell));
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
