/*
 * hf_pretokenize.c: the steps of a pre-tokenizer. A part goes through all steps before the next part begins, so that
 * nothing but the part at hand is held at each step.
 */
#include "text/bert_chars.h"
#include "text/hf.h"

#include <string.h>
#include <utf8proc.h>

static LlmStatus run_stage(LlmHfRun *run, int stage, const char *s, size_t len, bool at_start, LlmError *err);

/* takes what a pattern cuts a part into, and joins neighbours as the behavior says */
typedef struct Cutter
{
	LlmHfRun   *run;
	int			stage;
	const char *s;
	bool		at_start;
	LlmHfBehavior behavior;
	bool		held;			/* a piece that waits for the next one */
	size_t		begin;
	size_t		end;
	bool		was_match;		/* the last one seen */
} Cutter;

static LlmStatus
give(Cutter *c, size_t begin, size_t end, LlmError *err)
{
	return end > begin ? run_stage(c->run, c->stage + 1, c->s + begin, end - begin, c->at_start && begin == 0, err) : LLM_OK;
}

static LlmStatus
take(Cutter *c, size_t begin, size_t end, bool is_match, LlmError *err)
{
	bool		join;

	LLM_TRY(llm_encoder_worked(c->run->e, 8 + (end - begin)));
	if (c->behavior == LLM_HF_ISOLATED)
		return give(c, begin, end, err);
	if (c->behavior == LLM_HF_REMOVED)
		return is_match ? LLM_OK : give(c, begin, end, err);
	if (c->behavior == LLM_HF_MERGED_WITH_NEXT)
		join = c->held && c->was_match && !is_match;
	else
		join = c->held && (c->behavior == LLM_HF_CONTIGUOUS ? is_match == c->was_match : is_match && !c->was_match);
	if (c->held && !join)
		LLM_TRY(give(c, c->begin, c->end, err));
	if (!join)
		c->begin = begin;
	c->end = end;
	c->held = true;
	c->was_match = is_match;
	return LLM_OK;
}

static LlmStatus
finish(Cutter *c, LlmError *err)
{
	return c->held ? give(c, c->begin, c->end, err) : LLM_OK;
}

static LlmStatus
cut_by_regex(Cutter *cut, const LlmRegex *regex, bool invert, size_t len, LlmError *err)
{
	LlmHfRun   *run = cut->run;
	LlmBuf	   *classes = &run->classes[cut->stage];
	const uint8_t *subject = (const uint8_t *) cut->s;
	size_t		n = 0;
	size_t		from = 0;		/* characters */
	size_t		last_end = SIZE_MAX;
	size_t		pos = 0;		/* what has been taken */
	size_t		pos_bytes = 0;

	while (n < len && subject[n] < 0x80)
		n++;
	if (n < len)
	{
		classes->len = 0;
		LLM_TRY(llm_buf_reserve(classes, len, err));
		n = llm_regex_classify(regex, subject, len, (uint8_t *) classes->data);
		subject = (const uint8_t *) classes->data;
	}
	while (from <= n)
	{
		bool		found;
		size_t		begin;
		size_t		end;
		size_t		begin_bytes;
		size_t		end_bytes;
		uint32_t	c;

		LLM_TRY(llm_regex_find(regex, run->match, subject, n, from, &found, &begin, &end, err));
		if (!found)
			break;
		if (begin == end && end == last_end)
		{
			from++;
			continue;
		}
		begin_bytes = pos_bytes + (n == len ? begin - pos : 0);
		for (size_t i = pos; n < len && i < begin; i++)
			begin_bytes += llm_hf_char(cut->s + begin_bytes, len - begin_bytes, &c);
		end_bytes = begin_bytes + (n == len ? end - begin : 0);
		for (size_t i = begin; n < len && i < end; i++)
			end_bytes += llm_hf_char(cut->s + end_bytes, len - end_bytes, &c);
		if (begin_bytes > pos_bytes)
			LLM_TRY(take(cut, pos_bytes, begin_bytes, invert, err));
		LLM_TRY(take(cut, begin_bytes, end_bytes, !invert, err));
		pos = from = last_end = end;
		pos_bytes = end_bytes;
	}
	return len > pos_bytes ? take(cut, pos_bytes, len, invert, err) : LLM_OK;
}

