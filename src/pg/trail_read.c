/*
 * trail_read.c: reading a trail: anybody may have written it, so everything is checked before it is used.
 */
#include "reason.h"

#include <errno.h>
#include <math.h>

#include "utils/builtins.h"
#include "utils/numeric.h"

void
pgllm_bad_trail(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("trail is none that llm_reason() made: %s", what),
			 errhint("Give the trail of a row of llm_reason() as it was.")));
}

JsonbValue *
pgllm_trail_field(JsonbContainer *object, const char *key)
{
	return getKeyJsonValueFromContainer(object, key, (int) strlen(key), NULL);
}

static JsonbContainer *
container_of(JsonbContainer *object, const char *key, bool array)
{
	JsonbValue *v = pgllm_trail_field(object, key);

	if (v == NULL || v->type != jbvBinary || JsonContainerIsArray(v->val.binary.data) != array)
		return NULL;
	return v->val.binary.data;
}

JsonbContainer *
pgllm_trail_object(JsonbContainer *object, const char *key)
{
	return container_of(object, key, false);
}

JsonbContainer *
pgllm_trail_array(JsonbContainer *object, const char *key)
{
	return container_of(object, key, true);
}

char *
pgllm_trail_string(JsonbContainer *object, const char *key)
{
	JsonbValue *v = pgllm_trail_field(object, key);

	if (v == NULL || v->type != jbvString)
		pgllm_bad_trail(psprintf("\"%s\" is no string", key));
	return pnstrdup(v->val.string.val, v->val.string.len);
}

static double
number_of(JsonbContainer *object, const char *key, double min, double max)
{
	JsonbValue *v = pgllm_trail_field(object, key);
	double		d = NAN;

	if (v != NULL && v->type == jbvNumeric)
		d = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(v->val.numeric)));
	if (!(d >= min && d <= max))
		pgllm_bad_trail(psprintf("\"%s\" is no number from %g to %g", key, min, max));
	return d;
}

static int64
integer_of(JsonbContainer *object, const char *key, int64 min, int64 max)
{
	JsonbValue *v = pgllm_trail_field(object, key);
	int64		n = 0;
	char	   *end = "?";

	/* by its digits: a float does not hold every integer, and a cast rounds or raises */
	if (v != NULL && v->type == jbvNumeric)
	{
		errno = 0;
		n = strtoi64(DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric))), &end, 10);
	}
	if (*end != '\0' || errno != 0 || n < min || n > max)
		pgllm_bad_trail(psprintf("\"%s\" is no integer from " INT64_FORMAT " to " INT64_FORMAT, key, min, max));
	return n;
}

char *
pgllm_trail_texts(Jsonb *trail)
{
	JsonbContainer *texts = pgllm_trail_object(&trail->root, "texts");
	int64		rows;
	int64		parts;

	if (pgllm_trail_field(&trail->root, "texts") == NULL)
		return NULL;
	if (texts == NULL)
		pgllm_bad_trail("\"texts\" is no object");
	rows = integer_of(texts, "rows", 1, PG_INT64_MAX);
	parts = integer_of(texts, "parts", 0, PG_INT64_MAX);
	(void) pgllm_trail_string(texts, "digest");
	if (parts == 0)
		return psprintf("texts: all " INT64_FORMAT " are in the prompt", rows);
	return psprintf("texts: " INT64_FORMAT " were read in " INT64_FORMAT " parts, which are not run again", rows, parts);
}

char *
pgllm_trail_text_of(JsonbValue *v)
{
	Jsonb	   *value;

	if (v == NULL)
		return pstrdup("nothing");
	value = JsonbValueToJsonb(v);
	return JsonbToCString(NULL, &value->root, VARSIZE(value));
}

PgLlmReasonArgs *
pgllm_trail_args(Jsonb *trail, uint64 *seed)
{
	PgLlmReasonArgs *args = palloc0(sizeof(PgLlmReasonArgs));
	JsonbContainer *settings = pgllm_trail_object(&trail->root, "settings");
	JsonbValue *options = pgllm_trail_field(&trail->root, "options");
	JsonbValue *budget;

	if (settings == NULL)
		pgllm_bad_trail("\"settings\" is no object");
	if (pgllm_trail_object(&trail->root, "options") == NULL)
		pgllm_bad_trail("\"options\" is no object");
	args->given = JsonbValueToJsonb(options);
	pgllm_options_parse(args->given, PGLLM_OPT_REASON | (pgllm_trail_field(&trail->root, "texts") == NULL ? PGLLM_OPT_REASON_ROW :
														 PGLLM_OPT_REASON_GROUP | PGLLM_OPT_AGGREGATE), &args->generate.options);
	args->samples = (int) integer_of(settings, "samples", 1, PGLLM_REASON_MAX_SAMPLES);
	args->generate.options.max_tokens = (int) integer_of(settings, "max_tokens", 1, PG_INT32_MAX);
	args->generate.options.sampling.temperature = (float) number_of(settings, "temperature", 0, PGLLM_MAX_TEMPERATURE);
	*seed = (uint64) integer_of(settings, "seed", PG_INT64_MIN, PG_INT64_MAX);
	budget = pgllm_trail_field(settings, "think_budget");
	args->has_budget = budget != NULL && budget->type != jbvNull;
	if (args->has_budget)
		args->think_budget = (uint32_t) integer_of(settings, "think_budget", 0, PG_INT32_MAX);
	return args;
}
