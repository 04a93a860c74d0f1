/*
 * grammar_args.h: what an answer must look like: argument schema, options grammar, regex, choice and compact.
 */
#ifndef PGLLM_GRAMMAR_ARGS_H
#define PGLLM_GRAMMAR_ARGS_H

#include "pg_llm.h"

/* readers of the options table */
extern void pgllm_read_grammar(const char *key, const JsonbValue *v, PgLlmOptions *o);
extern void pgllm_read_compact(const char *key, const JsonbValue *v, PgLlmOptions *o);

/* argument schema, after the options; UTF-8 that lives as long as o, or what a user gave */
extern void pgllm_set_schema(LlmStr schema, PgLlmOptions *o);
extern void pgllm_read_schema(const text *schema, PgLlmOptions *o);

/* make the grammar of the schema, if there is one and it was not made before */
extern void pgllm_compile_schema(PgLlmOptions *o);

/* whether an instance fits; true too if the schema is too large for deciding it */
extern bool pgllm_schema_fits(LlmStr schema, LlmStr instance);

/* whether a pattern (ECMA-262, server's encoding) is one that can be compiled */
extern bool pgllm_pattern_compiles(const char *pattern);

#endif
