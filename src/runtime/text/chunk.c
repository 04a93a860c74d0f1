/*
 * chunk.c: cutting a text into pieces by tokens.
 *
 * Only tokenizing a piece tells how many tokens it has: tokens cross every cut, and a tokenizer may look far around. So the
 * longest piece that fits is searched for, from a guess by the piece before; then its end moves back, by half of it at most,
 * to the best place in it: the end of a paragraph, a line, a sentence, a word, after white space if that fits too. An
 * overlap is the longest end of a piece that fits, begun at a word. Every piece ends behind the one before, so the work ends.
 */
#include "text/chunk.h"

#include "text/utf8.h"

#include <string.h>

#define BYTES_PER_TOKEN 4		/* first guess */

/* what a text may be cut after, better ones first */
typedef enum Break
{
	BREAK_PARAGRAPH,
	BREAK_LINE,
	BREAK_SENTENCE,
	BREAK_WORD,
	N_BREAKS
} Break;

void
llm_chunker_init(LlmChunker *c, const LlmTokenizer *tokenizer, LlmStr text, size_t max_tokens, size_t overlap,
				 const LlmAllocator *a)
{
	*c = (LlmChunker) {.tokenizer = tokenizer, .text = text, .max_tokens = max_tokens, .overlap = overlap};
	if (__builtin_mul_overflow(max_tokens, (size_t) BYTES_PER_TOKEN, &c->guess_bytes))
		c->guess_bytes = SIZE_MAX;
	llm_tokens_init(&c->ids, a);
}

void
llm_chunker_free(LlmChunker *c)
{
	llm_tokens_free(&c->ids);
}

/* ---- places in a text ---- */

static bool
inside_character(LlmStr s, size_t at)
{
	size_t		start = at;
	uint32_t	code_point;

	/* a byte that continues nothing is a character of its own, as the tokenizer takes it */
	while (start > 0 && at - start < 3 && ((uint8_t) s.data[start] & 0xC0) == 0x80)
		start--;
	return start < at &&
		(size_t) llm_utf8_char((const uint8_t *) s.data + start, s.len - start, &code_point) > at - start;
}

/* at, or the start of the character that it is in */
static size_t
character_before(LlmStr s, size_t at)
{
	while (at > 0 && at < s.len && inside_character(s, at))
		at--;
	return at;
}

/* at, or the end of the character that it is in */
static size_t
character_after(LlmStr s, size_t at)
{
	while (at < s.len && inside_character(s, at))
		at++;
	return at;
}

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* full stops that need no space after them, in UTF-8: ideographic, fullwidth and halfwidth */
static bool
ends_with_wide_stop(LlmStr s, size_t at)
{
	static const char *const stops[] = {"\xE3\x80\x82", "\xEF\xBC\x81", "\xEF\xBC\x9F", "\xEF\xBD\xA1"};

	for (size_t i = 0; at >= 3 && i < sizeof stops / sizeof *stops; i++)
		if (memcmp(s.data + at - 3, stops[i], 3) == 0)
			return true;
	return false;
}

/* a word begins there, after white space; 0 < at < s.len */
static bool
starts_word(LlmStr s, size_t at)
{
	return is_space(s.data[at - 1]) && !is_space(s.data[at]);
}

static bool
ends_sentence(LlmStr s, size_t end)
{
	while (end > 0 && (s.data[end - 1] == '"' || s.data[end - 1] == '\'' || s.data[end - 1] == ')'))
		end--;
	return end > 0 && (s.data[end - 1] == '.' || s.data[end - 1] == '!' || s.data[end - 1] == '?' || ends_with_wide_stop(s, end));
}

/* whether text may be cut at that place, after white space or before it, for that reason; 0 < at < s.len */
static bool
is_break(LlmStr s, size_t at, Break kind)
{
	size_t		start = at;		/* of the white space */
	size_t		end = at;
	int			n_lines = 0;

	if (kind == BREAK_SENTENCE && ends_with_wide_stop(s, at) && !is_space(s.data[at]))
		return true;
	if (is_space(s.data[at - 1]) == is_space(s.data[at]))
		return false;
	while (start > 0 && is_space(s.data[start - 1]))
		start--;
	while (end < s.len && is_space(s.data[end]))
		end++;
	for (size_t i = start; i < end; i++)
		n_lines += s.data[i] == '\n';
	switch (kind)
	{
		case BREAK_PARAGRAPH:
			return n_lines >= 2;
		case BREAK_LINE:
			return n_lines == 1;
		case BREAK_SENTENCE:
			return ends_sentence(s, start);
		default:
			return true;
	}
}

/* the best place after low up to high < s.len, the last of equals; high if there is none */
static size_t
best_break(LlmStr s, size_t low, size_t high)
{
	for (Break kind = 0; kind < N_BREAKS; kind++)
		for (size_t at = high; at > low; at--)
			if (is_break(s, at, kind))
				return at;
	return high;
}

/* ---- sizes ---- */

static LlmStatus
count(LlmChunker *c, size_t start, size_t stop, const LlmStop *should_stop, size_t *n, LlmError *err)
{
	LlmText		part = {.bytes = c->text.data + start, .from_data = NULL, .len = stop - start};

	c->ids.n = 0;
	LLM_TRY(llm_tokenize(c->tokenizer, part, 0, should_stop, &c->ids, err));
	*n = c->ids.n;
	return LLM_OK;
}

