/*
 * pass.h: the inside of a forward pass, shared by the files of this folder: what a batch is, where its activations lie,
 * and the operations that have a file of their own (matrix products, attention, feed-forward, experts).
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
	bool		wanted;			/* has rows that are kept after the last mixer */
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
	float		slope[LLM_TILE_QUERIES];	/* ALiBi */
	int			distance[LLM_TILE_QUERIES];
	float	   *span_data;		/* (LLM_TILE_QUERIES, head_dim_v) */
	void	   *values;			/* a page of values, where the cache has none of their own, or in 8 bits */
	float	   *keys;			/* a page of keys, where the cache has them in 8 bits */
} LlmTileScratch;

/* consecutive slots (below) of one expert */
typedef struct LlmExpertTile
{
	int32_t		expert;
	int32_t		first;
	int32_t		n;
} LlmExpertTile;

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
	int			n_rows;			/* fewer after the last mixer */
	LlmPassOutputs logits_out;
	LlmPassOutputs vectors_out;
	int32_t    *row_token;		/* (max_rows) */
	int32_t    *row_segment;
	uint32_t   *row_position;
	int32_t    *row_x;			/* where the residual stream of a row of the batch is */
	int32_t    *kept;			/* (max_rows): rows with outputs, ascending */
	int			n_kept;
	uint32_t	last_mixer;		/* the last layer in which rows meet */
	LlmTile    *tiles;			/* (max_rows) at most */
	int			n_tiles;
	uint32_t	tile_group;		/* heads that share a key/value head, which tiles are made for */
	uint32_t	tile_heads;		/* heads of a tile, and tiles over the heads that share a key/value head */
	uint32_t	tile_head_groups;

	/* progress */
	bool		embedded;
	uint32_t	layer;
	int			part;			/* of the layer, and the operation in it */
	int			op;
	bool		gathered;		/* streams are one again */
	bool		vectors_ready;	/* normalised */
	int			n_vectors_taken;	/* handed over */
	int			n_taken;		/* logits handed over */

	/* activations */
	float	   *x;				/* (max_rows, n_embd): the residual stream */
	float	   *norm;			/* (max_rows, n_embd): normalised input of a block */
	float	   *q;				/* (max_rows, n_head * head_dim_k) */
	float	   *k;				/* (max_rows, n_head_kv * head_dim_k) */
	float	   *v;				/* (max_rows, n_head_kv * head_dim_v) */
	float	   *attn;			/* (max_rows, n_head * head_dim_v), or (max_rows, n_inner): input of wo */
	float	   *q_gate;			/* (max_rows, n_head, 2, head_dim_k): each head's query and gate, where there are gates */
	float	   *q_down;			/* latent attention: (max_rows, q_rank) */
	float	   *heads;			/* and (max_rows, n_head, head_dim_k or head_dim_v of a head): queries, later values */
	float	   *gate;			/* (max_rows, n_ff), or as wide as the shared expert */
	float	   *up;
	float	   *block_out;		/* (max_rows, n_embd): output of a block, before it is added to x */
	float	   *cosine[2];		/* LLM_ROPE_*: (max_rows, n_rot / 2) */
	float	   *sine[2];
	float	   *logits;			/* (LLM_LOGIT_ROWS, n_vocab) */
	LlmkTerm	terms[2];		/* quantized rows of the widest input */

	/* experts: a slot is a row with one of its experts; slots are in the order of experts, then rows */
	float	   *router;			/* (max_rows, n_expert) */
	float	   *choice;			/* (max_rows, 3 * n_expert): scratch of the router */
	int32_t    *row_expert;		/* (max_rows, n_used), ascending */
	float	   *row_weight;		/* (max_rows, n_used) */
	int32_t    *row_slot;		/* (max_rows, n_used) */
	int32_t    *slot_row;		/* (max_rows * n_used) */
	int32_t    *expert_slots;	/* (n_expert): while slots are given out */
	LlmExpertTile *expert_tiles;	/* (max_rows * n_used) at most */
	int			n_expert_tiles;
	float	   *slot_x;			/* (max_rows * n_used, n_embd): input of a slot, later its output */
	float	   *slot_gate;		/* (max_rows * n_used, n_ff_expert) */
	float	   *slot_up;
	float	   *shared_out;		/* (max_rows, n_embd) */

	float	   *latent;			/* (max_rows, n_latent): what experts read instead of norm, and the sum of what they give */
	float	   *latent_out;

	/* recurrent layers */
	float	   *mix_in;			/* (max_rows, n_in): input projections */
	float	   *mix;			/* (max_rows, n_channels): after the convolution */
	float	   *dt;				/* (max_rows, n_head): time steps (delta net: beta), and what is kept of the state over each */
	float	   *decay;
	float	   *mix_x;			/* Mamba 1: (max_rows, dt_rank + 2 n_state): numbers for steps, B and C, and from it */
	float	   *dt_in;			/* (max_rows, dt_rank) and */
	float	   *bc;				/* (max_rows, 2 n_state), normalised where the model does so */
	float	   *side_out;		/* (max_rows, n_embd): what the state gives in layers that attend too, or the laurel block */

	/* several streams */
	float	   *streams;		/* (n_streams, max_rows, n_embd) */
	float	   *predicted;		/* the same before the layer, and after all layers what is gathered */
	float	   *layer_inputs;	/* (max_rows, n_layer * n_input) */
	float	   *input_rows;		/* the same: embeddings */
	float	   *input_gate;		/* (max_rows, n_input) */
	float	   *laurel;			/* (max_rows, laurel_rank) */

	/* adapters: what A gives, and B of it */
	float	   *lora_mid;
	float	   *lora_out;

	LlmTileScratch *scratch;	/* one for each thread */
	void	   *block;			/* the memory of all of the above */
};

