/*
 * options.c: the options jsonb of a call.
 *
 * A table says what each key may hold and which functions take it; a key that a function does not take raises and is
 * answered with those that it does. Strings become UTF-8 here, as everything below works on UTF-8.
 */
#include "pg_llm.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "grammar_args.h"

#define DEFAULT_MAX_TOKENS 256
#define MAX_CHOICES 100			/* of option choices */
#define MAX_BLOCK_TOP 10000
#define MAX_BLOCK_SAMPLE 100000

static void
bad_option(const char *key, const char *expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\"", key),
			 errhint("%s", expected)));
}

/* ---- values ---- */

/* NaN, which no range holds, if it is no number */
static double
number_or_nan(const JsonbValue *v)
{
	if (v->type != jbvNumeric)
		return NAN;
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(v->val.numeric)));
}

static double
number_of(const char *key, const JsonbValue *v, double min, double max)
{
	double		d = number_or_nan(v);

	if (!(d >= min && d <= max))
		bad_option(key, psprintf("Give a number from %g to %g.", min, max));
	return d;
}

static int32
integer_of(const char *key, const JsonbValue *v, int32 min, int32 max)
{
	double		d = number_or_nan(v);

	if (!(d >= min && d <= max) || d != floor(d))
		bad_option(key, psprintf("Give an integer from %d to %d.", min, max));
	return (int32) d;
}

static LlmStr
string_of(const char *key, const JsonbValue *v)
{
	if (v->type != jbvString)
		bad_option(key, "Give a string.");
	return pgllm_cstring_to_utf8(pnstrdup(v->val.string.val, v->val.string.len));
}

/* index of the string among choices (ended by NULL) */
static int
choice_of(const char *key, const JsonbValue *v, const char *const *choices)
{
	StringInfoData hint;

	if (v->type == jbvString)
		for (int i = 0; choices[i]; i++)
			if ((int) strlen(choices[i]) == v->val.string.len && memcmp(choices[i], v->val.string.val, v->val.string.len) == 0)
				return i;
	initStringInfo(&hint);
	for (int i = 0; choices[i]; i++)
		appendStringInfo(&hint, "%s%s", i == 0 ? "Give one of " : ", ", choices[i]);
	appendStringInfoChar(&hint, '.');
	bad_option(key, hint.data);
	return 0;
}

static JsonbContainer *
object_of(const char *key, const JsonbValue *v, const char *expected)
{
	if (v->type != jbvBinary || !JsonContainerIsObject(v->val.binary.data))
		bad_option(key, expected);
	return v->val.binary.data;
}

/* ---- one reader for each key ---- */

static void
read_top_p(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->sampling.top_p = (float) number_of(key, v, 0, 1);
}

static void
read_top_k(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->sampling.top_k = integer_of(key, v, 0, PG_INT32_MAX);
}

static void
read_min_p(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->sampling.min_p = (float) number_of(key, v, 0, 1);
}

static void
read_typical_p(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->sampling.typical_p = (float) number_of(key, v, 0, 1);
}

static void
read_repeat_penalty(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->sampling.repeat_penalty = (float) number_of(key, v, 0.01, 100);
}

static void
read_presence_penalty(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->sampling.presence_penalty = (float) number_of(key, v, -100, 100);
}

static void
read_frequency_penalty(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->sampling.frequency_penalty = (float) number_of(key, v, -100, 100);
}

/* {"token id": number added to its logit, or false: never this token} */
static void
read_logit_bias(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	static const char expected[] = "Give an object of token ids and numbers from -1000 to 1000, or false for a token that must not come.";
	JsonbContainer *object = object_of(key, v, expected);
	JsonbIterator *it = JsonbIteratorInit(object);
	LlmLogitBias *bias = palloc(sizeof(LlmLogitBias) * Max(JsonContainerSize(object), 1));
	int			n = 0;
	JsonbValue	item;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			char	   *id = pnstrdup(item.val.string.val, item.val.string.len);
			char	   *end;
			long		n_id;

			errno = 0;
			n_id = strtol(id, &end, 10);
			if (errno != 0 || end == id || *end != '\0' || n_id < 0 || n_id > PG_INT32_MAX)
				bad_option(key, expected);
			bias[n].id = (int32_t) n_id;
		}
		else if (token == WJB_VALUE)
		{
			bool		forbidden = item.type == jbvBool && !item.val.boolean;
			double		d = number_or_nan(&item);

			if (!forbidden && !(d >= -1000 && d <= 1000))
				bad_option(key, expected);
			bias[n++].bias = forbidden ? -INFINITY : (float) d;
		}
	}
	o->sampling.bias = bias;
	o->sampling.n_bias = n;
}

