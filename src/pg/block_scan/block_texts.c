/*
 * block_texts.c: the rows of a side and their texts; the vectors of all texts.
 *
 * A row's text is what the call reads of it, in order, one part a line. Equal texts of both sides are one, known by a digest of
 * their parts, and have one vector. New texts wait until there are enough to run through the model together.
 */
#include "block_scan/block_scan.h"
#include "batch_scan/batch_scan.h"
#include "call_stats.h"
#include "embed_call.h"
#include "models.h"
#include "subtransaction.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

/* texts that wait to be embedded: their number and bytes */
#define MAX_WAITING 1024
#define MAX_WAITING_BYTES (1024 * 1024)

typedef struct TextEntry
{
	PgLlmKey	key;
	int32		vector;
	int32		text[PGLLM_SIDES];	/* its number in the side; -1: none */
} TextEntry;

typedef struct Reader
{
	PgLlmBlockState *b;
	MemoryContext waiting_context;
	PgLlmEmbedArgs args;
	PgLlmModel *model;			/* of the batch that runs */
	uint8		identity[sizeof(((PgLlmModel *) 0)->identity)]; /* of the model of the first batch */
	LlmStr		waiting[MAX_WAITING];
	int			n_waiting;
	size_t		n_bytes;
	int32		first;			/* vector of the first text that waits */
	int			side;			/* that is read */
	StringInfoData text;		/* of a row */
	StringInfoData parts;		/* of a row, so that no two have the same bytes */
} Reader;

void *
pgllm_block_alloc(PgLlmBlockState *b, size_t n, size_t bytes)
{
	size_t		limit = (size_t) pgllm_memory_limit_kb * 1024;
	size_t		used = MemoryContextMemAllocated(pgllm_context(), true) + MemoryContextMemAllocated(b->context, true);
	size_t		size;

	if (__builtin_mul_overflow(Max(n, 1), bytes, &size) || (limit > 0 && (used > limit || size > limit - used)))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("blocking a join needs more memory than pg_llm.memory_limit allows"),
				 errdetail("%zu times %zu bytes more were asked for, %zu kB are in use, the limit is %d kB.", n, bytes, (used + 1023) / 1024,
						   pgllm_memory_limit_kb),
				 errhint("Join fewer rows at a time, or ask a superuser to raise pg_llm.memory_limit.")));
	return MemoryContextAllocExtended(b->context, size, MCXT_ALLOC_HUGE);
}

/* an array with room for one more; *max is what it has room for */
static void *
with_room(PgLlmBlockState *b, void *array, int64 n, int64 max, size_t bytes)
{
	void	   *result;

	if (n < max)
		return array;
	result = pgllm_block_alloc(b, (size_t) max * 2, bytes);
	memcpy(result, array, (size_t) n * bytes);
	pfree(array);
	return result;
}

/* ---- vectors ---- */

static PgLlmCall *
begin_text(void *opaque, LlmStr text)
{
	const Reader *reader = opaque;

	return pgllm_embed_begin(reader->model, &reader->args, text);
}

/* a text that cannot be embedded has cosine 0 with all others */
static void
take_vector(void *opaque, int index, const PgLlmCall *call)
{
	const Reader *reader = opaque;
	PgLlmBlockState *b = reader->b;
	float	   *out = b->vectors + (size_t) (reader->first + index) * b->n_embd;
	float	   *vector;
	uint32_t	n;

	if (pgllm_call_failed(call))
	{
		memset(out, 0, sizeof(float) * b->n_embd);
		return;
	}
	vector = pgllm_embed_read(call, &reader->args, &n);
	memcpy(out, vector, sizeof(float) * b->n_embd);
	pfree(vector);
}

/* room for the vectors of n texts */
static void
reserve_vectors(PgLlmBlockState *b, int32 n)
{
	float	   *vectors;

	if (n <= b->max_vectors)
		return;
	n = (int32) Min((int64) Max(n, b->max_vectors * (int64) 3 / 2), PG_INT32_MAX);
	vectors = pgllm_block_alloc(b, (size_t) n, sizeof(float) * b->n_embd);
	if (b->vectors != NULL)
	{
		memcpy(vectors, b->vectors, sizeof(float) * b->n_embd * (size_t) b->max_vectors);
		pfree(b->vectors);
	}
	b->vectors = vectors;
	b->max_vectors = n;
}

