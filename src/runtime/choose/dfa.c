/*
 * dfa.c: building automata from a description, by hashing the states that are met.
 */
#include "choose/dfa.h"

#include <string.h>

#include "choose/key_set.h"

void
llm_byte_classes_init(LlmByteClasses *c)
{
	memset(c, 0, sizeof(*c));
	c->n = 1;
}

void
llm_byte_classes_split(LlmByteClasses *c, const uint8_t *class_of)
{
	uint8_t		old[256];
	int			first[256];		/* a byte of each new class */

	memcpy(old, c->class_of, sizeof(old));
	c->n = 0;
	for (int b = 0; b < 256; b++)
	{
		int			k = 0;

		while (k < c->n && (old[first[k]] != old[b] || class_of[first[k]] != class_of[b]))
			k++;
		if (k == c->n)
			first[c->n++] = b;
		c->class_of[b] = (uint8_t) k;
	}
}

void
llm_byte_classes_range(LlmByteClasses *c, int first, int last)
{
	uint8_t		inside[256] = {0};

	memset(inside + first, 1, (size_t) (last - first + 1));
	llm_byte_classes_split(c, inside);
}

LlmStatus
llm_dfa_build(LlmCompile *cx, const LlmDfaSource *source, LlmDfa **out)
{
	LlmKeySet	set = {.n_key = source->n_key};
	const int	n_classes = source->classes.n;
	uint8_t		byte_of[256];
	LlmVec		rows = {0};
	LlmVec		labels = {0};
	LlmDfa	   *d;
	int32_t    *key;
	int32_t    *next;
	int32_t    *row;
	int32_t		state;

	LLM_TRY(llm_compile_alloc(cx, 1, sizeof(*d), &d));
	LLM_TRY(llm_compile_alloc(cx, source->n_key, sizeof(int32_t), &key));
	LLM_TRY(llm_compile_alloc(cx, source->n_key, sizeof(int32_t), &next));
	LLM_TRY(llm_compile_alloc(cx, n_classes, sizeof(int32_t), &row));
	for (int b = 255; b >= 0; b--)
		byte_of[source->classes.class_of[b]] = (uint8_t) b;
	LLM_TRY(llm_key_set_find(cx, &set, source->start, &state));
	for (size_t s = 0; s < set.keys.n; s++)
	{
		int32_t		label;

		uint64_t	n_live = 1;

		memcpy(key, (const int32_t *) set.keys.data + s * source->n_key, source->n_key * sizeof(int32_t));
		for (int k = 0; k < n_classes; k++)
		{
			row[k] = -1;
			if (!source->step(source->ctx, key, byte_of[k], next))
				continue;
			n_live++;
			LLM_TRY(llm_key_set_find(cx, &set, next, &row[k]));
		}
		LLM_TRY(llm_compile_steps(cx, n_live + (uint64_t) n_classes / 16));
		LLM_TRY(llm_compile_poll(cx, (uint64_t) n_classes * (uint64_t) source->n_key * 4));
		LLM_TRY(source->label(source->ctx, key, &label));
		LLM_TRY(llm_vec_push(cx, &rows, row, n_classes * sizeof(int32_t)));
		LLM_TRY(llm_vec_push(cx, &labels, &label, sizeof(label)));
	}
	d->n_states = (int32_t) set.keys.n;
	d->n_classes = n_classes;
	memcpy(d->class_of, source->classes.class_of, sizeof(d->class_of));
	d->next = rows.data;
	d->label = labels.data;
	LLM_TRY(llm_dfa_minimize(cx, d));
	*out = d;
	return LLM_OK;
}

int32_t
llm_dfa_run(const LlmDfa *d, const char *bytes, size_t n)
{
	int32_t		s = 0;

	for (size_t i = 0; i < n && s >= 0; i++)
		s = llm_dfa_next(d, s, (uint8_t) bytes[i]);
	return llm_dfa_label(d, s);
}

/* ---- a set of strings ---- */

LlmStatus
llm_dfa_strings(LlmCompile *cx, const LlmStr *strings, size_t n, bool one_label, LlmDfa **out)
{
	LlmByteClasses classes;
	uint8_t		used[256] = {0};
	LlmVec		rows = {0};
	LlmVec		labels = {0};
	int32_t		row[256];
	const int32_t none = -1;
	LlmDfa	   *d;

	/* bytes that occur are a class each, the others one together */
	for (size_t i = 0; i < n; i++)
	{
		for (size_t k = 0; k < strings[i].len; k++)
			used[(uint8_t) strings[i].data[k]] = 1;
	}
	llm_byte_classes_init(&classes);
	classes.n = 0;
	for (int b = 0; b < 256; b++)
	{
		if (used[b])
			classes.class_of[b] = (uint8_t) classes.n++;
	}
	if (classes.n < 256)
	{
		for (int b = 0; b < 256; b++)
		{
			if (!used[b])
				classes.class_of[b] = (uint8_t) classes.n;
		}
		classes.n++;
	}
	memset(row, -1, sizeof(row));
	LLM_TRY(llm_compile_alloc(cx, 1, sizeof(*d), &d));
	LLM_TRY(llm_vec_push(cx, &rows, row, classes.n * sizeof(int32_t)));
	LLM_TRY(llm_vec_push(cx, &labels, &none, sizeof(none)));
	for (size_t i = 0; i < n; i++)
	{
		int32_t		s = 0;

		LLM_TRY(llm_compile_steps(cx, strings[i].len + 1));
		for (size_t k = 0; k < strings[i].len; k++)
		{
			size_t		at = (size_t) s * classes.n + classes.class_of[(uint8_t) strings[i].data[k]];

			s = ((int32_t *) rows.data)[at];
			if (s >= 0)
				continue;
			s = (int32_t) rows.n;
			((int32_t *) rows.data)[at] = s;
			LLM_TRY(llm_compile_states(cx, rows.n));
			LLM_TRY(llm_vec_push(cx, &rows, row, classes.n * sizeof(int32_t)));
			LLM_TRY(llm_vec_push(cx, &labels, &none, sizeof(none)));
		}
		if (((int32_t *) labels.data)[s] < 0)
			((int32_t *) labels.data)[s] = one_label ? 0 : (int32_t) i;
	}
	d->n_states = (int32_t) rows.n;
	d->n_classes = classes.n;
	memcpy(d->class_of, classes.class_of, sizeof(d->class_of));
	d->next = rows.data;
	d->label = labels.data;
	LLM_TRY(llm_dfa_minimize(cx, d));
	*out = d;
	return LLM_OK;
}
