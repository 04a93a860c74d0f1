/*
 * draft_model.c: guesses by a smaller model.
 *
 * A request's sequence in the draft model holds tokens as they are known, and then guesses. Guesses that turn out wrong are cut
 * from it. Where the draft model has recurrent layers that cannot be done: there the sequence holds known tokens only, and
 * guesses go to a fork of it, the tail, which lives for one round.
 */
#include "serve/draft_model.h"

#include <math.h>
#include <string.h>

#include "model/forward.h"
#include "serve/request.h"

/* tokens of a pass of the draft model */
#define MAX_ROWS 256

struct LlmDrafter
{
	LlmDrafter *next;
	LlmScheduler *scheduler;
	const LlmModel *model;
	LlmKvPool	kv;
	LlmPass    *pass;
	size_t		bytes;			/* of the pass */
	int			max_rows;
	void	   *sample_scratch;

	/* the batch being computed */
	bool		running;
	int			n_segments;
	int			n_outputs;
	LlmSegment *segments;		/* (max_sequences) */
	LlmRequest **segment_request;
	int32_t    *output_row;		/* (max_sequences) */
	int32_t    *output_segment;
};

/* ---- life ---- */

/* guesses are token ids, so that these have to mean the same */
static LlmStatus
check_vocabulary(const LlmModel *model, const LlmModel *draft, LlmError *err)
{
	const int32_t n = llm_tokenizer_vocab_size(model->tokenizer);
	const int32_t n_draft = llm_tokenizer_vocab_size(draft->tokenizer);
	LlmStatus	status;

	for (int32_t id = 0; id < n && id < n_draft; id++)
	{
		LlmStr		a = llm_tokenizer_token_text(model->tokenizer, id);
		LlmStr		b = llm_tokenizer_token_text(draft->tokenizer, id);

		if (a.len == b.len && memcmp(a.data, b.data, a.len) == 0)
			continue;
		status = llm_fail(err, LLM_E_ARGUMENT, "the draft model has another vocabulary");
		llm_error_detail(err, "Token %d is \"%.*s\" for the model and \"%.*s\" for the draft model.", (int) id,
						 a.len < 40 ? (int) a.len : 40, a.data, b.len < 40 ? (int) b.len : 40, b.data);
		llm_error_hint(err, "Use a smaller model of the same family.");
		return status;
	}
	return LLM_OK;
}

static LlmStatus
check_model(const LlmScheduler *s, const LlmModel *draft, LlmError *err)
{
	LlmStatus	status;

	if (!draft || !draft->output.w.data || !draft->tokenizer || !s->model->tokenizer)
	{
		status = llm_fail(err, LLM_E_ARGUMENT, "the draft model makes no text");
		llm_error_hint(err, "Use a model that generates.");
		return status;
	}
	return check_vocabulary(s->model, draft, err);
}

static void
drafter_free(LlmDrafter *d)
{
	const LlmAllocator *a = d->scheduler->allocator;

	llm_pass_free(d->pass);
	llm_kv_pool_free(&d->kv);
	llm_free(a, d->sample_scratch);
	llm_free(a, d->segments);
	llm_free(a, d->segment_request);
	llm_free(a, d->output_row);
	llm_free(a, d);
}

static LlmStatus
create_parts(LlmDrafter *d, LlmError *err)
{
	LlmScheduler *s = d->scheduler;
	const LlmHparams *hp = &d->model->hp;
	const size_t n = (size_t) s->options.max_sequences;
	void	   *p;

	LLM_TRY(llm_kv_pool_init(&d->kv, s->allocator, d->model->kv_type, hp->n_layer_kept, hp->n_head_kv, hp->head_dim_k,
							 hp->stored_dim_v, err));
	llm_kv_pool_set_recurrent(&d->kv, hp->recurrent.state_floats * hp->n_layer_recurrent);
	LLM_TRY(llm_alloc(s->allocator, 1, llm_sample_scratch_bytes((int32_t) hp->n_vocab), &d->sample_scratch, err));
	LLM_TRY(llm_alloc(s->allocator, n, sizeof(LlmSegment), &p, err));
	d->segments = p;
	LLM_TRY(llm_alloc(s->allocator, n, sizeof(LlmRequest *), &p, err));
	d->segment_request = p;
	LLM_TRY(llm_alloc(s->allocator, 2 * n, sizeof(int32_t), &p, err));
	d->output_row = p;
	d->output_segment = d->output_row + n;
	return llm_pass_create(d->model, s->pool, &d->kv, d->max_rows, s->allocator, &d->pass, err);
}

