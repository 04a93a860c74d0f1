/*
 * bpe.c: byte-level BPE. A word's bytes are its first symbols; merges join them by rank.
 *
 * In the metadata, tokens and merges are written in the alphabet of GPT-2, which has a visible character for every byte.
 * They are decoded once here, so that all else works on bytes. A merge may pass through strings that are no tokens: they
 * are symbols too, and come out as the tokens of their bytes. A byte that has no token (SmolLM2 lacks some control
 * characters) is left out before merging, as the tokenizers library does.
 * Source: Radford et al. 2019 (GPT-2); Sennrich et al. 2016, arXiv 1508.07909.
 */
#include "text/tokenizer_impl.h"
#include "text/utf8.h"

#include <string.h>

#define NO_MERGE UINT64_MAX

/*
 * The alphabet: printable Latin-1 characters stand for themselves, the 68 other bytes in ascending order for U+0100 and
 * following. Fills byte_of[code point] with the byte or -1.
 */
void
llm_bpe_alphabet(int16_t byte_of[LLM_BPE_ALPHABET_END])
{
	int			next = 256;

	for (int c = 0; c < LLM_BPE_ALPHABET_END; c++)
		byte_of[c] = -1;
	for (int b = 0; b < 256; b++)
	{
		if ((b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174)
			byte_of[b] = (int16_t) b;
		else
			byte_of[next++] = (int16_t) b;
	}
}

/* append the bytes that text stands for to out; false (out as before) if it has a character that is not in the alphabet */
bool
llm_bpe_decode(const int16_t *byte_of, LlmStr text, char *out, size_t *len)
{
	const uint8_t *s = (const uint8_t *) text.data;
	size_t		n = *len;

	for (size_t i = 0; i < text.len;)
	{
		uint32_t	c = s[i];
		int			step = c < 0x80 ? 1 : llm_utf8_char(s + i, text.len - i, &c);

		if (step == 0 || c >= LLM_BPE_ALPHABET_END || byte_of[c] < 0)
			return false;
		out[n++] = (char) byte_of[c];
		i += (size_t) step;
	}
	*len = n;
	return true;
}

/* what is needed while loading */
typedef struct Loader
{
	LlmTokenizer *t;
	int16_t		byte_of[LLM_BPE_ALPHABET_END];
	LlmBuf		text;			/* a decoded token, or a merge's two sides */
} Loader;

/*
 * Give token id its bytes, and make it findable if merges may produce it. Control tokens are not findable: text can
 * never become one.
 */
static LlmStatus
load_token(Loader *l, int32_t id, LlmError *err)
{
	LlmTokenizer *t = l->t;
	LlmStr		text = llm_token_string(t, id);
	LlmTokenType type = t->info[id].type;
	size_t		len = 0;
	bool		decoded = false;

	if (type == LLM_TOKEN_BYTE && llm_byte_token_value(text) >= 0)
	{
		char		byte = (char) llm_byte_token_value(text);

		return llm_vocab_add(&t->vocab, &byte, 1, err);
	}
	if (type == LLM_TOKEN_NORMAL || type == LLM_TOKEN_UNUSED)
	{
		l->text.len = 0;
		LLM_TRY(llm_buf_reserve(&l->text, text.len, err));
		decoded = llm_bpe_decode(l->byte_of, text, l->text.data, &len);
	}
	if (!decoded)
		return llm_vocab_add(&t->vocab, text.data, text.len, err);
	LLM_TRY(llm_vocab_add(&t->vocab, l->text.data, len, err));
	if (len > 0)
	{
		int32_t		same;

		LLM_TRY(llm_vocab_index_last(&t->vocab, id, &same, err));	/* of equal tokens the last is made */
	}
	return LLM_OK;
}

/* merge i is "left right" in the alphabet, with one space; its rank is i */
static LlmStatus
load_merge(Loader *l, const LlmMetaArray *merges, uint64_t i, LlmError *err)
{
	LlmVocab   *v = &l->t->vocab;
	LlmStr		line = llm_meta_array_string(merges, i);
	const char *space = line.len > 1 ? memchr(line.data + 1, ' ', line.len - 1) : NULL;
	LlmStr		left_text;
	LlmStr		right_text;
	size_t		left_len = 0;
	size_t		len;
	int32_t		left;
	int32_t		right;
	int32_t		merged;

	if (!space || space + 1 == line.data + line.len)
	{
		llm_fail(err, LLM_E_FORMAT, "merge %llu of the vocabulary is not two strings", (unsigned long long) i);
		llm_error_detail(err, "tokenizer.ggml.merges must hold two strings with one space between them.");
		return LLM_E_FORMAT;
	}
	left_text = (LlmStr) {line.data, (size_t) (space - line.data)};
	right_text = (LlmStr) {space + 1, line.len - left_text.len - 1};
	l->text.len = 0;
	LLM_TRY(llm_buf_reserve(&l->text, line.len, err));
	if (!llm_bpe_decode(l->byte_of, left_text, l->text.data, &left_len))
		return LLM_OK;			/* no text has these characters */
	len = left_len;
	if (!llm_bpe_decode(l->byte_of, right_text, l->text.data, &len))
		return LLM_OK;
	LLM_TRY(llm_vocab_intern(v, l->text.data, left_len, &left, err));
	LLM_TRY(llm_vocab_intern(v, l->text.data + left_len, len - left_len, &right, err));
	LLM_TRY(llm_vocab_intern(v, l->text.data, len, &merged, err));
	llm_merges_add(&l->t->merges, left, right, (uint32_t) i, merged);
	return LLM_OK;
}

static LlmStatus
load_vocabulary(Loader *l, const LlmMetaArray *merges, LlmError *err)
{
	LlmTokenizer *t = l->t;

	for (int32_t id = 0; id < t->n_vocab; id++)
		LLM_TRY(load_token(l, id, err));
	for (int b = 0; b < 256; b++)
	{
		char		byte = (char) b;

		t->byte_token[b] = llm_vocab_find(&t->vocab, &byte, 1);
	}
	for (uint64_t i = 0; i < merges->count; i++)
		LLM_TRY(load_merge(l, merges, i, err));
	return LLM_OK;
}

LlmStatus
llm_bpe_load(LlmTokenizer *t, const LlmMeta *meta, LlmError *err)
{
	Loader		l = {.t = t};
	const LlmMetaArray *merges = NULL;
	LlmStatus	status;

	LLM_TRY(llm_meta_array(meta, "tokenizer.ggml.merges", true, LLM_META_STRING, &merges, err));
	if (merges->count >= INT32_MAX)
		return llm_fail(err, LLM_E_LIMIT, "tokenizer.ggml.merges has %llu elements, at most %d are possible",
						(unsigned long long) merges->count, INT32_MAX - 1);
	LLM_TRY(llm_vocab_init(&t->vocab, (size_t) t->n_vocab, t->seed, t->allocator, err));
	LLM_TRY(llm_merges_init(&t->merges, (size_t) merges->count, t->seed, t->allocator, err));
	llm_bpe_alphabet(l.byte_of);
	llm_buf_init(&l.text, t->allocator);
	status = load_vocabulary(&l, merges, err);
	llm_buf_free(&l.text);
	return status;
}

/* append the token of a symbol, or those of its bytes */
static LlmStatus
append_symbol(LlmEncoder *e, int32_t symbol, LlmError *err)
{
	const LlmTokenizer *t = e->t;
	LlmStr		s;

	if (symbol < t->n_vocab)
		return llm_tokens_append(e->out, symbol, err);
	s = llm_vocab_bytes(&t->vocab, symbol);
	for (size_t i = 0; i < s.len; i++)
	{
		int32_t		token = t->byte_token[(uint8_t) s.data[i]];

		if (token >= 0)
			LLM_TRY(llm_tokens_append(e->out, token, err));
	}
	return LLM_OK;
}

/* rank << 32 | merged symbol of two neighbours, NO_MERGE if they have none */
static inline uint64_t
pair_value(const LlmTokenizer *t, int32_t left, int32_t right)
{
	const LlmMerge *merge = llm_merges_find(&t->merges, left, right);

	return merge ? (uint64_t) merge->rank << 32 | (uint32_t) merge->merged : NO_MERGE;
}

/* the lowest pair is searched for each time, which is faster than a heap */
size_t
llm_bpe_merge_short(const LlmTokenizer *t, int32_t *symbol, size_t n)
{
	uint64_t	value[LLM_BPE_SHORT_WORD];	/* of symbols i and i + 1 */

	for (size_t i = 0; i + 1 < n; i++)
		value[i] = pair_value(t, symbol[i], symbol[i + 1]);
	while (n > 1)
	{
		size_t		lowest = 0;

		for (size_t i = 1; i + 1 < n; i++)
			if (value[i] < value[lowest])
				lowest = i;
		if (value[lowest] == NO_MERGE)
			break;
		symbol[lowest] = (int32_t) (uint32_t) value[lowest];
		n--;
		for (size_t i = lowest + 1; i < n; i++)
		{
			symbol[i] = symbol[i + 1];
			value[i - 1] = value[i];
		}
		if (lowest > 0)
			value[lowest - 1] = pair_value(t, symbol[lowest - 1], symbol[lowest]);
		if (lowest + 1 < n)
			value[lowest] = pair_value(t, symbol[lowest], symbol[lowest + 1]);
	}
	return n;
}

/* a word of up to LLM_BPE_SHORT_WORD bytes */
static LlmStatus
encode_short(LlmEncoder *e, const uint8_t *word, size_t len, LlmError *err)
{
	const LlmTokenizer *t = e->t;
	int32_t		symbol[LLM_BPE_SHORT_WORD];
	size_t		n = 0;

	for (size_t i = 0; i < len; i++)
		if (t->byte_token[word[i]] >= 0)
			symbol[n++] = t->byte_token[word[i]];
	n = llm_bpe_merge_short(t, symbol, n);
	for (size_t i = 0; i < n; i++)
		LLM_TRY(append_symbol(e, symbol[i], err));
	return LLM_OK;
}

bool
llm_bpe_find_merge(const void *ctx, const LlmMergeNode *left, const LlmMergeNode *right, uint32_t *rank, int32_t *merged)
{
	const LlmTokenizer *t = ctx;
	const LlmMerge *merge = llm_merges_find(&t->merges, left->symbol, right->symbol);

	if (!merge)
		return false;
	*rank = merge->rank;
	*merged = merge->merged;
	return true;
}

static LlmStatus
encode_long(LlmEncoder *e, const uint8_t *word, size_t len, LlmError *err)
{
	LLM_TRY(llm_merge_begin(&e->merge, len, err));
	for (size_t i = 0; i < len; i++)
		if (e->t->byte_token[word[i]] >= 0)
			llm_merge_append(&e->merge, (uint32_t) i, 1, e->t->byte_token[word[i]]);
	if (e->merge.n_nodes == 0)
		return LLM_OK;
	LLM_TRY(llm_merge_run(&e->merge, llm_bpe_find_merge, e->t, e->stop, err));
	for (int32_t i = 0; i >= 0; i = e->merge.nodes[i].next)
		LLM_TRY(append_symbol(e, e->merge.nodes[i].symbol, err));
	return LLM_OK;
}

static LlmStatus
encode_bytes(LlmEncoder *e, const char *bytes, size_t len, LlmError *err)
{
	const uint8_t *word = (const uint8_t *) bytes;

	if (e->t->ignore_merges)
	{
		int32_t		whole = llm_vocab_find(&e->t->vocab, bytes, len);

		if (whole >= 0 && whole < e->t->n_vocab)
			return llm_tokens_append(e->out, whole, err);
	}
	return len <= LLM_BPE_SHORT_WORD ? encode_short(e, word, len, err) : encode_long(e, word, len, err);
}

static bool
is_ascii_digit(uint8_t byte)
{
	return byte >= '0' && byte <= '9';
}

/* the alphabet's characters of these bytes are numbers: digits, superscripts and fractions of Latin-1 */
static bool
is_digit_byte(uint8_t byte)
{
	return is_ascii_digit(byte) || byte == 0xB2 || byte == 0xB3 || byte == 0xB9 || (byte >= 0xBC && byte <= 0xBE);
}

/* a word whose runs of digit bytes stand alone, and in them every three digits in a row */
static LlmStatus
encode_with_digits(LlmEncoder *e, const char *bytes, size_t len, LlmError *err)
{
	const uint8_t *word = (const uint8_t *) bytes;
	size_t		begin = 0;		/* of what is not encoded yet */

	for (size_t i = 0; i < len;)
	{
		bool		three = i + 3 <= len && is_ascii_digit(word[i]) && is_ascii_digit(word[i + 1]) && is_ascii_digit(word[i + 2]);

		if (i > begin && (three || is_digit_byte(word[i]) != is_digit_byte(word[i - 1])))
		{
			LLM_TRY(encode_bytes(e, bytes + begin, i - begin, err));
			begin = i;
		}
		i += three ? 3 : 1;
		if (three)
		{
			LLM_TRY(encode_bytes(e, bytes + begin, 3, err));
			begin = i;
		}
	}
	return begin < len ? encode_bytes(e, bytes + begin, len - begin, err) : LLM_OK;
}

/* one word of the pre-tokenizer (LlmWordFn) */
static LlmStatus
encode_word(void *ctx, const char *bytes, size_t len, LlmError *err)
{
	LlmEncoder *e = ctx;

	LLM_TRY(llm_encoder_worked(e, len));
	return e->t->digit_bytes ? encode_with_digits(e, bytes, len, err) : encode_bytes(e, bytes, len, err);
}

LlmStatus
llm_bpe_encode(LlmEncoder *e, const char *bytes, size_t len, LlmError *err)
{
	return llm_pretokenize(e->t->pretokenizer, bytes, len, e->stop, encode_word, e, err);
}
