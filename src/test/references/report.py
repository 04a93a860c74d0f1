#!/usr/bin/env python3
"""Compare build/llm with folders of references and print the table of docs/models.md: architecture, model, largest difference.

    src/test/references/report.py OUTDIR...

Judged are the logits of the last token (against Hugging Face, at most 2e-3 apart), the tokens of the prompt, and 16 greedy
tokens (up to the first whose margin is below twice that). Exit status 1 when one fails, and for a model that is refused.
"""
import glob
import json
import os
import subprocess
import sys

LLM = 'build/llm'
LIMIT = 2e-3


def run(command, values):
    text = ''.join(json.dumps(v, ensure_ascii=False) + '\n' for v in values)
    result = subprocess.run(command, input=text, capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(result.stderr.strip()[-400:])
    return [json.loads(x) for x in result.stdout.split('\n') if x]


def greedy_ok(got, want, margins):
    for g, w, m in zip(got, want, margins):
        if g != w:
            return m <= 2 * LIMIT
    return True


def compare(path, ref):
    prompts = ref['prompts']
    common = ['--kv', 'f32', '--ctx', str(prompts[0]['n_ctx_llamacpp'])]
    ids = [{'token_ids': p['token_ids']} for p in prompts]
    logits = run([LLM, 'logits', path] + common, ids)
    greedy = run([LLM, 'generate', path, '-n', '16', '--ignore-eos'] + common, ids)
    tokens = run([LLM, 'tokenize', path, '--bos'], [p['text'] for p in prompts])
    worst = 0.0
    failed = []
    for p, l, g, t in zip(prompts, logits, greedy, tokens):
        d = max(abs(a - b) if a == a else float('inf') for a, b in zip(l['logits'], p['logits_last']))
        worst = max(worst, d)
        failed += ['logits'] * (not d <= LIMIT) + ['tokens'] * (t != p['token_ids'])
        failed += ['greedy'] * (not greedy_ok(g['token_ids'], p['greedy_ids'], p['greedy_margins']))
    return worst, sorted(set(failed))


def main():
    bad = 0
    print('| `general.architecture` | model | compared | largest difference |\n|---|---|---|---|')
    for folder in sys.argv[1:]:
        for f in sorted(glob.glob(os.path.join(folder, '*.json'))):
            with open(f) as text:
                ref = json.load(text)
            if not isinstance(ref.get('prompts'), list) or 'greedy_margins' not in ref['prompts'][0]:
                continue
            name = os.path.basename(f)[:-5]
            try:
                worst, failed = compare(f[:-5] + '.gguf', ref)
                outcome = '%.1e' % worst + (' FAILED: ' + ', '.join(failed) if failed else '')
            except RuntimeError as e:
                failed = outcome = 'FAILED: ' + str(e)
            bad += bool(failed)
            print('| %s | %s | logits, tokens, greedy | %s |' % (ref['arch'], name, outcome), flush=True)
    sys.exit(1 if bad else 0)


main()
