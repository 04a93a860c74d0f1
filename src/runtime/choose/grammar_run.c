/*
 * grammar_run.c: steps of the set of (state, stack).
 */
#include "choose/grammar_run.h"

#include <string.h>

/* more than this at once, and a grammar is too ambiguous */
#define MAX_CONFIGS 1024
#define COMPACT_PLACES 4096

static const LlmConfig *
config(const LlmBuf *configs, size_t i)
{
	return (const LlmConfig *) configs->data + i;
}

static int32_t
add_cost(int32_t a, int32_t b)
{
	return a == LLM_COST_NONE || b == LLM_COST_NONE || a > LLM_COST_NONE - 1 - b ? LLM_COST_NONE : a + b;
}

/* bytes to the end once the procedure on top of stack ends by exit */
static int32_t
cost_after(const LlmGrammarRun *run, int32_t stack, int32_t exit)
{
	if (stack == LLM_STACK_END)
		return exit == 0 ? 0 : LLM_COST_NONE;
	if (stack == LLM_STACK_UNKNOWN)
		return 0;
	return ((const int32_t *) run->costs.data)[LLM_RUN_PLACES(run)[stack].cost + exit];
}

static int32_t
cost_of(const LlmGrammarRun *run, int32_t state, int32_t stack)
{
	const LlmMachine *m = &run->g->m;
	const LlmState *s = &m->states[state];
	int32_t		best = LLM_COST_NONE;

	for (int32_t e = 0; e < m->procs[s->proc].n_exits; e++)
	{
		int32_t		cost = m->costs[s->cost + e] == LLM_COST_NONE ? LLM_COST_NONE :
			add_cost(m->costs[s->cost + e], cost_after(run, stack, e));

		best = cost < best ? cost : best;
	}
	return best;
}

LlmStatus
llm_run_push(LlmGrammarRun *run, int32_t below, int32_t returns, int32_t proc, int32_t *place, LlmError *err)
{
	const LlmMachine *m = &run->g->m;
	LlmStackPlace p = {below, returns, proc, (int32_t) (run->costs.len / sizeof(int32_t))};

	*place = (int32_t) (run->places.len / sizeof(p));
	for (int32_t e = 0; e < m->procs[proc].n_exits; e++)
	{
		int32_t		to = m->returns[returns + e];
		int32_t		cost = to < 0 ? LLM_COST_NONE : cost_of(run, to, below);

		LLM_TRY(llm_buf_append(&run->costs, &cost, sizeof(cost), err));
	}
	return llm_buf_append(&run->places, &p, sizeof(p), err);
}

static bool
same_stack(const LlmGrammarRun *run, int32_t a, int32_t b)
{
	const LlmStackPlace *p = LLM_RUN_PLACES(run);

	while (a != b)
	{
		if (a < 0 || b < 0 || p[a].returns != p[b].returns)
			return false;
		a = p[a].below;
		b = p[b].below;
	}
	return true;
}

static bool
is_there(const LlmGrammarRun *run, const LlmBuf *configs, size_t from, int32_t state, int32_t stack)
{
	for (size_t i = from; i < configs->len / sizeof(LlmConfig); i++)
	{
		if (config(configs, i)->state == state && same_stack(run, config(configs, i)->stack, stack))
			return true;
	}
	return false;
}

/* does a state do nothing but end by exit 0? Then a call that returns there needs no place of its own. */
static bool
only_ends(const LlmMachine *m, int32_t state)
{
	const LlmState *s = &m->states[state];

	return s->exit == 0 && s->n_edges == 0 && s->call < 0;
}

static LlmStatus
add_calls(LlmGrammarRun *run, LlmBuf *configs, size_t from, const LlmState *s, int32_t stack, LlmError *err)
{
	const LlmMachine *m = &run->g->m;

	for (int32_t c = s->call; c >= 0; c = m->calls[c].next)
	{
		const LlmCall *call = &m->calls[c];
		int32_t		place = stack;

		if (m->procs[call->proc].n_exits != 1 || !only_ends(m, m->returns[call->returns]))
			LLM_TRY(llm_run_push(run, stack, call->returns, call->proc, &place, err));
		LLM_TRY(llm_run_add(run, configs, from, m->procs[call->proc].entry, place, err));
	}
	return LLM_OK;
}

