#!/usr/bin/env python3
"""Random small models written as Hugging Face folders by transformers, and what they compute in float32 on the CPU: logits of the
last position, the mean of the hidden states (encoders), or the outputs of a classifier.

  hf_folders.py write DIR [NAME...]    a folder for each model (seeded), with reference.json beside its config.json
  hf_folders.py check DIR [NAME...]    run build/llm on each and compare; exit status 1 above the tolerance
  hf_folders.py record FILE [NAME...]  config, shapes and results of models with weights that follow from their names: what
                                       src/test/unit/hf_classes_test.c reads (sql-tests/data/hf/classes.json)

write and record need torch and transformers (5.23.0 made the ones in sql-tests/data/hf); check needs only Python and build/llm.
"""
import json
import os
import subprocess
import sys

TOLERANCE = 2e-3
BASE = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0)
WIDE = dict(vocab_size=199, hidden_size=96, intermediate_size=136, num_hidden_layers=5, num_attention_heads=6,
            num_key_value_heads=3, max_position_embeddings=512, bos_token_id=1, eos_token_id=2, pad_token_id=0)
ENCODER = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
               max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=0)
MODERN = dict(ENCODER, cls_token_id=1, sep_token_id=2, num_hidden_layers=5, local_attention=8)
LLAMA3 = dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=32, beta_fast=32.0, beta_slow=1.0)
ALPHA = dict(rope_type="dynamic", rope_theta=10000.0, alpha=50.0, factor=1.0)
MLA = dict(kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=12, moe_intermediate_size=16)
ALTERNATE = ["linear_attention", "full_attention"] * 4
DELTA = dict(linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=16, linear_value_head_dim=8, linear_conv_kernel_dim=4,
             layer_types=ALTERNATE[:2])
VISION = dict(depth=1, hidden_size=32, intermediate_size=32, num_heads=2, out_hidden_size=32)
DELTA_EXPERTS = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16, shared_expert_intermediate_size=24)
SIGMOID = dict(n_routed_experts=8, num_experts_per_tok=3, moe_intermediate_size=16, n_shared_experts=1, first_k_dense_replace=1, n_group=1,
               topk_group=1, norm_topk_prob=True, routed_scaling_factor=1.7)
GRANITE = dict(attention_multiplier=0.2, embedding_multiplier=3.0, residual_multiplier=0.7, logits_scaling=2.0)
GRANITE_H = dict(layer_types=["mamba", "attention"], mamba_n_heads=8, mamba_n_groups=2, mamba_d_state=16, mamba_d_head=8, mamba_d_conv=4,
                 mamba_expand=2, shared_intermediate_size=40)
SEES = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14)
MAMBA = dict(mamba_num_heads=8, mamba_head_dim=8, ssm_state_size=16, n_groups=2)


GPT2 = dict(vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2)
FALCON = dict(vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=128, bos_token_id=1, eos_token_id=2)
SECTIONS = dict(rope_type="default", rope_theta=10000.0, mrope_section=[2, 1, 1])
VISION_2 = dict(depth=1, num_heads=2)
VISION_3 = dict(depth=1, hidden_size=16, intermediate_size=16, num_heads=2, out_hidden_size=32, deepstack_visual_indexes=[0])


def without(d, *keys):
    return {k: v for k, v in d.items() if k not in keys}


def longrope(dims):
    return dict(rope_type="longrope", rope_theta=10000.0, short_factor=[1.0 + 0.05 * i for i in range(dims)],
                long_factor=[1.0 + 0.7 * i for i in range(dims)], original_max_position_embeddings=64)


