/*
 * jinja_expr.c: evaluating expressions, and calling what can be called.
 */
#include "text/jinja/jinja.h"

#include <stdio.h>
#include <string.h>

#define MAX_PARAMS 8

static LlmStatus
collect(Jinja *j, JinjaScope *scope, const JinjaList *nodes, LlmValue **list)
{
	LLM_TRY(llm_jinja_list(j, nodes->n, list));
	for (size_t i = 0; i < nodes->n; i++)
	{
		LlmValue   *item;

		LLM_TRY(llm_jinja_eval(j, scope, nodes->items[i], &item));
		LLM_TRY(llm_jinja_push(j, *list, item));
	}
	return LLM_OK;
}

static LlmStatus
eval_dict(Jinja *j, JinjaScope *scope, const JinjaNode *node, LlmValue **out)
{
	LlmValue   *map;

	LLM_TRY(llm_jinja_new(j, LLM_VALUE_MAP, &map));
	for (size_t i = 0; i < node->items.n; i++)
	{
		LlmValue   *key;
		LlmValue   *value;

		LLM_TRY(llm_jinja_eval(j, scope, node->items.items[i], &key));
		LLM_TRY(llm_jinja_eval(j, scope, node->more.items[i], &value));
		LLM_TRY(llm_jinja_map_put(j, map, key, value));
	}
	*out = map;
	return LLM_OK;
}

static LlmStatus
eval_compare(Jinja *j, JinjaScope *scope, const JinjaNode *node, LlmValue **out)
{
	LlmValue   *left;
	LlmValue   *right;
	bool		result = true;

	LLM_TRY(llm_jinja_eval(j, scope, node->a, &left));
	for (size_t i = 0; result && i < node->items.n; i++)
	{
		LLM_TRY(llm_jinja_eval(j, scope, node->items.items[i], &right));
		j->line = node->line;
		LLM_TRY(llm_jinja_compare(j, (JinjaCompareOp) node->ops[i], left, right, &result));
		left = right;
	}
	*out = llm_jinja_bool(result);
	return LLM_OK;
}

static LlmStatus
eval_concat(Jinja *j, JinjaScope *scope, const JinjaNode *node, LlmValue **out)
{
	LlmValue   *parts;
	size_t		mark;

	LLM_TRY(collect(j, scope, &node->items, &parts));
	mark = j->out.len;
	for (size_t i = 0; i < parts->u.seq.n; i++)
		LLM_TRY(llm_jinja_put_str(j, parts->u.seq.items[i]));
	return llm_jinja_cut(j, mark, out);
}

static LlmStatus
eval_optional(Jinja *j, JinjaScope *scope, const JinjaNode *node, LlmValue **out)
{
	*out = NULL;
	return node ? llm_jinja_eval(j, scope, node, out) : LLM_OK;
}

static LlmStatus
eval_getitem(Jinja *j, JinjaScope *scope, const JinjaNode *node, LlmValue **out)
{
	LlmValue   *object;
	LlmValue   *key;

	LLM_TRY(llm_jinja_eval(j, scope, node->a, &object));
	if (node->b->kind == JINJA_SLICE)
	{
		LlmValue   *start;
		LlmValue   *stop;
		LlmValue   *step;

		LLM_TRY(eval_optional(j, scope, node->b->a, &start));
		LLM_TRY(eval_optional(j, scope, node->b->b, &stop));
		LLM_TRY(eval_optional(j, scope, node->b->c, &step));
		j->line = node->line;
		return llm_jinja_slice(j, object, start, stop, step, out);
	}
	LLM_TRY(llm_jinja_eval(j, scope, node->b, &key));
	j->line = node->line;
	return llm_jinja_getitem(j, object, key, out);
}

