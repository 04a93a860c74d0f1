/*
 * jinja_list_filters.c: filters of sequences: ends, order, sums, groups.
 *
 * Those that are lazy in jinja2 give a generator: it is true even when empty, has no length, and can be read once.
 */
#include "text/jinja/jinja.h"

#include <string.h>

/* a string in lower case, anything else as it is */
static LlmStatus
lower_key(Jinja *j, LlmValue *v, LlmValue **out)
{
	size_t		mark = j->out.len;

	*out = v;
	if (v->kind != LLM_VALUE_STRING)
		return LLM_OK;
	LLM_TRY(llm_jinja_put_case(j, v->u.text, JINJA_CASE_LOWER));
	return llm_jinja_cut(j, mark, out);
}

/* one part of a dotted attribute: digits are an index */
static LlmStatus
get_part(Jinja *j, LlmValue *item, LlmText part, LlmValue *fallback, LlmValue **out)
{
	LlmValue   *key;
	int64_t		index;
	bool		overflow;
	bool		digits = part.len > 0;

	for (size_t i = 0; i < part.len; i++)
		digits &= part.bytes[i] >= '0' && part.bytes[i] <= '9';
	if (digits && llm_jinja_parse_int(part, 10, &index, &overflow))
		LLM_TRY(llm_jinja_int(j, index, &key));
	else
		LLM_TRY(llm_jinja_text(j, part, &key));
	LLM_TRY(llm_jinja_getitem(j, item, key, out));
	if ((*out)->kind == LLM_VALUE_UNDEFINED && llm_jinja_given(fallback))
		*out = fallback;
	return LLM_OK;
}

static LlmStatus
get_dotted(Jinja *j, LlmValue *item, LlmText path, LlmValue *fallback, LlmValue **out)
{
	size_t		start = 0;

	*out = item;
	for (;;)
	{
		size_t		dot = llm_jinja_find(path, (LlmText) {".", NULL, 1}, start);

		LLM_TRY(get_part(j, *out, llm_jinja_sub(path, start, dot == SIZE_MAX ? path.len : dot), fallback, out));
		if (dot == SIZE_MAX)
			return LLM_OK;
		start = dot + 1;
	}
}

/* item.attribute, where the attribute may have dots, be an index, or be None for the item itself */
LlmStatus
llm_jinja_getter(Jinja *j, LlmValue *item, LlmValue *attribute, LlmValue *fallback, LlmValue **out)
{
	*out = item;
	if (!llm_jinja_given(attribute))
		return LLM_OK;
	if (attribute->kind == LLM_VALUE_STRING)
		return get_dotted(j, item, attribute->u.text, fallback, out);
	LLM_TRY(llm_jinja_getitem(j, item, attribute, out));
	if ((*out)->kind == LLM_VALUE_UNDEFINED && llm_jinja_given(fallback))
		*out = fallback;
	return LLM_OK;
}

/* key of an item for comparing: its attribute, without case unless asked for */
static LlmStatus
make_key(Jinja *j, LlmValue *item, LlmValue *attribute, LlmValue *fallback, bool case_sensitive, LlmValue **out)
{
	LLM_TRY(llm_jinja_step(j, 1));
	LLM_TRY(llm_jinja_getter(j, item, attribute, fallback, out));
	return case_sensitive ? LLM_OK : lower_key(j, *out, out);
}

/* a list of its own with the items of v */
static LlmStatus
to_list(Jinja *j, LlmValue *v, LlmValue **out)
{
	LlmValue  **items;
	size_t		n;

	LLM_TRY(llm_jinja_items(j, v, &items, &n));
	LLM_TRY(llm_jinja_step(j, n / 4));
	LLM_TRY(llm_jinja_list(j, n, out));
	for (size_t i = 0; i < n; i++)
		LLM_TRY(llm_jinja_push(j, *out, items[i]));
	return LLM_OK;
}

static LlmStatus
filter_length(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	int64_t		n;

	(void) v;
	(void) args;
	LLM_TRY(llm_jinja_length(j, self, &n));
	return llm_jinja_int(j, n, out);
}

