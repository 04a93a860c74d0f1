/*
 * unigram_test.c: small vocabularies give the ids of the sentencepiece library (unigram_cases.h); damaged vocabularies and
 * character maps are refused or harmless; a long text without spaces can be stopped; each failing allocation is reported.
 */
#include "text/char_map.h"
#include "text/tokenizer.h"
#include "weights/gguf.h"

#include "check.h"
#include "fail_alloc.h"
#include "gguf_writer.h"
#include "tokenizer_ways.h"
#include "tokenizer_cases.h"
#include "unigram_cases.h"

#include <math.h>

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))
#define N_TEXTS N_OF(tokenizer_texts)
#define MAP_KEY "tokenizer.ggml.precompiled_charsmap"
#define MARK "\xE2\x96\x81"

typedef struct Fixture
{
	GgufWriter	writer;
	LlmGguf		gguf;
	LlmTokenizer *t;			/* NULL: refused as err says */
	LlmStatus	status;
	LlmError	err;
	int			fd;
} Fixture;

static void
begin_fixture(Fixture *f)
{
	memset(f, 0, sizeof(*f));
	gw_init(&f->writer);
	gw_string(&f->writer, "tokenizer.ggml.model", "t5");
}

static void
put_map(Fixture *f, const void *map, size_t n_bytes)
{
	gw_array(&f->writer, MAP_KEY, LLM_META_UINT8, n_bytes);
	gw_put(&f->writer.keys, map, n_bytes);
}

