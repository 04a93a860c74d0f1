/*
 * arch_test.c: every architecture and kind of block on tiny models made here: logits against a pass in double precision
 * (naive_pass.h), the same bytes in all ways and on all levels, and what is not computed refused by name.
 */
#include "tested_levels.h"
#include "tiny_model.h"
#include "draft_ways.h"
#include "model/arch.h"

typedef struct Case
{
	const char *what;
	NaiveModel	d;
	TinyKey		keys[20];
	bool		tied;
	uint32_t	n_ctx;			/* 0: as trained */
} Case;

#define SHAPE(layers, rotated, base) .n_layer = layers, .n_head_kv = 2, .n_rot = rotated, .n_ff = 96, .rope_base = base
#define KEY(name, number) {.suffix = name, .value = number}
#define TEXT(name, string) {.suffix = name, .text = string}
#define SWITCH(name, on) {.suffix = name, .value = on, .is_bool = true}

static const Case cases[] = {
	{
		.what = "llama",
		.d = {.arch = "llama", SHAPE(3, 16, 10000), .norm_before = true},
	},
	{
		.what = "experts",
		.d = {.arch = "llama", SHAPE(3, 16, 10000), .norm_before = true, .n_expert = 8, .n_used = 2, .router = 1,
			.renorm = true},
		.keys = {KEY("expert_count", 8), KEY("expert_used_count", 2)},
	},
	{
		.what = "quantized experts",
		.d = {.arch = "llama", SHAPE(3, 16, 10000), .norm_before = true, .n_expert = 8, .n_used = 3, .router = 1,
			.renorm = true, .quantized = true},
		.keys = {KEY("expert_count", 8), KEY("expert_used_count", 3)},
	},
	{
		.what = "scales of matrices",
		.d = {.arch = "llama", SHAPE(3, 16, 10000), .norm_before = true, .n_expert = 8, .n_used = 2, .router = 1,
			.renorm = true, .scales = 2},
		.keys = {KEY("expert_count", 8), KEY("expert_used_count", 2)},
	},
	{
		.what = "scales of joined matrices",
		.d = {.arch = "phi3", SHAPE(2, 16, 10000), .norm_before = true, .neox = true, .fused_qkv = true, .fused_gate = true,
			.biases = true, .scales = 1},
	},
	{
		.what = "joined matrices that part inside of a group of rows",
		.d = {.arch = "phi3", .n_layer = 2, .n_head_kv = 2, .n_rot = 16, .n_ff = 100, .rope_base = 10000, .norm_before = true,
			.neox = true, .fused_qkv = true, .fused_gate = true, .biases = true, .scales = 1},
	},
	{
		.what = "yarn, query scale", .tied = true,
		.d = {.arch = "mistral3", SHAPE(3, 16, 10000), .norm_before = true, .yarn = 4, .yarn_local = 4, .yarn_orig = 32,
			.query_scale = 0.125, .rope_magnitude = 1},
		.keys = {TEXT("rope.scaling.type", "yarn"), KEY("rope.scaling.factor", 4),
			KEY("rope.scaling.original_context_length", 32), KEY("rope.scaling.yarn_log_multiplier", 1),
			KEY("attention.temperature_scale", 0.125)},
	},
	{
		.what = "biases", .tied = true,
		.d = {.arch = "qwen2", SHAPE(3, 16, 10000), .norm_before = true, .biases = true, .neox = true},
	},
	{
		.what = "windows in all layers",
		.d = {.arch = "qwen2", SHAPE(3, 16, 10000), .norm_before = true, .biases = true, .neox = true, .window = 45},
		.keys = {KEY("attention.sliding_window", 45)},
	},
	{
		.what = "shared expert",
		.d = {.arch = "qwen2moe", SHAPE(3, 16, 10000), .norm_before = true, .biases = true, .neox = true, .n_expert = 6,
			.n_used = 3, .router = 1, .n_ff_shared = 160},
		.keys = {KEY("expert_count", 6), KEY("expert_used_count", 3), KEY("expert_feed_forward_length", 96),
			KEY("expert_shared_feed_forward_length", 160)},
	},
	{
		.what = "quantized shared expert",
		.d = {.arch = "qwen2moe", SHAPE(3, 16, 10000), .norm_before = true, .neox = true, .n_expert = 6, .n_used = 3,
			.router = 1, .n_ff_shared = 160, .quantized = true},
		.keys = {KEY("expert_count", 6), KEY("expert_used_count", 3), KEY("expert_shared_feed_forward_length", 160)},
	},
	{
		.what = "norm of heads",
		.d = {.arch = "qwen3", SHAPE(3, 16, 10000), .norm_before = true, .qk_norm = 1, .neox = true},
	},
	{
		.what = "sigmoid router in groups",
		.d = {.arch = "qwen3moe", SHAPE(3, 16, 10000), .norm_before = true, .qk_norm = 1, .neox = true, .n_expert = 12,
			.n_used = 3, .router = 2, .renorm = true, .n_groups = 4, .n_groups_used = 2, .expert_scale = 2.5,
			.choice_bias = true},
		.keys = {KEY("expert_count", 12), KEY("expert_used_count", 3), KEY("expert_gating_func", 2),
			KEY("expert_group_count", 4), KEY("expert_group_used_count", 2), KEY("expert_weights_scale", 2.5),
			SWITCH("expert_weights_norm", true)},
	},
	{
		.what = "soft caps", .tied = true,
		.d = {.arch = "gemma2", SHAPE(3, 16, 10000), .norm_before = true, .norm_after = true, .act = NAIVE_GELU,
			.neox = true, .window = 40, .window_every = 2, .embed_scale = 8, .attn_cap = 6, .logit_cap = 12},
		.keys = {KEY("attention.sliding_window", 40), KEY("attn_logit_softcapping", 6),
			KEY("final_logit_softcapping", 12)},
	},
	{
		.what = "local rope", .tied = true,
		.d = {.arch = "gemma3", SHAPE(7, 16, 1000000), .norm_before = true, .norm_after = true, .act = NAIVE_GELU,
			.qk_norm = 1, .neox = true, .window = 33, .window_every = 6, .embed_scale = 8, .local_base = 10000,
			.linear = 8},
		.keys = {KEY("attention.sliding_window", 33), TEXT("rope.scaling.type", "linear"), KEY("rope.scaling.factor", 8)},
	},
	{
		.what = "window pattern", .tied = true,
		.d = {.arch = "gemma3", SHAPE(4, 16, 10000), .norm_before = true, .norm_after = true, .act = NAIVE_GELU,
			.qk_norm = 1, .neox = true, .window = 70, .window_every = 3, .embed_scale = 8, .local_base = 500},
		.keys = {KEY("attention.sliding_window", 70), KEY("attention.sliding_window_pattern", 3),
			KEY("rope.freq_base_swa", 500)},
	},
	{
		.what = "longrope, long",
		.d = {.arch = "phi3", SHAPE(3, 16, 10000), .norm_before = true, .neox = true, .fused_qkv = true,
			.fused_gate = true, .rope_factors = "rope_factors_long.weight", .rope_magnitude = 1.25, .window = 50},
		.keys = {KEY("rope.scaling.original_context_length", 256), KEY("rope.scaling.attn_factor", 1.25),
			KEY("attention.sliding_window", 50)},
	},
	{
		.what = "longrope, short", .n_ctx = 256,
		.d = {.arch = "phi3", SHAPE(3, 16, 10000), .norm_before = true, .neox = true, .fused_qkv = true,
			.fused_gate = true, .rope_factors = "rope_factors_short.weight", .rope_magnitude = 1.25},
		.keys = {KEY("rope.scaling.original_context_length", 256), KEY("rope.scaling.attn_factor", 1.25)},
	},
	{
		.what = "layer norm",
		.d = {.arch = "nemotron", SHAPE(3, 8, 10000), .layer_norm = true, .norm_before = true, .act = NAIVE_RELU_SQR,
			.neox = true},
	},
	{
		.what = "layers without rope", .tied = true,
		.d = {.arch = "smollm3", SHAPE(5, 16, 10000), .norm_before = true, .no_rope_every = 4},
	},
	{
		.what = "multipliers", .tied = true,
		.d = {.arch = "granite", SHAPE(3, 16, 10000), .norm_before = true, .embed_scale = 3, .residual_scale = 0.625,
			.attn_scale = 0.375, .logit_scale = 0.5},
		.keys = {KEY("embedding_scale", 3), KEY("residual_scale", 0.625), KEY("attention.scale", 0.375),
			KEY("logit_scale", 2)},
	},
	{
		.what = "no rope at all",
		.d = {.arch = "granite", SHAPE(3, 16, 10000), .norm_before = true, .no_rope_every = 1},
		.keys = {SWITCH("rope.scaling.finetuned", false)},
	},
	{
		.what = "norms after blocks",
		.d = {.arch = "olmo2", SHAPE(4, 16, 10000), .norm_after = true, .qk_norm = 2, .neox = true, .window = 24,
			.window_every = 4, .yarn = 8, .yarn_orig = 64, .rope_magnitude = 1.2079441541679836},
		.keys = {KEY("attention.sliding_window", 24), TEXT("rope.scaling.type", "yarn"), KEY("rope.scaling.factor", 8),
			KEY("rope.scaling.original_context_length", 64)},
	},
	{
		.what = "sinks",
		.d = {.arch = "gpt-oss", SHAPE(3, 16, 10000), .norm_before = true, .ffn_norm = "post_attention_norm",
			.biases = true, .act = NAIVE_CLAMPED, .neox = true, .window = 32, .window_every = 2, .sinks = true,
			.n_expert = 4, .n_used = 2, .router = 3, .expert_bias = true},
		.keys = {KEY("attention.sliding_window", 32), KEY("expert_count", 4), KEY("expert_used_count", 2),
			KEY("expert_feed_forward_length", 96)},
	},
	{
		.what = "whole norm, experts",
		.d = {.arch = "olmoe", SHAPE(3, 16, 10000), .norm_before = true, .qk_norm = 2, .neox = true, .n_expert = 8,
			.n_used = 2, .router = 1},
		.keys = {KEY("expert_count", 8), KEY("expert_used_count", 2)},
	},
	{
		.what = "norms around blocks",
		.d = {.arch = "glm4", SHAPE(3, 8, 10000), .norm_before = true, .norm_after = true, .biases = true,
			.fused_gate = true},
	},
	{
		.what = "parallel blocks", .tied = true,
		.d = {.arch = "cohere2", SHAPE(4, 16, 10000), .layer_norm = true, .norm_before = true, .parallel = true,
			.window = 40, .window_every = 4, .rope_local_only = true, .logit_scale = 0.25},
		.keys = {KEY("attention.sliding_window", 40), KEY("logit_scale", 0.25)},
	},
	{
		.what = "quantized parallel blocks", .tied = true,
		.d = {.arch = "cohere2", SHAPE(3, 16, 10000), .layer_norm = true, .norm_before = true, .parallel = true,
			.window = 40, .window_every = 4, .rope_local_only = true, .quantized = true},
		.keys = {KEY("attention.sliding_window", 40)},
	},
	{
		.what = "granite with experts",
		.d = {.arch = "granitemoe", SHAPE(3, 16, 10000), .norm_before = true, .n_expert = 8, .n_used = 3, .router = 3,
			.n_ff_shared = 80, .shared_plain = true, .residual_scale = 0.625},
		.keys = {KEY("expert_count", 8), KEY("expert_used_count", 3),
			KEY("expert_shared_feed_forward_length", 80), KEY("residual_scale", 0.625)},
	},
	{
		.what = "scaled embeddings", .tied = true,
		.d = {.arch = "gemma", SHAPE(2, 16, 10000), .norm_before = true, .act = NAIVE_GELU, .neox = true, .embed_scale = 8},
	},
	{
		.what = "sigmoid router, leading dense layer",
		.d = {.arch = "glm4moe", SHAPE(3, 8, 10000), .norm_before = true, .ffn_norm = "post_attention_norm",
			.biases = true, .qk_norm = 1, .neox = true, .n_expert = 8, .n_used = 3, .router = 2, .renorm = true, .choice_bias = true,
			.expert_scale = 1.75, .n_ff_shared = 96, .shared_plain = true, .dense_lead = 1},
		.keys = {KEY("expert_count", 8), KEY("expert_used_count", 3),
			KEY("expert_weights_scale", 1.75), SWITCH("expert_weights_norm", true), KEY("expert_shared_count", 1),
			KEY("leading_dense_block_count", 1)},
	},
	{
		.what = "no norm of heads",
		.d = {.arch = "glm4moe", SHAPE(2, 8, 10000), .norm_before = true, .ffn_norm = "post_attention_norm",
			.neox = true, .n_expert = 8, .n_used = 3, .router = 2, .n_ff_shared = 96, .shared_plain = true},
		.keys = {KEY("expert_count", 8), KEY("expert_used_count", 3), KEY("expert_shared_count", 1)},
	},
	{
		.what = "ernie", .tied = true,
		.d = {.arch = "ernie4_5", SHAPE(2, 16, 10000), .norm_before = true},
	},
	{
		.what = "ernie with experts",
		.d = {.arch = "ernie4_5-moe", SHAPE(3, 16, 10000), .norm_before = true, .n_expert = 8, .n_used = 3, .router = 1,
			.renorm = true, .choice_bias = true, .n_ff_shared = 192, .shared_plain = true, .dense_lead = 1},
		.keys = {KEY("expert_count", 8), KEY("expert_used_count", 3),
			KEY("expert_shared_count", 2), KEY("leading_dense_block_count", 1)},
	},
	{
		.what = "norm after rope", .tied = true,
		.d = {.arch = "hunyuan-dense", SHAPE(2, 16, 10000), .norm_before = true, .qk_norm = 1, .qk_norm_late = true,
			.neox = true},
	},
	{
		.what = "norm after rope, experts",
		.d = {.arch = "hunyuan-moe", SHAPE(2, 16, 10000), .norm_before = true, .qk_norm = 1, .qk_norm_late = true,
			.neox = true, .n_expert = 8, .n_used = 3, .router = 1, .renorm = true, .n_ff_shared = 96, .shared_plain = true},
		.keys = {KEY("expert_count", 8), KEY("expert_used_count", 3)},
	},
	{
		.what = "rope in windows only",
		.d = {.arch = "exaone4", SHAPE(4, 16, 10000), .norm_after = true, .qk_norm = 1, .neox = true, .window = 24,
			.window_every = 4, .rope_local_only = true},
		.keys = {KEY("attention.sliding_window", 24)},
	},
	{
		.what = "rope everywhere without windows",
		.d = {.arch = "exaone4", SHAPE(2, 16, 10000), .norm_after = true, .qk_norm = 1, .neox = true},
	},
	{
		.what = "seed",
		.d = {.arch = "seed_oss", SHAPE(2, 16, 10000), .norm_before = true, .ffn_norm = "post_attention_norm", .biases = true,
			.neox = true},
	},
	{
		.what = "dots",
		.d = {.arch = "dots1", SHAPE(3, 16, 10000), .norm_before = true, .qk_norm = 1, .neox = true, .n_expert = 8, .n_used = 3, .router = 2,
			.renorm = true, .choice_bias = true, .n_ff_shared = 192, .shared_plain = true, .dense_lead = 1},
		.keys = {KEY("expert_count", 8), KEY("expert_used_count", 3),
			KEY("expert_gating_func", 2), SWITCH("expert_weights_norm", true), KEY("expert_shared_count", 2),
			KEY("leading_dense_block_count", 1)},
	},
	{
		.what = "heads with norms of their own", .tied = true,
		.d = {.arch = "command-r", SHAPE(2, 16, 10000), .layer_norm = true, .norm_before = true, .parallel = true,
			.qk_norm = 3, .logit_scale = 0.25},
		.keys = {KEY("logit_scale", 0.25)},
	},
	{
		.what = "no gate",
		.d = {.arch = "phi2", SHAPE(2, 8, 10000), .layer_norm = true, .norm_before = true, .parallel = true, .biases = true,
			.act = NAIVE_GELU_PLAIN, .neox = true},
	},
	{
		.what = "no gate, blocks in turn",
		.d = {.arch = "starcoder2", SHAPE(2, 16, 10000), .layer_norm = true, .norm_before = true, .biases = true,
			.act = NAIVE_GELU_PLAIN, .neox = true},
	},
	{
		.what = "blocks in parallel with a norm each",
		.d = {.arch = "gptneox", .n_layer = 3, .n_head_kv = 4, .n_rot = 8, .n_ff = 96, .rope_base = 10000, .layer_norm = true,
			.norm_before = true, .norm_ahead = true, .biases = true, .fused_qkv = true, .act = NAIVE_GELU_ERF, .neox = true},
	},
	{
		.what = "the same, quantized",
		.d = {.arch = "gptneox", .n_layer = 3, .n_head_kv = 4, .n_rot = 8, .n_ff = 96, .rope_base = 10000, .layer_norm = true,
			.norm_before = true, .norm_ahead = true, .biases = true, .fused_qkv = true, .act = NAIVE_GELU_ERF, .neox = true, .quantized = true},
	},
	{
		.what = "blocks in turn by metadata",
		.d = {.arch = "gptneox", .n_layer = 2, .n_head_kv = 4, .n_rot = 4, .n_ff = 96, .rope_base = 10000, .layer_norm = true,
			.norm_before = true, .biases = true, .fused_qkv = true, .act = NAIVE_GELU_ERF, .neox = true},
		.keys = {SWITCH("use_parallel_residual", false)},
	},
	{
		.what = "norms without weights",
		.d = {.arch = "olmo", SHAPE(3, 16, 10000), .layer_norm = true, .norm_before = true, .plain_norm = true},
	},
	{
		.what = "queries, keys and values cut", .tied = true,
		.d = {.arch = "olmo", SHAPE(3, 16, 10000), .layer_norm = true, .norm_before = true, .plain_norm = true, .clamp_qkv = 0.75},
		.keys = {KEY("attention.clamp_kqv", 0.75)},
	},
	{
		.what = "norm of all heads, sigmoid router",
		.d = {.arch = "minimax-m2", SHAPE(3, 8, 10000), .norm_before = true, .qk_norm = 2, .neox = true, .n_expert = 8, .n_used = 3,
			.router = 2, .renorm = true, .choice_bias = true},
		.keys = {KEY("expert_count", 8), KEY("expert_used_count", 3), KEY("expert_gating_func", 2)},
	},
	{
		.what = "layer norm, gate",
		.d = {.arch = "stablelm", SHAPE(2, 8, 10000), .layer_norm = true, .norm_before = true, .neox = true},
	},
	{
		.what = "joined queries and keys with norms", .tied = true,
		.d = {.arch = "openelm", SHAPE(2, 16, 10000), .norm_before = true, .qk_norm = 1, .neox = true, .fused_qkv = true},
	},
	{
		.what = "squared ReLU",
		.d = {.arch = "arcee", SHAPE(2, 16, 10000), .norm_before = true, .act = NAIVE_RELU_SQR},
	},
	{
		.what = "latent attention",
		.d = {.arch = "deepseek2", SHAPE(3, 8, 10000), .norm_eps = 0.01, .norm_before = true, .kv_rank = 36, .q_rank = 40, .latent_k = 31,
			.latent_v = 23, .attn_scale = 0.23285414, .yarn = 4, .yarn_orig = 32, .n_expert = 8, .n_used = 2, .router = 2,
			.choice_bias = true, .renorm = true, .expert_scale = 2.5, .n_groups = 4, .n_groups_used = 2, .n_ff_shared = 96,
			.shared_plain = true, .dense_lead = 1},
		.keys = {KEY("attention.key_length_mla", 31), KEY("attention.value_length_mla", 23), KEY("attention.kv_lora_rank", 36),
			KEY("attention.q_lora_rank", 40), TEXT("rope.scaling.type", "yarn"), KEY("rope.scaling.factor", 4),
			KEY("rope.scaling.original_context_length", 32), KEY("rope.scaling.yarn_log_multiplier", 0.1),
			KEY("expert_count", 8), KEY("expert_used_count", 2), KEY("expert_gating_func", 2), KEY("expert_weights_scale", 2.5),
			SWITCH("expert_weights_norm", true), KEY("expert_group_count", 4), KEY("expert_group_used_count", 2),
			KEY("expert_shared_count", 1), KEY("leading_dense_block_count", 1)},
	},
	{
		.what = "latent attention, plain queries",
		.d = {.arch = "deepseek2", SHAPE(2, 16, 10000), .norm_before = true, .kv_rank = 32, .latent_k = 48, .latent_v = 32,
			.n_expert = 12, .n_used = 3, .router = 1, .n_groups = 4, .n_groups_used = 2, .n_ff_shared = 192,
			.shared_plain = true, .scales = 2},
		.keys = {KEY("attention.key_length_mla", 48), KEY("attention.value_length_mla", 32), KEY("attention.kv_lora_rank", 32),
			KEY("expert_count", 12), KEY("expert_used_count", 3), KEY("expert_group_count", 4),
			KEY("expert_group_used_count", 2), KEY("expert_shared_count", 2)},
	},
	{
		.what = "quantized latent attention",
		.d = {.arch = "deepseek2", SHAPE(3, 8, 10000), .norm_before = true, .kv_rank = 64, .q_rank = 32, .latent_k = 40,
			.latent_v = 32, .n_expert = 8, .n_used = 2, .n_ff_shared = 96, .shared_plain = true, .dense_lead = 2,
			.quantized = true},
		.keys = {KEY("attention.key_length_mla", 40), KEY("attention.value_length_mla", 32), KEY("attention.kv_lora_rank", 64),
			KEY("attention.q_lora_rank", 32), KEY("expert_count", 8), KEY("expert_used_count", 2),
			KEY("expert_shared_count", 1), KEY("leading_dense_block_count", 2)},
	},
	{
		.what = "learned positions", .tied = true,
		.d = {.arch = "gpt2", .n_layer = 3, .n_head_kv = 4, .n_rot = 16, .n_ff = 96, .rope_base = 10000, .layer_norm = true, .norm_before = true,
			.biases = true, .fused_qkv = true, .act = NAIVE_GELU_PLAIN, .no_rope_every = 1, .positions = true},
	},
	{
		.what = "blocks in parallel with one norm", .tied = true,
		.d = {.arch = "falcon", .n_layer = 3, .n_head_kv = 1, .n_rot = 16, .n_ff = 96, .rope_base = 10000, .layer_norm = true,
			.norm_before = true, .norm_ahead = true, .ffn_norm = "attn_norm", .fused_qkv = true, .act = NAIVE_GELU_ERF, .neox = true},
	},
	{
		.what = "blocks in parallel, norms turned",
		.d = {.arch = "falcon", SHAPE(3, 16, 10000), .layer_norm = true, .norm_before = true, .norm_ahead = true, .attn_norm = "attn_norm_2",
			.ffn_norm = "attn_norm", .fused_qkv = true, .act = NAIVE_GELU_ERF, .neox = true},
	},
	{
		.what = "xIELU",
		.d = {.arch = "apertus", SHAPE(3, 16, 10000), .norm_before = true, .qk_norm = 1, .act = NAIVE_XIELU, .neox = true},
	},
	{
		.what = "joined gate, partly rotated heads",
		.d = {.arch = "chatglm", SHAPE(2, 8, 10000), .norm_before = true, .biases = true, .fused_gate = true},
	},
	{
		.what = "internlm",
		.d = {.arch = "internlm2", SHAPE(2, 16, 10000), .norm_before = true},
	},
	{
		.what = "exaone 3", .tied = true,
		.d = {.arch = "exaone", SHAPE(2, 16, 10000), .norm_before = true, .neox = true},
	},
	{
		.what = "multipliers that the file must have",
		.d = {.arch = "minicpm", SHAPE(2, 16, 10000), .norm_before = true, .embed_scale = 12, .residual_scale = 0.625, .logit_scale = 0.25},
		.keys = {KEY("embedding_scale", 12), KEY("residual_scale", 0.625), KEY("logit_scale", 4)},
	},
	{
		.what = "text of a model that sees", .tied = true,
		.d = {.arch = "qwen2vl", SHAPE(2, 16, 10000), .norm_before = true, .biases = true, .neox = true},
		.keys = {{.suffix = "rope.dimension_sections", .by_layer = (const int32_t[]) {4, 2, 2, 0}}},
	},
	{
		.what = "the same, heads normalised",
		.d = {.arch = "qwen3vl", SHAPE(2, 16, 10000), .norm_before = true, .qk_norm = 1, .neox = true},
		.keys = {{.suffix = "rope.dimension_sections", .by_layer = (const int32_t[]) {4, 2, 2, 0}}},
	},
	{
		.what = "the same with experts",
		.d = {.arch = "qwen3vlmoe", SHAPE(2, 16, 10000), .norm_before = true, .qk_norm = 1, .neox = true, .n_expert = 8, .n_used = 3, .router = 1,
			.renorm = true},
		.keys = {KEY("expert_count", 8), KEY("expert_used_count", 3)},
	},
	{
		.what = "softmax router, shared experts, leading dense layer",
		.d = {.arch = "deepseek", SHAPE(3, 16, 10000), .norm_before = true, .n_expert = 8, .n_used = 3, .router = 1, .n_ff_shared = 192,
			.shared_plain = true, .dense_lead = 1},
		.keys = {KEY("expert_count", 8), KEY("expert_used_count", 3), KEY("expert_shared_count", 2), KEY("leading_dense_block_count", 1)},
	},
	{
		.what = "ling",
		.d = {.arch = "bailingmoe", SHAPE(2, 16, 10000), .norm_before = true, .n_expert = 8, .n_used = 3, .router = 1, .renorm = true,
			.n_ff_shared = 192, .shared_plain = true},
		.keys = {KEY("expert_count", 8), KEY("expert_used_count", 3), KEY("expert_shared_count", 2), SWITCH("expert_weights_norm", true)},
	},
	{
		.what = "ling 2",
		.d = {.arch = "bailingmoe2", SHAPE(3, 8, 10000), .norm_before = true, .qk_norm = 1, .fused_qkv = true, .neox = true, .n_expert = 12,
			.n_used = 3, .router = 2, .renorm = true, .n_groups = 4, .n_groups_used = 2, .expert_scale = 2.5, .choice_bias = true,
			.n_ff_shared = 96, .shared_plain = true, .dense_lead = 1},
		.keys = {KEY("expert_count", 12), KEY("expert_used_count", 3), KEY("expert_gating_func", 2), KEY("expert_group_count", 4),
			KEY("expert_group_used_count", 2), KEY("expert_weights_scale", 2.5), SWITCH("expert_weights_norm", true),
			KEY("expert_shared_count", 1), KEY("expert_shared_feed_forward_length", 96), KEY("leading_dense_block_count", 1)},
	},
	{
		.what = "chunks, weighed input of experts",
		.d = {.arch = "llama4", SHAPE(5, 16, 10000), .norm_before = true, .qk_norm = 4, .window = 24, .window_every = 4, .chunked = true,
			.rope_local_only = true, .query_scale = 0.1, .query_scale_length = 16, .n_expert = 4, .n_used = 1, .router = 2, .weigh_input = true,
			.moe_step = 2, .n_ff_shared = 96, .shared_plain = true, .rope_factors = "rope_freqs.weight"},
		.keys = {KEY("attention.sliding_window", 24), KEY("attention.temperature_length", 16), KEY("expert_count", 4), KEY("expert_used_count", 1),
			KEY("expert_feed_forward_length", 96), KEY("interleave_moe_layer_step", 2)},
	},
	{
		.what = "quantized, chunks", .tied = true,
		.d = {.arch = "llama4", SHAPE(4, 16, 10000), .norm_before = true, .qk_norm = 4, .window = 100, .window_every = 4, .chunked = true,
			.rope_local_only = true, .query_scale = 0.1, .query_scale_length = 8192, .n_expert = 6, .n_used = 2, .router = 2, .weigh_input = true,
			.moe_step = 1, .n_ff_shared = 96, .shared_plain = true, .quantized = true},
		.keys = {KEY("attention.sliding_window", 100), KEY("expert_count", 6), KEY("expert_used_count", 2), KEY("interleave_moe_layer_step", 1)},
	},
	{
		.what = "no chunks",
		.d = {.arch = "llama4", SHAPE(4, 16, 10000), .norm_before = true, .n_expert = 4, .n_used = 2, .router = 2, .weigh_input = true,
			.moe_step = 1, .n_ff_shared = 96, .shared_plain = true},
		.keys = {KEY("attention.sliding_window", 0), SWITCH("attention.qk_norm", false), KEY("expert_count", 4), KEY("expert_used_count", 2),
			KEY("interleave_moe_layer_step", 1)},
	},
	{
		.what = "SparseMixer",
		.d = {.arch = "phimoe", SHAPE(3, 16, 10000), .layer_norm = true, .norm_before = true, .biases = true, .neox = true, .window = 45,
			.n_expert = 8, .n_used = 2, .router = 4},
		.keys = {KEY("attention.sliding_window", 45), KEY("expert_count", 8), KEY("expert_used_count", 2)},
	},
	{
		.what = "cut queries, experts",
		.d = {.arch = "dbrx", SHAPE(3, 16, 10000), .layer_norm = true, .norm_before = true, .ffn_norm = "attn_output_norm", .neox = true,
			.fused_qkv = true, .clamp_qkv = 0.75, .n_expert = 8, .n_used = 3, .router = 1, .renorm = true},
		.keys = {KEY("attention.clamp_kqv", 0.75), KEY("expert_count", 8), KEY("expert_used_count", 3)},
	},
	{
		.what = "router before attention", .tied = true,
		.d = {.arch = "smallthinker", SHAPE(5, 16, 10000), .norm_before = true, .neox = true, .act = NAIVE_REGLU, .window = 30, .window_every = 4,
			.full_first = true, .rope_local_only = true, .n_expert = 8, .n_used = 3, .router = 2, .renorm = true, .router_early = true},
		.keys = {KEY("attention.sliding_window", 30), KEY("expert_count", 8), KEY("expert_used_count", 3), KEY("expert_gating_func", 2)},
	},
	{
		.what = "quantized router before attention",
		.d = {.arch = "smallthinker", SHAPE(2, 16, 10000), .norm_before = true, .neox = true, .act = NAIVE_REGLU, .n_expert = 8, .n_used = 3,
			.router = 1, .renorm = true, .router_early = true, .quantized = true},
		.keys = {KEY("expert_count", 8), KEY("expert_used_count", 3), KEY("expert_gating_func", 1)},
	},
	{
		.what = "layers with gaps",
		.d = {.arch = "deci", SHAPE(6, 16, 10000), .norm_before = true, .heads = (const int32_t[]) {4, 0, 4, 4, 0, 4}, .kvs = (const int32_t[]) {2, 0, 0, 4, 0, 1},
			.ffs = (const int32_t[]) {96, 64, 128, 0, 0, 32}},
		.keys = {{.suffix = "attention.head_count", .by_layer = (const int32_t[]) {4, 0, 4, 4, 0, 4}},
			{.suffix = "attention.head_count_kv", .by_layer = (const int32_t[]) {2, 0, 0, 4, 0, 1}},
			{.suffix = "feed_forward_length", .by_layer = (const int32_t[]) {96, 64, 128, 0, 0, 32}}},
	},
	{
		.what = "quantized, layers with gaps", .tied = true,
		.d = {.arch = "deci", SHAPE(4, 16, 10000), .norm_before = true, .heads = (const int32_t[]) {4, 4, 0, 4}, .kvs = (const int32_t[]) {4, 0, 0, 1},
			.ffs = (const int32_t[]) {96, 64, 32, 0}, .quantized = true},
		.keys = {{.suffix = "attention.head_count", .by_layer = (const int32_t[]) {4, 4, 0, 4}},
			{.suffix = "attention.head_count_kv", .by_layer = (const int32_t[]) {4, 0, 0, 1}},
			{.suffix = "feed_forward_length", .by_layer = (const int32_t[]) {96, 64, 32, 0}}},
	},
	{
		.what = "ALiBi, normalised embeddings", .tied = true,
		.d = {.arch = "bloom", .n_layer = 3, .n_head_kv = 4, .n_rot = 16, .n_ff = 96, .rope_base = 10000, .layer_norm = true, .norm_before = true,
			.biases = true, .fused_qkv = true, .act = NAIVE_GELU_PLAIN, .no_rope_every = 1, .embed_norm = true, .alibi = 8},
	},
	{
		.what = "ALiBi by metadata", .tied = true,
		.d = {.arch = "mpt", .n_layer = 3, .n_head_kv = 4, .n_rot = 16, .n_ff = 96, .rope_base = 10000, .layer_norm = true, .norm_before = true,
			.fused_qkv = true, .clamp_qkv = 1.5, .act = NAIVE_GELU_ERF, .no_rope_every = 1, .alibi = 5},
		.keys = {KEY("attention.max_alibi_bias", 5), KEY("attention.clamp_kqv", 1.5)},
	},
	{
		.what = "positions in place of ALiBi",
		.d = {.arch = "mpt", SHAPE(2, 16, 10000), .layer_norm = true, .norm_before = true, .fused_qkv = true, .qk_norm = 2, .act = NAIVE_GELU_ERF,
			.no_rope_every = 1, .positions = true},
		.keys = {KEY("attention.max_alibi_bias", 0)},
	},
	{
		.what = "learned positions, one key/value head",
		.d = {.arch = "starcoder", .n_layer = 3, .n_head_kv = 1, .n_rot = 16, .n_ff = 96, .rope_base = 10000, .layer_norm = true, .norm_before = true,
			.biases = true, .fused_qkv = true, .act = NAIVE_GELU_PLAIN, .no_rope_every = 1, .positions = true},
	},
	{
		.what = "ALiBi, one key/value head", .tied = true,
		.d = {.arch = "refact", .n_layer = 2, .n_head_kv = 1, .n_rot = 16, .n_ff = 96, .rope_base = 10000, .norm_before = true, .no_rope_every = 1,
			.alibi = 8},
	},
	{
		.what = "scores divided by the size of heads",
		.d = {.arch = "jais", .n_layer = 2, .n_head_kv = 4, .n_rot = 16, .n_ff = 96, .rope_base = 10000, .layer_norm = true, .norm_before = true,
			.biases = true, .fused_qkv = true, .no_rope_every = 1, .alibi = 8, .attn_scale = 0.0625},
		.keys = {KEY("attention.max_alibi_bias", 8)},
	},
	{
		.what = "codeshell",
		.d = {.arch = "codeshell", SHAPE(2, 16, 10000), .layer_norm = true, .norm_before = true, .biases = true, .act = NAIVE_GELU_PLAIN, .neox = true},
	},
	{
		.what = "layer norm in place of RMSNorm",
		.d = {.arch = "orion", SHAPE(2, 16, 10000), .layer_norm = true, .norm_before = true, .neox = true},
	},
	{
		.what = "xverse",
		.d = {.arch = "xverse", SHAPE(2, 16, 10000), .norm_before = true},
	},
	{
		.what = "streams", .tied = true,
		.d = {.arch = "gemma3n", SHAPE(6, 16, 1000000), .norm_before = true, .norm_after = true, .act = NAIVE_GELU, .qk_norm = 1, .neox = true,
			.window = 33, .window_every = 3, .embed_scale = 8, .local_base = 10000, .attn_scale = 1, .logit_cap = 30, .n_streams = 4, .n_input = 24,
			.n_shared = 2, .laurel_rank = 12, .sparsity = (const float[]) {1.6448536f, 0, -INFINITY, 0.5f, -INFINITY, 1}},
		.keys = {KEY("attention.sliding_window", 33), KEY("attention.sliding_window_pattern", 3), KEY("altup.num_inputs", 4), KEY("altup.active_idx", 0),
			KEY("embedding_length_per_layer_input", 24), KEY("attention.shared_kv_layers", 2)},
	},
	{
		.what = "quantized streams, another active",
		.d = {.arch = "gemma3n", SHAPE(5, 16, 1000000), .norm_before = true, .norm_after = true, .act = NAIVE_GELU, .qk_norm = 1, .neox = true,
			.window = 33, .window_every = 2, .embed_scale = 8, .local_base = 10000, .attn_scale = 1, .logit_cap = 30, .n_streams = 3, .active = 1,
			.n_input = 32, .n_shared = 3, .laurel_rank = 32, .quantized = true, .sparsity = (const float[]) {1, -INFINITY, -INFINITY, 0.5f, -INFINITY}},
		.keys = {KEY("attention.sliding_window", 33), KEY("attention.sliding_window_pattern", 2), KEY("altup.num_inputs", 3), KEY("altup.active_idx", 1),
			KEY("embedding_length_per_layer_input", 32), KEY("attention.shared_kv_layers", 3)},
	},
	{
		.what = "scales of stacks",
		.d = {.arch = "llama", SHAPE(2, 16, 10000), .norm_before = true, .n_expert = 4, .n_used = 2, .router = 1,
			.renorm = true, .scales = 1},
		.keys = {KEY("expert_count", 4), KEY("expert_used_count", 2)},
	},
	{
		.what = "quantized joined matrices that part inside of a group of rows",
		.d = {.arch = "phi3", .n_layer = 2, .n_head_kv = 2, .n_rot = 16, .n_ff = 100, .rope_base = 10000, .norm_before = true,
			.neox = true, .fused_qkv = true, .fused_gate = true, .biases = true, .quantized = true},
	},
};

