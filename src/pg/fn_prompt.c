/*
 * fn_prompt.c: llm_prompt, which puts values into a text by number: llm_prompt('Translate to {1}: {2}', lang, body).
 *
 * A placeholder is '{' digits '}' and nothing else, so that JSON and code can stand in a template as they are; '{{1}}' is
 * the text '{1}'. Values take their type's text form, are never looked at for placeholders themselves, and may be used
 * more than once or not at all. A NULL that is used makes the result NULL, as with ||, so that a row without data never
 * reaches a model. No model is involved.
 */
#include "pg_llm.h"

#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#define MAX_WRITTEN 20			/* bytes of a placeholder that a message repeats */

PG_FUNCTION_INFO_V1(pgllm_fn_llm_prompt);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_prompt_noargs);

/* the values of a call, from single arguments or from VARIADIC array */
typedef struct PromptArgs
{
	int			n;
	Datum	   *values;
	bool	   *nulls;
	Oid		   *types;
} PromptArgs;

static void
args_from_array(FunctionCallInfo fcinfo, PromptArgs *args)
{
	ArrayType  *array;
	Oid			element;
	int16		len;
	bool		by_value;
	char		align;

	if (PG_ARGISNULL(1))
	{
		args->n = 0;
		return;
	}
	array = PG_GETARG_ARRAYTYPE_P(1);
	element = ARR_ELEMTYPE(array);
	get_typlenbyvalalign(element, &len, &by_value, &align);
	deconstruct_array(array, element, len, by_value, align, &args->values, &args->nulls, &args->n);
	args->types = palloc(sizeof(Oid) * Max(args->n, 1));
	for (int i = 0; i < args->n; i++)
		args->types[i] = element;
}

static void
args_from_call(FunctionCallInfo fcinfo, PromptArgs *args)
{
	args->n = PG_NARGS() - 1;
	args->values = palloc(sizeof(Datum) * Max(args->n, 1));
	args->nulls = palloc(sizeof(bool) * Max(args->n, 1));
	args->types = palloc(sizeof(Oid) * Max(args->n, 1));
	for (int i = 0; i < args->n; i++)
	{
		args->nulls[i] = PG_ARGISNULL(i + 1);
		args->values[i] = PG_GETARG_DATUM(i + 1);
		args->types[i] = get_fn_expr_argtype(fcinfo->flinfo, i + 1);
		if (!OidIsValid(args->types[i]))
			elog(ERROR, "could not determine the type of argument %d", i + 1);
	}
}

/*
 * Length of a placeholder at s (len bytes left), with its number; 0 if there is none. A number too long for an int is
 * given as INT_MAX.
 */
static size_t
placeholder(const char *s, size_t len, int *number)
{
	size_t		i = 1;
	int64		n = 0;

	if (len < 3 || s[0] != '{' || s[1] < '0' || s[1] > '9')
		return 0;
	for (; i < len && s[i] >= '0' && s[i] <= '9'; i++)
		n = Min(n * 10 + (s[i] - '0'), PG_INT32_MAX);
	if (i >= len || s[i] != '}')
		return 0;
	*number = (int) n;
	return i + 1;
}

/* append value `number`, written as in the template; false if it is NULL */
static bool
append_value(StringInfo out, const PromptArgs *args, int number, const char *written, size_t len)
{
	Oid			output;
	bool		is_varlena;
	char	   *string;

	if (number < 1 || number > args->n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg_plural("prompt template uses %.*s%s, but %d value was given",
							   "prompt template uses %.*s%s, but %d values were given",
							   args->n, (int) Min(len, MAX_WRITTEN), written, len > MAX_WRITTEN ? "..." : "", args->n),
				 errhint("Values are numbered from {1} in the order of the arguments. To write braces around a number as text, double them.")));
	if (args->nulls[number - 1])
		return false;
	getTypeOutputInfo(args->types[number - 1], &output, &is_varlena);
	string = OidOutputFunctionCall(output, args->values[number - 1]);
	appendStringInfoString(out, string);
	pfree(string);
	return true;
}

/* NULL if a value that is used is NULL */
static text *
fill_template(text *template, const PromptArgs *args)
{
	const char *s = VARDATA_ANY(template);
	size_t		len = VARSIZE_ANY_EXHDR(template);
	size_t		copied = 0;
	StringInfoData out;

	initStringInfo(&out);
	for (size_t i = 0; i < len;)
	{
		int			number;
		size_t		inner;
		size_t		skip;

		if (s[i] != '{')
		{
			i++;
			continue;
		}
		if (i + 1 < len && s[i + 1] == '{' && (inner = placeholder(s + i + 1, len - i - 1, &number)) > 0 &&
			i + 1 + inner < len && s[i + 1 + inner] == '}')
		{
			/* {{1}}: the inner braces are text */
			appendBinaryStringInfo(&out, s + copied, (int) (i - copied));
			appendBinaryStringInfo(&out, s + i + 1, (int) inner);
			i += inner + 2;
			copied = i;
			continue;
		}
		skip = placeholder(s + i, len - i, &number);
		if (skip == 0)
		{
			i++;
			continue;
		}
		appendBinaryStringInfo(&out, s + copied, (int) (i - copied));
		if (!append_value(&out, args, number, s + i, skip))
			return NULL;
		i += skip;
		copied = i;
	}
	appendBinaryStringInfo(&out, s + copied, (int) (len - copied));
	return cstring_to_text_with_len(out.data, out.len);
}

Datum
pgllm_fn_llm_prompt(PG_FUNCTION_ARGS)
{
	PromptArgs	args = {0};
	text	   *result;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	if (get_fn_expr_variadic(fcinfo->flinfo))
		args_from_array(fcinfo, &args);
	else
		args_from_call(fcinfo, &args);
	result = fill_template(PG_GETARG_TEXT_PP(0), &args);
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(result);
}

/* llm_prompt(template) alone: VARIADIC needs at least one value */
Datum
pgllm_fn_llm_prompt_noargs(PG_FUNCTION_ARGS)
{
	const PromptArgs args = {0};

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(fill_template(PG_GETARG_TEXT_PP(0), &args));
}