static void
open_fixture(Fixture *f)
{
	char		path[64];

	gw_finish(&f->writer);
	f->fd = gw_memfd(f->writer.file.data, f->writer.file.len, path);
	if (llm_gguf_open(path, &llm_malloc_allocator, NULL, &f->gguf, &f->err) != LLM_OK)
	{
		fprintf(stderr, "no file: %s\n", f->err.message);
		exit(1);
	}
	f->status = tokenizer_by_way(&f->gguf.meta, &f->t, &f->err);
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
must_open(Fixture *f)
{
	open_fixture(f);
	CHECK_MSG(f->status == LLM_OK, "%s", f->err.message);
	if (f->status != LLM_OK)
		exit(1);
}

/* the trained model */
static void
make_trained(Fixture *f)
{
	begin_fixture(f);
	gw_strings(&f->writer, "tokenizer.ggml.tokens", unigram_tokens, N_OF(unigram_tokens));
	gw_f32s(&f->writer, "tokenizer.ggml.scores", unigram_scores, N_OF(unigram_scores));
	gw_i32s(&f->writer, "tokenizer.ggml.token_type", unigram_types, N_OF(unigram_types));
	gw_u32(&f->writer, "tokenizer.ggml.eos_token_id", 2);
	put_map(f, unigram_map, sizeof(unigram_map));
	must_open(f);
}

/* its tokens and one for every byte; the text is taken as it is */
static void
make_plain(Fixture *f)
{
	enum
	{
		N = N_OF(unigram_tokens)
	};
	const char *tokens[N + 256];
	char		bytes[256][8];
	float		scores[N + 256] = {0};
	int32_t		types[N + 256];

	memcpy(tokens, unigram_tokens, sizeof(unigram_tokens));
	memcpy(scores, unigram_scores, sizeof(unigram_scores));
	memcpy(types, unigram_types, sizeof(unigram_types));
	for (int b = 0; b < 256; b++)
	{
		snprintf(bytes[b], sizeof(bytes[b]), "<0x%02X>", (unsigned) b);
		tokens[N + b] = bytes[b];
		types[N + b] = 6;
	}
	begin_fixture(f);
	gw_bool(&f->writer, "tokenizer.ggml.add_space_prefix", false);
	gw_bool(&f->writer, "tokenizer.ggml.remove_extra_whitespaces", false);
	gw_strings(&f->writer, "tokenizer.ggml.tokens", tokens, N + 256);
	gw_f32s(&f->writer, "tokenizer.ggml.scores", scores, N + 256);
	gw_i32s(&f->writer, "tokenizer.ggml.token_type", types, N + 256);
	must_open(f);
}

/* tokens after "<unk>" with scores; map NULL: none */
static void
make_small(Fixture *f, const char *const *tokens, const float *scores, size_t n, const void *map, size_t map_bytes)
{
	int32_t		types[16] = {2};

	for (size_t i = 1; i < n; i++)
		types[i] = 1;
	begin_fixture(f);
	gw_bool(&f->writer, "tokenizer.ggml.add_space_prefix", false);
	gw_strings(&f->writer, "tokenizer.ggml.tokens", tokens, n);
	gw_f32s(&f->writer, "tokenizer.ggml.scores", scores, n);
	gw_i32s(&f->writer, "tokenizer.ggml.token_type", types, n);
	if (map)
		put_map(f, map, map_bytes);
	open_fixture(f);
}

static LlmTokens
tokenize(const LlmTokenizer *t, const char *bytes, size_t len, int flags)
{
	LlmTokens	ids;
	LlmError	err;

	llm_tokens_init(&ids, &llm_malloc_allocator);
	CHECK(llm_tokenize(t, (LlmText) {bytes, NULL, len}, flags, NULL, &ids, &err) == LLM_OK);
	return ids;
}

static void
check_text(Fixture *f, const char *text, const int32_t *expected, size_t n)
{
	LlmTokens	ids = tokenize(f->t, text, strlen(text), 0);

	CHECK_MSG(ids.n == n && (n == 0 || memcmp(ids.ids, expected, n * sizeof(int32_t)) == 0), "\"%s\": %zu ids", text, ids.n);
	llm_tokens_free(&ids);
}

static void
check_library(Fixture *f, const char *name, const int32_t *expected, const int32_t *ends)
{
	int32_t		begin = 0;

	for (size_t i = 0; i < N_TEXTS; i++)
	{
		LlmTokens	ids = tokenize(f->t, tokenizer_texts[i].bytes, tokenizer_texts[i].len, 0);
		size_t		n = (size_t) (ends[i] - begin);

		CHECK_MSG(ids.n == n && (n == 0 || memcmp(ids.ids, expected + begin, n * sizeof(int32_t)) == 0), "%s, text %zu", name, i);
		begin = ends[i];
		llm_tokens_free(&ids);
	}
}

static void
test_library(void)
{
	Fixture		f;
	LlmTokens	ids;
	LlmBuf		back;

	make_trained(&f);
	check_library(&f, "unigram", unigram_ids, unigram_ends);
	CHECK(strcmp(llm_tokenizer_kind(f.t), "unigram") == 0);
	ids = tokenize(f.t, " the \t quick  fox ", 18, LLM_TOKENIZE_ADD_SPECIAL);
	CHECK(ids.n > 1 && ids.ids[ids.n - 1] == 2);	/* </s> */
	llm_buf_init(&back, &llm_malloc_allocator);
	CHECK(llm_detokenize(f.t, ids.ids, ids.n, false, &back, &f.err) == LLM_OK);
	CHECK_MSG(back.len == 13 && memcmp(back.data, "the quick fox", 13) == 0, "%.*s", (int) back.len, back.data);
	llm_buf_free(&back);
	llm_tokens_free(&ids);
	close_fixture(&f);
	make_plain(&f);
	check_library(&f, "plain", unigram_plain_ids, unigram_plain_ends);
	close_fixture(&f);
}

static void
check_refused(const char *const *tokens, const float *scores, size_t n, const char *message)
{
	Fixture		f;

	make_small(&f, tokens, scores, n, NULL, 0);
	CHECK_MSG(f.status == LLM_E_FORMAT && strstr(f.err.message, message), "%s: status %d", message, f.status);
	close_fixture(&f);
}

static void
test_scores(void)
{
	static const char *const tokens[] = {"<unk>", "a", "b", "ab"};
	static const char *const same[] = {"<unk>", "a" MARK, "a "};
	static const float huge[] = {0, -3.0e38f, -3.0e38f, -3.4e38f};
	static const float positive[] = {0, 30, 20, 45};
	Fixture		f;
	LlmTokens	ids;

	for (int k = 0; k < 3; k++)
	{
		float		scores[4] = {0, k == 0 ? NAN : k == 1 ? INFINITY : -INFINITY, -1, -1};

		check_refused(tokens, scores, 4, "not a finite number");
	}

	/* of equal tokens the last is made */
	make_small(&f, same, huge, 3, NULL, 0);
	CHECK(f.status == LLM_OK);
	ids = tokenize(f.t, "a a", 3, 0);
	CHECK(ids.n > 0 && ids.ids[0] == 2);
	llm_tokens_free(&ids);
	close_fixture(&f);

	/* sums that leave the range of floats still give a way to the end, of the tokens of the text */
	make_small(&f, tokens, huge, 4, NULL, 0);
	CHECK(f.status == LLM_OK);
	ids = tokenize(f.t, "abababab", 8, 0);
	CHECK(ids.n >= 4 && ids.n <= 8);
	for (size_t i = 0; i < ids.n; i++)
		CHECK(ids.ids[i] > 0 && ids.ids[i] < 4);
	llm_tokens_free(&ids);
	close_fixture(&f);

	/* unknown is 10 below the lowest score also where that is above 0: "x" and "b" have 10 + 20, the token only 29 */
	{
		static const char *const covering[] = {"<unk>", "xb", "b"};
		static const float scores[] = {0, 29, 20};

		make_small(&f, covering, scores, 3, NULL, 0);
		CHECK(f.status == LLM_OK);
		check_text(&f, "xb", (const int32_t[]) {0, 2}, 2);
		close_fixture(&f);
	}
	make_small(&f, tokens, positive, 4, NULL, 0);
	check_text(&f, "ab", (const int32_t[]) {1, 2}, 2);
	check_text(&f, "axxb", (const int32_t[]) {1, 0, 2}, 3);
	close_fixture(&f);
}

/* no scores, too few, of another type; no unknown token; tokens without text or above any bound */
static void
test_vocabulary(void)
{
	static const char *const empty[] = {"", "a", ""};
	static const float scores[] = {-1, -2, -3};
	char		longest[513];
	const char *const big[] = {"<unk>", "a", longest};
	Fixture		f;

	for (int k = 0; k < 3; k++)
	{
		begin_fixture(&f);
		gw_strings(&f.writer, "tokenizer.ggml.tokens", empty, 3);
		if (k == 1)
			gw_f32s(&f.writer, "tokenizer.ggml.scores", scores, 2);
		else if (k == 2)
			gw_strings(&f.writer, "tokenizer.ggml.scores", empty, 3);
		open_fixture(&f);
		CHECK_MSG(f.status == LLM_E_FORMAT && strstr(f.err.message, "tokenizer.ggml.scores"), "case %d: status %d", k, f.status);
		close_fixture(&f);
	}

	/* nothing can stand for what is unknown */
	begin_fixture(&f);
	gw_strings(&f.writer, "tokenizer.ggml.tokens", empty, 3);
	gw_f32s(&f.writer, "tokenizer.ggml.scores", scores, 3);
	must_open(&f);
	check_text(&f, "xay\xFF", (const int32_t[]) {1}, 1);
	close_fixture(&f);

	memset(longest, 'a', 512);
	longest[512] = '\0';
	make_small(&f, big, scores, 3, NULL, 0);
	CHECK(f.status == LLM_OK);
	check_text(&f, longest, (const int32_t[]) {2}, 1);
	close_fixture(&f);
}

static void
put_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t) (v >> (8 * i));
}

