/*
 * fn_rerank.c: llm_rerank and llm_relevance: how well documents answer a query, read together by a model of kind rerank.
 */
#include "call_stats.h"
#include "embed_call.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_rerank);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_relevance);

#define BIT(arg) (1u << (arg))

/* llm_rerank */
enum
{
	ARG_QUERY,
	ARG_DOCUMENTS,
	ARG_TOP_K,
	ARG_MODEL,
	ARG_OPTIONS
};

/* llm_relevance */
enum
{
	RELEVANCE_QUERY,
	RELEVANCE_DOCUMENT,
	RELEVANCE_MODEL,
	RELEVANCE_OPTIONS
};

/* one query, for one document or several */
typedef struct RankQuery
{
	PgLlmModel *model;
	const PgLlmOptions *options;	/* truncate, instruction */
	LlmStr		text;
} RankQuery;

/* PgLlmFit's source: the document's text is what is cut */
typedef struct PairSource
{
	const RankQuery *query;
	PgLlmCall  *call;
	LlmTokens	tokens;
	size_t		n_query;
	LlmError	err;
} PairSource;

static LlmStatus
tokenize(PairSource *source, LlmStr document, bool truncate)
{
	const RankQuery *q = source->query;
	LlmStr		instruction = q->options->instruction;
	LlmStatus	status;

	if (instruction.data == NULL)
		instruction = (LlmStr) {.data = "", .len = 0};
	source->tokens.n = 0;
	while ((status = llm_rank_tokens(q->model->model, instruction, q->text, document, truncate, pgllm_stop(),
									 &source->tokens, &source->n_query, &source->err)) == LLM_PAUSED)
		CHECK_FOR_INTERRUPTS();
	return status;
}

/* PgLlmBuildFn */
static size_t
build(void *opaque, LlmStr document)
{
	PairSource *source = opaque;
	LlmStatus	status = tokenize(source, document, false);

	if (status == LLM_E_LIMIT)
		return (size_t) source->query->model->model->n_ctx + 1;
	if (status != LLM_OK)
		pgllm_raise(&source->err);
	return source->tokens.n;
}

/* false: the call has the error */
static bool
make_tokens(PairSource *source, LlmStr document)
{
	const RankQuery *q = source->query;
	PgLlmCall  *call = source->call;
	PgLlmFit	fit = {.build = build, .source = source, .n_max = q->model->model->n_ctx, .n_cut = q->model->model->n_ctx,
		.truncate = q->options->truncate, .model_name = pgllm_cstring_to_utf8(q->model->name).data};

	if (q->options->truncate == PGLLM_TRUNCATE_MIDDLE)
		return pgllm_fit_prompt(&fit, document, &call->truncated, &call->error);
	if (tokenize(source, document, q->options->truncate == PGLLM_TRUNCATE_TAIL) == LLM_OK)
		return true;
	pgllm_call_tokens_error(call, &source->err);
	return false;
}

/* begin to rank a document */
static PgLlmCall *
rank_begin(const RankQuery *q, LlmStr document)
{
	PgLlmCall  *call = pgllm_call_create(q->model);
	MemoryContext old = MemoryContextSwitchTo(call->context);
	PairSource	source = {.query = q, .call = call};
	LlmRequest *request;
	LlmError	err;

	llm_tokens_init(&source.tokens, call->allocator);
	if (make_tokens(&source, document))
	{
		call->n_prompt = source.tokens.n;
		PGLLM_CHECK(llm_request_rank(q->model->scheduler, source.tokens.ids, source.tokens.n, source.n_query, &request, &err),
					&err);
		pgllm_call_set_request(call, request);
		llm_tokens_free(&source.tokens);
	}
	MemoryContextSwitchTo(old);
	return call;
}

static double
rank_read(const PgLlmCall *call)
{
	return llm_rank_score(call->model->model, llm_request_vector(call->request));
}

/* ---- llm_rerank ---- */

typedef struct Ranking
{
	RankQuery		query;
	double	   *scores;			/* of each document; NaN: none */
} Ranking;

static PgLlmCall *
ranking_begin(void *opaque, LlmStr document)
{
	const Ranking *r = opaque;

	return rank_begin(&r->query, document);
}

static void
ranking_take(void *opaque, int index, const PgLlmCall *call)
{
	Ranking    *r = opaque;

	if (!pgllm_call_failed(call))
		r->scores[index] = rank_read(call);
}

static int
top_k_arg(FunctionCallInfo fcinfo)
{
	int			top_k = PG_ARGISNULL(ARG_TOP_K) ? PG_INT32_MAX : PG_GETARG_INT32(ARG_TOP_K);

	if (top_k < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("top_k must be at least 1, is %d", top_k),
				 errhint("Leave top_k out for all documents.")));
	return top_k;
}

