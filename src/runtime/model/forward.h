/*
 * forward.h: the forward pass over a ragged batch.
 *
 * A batch is a list of segments: consecutive new tokens of one sequence. Matrix products run over the rows of all segments
 * together, attention runs per segment. Logits are made only for the rows asked for, a few rows at a time, and handed to
 * the caller's take function in order; so are the vectors of rows (the last layer's, normalised), from which embeddings are
 * made. In a model that sees both directions a segment is a whole sequence.
 *
 * A pass is resumable: it is a sequence of small operations, each of which can be run again from its start. LLM_PAUSED
 * leaves it at an operation; calling llm_pass_run again goes on. Nothing outside the pass changes before the end but the
 * cache slots of the new positions (n_past is moved by the caller). Memory is taken once, for the largest batch.
 */
#ifndef LLM_FORWARD_H
#define LLM_FORWARD_H

#include "base/threads.h"
#include "model/model.h"
#include "state/kv_pages.h"

typedef struct LlmSegment
{
	LlmKvSeq   *seq;			/* reserved for n_tokens more positions */
	const int32_t *tokens;		/* borrowed until the pass ends */
	uint32_t	n_tokens;
	uint32_t	second_from;	/* positions from here on have token type 1; 0: none */
} LlmSegment;

/*
 * Row numbers (ascending; row = tokens of the segments before + index) whose results are wanted, and what takes them: output i
 * (logits n_vocab, or a vector n_embd), changeable; called on the main thread, in order.
 */
typedef struct LlmPassOutputs
{
	const int32_t *rows;
	int			n;
	LlmStatus	(*take) (void *ctx, int output, float *values, LlmError *err);
	void	   *ctx;
} LlmPassOutputs;

typedef struct LlmPass LlmPass;

/* max_rows: tokens of a batch at most */
extern LlmStatus llm_pass_create(const LlmModel *model, LlmPool *pool, LlmKvPool *kv, int max_rows, const LlmAllocator *a,
								 LlmPass **out, LlmError *err);
extern void llm_pass_free(LlmPass *pass);

/* bytes that llm_pass_create takes */
extern size_t llm_pass_bytes(const LlmModel *model, int max_rows, int n_threads);

/*
 * Start a batch. Logits or vectors with n 0 are not made; a model without logits must not be asked for them. Segments and rows
 * are borrowed until the pass ends. Errors: LLM_E_ARGUMENT for a token outside the vocabulary.
 */
extern LlmStatus llm_pass_begin(LlmPass *pass, const LlmSegment *segments, int n_segments, const LlmPassOutputs *logits,
								const LlmPassOutputs *vectors, LlmError *err);

/* run to the end, or to a pause */
extern LlmStatus llm_pass_run(LlmPass *pass, const LlmStop *stop, LlmError *err);

#endif
