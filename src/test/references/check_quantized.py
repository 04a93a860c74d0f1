#!/usr/bin/env python3
"""Random models by transformers (encoders: the mean of their vectors instead of logits) in every quantized layout (make_quantized.py), run by build/llm, against transformers on what
the quantized weights mean.

    check_quantized.py DIR [MODEL...]

Where rows are F16 here (FP8, act-order: 11 bits of code times factor) the reference's matrices are rounded to F16 too, and logits must be
within 1e-4, or two parts in 100,000 of the largest: nothing but that rounding is left. Where rows are blocks of whole numbers or of
4-bit floats, activations are quantized too, which shows in the logits: cosine above 0.999. A router's choice can turn on it, so this
is asked of texts in which every choice is sure: it stays when the router's inputs get noise of SHAKE times their size. Of other texts
0.998 is asked, but in qwen3next, where a choice that turns changes more (a cosine of 0.9973 was seen at a margin of 0.001).
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
TEXTS = [[(i * 37 + n * 11 + 3) % 93 + 3 for i in range(n)] for n in (1, 7, 40)] + [[(i * 31 + n * 7) % 93 + 3 for i in range(n % 4 + 1)] for n in range(40)]
SHAKE = 0.03                    # of activations in 8 bits, after two layers, about 0.01 to 0.02 is seen
LEAST_SURE = 12                 # texts of these that must be sure


def write_model(folder, name):
    config_class, model_class, arguments = MODELS[name]
    torch.manual_seed(1)
    config = getattr(transformers, config_class)(**arguments, attn_implementation="eager")
    model = getattr(transformers, model_class)(config).eval()
    randomise(model, torch)
    model.save_pretrained(folder)


def is_encoder(name):
    return MODELS[name][1].endswith("BertModel")


def halve(model, quantized):
    """Matrices that are F16 in the quantized folder's rows as they are computed here."""
    names = {n.rsplit(".", 1)[0] for n in quantized}
    with torch.no_grad():
        for name, p in model.named_parameters():
            base = name.rsplit(".", 1)[0]
            if base in names or (p.dim() == 3 and any(n.startswith(base + ".") for n in names)):
                p.copy_(p.half().float())


def chosen(output):
    """The experts that a router gives."""
    return next(x for x in output if torch.is_tensor(x) and not x.is_floating_point()).sort(-1).values


def watch_routers(model, unsure):
    """unsure gets an element when a router's choice would turn if its inputs were a little different."""
    def look(module, inputs, output):
        if module.shaken:
            return
        module.shaken = True
        noise = torch.Generator().manual_seed(3)
        x = inputs[0]
        for _ in range(24):
            shaken = x + SHAKE * x.pow(2).mean(-1, keepdim=True).sqrt() * torch.randn(x.shape, generator=noise)
            if not torch.equal(chosen(module(shaken, *inputs[1:])), chosen(output)):
                unsure.append(module)
                break
        module.shaken = False
    for module in model.modules():
        if type(module).__name__.endswith("Router"):
            module.shaken = False
            module.register_forward_hook(look)


def reference(folder, name, quantized=None):
    """What the model computes for each text, and whether every router's choice in it is sure; quantized: names of matrices that become F16."""
    model = getattr(transformers, MODELS[name][1]).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    unsure = []
    values, sure = [], []
    if quantized:
        halve(model, quantized)
    else:
        watch_routers(model, unsure)
    with torch.no_grad():
        for ids in TEXTS:
            unsure.clear()
            if is_encoder(name):
                values.append(model(torch.tensor([ids])).last_hidden_state[0].mean(0).tolist())
            else:
                values.append(model(torch.tensor([ids]), use_cache=False).logits[0, -1].tolist())
            sure.append(not unsure)
    return values, sure


def quantized_names(folder):
    """Matrices of a folder that are not floats of 16 bits or more."""
    from safetensors import safe_open
    names = set()
    for file in os.listdir(folder):
        if file.endswith(".safetensors"):
            with safe_open(os.path.join(folder, file), "pt") as f:
                names |= {k for k in f.keys() if f.get_slice(k).get_dtype() not in ("F16", "BF16", "F32")}
    return names


def ours(folder, name):
    lines = "".join(json.dumps({"token_ids": ids}) + "\n" for ids in TEXTS)
    command = ["embed", folder, "--raw", "--pooling", "mean"] if is_encoder(name) else ["logits", folder]
    run = subprocess.run([os.environ.get("LLM", "build/llm"), *command, "--kv", "f32"], input=lines, capture_output=True, text=True)
    if run.returncode != 0:
        raise RuntimeError(run.stderr.strip())
    return [json.loads(line)["embedding" if is_encoder(name) else "logits"] for line in run.stdout.splitlines()]


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def block_limit(name, sure):
    return 0.999 if sure else -1 if name == "qwen3next" else 0.998


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
            want, sure = reference(os.path.join(out, "plain"), name, quantized_names(os.path.join(out, "quantized")) if floats and layout != "fp8-tensor" else None)
            try:
                got = ours(os.path.join(out, "quantized"), name)
            except RuntimeError as e:
                print(f"{name:16} {layout:16} FAIL {e}", flush=True)
                failed += 1
                continue
            size = max(abs(x) for w in want for x in w)
            d = max(abs(x - y) for w, g in zip(want, got) for x, y in zip(w, g))
            cosines = [cosine(w, g) for w, g in zip(want, got)]
            least = min([c for c, s in zip(cosines, sure) if s], default=0)
            if floats:
                ok = d <= max(1e-4, size * 2e-5)
            else:
                ok = sum(sure) >= LEAST_SURE and all(c >= block_limit(name, s) for c, s in zip(cosines, sure))
            failed += not ok
            print(f"{name:16} {layout:16} {'ok  ' if ok else 'FAIL'} largest difference {d:.2e} of {size:.2f}, cosine {least:.6f} of {sum(sure)} "
                  f"texts, {min(cosines):.6f} of all", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
