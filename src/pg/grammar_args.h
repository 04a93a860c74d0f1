/*
 * grammar_args.h: what an answer must look like: argument schema, options grammar, regex, choice and compact.
 */
#ifndef PGLLM_GRAMMAR_ARGS_H
#define PGLLM_GRAMMAR_ARGS_H

#include "pg_llm.h"

/* readers of the options table */
extern void pgllm_read_grammar(const char *key, const JsonbValue *v, PgLlmOptions *o);
extern void pgllm_read_compact(const char *key, const JsonbValue *v, PgLlmOptions *o);

/* argument schema; after the options */
extern void pgllm_read_schema(const text *schema, PgLlmOptions *o);

#endif
