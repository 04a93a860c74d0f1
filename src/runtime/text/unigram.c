/*
 * unigram.c: SentencePiece unigram. Of all ways to cut a text into tokens the one with the highest sum of scores is taken
 * (Viterbi); a character that no token covers counts as unknown, with a score below all others.
 *
 * The text is normalized first: parts are replaced by the model's character map (char_map.h), runs of white space become one
 * space and go at both ends, and a space is put in front, as the metadata says. Here tokens and text have real spaces.
 * Source: Kudo 2018, arXiv 1804.10959; sentencepiece, src/unigram_model.cc and src/normalizer.cc.
 */
#include "text/tokenizer_impl.h"
#include "text/utf8.h"

#include <math.h>
#include <string.h>

#define SPACE_MARK "\xE2\x96\x81"	/* U+2581 */
#define UNKNOWN_PENALTY 10.0f
#define MAX_TOKEN_BYTES 512		/* bounds the time at one place */

static LlmStatus
load_scores(LlmTokenizer *t, const LlmMeta *meta, LlmError *err)
{
	const LlmMetaEntry *entry = llm_meta_find(meta, "tokenizer.ggml.scores");
	void	   *scores;
	float		lowest = INFINITY;

	if (!entry || entry->type != LLM_META_ARRAY || entry->array.type == LLM_META_STRING || entry->array.type == LLM_META_BOOL)
		return llm_fail(err, LLM_E_FORMAT, "tokenizer.ggml.scores is not an array of numbers");
	if (entry->array.count < (uint64_t) t->n_vocab)
		return llm_fail(err, LLM_E_FORMAT, "tokenizer.ggml.scores has %llu elements for %d tokens",
						(unsigned long long) entry->array.count, (int) t->n_vocab);
	LLM_TRY(llm_alloc(t->allocator, (size_t) t->n_vocab, sizeof(float), &scores, err));
	t->token_score = scores;
	for (int32_t id = 0; id < t->n_vocab; id++)
	{
		double		score = llm_meta_array_float(&entry->array, (uint64_t) id);

		if (!isfinite((float) score))
			return llm_fail(err, LLM_E_FORMAT, "score of token %d in tokenizer.ggml.scores is not a finite number", (int) id);
		t->token_score[id] = (float) score;
		if (t->info[id].type == LLM_TOKEN_NORMAL && (float) score < lowest)
			lowest = (float) score;
	}
	t->unknown_score = (isfinite(lowest) ? lowest : 0) - UNKNOWN_PENALTY;
	return LLM_OK;
}

/* append text with marks as spaces */
static LlmStatus
append_unmarked(LlmBuf *out, LlmStr s, LlmError *err)
{
	size_t		i = 0;

	LLM_TRY(llm_buf_reserve(out, s.len, err));
	while (i < s.len)
	{
		bool		mark = s.len - i >= 3 && memcmp(s.data + i, SPACE_MARK, 3) == 0;

		out->data[out->len++] = mark ? ' ' : s.data[i];
		i += mark ? 3 : 1;
	}
	return LLM_OK;
}

static LlmStatus
load_token(LlmTokenizer *t, int32_t id, LlmBuf *text, LlmError *err)
{
	LlmStr		s = llm_token_string(t, id);
	LlmTokenType type = t->info[id].type;
	int			value = type == LLM_TOKEN_BYTE ? llm_byte_token_value(s) : -1;
	int32_t		same;

	if (value >= 0)
	{
		char		byte = (char) value;

		if (t->byte_token[value] < 0)
			t->byte_token[value] = id;
		return llm_vocab_add(&t->vocab, &byte, 1, err);
	}
	if ((type != LLM_TOKEN_NORMAL && type != LLM_TOKEN_UNUSED) || s.len > MAX_TOKEN_BYTES)
		return llm_vocab_add(&t->vocab, s.data, s.len, err);
	text->len = 0;
	LLM_TRY(append_unmarked(text, s, err));
	LLM_TRY(llm_vocab_add(&t->vocab, text->data, text->len, err));
	if (text->len == 0 || type == LLM_TOKEN_UNUSED)
		return LLM_OK;
	LLM_TRY(llm_vocab_index_last(&t->vocab, id, &same, err));	/* of equal tokens the last is made */
	if (text->len > t->max_token_bytes)
		t->max_token_bytes = text->len;
	return LLM_OK;
}

LlmStatus
llm_unigram_load(LlmTokenizer *t, const LlmMeta *meta, LlmError *err)
{
	LlmBuf		text;
	LlmStatus	status = LLM_OK;

	t->merge_spaces = true;
	LLM_TRY(llm_meta_bool(meta, "tokenizer.ggml.remove_extra_whitespaces", false, &t->merge_spaces, err));
	LLM_TRY(llm_char_map_load(meta, &t->char_map, err));
	LLM_TRY(load_scores(t, meta, err));
	LLM_TRY(llm_vocab_init(&t->vocab, (size_t) t->n_vocab, t->seed, t->allocator, err));
	for (int b = 0; b < 256; b++)
		t->byte_token[b] = -1;
	llm_buf_init(&text, t->allocator);
	for (int32_t id = 0; id < t->n_vocab && status == LLM_OK; id++)
		status = load_token(t, id, &text, err);
	llm_buf_free(&text);
	return status;
}

/*
 * Append a normalized part. Where spaces are merged, a part loses those at its beginning if there is one before it, or
 * nothing; a mark in the text is no space yet for that.
 */
static LlmStatus
append_normal(const LlmTokenizer *t, LlmBuf *out, LlmStr part, bool *after_space, LlmError *err)
{
	while (*after_space && part.len > 0 && part.data[0] == ' ')
	{
		part.data++;
		part.len--;
	}
	if (part.len > 0)
		*after_space = t->merge_spaces && part.data[part.len - 1] == ' ';
	return append_unmarked(out, part, err);
}

