/*
 * think_part.h: the thinking part of a generating request: where it ends, and after how many tokens it is ended.
 *
 * While it is open, tokens are the model's own. It is closed by the tokens that end it, whether the model chose them or they
 * were written in the place of one more thought: because the budget is used up, or (see constrain.h) because there is room for
 * no more than them and the answer. With channels the part is one or more messages: before its end is written, a message that is open is
 * ended, so that what the model reads is well formed. Internal to serve/.
 */
#ifndef LLM_THINK_PART_H
#define LLM_THINK_PART_H

#include "serve/scheduler.h"

/* of a request */
typedef struct LlmThinkPart
{
	bool		open;
	int32_t		begin;			/* a token that may begin one at the start of the text, -1: none */
	int32_t    *end;			/* (n_end) tokens that end it, copied */
	int			n_end;			/* 0: the model does not think, or nobody asks */
	int32_t    *between;		/* (n_between) with channels: ends a message and begins the next, in the block of end */
	int			n_between;		/* 0: tags */
	bool		limited;
	uint32_t	budget;			/* tokens, if limited */
	uint32_t	n_thought;
	size_t		answer_off;		/* in the text: behind it */
} LlmThinkPart;

/* tokens that ending the part takes at most */
extern size_t llm_think_part_closing(const LlmThinkPart *t);

extern LlmStatus llm_think_part_init(LlmThinkPart *t, const LlmGenerateParams *params, const LlmAllocator *a, LlmError *err);

/* a token was chosen as number n_output of output: does it begin the part? */
extern void llm_think_part_begin(LlmThinkPart *t, size_t n_output, int32_t token);

/*
 * A token of the open part. Append to put what is written: the token, or the end of the part in its place if the budget is
 * used up or there is no room for one more.
 */
extern LlmStatus llm_think_part_token(LlmThinkPart *t, const int32_t *output, size_t n_output, int32_t token, bool room, LlmTokens *put,
									  LlmError *err);

#endif
