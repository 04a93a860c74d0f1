#!/usr/bin/env python3
"""Compare build/llm render with jinja2, set up as Hugging Face transformers does: same bytes, and what it refuses we refuse.

    python3 src/test/check_templates.py [--random N] [--seed S] [FILE.jinja | MODEL.gguf ...]

Without files: every feature of the language (template_cases.py) and N random templates. With files: those chat
templates over conversations of many kinds. Needs the PyPI package jinja2 3.1 (and gguf for models). Prints each
difference and ends with 1 if there is any. Known limits of ours, told apart by the message, are counted and not compared:
integers beyond 64 bits, filters that are refused by name, and slices of constants that cannot be sliced (jinja2 folds
them to undefined before Python sees them).
"""
import argparse
import datetime
import json
import os
import random
import subprocess
import sys
import tempfile
import warnings

import jinja2
import jinja2.ext
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

import template_cases

NOW = 1700000000


class Generation(Extension):
    """{% generation %}, whose text is output unchanged."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_text"), [], [], body).set_lineno(line)

    def _text(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def strftime_now(form):
    return datetime.datetime.fromtimestamp(NOW).strftime(form)


class TemplateDict:
    def __call__(self, *args, **kwargs):
        return dict(*args, **kwargs)

    def fromkeys(self, *args, **kwargs):
        return dict.fromkeys(*args, **kwargs)


class TemplateNamespace(jinja2.utils.Namespace):
    """A namespace that takes no attribute which begins with an underscore."""
    def __init__(*args, **kwargs):
        self, attributes = args[0], dict(*args[1:], **kwargs)
        for name in attributes:
            TemplateNamespace._check_name(name)
        jinja2.utils.Namespace.__init__(self, attributes)

    def __setitem__(self, name, value):
        TemplateNamespace._check_name(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def _check_name(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(name)


ENVIRONMENT = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
ENVIRONMENT.filters["tojson"] = tojson
ENVIRONMENT.globals["raise_exception"] = raise_exception
ENVIRONMENT.globals.update(strftime_now=strftime_now, dict=TemplateDict(), namespace=TemplateNamespace)


def expected(template, many):
    """For each set of variables (text, None) or (None, reason)."""
    try:
        compiled = ENVIRONMENT.from_string(template)
    except Exception as e:
        return [(None, f"{type(e).__name__}: {e}")] * len(many)
    results = []
    for variables in many:
        try:
            results.append((compiled.render(**json.loads(json.dumps(variables))), None))
        except Exception as e:
            results.append((None, f"{type(e).__name__}: {e}"))
    return results


def ours(program, template, many):
    """For each set of variables (text, None) or (None, reason)."""
    results = []
    with tempfile.NamedTemporaryFile(suffix=".jinja") as file:
        file.write(template.encode("utf-8", "surrogatepass"))
        file.flush()
        while len(results) < len(many):
            lines = "".join(json.dumps(v) + "\n" for v in many[len(results):])
            done = subprocess.run([program, "render", "--template", file.name, "--now", str(NOW)], input=lines.encode(),
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            texts = [json.loads(line) for line in done.stdout.splitlines()]
            results += [(text, None) for text in texts]
            if done.returncode == 0:
                break
            if done.returncode < 0:
                raise SystemExit(f"{program} died of signal {-done.returncode} with {template!r}")
            results.append((None, done.stderr.decode(errors="replace").strip()))
    return results


def known_limit(reason):
    return reason and any(words in reason for words in ("64 bits", "is not supported", "which is not known", "too large", "too many",
                                                    "cannot be sliced"))


class Comparison:
    def __init__(self, program):
        self.program, self.n, self.n_limits, self.n_refused, self.differences = program, 0, 0, 0, 0

    def one(self, template, many, show=True):
        for variables, got, want in zip(many, ours(self.program, template, many), expected(template, many)):
            self.n += 1
            if want[0] is None:
                self.n_refused += 1
            if got[0] == want[0]:
                continue
            if got[0] is None and known_limit(got[1]):
                self.n_limits += 1
                continue
            self.differences += 1
            if self.differences <= 40:
                shown = template if len(template) < 300 else template[:100] + "…"
                print(f"{shown!a}\n  variables {json.dumps(variables)[:300] if show else ''}\n  jinja2 {want!a}\n  pg_llm {got!a}"[:1500])

    def report(self, what):
        print(f"{what}: {self.n} renderings, {self.n_refused} refused by jinja2, {self.n_limits} beyond our limits, "
              f"{self.differences} differences")



def check_language(comparison):
    lines = [line for line in template_cases.EXPRESSIONS.replace("\\\nx", "\\\x00x").split("\n") if line]
    for line in lines:
        comparison.one("{{ " + line.replace("\x00", "\n") + " }}", [template_cases.VARIABLES], show=False)
    for template in template_cases.TEMPLATES:
        comparison.one(template, [template_cases.VARIABLES], show=False)


# ---- random templates ----

def random_expression(r, depth=0):
    leaf = ["s", "e", "u", "n", "m", "z", "f", "t", "no", "l", "l2", "d", "recs", "html", "csv", "lines", "nested", "undefined_x", "1", "2", "-1", "'a'",
            "'x y'", "''", "1.5", "none", "true", "[]", "{}", "[1, 'b']", "(1, 2)", "{'a': 1}", "range(4)", "special"]
    if depth > 2 or r.random() < 0.2:
        return r.choice(leaf)
    sub = lambda: random_expression(r, depth + 1)
    kind = r.randrange(9)
    if kind == 0:
        return f"({sub()} {r.choice(['+', '-', '*', '/', '//', '%', '~', '~', '+', 'and', 'or', '==', '!=', '<', '>=', 'in', 'not in'])} {sub()})"
    if kind == 1:
        return f"{sub()}[{r.choice(['0', '-1', '1:', ':2', '::-1', '1:3', ':-1', sub()])}]"
    if kind in (2, 3):
        return f"({sub()}|{random_filter(r, sub)})"
    if kind == 4:
        return f"({sub()} is {r.choice(['', 'not '])}{r.choice(['defined', 'string', 'mapping', 'iterable', 'sequence', 'number', 'none', 'odd', 'true', 'lower', 'in ' + sub(), 'eq ' + sub(), 'integer', 'boolean', 'callable', 'escaped'])})"
    if kind == 5:
        return f"{sub()}.{random_method(r, sub)}"
    if kind == 6:
        return f"({sub()} if {sub()} else {sub()})"
    if kind == 7:
        return r.choice(["not {}", "-{}", "({},)", "[{}]", "{{'k': {}}}.k", "{{'k': {}}}", "dict(a={})", "'%s' % {}", "'{{}}'.format({})"]).format(sub())
    return f"[{sub()}, {sub()}]"


def random_filter(r, sub):
    plain = ["upper", "lower", "title", "capitalize", "trim", "length", "first", "last", "list", "sort", "reverse", "unique|list", "sum", "max", "min", "string", "int",
             "float", "abs", "round", "escape", "safe", "tojson", "items|list", "dictsort", "join", "wordcount", "count", "d", "forceescape", "urlencode", "indent",
             "map('string')|list", "map('upper')|list", "select|list", "reject('none')|list", "map(attribute='name')|list", "selectattr('age')|list", "batch(2)|list",
             "slice(2)|list", "center(9)", "truncate(4)", "tojson(indent=2)", "groupby('name')|list", "map('length')|list", "reverse|list", "map('tojson')|join", "striptags"]
    if r.random() < 0.7:
        return r.choice(plain[:-1])
    return r.choice(["default({0})", "default({0}, true)", "join({0})", "replace({0}, {1})", "int({0})", "round({0})", "indent({0})", "map(attribute={0})|list", "trim({0})", "sum(start={0})",
                     "select('eq', {0})|list", "tojson(indent={0})", "truncate({0})", "batch({0}, {1})|list", "attr({0})", "center({0})", "sort(reverse={0})"]).format(sub(), sub())


def random_method(r, sub):
    return r.choice(["upper()", "strip()", "split()", "split({0})", "splitlines()", "replace({0}, {1})", "startswith({0})", "endswith({0})", "find({0})", "join({0})", "items()|list", "keys()|list",
                     "values()|list", "get({0})", "get({0}, {1})", "title()", "count({0})", "index({0})", "strip({0})", "rsplit({0}, 1)", "partition({0})", "zfill(5)", "isdigit()", "name", "a", "b",
                     "format({0})", "lower()", "capitalize()", "lstrip({0})", "rstrip()", "ljust(4)", "copy()", "removeprefix({0})", "split({0}, {1})"]).format(sub(), sub())


def random_statements(r, depth=0):
    out = []
    for _ in range(r.randint(1, 3)):
        kind = r.randrange(9 if depth < 2 else 3)
        dash = lambda: r.choice(["", "", "", "-", "+"]) if kind != 0 else r.choice(["", "-"])
        tag = lambda text: "{%" + r.choice(["", "", "-", "+"]) + " " + text + " " + r.choice(["", "", "-", "+"]) + "%}"
        inner = lambda: random_statements(r, depth + 1)
        if kind == 0:
            out.append("{{" + r.choice(["", "-"]) + " " + random_expression(r) + " " + r.choice(["", "-"]) + "}}")
        elif kind == 1:
            out.append(r.choice([" ", "\n", "  \n\t", "text", "<|x|>", "\n\n", " a ", "\r\n", "{# c #}", "{#- c -#}\n"]))
        elif kind == 2:
            out.append(tag(f"set {r.choice('xyz')} = {random_expression(r)}"))
        elif kind == 3:
            out.append(tag(f"if {random_expression(r)}") + inner() + r.choice(["", tag("else") + inner(), tag(f"elif {random_expression(r)}") + inner()]) + tag("endif"))
        elif kind in (4, 5):
            body = inner() + r.choice(["", "{{ loop.index }}", "{{ loop.last }}", "{{ loop.revindex0 }}", "{{ v }}", tag("if loop.first") + tag("continue") + tag("endif"), tag("if v") + tag("break") + tag("endif")])
            out.append(tag(f"for v in {random_expression(r)}{r.choice(['', '', ' if ' + random_expression(r)])}") + body + r.choice(["", tag("else") + inner()]) + tag("endfor"))
        elif kind == 6:
            out.append(tag(f"macro q(x, y={random_expression(r)})") + inner() + tag("endmacro") + "{{ q(" + random_expression(r) + ") }}")
        elif kind == 7:
            out.append(tag("set w") + inner() + tag("endset") + "{{ w" + r.choice(["", "|upper", "|length", " ~ '<'", "|e", "|tojson"]) + " }}")
        else:
            out.append(tag(f"with w = {random_expression(r)}") + inner() + "{{ w }}" + tag("endwith"))
    return "".join(out)


def check_random(comparison, n, seed):
    for i in range(n):
        r = random.Random(seed * 1000003 + i)
        template = random_statements(r) if i % 2 else "{{ " + random_expression(r) + " }}"
        text, _ = expected(template, [template_cases.VARIABLES])[0]
        if text is not None and any(mark in text for mark in (" at 0x", "<built-in", "<function", "<jinja2", "<Macro", "<bound", "dict_values([")):
            continue            # texts that Python makes of its own objects
        comparison.one(template, [template_cases.VARIABLES], show=False)


# ---- chat templates ----

TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Get \"weather\" <now> & then – é.", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "description": "The city", "enum": ["Paris", "Köln"]}, "days": {"type": "integer", "default": 3},
                                     "opts": {"type": "array", "items": {"type": "string"}}, "any": {"type": ["string", "null"]}, "o": {"type": "object", "properties": {"k": {"type": "number"}}, "required": ["k"]}}, "required": ["city"]},
    "return": {"type": "string"}}},
    {"type": "function", "function": {"name": "noop", "description": "", "parameters": {"type": "object", "properties": {}}}}]
CALL = {"role": "assistant", "content": "", "tool_calls": [{"id": "call00001", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Köln", "days": 2, "x": None, "b": True, "l": [1, "a"]}}}]}
CALL_TEXT = {"role": "assistant", "content": None, "tool_calls": [{"id": "call00001", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\": \"Paris\"}"}},
                                                                  {"id": "call00002", "type": "function", "function": {"name": "noop", "arguments": "{}"}}]}
RESULT = {"role": "tool", "tool_call_id": "call00001", "name": "get_weather", "content": "{\"temp\": 20.5}"}
RESULT2 = {"role": "tool", "tool_call_id": "call00002", "name": "noop", "content": [{"type": "text", "text": "ok"}]}


def conversations():
    user = lambda text: {"role": "user", "content": text}
    assistant = lambda text, **more: {"role": "assistant", "content": text, **more}
    system = lambda text: {"role": "system", "content": text}
    parts = [{"type": "text", "text": "look "}, {"type": "image"}, {"type": "text", "text": "here"}]
    base = [
        [user("Hello!")], [user("  spaced \n\n")], [user("")], [system("Be brief."), user("Hi <|im_end|> é 😀")], [system("  Be\nbrief. "), user("a"), assistant(" b "), user("c")],
        [user("a"), assistant("<think>\nhm\n</think>\n\nb"), user("c")], [user("a"), assistant("<think>x</think>y")], [user("a"), assistant("b", reasoning_content="why"), user("c"), assistant("d", thinking="t", reasoning="r")],
        [user([{"type": "text", "text": "part one"}, {"type": "text", "text": "part two"}])], [user(parts)], [system([{"type": "text", "text": "sys"}]), user("x")], [user("a"), user("b")], [assistant("first")], [system("only")], [],
        [user("w?"), CALL, RESULT, assistant("It is 20.5.")], [user("w?"), CALL_TEXT, RESULT, RESULT2, assistant("ok"), user("more?")], [system("s"), user("w?"), CALL, RESULT], [user("w?"), assistant("let me see", tool_calls=CALL["tool_calls"]), RESULT, user("go on")],
        [{"role": "developer", "content": "dev"}, user("x")], [{"role": "weird", "content": "x"}], [user(None)], [{"role": "user"}], [user("/no_think hi")], [user("hi /think"), assistant("<think></think>x"), user("b /no_think")], [system("/system_override"), user("x")],
        [system("detailed thinking on"), user("x"), assistant("y")], [user("1"), assistant("2"), user("3"), assistant("4"), user("5"), assistant("6")], [user("a"), assistant("b", prefix=True)], [user("line1\r\nline2\ttab \"q\" 'q' \\ <b>&amp;</b>")],
        [{"role": "user", "content": "x", "name": "bob"}], [user("a"), {"role": "assistant", "content": "c", "channel": "final"}], [user(5)], [user({"a": 1})], [user("w?"), {"role": "assistant", "tool_calls": CALL["tool_calls"]}, {"role": "tool", "content": 5}], [user("w?"), {"role": "assistant", "content": None, "tool_calls": []}],
        [user("w?"), {"role": "assistant", "tool_calls": [{"name": "f", "arguments": {"a": "b"}}]}, {"role": "ipython", "content": {"a": [1, 2]}}], [user("a"), {"role": "function", "name": "f", "content": "r"}], [user("[INST] x </s> <s>")],
    ]
    extras = [{}, {"tools": TOOLS}, {"enable_thinking": False}, {"enable_thinking": True, "tools": TOOLS[:1]}, {"tools": [], "documents": [{"title": "T", "text": "doc", "content": "c", "doc_id": 1}]}, {"tools": None, "thinking": True, "reasoning_effort": "high", "date_string": "01 Jan 2025", "keep_past_thinking": True},
              {"builtin_tools": ["browser", "python"], "tools_in_user_message": False, "tools": TOOLS, "model_identity": "Me", "thinking_budget": 512, "xml_tools": TOOLS, "python_tools": ["f"], "custom_tools": TOOLS}]
    for i, messages in enumerate(base):
        for k, extra in enumerate(extras):
            for add in (False, True):
                yield {"messages": messages, "add_generation_prompt": add, "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", **extra}


def load_templates(path):
    if not path.endswith(".gguf"):
        with open(path, encoding="utf-8", newline="") as file:
            return [(path, file.read())]
    from gguf import GGUFReader
    return [(path, f.contents()) for key, f in GGUFReader(path).fields.items() if key.startswith("tokenizer.chat_template") and isinstance(f.contents(), str)]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--program", default="build/llm")
    options.add_argument("--random", type=int, default=2000, metavar="N")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("files", nargs="*")
    args = options.parse_args()
    seen, total = set(), 0
    os.environ.setdefault("TZ", "UTC")
    warnings.simplefilter("ignore")     # Python's remarks on what random templates do
    if not args.files:
        for what, check in (("language", check_language), ("random", lambda c: check_random(c, args.random, args.seed))):
            comparison = Comparison(args.program)
            check(comparison)
            comparison.report(what)
            total += comparison.differences
    for path in args.files:
        for name, template in load_templates(path):
            if template in seen:
                continue
            seen.add(template)
            comparison = Comparison(args.program)
            comparison.one(template, list(conversations()))
            comparison.report(os.path.basename(name))
            total += comparison.differences
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