#define N_CASES ((int) (sizeof cases / sizeof *cases))

/* over an outline of its weights a model opens, or does not, as over the whole */
static void
check_outline(const char *path, const LlmModelOptions *options, LlmStatus status, const LlmError *expected)
{
	const uint8_t *base = NULL;
	size_t		size = 0;
	LlmSource	source;
	LlmModel   *m = NULL;
	LlmError	err;

	CHECK(test_ok(llm_source_open(path, &llm_malloc_allocator, NULL, &source, &err), &err));
	CHECK(test_ok(llm_pack_outline(&source, &llm_malloc_allocator, NULL, &base, &size, &err), &err));
	llm_source_close(&source);
	CHECK_MSG(llm_model_open(base, size, options, llmk_level(0), &llm_malloc_allocator, &m, &err) == status, "%s", err.message);
	if (status != LLM_OK)
		CHECK_MSG(strcmp(err.message, expected->message) == 0 && strcmp(err.detail, expected->detail) == 0, "%s, not %s",
				  err.message, expected->message);
	llm_model_close(m);
	llm_memory_pack_free(base, size);
}

static TestModel
open_case(const Case *c, LlmKvType kv_type, const LlmKernels *kernels)
{
	LlmModelOptions options = {.kv_type = kv_type, .n_ctx = c->n_ctx};
	TinyMaker	k;
	TestModel	t;
	char		path[64];
	int			fd;

	tiny_make(&k, &c->d, c->keys, c->tied);
	gw_finish(&k.w);
	fd = gw_memfd(k.w.file.data, k.w.file.len, path);
	t = test_model_open(path, &options, kernels);
	check_outline(path, &options, LLM_OK, NULL);
	close(fd);
	gw_free(&k.w);
	return t;
}

