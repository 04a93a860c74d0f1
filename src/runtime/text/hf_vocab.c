/*
 * hf_vocab.c: the model's section of tokenizer.json: its vocabulary and options (merges: hf_merges.c).
 *
 * The vocabulary is read twice: first the ids, which need not come in order and may leave holes, then the texts by id. A
 * byte-level model's tokens and merges are decoded from GPT-2's alphabet here, so that its words are plain bytes.
 */
#include "text/hf_loader.h"

#include <math.h>
#include <string.h>

#define MAX_SECTION_BYTES ((size_t) 1 << 29)
#define MAX_IDS (1 << 24)
#define POLL_IDS 8192
#define SPARE_IDS 65536			/* holes that are always allowed; beyond, 16 ids for each token */

/* spans of the model's members; data NULL: absent */
typedef struct ModelParts
{
	LlmStr		type;
	LlmStr		vocab;
	LlmStr		merges;
	LlmStr		unk_token;
	LlmStr		unk_id;
	LlmStr		prefix;
	LlmStr		suffix;
	LlmStr		dropout;
	LlmStr		fuse_unk;
	LlmStr		byte_fallback;
	LlmStr		ignore_merges;
	LlmStr		max_word_chars;
} ModelParts;

/* an entry of the vocabulary, in the order of the file */
typedef struct VocabEntry
{
	uint32_t	id;
	uint32_t	off;			/* of its string in the section */
} VocabEntry;

static LlmJsonReader
reader(LlmStr span)
{
	return llm_json_reader(span, "tokenizer.json", NULL);
}

static bool
is_null(LlmStr span)
{
	return !span.data || (span.len == 4 && memcmp(span.data, "null", 4) == 0);
}

static bool
is_true(LlmStr span)
{
	return span.data && span.len == 4 && memcmp(span.data, "true", 4) == 0;
}

static LlmStatus
read_text(LlmHf *hf, LlmStr span, LlmStr *out, LlmError *err)
{
	LlmJsonReader r = reader(span);
	LlmBuf		scratch;
	LlmStatus	status;

	*out = (LlmStr) {"", 0};
	if (is_null(span))
		return LLM_OK;
	llm_buf_init(&scratch, hf->allocator);
	status = llm_json_string(&r, &scratch, out, err);
	if (status == LLM_OK)
		status = llm_hf_copy(hf, out->data, out->len, out, err);
	llm_buf_free(&scratch);
	return status;
}

static LlmStatus
split_model(LlmHfLoader *l, LlmStr model, ModelParts *parts, LlmError *err)
{
	const struct
	{
		const char *name;
		LlmStr	   *span;
	}			members[] = {
		{"type", &parts->type}, {"vocab", &parts->vocab}, {"merges", &parts->merges}, {"unk_token", &parts->unk_token},
		{"unk_id", &parts->unk_id}, {"continuing_subword_prefix", &parts->prefix}, {"end_of_word_suffix", &parts->suffix},
		{"dropout", &parts->dropout}, {"fuse_unk", &parts->fuse_unk}, {"byte_fallback", &parts->byte_fallback},
		{"ignore_merges", &parts->ignore_merges}, {"max_input_chars_per_word", &parts->max_word_chars}
	};
	LlmJsonReader r = llm_json_reader(model, "tokenizer.json", l->stop);
	bool		first = true;
	bool		more;

	memset(parts, 0, sizeof(*parts));
	LLM_TRY(llm_json_expect(&r, '{', err));
	for (;;)
	{
		LlmStr		key;
		LlmStr		span;
		size_t		k = 0;

		LLM_TRY(llm_json_next(&r, '}', &first, &more, err));
		if (!more)
			return LLM_OK;
		LLM_TRY(llm_json_string(&r, &l->scratch, &key, err));
		while (k < sizeof(members) / sizeof(members[0]) && (strlen(members[k].name) != key.len || memcmp(members[k].name, key.data, key.len) != 0))
			k++;
		LLM_TRY(llm_json_expect(&r, ':', err));
		LLM_TRY(llm_json_skip(&r, &span, err));
		if (k < sizeof(members) / sizeof(members[0]))
			*members[k].span = span;
	}
}

