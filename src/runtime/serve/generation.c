/*
 * generation.c: the text of a generating request: choosing a token, joining bytes, end tokens, stop strings.
 */
#include <string.h>

#include "serve/request.h"

/* keep the most likely tokens of raw logits, best first, ties by lower id */
static void
keep_top(LlmRequest *r, const float *logits)
{
	const LlmModel *m = r->scheduler->model;
	const int	n_top = r->params.top_logprobs;
	LlmTokenProb *top = r->top + (size_t) r->n_output * n_top;
	LlmLogSoftmax softmax = llm_log_softmax(m->kernels, logits, (int32_t) m->hp.n_vocab);
	int			n = 0;

	for (uint32_t id = 0; id < m->hp.n_vocab; id++)
	{
		int			i;

		if (n == n_top && !(logits[id] > top[n - 1].logprob))
			continue;
		if (n < n_top)
			n++;
		for (i = n - 1; i > 0 && logits[id] > top[i - 1].logprob; i--)
			top[i] = top[i - 1];
		top[i].id = (int32_t) id;
		top[i].logprob = logits[id];
	}
	for (int i = 0; i < n; i++)
		top[i].logprob = (float) llm_log_softmax_of(&softmax, top[i].logprob);
	for (int i = n; i < n_top; i++)
		top[i] = (LlmTokenProb) {-1, 0};
}

/* bytes at the end of text that may still become a stop string, or are an unfinished character */
static size_t
unstable_tail(const LlmRequest *r)
{
	size_t		tail = r->text_len - llm_utf8_complete_prefix(r->text.data, r->text_len);

	for (int i = 0; i < r->params.n_stop; i++)
	{
		const LlmStr *stop = &r->stop[i];
		size_t		n = stop->len - 1 < r->text_len ? stop->len - 1 : r->text_len;

		for (; n > tail; n--)
		{
			if (memcmp(r->text.data + r->text_len - n, stop->data, n) == 0)
			{
				tail = n;
				break;
			}
		}
	}
	return tail;
}

/* the first stop string in the answer at or after `from`; true if found, *at its place. In what a model thinks stop strings stop nothing. */
static bool
find_stop(const LlmRequest *r, size_t from, size_t *at)
{
	bool		found = false;

	for (int i = 0; i < r->params.n_stop; i++)
	{
		const LlmStr *stop = &r->stop[i];
		size_t		begin = from >= stop->len - 1 ? from - (stop->len - 1) : 0;

		begin = begin > r->think.answer_off ? begin : r->think.answer_off;
		if (begin > r->text_len)
			continue;

		const char *p = memmem(r->text.data + begin, r->text_len - begin, stop->data, stop->len);

		if (p && (!found || (size_t) (p - r->text.data) < *at))
		{
			*at = (size_t) (p - r->text.data);
			found = true;
		}
	}
	return found;
}

static void
finish(LlmRequest *r, LlmFinish how)
{
	r->stable_len = r->text_len;
	r->ending = how;
}

/* append a token to the output; top: its most likely tokens are known */
static LlmStatus
put_token(LlmRequest *r, int32_t token, double logprob, bool top, LlmError *err)
{
	const int	n_top = r->params.top_logprobs;

	LLM_TRY(llm_detokenize_one(r->scheduler->model->tokenizer, token, r->n_output == 0 && r->params.starts_text, false, &r->text,
							   err));
	for (int i = 0; i < n_top && !top; i++)
		r->top[(size_t) r->n_output * n_top + i] = (LlmTokenProb) {-1, 0};
	llm_draft_check(r, r->n_prompt + r->n_output, token);
	r->tokens[r->n_prompt + r->n_output] = token;
	r->logprobs[r->n_output] = (float) logprob;
	r->logprob += logprob;
	r->n_output++;
	r->main.n_tokens++;
	r->scheduler->stats.output_tokens++;
	return LLM_OK;
}

/* append the chosen token, or what a grammar or the end of thinking makes of it; *whole: the text ends here */
static LlmStatus
put_choice(LlmRequest *r, int32_t token, double logprob, bool *whole, LlmError *err)
{
	LlmTokens	put;
	LlmStatus	status;
	bool		thinking;

	*whole = false;
	llm_think_part_begin(&r->think, r->n_output, token);
	thinking = r->think.open;
	if (!r->constraint && !thinking)
		return put_token(r, token, logprob, true, err);
	llm_tokens_init(&put, r->scheduler->allocator);
	if (r->constraint)
		status = llm_constrain_token(r, token, &put, whole, err);
	else
		status = llm_think_part_token(&r->think, r->tokens + r->n_prompt, r->n_output, token, true, &put, err);
	for (size_t i = 0; i < put.n && status == LLM_OK && r->n_output < r->max_output; i++)
	{
		bool		chosen = i == 0 && put.ids[0] == token;

		status = put_token(r, put.ids[i], chosen ? logprob : 0, chosen, err);
	}
	/* nothing is put if the text is whole already, and the token begins a character that there is no room to end */
	if (status == LLM_OK && thinking)
		r->think.answer_off = r->text.len;
	llm_tokens_free(&put);
	return status;
}

/* a token from logits, which are changed */
static LlmStatus
choose(LlmRequest *r, float *logits, int32_t *token, double *logprob, LlmError *err)
{
	LlmScheduler *s = r->scheduler;

	if (r->params.top_logprobs > 0)
		keep_top(r, logits);
	if (r->constraint)
		LLM_TRY(llm_constrain_logits(r, logits, err));
	return llm_sample(s->model->kernels, &r->params.sampling, logits, (int32_t) s->model->hp.n_vocab, r->tokens, r->n_prompt,
					  r->tokens + r->n_prompt, r->n_output, r->n_prompt + r->n_output, s->sample_scratch, token, logprob, err);
}

/* what follows from a choice: more text, or the end */
static LlmStatus
append(LlmRequest *r, int32_t token, double logprob, LlmError *err)
{
	size_t		old_len = r->text_len;
	size_t		at = 0;
	bool		whole;

	if ((!r->params.ignore_end || r->constraint) && llm_tokenizer_is_end(r->scheduler->model->tokenizer, token))
	{
		r->logprob += logprob;
		finish(r, LLM_FINISH_STOP);
		return LLM_OK;
	}
	LLM_TRY(put_choice(r, token, logprob, &whole, err));
	r->text_len = r->text.len;
	if (find_stop(r, old_len, &at))
	{
		r->text_len = at;
		finish(r, LLM_FINISH_STOP);
	}
	else if (whole)
		finish(r, LLM_FINISH_STOP);
	else if (r->n_output == r->max_output)
		finish(r, r->constraint && llm_run_complete(&r->constraint->run) ? LLM_FINISH_STOP : LLM_FINISH_LENGTH);
	else
		r->stable_len = r->text_len - unstable_tail(r);
	return LLM_OK;
}

void
llm_generation_take(LlmRequest *r, uint32_t position, float *logits)
{
	LlmError	err;
	int32_t		token;
	double		logprob;

	/* after a wrong guess, or at one that was not chosen but forced */
	if (r->ending != LLM_FINISH_NONE || position + 1 != r->n_prompt + r->n_output || llm_draft_is_wrong(&r->draft, position))
		return;
	if (choose(r, logits, &token, &logprob, &err) == LLM_OK && append(r, token, logprob, &err) == LLM_OK)
		return;
	r->error = err;
	r->ending = LLM_FINISH_ERROR;
}

void
llm_generation_commit(LlmRequest *r)
{
	if (r->ending != LLM_FINISH_NONE)
		llm_request_end(r, r->ending);
}
