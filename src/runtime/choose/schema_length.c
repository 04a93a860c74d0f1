/*
 * schema_length.c: strings of which only the length matters, counted by the stack.
 *
 * An automaton that counts to 10,000 has 10,000 times the states of a character. But a machine has procedures: one that reads 128
 * characters calls the one for 64 twice. So a length is a sum of powers of two, its procedures are shared by all strings
 * of the schema, and the cost is the logarithm. Between two lengths at which some condition begins or ends to hold, the exit of a
 * closing quote is the same: such a range is a segment.
 */
#include <stdlib.h>
#include <string.h>

#include "choose/schema_compile.h"
#include "choose/symbol_dfa.h"

#define LEAF_BITS 6				/* 64 characters (LLM_RUN_MAX) are states of their own: masks know plain characters ahead there */
#define LEAST_COUNTED 64		/* shorter ones stay one automaton, of which masks know more */

enum
{
	EXIT_FULL,					/* all characters were read */
	EXIT_CLOSED					/* the closing quote came before */
};

static const LlmSchema *
part_schema(const LlmSchemaCompile *c, const LlmValueProc *proc, size_t i)
{
	return llm_schemas_get(&c->schemas, ((int32_t *) proc->parts.data)[i]);
}

/* ---- procedures that count ---- */

static LlmStatus
make_leaf(LlmSchemaCompile *c, int32_t proc, uint32_t n, bool may_close)
{
	static const uint8_t needed[2] = {1, 1};
	const LlmDfa *dfas[2] = {c->utf8};
	const LlmLiteral literal = {dfas, 2, needed, NULL, NULL, c->offered};
	LlmDfa	   *counter;
	LlmDfa	   *d;
	int32_t		target[2];
	int32_t		first;

	LLM_TRY(llm_dfa_length(c->cx, n, n, &counter));
	dfas[1] = counter;
	LLM_TRY(llm_schema_block(c->cx, &literal, &d));
	LLM_TRY(llm_machine_state(&c->build, proc, &target[EXIT_FULL]));
	llm_machine_exit(&c->build, target[EXIT_FULL], EXIT_FULL);
	LLM_TRY(llm_machine_state(&c->build, proc, &target[EXIT_CLOSED]));
	if (may_close)
		llm_machine_exit(&c->build, target[EXIT_CLOSED], EXIT_CLOSED);
	LLM_TRY(llm_machine_dfa(&c->build, proc, d, target, &first));
	((LlmProc *) c->build.procs.data)[proc].entry = first;
	return LLM_OK;
}

/* the procedure that reads 2^bits characters; may_close: or fewer and the closing quote */
static LlmStatus
block_proc(LlmSchemaCompile *c, int bits, bool may_close, int32_t *proc)
{
	int32_t    *known = &c->blocks[may_close][bits];
	int32_t		half;
	int32_t		state[4];		/* before each half, then one for each exit */

	*proc = *known - 1;
	if (*known > 0)
		return LLM_OK;
	LLM_TRY(llm_machine_proc(&c->build, proc));
	*known = *proc + 1;
	if (bits <= LEAF_BITS)
		return make_leaf(c, *proc, 1u << bits, may_close);
	LLM_TRY(block_proc(c, bits - 1, may_close, &half));
	for (int i = 0; i < 4; i++)
		LLM_TRY(llm_machine_state(&c->build, *proc, &state[i]));
	llm_machine_exit(&c->build, state[2], EXIT_FULL);
	if (may_close)
		llm_machine_exit(&c->build, state[3], EXIT_CLOSED);
	for (int i = 0; i < 2; i++)
	{
		int32_t		call;

		LLM_TRY(llm_machine_call(&c->build, state[i], half, &call));
		LLM_TRY(llm_machine_return(&c->build, call, EXIT_FULL, state[i + 1]));
		if (may_close)
			LLM_TRY(llm_machine_return(&c->build, call, EXIT_CLOSED, state[3]));
	}
	((LlmProc *) c->build.procs.data)[*proc].entry = state[0];
	return LLM_OK;
}

/* a state from which n characters lead to `full`; a quote before leads to end (-1: there can be none) */
static LlmStatus
read_chars(LlmSchemaCompile *c, LlmValueProc *proc, uint32_t n, int32_t end, int32_t full, int32_t *state)
{
	*state = full;
	for (int bits = 0; n >> bits; bits++)	/* the largest block is read first */
	{
		int32_t		block;
		int32_t		call;
		int32_t		next = *state;

		if (!(n >> bits & 1))
			continue;
		LLM_TRY(block_proc(c, bits, end >= 0, &block));
		LLM_TRY(llm_machine_state(&c->build, proc->proc, state));
		LLM_TRY(llm_machine_call(&c->build, *state, block, &call));
		LLM_TRY(llm_machine_return(&c->build, call, EXIT_FULL, next));
		if (end >= 0)
			LLM_TRY(llm_machine_return(&c->build, call, EXIT_CLOSED, end));
	}
	return LLM_OK;
}

