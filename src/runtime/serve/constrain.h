/*
 * constrain.h: a request whose text must fit a grammar.
 *
 * Before a token is chosen, those that the grammar does not allow are taken out of the logits. After it, bytes that can only
 * come one way are tokenized and join the prompt of the next step (their log-probability is 0: nothing was chosen). At
 * any time the shortest text that makes the whole valid fits into the tokens that are left: a token after which it would not is
 * put aside, and that text is written instead. A thinking part before the answer is free; it too is closed in time.
 * Internal to serve/.
 */
#ifndef LLM_CONSTRAIN_H
#define LLM_CONSTRAIN_H

#include "choose/token_mask.h"
#include "choose/written_keys.h"
#include "serve/scheduler.h"

/* of a request */
typedef struct LlmConstraint
{
	LlmGrammarRun run;
	LlmWrittenKeys written;		/* where the grammar has open keys */
	LlmWrittenKeys before;		/* as it was before the last bytes */
} LlmConstraint;

/* of a scheduler: trees over the vocabulary, and masks of the grammars used last */
typedef struct LlmMaskers LlmMaskers;

extern void llm_maskers_free(LlmMaskers *maskers);

/* LLM_E_ARGUMENT if not even the shortest text fits into the request's tokens */
extern LlmStatus llm_constrain_begin(LlmRequest *r, const LlmGenerateParams *params, LlmError *err);
extern void llm_constrain_free(LlmRequest *r);

/* take tokens that are not allowed out of logits (n_vocab) */
extern LlmStatus llm_constrain_logits(LlmRequest *r, float *logits, LlmError *err);

/*
 * A token was chosen (no end token). Append to put the tokens that are written: this one and those that follow without a
 * choice, or others in its place. *whole: the text is complete, and ends here.
 */
extern LlmStatus llm_constrain_token(LlmRequest *r, int32_t token, LlmTokens *put, bool *whole, LlmError *err);

#endif
