"""Quality beside llama.cpp: perplexity of SmolLM2 in every 32-block type, and divergence from exact logits for other types.

The text is the beginning of docs/functions.md, BENCH_WINDOWS (20) whole windows of 512 tokens; the second half of each window is scored, by both programs
alike. BENCH_TYPES names other types than all ("file" is Q4_1). References of exact logits are files NAME.json beside NAME.gguf in the folder BENCH_REFERENCES, left out without it.
"""
import glob
import json
import math
import os
import re

import models
from common import Failed, LLM, PEER, PYTHON, Row, SMOLLM, run, say

WINDOW = 512
WINDOWS = int(os.environ.get('BENCH_WINDOWS') or 20)
TYPES = (os.environ.get('BENCH_TYPES') or 'file Q4_0 Q5_0 Q5_1 Q8_0 IQ4_NL MXFP4').split()
OTHER = re.compile(r'\.(Q\d_K\w*|IQ\d_\w+|TQ\d_\d)\.json$')


def text_file():
    """the text in whole windows, so that both programs score the same tokens"""
    path = 'build/bench/text.txt'
    ids = json.loads(run(LLM, 'tokenize', SMOLLM, stdin=json.dumps(open('docs/functions.md', encoding='utf-8').read()) + '\n'))
    n = min(len(ids), WINDOWS * WINDOW) // WINDOW * WINDOW
    text = json.loads(run(LLM, 'tokenize', SMOLLM, stdin=json.dumps(ids[:n]) + '\n'))
    with open(path, 'w', encoding='utf-8') as f:
        f.write(text)
    return path


def perplexity_row(kind, threads, text):
    model = models.smollm(kind)
    row = Row('quality', 'perplexity', 'SmolLM2 ' + ('Q4_1' if kind == 'file' else kind), unit='', threads=threads,
              want_ratio=1 / 1.005)
    ours = json.loads(run(LLM, 'perplexity', model, text, '--ctx', str(WINDOW), '--from', str(WINDOW // 2 + 1)))['ppl']
    out = run('sh', '-c', 'exec "$0" "$@" 2>&1', PEER + 'llama-perplexity', '-m', model, '-f', text, '-c', str(WINDOW), '-t', str(threads))
    theirs = float(re.search(r'PPL = ([\d.]+)', out).group(1))
    row.data['lower'] = True
    row.add_round(ours, {'llama.cpp': theirs})
    return row.data


PEER_LOGITS = """
import ctypes, json, os, sys
sys.path.insert(0, 'build/peer-source')
os.environ['LLAMA_CPP_LIB_PATH'] = os.path.abspath('build/peer/bin')
import numpy, llama_cpp
for path in sys.stdin.read().split():
    llm = llama_cpp.Llama(path[:-4] + 'gguf', n_ctx=512, logits_all=True, verbose=False, n_threads=1)
    out = []
    for p in json.load(open(path))['prompts']:
        llm.reset()
        llm.eval(p['token_ids'])
        out.append([float(x) for x in llm.scores[len(p['token_ids']) - 1]])
    print(json.dumps(out), flush=True)
"""


def divergence(exact, other):
    """KL of two distributions given by logits"""
    def logs(x):
        top = max(x)
        total = top + math.log(sum(math.exp(v - top) for v in x))
        return [v - total for v in x]
    p, q = logs(exact), logs(other)
    return sum(math.exp(a) * (a - b) for a, b in zip(p, q))


def divergence_rows(folder):
    paths = [p for p in sorted(glob.glob(os.path.join(folder, '*.json'))) if OTHER.search(p)]
    theirs = run(PYTHON, '-c', PEER_LOGITS, stdin='\n'.join(paths)).splitlines()
    for path, line in zip(paths, theirs):
        prompts = json.load(open(path))['prompts']
        stdin = ''.join(json.dumps({'token_ids': p['token_ids']}) + '\n' for p in prompts)
        ours = [json.loads(x)['logits'] for x in run(LLM, 'logits', path[:-4] + 'gguf', stdin=stdin).splitlines()]
        exact = [p['logits_last'] for p in prompts]
        mean = lambda found: sum(map(divergence, exact, found)) / len(exact)
        row = Row('quality', 'mean KL to exact logits, %d prompts' % len(exact), os.path.basename(path)[:-5], unit='',
                  want_ratio=1 / 1.05, lower=True)
        row.add_round(mean(ours), {'llama.cpp': mean(json.loads(line))})
        say('  KL %s: %.3g, llama.cpp %.3g' % (row.data['model'], row.data['ours'][0], row.data['peers']['llama.cpp'][0]))
        yield row.data


def measure(threads, rounds, more):
    rows = []
    folder = os.environ.get('BENCH_REFERENCES')
    if folder:
        try:
            rows += divergence_rows(folder)
        except Failed as error:
            say('  left out: ' + str(error))
        yield rows
    text = text_file()
    for kind in TYPES:
        if not more():
            break
        try:
            rows.append(perplexity_row(kind, threads, text))
            say('  perplexity %s: %s' % (kind, rows[-1]['ours'] + list(rows[-1]['peers'].values())[0]))
        except (Failed, AttributeError) as error:
            say('  left out: %s: %s' % (kind, error))
        yield rows
