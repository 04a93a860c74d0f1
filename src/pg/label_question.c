/*
 * label_question.c: asking a question with fixed answers for a row, and measuring what its labels get without one.
 *
 * Calibration: a small model may like one label whatever the text. The mean log score of each label over content-free
 * inputs, taken away from its scores, corrects that. It is measured with the same question and kept in the statement's memo;
 * with the chat form it is on by default, with the plain form off.
 */
#include "label_question.h"

#include <math.h>

#include "batch_scan/memo.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#define N_CONTENT_FREE ((int) lengthof(llm_calibration_inputs))

/* similarities are divided by it before they become probabilities: what sentence embedders are trained with */
#define SIMILARITY_TEMPERATURE 0.05

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

	if (model->kind == PGLLM_KIND_EMBED)
		return pgllm_similarity_begin(model, question, input);
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

/* mean scores over the content-free inputs (n_labels) */
static PgLlmAnswer *
measure(PgLlmModel *model, const PgLlmQuestion *q)
{
	PgLlmAnswer *answer = pgllm_answer_create(sizeof(double) * q->n_labels, NULL);
	double	   *mean = (double *) answer->data;
	double	   *scores = palloc(sizeof(double) * q->n_labels);
	PgLlmCall  *calls[N_CONTENT_FREE];

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
	return answer;
}

static void
add_str(StringInfo s, LlmStr str)
{
	appendBinaryStringInfo(s, (const char *) &str.len, sizeof str.len);
	appendBinaryStringInfo(s, str.data, (int) str.len);
}

/* what a measured calibration depends on */
static PgLlmKey
measure_key(const PgLlmModel *model, const PgLlmQuestion *q)
{
	const LlmLabelQuestion *asked = &q->asked;
	StringInfoData s;
	PgLlmKey	key;

	initStringInfo(&s);
	appendBinaryStringInfo(&s, (const char *) &model->serial, sizeof model->serial);
	appendBinaryStringInfo(&s, (const char *) &asked->form, sizeof asked->form);
	appendBinaryStringInfo(&s, (const char *) &q->options->truncate, sizeof q->options->truncate);
	appendBinaryStringInfo(&s, (const char *) &q->n_labels, sizeof q->n_labels);
	add_str(&s, asked->instruction);
	add_str(&s, asked->label_name);
	add_str(&s, asked->answer_prefix);
	for (int i = 0; i < asked->n_labels; i++)
	{
		add_str(&s, asked->labels[i]);
		appendBinaryStringInfo(&s, (const char *) &q->label_of[i], sizeof q->label_of[i]);
	}
	for (int i = 0; i < asked->n_examples; i++)
	{
		add_str(&s, asked->examples[i].input);
		add_str(&s, asked->examples[i].label);
	}
	key = pgllm_key("calibration", s.data, s.len);
	pfree(s.data);
	return key;
}

/* take away the calibration that applies, if any, and make probabilities of scores */
static void
calibrate(PgLlmModel *model, const PgLlmQuestion *q, const double *scores, double *probabilities)
{
	int			wanted = q->options->calibrate;
	const PgLlmAnswer *measured;
	PgLlmKey	key;

	if (q->given == NULL && wanted < 0)
		wanted = llm_label_form(model->model, q->options->form) == LLM_FORM_CHAT;
	if (q->given != NULL || !wanted)
	{
		llm_label_probabilities(scores, q->given, q->n_labels, probabilities);
		return;
	}
	key = measure_key(model, q);
	measured = pgllm_memo_find(&key);
	if (measured == NULL)
	{
		measured = measure(model, q);
		pgllm_memo_store(&key, measured);
	}
	llm_label_probabilities(scores, (const double *) measured->data, q->n_labels, probabilities);
}

void
pgllm_question_read(const PgLlmCall *call, const PgLlmQuestion *question, double *probabilities)
{
	double	   *scores = palloc(sizeof(double) * question->n_labels);

	if (call->model->kind == PGLLM_KIND_EMBED)
	{
		pgllm_similarity_read(call, question, scores);
		for (int i = 0; i < question->n_labels; i++)
			scores[i] /= SIMILARITY_TEMPERATURE;
		llm_label_probabilities(scores, NULL, question->n_labels, probabilities);
	}
	else
	{
		label_scores(call, question, scores);
		calibrate(call->model, question, scores, probabilities);
	}
	pfree(scores);
}
