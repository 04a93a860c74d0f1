/*
 * tool_json.c: lines of JSON in and out, by json-c.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text/json_parse.h"
#include "tool.h"

/* ---- in ---- */

LlmStatus
tool_lines_error(const ToolLines *lines, LlmStatus status, LlmError *err)
{
	char		message[sizeof err->message];

	memcpy(message, err->message, sizeof message);
	snprintf(err->message, sizeof err->message, "line %ld: %.*s", lines->number, (int) sizeof message - 32, message);
	return status;
}

LlmStatus
tool_lines_next_text(ToolLines *lines, const char **line, size_t *len, LlmError *err)
{
	*line = NULL;
	*len = 0;
	for (;;)
	{
		ssize_t		n;

		errno = 0;
		n = getline(&lines->line, &lines->capacity, stdin);
		if (n < 0)
		{
			if (feof(stdin))
				return LLM_OK;
			return llm_fail_errno(err, errno, "could not read standard input");
		}
		lines->number++;
		while (n > 0 && (lines->line[n - 1] == '\n' || lines->line[n - 1] == '\r'))
			lines->line[--n] = '\0';
		if (strspn(lines->line, " \t") == (size_t) n)
			continue;
		*line = lines->line;
		*len = (size_t) n;
		return LLM_OK;
	}
}

LlmStatus
tool_lines_next(ToolLines *lines, struct json_object **value, LlmError *err)
{
	const char *line;
	size_t		len;
	LlmStatus	status;

	*value = NULL;
	LLM_TRY(tool_lines_next_text(lines, &line, &len, err));
	if (!line)
		return LLM_OK;
	status = llm_json_parse(line, len, &llm_malloc_allocator, value, err);
	if (status == LLM_OK && !*value)
		status = llm_fail(err, LLM_E_ARGUMENT, "expected a JSON value other than null");
	return status == LLM_OK ? LLM_OK : tool_lines_error(lines, status, err);
}

void
tool_lines_free(ToolLines *lines)
{
	free(lines->line);
	lines->line = NULL;
}

/* ---- out ---- */

/* repair each run between NUL bytes, which JSON can hold but llm_utf8_repair drops */
static LlmStatus
repair(const char *bytes, size_t len, LlmBuf *out, LlmError *err)
{
	size_t		at = 0;

	while (at < len)
	{
		const char *nul = memchr(bytes + at, 0, len - at);
		size_t		run = nul ? (size_t) (nul - bytes) - at : len - at;

		LLM_TRY(llm_utf8_repair(bytes + at, run, out, err));
		at += run;
		if (nul)
		{
			LLM_TRY(llm_buf_append(out, "", 1, err));
			at++;
		}
	}
	return LLM_OK;
}

LlmStatus
tool_json_text(const char *bytes, size_t len, struct json_object **out, LlmError *err)
{
	LlmBuf		buf;
	LlmStatus	status;

	llm_buf_init(&buf, &llm_malloc_allocator);
	status = repair(bytes, len, &buf, err);
	if (status == LLM_OK && buf.len > INT32_MAX - 1)
		status = llm_fail(err, LLM_E_LIMIT, "text of %zu bytes is too long for JSON", buf.len);
	if (status == LLM_OK)
	{
		*out = json_object_new_string_len(buf.len > 0 ? buf.data : "", (int) buf.len);
		if (!*out)
			status = llm_fail(err, LLM_E_NOMEM, "out of memory");
	}
	llm_buf_free(&buf);
	return status;
}

LlmStatus
tool_json_number(double value, struct json_object **out, LlmError *err)
{
	char		text[32];

	*out = NULL;
	if (!isfinite(value))
		return LLM_OK;
	snprintf(text, sizeof text, "%.9g", value);
	*out = json_object_new_double_s(value, text);
	return *out ? LLM_OK : llm_fail(err, LLM_E_NOMEM, "out of memory");
}

