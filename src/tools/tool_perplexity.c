/*
 * tool_perplexity.c: how well a model predicts a text. The file's tokens (no bos) are cut into windows; each window is
 * evaluated by itself from position 0, and its tokens from position `from` on are scored given all before them.
 */
#include <math.h>
#include <string.h>

#include "tool.h"

typedef struct Tally
{
	double		nll;			/* negative log likelihood, natural */
	int64_t		n_tokens;		/* scored */
	int64_t		n_windows;
} Tally;

/* the text of a file as tokens */
static LlmStatus
tokenize_file(const LlmModel *model, const char *path, LlmTokens *tokens, LlmError *err)
{
	LlmFile		file;
	void	   *text = NULL;
	LlmStatus	status;

	LLM_TRY(llm_file_open(path, &file, err));
	status = llm_alloc(&llm_malloc_allocator, (size_t) file.size_bytes + 1, 1, &text, err);
	if (status == LLM_OK)
		status = llm_file_read(&file, 0, text, (size_t) file.size_bytes, NULL, err);
	if (status == LLM_OK)
		status = llm_tokenize(model->tokenizer, (LlmText) {text, NULL, (size_t) file.size_bytes}, 0, NULL, tokens, err);
	llm_free(&llm_malloc_allocator, text);
	llm_file_close(&file);
	return status;
}

/* score one window of n tokens, n > from */
static LlmStatus
score_window(ToolModel *m, const int32_t *ids, size_t n, size_t from, Tally *tally, LlmError *err)
{
	LlmBranch	branch = {ids + from, n - from};
	LlmRequest *request;
	LlmStatus	status;

	LLM_TRY(llm_request_score(m->scheduler, ids, from, &branch, 1, &request, err));
	status = tool_run_request(m, request, err);
	if (status == LLM_OK)
	{
		tally->nll -= llm_request_scores(request)[0];
		tally->n_tokens += (int64_t) branch.n_tokens;
		tally->n_windows++;
	}
	llm_request_free(request);
	return status;
}

static LlmStatus
print_tally(const Tally *tally, LlmError *err)
{
	struct json_object *object = json_object_new_object();
	LlmStatus	status = object ? LLM_OK : llm_fail(err, LLM_E_NOMEM, "out of memory");

	if (status == LLM_OK)
		status = tool_json_set_number(object, "ppl", exp(tally->nll / (double) tally->n_tokens), err);
	if (status == LLM_OK)
		status = tool_json_set_number(object, "nll", tally->nll, err);
	if (status == LLM_OK)
		status = tool_json_set_int(object, "tokens", tally->n_tokens, err);
	if (status == LLM_OK)
		status = tool_json_set_int(object, "windows", tally->n_windows, err);
	if (status == LLM_OK)
		return tool_json_print(object, err);
	json_object_put(object);
	return status;
}

static LlmStatus
score_file(ToolModel *m, const ToolOptions *options, LlmTokens *tokens, Tally *tally, LlmError *err)
{
	size_t		window = (size_t) options->ctx;
	size_t		from = (size_t) options->from;

	LLM_TRY(tokenize_file(m->model, options->file, tokens, err));
	for (size_t start = 0; start < tokens->n; start += window)
	{
		size_t		n = tokens->n - start < window ? tokens->n - start : window;

		if (n > from)
			LLM_TRY(score_window(m, tokens->ids + start, n, from, tally, err));
	}
	if (tally->n_tokens == 0)
		return llm_fail(err, LLM_E_ARGUMENT, "file \"%.200s\" has too few tokens (%zu)", options->file, tokens->n);
	return LLM_OK;
}

LlmStatus
tool_perplexity(const ToolOptions *options, LlmError *err)
{
	ToolModel	m;
	LlmTokens	tokens;
	Tally		tally = {0, 0, 0};
	LlmStatus	status;

	LLM_TRY(tool_model_open(options, &m, err));
	llm_tokens_init(&tokens, &llm_malloc_allocator);
	status = score_file(&m, options, &tokens, &tally, err);
	llm_tokens_free(&tokens);
	tool_model_close(&m);
	return status == LLM_OK ? print_tally(&tally, err) : status;
}
