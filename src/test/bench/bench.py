#!/usr/bin/env python3
"""Speed of build/llm beside llama.cpp on the same file and threads, and beside the machine's limits.

Rounds alternate between the two, so that a slow minute hits both; a figure is the median of the rounds. The limits come
from build/machine_bench: decoding one sequence cannot be faster than memory can deliver the weights once per token, and
products with quantized weights cannot be faster than the processor multiplies 8-bit integers. Prints a Markdown table and
puts it between the marks of the given Markdown file.
"""
import argparse
import datetime
import json
import os
import re
import statistics
import subprocess
import sys

LLM = 'build/llm'
MACHINE = 'build/machine_bench'
PEER = 'build/peer/bin/'
BEGIN = '<!-- begin of the table that make bench writes -->'
END = '<!-- end of the table that make bench writes -->'
PROMPT, GENERATE, SEQUENCES = 512, 128, 8
QUANTIZED = re.compile(r'^(Q\d|IQ\d|TQ\d|MXFP4|NVFP4)')


def run(*command):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit('bench: %s failed:\n%s' % (' '.join(command), result.stderr[-2000:]))
    return result.stdout


def own_round(model, threads):
    out = json.loads(run(LLM, 'bench', model, '--threads', str(threads), '--prompt', str(PROMPT), '--generate',
                         str(GENERATE), '--sequences', str(SEQUENCES), '--repeat', '1', '--json'))
    return out['prefill_tps'], out['decode_tps'], out['batch_decode_tps'], out['kernels']


def peer_round(model, threads):
    single = json.loads(run(PEER + 'llama-bench', '-m', model, '-t', str(threads), '-p', str(PROMPT), '-n',
                            str(GENERATE), '-r', '1', '-o', 'json'))
    by_kind = {(t['n_prompt'] > 0): t['avg_ts'] for t in single}
    batch = run(PEER + 'llama-batched-bench', '-m', model, '-t', str(threads), '-c', '4096', '-npp', '1', '-ntg',
                str(GENERATE), '-npl', str(SEQUENCES), '--output-format', 'jsonl')
    line = [json.loads(x) for x in batch.splitlines() if x.startswith('{')][-1]
    return by_kind[True], by_kind[False], line['speed_tg'], single[0]['build_commit']


def weights(model):
    """Bytes of matrices that a decoded token reads, and multiply-adds for it: all, and those of the output matrix."""
    info = json.loads(run(LLM, 'inspect', model, '--json'))
    tensors = {t['name']: t for t in info['tensors']}
    embedding = tensors['token_embd.weight']
    output = tensors.get('output.weight', embedding)
    layers = [t for t in info['tensors'] if len(t['shape']) > 1 and t is not embedding and t is not output]
    macs = sum(t['shape'][0] * t['shape'][1] for t in layers)
    quantized = sum(t['shape'][0] * t['shape'][1] for t in layers if QUANTIZED.match(t['type']))
    return {'bytes': sum(t['bytes'] for t in layers) + output['bytes'], 'layer_macs': macs,
            'output_macs': output['shape'][0] * output['shape'][1], 'quantized': quantized * 2 > macs,
            'parameters': info['parameters'], 'type': info['quantization']}


def cpu_name():
    for line in open('/proc/cpuinfo'):
        if line.startswith('model name'):
            return line.split(':', 1)[1].strip()
    return 'unknown processor'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--model', required=True)
    parser.add_argument('--threads', type=int, required=True)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--out', default='')
    a = parser.parse_args()

    own, peer, machine = [], [], []
    for i in range(a.rounds):
        machine.append(json.loads(run(MACHINE, str(a.threads))))
        own.append(own_round(a.model, a.threads))
        peer.append(peer_round(a.model, a.threads))
        print('round %d of %d: llm %.1f %.1f %.1f, llama.cpp %.1f %.1f %.1f tokens/s' %
              ((i + 1, a.rounds) + own[-1][:3] + peer[-1][:3]), file=sys.stderr, flush=True)
    w = weights(a.model)
    read = max(m['read_gbytes'] for m in machine) * 1e9
    int8 = max(m['int8_gmacs'] for m in machine) * 1e9
    floats = max(m['float_gfmas'] for m in machine) * 1e9
    macs = int8 if w['quantized'] else floats
    total = w['layer_macs'] + w['output_macs']
    limits = [macs / w['layer_macs'], min(read / w['bytes'], macs / total),
              min(SEQUENCES * read / w['bytes'], macs / total)]
    names = ['prefill, %d tokens' % PROMPT, 'decode, %d tokens' % GENERATE,
             'decode, %d sequences of %d tokens' % (SEQUENCES, GENERATE)]

    lines = ['| tokens/s | pg_llm | llama.cpp | ratio | machine limit | share of it |', '|---|---|---|---|---|---|']
    for i, name in enumerate(names):
        ours = statistics.median(r[i] for r in own)
        theirs = statistics.median(r[i] for r in peer)
        lines.append('| %s | %.1f | %.1f | %.2f | %.0f | %.0f %% |' %
                     (name, ours, theirs, ours / theirs, limits[i], 100 * ours / limits[i]))
    lines += ['', 'Model: %s (%s, %.0f M parameters, %.1f MB of weights read for a token). Processor: %s, %d threads, '
              'kernels %s. llama.cpp: commit %s. Medians of %d alternating rounds, %s.' %
              (os.path.basename(a.model), w['type'], w['parameters'] / 1e6, w['bytes'] / 1e6, cpu_name(), a.threads,
               own[0][3], peer[0][3], a.rounds, datetime.date.today().isoformat()), '',
              'Machine, %d threads: %.1f GB/s read from memory, %.1f G int8 multiply-adds/s (%s), %.1f G float32 '
              'multiply-adds/s (%s).' % (a.threads, read / 1e9, int8 / 1e9, machine[0]['int8_with'], floats / 1e9,
                                         machine[0]['float_with'])]
    table = '\n'.join(lines)
    print(table)
    if a.out:
        text = open(a.out, encoding='utf-8').read()
        if text.count(BEGIN) != 1 or text.count(END) != 1:
            sys.exit('bench: %s has no marks for the table' % a.out)
        head, rest = text.split(BEGIN)
        open(a.out, 'w', encoding='utf-8').write(head + BEGIN + '\n' + table + '\n' + END + rest.split(END)[1])


main()
