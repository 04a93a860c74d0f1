#!/usr/bin/env python3
"""check_reasoning.py: GSM8K and DROP by llm_reason, and the same prompts, tokens and settings through llama.cpp's server.

usage: PSQL="psql -h … -d …" check_reasoning.py FILE --model NAME --peer LLAMA_SERVER --gguf MODEL.gguf [--n 50] [--samples 8]
           [--max-tokens 200] [--temperature T] [--threads 2] [--peer-threads 2] [--minutes M] [--out FILE.jsonl]
FILE: problems of GSM8K, a line each, or passages of DROP (lines, or the native file), of which the first question is asked.
NAME: the model in that database; the extension is there. Without --peer only llm_reason runs.

Questions are asked in groups. Each group is written to --out; what is there already is not asked again, so a run may be cut (also
by --minutes) and go on later. At the end: how many are right by the official rules (llm_exact_match 'gsm8k_flexible',
llm_drop_score, both programs), tokens and seconds.

The peer's samples are voted on by a rule of this script's own. It is applied to our samples too, so that the two programs differ by
nothing else, and what llm_reason itself voted for is shown beside it.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys
import time
import urllib.request

GROUP = 5
SEED = 1
PORT = 18447
MARKS = ("the answer is", "answer:", "####")


def quoted(text):
    return "NULL" if text is None else "'" + text.replace("'", "''") + "'"


def psql(script):
    command = shlex.split(os.environ.get("PSQL", "psql")) + ["-XqAt", "-v", "ON_ERROR_STOP=1"]
    return subprocess.run(command, input=script, stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout


# ---- the questions ----

def gsm8k(lines):
    return [{"id": str(i), "question": x["question"], "context": None, "gold": x["answer"]} for i, x in enumerate(lines)]


def drop(passages):
    questions = []
    for x in passages:
        qa = x["qa_pairs"][0]
        gold = [qa["answer"]] + [a for a in qa.get("validated_answers") or []]
        questions.append({"id": qa["query_id"], "question": qa["question"], "context": x["passage"], "gold": gold})
    return questions


def read_questions(path):
    with open(path, encoding="utf-8", newline="\n") as f:
        text = f.read()
    try:
        return drop(json.loads(text).values())
    except json.JSONDecodeError:
        lines = [json.loads(line) for line in text.split("\n") if line]
    return drop(lines) if "qa_pairs" in lines[0] else gsm8k(lines)


# ---- both programs ----

def ask_llm_reason(group, args, options):
    values = ", ".join(f"({quoted(q['id'])}, {quoted(q['question'])}, {quoted(q['context'])}::text)" for q in group)
    more = f", temperature => {args.temperature}" if args.temperature is not None else ""
    start = time.monotonic()
    out = psql(f"""SET pg_llm.threads = {args.threads};
        SELECT json_build_object('id', id, 'answer', (r).answer, 'votes', (r).votes, 'trail', (r).trail)
        FROM (SELECT id, llm_reason(question, {quoted(args.model)}, context, samples => {args.samples}, seed => {SEED},
                     max_tokens => {args.max_tokens}, options => {quoted(json.dumps(options))}{more}) AS r
              FROM (VALUES {values}) v (id, question, context) OFFSET 0) q;""")
    seconds = time.monotonic() - start
    answers = {a["id"]: a for a in map(json.loads, out.splitlines())}
    return [answers[q["id"]] for q in group], seconds


class Peer:
    """llama.cpp's server, with a slot for each sample"""

    def __init__(self, args):
        self.process = subprocess.Popen([args.peer, "-m", args.gguf, "-t", str(args.peer_threads or args.threads), "-np", "8", "-c", "16384", "--port", str(PORT),
                                         "--host", "127.0.0.1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(1200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=1)
                return
            except OSError:
                time.sleep(0.1)
        self.stop()
        sys.exit(f"{args.peer} did not start")

    def stop(self):
        self.process.terminate()
        self.process.wait()

    @staticmethod
    def complete(prompt, seed, settings):
        body = {"prompt": prompt, "seed": seed, "n_predict": settings["max_tokens"], "temperature": settings["temperature"],
                "samplers": ["temperature"], "cache_prompt": True}
        request = urllib.request.Request(f"http://127.0.0.1:{PORT}/completion", json.dumps(body).encode(), {"Content-Type": "application/json"})
        answer = json.load(urllib.request.urlopen(request, timeout=3600))
        return {"text": answer["content"], "tokens": answer["tokens_predicted"]}

    def ask(self, trails):
        """samples of the trails' prompts, as many as were asked for"""
        work = [(t["prompt"]["tokens"], SEED + i, t["settings"]) for t in trails for i in range(t["settings"]["samples"])]
        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(8) as clients:
            samples = list(clients.map(lambda w: self.complete(*w), work))
        seconds = time.monotonic() - start
        n = len(work) // len(trails)
        return [samples[i * n:(i + 1) * n] for i in range(len(trails))], seconds


# ---- answers ----

def marked(text):
    """what follows the last mark, and whether there is one"""
    end = max((text.lower().rfind(mark) + len(mark) for mark in MARKS if mark in text.lower()), default=None)
    return (text, False) if end is None else (text[end:], True)


def phrase(text):
    """the line behind the last mark, else the last line"""
    rest, is_marked = marked(text)
    lines = [x for x in (line.strip(" \t*_`\"'.:=();!") for line in rest.split("\n")) if x]
    return (lines[0] if is_marked else lines[-1]) if lines else None


def number(text):
    """the first one of that line, behind a last "=" in it; without a mark the last of the text; as plain digits"""
    pattern = r"(?<![\d.A-Za-z])-?\d[\d,]*(?:\.\d+)?"
    found = re.findall(pattern, (phrase(text) or "").split("=")[-1])[:1] if marked(text)[1] else re.findall(pattern, text)
    if not found:
        return None
    digits = found[-1].replace(",", "")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def vote(texts, rule):
    answers = [a for a in map(rule, texts) if a is not None]
    same = lambda a: re.sub(r"\W+", " ", a.lower()).strip() if rule is phrase else a
    count = collections.Counter(map(same, answers))
    return next((a for a in answers if count[same(a)] == max(count.values())), None)


def verdicts(results, field, is_drop):
    """(right, F1) of the answers of one kind, by SQL"""
    rows = ", ".join(f"({quoted(r[field])}::text, {quoted(r['gold'] if not is_drop else json.dumps(r['gold']))})" for r in results)
    if is_drop:
        query = f"""SELECT sum(em), avg(f1) FROM (VALUES {rows}) v (answer, gold),
                    llm_drop_score(ARRAY[coalesce(answer, '')], gold::jsonb)"""
    else:
        query = f"SELECT count(*) FILTER (WHERE llm_exact_match(answer, gold, 'gsm8k_flexible')), 0 FROM (VALUES {rows}) v (answer, gold)"
    right, f1 = psql(query + ";").strip().split("|")
    return float(right), float(f1)


# ---- a run ----

def ask_group(group, args, peer, is_drop):
    options = {"instruction": "Answer in one to three words."} if is_drop else {"answer": "number"}
    ours, our_seconds = ask_llm_reason(group, args, options)
    theirs, their_seconds = peer.ask([a["trail"] for a in ours]) if peer else ([[]] * len(group), 0)
    for question, a, samples in zip(group, ours, theirs):
        yield {"id": question["id"], "gold": question["gold"], "answer": a["answer"], "votes": a["votes"],
               "texts": [s["text"] for s in a["trail"]["samples"]], "peer_texts": [s["text"] for s in samples],
               "prompt_tokens": len(a["trail"]["prompt"]["tokens"]), "tokens": sum(len(s["tokens"]) for s in a["trail"]["samples"]),
               "peer_tokens": sum(s["tokens"] for s in samples), "seconds": our_seconds / len(group), "peer_seconds": their_seconds / len(group)}


def report(results, args, is_drop):
    total = lambda key: sum(r[key] for r in results)
    for r in results:
        r["voted"] = vote(r["texts"], phrase if is_drop else number)
        r["peer"] = vote(r["peer_texts"], phrase if is_drop else number)
    print(f"{len(results)} questions, {args.samples} samples, {total('prompt_tokens')} tokens of prompts")
    for name, field, tokens, seconds in (("llm_reason", "answer", "tokens", "seconds"), ("llm_reason, votes by the script", "voted", "tokens", "seconds"),
                                         ("llama.cpp, votes by the script", "peer", "peer_tokens", "peer_seconds")):
        if field == "peer" and not args.peer:
            continue
        right, f1 = verdicts(results, field, is_drop)
        print(f"  {name}: {right:g} right" + (f", F1 {f1:.3f}" if is_drop else "") + f", {total(tokens)} tokens, {total(seconds):.0f} s")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("file")
    p.add_argument("--model", required=True)
    p.add_argument("--peer")
    p.add_argument("--gguf")
    p.add_argument("--n", type=int, default=50)
    p.add_argument("--samples", type=int, default=8)
    p.add_argument("--max-tokens", type=int, default=200)
    p.add_argument("--temperature", type=float)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--peer-threads", type=int, help="its threads wait for each other: on a busy machine one is faster")
    p.add_argument("--minutes", type=float, default=1e9)
    p.add_argument("--out")
    args = p.parse_args()
    questions = read_questions(args.file)[:args.n]
    is_drop = questions[0]["context"] is not None
    results = []
    if args.out and os.path.exists(args.out):
        with open(args.out, encoding="utf-8", newline="\n") as f:
            results = [json.loads(line) for line in f.read().split("\n") if line]
    asked = {r["id"] for r in results}
    questions = [q for q in questions if q["id"] not in asked]
    peer = Peer(args) if args.peer and questions else None
    end = time.monotonic() + args.minutes * 60
    try:
        for i in range(0, len(questions), GROUP):
            if time.monotonic() > end:
                break
            group = list(ask_group(questions[i:i + GROUP], args, peer, is_drop))
            results += group
            print(f"{len(results)} questions", file=sys.stderr, flush=True)
            if args.out:
                with open(args.out, "a", encoding="utf-8") as f:
                    f.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in group)
    finally:
        if peer:
            peer.stop()
    report(results, args, is_drop)


main()
