/*
 * chunk_test.c: pieces of a text cover it, begin and end at characters, and have no more tokens than asked for, whatever
 * the text; they end where a reader would cut; a pause and a failing allocation leave the chunker as it was.
 */
#include "text/chunk.h"
#include "text/utf8.h"
#include "weights/gguf.h"

#include "check.h"
#include "fail_alloc.h"
#include "gguf_writer.h"
#include "tokenizer_cases.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))
#define STR(s) ((LlmStr) {.data = (s), .len = strlen(s)})

/* a tokenizer and the file it was read from */
typedef struct Fixture
{
	GgufWriter	writer;
	LlmGguf		gguf;
	LlmTokenizer *t;
	int			fd;
} Fixture;

static void
make_bpe(Fixture *f)
{
	LlmError	err;
	char		path[64];

	gw_init(&f->writer);
	gw_string(&f->writer, "tokenizer.ggml.model", "gpt2");
	gw_string(&f->writer, "tokenizer.ggml.pre", "gpt-2");
	gw_strings(&f->writer, "tokenizer.ggml.tokens", bpe_tokens, N_OF(bpe_tokens));
	gw_strings(&f->writer, "tokenizer.ggml.merges", bpe_merges, N_OF(bpe_merges));
	gw_finish(&f->writer);
	f->fd = gw_memfd(f->writer.file.data, f->writer.file.len, path);
	if (llm_gguf_open(path, &llm_malloc_allocator, NULL, &f->gguf, &err) != LLM_OK ||
		llm_tokenizer_create(&f->gguf.meta, &llm_malloc_allocator, &f->t, &err) != LLM_OK)
	{
		fprintf(stderr, "no tokenizer: %s\n", err.message);
		exit(1);
	}
}

static size_t
count(const Fixture *f, LlmStr text, size_t start, size_t stop)
{
	LlmText		part = {.bytes = text.data + start, .from_data = NULL, .len = stop - start};
	LlmTokens	ids;
	LlmError	err;
	size_t		n;

	llm_tokens_init(&ids, &llm_malloc_allocator);
	CHECK(llm_tokenize(f->t, part, 0, NULL, &ids, &err) == LLM_OK);
	n = ids.n;
	llm_tokens_free(&ids);
	return n;
}

/* all that a piece must be */
static void
check_piece(const Fixture *f, const LlmChunker *c, size_t last_start, size_t last_stop)
{
	size_t		n = count(f, c->text, c->start, c->stop);
	uint32_t	code_point;
	int			first = llm_utf8_char((const uint8_t *) c->text.data + c->start, c->text.len - c->start, &code_point);

	CHECK_MSG(c->start < c->stop && c->stop <= c->text.len && c->stop > last_stop && (last_stop == 0 || c->start > last_start),
			  "%zu..%zu after %zu..%zu of %zu", c->start, c->stop, last_start, last_stop, c->text.len);
	CHECK_MSG(n <= c->max_tokens || c->stop - c->start == (size_t) (first > 0 ? first : 1), "%zu tokens, not %zu", n, c->max_tokens);
	CHECK(c->start <= last_stop);
	if (c->overlap == 0)
		CHECK(c->start == last_stop);
	else if (c->start < last_stop)
		CHECK(count(f, c->text, c->start, last_stop) <= c->overlap);
}

/* cut the whole text; number of pieces */
static int
check_text(const Fixture *f, LlmStr text, size_t max_tokens, size_t overlap)
{
	LlmChunker	c;
	LlmError	err;
	bool		more;
	int			n = 0;

	llm_chunker_init(&c, f->t, text, max_tokens, overlap, &llm_malloc_allocator);
	for (;;)
	{
		size_t		last_start = c.start;
		size_t		last_stop = c.stop;

		CHECK(llm_chunker_next(&c, NULL, &more, &err) == LLM_OK);
		if (!more)
			break;
		check_piece(f, &c, last_start, last_stop);
		n++;
	}
	CHECK(c.stop == text.len);
	llm_chunker_free(&c);
	return n;
}

static uint32_t random_state = 1;

static uint32_t
random_below(uint32_t n)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (random_state >> 8) % n;
}

static void
check_random_texts(const Fixture *f)
{
	static const char *const parts[] = {"a", "the", "hello", " ", "  ", "\n", "\n\n", ". ", "! ", "\xC3\xA9", "\xE3\x80\x82", "\xE4\xB8\xAD",
	"\xF0\x9F\x98\x80", "\x80", "\xE4\xB8", "\xFF", "123", "\t", ".\") ", "word word "};
	char		buf[4096];

	for (int i = 0; i < 400; i++)
	{
		size_t		len = 0;
		size_t		n_parts = random_below(200);
		size_t		max = 1 + random_below(20);

		for (size_t k = 0; k < n_parts; k++)
		{
			const char *part = parts[random_below(N_OF(parts))];

			memcpy(buf + len, part, strlen(part));
			len += strlen(part);
		}
		check_text(f, (LlmStr) {.data = buf, .len = len}, max, random_below((uint32_t) max));
	}
}

