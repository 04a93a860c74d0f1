/*
 * schema_object.c: states of objects: which declared keys were passed, how many properties were read, and which schemas may
 * still fit.
 *
 * Declared keys come in their order, each at most once. Other keys are told apart by the patterns that they match; in V they may
 * stand anywhere (the order of all keys in V is that of llm_schema_rank), in G after the declared ones.
 */
#include <stdlib.h>
#include <string.h>

#include "choose/json_write.h"
#include "choose/schema_compile.h"

#define MAX_TESTS 60

static const LlmSchema *
part_schema(const LlmSchemaCompile *c, const LlmValueProc *proc, size_t i)
{
	return llm_schemas_get(&c->schemas, ((int32_t *) proc->parts.data)[i]);
}

/* ---- preparation ---- */

/* key and its number before and after sorting */
typedef struct OrderedKey
{
	LlmStr		key;
	size_t		rank;
} OrderedKey;

static int
compare_ranks(const void *a, const void *b)
{
	const OrderedKey *x = a;
	const OrderedKey *y = b;

	return (x->rank > y->rank) - (x->rank < y->rank);
}

static int
compare_keys(const void *a, const void *b)
{
	const OrderedKey *x = a;
	const OrderedKey *y = b;
	size_t		n = x->key.len < y->key.len ? x->key.len : y->key.len;
	int			order = n ? memcmp(x->key.data, y->key.data, n) : 0;

	return order ? order : x->key.len != y->key.len ? (x->key.len > y->key.len) - (x->key.len < y->key.len) : compare_ranks(a, b);
}

static LlmStatus
list_keys(LlmSchemaCompile *c, LlmValueProc *proc)
{
	LlmVec		all = {0};
	OrderedKey *keys;
	size_t		n = 0;

	for (int required = 0; required < 2; required++)
	{
		for (size_t i = 0; i < proc->outer.n; i++)
		{
			const LlmSchema *s = llm_schemas_get(&c->schemas, ((int32_t *) proc->outer.data)[i]);

			for (size_t k = 0; k < (required ? s->required.n : s->properties.n); k++)
			{
				OrderedKey	o = {required ? ((LlmStr *) s->required.data)[k] : ((LlmProperty *) s->properties.data)[k].key, all.n};

				LLM_TRY(llm_vec_push(c->cx, &all, &o, sizeof(o)));
			}
		}
	}
	keys = all.data;
	LLM_TRY(llm_compile_steps(c->cx, all.n));
	if (all.n > 0)
		qsort(keys, all.n, sizeof(*keys), compare_keys);
	for (size_t i = 0; i < all.n; i++)
	{
		if (i == 0 || !llm_str_same(keys[i].key, keys[n - 1].key))
			keys[n++] = keys[i];
	}
	for (size_t i = 0; i < n && !c->offered; i++)
		keys[i].rank = llm_schema_rank(c, keys[i].key);
	if (n > 0)
		qsort(keys, n, sizeof(*keys), compare_ranks);
	for (size_t i = 0; i < n; i++)
		LLM_TRY(llm_vec_push(c->cx, &proc->keys, &keys[i].key, sizeof(LlmStr)));
	return LLM_OK;
}

static LlmStatus
fill_tables(LlmSchemaCompile *c, LlmValueProc *proc)
{
	const size_t n = proc->keys.n;
	LlmDfa	   *trie;

	LLM_TRY(llm_compile_alloc(c->cx, proc->parts.n * n, sizeof(int32_t), &proc->declared));
	LLM_TRY(llm_compile_alloc(c->cx, proc->parts.n * n, 1, &proc->required));
	if (n == 0)
		return LLM_OK;
	LLM_TRY(llm_dfa_strings(c->cx, proc->keys.data, n, false, &trie));
	for (size_t i = 0; i < proc->parts.n; i++)
	{
		const LlmSchema *s = part_schema(c, proc, i);

		for (size_t k = 0; k < n; k++)
			proc->declared[i * n + k] = -1;
		for (size_t k = 0; k < s->properties.n; k++)
		{
			const LlmProperty *p = (LlmProperty *) s->properties.data + k;

			proc->declared[i * n + llm_dfa_run(trie, p->key.data, p->key.len)] = p->schema;
		}
		for (size_t k = 0; k < s->required.n; k++)
		{
			LlmStr		r = ((LlmStr *) s->required.data)[k];

			proc->required[i * n + llm_dfa_run(trie, r.data, r.len)] = 1;
		}
	}
	return LLM_OK;
}

