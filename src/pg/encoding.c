/*
 * encoding.c: text between the server's encoding and UTF-8, which is what models read and write.
 *
 * A model can write any character, also one that the server's encoding lacks: that is trouble of the row. Ill-formed bytes
 * become U+FFFD, or '?' where the encoding has no such character.
 *
 * In a database of encoding SQL_ASCII bytes are handed over as they are, both ways: nobody knows what they mean.
 */
#include "pg_llm.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "text/tokenizer.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

static const char replacement[] = "\xEF\xBF\xBD";	/* U+FFFD */

#define REPLACEMENT_BYTES (sizeof replacement - 1)

/* ---- to UTF-8 ---- */

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

/* ---- from UTF-8 ---- */

/* whether well-formed UTF-8 has to be converted for the server */
static bool
must_convert(void)
{
	return GetDatabaseEncoding() != PG_UTF8 && GetDatabaseEncoding() != PG_SQL_ASCII;
}

/* append len bytes of well-formed UTF-8 in server encoding, up to the first character that it lacks; bytes read */
static size_t
append_converted(StringInfo out, const char *s, size_t len)
{
	Oid			proc = FindDefaultConversionProc(PG_UTF8, GetDatabaseEncoding());
	size_t		room = len * MAX_CONVERSION_GROWTH + 1;
	int			n;

	if (!OidIsValid(proc))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("there is no default conversion from UTF8 to \"%s\"", GetDatabaseEncodingName()),
				 errhint("Restore it with CREATE DEFAULT CONVERSION, or use a database of encoding UTF8.")));
	if (room > MaxAllocSize - 1)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("text of %zu bytes is too long to be converted", len),
				 errhint("Ask for fewer tokens with max_tokens.")));
	enlargeStringInfo(out, (int) room);
	n = pg_do_encoding_conversion_buf(proc, PG_UTF8, GetDatabaseEncoding(), (unsigned char *) unconstify(char *, s), (int) len,
									  (unsigned char *) out->data + out->len, (int) room, true);
	out->len += (int) strlen(out->data + out->len);
	return (size_t) n;
}

/* append in server encoding what the server can hold of well-formed UTF-8, U+FFFD as '?'; bytes read, len if all */
static size_t
append_to_server(StringInfo out, const char *s, size_t len)
{
	size_t		done = 0;

	while (done < len)
	{
		done += append_converted(out, s + done, len - done);
		if (done == len)
			break;
		if (len - done < REPLACEMENT_BYTES || memcmp(s + done, replacement, REPLACEMENT_BYTES) != 0)
			return done;
		appendStringInfoChar(out, '?');
		done += REPLACEMENT_BYTES;
	}
	return done;
}

/* a model's output as the server can hold it, in UTF-8 still (SQL_ASCII: as it is); palloc'd with the buffer */
static void
make_valid(const char *bytes, size_t len, LlmBuf *buf)
{
	LlmError	err;

	llm_buf_init(buf, pgllm_allocator(CurrentMemoryContext));
	if (GetDatabaseEncoding() != PG_SQL_ASCII)
		PGLLM_CHECK(llm_utf8_repair(bytes, len, buf, &err), &err);
	else
		for (size_t i = 0; i < len;)
		{
			size_t		n = strnlen(bytes + i, len - i);

			PGLLM_CHECK(llm_buf_append(buf, bytes + i, n, &err), &err);
			i += n + 1;
		}
	if (buf->len > MaxAllocSize - VARHDRSZ)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("text of %zu bytes is too long for a value", buf->len),
				 errhint("Ask for fewer tokens with max_tokens.")));
}

text *
pgllm_from_utf8_or_error(const char *bytes, size_t len, LlmError *err)
{
	LlmBuf		buf;
	StringInfoData converted;
	text	   *result = NULL;
	size_t		done;

	make_valid(bytes, len, &buf);
	if (!must_convert())
		result = cstring_to_text_with_len(buf.len ? buf.data : "", (int) buf.len);
	else
	{
		initStringInfo(&converted);
		done = append_to_server(&converted, buf.data, buf.len);
		if (done == buf.len)
			result = cstring_to_text_with_len(converted.data, converted.len);
		else
		{
			llm_fail(err, LLM_E_UNSUPPORTED, "text of the model has character U+%04X, which encoding \"%s\" lacks",
					 (unsigned) utf8_to_unicode((unsigned char *) buf.data + done), GetDatabaseEncodingName());
			llm_error_hint(err, "Use a database of encoding UTF8, which has all characters.");
		}
		pfree(converted.data);
	}
	llm_buf_free(&buf);
	return result;
}

text *
pgllm_from_utf8(const char *bytes, size_t len)
{
	LlmError	err;
	text	   *result = pgllm_from_utf8_or_error(bytes, len, &err);

	if (result == NULL)
		pgllm_raise(&err);
	return result;
}

const char *
pgllm_message_from_utf8(const char *message)
{
	size_t		len = strlen(message);
	size_t		done = 0;
	StringInfoData out;

	if (!must_convert() || !IsTransactionState())
		return message;
	initStringInfo(&out);
	while (done < len)
	{
		done += append_to_server(&out, message + done, len - done);
		if (done == len)
			break;
		appendStringInfoChar(&out, '?');
		done += (size_t) pg_utf_mblen((const unsigned char *) message + done);
	}
	return out.data;
}
