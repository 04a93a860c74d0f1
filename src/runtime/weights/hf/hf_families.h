/*
 * hf_families.h: what families of model classes add to a configuration's common keys, between hf_families.c, hf_experts.c,
 * hf_older.c, hf_hybrid.c, hf_recurrent.c, hf_delta_net.c and hf_encoders.c.
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

/* multipliers of Granite; DeepSeek's latent attention and experts, but for the router */
extern LlmStatus llm_hf_granite_scales(LlmHfParams *p);
extern LlmStatus llm_hf_deepseek(LlmHfParams *p);

/* hf_experts.c */
extern LlmStatus llm_hf_minimax_m2(LlmHfParams *p);
extern LlmStatus llm_hf_granite_experts(LlmHfParams *p);
extern LlmStatus llm_hf_granite_hybrid(LlmHfParams *p);
extern LlmStatus llm_hf_glm4_experts(LlmHfParams *p);
extern LlmStatus llm_hf_glm4_lite(LlmHfParams *p);
extern LlmStatus llm_hf_ernie_experts(LlmHfParams *p);
extern LlmStatus llm_hf_hunyuan(LlmHfParams *p);
extern LlmStatus llm_hf_hunyuan_experts(LlmHfParams *p);
extern LlmStatus llm_hf_dots1(LlmHfParams *p);
extern LlmStatus llm_hf_phimoe(LlmHfParams *p);
extern LlmStatus llm_hf_llama4(LlmHfParams *p);

/* hf_older.c */
extern LlmStatus llm_hf_bloom(LlmHfParams *p);
extern LlmStatus llm_hf_mpt(LlmHfParams *p);
extern LlmStatus llm_hf_big_code(LlmHfParams *p);
extern LlmStatus llm_hf_wide_feed_forward(LlmHfParams *p, const char *key);

/* hf_hybrid.c */
extern LlmStatus llm_hf_mamba1(LlmHfParams *p);
extern LlmStatus llm_hf_jamba(LlmHfParams *p);
extern LlmStatus llm_hf_falcon_h1(LlmHfParams *p);

/* hf_delta_net.c */
extern LlmStatus llm_hf_qwen3_next(LlmHfParams *p);
extern LlmStatus llm_hf_qwen3_5(LlmHfParams *p);

/* hf_recurrent.c */
extern LlmStatus llm_hf_mamba2(LlmHfParams *p);
extern LlmStatus llm_hf_nemotron_h(LlmHfParams *p);
extern LlmStatus llm_hf_lfm2(LlmHfParams *p);
extern LlmStatus llm_hf_lfm2_experts(LlmHfParams *p);

/* a state space, by the keys of its number of heads, their size ("auto": from the width) and the state's */
extern LlmStatus llm_hf_state_space(LlmHfParams *p, const char *heads, const char *head_dim, const char *state);

/* hf_encoders.c */
extern LlmStatus llm_hf_bert(LlmHfParams *p);
extern LlmStatus llm_hf_nomic_bert(LlmHfParams *p);
extern LlmStatus llm_hf_modern_bert(LlmHfParams *p);
extern LlmStatus llm_hf_gemma_embedding(LlmHfParams *p);
extern LlmStatus llm_hf_jina_v3(LlmHfParams *p);
extern LlmStatus llm_hf_eurobert(LlmHfParams *p);

#endif