/* conditions on keys that all parts have */
static LlmStatus
list_tests(LlmSchemaCompile *c, LlmValueProc *proc)
{
	for (size_t i = 0; i < proc->parts.n; i++)
	{
		const LlmSchema s = *part_schema(c, proc, i);

		if (!(s.types & LLM_TYPE_OBJECT))
			continue;
		for (size_t k = 0; k < s.patterns.n; k++)
		{
			const LlmPattern *p = (LlmPattern *) s.patterns.data + k;
			LlmKeyTest	t = {p->dfa, (int32_t) i, p->schema};

			LLM_TRY(llm_vec_push(c->cx, &proc->tests, &t, sizeof(t)));
		}
		if (s.names != LLM_SCHEMA_TRUE)
		{
			LlmKeyTest	t = {NULL, (int32_t) i, -1};
			LlmDfa	   *d;

			LLM_TRY(llm_schema_key_dfa(c, s.names, &d));
			t.dfa = d;
			LLM_TRY(llm_vec_push(c->cx, &proc->tests, &t, sizeof(t)));
		}
	}
	if (proc->tests.n > MAX_TESTS)
		return llm_compile_limit(c->cx, "more than %d patterns for the keys of one object", MAX_TESTS);
	return LLM_OK;
}

/* conditions: characters, declared keys, tests */
static LlmStatus
key_label(void *ctx, const int32_t *labels, int32_t *label)
{
	LlmSchemaCompile *c = ((void **) ctx)[0];
	LlmValueProc *proc = ((void **) ctx)[1];
	uint64_t	passed = 0;
	size_t		k = 0;

	*label = labels[1];
	if (labels[1] >= 0)
		return LLM_OK;
	for (size_t i = 0; i < proc->tests.n; i++)
		passed |= (uint64_t) (labels[2 + i] >= 0) << i;
	while (k < proc->classes.n && ((uint64_t *) proc->classes.data)[k] != passed)
		k++;
	*label = (int32_t) (proc->keys.n + k);
	return k == proc->classes.n ? llm_vec_push(c->cx, &proc->classes, &passed, sizeof(passed)) : LLM_OK;
}

static LlmStatus
make_key_dfa(LlmSchemaCompile *c, LlmValueProc *proc)
{
	const LlmDfa *dfas[2 + MAX_TESTS];
	uint8_t		needed[2 + MAX_TESTS] = {1};
	void	   *ctx[2] = {c, proc};
	LlmLiteral	literal = {dfas, 2 + (int) proc->tests.n, needed, key_label, ctx, c->offered};
	LlmDfa	   *trie;

	LLM_TRY(llm_dfa_strings(c->cx, proc->keys.data, proc->keys.n, false, &trie));
	dfas[0] = c->utf8;
	dfas[1] = trie;
	for (size_t i = 0; i < proc->tests.n; i++)
		dfas[2 + i] = ((LlmKeyTest *) proc->tests.data)[i].dfa;
	return llm_schema_literal(c->cx, &literal, &proc->key_dfa);
}

LlmStatus
llm_schema_object_prepare(LlmSchemaCompile *c, LlmValueProc *proc)
{
	uint8_t    *known = c->known.data;

	for (size_t i = 0; i < proc->parts.n; i++)
	{
		const LlmSchema *s = part_schema(c, proc, i);
		uint32_t	own = s->min_properties;

		known[i] = s->types & LLM_TYPE_OBJECT ? LLM_FITS_MAYBE : LLM_FITS_NOT;
		own = s->max_properties != UINT32_MAX && s->max_properties > own ? s->max_properties : own;
		proc->count_cap = (int32_t) own > proc->count_cap ? (int32_t) own : proc->count_cap;
	}
	if (!llm_schema_feasible(c, proc))
		return LLM_OK;			/* no objects: nothing is asked */
	LLM_TRY(list_keys(c, proc));
	LLM_TRY(fill_tables(c, proc));
	return list_tests(c, proc);
}

/* ---- what a key does ---- */

