/*
 * hf_reference.h: a Hugging Face folder against logits that transformers gave for it.
 */
#ifndef LLM_TEST_HF_REFERENCE_H
#define LLM_TEST_HF_REFERENCE_H

#include "check.h"
#include "serve/scheduler.h"
#include "weights/memory_pack.h"

#include <json-c/json.h>
#include <math.h>
#include <stdio.h>

#define HF_TOLERANCE 1e-4			/* the logits are up to 5; written by src/test/references/hf_folders.py */

static inline struct json_object *
hf_read_json(const char *path)
{
	struct json_object *json = json_object_from_file(path);

	CHECK_MSG(json != NULL, "%s", path);
	return json;
}

static inline void
hf_check_case(LlmScheduler *scheduler, uint32_t n_vocab, const char *name, struct json_object *c)
{
	struct json_object *ids = json_object_object_get(c, "token_ids");
	struct json_object *logits = json_object_object_get(c, "logits");
	int32_t		tokens[64];
	size_t		n = json_object_array_length(ids);
	LlmRequest *request;
	LlmError	err;
	double		worst = 0;

	for (size_t i = 0; i < n && i < 64; i++)
		tokens[i] = json_object_get_int(json_object_array_get_idx(ids, i));
	CHECK_MSG(json_object_array_length(logits) == n_vocab, "%s: %zu logits for %u tokens", name, json_object_array_length(logits), n_vocab);
	CHECK(llm_request_logits(scheduler, tokens, n, &request, &err) == LLM_OK);
	CHECK(llm_scheduler_run(scheduler, NULL, &err) == LLM_OK && llm_request_finish(request) == LLM_FINISH_STOP);
	for (size_t i = 0; i < n_vocab; i++)
	{
		double		d = fabs(llm_request_logits_result(request)[i] - json_object_get_double(json_object_array_get_idx(logits, i)));

		worst = d <= worst ? worst : d;
	}
	CHECK_MSG(worst <= HF_TOLERANCE, "%s, %zu tokens: logits differ by %g", name, n, worst);
	llm_request_free(request);
}

/* every case of the reference, by the folder at path */
static inline void
hf_check_reference(const char *path, const char *name, struct json_object *reference)
{
	struct json_object *cases = json_object_object_get(reference, "cases");
	LlmModelOptions options = {.kv_type = LLM_KV_F32, .n_ctx = (uint32_t) json_object_get_int(json_object_object_get(reference, "n_ctx"))};
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
	status = llm_model_open(base, size, &options, llmk_select(NULL, llmk_cpu_features()), a, &model, &err);
	CHECK_MSG(status == LLM_OK, "%s: %s %s", name, err.message, err.detail);
	if (status == LLM_OK)
	{
		CHECK(llm_pool_create(a, 2, &pool, &err) == LLM_OK && llm_scheduler_create(model, pool, &scheduler_options, a, &scheduler, &err) == LLM_OK);
		CHECK(json_object_array_length(cases) > 0);
		for (size_t i = 0; i < json_object_array_length(cases); i++)
			hf_check_case(scheduler, model->hp.n_vocab, name, json_object_array_get_idx(cases, i));
		llm_scheduler_free(scheduler);
		llm_pool_free(pool);
		llm_model_close(model);
	}
	llm_memory_pack_free(base, size);
}

#endif
