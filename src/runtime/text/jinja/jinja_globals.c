/*
 * jinja_globals.c: global functions, methods of lists, maps, loops and other objects, and calling an object.
 */
#include "text/jinja/jinja.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

const JinjaFunction *
llm_jinja_find_function(const JinjaFunction *table, LlmStr name)
{
	for (; table->name; table++)
		if (strlen(table->name) == name.len && memcmp(table->name, name.data, name.len) == 0)
			return table;
	return NULL;
}

LlmStatus
llm_jinja_arg_int(Jinja *j, const LlmValue *v, const char *what, int64_t *out)
{
	if (v->kind == LLM_VALUE_UNDEFINED)
		return llm_jinja_fail_undefined(j, v);
	if (!llm_jinja_as_int(v, out))
		return llm_jinja_fail(j, "%s must be an integer, not %s", what, llm_jinja_type_name(v));
	return LLM_OK;
}

LlmStatus
llm_jinja_arg_text(Jinja *j, const LlmValue *v, const char *what, LlmText *out)
{
	if (v->kind == LLM_VALUE_UNDEFINED)
		return llm_jinja_fail_undefined(j, v);
	if (v->kind != LLM_VALUE_STRING)
		return llm_jinja_fail(j, "%s must be a string, not %s", what, llm_jinja_type_name(v));
	*out = v->u.text;
	return LLM_OK;
}

/* ---- global functions ---- */

static LlmStatus
global_range(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	int64_t		bound[3] = {0, 0, 1};
	JinjaObject *range;

	(void) self;
	for (int i = 0; i < 3 && v[i]; i++)
	{
		LLM_TRY(llm_jinja_arg_int(j, v[i], "range() argument", &bound[i]));
		if (bound[i] > INT64_MAX / 8 || bound[i] < -(INT64_MAX / 8))
			return llm_jinja_limit(j, "a range() argument is too large");
	}
	if (args->n_positional == 1)
	{
		bound[1] = bound[0];
		bound[0] = 0;
	}
	if (bound[2] == 0)
		return llm_jinja_fail(j, "range() arg 3 must not be zero");
	LLM_TRY(llm_jinja_object(j, JINJA_OBJ_RANGE, &range, out));
	range->start = bound[0];
	range->stop = bound[1];
	range->step = bound[2];
	if (llm_jinja_range_length(range) > LLM_JINJA_MAX_RANGE)
		return llm_jinja_limit(j, "a range of more than %d items", LLM_JINJA_MAX_RANGE);
	return LLM_OK;
}

/* as dict(): a map or pairs, then keywords */
static LlmStatus
build_map(Jinja *j, const JinjaArgs *args, LlmValue **out)
{
	LlmValue   *map;

	if (args->n_positional > 1)
		return llm_jinja_fail(j, "dict expected at most 1 argument, got %zu", args->n_positional);
	LLM_TRY(llm_jinja_new(j, LLM_VALUE_MAP, &map));
	if (args->n_positional == 1)
	{
		LlmValue   *from = args->positional[0];
		LlmValue  **items;
		size_t		n;

		LLM_TRY(llm_jinja_items(j, from, &items, &n));
		for (size_t i = 0; i < n; i++)
		{
			LlmValue  **pair;
			size_t		len;

			if (from->kind == LLM_VALUE_MAP)
			{
				LLM_TRY(llm_value_add(&j->arena, map, items[i], from->u.seq.items[i], j->err));
				continue;
			}
			LLM_TRY(llm_jinja_items(j, items[i], &pair, &len));
			if (len != 2)
				return llm_jinja_fail(j, "dictionary update sequence element #%zu has length %zu; 2 is required", i, len);
			LLM_TRY(llm_jinja_map_put(j, map, pair[0], pair[1]));
		}
	}
	for (size_t i = 0; i < args->n_keywords; i++)
		LLM_TRY(llm_jinja_map_put(j, map, args->keyword_names[i], args->keyword_values[i]));
	*out = map;
	return LLM_OK;
}

static LlmStatus
global_dict(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) self;
	(void) v;
	return build_map(j, args, out);
}

