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
	LLM_TRY(llm_alloc(a, (size_t) params->n_after + (size_t) params->n_between, sizeof(int32_t), &p, err));
	memcpy(p, params->after, (size_t) params->n_after * sizeof(int32_t));
	t->end = p;
	t->n_end = params->n_after;
	t->between = t->end + t->n_end;
	t->n_between = params->n_between;
	if (t->n_between > 0)
		memcpy(t->between, params->between, (size_t) t->n_between * sizeof(int32_t));
	t->open = params->thinks;
	t->begin = params->think_token;
	t->limited = params->limits_thinking;
	t->budget = params->think_budget;
	return LLM_OK;
}

/* one more than the tokens around messages: the head of a message that has just begun is ended too */
size_t
llm_think_part_closing(const LlmThinkPart *t)
{
	return (size_t) t->n_end + (t->n_between > 0 ? (size_t) t->n_between + 1 : 0);
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

static LlmStatus
append_all(LlmTokens *put, const int32_t *ids, int n, LlmError *err)
{
	for (int i = 0; i < n; i++)
		LLM_TRY(llm_tokens_append(put, ids[i], err));
	return LLM_OK;
}

/*
 * Append what ends the part behind output. end is [channel, its name, message]; what goes before it follows from the last mark of the
 * output: in a message that is open all of between, behind one that has ended its rest, in a head nothing but what the head still lacks.
 */
static LlmStatus
close_part(const LlmThinkPart *t, const int32_t *output, size_t n_output, LlmTokens *put, LlmError *err)
{
	const int32_t channel = t->end[0];
	const int32_t message = t->end[t->n_end - 1];
	int			n_passed = 0;	/* of end, that stand there already */

	for (size_t i = n_output; t->n_between > 0 && i > 0; i--)
	{
		const int32_t token = output[i - 1];
		const bool	last = i == n_output;

		if (token == message || (token == channel && !last))
		{
			if (token == channel)
				LLM_TRY(llm_tokens_append(put, message, err));
			LLM_TRY(append_all(put, t->between, t->n_between, err));
			break;
		}
		if (token == t->between[0])
		{
			LLM_TRY(append_all(put, t->between + 1, t->n_between - 1, err));
			break;
		}
		if (token == t->between[1])
		{
			if (last)
				LLM_TRY(append_all(put, t->between + 2, t->n_between - 2, err));
			break;
		}
		if (token == channel)
		{
			n_passed = 1;
			break;
		}
	}
	return append_all(put, t->end + n_passed, t->n_end - n_passed, err);
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
	return close_part(t, output, n_output, put, err);
}