/* every other case has its keys and values in 8 bits */
static LlmKvType
kv_of(const Case *c)
{
	return (c - cases) % 2 ? LLM_KV_Q8 : LLM_KV_F16;
}

/* the logits after a prompt beyond the windows and the first page, with keys and values in F32 */
static void
test_against_double(const Case *c)
{
	static double want[TINY_VOCAB];
	TestModel	t = open_case(c, LLM_KV_F32, llmk_select(NULL, llmk_cpu_features()));
	LlmSchedulerOptions options = {.batch_tokens = 48};
	LlmRequest *request;
	LlmPool    *pool;
	LlmScheduler *s;
	LlmError	err;
	double		worst = 0;
	double		largest = 0;

	CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, 2, &pool, &err), &err));
	CHECK(test_ok(llm_scheduler_create(t.model, pool, &options, &llm_malloc_allocator, &s, &err), &err));
	CHECK(test_ok(llm_request_logits(s, workload_prompt[0], NAIVE_TOKENS, &request, &err), &err));
	CHECK(run_to_end(s, NULL));
	naive_pass(&c->d, t.model, workload_prompt[0], NAIVE_TOKENS, want);
	for (int i = 0; i < TINY_VOCAB; i++)
	{
		double		d = fabs(llm_request_logits_result(request)[i] - want[i]);

		worst = check_larger(worst, d);
		largest = fmax(largest, fabs(want[i]));
	}
	printf("%s, %s: logits up to %.1f, largest difference %.1e\n", c->d.arch, c->what, largest, worst);
	CHECK_MSG(worst <= 1e-4 * largest, "%s, %s: logits differ by %g of %g", c->d.arch, c->what, worst, largest);
	llm_scheduler_free(s);
	llm_pool_free(pool);
	test_model_close(&t);
}

