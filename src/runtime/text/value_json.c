/*
 * value_json.c: JSON text to a value. json-c works with malloc, so its tree is copied into the arena and released.
 */
#include "text/json_parse.h"
#include "text/value.h"

#include <json-c/json.h>
#include <string.h>

static LlmStatus
convert(LlmArena *arena, json_object *object, LlmValue **out, LlmError *err)
{
	switch (json_object_get_type(object))
	{
		case json_type_null:
			return llm_value_null(arena, out, err);
		case json_type_boolean:
			return llm_value_bool(arena, json_object_get_boolean(object), out, err);
		case json_type_double:
			return llm_value_float(arena, json_object_get_double(object), out, err);
		case json_type_int:
			return llm_value_int(arena, json_object_get_int64(object), out, err);
		case json_type_string:
			return llm_value_string(arena, json_object_get_string(object), (size_t) json_object_get_string_len(object), true, out, err);
		case json_type_array:
			{
				LlmValue   *list;
				size_t		n = json_object_array_length(object);

				LLM_TRY(llm_value_list(arena, &list, err));
				for (size_t i = 0; i < n; i++)
				{
					LlmValue   *item;

					LLM_TRY(convert(arena, json_object_array_get_idx(object, i), &item, err));
					LLM_TRY(llm_value_append(arena, list, item, err));
				}
				*out = list;
				return LLM_OK;
			}
		case json_type_object:
			{
				LlmValue   *map;

				LLM_TRY(llm_value_map(arena, &map, err));
				json_object_object_foreach(object, key, child)
				{
					LlmValue   *name;
					LlmValue   *item;

					LLM_TRY(llm_value_string(arena, key, strlen(key), true, &name, err));
					LLM_TRY(convert(arena, child, &item, err));
					LLM_TRY(llm_value_add(arena, map, name, item, err));
				}
				*out = map;
				return LLM_OK;
			}
	}
	return llm_fail(err, LLM_E_ARGUMENT, "invalid JSON");
}

LlmStatus
llm_value_from_json(LlmArena *arena, const char *json, size_t len, LlmValue **out, LlmError *err)
{
	json_object *object;
	LlmStatus	status;

	LLM_TRY(llm_json_parse(json, len, arena->allocator, &object, err));
	status = convert(arena, object, out, err);
	json_object_put(object);
	return status;
}