LlmStatus
llm_run_add(LlmGrammarRun *run, LlmBuf *configs, size_t from, int32_t state, int32_t stack, LlmError *err)
{
	const LlmMachine *m = &run->g->m;

	for (;;)
	{
		const LlmState *s = &m->states[state];
		LlmConfig	c = {state, stack};

		if (is_there(run, configs, from, state, stack) || cost_of(run, state, stack) == LLM_COST_NONE)
			return LLM_OK;
		if (configs->len / sizeof(LlmConfig) - from >= MAX_CONFIGS)
		{
			LlmStatus	status = llm_fail(err, LLM_E_LIMIT, "the grammar can be read in more than %d ways at once", MAX_CONFIGS);

			llm_error_hint(err, "Write the grammar so that fewer rules begin alike.");
			return status;
		}

		/* states that only call or end are kept too: they tell that they were visited */
		LLM_TRY(llm_buf_append(configs, &c, sizeof(c), err));
		if (s->call >= 0)
			LLM_TRY(add_calls(run, configs, from, s, stack, err));
		if (s->exit < 0 || stack == LLM_STACK_END)
			return LLM_OK;
		if (stack == LLM_STACK_UNKNOWN)
			return llm_buf_append(&run->popped, &s->exit, sizeof(s->exit), err);
		state = m->returns[LLM_RUN_PLACES(run)[stack].returns + s->exit];
		stack = LLM_RUN_PLACES(run)[stack].below;
		if (state < 0)
			return LLM_OK;
	}
}

static int32_t
next_state(const LlmMachine *m, int32_t state, uint8_t byte)
{
	const LlmState *s = &m->states[state];
	const LlmEdge *e = m->edges + s->first_edge;

	for (int32_t i = 0; i < s->n_edges && e[i].first <= byte; i++)
	{
		if (byte <= e[i].last)
			return e[i].to;
	}
	return -1;
}

LlmStatus
llm_run_step(LlmGrammarRun *run, LlmBuf *configs, size_t begin, size_t end, uint8_t byte, LlmError *err)
{
	const size_t from = configs->len / sizeof(LlmConfig);

	for (size_t i = begin; i < end; i++)
	{
		int32_t		to = next_state(&run->g->m, config(configs, i)->state, byte);

		if (to >= 0)
			LLM_TRY(llm_run_add(run, configs, from, to, config(configs, i)->stack, err));
	}
	return LLM_OK;
}

/* ---- a run ---- */

LlmStatus
llm_run_init(LlmGrammarRun *run, const LlmGrammar *g, const LlmAllocator *a, LlmError *err)
{
	LlmStatus	status;

	memset(run, 0, sizeof(*run));
	run->g = g;
	run->allocator = a;
	llm_buf_init(&run->places, a);
	llm_buf_init(&run->costs, a);
	llm_buf_init(&run->configs, a);
	llm_buf_init(&run->next, a);
	llm_buf_init(&run->popped, a);
	status = llm_run_add(run, &run->configs, 0, g->m.procs[0].entry, LLM_STACK_END, err);
	if (status != LLM_OK)
		llm_run_free(run);
	return status;
}

void
llm_run_free(LlmGrammarRun *run)
{
	llm_buf_free(&run->places);
	llm_buf_free(&run->costs);
	llm_buf_free(&run->configs);
	llm_buf_free(&run->next);
	llm_buf_free(&run->popped);
}

