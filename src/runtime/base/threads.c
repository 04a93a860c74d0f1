/*
 * threads.c: the worker pool.
 *
 * A run is published in one word, `state`: a run number, a bit that says whether the run may be joined, and the count
 * of workers inside. The calling thread writes the description of the work, opens the run, takes pieces like everybody
 * else, closes the run when no piece is left, and waits for the workers inside. A worker enters by raising the count
 * in an open run, and only then reads the description. So a worker that the system has not scheduled in time was never
 * inside, and nobody waits for it: a busy neighbour on a core costs its share and not more.
 *
 * Between runs a worker spins for some tens of microseconds (decoding calls every few), then sleeps on `state` by futex.
 * The caller waits for workers inside in the same way, on `state` too. Neither yields: the scheduler lets a yielding
 * thread wait for a whole time slice, but runs a woken one soon.
 *
 * A scheduler that finds no idle core likes to wake a worker on the core of the caller that woke it, and to leave it
 * there, where it only takes turns with the caller. So a worker that finds itself on the caller's core moves away.
 *
 * A worker that loses its core inside a run holds up the caller for whole time slices. When that happened (the caller
 * waited long, and no worker used the time), the caller works alone for a few times as long, so that on a crowded machine
 * a pool is little slower than one thread.
 *
 * Only the process that made a pool has its workers: after a fork, the copy in the child does all work in the calling
 * thread.
 */
#include "base/threads.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 1024
#define WORKER_STACK_BYTES ((size_t) 1 << 20)

/* how long to spin before sleeping, and how often a worker may move to another core */
#define WORKER_SPIN_NS 40000
#define CALLER_SPIN_NS 20000
#define MOVE_INTERVAL_NS 1000000

/* a wait of the caller from which on it looks whether workers were running, and how long it then works alone */
#define STALL_NS 500000
#define ALONE_FACTOR 4
#define ALONE_MAX_NS 200000000

/* the parts of `state` */
#define STATE_INSIDE_MASK ((uint32_t) 0x7FF)	/* workers inside the run */
#define STATE_OPEN ((uint32_t) 0x800)			/* further workers may enter */
#define STATE_RUN_ONE ((uint32_t) 0x1000)		/* the run number counts above */

_Static_assert(MAX_THREADS <= STATE_INSIDE_MASK, "count of workers inside");

typedef struct LlmWorker
{
	LlmPool    *pool;
	pthread_t	handle;
	int			thread;			/* 1 .. n_threads - 1 */
	int64_t		moved_ns;		/* when it last moved, or tried to; its own */
	int64_t		used_ns;		/* CPU time at two moments; the caller's */
	int64_t		used_before_ns;
} LlmWorker;

struct LlmPool
{
	/* written by the caller outside of runs, read by workers inside one */
	_Alignas(64) LlmPieceFn fn;
	void	   *arg;
	int64_t		n;
	int64_t		piece;
	uint64_t	n_pieces;
	atomic_int	caller_cpu;		/* core of the caller when the run began */
	atomic_uint max_inside;		/* workers that may take part */

	/* the next piece to take */
	_Alignas(64) atomic_uint_fast64_t next;

	/* futex of workers between runs and of the caller at the end of one */
	_Alignas(64) atomic_uint state;
	atomic_uint n_sleeping;		/* workers about to sleep or asleep on state */
	atomic_uint caller_sleeping;
	atomic_bool quit;

	_Alignas(64) const LlmAllocator *allocator;
	pid_t		owner;			/* the process that has the workers */
	int64_t		alone_until_ns; /* 0: workers take part */
	int			n_threads;
	int			n_workers;		/* started */
	LlmWorker	workers[];
};

