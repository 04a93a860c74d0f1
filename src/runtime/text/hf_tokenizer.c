/*
 * hf_tokenizer.c: opening a tokenizer.json, and the way of a text through its parts.
 */
#include "text/hf.h"
#include "text/json_parse.h"
#include "text/json_reader.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#define MAX_ROWS (1 << 22)
#define MAX_FILE_BYTES ((size_t) 1 << 29)

/* the members of the file that matter here; truncation and padding are the caller's business */
typedef struct Sections
{
	LlmStr		added;
	LlmStr		normalizer;
	LlmStr		pre_tokenizer;
	LlmStr		post_processor;
	LlmStr		decoder;
	LlmStr		model;
} Sections;

static LlmStatus
find_sections(LlmStr json, Sections *s, LlmBuf *scratch, const LlmStop *stop, LlmError *err)
{
	const struct
	{
		const char *name;
		LlmStr	   *span;
	}			members[] = {
		{"added_tokens", &s->added}, {"normalizer", &s->normalizer}, {"pre_tokenizer", &s->pre_tokenizer},
		{"post_processor", &s->post_processor}, {"decoder", &s->decoder}, {"model", &s->model}
	};
	LlmJsonReader r = llm_json_reader(json, "tokenizer.json", stop);
	bool		first = true;
	bool		more;

	memset(s, 0, sizeof(*s));
	LLM_TRY(llm_json_expect(&r, '{', err));
	for (;;)
	{
		LlmStr		key;
		LlmStr		span;
		size_t		k = 0;

		LLM_TRY(llm_json_next(&r, '}', &first, &more, err));
		if (!more)
			break;
		LLM_TRY(llm_json_string(&r, scratch, &key, err));
		while (k < 6 && (strlen(members[k].name) != key.len || memcmp(members[k].name, key.data, key.len) != 0))
			k++;
		LLM_TRY(llm_json_expect(&r, ':', err));
		LLM_TRY(llm_json_skip(&r, &span, err));
		if (k < 6)
			*members[k].span = span;
	}
	if (llm_json_peek(&r) != '\0' || r.pos < r.len)
		return llm_json_error(&r, "text follows the end", err);
	return s->model.data ? LLM_OK : llm_fail(err, LLM_E_FORMAT, "tokenizer.json has no model");
}

/* parse a section as a tree and hand it to read; *tree is the caller's */
static LlmStatus
parse_section(LlmHf *hf, LlmStr span, struct json_object **tree, LlmError *err)
{
	LlmError	inner;
	LlmStatus	status;

	*tree = NULL;
	if (!span.data)
		return LLM_OK;
	status = llm_json_parse(span.data, span.len, hf->allocator, tree, &inner);
	if (status == LLM_E_ARGUMENT)
	{
		llm_fail(err, LLM_E_FORMAT, "tokenizer.json is damaged");
		llm_error_detail(err, "%s", inner.detail);
		return LLM_E_FORMAT;
	}
	if (status != LLM_OK && err)
		*err = inner;
	return status;
}

static LlmStatus
read_section(LlmHf *hf, LlmStr span, LlmStatus (*read) (LlmHf *hf, struct json_object *o, LlmError *err), LlmError *err)
{
	struct json_object *tree;
	LlmStatus	status;

	LLM_TRY(parse_section(hf, span, &tree, err));
	status = read(hf, tree, err);
	json_object_put(tree);
	return status;
}

LlmStatus
llm_hf_read_steps(LlmHf *hf, LlmError *err)
{
	LLM_TRY(read_section(hf, hf->section[0], llm_hf_read_normalizer, err));
	LLM_TRY(read_section(hf, hf->section[1], llm_hf_read_pre_tokenizer, err));
	return read_section(hf, hf->section[2], llm_hf_read_decoder, err);
}

static void
set_types(LlmTokenizer *t)
{
	LlmHf	   *hf = t->hf;

	for (int32_t id = 0; id < t->n_vocab; id++)
	{
		int32_t		k = hf->added_of[id];

		t->info[id].type = k < 0 ? LLM_TOKEN_NORMAL : hf->added[k].special ? LLM_TOKEN_CONTROL : LLM_TOKEN_USER_DEFINED;
		t->info[id].hidden = k >= 0 && hf->added[k].special;
	}
}

/* single characters and bytes, found without hashing */
static void
index_chars(LlmTokenizer *t)
{
	LlmHf	   *hf = t->hf;

	for (int b = 0; b < 256; b++)
	{
		char		byte = (char) b;
		char		name[8];

		snprintf(name, sizeof(name), "<0x%02X>", b);
		t->byte_token[b] = llm_vocab_find(&t->vocab, name, 6);
		if (b < 128)
			hf->char_token[b] = llm_vocab_find(&hf->words, &byte, 1);
		if (b < 128 && hf->char_token[b] >= 0 && t->info[hf->char_token[b]].type == LLM_TOKEN_CONTROL)
			hf->char_token[b] = -1;
	}
}

