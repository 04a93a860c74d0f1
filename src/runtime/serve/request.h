/*
 * request.h: the inside of requests, shared by the files of this folder.
 *
 * A request has a main lane (its prompt, for generation also the tokens made so far) and, for scores, branch lanes forked
 * from it. A lane is one sequence in the batch: tokens to be fed, and which of their logits are wanted. A step feeds some
 * tokens of some lanes; the results of a step are kept as pending and committed when the whole pass is done, so that a pass
 * that is given up leaves every request as it was, but for generated tokens that are known already.
 */
#ifndef LLM_REQUEST_H
#define LLM_REQUEST_H

#include "serve/constrain.h"
#include "serve/draft.h"
#include "model/forward.h"
#include "serve/scheduler.h"
#include "serve/think_part.h"
#include "state/prefix_cache.h"

typedef enum LlmRequestKind
{
	LLM_REQUEST_GENERATE,
	LLM_REQUEST_SCORE,
	LLM_REQUEST_LOGITS,
	LLM_REQUEST_EMBED,
	LLM_REQUEST_RANK
} LlmRequestKind;

typedef struct LlmLane
{
	LlmRequest *request;
	LlmKvSeq	seq;
	const int32_t *tokens;		/* all tokens of the lane after its first position; positions count from first_position */
	uint32_t	first_position;
	uint32_t	n_tokens;
	bool		all_logits;		/* of every token; else of the last only */
	int			branch;			/* branch lanes: which; main lane: -1 */
	bool		open;			/* branch lanes: holds a sequence */
	double		pending_logprob;	/* branch lanes: sum up to and with this step's tokens */
} LlmLane;

typedef struct LlmScoreBranch
{
	const int32_t *tokens;
	uint32_t	n_tokens;
	double		pending_first;	/* log-probability of its first token */
	double		logprob;		/* committed */
	bool		done;
} LlmScoreBranch;

struct LlmRequest
{
	LlmScheduler *scheduler;
	LlmRequest *next;
	LlmRequest *previous;
	LlmRequestKind kind;
	LlmFinish	finish;
	LlmError	error;
	bool		admitted;
	size_t		reserved_pages;
	LlmLane		main;
	int32_t    *tokens;			/* prompt, then output; capacity as the kind needs */
	uint32_t	n_prompt;
	uint32_t	n_cached;		/* positions taken from the prefix cache */
	bool		remembered;		/* its prompt was put into the prefix cache */

	/* generate */
	LlmGenerateParams params;
	LlmStr	   *stop;			/* copies */
	LlmLogitBias *bias;
	uint32_t	n_output;
	uint32_t	max_output;
	float	   *logprobs;		/* (max_output) */
	LlmTokenProb *top;			/* (max_output, top_logprobs) */
	double		logprob;
	LlmBuf		text;
	size_t		text_len;
	size_t		stable_len;
	LlmConstraint *constraint;	/* NULL: none */
	LlmThinkPart think;
	LlmDraft	draft;
	LlmFinish	ending;			/* to be ended when the step is committed; NONE: it goes on */

	/* score */
	LlmScoreBranch *branches;
	int			n_branches;
	double	   *scores;
	LlmLane    *lanes;			/* (n_lanes) branch lanes open at once */
	int			n_lanes;
	int			next_branch;	/* the next without a lane */
	bool		prompt_done;

	/* logits */
	float	   *logits;

	/* embed, rank */
	uint32_t	n_query;		/* leading tokens of type 0; 0: all are */
	float	   *pooled;			/* (n_embd), committed */
	float	   *pending;		/* (n_embd), with this step's tokens */
	float	   *vectors;		/* (n_vectors, llm_pool_head_size): the result */
	size_t		n_vectors;
};

/* rows of the batch whose logits or vectors are wanted; arrays of batch_rows */
typedef struct LlmWanted
{
	int			n;
	int32_t    *row;
	int32_t    *segment;
	int32_t    *index;			/* token within its lane */
} LlmWanted;

struct LlmScheduler
{
	const LlmModel *model;
	LlmPool    *pool;
	const LlmAllocator *allocator;
	LlmSchedulerOptions options;
	LlmKvPool	kv;
	LlmPrefixCache prefixes;
	LlmPass    *pass;			/* NULL: to be made, for batch_rows */
	size_t		pass_bytes;
	int			batch_rows;		/* tokens of a step at most: batch_tokens, or as many as the longest sequence that must be in one */
	void	   *sample_scratch;
	LlmMaskers *maskers;		/* NULL until a request has a grammar */
	LlmDrafter *drafters;		/* draft models in use */
	bool		drafting;		/* guesses for the next batch are being made */
	size_t		reserved_pages; /* by admitted requests */
	LlmRequest *first;			/* in order of arrival */
	LlmRequest *last;
	LlmSchedulerStats stats;

	/* the batch being computed */
	bool		running;
	int			n_segments;
	LlmSegment *segments;		/* (max_sequences) */
	LlmLane   **segment_lane;
	LlmWanted	logits;
	LlmWanted	vectors;
	void	   *wanted_block;	/* the memory of both */
	void	   *head_scratch;
};

/* a request of its kind, linked; one whose prompt is too long has already ended. n_more: room for tokens after the prompt. */
extern LlmStatus llm_request_make(LlmScheduler *s, LlmRequestKind kind, const int32_t *prompt, size_t n_prompt, size_t n_more,
								  LlmRequest **out, LlmError *err);

/* the running pass is given up: nothing of it is committed */
extern void llm_scheduler_give_up(LlmScheduler *s);

/* a request's own trouble: it ends, the others go on */
extern void llm_request_end(LlmRequest *r, LlmFinish finish);
extern void llm_request_end_error(LlmRequest *r, const LlmError *err);
extern void llm_request_end_not_finite(LlmRequest *r);

/*
 * generation.c: the logits of the token at a position. Tokens are appended at once; if the pass is given up later, the next
 * one feeds them again. Only the end of a request waits for the commit, as it gives its pages back.
 */
extern void llm_generation_take(LlmRequest *r, uint32_t position, float *logits);
extern void llm_generation_commit(LlmRequest *r);

/* pooling.c: embeddings and ranks. Which of a sequence's vectors are wanted, and whether its beginning may be left out. */
extern bool llm_pooling_wants(const LlmRequest *r, uint32_t position);
extern bool llm_pooling_needs_all(const LlmRequest *r);
extern LlmStatus llm_pooling_take(LlmRequest *r, uint32_t position, bool first_of_step, const float *vector);
extern void llm_pooling_commit(LlmRequest *r);

static inline bool
llm_request_makes_vectors(const LlmRequest *r)
{
	return r->kind == LLM_REQUEST_EMBED || r->kind == LLM_REQUEST_RANK;
}

/* score.c */
extern void llm_score_take(LlmRequest *r, LlmLane *lane, uint32_t position_in_lane, const float *logits);
extern void llm_score_commit(LlmRequest *r, LlmLane *lane);
extern LlmStatus llm_score_open_lanes(LlmRequest *r, LlmError *err);

#endif
