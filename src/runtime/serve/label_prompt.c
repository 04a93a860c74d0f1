/*
 * label_prompt.c: questions with fixed answers as a prompt and one branch of tokens per label.
 *
 * A question is written as a header (everything before the answer). A label's tokens are what tokenizing header and label
 * together gives; a tokenizer may join the last bytes of the header with the first of a label, so the prompt is cut back to
 * the tokens that the header by itself and all labels begin with, and each branch holds the rest of its label. The score of
 * a branch is then P(label, end | header) for every tokenizer, and a branch is never empty.
 *
 * The plain form ends a label by a line feed, the chat form by the model's end-of-turn token. Instruction, examples, input
 * and labels are data: none of their bytes becomes a special token.
 */
#include <math.h>
#include <string.h>

#include "serve/prompt.h"
#include "serve/prompt_parts.h"

/* models below this take the plain form when form is auto: measured on SmolLM2, see docs/architecture.md */
#define PLAIN_BELOW_PARAMETERS 1000000000

#define STR(literal) {literal, sizeof(literal) - 1}

const LlmStr llm_calibration_inputs[3] = {STR(""), STR("N/A"), STR("[MASK]")};

/* how labels continue a header */
typedef struct LabelTail
{
	LlmStr		before;			/* between header and label */
	LlmStr		after;			/* after the label */
	int32_t		end_token;		/* after that; -1: none */
	bool		add_bos;		/* the metadata's bos goes before the header */
} LabelTail;

static LlmStatus
add_str(LlmParts *parts, LlmStr s, LlmError *err)
{
	return llm_parts_add(parts, s.data, s.len, true, err);
}

static LlmStatus
add_literal(LlmParts *parts, const char *literal, LlmError *err)
{
	return llm_parts_add(parts, literal, strlen(literal), true, err);
}

/* a line such as "Text: …": name, separator, value and what ends it */
static LlmStatus
add_field(LlmParts *parts, LlmStr name, LlmStr separator, LlmStr value, const char *end, LlmError *err)
{
	LLM_TRY(add_str(parts, name, err));
	LLM_TRY(add_literal(parts, ":", err));
	LLM_TRY(add_str(parts, separator, err));
	LLM_TRY(add_str(parts, value, err));
	return add_literal(parts, end, err);
}

/* the plain form's header, see prompt.h */
static LlmStatus
plain_header(const LlmLabelQuestion *q, LlmStr input, LlmParts *parts, LlmError *err)
{
	static const LlmStr none = STR("");
	static const LlmStr space = STR(" ");
	static const LlmStr default_input_name = STR("Text");
	static const LlmStr default_label_name = STR("Label");
	LlmStr		label_break = q->label_break.len > 0 ? q->label_break : space;
	LlmStr		input_name = q->input_name.len > 0 ? q->input_name : default_input_name;
	LlmStr		label_name = q->label_name.len > 0 ? q->label_name : default_label_name;

	if (q->instruction.len > 0)
	{
		LLM_TRY(add_str(parts, q->instruction, err));
		LLM_TRY(add_literal(parts, "\n\n", err));
	}
	for (int i = 0; i < q->n_examples; i++)
	{
		LLM_TRY(add_field(parts, input_name, space, q->examples[i].input, "\n", err));
		LLM_TRY(add_field(parts, label_name, label_break, q->examples[i].label, "\n\n", err));
	}
	LLM_TRY(add_field(parts, input_name, space, input, "\n", err));
	return add_field(parts, label_name, none, none, "", err);
}

/* append a message made of two texts to a list of messages */
static LlmStatus
add_message(LlmArena *arena, LlmValue *messages, const char *role, LlmStr first, LlmStr second, LlmError *err)
{
	LlmValue   *message;
	LlmValue   *value;
	size_t		len;
	char	   *content;

	if (!llm_size_add(first.len, second.len, &len) || len == SIZE_MAX)
		return llm_fail(err, LLM_E_LIMIT, "message of %zu and %zu bytes is too long", first.len, second.len);
	LLM_TRY(llm_arena_alloc(arena, len + 1, 1, (void **) &content, err));
	if (first.len > 0)
		memcpy(content, first.data, first.len);
	if (second.len > 0)
		memcpy(content + first.len, second.data, second.len);
	LLM_TRY(llm_value_map(arena, &message, err));
	LLM_TRY(llm_value_string(arena, role, strlen(role), false, &value, err));
	LLM_TRY(llm_value_set(arena, message, "role", value, err));
	LLM_TRY(llm_value_string(arena, content, len, true, &value, err));
	LLM_TRY(llm_value_set(arena, message, "content", value, err));
	return llm_value_append(arena, messages, message, err);
}

