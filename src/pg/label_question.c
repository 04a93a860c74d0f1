/*
 * label_question.c: asking a question with fixed answers for a row, and measuring what its labels get without one.
 *
 * Calibration: a small model may like one label whatever the text. The mean log score of each label over content-free
 * inputs, taken away from its scores, corrects that. It is measured once per statement and call site, with the same
 * question; with the chat form it is on by default, with the plain form off.
 */
#include "label_question.h"

#include <math.h>

#include "miscadmin.h"
#include "models.h"
#include "utils/memutils.h"

#define N_CONTENT_FREE ((int) lengthof(llm_calibration_inputs))

/* a prompt being fitted: PgLlmFit's source */
typedef struct LabelSource
{
	PgLlmCall  *call;
	const LlmLabelQuestion *question;
	LlmLabelPrompt prompt;
	bool		built;
} LabelSource;

PgLlmQuestion *
pgllm_question_create(const PgLlmOptions *options, LlmStr instruction, const LlmStr *labels, int n_labels,
					  const LlmLabelExample *examples, int n_examples, const char *label_name)
{
	PgLlmQuestion *q = palloc0(sizeof(PgLlmQuestion));
	int			n_scored = n_labels + options->n_variants;
	LlmStr	   *scored = palloc(sizeof(LlmStr) * n_scored);

	q->context = CurrentMemoryContext;
	q->options = options;
	q->n_labels = n_labels;
	q->label_of = palloc(sizeof(int) * n_scored);
	for (int i = 0; i < n_labels; i++)
	{
		scored[i] = labels[i];
		q->label_of[i] = i;
	}
	for (int i = 0; i < options->n_variants; i++)
	{
		int			label = pgllm_label_find(labels, n_labels, options->variant_labels[i]);

		if (label < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"variants\" names a label that is not among the labels"),
					 errhint("Give an object from labels to other words for them, such as {\"positive\": [\"good\"]}.")));
		scored[n_labels + i] = options->variants[i];
		q->label_of[n_labels + i] = label;
	}
	if (options->n_variants > 0)
		pgllm_labels_check(scored, n_scored, 2, "labels and variants");
	q->asked = (LlmLabelQuestion) {.form = options->form, .instruction = instruction, .examples = examples,
		.n_examples = n_examples, .input_name = {.data = "Text", .len = 4},
		.label_name = {.data = label_name, .len = strlen(label_name)}, .labels = scored, .n_labels = n_scored,
		.answer_prefix = options->answer_prefix};
	q->given = pgllm_options_calibration(options, labels, n_labels);
	if (q->given != NULL && options->calibrate == 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options \"calibrate\" and \"calibration\" cannot be combined"),
				 errhint("Give the measured \"calibration\", or let \"calibrate\" measure one.")));
	return q;
}

/* PgLlmBuildFn: length of the prompt with its longest label, whose last token is predicted but not read */
static size_t
build(void *opaque, LlmStr data)
{
	LabelSource *source = opaque;
	LlmError	err;
	size_t		longest = 0;

	if (source->built)
		llm_label_prompt_free(&source->prompt);
	source->built = false;
	PGLLM_RUN(llm_label_prompt(source->call->model->model, source->question, data, pgllm_statement_time(),
							   source->call->allocator, pgllm_stop(), &source->prompt, &err), &err);
	source->built = true;
	for (int i = 0; i < source->prompt.n_labels; i++)
		longest = Max(longest, source->prompt.branches[i].n);
	return source->prompt.prompt.n + longest - 1;
}

static void
check_form(const PgLlmModel *model, const PgLlmQuestion *question, LlmLabelForm form)
{
	if (form == LLM_FORM_PLAIN && question->options->answer_prefix.len > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"answer_prefix\" needs the chat form, but model \"%s\" is asked in the plain form", model->name),
				 errhint("Set the option \"form\" to \"chat\", or leave \"answer_prefix\" out.")));
}

