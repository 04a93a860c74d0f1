/*
 * ways.h: a workload run in one of many ways, all of which must give the same bytes.
 */
#ifndef LLM_TEST_WAYS_H
#define LLM_TEST_WAYS_H

#include "workload.h"

typedef struct Way
{
	int			threads;
	int			batch_tokens;
	int			max_sequences;
	bool		prefix_cache;
	bool		together;
	bool		backwards;
} Way;

static inline bool
run_to_end(LlmScheduler *s, const LlmStop *stop)
{
	LlmError	err;
	LlmStatus	status;

	while ((status = llm_scheduler_run(s, stop, &err)) == LLM_PAUSED)
		;
	return test_ok(status, &err);
}

/* run the workload in a way and note its digests */
static inline void
run_way(const LlmModel *model, const Way *way, const LlmStop *stop, Workload *load)
{
	LlmSchedulerOptions options = {.batch_tokens = way->batch_tokens, .max_sequences = way->max_sequences,
	.prefix_cache_bytes = way->prefix_cache ? 1 << 26 : 0};
	LlmRequest *requests[WORKLOAD_MAX];
	LlmPool    *pool;
	LlmScheduler *s;
	LlmError	err;

	CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, way->threads, &pool, &err), &err));
	CHECK(test_ok(llm_scheduler_create(model, pool, &options, &llm_malloc_allocator, &s, &err), &err));
	for (int i = 0; i < load->n; i++)
	{
		int			p = way->backwards ? load->n - 1 - i : i;

		CHECK(test_ok(workload_add(s, &load->work[p], p, &requests[p], &err), &err));
		if (!way->together)
			CHECK(run_to_end(s, stop));
	}
	CHECK(run_to_end(s, stop));
	for (int p = 0; p < load->n; p++)
	{
		load->digest[p] = workload_digest(model, &load->work[p], requests[p]);
		CHECK(load->digest[p] != 0);
	}
	llm_scheduler_free(s);
	llm_pool_free(pool);
}

static inline void
check_equal(const Workload *want, const Workload *got, const char *what, long number)
{
	for (int p = 0; p < want->n; p++)
		CHECK_MSG(want->digest[p] == got->digest[p], "request %d (kind %d, prompt of %d) differs: %s %ld", p,
				  (int) want->work[p].kind, want->work[p].n_prompt, what, number);
}

#endif
