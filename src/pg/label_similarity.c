/*
 * label_similarity.c: which label a text has, by a model of kind embed: the one whose texts are nearest to it.
 *
 * The texts of a label are the label itself ("label: description" if it is described), its variants, and its examples. A
 * row's similarity to a label is the cosine of the angle to the nearest of them. Their vectors are computed once and kept
 * in the statement's memo. Both sides are embedded as documents, as neither asks for the other.
 */
#include "label_question.h"

#include "batch_scan/memo.h"
#include "embed_call.h"
#include "lib/stringinfo.h"
#include "utils/memutils.h"

/* what stands for the labels */
typedef struct LabelTexts
{
	int			n;
	LlmStr	   *texts;			/* (n) */
	int		   *label_of;		/* (n) */
} LabelTexts;

static void
refuse(const PgLlmModel *model, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s cannot be used with model \"%s\", which is of kind embed", what, model->name),
			 errhint("%s", hint)));
}

static void
check_question(const PgLlmModel *model, const PgLlmQuestion *q)
{
	static const char only_similarity[] = "Such a model only compares texts; leave it out.";

	if (q->has_instruction)
		refuse(model, "an instruction", "Such a model follows no instruction; describe the labels in descriptions, or give examples.");
	if (q->options->form != LLM_FORM_AUTO)
		refuse(model, "option \"form\"", only_similarity);
	if (q->options->answer_prefix.len > 0)
		refuse(model, "option \"answer_prefix\"", only_similarity);
	if (q->options->calibrate == 1)
		refuse(model, "option \"calibrate\"", only_similarity);
	if (q->given != NULL)
		refuse(model, "option \"calibration\"", only_similarity);
}

static void
args_init(const PgLlmQuestion *q, PgLlmEmbedArgs *args)
{
	pgllm_embed_args_init(args);
	args->options.truncate = q->options->truncate;
}

PgLlmCall *
pgllm_similarity_begin(PgLlmModel *model, const PgLlmQuestion *question, LlmStr input)
{
	PgLlmEmbedArgs args;

	check_question(model, question);
	args_init(question, &args);
	return pgllm_embed_begin(model, &args, input);
}

/* ---- texts of the labels ---- */

static LlmStr
described(LlmStr label, LlmStr description)
{
	size_t		len = label.len + 2 + description.len;
	char	   *s = palloc(len);

	memcpy(s, label.data, label.len);
	memcpy(s + label.len, ": ", 2);
	memcpy(s + label.len + 2, description.data, description.len);
	return (LlmStr) {.data = s, .len = len};
}

static void
label_texts(const PgLlmQuestion *q, LabelTexts *out)
{
	const LlmLabelQuestion *asked = &q->asked;

	out->n = asked->n_labels + asked->n_examples;
	out->texts = palloc(sizeof(LlmStr) * out->n);
	out->label_of = palloc(sizeof(int) * out->n);
	for (int i = 0; i < asked->n_labels; i++)
	{
		bool		is_described = i < q->n_labels && q->descriptions != NULL && q->descriptions[i].data != NULL;

		out->texts[i] = is_described ? described(asked->labels[i], q->descriptions[i]) : asked->labels[i];
		out->label_of[i] = q->label_of[i];
	}
	for (int i = 0; i < asked->n_examples; i++)
	{
		out->texts[asked->n_labels + i] = asked->examples[i].input;
		out->label_of[asked->n_labels + i] = pgllm_label_find(asked->labels, q->n_labels, asked->examples[i].label);
	}
}

static PgLlmKey
texts_key(const PgLlmModel *model, const PgLlmQuestion *q, const LabelTexts *texts)
{
	StringInfoData s;
	PgLlmKey	key;

	initStringInfo(&s);
	appendBinaryStringInfo(&s, (const char *) &model->serial, sizeof model->serial);
	appendBinaryStringInfo(&s, (const char *) &q->options->truncate, sizeof q->options->truncate);
	for (int i = 0; i < texts->n; i++)
	{
		appendBinaryStringInfo(&s, (const char *) &texts->texts[i].len, sizeof texts->texts[i].len);
		appendBinaryStringInfo(&s, texts->texts[i].data, (int) texts->texts[i].len);
	}
	key = pgllm_key("label texts", s.data, s.len);
	pfree(s.data);
	return key;
}

/* ---- their vectors ---- */

typedef struct Vectors
{
	PgLlmModel *model;
	PgLlmEmbedArgs args;
	uint32_t	n_embd;
	float	   *vectors;		/* (n, n_embd) */
} Vectors;

static PgLlmCall *
vectors_begin(void *opaque, LlmStr text)
{
	const Vectors *v = opaque;

	return pgllm_embed_begin(v->model, &v->args, text);
}

static void
vectors_take(void *opaque, int index, const PgLlmCall *call)
{
	Vectors    *v = opaque;

	if (call->error.status != LLM_OK)
		pgllm_raise(&call->error);	/* the question's trouble, not a row's */
	memcpy(v->vectors + (size_t) index * v->n_embd, llm_request_vector(call->request), sizeof(float) * v->n_embd);
}

/* vectors of the texts, one after the other, from the memo or made now */
static const float *
label_vectors(PgLlmModel *model, const PgLlmQuestion *q, const LabelTexts *texts)
{
	PgLlmKey	key = texts_key(model, q, texts);
	const PgLlmAnswer *found = pgllm_memo_find(&key);
	Vectors		v = {.model = model, .n_embd = llm_embedding_size(model->model)};
	PgLlmTextBatch batch = {.begin = vectors_begin, .take = vectors_take, .opaque = &v};
	PgLlmAnswer *made;

	if (found != NULL)
		return (const float *) found->data;
	args_init(q, &v.args);
	made = pgllm_answer_create(sizeof(float) * v.n_embd * texts->n, NULL);
	v.vectors = (float *) made->data;
	pgllm_text_batch_run(&batch, texts->texts, texts->n);
	pgllm_memo_store(&key, made);
	return v.vectors;
}

void
pgllm_similarity_read(const PgLlmCall *call, const PgLlmQuestion *question, double *similarities)
{
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "pg_llm label texts", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(work);
	uint32_t	n_embd = llm_embedding_size(call->model->model);
	const float *vector = llm_request_vector(call->request);
	const float *vectors;
	LabelTexts	texts;

	label_texts(question, &texts);
	vectors = label_vectors(call->model, question, &texts);
	for (int i = 0; i < question->n_labels; i++)
		similarities[i] = -1;
	for (int i = 0; i < texts.n; i++)
	{
		int			label = texts.label_of[i];

		similarities[label] = Max(similarities[label], llm_cosine(vector, vectors + (size_t) i * n_embd, n_embd));
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
}
