/*
 * schema_compile.c: procedures for values: which schemas are on one value, what their verdicts give, and the loop that
 * expands states until nothing new comes up.
 */
#include "choose/schema_compile.h"

#include <stdlib.h>
#include <string.h>

#include "choose/regex.h"

/* ---- parts ---- */

typedef struct PartSearch
{
	LlmSchemaCompile *c;
	LlmValueProc *proc;
	LlmVec		on_way;			/* int32_t: schemas entered and not left */
} PartSearch;

static bool
contains(const LlmVec *list, int32_t schema)
{
	for (size_t i = 0; i < list->n; i++)
	{
		if (((int32_t *) list->data)[i] == schema)
			return true;
	}
	return false;
}

static LlmStatus add_part(PartSearch *p, int32_t schema);

static LlmStatus
add_groups(PartSearch *p, const LlmVec *groups)
{
	for (size_t g = 0; g < groups->n; g++)
	{
		const LlmVec *group = (LlmVec *) groups->data + g;

		for (size_t i = 0; i < group->n; i++)
			LLM_TRY(add_part(p, ((int32_t *) group->data)[i]));
	}
	return LLM_OK;
}

static LlmStatus
add_part(PartSearch *p, int32_t schema)
{
	LlmCompile *cx = p->c->cx;
	LlmSchema	s;

	LLM_TRY(llm_compile_steps(cx, p->proc->parts.n / 4 + 1));
	if (contains(&p->on_way, schema))
	{
		LlmStatus	status = llm_fail(cx->err, LLM_E_UNSUPPORTED, "a $ref that leads back to itself on the same value is not supported");

		llm_error_hint(cx->err, "Put the reference into properties or items, so that each round takes a part of the value.");
		return status;
	}
	if (contains(&p->proc->parts, schema))
		return LLM_OK;
	if (p->on_way.n > LLM_GRAMMAR_MAX_DEPTH)
		return llm_compile_limit(cx, "schemas for one value are nested more than %d deep", LLM_GRAMMAR_MAX_DEPTH);
	LLM_TRY(llm_schemas_read(&p->c->schemas, schema));
	LLM_TRY(llm_vec_push(cx, &p->on_way, &schema, sizeof(schema)));
	LLM_TRY(llm_vec_push(cx, &p->proc->outer, &schema, sizeof(schema)));
	s = *llm_schemas_get(&p->c->schemas, schema);
	for (size_t i = 0; i < s.all.n; i++)
		LLM_TRY(add_part(p, ((int32_t *) s.all.data)[i]));
	LLM_TRY(add_groups(p, &s.any));
	LLM_TRY(add_groups(p, &s.one));
	p->on_way.n--;
	return llm_vec_push(cx, &p->proc->parts, &schema, sizeof(schema));
}

LlmStatus
llm_schema_parts(LlmSchemaCompile *c, LlmValueProc *proc)
{
	PartSearch	p = {.c = c, .proc = proc};
	const uint8_t none = 0;

	for (size_t i = 0; i < proc->must.n; i++)
		LLM_TRY(add_part(&p, ((int32_t *) proc->must.data)[i]));
	for (size_t i = 0; i < proc->open.n; i++)
		LLM_TRY(add_part(&p, ((int32_t *) proc->open.data)[i]));
	while (c->known.n < proc->parts.n)
	{
		LLM_TRY(llm_vec_push(c->cx, &c->known, &none, 1));
		LLM_TRY(llm_vec_push(c->cx, &c->verdicts, &none, 1));
	}
	while (c->slot.n < c->schemas.list.n)
	{
		const int32_t no_slot = -1;

		LLM_TRY(llm_vec_push(c->cx, &c->slot, &no_slot, sizeof(no_slot)));
	}
	return LLM_OK;
}

/* ---- verdicts ---- */

static uint8_t
verdict_of(const LlmSchemaCompile *c, int32_t schema)
{
	return ((uint8_t *) c->verdicts.data)[((int32_t *) c->slot.data)[schema]];
}

static uint8_t
any_of(const LlmSchemaCompile *c, const LlmVec *group)
{
	uint8_t		v = LLM_FITS_NOT;

	for (size_t i = 0; i < group->n; i++)
	{
		uint8_t		one = verdict_of(c, ((int32_t *) group->data)[i]);

		if (one == LLM_FITS)
			return LLM_FITS;
		if (one == LLM_FITS_MAYBE)
			v = LLM_FITS_MAYBE;
	}
	return v;
}

