"""What all parts of `make bench` share: running programs, rounds, the machine's limits, and rows of results.

A round measures, one right after the other, what the machine can do (build/machine_bench), pg_llm, and the peer. Ratios and
shares of the limit are taken within a round and their medians reported, so that a slow minute changes all three and not the
ratio. Each round also notes the processor time that a hypervisor took (steal) and what other processes used.
"""
import json
import os
import re
import resource
import statistics
import subprocess
import sys

LLM = 'build/llm'
MACHINE = 'build/machine_bench'
PEER = 'build/peer/bin/'
PYTHON = sys.executable
SMOLLM = 'build/models/SmolLM2-135M-Instruct.Q4_1.gguf'


class Failed(Exception):
    """A program that did not do its work; the row is left out, and the report says why."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(*command, env=None, stdin=None, timeout=900):
    try:
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, input=stdin,
                                env=dict(os.environ, **env) if env else None, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(str(error))
    if result.returncode != 0:
        raise Failed('%s failed: %s' % (' '.join(command)[:200], result.stderr.strip()[-600:]))
    return result.stdout


def probe(threads):
    return json.loads(run(MACHINE, str(threads)))


class Clock:
    """Shares of the machine's processor time, since the start, that were stolen and that other processes used."""

    def __init__(self):
        self.start = self.now()

    @staticmethod
    def now():
        ticks = [int(x) for x in open('/proc/stat').readline().split()[1:9]]
        own = sum(resource.getrusage(who).ru_utime + resource.getrusage(who).ru_stime
                  for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(ticks), ticks[7], sum(ticks[0:3]) + ticks[5] + ticks[6], own * os.sysconf('SC_CLK_TCK')

    def shares(self):
        total, stolen, busy, own = (b - a for a, b in zip(self.start, self.now()))
        return stolen / max(total, 1), max(busy - own, 0) / max(total, 1)


class Row:
    """A line of the report: a work measured in rounds. peers: {name: [rates]}; bounds: rates a perfect program reaches."""

    def __init__(self, group, work, model, unit='tokens/s', threads=0, **more):
        self.data = dict(group=group, work=work, model=model, unit=unit, threads=threads, ours=[], peers={}, bounds=[],
                         bound_of='', want_ratio=None, want_share=None, note='', stolen=[], others=[])
        self.data.update(more)

    def add_round(self, ours, peers, bound=None, shares=(None, None)):
        self.data['ours'].append(ours)
        for name, rate in peers.items():
            self.data['peers'].setdefault(name, []).append(rate)
        if bound is not None:
            self.data['bounds'].append(bound)
        self.data['stolen'].append(shares[0])
        self.data['others'].append(shares[1])


def lower_is_better(row):
    return row['unit'] in ('ms', 's') or row.get('lower', False)


def ratio(row, name):
    """median over rounds of ours / peer (for times and losses, of peer / ours), so that above 1 is always faster"""
    pairs = zip(row['ours'], row['peers'][name])
    lower = lower_is_better(row)
    return statistics.median(theirs / ours if lower else ours / theirs for ours, theirs in pairs)


def fastest_peer(row):
    """the peer against which the ratio is lowest, or None; '(…)' marks a line that is only for comparison"""
    names = [n for n in row['peers'] if not n.startswith('(')]
    return min(names, key=lambda n: ratio(row, n)) if names else None


def share(row):
    if not row['bounds']:
        return None
    return statistics.median(ours / bound for ours, bound in zip(row['ours'], row['bounds']))


def judged(row):
    """were there rounds enough, and was the machine calm enough, to say whether a row is met? Losses do not depend on that"""
    others = [x for x in row['others'] if x is not None]
    return row.get('lower', False) or len(row['ours']) >= 3 and (not others or statistics.mean(others) <= 0.25)


def met(row):
    """True, False, or None where nothing is asked"""
    if row['want_ratio'] is None and row['want_share'] is None:
        return None
    peer = fastest_peer(row)
    if row['want_ratio'] is not None and peer is not None and ratio(row, peer) >= row['want_ratio']:
        return True
    return row['want_share'] is not None and share(row) is not None and share(row) >= row['want_share']


def layer_of(tensor):
    match = re.match(r'blk\.(\d+)\.', tensor)
    return int(match.group(1)) if match else -1


QUANTIZED = re.compile(r'^(Q\d|IQ\d|TQ\d|MXFP4|NVFP4)')
_work = {}


AFTER_MIXER = re.compile(r'attn_output|ffn_|ssm_out|out_proj')


def model_work(model):
    """
    What a token costs: bytes of matrices read, multiply-adds of the layers and of the output matrix; and those of the layers that
    a token without logits does without, behind the last attention or recurrent layer.
    """
    if model in _work:
        return _work[model]
    info = json.loads(run(LLM, 'inspect', model, '--json'))
    meta = info['metadata']
    used = meta.get(info['architecture'] + '.expert_used_count', 0)
    tensors = {t['name']: t for t in info['tensors']}
    embedding = tensors['token_embd.weight']
    output = tensors.get('output.weight', embedding)
    work = {'bytes': output['bytes'], 'layer_macs': 0, 'output_macs': output['shape'][0] * output['shape'][1],
            'parameters': info['parameters'], 'type': info['quantization']}
    work['tail_macs'] = 0
    quantized = 0
    last = max(layer_of(t['name']) for t in info['tensors'] if re.search(r'attn_|ssm_|shortconv', t['name']))
    for t in info['tensors']:
        if len(t['shape']) < 2 or t is embedding or t is output or 'ssm_a' in t['name'] or 'ssm_d' in t['name']:
            continue
        macs, size = t['shape'][0] * t['shape'][1], t['bytes']
        if len(t['shape']) > 2:         # experts: those that a token uses
            macs, size = macs * used, size * used / t['shape'][2]
        work['layer_macs'] += macs
        if layer_of(t['name']) > last or layer_of(t['name']) == last and AFTER_MIXER.search(t['name']):
            work['tail_macs'] += macs
        work['bytes'] += size
        quantized += macs if QUANTIZED.match(t['type']) else 0
    work['quantized'] = quantized * 2 > work['layer_macs']
    _work[model] = work
    return work


def bound(model, machine, kind, sequences=1):
    """(rate that a perfect program reaches, what limits it) for 'prefill' or 'decode'"""
    w = model_work(model)
    macs = (machine['int8_gmacs'] if w['quantized'] else machine['float_gfmas']) * 1e9
    name = 'int8' if w['quantized'] else 'float32'
    if kind == 'prefill':
        return macs / (w['layer_macs'] - w['tail_macs']), name
    memory = sequences * machine['read_gbytes'] * 1e9 / w['bytes']
    compute = macs / (w['layer_macs'] + w['output_macs'])
    return (memory, 'memory') if memory < compute else (compute, name)