static const Work edges[] = {
	{WORK_GREEDY, 5, 4}, {WORK_LOGITS, 64, 0}, {WORK_SCORE, 63, 0}, {WORK_SAMPLED, 90, 9}, {WORK_LOGITS, 105, 0},
	{WORK_GREEDY, 40, 3}, {WORK_SCORE, 130, 0},
};
static const Work long_edges[] = {{WORK_GREEDY, 510, 5}, {WORK_LOGITS, 640, 0}, {WORK_SCORE, 577, 0}, {WORK_LOGITS, 545, 0}};

#define N_EDGES ((int) (sizeof edges / sizeof *edges))
#define N_LONG_EDGES ((int) (sizeof long_edges / sizeof *long_edges))

/* sanitizers are slow; there tests of the kernels go through all levels */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static void
test_ways(const Case *c, const Work *work, int n)
{
	static const Way plain = {1, 512, 0, false, false, false};
	static const Way ways[] = {
		{2, 1, 0, false, true, false},
		{2, 7, 3, true, true, true},
		{3, 64, 0, true, false, false},
		{2, 512, 0, false, true, true},
	};
	TestModel	t = open_case(c, kv_of(c), llmk_select(NULL, llmk_cpu_features()));
	Workload	want = {.work = work, .n = n};

	run_way(t.model, &plain, NULL, &want);
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
	{
		Workload	got = {.work = work, .n = n};

		run_way(t.model, &ways[i], NULL, &got);
		check_equal(&want, &got, c->what, (long) i);
	}
	test_model_close(&t);
}

