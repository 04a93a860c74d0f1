/*
 * hf_rules.c: names and transforms by family. Source: transformers 5, src/transformers/models; llama.cpp's gguf-py,
 * tensor_mapping.py, and conversion/.
 */
#include "weights/hf/hf_rules.h"

#include <stddef.h>

#define END {NULL, NULL, LLM_HF_KEEP, NULL}

const LlmHfRule llm_hf_rules_llama[] = {
	{"embed_tokens", "token_embd", LLM_HF_KEEP, NULL},
	{"norm", "output_norm", LLM_HF_KEEP, NULL},
	{"lm_head", "output", LLM_HF_KEEP, NULL},
	{"layers.*.input_layernorm", "blk.*.attn_norm", LLM_HF_KEEP, NULL},
	{"layers.*.post_attention_layernorm", "blk.*.ffn_norm", LLM_HF_KEEP, NULL},
	{"layers.*.self_attn.q_proj", "blk.*.attn_q", LLM_HF_KEEP, NULL},
	{"layers.*.self_attn.k_proj", "blk.*.attn_k", LLM_HF_KEEP, NULL},
	{"layers.*.self_attn.v_proj", "blk.*.attn_v", LLM_HF_KEEP, NULL},
	{"layers.*.self_attn.o_proj", "blk.*.attn_output", LLM_HF_KEEP, NULL},
	{"layers.*.self_attn.qkv_proj", "blk.*.attn_qkv", LLM_HF_KEEP, NULL},
	{"layers.*.self_attn.q_norm", "blk.*.attn_q_norm", LLM_HF_KEEP, NULL},
	{"layers.*.self_attn.k_norm", "blk.*.attn_k_norm", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.gate_proj", "blk.*.ffn_gate", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.up_proj", "blk.*.ffn_up", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.down_proj", "blk.*.ffn_down", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.gate_up_proj", "blk.*.ffn_up", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_rope_pairs[] = {
	{"layers.*.self_attn.q_proj", "blk.*.attn_q", LLM_HF_ROPE_Q, NULL},
	{"layers.*.self_attn.k_proj", "blk.*.attn_k", LLM_HF_ROPE_K, NULL},
	END
};

const LlmHfRule llm_hf_rules_gemma[] = {
	{"norm", "output_norm", LLM_HF_PLUS_ONE, NULL},
	{"layers.*.input_layernorm", "blk.*.attn_norm", LLM_HF_PLUS_ONE, NULL},
	{"layers.*.post_attention_layernorm", "blk.*.post_attention_norm", LLM_HF_PLUS_ONE, NULL},
	{"layers.*.pre_feedforward_layernorm", "blk.*.ffn_norm", LLM_HF_PLUS_ONE, NULL},
	{"layers.*.post_feedforward_layernorm", "blk.*.post_ffw_norm", LLM_HF_PLUS_ONE, NULL},
	{"layers.*.self_attn.q_norm", "blk.*.attn_q_norm", LLM_HF_PLUS_ONE, NULL},
	{"layers.*.self_attn.k_norm", "blk.*.attn_k_norm", LLM_HF_PLUS_ONE, NULL},
	END
};

const LlmHfRule llm_hf_rules_gemma1[] = {
	{"norm", "output_norm", LLM_HF_PLUS_ONE, NULL},
	{"layers.*.input_layernorm", "blk.*.attn_norm", LLM_HF_PLUS_ONE, NULL},
	{"layers.*.post_attention_layernorm", "blk.*.ffn_norm", LLM_HF_PLUS_ONE, NULL},
	END
};

const LlmHfRule llm_hf_rules_second_norm[] = {
	{"layers.*.post_attention_layernorm", "blk.*.post_attention_norm", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_hunyuan[] = {
	{"layers.*.self_attn.query_layernorm", "blk.*.attn_q_norm", LLM_HF_KEEP, NULL},
	{"layers.*.self_attn.key_layernorm", "blk.*.attn_k_norm", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_phi[] = {
	{"final_layernorm", "output_norm", LLM_HF_KEEP, NULL},
	{"layers.*.self_attn.dense", "blk.*.attn_output", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.fc1", "blk.*.ffn_up", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.fc2", "blk.*.ffn_down", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_starcoder2[] = {
	{"layers.*.mlp.c_fc", "blk.*.ffn_up", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.c_proj", "blk.*.ffn_down", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_gpt_neox[] = {
	{"embed_in", "token_embd", LLM_HF_KEEP, NULL},
	{"embed_out", "output", LLM_HF_KEEP, NULL},
	{"lm_head", "output", LLM_HF_KEEP, NULL},
	{"final_layer_norm", "output_norm", LLM_HF_KEEP, NULL},
	{"layers.*.input_layernorm", "blk.*.attn_norm", LLM_HF_KEEP, NULL},
	{"layers.*.post_attention_layernorm", "blk.*.ffn_norm", LLM_HF_KEEP, NULL},
	{"layers.*.attention.query_key_value", "blk.*.attn_qkv", LLM_HF_QKV_BY_HEAD, NULL},
	{"layers.*.attention.dense", "blk.*.attn_output", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.dense_h_to_4h", "blk.*.ffn_up", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.dense_4h_to_h", "blk.*.ffn_down", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_gpt2[] = {
	{"wte", "token_embd", LLM_HF_KEEP, NULL},
	{"wpe", "position_embd", LLM_HF_KEEP, NULL},
	{"ln_f", "output_norm", LLM_HF_KEEP, NULL},
	{"lm_head", "output", LLM_HF_KEEP, NULL},
	{"h.*.ln_1", "blk.*.attn_norm", LLM_HF_KEEP, NULL},
	{"h.*.ln_2", "blk.*.ffn_norm", LLM_HF_KEEP, NULL},
	{"h.*.attn.c_attn", "blk.*.attn_qkv", LLM_HF_COLUMNS, NULL},
	{"h.*.attn.c_proj", "blk.*.attn_output", LLM_HF_COLUMNS, NULL},
	{"h.*.mlp.c_fc", "blk.*.ffn_up", LLM_HF_COLUMNS, NULL},
	{"h.*.mlp.c_proj", "blk.*.ffn_down", LLM_HF_COLUMNS, NULL},
	{"h.*.attn", NULL, LLM_HF_DROP, NULL},	/* .bias of older files: which tokens are seen */
	{"h.*.attn.masked_bias", NULL, LLM_HF_DROP, NULL},
	END
};

const LlmHfRule llm_hf_rules_falcon[] = {
	{"word_embeddings", "token_embd", LLM_HF_KEEP, NULL},
	{"ln_f", "output_norm", LLM_HF_KEEP, NULL},
	{"lm_head", "output", LLM_HF_KEEP, NULL},
	{"h.*.input_layernorm", "blk.*.attn_norm", LLM_HF_KEEP, NULL},
	{"h.*.ln_mlp", "blk.*.attn_norm", LLM_HF_KEEP, NULL},
	{"h.*.ln_attn", "blk.*.attn_norm_2", LLM_HF_KEEP, NULL},
	{"h.*.self_attention.query_key_value", "blk.*.attn_qkv", LLM_HF_QKV_BY_HEAD, NULL},
	{"h.*.self_attention.dense", "blk.*.attn_output", LLM_HF_KEEP, NULL},
	{"h.*.mlp.dense_h_to_4h", "blk.*.ffn_up", LLM_HF_KEEP, NULL},
	{"h.*.mlp.dense_4h_to_h", "blk.*.ffn_down", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_bloom[] = {
	{"word_embeddings", "token_embd", LLM_HF_KEEP, NULL},
	{"word_embeddings_layernorm", "token_embd_norm", LLM_HF_KEEP, NULL},
	{"ln_f", "output_norm", LLM_HF_KEEP, NULL},
	{"lm_head", "output", LLM_HF_KEEP, NULL},
	{"h.*.input_layernorm", "blk.*.attn_norm", LLM_HF_KEEP, NULL},
	{"h.*.post_attention_layernorm", "blk.*.ffn_norm", LLM_HF_KEEP, NULL},
	{"h.*.self_attention.query_key_value", "blk.*.attn_qkv", LLM_HF_QKV_BY_HEAD, NULL},
	{"h.*.self_attention.dense", "blk.*.attn_output", LLM_HF_KEEP, NULL},
	{"h.*.mlp.dense_h_to_4h", "blk.*.ffn_up", LLM_HF_KEEP, NULL},
	{"h.*.mlp.dense_4h_to_h", "blk.*.ffn_down", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_mpt[] = {
	{"wte", "token_embd", LLM_HF_KEEP, NULL},
	{"norm_f", "output_norm", LLM_HF_KEEP, NULL},
	{"lm_head", "output", LLM_HF_KEEP, NULL},
	{"blocks.*.norm_1", "blk.*.attn_norm", LLM_HF_KEEP, NULL},
	{"blocks.*.norm_2", "blk.*.ffn_norm", LLM_HF_KEEP, NULL},
	{"blocks.*.attn.Wqkv", "blk.*.attn_qkv", LLM_HF_KEEP, NULL},
	{"blocks.*.attn.out_proj", "blk.*.attn_output", LLM_HF_KEEP, NULL},
	{"blocks.*.ffn.up_proj", "blk.*.ffn_up", LLM_HF_KEEP, NULL},
	{"blocks.*.ffn.down_proj", "blk.*.ffn_down", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_big_code[] = {
	{"wte", "token_embd", LLM_HF_KEEP, NULL},
	{"wpe", "position_embd", LLM_HF_KEEP, NULL},
	{"ln_f", "output_norm", LLM_HF_KEEP, NULL},
	{"lm_head", "output", LLM_HF_KEEP, NULL},
	{"h.*.ln_1", "blk.*.attn_norm", LLM_HF_KEEP, NULL},
	{"h.*.ln_2", "blk.*.ffn_norm", LLM_HF_KEEP, NULL},
	{"h.*.attn.c_attn", "blk.*.attn_qkv", LLM_HF_QKV_BY_HEAD, NULL},	/* with one key/value head they are in order already */
	{"h.*.attn.c_proj", "blk.*.attn_output", LLM_HF_KEEP, NULL},
	{"h.*.mlp.c_fc", "blk.*.ffn_up", LLM_HF_KEEP, NULL},
	{"h.*.mlp.c_proj", "blk.*.ffn_down", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_llama4[] = {
	{"layers.*.feed_forward.gate_proj", "blk.*.ffn_gate", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.up_proj", "blk.*.ffn_up", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.down_proj", "blk.*.ffn_down", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.router", "blk.*.ffn_gate_inp", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.experts.gate_up_proj", "blk.*.ffn_gate_exps.weight", LLM_HF_TRANSPOSE, "blk.*.ffn_up_exps.weight"},
	{"layers.*.feed_forward.experts.down_proj", "blk.*.ffn_down_exps.weight", LLM_HF_TRANSPOSE, NULL},
	{"layers.*.feed_forward.shared_expert.gate_proj", "blk.*.ffn_gate_shexp", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.shared_expert.up_proj", "blk.*.ffn_up_shexp", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.shared_expert.down_proj", "blk.*.ffn_down_shexp", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_apertus[] = {
	{"layers.*.attention_layernorm", "blk.*.attn_norm", LLM_HF_KEEP, NULL},
	{"layers.*.feedforward_layernorm", "blk.*.ffn_norm", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.act_fn.alpha_p", "blk.*.ffn_act.alpha_p", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.act_fn.alpha_n", "blk.*.ffn_act.alpha_n", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.act_fn.beta", "blk.*.ffn_act.beta", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.act_fn.eps", "blk.*.ffn_act.eps", LLM_HF_KEEP, NULL},
	END
};

/* experts with inputs as rows, but as columns where transformers 5 has saved them */
const LlmHfRule llm_hf_rules_qwen3_vl_experts[] = {
	{"layers.*.mlp.experts.gate_up_proj", "blk.*.ffn_gate_exps.weight", LLM_HF_EITHER, "blk.*.ffn_up_exps.weight"},
	{"layers.*.mlp.experts.down_proj", "blk.*.ffn_down_exps.weight", LLM_HF_EITHER, NULL},
	END
};

const LlmHfRule llm_hf_rules_minimax[] = {
	{"layers.*.block_sparse_moe.e_score_correction_bias", "blk.*.exp_probs_b.bias", LLM_HF_KEEP, NULL},
	{"mtp.", NULL, LLM_HF_DROP, NULL},
	END
};

/* a norm for each head, which become the rows of one */
const LlmHfRule llm_hf_rules_stablelm[] = {
	{"layers.*.self_attn.q_layernorm.norms.#", "blk.*.attn_q_norm", LLM_HF_KEEP, NULL},
	{"layers.*.self_attn.k_layernorm.norms.#", "blk.*.attn_k_norm", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_dense_after[] = {
	{"2_Dense.linear", "dense_2", LLM_HF_KEEP, NULL},
	{"3_Dense.linear", "dense_3", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_glm4[] = {
	{"layers.*.post_self_attn_layernorm", "blk.*.post_attention_norm", LLM_HF_KEEP, NULL},
	{"layers.*.post_mlp_layernorm", "blk.*.post_ffw_norm", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_olmo2[] = {
	{"layers.*.post_attention_layernorm", "blk.*.post_attention_norm", LLM_HF_KEEP, NULL},
	{"layers.*.post_feedforward_layernorm", "blk.*.post_ffw_norm", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_nemotron[] = {
	{"norm", "output_norm", LLM_HF_PLUS_ONE, NULL},
	{"layers.*.input_layernorm", "blk.*.attn_norm", LLM_HF_PLUS_ONE, NULL},
	{"layers.*.post_attention_layernorm", "blk.*.ffn_norm", LLM_HF_PLUS_ONE, NULL},
	END
};

const LlmHfRule llm_hf_rules_mixtral[] = {
	{"layers.*.block_sparse_moe.gate", "blk.*.ffn_gate_inp", LLM_HF_KEEP, NULL},
	{"layers.*.block_sparse_moe.experts.#.w1", "blk.*.ffn_gate_exps", LLM_HF_KEEP, NULL},
	{"layers.*.block_sparse_moe.experts.#.w2", "blk.*.ffn_down_exps", LLM_HF_KEEP, NULL},
	{"layers.*.block_sparse_moe.experts.#.w3", "blk.*.ffn_up_exps", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_experts[] = {
	{"layers.*.mlp.gate", "blk.*.ffn_gate_inp", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.gate.e_score_correction_bias", "blk.*.exp_probs_b.bias", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.experts.#.gate_proj", "blk.*.ffn_gate_exps", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.experts.#.up_proj", "blk.*.ffn_up_exps", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.experts.#.down_proj", "blk.*.ffn_down_exps", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.experts.gate_up_proj", "blk.*.ffn_gate_exps.weight", LLM_HF_SPLIT_ROWS, "blk.*.ffn_up_exps.weight"},
	{"layers.*.mlp.experts.down_proj", "blk.*.ffn_down_exps.weight", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.shared_expert.gate_proj", "blk.*.ffn_gate_shexp", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.shared_expert.up_proj", "blk.*.ffn_up_shexp", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.shared_expert.down_proj", "blk.*.ffn_down_shexp", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.shared_expert_gate", "blk.*.ffn_gate_inp_shexp", LLM_HF_SQUEEZE, NULL},
	{"layers.*.mlp.shared_experts.gate_proj", "blk.*.ffn_gate_shexp", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.shared_experts.up_proj", "blk.*.ffn_up_shexp", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.shared_experts.down_proj", "blk.*.ffn_down_shexp", LLM_HF_KEEP, NULL},
	END
};

/* gate and up of an expert, and of all experts, in one */
const LlmHfRule llm_hf_rules_granite_experts[] = {
	{"layers.*.block_sparse_moe.router.layer", "blk.*.ffn_gate_inp", LLM_HF_KEEP, NULL},
	{"layers.*.block_sparse_moe.input_linear", "blk.*.ffn_gate_exps", LLM_HF_SPLIT_ROWS, "blk.*.ffn_up_exps"},
	{"layers.*.block_sparse_moe.output_linear", "blk.*.ffn_down_exps", LLM_HF_KEEP, NULL},
	{"layers.*.shared_mlp.input_linear", "blk.*.ffn_gate_shexp", LLM_HF_SPLIT_ROWS, "blk.*.ffn_up_shexp"},
	{"layers.*.shared_mlp.output_linear", "blk.*.ffn_down_shexp", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_granite_dense[] = {
	{"layers.*.shared_mlp.input_linear", "blk.*.ffn_gate", LLM_HF_SPLIT_ROWS, "blk.*.ffn_up"},
	{"layers.*.shared_mlp.output_linear", "blk.*.ffn_down", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_granite_mamba[] = {
	{"layers.*.mamba.in_proj", "blk.*.ssm_in", LLM_HF_KEEP, NULL},
	{"layers.*.mamba.out_proj", "blk.*.ssm_out", LLM_HF_KEEP, NULL},
	{"layers.*.mamba.conv1d", "blk.*.ssm_conv1d", LLM_HF_SQUEEZE, NULL},
	{"layers.*.mamba.norm", "blk.*.ssm_norm", LLM_HF_GROUPS, NULL},
	{"layers.*.mamba.dt_bias", "blk.*.ssm_dt.bias", LLM_HF_KEEP, NULL},
	{"layers.*.mamba.A_log", "blk.*.ssm_a", LLM_HF_NEG_EXP, NULL},
	{"layers.*.mamba.D", "blk.*.ssm_d", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_ernie_experts[] = {
	{"layers.*.mlp.moe_statics.e_score_correction_bias", "blk.*.exp_probs_b.bias", LLM_HF_SQUEEZE, NULL},
	{"mtp_block.", NULL, LLM_HF_DROP, NULL},
	{"mtp_emb_norm.", NULL, LLM_HF_DROP, NULL},
	{"mtp_hidden_norm.", NULL, LLM_HF_DROP, NULL},
	{"mtp_linear_proj.", NULL, LLM_HF_DROP, NULL},
	END
};

const LlmHfRule llm_hf_rules_hunyuan_experts[] = {
	{"layers.*.mlp.gate.wg", "blk.*.ffn_gate_inp", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.shared_mlp.gate_proj", "blk.*.ffn_gate_shexp", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.shared_mlp.up_proj", "blk.*.ffn_up_shexp", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.shared_mlp.down_proj", "blk.*.ffn_down_shexp", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_gpt_oss[] = {
	{"layers.*.post_attention_layernorm", "blk.*.post_attention_norm", LLM_HF_KEEP, NULL},
	{"layers.*.self_attn.sinks", "blk.*.attn_sinks.weight", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.router", "blk.*.ffn_gate_inp", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.experts.gate_up_proj", "blk.*.ffn_gate_exps.weight", LLM_HF_EVEN_ODD, "blk.*.ffn_up_exps.weight"},
	{"layers.*.mlp.experts.gate_up_proj_bias", "blk.*.ffn_gate_exps.bias", LLM_HF_EVEN_ODD_BIAS, "blk.*.ffn_up_exps.bias"},
	{"layers.*.mlp.experts.down_proj", "blk.*.ffn_down_exps.weight", LLM_HF_TRANSPOSE, NULL},
	{"layers.*.mlp.experts.down_proj_bias", "blk.*.ffn_down_exps.bias", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_deepseek[] = {
	{"layers.*.self_attn.q_a_proj", "blk.*.attn_q_a", LLM_HF_KEEP, NULL},
	{"layers.*.self_attn.q_a_layernorm", "blk.*.attn_q_a_norm", LLM_HF_KEEP, NULL},
	{"layers.*.self_attn.q_b_proj", "blk.*.attn_q_b", LLM_HF_KEEP, NULL},
	{"layers.*.self_attn.kv_a_proj_with_mqa", "blk.*.attn_kv_a_mqa", LLM_HF_KEEP, NULL},
	{"layers.*.self_attn.kv_a_layernorm", "blk.*.attn_kv_a_norm", LLM_HF_KEEP, NULL},
	{"layers.*.self_attn.kv_b_proj", "blk.*.attn_k_b", LLM_HF_SPLIT_KV_B, "blk.*.attn_v_b"},
	END
};

const LlmHfRule llm_hf_rules_mamba2[] = {
	{"embeddings", "token_embd", LLM_HF_KEEP, NULL},
	{"norm_f", "output_norm", LLM_HF_KEEP, NULL},
	{"lm_head", "output", LLM_HF_KEEP, NULL},
	{"layers.*.norm", "blk.*.attn_norm", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.in_proj", "blk.*.ssm_in", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.out_proj", "blk.*.ssm_out", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.conv1d", "blk.*.ssm_conv1d", LLM_HF_SQUEEZE, NULL},
	{"layers.*.mixer.norm", "blk.*.ssm_norm", LLM_HF_GROUPS, NULL},
	{"layers.*.mixer.dt_bias", "blk.*.ssm_dt.bias", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.A_log", "blk.*.ssm_a", LLM_HF_NEG_EXP, NULL},
	{"layers.*.mixer.D", "blk.*.ssm_d", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_mamba1[] = {
	{"embeddings", "token_embd", LLM_HF_KEEP, NULL},
	{"norm_f", "output_norm", LLM_HF_KEEP, NULL},
	{"lm_head", "output", LLM_HF_KEEP, NULL},
	{"layers.*.norm", "blk.*.attn_norm", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.in_proj", "blk.*.ssm_in", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.out_proj", "blk.*.ssm_out", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.conv1d", "blk.*.ssm_conv1d", LLM_HF_SQUEEZE, NULL},
	{"layers.*.mixer.x_proj", "blk.*.ssm_x", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.dt_proj", "blk.*.ssm_dt", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.A_log", "blk.*.ssm_a", LLM_HF_NEG_EXP, NULL},
	{"layers.*.mixer.D", "blk.*.ssm_d", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_jamba[] = {
	{"final_layernorm", "output_norm", LLM_HF_KEEP, NULL},
	{"layers.*.pre_ff_layernorm", "blk.*.ffn_norm", LLM_HF_KEEP, NULL},
	{"layers.*.mamba.in_proj", "blk.*.ssm_in", LLM_HF_KEEP, NULL},
	{"layers.*.mamba.out_proj", "blk.*.ssm_out", LLM_HF_KEEP, NULL},
	{"layers.*.mamba.conv1d", "blk.*.ssm_conv1d", LLM_HF_SQUEEZE, NULL},
	{"layers.*.mamba.x_proj", "blk.*.ssm_x", LLM_HF_KEEP, NULL},
	{"layers.*.mamba.dt_proj", "blk.*.ssm_dt", LLM_HF_KEEP, NULL},
	{"layers.*.mamba.dt_layernorm", "blk.*.ssm_dt_norm", LLM_HF_KEEP, NULL},
	{"layers.*.mamba.b_layernorm", "blk.*.ssm_b_norm", LLM_HF_KEEP, NULL},
	{"layers.*.mamba.c_layernorm", "blk.*.ssm_c_norm", LLM_HF_KEEP, NULL},
	{"layers.*.mamba.A_log", "blk.*.ssm_a", LLM_HF_NEG_EXP, NULL},
	{"layers.*.mamba.D", "blk.*.ssm_d", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.gate_proj", "blk.*.ffn_gate", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.up_proj", "blk.*.ffn_up", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.down_proj", "blk.*.ffn_down", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.router", "blk.*.ffn_gate_inp", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.experts.#.gate_proj", "blk.*.ffn_gate_exps", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.experts.#.up_proj", "blk.*.ffn_up_exps", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.experts.#.down_proj", "blk.*.ffn_down_exps", LLM_HF_KEEP, NULL},
	END
};

/* beside those of a state space as Granite has it */
const LlmHfRule llm_hf_rules_falcon_h1[] = {
	{"final_layernorm", "output_norm", LLM_HF_KEEP, NULL},
	{"layers.*.pre_ff_layernorm", "blk.*.ffn_norm", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.gate_proj", "blk.*.ffn_gate", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.up_proj", "blk.*.ffn_up", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.down_proj", "blk.*.ffn_down", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_nemotron_h[] = {
	{"layers.*.mixer.q_proj", "blk.*.attn_q", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.k_proj", "blk.*.attn_k", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.v_proj", "blk.*.attn_v", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.o_proj", "blk.*.attn_output", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.up_proj", "blk.*.ffn_up", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.down_proj", "blk.*.ffn_down", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.gate", "blk.*.ffn_gate_inp", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.gate.e_score_correction_bias", "blk.*.exp_probs_b.bias", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.experts.#.up_proj", "blk.*.ffn_up_exps", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.experts.#.down_proj", "blk.*.ffn_down_exps", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.experts.up_proj", "blk.*.ffn_up_exps.weight", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.experts.down_proj", "blk.*.ffn_down_exps.weight", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.shared_experts.up_proj", "blk.*.ffn_up_shexp", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.shared_experts.down_proj", "blk.*.ffn_down_shexp", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.fc1_latent_proj", "blk.*.ffn_latent_down", LLM_HF_KEEP, NULL},
	{"layers.*.mixer.fc2_latent_proj", "blk.*.ffn_latent_up", LLM_HF_KEEP, NULL},
	{"mtp.", NULL, LLM_HF_DROP, NULL},
	END
};

const LlmHfRule llm_hf_rules_delta_net[] = {
	{"norm", "output_norm", LLM_HF_PLUS_ONE, NULL},
	{"layers.*.input_layernorm", "blk.*.attn_norm", LLM_HF_PLUS_ONE, NULL},
	{"layers.*.post_attention_layernorm", "blk.*.post_attention_norm", LLM_HF_PLUS_ONE, NULL},
	{"layers.*.self_attn.q_norm", "blk.*.attn_q_norm", LLM_HF_PLUS_ONE, NULL},
	{"layers.*.self_attn.k_norm", "blk.*.attn_k_norm", LLM_HF_PLUS_ONE, NULL},
	{"layers.*.linear_attn.in_proj_qkvz", "blk.*.attn_qkv", LLM_HF_SPLIT_QKVZ, "blk.*.attn_gate"},
	{"layers.*.linear_attn.in_proj_qkv", "blk.*.attn_qkv", LLM_HF_KEEP, NULL},
	{"layers.*.linear_attn.in_proj_z", "blk.*.attn_gate", LLM_HF_KEEP, NULL},
	{"layers.*.linear_attn.in_proj_ba", "blk.*.ssm_ba", LLM_HF_KEEP, NULL},
	{"layers.*.linear_attn.in_proj_b", "blk.*.ssm_beta", LLM_HF_KEEP, NULL},
	{"layers.*.linear_attn.in_proj_a", "blk.*.ssm_alpha", LLM_HF_KEEP, NULL},
	{"layers.*.linear_attn.conv1d", "blk.*.ssm_conv1d", LLM_HF_SQUEEZE, NULL},
	{"layers.*.linear_attn.dt_bias", "blk.*.ssm_dt.bias", LLM_HF_KEEP, NULL},
	{"layers.*.linear_attn.A_log", "blk.*.ssm_a", LLM_HF_NEG_EXP, NULL},
	{"layers.*.linear_attn.norm", "blk.*.ssm_norm", LLM_HF_KEEP, NULL},
	{"layers.*.linear_attn.out_proj", "blk.*.ssm_out", LLM_HF_KEEP, NULL},
	{"mtp.", NULL, LLM_HF_DROP, NULL},
	END
};

const LlmHfRule llm_hf_rules_score[] = {
	{"score", "cls.output", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_lfm2[] = {
	{"embedding_norm", "token_embd_norm", LLM_HF_KEEP, NULL},
	{"layers.*.operator_norm", "blk.*.attn_norm", LLM_HF_KEEP, NULL},
	{"layers.*.ffn_norm", "blk.*.ffn_norm", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.w1", "blk.*.ffn_gate", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.w2", "blk.*.ffn_down", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.w3", "blk.*.ffn_up", LLM_HF_KEEP, NULL},
	{"layers.*.conv.in_proj", "blk.*.shortconv.in_proj", LLM_HF_KEEP, NULL},
	{"layers.*.conv.conv", "blk.*.shortconv.conv", LLM_HF_SQUEEZE, NULL},
	{"layers.*.conv.out_proj", "blk.*.shortconv.out_proj", LLM_HF_KEEP, NULL},
	{"layers.*.self_attn.q_layernorm", "blk.*.attn_q_norm", LLM_HF_KEEP, NULL},
	{"layers.*.self_attn.k_layernorm", "blk.*.attn_k_norm", LLM_HF_KEEP, NULL},
	{"layers.*.self_attn.out_proj", "blk.*.attn_output", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_lfm2_experts[] = {
	{"layers.*.feed_forward.gate", "blk.*.ffn_gate_inp", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.expert_bias", "blk.*.exp_probs_b.bias", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.experts.#.w1", "blk.*.ffn_gate_exps", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.experts.#.w2", "blk.*.ffn_down_exps", LLM_HF_KEEP, NULL},
	{"layers.*.feed_forward.experts.#.w3", "blk.*.ffn_up_exps", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_lfm2_no_bias[] = {
	{"layers.*.feed_forward.expert_bias", NULL, LLM_HF_DROP, NULL},
	END
};

const LlmHfRule llm_hf_rules_bert[] = {
	{"embeddings.word_embeddings", "token_embd", LLM_HF_KEEP, NULL},
	{"embeddings.position_embeddings", "position_embd", LLM_HF_POSITIONS, NULL},
	{"embeddings.token_type_embeddings", "token_types", LLM_HF_KEEP, NULL},
	{"embeddings.LayerNorm", "token_embd_norm", LLM_HF_KEEP, NULL},
	{"encoder.layer.*.attention.self.query", "blk.*.attn_q", LLM_HF_KEEP, NULL},
	{"encoder.layer.*.attention.self.key", "blk.*.attn_k", LLM_HF_KEEP, NULL},
	{"encoder.layer.*.attention.self.value", "blk.*.attn_v", LLM_HF_KEEP, NULL},
	{"encoder.layer.*.attention.output.dense", "blk.*.attn_output", LLM_HF_KEEP, NULL},
	{"encoder.layer.*.attention.output.LayerNorm", "blk.*.attn_output_norm", LLM_HF_KEEP, NULL},
	{"encoder.layer.*.intermediate.dense", "blk.*.ffn_up", LLM_HF_KEEP, NULL},
	{"encoder.layer.*.output.dense", "blk.*.ffn_down", LLM_HF_KEEP, NULL},
	{"encoder.layer.*.output.LayerNorm", "blk.*.layer_output_norm", LLM_HF_KEEP, NULL},
	{"pooler.", NULL, LLM_HF_DROP, NULL},
	{"cls.", NULL, LLM_HF_DROP, NULL},
	{"lm_head.", NULL, LLM_HF_DROP, NULL},
	END
};

const LlmHfRule llm_hf_rules_bert_classifier[] = {
	{"pooler.dense", "cls", LLM_HF_KEEP, NULL},
	{"classifier", "cls.output", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_roberta[] = {
	{"classifier.dense", "cls", LLM_HF_KEEP, NULL},
	{"classifier.out_proj", "cls.output", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_nomic_bert[] = {
	{"emb_ln", "token_embd_norm", LLM_HF_KEEP, NULL},
	{"encoder.layers.*.attn.Wqkv", "blk.*.attn_qkv", LLM_HF_KEEP, NULL},
	{"encoder.layers.*.attn.out_proj", "blk.*.attn_output", LLM_HF_KEEP, NULL},
	{"encoder.layers.*.norm1", "blk.*.attn_output_norm", LLM_HF_KEEP, NULL},
	{"encoder.layers.*.mlp.fc11", "blk.*.ffn_up", LLM_HF_KEEP, NULL},
	{"encoder.layers.*.mlp.fc12", "blk.*.ffn_gate", LLM_HF_KEEP, NULL},
	{"encoder.layers.*.mlp.fc2", "blk.*.ffn_down", LLM_HF_KEEP, NULL},
	{"encoder.layers.*.norm2", "blk.*.layer_output_norm", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_jina_v3[] = {
	{"encoder.layers.*.mixer.Wqkv", "blk.*.attn_qkv", LLM_HF_KEEP, NULL},
	{"encoder.layers.*.mixer.out_proj", "blk.*.attn_output", LLM_HF_KEEP, NULL},
	{"encoder.layers.*.mlp.fc1", "blk.*.ffn_up", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_modern_bert[] = {
	{"embeddings.tok_embeddings", "token_embd", LLM_HF_KEEP, NULL},
	{"embeddings.norm", "token_embd_norm", LLM_HF_KEEP, NULL},
	{"layers.*.attn_norm", "blk.*.attn_norm", LLM_HF_KEEP, NULL},
	{"layers.*.attn.Wqkv", "blk.*.attn_qkv", LLM_HF_KEEP, NULL},
	{"layers.*.attn.Wo", "blk.*.attn_output", LLM_HF_KEEP, NULL},
	{"layers.*.mlp_norm", "blk.*.ffn_norm", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.Wi", "blk.*.ffn_up", LLM_HF_KEEP, NULL},
	{"layers.*.mlp.Wo", "blk.*.ffn_down", LLM_HF_KEEP, NULL},
	{"final_norm", "output_norm", LLM_HF_KEEP, NULL},
	{"head.", NULL, LLM_HF_DROP, NULL},
	{"decoder", NULL, LLM_HF_DROP, NULL},
	END
};

const LlmHfRule llm_hf_rules_modern_bert_classifier[] = {
	{"head.dense", "cls", LLM_HF_KEEP, NULL},
	{"head.norm", "cls.norm", LLM_HF_KEEP, NULL},
	{"classifier", "cls.output", LLM_HF_KEEP, NULL},
	END
};

const LlmHfRule llm_hf_rules_text_part[] = {
	{"vision_tower.", NULL, LLM_HF_DROP, NULL},
	{"vision_model.", NULL, LLM_HF_DROP, NULL},
	{"visual.", NULL, LLM_HF_DROP, NULL},
	{"multi_modal_projector.", NULL, LLM_HF_DROP, NULL},
	END
};
