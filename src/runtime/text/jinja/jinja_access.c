/*
 * jinja_access.c: x.name, x[key] and slices.
 *
 * x.name looks for an attribute first and then for an item, x[key] the other way round; what is not there is undefined, and
 * only its use fails. Attributes are the methods that jinja2's immutable sandbox lets through: names that begin with "_" and
 * methods that would change a list or a map are "unsafe", which also fails on use.
 */
#include "text/jinja/jinja.h"

#include <string.h>

bool
llm_jinja_hashable(const LlmValue *v)
{
	if (v->kind == LLM_VALUE_MAP)
		return false;
	if (v->kind != LLM_VALUE_LIST)
		return true;
	if (v->flavour != JINJA_TUPLE && v->flavour != JINJA_GROUP)
		return false;
	for (size_t i = 0; i < v->u.seq.n; i++)
		if (v->u.seq.items[i]->kind == LLM_VALUE_LIST || v->u.seq.items[i]->kind == LLM_VALUE_MAP)
			if (v->u.seq.items[i]->flavour != JINJA_TUPLE)
				return false;
	return true;
}

LlmStatus
llm_jinja_map_find(Jinja *j, const LlmValue *map, const LlmValue *key, LlmValue **out)
{
	*out = NULL;
	if (!llm_jinja_hashable(key))
		return llm_jinja_fail(j, "unhashable type: '%s'", llm_jinja_type_name(key));
	LLM_TRY(llm_jinja_step(j, map->u.seq.n / 8));
	for (size_t i = 0; i < map->u.seq.n; i++)
	{
		const LlmValue *other = map->u.seq.keys[i];
		bool		same;

		if (key->kind == LLM_VALUE_STRING && (other->kind != LLM_VALUE_STRING || other->u.text.len != key->u.text.len))
			continue;
		LLM_TRY(llm_jinja_equal(j, other, key, &same));
		if (same)
		{
			*out = map->u.seq.items[i];
			return LLM_OK;
		}
	}
	return LLM_OK;
}

static bool
text_is(const LlmValue *v, const char *word)
{
	size_t		len = strlen(word);

	return v->u.text.len == len && memcmp(v->u.text.bytes, word, len) == 0;
}

static bool
is_any_of(const LlmValue *name, const char *const *words)
{
	for (; *words; words++)
		if (text_is(name, *words))
			return true;
	return false;
}

static LlmStatus
bind_method(Jinja *j, const JinjaFunction *table, LlmValue *self, const LlmValue *name, LlmValue **out)
{
	const JinjaFunction *f = llm_jinja_find_function(table, (LlmStr) {name->u.text.bytes, name->u.text.len});
	JinjaObject *object;

	if (!f)
		return LLM_OK;
	LLM_TRY(llm_jinja_object(j, JINJA_OBJ_FUNCTION, &object, out));
	object->function = f;
	object->self = self;
	return LLM_OK;
}

static LlmStatus
loop_attribute(Jinja *j, LlmValue *v, const LlmValue *name, LlmValue **out)
{
	const JinjaObject *loop = llm_jinja_obj(v);
	int64_t		n = (int64_t) loop->n_items;
	int64_t		i = loop->index;

	if (text_is(name, "index"))
		return llm_jinja_int(j, i + 1, out);
	if (text_is(name, "index0"))
		return llm_jinja_int(j, i, out);
	if (text_is(name, "revindex"))
		return llm_jinja_int(j, n - i, out);
	if (text_is(name, "revindex0"))
		return llm_jinja_int(j, n - i - 1, out);
	if (text_is(name, "length"))
		return llm_jinja_int(j, n, out);
	if (text_is(name, "depth"))
		return llm_jinja_int(j, loop->depth + 1, out);
	if (text_is(name, "depth0"))
		return llm_jinja_int(j, loop->depth, out);
	if (text_is(name, "first"))
		*out = llm_jinja_bool(i == 0);
	else if (text_is(name, "last"))
		*out = llm_jinja_bool(i == n - 1);
	else if (text_is(name, "previtem"))
	{
		if (i == 0)
			return llm_jinja_undefined(j, "there is no previous item", NULL, NULL, false, out);
		*out = loop->items[i - 1];
	}
	else if (text_is(name, "nextitem"))
	{
		if (i >= n - 1)
			return llm_jinja_undefined(j, "there is no next item", NULL, NULL, false, out);
		*out = loop->items[i + 1];
	}
	else
		return bind_method(j, llm_jinja_loop_methods, v, name, out);
	return LLM_OK;
}

