/*
 * tool_text.c: tokenize and render: the text side of a model, without its weights.
 */
#include <string.h>

#include "tool.h"

/* ---- tokenize ---- */

/* [id, …] to text */
static LlmStatus
detokenize_line(const LlmTokenizer *tokenizer, struct json_object *value, int flags, LlmTokens *tokens, LlmError *err)
{
	struct json_object *text;
	LlmBuf		bytes;
	LlmStatus	status = LLM_OK;

	tokens->n = 0;
	llm_buf_init(&bytes, &llm_malloc_allocator);
	for (size_t i = 0; i < json_object_array_length(value) && status == LLM_OK; i++)
	{
		struct json_object *id = json_object_array_get_idx(value, i);

		if (!json_object_is_type(id, json_type_int))
			status = llm_fail(err, LLM_E_ARGUMENT, "expected a JSON string, two of them, or ids of tokens");
		else
			status = llm_tokens_append(tokens, json_object_get_int(id), err);
	}
	if (status == LLM_OK)
		status = llm_detokenize(tokenizer, tokens->ids, tokens->n, (flags & LLM_TOKENIZE_PARSE_SPECIAL) != 0, &bytes, err);
	if (status == LLM_OK)
		status = tool_json_text(bytes.data ? bytes.data : "", bytes.len, &text, err);
	llm_buf_free(&bytes);
	return status == LLM_OK ? tool_json_print(text, err) : status;
}

/* ["first", "second"] to ids */
static LlmStatus
tokenize_two(const LlmTokenizer *tokenizer, struct json_object *value, int flags, LlmTokens *tokens, LlmError *err)
{
	struct json_object *first = json_object_array_get_idx(value, 0);
	struct json_object *second = json_object_array_get_idx(value, 1);

	if (!json_object_is_type(second, json_type_string))
		return llm_fail(err, LLM_E_ARGUMENT, "expected two JSON strings");
	tokens->n = 0;
	return llm_tokenize_pair(tokenizer, (LlmText) {json_object_get_string(first), NULL, (size_t) json_object_get_string_len(first)},
							 (LlmText) {json_object_get_string(second), NULL, (size_t) json_object_get_string_len(second)},
							 flags, NULL, tokens, NULL, err);
}

static LlmStatus
tokenize_line(const LlmTokenizer *tokenizer, struct json_object *value, int flags, LlmTokens *tokens, LlmError *err)
{
	struct json_object *ids;
	LlmText		text;

	if (json_object_is_type(value, json_type_array))
	{
		if (!json_object_is_type(json_object_array_get_idx(value, 0), json_type_string))
			return detokenize_line(tokenizer, value, flags, tokens, err);
		LLM_TRY(tokenize_two(tokenizer, value, flags, tokens, err));
	}
	else
	{
		if (!json_object_is_type(value, json_type_string))
			return llm_fail(err, LLM_E_ARGUMENT, "expected a JSON string, two of them, or ids of tokens");
		text = (LlmText) {json_object_get_string(value), NULL, (size_t) json_object_get_string_len(value)};
		tokens->n = 0;
		LLM_TRY(llm_tokenize(tokenizer, text, flags, NULL, tokens, err));
	}
	LLM_TRY(tool_json_ids(tokens->ids, tokens->n, &ids, err));
	return tool_json_print(ids, err);
}

static LlmStatus
tokenize_lines(const LlmTokenizer *tokenizer, int flags, LlmError *err)
{
	ToolLines	lines = {NULL, 0, 0};
	LlmTokens	tokens;
	struct json_object *value;
	LlmStatus	status;

	llm_tokens_init(&tokens, &llm_malloc_allocator);
	while ((status = tool_lines_next(&lines, &value, err)) == LLM_OK && value)
	{
		status = tokenize_line(tokenizer, value, flags, &tokens, err);
		json_object_put(value);
		if (status != LLM_OK)
		{
			tool_lines_error(&lines, status, err);
			break;
		}
	}
	llm_tokens_free(&tokens);
	tool_lines_free(&lines);
	return status;
}

LlmStatus
tool_tokenize(const ToolOptions *options, LlmError *err)
{
	int			flags = (options->bos ? LLM_TOKENIZE_ADD_SPECIAL : 0) | (options->special ? LLM_TOKENIZE_PARSE_SPECIAL : 0);
	LlmSource	source;
	LlmTokenizer *tokenizer = NULL;
	LlmStatus	status;

	LLM_TRY(llm_source_open(options->model, &llm_malloc_allocator, NULL, &source, err));
	status = llm_tokenizer_create(source.meta, &llm_malloc_allocator, &tokenizer, err);
	if (status == LLM_OK)
		status = tokenize_lines(tokenizer, flags, err);
	if (tokenizer)
		llm_tokenizer_free(tokenizer);
	llm_source_close(&source);
	return status;
}

/* ---- render ---- */

/* what renders: a model without weights, or a template alone */
typedef struct Renderer
{
	LlmModel	model;			/* only pack.meta, tokenizer and chat_template are used */
	LlmTemplate *template_alone;	/* NULL: render as the model would */
	int64_t		now;
} Renderer;

