#!/usr/bin/env python3
"""Run build/llm over a folder of reference models and judge its results with the folder's own check.py.

    src/test/check_models.py REFDIR [--verbose] [--kernels LEVEL]

REFDIR holds NAME.gguf with NAME.json (prompts with token_ids, and logits with greedy ids, an embedding or a score) and check.py, which lists the tasks and
compares. Keys and values are kept in float32, and each task runs with the context it names. Models that `llm inspect` calls unsupported are left out and named.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

LLM = 'build/llm'


def lines_through(command, values):
    """Feed one JSON value a line; the answers, one a line. stderr goes to ours."""
    text = ''.join(json.dumps(v, ensure_ascii=False) + '\n' for v in values)
    result = subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit('check_models: %s failed' % ' '.join(command))
    return [json.loads(x) for x in result.stdout.split('\n') if x]


def run_tasks(path, tasks, n_ctx, kernels):
    common = ['--kv', 'f32', '--ctx', str(n_ctx), '--kernels', kernels]
    inputs = [{'token_ids': t['token_ids']} for t in tasks]
    tokens = lines_through([LLM, 'tokenize', path, '--bos'] + (['--special'] if tasks[0]['kind'] == 'rerank' else []), [t['text'] for t in tasks])
    if tasks[0]['kind'] != 'logits':
        command, key, pick = {'embedding': ('embed', 'embedding', lambda r: r['embedding']),
                              'rerank': ('rerank', 'score_yes', lambda r: r['scores'][0])}[tasks[0]['kind']]
        results = lines_through([LLM, command, path] + common, inputs)
        return [{'model': t['model'], 'prompt': t['prompt'], 'token_ids': ids, key: pick(r)} for t, ids, r in zip(tasks, tokens, results)]
    logits = lines_through([LLM, 'logits', path] + common, inputs)
    greedy = lines_through([LLM, 'generate', path, '-n', '16', '--ignore-eos'] + common, inputs)
    return [{'model': t['model'], 'prompt': t['prompt'], 'token_ids': ids, 'logits_last': l['logits'],
             'greedy_ids': g['token_ids']} for t, ids, l, g in zip(tasks, tokens, logits, greedy)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('refdir')
    parser.add_argument('--verbose', action='store_true')
    parser.add_argument('--kernels', default='auto')
    a = parser.parse_args()
    check = os.path.join(a.refdir, 'check.py')
    tasks = [json.loads(x) for x in subprocess.check_output([sys.executable, check, '--list', a.refdir], text=True).split('\n') if x]
    by_model = {}
    for t in tasks:
        by_model.setdefault(t['model'], []).append(t)
    left_out = []
    results = []
    for name, group in by_model.items():
        path = os.path.join(a.refdir, group[0]['gguf'])
        info = json.loads(subprocess.check_output([LLM, 'inspect', path, '--json'], text=True))
        if not info['supported']:
            left_out.append('%s: %s' % (name, info['reason']))
            continue
        for n_ctx in sorted(set(t['n_ctx'] for t in group)):
            results += run_tasks(path, [t for t in group if t['n_ctx'] == n_ctx], n_ctx, a.kernels)
    with tempfile.NamedTemporaryFile('w', suffix='.jsonl') as f:
        for r in results:
            f.write(json.dumps(r) + '\n')
        f.flush()
        out = subprocess.run([sys.executable, check, a.refdir, f.name] + (['--verbose'] if a.verbose else []),
                             stdout=subprocess.PIPE, text=True).stdout
    print('\n'.join(x for x in out.split('\n') if not x.startswith('missing') and not x.startswith('{')))
    print('%d models run; left out: %s' % (len(by_model) - len(left_out), '; '.join(left_out) or 'none'))
    failed = [x for x in out.split('\n') if x.startswith('FAIL')]
    sys.exit(1 if failed or not results else 0)


main()
