/*
 * draft.h: guesses of the next tokens of a request, which the next pass checks all at once.
 *
 * A pass over several tokens costs less than as many passes. So tokens that are likely to come are put behind those that
 * a request feeds anyway, and the logits of each are asked for. The choice at each place is made as ever, from the same
 * logits with the same history; as long as it is the token that was guessed, the next logits count too. What was guessed
 * wrong is cut from the cache; of recurrent layers the old state is kept, and the right tokens are fed again. So a guess
 * changes when a token is known, and nothing else.
 *
 * Guesses come from the text (what followed the last time when the last tokens were the same: extraction, summaries and
 * code repeat their prompt) or from a smaller model with the same vocabulary (draft_model.h).
 *
 * How many: a row more in the batch pays if it is right often enough. With n sequences decoding a pass costs like
 * FIXED_ROWS + n rows, so a guess must be right with a probability of n / (FIXED_ROWS + n): for one sequence a third,
 * for many nearly always. The share of right guesses is followed for each request. Internal to serve/.
 */
#ifndef LLM_DRAFT_H
#define LLM_DRAFT_H

#include "serve/scheduler.h"
#include "state/kv_pages.h"

#define LLM_DRAFT_DEFAULT 16

typedef struct LlmDrafter LlmDrafter;

/* of a request; guesses lie behind its tokens, at first .. first + n - 1 */
typedef struct LlmDraft
{
	LlmDraftKind kind;
	uint32_t	max;			/* guesses at once at most */
	uint32_t	first;			/* position of the first */
	uint32_t	n;				/* that are not known to be wrong */
	uint32_t	n_fed;			/* of them in the batch */
	float		rate;			/* share of right ones lately */
	uint64_t	n_drafted;		/* all that were checked, and those that were right */
	uint64_t	n_accepted;

	/* of a draft model */
	LlmDrafter *drafter;		/* NULL: none */
	uint32_t	n_wanted;		/* guesses to make in this round */
	float		trust;			/* log-probability of the guesses of this round, and where it ends */
	float		least_trust;
	LlmKvSeq	seq;
	LlmKvSeq	tail;			/* recurrent layers: from the known tokens on */
} LlmDraft;

extern void llm_draft_init(LlmDraft *d, LlmDraftKind kind, int max);

/* there are no guesses, and the draft model forgets any */
extern void llm_draft_clear(LlmRequest *r);

/* guess from the text, or say how many guesses the draft model shall make; returns how many there may be */
extern uint32_t llm_draft_begin(LlmRequest *r, uint32_t n_sequences, uint32_t max_rows);

/* token is what stands at position now: guesses from a wrong one on are none */
extern void llm_draft_check(LlmRequest *r, uint32_t position, int32_t token);

/* was a wrong guess fed at position, or behind one? */
static inline bool
llm_draft_is_wrong(const LlmDraft *d, uint32_t position)
{
	return d->n_fed > 0 && position >= d->first + d->n;
}

/* the batch is done: number of tokens that were fed and are wrong */
extern uint32_t llm_draft_settle(LlmRequest *r);

#endif
