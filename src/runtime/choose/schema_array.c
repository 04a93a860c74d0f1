/*
 * schema_array.c: states of arrays: how many items were read, and which schemas may still fit.
 */
#include <string.h>

#include "choose/schema_compile.h"

static const LlmSchema *
part_schema(const LlmSchemaCompile *c, const LlmValueProc *proc, size_t i)
{
	return llm_schemas_get(&c->schemas, ((int32_t *) proc->parts.data)[i]);
}

/* counts above this need not be told apart */
void
llm_schema_array_prepare(LlmSchemaCompile *c, LlmValueProc *proc)
{
	uint32_t	cap = 1;

	for (size_t i = 0; i < proc->parts.n; i++)
	{
		const LlmSchema *s = part_schema(c, proc, i);
		uint32_t	own = s->min_items;

		own = s->max_items != UINT32_MAX && s->max_items > own ? s->max_items : own;
		own = s->prefix.n > own ? (uint32_t) s->prefix.n : own;
		cap = own > cap ? own : cap;
	}
	proc->count_cap = (int32_t) cap;
}

static LlmStatus
end_array(LlmSchemaCompile *c, LlmValueProc *proc, const int32_t *key, int32_t *end)
{
	uint8_t    *known = c->known.data;
	int32_t		exit;

	llm_schema_known(c, proc, key);
	for (size_t i = 0; i < proc->parts.n; i++)
	{
		if (known[i] == LLM_FITS_MAYBE)
			known[i] = (uint32_t) key[LLM_STATE_COUNT] >= part_schema(c, proc, i)->min_items ? LLM_FITS : LLM_FITS_NOT;
	}
	LLM_TRY(llm_schema_verdict(c, proc, &exit));
	return exit >= 0 ? llm_schema_end(c, proc, exit, end) : LLM_OK;
}

/* an item that none of the used ones equals; which one it is becomes part of the state */
static LlmStatus
unique_actions(LlmSchemaCompile *c, const LlmSchema *s, int32_t part, int32_t used, LlmVec *actions)
{
	const LlmJson *const *values = s->unique.data;
	LlmVec		left = {0};
	LlmAction	need = {LLM_ACTION_NEED, LLM_SCHEMA_FALSE, part, 0};

	for (size_t v = 0; v < s->unique.n; v++)
	{
		LlmAction	add = {LLM_ACTION_ADD, 0, part, 1 << v};

		if (used >> v & 1)
			continue;
		LLM_TRY(llm_vec_push(c->cx, &left, &values[v], sizeof(values[v])));
		LLM_TRY(llm_schemas_enum(&c->schemas, &values[v], 1, &add.schema));
		LLM_TRY(llm_vec_push(c->cx, actions, &add, sizeof(add)));
	}
	if (left.n > 0)
		LLM_TRY(llm_schemas_enum(&c->schemas, left.data, left.n, &need.schema));
	return llm_vec_push(c->cx, actions, &need, sizeof(need));
}

static LlmStatus
item_actions(LlmSchemaCompile *c, LlmValueProc *proc, const int32_t *key, int32_t *next, LlmVec *actions)
{
	const uint32_t index = (uint32_t) key[LLM_STATE_COUNT];

	for (size_t i = 0; i < proc->parts.n; i++)
	{
		const LlmSchema s = *part_schema(c, proc, i);	/* a copy: making enums moves the list */
		LlmAction	need = {LLM_ACTION_NEED, index < s.prefix.n ? ((int32_t *) s.prefix.data)[index] : s.items, (int32_t) i, 0};

		if (key[LLM_STATE_PARTS + i] < 0 || !(s.types & LLM_TYPE_ARRAY))
			continue;
		if (index >= s.max_items)
		{
			next[LLM_STATE_PARTS + i] = -1;
			continue;
		}
		LLM_TRY(llm_vec_push(c->cx, actions, &need, sizeof(need)));
		if (s.is_unique)
			LLM_TRY(unique_actions(c, &s, (int32_t) i, key[LLM_STATE_PARTS + i], actions));
	}
	return LLM_OK;
}

LlmStatus
llm_schema_array_expand(LlmSchemaCompile *c, LlmValueProc *proc, const int32_t *key, int32_t at)
{
	const char *separator = c->compact ? "," : ", ";
	int32_t		to[256];
	int32_t    *next;
	int32_t		item;
	LlmVec		actions = {0};

	memset(to, -1, sizeof(to));
	LLM_TRY(llm_compile_alloc(c->cx, proc->states.n_key, sizeof(int32_t), &next));
	memcpy(next, key, proc->states.n_key * sizeof(int32_t));
	LLM_TRY(end_array(c, proc, key, &to[']']));
	if (next[LLM_STATE_COUNT] < proc->count_cap)
		next[LLM_STATE_COUNT]++;
	LLM_TRY(item_actions(c, proc, key, next, &actions));
	LLM_TRY(llm_schema_child(c, proc, next, &actions, &item));
	if (item >= 0 && key[LLM_STATE_COUNT] > 0)
		LLM_TRY(llm_machine_chain(&c->build, proc->proc, separator + 1, strlen(separator) - 1, item, &to[',']));
	LLM_TRY(llm_machine_edges(&c->build, at, to));
	if (item >= 0 && key[LLM_STATE_COUNT] == 0)
	{
		/* the first item follows the bracket: the call goes to this state itself */
		LlmState   *states = c->build.states.data;

		states[at].call = states[item].call;
	}
	return LLM_OK;
}
