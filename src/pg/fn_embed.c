/*
 * fn_embed.c: llm_embed, llm_embed_many, llm_embed_pinned, llm_similarity: texts as vectors.
 */
#include "call_stats.h"
#include "embed_call.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_embed);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_embed_many);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_embed_pinned);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_similarity);

#define BIT(arg) (1u << (arg))

/* llm_embed and llm_embed_many */
enum
{
	ARG_INPUT,
	ARG_MODEL,
	ARG_TASK,
	ARG_DIMENSIONS,
	ARG_UNIT_LENGTH,
	ARG_OPTIONS
};

#define EMBED_CONSTANTS (BIT(ARG_TASK) | BIT(ARG_DIMENSIONS) | BIT(ARG_UNIT_LENGTH) | BIT(ARG_OPTIONS))

/* llm_similarity */
enum
{
	SIMILARITY_A,
	SIMILARITY_B,
	SIMILARITY_MODEL,
	SIMILARITY_OPTIONS
};

static void *
parse_embed(FunctionCallInfo fcinfo)
{
	PgLlmEmbedArgs *args = palloc(sizeof(PgLlmEmbedArgs));

	pgllm_embed_args_init(args);
	if (!PG_ARGISNULL(ARG_OPTIONS))
		pgllm_options_parse(PG_GETARG_JSONB_P(ARG_OPTIONS), PGLLM_OPT_EMBED, &args->options);
	if (!PG_ARGISNULL(ARG_TASK))
		args->task = pgllm_str_copy(pgllm_to_utf8(PG_GETARG_TEXT_PP(ARG_TASK)));
	if (!PG_ARGISNULL(ARG_UNIT_LENGTH))
		args->unit_length = PG_GETARG_BOOL(ARG_UNIT_LENGTH);
	if (!PG_ARGISNULL(ARG_DIMENSIONS))
	{
		int32		n = PG_GETARG_INT32(ARG_DIMENSIONS);

		if (n < 1)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("dimensions must be at least 1, is %d", n),
					 errhint("Leave dimensions out for the whole vector.")));
		args->dimensions = (uint32_t) n;
	}
	return args;
}

static void *
parse_similarity(FunctionCallInfo fcinfo)
{
	PgLlmEmbedArgs *args = palloc(sizeof(PgLlmEmbedArgs));

	pgllm_embed_args_init(args);
	if (!PG_ARGISNULL(SIMILARITY_OPTIONS))
		pgllm_options_parse(PG_GETARG_JSONB_P(SIMILARITY_OPTIONS), PGLLM_OPT_EMBED, &args->options);
	return args;
}

/* ---- llm_embed ---- */

static void
embed_begin(FunctionCallInfo fcinfo, PgLlmWork *work)
{
	pgllm_work_add(work, pgllm_embed_begin(work->model, work->parsed, pgllm_to_utf8(PG_GETARG_TEXT_PP(ARG_INPUT))));
}

/* the vector's numbers */
static PgLlmAnswer *
embed_answer(PgLlmWork *work)
{
	PgLlmCall  *call = work->calls[0];
	PgLlmAnswer *answer;
	float	   *vector;
	uint32_t	n;

	if (call->error.status != LLM_OK)
		return pgllm_answer_create(0, &call->error);
	vector = pgllm_embed_read(call, work->parsed, &n);
	answer = pgllm_answer_create(sizeof(float) * n, NULL);
	memcpy(answer->data, vector, sizeof(float) * n);
	pfree(vector);
	return answer;
}

static Datum
embed_finish(FunctionCallInfo fcinfo, const PgLlmPrepared *prepared, const PgLlmAnswer *answer)
{
	const PgLlmEmbedArgs *args = prepared->parsed;
	uint32_t	n = args->dimensions > 0 ? args->dimensions : llm_embedding_size(prepared->model->model);

	if (pgllm_answer_failed(answer))
		PG_RETURN_NULL();
	PG_RETURN_ARRAYTYPE_P(pgllm_real_array((const float *) answer->data, n));
}

const PgLlmFunction pgllm_function_embed = {
	.symbol = "pgllm_fn_llm_embed",
	.model_arg = ARG_MODEL,
	.kinds = PGLLM_KIND_EMBED,
	.constant_args = EMBED_CONSTANTS,
	.required_args = BIT(ARG_INPUT),
	.stable = true,
	.shareable = true,
	.parse = parse_embed,
	.begin = embed_begin,
	.answer = embed_answer,
	.finish = embed_finish,
};

/* (input, model, task, dimensions, unit_length, options) */
Datum
pgllm_fn_llm_embed(PG_FUNCTION_ARGS)
{
	return pgllm_function_call(fcinfo, &pgllm_function_embed);
}

/* ---- llm_embed_many ---- */

typedef struct Many
{
	PgLlmModel *model;
	const PgLlmEmbedArgs *args;
	ArrayType **results;		/* NULL: none */
} Many;

static PgLlmCall *
many_begin(void *opaque, LlmStr text)
{
	const Many *many = opaque;

	return pgllm_embed_begin(many->model, many->args, text);
}

