/*
 * value.h: dynamic values that chat templates work on, with strings that know which bytes came from data.
 *
 * Only template bytes may become special tokens. A string therefore carries, beside its bytes, one origin flag per byte;
 * every operation (concatenation, slices, filters) carries the flags along. Values live in an arena and are immutable
 * after creation, except lists and maps while they are built.
 */
#ifndef LLM_VALUE_H
#define LLM_VALUE_H

#include "base/arena.h"

typedef enum LlmValueKind
{
	LLM_VALUE_UNDEFINED = 0,
	LLM_VALUE_NULL,
	LLM_VALUE_BOOL,
	LLM_VALUE_INT,
	LLM_VALUE_FLOAT,
	LLM_VALUE_STRING,
	LLM_VALUE_LIST,
	LLM_VALUE_MAP,				/* keeps insertion order */
	LLM_VALUE_FUNCTION			/* made by the interpreter only: macros, bound methods */
} LlmValueKind;

/* text with origin: from_data[i] != 0 if byte i came from data; from_data NULL: all bytes are template bytes */
typedef struct LlmText
{
	const char *bytes;
	const uint8_t *from_data;
	size_t		len;
} LlmText;

typedef struct LlmValue LlmValue;

struct LlmValue
{
	LlmValueKind kind;
	uint8_t		flavour;		/* 0; the template interpreter tells tuples, views and the like apart here */
	union
	{
		bool		boolean;
		int64_t		integer;
		double		number;
		LlmText		text;
		struct
		{
			size_t		n;
			size_t		capacity;
			LlmValue  **items;	/* list: items; map: values */
			LlmValue  **keys;	/* map only */
		}			seq;
		const void *function;
	}			u;
};

/* constructors copy what they are given into the arena */
extern LlmStatus llm_value_null(LlmArena *arena, LlmValue **out, LlmError *err);
extern LlmStatus llm_value_bool(LlmArena *arena, bool b, LlmValue **out, LlmError *err);
extern LlmStatus llm_value_int(LlmArena *arena, int64_t i, LlmValue **out, LlmError *err);
extern LlmStatus llm_value_float(LlmArena *arena, double d, LlmValue **out, LlmError *err);
extern LlmStatus llm_value_string(LlmArena *arena, const char *bytes, size_t len, bool from_data, LlmValue **out, LlmError *err);
extern LlmStatus llm_value_list(LlmArena *arena, LlmValue **out, LlmError *err);
extern LlmStatus llm_value_map(LlmArena *arena, LlmValue **out, LlmError *err);
extern LlmStatus llm_value_append(LlmArena *arena, LlmValue *list, LlmValue *item, LlmError *err);
extern LlmStatus llm_value_set(LlmArena *arena, LlmValue *map, const char *key, LlmValue *value, LlmError *err);	/* replaces an equal key */
extern LlmStatus llm_value_add(LlmArena *arena, LlmValue *map, LlmValue *key, LlmValue *value, LlmError *err);	/* key must not be in it yet */
extern const LlmValue *llm_value_get(const LlmValue *map, const char *key);	/* NULL if absent or not a map */

/*
 * JSON text (RFC 8259) to a value; all strings are data. Numbers without fraction and exponent must fit int64. Of equal
 * keys the last value wins, at the place of the first. A lone surrogate becomes U+FFFD. Depth at most 100, length below
 * 1 GB. Errors: LLM_E_ARGUMENT with the offset. Parsed by json-c.
 */
extern LlmStatus llm_value_from_json(LlmArena *arena, const char *json, size_t len, LlmValue **out, LlmError *err);

#endif
