/*
 * chat_template.c: compiling a template and rendering it; the interpreter is in jinja_*.c (idea: jinja.h).
 *
 * A rendering works in memory of its own and hands out nothing but the finished text, so a paused or failed rendering leaves
 * the caller's arena as it was, and calling again starts over.
 */
#include "text/jinja/jinja.h"

#include <string.h>

LlmStatus
llm_template_compile(const char *source, size_t len, const LlmAllocator *a, LlmTemplate **out, LlmError *err)
{
	LlmTemplate *t;
	void	   *ptr;
	LlmStatus	status;

	if (len > LLM_JINJA_MAX_SOURCE)
	{
		llm_fail(err, LLM_E_LIMIT, "chat template is too long");
		llm_error_detail(err, "It has %zu bytes; the limit is %zu.", len, LLM_JINJA_MAX_SOURCE);
		return LLM_E_LIMIT;
	}
	LLM_TRY(llm_alloc_zero(a, 1, sizeof(LlmTemplate), &ptr, err));
	t = ptr;
	t->allocator = *a;
	llm_arena_init(&t->arena, &t->allocator, LLM_JINJA_MAX_TREE);
	status = llm_jinja_parse(t, source, len, err);
	if (status != LLM_OK)
		llm_template_free(t);
	else
		*out = t;
	return status;
}

void
llm_template_free(LlmTemplate *t)
{
	LlmAllocator a;

	if (!t)
		return;
	a = t->allocator;
	llm_arena_free(&t->arena);
	llm_free(&a, t);
}

/* the finished text, copied to the caller's arena */
static LlmStatus
hand_out(const Jinja *j, LlmArena *arena, LlmText *out, LlmError *err)
{
	LlmText		text = {"", NULL, j->out.len};
	void	   *copy;

	if (text.len)
	{
		LLM_TRY(llm_arena_alloc(arena, text.len, 1, &copy, err));
		text.bytes = memcpy(copy, j->out.data, text.len);
		if (memchr(j->origin.data, 1, text.len))
		{
			LLM_TRY(llm_arena_alloc(arena, text.len, 1, &copy, err));
			text.from_data = memcpy(copy, j->origin.data, text.len);
		}
	}
	*out = text;
	return LLM_OK;
}

LlmStatus
llm_template_render(const LlmTemplate *t, const LlmValue *variables, int64_t now, LlmArena *arena, const LlmStop *stop,
					LlmText *out, LlmError *err)
{
	Jinja		j;
	void	   *ptr;
	LlmStatus	status;

	memset(&j, 0, sizeof(j));
	j.t = t;
	j.variables = variables;
	j.now = now;
	j.stop = stop;
	j.err = err;
	j.line = 1;
	llm_arena_init(&j.arena, arena->allocator, LLM_JINJA_MAX_MEMORY);
	llm_buf_init(&j.out, arena->allocator);
	llm_buf_init(&j.origin, arena->allocator);
	/* so that the end of the output is a place also while it is empty */
	status = llm_buf_reserve(&j.out, 1, err);
	if (status == LLM_OK)
		status = llm_buf_reserve(&j.origin, 1, err);
	if (status == LLM_OK)
		status = llm_arena_alloc(&j.arena, t->n_names, sizeof(LlmValue *), &ptr, err);
	if (status == LLM_OK)
	{
		j.context = memset(ptr, 0, t->n_names * sizeof(LlmValue *));
		status = llm_jinja_run(&j);
	}
	if (status == LLM_OK)
		status = hand_out(&j, arena, out, err);
	llm_buf_free(&j.out);
	llm_buf_free(&j.origin);
	llm_arena_free(&j.arena);
	return status;
}
