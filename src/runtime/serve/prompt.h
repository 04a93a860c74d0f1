/*
 * prompt.h: from words to prompt tokens: chats through the model's template, and questions with fixed answers.
 *
 * Texts given by callers are data: none of their bytes can become a special token.
 */
#ifndef LLM_PROMPT_H
#define LLM_PROMPT_H

#include "model/model.h"

/*
 * Render messages (a list of maps, see value.h) through the model's template and tokenize whole. extra: a map of further
 * template variables (tools, enable_thinking, …) or NULL. answer_prefix: start of the assistant's answer, or empty. A model
 * without template gets the documented plain form: contents joined by blank lines, then a blank line. Appends to out.
 */
extern LlmStatus llm_prompt_chat(const LlmModel *model, const LlmValue *messages, const LlmValue *extra, LlmStr answer_prefix,
								 bool add_generation_prompt, int64_t now, LlmArena *arena, const LlmStop *stop,
								 LlmTokens *out, LlmError *err);

/* the rendered text itself */
extern LlmStatus llm_prompt_render(const LlmModel *model, const LlmValue *messages, const LlmValue *extra, LlmStr answer_prefix,
								   bool add_generation_prompt, int64_t now, LlmArena *arena, const LlmStop *stop,
								   LlmText *out, LlmError *err);

/*
 * Contents of messages that are lists of texts ({"type": "text", "text": …}) become one string each, unless the model's template reads such
 * lists. Changes messages, in the arena. LLM_PAUSED: call again.
 */
extern LlmStatus llm_prompt_join_parts(const LlmModel *model, LlmValue *messages, int64_t now, LlmArena *arena, const LlmStop *stop,
									   LlmError *err);

/* how a labelled question is put */
typedef enum LlmLabelForm
{
	LLM_FORM_AUTO,				/* plain below 1 billion parameters or without template, else chat */
	LLM_FORM_CHAT,
	LLM_FORM_PLAIN
} LlmLabelForm;

/* the form that a question takes with a model: chat or plain */
extern LlmLabelForm llm_label_form(const LlmModel *model, LlmLabelForm form);

typedef struct LlmLabelExample
{
	LlmStr		input;
	LlmStr		label;
} LlmLabelExample;

/*
 * A question with a fixed set of answers. Plain form (labels followed by a line feed, each scored as log P(' ' label '\n')):
 *     <instruction>\n\n{Text: <example>\nLabel: <label>\n\n}…Text: <input>\nLabel:
 * Chat form: the instruction as system message, examples as turns, the input as user turn; a label is scored with the
 * template's end-of-turn token after it.
 */
typedef struct LlmLabelQuestion
{
	LlmLabelForm form;
	LlmStr		instruction;
	const LlmLabelExample *examples;
	int			n_examples;
	LlmStr		input_name;		/* "Text" */
	LlmStr		label_name;		/* "Label" */
	LlmStr		label_break;	/* plain form: between label_name's colon and the label; " " */
	const LlmStr *labels;
	int			n_labels;
	LlmStr		answer_prefix;	/* chat form: put before the label in the assistant's turn */
} LlmLabelQuestion;

typedef struct LlmLabelPrompt
{
	LlmTokens	prompt;			/* tokens that all labels share */
	LlmTokens  *branches;		/* n_labels: the tokens scored for each */
	int			n_labels;
} LlmLabelPrompt;

/*
 * Prompt and branches for one input. Tokens come from tokenizing prompt and label together; the prompt is cut back to
 * what all labels share. The result is allocated from a and freed with llm_label_prompt_free.
 */
extern LlmStatus llm_label_prompt(const LlmModel *model, const LlmLabelQuestion *question, LlmStr input, int64_t now,
								  const LlmAllocator *a, const LlmStop *stop, LlmLabelPrompt *out, LlmError *err);
extern void llm_label_prompt_free(LlmLabelPrompt *p);

/*
 * The same prompt for an answer that is generated: everything before it, the break of the plain form too; labels are not used.
 * extra: variables for the template, NULL: thinking is off. Appends to out.
 */
extern LlmStatus llm_question_prompt(const LlmModel *model, const LlmLabelQuestion *question, LlmStr input, const LlmValue *extra,
									 int64_t now, const LlmAllocator *a, const LlmStop *stop, LlmTokens *out, LlmError *err);

/*
 * Log scores to probabilities: subtract the calibration (mean log score of each label over content-free inputs; NULL: none),
 * then softmax over the labels.
 */
extern void llm_label_probabilities(const double *scores, const double *calibration, int n_labels, double *probabilities);

/* the content-free inputs of calibration: '', 'N/A', '[MASK]' */
extern const LlmStr llm_calibration_inputs[3];

#endif
