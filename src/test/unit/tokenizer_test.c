/*
 * tokenizer_test.c: small vocabularies give the ids of the tokenizers and sentencepiece libraries (tokenizer_cases.h); special tokens come from
 * the template only; ids become the text again; each failing allocation is reported and a pause leaves nothing behind.
 */
#include "text/tokenizer.h"
#include "weights/gguf.h"

#include "check.h"
#include "fail_alloc.h"
#include "gguf_writer.h"
#include "tokenizer_cases.h"
#include "tokenizer_ways.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))
#define N_TEXTS N_OF(tokenizer_texts)

/* a tokenizer and the file it was read from */
typedef struct Fixture
{
	GgufWriter	writer;
	LlmGguf		gguf;
	LlmTokenizer *t;
	int			fd;
} Fixture;

static void
open_fixture(Fixture *f)
{
	LlmError	err;
	char		path[64];

	gw_finish(&f->writer);
	f->fd = gw_memfd(f->writer.file.data, f->writer.file.len, path);
	if (llm_gguf_open(path, &llm_malloc_allocator, NULL, &f->gguf, &err) != LLM_OK ||
		tokenizer_by_way(&f->gguf.meta, &f->t, &err) != LLM_OK)
	{
		fprintf(stderr, "no tokenizer: %s\n", err.message);
		exit(1);
	}
}

static void
close_fixture(Fixture *f)
{
	llm_tokenizer_free(f->t);
	llm_gguf_close(&f->gguf);
	close(f->fd);
	gw_free(&f->writer);
}

static void
make_bpe(Fixture *f, const char *pre)
{
	gw_init(&f->writer);
	gw_string(&f->writer, "tokenizer.ggml.model", "gpt2");
	gw_string(&f->writer, "tokenizer.ggml.pre", pre);
	gw_strings(&f->writer, "tokenizer.ggml.tokens", bpe_tokens, N_OF(bpe_tokens));
	gw_strings(&f->writer, "tokenizer.ggml.merges", bpe_merges, N_OF(bpe_merges));
	open_fixture(f);
}

static void
make_spm(Fixture *f, bool space_prefix)
{
	gw_init(&f->writer);
	gw_string(&f->writer, "tokenizer.ggml.model", "llama");
	gw_bool(&f->writer, "tokenizer.ggml.add_space_prefix", space_prefix);
	gw_strings(&f->writer, "tokenizer.ggml.tokens", spm_tokens, N_OF(spm_tokens));
	gw_f32s(&f->writer, "tokenizer.ggml.scores", spm_scores, N_OF(spm_scores));
	gw_i32s(&f->writer, "tokenizer.ggml.token_type", spm_types, N_OF(spm_types));
	open_fixture(f);
}

static void
make_wordpiece(Fixture *f, bool lowercase)
{
	gw_init(&f->writer);
	gw_string(&f->writer, "tokenizer.ggml.model", "bert");
	gw_bool(&f->writer, "tokenizer.ggml.normalizer.lowercase", lowercase);
	gw_u32(&f->writer, "tokenizer.ggml.unknown_token_id", 1);
	gw_u32(&f->writer, "tokenizer.ggml.cls_token_id", 2);
	gw_u32(&f->writer, "tokenizer.ggml.seperator_token_id", 3);
	gw_strings(&f->writer, "tokenizer.ggml.tokens", wordpiece_tokens, N_OF(wordpiece_tokens));
	gw_i32s(&f->writer, "tokenizer.ggml.token_type", wordpiece_types, N_OF(wordpiece_types));
	open_fixture(f);
}

/* ids of a text that is data or not; the caller frees them */
static LlmTokens
tokenize(const LlmTokenizer *t, const char *bytes, size_t len, bool from_data, int flags)
{
	LlmTokens	ids;
	LlmError	err;
	uint8_t    *origin = malloc(len + 1);

	memset(origin, 1, len + 1);
	llm_tokens_init(&ids, &llm_malloc_allocator);
	CHECK(llm_tokenize(t, (LlmText) {bytes, from_data ? origin : NULL, len}, flags, NULL, &ids, &err) == LLM_OK);
	free(origin);
	return ids;
}

