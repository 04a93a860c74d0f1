/*
 * encoder_test.c: every architecture that makes vectors, against Hugging Face in float32 (encoder_models.h); the same bytes
 * alone and with others, in any order, with 1 to 4 threads, batches and prompts of all sizes, and at every CPU level.
 */
#include <math.h>

#include "encoder_models.h"
#include "fail_alloc.h"
#include "tested_levels.h"
#include "base/threads.h"

#define TOLERANCE 1e-4			/* of a number of a vector of unit length, or of an output */

typedef struct Results
{
	int			n;
	int			width;
	float		values[MAX_ENCODER_PROMPTS][MAX_ENCODER_VALUES];
} Results;

typedef struct Way
{
	int			threads;
	int			batch_tokens;
	int			max_sequences;
	bool		prefix_cache;
	bool		together;
	bool		backwards;
} Way;

static EncoderPrompt prompts[MAX_ENCODER_PROMPTS];

static bool
run_to_end(LlmScheduler *s, const LlmStop *stop)
{
	LlmError	err;
	LlmStatus	status;

	while ((status = llm_scheduler_run(s, stop, &err)) == LLM_PAUSED)
		;
	return test_ok(status, &err);
}

static void
take(const LlmModel *model, LlmRequest *request, float *out)
{
	LlmError	none = {0};

	CHECK_MSG(llm_request_finish(request) == LLM_FINISH_STOP, "%s",
			  llm_request_error(request) ? llm_request_error(request)->message : none.message);
	if (llm_request_finish(request) == LLM_FINISH_STOP)
		memcpy(out, llm_request_vector(request), (size_t) encoder_width(model) * sizeof(float));
}

/* the first n prompts in a way */
static void
run_way(const LlmModel *model, int n, const Way *way, const LlmStop *stop, Results *out)
{
	LlmSchedulerOptions options = {.batch_tokens = way->batch_tokens, .max_sequences = way->max_sequences,
	.prefix_cache_bytes = way->prefix_cache ? 1 << 26 : 0};
	LlmRequest *requests[MAX_ENCODER_PROMPTS];
	LlmPool    *pool;
	LlmScheduler *s;
	LlmError	err;

	memset(out, 0, sizeof *out);
	out->n = n;
	out->width = encoder_width(model);
	CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, way->threads, &pool, &err), &err));
	CHECK(test_ok(llm_scheduler_create(model, pool, &options, &llm_malloc_allocator, &s, &err), &err));
	for (int i = 0; i < n; i++)
	{
		int			p = way->backwards ? n - 1 - i : i;

		CHECK(test_ok(encoder_add(s, model, prompts[p].ids, prompts[p].n, &requests[p], &err), &err));
		if (!way->together)
			CHECK(run_to_end(s, stop));
	}
	CHECK(run_to_end(s, stop));
	for (int p = 0; p < n; p++)
		take(model, requests[p], out->values[p]);
	llm_scheduler_free(s);
	llm_pool_free(pool);
}

static void
check_equal(const Results *want, const Results *got, const char *name, const char *what, long number)
{
	for (int p = 0; p < want->n; p++)
		CHECK_MSG(memcmp(want->values[p], got->values[p], (size_t) want->width * sizeof(float)) == 0,
				  "%s: prompt of %d differs: %s %ld", name, prompts[p].n, what, number);
}

static double
length_of(const double *x, int n)
{
	double		squares = 0;

	for (int i = 0; i < n; i++)
		squares += x[i] * x[i];
	return sqrt(squares);
}

/* embeddings as vectors of unit length, outputs as they are */
static double
difference(const EncoderPrompt *p, const float *got, bool embedding)
{
	double		g[MAX_ENCODER_VALUES];
	double		worst = 0;
	double		scale_w = 1;
	double		scale_g = 1;

	for (int i = 0; i < p->n_values; i++)
		g[i] = got[i];
	if (embedding)
	{
		scale_w = 1 / length_of(p->values, p->n_values);
		scale_g = 1 / length_of(g, p->n_values);
	}
	for (int i = 0; i < p->n_values; i++)
	{
		double		d = fabs(g[i] * scale_g - p->values[i] * scale_w);

		worst = check_larger(worst, d);
	}
	return worst;
}

static void
test_reference(const LlmModel *model, const char *name, int n, const Results *got)
{
	double		worst = 0;

	for (int p = 0; p < n; p++)
	{
		CHECK(prompts[p].n_values == got->width);
		worst = check_larger(worst, difference(&prompts[p], got->values[p], llm_model_kind(model) == LLM_MODEL_EMBED));
	}
	printf("%s: largest difference %.1e\n", name, worst);
	CHECK_MSG(worst <= TOLERANCE, "%s: differs by %g", name, worst);
}

