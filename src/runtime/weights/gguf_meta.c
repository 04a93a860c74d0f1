/*
 * gguf_meta.c: the index over checked metadata, and typed reads from it.
 *
 * Numbers are stored unaligned and little-endian; values are copied out, never cast.
 */
#include "weights/gguf_meta.h"

#include "weights/meta_entry.h"
#include "weights/sort_index.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static int
compare_keys(const void *ctx, uint32_t a, uint32_t b)
{
	const LlmMetaEntry *entries = ctx;

	return llm_str_compare(entries[a].key, entries[b].key);
}

static LlmStatus
check_unique(const LlmMeta *meta, const LlmAllocator *a, LlmError *err)
{
	uint32_t   *index;
	void	   *ptr;
	LlmStatus	status = LLM_OK;

	LLM_TRY(llm_alloc(a, meta->n_entries, sizeof(uint32_t), &ptr, err));
	index = ptr;
	llm_sort_index(index, (uint32_t) meta->n_entries, compare_keys, meta->entries);
	for (uint64_t i = 1; i < meta->n_entries && status == LLM_OK; i++)
	{
		LlmStr		key = meta->entries[index[i]].key;

		if (compare_keys(meta->entries, index[i - 1], index[i]) == 0)
			status = llm_fail(err, LLM_E_FORMAT, "metadata key \"%.*s\" appears more than once",
							  key.len < 200 ? (int) key.len : 200, key.data);
	}
	llm_free(a, index);
	return status;
}

/* where the strings of an array start, so that element i is found without a walk */
static LlmStatus
index_strings(LlmMeta *meta, LlmMetaArray *array, LlmError *err)
{
	uint64_t   *string_off;
	uint64_t	off = 0;
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(&meta->arena, array->count, sizeof(uint64_t), &ptr, err));
	string_off = ptr;
	for (uint64_t i = 0; i < array->count; i++)
	{
		string_off[i] = off;
		off += 8 + llm_load_u64(array->data + off);
	}
	array->string_off = string_off;
	return LLM_OK;
}

static LlmStatus
parse_entries(LlmMeta *meta, LlmByteReader *r, const LlmAllocator *a, LlmError *err)
{
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(&meta->arena, meta->n_entries, sizeof(LlmMetaEntry), &ptr, err));
	meta->entries = ptr;
	for (uint64_t i = 0; i < meta->n_entries; i++)
	{
		LlmMetaEntry *entry = &meta->entries[i];

		LLM_TRY(llm_meta_read_entry(r, entry, err));
		if (entry->type == LLM_META_ARRAY && entry->array.type == LLM_META_STRING)
			LLM_TRY(index_strings(meta, &entry->array, err));
	}
	return check_unique(meta, a, err);
}

LlmStatus
llm_meta_parse(const uint8_t *bytes, size_t n_bytes, uint64_t n_entries, const LlmAllocator *a,
			   LlmMeta *meta, size_t *used_bytes, LlmError *err)
{
	LlmByteReader reader = {.bytes = bytes, .n_have = n_bytes, .n_total = n_bytes};
	LlmMeta		fresh = {.bytes = bytes, .n_entries = n_entries};
	LlmStatus	status;

	if (n_entries > n_bytes / LLM_META_MIN_ENTRY_BYTES)
	{
		llm_fail(err, LLM_E_FORMAT, "number of metadata keys is out of range");
		llm_error_detail(err, "%" PRIu64 " keys do not fit into %zu bytes.", n_entries, n_bytes);
		return LLM_E_FORMAT;
	}
	if (n_entries > LLM_META_MAX_ENTRIES)
	{
		llm_fail(err, LLM_E_LIMIT, "too many metadata keys");
		llm_error_detail(err, "There are %" PRIu64 "; the limit is %d.", n_entries, LLM_META_MAX_ENTRIES);
		return LLM_E_LIMIT;
	}
	llm_arena_init(&fresh.arena, a, 0);
	status = parse_entries(&fresh, &reader, a, err);
	if (status != LLM_OK)
	{
		llm_arena_free(&fresh.arena);
		return status;
	}
	fresh.n_bytes = reader.pos;
	*meta = fresh;
	*used_bytes = reader.pos;
	return LLM_OK;
}

void
llm_meta_free(LlmMeta *meta)
{
	if (meta->arena.allocator)
		llm_arena_free(&meta->arena);
	memset(meta, 0, sizeof(*meta));
}

const LlmMetaEntry *
llm_meta_find(const LlmMeta *meta, const char *key)
{
	size_t		len = strlen(key);

	for (uint64_t i = 0; i < meta->n_entries; i++)
	{
		const LlmMetaEntry *entry = &meta->entries[i];

		if (entry->key.len == len && memcmp(entry->key.data, key, len) == 0)
			return entry;
	}
	return NULL;
}

/* the entry of a key, NULL if it may be absent and is */
static LlmStatus
find_entry(const LlmMeta *meta, const char *key, bool required, const LlmMetaEntry **entry, LlmError *err)
{
	*entry = llm_meta_find(meta, key);
	if (!*entry && required)
		return llm_fail(err, LLM_E_FORMAT, "metadata key \"%s\" is missing", key);
	return LLM_OK;
}

static LlmStatus
wrong_type(const char *key, const LlmMetaEntry *entry, const char *expected, LlmError *err)
{
	llm_fail(err, LLM_E_FORMAT, "metadata key \"%s\" has the wrong type", key);
	if (entry->type == LLM_META_ARRAY)
		llm_error_detail(err, "It is an array of %s; %s is expected.", llm_meta_type_name(entry->array.type), expected);
	else
		llm_error_detail(err, "It is of type %s; %s is expected.", llm_meta_type_name(entry->type), expected);
	return LLM_E_FORMAT;
}

