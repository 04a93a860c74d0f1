/*
 * jinja_render.c: running statements; scopes, loops, macros.
 *
 * A scope is a list of variables with a parent. Loops, macros, with, set blocks and filter blocks open one, conditions do
 * not; set writes to the innermost, reading goes outwards and then to what the caller gave and to the globals. Scopes live in
 * the arena, because macros remember where they were written and see later changes there.
 */
#include "text/jinja/jinja.h"

#include <string.h>

#define POLL_STEPS 4096

static LlmStatus run_list(Jinja *j, JinjaScope *scope, const JinjaList *list);

/* count work; every few thousand steps ask whether to stop */
LlmStatus
llm_jinja_step(Jinja *j, uint64_t n)
{
	j->steps += n;
	if (j->steps < j->next_poll)
		return LLM_OK;
	if (j->steps > LLM_JINJA_MAX_STEPS)
		return llm_jinja_limit(j, "more than %d steps", LLM_JINJA_MAX_STEPS);
	j->next_poll = j->steps + POLL_STEPS;
	return llm_should_stop(j->stop) ? LLM_PAUSED : LLM_OK;
}

static LlmStatus
new_scope(Jinja *j, JinjaScope *parent, JinjaScope **out)
{
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(&j->arena, 1, sizeof(JinjaScope), &ptr, j->err));
	*out = memset(ptr, 0, sizeof(JinjaScope));
	(*out)->parent = parent;
	return LLM_OK;
}

static LlmStatus
set_variable(Jinja *j, JinjaScope *scope, uint32_t name, LlmValue *value)
{
	void	   *ptr;

	LLM_TRY(llm_jinja_step(j, scope->n / 16));
	for (size_t i = 0; i < scope->n; i++)
		if (scope->vars[i].name == name)
		{
			scope->vars[i].value = value;
			return LLM_OK;
		}
	if (scope->n == scope->capacity)
	{
		size_t		capacity = scope->capacity ? scope->capacity * 2 : 4;

		LLM_TRY(llm_arena_alloc(&j->arena, capacity, sizeof(JinjaVar), &ptr, j->err));
		if (scope->n)
			memcpy(ptr, scope->vars, scope->n * sizeof(JinjaVar));
		scope->vars = ptr;
		scope->capacity = capacity;
	}
	scope->vars[scope->n].name = name;
	scope->vars[scope->n++].value = value;
	return LLM_OK;
}

/* a variable that no scope has: self, from the caller, a global function, or undefined; remembered for this rendering */
static LlmStatus
lookup_context(Jinja *j, uint32_t name, LlmValue **out)
{
	LlmValue   *key = j->t->names[name];
	const JinjaFunction *f;
	JinjaObject *object;
	LlmValue   *found = NULL;

	if (!j->context[name])
	{
		if (name == j->t->self_name)
			LLM_TRY(llm_jinja_object(j, JINJA_OBJ_SELF, &object, &found));
		else if (j->variables && j->variables->kind == LLM_VALUE_MAP)
			LLM_TRY(llm_jinja_map_find(j, j->variables, key, &found));
		f = found ? NULL : llm_jinja_find_function(llm_jinja_globals, (LlmStr) {key->u.text.bytes, key->u.text.len});
		if (f)
		{
			LLM_TRY(llm_jinja_object(j, JINJA_OBJ_FUNCTION, &object, &found));
			object->function = f;
		}
		else if (!found)
			LLM_TRY(llm_jinja_undefined(j, NULL, NULL, key, false, &found));
		j->context[name] = found;
	}
	*out = j->context[name];
	return LLM_OK;
}

LlmStatus
llm_jinja_lookup(Jinja *j, JinjaScope *scope, uint32_t name, LlmValue **out)
{
	for (; scope; scope = scope->parent)
	{
		LLM_TRY(llm_jinja_step(j, scope->n / 16));
		for (size_t i = 0; i < scope->n; i++)
			if (scope->vars[i].name == name)
			{
				*out = scope->vars[i].value;
				return LLM_OK;
			}
	}
	return lookup_context(j, name, out);
}

