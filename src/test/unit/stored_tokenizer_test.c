/*
 * stored_tokenizer_test.c: tokenizers opened with tables: tables that are damaged in any way are refused, or give a tokenizer that
 * stays inside of them; those of another version are left unused; each failing allocation is reported, a pause leaves nothing.
 * That both ways give the same ids is what tokenizer_test, unigram_test and hf_tokenizer_test run over.
 */
#include "text/tokenizer.h"
#include "weights/gguf.h"

#include "fail_alloc.h"
#include "tokenizer_models.h"

static const LlmAllocator *const alloc = &llm_malloc_allocator;

/* a text through it and back, and all tokens: nothing is expected but that it ends, and stays inside */
static void
use(const LlmTokenizer *t, bool may_fail)
{
	LlmTokens	ids;
	LlmBuf		text;
	LlmError	err;

	llm_tokens_init(&ids, alloc);
	llm_buf_init(&text, alloc);
	for (size_t i = 0; i < TOKENIZER_N(tokenizer_texts); i++)
	{
		LlmText		s = {tokenizer_texts[i].bytes, NULL, tokenizer_texts[i].len};
		LlmStatus	status = llm_tokenize(t, s, LLM_TOKENIZE_ADD_SPECIAL | LLM_TOKENIZE_PARSE_SPECIAL, NULL, &ids, &err);

		CHECK_MSG(status == LLM_OK || may_fail, "%s", err.message);
	}
	for (size_t i = 0; i < ids.n; i++)
		CHECK(ids.ids[i] >= 0 && ids.ids[i] < llm_tokenizer_vocab_size(t));
	(void) llm_detokenize(t, ids.ids, ids.n, true, &text, &err);
	for (int32_t id = 0; id < llm_tokenizer_vocab_size(t); id++)
	{
		text.len = 0;
		(void) llm_detokenize_one(t, id, id % 2 == 0, true, &text, &err);
		(void) llm_tokenizer_token_text(t, id);
		(void) llm_tokenizer_is_end(t, id);
	}
	llm_buf_free(&text);
	llm_tokens_free(&ids);
}

static uint32_t
next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t) (*state >> 33);
}

static bool
try_open(const LlmMeta *meta, const char *tables, size_t n, bool may_fail)
{
	LlmTokenizer *t;
	LlmError	err;
	LlmStatus	status = llm_tokenizer_open(meta, tables, n, alloc, NULL, &t, &err);

	if (status != LLM_OK)
	{
		CHECK_MSG(status == LLM_E_FORMAT && err.message[0], "status %d: %s", status, err.message);
		return false;
	}
	use(t, may_fail);
	llm_tokenizer_free(t);
	return true;
}

static void
test_damage(const LlmMeta *meta, const LlmBuf *good, bool may_fail)
{
	char	   *bytes = malloc(good->len);
	uint64_t	random = 7;
	long		n_open = 0;

	memcpy(bytes, good->data, good->len);
	for (size_t n = 1; n < good->len; n += 1 + n / 4)
		CHECK(!try_open(meta, bytes, n, true));
	for (int i = 0; i < 600; i++)
	{
		size_t		n_bytes = (size_t) 1 << next_random(&random) % 4;
		size_t		at = next_random(&random) % (i % 3 == 0 ? 2048 : good->len - 8) & ~(n_bytes - 1);
		uint64_t	value = next_random(&random) % 3 ? next_random(&random) : (uint64_t) 0 - next_random(&random) % 3;

		/* not the version, with which there is nothing to try */
		if (at + n_bytes > 16 && at < 20)
			continue;
		memcpy(bytes + at, &value, n_bytes);
		n_open += try_open(meta, bytes, good->len, true);
		memcpy(bytes, good->data, good->len);
	}
	printf("  600 damaged tables of %zu bytes: %ld could be opened\n", good->len, n_open);

	/* another version: as if there were no tables */
	bytes[16]++;
	memset(bytes + 20, 0xFF, good->len - 20);
	CHECK(try_open(meta, bytes, good->len, may_fail));
	free(bytes);
}