/* ---- segments ---- */

/* the exit for strings of a length; -1: none fits */
static LlmStatus
length_exit(LlmSchemaCompile *c, LlmValueProc *proc, uint32_t length, int32_t *exit)
{
	uint8_t    *known = c->known.data;

	for (size_t i = 0; i < proc->parts.n; i++)
	{
		const LlmSchema *s = part_schema(c, proc, i);
		const LlmCondition *all = s->strings.data;

		known[i] = s->types & LLM_TYPE_STRING ? LLM_FITS : LLM_FITS_NOT;
		for (size_t k = 0; k < s->strings.n; k++)
		{
			if (length < all[k].least || length > all[k].most)
				known[i] = LLM_FITS_NOT;
		}
	}
	LLM_TRY(llm_schema_verdict(c, proc, exit));
	*exit = *exit < 0 ? -1 : *exit;
	return LLM_OK;
}

static int
compare_lengths(const void *a, const void *b)
{
	uint32_t	x = *(const uint32_t *) a;
	uint32_t	y = *(const uint32_t *) b;

	return (x > y) - (x < y);
}

/* where segments begin, ascending; n 0: not all conditions are lengths, or none is large */
static LlmStatus
list_segments(LlmSchemaCompile *c, LlmValueProc *proc, LlmVec *begins)
{
	uint32_t	begin = 0;
	uint32_t   *all;
	size_t		n = 0;

	LLM_TRY(llm_vec_push(c->cx, begins, &begin, sizeof(begin)));
	for (size_t i = 0; i < proc->parts.n; i++)
	{
		const LlmSchema *s = part_schema(c, proc, i);
		const LlmCondition *conditions = s->strings.data;

		for (size_t k = 0; k < s->strings.n && (s->types & LLM_TYPE_STRING); k++)
		{
			if (conditions[k].dfa)
			{
				begins->n = 0;
				return LLM_OK;
			}
			LLM_TRY(llm_vec_push(c->cx, begins, &conditions[k].least, sizeof(uint32_t)));
			begin = conditions[k].most + 1;
			if (begin > 0)		/* else there is no bound */
				LLM_TRY(llm_vec_push(c->cx, begins, &begin, sizeof(begin)));
		}
	}
	all = begins->data;
	qsort(all, begins->n, sizeof(uint32_t), compare_lengths);
	for (size_t i = 0; i < begins->n; i++)
	{
		if (i == 0 || all[i] != all[i - 1])
			all[n++] = all[i];
	}
	begins->n = all[n - 1] > LEAST_COUNTED ? n : 0;
	return LLM_OK;
}

/* any number of characters, then the closing quote */
static LlmStatus
read_any(LlmSchemaCompile *c, LlmValueProc *proc, int32_t end, int32_t *state)
{
	static const uint8_t needed[1] = {1};
	const LlmDfa *dfas[1] = {c->utf8};
	const LlmLiteral literal = {dfas, 1, needed, NULL, NULL, c->offered};
	LlmDfa	   *d;

	LLM_TRY(llm_schema_block(c->cx, &literal, &d));
	return llm_machine_dfa(&c->build, proc->proc, d, &end, state);
}

LlmStatus
llm_schema_counted_string(LlmSchemaCompile *c, LlmValueProc *proc, bool *counted, int32_t *first)
{
	LlmVec		begins = {0};
	const uint32_t *begin;
	int32_t		state = -1;

	LLM_TRY(list_segments(c, proc, &begins));
	*counted = begins.n > 0;
	begin = begins.data;
	for (size_t i = begins.n; i-- > 0;)
	{
		int32_t		exit;
		int32_t		end = -1;

		LLM_TRY(length_exit(c, proc, begin[i], &exit));
		if (exit >= 0)
			LLM_TRY(llm_schema_end(c, proc, exit, &end));
		if (i + 1 == begins.n)
		{
			if (end >= 0)
				LLM_TRY(read_any(c, proc, end, &state));
		}
		else if (state >= 0)
			LLM_TRY(read_chars(c, proc, begin[i + 1] - begin[i], end, state, &state));
		else if (end >= 0)
		{
			/* nothing longer fits: the last character is followed by the quote */
			LLM_TRY(llm_machine_chain(&c->build, proc->proc, "\"", 1, end, &state));
			LLM_TRY(read_chars(c, proc, begin[i + 1] - begin[i] - 1, end, state, &state));
		}
	}
	if (state >= 0)
		*first = state;
	return LLM_OK;
}
