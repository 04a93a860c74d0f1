/*
 * guc.c: the settings pg_llm.*. docs/settings.md explains each.
 *
 * What protects the server (where files are read and written, memory, ceiling of threads, kernels) is for superusers;
 * how a session wants its answers is for everybody. All exist with and without shared_preload_libraries.
 */
#include "result_cache.h"

#include <limits.h>

#include "kernels.h"
#include "access/parallel.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#define MAX_THREADS 1024

char	   *pgllm_default_model = NULL;
char	   *pgllm_default_embedding_model = NULL;
char	   *pgllm_default_rerank_model = NULL;
char	   *pgllm_model_path = NULL;
char	   *pgllm_cache_path = NULL;
int			pgllm_threads = 0;
int			pgllm_memory_limit_kb = 0;
int			pgllm_batching = PGLLM_BATCHING_ON;
int			pgllm_batch_tokens = 512;
bool		pgllm_defer_filters_on = true;
bool		pgllm_prefix_cache = true;
int			pgllm_result_cache = PGLLM_RESULTS_STATEMENT;
int			pgllm_statement_token_limit = 0;
int			pgllm_on_error = PGLLM_ON_ERROR_ERROR;
int			pgllm_truncate = PGLLM_TRUNCATE_ERROR;
char	   *pgllm_cpu_kernels = NULL;

static int	max_threads = 0;

static const struct config_enum_entry on_error_options[] = {
	{"error", PGLLM_ON_ERROR_ERROR, false},
	{"null", PGLLM_ON_ERROR_NULL, false},
	{NULL, 0, false}
};

static const struct config_enum_entry batching_options[] = {
	{"off", PGLLM_BATCHING_OFF, false},
	{"on", PGLLM_BATCHING_ON, false},
	{"eager", PGLLM_BATCHING_EAGER, false},
	{"false", PGLLM_BATCHING_OFF, true},
	{"true", PGLLM_BATCHING_ON, true},
	{NULL, 0, false}
};

static const struct config_enum_entry result_cache_options[] = {
	{"off", PGLLM_RESULTS_OFF, false},
	{"statement", PGLLM_RESULTS_STATEMENT, false},
	{"shared", PGLLM_RESULTS_SHARED, false},
	{NULL, 0, false}
};

static const struct config_enum_entry truncate_options[] = {
	{"error", PGLLM_TRUNCATE_ERROR, false},
	{"tail", PGLLM_TRUNCATE_TAIL, false},
	{"middle", PGLLM_TRUNCATE_MIDDLE, false},
	{NULL, 0, false}
};

int
pgllm_thread_count(void)
{
	static int	cpus = 0;
	int			ceiling;

	if (cpus == 0)
		cpus = llm_cpu_count();
	ceiling = max_threads > 0 ? max_threads : cpus;
	return pgllm_threads > 0 ? Min(pgllm_threads, ceiling) : Min(cpus, ceiling);
}

/* who asks for what is not there is told; what the server's or a role's configuration says is taken as "statement" then */
static bool
check_result_cache(int *newval, void **extra, GucSource source)
{
	if (*newval != PGLLM_RESULTS_SHARED || source != PGC_S_SESSION || pgllm_result_cache_exists() || IsParallelWorker())
		return true;
	GUC_check_errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE);
	GUC_check_errdetail("There is no shared result cache.");
	GUC_check_errhint("Put pg_llm into shared_preload_libraries, set pg_llm.result_cache_size above 0, and restart the server.");
	return false;
}

/* a level that this build holds and this processor can run, or auto */
static bool
check_cpu_kernels(char **newval, void **extra, GucSource source)
{
	char		known[256] = "auto";
	size_t		len = strlen(known);

	if (llmk_select(*newval, llmk_cpu_features()) != NULL)
		return true;
	for (int i = 0; i < llmk_level_count(); i++)
	{
		const LlmKernels *level = llmk_level(i);

		if ((level->required & ~llmk_cpu_features()) == 0)
			len += snprintf(known + len, len < sizeof(known) ? sizeof(known) - len : 0, ", %s", level->name);
	}
	GUC_check_errdetail("This is no CPU level that this processor can run.");
	GUC_check_errhint("Possible here: %s.", known);
	return false;
}

