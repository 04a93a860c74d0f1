#!/usr/bin/env python3
"""Compare build/llm on a real model with recorded references.

    src/test/check_real_model.py MODEL.gguf REFERENCE.json                    tokens, chats, logits, greedy text, perplexity
    src/test/check_real_model.py MODEL.gguf --reviews REVIEWS.json ROWS.tsv   label scores and accuracies

Logits are judged as near to the exact reference (float32 on the dequantized weights) as llama.cpp is. Greedy text is compared
by feeding the reference's tokens: at each step the most likely token must be the reference's wherever its margin is above
twice the largest difference of logits seen. The perplexity must be within 1 % of llama.cpp's. Label scores must be within
0.3 for 95 % of the rows, accuracies within 1 point.
"""
import argparse
import json
import subprocess
import sys
import tempfile

LLM = 'build/llm'
failures = []


def verdict(ok, what):
    print(('ok    ' if ok else 'FAIL  ') + what)
    if not ok:
        failures.append(what)


def lines_through(command, values):
    text = ''.join(json.dumps(v, ensure_ascii=False) + '\n' for v in values)
    result = subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit('check_real_model: %s failed' % ' '.join(command))
    return [json.loads(x) for x in result.stdout.split('\n') if x]


def check_tokens(model, ref):
    rows = ref['tokenisation']
    got = lines_through([LLM, 'tokenize', model, '--bos'], [r['text'] for r in rows])
    bad = [r['text'] for r, g in zip(rows, got) if g != r['token_ids']]
    verdict(not bad, 'tokens of %d texts, %d differ %s' % (len(rows), len(bad), bad[:3]))
    rows = ref['tokenisation_special']
    for flag, key in ((['--special'], 'token_ids'), ([], 'token_ids_without_parse_special')):
        got = lines_through([LLM, 'tokenize', model] + flag, [r['text'] for r in rows])
        verdict(got == [r[key] for r in rows], 'tokens of %d texts with special tokens, %s' % (len(rows), key))


def check_chats(model, ref):
    rows = ref['chat']
    got = lines_through([LLM, 'render', model],
                        [{'messages': r['messages'], 'add_generation_prompt': r['add_generation_prompt']} for r in rows])
    verdict(got == [r['rendered'] for r in rows], '%d rendered chats' % len(rows))
    with tempfile.NamedTemporaryFile('w', suffix='.jinja') as f:
        f.write(ref['chat_template'])
        f.flush()
        got = lines_through([LLM, 'render', '--template', f.name],
                            [{'messages': r['messages'], 'add_generation_prompt': r['add_generation_prompt']} for r in rows])
    verdict(got == [r['rendered'] for r in rows], '%d chats rendered with the template alone' % len(rows))
    got = lines_through([LLM, 'tokenize', model, '--special'], [r['rendered'] for r in rows])
    verdict(got == [r['token_ids'] for r in rows], 'tokens of the rendered chats')


def difference_at(logits, prompt):
    """Largest difference from the exact logits, over the 20 most likely tokens recorded, and llama.cpp's own there."""
    exact = prompt['hf_float32_dequantised']['logits_at_llamacpp_top20']
    theirs = prompt['llamacpp']['top20']
    ours = max(abs(logits[i] - e) for (i, _), e in zip(theirs, exact))
    return ours, max(abs(v - e) for (_, v), e in zip(theirs, exact))


def check_logits(model, ref, kv):
    common = ['--kv', kv, '--ctx', '1024']
    worst = 0.0
    ours_all, theirs_all = [], []
    for i, p in enumerate(ref['prompts']):
        got = lines_through([LLM, 'logits', model] + common, [{'token_ids': p['token_ids']}])[0]['logits']
        ours, theirs = difference_at(got, p)
        ours_all.append(ours)
        theirs_all.append(theirs)
        worst = max(worst, ours, p['max_abs_diff_all_logits'])
        print('      prompt %d: top 20 differ by %.3f from the exact logits, llama.cpp by %.3f' % (i, ours, theirs))
    mean, peer = sum(ours_all) / len(ours_all), sum(theirs_all) / len(theirs_all)
    verdict(mean <= peer * 1.1, 'logits: mean over the prompts of the largest difference %.4f, llama.cpp %.4f (%s cache)' % (mean, peer, kv))
    return worst


