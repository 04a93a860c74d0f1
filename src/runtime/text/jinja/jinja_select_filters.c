/*
 * jinja_select_filters.c: filters that run another filter or test over the items of a sequence.
 */
#include "text/jinja/jinja.h"

#include <string.h>

static LlmStatus
function_name(Jinja *j, const LlmValue *v, LlmStr *out)
{
	LlmText		text;

	LLM_TRY(llm_jinja_arg_text(j, v, "name of a filter or test", &text));
	*out = (LlmStr) {text.bytes, text.len};
	return LLM_OK;
}

static LlmStatus
not_known(Jinja *j, const char *what, LlmStr name)
{
	return llm_fail(j->err, LLM_E_UNSUPPORTED, "chat template uses the %s \"%.*s\" on line %u, which is not known", what,
					(int) (name.len < 60 ? name.len : 60), name.data, j->line);
}

static const LlmValue *
find_keyword(const JinjaArgs *args, const char *name)
{
	for (size_t i = 0; i < args->n_keywords; i++)
		if (args->keyword_names[i]->u.text.len == strlen(name) && memcmp(args->keyword_names[i]->u.text.bytes, name, strlen(name)) == 0)
			return args->keyword_values[i];
	return NULL;
}

/* map('filter', arguments…) or map(attribute=…, default=…) */
static LlmStatus
filter_map(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	LlmValue  **items;
	size_t		n;
	LlmValue   *list;
	LlmValue   *attribute = (LlmValue *) find_keyword(args, "attribute");
	LlmValue   *fallback = (LlmValue *) find_keyword(args, "default");
	const JinjaFunction *f = NULL;
	JinjaArgs	rest = *args;
	LlmStr		name;

	(void) v;
	LLM_TRY(llm_jinja_list(j, 0, &list));
	if (!llm_jinja_truth(self))
		return llm_jinja_generator(j, list, out);
	if (args->n_positional == 0 && attribute)
	{
		if (args->n_keywords > (fallback ? 2u : 1u))
			return llm_jinja_fail(j, "map got an unexpected keyword argument");
	}
	else
	{
		if (args->n_positional == 0)
			return llm_jinja_fail(j, "map requires a filter argument");
		LLM_TRY(function_name(j, args->positional[0], &name));
		f = llm_jinja_find_filter(name);
		rest.positional++;
		rest.n_positional--;
	}
	LLM_TRY(llm_jinja_items(j, self, &items, &n));
	for (size_t i = 0; i < n; i++)
	{
		LlmValue   *item;

		LLM_TRY(llm_jinja_step(j, 1));
		if (args->n_positional == 0)
			LLM_TRY(llm_jinja_getter(j, items[i], attribute, fallback, &item));
		else if (!f)
			return not_known(j, "filter", name);
		else
			LLM_TRY(llm_jinja_apply(j, f, "filter", items[i], &rest, &item));
		LLM_TRY(llm_jinja_push(j, list, item));
	}
	return llm_jinja_generator(j, list, out);
}

/* keep the items (or, by attribute, those whose attribute) that pass a test, or that fail it */
static LlmStatus
select_items(Jinja *j, LlmValue *self, const JinjaArgs *args, bool by_attribute, bool wanted, LlmValue **out)
{
	LlmValue  **items;
	size_t		n;
	LlmValue   *list;
	const JinjaFunction *f = NULL;
	JinjaArgs	rest = *args;
	LlmValue   *attribute = NULL;
	LlmStr		name = {"", 0};
	bool		has_test;

	LLM_TRY(llm_jinja_list(j, 0, &list));
	if (!llm_jinja_truth(self))
		return llm_jinja_generator(j, list, out);
	if (by_attribute)
	{
		if (args->n_positional == 0)
			return llm_jinja_fail(j, "missing parameter for attribute name");
		attribute = args->positional[0];
		rest.positional++;
		rest.n_positional--;
	}
	has_test = rest.n_positional > 0;
	if (has_test)
	{
		LLM_TRY(function_name(j, rest.positional[0], &name));
		f = llm_jinja_find_test(name);
		rest.positional++;
		rest.n_positional--;
	}
	LLM_TRY(llm_jinja_items(j, self, &items, &n));
	for (size_t i = 0; i < n; i++)
	{
		LlmValue   *item;
		bool		passed;

		LLM_TRY(llm_jinja_step(j, 1));
		LLM_TRY(llm_jinja_getter(j, items[i], attribute, NULL, &item));
		if (!has_test)
			passed = llm_jinja_truth(item);
		else if (!f)
			return not_known(j, "test", name);
		else
			LLM_TRY(llm_jinja_apply_test(j, f, item, &rest, &passed));
		if (passed == wanted)
			LLM_TRY(llm_jinja_push(j, list, items[i]));
	}
	return llm_jinja_generator(j, list, out);
}

static LlmStatus
filter_select(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) v;
	return select_items(j, self, args, false, true, out);
}

static LlmStatus
filter_reject(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) v;
	return select_items(j, self, args, false, false, out);
}

static LlmStatus
filter_selectattr(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) v;
	return select_items(j, self, args, true, true, out);
}

static LlmStatus
filter_rejectattr(Jinja *j, LlmValue *self, LlmValue **v, const JinjaArgs *args, LlmValue **out)
{
	(void) v;
	return select_items(j, self, args, true, false, out);
}

const JinjaFunction llm_jinja_select_filters[] = {
	{"map", filter_map, NULL, 0},
	{"reject", filter_reject, NULL, 0},
	{"rejectattr", filter_rejectattr, NULL, 0},
	{"select", filter_select, NULL, 0},
	{"selectattr", filter_selectattr, NULL, 0},
	{NULL, NULL, NULL, 0}
};
