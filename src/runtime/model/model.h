/*
 * model.h: a model ready to compute: an opened pack, its shape read from metadata, and its weights by role.
 *
 * Immutable after opening and safe to share by schedulers of one process.
 */
#ifndef LLM_MODEL_H
#define LLM_MODEL_H

#include "weights/pack.h"
#include "text/tokenizer.h"
#include "text/chat_template.h"
#include "model/arch.h"

/* what the owner of a model may set (options of the foreign server) */
typedef struct LlmModelOptions
{
	uint32_t	n_ctx;			/* upper bound on a sequence, at most the trained context unless rope is set; 0: that, see rope */
	LlmKvType	kv_type;		/* LLM_KV_F16 by default */
	LlmStr		chat_template;	/* data NULL: the model's own */
	LlmRopeOptions rope;
	const struct LlmAdapterPack *adapters;	/* LoRA, added in this order */
	int			n_adapters;
	const LlmPooling *pooling;	/* NULL: the model's own */
	const LlmStop *stop;		/* asked while a long tokenizer is read; LLM_PAUSED then leaves nothing, and the model can be opened again */
} LlmModelOptions;

/* the pack of an adapter (adapter.h), which must outlive the model, and what its owner multiplies it by */
typedef struct LlmAdapterPack
{
	const uint8_t *base;
	size_t		size;
	double		scale;
} LlmAdapterPack;

typedef struct LlmLora LlmLora;

/* out = scale w x + bias + what adapters add */
typedef struct LlmLinear
{
	LlmkMatrix	w;
	const float *scale;			/* one value; NULL: none */
	const float *bias;			/* (n_rows), NULL: none */
	const LlmLora *lora;		/* NULL: none */
} LlmLinear;

typedef struct LlmNorm
{
	const float *weight;		/* NULL: no norm here */
	const float *bias;			/* NULL: none */
} LlmNorm;

/* the same matrix of every expert */
typedef struct LlmExpertLinear
{
	LlmkMatrix	w;				/* of expert 0 */
	size_t		stride;			/* bytes from one expert to the next */
	const float *scale;			/* (n_expert), NULL: none */
	const float *bias;			/* (n_expert, n_rows), NULL: none */
	const LlmLora *lora;		/* NULL: none */
} LlmExpertLinear;

/* scale * B (A x); matrices of one product, or of every expert */
struct LlmLora
{
	LlmExpertLinear a;			/* (rank, n_cols) */
	LlmExpertLinear b;			/* (n_rows, rank) */
	float		scale;
	const LlmLora *next;		/* of another adapter */
};

/* the largest of what adapters add, for the scratch of a pass; rank 0: there are none */
typedef struct LlmLoraSizes
{
	int64_t		rank;
	int64_t		width;
	int64_t		expert_width;
	bool		output;			/* logits too */
} LlmLoraSizes;

typedef struct LlmFfn
{
	LlmLinear	gate;			/* (n_ff, n_embd); w.data NULL where the kind has none */
	LlmLinear	up;				/* (n_ff, n_embd) */
	LlmLinear	down;			/* (n_embd, n_ff) */
} LlmFfn;

typedef struct LlmExperts
{
	LlmLinear	router;			/* (n_expert, n_embd) */
	const float *choice_bias;	/* (n_expert), added for the choice alone; NULL: none */
	LlmExpertLinear gate;		/* (n_ff_expert, n_embd) */
	LlmExpertLinear up;
	LlmExpertLinear down;		/* (n_embd, n_ff_expert) */
	LlmLinear	latent_down;	/* (n_latent, n_embd): experts' n_embd is then n_latent; w.data NULL: none */
	LlmLinear	latent_up;		/* (n_embd, n_latent) */
	LlmFfn		shared;			/* n_ff_shared wide; up.w.data NULL: none */
	const float *shared_gate;	/* (n_embd), the shared expert's output is times the sigmoid of it; NULL: none */
} LlmExperts;

/* latent attention: what LlmLayer has no place for. There wq and q_norm are of the bottleneck, wk and k_norm of the latent. */
typedef struct LlmLatent
{
	LlmLinear	q_up;			/* (n_head * latent.head_dim_k, q_rank); w.data NULL: wq makes the queries */
	LlmExpertLinear k_up;		/* by head: (kv_rank, latent.head_dim_k - n_rot), from queries to queries of latents */
	LlmExpertLinear v_up;		/* by head: (latent.head_dim_v, kv_rank) */
} LlmLatent;

