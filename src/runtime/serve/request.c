/*
 * request.c: making, ending and freeing requests, and reading their results.
 */
#include <string.h>

#include "serve/draft_model.h"
#include "serve/request.h"

#define MAX_TOP_LOGPROBS 20

LlmStatus
llm_request_make(LlmScheduler *s, LlmRequestKind kind, const int32_t *prompt, size_t n_prompt, size_t n_more, LlmRequest **out,
				 LlmError *err)
{
	void	   *p;
	LlmRequest *r;
	LlmStatus	status;

	if (!s->model->output.w.data && kind != LLM_REQUEST_EMBED && kind != LLM_REQUEST_RANK)
	{
		status = llm_fail(err, LLM_E_UNSUPPORTED, "the model makes no text: it reads one in both directions");
		llm_error_hint(err, "Use a model that generates, or this one for embeddings or ranking.");
		return status;
	}
	if (n_prompt == 0)
	{
		status = llm_fail(err, LLM_E_ARGUMENT, "the prompt has no tokens");
		llm_error_hint(err, "Give a prompt that is not empty.");
		return status;
	}
	for (size_t i = 0; i < n_prompt; i++)
	{
		if (prompt[i] < 0 || (uint32_t) prompt[i] >= s->model->hp.n_vocab)
			return llm_fail(err, LLM_E_ARGUMENT, "token %d is outside the vocabulary of %u tokens", prompt[i],
							s->model->hp.n_vocab);
	}
	LLM_TRY(llm_alloc_zero(s->allocator, 1, sizeof(LlmRequest), &p, err));
	r = p;
	r->scheduler = s;
	r->kind = kind;
	llm_buf_init(&r->text, s->allocator);
	r->previous = s->last;
	if (s->last)
		s->last->next = r;
	else
		s->first = r;
	s->last = r;

	/* a prompt beyond the context is the request's own error; its tokens are not needed */
	if (n_prompt > s->model->n_ctx)
	{
		LlmError	own;

		llm_fail(&own, LLM_E_LIMIT, "the prompt has %zu tokens, more than the context of %u tokens", n_prompt, s->model->n_ctx);
		llm_request_end_error(r, &own);
		*out = r;
		return LLM_OK;
	}
	status = llm_alloc(s->allocator, n_prompt + n_more, sizeof(int32_t), &p, err);
	if (status != LLM_OK)
	{
		llm_request_free(r);
		return status;
	}
	r->tokens = p;
	memcpy(r->tokens, prompt, n_prompt * sizeof(int32_t));
	r->n_prompt = (uint32_t) n_prompt;
	r->main.request = r;
	r->main.tokens = r->tokens;
	r->main.n_tokens = r->n_prompt;
	r->main.branch = -1;
	*out = r;
	return LLM_OK;
}

/* copies of the stop strings (one block: table, then bytes) and of the logit biases */
static LlmStatus
copy_params(LlmRequest *r, const LlmGenerateParams *params, LlmError *err)
{
	const LlmAllocator *a = r->scheduler->allocator;
	size_t		bytes = (size_t) params->n_stop * sizeof(LlmStr);
	void	   *p;
	char	   *to;

	r->params = *params;
	r->params.stop = NULL;
	r->params.sampling.bias = NULL;
	for (int i = 0; i < params->n_stop; i++)
	{
		if (!llm_size_add(bytes, params->stop[i].len, &bytes))
			return llm_fail(err, LLM_E_LIMIT, "the stop strings are too long");
	}
	if (params->n_stop > 0)
	{
		LLM_TRY(llm_alloc(a, 1, bytes, &p, err));
		r->stop = p;
		to = (char *) (r->stop + params->n_stop);
		for (int i = 0; i < params->n_stop; i++)
		{
			memcpy(to, params->stop[i].data, params->stop[i].len);
			r->stop[i] = (LlmStr) {to, params->stop[i].len};
			to += params->stop[i].len;
		}
		r->params.stop = r->stop;
	}
	if (params->sampling.n_bias > 0)
	{
		LLM_TRY(llm_alloc(a, params->sampling.n_bias, sizeof(LlmLogitBias), &p, err));
		r->bias = p;
		memcpy(p, params->sampling.bias, params->sampling.n_bias * sizeof(LlmLogitBias));
		r->params.sampling.bias = r->bias;
	}
	return LLM_OK;
}