/*
 * The question as messages: the instruction as system message, or before the first user turn for templates without one.
 */
static LlmStatus
chat_messages(const LlmLabelQuestion *q, LlmStr input, bool system_turn, LlmArena *arena, LlmValue **out, LlmError *err)
{
	static const LlmStr none = STR("");
	LlmStr		instruction = q->instruction;
	LlmStr		lead = none;
	LlmValue   *messages;

	LLM_TRY(llm_value_list(arena, &messages, err));
	if (instruction.len > 0 && system_turn)
		LLM_TRY(add_message(arena, messages, "system", instruction, none, err));
	else if (instruction.len > 0)
	{
		size_t		len;
		char	   *text;

		if (!llm_size_add(instruction.len, 2, &len))
			return llm_fail(err, LLM_E_LIMIT, "instruction of %zu bytes is too long", instruction.len);
		LLM_TRY(llm_arena_alloc(arena, len, 1, (void **) &text, err));
		memcpy(text, instruction.data, instruction.len);
		memcpy(text + instruction.len, "\n\n", 2);
		lead.data = text;
		lead.len = len;
	}
	for (int i = 0; i < q->n_examples; i++)
	{
		LLM_TRY(add_message(arena, messages, "user", i == 0 ? lead : none, q->examples[i].input, err));
		LLM_TRY(add_message(arena, messages, "assistant", q->answer_prefix, q->examples[i].label, err));
	}
	LLM_TRY(add_message(arena, messages, "user", q->n_examples == 0 ? lead : none, input, err));
	*out = messages;
	return LLM_OK;
}

/* variables for templates of models that think */
static LlmStatus
no_thinking(LlmArena *arena, const LlmValue **out, LlmError *err)
{
	LlmValue   *extra;
	LlmValue   *value;

	LLM_TRY(llm_value_map(arena, &extra, err));
	LLM_TRY(llm_value_bool(arena, false, &value, err));
	*out = extra;
	return llm_value_set(arena, extra, "enable_thinking", value, err);
}

/*
 * The chat form's header: the rendered chat up to the answer. Templates of models that think are told not to
 * (enable_thinking false), so that the answer begins after a closed, empty thinking part. A template that refuses a system
 * message gets the instruction in the first user turn.
 */
static LlmStatus
chat_header(const LlmModel *model, const LlmLabelQuestion *q, LlmStr input, const LlmValue *given, int64_t now, LlmArena *arena,
			const LlmStop *stop, LlmParts *parts, LlmError *err)
{
	const LlmValue *extra = given;
	LlmValue   *messages;
	LlmText		text;
	LlmStatus	status;

	if (!extra)
		LLM_TRY(no_thinking(arena, &extra, err));
	LLM_TRY(chat_messages(q, input, true, arena, &messages, err));
	status = llm_prompt_render(model, messages, extra, q->answer_prefix, true, now, arena, stop, &text, err);
	if (status == LLM_E_ARGUMENT && q->instruction.len > 0)
	{
		LLM_TRY(chat_messages(q, input, false, arena, &messages, err));
		status = llm_prompt_render(model, messages, extra, q->answer_prefix, true, now, arena, stop, &text, err);
	}
	LLM_TRY(status);
	return llm_parts_add_text(parts, text, err);
}

/* tokens of the text so far, behind the bos if one is added */
static LlmStatus
tokenize_parts(const LlmModel *model, const LlmParts *parts, bool add_bos, const LlmStop *stop, LlmTokens *out, LlmError *err)
{
	if (add_bos)
		LLM_TRY(llm_prompt_append_bos(model, out, err));
	return llm_tokenize(model->tokenizer, llm_parts_text(parts), LLM_TOKENIZE_PARSE_SPECIAL, stop, out, err);
}

