/*
 * hf_tokenizer_test.c: small tokenizer.json files give the ids and texts of the tokenizers library (recorded by
 * src/test/check_hf_tokenizers.py in sql-tests/data/tokenizers); damaged and unknown ones are refused; special tokens come from the template
 * only; a bad expression is an error and no hang; each failing allocation is reported, a pause leaves nothing behind, and a token becomes
 * text without an allocation.
 */
#include "text/tokenizer.h"
#include "weights/gguf.h"

#include "check.h"
#include "fail_alloc.h"
#include "gguf_writer.h"
#include "tokenizer_ways.h"

#include <json-c/json.h>

#define FOLDER "sql-tests/data/tokenizers/"

typedef struct Fixture
{
	GgufWriter	writer;
	LlmGguf		gguf;
	LlmTokenizer *t;
	LlmStatus	status;
	LlmError	err;
	int			fd;
} Fixture;

static void
open_json(Fixture *f, const char *json)
{
	char		path[64];

	memset(f, 0, sizeof(*f));
	gw_init(&f->writer);
	gw_string(&f->writer, "tokenizer.ggml.model", "huggingface");
	gw_string(&f->writer, "tokenizer.huggingface.json", json);
	gw_finish(&f->writer);
	f->fd = gw_memfd(f->writer.file.data, f->writer.file.len, path);
	CHECK(llm_gguf_open(path, &llm_malloc_allocator, NULL, &f->gguf, &f->err) == LLM_OK);
	f->status = tokenizer_by_way(&f->gguf.meta, &f->t, &f->err);
}

static void
close_json(Fixture *f)
{
	if (f->status == LLM_OK)
		llm_tokenizer_free(f->t);
	llm_gguf_close(&f->gguf);
	close(f->fd);
	gw_free(&f->writer);
}

static LlmText
text_of(struct json_object *o)
{
	return (LlmText) {json_object_get_string(o), NULL, (size_t) json_object_get_string_len(o)};
}

static bool
same_ids(const LlmTokens *ids, struct json_object *expected)
{
	bool		same = ids->n == json_object_array_length(expected);

	for (size_t i = 0; same && i < ids->n; i++)
		same = ids->ids[i] == json_object_get_int(json_object_array_get_idx(expected, i));
	return same;
}

static void
check_recorded(const char *name)
{
	char		path[128];
	struct json_object *all;
	struct json_object *list;
	Fixture		f;
	LlmTokens	ids;
	LlmBuf		text;
	const int	flags = LLM_TOKENIZE_ADD_SPECIAL | LLM_TOKENIZE_PARSE_SPECIAL;

	snprintf(path, sizeof(path), FOLDER "%s.json", name);
	all = json_object_from_file(path);
	CHECK_MSG(all != NULL, "%s", path);
	open_json(&f, json_object_to_json_string_ext(json_object_object_get(all, "tokenizer"), JSON_C_TO_STRING_PLAIN));
	CHECK_MSG(f.status == LLM_OK, "%s: %s", name, f.err.message);
	llm_tokens_init(&ids, &llm_malloc_allocator);
	llm_buf_init(&text, &llm_malloc_allocator);
	list = json_object_object_get(all, "texts");
	for (size_t i = 0; f.status == LLM_OK && i < json_object_array_length(list); i++)
	{
		struct json_object *one = json_object_array_get_idx(list, i);

		ids.n = 0;
		CHECK(llm_tokenize(f.t, text_of(json_object_array_get_idx(one, 0)), flags, NULL, &ids, &f.err) == LLM_OK);
		CHECK_MSG(same_ids(&ids, json_object_array_get_idx(one, 1)), "%s, text %zu", name, i);
	}
	list = json_object_object_get(all, "pairs");
	for (size_t i = 0; f.status == LLM_OK && i < json_object_array_length(list); i++)
	{
		struct json_object *one = json_object_array_get_idx(list, i);

		ids.n = 0;
		text.len = 0;
		CHECK(llm_tokenize_pair(f.t, text_of(json_object_array_get_idx(one, 0)), text_of(json_object_array_get_idx(one, 1)), flags, NULL,
								&ids, &text, &f.err) == LLM_OK);
		CHECK_MSG(same_ids(&ids, json_object_array_get_idx(one, 2)), "%s, pair %zu", name, i);
		CHECK(text.len == ids.n);
	}
	list = json_object_object_get(all, "decoded");
	for (size_t i = 0; f.status == LLM_OK && i < json_object_array_length(list); i++)
	{
		struct json_object *one = json_object_array_get_idx(list, i);
		struct json_object *given = json_object_array_get_idx(one, 0);
		LlmText		expected = text_of(json_object_array_get_idx(one, 1));

		ids.n = 0;
		text.len = 0;
		for (size_t k = 0; k < json_object_array_length(given); k++)
			CHECK(llm_tokens_append(&ids, json_object_get_int(json_object_array_get_idx(given, k)), &f.err) == LLM_OK);
		CHECK(llm_detokenize(f.t, ids.ids, ids.n, false, &text, &f.err) == LLM_OK);
		CHECK_MSG(text.len == expected.len && (text.len == 0 || memcmp(text.data, expected.bytes, text.len) == 0), "%s, ids %zu", name, i);
	}
	llm_tokens_free(&ids);
	llm_buf_free(&text);
	close_json(&f);
	json_object_put(all);
}

