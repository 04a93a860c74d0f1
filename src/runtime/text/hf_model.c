/*
 * hf_model.c: the models of tokenizer.json, from a word to its tokens: BPE, WordPiece, unigram, and whole words.
 *
 * Control tokens are no words here: data must not make them.
 */
#include "text/hf.h"

#include <stdio.h>
#include <string.h>

#define CUT_BYTES 64			/* shorter words are merged as a whole */
#define MARK 0x2581

static int32_t
find_word(const LlmHfRun *run, const char *s, size_t len)
{
	int32_t		id = len <= run->hf->max_token_bytes ? llm_vocab_find(&run->hf->words, s, len) : -1;

	return id >= 0 && run->e->t->info[id].type == LLM_TOKEN_CONTROL ? -1 : id;
}

static LlmStatus
put_symbol(LlmHfRun *run, int32_t id, LlmError *err)
{
	return llm_buf_append(&run->symbols, &id, sizeof(id), err);
}

/* merge the symbols gathered, and append what they become */
static LlmStatus
merge_symbols(LlmHfRun *run, LlmError *err)
{
	LlmEncoder *e = run->e;
	int32_t    *symbols = (int32_t *) run->symbols.data;
	size_t		n = run->symbols.len / sizeof(int32_t);

	if (n <= LLM_BPE_SHORT_WORD)
	{
		n = llm_bpe_merge_short(e->t, symbols, n);
		for (size_t i = 0; i < n; i++)
			LLM_TRY(llm_tokens_append(e->out, symbols[i], err));
		run->symbols.len = 0;
		return LLM_OK;
	}
	LLM_TRY(llm_merge_begin(&e->merge, n, err));
	for (size_t i = 0; i < n; i++)
		llm_merge_append(&e->merge, (uint32_t) i, 1, symbols[i]);
	LLM_TRY(llm_merge_run(&e->merge, llm_bpe_find_merge, e->t, e->stop, err));
	for (int32_t i = 0; i >= 0; i = e->merge.nodes[i].next)
		LLM_TRY(llm_tokens_append(e->out, e->merge.nodes[i].symbol, err));
	run->symbols.len = 0;
	return LLM_OK;
}

/* the tokens of the bytes of a character, if all exist */
static LlmStatus
put_bytes(LlmHfRun *run, const char *s, size_t len, bool *done, LlmError *err)
{
	const LlmTokenizer *t = run->e->t;

	*done = run->hf->byte_fallback;
	for (size_t i = 0; i < len; i++)
		*done = *done && t->byte_token[(uint8_t) s[i]] >= 0;
	for (size_t i = 0; *done && i < len; i++)
		LLM_TRY(put_symbol(run, t->byte_token[(uint8_t) s[i]], err));
	return LLM_OK;
}

/*
 * The symbols of a word's characters, or bytes. Unknown ones become one unknown token, which waits for the next known
 * character (*unknown), as the library does it.
 */
static LlmStatus
put_unit(LlmHfRun *run, const char *s, size_t len, bool *unknown, LlmError *err)
{
	const LlmHf *hf = run->hf;
	int32_t		id = len == 1 && (uint8_t) s[0] < 128 ? hf->char_token[(uint8_t) s[0]] : find_word(run, s, len);
	bool		done = false;

	if (id >= 0)
	{
		if (*unknown)
			LLM_TRY(put_symbol(run, hf->unk, err));
		*unknown = false;
		return put_symbol(run, id, err);
	}
	LLM_TRY(put_bytes(run, s, len, &done, err));
	if (done || hf->unk < 0)
		return LLM_OK;
	if (*unknown && !hf->fuse_unk)
		LLM_TRY(put_symbol(run, hf->unk, err));
	*unknown = true;
	return LLM_OK;
}

/* the same for a character of a model whose tokens show where in a word they stand */
static LlmStatus
put_affixed(LlmHfRun *run, const char *s, size_t len, bool first, bool last, bool *unknown, LlmError *err)
{
	const LlmHf *hf = run->hf;

	run->unit.len = 0;
	if (!first)
		LLM_TRY(llm_buf_append(&run->unit, hf->prefix.data, hf->prefix.len, err));
	LLM_TRY(llm_buf_append(&run->unit, s, len, err));
	if (last)
		LLM_TRY(llm_buf_append(&run->unit, hf->suffix.data, hf->suffix.len, err));
	return put_unit(run, run->unit.data, run->unit.len, unknown, err);
}