static LlmStatus
add_keywords(Jinja *j, JinjaArgs *args, LlmValue *names, LlmValue *values, LlmValue *name, LlmValue *value)
{
	if (name->kind != LLM_VALUE_STRING)
		return llm_jinja_fail(j, "keywords must be strings");
	for (size_t i = 0; i < names->u.seq.n; i++)
	{
		bool		same;

		LLM_TRY(llm_jinja_equal(j, names->u.seq.items[i], name, &same));
		if (same)
			return llm_jinja_fail(j, "got multiple values for keyword argument '%.*s'",
								  (int) (name->u.text.len < 60 ? name->u.text.len : 60), name->u.text.bytes);
	}
	LLM_TRY(llm_jinja_push(j, names, name));
	LLM_TRY(llm_jinja_push(j, values, value));
	args->keyword_names = names->u.seq.items;
	args->keyword_values = values->u.seq.items;
	args->n_keywords = names->u.seq.n;
	return LLM_OK;
}

/* evaluate arguments; caller, if any, is passed as keyword "caller" */
LlmStatus
llm_jinja_eval_args(Jinja *j, JinjaScope *scope, const JinjaArgList *list, LlmValue *caller, JinjaArgs *out)
{
	LlmValue   *positional;
	LlmValue   *names;
	LlmValue   *values;
	LlmValue   *value;
	LlmValue  **items;
	size_t		n;

	memset(out, 0, sizeof(*out));
	if (!list && !caller)
		return LLM_OK;
	if (list && list->positional.n == 1 && !list->star && !list->star_star && list->keywords.n == 0 && !caller)
	{
		/* the most common call */
		LLM_TRY(collect(j, scope, &list->positional, &positional));
		out->positional = positional->u.seq.items;
		out->n_positional = 1;
		return LLM_OK;
	}
	LLM_TRY(llm_jinja_list(j, 0, &positional));
	LLM_TRY(llm_jinja_list(j, 0, &names));
	LLM_TRY(llm_jinja_list(j, 0, &values));
	if (list)
		LLM_TRY(collect(j, scope, &list->positional, &positional));
	if (list && list->star)
	{
		LLM_TRY(llm_jinja_eval(j, scope, list->star, &value));
		LLM_TRY(llm_jinja_items(j, value, &items, &n));
		for (size_t i = 0; i < n; i++)
			LLM_TRY(llm_jinja_push(j, positional, items[i]));
	}
	out->positional = positional->u.seq.items;
	out->n_positional = positional->u.seq.n;
	for (size_t i = 0; list && i < list->keywords.n; i++)
	{
		LLM_TRY(llm_jinja_eval(j, scope, list->keywords.items[i], &value));
		LLM_TRY(add_keywords(j, out, names, values, list->keyword_names[i], value));
	}
	if (caller)
	{
		LLM_TRY(llm_jinja_cstring(j, "caller", &value));
		LLM_TRY(add_keywords(j, out, names, values, value, caller));
	}
	if (list && list->star_star)
	{
		LLM_TRY(llm_jinja_eval(j, scope, list->star_star, &value));
		if (value->kind != LLM_VALUE_MAP)
			return llm_jinja_fail(j, "argument after ** must be a mapping, not %s", llm_jinja_type_name(value));
		for (size_t i = 0; i < value->u.seq.n; i++)
			LLM_TRY(add_keywords(j, out, names, values, value->u.seq.keys[i], value->u.seq.items[i]));
	}
	return LLM_OK;
}

/* index of the keyword among the parameters of f, or -1 */
static int
find_param(const JinjaFunction *f, const LlmText *name)
{
	const char *p = f->params;

	if (*p == '/')
		return -1;
	for (int i = 0; *p; i++)
	{
		size_t		len = strcspn(p, " ");

		if (len == name->len && memcmp(p, name->bytes, len) == 0)
			return i;
		p += len;
		p += strspn(p, " ");
	}
	return -1;
}

static int
count_params(const JinjaFunction *f)
{
	const char *p = f->params;
	int			n = 0;

	p += *p == '/';
	while (*p)
	{
		n++;
		p += strcspn(p, " ");
		p += strspn(p, " ");
	}
	return n;
}

