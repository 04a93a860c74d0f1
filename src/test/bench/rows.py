"""Rows per second of ordinary statements, beside what a user would write without pg_llm. `make bench-rows` starts the server.

Side by side on the same rows: the statement; the statement with batching off (fewer rows, it is slow); a PL/Python function over
llama-cpp-python; llama.cpp's server with 8 slots, prompt cache and grammar, driven by 8 clients. Rows are made up here: reviews of
about 30 tokens, all different. Environment: PSQL (a command), PG_MODEL (path of SmolLM2 for the server).
"""
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import time
import urllib.request

from common import Clock, Failed, PEER, Row, SMOLLM, say

ROWS = int(os.environ.get('BENCH_ROWS') or 2000)
PORT = 18437
LABELS = ['positive', 'negative', 'neutral']
EXAMPLES = [('I have used this camera every day for a month now and I could not be happier with the pictures, the battery and the '
             'way it fits in the hand.', 'positive'),
            ('The zipper broke after two days, the colour is not what the pictures show, and nobody at the shop answers my letters.',
             'negative')]
THINGS = 'camera phone kettle backpack keyboard lamp radio tent printer headset blender watch router chair bicycle heater'.split()
OPINIONS = ['works exactly as I had hoped', 'stopped working after a short time', 'is all right for what it costs',
            'is the best that I have owned so far', 'feels cheap and makes strange noises', 'does what it says and no more',
            'arrived with a broken part in the box', 'has made every day a little easier']
DETAILS = ['the manual is short but clear', 'the battery hardly lasts an afternoon', 'my sister has bought the same one',
           'the shop sent it within two days', 'the cable could have been longer', 'I would buy it again at once',
           'I have asked for my money back', 'the colour is nearly that of the picture', 'it is heavier than I thought',
           'even my father can use it', 'it needs new parts every few weeks', 'it stands on my desk now',
           'nobody could tell me how to clean it', 'the light is too bright at night', 'setting it up took five minutes',
           'it came in a very large box']
# what SmolLM2's template makes of a text
CHAT = ('<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n'
        '<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n')
SCHEMA = {'type': 'object', 'properties': {'item': {'type': 'string', 'maxLength': 20},
                                           'mood': {'enum': LABELS}}, 'required': ['item', 'mood']}


