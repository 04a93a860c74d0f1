"""The models of make_references.py: configurations by name. Shapes are odd on purpose and change with the seed."""
import math
import random

import torch
import transformers as t

MODELS = {}


def model(f):
    MODELS[f.__name__] = f
    return f


def names():
    return list(MODELS)


def config(name, seed):
    c = MODELS[name](random.Random('%s %d' % (name, seed)))
    c._attn_implementation = 'eager'
    return c


def arch_of(path):
    import gguf
    return gguf.GGUFReader(path).fields['general.architecture'].contents()


def overrides(name, config):
    """What the converter knows by other names than transformers writes; None: not at all."""
    changes = dict(OVERRIDES.get(name, {}))
    if name.startswith('granitehybrid'):
        changes['layer_types'] = ['attention' if x == 'full_attention' else x for x in config.layer_types]
    if name == 'nemotron_h':
        changes['num_hidden_layers'] = len(config.layers_block_type)
        changes['hybrid_override_pattern'] = ''.join({'full_attention': '*', 'attention': '*', 'mlp': '-'}.get(x, 'M') for x in config.layers_block_type)
    return changes


OVERRIDES = {
    'cohere2': {'rotary_pct': 1.0},
    'gpt2': {'n_ctx': 1024},
    'bloom': {'seq_length': 1024},
    'mpt': {'architectures': ['MPTForCausalLM']},
    'phimoe': {'architectures': ['PhiMoEForCausalLM'], 'original_max_position_embeddings': 1024},
    'gptneox': {'rotary_pct': 0.5},
    'minimax_m2': {'scoring_func': 'sigmoid'},
    'nemotron_h': {'n_group': None, 'topk_group': None, 'num_experts_per_tok': None, 'n_routed_experts': None, 'layers_block_type': None},
    'glm4moelite': {'scoring_func': 'sigmoid'},
    'exaone4_plain': {'sliding_window': None},
    'dots1': {'scoring_func': 'sigmoid'},
    'deepseek3': {'scoring_func': 'sigmoid'},
}


def fill(name, p, generator):
    noise = torch.randn(p.shape, generator=generator)
    leaf = name.rsplit('.', 1)[-1]
    if leaf == 'A_log':
        p.copy_(torch.rand(p.shape, generator=generator) * 2 - 0.5)
    elif leaf in ('dt_bias', 'D', 'sinks'):
        p.copy_(noise)
    elif p.ndim == 1 and leaf == 'bias' or leaf.endswith('_bias'):
        p.copy_(noise * 0.2)
    elif p.ndim <= 1:
        p.copy_(p + noise * 0.2)
    elif 'embed' in name or 'lm_head' in name or 'wte' in name:
        p.copy_(noise * 0.6)
    elif 'conv' in name:
        p.copy_(noise * 0.4)
    else:
        p.copy_(noise * 1.2 / math.sqrt(p.shape[-1]))


