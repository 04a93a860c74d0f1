#!/usr/bin/env python3
"""Random PEFT adapters of the random models of hf_folders.py, and what transformers and peft compute with them in float32 on the CPU.

  peft_folders.py write DIR [NAME...]    models in DIR/NAME.model, their adapters in DIR/NAME, with reference.json
  peft_folders.py check DIR [NAME...]    run build/llm on each and compare; exit status 1 above the tolerance

write needs torch, transformers and peft (5.23.0 and 0.21.2 made the one in sql-tests/data/hf); check needs only Python and build/llm.
"""
import json
import os
import shutil
import subprocess
import sys

import hf_folders

TOLERANCE = 2e-3
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
ALL = "all-linear"
PATTERNS = dict(r=4, lora_alpha=3, use_rslora=True, rank_pattern={"q_proj": 6, "layers.1.mlp.up_proj": 1},
                alpha_pattern={"k_proj": 9, "layers.0.self_attn.q_proj": 2.5})

# name: (model of hf_folders.py, arguments of LoraConfig, dtype of the adapter)
ADAPTERS = {
    "llama-lora": ("llama-biases", dict(PATTERNS, target_modules=[*ATTENTION, "gate_proj", "up_proj", "down_proj", "lm_head", "embed_tokens"]),
                   "bfloat16"),
    "llama-all": ("llama", dict(r=5, lora_alpha=12, target_modules=ALL), "float32"),
    "llama-tied": ("llama-tied", dict(r=8, lora_alpha=16, target_modules=["q_proj", "embed_tokens", "down_proj"]), "float16"),
    "mistral": ("mistral-window", dict(r=6, lora_alpha=12, target_modules=ALL), "float32"),
    "ministral3": ("ministral3", dict(r=6, lora_alpha=12, target_modules=ALL), "float32"),
    "qwen2": ("qwen2", dict(r=6, lora_alpha=12, target_modules=ALL), "float32"),
    "qwen3": ("qwen3", dict(r=1, lora_alpha=2, target_modules=ALL), "float32"),
    "mixtral": ("mixtral", dict(r=6, lora_alpha=12, target_modules=ATTENTION), "float32"),
    "mixtral-experts": ("mixtral", dict(r=3, lora_alpha=6, target_modules=ATTENTION), "float32"),
    "qwen3moe": ("qwen3moe", dict(r=6, lora_alpha=12, target_modules=ATTENTION), "bfloat16"),
    "qwen3moe-experts": ("qwen3moe", dict(r=3, lora_alpha=6, target_modules=ATTENTION), "float32"),
    "gemma3": ("gemma3", dict(r=6, lora_alpha=12, target_modules=[*ATTENTION, "embed_tokens", "up_proj"]), "float32"),
    "phi3": ("phi3", dict(r=6, lora_alpha=12, target_modules=ALL), "float32"),
    "granite": ("granite", dict(r=6, lora_alpha=12, target_modules=ALL), "float32"),
    "nemotron": ("nemotron", dict(r=6, lora_alpha=12, target_modules=ALL), "float32"),
    "smollm3": ("smollm3", dict(r=6, lora_alpha=12, target_modules=ALL), "float32"),
    "olmo2": ("olmo2", dict(r=6, lora_alpha=12, target_modules=ALL), "float32"),
    "glm4": ("glm4", dict(r=6, lora_alpha=12, target_modules=ALL), "float32"),
    "cohere2": ("cohere2", dict(r=6, lora_alpha=12, target_modules=ALL), "float32"),
    "lfm2": ("lfm2", dict(r=6, lora_alpha=12, target_modules=["q_proj", "k_proj", "in_proj", "out_proj", "w1", "w2", "w3"]), "float32"),
    "mamba2": ("mamba2", dict(r=6, lora_alpha=12, target_modules=["in_proj"]), "float32"),
}