static void
check_back(const LlmTokenizer *t, const LlmTokens *ids, const char *bytes, size_t len)
{
	LlmBuf		back;
	LlmError	err;

	llm_buf_init(&back, &llm_malloc_allocator);
	CHECK(llm_detokenize(t, ids->ids, ids->n, false, &back, &err) == LLM_OK);
	CHECK_MSG(back.len == len && (len == 0 || memcmp(back.data, bytes, len) == 0), "\"%.*s\" became \"%.*s\"", (int) len, bytes,
			  (int) back.len, back.data);
	llm_buf_free(&back);
}

static void
check_ids(Fixture *f, const char *name, const int32_t *expected, const int32_t *ends, bool comes_back)
{
	int32_t		begin = 0;

	for (size_t i = 0; i < N_TEXTS; i++)
	{
		LlmTokens	ids = tokenize(f->t, tokenizer_texts[i].bytes, tokenizer_texts[i].len, true, 0);
		size_t		n = (size_t) (ends[i] - begin);

		CHECK_MSG(ids.n == n && (n == 0 || memcmp(ids.ids, expected + begin, n * sizeof(int32_t)) == 0), "%s, text %zu", name, i);
		if (comes_back)
			check_back(f->t, &ids, tokenizer_texts[i].bytes, tokenizer_texts[i].len);
		begin = ends[i];
		llm_tokens_free(&ids);
	}
	close_fixture(f);
}

static void
test_library(void)
{
	Fixture		f;

	make_bpe(&f, "smollm");
	check_ids(&f, "smollm", smollm_ids, smollm_ends, true);
	make_bpe(&f, "llama-bpe");
	check_ids(&f, "llama-bpe", llama_bpe_ids, llama_bpe_ends, true);
	make_bpe(&f, "gpt-2");
	check_ids(&f, "gpt-2", gpt_2_ids, gpt_2_ends, true);
	make_bpe(&f, "qwen2");
	check_ids(&f, "qwen2", qwen2_ids, qwen2_ends, true);
	make_bpe(&f, "gpt-4o");
	check_ids(&f, "gpt-4o", gpt_4o_ids, gpt_4o_ends, true);
	make_bpe(&f, "tekken");
	check_ids(&f, "tekken", tekken_ids, tekken_ends, true);
	make_bpe(&f, "qwen35");
	check_ids(&f, "qwen35", qwen35_ids, qwen35_ends, true);
	make_bpe(&f, "deepseek-v3");
	check_ids(&f, "deepseek-v3", deepseek_v3_ids, deepseek_v3_ends, true);
	make_bpe(&f, "deepseek-llm");
	check_ids(&f, "deepseek-llm", deepseek_llm_ids, deepseek_llm_ends, true);
	make_bpe(&f, "tiny_aya");
	check_ids(&f, "tiny_aya", tiny_aya_ids, tiny_aya_ends, true);
	make_bpe(&f, "kimi-k2");
	check_ids(&f, "kimi-k2", kimi_k2_ids, kimi_k2_ends, true);
	make_bpe(&f, "youtu");
	check_ids(&f, "youtu", youtu_ids, youtu_ends, true);
	make_bpe(&f, "afmoe");
	check_ids(&f, "afmoe", afmoe_ids, afmoe_ends, true);
	make_bpe(&f, "viking");
	check_ids(&f, "viking", viking_ids, viking_ends, true);
	make_spm(&f, true);
	check_ids(&f, "spm", spm_ids, spm_ends, true);
	make_wordpiece(&f, true);
	check_ids(&f, "wordpiece", wordpiece_ids, wordpiece_ends, false);
	make_wordpiece(&f, false);
	check_ids(&f, "wordpiece_cased", wordpiece_cased_ids, wordpiece_cased_ends, false);
}

