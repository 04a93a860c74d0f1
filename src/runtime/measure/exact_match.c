/*
 * exact_match.c: the rules' patterns by hand, as the few there are never change:
 *
 *   strict    first match of  #### (\-?[0-9\.\,]+)
 *   flexible  last match of   (-?[$0-9.,]{2,})|(-?[0-9]+)
 *   cot       first match of  The answer is (\-?[0-9\.\,]+).
 *
 * Before comparing, ',' and '$' and all up to the last "#### " and one full stop at the end are deleted, and letters are in lower
 * case. What is taken out is ASCII, so only ASCII letters of the gold answer can matter.
 */
#include "measure/exact_match.h"

#include <string.h>

const char *const llm_match_rule_names[LLM_MATCH_RULES] = {"exact", "gsm8k_strict", "gsm8k_flexible", "gsm8k_cot"};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* bytes of (-?[0-9.,]+) at s, with '$' too if dollars; 0: no match. *sign: there is a leading '-'. */
static size_t
number_length(const char *s, size_t len, bool dollars, bool *sign)
{
	size_t		n;

	*sign = len > 0 && s[0] == '-';
	for (n = *sign; n < len && (is_digit(s[n]) || s[n] == '.' || s[n] == ',' || (dollars && s[n] == '$')); n++)
		continue;
	return n > *sign ? n : 0;
}

/* the number after the first place where lead is followed by one; more: and by one character that is no line feed */
static bool
after_lead(LlmStr text, const char *lead, bool more, LlmStr *found)
{
	const size_t lead_len = strlen(lead);
	const char *end = text.data + text.len;
	const char *s = text.data;

	while ((s = memmem(s, (size_t) (end - s), lead, lead_len)) != NULL)
	{
		const char *number = s + lead_len;
		bool		sign;
		size_t		n = number_length(number, (size_t) (end - number), false, &sign);

		/* the character after it may have to be the number's last */
		if (more && n > 0 && (number + n == end || number[n] == '\n'))
			n = n - 1 > sign ? n - 1 : 0;
		if (n > 0)
		{
			*found = (LlmStr) {number, n};
			return true;
		}
		s++;
	}
	return false;
}

static bool
last_number(LlmStr text, LlmStr *found)
{
	bool		any = false;

	for (size_t at = 0; at < text.len;)
	{
		bool		sign;
		size_t		n = number_length(text.data + at, text.len - at, true, &sign);

		/* one character is a match if it is a digit */
		if (n - sign == 1 && !is_digit(text.data[at + sign]))
			n = 0;
		if (n > 0)
			*found = (LlmStr) {text.data + at, n};
		any = any || n > 0;
		at += n > 0 ? n : 1;
	}
	return any;
}

LlmStr
llm_match_extract(LlmStr text, LlmMatchRule rule)
{
	LlmStr		found = {"[invalid]", 9};

	if (text.len == 0)
		return rule == LLM_MATCH_EXACT ? text : found;
	if (rule == LLM_MATCH_EXACT)
		return text;
	if (rule == LLM_MATCH_GSM8K_STRICT)
		(void) after_lead(text, "#### ", false, &found);
	else if (rule == LLM_MATCH_GSM8K_COT)
		(void) after_lead(text, "The answer is ", true, &found);
	else
		(void) last_number(text, &found);
	return found;
}

static LlmStatus
without(LlmStr text, char left_out, LlmBuf *out, LlmError *err)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] != left_out)
			LLM_TRY(llm_buf_append(out, text.data + i, 1, err));
	return LLM_OK;
}

/* a text as it is compared */
static LlmStatus
comparable(LlmStr text, LlmBuf *out, LlmBuf *scratch, LlmError *err)
{
	LlmStr		rest;
	char	   *end;

	scratch->len = 0;
	LLM_TRY(without(text, ',', scratch, err));
	LLM_TRY(without((LlmStr) {scratch->data, scratch->len}, '$', out, err));

	/* (?s).*#### takes all up to the last one */
	rest = (LlmStr) {out->data, out->len};
	for (size_t i = rest.len; i >= 5; i--)
		if (memcmp(out->data + i - 5, "#### ", 5) == 0)
		{
			rest = (LlmStr) {out->data + i, out->len - i};
			break;
		}
	if (rest.len > 0)
		memmove(out->data, rest.data, rest.len);
	out->len = rest.len;

	if (out->len == 0)
		return LLM_OK;

	/* \.$ also matches before a line feed at the end */
	end = out->data + out->len;
	if (out->len >= 1 && end[-1] == '.')
		out->len--;
	else if (out->len >= 2 && end[-1] == '\n' && end[-2] == '.')
	{
		end[-2] = '\n';
		out->len--;
	}
	for (size_t i = 0; i < out->len; i++)
		if (out->data[i] >= 'A' && out->data[i] <= 'Z')
			out->data[i] |= 0x20;
	return LLM_OK;
}

LlmStatus
llm_match(LlmStr prediction, LlmStr gold, LlmMatchRule rule, const LlmAllocator *a, bool *matches, LlmError *err)
{
	LlmStr		found = llm_match_extract(prediction, rule);
	LlmBuf		side[2];
	LlmBuf		scratch;
	LlmStatus	status;

	if (rule == LLM_MATCH_EXACT)
	{
		*matches = prediction.len == gold.len && memcmp(prediction.data, gold.data, gold.len) == 0;
		return LLM_OK;
	}
	llm_buf_init(&scratch, a);
	llm_buf_init(&side[0], a);
	llm_buf_init(&side[1], a);
	status = comparable(found, &side[0], &scratch, err);
	if (status == LLM_OK)
		status = comparable(gold, &side[1], &scratch, err);
	if (status == LLM_OK)
		*matches = side[0].len == side[1].len && (side[0].len == 0 || memcmp(side[0].data, side[1].data, side[0].len) == 0);
	llm_buf_free(&scratch);
	llm_buf_free(&side[0]);
	llm_buf_free(&side[1]);
	return status;
}