/* bind arguments to the parameters of a filter, test, method or function and run it */
LlmStatus
llm_jinja_apply(Jinja *j, const JinjaFunction *f, const char *what, LlmValue *self, const JinjaArgs *args, LlmValue **out)
{
	LlmValue   *slots[MAX_PARAMS] = {NULL};
	int			n_params;

	LLM_TRY(llm_jinja_step(j, 1));
	if (!f->params)
		return f->fn(j, self, slots, args, out);
	n_params = count_params(f);
	if (args->n_positional > (size_t) n_params)
		return llm_jinja_fail(j, "%s '%s' takes at most %d arguments, %zu given", what, f->name, n_params, args->n_positional);
	for (size_t i = 0; i < args->n_positional; i++)
		slots[i] = args->positional[i];
	for (size_t i = 0; i < args->n_keywords; i++)
	{
		const LlmText *name = &args->keyword_names[i]->u.text;
		int			at = find_param(f, name);

		if (at < 0 || slots[at])
			return llm_jinja_fail(j, "%s '%s' got %s argument '%.*s'", what, f->name, at < 0 ? "an unexpected" : "two values for the",
								  (int) (name->len < 60 ? name->len : 60), name->bytes);
		slots[at] = args->keyword_values[i];
	}
	for (int i = 0; i < f->n_required; i++)
		if (!slots[i])
			return llm_jinja_fail(j, "%s '%s' needs %d argument%s", what, f->name, f->n_required, f->n_required == 1 ? "" : "s");
	return f->fn(j, self, slots, args, out);
}

LlmStatus
llm_jinja_apply_test(Jinja *j, const JinjaFunction *f, LlmValue *self, const JinjaArgs *args, bool *out)
{
	LlmValue   *result;

	LLM_TRY(llm_jinja_apply(j, f, "test", self, args, &result));
	*out = llm_jinja_truth(result);
	return LLM_OK;
}

LlmStatus
llm_jinja_call(Jinja *j, LlmValue *callee, const JinjaArgs *args, LlmValue **out)
{
	if (callee->kind == LLM_VALUE_UNDEFINED)
		return llm_jinja_fail_undefined(j, callee);
	if (callee->kind != LLM_VALUE_FUNCTION)
		return llm_jinja_fail(j, "'%s' object is not callable", llm_jinja_type_name(callee));
	return llm_jinja_call_object(j, llm_jinja_obj(callee), args, out);
}

static LlmStatus
no_such_function(Jinja *j, const JinjaNode *node, const char *what)
{
	const LlmText *name = &node->value->u.text;

	return llm_fail(j->err, LLM_E_UNSUPPORTED, "chat template uses the %s \"%.*s\" on line %u, which is not known", what,
					(int) (name->len < 60 ? name->len : 60), name->bytes, node->line);
}

static LlmStatus
eval_filter(Jinja *j, JinjaScope *scope, const JinjaNode *node, LlmValue **out)
{
	LlmValue   *input = j->block_input;
	JinjaArgs	args;

	if (node->a)
		LLM_TRY(llm_jinja_eval(j, scope, node->a, &input));
	LLM_TRY(llm_jinja_eval_args(j, scope, node->args, NULL, &args));
	j->line = node->line;
	if (!node->function)
		return no_such_function(j, node, "filter");
	return llm_jinja_apply(j, node->function, "filter", input, &args, out);
}

static LlmStatus
eval_test(Jinja *j, JinjaScope *scope, const JinjaNode *node, LlmValue **out)
{
	LlmValue   *subject;
	JinjaArgs	args;
	bool		result;

	LLM_TRY(llm_jinja_eval(j, scope, node->a, &subject));
	LLM_TRY(llm_jinja_eval_args(j, scope, node->args, NULL, &args));
	j->line = node->line;
	if (!node->function)
		return no_such_function(j, node, "test");
	LLM_TRY(llm_jinja_apply_test(j, node->function, subject, &args, &result));
	*out = llm_jinja_bool(result != (node->op != 0));
	return LLM_OK;
}

static LlmStatus
eval_call(Jinja *j, JinjaScope *scope, const JinjaNode *node, LlmValue **out)
{
	LlmValue   *callee;
	JinjaArgs	args;

	LLM_TRY(llm_jinja_eval(j, scope, node->a, &callee));
	LLM_TRY(llm_jinja_eval_args(j, scope, node->args, NULL, &args));
	j->line = node->line;
	return llm_jinja_call(j, callee, &args, out);
}

