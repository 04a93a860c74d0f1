#!/usr/bin/env python3
"""Write src/test/unit/jinja_cases.h, tokenizer_cases.h and unigram_cases.h: what jinja2 and the tokenizers and sentencepiece libraries make of our inputs.

    python3 src/test/make_text_cases.py

The results are kept in the tree, so the tests need neither library. Needs the PyPI packages jinja2 3.1, tokenizers, sentencepiece and gguf.
"""
import os
import random
import tempfile

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

import check_templates
import check_tokenizers
import template_cases

UNIT = os.path.join(os.path.dirname(__file__), "unit")
N_TEXTS = 30


def c_string(data):
    """A C literal of the bytes; octal escapes have three digits, so that no digit can follow into them."""
    if isinstance(data, str):
        data = data.encode("utf-8")
    text = "".join({0x22: '\\"', 0x5C: "\\\\", 0x0A: "\\n", 0x3F: "\\077"}.get(b, chr(b) if 32 <= b < 127 else "\\%03o" % b) for b in data)
    return f'"{text}"'


def put(name, what, lines):
    guard = "LLM_TEST_" + name.upper().replace(".", "_")
    with open(os.path.join(UNIT, name), "w", encoding="ascii") as out:
        out.write(f"/*\n * {name}: {what} Written by src/test/make_text_cases.py.\n */\n#ifndef {guard}\n#define {guard}\n\n")
        out.write("\n".join(lines) + "\n\n#endif\n")


def jinja_cases():
    templates = ["{{ " + line + " }}" for line in template_cases.EXPRESSIONS.replace("\\\nx", "\\\0x").split("\n") if line]
    templates = [t.replace("\0", "\n") for t in templates] + template_cases.TEMPLATES
    variables = check_templates.json.dumps(template_cases.VARIABLES)
    lines = ["static const char jinja_variables[] =\n\t" + c_string(variables) + ";", "",
             "/* expected NULL: refused */", "static const struct\n{\n\tconst char *template;\n\tsize_t\t\ttemplate_len;\n\tconst char *expected;\n\tsize_t\t\texpected_len;\n}\t\t\tjinja_cases[] = {"]
    for template in templates:
        text, _ = check_templates.expected(template, [template_cases.VARIABLES])[0]
        if text is not None and " at 0x" in text:
            continue
        source = template.encode()
        want = f"{c_string(text)}, {len(text.encode())}" if text is not None else "NULL, 0"
        lines.append(f"\t{{{c_string(source)}, {len(source)}, {want}}},")
    put("jinja_cases.h", "templates, and what jinja2 3.1 renders with Hugging Face's settings.", lines + ["};"])


TRAINING = ["the quick brown fox doesn't jump over the lazy dog, it'll sleep. " * 3, "for (int i = 0; i < n; ++i)\n\t\tsum += a[i];\n\n" * 3,
            "日本語のテキスト、日本語。 привет мир, привет! Straße naïve ﬁ  \r\n\r\n    1234 5678 2024-11-26 😀😀👩‍👩‍👧" * 3, "internationalization nationalities international " * 3]


def array(kind, name, values):
    rows = [", ".join(values[i:i + 24]) for i in range(0, len(values), 24)]
    return [f"static const {kind}{name}[] = {{\n\t" + ",\n\t".join(rows) + "\n};"]


BPE_NAMES = ("smollm", "llama-bpe", "gpt-2", "qwen2", "gpt-4o", "tekken", "qwen35", "deepseek-v3", "deepseek-llm", "tiny_aya", "kimi-k2", "youtu", "afmoe", "viking")


