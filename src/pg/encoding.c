/*
 * encoding.c: text between the server's encoding and UTF-8, which is what models read and write.
 *
 * In a database of encoding SQL_ASCII bytes are handed over as they are, both ways: nobody knows what they mean.
 */
#include "pg_llm.h"

#include "mb/pg_wchar.h"
#include "text/tokenizer.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* len bytes in server encoding as UTF-8; the same bytes if nothing is to be converted */
static LlmStr
to_utf8(const char *s, size_t len)
{
	LlmStr		result = {.data = s, .len = len};
	char	   *converted;

	if (len == 0 || GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII)
		return result;
	converted = pg_server_to_any(s, (int) len, PG_UTF8);
	if (converted != s)
	{
		result.data = converted;
		result.len = strlen(converted);
	}
	return result;
}

LlmStr
pgllm_to_utf8(const text *t)
{
	return to_utf8(VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t));
}

LlmStr
pgllm_cstring_to_utf8(const char *s)
{
	return to_utf8(s, strlen(s));
}

text *
pgllm_from_utf8(const char *bytes, size_t len)
{
	LlmBuf		buf;
	LlmError	err;
	char	   *converted;
	text	   *result;
	size_t		n;

	if (len == 0)
		return cstring_to_text_with_len("", 0);
	llm_buf_init(&buf, pgllm_allocator(CurrentMemoryContext));
	PGLLM_CHECK(llm_utf8_repair(bytes, len, &buf, &err), &err);
	if (buf.len > MaxAllocSize - VARHDRSZ)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("text of %zu bytes is too long for a value", buf.len),
				 errhint("Ask for fewer tokens with max_tokens.")));
	if (buf.len == 0)
		return cstring_to_text_with_len("", 0);
	converted = pg_any_to_server(buf.data, (int) buf.len, PG_UTF8);
	n = converted == buf.data ? buf.len : strlen(converted);
	result = cstring_to_text_with_len(converted, (int) n);
	llm_buf_free(&buf);
	return result;
}
