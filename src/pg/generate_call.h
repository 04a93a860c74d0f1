/*
 * generate_call.h: what the generating functions share: their arguments, their prompts, and the row of the detail form.
 */
#ifndef PGLLM_GENERATE_CALL_H
#define PGLLM_GENERATE_CALL_H

#include "llm_function.h"

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

/* the constant arguments, checked; in UTF-8 */
typedef struct PgLlmGenerateArgs
{
	PgLlmOptions options;
	bool		has_system;
	LlmStr		system;
	LlmStr		before;			/* in the user turn, before the row's text; data NULL: nothing */
} PgLlmGenerateArgs;

/* parse into the current memory context */
extern PgLlmGenerateArgs *pgllm_generate_parse(FunctionCallInfo fcinfo, const PgLlmGenerateArgno *argno);

extern void pgllm_check_max_tokens(const PgLlmOptions *options);
extern void pgllm_parse_temperature(float8 temperature, PgLlmOptions *options);

/*
 * Tokens of a prompt with [system] and a user turn: before, data, after, of which data may be cut. False if it does not fit: then
 * call->error says so.
 */
extern bool pgllm_generate_prompt(PgLlmCall *call, PgLlmGenerateArgs *args, LlmStr before, LlmStr data, LlmStr after,
								  LlmTokens *out);

/* where the model thinks after that prompt, and where its answer begins; in the call's memory */
extern void pgllm_generate_thinking(PgLlmCall *call, const LlmTokens *prompt, LlmGenerateParams *params);

/* begin a call; args must live as long as the call */
extern PgLlmCall *pgllm_generate_turn(PgLlmModel *model, PgLlmGenerateArgs *args, LlmStr prompt);	/* [system] and a user turn */
extern PgLlmCall *pgllm_generate_chat(PgLlmModel *model, PgLlmGenerateArgs *args, LlmStr messages, const LlmStr *tools);	/* JSON */
extern PgLlmCall *pgllm_generate_raw(PgLlmModel *model, PgLlmGenerateArgs *args, LlmStr prompt);	/* no template */
extern PgLlmCall *pgllm_generate_answer_to(PgLlmModel *model, PgLlmGenerateArgs *args, const LlmLabelQuestion *question, LlmStr input);

/* the parts of a generating function that all of them share (see llm_function.h); parsed is PgLlmGenerateArgs */
extern bool pgllm_generate_drawn(const void *parsed);
extern PgLlmAnswer *pgllm_generate_answer(PgLlmWork *work);
extern text *pgllm_generate_text(const PgLlmAnswer *answer);	/* of an answer without error */
extern Datum pgllm_generate_finish_text(FunctionCallInfo fcinfo, const PgLlmPrepared *prepared, const PgLlmAnswer *answer);
extern Datum pgllm_generate_finish_row(FunctionCallInfo fcinfo, const PgLlmPrepared *prepared, const PgLlmAnswer *answer);

/* fn_chat.c: the answer as a message in JSON, in the current context; NULL if it calls no tools */
extern text *pgllm_chat_message(PgLlmCall *call, const LlmGeneration *generation);

#endif
