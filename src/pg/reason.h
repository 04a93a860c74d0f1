/*
 * reason.h: reasoning to an answer: samples of one prompt, their votes, and the trail that says how it came about.
 *
 * A run draws samples in waves: first as many as can decide the vote, then as many more as still can, so what is drawn depends
 * on the samples alone. Sample i is drawn with seed + i. The trail holds all that is needed to run it again.
 */
#ifndef PGLLM_REASON_H
#define PGLLM_REASON_H

#include "generate_call.h"

#define PGLLM_REASON_MAX_SAMPLES 64
#define PGLLM_REASON_TRAIL_VERSION 1

/* constant arguments of a call, or those of a trail */
typedef struct PgLlmReasonArgs
{
	PgLlmGenerateArgs generate;
	int			samples;
	bool		has_budget;
	uint32_t	think_budget;
	Jsonb	   *given;			/* options as they were given; NULL: none */
} PgLlmReasonArgs;

/* ---- fn_reason.c ---- */

/* how many samples to draw; raises unless that is allowed */
extern void pgllm_reason_samples(int samples, PgLlmReasonArgs *args);

/* the temperature of samples, unless one is given: several must differ */
#define PGLLM_REASON_TEMPERATURE 0.7f

/* the instruction that follows a question; in the current memory context */
extern LlmStr pgllm_reason_instruction(const PgLlmOptions *options);

/* the seed that was given, or a new one if samples are drawn */
extern uint64 pgllm_reason_seed(const PgLlmReasonArgs *args);

/* texts that an answer was made of (llm_reason_agg) */
typedef struct PgLlmReasonTexts
{
	int64		rows;
	int64		parts;			/* partial answers that were made of them, and are in the prompt in their place */
	const uint8 *digest;		/* (32) */
} PgLlmReasonTexts;

/* the row llm_answer that a function returns; texts NULL: there are none */
extern Datum pgllm_reason_row(FunctionCallInfo fcinfo, const PgLlmModel *model, const PgLlmAnswer *answer, const PgLlmReasonTexts *texts);

/* ---- reason_run.c ---- */

/*
 * Begin the first wave for a prompt; call is the first sample's, whose error says why there is no prompt, if so. The prompt's
 * tokens and args must live as long as the work.
 */
extern void pgllm_reason_begin(PgLlmWork *work, PgLlmCall *call, PgLlmReasonArgs *args, const LlmTokens *prompt, uint64 seed);

/* all calls are done: begin those of the next wave; false if there is none */
extern bool pgllm_reason_more(PgLlmWork *work);
extern int	pgllm_reason_most_calls(const PgLlmWork *work);

/* the answer of a run that is done: PgLlmReasonAnswer */
extern PgLlmAnswer *pgllm_reason_answer(PgLlmWork *work);

typedef struct PgLlmReasonAnswer
{
	int32		votes;
	int32		samples;
	int32		answer_bytes;	/* -1: none */
	Size		answer_off;		/* of its bytes, from here */
	/* the trail but for model and seal: a jsonb, aligned */
} PgLlmReasonAnswer;

#define PGLLM_REASON_BODY(answer) ((Jsonb *) ((char *) (answer) + MAXALIGN(sizeof(PgLlmReasonAnswer))))

/* ---- reason_trail.c ---- */

/* what a run is to say of itself */
typedef struct PgLlmReasonRun
{
	const PgLlmReasonArgs *args;
	const PgLlmModel *model;
	const LlmTokens *prompt;
	uint64		seed;
	int			n_samples;
	const LlmGeneration *samples;
	const LlmBuf *answers;		/* (n_samples) */
	const LlmBuf *keys;			/* (n_samples) */
	int			winner;			/* -1: none */
	int			votes;
} PgLlmReasonRun;

/* the trail but for model and seal; NULL with *err filled if the server's encoding lacks a character */
extern Jsonb *pgllm_trail_body(const PgLlmReasonRun *run, LlmError *err);

/* the body with one more key, whose value is JSON */
extern Jsonb *pgllm_trail_with(Jsonb *body, const char *key, const char *value);

/* with the model, which the trail calls `name`, and the seal: SHA-256 of everything else as text */
extern Jsonb *pgllm_trail_whole(Jsonb *body, const PgLlmModel *model, const char *name);

/* hexadecimal digits */
extern char *pgllm_trail_hex(const uint8 *bytes, int n);

/* the seal that a trail should have, in hexadecimal digits */
extern char *pgllm_trail_seal(Jsonb *trail);

/* ---- reading a trail, which may hold anything (trail_read.c) ---- */

/* raise: this is no trail */
pg_noreturn extern void pgllm_bad_trail(const char *what);

/* NULL: there is none */
extern JsonbValue *pgllm_trail_field(JsonbContainer *object, const char *key);
extern JsonbContainer *pgllm_trail_object(JsonbContainer *object, const char *key);
extern JsonbContainer *pgllm_trail_array(JsonbContainer *object, const char *key);

/* these raise if there is none */
extern char *pgllm_trail_string(JsonbContainer *object, const char *key);

/* what a trail says of the texts that its answer was made of, for people; NULL: nothing */
extern char *pgllm_trail_texts(Jsonb *trail);

/* a value as text; "nothing" for NULL */
extern char *pgllm_trail_text_of(JsonbValue *v);

/* arguments and seed of the run; in the current memory context */
extern PgLlmReasonArgs *pgllm_trail_args(Jsonb *trail, uint64 *seed);

#endif