/* tokens of the header and of each label behind it */
static LlmStatus
tokenize_question(const LlmModel *model, const LlmLabelQuestion *q, LlmParts *parts, const LabelTail *tail,
				  const LlmStop *stop, LlmLabelPrompt *out, LlmError *err)
{
	size_t		header_len = parts->bytes.len;

	LLM_TRY(tokenize_parts(model, parts, tail->add_bos, stop, &out->prompt, err));
	for (int i = 0; i < q->n_labels; i++)
	{
		LLM_TRY(add_str(parts, tail->before, err));
		LLM_TRY(add_str(parts, q->labels[i], err));
		LLM_TRY(add_str(parts, tail->after, err));
		LLM_TRY(tokenize_parts(model, parts, tail->add_bos, stop, &out->branches[i], err));
		if (tail->end_token >= 0)
			LLM_TRY(llm_tokens_append(&out->branches[i], tail->end_token, err));
		llm_parts_cut(parts, header_len);
	}
	return LLM_OK;
}

/*
 * Cut the prompt back to what it shares with every branch, and take that from the branches. A branch keeps a token even
 * where a label adds none of its own (an empty label whose end the tokenizer drops).
 */
static LlmStatus
split_branches(LlmLabelPrompt *p, LlmError *err)
{
	size_t		shared = p->prompt.n;

	for (int i = 0; i < p->n_labels; i++)
	{
		const LlmTokens *branch = &p->branches[i];
		size_t		n = 0;

		while (n < shared && n + 1 < branch->n && branch->ids[n] == p->prompt.ids[n])
			n++;
		shared = n;
	}
	if (shared == 0)
	{
		llm_fail(err, LLM_E_ARGUMENT, "question has no tokens before its labels");
		llm_error_hint(err, "Give an instruction.");
		return LLM_E_ARGUMENT;
	}
	p->prompt.n = shared;
	for (int i = 0; i < p->n_labels; i++)
	{
		LlmTokens  *branch = &p->branches[i];

		memmove(branch->ids, branch->ids + shared, (branch->n - shared) * sizeof branch->ids[0]);
		branch->n -= shared;
	}
	return LLM_OK;
}

/* what is known to be wrong before any work */
static LlmStatus
check_question(const LlmLabelQuestion *q, LlmError *err)
{
	if (q->n_labels < 1)
	{
		llm_fail(err, LLM_E_ARGUMENT, "no labels given");
		llm_error_hint(err, "Give at least one label.");
		return LLM_E_ARGUMENT;
	}
	if (q->n_examples < 0)
		return llm_fail(err, LLM_E_ARGUMENT, "number of examples must not be negative, is %d", q->n_examples);
	return LLM_OK;
}

LlmLabelForm
llm_label_form(const LlmModel *model, LlmLabelForm form)
{
	if (form != LLM_FORM_AUTO)
		return form;
	return !model->chat_template || llm_model_parameters(model) < PLAIN_BELOW_PARAMETERS ? LLM_FORM_PLAIN : LLM_FORM_CHAT;
}

static LlmStatus
check_template(const LlmModel *model, LlmError *err)
{
	if (model->chat_template)
		return LLM_OK;
	llm_fail(err, LLM_E_UNSUPPORTED, "model has no chat template");
	llm_error_hint(err, "Use the plain form.");
	return LLM_E_UNSUPPORTED;
}

/* fill an initialised out */
static LlmStatus
build(const LlmModel *model, const LlmLabelQuestion *q, LlmStr input, int64_t now, LlmArena *arena, LlmParts *parts,
	  const LlmStop *stop, LlmLabelPrompt *out, LlmError *err)
{
	LabelTail	tail = {STR(""), STR(""), -1, false};

	if (llm_label_form(model, q->form) == LLM_FORM_PLAIN)
	{
		static const LlmStr space = STR(" ");
		static const LlmStr line_feed = STR("\n");

		tail.before = space;
		tail.after = line_feed;
		tail.add_bos = true;
		LLM_TRY(plain_header(q, input, parts, err));
	}
	else
	{
		LLM_TRY(check_template(model, err));
		tail.end_token = llm_tokenizer_eot(model->tokenizer);
		if (tail.end_token < 0)
		{
			llm_fail(err, LLM_E_UNSUPPORTED, "model has no token that ends a turn");
			llm_error_hint(err, "Use the plain form.");
			return LLM_E_UNSUPPORTED;
		}
		LLM_TRY(chat_header(model, q, input, NULL, now, arena, stop, parts, err));
	}
	LLM_TRY(tokenize_question(model, q, parts, &tail, stop, out, err));
	return split_branches(out, err);
}