/* what a gated delta net has beside a state space layer, whose `in` makes its queries, keys and values */
typedef struct LlmDeltaLayer
{
	LlmLinear	z;				/* (n_inner, n_embd) */
	LlmLinear	b;				/* (n_head, n_embd), or (2 n_head, n_embd) with the rows of a */
	LlmLinear	a;				/* (n_head, n_embd); w.data NULL: in b */
	const float *q_length;		/* (n_state): queries and keys of root mean square 1 are multiplied by */
	const float *k_length;
} LlmDeltaLayer;

/* what a selective state space (Mamba 1) has beside a state space layer, whose a is (n_state, n_inner) there, and d (n_inner) */
typedef struct LlmSelectiveLayer
{
	LlmLinear	x;				/* (dt_rank + 2 n_state, n_inner): numbers for steps, B and C */
	LlmLinear	dt;				/* (n_inner, dt_rank) */
	const float *dt_norm;		/* (dt_rank), NULL: none; then the others are NULL too */
	const float *b_norm;		/* (n_state) */
	const float *c_norm;
	float		norm_eps;
} LlmSelectiveLayer;

/* what a layer has beside attention and feed-forward where there are several streams (altup.c); n streams */
typedef struct LlmAltUpLayer
{
	LlmNorm		router_norm;	/* (n_embd) */
	const float *router;		/* (n, n_embd) */
	const float *predict;		/* (n, n, n): of stream made, stream read, number of the router */
	const float *correct;		/* (n, n) */
	const float *correct_scale;	/* (n_embd) */
	LlmLinear	laurel_down;	/* (rank, n_embd) */
	LlmLinear	laurel_up;		/* (n_embd, rank) */
	LlmNorm		laurel_norm;	/* (n_embd) */
	LlmLinear	input_gate;		/* (n_input, n_embd) */
	LlmLinear	input_up;		/* (n_embd, n_input) */
	LlmNorm		input_norm;		/* (n_embd) */
	float		sparsity;		/* deviations above the mean; -infinity: all activations stay */
} LlmAltUpLayer;

/* and the model */
typedef struct LlmAltUp
{
	LlmExpertLinear spread;		/* by stream but the first: (n_embd, n_embd) */
	LlmExpertLinear gather;
	LlmkMatrix	input_embd;		/* (n_vocab, n_layer * n_input) */
	LlmLinear	input_proj;		/* (n_layer * n_input, n_embd) */
	LlmNorm		input_norm;		/* (n_input) */
	uint32_t	laurel_rank;	/* the largest */
} LlmAltUp;

/* a recurrent layer; its output projection is the layer's wo */
typedef struct LlmRecurrentLayer
{
	LlmLinear	in;				/* (n_in, n_embd) */
	const float *conv;			/* (n_conv, n_channels): tap by tap, that of the token itself last */
	const float *conv_bias;		/* (n_channels), NULL: none */
	const float *dt_bias;		/* Mamba2, delta net: (n_head) */
	const float *a;				/* (n_head), negative */
	const float *d;				/* (n_head) */
	const float *norm;			/* (n_inner), by group; delta net: (n_inner / n_head), of every head */
	LlmDeltaLayer *delta;		/* NULL: none */
	LlmSelectiveLayer *selective;	/* NULL: none */
	LlmLinear	out;			/* (n_embd, n_inner) where the layer attends too; w.data NULL: the layer's wo is it */
} LlmRecurrentLayer;

