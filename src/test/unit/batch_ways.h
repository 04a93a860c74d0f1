/*
 * batch_ways.h: a workload run in many ways that must all give the same bytes: alone and with others, in any order, with 1 to
 * 4 threads, batches of 1 to 512 tokens, with and without the prefix cache, prompts that end around the borders of cache pages
 * and attention spans; paused at each single poll; with each allocation failing once.
 */
#ifndef LLM_TEST_BATCH_WAYS_H
#define LLM_TEST_BATCH_WAYS_H

#include "fail_alloc.h"
#include "ways.h"

static const Work edges[] = {
	{WORK_GREEDY, 1, 4}, {WORK_SCORE, 1, 0}, {WORK_LOGITS, 2, 0}, {WORK_SAMPLED, 60, 9}, {WORK_LOGITS, 63, 0},
	{WORK_GREEDY, 63, 3}, {WORK_LOGITS, 64, 0}, {WORK_SCORE, 64, 0}, {WORK_GREEDY, 64, 2}, {WORK_LOGITS, 65, 0},
	{WORK_SAMPLED, 65, 2}, {WORK_SCORE, 63, 0}, {WORK_LOGITS, 127, 0}, {WORK_GREEDY, 128, 66}, {WORK_SCORE, 129, 0},
	{WORK_LOGITS, 511, 0}, {WORK_GREEDY, 511, 3}, {WORK_LOGITS, 512, 0}, {WORK_SCORE, 512, 0}, {WORK_LOGITS, 513, 0},
	{WORK_SAMPLED, 510, 5}, {WORK_SCORE, 577, 0}, {WORK_LOGITS, 640, 0},
};

#define N_EDGES ((int) (sizeof(edges) / sizeof(edges[0])))

static const Work few[] = {{WORK_GREEDY, 20, 2}, {WORK_SCORE, 10, 0}, {WORK_LOGITS, 9, 0}};

static inline void
test_ways(const LlmModel *model, const Workload *want)
{
	static const Way ways[] = {
		{1, 1, 0, false, true, false},
		{2, 2, 3, false, true, true},
		{3, 63, 0, false, true, false},
		{4, 64, 0, true, true, false},
		{1, 65, 1, true, true, true},
		{2, 511, 0, false, true, true},
		{2, 512, 0, true, false, true},
		{4, 7, 5, true, false, false},
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
	{
		Workload	got = {.work = edges, .n = N_EDGES};

		run_way(model, &ways[i], NULL, &got);
		check_equal(want, &got, "way", (long) i);
	}
}

/* says pause at one poll */
typedef struct Pauser
{
	long		n_polls;
	long		at;
} Pauser;

static inline bool
pause_once(void *opaque)
{
	Pauser	   *p = opaque;

	return p->n_polls++ == p->at;
}

static inline void
test_pauses(const LlmModel *model)
{
	Workload	want = {.work = few, .n = 3};
	long		n_polls;

	for (int threads = 1; threads <= 2; threads++)
	{
		const Way	way = {threads, 40, 0, false, true, false};
		Pauser		pauser = {0, -1};
		LlmStop		stop = {pause_once, &pauser};

		run_way(model, &way, &stop, &want);
		n_polls = pauser.n_polls;
		CHECK_MSG(n_polls > 50, "%ld polls", n_polls);
		for (long at = 0; at < n_polls; at += threads == 1 ? 1 : 17)
		{
			Workload	got = {.work = few, .n = 3};

			pauser = (Pauser) {0, at};
			run_way(model, &way, &stop, &got);
			check_equal(&want, &got, "paused at poll", at);
		}
	}
}

/* an allocation that fails is an error; then the scheduler goes on and gives the same bytes, and nothing is left behind */
static inline void
test_failing_allocations(const LlmModel *model)
{
	Workload	want = {.work = few, .n = 3};
	const Way	way = {1, 40, 0, true, true, false};
	LlmPool    *pool;
	LlmError	err;
	long		n_failed = 0;
	long		n_went_on = 0;

	run_way(model, &way, NULL, &want);
	CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, 1, &pool, &err), &err));
	for (long at = 0;; at++)
	{
		LlmSchedulerOptions options = {.batch_tokens = 40, .prefix_cache_bytes = 1 << 26};
		LlmRequest *requests[3];
		FailAlloc	fa;
		LlmScheduler *s;
		LlmStatus	status;

		fail_alloc_init(&fa, at);
		status = llm_scheduler_create(model, pool, &options, &fa.allocator, &s, &err);
		if (status == LLM_OK)
		{
			for (int p = 0; p < 3; p++)
			{
				status = workload_add(s, &few[p], p, &requests[p], &err);
				if (status != LLM_OK)
					status = workload_add(s, &few[p], p, &requests[p], &err);
				CHECK(status == LLM_OK);
			}
			status = llm_scheduler_run(s, NULL, &err);
			if (status != LLM_OK)
			{
				CHECK(status == LLM_E_NOMEM && err.status == LLM_E_NOMEM);
				n_went_on++;
				CHECK(llm_scheduler_run(s, NULL, &err) == LLM_OK);
			}
			for (int p = 0; p < 3; p++)
			{
				bool		own = llm_request_finish(requests[p]) == LLM_FINISH_ERROR;

				if (own)
					CHECK(llm_request_error(requests[p])->status == LLM_E_NOMEM);
				else
					CHECK_MSG(workload_digest(model, &few[p], requests[p]) == want.digest[p], "allocation %ld, request %d", at, p);
			}
			llm_scheduler_free(s);
		}
		else
			CHECK(status == LLM_E_NOMEM);
		CHECK(fa.n_alive == 0);
		if (!fa.refused)
			break;
		n_failed++;
	}
	CHECK_MSG(n_failed > 20 && n_went_on > 3, "%ld failed, %ld of them in a run", n_failed, n_went_on);
	llm_pool_free(pool);
}

/* a model at one level against the first level, which is the slowest: on little work */
static inline void
test_level(const LlmModel *model, Workload *first)
{
	static const Work some[] = {{WORK_GREEDY, 66, 3}, {WORK_SCORE, 20, 0}, {WORK_LOGITS, 129, 0}, {WORK_SAMPLED, 9, 5}};
	const Way	way = {1, 0, 0, false, true, false};
	Workload	got = {.work = some, .n = 4};

	run_way(model, &way, NULL, &got);
	if (first->n == 0)
		*first = got;
	check_equal(first, &got, model->kernels->name, (long) model->kv_type);
}

/* all ways, and if `all` also pauses and failing allocations */
static inline void
test_all_ways(const LlmModel *model, bool all)
{
	const Way	plain = {1, 512, 0, false, false, false};
	Workload	want = {.work = edges, .n = N_EDGES};

	run_way(model, &plain, NULL, &want);
	test_ways(model, &want);
	if (!all)
		return;
	test_pauses(model);
	test_failing_allocations(model);
}

#endif
