/*
 * embed_call.c: a text's way to its vector.
 *
 * What is put before the text (some models want to be told what a text is for) is, in this order: the option prefix of the
 * call, that of the model's owner for the task (query_prefix, document_prefix), that of the model's own files.
 *
 * A text that is longer than the context follows pg_llm.truncate: its last tokens are left out (tail), or its middle.
 */
#include "embed_call.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"

void
pgllm_embed_args_init(PgLlmEmbedArgs *args)
{
	pgllm_options_parse(NULL, PGLLM_OPT_EMBED, &args->options);
	args->task = (LlmStr) {.data = "document", .len = strlen("document")};
	args->dimensions = 0;
	args->unit_length = true;
}

void
pgllm_call_tokens_error(PgLlmCall *call, const LlmError *err)
{
	call->error = *err;
	if (err->status != LLM_E_LIMIT)
		pgllm_raise(err);
	llm_error_hint(&call->error, "Shorten the text, cut it into pieces with llm_chunk(), or set pg_llm.truncate to \"tail\" or \"middle\".");
}

static bool
task_is(LlmStr task, const char *name)
{
	return task.len == strlen(name) && memcmp(task.data, name, task.len) == 0;
}

static LlmStr
prefix_of(const PgLlmModel *model, const PgLlmEmbedArgs *args)
{
	const char *owners = task_is(args->task, "query") ? model->query_prefix :
		task_is(args->task, "document") ? model->document_prefix : NULL;
	LlmStr		prefix = args->options.prefix;
	LlmError	err;

	if (prefix.data == NULL && owners != NULL)
		prefix = (LlmStr) {.data = owners, .len = strlen(owners)};
	if (prefix.data == NULL)
		PGLLM_CHECK(llm_embed_prefix(model->model, args->task, &prefix, &err), &err);
	return prefix;
}

static void
check_model(const PgLlmModel *model, const PgLlmEmbedArgs *args)
{
	uint32_t	n = llm_embedding_size(model->model);

	if (model->model->pooling <= LLM_POOLING_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("model \"%s\" makes a vector for each token, none for a text", model->name),
				 errhint("Convert the model with its pooling: mean, cls or last.")));
	if (args->dimensions > n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dimensions must be from 1 to %u, the length of the vectors of model \"%s\", is %u", n, model->name,
						args->dimensions),
				 errhint("Leave dimensions out for the whole vector.")));
}

/* what a text's tokens are made from: PgLlmFit's source */
typedef struct TextSource
{
	PgLlmCall  *call;
	LlmStr		prefix;
	LlmTokens	tokens;
	LlmError	err;
} TextSource;

static LlmStatus
tokenize(TextSource *source, LlmStr text, bool truncate)
{
	LlmStatus	status;

	source->tokens.n = 0;
	while ((status = llm_embed_tokens(source->call->model->model, source->prefix, text, truncate, pgllm_stop(),
									  &source->tokens, &source->err)) == LLM_PAUSED)
		CHECK_FOR_INTERRUPTS();
	return status;
}

/* PgLlmBuildFn: how many tokens a text too long has is of no use here */
static size_t
build(void *opaque, LlmStr text)
{
	TextSource *source = opaque;
	LlmStatus	status = tokenize(source, text, false);

	if (status == LLM_E_LIMIT)
		return (size_t) source->call->model->model->n_ctx + 1;
	if (status != LLM_OK)
		pgllm_raise(&source->err);
	return source->tokens.n;
}

/* the tokens of text, cut if the options say so; false: the call has the error */
static bool
make_tokens(TextSource *source, PgLlmTruncate truncate, LlmStr text)
{
	PgLlmCall  *call = source->call;
	uint32_t	n_ctx = call->model->model->n_ctx;
	PgLlmFit	fit = {.build = build, .source = source, .n_max = n_ctx, .n_cut = n_ctx,
		.truncate = truncate, .model_name = pgllm_cstring_to_utf8(call->model->name).data};

	if (truncate == PGLLM_TRUNCATE_MIDDLE)
	{
		if (!pgllm_fit_prompt(&fit, text, &call->truncated, &call->error))
			return false;
	}
	else if (tokenize(source, text, truncate == PGLLM_TRUNCATE_TAIL) != LLM_OK)
	{
		pgllm_call_tokens_error(call, &source->err);
		return false;
	}
	if (source->tokens.n == 0)
	{
		/* an empty text, and a model that puts nothing around it */
		llm_fail(&call->error, LLM_E_LIMIT, "text has no tokens");
		llm_error_hint(&call->error, "Give a text that is not empty.");
		return false;
	}
	return true;
}

PgLlmCall *
pgllm_embed_begin(PgLlmModel *model, const PgLlmEmbedArgs *args, LlmStr input)
{
	PgLlmCall  *call = pgllm_call_create(model);
	MemoryContext old = MemoryContextSwitchTo(call->context);
	TextSource	source = {.call = call, .prefix = prefix_of(model, args)};
	LlmRequest *request;
	LlmError	err;

	check_model(model, args);
	llm_tokens_init(&source.tokens, call->allocator);
	if (make_tokens(&source, args->options.truncate, input))
	{
		call->n_prompt = source.tokens.n;
		PGLLM_CHECK(llm_request_embed(model->scheduler, source.tokens.ids, source.tokens.n, &request, &err), &err);
		pgllm_call_set_request(call, request);
		llm_tokens_free(&source.tokens);
	}
	MemoryContextSwitchTo(old);
	return call;
}

float *
pgllm_embed_read(const PgLlmCall *call, const PgLlmEmbedArgs *args, uint32_t *n)
{
	uint32_t	n_whole = llm_embedding_size(call->model->model);
	float	   *vector = palloc(sizeof(float) * n_whole);
	LlmError	err;

	memcpy(vector, llm_request_vector(call->request), sizeof(float) * n_whole);
	PGLLM_CHECK(llm_embedding_finish(vector, n_whole, args->dimensions, args->unit_length, n, &err), &err);
	return vector;
}

ArrayType *
pgllm_real_array(const float *numbers, uint32_t n)
{
	Size		n_bytes = ARR_OVERHEAD_NONULLS(1) + sizeof(float) * n;
	ArrayType  *array = palloc0(n_bytes);

	SET_VARSIZE(array, n_bytes);
	array->ndim = 1;
	array->elemtype = FLOAT4OID;
	ARR_DIMS(array)[0] = (int) n;
	ARR_LBOUND(array)[0] = 1;
	memcpy(ARR_DATA_PTR(array), numbers, sizeof(float) * n);
	return array;
}
