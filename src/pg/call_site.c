/*
 * call_site.c: what a call site remembers of its constant arguments.
 *
 * A statement calls a function for many rows with the same labels, examples and options. They are compared by their bytes
 * with those of the last call, which costs far less than parsing them, and is right even where they differ from row to
 * row. The memory is the expression's (fn_mcxt), so it ends with the statement.
 */
#include "llm_call.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

static PgLlmSite *
site_create(FunctionCallInfo fcinfo, uint32 args)
{
	PgLlmSite  *site = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(PgLlmSite));

	site->context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "pg_llm call site", ALLOCSET_SMALL_SIZES);
	for (int i = 0; i < PG_NARGS(); i++)
	{
		if (!(args & (1u << i)))
			continue;
		if (site->n_args >= PGLLM_SITE_ARGS || !OidIsValid(get_fn_expr_argtype(fcinfo->flinfo, i)))
			elog(ERROR, "function was called without an expression, or with too many constant arguments");
		site->by_value[site->n_args++] = get_typbyval(get_fn_expr_argtype(fcinfo->flinfo, i));
	}
	fcinfo->flinfo->fn_extra = site;
	return site;
}

static bool
same_bytes(Datum a, const struct varlena *b)
{
	const struct varlena *v = (const struct varlena *) DatumGetPointer(a);

	return VARSIZE_ANY_EXHDR(v) == VARSIZE_ANY_EXHDR(b) &&
		memcmp(VARDATA_ANY(v), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(b)) == 0;
}

PgLlmSite *
pgllm_site(FunctionCallInfo fcinfo, uint32 args)
{
	PgLlmSite  *site = fcinfo->flinfo->fn_extra;
	Datum		value[PGLLM_SITE_ARGS];
	bool		is_null[PGLLM_SITE_ARGS];
	bool		same;
	int			n = 0;

	if (site == NULL)
		site = site_create(fcinfo, args);
	same = site->parsed != NULL && site->truncate == pgllm_truncate;
	for (int i = 0; i < PG_NARGS(); i++)
	{
		if (!(args & (1u << i)))
			continue;
		is_null[n] = PG_ARGISNULL(i);
		if (is_null[n])
			value[n] = (Datum) 0;
		else if (site->by_value[n])
			value[n] = PG_GETARG_DATUM(i);
		else
			value[n] = PointerGetDatum(PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(i)));
		same = same && is_null[n] == site->is_null[n];
		if (same && !is_null[n])
			same = site->by_value[n] ? value[n] == site->value[n] :
				same_bytes(site->value[n], (const struct varlena *) DatumGetPointer(value[n]));
		n++;
	}
	if (same)
		return site;

	site->parsed = NULL;
	MemoryContextReset(site->context);
	for (int i = 0; i < n; i++)
	{
		const struct varlena *v = (const struct varlena *) DatumGetPointer(value[i]);

		site->is_null[i] = is_null[i];
		if (is_null[i] || site->by_value[i])
			site->value[i] = value[i];
		else
			site->value[i] = PointerGetDatum(memcpy(MemoryContextAlloc(site->context, VARSIZE_ANY(v)), v, VARSIZE_ANY(v)));
	}
	site->truncate = pgllm_truncate;
	return site;
}

LlmStr
pgllm_str_copy(LlmStr s)
{
	char	   *copy = palloc(s.len + 1);

	memcpy(copy, s.data, s.len);
	copy[s.len] = '\0';
	return (LlmStr) {.data = copy, .len = s.len};
}

LlmStr *
pgllm_text_array(ArrayType *array, const char *what, int *n)
{
	Datum	   *elements;
	bool	   *nulls;
	LlmStr	   *result;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be an array of one dimension, not %d", what, ARR_NDIM(array)),
				 errhint("For example '{a,b}'.")));
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, n);
	result = palloc(sizeof(LlmStr) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s must not contain NULL, but element %d is", what, i + 1),
					 errhint("Remove NULLs with array_remove(array, NULL).")));
		result[i] = pgllm_str_copy(pgllm_to_utf8(DatumGetTextPP(elements[i])));
	}
	return result;
}
