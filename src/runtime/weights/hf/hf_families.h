/*
 * hf_families.h: what families of model classes add to a configuration's common keys, between hf_families.c, hf_recurrent.c,
 * hf_delta_net.c and hf_encoders.c.
 */
#ifndef LLM_HF_FAMILIES_H
#define LLM_HF_FAMILIES_H

#include "weights/hf/hf_params.h"

/* feed-forward and epsilon of models with RMSNorm, and with LayerNorm; those of Gemma */
extern LlmStatus llm_hf_dense(LlmHfParams *p);
extern LlmStatus llm_hf_layer_norm(LlmHfParams *p);
extern LlmStatus llm_hf_gemma_keys(LlmHfParams *p);

/* experts: how many, how many of them a token takes, whether their weights sum to 1; and the groups that they are chosen in */
extern LlmStatus llm_hf_experts(LlmHfParams *p);
extern LlmStatus llm_hf_expert_groups(LlmHfParams *p);

extern LlmStatus llm_hf_qwen_experts(LlmHfParams *p);

/* hf_delta_net.c */
extern LlmStatus llm_hf_qwen3_next(LlmHfParams *p);
extern LlmStatus llm_hf_qwen3_5(LlmHfParams *p);

/* hf_recurrent.c */
extern LlmStatus llm_hf_mamba2(LlmHfParams *p);
extern LlmStatus llm_hf_nemotron_h(LlmHfParams *p);
extern LlmStatus llm_hf_lfm2(LlmHfParams *p);

/* hf_encoders.c */
extern LlmStatus llm_hf_bert(LlmHfParams *p);
extern LlmStatus llm_hf_nomic_bert(LlmHfParams *p);
extern LlmStatus llm_hf_modern_bert(LlmHfParams *p);
extern LlmStatus llm_hf_gemma_embedding(LlmHfParams *p);
extern LlmStatus llm_hf_jina_v3(LlmHfParams *p);
extern LlmStatus llm_hf_eurobert(LlmHfParams *p);

#endif
