/*
 * arch.h: architectures as data. One row per architecture; the forward pass reads the row, never the name.
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

typedef struct LlmArch
{
	const char *name;			/* general.architecture */
	LlmRopeKind rope;
	const char *note;			/* for llm_supported() */
} LlmArch;

/* shape of a model, read from metadata and checked for sense */
typedef struct LlmHparams
{
	uint32_t	n_vocab;
	uint32_t	n_ctx_train;
	uint32_t	n_embd;
	uint32_t	n_layer;
	uint32_t	n_head;
	uint32_t	n_head_kv;
	uint32_t	head_dim_k;
	uint32_t	head_dim_v;
	uint32_t	n_rot;			/* leading dimensions of a head that are rotated */
	uint32_t	n_ff;
	float		norm_eps;
	double		rope_freq_base;
	double		rope_freq_scale;	/* 1 / factor of linear scaling; 1: none */
	bool		rope_factors;	/* the tensor rope_freqs.weight must be there */
} LlmHparams;

extern const LlmArch *llm_arch_find(LlmStr name);
extern int	llm_arch_count(void);
extern const LlmArch *llm_arch_get(int i);

/* Errors: LLM_E_UNSUPPORTED, LLM_E_FORMAT, naming key and value */
extern LlmStatus llm_hparams_read(const LlmMeta *meta, const LlmArch **arch, LlmHparams *hp, LlmError *err);

#endif
