/*
 * spm.c: SentencePiece BPE. Characters are the first symbols; two neighbours may join if together they are a token, and
 * the token with the highest score is made first (of equal scores the leftmost).
 *
 * In the metadata a space is written as U+2581; here tokens and text have real spaces, and a U+2581 in the text is one too.
 * A character that no token covers is written as the tokens of its bytes (<0x41>), or where these are missing as the unknown
 * token, one for a run. Control, unknown and byte tokens are never made from text.
 *
 * Gemma 4 and its kin have a list of merges instead of scores: two neighbours join if the list has them, the first of the list
 * first. All else is the same.
 * Source: Kudo and Richardson 2018, arXiv 1808.06226.
 */
#include "text/tokenizer_impl.h"
#include "text/utf8.h"

#include <math.h>
#include <string.h>

#define SPACE_MARK "\xE2\x96\x81"	/* U+2581 */
#define SPACE_MARK_BYTES 3

/* copy text with marks as spaces; *n_out bytes, at most len */
static void
unmark_spaces(const char *text, size_t len, char *out, size_t *n_out)
{
	size_t		n = 0;

	for (size_t i = 0; i < len; n++)
	{
		if (len - i >= SPACE_MARK_BYTES && memcmp(text + i, SPACE_MARK, SPACE_MARK_BYTES) == 0)
		{
			out[n] = ' ';
			i += SPACE_MARK_BYTES;
		}
		else
			out[n] = text[i++];
	}
	*n_out = n;
}

/* the order of merges as an ascending number: higher scores first, equal scores equal */
static uint32_t
rank_of_score(double score)
{
	float		value = (float) score + 0.0f;	/* -0 becomes 0 */
	uint32_t	bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits & UINT32_C(0x80000000) ? bits : ~bits & UINT32_C(0x7FFFFFFF);
}

static LlmStatus
load_scores(LlmTokenizer *t, const LlmMeta *meta, LlmError *err)
{
	const LlmMetaEntry *entry = llm_meta_find(meta, "tokenizer.ggml.scores");
	void	   *rank;

	LLM_TRY(llm_alloc_zero(t->allocator, (size_t) t->n_vocab, sizeof(uint32_t), &rank, err));
	t->token_rank = rank;
	if (!entry)
		return LLM_OK;
	if (entry->type != LLM_META_ARRAY || entry->array.type == LLM_META_STRING || entry->array.type == LLM_META_BOOL)
		return llm_fail(err, LLM_E_FORMAT, "tokenizer.ggml.scores is not an array of numbers");
	if (entry->array.count < (uint64_t) t->n_vocab)
		return llm_fail(err, LLM_E_FORMAT, "tokenizer.ggml.scores has %llu elements for %d tokens",
						(unsigned long long) entry->array.count, (int) t->n_vocab);
	for (int32_t id = 0; id < t->n_vocab; id++)
	{
		double		score = llm_meta_array_float(&entry->array, (uint64_t) id);

		if (isnan(score))
			return llm_fail(err, LLM_E_FORMAT, "score of token %d in tokenizer.ggml.scores is not a number", (int) id);
		t->token_rank[id] = rank_of_score(score);
	}
	return LLM_OK;
}

static LlmStatus
load_token(LlmTokenizer *t, int32_t id, LlmBuf *text, LlmError *err)
{
	LlmStr		s = llm_token_string(t, id);
	LlmTokenType type = t->info[id].type;
	int			value;

	if (type == LLM_TOKEN_BYTE && (value = llm_byte_token_value(s)) >= 0)
	{
		char		byte = (char) value;

		if (t->byte_token[value] < 0)
			t->byte_token[value] = id;
		return llm_vocab_add(&t->vocab, &byte, 1, err);
	}
	if (type != LLM_TOKEN_NORMAL && type != LLM_TOKEN_UNUSED)
		return llm_vocab_add(&t->vocab, s.data, s.len, err);
	text->len = 0;
	LLM_TRY(llm_buf_reserve(text, s.len, err));
	unmark_spaces(s.data, s.len, text->data, &text->len);
	LLM_TRY(llm_vocab_add(&t->vocab, text->data, text->len, err));
	/* a token with a real space can never be found, as text is marked before it is looked up */
	if (s.len > 0 && memchr(s.data, ' ', s.len) == NULL)
	{
		int32_t		same;

		LLM_TRY(llm_vocab_index_last(&t->vocab, id, &same, err));	/* of equal tokens the last is made */
		if (text->len > t->max_token_bytes)
			t->max_token_bytes = text->len;
		for (size_t i = 1; i < text->len; i++)
			if (text->data[i] == ' ' && text->data[i - 1] != ' ')
				t->cut_at_spaces = false;
	}
	return LLM_OK;
}

