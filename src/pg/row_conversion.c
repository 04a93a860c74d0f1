/*
 * row_conversion.c: JSON as SQL values.
 *
 * PostgreSQL's own functions do it, json_populate_record() and its kin, so domains, defaults and encodings are theirs. What an input
 * function refuses is trouble of the row: with pg_llm.on_error = null it is called in a subtransaction, and the row becomes NULL.
 */
#include "row_conversion.h"
#include "pg_llm.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "nodes/makefuncs.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

PgLlmConversion *
pgllm_conversion_create(Oid function, Oid base_type)
{
	PgLlmConversion *c = palloc0(sizeof(PgLlmConversion));

	c->base_type = base_type;
	fmgr_info_cxt(function, &c->flinfo, CurrentMemoryContext);
	if (OidIsValid(base_type))
	{
		Node	   *base = (Node *) makeNullConst(base_type, -1, InvalidOid);

		fmgr_info_set_expr((Node *) makeFuncExpr(function, base_type, list_make1(base), InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL),
						   &c->flinfo);
	}
	return c;
}

static void
convert(PgLlmConversion *c, FunctionCallInfo caller, NullableDatum base, text *json, NullableDatum *result)
{
	LOCAL_FCINFO(fcinfo, 3);
	int			n = 0;

	InitFunctionCallInfoData(*fcinfo, &c->flinfo, OidIsValid(c->base_type) ? 3 : 1, InvalidOid, NULL, caller->resultinfo);
	if (OidIsValid(c->base_type))
		fcinfo->args[n++] = base;
	fcinfo->args[n++] = (NullableDatum) {.value = PointerGetDatum(json)};
	if (OidIsValid(c->base_type))
		fcinfo->args[n] = (NullableDatum) {.value = BoolGetDatum(false)};
	result->value = FunctionCallInvoke(fcinfo);
	result->isnull = fcinfo->isnull;
}

/* errors that are not about the value */
static bool
is_about_value(int sqlerrcode)
{
	int			category = ERRCODE_TO_CATEGORY(sqlerrcode);

	return category == ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION) || category == ERRCODE_TO_CATEGORY(ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_PROGRAM_LIMIT_EXCEEDED);
}

/* in a subtransaction; the error if there was one */
static ErrorData *
try_convert(PgLlmConversion *c, FunctionCallInfo caller, NullableDatum base, text *json, NullableDatum *result)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		convert(c, caller, base, json, result);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

bool
pgllm_convert(PgLlmConversion *c, FunctionCallInfo caller, NullableDatum base, text *json, NullableDatum *result)
{
	ErrorData  *error;
	LlmError	row;

	if (pgllm_on_error != PGLLM_ON_ERROR_NULL || PGLLM_NO_SUBTRANSACTIONS)
	{
		convert(c, caller, base, json, result);
		return true;
	}
	error = try_convert(c, caller, base, json, result);
	if (error == NULL)
		return true;
	if (!is_about_value(error->sqlerrcode))
		ReThrowError(error);
	llm_fail(&row, LLM_E_ARGUMENT, "%s", pgllm_cstring_to_utf8(error->message).data);
	/* what was looked up may be half done */
	c->flinfo.fn_extra = NULL;
	return !pgllm_row_error(&row);
}
