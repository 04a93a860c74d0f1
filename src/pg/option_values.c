/*
 * option_values.c: the value of one option, checked.
 */
#include "option_values.h"

#include <math.h>

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

void
pgllm_option_bad(const char *key, const char *expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\"", key),
			 errhint("%s", expected)));
}

/* NaN, which no range holds, if it is no number */
double
pgllm_option_number_or_nan(const JsonbValue *v)
{
	if (v->type != jbvNumeric)
		return NAN;
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(v->val.numeric)));
}

double
pgllm_option_number(const char *key, const JsonbValue *v, double min, double max)
{
	double		d = pgllm_option_number_or_nan(v);

	if (!(d >= min && d <= max))
		pgllm_option_bad(key, psprintf("Give a number from %g to %g.", min, max));
	return d;
}

int32
pgllm_option_integer(const char *key, const JsonbValue *v, int32 min, int32 max)
{
	double		d = pgllm_option_number_or_nan(v);

	if (!(d >= min && d <= max) || d != floor(d))
		pgllm_option_bad(key, psprintf("Give an integer from %d to %d.", min, max));
	return (int32) d;
}

LlmStr
pgllm_option_string(const char *key, const JsonbValue *v)
{
	if (v->type != jbvString)
		pgllm_option_bad(key, "Give a string.");
	return pgllm_cstring_to_utf8(pnstrdup(v->val.string.val, v->val.string.len));
}

/* index of the string among choices (ended by NULL) */
int
pgllm_option_choice(const char *key, const JsonbValue *v, const char *const *choices)
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
	pgllm_option_bad(key, hint.data);
	return 0;
}

JsonbContainer *
pgllm_option_object(const char *key, const JsonbValue *v, const char *expected)
{
	if (v->type != jbvBinary || !JsonContainerIsObject(v->val.binary.data))
		pgllm_option_bad(key, expected);
	return v->val.binary.data;
}
