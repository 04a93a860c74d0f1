/*
 * json_tree.h: JSON as schemas need it: numbers exact, in canonical decimal writing, and order of keys kept.
 *
 * Canonical numbers have no exponent, no leading or trailing zeros that can be left out, no fraction if it is zero, and no
 * minus sign on zero. Internal to choose/.
 */
#ifndef LLM_JSON_TREE_H
#define LLM_JSON_TREE_H

#include "base/arena.h"
#include "base/str.h"

typedef enum LlmJsonKind
{
	LLM_JSON_NULL,
	LLM_JSON_FALSE,
	LLM_JSON_TRUE,
	LLM_JSON_NUMBER,
	LLM_JSON_STRING,
	LLM_JSON_ARRAY,
	LLM_JSON_OBJECT
} LlmJsonKind;

typedef struct LlmJson LlmJson;

struct LlmJson
{
	LlmJsonKind kind;
	int32_t		schema;			/* for the reader of schemas: number of the schema here, as schema and as constant; -1: not read */
	int32_t		constant;
	int32_t		resource;		/* and of the part of the document that references in it are relative to */
	LlmStr		text;			/* string: decoded; number: canonical */
	size_t		n;				/* array, object */
	LlmJson   **items;
	LlmStr	   *keys;			/* object: decoded; of equal keys the last value stays, at the place of the first */
};

/*
 * Read one value that fills json. Depth at most 200; numbers of at most 2000 digits. A lone surrogate becomes U+FFFD.
 * Errors: LLM_E_ARGUMENT with the offset, LLM_E_LIMIT, LLM_E_NOMEM. stop NULL: never; LLM_PAUSED: begin anew.
 */
extern LlmStatus llm_json_tree(LlmArena *arena, const char *json, size_t len, const LlmStop *stop, LlmJson **out, LlmError *err);

extern const LlmJson *llm_json_get(const LlmJson *object, const char *key);	/* NULL: none, or not an object */

/* the same value; objects compare by keys */
extern bool llm_json_same(const LlmJson *a, const LlmJson *b);

#endif
