/*
 * pass.h: the inside of a forward pass, shared by the files of this folder: what a batch is, where its activations lie,
 * and the two operations with a file of their own (matrix products, attention).
 *
 * Row means token of the batch. All activations are row-major (n_rows, width).
 */
#ifndef LLM_PASS_H
#define LLM_PASS_H

#include "model/forward.h"

/* queries that one attention tile handles: tokens times the heads that share a key/value head */
#define LLM_TILE_QUERIES 64

/* rows whose logits are made at a time */
#define LLM_LOGIT_ROWS 16

/* consecutive tokens of one segment whose queries are handled together */
typedef struct LlmTile
{
	int			segment;
	uint32_t	row;			/* first row in the batch */
	uint32_t	position;		/* absolute position of that row in its sequence */
	uint32_t	n_tokens;
} LlmTile;

/* scratch of one thread in attention */
typedef struct LlmTileScratch
{
	const float *q[LLM_TILE_QUERIES];
	float	   *acc[LLM_TILE_QUERIES];
	float	   *span_acc[LLM_TILE_QUERIES];
	float		max[LLM_TILE_QUERIES];
	float		sum[LLM_TILE_QUERIES];
	float		span_max[LLM_TILE_QUERIES];
	float		span_sum[LLM_TILE_QUERIES];
	int			key_begin[LLM_TILE_QUERIES];
	int			key_end[LLM_TILE_QUERIES];
	float	   *span_data;		/* (LLM_TILE_QUERIES, head_dim_v) */
} LlmTileScratch;

struct LlmPass
{
	const LlmModel *model;
	LlmPool    *pool;
	LlmKvPool  *kv;
	const LlmAllocator *allocator;
	int			max_rows;

	/* the batch */
	const LlmSegment *segments;
	int			n_segments;
	int			n_rows;
	const int32_t *outputs;
	int			n_outputs;
	LlmTakeLogits take;
	void	   *take_ctx;
	int32_t    *row_token;		/* (max_rows) */
	int32_t    *row_segment;
	uint32_t   *row_position;
	LlmTile    *tiles;			/* (max_rows) at most */
	int			n_tiles;
	uint32_t	tile_heads;		/* heads of a tile, and tiles over the heads that share a key/value head */
	uint32_t	tile_head_groups;

	/* progress */
	bool		embedded;
	uint32_t	layer;
	uint32_t	op;
	int			n_taken;		/* outputs handed over */

	/* activations */
	float	   *x;				/* (max_rows, n_embd): the residual stream */
	float	   *norm;			/* (max_rows, n_embd): normalised input of a block */
	float	   *q;				/* (max_rows, n_head * head_dim_k) */
	float	   *k;				/* (max_rows, n_head_kv * head_dim_k) */
	float	   *v;				/* (max_rows, n_head_kv * head_dim_v) */
	float	   *attn;			/* (max_rows, n_head * head_dim_v) */
	float	   *gate;			/* (max_rows, n_ff) */
	float	   *up;				/* (max_rows, n_ff) */
	float	   *block_out;		/* (max_rows, n_embd): output of a block, before it is added to x */
	float	   *cosine;			/* (max_rows, n_rot / 2) */
	float	   *sine;
	float	   *logits;			/* (LLM_LOGIT_ROWS, n_vocab) */
	LlmkTerm	terms[2];		/* quantized rows of the widest input */
	LlmTileScratch *scratch;	/* one for each thread */
	void	   *block;			/* the memory of all of the above */
};

/*
 * linear.c: out[i] = lin[i] x + bias for n (at most 3) products that share their input rows, in one run over the pool.
 * out[i] is (n_rows of acts, lin[i]->w.n_rows).
 */
extern LlmStatus llm_linear_run(const LlmPass *pass, const LlmLinear *const *lin, float *const *out, int n,
								const LlmkActs *acts, const LlmStop *stop);

/* input rows (n_rows, n_cols) at x as acts; their quantized form is in the pass's buffers if quantized is set */
extern LlmkActs llm_linear_acts(const LlmPass *pass, const float *x, int n_rows, int64_t n_cols, bool quantized);

/* quantize row `row` of x (n_cols wide) into the pass's buffers */
extern void llm_linear_quantize_row(const LlmPass *pass, const float *x, int64_t row, int64_t n_cols);

/* attention.c: q, k, v of the batch to attn; positions of the batch are stored in the cache first */
extern void llm_attention_store(void *arg, int64_t begin, int64_t end, int thread);	/* a piece over rows: rope, then store */
extern void llm_attention_plan(LlmPass *pass);
extern LlmStatus llm_attention_run(LlmPass *pass, const LlmStop *stop);

#endif