/*
 * linear.c: out[i] = lin[i] x + bias for n (at most 3) products that share their input rows, in one run over the pool.
 * out[i] is (n_rows of acts, lin[i]->w.n_rows).
 */
extern LlmStatus llm_linear_run(const LlmPass *pass, const LlmLinear *const *lin, float *const *out, int n,
								const LlmkActs *acts, const LlmStop *stop);

/* the same for the slots of pass->expert_tiles, each with the matrices of its expert */
extern LlmStatus llm_linear_run_experts(const LlmPass *pass, const LlmExpertLinear *const *lin, float *const *out, int n,
										const LlmkActs *acts, const LlmStop *stop);

/*
 * lora.c: what adapters add to a product of acts (by_expert: of the slots of pass->expert_tiles), to out; and to embeddings, to
 * x. The last step changes in place, so who pauses before makes the product anew.
 */
extern LlmStatus llm_lora_add(const LlmPass *pass, const LlmLora *lora, const LlmkActs *acts, bool by_expert, float *out,
							  const LlmStop *stop);
extern LlmStatus llm_lora_embed(const LlmPass *pass, const LlmStop *stop);

/* the end of a product of some rows: scale, bias; row_end may be past the last */
extern void llm_linear_finish(const LlmKernels *k, const LlmExpertLinear *lin, int64_t expert, float *out, int64_t n_tokens,
							  int64_t ld_out, int64_t row_begin, int64_t row_end);

/* rows of a tile, for the kind of weights */
extern int	llm_linear_tile_tokens(bool quantized);

/* input rows (n_rows, n_cols) at x as acts; their quantized form is in the pass's buffers if quantized is set */
extern LlmkActs llm_linear_acts(const LlmPass *pass, const float *x, int n_rows, int64_t n_cols, bool quantized);

/* quantize row `row` of x (n_cols wide) into the pass's buffers */
extern void llm_linear_quantize_row(const LlmPass *pass, const float *x, int64_t row, int64_t n_cols);

/* quantize one row x (n_cols) to row `slot` of the pass's buffers */
extern void llm_linear_quantize_slot(const LlmPass *pass, const float *x, int64_t slot, int64_t n_cols);

static inline LlmkTerm
llm_term_row(const LlmkTerm *term, int64_t row, int64_t n_cols)
{
	return (LlmkTerm) {term->q + row * n_cols, term->d + row * (n_cols / LLM_QK), term->s + row * (n_cols / 16)};
}

/* attention.c: q, k, v of the batch to attn; positions of the batch are stored in the cache first (which does not pause) */
extern void llm_attention_plan(LlmPass *pass);
extern LlmStatus llm_attention_store(LlmPass *pass, const LlmLayer *layer);
extern LlmStatus llm_attention_run(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop);
extern LlmStatus llm_attention_gate(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop);

