/*
 * score.c: log-probabilities of given continuations (labels).
 *
 * The prompt is computed once. Its last logits give every branch's first token; for the others a branch forks the
 * prompt's sequence and feeds its tokens but the last, as if it were scored alone.
 */
#include <math.h>

#include "serve/request.h"

void
llm_score_take(LlmRequest *r, LlmLane *lane, uint32_t position_in_lane, const float *logits)
{
	const LlmModel *m = r->scheduler->model;
	LlmLogSoftmax softmax = llm_log_softmax(m->kernels, logits, (int32_t) m->hp.n_vocab);

	if (lane->branch < 0)
	{
		for (int b = 0; b < r->n_branches; b++)
			r->branches[b].pending_first = llm_log_softmax_of(&softmax, logits[r->branches[b].tokens[0]]);
	}
	else
		lane->pending_logprob += llm_log_softmax_of(&softmax, logits[r->branches[lane->branch].tokens[position_in_lane + 1]]);
}

static void
finish_if_done(LlmRequest *r)
{
	for (int b = 0; b < r->n_branches; b++)
	{
		if (!r->branches[b].done)
			return;
	}
	for (int b = 0; b < r->n_branches; b++)
	{
		r->scores[b] = r->branches[b].logprob;
		if (!isfinite(r->scores[b]))
		{
			llm_request_end_not_finite(r);
			return;
		}
	}
	llm_request_end(r, LLM_FINISH_STOP);
}

void
llm_score_commit(LlmRequest *r, LlmLane *lane)
{
	if (lane->branch < 0)
	{
		if (lane->seq.n_past < lane->n_tokens)
			return;
		r->prompt_done = true;
		for (int b = 0; b < r->n_branches; b++)
		{
			r->branches[b].logprob = r->branches[b].pending_first;
			r->branches[b].done = r->branches[b].n_tokens == 1;
		}
	}
	else
	{
		LlmScoreBranch *branch = &r->branches[lane->branch];

		branch->logprob = lane->pending_logprob;
		if (lane->seq.n_past < lane->first_position + lane->n_tokens)
			return;
		branch->done = true;
		llm_kv_seq_free(&r->scheduler->kv, &lane->seq);
		lane->open = false;
	}
	finish_if_done(r);
}

LlmStatus
llm_score_open_lanes(LlmRequest *r, LlmError *err)
{
	for (int i = 0; i < r->n_lanes; i++)
	{
		LlmLane    *lane = &r->lanes[i];

		if (lane->open)
			continue;
		while (r->next_branch < r->n_branches && r->branches[r->next_branch].done)
			r->next_branch++;
		if (r->next_branch == r->n_branches)
			return LLM_OK;
		LLM_TRY(llm_kv_seq_fork(&r->scheduler->kv, &r->main.seq, r->n_prompt, &lane->seq, err));
		lane->request = r;
		lane->branch = r->next_branch++;
		lane->tokens = r->branches[lane->branch].tokens;
		lane->n_tokens = r->branches[lane->branch].n_tokens - 1;
		lane->first_position = r->n_prompt;
		lane->all_logits = true;
		lane->open = true;
	}
	return LLM_OK;
}