/* bytes that are no UTF-8, NUL among them, come back as they were */
static void
test_any_bytes(void)
{
	char		bytes[512];
	Fixture		f;
	LlmTokens	ids;

	for (int i = 0; i < 512; i++)
		bytes[i] = (char) (i < 256 ? i : (i * 37) ^ (i >> 3));
	make_bpe(&f, "gpt-2");
	ids = tokenize(f.t, bytes, sizeof(bytes), true, 0);
	check_back(f.t, &ids, bytes, sizeof(bytes));
	llm_tokens_free(&ids);
	close_fixture(&f);
	make_spm(&f, false);
	ids = tokenize(f.t, bytes, sizeof(bytes), true, 0);
	check_back(f.t, &ids, bytes, sizeof(bytes));
	llm_tokens_free(&ids);
	close_fixture(&f);
}

/* the leading space that SentencePiece adds is dropped once, at the beginning only */
static void
test_leading_space(void)
{
	static const char *const texts[] = {"the", " the", "  the", "the the", " ", "", "  "};
	Fixture		f;

	for (int prefix = 0; prefix < 2; prefix++)
	{
		make_spm(&f, prefix);
		for (size_t i = 0; i < N_OF(texts); i++)
		{
			LlmTokens	ids = tokenize(f.t, texts[i], strlen(texts[i]), true, LLM_TOKENIZE_ADD_SPECIAL);

			CHECK(ids.n > 0 && ids.ids[0] == 1);	/* <s> */
			check_back(f.t, &ids, texts[i], strlen(texts[i]));
			llm_tokens_free(&ids);
		}
		close_fixture(&f);
	}
}

/* a special token only where all its bytes are the template's and it is asked for */
static void
test_special(void)
{
	static const char text[] = "the<s>in";
	Fixture		f;
	LlmTokens	plain;
	LlmTokens	data;
	LlmTokens	special;
	LlmTokens	mixed;
	LlmError	err;
	uint8_t		origin[sizeof(text)] = {0};

	make_spm(&f, false);
	plain = tokenize(f.t, text, strlen(text), false, 0);
	data = tokenize(f.t, text, strlen(text), true, LLM_TOKENIZE_PARSE_SPECIAL);
	special = tokenize(f.t, text, strlen(text), false, LLM_TOKENIZE_PARSE_SPECIAL);
	CHECK(plain.n == data.n && memcmp(plain.ids, data.ids, plain.n * sizeof(int32_t)) == 0);
	CHECK(special.n == 3 && special.ids[1] == 1);
	for (size_t i = 0; i < plain.n; i++)
		CHECK(plain.ids[i] != 1);
	for (int byte = 3; byte < 6; byte++)
	{
		origin[byte] = 1;
		llm_tokens_init(&mixed, &llm_malloc_allocator);
		CHECK(llm_tokenize(f.t, (LlmText) {text, origin, strlen(text)}, LLM_TOKENIZE_PARSE_SPECIAL, NULL, &mixed, &err) == LLM_OK);
		CHECK(mixed.n == plain.n);
		llm_tokens_free(&mixed);
		origin[byte] = 0;
	}
	llm_tokens_free(&plain);
	llm_tokens_free(&data);
	llm_tokens_free(&special);
	close_fixture(&f);
}