/* dict.fromkeys(keys, value=none) */
static LlmStatus
dict_fromkeys(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmValue  **keys;
	size_t		n;

	(void) self;
	(void) args;
	LLM_TRY(llm_jinja_items(j, v[0], &keys, &n));
	LLM_TRY(llm_jinja_new(j, LLM_VALUE_MAP, out));
	for (size_t i = 0; i < n; i++)
		LLM_TRY(llm_jinja_map_put(j, *out, keys[i], v[1] ? v[1] : llm_jinja_none()));
	return LLM_OK;
}

const JinjaFunction llm_jinja_dict_class[] = {
	{"fromkeys", dict_fromkeys, "/keys value", 1},
	{NULL, NULL, NULL, 0}
};

static LlmStatus
global_namespace(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	JinjaObject *object;
	LlmValue   *map;

	(void) self;
	(void) v;
	LLM_TRY(build_map(j, args, &map));
	for (size_t i = 0; i < map->u.seq.n; i++)
		LLM_TRY(llm_jinja_check_attribute(j, map->u.seq.keys[i]));
	LLM_TRY(llm_jinja_object(j, JINJA_OBJ_NAMESPACE, &object, out));
	object->self = map;
	return LLM_OK;
}

static LlmStatus
global_raise_exception(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmText		text;

	(void) self;
	(void) args;
	(void) out;
	LLM_TRY(llm_jinja_str(j, v[0], &text));
	llm_fail(j->err, LLM_E_ARGUMENT, "chat template refused its input: %.*s", (int) (text.len < 220 ? text.len : 220), text.bytes);
	llm_error_hint(j->err, "These are the template's own words; give the messages that it asks for.");
	llm_error_detail(j->err, "Raised on line %u of the chat template.", j->line);
	return LLM_E_ARGUMENT;
}

/* one directive of strftime at format[0..len), which begins with %; what a date without zone and microseconds prints */
static LlmStatus
put_directive(Jinja *j, const struct tm *tm, const char *format, size_t len, bool data)
{
	char		directive[32];
	char		text[256];
	char		last = format[len - 1];

	if (last == 'f')
		return llm_jinja_put_bytes(j, "000000", 6, false);
	if (last == 'z' || last == 'Z')
		return LLM_OK;
	if (len >= sizeof(directive))
		return llm_jinja_fail(j, "wrong time format");
	memcpy(directive, format, len);
	directive[len] = '\0';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	return llm_jinja_put_bytes(j, text, strftime(text, sizeof(text), directive, tm), data);
#pragma GCC diagnostic pop
}

static LlmStatus
global_strftime_now(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmText		format;
	time_t		now = (time_t) j->now;
	struct tm	tm;
	size_t		mark = j->out.len;
	size_t		pos = 0;

	(void) self;
	(void) args;
	LLM_TRY(llm_jinja_arg_text(j, v[0], "time format", &format));
	if (!localtime_r(&now, &tm))
		return llm_jinja_fail(j, "the time %lld is out of range", (long long) j->now);
	while (pos < format.len)
	{
		size_t		end = pos + 1;

		LLM_TRY(llm_jinja_step(j, 1));
		if (format.bytes[pos] == '%')
		{
			while (end < format.len && format.bytes[end] && strchr("_-0^#EO:123456789", format.bytes[end]))
				end++;
			end += end < format.len;
			if (end > pos + 1 && ((format.bytes[end - 1] | 32) < 'a' || (format.bytes[end - 1] | 32) > 'z') && format.bytes[end - 1] != '%' &&
				format.bytes[end - 1] != '+')
				return llm_jinja_fail(j, "wrong time format");
		}
		if (end == pos + 1)
			LLM_TRY(llm_jinja_put(j, llm_jinja_sub(format, pos, end)));
		else
			LLM_TRY(put_directive(j, &tm, format.bytes + pos, end - pos, format.from_data && format.from_data[pos]));
		pos = end;
	}
	return llm_jinja_cut(j, mark, out);
}

static LlmStatus
global_joiner(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	JinjaObject *object;
	LlmValue   *separator = v[0];

	(void) self;
	(void) args;
	if (!separator)
		LLM_TRY(llm_jinja_cstring(j, ", ", &separator));
	LLM_TRY(llm_jinja_object(j, JINJA_OBJ_JOINER, &object, out));
	object->self = separator;
	return LLM_OK;
}

