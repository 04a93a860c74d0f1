/*
 * scheduler.h: many sequences at once over one model. A single call is a batch of one; there is no other loop.
 *
 * Requests are added, then llm_scheduler_run works until all are done: each step admits waiting requests while tokens and
 * memory allow, gathers prompt chunks and one next token per decoding request into a ragged batch, runs the forward pass,
 * and lets each request take its logits. Results do not depend on what else is in the batch. A request's error (prompt
 * too long, no finite logit) stays with the request; the scheduler fails only for what concerns all (out of memory).
 */
#ifndef LLM_SCHEDULER_H
#define LLM_SCHEDULER_H

#include "model/model.h"
#include "choose/grammar.h"
#include "choose/sampler.h"
#include "base/threads.h"

typedef struct LlmScheduler LlmScheduler;
typedef struct LlmRequest LlmRequest;

typedef struct LlmSchedulerOptions
{
	int			batch_tokens;	/* tokens of a step at most; 0: 512 */
	int			max_sequences;	/* sequences at once at most; 0: 64 */
	size_t		memory_limit_bytes; /* cache pages and activations together; 0: none */
	size_t		prefix_cache_bytes; /* pages of recent prompts kept for prompts that begin alike; 0: none */
} LlmSchedulerOptions;

/* model and pool must outlive the scheduler */
extern LlmStatus llm_scheduler_create(const LlmModel *model, LlmPool *pool, const LlmSchedulerOptions *options,
									  const LlmAllocator *a, LlmScheduler **out, LlmError *err);
extern void llm_scheduler_free(LlmScheduler *s);	/* frees its requests too */

/* one step; *more false when every request is done. LLM_PAUSED: call again. */
extern LlmStatus llm_scheduler_step(LlmScheduler *s, const LlmStop *stop, bool *more, LlmError *err);

/* steps until all requests are done. LLM_PAUSED: call again. */
extern LlmStatus llm_scheduler_run(LlmScheduler *s, const LlmStop *stop, LlmError *err);

typedef struct LlmSchedulerStats
{
	uint64_t	prompt_tokens;	/* computed */
	uint64_t	cached_tokens;	/* found in the cache */
	uint64_t	output_tokens;
	uint64_t	drafted_tokens; /* guesses of next tokens, and those that were right */
	uint64_t	accepted_tokens;
	uint64_t	steps;
	size_t		memory_bytes;	/* now */
} LlmSchedulerStats;

extern void llm_scheduler_stats(const LlmScheduler *s, LlmSchedulerStats *stats);

/* ---- requests: tokens are copied; a request belongs to the scheduler until freed ---- */

typedef enum LlmFinish
{
	LLM_FINISH_NONE = 0,		/* not done */
	LLM_FINISH_STOP,			/* end token or stop string */
	LLM_FINISH_LENGTH,			/* max_tokens or context */
	LLM_FINISH_ERROR			/* see llm_request_error */
} LlmFinish;

/* guessing next tokens, so that a pass may give more than one; the answer is the same (serve/draft.h) */
typedef enum LlmDraftKind
{
	LLM_DRAFT_OFF = 0,
	LLM_DRAFT_PROMPT,			/* what followed where the text, most often the prompt, had the same words */
	LLM_DRAFT_MODEL				/* by draft_model */
} LlmDraftKind;

/* guesses at once at most */
#define LLM_DRAFT_MAX 64

/* generate: sample up to max_tokens after a prompt (at least one token) */
typedef struct LlmGenerateParams
{
	LlmSampling sampling;		/* its bias list is copied */
	int			max_tokens;		/* at least 1 */
	const LlmStr *stop;			/* strings (not empty) that end the text and are not part of it; copied */
	int			n_stop;
	bool		ignore_end;		/* go on past end tokens */
	bool		starts_text;	/* the output is a text of its own: a SentencePiece space before its first word is dropped */
	int			top_logprobs;	/* 0..20: also keep the n most likely tokens at each step */
	const LlmGrammar *grammar;	/* what the text must fit, NULL: anything; must outlive the request. It ends within max_tokens. */
	bool		thinks;			/* with n_after: the text begins inside a thinking part, where a grammar does not count */
	int32_t		think_token;	/* with n_after: a token that may begin one, -1: none */
	const int32_t *after;		/* tokens that end a thinking part; copied */
	int			n_after;		/* 0: there is none */
	const int32_t *between;		/* with channels: tokens that end a message and begin the next one's head; copied */
	int			n_between;		/* 0: the part lies between tags; else at least 2, the end and the beginning first */
	bool		limits_thinking;
	uint32_t	think_budget;	/* tokens after which the thinking part is ended, if limits_thinking */
	LlmDraftKind draft;
	int			draft_tokens;	/* 1..LLM_DRAFT_MAX guesses at once at most; 0: 16 */
	const LlmModel *draft_model;	/* with the same vocabulary; must outlive the scheduler */
} LlmGenerateParams;

typedef struct LlmTokenProb
{
	int32_t		id;
	float		logprob;
} LlmTokenProb;

typedef struct LlmGeneration
{
	const int32_t *tokens;		/* without the end token */
	size_t		n_tokens;
	const char *text;			/* bytes of the tokens, cut before a stop string; may not be valid UTF-8 */
	size_t		text_len;
	size_t		answer_off;		/* where the answer begins, after a thinking part: at the end while there is no answer yet */
	size_t		stable_len;		/* prefix of text that no later token can change: what a stream may show */
	LlmFinish	finish;
	double		logprob;		/* sum over the tokens, the end token included */
	const float *token_logprobs;	/* n_tokens */
	const LlmTokenProb *top;	/* (n_tokens, top_logprobs) */
} LlmGeneration;

extern LlmStatus llm_request_generate(LlmScheduler *s, const int32_t *prompt, size_t n_prompt,
									  const LlmGenerateParams *params, LlmRequest **out, LlmError *err);

/* score: log P(branch tokens | prompt) for each branch, as if each were scored alone; a branch has at least one token */
typedef struct LlmBranch
{
	const int32_t *tokens;
	size_t		n_tokens;
} LlmBranch;

extern LlmStatus llm_request_score(LlmScheduler *s, const int32_t *prompt, size_t n_prompt,
								   const LlmBranch *branches, int n_branches, LlmRequest **out, LlmError *err);

/* logits of the last position (n_vocab) */
extern LlmStatus llm_request_logits(LlmScheduler *s, const int32_t *prompt, size_t n_prompt, LlmRequest **out, LlmError *err);

/* results are borrowed until the request is freed */
extern LlmFinish llm_request_finish(const LlmRequest *r);	/* LLM_FINISH_NONE until done */
extern const LlmError *llm_request_error(const LlmRequest *r);
extern void llm_request_generation(const LlmRequest *r, LlmGeneration *out);	/* also while it is running */
extern const double *llm_request_scores(const LlmRequest *r);	/* n_branches */
extern const float *llm_request_logits_result(const LlmRequest *r);
extern uint32_t llm_request_cached_tokens(const LlmRequest *r);
extern void llm_request_drafts(const LlmRequest *r, uint64_t *n_drafted, uint64_t *n_accepted);
extern void llm_request_free(LlmRequest *r);	/* also ends it early */

#endif