/* can so many bytes be taken beside what is taken? Remembered prompts go for it. */
static bool
make_room(LlmScheduler *s, size_t bytes)
{
	const size_t limit = s->options.memory_limit_bytes;

	while (limit)
	{
		const size_t taken = s->pass_bytes + llm_kv_pool_bytes(&s->kv) + llm_drafters_memory(s);

		if (taken <= limit && bytes <= limit - taken)
			return true;
		if (!llm_prefix_cache_evict(&s->prefixes))
			return false;
		llm_kv_pool_trim(&s->kv, llm_kv_pool_used(&s->kv));
	}
	return true;
}

LlmStatus
llm_drafter_find(LlmScheduler *s, const LlmModel *model, LlmDrafter **out, LlmError *err)
{
	LlmDrafter *d;
	LlmStatus	status;
	void	   *p;

	for (d = s->drafters; d; d = d->next)
	{
		if (d->model == model)
		{
			*out = d;
			return LLM_OK;
		}
	}
	LLM_TRY(check_model(s, model, err));
	LLM_TRY(llm_alloc_zero(s->allocator, 1, sizeof(LlmDrafter), &p, err));
	d = p;
	d->scheduler = s;
	d->model = model;
	d->max_rows = s->options.batch_tokens < MAX_ROWS ? s->options.batch_tokens : MAX_ROWS;
	d->bytes = llm_pass_bytes(model, d->max_rows, llm_pool_threads(s->pool));
	if (!make_room(s, d->bytes))
	{
		status = llm_fail(err, LLM_E_LIMIT, "the draft model needs %zu kB, more than the memory limit of %zu kB leaves",
						  d->bytes / 1024, s->options.memory_limit_bytes / 1024);
		llm_error_hint(err, "Raise the memory limit, or generate without a draft model.");
		drafter_free(d);
		return status;
	}
	status = create_parts(d, err);
	if (status != LLM_OK)
	{
		drafter_free(d);
		return status;
	}
	d->next = s->drafters;
	s->drafters = d;
	*out = d;
	return LLM_OK;
}

void
llm_drafters_free(LlmScheduler *s)
{
	while (s->drafters)
	{
		LlmDrafter *d = s->drafters;

		s->drafters = d->next;
		drafter_free(d);
	}
}

size_t
llm_drafters_bytes(const LlmScheduler *s)
{
	size_t		bytes = 0;

	for (const LlmDrafter *d = s->drafters; d; d = d->next)
		bytes += d->bytes;
	return bytes;
}

/* pages of all tokens, and the copy of a partial one for the tail; states: two of each sequence, known and being made */
size_t
llm_drafter_request_bytes(const LlmRequest *r)
{
	const LlmDrafter *d = r->draft.drafter;

	if (!d)
		return 0;
	return (llm_kv_pages_for((size_t) r->n_prompt + r->max_output) + 2) * d->kv.page_bytes +
		4 * d->kv.recurrent.n_floats * sizeof(float);
}

size_t
llm_drafters_memory(const LlmScheduler *s)
{
	size_t		bytes = llm_drafters_bytes(s);

	for (const LlmDrafter *d = s->drafters; d; d = d->next)
		bytes += llm_kv_pool_bytes(&d->kv);
	return bytes;
}

void
llm_drafters_trim(LlmScheduler *s)
{
	for (LlmDrafter *d = s->drafters; d; d = d->next)
		llm_kv_pool_trim(&d->kv, llm_kv_pool_used(&d->kv));
}

void
llm_drafter_cut(LlmRequest *r, uint32_t position)
{
	LlmDrafter *d = r->draft.drafter;

	if (d && r->draft.seq.n_past > position)
		llm_kv_seq_cut(&d->kv, &r->draft.seq, position);
}

void
llm_drafter_release(LlmRequest *r)
{
	LlmDrafter *d = r->draft.drafter;

	if (!d)
		return;
	for (int i = 0; d->running && i < d->n_segments; i++)
	{
		if (d->segment_request[i] == r)
			d->running = false; /* nothing of the pass was committed */
	}
	llm_kv_seq_free(&d->kv, &r->draft.seq);
	llm_kv_seq_free(&d->kv, &r->draft.tail);
}

/* ---- a round ---- */

static bool
is_recurrent(const LlmDrafter *d)
{
	return d->kv.recurrent.n_floats > 0;
}

/* the sequence that goes on: its own, or its tail */
static LlmStatus
choose_sequence(LlmDrafter *d, LlmRequest *r, LlmKvSeq **out, LlmError *err)
{
	LlmDraft   *draft = &r->draft;
	const uint32_t known = r->n_prompt + r->n_output;

	/* a last token that was computed before is computed again: its logits are needed */
	if (draft->n == 0)
	{
		llm_kv_seq_free(&d->kv, &draft->tail);
		llm_drafter_cut(r, known - 1);
	}
	*out = &draft->seq;
	if (!is_recurrent(d) || draft->seq.n_past < known)
		return LLM_OK;
	if (draft->tail.n_past == 0)
		LLM_TRY(llm_kv_seq_fork(&d->kv, &draft->seq, known, &draft->tail, err));
	*out = &draft->tail;
	return LLM_OK;
}

