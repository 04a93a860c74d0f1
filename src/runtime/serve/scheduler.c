/*
 * scheduler.c: the loop.
 *
 * A step: admit waiting requests in order of arrival while their worst case fits in memory, each starting after what the
 * prefix cache holds of its prompt; build a batch, first every lane that lacks a single token (decoding goes on at each
 * step), then prompt chunks in order of arrival until the batch is full; run the pass; commit. Between build and commit
 * nothing of a request changes, so a pause may last as long as it likes, and a request may be freed in it.
 *
 * Where tokens see those after them, a sequence is in one batch or not at all; a batch shorter than the next one becomes as
 * long, until nothing is left to do.
 */
#include <math.h>
#include <string.h>

#include "model/pool_head.h"
#include "serve/draft_model.h"
#include "serve/request.h"

#define DEFAULT_BATCH_TOKENS 512
#define DEFAULT_MAX_SEQUENCES 64
#define MAX_BATCH_TOKENS 65536
#define BATCH_STEP 512			/* rows that a batch grows by */
#define MAX_SEQUENCES 4096

/* pages kept for the next request when nothing is running */
#define IDLE_BYTES ((size_t) 64 << 20)

/* cache pages that the memory limit leaves */
static size_t
page_limit(const LlmScheduler *s)
{
	if (!s->options.memory_limit_bytes)
		return SIZE_MAX;
	return (s->options.memory_limit_bytes - s->pass_bytes - llm_drafters_bytes(s)) / s->kv.page_bytes;
}

/* the pass and the lists of wanted rows, for batch_rows; nothing to do if they are there */
static LlmStatus
make_pass(LlmScheduler *s, LlmError *err)
{
	const size_t rows = (size_t) s->batch_rows;
	int32_t    *array;
	void	   *p;

	if (s->pass)
		return LLM_OK;
	if (!s->wanted_block)
	{
		LLM_TRY(llm_alloc(s->allocator, 6 * rows, sizeof(int32_t), &p, err));
		s->wanted_block = array = p;
		s->logits = (LlmWanted) {0, array, array + rows, array + 2 * rows};
		s->vectors = (LlmWanted) {0, array + 3 * rows, array + 4 * rows, array + 5 * rows};
	}
	return llm_pass_create(s->model, s->pool, &s->kv, s->batch_rows, s->allocator, &s->pass, err);
}

/* batches of so many rows from the next step on */
static void
resize_batch(LlmScheduler *s, int rows)
{
	if (rows == s->batch_rows)
		return;
	llm_pass_free(s->pass);
	llm_free(s->allocator, s->wanted_block);
	s->pass = NULL;
	s->wanted_block = NULL;
	s->batch_rows = rows;
	s->pass_bytes = llm_pass_bytes(s->model, rows, llm_pool_threads(s->pool));
}

static LlmStatus
create_parts(LlmScheduler *s, LlmError *err)
{
	const LlmHparams *hp = &s->model->hp;
	size_t		least;
	void	   *p;

	LLM_TRY(llm_kv_pool_init(&s->kv, s->allocator, s->model->kv_type, hp->n_layer_kept, hp->n_head_kv, hp->head_dim_k,
							 hp->stored_dim_v, err));
	llm_kv_pool_set_recurrent(&s->kv, hp->recurrent.state_floats * hp->n_layer_recurrent);
	llm_prefix_cache_init(&s->prefixes, &s->kv, s->options.prefix_cache_bytes / s->kv.page_bytes, s->allocator);
	s->batch_rows = s->options.batch_tokens;
	s->pass_bytes = llm_pass_bytes(s->model, s->batch_rows, llm_pool_threads(s->pool));
	least = s->pass_bytes + (1 + 2 * s->kv.state_pages) * s->kv.page_bytes;
	if (s->options.memory_limit_bytes && least > s->options.memory_limit_bytes)
	{
		LlmStatus	status = llm_fail(err, LLM_E_LIMIT, "running the model needs at least %zu kB, but only %zu kB may be taken",
									  least / 1024, s->options.memory_limit_bytes / 1024);

		llm_error_detail(err, "A batch of %d tokens takes %zu kB, a cache page of %d tokens %zu kB, the recurrent state of a "
						 "sequence %zu kB.", s->options.batch_tokens, s->pass_bytes / 1024, LLMK_PAGE_KEYS,
						 s->kv.page_bytes / 1024, 2 * s->kv.state_pages * s->kv.page_bytes / 1024);
		llm_error_hint(err, "Raise the memory limit or lower the tokens of a batch.");
		return status;
	}
	if (s->options.memory_limit_bytes && s->prefixes.max_pages > page_limit(s) / 2)
		s->prefixes.max_pages = page_limit(s) / 2;
	LLM_TRY(make_pass(s, err));
	LLM_TRY(llm_alloc(s->allocator, 1, s->model->output.w.data ? llm_sample_scratch_bytes((int32_t) hp->n_vocab) : 1,
					  &s->sample_scratch, err));
	LLM_TRY(llm_alloc_aligned(s->allocator, 1, llm_pool_head_scratch_bytes(s->model), &s->head_scratch, err));
	LLM_TRY(llm_alloc(s->allocator, s->options.max_sequences, sizeof(LlmSegment), &p, err));
	s->segments = p;
	LLM_TRY(llm_alloc(s->allocator, s->options.max_sequences, sizeof(LlmLane *), &p, err));
	s->segment_lane = p;
	return LLM_OK;
}