/* first and last token around every text; long words; special tokens; words back with spaces between */
static void
test_wordpiece(void)
{
	static const char text[] = "The[MASK] naive\xCC\x88 hello";
	char		longest[102];
	Fixture		f;
	LlmTokens	ids;
	LlmBuf		back;
	LlmError	err;

	make_wordpiece(&f, true);
	CHECK(llm_tokenizer_bos(f.t) == 2 && llm_tokenizer_eos(f.t) == 3);
	memset(longest, 'a', sizeof(longest));
	ids = tokenize(f.t, longest, 100, true, 0);
	CHECK(ids.n == 100);
	llm_tokens_free(&ids);
	ids = tokenize(f.t, longest, 101, true, LLM_TOKENIZE_ADD_SPECIAL);
	CHECK(ids.n == 3 && ids.ids[0] == 2 && ids.ids[1] == 1 && ids.ids[2] == 3);
	llm_tokens_free(&ids);
	ids = tokenize(f.t, text, strlen(text), true, LLM_TOKENIZE_PARSE_SPECIAL);
	for (size_t i = 0; i < ids.n; i++)
		CHECK(ids.ids[i] != 4);
	llm_tokens_free(&ids);
	ids = tokenize(f.t, text, strlen(text), false, LLM_TOKENIZE_PARSE_SPECIAL);
	CHECK(ids.n > 2 && ids.ids[1] == 4);
	llm_buf_init(&back, &llm_malloc_allocator);
	CHECK(llm_detokenize(f.t, ids.ids, ids.n, false, &back, &err) == LLM_OK);
	CHECK_MSG(back.len == 15 && memcmp(back.data, "the naive hello", 15) == 0, "%.*s", (int) back.len, back.data);
	llm_buf_free(&back);
	llm_tokens_free(&ids);
	close_fixture(&f);
}

static void
check_text(const Fixture *f, const char *text, const int32_t *expected, size_t n)
{
	LlmTokens	ids = tokenize(f->t, text, strlen(text), false, 0);

	CHECK_MSG(ids.n == n && memcmp(ids.ids, expected, n * sizeof(int32_t)) == 0, "%s: %zu ids", text, ids.n);
	llm_tokens_free(&ids);
}

/* SentencePiece BPE whose merges are listed, under the names that it has; the merge of what is no token is left out */
static void
make_listed(Fixture *f, const char *model, const char *pre)
{
	static const char *const tokens[] = {"<unk>", "a", "b", "\xE2\x96\x81", "ab", "\xE2\x96\x81" "a", "<0xC3>", "<0xA9>", "\n", "\n\n"};
	static const char *const merges[] = {"\xE2\x96\x81 a", "b a", "a b", "\n \n"};
	static const int32_t types[] = {2, 1, 1, 1, 1, 1, 6, 6, 1, 1};

	memset(f, 0, sizeof(*f));
	gw_init(&f->writer);
	gw_string(&f->writer, "tokenizer.ggml.model", model);
	gw_string(&f->writer, "tokenizer.ggml.pre", pre);
	gw_strings(&f->writer, "tokenizer.ggml.tokens", tokens, N_OF(tokens));
	gw_strings(&f->writer, "tokenizer.ggml.merges", merges, N_OF(merges));
	gw_i32s(&f->writer, "tokenizer.ggml.token_type", types, N_OF(types));
	open_fixture(f);
}

static void
test_listed_merges(void)
{
	static const char *const names[][2] = {
		{"gemma4", "gemma4"}, {"gemma4", "x"}, {"gpt2", "gemma4"}, {"gpt2", "sarvam-moe"}, {"gpt2", "granite-embed-multi-311m"}
	};
	static const int32_t expected[] = {4, 5, 2, 9, 6, 7};

	for (size_t i = 0; i < N_OF(names); i++)
	{
		Fixture		f;

		make_listed(&f, names[i][0], names[i][1]);
		check_text(&f, "ab ab\n\n\xC3\xA9", expected, N_OF(expected));
		close_fixture(&f);
	}
}

/* Falcon's words are cut at bytes that are numbers in GPT-2's alphabet, even within a character */
static void
test_digit_bytes(void)
{
	static const char *const tokens[] = {"1", "2", "3", "4", "12", "34", "\xC3\x82", "\xC2\xBD", "\xC3\x82\xC2\xBD", "\xC4\xA0", "\xC4\xA0\xC3\x82"};
	static const char *const merges[] = {"1 2", "3 4", "\xC3\x82 \xC2\xBD", "\xC4\xA0 \xC3\x82"};
	static const int32_t expected[] = {10, 7, 4, 2, 3, 9, 4};
	Fixture		f;

	memset(&f, 0, sizeof(f));
	gw_init(&f.writer);
	gw_string(&f.writer, "tokenizer.ggml.model", "gpt2");
	gw_string(&f.writer, "tokenizer.ggml.pre", "falcon");
	gw_strings(&f.writer, "tokenizer.ggml.tokens", tokens, N_OF(tokens));
	gw_strings(&f.writer, "tokenizer.ggml.merges", merges, N_OF(merges));
	open_fixture(&f);
	check_text(&f, " \xC2\xBD" "1234 12", expected, N_OF(expected));
	close_fixture(&f);
}

