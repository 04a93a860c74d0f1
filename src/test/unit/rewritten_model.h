/*
 * rewritten_model.h: two tiny models with the same weights in different forms, whose logits must be the same bytes.
 */
#ifndef LLM_TEST_REWRITTEN_MODEL_H
#define LLM_TEST_REWRITTEN_MODEL_H

#include "test_model.h"
#include "tiny_model.h"
#include "ways.h"

/* what becomes of a tensor of n_bytes: true if it was written */
typedef bool (*Rewrite) (GgufWriter *w, const LlmTensor *t, const char *name, const uint8_t *data);

static inline void
write_as_is(GgufWriter *w, const LlmTensor *t, const char *name, const uint8_t *data)
{
	uint64_t	dims[LLM_MAX_DIMS];

	for (int i = 0; i < LLM_MAX_DIMS; i++)
		dims[i] = (uint64_t) t->dim[i];
	gw_tensor(w, name, t->type, (uint32_t) t->n_dims, dims, data, t->n_bytes);
}

/* the model with the same weights (they do not depend on keys), under these keys; *w is finished */
static inline void
make_rewritten(const NaiveModel *d, const TinyKey *keys, Rewrite rewrite, GgufWriter *w)
{
	TinyMaker	k;
	LlmSource	source;
	LlmError	err;
	char		path[64];
	int			fd;

	tiny_make(&k, d, keys, false);
	gw_finish(&k.w);
	fd = gw_memfd(k.w.file.data, k.w.file.len, path);
	CHECK(test_ok(llm_source_open(path, &llm_malloc_allocator, NULL, &source, &err), &err));
	gw_init(w);
	w->n_keys = k.w.n_keys;
	gw_put(&w->keys, k.w.keys.data, k.w.keys.len);
	for (uint64_t i = 0; i < source.n_tensors; i++)
	{
		const LlmTensor *t = &source.tensors[i];
		int64_t		n = t->dim[0] * t->dim[1] * t->dim[2];
		uint8_t    *data = gw_grow(NULL, t->n_bytes);
		char		name[96];

		snprintf(name, sizeof name, "%.*s", (int) t->name.len, t->name.data);
		CHECK(test_ok(llm_source_read(&source, t, 0, n, data, NULL, &err), &err));
		if (!rewrite || !rewrite(w, t, name, data))
			write_as_is(w, t, name, data);
		free(data);
	}
	llm_source_close(&source);
	close(fd);
	gw_free(&k.w);
	gw_finish(w);
}

static inline void
logits_of(const GgufWriter *w, float *out)
{
	const LlmModelOptions options = {.kv_type = LLM_KV_F32};
	LlmSchedulerOptions schedule = {.batch_tokens = 48};
	LlmRequest *request;
	LlmPool    *pool;
	LlmScheduler *s;
	LlmError	err;
	TestModel	t;
	char		path[64];
	int			fd = gw_memfd(w->file.data, w->file.len, path);

	t = test_model_open(path, &options, llmk_level(0));
	close(fd);
	CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, 1, &pool, &err), &err));
	CHECK(test_ok(llm_scheduler_create(t.model, pool, &schedule, &llm_malloc_allocator, &s, &err), &err));
	CHECK(test_ok(llm_request_logits(s, workload_prompt[0], 60, &request, &err), &err));
	CHECK(run_to_end(s, NULL));
	memcpy(out, llm_request_logits_result(request), TINY_VOCAB * sizeof *out);
	llm_scheduler_free(s);
	llm_pool_free(pool);
	test_model_close(&t);
}

static inline void
check_same_logits(GgufWriter *one, GgufWriter *other, const char *what)
{
	float		a[TINY_VOCAB];
	float		b[TINY_VOCAB];
	bool		differ = false;

	logits_of(one, a);
	logits_of(other, b);
	CHECK_MSG(memcmp(a, b, sizeof a) == 0, "%s: logits differ", what);
	for (int i = 1; i < TINY_VOCAB; i++)
		differ = differ || a[i] != a[0];
	CHECK_MSG(differ, "%s: all logits are %g", what, a[0]);
	gw_free(one);
	gw_free(other);
}

#endif
