/*
 * arch.h: architectures as data. One row per architecture; the forward pass reads the row, never the name.
 *
 * A row says which blocks a layer has and where its norms lie; what differs between models of one architecture (sizes,
 * windows, caps, scales) is read from metadata into LlmHparams, with the row giving what the metadata leaves out.
 */
#ifndef LLM_ARCH_H
#define LLM_ARCH_H

#include "weights/gguf_meta.h"
#include "kernels.h"

typedef enum LlmRopeKind
{
	LLM_ROPE_NORM,				/* pairs (2i, 2i+1) */
	LLM_ROPE_NEOX				/* pairs (i, i + n/2) */
} LlmRopeKind;

typedef enum LlmNormKind
{
	LLM_NORM_RMS,
	LLM_NORM_LAYER				/* minus the mean, with a bias where the file has one */
} LlmNormKind;

/* where the norms of a block (attention, feed-forward) lie */
typedef enum LlmNormPlace
{
	LLM_NORM_BEFORE,			/* over the input of the block */
	LLM_NORM_AFTER,				/* over its output, before that is added */
	LLM_NORM_AROUND,			/* both */
	LLM_NORM_RESIDUAL			/* over the sum of input and output (BERT) */
} LlmNormPlace;

typedef enum LlmQkNorm
{
	LLM_QK_NORM_NONE,
	LLM_QK_NORM_HEAD,			/* each head of queries and keys by itself */
	LLM_QK_NORM_WHOLE,			/* all heads of a token together */
	LLM_QK_NORM_EACH,			/* each head by itself, with weights of its own */
	LLM_QK_NORM_UNIT			/* each head by itself, without weights, in layers that rotate */
} LlmQkNorm;

typedef enum LlmFfnKind
{
	LLM_FFN_SWIGLU,				/* silu(gate) * up */
	LLM_FFN_GEGLU,				/* gelu(gate) * up */
	LLM_FFN_RELU_SQR,			/* max(up, 0)^2, no gate */
	LLM_FFN_SWIGLU_CLAMPED,		/* gpt-oss: gate and up limited, see llm_ffn_activate */
	LLM_FFN_GELU,				/* gelu by erf: of gate, times up; of up where the file has no gate */
	LLM_FFN_GELU_TANH,			/* the same by tanh */
	LLM_FFN_XIELU,				/* no gate; with numbers of each layer, see llm_ffn_activate */
	LLM_FFN_REGLU				/* max(gate, 0) * up */
} LlmFfnKind;

/* what mixes the tokens of a layer */
typedef enum LlmMixer
{
	LLM_MIXER_ATTENTION = 0,
	LLM_MIXER_MAMBA2,
	LLM_MIXER_SHORT_CONV,		/* gated short convolution */
	LLM_MIXER_DELTA_NET,		/* gated delta net */
	LLM_MIXER_MAMBA1,
	LLM_MIXER_LINEAR,			/* a matrix, token by token */
	LLM_MIXER_NONE				/* the layer is a feed-forward alone */
} LlmMixer;

typedef enum LlmRouterKind
{
	LLM_ROUTER_NONE = 0,
	LLM_ROUTER_SOFTMAX = 1,		/* probabilities of all experts; numbers as in expert_gating_func */
	LLM_ROUTER_SIGMOID = 2,
	LLM_ROUTER_SOFTMAX_CHOSEN = 3,	/* softmax over the chosen experts alone */
	LLM_ROUTER_MIXER = 4		/* SparseMixer: a softmax for each choice, over those near the best (moe.c) */
} LlmRouterKind;

typedef enum LlmSharedExpert
{
	LLM_SHARED_NONE = 0,
	LLM_SHARED_ALWAYS,			/* as wide as n_ff where metadata has no width */
	LLM_SHARED_AS_ONE,			/* as wide as another expert where metadata has no width */
	LLM_SHARED_BY_WIDTH			/* where metadata has a width */
} LlmSharedExpert;

/* numbers of xIELU; the alphas before softplus */
enum
{
	LLM_XIELU_ALPHA_P,
	LLM_XIELU_ALPHA_N,
	LLM_XIELU_BETA,
	LLM_XIELU_EPS,
	LLM_XIELU_COUNT
};