/* the tokens that stand around a text, where the metadata does not say which they are */
static void
find_ends(LlmTokenizer *t)
{
	const LlmHfTemplate *single = &t->hf->single;

	if (t->bos < 0 && single->piece[0].id >= 0)
		t->bos = single->piece[0].id;
	if (t->eos < 0 && single->piece[single->n - 1].id >= 0)
		t->eos = single->piece[single->n - 1].id;
	if (t->eot < 0)
		t->eot = t->eos;
	if (t->eos >= 0)
		t->info[t->eos].is_end = true;
}

static LlmStatus
load_sections(LlmTokenizer *t, const Sections *s, const LlmMeta *meta, const LlmStop *stop, LlmError *err)
{
	static const char *const names[] = {"bpe", "wordpiece", "unigram", "wordlevel"};
	LlmHf	   *hf = t->hf;
	struct json_object *tree;
	void	   *info;
	LlmStatus	status;

	hf->section[0] = s->normalizer;
	hf->section[1] = s->pre_tokenizer;
	hf->section[2] = s->decoder;
	LLM_TRY(llm_hf_read_steps(hf, err));
	LLM_TRY(llm_hf_read_model(t, s->model, s->added, stop, err));
	snprintf(t->kind_name, sizeof(t->kind_name), "huggingface/%s", names[hf->model]);
	LLM_TRY(llm_alloc_zero(t->allocator, (size_t) t->n_vocab, sizeof(LlmTokenInfo), &info, err));
	t->info = info;
	set_types(t);
	LLM_TRY(llm_special_tokens_load(t, meta, err));
	index_chars(t);
	LLM_TRY(llm_hf_index_added(t, err));
	LLM_TRY(parse_section(hf, s->post_processor, &tree, err));
	status = llm_hf_read_template(t, tree, err);
	json_object_put(tree);
	if (status == LLM_OK)
		find_ends(t);
	return status;
}

LlmStatus
llm_hf_begin(LlmTokenizer *t, LlmError *err)
{
	void	   *memory;

	LLM_TRY(llm_alloc_zero(t->allocator, 1, sizeof(LlmHf), &memory, err));
	t->hf = memory;
	t->hf->allocator = t->allocator;
	llm_arena_init(&t->hf->arena, t->allocator, 0);
	llm_bpe_alphabet(t->hf->byte_of);
	for (int c = 0; c < LLM_BPE_ALPHABET_END; c++)
		if (t->hf->byte_of[c] >= 0)
			t->hf->char_of[t->hf->byte_of[c]] = (int16_t) c;
	return LLM_OK;
}

LlmStatus
llm_hf_load(LlmTokenizer *t, const LlmMeta *meta, const LlmStop *stop, LlmError *err)
{
	LlmStr		json;
	Sections	sections;
	LlmBuf		scratch;
	uint64_t	n_rows = 0;
	LlmStatus	status;

	LLM_TRY(llm_meta_string(meta, LLM_HF_JSON_KEY, true, &json, err));
	LLM_TRY(llm_meta_uint(meta, "tokenizer.huggingface.vocab_size", false, MAX_ROWS, &n_rows, err));
	if (json.len > MAX_FILE_BYTES)
		return llm_fail(err, LLM_E_LIMIT, "tokenizer.json has %zu bytes, at most %zu are allowed", json.len, MAX_FILE_BYTES);
	LLM_TRY(llm_hf_begin(t, err));
	t->bos = t->eos = t->eot = t->unknown = -1;
	t->hf->n_rows = (int32_t) n_rows;
	llm_buf_init(&scratch, t->allocator);
	status = find_sections(json, &sections, &scratch, stop, err);
	llm_buf_free(&scratch);
	return status == LLM_OK ? load_sections(t, &sections, meta, stop, err) : status;
}

void
llm_hf_free(LlmHf *hf)
{
	if (!hf)
		return;
	llm_hf_free_steps(&hf->normalizer);
	llm_hf_free_steps(&hf->pre_tokenizer);
	llm_hf_free_steps(&hf->decoder);
	llm_vocab_free(&hf->words);
	llm_trie_free(&hf->trie);
	llm_trie_free(&hf->raw_added);
	llm_trie_free(&hf->normal_added);
	if (!hf->borrowed)
		llm_free(hf->allocator, hf->score);
	llm_arena_free(&hf->arena);
	llm_free(hf->allocator, hf);
}

