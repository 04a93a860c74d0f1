/*
 * status_arena_test.c: error texts, allocation, arena, growable arrays.
 */
#include "base/status.h"
#include "base/arena.h"
#include "check.h"
#include "fail_alloc.h"

#include <errno.h>

static void
test_messages(void)
{
	LlmError	err;
	char		longtext[2000];

	CHECK(llm_fail(NULL, LLM_E_FORMAT, "x") == LLM_E_FORMAT);
	llm_error_detail(NULL, "x");
	llm_error_hint(NULL, "x");
	memset(&err, 'x', sizeof(err));
	CHECK(llm_fail(&err, LLM_E_LIMIT, "value %d of \"%s\"", 7, "k") == LLM_E_LIMIT);
	CHECK(err.status == LLM_E_LIMIT && err.sys_errno == 0);
	CHECK(strcmp(err.message, "value 7 of \"k\"") == 0);
	CHECK(err.detail[0] == '\0' && err.hint[0] == '\0');
	llm_error_detail(&err, "It is %s.", "this");
	llm_error_hint(&err, "Do %s.", "that");
	CHECK(strcmp(err.detail, "It is this.") == 0 && strcmp(err.hint, "Do that.") == 0);

	/* arguments may be parts of the error itself */
	llm_fail(&err, LLM_E_FORMAT, "outer: %s", err.message);
	CHECK(strcmp(err.message, "outer: value 7 of \"k\"") == 0);

	/* bytes of files: ill-formed, overlong, surrogate, control */
	llm_fail(&err, LLM_E_FORMAT, "a\xFF" "b\xC0\x80" "c\xED\xA0\x80" "d\n\x1B" "e\xC3\xA4\xF0\x9F\x98\x80\xE2\x82");
	CHECK_MSG(strcmp(err.message, "a?b??c???d??e\xC3\xA4\xF0\x9F\x98\x80??") == 0, "%s", err.message);

	/* cut on a character boundary: 3-byte characters into 255 bytes, after one byte */
	longtext[0] = 'a';
	for (int i = 0; i < 400; i++)
		memcpy(longtext + 1 + 3 * i, "\xE2\x82\xAC", 3);
	longtext[1201] = '\0';
	llm_fail(&err, LLM_E_FORMAT, "%s", longtext);
	CHECK(strlen(err.message) == 253);
	CHECK(strcmp(err.message + 250, "\xE2\x82\xAC") == 0);
}

static void
test_errno(void)
{
	LlmError	err;
	char		path[1000];

	CHECK(llm_fail_errno(&err, ENOENT, "could not open \"%s\"", "f") == LLM_E_IO);
	CHECK(err.status == LLM_E_IO && err.sys_errno == ENOENT);
	CHECK(strcmp(err.message, "could not open \"f\": No such file or directory") == 0);
	CHECK(llm_fail_errno(NULL, ENOENT, "x") == LLM_E_IO);

	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	llm_fail_errno(&err, EACCES, "could not open \"%s\"", path);
	CHECK_MSG(strstr(err.message, "...: Permission denied") != NULL, "%s", err.message);
	CHECK(strlen(err.message) == 255);
}

static void
test_alloc(void)
{
	LlmError	err;
	FailAlloc	fa;
	void	   *ptr = NULL;
	size_t		size = 5;

	fail_alloc_init(&fa, -1);
	CHECK(llm_alloc(&fa.allocator, SIZE_MAX / 2, 3, &ptr, &err) == LLM_E_LIMIT && ptr == NULL);
	CHECK(llm_alloc(&fa.allocator, SIZE_MAX / 2 + 1, 1, &ptr, &err) == LLM_E_LIMIT);
	CHECK(llm_alloc_aligned(&fa.allocator, SIZE_MAX - 8, 1, &ptr, &err) == LLM_E_LIMIT);
	CHECK(fa.n_requests == 0);
	CHECK(llm_alloc(&fa.allocator, 0, 8, &ptr, &err) == LLM_OK && ptr != NULL);
	llm_free(&fa.allocator, ptr);
	CHECK(llm_alloc_zero(&fa.allocator, 100, 3, &ptr, &err) == LLM_OK);
	for (int i = 0; i < 300; i++)
		CHECK(((char *) ptr)[i] == 0);
	llm_free(&fa.allocator, ptr);
	for (size_t n = 0; n < 200; n += 13)
	{
		CHECK(llm_alloc_aligned(&fa.allocator, n, 4, &ptr, &err) == LLM_OK);
		CHECK((uintptr_t) ptr % 64 == 0);
		memset(ptr, 1, n * 4);
		llm_free_aligned(&fa.allocator, ptr);
	}
	llm_free_aligned(&fa.allocator, NULL);
	llm_free(&fa.allocator, NULL);
	CHECK(fa.n_alive == 0);

	fail_alloc_init(&fa, 0);
	CHECK(llm_alloc(&fa.allocator, 10, 1, &ptr, &err) == LLM_E_NOMEM);
	CHECK(strcmp(err.message, "out of memory") == 0 && strcmp(err.detail, "Failed on a request of 10 bytes.") == 0);
	CHECK(!llm_size_mul(SIZE_MAX, 2, &size) && !llm_size_add(SIZE_MAX, 1, &size) && size == 5);
	CHECK(llm_size_mul(3, 4, &size) && size == 12 && llm_size_add(3, 4, &size) && size == 7);
}

