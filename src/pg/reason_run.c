/*
 * reason_run.c: the samples of a run, wave by wave, and their vote.
 */
#include "reason.h"

#include "utils/memutils.h"

/* of a run: PgLlmWork.state */
typedef struct RunState
{
	PgLlmReasonArgs *args;
	LlmTokens	prompt;			/* borrowed from the first call */
	uint64		seed;
} RunState;

/* what the finished samples say */
typedef struct Votes
{
	int			n;
	LlmGeneration *samples;
	LlmBuf	   *answers;
	LlmBuf	   *keys;
	LlmVote		vote;
} Votes;

/* request sample number i; call NULL: make one */
static void
begin_sample(PgLlmWork *work, PgLlmCall *call)
{
	RunState   *state = work->state;
	const PgLlmOptions *options = &state->args->generate.options;
	LlmGenerateParams params = {.sampling = options->sampling, .max_tokens = options->max_tokens, .starts_text = true,
		.draft = options->draft, .draft_tokens = options->draft_tokens};
	LlmRequest *request;
	LlmError	err;

	if (call == NULL)
	{
		call = pgllm_call_create(work->model);
		call->truncated = work->calls[0]->truncated;
	}
	call->n_prompt = state->prompt.n;
	call->max_output = Min((uint32_t) options->max_tokens, work->model->model->n_ctx);
	params.sampling.seed = state->seed + (uint64) work->n_calls;
	pgllm_generate_thinking(call, &state->prompt, &params);
	params.limits_thinking = state->args->has_budget;
	params.think_budget = state->args->think_budget;
	PGLLM_CHECK(llm_request_generate(work->model->scheduler, state->prompt.ids, state->prompt.n, &params, &request, &err), &err);
	pgllm_call_set_request(call, request);
	pgllm_work_add(work, call);
}

void
pgllm_reason_begin(PgLlmWork *work, PgLlmCall *call, PgLlmReasonArgs *args, const LlmTokens *prompt, uint64 seed)
{
	RunState   *state = palloc(sizeof(RunState));
	LlmError	err;

	*state = (RunState) {args, *prompt, seed};
	work->state = state;
	PGLLM_CHECK(llm_sampling_check(&args->generate.options.sampling, (int32_t) work->model->model->hp.n_vocab, &err), &err);
	if (call->error.status != LLM_OK)
	{
		pgllm_work_add(work, call);
		return;
	}
	begin_sample(work, call);
	while (work->n_calls < args->samples / 2 + 1)
		begin_sample(work, NULL);
}

/* the error of the first sample that failed; NULL: none did */
static const LlmError *
failed_sample(const PgLlmWork *work)
{
	for (int i = 0; i < work->n_calls; i++)
		if (work->calls[i]->error.status != LLM_OK)
			return &work->calls[i]->error;
	return NULL;
}

/* answers of all samples, and the vote */
static void
count_votes(const PgLlmWork *work, Votes *votes)
{
	const RunState *state = work->state;
	const LlmAllocator *allocator = pgllm_allocator(CurrentMemoryContext);
	LlmStr	   *keys = palloc(sizeof(LlmStr) * work->n_calls);
	LlmError	err;

	votes->n = work->n_calls;
	votes->samples = palloc0(sizeof(LlmGeneration) * votes->n);
	votes->answers = palloc(sizeof(LlmBuf) * votes->n);
	votes->keys = palloc(sizeof(LlmBuf) * votes->n);
	for (int i = 0; i < votes->n; i++)
	{
		LlmGeneration *g = &votes->samples[i];
		LlmStr		text;

		llm_request_generation(work->calls[i]->request, g);
		text = (LlmStr) {g->text + g->answer_off, g->text_len - g->answer_off};
		llm_buf_init(&votes->answers[i], allocator);
		llm_buf_init(&votes->keys[i], allocator);
		if (text.len > 0)
			PGLLM_CHECK(llm_answer_find(&state->args->generate.options.answer, text, &votes->answers[i], &votes->keys[i], &err), &err);
		keys[i] = (LlmStr) {votes->keys[i].data, votes->keys[i].len};
	}
	votes->vote = llm_answer_vote(keys, votes->n, state->args->samples);
}

bool
pgllm_reason_more(PgLlmWork *work)
{
	RunState   *state = work->state;
	MemoryContext scratch;
	MemoryContext old;
	Votes		votes;
	int			n;

	if (work->n_calls >= state->args->samples || failed_sample(work) != NULL)
		return false;
	scratch = AllocSetContextCreate(CurrentMemoryContext, "pg_llm votes", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(scratch);
	count_votes(work, &votes);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	if (votes.vote.decided)
		return false;
	n = Min(work->n_calls + votes.vote.needed, state->args->samples);
	while (work->n_calls < n)
		begin_sample(work, NULL);
	return true;
}

int
pgllm_reason_most_calls(const PgLlmWork *work)
{
	return ((const RunState *) work->state)->args->samples;
}

/* header, body of the trail, and the answer's text */
static PgLlmAnswer *
pack_answer(const Votes *votes, const Jsonb *body, const text *value)
{
	Size		text_off = MAXALIGN(sizeof(PgLlmReasonAnswer)) + MAXALIGN(VARSIZE(body));
	PgLlmAnswer *answer = pgllm_answer_create(text_off + (value ? VARSIZE_ANY_EXHDR(value) : 0), NULL);
	PgLlmReasonAnswer *data = (PgLlmReasonAnswer *) answer->data;

	data->votes = votes->vote.votes;
	data->samples = votes->n;
	data->answer_bytes = value ? (int32) VARSIZE_ANY_EXHDR(value) : -1;
	data->answer_off = text_off;
	memcpy(PGLLM_REASON_BODY(data), body, VARSIZE(body));
	if (value)
		memcpy((char *) data + text_off, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
	return answer;
}

PgLlmAnswer *
pgllm_reason_answer(PgLlmWork *work)
{
	const RunState *state = work->state;
	const LlmError *failed = failed_sample(work);
	LlmError	err = {.status = LLM_OK};
	text	   *value = NULL;
	Jsonb	   *body;
	Votes		votes;
	PgLlmReasonRun run;

	if (failed != NULL)
		return pgllm_answer_create(sizeof(PgLlmReasonAnswer), failed);
	count_votes(work, &votes);
	run = (PgLlmReasonRun) {state->args, work->model, &state->prompt, state->seed, votes.n, votes.samples, votes.answers, votes.keys,
		votes.vote.winner, votes.vote.votes};
	body = pgllm_trail_body(&run, &err);
	if (body != NULL && votes.vote.winner >= 0)
		value = pgllm_from_utf8_or_error(votes.answers[votes.vote.winner].data, votes.answers[votes.vote.winner].len, &err);
	if (err.status != LLM_OK)
		return pgllm_answer_create(sizeof(PgLlmReasonAnswer), &err);
	return pack_answer(&votes, body, value);
}
