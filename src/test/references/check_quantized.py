#!/usr/bin/env python3
"""Random models by transformers (encoders: the mean of their vectors instead of logits) in every quantized layout (make_quantized.py), run by build/llm, against transformers on what
the quantized weights mean.

    check_quantized.py DIR [MODEL...]

Where rows are F16 here (FP8, act-order: 11 bits of code times factor) the reference's matrices are rounded to F16 too, and logits must be
within 5e-4, or one part in 10,000 of the largest: next to nothing but that rounding is left. Where rows are blocks of whole numbers or of
4-bit floats, activations have 8 to 15 bits; the reference's are rounded by the same rule (eight_bits), so that a router chooses by the same
numbers: cosine above 0.999, with experts 0.998. What is left is the rounding to F16 of a group's minimum, where there are zero points
(gptq, gptq-v2, awq, ct-int4-asym), on which a router's choice may still turn in other texts than these.
Needs torch, transformers, safetensors. Ends with 1 if a pair fails.
"""
import json
import math
import os
import subprocess
import sys

import torch
import transformers

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import make_quantized  # noqa: E402
from hf_folders import randomise  # noqa: E402

BASE = dict(vocab_size=96, hidden_size=128, intermediate_size=192, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0, head_dim=32)
MLA = dict(kv_lora_rank=64, qk_nope_head_dim=32, qk_rope_head_dim=32, v_head_dim=32, q_lora_rank=64)
MODELS = {
    "llama": ("LlamaConfig", "LlamaForCausalLM", dict(BASE)),
    "qwen3moe": ("Qwen3MoeConfig", "Qwen3MoeForCausalLM", dict(BASE, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=64,
                                                               norm_topk_prob=True)),
    "gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM", dict(BASE, sliding_window=8)),
    "nemotron_h_moe": ("NemotronHConfig", "NemotronHForCausalLM", dict(
        {k: v for k, v in BASE.items() if k != "num_hidden_layers"}, mamba_num_heads=8, mamba_head_dim=32, ssm_state_size=16, n_groups=2,
        layers_block_type=["mamba", "moe", "attention", "moe"], n_routed_experts=8, num_experts_per_tok=3, moe_intermediate_size=64,
        moe_shared_expert_intermediate_size=64)),
    "deepseek_v3": ("DeepseekV3Config", "DeepseekV3ForCausalLM", dict(
        {k: v for k, v in BASE.items() if k != "head_dim"} | {"num_key_value_heads": 4}, **MLA, n_routed_experts=8, num_experts_per_tok=3,
        n_shared_experts=1, moe_intermediate_size=64, first_k_dense_replace=1, n_group=2, topk_group=1)),
}
GPT_OSS = dict(BASE, num_local_experts=4, num_experts_per_tok=2, sliding_window=8, rope_parameters=dict(
    rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=32, beta_fast=32.0, beta_slow=1.0, truncate=False))
ENCODER = dict(vocab_size=96, hidden_size=128, intermediate_size=192, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=128,
               bos_token_id=1, eos_token_id=2, pad_token_id=0)
MODELS["bert"] = ("BertConfig", "BertModel", dict(ENCODER))
MODELS["modern-bert"] = ("ModernBertConfig", "ModernBertModel", dict(ENCODER, cls_token_id=1, sep_token_id=2, local_attention=16))
DELTA = dict(linear_num_key_heads=4, linear_num_value_heads=8, linear_key_head_dim=32, linear_value_head_dim=32, layer_types=[
    "linear_attention", "full_attention"])
MODELS["qwen3next"] = ("Qwen3NextConfig", "Qwen3NextForCausalLM", dict(
    BASE, **DELTA, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=64, shared_expert_intermediate_size=64))
MODELS["qwen3_5"] = ("Qwen3_5TextConfig", "Qwen3_5ForCausalLM", dict(BASE, **DELTA))
MODELS["gpt-oss"] = ("GptOssConfig", "GptOssForCausalLM", GPT_OSS)
LAYOUTS = ["fp8-tensor", "fp8-channel", "fp8-tile", "nvfp4-modelopt", "nvfp4-ct", "gptq", "gptq-sym", "gptq-act", "gptq-8bit", "gptq-v2",
           "awq", "ct-int4", "ct-int4-asym", "ct-int4-act", "ct-int8", "ct-w8a8"]
FLOATS = ("fp8", "gptq-act", "ct-int4-act")
TEXTS = [[(i * 37 + n * 11 + 3) % 93 + 3 for i in range(n)] for n in (1, 7, 40)]


def write_model(folder, name):
    config_class, model_class, arguments = MODELS[name]
    torch.manual_seed(1)
    config = getattr(transformers, config_class)(**arguments, attn_implementation="eager")
    model = getattr(transformers, model_class)(config).eval()
    randomise(model, torch)
    model.save_pretrained(folder)


def is_encoder(name):
    return MODELS[name][1].endswith("BertModel")