/* how the vectors of a text's tokens become one; numbers as in pooling_type */
typedef enum LlmPooling
{
	LLM_POOLING_UNSPECIFIED = -1,
	LLM_POOLING_NONE = 0,		/* they stay as they are */
	LLM_POOLING_MEAN = 1,
	LLM_POOLING_CLS = 2,		/* that of the first token */
	LLM_POOLING_LAST = 3,
	LLM_POOLING_RANK = 4		/* a classifier over one of these, see llm_hparams_pools */
} LlmPooling;

/* every how many layers one sees all positions; the others see a window */
#define LLM_WINDOW_NEVER 0
#define LLM_WINDOW_ALWAYS UINT32_MAX

typedef enum LlmTrait
{
	LLM_TRAIT_EMBED_SQRT = 1,	/* embeddings times sqrt(n_embd) */
	LLM_TRAIT_MULTIPLIERS = 2,	/* embedding_scale, residual_scale; logits divided by logit_scale */
	LLM_TRAIT_LOGIT_FACTOR = 4, /* logits multiplied by logit_scale */
	LLM_TRAIT_QUERY_SCALE = 8,	/* attention.temperature_scale: queries grow with their position */
	LLM_TRAIT_ROPE_SWITCH = 16, /* rope.scaling.finetuned = false: no rope */
	LLM_TRAIT_PARALLEL = 32,	/* attention and feed-forward read the same norm */
	LLM_TRAIT_SINKS = 64,		/* each head has a logit that takes weight and gives no value */
	LLM_TRAIT_FUSED_GATE = 128, /* ffn_up holds the gate's rows, then its own */
	LLM_TRAIT_LOCAL_PLAIN = 256,	/* layers with a window have unscaled rope */
	LLM_TRAIT_ROPE_LOCAL_ONLY = 512,	/* layers without window have no rope */
	LLM_TRAIT_SIDE_BY_SIDE = 1024,	/* each layer attends and has a state, side by side, and their outputs are added */
	LLM_TRAIT_OUT_GATE = 2048,	/* attn_q holds a gate beside each head's query, which the head's output is multiplied by */
	LLM_TRAIT_TILED_HEADS = 4096,	/* delta net: value head h reads key head h modulo their number; where ssm.grouped_heads, h / their share */
	LLM_TRAIT_SECTIONS = 8192,	/* rope has sections for places in images; text has the same position in all */
	LLM_TRAIT_QK_NORM_SOME = 1 << 14,	/* only some models of the kind normalise queries and keys */
	LLM_TRAIT_QK_NORM_LATE = 1 << 15,	/* queries and keys are normalised after they are rotated */
	LLM_TRAIT_PLAIN_NORM = 1 << 16, /* norms have no weights */
	LLM_TRAIT_CLAMP_QKV = 1 << 17,	/* attention.clamp_kqv: numbers of queries, keys and values are cut at it */
	LLM_TRAIT_NORM_AHEAD = 1 << 18, /* blocks in parallel, each with a norm of its own, unless use_parallel_residual = false */
	LLM_TRAIT_NORMS_TURNED = 1 << 19,	/* attn_norm is the feed-forward's, and attention's attn_norm_2, where the file has it */
	LLM_TRAIT_LATENT = 1 << 20, /* latent attention, see latent_attention.c */
	LLM_TRAIT_DENSE_LEAD = 1 << 21,	/* leading layers without experts; shared experts, where there are any, are counted, each as wide as another */
	LLM_TRAIT_ONE_BLOCK = 1 << 22,	/* a layer is one block, mixer or feed-forward, behind one norm */
	LLM_TRAIT_OUTPUT_NORM_NAME = 1 << 23,	/* the last norm is called token_embd_norm */
	LLM_TRAIT_ENCODER = 1 << 24,	/* a token sees those after it too; makes vectors, no logits */
	LLM_TRAIT_EMBED_NORM = 1 << 25, /* embeddings are normalised, those of token types (where the file has them) added before */
	LLM_TRAIT_POSITIONS = 1 << 26,	/* a learned embedding for each position */
	LLM_TRAIT_ALIBI = 1 << 27,	/* scores fall with distance, by a slope for each head */
	LLM_TRAIT_WINDOW_SYMMETRIC = 1 << 28,	/* a window is half before and half after a token */
	LLM_TRAIT_FULL_FIRST = 1 << 29, /* of window_every layers the first sees all, not the last */
	LLM_TRAIT_GAPS = 1 << 30	/* layers may have no attention, or a matrix in its place, and no feed-forward */
} LlmTrait;

