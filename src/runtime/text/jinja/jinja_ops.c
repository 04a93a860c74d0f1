/*
 * jinja_ops.c: truth, equality, order, membership, iteration and sorting with the semantics of Python.
 *
 * Values may be nested as deep as a template makes them, so whatever descends counts its depth.
 */
#include "text/jinja/jinja.h"

#include <math.h>
#include <string.h>

static LlmStatus
descend(Jinja *j)
{
	if (j->value_depth >= LLM_JINJA_MAX_VALUE_DEPTH)
		return llm_jinja_limit(j, "a value nested deeper than %d levels", LLM_JINJA_MAX_VALUE_DEPTH);
	j->value_depth++;
	return LLM_OK;
}

int64_t
llm_jinja_range_length(const JinjaObject *r)
{
	if (r->step > 0)
		return r->start < r->stop ? (int64_t) (((uint64_t) r->stop - (uint64_t) r->start - 1) / (uint64_t) r->step + 1) : 0;
	return r->start > r->stop ? (int64_t) (((uint64_t) r->start - (uint64_t) r->stop - 1) / (0 - (uint64_t) r->step) + 1) : 0;
}

bool
llm_jinja_truth(const LlmValue *v)
{
	switch (v->kind)
	{
		case LLM_VALUE_UNDEFINED:
		case LLM_VALUE_NULL:
			return false;
		case LLM_VALUE_BOOL:
			return v->u.boolean;
		case LLM_VALUE_INT:
			return v->u.integer != 0;
		case LLM_VALUE_FLOAT:
			return v->u.number != 0;
		case LLM_VALUE_STRING:
			return v->u.text.len != 0;
		case LLM_VALUE_LIST:
		case LLM_VALUE_MAP:
			return v->u.seq.n != 0;
		case LLM_VALUE_FUNCTION:
			return !llm_jinja_is_obj(v, JINJA_OBJ_RANGE) || llm_jinja_range_length(llm_jinja_obj(v)) > 0;
	}
	return true;
}

static bool
is_number(const LlmValue *v)
{
	return v->kind == LLM_VALUE_INT || v->kind == LLM_VALUE_FLOAT || v->kind == LLM_VALUE_BOOL;
}

/* exact for all integers and doubles */
static long double
exact_number(const LlmValue *v)
{
	if (v->kind == LLM_VALUE_FLOAT)
		return v->u.number;
	return v->kind == LLM_VALUE_BOOL ? (long double) v->u.boolean : (long double) v->u.integer;
}

static LlmStatus
equal_lists(Jinja *j, const LlmValue *a, const LlmValue *b, bool *out)
{
	bool		same_type = (a->flavour == JINJA_TUPLE || a->flavour == JINJA_GROUP) ?
		(b->flavour == JINJA_TUPLE || b->flavour == JINJA_GROUP) : a->flavour == b->flavour;

	*out = same_type && a->u.seq.n == b->u.seq.n;
	for (size_t i = 0; *out && i < a->u.seq.n; i++)
		LLM_TRY(llm_jinja_equal(j, a->u.seq.items[i], b->u.seq.items[i], out));
	return LLM_OK;
}

static LlmStatus
equal_maps(Jinja *j, const LlmValue *a, const LlmValue *b, bool *out)
{
	*out = a->u.seq.n == b->u.seq.n;
	for (size_t i = 0; *out && i < a->u.seq.n; i++)
	{
		LlmValue   *other;

		LLM_TRY(llm_jinja_map_find(j, b, a->u.seq.keys[i], &other));
		if (other)
			LLM_TRY(llm_jinja_equal(j, a->u.seq.items[i], other, out));
		else
			*out = false;
	}
	return LLM_OK;
}

static bool
equal_objects(const LlmValue *a, const LlmValue *b)
{
	const JinjaObject *r1 = llm_jinja_obj(a);
	const JinjaObject *r2 = llm_jinja_obj(b);
	int64_t		n;

	if (r1->kind == JINJA_OBJ_FUNCTION && r2->kind == JINJA_OBJ_FUNCTION)
		return r1->function == r2->function && r1->self == r2->self;
	if (r1->kind != JINJA_OBJ_RANGE || r2->kind != JINJA_OBJ_RANGE)
		return r1 == r2;
	n = llm_jinja_range_length(r1);
	return n == llm_jinja_range_length(r2) && (n == 0 || (r1->start == r2->start && (n == 1 || r1->step == r2->step)));
}