static LlmStatus
cut_by_literal(Cutter *cut, LlmStr literal, bool invert, size_t len, LlmError *err)
{
	size_t		pos = 0;

	while (pos < len)
	{
		const char *at = memmem(cut->s + pos, len - pos, literal.data, literal.len);
		size_t		begin = at ? (size_t) (at - cut->s) : len;

		if (begin > pos)
			LLM_TRY(take(cut, pos, begin, invert, err));
		if (at)
			LLM_TRY(take(cut, begin, begin + literal.len, !invert, err));
		pos = at ? begin + literal.len : len;
	}
	return LLM_OK;
}

static bool
is_punctuation(uint32_t c)
{
	return c != LLM_HF_BAD_CHAR && llm_bert_is_punctuation(c);
}

static LlmStatus
cut_by_char(Cutter *cut, bool (*test) (uint32_t c), size_t len, LlmError *err)
{
	size_t		begin = 0;		/* of what does not match */

	for (size_t i = 0; i < len;)
	{
		uint32_t	c;
		size_t		n = llm_hf_char(cut->s + i, len - i, &c);

		if (test(c))
		{
			if (i > begin)
				LLM_TRY(take(cut, begin, i, false, err));
			LLM_TRY(take(cut, i, i + n, true, err));
			begin = i + n;
		}
		i += n;
	}
	return len > begin ? take(cut, begin, len, false, err) : LLM_OK;
}

/* white space goes; then punctuation stands alone */
static LlmStatus
bert_words(Cutter *cut, size_t len, LlmError *err)
{
	size_t		begin = 0;

	for (size_t i = 0; i < len;)
	{
		uint32_t	c;
		size_t		n = llm_hf_char(cut->s + i, len - i, &c);
		bool		space = llm_hf_is_space(c);

		if (space || is_punctuation(c))
		{
			LLM_TRY(take(cut, begin, i, false, err));
			if (!space)
				LLM_TRY(take(cut, i, i + n, true, err));
			begin = i + n;
		}
		i += n;
	}
	return take(cut, begin, len, false, err);
}

/* runs of \w and of what is neither that nor white space */
static LlmStatus
whitespace_words(Cutter *cut, size_t len, LlmError *err)
{
	size_t		begin = 0;
	int			kind = 0;

	for (size_t i = 0; i < len;)
	{
		uint32_t	c;
		size_t		n = llm_hf_char(cut->s + i, len - i, &c);
		int			next = llm_hf_is_word(c) ? 1 : llm_hf_is_space(c) ? 0 : 2;

		if (next != kind)
		{
			if (kind)
				LLM_TRY(take(cut, begin, i, false, err));
			begin = i;
			kind = next;
		}
		i += n;
	}
	return kind ? take(cut, begin, len, false, err) : LLM_OK;
}

/* words of n characters */
static LlmStatus
fixed_length(Cutter *cut, size_t n, size_t len, LlmError *err)
{
	size_t		begin = 0;
	size_t		chars = 0;

	for (size_t i = 0; i < len;)
	{
		uint32_t	c;

		i += llm_hf_char(cut->s + i, len - i, &c);
		if (++chars < n && i < len)
			continue;
		LLM_TRY(take(cut, begin, i, false, err));
		begin = i;
		chars = 0;
	}
	return LLM_OK;
}

static LlmStatus
put_prefix(LlmBuf *out, LlmStr prefix, LlmError *err)
{
	LLM_TRY(llm_buf_reserve(out, prefix.len, err));
	memmove(out->data + prefix.len, out->data, out->len);
	memcpy(out->data, prefix.data, prefix.len);
	out->len += prefix.len;
	return LLM_OK;
}

/* spaces become marks, perhaps with one in front */
static LlmStatus
metaspace(LlmHfRun *run, int stage, const LlmHfStep *step, const char *s, size_t len, bool at_start, LlmError *err)
{
	LlmBuf	   *out = &run->stage[stage];
	bool		prefix = step->prepend == LLM_HF_PREPEND_ALWAYS || (step->prepend == LLM_HF_PREPEND_FIRST && at_start);
	Cutter		cut = {.run = run, .stage = stage, .at_start = at_start, .behavior = LLM_HF_MERGED_WITH_NEXT};

	out->len = 0;
	for (size_t pos = 0; pos < len;)
	{
		const char *space = memchr(s + pos, ' ', len - pos);
		size_t		end = space ? (size_t) (space - s) : len;

		LLM_TRY(llm_buf_append(out, s + pos, end - pos, err));
		if (space)
			LLM_TRY(llm_buf_append(out, step->text.data, step->text.len, err));
		pos = end + (space ? 1 : 0);
	}
	if (prefix && (out->len < step->text.len || memcmp(out->data, step->text.data, step->text.len) != 0))
		LLM_TRY(put_prefix(out, step->text, err));
	cut.s = out->data;
	if (!step->right)
		return give(&cut, 0, out->len, err);
	LLM_TRY(cut_by_literal(&cut, step->text, false, out->len, err));
	return finish(&cut, err);
}

