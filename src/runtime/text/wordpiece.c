/*
 * wordpiece.c: WordPiece. A text is cleaned (control characters go, letters become small, accents are stripped), cut into
 * words at spaces, punctuation and ideographs, and each word is taken apart from its beginning by the longest token that
 * fits. A word that cannot be taken apart, or has more than 100 characters, is the unknown token.
 *
 * In the metadata a token that begins a word starts with U+2581 and the others have no mark; here the mark is a space, and a
 * word is looked up with a space in front.
 * Source: Devlin et al. 2018, arXiv 1810.04805; the tokenizers library, normalizers/bert.rs and models/wordpiece.
 */
#include "text/bert_chars.h"
#include "text/tokenizer_impl.h"
#include "text/utf8.h"

#include <string.h>
#include <utf8proc.h>

#define WORD_MARK "\xE2\x96\x81"	/* U+2581 */
#define WORD_MARK_BYTES 3
#define MAX_WORD_CHARS 100
#define MAX_PARTS 8				/* code points that one may be decomposed into (4 in Unicode) */

static LlmStatus
load_token(LlmTokenizer *t, int32_t id, LlmBuf *text, LlmError *err)
{
	LlmStr		s = llm_token_string(t, id);
	LlmTokenType type = t->info[id].type;
	int32_t		same;

	if (type != LLM_TOKEN_NORMAL && type != LLM_TOKEN_UNUSED)
		return llm_vocab_add(&t->vocab, s.data, s.len, err);
	text->len = 0;
	if (s.len >= WORD_MARK_BYTES && memcmp(s.data, WORD_MARK, WORD_MARK_BYTES) == 0)
	{
		LLM_TRY(llm_buf_append(text, " ", 1, err));
		s.data += WORD_MARK_BYTES;
		s.len -= WORD_MARK_BYTES;
	}
	LLM_TRY(llm_buf_append(text, s.data, s.len, err));
	LLM_TRY(llm_vocab_add(&t->vocab, text->data, text->len, err));
	if (text->len == 0)
		return LLM_OK;
	LLM_TRY(llm_vocab_index_last(&t->vocab, id, &same, err));	/* of equal tokens the last is made */
	if (text->len > t->max_token_bytes)
		t->max_token_bytes = text->len;
	return LLM_OK;
}

LlmStatus
llm_wordpiece_load(LlmTokenizer *t, const LlmMeta *meta, LlmError *err)
{
	LlmBuf		text;
	LlmStatus	status = LLM_OK;

	t->lowercase = true;
	LLM_TRY(llm_meta_bool(meta, "tokenizer.ggml.normalizer.lowercase", false, &t->lowercase, err));
	t->strip_accents = t->lowercase;
	LLM_TRY(llm_meta_bool(meta, "tokenizer.ggml.normalizer.strip_accents", false, &t->strip_accents, err));
	LLM_TRY(llm_vocab_init(&t->vocab, (size_t) t->n_vocab, t->seed, t->allocator, err));
	llm_buf_init(&text, t->allocator);
	for (int32_t id = 0; id < t->n_vocab && status == LLM_OK; id++)
		status = load_token(t, id, &text, err);
	llm_buf_free(&text);
	return status;
}

/* the word being read: a space, then characters */
typedef struct Word
{
	char		bytes[1 + 4 * MAX_WORD_CHARS];
	size_t		len;
	int			n_chars;		/* may go beyond MAX_WORD_CHARS; the bytes then stop */
} Word;

static void
begin_word(Word *w)
{
	w->bytes[0] = ' ';
	w->len = 1;
	w->n_chars = 0;
}

/* append the tokens of the word, and begin the next */
static LlmStatus
end_word(LlmEncoder *e, Word *w, LlmError *err)
{
	const LlmTokenizer *t = e->t;
	size_t		n_before = e->out->n;
	bool		known = w->n_chars <= MAX_WORD_CHARS;
	size_t		pos = 0;

	if (w->n_chars == 0)
		return LLM_OK;
	while (known && pos < w->len)
	{
		size_t		len = w->len - pos < t->max_token_bytes ? w->len - pos : t->max_token_bytes;
		int32_t		id = -1;

		while (len > 0 && (id = llm_vocab_find(&t->vocab, w->bytes + pos, len)) < 0)
			len--;
		known = len > (pos == 0 ? 1u : 0u);
		if (known)
			LLM_TRY(llm_tokens_append(e->out, id, err));
		pos += len;
	}
	begin_word(w);
	if (known)
		return LLM_OK;
	e->out->n = n_before;
	return t->unknown < 0 ? LLM_OK : llm_tokens_append(e->out, t->unknown, err);
}

static LlmStatus
add_char(LlmEncoder *e, Word *w, uint32_t c, LlmError *err)
{
	bool		alone = llm_bert_is_punctuation(c);

	if (alone)
		LLM_TRY(end_word(e, w, err));
	if (w->n_chars++ < MAX_WORD_CHARS)
		w->len += (size_t) utf8proc_encode_char((utf8proc_int32_t) c, (utf8proc_uint8_t *) w->bytes + w->len);
	return alone ? end_word(e, w, err) : LLM_OK;
}

/* in small letters, if the model has it so */
static LlmStatus
add_in_case(LlmEncoder *e, Word *w, uint32_t c, LlmError *err)
{
	if (!e->t->lowercase)
		return add_char(e, w, c, err);
	if (c < 0x80)
		return add_char(e, w, c >= 'A' && c <= 'Z' ? c + 32 : c, err);
	if (c == 0x130)
	{
		/* the one capital whose small letter is two characters */
		LLM_TRY(add_char(e, w, 'i', err));
		return add_char(e, w, 0x307, err);
	}
	return add_char(e, w, (uint32_t) utf8proc_tolower((utf8proc_int32_t) c), err);
}

/* one character that is neither removed nor a space */
static LlmStatus
add_cleaned(LlmEncoder *e, Word *w, uint32_t c, LlmError *err)
{
	utf8proc_int32_t part[MAX_PARTS];
	utf8proc_ssize_t n;
	int			boundary = 0;

	if (c < 0x80 || !e->t->strip_accents)
		return add_in_case(e, w, c, err);
	n = utf8proc_decompose_char((utf8proc_int32_t) c, part, MAX_PARTS, UTF8PROC_DECOMPOSE, &boundary);
	if (n < 0 || n > MAX_PARTS)
		return add_in_case(e, w, c, err);
	for (utf8proc_ssize_t i = 0; i < n; i++)
		if (!llm_bert_is_mark((uint32_t) part[i]))
			LLM_TRY(add_in_case(e, w, (uint32_t) part[i], err));
	return LLM_OK;
}

/* text without special tokens; its beginning and end are ends of words */
LlmStatus
llm_wordpiece_encode(LlmEncoder *e, const char *bytes, size_t len, LlmError *err)
{
	const uint8_t *s = (const uint8_t *) bytes;
	Word		word;
	size_t		i = 0;

	begin_word(&word);
	while (i < len)
	{
		uint32_t	c = 0xFFFD;
		int			step = llm_utf8_char(s + i, len - i, &c);
		bool		ideograph = llm_bert_is_ideograph(c);

		i += step ? (size_t) step : 1;
		LLM_TRY(llm_encoder_worked(e, 8));
		if (llm_bert_is_removed(c))
			continue;
		if (ideograph || llm_bert_is_space(c))
			LLM_TRY(end_word(e, &word, err));
		if (!llm_bert_is_space(c))
			LLM_TRY(add_cleaned(e, &word, c, err));
		if (ideograph)
			LLM_TRY(end_word(e, &word, err));
	}
	return end_word(e, &word, err);
}