static void
check_map_refused(const void *map, size_t n_bytes, LlmStatus status)
{
	static const char *const tokens[] = {"<unk>", "a"};
	static const float scores[] = {0, -1};
	Fixture		f;

	make_small(&f, tokens, scores, 2, map, n_bytes);
	CHECK_MSG(f.status == status && strstr(f.err.message, MAP_KEY), "%zu bytes: status %d", n_bytes, f.status);
	close_fixture(&f);
}

static void
test_refused_maps(void)
{
	uint8_t		map[8 + 130] = {0};
	Fixture		f;

	for (size_t n = 1; n <= 8; n++)
	{
		put_u32(map, n <= 4 ? 0 : 4);
		check_map_refused(map, n, LLM_E_FORMAT);
	}
	for (int k = 0; k < 5; k++)
	{
		static const uint32_t sizes[] = {0, 2, 134, 136, UINT32_MAX};

		put_u32(map, sizes[k]);
		check_map_refused(map, sizeof(map), LLM_E_FORMAT);
	}
	put_u32(map, 4);
	memset(map + 8, 'x', 129);
	check_map_refused(map, sizeof(map), LLM_E_LIMIT);
	map[sizeof(map) - 1] = 'x';
	check_map_refused(map, sizeof(map), LLM_E_FORMAT);

	begin_fixture(&f);
	gw_strings(&f.writer, "tokenizer.ggml.tokens", unigram_tokens, 3);
	gw_string(&f.writer, MAP_KEY, "text");
	open_fixture(&f);
	CHECK(f.status == LLM_E_FORMAT && strstr(f.err.message, MAP_KEY));
	close_fixture(&f);
}