static uint8_t
one_of(const LlmSchemaCompile *c, const LlmVec *group)
{
	size_t		fit = 0;
	size_t		maybe = 0;

	for (size_t i = 0; i < group->n; i++)
	{
		uint8_t		one = verdict_of(c, ((int32_t *) group->data)[i]);

		fit += one == LLM_FITS;
		maybe += one == LLM_FITS_MAYBE;
	}
	return fit > 1 || fit + maybe == 0 ? LLM_FITS_NOT : maybe > 0 ? LLM_FITS_MAYBE : LLM_FITS;
}

static uint8_t
both(uint8_t a, uint8_t b)
{
	return a == LLM_FITS_NOT || b == LLM_FITS_NOT ? LLM_FITS_NOT : a == LLM_FITS && b == LLM_FITS ? LLM_FITS : LLM_FITS_MAYBE;
}

static void
judge(LlmSchemaCompile *c, LlmValueProc *proc)
{
	const int32_t *parts = proc->parts.data;
	uint8_t    *verdicts = c->verdicts.data;
	int32_t    *slot = c->slot.data;

	for (size_t i = 0; i < proc->parts.n && c->selected != proc; i++)
		slot[parts[i]] = (int32_t) i;
	c->selected = proc;
	for (size_t i = 0; i < proc->parts.n; i++)
	{
		const LlmSchema *s = llm_schemas_get(&c->schemas, parts[i]);
		uint8_t		v = ((uint8_t *) c->known.data)[i];

		for (size_t k = 0; k < s->all.n && v != LLM_FITS_NOT; k++)
			v = both(v, verdict_of(c, ((int32_t *) s->all.data)[k]));
		for (size_t k = 0; k < s->any.n && v != LLM_FITS_NOT; k++)
			v = both(v, any_of(c, (LlmVec *) s->any.data + k));
		for (size_t k = 0; k < s->one.n && v != LLM_FITS_NOT; k++)
			v = both(v, one_of(c, (LlmVec *) s->one.data + k));
		verdicts[i] = v;
	}
}

bool
llm_schema_feasible(LlmSchemaCompile *c, LlmValueProc *proc)
{
	judge(c, proc);
	for (size_t i = 0; i < proc->must.n; i++)
	{
		if (verdict_of(c, ((int32_t *) proc->must.data)[i]) == LLM_FITS_NOT)
			return false;
	}
	return true;
}

LlmStatus
llm_schema_verdict(LlmSchemaCompile *c, LlmValueProc *proc, int32_t *exit)
{
	uint64_t	fit = 0;

	*exit = -1;
	LLM_TRY(llm_compile_steps(c->cx, proc->parts.n / 4 + 1));
	if (!llm_schema_feasible(c, proc))
		return LLM_OK;
	*exit = -2;
	for (size_t i = 0; i < proc->must.n; i++)
	{
		if (verdict_of(c, ((int32_t *) proc->must.data)[i]) == LLM_FITS_MAYBE)
			return LLM_OK;
	}
	for (size_t i = 0; i < proc->open.n; i++)
	{
		uint8_t		v = verdict_of(c, ((int32_t *) proc->open.data)[i]);

		if (v == LLM_FITS_MAYBE)
			return LLM_OK;
		fit |= (uint64_t) (v == LLM_FITS) << i;
	}
	*exit = 0;
	while ((size_t) *exit < proc->exits.n && ((uint64_t *) proc->exits.data)[*exit] != fit)
		(*exit)++;
	if ((size_t) *exit < proc->exits.n)
		return LLM_OK;
	c->n_exits++;
	return llm_vec_push(c->cx, &proc->exits, &fit, sizeof(fit));
}

LlmStatus
llm_schema_end(LlmSchemaCompile *c, LlmValueProc *proc, int32_t exit, int32_t *state)
{
	while (proc->ends.n <= (size_t) exit)
	{
		int32_t		s;

		LLM_TRY(llm_machine_state(&c->build, proc->proc, &s));
		llm_machine_exit(&c->build, s, (int32_t) proc->ends.n);
		LLM_TRY(llm_vec_push(c->cx, &proc->ends, &s, sizeof(s)));
	}
	*state = ((int32_t *) proc->ends.data)[exit];
	return LLM_OK;
}