/* a token that the draft model does not have: vocabularies of a family may end differently */
static bool
knows_tokens(const LlmDrafter *d, const int32_t *tokens, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
	{
		if ((uint32_t) tokens[i] >= d->model->hp.n_vocab)
			return false;
	}
	return true;
}

/* put what a request's sequence lacks into the batch */
static LlmStatus
add_request(LlmDrafter *d, LlmRequest *r, int *n_rows, LlmError *err)
{
	const uint32_t known = r->n_prompt + r->n_output;
	const uint32_t room = (uint32_t) (d->max_rows - *n_rows);
	LlmKvSeq   *seq;
	uint32_t	end = known + r->draft.n;
	uint32_t	n;

	LLM_TRY(choose_sequence(d, r, &seq, err));
	if (is_recurrent(d) && seq == &r->draft.seq)
		end = known;
	n = end - seq->n_past < room ? end - seq->n_past : room;
	if (end > d->model->n_ctx || !knows_tokens(d, r->tokens + seq->n_past, n))
	{
		r->draft.n_wanted = r->draft.n;
		return LLM_OK;
	}
	LLM_TRY(llm_kv_seq_reserve(&d->kv, seq, n, err));
	d->segments[d->n_segments] = (LlmSegment) {seq, r->tokens + seq->n_past, n, 0};
	d->segment_request[d->n_segments] = r;
	*n_rows += (int) n;
	if (seq->n_past + n == known + r->draft.n)
	{
		d->output_row[d->n_outputs] = *n_rows - 1;
		d->output_segment[d->n_outputs++] = d->n_segments;
	}
	d->n_segments++;
	return LLM_OK;
}

static LlmStatus
build(LlmDrafter *d, LlmError *err)
{
	LlmScheduler *s = d->scheduler;
	int			n_rows = 0;

	d->n_segments = 0;
	d->n_outputs = 0;
	for (LlmRequest *r = s->first; r && n_rows < d->max_rows && d->n_segments < s->options.max_sequences; r = r->next)
	{
		if (r->draft.drafter == d && r->draft.n < r->draft.n_wanted)
			LLM_TRY(add_request(d, r, &n_rows, err));
	}
	return LLM_OK;
}

/* the draft model's choice is the next guess, unless that is unlikely to be right */
static LlmStatus
take(void *ctx, int output, float *logits, LlmError *err)
{
	LlmDrafter *d = ctx;
	LlmRequest *r = d->segment_request[d->output_segment[output]];
	LlmDraft   *draft = &r->draft;
	const uint32_t known = r->n_prompt + r->n_output;
	LlmError	own;
	int32_t		token;
	double		logprob;

	(void) err;
	if (llm_sample(d->model->kernels, &r->params.sampling, logits, (int32_t) d->model->hp.n_vocab, r->tokens, r->n_prompt,
				   r->tokens + r->n_prompt, r->n_output + draft->n, known + draft->n, d->sample_scratch, &token, &logprob,
				   &own) != LLM_OK || (uint32_t) token >= r->scheduler->model->hp.n_vocab)
	{
		draft->n_wanted = draft->n;
		return LLM_OK;
	}
	draft->trust += (float) logprob;
	if (draft->n > 0 && draft->trust < draft->least_trust)
	{
		draft->n_wanted = draft->n;
		return LLM_OK;
	}
	r->tokens[known + draft->n++] = token;
	return LLM_OK;
}

static void
commit(LlmDrafter *d)
{
	for (int i = 0; i < d->n_segments; i++)
		llm_kv_seq_commit(&d->kv, d->segments[i].seq, d->segments[i].n_tokens);
}

static LlmStatus
run(LlmDrafter *d, const LlmStop *stop, LlmError *err)
{
	LlmStatus	status;

	for (;;)
	{
		if (!d->running)
		{
			const LlmPassOutputs none = {NULL, 0, NULL, NULL};
			LlmPassOutputs logits = {d->output_row, 0, take, d};

			LLM_TRY(build(d, err));
			if (d->n_segments == 0)
				return LLM_OK;
			logits.n = d->n_outputs;
			LLM_TRY(llm_pass_begin(d->pass, d->segments, d->n_segments, &logits, &none, err));
			d->running = true;
		}
		status = llm_pass_run(d->pass, stop, err);
		if (status == LLM_PAUSED)
			return LLM_PAUSED;
		d->running = false;
		LLM_TRY(status);
		commit(d);
	}
}

LlmStatus
llm_drafters_run(LlmScheduler *s, const LlmStop *stop, LlmError *err)
{
	for (LlmDrafter *d = s->drafters; d; d = d->next)
		LLM_TRY(run(d, stop, err));
	return LLM_OK;
}