static void
check_long_texts(const Fixture *f)
{
	size_t		len = 20000;
	char	   *buf = malloc(len);

	memset(buf, ' ', len);
	check_text(f, (LlmStr) {.data = buf, .len = len}, 100, 20);
	memset(buf, 'x', len);
	check_text(f, (LlmStr) {.data = buf, .len = len}, 100, 80);
	CHECK(check_text(f, (LlmStr) {.data = buf, .len = len}, SIZE_MAX, 0) == 1);
	CHECK(check_text(f, (LlmStr) {.data = buf, .len = 0}, 10, 0) == 0);
	free(buf);
}

/* the first piece of text when so many tokens are allowed */
static void
check_first(const Fixture *f, const char *text, size_t max_tokens, const char *want)
{
	LlmChunker	c;
	LlmError	err;
	bool		more;

	llm_chunker_init(&c, f->t, STR(text), max_tokens, 0, &llm_malloc_allocator);
	CHECK(llm_chunker_next(&c, NULL, &more, &err) == LLM_OK && more);
	CHECK_MSG(c.stop == strlen(want) && memcmp(text, want, c.stop) == 0, "\"%.*s\", not \"%s\"", (int) c.stop, text, want);
	llm_chunker_free(&c);
}

/* letters of a word without merges are a token each, so the numbers can be followed by eye */
static void
check_breaks(const Fixture *f)
{
	check_first(f, "QQQQ QQQQ QQQQ", 11, "QQQQ QQQQ ");
	check_first(f, "QQQQ. QQ QQ QQ QQQQ", 15, "QQQQ. QQ QQ QQ ");
	check_first(f, "QQQQ. QQ QQ QQ QQQQ", 14, "QQQQ. QQ QQ QQ");
	check_first(f, "QQQQQ. QQ QQ QQQQ", 6, "QQQQQ.");
	check_first(f, "QQQQQQQ. QQ QQ QQ", 14, "QQQQQQQ. ");
	check_first(f, "QQQQQQQ.\" QQ QQ QQ", 15, "QQQQQQQ.\" ");
	check_first(f, "QQQQQQ. Q\nQQ QQ QQ", 15, "QQQQQQ. Q\n");
	check_first(f, "QQQQQQ\n\nQ\nQQ. QQ QQ", 15, "QQQQQQ\n\n");
	check_first(f, "QQQQQQQQ", 3, "QQQ");
}

static bool
stop_always(void *opaque)
{
	(void) opaque;
	return true;
}

static void
check_failures_are_clean(const Fixture *f)
{
	static const char text[] = "one two three four five six seven eight nine ten";
	static const LlmStop stop = {.should_stop = stop_always};
	LlmChunker	c;
	LlmError	err;
	bool		more;

	for (long k = 0;; k++)
	{
		FailAlloc	fa;
		LlmStatus	status = LLM_OK;

		fail_alloc_init(&fa, k);
		llm_chunker_init(&c, f->t, STR(text), 5, 2, &fa.allocator);
		more = true;
		while (status == LLM_OK && more)
			status = llm_chunker_next(&c, NULL, &more, &err);
		CHECK(status == (fa.refused ? LLM_E_NOMEM : LLM_OK));
		llm_chunker_free(&c);
		CHECK(fa.n_alive == 0);
		if (!fa.refused)
			break;
	}
	llm_chunker_init(&c, f->t, STR(text), 5, 2, &llm_malloc_allocator);
	CHECK(llm_chunker_next(&c, NULL, &more, &err) == LLM_OK && more);
	size_t		start = c.start;
	size_t		end = c.stop;
	LlmStatus	status = llm_chunker_next(&c, &stop, &more, &err);

	CHECK(status == LLM_OK || (status == LLM_PAUSED && c.start == start && c.stop == end));
	llm_chunker_free(&c);
}

int
main(void)
{
	Fixture		f;

	make_bpe(&f);
	check_random_texts(&f);
	check_long_texts(&f);
	check_breaks(&f);
	check_failures_are_clean(&f);
	llm_tokenizer_free(f.t);
	llm_gguf_close(&f.gguf);
	close(f.fd);
	gw_free(&f.writer);
	CHECK_DONE();
}
