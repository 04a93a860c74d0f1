/*
 * tool_schema.c: does a JSON value fit a JSON Schema? Lines {"schema": …, "instance": …} in; {"accepted": true or false} or
 * {"refused": reason} out. Numbers stay exact: lines are read by the reader of schemas and not by json-c.
 */
#include <stdlib.h>
#include <string.h>

#include "choose/json_write.h"
#include "tool.h"

/* the canonical text of a member of line */
static LlmStatus
member_text(const LlmJson *line, const char *key, LlmBuf *out, LlmError *err)
{
	const LlmJson *v = llm_json_get(line, key);

	if (!v)
		return llm_fail(err, LLM_E_ARGUMENT, "a line needs \"schema\" and \"instance\"");
	return llm_json_write(v, false, NULL, NULL, out, err);
}

static LlmStatus
schema_line(const char *text, size_t len, LlmArena *arena, LlmBuf *schema, LlmBuf *instance, LlmError *err)
{
	LlmJson    *line;
	LlmStatus	status;
	bool		accepted;

	LLM_TRY(llm_json_tree(arena, text, len, NULL, &line, err));
	schema->len = instance->len = 0;
	LLM_TRY(member_text(line, "schema", schema, err));
	LLM_TRY(member_text(line, "instance", instance, err));
	status = llm_schema_accepts((LlmStr) {schema->data, schema->len}, (LlmStr) {instance->data, instance->len},
								&llm_malloc_allocator, NULL, &accepted, err);
	if (status == LLM_OK)
		printf("{\"accepted\": %s}\n", accepted ? "true" : "false");
	else if (status == LLM_E_UNSUPPORTED || status == LLM_E_LIMIT || status == LLM_E_ARGUMENT)
	{
		struct json_object *reason = json_object_new_string(err->message);

		printf("{\"refused\": %s}\n", json_object_to_json_string(reason));
		json_object_put(reason);
	}
	else
		return status;
	return LLM_OK;
}

LlmStatus
tool_schema(const ToolOptions *options, LlmError *err)
{
	LlmArena	arena;
	LlmBuf		schema;
	LlmBuf		instance;
	char	   *line = NULL;
	size_t		capacity = 0;
	ssize_t		n;
	LlmStatus	status = LLM_OK;

	(void) options;
	llm_buf_init(&schema, &llm_malloc_allocator);
	llm_buf_init(&instance, &llm_malloc_allocator);
	while (status == LLM_OK && (n = getline(&line, &capacity, stdin)) > 0)
	{
		llm_arena_init(&arena, &llm_malloc_allocator, 0);
		status = schema_line(line, (size_t) n, &arena, &schema, &instance, err);
		llm_arena_free(&arena);
	}
	llm_buf_free(&schema);
	llm_buf_free(&instance);
	free(line);
	return status;
}
