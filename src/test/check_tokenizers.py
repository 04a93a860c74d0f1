#!/usr/bin/env python3
"""Compare build/llm tokenize with the tokenizers and sentencepiece libraries on random Unicode, or their speed.

    python3 src/test/check_tokenizers.py [--n N] [--seed S] [--speed] MODEL.gguf ...
    python3 src/test/check_tokenizers.py [--n N] [--seed S] --trained NAME ...

The reference is made from the file's own vocabulary: for byte-level BPE the tokenizers library with the pre-tokenizer that
Hugging Face defines for its name (tokenizer.ggml.pre), for WordPiece the same library with BERT's normalizer, else the sentencepiece library. --trained makes a small vocabulary for each
NAME instead: of a pre-tokenizer (its merges cross what the pre-tokenizer cuts, so that every cut shows; "all" are all that are
defined here), or "unigram". Needs the PyPI packages tokenizers,
sentencepiece and gguf; RAYON_NUM_THREADS=1 gives the library one thread when measuring speed. Prints one line for each model and, for a
difference, the text and both lists of ids; ends with 1 if there is any.
"""
import argparse
import functools
import io
import json
import random
import struct
import subprocess
import sys
import tempfile
import time

try:
    import sentencepiece
except ImportError:         # only for vocabularies of that library
    sentencepiece = None
from gguf import GGUFReader, GGUFWriter
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+%s|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
         r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*%s|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
ANY_CASE = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
CASED = ("[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377"
         "\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5"
         "\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d"
         "\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4"
         "\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d"
         "\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4"
         "\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06"
         "\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2"
         "\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943]+")
DEEPSEEK_CJK = "[一-龥\u0800-一가-\ud7ff]+"
CJK = "[一-龥\u3040-ゟ゠-ヿ]+"
DEEPSEEK_WORD = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+")
DEEPSEEK_TAIL = r"[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
KIMI_UPPER, KIMI_LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
ASIAN = ("[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f\u2f00-\u2fdf\u0e40-\u0e7f\u0e80-\u0eff\u1780-\u17ff"
         "\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff]+")
