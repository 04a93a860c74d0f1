/*
 * request.h: the inside of requests, shared by the files of this folder.
 *
 * A request has a main lane (its prompt, for generation also the tokens made so far) and, for scores, branch lanes forked
 * from it. A lane is one sequence in the batch: tokens to be fed, and which of their logits are wanted. A step feeds some
 * tokens of some lanes; the results of a step are kept as pending and committed when the whole pass is done, so that a pass
 * that is given up leaves every request as it was.
 */
#ifndef LLM_REQUEST_H
#define LLM_REQUEST_H

#include "model/forward.h"
#include "serve/scheduler.h"
#include "state/prefix_cache.h"

typedef enum LlmRequestKind
{
	LLM_REQUEST_GENERATE,
	LLM_REQUEST_SCORE,
	LLM_REQUEST_LOGITS
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
	int32_t		pending_token;
	double		pending_logprob;

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
};

struct LlmScheduler
{
	const LlmModel *model;
	LlmPool    *pool;
	const LlmAllocator *allocator;
	LlmSchedulerOptions options;
	LlmKvPool	kv;
	LlmPrefixCache prefixes;
	LlmPass    *pass;
	size_t		pass_bytes;
	void	   *sample_scratch;
	size_t		reserved_pages; /* by admitted requests */
	LlmRequest *first;			/* in order of arrival */
	LlmRequest *last;
	LlmSchedulerStats stats;

	/* the batch being computed */
	bool		running;
	int			n_segments;
	int			n_outputs;
	LlmSegment *segments;		/* (max_sequences) */
	LlmLane   **segment_lane;
	int32_t    *outputs;		/* (batch_tokens) rows */
	int32_t    *output_segment;
	int32_t    *output_index;	/* token within its segment */
};

/* a request's own trouble: it ends, the others go on */
extern void llm_request_end(LlmRequest *r, LlmFinish finish);
extern void llm_request_end_error(LlmRequest *r, const LlmError *err);
extern void llm_request_end_not_finite(LlmRequest *r);

/* generation.c */
extern void llm_generation_take(LlmRequest *r, float *logits);
extern void llm_generation_commit(LlmRequest *r);

/* score.c */
extern void llm_score_take(LlmRequest *r, LlmLane *lane, uint32_t position_in_lane, const float *logits);
extern void llm_score_commit(LlmRequest *r, LlmLane *lane);
extern LlmStatus llm_score_open_lanes(LlmRequest *r, LlmError *err);

#endif