def review(i):
    a, b, c = THINGS[i % 16], OPINIONS[i // 16 % 8], DETAILS[i // 128 % 16]
    return 'Order %d: this %s %s, and I should add that %s.' % (10000 + i, a, b, c)


def instruction():
    return 'Classify each text as one of: %s.' % ', '.join(LABELS)


def plain_prompt(head, examples, text):
    """the form in which pg_llm asks small models"""
    shots = ''.join('Text: %s\nLabel: %s\n\n' % e for e in examples)
    return '%s\n\n%sText: %s\nLabel:' % (head, shots, text)


def shares_of(clock):
    """stolen time; what others used is not known, as the servers that are measured are no children of ours"""
    return clock.shares()[0], None


class Database:
    def __init__(self):
        self.command = shlex.split(os.environ['PSQL']) + ['-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1']

    def run(self, script, database='bench'):
        result = subprocess.run(self.command + ['-d', database], input=script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if result.returncode != 0:
            raise Failed(result.stderr.strip()[-600:])
        return result.stdout

    def seconds(self, statement, setup=''):
        """of one statement in a new session whose model is open"""
        out = self.run("%s\nSELECT llm_generate('x', max_tokens => 1);\n\\timing on\n%s;\n" % (setup, statement))
        return float(re.findall(r'Time: ([\d.]+) ms', out)[-1]) / 1000

    def make(self):
        self.run('DROP DATABASE IF EXISTS bench;\nCREATE DATABASE bench;\n', 'postgres')
        values = ',\n'.join("(%d, '%s')" % (i, review(i)) for i in range(2048))
        self.run("CREATE EXTENSION pg_llm;\nSELECT llm_create_model('bench', '%s');\nALTER DATABASE bench SET pg_llm.default_model = "
                 "'bench';\nCREATE TABLE reviews (id int, body text);\nINSERT INTO reviews VALUES %s;\nANALYZE reviews;\n" %
                 (os.environ['PG_MODEL'], values))


class Server:
    """llama.cpp's server with 8 slots"""

    def __init__(self, threads):
        self.log = open('build/bench/server.log', 'w')
        self.process = subprocess.Popen([PEER + 'llama-server', '-m', SMOLLM, '-t', str(threads), '-np', '8', '-c', '8192', '--port',
                                         str(PORT), '--host', '127.0.0.1'], stdout=self.log, stderr=self.log)
        for _ in range(600):
            try:
                urllib.request.urlopen('http://127.0.0.1:%d/health' % PORT, timeout=1)
                return
            except OSError:
                time.sleep(0.1)
        self.stop()
        raise Failed('llama-server did not start; see build/bench/server.log')

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()

    @staticmethod
    def ask(body):
        request = urllib.request.Request('http://127.0.0.1:%d/completion' % PORT, json.dumps(dict(
            body, temperature=0, cache_prompt=True)).encode(), {'Content-Type': 'application/json'})
        return json.load(urllib.request.urlopen(request, timeout=600))['content']

    def seconds(self, bodies):
        self.ask(bodies[0])
        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(8) as clients:
            list(clients.map(self.ask, bodies))
        return time.monotonic() - start


PLPYTHON = """
CREATE EXTENSION IF NOT EXISTS plpython3u;
CREATE OR REPLACE FUNCTION peer_complete(prompt text, grammar text, n int) RETURNS text LANGUAGE plpython3u AS $py$
if 'llm' not in GD:
    import os, sys
    sys.path[:0] = ['%(packages)s', '%(source)s']
    os.environ['LLAMA_CPP_LIB_PATH'] = '%(libraries)s'
    import llama_cpp
    GD['module'] = llama_cpp
    GD['llm'] = llama_cpp.Llama('%(model)s', n_ctx=2048, n_threads=%(threads)d, n_threads_batch=%(threads)d, verbose=False)
    GD['grammars'] = {}
g = None
if grammar:
    g = GD['grammars'].setdefault(grammar, None) or GD['module'].LlamaGrammar.from_string(grammar, verbose=False)
    GD['grammars'][grammar] = g
return GD['llm'].create_completion(prompt, max_tokens=n, temperature=0, grammar=g)['choices'][0]['text']
$py$;
"""


def make_plpython(db, threads):
    import sysconfig
    db.run(PLPYTHON % {'packages': sysconfig.get_paths()['purelib'], 'source': os.path.realpath('build/peer-source'),
                       'libraries': os.path.realpath('build/peer/bin'), 'model': os.path.realpath(SMOLLM), 'threads': threads})


def quote(text):
    return "'" + text.replace("'", "''") + "'"


def choice_grammar(words):
    return 'root ::= ' + ' | '.join('" %s"' % w for w in words)


class Work:
    """A statement and its equivalents. statement has a %s for the number of rows."""

    def __init__(self, name, rows, statement, prompt, n_tokens, grammar=None, schema=None, want=None, values=None):
        self.values = values  # a statement that returns the answers, where they can be compared
        self.name, self.rows, self.statement, self.prompt, self.n_tokens = name, rows, statement, prompt, n_tokens
        self.grammar, self.schema = grammar, schema
        self.n_asked = 0
        self.row = Row('rows', name, 'SmolLM2 Q4_1', unit='rows/s', want_ratio=want)

    def server(self, server, n):
        more = {'grammar': self.grammar} if self.grammar else {'json_schema': self.schema} if self.schema else {}
        # texts that it has not seen: it keeps whole prompts of earlier rounds in memory
        first, self.n_asked = 4096 + self.n_asked, self.n_asked + n
        return n / server.seconds([dict(prompt=self.prompt(review(i)), n_predict=self.n_tokens, **more) for i in range(first, first + n)])

    def call_of_peer(self):
        before, after = self.prompt('\0').split('\0')
        return 'peer_complete(%s || body || %s, %s, %d)' % (quote(before), quote(after),
                                                            quote(self.grammar) if self.grammar else 'NULL', self.n_tokens)

    def check_prompts(self, db, n):
        """the others are given the very tokens that the statement's prompts have"""
        plan = db.run("SELECT llm_generate('x', max_tokens => 1); EXPLAIN (ANALYZE, COSTS OFF) " + self.statement % n)
        ours = sum(int(t) for t in re.findall(r'Prompt Tokens: (\d+)', plan))
        prompts = ', '.join(quote(self.prompt(review(i))) for i in range(n))
        theirs = int(db.run("SELECT sum(llm_count_tokens(p, parse_special => true)) FROM unnest(ARRAY[%s]) p" % prompts))
        if ours != theirs:
            raise Failed('%s: prompts of %d rows have %d tokens here and %d there' % (self.name, n, ours, theirs))

    def say_answers(self, db, server, has_plpython, n):
        """how often the programs choose the same; ours compares probabilities of whole labels, the others go token by token"""
        ours = db.run(self.values % n).split('\n')[:n]
        answers = {"llama.cpp's server": [server.ask(dict(prompt=self.prompt(review(i)), n_predict=self.n_tokens, grammar=self.grammar))
                                          for i in range(n)]}
        if has_plpython:
            answers['PL/Python'] = db.run('SELECT %s FROM reviews WHERE id < %d ORDER BY id' % (self.call_of_peer(), n)).split('\n')[:n]
        for name, given in answers.items():
            alike = sum(a == b.strip() for a, b in zip(ours, given))
            say('  %s: the same answer as %s for %d of %d rows' % (self.name, name, alike, n))

    def plpython(self, db, n):
        call = self.call_of_peer()
        warm = "SELECT %s FROM reviews WHERE id = 2047;" % call
        return n / db.seconds('SELECT count(%s) FROM reviews WHERE id < %d' % (call, n), warm)

    def round(self, db, server, has_plpython):
        clock = Clock()
        few = max(self.rows // 8, 8)
        ours = self.rows / db.seconds(self.statement % self.rows)
        peers = {'(batching off)': few / db.seconds(self.statement % few, 'SET pg_llm.batching = off;'),
                 '(batching, prefix cache off)': few / db.seconds(self.statement % few, 'SET pg_llm.batching = off; SET pg_llm.prefix_cache = off;')}
        peers["llama.cpp's server"] = self.server(server, few)
        if has_plpython and not self.schema:
            peers['PL/Python'] = self.plpython(db, few)
        self.row.add_round(ours, peers, shares=shares_of(clock))
        say('  %-12s %.1f rows/s, %s' % (self.name, ours, {k: round(v, 2) for k, v in peers.items()}))


def works():
    shots = json.dumps([{'input': t, 'label': label} for t, label in EXAMPLES])
    yes_shots = json.dumps([{'input': t, 'label': label == 'positive'} for t, label in EXAMPLES])
    head = 'Is this true of each text? Answer yes or no.\nCondition: the customer is happy'
    yes_no = [(t, 'yes' if label == 'positive' else 'no') for t, label in EXAMPLES]
    chat = lambda text: CHAT % text
    yield Work('classify', ROWS, "SELECT count(llm_classify(body, '{%s}', examples => %s)) FROM reviews WHERE id < %%d" %
               (','.join(LABELS), quote(shots)), lambda t: plain_prompt(instruction(), EXAMPLES, t), 6, choice_grammar(LABELS), want=4,
               values="SELECT llm_classify(body, '{%s}', examples => %s) FROM reviews WHERE id < %%d ORDER BY id" % (','.join(LABELS), quote(shots)))
    yield Work('filter', ROWS, "SELECT count(*) FROM reviews WHERE id < %%d AND llm_filter(body, 'the customer is happy', examples => %s)" %
               quote(yes_shots), lambda t: plain_prompt(head, yes_no, t), 3, choice_grammar(['yes', 'no']), want=4,
               values="SELECT CASE WHEN llm_filter(body, 'the customer is happy', examples => %s) THEN 'yes' ELSE 'no' END FROM reviews "
                      "WHERE id < %%d ORDER BY id" % quote(yes_shots))
    yield Work('generate 32', ROWS // 8, "SELECT count(llm_generate('Answer this customer: ' || body, max_tokens => 32)) FROM reviews "
               'WHERE id < %d', lambda t: chat('Answer this customer: ' + t), 32, want=3)
    yield Work('extract', ROWS // 8, "SELECT count(llm_generate('Which item is this about, and in what mood? ' || body, max_tokens => 48, "
               "schema => %s)) FROM reviews WHERE id < %%d" % quote(json.dumps(SCHEMA)),
               lambda t: chat('Which item is this about, and in what mood? ' + t), 48, schema=SCHEMA, want=3)


def overheads(db, threads):
    """of SQL: cost of the hook for a statement without our functions, start of a session, share of tokenizing"""
    row = Row('rows', 'first token in a new session, warm', 'SmolLM2 Q4_1', unit='ms')
    peer = peer_start(threads)
    db.run("SELECT llm_generate('x', max_tokens => 1);")
    for _ in range(7):
        clock = Clock()
        out = db.run("\\timing on\nSELECT llm_generate('Hello', max_tokens => 1);\n")
        ms = float(re.findall(r'Time: ([\d.]+) ms', out)[-1])
        row.add_round(ms, peer(), shares=shares_of(clock))
        row.data['note'] = 'new session: under 150 ms is wanted; slowest %.0f ms' % max(row.data['ours'])
    return [row.data, text_row(db), hook_row(db)]


def peer_start(threads):
    """the same of llama.cpp, which maps the file: a function that gives {name: ms}, or nothing where it does not run"""
    import load
    try:
        load.peer_ms(SMOLLM, threads)
    except Failed as error:
        say('  no start of llama.cpp: %s' % error)
        return dict
    return lambda: {'llama.cpp': load.peer_ms(SMOLLM, threads)}


def text_row(db):
    """tokenizing the whole prompts of classifications, as a share of the classifications; plain prompts have no template"""
    row = Row('rows', 'tokenizing, of a classification', 'SmolLM2 Q4_1', unit='%', lower=True)
    before, after = plain_prompt(instruction(), EXAMPLES, '\0').split('\0')
    shots = json.dumps([{'input': t, 'label': label} for t, label in EXAMPLES])
    for _ in range(3):
        clock = Clock()
        whole = db.seconds("SELECT count(llm_classify(body, '{%s}', examples => %s)) FROM reviews WHERE id < 100" % (','.join(LABELS), quote(shots)))
        some = db.seconds('SELECT sum(llm_count_tokens(%s || body || %s)) FROM reviews WHERE id < 2000' % (quote(before), quote(after))) / 20
        row.add_round(100 * some / whole, {}, shares=shares_of(clock))
    row.data['note'] = 'below 2 % is wanted'
    return row.data


def hook_row(db):
    """a short statement that calls nothing of ours: library loaded and not, alternating; processor time decides, so 1 client"""
    row = Row('rows', 'planning and running a short SELECT, library loaded', 'none', unit='statements/s')
    script = ("DO $$ BEGIN FOR i IN 1..40000 LOOP EXECUTE 'SELECT count(*) FROM (VALUES (1), (2)) v(a) WHERE a < ' || i; END LOOP; END $$")
    for _ in range(5):
        clock = Clock()
        loaded = 40000 / timed(db, "LOAD 'pg_llm'", script)
        without = 40000 / timed(db, 'SELECT 1', script)
        row.add_round(loaded, {'without': without}, shares=shares_of(clock))
    row.data['note'] = 'short SELECT: the ratio says something only if the library is not preloaded (as here, by default)'
    return row.data


def timed(db, setup, statement):
    out = db.run('%s;\n\\timing on\n%s;\n' % (setup, statement))
    return float(re.findall(r'Time: ([\d.]+) ms', out)[-1]) / 1000


def measure(threads, rounds, more):
    db = Database()
    db.make()
    has_plpython = True
    try:
        make_plpython(db, threads)
        db.run("SELECT peer_complete('Hello', NULL, 1);")
    except Failed as error:
        has_plpython = False
        say('  no PL/Python: %s' % error)
    todo = list(works())
    db.run("SET pg_llm.threads = %d; SELECT llm_generate('x', max_tokens => 1);" % threads)
    done = []
    server = Server(threads)
    try:
        for work in todo:
            work.check_prompts(db, 8)
            if work.values:
                work.say_answers(db, server, has_plpython, 32)
        for i in range(rounds):
            say('rows: round %d of %d' % (i + 1, rounds))
            for work in todo:
                if i == 0 or more():
                    work.round(db, server, has_plpython)
            done = [w.row.data for w in todo if w.row.data['ours']]
            yield done
            if not more():
                break
    finally:
        server.stop()
    yield done + overheads(db, threads)