#define WORDS "\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"u\",\"vocab\":{\"u\":0,\"a\":1,\"b\":2}}"
#define ADDED "\"added_tokens\":[{\"content\":\"<s>\",\"special\":true},{\"content\":\"<t>\"}]"

static void
test_refused(void)
{
	static const struct
	{
		const char *json;
		LlmStatus	status;
		const char *message;
	}			cases[] = {
		{"", LLM_E_FORMAT, "damaged"},
		{"{\"model\":{\"vocab\":{\"a\":0}", LLM_E_FORMAT, "damaged"},
		{"{\"version\":\"1.0\"}", LLM_E_FORMAT, "no model"},
		{"{" WORDS "} x", LLM_E_FORMAT, "damaged"},
		{"{\"model\":{\"type\":\"Other\",\"vocab\":{}}}", LLM_E_UNSUPPORTED, "Other"},
		{"{\"normalizer\":{\"type\":\"Mystery\"}," WORDS "}", LLM_E_UNSUPPORTED, "Mystery"},
		{"{\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}," WORDS "}", LLM_E_UNSUPPORTED, "UnicodeScripts"},
		{"{\"decoder\":{\"type\":\"CTC\"}," WORDS "}", LLM_E_UNSUPPORTED, "CTC"},
		{"{\"post_processor\":{\"type\":\"Odd\"}," WORDS "}", LLM_E_UNSUPPORTED, "Odd"},
		{"{\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"x\",9],\"cls\":[\"y\",0]}," WORDS "}", LLM_E_FORMAT, "names token"},
		{"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{}}}", LLM_E_FORMAT, "empty"},
		{"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":16000000}}}", LLM_E_LIMIT, "has the id"},
		{"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":-1}}}", LLM_E_LIMIT, "has the id"},
		{"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0.5}}}", LLM_E_LIMIT, "has the id"},
		{"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a a\"]}}", LLM_E_FORMAT, "names a token"},
		{"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a\"]}}", LLM_E_FORMAT, "damaged"},
		{"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"dropout\":0.1}}", LLM_E_UNSUPPORTED, "dropout 0.1"},
		{"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"aa\":1},\"merges\":[[\"a\",\"a\"]],\"continuing_subword_prefix\":\"##\"}}", LLM_E_FORMAT, "no room"},
		{"{\"pre_tokenizer\":{\"type\":\"FixedLength\",\"length\":0}," WORDS "}", LLM_E_FORMAT, "no length"},
		{"{\"decoder\":{\"type\":\"BPEDecoder\",\"suffix\":\"\"}," WORDS "}", LLM_E_UNSUPPORTED, "without suffix"},
		{"{\"model\":{\"type\":\"Unigram\",\"unk_id\":1,\"vocab\":[[\"a\",-1.5]]}}", LLM_E_FORMAT, "unk_id"},
		{"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a)\\\\1\"},\"behavior\":\"Removed\"}," WORDS "}", LLM_E_UNSUPPORTED, "escape"},
		{"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a\"},\"behavior\":\"Removed\"}," WORDS "}", LLM_E_FORMAT, "without end"},
		{"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\p{Foo}\"},\"behavior\":\"Removed\"}," WORDS "}", LLM_E_UNSUPPORTED, "property"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Fixture		f;

		open_json(&f, cases[i].json);
		CHECK_MSG(f.status == cases[i].status && strstr(f.err.message, cases[i].message), "case %zu: %d \"%s\"", i, f.status, f.err.message);
		close_json(&f);
	}
}