static void
test_ways(const LlmModel *model, const char *name, int n, const Results *want)
{
	static const Way ways[] = {
		{2, 512, 0, false, true, false},
		{4, 512, 0, false, true, true},
		{3, 64, 0, true, true, false},
		{1, 7, 0, false, true, true},
		{2, 1, 3, true, true, false},
		{2, 100, 0, true, false, true},
		{3, 4096, 2, false, true, false},
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
	{
		Results		got;

		run_way(model, n, &ways[i], NULL, &got);
		check_equal(want, &got, name, "way", (long) i);
	}
}

/* says pause at one poll */
static bool
pause_once(void *opaque)
{
	long	   *countdown = opaque;

	return (*countdown)-- == 0;
}

static void
test_pauses(const LlmModel *model, const char *name, int n)
{
	const Way	way = {1, 40, 0, false, true, false};
	long		polls = -1;
	LlmStop		stop = {pause_once, &polls};
	Results		want;
	long		n_polls;

	run_way(model, n, &way, &stop, &want);
	n_polls = -1 - polls;
	CHECK_MSG(n_polls > 50, "%ld polls", n_polls);
	for (long at = 0; at < n_polls; at += 3)
	{
		Results		got;

		polls = at;
		run_way(model, n, &way, &stop, &got);
		check_equal(&want, &got, name, "paused at poll", at);
	}
}

/* an allocation that fails is an error; then the scheduler goes on, also where the batch has to grow */
static void
test_failing_allocations(const LlmModel *model, int n)
{
	const Way	way = {1, 512, 0, false, true, false};
	Results		want;
	LlmPool    *pool;
	LlmError	err;
	long		n_went_on = 0;

	run_way(model, n, &way, NULL, &want);
	CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, 1, &pool, &err), &err));
	for (long at = 0;; at++)
	{
		LlmSchedulerOptions options = {.batch_tokens = 32};
		LlmRequest *requests[MAX_ENCODER_PROMPTS];
		FailAlloc	fa;
		LlmScheduler *s;

		fail_alloc_init(&fa, at);
		if (llm_scheduler_create(model, pool, &options, &fa.allocator, &s, &err) == LLM_OK)
		{
			for (int p = 0; p < n; p++)
			{
				if (encoder_add(s, model, prompts[p].ids, prompts[p].n, &requests[p], &err) != LLM_OK)
					CHECK(test_ok(encoder_add(s, model, prompts[p].ids, prompts[p].n, &requests[p], &err), &err));
			}
			if (llm_scheduler_run(s, NULL, &err) != LLM_OK)
			{
				CHECK(err.status == LLM_E_NOMEM);
				n_went_on++;
				CHECK(run_to_end(s, NULL));
			}
			for (int p = 0; p < n; p++)
			{
				float		got[MAX_ENCODER_VALUES];

				take(model, requests[p], got);
				CHECK(memcmp(got, want.values[p], (size_t) want.width * sizeof(float)) == 0);
			}
			llm_scheduler_free(s);
		}
		CHECK(fa.n_alive == 0);
		if (!fa.refused)
			break;
	}
	CHECK_MSG(n_went_on > 3, "%ld went on", n_went_on);
	llm_pool_free(pool);
}

static void
test_model(const char *name)
{
	const LlmModelOptions options = {.kv_type = LLM_KV_F32};
	const Way	alone = {1, 0, 0, false, false, false};
	struct json_object *reference = encoder_reference(name);
	const int	n = encoder_prompts(reference, prompts);
	Results		first;

	for (int level = 0; level < n_tested_levels; level++)
	{
		TestModel	t = encoder_open(name, &options, &tested_levels[level]);
		Results		got;

		run_way(t.model, n, &alone, NULL, &got);
		if (level == 0)
		{
			first = got;
			test_reference(t.model, name, n, &got);
		}
		check_equal(&first, &got, name, tested_levels[level].name, level);
		test_model_close(&t);
	}
	{
		TestModel	t = encoder_open(name, &options, llmk_select(NULL, llmk_cpu_features()));

		test_ways(t.model, name, n, &first);
		if (strcmp(name, "modern-bert") == 0 || strcmp(name, "qwen3-last") == 0)
			test_pauses(t.model, name, 4);
		if (strcmp(name, "jina-bert-v2") == 0)
			test_failing_allocations(t.model, 5);
		test_model_close(&t);
	}
	json_object_put(reference);
}

/* every row of the table that makes vectors only has a model here */
static void
test_all_rows_covered(void)
{
	for (int i = 0; i < llm_arch_count(); i++)
	{
		int			n = !(llm_arch_get(i)->traits & LLM_TRAIT_ENCODER);

		for (int k = 0; k < N_ENCODERS && n == 0; k++)
		{
			TestModel	t = encoder_open(encoder_names[k], &(LlmModelOptions) {.kv_type = LLM_KV_F16}, llmk_level(0));

			n += t.model->arch == llm_arch_get(i);
			test_model_close(&t);
		}
		CHECK_MSG(n > 0, "architecture %s is not tested", llm_arch_get(i)->name);
	}
}

int
main(void)
{
	list_tested_levels();
	test_all_rows_covered();
	for (int i = 0; i < N_ENCODERS; i++)
		test_model(encoder_names[i]);
	CHECK_DONE();
}
