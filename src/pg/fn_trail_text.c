/*
 * fn_trail_text.c: llm_trail_text: a trail for people to read. It says what the trail says; only llm_replay tells whether it is so.
 */
#include "reason.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_trail_text);

/* a string as it is, anything else as JSON */
static char *
plain(JsonbContainer *object, const char *key)
{
	JsonbValue *v = pgllm_trail_field(object, key);

	return v != NULL && v->type == jbvString ? pnstrdup(v->val.string.val, v->val.string.len) : pgllm_trail_text_of(v);
}

static JsonbContainer *
object_of(JsonbContainer *root, const char *key)
{
	JsonbContainer *object = pgllm_trail_object(root, key);

	if (object == NULL)
		pgllm_bad_trail(psprintf("\"%s\" is no object", key));
	return object;
}

static uint32
n_tokens(JsonbContainer *object)
{
	JsonbContainer *tokens = pgllm_trail_array(object, "tokens");

	return tokens ? JsonContainerSize(tokens) : 0;
}

static void
add_sample(StringInfo s, int no, JsonbValue *v)
{
	JsonbContainer *sample;

	if (v->type != jbvBinary || !JsonContainerIsObject(v->val.binary.data))
		pgllm_bad_trail(psprintf("sample %d is no object", no));
	sample = v->val.binary.data;
	appendStringInfo(s, "\nSample %d (seed %s, %u tokens, finish_reason %s), answer: %s\n", no, plain(sample, "seed"), n_tokens(sample),
					 plain(sample, "finish_reason"), plain(sample, "answer"));
	if (pgllm_trail_field(sample, "thinking") != NULL)
		appendStringInfo(s, "%s\n", plain(sample, "thinking"));
	appendStringInfo(s, "%s\n", plain(sample, "text"));
}

Datum
pgllm_fn_llm_trail_text(PG_FUNCTION_ARGS)
{
	Jsonb	   *trail = PG_GETARG_JSONB_P(0);
	JsonbContainer *samples;
	JsonbContainer *model;
	JsonbContainer *prompt;
	JsonbContainer *result;
	StringInfoData s;

	if (!JB_ROOT_IS_OBJECT(trail))
		pgllm_bad_trail("it is no object");
	samples = pgllm_trail_array(&trail->root, "samples");
	if (samples == NULL)
		pgllm_bad_trail("\"samples\" is no array");
	model = object_of(&trail->root, "model");
	prompt = object_of(&trail->root, "prompt");
	result = object_of(&trail->root, "result");
	initStringInfo(&s);
	appendStringInfo(&s, "Model %s (sha256 %s, numeric version %s)\nSettings %s\n\nPrompt (%u tokens)\n%s\n", plain(model, "name"),
					 plain(model, "digest"), plain(model, "numeric_version"), plain(&trail->root, "settings"), n_tokens(prompt),
					 plain(prompt, "text"));
	if (pgllm_trail_texts(trail) != NULL)
		appendStringInfo(&s, "\n%s\n", pgllm_trail_texts(trail));
	for (uint32 i = 0; i < JsonContainerSize(samples); i++)
		add_sample(&s, (int) i + 1, getIthJsonbValueFromContainer(samples, i));
	appendStringInfo(&s, "\nAnswer: %s (%s of %s samples)", plain(result, "answer"), plain(result, "votes"), plain(result, "samples"));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(s.data, s.len));
}
