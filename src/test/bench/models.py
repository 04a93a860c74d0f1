"""The files that `make bench` measures, made once under build/bench-models.

- SmolLM2 in every type whose blocks have 32 numbers: dequantized to F32 by gguf-py, then quantized by llama-quantize.
- Models with random weights, of the shape of larger ones with fewer layers. For speed the values do not matter, so each
  matrix is quantized as a few rows by llama-quantize (which decides the types of a mix such as Q4_K_M) and repeated to its
  height. The vocabulary is SmolLM2's.
"""
import os

import gguf
import numpy as np

from common import Failed, PEER, SMOLLM, run, say

FOLDER = 'build/bench-models'
SEED_ROWS = 64                   # rows of a matrix that are drawn and quantized


def smollm(kind):
    """SmolLM2 with matrices of a type, Q4_1 the file as it came"""
    if kind == 'file':
        return SMOLLM
    base = os.path.join(FOLDER, 'smollm2.F32.gguf')
    if not os.path.exists(base):
        copy_as_float(SMOLLM, base)
    return base if kind == 'F32' else quantized(base, os.path.join(FOLDER, 'smollm2.%s.gguf' % kind), kind)


def quantized(source, target, kind):
    """source in another type: by llama-quantize, and by gguf-py what that makes of experts only"""
    if os.path.exists(target):
        return target
    say('making ' + target)
    if kind == 'MXFP4':
        rewrite(source, target + '.part', lambda t, data: mxfp4(t, data))
    else:
        run(PEER + 'llama-quantize', source, target + '.part', kind)
    os.rename(target + '.part', target)
    return target


def mxfp4(tensor, data):
    if len(tensor.shape) < 2 or tensor.name == 'token_embd.weight':
        return data, tensor.tensor_type
    kind = gguf.GGMLQuantizationType.MXFP4
    return gguf.quants.quantize(data, kind), kind


def copy_as_float(source, target):
    say('making ' + target)
    os.makedirs(FOLDER, exist_ok=True)
    rewrite(source, target + '.part', lambda t, data: (
        gguf.quants.dequantize(data, t.tensor_type).astype(np.float32), gguf.GGMLQuantizationType.F32))
    os.rename(target + '.part', target)


def copy_fields(reader, writer, wanted):
    for name, field in reader.fields.items():
        if wanted(name):
            kind = field.types[0]
            sub = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), kind, sub)


def rewrite(source, target, change):
    """a copy of a file with other tensors: change(tensor, data) gives (data, type)"""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.fields['general.architecture'].contents())
    skipped = ('GGUF.', 'general.architecture', 'general.file_type')
    copy_fields(reader, writer, lambda name: not name.startswith(skipped))
    for tensor in reader.tensors:
        data, kind = change(tensor, tensor.data)
        writer.add_tensor(tensor.name, data, raw_dtype=kind)
    finish(writer)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# ---- shapes with random weights: architecture, metadata without its prefix, and matrices {name: (columns, rows[, experts])} ----