static LlmStatus
find_kind(LlmHf *hf, const ModelParts *parts, LlmError *err)
{
	static const char *const names[] = {"\"BPE\"", "\"WordPiece\"", "\"Unigram\"", "\"WordLevel\""};

	if (!parts->type.data)
	{
		/* files from before models had a type */
		hf->model = parts->merges.data ? LLM_HF_BPE : parts->vocab.data && parts->vocab.data[0] == '[' ? LLM_HF_UNIGRAM :
			parts->max_word_chars.data ? LLM_HF_WORDPIECE : LLM_HF_WORDLEVEL;
		return LLM_OK;
	}
	for (int i = 0; i < 4; i++)
		if (parts->type.len == strlen(names[i]) && memcmp(parts->type.data, names[i], parts->type.len) == 0)
		{
			hf->model = (LlmHfModelKind) i;
			return LLM_OK;
		}
	return llm_fail(err, LLM_E_UNSUPPORTED, "model %.*s of tokenizer.json is not supported",
					(int) (parts->type.len < 64 ? parts->type.len : 64), parts->type.data);
}

static LlmStatus
add_entry(LlmHfLoader *l, double id, size_t off, LlmError *err)
{
	VocabEntry	entry = {id >= 0 && id < MAX_IDS ? (uint32_t) id : MAX_IDS, (uint32_t) off};

	if (entry.id == MAX_IDS || id != (double) entry.id)
		return llm_fail(err, LLM_E_LIMIT, "the vocabulary of tokenizer.json has the id %g, allowed are 0 to %d", id, MAX_IDS - 1);
	if (entry.id > l->max_id)
		l->max_id = entry.id;
	return llm_buf_append(&l->entries, &entry, sizeof(entry), err);
}

/* {"text": id, …} */
static LlmStatus
list_entries(LlmHfLoader *l, LlmError *err)
{
	LlmJsonReader r = llm_json_reader(l->section, "tokenizer.json", l->stop);
	bool		first = true;
	bool		more;

	LLM_TRY(llm_json_expect(&r, '{', err));
	for (;;)
	{
		LlmStr		text;
		double		id;
		size_t		off;

		LLM_TRY(llm_json_next(&r, '}', &first, &more, err));
		if (!more)
			return LLM_OK;
		off = r.pos;
		LLM_TRY(llm_json_string(&r, &l->scratch, &text, err));
		LLM_TRY(llm_json_expect(&r, ':', err));
		LLM_TRY(llm_json_number(&r, &id, err));
		LLM_TRY(add_entry(l, id, off, err));
	}
}

/* [["text", score], …]; scores as doubles one after the other */
static LlmStatus
list_scored_entries(LlmHfLoader *l, LlmBuf *scores, LlmError *err)
{
	LlmJsonReader r = llm_json_reader(l->section, "tokenizer.json", l->stop);
	bool		first = true;
	bool		more;

	LLM_TRY(llm_json_expect(&r, '[', err));
	for (uint32_t id = 0;; id++)
	{
		LlmStr		text;
		double		score;
		size_t		off;

		LLM_TRY(llm_json_next(&r, ']', &first, &more, err));
		if (!more)
			return LLM_OK;
		LLM_TRY(llm_json_expect(&r, '[', err));
		llm_json_peek(&r);
		off = r.pos;
		LLM_TRY(llm_json_string(&r, &l->scratch, &text, err));
		LLM_TRY(llm_json_expect(&r, ',', err));
		LLM_TRY(llm_json_number(&r, &score, err));
		LLM_TRY(llm_json_expect(&r, ']', err));
		if (!isfinite(score))
			return llm_fail(err, LLM_E_FORMAT, "the score of token %lu of tokenizer.json is not a finite number", (unsigned long) id);
		LLM_TRY(add_entry(l, id, off, err));
		LLM_TRY(llm_buf_append(scores, &score, sizeof(score), err));
	}
}