static LlmStatus
fill_generate(LlmRequest *r, const LlmGenerateParams *params, LlmError *err)
{
	const LlmAllocator *a = r->scheduler->allocator;
	void	   *p;

	LLM_TRY(copy_params(r, params, err));
	LLM_TRY(llm_think_part_init(&r->think, params, a, err));
	llm_draft_init(&r->draft, params->draft, params->draft_tokens);
	if (params->draft == LLM_DRAFT_MODEL)
		LLM_TRY(llm_drafter_find(r->scheduler, params->draft_model, &r->draft.drafter, err));
	LLM_TRY(llm_alloc(a, r->max_output, sizeof(float), &p, err));
	r->logprobs = p;
	if (params->top_logprobs > 0)
	{
		LLM_TRY(llm_alloc(a, (size_t) r->max_output * params->top_logprobs, sizeof(LlmTokenProb), &p, err));
		r->top = p;
	}
	if (params->grammar)
	{
		LlmError	own;
		LlmStatus	status = llm_constrain_begin(r, params, &own);

		/* too little room or a vocabulary that cannot write the text is this request's own trouble */
		if (status == LLM_E_ARGUMENT || status == LLM_E_UNSUPPORTED)
			llm_request_end_error(r, &own);
		else if (status != LLM_OK)
		{
			if (err)
				*err = own;
			return status;
		}
	}
	return LLM_OK;
}

LlmStatus
llm_request_generate(LlmScheduler *s, const int32_t *prompt, size_t n_prompt, const LlmGenerateParams *params, LlmRequest **out,
					 LlmError *err)
{
	LlmRequest *r;
	LlmStatus	status;
	uint32_t	max_output;

	LLM_TRY(llm_sampling_check(&params->sampling, (int32_t) s->model->hp.n_vocab, err));
	if (params->max_tokens < 1)
		return llm_fail(err, LLM_E_ARGUMENT, "max_tokens must be at least 1, not %d", params->max_tokens);
	if (params->top_logprobs < 0 || params->top_logprobs > MAX_TOP_LOGPROBS)
		return llm_fail(err, LLM_E_ARGUMENT, "top_logprobs must be between 0 and %d, not %d", MAX_TOP_LOGPROBS,
						params->top_logprobs);
	if (params->draft_tokens < 0 || params->draft_tokens > LLM_DRAFT_MAX)
		return llm_fail(err, LLM_E_ARGUMENT, "draft_tokens must be between 1 and %d, not %d", LLM_DRAFT_MAX, params->draft_tokens);
	for (int i = 0; i < params->n_stop; i++)
	{
		if (params->stop[i].len == 0)
			return llm_fail(err, LLM_E_ARGUMENT, "a stop string must not be empty");
	}

	/* the last token needs no position of its own: it is not fed again */
	max_output = s->model->n_ctx >= n_prompt ? s->model->n_ctx - (uint32_t) n_prompt + 1 : 1;
	if (max_output > (uint32_t) params->max_tokens)
		max_output = (uint32_t) params->max_tokens;
	LLM_TRY(llm_request_make(s, LLM_REQUEST_GENERATE, prompt, n_prompt, max_output, &r, err));
	if (r->finish == LLM_FINISH_NONE)
	{
		r->max_output = max_output;
		status = fill_generate(r, params, err);
		if (status != LLM_OK)
		{
			llm_request_free(r);
			return status;
		}
	}
	*out = r;
	return LLM_OK;
}