# name: (configuration class, model class, arguments, dtype, bytes of a shard or None)
MODELS = {
    "llama": ("LlamaConfig", "LlamaForCausalLM", dict(BASE, rope_parameters=LLAMA3), "float32", None),
    "llama-tied": ("LlamaConfig", "LlamaForCausalLM", dict(WIDE, tie_word_embeddings=True, head_dim=24, attention_bias=True,
                                                          mlp_bias=True), "bfloat16", 60000),
    "llama-biases": ("LlamaConfig", "LlamaForCausalLM", dict(BASE, attention_bias=True, rope_parameters=LLAMA3), "bfloat16", None),
    "llama-linear": ("LlamaConfig", "LlamaForCausalLM", dict(WIDE, rope_parameters=dict(rope_type="linear", rope_theta=5000.0,
                                                             factor=2.0)), "float16", None),
    "llama-yarn": ("LlamaConfig", "LlamaForCausalLM", dict(WIDE, rope_parameters=dict(YARN, attention_factor=1.25)), "float32", None),
    "llama-dynamic": ("LlamaConfig", "LlamaForCausalLM", dict(BASE, rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, factor=2.0)),
                      "float32", None),
    "mistral-window": ("MistralConfig", "MistralForCausalLM", dict(BASE, sliding_window=8), "float32", None),
    "mixtral": ("MixtralConfig", "MixtralForCausalLM", dict(BASE, num_local_experts=4, num_experts_per_tok=2), "bfloat16", 30000),
    "mixtral-wide": ("MixtralConfig", "MixtralForCausalLM", dict(WIDE, num_local_experts=6, num_experts_per_tok=3), "float32", None),
    "ministral3": ("Ministral3Config", "Ministral3ForCausalLM", dict(
        BASE, head_dim=16, rope_parameters=dict(YARN, mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.1)), "float32", None),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM", dict(BASE), "bfloat16", None),
    "qwen2-window": ("Qwen2Config", "Qwen2ForCausalLM", dict(WIDE, use_sliding_window=True, sliding_window=12, max_window_layers=2),
                     "float32", None),
    "qwen2-late": ("Qwen2Config", "Qwen2ForCausalLM", dict(WIDE, use_sliding_window=True, sliding_window=12, max_window_layers=3), "float32", None),
    "qwen2moe": ("Qwen2MoeConfig", "Qwen2MoeForCausalLM", dict(BASE, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16,
                                                               shared_expert_intermediate_size=24), "float32", None),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", dict(BASE, head_dim=16), "float32", None),
    "qwen3moe": ("Qwen3MoeConfig", "Qwen3MoeForCausalLM", dict(BASE, head_dim=16, num_experts=4, num_experts_per_tok=2,
                                                               moe_intermediate_size=16, norm_topk_prob=True), "bfloat16", None),
    "qwen3moe-wide": ("Qwen3MoeConfig", "Qwen3MoeForCausalLM", dict(WIDE, head_dim=32, num_experts=10, num_experts_per_tok=4,
                                                                    moe_intermediate_size=40), "float32", 200000),
    "gemma2": ("Gemma2Config", "Gemma2ForCausalLM", dict(BASE, head_dim=16, sliding_window=8, query_pre_attn_scalar=24), "float32", None),
    "gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM", dict(BASE, num_hidden_layers=7, head_dim=16, sliding_window=8,
                                                             query_pre_attn_scalar=24), "float32", None),
    "gemma3-few": ("Gemma3TextConfig", "Gemma3ForCausalLM", dict(BASE, head_dim=16, sliding_window=8, layer_types=[
        "full_attention", "sliding_attention"]), "bfloat16", None),
    "phi3": ("Phi3Config", "Phi3ForCausalLM", dict(BASE, sliding_window=9), "float32", None),
    "phi3-longrope": ("Phi3Config", "Phi3ForCausalLM", dict(WIDE, max_position_embeddings=256, original_max_position_embeddings=64,
                                                            rope_parameters=longrope(8)), "float32", None),
    "phi3-partial": ("Phi3Config", "Phi3ForCausalLM", dict(WIDE, rope_parameters=dict(rope_type="default", rope_theta=10000.0,
                                                           partial_rotary_factor=0.75)), "float16", None),
    "nemotron": ("NemotronConfig", "NemotronForCausalLM", dict(BASE), "float32", None),
    "nemotron_h": ("NemotronHConfig", "NemotronHForCausalLM", dict(
        without(BASE, "num_hidden_layers"), **MAMBA, head_dim=16, layers_block_type=["mamba", "mlp", "attention", "mlp", "mamba"]), "float32", None),
    "nemotron_h_moe": ("NemotronHConfig", "NemotronHForCausalLM", dict(
        without(BASE, "num_hidden_layers"), **MAMBA, head_dim=16, layers_block_type=["mamba", "moe", "attention", "moe"], n_routed_experts=8,
        num_experts_per_tok=3, moe_intermediate_size=16, moe_shared_expert_intermediate_size=24, n_group=2, topk_group=1,
        routed_scaling_factor=2.5), "float32", None),
    "nemotron_h_latent": ("NemotronHConfig", "NemotronHForCausalLM", dict(
        without(BASE, "num_hidden_layers"), **MAMBA, head_dim=16, layers_block_type=["mamba", "moe", "attention", "moe"], n_routed_experts=8,
        num_experts_per_tok=3, moe_intermediate_size=16, moe_shared_expert_intermediate_size=24, moe_latent_size=16), "bfloat16", None),
    "smollm3": ("SmolLM3Config", "SmolLM3ForCausalLM", dict(WIDE), "float32", None),
    "granite": ("GraniteConfig", "GraniteForCausalLM", dict(BASE, attention_multiplier=0.2, embedding_multiplier=3.0,
                                                            residual_multiplier=0.7, logits_scaling=2.0), "float32", None),
    "granitemoe": ("GraniteMoeConfig", "GraniteMoeForCausalLM", dict(BASE, **GRANITE, num_local_experts=4, num_experts_per_tok=2), "float32", None),
    "granitemoeshared": ("GraniteMoeSharedConfig", "GraniteMoeSharedForCausalLM", dict(
        WIDE, **GRANITE, num_local_experts=6, num_experts_per_tok=3, shared_intermediate_size=40), "bfloat16", None),
    "granitehybrid": ("GraniteMoeHybridConfig", "GraniteMoeHybridForCausalLM", dict(
        BASE, **GRANITE, **GRANITE_H, num_local_experts=4, num_experts_per_tok=2, position_embedding_type="nope"), "float32", None),
    "granitehybrid-dense": ("GraniteMoeHybridConfig", "GraniteMoeHybridForCausalLM", dict(
        BASE, **GRANITE, **GRANITE_H, num_local_experts=0, num_experts_per_tok=0, position_embedding_type="rope"), "bfloat16", None),
    "glm4moe": ("Glm4MoeConfig", "Glm4MoeForCausalLM", dict(WIDE, head_dim=32, partial_rotary_factor=0.5, attention_bias=True, use_qk_norm=True,
                                                            **SIGMOID), "bfloat16", None),
    "glm4moe-groups": ("Glm4MoeConfig", "Glm4MoeForCausalLM", dict(BASE, head_dim=16, **{**SIGMOID, "n_group": 4, "topk_group": 2}), "float32", None),
    "glm4moelite": ("Glm4MoeLiteConfig", "Glm4MoeLiteForCausalLM", dict(
        BASE, **{**MLA, **SIGMOID, "num_key_value_heads": 4}, q_lora_rank=24), "float32", None),
    "granitehybrid-attention": ("GraniteMoeHybridConfig", "GraniteMoeHybridForCausalLM", dict(
        BASE, **{**GRANITE, **GRANITE_H, "layer_types": ["full_attention"] * 2}, num_local_experts=0, num_experts_per_tok=0,
        position_embedding_type="rope"), "float32", None),
    "granitehybrid-attention-moe": ("GraniteMoeHybridConfig", "GraniteMoeHybridForCausalLM", dict(
        BASE, **{**GRANITE, **GRANITE_H, "layer_types": ["full_attention"] * 2}, num_local_experts=4, num_experts_per_tok=2), "bfloat16", None),
    "gpt-oss": ("GptOssConfig", "GptOssForCausalLM", dict(WIDE, head_dim=16, num_local_experts=4, num_experts_per_tok=2, sliding_window=8,
                                                          rope_parameters=dict(YARN, truncate=False)), "bfloat16", None),
    "gpt-oss-small": ("GptOssConfig", "GptOssForCausalLM", dict(
        without(BASE, "intermediate_size"), intermediate_size=32, head_dim=8, num_local_experts=3, num_experts_per_tok=2, sliding_window=8,
        rope_parameters=dict(YARN, truncate=False)), "bfloat16", None),
    "olmoe": ("OlmoeConfig", "OlmoeForCausalLM", dict(BASE, num_experts=4, num_experts_per_tok=2), "float32", None),
    "olmo2": ("Olmo2Config", "Olmo2ForCausalLM", dict(BASE), "float32", None),
    "olmo3": ("Olmo3Config", "Olmo3ForCausalLM", dict(WIDE, sliding_window=8), "float32", None),
    "glm4": ("Glm4Config", "Glm4ForCausalLM", dict(BASE, head_dim=16), "float32", None),
    "cohere2": ("Cohere2Config", "Cohere2ForCausalLM", dict(WIDE, sliding_window=8), "float32", None),
    "deepseek_v2": ("DeepseekV2Config", "DeepseekV2ForCausalLM", dict(
        BASE, num_key_value_heads=4, **MLA, q_lora_rank=24, n_routed_experts=4, num_experts_per_tok=2, n_shared_experts=2,
        first_k_dense_replace=1, routed_scaling_factor=1.5), "float32", None),
    "deepseek_v2-groups": ("DeepseekV2Config", "DeepseekV2ForCausalLM", dict(
        BASE, num_key_value_heads=4, **MLA, q_lora_rank=None, n_routed_experts=8, num_experts_per_tok=2, n_shared_experts=1,
        first_k_dense_replace=0, topk_method="group_limited_greedy", n_group=4, topk_group=2), "bfloat16", None),
    "deepseek_v3": ("DeepseekV3Config", "DeepseekV3ForCausalLM", dict(
        BASE, num_key_value_heads=4, **MLA, q_lora_rank=24, n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=1,
        first_k_dense_replace=1, n_group=2, topk_group=1, rope_parameters=dict(YARN, mscale=1.0, mscale_all_dim=1.0)), "bfloat16", 40000),
    "mamba2": ("Mamba2Config", "Mamba2ForCausalLM", dict(vocab_size=64, hidden_size=32, num_hidden_layers=2, expand=2, num_heads=8, head_dim=8,
                                                         state_size=16, n_groups=2, pad_token_id=0, bos_token_id=1, eos_token_id=2), "float32", None),
    "bert": ("BertConfig", "BertModel", dict(ENCODER), "float32", None),
    "bert-classifier": ("BertConfig", "BertForSequenceClassification", dict(ENCODER, num_labels=3), "float32", None),
    "roberta": ("RobertaConfig", "RobertaModel", dict(ENCODER, pad_token_id=1, bos_token_id=0), "float32", None),
    "xlm-roberta": ("XLMRobertaConfig", "XLMRobertaModel", dict(ENCODER, pad_token_id=1, bos_token_id=0), "float16", None),
    "xlm-roberta-classifier": ("XLMRobertaConfig", "XLMRobertaForSequenceClassification", dict(
        ENCODER, pad_token_id=1, bos_token_id=0, num_labels=1), "float32", None),
    "nomic-bert": ("NomicBertConfig", "NomicBertModel", dict(ENCODER), "float32", None),
    "eurobert": ("EuroBertConfig", "EuroBertModel", dict(ENCODER, num_key_value_heads=2, mask_token_id=4), "float32", None),
    "jina-v3": ("JinaEmbeddingsV3Config", "JinaEmbeddingsV3Model", dict(ENCODER), "float32", None),
    "gemma-embedding": ("Gemma3TextConfig", "Gemma3TextModel", dict(
        ENCODER, num_hidden_layers=7, head_dim=16, num_key_value_heads=2, sliding_window=9, use_bidirectional_attention=True), "float32", None),
    "mistral-embedding": ("MistralConfig", "MistralModel", dict(BASE, sliding_window=8), "float32", None),
    "llama-embedding": ("LlamaConfig", "LlamaModel", dict(BASE, rope_parameters=LLAMA3), "bfloat16", None),
    "qwen3-embedding": ("Qwen3Config", "Qwen3Model", dict(BASE, head_dim=16), "float32", None),
    "modern-bert": ("ModernBertConfig", "ModernBertModel", dict(MODERN), "float32", None),
    "modern-bert-classifier": ("ModernBertConfig", "ModernBertForSequenceClassification", dict(MODERN, num_labels=2,
                                                                                              classifier_pooling="mean"), "float32", None),
    "gemma3-text-part": ("Gemma3Config", "Gemma3ForConditionalGeneration", dict(
        text_config=dict(BASE, num_hidden_layers=7, head_dim=16, sliding_window=8, query_pre_attn_scalar=24), vision_config=SEES,
        mm_tokens_per_image=4, boi_token_index=5, eoi_token_index=6, image_token_index=7), "float32", None),
    "mistral3-text-part": ("Mistral3Config", "Mistral3ForConditionalGeneration", dict(
        text_config=dict(BASE, model_type="mistral", head_dim=16), vision_config=dict(SEES, model_type="pixtral"), image_token_index=7), "bfloat16", None),
    "gpt-neox": ("GPTNeoXConfig", "GPTNeoXForCausalLM", dict(without(BASE, "num_key_value_heads")), "float32", None),
    "gpt-neox-turns": ("GPTNeoXConfig", "GPTNeoXForCausalLM", dict(without(WIDE, "num_key_value_heads"), use_parallel_residual=False, rope_parameters=dict(
        rope_type="default", rope_theta=5000.0, partial_rotary_factor=0.5)), "bfloat16", 100000),
    "olmo": ("OlmoConfig", "OlmoForCausalLM", dict(BASE), "float32", None),
    "olmo-clip": ("OlmoConfig", "OlmoForCausalLM", dict(WIDE, clip_qkv=0.9, tie_word_embeddings=True), "bfloat16", None),
    "minimax-m2": ("MiniMaxM2Config", "MiniMaxM2ForCausalLM", dict(BASE, head_dim=16, num_local_experts=8, num_experts_per_tok=3, rotary_dim=8), "bfloat16", None),
    "minimax-m2-wide": ("MiniMaxM2Config", "MiniMaxM2ForCausalLM", dict(WIDE, head_dim=24, num_local_experts=6, num_experts_per_tok=2, rope_parameters=dict(
        rope_type="default", rope_theta=5000000.0, partial_rotary_factor=0.75)), "float32", 200000),
    "lfm2": ("Lfm2Config", "Lfm2ForCausalLM", dict(BASE, layer_types=["conv", "full_attention"]), "float32", None),
    "lfm2moe": ("Lfm2MoeConfig", "Lfm2MoeForCausalLM", dict(
        BASE, layer_types=["conv", "full_attention"], num_experts=8, num_experts_per_tok=3, moe_intermediate_size=16, num_dense_layers=1), "float32", None),
    "gemma": ("GemmaConfig", "GemmaForCausalLM", dict(BASE, head_dim=16), "float32", None),
    "qwen3next": ("Qwen3NextConfig", "Qwen3NextForCausalLM", dict(BASE, head_dim=16, partial_rotary_factor=0.5, **DELTA, **DELTA_EXPERTS), "bfloat16", None),
    "qwen3next-wide": ("Qwen3NextConfig", "Qwen3NextForCausalLM", dict(
        WIDE, head_dim=32, num_experts=6, num_experts_per_tok=3, moe_intermediate_size=40, shared_expert_intermediate_size=56,
        linear_num_key_heads=3, linear_num_value_heads=3, linear_key_head_dim=16, linear_value_head_dim=24, linear_conv_kernel_dim=3,
        layer_types=ALTERNATE[:5]), "float32", 200000),
    "qwen3_5": ("Qwen3_5TextConfig", "Qwen3_5ForCausalLM", dict(BASE, head_dim=16, **DELTA), "bfloat16", None),
    "qwen3_5-tied": ("Qwen3_5TextConfig", "Qwen3_5ForCausalLM", dict(
        WIDE, head_dim=32, tie_word_embeddings=True, linear_num_key_heads=3, linear_num_value_heads=6, linear_key_head_dim=24,
        linear_value_head_dim=16, layer_types=ALTERNATE[:5]), "bfloat16", 100000),
    "qwen3_5moe": ("Qwen3_5MoeTextConfig", "Qwen3_5MoeForCausalLM", dict(BASE, head_dim=16, **DELTA, **DELTA_EXPERTS), "float32", None),
    "qwen3_5-vision": ("Qwen3_5Config", "Qwen3_5ForConditionalGeneration", dict(text_config=dict(BASE, head_dim=64, **DELTA), vision_config=VISION),
                       "float32", None),
    "qwen3_5moe-vision": ("Qwen3_5MoeConfig", "Qwen3_5MoeForConditionalGeneration", dict(text_config=dict(
        without(BASE, "intermediate_size"), head_dim=64, **DELTA, **DELTA_EXPERTS), vision_config=VISION), "bfloat16", None),
    "qwen3-reranker": ("Qwen3Config", "Qwen3ForSequenceClassification", dict(BASE, head_dim=16, num_labels=1), "float32", None),
    "qwen2-classifier": ("Qwen2Config", "Qwen2ForSequenceClassification", dict(WIDE, num_labels=3), "bfloat16", None),
    "llama-classifier": ("LlamaConfig", "LlamaForSequenceClassification", dict(BASE, num_labels=1), "float32", None),
    "ernie4_5": ("Ernie4_5Config", "Ernie4_5ForCausalLM", dict(BASE, head_dim=16), "float32", None),
    "ernie4_5-bias": ("Ernie4_5Config", "Ernie4_5ForCausalLM", dict(WIDE, head_dim=24, use_bias=True, tie_word_embeddings=True), "bfloat16", None),
    "ernie4_5moe": ("Ernie4_5_MoeConfig", "Ernie4_5_MoeForCausalLM", dict(
        BASE, moe_num_experts=8, moe_k=3, moe_intermediate_size=16, moe_num_shared_experts=2, moe_layer_start_index=1), "float32", None),
    "hunyuan-dense": ("HunYuanDenseV1Config", "HunYuanDenseV1ForCausalLM", dict(BASE, head_dim=16), "float32", None),
    "hunyuan-alpha": ("HunYuanDenseV1Config", "HunYuanDenseV1ForCausalLM", dict(BASE, head_dim=16, rope_parameters=ALPHA), "float32", None),
    "hunyuan-moe-alpha": ("HunYuanMoEV1Config", "HunYuanMoEV1ForCausalLM", dict(
        BASE, head_dim=16, num_experts=6, moe_topk=2, rope_parameters=ALPHA), "bfloat16", 60000),
    "hunyuan-moe": ("HunYuanMoEV1Config", "HunYuanMoEV1ForCausalLM", dict(BASE, head_dim=16, num_experts=6, moe_topk=[2, 2]), "float32", None),
    "exaone4": ("Exaone4Config", "Exaone4ForCausalLM", dict(WIDE, head_dim=16, sliding_window=8, sliding_window_pattern=4), "float32", None),
    "exaone4-plain": ("Exaone4Config", "Exaone4ForCausalLM", dict(BASE, head_dim=16, sliding_window=None, layer_types=["full_attention"] * 2),
                      "bfloat16", None),
    "seed_oss": ("SeedOssConfig", "SeedOssForCausalLM", dict(WIDE, head_dim=24, attention_bias=True, attention_out_bias=False), "float32", None),
    "dots1": ("Dots1Config", "Dots1ForCausalLM", dict(BASE, head_dim=16, **{**SIGMOID, "n_shared_experts": 2}), "float32", None),
    "cohere": ("CohereConfig", "CohereForCausalLM", dict(BASE, logit_scale=0.25, use_qk_norm=True), "float32", None),
    "cohere-plain": ("CohereConfig", "CohereForCausalLM", dict(WIDE), "bfloat16", None),
    "phi": ("PhiConfig", "PhiForCausalLM", dict(without(BASE, "num_key_value_heads"), partial_rotary_factor=0.5), "float32", None),
    "starcoder2": ("Starcoder2Config", "Starcoder2ForCausalLM", dict(BASE, sliding_window=None), "float32", None),
    "starcoder2-window": ("Starcoder2Config", "Starcoder2ForCausalLM", dict(WIDE, sliding_window=9), "bfloat16", None),
    "stablelm": ("StableLmConfig", "StableLmForCausalLM", dict(BASE, partial_rotary_factor=0.5, use_qkv_bias=True), "float32", None),
    "stablelm-norm": ("StableLmConfig", "StableLmForCausalLM", dict(WIDE, partial_rotary_factor=0.25, qk_layernorm=True), "float32", None),
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", dict(GPT2), "float32", None),
    "gpt2-inner": ("GPT2Config", "GPT2LMHeadModel", dict(
        GPT2, n_embd=96, n_head=6, n_layer=3, n_inner=136, activation_function="gelu", tie_word_embeddings=False), "bfloat16", 60000),
    "falcon": ("FalconConfig", "FalconForCausalLM", dict(FALCON), "float32", None),
    "falcon-groups": ("FalconConfig", "FalconForCausalLM", dict(
        FALCON, hidden_size=96, num_attention_heads=6, num_kv_heads=2, new_decoder_architecture=True, ffn_hidden_size=136), "bfloat16", 60000),
    "falcon-one-norm": ("FalconConfig", "FalconForCausalLM", dict(
        FALCON, num_kv_heads=4, new_decoder_architecture=True, num_ln_in_parallel_attn=1, bias=True, tie_word_embeddings=False), "float32", None),
    "falcon-heads": ("FalconConfig", "FalconForCausalLM", dict(FALCON, multi_query=False), "float32", None),
    "bloom": ("BloomConfig", "BloomForCausalLM", dict(vocab_size=64, hidden_size=36, n_layer=2, n_head=3, bos_token_id=1, eos_token_id=2), "float32", None),
    "mpt": ("MptConfig", "MptForCausalLM", dict(vocab_size=64, d_model=48, n_heads=6, n_layers=2, max_seq_len=128, bos_token_id=1, eos_token_id=2), "float32", None),
    "mpt-clip": ("MptConfig", "MptForCausalLM", dict(
        vocab_size=64, d_model=32, n_heads=4, n_layers=2, max_seq_len=128, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
        attn_config=dict(clip_qkv=0.4, alibi_bias_max=4, softmax_scale=0.3)), "bfloat16", None),
    "starcoder": ("GPTBigCodeConfig", "GPTBigCodeForCausalLM", dict(GPT2), "float32", None),
    "starcoder-heads": ("GPTBigCodeConfig", "GPTBigCodeForCausalLM", dict(GPT2, multi_query=False, n_inner=80, tie_word_embeddings=False), "bfloat16", None),
    "phimoe": ("PhimoeConfig", "PhimoeForCausalLM", dict(BASE, num_local_experts=6, attention_bias=True, lm_head_bias=True), "float32", None),
    "phimoe-longrope": ("PhimoeConfig", "PhimoeForCausalLM", dict(
        BASE, num_local_experts=4, sliding_window=9, max_position_embeddings=256, original_max_position_embeddings=64,
        rope_parameters=dict(longrope(4), short_mscale=1.25, long_mscale=1.25)), "bfloat16", None),
    "llama4": ("Llama4TextConfig", "Llama4ForCausalLM", dict(
        WIDE, head_dim=16, intermediate_size_mlp=80, num_local_experts=4, interleave_moe_layer_step=2, attention_chunk_size=16, floor_scale=4,
        rope_parameters=LLAMA3), "float32", 200000),
    "llama4-plain": ("Llama4TextConfig", "Llama4ForCausalLM", dict(
        BASE, head_dim=16, intermediate_size_mlp=80, num_local_experts=4, num_experts_per_tok=2, attention_chunk_size=8, use_qk_norm=False,
        no_rope_layers=[0, 1], attn_temperature_tuning=False), "bfloat16", None),
    "mamba": ("MambaConfig", "MambaForCausalLM", dict(
        vocab_size=64, hidden_size=32, num_hidden_layers=2, state_size=8, pad_token_id=0, bos_token_id=1, eos_token_id=2), "float32", None),
    "falcon-mamba": ("FalconMambaConfig", "FalconMambaForCausalLM", dict(
        vocab_size=64, hidden_size=32, num_hidden_layers=2, state_size=8, time_step_rank=5, mixer_rms_eps=1e-4, use_bias=True, tie_word_embeddings=False,
        pad_token_id=0, bos_token_id=1, eos_token_id=2), "bfloat16", None),
    "jamba": ("JambaConfig", "JambaForCausalLM", dict(
        BASE, num_experts=4, num_experts_per_tok=2, attn_layer_period=2, attn_layer_offset=1, mamba_d_state=8), "float32", None),
    "falcon-h1": ("FalconH1Config", "FalconH1ForCausalLM", dict(
        BASE, head_dim=16, mamba_d_ssm=40, mamba_n_heads=5, mamba_d_head=8, mamba_n_groups=1, mamba_d_state=12, mamba_chunk_size=16, embedding_multiplier=3.0,
        lm_head_multiplier=0.5, mlp_multipliers=[0.7, 0.6], key_multiplier=0.8, attention_out_multiplier=0.9, attention_in_multiplier=1.2,
        ssm_multipliers=[0.5, 0.7, 0.9, 1.1, 1.3], ssm_in_multiplier=1.25, ssm_out_multiplier=0.6, attention_bias=True, mlp_bias=True,
        projectors_bias=True), "float32", None),
    "falcon-h1-tied": ("FalconH1Config", "FalconH1ForCausalLM", dict(
        BASE, mamba_d_ssm=32, mamba_n_heads=4, mamba_d_head=8, mamba_n_groups=2, mamba_d_state=8, mamba_chunk_size=16, embedding_multiplier=3.0,
        lm_head_multiplier=0.25, mamba_rms_norm=True, mamba_norm_before_gate=False, tie_word_embeddings=True), "bfloat16", None),
    "apertus": ("ApertusConfig", "ApertusForCausalLM", dict(BASE, head_dim=16, rope_parameters=LLAMA3), "float32", None),
    "glm": ("GlmConfig", "GlmForCausalLM", dict(BASE, head_dim=16), "float32", None),
    "glm-plain": ("GlmConfig", "GlmForCausalLM", dict(WIDE, head_dim=24, attention_bias=False), "bfloat16", 100000),
    "qwen2-vl": ("Qwen2VLConfig", "Qwen2VLForConditionalGeneration", dict(
        text_config=dict(BASE, rope_parameters=SECTIONS), vision_config=dict(VISION_2, embed_dim=16, hidden_size=32, mlp_ratio=2)), "float32", None),
    "qwen2_5-vl": ("Qwen2_5_VLConfig", "Qwen2_5_VLForConditionalGeneration", dict(
        text_config=dict(BASE, rope_parameters=SECTIONS), vision_config=dict(VISION_2, hidden_size=16, intermediate_size=16, out_hidden_size=32)),
        "bfloat16", None),
    "qwen3-vl": ("Qwen3VLConfig", "Qwen3VLForConditionalGeneration", dict(
        text_config=dict(BASE, head_dim=16, rope_parameters=SECTIONS), vision_config=VISION_3), "float32", None),
    "qwen3-vl-moe": ("Qwen3VLMoeConfig", "Qwen3VLMoeForConditionalGeneration", dict(text_config=dict(
        BASE, head_dim=16, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16, rope_parameters=SECTIONS), vision_config=VISION_3),
        "float32", None),
    "llama-gelu": ("LlamaConfig", "LlamaForCausalLM", dict(BASE, hidden_act="gelu"), "float32", None),
    "qwen3moe-tanh": ("Qwen3MoeConfig", "Qwen3MoeForCausalLM", dict(
        BASE, head_dim=16, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16, hidden_act="gelu_new"), "float32", None),
    "gemma2-gelu": ("Gemma2Config", "Gemma2ForCausalLM", dict(BASE, head_dim=16, sliding_window=8, hidden_activation="gelu"), "float32", None),
    "gpt-neox-fast": ("GPTNeoXConfig", "GPTNeoXForCausalLM", dict(without(BASE, "num_key_value_heads"), hidden_act="gelu_fast"), "float32", None),
    "gpt-neox-new": ("GPTNeoXConfig", "GPTNeoXForCausalLM", dict(
        without(BASE, "num_key_value_heads"), hidden_act="gelu_new", use_parallel_residual=False), "float32", None),
    "starcoder2-gelu": ("Starcoder2Config", "Starcoder2ForCausalLM", dict(BASE, hidden_act="gelu"), "float32", None),
    "bert-tanh": ("BertConfig", "BertModel", dict(ENCODER, hidden_act="gelu_new"), "float32", None),
    "gemma3-caps": ("Gemma3TextConfig", "Gemma3ForCausalLM", dict(
        BASE, head_dim=16, sliding_window=8, attn_logit_softcapping=5.0, final_logit_softcapping=3.0), "float32", None),
    "gemma-embedding-near": ("Gemma3TextConfig", "Gemma3TextModel", dict(
        BASE, head_dim=16, sliding_window=1, use_bidirectional_attention=True), "float32", None),
    "lfm2moe-no-bias": ("Lfm2MoeConfig", "Lfm2MoeForCausalLM", dict(
        BASE, layer_types=["conv", "full_attention"], num_experts=8, num_experts_per_tok=3, moe_intermediate_size=16, num_dense_layers=1,
        use_expert_bias=False), "float32", None),
    "nemotron_h-tied": ("NemotronHConfig", "NemotronHForCausalLM", dict(
        without(BASE, "num_hidden_layers"), **MAMBA, head_dim=16, layers_block_type=["mamba", "mlp", "attention"], tie_word_embeddings=True),
        "float32", None),
    "deepseek_v2-norm": ("DeepseekV2Config", "DeepseekV2ForCausalLM", dict(
        BASE, num_key_value_heads=4, **MLA, q_lora_rank=None, n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=2, first_k_dense_replace=1, norm_topk_prob=True,
        topk_method="greedy"), "float32", None),
    "phi-tied": ("PhiConfig", "PhiForCausalLM", dict(without(BASE, "num_key_value_heads"), tie_word_embeddings=True), "float32", None),
    "ernie4_5moe-bias": ("Ernie4_5_MoeConfig", "Ernie4_5_MoeForCausalLM", dict(
        BASE, moe_num_experts=8, moe_k=3, moe_intermediate_size=16, moe_num_shared_experts=1, moe_layer_start_index=1, use_bias=True), "float32", None),
    "qwen3_5-untied": ("Qwen3_5Config", "Qwen3_5ForConditionalGeneration", dict(
        text_config=dict(BASE, head_dim=64, tie_word_embeddings=True, **DELTA), vision_config=VISION), "float32", None),
    "gemma3-text-caps": ("Gemma3Config", "Gemma3ForConditionalGeneration", dict(
        text_config=dict(BASE, num_hidden_layers=2, head_dim=16, sliding_window=8, final_logit_softcapping=2.0), vision_config=SEES,
        mm_tokens_per_image=4, boi_token_index=5, eoi_token_index=6, image_token_index=7), "float32", None),
    "arcee": ("ArceeConfig", "ArceeForCausalLM", dict(BASE, head_dim=16), "float32", None),
}