/* text of an entry; borrowed until the next call */
static LlmStatus
entry_text(LlmHfLoader *l, const VocabEntry *entry, LlmStr *text, LlmError *err)
{
	LlmJsonReader r = reader(l->section);

	r.pos = entry->off;
	return llm_json_string(&r, &l->scratch, text, err);
}

LlmStatus
llm_hf_word_of(LlmHfLoader *l, LlmStr text, LlmStr *word, bool *known, LlmError *err)
{
	size_t		len = 0;

	*word = text;
	*known = true;
	if (!l->hf->byte_level)
		return LLM_OK;
	l->decoded.len = 0;
	LLM_TRY(llm_buf_reserve(&l->decoded, text.len, err));
	*known = llm_bpe_decode(l->hf->byte_of, text, l->decoded.data, &len);
	*word = (LlmStr) {l->decoded.data, len};
	return LLM_OK;
}

/* texts by id, and words to look up; of equal texts the later in the file counts, the other id stays without text */
static LlmStatus
load_words(LlmHfLoader *l, uint32_t n_ids, size_t *n_words, LlmError *err)
{
	const VocabEntry *entries = (const VocabEntry *) l->entries.data;
	size_t		n = l->entries.len / sizeof(VocabEntry);
	void	   *memory;
	uint32_t   *entry_of;

	LLM_TRY(llm_alloc_zero(l->hf->allocator, n_ids, sizeof(uint32_t), &memory, err));
	entry_of = memory;
	for (size_t i = 0; i < n; i++)
		entry_of[entries[i].id] = (uint32_t) i + 1;
	for (uint32_t id = 0; id < n_ids; id++)
	{
		LlmStr		text = {"", 0};
		LlmStr		word = {"", 0};
		bool		known = false;
		LlmStatus	status = LLM_OK;

		if (id % POLL_IDS == 0 && llm_should_stop(l->stop))
			status = LLM_PAUSED;
		if (status == LLM_OK && entry_of[id])
			status = entry_text(l, &entries[entry_of[id] - 1], &text, err);
		if (status == LLM_OK)
			status = llm_vocab_add(&l->t->vocab, text.data, text.len, err);
		if (status == LLM_OK)
			status = llm_hf_word_of(l, text, &word, &known, err);
		if (status == LLM_OK)
			status = llm_vocab_add(&l->hf->words, word.data, known ? word.len : 0, err);
		if (status != LLM_OK)
		{
			llm_free(l->hf->allocator, entry_of);
			return status;
		}
		if (known && word.len > l->hf->max_token_bytes)
			l->hf->max_token_bytes = word.len;
	}
	llm_free(l->hf->allocator, entry_of);
	*n_words = n;
	for (size_t i = 0; i < n; i++)
	{
		int32_t		id = (int32_t) entries[i].id;
		int32_t		before;

		if (i % POLL_IDS == 0 && llm_should_stop(l->stop))
			return LLM_PAUSED;
		LLM_TRY(llm_vocab_index_last(&l->t->vocab, id, &before, err));
		*n_words -= before != id;
		if (llm_vocab_bytes(&l->hf->words, id).len > 0)
			LLM_TRY(llm_vocab_index_last(&l->hf->words, id, &before, err));
	}
	return LLM_OK;
}

static LlmStatus
load_trie(LlmHfLoader *l, LlmError *err)
{
	LlmHf	   *hf = l->hf;
	double		lowest = INFINITY;
	size_t		n = l->entries.len / sizeof(VocabEntry);

	LLM_TRY(llm_trie_init(&hf->trie, l->t->seed, hf->allocator, err));
	for (size_t id = 0; id < n; id++)
	{
		LlmStr		text = llm_vocab_bytes(&l->t->vocab, (int32_t) id);
		int32_t		before;

		if (id % POLL_IDS == 0 && llm_should_stop(l->stop))
			return LLM_PAUSED;
		if (hf->score[id] < lowest)
			lowest = hf->score[id];
		if (text.len > 0)
			LLM_TRY(llm_trie_add(&hf->trie, text.data, text.len, (int32_t) id, &before, err));
	}
	hf->unk_score = lowest - 10.0;
	return LLM_OK;
}