/* an integer (or bool) of a type and place; a uint64 above the range of int64 sets *large and wraps */
static bool
load_integer(LlmMetaType type, const uint8_t *p, int64_t *value, bool *large)
{
	*large = false;
	switch (type)
	{
		case LLM_META_UINT8:
		case LLM_META_BOOL:
			*value = p[0];
			return true;
		case LLM_META_INT8:
			*value = (int8_t) p[0];
			return true;
		case LLM_META_UINT16:
			*value = llm_load_u16(p);
			return true;
		case LLM_META_INT16:
			*value = (int16_t) llm_load_u16(p);
			return true;
		case LLM_META_UINT32:
			*value = llm_load_u32(p);
			return true;
		case LLM_META_INT32:
			*value = (int32_t) llm_load_u32(p);
			return true;
		case LLM_META_UINT64:
			*large = llm_load_u64(p) > INT64_MAX;
			*value = (int64_t) llm_load_u64(p);
			return true;
		case LLM_META_INT64:
			*value = (int64_t) llm_load_u64(p);
			return true;
		default:
			return false;
	}
}

static bool
load_float(LlmMetaType type, const uint8_t *p, double *value)
{
	int64_t		integer;
	bool		large;

	if (type == LLM_META_FLOAT32)
	{
		float		f;

		memcpy(&f, p, sizeof(f));
		*value = f;
		return true;
	}
	if (type == LLM_META_FLOAT64)
	{
		memcpy(value, p, sizeof(*value));
		return true;
	}
	if (!load_integer(type, p, &integer, &large))
		return false;
	*value = large ? (double) (uint64_t) integer : (double) integer;
	return true;
}

LlmStatus
llm_meta_uint(const LlmMeta *meta, const char *key, bool required, uint64_t max, uint64_t *value, LlmError *err)
{
	const LlmMetaEntry *entry;
	int64_t		integer;
	bool		large;

	LLM_TRY(find_entry(meta, key, required, &entry, err));
	if (!entry)
		return LLM_OK;
	if (entry->type == LLM_META_BOOL || !load_integer(entry->type, entry->value, &integer, &large))
		return wrong_type(key, entry, "an integer", err);
	if ((integer < 0 && !large) || (uint64_t) integer > max)
	{
		llm_fail(err, LLM_E_FORMAT, "metadata key \"%s\" is out of range", key);
		if (large)
			llm_error_detail(err, "It is %" PRIu64 "; 0 to %" PRIu64 " are possible.", (uint64_t) integer, max);
		else
			llm_error_detail(err, "It is %" PRId64 "; 0 to %" PRIu64 " are possible.", integer, max);
		return LLM_E_FORMAT;
	}
	*value = (uint64_t) integer;
	return LLM_OK;
}

LlmStatus
llm_meta_float(const LlmMeta *meta, const char *key, bool required, double *value, LlmError *err)
{
	const LlmMetaEntry *entry;
	double		number;

	LLM_TRY(find_entry(meta, key, required, &entry, err));
	if (!entry)
		return LLM_OK;
	if (entry->type == LLM_META_BOOL || !load_float(entry->type, entry->value, &number))
		return wrong_type(key, entry, "a number", err);
	if (!isfinite(number))
		return llm_fail(err, LLM_E_FORMAT, "metadata key \"%s\" is not a finite number", key);
	*value = number;
	return LLM_OK;
}

LlmStatus
llm_meta_bool(const LlmMeta *meta, const char *key, bool required, bool *value, LlmError *err)
{
	const LlmMetaEntry *entry;

	LLM_TRY(find_entry(meta, key, required, &entry, err));
	if (!entry)
		return LLM_OK;
	if (entry->type != LLM_META_BOOL)
		return wrong_type(key, entry, "bool", err);
	*value = entry->value[0] != 0;
	return LLM_OK;
}

static LlmStr
load_string(const uint8_t *p)
{
	return (LlmStr) {(const char *) p + 8, llm_load_u64(p)};
}

LlmStatus
llm_meta_string(const LlmMeta *meta, const char *key, bool required, LlmStr *value, LlmError *err)
{
	const LlmMetaEntry *entry;

	LLM_TRY(find_entry(meta, key, required, &entry, err));
	if (!entry)
		return LLM_OK;
	if (entry->type != LLM_META_STRING)
		return wrong_type(key, entry, "a string", err);
	*value = load_string(entry->value);
	return LLM_OK;
}

LlmStatus
llm_meta_array(const LlmMeta *meta, const char *key, bool required, LlmMetaType type, const LlmMetaArray **value,
			   LlmError *err)
{
	const LlmMetaEntry *entry;
	char		expected[64];

	LLM_TRY(find_entry(meta, key, required, &entry, err));
	if (!entry)
		return LLM_OK;
	if (entry->type != LLM_META_ARRAY || entry->array.type != type)
	{
		snprintf(expected, sizeof(expected), "an array of %s", llm_meta_type_name(type));
		return wrong_type(key, entry, expected, err);
	}
	*value = &entry->array;
	return LLM_OK;
}

LlmStr
llm_meta_array_string(const LlmMetaArray *array, uint64_t i)
{
	return load_string(array->data + array->string_off[i]);
}

int64_t
llm_meta_array_int(const LlmMetaArray *array, uint64_t i)
{
	int64_t		value = 0;
	bool		large;

	(void) load_integer(array->type, array->data + i * llm_meta_type_bytes(array->type), &value, &large);
	return value;
}

double
llm_meta_array_float(const LlmMetaArray *array, uint64_t i)
{
	double		value = 0;

	(void) load_float(array->type, array->data + i * llm_meta_type_bytes(array->type), &value);
	return value;
}
