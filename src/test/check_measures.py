#!/usr/bin/env python3
"""check_measures.py: all verdicts of gsm8k-extract.jsonl and drop-metric.jsonl through SQL.

usage: check_measures.py FOLDER [psql arguments, for a database with the extension]
Says how many verdicts are equal; ends with 1 if one is not.
"""
import json
import subprocess
import sys


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def cases(path):
    with open(path, encoding='utf-8', newline='\n') as f:
        return [json.loads(line) for line in f]


def statements(folder):
    rules = (('gsm8k_strict', 'strict_match'), ('gsm8k_flexible', 'flexible_match'), ('gsm8k_cot', 'cot_strict_match'))
    for c in cases(folder + '/gsm8k-extract.jsonl'):
        for rule, verdict in rules:
            yield (f"SELECT {quoted(c['id'] + ' ' + rule)}, "
                   f"llm_exact_match({quoted(c['output'])}, {quoted(c['gold'])}, '{rule}') = {c[verdict]};")
    for c in cases(folder + '/drop-metric.jsonl'):
        spans = c['prediction'] if isinstance(c['prediction'], list) else [c['prediction']]
        yield (f"SELECT {quoted(c['id'])}, em = {c['em']} AND f1 = {c['f1']} FROM "
               f"llm_drop_score(ARRAY[{', '.join(map(quoted, spans))}]::text[], {quoted(json.dumps(c['answers']))});")


def main():
    asked = list(statements(sys.argv[1]))
    out = subprocess.run(['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', *sys.argv[2:]], input='\n'.join(asked), encoding='utf-8',
                         stdout=subprocess.PIPE, check=True).stdout.splitlines()
    wrong = [line for line in out if not line.endswith('|t')]
    print('\n'.join(wrong + [f'{len(out) - len(wrong)} of {len(asked)} verdicts equal']))
    sys.exit(1 if wrong or len(out) != len(asked) else 0)


main()