def add_experts(torch, model, path, name, config):
    """Pairs of single experts, as older versions of transformers had them as modules: merged into the model here, since this one has not."""
    from safetensors.torch import load_file, save_file

    file = os.path.join(path, "adapter_model.safetensors")
    tensors = load_file(file)
    scale = config["lora_alpha"] / config["r"]
    mixtral = name.startswith("mixtral")
    for i, layer in enumerate(model.model.layers):
        experts = layer.mlp.experts
        for e in range(experts.gate_up_proj.shape[0]):
            n = experts.gate_up_proj.shape[1] // 2
            parts = {"w1" if mixtral else "gate_proj": experts.gate_up_proj[e, :n], "w3" if mixtral else "up_proj": experts.gate_up_proj[e, n:],
                     "w2" if mixtral else "down_proj": experts.down_proj[e]}
            for part, weight in parts.items():
                a = torch.randn(config["r"], weight.shape[1]) * 0.3
                b = torch.randn(weight.shape[0], config["r"]) * 0.3
                weight += scale * b @ a
                module = f"base_model.model.model.layers.{i}.{'block_sparse_moe' if mixtral else 'mlp'}.experts.{e}.{part}"
                tensors[module + ".lora_A.weight"] = a
                tensors[module + ".lora_B.weight"] = b
    save_file(tensors, file)


def write(folder, names):
    import peft
    import torch
    import transformers

    for name in names or ADAPTERS:
        base, arguments, dtype = ADAPTERS[name]
        torch.manual_seed(3)
        path = os.path.join(folder, name)
        shutil.rmtree(path + ".model", ignore_errors=True)
        hf_folders.write(path + ".model", [base])
        model_path = os.path.join(path + ".model", base)
        model_class = getattr(transformers, hf_folders.MODELS[base][1])
        model = model_class.from_pretrained(model_path, dtype=torch.float32, attn_implementation="eager").eval()
        adapted = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **arguments)).eval()
        with torch.no_grad():
            for key, p in adapted.named_parameters():
                if "lora_" in key:
                    p.copy_((torch.randn(p.shape) * 0.3).to(getattr(torch, dtype)))
                    p.data = p.data.to(getattr(torch, dtype))
            adapted.peft_config["default"].base_model_name_or_path = base
            adapted.save_pretrained(path, save_embedding_layers=False)
            adapted.float()
            if name.endswith("-experts"):
                add_experts(torch, model, path, name, arguments)
            cases = []
            for n in (1, 7, 40):
                ids = [(i * 37 + n * 11 + 3) % model.config.vocab_size or 3 for i in range(n)]
                logits = adapted(torch.tensor([ids]), use_cache=False).logits[0, -1]
                cases.append({"token_ids": ids, "logits": [float(f"{x:.7g}") for x in logits.tolist()]})
        if os.path.exists(os.path.join(path, "README.md")):
            os.remove(os.path.join(path, "README.md"))
        with open(os.path.join(path, "reference.json"), "w") as f:
            json.dump({"transformers": transformers.__version__, "peft": peft.__version__, "cases": cases}, f)


def logits_of(model, lines, *options):
    run = subprocess.run([os.environ.get("LLM", "build/llm"), "logits", model, "--kv", "f32", *options], input=lines, capture_output=True, text=True)
    if run.returncode != 0:
        return run.stderr.strip(), None
    return None, [json.loads(line)["logits"] for line in run.stdout.splitlines()]


def check(folder, names):
    failed = 0
    for name in names or [n for n in ADAPTERS if os.path.isdir(os.path.join(folder, n))]:
        path = os.path.join(folder, name)
        with open(os.path.join(path, "reference.json")) as f:
            cases = json.load(f)["cases"]
        model = os.path.join(path + ".model", ADAPTERS[name][0])
        lines = "".join(json.dumps({"token_ids": c["token_ids"]}) + "\n" for c in cases)
        error, answers = logits_of(model, lines, "--lora", path)
        if error:
            print(f"{name:18} {error}")
            failed += 1
            continue
        _, plain = logits_of(model, lines)
        d = max(abs(x - y) for a, c in zip(answers, cases) for x, y in zip(a, c["logits"]))
        changed = max(abs(x - y) for a, c in zip(plain, cases) for x, y in zip(a, c["logits"]))
        failed += not d <= TOLERANCE
        print(f"{name:18} {'EXACT' if d <= TOLERANCE else 'FAIL'} largest difference {d:.2e}, the adapter changes logits by up to {changed:.2f}")
    print(f"{failed} failed")
    return failed


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("write", "check"):
        sys.exit(__doc__)
    if sys.argv[1] == "write":
        write(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(1 if check(sys.argv[2], sys.argv[3:]) else 0)
