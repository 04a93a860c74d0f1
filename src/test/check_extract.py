#!/usr/bin/env python3
"""llm_extract over random schemas: all answers whole and valid by python-jsonschema, however short the limit of tokens is.

usage: PSQL="psql -h … -d …" check_extract.py MODEL [MODEL …] [--values 1000] [--tokens 80]
MODEL: names of models in that database; the extension is there. Needs: pip install jsonschema rfc3986-validator
"""
import argparse
import json
import os
import random
import shlex
import subprocess
import sys
from decimal import Decimal

import jsonschema

from check_constrained import schema

WORDS = ["Acme", "Ann", "7", "paid", "12.50", "EUR", "on", "2026-03-05", "nothing", "red", "ü", "the", "order", "yes"]


def statement(model, i, s, tokens, r):
    q = lambda text: "'" + text.replace("'", "''") + "'"
    text = " ".join(r.choice(WORDS) for _ in range(8))
    options = json.dumps({"temperature": 1.5, "seed": i} if i % 2 else {})
    value = f"llm_extract({q(text)}, {q(json.dumps(s))}, {q(model)}, max_tokens => {tokens}, options => {q(options)})"
    return f"SELECT json_build_object('i', {i}, 'value', v) FROM {value} v;"


def check(model, args):
    r = random.Random(args.seed)
    schemas = [schema(r, 2) for _ in range(args.values)]
    sql = "\n".join(statement(model, i, s, args.tokens, r) for i, s in enumerate(schemas))
    run = subprocess.run(shlex.split(os.environ.get("PSQL", "psql")) + ["-XAtq"], input=sql.encode(), capture_output=True, check=False)
    answers = [json.loads(line, parse_float=Decimal) for line in run.stdout.decode().split("\n") if line]
    errors = [line for line in run.stderr.decode().split("\n") if line.startswith("ERROR")]
    # the least answer of a schema may take more tokens than there are
    refused = sum("shortest text" in e for e in errors)
    bad = len(errors) - refused
    for e in [e for e in errors if "shortest text" not in e][:5]:
        print(e)
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    for a in answers:
        own = json.loads(json.dumps(schemas[a["i"]]), parse_float=Decimal)
        try:
            jsonschema.Draft202012Validator(own, format_checker=checker).validate(a["value"])
        except jsonschema.ValidationError as e:
            bad += 1
            print("not valid:", json.dumps(own, default=str), a["value"], e.message)
    print(f"{model}: {len(answers)} of {args.values} values, {bad} not valid or failed, {refused} refused as too short a limit")
    return bad == 0 and len(answers) + refused == args.values


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("models", nargs="+")
    p.add_argument("--values", type=int, default=1000)
    p.add_argument("--tokens", type=int, default=80)
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    good = [check(model, args) for model in args.models]
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