static void
test_levels(const Case *c)
{
	static const Work some[] = {{WORK_LOGITS, 90, 0}, {WORK_GREEDY, 20, 2}};
	static const Way way = {1, 0, 0, false, true, false};
	Workload	first = {.work = some, .n = 2};

	for (int level = 0; level < n_tested_levels; level++)
	{
		TestModel	t = open_case(c, kv_of(c), &tested_levels[level]);
		Workload	got = {.work = some, .n = 2};

		run_way(t.model, &way, NULL, &got);
		if (level == 0)
			first = got;
		check_equal(&first, &got, tested_levels[level].name, (long) (c - cases));
		test_model_close(&t);
	}
}

/* says pause at one poll */
static bool
pause_once(void *opaque)
{
	long	   *countdown = opaque;

	return (*countdown)-- == 0;
}

static void
test_pauses(const Case *c)
{
	static const Work some[] = {{WORK_LOGITS, 30, 0}, {WORK_GREEDY, 10, 2}};
	static const Way way = {1, 20, 0, false, true, false};
	TestModel	t = open_case(c, LLM_KV_F16, llmk_select(NULL, llmk_cpu_features()));
	Workload	want = {.work = some, .n = 2};
	long		polls = -1;
	LlmStop		stop = {pause_once, &polls};
	long		n_polls;

	run_way(t.model, &way, &stop, &want);
	n_polls = -1 - polls;
	CHECK_MSG(n_polls > 50, "%ld polls", n_polls);
	for (long at = 0; at < n_polls; at += 3)
	{
		Workload	got = {.work = some, .n = 2};

		polls = at;
		run_way(t.model, &way, &stop, &got);
		check_equal(&want, &got, c->what, at);
	}
	test_model_close(&t);
}

