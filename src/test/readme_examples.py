#!/usr/bin/env python3
"""Run the SQL examples of a Markdown file on the private server and compare their output.

Every ```sql block is run by psql in one session, in order, in a fresh database. A ```text block right after an sql block
is what psql must print for it (trailing blanks ignored). Usage: readme_examples.py FILE, with PSQL in the environment.
"""
import os
import re
import shlex
import subprocess
import sys


def blocks(path):
    """(kind, text, line number) of fenced blocks; kind '' ends a pairing of sql with text"""
    result = []
    fence = None
    with open(path, encoding='utf-8') as f:
        for number, line in enumerate(f, 1):
            if fence is None and line.startswith('```'):
                fence = (line[3:].strip(), [], number)
            elif fence is not None and line.startswith('```'):
                result.append((fence[0], ''.join(fence[1]), fence[2]))
                fence = None
            elif fence is not None:
                fence[1].append(line)
            elif line.strip():
                result.append(('', '', number))
    return result


def clean(text):
    return '\n'.join(line.rstrip() for line in text.strip('\n').split('\n')).strip()


def main():
    path = sys.argv[1]
    psql = shlex.split(os.environ['PSQL'])
    database = 'readme_examples'
    for command in ('DROP DATABASE IF EXISTS %s WITH (FORCE)' % database, 'CREATE DATABASE ' + database):
        subprocess.run(psql + ['-q', '-d', 'postgres', '-c', 'SET client_min_messages = warning', '-c', command], check=True)
    found = blocks(path)
    script = []
    expected = []
    for i, (kind, text, number) in enumerate(found):
        if kind != 'sql':
            continue
        script.append('\\echo @@@ %d\n%s\n' % (number, text))
        follows = found[i + 1] if i + 1 < len(found) else ('', '', 0)
        expected.append((number, text, follows[1] if follows[0] == 'text' else None))
    if not expected:
        sys.exit('no sql examples in ' + path)
    run = subprocess.run(psql + ['-d', database], input=''.join(script), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         encoding='utf-8')
    parts = re.split(r'^@@@ (\d+)$', run.stdout, flags=re.M)
    output = {int(parts[i]): parts[i + 1] for i in range(1, len(parts), 2)}
    bad = 0
    for number, text, want in expected:
        got = output.get(number)
        if got is None:
            print('line %d: not run' % number)
            bad += 1
        elif re.search(r'^(psql:.*)?ERROR:', got, flags=re.M):
            print('line %d: %s\n%s' % (number, text, got))
            bad += 1
        elif want is not None:
            lines = [l for l in clean(got).split('\n')
                     if not re.match(r'^(SET|CREATE [A-Z ]+|COPY \d+|UPDATE \d+|INSERT \d+ \d+|DROP [A-Z ]+|ALTER [A-Z ]+|GRANT)$', l)]
            if clean('\n'.join(lines)) != clean(want):
                print('line %d: %s\nprinted:\n%s\nexpected:\n%s' % (number, text, '\n'.join(lines), want))
                bad += 1
    print('%s: %d examples run, %d failed' % (path, len(expected), bad))
    sys.exit(1 if bad or run.returncode else 0)


main()
