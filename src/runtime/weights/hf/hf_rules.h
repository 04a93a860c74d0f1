/*
 * hf_rules.h: what tensors of a Hugging Face folder are called in GGUF, and what is done to them on the way: data.
 *
 * `from` is a name without the prefixes that models have in common ("model.", "backbone.", "bert." …; hf_tensors.c) and without
 * ".weight" or ".bias", which the result gets too. '*' stands for the number of a layer, '#' for that of an expert; experts
 * that are stored one by one become a stack.
 */
#ifndef LLM_HF_RULES_H
#define LLM_HF_RULES_H

#include "base/status.h"

typedef enum LlmHfHow
{
	LLM_HF_KEEP,
	LLM_HF_DROP,				/* known, and not computed with */
	LLM_HF_ROPE_Q,				/* rows of a head: pairs that lie half a head apart come to lie side by side */
	LLM_HF_ROPE_K,
	LLM_HF_PLUS_ONE,			/* of a ".weight": 1 is added */
	LLM_HF_NEG_EXP,				/* -exp(x) */
	LLM_HF_SQUEEZE,				/* dimensions of 1 are left out */
	LLM_HF_GROUPS,				/* a vector cut into the groups of the state space, one a row */
	LLM_HF_SPLIT_ROWS,			/* the first half of each matrix's rows, and with to2 the second */
	LLM_HF_SPLIT_QKVZ,			/* delta net: rows q, k, v, z of each key head; (q, k, v) of all heads, and z */
	LLM_HF_QKV_BY_HEAD,			/* rows q (of heads that share them), k, v of each key/value head; those of all heads, one kind after the other */
	LLM_HF_SPLIT_KV_B,			/* DeepSeek's kv_b: keys of each head, transposed, and values */
	LLM_HF_EVEN_ODD,			/* gpt-oss: inputs are rows; outputs in turn of one and of the other */
	LLM_HF_EVEN_ODD_BIAS,
	LLM_HF_TRANSPOSE,			/* a stack with inputs as rows; with to2 the halves of each matrix's outputs */
	LLM_HF_EITHER,				/* a stack with inputs as rows or as columns; with to2 the halves of each matrix's outputs */
	LLM_HF_COLUMNS,				/* a matrix with inputs as rows */
	LLM_HF_POSITIONS			/* RoBERTa: the first rows are not positions */
} LlmHfHow;

typedef struct LlmHfRule
{
	const char *from;
	const char *to;
	LlmHfHow	how;
	const char *to2;
} LlmHfRule;

/* lists end with a rule whose from is NULL */
extern const LlmHfRule llm_hf_rules_llama[];	/* the names most decoders share, after those of the family itself */
extern const LlmHfRule llm_hf_rules_rope_pairs[];
extern const LlmHfRule llm_hf_rules_gemma[];
extern const LlmHfRule llm_hf_rules_gemma1[];
extern const LlmHfRule llm_hf_rules_second_norm[];	/* the norm before the feed-forward, as architectures call it that have FFN_NORM_NAME */
extern const LlmHfRule llm_hf_rules_hunyuan[];
extern const LlmHfRule llm_hf_rules_phi[];
extern const LlmHfRule llm_hf_rules_starcoder2[];
extern const LlmHfRule llm_hf_rules_gpt_neox[];
extern const LlmHfRule llm_hf_rules_gpt2[];
extern const LlmHfRule llm_hf_rules_falcon[];
extern const LlmHfRule llm_hf_rules_apertus[];
extern const LlmHfRule llm_hf_rules_bloom[];
extern const LlmHfRule llm_hf_rules_mpt[];
extern const LlmHfRule llm_hf_rules_big_code[];
extern const LlmHfRule llm_hf_rules_mamba1[];
extern const LlmHfRule llm_hf_rules_jamba[];
extern const LlmHfRule llm_hf_rules_falcon_h1[];
extern const LlmHfRule llm_hf_rules_llama4[];
extern const LlmHfRule llm_hf_rules_qwen3_vl_experts[];
extern const LlmHfRule llm_hf_rules_minimax[];
extern const LlmHfRule llm_hf_rules_stablelm[];
extern const LlmHfRule llm_hf_rules_dense_after[];	/* what EmbeddingGemma has after its mean */
extern const LlmHfRule llm_hf_rules_glm4[];
extern const LlmHfRule llm_hf_rules_olmo2[];
extern const LlmHfRule llm_hf_rules_nemotron[];
extern const LlmHfRule llm_hf_rules_mixtral[];
extern const LlmHfRule llm_hf_rules_experts[];
extern const LlmHfRule llm_hf_rules_granite_experts[];
extern const LlmHfRule llm_hf_rules_granite_dense[];	/* what is shared where there are experts is all there is */
extern const LlmHfRule llm_hf_rules_granite_mamba[];
extern const LlmHfRule llm_hf_rules_ernie_experts[];
extern const LlmHfRule llm_hf_rules_hunyuan_experts[];
extern const LlmHfRule llm_hf_rules_gpt_oss[];
extern const LlmHfRule llm_hf_rules_deepseek[];
extern const LlmHfRule llm_hf_rules_mamba2[];
extern const LlmHfRule llm_hf_rules_nemotron_h[];
extern const LlmHfRule llm_hf_rules_delta_net[];	/* Qwen 3 Next, 3.5 */
extern const LlmHfRule llm_hf_rules_score[];	/* a classifier over the last token */
extern const LlmHfRule llm_hf_rules_lfm2[];
extern const LlmHfRule llm_hf_rules_lfm2_experts[];
extern const LlmHfRule llm_hf_rules_lfm2_no_bias[];	/* use_expert_bias is off */
extern const LlmHfRule llm_hf_rules_bert[];
extern const LlmHfRule llm_hf_rules_bert_classifier[];
extern const LlmHfRule llm_hf_rules_roberta[];
extern const LlmHfRule llm_hf_rules_nomic_bert[];
extern const LlmHfRule llm_hf_rules_jina_v3[];
extern const LlmHfRule llm_hf_rules_modern_bert[];
extern const LlmHfRule llm_hf_rules_modern_bert_classifier[];
extern const LlmHfRule llm_hf_rules_text_part[];	/* of models that also see: what sees is left out */

#endif