static LlmStatus
encode_bpe(LlmHfRun *run, const char *s, size_t len, LlmError *err)
{
	const LlmHf *hf = run->hf;
	bool		unknown = false;
	bool		affixed = hf->prefix.len + hf->suffix.len > 0;
	bool		cut = !hf->byte_level && !affixed && hf->cut_at_marks && len > CUT_BYTES;
	uint32_t	before = MARK;
	int32_t		whole = hf->ignore_merges ? find_word(run, s, len) : -1;

	if (whole >= 0)
		return llm_tokens_append(run->e->out, whole, err);
	run->symbols.len = 0;
	for (size_t i = 0; i < len;)
	{
		uint32_t	c;
		size_t		n = hf->byte_level ? 1 : llm_hf_char(s + i, len - i, &c);

		if (cut)
		{
			if (c == MARK && before != MARK && !unknown)
				LLM_TRY(merge_symbols(run, err));
			before = c;
		}
		if (affixed)
			LLM_TRY(put_affixed(run, s + i, n, i == 0, i + n == len, &unknown, err));
		else
			LLM_TRY(put_unit(run, s + i, n, &unknown, err));
		LLM_TRY(llm_encoder_worked(run->e, n));
		i += n;
	}
	if (unknown)
		LLM_TRY(put_symbol(run, hf->unk, err));
	return run->symbols.len ? merge_symbols(run, err) : LLM_OK;
}

/* a word in GPT-2's alphabet as bytes; other characters stay and are unknown */
static LlmStatus
encode_mapped(LlmHfRun *run, const char *s, size_t len, LlmError *err)
{
	size_t		n = 0;

	run->word.len = 0;
	LLM_TRY(llm_buf_reserve(&run->word, len, err));
	for (size_t i = 0; i < len;)
	{
		uint32_t	c;
		size_t		step = llm_hf_char(s + i, len - i, &c);

		if (c < LLM_BPE_ALPHABET_END && run->hf->byte_of[c] >= 0)
			run->word.data[n++] = (char) run->hf->byte_of[c];
		i += step;
	}
	return n ? encode_bpe(run, run->word.data, n, err) : LLM_OK;
}

static LlmStatus
put_unknown(LlmHfRun *run, LlmError *err)
{
	if (run->hf->unk < 0)
	{
		llm_fail(err, LLM_E_FORMAT, "the text has a word that is not in the vocabulary, and tokenizer.json has no unknown token");
		llm_error_hint(err, "The file should name a token of its vocabulary as unk_token.");
		return LLM_E_FORMAT;
	}
	return llm_tokens_append(run->e->out, run->hf->unk, err);
}

static size_t
count_chars(const char *s, size_t len, uint64_t max)
{
	size_t		n = 0;
	uint32_t	c;

	for (size_t i = 0; i < len && n <= max; n++)
		i += llm_hf_char(s + i, len - i, &c);
	return n;
}

/* the word with room for the prefix before each of its parts */
static LlmStatus
encode_wordpiece(LlmHfRun *run, const char *s, size_t len, LlmError *err)
{
	const LlmHf *hf = run->hf;
	LlmTokens  *out = run->e->out;
	size_t		n_before = out->n;
	size_t		room = hf->prefix.len;
	size_t		pos = 0;

	if (count_chars(s, len, hf->max_word_chars) > hf->max_word_chars)
		return put_unknown(run, err);
	run->word.len = 0;
	LLM_TRY(llm_buf_reserve(&run->word, room + len, err));
	memcpy(run->word.data + room, s, len);
	while (pos < len)
	{
		char	   *begin = run->word.data + room + pos - (pos ? room : 0);
		size_t		prefix = pos ? room : 0;
		size_t		n = len - pos + prefix <= hf->max_token_bytes ? len - pos : hf->max_token_bytes > prefix ? hf->max_token_bytes - prefix : 0;
		int32_t		id = -1;

		memcpy(begin, hf->prefix.data, prefix);
		while (n > 0)
		{
			if (pos + n == len || ((uint8_t) s[pos + n] & 0xC0) != 0x80)
			{
				id = find_word(run, begin, prefix + n);
				LLM_TRY(llm_encoder_worked(run->e, n));
			}
			if (id >= 0)
				break;
			n--;
		}
		if (id < 0)
		{
			out->n = n_before;
			return put_unknown(run, err);
		}
		LLM_TRY(llm_tokens_append(out, id, err));
		pos += n;
	}
	return LLM_OK;
}