/* ---- procedures ---- */

static int
compare_schemas(const void *a, const void *b)
{
	return *(const int32_t *) a - *(const int32_t *) b;
}

static void
sort_schemas(LlmVec *list)
{
	int32_t    *all = list->data;
	size_t		n = 0;

	if (list->n > 0)
		qsort(all, list->n, sizeof(int32_t), compare_schemas);
	for (size_t i = 0; i < list->n; i++)
	{
		if (i == 0 || all[i] != all[i - 1])
			all[n++] = all[i];
	}
	list->n = n;
}

static bool
same_list(const LlmVec *a, const LlmVec *b)
{
	return a->n == b->n && (a->n == 0 || memcmp(a->data, b->data, a->n * sizeof(int32_t)) == 0);
}

static LlmStatus
find_proc(LlmSchemaCompile *c, LlmVec *must, LlmVec *open, LlmValueProc **out)
{
	LlmValueProc *proc;

	sort_schemas(must);
	sort_schemas(open);
	LLM_TRY(llm_compile_steps(c->cx, c->procs.n / 4 + 1));
	for (size_t i = 0; i < c->procs.n; i++)
	{
		*out = ((LlmValueProc **) c->procs.data)[i];
		if (same_list(&(*out)->must, must) && same_list(&(*out)->open, open))
			return LLM_OK;
	}
	if (open->n > LLM_MAX_OPEN)
	{
		LlmStatus	status = llm_compile_limit(c->cx, "one value may fit any of more than %d schemas", LLM_MAX_OPEN);

		llm_error_hint(c->cx->err, "Give alternatives a property with a constant that tells them apart, first in order.");
		return status;
	}
	LLM_TRY(llm_compile_alloc(c->cx, 1, sizeof(*proc), &proc));
	proc->must = *must;
	proc->open = *open;
	LLM_TRY(llm_machine_proc(&c->build, &proc->proc));
	LLM_TRY(llm_vec_push(c->cx, &c->procs, &proc, sizeof(proc)));
	*out = proc;
	return LLM_OK;
}

/* ---- states of arrays and objects ---- */

void
llm_schema_known(LlmSchemaCompile *c, LlmValueProc *proc, const int32_t *key)
{
	const int	type = key[LLM_STATE_OBJECT] ? LLM_TYPE_OBJECT : LLM_TYPE_ARRAY;
	uint8_t    *known = c->known.data;

	for (size_t i = 0; i < proc->parts.n; i++)
	{
		int32_t		own = key[LLM_STATE_PARTS + i];

		known[i] = !(llm_schemas_get(&c->schemas, ((int32_t *) proc->parts.data)[i])->types & type) || own == -1 ? LLM_FITS_NOT :
			own == -2 ? LLM_FITS : LLM_FITS_MAYBE;
	}
}

LlmStatus
llm_schema_state(LlmSchemaCompile *c, LlmValueProc *proc, const int32_t *key, int32_t *state)
{
	int32_t		number;

	LLM_TRY(llm_key_set_find(c->cx, &proc->states, key, &number));
	if ((size_t) number == proc->state_numbers.n)
	{
		LlmWork		work = {proc, number};

		*state = -1;
		llm_schema_known(c, proc, key);
		if (llm_schema_feasible(c, proc))
		{
			LLM_TRY(llm_machine_state(&c->build, proc->proc, state));
			LLM_TRY(llm_vec_push(c->cx, &c->work, &work, sizeof(work)));
		}
		LLM_TRY(llm_vec_push(c->cx, &proc->state_numbers, state, sizeof(*state)));
	}
	*state = ((int32_t *) proc->state_numbers.data)[number];
	return LLM_OK;
}

/* must the child fit schema? So if without it all is lost. */
static bool
is_must(LlmSchemaCompile *c, LlmValueProc *proc, const int32_t *next, const LlmVec *actions, int32_t schema)
{
	const LlmAction *a = actions->data;

	llm_schema_known(c, proc, next);
	for (size_t i = 0; i < actions->n; i++)
	{
		if (a[i].kind == LLM_ACTION_NEED && a[i].schema == schema)
			((uint8_t *) c->known.data)[a[i].part] = LLM_FITS_NOT;
	}
	return !llm_schema_feasible(c, proc);
}