static LlmStatus
assign(Jinja *j, JinjaScope *scope, const JinjaNode *target, LlmValue *value)
{
	LlmValue   *object;
	LlmValue  **items;
	size_t		n;

	switch (target->kind)
	{
		case JINJA_NAME:
			return set_variable(j, scope, target->name, value);
		case JINJA_NSREF:
			LLM_TRY(llm_jinja_lookup(j, scope, target->name, &object));
			if (!llm_jinja_is_obj(object, JINJA_OBJ_NAMESPACE))
				return llm_jinja_fail(j, "cannot assign attribute on non-namespace object");
			LLM_TRY(llm_jinja_check_attribute(j, target->value));
			return llm_jinja_map_put(j, llm_jinja_obj(object)->self, target->value, value);
		default:
			LLM_TRY(llm_jinja_items(j, value, &items, &n));
			if (n != target->items.n)
				return llm_jinja_fail(j, "%s values to unpack (expected %zu, got %zu)", n < target->items.n ? "not enough" : "too many",
									  target->items.n, n);
			for (size_t i = 0; i < n; i++)
				LLM_TRY(assign(j, scope, target->items.items[i], items[i]));
			return LLM_OK;
	}
}

/* attributes can be set on namespaces only, which is checked before the value is computed */
static LlmStatus
check_namespaces(Jinja *j, JinjaScope *scope, const JinjaNode *target)
{
	LlmValue   *object;

	if (target->kind == JINJA_NSREF)
	{
		LLM_TRY(llm_jinja_lookup(j, scope, target->name, &object));
		if (!llm_jinja_is_obj(object, JINJA_OBJ_NAMESPACE))
			return llm_jinja_fail(j, "cannot assign attribute on non-namespace object");
	}
	for (size_t i = 0; target->kind == JINJA_TUPLE_EXPR && i < target->items.n; i++)
		LLM_TRY(check_namespaces(j, scope, target->items.items[i]));
	return LLM_OK;
}

/* run statements and take what they put out as a string; nothing remains if a loop control leaves them */
static LlmStatus
capture(Jinja *j, JinjaScope *scope, const JinjaList *list, LlmValue **out)
{
	size_t		mark = j->out.len;

	LLM_TRY(run_list(j, scope, list));
	return llm_jinja_cut(j, mark, out);
}

/* the items that the condition of a for loop lets through */
static LlmStatus
filter_items(Jinja *j, JinjaScope *scope, const JinjaNode *node, LlmValue ***items, size_t *n)
{
	LlmValue   *kept;
	JinjaScope *inner;

	LLM_TRY(llm_jinja_list(j, 0, &kept));
	LLM_TRY(new_scope(j, scope, &inner));
	for (size_t i = 0; i < *n; i++)
	{
		LlmValue   *test;

		inner->n = 0;
		LLM_TRY(assign(j, inner, node->a, (*items)[i]));
		LLM_TRY(llm_jinja_eval(j, inner, node->c, &test));
		if (llm_jinja_truth(test))
			LLM_TRY(llm_jinja_push(j, kept, (*items)[i]));
	}
	*items = kept->u.seq.items;
	*n = kept->u.seq.n;
	return LLM_OK;
}

static LlmStatus
run_loop(Jinja *j, JinjaScope *scope, const JinjaNode *node, LlmValue *iterable, int64_t depth)
{
	LlmValue  **items;
	size_t		n;
	LlmValue   *loop_value;
	JinjaObject *loop;
	JinjaScope *inner;
	uint32_t	line = j->line;
	bool		broken = false;
	bool		finished_one = false;

	LLM_TRY(llm_jinja_items(j, iterable, &items, &n));
	if (node->c)
		LLM_TRY(filter_items(j, scope, node, &items, &n));
	LLM_TRY(llm_jinja_object(j, JINJA_OBJ_LOOP, &loop, &loop_value));
	loop->node = node;
	loop->scope = scope;
	loop->items = items;
	loop->n_items = n;
	loop->depth = depth;
	LLM_TRY(new_scope(j, scope, &inner));
	for (size_t i = 0; i < n && !broken; i++)
	{
		LLM_TRY(llm_jinja_step(j, 1));
		j->line = line;
		inner->n = 0;
		loop->index = (int64_t) i;
		LLM_TRY(set_variable(j, inner, j->t->loop_name, loop_value));
		LLM_TRY(assign(j, inner, node->a, items[i]));
		LLM_TRY(run_list(j, inner, &node->items));
		broken = j->signal == JINJA_BREAKING;
		finished_one = finished_one || j->signal == JINJA_NORMAL;
		j->signal = JINJA_NORMAL;
	}
	/* as in jinja2, else also runs where break or continue left every turn of the loop */
	if (!finished_one && node->more.n)
	{
		LLM_TRY(new_scope(j, scope, &inner));
		return run_list(j, inner, &node->more);
	}
	return LLM_OK;
}

