/*
 * constrain.c: masks before a choice, and what follows from it.
 */
#include "serve/constrain.h"

#include <math.h>
#include <string.h>

#include "serve/request.h"

#define MAX_GRAMMARS 4
#define MASK_BYTES ((size_t) 32 << 20)	/* of a grammar */
#define MAX_FORCED 512			/* bytes at once */

typedef struct GrammarMasks
{
	uint64_t	serial;
	uint64_t	last_use;
	LlmMasker  *masker[2];
} GrammarMasks;

struct LlmMaskers
{
	const LlmAllocator *allocator;
	LlmTokenTrie *trie[2];		/* in the middle of a text, at its beginning */
	GrammarMasks grammars[MAX_GRAMMARS];
	uint64_t	uses;
};

void
llm_maskers_free(LlmMaskers *m)
{
	if (!m)
		return;
	for (int i = 0; i < MAX_GRAMMARS; i++)
	{
		llm_masker_free(m->grammars[i].masker[0]);
		llm_masker_free(m->grammars[i].masker[1]);
	}
	llm_token_trie_free(m->trie[0]);
	llm_token_trie_free(m->trie[1]);
	llm_free(m->allocator, m);
}

/* is the next token the first of a text? */
static int
at_start(const LlmRequest *r)
{
	return r->n_output == 0 && r->params.starts_text;
}

static LlmStatus
find_trie(LlmScheduler *s, int first, const LlmTokenTrie **out, LlmError *err)
{
	void	   *p;

	if (!s->maskers)
	{
		LLM_TRY(llm_alloc_zero(s->allocator, 1, sizeof(LlmMaskers), &p, err));
		s->maskers = p;
		s->maskers->allocator = s->allocator;
	}
	if (!s->maskers->trie[first])
		LLM_TRY(llm_token_trie_create(s->model->tokenizer, (int32_t) s->model->hp.n_vocab, first, s->allocator,
									  &s->maskers->trie[first], err));
	*out = s->maskers->trie[first];
	return LLM_OK;
}

/* the masks of a grammar; those used longest ago make room */
static LlmStatus
find_masker(LlmScheduler *s, const LlmGrammar *g, int first, LlmMasker **out, LlmError *err)
{
	const LlmTokenTrie *trie;
	GrammarMasks *found = NULL;

	LLM_TRY(find_trie(s, first, &trie, err));
	for (int i = 0; i < MAX_GRAMMARS && !found; i++)
	{
		if (s->maskers->grammars[i].serial == g->serial)
			found = &s->maskers->grammars[i];
	}
	if (!found)
	{
		found = s->maskers->grammars;
		for (int i = 1; i < MAX_GRAMMARS; i++)
		{
			if (s->maskers->grammars[i].last_use < found->last_use)
				found = &s->maskers->grammars[i];
		}
		llm_masker_free(found->masker[0]);
		llm_masker_free(found->masker[1]);
		*found = (GrammarMasks) {.serial = g->serial};
	}
	found->last_use = ++s->maskers->uses;
	if (!found->masker[first])
		LLM_TRY(llm_masker_create(g, trie, MASK_BYTES, s->allocator, &found->masker[first], err));
	*out = found->masker[first];
	return LLM_OK;
}

/* ---- closing ---- */

/* tokens of bytes, as many as the vocabulary has a way for */
static LlmStatus
tokens_of(LlmRequest *r, bool start, const char *bytes, size_t n, LlmTokens *out, size_t *taken, LlmError *err)
{
	const LlmTokenTrie *trie;
	size_t		more;

	*taken = 0;
	if (start)
	{
		LLM_TRY(find_trie(r->scheduler, 1, &trie, err));
		LLM_TRY(llm_token_trie_greedy(trie, bytes, n, 1, out, taken, err));
		if (*taken == 0)
			return LLM_OK;
	}
	LLM_TRY(find_trie(r->scheduler, 0, &trie, err));
	LLM_TRY(llm_token_trie_greedy(trie, bytes + *taken, n - *taken, SIZE_MAX, out, &more, err));
	*taken += more;
	return LLM_OK;
}

