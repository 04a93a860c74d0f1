#!/usr/bin/env python3
"""Random small decoders with their references, in the form that src/test/check_models.py judges.

    src/test/references/make_references.py OUTDIR --llama-cpp DIR [--only NAME,...] [--seed N] [--logits PROGRAM]

For every model of decoders.py: random weights, Hugging Face logits and greedy tokens (float32, CPU, eager attention), and the GGUF
file that llama.cpp's converter (convert_hf_to_gguf.py in DIR) makes of it. Seeds other than 0 change the shapes too. PROGRAM
prints llama.cpp's logits (see README.md); without it the Hugging Face numbers stand in their place.
"""
import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile

import torch
import transformers
from transformers import AutoModelForCausalLM

import decoders
import llama_converter
import tiny_tokenizer

N_GREEDY = 16


def rough_weights(model, seed):
    """Weights large enough that every part of a layer shows in the logits; norms and biases are not left at 1 and 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            decoders.fill(name, p, generator)
        for name, b in sorted(model.named_buffers()):
            if name.endswith(('e_score_correction_bias', 'expert_bias', 'moe_statics.e_score_correction_bias')):
                b.copy_(torch.randn(b.shape, generator=generator) * 0.2)


def forward(model, ids):
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float()


def greedy(model, ids):
    ids, chosen, margins = list(ids), [], []
    for _ in range(N_GREEDY):
        best = torch.topk(forward(model, ids)[-1], 2)
        chosen.append(best.indices[0].item())
        margins.append((best.values[0] - best.values[1]).item())
        ids.append(chosen[-1])
    return chosen, margins


def llama_logits(program, path, ids):
    result = subprocess.run([program, path], input=''.join(' '.join(map(str, i)) + '\n' for i in ids), capture_output=True, text=True)
    if result.returncode != 0:
        return None
    lines = [json.loads(x) for x in result.stdout.replace('-nan', 'nan').replace('nan', 'NaN').replace('inf', 'Infinity').splitlines()]
    return lines if len(lines) == len(ids) and all(x - x == 0 for line in lines for x in line) else None


def make(name, args):
    config = decoders.config(name, args.seed)
    model = AutoModelForCausalLM.from_config(config, attn_implementation='eager').float().eval()
    rough_weights(model, args.seed + 1)
    path = os.path.join(args.outdir, name + '.gguf')
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tiny_tokenizer.load().save(os.path.join(folder, 'tokenizer.json'))
        llama_converter.convert(folder, path, decoders.overrides(name, config))
        decoders.rename(name, path)
    tokenizer = tiny_tokenizer.load()
    prompts = []
    for text in tiny_tokenizer.PROMPTS:
        ids = tokenizer.encode(text).ids
        logits = forward(model, ids)
        chosen, margins = greedy(model, ids)
        prompts.append({'text': text, 'token_ids': ids, 'logits_last': logits[-1].tolist(), 'greedy_ids': chosen,
                        'greedy_margins': margins, 'argmax_all': logits.argmax(-1).tolist(), 'n_ctx_llamacpp': 1024})
    others = llama_logits(args.logits, path, [p['token_ids'] for p in prompts]) if args.logits else None
    worst = 0
    for i, p in enumerate(prompts):
        p['logits_llamacpp_last'] = others[i] if others else p['logits_last']
        worst = max(worst, max(abs(a - b) for a, b in zip(p['logits_llamacpp_last'], p['logits_last'])))
    with open(os.path.join(args.outdir, name + '.json'), 'w') as f:
        json.dump({'arch': decoders.arch_of(path), 'name': name, 'prompts': prompts}, f)
    print('%-24s %-16s Hugging Face and llama.cpp differ by %s' % (name, decoders.arch_of(path), '%.2g' % worst if others else '(not run)'), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('outdir')
    parser.add_argument('--llama-cpp', required=True)
    parser.add_argument('--only')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--logits')
    args = parser.parse_args()
    llama_converter.use(args.llama_cpp)
    logging.disable(logging.WARNING)
    transformers.utils.logging.disable_progress_bar()
    os.environ['TQDM_DISABLE'] = '1'
    os.makedirs(args.outdir, exist_ok=True)
    failed = []
    for name in args.only.split(',') if args.only else decoders.names():
        try:
            make(name, args)
        except Exception as e:
            failed.append(name)
            print('%-24s FAILED: %s' % (name, str(e)[-1500:]), flush=True)
    sys.exit(1 if failed else 0)


main()
