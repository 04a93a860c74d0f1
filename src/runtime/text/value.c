/*
 * value.c: constructors of dynamic values, all in an arena.
 *
 * A string that is data as a whole points, as far as it is short, into one constant block of flags that all such strings
 * share. Lists and maps double their arrays in the arena; what is left behind goes with the arena.
 */
#include "text/value.h"

#include <string.h>

#define SHARED_FLAGS 1024

#define ONES_16 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
#define ONES_128 ONES_16, ONES_16, ONES_16, ONES_16, ONES_16, ONES_16, ONES_16, ONES_16
static const uint8_t all_data[SHARED_FLAGS] = {
	ONES_128, ONES_128, ONES_128, ONES_128, ONES_128, ONES_128, ONES_128, ONES_128
};

static LlmStatus
new_value(LlmArena *arena, LlmValueKind kind, LlmValue **out, LlmError *err)
{
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(arena, 1, sizeof(LlmValue), &ptr, err));
	memset(ptr, 0, sizeof(LlmValue));
	*out = ptr;
	(*out)->kind = kind;
	return LLM_OK;
}

LlmStatus
llm_value_null(LlmArena *arena, LlmValue **out, LlmError *err)
{
	return new_value(arena, LLM_VALUE_NULL, out, err);
}

LlmStatus
llm_value_bool(LlmArena *arena, bool b, LlmValue **out, LlmError *err)
{
	LLM_TRY(new_value(arena, LLM_VALUE_BOOL, out, err));
	(*out)->u.boolean = b;
	return LLM_OK;
}

LlmStatus
llm_value_int(LlmArena *arena, int64_t i, LlmValue **out, LlmError *err)
{
	LLM_TRY(new_value(arena, LLM_VALUE_INT, out, err));
	(*out)->u.integer = i;
	return LLM_OK;
}

LlmStatus
llm_value_float(LlmArena *arena, double d, LlmValue **out, LlmError *err)
{
	LLM_TRY(new_value(arena, LLM_VALUE_FLOAT, out, err));
	(*out)->u.number = d;
	return LLM_OK;
}

LlmStatus
llm_value_string(LlmArena *arena, const char *bytes, size_t len, bool from_data, LlmValue **out, LlmError *err)
{
	LlmValue   *value;
	void	   *copy;

	LLM_TRY(new_value(arena, LLM_VALUE_STRING, &value, err));
	LLM_TRY(llm_arena_alloc(arena, len, 1, &copy, err));
	if (len)
		memcpy(copy, bytes, len);
	value->u.text.bytes = copy;
	value->u.text.len = len;
	if (from_data && len <= SHARED_FLAGS)
		value->u.text.from_data = all_data;
	else if (from_data)
	{
		void	   *flags;

		LLM_TRY(llm_arena_alloc(arena, len, 1, &flags, err));
		memset(flags, 1, len);
		value->u.text.from_data = flags;
	}
	*out = value;
	return LLM_OK;
}

LlmStatus
llm_value_list(LlmArena *arena, LlmValue **out, LlmError *err)
{
	return new_value(arena, LLM_VALUE_LIST, out, err);
}

LlmStatus
llm_value_map(LlmArena *arena, LlmValue **out, LlmError *err)
{
	return new_value(arena, LLM_VALUE_MAP, out, err);
}

/* room for one more item, and one more key in a map */
static LlmStatus
reserve_one(LlmArena *arena, LlmValue *v, LlmError *err)
{
	size_t		capacity = v->u.seq.capacity ? v->u.seq.capacity * 2 : 4;
	void	   *items;
	void	   *keys = NULL;

	if (v->u.seq.n < v->u.seq.capacity)
		return LLM_OK;
	LLM_TRY(llm_arena_alloc(arena, capacity, sizeof(LlmValue *), &items, err));
	if (v->kind == LLM_VALUE_MAP)
		LLM_TRY(llm_arena_alloc(arena, capacity, sizeof(LlmValue *), &keys, err));
	if (v->u.seq.n)
	{
		memcpy(items, v->u.seq.items, v->u.seq.n * sizeof(LlmValue *));
		if (keys)
			memcpy(keys, v->u.seq.keys, v->u.seq.n * sizeof(LlmValue *));
	}
	v->u.seq.items = items;
	v->u.seq.keys = keys;
	v->u.seq.capacity = capacity;
	return LLM_OK;
}

LlmStatus
llm_value_append(LlmArena *arena, LlmValue *list, LlmValue *item, LlmError *err)
{
	if (list->kind != LLM_VALUE_LIST)
		return llm_fail(err, LLM_E_ARGUMENT, "an item can be appended to a list only");
	LLM_TRY(reserve_one(arena, list, err));
	list->u.seq.items[list->u.seq.n++] = item;
	return LLM_OK;
}

static bool
key_equals(const LlmValue *key, const char *bytes, size_t len)
{
	return key->kind == LLM_VALUE_STRING && key->u.text.len == len && (len == 0 || memcmp(key->u.text.bytes, bytes, len) == 0);
}

LlmStatus
llm_value_set(LlmArena *arena, LlmValue *map, const char *key, LlmValue *value, LlmError *err)
{
	size_t		len = strlen(key);
	LlmValue   *name;

	if (map->kind != LLM_VALUE_MAP)
		return llm_fail(err, LLM_E_ARGUMENT, "a key can be set in a map only");
	for (size_t i = 0; i < map->u.seq.n; i++)
		if (key_equals(map->u.seq.keys[i], key, len))
		{
			map->u.seq.items[i] = value;
			return LLM_OK;
		}
	LLM_TRY(llm_value_string(arena, key, len, false, &name, err));
	return llm_value_add(arena, map, name, value, err);
}

LlmStatus
llm_value_add(LlmArena *arena, LlmValue *map, LlmValue *key, LlmValue *value, LlmError *err)
{
	if (map->kind != LLM_VALUE_MAP)
		return llm_fail(err, LLM_E_ARGUMENT, "a key can be added to a map only");
	LLM_TRY(reserve_one(arena, map, err));
	map->u.seq.keys[map->u.seq.n] = key;
	map->u.seq.items[map->u.seq.n++] = value;
	return LLM_OK;
}

const LlmValue *
llm_value_get(const LlmValue *map, const char *key)
{
	size_t		len = strlen(key);

	if (!map || map->kind != LLM_VALUE_MAP)
		return NULL;
	for (size_t i = 0; i < map->u.seq.n; i++)
		if (key_equals(map->u.seq.keys[i], key, len))
			return map->u.seq.items[i];
	return NULL;
}
