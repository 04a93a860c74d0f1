/*
 * dfa_minimize.c: the smallest automaton for the same strings and labels.
 *
 * Partition refinement over states and transitions in O(m log n). Source: Valmari and Lehtinen 2008, "Efficient minimization
 * of DFAs with partial transition functions", arXiv 0802.2826.
 */
#include <string.h>

#include "choose/dfa.h"

/* sets of elements: set s holds elements[first[s] .. end[s]); the marked ones are its first */
typedef struct Partition
{
	int32_t		n_sets;
	int32_t    *elements;
	int32_t    *place;			/* of an element in elements */
	int32_t    *set;			/* of an element */
	int32_t    *first;
	int32_t    *end;
	int32_t    *n_marked;
	int32_t    *touched;
	int32_t		n_touched;
} Partition;

static LlmStatus
partition_init(LlmCompile *cx, Partition *p, int32_t n)
{
	memset(p, 0, sizeof(*p));
	LLM_TRY(llm_compile_alloc(cx, n, sizeof(int32_t), &p->elements));
	LLM_TRY(llm_compile_alloc(cx, n, sizeof(int32_t), &p->place));
	LLM_TRY(llm_compile_alloc(cx, n, sizeof(int32_t), &p->set));
	LLM_TRY(llm_compile_alloc(cx, n, sizeof(int32_t), &p->first));
	LLM_TRY(llm_compile_alloc(cx, n, sizeof(int32_t), &p->end));
	LLM_TRY(llm_compile_alloc(cx, n, sizeof(int32_t), &p->n_marked));
	LLM_TRY(llm_compile_alloc(cx, n, sizeof(int32_t), &p->touched));
	for (int32_t i = 0; i < n; i++)
		p->elements[i] = p->place[i] = i;
	p->n_sets = n > 0;
	p->end[0] = n;
	return LLM_OK;
}

static void
partition_mark(Partition *p, int32_t e)
{
	int32_t		s = p->set[e];
	int32_t		i = p->place[e];
	int32_t		j = p->first[s] + p->n_marked[s];

	p->elements[i] = p->elements[j];
	p->place[p->elements[i]] = i;
	p->elements[j] = e;
	p->place[e] = j;
	if (p->n_marked[s]++ == 0)
		p->touched[p->n_touched++] = s;
}

/* the smaller part of each touched set becomes a set of its own */
static void
partition_split(Partition *p)
{
	while (p->n_touched > 0)
	{
		int32_t		s = p->touched[--p->n_touched];
		int32_t		j = p->first[s] + p->n_marked[s];
		int32_t		z = p->n_sets;

		if (j == p->end[s])
		{
			p->n_marked[s] = 0;
			continue;
		}
		if (p->n_marked[s] <= p->end[s] - j)
		{
			p->first[z] = p->first[s];
			p->end[z] = p->first[s] = j;
		}
		else
		{
			p->end[z] = p->end[s];
			p->first[z] = p->end[s] = j;
		}
		for (int32_t i = p->first[z]; i < p->end[z]; i++)
			p->set[p->elements[i]] = z;
		p->n_marked[s] = p->n_marked[z] = 0;
		p->n_sets++;
	}
}

/* transitions between states that matter: sorted by class, and listed by target */
typedef struct Transitions
{
	int32_t		n;
	int32_t    *from;
	int32_t    *to;
	int32_t    *cls;
	int32_t    *in_first;		/* (n_states + 1) into in */
	int32_t    *in;
} Transitions;