static LlmStatus
normalize(LlmEncoder *e, const char *bytes, size_t len, bool space_prefix, LlmBuf *out, LlmError *err)
{
	const LlmTokenizer *t = e->t;
	const uint8_t *s = (const uint8_t *) bytes;
	bool		after_space = t->merge_spaces;

	for (size_t i = 0; i < len;)
	{
		LlmStr		part = {"\xEF\xBF\xBD", 3};
		size_t		n = llm_char_map_find(&t->char_map, s + i, len - i, &part);

		if (n == 0)
		{
			uint32_t	c;
			int			step = llm_utf8_char(s + i, len - i, &c);

			n = step ? (size_t) step : 1;
			if (step)
				part = (LlmStr) {bytes + i, n};
		}
		LLM_TRY(append_normal(t, out, part, &after_space, err));
		LLM_TRY(llm_encoder_worked(e, n));
		i += n;
	}
	while (t->merge_spaces && out->len > 0 && out->data[out->len - 1] == ' ')
		out->len--;
	if (!space_prefix || (t->merge_spaces && out->len == 0))
		return LLM_OK;
	LLM_TRY(llm_buf_reserve(out, 1, err));
	memmove(out->data + 1, out->data, out->len++);
	out->data[0] = ' ';
	return LLM_OK;
}

/* the best way to reach an offset of the text */
typedef struct Step
{
	float		score;			/* sum of the scores */
	int32_t		token;			/* the last one, -1: unknown */
	int32_t		len;			/* of the last token in bytes; 0: not reached */
} Step;

static void
offer(Step *to, float score, int32_t token, size_t len)
{
	if (to->len == 0 || score > to->score)
		*to = (Step) {score, token, (int32_t) len};
}

/* steps (len + 1), cleared: fill them */
static LlmStatus
find_best(LlmEncoder *e, const char *text, size_t len, Step *steps)
{
	const LlmTokenizer *t = e->t;
	size_t		char_len;

	for (size_t i = 0; i < len; i += char_len)
	{
		size_t		max = len - i < t->max_token_bytes ? len - i : t->max_token_bytes;
		bool		covered = false;

		/* replacements come from the file and may be ill-formed */
		char_len = (size_t) llm_utf8_lead_length((uint8_t) text[i]);
		if (char_len > len - i)
			char_len = len - i;
		for (size_t n = char_len; n <= max; n += n < max ? (size_t) llm_utf8_lead_length((uint8_t) text[i + n]) : 1)
		{
			int32_t		id = llm_vocab_find(&t->vocab, text + i, n);

			if (id < 0)
				continue;
			offer(&steps[i + n], steps[i].score + t->token_score[id], id, n);
			covered = covered || n == char_len;
		}
		if (!covered)
			offer(&steps[i + char_len], steps[i].score + t->unknown_score, -1, char_len);
		LLM_TRY(llm_encoder_worked(e, max + 1));
	}
	return LLM_OK;
}

/* a token, or for an unknown character the tokens of its bytes, or one unknown token for a run of them */
static LlmStatus
append_step(LlmEncoder *e, const char *s, const Step *step, bool *after_unknown, LlmError *err)
{
	const LlmTokenizer *t = e->t;
	bool		repeated = *after_unknown;
	bool		have_bytes = true;

	*after_unknown = false;
	if (step->token >= 0)
		return llm_tokens_append(e->out, step->token, err);
	for (int32_t i = 0; i < step->len; i++)
		have_bytes = have_bytes && t->byte_token[(uint8_t) s[i]] >= 0;
	for (int32_t i = 0; have_bytes && i < step->len; i++)
		LLM_TRY(llm_tokens_append(e->out, t->byte_token[(uint8_t) s[i]], err));
	if (have_bytes)
		return LLM_OK;
	*after_unknown = true;
	return repeated || t->unknown < 0 ? LLM_OK : llm_tokens_append(e->out, t->unknown, err);
}

static LlmStatus
encode_normal(LlmEncoder *e, const char *text, size_t len, LlmError *err)
{
	void	   *memory;
	Step	   *steps;
	bool		after_unknown = false;
	LlmStatus	status;

	LLM_TRY(llm_alloc_zero(e->t->allocator, len + 1, sizeof(Step), &memory, err));
	steps = memory;
	status = find_best(e, text, len, steps);
	/* turn the chain of last tokens around: a step then holds the one that begins there */
	for (size_t i = len, n = 0; status == LLM_OK && i > 0;)
	{
		Step		last = steps[i];

		i -= (size_t) last.len;
		steps[i + (size_t) last.len].len = (int32_t) n;
		n = (size_t) last.len;
		if (i == 0)
			steps[0].len = (int32_t) n;
	}
	for (size_t i = 0; status == LLM_OK && i < len;)
	{
		size_t		next = i + (size_t) steps[i].len;
		Step		step = {0, steps[next].token, steps[i].len};

		status = append_step(e, text + i, &step, &after_unknown, err);
		i = next;
	}
	llm_free(e->t->allocator, memory);
	return status;
}

LlmStatus
llm_unigram_encode(LlmEncoder *e, const char *bytes, size_t len, bool space_prefix, LlmError *err)
{
	LlmBuf		text;
	LlmStatus	status;

	llm_buf_init(&text, e->t->allocator);
	status = normalize(e, bytes, len, space_prefix, &text, err);
	if (status == LLM_OK && text.len > 0)
		status = encode_normal(e, text.data, text.len, err);
	llm_buf_free(&text);
	return status;
}
