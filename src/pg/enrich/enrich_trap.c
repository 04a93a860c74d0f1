/*
 * enrich_trap.c: which errors are a row's own, and how they are caught.
 *
 * A row's own is what its data can cause: data exceptions, constraints, what a user's function raises, and what a model says
 * of a row (a prompt longer than the context, no finite numbers). Cancel, shutdown, no memory, disks, wrong names, missing
 * privileges and the like concern the whole call. While a row is written a policy or a trigger may refuse it, which is the row's trouble too;
 * and so is a conflict with other transactions, which the caller of the step may try again.
 */
#include "enrich/enrich.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

static bool
is_of_row(int code, bool writes)
{
	switch (ERRCODE_TO_CATEGORY(code))
	{
		case MAKE_SQLSTATE('2', '1', '0', '0', '0'):	/* cardinality violation */
		case MAKE_SQLSTATE('2', '2', '0', '0', '0'):	/* data exception */
		case MAKE_SQLSTATE('2', '3', '0', '0', '0'):	/* integrity constraint violation */
		case MAKE_SQLSTATE('2', '7', '0', '0', '0'):	/* triggered data change violation */
		case MAKE_SQLSTATE('0', '9', '0', '0', '0'):	/* triggered action exception */
		case MAKE_SQLSTATE('3', '8', '0', '0', '0'):	/* external routine exception */
		case MAKE_SQLSTATE('4', '4', '0', '0', '0'):	/* with check option violation */
		case MAKE_SQLSTATE('P', '0', '0', '0', '0'):	/* raised by PL/pgSQL */
			return true;
		case MAKE_SQLSTATE('4', '0', '0', '0', '0'):	/* transaction rollback */
			return writes;
		case MAKE_SQLSTATE('5', '3', '0', '0', '0'):	/* insufficient resources */
		case MAKE_SQLSTATE('5', '7', '0', '0', '0'):	/* operator intervention */
		case MAKE_SQLSTATE('5', '8', '0', '0', '0'):	/* system error */
			return false;
	}
	/* a policy of row security refuses what would be written */
	return pgllm_raised_for_row || (writes && code == ERRCODE_INSUFFICIENT_PRIVILEGE);
}

ErrorData *
pgllm_enrich_trap(void (*step) (void *arg), void *arg, bool writes)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	pgllm_raised_for_row = false;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		step(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		error = pgllm_end_failed_subtransaction(context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error != NULL && !is_of_row(error->sqlerrcode, writes))
		ReThrowError(error);
	return error;
}

ErrorData *
pgllm_enrich_error(int code, const char *message, const char *hint)
{
	ErrorData  *error = palloc0(sizeof(ErrorData));

	error->elevel = ERROR;
	error->sqlerrcode = code;
	error->message = pstrdup(message);
	error->hint = hint == NULL ? NULL : pstrdup(hint);
	error->assoc_context = CurrentMemoryContext;
	return error;
}
