#!/usr/bin/env python3
"""Compare build/llm tokenize with the tokenizers and sentencepiece libraries on random Unicode, or their speed.

    python3 src/test/check_tokenizers.py [--n N] [--seed S] [--speed] MODEL.gguf ...

The reference is made from the file's own vocabulary: for byte-level BPE the tokenizers library with the pre-tokenizer that
Hugging Face defines for its name (tokenizer.ggml.pre), else the sentencepiece library. Needs the PyPI packages tokenizers,
sentencepiece and gguf; RAYON_NUM_THREADS=1 gives the library one thread when measuring speed. Prints one line for each model and, for a
difference, the text and both lists of ids; ends with 1 if there is any.
"""
import argparse
import json
import random
import struct
import subprocess
import sys
import tempfile
import time

import sentencepiece
from gguf import GGUFReader
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
TYPE_USER = 4


def split_then_bytes(pattern):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=False)])


def pre_tokenizer(name):
    """Without the NFC normalizer that Hugging Face puts before qwen2's: llama.cpp and pg_llm keep the bytes."""
    if name == "smollm":
        return pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)])
    if name == "gpt-2":
        return pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)
    if name == "llama-bpe":
        return split_then_bytes(LLAMA3 % "{1,3}")
    if name == "qwen2":
        return split_then_bytes(LLAMA3 % "")
    sys.exit(f"no reference is known for the pre-tokenizer {name!r}")


def field(reader, key, default=None):
    return reader.fields[key].contents() if key in reader.fields else default


