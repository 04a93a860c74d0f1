/*
 * utf8.c: well-formed UTF-8, what of a stream may be shown, and the repair of text that is not.
 *
 * An ill-formed part is the longest run of bytes that begins a well-formed character but does not finish it, or else one
 * byte ("maximal subpart", as in the Unicode Standard 3.9 and the WHATWG encoding standard): each becomes one U+FFFD.
 */
#include "text/utf8.h"
#include "text/tokenizer.h"

#include <string.h>

/*
 * utf8_part: how many bytes at s (len >= 1) agree with the beginning of a character, at least 1; *need is the length the
 * character has by its first byte, or 0 if no character begins with it.
 */
static int
utf8_part(const uint8_t *s, size_t len, int *need)
{
	uint8_t		lead = s[0];
	uint8_t		low = 0x80;		/* bounds of the second byte */
	uint8_t		high = 0xBF;
	int			n;

	if (lead < 0x80)
	{
		*need = 1;
		return 1;
	}
	if (lead < 0xC2 || lead > 0xF4)
	{
		*need = 0;
		return 1;
	}
	*need = llm_utf8_lead_length(lead);
	if (lead == 0xE0)
		low = 0xA0;				/* no overlong forms */
	else if (lead == 0xED)
		high = 0x9F;			/* no surrogates */
	else if (lead == 0xF0)
		low = 0x90;
	else if (lead == 0xF4)
		high = 0x8F;			/* not above U+10FFFF */
	if (len < 2 || s[1] < low || s[1] > high)
		return 1;
	for (n = 2; n < *need && (size_t) n < len && (s[n] & 0xC0) == 0x80; n++)
		;
	return n;
}

int
llm_utf8_char(const uint8_t *s, size_t len, uint32_t *code_point)
{
	int			need;

	if (utf8_part(s, len, &need) != need)
		return 0;
	switch (need)
	{
		case 1:
			*code_point = s[0];
			break;
		case 2:
			*code_point = (uint32_t) (s[0] & 0x1F) << 6 | (s[1] & 0x3F);
			break;
		case 3:
			*code_point = (uint32_t) (s[0] & 0x0F) << 12 | (uint32_t) (s[1] & 0x3F) << 6 | (s[2] & 0x3F);
			break;
		default:
			*code_point = (uint32_t) (s[0] & 0x07) << 18 | (uint32_t) (s[1] & 0x3F) << 12 |
				(uint32_t) (s[2] & 0x3F) << 6 | (s[3] & 0x3F);
			break;
	}
	return need;
}

size_t
llm_utf8_complete_prefix(const char *bytes, size_t len)
{
	const uint8_t *s = (const uint8_t *) bytes;

	for (size_t back = 1; back <= 3 && back <= len; back++)
	{
		const uint8_t *lead = s + len - back;
		int			need;
		int			n;

		if ((*lead & 0xC0) == 0x80)
			continue;
		n = utf8_part(lead, back, &need);
		return (size_t) n == back && n < need ? len - back : len;
	}
	return len;
}

LlmStatus
llm_utf8_repair(const char *bytes, size_t len, LlmBuf *out, LlmError *err)
{
	const uint8_t *s = (const uint8_t *) bytes;
	size_t		len_before = out->len;
	size_t		done = 0;		/* up to here bytes are in out */
	size_t		i = 0;
	LlmStatus	status = LLM_OK;

	while (i < len && status == LLM_OK)
	{
		int			need;
		int			n = utf8_part(s + i, len - i, &need);

		if (n != need || s[i] == 0)
		{
			status = llm_buf_append(out, s + done, i - done, err);
			if (status == LLM_OK && n != need)
				status = llm_buf_append(out, "\xEF\xBF\xBD", 3, err);
			done = i + (size_t) n;
		}
		i += (size_t) n;
	}
	if (status == LLM_OK)
		status = llm_buf_append(out, s + done, len - done, err);
	if (status != LLM_OK)
		out->len = len_before;
	return status;
}
