/*
 * shared_memory.c: room in main shared memory for statistics, progress and the result cache, asked for when the server starts.
 *
 * Each of these has a lock of its own. Without preloading nothing is here, and each does what its file says for that case.
 */
#include "shared_memory.h"

#include "progress.h"
#include "result_cache.h"
#include "stat_table.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#define TRANCHE "pg_llm"

enum
{
	LOCK_STATS,
	LOCK_PROGRESS,
	LOCK_RESULTS,
	N_LOCKS
};

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void
request_memory(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(pgllm_stat_table_bytes());
	RequestAddinShmemSpace(pgllm_progress_bytes());
	RequestAddinShmemSpace(pgllm_result_cache_bytes());
	RequestNamedLWLockTranche(TRANCHE, N_LOCKS);
}

static void
startup_memory(void)
{
	LWLockPadded *locks;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	locks = GetNamedLWLockTranche(TRANCHE);
	pgllm_stat_table_attach(&locks[LOCK_STATS].lock);
	pgllm_progress_attach(&locks[LOCK_PROGRESS].lock);
	pgllm_result_cache_attach(&locks[LOCK_RESULTS].lock);
	LWLockRelease(AddinShmemInitLock);
}

void
pgllm_shared_memory_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	pgllm_stat_table_settings();
	pgllm_result_cache_settings();
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_memory;
}
