/*
 * chat_template.h: a model's own chat template (Jinja), compiled once and rendered for each row.
 *
 * Rendering follows jinja2 as Hugging Face sets it up: trim_blocks, lstrip_blocks, loop controls, sandboxed, with
 * raise_exception, strftime_now, namespace, range, dict, joiner and tojson without HTML escapes. Steps and memory of a
 * rendering are limited, as a template comes from an untrusted file.
 */
#ifndef LLM_CHAT_TEMPLATE_H
#define LLM_CHAT_TEMPLATE_H

#include "text/value.h"

typedef struct LlmTemplate LlmTemplate;

/* Errors: LLM_E_FORMAT with line and what was expected; LLM_E_UNSUPPORTED naming a construct that is not known */
extern LlmStatus llm_template_compile(const char *source, size_t len, const LlmAllocator *a, LlmTemplate **out, LlmError *err);
extern void llm_template_free(LlmTemplate *t);

/*
 * variables: a map (messages, add_generation_prompt, tools, bos_token, …). now: seconds since 1970 that strftime_now sees
 * (local time zone of the process). The result lives in the arena. Errors: LLM_E_ARGUMENT for raise_exception and for a
 * failing expression, with line; LLM_E_LIMIT for steps, depth, memory and text (limits in jinja.h); LLM_E_UNSUPPORTED;
 * LLM_PAUSED (the arena is as before; calling again starts over).
 */
extern LlmStatus llm_template_render(const LlmTemplate *t, const LlmValue *variables, int64_t now, LlmArena *arena,
									 const LlmStop *stop, LlmText *out, LlmError *err);

#endif
