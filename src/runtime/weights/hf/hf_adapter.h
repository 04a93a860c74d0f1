/*
 * hf_adapter.h: a PEFT folder, that is a low-rank adapter (LoRA) beside a Hugging Face model: adapter_config.json and
 * adapter_model.safetensors.
 *
 * It becomes what a GGUF adapter is (model/adapter.h), but the folder does not say of which architecture the model is. So
 * general.architecture is LLM_HF_ADAPTER_ARCH; modules find their names in GGUF by the rules of all families; and rows of heads
 * are left as they are, to be turned by who adds them to a model. Source: peft, tuners/lora/layer.py and config.py.
 */
#ifndef LLM_HF_ADAPTER_H
#define LLM_HF_ADAPTER_H

#include "weights/hf/hf_params.h"
#include "weights/hf/hf_weight.h"

#define LLM_HF_ADAPTER_ARCH "peft"

/* one tensor of a pair */
typedef struct LlmHfSide
{
	LlmStr		module;			/* "model.layers.0.self_attn.q_proj" */
	LlmStr		ending;			/* what its tensor in GGUF gets: ".weight.lora_a" */
	bool		columns;		/* of A of an embedding: it is stored transposed */
	float		factor;			/* values are to be multiplied by; 0: by nothing */
} LlmHfSide;

/* reads the configuration and writes the adapter's keys; *p as for llm_hf_params_read. LLM_E_UNSUPPORTED names key and value. */
extern LlmStatus llm_hf_adapter_read(LlmHfParams *p, const LlmStop *stop);

/* LLM_E_UNSUPPORTED naming a tensor that is no part of a pair; LLM_E_FORMAT for one of another shape or rank */
extern LlmStatus llm_hf_adapter_side(const LlmHfParams *p, const LlmHfWeight *w, LlmHfSide *side);

/* the error for a tensor of a module that no family has */
extern LlmStatus llm_hf_adapter_unknown(const LlmHfParams *p, const LlmHfWeight *w);

/* whether models of that architecture can take such an adapter, and whether its rows of query and key heads must be turned */
extern bool llm_hf_adapter_fits(const char *arch, bool *turn_heads);

#endif