/* ---- what is refused ---- */

typedef struct Refusal
{
	int			base;			/* case whose model is changed */
	TinyKey		key;
	LlmStatus	status;
	const char *says;
} Refusal;

static LlmStatus
open_status(TinyMaker *k, LlmError *err)
{
	const LlmModelOptions options = {.kv_type = LLM_KV_F16};
	const uint8_t *base;
	size_t		size;
	LlmSource	source;
	LlmModel   *m = NULL;
	LlmStatus	status;
	char		path[64];
	int			fd;

	gw_finish(&k->w);
	fd = gw_memfd(k->w.file.data, k->w.file.len, path);
	CHECK(test_ok(llm_source_open(path, &llm_malloc_allocator, NULL, &source, err), err));
	CHECK(test_ok(llm_pack_to_memory(&source, &llm_malloc_allocator, NULL, &base, &size, err), err));
	llm_source_close(&source);
	status = llm_model_open(base, size, &options, llmk_level(0), &llm_malloc_allocator, &m, err);
	llm_model_close(m);
	llm_memory_pack_free(base, size);
	check_outline(path, &options, status, err);
	close(fd);
	gw_free(&k->w);
	return status;
}

static int
case_named(const char *what)
{
	for (int i = 0; i < N_CASES; i++)
	{
		if (strcmp(cases[i].what, what) == 0)
			return i;
	}
	CHECK_MSG(false, "no case %s", what);
	return 0;
}