/* a word as ByteLevel leaves it, in GPT-2's alphabet if there are more steps */
static LlmStatus
map_word(LlmHfRun *run, int stage, const char *s, size_t len, bool at_start, LlmError *err)
{
	LlmBuf	   *out = &run->classes[stage];

	out->len = 0;
	LLM_TRY(llm_buf_reserve(out, 2 * len, err));
	for (size_t i = 0; i < len; i++)
		out->len += (size_t) utf8proc_encode_char(run->hf->char_of[(uint8_t) s[i]], (utf8proc_uint8_t *) out->data + out->len);
	return run_stage(run, stage + 1, out->data, out->len, at_start, err);
}

/*
 * In the file one step; here two stages, of which the second (on the way from stage to stage + 1) maps each word. The last
 * step of a byte-level model maps nothing, as the model works on bytes.
 */
static LlmStatus
byte_level(LlmHfRun *run, int stage, const LlmHfStep *step, const char *s, size_t len, bool at_start, LlmError *err)
{
	Cutter		cut = {.run = run, .stage = stage, .s = s, .at_start = at_start, .behavior = LLM_HF_ISOLATED};

	if (step->left && s[0] != ' ')
	{
		LlmBuf	   *out = &run->stage[stage];

		out->len = 0;
		LLM_TRY(llm_buf_append(out, " ", 1, err));
		LLM_TRY(llm_buf_append(out, s, len++, err));
		cut.s = out->data;
	}
	return step->regex ? cut_by_regex(&cut, step->regex, false, len, err) : give(&cut, 0, len, err);
}

static LlmStatus
run_step(Cutter *cut, const LlmHfStep *step, size_t len, LlmError *err)
{
	switch (step->kind)
	{
		case LLM_HF_SPLIT:
			if (step->regex)
				return cut_by_regex(cut, step->regex, step->invert, len, err);
			return cut_by_literal(cut, step->literal, step->invert, len, err);
		case LLM_HF_DELIMITER:
			return cut_by_literal(cut, step->text, false, len, err);
		case LLM_HF_BERT_WORDS:
			cut->behavior = LLM_HF_ISOLATED;
			return bert_words(cut, len, err);
		case LLM_HF_WHITESPACE:
			cut->behavior = LLM_HF_ISOLATED;
			return whitespace_words(cut, len, err);
		case LLM_HF_WHITESPACE_SPLIT:
			cut->behavior = LLM_HF_REMOVED;
			return cut_by_char(cut, llm_hf_is_space, len, err);
		case LLM_HF_FIXED_LENGTH:
			cut->behavior = LLM_HF_ISOLATED;
			return fixed_length(cut, step->start, len, err);
		case LLM_HF_DIGITS:
			return cut_by_char(cut, llm_hf_is_numeric, len, err);
		default:
			return cut_by_char(cut, is_punctuation, len, err);
	}
}

/* stages come in pairs: step k is stage 2k; stage 2k + 1 maps what ByteLevel cut, and is nothing for others */
static LlmStatus
run_stage(LlmHfRun *run, int stage, const char *s, size_t len, bool at_start, LlmError *err)
{
	const LlmHfSteps *steps = &run->hf->pre_tokenizer;
	const LlmHfStep *step = &steps->step[stage / 2 < steps->n ? stage / 2 : 0];
	Cutter		cut = {.run = run, .stage = stage, .s = s, .at_start = at_start, .behavior = step->behavior};

	if (stage / 2 >= steps->n)
		return llm_hf_encode_word(run, s, len, err);
	if (stage % 2 == 1)
		return step->kind == LLM_HF_BYTE_LEVEL && (run->hf->mapped || !run->hf->byte_level)
			? map_word(run, stage, s, len, at_start, err) : run_stage(run, stage + 1, s, len, at_start, err);
	if (step->kind == LLM_HF_METASPACE)
		return metaspace(run, stage, step, s, len, at_start, err);
	if (step->kind == LLM_HF_BYTE_LEVEL)
		return byte_level(run, stage, step, s, len, at_start, err);
	LLM_TRY(run_step(&cut, step, len, err));
	return finish(&cut, err);
}

LlmStatus
llm_hf_pre_tokenize(LlmHfRun *run, const char *s, size_t len, bool at_start, LlmError *err)
{
	return len > 0 ? run_stage(run, 0, s, len, at_start, err) : LLM_OK;
}
