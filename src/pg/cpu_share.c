/*
 * cpu_share.c: processors are shared by the sessions that compute: of n, each uses an n-th of the threads, at least one.
 *
 * Sessions note in a small mapped file, beside the pack files, that they compute right now; so they know of each other with
 * and without preloading, and servers that share a machine and that folder do too. The note is made for each step of the
 * scheduler, so that a session's share follows what others do within some milliseconds. Results do not depend on it.
 *
 * The file is an array of slots, one for a process. All changes are atomic and nothing waits. A process that was killed while it
 * computed leaves its note; whoever counts more than itself looks now and then whether the others are alive.
 * If the file cannot be made or has no slot left, a session computes as if it were alone.
 */
#include "cache_folder.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/ipc.h"

#define N_SLOTS 1024
#define FILE_NAME "cpu_share"
#define LOOK_INTERVAL_US 100000

typedef struct ShareSlot
{
	atomic_int	pid;			/* 0: free */
	atomic_int	computing;
} ShareSlot;

static ShareSlot *slots = NULL;
static ShareSlot *own = NULL;

/* ---- the file ---- */

static ShareSlot *
map_file(const char *path)
{
	const size_t size = N_SLOTS * sizeof(ShareSlot);
	int			fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
	struct stat st;
	void	   *map = MAP_FAILED;

	if (fd < 0)
		return NULL;
	/*
	 * It only ever grows to this size, so a map of it stays whole; all zeros is an empty array. Its place on disk is taken now: a
	 * write to a map that finds the disk full would kill the server.
	 */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && posix_fallocate(fd, 0, (off_t) size) == 0)
		map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return map == MAP_FAILED ? NULL : map;
}

static bool
is_alive(int pid)
{
	return kill(pid, 0) == 0 || errno != ESRCH;
}

/* a free slot, or one of a process that is gone */
static ShareSlot *
take_slot(void)
{
	for (int i = 0; i < N_SLOTS; i++)
	{
		int			pid = atomic_load(&slots[i].pid);

		if ((pid == 0 || pid == MyProcPid || !is_alive(pid)) && atomic_compare_exchange_strong(&slots[i].pid, &pid, MyProcPid))
		{
			atomic_store(&slots[i].computing, 0);
			return &slots[i];
		}
	}
	return NULL;
}

static void
leave_at_exit(int code, Datum arg)
{
	atomic_store(&own->computing, 0);
	atomic_store(&own->pid, 0);
}

static void
join_once(void)
{
	static bool tried = false;

	if (tried)
		return;
	tried = true;
	slots = map_file(psprintf("%s/%s", pgllm_folder_open(), FILE_NAME));
	own = slots ? take_slot() : NULL;
	if (own)
		on_proc_exit(leave_at_exit, (Datum) 0);
	else
		elog(DEBUG1, "pg_llm: sessions that compute are not counted");
}

/* ---- counting ---- */

/* take away the notes of processes that are gone; now and then */
static void
look_after_others(void)
{
	static instr_time last;
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	if (!INSTR_TIME_IS_ZERO(last))
	{
		instr_time	since = now;

		INSTR_TIME_SUBTRACT(since, last);
		if (INSTR_TIME_GET_MICROSEC(since) < LOOK_INTERVAL_US)
			return;
	}
	last = now;
	for (int i = 0; i < N_SLOTS; i++)
	{
		int			pid = atomic_load(&slots[i].pid);

		/* a new owner that takes the slot in between notes itself again with its next step */
		if (pid != 0 && atomic_load(&slots[i].computing) && !is_alive(pid))
			atomic_store(&slots[i].computing, 0);
	}
}

static int
count_computing(void)
{
	int			n = 0;

	for (int i = 0; i < N_SLOTS; i++)
		n += atomic_load_explicit(&slots[i].computing, memory_order_relaxed) != 0;
	return n;
}

int
pgllm_cpu_share_begin(int threads)
{
	int			n;

	join_once();
	if (own == NULL)
		return threads;
	atomic_store(&own->computing, 1);
	n = count_computing();
	if (n > 1)
		look_after_others();
	return n > 1 ? Max(1, (threads + n - 1) / n) : threads;
}

void
pgllm_cpu_share_end(void)
{
	if (own)
		atomic_store(&own->computing, 0);
}