static void
check_refused(const Case *c, const TinyKey *key, LlmStatus want, const char *says)
{
	TinyKey		keys[22] = {{0}};
	TinyMaker	k;
	LlmError	err;
	LlmStatus	status;
	int			n = 0;

	for (; c->keys[n].suffix; n++)
		keys[n] = c->keys[n];
	keys[n] = *key;
	tiny_make(&k, &c->d, keys, c->tied);
	status = open_status(&k, &err);
	CHECK_MSG(status == want && strstr(err.message, says), "%s, %s: status %d, %s", c->d.arch, key->suffix, (int) status,
			  status == LLM_OK ? "no message" : err.message);
}

static void
test_refused_keys(void)
{
	static const TinyKey of_llama[] = {
		KEY("attention.temperature_scale", 0.5), KEY("logit_scale", 2),
		KEY("embedding_scale", 2), KEY("residual_scale", 2), KEY("attention.clamp_kqv", 8),
		KEY("rope.dimension_sections", 1), KEY("attention.key_length_swa", 32), KEY("rope.scaling.alpha", 2),
	};
	const Case *llama = &cases[case_named("llama")];
	const Case *experts = &cases[case_named("experts")];

	for (size_t i = 0; i < sizeof of_llama / sizeof *of_llama; i++)
		check_refused(llama, &of_llama[i], LLM_E_UNSUPPORTED, of_llama[i].suffix);
	check_refused(llama, &(TinyKey) KEY("pooling_type", 5), LLM_E_FORMAT, "pooling_type");
	check_refused(llama, &(TinyKey) KEY("pooling_type", 4), LLM_E_UNSUPPORTED, "classifier");
	check_refused(&cases[case_named("soft caps")], &(TinyKey) SWITCH("attention.causal", false), LLM_E_UNSUPPORTED, "attention.causal");
	check_refused(&cases[case_named("biases")], &(TinyKey) KEY("expert_count", 4), LLM_E_UNSUPPORTED, "expert_count");
	check_refused(llama, &(TinyKey) KEY("nextn_predict_layers", 3), LLM_E_FORMAT, "nextn_predict_layers");
	check_refused(llama, &(TinyKey) TEXT("rope.scaling.type", "dynamic"), LLM_E_UNSUPPORTED, "dynamic");
	check_refused(experts, &(TinyKey) KEY("leading_dense_block_count", 1), LLM_E_UNSUPPORTED, "leading_dense_block_count");
	check_refused(experts, &(TinyKey) KEY("expert_shared_feed_forward_length", 32), LLM_E_UNSUPPORTED, "expert_shared");
	check_refused(experts, &(TinyKey) KEY("expert_gating_func", 4), LLM_E_FORMAT, "expert_gating_func");
	check_refused(&cases[case_named("streams")], &(TinyKey) SWITCH("attention.causal", false), LLM_E_UNSUPPORTED, "attention.causal");
	check_refused(llama, &(TinyKey) KEY("attention.shared_kv_layers", 1), LLM_E_UNSUPPORTED, "shared_kv_layers");
	check_refused(llama, &(TinyKey) KEY("attention.max_alibi_bias", 8), LLM_E_UNSUPPORTED, "max_alibi_bias");
	check_refused(llama, &(TinyKey) SWITCH("attention.qk_norm", true), LLM_E_UNSUPPORTED, "attention.qk_norm");
	check_refused(experts, &(TinyKey) KEY("interleave_moe_layer_step", 2), LLM_E_UNSUPPORTED, "interleave_moe_layer_step");
	check_refused(experts, &(TinyKey) KEY("expert_group_count", 3), LLM_E_FORMAT, "groups");
	check_refused(experts, &(TinyKey) KEY("expert_feed_forward_length", 64), LLM_E_FORMAT, "ffn_gate_exps");
}

/* latent attention: what is not computed, and sizes that cannot be or are missing */
static void
test_refused_latent(void)
{
	const Case *c = &cases[case_named("latent attention, plain queries")];
	TinyMaker	k;
	LlmError	err;

	check_refused(c, &(TinyKey) KEY("rope.scaling.attn_factor", 2), LLM_E_UNSUPPORTED, "attn_factor");
	check_refused(c, &(TinyKey) KEY("attention.temperature_scale", 0.5), LLM_E_UNSUPPORTED, "temperature_scale");
	check_refused(c, &(TinyKey) SWITCH("attention.causal", false), LLM_E_UNSUPPORTED, "attention.causal");
	check_refused(c, &(TinyKey) KEY("attention.sliding_window", 100), LLM_E_UNSUPPORTED, "sliding_window");
	check_refused(c, &(TinyKey) KEY("attention.q_lora_rank", 16), LLM_E_FORMAT, "attn_q_a");
	check_refused(c, &(TinyKey) KEY("leading_dense_block_count", 1), LLM_E_FORMAT, "ffn_gate");
	tiny_make(&k, &c->d, c->keys + 1, c->tied);
	CHECK(open_status(&k, &err) == LLM_E_FORMAT && strstr(err.message, "attention.key_length\" "));
	for (size_t i = 0; i < 3; i++)
	{
		TinyKey		keys[20];

		memcpy(keys, c->keys, sizeof keys);
		keys[i].value = i == 0 ? 16 : 5000;
		tiny_make(&k, &c->d, keys, c->tied);
		CHECK(open_status(&k, &err) == LLM_E_FORMAT && strstr(err.message, keys[i].suffix));
	}
}