LlmStatus
llm_jinja_equal(Jinja *j, const LlmValue *a, const LlmValue *b, bool *out)
{
	LlmStatus	status;

	if (a == b && a->kind != LLM_VALUE_FLOAT)
	{
		*out = true;
		return LLM_OK;
	}
	if (is_number(a) && is_number(b))
	{
		*out = exact_number(a) == exact_number(b);
		return LLM_OK;
	}
	*out = false;
	if (a->kind != b->kind)
		return LLM_OK;
	switch (a->kind)
	{
		case LLM_VALUE_STRING:
			if (a->u.text.len != b->u.text.len)
				return LLM_OK;
			*out = a->u.text.len == 0 || memcmp(a->u.text.bytes, b->u.text.bytes, a->u.text.len) == 0;
			return llm_jinja_step(j, a->u.text.len / 256);
		case LLM_VALUE_LIST:
		case LLM_VALUE_MAP:
			LLM_TRY(llm_jinja_step(j, 1 + a->u.seq.n));
			LLM_TRY(descend(j));
			status = a->kind == LLM_VALUE_LIST ? equal_lists(j, a, b, out) : equal_maps(j, a, b, out);
			j->value_depth--;
			return status;
		case LLM_VALUE_FUNCTION:
			*out = equal_objects(a, b);
			return LLM_OK;
		default:
			*out = true;		/* None, and undefined values among themselves */
			return LLM_OK;
	}
}

/* strings are ordered by code points, which UTF-8 keeps in the order of bytes */
static bool
less_text(LlmText a, LlmText b)
{
	size_t		n = a.len < b.len ? a.len : b.len;
	int			c = n ? memcmp(a.bytes, b.bytes, n) : 0;

	return c < 0 || (c == 0 && a.len < b.len);
}

static LlmStatus
less_lists(Jinja *j, const LlmValue *a, const LlmValue *b, bool *out)
{
	for (size_t i = 0; i < a->u.seq.n && i < b->u.seq.n; i++)
	{
		bool		same;

		LLM_TRY(llm_jinja_equal(j, a->u.seq.items[i], b->u.seq.items[i], &same));
		if (!same)
			return llm_jinja_less(j, a->u.seq.items[i], b->u.seq.items[i], out);
	}
	*out = a->u.seq.n < b->u.seq.n;
	return LLM_OK;
}

LlmStatus
llm_jinja_less(Jinja *j, const LlmValue *a, const LlmValue *b, bool *out)
{
	LlmStatus	status;

	if (a->kind == LLM_VALUE_UNDEFINED)
		return llm_jinja_fail_undefined(j, a);
	if (b->kind == LLM_VALUE_UNDEFINED)
		return llm_jinja_fail_undefined(j, b);
	if (is_number(a) && is_number(b))
	{
		*out = exact_number(a) < exact_number(b);
		return LLM_OK;
	}
	if (a->kind == LLM_VALUE_STRING && b->kind == LLM_VALUE_STRING)
	{
		*out = less_text(a->u.text, b->u.text);
		return llm_jinja_step(j, (a->u.text.len < b->u.text.len ? a->u.text.len : b->u.text.len) / 256);
	}
	if (a->kind == LLM_VALUE_LIST && b->kind == LLM_VALUE_LIST && a->flavour <= JINJA_GROUP && b->flavour <= JINJA_GROUP &&
		(a->flavour == JINJA_PLAIN) == (b->flavour == JINJA_PLAIN))
	{
		LLM_TRY(llm_jinja_step(j, 1));
		LLM_TRY(descend(j));
		status = less_lists(j, a, b, out);
		j->value_depth--;
		return status;
	}
	return llm_jinja_fail(j, "'%s' and '%s' cannot be ordered", llm_jinja_type_name(a), llm_jinja_type_name(b));
}

static bool
is_nan(const LlmValue *v)
{
	return v->kind == LLM_VALUE_FLOAT && isnan(v->u.number);
}

