/*
 * machine.c: building a machine, and what is known of its states once it is whole.
 *
 * Costs and runs are fixed points: swept from the last state to the first (later states were met later, so most ways go forward)
 * until nothing changes.
 */
#include "choose/machine.h"

#include <string.h>

LlmStatus
llm_machine_proc(LlmMachineBuild *b, int32_t *proc)
{
	LlmProc		p = {-1, 1};

	*proc = (int32_t) b->procs.n;
	return llm_vec_push(b->cx, &b->procs, &p, sizeof(p));
}

LlmStatus
llm_machine_state(LlmMachineBuild *b, int32_t proc, int32_t *state)
{
	LlmState	s = {0, 0, -1, -1, proc, 0};

	LLM_TRY(llm_compile_steps(b->cx, 1));
	LLM_TRY(llm_compile_states(b->cx, b->states.n + 1));
	*state = (int32_t) b->states.n;
	return llm_vec_push(b->cx, &b->states, &s, sizeof(s));
}

LlmStatus
llm_machine_edges(LlmMachineBuild *b, int32_t state, const int32_t to[256])
{
	LlmState   *s = (LlmState *) b->states.data + state;

	s->first_edge = (int32_t) b->edges.n;
	for (int k = 0; k < 256;)
	{
		LlmEdge		e = {(uint8_t) k, 0, to[k]};

		while (k < 256 && to[k] == e.to)
			k++;
		e.last = (uint8_t) (k - 1);
		if (e.to >= 0)
			LLM_TRY(llm_vec_push(b->cx, &b->edges, &e, sizeof(e)));
	}
	s->n_edges = (int32_t) b->edges.n - s->first_edge;
	return LLM_OK;
}

LlmStatus
llm_machine_chain(LlmMachineBuild *b, int32_t proc, const char *bytes, size_t n, int32_t end, int32_t *state)
{
	*state = end;
	for (size_t i = n; i-- > 0;)
	{
		int32_t		to[256];
		int32_t		s;

		memset(to, -1, sizeof(to));
		to[(uint8_t) bytes[i]] = *state;
		LLM_TRY(llm_machine_state(b, proc, &s));
		LLM_TRY(llm_machine_edges(b, s, to));
		*state = s;
	}
	return LLM_OK;
}

LlmStatus
llm_machine_call(LlmMachineBuild *b, int32_t state, int32_t proc, int32_t *call)
{
	LlmState   *s = (LlmState *) b->states.data + state;
	LlmCall		c = {proc, (int32_t) b->return_lists.n, s->call};
	LlmVec		none = {0};

	*call = (int32_t) b->calls.n;
	s->call = *call;
	LLM_TRY(llm_vec_push(b->cx, &b->calls, &c, sizeof(c)));
	return llm_vec_push(b->cx, &b->return_lists, &none, sizeof(none));
}

LlmStatus
llm_machine_return(LlmMachineBuild *b, int32_t call, int32_t exit, int32_t state)
{
	LlmVec	   *list = (LlmVec *) b->return_lists.data + ((LlmCall *) b->calls.data)[call].returns;
	const int32_t none = -1;

	while (list->n <= (size_t) exit)
		LLM_TRY(llm_vec_push(b->cx, list, &none, sizeof(none)));
	((int32_t *) list->data)[exit] = state;
	return LLM_OK;
}

void
llm_machine_exit(LlmMachineBuild *b, int32_t state, int32_t exit)
{
	LlmState   *s = (LlmState *) b->states.data + state;
	LlmProc    *p = (LlmProc *) b->procs.data + s->proc;

	s->exit = exit;
	if (exit >= p->n_exits)
		p->n_exits = exit + 1;
}

LlmStatus
llm_machine_dfa(LlmMachineBuild *b, int32_t proc, const LlmDfa *d, const int32_t *target, int32_t *first)
{
	int32_t    *number;			/* of each state */

	LLM_TRY(llm_compile_alloc(b->cx, d->n_states, sizeof(int32_t), &number));
	for (int32_t s = 0; s < d->n_states; s++)
	{
		if (target && d->label[s] >= 0)
			number[s] = target[d->label[s]];
		else
		{
			LLM_TRY(llm_machine_state(b, proc, &number[s]));
			if (d->label[s] >= 0)
				llm_machine_exit(b, number[s], d->label[s]);
		}
	}
	*first = number[0];
	for (int32_t s = 0; s < d->n_states; s++)
	{
		int32_t		to[256];

		if (target && d->label[s] >= 0)
			continue;
		LLM_TRY(llm_compile_poll(b->cx, 512));
		for (int k = 0; k < 256; k++)
		{
			int32_t		next = llm_dfa_next(d, s, (uint8_t) k);

			to[k] = next < 0 ? -1 : number[next];
		}
		LLM_TRY(llm_compile_steps(b->cx, 8));
		LLM_TRY(llm_machine_edges(b, number[s], to));
	}
	return LLM_OK;
}

