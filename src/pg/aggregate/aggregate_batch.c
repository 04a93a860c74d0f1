/*
 * aggregate_batch.c: chunks of all groups of an aggregation, through the model together.
 *
 * An aggregation is known by its memory context: a hashed Agg node has one for all its groups, a sorted one has one for the
 * group that is read. While rows come, full chunks wait until there are enough of them. When the first group is finished,
 * all rows have come, for the other groups of the context too; so these are finished with it, in numbers that grow, as a
 * LIMIT may want few.
 */
#include "aggregate.h"
#include "call_stats.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#define MAX_TOGETHER 64			/* chunks, or groups, at once at most */

struct PgLlmBatch
{
	MemoryContext context;		/* of the aggregation */
	dlist_node	node;			/* in batches */
	dlist_head	groups;			/* that are not finished */
	dlist_head	chunks;			/* that wait, in order */
	int			n_chunks;
	Size		n_bytes;		/* of these */
	int			n_finish;		/* groups to finish together next time */
};

static dlist_head batches = DLIST_STATIC_INIT(batches);

static void
forget_batch(void *batch)
{
	dlist_delete(&((PgLlmBatch *) batch)->node);
}

static PgLlmBatch *
batch_of(MemoryContext context)
{
	PgLlmBatch *batch;
	MemoryContextCallback *callback;
	dlist_iter	it;

	dlist_foreach(it, &batches)
	{
		batch = dlist_container(PgLlmBatch, node, it.cur);
		if (batch->context == context)
			return batch;
	}
	batch = MemoryContextAllocZero(context, sizeof *batch);
	batch->context = context;
	dlist_init(&batch->groups);
	dlist_init(&batch->chunks);
	batch->n_finish = 1;
	callback = MemoryContextAlloc(context, sizeof *callback);
	callback->func = forget_batch;
	callback->arg = batch;
	dlist_push_head(&batches, &batch->node);
	MemoryContextRegisterResetCallback(context, callback);
	return batch;
}

PgLlmGroup *
pgllm_group_create(MemoryContext aggregation)
{
	PgLlmGroup *group = MemoryContextAllocZero(aggregation, sizeof *group);

	group->batch = batch_of(aggregation);
	group->context = aggregation;
	dlist_push_tail(&group->batch->groups, &group->node);
	group->listed = true;
	return group;
}

void
pgllm_group_close(PgLlmGroup *group)
{
	for (int i = 0; i < group->n_levels; i++)
		if (group->levels[i].body.data != NULL)
			pfree(group->levels[i].body.data);
	memset(group->levels, 0, sizeof group->levels);
	group->n_levels = 0;
}

void
pgllm_batch_add(PgLlmGroup *group, int level, bool last, char *body, int n_bytes)
{
	PgLlmBatch *batch = group->batch;
	PgLlmChunk *chunk = MemoryContextAlloc(batch->context, sizeof *chunk);

	*chunk = (PgLlmChunk) {.group = group, .level = level, .last = last, .body = body, .n_bytes = n_bytes};
	dlist_push_tail(&batch->chunks, &chunk->node);
	batch->n_chunks++;
	batch->n_bytes += n_bytes;
	group->n_waiting++;
}

/* ---- running ---- */

static int
together(void)
{
	return pgllm_batching == PGLLM_BATCHING_OFF ? 1 : MAX_TOGETHER;
}

/* the samples of the last answer */
static PgLlmWork *
begin_reasoning(const PgLlmChunk *chunk)
{
	const PgLlmQuestion *question = &chunk->group->question;
	PgLlmReasonArgs *args = question->reason;
	PgLlmWork  *work = palloc0(sizeof *work);
	LlmStr		nothing = {.data = "", .len = 0};
	PgLlmCall  *call;
	LlmTokens	prompt;

	work->model = pgllm_model_use(question->model, PGLLM_KIND_GENERATE);
	pgllm_stats_function(question->function);
	call = pgllm_call_create(work->model);
	(void) pgllm_generate_prompt(call, &args->generate, chunk->level == 0 ? nothing : question->last_of_parts,
								 (LlmStr) {.data = chunk->body, .len = chunk->n_bytes}, question->last_after, &prompt);
	pgllm_reason_begin(work, call, args, &prompt, pgllm_reason_seed(args));
	return work;
}

static PgLlmWork *
begin_chunk(const PgLlmChunk *chunk)
{
	PgLlmGroup *group = chunk->group;
	PgLlmWork  *work = palloc0(sizeof *work);
	PgLlmGenerateArgs *args;

	if (chunk->last && group->question.reason != NULL)
		return begin_reasoning(chunk);
	args = palloc(sizeof *args);
	*args = group->question.args;
	args->before = chunk->level == 0 ? group->question.of_texts : group->question.of_parts;
	if (!chunk->last)
		args->options.max_tokens = group->part_tokens;
	work->parsed = args;
	work->model = pgllm_model_use(group->question.model, PGLLM_KIND_GENERATE);
	pgllm_stats_function(group->question.function);
	pgllm_work_add(work, pgllm_generate_turn(work->model, args, (LlmStr) {.data = chunk->body, .len = chunk->n_bytes}));
	return work;
}

