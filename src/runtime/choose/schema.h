/*
 * schema.h: JSON Schema (draft 2020-12) as the compiler reads it.
 *
 * A schema is a set of conditions on one value, and other schemas that the same value must fit (all of them, one of a group, exactly one
 * of a group). Schemas are numbered; those of items and properties are read when a value needs them, so that recursion ends. Constants and enums
 * become schemas too. Internal to choose/.
 */
#ifndef LLM_SCHEMA_H
#define LLM_SCHEMA_H

#include "choose/dfa.h"
#include "choose/json_tree.h"
#include "choose/key_set.h"

enum
{
	LLM_TYPE_NULL = 1,
	LLM_TYPE_FALSE = 2,
	LLM_TYPE_TRUE = 4,
	LLM_TYPE_INTEGER = 8,
	LLM_TYPE_FRACTION = 16,		/* a number that is not whole */
	LLM_TYPE_STRING = 32,
	LLM_TYPE_ARRAY = 64,
	LLM_TYPE_OBJECT = 128,
	LLM_TYPE_NUMBER = LLM_TYPE_INTEGER | LLM_TYPE_FRACTION,
	LLM_TYPE_ALL = 255
};

/* schemas that everything and nothing fits */
#define LLM_SCHEMA_TRUE 0
#define LLM_SCHEMA_FALSE 1

/* what a condition on a number or string is: an automaton, and which of its labels are good; or (dfa NULL) a length */
typedef struct LlmCondition
{
	const LlmDfa *dfa;
	uint8_t		good;			/* bit for each label */
	uint32_t	least;			/* characters */
	uint32_t	most;			/* UINT32_MAX: no bound */
} LlmCondition;

typedef struct LlmProperty
{
	LlmStr		key;
	int32_t		schema;
} LlmProperty;

typedef struct LlmPattern
{
	const LlmDfa *dfa;			/* over the key */
	int32_t		schema;
} LlmPattern;

typedef struct LlmSchema
{
	const LlmJson *json;		/* NULL: made here, read */
	bool		read;
	int			types;			/* that it allows */

	LlmVec		numbers;		/* LlmCondition, over the canonical number */
	LlmVec		strings;		/* LlmCondition, over the characters of the string */

	LlmVec		prefix;			/* int32_t: schemas of the first items */
	int32_t		items;			/* of the others */
	uint32_t	min_items;
	uint32_t	max_items;		/* UINT32_MAX: no bound */
	LlmVec		unique;			/* const LlmJson *: uniqueItems, and the values an item can have */
	bool		is_unique;

	LlmVec		properties;		/* LlmProperty */
	LlmVec		patterns;		/* LlmPattern */
	LlmVec		required;		/* LlmStr */
	int32_t		additional;
	int32_t		names;			/* schema of keys */
	bool		has_additional; /* additionalProperties is written */
	uint32_t	min_properties;
	uint32_t	max_properties;

	LlmVec		all;			/* int32_t */
	LlmVec		any;			/* LlmVec of int32_t: of each group at least one */
	LlmVec		one;			/* LlmVec of int32_t: of each group exactly one */
} LlmSchema;

typedef struct LlmSchemas
{
	LlmCompile *cx;
	bool		offered;		/* the language that a model is offered: without leap seconds */
	LlmVec		list;			/* LlmSchema */
	LlmVec		resources;		/* of schema_ref.c */
	LlmVec		anchors;
	LlmKeySet	plain_hashes;	/* of schema_same.c */
	LlmVec		plain;			/* const LlmJson *: the first with each hash */
} LlmSchemas;

extern LlmStatus llm_schemas_init(LlmSchemas *s, LlmCompile *cx, const LlmJson *root, bool offered);
extern LlmStatus llm_schemas_of(LlmSchemas *s, const LlmJson *json, int32_t *schema);	/* number of the schema at json */
extern LlmStatus llm_schemas_read(LlmSchemas *s, int32_t schema);	/* fill it in, if that was not done */
extern LlmStatus llm_schemas_enum(LlmSchemas *s, const LlmJson *const *values, size_t n, int32_t *schema);	/* exactly these values */

static inline LlmSchema *
llm_schemas_get(const LlmSchemas *s, int32_t schema)
{
	return (LlmSchema *) s->list.data + schema;
}

/* the first schema met that says the same as json, or json itself (schema_same.c) */
extern LlmStatus llm_schemas_same(LlmSchemas *s, const LlmJson *json, const LlmJson **same);

/* ---- references (schema_ref.c) ---- */

/* note which parts of the document references can name */
extern LlmStatus llm_schemas_visit(LlmSchemas *s, const LlmJson *root);

/* what $ref in schema `from` names */
extern LlmStatus llm_schemas_follow(LlmSchemas *s, const LlmJson *from, LlmStr ref, const LlmJson **out);

/* ---- parts of a schema (schema_number.c, schema_format.c) ---- */

/* labels: 0 less than value, 1 equal, 2 greater */
extern LlmStatus llm_dfa_compare(LlmCompile *cx, LlmStr value, LlmDfa **out);

/* multiples of value, label 0; LLM_E_UNSUPPORTED if there are too many remainders */
extern LlmStatus llm_dfa_multiple(LlmCompile *cx, LlmStr value, LlmDfa **out);

/* texts of a format, label 0; NULL: not a format that is checked */
extern LlmStatus llm_dfa_format(LlmCompile *cx, LlmStr name, bool offered, LlmDfa **out);

#endif