/* parts that need one of the declared keys first .. end-1 are lost */
static void
skip_keys(const LlmValueProc *proc, int32_t first, int32_t end, int32_t *next)
{
	for (size_t i = 0; i < proc->parts.n; i++)
	{
		for (int32_t k = first; k < end && next[LLM_STATE_PARTS + i] >= 0; k++)
		{
			if (proc->required[i * proc->keys.n + k])
				next[LLM_STATE_PARTS + i] = -1;
		}
	}
}

/* actions for the value of a key: declared key k, or -1; which tests it passes */
static LlmStatus
key_actions(LlmSchemaCompile *c, LlmValueProc *proc, const int32_t *key, int32_t k, uint64_t passed, int32_t *next, LlmVec *actions)
{
	for (size_t i = 0; i < proc->parts.n; i++)
	{
		const LlmSchema *s = part_schema(c, proc, i);
		int32_t		schema = k >= 0 ? proc->declared[i * proc->keys.n + k] : -1;
		LlmAction	a = {LLM_ACTION_NEED, schema, (int32_t) i, 0};

		if (next[LLM_STATE_PARTS + i] < 0 || !(s->types & LLM_TYPE_OBJECT))
			continue;
		if ((uint32_t) key[LLM_STATE_COUNT] >= s->max_properties)
			next[LLM_STATE_PARTS + i] = -1;
		if (schema >= 0)
			LLM_TRY(llm_vec_push(c->cx, actions, &a, sizeof(a)));
		for (size_t t = 0; t < proc->tests.n; t++)
		{
			const LlmKeyTest *test = (LlmKeyTest *) proc->tests.data + t;
			bool		pass = passed >> t & 1;

			if (test->part != (int32_t) i || (pass && test->schema < 0) || (!pass && test->schema >= 0))
				continue;
			if (!pass)
			{
				next[LLM_STATE_PARTS + i] = -1;
				continue;
			}
			a.schema = schema = test->schema;
			LLM_TRY(llm_vec_push(c->cx, actions, &a, sizeof(a)));
		}
		if (schema < 0)
		{
			a.schema = s->additional;
			LLM_TRY(llm_vec_push(c->cx, actions, &a, sizeof(a)));
		}
	}
	return LLM_OK;
}

/* G: is the key declared by a schema that may still fit? */
static bool
is_offered(const LlmSchemaCompile *c, const LlmValueProc *proc, const int32_t *key, int32_t k)
{
	if (!c->offered)
		return true;
	for (size_t i = 0; i < proc->parts.n; i++)
	{
		if (key[LLM_STATE_PARTS + i] >= 0 &&
			(proc->declared[i * proc->keys.n + k] >= 0 || proc->required[i * proc->keys.n + k]))
			return true;
	}
	return false;
}

/* G: are other keys offered? If a schema speaks of them, or none of those that may fit declares any. */
static bool
others_offered(const LlmSchemaCompile *c, const LlmValueProc *proc, const int32_t *key)
{
	bool		declares = false;

	for (size_t i = 0; i < proc->parts.n; i++)
	{
		const LlmSchema *s = part_schema(c, proc, i);

		if (!(s->types & LLM_TYPE_OBJECT) || key[LLM_STATE_PARTS + i] < 0)
			continue;
		if (!c->offered || (s->has_additional && s->additional != LLM_SCHEMA_FALSE) || s->patterns.n > 0)
			return true;
		declares |= s->properties.n > 0;
	}
	return !declares;
}

static LlmStatus
child_of_key(LlmSchemaCompile *c, LlmValueProc *proc, const int32_t *key, int32_t k, uint64_t passed, int32_t *state)
{
	const char *separator = c->compact ? ":" : ": ";
	const int32_t at = key[LLM_STATE_AT];
	LlmVec		actions = {0};
	int32_t		child;
	int32_t    *next;

	LLM_TRY(llm_compile_steps(c->cx, proc->parts.n + 1));
	LLM_TRY(llm_compile_alloc(c->cx, proc->states.n_key, sizeof(int32_t), &next));
	memcpy(next, key, proc->states.n_key * sizeof(int32_t));
	next[LLM_STATE_AT] = k >= 0 ? k + 1 : c->offered ? (int32_t) proc->keys.n : at;
	skip_keys(proc, at, k >= 0 ? k : next[LLM_STATE_AT], next);
	if (next[LLM_STATE_COUNT] < proc->count_cap)
		next[LLM_STATE_COUNT]++;
	LLM_TRY(key_actions(c, proc, key, k, passed, next, &actions));
	if (k >= 0)
	{
		/* whichever keys were left out before, what follows a declared key is often the same */
		proc->children.n_key = proc->states.n_key;
		LLM_TRY(llm_key_set_find(c->cx, &proc->children, next, &child));
		if ((size_t) child < proc->child_states.n)
		{
			*state = ((int32_t *) proc->child_states.data)[child];
			return LLM_OK;
		}
	}
	LLM_TRY(llm_schema_child(c, proc, next, &actions, state));
	if (*state >= 0)
		LLM_TRY(llm_machine_chain(&c->build, proc->proc, separator, strlen(separator), *state, state));
	return k >= 0 ? llm_vec_push(c->cx, &proc->child_states, state, sizeof(*state)) : LLM_OK;
}

