/*
 * attempt.c: evaluating what may never be reached: an error of it must not end the statement.
 *
 * Evaluation happens in a subtransaction, and what raised is left to the expression itself, which raises again if it is really
 * reached. Where there can be no subtransactions (parallel mode before PostgreSQL 17), callers must not attempt what can fail,
 * or errors end the statement. Cancel and the like are raised at once.
 */
#include "batch_scan/batch_scan.h"
#include "subtransaction.h"

#include "nodes/nodeFuncs.h"

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
	PgLlmAhead *outer = pgllm_ahead;
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		pgllm_ahead = mode;
		if (pgllm_may_try())
			error = pgllm_try(fn, opaque, true);
		else
			fn(opaque);
	}
	PG_FINALLY();
	{
		pgllm_ahead = outer;
	}
	PG_END_TRY();
	if (error == NULL)
		return true;
	if (must_raise(error->sqlerrcode))
		ReThrowError(error);
	FreeErrorData(error);
	return false;
}