# patterns as the models' tokenizer.json has them, one after the other
SPLITS = {
    "tekken": [O200K % ("", "", "")],
    "gpt-4o": [O200K % (ANY_CASE + "?", ANY_CASE + "?", "{1,3}")],
    "qwen35": [ANY_CASE + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "minicpm5": [r"\p{N}{1,3}", LLAMA3 % "+"],
    "laguna": [r"[^\n]+|[\n]+", LLAMA3 % ""],
    "ufakzeka": [r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "jais-2": [(LLAMA3 % "{1,3}").replace(r"\s+(?!\S)|\s+", "".join(r"\s{%s}(?!\S)|" % n for n in (512, 256, 128, 64, 32, 16, 8, 4, "1,2")) + r"\s{1}")],
    "bailingmoe": [r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"],
    "seed-coder": [ANY_CASE + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "exaone-moe": [ANY_CASE + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"],
    "kimi-k2": [r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?" + KIMI_UPPER + "*" + KIMI_LOWER + "+" + ANY_CASE + r"?|[^\r\n\p{L}\p{N}]?" + KIMI_UPPER + "+" + KIMI_LOWER
                + "*" + ANY_CASE + r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "youtu": ["[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥\u3040-ゟ゠-ヿ]+", O200K % (ANY_CASE + "?", ANY_CASE + "?", "")],
    "tiny_aya": [r"\d{1,3}(?=(?:\d{3})*\b)", O200K % (ANY_CASE + "?", ANY_CASE + "?", "{1,3}")],
    "superbpe": [r"\p{N}+", r"(?=(\d{3})+(?!\d))"],
    "deepseek-llm": [r"[\r\n]", r"\s?" + CASED, r"\s?[!-/:-~！-／：-～‘-‟\u3000-。]+", r"\s+$", DEEPSEEK_CJK, r"\p{N}+"],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", DEEPSEEK_CJK, r"\p{N}"],
    "deepseek-v3": [r"\p{N}{1,3}", CJK, DEEPSEEK_WORD + DEEPSEEK_TAIL],
    "spark2_5": [r"\p{N}{1,3}", CJK, DEEPSEEK_WORD + r"|[\r\n]|\s+(?!\S)|\s+", r"\p{N}"],
    "afmoe": [r"\p{N}+", r"(?=(\p{N}{3})+(?!\p{N}))", ASIAN, DEEPSEEK_WORD + DEEPSEEK_TAIL],
    "bloom": [BLOOM],
    "viking": [BLOOM, r"\p{N}"],
    "chameleon": [r"<sentinel:[0-9]+>", r"(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", r"([\t\n]|    |  )", r"\p{N}", r"[\p{P}!-/:-@\[-`{-~]",
                  r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"],
}
IGNORE_MERGES = ("llama-bpe", "tekken", "youtu", "minicpm5")
TYPE_USER = 4


def split_then_bytes(*patterns):
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(p), behavior="isolated", invert=False) for p in patterns]
        + [pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=False)])


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
    if name in SPLITS:
        return split_then_bytes(*SPLITS[name])
    sys.exit(f"no reference is known for the pre-tokenizer {name!r}")


def field(reader, key, default=None):
    return reader.fields[key].contents() if key in reader.fields else default


class Library:
    """A tokenizers.Tokenizer."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def ids(self, texts):
        return [e.ids for e in self.tokenizer.encode_batch(texts, add_special_tokens=False)]


def wordpiece(tokens, types, unknown, lowercase):
    """Tokens as GGUF has them: U+2581 begins a word, where BERT's own files have ## before all others."""
    def own(text, kind):
        return text if kind in (2, 3) else text[1:] if text[0] == "\u2581" else "##" + text
    tokenizer = Tokenizer(models.WordPiece({own(t, k): i for i, (t, k) in enumerate(zip(tokens, types))}, unk_token=unknown, max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return Library(tokenizer)


def reference(path):
    """What ids(texts) of a GGUF file should be, and a note on what it is."""
    reader = GGUFReader(path)
    tokens = field(reader, "tokenizer.ggml.tokens")
    types = field(reader, "tokenizer.ggml.token_type", [1] * len(tokens))
    if field(reader, "tokenizer.ggml.model") == "llama":
        scores = field(reader, "tokenizer.ggml.scores")
        return SentencePiece(tokens, scores, types, field(reader, "tokenizer.ggml.add_space_prefix", True)), "spm"
    if field(reader, "tokenizer.ggml.model") == "bert":
        return wordpiece(tokens, types, tokens[field(reader, "tokenizer.ggml.unknown_token_id")],
                         field(reader, "tokenizer.ggml.normalizer.lowercase", True)), "wordpiece"
    name = field(reader, "tokenizer.ggml.pre")
    vocab = {text: i for i, text in enumerate(tokens)}
    merges = [tuple(m.split(" ", 1)) for m in field(reader, "tokenizer.ggml.merges")]
    # a merge through a string that is no token cannot be told to the library; there is none in the models we compare
    merges = [(a, b) for a, b in merges if a in vocab and b in vocab and a + b in vocab]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=name in IGNORE_MERGES))
    tokenizer.pre_tokenizer = pre_tokenizer(name)
    # user-defined tokens are recognised everywhere; control tokens never are in text that is data
    user = [t for t, k in zip(tokens, types) if k == TYPE_USER and not (t.startswith("<|") and t.endswith("|>"))]
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in user])
    return Library(tokenizer), "bpe/" + name


@functools.cache
def crossing_bpe():
    """A small vocabulary whose merges cross spaces, digits and scripts."""
    r = random.Random(5)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    texts = [random_text(r)[:200] for _ in range(3000)]
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=6000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return json.loads(tokenizer.to_str())["model"]


def trained_bpe(name, path):
    """A GGUF file with that vocabulary, for a pre-tokenizer of this name."""
    model = crossing_bpe()
    writer = GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(name)
    writer.add_token_list(sorted(model["vocab"], key=model["vocab"].get))
    writer.add_token_merges([" ".join(m) for m in model["merges"]])
    close_writer(writer)


def fields_of(message, number):
    """The byte strings of a field in a protocol buffer."""
    def varint(i):
        value = shift = 0
        while True:
            value |= (message[i] & 127) << shift
            shift, i = shift + 7, i + 1
            if message[i - 1] < 128:
                return value, i
    i, found = 0, []
    while i < len(message):
        key, i = varint(i)
        if key & 7 == 2:
            size, i = varint(i)
            if key >> 3 == number:
                found.append(message[i:i + size])
            i += size
        else:
            i = varint(i)[1] if key & 7 == 0 else i + (4 if key & 7 == 5 else 8)
    return found


def trained_unigram_model(texts, **options):
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(texts), model_writer=made, model_type="unigram", num_threads=1, hard_vocab_limit=False,
                                             minloglevel=2, **options)
    return made.getvalue()