/* loop(iterable) in a recursive loop: the text of the same loop over other items */
LlmStatus
llm_jinja_call_loop(Jinja *j, const JinjaObject *loop, LlmValue *iterable, LlmValue **out)
{
	size_t		mark = j->out.len;

	if (!loop->node->op)
		return llm_jinja_fail(j, "the loop must have the 'recursive' marker to be called recursively");
	if (j->macro_depth >= LLM_JINJA_MAX_MACROS)
		return llm_jinja_limit(j, "more than %d macro calls within each other", LLM_JINJA_MAX_MACROS);
	j->macro_depth++;
	LLM_TRY(run_loop(j, loop->scope, loop->node, iterable, loop->depth + 1));
	j->macro_depth--;
	return llm_jinja_cut(j, mark, out);
}

static LlmStatus
new_macro(Jinja *j, JinjaScope *scope, const JinjaNode *node, LlmValue **out)
{
	JinjaObject *macro;

	LLM_TRY(llm_jinja_object(j, JINJA_OBJ_MACRO, &macro, out));
	macro->node = node;
	macro->scope = scope;
	return LLM_OK;
}

/* take the keyword of that name out of the list of those not used yet (NULL in used); NULL if absent */
static LlmValue *
take_keyword(Jinja *j, const JinjaArgs *args, bool *used, const LlmValue *name)
{
	for (size_t i = 0; i < args->n_keywords; i++)
	{
		bool		same = false;

		if (!used[i] && llm_jinja_equal(j, args->keyword_names[i], name, &same) == LLM_OK && same)
		{
			used[i] = true;
			return args->keyword_values[i];
		}
	}
	return NULL;
}

/* the variables caller, kwargs and varargs, as far as the macro reads them */
static LlmStatus
bind_special(Jinja *j, const JinjaNode *node, JinjaScope *scope, const JinjaArgs *args, bool *used)
{
	LlmValue   *value;

	if (node->op & JINJA_USES_CALLER)
	{
		LlmValue   *name = j->t->names[j->t->caller_name];

		value = take_keyword(j, args, used, name);
		if (!value)
			LLM_TRY(llm_jinja_undefined(j, "No caller defined", NULL, name, false, &value));
		LLM_TRY(set_variable(j, scope, j->t->caller_name, value));
	}
	if (node->op & JINJA_USES_KWARGS)
	{
		LLM_TRY(llm_jinja_new(j, LLM_VALUE_MAP, &value));
		for (size_t i = 0; i < args->n_keywords; i++)
			if (!used[i])
				LLM_TRY(llm_jinja_map_put(j, value, args->keyword_names[i], args->keyword_values[i]));
		LLM_TRY(set_variable(j, scope, j->t->kwargs_name, value));
	}
	else
		for (size_t i = 0; i < args->n_keywords; i++)
			if (!used[i])
				return llm_jinja_fail(j, "macro takes no keyword argument '%.*s'",
									  (int) (args->keyword_names[i]->u.text.len < 60 ? args->keyword_names[i]->u.text.len : 60),
									  args->keyword_names[i]->u.text.bytes);
	if (node->op & JINJA_USES_VARARGS)
	{
		LLM_TRY(llm_jinja_list(j, 0, &value));
		value->flavour = JINJA_TUPLE;
		for (size_t i = node->items.n; i < args->n_positional; i++)
			LLM_TRY(llm_jinja_push(j, value, args->positional[i]));
		LLM_TRY(set_variable(j, scope, j->t->varargs_name, value));
	}
	else if (args->n_positional > node->items.n)
		return llm_jinja_fail(j, "macro takes not more than %zu argument(s)", node->items.n);
	return LLM_OK;
}