/* a special token is made by the template only, another added one everywhere */
static void
test_origin(void)
{
	const char *bytes = "a<s>b<t>";
	uint8_t		origin[8] = {1, 1, 1, 1, 1, 1, 1, 1};
	Fixture		f;
	LlmTokens	ids;

	open_json(&f, "{" ADDED ",\"pre_tokenizer\":{\"type\":\"Whitespace\"}," WORDS "}");
	CHECK(f.status == LLM_OK && llm_tokenizer_vocab_size(f.t) == 5);
	llm_tokens_init(&ids, &llm_malloc_allocator);
	CHECK(llm_tokenize(f.t, (LlmText) {bytes, NULL, 8}, LLM_TOKENIZE_PARSE_SPECIAL, NULL, &ids, &f.err) == LLM_OK);
	CHECK(ids.n == 4 && ids.ids[0] == 1 && ids.ids[1] == 3 && ids.ids[2] == 2 && ids.ids[3] == 4);
	ids.n = 0;
	CHECK(llm_tokenize(f.t, (LlmText) {bytes, origin, 8}, LLM_TOKENIZE_PARSE_SPECIAL, NULL, &ids, &f.err) == LLM_OK);
	CHECK(ids.n == 6 && ids.ids[5] == 4);
	llm_tokens_free(&ids);
	close_json(&f);
}

/* a vocabulary that says its words again and again: added tokens are numbered behind their count, far above all ids */
static void
test_repeated_words(void)
{
	char		json[4096] = "{" ADDED ",\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"w\",\"vocab\":{\"w\":0";
	Fixture		f;

	for (int i = 0; i < 200; i++)
		strcat(json, i % 2 ? ",\"w\":0" : ",\"v\":1");
	strcat(json, "}}}");
	open_json(&f, json);
	CHECK_MSG(f.status == LLM_OK || f.status == LLM_E_FORMAT, "%s", f.err.message);
	close_json(&f);
}

static void
test_bad_expression(void)
{
	char		text[64];
	Fixture		f;
	LlmTokens	ids;

	memset(text, 'a', sizeof(text));
	text[63] = 'b';
	open_json(&f, "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?:a|aa)+(?:a|aa)+(?:a|aa)+[cd]\"},\"behavior\":\"Isolated\"}," WORDS "}");
	CHECK(f.status == LLM_OK);
	llm_tokens_init(&ids, &llm_malloc_allocator);
	CHECK(llm_tokenize(f.t, (LlmText) {text, NULL, 64}, 0, NULL, &ids, &f.err) == LLM_E_LIMIT && ids.n == 0 && f.err.hint[0]);
	llm_tokens_free(&ids);
	close_json(&f);
}

/* PCRE2 goes on without machine code if that finds no memory, so a refusal may also leave the result as it is */
static void
check_allocations(const Fixture *f, const char *name)
{
	const char *text = "The <s> 42 h\xC3\xA9llo";
	LlmError	err;

	for (long k = 0;; k++)
	{
		FailAlloc	fa;
		LlmTokenizer *t = NULL;
		LlmTokens	ids;
		LlmBuf		back;
		LlmStatus	status;

		fail_alloc_init(&fa, k);
		llm_tokens_init(&ids, &fa.allocator);
		llm_buf_init(&back, &fa.allocator);
		status = llm_tokenizer_create(&f->gguf.meta, &fa.allocator, &t, &err);
		if (status == LLM_OK)
			status = llm_tokenize(t, (LlmText) {text, NULL, strlen(text)}, LLM_TOKENIZE_ADD_SPECIAL, NULL, &ids, &err);
		if (status == LLM_OK)
			status = llm_detokenize(t, ids.ids, ids.n, true, &back, &err);
		CHECK_MSG(status == LLM_OK || (status == LLM_E_NOMEM && fa.refused), "%s, allocation %ld: status %d", name, k, status);
		llm_tokenizer_free(t);
		llm_tokens_free(&ids);
		llm_buf_free(&back);
		CHECK_MSG(fa.n_alive == 0, "%s, allocation %ld: %ld left", name, k, fa.n_alive);
		if (!fa.refused)
			break;
	}
}