/* tokens of the shortest text that makes run whole; *found false: there is none, or it is far too long */
static LlmStatus
closing_tokens(LlmRequest *r, bool start, LlmTokens *out, bool *found, LlmError *err)
{
	const LlmConstraint *c = r->constraint;
	const size_t limit = 64 * (size_t) (r->max_output - r->n_output) + 2 * (size_t) llm_run_cost(&c->run) + 1024;
	LlmBuf		bytes;
	LlmStatus	status;
	size_t		taken = 0;

	*found = true;
	llm_buf_init(&bytes, r->scheduler->allocator);
	if (c->run.g->m.open_keys)
		status = llm_written_shortest(&c->written, &c->run, limit, &bytes, found, err);
	else
		status = llm_run_shortest(&c->run, &bytes, err);
	if (!*found)
		bytes.len = 0;
	if (status == LLM_OK)
		status = tokens_of(r, start, bytes.data, bytes.len, out, &taken, err);
	if (status == LLM_OK && taken < bytes.len)
	{
		status = llm_fail(err, LLM_E_UNSUPPORTED, "the model's vocabulary has no token for byte 0x%02x, which the grammar needs",
						  (unsigned) (uint8_t) bytes.data[taken]);
		llm_error_hint(err, "Use a model with a larger vocabulary.");
	}
	llm_buf_free(&bytes);
	return status;
}

/* do the tokens that are left, beside `used`, hold the shortest end? */
static LlmStatus
fits(LlmRequest *r, bool start, size_t used, bool *fit, size_t *needed, LlmError *err)
{
	const size_t left = r->max_output - r->n_output;
	LlmTokens	closing;
	LlmStatus	status;
	bool		found;

	*needed = 0;
	*fit = used <= left && llm_run_cost(&r->constraint->run) == 0;
	if (*fit)
		return LLM_OK;
	llm_tokens_init(&closing, r->scheduler->allocator);
	status = closing_tokens(r, start, &closing, &found, err);
	*needed = found ? closing.n : SIZE_MAX;
	*fit = status == LLM_OK && found && used + closing.n <= left;
	llm_tokens_free(&closing);
	return status;
}

/* may the shortest end be longer than the machine knows, as keys of it must differ? */
static bool
may_differ(const LlmConstraint *c)
{
	const LlmMachine *m = &c->run.g->m;

	return m->open_keys && (m->counts_keys || c->written.place == LLM_PLACE_KEY || c->written.place == LLM_PLACE_BEFORE_KEY);
}

/* cheap first: a byte is a token at most, where the vocabulary has all bytes that grammars force */
static LlmStatus
still_fits(LlmRequest *r, size_t used, bool *fit, LlmError *err)
{
	const size_t left = r->max_output - r->n_output;
	size_t		needed;

	*fit = !may_differ(r->constraint) && used <= left && (size_t) llm_run_cost(&r->constraint->run) <= left - used;
	return *fit ? LLM_OK : fits(r, false, used, fit, &needed, err);
}

/* ---- life ---- */

LlmStatus
llm_constrain_begin(LlmRequest *r, const LlmGenerateParams *params, LlmError *err)
{
	const LlmAllocator *a = r->scheduler->allocator;
	LlmConstraint *c;
	size_t		used = r->think.open ? (size_t) r->think.n_end : 0;	/* what ends a part in which nothing is written yet */
	size_t		needed;
	bool		fit;
	void	   *p;

	if (!r->scheduler->model->tokenizer)
		return llm_fail(err, LLM_E_UNSUPPORTED, "a model without a tokenizer cannot write a text with a shape");
	LLM_TRY(llm_alloc_zero(a, 1, sizeof(*c), &p, err));
	c = p;
	if (llm_run_init(&c->run, params->grammar, a, err) != LLM_OK)
	{
		llm_free(a, c);
		return LLM_E_NOMEM;
	}
	llm_written_init(&c->written, a);
	llm_written_init(&c->before, a);
	r->constraint = c;
	LLM_TRY(fits(r, at_start(r), used, &fit, &needed, err));
	if (fit)
		return LLM_OK;
	if (needed == SIZE_MAX)
	{
		llm_fail(err, LLM_E_ARGUMENT, LLM_NO_TEXT);
		llm_error_hint(err, "The keys of an object must differ, and there are too few that fit.");
		return LLM_E_ARGUMENT;
	}
	llm_fail(err, LLM_E_ARGUMENT, "the shortest text that fits the grammar takes %zu tokens, but only %u may be generated", needed + used,
			 r->max_output);
	llm_error_hint(err, "Raise max_tokens, or give a schema with fewer required parts.");
	return LLM_E_ARGUMENT;
}