/* tokens of the same text, of none, and without the ids that BERT needs; an unknown pre-tokenizer is named */
static void
test_hostile(void)
{
	static const char *const same[] = {"[UNK]", "\xE2\x96\x81" "a", "", "\xE2\x96\x81" "a"};
	static const char *const odd[] = {"", "\xE2\x96\x81", "x"};
	GgufWriter	w;
	LlmGguf		gguf;
	LlmTokenizer *t = NULL;
	LlmTokens	ids;
	LlmError	err;
	char		path[64];
	int			fd;

	for (int k = 0; k < 3; k++)
	{
		gw_init(&w);
		gw_string(&w, "tokenizer.ggml.model", k == 2 ? "gpt2" : "bert");
		gw_string(&w, "tokenizer.ggml.pre", "no-such-name");
		gw_strings(&w, "tokenizer.ggml.tokens", k == 0 ? same : odd, k == 0 ? N_OF(same) : N_OF(odd));
		gw_finish(&w);
		fd = gw_memfd(w.file.data, w.file.len, path);
		CHECK(llm_gguf_open(path, &llm_malloc_allocator, NULL, &gguf, &err) == LLM_OK);
		if (k == 1)
		{
			CHECK(llm_tokenizer_create(&gguf.meta, &llm_malloc_allocator, &t, &err) == LLM_OK);
			ids = tokenize(t, "a x \xFF b", 7, false, LLM_TOKENIZE_ADD_SPECIAL);
			CHECK(ids.n == 0);
			llm_tokens_free(&ids);
			llm_tokenizer_free(t);
		}
		else if (k == 0)
		{
			/* of equal tokens the last is made */
			CHECK(llm_tokenizer_create(&gguf.meta, &llm_malloc_allocator, &t, &err) == LLM_OK);
			ids = tokenize(t, "a", 1, false, 0);
			CHECK(ids.n == 1 && ids.ids[0] == 3);
			llm_tokens_free(&ids);
			llm_tokenizer_free(t);
		}
		else
			CHECK(llm_tokenizer_create(&gguf.meta, &llm_malloc_allocator, &t, &err) == LLM_E_UNSUPPORTED &&
				  strstr(err.message, "\"no-such-name\""));
		llm_gguf_close(&gguf);
		close(fd);
		gw_free(&w);
	}
}

static void
test_bad_ids(void)
{
	int32_t		ids[] = {5, -1};
	Fixture		f;
	LlmBuf		out;
	LlmError	err;

	make_bpe(&f, "gpt-2");
	llm_buf_init(&out, &llm_malloc_allocator);
	CHECK(llm_detokenize(f.t, ids, 2, false, &out, &err) == LLM_E_ARGUMENT && out.len == 0);
	ids[1] = llm_tokenizer_vocab_size(f.t);
	CHECK(llm_detokenize(f.t, ids, 2, true, &out, &err) == LLM_E_ARGUMENT && out.len == 0);
	ids[1] = INT32_MAX;
	CHECK(llm_detokenize_one(f.t, ids[1], false, false, &out, &err) == LLM_E_ARGUMENT && strstr(err.message, "out of range"));
	CHECK(llm_tokenizer_token_text(f.t, -5).len == 0 && !llm_tokenizer_is_end(f.t, INT32_MAX));
	llm_buf_free(&out);
	close_fixture(&f);
}

static bool
stop_at_third(void *opaque)
{
	return ++*(int *) opaque == 3;
}

