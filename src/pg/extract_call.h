/*
 * extract_call.h: what llm_extract and the functions that return rows share: schema, prompt and examples.
 */
#ifndef PGLLM_EXTRACT_CALL_H
#define PGLLM_EXTRACT_CALL_H

#include "generate_call.h"

/* where a function has what all of them have */
typedef struct PgLlmExtractArgno
{
	int			input;
	int			model;
	int			instruction;
	int			examples;
	int			max_tokens;
	int			options;
} PgLlmExtractArgno;

/* a call site, parsed; everything in UTF-8 */
typedef struct PgLlmExtraction
{
	PgLlmGenerateArgs args;		/* first: also what generating functions share */
	LlmLabelQuestion question;
	PgLlmKey	schema;			/* digest of the schema: part of a call's key */
	void	   *conversion;		/* of the function, NULL: none */
} PgLlmExtraction;

/* into the current memory context; schema: JSON Schema that answers fit */
extern PgLlmExtraction *pgllm_extraction_parse(FunctionCallInfo fcinfo, const PgLlmExtractArgno *argno, LlmStr schema);

extern const PgLlmKey *pgllm_extraction_schema(const void *parsed);
extern void pgllm_extraction_begin(PgLlmWork *work, const text *input);

#endif
