/*
 * fn_replay.c: llm_replay: a trail is run again from its prompt's tokens, and the trail of that run compared with it.
 *
 * Step 0 is what was asked (seal, texts, model, settings, options, prompt), then one step for each sample, then the result. What
 * cannot be run again is a row that says why. Of texts that an aggregate has read in parts only the seal speaks. The model is the one of the trail's name if its content is the same, so that its
 * owner's options are those of the trail; else any model of that content that the caller may use.
 */
#include "reason.h"

#include "call_stats.h"
#include "models.h"

#include "foreign/foreign.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_replay);

static void
put_row(ReturnSetInfo *rsinfo, int step, bool matches, const char *note)
{
	Datum		values[3] = {Int32GetDatum(step), BoolGetDatum(matches), CStringGetTextDatum(note)};
	bool		nulls[3] = {false};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* ---- comparing ---- */

static bool
same(JsonbValue *a, JsonbValue *b)
{
	return a != NULL && b != NULL && strcmp(pgllm_trail_text_of(a), pgllm_trail_text_of(b)) == 0;
}

/* append the keys of a that b lacks, and, if asked, those whose values are others there */
static void
keys_that_differ(JsonbContainer *a, JsonbContainer *b, bool values, StringInfo s)
{
	JsonbIterator *it = JsonbIteratorInit(a);
	JsonbValue	item;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&it, &item, true)) != WJB_DONE)
	{
		char	   *key;
		JsonbValue *other;

		if (token != WJB_KEY)
			continue;
		key = pnstrdup(item.val.string.val, item.val.string.len);
		other = getKeyJsonValueFromContainer(b, key, item.val.string.len, NULL);
		if (other == NULL || (values && !same(pgllm_trail_field(a, key), other)))
			appendStringInfo(s, "%s%s", s->len == 0 ? "" : ", ", key);
	}
}

static bool
is_object(const JsonbValue *v)
{
	return v != NULL && v->type == jbvBinary && JsonContainerIsObject(v->val.binary.data);
}

/* a row that says whether a value of the trail is that of the new run */
static void
compare(ReturnSetInfo *rsinfo, int step, const char *what, JsonbValue *old, JsonbValue *new)
{
	StringInfoData s;

	if (same(old, new))
	{
		put_row(rsinfo, step, true, what);
		return;
	}
	initStringInfo(&s);
	if (is_object(old) && is_object(new))
	{
		keys_that_differ(new->val.binary.data, old->val.binary.data, true, &s);
		keys_that_differ(old->val.binary.data, new->val.binary.data, false, &s);
		put_row(rsinfo, step, false, psprintf("%s: other %s", what, s.data));
	}
	else
		put_row(rsinfo, step, false, psprintf("%s: %s", what, old == NULL ? "missing in the trail" : new == NULL ? "there is none when it is run again"
											  : "another when it is run again"));
}

static void
compare_trails(ReturnSetInfo *rsinfo, Jsonb *old, Jsonb *new)
{
	static const char *const asked[] = {"version", "model", "settings", "options", "prompt"};
	JsonbContainer *old_samples = pgllm_trail_array(&old->root, "samples");
	JsonbContainer *new_samples = pgllm_trail_array(&new->root, "samples");
	int			n = (int) Max(JsonContainerSize(old_samples), JsonContainerSize(new_samples));
	StringInfoData unknown;

	for (int i = 0; i < (int) lengthof(asked); i++)
		compare(rsinfo, 0, asked[i], pgllm_trail_field(&old->root, asked[i]), pgllm_trail_field(&new->root, asked[i]));
	initStringInfo(&unknown);
	keys_that_differ(&old->root, &new->root, false, &unknown);
	if (unknown.len > 0)
		put_row(rsinfo, 0, false, psprintf("the trail has what no trail has: %s", unknown.data));
	for (int i = 0; i < n; i++)
		compare(rsinfo, i + 1, "sample", getIthJsonbValueFromContainer(old_samples, (uint32) i),
				getIthJsonbValueFromContainer(new_samples, (uint32) i));
	compare(rsinfo, n + 1, "result", pgllm_trail_field(&old->root, "result"), pgllm_trail_field(&new->root, "result"));
}

/* ---- running ---- */

/* NULL: there is no model of that content */
static PgLlmModel *
find_model(const char *name, const char *digest)
{
	Oid			server_oid = strlen(name) < NAMEDATALEN ? get_foreign_server_oid(name, true) : InvalidOid;

	if (OidIsValid(server_oid) && GetForeignServer(server_oid)->fdwid == pgllm_catalog_wrapper() &&
		pgllm_server_aclcheck(server_oid, GetUserId(), ACL_USAGE) == ACLCHECK_OK)
	{
		PgLlmModel *model = pgllm_model_use(cstring_to_text(name), PGLLM_KIND_GENERATE);

		if (strcmp(model->digest, digest) == 0)
			return model;
	}
	if (!pgllm_catalog_has_content(digest))
		return NULL;
	server_oid = pgllm_catalog_find_content(digest);
	return pgllm_model_use(cstring_to_text(GetForeignServer(server_oid)->servername), PGLLM_KIND_GENERATE);
}

