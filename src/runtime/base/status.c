/*
 * status.c: filling of LlmError.
 *
 * Text often quotes bytes of untrusted files, so whatever was formatted is made well-formed UTF-8 here, once: ill-formed
 * bytes and control characters become '?', and a text that is too long is cut on a character boundary. Formatting goes
 * through a buffer of its own, so that arguments may point into the error that is being filled.
 */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* length of the well-formed UTF-8 character at s (at most n bytes), 0 if it is ill-formed or cut */
static size_t
utf8_char_len(const unsigned char *s, size_t n)
{
	unsigned char low = 0x80;
	unsigned char high = 0xBF;
	size_t		len;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xC2 && s[0] <= 0xDF)
		len = 2;
	else if (s[0] >= 0xE0 && s[0] <= 0xEF)
		len = 3;
	else if (s[0] >= 0xF0 && s[0] <= 0xF4)
		len = 4;
	else
		return 0;
	if (len > n)
		return 0;

	/* the first continuation byte excludes overlong forms, surrogates and values above U+10FFFF */
	if (s[0] == 0xE0)
		low = 0xA0;
	else if (s[0] == 0xED)
		high = 0x9F;
	else if (s[0] == 0xF0)
		low = 0x90;
	else if (s[0] == 0xF4)
		high = 0x8F;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if (s[i] < 0x80 || s[i] > 0xBF)
			return 0;
	return len;
}

/* copy text into dst (dst_size > 0, terminated), whole characters only, each of them printable */
static void
put_text(char *dst, size_t dst_size, const char *text)
{
	const unsigned char *s = (const unsigned char *) text;
	size_t		n = strlen(text);
	size_t		out = 0;

	while (n > 0)
	{
		size_t		len = utf8_char_len(s, n);
		bool		replaced = len == 0 || s[0] < 0x20 || s[0] == 0x7F;

		if (len == 0)
			len = 1;
		if (out + (replaced ? 1 : len) >= dst_size)
			break;
		if (replaced)
			dst[out++] = '?';
		else
		{
			memcpy(dst + out, s, len);
			out += len;
		}
		s += len;
		n -= len;
	}
	dst[out] = '\0';
}

static __attribute__((format(printf, 3, 0))) void
format_text(char *dst, size_t dst_size, const char *format, va_list args)
{
	char		text[1536];

	if (vsnprintf(text, sizeof(text), format, args) < 0)
		text[0] = '\0';
	put_text(dst, dst_size, text);
}

LlmStatus
llm_fail(LlmError *err, LlmStatus status, const char *format,...)
{
	va_list		args;

	if (!err)
		return status;
	va_start(args, format);
	format_text(err->message, sizeof(err->message), format, args);
	va_end(args);
	err->status = status;
	err->sys_errno = 0;
	err->detail[0] = '\0';
	err->hint[0] = '\0';
	return status;
}

LlmStatus
llm_fail_errno(LlmError *err, int sys_errno, const char *format,...)
{
	char		text[1280];
	char		reason_buf[160];
	const char *reason;
	va_list		args;

	if (!err)
		return LLM_E_IO;
	va_start(args, format);
	if (vsnprintf(text, sizeof(text), format, args) < 0)
		text[0] = '\0';
	va_end(args);
	reason = strerror_r(sys_errno, reason_buf, sizeof(reason_buf));	/* the GNU function: never NULL */

	/* keep the reason even if the text before it (a path) has to be cut */
	if (strlen(text) + 2 + strlen(reason) >= sizeof(err->message) && strlen(reason) < sizeof(err->message) - 8)
		strcpy(text + sizeof(err->message) - 6 - strlen(reason), "...");
	llm_fail(err, LLM_E_IO, "%s: %s", text, reason);
	err->sys_errno = sys_errno;
	return LLM_E_IO;
}

void
llm_error_detail(LlmError *err, const char *format,...)
{
	va_list		args;

	if (!err)
		return;
	va_start(args, format);
	format_text(err->detail, sizeof(err->detail), format, args);
	va_end(args);
}

void
llm_error_hint(LlmError *err, const char *format,...)
{
	va_list		args;

	if (!err)
		return;
	va_start(args, format);
	format_text(err->hint, sizeof(err->hint), format, args);
	va_end(args);
}
