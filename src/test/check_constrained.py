#!/usr/bin/env python3
"""Values generated for random schemas are valid by python-jsonschema and end within the limit of tokens.

usage: check_constrained.py MODEL.gguf [--values 2000] [--tokens 60] [--tool build/llm]
Needs: pip install jsonschema rfc3986-validator (without that every text is a uri to it)
"""
import argparse
import json
import random
import subprocess
import sys
from decimal import Decimal

import jsonschema

FORMATS = ["date", "time", "date-time", "uuid", "email", "ipv4", "ipv6", "uri"]
PATTERNS = ["^[a-z]{2,6}$", "ab+", "^\\d{3}-\\d{4}$", "^(yes|no|maybe)$", "^[A-Za-z ]{3}$", "[a-z]+#[a-z]+"]
NAMES = ["id", "name", "x", "größe", "a b", "tags", "q\"uote", "n1", "n2"]


def scalar(r):
    kind = r.randrange(8)
    if kind == 0:
        return {"type": "integer", "minimum": r.randrange(-50, 5), "maximum": r.randrange(5, 3000)}
    if kind == 1:
        return {"type": "number", "exclusiveMinimum": r.choice([-1.5, 0, 2.25]), "maximum": r.choice([3, 10.5, 1e6])}
    if kind == 2:
        low = r.randrange(0, 5)
        return {"type": "string", "minLength": low, "maxLength": low + r.randrange(0, 12)}
    if kind == 3:
        return {"enum": r.sample(["red", "green", "blau", 1, 2.5, None, True, [1, "a"], {"k": "v"}], r.randrange(1, 5))}
    if kind == 4:
        return {"type": r.choice(["boolean", "null", ["integer", "null"], ["string", "boolean"]])}
    if kind == 5:
        return {"type": "string", "pattern": r.choice(PATTERNS)}
    if kind == 6:
        return {"type": "string", "format": r.choice(FORMATS)}
    return {"type": "number", "multipleOf": r.choice([0.01, 0.5, 3, 25]), "minimum": 0, "maximum": 500}


def schema(r, depth):
    if depth == 0 or r.random() < 0.3:
        return scalar(r)
    kind = r.randrange(6)
    if kind == 0:
        low = r.randrange(0, 2)
        return {"type": "array", "items": schema(r, depth - 1), "minItems": low, "maxItems": low + r.randrange(0, 3)}
    if kind == 1:
        return {"type": "array", "prefixItems": [schema(r, depth - 1) for _ in range(r.randrange(1, 3))], "items": False, "minItems": 1}
    if kind == 2:
        key = r.choice(["anyOf", "oneOf"])
        return {key: [schema(r, depth - 1) for _ in range(2)] + [{"const": "other"}]}
    if kind == 3:
        return {"type": "array", "items": {"enum": ["a", "b", "c", 4]}, "uniqueItems": True, "minItems": r.randrange(0, 3)}
    names = r.sample(NAMES, r.randrange(1, 5))
    s = {"type": "object", "properties": {n: schema(r, depth - 1) for n in names}, "required": r.sample(names, r.randrange(0, len(names) + 1))}
    if kind == 5:
        s["additionalProperties"] = r.choice([False, {"type": "integer"}])
        s["maxProperties"] = len(names) + 2
    if r.random() < 0.2:
        s = {"allOf": [s, {"minProperties": min(1, len(s["properties"]))}]}
    return s


def free_keys(r):
    """objects whose keys nobody declared"""
    names = r.choice([{}, {"propertyNames": {"enum": ["a", "b", "ab", "abc"]}}, {"propertyNames": {"pattern": "^[a-c]{1,2}$"}},
                      {"propertyNames": {"maxLength": 1}}, {"patternProperties": {"^x": {"type": "null"}}}])
    low = r.randrange(0, 4)
    return dict({"type": "object", "additionalProperties": {"enum": [0, 1, "x"]}, "minProperties": low, "maxProperties": low + 3}, **names)


def no_key_twice(pairs):
    if len({k for k, _ in pairs}) != len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("model")
    p.add_argument("--values", type=int, default=2000)
    p.add_argument("--tokens", type=int, default=60)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--tool", default="build/llm")
    args = p.parse_args()
    r = random.Random(args.seed)
    schemas = [free_keys(r) if i % 8 == 7 else schema(r, 2) for i in range(args.values)]
    lines = []
    for i, s in enumerate(schemas):
        line = {"token_ids": [r.randrange(5, 200) for _ in range(8)], "schema": s}
        if i % 2:
            line.update(temperature=1.5, seed=i)
        lines.append(json.dumps(line))
    run = subprocess.run([args.tool, "generate", args.model, "-n", str(args.tokens)], input="\n".join(lines).encode() + b"\n",
                         stdout=subprocess.PIPE, check=False)
    answers = [json.loads(line) for line in run.stdout.decode().split("\n") if line]
    bad = refused = 0
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    for s, a in zip(schemas, answers):
        if "error" in a:
            refused += 1
            if "shortest text" not in a["error"]:
                print("error:", a["error"], json.dumps(s))
            continue
        try:
            value = json.loads(a["text"], parse_float=Decimal, object_pairs_hook=no_key_twice)
            own = json.loads(json.dumps(s), parse_float=Decimal)
            jsonschema.Draft202012Validator(own, format_checker=checker).validate(value)
            if len(a["token_ids"]) > args.tokens:
                raise ValueError("too many tokens")
        except (ValueError, jsonschema.ValidationError) as e:
            bad += 1
            print("not valid:", json.dumps(s), a["text"], str(e).split("\n")[0])
    print(f"{len(answers)} of {len(schemas)} values, {bad} not valid, {refused} refused")
    sys.exit(run.returncode != 0 or bad > 0 or len(answers) != len(schemas))


if __name__ == "__main__":
    main()
