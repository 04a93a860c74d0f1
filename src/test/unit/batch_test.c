/*
 * batch_test.c: same row, same bytes, on a model with all weight types, in all ways of batch_ways.h and at every CPU level.
 */
#include "batch_ways.h"
#include "mixed_model.h"
#include "tested_levels.h"

int
main(void)
{
	workload_make_prompts(MIXED_N_VOCAB);
	list_tested_levels();
	for (int kv = 0; kv < 2; kv++)
	{
		LlmModelOptions options = {.kv_type = kv ? LLM_KV_F16 : LLM_KV_F32};
		Workload	first = {.n = 0};
		TestModel	t;

		for (int level = 0; level < n_tested_levels; level++)
		{
			t = mixed_model_open(&options, &tested_levels[level], NULL);
			test_level(t.model, &first);
			test_model_close(&t);
		}
		t = mixed_model_open(&options, llmk_select(NULL, llmk_cpu_features()), NULL);
		test_all_ways(t.model, kv == 1);
		test_model_close(&t);
	}
	CHECK_DONE();
}
