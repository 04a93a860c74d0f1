#!/usr/bin/env python3
"""Quantize a Hugging Face folder into a public layout, and write what the quantized weights stand for beside it.

    make_quantized.py LAYOUT FOLDER OUT [--seed N] [--group N]
    make_quantized.py sample FILE        (one small matrix in every layout: sql-tests/data/hf/quantized.safetensors)

OUT/quantized is the folder with quantized matrices and quantization_config, OUT/plain the same model with float32 weights
that are exactly what the quantized ones mean, so that any implementation's logits on it are a reference. Every linear layer of
the decoder is quantized but routers; embeddings and the output stay as they are.

Layouts: fp8-tensor fp8-channel fp8-tile nvfp4-modelopt nvfp4-ct gptq gptq-sym gptq-act gptq-8bit gptq-v2 awq ct-int4 ct-int4-asym
ct-int4-act ct-int8 ct-w8a8, and mxfp4 for gpt-oss, of which it is the experts alone. Written after the formats' specifications: AutoGPTQ and AutoAWQ packing, compressed-tensors
(packed formats, checked against its own functions with --check), modelopt's NVFP4, DeepSeek's tiled FP8. Needs torch, safetensors.
"""
import argparse
import json
import os
import re
import shutil

import torch
from safetensors.torch import load_file, save_file

FP4 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def words_along(codes, bits, dim):
    """Unsigned codes into int32 words along a dimension, the first code lowest; padded with zeros."""
    per = 32 // bits
    codes = codes.to(torch.int64).movedim(dim, -1)
    pad = -codes.shape[-1] % per
    codes = torch.nn.functional.pad(codes, (0, pad))
    parts = codes.reshape(*codes.shape[:-1], -1, per)
    words = sum(parts[..., i] << (bits * i) for i in range(per))
    words = torch.where(words >= 2 ** 31, words - 2 ** 32, words).to(torch.int32)
    return words.movedim(-1, dim).contiguous()


def integer_groups(w, bits, index, n_groups, symmetric, scale_dtype):
    """Codes, scales, zero points (rows, groups) of w, whose column c is of group index[c]."""
    top = 2 ** bits - 1
    scale = torch.empty(w.shape[0], n_groups)
    zero = torch.empty(w.shape[0], n_groups, dtype=torch.int64)
    for g in range(n_groups):
        part = w[:, index == g]
        low, high = part.amin(1).clamp(max=0), part.amax(1).clamp(min=0)
        if symmetric:
            high = torch.maximum(high, -low)
            low = -high
        scale[:, g] = ((high - low) / top).clamp(min=1e-5)
        zero[:, g] = (2 ** (bits - 1)) if symmetric else 0
        if not symmetric:
            zero[:, g] = torch.round(-low / scale[:, g]).to(torch.int64).clamp(1, top)
    scale = scale.to(scale_dtype).float()
    codes = (torch.round(w / scale[:, index]) + zero[:, index]).clamp(0, top)
    return codes.to(torch.int64), scale, zero, (codes - zero[:, index]) * scale[:, index]


def ascending(n_cols, group):
    return torch.arange(n_cols) // group


def gptq(w, o, bits=4, symmetric=False, act=False, v2=False):
    index = ascending(w.shape[1], o.group)
    if act:
        index = index[torch.randperm(w.shape[1])]
    n_groups = int(index.max()) + 1
    codes, scale, zero, plain = integer_groups(w, bits, index, n_groups, symmetric, torch.float16)
    return {"qweight": words_along(codes.T, bits, 0), "qzeros": words_along(zero.T - (0 if v2 else 1), bits, 1),
            "scales": scale.T.contiguous().to(torch.float16), "g_idx": index.to(torch.int32)}, plain