LlmStatus
llm_schema_child(LlmSchemaCompile *c, LlmValueProc *proc, int32_t *next, const LlmVec *actions, int32_t *state)
{
	const LlmAction *a = actions->data;
	LlmVec		must = {0};
	LlmVec		open = {0};
	LlmPending	pending = {.proc = proc};

	*state = -1;
	for (size_t i = 0; i < actions->n; i++)
	{
		if (a[i].kind == LLM_ACTION_NEED && a[i].schema == LLM_SCHEMA_FALSE)
			next[LLM_STATE_PARTS + a[i].part] = -1;
	}
	llm_schema_known(c, proc, next);
	if (!llm_schema_feasible(c, proc))
		return LLM_OK;
	for (size_t i = 0; i < actions->n; i++)
	{
		if (a[i].schema == LLM_SCHEMA_TRUE || next[LLM_STATE_PARTS + a[i].part] == -1)
			continue;
		LLM_TRY(llm_vec_push(c->cx, is_must(c, proc, next, actions, a[i].schema) ? &must : &open, &a[i].schema, sizeof(int32_t)));
		LLM_TRY(llm_vec_push(c->cx, &pending.actions, &a[i], sizeof(a[i])));
	}
	LLM_TRY(find_proc(c, &must, &open, &pending.callee));
	LLM_TRY(llm_compile_alloc(c->cx, proc->states.n_key, sizeof(int32_t), &pending.next));
	memcpy(pending.next, next, proc->states.n_key * sizeof(int32_t));
	LLM_TRY(llm_machine_state(&c->build, proc->proc, state));
	LLM_TRY(llm_machine_call(&c->build, *state, pending.callee->proc, &pending.call));
	return llm_vec_push(c->cx, &c->pending, &pending, sizeof(pending));
}

/* ---- values ---- */

/* a word, if the value may be it */
static LlmStatus
build_word(LlmSchemaCompile *c, LlmValueProc *proc, const char *word, int type, int32_t to[256])
{
	uint8_t    *known = c->known.data;
	int32_t		exit;
	int32_t		end;

	for (size_t i = 0; i < proc->parts.n; i++)
		known[i] = llm_schemas_get(&c->schemas, ((int32_t *) proc->parts.data)[i])->types & type ? LLM_FITS : LLM_FITS_NOT;
	LLM_TRY(llm_schema_verdict(c, proc, &exit));
	if (exit < 0)
		return LLM_OK;
	LLM_TRY(llm_schema_end(c, proc, exit, &end));
	return llm_machine_chain(&c->build, proc->proc, word + 1, strlen(word) - 1, end, &to[(uint8_t) word[0]]);
}

static LlmStatus
build_scalars(LlmSchemaCompile *c, LlmValueProc *proc, int32_t to[256])
{
	LlmDfa	   *d;
	int32_t		first;
	bool		counted;

	LLM_TRY(build_word(c, proc, "null", LLM_TYPE_NULL, to));
	LLM_TRY(build_word(c, proc, "false", LLM_TYPE_FALSE, to));
	LLM_TRY(build_word(c, proc, "true", LLM_TYPE_TRUE, to));
	LLM_TRY(llm_schema_number(c, proc, &d));
	if (d && d->n_states > 1)
	{
		LLM_TRY(llm_machine_dfa(&c->build, proc->proc, d, NULL, &first));
		for (int b = 0; b < 256; b++)
		{
			const LlmState *s = (LlmState *) c->build.states.data + first;
			const LlmEdge *e = (LlmEdge *) c->build.edges.data + s->first_edge;

			for (int32_t i = 0; i < s->n_edges; i++)
			{
				if (b >= e[i].first && b <= e[i].last)
					to[b] = e[i].to;
			}
		}
	}
	LLM_TRY(llm_schema_counted_string(c, proc, &counted, &to['"']));
	if (counted)
		return LLM_OK;
	LLM_TRY(llm_schema_string(c, proc, &d));
	if (d && d->n_states > 1)
	{
		for (size_t e = 0; e < proc->exits.n; e++)
			LLM_TRY(llm_schema_end(c, proc, (int32_t) e, &first));
		LLM_TRY(llm_machine_dfa(&c->build, proc->proc, d, proc->ends.data, &to['"']));
	}
	return LLM_OK;
}