/* keep only the places that configs use, in their order, so that `below` stays smaller than its place */
static LlmStatus
compact(LlmGrammarRun *run, LlmError *err)
{
	const size_t n = run->places.len / sizeof(LlmStackPlace);
	LlmStackPlace *p = LLM_RUN_PLACES(run);
	LlmConfig  *c = (LlmConfig *) run->configs.data;
	int32_t    *costs = (int32_t *) run->costs.data;
	int32_t    *number;
	size_t		kept = 0;
	size_t		n_costs = 0;
	void	   *ptr;

	LLM_TRY(llm_alloc_zero(run->allocator, n, sizeof(int32_t), &ptr, err));
	number = ptr;
	for (size_t i = 0; i < LLM_RUN_N_CONFIGS(run); i++)
	{
		for (int32_t s = c[i].stack; s >= 0 && !number[s]; s = p[s].below)
			number[s] = 1;
	}
	for (size_t i = 0; i < n; i++)
	{
		const int32_t n_exits = run->g->m.procs[p[i].proc].n_exits;
		LlmStackPlace one = p[i];

		if (!number[i])
			continue;
		if (one.below >= 0)
			one.below = number[one.below] - 1;
		memmove(costs + n_costs, costs + one.cost, (size_t) n_exits * sizeof(int32_t));
		one.cost = (int32_t) n_costs;
		n_costs += (size_t) n_exits;
		p[kept++] = one;
		number[i] = (int32_t) kept;
	}
	for (size_t i = 0; i < LLM_RUN_N_CONFIGS(run); i++)
	{
		if (c[i].stack >= 0)
			c[i].stack = number[c[i].stack] - 1;
	}
	run->places.len = kept * sizeof(LlmStackPlace);
	run->costs.len = n_costs * sizeof(int32_t);
	llm_free(run->allocator, ptr);
	return LLM_OK;
}

LlmStatus
llm_run_copy(const LlmGrammarRun *run, LlmGrammarRun *copy, LlmError *err)
{
	LlmStatus	status;

	memset(copy, 0, sizeof(*copy));
	copy->g = run->g;
	copy->allocator = run->allocator;
	llm_buf_init(&copy->places, run->allocator);
	llm_buf_init(&copy->costs, run->allocator);
	llm_buf_init(&copy->configs, run->allocator);
	llm_buf_init(&copy->next, run->allocator);
	llm_buf_init(&copy->popped, run->allocator);
	status = llm_buf_append(&copy->places, run->places.data, run->places.len, err);
	if (status == LLM_OK)
		status = llm_buf_append(&copy->costs, run->costs.data, run->costs.len, err);
	if (status == LLM_OK)
		status = llm_buf_append(&copy->configs, run->configs.data, run->configs.len, err);
	if (status != LLM_OK)
		llm_run_free(copy);
	return status;
}

/* places made since stay until the run is settled */
void
llm_run_undo(LlmGrammarRun *run)
{
	LlmBuf		old = run->next;

	run->next = run->configs;
	run->configs = old;
}

LlmStatus
llm_run_settle(LlmGrammarRun *run, LlmError *err)
{
	return run->places.len / sizeof(LlmStackPlace) > COMPACT_PLACES ? compact(run, err) : LLM_OK;
}

LlmStatus
llm_run_bytes(LlmGrammarRun *run, const char *bytes, size_t n, bool *alive, LlmError *err)
{
	const size_t places = run->places.len;
	const size_t costs = run->costs.len;
	LlmStatus	status = LLM_OK;

	*alive = true;
	run->next.len = 0;
	LLM_TRY(llm_buf_append(&run->next, run->configs.data, run->configs.len, err));
	for (size_t i = 0; i < n && *alive && status == LLM_OK; i++)
	{
		size_t		end = run->next.len / sizeof(LlmConfig);

		status = llm_run_step(run, &run->next, 0, end, (uint8_t) bytes[i], err);
		if (status != LLM_OK)
			break;
		memmove(run->next.data, run->next.data + end * sizeof(LlmConfig), run->next.len - end * sizeof(LlmConfig));
		run->next.len -= end * sizeof(LlmConfig);
		*alive = run->next.len > 0;
	}
	if (status == LLM_OK && *alive)
	{
		LlmBuf		old = run->configs;

		run->configs = run->next;
		run->next = old;
	}
	else
	{
		run->places.len = places;
		run->costs.len = costs;
	}
	return status;
}

bool
llm_run_ended(const LlmGrammarRun *run)
{
	if (!llm_run_complete(run))
		return false;
	for (size_t i = 0; i < LLM_RUN_N_CONFIGS(run); i++)
	{
		const LlmConfig *c = &LLM_RUN_CONFIGS(run)[i];
		const LlmState *s = &run->g->m.states[c->state];

		for (int32_t k = 0; k < s->n_edges; k++)
		{
			if (cost_of(run, run->g->m.edges[s->first_edge + k].to, c->stack) != LLM_COST_NONE)
				return false;
		}
	}
	return true;
}

