/*
 * meta_entry.c: reading and checking one key/value pair.
 */
#include "weights/meta_entry.h"

static const struct
{
	const char *name;
	size_t		n_bytes;		/* 0: not of fixed size */
} meta_types[] =
{
	[LLM_META_UINT8] = {"uint8", 1},
	[LLM_META_INT8] = {"int8", 1},
	[LLM_META_UINT16] = {"uint16", 2},
	[LLM_META_INT16] = {"int16", 2},
	[LLM_META_UINT32] = {"uint32", 4},
	[LLM_META_INT32] = {"int32", 4},
	[LLM_META_FLOAT32] = {"float32", 4},
	[LLM_META_BOOL] = {"bool", 1},
	[LLM_META_STRING] = {"string", 0},
	[LLM_META_ARRAY] = {"array", 0},
	[LLM_META_UINT64] = {"uint64", 8},
	[LLM_META_INT64] = {"int64", 8},
	[LLM_META_FLOAT64] = {"float64", 8},
};

#define N_META_TYPES (sizeof(meta_types) / sizeof(meta_types[0]))

size_t
llm_meta_type_bytes(uint32_t type)
{
	return type < N_META_TYPES ? meta_types[type].n_bytes : 0;
}

const char *
llm_meta_type_name(uint32_t type)
{
	return type < N_META_TYPES ? meta_types[type].name : "unknown";
}

/* length of a key as the precision of %.*s; messages cut it anyway */
static int
shown_len(LlmStr s)
{
	return s.len < 200 ? (int) s.len : 200;
}

static LlmStatus
ends_early(const LlmByteReader *r, LlmStr key, LlmError *err)
{
	if (key.data)
		llm_fail(err, LLM_E_FORMAT, "metadata key \"%.*s\" reaches past the end of the file", shown_len(key), key.data);
	else
		llm_fail(err, LLM_E_FORMAT, "metadata reaches past the end of the file");
	llm_error_detail(err, "The value at byte %zu does not fit; the data ends at byte %llu.", r->pos,
					 (unsigned long long) r->n_total);
	return LLM_E_FORMAT;
}

/* the bytes of a bool may only be 0 and 1 */
static LlmStatus
check_bools(const LlmMetaEntry *entry, const uint8_t *values, uint64_t count, LlmError *err)
{
	for (uint64_t i = 0; i < count; i++)
		if (values[i] > 1)
		{
			llm_fail(err, LLM_E_FORMAT, "metadata key \"%.*s\" is damaged", shown_len(entry->key), entry->key.data);
			llm_error_detail(err, "Element %llu of a bool value is %u.", (unsigned long long) i, values[i]);
			return LLM_E_FORMAT;
		}
	return LLM_OK;
}

/* what follows an array's type and count */
static LlmStatus
read_elements(LlmByteReader *r, LlmMetaEntry *entry, LlmBytes *got, LlmError *err)
{
	LlmMetaArray *array = &entry->array;
	size_t		elem_bytes = llm_meta_type_bytes(array->type);
	bool		strings = array->type == LLM_META_STRING;

	/* count is untrusted: divide instead of multiplying */
	if (array->count > (r->n_total - r->pos) / (strings ? 8 : elem_bytes))
	{
		llm_fail(err, LLM_E_FORMAT, "array of metadata key \"%.*s\" reaches past the end of the file",
				 shown_len(entry->key), entry->key.data);
		llm_error_detail(err, "It has %llu elements of type %s at byte %zu; the data ends at byte %llu.",
						 (unsigned long long) array->count, llm_meta_type_name(array->type), r->pos,
						 (unsigned long long) r->n_total);
		return LLM_E_FORMAT;
	}
	array->data = r->bytes + r->pos;
	if (!strings)
	{
		*got = llm_bytes_ask(r, array->count * elem_bytes);
		if (*got != LLM_BYTES_OK)
			return LLM_OK;
		r->pos += array->count * elem_bytes;
		return array->type == LLM_META_BOOL ? check_bools(entry, array->data, array->count, err) : LLM_OK;
	}
	for (uint64_t i = 0; i < array->count; i++)
	{
		LlmStr		element;

		*got = llm_bytes_string(r, &element);
		if (*got == LLM_BYTES_END)
		{
			llm_fail(err, LLM_E_FORMAT, "array of metadata key \"%.*s\" reaches past the end of the file",
					 shown_len(entry->key), entry->key.data);
			llm_error_detail(err, "String %llu of %llu has %zu bytes at byte %zu; the data ends at byte %llu.",
							 (unsigned long long) i, (unsigned long long) array->count, element.len, r->pos,
							 (unsigned long long) r->n_total);
			return LLM_E_FORMAT;
		}
		if (*got != LLM_BYTES_OK)
			return LLM_OK;
	}
	return LLM_OK;
}