/* merge i is "left right", with one space; one whose texts are not all tokens can never happen */
static LlmStatus
load_merge(LlmTokenizer *t, const LlmMetaArray *merges, uint64_t i, LlmBuf *text, LlmError *err)
{
	LlmStr		line = llm_meta_array_string(merges, i);
	const char *space = line.len > 1 ? memchr(line.data + 1, ' ', line.len - 1) : NULL;
	size_t		left_len;
	size_t		right_len;
	int32_t		left;
	int32_t		right;
	int32_t		merged;

	if (!space || space + 1 == line.data + line.len)
		return llm_fail(err, LLM_E_FORMAT, "merge %llu of the vocabulary is not two strings", (unsigned long long) i);
	text->len = 0;
	LLM_TRY(llm_buf_reserve(text, line.len, err));
	unmark_spaces(line.data, (size_t) (space - line.data), text->data, &left_len);
	unmark_spaces(space + 1, (size_t) (line.data + line.len - space - 1), text->data + left_len, &right_len);
	left = llm_vocab_find(&t->vocab, text->data, left_len);
	right = llm_vocab_find(&t->vocab, text->data + left_len, right_len);
	merged = llm_vocab_find(&t->vocab, text->data, left_len + right_len);
	if (left >= 0 && right >= 0 && merged >= 0)
		llm_merges_add(&t->merges, left, right, (uint32_t) i, merged);
	return LLM_OK;
}

static LlmStatus
load_merges(LlmTokenizer *t, const LlmMeta *meta, LlmBuf *text, LlmError *err)
{
	const LlmMetaArray *merges = NULL;

	LLM_TRY(llm_meta_array(meta, "tokenizer.ggml.merges", true, LLM_META_STRING, &merges, err));
	if (merges->count >= INT32_MAX)
		return llm_fail(err, LLM_E_LIMIT, "tokenizer.ggml.merges has %llu elements, at most %d are possible",
						(unsigned long long) merges->count, INT32_MAX - 1);
	LLM_TRY(llm_merges_init(&t->merges, (size_t) merges->count, t->seed, t->allocator, err));
	for (uint64_t i = 0; i < merges->count; i++)
		LLM_TRY(load_merge(t, merges, i, text, err));
	return LLM_OK;
}

LlmStatus
llm_spm_load(LlmTokenizer *t, const LlmMeta *meta, LlmError *err)
{
	LlmBuf		text;
	LlmStatus	status = LLM_OK;

	if (!t->merges_listed)
		LLM_TRY(load_scores(t, meta, err));
	LLM_TRY(llm_vocab_init(&t->vocab, (size_t) t->n_vocab, t->seed, t->allocator, err));
	t->cut_at_spaces = true;
	for (int b = 0; b < 256; b++)
		t->byte_token[b] = -1;
	llm_buf_init(&text, t->allocator);
	for (int32_t id = 0; id < t->n_vocab && status == LLM_OK; id++)
		status = load_token(t, id, &text, err);
	if (status == LLM_OK && t->merges_listed)
		status = load_merges(t, meta, &text, err);
	llm_buf_free(&text);
	return status;
}

typedef struct SpmText
{
	const LlmTokenizer *t;
	const char *bytes;
} SpmText;

