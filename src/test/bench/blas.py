"""Products of float matrices alone: our kernels beside OpenBLAS, which could make them in a prefill but does not.

512 tokens by a matrix of 512 rows and 2048 columns, one thread, processor time. OpenBLAS is the one in NumPy's package. It takes F32
only, so for F16 and BF16 weights unpacking would be added.
"""
import json
import re

from common import Clock, PYTHON, Row, run, say

PEER = """
import json, time
import numpy as np
info = np.show_config(mode='dicts')['Build Dependencies']['blas']
x, w = (np.random.default_rng(1).standard_normal((512, 2048)).astype(np.float32) for _ in range(2))
best = 1e9
for _ in range(30):
    began = time.process_time()
    y = x @ w.T
    best = min(best, time.process_time() - began)
print(json.dumps({'gmacs': 512 * 2048 * 512 / best * 1e-9, 'name': info['name'], 'version': info['version']}))
"""


def measure(threads, rounds, more):
    rows = {t: Row('blas', 'product of 512 tokens', t, unit='G multiply-adds/s', threads=1) for t in ('F32', 'F16', 'BF16')}
    for i in range(rounds):
        for name, row in rows.items():
            if i > 0 and not more():
                return
            clock = Clock()
            lines = [x.split() for x in run('build/matmul_bench', name).splitlines() if re.match(r'\S+ +%s ' % name, x)]
            best = max(float(x[-2]) for x in lines if len(x) == 16)
            peer = json.loads(run(PYTHON, '-c', PEER, env={'OPENBLAS_NUM_THREADS': '1'}))
            row.add_round(best, {'OpenBLAS, F32': peer['gmacs']}, shares=clock.shares())
            row.data['note'] = '%s %s' % (peer['name'], peer['version'])
            say('  %-5s %.1f G/s, OpenBLAS %.1f' % (name, best, peer['gmacs']))
            yield [r.data for r in rows.values() if r.data['ours']]
