/*
 * stored_tokenizer.c: a finished tokenizer as tables (tables.h), and one that uses them where they lie.
 *
 * Tables are made once, beside the packed weights of a model, so that a session that opens it builds nothing. What is small
 * or no table (patterns, the character map, steps of tokenizer.json) is made from the metadata as ever. Whoever changes what is put here, or
 * what a kind makes of its metadata, raises LLM_TOKENIZER_TABLES: tables with another number are left unused.
 */
#include "text/hf.h"

#include <stdio.h>
#include <string.h>

#define LLM_TOKENIZER_TABLES 2
#define N_FLAGS 10

/* the numbers of a tokenizer; all that is no table */
typedef struct StoredHead
{
	uint32_t	version;
	uint32_t	kind;
	int32_t		n_vocab;
	int32_t		special[5];		/* bos, eos, eot, unknown, separator: a token, or -1 */
	uint32_t	flags;
	float		unknown_score;
	uint64_t	max_token_bytes;
	int32_t		byte_token[256];
	char		kind_name[64];
} StoredHead;

static void
list_flags(LlmTokenizer *t, bool *flags[N_FLAGS])
{
	bool	   *const all[N_FLAGS] = {&t->add_bos, &t->add_eos, &t->add_space_prefix, &t->has_user_defined, &t->ignore_merges,
	&t->cut_at_spaces, &t->lowercase, &t->strip_accents, &t->merge_spaces, &t->merges_listed};

	memcpy(flags, all, sizeof(all));
}

/* ---- into tables ---- */

static void
fill_head(const LlmTokenizer *t, StoredHead *head)
{
	bool	   *flags[N_FLAGS];

	memset(head, 0, sizeof(*head));
	head->version = LLM_TOKENIZER_TABLES;
	head->kind = t->kind;
	head->n_vocab = t->n_vocab;
	head->special[0] = t->bos;
	head->special[1] = t->eos;
	head->special[2] = t->eot;
	head->special[3] = t->unknown;
	head->special[4] = t->separator;
	head->unknown_score = t->unknown_score;
	head->max_token_bytes = t->max_token_bytes;
	memcpy(head->byte_token, t->byte_token, sizeof(head->byte_token));
	memcpy(head->kind_name, t->kind_name, sizeof(head->kind_name));
	list_flags((LlmTokenizer *) t, flags);
	for (int i = 0; i < N_FLAGS; i++)
		head->flags |= (uint32_t) *flags[i] << i;
}

static LlmStatus
put(const LlmTokenizer *t, const LlmMeta *meta, LlmBuf *out, LlmError *err)
{
	StoredHead	head;

	fill_head(t, &head);
	LLM_TRY(llm_tables_put(out, &head, 1, sizeof(head), err));
	LLM_TRY(llm_tables_put(out, t->info, (size_t) t->n_vocab, sizeof(LlmTokenInfo), err));
	LLM_TRY(llm_vocab_put(&t->vocab, out, err));
	if (t->kind == LLM_KIND_HF)
		return llm_hf_put_tables(t, meta, out, err);
	LLM_TRY(llm_tables_put(out, t->special, (size_t) t->special_first[256], sizeof(int32_t), err));
	if (t->kind == LLM_KIND_BPE || t->merges_listed)
		return llm_merges_put(&t->merges, out, err);
	if (t->kind == LLM_KIND_SPM)
		return llm_tables_put(out, t->token_rank, (size_t) t->n_vocab, sizeof(uint32_t), err);
	if (t->kind == LLM_KIND_UNIGRAM)
		return llm_tables_put(out, t->token_score, (size_t) t->n_vocab, sizeof(float), err);
	return LLM_OK;
}

LlmStatus
llm_tokenizer_tables(const LlmMeta *meta, uint64_t seed, const LlmAllocator *a, const LlmStop *stop, LlmBuf *out, LlmError *err)
{
	const size_t len = out->len;
	LlmTokenizer *t;
	LlmError	own;
	LlmStatus	status;

	if (!llm_meta_find(meta, "tokenizer.ggml.model"))
		return LLM_OK;
	status = llm_tokenizer_create_seeded(meta, seed, a, stop, &t, &own);
	if (status == LLM_OK)
	{
		status = put(t, meta, out, &own);
		llm_tokenizer_free(t);
	}
	if (status != LLM_OK)
		out->len = len;
	if (status == LLM_PAUSED || status == LLM_OK)
		return status;
	if (status == LLM_E_NOMEM)
	{
		if (err)
			*err = own;
		return status;
	}
	return LLM_OK;				/* whoever opens the model is told */
}

/* ---- and from there ---- */

static LlmStatus
check_head(const StoredHead *head, LlmError *err)
{
	if (head->n_vocab < 1 || head->kind > LLM_KIND_NONE || head->kind_name[sizeof(head->kind_name) - 1] != '\0' ||
		!llm_tables_in_range(head->special, 5, -1, head->n_vocab) ||
		!llm_tables_in_range(head->byte_token, 256, -1, head->n_vocab))
		return llm_tables_damaged("head", err);
	return LLM_OK;
}

