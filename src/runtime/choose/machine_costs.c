/*
 * machine_costs.c: the least number of bytes from each state to each exit of its procedure, and what has no way to one.
 *
 * Costs are found by rounds over all states until nothing gets cheaper. What leads nowhere is left out, so that a run never begins
 * what it cannot end.
 */
#include "choose/machine.h"

#include <string.h>

static int32_t
add_cost(int32_t a, int32_t b)
{
	return a == LLM_COST_NONE || b == LLM_COST_NONE || a > LLM_COST_NONE - 1 - b ? LLM_COST_NONE : a + b;
}

/* a cheaper way from s to an exit; true if there is one */
static bool
improve_cost(const LlmMachine *m, const LlmState *s)
{
	const int32_t n_exits = m->procs[s->proc].n_exits;
	bool		changed = false;

	for (int32_t e = 0; e < n_exits; e++)
	{
		int32_t		best = s->exit == e ? 0 : LLM_COST_NONE;

		for (int32_t i = s->first_edge; i < s->first_edge + s->n_edges; i++)
		{
			int32_t		cost = add_cost(1, m->costs[m->states[m->edges[i].to].cost + e]);

			best = cost < best ? cost : best;
		}
		for (int32_t c = s->call; c >= 0; c = m->calls[c].next)
		{
			const LlmCall *call = &m->calls[c];
			const LlmState *entry = &m->states[m->procs[call->proc].entry];

			for (int32_t x = 0; x < m->procs[call->proc].n_exits; x++)
			{
				int32_t		back = m->returns[call->returns + x];
				int32_t		cost = back < 0 ? LLM_COST_NONE : add_cost(m->costs[entry->cost + x], m->costs[m->states[back].cost + e]);

				best = cost < best ? cost : best;
			}
		}
		if (best < m->costs[s->cost + e])
		{
			m->costs[s->cost + e] = best;
			changed = true;
		}
	}
	return changed;
}

static bool
is_dead(const LlmMachine *m, int32_t state)
{
	const LlmState *s = &m->states[state];

	for (int32_t e = 0; e < m->procs[s->proc].n_exits; e++)
	{
		if (m->costs[s->cost + e] != LLM_COST_NONE)
			return false;
	}
	return true;
}

/* a state on the way of a search, and which of its successors comes next */
typedef struct SearchStep
{
	int32_t		state;
	int32_t		edge;
	int32_t		call;			/* -1: none is left */
	int32_t		exit;			/* of call; -1: the procedure's entry */
} SearchStep;

/* the next state that the costs of a state depend on; -1: that was the last */
static int32_t
next_successor(const LlmMachine *m, SearchStep *step)
{
	const LlmState *s = &m->states[step->state];

	if (step->edge < s->n_edges)
		return m->edges[s->first_edge + step->edge++].to;
	while (step->call >= 0)
	{
		const LlmCall *call = &m->calls[step->call];
		const LlmProc *callee = &m->procs[call->proc];
		int32_t		to = step->exit < 0 ? callee->entry : m->returns[call->returns + step->exit];

		if (++step->exit >= callee->n_exits)
		{
			step->call = call->next;
			step->exit = -1;
		}
		if (to >= 0)
			return to;
	}
	return -1;
}

/* all states, each after those that it leads to where there are no cycles: so few rounds find the costs of a long way */
static LlmStatus
order_states(LlmCompile *cx, const LlmMachine *m, int32_t *order)
{
	SearchStep *steps;
	uint8_t    *met;
	int32_t		n = 0;

	LLM_TRY(llm_compile_alloc(cx, m->n_states, sizeof(*steps), &steps));
	LLM_TRY(llm_compile_alloc(cx, m->n_states, 1, &met));
	for (int32_t first = 0; first < m->n_states; first++)
	{
		int32_t		depth = 0;

		if (met[first])
			continue;
		met[first] = 1;
		steps[0] = (SearchStep) {.state = first, .call = m->states[first].call, .exit = -1};
		while (depth >= 0)
		{
			int32_t		to = next_successor(m, &steps[depth]);

			LLM_TRY(llm_compile_poll(cx, 4));
			if (to < 0)
				order[n++] = steps[depth--].state;
			else if (!met[to])
			{
				met[to] = 1;
				steps[++depth] = (SearchStep) {.state = to, .call = m->states[to].call, .exit = -1};
			}
		}
	}
	return LLM_OK;
}