/* a search for the longest part: bytes of one that fits, of one that does not, and their tokens */
typedef struct Search
{
	size_t		span;			/* bytes there are */
	size_t		max;			/* tokens that fit */
	size_t		fits;
	size_t		n_fits;
	size_t		too_long;		/* above span: none found yet */
	size_t		n_too_long;
	int			round;
} Search;

/* bytes to try next: by the ratio of tokens to bytes first, then in the middle */
static size_t
next_try(const Search *s)
{
	size_t		gap = s->too_long - s->fits;
	size_t		step = gap / 2;

	if (s->too_long > s->span)
	{
		double		ratio = s->n_fits == 0 ? 2 : 1.05 * (double) s->max / (double) s->n_fits;

		step = (size_t) ((double) s->fits * (ratio > 2 ? 1 : ratio - 1)) + 1;
		return step < s->span - s->fits ? s->fits + step : s->span;
	}
	if (s->round <= 4 && s->n_too_long > s->max && s->max >= s->n_fits)
		step = (size_t) ((double) gap * (double) (s->max - s->n_fits) / (double) (s->n_too_long - s->n_fits));
	if (step > gap - 1)
		step = gap - 1;
	return s->fits + (step > 1 ? step : 1);
}

/*
 * The longest part that has at most max tokens and begins (forward) or ends (backward) at anchor: its other end, a
 * character boundary on the way to limit; anchor if not even one character fits. guess: bytes to try first.
 */
static LlmStatus
longest_part(LlmChunker *c, size_t anchor, size_t limit, size_t max, size_t guess, const LlmStop *should_stop, size_t *out,
			 LlmError *err)
{
	bool		forward = limit > anchor;
	size_t		span = forward ? limit - anchor : anchor - limit;
	Search		s = {.span = span, .max = max, .too_long = span + 1};
	size_t		try = guess < 1 ? 1 : guess > span ? span : guess;

	while (s.too_long - s.fits > 1)
	{
		size_t		at = forward ? character_after(c->text, anchor + try) : character_before(c->text, anchor - try);
		size_t		n_bytes = forward ? at - anchor : anchor - at;
		size_t		n = SIZE_MAX;

		/* where the next boundary is known to be too long, nothing from here on fits */
		if (n_bytes < s.too_long)
			LLM_TRY(count(c, forward ? anchor : at, forward ? at : anchor, should_stop, &n, err));
		if (n <= max)
		{
			s.fits = n_bytes;
			s.n_fits = n;
		}
		else
		{
			s.too_long = try;
			s.n_too_long = n == SIZE_MAX ? s.n_too_long : n;
		}
		s.round++;
		if (s.too_long - s.fits > 1)
			try = next_try(&s);
	}
	*out = forward ? anchor + s.fits : anchor - s.fits;
	return LLM_OK;
}

/* end of the piece that begins at start; the last one ended at last_stop */
static LlmStatus
piece_end(LlmChunker *c, size_t start, size_t last_stop, const LlmStop *should_stop, size_t *out, LlmError *err)
{
	size_t		longest;
	size_t		low;
	size_t		best;
	size_t		n;

	LLM_TRY(longest_part(c, start, c->text.len, c->max_tokens, c->guess_bytes, should_stop, &longest, err));
	if (longest == start)
		longest = character_after(c->text, start + 1);
	*out = longest;
	low = start + (longest - start) / 2;
	if (low < last_stop)
		low = last_stop;
	if (longest == c->text.len || longest <= low)
		return LLM_OK;
	best = best_break(c->text, low, longest);
	if (best == longest)
		return LLM_OK;
	/* a shorter text has hardly ever more tokens, but it can */
	LLM_TRY(count(c, start, best, should_stop, &n, err));
	if (n <= c->max_tokens)
		*out = best;
	return LLM_OK;
}

/* where the piece after start..stop begins: with what fits of the overlap, from the first word that begins in it */
static LlmStatus
overlap_start(LlmChunker *c, size_t start, size_t stop, const LlmStop *should_stop, size_t *out, LlmError *err)
{
	size_t		guess;

	*out = stop;
	if (c->overlap == 0 || stop - start < 2)
		return LLM_OK;
	guess = (size_t) ((double) (stop - start) * (double) c->overlap / (double) c->max_tokens);
	LLM_TRY(longest_part(c, stop, start + 1, c->overlap, guess, should_stop, out, err));
	for (size_t at = *out; at > 0 && at < stop; at++)
		if (starts_word(c->text, at))
		{
			*out = at;
			break;
		}
	return LLM_OK;
}

LlmStatus
llm_chunker_next(LlmChunker *c, const LlmStop *should_stop, bool *more, LlmError *err)
{
	size_t		start = 0;
	size_t		stop;

	*more = c->stop < c->text.len;
	if (!*more)
		return LLM_OK;
	if (c->stop > 0)
		LLM_TRY(overlap_start(c, c->start, c->stop, should_stop, &start, err));
	LLM_TRY(piece_end(c, start, c->stop, should_stop, &stop, err));
	if (stop <= c->stop)
	{
		/* the overlap leaves no room for anything new */
		start = c->stop;
		LLM_TRY(piece_end(c, start, c->stop, should_stop, &stop, err));
	}
	c->start = start;
	c->stop = stop;
	c->guess_bytes = stop - start;
	return LLM_OK;
}