/* names that begin with "_" cannot be read from a namespace, so none is set */
LlmStatus
llm_jinja_check_attribute(Jinja *j, const LlmValue *name)
{
	if (name->kind == LLM_VALUE_STRING && name->u.text.len > 0 && name->u.text.bytes[0] == '_')
		return llm_jinja_fail(j, "attribute \"%.*s\" of a namespace begins with \"_\"",
							  (int) (name->u.text.len < 60 ? name->u.text.len : 60), name->u.text.bytes);
	return LLM_OK;
}

/* self.NAME: a block of the template */
static LlmStatus
block_of_name(Jinja *j, const LlmValue *name, LlmValue **out)
{
	const JinjaList *blocks = &j->t->blocks;
	JinjaObject *object;

	for (size_t i = 0; i < blocks->n; i++)
	{
		const LlmText *block = &j->t->names[blocks->items[i]->name]->u.text;

		LLM_TRY(llm_jinja_step(j, 1));
		if (block->len != name->u.text.len || memcmp(block->bytes, name->u.text.bytes, block->len) != 0)
			continue;
		LLM_TRY(llm_jinja_object(j, JINJA_OBJ_BLOCK, &object, out));
		object->node = blocks->items[i];
		break;
	}
	return LLM_OK;
}

static LlmStatus
object_attribute(Jinja *j, LlmValue *v, LlmValue *name, LlmValue **out)
{
	const JinjaObject *object = llm_jinja_obj(v);

	switch (object->kind)
	{
		case JINJA_OBJ_LOOP:
			return loop_attribute(j, v, name, out);
		case JINJA_OBJ_NAMESPACE:
			return llm_jinja_map_find(j, object->self, name, out);
		case JINJA_OBJ_CYCLER:
			if (text_is(name, "current"))
			{
				*out = object->self->u.seq.items[object->index];
				return LLM_OK;
			}
			return bind_method(j, llm_jinja_cycler_methods, v, name, out);
		case JINJA_OBJ_MACRO:
			if (text_is(name, "name"))
				*out = object->node->name == j->t->caller_name ? llm_jinja_none() : j->t->names[object->node->name];
			return LLM_OK;
		case JINJA_OBJ_SELF:
			return block_of_name(j, name, out);
		case JINJA_OBJ_FUNCTION:
			if (object->function == llm_jinja_find_function(llm_jinja_globals, (LlmStr) {"dict", 4}))
				return bind_method(j, llm_jinja_dict_class, v, name, out);
			return LLM_OK;
		case JINJA_OBJ_RANGE:
			if (text_is(name, "start"))
				return llm_jinja_int(j, object->start, out);
			if (text_is(name, "stop"))
				return llm_jinja_int(j, object->stop, out);
			if (text_is(name, "step"))
				return llm_jinja_int(j, object->step, out);
			return LLM_OK;
		default:
			return LLM_OK;
	}
}

/* the attribute of that name, or NULL; v is defined */
LlmStatus
llm_jinja_attribute(Jinja *j, LlmValue *v, LlmValue *name, LlmValue **out)
{
	static const char *const changes_list[] = {"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort", NULL};
	static const char *const changes_map[] = {"clear", "pop", "popitem", "setdefault", "update", NULL};

	*out = NULL;
	if (name->u.text.len > 1 && memcmp(name->u.text.bytes, "__", 2) == 0)
		return llm_jinja_undefined(j, NULL, v, name, true, out);
	switch (v->kind)
	{
		case LLM_VALUE_STRING:
			LLM_TRY(bind_method(j, llm_jinja_string_methods, v, name, out));
			return *out ? LLM_OK : bind_method(j, llm_jinja_string_checks, v, name, out);
		case LLM_VALUE_LIST:
			if (v->flavour == JINJA_PLAIN && is_any_of(name, changes_list))
				return llm_jinja_undefined(j, NULL, v, name, true, out);
			if (v->flavour == JINJA_GROUP && text_is(name, "grouper"))
				*out = v->u.seq.items[0];
			else if (v->flavour == JINJA_GROUP && text_is(name, "list"))
				*out = v->u.seq.items[1];
			else if (v->flavour <= JINJA_GROUP && (v->flavour == JINJA_PLAIN || !text_is(name, "copy")))
				return bind_method(j, llm_jinja_list_methods, v, name, out);
			return LLM_OK;
		case LLM_VALUE_MAP:
			if (is_any_of(name, changes_map))
				return llm_jinja_undefined(j, NULL, v, name, true, out);
			return bind_method(j, llm_jinja_dict_methods, v, name, out);
		case LLM_VALUE_FLOAT:
			return bind_method(j, llm_jinja_float_methods, v, name, out);
		case LLM_VALUE_FUNCTION:
			return object_attribute(j, v, name, out);
		default:
			return LLM_OK;
	}
}