static void
check_single_tokens(const Fixture *f, const char *name)
{
	FailAlloc	fa;
	LlmTokenizer *t;
	LlmBuf		out;
	LlmError	err;
	long		n_before;

	fail_alloc_init(&fa, -1);
	llm_buf_init(&out, &fa.allocator);
	CHECK(llm_tokenizer_create(&f->gguf.meta, &fa.allocator, &t, &err) == LLM_OK && llm_buf_reserve(&out, 4096, &err) == LLM_OK);
	n_before = fa.n_requests;
	for (int32_t id = 0; id < llm_tokenizer_vocab_size(t); id++)
	{
		out.len = 0;
		CHECK(llm_detokenize_one(t, id, id % 2 == 0, true, &out, &err) == LLM_OK);
	}
	CHECK_MSG(fa.n_requests == n_before, "%s: %ld allocations", name, fa.n_requests - n_before);
	llm_tokenizer_free(t);
	llm_buf_free(&out);
}

static void
check_memory(const char *name)
{
	char		path[128];
	struct json_object *all;
	Fixture		f;

	snprintf(path, sizeof(path), FOLDER "%s.json", name);
	all = json_object_from_file(path);
	CHECK_MSG(all != NULL, "%s", path);
	open_json(&f, json_object_to_json_string_ext(json_object_object_get(all, "tokenizer"), JSON_C_TO_STRING_PLAIN));
	check_allocations(&f, name);
	check_single_tokens(&f, name);
	close_json(&f);
	json_object_put(all);
}

static bool
stop_at(void *opaque)
{
	return (*(long *) opaque)-- == 0;
}

/* a file long enough to be asked about, stopped at each place in turn */
static void
test_pause(void)
{
	const size_t n_zeros = 600000;
	const char *end = "0]," WORDS "}";
	char	   *json = malloc(2 * n_zeros + 64 + strlen(end));
	char	   *at = json + sprintf(json, "{\"unused\":[");
	Fixture		f;
	long		n_asked = 0;

	for (size_t i = 0; i < n_zeros; i++, at += 2)
		memcpy(at, "0,", 2);
	strcpy(at, end);
	open_json(&f, json);
	CHECK(f.status == LLM_OK);
	for (;; n_asked++)
	{
		long		left = n_asked;
		LlmStop		stop = {stop_at, &left};
		FailAlloc	fa;
		LlmTokenizer *t = NULL;
		LlmStatus	status;

		fail_alloc_init(&fa, -1);
		status = llm_tokenizer_create_with(&f.gguf.meta, &fa.allocator, &stop, &t, &f.err);
		CHECK(status == LLM_OK ? left >= 0 : status == LLM_PAUSED && !t && fa.n_alive == 0);
		llm_tokenizer_free(t);
		if (status == LLM_OK)
			break;
	}
	CHECK_MSG(n_asked >= 4, "asked %ld times", n_asked);
	close_json(&f);
	free(json);
}

int
main(void)
{
	static const char *const names[] = {
		"llama3", "deepseek3", "falcon", "gemma", "llama2", "metaspace_first", "phi3", "bert", "word_level", "flags", "unigram_bytes",
		"clip", "subwords", "mapped_marks"
	};

	for (tokenizer_way = 0; tokenizer_way < TOKENIZER_WAYS; tokenizer_way++)
	{
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			check_recorded(names[i]);
		test_refused();
		test_origin();
		test_repeated_words();
		test_bad_expression();
		tokenizer_ways_end();
	}
	tokenizer_way = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		check_memory(names[i]);
	test_pause();
	CHECK_DONE();
}