static void
read_truncate(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	static const char *const choices[] = {"error", "tail", "middle", NULL};

	o->truncate = (PgLlmTruncate) choice_of(key, v, choices);
}

static void
read_answer_prefix(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->answer_prefix = string_of(key, v);
}

/* variables of the chat template; all their strings are data */
static void
read_template_kwargs(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	static const char *const own[] = {"messages", "tools", "add_generation_prompt"};
	JsonbContainer *object = object_of(key, v, "Give an object of variables that the model's chat template knows.");
	char	   *json = JsonbToCString(NULL, object, v->val.binary.len);
	LlmStr		utf8 = pgllm_cstring_to_utf8(json);
	LlmArena   *arena = palloc(sizeof(LlmArena));
	LlmError	err;

	for (int i = 0; i < (int) lengthof(own); i++)
		if (getKeyJsonValueFromContainer(object, own[i], (int) strlen(own[i]), NULL) != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("template variable \"%s\" cannot be set by option \"%s\"", own[i], key),
					 errhint("The function sets it from its own arguments.")));
	llm_arena_init(arena, pgllm_allocator(CurrentMemoryContext), 0);
	PGLLM_CHECK(llm_value_from_json(arena, utf8.data, utf8.len, &o->template_kwargs, &err), &err);
}

static void
read_temperature(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->sampling.temperature = (float) number_of(key, v, 0, PGLLM_MAX_TEMPERATURE);
}

static void
read_seed(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->sampling.seed = (uint64_t) (int64) number_of(key, v, -9007199254740992.0, 9007199254740992.0);
	o->has_seed = true;
}

static void
read_think_budget(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->think_budget = integer_of(key, v, 0, PG_INT32_MAX);
}

static void
read_prefix(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->prefix = string_of(key, v);
}

static void
read_instruction(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->instruction = string_of(key, v);
}

static void
read_form(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	static const char *const choices[] = {"auto", "chat", "plain", NULL};
	static const LlmLabelForm forms[] = {LLM_FORM_AUTO, LLM_FORM_CHAT, LLM_FORM_PLAIN};

	o->form = forms[choice_of(key, v, choices)];
}

static void
read_calibrate(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	if (v->type != jbvBool)
		bad_option(key, "Give true or false.");
	o->calibrate = v->val.boolean ? 1 : 0;
}