static uint64_t
tests_passed(const LlmValueProc *proc, LlmStr key)
{
	uint64_t	passed = 0;

	for (size_t t = 0; t < proc->tests.n; t++)
		passed |= (uint64_t) (llm_dfa_run(((LlmKeyTest *) proc->tests.data)[t].dfa, key.data, key.len) >= 0) << t;
	return passed;
}

void
llm_schema_object_merge(const LlmSchemaCompile *c, const LlmValueProc *proc, int32_t *key)
{
	const size_t n = proc->keys.n;

	if (c->offered && key[LLM_STATE_AT] == (int32_t) n)
		return;					/* other keys may have begun: declared ones must not come again */
	for (; key[LLM_STATE_AT] > 0; key[LLM_STATE_AT]--)
	{
		size_t		k = (size_t) key[LLM_STATE_AT] - 1;

		for (size_t i = 0; i < proc->parts.n; i++)
		{
			if (key[LLM_STATE_PARTS + i] >= 0 && (proc->declared[i * n + k] >= 0 || proc->required[i * n + k]))
				return;
		}
	}
}

/* ---- states ---- */

static LlmStatus
end_object(LlmSchemaCompile *c, LlmValueProc *proc, const int32_t *key, int32_t *end)
{
	uint8_t    *known = c->known.data;
	int32_t    *last;
	int32_t		exit;

	LLM_TRY(llm_compile_alloc(c->cx, proc->states.n_key, sizeof(int32_t), &last));
	memcpy(last, key, proc->states.n_key * sizeof(int32_t));
	skip_keys(proc, key[LLM_STATE_AT], (int32_t) proc->keys.n, last);
	llm_schema_known(c, proc, last);
	for (size_t i = 0; i < proc->parts.n; i++)
	{
		if (known[i] == LLM_FITS_MAYBE)
			known[i] = (uint32_t) key[LLM_STATE_COUNT] >= part_schema(c, proc, i)->min_properties ? LLM_FITS : LLM_FITS_NOT;
	}
	LLM_TRY(llm_schema_verdict(c, proc, &exit));
	return exit >= 0 ? llm_schema_end(c, proc, exit, end) : LLM_OK;
}

/* what follows the other keys of each class, -1: nothing. *any: some may come; where none may, only declared keys need be told apart. */
static LlmStatus
other_targets(LlmSchemaCompile *c, LlmValueProc *proc, const int32_t *key, LlmVec *targets, bool *any)
{
	const uint64_t untested = 0;

	*any = false;
	if (proc->tests.n > 0 && !proc->key_dfa)
		LLM_TRY(make_key_dfa(c, proc));
	if (proc->tests.n == 0 && proc->classes.n == 0)
		LLM_TRY(llm_vec_push(c->cx, &proc->classes, &untested, sizeof(untested)));	/* without tests all are alike */
	for (size_t k = 0; k < proc->classes.n; k++)
	{
		int32_t		target;

		LLM_TRY(child_of_key(c, proc, key, -1, ((uint64_t *) proc->classes.data)[k], &target));
		*any |= target >= 0;
		LLM_TRY(llm_vec_push(c->cx, targets, &target, sizeof(target)));
	}
	return LLM_OK;
}