/* ---- runs of plain characters ---- */

static int32_t
edge_to(const LlmMachine *m, int32_t state, int byte)
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

/* least run after n more continuation bytes, the first of them from first to last */
static int
run_after(const LlmMachine *m, int32_t state, int n, int first, int last)
{
	int			least = LLM_RUN_MAX;

	for (int b = first; b <= last && least > -1;)
	{
		const LlmState *s = &m->states[state];
		const LlmEdge *e = m->edges + s->first_edge;
		int32_t		i = 0;
		int			run;

		while (i < s->n_edges && e[i].last < b)
			i++;
		if (i == s->n_edges || e[i].first > b)
			return -1;
		run = n == 1 ? m->runs[e[i].to] : run_after(m, e[i].to, n - 1, 0x80, 0xBF);
		least = run < least ? run : least;
		b = e[i].last + 1;
	}
	return least;
}

/* plain characters by lead byte: then so many continuation bytes, the first of them in a range (table 3-7 of Unicode) */
static const struct
{
	uint8_t		lead, lead_last, n, first, last;
}			form[] = {
	{0xC2, 0xDF, 1, 0x80, 0xBF}, {0xE0, 0xE0, 2, 0xA0, 0xBF}, {0xE1, 0xEC, 2, 0x80, 0xBF}, {0xED, 0xED, 2, 0x80, 0x9F},
	{0xEE, 0xEF, 2, 0x80, 0xBF}, {0xF0, 0xF0, 3, 0x90, 0xBF}, {0xF1, 0xF3, 3, 0x80, 0xBF}, {0xF4, 0xF4, 3, 0x80, 0x8F},
};

static int
run_of(const LlmMachine *m, int32_t state)
{
	int			least = run_after(m, state, 1, ' ', '!');
	int			run = run_after(m, state, 1, '#', '[');

	least = run < least ? run : least;
	run = run_after(m, state, 1, ']', '~');
	least = run < least ? run : least;
	for (size_t i = 0; i < sizeof(form) / sizeof(form[0]) && least >= 0; i++)
	{
		int32_t		before = -1;

		for (int lead = form[i].lead; lead <= form[i].lead_last; lead++)
		{
			int32_t		to = edge_to(m, state, lead);

			if (to < 0)
				return 0;
			if (to == before)
				continue;
			before = to;
			run = run_after(m, to, form[i].n, form[i].first, form[i].last);
			least = run < least ? run : least;
		}
	}
	return least < 0 ? 0 : least < LLM_RUN_MAX ? least + 1 : LLM_RUN_MAX;
}

static LlmStatus
find_runs(LlmCompile *cx, LlmMachine *m)
{
	bool		changed = true;

	LLM_TRY(llm_compile_alloc(cx, m->n_states, 1, &m->runs));
	for (int32_t s = 0; s < m->n_states; s++)
		m->runs[s] = edge_to(m, s, ' ') >= 0 && edge_to(m, s, '~') >= 0 && edge_to(m, s, 0xF4) >= 0 ? LLM_RUN_MAX : 0;
	while (changed)
	{
		changed = false;
		for (int32_t s = m->n_states - 1; s >= 0; s--)
		{
			int			run;

			if (m->runs[s] == 0)
				continue;
			LLM_TRY(llm_compile_steps(cx, 8));
			run = run_of(m, s);
			if (run < m->runs[s])
			{
				m->runs[s] = (uint8_t) run;
				changed = true;
			}
		}
	}
	return LLM_OK;
}

