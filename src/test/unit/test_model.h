/*
 * test_model.h: a model file opened for a test: pack in memory, pool, scheduler.
 */
#ifndef LLM_TEST_MODEL_H
#define LLM_TEST_MODEL_H

#include "check.h"
#include "serve/scheduler.h"
#include "weights/memory_pack.h"

typedef struct TestModel
{
	const uint8_t *base;
	size_t		size;
	LlmModel   *model;
} TestModel;

static inline bool
test_ok(LlmStatus status, const LlmError *err)
{
	if (status != LLM_OK)
		fprintf(stderr, "status %d: %s | %s | %s\n", (int) status, err->message, err->detail, err->hint);
	return status == LLM_OK;
}

/* a GGUF as a pack in memory; exits the test program if it cannot be made */
static inline void
test_pack(const char *path, const uint8_t **base, size_t *size)
{
	LlmSource	source;
	LlmError	err;

	if (!test_ok(llm_source_open(path, &llm_malloc_allocator, NULL, &source, &err), &err))
		exit(1);
	if (!test_ok(llm_pack_to_memory(&source, &llm_malloc_allocator, NULL, base, size, &err), &err))
		exit(1);
	llm_source_close(&source);
}

/* exits the test program if the model cannot be opened */
static inline TestModel
test_model_open(const char *path, const LlmModelOptions *options, const LlmKernels *kernels)
{
	TestModel	t = {0};
	LlmError	err;

	test_pack(path, &t.base, &t.size);
	if (!test_ok(llm_model_open(t.base, t.size, options, kernels, &llm_malloc_allocator, &t.model, &err), &err))
		exit(1);
	return t;
}

static inline void
test_model_close(TestModel *t)
{
	llm_model_close(t->model);
	llm_memory_pack_free(t->base, t->size);
}

#endif