LlmStatus
llm_scheduler_create(const LlmModel *model, LlmPool *pool, const LlmSchedulerOptions *options, const LlmAllocator *a,
					 LlmScheduler **out, LlmError *err)
{
	void	   *p;
	LlmScheduler *s;
	LlmStatus	status;

	LLM_TRY(llm_alloc_zero(a, 1, sizeof(LlmScheduler), &p, err));
	s = p;
	s->model = model;
	s->pool = pool;
	s->allocator = a;
	s->options = *options;
	if (s->options.batch_tokens <= 0)
		s->options.batch_tokens = DEFAULT_BATCH_TOKENS;
	if (s->options.batch_tokens > MAX_BATCH_TOKENS)
		s->options.batch_tokens = MAX_BATCH_TOKENS;
	if ((uint32_t) s->options.batch_tokens > model->n_ctx && s->options.batch_tokens > DEFAULT_BATCH_TOKENS)
		s->options.batch_tokens = model->n_ctx > DEFAULT_BATCH_TOKENS ? (int) model->n_ctx : DEFAULT_BATCH_TOKENS;
	if (s->options.max_sequences <= 0)
		s->options.max_sequences = DEFAULT_MAX_SEQUENCES;
	if (s->options.max_sequences > MAX_SEQUENCES)
		s->options.max_sequences = MAX_SEQUENCES;
	status = create_parts(s, err);
	if (status != LLM_OK)
	{
		llm_scheduler_free(s);
		return status;
	}
	*out = s;
	return LLM_OK;
}

void
llm_scheduler_free(LlmScheduler *s)
{
	if (!s)
		return;
	while (s->first)
		llm_request_free(s->first);
	llm_drafters_free(s);
	llm_pass_free(s->pass);
	llm_prefix_cache_free(&s->prefixes);
	llm_kv_pool_free(&s->kv);
	llm_free(s->allocator, s->sample_scratch);
	llm_maskers_free(s->maskers);
	llm_free(s->allocator, s->segments);
	llm_free(s->allocator, s->segment_lane);
	llm_free(s->allocator, s->wanted_block);
	llm_free_aligned(s->allocator, s->head_scratch);
	llm_free(s->allocator, s);
}

/* ---- admission ---- */

/*
 * Rows that a batch must have for a request: where tokens see those after them, its whole sequence. Rounded up, so that the
 * next text, a little longer, does not need another pass.
 */
static int
rows_needed(const LlmScheduler *s, const LlmRequest *r)
{
	uint32_t	rows = (r->n_prompt + BATCH_STEP - 1) / BATCH_STEP * BATCH_STEP;

	return s->model->hp.causal || (int) r->n_prompt <= s->batch_rows ? s->batch_rows : (int) rows;
}

