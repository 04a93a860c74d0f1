/*
 * pooling.c: requests for vectors: the vectors of a sequence's tokens become one, as the model pools, and go through its head.
 *
 * The mean is one ascending sum over the tokens, whatever steps they come in, divided by their number. What a step adds to it
 * is pending until the step is committed, so a step that is given up leaves no trace; a single vector is the same again.
 */
#include <math.h>
#include <string.h>

#include "model/pool_head.h"
#include "serve/embed.h"
#include "serve/request.h"

static LlmPooling
pools(const LlmRequest *r)
{
	const LlmModel *m = r->scheduler->model;

	return llm_hparams_pools(&m->hp, m->pooling);
}

bool
llm_pooling_wants(const LlmRequest *r, uint32_t position)
{
	switch (pools(r))
	{
		case LLM_POOLING_CLS:
			return position == 0;
		case LLM_POOLING_LAST:
			return position + 1 == r->n_prompt;
		default:
			return true;
	}
}

bool
llm_pooling_needs_all(const LlmRequest *r)
{
	return llm_request_makes_vectors(r) && (!r->scheduler->model->hp.causal || pools(r) != LLM_POOLING_LAST);
}

LlmStatus
llm_pooling_take(LlmRequest *r, uint32_t position, bool first_of_step, const float *vector)
{
	const LlmModel *m = r->scheduler->model;
	const size_t n = m->hp.n_embd;

	if (pools(r) == LLM_POOLING_NONE)
	{
		llm_pool_head_run(m, vector, r->scheduler->head_scratch, r->vectors + (size_t) position * llm_pool_head_size(m));
		return LLM_OK;
	}
	if (pools(r) != LLM_POOLING_MEAN)
	{
		memcpy(r->pooled, vector, n * sizeof(float));
		return LLM_OK;
	}
	if (position == 0)
		memcpy(r->pending, vector, n * sizeof(float));
	else
	{
		if (first_of_step)
			memcpy(r->pending, r->pooled, n * sizeof(float));
		m->kernels->add(r->pending, vector, (int64_t) n);
	}
	return LLM_OK;
}

static bool
all_finite(const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
	{
		if (!isfinite(x[i]))
			return false;
	}
	return true;
}

void
llm_pooling_commit(LlmRequest *r)
{
	LlmScheduler *s = r->scheduler;
	const LlmModel *m = s->model;

	if (pools(r) == LLM_POOLING_MEAN)
	{
		float	   *sum = r->pending;

		r->pending = r->pooled;
		r->pooled = sum;
	}
	if (r->main.seq.n_past < r->n_prompt)
		return;
	if (pools(r) != LLM_POOLING_NONE)
	{
		if (pools(r) == LLM_POOLING_MEAN)
			m->kernels->scale(r->pooled, m->hp.n_embd, 1.0f / (float) r->n_prompt);
		llm_pool_head_run(m, r->pooled, s->head_scratch, r->vectors);
	}
	if (all_finite(r->vectors, r->n_vectors * llm_pool_head_size(m)))
		llm_request_end(r, LLM_FINISH_STOP);
	else
		llm_request_end_not_finite(r);
}