static void
begin(PgLlmCall *call, const PgLlmQuestion *question, LlmStr input)
{
	LabelSource source = {.call = call, .question = &question->asked};
	uint32_t	n_ctx = call->model->model->n_ctx;
	PgLlmFit	fit = {.build = build, .source = &source, .n_max = n_ctx, .n_cut = n_ctx,
		.truncate = question->options->truncate, .model_name = pgllm_cstring_to_utf8(call->model->name).data};
	LlmBranch  *branches;
	LlmRequest *request;
	LlmError	err;

	if (!pgllm_fit_prompt(&fit, input, &call->truncated, &call->error))
		return;
	call->n_prompt = source.prompt.prompt.n;
	branches = palloc(sizeof(LlmBranch) * source.prompt.n_labels);
	for (int i = 0; i < source.prompt.n_labels; i++)
		branches[i] = (LlmBranch) {.tokens = source.prompt.branches[i].ids, .n_tokens = source.prompt.branches[i].n};
	PGLLM_CHECK(llm_request_score(call->model->scheduler, source.prompt.prompt.ids, source.prompt.prompt.n,
								  branches, source.prompt.n_labels, &request, &err), &err);
	pgllm_call_set_request(call, request);
	llm_label_prompt_free(&source.prompt);
}

PgLlmCall *
pgllm_question_begin(PgLlmModel *model, const PgLlmQuestion *question, LlmStr input)
{
	PgLlmCall  *call;
	MemoryContext old;

	check_form(model, question, llm_label_form(model->model, question->options->form));
	call = pgllm_call_create(model);
	old = MemoryContextSwitchTo(call->context);
	begin(call, question, input);
	MemoryContextSwitchTo(old);
	return call;
}

/* scores of the labels (n_labels) of a call that is done: each with its variants, log of the sum of probabilities */
static void
label_scores(const PgLlmCall *call, const PgLlmQuestion *q, double *scores)
{
	const double *scored = llm_request_scores(call->request);

	for (int label = 0; label < q->n_labels; label++)
	{
		double		max = scored[label];
		double		sum = 0;

		scores[label] = scored[label];
		if (q->asked.n_labels == q->n_labels)
			continue;
		for (int i = q->n_labels; i < q->asked.n_labels; i++)
			if (q->label_of[i] == label)
				max = Max(max, scored[i]);
		if (max == -INFINITY)
			continue;
		for (int i = 0; i < q->asked.n_labels; i++)
			if (q->label_of[i] == label)
				sum += llmk_exp(scored[i] - max);
		scores[label] = max + llmk_log(sum);
	}
}

/* mean scores over the content-free inputs, into the question */
static void
measure(PgLlmModel *model, PgLlmQuestion *q)
{
	PgLlmCall  *calls[N_CONTENT_FREE];
	double	   *scores = palloc(sizeof(double) * q->n_labels);
	double	   *mean = MemoryContextAllocZero(q->context, sizeof(double) * q->n_labels);

	for (int i = 0; i < N_CONTENT_FREE; i++)
		calls[i] = pgllm_question_begin(model, q, llm_calibration_inputs[i]);
	for (int i = 0; i < N_CONTENT_FREE; i++)
	{
		pgllm_call_wait(calls[i]);
		if (calls[i]->error.status != LLM_OK)
			pgllm_raise(&calls[i]->error);	/* the question's trouble, not a row's */
		label_scores(calls[i], q, scores);
		for (int label = 0; label < q->n_labels; label++)
			mean[label] += scores[label] / N_CONTENT_FREE;
		pgllm_call_free(calls[i]);
	}
	pfree(scores);
	if (q->measured != NULL)
		pfree(q->measured);
	q->measured = mean;
	q->measured_model = model->model;
	q->measured_statement = pgllm_statement_id();
}

/* calibration that applies, NULL: none */
static const double *
calibration(PgLlmModel *model, PgLlmQuestion *q)
{
	int			wanted = q->options->calibrate;

	if (q->given != NULL)
		return q->given;
	if (wanted < 0)
		wanted = llm_label_form(model->model, q->options->form) == LLM_FORM_CHAT;
	if (!wanted)
		return NULL;
	if (q->measured == NULL || q->measured_model != model->model || q->measured_statement != pgllm_statement_id())
		measure(model, q);
	return q->measured;
}

bool
pgllm_question_finish(PgLlmCall *call, PgLlmQuestion *question, double *probabilities)
{
	double	   *scores;

	pgllm_call_wait(call);
	if (pgllm_call_failed(call))
	{
		pgllm_call_free(call);
		return false;
	}
	scores = palloc(sizeof(double) * question->n_labels);
	label_scores(call, question, scores);
	llm_label_probabilities(scores, calibration(call->model, question), question->n_labels, probabilities);
	pfree(scores);
	pgllm_call_free(call);
	return true;
}