static void
test_arena(void)
{
	LlmError	err;
	FailAlloc	fa;
	LlmArena	arena;
	void	   *ptr;
	unsigned char *all[300];

	fail_alloc_init(&fa, -1);
	llm_arena_init(&arena, &fa.allocator, 0);
	for (size_t i = 0; i < 300; i++)
	{
		CHECK(llm_arena_alloc(&arena, i, i % 7 + 1, &ptr, &err) == LLM_OK);
		CHECK((uintptr_t) ptr % 16 == 0);
		all[i] = ptr;
		memset(ptr, (int) (i & 0xFF), i * (i % 7 + 1));
	}
	for (size_t i = 0; i < 300; i++)
		for (size_t k = 0; k < i * (i % 7 + 1); k++)
			CHECK(all[i][k] == (i & 0xFF));
	CHECK(llm_arena_alloc(&arena, (size_t) 3 << 20, 1, &ptr, &err) == LLM_OK);	/* larger than any block */
	memset(ptr, 1, (size_t) 3 << 20);
	CHECK(llm_arena_alloc(&arena, SIZE_MAX, 2, &ptr, &err) == LLM_E_LIMIT);
	CHECK(llm_arena_alloc(&arena, SIZE_MAX / 2, 1, &ptr, &err) == LLM_E_LIMIT);
	llm_arena_free(&arena);
	CHECK(fa.n_alive == 0 && arena.total_bytes == 0);
	CHECK(llm_arena_alloc(&arena, 1, 1, &ptr, &err) == LLM_OK);	/* usable again */
	llm_arena_free(&arena);

	/* a limit is reached exactly, and not passed */
	llm_arena_init(&arena, &fa.allocator, 10000);
	CHECK(llm_arena_alloc(&arena, 9984, 1, &ptr, &err) == LLM_OK);
	CHECK(llm_arena_alloc(&arena, 16, 1, &ptr, &err) == LLM_OK);
	CHECK(llm_arena_alloc(&arena, 1, 1, &ptr, &err) == LLM_E_LIMIT);
	CHECK(strstr(err.detail, "the limit is 10000 bytes") != NULL);
	llm_arena_free(&arena);

	for (long k = 0;; k++)
	{
		LlmStatus	status = LLM_OK;

		fail_alloc_init(&fa, k);
		llm_arena_init(&arena, &fa.allocator, 0);
		for (int i = 0; i < 100 && status == LLM_OK; i++)
			status = llm_arena_alloc(&arena, 1000, 1, &ptr, &err);
		CHECK(status == (fa.refused ? LLM_E_NOMEM : LLM_OK));
		llm_arena_free(&arena);
		CHECK(fa.n_alive == 0);
		if (!fa.refused)
			break;
	}
}

static void
test_growing(void)
{
	LlmError	err;
	FailAlloc	fa;
	LlmBuf		buf;
	LlmTokens	tokens;

	for (long k = 0;; k++)
	{
		LlmStatus	status = LLM_OK;
		size_t		n = 0;

		fail_alloc_init(&fa, k);
		llm_buf_init(&buf, &fa.allocator);
		llm_tokens_init(&tokens, &fa.allocator);
		while (n < 1000 && status == LLM_OK)
		{
			status = llm_buf_append(&buf, "abc", 3, &err);
			if (status == LLM_OK)
				status = llm_tokens_append(&tokens, (int32_t) n, &err);
			if (status == LLM_OK)
				n++;
		}
		CHECK(status == (fa.refused ? LLM_E_NOMEM : LLM_OK));
		CHECK(tokens.n == n && buf.len / 3 >= n);	/* what was appended before a failure is kept */
		for (size_t i = 0; i < n; i++)
			CHECK(tokens.ids[i] == (int32_t) i && memcmp(buf.data + 3 * i, "abc", 3) == 0);
		if (!fa.refused)
		{
			CHECK(llm_buf_reserve(&buf, SIZE_MAX, &err) == LLM_E_LIMIT);
			CHECK(llm_buf_reserve(&buf, SIZE_MAX / 2, &err) == LLM_E_LIMIT);
			CHECK(llm_buf_append(&buf, NULL, 0, &err) == LLM_OK && buf.len == 3000);
		}
		llm_buf_free(&buf);
		llm_tokens_free(&tokens);
		CHECK(fa.n_alive == 0);
		if (!fa.refused)
			break;
	}
}

int
main(void)
{
	test_messages();
	test_errno();
	test_alloc();
	test_arena();
	test_growing();
	CHECK_DONE();
}
