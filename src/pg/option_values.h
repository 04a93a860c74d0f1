/*
 * option_values.h: the value of one option, checked: what does not fit raises an ERROR with the key and what it may hold.
 */
#ifndef PGLLM_OPTION_VALUES_H
#define PGLLM_OPTION_VALUES_H

#include "pg_llm.h"

/* raise; expected: a sentence for users */
extern void pgllm_option_bad(const char *key, const char *expected);

/* NaN, which no range holds, if it is no number */
extern double pgllm_option_number_or_nan(const JsonbValue *v);

extern double pgllm_option_number(const char *key, const JsonbValue *v, double min, double max);
extern int32 pgllm_option_integer(const char *key, const JsonbValue *v, int32 min, int32 max);

/* UTF-8, in the current memory context */
extern LlmStr pgllm_option_string(const char *key, const JsonbValue *v);

/* index of the string among choices (ended by NULL) */
extern int	pgllm_option_choice(const char *key, const JsonbValue *v, const char *const *choices);

extern JsonbContainer *pgllm_option_object(const char *key, const JsonbValue *v, const char *expected);

#endif