def common(r, **more):
    """Sizes that every configuration has."""
    kv = r.choice([1, 2, 3])
    head_dim = r.choice([16, 24, 32])
    heads = kv * r.choice([2, 3])
    d = dict(vocab_size=320 + 8 * r.randrange(4), hidden_size=heads * head_dim, intermediate_size=r.choice([96, 128, 160, 224]),
             num_hidden_layers=r.choice([3, 4, 5]), num_attention_heads=heads, num_key_value_heads=kv, max_position_embeddings=1024,
             rms_norm_eps=1e-5, tie_word_embeddings=r.random() < 0.5, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    d.update(more)
    return d


def free_head(r, **more):
    """The same with heads that are not a share of the embedding's width."""
    return common(r, hidden_size=r.choice([64, 96, 128]), head_dim=r.choice([16, 32, 40]), **more)


def experts(r, **more):
    n = r.choice([6, 8, 12])
    d = dict(num_experts=n, num_experts_per_tok=r.choice([2, 3]), moe_intermediate_size=r.choice([32, 48, 64]))
    d.update(more)
    return d


@model
def qwen2moe(r):
    return t.Qwen2MoeConfig(**common(r), **experts(r, norm_topk_prob=False), shared_expert_intermediate_size=r.choice([80, 96]),
                            decoder_sparse_step=1, use_sliding_window=False)


@model
def olmoe(r):
    return t.OlmoeConfig(**common(r), num_experts=r.choice([6, 8]), num_experts_per_tok=3, norm_topk_prob=False)


@model
def glm4(r):
    return t.Glm4Config(**free_head(r), partial_rotary_factor=0.5, attention_bias=r.random() < 0.5)


@model
def cohere2(r):
    d = common(r, num_hidden_layers=r.choice([5, 8]), tie_word_embeddings=True)
    d.pop('rms_norm_eps')
    return t.Cohere2Config(**d, layer_norm_eps=1e-5, sliding_window=r.choice([7, 12, 33]), logit_scale=r.choice([0.25, 0.0625, 1.0]))


@model
def olmo2(r):
    return t.Olmo2Config(**common(r))


@model
def olmo3(r):
    return t.Olmo3Config(**common(r, num_hidden_layers=r.choice([5, 8]), max_position_embeddings=1024), sliding_window=r.choice([9, 20, 65]),
                         rope_theta=500000.0,
                         rope_scaling={'rope_type': 'yarn', 'factor': 8.0, 'original_max_position_embeddings': 128, 'attention_factor': 1.2079441541679836,
                                       'beta_fast': 32.0, 'beta_slow': 1.0} if r.random() < 0.7 else None)


@model
def mixtral(r):
    d = common(r)
    return t.MixtralConfig(**d, num_local_experts=r.choice([4, 6, 16]), num_experts_per_tok=r.choice([1, 2, 3]), sliding_window=None)


@model
def granitemoe(r):
    return t.GraniteMoeConfig(**common(r), num_local_experts=r.choice([6, 8]), num_experts_per_tok=r.choice([2, 3]), embedding_multiplier=6.0,
                              logits_scaling=3.0, residual_multiplier=0.4, attention_multiplier=0.12)


@model
def phi3_window(r):
    d = common(r, num_key_value_heads=2, num_attention_heads=4, hidden_size=4 * r.choice([16, 24, 32]))
    return t.Phi3Config(**d, sliding_window=r.choice([5, 17, 40]), partial_rotary_factor=r.choice([1.0, 0.75, 0.5]))


@model
def gemma3(r):
    d = free_head(r, num_hidden_layers=r.choice([5, 7]), vocab_size=323, tie_word_embeddings=True)
    return t.Gemma3TextConfig(**d, query_pre_attn_scalar=d['head_dim'], sliding_window=r.choice([6, 15, 70]),
                              sliding_window_pattern=6)


@model
def gemma3n(r):
    d = free_head(r, num_hidden_layers=8, vocab_size=328, tie_word_embeddings=True)
    d['hidden_size'] = 2 * d['num_attention_heads'] * r.choice([8, 12])
    return t.Gemma3nTextConfig(**d, vocab_size_per_layer_input=328, hidden_size_per_layer_input=r.choice([8, 24]), sliding_window=r.choice([6, 15, 70]),
                               layer_types=['sliding_attention', 'full_attention'] * 4, num_kv_shared_layers=r.choice([0, 3, 4]),
                               activation_sparsity_pattern=[0.95, 0.5, 0.8, 0.0, 0.0, 0.0, 0.9, 0.0], laurel_rank=r.choice([8, 12]),
                               final_logit_softcapping=30.0)


@model
def gemma2(r):
    d = free_head(r, num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True)
    return t.Gemma2Config(**d, sliding_window=r.choice([6, 15, 70]), query_pre_attn_scalar=d['head_dim'])


@model
def smollm3(r):
    return t.SmolLM3Config(**common(r, num_hidden_layers=r.choice([5, 8])), no_rope_layer_interval=4)


@model
def lfm2(r):
    d = common(r, num_hidden_layers=5)
    n = d['num_hidden_layers']
    return t.Lfm2Config(**d, norm_eps=1e-5, conv_L_cache=r.choice([3, 4]), layer_types=['full_attention' if i in (1, 3) else 'conv' for i in range(n)],
                        block_auto_adjust_ff_dim=False)


def delta_net(r, **more):
    """Qwen 3 Next and what came of it."""
    kv_heads = r.choice([1, 2])
    d = free_head(r, num_hidden_layers=r.choice([4, 5]), **more)
    n = d['num_hidden_layers']
    period = r.choice([2, 3, 4])
    d.update(linear_num_key_heads=kv_heads, linear_num_value_heads=kv_heads * r.choice([1, 2, 3]), linear_key_head_dim=16, linear_value_head_dim=16,
             linear_conv_kernel_dim=r.choice([3, 4]), full_attention_interval=period,
             layer_types=['linear_attention' if (i + 1) % period else 'full_attention' for i in range(n)])
    return d


@model
def qwen3next(r):
    return t.Qwen3NextConfig(**delta_net(r), **experts(r), shared_expert_intermediate_size=r.choice([64, 96]), partial_rotary_factor=0.5,
                             decoder_sparse_step=1, norm_topk_prob=True)


@model
def qwen35(r):
    return t.Qwen3_5TextConfig(**delta_net(r), partial_rotary_factor=0.5)


@model
def qwen35moe(r):
    return t.Qwen3_5MoeTextConfig(**delta_net(r), **experts(r), shared_expert_intermediate_size=r.choice([64, 96]), partial_rotary_factor=0.5)


@model
def granitehybrid(r, num_local_experts=6, num_experts_per_tok=2):
    d = common(r, num_hidden_layers=5, hidden_size=r.choice([64, 96]), num_attention_heads=4, num_key_value_heads=2)
    return t.GraniteMoeHybridConfig(**d, layer_types=['mamba', 'mamba', 'attention', 'mamba', 'attention'], mamba_n_heads=8, mamba_n_groups=r.choice([1, 2]),
                                    mamba_d_state=16, mamba_d_head=d['hidden_size'] // 4, mamba_d_conv=4, mamba_expand=2, num_local_experts=num_local_experts, num_experts_per_tok=num_experts_per_tok,
                                    shared_intermediate_size=80 if num_local_experts else d['intermediate_size'], embedding_multiplier=6.0, logits_scaling=3.0, residual_multiplier=0.4,
                                    attention_multiplier=0.12, position_embedding_type='nope')


@model
def granitehybrid_dense(r):
    return granitehybrid(r, num_local_experts=0, num_experts_per_tok=0)


@model
def granitemoeshared(r):
    return t.GraniteMoeSharedConfig(**common(r), num_local_experts=r.choice([6, 8]), num_experts_per_tok=r.choice([2, 3]), embedding_multiplier=6.0,
                                    logits_scaling=3.0, residual_multiplier=0.4, attention_multiplier=0.12, shared_intermediate_size=72)


def mla(r, **more):
    d = common(r, hidden_size=96)
    d.update(num_attention_heads=r.choice([3, 4]), kv_lora_rank=r.choice([32, 48]), qk_rope_head_dim=r.choice([8, 16]), qk_nope_head_dim=r.choice([16, 24]),
             v_head_dim=r.choice([16, 24, 32]), moe_intermediate_size=r.choice([32, 48]), n_shared_experts=r.choice([1, 2]), first_k_dense_replace=1,
             num_experts_per_tok=3, n_routed_experts=8)
    d['num_key_value_heads'] = d['num_attention_heads']
    d['tie_word_embeddings'] = False
    d.update(more)
    return d


@model
def deepseek2_lite(r):
    return t.DeepseekV2Config(**mla(r, q_lora_rank=None), norm_topk_prob=False, routed_scaling_factor=1.0, topk_method='greedy')


@model
def deepseek2_groups(r):
    return t.DeepseekV2Config(**mla(r, q_lora_rank=r.choice([24, 40])), norm_topk_prob=False, routed_scaling_factor=2.5, topk_method='group_limited_greedy',
                              n_group=4, topk_group=2)


@model
def deepseek3(r):
    return t.DeepseekV3Config(**mla(r, q_lora_rank=r.choice([24, 40])), norm_topk_prob=True, routed_scaling_factor=2.5, n_group=4, topk_group=r.choice([2, 3]))


@model
def glm4moelite(r):
    return t.Glm4MoeLiteConfig(**mla(r, q_lora_rank=r.choice([24, 40])), norm_topk_prob=True, routed_scaling_factor=1.8, n_group=1, topk_group=1)


@model
def gptoss(r):
    d = common(r, num_hidden_layers=4, hidden_size=96, intermediate_size=64, head_dim=r.choice([16, 32]), tie_word_embeddings=False)
    rope = {'rope_type': 'yarn', 'factor': 8.0, 'beta_fast': 32.0, 'beta_slow': 1.0, 'original_max_position_embeddings': 128, 'rope_theta': 150000.0}
    return t.GptOssConfig(**d, rope_parameters=rope, num_local_experts=r.choice([4, 6]), num_experts_per_tok=2, sliding_window=r.choice([8, 30]))


@model
def nemotron_h(r):
    d = common(r, hidden_size=r.choice([64, 96]), num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=False)
    for k in ('rms_norm_eps', 'num_hidden_layers'):
        d.pop(k)
    return t.NemotronHConfig(**d, hybrid_override_pattern=r.choice(['M*M-', '-M*-M', 'MM-*M-']), head_dim=r.choice([16, 32]), mamba_num_heads=r.choice([4, 8]), mamba_head_dim=16,
                             ssm_state_size=r.choice([8, 16, 24]), n_groups=2, conv_kernel=r.choice([3, 4]), layer_norm_epsilon=1e-5)


@model
def nemotron_h_moe(r):
    d = common(r, hidden_size=r.choice([64, 96]), num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=False)
    for k in ('rms_norm_eps', 'num_hidden_layers'):
        d.pop(k)
    return t.NemotronHConfig(**d, hybrid_override_pattern=r.choice(['M*ME', 'EM*EM', 'MME*ME']), head_dim=r.choice([16, 32]), mamba_num_heads=r.choice([4, 8]), mamba_head_dim=16,
                             ssm_state_size=r.choice([8, 16, 24]), n_groups=2, conv_kernel=4, layer_norm_epsilon=1e-5, n_routed_experts=8, num_experts_per_tok=3,
                             moe_intermediate_size=r.choice([32, 48]), moe_shared_expert_intermediate_size=r.choice([48, 64]), n_shared_experts=1, norm_topk_prob=True,
                             routed_scaling_factor=2.5, n_group=1, topk_group=1)


# ---- rows of the table whose blocks are known from others ----


@model
def gemma(r):
    return t.GemmaConfig(**free_head(r, tie_word_embeddings=True))


@model
def phi2(r):
    d = common(r, num_key_value_heads=3, num_attention_heads=3, hidden_size=3 * r.choice([16, 32]), tie_word_embeddings=False)
    d.pop('rms_norm_eps')
    d['intermediate_size'] = 4 * d['hidden_size']
    return t.PhiConfig(**d, partial_rotary_factor=0.5, layer_norm_eps=1e-5)


@model
def glm4moe(r):
    return t.Glm4MoeConfig(**free_head(r, num_attention_heads=4, num_key_value_heads=2), partial_rotary_factor=0.5, attention_bias=True, use_qk_norm=r.random() < 0.5,
                           n_routed_experts=8, num_experts_per_tok=r.choice([2, 3]), moe_intermediate_size=r.choice([32, 48]), n_shared_experts=1,
                           first_k_dense_replace=1, n_group=1, topk_group=1, norm_topk_prob=True, routed_scaling_factor=1.7)


@model
def ernie4_5(r):
    return t.Ernie4_5Config(**free_head(r, num_attention_heads=4, num_key_value_heads=2), use_bias=False)


@model
def ernie4_5_moe(r):
    d = common(r)
    width, shared = r.choice([32, 48]), r.choice([1, 2])
    d['intermediate_size'] = width * shared * d['num_key_value_heads']     # the converter counts on it
    return t.Ernie4_5_MoeConfig(**d, moe_num_experts=8, moe_k=r.choice([2, 3]), moe_intermediate_size=width, moe_num_shared_experts=shared,
                                moe_layer_start_index=1, moe_layer_interval=1, moe_layer_end_index=-1, use_bias=False)


@model
def hunyuan_dense(r):
    return t.HunYuanDenseV1Config(**free_head(r, num_attention_heads=4, num_key_value_heads=2))


@model
def hunyuan_moe(r):
    d = free_head(r, num_attention_heads=4, num_key_value_heads=2)
    return t.HunYuanMoEV1Config(**d, num_experts=6, moe_topk=[2] * 5, moe_intermediate_size=[d['intermediate_size']] * 5, num_shared_expert=[1] * 5)


@model
def exaone4(r):
    return t.Exaone4Config(**free_head(r, num_attention_heads=4, num_key_value_heads=2, num_hidden_layers=5), sliding_window=r.choice([7, 33]), sliding_window_pattern=4)


@model
def exaone4_plain(r):
    d = free_head(r, num_attention_heads=4, num_key_value_heads=2)
    return t.Exaone4Config(**d, sliding_window=None, sliding_window_pattern=4, layer_types=['full_attention'] * d['num_hidden_layers'])


@model
def seed_oss(r):
    return t.SeedOssConfig(**free_head(r, num_attention_heads=4, num_key_value_heads=2), attention_bias=True, attention_out_bias=False)


@model
def lfm2moe(r):
    d = common(r, num_hidden_layers=5, tie_word_embeddings=True)
    d.pop('rms_norm_eps')
    return t.Lfm2MoeConfig(**d, norm_eps=1e-5, conv_L_cache=r.choice([3, 4]), layer_types=['full_attention' if i in (1, 3) else 'conv' for i in range(5)],
                           num_experts=8, num_experts_per_tok=r.choice([2, 3]), moe_intermediate_size=48, num_dense_layers=2, use_expert_bias=True, norm_topk_prob=True)


@model
def minimax_m2(r):
    d = free_head(r, num_attention_heads=4, num_key_value_heads=2)
    return t.MiniMaxM2Config(**d, num_local_experts=8, num_experts_per_tok=r.choice([2, 3]), partial_rotary_factor=0.5, rotary_dim=d['head_dim'] // 2)


@model
def starcoder2(r):
    d = common(r)
    d.pop('rms_norm_eps')
    return t.Starcoder2Config(**d, norm_epsilon=1e-5, use_bias=True, sliding_window=None)


@model
def stablelm(r):
    d = common(r, tie_word_embeddings=False)
    d.pop('rms_norm_eps')
    return t.StableLmConfig(**d, layer_norm_eps=1e-5, partial_rotary_factor=0.5, use_qkv_bias=r.random() < 0.5)


@model
def arcee(r):
    return t.ArceeConfig(**free_head(r, num_attention_heads=4, num_key_value_heads=2))


@model
def command_r(r):
    d = common(r, tie_word_embeddings=True)
    d.pop('rms_norm_eps')
    return t.CohereConfig(**d, layer_norm_eps=1e-5, logit_scale=r.choice([0.0625, 0.25]), use_qk_norm=r.random() < 0.5)


@model
def dots1(r):
    d = free_head(r, num_attention_heads=4, num_key_value_heads=2, num_hidden_layers=4)
    return t.Dots1Config(**d, n_routed_experts=8, num_experts_per_tok=3, moe_intermediate_size=48, n_shared_experts=2, first_k_dense_replace=1, n_group=1,
                         topk_group=1, norm_topk_prob=True, routed_scaling_factor=2.5, sliding_window=None)


@model
def gptneox(r):
    d = common(r, tie_word_embeddings=False)
    for k in ('rms_norm_eps', 'num_key_value_heads'):
        d.pop(k)
    return t.GPTNeoXConfig(**d, layer_norm_eps=1e-5, use_parallel_residual=r.random() < 0.8, rope_parameters=dict(
        rope_type='default', rope_theta=10000.0, partial_rotary_factor=0.5))


@model
def olmo(r):
    d = common(r)
    d.pop('rms_norm_eps')
    return t.OlmoConfig(**d, clip_qkv=r.choice([None, 1.5]))


@model
def gpt2(r):
    head_dim, heads = r.choice([16, 24]), r.choice([3, 4])
    return t.GPT2Config(vocab_size=328, n_embd=heads * head_dim, n_head=heads, n_layer=r.choice([3, 4]), n_positions=1024, bos_token_id=1, eos_token_id=2)


def falcon_sizes(r, **more):
    heads = more['num_attention_heads']
    return t.FalconConfig(vocab_size=328, hidden_size=heads * r.choice([16, 24, 32]), num_hidden_layers=r.choice([3, 4]), max_position_embeddings=2048,
                          bos_token_id=1, eos_token_id=2, **more)


@model
def falcon(r):
    return falcon_sizes(r, num_attention_heads=r.choice([3, 5]), num_kv_heads=1)


@model
def falcon_groups(r):
    kv = r.choice([2, 3])
    return falcon_sizes(r, num_attention_heads=kv * 2, num_kv_heads=kv, new_decoder_architecture=True)


@model
def apertus(r):
    return t.ApertusConfig(**common(r, tie_word_embeddings=False), rope_parameters=dict(
        rope_type='llama3', rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64))


@model
def chatglm(r):
    d = common(r, tie_word_embeddings=False)
    return t.GlmConfig(**d, head_dim=d['hidden_size'] // d['num_attention_heads'], attention_bias=r.random() < 0.5)


# ---- positions by ALiBi, or learned ----


@model
def bloom(r):
    heads = r.choice([3, 4, 6])
    return t.BloomConfig(vocab_size=328, hidden_size=heads * r.choice([16, 24]), n_layer=r.choice([3, 4]), n_head=heads, bos_token_id=1, eos_token_id=2)


@model
def mpt(r):
    heads = r.choice([4, 5, 6])
    return t.MptConfig(vocab_size=328, d_model=heads * r.choice([16, 24]), n_layers=r.choice([3, 4]), n_heads=heads, max_seq_len=1024, bos_token_id=1,
                       eos_token_id=2, attn_config=dict(clip_qkv=r.choice([None, 2.5]), alibi_bias_max=r.choice([8, 4])))


@model
def starcoder(r):
    heads = r.choice([3, 4])
    return t.GPTBigCodeConfig(vocab_size=328, n_embd=heads * r.choice([16, 24]), n_head=heads, n_layer=r.choice([3, 4]), n_positions=1024, bos_token_id=1,
                              eos_token_id=2)


# ---- experts ----


@model
def phimoe(r):
    d = common(r, tie_word_embeddings=False)
    return t.PhimoeConfig(**d, num_local_experts=r.choice([6, 8]), num_experts_per_tok=2, attention_bias=r.random() < 0.7, lm_head_bias=r.random() < 0.7)


@model
def dbrx(r):
    d = common(r)
    return t.DbrxConfig(vocab_size=d['vocab_size'], d_model=d['hidden_size'], n_heads=d['num_attention_heads'], n_layers=3, max_seq_len=1024, bos_token_id=1,
                        eos_token_id=2, attn_config=dict(kv_n_heads=d['num_key_value_heads'], clip_qkv=r.choice([1.5, 8.0]), rope_theta=10000.0),
                        ffn_config=dict(ffn_hidden_size=r.choice([48, 64]), moe_num_experts=r.choice([6, 8]), moe_top_k=r.choice([2, 3])))


def llama4_sizes(r, **more):
    d = free_head(r, num_hidden_layers=5, tie_word_embeddings=False)
    return t.Llama4TextConfig(**d, intermediate_size_mlp=r.choice([96, 144]), num_local_experts=r.choice([4, 6]), num_experts_per_tok=r.choice([1, 2]),
                              interleave_moe_layer_step=r.choice([1, 2]), **more)


@model
def llama4(r):
    return llama4_sizes(r)


@model
def llama4_scaled(r):
    return llama4_sizes(r, rope_parameters=dict(rope_type='llama3', rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                                original_max_position_embeddings=64))


# ---- selective state spaces, and states beside attention ----


@model
def mamba(r):
    return t.MambaConfig(vocab_size=328, hidden_size=r.choice([48, 64]), num_hidden_layers=3, state_size=r.choice([8, 16]), conv_kernel=r.choice([3, 4]), use_associative_scan=False,
                         bos_token_id=1, eos_token_id=2, pad_token_id=0)


@model
def falcon_mamba(r):
    return t.FalconMambaConfig(vocab_size=328, hidden_size=r.choice([48, 64]), num_hidden_layers=3, state_size=r.choice([8, 16]), time_step_rank=5, use_associative_scan=False,
                               bos_token_id=1, eos_token_id=2, pad_token_id=0)


@model
def jamba(r):
    return t.JambaConfig(**common(r, num_hidden_layers=5), num_experts=r.choice([4, 6]), num_experts_per_tok=2, attn_layer_period=r.choice([2, 3]),
                         attn_layer_offset=1, expert_layer_period=2, expert_layer_offset=r.choice([0, 1]), mamba_d_state=r.choice([8, 16]), use_associative_scan=False)


@model
def jamba_dense(r):
    return t.JambaConfig(**common(r, num_hidden_layers=4), num_experts=1, num_experts_per_tok=1, attn_layer_period=4, attn_layer_offset=2,
                         use_associative_scan=False)


def falcon_h1_sizes(r, **more):
    heads = r.choice([4, 8])
    return t.FalconH1Config(**free_head(r, tie_word_embeddings=False), mamba_d_ssm=heads * 16, mamba_n_heads=heads, mamba_d_head=16,
                            mamba_n_groups=r.choice([1, 2]), mamba_d_state=r.choice([8, 16, 24]), mamba_d_conv=r.choice([3, 4]),
                            mamba_chunk_size=16, embedding_multiplier=3.0, lm_head_multiplier=0.5, mlp_multipliers=[0.7, 0.6], key_multiplier=0.8,
                            attention_out_multiplier=0.9, attention_in_multiplier=1.2, ssm_multipliers=[0.5, 0.7, 0.9, 1.1, 1.3], ssm_in_multiplier=1.25,
                            ssm_out_multiplier=0.6, **more)


@model
def falcon_h1(r):
    return falcon_h1_sizes(r)


@model
def falcon_h1_norm(r):
    return falcon_h1_sizes(r, mamba_rms_norm=True, mamba_norm_before_gate=False)


# ---- files of one architecture under another's name, which computes the same ----


@model
def xverse(r):
    return t.LlamaConfig(**common(r, tie_word_embeddings=False))


@model
def deci(r):
    return t.LlamaConfig(**common(r, tie_word_embeddings=False))


@model
def internlm2(r):
    return t.LlamaConfig(**common(r, tie_word_embeddings=False))


@model
def exaone(r):
    return t.Qwen2Config(**common(r))


@model
def minicpm(r):
    d = common(r)
    return t.GraniteConfig(**d, embedding_multiplier=12.0, logits_scaling=4.0, residual_multiplier=0.35,
                           attention_multiplier=(d['hidden_size'] // d['num_attention_heads']) ** -0.5)


@model
def qwen2vl(r):
    return t.Qwen2Config(**common(r))


@model
def qwen3vl(r):
    return t.Qwen3Config(**free_head(r))


@model
def qwen3vlmoe(r):
    return t.Qwen3MoeConfig(**free_head(r), **experts(r, norm_topk_prob=True))


# name: (as the converter calls it, as the file is to be called, with this metadata)
RENAMED = {
    'internlm2': ('llama', 'internlm2', {}),
    'exaone': ('qwen2', 'exaone', {}),
    'xverse': ('llama', 'xverse', {}),
    'deci': ('llama', 'deci', {}),
    'minicpm': ('granite', 'minicpm', {}),
    'qwen2vl': ('qwen2', 'qwen2vl', {'rope.dimension_sections': [4, 2, 2, 0]}),
    'qwen3vl': ('qwen3', 'qwen3vl', {'rope.dimension_sections': [4, 2, 2, 0], 'n_deepstack_layers': 0}),
    'qwen3vlmoe': ('qwen3moe', 'qwen3vlmoe', {'rope.dimension_sections': [4, 2, 2, 0], 'n_deepstack_layers': 0}),
}


def rename(name, path):
    """The file of another architecture: the same tensors, metadata under its name."""
    import os
    import gguf
    if name not in RENAMED:
        return
    old, new, more = RENAMED[name]
    reader = gguf.GGUFReader(path)
    writer = gguf.GGUFWriter(path + '.new', new)
    for key, field in reader.fields.items():
        if key.startswith('GGUF.') or key == 'general.architecture':
            continue
        if key.startswith(old + '.'):
            key = new + key[len(old):]
        sub = field.types[-1] if len(field.types) > 1 else None
        writer.add_key_value(key, field.contents(), field.types[0], sub_type=sub)
    for key, value in more.items():
        if isinstance(value, list):
            writer.add_key_value('%s.%s' % (new, key), value, gguf.GGUFValueType.ARRAY, sub_type=gguf.GGUFValueType.INT32)
        else:
            writer.add_uint32('%s.%s' % (new, key), value)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(path + '.new', path)