static LlmStatus
list_transitions(LlmCompile *cx, const LlmDfa *d, Transitions *t)
{
	int32_t		n = 0;

	memset(t, 0, sizeof(*t));
	for (int32_t s = 0; s < d->n_states; s++)
	{
		LLM_TRY(llm_compile_poll(cx, (uint64_t) d->n_classes));
		for (int32_t k = 0; k < d->n_classes; k++)
			n += d->next[(size_t) s * d->n_classes + k] >= 0;
	}
	t->n = n;
	LLM_TRY(llm_compile_alloc(cx, n, sizeof(int32_t), &t->from));
	LLM_TRY(llm_compile_alloc(cx, n, sizeof(int32_t), &t->to));
	LLM_TRY(llm_compile_alloc(cx, n, sizeof(int32_t), &t->cls));
	LLM_TRY(llm_compile_alloc(cx, n, sizeof(int32_t), &t->in));
	LLM_TRY(llm_compile_alloc(cx, (size_t) d->n_states + 1, sizeof(int32_t), &t->in_first));
	n = 0;
	for (int32_t k = 0; k < d->n_classes; k++)
	{
		LLM_TRY(llm_compile_poll(cx, 4 * (uint64_t) d->n_states));
		for (int32_t s = 0; s < d->n_states; s++)
		{
			int32_t		to = d->next[(size_t) s * d->n_classes + k];

			if (to < 0)
				continue;
			t->from[n] = s;
			t->to[n] = to;
			t->cls[n] = k;
			t->in_first[to + 1]++;
			n++;
		}
	}
	for (int32_t s = 0; s < d->n_states; s++)
		t->in_first[s + 1] += t->in_first[s];
	for (int32_t i = n - 1; i >= 0; i--)
		t->in[--t->in_first[t->to[i] + 1]] = i;
	memmove(t->in_first, t->in_first + 1, (size_t) d->n_states * sizeof(int32_t));
	t->in_first[d->n_states] = n;
	return LLM_OK;
}

/* transitions into states that reach no label lead nowhere; such states stay, unreachable */
static LlmStatus
drop_dead(LlmCompile *cx, LlmDfa *d, const Transitions *t, bool *any)
{
	uint8_t    *alive;
	int32_t    *queue;
	int32_t		n = 0;

	LLM_TRY(llm_compile_alloc(cx, d->n_states, 1, &alive));
	LLM_TRY(llm_compile_alloc(cx, d->n_states, sizeof(int32_t), &queue));
	for (int32_t s = 0; s < d->n_states; s++)
	{
		if (d->label[s] >= 0)
		{
			alive[s] = 1;
			queue[n++] = s;
		}
	}
	for (int32_t q = 0; q < n; q++)
	{
		LLM_TRY(llm_compile_poll(cx, 8 * (uint64_t) (t->in_first[queue[q] + 1] - t->in_first[queue[q]])));
		for (int32_t i = t->in_first[queue[q]]; i < t->in_first[queue[q] + 1]; i++)
		{
			int32_t		from = t->from[t->in[i]];

			if (!alive[from])
			{
				alive[from] = 1;
				queue[n++] = from;
			}
		}
	}
	*any = n < d->n_states;
	for (size_t i = 0; i < (size_t) d->n_states * d->n_classes; i++)
	{
		if (d->next[i] >= 0 && !alive[d->next[i]])
			d->next[i] = -1;
	}
	return LLM_OK;
}

