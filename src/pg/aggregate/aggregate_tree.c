/*
 * aggregate_tree.c: the texts of a group as a tree of chunks.
 *
 * A partial answer has an eighth of a chunk at most, so every chunk of partial answers stands for several, and the tree ends.
 * Tokens of parts are counted one by one; together they may be a few more or less, for which room is left.
 */
#include "aggregate.h"

#include "batch_scan/memo.h"
#include "miscadmin.h"
#include "text/chunk.h"
#include "utils/memutils.h"

#define DEFAULT_CHUNK_TOKENS 4096
#define MIN_CHUNK_TOKENS 32
#define HEADING_BYTES 32
#define PART_SHARE 8			/* a partial answer has this part of a chunk at most */

static const char part_end[] = "\n\n";

/* tokens of a prompt without texts */
static size_t
prompt_overhead(PgLlmGroup *group, PgLlmModel *model, LlmStr before, LlmStr after)
{
	PgLlmCall  *call = pgllm_call_create(model);
	LlmStr		nothing = {.data = "", .len = 0};
	LlmTokens	tokens;
	size_t		n;

	llm_tokens_init(&tokens, call->allocator);
	if (!pgllm_generate_prompt(call, &group->question.args, before, nothing, after, &tokens))
	{
		group->error = call->error;
		llm_error_hint(&group->error, "Shorten the instruction, or give the model a larger context.");
	}
	n = tokens.n;
	MemoryContextDelete(call->context);
	return n;
}

void
pgllm_tree_begin(PgLlmGroup *group, PgLlmModel *model)
{
	const PgLlmQuestion *question = &group->question;
	size_t		n_ctx = model->model->n_ctx;
	size_t		n_answer = Min((size_t) question->args.options.max_tokens, Max(n_ctx / 2, 1));
	size_t		n_wanted = question->args.options.chunk_tokens;
	LlmStr		nothing = {.data = "", .len = 0};
	size_t		overhead = prompt_overhead(group, model, question->of_texts, nothing);
	size_t		room;

	if (group->error.status == LLM_OK)
		overhead = Max(overhead, prompt_overhead(group, model, question->of_parts, nothing));
	if (group->error.status == LLM_OK && question->reason != NULL)
		overhead = Max(overhead, prompt_overhead(group, model, question->last_of_parts, question->last_after));
	if (group->error.status != LLM_OK)
		return;
	room = n_ctx - n_answer > overhead ? n_ctx - n_answer - overhead : 0;
	room -= room / 16;
	if (room < MIN_CHUNK_TOKENS)
	{
		llm_fail(&group->error, LLM_E_LIMIT, "instruction and answer leave room for %zu tokens of texts, but %d are needed", room,
				 MIN_CHUNK_TOKENS);
		llm_error_hint(&group->error, "Shorten the instruction, give a smaller max_tokens, or give the model a larger context.");
		return;
	}
	group->chunk_tokens = Min(room, n_wanted > 0 ? n_wanted : DEFAULT_CHUNK_TOKENS);
	group->part_tokens = Min(question->args.options.max_tokens, (int) (group->chunk_tokens / PART_SHARE));
}

/* ---- parts ---- */

static size_t
count_tokens(PgLlmModel *model, LlmStr s)
{
	LlmText		text = {.bytes = s.data, .from_data = NULL, .len = s.len};
	LlmTokens	tokens;
	LlmError	err;
	size_t		n;

	llm_tokens_init(&tokens, pgllm_allocator(CurrentMemoryContext));
	PGLLM_RUN(llm_tokenize(model->model->tokenizer, text, 0, pgllm_stop(), &tokens, &err), &err);
	n = tokens.n;
	llm_tokens_free(&tokens);
	return n;
}

/* the open chunk of a level is full, or the last of it is needed */
static void
close_chunk(PgLlmGroup *group, int level, bool last)
{
	PgLlmLevel *l = &group->levels[level];

	pgllm_batch_add(group, level, last, l->body.data, l->body.len - (int) strlen(part_end));
	memset(l, 0, sizeof *l);
}

static void
append_part(PgLlmGroup *group, int level, const char *heading, LlmStr part, size_t n_tokens)
{
	PgLlmLevel *l = &group->levels[level];

	if (l->body.data == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(group->context);

		initStringInfo(&l->body);
		MemoryContextSwitchTo(old);
	}
	appendStringInfoString(&l->body, heading);
	l->last_off = l->body.len;
	appendBinaryStringInfo(&l->body, part.data, (int) part.len);
	appendStringInfoString(&l->body, part_end);
	l->n_parts++;
	l->n_tokens += n_tokens;
	group->n_levels = Max(group->n_levels, level + 1);
}