/* tensors that the architecture does not know, or whose shape is another */
static void
test_refused_tensors(void)
{
	static const struct
	{
		const char *of;
		const char *role;
		int			n_cols;
		int			n_rows;
		LlmStatus	status;
	}			extra[] = {
		{"llama", "blk.0.attn_q_norm.weight", 16, 0, LLM_E_UNSUPPORTED},
		{"llama", "blk.0.attn_norm.bias", 64, 0, LLM_E_UNSUPPORTED},
		{"llama", "blk.1.attn_sinks.weight", 4, 0, LLM_E_UNSUPPORTED},
		{"llama", "blk.0.post_attention_norm.weight", 64, 0, LLM_E_UNSUPPORTED},
		{"experts", "blk.0.ffn_up_shexp.weight", 64, 96, LLM_E_UNSUPPORTED},
		{"experts", "blk.0.exp_probs_b.bias", 7, 0, LLM_E_FORMAT},
		{"experts", "blk.0.ffn_down_exps.bias", 64, 7, LLM_E_FORMAT},
		{"norm of heads", "cls.output.weight", 48, 2, LLM_E_FORMAT},
		{"norm of heads", "dense_2.weight", 48, 8, LLM_E_FORMAT},
		{"longrope, long", "blk.0.ffn_gate.weight", 64, 96, LLM_E_UNSUPPORTED},
		{"latent attention", "blk.0.attn_kv_b.weight", 64, 96, LLM_E_UNSUPPORTED},
		{"experts", "blk.0.ffn_up_exps.scale", 7, 0, LLM_E_FORMAT},
		{"llama", "blk.0.attn_q.scale", 2, 0, LLM_E_FORMAT},
		{"llama", "token_embd.scale", 1, 0, LLM_E_UNSUPPORTED},
	};

	for (size_t i = 0; i < sizeof extra / sizeof *extra; i++)
	{
		const Case *c = &cases[case_named(extra[i].of)];
		TinyMaker	k;
		LlmError	err;
		LlmStatus	status;

		tiny_make(&k, &c->d, c->keys, c->tied);
		tiny_tensor(&k, extra[i].role, extra[i].n_cols, extra[i].n_rows, 0, 0, 1);
		status = open_status(&k, &err);
		CHECK_MSG(status == extra[i].status && strstr(err.message, extra[i].role), "%s: status %d, %s", extra[i].role, (int) status,
				  status == LLM_OK ? "no message" : err.message);
	}
}

static void
last_logits(const LlmModel *model, float *out)
{
	LlmSchedulerOptions options = {.batch_tokens = 48};
	LlmRequest *request;
	LlmPool    *pool;
	LlmScheduler *s;
	LlmError	err;

	CHECK(test_ok(llm_pool_create(&llm_malloc_allocator, 1, &pool, &err), &err));
	CHECK(test_ok(llm_scheduler_create(model, pool, &options, &llm_malloc_allocator, &s, &err), &err));
	CHECK(test_ok(llm_request_logits(s, workload_prompt[0], 20, &request, &err), &err));
	CHECK(run_to_end(s, NULL));
	memcpy(out, llm_request_logits_result(request), TINY_VOCAB * sizeof *out);
	llm_scheduler_free(s);
	llm_pool_free(pool);
}

/* layers that guess tokens ahead are left out: the first layers alone give the same logits */
static void
test_draft_layers(void)
{
	Case		with = cases[case_named("llama")];
	Case		without = with;
	TestModel	t;
	float		a[TINY_VOCAB];
	float		b[TINY_VOCAB];

	with.keys[0] = (TinyKey) KEY("nextn_predict_layers", 1);
	without.d.n_layer = 2;
	t = open_case(&with, LLM_KV_F32, llmk_level(0));
	CHECK(t.model->hp.n_layer == 2);
	last_logits(t.model, a);
	test_model_close(&t);
	t = open_case(&without, LLM_KV_F32, llmk_level(0));
	last_logits(t.model, b);
	test_model_close(&t);
	CHECK(memcmp(a, b, sizeof a) == 0);
}

/* angles per position are those of transformers (ROPE_INIT_FUNCTIONS, 16 dimensions), to the last bit */
static void
test_angles(void)
{
	static const struct
	{
		const char *of;
		float		angle[8];
	}			known[] = {
		{"llama", {1, 3.162277639e-01f, 1.000000015e-01f, 3.162277862e-02f, 9.999999776e-03f, 3.162277862e-03f,
		1.000000047e-03f, 3.162277862e-04f}},
		{"local rope", {1.250000000e-01f, 2.222849242e-02f, 3.952847328e-03f, 7.029266562e-04f, 1.250000059e-04f,
		2.222849253e-05f, 3.952846782e-06f, 7.029266840e-07f}},
		{"yarn, query scale", {1, 1.976423562e-01f, 2.500000037e-02f, 7.905694656e-03f, 2.499999944e-03f, 7.905694656e-04f,
		2.500000119e-04f, 7.905694656e-05f}},
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
	{
		TestModel	t = open_case(&cases[case_named(known[i].of)], LLM_KV_F32, llmk_level(0));

		for (int k = 0; k < 8; k++)
			CHECK_MSG(t.model->rope_freq[LLM_ROPE_GLOBAL][k] == known[i].angle[k], "%s, pair %d: %.9g, not %.9g", known[i].of, k,
					  (double) t.model->rope_freq[LLM_ROPE_GLOBAL][k], (double) known[i].angle[k]);
		test_model_close(&t);
	}
}

/* windows, experts, latent attention, caches in 8 bits: guessing changes no byte */
static void
test_guesses(void)
{
	for (int i = 0; i < N_CASES; i++)
	{
		const Case *c = &cases[i];
		const Case *other = &cases[case_named("llama")];
		TestModel	t;
		TestModel	bad;

		if (c->n_ctx || other->n_ctx || !(c->d.window || c->d.n_expert || c->d.kv_rank || c->d.parallel))
			continue;
		t = open_case(c, kv_of(c), llmk_select(NULL, llmk_cpu_features()));
		bad = open_case(other, kv_of(other), llmk_select(NULL, llmk_cpu_features()));
		test_draft_ways(c->what, t.model, bad.model);
		test_model_close(&bad);
		test_model_close(&t);
	}
}

/* every row of the table has a case here, but for recurrent layers (recurrent_test.c) and encoders (encoder_test.c) */
static void
test_all_rows_covered(void)
{
	for (int i = 0; i < llm_arch_count(); i++)
	{
		int			n = llm_arch_get(i)->recurrent != LLM_MIXER_ATTENTION || (llm_arch_get(i)->traits & LLM_TRAIT_ENCODER);

		for (int c = 0; c < N_CASES; c++)
			n += strcmp(cases[c].d.arch, llm_arch_get(i)->name) == 0;
		CHECK_MSG(n > 0, "architecture %s is not tested", llm_arch_get(i)->name);
	}
}

int
main(void)
{
	workload_make_prompts(TINY_VOCAB);
	list_tested_levels();
	test_all_rows_covered();
	for (int i = 0; i < N_CASES; i++)
	{
		if (!cases[i].d.quantized)
			test_against_double(&cases[i]);
		test_ways(&cases[i], edges, N_EDGES);
		if (cases[i].d.window && !cases[i].n_ctx)
			test_ways(&cases[i], long_edges, N_LONG_EDGES);
		if (!SANITIZED)
			test_levels(&cases[i]);
	}
	test_pauses(&cases[case_named("quantized shared expert")]);
	test_pauses(&cases[case_named("quantized parallel blocks")]);
	test_pauses(&cases[case_named("soft caps")]);
	test_pauses(&cases[case_named("quantized latent attention")]);
	test_pauses(&cases[case_named("quantized, chunks")]);
	test_pauses(&cases[case_named("quantized streams, another active")]);
	test_pauses(&cases[case_named("quantized router before attention")]);
	test_pauses(&cases[case_named("quantized, layers with gaps")]);
	test_refused_keys();
	test_refused_latent();
	test_refused_tensors();
	test_draft_layers();
	test_angles();
	test_guesses();
	CHECK_DONE();
}