#define N_UNITS 512

/* 512 units and the replacements "b", "" */
static uint8_t *
make_map(uint8_t map[4 + 4 * N_UNITS + 3])
{
	memset(map, 0, 4 + 4 * N_UNITS);
	put_u32(map, 4 * N_UNITS);
	memcpy(map + 4 + 4 * N_UNITS, "b\0", 3);
	return map + 4;
}

static void
check_map_text(const uint8_t *map, const char *text, const int32_t *expected, size_t n)
{
	static const char *const tokens[] = {"<unk>", "a", "b"};
	static const float scores[] = {0, -1, -1};
	Fixture		f;

	make_small(&f, tokens, scores, 3, map, 4 + 4 * N_UNITS + 3);
	CHECK(f.status == LLM_OK);
	check_text(&f, text, expected, n);
	close_fixture(&f);
}

/* a unit of label 'a' with a value: where its child lies, and what the value is, may be anything */
static void
test_damaged_maps(void)
{
	uint8_t		map[4 + 4 * N_UNITS + 3];
	uint8_t    *units = make_map(map);
	const uint32_t a_unit = 'a' | 0x100;

	/* whole: the root's child offset is 256, the unit of 'a' at 256 ^ 'a' leads to 256 ^ 'a' ^ 128 with the value */
	put_u32(units, 256 << 10);
	put_u32(units + 4 * (256 ^ 'a'), a_unit | 128 << 10);
	put_u32(units + 4 * (256 ^ 'a' ^ 128), UINT32_C(0x80000000));
	check_map_text(map, "aa", (const int32_t[]) {2, 2}, 2);
	put_u32(units + 4 * (256 ^ 'a' ^ 128), UINT32_C(0x80000002));
	check_map_text(map, "aab", (const int32_t[]) {2}, 1);
	for (int k = 0; k < 3; k++)
	{
		static const uint32_t values[] = {3, 4096, 0x7FFFFFFF};

		put_u32(units + 4 * (256 ^ 'a' ^ 128), UINT32_C(0x80000000) | values[k]);
		check_map_text(map, "aa", (const int32_t[]) {1, 1}, 2);
	}
	put_u32(units + 4 * (256 ^ 'a'), a_unit | 512 << 10);
	check_map_text(map, "aa", (const int32_t[]) {1, 1}, 2);
	put_u32(units + 4 * (256 ^ 'a'), a_unit | UINT32_C(0x7FFFFE00));
	check_map_text(map, "aa", (const int32_t[]) {1, 1}, 2);
	put_u32(units, UINT32_C(0x7FFFFE00));
	check_map_text(map, "aa", (const int32_t[]) {1, 1}, 2);
}

/*
 * Units that form a cycle: from any place the map could be followed to the end of the text. A look-up ends before that, and
 * reads a bounded part of the text only.
 */
static void
test_cycle(void)
{
	uint8_t		bytes[4 + 4 * N_UNITS + 3];
	uint8_t    *units = make_map(bytes);
	LlmCharMap	map = {units, N_UNITS, "b", 2};
	size_t		len = 1 << 20;
	uint8_t    *text = malloc(len);
	LlmStr		replacement = {NULL, 0};

	memset(text, 'a', len);
	/* the unit of 'a' at 256 ^ 'a' leads to itself by the offset 'a' */
	put_u32(units, 256 << 10);
	put_u32(units + 4 * (256 ^ 'a'), 'a' | 'a' << 10);
	CHECK(llm_char_map_find(&map, text, len, &replacement) == 0 && !replacement.data);
	/* with a value in the unit itself, every length up to the bound is a key; its value is a place outside */
	put_u32(units + 4 * (256 ^ 'a'), 'a' | 0x100 | 'a' << 10);
	CHECK(llm_char_map_find(&map, text, len, &replacement) <= 256);
	free(text);
}

