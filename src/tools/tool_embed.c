/*
 * tool_embed.c: embed and rerank: vectors of texts, and scores of documents for a query. Lines are computed together, many at
 * a time, as the rows of a statement are.
 */
#include <stdlib.h>
#include <string.h>

#include "tool.h"
#include "serve/embed.h"

#define LINES_TOGETHER 256
#define MAX_DOCUMENTS 10000

static LlmStr
option_str(const char *word)
{
	return word ? (LlmStr) {word, strlen(word)} : (LlmStr) {"", 0};
}

static LlmStr
json_str(struct json_object *value)
{
	return (LlmStr) {json_object_get_string(value), (size_t) json_object_get_string_len(value)};
}

/* the value of a key that must be a string; required, or out stays as it is */
static LlmStatus
read_str(struct json_object *object, const char *key, bool required, LlmStr *out, LlmError *err)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value))
		return required ? llm_fail(err, LLM_E_ARGUMENT, "expected a key \"%s\"", key) : LLM_OK;
	if (!json_object_is_type(value, json_type_string))
		return llm_fail(err, LLM_E_ARGUMENT, "%s must be a string", key);
	*out = json_str(value);
	return LLM_OK;
}

/* a request's own error becomes ours */
static LlmStatus
check_request(const LlmRequest *request, LlmError *err)
{
	if (llm_request_finish(request) != LLM_FINISH_ERROR)
		return LLM_OK;
	*err = *llm_request_error(request);
	return err->status;
}

/* ---- embed ---- */

/* "text", {"text": "…"} or {"token_ids": […]} */
static LlmStatus
embed_tokens(const ToolOptions *options, const LlmModel *model, struct json_object *value, LlmTokens *tokens, LlmError *err)
{
	struct json_object *ids;
	LlmStr		prefix;
	LlmStr		text;

	if (json_object_is_type(value, json_type_object) && json_object_object_get_ex(value, "token_ids", &ids))
		return tool_read_tokens(model, value, false, NULL, tokens, err);
	if (json_object_is_type(value, json_type_string))
		text = json_str(value);
	else if (json_object_is_type(value, json_type_object))
		LLM_TRY(read_str(value, "text", true, &text, err));
	else
		return llm_fail(err, LLM_E_ARGUMENT, "expected a string, or an object with text or token_ids");
	LLM_TRY(llm_embed_prefix(model, option_str(options->task), &prefix, err));
	return llm_embed_tokens(model, prefix, text, options->truncate, NULL, tokens, err);
}

/* a vector as the options want it, as JSON */
static LlmStatus
vector_json(const ToolOptions *options, const float *vector, uint32_t n, struct json_object **out, LlmError *err)
{
	float	   *copy;
	LlmStatus	status;

	LLM_TRY(llm_alloc(&llm_malloc_allocator, n, sizeof(float), (void **) &copy, err));
	memcpy(copy, vector, n * sizeof(float));
	status = llm_embedding_finish(copy, n, (uint32_t) options->dimensions, !options->raw, &n, err);
	if (status == LLM_OK)
		status = tool_json_floats(copy, n, out, err);
	llm_free(&llm_malloc_allocator, copy);
	return status;
}

/* all vectors of a text whose tokens keep theirs */
static LlmStatus
vectors_json(const ToolOptions *options, const LlmRequest *request, uint32_t n, struct json_object **out, LlmError *err)
{
	struct json_object *array = json_object_new_array();
	LlmStatus	status = array ? LLM_OK : llm_fail(err, LLM_E_NOMEM, "out of memory");

	for (size_t i = 0; status == LLM_OK && i < llm_request_n_vectors(request); i++)
	{
		struct json_object *item = NULL;

		status = vector_json(options, llm_request_vector(request) + i * n, n, &item, err);
		if (status == LLM_OK && json_object_array_add(array, item) != 0)
		{
			json_object_put(item);
			status = llm_fail(err, LLM_E_NOMEM, "out of memory");
		}
	}
	if (status == LLM_OK)
		*out = array;
	else
		json_object_put(array);
	return status;
}