/* dropout would make other tokens each time; prefix and suffix tell tokens apart that go on with a word or end one */
static LlmStatus
load_bpe_options(LlmHfLoader *l, const ModelParts *parts, LlmError *err)
{
	LlmHf	   *hf = l->hf;
	LlmJsonReader r = reader(parts->dropout);
	double		dropout = 0;
	LlmStr		suffix;
	LlmStr		word;
	bool		known;

	if (!is_null(parts->dropout))
		LLM_TRY(llm_json_number(&r, &dropout, err));
	if (dropout != 0)
		return llm_fail(err, LLM_E_UNSUPPORTED, "dropout %g of the BPE model of tokenizer.json is not supported", dropout);
	LLM_TRY(read_text(hf, parts->suffix, &suffix, err));
	LLM_TRY(read_text(hf, parts->prefix, &hf->prefix, err));
	l->prefix_len = hf->prefix.len;
	LLM_TRY(llm_hf_word_of(l, suffix, &word, &known, err));
	if (known)
		LLM_TRY(llm_hf_copy(hf, word.data, word.len, &hf->suffix, err));
	LLM_TRY(llm_hf_word_of(l, hf->prefix, &word, &known, err));
	return known ? llm_hf_copy(hf, word.data, word.len, &hf->prefix, err) : LLM_OK;
}

/* what the kinds of models have besides their vocabulary */
static LlmStatus
load_options(LlmHfLoader *l, const ModelParts *parts, LlmError *err)
{
	LlmHf	   *hf = l->hf;
	LlmJsonReader r = reader(parts->unk_id);
	LlmStr		unk;
	double		number;

	hf->fuse_unk = is_true(parts->fuse_unk);
	hf->byte_fallback = is_true(parts->byte_fallback);
	hf->ignore_merges = is_true(parts->ignore_merges);
	hf->unk = -1;
	if (hf->model == LLM_HF_UNIGRAM)
	{
		if (is_null(parts->unk_id))
			return LLM_OK;
		LLM_TRY(llm_json_number(&r, &number, err));
		if (!(number >= 0 && number <= l->max_id) || l->entries.len == 0)
			return llm_fail(err, LLM_E_FORMAT, "unk_id of tokenizer.json is %g, which is not in the vocabulary", number);
		hf->unk = (int32_t) number;
		return LLM_OK;
	}
	LLM_TRY(read_text(hf, parts->unk_token, &unk, err));
	if (hf->model != LLM_HF_BPE && is_null(parts->unk_token))
		unk = hf->model == LLM_HF_WORDPIECE ? (LlmStr) {"[UNK]", 5} : (LlmStr) {"<unk>", 5};
	if (unk.len)
		hf->unk = llm_vocab_find(&l->t->vocab, unk.data, unk.len);
	if (hf->model == LLM_HF_BPE)
		return load_bpe_options(l, parts, err);
	hf->max_word_chars = 100;
	LLM_TRY(read_text(hf, parts->prefix, &hf->prefix, err));
	if (is_null(parts->prefix))
		hf->prefix = (LlmStr) {"##", 2};
	r = reader(parts->max_word_chars);
	if (is_null(parts->max_word_chars))
		return LLM_OK;
	LLM_TRY(llm_json_number(&r, &number, err));
	hf->max_word_chars = number >= 0 && number < 1e9 ? (uint64_t) number : 1000000000;
	return LLM_OK;
}

static bool
is_empty(LlmStr span)
{
	return is_null(span) || (span.len == 2 && memcmp(span.data, "\"\"", 2) == 0);
}

/*
 * Whether words are bytes: just one step maps to GPT-2's alphabet, and none behind it puts other characters in. A mapped word
 * whose characters are told apart by their place stays in the alphabet.
 */
