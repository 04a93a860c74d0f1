#!/usr/bin/env python3
"""JSON Schema against the cases of the official suite: accepted exactly if valid, or the schema is refused by name.

usage: check_json_schema.py CASES.jsonl [--tool build/llm] [--verbose]
"""
import argparse
import json
import subprocess
import sys

MAX_REFUSED = 0.04


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("cases")
    p.add_argument("--tool", default="build/llm")
    p.add_argument("--verbose", action="store_true")
    args = p.parse_args()
    with open(args.cases, encoding="utf-8") as f:
        lines = [line for line in f.read().split("\n") if line]
    cases = [json.loads(line) for line in lines]
    out = subprocess.run([args.tool, "schema"], input="\n".join(lines).encode() + b"\n", stdout=subprocess.PIPE, check=True)
    answers = [json.loads(line) for line in out.stdout.decode().splitlines()]
    wrong = refused = 0
    for case, answer in zip(cases, answers, strict=True):
        if "refused" in answer:
            refused += 1
            if args.verbose:
                print(case["id"], "refused:", answer["refused"])
        elif answer["accepted"] != case["valid"]:
            wrong += 1
            print(case["id"], "accepted" if answer["accepted"] else "not accepted", json.dumps(case["schema"]), json.dumps(case["instance"]))
    print(f"{len(cases)} cases, {wrong} wrong, {refused} refused")
    sys.exit(wrong > 0 or refused > MAX_REFUSED * len(cases))


if __name__ == "__main__":
    main()