void
llm_constrain_free(LlmRequest *r)
{
	if (!r->constraint)
		return;
	llm_run_free(&r->constraint->run);
	llm_written_free(&r->constraint->written);
	llm_written_free(&r->constraint->before);
	llm_free(r->scheduler->allocator, r->constraint);
	r->constraint = NULL;
}

/* take out what would write a key again */
static LlmStatus
forbid_written(LlmRequest *r, const LlmTokenTrie *trie, const uint32_t *bits, float *logits, LlmError *err)
{
	const LlmConstraint *c = r->constraint;
	LlmTokens	forbidden;
	LlmStatus	status;

	if (!c->run.g->m.open_keys)
		return LLM_OK;
	llm_tokens_init(&forbidden, r->scheduler->allocator);
	status = llm_written_forbidden(&c->written, &c->run, trie, bits, &forbidden, err);
	for (size_t i = 0; i < forbidden.n; i++)
		logits[forbidden.ids[i]] = -INFINITY;
	llm_tokens_free(&forbidden);
	return status;
}

LlmStatus
llm_constrain_logits(LlmRequest *r, float *logits, LlmError *err)
{
	const int32_t n_vocab = (int32_t) r->scheduler->model->hp.n_vocab;
	LlmMasker  *masker;
	const LlmTokenTrie *trie;
	const uint32_t *bits;
	float		think_logit = -INFINITY;
	bool		any;

	if (r->think.open)
	{
		/* a text cannot end while it has not begun */
		LLM_TRY(find_trie(r->scheduler, 0, &trie, err));
		for (int32_t i = 0; i < trie->n_ends; i++)
			logits[trie->ends[i]] = -INFINITY;
		return LLM_OK;
	}
	if (r->n_output == 0 && r->think.begin >= 0)
		think_logit = logits[r->think.begin];
	LLM_TRY(find_masker(r->scheduler, r->constraint->run.g, at_start(r), &masker, err));
	LLM_TRY(find_trie(r->scheduler, at_start(r), &trie, err));
	LLM_TRY(llm_masker_mask(masker, &r->constraint->run, &bits, &any, err));
	if (!any)
	{
		llm_fail(err, LLM_E_UNSUPPORTED, "the model's vocabulary has no token that the grammar allows here");
		llm_error_hint(err, "Use a model with a larger vocabulary.");
		return LLM_E_UNSUPPORTED;
	}
	for (int32_t id = 0; id < trie->n_vocab; id++)
	{
		if (!(bits[id >> 5] >> (id & 31) & 1))
			logits[id] = -INFINITY;
	}
	for (int32_t id = trie->n_vocab; id < n_vocab; id++)
		logits[id] = -INFINITY;
	LLM_TRY(forbid_written(r, trie, bits, logits, err));
	if (think_logit > -INFINITY)
		logits[r->think.begin] = think_logit;
	return LLM_OK;
}

/* ---- after a choice ---- */

/* as before the last advance() that went on */
static void
take_back(LlmConstraint *c)
{
	LlmWrittenKeys now = c->written;

	llm_run_undo(&c->run);
	if (!c->run.g->m.open_keys)
		return;
	c->written = c->before;
	c->before = now;
}

/* read bytes; *alive false, and nothing changed, if they lead nowhere or write a key again */
static LlmStatus
advance(LlmConstraint *c, const char *bytes, size_t n, bool *alive, LlmError *err)
{
	bool		again;

	LLM_TRY(llm_run_bytes(&c->run, bytes, n, alive, err));
	if (!*alive || !c->run.g->m.open_keys)
		return LLM_OK;
	LLM_TRY(llm_written_copy(&c->written, &c->before, err));
	LLM_TRY(llm_written_read(&c->written, bytes, n, &again, err));
	*alive = !again;
	if (again)
		take_back(c);
	return LLM_OK;
}

