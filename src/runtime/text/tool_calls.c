/*
 * tool_calls.c: known ways to write calls of tools, recognised by their markers:
 *
 *   Hermes, Qwen     <tool_call>{"name": …, "arguments": {…}}</tool_call> …
 *   Qwen3-Coder      <tool_call><function=NAME><parameter=KEY>value</parameter> … </function></tool_call> …
 *   Mistral          [TOOL_CALLS][{"name": …, "arguments": {…}}, …]  or  [TOOL_CALLS]NAME[ARGS]{…} …
 *   Llama 3          <|python_tag|>{"name": …, "parameters": {…}}; …  or the object alone
 *   Harmony          … to=functions.NAME …<|message|>{…}, beside <|channel|>analysis and final
 *   DeepSeek         <｜tool▁calls▁begin｜>, with the name before and the arguments after <｜tool▁sep｜>
 *
 * Each reader takes the whole text or refuses it: an answer of which a part is not understood stays text. A leading part in
 * <think> is reasoning.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "text/json_parse.h"
#include "text/tool_calls.h"

#define MAX_CALLS 256

/* what is left to read */
typedef struct Cursor
{
	const char *p;
	const char *end;
} Cursor;

/* what was read */
typedef struct Answer
{
	LlmBuf		content;
	LlmBuf		reasoning;
	struct json_object *calls;	/* array */
	int			n_calls;
	bool		no_memory;
} Answer;

static bool
starts(const Cursor *c, const char *word)
{
	size_t		n = strlen(word);

	return (size_t) (c->end - c->p) >= n && memcmp(c->p, word, n) == 0;
}

static bool
take(Cursor *c, const char *word)
{
	if (!starts(c, word))
		return false;
	c->p += strlen(word);
	return true;
}

static void
skip_space(Cursor *c)
{
	while (c->p < c->end && strchr(" \t\r\n", *c->p) && *c->p)
		c->p++;
}

static Cursor
trimmed(const char *begin, const char *end)
{
	Cursor		c = {begin, end};

	skip_space(&c);
	while (c.end > c.p && strchr(" \t\r\n", c.end[-1]) && c.end[-1])
		c.end--;
	return c;
}

/* the text before a word, which is taken too; false if it does not come */
static bool
take_until(Cursor *c, const char *word, Cursor *before)
{
	const char *at = memmem(c->p, (size_t) (c->end - c->p), word, strlen(word));

	if (!at)
		return false;
	*before = (Cursor) {c->p, at};
	c->p = at + strlen(word);
	return true;
}

/* the extent of an object or array that begins here; false if it does not close */
static bool
take_json(Cursor *c, Cursor *json)
{
	const char *begin;
	int			depth = 0;
	bool		in_string = false;

	skip_space(c);
	begin = c->p;
	for (const char *p = begin; p < c->end; p++)
	{
		if (in_string)
		{
			if (*p == '\\')
				p++;
			else if (*p == '"')
				in_string = false;
			continue;
		}
		if (*p == '"')
			in_string = true;
		else if (*p == '{' || *p == '[')
			depth++;
		else if (*p == '}' || *p == ']')
			depth--;
		if (depth == 0)
		{
			if (*p != '}' && *p != ']')
				return false;	/* begins with neither */
			*json = (Cursor) {begin, p + 1};
			c->p = p + 1;
			return true;
		}
	}
	return false;
}

static struct json_object *
parse(Cursor c)
{
	struct json_object *value = NULL;
	LlmError	err;

	if (llm_json_parse(c.p, (size_t) (c.end - c.p), &llm_malloc_allocator, &value, &err) != LLM_OK)
		return NULL;
	return value;
}

static struct json_object *
new_text(const char *p, size_t len)
{
	return len > INT32_MAX ? NULL : json_object_new_string_len(p, (int) len);
}

