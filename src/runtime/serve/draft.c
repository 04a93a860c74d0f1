/*
 * draft.c: guesses from the text, and how many are worth it.
 */
#include "serve/draft.h"

#include "serve/draft_model.h"
#include "serve/request.h"

/* what a pass costs beside its rows, in rows. Measured: SmolLM2 Q4_1, AVX2, one row and eight: 1.0 and 3.6. */
#define FIXED_ROWS 1.7f

/* the share of right guesses: its first value, to which it slowly returns while nothing is guessed, and what one guess weighs */
#define RATE_FIRST 0.6f
#define RATE_WEIGHT 0.125f
#define RATE_RETURN 0.015625f

/* equal tokens before a place: fewer say nothing, more say no more */
#define MIN_EQUAL 2
#define MAX_EQUAL 16

void
llm_draft_init(LlmDraft *d, LlmDraftKind kind, int max)
{
	d->kind = kind;
	d->max = max > 0 ? (uint32_t) max : LLM_DRAFT_DEFAULT;
	d->rate = RATE_FIRST;
}

void
llm_draft_clear(LlmRequest *r)
{
	r->draft.n = 0;
	r->draft.n_fed = 0;
	r->draft.n_wanted = 0;
	llm_drafter_cut(r, r->n_prompt + r->n_output);
}

/* how often a guess must be right beside n_sequences that decode */
static float
least_share(uint32_t n_sequences)
{
	return (float) n_sequences / ((float) n_sequences + FIXED_ROWS);
}

/* how many guesses may be worth it, at most `limit`, if they are right as often as lately, and by `trust` (0 to 1) */
static uint32_t
count_worth(const LlmDraft *d, float trust, uint32_t n_sequences, uint32_t limit)
{
	const float least = least_share(n_sequences);
	const float each = d->rate * trust;
	uint32_t	n = 0;

	for (float all = each; n < limit && all >= least; all *= each)
		n++;
	return n;
}

/* the place after the most tokens that are equal to the last ones, of equal places the latest; *n_equal: so many */
static uint32_t
find_place(const int32_t *tokens, uint32_t n_tokens, uint32_t *n_equal)
{
	const int32_t last = tokens[n_tokens - 1];
	uint32_t	found = 0;
	uint32_t	most = MIN_EQUAL - 1;

	for (uint32_t at = n_tokens - 1; at >= MIN_EQUAL && most < MAX_EQUAL; at--)
	{
		uint32_t	n = 1;

		if (tokens[at - 1] != last)
			continue;
		while (n < at && n < MAX_EQUAL && tokens[at - 1 - n] == tokens[n_tokens - 1 - n])
			n++;
		if (n > most)
		{
			most = n;
			found = at;
		}
	}
	*n_equal = found > 0 ? most : 0;
	return found;
}

static uint32_t
from_text(LlmRequest *r, uint32_t n_sequences, uint32_t limit)
{
	const uint32_t n_tokens = r->n_prompt + r->n_output;
	uint32_t	n_equal;
	uint32_t	place = find_place(r->tokens, n_tokens, &n_equal);
	uint32_t	n = place == 0 ? 0 : count_worth(&r->draft, (float) n_equal / (float) (n_equal + 1), n_sequences, limit);

	/* a place near the end goes on with what is guessed itself: a text that repeats */
	for (uint32_t i = 0; i < n; i++)
		r->tokens[n_tokens + i] = r->tokens[place + i];
	r->draft.n = n;
	return n;
}

uint32_t
llm_draft_begin(LlmRequest *r, uint32_t n_sequences, uint32_t max_rows)
{
	LlmDraft   *d = &r->draft;
	const uint32_t left = r->max_output - r->n_output - 1;	/* the last token is not fed */
	uint32_t	limit = d->max < left ? d->max : left;
	uint32_t	n;

	limit = limit < max_rows ? limit : max_rows;
	d->first = r->n_prompt + r->n_output;
	n = count_worth(d, 1, n_sequences, limit);
	if (n > 0 && d->kind == LLM_DRAFT_PROMPT)
		n = from_text(r, n_sequences, limit);
	else if (n > 0)
	{
		d->n_wanted = n;
		d->trust = 0;
		d->least_trust = (float) llmk_log((double) least_share(n_sequences));
	}
	if (n == 0)
		d->rate += (RATE_FIRST - d->rate) * RATE_RETURN;
	return n;
}

void
llm_draft_check(LlmRequest *r, uint32_t position, int32_t token)
{
	LlmDraft   *d = &r->draft;

	if (position < d->first || position - d->first >= d->n || r->tokens[position] == token)
		return;
	d->n = position - d->first;
	llm_drafter_cut(r, position);
}

uint32_t
llm_draft_settle(LlmRequest *r)
{
	LlmDraft   *d = &r->draft;
	const uint32_t known = r->n_prompt + r->n_output;
	const uint32_t n_wrong = d->n_fed - d->n;
	uint32_t	n_right = d->n;

	/* guesses after the end of the text were not checked */
	if (d->n_fed > 0 && n_right > known - d->first)
		n_right = known - d->first;
	for (uint32_t i = 0; i < n_right; i++)
		d->rate += (1 - d->rate) * RATE_WEIGHT;
	if (n_wrong > 0)
		d->rate -= d->rate * RATE_WEIGHT;
	d->n_drafted += d->n_fed;
	d->n_accepted += n_right;
	r->scheduler->stats.drafted_tokens += d->n_fed;
	r->scheduler->stats.accepted_tokens += n_right;
	llm_draft_clear(r);
	return n_wrong;
}
