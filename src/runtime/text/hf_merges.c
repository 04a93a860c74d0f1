/*
 * hf_merges.c: the merges of a BPE model in tokenizer.json. They are counted first, so that their table is made once.
 */
#include "text/hf_loader.h"

#include <string.h>

#define SPACE_MARK "\xE2\x96\x81"

static LlmStatus
find_merge_token(LlmHfLoader *l, LlmStr text, uint64_t i, int32_t *id, LlmError *err)
{
	LlmStr		word;
	bool		known;

	*id = -1;
	LLM_TRY(llm_hf_word_of(l, text, &word, &known, err));
	if (!known)
		return LLM_OK;
	*id = llm_vocab_find(&l->hf->words, word.data, word.len);
	if (*id >= 0)
		return LLM_OK;
	llm_fail(err, LLM_E_FORMAT, "merge %llu of tokenizer.json names a token that is not in the vocabulary", (unsigned long long) i);
	llm_error_detail(err, "The token is \"%.*s\".", (int) (text.len < 64 ? text.len : 64), text.data);
	return LLM_E_FORMAT;
}

/* pair is both sides together, of which the left has left_len bytes; the prefix of the right one goes when they are merged */
static LlmStatus
add_merge(LlmHfLoader *l, LlmBuf *pair, size_t left_len, uint64_t i, LlmError *err)
{
	LlmStr		left_text = {pair->data ? pair->data : "", left_len};
	LlmStr		right_text = {left_text.data + left_len, pair->len - left_len};
	size_t		prefix = l->prefix_len;
	int32_t		left;
	int32_t		right;
	int32_t		merged;

	if (right_text.len < prefix)
		return llm_fail(err, LLM_E_FORMAT, "merge %llu of tokenizer.json has no room for continuing_subword_prefix", (unsigned long long) i);
	LLM_TRY(find_merge_token(l, left_text, i, &left, err));
	LLM_TRY(find_merge_token(l, right_text, i, &right, err));
	if (prefix)
		memmove(pair->data + left_len, pair->data + left_len + prefix, right_text.len - prefix);
	LLM_TRY(find_merge_token(l, (LlmStr) {left_text.data, pair->len - prefix}, i, &merged, err));
	if (left < 0 || right < 0 || merged < 0)
		return LLM_OK;
	llm_merges_set(&l->t->merges, left, right, (uint32_t) i, merged);
	if (right_text.len >= 3 && memcmp(right_text.data, SPACE_MARK, 3) == 0 &&
		(left_len < 3 || memcmp(left_text.data + left_len - 3, SPACE_MARK, 3) != 0))
		l->hf->cut_at_marks = false;
	return LLM_OK;
}

/* "left right" or ["left", "right"] into pair */
static LlmStatus
read_merge(LlmHfLoader *l, LlmJsonReader *r, LlmBuf *pair, size_t *left_len, bool *is_merge, LlmError *err)
{
	LlmStr		text;
	const char *space;

	pair->len = 0;
	*is_merge = true;
	if (llm_json_peek(r) == '[')
	{
		r->pos++;
		LLM_TRY(llm_json_string(r, &l->scratch, &text, err));
		LLM_TRY(llm_buf_append(pair, text.data, text.len, err));
		*left_len = text.len;
		LLM_TRY(llm_json_expect(r, ',', err));
		LLM_TRY(llm_json_string(r, &l->scratch, &text, err));
		LLM_TRY(llm_buf_append(pair, text.data, text.len, err));
		return llm_json_expect(r, ']', err);
	}
	LLM_TRY(llm_json_string(r, &l->scratch, &text, err));
	*is_merge = text.len < 8 || memcmp(text.data, "#version", 8) != 0;
	space = memchr(text.data, ' ', text.len);
	if (*is_merge && !space)
		return llm_json_error(r, "a merge must be two strings", err);
	*left_len = space ? (size_t) (space - text.data) : 0;
	LLM_TRY(llm_buf_append(pair, text.data, *left_len, err));
	return *is_merge ? llm_buf_append(pair, space + 1, text.len - *left_len - 1, err) : LLM_OK;
}

/* add NULL: only count */
static LlmStatus
read_merges(LlmHfLoader *l, LlmStr section, LlmBuf *pair, uint64_t *n, LlmError *err)
{
	LlmJsonReader r = llm_json_reader(section, "tokenizer.json", l->stop);
	bool		first = true;
	bool		more;

	*n = 0;
	LLM_TRY(llm_json_expect(&r, '[', err));
	for (;;)
	{
		LlmStr		span;
		size_t		left_len = 0;
		bool		is_merge = true;

		LLM_TRY(llm_json_next(&r, ']', &first, &more, err));
		if (!more)
			return LLM_OK;
		if (!pair)
			LLM_TRY(llm_json_skip(&r, &span, err));
		else
			LLM_TRY(read_merge(l, &r, pair, &left_len, &is_merge, err));
		if (pair && is_merge)
			LLM_TRY(add_merge(l, pair, left_len, *n, err));
		*n += is_merge;
	}
}

LlmStatus
llm_hf_load_merges(LlmHfLoader *l, LlmStr section, LlmError *err)
{
	LlmBuf		pair;
	uint64_t	n;
	LlmStatus	status;

	if (!section.data)
		return llm_fail(err, LLM_E_FORMAT, "the BPE model of tokenizer.json has no merges");
	l->hf->cut_at_marks = true;
	LLM_TRY(read_merges(l, section, NULL, &n, err));
	LLM_TRY(llm_merges_init(&l->t->merges, (size_t) n, l->t->seed, l->hf->allocator, err));
	llm_buf_init(&pair, l->hf->allocator);
	status = read_merges(l, section, &pair, &n, err);
	llm_buf_free(&pair);
	return status;
}
