/*
 * hf_stored.c: a tokenizer of tokenizer.json as tables, and from there (stored_tokenizer.c says what for). The steps of normalizer,
 * pre-tokenizer and decoder are read from their sections of the file, whose places are kept; the rest of the file is not looked at.
 */
#include "text/hf.h"

#include <string.h>

#define N_FLAGS 8
#define N_SECTIONS 3
#define ABSENT UINT64_MAX

typedef struct StoredPiece
{
	int32_t		id;
	uint32_t	type_id;
	uint32_t	second;
} StoredPiece;

typedef struct StoredSpan
{
	uint64_t	off;
	uint64_t	len;
} StoredSpan;

typedef struct StoredHf
{
	StoredSpan	section[N_SECTIONS];	/* of the file; off ABSENT: none */
	uint64_t	max_word_chars;
	uint64_t	max_token_bytes;
	double		unk_score;
	uint32_t	model;
	uint32_t	flags;
	int32_t		unk;
	int32_t		char_token[128];
} StoredHf;

/* texts lie in one array of bytes */
typedef struct StoredAdded
{
	StoredSpan	content;
	StoredSpan	pattern;
	int32_t		id;
	uint32_t	flags;
} StoredAdded;

static void
list_flags(LlmHf *hf, bool *flags[N_FLAGS])
{
	bool	   *const all[N_FLAGS] = {&hf->byte_level, &hf->mapped, &hf->ignore_merges, &hf->byte_fallback, &hf->fuse_unk,
	&hf->cut_at_marks, &hf->has_raw, &hf->has_normal};

	memcpy(flags, all, sizeof(all));
}

/* ---- into tables ---- */

static LlmStatus
put_head(const LlmHf *hf, LlmStr json, LlmBuf *out, LlmError *err)
{
	StoredHf	head;
	bool	   *flags[N_FLAGS];

	memset(&head, 0, sizeof(head));
	for (int i = 0; i < N_SECTIONS; i++)
	{
		LlmStr		s = hf->section[i];

		head.section[i] = (StoredSpan) {s.data ? (uint64_t) (s.data - json.data) : ABSENT, s.len};
	}
	head.max_word_chars = hf->max_word_chars;
	head.max_token_bytes = hf->max_token_bytes;
	head.unk_score = hf->unk_score;
	head.model = hf->model;
	head.unk = hf->unk;
	memcpy(head.char_token, hf->char_token, sizeof(head.char_token));
	list_flags((LlmHf *) hf, flags);
	for (int i = 0; i < N_FLAGS; i++)
		head.flags |= (uint32_t) *flags[i] << i;
	LLM_TRY(llm_tables_put(out, &head, 1, sizeof(head), err));
	LLM_TRY(llm_tables_put(out, hf->prefix.data, hf->prefix.len, 1, err));
	return llm_tables_put(out, hf->suffix.data, hf->suffix.len, 1, err);
}

static LlmStatus
put_template(const LlmHfTemplate *template, LlmBuf *out, LlmError *err)
{
	StoredPiece pieces[LLM_HF_MAX_PIECES];

	for (int i = 0; i < template->n; i++)
		pieces[i] = (StoredPiece) {template->piece[i].id, template->piece[i].type_id, template->piece[i].second};
	return llm_tables_put(out, pieces, (size_t) template->n, sizeof(StoredPiece), err);
}

static LlmStatus
add_text(LlmBuf *texts, LlmStr s, StoredSpan *span, LlmError *err)
{
	*span = (StoredSpan) {texts->len, s.len};
	return llm_buf_append(texts, s.data, s.len, err);
}

static LlmStatus
gather_added(const LlmHf *hf, LlmBuf *list, LlmBuf *texts, LlmError *err)
{
	for (size_t i = 0; i < hf->n_added; i++)
	{
		const LlmHfAdded *a = &hf->added[i];
		StoredAdded stored;

		memset(&stored, 0, sizeof(stored));
		LLM_TRY(add_text(texts, a->content, &stored.content, err));
		LLM_TRY(add_text(texts, a->pattern, &stored.pattern, err));
		stored.id = a->id;
		stored.flags = (uint32_t) a->special | (uint32_t) a->normalized << 1 | (uint32_t) a->single_word << 2 |
			(uint32_t) a->lstrip << 3 | (uint32_t) a->rstrip << 4;
		LLM_TRY(llm_buf_append(list, &stored, sizeof(stored), err));
	}
	return LLM_OK;
}