static LlmStatus
filter_first(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmValue  **items;
	size_t		n;

	(void) v;
	(void) args;
	if (llm_jinja_is_obj(self, JINJA_OBJ_GENERATOR))
	{
		/* takes one item only */
		LlmValue   *list = llm_jinja_obj(self)->self;

		if (list->u.seq.n == 0)
			return llm_jinja_undefined(j, "No first item, sequence was empty.", NULL, NULL, false, out);
		*out = list->u.seq.items[0];
		LLM_TRY(to_list(j, self, &list));
		list->u.seq.items++;
		list->u.seq.n--;
		list->u.seq.capacity--;
		llm_jinja_obj(self)->self = list;
		return LLM_OK;
	}
	LLM_TRY(llm_jinja_items(j, self, &items, &n));
	if (n == 0)
		return llm_jinja_undefined(j, "No first item, sequence was empty.", NULL, NULL, false, out);
	*out = items[0];
	return LLM_OK;
}

static LlmStatus
filter_last(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmValue  **items;
	size_t		n;

	(void) v;
	(void) args;
	if (llm_jinja_is_obj(self, JINJA_OBJ_GENERATOR))
		return llm_jinja_fail(j, "'generator' object is not reversible");
	LLM_TRY(llm_jinja_items(j, self, &items, &n));
	if (n == 0)
		return llm_jinja_undefined(j, "No last item, sequence was empty.", NULL, NULL, false, out);
	*out = items[n - 1];
	return LLM_OK;
}

/* join(d='', attribute) */
static LlmStatus
filter_join(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmValue  **items;
	size_t		n;
	size_t		mark;
	LlmText		separator = {"", NULL, 0};
	LlmValue   *strings;

	(void) args;
	if (v[0])
		LLM_TRY(llm_jinja_str(j, v[0], &separator));
	LLM_TRY(llm_jinja_items(j, self, &items, &n));
	LLM_TRY(llm_jinja_list(j, n, &strings));
	for (size_t i = 0; i < n; i++)
	{
		LlmValue   *item;

		LLM_TRY(llm_jinja_step(j, 1));
		LLM_TRY(llm_jinja_getter(j, items[i], v[1], NULL, &item));
		LLM_TRY(llm_jinja_push(j, strings, item));
	}
	mark = j->out.len;
	for (size_t i = 0; i < n; i++)
	{
		if (i)
			LLM_TRY(llm_jinja_put(j, separator));
		LLM_TRY(llm_jinja_put_str(j, strings->u.seq.items[i]));
	}
	return llm_jinja_cut(j, mark, out);
}

static LlmStatus
filter_list(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) v;
	(void) args;
	return to_list(j, self, out);
}

static LlmStatus
filter_reverse(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmValue   *list;
	LlmValue   *minus_one;
	bool		was_generator = llm_jinja_is_obj(self, JINJA_OBJ_GENERATOR);

	(void) v;
	(void) args;
	if (self->kind == LLM_VALUE_STRING)
	{
		LLM_TRY(llm_jinja_int(j, -1, &minus_one));
		return llm_jinja_slice(j, self, NULL, NULL, minus_one, out);
	}
	LLM_TRY(to_list(j, self, &list));
	for (size_t a = 0, b = list->u.seq.n; a + 1 < b; a++)
	{
		LlmValue   *item = list->u.seq.items[a];

		list->u.seq.items[a] = list->u.seq.items[--b];
		list->u.seq.items[b] = item;
	}
	*out = list;
	return was_generator ? LLM_OK : llm_jinja_generator(j, list, out);
}

/* the keys of an attribute list "a,b.c" as a list */
static LlmStatus
make_multi_key(Jinja *j, LlmValue *item, LlmValue *attribute, bool case_sensitive, LlmValue **out)
{
	LlmValue   *part = attribute;
	LlmValue   *key;
	size_t		start = 0;

	LLM_TRY(llm_jinja_list(j, 1, out));
	for (;;)
	{
		size_t		comma = SIZE_MAX;

		if (llm_jinja_given(attribute) && attribute->kind == LLM_VALUE_STRING)
		{
			comma = llm_jinja_find(attribute->u.text, (LlmText) {",", NULL, 1}, start);
			LLM_TRY(llm_jinja_text(j, llm_jinja_sub(attribute->u.text, start, comma == SIZE_MAX ? attribute->u.text.len : comma), &part));
		}
		LLM_TRY(make_key(j, item, part, NULL, case_sensitive, &key));
		LLM_TRY(llm_jinja_push(j, *out, key));
		if (comma == SIZE_MAX)
			return LLM_OK;
		start = comma + 1;
	}
}