/* add a call; arguments (an object, whose reference is taken) as JSON text */
static bool
add_call(Answer *a, const char *name, size_t name_len, struct json_object *arguments, const char *id)
{
	struct json_object *call = json_object_new_object();
	struct json_object *function = json_object_new_object();
	const char *text = json_object_to_json_string_ext(arguments, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	char		own_id[24];
	bool		good = name_len > 0 && name_len < 1024 && a->n_calls < MAX_CALLS && json_object_is_type(arguments, json_type_object);

	snprintf(own_id, sizeof(own_id), "call%05d", a->n_calls);	/* nine letters and digits, as Mistral wants them */
	a->no_memory = a->no_memory || !call || !function || (good && !text);
	if (good && !a->no_memory)
	{
		json_object_object_add(call, "id", json_object_new_string(id ? id : own_id));
		json_object_object_add(call, "type", json_object_new_string("function"));
		json_object_object_add(function, "name", new_text(name, name_len));
		json_object_object_add(function, "arguments", json_object_new_string(text));
		json_object_object_add(call, "function", function);
		json_object_array_add(a->calls, call);
		a->n_calls++;
		call = function = NULL;
	}
	json_object_put(call);
	json_object_put(function);
	json_object_put(arguments);
	return good;
}

/* {"name": …, "arguments" or "parameters": {…}}, also with the arguments as a string of JSON */
static bool
add_object(Answer *a, struct json_object *object)
{
	struct json_object *name = NULL;
	struct json_object *arguments = NULL;
	struct json_object *id = NULL;
	struct json_object *inner = NULL;

	if (!json_object_is_type(object, json_type_object))
		return false;
	if (json_object_object_get_ex(object, "function", &inner) && json_object_is_type(inner, json_type_object))
		return add_object(a, inner);
	if (!json_object_object_get_ex(object, "name", &name) || !json_object_is_type(name, json_type_string))
		return false;
	if (!json_object_object_get_ex(object, "arguments", &arguments) && !json_object_object_get_ex(object, "parameters", &arguments))
		return false;
	json_object_object_get_ex(object, "id", &id);
	if (json_object_is_type(arguments, json_type_string))
		arguments = parse((Cursor) {json_object_get_string(arguments),
								   json_object_get_string(arguments) + json_object_get_string_len(arguments)});
	else
		json_object_get(arguments);
	return add_call(a, json_object_get_string(name), (size_t) json_object_get_string_len(name), arguments,
					json_object_is_type(id, json_type_string) ? json_object_get_string(id) : NULL);
}

static bool
add_json(Answer *a, Cursor c)
{
	struct json_object *object = parse(c);
	bool		good = add_object(a, object);

	json_object_put(object);
	return good;
}

static bool
append(LlmBuf *buf, Cursor c, Answer *a)
{
	LlmError	err;

	c = trimmed(c.p, c.end);
	if (llm_buf_append(buf, c.p, (size_t) (c.end - c.p), &err) != LLM_OK)
		a->no_memory = true;
	return !a->no_memory;
}

/* ---- Hermes, Qwen, Qwen3-Coder ---- */

/* a value without quotes: JSON where it is a number, truth value, list or object, else text, without the line ends around it */
static struct json_object *
plain_value(Cursor c)
{
	struct json_object *value = parse(trimmed(c.p, c.end));

	if (value && !json_object_is_type(value, json_type_string))
		return value;
	json_object_put(value);
	if (c.p < c.end && *c.p == '\n')
		c.p++;
	if (c.p < c.end && c.end[-1] == '\n')
		c.end--;
	return new_text(c.p, (size_t) (c.end - c.p));
}

static bool
add_function(Answer *a, Cursor c)
{
	struct json_object *arguments = json_object_new_object();
	Cursor		name;
	Cursor		key;
	Cursor		value;

	if (!arguments || !take_until(&c, ">", &name))
		goto bad;
	for (skip_space(&c); take(&c, "<parameter="); skip_space(&c))
	{
		char		text[256];

		if (!take_until(&c, ">", &key) || !take_until(&c, "</parameter>", &value) || key.end - key.p >= (ptrdiff_t) sizeof(text))
			goto bad;
		memcpy(text, key.p, (size_t) (key.end - key.p));
		text[key.end - key.p] = '\0';
		json_object_object_add(arguments, text, plain_value(value));
	}
	if (!take(&c, "</function>"))
		goto bad;
	skip_space(&c);
	if (c.p != c.end)
		goto bad;
	return add_call(a, name.p, (size_t) (name.end - name.p), arguments, NULL);
bad:
	json_object_put(arguments);
	return false;
}

static bool
read_hermes(Cursor c, Answer *a)
{
	Cursor		before;
	Cursor		body;

	while (take_until(&c, "<tool_call>", &before))
	{
		if (!append(&a->content, before, a))
			return false;
		/* the last one may lack its end where that is a token that ends the answer */
		if (!take_until(&c, "</tool_call>", &body))
		{
			body = c;
			c.p = c.end;
		}
		body = trimmed(body.p, body.end);
		if (take(&body, "<function=") ? !add_function(a, body) : !add_json(a, body))
			return false;
	}
	return append(&a->content, c, a);
}

/* ---- Mistral ---- */

static bool
read_mistral(Cursor c, Answer *a)
{
	Cursor		part;
	Cursor		json;

	if (!take_until(&c, "[TOOL_CALLS]", &part) || !append(&a->content, part, a))
		return false;
	skip_space(&c);
	if (starts(&c, "["))
	{
		struct json_object *array;
		bool		good;

		if (!take_json(&c, &json))
			return false;
		array = parse(json);
		good = json_object_is_type(array, json_type_array);
		for (size_t i = 0; good && i < json_object_array_length(array); i++)
			good = add_object(a, json_object_array_get_idx(array, i));
		json_object_put(array);
		skip_space(&c);
		return good && c.p == c.end;
	}
	for (;;)
	{
		Cursor		id;

		if (!take_until(&c, "[ARGS]", &part) || !take_json(&c, &json))
			return false;
		if (take_until(&part, "[CALL_ID]", &id))
			part = id;			/* the name stands before; ids are made anew */
		part = trimmed(part.p, part.end);
		if (!add_call(a, part.p, (size_t) (part.end - part.p), parse(json), NULL))
			return false;
		skip_space(&c);
		if (c.p == c.end)
			return true;
		(void) take(&c, "[TOOL_CALLS]");
	}
}

/* ---- Llama 3 ---- */

static bool
read_llama(Cursor c, Answer *a)
{
	Cursor		json;

	(void) take(&c, "<|python_tag|>");
	do
	{
		if (!take_json(&c, &json) || !add_json(a, json))
			return false;
		skip_space(&c);
	} while (take(&c, ";"));
	return c.p == c.end;
}

/* ---- Harmony ---- */

/* one message: header (with its channel), and body up to the next message or the end */
static bool
add_harmony(Answer *a, Cursor header, Cursor body)
{
	static const char to[] = "to=functions.";
	const char *at = memmem(header.p, (size_t) (header.end - header.p), to, strlen(to));
	Cursor		name;

	if (!at)
		return append(memmem(header.p, (size_t) (header.end - header.p), "analysis", 8) ? &a->reasoning : &a->content, body, a);
	name.p = name.end = at + strlen(to);
	while (name.end < header.end && !strchr(" <\t\r\n", *name.end))
		name.end++;
	return add_call(a, name.p, (size_t) (name.end - name.p), parse(trimmed(body.p, body.end)), NULL);
}

static bool
read_harmony(Cursor c, Answer *a)
{
	static const char *const ends[] = {"<|end|>", "<|call|>", "<|return|>", "<|start|>"};
	Cursor		header;

	while (take_until(&c, "<|message|>", &header))
	{
		Cursor		body = c;

		for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		{
			const char *at = memmem(body.p, (size_t) (body.end - body.p), ends[i], strlen(ends[i]));

			body.end = at ? at : body.end;
		}
		c.p = body.end;
		if (!add_harmony(a, header, body))
			return false;
		for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
			(void) take(&c, ends[i]);
	}
	skip_space(&c);
	return c.p == c.end;
}

/* ---- DeepSeek ---- */

#define DEEPSEEK_BEGIN "<｜tool▁calls▁begin｜>"

static bool
read_deepseek(Cursor c, Answer *a)
{
	Cursor		part;
	Cursor		json;

	if (!take_until(&c, DEEPSEEK_BEGIN, &part) || !append(&a->content, part, a))
		return false;
	for (skip_space(&c); take(&c, "<｜tool▁call▁begin｜>"); skip_space(&c))
	{
		Cursor		name;
		bool		fenced;

		if (!take_until(&c, "<｜tool▁sep｜>", &name))
			return false;
		part = c;
		fenced = take_until(&part, "```json", &json) && name.end - name.p == 8 && memcmp(name.p, "function", 8) == 0;
		if (fenced)				/* V3, R1: the kind stands before, the name after */
		{
			name = trimmed(json.p, json.end);
			c = part;
		}
		if (!take_json(&c, &json) || !add_call(a, name.p, (size_t) (name.end - name.p), parse(json), NULL))
			return false;
		skip_space(&c);
		if (fenced && !take(&c, "```"))
			return false;
		skip_space(&c);
		if (!take(&c, "<｜tool▁call▁end｜>") && c.p != c.end)
			return false;
	}
	(void) take(&c, "<｜tool▁calls▁end｜>");
	return append(&a->content, c, a);
}

/* ---- all ---- */

static const struct
{
	const char *marker;			/* NULL: any text that begins with an object */
	bool		(*read) (Cursor c, Answer *a);
}			syntaxes[] = {
	{"<tool_call>", read_hermes},
	{"[TOOL_CALLS]", read_mistral},
	{"<|python_tag|>", read_llama},
	{"to=functions.", read_harmony},
	{DEEPSEEK_BEGIN, read_deepseek},
	{NULL, read_llama},
};

static bool
read_answer(Cursor c, Answer *a)
{
	Cursor		think;
	Cursor		rest = trimmed(c.p, c.end);

	if (take(&rest, "<think>"))
	{
		if (!take_until(&rest, "</think>", &think) || !append(&a->reasoning, think, a))
			return false;
		rest = trimmed(rest.p, rest.end);
	}
	for (size_t i = 0; i < sizeof(syntaxes) / sizeof(syntaxes[0]); i++)
	{
		const char *marker = syntaxes[i].marker;

		if (marker ? memmem(rest.p, (size_t) (rest.end - rest.p), marker, strlen(marker)) != NULL : starts(&rest, "{"))
			return syntaxes[i].read(rest, a);
	}
	return false;
}

static LlmStatus
write_message(const Answer *a, LlmBuf *message, LlmError *err)
{
	struct json_object *object = json_object_new_object();
	const char *text = NULL;
	size_t		len = 0;
	LlmStatus	status;

	if (object)
	{
		json_object_object_add(object, "role", json_object_new_string("assistant"));
		json_object_object_add(object, "content", a->content.len > 0 ? new_text(a->content.data, a->content.len) : NULL);
		if (a->reasoning.len > 0)
			json_object_object_add(object, "reasoning_content", new_text(a->reasoning.data, a->reasoning.len));
		json_object_object_add(object, "tool_calls", json_object_get(a->calls));
		text = json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
	}
	status = text ? llm_buf_append(message, text, len, err) : llm_fail(err, LLM_E_NOMEM, "out of memory");
	json_object_put(object);
	return status;
}

LlmStatus
llm_tool_calls_parse(const char *text, size_t len, LlmBuf *message, int *n_calls, LlmError *err)
{
	Answer		a = {.calls = json_object_new_array()};
	LlmStatus	status = LLM_OK;
	bool		good;

	*n_calls = 0;
	llm_buf_init(&a.content, message->allocator);
	llm_buf_init(&a.reasoning, message->allocator);
	a.no_memory = a.calls == NULL;
	good = !a.no_memory && read_answer((Cursor) {text, text + len}, &a);
	if (a.no_memory)
		status = llm_fail(err, LLM_E_NOMEM, "out of memory");
	else if (good && a.n_calls > 0)
	{
		status = write_message(&a, message, err);
		*n_calls = status == LLM_OK ? a.n_calls : 0;
	}
	json_object_put(a.calls);
	llm_buf_free(&a.content);
	llm_buf_free(&a.reasoning);
	return status;
}
