/*
 * grammar_fuzz.c: any bytes as a JSON Schema, a regular expression, a grammar in GBNF, or a schema, a zero byte, and a value. What compiles must
 * hold its own shortest text, and a value that a schema offers must fit the schema.
 */
#include <stdlib.h>
#include <string.h>

#include "choose/grammar_run.h"

static LlmStatus
compile(int kind, LlmStr text, LlmGrammar **g, LlmError *err)
{
	switch (kind)
	{
		case 0:
			return llm_grammar_json_schema(text, false, &llm_malloc_allocator, NULL, g, err);
		case 1:
			return llm_grammar_regex(text, &llm_malloc_allocator, NULL, g, err);
		default:
			return llm_grammar_gbnf(text, &llm_malloc_allocator, NULL, g, err);
	}
}

/* the shortest text, if it is not long */
static void
check_shortest(int kind, LlmStr text, const LlmGrammar *g)
{
	LlmGrammarRun run;
	LlmBuf		shortest;
	LlmError	err;
	bool		accepted;

	if (llm_grammar_least_bytes(g) > 10000 || llm_run_init(&run, g, &llm_malloc_allocator, &err) != LLM_OK)
		return;
	llm_buf_init(&shortest, &llm_malloc_allocator);
	if (llm_run_shortest(&run, &shortest, &err) == LLM_OK)
	{
		if ((int32_t) shortest.len != llm_grammar_least_bytes(g))
			abort();
		if (llm_grammar_accepts(g, (LlmStr) {shortest.data, shortest.len}, &accepted, &err) == LLM_OK && !accepted)
			abort();
		if (kind == 0 && llm_schema_accepts(text, (LlmStr) {shortest.data, shortest.len}, &llm_malloc_allocator, NULL, &accepted, &err) == LLM_OK &&
			!accepted)
			abort();
	}
	llm_buf_free(&shortest);
	llm_run_free(&run);
}

/* whatever it says of the value, it says it twice */
static void
check_value(LlmStr text)
{
	const char *end = memchr(text.data, 0, text.len);
	LlmStr		schema = {text.data, end ? (size_t) (end - text.data) : text.len};
	LlmStr		value = {text.data + schema.len, text.len - schema.len};
	LlmError	err;
	bool		accepted[2];

	if (end)
		value = (LlmStr) {end + 1, value.len - 1};
	for (int i = 0; i < 2; i++)
		if (llm_schema_accepts(schema, value, &llm_malloc_allocator, NULL, &accepted[i], &err) != LLM_OK)
			return;
	if (accepted[0] != accepted[1])
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	LlmGrammar *g;
	LlmError	err;
	LlmStr		text;
	int			kind;

	if (size == 0)
		return 0;
	kind = data[0] % 4;
	text = (LlmStr) {(const char *) data + 1, size - 1};
	if (kind == 3)
	{
		check_value(text);
		return 0;
	}
	if (compile(kind, text, &g, &err) == LLM_OK)
	{
		check_shortest(kind, text, g);
		llm_grammar_free(g);
	}
	return 0;
}