static bool
find_merge(const void *ctx, const LlmMergeNode *left, const LlmMergeNode *right, uint32_t *rank, int32_t *merged)
{
	const SpmText *text = ctx;
	size_t		len = (size_t) left->len + right->len;
	int32_t		id;

	if (text->t->merges_listed)
		return left->symbol >= 0 && right->symbol >= 0 && llm_bpe_find_merge(text->t, left, right, rank, merged);
	if (len > text->t->max_token_bytes)
		return false;
	id = llm_vocab_find(&text->t->vocab, text->bytes + left->begin, len);
	if (id < 0)
		return false;
	*rank = text->t->token_rank[id];
	*merged = id;
	return true;
}

/*
 * Append the token of a node, or those of its bytes, or the unknown token unless the node before had become that
 * (*after_unknown).
 */
static LlmStatus
append_node(LlmEncoder *e, const char *bytes, const LlmMergeNode *node, bool *after_unknown, LlmError *err)
{
	const LlmTokenizer *t = e->t;
	const char *s = bytes + node->begin;
	size_t		len = node->len;
	bool		have_bytes = true;

	if (node->symbol >= 0)
	{
		*after_unknown = false;
		return llm_tokens_append(e->out, node->symbol, err);
	}
	if (len == 1 && s[0] == ' ')
	{
		s = SPACE_MARK;
		len = SPACE_MARK_BYTES;
	}
	for (size_t i = 0; i < len; i++)
		have_bytes = have_bytes && t->byte_token[(uint8_t) s[i]] >= 0;
	if (!have_bytes)
	{
		bool		repeated = *after_unknown;

		*after_unknown = true;
		return t->unknown < 0 || repeated ? LLM_OK : llm_tokens_append(e->out, t->unknown, err);
	}
	*after_unknown = false;
	for (size_t i = 0; i < len; i++)
		LLM_TRY(llm_tokens_append(e->out, t->byte_token[(uint8_t) s[i]], err));
	return LLM_OK;
}

/* merge text[begin, end), at least one byte */
static LlmStatus
encode_part(LlmEncoder *e, const char *text, size_t begin, size_t end, bool *after_unknown, LlmError *err)
{
	SpmText		ctx = {e->t, text};

	LLM_TRY(llm_merge_begin(&e->merge, end - begin, err));
	for (size_t i = begin; i < end;)
	{
		uint32_t	c;
		int			step = llm_utf8_char((const uint8_t *) text + i, end - i, &c);
		size_t		n = step ? (size_t) step : 1;

		llm_merge_append(&e->merge, (uint32_t) i, (uint32_t) n, llm_vocab_find(&e->t->vocab, text + i, n));
		LLM_TRY(llm_encoder_worked(e, n));
		i += n;
	}
	LLM_TRY(llm_merge_run(&e->merge, find_merge, &ctx, e->stop, err));
	for (int32_t i = 0; i >= 0; i = e->merge.nodes[i].next)
		LLM_TRY(append_node(e, text, &e->merge.nodes[i], after_unknown, err));
	return LLM_OK;
}

/*
 * text has real spaces only. Where no token has a space after something else, no merge can cross such a place, so what lies
 * between them is merged by itself: the result is the same, and the heap stays small.
 */
static LlmStatus
encode_unmarked(LlmEncoder *e, const char *text, size_t len, LlmError *err)
{
	bool		after_unknown = false;
	size_t		begin = 0;

	for (size_t i = 1; e->t->cut_at_spaces && i < len; i++)
	{
		if (text[i] != ' ' || text[i - 1] == ' ')
			continue;
		LLM_TRY(encode_part(e, text, begin, i, &after_unknown, err));
		begin = i;
	}
	return encode_part(e, text, begin, len, &after_unknown, err);
}

LlmStatus
llm_spm_encode(LlmEncoder *e, const char *bytes, size_t len, bool space_prefix, LlmError *err)
{
	void	   *text;
	char	   *out;
	size_t		n;
	LlmStatus	status;

	LLM_TRY(llm_alloc(e->t->allocator, len + 1, 1, &text, err));
	out = text;
	if (space_prefix)
		*out++ = ' ';
	unmark_spaces(bytes, len, out, &n);
	status = encode_unmarked(e, text, n + (space_prefix ? 1 : 0), err);
	llm_free(e->t->allocator, text);
	return status;
}