typedef struct LlmArch
{
	const char *name;			/* general.architecture */
	const char *note;			/* for llm_supported() */
	LlmRopeKind rope;
	LlmNormKind norm;
	LlmNormPlace norm_place;
	LlmQkNorm	qk_norm;
	LlmFfnKind	ffn;
	uint32_t	traits;			/* LlmTrait */
	uint32_t	no_rope_every;	/* every so many layers one has no rope; 0: all have */
	uint32_t	window_every;	/* LLM_WINDOW_*, or as they say */
	uint32_t	window;			/* its size, where metadata has none */
	double		local_rope_base;	/* of layers with a window; 0: as the others */
	LlmMixer	recurrent;		/* of layers that do not attend; ATTENTION: there are none */
	LlmRouterKind router;		/* NONE: experts are refused */
	bool		router_renorm;	/* weights of the chosen experts are made to sum to 1 */
	LlmSharedExpert shared_expert;
	float		attn_cap;		/* soft caps, where metadata has none */
	float		logit_cap;
	bool		multipliers_required;	/* MULTIPLIERS: without their keys a file's numbers are not known */
	uint32_t	wide_scale_layers;	/* models of this many layers scale scores by n_embd / n_head, not by the head's size */
	const char *ffn_norm;		/* what the norm before the feed-forward is called; NULL: ffn_norm */
	bool		chunked;		/* a window begins at a multiple of its size */
	bool		scale_by_dim;	/* scores are divided by the head's size, not by its root */
	float		alibi_bias;		/* ALIBI: what slopes are made from, where metadata has none; 0: none */
	bool		experts_some;	/* layers with a router have experts, others a feed-forward */
	bool		router_early;	/* the router reads what comes into the layer */
	bool		weigh_input;	/* what an expert reads is multiplied by its weight, not what it gives */
	bool		altup;			/* several residual streams, of which a layer computes one: see altup.c */
	float		attn_scale;		/* of scores, where metadata has none; 0: by the size of heads */
} LlmArch;

/* rope of a kind of layer; angles are made from it in rope.c */
typedef struct LlmRopeParams
{
	double		base;
	double		scale;			/* 1 / factor of scaling; 1: none */
	bool		yarn_exact;		/* the ends of its ramp are not rounded outwards */
	double		extrapolated;	/* YaRN: the share of fast pairs that is not scaled, 1 as published; 0: all are scaled, linearly */
	uint32_t	n_ctx_orig;		/* that YaRN's ramp is over */
	bool		has_factors;	/* scaled by factors, which must then be a tensor of the file */
	double		beta_fast;
	double		beta_slow;
	double		magnitude;		/* of cosine and sine */
} LlmRopeParams;

typedef enum LlmRopeScaling
{
	LLM_ROPE_SCALING_OF_MODEL = 0,
	LLM_ROPE_SCALING_NONE,
	LLM_ROPE_SCALING_LINEAR,
	LLM_ROPE_SCALING_YARN,
	LLM_ROPE_SCALING_FACTORS	/* by a tensor of the file (longrope, llama3) */
} LlmRopeScaling;

/*
 * What the owner of a model says about rope instead of its metadata; the names and meanings are llama.cpp's. They hold for
 * layers that see all positions; in layers with a window, whose distances stay short, only where no other layer has rope.
 */
typedef struct LlmRopeOptions
{
	LlmRopeScaling scaling;
	double		freq_base;		/* 0: the model's */
	double		freq_scale;		/* 1 / factor; 0: the model's */
	uint32_t	yarn_orig_ctx;	/* 0: the model's */
	bool		has_ext_factor;
	double		yarn_ext_factor;
	double		yarn_attn_factor;	/* multiplies cosine and sine; 0: 1 */
	double		yarn_beta_fast; /* 0: the model's */
	double		yarn_beta_slow;
} LlmRopeOptions;

/* positions of any sequence, trained or set: keeps products of it with a width within 64 bits */
#define LLM_MAX_CONTEXT (1u << 26)

#define LLM_ROPE_GLOBAL 0
#define LLM_ROPE_LOCAL 1
#define LLM_ROPE_ABSENT (-1)

