/*
 * recurrent.h: what the recurrent layers of a model remember of a sequence: one block of floats of fixed size.
 *
 * A state that a sequence holds is never changed: a step writes a new one beside it, which takes its place when the step is
 * committed. So a step that pauses, starts over or is given up leaves no trace, and forks and stored prompts share states by
 * reference count. Freed states are kept for reuse. Used by one thread at a time; kernels fill a new state in parallel.
 */
#ifndef LLM_RECURRENT_H
#define LLM_RECURRENT_H

#include "base/arena.h"

typedef struct LlmRecurrentState
{
	struct LlmRecurrentState *next_free;
	uint32_t	n_refs;
	float	   *data;			/* n_floats of its pool */
} LlmRecurrentState;

typedef struct LlmRecurrentPool
{
	const LlmAllocator *allocator;
	size_t		n_floats;		/* of a state; 0: the model has no recurrent layers */
	size_t		n_states;		/* allocated, in use or free */
	size_t		n_used;
	LlmRecurrentState *free_states;
} LlmRecurrentPool;

extern void llm_recurrent_init(LlmRecurrentPool *pool, const LlmAllocator *a, size_t n_floats);

/* a state with one reference; its floats are not set */
extern LlmStatus llm_recurrent_get(LlmRecurrentPool *pool, LlmRecurrentState **out, LlmError *err);

/* one more reference; one less. state may be NULL. */
extern LlmRecurrentState *llm_recurrent_share(LlmRecurrentState *state);
extern void llm_recurrent_release(LlmRecurrentPool *pool, LlmRecurrentState *state);

/* give free states back to the allocator until at most keep are allocated */
extern void llm_recurrent_trim(LlmRecurrentPool *pool, size_t keep);

#endif
