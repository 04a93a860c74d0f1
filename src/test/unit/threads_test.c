/*
 * threads_test.c: every index is worked on once, pauses, signals, forks, idle behaviour, CPU count.
 */
#include "base/threads.h"
#include "check.h"
#include "fail_alloc.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_N 5000

typedef struct Work
{
	atomic_int	seen[MAX_N];
	atomic_int	bad;
	atomic_int	unblocked;		/* pieces run by a worker that could take a signal */
	int64_t		n;
	int64_t		piece;
	int			n_threads;
	pthread_t	caller;
} Work;

static Work shared;

static void
piece_fn(void *arg, int64_t begin, int64_t end, int thread)
{
	Work	   *w = arg;

	if (begin < 0 || end > w->n || begin >= end || end - begin > w->piece || begin % w->piece != 0 ||
		thread < 0 || thread >= w->n_threads || (thread == 0) != !!pthread_equal(pthread_self(), w->caller))
		atomic_fetch_add(&w->bad, 1);
	for (int64_t i = begin; i < end; i++)
		atomic_fetch_add(&w->seen[i], 1);
	if (thread > 0)
	{
		sigset_t	blocked;

		pthread_sigmask(SIG_BLOCK, NULL, &blocked);
		if (!sigismember(&blocked, SIGINT) || !sigismember(&blocked, SIGTERM) || !sigismember(&blocked, SIGUSR1))
			atomic_fetch_add(&w->unblocked, 1);
	}
}

static void
reset(Work *w, LlmPool *pool, int64_t n, int64_t piece)
{
	memset(w, 0, sizeof(*w));
	w->n = n;
	w->piece = piece;
	w->n_threads = llm_pool_threads(pool);
	w->caller = pthread_self();
}

static bool
all_seen(const Work *w, int times)
{
	for (int64_t i = 0; i < w->n; i++)
		if (w->seen[i] != times)
			return false;
	return true;
}

static LlmPool *
make_pool(int n_threads)
{
	LlmPool    *pool = NULL;
	LlmError	err;
	LlmStatus	status = llm_pool_create(&llm_malloc_allocator, n_threads, &pool, &err);

	CHECK_MSG(status == LLM_OK, "%s", err.message);
	return pool;
}

static double
seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}

/*
 * Whether a loop over short runs goes on. Where others want the processor too, each run may wait for them some hundredths of a
 * second; then fewer of them must do. How many there are decides nothing else.
 */
static bool
go_on(int n_runs, double begin)
{
	return n_runs < 20 || seconds_now() - begin < 3;
}

static void
test_ranges(int n_threads)
{
	static const int64_t sizes[] = {0, 1, 2, 3, 7, 8, 9, 100, 1023, MAX_N};
	static const int64_t pieces[] = {1, 2, 3, 8, 100, MAX_N, INT64_MAX};
	LlmPool    *pool = make_pool(n_threads);
	double		begin;
	int			n_runs;

	CHECK(llm_pool_threads(pool) == n_threads);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (size_t k = 0; k < sizeof(pieces) / sizeof(pieces[0]); k++)
		{
			reset(&shared, pool, sizes[i], pieces[k]);
			CHECK(llm_pool_run(pool, piece_fn, &shared, sizes[i], pieces[k], NULL) == LLM_OK);
			CHECK(all_seen(&shared, 1) && shared.bad == 0 && shared.unblocked == 0);
		}
	/* many short runs: the way decoding uses the pool; then with sleeps in between */
	reset(&shared, pool, 8, 1);
	begin = seconds_now();
	for (n_runs = 0; n_runs < 20000 && go_on(n_runs, begin); n_runs++)
		CHECK(llm_pool_run(pool, piece_fn, &shared, 8, 1, NULL) == LLM_OK);
	CHECK(all_seen(&shared, n_runs) && shared.bad == 0);
	reset(&shared, pool, 8, 1);
	for (int i = 0; i < 100; i++)
	{
		usleep(300);
		CHECK(llm_pool_run(pool, piece_fn, &shared, 8, 1, NULL) == LLM_OK);
	}
	CHECK(all_seen(&shared, 100) && shared.bad == 0 && shared.unblocked == 0);
	llm_pool_free(pool);
}

typedef struct Stopper
{
	int			n_asked;
	int			stop_at;
	int			n_wrong_thread;
	pthread_t	caller;
} Stopper;

static atomic_bool asked_to_stop;	/* by stopper_fn */

static bool
stopper_fn(void *opaque)
{
	Stopper    *s = opaque;

	if (!pthread_equal(pthread_self(), s->caller))
		s->n_wrong_thread++;
	if (s->n_asked++ < s->stop_at)
		return false;
	atomic_store(&asked_to_stop, true);
	return true;
}

static void
slow_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	struct timespec ts = {0, 20000};

	nanosleep(&ts, NULL);
	piece_fn(arg, begin, end, thread);
}