static bool
stop_at_third(void *opaque)
{
	return ++*(int *) opaque == 3;
}

/* 1 MB without a space: stopped inside, and whole when called again */
static void
test_long_word(void)
{
	size_t		len = 1 << 20;
	char	   *bytes = malloc(len);
	int			polls = 0;
	LlmStop		stop = {stop_at_third, &polls};
	Fixture		f;
	LlmTokens	ids;
	LlmBuf		back;

	for (size_t i = 0; i < len; i++)
		bytes[i] = "thequickbrown"[i * i % 13];
	make_trained(&f);
	llm_tokens_init(&ids, &llm_malloc_allocator);
	CHECK(llm_tokens_append(&ids, 7, &f.err) == LLM_OK);
	CHECK(llm_tokenize(f.t, (LlmText) {bytes, NULL, len}, 0, &stop, &ids, &f.err) == LLM_PAUSED && ids.n == 1);
	CHECK(llm_tokenize(f.t, (LlmText) {bytes, NULL, len}, 0, &stop, &ids, &f.err) == LLM_OK && ids.ids[0] == 7);
	/* asked in proportion to the text, of which each place costs at most the longest token */
	CHECK_MSG(polls > 16 && polls < 2000, "%d polls", polls);
	llm_buf_init(&back, &llm_malloc_allocator);
	CHECK(llm_detokenize(f.t, ids.ids + 1, ids.n - 1, false, &back, &f.err) == LLM_OK);
	CHECK(back.len == len && memcmp(back.data, bytes, len) == 0);
	llm_buf_free(&back);
	llm_tokens_free(&ids);
	close_fixture(&f);
	free(bytes);
}

static void
test_allocations(void)
{
	Fixture		f;
	LlmTokens	expected;
	LlmError	err;
	bool		refused = true;

	make_trained(&f);
	llm_tokens_init(&expected, &llm_malloc_allocator);
	for (size_t i = 0; i < N_TEXTS; i++)
		CHECK(llm_tokenize(f.t, (LlmText) {tokenizer_texts[i].bytes, NULL, tokenizer_texts[i].len}, 0, NULL, &expected, &err) == LLM_OK);
	for (long k = 0; refused; k++)
	{
		FailAlloc	fa;
		LlmTokenizer *t = NULL;
		LlmTokens	ids;
		LlmStatus	status;

		fail_alloc_init(&fa, k);
		llm_tokens_init(&ids, &fa.allocator);
		status = llm_tokenizer_create(&f.gguf.meta, &fa.allocator, &t, &err);
		for (size_t i = 0; i < N_TEXTS && status == LLM_OK; i++)
			status = llm_tokenize(t, (LlmText) {tokenizer_texts[i].bytes, NULL, tokenizer_texts[i].len}, 0, NULL, &ids, &err);
		refused = fa.refused;
		if (refused)
			CHECK_MSG(status == LLM_E_NOMEM, "allocation %ld: status %d", k, status);
		else
			CHECK(status == LLM_OK && ids.n == expected.n && memcmp(ids.ids, expected.ids, ids.n * sizeof(int32_t)) == 0);
		llm_tokenizer_free(t);
		llm_tokens_free(&ids);
		CHECK_MSG(fa.n_alive == 0, "allocation %ld: %ld left", k, fa.n_alive);
	}
	llm_tokens_free(&expected);
	close_fixture(&f);
}

int
main(void)
{
	for (tokenizer_way = 0; tokenizer_way < TOKENIZER_WAYS; tokenizer_way++)
	{
		test_library();
		test_scores();
		test_vocabulary();
		test_refused_maps();
		if (tokenizer_way == 0)
			test_damaged_maps();
		test_cycle();
		test_long_word();
		tokenizer_ways_end();
	}
	tokenizer_way = 0;
	test_allocations();
	CHECK_DONE();
}