def bpe_cases(texts):
    """One vocabulary with several pre-tokenizers."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = check_tokenizers.pre_tokenizer("llama-bpe")
    tokenizer.train_from_iterator(TRAINING, trainers.BpeTrainer(vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    model = check_templates.json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    lines = array("char *const ", "bpe_tokens", [c_string(t) for t in tokens]) + array("char *const ", "bpe_merges", [c_string(" ".join(m)) for m in model["merges"]])
    for name in BPE_NAMES:
        tokenizer = Tokenizer(models.BPE(vocab=model["vocab"], merges=[tuple(m) for m in model["merges"]], ignore_merges=name in check_tokenizers.IGNORE_MERGES))
        tokenizer.pre_tokenizer = check_tokenizers.pre_tokenizer(name)
        lines += ids_of(check_tokenizers.Library(tokenizer), texts, name.replace("-", "_"))
    return lines


def spm_cases(texts):
    words = "▁ ▁▁ ▁▁▁▁ t h e a i n o s th he the ▁t ▁th ▁the in ing ▁a an and ▁and er re ' 's ll ▁I l é 日 本 日本 1 2 \n \n\n . , ▁▁▁ ▁▁the".split(" ")
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + words
    scores = [0.0] * 259 + [-float(11 * i % len(words)) for i in range(len(words))]
    types = [2, 3, 3] + [6] * 256 + [1] * len(words)
    tokenizer = check_tokenizers.SentencePiece(tokens, scores, types, True)
    lines = array("char *const ", "spm_tokens", [c_string(t) for t in tokens]) + array("float ", "spm_scores", [f"{s:.1f}f" for s in scores]) + array("int32_t ", "spm_types", [str(t) for t in types])
    return lines + ids_of(tokenizer, texts, "spm")


def wordpiece_cases(texts):
    """A word that begins has U+2581 as GGUF writes it; a few words, and characters at the beginning and inside of words."""
    characters = "abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'()[]{}<>+-*/=_|日本語中文字符приветкал한κ"
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + ["▁" + c for c in characters] + list(characters) + "▁the ▁for ▁int ing tion ▁hello naive ▁na ive strasse ▁▁".split(" ")
    types = [3, 2, 3, 3, 3] + [1] * (len(tokens) - 5)
    lines = array("char *const ", "wordpiece_tokens", [c_string(t) for t in tokens]) + array("int32_t ", "wordpiece_types", [str(t) for t in types])
    for name, lowercase in ("wordpiece", True), ("wordpiece_cased", False):
        lines += ids_of(check_tokenizers.wordpiece(tokens, types, "[UNK]", lowercase), texts, name)
    return lines


# parts of one character and of several, one the beginning of another; some become nothing, some spaces
UNIGRAM_RULES = [(c, " ") for c in "\t\n\r\u00a0\u2003\u3000\u2581"] + [(chr(c), "") for c in [*range(1, 9), 0x200b, 0xfeff]] + [
    ("\ufb01", "fi"), ("\ufdfa", "صلى الله عليه وسلم"), ("ß", "ss"), ("e\u0301", "é"), ("e\u0301\u0323", "ẹ́"), ("\u00a8", " \u0308"), ("日本", "日 本 "), ("Å", "å")
] + [(chr(0xFF00 + c - 0x20), chr(c)) for c in range(0x21, 0x7F)]


def unigram_cases(texts):
    """As SentencePiece has it, with a small map; and with the text as it is, no space before it, and tokens of bytes."""
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        rules.writelines("\t".join(" ".join("%X" % ord(c) for c in side) for side in rule) + "\n" for rule in UNIGRAM_RULES)
        rules.flush()
        model = check_tokenizers.trained_unigram_model(TRAINING, vocab_size=220, normalization_rule_tsv=rules.name)
    processor = check_tokenizers.sentencepiece.SentencePieceProcessor(model_proto=model)
    tokens, scores, types = check_tokenizers.pieces_of(processor)
    lines = array("char *const ", "unigram_tokens", [c_string(t) for t in tokens]) + array("float ", "unigram_scores", ["%sf" % repr(float(s)) for s in scores])
    lines += array("int32_t ", "unigram_types", [str(t) for t in types]) + array("uint8_t ", "unigram_map", [str(b) for b in check_tokenizers.char_map_of(model)])
    lines += ids_of(check_tokenizers.Processor(processor), texts, "unigram")
    tokens += [f"<0x{b:02X}>" for b in range(256)]
    plain = check_tokenizers.SentencePiece(tokens, scores + [0.0] * 256, types + [6] * 256, False, model_type=1)
    return lines + ids_of(plain, texts, "unigram_plain")


def ids_of(tokenizer, texts, name):
    """All ids in one array, the ids of text i in front of end i."""
    ids, ends = [], []
    for of_text in tokenizer.ids(texts):
        ids += of_text
        ends.append(len(ids))
    return array("int32_t ", f"{name}_ids", [str(i) for i in ids]) + array("int32_t ", f"{name}_ends", [str(i) for i in ends])


def tokenizer_cases():
    r = random.Random(3)
    texts = ["", " ", "  the", "the the  the\n\nand\n", "it's I'LL we'Re ' s"] + [check_tokenizers.random_text(r)[:80] for _ in range(N_TEXTS)]
    lines = ["static const struct\n{\n\tconst char *bytes;\n\tsize_t\t\tlen;\n}\t\t\ttokenizer_texts[] = {"]
    lines += [f"\t{{{c_string(t)}, {len(t.encode())}}}," for t in texts] + ["};"]
    put("tokenizer_cases.h", "small vocabularies, texts, and the ids that the tokenizers and sentencepiece libraries give.", lines + bpe_cases(texts) + spm_cases(texts) + wordpiece_cases(texts))
    put("unigram_cases.h", "a small unigram vocabulary, its character map, and the ids that the sentencepiece library gives for the texts of tokenizer_cases.h.", unigram_cases(texts))


if __name__ == "__main__":
    jinja_cases()
    tokenizer_cases()