/* the best way to reach an offset of a word; then, turned around, the way on from it */
typedef struct Step
{
	double		score;
	int32_t		token;
	uint32_t	len;			/* of the last token; 0: not reached */
} Step;

static void
offer(Step *to, double score, int32_t token, size_t len)
{
	if (to->len == 0 || score > to->score)
		*to = (Step) {score, token, (uint32_t) len};
}

static LlmStatus
find_best(LlmHfRun *run, const char *s, size_t len, Step *steps, LlmError *err)
{
	const LlmHf *hf = run->hf;

	for (size_t i = 0; i < len;)
	{
		uint32_t	c;
		size_t		char_len = llm_hf_char(s + i, len - i, &c);
		bool		covered = false;
		uint32_t	node = 0;
		size_t		end = i;

		while (end < len)
		{
			const LlmTrieEdge *edge = llm_trie_step(&hf->trie, node, (uint8_t) s[end]);

			if (!edge)
				break;
			node = edge->child;
			end++;
			/* a control token counts only as the unknown one, which is a token like others to the library */
			if (edge->value < 0 || (run->e->t->info[edge->value].type == LLM_TOKEN_CONTROL && edge->value != hf->unk))
				continue;
			offer(&steps[end], steps[i].score + hf->score[edge->value], edge->value, end - i);
			covered = covered || end - i == char_len;
		}
		if (!covered)
		{
			if (hf->unk < 0)
				return put_unknown(run, err);
			offer(&steps[i + char_len], steps[i].score + hf->unk_score, hf->unk, char_len);
		}
		LLM_TRY(llm_encoder_worked(run->e, end - i + 1));
		i += char_len;
	}
	return LLM_OK;
}

/* unknown characters in a row are one: a token if that text is one, else bytes, else the unknown token */
static LlmStatus
put_unknown_run(LlmHfRun *run, const char *s, size_t len, LlmError *err)
{
	int32_t		id = find_word(run, s, len);
	bool		done = false;

	if (id >= 0)
		return llm_tokens_append(run->e->out, id, err);
	run->symbols.len = 0;
	LLM_TRY(put_bytes(run, s, len, &done, err));
	for (size_t i = 0; i < run->symbols.len / sizeof(int32_t); i++)
		LLM_TRY(llm_tokens_append(run->e->out, ((int32_t *) run->symbols.data)[i], err));
	return done ? LLM_OK : put_unknown(run, err);
}

static LlmStatus
encode_unigram(LlmHfRun *run, const char *s, size_t len, LlmError *err)
{
	Step	   *steps;
	size_t		unknown = 0;	/* bytes of unknown characters before */

	run->steps.len = 0;
	LLM_TRY(llm_buf_reserve(&run->steps, (len + 1) * sizeof(Step), err));
	steps = (Step *) run->steps.data;
	memset(steps, 0, (len + 1) * sizeof(Step));
	LLM_TRY(find_best(run, s, len, steps, err));
	/* turn the chain around: a step then holds the token that begins there */
	for (size_t i = len, next_len = 0; i > 0;)
	{
		Step		last = steps[i];

		steps[i].len = (uint32_t) next_len;
		next_len = last.len;
		i -= last.len;
		if (i == 0)
			steps[0].len = (uint32_t) next_len;
	}
	for (size_t i = 0; i < len;)
	{
		size_t		next = i + steps[i].len;
		int32_t		token = steps[next].token;

		if (token == run->hf->unk)
			unknown += next - i;
		else
		{
			if (unknown)
				LLM_TRY(put_unknown_run(run, s + i - unknown, unknown, err));
			unknown = 0;
			LLM_TRY(llm_tokens_append(run->e->out, token, err));
		}
		i = next;
	}
	return unknown ? put_unknown_run(run, s + len - unknown, unknown, err) : LLM_OK;
}

LlmStatus
llm_hf_encode_word(LlmHfRun *run, const char *s, size_t len, LlmError *err)
{
	int32_t		id;

	switch (run->hf->model)
	{
		case LLM_HF_BPE:
			return run->hf->mapped ? encode_mapped(run, s, len, err) : encode_bpe(run, s, len, err);
		case LLM_HF_WORDPIECE:
			return encode_wordpiece(run, s, len, err);
		case LLM_HF_UNIGRAM:
			return encode_unigram(run, s, len, err);
		default:
			id = find_word(run, s, len);
			return id >= 0 ? llm_tokens_append(run->e->out, id, err) : put_unknown(run, err);
	}
}
