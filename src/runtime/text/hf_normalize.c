/*
 * hf_normalize.c: the steps of a normalizer, each from one text to the next.
 *
 * If any byte of the text came from data, the origin of bytes goes along where it is asked for, so that text which becomes
 * a special token only by normalizing is no more trusted than what it was made of.
 */
#include "text/bert_chars.h"
#include "text/hf.h"
#include "text/hf_chars.h"
#include "text/unicode_class.h"
#include "text/utf8.h"

#include <string.h>
#include <utf8proc.h>

size_t
llm_hf_char(const char *s, size_t len, uint32_t *c)
{
	int			step;

	if ((uint8_t) s[0] < 0x80)
	{
		*c = (uint8_t) s[0];
		return 1;
	}
	step = llm_utf8_char((const uint8_t *) s, len, c);
	if (step > 0)
		return (size_t) step;
	*c = LLM_HF_BAD_CHAR;
	return 1;
}

bool
llm_hf_is_space(uint32_t c)
{
	uint8_t		class;

	if (c < 0x80)
		return c == ' ' || (c >= '\t' && c <= '\r');
	if (c == LLM_HF_BAD_CHAR)
		return false;
	class = llm_unicode_class(c);
	return (class >= LLM_CLASS_ZS && class <= LLM_CLASS_ZP) || class == LLM_CLASS_NEXT_LINE;
}

bool
llm_hf_is_numeric(uint32_t c)
{
	uint8_t		class;

	if (c < 0x80)
		return c >= '0' && c <= '9';
	class = c == LLM_HF_BAD_CHAR ? LLM_CLASS_INVALID : llm_unicode_class(c);
	return class >= LLM_CLASS_ND && class <= LLM_CLASS_NO;
}

bool
llm_hf_is_word(uint32_t c)
{
	uint8_t		class;

	if (c < 0x80)
		return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
	if (c == LLM_HF_BAD_CHAR)
		return false;
	if (c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
		(c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189))
		return true;
	class = llm_unicode_class(c);
	return (class <= LLM_CLASS_NL || class == LLM_CLASS_PC || class == LLM_CLASS_LONG_S);
}

LlmStatus
llm_hf_emit(const LlmHfText *in, size_t begin, size_t end, const char *bytes, size_t len, LlmHfText *out, LlmError *err)
{
	if (len == 0)
		return LLM_OK;
	if (out->bytes.len == 0)
		out->at_start = in->at_start && begin == 0;
	LLM_TRY(llm_buf_append(&out->bytes, bytes, len, err));
	if (!in->has_origin)
		return LLM_OK;
	LLM_TRY(llm_buf_reserve(&out->from_data, len, err));
	if (len == end - begin)
		memcpy(out->from_data.data + out->from_data.len, in->from_data.data + begin, len);
	else
		memset(out->from_data.data + out->from_data.len, end > begin && memchr(in->from_data.data + begin, 1, end - begin) != NULL, len);
	out->from_data.len += len;
	return LLM_OK;
}

static LlmStatus
emit_char(const LlmHfText *in, size_t begin, size_t end, uint32_t c, LlmHfText *out, LlmError *err)
{
	char		utf8[4];

	if (c == LLM_HF_BAD_CHAR)
		return llm_hf_emit(in, begin, end, in->bytes.data + begin, end - begin, out, err);
	return llm_hf_emit(in, begin, end, utf8, (size_t) utf8proc_encode_char((utf8proc_int32_t) c, (utf8proc_uint8_t *) utf8), out, err);
}

static LlmStatus
emit_lower(const LlmHfText *in, size_t begin, size_t end, uint32_t c, LlmHfText *out, LlmError *err)
{
	if (c < 0x80)
		return emit_char(in, begin, end, c >= 'A' && c <= 'Z' ? c + 32 : c, out, err);
	if (c == LLM_HF_BAD_CHAR)
		return emit_char(in, begin, end, c, out, err);
	if (c == 0x130)
		return llm_hf_emit(in, begin, end, "i\xCC\x87", 3, out, err);
	return emit_char(in, begin, end, llm_hf_lower(c), out, err);
}