static LlmStatus
put_added(const LlmTokenizer *t, LlmBuf *out, LlmError *err)
{
	const LlmHf *hf = t->hf;
	LlmBuf		list;
	LlmBuf		texts;
	LlmStatus	status;

	llm_buf_init(&list, hf->allocator);
	llm_buf_init(&texts, hf->allocator);
	status = gather_added(hf, &list, &texts, err);
	if (status == LLM_OK)
		status = llm_tables_put(out, list.data, hf->n_added, sizeof(StoredAdded), err);
	if (status == LLM_OK)
		status = llm_tables_put(out, texts.data, texts.len, 1, err);
	llm_buf_free(&list);
	llm_buf_free(&texts);
	LLM_TRY(status);
	LLM_TRY(llm_tables_put(out, hf->added_of, (size_t) t->n_vocab, sizeof(int32_t), err));
	LLM_TRY(llm_trie_put(&hf->raw_added, out, err));
	return llm_trie_put(&hf->normal_added, out, err);
}

LlmStatus
llm_hf_put_tables(const LlmTokenizer *t, const LlmMeta *meta, LlmBuf *out, LlmError *err)
{
	const LlmHf *hf = t->hf;
	LlmStr		json;

	LLM_TRY(llm_meta_string(meta, LLM_HF_JSON_KEY, true, &json, err));
	LLM_TRY(put_head(hf, json, out, err));
	LLM_TRY(put_template(&hf->single, out, err));
	LLM_TRY(put_template(&hf->pair, out, err));
	LLM_TRY(put_added(t, out, err));
	LLM_TRY(llm_vocab_put(&hf->words, out, err));
	if (hf->model == LLM_HF_BPE)
		return llm_merges_put(&t->merges, out, err);
	if (hf->model != LLM_HF_UNIGRAM)
		return LLM_OK;
	LLM_TRY(llm_tables_put(out, hf->score, hf->n_score, sizeof(double), err));
	return llm_trie_put(&hf->trie, out, err);
}

/* ---- and from there ---- */

static LlmStatus
get_span(StoredSpan span, LlmStr from, LlmStr *out, LlmError *err)
{
	if (span.off > from.len || span.len > from.len - span.off)
		return llm_tables_damaged("place of a text", err);
	*out = (LlmStr) {from.data + span.off, (size_t) span.len};
	return LLM_OK;
}

static LlmStatus
get_head(LlmHf *hf, LlmStr json, int32_t n_vocab, LlmTables *tables, LlmError *err)
{
	const StoredHf *head;
	const void *memory;
	bool	   *flags[N_FLAGS];

	LLM_TRY(llm_tables_get_n(tables, sizeof(StoredHf), 1, &memory, err));
	head = memory;
	if (head->model > LLM_HF_WORDLEVEL || head->unk < -1 || head->unk >= n_vocab || !llm_tables_in_range(head->char_token, 128, -1, n_vocab))
		return llm_tables_damaged("head", err);
	for (int i = 0; i < N_SECTIONS; i++)
		if (head->section[i].off != ABSENT)
			LLM_TRY(get_span(head->section[i], json, &hf->section[i], err));
	hf->max_word_chars = head->max_word_chars;
	hf->max_token_bytes = (size_t) head->max_token_bytes;
	hf->unk_score = head->unk_score;
	hf->model = (LlmHfModelKind) head->model;
	hf->unk = head->unk;
	memcpy(hf->char_token, head->char_token, sizeof(hf->char_token));
	list_flags(hf, flags);
	for (int i = 0; i < N_FLAGS; i++)
		*flags[i] = (head->flags >> i & 1) != 0;
	LLM_TRY(llm_tables_get(tables, 1, &hf->prefix.len, &memory, err));
	hf->prefix.data = memory;
	LLM_TRY(llm_tables_get(tables, 1, &hf->suffix.len, &memory, err));
	hf->suffix.data = memory;
	return LLM_OK;
}

static LlmStatus
get_template(LlmHfTemplate *template, int32_t n_vocab, LlmTables *tables, LlmError *err)
{
	const StoredPiece *pieces;
	const void *memory;
	size_t		n;

	LLM_TRY(llm_tables_get(tables, sizeof(StoredPiece), &n, &memory, err));
	if (n > LLM_HF_MAX_PIECES)
		return llm_tables_damaged("template", err);
	pieces = memory;
	for (size_t i = 0; i < n; i++)
	{
		if (pieces[i].id < -1 || pieces[i].id >= n_vocab)
			return llm_tables_damaged("template", err);
		template->piece[i] = (LlmHfPiece) {pieces[i].id, pieces[i].second != 0, pieces[i].type_id};
	}
	template->n = (int) n;
	return LLM_OK;
}

