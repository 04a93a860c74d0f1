/*
 * options.c: the options jsonb of a call.
 *
 * A table says what each key may hold and which functions take it; a key that a function does not take raises and is
 * answered with those that it does. Strings become UTF-8 here, as everything below works on UTF-8.
 */
#include "pg_llm.h"
#include "grammar_args.h"
#include "option_answers.h"
#include "option_values.h"

#include <errno.h>
#include <math.h>

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#define DEFAULT_MAX_TOKENS 256
#define MAX_BLOCK_TOP 10000
#define MAX_BLOCK_SAMPLE 100000

/* ---- one reader for each key ---- */

static void
read_top_p(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->sampling.top_p = (float) pgllm_option_number(key, v, 0, 1);
}

static void
read_top_k(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->sampling.top_k = pgllm_option_integer(key, v, 0, PG_INT32_MAX);
}

static void
read_min_p(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->sampling.min_p = (float) pgllm_option_number(key, v, 0, 1);
}

static void
read_typical_p(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->sampling.typical_p = (float) pgllm_option_number(key, v, 0, 1);
}

static void
read_repeat_penalty(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->sampling.repeat_penalty = (float) pgllm_option_number(key, v, 0.01, 100);
}

static void
read_presence_penalty(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->sampling.presence_penalty = (float) pgllm_option_number(key, v, -100, 100);
}

static void
read_frequency_penalty(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->sampling.frequency_penalty = (float) pgllm_option_number(key, v, -100, 100);
}

/* {"token id": number added to its logit, or false: never this token} */
static void
read_logit_bias(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	static const char expected[] = "Give an object of token ids and numbers from -1000 to 1000, or false for a token that must not come.";
	JsonbContainer *object = pgllm_option_object(key, v, expected);
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
				pgllm_option_bad(key, expected);
			bias[n].id = (int32_t) n_id;
		}
		else if (token == WJB_VALUE)
		{
			bool		forbidden = item.type == jbvBool && !item.val.boolean;
			double		d = pgllm_option_number_or_nan(&item);

			if (!forbidden && !(d >= -1000 && d <= 1000))
				pgllm_option_bad(key, expected);
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

	o->truncate = (PgLlmTruncate) pgllm_option_choice(key, v, choices);
}

static void
read_answer_prefix(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->answer_prefix = pgllm_option_string(key, v);
}

/* variables of the chat template; all their strings are data */
static void
read_template_kwargs(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	static const char *const own[] = {"messages", "tools", "add_generation_prompt"};
	JsonbContainer *object = pgllm_option_object(key, v, "Give an object of variables that the model's chat template knows.");
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
	o->sampling.temperature = (float) pgllm_option_number(key, v, 0, PGLLM_MAX_TEMPERATURE);
}

static void
read_seed(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->sampling.seed = (uint64_t) (int64) pgllm_option_number(key, v, -9007199254740992.0, 9007199254740992.0);
	o->has_seed = true;
}

static void
read_think_budget(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->think_budget = pgllm_option_integer(key, v, 0, PG_INT32_MAX);
}

static void
read_prefix(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->prefix = pgllm_option_string(key, v);
}

static void
read_instruction(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->instruction = pgllm_option_string(key, v);
}

/* off, prompt, or the name of a model, which is looked up when it is used */
static void
read_draft(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	const char *name;

	if (v->type != jbvString || v->val.string.len == 0)
		pgllm_option_bad(key, "Give \"off\", \"prompt\", or the name of a model.");
	name = pnstrdup(v->val.string.val, v->val.string.len);
	o->draft = strcmp(name, "off") == 0 ? LLM_DRAFT_OFF : strcmp(name, "prompt") == 0 ? LLM_DRAFT_PROMPT : LLM_DRAFT_MODEL;
	o->has_draft = true;
	o->draft_model = o->draft == LLM_DRAFT_MODEL ? cstring_to_text(name) : NULL;
}

static void
read_draft_tokens(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->draft_tokens = pgllm_option_integer(key, v, 1, LLM_DRAFT_MAX);
}

static void
read_chunk_tokens(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->chunk_tokens = pgllm_option_integer(key, v, 64, PG_INT32_MAX);
}

static void
read_block_model(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	if (v->type != jbvString || v->val.string.len == 0)
		pgllm_option_bad(key, "Give the name of an embedding model.");
	o->block_model = cstring_to_text_with_len(v->val.string.val, v->val.string.len);
}

static void
read_block_top(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->block_top = pgllm_option_integer(key, v, 1, MAX_BLOCK_TOP);
}

static void
read_block_similarity(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->block_similarity = pgllm_option_number(key, v, -1, 1);
	o->has_block_similarity = true;
}

static void
read_block_recall(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->block_recall = pgllm_option_number(key, v, 0.01, 1);
}

static void
read_block_sample(const char *key, const JsonbValue *v, PgLlmOptions *o)
{
	o->block_sample = pgllm_option_integer(key, v, 16, MAX_BLOCK_SAMPLE);
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
	{"think_budget", PGLLM_OPT_PROMPT | PGLLM_OPT_REASON_GROUP, read_think_budget},
	{"form", PGLLM_OPT_LABELS | PGLLM_OPT_EXTRACT, pgllm_read_form},
	{"calibrate", PGLLM_OPT_LABELS, pgllm_read_calibrate},
	{"calibration", PGLLM_OPT_LABELS, pgllm_read_calibration},
	{"variants", PGLLM_OPT_LABELS, pgllm_read_variants},
	{"chunk_tokens", PGLLM_OPT_AGGREGATE, read_chunk_tokens},
	{"block_model", PGLLM_OPT_BLOCK, read_block_model},
	{"block_top", PGLLM_OPT_BLOCK, read_block_top},
	{"block_similarity", PGLLM_OPT_BLOCK, read_block_similarity},
	{"block_recall", PGLLM_OPT_BLOCK, read_block_recall},
	{"block_sample", PGLLM_OPT_BLOCK, read_block_sample},
	{"answer", PGLLM_OPT_REASON, pgllm_read_answer},
	{"choices", PGLLM_OPT_REASON, pgllm_read_choices},
};

/* keys that are kept for what this version cannot do yet: not unknown, but refused */
static const char *const reserved[] = {"think", "logprobs", "lora"};

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