static void
take_head(LlmTokenizer *t, const StoredHead *head)
{
	bool	   *flags[N_FLAGS];

	t->kind = (LlmTokenizerKind) head->kind;
	t->n_vocab = head->n_vocab;
	t->bos = head->special[0];
	t->eos = head->special[1];
	t->eot = head->special[2];
	t->unknown = head->special[3];
	t->separator = head->special[4];
	t->unknown_score = head->unknown_score;
	t->max_token_bytes = (size_t) head->max_token_bytes;
	memcpy(t->byte_token, head->byte_token, sizeof(t->byte_token));
	memcpy(t->kind_name, head->kind_name, sizeof(t->kind_name));
	list_flags(t, flags);
	for (int i = 0; i < N_FLAGS; i++)
		*flags[i] = (head->flags >> i & 1) != 0;
}

/* one byte of type, the others are flags */
static LlmStatus
get_info(LlmTokenizer *t, LlmTables *tables, LlmError *err)
{
	const void *info;
	const uint8_t *bytes;
	uint8_t		wrong = 0;

	LLM_TRY(llm_tables_get_n(tables, sizeof(LlmTokenInfo), (size_t) t->n_vocab, &info, err));
	bytes = info;
	for (size_t i = 0; i < (size_t) t->n_vocab * sizeof(LlmTokenInfo); i++)
		wrong |= i % sizeof(LlmTokenInfo) == offsetof(LlmTokenInfo, type) ? 0 : bytes[i] & 0xFE;
	t->info = (LlmTokenInfo *) info;
	return wrong ? llm_tables_damaged("list of tokens", err) : LLM_OK;
}

static LlmStatus
get_special(LlmTokenizer *t, LlmTables *tables, LlmError *err)
{
	const void *special;
	size_t		n;

	LLM_TRY(llm_tables_get(tables, sizeof(int32_t), &n, &special, err));
	if (n > (size_t) t->n_vocab || !llm_tables_in_range(special, n, 0, t->n_vocab))
		return llm_tables_damaged("list of special tokens", err);
	if (t->kind == LLM_KIND_NONE)
		return LLM_OK;			/* its texts are never looked for */
	t->special = (int32_t *) special;
	return llm_special_tokens_index(t, (uint32_t) n, err);
}

/* what a kind has beside its vocabulary */
static LlmStatus
get_kind(LlmTokenizer *t, const LlmMeta *meta, LlmTables *tables, LlmError *err)
{
	const void *array;

	switch (t->kind)
	{
		case LLM_KIND_BPE:
			LLM_TRY(llm_bpe_load_pretokenizer(t, meta, err));
			return llm_merges_get(&t->merges, tables, t->vocab.n_symbols, err);
		case LLM_KIND_SPM:
			if (t->merges_listed)
				return llm_merges_get(&t->merges, tables, t->vocab.n_symbols, err);
			LLM_TRY(llm_tables_get_n(tables, sizeof(uint32_t), (size_t) t->n_vocab, &array, err));
			t->token_rank = (uint32_t *) array;
			return LLM_OK;
		case LLM_KIND_UNIGRAM:
			LLM_TRY(llm_char_map_load(meta, &t->char_map, err));
			LLM_TRY(llm_tables_get_n(tables, sizeof(float), (size_t) t->n_vocab, &array, err));
			t->token_score = (float *) array;
			return LLM_OK;
		default:
			return LLM_OK;
	}
}

static LlmStatus
get(LlmTokenizer *t, const LlmMeta *meta, LlmTables *tables, const StoredHead *head, LlmError *err)
{
	LLM_TRY(check_head(head, err));
	take_head(t, head);
	LLM_TRY(get_info(t, tables, err));
	LLM_TRY(llm_vocab_get(&t->vocab, tables, err));
	if (t->vocab.n_symbols < t->n_vocab || (t->vocab.n_symbols > t->n_vocab && t->kind != LLM_KIND_BPE))
		return llm_tables_damaged("vocabulary", err);
	if (t->kind == LLM_KIND_HF)
		return llm_hf_get_tables(t, meta, tables, err);
	LLM_TRY(llm_meta_array(meta, "tokenizer.ggml.tokens", true, LLM_META_STRING, &t->tokens, err));
	if (t->tokens->count != (uint64_t) t->n_vocab)
		return llm_tables_damaged("number of tokens", err);
	LLM_TRY(get_special(t, tables, err));
	return get_kind(t, meta, tables, err);
}

LlmStatus
llm_tokenizer_open(const LlmMeta *meta, const void *bytes, size_t n_bytes, const LlmAllocator *a, const LlmStop *stop, LlmTokenizer **out,
				   LlmError *err)
{
	LlmTables	tables = {bytes, n_bytes, 0};
	const void *head;
	void	   *t;
	LlmStatus	status;

	if (n_bytes == 0)
		return llm_tokenizer_create_with(meta, a, stop, out, err);
	LLM_TRY(llm_tables_get_n(&tables, sizeof(StoredHead), 1, &head, err));
	if (((const StoredHead *) head)->version != LLM_TOKENIZER_TABLES)
		return llm_tokenizer_create_with(meta, a, stop, out, err);
	LLM_TRY(llm_alloc_zero(a, 1, sizeof(LlmTokenizer), &t, err));
	((LlmTokenizer *) t)->allocator = a;
	((LlmTokenizer *) t)->borrowed = true;
	status = get(t, meta, &tables, head, err);
	if (status != LLM_OK)
	{
		llm_tokenizer_free(t);
		return status;
	}
	*out = t;
	return LLM_OK;
}
