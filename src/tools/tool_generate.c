/*
 * tool_generate.c: logits, generate and score: a line in, what the model makes of it out.
 */
#include <string.h>

#include "tool.h"

/* a line of input, turned into one line of output; tokens and arena are scratch, empty at the call */
typedef LlmStatus (*LineFn) (ToolModel *m, const ToolOptions *options, struct json_object *value, LlmTokens *tokens,
							 LlmError *err);

static LlmStatus
for_each_line(const ToolOptions *options, LineFn fn, LlmError *err)
{
	ToolLines	lines = {NULL, 0, 0};
	ToolModel	m;
	LlmTokens	tokens;
	struct json_object *value;
	LlmStatus	status;

	LLM_TRY(tool_model_open(options, &m, err));
	llm_tokens_init(&tokens, &llm_malloc_allocator);
	while ((status = tool_lines_next(&lines, &value, err)) == LLM_OK && value)
	{
		tokens.n = 0;
		status = fn(&m, options, value, &tokens, err);
		json_object_put(value);
		if (status != LLM_OK)
		{
			tool_lines_error(&lines, status, err);
			break;
		}
	}
	llm_tokens_free(&tokens);
	tool_lines_free(&lines);
	tool_model_close(&m);
	return status;
}

/* {key: value} printed as a line; value is taken over */
static LlmStatus
print_one(const char *key, struct json_object *value, LlmError *err)
{
	struct json_object *object = json_object_new_object();

	if (!object)
	{
		json_object_put(value);
		return llm_fail(err, LLM_E_NOMEM, "out of memory");
	}
	if (tool_json_set(object, key, value, err) != LLM_OK)
	{
		json_object_put(object);
		return LLM_E_NOMEM;
	}
	return tool_json_print(object, err);
}

/* ---- logits ---- */

static LlmStatus
logits_line(ToolModel *m, const ToolOptions *options, struct json_object *value, LlmTokens *tokens, LlmError *err)
{
	LlmRequest *request;
	struct json_object *logits;
	LlmStatus	status;

	LLM_TRY(tool_read_tokens(m->model, value, options->special, NULL, tokens, err));
	LLM_TRY(llm_request_logits(m->scheduler, tokens->ids, tokens->n, &request, err));
	status = tool_run_request(m, request, err);
	if (status == LLM_OK)
		status = tool_json_floats(llm_request_logits_result(request), m->model->hp.n_vocab, &logits, err);
	llm_request_free(request);
	LLM_TRY(status);
	return print_one("logits", logits, err);
}

LlmStatus
tool_logits(const ToolOptions *options, LlmError *err)
{
	return for_each_line(options, logits_line, err);
}

/* ---- generate ---- */

/* sampling options that a line may hold; seed and top_k are whole numbers */
static const struct
{
	const char *key;
	size_t		field;			/* a float in LlmSampling */
}			sampling_keys[] = {
	{"temperature", offsetof(LlmSampling, temperature)},
	{"top_p", offsetof(LlmSampling, top_p)},
	{"min_p", offsetof(LlmSampling, min_p)},
	{"typical_p", offsetof(LlmSampling, typical_p)},
	{"repeat_penalty", offsetof(LlmSampling, repeat_penalty)},
	{"presence_penalty", offsetof(LlmSampling, presence_penalty)},
	{"frequency_penalty", offsetof(LlmSampling, frequency_penalty)},
};

#define N_SAMPLING_KEYS (sizeof sampling_keys / sizeof sampling_keys[0])

static const char *const grammar_keys[] = {"schema", "regex", "grammar", "choice"};

static bool
is_grammar_key(const char *key)
{
	for (size_t i = 0; i < sizeof grammar_keys / sizeof grammar_keys[0]; i++)
		if (strcmp(grammar_keys[i], key) == 0)
			return true;
	return false;
}

static bool
is_sampling_key(const char *key)
{
	for (size_t i = 0; i < N_SAMPLING_KEYS; i++)
		if (strcmp(sampling_keys[i].key, key) == 0)
			return true;
	return strcmp(key, "seed") == 0 || strcmp(key, "top_k") == 0 || is_grammar_key(key);
}

/* a whole number of the object, within [min, max]; *out as it was if absent */
static LlmStatus
read_int(struct json_object *object, const char *key, int64_t min, int64_t max, int64_t *out, LlmError *err)
{
	struct json_object *item;
	int64_t		value;

	if (!json_object_object_get_ex(object, key, &item))
		return LLM_OK;
	value = json_object_get_int64(item);
	if (!json_object_is_type(item, json_type_int) || value < min || value > max)
		return llm_fail(err, LLM_E_ARGUMENT, "%s must be a whole number from %lld to %lld, is %.60s", key, (long long) min,
						(long long) max, json_object_to_json_string(item));
	*out = value;
	return LLM_OK;
}

