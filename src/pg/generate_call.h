/*
 * generate_call.h: what the generating functions share: their arguments, their prompts, and the row of the detail form.
 */
#ifndef PGLLM_GENERATE_CALL_H
#define PGLLM_GENERATE_CALL_H

#include "llm_call.h"

/* where a function has its arguments; -1: it has none */
typedef struct PgLlmGenerateArgno
{
	int			model;
	int			system;
	int			max_tokens;
	int			temperature;
	int			seed;
	int			stop;
	int			schema;
	int			options;
	int			allowed;		/* PGLLM_OPT_… */
} PgLlmGenerateArgno;

/* bits of the constant arguments, for pgllm_site */
#define PGLLM_GENERATE_SITE(a) \
	(((a)->system < 0 ? 0u : 1u << (a)->system) | 1u << (a)->max_tokens | 1u << (a)->temperature | 1u << (a)->seed | \
	 1u << (a)->stop | 1u << (a)->schema | 1u << (a)->options)

/* the constant arguments, checked; in UTF-8 */
typedef struct PgLlmGenerateArgs
{
	PgLlmOptions options;
	bool		has_system;
	LlmStr		system;
} PgLlmGenerateArgs;

/* parse into the current memory context */
extern PgLlmGenerateArgs *pgllm_generate_parse(FunctionCallInfo fcinfo, const PgLlmGenerateArgno *argno);

/* the same, remembered by the call site */
extern PgLlmGenerateArgs *pgllm_generate_args(FunctionCallInfo fcinfo, const PgLlmGenerateArgno *argno);

/* begin a call; args must live as long as the call */
extern PgLlmCall *pgllm_generate_turn(PgLlmModel *model, const PgLlmGenerateArgs *args, LlmStr prompt);	/* [system] and a user turn */
extern PgLlmCall *pgllm_generate_chat(PgLlmModel *model, const PgLlmGenerateArgs *args, LlmStr messages, const LlmStr *tools);	/* JSON */
extern PgLlmCall *pgllm_generate_raw(PgLlmModel *model, const PgLlmGenerateArgs *args, LlmStr prompt);	/* no template */

/* wait for a call; its text, or NULL if it failed */
extern text *pgllm_generate_wait(PgLlmCall *call);

/* wait for a call; its row llm_completion, which holds the error of a call that failed */
extern Datum pgllm_generate_row(FunctionCallInfo fcinfo, PgLlmCall *call);

/* fn_chat.c: the answer as a message in JSON, in the current context; NULL if it calls no tools */
extern text *pgllm_chat_message(PgLlmCall *call, const LlmGeneration *generation);

#endif