/*
 * llm_label_prompt: see prompt.h. On an error, and on LLM_PAUSED (call again), out is unchanged and nothing is kept.
 * Errors: LLM_E_ARGUMENT (no labels, template refuses the chat), LLM_E_UNSUPPORTED (chat form with a model that has none),
 * LLM_E_NOMEM, LLM_E_LIMIT.
 */
LlmStatus
llm_label_prompt(const LlmModel *model, const LlmLabelQuestion *question, LlmStr input, int64_t now,
				 const LlmAllocator *a, const LlmStop *stop, LlmLabelPrompt *out, LlmError *err)
{
	LlmLabelPrompt p;
	LlmArena	arena;
	LlmParts	parts;
	LlmStatus	status;

	LLM_TRY(check_question(question, err));
	LLM_TRY(llm_alloc_zero(a, (size_t) question->n_labels, sizeof(LlmTokens), (void **) &p.branches, err));
	p.n_labels = question->n_labels;
	llm_tokens_init(&p.prompt, a);
	for (int i = 0; i < p.n_labels; i++)
		llm_tokens_init(&p.branches[i], a);
	llm_arena_init(&arena, a, 0);
	llm_parts_init(&parts, a);
	status = build(model, question, input, now, &arena, &parts, stop, &p, err);
	llm_parts_free(&parts);
	llm_arena_free(&arena);
	if (status == LLM_OK)
		*out = p;
	else
		llm_label_prompt_free(&p);
	return status;
}

/* the text of a prompt for a generated answer */
static LlmStatus
question_text(const LlmModel *model, const LlmLabelQuestion *q, LlmStr input, const LlmValue *extra, int64_t now, LlmArena *arena,
			  const LlmStop *stop, LlmParts *parts, LlmError *err)
{
	static const LlmStr space = STR(" ");

	if (llm_label_form(model, q->form) == LLM_FORM_CHAT)
	{
		LLM_TRY(check_template(model, err));
		return chat_header(model, q, input, extra, now, arena, stop, parts, err);
	}
	LLM_TRY(plain_header(q, input, parts, err));
	return add_str(parts, q->label_break.len > 0 ? q->label_break : space, err);
}

/*
 * llm_question_prompt: see prompt.h. On an error, and on LLM_PAUSED (call again), out is unchanged. Errors:
 * as llm_label_prompt.
 */
LlmStatus
llm_question_prompt(const LlmModel *model, const LlmLabelQuestion *question, LlmStr input, const LlmValue *extra, int64_t now,
					const LlmAllocator *a, const LlmStop *stop, LlmTokens *out, LlmError *err)
{
	const bool	plain = llm_label_form(model, question->form) == LLM_FORM_PLAIN;
	const size_t n = out->n;
	LlmArena	arena;
	LlmParts	parts;
	LlmStatus	status;

	llm_arena_init(&arena, a, 0);
	llm_parts_init(&parts, a);
	status = question_text(model, question, input, extra, now, &arena, stop, &parts, err);
	if (status == LLM_OK)
		status = tokenize_parts(model, &parts, plain, stop, out, err);
	if (status != LLM_OK)
		out->n = n;
	llm_parts_free(&parts);
	llm_arena_free(&arena);
	return status;
}

void
llm_label_prompt_free(LlmLabelPrompt *p)
{
	const LlmAllocator *a = p->prompt.allocator;

	for (int i = 0; i < p->n_labels; i++)
		llm_tokens_free(&p->branches[i]);
	llm_tokens_free(&p->prompt);
	if (p->branches)
		llm_free(a, p->branches);
	p->branches = NULL;
	p->n_labels = 0;
}

/*
 * llm_label_probabilities: softmax of scores (n_labels,) less calibration (n_labels,) or NULL. Labels that are all
 * impossible (-infinity) are equally likely. Source of the calibration: Zhao et al. 2021, arXiv 2102.09690, in log space.
 */
void
llm_label_probabilities(const double *scores, const double *calibration, int n_labels, double *probabilities)
{
	double		max = -INFINITY;
	double		sum = 0;

	for (int i = 0; i < n_labels; i++)
	{
		probabilities[i] = scores[i] - (calibration ? calibration[i] : 0);
		if (probabilities[i] > max)
			max = probabilities[i];
	}
	for (int i = 0; i < n_labels; i++)
	{
		probabilities[i] = max == -INFINITY ? 1 : llmk_exp(probabilities[i] - max);
		sum += probabilities[i];
	}
	for (int i = 0; i < n_labels; i++)
		probabilities[i] /= sum;
}