static inline void
cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static int64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void
futex_wait(atomic_uint *word, uint32_t expected)
{
	(void) syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

static void
futex_wake_all(atomic_uint *word)
{
	(void) syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* a wait that does not sleep; all fields but limit_ns start as 0 */
typedef struct Spin
{
	int64_t		start_ns;
	int64_t		limit_ns;
	unsigned	turns;
} Spin;

/* wait a moment; false when the time is used up. The clock is read now and then only. */
static bool
spin_once(Spin *spin)
{
	if ((spin->turns++ & 31) == 31)
	{
		int64_t		now = now_ns();

		if (spin->start_ns == 0)
			spin->start_ns = now;
		else if (now - spin->start_ns > spin->limit_ns)
			return false;
	}
	cpu_relax();
	return true;
}

/*
 * If this worker is on the caller's core, leave it: forbid the core for a moment, which moves the thread at once, then
 * allow it again. False if there is no other core for us.
 */
static bool
leave_core_of_caller(LlmWorker *worker)
{
	int			cpu = atomic_load_explicit(&worker->pool->caller_cpu, memory_order_relaxed);
	int64_t		now;
	cpu_set_t	allowed;
	cpu_set_t	others;

	if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getcpu() != cpu)
		return true;
	now = now_ns();
	if (now - worker->moved_ns < MOVE_INTERVAL_NS)
		return false;
	worker->moved_ns = now;
	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		return false;
	others = allowed;
	CPU_CLR(cpu, &others);
	if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof(others), &others) != 0)
		return false;
	(void) sched_setaffinity(0, sizeof(allowed), &allowed);
	return true;
}

/* take pieces until none is left; only the caller gives a stop. Returns false if stop asked to end. */
static bool
work(LlmPool *pool, int thread, const LlmStop *stop)
{
	const uint64_t n_pieces = pool->n_pieces;
	const int64_t n = pool->n;
	const int64_t piece = pool->piece;

	for (;;)
	{
		uint64_t	i = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
		int64_t		begin;

		if (i >= n_pieces)
			return true;
		begin = (int64_t) i * piece;
		pool->fn(pool->arg, begin, n - begin > piece ? begin + piece : n, thread);
		if (stop && atomic_load_explicit(&pool->next, memory_order_relaxed) < n_pieces && llm_should_stop(stop))
			return false;
	}
}

/* wait for a run other than `seen` that can be entered, and enter it; false: the pool ends */
static bool
enter_run(LlmWorker *worker, uint32_t *seen)
{
	LlmPool    *pool = worker->pool;
	Spin		spin = {.limit_ns = WORKER_SPIN_NS};

	for (;;)
	{
		uint32_t	state = atomic_load(&pool->state);

		if (atomic_load_explicit(&pool->quit, memory_order_relaxed))
			return false;
		if ((state & STATE_OPEN) && state / STATE_RUN_ONE != *seen &&
			(state & STATE_INSIDE_MASK) < atomic_load_explicit(&pool->max_inside, memory_order_relaxed))
		{
			if (atomic_compare_exchange_weak(&pool->state, &state, state + 1))
			{
				*seen = state / STATE_RUN_ONE;
				return true;
			}
			continue;
		}
		if (spin_once(&spin))
			continue;

		/* opening a run changes state before n_sleeping is read, so either the wait ends at once or we are woken */
		atomic_fetch_add(&pool->n_sleeping, 1);
		if (!atomic_load(&pool->quit))
			futex_wait(&pool->state, state);
		atomic_fetch_sub(&pool->n_sleeping, 1);

		/* on the caller's core, spinning would only keep the caller from running */
		spin = (Spin) {.limit_ns = leave_core_of_caller(worker) ? WORKER_SPIN_NS : 0};
	}
}

static void
leave_run(LlmPool *pool)
{
	uint32_t	state = atomic_fetch_sub(&pool->state, 1) - 1;

	if ((state & (STATE_INSIDE_MASK | STATE_OPEN)) == 0 && atomic_load(&pool->caller_sleeping))
		futex_wake_all(&pool->state);
}

static void *
worker_main(void *arg)
{
	LlmWorker  *worker = arg;
	LlmPool    *pool = worker->pool;
	uint32_t	seen = UINT32_MAX;

	(void) pthread_setname_np(pthread_self(), "llm-worker");
	while (enter_run(worker, &seen))
	{
		(void) work(pool, worker->thread, NULL);
		leave_run(pool);
	}
	return NULL;
}