/* the prompt's tokens; NULL, or why the model cannot be given them */
static const char *
read_prompt(Jsonb *trail, const PgLlmModel *model, LlmTokens *out)
{
	JsonbContainer *prompt = pgllm_trail_object(&trail->root, "prompt");
	JsonbContainer *ids = prompt ? pgllm_trail_array(prompt, "tokens") : NULL;
	int32		n_vocab = llm_tokenizer_vocab_size(model->model->tokenizer);
	LlmError	err;

	if (ids == NULL || JsonContainerSize(ids) == 0)
		pgllm_bad_trail("its prompt has no tokens");
	if (JsonContainerSize(ids) > model->model->n_ctx)
		return psprintf("prompt: %u tokens, more than the context of the model, %u", JsonContainerSize(ids), model->model->n_ctx);
	llm_tokens_init(out, pgllm_allocator(CurrentMemoryContext));
	for (uint32 i = 0; i < JsonContainerSize(ids); i++)
	{
		JsonbValue *v = getIthJsonbValueFromContainer(ids, i);
		double		id = -1;

		if (v->type == jbvNumeric)
			id = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(v->val.numeric)));
		if (!(id >= 0 && id < n_vocab) || id != (int32) id)
			return psprintf("prompt: token %u is none of the model's", i + 1);
		PGLLM_CHECK(llm_tokens_append(out, (int32) id, &err), &err);
	}
	return NULL;
}

/* run the trail's prompt; NULL with *why: it could not be run */
static Jsonb *
run_again(Jsonb *trail, PgLlmModel *model, const char *name, const LlmTokens *prompt, const char **why)
{
	PgLlmWork  *work = palloc0(sizeof(PgLlmWork));
	uint64		seed;
	PgLlmReasonArgs *args = pgllm_trail_args(trail, &seed);
	PgLlmAnswer *answer;
	const LlmError *error;
	Jsonb	   *body;
	JsonbValue *texts;

	work->model = model;
	pgllm_stats_function("llm_replay");
	pgllm_reason_begin(work, pgllm_call_create(model), args, prompt, seed);
	do
		for (int i = 0; i < work->n_calls; i++)
			pgllm_call_wait(work->calls[i]);
	while (pgllm_reason_more(work));
	answer = pgllm_reason_answer(work);
	pgllm_work_free(work);
	pgllm_stats_function("llm_replay");
	pgllm_stats_rows(model, 1);
	error = pgllm_answer_error(answer);
	if (error != NULL)
	{
		*why = pgllm_message_from_utf8(error->message);
		return NULL;
	}
	body = PGLLM_REASON_BODY((PgLlmReasonAnswer *) answer->data);
	texts = pgllm_trail_field(&trail->root, "texts");
	if (texts != NULL)
		body = pgllm_trail_with(body, "texts", pgllm_trail_text_of(texts));
	return pgllm_trail_whole(body, model, name);
}

static void
replay(ReturnSetInfo *rsinfo, Jsonb *trail)
{
	JsonbContainer *said = pgllm_trail_object(&trail->root, "model");
	JsonbContainer *samples = pgllm_trail_array(&trail->root, "samples");
	JsonbValue *seal = pgllm_trail_field(&trail->root, "seal");
	char	   *true_seal = pgllm_trail_seal(trail);
	bool		sealed = seal != NULL && seal->type == jbvString && seal->val.string.len == (int) strlen(true_seal) &&
		memcmp(seal->val.string.val, true_seal, strlen(true_seal)) == 0;
	const char *why = NULL;
	const char *texts;
	char	   *name;
	PgLlmModel *model;
	LlmTokens	prompt;
	Jsonb	   *again = NULL;

	if (said == NULL)
		pgllm_bad_trail("\"model\" is no object");
	if (samples == NULL || JsonContainerSize(samples) > PGLLM_REASON_MAX_SAMPLES)
		pgllm_bad_trail(psprintf("\"samples\" is no array of at most %d", PGLLM_REASON_MAX_SAMPLES));
	texts = pgllm_trail_texts(trail);
	put_row(rsinfo, 0, sealed, sealed ? "seal" : "seal: the trail was changed after it was made");
	name = pgllm_trail_string(said, "name");
	model = find_model(name, pgllm_trail_string(said, "digest"));
	if (model == NULL)
		why = "model: there is none with the content of that digest that you may use";
	else
		why = read_prompt(trail, model, &prompt);
	if (why == NULL)
		again = run_again(trail, model, name, &prompt, &why);
	if (texts != NULL)
		put_row(rsinfo, 0, sealed, texts);
	if (again == NULL)
		put_row(rsinfo, 0, false, why);
	else
		compare_trails(rsinfo, trail, again);
}

Datum
pgllm_fn_llm_replay(PG_FUNCTION_ARGS)
{
	Jsonb	   *trail = PG_GETARG_JSONB_P(0);

	if (!JB_ROOT_IS_OBJECT(trail))
		pgllm_bad_trail("it is no object");
	InitMaterializedSRF(fcinfo, 0);
	replay((ReturnSetInfo *) fcinfo->resultinfo, trail);
	return (Datum) 0;
}
