"""Constrained decoding: what token masks cost beside llguidance, on the same schema, vocabulary and tokens, and how fast answers with a
shape are beside free ones.

Processor time of one thread. llguidance is called through its Python module, whose call costs about a microsecond; the same values
are written token by token in both. BENCH_VOCAB: a GGUF file with a byte-level vocabulary (SmolLM2 if it is not given). Decoding: processor
time of build/llm with one thread, so that other processes count little; without guesses.
"""
import json
import os
import resource

from common import Clock, Failed, LLM, PYTHON, Row, SMOLLM, run, say

TOKENS = 'build/bench/mask-tokens.jsonl'
ANSWERS = 4
PEER = r"""
import json, sys, time
import gguf, llguidance, llguidance.numpy
path, tokens = sys.argv[1:]
fields = gguf.GGUFReader(path).fields
names = fields['tokenizer.ggml.tokens'].contents()
types = fields['tokenizer.ggml.token_type'].contents()
eos = int(fields['tokenizer.ggml.eos_token_id'].contents())
shown = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
byte_of = {chr(b): b for b in shown}
byte_of.update((chr(256 + i), b) for i, b in enumerate(b for b in range(256) if b not in shown))
class Vocabulary:
    eos_token_id, bos_token_id = eos, None
    special_token_ids = [i for i, t in enumerate(types) if t == 3]
    tokens = [n.encode() if t == 3 else bytes(byte_of[c] for c in n) for n, t in zip(names, types)]
    def __call__(self, text):
        return [self.tokens.index(bytes([b])) for b in (text if isinstance(text, bytes) else text.encode())]
tokenizer = llguidance.LLTokenizer(llguidance.TokenizerWrapper(Vocabulary()))
lines = [json.loads(line) for line in open(tokens)]
schema = json.dumps(lines[0])
began = time.thread_time()
grammar = llguidance.LLMatcher.grammar_from_json_schema(schema, overrides={'whitespace_flexible': False, 'item_separator': ', ', 'key_separator': ': '})
llguidance.LLMatcher(tokenizer, grammar)
compiled = time.thread_time() - began
bits = llguidance.numpy.allocate_token_bitmask(1, tokenizer.vocab_size)
costs, refused = [], 0
for ids in lines[1:]:
    matcher = llguidance.LLMatcher(tokenizer, grammar)
    for i in ids:
        began = time.thread_time_ns()
        llguidance.numpy.fill_next_token_bitmask(matcher, bits, 0)
        costs.append((time.thread_time_ns() - began) / 1000)
        if not matcher.consume_token(i):
            refused += 1
            break
costs.sort()
print(json.dumps({'median': costs[len(costs) // 2], 'p99': costs[len(costs) * 99 // 100], 'worst': costs[-1], 'compile_ms': compiled * 1000,
                  'masks': len(costs), 'refused': refused}))
"""
SCHEMAS = [('a long string', {'type': 'object', 'properties': {'text': {'type': 'string', 'minLength': 2000}}, 'required': ['text']}),
           ('records', {'type': 'object', 'properties': {
               'title': {'type': 'string', 'minLength': 20, 'maxLength': 60}, 'kind': {'enum': ['invoice', 'order', 'complaint', 'praise']},
               'date': {'type': 'string', 'format': 'date'}, 'total': {'type': 'number', 'minimum': 0},
               'items': {'type': 'array', 'minItems': 4, 'items': {'type': 'object', 'properties': {
                   'name': {'type': 'string', 'minLength': 8, 'maxLength': 30}, 'count': {'type': 'integer', 'minimum': 1, 'maximum': 99}},
                   'required': ['name', 'count']}}}, 'required': ['title', 'kind', 'date', 'total', 'items']})]


def mask_rows(vocabulary):
    ours = json.loads(run('build/mask_bench', vocabulary, '50', TOKENS).splitlines()[-1])
    theirs = json.loads(run(PYTHON, '-c', PEER, vocabulary, TOKENS).splitlines()[-1])
    name = 'vocabulary of %d' % ours['vocabulary']
    if theirs['refused']:
        say('  llguidance refused %d of the values' % theirs['refused'])
    for key, work, limit in (('median', 'mask, median', 20), ('p99', 'mask, 99th percentile', 300), ('worst', 'mask, first sight of a state at most', 2000),
                             ('compile_ms', 'compiling the schema', None)):
        row = Row('masks', work, name, unit='ms' if key == 'compile_ms' else 'µs', threads=1, lower=True,
                  note='%s: at most %d µs is wanted' % (work.removesuffix(' at most'), limit) if limit else '')
        row.add_round(ours[key], {'llguidance': theirs[key]})
        say('  %-38s %.3g, llguidance %.3g' % (work, ours[key], theirs[key]))
        yield row.data


def seconds(schema, tokens):
    """(processor seconds, tokens) of answers; the same with one answer is taken off, so that opening the model does not count"""
    line = json.dumps({'text': 'Write about the sea.', **({'schema': schema} if schema else {})}) + '\n'
    taken = []
    for n in (1, 1 + ANSWERS):
        began = resource.getrusage(resource.RUSAGE_CHILDREN)
        out = run(LLM, 'generate', SMOLLM, '-n', str(tokens), '--threads', '1', '--ctx', '1024', *([] if schema else ['--ignore-eos']), stdin=line * n)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append((ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime, sum(len(json.loads(x)['token_ids']) for x in out.splitlines())))
    return taken[1][0] - taken[0][0], taken[1][1] - taken[0][1]


def rate(schema):
    took, tokens = seconds(schema, 160)
    return tokens / took


def add_speeds(rows):
    for name, schema in SCHEMAS:
        clock = Clock()
        rows[name].add_round(rate(schema), {'free text': rate(None)}, shares=clock.shares())
        say('  %-14s %.1f tokens/s, free text %.1f' % (name, rows[name].data['ours'][-1], rows[name].data['peers']['free text'][-1]))


def measure(threads, rounds, more):
    rows = []
    try:
        rows += mask_rows(os.environ.get('BENCH_VOCAB') or SMOLLM)
    except Failed as error:
        say('  left out: ' + str(error))
    yield rows
    speeds = {name: Row('masks', 'decode 160 with a schema: ' + name, 'SmolLM2 Q4_1', threads=1, want_ratio=0.95) for name, _ in SCHEMAS}
    for _ in range(rounds):
        if not more():
            break
        add_speeds(speeds)
        yield rows + [row.data for row in speeds.values()]
