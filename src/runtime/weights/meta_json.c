/*
 * meta_json.c: metadata values as JSON text, for people who look at a model.
 *
 * Numbers are printed with the fewest digits that read back as the same value; what JSON cannot say (NaN, infinities) is
 * null. Ill-formed UTF-8 becomes U+FFFD.
 */
#include "weights/gguf_meta.h"

#include "weights/meta_entry.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static LlmStatus
append_text(LlmBuf *buf, const char *text, LlmError *err)
{
	return llm_buf_append(buf, text, strlen(text), err);
}

static LlmStatus
append_float(LlmBuf *buf, double value, bool single, LlmError *err)
{
	char		text[40];

	if (!isfinite(value))
		return append_text(buf, "null", err);
	for (int digits = single ? 6 : 15; digits <= 17; digits++)
	{
		snprintf(text, sizeof(text), "%.*g", digits, value);
		if (single ? strtof(text, NULL) == (float) value : strtod(text, NULL) == value)
			break;
	}
	return append_text(buf, text, err);
}

/* length of the well-formed UTF-8 character at s, 0 if there is none */
static size_t
utf8_len(const uint8_t *s, size_t n)
{
	size_t		len = s[0] < 0x80 ? 1 : s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : s[0] < 0xF5 ? 4 : 0;

	if (len == 0 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xC0) != 0x80)
			return 0;
	if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
		(s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
		return 0;
	return len;
}

static LlmStatus
append_string(LlmBuf *buf, LlmStr s, LlmError *err)
{
	const uint8_t *p = (const uint8_t *) s.data;
	const uint8_t *end = p + s.len;

	LLM_TRY(append_text(buf, "\"", err));
	while (p < end)
	{
		size_t		len = utf8_len(p, (size_t) (end - p));
		char		escape[8];

		if (len == 0)
			LLM_TRY(append_text(buf, "\xEF\xBF\xBD", err));
		else if (*p == '"' || *p == '\\')
		{
			snprintf(escape, sizeof(escape), "\\%c", *p);
			LLM_TRY(append_text(buf, escape, err));
		}
		else if (*p == '\n')
			LLM_TRY(append_text(buf, "\\n", err));
		else if (*p < 0x20)
		{
			snprintf(escape, sizeof(escape), "\\u%04x", *p);
			LLM_TRY(append_text(buf, escape, err));
		}
		else
			LLM_TRY(llm_buf_append(buf, p, len, err));
		p += len ? len : 1;
	}
	return append_text(buf, "\"", err);
}

/* a number or bool of the type at p */
static LlmStatus
append_scalar(LlmBuf *buf, LlmMetaType type, const uint8_t *p, LlmError *err)
{
	LlmMetaArray one = {.type = type, .count = 1, .data = p};
	char		text[32];

	switch (type)
	{
		case LLM_META_BOOL:
			return append_text(buf, p[0] ? "true" : "false", err);
		case LLM_META_FLOAT32:
		case LLM_META_FLOAT64:
			return append_float(buf, llm_meta_array_float(&one, 0), type == LLM_META_FLOAT32, err);
		case LLM_META_UINT64:
			snprintf(text, sizeof(text), "%" PRIu64, llm_load_u64(p));
			return append_text(buf, text, err);
		default:
			snprintf(text, sizeof(text), "%" PRId64, llm_meta_array_int(&one, 0));
			return append_text(buf, text, err);
	}
}

LlmStatus
llm_meta_entry_json(const LlmMetaEntry *entry, uint64_t max_elements, LlmBuf *buf, LlmError *err)
{
	const LlmMetaArray *array = &entry->array;
	uint64_t	n = array->count < max_elements ? array->count : max_elements;

	if (entry->type == LLM_META_STRING)
		return append_string(buf, (LlmStr) {(const char *) entry->value + 8, llm_load_u64(entry->value)}, err);
	if (entry->type != LLM_META_ARRAY)
		return append_scalar(buf, entry->type, entry->value, err);

	LLM_TRY(append_text(buf, "[", err));
	for (uint64_t i = 0; i < n; i++)
	{
		if (i > 0)
			LLM_TRY(append_text(buf, ",", err));
		if (array->type == LLM_META_STRING)
			LLM_TRY(append_string(buf, llm_meta_array_string(array, i), err));
		else
			LLM_TRY(append_scalar(buf, array->type, array->data + i * llm_meta_type_bytes(array->type), err));
	}
	return append_text(buf, "]", err);
}