static LlmStatus
global_cycler(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	JinjaObject *object;

	(void) self;
	(void) v;
	if (args->n_positional == 0 || args->n_keywords)
		return llm_jinja_fail(j, "at least one item has to be provided");
	LLM_TRY(llm_jinja_object(j, JINJA_OBJ_CYCLER, &object, out));
	LLM_TRY(llm_jinja_list(j, args->n_positional, &object->self));
	for (size_t i = 0; i < args->n_positional; i++)
		LLM_TRY(llm_jinja_push(j, object->self, args->positional[i]));
	return LLM_OK;
}

static LlmStatus
global_lipsum(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) self;
	(void) v;
	(void) args;
	(void) out;
	return llm_fail(j->err, LLM_E_UNSUPPORTED, "chat template uses the function \"lipsum\" on line %u, which is not supported", j->line);
}

const JinjaFunction llm_jinja_globals[] = {
	{"range", global_range, "/start stop step", 1},
	{"dict", global_dict, NULL, 0},
	{"namespace", global_namespace, NULL, 0},
	{"raise_exception", global_raise_exception, "message", 1},
	{"strftime_now", global_strftime_now, "format", 1},
	{"joiner", global_joiner, "sep", 0},
	{"cycler", global_cycler, NULL, 0},
	{"lipsum", global_lipsum, NULL, 0},
	{NULL, NULL, NULL, 0}
};

/* ---- methods ---- */

static LlmStatus
list_index(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	int64_t		n = (int64_t) self->u.seq.n;
	int64_t		bound[2] = {0, n};

	(void) args;
	for (int i = 0; i < 2 && v[i + 1]; i++)
	{
		LLM_TRY(llm_jinja_arg_int(j, v[i + 1], "index", &bound[i]));
		if (bound[i] < 0)
			bound[i] = bound[i] + n < 0 ? 0 : bound[i] + n;
	}
	for (int64_t i = bound[0]; i < bound[1] && i < n; i++)
	{
		bool		same;

		LLM_TRY(llm_jinja_step(j, 1));
		LLM_TRY(llm_jinja_equal(j, self->u.seq.items[i], v[0], &same));
		if (same)
			return llm_jinja_int(j, i, out);
	}
	return llm_jinja_fail(j, "the value is not in the list");
}

static LlmStatus
list_count(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	int64_t		n = 0;

	(void) args;
	for (size_t i = 0; i < self->u.seq.n; i++)
	{
		bool		same;

		LLM_TRY(llm_jinja_step(j, 1));
		LLM_TRY(llm_jinja_equal(j, self->u.seq.items[i], v[0], &same));
		n += same;
	}
	return llm_jinja_int(j, n, out);
}

/* a list cannot be changed, so it is its own copy */
static LlmStatus
method_copy(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) j;
	(void) v;
	(void) args;
	*out = self;
	return LLM_OK;
}

const JinjaFunction llm_jinja_list_methods[] = {
	{"copy", method_copy, "", 0},
	{"count", list_count, "/value", 1},
	{"index", list_index, "/value start stop", 1},
	{NULL, NULL, NULL, 0}
};

/* keys, values or pairs of a map */
static LlmStatus
map_view(Jinja *j, LlmValue *map, int flavour, LlmValue **out)
{
	LlmValue   *item;

	LLM_TRY(llm_jinja_step(j, map->u.seq.n / 4));
	LLM_TRY(llm_jinja_list(j, map->u.seq.n, out));
	(*out)->flavour = (uint8_t) flavour;
	for (size_t i = 0; i < map->u.seq.n; i++)
	{
		item = flavour == JINJA_KEYS ? map->u.seq.keys[i] : map->u.seq.items[i];
		if (flavour == JINJA_ITEMS)
			LLM_TRY(llm_jinja_pair(j, map->u.seq.keys[i], map->u.seq.items[i], &item));
		LLM_TRY(llm_jinja_push(j, *out, item));
	}
	return LLM_OK;
}

static LlmStatus
dict_keys(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) v;
	(void) args;
	return map_view(j, self, JINJA_KEYS, out);
}

static LlmStatus
dict_values(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) v;
	(void) args;
	return map_view(j, self, JINJA_VALUES, out);
}

LlmStatus
llm_jinja_map_items(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) v;
	(void) args;
	return map_view(j, self, JINJA_ITEMS, out);
}

static LlmStatus
dict_get(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	LLM_TRY(llm_jinja_map_find(j, self, v[0], out));
	if (!*out)
		*out = v[1] ? v[1] : llm_jinja_none();
	return LLM_OK;
}