static void
test_no_memory(const LlmMeta *meta, const LlmBuf *good)
{
	for (int what = 0; what < 2; what++)
	{
		long		n_refused = 0;

		for (long k = 0;; k++)
		{
			FailAlloc	fa;
			LlmTokenizer *t;
			LlmBuf		tables;
			LlmError	err;
			LlmStatus	status;

			fail_alloc_init(&fa, k);
			llm_buf_init(&tables, &fa.allocator);
			if (what == 0)
				status = llm_tokenizer_tables(meta, 9, &fa.allocator, NULL, &tables, &err);
			else if ((status = llm_tokenizer_open(meta, good->data, good->len, &fa.allocator, NULL, &t, &err)) == LLM_OK)
				llm_tokenizer_free(t);
			/* PCRE2 does without its machine code */
			CHECK_MSG(status == LLM_OK || (fa.refused && status == LLM_E_NOMEM), "request %ld: status %d", k, status);
			n_refused += status != LLM_OK;
			if (status == LLM_OK && what == 0)
				CHECK(tables.len == good->len && memcmp(tables.data, good->data, good->len) == 0);
			llm_buf_free(&tables);
			CHECK(fa.n_alive == 0);
			if (!fa.refused)
				break;
		}
		CHECK(n_refused > 0);
	}
}

static bool
always(void *opaque)
{
	(void) opaque;
	return true;
}

/* without texts a special token is a text like others, made from metadata or from tables */
static void
check_no_texts(const LlmMeta *meta, const LlmBuf *tables)
{
	for (int i = 0; i < 2; i++)
	{
		LlmTokenizer *t;
		LlmTokens	ids;
		LlmError	err;

		CHECK(llm_tokenizer_open(meta, tables->data, i ? tables->len : 0, alloc, NULL, &t, &err) == LLM_OK);
		llm_tokens_init(&ids, alloc);
		CHECK(llm_tokenize(t, (LlmText) {"<s>", NULL, 3}, LLM_TOKENIZE_PARSE_SPECIAL, NULL, &ids, &err) == LLM_E_UNSUPPORTED &&
			  strcmp(err.message, "model has no tokenizer") == 0);
		llm_tokens_free(&ids);
		llm_tokenizer_free(t);
	}
}

static void
test_model(int model)
{
	GgufWriter	w;
	LlmGguf		gguf;
	LlmBuf		tables;
	LlmError	err;
	LlmStop		stop = {always, NULL};
	LlmStatus	status;
	char		path[64];
	int			fd;

	gw_init(&w);
	tokenizer_put_model(&w, model);
	gw_finish(&w);
	fd = gw_memfd(w.file.data, w.file.len, path);
	CHECK(llm_gguf_open(path, alloc, NULL, &gguf, &err) == LLM_OK);
	llm_buf_init(&tables, alloc);
	status = llm_tokenizer_tables(&gguf.meta, 9, alloc, &stop, &tables, &err);
	CHECK(status == (model >= 5 ? LLM_PAUSED : LLM_OK) && (tables.len > 0) == (status == LLM_OK));
	tables.len = 0;
	CHECK(llm_tokenizer_tables(&gguf.meta, 9, alloc, NULL, &tables, &err) == LLM_OK && tables.len > 0 && tables.len % 16 == 0);

	/* a vocabulary without an unknown token, and one without texts, cannot take all texts */
	printf("model %d\n", model);
	CHECK(try_open(&gguf.meta, tables.data, tables.len, true));
	if (model == 4)
		check_no_texts(&gguf.meta, &tables);
	test_damage(&gguf.meta, &tables, true);
	test_no_memory(&gguf.meta, &tables);
	llm_buf_free(&tables);
	llm_gguf_close(&gguf);
	close(fd);
	gw_free(&w);
}

/* a model without tokenizer, and one whose tokenizer cannot be made, has no tables: who opens it is told why */
static void
test_none(void)
{
	for (int i = 0; i < 2; i++)
	{
		GgufWriter	w;
		LlmGguf		gguf;
		LlmBuf		tables;
		LlmTokenizer *t;
		LlmError	err;
		char		path[64];
		int			fd;

		gw_init(&w);
		gw_string(&w, i ? "tokenizer.ggml.model" : "general.architecture", "rwkv");
		gw_finish(&w);
		fd = gw_memfd(w.file.data, w.file.len, path);
		CHECK(llm_gguf_open(path, alloc, NULL, &gguf, &err) == LLM_OK);
		llm_buf_init(&tables, alloc);
		CHECK(llm_tokenizer_tables(&gguf.meta, 9, alloc, NULL, &tables, &err) == LLM_OK && tables.len == 0);
		CHECK(llm_tokenizer_open(&gguf.meta, tables.data, 0, alloc, NULL, &t, &err) == (i ? LLM_E_UNSUPPORTED : LLM_E_FORMAT));
		llm_buf_free(&tables);
		llm_gguf_close(&gguf);
		close(fd);
		gw_free(&w);
	}
}

int
main(void)
{
	for (int model = 0; model < TOKENIZER_MODELS; model++)
		test_model(model);
	test_none();
	CHECK_DONE();
}