/* the request cannot be computed within the memory limit, however long it waits */
static void
end_too_large(LlmScheduler *s, LlmRequest *r, size_t need, size_t limit)
{
	LlmError	own;

	llm_fail(&own, LLM_E_LIMIT, "the request needs %zu kB for %s%s, more than the %zu kB that the limit leaves",
			 need * s->kv.page_bytes / 1024, s->kv.state_pages > 0 ? "its state" : "keys and values",
			 r->draft.drafter ? " of the model and its draft model" : "", limit * s->kv.page_bytes / 1024);
	llm_error_hint(&own, "Raise the memory limit, or give a shorter prompt or fewer tokens to generate.");
	llm_request_end_error(r, &own);
}

/* make the batch long enough for a request; false if it has to wait, or has ended as it can never run */
static bool
fit_batch(LlmScheduler *s, LlmRequest *r, size_t need)
{
	const int	rows = rows_needed(s, r);
	const size_t bytes = llm_pass_bytes(s->model, rows, llm_pool_threads(s->pool));
	const size_t limit = s->options.memory_limit_bytes;
	LlmError	own;

	if (rows == s->batch_rows)
		return true;
	if (rows > MAX_BATCH_TOKENS || (limit && (bytes > limit || need > (limit - bytes) / s->kv.page_bytes)))
	{
		llm_fail(&own, LLM_E_LIMIT, "a text of %u tokens needs %zu kB, more than the %zu kB that may be taken", r->n_prompt,
				 (bytes + need * s->kv.page_bytes) / 1024, limit / 1024);
		if (rows > MAX_BATCH_TOKENS)
			llm_fail(&own, LLM_E_LIMIT, "a text of %u tokens is too long: at most %d can be computed at once", r->n_prompt,
					 MAX_BATCH_TOKENS);
		llm_error_hint(&own, "Raise the memory limit, or give a shorter text.");
		llm_request_end_error(r, &own);
		return false;
	}
	/* requests that were admitted beside a shorter batch may hold more than a longer one leaves: they end first */
	if (limit && need + s->reserved_pages > (limit - bytes) / s->kv.page_bytes)
		return false;
	resize_batch(s, rows);
	return true;
}

/* pages that a request may need at most, with n_lanes branches at once */
static size_t
worst_pages(const LlmRequest *r, int n_lanes)
{
	const size_t states = 2 * r->scheduler->kv.state_pages; /* of a sequence: one known, one being made */
	size_t		longest = 0;

	if (r->kind == LLM_REQUEST_GENERATE)
		return llm_kv_pages_for((size_t) r->n_prompt + r->max_output - 1) + states +
			(llm_drafter_request_bytes(r) + r->scheduler->kv.page_bytes - 1) / r->scheduler->kv.page_bytes;
	for (int b = 0; b < r->n_branches; b++)
		longest = r->branches[b].n_tokens > longest ? r->branches[b].n_tokens : longest;
	if (longest <= 1)
		return llm_kv_pages_for(r->n_prompt) + states;

	/* a branch copies the prompt's partial last page and goes on from there */
	return llm_kv_pages_for(r->n_prompt) + states +
		(size_t) n_lanes * (llm_kv_pages_for(r->n_prompt % LLMK_PAGE_KEYS + longest - 1) + states);
}

/* the request before has the same prompt, and will have it in the prefix cache soon: then it is computed once */
static bool
waits_for_prompt(const LlmScheduler *s, const LlmRequest *r)
{
	const LlmRequest *p = r->previous;

	return p && s->options.prefix_cache_bytes > 0 && s->model->hp.causal && r->kind == LLM_REQUEST_GENERATE && p->kind == r->kind &&
		p->finish == LLM_FINISH_NONE && !p->remembered && p->n_prompt == r->n_prompt &&
		memcmp(p->tokens, r->tokens, r->n_prompt * sizeof(int32_t)) == 0;
}

