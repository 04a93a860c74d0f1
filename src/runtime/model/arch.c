/*
 * arch.c: the table of architectures.
 */
#include <string.h>

#include "model/arch.h"

static const LlmArch arch_table[] = {
	{
		.name = "llama",
		.note = "Llama 1 to 3, Mistral, Mixtral, SmolLM2 and others of that form: grouped heads, SwiGLU, RMSNorm, experts",
		.rope = LLM_ROPE_NORM,
		.router = LLM_ROUTER_SOFTMAX,
		.router_renorm = true,
		.window_every = LLM_WINDOW_ALWAYS,
	},
	{
		.name = "mistral3",
		.note = "Ministral 3, Mistral Small 3: YaRN, queries scaled with their position",
		.rope = LLM_ROPE_NORM,
		.traits = LLM_TRAIT_QUERY_SCALE,
		.router = LLM_ROUTER_SOFTMAX,
		.router_renorm = true,
		.window_every = LLM_WINDOW_ALWAYS,
	},
	{
		.name = "qwen2",
		.note = "Qwen 1.5, 2 and 2.5: biases on queries, keys and values",
		.rope = LLM_ROPE_NEOX,
		.window_every = LLM_WINDOW_ALWAYS,
	},
	{
		.name = "qwen2moe",
		.note = "Qwen 1.5 and 2 with experts: softmax router, shared expert behind a gate",
		.rope = LLM_ROPE_NEOX,
		.router = LLM_ROUTER_SOFTMAX,
		.shared_expert = true,
		.window_every = LLM_WINDOW_ALWAYS,
	},
	{
		.name = "qwen3",
		.note = "Qwen 3: queries and keys normalised per head",
		.rope = LLM_ROPE_NEOX,
		.qk_norm = LLM_QK_NORM_HEAD,
		.window_every = LLM_WINDOW_ALWAYS,
	},
	{
		.name = "qwen3moe",
		.note = "Qwen 3 with experts: softmax router, renormalised",
		.rope = LLM_ROPE_NEOX,
		.qk_norm = LLM_QK_NORM_HEAD,
		.router = LLM_ROUTER_SOFTMAX,
		.router_renorm = true,
		.window_every = LLM_WINDOW_ALWAYS,
	},
	{
		.name = "gemma2",
		.note = "Gemma 2: soft caps, every other layer with a window, norms around each block, GeGLU",
		.rope = LLM_ROPE_NEOX,
		.norm_place = LLM_NORM_AROUND,
		.ffn = LLM_FFN_GEGLU,
		.traits = LLM_TRAIT_EMBED_SQRT,
		.window_every = 2,
		.window = 4096,
		.attn_cap = 50,
		.logit_cap = 30,
		.wide_scale_layers = 46,
	},
	{
		.name = "gemma3",
		.note = "Gemma 3 (text): five layers with a window and their own rope to one without, queries and keys normalised",
		.rope = LLM_ROPE_NEOX,
		.norm_place = LLM_NORM_AROUND,
		.qk_norm = LLM_QK_NORM_HEAD,
		.ffn = LLM_FFN_GEGLU,
		.traits = LLM_TRAIT_EMBED_SQRT | LLM_TRAIT_LOCAL_PLAIN,
		.window_every = 6,
		.local_rope_base = 10000,
		.wide_scale_layers = 62,
	},
	{
		.name = "phi3",
		.note = "Phi 3, 3.5 and 4 (mini): longrope, window on all layers",
		.rope = LLM_ROPE_NEOX,
		.traits = LLM_TRAIT_FUSED_GATE,
		.window_every = LLM_WINDOW_ALWAYS,
	},
	{
		.name = "nemotron",
		.note = "Nemotron 3 and 4 (dense), Minitron: LayerNorm, squared ReLU, partly rotated heads",
		.rope = LLM_ROPE_NEOX,
		.norm = LLM_NORM_LAYER,
		.ffn = LLM_FFN_RELU_SQR,
	},
	{
		.name = "smollm3",
		.note = "SmolLM3: every fourth layer without rope",
		.rope = LLM_ROPE_NORM,
		.no_rope_every = 4,
		.window_every = LLM_WINDOW_ALWAYS,
	},
	{
		.name = "granite",
		.note = "Granite 3 and 4 (dense): multipliers of embeddings, scores, residuals and logits",
		.rope = LLM_ROPE_NORM,
		.traits = LLM_TRAIT_MULTIPLIERS | LLM_TRAIT_ROPE_SWITCH,
	},
	{
		.name = "gpt-oss",
		.note = "gpt-oss: sinks, every other layer with a window, YaRN, clamped SwiGLU, softmax over the chosen experts",
		.rope = LLM_ROPE_NEOX,
		.ffn = LLM_FFN_SWIGLU_CLAMPED,
		.traits = LLM_TRAIT_SINKS | LLM_TRAIT_FFN_NORM_NAME,
		.window_every = 2,
		.router = LLM_ROUTER_SOFTMAX_CHOSEN,
	},
	{
		.name = "olmoe",
		.note = "OLMoE: queries and keys normalised as a whole, softmax router",
		.rope = LLM_ROPE_NEOX,
		.qk_norm = LLM_QK_NORM_WHOLE,
		.router = LLM_ROUTER_SOFTMAX,
	},
	{
		.name = "glm4",
		.note = "GLM 4 (text): norms around each block, partly rotated heads",
		.rope = LLM_ROPE_NORM,
		.norm_place = LLM_NORM_AROUND,
		.traits = LLM_TRAIT_FUSED_GATE,
	},
	{
		.name = "cohere2",
		.note = "Command R7B and A: attention and feed-forward in parallel, LayerNorm, rope only in layers with a window",
		.rope = LLM_ROPE_NORM,
		.norm = LLM_NORM_LAYER,
		.traits = LLM_TRAIT_PARALLEL | LLM_TRAIT_LOGIT_FACTOR | LLM_TRAIT_ROPE_LOCAL_ONLY,
		.window_every = 4,
	},
	{
		.name = "olmo2",
		.note = "OLMo 2 and 3: norms after each block, queries and keys normalised as a whole",
		.rope = LLM_ROPE_NEOX,
		.norm_place = LLM_NORM_AFTER,
		.qk_norm = LLM_QK_NORM_WHOLE,
		.traits = LLM_TRAIT_LOCAL_PLAIN,
		.window_every = 4,
	},
	{
		.name = "deepseek2",
		.note = "DeepSeek V2, V3, R1: latent attention with its compressed cache, softmax or sigmoid router, shared experts",
		.rope = LLM_ROPE_NORM,
		.traits = LLM_TRAIT_LATENT | LLM_TRAIT_DENSE_LEAD,
		.router = LLM_ROUTER_SOFTMAX,
		.shared_expert = true,
	},
	{
		.name = "mamba2",
		.note = "Mamba 2: state space layers only",
		.traits = LLM_TRAIT_ONE_BLOCK,
		.recurrent = LLM_MIXER_MAMBA2,
	},
	{
		.name = "nemotron_h",
		.note = "Nemotron-H, Nemotron Nano 2: Mamba 2, attention without rope and squared ReLU, one block a layer",
		.ffn = LLM_FFN_RELU_SQR,
		.traits = LLM_TRAIT_ONE_BLOCK,
		.no_rope_every = 1,
		.recurrent = LLM_MIXER_MAMBA2,
	},
	{
		.name = "nemotron_h_moe",
		.note = "Nemotron 3: as nemotron_h, with experts (sigmoid router, shared expert, also in a latent space)",
		.ffn = LLM_FFN_RELU_SQR,
		.traits = LLM_TRAIT_ONE_BLOCK,
		.no_rope_every = 1,
		.recurrent = LLM_MIXER_MAMBA2,
		.router = LLM_ROUTER_SIGMOID,
		.router_renorm = true,
		.shared_expert = true,
	},
	{
		.name = "lfm2",
		.note = "LFM2: gated short convolutions, some layers with attention",
		.rope = LLM_ROPE_NEOX,
		.qk_norm = LLM_QK_NORM_HEAD,
		.traits = LLM_TRAIT_OUTPUT_NORM_NAME,
		.recurrent = LLM_MIXER_SHORT_CONV,
	},
	{
		.name = "bert",
		.note = "BERT, RoBERTa, XLM-RoBERTa: embeddings and cross-encoders (MiniLM, BGE, E5, GTE, Arctic Embed)",
		.norm = LLM_NORM_LAYER,
		.norm_place = LLM_NORM_RESIDUAL,
		.ffn = LLM_FFN_GELU,
		.traits = LLM_TRAIT_ENCODER | LLM_TRAIT_EMBED_NORM | LLM_TRAIT_POSITIONS,
		.no_rope_every = 1,
	},
	{
		.name = "nomic-bert",
		.note = "Nomic Embed 1 and 1.5: BERT with rope and SwiGLU",
		.rope = LLM_ROPE_NEOX,
		.norm = LLM_NORM_LAYER,
		.norm_place = LLM_NORM_RESIDUAL,
		.traits = LLM_TRAIT_ENCODER | LLM_TRAIT_EMBED_NORM,
	},
	{
		.name = "nomic-bert-moe",
		.note = "Nomic Embed 2: BERT with rope, experts in every other layer",
		.rope = LLM_ROPE_NEOX,
		.norm = LLM_NORM_LAYER,
		.norm_place = LLM_NORM_RESIDUAL,
		.ffn = LLM_FFN_GELU,
		.traits = LLM_TRAIT_ENCODER | LLM_TRAIT_EMBED_NORM,
		.router = LLM_ROUTER_SOFTMAX,
	},
	{
		.name = "jina-bert-v2",
		.note = "Jina Embeddings 2, Jina Reranker 1: BERT with ALiBi and GeGLU",
		.norm = LLM_NORM_LAYER,
		.norm_place = LLM_NORM_RESIDUAL,
		.qk_norm = LLM_QK_NORM_WHOLE,
		.ffn = LLM_FFN_GELU,
		.traits = LLM_TRAIT_ENCODER | LLM_TRAIT_EMBED_NORM | LLM_TRAIT_ALIBI,
		.no_rope_every = 1,
	},
	{
		.name = "jina-bert-v3",
		.note = "Jina Embeddings 3 (without its adapters): XLM-RoBERTa with rope",
		.rope = LLM_ROPE_NEOX,
		.norm = LLM_NORM_LAYER,
		.norm_place = LLM_NORM_RESIDUAL,
		.ffn = LLM_FFN_GELU,
		.traits = LLM_TRAIT_ENCODER | LLM_TRAIT_EMBED_NORM,
	},
	{
		.name = "modern-bert",
		.note = "ModernBERT: norms before blocks, two of three layers with a symmetric window and their own rope, GeGLU",
		.rope = LLM_ROPE_NEOX,
		.norm = LLM_NORM_LAYER,
		.ffn = LLM_FFN_GELU,
		.traits = LLM_TRAIT_ENCODER | LLM_TRAIT_EMBED_NORM | LLM_TRAIT_FUSED_GATE | LLM_TRAIT_WINDOW_SYMMETRIC | LLM_TRAIT_FULL_FIRST,
		.window_every = 3,
		.local_rope_base = 10000,
	},
	{
		.name = "eurobert",
		.note = "EuroBERT: Llama in both directions",
		.rope = LLM_ROPE_NEOX,
		.traits = LLM_TRAIT_ENCODER,
	},
	{
		.name = "llama-embed",
		.note = "Llama in both directions",
		.rope = LLM_ROPE_NORM,
		.traits = LLM_TRAIT_ENCODER,
	},
	{
		.name = "gemma-embedding",
		.note = "EmbeddingGemma: Gemma 3 in both directions, symmetric windows, dense layers after the mean",
		.rope = LLM_ROPE_NEOX,
		.norm_place = LLM_NORM_AROUND,
		.qk_norm = LLM_QK_NORM_HEAD,
		.ffn = LLM_FFN_GEGLU,
		.traits = LLM_TRAIT_ENCODER | LLM_TRAIT_EMBED_SQRT | LLM_TRAIT_LOCAL_PLAIN | LLM_TRAIT_WINDOW_SYMMETRIC,
		.window_every = 6,
		.local_rope_base = 10000,
	},
};

int
llm_arch_count(void)
{
	return (int) (sizeof(arch_table) / sizeof(arch_table[0]));
}

const LlmArch *
llm_arch_get(int i)
{
	return &arch_table[i];
}

const LlmArch *
llm_arch_find(LlmStr name)
{
	for (int i = 0; i < llm_arch_count(); i++)
	{
		if (strlen(arch_table[i].name) == name.len && memcmp(arch_table[i].name, name.data, name.len) == 0)
			return &arch_table[i];
	}
	return NULL;
}
