/*
 * call_site.c: what a call site remembers of its constant arguments.
 *
 * A statement calls a function for many rows with the same labels, examples and options. They are compared by their bytes
 * with those of the last call, which costs far less than parsing them, and is right even where they differ from row to
 * row. The memory is the expression's (fn_mcxt), so it ends with the statement.
 */
#include "llm_call.h"
#include "sha256.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

static PgLlmSite *
site_create(FunctionCallInfo fcinfo, uint32 args)
{
	PgLlmSite  *site = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(PgLlmSite));

	if (PG_NARGS() > PGLLM_SITE_ARGS)
		elog(ERROR, "function has %d arguments", PG_NARGS());
	site->context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "pg_llm call site", ALLOCSET_SMALL_SIZES);
	site->args = args;
	site->n_args = PG_NARGS();
	for (int i = 0; i < site->n_args; i++)
	{
		site->type[i] = get_fn_expr_argtype(fcinfo->flinfo, i);
		if (!OidIsValid(site->type[i]))
			elog(ERROR, "function was called without an expression");
		site->by_value[i] = get_typbyval(site->type[i]);
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

/* ---- digests ---- */

/* a value with its length before it, so that no two lists of values have the same bytes; value is detoasted */
static void
sha_value(pg_cryptohash_ctx *sha, bool is_null, bool by_value, Datum value)
{
	uint64		len = is_null ? PG_UINT64_MAX : by_value ? sizeof(Datum) : VARSIZE_ANY_EXHDR(DatumGetPointer(value));

	pgllm_sha256_add(sha, &len, sizeof len);
	if (is_null)
		return;
	if (by_value)
		pgllm_sha256_add(sha, &value, sizeof value);
	else
		pgllm_sha256_add(sha, VARDATA_ANY(DatumGetPointer(value)), len);
}

void
pgllm_site_digest(FunctionCallInfo fcinfo, const PgLlmSite *site, int model_arg, const void *bytes, size_t n_bytes, uint8 *digest)
{
	pg_cryptohash_ctx *sha = pgllm_sha256_begin();

	pgllm_sha256_add(sha, site->digest, sizeof site->digest);
	pgllm_sha256_add(sha, bytes, n_bytes);
	for (int i = 0; i < site->n_args; i++)
	{
		Datum		value = PG_GETARG_DATUM(i);

		if ((site->args & (1u << i)) || i == model_arg)
			continue;
		if (!PG_ARGISNULL(i) && !site->by_value[i])
			value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(value));
		sha_value(sha, PG_ARGISNULL(i), site->by_value[i], value);
	}
	pgllm_sha256_end(sha, digest);
	pg_cryptohash_free(sha);
}

static void
digest_constants(PgLlmSite *site)
{
	pg_cryptohash_ctx *sha = pgllm_sha256_begin();

	pgllm_sha256_add(sha, &site->truncate, sizeof site->truncate);
	pgllm_sha256_add(sha, site->type, sizeof(Oid) * site->n_args);
	for (int i = 0; i < site->n_args; i++)
		if (site->args & (1u << i))
			sha_value(sha, site->is_null[i], site->by_value[i], site->value[i]);
	pgllm_sha256_end(sha, site->digest);
	pg_cryptohash_free(sha);
}

/* ---- the site ---- */

PgLlmSite *
pgllm_site(FunctionCallInfo fcinfo, uint32 args)
{
	PgLlmSite  *site = fcinfo->flinfo->fn_extra;
	Datum		value[PGLLM_SITE_ARGS];
	bool		same;

	if (site == NULL)
		site = site_create(fcinfo, args);
	same = site->parsed != NULL && site->truncate == pgllm_truncate;
	for (int i = 0; i < site->n_args; i++)
	{
		if (!(args & (1u << i)))
			continue;
		if (PG_ARGISNULL(i))
			value[i] = (Datum) 0;
		else if (site->by_value[i])
			value[i] = PG_GETARG_DATUM(i);
		else
			value[i] = PointerGetDatum(PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(i)));
		same = same && PG_ARGISNULL(i) == site->is_null[i];
		if (same && !PG_ARGISNULL(i))
			same = site->by_value[i] ? value[i] == site->value[i] :
				same_bytes(site->value[i], (const struct varlena *) DatumGetPointer(value[i]));
	}
	if (same)
		return site;

	site->parsed = NULL;
	if (site->keep)
		site->context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "pg_llm call site", ALLOCSET_SMALL_SIZES);
	else
		MemoryContextReset(site->context);
	for (int i = 0; i < site->n_args; i++)
	{
		const struct varlena *v;

		if (!(args & (1u << i)))
			continue;
		v = (const struct varlena *) DatumGetPointer(value[i]);
		site->is_null[i] = PG_ARGISNULL(i);
		if (site->is_null[i] || site->by_value[i])
			site->value[i] = value[i];
		else
			site->value[i] = PointerGetDatum(memcpy(MemoryContextAlloc(site->context, VARSIZE_ANY(v)), v, VARSIZE_ANY(v)));
	}
	site->truncate = pgllm_truncate;
	digest_constants(site);
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
pgllm_nullable_texts(ArrayType *array, const char *what, int *n)
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
	result = palloc0(sizeof(LlmStr) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		if (!nulls[i])
			result[i] = pgllm_to_utf8(DatumGetTextPP(elements[i]));
	return result;
}

LlmStr *
pgllm_text_array(ArrayType *array, const char *what, int *n)
{
	LlmStr	   *result = pgllm_nullable_texts(array, what, n);

	for (int i = 0; i < *n; i++)
	{
		if (result[i].data == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s must not contain NULL, but element %d is", what, i + 1),
					 errhint("Remove NULLs with array_remove(array, NULL).")));
		result[i] = pgllm_str_copy(result[i]);
	}
	return result;
}