LlmStatus
llm_jinja_compare(Jinja *j, JinjaCompareOp op, const LlmValue *a, const LlmValue *b, bool *out)
{
	bool		less;
	bool		same = false;

	switch (op)
	{
		case JINJA_OP_EQ:
			return llm_jinja_equal(j, a, b, out);
		case JINJA_OP_NE:
			LLM_TRY(llm_jinja_equal(j, a, b, &same));
			*out = !same;
			return LLM_OK;
		case JINJA_OP_LT:
			return llm_jinja_less(j, a, b, out);
		case JINJA_OP_GT:
			return llm_jinja_less(j, b, a, out);
		case JINJA_OP_LE:
		case JINJA_OP_GE:
			LLM_TRY(op == JINJA_OP_LE ? llm_jinja_less(j, b, a, &less) : llm_jinja_less(j, a, b, &less));
			*out = !less && !is_nan(a) && !is_nan(b);
			return LLM_OK;
		default:
			LLM_TRY(llm_jinja_contains(j, b, a, out));
			if (op == JINJA_OP_NOT_IN)
				*out = !*out;
			return LLM_OK;
	}
}

static LlmStatus
contains_item(Jinja *j, LlmValue *const *items, size_t n, const LlmValue *item, bool *out)
{
	*out = false;
	for (size_t i = 0; !*out && i < n; i++)
	{
		LLM_TRY(llm_jinja_step(j, 1));
		if (items[i] == item)
			*out = true;
		else
			LLM_TRY(llm_jinja_equal(j, items[i], item, out));
	}
	return LLM_OK;
}

LlmStatus
llm_jinja_contains(Jinja *j, const LlmValue *container, const LlmValue *item, bool *out)
{
	LlmValue   *found;
	LlmValue  **items;
	size_t		n;

	switch (container->kind)
	{
		case LLM_VALUE_UNDEFINED:
			*out = false;
			return LLM_OK;
		case LLM_VALUE_STRING:
			if (item->kind == LLM_VALUE_UNDEFINED || item->kind != LLM_VALUE_STRING)
				return llm_jinja_fail(j, "'in <string>' requires string as left operand, not %s", llm_jinja_type_name(item));
			LLM_TRY(llm_jinja_step(j, container->u.text.len / 64));
			*out = llm_jinja_find(container->u.text, item->u.text, 0) != SIZE_MAX;
			return LLM_OK;
		case LLM_VALUE_LIST:
			return contains_item(j, container->u.seq.items, container->u.seq.n, item, out);
		case LLM_VALUE_MAP:
			LLM_TRY(llm_jinja_map_find(j, container, item, &found));
			*out = found != NULL;
			return LLM_OK;
		default:
			if (llm_jinja_is_obj(container, JINJA_OBJ_RANGE) || llm_jinja_is_obj(container, JINJA_OBJ_GENERATOR))
			{
				LLM_TRY(llm_jinja_items(j, (LlmValue *) container, &items, &n));
				return contains_item(j, items, n, item, out);
			}
			return llm_jinja_fail(j, "argument of type '%s' is not iterable", llm_jinja_type_name(container));
	}
}

bool
llm_jinja_iterable(const LlmValue *v)
{
	return v->kind == LLM_VALUE_UNDEFINED || v->kind == LLM_VALUE_STRING || v->kind == LLM_VALUE_LIST || v->kind == LLM_VALUE_MAP ||
		llm_jinja_is_obj(v, JINJA_OBJ_RANGE) || llm_jinja_is_obj(v, JINJA_OBJ_GENERATOR) || llm_jinja_is_obj(v, JINJA_OBJ_LOOP);
}

static LlmStatus
string_items(Jinja *j, LlmText text, LlmValue ***items, size_t *n)
{
	void	   *ptr;
	size_t		pos = 0;

	*n = llm_jinja_count(text);
	LLM_TRY(llm_jinja_step(j, *n));
	LLM_TRY(llm_arena_alloc(&j->arena, *n, sizeof(LlmValue *), &ptr, j->err));
	*items = ptr;
	for (size_t i = 0; i < *n; i++)
	{
		uint32_t	c;
		size_t		used = llm_jinja_decode(text.bytes + pos, text.len - pos, &c);

		LLM_TRY(llm_jinja_text(j, llm_jinja_sub(text, pos, pos + used), &(*items)[i]));
		pos += used;
	}
	return LLM_OK;
}

/*
 * What a for loop over v goes through. The array may be v's own: do not change it. A generator is empty afterwards.
 */