static void
read_calibration(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	static const char expected[] = "Give an object of labels and their mean log scores, such as {\"positive\": -1.5, \"negative\": -2.25}.";
	JsonbContainer *object = object_of(key, v, expected);
	JsonbIterator *it = JsonbIteratorInit(object);
	int			n_max = JsonContainerSize(object);
	JsonbValue	item;
	JsonbIteratorToken token;

	if (n_max == 0)
		bad_option(key, expected);
	o->calibration_labels = palloc(sizeof(LlmStr) * n_max);
	o->calibration_scores = palloc(sizeof(double) * n_max);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			o->calibration_labels[o->n_calibration] = string_of(key, &item);
		else if (token == WJB_VALUE)
		{
			if (item.type != jbvNumeric)
				bad_option(key, expected);
			o->calibration_scores[o->n_calibration++] = number_of(key, &item, -1e6, 1e6);
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

static void
read_answer(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	static const char *const choices[] = {"auto", "text", "number", "date", NULL};

	/* choice is what option choices makes it */
	if (o->answer.kind == LLM_ANSWER_CHOICE)
		both_answer_and_choices();
	o->answer.kind = (LlmAnswerKind) choice_of(key, v, choices);
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
static void
read_choices(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	static const char expected[] = "Give an array of 2 to 100 different strings, each with a letter or digit.";
	LlmStr	   *choices;
	JsonbContainer *array;

	if (v->type != jbvBinary || !JsonContainerIsArray(v->val.binary.data) || JsonContainerIsScalar(v->val.binary.data))
		bad_option(key, expected);
	if (o->answer.kind != LLM_ANSWER_AUTO)
		both_answer_and_choices();
	array = v->val.binary.data;
	if (JsonContainerSize(array) < 2 || JsonContainerSize(array) > MAX_CHOICES)
		bad_option(key, expected);
	choices = palloc(sizeof(LlmStr) * JsonContainerSize(array));
	for (uint32 i = 0; i < JsonContainerSize(array); i++)
	{
		choices[i] = string_of(key, getIthJsonbValueFromContainer(array, i));
		if (!has_word(choices[i]))
			bad_option(key, expected);
		for (uint32 k = 0; k < i; k++)
			if (choices[k].len == choices[i].len && memcmp(choices[k].data, choices[i].data, choices[i].len) == 0)
				bad_option(key, expected);
	}
	o->answer = (LlmAnswerForm) {LLM_ANSWER_CHOICE, choices, (int) JsonContainerSize(array)};
}

/* {"label": ["other words for it", ...], ...} */
static void
read_variants(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	static const char expected[] = "Give an object from labels to arrays of other words for them, such as {\"positive\": [\"good\", \"great\"]}.";
	JsonbContainer *object = object_of(key, v, expected);
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
			label = string_of(key, &item);
		else if (token == WJB_VALUE || (token == WJB_BEGIN_OBJECT && label.data != NULL) ||
				 (token == WJB_BEGIN_ARRAY && in_array))
			bad_option(key, expected);
		else if (token == WJB_BEGIN_ARRAY || token == WJB_END_ARRAY)
			in_array = token == WJB_BEGIN_ARRAY;
		else if (token == WJB_ELEM)
		{
			if (item.type != jbvString)
				bad_option(key, expected);
			if (o->n_variants == capacity)
			{
				capacity *= 2;
				o->variant_labels = repalloc(o->variant_labels, sizeof(LlmStr) * capacity);
				o->variants = repalloc(o->variants, sizeof(LlmStr) * capacity);
			}
			o->variant_labels[o->n_variants] = label;
			o->variants[o->n_variants++] = string_of(key, &item);
		}
	}
}

/* off, prompt, or the name of a model, which is looked up when it is used */
static void
read_draft(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	const char *name;

	if (v->type != jbvString || v->val.string.len == 0)
		bad_option(key, "Give \"off\", \"prompt\", or the name of a model.");
	name = pnstrdup(v->val.string.val, v->val.string.len);
	o->draft = strcmp(name, "off") == 0 ? LLM_DRAFT_OFF : strcmp(name, "prompt") == 0 ? LLM_DRAFT_PROMPT : LLM_DRAFT_MODEL;
	o->has_draft = true;
	o->draft_model = o->draft == LLM_DRAFT_MODEL ? cstring_to_text(name) : NULL;
}

static void
read_draft_tokens(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->draft_tokens = integer_of(key, v, 1, LLM_DRAFT_MAX);
}

static void
read_chunk_tokens(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->chunk_tokens = integer_of(key, v, 64, PG_INT32_MAX);
}

static void
read_block_model(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	if (v->type != jbvString || v->val.string.len == 0)
		bad_option(key, "Give the name of an embedding model.");
	o->block_model = cstring_to_text_with_len(v->val.string.val, v->val.string.len);
}

static void
read_block_top(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->block_top = integer_of(key, v, 1, MAX_BLOCK_TOP);
}

static void
read_block_similarity(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->block_similarity = number_of(key, v, -1, 1);
	o->has_block_similarity = true;
}

static void
read_block_recall(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->block_recall = number_of(key, v, 0.01, 1);
}

static void
read_block_sample(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->block_sample = integer_of(key, v, 16, MAX_BLOCK_SAMPLE);
}

void
pgllm_check_blocking(const PgLlmOptions *options)
{
	bool		by_recall = options->block_recall > 0 || options->block_sample > 0;
	int			n_rules = (options->block_top > 0) + options->has_block_similarity + by_recall;

	if (n_rules > 0 && options->block_model == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options of blocking need option \"block_model\""),
				 errhint("Give the name of an embedding model.")));
	if (n_rules > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("only one of the options \"block_top\", \"block_similarity\" and \"block_recall\" can be given"),
				 errhint("Without any of them it is block_recall, which block_sample belongs to.")));
}

/* ---- the keys ---- */