typedef struct LlmRouterParams
{
	LlmRouterKind kind;
	bool		renorm;
	float		scale;
	uint32_t	n_expert;		/* 0: no experts */
	uint32_t	n_used;
	uint32_t	n_groups;		/* experts are chosen within the best n_groups_used of these; 1: no groups */
	uint32_t	n_groups_used;
	uint32_t	n_latent;		/* width that experts work in; 0: n_embd */
} LlmRouterParams;

/* latent attention: heads before keys and values were taken into one latent */
typedef struct LlmLatentParams
{
	uint32_t	q_rank;			/* queries come through a bottleneck so wide; 0: directly */
	uint32_t	kv_rank;		/* the latent; 0: no latent attention */
	uint32_t	head_dim_k;		/* of a head, its rotated n_rot dimensions last */
	uint32_t	head_dim_v;
	double		score_scale;	/* by YaRN; 1: none */
} LlmLatentParams;

/* recurrent layers */
typedef struct LlmRecurrentParams
{
	uint32_t	n_conv;			/* taps of the convolution, that of the token itself included */
	uint32_t	n_inner;		/* width of the layer's inside */
	uint32_t	n_state;		/* Mamba2, delta net (size of a key): numbers kept for each of them; else 0 */
	uint32_t	n_head;			/* n_inner is cut into so many heads, which share inputs in n_group groups */
	uint32_t	n_group;
	uint32_t	n_channels;		/* of the convolution */
	uint32_t	n_in;			/* width of the input projection */
	bool		tiled;			/* delta net: see LLM_TRAIT_TILED_HEADS */
	uint32_t	dt_rank;		/* Mamba 1: numbers that steps are made from; 0: another kind */
	bool		norm_all;		/* Mamba 1: those numbers, B and C are normalised, also without weights */
	float		norm_eps;		/* of these norms without weights */
	float		dt_min;			/* Mamba2: a step is not shorter; 0: no limit */
	size_t		state_floats;	/* of one layer: (n_conv - 1, n_channels) past inputs, then (n_head, n_state, n_inner / n_head) */
} LlmRecurrentParams;

/* what altup.c computes with; n_streams 0: nothing */
typedef struct LlmAltUpParams
{
	uint32_t	n_streams;
	uint32_t	active;			/* the one that layers compute */
	uint32_t	n_input;		/* numbers that each layer gets of a token beside the stream */
	uint32_t	n_shared;		/* last layers that read keys and values of an earlier layer */
	const LlmMetaArray *sparsity;	/* by layer: activations so many deviations above their mean stay; -infinity: all */
} LlmAltUpParams;

