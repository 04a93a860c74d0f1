/*
 * fn_tokenize.c: llm_tokenize, llm_detokenize, llm_count_tokens: a model's own vocabulary, to look at.
 *
 * Text is data here as everywhere: what looks like a special token is tokenized as plain characters, unless the caller asks
 * with parse_special to see how a template's bytes would be read. Nothing is computed with the model.
 */
#include "llm_call.h"
#include "models.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_tokenize);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_detokenize);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_count_tokens);

#define ARG_BOOL(n)  (!PG_ARGISNULL(n) && PG_GETARG_BOOL(n))

/* ids of input in the current memory context */
static void
tokenize_text(const text *input, const text *model_name, bool add_special, bool parse_special, LlmTokens *ids)
{
	const PgLlmModel *use = pgllm_model_open(model_name);
	LlmStr		utf8 = pgllm_to_utf8(input);
	LlmText		words = {.bytes = utf8.data, .from_data = NULL, .len = utf8.len};
	int			flags = (add_special ? LLM_TOKENIZE_ADD_SPECIAL : 0) | (parse_special ? LLM_TOKENIZE_PARSE_SPECIAL : 0);
	LlmError	err;

	llm_tokens_init(ids, pgllm_allocator(CurrentMemoryContext));
	PGLLM_RUN(llm_tokenize(use->model->tokenizer, words, flags, pgllm_stop(), ids, &err), &err);
}

Datum
pgllm_fn_llm_tokenize(PG_FUNCTION_ARGS)
{
	LlmTokens	ids;
	ArrayType  *result;
	size_t		n_bytes;

	if (PG_ARGISNULL(0) || pgllm_planner_evaluates())
		PG_RETURN_NULL();
	tokenize_text(PG_GETARG_TEXT_PP(0), PGLLM_ARG_TEXT_OR_NULL(1), ARG_BOOL(2), ARG_BOOL(3), &ids);
	if (ids.n == 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(INT4OID));
	if (ids.n > MaxArraySize)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("text has %zu tokens, an array holds at most %zu", ids.n, (size_t) MaxArraySize),
				 errhint("Use llm_count_tokens() if you need the number only.")));
	n_bytes = ARR_OVERHEAD_NONULLS(1) + sizeof(int32) * ids.n;
	result = palloc(n_bytes);
	SET_VARSIZE(result, n_bytes);
	result->ndim = 1;
	result->dataoffset = 0;
	result->elemtype = INT4OID;
	ARR_DIMS(result)[0] = (int) ids.n;
	ARR_LBOUND(result)[0] = 1;
	memcpy(ARR_DATA_PTR(result), ids.ids, sizeof(int32) * ids.n);
	PG_RETURN_ARRAYTYPE_P(result);
}

Datum
pgllm_fn_llm_count_tokens(PG_FUNCTION_ARGS)
{
	LlmTokens	ids;

	if (PG_ARGISNULL(0) || pgllm_planner_evaluates())
		PG_RETURN_NULL();
	tokenize_text(PG_GETARG_TEXT_PP(0), PGLLM_ARG_TEXT_OR_NULL(1), ARG_BOOL(2), ARG_BOOL(3), &ids);
	if (ids.n > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("text has %zu tokens, more than an integer holds", ids.n),
				 errhint("Count the tokens of parts of the text.")));
	PG_RETURN_INT32((int32) ids.n);
}

static void
check_ids(const PgLlmModel *use, const int32_t *ids, int n)
{
	int32_t		n_vocab = llm_tokenizer_vocab_size(use->model->tokenizer);

	for (int i = 0; i < n; i++)
		if (ids[i] < 0 || ids[i] >= n_vocab)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("token id %d is not in the vocabulary of model \"%s\"", ids[i], use->name),
					 errhint("Its ids go from 0 to %d.", n_vocab - 1)));
}

Datum
pgllm_fn_llm_detokenize(PG_FUNCTION_ARGS)
{
	ArrayType  *array;
	const PgLlmModel *use;
	LlmBuf		bytes;
	LlmError	err;
	int			n;

	if (PG_ARGISNULL(0) || pgllm_planner_evaluates())
		PG_RETURN_NULL();
	array = PG_GETARG_ARRAYTYPE_P(0);
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("token ids must be an array of one dimension, not %d", ARR_NDIM(array)),
				 errhint("Call the function for each row of it.")));
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("token ids must not contain NULL"),
				 errhint("Remove NULLs with array_remove(ids, NULL).")));
	n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	use = pgllm_model_open(PGLLM_ARG_TEXT_OR_NULL(1));
	check_ids(use, (const int32_t *) ARR_DATA_PTR(array), n);
	llm_buf_init(&bytes, pgllm_allocator(CurrentMemoryContext));
	PGLLM_CHECK(llm_detokenize(use->model->tokenizer, (const int32_t *) ARR_DATA_PTR(array), (size_t) n,
							   ARG_BOOL(2), &bytes, &err), &err);
	PG_RETURN_TEXT_P(pgllm_from_utf8(bytes.data ? bytes.data : "", bytes.len));
}
