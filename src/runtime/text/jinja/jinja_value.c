/*
 * jinja_value.c: making values during a rendering, and the errors it reports.
 *
 * None, True, False and small integers are constants shared by all renderings; values are never changed once visible to a
 * template (namespaces are objects of their own).
 */
#include "text/jinja/jinja.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SMALL_INTS 64

static LlmValue none_value = {.kind = LLM_VALUE_NULL};
static LlmValue true_value = {.kind = LLM_VALUE_BOOL, .u.boolean = true};
static LlmValue false_value = {.kind = LLM_VALUE_BOOL, .u.boolean = false};

LlmStatus
llm_jinja_fail(Jinja *j, const char *format,...)
{
	char		reason[400];
	va_list		args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	llm_fail(j->err, LLM_E_ARGUMENT, "chat template failed on line %u: %s", j->line, reason);
	llm_error_hint(j->err, "The template cannot be rendered with this input; check messages and variables against it.");
	return LLM_E_ARGUMENT;
}

LlmStatus
llm_jinja_limit(Jinja *j, const char *format,...)
{
	char		reason[400];
	va_list		args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	llm_fail(j->err, LLM_E_LIMIT, "chat template exceeded a limit on line %u: %s", j->line, reason);
	llm_error_hint(j->err, "Give less input, or a simpler template.");
	return LLM_E_LIMIT;
}

/* a text for a message: cut, and terminated */
static const char *
quote(const LlmValue *v, char *buffer, size_t size)
{
	if (v->kind == LLM_VALUE_STRING)
		snprintf(buffer, size, "'%.*s'", (int) (v->u.text.len < 100 ? v->u.text.len : 100), v->u.text.bytes);
	else if (v->kind == LLM_VALUE_INT)
		snprintf(buffer, size, "%lld", (long long) v->u.integer);
	else
		snprintf(buffer, size, "a %s", llm_jinja_type_name(v));
	return buffer;
}

/* the error of using an undefined value, in the words of jinja2 */
LlmStatus
llm_jinja_fail_undefined(Jinja *j, const LlmValue *undefined)
{
	const JinjaUndefined *u = undefined->u.function;
	char		name[160];

	if (!u)
		return llm_jinja_fail(j, "value is undefined");
	if (u->hint)
		return llm_jinja_fail(j, "%s", u->hint);
	quote(u->name, name, sizeof(name));
	if (!u->object)
		return llm_jinja_fail(j, "%s is undefined", name);
	if (u->unsafe)
		return llm_jinja_fail(j, "access to attribute %s of '%s' object is unsafe", name, llm_jinja_type_name(u->object));
	if (u->name->kind != LLM_VALUE_STRING)
		return llm_jinja_fail(j, "%s object has no element %s", llm_jinja_type_name(u->object), name);
	if (u->object->kind == LLM_VALUE_NULL)
		return llm_jinja_fail(j, "'None' has no attribute %s", name);
	return llm_jinja_fail(j, "'%s object' has no attribute %s", llm_jinja_type_name(u->object), name);
}

LlmStatus
llm_jinja_new(Jinja *j, LlmValueKind kind, LlmValue **out)
{
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(&j->arena, 1, sizeof(LlmValue), &ptr, j->err));
	memset(ptr, 0, sizeof(LlmValue));
	*out = ptr;
	(*out)->kind = kind;
	return LLM_OK;
}

LlmValue *
llm_jinja_none(void)
{
	return &none_value;
}

LlmValue *
llm_jinja_bool(bool b)
{
	return b ? &true_value : &false_value;
}

#define INT_1(i) {.kind = LLM_VALUE_INT, .u.integer = (i)}
#define INT_4(i) INT_1(i), INT_1((i) + 1), INT_1((i) + 2), INT_1((i) + 3)
#define INT_16(i) INT_4(i), INT_4((i) + 4), INT_4((i) + 8), INT_4((i) + 12)

LlmStatus
llm_jinja_int(Jinja *j, int64_t i, LlmValue **out)
{
	static LlmValue small_ints[SMALL_INTS] = {INT_16(0), INT_16(16), INT_16(32), INT_16(48)};

	if (i >= 0 && i < SMALL_INTS)
	{
		*out = &small_ints[i];
		return LLM_OK;
	}
	LLM_TRY(llm_jinja_new(j, LLM_VALUE_INT, out));
	(*out)->u.integer = i;
	return LLM_OK;
}

LlmStatus
llm_jinja_float(Jinja *j, double d, LlmValue **out)
{
	LLM_TRY(llm_jinja_new(j, LLM_VALUE_FLOAT, out));
	(*out)->u.number = d;
	return LLM_OK;
}

LlmStatus
llm_jinja_text(Jinja *j, LlmText text, LlmValue **out)
{
	LLM_TRY(llm_jinja_new(j, LLM_VALUE_STRING, out));
	(*out)->u.text = text;
	return LLM_OK;
}

LlmStatus
llm_jinja_cstring(Jinja *j, const char *text, LlmValue **out)
{
	LlmText		t = {text, NULL, strlen(text)};

	return llm_jinja_text(j, t, out);
}