def randomise(model, torch):
    """Weights large enough that every part of the model shows in its logits."""
    gen = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=gen)
            if name.endswith(("A_log", "dt_bias", ".D")):
                p.add_(0.3 * noise)
            elif p.dim() == 1:
                p.copy_(p + 0.2 * noise)
            else:
                p.copy_(noise * (1.2 / p.shape[-1]) ** 0.5)
        for name, b in model.named_buffers():
            if name.endswith(("e_score_correction_bias", "expert_bias")):
                b.copy_(0.1 * torch.randn(b.shape, generator=gen))


def case(model, model_class, ids, digits):
    """What a model computes for a text: one kind of result by its class."""
    import torch

    with torch.no_grad():
        if model_class.endswith(("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")):
            kind, values = "logits", model(torch.tensor([ids]), use_cache=False).logits[0, -1]
        elif model_class.endswith("Classification"):
            kind, values = "outputs", model(torch.tensor([ids])).logits[0]
        else:
            kind, values = "embedding", model(torch.tensor([ids])).last_hidden_state[0].mean(0)
    return {"token_ids": ids, kind: [float(f"{x:.{digits}g}") for x in values.tolist()]}


def write(folder, names):
    import torch
    import transformers

    torch.manual_seed(1)
    for name in names or MODELS:
        config_class, model_class, arguments, dtype, shard = MODELS[name]
        config = getattr(transformers, config_class)(**arguments, attn_implementation="eager")
        model = getattr(transformers, model_class)(config).eval()
        randomise(model, torch)
        model.to(getattr(torch, dtype))
        path = os.path.join(folder, name)
        model.save_pretrained(path, **({"max_shard_size": shard} if shard else {}))
        model = getattr(transformers, model_class).from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()
        # longrope: transformers takes the short factors while a text is within the original context, pg_llm by the context given
        n_ctx = 64 if "longrope" in name else 0
        cases = []
        text = config.get_text_config()
        for n in (1, 7, 40):
            ids = [(i * 37 + n * 11 + 3) % text.vocab_size for i in range(n)]
            ids = [i if i != text.pad_token_id else 3 for i in ids]
            cases.append(case(model, model_class, ids, 7))
        with open(os.path.join(path, "reference.json"), "w") as f:
            json.dump({"transformers": transformers.__version__, "n_ctx": n_ctx, "cases": cases}, f)
        print(name, os.listdir(path))