static LlmStatus
admit(LlmScheduler *s, LlmError *err)
{
	size_t		limit = page_limit(s);
	int			n_admitted = 0;

	if (s->reserved_pages > limit)
		return LLM_OK;			/* a draft model has come: requests before it end first */

	for (LlmRequest *r = s->first; r; r = r->next)
	{
		size_t		need;

		if (r->finish != LLM_FINISH_NONE)
			continue;
		if (r->admitted)
		{
			n_admitted++;
			continue;
		}
		if (n_admitted >= s->options.max_sequences)
			return LLM_OK;
		if (waits_for_prompt(s, r))
			continue;
		need = worst_pages(r, r->n_lanes);
		while (need > limit && r->n_lanes > 1)
			need = worst_pages(r, r->n_lanes /= 2);
		if (need > limit)
		{
			end_too_large(s, r, need, limit);
			continue;
		}
		if (need > limit - s->reserved_pages)
			return LLM_OK;		/* in order of arrival: nobody overtakes */
		if (!fit_batch(s, r, need))
		{
			if (r->finish != LLM_FINISH_NONE)
				continue;
			return LLM_OK;
		}
		limit = page_limit(s);

		/* remembered prompts make room for those that run */
		while (s->prefixes.n_pages > limit - s->reserved_pages - need)
			llm_prefix_cache_evict(&s->prefixes);
		if (s->options.memory_limit_bytes && (s->kv.state_pages > 0 || s->drafters))
		{
			/* free pages and states, of this model and of others, cannot take each other's place */
			llm_kv_pool_trim(&s->kv, llm_kv_pool_used(&s->kv));
			llm_drafters_trim(s);
		}
		if (!llm_pooling_needs_all(r))
			LLM_TRY(llm_prefix_cache_get(&s->prefixes, r->tokens, r->n_prompt, &r->main.seq, err));
		r->n_cached = r->main.seq.n_past;
		s->stats.cached_tokens += r->n_cached;
		r->admitted = true;
		r->reserved_pages = need;
		s->reserved_pages += need;
		n_admitted++;
	}
	return LLM_OK;
}

/* ---- the batch ---- */

static uint32_t
lane_missing(const LlmLane *lane)
{
	return lane->first_position + lane->n_tokens - lane->seq.n_past;
}

static void
want(LlmWanted *list, int32_t row, int segment, uint32_t index)
{
	list->row[list->n] = row;
	list->segment[list->n] = segment;
	list->index[list->n++] = (int32_t) index;
}

/* may the lane, or some of it, have a place in what is left of the batch? */
static bool
has_room(const LlmScheduler *s, const LlmLane *lane, int n_rows)
{
	const int	room = s->batch_rows - n_rows;

	return s->n_segments < s->options.max_sequences && room > 0 && (s->model->hp.causal || lane_missing(lane) <= (uint32_t) room);
}

/* put up to max_tokens of a lane into the batch, and the guesses behind them */
static LlmStatus
add_lane(LlmScheduler *s, LlmLane *lane, int *n_rows, int max_tokens, LlmError *err)
{
	uint32_t	missing = lane_missing(lane);
	uint32_t	n = missing < (uint32_t) max_tokens ? missing : (uint32_t) max_tokens;
	uint32_t	from = lane->seq.n_past - lane->first_position;
	LlmDraft   *draft = &lane->request->draft;

	n += draft->n;
	draft->n_fed = draft->n;
	LLM_TRY(llm_kv_seq_reserve(&s->kv, &lane->seq, n, err));
	if (lane->branch >= 0)		/* one ascending sum, however the branch is cut into steps */
		lane->pending_logprob = lane->request->branches[lane->branch].logprob;
	s->segments[s->n_segments] = (LlmSegment) {&lane->seq, lane->tokens + from, n, lane->request->n_query};
	s->segment_lane[s->n_segments] = lane;
	for (uint32_t i = 0; i < n; i++)
	{
		const bool	last = i + 1 >= missing;	/* or a guess */

		if (llm_request_makes_vectors(lane->request) ? llm_pooling_wants(lane->request, from + i) : lane->all_logits || last)
			want(llm_request_makes_vectors(lane->request) ? &s->vectors : &s->logits, *n_rows + (int32_t) i, s->n_segments, from + i);
	}
	s->n_segments++;
	*n_rows += (int) n;
	return LLM_OK;
}

/* add the lanes of a request that lack one token (single) or more (not single) */
static LlmStatus
add_request(LlmScheduler *s, LlmRequest *r, bool single, int *n_rows, LlmError *err)
{
	if (!r->prompt_done)
	{
		if ((lane_missing(&r->main) == 1) == single && has_room(s, &r->main, *n_rows))
			LLM_TRY(add_lane(s, &r->main, n_rows, s->batch_rows - *n_rows, err));
		return LLM_OK;
	}
	for (int i = 0; i < r->n_lanes; i++)
	{
		if (r->lanes[i].open && (lane_missing(&r->lanes[i]) == 1) == single && has_room(s, &r->lanes[i], *n_rows))
			LLM_TRY(add_lane(s, &r->lanes[i], n_rows, s->batch_rows - *n_rows, err));
	}
	return LLM_OK;
}