const JinjaFunction llm_jinja_dict_methods[] = {
	{"copy", method_copy, "", 0},
	{"get", dict_get, "/key default", 1},
	{"items", llm_jinja_map_items, "", 0},
	{"keys", dict_keys, "", 0},
	{"values", dict_values, "", 0},
	{NULL, NULL, NULL, 0}
};

static LlmStatus
loop_cycle(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) v;
	if (args->n_positional == 0 || args->n_keywords)
		return llm_jinja_fail(j, "no items for cycling given");
	*out = args->positional[(size_t) llm_jinja_obj(self)->index % args->n_positional];
	return LLM_OK;
}

static LlmStatus
loop_changed(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	JinjaObject *loop = llm_jinja_obj(self);
	LlmValue   *now;
	bool		same = false;

	(void) v;
	LLM_TRY(llm_jinja_list(j, args->n_positional, &now));
	for (size_t i = 0; i < args->n_positional; i++)
		LLM_TRY(llm_jinja_push(j, now, args->positional[i]));
	if (loop->last_changed)
		LLM_TRY(llm_jinja_equal(j, loop->last_changed, now, &same));
	loop->last_changed = now;
	*out = llm_jinja_bool(!same);
	return LLM_OK;
}

const JinjaFunction llm_jinja_loop_methods[] = {
	{"changed", loop_changed, NULL, 0},
	{"cycle", loop_cycle, NULL, 0},
	{NULL, NULL, NULL, 0}
};

static LlmStatus
cycler_next(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	JinjaObject *cycler = llm_jinja_obj(self);

	(void) j;
	(void) v;
	(void) args;
	*out = cycler->self->u.seq.items[cycler->index];
	cycler->index = (cycler->index + 1) % (int64_t) cycler->self->u.seq.n;
	return LLM_OK;
}

static LlmStatus
cycler_reset(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) j;
	(void) v;
	(void) args;
	llm_jinja_obj(self)->index = 0;
	*out = llm_jinja_none();
	return LLM_OK;
}

const JinjaFunction llm_jinja_cycler_methods[] = {
	{"next", cycler_next, "", 0},
	{"reset", cycler_reset, "", 0},
	{NULL, NULL, NULL, 0}
};

static LlmStatus
float_is_integer(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) j;
	(void) v;
	(void) args;
	*out = llm_jinja_bool(isfinite(self->u.number) && self->u.number == floor(self->u.number));
	return LLM_OK;
}

const JinjaFunction llm_jinja_float_methods[] = {
	{"is_integer", float_is_integer, "", 0},
	{NULL, NULL, NULL, 0}
};

LlmStatus
llm_jinja_call_object(Jinja *j, JinjaObject *object, const JinjaArgs *args, LlmValue **out)
{
	switch (object->kind)
	{
		case JINJA_OBJ_FUNCTION:
			return llm_jinja_apply(j, object->function, "function", object->self, args, out);
		case JINJA_OBJ_MACRO:
			return llm_jinja_call_macro(j, object, args, out);
		case JINJA_OBJ_LOOP:
			if (args->n_positional != 1 || args->n_keywords)
				return llm_jinja_fail(j, "a loop is called with one argument");
			return llm_jinja_call_loop(j, object, args->positional[0], out);
		case JINJA_OBJ_JOINER:
			if (args->n_positional || args->n_keywords)
				return llm_jinja_fail(j, "a joiner is called without arguments");
			if (object->index++ > 0)
			{
				*out = object->self;
				return LLM_OK;
			}
			return llm_jinja_cstring(j, "", out);
		case JINJA_OBJ_BLOCK:
			if (args->n_positional || args->n_keywords)
				return llm_jinja_fail(j, "a block is called without arguments");
			return llm_jinja_call_block(j, object, out);
		case JINJA_OBJ_NAMESPACE:
			return llm_jinja_fail(j, "'Namespace' object is not callable");
		case JINJA_OBJ_SELF:
			return llm_jinja_fail(j, "'TemplateReference' object is not callable");
		case JINJA_OBJ_CYCLER:
			return llm_jinja_fail(j, "'Cycler' object is not callable");
		case JINJA_OBJ_GENERATOR:
			return llm_jinja_fail(j, "'generator' object is not callable");
		case JINJA_OBJ_RANGE:
			return llm_jinja_fail(j, "'range' object is not callable");
	}
	return LLM_OK;
}