/* a piece of the second half waits on a worker until the caller asked to stop, so that workers cannot finish before that */
static void
waiting_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const Work *w = arg;

	while (thread > 0 && begin >= w->n / 2 && !atomic_load(&asked_to_stop))
		sched_yield();
	piece_fn(arg, begin, end, thread);
}

static void
test_pause(int n_threads)
{
	LlmPool    *pool = make_pool(n_threads);

	for (int stop_at = 0; stop_at < 10; stop_at++)
	{
		Stopper		s = {.stop_at = stop_at, .caller = pthread_self()};
		LlmStop		stop = {stopper_fn, &s};
		int			done = 0;

		reset(&shared, pool, 1000, 1);
		atomic_store(&asked_to_stop, false);
		CHECK(llm_pool_run(pool, waiting_piece, &shared, 1000, 1, &stop) == LLM_PAUSED);
		for (int i = 0; i < 1000; i++)
		{
			CHECK(shared.seen[i] <= 1);
			done += shared.seen[i];
		}
		CHECK_MSG(done >= stop_at + 1 && done < 1000, "%d pieces done", done);
		CHECK(s.n_wrong_thread == 0);
		usleep(1000);
		for (int i = 0; i < 1000; i++)	/* nothing runs after the return */
			done -= shared.seen[i];
		CHECK(done == 0);
	}
	{
		Stopper		s = {.stop_at = 0, .caller = pthread_self()};
		LlmStop		stop = {stopper_fn, &s};
		LlmStop		never = {NULL, NULL};

		/* a run of one piece does all of it, so repeated pauses still get on */
		reset(&shared, pool, 10, 10);
		CHECK(llm_pool_run(pool, piece_fn, &shared, 10, 10, &stop) == LLM_OK && all_seen(&shared, 1));
		reset(&shared, pool, 10, 1);
		CHECK(llm_pool_run(pool, piece_fn, &shared, 10, 1, &never) == LLM_OK && all_seen(&shared, 1));
	}
	llm_pool_free(pool);
}

/* both threads must take part when pieces are long */
static void
test_sharing(void)
{
	LlmPool    *pool = make_pool(2);
	Work	   *w = &shared;
	int			shared_runs = 0;

	for (int i = 0; i < 20; i++)
	{
		double		begin = seconds_now();

		reset(w, pool, 100, 1);
		CHECK(llm_pool_run(pool, slow_piece, w, 100, 1, NULL) == LLM_OK);
		printf("%s%.2f", i ? " " : "100 sleeping pieces, 2 threads, ms: ", (seconds_now() - begin) * 1e3);
		if (all_seen(w, 1))
			shared_runs++;
	}
	printf("\n");
	CHECK(shared_runs == 20);
	llm_pool_free(pool);
}

