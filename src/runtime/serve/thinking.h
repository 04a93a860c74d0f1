/*
 * thinking.h: how a model thinks before it answers, seen from the prompt: where a grammar, or the answer, begins.
 *
 * Known forms: tags such as <think> … </think> (DeepSeek R1, Qwen 3 and others; thinking.c has the table) that are tokens of the vocabulary,
 * and channels (gpt-oss), where the answer is the message of the channel "final".
 */
#ifndef LLM_THINKING_H
#define LLM_THINKING_H

#include "model/model.h"

typedef struct LlmThinking
{
	bool		open;			/* the prompt ends inside a thinking part */
	int32_t		begin;			/* a token that may begin one, -1: none */
	LlmTokens	end;			/* tokens that end it; none: the model does not think */
	LlmTokens	between;		/* with channels: tokens that end a message and begin the next */
} LlmThinking;

/* end and between are allocated from a and freed with llm_tokens_free */
extern LlmStatus llm_thinking_find(const LlmModel *model, const int32_t *prompt, size_t n, const LlmAllocator *a, LlmThinking *out,
								   LlmError *err);

#endif