typedef struct LlmLayer
{
	LlmMixer	mixer;
	bool		has_ffn;
	uint32_t	state_index;	/* among the layers that attend, or that are recurrent: its place in pages or state */
	uint32_t	see_before;		/* positions that a token sees before its own, and after; UINT32_MAX: all */
	uint32_t	see_after;
	uint32_t	chunk;			/* a token sees from the last multiple of it on; 0: no chunks */
	int			rope;			/* LLM_ROPE_* */
	uint32_t	n_head;
	uint32_t	n_head_kv;
	const float *xielu;			/* LLM_XIELU_*, the alphas as they are multiplied by; NULL: another activation */
	LlmNorm		attn_norm;		/* (n_embd) */
	LlmLinear	wq;				/* (n_head * head_dim_k, n_embd); with gates twice as many rows */
	LlmLinear	wk;				/* (n_head_kv * head_dim_k, n_embd) */
	LlmLinear	wv;				/* (n_head_kv * head_dim_v, n_embd) */
	LlmNorm		q_norm;			/* (head_dim_k), or (n_head * head_dim_k) over the whole */
	LlmNorm		k_norm;
	LlmNorm		v_norm;			/* (head_dim_v), weight NULL: none */
	LlmAltUpLayer *altup;		/* NULL: one stream */
	const float *sinks;			/* (n_head), NULL: none */
	LlmLatent  *latent;			/* NULL: none */
	LlmRecurrentLayer *recurrent;	/* NULL: none */
	LlmLinear	wo;				/* (n_embd, n_head * head_dim_v), or (n_embd, n_inner) */
	LlmNorm		attn_post_norm; /* (n_embd) */
	LlmNorm		attn_second_norm;	/* (n_embd), over its input and what attn_post_norm gave; weight NULL: none */
	LlmNorm		ffn_norm;		/* (n_embd) */
	LlmFfn		ffn;			/* of layers without experts */
	LlmExperts *experts;		/* NULL: none */
	LlmNorm		ffn_post_norm;	/* (n_embd) */
} LlmLayer;

/* what follows on the pooled vector of a text: dense layers of an embedding, or a classifier */
typedef struct LlmHead
{
	LlmLinear	dense[2];		/* one after the other; w.data NULL: none */
	LlmLinear	cls;			/* (n, n_embd), then cls_gelu ? gelu : tanh; w.data NULL: none */
	bool		cls_gelu;
	LlmNorm		cls_norm;		/* (n), weight NULL: none */
	LlmLinear	cls_out;		/* (n_outputs, n); w.data NULL: none */
	uint32_t	n_embd_out;		/* numbers of an embedding */
	uint32_t	n_outputs;		/* of the classifier; 0: there is none */
	uint32_t	n_widest;		/* of any vector on the way */
} LlmHead;

typedef struct LlmModel
{
	LlmPack		pack;
	const LlmAllocator *allocator;
	const LlmKernels *kernels;
	const LlmArch *arch;
	LlmHparams	hp;
	LlmKvType	kv_type;
	uint32_t	n_ctx;			/* positions a sequence may have here */
	LlmTokenizer *tokenizer;
	LlmTemplate *chat_template; /* NULL: base model */
	LlmkMatrix	token_embd;		/* (n_vocab, n_embd) */
	const LlmLora *token_embd_lora; /* A (n_vocab, rank), B (n_embd, rank); NULL: none */
	LlmkMatrix	position_embd;	/* (n_ctx_train, n_embd); data NULL: none */
	const float *token_types;	/* (n_token_types, n_embd), NULL: none */
	uint32_t	n_token_types;
	LlmNorm		embed_norm;		/* (n_embd) */
	const float *alibi;			/* (n_head) slopes, NULL: none */
	LlmNorm		output_norm;	/* (n_embd) */
	LlmLinear	output;			/* (n_vocab, n_embd); token_embd when tied; w.data NULL: the model makes no logits */
	LlmPooling	pooling;		/* as the model says, or its options */
	LlmHead		head;
	LlmLayer   *layers;			/* n_layer */
	LlmAltUp	altup;
	float	   *rope_freq[2];	/* LLM_ROPE_*: (n_rot / 2) radians per position, scaling and factors included */
	int			n_ropes;		/* 0: no layer rotates; 1: none has a rope of its own */
	struct LlmAdapter *adapters;
	int			n_adapters;
	LlmLoraSizes lora;
	LlmArena	arena;
} LlmModel;

/*
 * base/size: a pack, which must outlive the model. Errors: LLM_E_UNSUPPORTED naming the architecture or feature,
 * LLM_E_FORMAT naming key or tensor, LLM_E_ARGUMENT for options out of range.
 */
extern LlmStatus llm_model_open(const uint8_t *base, size_t size, const LlmModelOptions *options, const LlmKernels *kernels,
								const LlmAllocator *a, LlmModel **out, LlmError *err);
extern void llm_model_close(LlmModel *model);

/* parameters (elements of all tensors), and the tensor type that holds most of them */
extern uint64_t llm_model_parameters(const LlmModel *model);
extern const char *llm_model_quantization(const LlmModel *model);

#endif