LlmStatus
llm_jinja_list(Jinja *j, size_t capacity, LlmValue **out)
{
	void	   *items;

	LLM_TRY(llm_jinja_new(j, LLM_VALUE_LIST, out));
	if (capacity)
	{
		LLM_TRY(llm_arena_alloc(&j->arena, capacity, sizeof(LlmValue *), &items, j->err));
		(*out)->u.seq.items = items;
		(*out)->u.seq.capacity = capacity;
	}
	return LLM_OK;
}

LlmStatus
llm_jinja_push(Jinja *j, LlmValue *list, LlmValue *item)
{
	return llm_value_append(&j->arena, list, item, j->err);
}

LlmStatus
llm_jinja_pair(Jinja *j, LlmValue *a, LlmValue *b, LlmValue **out)
{
	LLM_TRY(llm_jinja_list(j, 2, out));
	(*out)->flavour = JINJA_TUPLE;
	LLM_TRY(llm_jinja_push(j, *out, a));
	return llm_jinja_push(j, *out, b);
}

/* as dict[key] = value */
LlmStatus
llm_jinja_map_put(Jinja *j, LlmValue *map, LlmValue *key, LlmValue *value)
{
	if (!llm_jinja_hashable(key))
		return llm_jinja_fail(j, "unhashable type: '%s'", llm_jinja_type_name(key));
	LLM_TRY(llm_jinja_step(j, map->u.seq.n / 8));
	for (size_t i = 0; i < map->u.seq.n; i++)
	{
		bool		same;

		LLM_TRY(llm_jinja_equal(j, map->u.seq.keys[i], key, &same));
		if (same)
		{
			map->u.seq.items[i] = value;
			return LLM_OK;
		}
	}
	return llm_value_add(&j->arena, map, key, value, j->err);
}

LlmStatus
llm_jinja_undefined(Jinja *j, const char *hint, const LlmValue *object, const LlmValue *name, bool unsafe, LlmValue **out)
{
	void	   *ptr;
	JinjaUndefined *u;

	LLM_TRY(llm_jinja_new(j, LLM_VALUE_UNDEFINED, out));
	LLM_TRY(llm_arena_alloc(&j->arena, 1, sizeof(JinjaUndefined), &ptr, j->err));
	u = ptr;
	u->hint = hint;
	u->object = object;
	u->name = name;
	u->unsafe = unsafe;
	(*out)->u.function = u;
	return LLM_OK;
}

LlmStatus
llm_jinja_object(Jinja *j, JinjaObjectKind kind, JinjaObject **object, LlmValue **out)
{
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(&j->arena, 1, sizeof(JinjaObject), &ptr, j->err));
	memset(ptr, 0, sizeof(JinjaObject));
	*object = ptr;
	(*object)->kind = kind;
	LLM_TRY(llm_jinja_new(j, LLM_VALUE_FUNCTION, out));
	(*out)->u.function = ptr;
	return LLM_OK;
}

LlmStatus
llm_jinja_generator(Jinja *j, LlmValue *list, LlmValue **out)
{
	JinjaObject *object;

	LLM_TRY(llm_jinja_object(j, JINJA_OBJ_GENERATOR, &object, out));
	object->self = list;
	return LLM_OK;
}

const char *
llm_jinja_type_name(const LlmValue *v)
{
	static const char *const objects[] = {
		[JINJA_OBJ_FUNCTION] = "function", [JINJA_OBJ_MACRO] = "Macro", [JINJA_OBJ_LOOP] = "LoopContext",
		[JINJA_OBJ_NAMESPACE] = "Namespace", [JINJA_OBJ_CYCLER] = "Cycler", [JINJA_OBJ_JOINER] = "Joiner",
		[JINJA_OBJ_GENERATOR] = "generator", [JINJA_OBJ_RANGE] = "range", [JINJA_OBJ_SELF] = "TemplateReference",
		[JINJA_OBJ_BLOCK] = "BlockReference"
	};

	switch (v->kind)
	{
		case LLM_VALUE_UNDEFINED:
			return "Undefined";
		case LLM_VALUE_NULL:
			return "NoneType";
		case LLM_VALUE_BOOL:
			return "bool";
		case LLM_VALUE_INT:
			return "int";
		case LLM_VALUE_FLOAT:
			return "float";
		case LLM_VALUE_STRING:
			return v->flavour == JINJA_MARKUP ? "Markup" : "str";
		case LLM_VALUE_MAP:
			return "dict";
		case LLM_VALUE_LIST:
			switch (v->flavour)
			{
				case JINJA_KEYS:
					return "dict_keys";
				case JINJA_VALUES:
					return "dict_values";
				case JINJA_ITEMS:
					return "dict_items";
				case JINJA_PLAIN:
					return "list";
				default:
					return "tuple";
			}
		case LLM_VALUE_FUNCTION:
			return objects[llm_jinja_obj(v)->kind];
	}
	return "object";
}

LlmText
llm_jinja_sub(LlmText text, size_t start, size_t end)
{
	LlmText		part = {text.bytes + start, text.from_data ? text.from_data + start : NULL, end - start};

	if (text.len == 0)
		part.bytes = "";
	return part;
}
