/*
 * machine.h: a pushdown automaton over bytes: what every grammar becomes.
 *
 * A machine is a set of procedures. A procedure is an automaton over bytes whose states may also call a procedure; it ends by
 * one of its exits, and the caller goes on in the state that its call names for that exit. So a state of the whole is a state and a stack of
 * calls. JSON Schema makes machines that are deterministic (a value is read once, and its exit says which of the schemas
 * it fits); grammars in GBNF need not be, so a run keeps a set of (state, stack).
 *
 * cost[state][exit] is the least number of bytes from a state to an exit of its procedure: states without a way to an exit are left out.
 */
#ifndef LLM_MACHINE_H
#define LLM_MACHINE_H

#include "choose/dfa.h"

#define LLM_COST_NONE INT32_MAX
#define LLM_RUN_MAX 64

/* message of the error for a grammar that no text fits */
#define LLM_NO_TEXT "no text fits the grammar"

typedef struct LlmEdge
{
	uint8_t		first;
	uint8_t		last;
	int32_t		to;
} LlmEdge;

typedef struct LlmState
{
	int32_t		first_edge;		/* edges ascend by bytes */
	int32_t		n_edges;
	int32_t		exit;			/* -1: not an end */
	int32_t		call;			/* first of a list, -1: none */
	int32_t		proc;
	int32_t		cost;			/* offset in costs: one for each exit of proc */
} LlmState;

typedef struct LlmCall
{
	int32_t		proc;
	int32_t		returns;		/* offset in returns: a state, or -1, for each exit of proc */
	int32_t		next;			/* in the list of the state, -1: none */
} LlmCall;

typedef struct LlmProc
{
	int32_t		entry;
	int32_t		n_exits;
} LlmProc;

/* procedure 0 is the whole; its exit 0 is the end of the text */
typedef struct LlmMachine
{
	LlmState   *states;
	LlmEdge    *edges;
	LlmCall    *calls;
	int32_t    *returns;
	LlmProc    *procs;
	int32_t    *costs;
	uint8_t    *runs;			/* (n_states): any text of so many plain characters can be read (LLM_RUN_MAX: or more) */
	uint8_t    *stops;			/* (n_states): and none of more plain characters */
	int32_t		n_states;
	int32_t		n_edges;
	int32_t		n_calls;
	int32_t		n_returns;
	int32_t		n_procs;
	int32_t		n_costs;
	bool		certain;		/* whatever the stack, a state reached can be ended */
	bool		open_keys;		/* objects may have keys that are not declared, which must differ (written_keys.h) */
	bool		counts_keys;	/* and there may have to be several of them */
} LlmMachine;

/* ---- building ---- */

typedef struct LlmMachineBuild
{
	LlmCompile *cx;
	LlmVec		states;			/* LlmState */
	LlmVec		edges;			/* LlmEdge */
	LlmVec		calls;			/* LlmCall; returns is an index into return_lists until the end */
	LlmVec		return_lists;	/* LlmVec of int32_t */
	LlmVec		procs;			/* LlmProc */
} LlmMachineBuild;

extern LlmStatus llm_machine_proc(LlmMachineBuild *b, int32_t *proc);
extern LlmStatus llm_machine_state(LlmMachineBuild *b, int32_t proc, int32_t *state);
extern LlmStatus llm_machine_edges(LlmMachineBuild *b, int32_t state, const int32_t to[256]);	/* once for a state */
extern LlmStatus llm_machine_chain(LlmMachineBuild *b, int32_t proc, const char *bytes, size_t n, int32_t end, int32_t *state);	/* a state from which exactly these bytes lead to end */
extern LlmStatus llm_machine_call(LlmMachineBuild *b, int32_t state, int32_t proc, int32_t *call);
extern LlmStatus llm_machine_return(LlmMachineBuild *b, int32_t call, int32_t exit, int32_t state);
extern void llm_machine_exit(LlmMachineBuild *b, int32_t state, int32_t exit);

/* states for all of d; a label l ends in target[l] (the state is left out) if d ends there, and is an exit of proc where target is NULL */
extern LlmStatus llm_machine_dfa(LlmMachineBuild *b, int32_t proc, const LlmDfa *d, const int32_t *target, int32_t *first);

/* find costs and drop what leads nowhere: the second step of finishing (machine_costs.c) */
extern LlmStatus llm_machine_costs(LlmCompile *cx, LlmMachine *m);

/* drop what leads nowhere, find costs; the result is in the compilation's arena. LLM_E_ARGUMENT if there is no text at all. */
extern LlmStatus llm_machine_finish(LlmMachineBuild *b, LlmMachine *m);

#endif