/* the model: another session may alter it between batches, and vectors of two models cannot be compared */
static void
use_model(Reader *reader)
{
	const PgLlmModel *model = reader->model = pgllm_model_use(reader->b->options.block_model, PGLLM_KIND_EMBED);

	if (reader->first == 0)
		memcpy(reader->identity, model->identity, sizeof reader->identity);
	else if (memcmp(reader->identity, model->identity, sizeof reader->identity) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("model \"%s\" was changed while a join was blocked by it", model->name),
				 errhint("Run the statement again.")));
	reader->b->n_embd = llm_embedding_size(model->model);
	reader->b->kernels = model->model->kernels;
}

static void
embed_waiting(Reader *reader)
{
	PgLlmBlockState *b = reader->b;
	PgLlmTextBatch batch = {.begin = begin_text, .take = take_vector, .opaque = reader};
	MemoryContext old = MemoryContextSwitchTo(reader->waiting_context);

	if (reader->n_waiting > 0)
	{
		use_model(reader);
		reserve_vectors(b, reader->first + reader->n_waiting);
		pgllm_stats_function("llm_filter");
		pgllm_text_batch_run(&batch, reader->waiting, reader->n_waiting);
	}
	reader->first += reader->n_waiting;
	reader->n_waiting = 0;
	reader->n_bytes = 0;
	MemoryContextSwitchTo(old);
	MemoryContextReset(reader->waiting_context);
}

static int32
new_vector(Reader *reader, const PgLlmKey *key)
{
	PgLlmBlockState *b = reader->b;
	int64		max = reader->b->n_vectors;

	if (b->n_vectors == PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a join cannot be blocked by more than %d texts", PG_INT32_MAX),
				 errhint("Join fewer rows at a time.")));
	/* hashes grow when their number is a power of two from 64 on */
	if (max >= 64 && (max & (max - 1)) == 0)
		b->hashes = with_room(b, b->hashes, max, max, sizeof(uint64));
	memcpy(&b->hashes[b->n_vectors], key->digest, sizeof(uint64));
	if (reader->n_waiting == MAX_WAITING || reader->n_bytes >= MAX_WAITING_BYTES)
		embed_waiting(reader);
	reader->waiting[reader->n_waiting].data = memcpy(MemoryContextAlloc(reader->waiting_context, Max(reader->text.len, 1)),
													 reader->text.data, reader->text.len);
	reader->waiting[reader->n_waiting++].len = reader->text.len;
	reader->n_bytes += reader->text.len;
	return b->n_vectors++;
}

/* ---- rows ---- */

static void
add_part(Reader *reader, LlmStr part)
{
	uint64		len = part.len;

	if (reader->text.len > 0)
		appendStringInfoChar(&reader->text, '\n');
	appendBinaryStringInfo(&reader->text, part.data, (int) part.len);
	appendBinaryStringInfo(&reader->parts, (char *) &len, sizeof len);
	appendBinaryStringInfo(&reader->parts, part.data, (int) part.len);
}

/* the text of the row in the side's expressions */
static void
read_text(void *opaque)
{
	Reader	   *reader = opaque;
	const PgLlmBlockSide *side = &reader->b->sides[reader->side];
	ExprContext *econtext = reader->b->css.ss.ps.ps_ExprContext;
	const uint64 none = PG_UINT64_MAX;

	resetStringInfo(&reader->text);
	resetStringInfo(&reader->parts);
	for (int i = 0; i < side->n_parts; i++)
	{
		bool		is_null;
		Datum		value = ExecEvalExpr(side->parts[i], econtext, &is_null);

		if (is_null)
			appendBinaryStringInfo(&reader->parts, (const char *) &none, sizeof none);
		else if (side->is_text[i])
			add_part(reader, pgllm_to_utf8(DatumGetTextPP(value)));
		else
			add_part(reader, pgllm_cstring_to_utf8(OutputFunctionCall(&side->output[i], value)));
	}
}

/* the number of a row's text in its side */
static int32
text_number(Reader *reader, int no)
{
	PgLlmBlockState *b = reader->b;
	PgLlmBlockSide *side = &b->sides[no];
	PgLlmKey	key = pgllm_key("block", reader->parts.data, reader->parts.len);
	bool		found;
	TextEntry  *entry = hash_search(b->texts, &key, HASH_ENTER, &found);

	if (!found)
	{
		entry->text[PGLLM_OUTER] = entry->text[PGLLM_INNER] = -1;
		entry->vector = new_vector(reader, &key);
	}
	if (entry->text[no] >= 0)
		return entry->text[no];
	side->vector_of = with_room(b, side->vector_of, side->n_texts, side->max_texts, sizeof(int32));
	side->first_row = with_room(b, side->first_row, side->n_texts, side->max_texts, sizeof(int64));
	if (side->n_texts == side->max_texts)
		side->max_texts = (int32) Min((int64) side->max_texts * 2, PG_INT32_MAX);
	side->vector_of[side->n_texts] = entry->vector;
	side->first_row[side->n_texts] = side->n_rows;
	return entry->text[no] = side->n_texts++;
}

