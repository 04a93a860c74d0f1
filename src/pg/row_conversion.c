/*
 * row_conversion.c: JSON as SQL values.
 *
 * PostgreSQL's own functions do it, json_populate_record() and its kin, so domains, defaults and encodings are theirs. What an input
 * function refuses is trouble of the row: with pg_llm.on_error = null it is called in a subtransaction, and the row becomes NULL.
 */
#include "row_conversion.h"
#include "pg_llm.h"
#include "subtransaction.h"

#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "utils/lsyscache.h"

/* bytes of an answer that an error shows */
#define MAX_SHOWN 300

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

/* of a value that an input function refuses people want to know where it came from */
static void
answer_context(void *json)
{
	const char *bytes = VARDATA_ANY(json);
	int			len = (int) VARSIZE_ANY_EXHDR(json);
	int			shown = pg_mbcliplen(bytes, len, MAX_SHOWN);

	errcontext("answer of the model: %.*s%s", shown, bytes, shown < len ? "..." : "");
}

typedef struct Step
{
	PgLlmConversion *conversion;
	FunctionCallInfo caller;
	NullableDatum base;
	text	   *json;
	NullableDatum *result;
} Step;

static void
convert(void *arg)
{
	const Step *step = arg;
	PgLlmConversion *c = step->conversion;
	LOCAL_FCINFO(fcinfo, 3);
	ErrorContextCallback context = {.previous = error_context_stack, .callback = answer_context, .arg = step->json};
	int			n = 0;

	error_context_stack = &context;
	InitFunctionCallInfoData(*fcinfo, &c->flinfo, OidIsValid(c->base_type) ? 3 : 1, InvalidOid, NULL, step->caller->resultinfo);
	if (OidIsValid(c->base_type))
		fcinfo->args[n++] = step->base;
	fcinfo->args[n++] = (NullableDatum) {.value = PointerGetDatum(step->json)};
	if (OidIsValid(c->base_type))
		fcinfo->args[n] = (NullableDatum) {.value = BoolGetDatum(false)};
	step->result->value = FunctionCallInvoke(fcinfo);
	step->result->isnull = fcinfo->isnull;
	error_context_stack = context.previous;
}

/* not cancel, no memory and the like */
static bool
is_about_value(int sqlerrcode)
{
	int			category = ERRCODE_TO_CATEGORY(sqlerrcode);

	return category == ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION) || category == ERRCODE_TO_CATEGORY(ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_PROGRAM_LIMIT_EXCEEDED);
}

bool
pgllm_convert(PgLlmConversion *c, FunctionCallInfo caller, NullableDatum base, text *json, NullableDatum *result)
{
	Step		step = {c, caller, base, json, result};
	ErrorData  *error;
	LlmError	row;

	if (pgllm_on_error != PGLLM_ON_ERROR_NULL || !pgllm_may_try())
	{
		convert(&step);
		return true;
	}
	error = pgllm_try(convert, &step, true);
	if (error == NULL)
		return true;
	if (!is_about_value(error->sqlerrcode))
		ReThrowError(error);
	llm_fail(&row, LLM_E_ARGUMENT, "%s", pgllm_cstring_to_utf8(error->message).data);
	/* what was looked up may be half done */
	c->flinfo.fn_extra = NULL;
	return !pgllm_row_error(&row);
}