static LlmStatus
get_added_list(LlmHf *hf, int32_t n_vocab, LlmTables *tables, LlmError *err)
{
	const StoredAdded *list;
	const void *memory;
	void	   *added;
	LlmStr		texts;

	LLM_TRY(llm_tables_get(tables, sizeof(StoredAdded), &hf->n_added, &memory, err));
	list = memory;
	LLM_TRY(llm_tables_get(tables, 1, &texts.len, &memory, err));
	texts.data = memory;
	if (hf->n_added > (size_t) n_vocab)
		return llm_tables_damaged("list of added tokens", err);
	LLM_TRY(llm_arena_alloc(&hf->arena, hf->n_added, sizeof(LlmHfAdded), &added, err));
	hf->added = added;
	for (size_t i = 0; i < hf->n_added; i++)
	{
		LlmHfAdded *a = &hf->added[i];
		const uint32_t flags = list[i].flags;

		memset(a, 0, sizeof(*a));
		LLM_TRY(get_span(list[i].content, texts, &a->content, err));
		LLM_TRY(get_span(list[i].pattern, texts, &a->pattern, err));
		if (list[i].id < 0 || list[i].id >= n_vocab || a->content.len == 0 || a->pattern.len == 0)
			return llm_tables_damaged("list of added tokens", err);
		a->id = list[i].id;
		a->special = flags & 1;
		a->normalized = flags >> 1 & 1;
		a->single_word = flags >> 2 & 1;
		a->lstrip = flags >> 3 & 1;
		a->rstrip = flags >> 4 & 1;
	}
	return LLM_OK;
}

/* the trees must lead from a text to the token whose pattern it is, as lengths of texts are taken from there */
static LlmStatus
check_added_tree(const LlmHf *hf, const LlmTrie *trie, LlmError *err)
{
	size_t		n_values = 0;
	size_t		n_found = 0;

	for (size_t i = 0; i < trie->n_slots; i++)
		n_values += trie->slots[i].child != 0 && trie->slots[i].value >= 0;
	for (size_t i = 0; i < hf->n_added; i++)
	{
		const LlmStr s = hf->added[i].pattern;
		const LlmTrieEdge *edge = NULL;
		uint32_t	node = 0;

		for (size_t k = 0; k < s.len && (k == 0 || edge); k++)
		{
			edge = llm_trie_step(trie, node, (uint8_t) s.data[k]);
			node = edge ? edge->child : 0;
		}
		n_found += edge && edge->value == (int32_t) i;
	}
	return n_found == n_values ? LLM_OK : llm_tables_damaged("tree of added tokens", err);
}

static LlmStatus
get_added(LlmHf *hf, int32_t n_vocab, LlmTables *tables, LlmError *err)
{
	const void *memory;

	LLM_TRY(get_added_list(hf, n_vocab, tables, err));
	LLM_TRY(llm_tables_get_n(tables, sizeof(int32_t), (size_t) n_vocab, &memory, err));
	if (!llm_tables_in_range(memory, (size_t) n_vocab, -1, (int32_t) hf->n_added))
		return llm_tables_damaged("list of added tokens", err);
	hf->added_of = (int32_t *) memory;
	LLM_TRY(llm_trie_get(&hf->raw_added, tables, (int32_t) hf->n_added, err));
	LLM_TRY(llm_trie_get(&hf->normal_added, tables, (int32_t) hf->n_added, err));
	LLM_TRY(check_added_tree(hf, &hf->raw_added, err));
	return check_added_tree(hf, &hf->normal_added, err);
}

static LlmStatus
get_model(LlmTokenizer *t, LlmTables *tables, LlmError *err)
{
	LlmHf	   *hf = t->hf;
	const void *memory;

	LLM_TRY(llm_vocab_get(&hf->words, tables, err));
	if (hf->words.n_symbols != t->n_vocab)
		return llm_tables_damaged("words", err);
	if (hf->model == LLM_HF_BPE)
		return llm_merges_get(&t->merges, tables, t->n_vocab, err);
	if (hf->model != LLM_HF_UNIGRAM)
		return LLM_OK;
	LLM_TRY(llm_tables_get(tables, sizeof(double), &hf->n_score, &memory, err));
	if (hf->n_score > (size_t) t->n_vocab)
		return llm_tables_damaged("list of scores", err);
	hf->score = (double *) memory;
	return llm_trie_get(&hf->trie, tables, (int32_t) hf->n_score, err);
}

LlmStatus
llm_hf_get_tables(LlmTokenizer *t, const LlmMeta *meta, LlmTables *tables, LlmError *err)
{
	LlmStr		json;

	LLM_TRY(llm_meta_string(meta, LLM_HF_JSON_KEY, true, &json, err));
	LLM_TRY(llm_hf_begin(t, err));
	t->hf->borrowed = true;
	LLM_TRY(get_head(t->hf, json, t->n_vocab, tables, err));
	LLM_TRY(get_template(&t->hf->single, t->n_vocab, tables, err));
	LLM_TRY(get_template(&t->hf->pair, t->n_vocab, tables, err));
	LLM_TRY(get_added(t->hf, t->n_vocab, tables, err));
	LLM_TRY(get_model(t, tables, err));
	return llm_hf_read_steps(t->hf, err);
}