/*
 * The number of a row's text, or one of the PGLLM_BLOCK_… numbers. Reading can raise for a row that would never have been
 * reached, as other conditions of the join drop its pairs, or there are none.
 */
static int32
read_row(Reader *reader, TupleTableSlot *row)
{
	PgLlmBlockState *b = reader->b;
	PgLlmBlockSide *side = &b->sides[reader->side];
	ExprContext *econtext = b->css.ss.ps.ps_ExprContext;
	MemoryContext old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	int32		text = PGLLM_BLOCK_NO_TEXT;

	econtext->ecxt_outertuple = econtext->ecxt_innertuple = row;
	if (side->simple || !pgllm_may_try() || side->n_errors >= PGLLM_BLOCK_MAX_ERRORS)
		read_text(reader);
	else if (!pgllm_attempt(read_text, reader, NULL))
	{
		/* an evaluation that was left in its middle may not go on: begin anew */
		MemoryContextSwitchTo(b->css.ss.ps.state->es_query_cxt);
		pgllm_block_init_parts(b, reader->side);
		side->n_errors++;
		text = PGLLM_BLOCK_FAILED;
	}
	MemoryContextSwitchTo(old);
	if (text == PGLLM_BLOCK_NO_TEXT && reader->text.len > 0)
		text = text_number(reader, reader->side);
	ResetExprContext(econtext);
	return text;
}

static void
read_side(Reader *reader, int no)
{
	PgLlmBlockState *b = reader->b;
	PgLlmBlockSide *side = &b->sides[no];
	PlanState  *child = no == PGLLM_OUTER ? outerPlanState(b) : innerPlanState(b);
	TupleTableSlot *row;

	reader->side = no;
	side->n_rows = side->n_texts = 0;
	side->max_rows = side->max_texts = 256;
	side->text_of = pgllm_block_alloc(b, side->max_rows, sizeof(int32));
	side->vector_of = pgllm_block_alloc(b, side->max_texts, sizeof(int32));
	side->first_row = pgllm_block_alloc(b, side->max_texts, sizeof(int64));
	for (;;)
	{
		row = ExecProcNode(child);
		if (TupIsNull(row))
			break;
		CHECK_FOR_INTERRUPTS();
		tuplestore_puttupleslot(side->rows, row);
		side->text_of = with_room(b, side->text_of, side->n_rows, side->max_rows, sizeof(int32));
		if (side->n_rows == side->max_rows)
			side->max_rows *= 2;
		side->text_of[side->n_rows] = b->everything ? PGLLM_BLOCK_NO_TEXT : read_row(reader, row);
		side->n_rows++;
	}
}

void
pgllm_block_read(PgLlmBlockState *b)
{
	HASHCTL		ctl = {.keysize = sizeof(PgLlmKey), .entrysize = sizeof(TextEntry), .hcxt = b->context};
	Reader	   *reader = MemoryContextAllocZero(b->context, sizeof(Reader));
	MemoryContext old = MemoryContextSwitchTo(b->context);

	reader->b = b;
	reader->waiting_context = AllocSetContextCreate(b->context, "pg_llm texts to embed", ALLOCSET_DEFAULT_SIZES);
	pgllm_embed_args_init(&reader->args);
	/* where a text is for a choice only, its beginning will do */
	reader->args.options.truncate = PGLLM_TRUNCATE_TAIL;
	initStringInfo(&reader->text);
	initStringInfo(&reader->parts);
	MemoryContextSwitchTo(old);
	b->texts = hash_create("pg_llm block", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	b->n_vectors = b->max_vectors = 0;
	b->vectors = NULL;
	b->hashes = pgllm_block_alloc(b, 64, sizeof(uint64));
	for (int side = 0; side < PGLLM_SIDES; side++)
		read_side(reader, side);
	embed_waiting(reader);
	hash_destroy(b->texts);
	b->texts = NULL;
	MemoryContextDelete(reader->waiting_context);
}