/* append to an array, which takes the item over */
static LlmStatus
array_add(struct json_object *array, struct json_object *item, LlmError *err)
{
	if (json_object_array_add(array, item) == 0)
		return LLM_OK;
	json_object_put(item);
	return llm_fail(err, LLM_E_NOMEM, "out of memory");
}

LlmStatus
tool_json_ids(const int32_t *ids, size_t n, struct json_object **out, LlmError *err)
{
	struct json_object *array = json_object_new_array();
	LlmStatus	status = array ? LLM_OK : llm_fail(err, LLM_E_NOMEM, "out of memory");

	for (size_t i = 0; status == LLM_OK && i < n; i++)
	{
		struct json_object *item = json_object_new_int(ids[i]);

		status = item ? array_add(array, item, err) : llm_fail(err, LLM_E_NOMEM, "out of memory");
	}
	if (status == LLM_OK)
		*out = array;
	else
		json_object_put(array);
	return status;
}

/* exactly one of floats and doubles is given */
static LlmStatus
numbers(const float *floats, const double *doubles, size_t n, struct json_object **out, LlmError *err)
{
	struct json_object *array = json_object_new_array();
	LlmStatus	status = array ? LLM_OK : llm_fail(err, LLM_E_NOMEM, "out of memory");

	for (size_t i = 0; status == LLM_OK && i < n; i++)
	{
		struct json_object *item;

		status = tool_json_number(floats ? (double) floats[i] : doubles[i], &item, err);
		if (status == LLM_OK)
			status = array_add(array, item, err);
	}
	if (status == LLM_OK)
		*out = array;
	else
		json_object_put(array);
	return status;
}

LlmStatus
tool_json_floats(const float *values, size_t n, struct json_object **out, LlmError *err)
{
	return numbers(values, NULL, n, out, err);
}

LlmStatus
tool_json_doubles(const double *values, size_t n, struct json_object **out, LlmError *err)
{
	return numbers(NULL, values, n, out, err);
}

LlmStatus
tool_json_set(struct json_object *object, const char *key, struct json_object *value, LlmError *err)
{
	if (json_object_object_add(object, key, value) == 0)
		return LLM_OK;
	json_object_put(value);
	return llm_fail(err, LLM_E_NOMEM, "out of memory");
}

LlmStatus
tool_json_set_text(struct json_object *object, const char *key, const char *text, LlmError *err)
{
	struct json_object *value;

	LLM_TRY(tool_json_text(text, strlen(text), &value, err));
	return tool_json_set(object, key, value, err);
}

LlmStatus
tool_json_set_int(struct json_object *object, const char *key, int64_t value, LlmError *err)
{
	struct json_object *item = json_object_new_int64(value);

	return item ? tool_json_set(object, key, item, err) : llm_fail(err, LLM_E_NOMEM, "out of memory");
}

LlmStatus
tool_json_set_number(struct json_object *object, const char *key, double value, LlmError *err)
{
	struct json_object *item;

	LLM_TRY(tool_json_number(value, &item, err));
	return tool_json_set(object, key, item, err);
}

LlmStatus
tool_json_set_bool(struct json_object *object, const char *key, bool value, LlmError *err)
{
	struct json_object *item = json_object_new_boolean(value);

	return item ? tool_json_set(object, key, item, err) : llm_fail(err, LLM_E_NOMEM, "out of memory");
}

LlmStatus
tool_json_print(struct json_object *value, LlmError *err)
{
	size_t		len = 0;
	const char *text = json_object_to_json_string_length(value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
	LlmStatus	status = LLM_OK;

	if (!text)
		status = llm_fail(err, LLM_E_NOMEM, "out of memory");
	else if (fwrite(text, 1, len, stdout) != len || fputc('\n', stdout) == EOF || fflush(stdout) != 0)
		status = llm_fail_errno(err, errno, "could not write to standard output");
	json_object_put(value);
	return status;
}
