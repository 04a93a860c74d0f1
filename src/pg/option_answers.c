/*
 * option_answers.c: options about the answers that a call chooses among.
 */
#include "option_answers.h"

#include <ctype.h>

#include "option_values.h"
#include "utils/builtins.h"

#define MAX_CHOICES 100			/* of option choices */

void
pgllm_read_form(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	static const char *const choices[] = {"auto", "chat", "plain", NULL};
	static const LlmLabelForm forms[] = {LLM_FORM_AUTO, LLM_FORM_CHAT, LLM_FORM_PLAIN};

	o->form = forms[pgllm_option_choice(key, v, choices)];
}

void
pgllm_read_calibrate(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	if (v->type != jbvBool)
		pgllm_option_bad(key, "Give true or false.");
	o->calibrate = v->val.boolean ? 1 : 0;
}

void
pgllm_read_calibration(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	static const char expected[] = "Give an object of labels and their mean log scores, such as {\"positive\": -1.5, \"negative\": -2.25}.";
	JsonbContainer *object = pgllm_option_object(key, v, expected);
	JsonbIterator *it = JsonbIteratorInit(object);
	int			n_max = JsonContainerSize(object);
	JsonbValue	item;
	JsonbIteratorToken token;

	if (n_max == 0)
		pgllm_option_bad(key, expected);
	o->calibration_labels = palloc(sizeof(LlmStr) * n_max);
	o->calibration_scores = palloc(sizeof(double) * n_max);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			o->calibration_labels[o->n_calibration] = pgllm_option_string(key, &item);
		else if (token == WJB_VALUE)
		{
			if (item.type != jbvNumeric)
				pgllm_option_bad(key, expected);
			o->calibration_scores[o->n_calibration++] = pgllm_option_number(key, &item, -1e6, 1e6);
		}
	}
}

static void
both_answer_and_choices(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("options \"answer\" and \"choices\" cannot be given together"),
			 errhint("Leave out answer: it is one of the choices.")));
}

void
pgllm_read_answer(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	static const char *const choices[] = {"auto", "text", "number", "date", NULL};

	/* choice is what option choices makes it */
	if (o->answer.kind == LLM_ANSWER_CHOICE)
		both_answer_and_choices();
	o->answer.kind = (LlmAnswerKind) pgllm_option_choice(key, v, choices);
}

/* something to find in a text: letters, digits, or characters beyond ASCII */
static bool
has_word(LlmStr s)
{
	for (size_t i = 0; i < s.len; i++)
		if (isalnum((unsigned char) s.data[i]) || (unsigned char) s.data[i] >= 0x80)
			return true;
	return false;
}

/* ["first", "second", ...] */
void
pgllm_read_choices(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	static const char expected[] = "Give an array of 2 to 100 different strings, each with a letter or digit.";
	LlmStr	   *choices;
	JsonbContainer *array;

	if (v->type != jbvBinary || !JsonContainerIsArray(v->val.binary.data) || JsonContainerIsScalar(v->val.binary.data))
		pgllm_option_bad(key, expected);
	if (o->answer.kind != LLM_ANSWER_AUTO)
		both_answer_and_choices();
	array = v->val.binary.data;
	if (JsonContainerSize(array) < 2 || JsonContainerSize(array) > MAX_CHOICES)
		pgllm_option_bad(key, expected);
	choices = palloc(sizeof(LlmStr) * JsonContainerSize(array));
	for (uint32 i = 0; i < JsonContainerSize(array); i++)
	{
		choices[i] = pgllm_option_string(key, getIthJsonbValueFromContainer(array, i));
		if (!has_word(choices[i]))
			pgllm_option_bad(key, expected);
		for (uint32 k = 0; k < i; k++)
			if (choices[k].len == choices[i].len && memcmp(choices[k].data, choices[i].data, choices[i].len) == 0)
				pgllm_option_bad(key, expected);
	}
	o->answer = (LlmAnswerForm) {LLM_ANSWER_CHOICE, choices, (int) JsonContainerSize(array)};
}

/* {"label": ["other words for it", ...], ...} */
void
pgllm_read_variants(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	static const char expected[] = "Give an object from labels to arrays of other words for them, such as {\"positive\": [\"good\", \"great\"]}.";
	JsonbContainer *object = pgllm_option_object(key, v, expected);
	JsonbIterator *it = JsonbIteratorInit(object);
	int			capacity = 16;
	bool		in_array = false;
	LlmStr		label = {0};
	JsonbValue	item;
	JsonbIteratorToken token;

	o->variant_labels = palloc(sizeof(LlmStr) * capacity);
	o->variants = palloc(sizeof(LlmStr) * capacity);
	while ((token = JsonbIteratorNext(&it, &item, false)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			label = pgllm_option_string(key, &item);
		else if (token == WJB_VALUE || (token == WJB_BEGIN_OBJECT && label.data != NULL) ||
				 (token == WJB_BEGIN_ARRAY && in_array))
			pgllm_option_bad(key, expected);
		else if (token == WJB_BEGIN_ARRAY || token == WJB_END_ARRAY)
			in_array = token == WJB_BEGIN_ARRAY;
		else if (token == WJB_ELEM)
		{
			if (item.type != jbvString)
				pgllm_option_bad(key, expected);
			if (o->n_variants == capacity)
			{
				capacity *= 2;
				o->variant_labels = repalloc(o->variant_labels, sizeof(LlmStr) * capacity);
				o->variants = repalloc(o->variants, sizeof(LlmStr) * capacity);
			}
			o->variant_labels[o->n_variants] = label;
			o->variants[o->n_variants++] = pgllm_option_string(key, &item);
		}
	}
}

double *
pgllm_options_calibration(const PgLlmOptions *options, const LlmStr *labels, int n_labels)
{
	double	   *scores;

	if (options->n_calibration == 0)
		return NULL;
	scores = palloc(sizeof(double) * Max(n_labels, 1));
	for (int i = 0; i < n_labels; i++)
	{
		int			at = 0;

		while (at < options->n_calibration &&
			   (options->calibration_labels[at].len != labels[i].len ||
				memcmp(options->calibration_labels[at].data, labels[i].data, labels[i].len) != 0))
			at++;
		if (at == options->n_calibration)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("calibration has no score for label \"%s\"",
							text_to_cstring(pgllm_from_utf8(labels[i].data, labels[i].len))),
					 errhint("Give the mean log score of every label.")));
		scores[i] = options->calibration_scores[at];
	}
	return scores;
}