def char_map_of(model):
    return fields_of(fields_of(model, 3)[0], 2)[0]


def pieces_of(processor):
    ids = range(processor.get_piece_size())
    types = [2 if processor.is_unknown(i) else 3 if processor.is_control(i) else 1 for i in ids]
    return [processor.id_to_piece(i) for i in ids], [processor.get_score(i) for i in ids], types


def trained_unigram(path):
    """A GGUF file of a small unigram model, and that model."""
    r = random.Random(5)
    texts = [random_text(r)[:200].replace("\0", "") for _ in range(3000)]
    model = trained_unigram_model(texts, vocab_size=8000, character_coverage=0.98, normalization_rule_name="nmt_nfkc")
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    tokens, scores, types = pieces_of(processor)
    writer = GGUFWriter(path, "t5")
    writer.add_tokenizer_model("t5")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_unk_token_id(processor.unk_id())
    writer.add_eos_token_id(processor.eos_id())
    writer.add_precompiled_charsmap(char_map_of(model))
    close_writer(writer)
    return processor


class Processor:
    def __init__(self, processor):
        self.processor = processor

    def ids(self, texts):
        return [self.processor.encode(text) for text in texts]


def close_writer(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


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

    def __init__(self, tokens, scores, types, space_prefix, model_type=2):
        pieces = b"".join(wire(1, wire(1, t) + wire(2, float(s)) + wire(3, int(k))) for t, s, k in zip(tokens, scores, types))
        trainer = wire(3, model_type) + wire(35, 1)                 # 1: unigram, 2: BPE; with tokens of bytes
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


def compare(program, path, n, seed, known=None):
    tokenizer, note = known or reference(path)
    r = random.Random(seed)
    texts = [random_text(r) for _ in range(n)]
    expected = tokenizer.ids(texts)
    got = ours(program, "tokenize", path, texts)
    different = [i for i in range(n) if expected[i] != got[i]]
    print(f"{path}: {note}: {n} texts, {sum(map(len, texts))} characters, {sum(map(len, got))} ids, {len(different)} differences")
    for i in different[:5]:
        print(f"  text {ascii(texts[i])}\n  expected {expected[i]}\n  got      {got[i]}")
    return len(different)


def compare_trained(program, name, n, seed):
    if name == "all":
        names = ["smollm", "gpt-2", "llama-bpe", "qwen2"] + list(SPLITS)
        return sum(compare_trained(program, one, n, seed) for one in names)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/{name}.gguf"
        if name == "unigram":
            return compare(program, path, n, seed, (Processor(trained_unigram(path)), name))
        trained_bpe(name, path)
        return compare(program, path, n, seed)


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
    options.add_argument("--trained", action="store_true", help="the arguments are names to make small vocabularies for")
    options.add_argument("models", nargs="+")
    args = options.parse_args()
    if args.trained:
        return 1 if sum(compare_trained(args.program, name, args.n, args.seed) for name in args.models) else 0
    if args.speed:
        for path in args.models:
            speed(args.program, path, args.speed)
        return 0
    return 1 if sum(compare(args.program, path, args.n, args.seed) for path in args.models) else 0


if __name__ == "__main__":
    sys.exit(main())