LlmStatus
llm_jinja_items(Jinja *j, LlmValue *v, LlmValue ***items, size_t *n)
{
	JinjaObject *object;
	void	   *ptr;

	*items = NULL;
	*n = 0;
	switch (v->kind)
	{
		case LLM_VALUE_UNDEFINED:
			return LLM_OK;
		case LLM_VALUE_STRING:
			return string_items(j, v->u.text, items, n);
		case LLM_VALUE_LIST:
		case LLM_VALUE_MAP:
			*items = v->kind == LLM_VALUE_LIST ? v->u.seq.items : v->u.seq.keys;
			*n = v->u.seq.n;
			return LLM_OK;
		case LLM_VALUE_FUNCTION:
			object = llm_jinja_obj(v);
			if (object->kind == JINJA_OBJ_GENERATOR)
			{
				*items = object->self->u.seq.items;
				*n = object->self->u.seq.n;
				LLM_TRY(llm_jinja_list(j, 0, &object->self));
				return LLM_OK;
			}
			if (object->kind != JINJA_OBJ_RANGE)
				break;
			*n = (size_t) llm_jinja_range_length(object);
			LLM_TRY(llm_jinja_step(j, *n / 4));
			LLM_TRY(llm_arena_alloc(&j->arena, *n, sizeof(LlmValue *), &ptr, j->err));
			*items = ptr;
			for (size_t i = 0; i < *n; i++)
				LLM_TRY(llm_jinja_int(j, object->start + (int64_t) i * object->step, &(*items)[i]));
			return LLM_OK;
		default:
			break;
	}
	return llm_jinja_fail(j, "'%s' object is not iterable", llm_jinja_type_name(v));
}

LlmStatus
llm_jinja_length(Jinja *j, const LlmValue *v, int64_t *out)
{
	*out = 0;
	switch (v->kind)
	{
		case LLM_VALUE_UNDEFINED:
			return LLM_OK;
		case LLM_VALUE_STRING:
			LLM_TRY(llm_jinja_step(j, v->u.text.len / 64));
			*out = (int64_t) llm_jinja_count(v->u.text);
			return LLM_OK;
		case LLM_VALUE_LIST:
		case LLM_VALUE_MAP:
			*out = (int64_t) v->u.seq.n;
			return LLM_OK;
		default:
			if (llm_jinja_is_obj(v, JINJA_OBJ_RANGE))
				*out = llm_jinja_range_length(llm_jinja_obj(v));
			else if (llm_jinja_is_obj(v, JINJA_OBJ_LOOP))
				*out = (int64_t) llm_jinja_obj(v)->n_items;
			else
				return llm_jinja_fail(j, "object of type '%s' has no len()", llm_jinja_type_name(v));
			return LLM_OK;
	}
}

/*
 * Stable merge sort of items by keys (both n long, both reordered), ascending or descending; equal keys keep their order.
 */
LlmStatus
llm_jinja_sort(Jinja *j, LlmValue **items, LlmValue **keys, size_t n, bool reverse)
{
	LlmValue  **from[2] = {items, keys};
	LlmValue  **to[2];
	void	   *ptr;

	if (n < 2)
		return LLM_OK;
	LLM_TRY(llm_jinja_step(j, n));
	LLM_TRY(llm_arena_alloc(&j->arena, n, 2 * sizeof(LlmValue *), &ptr, j->err));
	to[0] = ptr;
	to[1] = to[0] + n;
	for (size_t width = 1; width < n; width *= 2)
	{
		for (size_t start = 0; start < n; start += 2 * width)
		{
			size_t		middle = start + width < n ? start + width : n;
			size_t		end = middle + width < n ? middle + width : n;
			size_t		a = start;
			size_t		b = middle;

			for (size_t i = start; i < end; i++)
			{
				bool		take_b = a == middle;

				if (a < middle && b < end)
				{
					LLM_TRY(llm_jinja_step(j, 1));
					if (reverse)
						LLM_TRY(llm_jinja_less(j, from[1][a], from[1][b], &take_b));
					else
						LLM_TRY(llm_jinja_less(j, from[1][b], from[1][a], &take_b));
				}
				to[0][i] = from[0][take_b ? b : a];
				to[1][i] = from[1][take_b ? b : a];
				*(take_b ? &b : &a) += 1;
			}
		}
		for (int k = 0; k < 2; k++)
		{
			LlmValue  **other = from[k];

			from[k] = to[k];
			to[k] = other;
		}
	}
	if (from[0] != items)
	{
		memcpy(items, from[0], n * sizeof(LlmValue *));
		memcpy(keys, from[1], n * sizeof(LlmValue *));
	}
	return LLM_OK;
}