/* one word of 1 MB: merged in reasonable time by construction (the heap), and stoppable inside */
static void
test_long_word(void)
{
	size_t		len = 1 << 20;
	char	   *bytes = malloc(len);
	int			polls = 0;
	LlmStop		stop = {stop_at_third, &polls};
	Fixture		f;
	LlmTokens	ids;
	LlmError	err;

	for (size_t i = 0; i < len; i++)
		bytes[i] = "thequickbrown"[i * i % 13];
	make_bpe(&f, "qwen2");
	llm_tokens_init(&ids, &llm_malloc_allocator);
	CHECK(llm_tokens_append(&ids, 7, &err) == LLM_OK);
	CHECK(llm_tokenize(f.t, (LlmText) {bytes, NULL, len}, 0, &stop, &ids, &err) == LLM_PAUSED && ids.n == 1);
	CHECK(llm_tokenize(f.t, (LlmText) {bytes, NULL, len}, 0, &stop, &ids, &err) == LLM_OK && ids.ids[0] == 7);
	ids.n--;
	memmove(ids.ids, ids.ids + 1, ids.n * sizeof(int32_t));
	check_back(f.t, &ids, bytes, len);
	llm_tokens_free(&ids);
	close_fixture(&f);
	free(bytes);
}

/* PCRE2 goes on without machine code if that finds no memory, so a refusal may also leave the result as it is */
static void
check_allocations(Fixture *f)
{
	LlmTokens	expected;
	LlmError	err;

	llm_tokens_init(&expected, &llm_malloc_allocator);
	for (size_t i = 0; i < N_TEXTS; i++)
		CHECK(llm_tokenize(f->t, (LlmText) {tokenizer_texts[i].bytes, NULL, tokenizer_texts[i].len}, 0, NULL, &expected, &err) == LLM_OK);
	for (long k = 0;; k++)
	{
		FailAlloc	fa;
		LlmTokenizer *t = NULL;
		LlmTokens	ids;
		LlmStatus	status;

		fail_alloc_init(&fa, k);
		llm_tokens_init(&ids, &fa.allocator);
		status = llm_tokenizer_create(&f->gguf.meta, &fa.allocator, &t, &err);
		for (size_t i = 0; i < N_TEXTS && status == LLM_OK; i++)
			status = llm_tokenize(t, (LlmText) {tokenizer_texts[i].bytes, NULL, tokenizer_texts[i].len}, 0, NULL, &ids, &err);
		if (status == LLM_OK)
			CHECK_MSG(ids.n == expected.n && memcmp(ids.ids, expected.ids, ids.n * sizeof(int32_t)) == 0, "allocation %ld", k);
		else
			CHECK_MSG(status == LLM_E_NOMEM && fa.refused, "allocation %ld: status %d", k, status);
		llm_tokenizer_free(t);
		llm_tokens_free(&ids);
		CHECK_MSG(fa.n_alive == 0, "allocation %ld: %ld left", k, fa.n_alive);
		if (!fa.refused)
			break;
	}
	llm_tokens_free(&expected);
	close_fixture(f);
}

int
main(void)
{
	Fixture		f;

	for (tokenizer_way = 0; tokenizer_way < TOKENIZER_WAYS; tokenizer_way++)
	{
		test_library();
		test_any_bytes();
		test_leading_space();
		test_special();
		test_wordpiece();
		test_listed_merges();
		test_digit_bytes();
		test_hostile();
		test_bad_ids();
		test_long_word();
		tokenizer_ways_end();
	}
	tokenizer_way = 0;
	make_bpe(&f, "default");
	check_allocations(&f);
	make_bpe(&f, "deepseek-v3");
	check_allocations(&f);
	make_spm(&f, true);
	check_allocations(&f);
	make_wordpiece(&f, true);
	check_allocations(&f);
	make_listed(&f, "gemma4", "gemma4");
	check_allocations(&f);
	CHECK_DONE();
}
