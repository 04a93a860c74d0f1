/*
 * gguf_meta.h: model metadata as key/value pairs in GGUF encoding, checked once and then read by key.
 *
 * The encoding is the one between header and tensor list of a GGUF v3 file (little-endian): uint64 key length, key bytes,
 * uint32 type, value; a string is uint64 length and bytes; an array is uint32 element type, uint64 count, elements.
 * Every source (GGUF, pack file) yields these bytes; values point into them. Source: ggml/docs/gguf.md.
 */
#ifndef LLM_GGUF_META_H
#define LLM_GGUF_META_H

#include "base/arena.h"

typedef enum LlmMetaType
{
	LLM_META_UINT8 = 0,
	LLM_META_INT8,
	LLM_META_UINT16,
	LLM_META_INT16,
	LLM_META_UINT32,
	LLM_META_INT32,
	LLM_META_FLOAT32,
	LLM_META_BOOL,
	LLM_META_STRING,
	LLM_META_ARRAY,
	LLM_META_UINT64,
	LLM_META_INT64,
	LLM_META_FLOAT64
} LlmMetaType;

typedef struct LlmMetaArray
{
	LlmMetaType type;			/* of the elements; arrays of arrays are refused */
	uint64_t	count;
	const uint8_t *data;		/* elements as stored, unaligned */
	const uint64_t *string_off; /* strings only: offset from data of each element's length field */
} LlmMetaArray;

typedef struct LlmMetaEntry
{
	LlmStr		key;
	LlmMetaType type;
	const uint8_t *value;		/* as stored, unaligned */
	LlmMetaArray array;			/* if type is LLM_META_ARRAY */
} LlmMetaEntry;

typedef struct LlmMeta
{
	const uint8_t *bytes;		/* borrowed from the source */
	size_t		n_bytes;
	uint64_t	n_entries;
	LlmMetaEntry *entries;
	LlmArena	arena;			/* entries and string offsets */
} LlmMeta;

/* check and index n_entries pairs in bytes (which must outlive meta); *used_bytes: where they end. Duplicate keys are refused. */
extern LlmStatus llm_meta_parse(const uint8_t *bytes, size_t n_bytes, uint64_t n_entries, const LlmAllocator *a,
								LlmMeta *meta, size_t *used_bytes, LlmError *err);
extern void llm_meta_free(LlmMeta *meta);

extern const LlmMetaEntry *llm_meta_find(const LlmMeta *meta, const char *key);

/*
 * Typed reads. An absent key leaves *value and returns LLM_OK, or LLM_E_FORMAT if required. Any integer type is taken
 * for uint (negative or above max: LLM_E_FORMAT with key and value), any number for float (must be finite).
 */
extern LlmStatus llm_meta_uint(const LlmMeta *meta, const char *key, bool required, uint64_t max, uint64_t *value, LlmError *err);
extern LlmStatus llm_meta_float(const LlmMeta *meta, const char *key, bool required, double *value, LlmError *err);
extern LlmStatus llm_meta_bool(const LlmMeta *meta, const char *key, bool required, bool *value, LlmError *err);
extern LlmStatus llm_meta_string(const LlmMeta *meta, const char *key, bool required, LlmStr *value, LlmError *err);
extern LlmStatus llm_meta_array(const LlmMeta *meta, const char *key, bool required, LlmMetaType type, const LlmMetaArray **value, LlmError *err);

/* element i of an array (i < count is the caller's duty) */
extern LlmStr llm_meta_array_string(const LlmMetaArray *array, uint64_t i);
extern int64_t llm_meta_array_int(const LlmMetaArray *array, uint64_t i);	/* any integer type or bool */
extern double llm_meta_array_float(const LlmMetaArray *array, uint64_t i);	/* any number type */

/* one value as JSON text into buf, arrays cut after max_elements (for inspect and llm_model_info) */
extern LlmStatus llm_meta_entry_json(const LlmMetaEntry *entry, uint64_t max_elements, LlmBuf *buf, LlmError *err);

#endif