/* threads of this process that bear the name of workers; sanitizers have threads of their own */
static int
count_workers(void)
{
	DIR		   *dir = opendir("/proc/self/task");
	struct dirent *entry;
	int			n = 0;

	while (dir && (entry = readdir(dir)))
	{
		char		path[300];
		char		name[32] = "";
		FILE	   *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		f = entry->d_name[0] != '.' ? fopen(path, "r") : NULL;
		if (f && fgets(name, sizeof(name), f) && strcmp(name, "llm-worker\n") == 0)
			n++;
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
	return n;
}

/*
 * There are n workers. A new one takes its name when it first runs. A joined one may be listed a little longer: the system
 * wakes who joins it before it takes the thread out of its lists. So another count is asked for again; a thread that was
 * really left behind never goes.
 */
static bool
has_workers(int n)
{
	for (int tries = 0; tries < 5000; tries++)
	{
		if (count_workers() == n)
			return true;
		usleep(1000);
	}
	fprintf(stderr, "%d workers, not %d\n", count_workers(), n);
	return false;
}

static double
cpu_seconds(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (double) (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) + (double) (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
}

/* threads at work at the same time, and the most there ever were */
static atomic_int n_inside;
static atomic_int most_inside;

static void
counting_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	int			n = atomic_fetch_add(&n_inside, 1) + 1;
	int			most = atomic_load(&most_inside);

	while (n > most && !atomic_compare_exchange_weak(&most_inside, &most, n))
		continue;
	sched_yield();
	piece_fn(arg, begin, end, thread);
	atomic_fetch_sub(&n_inside, 1);
}

/* no more threads than the limit take part, and all work is done once */
static void
test_limit(void)
{
	static const int limits[] = {1, 2, 3, 4, 100, 0, 4};
	LlmPool    *pool = make_pool(4);
	double		begin;

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
	{
		int			most = limits[i] < 1 ? 1 : limits[i] > 4 ? 4 : limits[i];

		llm_pool_set_limit(pool, limits[i]);
		atomic_store(&most_inside, 0);
		begin = seconds_now();
		for (int run = 0; run < 50 && go_on(run, begin); run++)
		{
			reset(&shared, pool, 200, 1);
			CHECK(llm_pool_run(pool, counting_piece, &shared, 200, 1, NULL) == LLM_OK);
			CHECK(all_seen(&shared, 1));
			CHECK(shared.bad == 0);
		}
		CHECK_MSG(most_inside >= 1 && most_inside <= most, "limit %d: %d threads", limits[i], (int) most_inside);
	}
	llm_pool_free(pool);
}

static void
test_life(void)
{
	LlmError	err;
	LlmPool    *pool = NULL;
	FailAlloc	fa;
	double		cpu;
	pid_t		child;
	int			status;

	CHECK(llm_pool_create(&llm_malloc_allocator, 0, &pool, &err) == LLM_E_ARGUMENT && pool == NULL);
	CHECK(llm_pool_create(&llm_malloc_allocator, 100000, &pool, &err) == LLM_E_ARGUMENT);
	CHECK(strstr(err.detail, "100000") != NULL);
	fail_alloc_init(&fa, 0);
	CHECK(llm_pool_create(&fa.allocator, 2, &pool, &err) == LLM_E_NOMEM && pool == NULL);
	llm_pool_free(NULL);

	/* made and freed often, used or not: no thread stays */
	for (int i = 0; i < 200; i++)
	{
		pool = make_pool(1 + i % 4);
		if (i % 2)
		{
			reset(&shared, pool, 50, 1);
			llm_pool_run(pool, piece_fn, &shared, 50, 1, NULL);
		}
		CHECK(has_workers(i % 4));
		llm_pool_free(pool);
		CHECK(has_workers(0));
	}

	/* idle workers sleep */
	pool = make_pool(4);
	reset(&shared, pool, 50, 1);
	llm_pool_run(pool, piece_fn, &shared, 50, 1, NULL);
	for (int tries = 0; tries < 20; tries++)	/* a slow machine may still be starting them */
	{
		cpu = cpu_seconds();
		usleep(300000);
		cpu = cpu_seconds() - cpu;
		if (cpu < 0.05)
			break;
	}
	CHECK_MSG(cpu < 0.05, "%f s of CPU time while idle", cpu);

	/* after a fork the child has no workers and does everything itself */
	fflush(stdout);
	child = fork();
	if (child == 0)
	{
		reset(&shared, pool, 100, 1);
		shared.n_threads = 1;
		status = llm_pool_run(pool, piece_fn, &shared, 100, 1, NULL) == LLM_OK && all_seen(&shared, 1) && shared.bad == 0;
		llm_pool_free(pool);
		_exit(status ? 0 : 1);
	}
	CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
	reset(&shared, pool, 100, 1);
	CHECK(llm_pool_run(pool, piece_fn, &shared, 100, 1, NULL) == LLM_OK && all_seen(&shared, 1));
	llm_pool_free(pool);
}

/* threads that cannot be started: an error, and those that were are gone. In a child, because the limit stays. */
static void
test_no_threads(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	pid_t		child;
	int			status;

	fflush(stdout);
	child = fork();
	if (child == 0)
	{
		struct rlimit limit = {(rlim_t) 200 << 20, (rlim_t) 200 << 20};
		LlmPool    *pool = NULL;
		LlmError	err;
		bool		ok;

		setrlimit(RLIMIT_AS, &limit);
		ok = llm_pool_create(&llm_malloc_allocator, 1000, &pool, &err) == LLM_E_LIMIT && pool == NULL &&
			err.status == LLM_E_LIMIT && err.sys_errno != 0 && err.hint[0] != '\0' && has_workers(0);
		if (!ok)
			fprintf(stderr, "message %s\n", err.message);
		_exit(ok ? 0 : 1);
	}
	CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
#endif
}

static void
test_cpu_count(void)
{
	cpu_set_t	saved;
	cpu_set_t	one;
	int			n = llm_cpu_count();

	CHECK(n >= 1);
	if (sched_getaffinity(0, sizeof(saved), &saved) != 0)
		return;
	CHECK(n <= CPU_COUNT(&saved));
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
		if (CPU_ISSET(i, &saved))
			CPU_SET(i, &one);
	if (sched_setaffinity(0, sizeof(one), &one) == 0)
	{
		CHECK(llm_cpu_count() == 1);
		test_ranges(2);			/* two threads on one core get done as well */
		sched_setaffinity(0, sizeof(saved), &saved);
	}
}

static void
empty_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	(void) arg;
	(void) begin;
	(void) end;
	(void) thread;
}

static void
print_latency(void)
{
	LlmPool    *pool = make_pool(2);
	double		begin = seconds_now();
	int			n_runs;

	for (n_runs = 0; n_runs < 100000 && go_on(n_runs, begin); n_runs++)
		llm_pool_run(pool, empty_piece, NULL, 2, 1, NULL);
	printf("empty run, 2 threads: %.0f ns\n", (seconds_now() - begin) * 1e9 / n_runs);
	llm_pool_free(pool);
}

int
main(void)
{
	test_ranges(1);
	test_ranges(2);
	test_ranges(5);
	test_pause(1);
	test_pause(2);
	test_pause(4);
	test_sharing();
	test_limit();
	test_life();
	test_no_threads();
	test_cpu_count();
	print_latency();
	CHECK_DONE();
}