static void
many_take(void *opaque, int index, const PgLlmCall *call)
{
	Many	   *many = opaque;
	float	   *vector;
	uint32_t	n;

	if (pgllm_call_failed(call))
		return;
	vector = pgllm_embed_read(call, many->args, &n);
	many->results[index] = pgllm_real_array(vector, n);
	pfree(vector);
}

/* (inputs, model, task, dimensions, unit_length, options): (no, embedding), a row for each input, in order */
Datum
pgllm_fn_llm_embed_many(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Many		many;
	PgLlmTextBatch batch = {.begin = many_begin, .take = many_take, .opaque = &many};
	LlmStr	   *inputs;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(ARG_INPUT))
		return (Datum) 0;
	many.args = parse_embed(fcinfo);
	inputs = pgllm_nullable_texts(PG_GETARG_ARRAYTYPE_P(ARG_INPUT), "inputs", &n);
	many.model = pgllm_model_use(PGLLM_ARG_TEXT_OR_NULL(ARG_MODEL), PGLLM_KIND_EMBED);
	many.results = palloc0(sizeof(ArrayType *) * Max(n, 1));
	pgllm_stats_function("llm_embed_many");
	pgllm_text_batch_run(&batch, inputs, n);
	pgllm_stats_rows(many.model, n);
	for (int i = 0; i < n; i++)
	{
		Datum		values[2] = {Int32GetDatum(i + 1), PointerGetDatum(many.results[i])};
		bool		nulls[2] = {false, many.results[i] == NULL};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* ---- llm_embed_pinned ---- */

/*
 * (input, sha256): IMMUTABLE, so nothing but the two arguments may count: not what the model's owner or a setting says. It
 * is answered in the planner too, and a text that cannot be embedded raises whatever pg_llm.on_error is.
 */
Datum
pgllm_fn_llm_embed_pinned(PG_FUNCTION_ARGS)
{
	LlmStr		input = pgllm_to_utf8(PG_GETARG_TEXT_PP(0));
	char	   *sha256 = text_to_cstring(PG_GETARG_TEXT_PP(1));
	PgLlmEmbedArgs args;
	PgLlmCall  *call;
	float	   *vector;
	uint32_t	n;

	if (strlen(sha256) != 64 || strspn(sha256, "0123456789abcdefABCDEF") != 64)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("sha256 must be 64 hexadecimal digits"),
				 errhint("llm_model_info() shows a model's as \"digest\".")));
	pgllm_embed_args_init(&args);
	args.options.truncate = PGLLM_TRUNCATE_ERROR;
	pgllm_stats_function("llm_embed_pinned");
	call = pgllm_embed_begin(pgllm_model_use_content(sha256, PGLLM_KIND_EMBED), &args, input);
	pgllm_call_wait(call);
	if (call->error.status != LLM_OK)
		pgllm_raise(&call->error);
	vector = pgllm_embed_read(call, &args, &n);
	pgllm_stats_rows(call->model, 1);
	pgllm_call_free(call);
	PG_RETURN_ARRAYTYPE_P(pgllm_real_array(vector, n));
}

/* ---- llm_similarity ---- */

static void
similarity_begin(FunctionCallInfo fcinfo, PgLlmWork *work)
{
	pgllm_work_add(work, pgllm_embed_begin(work->model, work->parsed, pgllm_to_utf8(PG_GETARG_TEXT_PP(SIMILARITY_A))));
	pgllm_work_add(work, pgllm_embed_begin(work->model, work->parsed, pgllm_to_utf8(PG_GETARG_TEXT_PP(SIMILARITY_B))));
}

/* the cosine; the first error is the row's */
static PgLlmAnswer *
similarity_answer(PgLlmWork *work)
{
	PgLlmAnswer *answer;

	for (int i = 0; i < work->n_calls; i++)
		if (work->calls[i]->error.status != LLM_OK)
			return pgllm_answer_create(0, &work->calls[i]->error);
	answer = pgllm_answer_create(sizeof(double), NULL);
	*(double *) answer->data = llm_cosine(llm_request_vector(work->calls[0]->request), llm_request_vector(work->calls[1]->request),
										  llm_embedding_size(work->model->model));
	return answer;
}

static Datum
similarity_finish(FunctionCallInfo fcinfo, const PgLlmPrepared *prepared, const PgLlmAnswer *answer)
{
	if (pgllm_answer_failed(answer))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(*(const double *) answer->data);
}

const PgLlmFunction pgllm_function_similarity = {
	.symbol = "pgllm_fn_llm_similarity",
	.model_arg = SIMILARITY_MODEL,
	.kinds = PGLLM_KIND_EMBED,
	.constant_args = BIT(SIMILARITY_OPTIONS),
	.required_args = BIT(SIMILARITY_A) | BIT(SIMILARITY_B),
	.stable = true,
	.shareable = true,
	.parse = parse_similarity,
	.begin = similarity_begin,
	.answer = similarity_answer,
	.finish = similarity_finish,
};

/* (a, b, model, options): cosine of the angle between the vectors of two texts */
Datum
pgllm_fn_llm_similarity(PG_FUNCTION_ARGS)
{
	return pgllm_function_call(fcinfo, &pgllm_function_similarity);
}