static LlmStatus
read_sampling(struct json_object *object, int32_t n_vocab, LlmSampling *sampling, LlmError *err)
{
	int64_t		seed = 0;
	int64_t		top_k = 0;

	*sampling = llm_sampling_default;
	for (size_t i = 0; i < N_SAMPLING_KEYS; i++)
	{
		struct json_object *item;

		if (!json_object_object_get_ex(object, sampling_keys[i].key, &item))
			continue;
		if (!json_object_is_type(item, json_type_int) && !json_object_is_type(item, json_type_double))
			return llm_fail(err, LLM_E_ARGUMENT, "%s must be a number, is %.60s", sampling_keys[i].key,
							json_object_to_json_string(item));
		*(float *) ((char *) sampling + sampling_keys[i].field) = (float) json_object_get_double(item);
	}
	LLM_TRY(read_int(object, "seed", INT64_MIN, INT64_MAX, &seed, err));
	LLM_TRY(read_int(object, "top_k", 0, INT32_MAX, &top_k, err));
	sampling->seed = (uint64_t) seed;
	sampling->top_k = (int32_t) top_k;
	return llm_sampling_check(sampling, n_vocab, err);
}

static bool
has_grammar(struct json_object *object)
{
	for (size_t i = 0; i < sizeof grammar_keys / sizeof grammar_keys[0]; i++)
		if (json_object_object_get_ex(object, grammar_keys[i], NULL))
			return true;
	return false;
}

/* what the text must fit: schema (a JSON Schema), regex, grammar (GBNF) or choice (a list of texts); *grammar NULL: anything */
static LlmStatus
read_grammar(struct json_object *object, LlmGrammar **grammar, LlmError *err)
{
	const LlmAllocator *a = &llm_malloc_allocator;
	struct json_object *item;
	LlmStr		texts[64];
	size_t		n;

	*grammar = NULL;
	if (json_object_object_get_ex(object, "schema", &item))
	{
		const char *text = json_object_to_json_string_ext(item, JSON_C_TO_STRING_PLAIN);

		return llm_grammar_json_schema((LlmStr) {text, strlen(text)}, false, a, NULL, grammar, err);
	}
	if (json_object_object_get_ex(object, "regex", &item))
		return llm_grammar_regex((LlmStr) {json_object_get_string(item), (size_t) json_object_get_string_len(item)}, a, NULL, grammar, err);
	if (json_object_object_get_ex(object, "grammar", &item))
		return llm_grammar_gbnf((LlmStr) {json_object_get_string(item), (size_t) json_object_get_string_len(item)}, a, NULL, grammar, err);
	if (!json_object_object_get_ex(object, "choice", &item))
		return LLM_OK;
	n = json_object_is_type(item, json_type_array) ? json_object_array_length(item) : 0;
	if (n > sizeof texts / sizeof texts[0])
		return llm_fail(err, LLM_E_LIMIT, "at most %zu choices", sizeof texts / sizeof texts[0]);
	for (size_t i = 0; i < n; i++)
	{
		struct json_object *one = json_object_array_get_idx(item, i);

		texts[i] = (LlmStr) {json_object_get_string(one), (size_t) json_object_get_string_len(one)};
	}
	return llm_grammar_choice(texts, n, a, NULL, grammar, err);
}

static LlmStatus
print_generation(const LlmGeneration *generation, LlmError *err)
{
	struct json_object *object = json_object_new_object();
	struct json_object *item;
	LlmStatus	status = object ? LLM_OK : llm_fail(err, LLM_E_NOMEM, "out of memory");

	if (status == LLM_OK)
		status = tool_json_ids(generation->tokens, generation->n_tokens, &item, err);
	if (status == LLM_OK)
		status = tool_json_set(object, "token_ids", item, err);
	if (status == LLM_OK)
		status = tool_json_text(generation->text, generation->text_len, &item, err);
	if (status == LLM_OK)
		status = tool_json_set(object, "text", item, err);
	if (status == LLM_OK)
		return tool_json_print(object, err);
	json_object_put(object);
	return status;
}

static LlmStatus
run_generate(ToolModel *m, const LlmGenerateParams *params, const LlmTokens *tokens, LlmError *err)
{
	LlmGeneration generation;
	LlmRequest *request;
	LlmStatus	status;

	LLM_TRY(llm_request_generate(m->scheduler, tokens->ids, tokens->n, params, &request, err));
	status = tool_run_request(m, request, err);
	if (status == LLM_OK)
	{
		llm_request_generation(request, &generation);
		status = print_generation(&generation, err);
	}
	llm_request_free(request);
	return status;
}

/* a line whose grammar is refused, or whose text cannot fit, is answered by {"error": …}; the others go on */
static LlmStatus
generate_line(ToolModel *m, const ToolOptions *options, struct json_object *value, LlmTokens *tokens, LlmError *err)
{
	LlmGenerateParams params;
	LlmGrammar *grammar = NULL;
	LlmStatus	status;

	memset(&params, 0, sizeof params);
	params.max_tokens = (int) options->n;
	params.ignore_end = options->ignore_eos;
	LLM_TRY(tool_read_tokens(m->model, value, options->special, is_sampling_key, tokens, err));
	LLM_TRY(read_sampling(value, (int32_t) m->model->hp.n_vocab, &params.sampling, err));
	if (!has_grammar(value))
		return run_generate(m, &params, tokens, err);
	status = read_grammar(value, &grammar, err);
	params.grammar = grammar;
	if (status == LLM_OK)
		status = run_generate(m, &params, tokens, err);
	llm_grammar_free(grammar);
	if (status == LLM_E_LIMIT || status == LLM_E_UNSUPPORTED || status == LLM_E_ARGUMENT)
		return print_one("error", json_object_new_string(err->message), err);
	return status;
}

LlmStatus
tool_generate(const ToolOptions *options, LlmError *err)
{
	return for_each_line(options, generate_line, err);
}