/* do n more continuation bytes, the first of them from first to last, always lead to states that stop after run? */
static bool
stops_after(const LlmMachine *m, int32_t state, int n, int first, int last, int run)
{
	const LlmState *s = &m->states[state];

	for (const LlmEdge *e = m->edges + s->first_edge; e < m->edges + s->first_edge + s->n_edges; e++)
	{
		if (e->last < first || e->first > last)
			continue;
		if (n == 1 ? m->runs[e->to] != run || !m->stops[e->to] : !stops_after(m, e->to, n - 1, 0x80, 0xBF, run))
			return false;
	}
	return true;
}

/* states with a run of 0 stop if no plain character can come, by a return or a call neither; others if all lead to states that stop one earlier */
static bool
stops(const LlmMachine *m, int32_t state)
{
	const int	run = m->runs[state];
	const LlmState *s = &m->states[state];

	if (run == 0)
	{
		if (s->exit >= 0 || s->call >= 0)
			return false;
		for (const LlmEdge *e = m->edges + s->first_edge; e < m->edges + s->first_edge + s->n_edges; e++)
		{
			for (int b = e->first; b <= e->last; b++)
			{
				if (b >= ' ' && b != '"' && b != '\\' && b != 0x7F)
					return false;
			}
		}
		return true;
	}
	if (!stops_after(m, state, 1, ' ', '!', run - 1) || !stops_after(m, state, 1, '#', '[', run - 1) ||
		!stops_after(m, state, 1, ']', '~', run - 1))
		return false;
	for (size_t i = 0; i < sizeof(form) / sizeof(form[0]); i++)
	{
		for (int lead = form[i].lead; lead <= form[i].lead_last; lead++)
		{
			int32_t		to = edge_to(m, state, lead);

			if (to >= 0 && (lead == form[i].lead || to != edge_to(m, state, lead - 1)) &&
				!stops_after(m, to, form[i].n, form[i].first, form[i].last, run - 1))
				return false;
		}
	}
	return true;
}

static LlmStatus
find_stops(LlmCompile *cx, LlmMachine *m)
{
	bool		changed = true;

	LLM_TRY(llm_compile_alloc(cx, m->n_states, 1, &m->stops));
	while (changed)
	{
		changed = false;
		for (int32_t s = m->n_states - 1; s >= 0; s--)
		{
			if (m->stops[s] || m->runs[s] == LLM_RUN_MAX)
				continue;
			LLM_TRY(llm_compile_steps(cx, 1));
			LLM_TRY(llm_compile_poll(cx, 16 * (uint64_t) m->states[s].n_edges));
			if (stops(m, s))
			{
				m->stops[s] = 1;
				changed = true;
			}
		}
	}
	return LLM_OK;
}

/* returns of each call side by side */
static LlmStatus
lay_returns(LlmMachineBuild *b, LlmMachine *m)
{
	int32_t		n = 0;

	for (int32_t c = 0; c < m->n_calls; c++)
		n += m->procs[m->calls[c].proc].n_exits;
	LLM_TRY(llm_compile_alloc(b->cx, n, sizeof(int32_t), &m->returns));
	m->n_returns = n;
	n = 0;
	for (int32_t c = 0; c < m->n_calls; c++)
	{
		const LlmVec *list = (LlmVec *) b->return_lists.data + m->calls[c].returns;

		m->calls[c].returns = n;
		for (int32_t x = 0; x < m->procs[m->calls[c].proc].n_exits; x++)
			m->returns[n++] = (size_t) x < list->n ? ((int32_t *) list->data)[x] : -1;
	}
	return LLM_OK;
}

LlmStatus
llm_machine_finish(LlmMachineBuild *b, LlmMachine *m)
{
	memset(m, 0, sizeof(*m));
	m->states = b->states.data;
	m->n_states = (int32_t) b->states.n;
	m->edges = b->edges.data;
	m->n_edges = (int32_t) b->edges.n;
	m->calls = b->calls.data;
	m->n_calls = (int32_t) b->calls.n;
	m->procs = b->procs.data;
	m->n_procs = (int32_t) b->procs.n;
	LLM_TRY(lay_returns(b, m));
	LLM_TRY(llm_machine_costs(b->cx, m));
	if (m->costs[m->states[m->procs[0].entry].cost] == LLM_COST_NONE)
	{
		LlmStatus	status = llm_fail(b->cx->err, LLM_E_ARGUMENT, LLM_NO_TEXT);

		llm_error_hint(b->cx->err, "Some of its conditions contradict each other.");
		return status;
	}
	LLM_TRY(find_runs(b->cx, m));
	return find_stops(b->cx, m);
}
