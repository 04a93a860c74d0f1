/*
 * thinking.c: looks for the tokens of the known forms in the vocabulary and in the prompt.
 */
#include "serve/thinking.h"

#include <string.h>

/* the token that text is, -1 if it is not one special token */
static LlmStatus
token_of(const LlmTokenizer *t, const char *text, LlmTokens *scratch, int32_t *id, LlmError *err)
{
	scratch->n = 0;
	*id = -1;
	LLM_TRY(llm_tokenize(t, (LlmText) {text, NULL, strlen(text)}, LLM_TOKENIZE_PARSE_SPECIAL, NULL, scratch, err));
	if (scratch->n == 1)
		*id = scratch->ids[0];
	return LLM_OK;
}

/* tokens around a thinking part, by family */
static const struct
{
	const char *begin;
	const char *end;
}			known_tags[] =
{
	{"<think>", "</think>"},	/* DeepSeek R1, Qwen 3, SmolLM3, GLM 4.5, MiniMax M2, Nemotron, … */
	{"[THINK]", "[/THINK]"},	/* Magistral */
	{"<|START_THINKING|>", "<|END_THINKING|>"}, /* Command A Reasoning */
	{"<seed:think>", "</seed:think>"},	/* Seed-OSS */
	{"<|inner_prefix|>", "<|inner_suffix|>"},	/* Apertus */
	{"<|channel>", "<channel|>"},	/* Gemma 4 */
	{"<mm:think>", "</mm:think>"},	/* MiniMax M3 */
};

/* a form of begin and end tokens, of which the prompt holds the last ones at the places found */
static LlmStatus
tags(const LlmTokenizer *t, const int32_t *prompt, size_t n, LlmTokens *scratch, LlmThinking *out, LlmError *err)
{
	int32_t		begin = -1;
	int32_t		end = -1;
	size_t		i = n;

	for (size_t k = 0; k < sizeof known_tags / sizeof known_tags[0] && (begin < 0 || end < 0); k++)
	{
		LLM_TRY(token_of(t, known_tags[k].begin, scratch, &begin, err));
		LLM_TRY(token_of(t, known_tags[k].end, scratch, &end, err));
	}
	if (begin < 0 || end < 0)
		return LLM_OK;

	/* back to the end of the turn before */
	while (i > 0 && prompt[i - 1] != begin && prompt[i - 1] != end && !llm_tokenizer_is_end(t, prompt[i - 1]))
		i--;
	if (i > 0 && prompt[i - 1] == end)
		return LLM_OK;			/* closed: the answer begins */
	out->open = i > 0 && prompt[i - 1] == begin;
	out->begin = begin;
	return llm_tokens_append(&out->end, end, err);
}

/* <|channel|>final<|message|> begins the answer; where the prompt already names a channel, nothing is left to do */
static LlmStatus
channels(const LlmTokenizer *t, const int32_t *prompt, size_t n, LlmTokens *scratch, LlmThinking *out, LlmError *err)
{
	int32_t		channel;
	int32_t		message;
	int32_t		start;
	int32_t		end;

	LLM_TRY(token_of(t, "<|channel|>", scratch, &channel, err));
	LLM_TRY(token_of(t, "<|message|>", scratch, &message, err));
	LLM_TRY(token_of(t, "<|start|>", scratch, &start, err));
	if (channel < 0 || message < 0 || start < 0)
		return LLM_OK;
	for (size_t i = n; i > 0 && prompt[i - 1] != start; i--)
	{
		if (prompt[i - 1] == message)
			return LLM_OK;
	}
	out->open = true;
	LLM_TRY(token_of(t, "<|end|>", scratch, &end, err));
	if (end >= 0)
	{
		LLM_TRY(llm_tokens_append(&out->between, end, err));
		LLM_TRY(llm_tokens_append(&out->between, start, err));
		LLM_TRY(llm_tokenize(t, (LlmText) {"assistant", NULL, 9}, 0, NULL, &out->between, err));
	}
	LLM_TRY(llm_tokens_append(&out->end, channel, err));
	LLM_TRY(llm_tokenize(t, (LlmText) {"final", NULL, 5}, 0, NULL, &out->end, err));
	return llm_tokens_append(&out->end, message, err);
}

LlmStatus
llm_thinking_find(const LlmModel *model, const int32_t *prompt, size_t n, const LlmAllocator *a, LlmThinking *out, LlmError *err)
{
	LlmTokens	scratch;
	LlmStatus	status;

	out->open = false;
	out->begin = -1;
	llm_tokens_init(&out->end, a);
	llm_tokens_init(&out->between, a);
	llm_tokens_init(&scratch, a);
	status = channels(model->tokenizer, prompt, n, &scratch, out, err);
	if (status == LLM_OK && out->end.n == 0)
		status = tags(model->tokenizer, prompt, n, &scratch, out, err);
	llm_tokens_free(&scratch);
	if (status != LLM_OK)
	{
		llm_tokens_free(&out->end);
		llm_tokens_free(&out->between);
	}
	return status;
}