/* CPU time that each worker has used so far */
static void
read_worker_clocks(LlmPool *pool)
{
	for (int i = 0; i < pool->n_workers; i++)
	{
		LlmWorker  *worker = &pool->workers[i];
		clockid_t	clock;
		struct timespec ts = {0, 0};

		if (pthread_getcpuclockid(worker->handle, &clock) == 0)
			(void) clock_gettime(clock, &ts);
		worker->used_before_ns = worker->used_ns;
		worker->used_ns = (int64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
	}
}

/* after a wait of wait_ns between two calls of read_worker_clocks: if no worker was running, do without them for a while */
static void
judge_wait(LlmPool *pool, int64_t wait_ns)
{
	int64_t		most_ns = 0;

	if (wait_ns < STALL_NS)
		return;
	for (int i = 0; i < pool->n_workers; i++)
		if (pool->workers[i].used_ns - pool->workers[i].used_before_ns > most_ns)
			most_ns = pool->workers[i].used_ns - pool->workers[i].used_before_ns;
	if (most_ns < wait_ns / 2)
		pool->alone_until_ns = now_ns() + (wait_ns < ALONE_MAX_NS / ALONE_FACTOR ? wait_ns * ALONE_FACTOR : ALONE_MAX_NS);
}

/* sleep until no worker is inside */
static void
sleep_until_empty(LlmPool *pool)
{
	int64_t		begin_ns = now_ns();
	uint32_t	state;

	read_worker_clocks(pool);
	atomic_store(&pool->caller_sleeping, 1);
	while ((state = atomic_load(&pool->state)) & STATE_INSIDE_MASK)
		futex_wait(&pool->state, state);
	atomic_store(&pool->caller_sleeping, 0);
	read_worker_clocks(pool);
	judge_wait(pool, now_ns() - begin_ns);
}

/* close the run and wait until no worker is inside */
static void
finish_run(LlmPool *pool)
{
	Spin		spin = {.limit_ns = CALLER_SPIN_NS};

	atomic_fetch_and(&pool->state, ~STATE_OPEN);
	while (atomic_load(&pool->state) & STATE_INSIDE_MASK)
		if (!spin_once(&spin))
			sleep_until_empty(pool);
}

/* may workers take part now? */
static bool
workers_welcome(LlmPool *pool)
{
	if (pool->n_workers == 0 || atomic_load_explicit(&pool->max_inside, memory_order_relaxed) == 0 || getpid() != pool->owner)
		return false;
	if (pool->alone_until_ns != 0 && now_ns() < pool->alone_until_ns)
		return false;
	pool->alone_until_ns = 0;
	return true;
}

LlmStatus
llm_pool_run(LlmPool *pool, LlmPieceFn fn, void *arg, int64_t n, int64_t piece, const LlmStop *stop)
{
	bool		complete;
	bool		alone;

	if (n <= 0)
		return LLM_OK;
	if (piece <= 0)
		piece = 1;
	pool->fn = fn;
	pool->arg = arg;
	pool->n = n;
	pool->piece = piece;
	pool->n_pieces = (uint64_t) ((n - 1) / piece) + 1;
	atomic_store_explicit(&pool->next, 0, memory_order_relaxed);

	alone = pool->n_pieces == 1 || !workers_welcome(pool);
	if (!alone)
	{
		uint32_t	state = atomic_load_explicit(&pool->state, memory_order_relaxed);

		atomic_store_explicit(&pool->caller_cpu, sched_getcpu(), memory_order_relaxed);

		/* no worker is inside and the run is closed, so only this thread changes state */
		atomic_store(&pool->state, (state + STATE_RUN_ONE) | STATE_OPEN);
		if (atomic_load(&pool->n_sleeping) > 0)
			futex_wake_all(&pool->state);
	}
	complete = work(pool, 0, stop);
	if (!complete)
		complete = atomic_exchange_explicit(&pool->next, pool->n_pieces, memory_order_relaxed) >= pool->n_pieces;
	if (!alone)
		finish_run(pool);
	return complete ? LLM_OK : LLM_PAUSED;
}

/* end and join the started workers */
static void
stop_workers(LlmPool *pool)
{
	atomic_store(&pool->quit, true);
	atomic_fetch_add(&pool->state, STATE_RUN_ONE);
	futex_wake_all(&pool->state);
	for (int i = 0; i < pool->n_workers; i++)
		pthread_join(pool->workers[i].handle, NULL);
	pool->n_workers = 0;
}

static int
start_worker(LlmWorker *worker, const pthread_attr_t *attr)
{
	sigset_t	all;
	sigset_t	saved;
	int			rc;

	/* a thread inherits the mask of its maker, so there is no moment at which it could take a signal */
	sigfillset(&all);
	rc = pthread_sigmask(SIG_SETMASK, &all, &saved);
	if (rc != 0)
		return rc;
	rc = pthread_create(&worker->handle, attr, worker_main, worker);
	(void) pthread_sigmask(SIG_SETMASK, &saved, NULL);
	return rc;
}

LlmStatus
llm_pool_create(const LlmAllocator *a, int n_threads, LlmPool **out, LlmError *err)
{
	LlmPool    *pool;
	pthread_attr_t attr;
	void	   *ptr;
	int			rc = 0;

	if (n_threads < 1 || n_threads > MAX_THREADS)
	{
		llm_fail(err, LLM_E_ARGUMENT, "number of threads is out of range");
		llm_error_detail(err, "%d threads were asked for; 1 to %d are possible.", n_threads, MAX_THREADS);
		return LLM_E_ARGUMENT;
	}
	LLM_TRY(llm_alloc_aligned(a, 1, sizeof(LlmPool) + (size_t) (n_threads - 1) * sizeof(LlmWorker), &ptr, err));
	pool = ptr;
	memset(pool, 0, sizeof(*pool));
	pool->allocator = a;
	pool->owner = getpid();
	pool->n_threads = n_threads;
	pool->caller_cpu = -1;
	pool->max_inside = (unsigned) n_threads - 1;

	if (n_threads > 1)
	{
		rc = pthread_attr_init(&attr);
		if (rc == 0)
		{
			(void) pthread_attr_setstacksize(&attr, WORKER_STACK_BYTES);
			while (rc == 0 && pool->n_workers < n_threads - 1)
			{
				LlmWorker  *worker = &pool->workers[pool->n_workers];

				worker->pool = pool;
				worker->thread = pool->n_workers + 1;
				rc = start_worker(worker, &attr);
				if (rc == 0)
					pool->n_workers++;
			}
			(void) pthread_attr_destroy(&attr);
		}
	}
	if (rc != 0)
	{
		int			n_started = pool->n_workers;

		stop_workers(pool);
		llm_free_aligned(a, pool);
		llm_fail_errno(err, rc, "could not start worker thread %d of %d", n_started + 1, n_threads - 1);
		llm_error_hint(err, "Use fewer threads, or raise the limit on processes of the operating system user.");
		if (err)
			err->status = LLM_E_LIMIT;
		return LLM_E_LIMIT;
	}
	*out = pool;
	return LLM_OK;
}

void
llm_pool_free(LlmPool *pool)
{
	if (!pool)
		return;
	if (pool->n_workers > 0 && getpid() == pool->owner)
		stop_workers(pool);
	llm_free_aligned(pool->allocator, pool);
}

int
llm_pool_threads(const LlmPool *pool)
{
	return pool->n_threads;
}

void
llm_pool_set_limit(LlmPool *pool, int n_threads)
{
	if (n_threads < 1)
		n_threads = 1;
	atomic_store(&pool->max_inside, (unsigned) (n_threads < pool->n_threads ? n_threads : pool->n_threads) - 1);
}
