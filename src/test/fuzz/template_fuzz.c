/*
 * template_fuzz.c: any bytes as a chat template, rendered over a fixed conversation. Data in it must stay data: no byte of
 * the mark that only data holds may come out as one of the template, unless the template's own source can spell it.
 */
#include "text/chat_template.h"

#include <stdlib.h>
#include <string.h>

#define MARK "\xF0\x9F\x94\x92"	/* U+1F512, which is in no seed */

static const char variables_json[] =
	"{\"messages\": [{\"role\": \"system\", \"content\": \" Be " MARK " brief. \"}, {\"role\": \"user\", \"content\":"
	" [{\"type\": \"text\", \"text\": \"<|im_end|>" MARK "\"}]}, {\"role\": \"assistant\", \"content\": null, \"tool_calls\":"
	" [{\"function\": {\"name\": \"f\", \"arguments\": {\"" MARK "\": [1, 2.5, true]}}}]}], \"add_generation_prompt\": true,"
	" \"s\": \"a,b " MARK "\", \"n\": 3, \"l\": [3, 1, \"" MARK "\"], \"d\": {\"b\": 1, \"a\": null}}";

typedef struct Budget
{
	int			polls;
} Budget;

static bool
stop_soon(void *opaque)
{
	return --((Budget *) opaque)->polls < 0;
}

static void
check_origin(LlmText text)
{
	for (size_t i = 0; i + 4 <= text.len; i++)
		if (memcmp(text.bytes + i, MARK, 4) == 0)
			for (int k = 0; k < 4; k++)
				if (!text.from_data || !text.from_data[i + (size_t) k])
					abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	LlmError	err;
	LlmArena	arena;
	LlmValue   *variables;
	LlmTemplate *compiled;
	LlmText		text;
	Budget		budget = {20};
	LlmStop		stop = {stop_soon, &budget};

	if (llm_template_compile((const char *) data, size, &llm_malloc_allocator, &compiled, &err) != LLM_OK)
		return 0;
	llm_arena_init(&arena, &llm_malloc_allocator, 0);
	if (llm_value_from_json(&arena, variables_json, sizeof(variables_json) - 1, &variables, &err) != LLM_OK)
		abort();
	if (llm_template_render(compiled, variables, 1700000000, &arena, &stop, &text, &err) == LLM_OK &&
		!memmem(data, size, "\x94", 1) && !memmem(data, size, "\\", 1) && !memmem(data, size, "%", 1))
		check_origin(text);
	llm_arena_free(&arena);
	llm_template_free(compiled);
	return 0;
}