/* the bytes that must come next, tokenized; a token that may still grow is left to the model */
static LlmStatus
forced_tokens(LlmRequest *r, LlmTokens *put, LlmError *err)
{
	const LlmTokenizer *t = r->scheduler->model->tokenizer;
	LlmConstraint *c = r->constraint;
	LlmGrammarRun ahead;
	LlmTokens	tokens;
	LlmBuf		bytes;
	LlmBuf		one;
	LlmStatus	status;
	size_t		at = 0;
	bool		alive = true;

	llm_tokens_init(&tokens, r->scheduler->allocator);
	llm_buf_init(&bytes, r->scheduler->allocator);
	llm_buf_init(&one, r->scheduler->allocator);
	LLM_TRY(llm_run_copy(&c->run, &ahead, err));
	status = LLM_OK;
	for (int b; status == LLM_OK && bytes.len < MAX_FORCED && (b = llm_run_forced(&ahead)) >= 0;)
	{
		char		byte = (char) b;

		status = llm_run_bytes(&ahead, &byte, 1, &alive, err);
		if (status == LLM_OK)
			status = llm_buf_append(&bytes, &byte, 1, err);
	}
	if (status == LLM_OK && bytes.len > 1)
	{
		status = llm_tokenize(t, (LlmText) {bytes.data, NULL, bytes.len}, 0, NULL, &tokens, err);
		if (status == LLM_OK && tokens.n > 0 && !llm_run_complete(&ahead))
			tokens.n--;
	}
	for (size_t i = 0; status == LLM_OK && i < tokens.n; i++)
	{
		bool		fit;

		/* a tokenizer that adds a space at the beginning of every text has other tokens: those are left to the masks */
		one.len = 0;
		status = llm_detokenize_one(t, tokens.ids[i], false, false, &one, err);
		if (status != LLM_OK || one.len == 0 || one.len > bytes.len - at || memcmp(one.data, bytes.data + at, one.len) != 0)
			break;
		status = advance(c, one.data, one.len, &alive, err);
		if (status == LLM_OK && !alive)
			break;				/* cannot be: then there was no end */
		if (status == LLM_OK)
			status = still_fits(r, put->n + 1, &fit, err);
		if (status == LLM_OK && !fit)
		{
			/* the canonical tokens are more than the longest ones: take back this one, and let it be closed */
			take_back(c);
			break;
		}
		if (status == LLM_OK)
			status = llm_tokens_append(put, tokens.ids[i], err);
		at += one.len;
	}
	llm_run_free(&ahead);
	llm_tokens_free(&tokens);
	llm_buf_free(&bytes);
	llm_buf_free(&one);
	return status;
}

/* write the shortest end instead of a token for which there is no room */
static LlmStatus
close_now(LlmRequest *r, LlmTokens *put, bool *whole, LlmError *err)
{
	bool		found;

	*whole = true;
	LLM_TRY(closing_tokens(r, at_start(r) && put->n == 0, put, &found, err));
	return found ? LLM_OK : llm_fail(err, LLM_E_LIMIT, "an answer has no end");	/* cannot be: each token left one */
}

/* a token of the thinking part */
static LlmStatus
think(LlmRequest *r, int32_t token, LlmTokens *put, LlmError *err)
{
	size_t		needed;
	bool		room;

	/* one more token of thinking, and room for its end and the answer? */
	LLM_TRY(fits(r, false, 1 + llm_think_part_closing(&r->think), &room, &needed, err));
	return llm_think_part_token(&r->think, r->tokens + r->n_prompt, r->n_output, token, room, put, err);
}

LlmStatus
llm_constrain_token(LlmRequest *r, int32_t token, LlmTokens *put, bool *whole, LlmError *err)
{
	LlmConstraint *c = r->constraint;
	LlmBuf		bytes;
	LlmStatus	status;
	bool		alive = false;
	bool		fit = false;

	*whole = false;
	if (r->think.open)
		return think(r, token, put, err);
	llm_buf_init(&bytes, r->scheduler->allocator);
	status = llm_detokenize_one(r->scheduler->model->tokenizer, token, at_start(r), false, &bytes, err);
	if (status == LLM_OK)
		status = advance(c, bytes.data, bytes.len, &alive, err);
	llm_buf_free(&bytes);
	if (status == LLM_OK && alive)
		status = still_fits(r, 1, &fit, err);
	LLM_TRY(status);
	if (!fit)
	{
		if (alive)
			take_back(c);
		return close_now(r, put, whole, err);
	}
	LLM_TRY(llm_tokens_append(put, token, err));
	LLM_TRY(llm_run_settle(&c->run, err));
	LLM_TRY(forced_tokens(r, put, err));
	LLM_TRY(llm_run_settle(&c->run, err));
	*whole = llm_run_ended(&c->run);
	return LLM_OK;
}
