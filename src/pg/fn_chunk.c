/*
 * fn_chunk.c: llm_chunk: a long text in pieces of so many tokens of a model.
 *
 * Nothing is computed with the model but its tokenizer. Pieces are cut in UTF-8; their places are told in characters of the
 * server's encoding, so that substr(input, start, stop - start + 1) is the piece.
 */
#include "llm_call.h"
#include "models.h"

#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "text/chunk.h"
#include "text/utf8.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_chunk);

enum
{
	ARG_INPUT,
	ARG_MAX_TOKENS,
	ARG_OVERLAP,
	ARG_MODEL
};

static int
max_tokens_arg(FunctionCallInfo fcinfo)
{
	int			n = PG_ARGISNULL(ARG_MAX_TOKENS) ? 0 : PG_GETARG_INT32(ARG_MAX_TOKENS);

	if (n < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 PG_ARGISNULL(ARG_MAX_TOKENS) ? errmsg("max_tokens must not be NULL")
				 : errmsg("max_tokens must be at least 1, is %d", n),
				 errhint("Give the number of tokens of a piece, such as 256.")));
	return n;
}

static int
overlap_arg(FunctionCallInfo fcinfo, int max_tokens)
{
	int			n = PG_ARGISNULL(ARG_OVERLAP) ? 0 : PG_GETARG_INT32(ARG_OVERLAP);

	if (n < 0 || n >= max_tokens)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("overlap must be from 0 to max_tokens - 1, which is %d, but is %d", max_tokens - 1, n),
				 errhint("Give the number of tokens that a piece repeats from the one before, such as a tenth of max_tokens.")));
	return n;
}

/* characters of the server's encoding in a part of a text that was converted to UTF-8 */
static size_t
count_characters(LlmStr utf8, size_t start, size_t stop)
{
	size_t		n = 0;
	uint32_t	code_point;

	if (GetDatabaseEncoding() == PG_SQL_ASCII)
		return stop - start;
	while (start < stop)
	{
		int			len = llm_utf8_char((const uint8_t *) utf8.data + start, stop - start, &code_point);

		start += (size_t) Max(len, 1);
		n++;
	}
	return n;
}

static void
put_piece(ReturnSetInfo *rsinfo, int no, size_t first, size_t last, LlmStr piece)
{
	text	   *t = pgllm_from_utf8(piece.data, piece.len);
	Datum		values[4] = {Int32GetDatum(no), Int32GetDatum((int32) first), Int32GetDatum((int32) last), PointerGetDatum(t)};
	bool		nulls[4] = {false, false, false, false};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	pfree(t);
}

static void
put_pieces(ReturnSetInfo *rsinfo, const LlmTokenizer *tokenizer, LlmStr utf8, int max_tokens, int overlap)
{
	LlmChunker	chunker;
	size_t		at = 0;			/* byte whose place in characters is known */
	size_t		n_before = 0;	/* characters before it */
	LlmError	err;
	bool		more;

	llm_chunker_init(&chunker, tokenizer, utf8, (size_t) max_tokens, (size_t) overlap, pgllm_allocator(CurrentMemoryContext));
	for (int no = 1;; no++)
	{
		size_t		n;

		CHECK_FOR_INTERRUPTS();
		PGLLM_RUN(llm_chunker_next(&chunker, pgllm_stop(), &more, &err), &err);
		if (!more)
			break;
		n_before += count_characters(utf8, at, chunker.start);
		at = chunker.start;
		n = count_characters(utf8, chunker.start, chunker.stop);
		put_piece(rsinfo, no, n_before + 1, n_before + n,
				  (LlmStr) {.data = utf8.data + chunker.start, .len = chunker.stop - chunker.start});
	}
	llm_chunker_free(&chunker);
}

/* (input, max_tokens, overlap, model): (no, start, stop, piece), in order */
Datum
pgllm_fn_llm_chunk(PG_FUNCTION_ARGS)
{
	const PgLlmModel *use;
	int			max_tokens;
	int			overlap;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(ARG_INPUT))
		return (Datum) 0;
	max_tokens = max_tokens_arg(fcinfo);
	overlap = overlap_arg(fcinfo, max_tokens);
	use = pgllm_model_open_any(PGLLM_ARG_TEXT_OR_NULL(ARG_MODEL));
	put_pieces((ReturnSetInfo *) fcinfo->resultinfo, use->model->tokenizer, pgllm_to_utf8(PG_GETARG_TEXT_PP(ARG_INPUT)),
			   max_tokens, overlap);
	return (Datum) 0;
}