/* branches with their tokens (one block: table, then tokens), scores, and lanes for as many as run at once */
static LlmStatus
fill_score(LlmRequest *r, const LlmBranch *branches, int n_branches, LlmError *err)
{
	LlmScheduler *s = r->scheduler;
	size_t		n_tokens = 0;
	void	   *p;
	int32_t    *to;

	for (int b = 0; b < n_branches; b++)
		n_tokens += branches[b].n_tokens;
	LLM_TRY(llm_alloc_zero(s->allocator, 1, n_branches * sizeof(LlmScoreBranch) + n_tokens * sizeof(int32_t), &p, err));
	r->branches = p;
	r->n_branches = n_branches;
	to = (int32_t *) (r->branches + n_branches);
	for (int b = 0; b < n_branches; b++)
	{
		memcpy(to, branches[b].tokens, branches[b].n_tokens * sizeof(int32_t));
		r->branches[b].tokens = to;
		r->branches[b].n_tokens = (uint32_t) branches[b].n_tokens;
		to += branches[b].n_tokens;
	}
	LLM_TRY(llm_alloc_zero(s->allocator, n_branches, sizeof(double), &p, err));
	r->scores = p;
	r->n_lanes = n_branches < s->options.max_sequences ? n_branches : s->options.max_sequences;
	LLM_TRY(llm_alloc_zero(s->allocator, r->n_lanes, sizeof(LlmLane), &p, err));
	r->lanes = p;
	return LLM_OK;
}

LlmStatus
llm_request_score(LlmScheduler *s, const int32_t *prompt, size_t n_prompt, const LlmBranch *branches, int n_branches,
				  LlmRequest **out, LlmError *err)
{
	LlmRequest *r;
	LlmStatus	status;

	if (n_branches < 1)
		return llm_fail(err, LLM_E_ARGUMENT, "there is nothing to score");
	for (int b = 0; b < n_branches; b++)
	{
		if (branches[b].n_tokens == 0)
			return llm_fail(err, LLM_E_ARGUMENT, "continuation %d has no tokens", b + 1);
		if (branches[b].n_tokens > UINT32_MAX / 2)
			return llm_fail(err, LLM_E_LIMIT, "continuation %d has %zu tokens", b + 1, branches[b].n_tokens);
		for (size_t i = 0; i < branches[b].n_tokens; i++)
		{
			if (branches[b].tokens[i] < 0 || (uint32_t) branches[b].tokens[i] >= s->model->hp.n_vocab)
				return llm_fail(err, LLM_E_ARGUMENT, "token %d is outside the vocabulary of %u tokens", branches[b].tokens[i],
								s->model->hp.n_vocab);
		}
	}
	LLM_TRY(llm_request_make(s, LLM_REQUEST_SCORE, prompt, n_prompt, 0, &r, err));
	for (int b = 0; b < n_branches && r->finish == LLM_FINISH_NONE; b++)
	{
		if (n_prompt + branches[b].n_tokens - 1 > s->model->n_ctx)
		{
			LlmError	own;

			llm_fail(&own, LLM_E_LIMIT, "prompt and continuation have %zu tokens, more than the context of %u tokens",
					 n_prompt + branches[b].n_tokens, s->model->n_ctx);
			llm_request_end_error(r, &own);
		}
	}
	if (r->finish == LLM_FINISH_NONE)
	{
		status = fill_score(r, branches, n_branches, err);
		if (status != LLM_OK)
		{
			llm_request_free(r);
			return status;
		}
	}
	*out = r;
	return LLM_OK;
}

LlmStatus
llm_request_logits(LlmScheduler *s, const int32_t *prompt, size_t n_prompt, LlmRequest **out, LlmError *err)
{
	LlmRequest *r;
	void	   *p;
	LlmStatus	status;

	LLM_TRY(llm_request_make(s, LLM_REQUEST_LOGITS, prompt, n_prompt, 0, &r, err));
	if (r->finish == LLM_FINISH_NONE)
	{
		status = llm_alloc(s->allocator, s->model->hp.n_vocab, sizeof(float), &p, err);
		if (status != LLM_OK)
		{
			llm_request_free(r);
			return status;
		}
		r->logits = p;
	}
	*out = r;
	return LLM_OK;
}