static LlmStatus
eval_condition(Jinja *j, JinjaScope *scope, const JinjaNode *node, LlmValue **out)
{
	LlmValue   *test;

	LLM_TRY(llm_jinja_eval(j, scope, node->a, &test));
	if (llm_jinja_truth(test))
		return llm_jinja_eval(j, scope, node->b, out);
	if (node->c)
		return llm_jinja_eval(j, scope, node->c, out);
	return llm_jinja_undefined(j, "the inline if-expression evaluated to false and no else section was defined", NULL, NULL, false, out);
}

/* two operands; and, or give one of them, the rest of a kind of node computes */
static LlmStatus
eval_two(Jinja *j, JinjaScope *scope, const JinjaNode *node, LlmValue **out)
{
	LlmValue   *left;
	LlmValue   *right;

	LLM_TRY(llm_jinja_eval(j, scope, node->a, &left));
	if (node->kind != JINJA_BINARY)
	{
		*out = left;
		if (llm_jinja_truth(left) == (node->kind == JINJA_OR))
			return LLM_OK;
		return llm_jinja_eval(j, scope, node->b, out);
	}
	LLM_TRY(llm_jinja_eval(j, scope, node->b, &right));
	j->line = node->line;
	return llm_jinja_binary(j, node->op, left, right, out);
}

static LlmStatus
eval_one(Jinja *j, JinjaScope *scope, const JinjaNode *node, LlmValue **out)
{
	LlmValue   *operand;

	LLM_TRY(llm_jinja_eval(j, scope, node->a, &operand));
	j->line = node->line;
	if (node->kind == JINJA_GETATTR)
		return llm_jinja_getattr(j, operand, node->value, out);
	if (node->kind != JINJA_NOT)
		return llm_jinja_negate(j, operand, node->kind == JINJA_NEG, out);
	*out = llm_jinja_bool(!llm_jinja_truth(operand));
	return LLM_OK;
}

static LlmStatus
dispatch(Jinja *j, JinjaScope *scope, const JinjaNode *node, LlmValue **out)
{
	switch (node->kind)
	{
		case JINJA_CONST:
			*out = node->value;
			return LLM_OK;
		case JINJA_NAME:
			return llm_jinja_lookup(j, scope, node->name, out);
		case JINJA_GETATTR:
		case JINJA_NOT:
		case JINJA_NEG:
		case JINJA_POS:
			return eval_one(j, scope, node, out);
		case JINJA_AND:
		case JINJA_OR:
		case JINJA_BINARY:
			return eval_two(j, scope, node, out);
		case JINJA_GETITEM:
			return eval_getitem(j, scope, node, out);
		case JINJA_COMPARE:
			return eval_compare(j, scope, node, out);
		case JINJA_FILTER:
			return eval_filter(j, scope, node, out);
		case JINJA_TEST:
			return eval_test(j, scope, node, out);
		case JINJA_CALL:
			return eval_call(j, scope, node, out);
		case JINJA_CONCAT:
			return eval_concat(j, scope, node, out);
		case JINJA_COND:
			return eval_condition(j, scope, node, out);
		case JINJA_LIST_EXPR:
			return collect(j, scope, &node->items, out);
		case JINJA_TUPLE_EXPR:
			LLM_TRY(collect(j, scope, &node->items, out));
			(*out)->flavour = JINJA_TUPLE;
			return LLM_OK;
		case JINJA_DICT_EXPR:
			return eval_dict(j, scope, node, out);
		default:
			return llm_jinja_fail(j, "a slice can only be the whole subscript");
	}
}

LlmStatus
llm_jinja_eval(Jinja *j, JinjaScope *scope, const JinjaNode *node, LlmValue **out)
{
	LlmStatus	status;

	LLM_TRY(llm_jinja_step(j, 1));
	j->line = node->line;
	if (++j->depth > LLM_JINJA_MAX_DEPTH)
		return llm_jinja_limit(j, "more than %d evaluations within each other", LLM_JINJA_MAX_DEPTH);
	status = dispatch(j, scope, node, out);
	j->depth--;
	return status;
}