/* Python's sorted() takes its flag as a number */
static LlmStatus
reverse_flag(Jinja *j, const LlmValue *v, bool *reverse)
{
	int64_t		flag = 0;

	if (v)
		LLM_TRY(llm_jinja_arg_int(j, v, "reverse", &flag));
	*reverse = flag != 0;
	return LLM_OK;
}

/* sort(reverse=false, case_sensitive=false, attribute) */
static LlmStatus
filter_sort(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmValue   *keys;
	LlmValue   *key;
	bool		reverse;

	(void) args;
	LLM_TRY(reverse_flag(j, v[0], &reverse));
	LLM_TRY(to_list(j, self, out));
	LLM_TRY(llm_jinja_list(j, (*out)->u.seq.n, &keys));
	for (size_t i = 0; i < (*out)->u.seq.n; i++)
	{
		LLM_TRY(make_multi_key(j, (*out)->u.seq.items[i], v[2], llm_jinja_is_true(v[1]), &key));
		LLM_TRY(llm_jinja_push(j, keys, key));
	}
	return llm_jinja_sort(j, (*out)->u.seq.items, keys->u.seq.items, (*out)->u.seq.n, reverse);
}

/* dictsort(case_sensitive=false, by='key', reverse=false) */
static LlmStatus
filter_dictsort(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmText		by = {"key", NULL, 3};
	LlmValue   *keys;
	bool		by_value;
	bool		reverse;

	(void) args;
	LLM_TRY(reverse_flag(j, v[2], &reverse));
	if (v[1])
		LLM_TRY(llm_jinja_arg_text(j, v[1], "by", &by));
	by_value = by.len == 5 && memcmp(by.bytes, "value", 5) == 0;
	if (!by_value && !(by.len == 3 && memcmp(by.bytes, "key", 3) == 0))
		return llm_jinja_fail(j, "you can only sort by either \"key\" or \"value\"");
	if (self->kind == LLM_VALUE_UNDEFINED)
		return llm_jinja_fail_undefined(j, self);
	if (self->kind != LLM_VALUE_MAP)
		return llm_jinja_fail(j, "dictsort needs a mapping, not %s", llm_jinja_type_name(self));
	LLM_TRY(llm_jinja_list(j, self->u.seq.n, out));
	LLM_TRY(llm_jinja_list(j, self->u.seq.n, &keys));
	for (size_t i = 0; i < self->u.seq.n; i++)
	{
		LlmValue   *pair;
		LlmValue   *key;

		LLM_TRY(llm_jinja_pair(j, self->u.seq.keys[i], self->u.seq.items[i], &pair));
		LLM_TRY(llm_jinja_push(j, *out, pair));
		LLM_TRY(make_key(j, pair->u.seq.items[by_value], NULL, NULL, llm_jinja_is_true(v[0]), &key));
		LLM_TRY(llm_jinja_push(j, keys, key));
	}
	return llm_jinja_sort(j, (*out)->u.seq.items, keys->u.seq.items, self->u.seq.n, reverse);
}

/* unique(case_sensitive=false, attribute) */
static LlmStatus
filter_unique(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmValue  **items;
	size_t		n;
	LlmValue   *seen;
	LlmValue   *kept;

	(void) args;
	LLM_TRY(llm_jinja_items(j, self, &items, &n));
	LLM_TRY(llm_jinja_list(j, 0, &seen));
	LLM_TRY(llm_jinja_list(j, 0, &kept));
	for (size_t i = 0; i < n; i++)
	{
		LlmValue   *key;
		bool		found;

		LLM_TRY(make_key(j, items[i], v[1], NULL, llm_jinja_is_true(v[0]), &key));
		if (!llm_jinja_hashable(key))
			return llm_jinja_fail(j, "unhashable type: '%s'", llm_jinja_type_name(key));
		LLM_TRY(llm_jinja_contains(j, seen, key, &found));
		if (found)
			continue;
		LLM_TRY(llm_jinja_push(j, seen, key));
		LLM_TRY(llm_jinja_push(j, kept, items[i]));
	}
	return llm_jinja_generator(j, kept, out);
}