static const struct
{
	const char *name;
	int			taken_by;		/* PGLLM_OPT_* */
	void		(*read) (const char *key, const JsonbValue *v, PgLlmOptions *o);
}			keys[] =
{
	{"top_p", PGLLM_OPT_SAMPLING | PGLLM_OPT_REASON, read_top_p},
	{"top_k", PGLLM_OPT_SAMPLING | PGLLM_OPT_REASON, read_top_k},
	{"min_p", PGLLM_OPT_SAMPLING | PGLLM_OPT_REASON, read_min_p},
	{"typical_p", PGLLM_OPT_SAMPLING | PGLLM_OPT_REASON, read_typical_p},
	{"repeat_penalty", PGLLM_OPT_SAMPLING | PGLLM_OPT_REASON, read_repeat_penalty},
	{"presence_penalty", PGLLM_OPT_SAMPLING | PGLLM_OPT_REASON, read_presence_penalty},
	{"frequency_penalty", PGLLM_OPT_SAMPLING | PGLLM_OPT_REASON, read_frequency_penalty},
	{"logit_bias", PGLLM_OPT_SAMPLING | PGLLM_OPT_REASON, read_logit_bias},
	{"truncate", PGLLM_OPT_PROMPT | PGLLM_OPT_LABELS | PGLLM_OPT_RAW | PGLLM_OPT_EMBED | PGLLM_OPT_RERANK | PGLLM_OPT_REASON_ROW,
	read_truncate},
	{"prefix", PGLLM_OPT_EMBED, read_prefix},
	{"instruction", PGLLM_OPT_RERANK | PGLLM_OPT_REASON, read_instruction},
	{"answer_prefix", PGLLM_OPT_PROMPT | PGLLM_OPT_LABELS, read_answer_prefix},
	{"template_kwargs", PGLLM_OPT_PROMPT | PGLLM_OPT_AGGREGATE | PGLLM_OPT_REASON, read_template_kwargs},
	{"grammar", PGLLM_OPT_SAMPLING, pgllm_read_grammar},
	{"regex", PGLLM_OPT_SAMPLING, pgllm_read_grammar},
	{"choice", PGLLM_OPT_SAMPLING, pgllm_read_grammar},
	{"compact", PGLLM_OPT_SAMPLING, pgllm_read_compact},
	{"draft", PGLLM_OPT_SAMPLING, read_draft},
	{"draft_tokens", PGLLM_OPT_SAMPLING, read_draft_tokens},
	{"temperature", PGLLM_OPT_EXTRACT | PGLLM_OPT_REASON_GROUP, read_temperature},
	{"seed", PGLLM_OPT_EXTRACT | PGLLM_OPT_REASON_GROUP, read_seed},
	{"think_budget", PGLLM_OPT_REASON_GROUP, read_think_budget},
	{"form", PGLLM_OPT_LABELS | PGLLM_OPT_EXTRACT, read_form},
	{"calibrate", PGLLM_OPT_LABELS, read_calibrate},
	{"calibration", PGLLM_OPT_LABELS, read_calibration},
	{"variants", PGLLM_OPT_LABELS, read_variants},
	{"chunk_tokens", PGLLM_OPT_AGGREGATE, read_chunk_tokens},
	{"block_model", PGLLM_OPT_BLOCK, read_block_model},
	{"block_top", PGLLM_OPT_BLOCK, read_block_top},
	{"block_similarity", PGLLM_OPT_BLOCK, read_block_similarity},
	{"block_recall", PGLLM_OPT_BLOCK, read_block_recall},
	{"block_sample", PGLLM_OPT_BLOCK, read_block_sample},
	{"answer", PGLLM_OPT_REASON, read_answer},
	{"choices", PGLLM_OPT_REASON, read_choices},
};

/* keys that are kept for what this version cannot do yet: not unknown, but refused */
static const char *const reserved[] = {"think", "think_budget", "logprobs", "lora"};

static void
read_key(const char *key, const JsonbValue *v, int allowed, PgLlmOptions *out)
{
	StringInfoData hint;

	for (int i = 0; i < (int) lengthof(keys); i++)
		if ((keys[i].taken_by & allowed) && strcmp(keys[i].name, key) == 0)
		{
			keys[i].read(key, v, out);
			return;
		}
	for (int i = 0; (allowed & PGLLM_OPT_SAMPLING) && i < (int) lengthof(reserved); i++)
		if (strcmp(reserved[i], key) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("option \"%s\" is not supported by this version", key),
					 strcmp(key, "lora") == 0 ? errhint("Make a model with the option lora: models over the same file share its packed weights.")
					 : errhint("Leave it out.")));
	initStringInfo(&hint);
	for (int i = 0; i < (int) lengthof(keys); i++)
		if (keys[i].taken_by & allowed)
			appendStringInfo(&hint, "%s%s", hint.len == 0 ? "This function takes " : ", ", keys[i].name);
	appendStringInfoChar(&hint, '.');
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown option \"%s\"", key),
			 hint.len > 1 ? errhint("%s", hint.data) : errhint("This function takes no options.")));
}

void
pgllm_options_parse(Jsonb *options, int allowed, PgLlmOptions *out)
{
	JsonbIterator *it;
	JsonbValue	item;
	JsonbIteratorToken token;
	char	   *key = NULL;

	memset(out, 0, sizeof(*out));
	out->sampling = llm_sampling_default;
	out->max_tokens = DEFAULT_MAX_TOKENS;
	out->truncate = (PgLlmTruncate) pgllm_truncate;
	out->form = LLM_FORM_AUTO;
	out->calibrate = -1;
	out->think_budget = -1;
	out->draft = LLM_DRAFT_PROMPT;
	if (options == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(options))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options must be a JSON object"),
				 errhint("For example '{\"truncate\": \"tail\"}'.")));
	it = JsonbIteratorInit(&options->root);
	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = pnstrdup(item.val.string.val, item.val.string.len);
		else if (token == WJB_VALUE && key)
			read_key(key, &item, allowed, out);
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