def noise(name, n):
    """Multiples of 1/128 from -1 to 1 that follow from a tensor's name; the same in hf_classes_test.c."""
    import numpy

    h = 2166136261
    for byte in name.encode():
        h = (h ^ byte) * 16777619 & 0xffffffff
    x = (h + numpy.arange(n, dtype=numpy.uint64) * 2654435761) & 0xffffffff
    x = (x ^ (x >> 16)) * 0x7feb352d & 0xffffffff
    x = (x ^ (x >> 15)) * 0x846ca68b & 0xffffffff
    x ^= x >> 16
    return ((x >> 24).astype(numpy.float32) - 128) / 128


def matrix_scale(n_cols):
    scale = 1.0
    while n_cols > 4:
        scale /= 2
        n_cols = (n_cols + 3) // 4
    return scale


def named_weights(shapes):
    import numpy
    import torch

    weights = {}
    for name, shape in shapes.items():
        values = noise(name, int(numpy.prod(shape))).reshape(shape)
        if len(shape) == 1:
            values = values * 0.25 + (1.0 if name.endswith(".weight") else 0.0)
        else:
            values = values * matrix_scale(shape[-1] if shape else 1)
        weights[name] = torch.tensor(values.astype(numpy.float32))
    return weights


def record_one(name, folder):
    """The model as it is saved, its weights replaced, and what it computes then."""
    import safetensors.torch
    import torch
    import transformers

    config_class, model_class, arguments, _, _ = MODELS[name]
    small = {k: dict(v, vocab_size=40) if k == "text_config" else v for k, v in arguments.items()}
    if "text_config" not in arguments:
        small["vocab_size"] = 40
    config = getattr(transformers, config_class)(**small, attn_implementation="eager")
    getattr(transformers, model_class)(config).save_pretrained(folder)
    path = os.path.join(folder, "model.safetensors")
    shapes = {n: list(t.shape) for n, t in sorted(safetensors.torch.load_file(path).items())}
    safetensors.torch.save_file(named_weights(shapes), path, metadata={"format": "pt"})
    model = getattr(transformers, model_class).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    cases = []
    for n in (7, 40):
        ids = [(i * 37 + n * 11 + 3) % 37 + 3 for i in range(n)]
        cases.append(case(model, model_class, ids, 6))
    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)
    return {"n_ctx": 64 if "longrope" in name else 0, "config": config, "tensors": shapes, "cases": cases}


