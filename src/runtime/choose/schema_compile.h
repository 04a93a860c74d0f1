/*
 * schema_compile.h: a schema as a machine.
 *
 * Two languages come from one schema. V holds all values that fit, in canonical writing. G, within it, is what a model is offered: keys in
 * the order in which they are declared, no other keys unless the schema speaks of them, numbers of bounded length.
 *
 * How: a value may have to fit several schemas at once, and some of them may fit or not (anyOf, oneOf). A procedure of the
 * machine therefore reads a value for a set of schemas and ends by an exit that says which of them it fits: `must` are those without which
 * reading is given up, `open` the others. All schemas on the same value run side by side; each is a small deterministic
 * automaton over numbers, characters, items or keys, so complement (oneOf) is reading an exit the other way. A procedure is known by its sets, so recursion
 * ends. Internal to choose/.
 */
#ifndef LLM_SCHEMA_COMPILE_H
#define LLM_SCHEMA_COMPILE_H

#include "choose/key_set.h"
#include "choose/machine.h"
#include "choose/schema.h"

#define LLM_MAX_OPEN 60

/* what is known of a schema: it does not fit, it fits, not known yet */
enum
{
	LLM_FITS_NOT,
	LLM_FITS,
	LLM_FITS_MAYBE
};

typedef struct LlmValueProc
{
	LlmVec		must;			/* int32_t: schemas, ascending */
	LlmVec		open;
	int32_t		proc;			/* in the machine */
	bool		built;
	LlmVec		parts;			/* int32_t: must, open and all schemas on the same value that they lead to, those that others need first */
	LlmVec		outer;			/* the same, outer ones first: order of declaration */
	LlmVec		exits;			/* uint64_t: which of open fit */
	LlmVec		ends;			/* int32_t: state of the machine with each exit */
	LlmVec		keys;			/* LlmStr: declared keys in their order */
	int32_t    *declared;		/* (parts, keys): schema of the key's value, -1: not declared */
	uint8_t    *required;		/* (parts, keys) */
	LlmVec		tests;			/* LlmKeyTest: on keys that are not declared */
	LlmVec		classes;		/* uint64_t: which tests such keys can pass */
	LlmDfa	   *key_dfa;		/* all keys; labels: declared keys, then classes of others */
	LlmKeySet	states;			/* of arrays and objects */
	LlmVec		state_numbers;	/* int32_t: state of the machine for each, -1: not feasible */
	LlmKeySet	children;		/* what follows declared keys, as states are */
	LlmVec		child_states;	/* int32_t: state of the machine before their values, -1: none */
	int32_t		count_cap;		/* numbers of items or properties that need to be told apart */
} LlmValueProc;

/* a pattern or a schema of names that a part has for keys */
typedef struct LlmKeyTest
{
	const LlmDfa *dfa;
	int32_t		part;
	int32_t		schema;			/* of the value, if the key passes; -1: the part is lost if it does not pass */
} LlmKeyTest;

typedef struct LlmSchemaCompile
{
	LlmCompile *cx;
	LlmSchemas	schemas;
	LlmMachineBuild build;
	bool		offered;		/* G, else V */
	bool		compact;
	bool		open_keys;		/* as in the machine */
	bool		counts_keys;
	LlmVec		procs;			/* LlmValueProc * */
	LlmVec		pending;		/* LlmPending: calls whose exits lead on */
	size_t		n_exits;		/* of all procedures */
	LlmVec		work;			/* LlmWork: states of arrays and objects to be expanded */
	LlmVec		ranked;			/* LlmStr: keys and strings of the whole schema, sorted */
	LlmVec		slot;			/* int32_t: of a schema in the parts of the procedure at hand; -1: none */
	const LlmValueProc *selected;	/* the procedure at hand */
	LlmVec		known;			/* uint8_t: of each part by itself, what is known */
	LlmVec		verdicts;		/* uint8_t: of each part with all that it leads to */
	const LlmDfa *utf8;			/* any characters */
	int32_t		blocks[2][32];	/* procedures of schema_length.c, + 1 */
	const LlmDfa *short_number; /* numbers that a model is offered */
} LlmSchemaCompile;

typedef enum LlmActionKind
{
	LLM_ACTION_NEED,			/* if the schema does not fit, the part is lost */
	LLM_ACTION_ADD				/* if it fits, add value to the part's state */
} LlmActionKind;

typedef struct LlmAction
{
	LlmActionKind kind;
	int32_t		schema;
	int32_t		part;			/* index in parts */
	int32_t		value;
} LlmAction;

/* a call for an item or the value of a key, and the state that follows */
typedef struct LlmPending
{
	LlmValueProc *proc;			/* the caller */
	LlmValueProc *callee;
	int32_t		call;
	int32_t    *next;			/* key of the state that follows, if all fit */
	LlmVec		actions;		/* LlmAction */
	size_t		n_done;			/* exits seen */
} LlmPending;

