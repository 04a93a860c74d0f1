/*
 * meta_writer.h: metadata in GGUF encoding, written key by key (gguf_meta.h reads it).
 */
#ifndef LLM_META_WRITER_H
#define LLM_META_WRITER_H

#include "weights/gguf_meta.h"

typedef struct LlmMetaWriter
{
	LlmBuf		buf;
	uint64_t	n_entries;
} LlmMetaWriter;

extern void llm_meta_writer_init(LlmMetaWriter *w, const LlmAllocator *a);
extern void llm_meta_writer_free(LlmMetaWriter *w);

extern LlmStatus llm_meta_write_uint(LlmMetaWriter *w, const char *key, uint64_t value, LlmError *err);
extern LlmStatus llm_meta_write_float(LlmMetaWriter *w, const char *key, double value, LlmError *err);
extern LlmStatus llm_meta_write_bool(LlmMetaWriter *w, const char *key, bool value, LlmError *err);
extern LlmStatus llm_meta_write_string(LlmMetaWriter *w, const char *key, LlmStr value, LlmError *err);

/* an array of n uint32, of bytes that are booleans, or of strings */
extern LlmStatus llm_meta_write_uints(LlmMetaWriter *w, const char *key, const uint32_t *values, uint64_t n, LlmError *err);
extern LlmStatus llm_meta_write_bools(LlmMetaWriter *w, const char *key, const bool *values, uint64_t n, LlmError *err);
extern LlmStatus llm_meta_write_strings(LlmMetaWriter *w, const char *key, const LlmStr *values, uint64_t n, LlmError *err);

#endif