/* pages go back at once; results stay */
static void
release_sequences(LlmRequest *r)
{
	LlmScheduler *s = r->scheduler;

	llm_kv_seq_free(&s->kv, &r->main.seq);
	llm_drafter_release(r);
	for (int i = 0; i < r->n_lanes && r->lanes; i++)
	{
		if (r->lanes[i].open)
			llm_kv_seq_free(&s->kv, &r->lanes[i].seq);
		r->lanes[i].open = false;
	}
	if (r->admitted)
		s->reserved_pages -= r->reserved_pages;
	r->admitted = false;
}

void
llm_request_end(LlmRequest *r, LlmFinish finish)
{
	r->finish = finish;
	release_sequences(r);
}

void
llm_request_end_error(LlmRequest *r, const LlmError *err)
{
	r->error = *err;
	llm_request_end(r, LLM_FINISH_ERROR);
}

void
llm_request_end_not_finite(LlmRequest *r)
{
	LlmError	err;

	llm_fail_not_finite(&err);
	llm_request_end_error(r, &err);
}

void
llm_request_free(LlmRequest *r)
{
	LlmScheduler *s;

	if (!r)
		return;
	s = r->scheduler;

	/* a pass that computes for this request is given up; nothing of it was committed */
	for (int i = 0; s->running && i < s->n_segments; i++)
	{
		if (s->segment_lane[i]->request == r)
			llm_scheduler_give_up(s);
	}
	release_sequences(r);
	if (r->previous)
		r->previous->next = r->next;
	else
		s->first = r->next;
	if (r->next)
		r->next->previous = r->previous;
	else
		s->last = r->previous;
	llm_constrain_free(r);
	llm_free(s->allocator, r->think.end);
	llm_buf_free(&r->text);
	llm_free(s->allocator, r->tokens);
	llm_free(s->allocator, r->stop);
	llm_free(s->allocator, r->bias);
	llm_free(s->allocator, r->logprobs);
	llm_free(s->allocator, r->top);
	llm_free(s->allocator, r->branches);
	llm_free(s->allocator, r->scores);
	llm_free(s->allocator, r->lanes);
	llm_free(s->allocator, r->logits);
	llm_free(s->allocator, r->pooled);
	llm_free(s->allocator, r->pending);
	llm_free(s->allocator, r->vectors);
	llm_free(s->allocator, r);
}

LlmFinish
llm_request_finish(const LlmRequest *r)
{
	return r->finish;
}

const LlmError *
llm_request_error(const LlmRequest *r)
{
	return &r->error;
}

void
llm_request_generation(const LlmRequest *r, LlmGeneration *out)
{
	out->tokens = r->tokens ? r->tokens + r->n_prompt : NULL;
	out->n_tokens = r->n_output;
	out->text = r->text.data ? r->text.data : "";
	out->text_len = r->text_len;
	out->stable_len = r->stable_len;
	out->answer_off = r->think.answer_off;
	out->finish = r->finish;
	out->logprob = r->logprob;
	out->token_logprobs = r->logprobs;
	out->top = r->top;
}

const double *
llm_request_scores(const LlmRequest *r)
{
	return r->scores;
}

const float *
llm_request_logits_result(const LlmRequest *r)
{
	return r->logits;
}

void
llm_request_drafts(const LlmRequest *r, uint64_t *n_drafted, uint64_t *n_accepted)
{
	*n_drafted = r->draft.n_drafted;
	*n_accepted = r->draft.n_accepted;
}

uint32_t
llm_request_cached_tokens(const LlmRequest *r)
{
	return r->n_cached;
}