typedef struct LlmWork
{
	LlmValueProc *proc;
	int32_t		state;
} LlmWork;

/* a state of an array or object is these, then one number for each part: -1 lost, -2 fits whatever comes, else its own */
enum
{
	LLM_STATE_OBJECT,			/* 0 array, 1 object */
	LLM_STATE_AT,				/* declared keys that were passed */
	LLM_STATE_COUNT,			/* items or properties, up to count_cap */
	LLM_STATE_PARTS
};

/* read all parts of proc; refuse references that lead back to the same value */
extern LlmStatus llm_schema_parts(LlmSchemaCompile *c, LlmValueProc *proc);

/*
 * What is known of must and open, from what is known of each part by itself (known). exit -1: some of must does not fit,
 * -2: not decided; else the exit. Makes a new exit where needed if decided.
 */
extern LlmStatus llm_schema_verdict(LlmSchemaCompile *c, LlmValueProc *proc, int32_t *exit);
extern bool llm_schema_feasible(LlmSchemaCompile *c, LlmValueProc *proc);

/* the state of the machine that ends proc by exit */
extern LlmStatus llm_schema_end(LlmSchemaCompile *c, LlmValueProc *proc, int32_t exit, int32_t *state);

/* numbers, and strings after their opening quote; labels are exits of proc */
extern LlmStatus llm_schema_number(LlmSchemaCompile *c, LlmValueProc *proc, LlmDfa **out);
extern LlmStatus llm_schema_string(LlmSchemaCompile *c, LlmValueProc *proc, LlmDfa **out);

/* characters of strings that schema fits, label 0 */
extern LlmStatus llm_schema_key_dfa(LlmSchemaCompile *c, int32_t schema, LlmDfa **out);

/*
 * An automaton over the writing of a string after its opening quote, closing quote included, from conditions on its
 * characters. label: from the labels of the conditions (-1: lost).
 */
typedef struct LlmLiteral
{
	const LlmDfa *const *dfas;	/* the first is utf8 */
	int			n;
	const uint8_t *needed;		/* (n): without it reading is given up */
	LlmStatus	(*label) (void *ctx, const int32_t *labels, int32_t *label);
	void	   *ctx;
	bool		no_nul;			/* G: no U+0000, which texts and jsonb cannot hold */
} LlmLiteral;

extern LlmStatus llm_schema_literal(LlmCompile *cx, const LlmLiteral *literal, LlmDfa **out);

/*
 * A piece of such a writing, its label function unused. The second condition, if there is one, is a number of characters: label 0 once it
 * holds, 1 at a closing quote before. Without one: label 0 at the closing quote.
 */
extern LlmStatus llm_schema_block(LlmCompile *cx, const LlmLiteral *literal, LlmDfa **out);

/* strings after their opening quote, if nothing but large lengths is asked of them (schema_length.c); *first as it was if none fits */
extern LlmStatus llm_schema_counted_string(LlmSchemaCompile *c, LlmValueProc *proc, bool *counted, int32_t *first);

/* ---- arrays and objects (schema_array.c, schema_object.c) ---- */

/* the state of the machine for a key (state of an array or object); -1 if it is not feasible */
extern LlmStatus llm_schema_state(LlmSchemaCompile *c, LlmValueProc *proc, const int32_t *key, int32_t *state);

/* what is known of each part in a state */
extern void llm_schema_known(LlmSchemaCompile *c, LlmValueProc *proc, const int32_t *key);

/*
 * A state of the machine that calls for a child; actions name its schemas. *state -1, and nothing made, if all can only be
 * lost. next is changed: parts that need LLM_SCHEMA_FALSE are lost.
 */
extern LlmStatus llm_schema_child(LlmSchemaCompile *c, LlmValueProc *proc, int32_t *next, const LlmVec *actions, int32_t *state);

extern void llm_schema_array_prepare(LlmSchemaCompile *c, LlmValueProc *proc);
extern LlmStatus llm_schema_array_expand(LlmSchemaCompile *c, LlmValueProc *proc, const int32_t *key, int32_t at);
extern LlmStatus llm_schema_object_prepare(LlmSchemaCompile *c, LlmValueProc *proc);
extern LlmStatus llm_schema_object_expand(LlmSchemaCompile *c, LlmValueProc *proc, const int32_t *key, int32_t at);

/* of keys that no schema which may still fit speaks of, it does not matter whether they were passed: such states become one */
extern void llm_schema_object_merge(const LlmSchemaCompile *c, const LlmValueProc *proc, int32_t *key);

/* in V, keys of an object are sorted by rank; SIZE_MAX: the schema does not mention the key */
extern size_t llm_schema_rank(const LlmSchemaCompile *c, LlmStr key);

/* machine of a schema; everything lives in the arena of cx */
extern LlmStatus llm_schema_compile(LlmSchemaCompile *c, LlmCompile *cx, const LlmJson *schema, bool offered, bool compact,
									LlmMachine *m);

#endif