def dense(layers, width, ff, heads, heads_kv, vocab=49152):
    """the shape of a Llama"""
    kv = width // heads * heads_kv
    matrices = {'token_embd.weight': (width, vocab), 'output.weight': (width, vocab)}
    vectors = {'output_norm.weight': width}
    for i in range(layers):
        b = 'blk.%d.' % i
        matrices.update({b + 'attn_q.weight': (width, width), b + 'attn_k.weight': (width, kv), b + 'attn_v.weight': (width, kv),
                         b + 'attn_output.weight': (width, width), b + 'ffn_gate.weight': (width, ff),
                         b + 'ffn_up.weight': (width, ff), b + 'ffn_down.weight': (ff, width)})
        vectors.update({b + 'attn_norm.weight': width, b + 'ffn_norm.weight': width})
    meta = {'block_count': layers, 'context_length': 8192, 'embedding_length': width, 'feed_forward_length': ff,
            'attention.head_count': heads, 'attention.head_count_kv': heads_kv, 'attention.layer_norm_rms_epsilon': 1e-5,
            'rope.freq_base': 10000.0, 'rope.dimension_count': width // heads, 'vocab_size': vocab}
    return 'llama', meta, matrices, vectors


def experts(layers, width, ff, n_experts, used, heads, heads_kv, vocab=49152):
    """the shape of a Qwen 3 with experts"""
    _, meta, matrices, vectors = dense(layers, width, ff, heads, heads_kv, vocab)
    for i in range(layers):
        b = 'blk.%d.' % i
        for name, shape in (('gate', (width, ff, n_experts)), ('up', (width, ff, n_experts)), ('down', (ff, width, n_experts))):
            del matrices[b + 'ffn_%s.weight' % name]
            matrices[b + 'ffn_%s_exps.weight' % name] = shape
        matrices[b + 'ffn_gate_inp.weight'] = (width, n_experts)
        vectors.update({b + 'attn_q_norm.weight': width // heads, b + 'attn_k_norm.weight': width // heads})
    meta.update({'expert_count': n_experts, 'expert_used_count': used, 'expert_feed_forward_length': ff,
                 'attention.key_length': width // heads, 'attention.value_length': width // heads})
    return 'qwen3moe', meta, matrices, vectors


def nemotron3(width=1024, ff=512, n_experts=32, used=4, vocab=49152):
    """a small Nemotron 3: Mamba 2, experts with a shared one, and attention, one block a layer"""
    pattern = 'MEMEMEM*EMEMEM*E'
    state, groups, inner, heads_ssm, conv = 128, 8, 2 * width, 2 * width // 64, 4
    heads, heads_kv, head = 16, 2, 128
    matrices = {'token_embd.weight': (width, vocab), 'output.weight': (width, vocab)}
    vectors = {'output_norm.weight': width}
    shapes = {}
    for i, kind in enumerate(pattern):
        b = 'blk.%d.' % i
        vectors[b + 'attn_norm.weight'] = width
        if kind == 'M':
            mixed = inner + 2 * groups * state
            matrices.update({b + 'ssm_in.weight': (width, inner + mixed + heads_ssm), b + 'ssm_out.weight': (inner, width)})
            vectors.update({b + 'ssm_conv1d.bias': mixed, b + 'ssm_dt.bias': heads_ssm})
            shapes.update({b + 'ssm_a': (1, heads_ssm), b + 'ssm_d': (1, heads_ssm), b + 'ssm_conv1d.weight': (conv, mixed),
                           b + 'ssm_norm.weight': (inner // groups, groups)})
        elif kind == '*':
            matrices.update({b + 'attn_q.weight': (width, heads * head), b + 'attn_k.weight': (width, heads_kv * head),
                             b + 'attn_v.weight': (width, heads_kv * head), b + 'attn_output.weight': (heads * head, width)})
        else:
            matrices.update({b + 'ffn_up_exps.weight': (width, ff, n_experts), b + 'ffn_down_exps.weight': (ff, width, n_experts),
                             b + 'ffn_gate_inp.weight': (width, n_experts), b + 'ffn_up_shexp.weight': (width, 2 * ff),
                             b + 'ffn_down_shexp.weight': (2 * ff, width)})
            vectors[b + 'exp_probs_b.bias'] = n_experts
    meta = {'block_count': len(pattern), 'context_length': 8192, 'embedding_length': width, 'vocab_size': vocab,
            'feed_forward_length': [ff if k == 'E' else 0 for k in pattern], 'attention.head_count': heads,
            'attention.head_count_kv': [heads_kv if k == '*' else 0 for k in pattern], 'rope.freq_base': 10000.0,
            'attention.layer_norm_rms_epsilon': 1e-5, 'attention.layer_norm_epsilon': 1e-5, 'expert_count': n_experts,
            'expert_used_count': used, 'expert_group_count': 1, 'expert_group_used_count': 1, 'rope.dimension_count': head,
            'ssm.conv_kernel': conv, 'ssm.state_size': state, 'ssm.group_count': groups, 'ssm.inner_size': inner,
            'ssm.time_step_rank': heads_ssm, 'attention.key_length': head, 'attention.value_length': head,
            'expert_feed_forward_length': ff, 'expert_shared_feed_forward_length': 2 * ff, 'expert_shared_count': 1,
            'expert_weights_norm': True, 'expert_weights_scale': 2.5}
    return 'nemotron_h_moe', meta, matrices, vectors, shapes


SHAPES = {
    '1B': lambda: dense(4, 2048, 8192, 32, 8),
    '3B': lambda: dense(4, 3072, 8192, 24, 8),
    'MoE': lambda: experts(4, 2048, 768, 32, 4, 32, 4),
    'Nemotron 3': nemotron3,
}
SHAPE_NOTES = {
    '1B': '1B shape: 4 layers, 2048 wide, feed-forward 8192',
    '3B': '3B shape: 4 layers, 3072 wide, feed-forward 8192',
    'MoE': 'experts: 4 layers, 2048 wide, 32 experts of 768, 4 used',
    'Nemotron 3': 'Nemotron 3: 16 layers (7 Mamba 2, 7 experts, 2 attention), 1024 wide',
}


def add_meta(writer, arch, meta):
    for key, value in meta.items():
        key = arch + '.' + key
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        elif isinstance(value, list):
            writer.add_array(key, value)
        else:
            writer.add_uint32(key, value)
    copy_fields(gguf.GGUFReader(SMOLLM), writer, lambda name: name.startswith('tokenizer.'))


def write_seed(target, arch, meta, matrices, vectors, shapes):
    """the model with only the first rows of every matrix, in F16"""
    rng = np.random.default_rng(1)
    writer = gguf.GGUFWriter(target, arch)
    add_meta(writer, arch, meta)
    for name, shape in matrices.items():
        rows = min(shape[1], SEED_ROWS)
        value = rng.standard_normal((1, rows, shape[0]) if len(shape) > 2 else (rows, shape[0])) * shape[0] ** -0.5
        # a router is never quantized
        writer.add_tensor(name, value.astype(np.float32 if 'gate_inp' in name else np.float16))
    for name, size in vectors.items():
        writer.add_tensor(name, (np.ones(size) if 'norm' in name else rng.standard_normal(size) * 0.1).astype(np.float32))
    for name, shape in shapes.items():
        value = -np.exp(rng.random(shape[::-1])) if name.endswith('ssm_a') else 1 + 0.1 * rng.standard_normal(shape[::-1])
        writer.add_tensor(name, value.astype(np.float32))
    finish(writer)


def expand(seed, target, arch, meta, matrices):
    """repeat the rows of a (quantized) seed to the height of the shape"""
    reader = gguf.GGUFReader(seed)
    writer = gguf.GGUFWriter(target, arch)
    add_meta(writer, arch, meta)
    for tensor in reader.tensors:
        data = tensor.data
        if tensor.name in matrices:
            shape = matrices[tensor.name]
            rows = data.reshape(-1, data.shape[-1])
            data = np.tile(rows, (-(-shape[1] // rows.shape[0]), 1))[:shape[1]]
            if len(shape) > 2:
                data = np.tile(data[None], (shape[2], 1, 1))
        writer.add_tensor(tensor.name, data, raw_dtype=tensor.tensor_type)
    finish(writer)


def random_model(shape, kind):
    """a file of a shape of SHAPES in a type that llama-quantize knows"""
    target = os.path.join(FOLDER, '%s.%s.gguf' % (shape.replace(' ', ''), kind))
    if os.path.exists(target):
        return target
    os.makedirs(FOLDER, exist_ok=True)
    say('making ' + target)
    arch, meta, matrices, vectors, *rest = SHAPES[shape]()
    seed = target + '.seed'
    write_seed(seed, arch, meta, matrices, vectors, rest[0] if rest else {})
    if kind != 'F16':
        run(PEER + 'llama-quantize', '--allow-requantize', seed, seed + '.q', kind)
        os.rename(seed + '.q', seed)
    expand(seed, target + '.part', arch, meta, matrices)
    os.remove(seed)
    os.rename(target + '.part', target)
    return target


def remove_models():
    """room for others: the random models are large and quickly made"""
    for name in os.listdir(FOLDER) if os.path.isdir(FOLDER) else []:
        if not name.startswith('smollm2'):
            os.remove(os.path.join(FOLDER, name))
