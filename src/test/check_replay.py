#!/usr/bin/env python3
"""100 trails of llm_reason are verified by llm_replay in other processes, with other threads, CPU levels and batches; 100 changes of one
value each, every kind at least a few times, are found: those that a run shows by themselves with a new seal, the others by the seal.

usage: PSQL="psql -h … -d …" check_replay.py MODEL …    names of models in that database; the extension is there
"""
import json
import os
import random
import shlex
import subprocess
import sys

TRAILS = CHANGES = 100
QUESTIONS = ["How many apples are there?", "Größe und Gewicht: passt das? 你好 🙂", "When was the bridge built?", "Is it red or blue?",
             "What is 17 + 25?", "Who wrote the letter?"]
CONTEXTS = [None, "The old bridge was built on 2 May 1931, and painted red in 1950.", "Tom has 3 apples and buys 5 more. " * 12]
LEVELS = ["generic", "avx2", "avxvnni", "avx512", "avx512vnni"]
SHOWN_BY_RUN = ["version", "model", "prompt", "samples", "result"]
SEAL = """CREATE FUNCTION seal(trail jsonb) RETURNS jsonb LANGUAGE sql AS
$$ SELECT trail || jsonb_build_object('seal', encode(sha256(convert_to((trail - 'seal')::text, 'UTF8')), 'hex')) $$;
"""
RUNS = [{"pg_llm.threads": 1}, {"pg_llm.threads": 2, "pg_llm.batching": "off"}, {"pg_llm.batch_tokens": 16, "pg_llm.prefix_cache": "off"}]


def psql(sql, settings=None, check=True):
    """rows of a script in a session of its own"""
    head = "".join("SET %s = %s;\n" % (k, v if isinstance(v, int) else "'%s'" % v) for k, v in (settings or {}).items())
    run = subprocess.run(shlex.split(os.environ["PSQL"]) + ["-XAtq", "-v", "ON_ERROR_STOP=1"], input=(head + sql).encode(), capture_output=True)
    if check and run.returncode != 0:
        raise SystemExit(run.stderr.decode())
    return run.stdout.decode().splitlines()


def quote(value):
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"


def call(r, model, i):
    """llm_reason with settings of number i"""
    real = model == "real"
    options = [{}, {"answer": "number"}, {"choices": ["red", "blue", "none"]}, {"top_p": 0.9, "top_k": 40}, {"answer": "date"},
               {"repeat_penalty": 1.2, "min_p": 0.05}, {"instruction": "Answer with a word."}, {"typical_p": 0.9, "answer": "text"}][i % 8]
    args = {"samples": r.choice([1, 1, 2, 3, 5]), "max_tokens": r.choice([4, 8, 12]) if real else r.choice([5, 17, 40]),
            "think_budget": r.choice([None, 0, 3]), "temperature": r.choice([None, 0.7, 1.3]), "seed": r.choice([None, i, -i, 2**63 - 70])}
    words = ", ".join("%s => %s" % (k, "NULL" if v is None else v) for k, v in args.items())
    return "llm_reason(%s, %s, context => %s, %s, options => %s)" % (quote(QUESTIONS[i % len(QUESTIONS)]), quote(model), quote(CONTEXTS[i % 3]),
                                                                 words, quote(json.dumps(options)))


def make_trails(models):
    r = random.Random(1)
    calls = [(models[i % len(models)], i) for i in range(TRAILS)]
    sql = "".join("INSERT INTO trails SELECT %d, '%s', (%s).trail;\n" % (i, model, call(r, model, i)) for model, i in calls)
    psql("CREATE TABLE trails (no int PRIMARY KEY, model text, trail jsonb);\n" + SEAL + sql)


def replay(settings, where="true"):
    """numbers of the trails of which everything matches"""
    return {int(n) for n in psql("SELECT no FROM trails, llm_replay(trail) WHERE %s GROUP BY no HAVING bool_and(matches)" % where, settings)}


def replay_all(models):
    usable = [level for level in LEVELS if psql("SELECT llm_count_tokens('x', '%s')" % models[0], {"pg_llm.cpu_kernels": level}, False)]
    runs = [dict(RUNS[i % len(RUNS)], **{"pg_llm.cpu_kernels": level}) for i, level in enumerate(usable)] + RUNS
    ok = True
    for settings in runs:
        done = replay(settings)
        ok = ok and len(done) == TRAILS
        print("%d of %d trails match with %s" % (len(done), TRAILS, ", ".join("%s %s" % (k[7:], v) for k, v in settings.items())), flush=True)
    return ok


# ---- changes ----

def other(value, r):
    """another value of the same kind"""
    if isinstance(value, bool) or value is None:
        return 5
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value + 0.25
    return value + "x" if r.random() < 0.5 or not value else value[:-1] + ("y" if value[-1] != "y" else "z")


def places(trail, r):
    """a path for each kind of change"""
    sample = r.randrange(len(trail["samples"]))
    tokens = trail["samples"][sample]["tokens"]
    at = r.randrange(len(tokens)) if tokens else None
    prompt = r.randrange(len(trail["prompt"]["tokens"]))
    kinds = [["model", "digest"], ["model", "identity"], ["model", "numeric_version"], ["prompt", "text"], ["prompt", "tokens", prompt], ["result", "votes"],
             ["result", "answer"], ["result", "confidence"], ["settings", "samples"], ["settings", "seed"], ["settings", "max_tokens"],
             ["settings", "temperature"], ["settings", "think_budget"], ["samples", sample, "text"], ["samples", sample, "answer"],
             ["samples", sample, "seed"], ["samples", sample, "finish_reason"], ["version"], ["seal"]]
    if at is not None:
        kinds += [["samples", sample, "tokens", at], ["samples", sample, "logprobs", at]]
    return kinds


def value_at(trail, path):
    for key in path:
        trail = trail[key]
    return trail


def find_changes():
    """each change must be found by a row that does not match"""
    r = random.Random(2)
    trails = [json.loads(line) for line in psql("SELECT trail FROM trails ORDER BY no")]
    found = 0
    kinds = {}
    for i in range(CHANGES):
        trail = trails[i]
        kind = places(trail, r)
        path = kind[i % len(kind)]
        bad = "jsonb_set(trail, %s, %s)" % (quote("{%s}" % ",".join(str(p) for p in path)), quote(json.dumps(other(value_at(trail, path), r))))
        bad = "seal(%s)" % bad if path[0] in SHOWN_BY_RUN else bad
        hit = psql("SELECT count(*) FROM trails, llm_replay(%s) WHERE no = %d AND NOT matches" % (bad, i)) != ["0"]
        found += hit
        name = ".".join(str(p) for p in path if not isinstance(p, int))
        kinds[name] = kinds.get(name, 0) + 1
        if not hit:
            print("not found: %s of trail %d" % (path, i))
    print("%d of %d changes found: %s" % (found, CHANGES, ", ".join("%s %d" % k for k in sorted(kinds.items()))))
    return found == CHANGES


def main():
    models = sys.argv[1:]
    if not models:
        raise SystemExit(__doc__)
    make_trails(models)
    ok = replay_all(models)
    sys.exit(not (find_changes() and ok))


if __name__ == "__main__":
    main()