static LlmStatus
read_array(LlmByteReader *r, LlmMetaEntry *entry, LlmBytes *got, LlmError *err)
{
	uint32_t	type;
	uint64_t	count;

	*got = llm_bytes_u32(r, &type);
	if (*got == LLM_BYTES_OK)
		*got = llm_bytes_u64(r, &count);
	if (*got == LLM_BYTES_END)
		return ends_early(r, entry->key, err);
	if (*got != LLM_BYTES_OK)
		return LLM_OK;
	if (type == LLM_META_ARRAY)
		return llm_fail(err, LLM_E_UNSUPPORTED, "metadata key \"%.*s\" is an array of arrays", shown_len(entry->key),
						entry->key.data);
	if (type >= N_META_TYPES)
	{
		llm_fail(err, LLM_E_FORMAT, "array of metadata key \"%.*s\" has unknown element type %u",
				 shown_len(entry->key), entry->key.data, type);
		llm_error_detail(err, "Types 0 to 12 are known; the type is at byte %zu.", r->pos - 12);
		return LLM_E_FORMAT;
	}
	entry->array.type = type;
	entry->array.count = count;
	return read_elements(r, entry, got, err);
}

static LlmStatus
read_value(LlmByteReader *r, LlmMetaEntry *entry, LlmBytes *got, LlmError *err)
{
	LlmStr		text;

	entry->value = r->bytes + r->pos;
	if (entry->type == LLM_META_ARRAY)
		return read_array(r, entry, got, err);
	if (entry->type == LLM_META_STRING)
		*got = llm_bytes_string(r, &text);
	else
	{
		size_t		n_bytes = llm_meta_type_bytes(entry->type);

		*got = llm_bytes_ask(r, n_bytes);
		if (*got == LLM_BYTES_OK)
			r->pos += n_bytes;
	}
	if (*got == LLM_BYTES_END)
		return ends_early(r, entry->key, err);
	if (*got == LLM_BYTES_OK && entry->type == LLM_META_BOOL)
		return check_bools(entry, entry->value, 1, err);
	return LLM_OK;
}

static LlmStatus
read_key(LlmByteReader *r, LlmStr *key, LlmBytes *got, LlmError *err)
{
	size_t		start = r->pos;

	key->data = NULL;
	*got = llm_bytes_string(r, key);
	if (*got != LLM_BYTES_OK && key->len <= LLM_META_MAX_KEY_BYTES)
		return *got == LLM_BYTES_END ? ends_early(r, (LlmStr) {NULL, 0}, err) : LLM_OK;
	if (key->len == 0 || key->len > LLM_META_MAX_KEY_BYTES)
	{
		llm_fail(err, LLM_E_FORMAT, "length of a metadata key is out of range");
		llm_error_detail(err, "The key at byte %zu has %zu bytes; 1 to %d are possible.", start, key->len,
						 LLM_META_MAX_KEY_BYTES);
		return LLM_E_FORMAT;
	}
	if (memchr(key->data, '\0', key->len))
	{
		llm_fail(err, LLM_E_FORMAT, "a metadata key holds a zero byte");
		llm_error_detail(err, "The key is at byte %zu.", start);
		return LLM_E_FORMAT;
	}
	return LLM_OK;
}

LlmStatus
llm_meta_read_entry(LlmByteReader *r, LlmMetaEntry *entry, LlmError *err)
{
	size_t		start = r->pos;
	uint32_t	type;
	LlmBytes	got;

	r->need = 0;
	memset(entry, 0, sizeof(*entry));
	LLM_TRY(read_key(r, &entry->key, &got, err));
	if (got == LLM_BYTES_OK)
	{
		got = llm_bytes_u32(r, &type);
		if (got == LLM_BYTES_END)
			return ends_early(r, entry->key, err);
	}
	if (got == LLM_BYTES_OK)
	{
		if (type >= N_META_TYPES)
		{
			llm_fail(err, LLM_E_FORMAT, "metadata key \"%.*s\" has unknown type %u", shown_len(entry->key),
					 entry->key.data, type);
			llm_error_detail(err, "Types 0 to 12 are known; the type is at byte %zu.", r->pos - 4);
			return LLM_E_FORMAT;
		}
		entry->type = type;
		LLM_TRY(read_value(r, entry, &got, err));
	}
	if (got != LLM_BYTES_OK)
		r->pos = start;
	return LLM_OK;
}
