/*
 * subtransaction.h: a step whose error does not end the statement.
 */
#ifndef PGLLM_SUBTRANSACTION_H
#define PGLLM_SUBTRANSACTION_H

#include "postgres.h"

/*
 * Run a step in a subtransaction: NULL if it raised nothing, else its error, in the current memory context, and nothing of the
 * step is left. keep false: nothing is left in any case. The caller looks whether the error is one that may be caught.
 */
extern ErrorData *pgllm_try(void (*step) (void *arg), void *arg, bool keep);

#endif