static bool
is_nmt_removed(uint32_t c)
{
	return (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
}

static bool
is_nmt_space(uint32_t c)
{
	return c == 9 || c == 10 || c == 12 || c == 13 || c == 0x1680 || (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
		c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
}

/* steps that look at one character at a time */
static LlmStatus
map_char(LlmHfStepKind kind, const LlmHfText *in, size_t begin, size_t end, uint32_t c, LlmHfText *out, LlmError *err)
{
	if (kind == LLM_HF_LOWERCASE)
		return emit_lower(in, begin, end, c, out, err);
	if (kind == LLM_HF_STRIP_ACCENTS)
		return c != LLM_HF_BAD_CHAR && llm_hf_is_mark(c) ? LLM_OK : emit_char(in, begin, end, c, out, err);
	return is_nmt_removed(c) ? LLM_OK : emit_char(in, begin, end, is_nmt_space(c) ? ' ' : c, out, err);
}

static LlmStatus
map_chars(LlmHfRun *run, LlmHfStepKind kind, const LlmHfText *in, LlmHfText *out, LlmError *err)
{
	for (size_t i = 0; i < in->bytes.len;)
	{
		uint32_t	c;
		size_t		n = llm_hf_char(in->bytes.data + i, in->bytes.len - i, &c);

		LLM_TRY(map_char(kind, in, i, i + n, c, out, err));
		LLM_TRY(llm_encoder_worked(run->e, n));
		i += n;
	}
	return LLM_OK;
}

/* a character of BERT's normalizer that was neither removed nor is an ideograph */
static LlmStatus
bert_char(const LlmHfStep *step, const LlmHfText *in, size_t begin, size_t end, uint32_t c, LlmHfText *out, LlmError *err)
{
	utf8proc_int32_t part[32];
	utf8proc_ssize_t n;
	int			boundary = 0;

	if (c < 0x80 || c == LLM_HF_BAD_CHAR || !step->strip_accents)
		return step->lowercase ? emit_lower(in, begin, end, c, out, err) : emit_char(in, begin, end, c, out, err);
	n = llm_hf_may_decompose(c, false) ? utf8proc_decompose_char((utf8proc_int32_t) c, part, 32, UTF8PROC_DECOMPOSE, &boundary) : -1;
	if (n < 0 || n > 32)
	{
		part[0] = (utf8proc_int32_t) c;
		n = 1;
	}
	for (utf8proc_ssize_t i = 0; i < n; i++)
	{
		uint32_t	p = (uint32_t) part[i];

		if (!llm_bert_is_mark(p))
			LLM_TRY(step->lowercase ? emit_lower(in, begin, end, p, out, err) : emit_char(in, begin, end, p, out, err));
	}
	return LLM_OK;
}

/* marks go, so their order does not matter, and every character can be taken by itself */
static LlmStatus
bert(LlmHfRun *run, const LlmHfStep *step, const LlmHfText *in, LlmHfText *out, LlmError *err)
{
	for (size_t i = 0; i < in->bytes.len;)
	{
		uint32_t	c;
		size_t		begin = i;
		bool		ideograph;

		i += llm_hf_char(in->bytes.data + i, in->bytes.len - i, &c);
		LLM_TRY(llm_encoder_worked(run->e, 8));
		if (step->left && c != LLM_HF_BAD_CHAR)
		{
			if (c == 0 || c == 0xFFFD || llm_bert_is_removed(c))
				continue;
			if (llm_bert_is_space(c))
				c = ' ';
		}
		ideograph = step->right && c >= 0x3400 && c != LLM_HF_BAD_CHAR && llm_bert_is_ideograph(c);
		if (ideograph)
			LLM_TRY(llm_hf_emit(in, begin, i, " ", 1, out, err));
		LLM_TRY(bert_char(step, in, begin, i, c, out, err));
		if (ideograph)
			LLM_TRY(llm_hf_emit(in, begin, i, " ", 1, out, err));
	}
	return LLM_OK;
}

static LlmStatus
strip(const LlmHfStep *step, const LlmHfText *in, LlmHfText *out, LlmError *err)
{
	const char *s = in->bytes.data;
	size_t		begin = 0;
	size_t		end = in->bytes.len;
	uint32_t	c;

	while (step->left && begin < end)
	{
		size_t		n = llm_hf_char(s + begin, end - begin, &c);

		if (!llm_hf_is_space(c))
			break;
		begin += n;
	}
	while (step->right && end > begin)
	{
		size_t		last = end - 1;

		while (last > begin && ((uint8_t) s[last] & 0xC0) == 0x80)
			last--;
		if (llm_hf_char(s + last, end - last, &c) != end - last || !llm_hf_is_space(c))
			break;
		end = last;
	}
	return llm_hf_emit(in, begin, end, s + begin, end - begin, out, err);
}

static LlmStatus
replace_literal(LlmHfRun *run, const LlmHfStep *step, const LlmHfText *in, LlmHfText *out, LlmError *err)
{
	const char *s = in->bytes.data;
	size_t		len = in->bytes.len;
	size_t		pos = 0;

	while (pos < len)
	{
		const char *at = memmem(s + pos, len - pos, step->literal.data, step->literal.len);
		size_t		begin = at ? (size_t) (at - s) : len;

		LLM_TRY(llm_hf_emit(in, pos, begin, s + pos, begin - pos, out, err));
		LLM_TRY(llm_encoder_worked(run->e, begin - pos + 1));
		if (!at)
			break;
		pos = begin + step->literal.len;
		LLM_TRY(llm_hf_emit(in, begin, pos, step->text.data, step->text.len, out, err));
	}
	return LLM_OK;
}

static LlmStatus
replace_regex(LlmHfRun *run, const LlmHfStep *step, const LlmHfText *in, LlmHfText *out, LlmError *err)
{
	const char *s = in->bytes.data;
	LlmBuf	   *classes = &run->word;
	size_t		n;
	size_t		from = 0;		/* characters */
	size_t		last_end = SIZE_MAX;
	size_t		pos = 0;		/* characters and bytes that are in out */
	size_t		pos_bytes = 0;

	classes->len = 0;
	LLM_TRY(llm_buf_reserve(classes, in->bytes.len + 1, err));
	n = llm_regex_classify(step->regex, (const uint8_t *) s, in->bytes.len, (uint8_t *) classes->data);
	while (from <= n)
	{
		bool		found;
		size_t		begin;
		size_t		end;
		size_t		begin_bytes = pos_bytes;
		size_t		end_bytes;
		uint32_t	c;

		LLM_TRY(llm_regex_find(step->regex, run->match, (const uint8_t *) classes->data, n, from, &found, &begin, &end, err));
		if (!found)
			break;
		if (begin == end && end == last_end)
		{
			from++;
			continue;
		}
		for (size_t i = pos; i < begin; i++)
			begin_bytes += llm_hf_char(s + begin_bytes, in->bytes.len - begin_bytes, &c);
		end_bytes = begin_bytes;
		for (size_t i = begin; i < end; i++)
			end_bytes += llm_hf_char(s + end_bytes, in->bytes.len - end_bytes, &c);
		LLM_TRY(llm_hf_emit(in, pos_bytes, begin_bytes, s + pos_bytes, begin_bytes - pos_bytes, out, err));
		LLM_TRY(llm_hf_emit(in, begin_bytes, end_bytes, step->text.data, step->text.len, out, err));
		LLM_TRY(llm_encoder_worked(run->e, end_bytes - pos_bytes + 1));
		pos = from = last_end = end;
		pos_bytes = end_bytes;
	}
	return llm_hf_emit(in, pos_bytes, in->bytes.len, s + pos_bytes, in->bytes.len - pos_bytes, out, err);
}

/* whether a user sees next as part of the character before it: what may make a cluster below 6 bytes */
static bool
joins(uint32_t before, uint32_t next)
{
	static const uint32_t free_marks[] = {
		0x102B, 0x102C, 0x1038, 0x1062, 0x1063, 0x1064, 0x1067, 0x1068, 0x1069, 0x106A, 0x106B, 0x106C, 0x106D, 0x1083, 0x1087, 0x1088,
		0x1089, 0x108A, 0x108B, 0x108C, 0x108F, 0x109A, 0x109B, 0x109C, 0x1A61, 0x1A63, 0x1A64, 0xAA7B, 0xAA7D, 0x11720, 0x11721
	};
	uint8_t		class = before < 0x80 ? LLM_CLASS_LU : llm_unicode_class(before);

	if (before == '\r' && next == '\n')
		return true;
	if (before < ' ' || before == 0x7F || class == LLM_CLASS_CC || class == LLM_CLASS_NEXT_LINE || class == LLM_CLASS_ZL || class == LLM_CLASS_ZP)
		return false;
	if (class == LLM_CLASS_CF && before != 0x200C && before != 0x200D)
		return (before >= 0x600 && before <= 0x605) || before == 0x6DD || before == 0x70F || before == 0x890 || before == 0x891 || before == 0x8E2;
	if (next == 0x200C || next == 0x200D || next == 0xE33 || next == 0xEB3)
		return true;
	if (next < 0x300 || (next < 0x10000 && before == 0xD4E))
		return next >= 0x300;
	class = llm_unicode_class(next);
	for (size_t i = 0; i < sizeof(free_marks) / sizeof(free_marks[0]); i++)
		if (next == free_marks[i])
			return false;
	return class >= LLM_CLASS_MN && class <= LLM_CLASS_ME;
}

/*
 * SentencePiece's map as the tokenizers library applies it: to a cluster of characters as a whole if it is shorter than
 * 6 bytes and begins with a part that the map has, else to each character; the shortest part counts.
 */
static LlmStatus
precompiled(LlmHfRun *run, const LlmHfStep *step, const LlmHfText *in, LlmHfText *out, LlmError *err)
{
	const char *s = in->bytes.data;
	size_t		len = in->bytes.len;

	for (size_t begin = 0; begin < len;)
	{
		uint32_t	before;
		uint32_t	next;
		size_t		end = begin + llm_hf_char(s + begin, len - begin, &before);
		LlmStr		part;

		while (end < len && before != LLM_HF_BAD_CHAR)
		{
			size_t		n = llm_hf_char(s + end, len - end, &next);

			if (next == LLM_HF_BAD_CHAR || !joins(before, next))
				break;
			end += n;
			before = next;
		}
		if (end - begin < 6 && llm_char_map_find_shortest(&step->char_map, (const uint8_t *) s + begin, end - begin, &part))
			LLM_TRY(llm_hf_emit(in, begin, end, part.data, part.len, out, err));
		else
			for (size_t i = begin; i < end;)
			{
				size_t		n = llm_hf_char(s + i, end - i, &next);

				if (!llm_char_map_find_shortest(&step->char_map, (const uint8_t *) s + i, n, &part))
					part = (LlmStr) {s + i, n};
				LLM_TRY(llm_hf_emit(in, i, i + n, part.data, part.len, out, err));
				i += n;
			}
		LLM_TRY(llm_encoder_worked(run->e, end - begin));
		begin = end;
	}
	return LLM_OK;
}

/* bytes in GPT-2's alphabet */
static LlmStatus
map_bytes(LlmHfRun *run, const LlmHfText *in, LlmHfText *out, LlmError *err)
{
	for (size_t i = 0; i < in->bytes.len; i++)
	{
		LLM_TRY(emit_char(in, i, i + 1, (uint32_t) run->hf->char_of[(uint8_t) in->bytes.data[i]], out, err));
		LLM_TRY(llm_encoder_worked(run->e, 1));
	}
	return LLM_OK;
}

static LlmStatus
run_step(LlmHfRun *run, const LlmHfStep *step, const LlmHfText *in, LlmHfText *out, LlmError *err)
{
	switch (step->kind)
	{
		case LLM_HF_NFC:
		case LLM_HF_NFD:
		case LLM_HF_NFKC:
		case LLM_HF_NFKD:
			return llm_hf_unicode_form(run, in, out, step->kind == LLM_HF_NFKC || step->kind == LLM_HF_NFKD,
									   step->kind == LLM_HF_NFC || step->kind == LLM_HF_NFKC, err);
		case LLM_HF_STRIP:
			return strip(step, in, out, err);
		case LLM_HF_REPLACE:
			return step->regex ? replace_regex(run, step, in, out, err) : replace_literal(run, step, in, out, err);
		case LLM_HF_PREPEND:
			if (in->bytes.len > 0)
				LLM_TRY(llm_hf_emit(in, 0, 1, step->text.data, step->text.len, out, err));
			return llm_hf_emit(in, 0, in->bytes.len, in->bytes.data, in->bytes.len, out, err);
		case LLM_HF_PRECOMPILED:
			return precompiled(run, step, in, out, err);
		case LLM_HF_BERT_NORMALIZER:
			return bert(run, step, in, out, err);
		case LLM_HF_BYTE_NORMALIZER:
			return map_bytes(run, in, out, err);
		default:
			return map_chars(run, step->kind, in, out, err);
	}
}

LlmStatus
llm_hf_run_steps(LlmHfRun *run, const LlmHfStep *steps, int n, LlmText text, bool at_start, bool keep_origin, const LlmHfText **out,
				 LlmError *err)
{
	LlmHfText  *in = &run->text[0];
	LlmHfText  *next = &run->text[1];

	in->bytes.len = 0;
	in->from_data.len = 0;
	in->has_origin = keep_origin && text.from_data != NULL;
	in->at_start = at_start;
	LLM_TRY(llm_buf_append(&in->bytes, text.bytes, text.len, err));
	for (size_t i = 0; in->has_origin && i < text.len; i++)
	{
		char		origin = text.from_data[i] != 0;

		LLM_TRY(llm_buf_append(&in->from_data, &origin, 1, err));
	}
	/* no step makes anything of nothing */
	for (int k = 0; k < n && in->bytes.len > 0; k++)
	{
		LlmHfText  *swap = in;

		next->bytes.len = 0;
		next->from_data.len = 0;
		next->has_origin = in->has_origin;
		next->at_start = in->at_start;
		LLM_TRY(run_step(run, &steps[k], in, next, err));
		in = next;
		next = swap;
	}
	*out = in;
	return LLM_OK;
}

LlmStatus
llm_hf_normalize(LlmHfRun *run, LlmText text, bool at_start, bool keep_origin, const LlmHfText **out, LlmError *err)
{
	const LlmHfSteps *steps = &run->hf->normalizer;

	return llm_hf_run_steps(run, steps->step, steps->n, text, at_start, keep_origin, out, err);
}