def stored(folder):
    """Of a quantized folder: the matrices by name, each with the largest factor of its rows or tiles; 1 where groups have them."""
    from safetensors import safe_open
    factors = {}
    for file in os.listdir(folder):
        if not file.endswith(".safetensors"):
            continue
        with safe_open(os.path.join(folder, file), "pt") as f:
            keys = set(f.keys())
            for key in keys:
                base = key.rsplit(".", 1)[0]
                if f.get_slice(key).get_dtype() in ("F16", "BF16", "F32") or key.endswith(("_shape", "g_idx", "qzeros", "_zero_point")):
                    continue
                fp8 = f.get_slice(key).get_dtype().startswith("F8")
                scale = next((base + x for x in (".weight_scale", ".weight_scale_inv") if base + x in keys), None)
                factors[base] = f.get_tensor(scale).float().abs().max().item() if fp8 and scale else 1
    return factors


def each_matrix(model, factors):
    """Matrices of the model that are quantized in the folder, by their names there; experts lie in stacks, gate and up together."""
    parts = {"gate_up_proj": ("gate_proj", "up_proj"), "up_proj": ("up_proj",), "down_proj": ("down_proj",)}
    for name, p in model.named_parameters():
        base, leaf = name.rsplit(".", 1)
        if leaf == "weight" and base in factors:
            yield base, p
        if p.dim() == 3 and leaf in parts:
            for e in range(p.shape[0]):
                for part, rows in zip(parts[leaf], p[e].chunk(len(parts[leaf]))):
                    if f"{base}.{e}.{part}" in factors:
                        yield f"{base}.{e}.{part}", rows


def halve(model, factors):
    """Matrices as they are computed where rows are F16: halves beside one factor."""
    with torch.no_grad():
        for name, rows in each_matrix(model, factors):
            rows.copy_((rows / factors[name]).half().float() * factors[name])


def eight_bits(x):
    """Activations as products with blocks take them (kernels/cpu/quantize.h): 8 bits for 32 of them, 15 where a block stands out."""
    blocks = x.reshape(*x.shape[:-1], -1, 32)
    d = blocks.abs().amax(-1, keepdim=True) / 127
    q = torch.where(d > 0, torch.round(blocks / d), torch.zeros(())).clamp(-127, 127)
    second = d * d > 1.5 * (d * d).mean(-2, keepdim=True)
    d2 = d / 254
    rest = torch.round((blocks - d2 * (254 * q)) / d2).clamp(-127, 127)
    return torch.where(second, d2 * (254 * q + rest), d * q).reshape(x.shape)


class EightBits:
    """While it is open, products with the model's quantized matrices take their inputs so."""

    def __init__(self, model, factors):
        self.places = {rows.data_ptr() for _, rows in each_matrix(model, factors)}

    def __enter__(self):
        self.linear = torch.nn.functional.linear
        torch.nn.functional.linear = lambda x, w, b=None: self.linear(eight_bits(x) if w.data_ptr() in self.places else x, w, b)

    def __exit__(self, *_):
        torch.nn.functional.linear = self.linear


def reference(folder, name, factors, floats):
    """What the model computes for each text. factors: of stored(); floats: rows are F16."""
    model = getattr(transformers, MODELS[name][1]).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager").eval()
    if floats:
        halve(model, factors)
    with torch.no_grad(), EightBits(model, {} if floats else factors):
        if is_encoder(name):
            return [model(torch.tensor([ids])).last_hidden_state[0].mean(0).tolist() for ids in TEXTS]
        return [model(torch.tensor([ids]), use_cache=False).logits[0, -1].tolist() for ids in TEXTS]


def ours(folder, name):
    lines = "".join(json.dumps({"token_ids": ids}) + "\n" for ids in TEXTS)
    command = ["embed", folder, "--raw", "--pooling", "mean"] if is_encoder(name) else ["logits", folder]
    run = subprocess.run([os.environ.get("LLM", "build/llm"), *command, "--kv", "f32"], input=lines, capture_output=True, text=True)
    if run.returncode != 0:
        raise RuntimeError(run.stderr.strip())
    return [json.loads(line)["embedding" if is_encoder(name) else "logits"] for line in run.stdout.splitlines()]


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def main():
    folder, names = sys.argv[1], sys.argv[2:] or list(MODELS)
    failed = 0
    for name in names:
        base = os.path.join(folder, name)
        write_model(base, name)
        for layout in ["mxfp4"] if name == "gpt-oss" else LAYOUTS:
            out = os.path.join(folder, f"{name}-{layout}")
            make_quantized.main([layout, base, out])
            floats = layout.startswith(FLOATS)
            want = reference(os.path.join(out, "plain"), name, stored(os.path.join(out, "quantized")), floats)
            try:
                got = ours(os.path.join(out, "quantized"), name)
            except RuntimeError as e:
                print(f"{name:16} {layout:16} FAIL {e}", flush=True)
                failed += 1
                continue
            size = max(abs(x) for w in want for x in w)
            d = max(abs(x - y) for w, g in zip(want, got) for x, y in zip(w, g))
            cos = min(cosine(w, g) for w, g in zip(want, got))
            has_experts = "moe" in name or name in ("deepseek_v3", "gpt-oss", "qwen3next")
            ok = d <= max(5e-4, size * 1e-4) if floats else cos >= (0.998 if has_experts else 0.999)
            failed += not ok
            print(f"{name:16} {layout:16} {'ok  ' if ok else 'FAIL'} largest difference {d:.2e} of {size:.2f}, cosine {cos:.6f}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
