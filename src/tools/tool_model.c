/*
 * tool_model.c: from a file's path to a model that computes: the file is read and packed into memory of our own, and gets a
 * thread pool and a scheduler.
 */
#include <string.h>

#include "tool.h"
#include "weights/memory_pack.h"

/* prompts that begin alike, as the lines of one input often do, share what was computed for their beginning */
#define PREFIX_CACHE_BYTES ((size_t) 64 << 20)

static LlmStatus
pack_file(const char *path, LlmPool *pool, const uint8_t **base, size_t *size, LlmError *err)
{
	LlmSource	source;
	LlmStatus	status;

	LLM_TRY(llm_source_open(path, &llm_malloc_allocator, NULL, &source, err));
	status = llm_pack_to_memory_with(&source, pool, &llm_malloc_allocator, NULL, base, size, err);
	llm_source_close(&source);
	return status;
}

static LlmStatus
select_kernels(const char *name, const LlmKernels **out, LlmError *err)
{
	*out = llmk_select(name, llmk_cpu_features());
	if (*out)
		return LLM_OK;
	llm_fail(err, LLM_E_ARGUMENT, "kernels \"%s\" are not known, or not possible on this processor", name);
	llm_error_hint(err, "The best here are \"%s\".", llmk_select(NULL, llmk_cpu_features())->name);
	return LLM_E_ARGUMENT;
}

static LlmStatus
open_parts(const ToolOptions *options, ToolModel *m, LlmError *err)
{
	LlmModelOptions model_options = {.n_ctx = (uint32_t) options->ctx, .kv_type = options->kv_type, .rope = options->rope};
	LlmSchedulerOptions scheduler_options = {.batch_tokens = 0};
	int			n_threads = options->threads > 0 ? (int) options->threads : llm_cpu_count();
	const LlmKernels *kernels;

	if (options->pooling != LLM_POOLING_UNSPECIFIED)
		model_options.pooling = &options->pooling;
	if (options->command == TOOL_BENCH)
		scheduler_options.max_sequences = (int) options->sequences;
	else
		scheduler_options.prefix_cache_bytes = PREFIX_CACHE_BYTES;
	LLM_TRY(select_kernels(options->kernels, &kernels, err));
	LLM_TRY(llm_pool_create(&llm_malloc_allocator, n_threads, &m->pool, err));
	LLM_TRY(pack_file(options->model, m->pool, &m->base, &m->size, err));
	if (options->lora)
	{
		m->adapter.scale = options->lora_scale;
		LLM_TRY(pack_file(options->lora, m->pool, &m->adapter.base, &m->adapter.size, err));
		model_options.adapters = &m->adapter;
		model_options.n_adapters = 1;
	}
	LLM_TRY(llm_model_open(m->base, m->size, &model_options, kernels, &llm_malloc_allocator, &m->model, err));
	return llm_scheduler_create(m->model, m->pool, &scheduler_options, &llm_malloc_allocator, &m->scheduler, err);
}

/* fill m from the options; on an error nothing is left open. --ctx beyond what the model can do is an error of the model's. */
LlmStatus
tool_model_open(const ToolOptions *options, ToolModel *m, LlmError *err)
{
	LlmStatus	status;

	memset(m, 0, sizeof *m);
	status = open_parts(options, m, err);
	if (status != LLM_OK)
		tool_model_close(m);
	return status;
}

void
tool_model_close(ToolModel *m)
{
	if (m->scheduler)
		llm_scheduler_free(m->scheduler);
	if (m->pool)
		llm_pool_free(m->pool);
	if (m->model)
		llm_model_close(m->model);
	llm_memory_pack_free(m->base, m->size);
	llm_memory_pack_free(m->adapter.base, m->adapter.size);
	memset(m, 0, sizeof *m);
}

/* append an array of ids, each checked against the vocabulary */
static LlmStatus
read_ids(const LlmModel *model, struct json_object *array, LlmTokens *out, LlmError *err)
{
	if (!json_object_is_type(array, json_type_array))
		return llm_fail(err, LLM_E_ARGUMENT, "token_ids must be an array of whole numbers");
	for (size_t i = 0; i < json_object_array_length(array); i++)
	{
		struct json_object *item = json_object_array_get_idx(array, i);
		int64_t		id = json_object_is_type(item, json_type_int) ? json_object_get_int64(item) : -1;

		if (id < 0 || id >= (int64_t) model->hp.n_vocab)
		{
			llm_fail(err, LLM_E_ARGUMENT, "token_ids[%zu] is not in the vocabulary: %.40s", i, json_object_to_json_string(item));
			llm_error_detail(err, "Ids of this model are 0 to %u.", model->hp.n_vocab - 1);
			return LLM_E_ARGUMENT;
		}
		LLM_TRY(llm_tokens_append(out, (int32_t) id, err));
	}
	return LLM_OK;
}

LlmStatus
tool_read_tokens(const LlmModel *model, struct json_object *value, bool special, bool (*known) (const char *key),
				 LlmTokens *out, LlmError *err)
{
	struct json_object *ids = NULL;
	struct json_object *text = NULL;

	if (!json_object_is_type(value, json_type_object))
		return llm_fail(err, LLM_E_ARGUMENT, "expected an object such as {\"text\": \"…\"}");
	json_object_object_foreach(value, key, item)
	{
		if (strcmp(key, "token_ids") == 0)
			ids = item;
		else if (strcmp(key, "text") == 0)
			text = item;
		else if (!known || !known(key))
			return llm_fail(err, LLM_E_ARGUMENT, "unknown key \"%.60s\"", key);
	}
	if ((ids != NULL) == (text != NULL))
		return llm_fail(err, LLM_E_ARGUMENT, "expected either token_ids or text");
	if (ids)
		return read_ids(model, ids, out, err);
	if (!json_object_is_type(text, json_type_string))
		return llm_fail(err, LLM_E_ARGUMENT, "text must be a string");
	return llm_tokenize(model->tokenizer,
						(LlmText) {json_object_get_string(text), NULL, (size_t) json_object_get_string_len(text)},
						LLM_TOKENIZE_ADD_SPECIAL | (special ? LLM_TOKENIZE_PARSE_SPECIAL : 0), NULL, out, err);
}

LlmStatus
tool_run_request(ToolModel *m, const LlmRequest *request, LlmError *err)
{
	LLM_TRY(llm_scheduler_run(m->scheduler, NULL, err));
	if (llm_request_finish(request) == LLM_FINISH_ERROR)
	{
		const LlmError *own = llm_request_error(request);

		*err = *own;
		return own->status;
	}
	return LLM_OK;
}