/* split an object of variables into messages, add_generation_prompt and the rest */
static LlmStatus
split_variables(const LlmValue *variables, LlmArena *arena, const LlmValue **messages, bool *add_generation_prompt,
				LlmValue **extra, LlmError *err)
{
	const LlmValue *add = llm_value_get(variables, "add_generation_prompt");

	*messages = llm_value_get(variables, "messages");
	*add_generation_prompt = add && add->kind == LLM_VALUE_BOOL && add->u.boolean;
	if (add && add->kind != LLM_VALUE_BOOL)
		return llm_fail(err, LLM_E_ARGUMENT, "add_generation_prompt must be true or false");
	LLM_TRY(llm_value_map(arena, extra, err));
	for (size_t i = 0; i < variables->u.seq.n; i++)
	{
		LlmText		key = variables->u.seq.keys[i]->u.text;
		char	   *name;

		LLM_TRY(llm_arena_alloc(arena, key.len + 1, 1, (void **) &name, err));
		memcpy(name, key.bytes, key.len);
		name[key.len] = '\0';
		if (strcmp(name, "messages") != 0 && strcmp(name, "add_generation_prompt") != 0)
			LLM_TRY(llm_value_set(arena, *extra, name, variables->u.seq.items[i], err));
	}
	return LLM_OK;
}

static LlmStatus
render_line(const Renderer *r, const char *line, size_t len, LlmArena *arena, LlmError *err)
{
	static const LlmStr no_prefix = {"", 0};
	LlmValue   *variables;
	LlmText		text;
	struct json_object *out;

	LLM_TRY(llm_value_from_json(arena, line, len, &variables, err));
	if (variables->kind != LLM_VALUE_MAP)
		return llm_fail(err, LLM_E_ARGUMENT, "expected an object such as {\"messages\": […]}");
	if (r->template_alone)
		LLM_TRY(llm_template_render(r->template_alone, variables, r->now, arena, NULL, &text, err));
	else
	{
		const LlmValue *messages;
		LlmValue   *extra;
		bool		add_generation_prompt;

		LLM_TRY(split_variables(variables, arena, &messages, &add_generation_prompt, &extra, err));
		LLM_TRY(llm_prompt_render(&r->model, messages, extra, no_prefix, add_generation_prompt, r->now, arena, NULL, &text,
								  err));
	}
	LLM_TRY(tool_json_text(text.bytes, text.len, &out, err));
	return tool_json_print(out, err);
}

static LlmStatus
render_lines(const Renderer *r, LlmError *err)
{
	ToolLines	lines = {NULL, 0, 0};
	LlmArena	arena;
	const char *line;
	size_t		len;
	LlmStatus	status;

	llm_arena_init(&arena, &llm_malloc_allocator, 0);
	while ((status = tool_lines_next_text(&lines, &line, &len, err)) == LLM_OK && line)
	{
		status = render_line(r, line, len, &arena, err);
		llm_arena_free(&arena);
		if (status != LLM_OK)
		{
			tool_lines_error(&lines, status, err);
			break;
		}
	}
	tool_lines_free(&lines);
	return status;
}

/* the template in a file of its own */
static LlmStatus
render_with_file(const ToolOptions *options, LlmError *err)
{
	Renderer	r;
	LlmFile		file;
	void	   *source = NULL;
	LlmStatus	status;

	memset(&r, 0, sizeof r);
	r.now = options->now;
	LLM_TRY(llm_file_open(options->template_file, &file, err));
	status = llm_alloc(&llm_malloc_allocator, (size_t) file.size_bytes + 1, 1, &source, err);
	if (status == LLM_OK)
		status = llm_file_read(&file, 0, source, (size_t) file.size_bytes, NULL, err);
	if (status == LLM_OK)
		status = llm_template_compile(source, (size_t) file.size_bytes, &llm_malloc_allocator, &r.template_alone, err);
	if (status == LLM_OK)
		status = render_lines(&r, err);
	if (r.template_alone)
		llm_template_free(r.template_alone);
	llm_free(&llm_malloc_allocator, source);
	llm_file_close(&file);
	return status;
}

/* the parts of a model that rendering reads */
static LlmStatus
open_renderer(const LlmSource *source, Renderer *r, LlmError *err)
{
	LlmStr		text = {NULL, 0};

	r->model.allocator = &llm_malloc_allocator;
	r->model.pack.meta = *source->meta;
	LLM_TRY(llm_tokenizer_create(source->meta, &llm_malloc_allocator, &r->model.tokenizer, err));
	LLM_TRY(llm_meta_string(source->meta, "tokenizer.chat_template", false, &text, err));
	if (!text.data)
		return LLM_OK;
	return llm_template_compile(text.data, text.len, &llm_malloc_allocator, &r->model.chat_template, err);
}

LlmStatus
tool_render(const ToolOptions *options, LlmError *err)
{
	Renderer	r;
	LlmSource	source;
	LlmStatus	status;

	if (options->template_file)
		return render_with_file(options, err);
	memset(&r, 0, sizeof r);
	r.now = options->now;
	LLM_TRY(llm_source_open(options->model, &llm_malloc_allocator, NULL, &source, err));
	status = open_renderer(&source, &r, err);
	if (status == LLM_OK)
		status = render_lines(&r, err);
	if (r.model.chat_template)
		llm_template_free(r.model.chat_template);
	if (r.model.tokenizer)
		llm_tokenizer_free(r.model.tokenizer);
	llm_source_close(&source);
	return status;
}