/* v[key] without falling back to attributes; NULL if there is no such item */
static LlmStatus
find_item(Jinja *j, LlmValue *v, LlmValue *key, LlmValue **out)
{
	int64_t		i;
	int64_t		n;

	*out = NULL;
	if (v->kind == LLM_VALUE_MAP)
		return llm_jinja_hashable(key) ? llm_jinja_map_find(j, v, key, out) : LLM_OK;
	if (!llm_jinja_as_int(key, &i))
		return LLM_OK;
	if (v->kind == LLM_VALUE_STRING)
	{
		LlmText		text = v->u.text;
		size_t		start;
		uint32_t	c;

		LLM_TRY(llm_jinja_step(j, text.len / 64));
		n = (int64_t) llm_jinja_count(text);
		i = i < 0 ? i + n : i;
		if (i < 0 || i >= n)
			return LLM_OK;
		start = llm_jinja_offset(text, (size_t) i);
		LLM_TRY(llm_jinja_text(j, llm_jinja_sub(text, start, start + llm_jinja_decode(text.bytes + start, text.len - start, &c)), out));
		(*out)->flavour = v->flavour;
	}
	else if (v->kind == LLM_VALUE_LIST && v->flavour <= JINJA_GROUP)
	{
		n = (int64_t) v->u.seq.n;
		i = i < 0 ? i + n : i;
		if (i >= 0 && i < n)
			*out = v->u.seq.items[i];
	}
	else if (llm_jinja_is_obj(v, JINJA_OBJ_RANGE))
	{
		n = llm_jinja_range_length(llm_jinja_obj(v));
		i = i < 0 ? i + n : i;
		if (i >= 0 && i < n)
			return llm_jinja_int(j, llm_jinja_obj(v)->start + i * llm_jinja_obj(v)->step, out);
	}
	return LLM_OK;
}

LlmStatus
llm_jinja_getattr(Jinja *j, LlmValue *v, LlmValue *name, LlmValue **out)
{
	LlmValue   *found;

	if (v->kind == LLM_VALUE_UNDEFINED)
		return llm_jinja_fail_undefined(j, v);
	LLM_TRY(llm_jinja_attribute(j, v, name, &found));
	if (!found)
		LLM_TRY(find_item(j, v, name, &found));
	*out = found;
	return found ? LLM_OK : llm_jinja_undefined(j, NULL, v, name, false, out);
}

LlmStatus
llm_jinja_getitem(Jinja *j, LlmValue *v, LlmValue *key, LlmValue **out)
{
	LlmValue   *found;

	if (v->kind == LLM_VALUE_UNDEFINED)
		return llm_jinja_fail_undefined(j, v);
	LLM_TRY(find_item(j, v, key, &found));
	if (!found && key->kind == LLM_VALUE_STRING)
		LLM_TRY(llm_jinja_attribute(j, v, key, &found));
	*out = found;
	return found ? LLM_OK : llm_jinja_undefined(j, NULL, v, key, false, out);
}

static LlmStatus
slice_bound(Jinja *j, const LlmValue *v, int64_t n, int64_t low, int64_t high, int64_t none, int64_t *out)
{
	*out = none;
	if (!v || v->kind == LLM_VALUE_NULL)
		return LLM_OK;
	if (!llm_jinja_as_int(v, out))
		return llm_jinja_fail(j, "slice indices must be integers or None");
	if (*out < 0)
		*out += n;
	if (*out < low)
		*out = low;
	if (*out > high)
		*out = high;
	return LLM_OK;
}