LlmStatus
llm_jinja_call_macro(Jinja *j, const JinjaObject *macro, const JinjaArgs *args, LlmValue **out)
{
	const JinjaNode *node = macro->node;
	JinjaScope *scope;
	JinjaSignal signal = j->signal;
	void	   *ptr;
	bool	   *used;
	LlmValue  **given;

	if (j->macro_depth >= LLM_JINJA_MAX_MACROS)
		return llm_jinja_limit(j, "more than %d macro calls within each other", LLM_JINJA_MAX_MACROS);
	LLM_TRY(llm_arena_alloc(&j->arena, args->n_keywords, sizeof(bool), &ptr, j->err));
	used = memset(ptr, 0, args->n_keywords * sizeof(bool));
	LLM_TRY(llm_arena_alloc(&j->arena, node->items.n, sizeof(LlmValue *), &ptr, j->err));
	given = ptr;
	LLM_TRY(new_scope(j, macro->scope, &scope));
	for (size_t i = 0; i < node->items.n; i++)
		given[i] = i < args->n_positional ? args->positional[i] : take_keyword(j, args, used, j->t->names[node->items.items[i]->name]);
	LLM_TRY(bind_special(j, node, scope, args, used));
	for (size_t i = 0; i < node->items.n; i++)
		if (given[i])
			LLM_TRY(set_variable(j, scope, node->items.items[i]->name, given[i]));
	j->macro_depth++;
	for (size_t i = 0; i < node->items.n; i++)
	{
		LlmValue   *value;

		if (given[i])
			continue;
		if (node->more.items[i])
			LLM_TRY(llm_jinja_eval(j, scope, node->more.items[i], &value));
		else
			LLM_TRY(llm_jinja_undefined(j, "a parameter of a macro was not provided", NULL, j->t->names[node->items.items[i]->name],
										false, &value));
		LLM_TRY(set_variable(j, scope, node->items.items[i]->name, value));
	}
	LLM_TRY(capture(j, scope, &node->a->items, out));
	j->macro_depth--;
	j->signal = signal;
	return LLM_OK;
}

/* self.NAME(): the text of a block, which sees the variables of the template as a whole */
LlmStatus
llm_jinja_call_block(Jinja *j, const JinjaObject *block, LlmValue **out)
{
	JinjaScope *scope;

	if (j->macro_depth >= LLM_JINJA_MAX_MACROS)
		return llm_jinja_limit(j, "more than %d macro calls within each other", LLM_JINJA_MAX_MACROS);
	LLM_TRY(new_scope(j, j->root, &scope));
	j->macro_depth++;
	LLM_TRY(capture(j, scope, &block->node->items, out));
	j->macro_depth--;
	return LLM_OK;
}

/* apply the filters of a block to what its body put out */
static LlmStatus
filter_block(Jinja *j, JinjaScope *scope, const JinjaNode *node, LlmValue **out)
{
	LlmValue   *outer = j->block_input;
	LlmValue   *text;
	JinjaScope *inner;

	LLM_TRY(new_scope(j, scope, &inner));
	LLM_TRY(capture(j, inner, &node->items, &text));
	*out = text;
	if (!node->b || j->signal != JINJA_NORMAL)
		return LLM_OK;
	j->block_input = text;
	LLM_TRY(llm_jinja_eval(j, inner, node->b, out));
	j->block_input = outer;
	return LLM_OK;
}

static LlmStatus
run_if(Jinja *j, JinjaScope *scope, const JinjaNode *node)
{
	for (size_t i = 0; i < node->items.n; i++)
	{
		LlmValue   *test;

		LLM_TRY(llm_jinja_eval(j, scope, node->items.items[i], &test));
		if (llm_jinja_truth(test))
			return run_list(j, scope, &node->more.items[i]->items);
	}
	return node->c ? run_list(j, scope, &node->c->items) : LLM_OK;
}

static LlmStatus
run_with(Jinja *j, JinjaScope *scope, const JinjaNode *node)
{
	JinjaScope *inner;

	LLM_TRY(new_scope(j, scope, &inner));
	for (size_t i = 0; i < node->items.n; i++)
	{
		LlmValue   *value;

		LLM_TRY(llm_jinja_eval(j, scope, node->more.items[i], &value));
		LLM_TRY(assign(j, inner, node->items.items[i], value));
	}
	return run_list(j, inner, &node->a->items);
}

