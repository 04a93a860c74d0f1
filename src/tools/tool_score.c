/*
 * tool_score.c: score: the label scores of a question, as the classifying SQL functions compute them.
 */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

/* a question read from JSON; strings are borrowed from the value, arrays are own */
typedef struct Question
{
	LlmLabelQuestion q;
	LlmStr		input;
	LlmStr	   *labels;
	LlmLabelExample *examples;
	double	   *calibration;	/* n_labels; NULL: none */
} Question;

static LlmStatus
to_str(const char *what, struct json_object *item, LlmStr *out, LlmError *err)
{
	if (!json_object_is_type(item, json_type_string))
		return llm_fail(err, LLM_E_ARGUMENT, "%s must be a string", what);
	out->data = json_object_get_string(item);
	out->len = (size_t) json_object_get_string_len(item);
	return LLM_OK;
}

/* number of items of an array that must have 1 to 10,000 */
static LlmStatus
array_length(const char *what, struct json_object *item, size_t *n, LlmError *err)
{
	if (!json_object_is_type(item, json_type_array) || json_object_array_length(item) < 1 ||
		json_object_array_length(item) > 10000)
		return llm_fail(err, LLM_E_ARGUMENT, "%s must be an array of 1 to 10000 items", what);
	*n = json_object_array_length(item);
	return LLM_OK;
}

static LlmStatus
read_labels(struct json_object *item, Question *question, LlmError *err)
{
	size_t		n;

	LLM_TRY(array_length("labels", item, &n, err));
	LLM_TRY(llm_alloc_zero(&llm_malloc_allocator, n, sizeof(LlmStr), (void **) &question->labels, err));
	for (size_t i = 0; i < n; i++)
		LLM_TRY(to_str("a label", json_object_array_get_idx(item, i), &question->labels[i], err));
	question->q.labels = question->labels;
	question->q.n_labels = (int) n;
	return LLM_OK;
}

/* ["input", "label"] or {"input": …, "label": …} */
static LlmStatus
read_example(struct json_object *item, LlmLabelExample *out, LlmError *err)
{
	struct json_object *input = NULL;
	struct json_object *label = NULL;

	if (json_object_is_type(item, json_type_array) && json_object_array_length(item) == 2)
	{
		input = json_object_array_get_idx(item, 0);
		label = json_object_array_get_idx(item, 1);
	}
	else if (json_object_is_type(item, json_type_object))
	{
		json_object_object_get_ex(item, "input", &input);
		json_object_object_get_ex(item, "label", &label);
	}
	LLM_TRY(to_str("the input of an example", input, &out->input, err));
	return to_str("the label of an example", label, &out->label, err);
}

static LlmStatus
read_examples(struct json_object *item, Question *question, LlmError *err)
{
	size_t		n;

	LLM_TRY(array_length("examples", item, &n, err));
	LLM_TRY(llm_alloc_zero(&llm_malloc_allocator, n, sizeof(LlmLabelExample), (void **) &question->examples, err));
	for (size_t i = 0; i < n; i++)
		LLM_TRY(read_example(json_object_array_get_idx(item, i), &question->examples[i], err));
	question->q.examples = question->examples;
	question->q.n_examples = (int) n;
	return LLM_OK;
}

static LlmStatus
read_calibration(struct json_object *item, Question *question, LlmError *err)
{
	size_t		n;

	LLM_TRY(array_length("calibration", item, &n, err));
	if (n != (size_t) question->q.n_labels)
		return llm_fail(err, LLM_E_ARGUMENT, "calibration must have one number for each of the %d labels, has %zu",
						question->q.n_labels, n);
	LLM_TRY(llm_alloc_zero(&llm_malloc_allocator, n, sizeof(double), (void **) &question->calibration, err));
	for (size_t i = 0; i < n; i++)
		question->calibration[i] = json_object_get_double(json_object_array_get_idx(item, i));
	return LLM_OK;
}

static LlmStatus
read_form(struct json_object *item, LlmLabelForm *form, LlmError *err)
{
	const char *word = json_object_get_string(item);

	if (word && strcmp(word, "auto") == 0)
		*form = LLM_FORM_AUTO;
	else if (word && strcmp(word, "chat") == 0)
		*form = LLM_FORM_CHAT;
	else if (word && strcmp(word, "plain") == 0)
		*form = LLM_FORM_PLAIN;
	else
		return llm_fail(err, LLM_E_ARGUMENT, "form must be auto, chat or plain, is %.60s", word ? word : "null");
	return LLM_OK;
}

