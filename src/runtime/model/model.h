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
	uint32_t	n_ctx;			/* upper bound on a sequence; 0, or above what the model was trained for: that */
	LlmKvType	kv_type;		/* LLM_KV_F16 by default */
	LlmStr		chat_template;	/* data NULL: the model's own */
} LlmModelOptions;

/* out = w x + bias */
typedef struct LlmLinear
{
	LlmkMatrix	w;
	const float *bias;			/* (n_rows), NULL: none */
} LlmLinear;

typedef struct LlmLayer
{
	const float *attn_norm;		/* (n_embd) */
	LlmLinear	wq;				/* (n_head * head_dim_k, n_embd) */
	LlmLinear	wk;				/* (n_head_kv * head_dim_k, n_embd) */
	LlmLinear	wv;				/* (n_head_kv * head_dim_v, n_embd) */
	LlmLinear	wo;				/* (n_embd, n_head * head_dim_v) */
	const float *ffn_norm;		/* (n_embd) */
	LlmLinear	ffn_gate;		/* (n_ff, n_embd) */
	LlmLinear	ffn_up;			/* (n_ff, n_embd) */
	LlmLinear	ffn_down;		/* (n_embd, n_ff) */
} LlmLayer;

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
	const float *output_norm;	/* (n_embd) */
	LlmLinear	output;			/* (n_vocab, n_embd); token_embd when tied */
	LlmLayer   *layers;			/* n_layer */
	double	   *rope_freq;		/* (n_rot / 2) radians per position, factors included */
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
