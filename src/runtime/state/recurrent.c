/*
 * recurrent.c: see recurrent.h.
 */
#include <string.h>

#include "state/recurrent.h"

void
llm_recurrent_init(LlmRecurrentPool *pool, const LlmAllocator *a, size_t n_floats)
{
	memset(pool, 0, sizeof(*pool));
	pool->allocator = a;
	pool->n_floats = n_floats;
}

LlmStatus
llm_recurrent_get(LlmRecurrentPool *pool, LlmRecurrentState **out, LlmError *err)
{
	LlmRecurrentState *state = pool->free_states;

	if (state)
		pool->free_states = state->next_free;
	else
	{
		void	   *p;
		void	   *data;
		LlmStatus	status;

		LLM_TRY(llm_alloc(pool->allocator, 1, sizeof(LlmRecurrentState), &p, err));
		status = llm_alloc_aligned(pool->allocator, pool->n_floats, sizeof(float), &data, err);
		if (status != LLM_OK)
		{
			llm_free(pool->allocator, p);
			return status;
		}
		state = p;
		state->data = data;
		pool->n_states++;
	}
	state->next_free = NULL;
	state->n_refs = 1;
	pool->n_used++;
	*out = state;
	return LLM_OK;
}

LlmRecurrentState *
llm_recurrent_share(LlmRecurrentState *state)
{
	if (state)
		state->n_refs++;
	return state;
}

void
llm_recurrent_release(LlmRecurrentPool *pool, LlmRecurrentState *state)
{
	if (!state || --state->n_refs > 0)
		return;
	state->next_free = pool->free_states;
	pool->free_states = state;
	pool->n_used--;
}

void
llm_recurrent_trim(LlmRecurrentPool *pool, size_t keep)
{
	while (pool->free_states && pool->n_states > keep)
	{
		LlmRecurrentState *state = pool->free_states;

		pool->free_states = state->next_free;
		llm_free_aligned(pool->allocator, state->data);
		llm_free(pool->allocator, state);
		pool->n_states--;
	}
}