/* a part that fits a chunk goes into the open one of its level, or into a new one */
static void
add_part(PgLlmGroup *group, PgLlmModel *model, int level, LlmStr part)
{
	PgLlmLevel *l = &group->levels[level];
	char		heading[HEADING_BYTES];
	size_t		n_tokens;

	/* counted as if it were the first, so that its size does not depend on its place */
	n_tokens = count_tokens(model, part) + count_tokens(model, (LlmStr) {.data = "Text 100:\n\n\n", .len = 12});
	if (level > 0 && n_tokens > group->chunk_tokens / 2)
	{
		llm_fail(&group->error, LLM_E_LIMIT, "a partial answer has %zu tokens, but chunks of %zu have room for %zu", n_tokens,
				 group->chunk_tokens, group->chunk_tokens / 2);
		llm_error_hint(&group->error, "Give a smaller max_tokens, or a larger option chunk_tokens.");
		return;
	}
	if (l->n_parts > 0 && l->n_tokens + n_tokens > group->chunk_tokens)
		close_chunk(group, level, false);
	snprintf(heading, sizeof heading, "%s %d:\n", level == 0 ? "Text" : "Part", l->n_parts + 1);
	append_part(group, level, heading, part, n_tokens);
}

void
pgllm_tree_add_part(PgLlmGroup *group, PgLlmModel *model, int level, LlmStr part)
{
	if (level >= PGLLM_AGGREGATE_LEVELS)
		elog(ERROR, "aggregate has more than %d levels", PGLLM_AGGREGATE_LEVELS);
	if (group->error.status == LLM_OK)
		add_part(group, model, level, part);
}

/* the digest of all texts goes on from that of those before */
static void
note_text(PgLlmGroup *group, LlmStr text)
{
	PgLlmKey	keys[2] = {group->digest, pgllm_key("text", text.data, text.len)};

	group->digest = pgllm_key("texts", keys, sizeof keys);
	group->n_texts++;
}

void
pgllm_tree_add_text(PgLlmGroup *group, PgLlmModel *model, LlmStr text)
{
	/* with room for the heading */
	size_t		n_max = Max(group->chunk_tokens - Min(group->chunk_tokens / 2, HEADING_BYTES), 1);
	LlmChunker	chunker;
	LlmError	err;
	bool		more = true;

	if (group->error.status != LLM_OK)
		return;
	note_text(group, text);
	/* a token has a byte at least */
	if (text.len < n_max)
	{
		add_part(group, model, 0, text);
		return;
	}
	llm_chunker_init(&chunker, model->model->tokenizer, text, n_max, 0, pgllm_allocator(CurrentMemoryContext));
	while (group->error.status == LLM_OK)
	{
		CHECK_FOR_INTERRUPTS();
		PGLLM_RUN(llm_chunker_next(&chunker, pgllm_stop(), &more, &err), &err);
		if (!more)
			break;
		add_part(group, model, 0, (LlmStr) {.data = text.data + chunker.start, .len = chunker.stop - chunker.start});
		pgllm_batch_run_if_full(group->batch);
	}
	llm_chunker_free(&chunker);
}

/* ---- the end ---- */

static bool
has_parts_above(const PgLlmGroup *group, int level)
{
	for (int i = level + 1; i < group->n_levels; i++)
		if (group->levels[i].n_parts > 0)
			return true;
	return false;
}

/* one partial answer alone needs no model: it is one of the next level, which has others */
static void
lift(PgLlmGroup *group, PgLlmModel *model, int level)
{
	PgLlmLevel	l = group->levels[level];

	memset(&group->levels[level], 0, sizeof l);
	pgllm_tree_add_part(group, model, level + 1,
						(LlmStr) {.data = l.body.data + l.last_off, .len = (size_t) l.body.len - l.last_off - strlen(part_end)});
	pfree(l.body.data);
}

void
pgllm_tree_finish_next(PgLlmGroup *group, PgLlmModel *model)
{
	for (int level = 0; level < group->n_levels; level++)
	{
		if (group->levels[level].n_parts == 0)
			continue;
		if (!has_parts_above(group, level))
		{
			close_chunk(group, level, true);
			return;
		}
		if (level > 0 && group->levels[level].n_parts == 1)
			lift(group, model, level);
		else
			close_chunk(group, level, false);
		/* what was handed on, here or by the lift, comes back as a part of a level above */
		if (group->n_waiting > 0 || group->error.status != LLM_OK)
			return;
	}
}