/* fill a zeroed question; its arrays are freed by the caller, on an error too */
static LlmStatus
read_question(struct json_object *value, Question *question, LlmError *err)
{
	struct json_object *calibration = NULL;

	if (!json_object_is_type(value, json_type_object))
		return llm_fail(err, LLM_E_ARGUMENT, "expected an object such as {\"input\": \"…\", \"labels\": [\"…\"]}");
	json_object_object_foreach(value, key, item)
	{
		if (strcmp(key, "input") == 0)
			LLM_TRY(to_str(key, item, &question->input, err));
		else if (strcmp(key, "instruction") == 0)
			LLM_TRY(to_str(key, item, &question->q.instruction, err));
		else if (strcmp(key, "answer_prefix") == 0)
			LLM_TRY(to_str(key, item, &question->q.answer_prefix, err));
		else if (strcmp(key, "form") == 0)
			LLM_TRY(read_form(item, &question->q.form, err));
		else if (strcmp(key, "labels") == 0)
			LLM_TRY(read_labels(item, question, err));
		else if (strcmp(key, "examples") == 0)
			LLM_TRY(read_examples(item, question, err));
		else if (strcmp(key, "calibration") == 0)
			calibration = item;
		else
			return llm_fail(err, LLM_E_ARGUMENT, "unknown key \"%.60s\"", key);
	}
	if (!question->input.data || !question->labels)
		return llm_fail(err, LLM_E_ARGUMENT, "expected input and labels");
	return calibration ? read_calibration(calibration, question, err) : LLM_OK;
}

static void
free_question(Question *question)
{
	llm_free(&llm_malloc_allocator, question->labels);
	llm_free(&llm_malloc_allocator, question->examples);
	llm_free(&llm_malloc_allocator, question->calibration);
}

/* print scores (n,) and the probabilities (n,) that follow */
static LlmStatus
print_scores(const double *scores, const double *probabilities, size_t n, LlmError *err)
{
	struct json_object *object = json_object_new_object();
	struct json_object *item;
	LlmStatus	status = object ? LLM_OK : llm_fail(err, LLM_E_NOMEM, "out of memory");

	if (status == LLM_OK)
		status = tool_json_doubles(scores, n, &item, err);
	if (status == LLM_OK)
		status = tool_json_set(object, "scores", item, err);
	if (status == LLM_OK)
		status = tool_json_doubles(probabilities, n, &item, err);
	if (status == LLM_OK)
		status = tool_json_set(object, "probabilities", item, err);
	if (status == LLM_OK)
		return tool_json_print(object, err);
	json_object_put(object);
	return status;
}

/* score the branches of a prompt and print the line */
static LlmStatus
score_prompt(ToolModel *m, const Question *question, const LlmLabelPrompt *prompt, LlmBranch *branches,
			 double *probabilities, LlmError *err)
{
	LlmRequest *request;
	LlmStatus	status;

	for (int i = 0; i < prompt->n_labels; i++)
	{
		branches[i].tokens = prompt->branches[i].ids;
		branches[i].n_tokens = prompt->branches[i].n;
	}
	LLM_TRY(llm_request_score(m->scheduler, prompt->prompt.ids, prompt->prompt.n, branches, prompt->n_labels, &request, err));
	status = tool_run_request(m, request, err);
	if (status == LLM_OK)
	{
		const double *scores = llm_request_scores(request);

		llm_label_probabilities(scores, question->calibration, prompt->n_labels, probabilities);
		status = print_scores(scores, probabilities, (size_t) prompt->n_labels, err);
	}
	llm_request_free(request);
	return status;
}

static LlmStatus
score_question(ToolModel *m, const Question *question, int64_t now, LlmError *err)
{
	const LlmAllocator *a = &llm_malloc_allocator;
	size_t		n = (size_t) question->q.n_labels;
	LlmLabelPrompt prompt;
	LlmBranch  *branches = NULL;
	double	   *probabilities = NULL;
	LlmStatus	status;

	LLM_TRY(llm_label_prompt(m->model, &question->q, question->input, now, a, NULL, &prompt, err));
	status = llm_alloc(a, n, sizeof(LlmBranch), (void **) &branches, err);
	if (status == LLM_OK)
		status = llm_alloc(a, n, sizeof(double), (void **) &probabilities, err);
	if (status == LLM_OK)
		status = score_prompt(m, question, &prompt, branches, probabilities, err);
	llm_free(a, branches);
	llm_free(a, probabilities);
	llm_label_prompt_free(&prompt);
	return status;
}

LlmStatus
tool_score(const ToolOptions *options, LlmError *err)
{
	ToolLines	lines = {NULL, 0, 0};
	ToolModel	m;
	struct json_object *value;
	LlmStatus	status;

	LLM_TRY(tool_model_open(options, &m, err));
	while ((status = tool_lines_next(&lines, &value, err)) == LLM_OK && value)
	{
		Question	question;

		memset(&question, 0, sizeof question);
		status = read_question(value, &question, err);
		if (status == LLM_OK)
			status = score_question(&m, &question, options->now, err);
		free_question(&question);
		json_object_put(value);
		if (status != LLM_OK)
		{
			tool_lines_error(&lines, status, err);
			break;
		}
	}
	tool_lines_free(&lines);
	tool_model_close(&m);
	return status;
}
