#!/usr/bin/env python3
"""tool_test.py: build/llm from a shell: what its commands answer on the small models, and that bad input gives exit status 1,
nothing on stdout for the bad line, and an error of one line (with detail and hint lines after it) on stderr.

usage: tool_test.py [LLM]      (run in the top folder; the program is build/llm by default)
"""
import json, math, os, struct, subprocess, sys, tempfile

LLM = sys.argv[1] if len(sys.argv) > 1 else "build/llm"
MODEL = "sql-tests/data/models/llama3.gguf"
SPM = "sql-tests/data/models/mistral.gguf"
failures = 0
checks = 0


def check(ok, what):
    global checks, failures
    checks += 1
    if not ok:
        failures += 1
        print("FAILED:", what)


def llm(*args, stdin=""):
    data = stdin if isinstance(stdin, bytes) else stdin.encode()
    p = subprocess.run([LLM, *args], input=data, capture_output=True, timeout=300)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def good(*args, stdin="", lines=1):
    """the JSON values that a command answers"""
    rc, out, err = llm(*args, stdin=stdin)
    check(rc == 0 and err == "", f"{args}: status {rc}, {err.strip()}")
    values = [json.loads(line) for line in out.splitlines()] if rc == 0 else []
    check(len(values) == lines, f"{args}: {len(values)} lines, not {lines}")
    return values + [None] * (lines - len(values))


def bad(*args, stdin="", says="", answered=0):
    """an error that names `says`, after so many good lines"""
    rc, out, err = llm(*args, stdin=stdin)
    lines = err.splitlines()
    what = f"{args} {stdin[:60]!r}"
    check(rc == 1, f"{what}: status {rc}")
    check(len(out.splitlines()) == answered, f"{what}: {len(out.splitlines())} answers, not {answered}")
    check(lines and lines[0].startswith("llm: error: ") and says in err, f"{what}: {err!r} does not say {says!r}")
    check(all(line.startswith(("detail: ", "hint: ")) for line in lines[1:]) and len(lines) <= 3, f"{what}: {err!r}")


def ids(n, k=0):
    return json.dumps({"token_ids": [(i * 37 + k) % 300 for i in range(n)]})


with open("sql-tests/data/models/llama3.json") as f:
    reference = json.load(f)
prompt = reference["prompts"][0]
tmp = tempfile.mkdtemp()


def file(name, content):
    path = os.path.join(tmp, name)
    with open(path, "wb") as f:
        f.write(content if isinstance(content, bytes) else content.encode())
    return path


# ---- the command line ----
for words in (["--help"], ["-h"], ["help"], ["generate", "--help"]):
    rc, out, err = llm(*words)
    check(rc == 0 and "usage: llm" in out and err == "", f"{words}")
bad(says="no command")
bad("frobnicate", MODEL, says="frobnicate")
bad("generate", says="generate takes MODEL")
bad("generate", MODEL, says="-n")
bad("generate", MODEL, "-n", says="needs a value")
for n in ("0", "-1", "x", "1.5", "99999999999999999999", ""):
    bad("generate", MODEL, "-n", n, says="-n must be a whole number")
bad("generate", MODEL, "-n", "1", "more", says="unexpected word")
bad("generate", MODEL, "-n", "1", "--ctx", "0", says="--ctx")
bad("generate", MODEL, "-n", "1", "--kv", "q5", says="f32, f16")
bad("generate", MODEL, "-n", "1", "--threads", "100000", says="--threads")
bad("generate", MODEL, "-n", "1", "--kernels", "magic", says="magic")
bad("generate", MODEL, "-n", "1", "--json", says="no option")
bad("logits", MODEL, "--ignore-eos", says="no option")
bad("render", says="--template")
bad("render", MODEL, "--template", "x", says="render takes")
bad("render", MODEL, "--now", "yesterday", says="--now")
bad("perplexity", MODEL, says="MODEL FILE")
bad("perplexity", MODEL, "x", says="--ctx")

