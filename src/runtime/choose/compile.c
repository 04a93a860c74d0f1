/*
 * compile.c: budget and memory of a compilation.
 */
#include "choose/compile.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define POLL_WORK 262144			/* less than a millisecond */
#define STEP_WORK 32			/* small operations of a step */

LlmStatus
llm_compile_poll(LlmCompile *cx, uint64_t n)
{
	cx->unpolled += n;
	if (cx->unpolled < POLL_WORK)
		return LLM_OK;
	cx->unpolled = 0;
	return llm_should_stop(cx->stop) ? LLM_PAUSED : LLM_OK;
}

LlmStatus
llm_compile_steps(LlmCompile *cx, uint64_t n)
{
	LlmStatus	status;

	cx->steps += n;
	LLM_TRY(llm_compile_poll(cx, n * STEP_WORK));
	if (cx->steps <= LLM_GRAMMAR_MAX_STEPS)
		return LLM_OK;
	status = llm_fail(cx->err, LLM_E_LIMIT, "compiling the grammar takes more than %d steps", LLM_GRAMMAR_MAX_STEPS);
	llm_error_hint(cx->err, "Give a smaller schema or pattern, with lower bounds of repetition.");
	return status;
}

LlmStatus
llm_compile_states(LlmCompile *cx, size_t n_states)
{
	LlmStatus	status;

	if (n_states <= LLM_GRAMMAR_MAX_STATES)
		return LLM_OK;
	status = llm_fail(cx->err, LLM_E_LIMIT, "the grammar has more than %d states", LLM_GRAMMAR_MAX_STATES);
	llm_error_hint(cx->err, "Give a smaller schema or pattern, with lower bounds of repetition.");
	return status;
}

LlmStatus
llm_compile_alloc(LlmCompile *cx, size_t n, size_t size, void *out)
{
	void	   *p;

	LLM_TRY(llm_arena_alloc(cx->arena, n ? n : 1, size, &p, cx->err));
	memset(p, 0, (n ? n : 1) * size);
	memcpy(out, &p, sizeof(p));
	return LLM_OK;
}

LlmStatus
llm_vec_push(LlmCompile *cx, LlmVec *v, const void *item, size_t size)
{
	if (v->n == v->capacity)
	{
		size_t		capacity = v->capacity ? v->capacity * 2 : 8;
		void	   *p;

		LLM_TRY(llm_arena_alloc(cx->arena, capacity, size, &p, cx->err));
		if (v->n > 0)
			memcpy(p, v->data, v->n * size);
		v->data = p;
		v->capacity = capacity;
	}
	memcpy((char *) v->data + v->n * size, item, size);
	v->n++;
	return LLM_OK;
}

LlmStatus
llm_compile_limit(LlmCompile *cx, const char *format,...)
{
	char		message[200];
	va_list		args;
	LlmStatus	status;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	status = llm_fail(cx->err, LLM_E_LIMIT, "%s", message);
	llm_error_hint(cx->err, "Give a smaller schema, pattern or grammar.");
	return status;
}

LlmStatus
llm_compile_refuse(LlmCompile *cx, const char *what, const char *hint)
{
	LlmStatus	status = llm_fail(cx->err, LLM_E_UNSUPPORTED, "%s is not supported", what);

	llm_error_hint(cx->err, "%s", hint);
	return status;
}
