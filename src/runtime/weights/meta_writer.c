/*
 * meta_writer.c: key/value pairs appended to a buffer. A pair that fails half-way ends the writing: the caller gives up.
 */
#include "weights/meta_writer.h"

#include <string.h>

void
llm_meta_writer_init(LlmMetaWriter *w, const LlmAllocator *a)
{
	llm_buf_init(&w->buf, a);
	w->n_entries = 0;
}

void
llm_meta_writer_free(LlmMetaWriter *w)
{
	llm_buf_free(&w->buf);
}

static LlmStatus
put_u32(LlmMetaWriter *w, uint32_t value, LlmError *err)
{
	return llm_buf_append(&w->buf, &value, sizeof(value), err);
}

static LlmStatus
put_u64(LlmMetaWriter *w, uint64_t value, LlmError *err)
{
	return llm_buf_append(&w->buf, &value, sizeof(value), err);
}

static LlmStatus
put_string(LlmMetaWriter *w, LlmStr value, LlmError *err)
{
	LLM_TRY(put_u64(w, value.len, err));
	return llm_buf_append(&w->buf, value.data, value.len, err);
}

static LlmStatus
begin(LlmMetaWriter *w, const char *key, LlmMetaType type, LlmError *err)
{
	LLM_TRY(put_string(w, (LlmStr) {key, strlen(key)}, err));
	w->n_entries++;
	return put_u32(w, type, err);
}

static LlmStatus
begin_array(LlmMetaWriter *w, const char *key, LlmMetaType type, uint64_t n, LlmError *err)
{
	LLM_TRY(begin(w, key, LLM_META_ARRAY, err));
	LLM_TRY(put_u32(w, type, err));
	return put_u64(w, n, err);
}

LlmStatus
llm_meta_write_uint(LlmMetaWriter *w, const char *key, uint64_t value, LlmError *err)
{
	LLM_TRY(begin(w, key, LLM_META_UINT64, err));
	return put_u64(w, value, err);
}

LlmStatus
llm_meta_write_float(LlmMetaWriter *w, const char *key, double value, LlmError *err)
{
	LLM_TRY(begin(w, key, LLM_META_FLOAT64, err));
	return llm_buf_append(&w->buf, &value, sizeof(value), err);
}

LlmStatus
llm_meta_write_bool(LlmMetaWriter *w, const char *key, bool value, LlmError *err)
{
	uint8_t		byte = value;

	LLM_TRY(begin(w, key, LLM_META_BOOL, err));
	return llm_buf_append(&w->buf, &byte, 1, err);
}

LlmStatus
llm_meta_write_string(LlmMetaWriter *w, const char *key, LlmStr value, LlmError *err)
{
	LLM_TRY(begin(w, key, LLM_META_STRING, err));
	return put_string(w, value, err);
}

LlmStatus
llm_meta_write_uints(LlmMetaWriter *w, const char *key, const uint32_t *values, uint64_t n, LlmError *err)
{
	LLM_TRY(begin_array(w, key, LLM_META_UINT32, n, err));
	return llm_buf_append(&w->buf, values, n * sizeof(*values), err);
}

LlmStatus
llm_meta_write_bools(LlmMetaWriter *w, const char *key, const bool *values, uint64_t n, LlmError *err)
{
	_Static_assert(sizeof(bool) == 1, "booleans of a file are bytes");

	LLM_TRY(begin_array(w, key, LLM_META_BOOL, n, err));
	return llm_buf_append(&w->buf, values, n, err);
}

LlmStatus
llm_meta_write_strings(LlmMetaWriter *w, const char *key, const LlmStr *values, uint64_t n, LlmError *err)
{
	LLM_TRY(begin_array(w, key, LLM_META_STRING, n, err));
	for (uint64_t i = 0; i < n; i++)
		LLM_TRY(put_string(w, values[i], err));
	return LLM_OK;
}
