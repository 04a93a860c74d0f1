/*
 * threads.h: the worker pool. Work is an index range cut into pieces that threads take one by one, so a slow core
 * costs its share only.
 *
 * The calling thread works too and, between its pieces, asks should_stop; then no further piece is started and the run
 * returns LLM_PAUSED with some pieces not done (run the whole range again). Workers block all signals, call nothing but
 * the piece function, spin a little and then sleep. Nothing is running when llm_pool_run returns.
 */
#ifndef LLM_THREADS_H
#define LLM_THREADS_H

#include "base/arena.h"

typedef struct LlmPool LlmPool;

/* thread is 0 for the caller, 1..n_threads-1 for workers */
typedef void (*LlmPieceFn) (void *arg, int64_t begin, int64_t end, int thread);

/* n_threads counts the caller; 1 starts no thread. Errors: LLM_E_LIMIT when a thread cannot be started. */
extern LlmStatus llm_pool_create(const LlmAllocator *a, int n_threads, LlmPool **out, LlmError *err);
extern void llm_pool_free(LlmPool *pool);
extern int	llm_pool_threads(const LlmPool *pool);

/* between runs: at most so many of its threads take part from now on, the caller included */
extern void llm_pool_set_limit(LlmPool *pool, int n_threads);

/* fn over [0, n) in pieces of `piece` indices. Returns LLM_OK or LLM_PAUSED. */
extern LlmStatus llm_pool_run(LlmPool *pool, LlmPieceFn fn, void *arg, int64_t n, int64_t piece, const LlmStop *stop);

/* CPUs that this process may use: affinity and cgroup quota, at least 1 */
extern int	llm_cpu_count(void);

#endif
