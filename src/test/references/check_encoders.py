#!/usr/bin/env python3
"""Compare build/llm with the references that encoders.py made: check_encoders.py DIR [--kernels LEVEL]"""
import argparse
import glob
import json
import math
import os
import subprocess
import sys

VOCAB = 96
TOLERANCE = 1e-4


def formula_ids(n, bos, eos):
    ids = [(7 * i * i + 3 * i + 5) % (VOCAB - 5) + 5 for i in range(n)]
    ids[0] = bos
    if n > 1:
        ids[-1] = eos
    return ids


def run(command, values):
    text = ''.join(json.dumps(v) + '\n' for v in values)
    out = subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=True).stdout
    return [json.loads(x) for x in out.splitlines()]


def unit(v):
    size = math.sqrt(sum(x * x for x in v)) or 1
    return [x / size for x in v]


def difference(a, b):
    return max(abs(x - y) for x, y in zip(a, b)) if len(a) == len(b) else math.inf


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('dir')
    parser.add_argument('--kernels', default='auto')
    a = parser.parse_args()
    worst_all = 0
    for path in sorted(glob.glob(os.path.join(a.dir, '*.json'))):
        ref = json.load(open(path))
        model = path[:-5] + '.gguf'
        common = ['--kv', 'f32', '--kernels', a.kernels]
        ids = [{'token_ids': formula_ids(p['n'], p['bos'], p['eos'])} for p in ref['prompts']]
        if ref['kind'] == 'embed':
            got = [r['embedding'] for r in run(['build/llm', 'embed', model, '--raw'] + common, ids)]
            worst = max(difference(unit(g), unit(p['values'])) for g, p in zip(got, ref['prompts']))
        else:
            got = [r['outputs'][0] for r in run(['build/llm', 'rerank', model] + common, ids)]
            worst = max(difference(g, p['values']) for g, p in zip(got, ref['prompts']))
            pairs = [{'query': p['query'], 'documents': [p['document']]} for p in ref['pairs']]
            got = [r['outputs'][0] for r in run(['build/llm', 'rerank', model] + common, pairs)]
            worst = max([worst] + [difference(g, p['values']) for g, p in zip(got, ref['pairs'])])
        print('%-20s largest difference %.1e' % (os.path.basename(path)[:-5], worst))
        worst_all = max(worst_all, worst)
    sys.exit(worst_all > TOLERANCE)


main()