static LlmStatus
refine(LlmCompile *cx, const LlmDfa *d, const Transitions *t, Partition *states)
{
	Partition	cords;			/* transitions: those of a set have one class and one set of targets */
	int32_t		max_label = -1;
	int32_t		block = 1;

	LLM_TRY(partition_init(cx, states, d->n_states));
	LLM_TRY(partition_init(cx, &cords, t->n));
	for (int32_t s = 0; s < d->n_states; s++)
		max_label = d->label[s] > max_label ? d->label[s] : max_label;
	{
		/* states by label: chains of states with one label, so that the cost is the number of states */
		int32_t    *head;
		int32_t    *link;

		LLM_TRY(llm_compile_alloc(cx, (size_t) max_label + 2, sizeof(int32_t), &head));
		LLM_TRY(llm_compile_alloc(cx, d->n_states, sizeof(int32_t), &link));
		for (int32_t s = 0; s < d->n_states; s++)
		{
			link[s] = head[d->label[s] + 1];
			head[d->label[s] + 1] = s + 1;
		}
		for (int32_t l = 0; l <= max_label + 1; l++)
		{
			for (int32_t s = head[l]; s > 0; s = link[s - 1])
				partition_mark(states, s - 1);
			partition_split(states);
		}
	}
	cords.n_sets = 0;
	for (int32_t i = 0; i < t->n; i++)
	{
		if (i == 0 || t->cls[i] != t->cls[i - 1])
		{
			cords.first[cords.n_sets] = i;
			cords.n_sets++;
		}
		cords.end[cords.n_sets - 1] = i + 1;
		cords.set[i] = cords.n_sets - 1;
	}
	for (int32_t c = 0; c < cords.n_sets; c++)
	{
		LLM_TRY(llm_compile_poll(cx, 16 * (uint64_t) (cords.end[c] - cords.first[c])));
		for (int32_t i = cords.first[c]; i < cords.end[c]; i++)
			partition_mark(states, t->from[cords.elements[i]]);
		partition_split(states);
		for (; block < states->n_sets; block++)
		{
			for (int32_t i = states->first[block]; i < states->end[block]; i++)
			{
				int32_t		s = states->elements[i];

				LLM_TRY(llm_compile_poll(cx, 16 * (uint64_t) (t->in_first[s + 1] - t->in_first[s]) + 1));
				for (int32_t j = t->in_first[s]; j < t->in_first[s + 1]; j++)
					partition_mark(&cords, t->in[j]);
			}
			partition_split(&cords);
		}
	}
	return LLM_OK;
}

/* one state for each set that can be reached, in order of reaching */
static LlmStatus
rebuild(LlmCompile *cx, LlmDfa *d, const Partition *p)
{
	int32_t    *number;			/* of a set, + 1 */
	int32_t    *order;
	int32_t    *next;
	int32_t    *label;
	int32_t		n = 0;

	LLM_TRY(llm_compile_alloc(cx, p->n_sets, sizeof(int32_t), &number));
	LLM_TRY(llm_compile_alloc(cx, p->n_sets, sizeof(int32_t), &order));
	LLM_TRY(llm_compile_alloc(cx, (size_t) p->n_sets * d->n_classes, sizeof(int32_t), &next));
	LLM_TRY(llm_compile_alloc(cx, p->n_sets, sizeof(int32_t), &label));
	order[n++] = p->set[0];
	number[p->set[0]] = n;
	for (int32_t i = 0; i < n; i++)
	{
		int32_t		s = p->elements[p->first[order[i]]];

		LLM_TRY(llm_compile_poll(cx, 2 * (uint64_t) d->n_classes));
		label[i] = d->label[s];
		for (int32_t k = 0; k < d->n_classes; k++)
		{
			int32_t		to = d->next[(size_t) s * d->n_classes + k];
			int32_t		set;

			next[(size_t) i * d->n_classes + k] = -1;
			if (to < 0)
				continue;
			set = p->set[to];
			if (!number[set])
			{
				order[n++] = set;
				number[set] = n;
			}
			next[(size_t) i * d->n_classes + k] = number[set] - 1;
		}
	}
	d->n_states = n;
	d->next = next;
	d->label = label;
	return LLM_OK;
}

LlmStatus
llm_dfa_minimize(LlmCompile *cx, LlmDfa *d)
{
	Transitions t;
	Partition	states;
	bool		dead;

	LLM_TRY(llm_compile_steps(cx, (uint64_t) d->n_states));
	LLM_TRY(list_transitions(cx, d, &t));
	LLM_TRY(drop_dead(cx, d, &t, &dead));
	if (dead)
		LLM_TRY(list_transitions(cx, d, &t));
	LLM_TRY(refine(cx, d, &t, &states));
	return rebuild(cx, d, &states);
}