void
pgllm_guc_init(void)
{
	char		share_path[MAXPGPATH];
	char	   *default_model_path;

	get_share_path(my_exec_path, share_path);
	default_model_path = MemoryContextStrdup(TopMemoryContext, psprintf("%s/pg_llm", share_path));

	DefineCustomStringVariable("pg_llm.default_model",
							   "Model that functions use when none is named.",
							   NULL, &pgllm_default_model, "", PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("pg_llm.default_embedding_model",
							   "Model that embedding functions use when none is named.",
							   NULL, &pgllm_default_embedding_model, "", PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("pg_llm.default_rerank_model",
							   "Model that reranking functions use when none is named.",
							   NULL, &pgllm_default_rerank_model, "", PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("pg_llm.model_path",
							   "Folder that relative paths of models start from.",
							   "Outside the data directory; every role that may create models can read models below it.",
							   &pgllm_model_path, default_model_path, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("pg_llm.cache_path",
							   "Folder of packed weights, which all sessions map.",
							   "A relative path starts from the data directory. Base backups skip a name that begins with pgsql_tmp.",
							   &pgllm_cache_path, "pgsql_tmp_pg_llm", PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pg_llm.threads",
							"Threads that a session computes with.",
							"0: as many as CPUs that the server process may use. At most pg_llm.max_threads.",
							&pgllm_threads, 0, 0, MAX_THREADS, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pg_llm.max_threads",
							"Ceiling of pg_llm.threads.",
							"0: as many as CPUs that the server process may use.",
							&max_threads, 0, 0, MAX_THREADS, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pg_llm.memory_limit",
							"Memory of its own that a session may take for models.",
							"Key/value cache, activations, vocabularies; packed weights are mapped and shared, and not counted. 0: no limit.",
							&pgllm_memory_limit_kb, 2 * 1024 * 1024, 0, INT_MAX, PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomEnumVariable("pg_llm.batching",
							 "Sends rows through the model together.",
							 "on; eager: also for actions of MERGE and ON CONFLICT, which may not come about. Results are the same without.",
							 &pgllm_batching, PGLLM_BATCHING_ON, batching_options, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("pg_llm.defer_filters",
							 "Moves filters that run a model above joins that leave fewer rows.",
							 NULL, &pgllm_defer_filters_on, true, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pg_llm.batch_tokens",
							"Tokens of one step of the model at most.",
							NULL, &pgllm_batch_tokens, 512, 1, 65536, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("pg_llm.prefix_cache",
							 "Keeps the beginnings of prompts for later prompts that begin alike.",
							 "Until the end of the transaction; results are the same without.",
							 &pgllm_prefix_cache, true, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("pg_llm.result_cache",
							 "Who shares the answers of equal calls.",
							 "off: nobody; statement: the calls of a statement; shared: all sessions.",
							 &pgllm_result_cache, PGLLM_RESULTS_STATEMENT, result_cache_options, PGC_USERSET, 0,
							 check_result_cache, NULL, NULL);
	DefineCustomIntVariable("pg_llm.statement_token_limit",
							"Tokens of prompts and answers that a statement may take.",
							"A statement that needs more ends by an error. 0: no limit.",
							&pgllm_statement_token_limit, 0, 0, INT_MAX, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("pg_llm.on_error",
							 "What happens when a row's own data cannot be answered.",
							 "error: the statement fails; null: the row gets NULL, and one WARNING at the end says how many.",
							 &pgllm_on_error, PGLLM_ON_ERROR_ERROR, on_error_options, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("pg_llm.truncate",
							 "What happens to a text that is longer than the model's context.",
							 "error: trouble of that row; tail: its end is cut off; middle: its middle is.",
							 &pgllm_truncate, PGLLM_TRUNCATE_ERROR, truncate_options, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("pg_llm.cpu_kernels",
							   "CPU level that computes.",
							   "auto takes the best; all levels give the same results.",
							   &pgllm_cpu_kernels, "auto", PGC_SUSET, 0, check_cpu_kernels, NULL, NULL);
	MarkGUCPrefixReserved("pg_llm");
}