static LlmStatus
build_value(LlmSchemaCompile *c, LlmValueProc *proc)
{
	int32_t		to[256];
	int32_t    *key;
	int32_t		entry;

	proc->built = true;
	memset(to, -1, sizeof(to));
	LLM_TRY(llm_schema_parts(c, proc));
	LLM_TRY(build_scalars(c, proc, to));
	proc->states.n_key = LLM_STATE_PARTS + (int) proc->parts.n;
	LLM_TRY(llm_compile_alloc(c->cx, proc->states.n_key, sizeof(int32_t), &key));
	llm_schema_array_prepare(c, proc);
	LLM_TRY(llm_schema_object_prepare(c, proc));
	for (int object = 0; object < 2; object++)
	{
		key[LLM_STATE_OBJECT] = object;
		for (size_t i = 0; i < proc->parts.n; i++)
		{
			const LlmSchema *s = llm_schemas_get(&c->schemas, ((int32_t *) proc->parts.data)[i]);
			bool		free = object ? s->properties.n == 0 && s->patterns.n == 0 && s->required.n == 0 && s->min_properties == 0 &&
				s->max_properties == UINT32_MAX && s->additional == LLM_SCHEMA_TRUE && s->names == LLM_SCHEMA_TRUE :
				s->prefix.n == 0 && s->items == LLM_SCHEMA_TRUE && s->min_items == 0 && s->max_items == UINT32_MAX && !s->is_unique;

			key[LLM_STATE_PARTS + i] = free ? -2 : 0;
		}
		LLM_TRY(llm_schema_state(c, proc, key, &to[object ? '{' : '[']));
	}
	LLM_TRY(llm_machine_state(&c->build, proc->proc, &entry));
	LLM_TRY(llm_machine_edges(&c->build, entry, to));
	((LlmProc *) c->build.procs.data)[proc->proc].entry = entry;
	return LLM_OK;
}

/* ---- exits that calls have not seen ---- */

static bool
child_fits(const LlmPending *p, int32_t schema, uint64_t exit)
{
	const int32_t *open = p->callee->open.data;

	for (size_t i = 0; i < p->callee->open.n; i++)
	{
		if (open[i] == schema)
			return exit >> i & 1;
	}
	return true;
}

static LlmStatus
see_exit(LlmSchemaCompile *c, size_t index, int32_t exit)
{
	const LlmPending p = ((LlmPending *) c->pending.data)[index];
	const uint64_t fit = ((uint64_t *) p.callee->exits.data)[exit];
	const LlmAction *a = p.actions.data;
	int32_t    *next;
	int32_t		state;

	LLM_TRY(llm_compile_alloc(c->cx, p.proc->states.n_key, sizeof(int32_t), &next));
	memcpy(next, p.next, p.proc->states.n_key * sizeof(int32_t));
	for (size_t i = 0; i < p.actions.n; i++)
	{
		int32_t    *own = &next[LLM_STATE_PARTS + a[i].part];
		bool		fits = child_fits(&p, a[i].schema, fit);

		if (a[i].kind == LLM_ACTION_NEED && !fits)
			*own = -1;
		else if (a[i].kind == LLM_ACTION_ADD && fits && *own >= 0)
			*own += a[i].value;
	}
	if (next[LLM_STATE_OBJECT])
		llm_schema_object_merge(c, p.proc, next);
	LLM_TRY(llm_schema_state(c, p.proc, next, &state));
	return llm_machine_return(&c->build, p.call, exit, state);
}