def record(file, names):
    import tempfile
    import transformers

    models = []
    for name in names or MODELS:
        with tempfile.TemporaryDirectory() as folder:
            models.append(f"{json.dumps(name)}: {json.dumps(record_one(name, folder), separators=(',', ':'))}")
    with open(file, "w") as f:
        f.write(f'{{"transformers": "{transformers.__version__}", "models": {{\n' + ",\n".join(models) + "\n}}\n")


COMMANDS = {"logits": ["logits"], "embedding": ["embed", "--raw", "--pooling", "mean"], "outputs": ["rerank"]}


def task(kind, ids):
    return {"token_ids": ids, "n_query": len(ids)} if kind == "outputs" else {"token_ids": ids}


def answer(kind, line):
    return json.loads(line)[kind][0] if kind == "outputs" else json.loads(line)[kind]


def check(folder, names):
    worst = 0
    failed = 0
    for name in names or sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        with open(os.path.join(path, "reference.json")) as f:
            reference = json.load(f)
        cases = reference["cases"]
        context = ["--ctx", str(reference["n_ctx"])] if reference["n_ctx"] else []
        kind = next(k for k in cases[0] if k in COMMANDS)
        lines = "".join(json.dumps(task(kind, c["token_ids"])) + "\n" for c in cases)
        command, *options = COMMANDS[kind]
        run = subprocess.run([os.environ.get("LLM", "build/llm"), command, path, "--kv", "f32", *options, *context], input=lines, capture_output=True, text=True)
        if run.returncode != 0:
            print(f"{name:22} {run.stderr.strip()}")
            failed += 1
            continue
        answers = [answer(kind, line) for line in run.stdout.splitlines()]
        d = [max(abs(x - y) for x, y in zip(a, c[kind])) if len(a) == len(c[kind]) else float("inf") for a, c in zip(answers, cases)]
        size = max(abs(x) for c in cases for x in c[kind])
        verdict = "EXACT" if max(d) <= TOLERANCE else "FAIL"
        failed += verdict != "EXACT"
        worst = max(worst, max(d))
        print(f"{name:22} {verdict} largest difference {max(d):.2e} ({', '.join(f'{x:.1e}' for x in d)}), largest value {size:.2f}")
    print(f"largest difference of all: {worst:.2e}; {failed} failed")
    return failed


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("write", "check", "record"):
        sys.exit(__doc__)
    if sys.argv[1] == "write":
        write(sys.argv[2], sys.argv[3:])
    elif sys.argv[1] == "record":
        record(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(1 if check(sys.argv[2], sys.argv[3:]) else 0)