/* the best first, of equals the first; without score last */
static int
compare_ranks(const void *a, const void *b, void *opaque)
{
	const double *scores = opaque;
	int			x = *(const int *) a;
	int			y = *(const int *) b;

	if (isnan(scores[x]) != isnan(scores[y]))
		return isnan(scores[x]) ? 1 : -1;
	if (scores[x] != scores[y] && !isnan(scores[x]))
		return scores[x] > scores[y] ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* rows (idx, document, score) of the n best documents */
static void
put_ranks(ReturnSetInfo *rsinfo, ArrayType *documents, const int *order, const double *scores, int n)
{
	Datum	   *elements;
	bool	   *element_nulls;
	int			n_elements;

	deconstruct_array(documents, TEXTOID, -1, false, TYPALIGN_INT, &elements, &element_nulls, &n_elements);
	for (int i = 0; i < n; i++)
	{
		int			idx = order[i];
		Datum		values[3] = {Int32GetDatum(idx + 1), elements[idx], Float8GetDatum(scores[idx])};
		bool		nulls[3] = {false, element_nulls[idx], isnan(scores[idx])};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

/* (query, documents, top_k, model, options): (idx, document, score), the most relevant first */
Datum
pgllm_fn_llm_rerank(PG_FUNCTION_ARGS)
{
	PgLlmOptions options;
	Ranking		r = {.query = {.options = &options}};
	PgLlmTextBatch batch = {.begin = ranking_begin, .take = ranking_take, .opaque = &r};
	ArrayType  *documents;
	LlmStr	   *texts;
	int		   *order;
	int			top_k;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(ARG_QUERY) || PG_ARGISNULL(ARG_DOCUMENTS))
		return (Datum) 0;
	top_k = top_k_arg(fcinfo);
	pgllm_options_parse(PG_ARGISNULL(ARG_OPTIONS) ? NULL : PG_GETARG_JSONB_P(ARG_OPTIONS), PGLLM_OPT_RERANK, &options);
	documents = PG_GETARG_ARRAYTYPE_P(ARG_DOCUMENTS);
	texts = pgllm_nullable_texts(documents, "documents", &n);
	r.query.model = pgllm_model_use(PGLLM_ARG_TEXT_OR_NULL(ARG_MODEL), PGLLM_KIND_RERANK);
	r.query.text = pgllm_to_utf8(PG_GETARG_TEXT_PP(ARG_QUERY));
	r.scores = palloc(sizeof(double) * Max(n, 1));
	order = palloc(sizeof(int) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		r.scores[i] = NAN;
		order[i] = i;
	}
	pgllm_stats_function("llm_rerank");
	pgllm_text_batch_run(&batch, texts, n);
	pgllm_stats_rows(r.query.model, n);
	qsort_arg(order, n, sizeof(int), compare_ranks, r.scores);
	put_ranks((ReturnSetInfo *) fcinfo->resultinfo, documents, order, r.scores, Min(n, top_k));
	return (Datum) 0;
}

/* ---- llm_relevance ---- */

static void *
parse_relevance(FunctionCallInfo fcinfo)
{
	PgLlmOptions *options = palloc(sizeof(PgLlmOptions));

	pgllm_options_parse(PG_ARGISNULL(RELEVANCE_OPTIONS) ? NULL : PG_GETARG_JSONB_P(RELEVANCE_OPTIONS), PGLLM_OPT_RERANK, options);
	return options;
}

static void
relevance_begin(FunctionCallInfo fcinfo, PgLlmWork *work)
{
	RankQuery		query = {.model = work->model, .options = work->parsed, .text = pgllm_to_utf8(PG_GETARG_TEXT_PP(RELEVANCE_QUERY))};

	pgllm_work_add(work, rank_begin(&query, pgllm_to_utf8(PG_GETARG_TEXT_PP(RELEVANCE_DOCUMENT))));
}

static PgLlmAnswer *
relevance_answer(PgLlmWork *work)
{
	PgLlmAnswer *answer = pgllm_answer_create(sizeof(double), &work->calls[0]->error);

	if (pgllm_answer_error(answer) == NULL)
		*(double *) answer->data = rank_read(work->calls[0]);
	return answer;
}

static Datum
relevance_finish(FunctionCallInfo fcinfo, const PgLlmPrepared *prepared, const PgLlmAnswer *answer)
{
	if (pgllm_answer_failed(answer))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(*(const double *) answer->data);
}

const PgLlmFunction pgllm_function_relevance = {
	.symbol = "pgllm_fn_llm_relevance",
	.model_arg = RELEVANCE_MODEL,
	.kinds = PGLLM_KIND_RERANK,
	.constant_args = BIT(RELEVANCE_OPTIONS),
	.required_args = BIT(RELEVANCE_QUERY) | BIT(RELEVANCE_DOCUMENT),
	.stable = true,
	.shareable = true,
	.parse = parse_relevance,
	.begin = relevance_begin,
	.answer = relevance_answer,
	.finish = relevance_finish,
};

/* (query, document, model, options): from 0 to 1 */
Datum
pgllm_fn_llm_relevance(PG_FUNCTION_ARGS)
{
	return pgllm_function_call(fcinfo, &pgllm_function_relevance);
}