class Library:
    """A tokenizers.Tokenizer."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def ids(self, texts):
        return [e.ids for e in self.tokenizer.encode_batch(texts, add_special_tokens=False)]


def reference(path):
    """What ids(texts) of a GGUF file should be, and a note on what it is."""
    reader = GGUFReader(path)
    tokens = field(reader, "tokenizer.ggml.tokens")
    types = field(reader, "tokenizer.ggml.token_type", [1] * len(tokens))
    if field(reader, "tokenizer.ggml.model") == "llama":
        scores = field(reader, "tokenizer.ggml.scores")
        return SentencePiece(tokens, scores, types, field(reader, "tokenizer.ggml.add_space_prefix", True)), "spm"
    name = field(reader, "tokenizer.ggml.pre")
    vocab = {text: i for i, text in enumerate(tokens)}
    merges = [tuple(m.split(" ", 1)) for m in field(reader, "tokenizer.ggml.merges")]
    # a merge through a string that is no token cannot be told to the library; there is none in the models we compare
    merges = [(a, b) for a, b in merges if a in vocab and b in vocab and a + b in vocab]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=name == "llama-bpe"))
    tokenizer.pre_tokenizer = pre_tokenizer(name)
    # user-defined tokens are recognised everywhere; control tokens never are in text that is data
    user = [t for t, k in zip(tokens, types) if k == TYPE_USER and not (t.startswith("<|") and t.endswith("|>"))]
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in user])
    return Library(tokenizer), "bpe/" + name


def wire(number, value):
    """A field of a protocol buffer: bytes, text, float, or a whole number."""
    def varint(n):
        out = bytearray()
        while n > 127:
            out.append(n & 127 | 128)
            n >>= 7
        return bytes(out + bytes([n]))
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


class SentencePiece:
    """A model for the sentencepiece library (sentencepiece_model.proto) with the same pieces, scores and types."""

    def __init__(self, tokens, scores, types, space_prefix):
        pieces = b"".join(wire(1, wire(1, t) + wire(2, float(s)) + wire(3, int(k))) for t, s, k in zip(tokens, scores, types))
        trainer = wire(3, 2) + wire(35, 1)                          # BPE, with tokens of bytes
        normalizer = wire(1, "identity") + wire(3, int(space_prefix)) + wire(4, 0) + wire(5, 1)
        self.processor = sentencepiece.SentencePieceProcessor(model_proto=pieces + wire(2, trainer) + wire(3, normalizer))

    def ids(self, texts):
        return [self.processor.encode(text) for text in texts]


# ---- random text ----

SPACES = " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u180e\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009" \
         "\u200a\u2028\u2029\u202f\u205f\u3000\u200b\u200c\u200d\u2060\ufeff"
DIGITS = "0123456789٠١٢३४५๑๒๓０１２²³¹½¾ⅣⅷⅫ㊀㊿①⓪𝟘𝟙𝟚𑁦𑁧𐒠𞥐🄀"
EMOJI = ["😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪", "1️⃣", "🧑🏿‍🚀", "❤️", "☃", "🀄", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"]
MARKS = [chr(c) for c in range(0x300, 0x340)] + ["\u0903", "\u093f", "\u20dd", "\u3099", "\ufe0f", "\u0654"]
APOSTROPHES = ["'s", "'S", "'ſ", "'t", "'T", "'re", "'RE", "'rE", "'ve", "'VE", "'m", "'M", "'ll", "'LL", "'lL", "'d", "'D",
               "’s", "’LL", "'", "''", "'x", "'r", "'v", "'l"]
CODE = ["def f(x):\n    return x**2\n", "for (int i = 0; i < n; ++i)\n\t{\n\t\ta[i] += b[i];\n\t}\n", "SELECT * FROM t WHERE a<>'it''s';",
        "#include <stdio.h>\r\n", "{\"a\": [1, 2.5e-3, null]}", "x!==y&&z||!w", "https://example.org/a?b=c&d=%20#e", "<div class=\"a\">&amp;</div>",
        "\\frac{a}{b}", "````", "----====____", "/* ... */", "$foo->bar[$i]['k']", "0x1F_FF", "1_000_000.00"]
WORDS = ["the", " of", " and", "Hello", " WORLD", " don't", " I'll", " We'VE", "straße", " naïve", " Ωμέγα", "привет", " как дела",
         "日本語", "中文字符", "한국어", "العربية", " עברית", "हिन्दी", "ภาษาไทย", " Tiếng Việt", "ქართული", "አማርኛ", "தமிழ்", "ǅ", "ʰ", "ⅷ",
         "İstanbul", "ﬁ", "Ａ", "𝕳𝖊𝖑𝖑𝖔", "𐐨", "ß", "K", "Å"]
SCRIPTS = [(0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x250, 0x2FF), (0x370, 0x3FF), (0x400, 0x52F), (0x531, 0x58F), (0x590, 0x5FF),
           (0x600, 0x6FF), (0x700, 0x7FF), (0x900, 0x97F), (0xB80, 0xBFF), (0xE00, 0xE7F), (0xF00, 0xFFF), (0x10A0, 0x10FF),
           (0x1100, 0x11FF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x218F), (0x2190, 0x2BFF), (0x2C00, 0x2DFF), (0x3040, 0x30FF),
           (0x3130, 0x318F), (0x3200, 0x33FF), (0x4E00, 0x9FFF), (0xA000, 0xA4CF), (0xA640, 0xABFF), (0xAC00, 0xD7A3), (0xF900, 0xFFFF),
           (0x10000, 0x10FFF), (0x11000, 0x11FFF), (0x12000, 0x1254F), (0x16800, 0x16FFF), (0x1D400, 0x1D7FF), (0x1E000, 0x1EFFF),
           (0x1F000, 0x1FAFF), (0x20000, 0x2FA1F), (0x30000, 0x323AF), (0xE0000, 0xE01EF), (0xF0000, 0x10FFFF)]


def any_char(r):
    while True:
        c = r.randrange(0x110000)
        if not 0xD800 <= c <= 0xDFFF:
            return chr(c)


def script_run(r):
    low, high = r.choice(SCRIPTS)
    return "".join(chr(c) for c in (r.randint(low, high) for _ in range(r.randint(1, 12))) if not 0xD800 <= c <= 0xDFFF)


def piece(r):
    kind = r.randrange(14)
    several = range(r.randint(1, 8))
    if kind == 0:
        return "".join(any_char(r) for _ in several)
    if kind == 1:
        return script_run(r)
    if kind == 2:
        return "".join(r.choice(EMOJI) for _ in range(r.randint(1, 3)))
    if kind == 3:
        return "".join(r.choice(DIGITS) for _ in several)
    if kind == 4:
        return "".join(r.choice(SPACES) for _ in several)
    if kind == 5:
        return r.choice(SPACES) * r.randint(1, 20)
    if kind == 6:
        return "".join(chr(r.choice([r.randrange(32), r.randrange(0x7F, 0xA0)])) for _ in several)
    if kind == 7:
        return r.choice(["e", "A", "ñ", "ક", " ", "1", ""]) + "".join(r.choice(MARKS) for _ in range(r.randint(1, 5)))
    if kind == 8:
        return r.choice(CODE)
    if kind == 9:
        return "".join(r.choice("abcdefghijklmnopqrstuvwxyzABC0_") for _ in range(r.randint(20, 300)))
    if kind == 10:
        return r.choice(["I", "you", "É", "3", " ", ""]) + r.choice(APOSTROPHES) + r.choice(["", " ", "a", "S", "1"])
    if kind == 11:
        return "".join(r.choice(["\r\n", "\n", "\r", "\n\n", " \n", "\r\r\n", " ", "\t"]) for _ in several)
    if kind == 12:
        return "".join(r.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~«»“”…—¿¡€£±×÷") for _ in several)
    return "".join(r.choice(WORDS) for _ in several)


def random_text(r):
    return "".join(piece(r) for _ in range(r.randint(1, 10)))


# ---- comparison ----

def ours(program, command, path, values):
    with tempfile.TemporaryFile() as lines:
        for value in values:
            lines.write(json.dumps(value).encode() + b"\n")
        lines.seek(0)
        done = subprocess.run([program, command, path], stdin=lines, stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def compare(program, path, n, seed):
    tokenizer, note = reference(path)
    r = random.Random(seed)
    texts = [random_text(r) for _ in range(n)]
    expected = tokenizer.ids(texts)
    got = ours(program, "tokenize", path, texts)
    different = [i for i in range(n) if expected[i] != got[i]]
    print(f"{path}: {note}: {n} texts, {sum(map(len, texts))} characters, {sum(map(len, got))} ids, {len(different)} differences")
    for i in different[:5]:
        print(f"  text {ascii(texts[i])}\n  expected {expected[i]}\n  got      {got[i]}")
    return len(different)


def speed(program, path, megabytes):
    """Seconds for the same ordinary text on one thread each; the start of our program is measured apart and taken off."""
    tokenizer, note = reference(path)
    r = random.Random(7)
    line = lambda: "".join(r.choice(WORDS + CODE + [" the", " a", " house", " was", ", ", ".\n", " 2024"]) for _ in range(400))
    texts, size = [], 0
    while size < megabytes << 20:
        texts.append(line())
        size += len(texts[-1].encode())
    begin = time.perf_counter()
    tokenizer.ids(texts)
    library = time.perf_counter() - begin
    begin = time.perf_counter()
    ours(program, "tokenize", path, [""])
    start = time.perf_counter() - begin
    begin = time.perf_counter()
    ours(program, "tokenize", path, texts)
    own = time.perf_counter() - begin - start
    print(f"{path}: {note}: {size / 1e6:.1f} MB: library {size / library / 1e6:.2f} MB/s, pg_llm {size / own / 1e6:.2f} MB/s (with JSON)")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--program", default="build/llm")
    options.add_argument("--n", type=int, default=10000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--speed", type=int, metavar="MB", help="measure speed over this much text instead")
    options.add_argument("models", nargs="+")
    args = options.parse_args()
    if args.speed:
        for path in args.models:
            speed(args.program, path, args.speed)
        return 0
    return 1 if sum(compare(args.program, path, args.n, args.seed) for path in args.models) else 0


if __name__ == "__main__":
    sys.exit(main())
