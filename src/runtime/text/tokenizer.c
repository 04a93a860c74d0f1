/*
 * tokenizer.c: making a tokenizer from a model's metadata, and the way of a text through it and back.
 */
#include "base/str.h"
#include "text/hf.h"

#include <stdio.h>
#include <string.h>

#define MAX_VOCAB (1 << 24)
#define MAX_TEXT_BYTES ((size_t) INT32_MAX - 1)

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int
llm_byte_token_value(LlmStr text)
{
	int			high;
	int			low;

	if (text.len != 6 || memcmp(text.data, "<0x", 3) != 0 || text.data[5] != '>')
		return -1;
	high = hex_digit(text.data[3]);
	low = hex_digit(text.data[4]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* in order of their names */
static const LlmTokenizerKindInfo kinds[] = {
	{"bert", "WordPiece", LLM_KIND_WORDPIECE},
	{"gemma4", "SentencePiece BPE with a list of merges", LLM_KIND_SPM},
	{"gpt2", "byte-level BPE; the model names its pre-tokenizer", LLM_KIND_BPE},
	{"huggingface", "tokenizer.json of the Hugging Face tokenizers library", LLM_KIND_HF},
	{"llama", "SentencePiece BPE", LLM_KIND_SPM},
	{"none", "no tokenizer: token ids only", LLM_KIND_NONE},
	{"t5", "SentencePiece unigram", LLM_KIND_UNIGRAM},
};

#define N_KINDS ((int) (sizeof(kinds) / sizeof(kinds[0])))

const LlmTokenizerKindInfo *
llm_tokenizer_kinds(int *n)
{
	*n = N_KINDS;
	return kinds;
}

/* SentencePiece BPE with a list of merges is named by its model or, of a model that calls itself byte-level, by its pre-tokenizer */
static LlmStatus
find_listed_merges(LlmTokenizer *t, LlmStr model, const LlmMeta *meta, LlmError *err)
{
	static const char *const models[] = {"gemma4", NULL};
	static const char *const pres[] = {"gemma4", "granite-embed-multi-311m", "sarvam-moe", NULL};
	LlmStr		pre = {"", 0};

	LLM_TRY(llm_meta_string(meta, "tokenizer.ggml.pre", false, &pre, err));
	t->merges_listed = llm_str_is_one_of(model, models) || (t->kind == LLM_KIND_BPE && llm_str_is_one_of(pre, pres));
	if (t->merges_listed)
		t->kind = LLM_KIND_SPM;
	return LLM_OK;
}

/* which kind */
static LlmStatus
load_kind(LlmTokenizer *t, const LlmMeta *meta, LlmError *err)
{
	LlmStr		name;

	LLM_TRY(llm_meta_string(meta, "tokenizer.ggml.model", true, &name, err));
	for (int i = 0; i < N_KINDS; i++)
	{
		if (name.len != strlen(kinds[i].name) || memcmp(name.data, kinds[i].name, name.len) != 0)
			continue;
		t->kind = kinds[i].kind;
		return find_listed_merges(t, name, meta, err);
	}
	llm_fail(err, LLM_E_UNSUPPORTED, "tokenizer \"%.*s\" is not supported", (int) (name.len < 64 ? name.len : 64), name.data);
	llm_error_detail(err, "The model's metadata names it as tokenizer.ggml.model; \"gpt2\" (byte-level BPE), "
					 "\"llama\" and \"gemma4\" (SentencePiece BPE), \"bert\" (WordPiece), \"t5\" (unigram) and \"huggingface\" (tokenizer.json) are supported.");
	return LLM_E_UNSUPPORTED;
}

static LlmStatus
load_types(LlmTokenizer *t, const LlmMeta *meta, LlmError *err)
{
	const LlmMetaEntry *entry = llm_meta_find(meta, "tokenizer.ggml.token_type");
	void	   *info;

	LLM_TRY(llm_alloc_zero(t->allocator, (size_t) t->n_vocab, sizeof(LlmTokenInfo), &info, err));
	t->info = info;
	if (entry && (entry->type != LLM_META_ARRAY || entry->array.type == LLM_META_STRING ||
				  entry->array.type == LLM_META_FLOAT32 || entry->array.type == LLM_META_FLOAT64))
		return llm_fail(err, LLM_E_FORMAT, "tokenizer.ggml.token_type is not an array of integers");
	if (entry && entry->array.count < (uint64_t) t->n_vocab)
		return llm_fail(err, LLM_E_FORMAT, "tokenizer.ggml.token_type has %llu elements for %d tokens",
						(unsigned long long) entry->array.count, (int) t->n_vocab);
	for (int32_t id = 0; id < t->n_vocab; id++)
	{
		int64_t		type = entry ? llm_meta_array_int(&entry->array, (uint64_t) id) : LLM_TOKEN_NORMAL;

		t->info[id].type = type > LLM_TOKEN_NORMAL && type <= LLM_TOKEN_BYTE ? (uint8_t) type : LLM_TOKEN_NORMAL;
	}
	return LLM_OK;
}

static LlmStatus
load_tokens(LlmTokenizer *t, const LlmMeta *meta, LlmError *err)
{
	LLM_TRY(llm_meta_array(meta, "tokenizer.ggml.tokens", true, LLM_META_STRING, &t->tokens, err));
	if (t->tokens->count == 0)
		return llm_fail(err, LLM_E_FORMAT, "tokenizer.ggml.tokens is empty");
	if (t->tokens->count > MAX_VOCAB)
		return llm_fail(err, LLM_E_LIMIT, "vocabulary has %llu tokens, at most %d are allowed",
						(unsigned long long) t->tokens->count, MAX_VOCAB);
	t->n_vocab = (int32_t) t->tokens->count;
	return load_types(t, meta, err);
}

LlmStatus
llm_bpe_load_pretokenizer(LlmTokenizer *t, const LlmMeta *meta, LlmError *err)
{
	LlmStr		pre = {"default", 7};
	LlmPretokenizerTraits traits;

	LLM_TRY(llm_meta_string(meta, "tokenizer.ggml.pre", false, &pre, err));
	LLM_TRY(llm_pretokenizer_create(pre, t->allocator, &t->pretokenizer, &traits, err));
	snprintf(t->kind_name, sizeof(t->kind_name), "bpe/%.*s", (int) pre.len, pre.data);
	t->ignore_merges = traits.ignore_merges;
	t->digit_bytes = traits.digit_bytes;
	t->add_bos = t->borrowed ? t->add_bos : traits.add_bos;
	return LLM_OK;
}

static LlmStatus
load_bpe(LlmTokenizer *t, const LlmMeta *meta, LlmError *err)
{
	LLM_TRY(llm_bpe_load_pretokenizer(t, meta, err));
	return llm_bpe_load(t, meta, err);
}

static LlmStatus
load_spm(LlmTokenizer *t, const LlmMeta *meta, LlmError *err)
{
	snprintf(t->kind_name, sizeof(t->kind_name), "spm");
	t->add_bos = true;
	t->add_space_prefix = !t->merges_listed;
	LLM_TRY(llm_meta_bool(meta, "tokenizer.ggml.add_space_prefix", false, &t->add_space_prefix, err));
	return llm_spm_load(t, meta, err);
}

/* a text of such a model is always between its first and last token, [CLS] and [SEP] */
static LlmStatus
load_wordpiece(LlmTokenizer *t, const LlmMeta *meta, LlmError *err)
{
	snprintf(t->kind_name, sizeof(t->kind_name), "wordpiece");
	t->add_space_prefix = true;
	LLM_TRY(llm_wordpiece_load(t, meta, err));
	t->add_bos = true;
	t->add_eos = true;
	return LLM_OK;
}

static LlmStatus
load_unigram(LlmTokenizer *t, const LlmMeta *meta, LlmError *err)
{
	snprintf(t->kind_name, sizeof(t->kind_name), "unigram");
	t->add_eos = true;
	t->add_space_prefix = true;
	LLM_TRY(llm_meta_bool(meta, "tokenizer.ggml.add_space_prefix", false, &t->add_space_prefix, err));
	return llm_unigram_load(t, meta, err);
}

/* pre-tokenizers that RoBERTa and its kin have, and no other */
static bool
pairs_as_roberta(const LlmMeta *meta)
{
	static const char *const names[] = {"roberta-bpe", "jina-v1-en", "jina-v2-code", NULL};
	LlmStr		pre = {"", 0};
	LlmError	unused;

	return llm_meta_string(meta, "tokenizer.ggml.pre", false, &pre, &unused) == LLM_OK && llm_str_is_one_of(pre, names);
}

/*
 * The texts of a pair are parted by what ends a text and, in RoBERTa's way, by one more separator: as the metadata says, else
 * with its kinds of tokenizer. WordPiece is BERT's, which has one, whatever the metadata says.
 */
static LlmStatus
load_separator(LlmTokenizer *t, const LlmMeta *meta, LlmError *err)
{
	uint64_t	id = UINT64_MAX;
	bool		add = t->kind == LLM_KIND_UNIGRAM || pairs_as_roberta(meta);

	t->separator = -1;
	if (t->kind == LLM_KIND_WORDPIECE)
		return LLM_OK;
	LLM_TRY(llm_meta_bool(meta, "tokenizer.ggml.add_sep_token", false, &add, err));
	LLM_TRY(llm_meta_uint(meta, "tokenizer.ggml.seperator_token_id", false, UINT32_MAX, &id, err));
	if (add)
		t->separator = id < (uint64_t) t->n_vocab ? (int32_t) id : t->eos;
	return LLM_OK;
}

/* the texts are names of ids, which only tools show */
static LlmStatus
load_none(LlmTokenizer *t, LlmError *err)
{
	snprintf(t->kind_name, sizeof(t->kind_name), "none");
	LLM_TRY(llm_vocab_init(&t->vocab, (size_t) t->n_vocab, t->seed, t->allocator, err));
	for (int32_t id = 0; id < t->n_vocab; id++)
	{
		LlmStr		text = llm_token_string(t, id);

		LLM_TRY(llm_vocab_add(&t->vocab, text.data, text.len, err));
	}
	return LLM_OK;
}

static LlmStatus
refuse_text(LlmError *err)
{
	llm_fail(err, LLM_E_UNSUPPORTED, "model has no tokenizer");
	llm_error_hint(err, "Put the model's tokenizer.json into its folder.");
	return LLM_E_UNSUPPORTED;
}

static LlmStatus
load(LlmTokenizer *t, const LlmMeta *meta, const LlmStop *stop, LlmError *err)
{
	LLM_TRY(load_kind(t, meta, err));
	if (t->kind == LLM_KIND_HF)
		return llm_hf_load(t, meta, stop, err);
	LLM_TRY(load_tokens(t, meta, err));
	LLM_TRY(llm_special_tokens_load(t, meta, err));
	LLM_TRY(load_separator(t, meta, err));
	if (t->kind == LLM_KIND_WORDPIECE)
		return load_wordpiece(t, meta, err);
	if (t->kind == LLM_KIND_NONE)
		return load_none(t, err);
	if (t->kind == LLM_KIND_UNIGRAM)
		LLM_TRY(load_unigram(t, meta, err));
	else
		LLM_TRY(t->kind == LLM_KIND_BPE ? load_bpe(t, meta, err) : load_spm(t, meta, err));
	LLM_TRY(llm_meta_bool(meta, "tokenizer.ggml.add_bos_token", false, &t->add_bos, err));
	return llm_meta_bool(meta, "tokenizer.ggml.add_eos_token", false, &t->add_eos, err);
}

LlmStatus
llm_tokenizer_create_seeded(const LlmMeta *meta, uint64_t seed, const LlmAllocator *a, const LlmStop *stop, LlmTokenizer **out, LlmError *err)
{
	void	   *t;
	LlmStatus	status;

	LLM_TRY(llm_alloc_zero(a, 1, sizeof(LlmTokenizer), &t, err));
	((LlmTokenizer *) t)->allocator = a;
	((LlmTokenizer *) t)->seed = seed;
	status = load(t, meta, stop, err);
	if (status != LLM_OK)
	{
		llm_tokenizer_free(t);
		return status;
	}
	*out = t;
	return LLM_OK;
}

LlmStatus
llm_tokenizer_create_with(const LlmMeta *meta, const LlmAllocator *a, const LlmStop *stop, LlmTokenizer **out, LlmError *err)
{
	return llm_tokenizer_create_seeded(meta, 0, a, stop, out, err);
}

LlmStatus
llm_tokenizer_create(const LlmMeta *meta, const LlmAllocator *a, LlmTokenizer **out, LlmError *err)
{
	return llm_tokenizer_create_with(meta, a, NULL, out, err);
}

void
llm_tokenizer_free(LlmTokenizer *t)
{
	if (!t)
		return;
	llm_hf_free(t->hf);
	llm_pretokenizer_free(t->pretokenizer);
	llm_vocab_free(&t->vocab);
	llm_merges_free(&t->merges);
	if (!t->borrowed)
	{
		llm_free(t->allocator, t->token_rank);
		llm_free(t->allocator, t->token_score);
		llm_free(t->allocator, t->special);
		llm_free(t->allocator, t->info);
	}
	llm_free(t->allocator, t);
}

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* text between special tokens; after_special also at the beginning */
static LlmStatus
encode_between(LlmEncoder *e, const char *bytes, size_t len, bool after_special, LlmError *err)
{
	if (e->t->kind == LLM_KIND_NONE)
		return refuse_text(err);
	if (e->t->kind == LLM_KIND_BPE)
		return llm_bpe_encode(e, bytes, len, err);
	if (e->t->kind == LLM_KIND_WORDPIECE)
		return llm_wordpiece_encode(e, bytes, len, err);
	if (e->t->kind == LLM_KIND_UNIGRAM)
		return llm_unigram_encode(e, bytes, len, e->t->add_space_prefix && after_special, err);
	return llm_spm_encode(e, bytes, len, e->t->add_space_prefix && after_special, err);
}

static LlmStatus
encode(LlmEncoder *e, LlmText text, int flags, LlmError *err)
{
	const LlmTokenizer *t = e->t;
	bool		parse_special = (flags & LLM_TOKENIZE_PARSE_SPECIAL) != 0;
	bool		after_special = true;
	size_t		pos = 0;

	if ((flags & LLM_TOKENIZE_ADD_SPECIAL) && t->add_bos && t->bos >= 0)
		LLM_TRY(llm_tokens_append(e->out, t->bos, err));
	while (pos < text.len)
	{
		size_t		at;
		size_t		end;
		int32_t		id;

		LLM_TRY(llm_special_tokens_find(e, text, pos, parse_special, &at, &id));
		end = at;
		while (id >= 0 && t->info[id].lstrip && end > pos && is_space(text.bytes[end - 1]))
			end--;
		if (end > pos)
		{
			LLM_TRY(encode_between(e, text.bytes + pos, end - pos, after_special, err));
			after_special = false;
		}
		pos = at;
		if (id >= 0)
		{
			LLM_TRY(llm_tokens_append(e->out, id, err));
			after_special = true;
			pos += llm_token_string(t, id).len;
			while (t->info[id].rstrip && pos < text.len && is_space(text.bytes[pos]))
				pos++;
		}
	}
	if ((flags & LLM_TOKENIZE_ADD_SPECIAL) && t->add_eos && t->eos >= 0)
		LLM_TRY(llm_tokens_append(e->out, t->eos, err));
	return LLM_OK;
}

static int32_t
token_before(const LlmTokenizer *t)
{
	return t->add_bos ? t->bos : -1;
}

static int32_t
token_after(const LlmTokenizer *t)
{
	return t->add_eos ? t->eos : -1;
}

static LlmStatus
append_if(LlmTokens *out, int32_t id, LlmError *err)
{
	return id >= 0 ? llm_tokens_append(out, id, err) : LLM_OK;
}

/* first and second texts of kinds other than tokenizer.json */
static LlmStatus
encode_pair(LlmEncoder *e, LlmText first, LlmText second, int flags, LlmBuf *types, LlmError *err)
{
	const LlmTokenizer *t = e->t;
	bool		add = (flags & LLM_TOKENIZE_ADD_SPECIAL) != 0;
	int			plain = flags & ~LLM_TOKENIZE_ADD_SPECIAL;
	size_t		n = e->out->n;

	LLM_TRY(append_if(e->out, add ? token_before(t) : -1, err));
	LLM_TRY(encode(e, first, plain, err));
	LLM_TRY(append_if(e->out, add ? token_after(t) : -1, err));
	LLM_TRY(append_if(e->out, add ? t->separator : -1, err));
	for (; types && n < e->out->n; n++)
		LLM_TRY(llm_buf_append(types, "\0", 1, err));
	LLM_TRY(encode(e, second, plain, err));
	LLM_TRY(append_if(e->out, add ? token_after(t) : -1, err));
	for (; types && n < e->out->n; n++)
		LLM_TRY(llm_buf_append(types, t->kind == LLM_KIND_WORDPIECE ? "\1" : "\0", 1, err));
	return LLM_OK;
}

/* one text, or two if second is not NULL */
static LlmStatus
tokenize(const LlmTokenizer *t, LlmText first, const LlmText *second, int flags, const LlmStop *stop, LlmTokens *out, LlmBuf *types,
		 LlmError *err)
{
	LlmEncoder	e = {.t = t, .stop = stop, .out = out};
	size_t		n_before = out->n;
	size_t		types_before = types ? types->len : 0;
	LlmStatus	status;

	if (first.len > MAX_TEXT_BYTES || (second && second->len > MAX_TEXT_BYTES))
		return llm_fail(err, LLM_E_LIMIT, "text has %zu bytes, at most %zu can be tokenized",
						second && second->len > first.len ? second->len : first.len, MAX_TEXT_BYTES);
	llm_merge_init(&e.merge, t->allocator);
	if (t->kind == LLM_KIND_HF)
		status = llm_hf_encode(&e, first, second, flags, types, err);
	else
		status = second ? encode_pair(&e, first, *second, flags, types, err) : encode(&e, first, flags, err);
	llm_merge_free(&e.merge);
	if (status != LLM_OK)
		out->n = n_before;
	if (status != LLM_OK && types)
		types->len = types_before;
	return status;
}

LlmStatus
llm_tokenize(const LlmTokenizer *t, LlmText text, int flags, const LlmStop *stop, LlmTokens *out, LlmError *err)
{
	return tokenize(t, text, NULL, flags, stop, out, NULL, err);
}

LlmStatus
llm_tokenize_pair(const LlmTokenizer *t, LlmText first, LlmText second, int flags, const LlmStop *stop, LlmTokens *out, LlmBuf *types,
				  LlmError *err)
{
	return tokenize(t, first, &second, flags, stop, out, types, err);
}

/* a token that is no text */
static bool
is_hidden(const LlmTokenizer *t, int32_t id)
{
	LlmTokenType type = t->info[id].type;

	return type == LLM_TOKEN_CONTROL || type == LLM_TOKEN_UNKNOWN;
}

LlmStatus
llm_detokenize_one(const LlmTokenizer *t, int32_t id, bool first, bool with_special, LlmBuf *out, LlmError *err)
{
	LlmStr		bytes;

	if (id < 0 || id >= t->n_vocab)
		return llm_fail(err, LLM_E_ARGUMENT, "token id %d is out of range: the vocabulary has %d tokens", (int) id,
						(int) t->n_vocab);
	if (t->hf)
		return llm_hf_decode_one(t, id, first, with_special, out, err);
	if (!with_special && is_hidden(t, id))
		return LLM_OK;
	bytes = llm_vocab_bytes(&t->vocab, id);
	if (first && t->add_space_prefix && bytes.len > 0 && bytes.data[0] == ' ')
	{
		bytes.data++;
		bytes.len--;
	}
	return llm_buf_append(out, bytes.data, bytes.len, err);
}

LlmStatus
llm_detokenize(const LlmTokenizer *t, const int32_t *ids, size_t n, bool with_special, LlmBuf *out, LlmError *err)
{
	size_t		len_before = out->len;
	bool		first = true;

	if (t->hf)
		return llm_hf_decode(t, ids, n, with_special, out, err);
	for (size_t i = 0; i < n; i++)
	{
		LlmStatus	status = llm_detokenize_one(t, ids[i], first, with_special, out, err);

		if (status != LLM_OK)
		{
			out->len = len_before;
			return status;
		}
		/* a hidden token, like bos, leaves the next one the first of the text */
		first = first && !with_special && is_hidden(t, ids[i]);
	}
	return LLM_OK;
}

int32_t
llm_tokenizer_vocab_size(const LlmTokenizer *t)
{
	return t->n_vocab;
}

const char *
llm_tokenizer_kind(const LlmTokenizer *t)
{
	return t->kind_name;
}

size_t
llm_tokenizer_n_after(const LlmTokenizer *t, bool pair)
{
	return t->hf ? llm_hf_n_after(t, pair) : token_after(t) >= 0 ? 1 : 0;
}

int32_t
llm_tokenizer_bos(const LlmTokenizer *t)
{
	return t->bos;
}

int32_t
llm_tokenizer_eos(const LlmTokenizer *t)
{
	return t->eos;
}

int32_t
llm_tokenizer_eot(const LlmTokenizer *t)
{
	return t->eot;
}

bool
llm_tokenizer_is_end(const LlmTokenizer *t, int32_t id)
{
	return id >= 0 && id < t->n_vocab && t->info[id].is_end;
}

LlmStr
llm_tokenizer_token_text(const LlmTokenizer *t, int32_t id)
{
	return id >= 0 && id < t->n_vocab ? llm_token_string(t, id) : (LlmStr) {"", 0};
}