# ---- files that are no models ----
empty = file("empty", b"")
noise = file("noise", bytes(range(256)) * 100)
with open(MODEL, "rb") as f:
    whole = f.read()
cut = file("cut.gguf", whole[:len(whole) // 2])
head = file("head.gguf", whole[:3000])
for command in (["inspect"], ["tokenize"], ["render"], ["logits"], ["generate", "-n", "1"], ["score"], ["embed"], ["rerank"], ["bench"]):
    for path in ("/nonexistent/model.gguf", tmp, "/dev/null", empty, noise, head):
        bad(command[0], path, *command[1:], stdin='"x"\n')
bad("logits", cut, stdin=ids(3))

# ---- inspect ----
rc, out, err = llm("inspect", MODEL)
check(rc == 0 and "llama" in out and err == "", "inspect")
value, = good("inspect", MODEL, "--json")
check(isinstance(value, dict) and "llama" in json.dumps(value), "inspect --json")
check(value["supported"] is True and "reason" not in value, f"{value.get('reason')}")


def changed(old, new):
    """what inspect says of the model with some bytes of its directory changed; logits must say the same"""
    check(whole.count(old) == 1 and len(old) == len(new), f"{old} to {new}")
    path = file("changed.gguf", whole.replace(old, new))
    value, = good("inspect", path, "--json")
    if value["supported"]:
        good("logits", path, stdin=ids(2))
    else:
        bad("logits", path, stdin=ids(2), says=value["reason"])
    return value.get("reason")


def shape(name, *dims):
    return name + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)


check(changed(b"blk.1.ffn_norm.weight", b"blk.1.ffn_nerm.weight") == 'model has no tensor "blk.1.ffn_norm.weight"', "missing tensor")
check(changed(b"rope_freqs.weight", b"rope_freks.weight") == 'tensor "rope_freks.weight" is not known for architecture "llama"',
      "left-over tensor")
check(changed(shape(b"blk.0.attn_k.weight", 64, 32), shape(b"blk.0.attn_k.weight", 32, 64)) ==
      'tensor "blk.0.attn_k.weight" has the wrong shape', "wrong shape")
check(changed(b"llama.rope.freq_base", b"llama.rope.freq_bass") is None, "a key that is not known")
tensor, = [t for t in value["tensors"] if t["name"] == "rope_freqs.weight"]
factors = whole[-sum(t["bytes"] for t in value["tensors"]):][:tensor["bytes"]]
check(changed(factors, bytes(tensor["bytes"])) == 'rope factor 0 of tensor "rope_freqs.weight" is 0', "a vector's values")

# ---- tokenize ----
text = json.dumps(prompt["text"])
value, = good("tokenize", MODEL, "--bos", stdin=text + "\n")
check(value == prompt["token_ids"], f"tokenize --bos: {value}")
plain, = good("tokenize", MODEL, stdin=text)
check(plain == prompt["token_ids"][len(prompt["token_ids"]) - len(plain):], "tokenize without --bos")
values = good("tokenize", MODEL, stdin='""\n\n"a"\n   \n"\\u0000\\ud83d\\ude00"\n', lines=3)
check(values[0] == [] and values[1] and values[2], f"{values}")
good("tokenize", SPM, "--special", stdin='"<s>x</s>"')
value, = good("tokenize", MODEL, stdin=json.dumps(plain))
check(value == prompt["text"], f"ids back to text: {value!r}")
for line, says in (("{", "JSON"), ("[1, true]", "ids of tokens"), ('["a", 1]', "two JSON strings"), ("1", "JSON string"), ("null", "null"), ('"a" "b"', "JSON"),
                   ('"a', "JSON"), ('"\\ud800\\u"', "JSON"), ("[" * 5000, "JSON"), ("\x00", "JSON")):
    bad("tokenize", MODEL, stdin='"ok"\n' + line + '\n"never"\n', says="line 2", answered=1)
    bad("tokenize", MODEL, stdin=line, says=says)

# ---- render ----
template = file("t.jinja", "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}>{% endif %}"
                "{{ strftime_now('%Y-%m-%d') }}{{ extra }}")
value, = good("render", "--template", template, "--now", "2026-01-31T12:00:00Z",
              stdin=json.dumps({"messages": [{"role": "user", "content": "hi\n<|x|>"}], "add_generation_prompt": True, "extra": [1]}))
check(value == "[user]hi\n<|x|>>2026-01-31[1]", f"render: {value!r}")
value, = good("render", "--template", template, "--now", "0", stdin='{"messages":[]}')
check(value == "1970-01-01", f"render: {value!r}")
bad("render", "--template", "/nonexistent", stdin="{}")
bad("render", "--template", file("broken", "{% if %}"), stdin="{}")
bad("render", "--template", file("raise", "{{ raise_exception('no way') }}"), stdin="{}", says="no way")
bad("render", "--template", template, stdin="[]", says="object")
bad("render", "--template", template, stdin='{"messages":', says="line 1")

# ---- logits ----
line = json.dumps({"token_ids": prompt["token_ids"]})
first, second = good("logits", MODEL, "--kv", "f32", stdin=line + "\n" + json.dumps({"text": prompt["text"]}) + "\n", lines=2)
worst = max(abs(a - b) for a, b in zip(first["logits"], prompt["logits_last"]))
check(len(first["logits"]) == len(prompt["logits_last"]) and worst < 2e-3, f"logits differ by {worst}")
check(first == second, "logits of text and of its ids")
for kernels in ("generic", "auto"):
    value, = good("logits", MODEL, "--kv", "f32", "--kernels", kernels, "--threads", "2", stdin=line)
    check(value == first, f"logits with {kernels} kernels")
n_vocab = len(first["logits"])
for line, says in ((json.dumps({"token_ids": [n_vocab]}), "vocabulary"), ('{"token_ids":[-1]}', "vocabulary"),
                   ('{"token_ids":[99999999999999999999]}', "64 bits"), ('{"token_ids":[1.5]}', "vocabulary"),
                   ('{"token_ids":["1"]}', "vocabulary"), ('{"token_ids":[]}', "no tokens"), ('{"token_ids":5}', "array"),
                   ('{"text":5}', "string"), ("{}", "either"), ('{"text":"a","token_ids":[1]}', "either"), ('"a"', "object"),
                   ('{"text":"a","temperature":1}', "unknown key")):
    bad("logits", MODEL, stdin=line, says=says)
bad("logits", MODEL, "--ctx", "4", stdin=ids(4) + "\n" + ids(5), says="context", answered=1)

# ---- generate ----
greedy, = good("generate", MODEL, "-n", "8", "--kv", "f32", "--ignore-eos", stdin=json.dumps({"token_ids": prompt["token_ids"]}))
margins = prompt["greedy_margins"]
sure = next((i for i, m in enumerate(margins) if m < 4e-3), len(margins))
check(greedy["token_ids"][:sure] == prompt["greedy_ids"][:8][:sure] and len(greedy["token_ids"]) == 8, f"generate: {greedy}")
check(isinstance(greedy["text"], str), "generate: text")
sampled = [good("generate", MODEL, "-n", "8", "--ignore-eos", "--threads", t,
                stdin=json.dumps({"text": "a", "temperature": 1.5, "seed": s, "top_k": 50, "top_p": 0.9, "min_p": 0.01}))[0]
           for t, s in (("1", 1), ("2", 1), ("1", 2))]
check(sampled[0] == sampled[1] and sampled[0] != sampled[2], "seeds decide")
value, = good("generate", MODEL, "-n", "100", "--ctx", "10", "--ignore-eos", stdin=ids(9))
check(len(value["token_ids"]) == 2, "generate up to the context")
for key, number in (("temperature", "-1"), ("temperature", '"hot"'), ("temperature", "1e300"), ("top_p", "2"), ("top_k", "-5"),
                    ("top_k", "1.5"), ("min_p", "-0.1"), ("seed", "1e40"), ("seed", "null"), ("repeat_penalty", "0"),
                    ("presence_penalty", "1e9")):
    bad("generate", MODEL, "-n", "2", stdin=f'{{"text":"a","{key}":{number}}}', says=key)
bad("generate", MODEL, "-n", "2", stdin='{"token_ids":[]}', says="no tokens")
bad("generate", MODEL, "-n", "2", "--ctx", "4", stdin=ids(5), says="context")
bad("generate", MODEL, "-n", "2", stdin=b'{"text":"\xff\xfe"}'.decode("latin1") + "}")
good("generate", MODEL, "-n", "2", stdin="", lines=0)

# ---- score ----
value, = good("score", MODEL, stdin='{"input":"x","labels":["yes","no","yes and no"],"form":"plain","instruction":"?"}')
check(len(value["scores"]) == 3 and abs(sum(value["probabilities"]) - 1) < 1e-6 and all(s < 0 for s in value["scores"]), f"{value}")
for line in ('{"input":"x"}', '{"labels":["a"]}', '{"input":"x","labels":[]}', '{"input":"x","labels":[1]}',
             '{"input":"x","labels":["a"],"form":"odd"}', '{"input":"x","labels":["a","b"],"calibration":[1]}',
             '{"input":"x","labels":["a"],"examples":[["a"]]}', '{"input":"x","labels":["a"],"what":1}'):
    bad("score", MODEL, stdin=line, says="line 1")

# ---- embed and rerank ----
EMBED = "sql-tests/data/encoders/gemma-embedding.gguf"
RERANK = "sql-tests/data/encoders/bert-cross.gguf"
value, = good("inspect", EMBED, "--json")
check((value["kind"], value["pooling"]) == ("embed", "mean"), f"{value['kind']} {value['pooling']}")
value, = good("inspect", RERANK, "--json")
check((value["kind"], value["pooling"]) == ("rerank", "rank"), f"{value['kind']} {value['pooling']}")
value, = good("inspect", MODEL, "--json")
check((value["kind"], value["pooling"]) == ("generate", "unspecified"), f"{value['kind']} {value['pooling']}")
a, b, c = good("embed", EMBED, stdin='"the cat"\n{"text":"the cat"}\n"data base"\n', lines=3)
check(a == b and a != c and len(a["embedding"]) == 16, f"{a} {b}")
check(abs(sum(x * x for x in a["embedding"]) - 1) < 1e-6, "unit length")
short, = good("embed", EMBED, "--dimensions", "5", stdin='"the cat"')
check(len(short["embedding"]) == 5 and abs(sum(x * x for x in short["embedding"]) - 1) < 1e-6, f"{short}")
query, raw = good("embed", EMBED, "--task", "query", stdin='"the cat"')[0], good("embed", EMBED, "--raw", stdin='"the cat"')[0]
check(query != a and abs(sum(x * x for x in raw["embedding"]) - 1) > 1e-3, f"{query} {raw}")
each, = good("embed", EMBED, "--pooling", "none", stdin='{"token_ids":[2,5,3]}')
check(len(each["embeddings"]) == 3, f"{each}")
together = good("embed", EMBED, stdin="".join(json.dumps("the cat" * n) + "\n" for n in range(1, 30)), lines=29)
check(together[0] == a, "the same vector with others")
bad("embed", EMBED, stdin=json.dumps("a " * 400), says="402 tokens, more than the context of 256 tokens")
good("embed", EMBED, "--truncate", stdin=json.dumps("a " * 400))
bad("embed", EMBED, "--dimensions", "17", stdin='"a"', says="16 dimensions")
bad("embed", EMBED, "--task", "poetry", stdin='"a"', says="poetry")
bad("embed", EMBED, "--pooling", "sum", stdin='"a"', says="--pooling")
bad("embed", EMBED, "--pooling", "rank", stdin='"a"', says="classifier")
bad("embed", MODEL, stdin='"a"', says="no embeddings")
bad("embed", EMBED, stdin="5", says="line 1")
bad("generate", EMBED, "-n", "1", stdin='{"text":"a"}', says="no text")
value, = good("rerank", RERANK, stdin='{"query":"a cat","documents":["the cat sleeps","data"]}')
check(len(value["scores"]) == 2 and len(value["outputs"]) == 2, f"{value}")
check(all(abs(s - 1 / (1 + math.exp(-o[0]))) < 1e-6 for s, o in zip(value["scores"], value["outputs"])), f"{value}")
one, = good("rerank", RERANK, stdin='{"query":"a cat","documents":["the cat sleeps"]}')
check(one["scores"][0] == value["scores"][0], "the same score with others")
value, = good("rerank", RERANK, stdin='{"query":"a","documents":[]}')
check(value["scores"] == [], f"{value}")
good("rerank", RERANK, stdin='{"token_ids":[2,5,3,6,3],"n_query":3}')
for line in ("5", '{"documents":["a"]}', '{"query":"a","documents":"b"}', '{"query":"a","documents":[1]}',
             '{"query":"a","documents":["b"],"instruction":"find"}', '{"token_ids":[2,3],"n_query":3}',
             json.dumps({"query": "a", "documents": ["a " * 100]})):
    bad("rerank", RERANK, stdin=line, says="line 1")
bad("rerank", EMBED, stdin='{"query":"a","documents":["b"]}', says="does not rank")

# ---- perplexity ----
book = file("book.txt", prompt["text"] * 20)
value, = good("perplexity", MODEL, book, "--ctx", "32")
check(value["tokens"] > 0 and abs(math.exp(value["nll"] / value["tokens"]) / value["ppl"] - 1) < 1e-6, f"{value}")
bad("perplexity", MODEL, empty, "--ctx", "32", says="too few")
bad("perplexity", MODEL, "/nonexistent", "--ctx", "32")
bad("perplexity", MODEL, tmp, "--ctx", "32")
bad("perplexity", MODEL, book, "--ctx", "1", says="--ctx")
bad("perplexity", MODEL, book, "--ctx", "8", "--from", "8", says="--from")

# ---- bench ----
value, = good("bench", MODEL, "--threads", "2", "--prompt", "20", "--generate", "4", "--sequences", "3", "--repeat", "1", "--json")
check(all(value[key] > 0 for key in ("prefill_tps", "decode_tps", "batch_decode_tps")), f"{value}")
check((value["threads"], value["prompt"], value["generate"], value["sequences"]) == (2, 20, 4, 3), f"{value}")
rc, out, err = llm("bench", MODEL, "--prompt", "4", "--generate", "1", "--sequences", "1", "--repeat", "1")
check(rc == 0 and "prefill" in out, "bench as text")
bad("bench", MODEL, "--prompt", "1000000", "--repeat", "1", says="context")
value, = good("bench", MODEL, "--only", "batch", "--depth", "20", "--generate", "4", "--sequences", "3", "--repeat", "1", "--json")
check("batch_decode_tps" in value and "prefill_tps" not in value and value["depth"] == 20, "bench of one thing")
value, = good("bench", MODEL, "--only", "copy", "--prompt", "40", "--generate", "20", "--repeat", "2", "--json")
check(value["copy_tps"] > 0 and value["copy_without_guesses_tps"] > 0 and value["right_guesses"] <= value["guesses"] and value["load_ms"] > 0 and
      "prefill_tps" not in value, f"{value}")
bad("bench", MODEL, "--only", "all", says="--only")
bad("bench", MODEL, "--sequences", "5000", says="--sequences")

# ---- output that cannot be written ----
with open("/dev/full", "w") as full:
    p = subprocess.run([LLM, "tokenize", MODEL], input=b'"a"\n', stdout=full, stderr=subprocess.PIPE)
    check(p.returncode == 1 and b"standard output" in p.stderr, f"full disk: {p.returncode} {p.stderr}")

print(f"tool_test: {checks} checks, {failures} failed")
sys.exit(1 if failures or not checks else 0)