static LlmStatus
build(LlmScheduler *s, LlmError *err)
{
	int			n_rows = 0;

	s->n_segments = 0;
	s->logits.n = 0;
	s->vectors.n = 0;
	for (LlmRequest *r = s->first; r; r = r->next)
	{
		if (r->admitted && r->kind == LLM_REQUEST_SCORE && r->prompt_done)
			LLM_TRY(llm_score_open_lanes(r, err));
	}
	for (int single = 1; single >= 0; single--)
	{
		for (LlmRequest *r = s->first; r; r = r->next)
		{
			if (r->admitted)
				LLM_TRY(add_request(s, r, single, &n_rows, err));
		}
	}
	return LLM_OK;
}

static LlmStatus
take(void *ctx, int output, float *logits, LlmError *err)
{
	LlmScheduler *s = ctx;
	LlmLane    *lane = s->segment_lane[s->logits.segment[output]];
	LlmRequest *r = lane->request;

	(void) err;
	switch (r->kind)
	{
		case LLM_REQUEST_GENERATE:
			llm_generation_take(r, (uint32_t) s->logits.index[output], logits);
			break;
		case LLM_REQUEST_SCORE:
			llm_score_take(r, lane, (uint32_t) s->logits.index[output], logits);
			break;
		case LLM_REQUEST_LOGITS:
			memcpy(r->logits, logits, s->model->hp.n_vocab * sizeof(float));
			break;
		case LLM_REQUEST_EMBED:
		case LLM_REQUEST_RANK:
			break;				/* these ask for vectors */
	}
	return LLM_OK;
}

static LlmStatus
take_vector(void *ctx, int output, float *vector, LlmError *err)
{
	LlmScheduler *s = ctx;
	const int	segment = s->vectors.segment[output];
	const bool	first = output == 0 || s->vectors.segment[output - 1] != segment;

	(void) err;
	return llm_pooling_take(s->segment_lane[segment]->request, (uint32_t) s->vectors.index[output], first, vector);
}

/*
 * Put a computed prompt into the prefix cache. Its pages are shared with the request and counted there until it ends; a state
 * is memory of its own from the next step on, and must fit beside what the admitted requests may need.
 */
static void
remember(LlmScheduler *s, LlmRequest *r)
{
	r->remembered = true;
	if (s->kv.state_pages > 0)
	{
		const size_t need = llm_kv_pages_for(r->n_prompt) + s->kv.state_pages;
		const size_t limit = page_limit(s);
		const size_t room = limit > s->reserved_pages ? limit - s->reserved_pages : 0;

		while (s->prefixes.n_pages > 0 && (need > room || s->prefixes.n_pages > room - need))
			llm_prefix_cache_evict(&s->prefixes);
		if (need > room)
			return;
	}
	llm_prefix_cache_put(&s->prefixes, r->tokens, r->n_prompt, &r->main.seq);
}

static void
commit(LlmScheduler *s)
{
	s->stats.steps++;
	for (int i = 0; i < s->n_segments; i++)
	{
		LlmLane    *lane = s->segment_lane[i];
		LlmRequest *r = lane->request;
		uint32_t	n_wrong;

		if (r->finish != LLM_FINISH_NONE)
			continue;			/* ended by another of its lanes */
		if (lane->seq.n_past < r->n_prompt)
			s->stats.prompt_tokens += s->segments[i].n_tokens;
		n_wrong = llm_draft_settle(r);
		if (n_wrong > 0)
			llm_kv_seq_commit_part(&lane->seq, s->segments[i].n_tokens - n_wrong);
		else
			llm_kv_seq_commit(&s->kv, &lane->seq, s->segments[i].n_tokens);
		if (!r->remembered && s->model->hp.causal && lane == &r->main && lane->seq.n_past >= r->n_prompt)
			remember(s, r);
		switch (r->kind)
		{
			case LLM_REQUEST_GENERATE:
				llm_generation_commit(r);
				break;
			case LLM_REQUEST_SCORE:
				llm_score_commit(r, lane);
				break;
			case LLM_REQUEST_LOGITS:
				if (lane->seq.n_past < lane->n_tokens)
					break;
				if (isfinite(s->model->kernels->max(r->logits, s->model->hp.n_vocab)))
					llm_request_end(r, LLM_FINISH_STOP);
				else
					llm_request_end_not_finite(r);
				break;
			case LLM_REQUEST_EMBED:
			case LLM_REQUEST_RANK:
				llm_pooling_commit(r);
				break;
		}
	}
}