static LlmStatus
find_costs(LlmCompile *cx, LlmMachine *m)
{
	bool		changed = true;
	size_t		n = 0;
	int32_t    *order;

	for (int32_t s = 0; s < m->n_states; s++)
	{
		m->states[s].cost = (int32_t) n;
		n += (size_t) m->procs[m->states[s].proc].n_exits;
		if (n > 8 * LLM_GRAMMAR_MAX_STATES)
			return llm_compile_states(cx, n);
	}
	m->n_costs = (int32_t) n;
	LLM_TRY(llm_compile_alloc(cx, n, sizeof(int32_t), &m->costs));
	for (size_t i = 0; i < n; i++)
		m->costs[i] = LLM_COST_NONE;
	LLM_TRY(llm_compile_alloc(cx, m->n_states, sizeof(int32_t), &order));
	LLM_TRY(order_states(cx, m, order));
	while (changed)
	{
		changed = false;
		LLM_TRY(llm_compile_steps(cx, (uint64_t) (m->n_states / 2 + m->n_edges / 8)));
		for (int32_t i = 0; i < m->n_states; i++)
		{
			const LlmState *s = &m->states[order[i]];

			LLM_TRY(llm_compile_poll(cx, 4 * (uint64_t) s->n_edges + 8));
			changed |= improve_cost(m, s);
		}
	}
	return LLM_OK;
}

/* leave out edges, calls and returns to states without an end */
static LlmStatus
drop_dead(LlmCompile *cx, LlmMachine *m)
{
	for (int32_t i = 0; i < m->n_returns; i++)
	{
		if (m->returns[i] >= 0 && is_dead(m, m->returns[i]))
			m->returns[i] = -1;
	}
	m->certain = true;
	for (int32_t i = 0; i < m->n_states; i++)
	{
		LlmState   *s = &m->states[i];
		int32_t		n = 0;
		int32_t    *link = &s->call;

		LLM_TRY(llm_compile_poll(cx, 4 * (uint64_t) s->n_edges + 8));
		for (int32_t k = 0; k < s->n_edges; k++)
		{
			LlmEdge		e = m->edges[s->first_edge + k];

			if (!is_dead(m, e.to))
				m->edges[s->first_edge + n++] = e;
		}
		s->n_edges = n;
		while (*link >= 0)
		{
			LlmCall    *c = &m->calls[*link];
			const LlmState *entry = &m->states[m->procs[c->proc].entry];
			bool		any = false;
			bool		all = true;

			for (int32_t x = 0; x < m->procs[c->proc].n_exits; x++)
			{
				if (m->costs[entry->cost + x] == LLM_COST_NONE)
					continue;
				any |= m->returns[c->returns + x] >= 0;
				all &= m->returns[c->returns + x] >= 0;
			}
			if (any)
			{
				m->certain &= all || is_dead(m, i);
				link = &c->next;
			}
			else
				*link = c->next;
		}
	}
	return LLM_OK;
}

/*
 * Exits that every caller is lost by (no schema fits) are no exits: so states that lead only there are left out too. True if there were any.
 */
static LlmStatus
drop_exits(LlmCompile *cx, LlmMachine *m, bool *changed)
{
	int32_t    *first;			/* of each procedure in wanted */
	uint8_t    *wanted;
	int32_t		n = 0;

	*changed = false;
	LLM_TRY(llm_compile_alloc(cx, m->n_procs, sizeof(int32_t), &first));
	for (int32_t p = 0; p < m->n_procs; p++)
	{
		first[p] = n;
		n += m->procs[p].n_exits;
	}
	LLM_TRY(llm_compile_alloc(cx, n, 1, &wanted));
	wanted[0] = 1;				/* the end of the whole */
	for (int32_t i = 0; i < m->n_states; i++)
	{
		LLM_TRY(llm_compile_poll(cx, 16));
		if (is_dead(m, i))
			continue;
		for (int32_t c = m->states[i].call; c >= 0; c = m->calls[c].next)
		{
			const LlmCall *call = &m->calls[c];

			for (int32_t x = 0; x < m->procs[call->proc].n_exits; x++)
				wanted[first[call->proc] + x] |= m->returns[call->returns + x] >= 0 && !is_dead(m, m->returns[call->returns + x]);
		}
	}
	for (int32_t i = 0; i < m->n_states; i++)
	{
		LlmState   *s = &m->states[i];

		if (s->exit < 0 || wanted[first[s->proc] + s->exit])
			continue;
		s->exit = -1;
		*changed = true;
	}
	return LLM_OK;
}

LlmStatus
llm_machine_costs(LlmCompile *cx, LlmMachine *m)
{
	for (bool changed = true; changed;)
	{
		LLM_TRY(find_costs(cx, m));
		LLM_TRY(drop_exits(cx, m, &changed));
	}
	return drop_dead(cx, m);
}
