/*
 * hparams_keys.c: keys of a model's shape: numbers within bounds, lists by layer, and features that are refused by name.
 */
#include <stdio.h>

#include "model/hparams_keys.h"

const char *
llm_key_name(const LlmKeyReader *r, const char *suffix, LlmKeyName name)
{
	snprintf(name, sizeof(LlmKeyName), "%s.%s", r->arch->name, suffix);
	return name;
}

LlmStatus
llm_key_uint(const LlmKeyReader *r, const char *suffix, bool required, uint32_t min, uint32_t max, uint32_t *value)
{
	LlmKeyName	key;
	uint64_t	v = *value;

	LLM_TRY(llm_meta_uint(r->meta, llm_key_name(r, suffix, key), required, max, &v, r->err));
	if (v < min && llm_meta_find(r->meta, key))
		return llm_fail(r->err, LLM_E_FORMAT, "model metadata \"%s\" is %llu, below the least value %u", key,
						(unsigned long long) v, min);
	*value = (uint32_t) v;
	return LLM_OK;
}

LlmStatus
llm_key_double(const LlmKeyReader *r, const char *suffix, bool required, double min, double max, double *value)
{
	LlmKeyName	key;
	double		v = *value;

	LLM_TRY(llm_meta_float(r->meta, llm_key_name(r, suffix, key), required, &v, r->err));
	if (!(v >= min && v <= max))
		return llm_fail(r->err, LLM_E_FORMAT, "model metadata \"%s\" is %g, outside %g to %g", key, v, min, max);
	*value = v;
	return LLM_OK;
}

/* an optional float; 0 in the file means that it is not set */
LlmStatus
llm_key_factor(const LlmKeyReader *r, const char *suffix, float *value)
{
	double		v = 0;

	LLM_TRY(llm_key_double(r, suffix, false, 0, 1e6, &v));
	if (v != 0)
		*value = (float) v;
	return LLM_OK;
}

/* a feature that changes results and is not computed: present and not neutral is refused by name */
LlmStatus
llm_key_refuse_unless(const LlmKeyReader *r, const char *suffix, double neutral)
{
	LlmKeyName	key;
	double		v = neutral;

	LLM_TRY(llm_meta_float(r->meta, llm_key_name(r, suffix, key), false, &v, r->err));
	if (v != neutral)
		return llm_fail(r->err, LLM_E_UNSUPPORTED, "model feature \"%s\" = %g is not supported for architecture \"%s\"",
						key, v, r->arch->name);
	return LLM_OK;
}

LlmStatus
llm_key_refuse_present(const LlmKeyReader *r, const char *suffix)
{
	LlmKeyName	key;

	if (llm_meta_find(r->meta, llm_key_name(r, suffix, key)))
		return llm_fail(r->err, LLM_E_UNSUPPORTED, "model feature \"%s\" is not supported for architecture \"%s\"", key,
						r->arch->name);
	return LLM_OK;
}

/* a number, or one for each layer: then *value is the largest, and *by_layer the list */
LlmStatus
llm_key_by_layer(const LlmKeyReader *r, const char *suffix, bool required, uint32_t max, uint32_t n_layer, uint32_t *value,
				 const LlmMetaArray **by_layer)
{
	LlmKeyName	key;
	const LlmMetaEntry *entry = llm_meta_find(r->meta, llm_key_name(r, suffix, key));

	if (!entry || entry->type != LLM_META_ARRAY || entry->array.type == LLM_META_STRING ||
		entry->array.type == LLM_META_FLOAT32 || entry->array.type == LLM_META_FLOAT64)
		return llm_key_uint(r, suffix, required, 0, max, value);
	if (entry->array.count < n_layer)
		return llm_fail(r->err, LLM_E_FORMAT, "model metadata \"%s\" has %llu elements for %u layers", key,
						(unsigned long long) entry->array.count, n_layer);
	*value = 0;
	for (uint32_t i = 0; i < n_layer; i++)
	{
		int64_t		v = llm_meta_array_int(&entry->array, i);

		if (v < 0 || v > max)
			return llm_fail(r->err, LLM_E_FORMAT, "model metadata \"%s\" is %lld for layer %u, outside 0 to %u", key,
							(long long) v, i, max);
		if (v > *value)
			*value = (uint32_t) v;
	}
	*by_layer = &entry->array;
	return LLM_OK;
}
