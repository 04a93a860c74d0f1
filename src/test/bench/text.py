"""Tokenizers on one thread beside those of Hugging Face, and decoding with guesses from the prompt.

Tokenizing: processor time over BENCH_TEXT_MB (2) of the documentation and sources of this project, cut into rows of 2000 characters; a run with one row
is taken off, so that opening the model does not count. Ours reads and writes JSON on the way. Ids are compared. SmolLM2's tokenizer is made from the
model's own vocabulary (check_tokenizers.py), MiniLM's is its tokenizer.json.
"""
import glob
import json
import os
import resource

from common import Clock, Failed, LLM, PYTHON, Row, SMOLLM, run, say
from embed import fetch

MEGABYTES = float(os.environ.get('BENCH_TEXT_MB') or 2)
PEER = r"""
import json, sys, time
sys.argv, (path,) = sys.argv[:1], sys.argv[1:]
if path.endswith('.gguf'):
    sys.path.insert(0, 'src/test')
    import check_tokenizers
    encode = check_tokenizers.reference(path)[0].ids
else:
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(path + '/tokenizer.json')
    tokenizer.no_padding()
    tokenizer.no_truncation()
    encode = lambda texts: [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
texts = json.load(sys.stdin)
encode(texts[:1])
began = time.process_time()
ids = encode(texts)
print(json.dumps({'seconds': time.process_time() - began, 'ids': ids}))
"""


def rows_of_text():
    paths = sorted(glob.glob('docs/*.md') + glob.glob('src/*/*/*.c') + glob.glob('src/*/*.c'))
    text = ''.join(open(p, encoding='utf-8').read() for p in paths)
    text = (text * (1 + int(MEGABYTES * 1e6 / len(text))))[:int(MEGABYTES * 1e6)]
    return [text[i:i + 2000] for i in range(0, len(text), 2000)]


def ours(model, texts):
    """(processor seconds, ids); the library takes a text like [CLS] for the token if it knows that, as we do by an option"""
    special = [] if model.endswith('.gguf') else ['--special']

    def timed(some):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        out = run(LLM, 'tokenize', model, *special, stdin=''.join(json.dumps(t) + '\n' for t in some))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, out
    few, _ = timed(texts[:1])
    full, out = timed(texts)
    return full - few, [json.loads(x) for x in out.splitlines()]


def tokenize_round(row, model, texts):
    clock = Clock()
    seconds, ids = ours(model, texts)
    peer = json.loads(run(PYTHON, '-c', PEER, model, stdin=json.dumps(texts), env={'RAYON_NUM_THREADS': '1', 'TOKENIZERS_PARALLELISM': 'false'}))
    size = sum(len(t.encode()) for t in texts) / 1e6
    row.add_round(size / seconds, {'tokenizers': size / peer['seconds']}, shares=clock.shares())
    row.data['note'] = 'tokenize: the ids of all rows are those of the library' if ids == peer['ids'] else 'tokenize: some ids differ from the library'
    say('  tokenize %-14s %.2f MB/s, tokenizers %.2f; %s' % (row.data['model'], size / seconds, size / peer['seconds'], row.data['note']))


def copy_round(row, threads):
    clock = Clock()
    out = json.loads(run(LLM, 'bench', SMOLLM, '--threads', str(threads), '--only', 'copy', '--prompt', '256', '--generate', '100', '--repeat', '1', '--json'))
    row.add_round(out['copy_tps'], {'without guesses': out['copy_without_guesses_tps']}, shares=clock.shares())
    row.data['note'] = 'copy: %d of %d guesses were right in the last round; the tokens are the same' % (out['right_guesses'], out['guesses'])
    say('  copy %.1f tokens/s, without guesses %.1f; %s' % (out['copy_tps'], out['copy_without_guesses_tps'], row.data['note']))


def measure(threads, rounds, more):
    texts = rows_of_text()
    copy = Row('text', 'copying a text of the prompt', 'SmolLM2 Q4_1', threads=threads)
    todo = [(Row('text', 'tokenize', name, unit='MB/s', threads=1), lambda row, m=model: tokenize_round(row, m, texts))
            for name, model in (('SmolLM2', SMOLLM), ('MiniLM', fetch()))] + [(copy, lambda row: copy_round(row, threads))]
    done = [row for row, _ in todo]
    for i in range(rounds):
        for row, work in list(todo):
            if i > 0 and not more():
                return
            try:
                work(row)
            except Failed as error:
                row.data['note'] = str(error)[-300:]
                say('  left out: %s: %s' % (row.data['work'], error))
                todo = [t for t in todo if t[0] is not row]
            yield [r.data for r in done if r.data['ours']]
