/*
 * char_map.c: looking up the longest replaced part in a precompiled character map.
 *
 * The map is a length, a double array of 32-bit units (darts-clone: offset in bits 10 to 30, or by 256 where bit 9 is set;
 * label in bits 0 to 7; bit 8 says that a value follows; a value unit has bit 31), and the replacements. Nothing of it is
 * trusted: every index is checked, a walk ends after MAX_KEY_BYTES (units may form a cycle), and a replacement has at most
 * MAX_REPLACEMENT_BYTES, so that a short text cannot become gigabytes. The longest replacement of NFKC has 33 bytes.
 * Source: sentencepiece, src/normalizer.cc; darts-clone, include/darts.h.
 */
#include "text/char_map.h"

#include <string.h>

#define MAX_KEY_BYTES 256
#define MAX_REPLACEMENT_BYTES 128

static uint32_t
load_u32(const uint8_t *p)
{
	return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 | (uint32_t) p[3] << 24;
}

/* values may point anywhere into the replacements, so their lengths are bounded once for all */
static LlmStatus
check_replacements(const char *replacements, size_t n_bytes, const char *key, LlmError *err)
{
	size_t		begin = 0;

	for (size_t i = 0; i < n_bytes; i++)
	{
		if (replacements[i] != '\0')
			continue;
		if (i - begin > MAX_REPLACEMENT_BYTES)
		{
			llm_fail(err, LLM_E_LIMIT, "%s has a replacement of %zu bytes, at most %d are allowed", key, i - begin,
					 MAX_REPLACEMENT_BYTES);
			llm_error_detail(err, "It begins at byte %zu of the replacements.", begin);
			return LLM_E_LIMIT;
		}
		begin = i + 1;
	}
	return LLM_OK;
}

LlmStatus
llm_char_map_parse(const uint8_t *data, size_t n, const char *what, LlmCharMap *map, LlmError *err)
{
	uint32_t	units_bytes;

	memset(map, 0, sizeof(*map));
	if (n == 0)
		return LLM_OK;
	units_bytes = n < 4 ? 0 : load_u32(data);
	if (n < 4 || units_bytes < 4 || units_bytes % 4 != 0 || units_bytes >= n - 4 || data[n - 1] != 0)
	{
		llm_fail(err, LLM_E_FORMAT, "%s contradicts itself", what);
		llm_error_detail(err, "It has %zu bytes, and says that %lu of them are its index.", n, (unsigned long) units_bytes);
		return LLM_E_FORMAT;
	}
	LLM_TRY(check_replacements((const char *) data + 4 + units_bytes, n - 4 - units_bytes, what, err));
	map->units = data + 4;
	map->n_units = units_bytes / 4;
	map->replacements = (const char *) data + 4 + units_bytes;
	map->replacements_bytes = n - 4 - units_bytes;
	return LLM_OK;
}

LlmStatus
llm_char_map_load(const LlmMeta *meta, LlmCharMap *map, LlmError *err)
{
	const char *key = "tokenizer.ggml.precompiled_charsmap";
	const LlmMetaEntry *entry = llm_meta_find(meta, key);

	memset(map, 0, sizeof(*map));
	if (!entry)
		return LLM_OK;
	if (entry->type != LLM_META_ARRAY || (entry->array.type != LLM_META_UINT8 && entry->array.type != LLM_META_INT8))
		return llm_fail(err, LLM_E_FORMAT, "%s is not an array of bytes", key);
	return llm_char_map_parse(entry->array.data, (size_t) entry->array.count, key, map, err);
}

static size_t
child_offset(uint32_t unit)
{
	return (size_t) (unit >> 10) << ((unit & 0x200) >> 6);
}

/* the longest replaced part, or the shortest */
static size_t
find_part(const LlmCharMap *map, const uint8_t *s, size_t len, bool shortest, LlmStr *replacement)
{
	size_t		node;
	size_t		longest = 0;

	if (!map->units)
		return 0;
	if (len > MAX_KEY_BYTES)
		len = MAX_KEY_BYTES;
	node = child_offset(load_u32(map->units));
	for (size_t i = 0; i < len && s[i] != 0; i++)
	{
		uint32_t	unit;
		uint32_t	value;

		node ^= s[i];
		if (node >= map->n_units)
			break;
		unit = load_u32(map->units + node * 4);
		if ((unit & UINT32_C(0x800000FF)) != s[i])
			break;
		node ^= child_offset(unit);
		if (!(unit & 0x100))
			continue;
		if (node >= map->n_units)
			break;
		value = load_u32(map->units + node * 4) & UINT32_C(0x7FFFFFFF);
		if (value >= map->replacements_bytes)
			break;
		replacement->data = map->replacements + value;
		replacement->len = strlen(replacement->data);
		longest = i + 1;
		if (shortest)
			break;
	}
	return longest;
}

size_t
llm_char_map_find(const LlmCharMap *map, const uint8_t *s, size_t len, LlmStr *replacement)
{
	return find_part(map, s, len, false, replacement);
}

size_t
llm_char_map_find_shortest(const LlmCharMap *map, const uint8_t *s, size_t len, LlmStr *replacement)
{
	return find_part(map, s, len, true, replacement);
}