static LlmStatus
slice_string(Jinja *j, LlmText text, int64_t first, int64_t count, int64_t step, LlmValue **out)
{
	size_t		mark = j->out.len;
	size_t		start;
	size_t		end;
	uint32_t	c;

	LLM_TRY(llm_jinja_step(j, text.len / 64));
	if (count == 0)
		return llm_jinja_cstring(j, "", out);
	start = llm_jinja_offset(text, (size_t) first);
	if (step == 1)
	{
		end = start + llm_jinja_offset(llm_jinja_sub(text, start, text.len), (size_t) count);
		return llm_jinja_text(j, llm_jinja_sub(text, start, end), out);
	}
	LLM_TRY(llm_jinja_step(j, (uint64_t) count));
	end = start + llm_jinja_decode(text.bytes + start, text.len - start, &c);
	for (;;)
	{
		LLM_TRY(llm_jinja_put(j, llm_jinja_sub(text, start, end)));
		if (--count == 0)
			break;
		for (int64_t k = 0; k < step; k++)
		{
			start = end;
			end += llm_jinja_decode(text.bytes + start, text.len - start, &c);
		}
		for (int64_t k = 0; k > step; k--)
		{
			end = start;
			start -= llm_jinja_decode_last(text.bytes, start, &c);
		}
	}
	return llm_jinja_cut(j, mark, out);
}

LlmStatus
llm_jinja_slice(Jinja *j, LlmValue *v, LlmValue *start, LlmValue *stop, LlmValue *step, LlmValue **out)
{
	int64_t		n;
	int64_t		first;
	int64_t		last;
	int64_t		by = 1;
	int64_t		count;

	if (v->kind == LLM_VALUE_UNDEFINED)
		return llm_jinja_fail_undefined(j, v);
	if (v->kind != LLM_VALUE_STRING && !(v->kind == LLM_VALUE_LIST && v->flavour <= JINJA_GROUP) && !llm_jinja_is_obj(v, JINJA_OBJ_RANGE))
		return llm_jinja_fail(j, "'%s' object cannot be sliced", llm_jinja_type_name(v));
	LLM_TRY(llm_jinja_length(j, v, &n));
	if (step && step->kind != LLM_VALUE_NULL && !llm_jinja_as_int(step, &by))
		return llm_jinja_fail(j, "slice indices must be integers or None");
	if (by == 0)
		return llm_jinja_fail(j, "slice step cannot be zero");
	if (by < -n - 1)
		by = -n - 1;			/* no difference, and no overflow */
	if (by > n + 1)
		by = n + 1;
	if (by > 0)
	{
		LLM_TRY(slice_bound(j, start, n, 0, n, 0, &first));
		LLM_TRY(slice_bound(j, stop, n, 0, n, n, &last));
		count = last > first ? (last - first - 1) / by + 1 : 0;
	}
	else
	{
		LLM_TRY(slice_bound(j, start, n, -1, n - 1, n - 1, &first));
		LLM_TRY(slice_bound(j, stop, n, -1, n - 1, -1, &last));
		count = first > last ? (first - last - 1) / -by + 1 : 0;
	}
	if (v->kind == LLM_VALUE_STRING)
	{
		LLM_TRY(slice_string(j, v->u.text, first, count, by, out));
		(*out)->flavour = v->flavour;
		return LLM_OK;
	}
	if (v->kind == LLM_VALUE_FUNCTION)
	{
		const JinjaObject *range = llm_jinja_obj(v);
		JinjaObject *part;

		LLM_TRY(llm_jinja_object(j, JINJA_OBJ_RANGE, &part, out));
		if (__builtin_mul_overflow(first, range->step, &part->start) || __builtin_add_overflow(part->start, range->start, &part->start) ||
			__builtin_mul_overflow(last, range->step, &part->stop) || __builtin_add_overflow(part->stop, range->start, &part->stop) ||
			__builtin_mul_overflow(range->step, by, &part->step))
			return llm_jinja_limit(j, "an integer does not fit 64 bits");
		return LLM_OK;
	}
	LLM_TRY(llm_jinja_step(j, (uint64_t) count / 4));
	LLM_TRY(llm_jinja_list(j, (size_t) count, out));
	(*out)->flavour = v->flavour == JINJA_PLAIN ? JINJA_PLAIN : JINJA_TUPLE;
	for (int64_t i = 0; i < count; i++)
		LLM_TRY(llm_jinja_push(j, *out, v->u.seq.items[first + i * by]));
	return LLM_OK;
}