static LlmStatus
print_embedding(const ToolOptions *options, const LlmModel *model, const LlmRequest *request, LlmError *err)
{
	const bool	each = model->pooling == LLM_POOLING_NONE;
	const uint32_t n = llm_embedding_size(model);
	struct json_object *object = json_object_new_object();
	struct json_object *item = NULL;
	LlmStatus	status = object ? check_request(request, err) : llm_fail(err, LLM_E_NOMEM, "out of memory");

	if (status == LLM_OK)
		status = each ? vectors_json(options, request, n, &item, err) :
			vector_json(options, llm_request_vector(request), n, &item, err);
	if (status == LLM_OK)
		status = tool_json_set(object, each ? "embeddings" : "embedding", item, err);
	if (status == LLM_OK)
		return tool_json_print(object, err);
	json_object_put(object);
	return status;
}

/* read up to LINES_TOGETHER lines, compute and print them; *n: how many there were */
static LlmStatus
embed_some(const ToolOptions *options, ToolModel *m, ToolLines *lines, int *n, LlmError *err)
{
	LlmRequest *requests[LINES_TOGETHER];
	struct json_object *value;
	LlmTokens	tokens;
	LlmStatus	status = LLM_OK;

	llm_tokens_init(&tokens, &llm_malloc_allocator);
	*n = 0;
	while (status == LLM_OK && *n < LINES_TOGETHER && (status = tool_lines_next(lines, &value, err)) == LLM_OK && value)
	{
		tokens.n = 0;
		status = embed_tokens(options, m->model, value, &tokens, err);
		json_object_put(value);
		if (status == LLM_OK)
			status = llm_request_embed(m->scheduler, tokens.ids, tokens.n, &requests[*n], err);
		if (status == LLM_OK)
			(*n)++;
		else
			tool_lines_error(lines, status, err);
	}
	llm_tokens_free(&tokens);
	if (status == LLM_OK)
		status = llm_scheduler_run(m->scheduler, NULL, err);
	for (int i = 0; i < *n; i++)
	{
		if (status == LLM_OK)
			status = print_embedding(options, m->model, requests[i], err);
		llm_request_free(requests[i]);
	}
	return status;
}

LlmStatus
tool_embed(const ToolOptions *options, LlmError *err)
{
	ToolLines	lines = {NULL, 0, 0};
	ToolModel	m;
	LlmStatus	status;
	int			n = 1;

	LLM_TRY(tool_model_open(options, &m, err));
	do
		status = embed_some(options, &m, &lines, &n, err);
	while (status == LLM_OK && n > 0);
	tool_lines_free(&lines);
	tool_model_close(&m);
	return status;
}

/* ---- rerank ---- */

/* add a request for a query with a document */
static LlmStatus
rank_texts(const ToolOptions *options, ToolModel *m, struct json_object *value, LlmStr document, LlmRequest **out, LlmError *err)
{
	LlmStr		query;
	LlmStr		instruction = {"", 0};
	LlmTokens	tokens;
	size_t		n_query;
	LlmStatus	status;

	LLM_TRY(read_str(value, "query", true, &query, err));
	LLM_TRY(read_str(value, "instruction", false, &instruction, err));
	llm_tokens_init(&tokens, &llm_malloc_allocator);
	status = llm_rank_tokens(m->model, instruction, query, document, options->truncate, NULL, &tokens, &n_query, err);
	if (status == LLM_OK)
		status = llm_request_rank(m->scheduler, tokens.ids, tokens.n, n_query, out, err);
	llm_tokens_free(&tokens);
	return status;
}

static bool
is_n_query(const char *key)
{
	return strcmp(key, "n_query") == 0;
}

static LlmStatus
rank_ids(ToolModel *m, struct json_object *value, LlmRequest **out, LlmError *err)
{
	struct json_object *item;
	LlmTokens	tokens;
	int64_t		n_query = 0;
	LlmStatus	status;

	if (json_object_object_get_ex(value, "n_query", &item))
		n_query = json_object_get_int64(item);
	llm_tokens_init(&tokens, &llm_malloc_allocator);
	status = tool_read_tokens(m->model, value, false, is_n_query, &tokens, err);
	if (status == LLM_OK && (n_query < 0 || (uint64_t) n_query > tokens.n))
		status = llm_fail(err, LLM_E_ARGUMENT, "n_query must be from 0 to %zu, is %lld", tokens.n, (long long) n_query);
	if (status == LLM_OK)
		status = llm_request_rank(m->scheduler, tokens.ids, tokens.n, (size_t) n_query, out, err);
	llm_tokens_free(&tokens);
	return status;
}