/* shape of a model, read from metadata and checked for sense */
typedef struct LlmHparams
{
	uint32_t	n_vocab;
	uint32_t	n_ctx_train;
	uint32_t	n_ctx_orig;		/* before rope was scaled */
	uint32_t	n_embd;
	uint32_t	n_layer;
	uint32_t	n_head;
	uint32_t	n_head_kv;
	uint32_t	head_dim_k;
	uint32_t	head_dim_v;
	uint32_t	stored_dim_v;	/* of a value in the cache; 0: values are the leading dimensions of keys */
	bool		causal;			/* a token sees those before it only */
	uint32_t	n_layer_kept;	/* layers whose keys and values are kept: all that attend; 1 if not causal, as then nothing follows */
	LlmFfnKind	ffn;
	const LlmMetaArray *xielu[LLM_XIELU_COUNT];	/* LLM_XIELU_*, by layer; NULL: tensors have them */
	LlmPooling	pooling;		/* as metadata says */
	LlmPooling	pooling_classifier;	/* what a classifier is over */
	uint32_t	n_rot;			/* leading dimensions of a head that are rotated */
	LlmLatentParams latent;
	uint32_t	n_ff;
	uint32_t	n_ff_expert;
	uint32_t	n_ff_shared;	/* of the shared expert; 0: none */
	float		norm_eps;
	float		embed_scale;
	float		residual_scale;
	float		logit_scale;	/* a factor */
	float		attn_scale;
	float		attn_cap;		/* 0: none */
	float		logit_cap;
	float		clamp_qkv;		/* 0: none */
	bool		norm_ahead;		/* the feed-forward reads what attention read, by a norm of its own */
	double		query_scale;	/* 0: none; else q *= 1 + query_scale * log(1 + floor((position + query_scale_from) / query_scale_length)) */
	uint32_t	query_scale_length;
	uint32_t	query_scale_from;
	bool		query_scale_plain;	/* only in layers without rope */
	bool		qk_norm_unit;
	float		alibi_bias;		/* 0: no ALiBi */
	uint32_t	window;			/* positions that a layer with a window sees, its own included; 0: none has one */
	uint32_t	window_every;
	bool		window_first_full;	/* of window_every layers the first has none, not the last */
	const LlmMetaArray *window_layers;	/* by layer, where metadata says so; NULL: by window_every */
	LlmRopeParams rope[2];		/* LLM_ROPE_GLOBAL, LLM_ROPE_LOCAL */
	bool		no_rope;
	LlmRouterParams router;
	uint32_t	moe_every;		/* only layers i with i % moe_every == moe_at have experts; 0: all */
	uint32_t	moe_at;
	uint32_t	n_dense_lead;	/* leading layers without experts */
	const LlmMetaArray *head_layers;	/* heads by layer, n_head is then the largest; NULL: n_head */
	const LlmMetaArray *kv_layers;	/* key/value heads by layer, 0 in those that do not attend, n_head_kv the largest; NULL: n_head_kv */
	const LlmMetaArray *recurrent_layers;	/* does not attend? by layer, where metadata says so; NULL: see attention_every */
	uint32_t	attention_every;	/* every so many layers one attends; 0: those with key/value heads */
	uint32_t	n_layer_draft;	/* further layers in the file, which guess tokens ahead: not computed */
	const LlmMetaArray *ff_layers;	/* n_ff by layer, which is then the largest; NULL: n_ff */
	uint32_t	n_layer_attn;	/* layers that attend, and that are recurrent */
	uint32_t	n_layer_recurrent;
	LlmRecurrentParams recurrent;
	LlmAltUpParams altup;
} LlmHparams;

extern const LlmArch *llm_arch_find(LlmStr name);
extern int	llm_arch_count(void);
extern const LlmArch *llm_arch_get(int i);

/*
 * hparams.c. hp borrows from meta. Errors: LLM_E_UNSUPPORTED, LLM_E_FORMAT, naming key and value. The second form with what
 * the owner says about rope; NULL: nothing.
 */
extern LlmStatus llm_hparams_read(const LlmMeta *meta, const LlmArch **arch, LlmHparams *hp, LlmError *err);
extern LlmStatus llm_hparams_read_with(const LlmMeta *meta, const LlmRopeOptions *options, const LlmArch **arch,
									   LlmHparams *hp, LlmError *err);

/* whether the owner says anything about rope: then a context beyond the trained one is the owner's choice */
extern bool llm_rope_options_given(const LlmRopeOptions *options);

/*
 * What a model pools by, given whether its file has a classifier: metadata, or for an encoder whose metadata does not say the
 * classifier, or the mean. And what is pooled: RANK becomes what its classifier is over.
 */
extern LlmPooling llm_hparams_pooling(const LlmArch *arch, const LlmHparams *hp, bool has_classifier);
extern LlmPooling llm_hparams_pools(const LlmHparams *hp, LlmPooling pooling);

/* what kind of layer this is: positions it sees (0: all), and LLM_ROPE_* */
extern uint32_t llm_hparams_window(const LlmHparams *hp, uint32_t layer);
extern int	llm_hparams_rope(const LlmArch *arch, const LlmHparams *hp, uint32_t layer);
/* the layer whose keys and values a layer reads: its own, or the last one of its kind that has some */
extern uint32_t llm_hparams_kv_source(const LlmHparams *hp, uint32_t layer);
extern LlmMixer llm_hparams_mixer(const LlmArch *arch, const LlmHparams *hp, uint32_t layer);
extern bool llm_hparams_has_experts(const LlmHparams *hp, uint32_t layer);
extern uint32_t llm_hparams_ff(const LlmHparams *hp, uint32_t layer);	/* 0: no feed-forward */
/* heads of a layer, and its key/value heads */
extern uint32_t llm_hparams_heads(const LlmHparams *hp, uint32_t layer);
extern uint32_t llm_hparams_heads_kv(const LlmHparams *hp, uint32_t layer);

#endif