static void
find_byte_level(LlmHf *hf, const ModelParts *parts)
{
	int			n_normal = 0;
	int			n_words = 0;
	bool		other = false;

	for (int i = 0; i < hf->normalizer.n; i++)
	{
		other = other || n_normal > 0;
		n_normal += hf->normalizer.step[i].kind == LLM_HF_BYTE_NORMALIZER;
	}
	for (int i = 0; i < hf->pre_tokenizer.n; i++)
	{
		other = other || (n_normal + n_words > 0 && hf->pre_tokenizer.step[i].kind == LLM_HF_METASPACE);
		n_words += hf->pre_tokenizer.step[i].kind == LLM_HF_BYTE_LEVEL;
	}
	other = other || ((n_normal == 1 || hf->pre_tokenizer.n == 0 || hf->pre_tokenizer.step[hf->pre_tokenizer.n - 1].kind != LLM_HF_BYTE_LEVEL) &&
					  !(is_empty(parts->prefix) && is_empty(parts->suffix)));
	hf->byte_level = hf->model == LLM_HF_BPE && n_normal + n_words == 1 && !other && !is_true(parts->byte_fallback);
	hf->mapped = hf->byte_level && (n_normal == 1 || hf->pre_tokenizer.step[hf->pre_tokenizer.n - 1].kind != LLM_HF_BYTE_LEVEL);
}

static LlmStatus
load_vocabulary(LlmHfLoader *l, const ModelParts *parts, LlmStr added, LlmError *err)
{
	LlmTokenizer *t = l->t;
	LlmHf	   *hf = l->hf;
	LlmBuf		scores;
	size_t		n_words = 0;
	uint32_t	n_ids;
	LlmStatus	status;

	llm_buf_init(&scores, hf->allocator);
	status = hf->model == LLM_HF_UNIGRAM ? list_scored_entries(l, &scores, err) : list_entries(l, err);
	hf->score = (double *) scores.data;	/* the tokenizer's from here on */
	hf->n_score = scores.len / sizeof(double);
	LLM_TRY(status);
	n_ids = l->entries.len ? l->max_id + 1 : 0;
	if (n_ids > SPARE_IDS + 16 * (l->entries.len / sizeof(VocabEntry)))
		return llm_fail(err, LLM_E_LIMIT, "the vocabulary of tokenizer.json has the id %lu, but only %zu tokens",
						(unsigned long) l->max_id, l->entries.len / sizeof(VocabEntry));
	LLM_TRY(llm_vocab_init(&t->vocab, n_ids, t->seed, hf->allocator, err));
	LLM_TRY(llm_vocab_init(&hf->words, n_ids, t->seed, hf->allocator, err));
	LLM_TRY(load_words(l, n_ids, &n_words, err));
	LLM_TRY(load_options(l, parts, err));
	if (hf->model == LLM_HF_BPE)
		LLM_TRY(llm_hf_load_merges(l, parts->merges, err));
	if (hf->model == LLM_HF_UNIGRAM)
		LLM_TRY(load_trie(l, err));
	return llm_hf_read_added(t, added, (int32_t) n_ids, n_words, err);
}

LlmStatus
llm_hf_read_model(LlmTokenizer *t, LlmStr model, LlmStr added, const LlmStop *stop, LlmError *err)
{
	LlmHfLoader l = {.t = t, .hf = t->hf, .stop = stop};
	ModelParts	parts;
	LlmStatus	status;

	if (model.len > MAX_SECTION_BYTES)
		return llm_fail(err, LLM_E_LIMIT, "the model of tokenizer.json has %zu bytes, at most %zu are allowed", model.len, MAX_SECTION_BYTES);
	llm_buf_init(&l.entries, t->allocator);
	llm_buf_init(&l.scratch, t->allocator);
	llm_buf_init(&l.decoded, t->allocator);
	status = split_model(&l, model, &parts, err);
	if (status == LLM_OK)
		status = find_kind(t->hf, &parts, err);
	if (status == LLM_OK && !parts.vocab.data)
		status = llm_fail(err, LLM_E_FORMAT, "the model of tokenizer.json has no vocabulary");
	if (status == LLM_OK)
	{
		find_byte_level(t->hf, &parts);
		l.section = parts.vocab;
		status = load_vocabulary(&l, &parts, added, err);
	}
	llm_buf_free(&l.entries);
	llm_buf_free(&l.scratch);
	llm_buf_free(&l.decoded);
	return status;
}