/* one automaton for all keys: those that may not come end in a state without a way on */
static LlmStatus
all_keys(LlmSchemaCompile *c, LlmValueProc *proc, const LlmVec *writings, const LlmVec *declared, const LlmVec *other, int32_t *first)
{
	LlmVec		all = {0};
	size_t		n_written = 0;
	int32_t		nowhere;

	if (!proc->key_dfa)
		LLM_TRY(make_key_dfa(c, proc));
	LLM_TRY(llm_machine_state(&c->build, proc->proc, &nowhere));
	for (size_t k = 0; k < proc->keys.n; k++)
	{
		LlmStr		writing;
		int32_t		target = nowhere;

		if (n_written < writings->n)
		{
			LLM_TRY(llm_json_write_key(c->cx->arena, ((LlmStr *) proc->keys.data)[k], &writing, c->cx->err));
			if (llm_str_same(writing, ((LlmStr *) writings->data)[n_written]))
				target = ((int32_t *) declared->data)[n_written++];
		}
		LLM_TRY(llm_vec_push(c->cx, &all, &target, sizeof(target)));
	}
	for (size_t k = 0; k < other->n; k++)
	{
		int32_t		target = ((int32_t *) other->data)[k];

		target = target < 0 ? nowhere : target;
		LLM_TRY(llm_vec_push(c->cx, &all, &target, sizeof(target)));
	}
	return llm_machine_dfa(&c->build, proc->proc, proc->key_dfa, all.data, first);
}

/* the writing of the keys that may come, after their opening quote; *first -1: none */
static LlmStatus
key_states(LlmSchemaCompile *c, LlmValueProc *proc, const int32_t *key, int32_t *first)
{
	const size_t n = proc->keys.n;
	LlmVec		writings = {0};
	LlmVec		targets = {0};	/* int32_t: for each of writings */
	LlmVec		other = {0};	/* int32_t: for each class of other keys */
	LlmDfa	   *d;
	int32_t    *skipped;		/* the state with the keys before k left out */
	bool		others;
	bool		feasible = true;

	*first = -1;
	LLM_TRY(llm_compile_alloc(c->cx, proc->states.n_key, sizeof(int32_t), &skipped));
	memcpy(skipped, key, proc->states.n_key * sizeof(int32_t));
	for (size_t k = (size_t) key[LLM_STATE_AT]; k < n && feasible; k++)
	{
		LlmStr		name = ((LlmStr *) proc->keys.data)[k];
		LlmStr		writing;
		int32_t		target;

		skip_keys(proc, (int32_t) k, (int32_t) k + 1, skipped);
		llm_schema_known(c, proc, skipped);
		feasible = llm_schema_feasible(c, proc);	/* else a key that is needed would be passed */
		if (!is_offered(c, proc, key, (int32_t) k))
			continue;
		LLM_TRY(child_of_key(c, proc, key, (int32_t) k, tests_passed(proc, name), &target));
		if (target < 0)
			continue;
		LLM_TRY(llm_json_write_key(c->cx->arena, name, &writing, c->cx->err));
		LLM_TRY(llm_vec_push(c->cx, &writings, &writing, sizeof(writing)));
		LLM_TRY(llm_vec_push(c->cx, &targets, &target, sizeof(target)));
	}
	others = others_offered(c, proc, key);
	for (size_t i = 0; i < proc->parts.n && others; i++)
	{
		/* a part that must not fit (of oneOf) asks for more by the most it allows */
		const LlmSchema *s = part_schema(c, proc, i);

		c->counts_keys |= s->min_properties > 1 || (proc->parts.n > 1 && s->max_properties != UINT32_MAX);
	}
	if (others)
		LLM_TRY(other_targets(c, proc, key, &other, &others));
	c->open_keys |= others;
	if (others)
		return all_keys(c, proc, &writings, &targets, &other, first);
	if (writings.n == 0)
		return LLM_OK;
	LLM_TRY(llm_dfa_strings(c->cx, writings.data, writings.n, false, &d));
	return llm_machine_dfa(&c->build, proc->proc, d, targets.data, first);
}

LlmStatus
llm_schema_object_expand(LlmSchemaCompile *c, LlmValueProc *proc, const int32_t *key, int32_t at)
{
	const char *separator = c->compact ? "\"" : " \"";
	int32_t		to[256];
	int32_t		first;

	memset(to, -1, sizeof(to));
	LLM_TRY(end_object(c, proc, key, &to['}']));
	LLM_TRY(key_states(c, proc, key, &first));
	if (first >= 0 && key[LLM_STATE_COUNT] == 0)
		to['"'] = first;
	else if (first >= 0)
		LLM_TRY(llm_machine_chain(&c->build, proc->proc, separator, strlen(separator), first, &to[',']));
	return llm_machine_edges(&c->build, at, to);
}