/* the loop */
static LlmStatus
expand_all(LlmSchemaCompile *c)
{
	bool		more = true;
	size_t		n_seen = 0;		/* calls that have seen all of n_exits */
	size_t		n_exits = 0;

	while (more)
	{
		more = false;
		for (size_t i = 0; i < c->procs.n; i++)
		{
			if (!((LlmValueProc **) c->procs.data)[i]->built)
				LLM_TRY(build_value(c, ((LlmValueProc **) c->procs.data)[i]));
		}
		while (c->work.n > 0)
		{
			const LlmWork w = ((LlmWork *) c->work.data)[--c->work.n];
			int32_t		at = ((int32_t *) w.proc->state_numbers.data)[w.state];
			int32_t    *key;

			more = true;
			LLM_TRY(llm_compile_alloc(c->cx, w.proc->states.n_key, sizeof(int32_t), &key));
			memcpy(key, llm_key_set_get(&w.proc->states, (size_t) w.state), w.proc->states.n_key * sizeof(int32_t));
			LLM_TRY(key[LLM_STATE_OBJECT] ? llm_schema_object_expand(c, w.proc, key, at) :
					llm_schema_array_expand(c, w.proc, key, at));
		}
		if (n_exits != c->n_exits)
			n_seen = 0;
		n_exits = c->n_exits;
		LLM_TRY(llm_compile_steps(c->cx, c->pending.n - n_seen));
		for (size_t i = n_seen; i < c->pending.n; i++)
		{
			const LlmPending *p = (LlmPending *) c->pending.data + i;

			while (p->n_done < p->callee->exits.n)
			{
				int32_t		exit = (int32_t) ((LlmPending *) c->pending.data)[i].n_done++;

				more = true;
				LLM_TRY(see_exit(c, i, exit));
				p = (LlmPending *) c->pending.data + i;
			}
			n_seen = i + 1;
		}
		for (size_t i = 0; i < c->procs.n && !more; i++)
			more = !((LlmValueProc **) c->procs.data)[i]->built;
	}
	return LLM_OK;
}

/* ---- order of keys in V: by their bytes, those that the schema mentions anywhere first ---- */

static LlmStatus
rank_keys(LlmSchemaCompile *c, const LlmJson *v)
{
	for (size_t i = 0; i < v->n; i++)
	{
		LLM_TRY(llm_compile_steps(c->cx, 1));
		if (v->kind == LLM_JSON_OBJECT)
			LLM_TRY(llm_vec_push(c->cx, &c->ranked, &v->keys[i], sizeof(LlmStr)));
		else if (v->items[i]->kind == LLM_JSON_STRING)
			LLM_TRY(llm_vec_push(c->cx, &c->ranked, &v->items[i]->text, sizeof(LlmStr)));
		LLM_TRY(rank_keys(c, v->items[i]));
	}
	return LLM_OK;
}

static int
compare_strings(const void *a, const void *b)
{
	const LlmStr *x = a;
	const LlmStr *y = b;
	size_t		n = x->len < y->len ? x->len : y->len;
	int			order = n ? memcmp(x->data, y->data, n) : 0;

	return order ? order : (x->len > y->len) - (x->len < y->len);
}

size_t
llm_schema_rank(const LlmSchemaCompile *c, LlmStr key)
{
	const LlmStr *found = c->ranked.n ? bsearch(&key, c->ranked.data, c->ranked.n, sizeof(LlmStr), compare_strings) : NULL;

	if (!found)
		return SIZE_MAX;
	while (found > (LlmStr *) c->ranked.data && compare_strings(found - 1, &key) == 0)
		found--;
	return (size_t) (found - (LlmStr *) c->ranked.data);
}

/* ---- the whole ---- */

LlmStatus
llm_schema_compile(LlmSchemaCompile *c, LlmCompile *cx, const LlmJson *schema, bool offered, bool compact, LlmMachine *m)
{
	static const char digits[] = "^-?[0-9]{1,16}(\\.[0-9]{1,16})?$";
	LlmVec		must = {0};
	LlmVec		open = {0};
	LlmValueProc *whole;
	LlmDfa	   *d;
	int32_t		root;

	memset(c, 0, sizeof(*c));
	c->cx = cx;
	c->offered = offered;
	c->compact = compact;
	c->build.cx = cx;
	LLM_TRY(llm_schemas_init(&c->schemas, cx, schema, offered));
	LLM_TRY(rank_keys(c, schema));
	if (c->ranked.n > 0)
		qsort(c->ranked.data, c->ranked.n, sizeof(LlmStr), compare_strings);
	LLM_TRY(llm_dfa_length(cx, 0, UINT32_MAX, &d));
	c->utf8 = d;
	LLM_TRY(llm_regex_dfa(cx, (LlmStr) {digits, sizeof(digits) - 1}, &d));
	c->short_number = d;
	LLM_TRY(llm_schemas_of(&c->schemas, schema, &root));
	if (root != LLM_SCHEMA_TRUE)
		LLM_TRY(llm_vec_push(cx, &must, &root, sizeof(root)));
	LLM_TRY(find_proc(c, &must, &open, &whole));
	LLM_TRY(expand_all(c));
	LLM_TRY(llm_machine_finish(&c->build, m));
	m->open_keys = c->open_keys;
	m->counts_keys = c->counts_keys;
	return LLM_OK;
}