bool
llm_run_complete(const LlmGrammarRun *run)
{
	for (size_t i = 0; i < LLM_RUN_N_CONFIGS(run); i++)
	{
		const LlmConfig *c = &LLM_RUN_CONFIGS(run)[i];

		if (c->stack == LLM_STACK_END && run->g->m.states[c->state].exit == 0)
			return true;
	}
	return false;
}

int32_t
llm_run_cost(const LlmGrammarRun *run)
{
	int32_t		best = LLM_COST_NONE;

	for (size_t i = 0; i < LLM_RUN_N_CONFIGS(run); i++)
	{
		int32_t		cost = cost_of(run, LLM_RUN_CONFIGS(run)[i].state, LLM_RUN_CONFIGS(run)[i].stack);

		best = cost < best ? cost : best;
	}
	return best;
}

int
llm_run_forced(const LlmGrammarRun *run)
{
	int			forced = -1;

	if (llm_run_complete(run))
		return -1;
	for (size_t i = 0; i < LLM_RUN_N_CONFIGS(run); i++)
	{
		const LlmConfig *c = &LLM_RUN_CONFIGS(run)[i];
		const LlmState *s = &run->g->m.states[c->state];

		for (int32_t k = 0; k < s->n_edges; k++)
		{
			const LlmEdge *e = &run->g->m.edges[s->first_edge + k];

			/* where an exit may be closed to this stack, an edge may lead nowhere */
			if (!run->g->m.certain && cost_of(run, e->to, c->stack) == LLM_COST_NONE)
				continue;
			if (e->first != e->last || (forced >= 0 && forced != e->first))
				return -1;
			forced = e->first;
		}
	}
	return forced;
}

/* the first byte of an edge that is not taken; 256: all are */
static int
free_byte(const LlmEdge *e, const uint32_t taken[8])
{
	for (int b = e->first; b <= e->last; b++)
	{
		if (!(taken[b >> 5] >> (b & 31) & 1))
			return b;
	}
	return 256;
}

int32_t
llm_run_cheapest(const LlmGrammarRun *run, const uint32_t taken[8], int *byte)
{
	int32_t		best = LLM_COST_NONE;

	for (size_t i = 0; i < LLM_RUN_N_CONFIGS(run); i++)
	{
		const LlmConfig *c = &LLM_RUN_CONFIGS(run)[i];
		const LlmState *s = &run->g->m.states[c->state];

		for (int32_t k = 0; k < s->n_edges; k++)
		{
			const LlmEdge *e = &run->g->m.edges[s->first_edge + k];
			int			b = free_byte(e, taken);
			int32_t		cost = b == 256 ? LLM_COST_NONE : cost_of(run, e->to, c->stack);

			if (cost < best || (cost == best && best != LLM_COST_NONE && b < *byte))
			{
				best = cost;
				*byte = b;
			}
		}
	}
	return best;
}

LlmStatus
llm_run_shortest(const LlmGrammarRun *run, LlmBuf *out, LlmError *err)
{
	static const uint32_t none[8];
	LlmGrammarRun way;
	LlmStatus	status;

	LLM_TRY(llm_run_copy(run, &way, err));
	status = LLM_OK;
	while (status == LLM_OK && !llm_run_complete(&way))
	{
		int			best;
		char		byte;
		bool		alive;

		if (llm_run_cheapest(&way, none, &best) == LLM_COST_NONE)
		{
			status = llm_fail(err, LLM_E_LIMIT, "a grammar has no end");	/* cannot be: dead states are left out */
			break;
		}
		byte = (char) best;
		status = llm_run_bytes(&way, &byte, 1, &alive, err);
		if (status == LLM_OK)
			status = llm_run_settle(&way, err);
		if (status == LLM_OK)
			status = llm_buf_append(out, &byte, 1, err);
	}
	llm_run_free(&way);
	return status;
}
