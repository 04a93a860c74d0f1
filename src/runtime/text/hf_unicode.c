/*
 * hf_unicode.c: normal forms of Unicode, in time linear in the text.
 *
 * A text is cut before every character that is no mark and no part of a Hangul syllable: nothing composes or is reordered
 * across such a place. Single characters that have no decomposition, most of all, are copied.
 */
#include "text/hf.h"
#include "text/hf_chars.h"
#include "text/unicode_class.h"
#include "text/utf8.h"

#include <string.h>
#include <utf8proc.h>

#define MAX_PARTS 32			/* code points that one may be decomposed into (18 in Unicode) */

static bool
begins_segment(uint32_t c)
{
	uint8_t		class;

	if (c < 0x300)
		return true;
	if (c == LLM_HF_BAD_CHAR)
		return true;
	/* parts of syllables, and what becomes such parts or voice marks */
	if ((c >= 0x1100 && c <= 0x11FF) || (c >= 0x3130 && c <= 0x318F) || (c >= 0xFF9E && c <= 0xFFDC))
		return false;
	class = llm_unicode_class(c);
	return (class < LLM_CLASS_MN || class > LLM_CLASS_ME) && llm_hf_combining_class(c) == 0;
}

/* append the parts of a character to chars (int32_t each) */
static LlmStatus
decompose(uint32_t c, bool compatibility, LlmBuf *chars, LlmError *err)
{
	utf8proc_int32_t part[MAX_PARTS];
	int			boundary = 0;
	utf8proc_ssize_t n = -1;

	if (llm_hf_may_decompose(c, compatibility))
		n = utf8proc_decompose_char((utf8proc_int32_t) c, part, MAX_PARTS, (utf8proc_option_t) (UTF8PROC_DECOMPOSE | (compatibility ? UTF8PROC_COMPAT : 0)), &boundary);

	if (n < 0 || n > MAX_PARTS)
	{
		part[0] = (utf8proc_int32_t) c;
		n = 1;
	}
	return llm_buf_append(chars, part, (size_t) n * sizeof(part[0]), err);
}

/* marks from begin to end in the order of their combining classes; equal ones stay in theirs */
static LlmStatus
order_run(int32_t *chars, size_t begin, size_t end, LlmBuf *copy, LlmError *err)
{
	size_t		first[257] = {0};
	bool		ordered = true;

	for (size_t i = begin; i < end; i++)
	{
		int			class = llm_hf_combining_class((uint32_t) chars[i]);

		first[class + 1]++;
		ordered = ordered && (i == begin || llm_hf_combining_class((uint32_t) chars[i - 1]) <= class);
	}
	if (ordered)
		return LLM_OK;
	for (int k = 1; k < 257; k++)
		first[k] += first[k - 1];
	copy->len = 0;
	LLM_TRY(llm_buf_append(copy, chars + begin, (end - begin) * sizeof(int32_t), err));
	for (size_t i = 0; i < end - begin; i++)
	{
		int32_t		c = ((int32_t *) copy->data)[i];

		chars[begin + first[llm_hf_combining_class((uint32_t) c)]++] = c;
	}
	return LLM_OK;
}

static LlmStatus
order_marks(LlmBuf *buf, LlmBuf *copy, LlmError *err)
{
	int32_t    *chars = (int32_t *) buf->data;
	size_t		n = buf->len / sizeof(int32_t);
	size_t		begin = 0;

	for (size_t i = 0; i <= n; i++)
	{
		if (i < n && llm_hf_combining_class((uint32_t) chars[i]) != 0)
			continue;
		if (i > begin + 1)
			LLM_TRY(order_run(chars, begin, i, copy, err));
		begin = i + 1;
	}
	return LLM_OK;
}

/* the segment [begin, end) of in, which is well-formed */
static LlmStatus
normalize_segment(LlmHfRun *run, const LlmHfText *in, size_t begin, size_t end, bool compatibility, bool compose, LlmHfText *out,
				  LlmError *err)
{
	LlmBuf	   *chars = &run->symbols;
	LlmBuf	   *utf8 = &run->word;
	const char *s = in->bytes.data;
	utf8proc_ssize_t n;

	chars->len = 0;
	for (size_t i = begin; i < end;)
	{
		uint32_t	c;

		i += llm_hf_char(s + i, end - i, &c);
		LLM_TRY(decompose(c, compatibility, chars, err));
	}
	LLM_TRY(order_marks(chars, &run->steps, err));
	n = (utf8proc_ssize_t) (chars->len / sizeof(int32_t));
	if (compose)
		n = utf8proc_normalize_utf32((utf8proc_int32_t *) chars->data, n, (utf8proc_option_t) (UTF8PROC_COMPOSE | UTF8PROC_STABLE));
	utf8->len = 0;
	LLM_TRY(llm_buf_reserve(utf8, (size_t) n * 4, err));
	for (utf8proc_ssize_t i = 0; i < n; i++)
		utf8->len += (size_t) utf8proc_encode_char(((utf8proc_int32_t *) chars->data)[i], (utf8proc_uint8_t *) utf8->data + utf8->len);
	return llm_hf_emit(in, begin, end, utf8->data, utf8->len, out, err);
}

static bool
stays(uint32_t c, bool compatibility, bool compose)
{
	if (c < 0x80 || c == LLM_HF_BAD_CHAR)
		return true;
	if (compose && !compatibility && c < 0x300)
		return true;
	if (c >= 0xAC00 && c <= 0xD7A3)
		return compose;
	return utf8proc_get_property((utf8proc_int32_t) c)->decomp_seqindex == UINT16_MAX;
}

LlmStatus
llm_hf_unicode_form(LlmHfRun *run, const LlmHfText *in, LlmHfText *out, bool compatibility, bool compose, LlmError *err)
{
	const char *s = in->bytes.data;
	size_t		len = in->bytes.len;
	size_t		copied = 0;		/* up to here all is in out */

	for (size_t begin = 0; begin < len;)
	{
		uint32_t	c;
		size_t		end = begin + llm_hf_char(s + begin, len - begin, &c);
		bool		single = true;
		uint32_t	next;
		size_t		step;

		while (end < len && c != LLM_HF_BAD_CHAR && (uint8_t) s[end] >= 0x80 &&
			   (step = llm_hf_char(s + end, len - end, &next), !begins_segment(next)))
		{
			single = false;
			end += step;
		}
		if (!single || !stays(c, compatibility, compose))
		{
			LLM_TRY(llm_hf_emit(in, copied, begin, s + copied, begin - copied, out, err));
			LLM_TRY(normalize_segment(run, in, begin, end, compatibility, compose, out, err));
			copied = end;
		}
		LLM_TRY(llm_encoder_worked(run->e, end - begin));
		begin = end;
	}
	return llm_hf_emit(in, copied, len, s + copied, len - copied, out, err);
}