/* print the scores and outputs of requests (n) as one line */
static LlmStatus
print_ranks(const LlmModel *model, LlmRequest *const *requests, size_t n, LlmError *err)
{
	const uint32_t width = llm_rank_outputs(model);
	struct json_object *object = json_object_new_object();
	struct json_object *outputs = json_object_new_array();
	struct json_object *scores = json_object_new_array();
	struct json_object *item;
	LlmStatus	status = object && outputs && scores ? LLM_OK : llm_fail(err, LLM_E_NOMEM, "out of memory");

	for (size_t i = 0; status == LLM_OK && i < n; i++)
	{
		const float *vector = llm_request_vector(requests[i]);

		status = check_request(requests[i], err);
		if (status == LLM_OK)
			status = tool_json_floats(vector, width, &item, err);
		if (status == LLM_OK)
		{
			json_object_array_add(outputs, item);
			status = tool_json_number(llm_rank_score(model, vector), &item, err);
		}
		if (status == LLM_OK)
			json_object_array_add(scores, item);
	}
	if (status != LLM_OK)
	{
		json_object_put(object);
		json_object_put(outputs);
		json_object_put(scores);
		return status;
	}
	json_object_object_add(object, "scores", scores);
	json_object_object_add(object, "outputs", outputs);
	return tool_json_print(object, err);
}

/* {"query": "…", "documents": ["…", …]}, with instruction; or {"token_ids": […], "n_query": n} */
static LlmStatus
rerank_line(const ToolOptions *options, ToolModel *m, struct json_object *value, LlmError *err)
{
	struct json_object *documents = NULL;
	LlmRequest **requests;
	size_t		n = 1;
	size_t		n_made = 0;
	LlmStatus	status = LLM_OK;

	if (!json_object_is_type(value, json_type_object))
		return llm_fail(err, LLM_E_ARGUMENT, "expected an object such as {\"query\": \"…\", \"documents\": [\"…\"]}");
	if (json_object_object_get_ex(value, "documents", &documents))
	{
		if (!json_object_is_type(documents, json_type_array) || json_object_array_length(documents) > MAX_DOCUMENTS)
			return llm_fail(err, LLM_E_ARGUMENT, "documents must be an array of at most %d strings", MAX_DOCUMENTS);
		n = json_object_array_length(documents);
	}
	LLM_TRY(llm_alloc_zero(&llm_malloc_allocator, n + 1, sizeof(LlmRequest *), (void **) &requests, err));
	for (; status == LLM_OK && n_made < n; n_made += status == LLM_OK)
	{
		struct json_object *document = documents ? json_object_array_get_idx(documents, n_made) : NULL;

		if (!documents)
			status = rank_ids(m, value, &requests[0], err);
		else if (json_object_is_type(document, json_type_string))
			status = rank_texts(options, m, value, json_str(document), &requests[n_made], err);
		else
			status = llm_fail(err, LLM_E_ARGUMENT, "documents[%zu] must be a string", n_made);
	}
	if (status == LLM_OK)
		status = llm_scheduler_run(m->scheduler, NULL, err);
	if (status == LLM_OK)
		status = print_ranks(m->model, requests, n, err);
	for (size_t i = 0; i < n_made; i++)
		llm_request_free(requests[i]);
	llm_free(&llm_malloc_allocator, requests);
	return status;
}

LlmStatus
tool_rerank(const ToolOptions *options, LlmError *err)
{
	ToolLines	lines = {NULL, 0, 0};
	ToolModel	m;
	struct json_object *value;
	LlmStatus	status;

	LLM_TRY(tool_model_open(options, &m, err));
	while ((status = tool_lines_next(&lines, &value, err)) == LLM_OK && value)
	{
		status = rerank_line(options, &m, value, err);
		json_object_put(value);
		if (status != LLM_OK)
		{
			tool_lines_error(&lines, status, err);
			break;
		}
	}
	tool_lines_free(&lines);
	tool_model_close(&m);
	return status;
}