static LlmStatus
extreme(Jinja *j, LlmValue *self, LlmValue **v, bool max, LlmValue **out)
{
	LlmValue  **items;
	size_t		n;
	LlmValue   *best;

	LLM_TRY(llm_jinja_items(j, self, &items, &n));
	if (n == 0)
		return llm_jinja_undefined(j, "No aggregated item, sequence was empty.", NULL, NULL, false, out);
	LLM_TRY(make_key(j, items[0], v[1], NULL, llm_jinja_is_true(v[0]), &best));
	*out = items[0];
	for (size_t i = 1; i < n; i++)
	{
		LlmValue   *key;
		bool		better;

		LLM_TRY(make_key(j, items[i], v[1], NULL, llm_jinja_is_true(v[0]), &key));
		LLM_TRY(max ? llm_jinja_less(j, best, key, &better) : llm_jinja_less(j, key, best, &better));
		if (better)
		{
			best = key;
			*out = items[i];
		}
	}
	return LLM_OK;
}

static LlmStatus
filter_min(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return extreme(j, self, v, false, out);
}

static LlmStatus
filter_max(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) args;
	return extreme(j, self, v, true, out);
}

/* sum(attribute, start=0) */
static LlmStatus
filter_sum(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmValue  **items;
	size_t		n;

	(void) args;
	LLM_TRY(llm_jinja_items(j, self, &items, &n));
	*out = v[1];
	if (!v[1])
		LLM_TRY(llm_jinja_int(j, 0, out));
	if ((*out)->kind == LLM_VALUE_STRING)
		return llm_jinja_fail(j, "sum() can't sum strings [use ''.join(seq) instead]");
	for (size_t i = 0; i < n; i++)
	{
		LlmValue   *item;

		LLM_TRY(llm_jinja_step(j, 1));
		LLM_TRY(llm_jinja_getter(j, items[i], v[0], NULL, &item));
		LLM_TRY(llm_jinja_binary(j, JINJA_T_ADD, *out, item, out));
	}
	return LLM_OK;
}

/* batch(linecount, fill_with): lists of linecount items */
static LlmStatus
filter_batch(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmValue  **items;
	size_t		n;
	int64_t		size;
	LlmValue   *rows;
	LlmValue   *row = NULL;

	(void) args;
	LLM_TRY(llm_jinja_items(j, self, &items, &n));
	LLM_TRY(llm_jinja_arg_int(j, v[0], "linecount", &size));
	LLM_TRY(llm_jinja_list(j, 0, &rows));
	for (size_t i = 0; i < n; i++)
	{
		LLM_TRY(llm_jinja_step(j, 1));
		if (!row || (int64_t) row->u.seq.n == size)
		{
			if (!row && size == 0)
			{
				/* the first row ends before it has an item */
				LLM_TRY(llm_jinja_list(j, 0, &row));
				LLM_TRY(llm_jinja_push(j, rows, row));
			}
			LLM_TRY(llm_jinja_list(j, 0, &row));
			LLM_TRY(llm_jinja_push(j, rows, row));
		}
		LLM_TRY(llm_jinja_push(j, row, items[i]));
	}
	while (row && llm_jinja_given(v[1]) && (int64_t) row->u.seq.n < size)
	{
		LLM_TRY(llm_jinja_step(j, 1));
		LLM_TRY(llm_jinja_push(j, row, v[1]));
	}
	return llm_jinja_generator(j, rows, out);
}

/* slice(slices, fill_with): that many lists of nearly equal length */
static LlmStatus
filter_slice(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmValue  **items;
	size_t		n;
	int64_t		slices;
	size_t		next = 0;
	LlmValue   *rows;

	(void) args;
	LLM_TRY(llm_jinja_items(j, self, &items, &n));
	LLM_TRY(llm_jinja_arg_int(j, v[0], "slices", &slices));
	if (slices == 0)
		return llm_jinja_fail(j, "division by zero");
	LLM_TRY(llm_jinja_list(j, 0, &rows));
	for (int64_t s = 0; s < slices; s++)
	{
		size_t		extra = (int64_t) (n % (size_t) slices) > s;
		size_t		size = n / (size_t) slices + extra;
		LlmValue   *row;

		LLM_TRY(llm_jinja_step(j, 1 + size));
		LLM_TRY(llm_jinja_list(j, size + 1, &row));
		while (size-- > 0)
			LLM_TRY(llm_jinja_push(j, row, items[next++]));
		if (llm_jinja_given(v[1]) && !extra)
			LLM_TRY(llm_jinja_push(j, row, v[1]));
		LLM_TRY(llm_jinja_push(j, rows, row));
	}
	return llm_jinja_generator(j, rows, out);
}

