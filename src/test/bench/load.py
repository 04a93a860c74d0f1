"""From a file to the first logits, without a pack: the file is read and packed. Beside llama.cpp, which maps it, and re-lays some types.

Both have the file in the system's file cache, and run one token. What a session needs where there is a pack is a row of `make bench-rows`.
"""
import json

import models
from common import Clock, LLM, PYTHON, Row, run, say

PEER = """
import os, sys, time
sys.path.insert(0, 'build/peer-source')
os.environ['LLAMA_CPP_LIB_PATH'] = os.path.abspath('build/peer/bin')
import llama_cpp
path, threads = sys.argv[1], int(sys.argv[2])
began = time.perf_counter()
llm = llama_cpp.Llama(path, n_ctx=512, logits_all=False, verbose=False, n_threads=threads, n_threads_batch=threads)
llm.eval([1])
print((time.perf_counter() - began) * 1000)
"""


def peer_ms(model, threads):
    return float(run(PYTHON, '-c', PEER, model, str(threads)))


def our_ms(model, threads):
    out = json.loads(run(LLM, 'bench', model, '--threads', str(threads), '--prompt', '1', '--generate', '1', '--repeat', '1', '--only', 'prefill', '--json'))
    return out['load_ms'] + 1000 / out['prefill_tps']


def read(path):
    """into the file cache"""
    with open(path, 'rb') as f:
        while f.read(1 << 24):
            pass


def measure(threads, rounds, more):
    cases = [('SmolLM2 Q4_1', lambda: models.smollm('file')), ('SmolLM2 Q4_0', lambda: models.smollm('Q4_0')),
             ('1B Q4_K_M', lambda: models.random_model('1B', 'Q4_K_M'))]
    rows = [(Row('load', 'file to first logits, no pack yet', label, unit='ms', threads=n), make, n)
            for label, make in cases for n in sorted({1, threads})]
    for i in range(rounds):
        for row, make, n in rows:
            if i > 0 and not more():
                break
            clock = Clock()
            read(make())
            ours = our_ms(make(), n)
            row.add_round(ours, {'llama.cpp': peer_ms(make(), n)}, shares=clock.shares())
            say('  %-16s %d threads: %.0f ms, llama.cpp %.0f' % (row.data['model'], n, ours, row.data['peers']['llama.cpp'][-1]))
            yield [r.data for r, _, _ in rows if r.data['ours']]
