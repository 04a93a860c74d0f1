/*
 * hf_reference.h: a Hugging Face folder against what transformers computes with it.
 */
#ifndef LLM_TEST_HF_REFERENCE_H
#define LLM_TEST_HF_REFERENCE_H

#include "check.h"
#include "serve/embed.h"
#include "serve/scheduler.h"
#include "weights/memory_pack.h"

#include <json-c/json.h>
#include <math.h>
#include <stdio.h>

#define HF_TOLERANCE 1e-4			/* results are up to 5; written by src/test/references/hf_folders.py */

static inline struct json_object *
hf_read_json(const char *path)
{
	struct json_object *json = json_object_from_file(path);

	CHECK_MSG(json != NULL, "%s", path);
	return json;
}

/* what the reference has of a case: logits, the mean of a text's vectors, or the outputs of a classifier */
static inline struct json_object *
hf_expected(struct json_object *c)
{
	static const char *const kinds[] = {"logits", "embedding", "outputs"};
	struct json_object *values = NULL;

	for (size_t i = 0; i < 3 && !values; i++)
		(void) json_object_object_get_ex(c, kinds[i], &values);
	return values;
}

static inline LlmStatus
hf_request(LlmScheduler *scheduler, struct json_object *c, const int32_t *tokens, size_t n, LlmRequest **request, LlmError *err)
{
	if (json_object_object_get_ex(c, "logits", NULL))
		return llm_request_logits(scheduler, tokens, n, request, err);
	if (json_object_object_get_ex(c, "embedding", NULL))
		return llm_request_embed(scheduler, tokens, n, request, err);
	return llm_request_rank(scheduler, tokens, n, n, request, err);
}

static inline void
hf_check_case(LlmScheduler *scheduler, const char *name, struct json_object *c)
{
	struct json_object *ids = json_object_object_get(c, "token_ids");
	struct json_object *expected = hf_expected(c);
	int32_t		tokens[64];
	size_t		n = json_object_array_length(ids);
	LlmRequest *request;
	const float *values;
	LlmError	err = {0};
	LlmStatus	status;
	double		worst = 0;

	for (size_t i = 0; i < n && i < 64; i++)
		tokens[i] = json_object_get_int(json_object_array_get_idx(ids, i));
	status = hf_request(scheduler, c, tokens, n, &request, &err);
	CHECK_MSG(status == LLM_OK, "%s: %s", name, err.message);
	if (status != LLM_OK)
		return;
	CHECK(llm_scheduler_run(scheduler, NULL, &err) == LLM_OK && llm_request_finish(request) == LLM_FINISH_STOP);
	values = json_object_object_get_ex(c, "logits", NULL) ? llm_request_logits_result(request) : llm_request_vector(request);
	for (size_t i = 0; i < json_object_array_length(expected); i++)
	{
		double		d = fabs(values[i] - json_object_get_double(json_object_array_get_idx(expected, i)));

		worst = check_larger(worst, d);
	}
	CHECK_MSG(worst <= HF_TOLERANCE, "%s, %zu tokens: results differ by %g", name, n, worst);
	llm_request_free(request);
}

/* how many values the model has of the kind that a case is about */
static inline size_t
hf_n_values(const LlmModel *m, struct json_object *c)
{
	if (json_object_object_get_ex(c, "logits", NULL))
		return m->hp.n_vocab;
	return json_object_object_get_ex(c, "embedding", NULL) ? m->hp.n_embd : m->head.n_outputs;
}

/* every case of the reference, by the folder at path */
static inline void
hf_check_reference(const char *path, const char *name, struct json_object *reference)
{
	struct json_object *cases = json_object_object_get(reference, "cases");
	LlmModelOptions options = {.kv_type = LLM_KV_F32, .n_ctx = (uint32_t) json_object_get_int(json_object_object_get(reference, "n_ctx"))};
	const LlmPooling mean = LLM_POOLING_MEAN;
	LlmSchedulerOptions scheduler_options = {.batch_tokens = 0};
	const LlmAllocator *a = &llm_malloc_allocator;
	const uint8_t *base;
	size_t		size;
	LlmSource	source;
	LlmModel   *model;
	LlmPool    *pool;
	LlmScheduler *scheduler;
	LlmError	err = {0};
	LlmStatus	status = llm_source_open(path, a, NULL, &source, &err);

	CHECK_MSG(status == LLM_OK, "%s: %s %s", name, err.message, err.detail);
	if (status != LLM_OK)
		return;
	CHECK(llm_pack_to_memory(&source, a, NULL, &base, &size, &err) == LLM_OK);
	llm_source_close(&source);
	if (json_object_object_get_ex(json_object_array_get_idx(cases, 0), "embedding", NULL))
		options.pooling = &mean;
	status = llm_model_open(base, size, &options, llmk_select(NULL, llmk_cpu_features()), a, &model, &err);
	CHECK_MSG(status == LLM_OK, "%s: %s %s", name, err.message, err.detail);
	if (status == LLM_OK)
	{
		CHECK(llm_pool_create(a, 2, &pool, &err) == LLM_OK && llm_scheduler_create(model, pool, &scheduler_options, a, &scheduler, &err) == LLM_OK);
		CHECK(json_object_array_length(cases) > 0);
		for (size_t i = 0; i < json_object_array_length(cases); i++)
		{
			struct json_object *c = json_object_array_get_idx(cases, i);
			bool		fits = json_object_array_length(hf_expected(c)) == hf_n_values(model, c);

			CHECK_MSG(fits, "%s: %zu values", name, hf_n_values(model, c));
			if (fits)
				hf_check_case(scheduler, name, c);
		}
		llm_scheduler_free(scheduler);
		llm_pool_free(pool);
		llm_model_close(model);
	}
	llm_memory_pack_free(base, size);
}

#endif