/* groupby(attribute, default, case_sensitive=false): sorted (grouper, list) pairs */
static LlmStatus
filter_groupby(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmValue   *items;
	LlmValue   *keys;
	LlmValue   *group = NULL;
	LlmValue   *previous = NULL;

	(void) args;
	LLM_TRY(to_list(j, self, &items));
	LLM_TRY(llm_jinja_list(j, items->u.seq.n, &keys));
	for (size_t i = 0; i < items->u.seq.n; i++)
	{
		LlmValue   *key;

		LLM_TRY(make_key(j, items->u.seq.items[i], v[0], v[1], llm_jinja_is_true(v[2]), &key));
		LLM_TRY(llm_jinja_push(j, keys, key));
	}
	LLM_TRY(llm_jinja_sort(j, items->u.seq.items, keys->u.seq.items, items->u.seq.n, false));
	LLM_TRY(llm_jinja_list(j, 0, out));
	for (size_t i = 0; i < items->u.seq.n; i++)
	{
		bool		same = false;
		LlmValue   *key;
		LlmValue   *pair;

		if (previous)
			LLM_TRY(llm_jinja_equal(j, previous, keys->u.seq.items[i], &same));
		if (!same)
		{
			/* shown as the first item of the group writes it */
			LLM_TRY(llm_jinja_getter(j, items->u.seq.items[i], v[0], v[1], &key));
			LLM_TRY(llm_jinja_list(j, 0, &group));
			LLM_TRY(llm_jinja_pair(j, key, group, &pair));
			pair->flavour = JINJA_GROUP;
			LLM_TRY(llm_jinja_push(j, *out, pair));
			previous = keys->u.seq.items[i];
		}
		LLM_TRY(llm_jinja_push(j, group, items->u.seq.items[i]));
	}
	return LLM_OK;
}

static LlmStatus
filter_items(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmValue   *list;

	if (self->kind == LLM_VALUE_UNDEFINED)
		LLM_TRY(llm_jinja_list(j, 0, &list));
	else if (self->kind == LLM_VALUE_MAP)
		LLM_TRY(llm_jinja_map_items(j, self, v, args, &list));
	else
		return llm_jinja_fail(j, "can only get item pairs from a mapping");
	return llm_jinja_generator(j, list, out);
}

static LlmStatus
filter_attr(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmText		name;

	(void) args;
	LLM_TRY(llm_jinja_arg_text(j, v[0], "attribute name", &name));
	if (self->kind == LLM_VALUE_UNDEFINED)
		return llm_jinja_fail_undefined(j, self);
	LLM_TRY(llm_jinja_attribute(j, self, v[0], out));
	return *out ? LLM_OK : llm_jinja_undefined(j, NULL, self, v[0], false, out);
}

const JinjaFunction llm_jinja_list_filters[] = {
	{"attr", filter_attr, "name", 1},
	{"batch", filter_batch, "linecount fill_with", 1},
	{"count", filter_length, "", 0},
	{"dictsort", filter_dictsort, "case_sensitive by reverse", 0},
	{"first", filter_first, "", 0},
	{"groupby", filter_groupby, "attribute default case_sensitive", 1},
	{"items", filter_items, "", 0},
	{"join", filter_join, "d attribute", 0},
	{"last", filter_last, "", 0},
	{"length", filter_length, "", 0},
	{"list", filter_list, "", 0},
	{"max", filter_max, "case_sensitive attribute", 0},
	{"min", filter_min, "case_sensitive attribute", 0},
	{"reverse", filter_reverse, "", 0},
	{"slice", filter_slice, "slices fill_with", 1},
	{"sort", filter_sort, "reverse case_sensitive attribute", 0},
	{"sum", filter_sum, "attribute start", 0},
	{"unique", filter_unique, "case_sensitive attribute", 0},
	{NULL, NULL, NULL, 0}
};
