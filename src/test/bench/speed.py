"""Speed of the runtime beside llama.cpp's tools: prefill, decode, many sequences, types, shapes, threads, a busy core."""
import json
import os
import subprocess
import sys

import models
from common import Clock, Failed, LLM, PEER, Row, bound, probe, run, say

GENERATE = 48
# ratio to the peer and share of the machine's limit that a row should reach: (SmolLM2, 2048 wide and more, share)
PREFILL = {'Q4_1': (4, 3, 0.65), 'Q4_0': (2, 1.3, 0.65), 'Q4_K_M': (1.8, 1.25, 0.5), 'Q8_0': (1.5, 1.2, 0.45),
           'F16': (1.2, 1.05, 0.8), 'BF16': (1.2, 1.05, 0.8)}
DECODE = {'Q4_1': (1.6, 1.2), 'Q4_K_M': (1.5, 1.2), 'Q8_0': (1.4, 1.2), 'Q4_0': (1.3, 1.2), 'F16': (1.2, 1.2)}


class Case:
    """One row: what to run on a file, and what is wanted of it."""

    def __init__(self, group, kind, label, make, threads, n=512, depth=0, sequences=1, want=(None, None)):
        self.kind, self.make, self.n, self.depth, self.sequences, self.threads = kind, make, n, depth, sequences, threads
        work = {'prefill': 'prefill %d' % n, 'decode': 'decode after %d' % depth,
                'batch': 'decode, %d sequences' % sequences}[kind]
        self.row = Row(group, work, label, threads=threads, want_ratio=want[0], want_share=want[1])

    def ours(self):
        out = json.loads(run(LLM, 'bench', self.make(), '--threads', str(self.threads), '--only', self.kind, '--prompt', str(self.n),
                             '--generate', str(GENERATE), '--depth', str(self.depth), '--sequences', str(self.sequences),
                             '--repeat', '1', '--json'))
        return out[{'prefill': 'prefill_tps', 'decode': 'decode_tps', 'batch': 'batch_decode_tps'}[self.kind]]

    def peer(self):
        common = ['-m', self.make(), '-t', str(self.threads)]
        if self.kind == 'batch':
            out = run(PEER + 'llama-batched-bench', *common, '-c', '4096', '-npp', '1', '-ntg', str(GENERATE), '-npl',
                      str(self.sequences), '--output-format', 'jsonl')
            return [json.loads(x) for x in out.splitlines() if x.startswith('{')][-1]['speed_tg']
        p, n = (self.n, 0) if self.kind == 'prefill' else (0, GENERATE)
        out = run(PEER + 'llama-bench', *common, '-p', str(p), '-n', str(n), '-d', str(self.depth), '-r', '1', '-o', 'json')
        return json.loads(out)[0]['avg_ts']

    def round(self):
        self.make()
        clock = Clock()
        machine = probe(self.threads)
        ours = self.ours()
        try:
            peers = {'llama.cpp': self.peer()}
        except Failed as error:
            peers = {}
            self.row.data['note'] = 'not run by llama.cpp: ' + str(error)[-120:]
        limit, of = bound(self.make(), machine, 'prefill' if self.kind == 'prefill' else 'decode', self.sequences)
        self.row.data['bound_of'] = of
        self.row.add_round(ours, peers, limit, clock.shares())
        say('  %-24s %-28s %8.1f %s  limit %.0f' % (self.row.data['work'], self.row.data['model'], ours, peers, limit))


class BusyCore(Case):
    """Decoding while another process keeps one core busy; the limit is our own rate without it, from the same round."""

    def round(self):
        clock = Clock()
        free = self.ours()
        busy = subprocess.Popen([sys.executable, '-c', 'import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nwhile True: pass'])
        try:
            ours, peer = self.ours(), self.peer()
        finally:
            busy.kill()
            busy.wait()
        self.row.data['bound_of'] = 'own rate undisturbed'
        self.row.add_round(ours, {'llama.cpp': peer}, free, clock.shares())
        say('  %-24s busy core %.1f, undisturbed %.1f, llama.cpp %.1f' % (self.row.data['work'], ours, free, peer))


def smollm_case(kind, what, t, **more):
    label = 'SmolLM2 %s' % kind
    key = {'prefill': PREFILL, 'decode': DECODE}.get(what, {}).get(kind)
    want = more.pop('want', None) or ((key[0], key[2] if what == 'prefill' else 0.65) if key else (None, None))
    return Case('smollm2' if kind == 'Q4_1' else 'types', what, label,
                lambda: models.smollm('file' if kind == 'Q4_1' else kind), t, want=want, **more)


def shape_case(shape, kind, what, t):
    key = {'prefill': PREFILL, 'decode': DECODE}[what].get(kind) if shape in ('1B', '3B') else None
    want = (key[1], key[2] if what == 'prefill' else 0.8) if key else (None, None)
    return Case('shapes', what, '%s %s' % (shape, kind), lambda: models.random_model(shape, kind), t, want=want)


def cases(what, t):
    if what == 'smollm2':
        s = lambda *a, **k: smollm_case('Q4_1', *a, **k)
        none = (None, None)
        return [s('prefill', t, n=128, want=none), s('prefill', t), s('prefill', t, n=2048, want=none), s('decode', t),
                s('decode', t, depth=1024, want=none), s('batch', t, sequences=8), s('batch', t, sequences=32, want=(3, 0.5))]
    if what == 'types':
        return [smollm_case(k, w, t) for k in ('Q4_0', 'Q5_0', 'Q5_1', 'Q8_0', 'IQ4_NL', 'MXFP4', 'Q4_K_M', 'F16', 'BF16')
                for w in ('prefill', 'decode')]
    if what == 'shapes':
        pairs = [('1B', k) for k in ('Q4_1', 'Q4_0', 'Q4_K_M', 'Q8_0', 'F16', 'BF16', 'Q2_K', 'Q3_K_M', 'Q5_K_M', 'Q6_K', 'IQ4_XS',
                                     'IQ3_S', 'TQ2_0')]
        pairs += [('3B', 'Q4_1'), ('3B', 'Q4_K_M'), ('MoE', 'Q4_K_M'), ('Nemotron 3', 'Q4_K_M')]
        return [shape_case(s, k, w, t) for s, k in pairs for w in ('prefill', 'decode')]
    if what == 'threads':
        out = [smollm_case('Q4_1', w, n) for n in sorted({1, t}) for w in ('prefill', 'decode')]
    else:
        out = [BusyCore('busy', 'decode', 'SmolLM2 Q4_1', lambda: models.smollm('file'), t, want=(None, 0.45))]
    for case in out:
        case.row.data['group'] = what
    return out


def measure(what, threads, rounds, more):
    """rows of a group; more() says whether there is time for another round. A case that fails ends, the rest goes on."""
    todo = cases(what, threads)
    done = list(todo)
    for i in range(rounds):
        if not more():
            break
        say('%s: round %d of %d' % (what, i + 1, rounds))
        for case in list(todo):
            try:
                case.round()
            except Failed as error:
                case.row.data['note'] = str(error)[-300:]
                say('  left out: %s %s: %s' % (case.row.data['work'], case.row.data['model'], error))
                todo.remove(case)
            if i > 0 and not more():
                break
        yield [c.row.data for c in done if c.row.data['ours']]
