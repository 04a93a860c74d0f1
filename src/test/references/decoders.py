"""The models of make_references.py: configurations by name. Shapes are odd on purpose and change with the seed."""
import json
import math
import os
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


def finish_folder(name, folder):
    """What a converter expects of a folder beside what transformers writes."""
    path = os.path.join(folder, 'config.json')
    with open(path) as f:
        c = json.load(f)
    c.update(MORE.get(name, {}))
    with open(path, 'w') as f:
        json.dump(c, f)


MORE = {'cohere2': {'rotary_pct': 1.0}}


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
    return t.Gemma3TextConfig(**free_head(r, num_hidden_layers=r.choice([5, 7])), sliding_window=r.choice([6, 15, 70]),
                              query_pre_attn_scalar=r.choice([16, 40]), sliding_window_pattern=6)


@model
def gemma2(r):
    return t.Gemma2Config(**free_head(r, num_attention_heads=4, num_key_value_heads=2), sliding_window=r.choice([6, 15, 70]), query_pre_attn_scalar=r.choice([16, 40]))


@model
def smollm3(r):
    return t.SmolLM3Config(**common(r, num_hidden_layers=r.choice([5, 8])), no_rope_layer_interval=4)


@model
def lfm2(r):
    d = common(r, num_hidden_layers=5)
    n = d['num_hidden_layers']
    return t.Lfm2Config(**d, norm_eps=1e-5, conv_L_cache=r.choice([3, 4]), layer_types=['full_attention' if i in (1, 3) else 'conv' for i in range(n)],
                        block_auto_adjust_ff_dim=False)
