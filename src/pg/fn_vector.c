/*
 * fn_vector.c: llm_cosine and llm_rrf: arithmetic over embeddings and ranks, without a model.
 */
#include "pg_llm.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"

PG_FUNCTION_INFO_V1(pgllm_fn_llm_cosine);
PG_FUNCTION_INFO_V1(pgllm_fn_llm_rrf);

/* a one-dimensional array without NULLs; its length */
static int
check_vector(ArrayType *array, const char *what)
{
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("%s must be an array of one dimension, not %d", what, ARR_NDIM(array)),
				 errhint("Give an embedding as llm_embed() makes it.")));
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not contain NULL", what),
				 errhint("Give an embedding as llm_embed() makes it.")));
	return ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
}

/* (a real[], b real[]): cosine of the angle between them; NULL if one of them has no length: zero, infinite or not a number */
Datum
pgllm_fn_llm_cosine(PG_FUNCTION_ARGS)
{
	ArrayType  *array_a = PG_GETARG_ARRAYTYPE_P(0);
	ArrayType  *array_b = PG_GETARG_ARRAYTYPE_P(1);
	int			n = check_vector(array_a, "first embedding");
	int			n_b = check_vector(array_b, "second embedding");
	const float *a = (const float *) ARR_DATA_PTR(array_a);
	const float *b = (const float *) ARR_DATA_PTR(array_b);
	double		ab = 0;
	double		aa = 0;
	double		bb = 0;

	if (n != n_b)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("embeddings have %d and %d dimensions", n, n_b),
				 errhint("Compare embeddings of the same model with the same number of dimensions.")));
	for (int i = 0; i < n; i++)
	{
		ab += (double) a[i] * b[i];
		aa += (double) a[i] * a[i];
		bb += (double) b[i] * b[i];
	}
	if (!(aa > 0 && bb > 0 && isfinite(aa) && isfinite(bb)))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(Min(Max(ab / sqrt(aa * bb), -1), 1));
}

/*
 * (ranks bigint[], k): reciprocal rank fusion, the sum of 1 / (k + rank). NULL is the rank of what a list does not have.
 * Source: Cormack, Clarke and Buettcher 2009.
 */
Datum
pgllm_fn_llm_rrf(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	int32		k = PG_GETARG_INT32(1);
	Datum	   *ranks;
	bool	   *nulls;
	int			n;
	double		sum = 0;

	if (k < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("k must not be negative, is %d", k),
				 errhint("60 is usual; a smaller k gives more weight to the first ranks.")));
	deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &ranks, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		int64		rank = nulls[i] ? 1 : DatumGetInt64(ranks[i]);

		if (rank < 1)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("rank must be at least 1, but element %d is %lld", i + 1, (long long) rank),
					 errhint("Ranks are those of rank() or row_number(); NULL is the rank of what a list does not have.")));
		if (!nulls[i])
			sum += 1 / ((double) k + (double) rank);
	}
	PG_RETURN_FLOAT8(sum);
}