LlmStr
llm_hf_token_text(const LlmTokenizer *t, int32_t id)
{
	int32_t		k = t->hf->added_of[id];

	return k >= 0 ? t->hf->added[k].content : llm_vocab_bytes(&t->vocab, id);
}

void
llm_hf_run_init(LlmHfRun *run, LlmEncoder *e, const LlmAllocator *a, bool parse_special)
{
	run->e = e;
	run->hf = e->t->hf;
	run->parse_special = parse_special;
	run->match = NULL;
	for (int k = 0; k < 2; k++)
	{
		llm_buf_init(&run->text[k].bytes, a);
		llm_buf_init(&run->text[k].from_data, a);
	}
	for (int k = 0; k < 2 * LLM_HF_MAX_STEPS; k++)
	{
		llm_buf_init(&run->stage[k], a);
		llm_buf_init(&run->classes[k], a);
	}
	llm_buf_init(&run->word, a);
	llm_buf_init(&run->unit, a);
	llm_buf_init(&run->symbols, a);
	llm_buf_init(&run->steps, a);
}

void
llm_hf_run_free(LlmHfRun *run)
{
	for (int k = 0; k < 2; k++)
	{
		llm_buf_free(&run->text[k].bytes);
		llm_buf_free(&run->text[k].from_data);
	}
	for (int k = 0; k < 2 * LLM_HF_MAX_STEPS; k++)
	{
		llm_buf_free(&run->stage[k]);
		llm_buf_free(&run->classes[k]);
	}
	llm_buf_free(&run->word);
	llm_buf_free(&run->unit);
	llm_buf_free(&run->symbols);
	llm_buf_free(&run->steps);
	llm_regex_match_free(run->match);
}

LlmStatus
llm_hf_normalize_part(LlmHfRun *run, LlmText text, bool at_start, LlmError *err)
{
	const LlmHfText *normal;

	LLM_TRY(llm_hf_normalize(run, text, at_start, run->hf->has_normal, &normal, err));
	text = (LlmText) {normal->bytes.data, normal->has_origin ? (const uint8_t *) normal->from_data.data : NULL, normal->bytes.len};
	return text.len ? llm_hf_cut_added(run, text, normal->at_start, true, err) : LLM_OK;
}

static LlmStatus
encode_text(LlmHfRun *run, LlmText text, LlmError *err)
{
	if (!run->match)
		LLM_TRY(llm_regex_match_create(run->e->t->allocator, &run->match, err));
	return text.len ? llm_hf_cut_added(run, text, true, false, err) : LLM_OK;
}

/* the texts in the places of the template */
static LlmStatus
encode_template(LlmHfRun *run, const LlmHfTemplate *template, bool add_special, LlmText first, LlmText second, LlmBuf *types, LlmError *err)
{
	for (int i = 0; i < template->n; i++)
	{
		const LlmHfPiece *piece = &template->piece[i];
		size_t		n = run->e->out->n;
		uint8_t		type = (uint8_t) (piece->type_id < 255 ? piece->type_id : 255);

		if (piece->id < 0)
			LLM_TRY(encode_text(run, piece->second ? second : first, err));
		else if (add_special)
			LLM_TRY(llm_tokens_append(run->e->out, piece->id, err));
		for (; types && n < run->e->out->n; n++)
			LLM_TRY(llm_buf_append(types, &type, 1, err));
	}
	return LLM_OK;
}

LlmStatus
llm_hf_encode(LlmEncoder *e, LlmText first, const LlmText *second, int flags, LlmBuf *types, LlmError *err)
{
	void	   *memory;
	LlmHfRun   *run;
	LlmStatus	status;

	LLM_TRY(llm_alloc(e->t->allocator, 1, sizeof(LlmHfRun), &memory, err));
	run = memory;
	llm_hf_run_init(run, e, e->t->allocator, (flags & LLM_TOKENIZE_PARSE_SPECIAL) != 0);
	status = encode_template(run, second ? &run->hf->pair : &run->hf->single, (flags & LLM_TOKENIZE_ADD_SPECIAL) != 0, first,
							 second ? *second : first, types, err);
	llm_hf_run_free(run);
	llm_free(e->t->allocator, memory);
	return status;
}

size_t
llm_hf_n_after(const LlmTokenizer *t, bool pair)
{
	const LlmHfTemplate *template = pair ? &t->hf->pair : &t->hf->single;
	size_t		n = 0;

	for (int i = template->n - 1; i >= 0 && template->piece[i].id >= 0; i--)
		n++;
	return n;
}
