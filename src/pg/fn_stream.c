/*
 * fn_stream.c: llm_stream: an answer as rows, one per piece, as the model writes it.
 *
 * Value per call: each call goes on with the request until there is new text that no later token can change and that ends
 * at a character boundary, so every row is a valid string and all rows together are the answer of llm_generate. The
 * request lives in the memory of the set-returning call, so LIMIT, a closed cursor and an ERROR end it.
 *
 * A row reaches the client when the server's output buffer is sent. So at the next call, when the row before has been
 * written into it, what is there is sent without waiting for a slow client.
 */
#include "call_stats.h"
#include "generate_call.h"

#include "access/parallel.h"
#include "funcapi.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"

/* libpq.h would ask for headers of GSSAPI and OpenSSL, which need not be installed; nothing of theirs is used here */
#undef ENABLE_GSS
#undef USE_OPENSSL
#include "libpq/libpq.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_stream);

/* (prompt, model, system, max_tokens, temperature, seed, stop, schema, options) */
static const PgLlmGenerateArgno stream_argno = {.model = 1, .system = 2, .max_tokens = 3, .temperature = 4, .seed = 5,
	.stop = 6, .schema = 7, .options = 8, .allowed = PGLLM_OPT_SAMPLING | PGLLM_OPT_PROMPT};

typedef struct Stream
{
	PgLlmCall  *call;			/* NULL: nothing (more) to show */
	size_t		shown;			/* bytes of the text given out */
} Stream;

static Stream *
stream_begin(FunctionCallInfo fcinfo)
{
	Stream	   *stream = palloc0(sizeof(Stream));
	PgLlmGenerateArgs *args;
	PgLlmModel *model;

	if (PG_ARGISNULL(0))
		return stream;
	args = pgllm_generate_parse(fcinfo, &stream_argno);
	/* right guesses come in one piece, and how many there are depends on what else is computed: only if asked for */
	if (!args->options.has_draft)
		args->options.draft = LLM_DRAFT_OFF;
	model = pgllm_model_use(PGLLM_ARG_TEXT_OR_NULL(stream_argno.model), PGLLM_KIND_GENERATE);
	pgllm_stats_function("llm_stream");
	stream->call = pgllm_generate_turn(model, args, pgllm_to_utf8(PG_GETARG_TEXT_PP(0)));
	pgllm_stats_rows(model, 1);
	return stream;
}

/* send what the rows before left in the output buffer */
static void
send_rows(void)
{
	if (whereToSendOutput == DestRemote && !IsParallelWorker())
		pq_flush_if_writable();
}

/* the next piece, or NULL at the end */
static text *
next_piece(Stream *stream)
{
	PgLlmCall  *call = stream->call;

	while (call != NULL)
	{
		bool		more = pgllm_call_step(call);
		LlmGeneration generation;
		size_t		end;

		if (call->error.status != LLM_OK)
		{
			(void) pgllm_call_failed(call); /* raises, or counts the row */
			break;
		}
		llm_request_generation(call->request, &generation);
		end = generation.text_len;
		/* thoughts are not shown */
		stream->shown = Max(stream->shown, Min(generation.answer_off, end));
		if (more)
		{
			end = Min(generation.stable_len, generation.text_len);
			end = end <= stream->shown ? stream->shown :
				stream->shown + llm_utf8_complete_prefix(generation.text + stream->shown, end - stream->shown);
		}
		if (end > stream->shown)
		{
			text	   *piece = pgllm_from_utf8_or_error(generation.text + stream->shown, end - stream->shown, &call->error);

			if (piece == NULL)
			{
				(void) pgllm_call_failed(call); /* as above */
				break;
			}
			stream->shown = end;
			if (VARSIZE_ANY_EXHDR(piece) > 0)
				return piece;
		}
		if (!more)
			break;
	}
	return NULL;
}

Datum
pgllm_fn_llm_stream(PG_FUNCTION_ARGS)
{
	FuncCallContext *funcctx;
	text	   *piece;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;

		funcctx = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(funcctx->multi_call_memory_ctx);
		funcctx->user_fctx = stream_begin(fcinfo);
		MemoryContextSwitchTo(old);
	}
	else
		send_rows();
	funcctx = SRF_PERCALL_SETUP();
	piece = next_piece(funcctx->user_fctx);
	if (piece == NULL)
	{
		Stream	   *stream = funcctx->user_fctx;

		if (stream->call != NULL)
			pgllm_call_free(stream->call);
		SRF_RETURN_DONE(funcctx);
	}
	SRF_RETURN_NEXT(funcctx, PointerGetDatum(piece));
}