/* the chunk's answer goes to its group */
static void
take_answer(const PgLlmChunk *chunk, PgLlmWork *work)
{
	PgLlmGroup *group = chunk->group;
	bool		reasoned = chunk->last && group->question.reason != NULL;
	PgLlmAnswer *answer = reasoned ? pgllm_reason_answer(work) : pgllm_generate_answer(work);
	const LlmError *error = pgllm_answer_error(answer);
	text	   *value;

	if (error != NULL)
	{
		group->error = *error;
		return;
	}
	if (reasoned)
	{
		group->reasoned = pgllm_answer_copy(group->context, answer);
		return;
	}
	value = pgllm_generate_text(answer);
	if (!chunk->last)
	{
		group->n_parts++;
		pgllm_tree_add_part(group, work->model, chunk->level + 1, pgllm_to_utf8(value));
		return;
	}
	group->answer = MemoryContextAlloc(group->context, VARSIZE_ANY(value));
	memcpy(group->answer, value, VARSIZE_ANY(value));
}

/* takes the first chunks that wait, at most n; how many they are */
static int
take_chunks(PgLlmBatch *batch, PgLlmChunk **chunks, int n)
{
	int			i = 0;

	while (i < n && !dlist_is_empty(&batch->chunks))
	{
		PgLlmChunk *chunk = dlist_container(PgLlmChunk, node, dlist_pop_head_node(&batch->chunks));

		batch->n_chunks--;
		batch->n_bytes -= chunk->n_bytes;
		chunk->group->n_waiting--;
		if (chunk->group->error.status == LLM_OK)
		{
			chunks[i++] = chunk;
			continue;
		}
		pfree(chunk->body);
		pfree(chunk);
	}
	return i;
}

/* wait for works, and for what follows from their votes, which runs together too */
static void
wait_for(const PgLlmChunk *const *chunks, PgLlmWork **works, int n)
{
	int			n_more;

	do
	{
		n_more = 0;
		for (int i = 0; i < n; i++)
		{
			for (int k = 0; k < works[i]->n_calls; k++)
				pgllm_call_wait(works[i]->calls[k]);
			pgllm_stats_function(chunks[i]->group->question.function);
			if (chunks[i]->last && chunks[i]->group->question.reason != NULL)
				n_more += pgllm_reason_more(works[i]) ? 1 : 0;
		}
	} while (n_more > 0);
}

/* the first chunks that wait, through the model; their answers may make others wait */
static void
run_some(PgLlmBatch *batch)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pg_llm aggregate", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	PgLlmChunk *chunks[MAX_TOGETHER];
	PgLlmWork  *works[MAX_TOGETHER];
	int			n = take_chunks(batch, chunks, together());

	for (int i = 0; i < n; i++)
		works[i] = begin_chunk(chunks[i]);
	wait_for((const PgLlmChunk *const *) chunks, works, n);
	for (int i = 0; i < n; i++)
	{
		take_answer(chunks[i], works[i]);
		pgllm_work_free(works[i]);
		pfree(chunks[i]->body);
		pfree(chunks[i]);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

void
pgllm_batch_run_if_full(PgLlmBatch *batch)
{
	while (batch->n_chunks >= together() || batch->n_bytes > (Size) work_mem * 1024)
		run_some(batch);
}

/* ---- finishing ---- */

static bool
is_done(const PgLlmGroup *group)
{
	return group->answer != NULL || group->reasoned != NULL || group->error.status != LLM_OK;
}

/* true if the group needs something of the model */
static bool
hand_on(PgLlmGroup *group)
{
	if (is_done(group))
		return false;
	if (group->n_waiting == 0)
		pgllm_tree_finish_next(group, pgllm_model_use(group->question.model, PGLLM_KIND_GENERATE));
	return !is_done(group);
}

/* the group and some of those that will be asked for after it */
static int
choose_groups(PgLlmGroup *group, PgLlmGroup **groups)
{
	PgLlmBatch *batch = group->batch;
	int			n = 0;
	dlist_iter	it;

	groups[n++] = group;
	dlist_foreach(it, &batch->groups)
	{
		PgLlmGroup *other = dlist_container(PgLlmGroup, node, it.cur);

		if (n == batch->n_finish)
			break;
		if (other != group && !is_done(other))
			groups[n++] = other;
	}
	batch->n_finish = Min(batch->n_finish * 2, together());
	return n;
}

void
pgllm_group_finish(PgLlmGroup *group)
{
	PgLlmGroup *groups[MAX_TOGETHER];
	int			n = is_done(group) ? 0 : choose_groups(group, groups);
	bool		more = n > 0;

	while (more)
	{
		more = false;
		for (int i = 0; i < n; i++)
			more |= hand_on(groups[i]);
		while (group->batch->n_chunks > 0)
			run_some(group->batch);
	}
	/* a node that is read again finishes its groups again */
	if (group->listed)
		dlist_delete(&group->node);
	group->listed = false;
}
