/*
 * attempt.c: evaluating what may never be reached: an error of it must not end the statement.
 *
 * Evaluation happens in a subtransaction, and what raised is left to the expression itself, which raises again if it is really
 * reached. Where there can be no subtransactions (parallel mode before PostgreSQL 17), callers must not attempt what can fail,
 * or errors end the statement. Cancel and the like are raised at once.
 */
#include "batch_scan/batch_scan.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "nodes/nodeFuncs.h"
#include "utils/resowner.h"

static bool
simple_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (!IsA(node, Var) && !IsA(node, Const) && !IsA(node, Param) && !IsA(node, RelabelType) && !IsA(node, List))
		return true;
	return expression_tree_walker(node, simple_walker, context);
}

bool
pgllm_cannot_fail(Node *node)
{
	return !simple_walker(node, NULL);
}

bool
pgllm_may_attempt(void)
{
	return !PGLLM_NO_SUBTRANSACTIONS;
}

/* errors that are not about what was evaluated: cancel, timeouts, shutdown; conflicts that end the transaction */
static bool
must_raise(int sqlerrcode)
{
	return ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION) ||
		ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK);
}

bool
pgllm_attempt(void (*fn) (void *opaque), void *opaque, PgLlmAhead *mode)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	PgLlmAhead *outer = pgllm_ahead;
	bool		sub = pgllm_may_attempt();
	ErrorData  *volatile error = NULL;

	if (sub)
	{
		BeginInternalSubTransaction(NULL);
		MemoryContextSwitchTo(context);
	}
	PG_TRY();
	{
		pgllm_ahead = mode;
		fn(opaque);
		pgllm_ahead = outer;
		if (sub)
			ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		pgllm_ahead = outer;
		if (!sub)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error != NULL && must_raise(error->sqlerrcode))
		ReThrowError(error);
	if (error != NULL)
		FreeErrorData(error);
	return error == NULL;
}