def awq(w, o):
    codes, scale, zero, plain = integer_groups(w, 4, ascending(w.shape[1], o.group), w.shape[1] // o.group, False, torch.float16)

    def pack(x):
        x = x.reshape(x.shape[0], -1, 8)[:, :, AWQ_ORDER].reshape(x.shape[0], -1)
        return words_along(x, 4, 1)
    return {"qweight": pack(codes.T), "qzeros": pack(zero.T), "scales": scale.T.contiguous().to(torch.float16)}, plain


def ct_int(w, o, bits=4, symmetric=True, act=False, channel=False):
    group = w.shape[1] if channel else o.group
    index = ascending(w.shape[1], group)
    if act:
        index = index[torch.randperm(w.shape[1])]
    codes, scale, zero, plain = integer_groups(w, bits, index, w.shape[1] // group, symmetric, torch.bfloat16)
    out = {"weight_packed": words_along(codes, bits, 1), "weight_scale": scale.to(torch.bfloat16),
           "weight_shape": torch.tensor(w.shape, dtype=torch.int64)}
    if not symmetric:
        out["weight_zero_point"] = words_along(zero, bits, 0)
    if act:
        out["weight_g_idx"] = index.to(torch.int32)
    if o.check:
        from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
        assert torch.equal(pack_to_int32((codes - 2 ** (bits - 1)).to(torch.int8), bits), out["weight_packed"])
        if not symmetric:
            assert torch.equal(pack_to_int32((zero - 2 ** (bits - 1)).to(torch.int8), bits, packed_dim=0), out["weight_zero_point"])
    return out, plain


def ct_w8a8(w, o):
    scale = (w.abs().amax(1, keepdim=True) / 127).to(torch.bfloat16)
    codes = torch.round(w / scale.float()).clamp(-128, 127)
    return {"weight": codes.to(torch.int8), "weight_scale": scale}, codes * scale.float()


def to_f8(x):
    return x.clamp(-448, 448).to(torch.float8_e4m3fn)


def fp8(w, o, per):
    if per == "tensor":
        scale = w.abs().max() / 448
        spread = scale
    elif per == "channel":
        scale = w.abs().amax(1, keepdim=True) / 448
        spread = scale
    else:
        rows, cols = -(-w.shape[0] // o.tile), -(-w.shape[1] // o.tile)
        padded = torch.nn.functional.pad(w, (0, cols * o.tile - w.shape[1], 0, rows * o.tile - w.shape[0]))
        scale = padded.reshape(rows, o.tile, cols, o.tile).abs().amax((1, 3)).clamp(min=1e-12) / 448
        spread = scale.repeat_interleave(o.tile, 0).repeat_interleave(o.tile, 1)[:w.shape[0], :w.shape[1]]
    codes = to_f8(w / spread)
    name = "weight_scale_inv" if per == "tile" else "weight_scale"
    return {"weight": codes, name: scale.float(), "input_scale": torch.tensor(0.5)} if per == "tensor" else \
        {"weight": codes, name: scale.float()}, codes.float() * spread


def nvfp4(w, o, ct):
    factor = w.abs().max() / (448 * 6)
    blocks = w.reshape(w.shape[0], -1, 16)
    scale = to_f8(blocks.abs().amax(2) / 6 / factor)
    step = scale.float().unsqueeze(2) * factor
    x = torch.where(step > 0, blocks / step, torch.zeros_like(blocks))
    code = (x.abs().unsqueeze(-1) - FP4).abs().argmin(-1)
    value = FP4[code] * torch.where(x < 0, -1.0, 1.0)
    code = code + 8 * (x < 0)
    plain = (value * step).reshape(w.shape)
    code = code.reshape(w.shape[0], -1)
    packed = (code[:, 0::2] | code[:, 1::2] << 4).to(torch.uint8)
    if ct:
        if o.check:
            from compressed_tensors.compressors.nvfp4.helpers import pack_fp4_to_uint8
            assert torch.equal(pack_fp4_to_uint8(value.reshape(w.shape)), packed)
        return {"weight_packed": packed, "weight_scale": scale, "weight_global_scale": (1 / factor).reshape(1),
                "input_global_scale": torch.tensor([3.0])}, plain
    return {"weight": packed, "weight_scale": scale, "weight_scale_2": factor, "input_scale": torch.tensor(0.5)}, plain


def mxfp4(w):
    """Experts (n, inputs, outputs), as gpt-oss has them, in blocks of 32 inputs."""
    blocks = w.float().transpose(1, 2)
    blocks = blocks.reshape(*blocks.shape[:2], -1, 32)
    exponent = torch.floor(torch.log2(blocks.abs().amax(3).clamp(min=1e-20))) - 2
    step = torch.exp2(exponent).unsqueeze(3)
    x = blocks / step
    code = (x.abs().unsqueeze(-1) - FP4).abs().argmin(-1)
    plain = FP4[code] * torch.where(x < 0, -1.0, 1.0) * step
    code = code + 8 * (x < 0)
    packed = (code[..., 0::2] | code[..., 1::2] << 4).to(torch.uint8)
    return {"_blocks": packed, "_scales": (exponent + 127).to(torch.uint8)}, plain.reshape(*blocks.shape[:2], -1).transpose(1, 2)


def ct_groups(**weights):
    return {"quant_method": "compressed-tensors", "quantization_status": "compressed", "ignore": ["lm_head"],
            "config_groups": {"group_0": {"targets": ["Linear"], "input_activations": None, "output_activations": None,
                                          "weights": weights}}}


def layouts(o):
    base = {"bits": 4, "group_size": o.group, "desc_act": False, "sym": False, "quant_method": "gptq"}
    return {
        "mxfp4": (None, {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}),
        "fp8-tensor": (lambda w: fp8(w, o, "tensor"), {"quant_method": "modelopt", "quant_algo": "FP8"}),
        "fp8-channel": (lambda w: fp8(w, o, "channel"),
                        ct_groups(num_bits=8, type="float", strategy="channel", symmetric=True) | {"format": "float-quantized"}),
        "fp8-tile": (lambda w: fp8(w, o, "tile"), {"quant_method": "fp8", "activation_scheme": "dynamic",
                                                   "weight_block_size": [o.tile, o.tile]}),
        "nvfp4-modelopt": (lambda w: nvfp4(w, o, False), {"quant_method": "modelopt", "quant_algo": "NVFP4"}),
        "nvfp4-ct": (lambda w: nvfp4(w, o, True),
                     ct_groups(num_bits=4, type="float", strategy="tensor_group", group_size=16) | {"format": "nvfp4-pack-quantized"}),
        "gptq": (lambda w: gptq(w, o), base),
        "gptq-sym": (lambda w: gptq(w, o, symmetric=True), base | {"sym": True}),
        "gptq-act": (lambda w: gptq(w, o, act=True), base | {"desc_act": True}),
        "gptq-8bit": (lambda w: gptq(w, o, bits=8, symmetric=True), base | {"bits": 8, "sym": True}),
        "gptq-2bit": (lambda w: gptq(w, o, bits=2), base | {"bits": 2}),
        "gptq-v2": (lambda w: gptq(w, o, v2=True), base | {"checkpoint_format": "gptq_v2"}),
        "awq": (lambda w: awq(w, o), {"quant_method": "awq", "bits": 4, "group_size": o.group, "zero_point": True, "version": "gemm"}),
        "ct-int4": (lambda w: ct_int(w, o), ct_groups(num_bits=4, type="int", strategy="group", symmetric=True) | {"format": "pack-quantized"}),
        "ct-int4-asym": (lambda w: ct_int(w, o, symmetric=False),
                         ct_groups(num_bits=4, type="int", strategy="group", symmetric=False) | {"format": "pack-quantized"}),
        "ct-int4-act": (lambda w: ct_int(w, o, act=True),
                        ct_groups(num_bits=4, type="int", strategy="group", symmetric=True, actorder="group") | {"format": "pack-quantized"}),
        "ct-int8": (lambda w: ct_int(w, o, bits=8, channel=True),
                    ct_groups(num_bits=8, type="int", strategy="channel", symmetric=True) | {"format": "pack-quantized"}),
        "ct-w8a8": (lambda w: ct_w8a8(w, o), ct_groups(num_bits=8, type="int", strategy="channel", symmetric=True) | {"format": "int-quantized"}),
    }


def write_sample(path, o):
    """LAYOUT.* is a matrix as stored, LAYOUT.plain what it means."""
    o.group, o.tile = 32, 10
    tensors = {}
    for name, (quantize, _) in layouts(o).items():
        if quantize is None:
            continue
        stored, meaning = quantize(torch.randn(16, 64) * 0.1 + 0.02)
        tensors.update({f"{name}.{k}": v.contiguous() for k, v in stored.items()})
        tensors[f"{name}.plain"] = meaning.float().contiguous()
    save_file(tensors, path)


def is_quantized(name, tensor):
    if tensor.dim() != 2 or not name.endswith(".weight"):
        return False
    if re.search(r"embed|lm_head|norm|router|conv|shared_expert_gate|\.gate\.weight$|classifier|score", name):
        return False
    return ".layers." in name or ".layer." in name


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("layout")
    ap.add_argument("folder")
    ap.add_argument("out", nargs="?")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--group", type=int, default=32)
    ap.add_argument("--tile", type=int, default=128)
    ap.add_argument("--check", action="store_true", help="compare packing with that of the package compressed-tensors")
    o = ap.parse_args()
    torch.manual_seed(o.seed)
    if o.layout == "sample":
        return write_sample(o.folder, o)
    quantize, config = layouts(o)[o.layout]
    quantized, plain = {}, {}
    for file in sorted(os.listdir(o.folder)):
        if not file.endswith(".safetensors"):
            continue
        for name, tensor in load_file(os.path.join(o.folder, file)).items():
            if o.layout == "mxfp4" and tensor.dim() == 3:
                stored, meaning = mxfp4(tensor)
                quantized.update({name + k: v.contiguous() for k, v in stored.items()})
                plain[name] = meaning.float().contiguous()
                continue
            if o.layout == "mxfp4" or not is_quantized(name, tensor):
                quantized[name] = plain[name] = tensor.contiguous()
                continue
            stored, meaning = quantize(tensor.float())
            base = name[:-len("weight")]
            quantized.update({base + k: v.contiguous() for k, v in stored.items()})
            plain[name] = meaning.float().contiguous()
    for kind, tensors in (("quantized", quantized), ("plain", plain)):
        folder = os.path.join(o.out, kind)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        for file in os.listdir(o.folder):
            if not file.endswith((".safetensors", ".safetensors.index.json")):
                shutil.copy(os.path.join(o.folder, file), folder)
        save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
        path = os.path.join(folder, "config.json")
        with open(path) as f:
            c = json.load(f)
        if kind == "quantized":
            c["quantization_config"] = config
        else:
            c["dtype"] = "float32"
        with open(path, "w") as f:
            json.dump(c, f, indent=2)


if __name__ == "__main__":
    main()