/*
 * short_conv.c: input projection of a recurrent layer to mix_in; the causal convolution of one row over inputs (n_channels)
 * at in, ld_in apart, its segment's last row also noting the inputs that the next token needs; and where a layer's state lies
 * in that of a sequence.
 */
extern LlmStatus llm_recurrent_in(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop);
extern void llm_conv_row(const LlmPass *pass, const LlmLayer *layer, int64_t row, const float *in, int64_t ld_in, float *out);

static inline float *
llm_layer_state(const LlmPass *pass, const LlmLayer *layer, const LlmRecurrentState *state)
{
	return state->data + layer->state_index * pass->model->hp.recurrent.state_floats;
}

/* an operation of a layer: can be run again from its start, or does not pause */
typedef LlmStatus (*LlmOpFn) (LlmPass *pass, const LlmLayer *layer, const LlmStop *stop);

/*
 * keep_rows.c: which rows have outputs; and the operation after a mixer, when its keys, values or states are stored: if it is
 * the last one, x, norm and attn of these rows move to the front, and n_rows is their number from then on.
 */
extern void llm_keep_rows_plan(LlmPass *pass);
extern LlmStatus llm_keep_rows(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop);

/* latent_attention.c: the same as operations, from pass->norm to pass->block_out */
extern const LlmOpFn llm_latent_ops[];

/* mixers between norm and output projection, from norm to attn; they end with NULL */
extern const LlmOpFn llm_short_conv_ops[];
extern const LlmOpFn llm_mamba2_ops[];	/* ssm.c */
extern const LlmOpFn llm_delta_net_ops[];
extern const LlmOpFn llm_mamba1_ops[];	/* selective_scan.c */

/* ssm.c: x = silu(x) */
extern void llm_silu(const LlmKernels *k, float *x, int64_t n);

/* forward.c: rows of a piece of row-wise work over so many elements, and one norm: out may be x, norm without weight copies */
extern int64_t llm_rows_per_piece(int64_t width);
extern void llm_norm_row(const LlmModel *m, const LlmNorm *norm, const float *x, int64_t n, float *out);

static inline bool
llm_is_quantized(const LlmkMatrix *w)
{
	return w->data && llmk_type_info(w->type)->quantized;
}

static inline bool
llm_recurrent_is_quantized(const LlmRecurrentLayer *x)
{
	return llm_is_quantized(&x->in.w) ||
		(x->delta && (llm_is_quantized(&x->delta->z.w) || llm_is_quantized(&x->delta->b.w) || llm_is_quantized(&x->delta->a.w)));
}

/*
 * ffn.c: the feed-forward of pass->norm (normalised, quantized where its matrices want it) to pass->block_out, as three
 * operations that end with NULL; and its parts, for the shared expert.
 */
extern const LlmOpFn llm_ffn_ops[];
extern LlmStatus llm_ffn_gate_up(LlmPass *pass, const LlmFfn *ffn, const LlmStop *stop);
extern LlmStatus llm_ffn_act(LlmPass *pass, const LlmFfn *ffn);
extern LlmStatus llm_ffn_down(LlmPass *pass, const LlmFfn *ffn, float *out, const LlmStop *stop);

/* the activation of one row, n wide; the result takes the place of the gate, or of up where there is none (gate NULL) */
extern float *llm_ffn_activate(const LlmPass *pass, float *gate, float *up, int64_t n);

/* moe.c: the same with experts */
extern const LlmOpFn llm_moe_ops[];

/*
 * altup.c: several residual streams. What is done after embedding and after all layers; and operations of a layer: before its norm,
 * after attention was added, and at its end. They do nothing where there is one stream.
 */
extern LlmStatus llm_altup_begin(LlmPass *pass, const LlmStop *stop);
extern LlmStatus llm_altup_gather(LlmPass *pass, const LlmStop *stop);
extern LlmStatus llm_altup_predict(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop);
extern const LlmOpFn llm_laurel_ops[];
extern const LlmOpFn llm_altup_end_ops[];

/* the router's product of what comes into the layer, where the architecture has it there */
extern LlmStatus llm_moe_route_early(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop);

#endif
