/*
 * prompt_fit.c: cutting a row's text until its prompt fits the context, by pg_llm.truncate.
 *
 * Only the row's text is cut, never the template or an instruction, and only at character boundaries: 'tail' takes away
 * its end, 'middle' takes away its middle and puts a line "[...]" there. How many tokens a cut leaves is known only by
 * building the prompt (templates trim, tokens cross the cut), so the longest text that fits is searched for: first where
 * the ratio of tokens to bytes points, then by halving.
 */
#include "llm_call.h"

static const char cut_mark[] = "\n[...]\n";

/* n back to the start of a UTF-8 character */
static size_t
boundary_before(LlmStr s, size_t n)
{
	for (int i = 0; i < 3 && n > 0 && n < s.len && ((unsigned char) s.data[n] & 0xC0) == 0x80; i++)
		n--;
	return n;
}

/* n on to the start of a UTF-8 character */
static size_t
boundary_after(LlmStr s, size_t n)
{
	for (int i = 0; i < 3 && n < s.len && ((unsigned char) s.data[n] & 0xC0) == 0x80; i++)
		n++;
	return n;
}

/* about n bytes of s, never more, by the way of cutting; buf (s.len + sizeof cut_mark) is where they are put together */
static LlmStr
cut_text(LlmStr s, size_t n, PgLlmTruncate truncate, char *buf)
{
	size_t		head;
	size_t		tail;

	if (truncate == PGLLM_TRUNCATE_TAIL)
		return (LlmStr) {.data = s.data, .len = boundary_before(s, n)};
	head = boundary_before(s, n - n / 2);
	tail = s.len - boundary_after(s, s.len - n / 2);
	memcpy(buf, s.data, head);
	memcpy(buf + head, cut_mark, sizeof cut_mark - 1);
	memcpy(buf + head + sizeof cut_mark - 1, s.data + s.len - tail, tail);
	return (LlmStr) {.data = buf, .len = head + sizeof cut_mark - 1 + tail};
}

/* where to try next between lo (fits, n_lo tokens) and hi (does not, n_hi tokens): by ratio first, then in the middle */
static size_t
next_try(size_t lo, size_t n_lo, size_t hi, size_t n_hi, size_t n_cut, int round)
{
	size_t		span = hi - lo;
	size_t		step = span / 2;

	if (round < 4 && n_hi > n_cut && n_cut >= n_lo)
		step = (size_t) ((double) span * (double) (n_cut - n_lo) / (double) (n_hi - n_lo));
	return lo + Min(Max(step, 1), span - 1);
}

bool
pgllm_fit_prompt(const PgLlmFit *fit, LlmStr data, bool *truncated, LlmError *err)
{
	size_t		n_tokens = fit->build(fit->source, data);
	size_t		lo = 0;
	size_t		hi = data.len;
	size_t		n_lo;
	size_t		n_hi = n_tokens;
	char	   *buf;

	*truncated = false;
	if (n_tokens <= fit->n_max)
		return true;
	if (fit->truncate == PGLLM_TRUNCATE_ERROR)
	{
		llm_fail(err, LLM_E_LIMIT, "prompt has %zu tokens, but model \"%s\" has room for %zu",
				 n_tokens, fit->model_name, fit->n_max);
		llm_error_hint(err, "Shorten the text, set pg_llm.truncate to \"tail\" or \"middle\", or give the model a larger context.");
		return false;
	}
	buf = palloc_extended(data.len + sizeof cut_mark, MCXT_ALLOC_HUGE);
	n_lo = fit->build(fit->source, cut_text(data, 0, fit->truncate, buf));
	if (n_lo > fit->n_cut)
	{
		llm_fail(err, LLM_E_LIMIT, "prompt has %zu tokens without the row's text, but model \"%s\" has room for %zu",
				 n_lo, fit->model_name, fit->n_cut);
		llm_error_hint(err, "Shorten the instruction or the examples, or give the model a larger context.");
		pfree(buf);
		return false;
	}
	for (int round = 0; hi - lo > 1; round++)
	{
		size_t		try = next_try(lo, n_lo, hi, n_hi, fit->n_cut, round);

		n_tokens = fit->build(fit->source, cut_text(data, try, fit->truncate, buf));
		if (n_tokens <= fit->n_cut)
		{
			lo = try;
			n_lo = n_tokens;
		}
		else
		{
			hi = try;
			n_hi = n_tokens;
		}
	}
	fit->build(fit->source, cut_text(data, lo, fit->truncate, buf));
	pfree(buf);
	*truncated = true;
	return true;
}
