/*
 * think_part.c: a request's thinking part, token by token.
 */
#include "serve/think_part.h"

#include <string.h>

LlmStatus
llm_think_part_init(LlmThinkPart *t, const LlmGenerateParams *params, const LlmAllocator *a, LlmError *err)
{
	void	   *p;

	memset(t, 0, sizeof *t);
	t->begin = -1;
	if (params->n_after <= 0)
		return LLM_OK;
	LLM_TRY(llm_alloc(a, (size_t) params->n_after, sizeof(int32_t), &p, err));
	memcpy(p, params->after, (size_t) params->n_after * sizeof(int32_t));
	t->end = p;
	t->n_end = params->n_after;
	t->open = params->thinks;
	t->begin = params->think_token;
	t->limited = params->limits_thinking;
	t->budget = params->think_budget;
	return LLM_OK;
}

void
llm_think_part_begin(LlmThinkPart *t, size_t n_output, int32_t token)
{
	if (n_output == 0 && t->n_end > 0 && t->begin >= 0 && token == t->begin)
		t->open = true;
}

/* do the tokens written so far, and this one, end the part? */
static bool
ends(const LlmThinkPart *t, const int32_t *output, size_t n_output, int32_t token)
{
	const size_t before = (size_t) t->n_end - 1;

	return token == t->end[before] && n_output >= before &&
		(before == 0 || memcmp(output + n_output - before, t->end, before * sizeof(int32_t)) == 0);
}

LlmStatus
llm_think_part_token(LlmThinkPart *t, const int32_t *output, size_t n_output, int32_t token, bool room, LlmTokens *put, LlmError *err)
{
	const bool	begins = n_output == 0 && token == t->begin;

	if (ends(t, output, n_output, token))
	{
		t->open = false;
		return llm_tokens_append(put, token, err);
	}
	if (begins || (room && !(t->limited && t->n_thought >= t->budget)))
	{
		t->n_thought += begins ? 0 : 1;
		return llm_tokens_append(put, token, err);
	}
	t->open = false;
	for (int i = 0; i < t->n_end; i++)
		LLM_TRY(llm_tokens_append(put, t->end[i], err));
	return LLM_OK;
}