static LlmStatus
run_set(Jinja *j, JinjaScope *scope, const JinjaNode *node)
{
	LlmValue   *value;

	if (node->kind == JINJA_SET_BLOCK)
	{
		LLM_TRY(filter_block(j, scope, node, &value));
		return j->signal == JINJA_NORMAL ? assign(j, scope, node->a, value) : LLM_OK;
	}
	LLM_TRY(check_namespaces(j, scope, node->a));
	LLM_TRY(llm_jinja_eval(j, scope, node->b, &value));
	j->line = node->line;
	return assign(j, scope, node->a, value);
}

static LlmStatus
run_call_block(Jinja *j, JinjaScope *scope, const JinjaNode *node)
{
	LlmValue   *callee;
	LlmValue   *caller;
	LlmValue   *result;
	JinjaArgs	args;

	LLM_TRY(new_macro(j, scope, node->c, &caller));
	LLM_TRY(llm_jinja_eval(j, scope, node->b->a, &callee));
	LLM_TRY(llm_jinja_eval_args(j, scope, node->b->args, caller, &args));
	j->line = node->line;
	LLM_TRY(llm_jinja_call(j, callee, &args, &result));
	return llm_jinja_put_str(j, result);
}

static LlmStatus
run_statement(Jinja *j, JinjaScope *scope, const JinjaNode *node)
{
	LlmValue   *value;
	JinjaScope *inner;
	JinjaArgs	no_args = {0};

	switch (node->kind)
	{
		case JINJA_DATA:
			return llm_jinja_put(j, node->value->u.text);
		case JINJA_PRINT:
			LLM_TRY(llm_jinja_eval(j, scope, node->a, &value));
			return llm_jinja_put_str(j, value);
		case JINJA_IF:
			return run_if(j, scope, node);
		case JINJA_FOR:
			LLM_TRY(llm_jinja_eval(j, scope, node->b, &value));
			j->line = node->line;
			return run_loop(j, scope, node, value, 0);
		case JINJA_SET:
		case JINJA_SET_BLOCK:
			return run_set(j, scope, node);
		case JINJA_MACRO:
			LLM_TRY(new_macro(j, scope, node, &value));
			return set_variable(j, scope, node->name, value);
		case JINJA_CALL_BLOCK:
			return run_call_block(j, scope, node);
		case JINJA_FILTER_BLOCK:
			LLM_TRY(filter_block(j, scope, node, &value));
			if (value->kind != LLM_VALUE_STRING)
				return llm_jinja_fail(j, "a filter block must give a string, not %s", llm_jinja_type_name(value));
			return llm_jinja_put(j, value->u.text);
		case JINJA_WITH:
			return run_with(j, scope, node);
		case JINJA_SCOPE:
			return run_list(j, scope, &node->items);
		case JINJA_BLOCK_TAG:
			while (!node->op && scope->parent)
				scope = scope->parent;
			LLM_TRY(new_scope(j, scope, &inner));
			return run_list(j, inner, &node->items);
		case JINJA_GENERATION:
			LLM_TRY(new_macro(j, scope, node->c, &value));
			LLM_TRY(llm_jinja_call_macro(j, llm_jinja_obj(value), &no_args, &value));
			return llm_jinja_put_str(j, value);
		case JINJA_BREAK:
			j->signal = JINJA_BREAKING;
			return LLM_OK;
		case JINJA_CONTINUE:
			j->signal = JINJA_CONTINUING;
			return LLM_OK;
		default:
			return llm_jinja_fail(j, "not a statement");
	}
}

static LlmStatus
run_list(Jinja *j, JinjaScope *scope, const JinjaList *list)
{
	LlmStatus	status = LLM_OK;

	if (++j->depth > LLM_JINJA_MAX_DEPTH)
		return llm_jinja_limit(j, "more than %d evaluations within each other", LLM_JINJA_MAX_DEPTH);
	for (size_t i = 0; status == LLM_OK && j->signal == JINJA_NORMAL && i < list->n; i++)
	{
		j->line = list->items[i]->line;
		status = llm_jinja_step(j, 1);
		if (status == LLM_OK)
			status = run_statement(j, scope, list->items[i]);
	}
	j->depth--;
	return status;
}

LlmStatus
llm_jinja_run(Jinja *j)
{
	LLM_TRY(new_scope(j, NULL, &j->root));
	return run_list(j, j->root, &j->t->body);
}