static bool
has_work(const LlmScheduler *s)
{
	for (const LlmRequest *r = s->first; r; r = r->next)
	{
		if (r->finish == LLM_FINISH_NONE)
			return true;
	}
	return false;
}

/* guesses that are worth their place in the next batch, whose rows so far are one for each lane that decodes, and prompts */
static void
begin_drafts(LlmScheduler *s)
{
	uint32_t	n_rows = 0;
	uint32_t	room;

	for (LlmRequest *r = s->first; r; r = r->next)
	{
		llm_draft_clear(r);
		for (int i = 0; r->admitted && i < r->n_lanes; i++)
			n_rows += r->lanes[i].open;
		if (r->admitted && !r->prompt_done)
			n_rows += lane_missing(&r->main);
	}
	room = n_rows < (uint32_t) s->batch_rows ? (uint32_t) s->batch_rows - n_rows : 0;
	for (LlmRequest *r = s->first; r; r = r->next)
	{
		if (r->admitted && r->draft.kind != LLM_DRAFT_OFF && r->n_output > 0 && lane_missing(&r->main) == 1)
			room -= llm_draft_begin(r, n_rows, room);
	}
}

/* admit requests and guess for those that run. LLM_PAUSED: call again. */
static LlmStatus
prepare(LlmScheduler *s, const LlmStop *stop, LlmError *err)
{
	LlmStatus	status;

	if (!s->drafting)
	{
		LLM_TRY(admit(s, err));
		LLM_TRY(make_pass(s, err));
		begin_drafts(s);
	}
	status = llm_drafters_run(s, stop, err);
	s->drafting = status == LLM_PAUSED;
	return status;
}

void
llm_scheduler_give_up(LlmScheduler *s)
{
	s->running = false;
	for (int i = 0; i < s->n_segments; i++)
	{
		LlmRequest *r = s->segment_lane[i]->request;

		if (r->kind == LLM_REQUEST_GENERATE && r->finish == LLM_FINISH_NONE)
			llm_generation_commit(r);
	}
}

LlmStatus
llm_scheduler_step(LlmScheduler *s, const LlmStop *stop, bool *more, LlmError *err)
{
	if (!s->running)
	{
		LLM_TRY(prepare(s, stop, err));
		LLM_TRY(build(s, err));
		if (s->n_segments > 0)
		{
			const LlmPassOutputs logits = {s->logits.row, s->logits.n, take, s};
			const LlmPassOutputs vectors = {s->vectors.row, s->vectors.n, take_vector, s};

			LLM_TRY(llm_pass_begin(s->pass, s->segments, s->n_segments, &logits, &vectors, err));
			s->running = true;
		}
	}
	if (s->running)
	{
		LlmStatus	status = llm_pass_run(s->pass, stop, err);

		if (status == LLM_PAUSED)
			return LLM_PAUSED;
		if (status != LLM_OK)
		{
			llm_scheduler_give_up(s);
			return status;
		}
		s->running = false;
		commit(s);
	}
	*more = has_work(s);
	if (!*more)
	{
		llm_kv_pool_trim(&s->kv, llm_kv_pool_used(&s->kv) + IDLE_BYTES / s->kv.page_bytes);
		llm_drafters_trim(s);
		resize_batch(s, s->options.batch_tokens);
	}
	return LLM_OK;
}

LlmStatus
llm_scheduler_run(LlmScheduler *s, const LlmStop *stop, LlmError *err)
{
	bool		more = true;

	while (more)
		LLM_TRY(llm_scheduler_step(s, stop, &more, err));
	return LLM_OK;
}

void
llm_scheduler_stats(const LlmScheduler *s, LlmSchedulerStats *stats)
{
	*stats = s->stats;
	stats->memory_bytes = s->pass_bytes + llm_kv_pool_bytes(&s->kv) + llm_drafters_memory(s);
}