def check_greedy(model, ref, worst):
    steps = equal = unsure = 0
    bad = []
    for i, p in enumerate(ref['prompts']):
        exact = p['hf_float32_dequantised']
        ids = p['token_ids']
        inputs = [{'token_ids': ids + exact['greedy_ids'][:k]} for k in range(len(exact['greedy_ids']))]
        got = lines_through([LLM, 'generate', model, '-n', '1', '--ignore-eos', '--kv', 'f32', '--ctx', '1024'], inputs)
        for k, g in enumerate(got):
            steps += 1
            if g['token_ids'][0] == exact['greedy_ids'][k]:
                equal += 1
            elif exact['greedy_margins'][k] > 2 * worst:
                bad.append((i, k, exact['greedy_margins'][k]))
            else:
                unsure += 1
    verdict(not bad, 'greedy: %d of %d steps equal, %d differ below margin %.3f, above it: %s' % (equal, steps, unsure, 2 * worst, bad))


def check_perplexity(model, ref):
    p = ref['perplexity']
    with tempfile.NamedTemporaryFile('w', suffix='.txt', encoding='utf-8', newline='') as f:
        f.write(p['text'])
        f.flush()
        for start, key, name in ((1, 'ppl_llamacpp', 'perplexity'), (257, 'ppl_second_half_llamacpp', 'perplexity of second halves')):
            got = json.loads(subprocess.check_output(
                [LLM, 'perplexity', model, f.name, '--ctx', str(p['window']), '--from', str(start)], text=True))
            verdict(abs(got['ppl'] / p[key] - 1) <= 0.01, '%s %.4f over %d tokens, llama.cpp %.4f (%+.2f %%)' %
                    (name, got['ppl'], got['tokens'], p[key], 100 * (got['ppl'] / p[key] - 1)))


def accuracies(truth, said, labels):
    right = [t == s for t, s in zip(truth, said)]
    balanced = [sum(r for r, t in zip(right, truth) if t == l) / truth.count(l) for l in labels if l in truth]
    return sum(right) / len(right), sum(balanced) / len(balanced)


def check_reviews(model, ref, tsv, kv):
    texts = {}
    for line in open(tsv, encoding='utf-8', newline='\n'):
        cells = line.rstrip('\n').split('\t')
        texts[cells[0]] = cells[2].replace('\\\\', '\\')
    labels = ref['labels']
    question = {'instruction': ref['instruction'], 'examples': ref['examples'], 'labels': labels, 'form': 'plain'}
    rows = ref['rows']
    inputs = [dict(question, input=x) for x in ref['calibration']['inputs']] + [dict(question, input=texts[r['id']]) for r in rows]
    got = [g['scores'] for g in lines_through([LLM, 'score', model, '--kv', kv], inputs)]
    n = len(ref['calibration']['inputs'])
    mean = [sum(g[k] for g in got[:n]) / n for k in range(len(labels))]
    got = got[n:]
    near = sum(all(abs(a - b) <= 0.3 for a, b in zip(g, r['scores'])) for g, r in zip(got, rows))
    differences = sorted(max(abs(a - b) for a, b in zip(g, r['scores'])) for g, r in zip(got, rows))
    verdict(near >= 0.95 * len(rows), 'label scores within 0.3 for %d of %d rows; median difference %.3f, largest %.3f' %
            (near, len(rows), differences[len(rows) // 2], differences[-1]))
    print('      calibration means %s, reference %s' % ([round(m, 4) for m in mean], ref['calibration']['mean']))
    truth = [r['label'] for r in rows]
    for means, suffix in (([0] * len(labels), ''), (mean, '_calibrated')):
        said = [labels[max(range(len(labels)), key=lambda k: g[k] - means[k])] for g in got]
        for value, key in zip(accuracies(truth, said, labels), ('accuracy', 'balanced_accuracy')):
            verdict(abs(value - ref[key + suffix]) <= 0.01, '%s %.4f, reference %.4f' % (key + suffix, value, ref[key + suffix]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('model')
    parser.add_argument('reference')
    parser.add_argument('rows', nargs='?')
    parser.add_argument('--reviews', action='store_true')
    parser.add_argument('--kv', default='f32')
    a = parser.parse_args()
    ref = json.load(open(a.reference, encoding='utf-8'))
    if a.reviews:
        check_reviews(a.model, ref, a.rows, a.kv)
    else:
        check_tokens(a.model, ref)
        check_chats(a.model, ref)
        check_greedy(a.model, ref, check_logits(a.model, ref, a.kv))
        check_perplexity(a.model, ref)
    print('%d failed' % len(failures))
    sys.exit(1 if failures else 0)


main()
