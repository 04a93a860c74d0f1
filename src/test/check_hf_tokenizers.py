#!/usr/bin/env python3
"""Compare build/llm tokenize with the tokenizers library on tokenizer.json files.

    python3 src/test/check_hf_tokenizers.py [--n N] [--seed S] [--speed MB] [--only NAME] [--record FOLDER] [--vocab FOLDER] [FILE.json ...]

Without files: small tokenizers are trained with the library, one for each way in which public models set it up. For each the ids of random
Unicode texts, of texts full of added tokens, of pairs, and the text that ids give back must be the library's. With files: the same for
those. --vocab: the vocabularies X.gguf of llama.cpp's tests, written as tokenizer.json, must give the ids in X.gguf.out for the texts in
X.gguf.inp. --speed: seconds for MB megabytes of ordinary text instead. Needs the PyPI packages tokenizers, sentencepiece and gguf. Ends with 1 if there is a difference.
"""
import argparse
import json
import os
import random
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import check_tokenizers
from check_tokenizers import LLAMA3, O200K, ANY_CASE, CJK, DEEPSEEK_WORD, DEEPSEEK_TAIL, close_writer, ours, random_text
from gguf import GGUFWriter
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

N = normalizers
P = pre_tokenizers
D = decoders
LETTERS = P.ByteLevel.alphabet()
SIZE = 3000          # of the vocabularies
RECORDED = ("llama3", "deepseek3", "falcon", "gemma", "llama2", "metaspace_first", "phi3", "bert", "word_level", "flags", "unigram_bytes", "clip", "subwords", "mapped_marks")


def training_texts():
    r = random.Random(5)
    return [random_text(r)[:200] for _ in range(1500)] + ["the quick brown fox doesn't jump over the lazy dog. " * 3] * 20


def split(pattern, behavior="isolated", invert=False):
    return P.Split(Regex(pattern), behavior=behavior, invert=invert)


def byte_bpe(pre, normalizer=None, ignore_merges=False, unk=None, tokens=("<|endoftext|>",)):
    t = Tokenizer(models.BPE(ignore_merges=ignore_merges, unk_token=unk))
    if normalizer:
        t.normalizer = normalizer
    t.pre_tokenizer = pre
    t.decoder = D.ByteLevel()
    t.train_from_iterator(training_texts(), trainers.BpeTrainer(vocab_size=SIZE, initial_alphabet=LETTERS, special_tokens=list(tokens), show_progress=False))
    return t


def cut_and_bytes(*patterns):
    return P.Sequence([split(p) for p in patterns] + [P.ByteLevel(add_prefix_space=False, use_regex=False)])


def sentencepiece_bpe(normalizer, pre, byte_fallback, fuse_unk, decoder):
    """Trained on words with the mark in front, then set up as the models are."""
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.normalizer = N.Replace(" ", "▁")
    t.pre_tokenizer = P.Split("▁", "merged_with_next")
    special = ["<unk>", "<s>", "</s>"] + ([f"<0x{b:02X}>" for b in range(256)] if byte_fallback else [])
    t.train_from_iterator(training_texts(), trainers.BpeTrainer(vocab_size=SIZE, special_tokens=special, limit_alphabet=SIZE // 10, show_progress=False))
    state = json.loads(t.to_str())
    state["model"].update(byte_fallback=byte_fallback, fuse_unk=fuse_unk)
    state["added_tokens"] = [a for a in state["added_tokens"] if not a["content"].startswith("<0x")]
    t = Tokenizer.from_str(json.dumps(state))
    t.normalizer, t.pre_tokenizer, t.decoder = normalizer, pre, decoder
    return t


def clear(t, part):
    state = json.loads(t.to_str())
    state[part] = None
    return Tokenizer.from_str(json.dumps(state))


def char_map():
    model = check_tokenizers.trained_unigram_model([x.replace("\0", "") for x in training_texts()], vocab_size=4000, character_coverage=0.98, normalization_rule_name="nmt_nfkc")
    return check_tokenizers.char_map_of(model)


def unigram(normalizer, pre, decoder, byte_fallback=False, scheme=None):
    t = Tokenizer(models.Unigram())
    t.normalizer, t.pre_tokenizer, t.decoder = normalizer, pre, decoder
    # the trainer takes every character, so texts are plain ones: the random texts then have many unknown characters
    parts = check_tokenizers.WORDS + check_tokenizers.CODE + list(check_tokenizers.EMOJI) if SIZE > 1000 else check_tokenizers.CODE
    texts = ["".join(random.Random(i).choices(parts, k=20)) for i in range(2000)]
    t.train_from_iterator(texts, trainers.UnigramTrainer(vocab_size=SIZE, unk_token="<unk>", special_tokens=["<s>", "<pad>", "</s>", "<unk>"], show_progress=False))
    if byte_fallback:
        state = json.loads(t.to_str())
        state["model"]["vocab"] += [[f"<0x{b:02X}>", -30.0 - b / 7] for b in range(256)]
        state["model"]["byte_fallback"] = True
        t = Tokenizer.from_str(json.dumps(state))
    return t


def bert(lowercase, strip_accents=None, chinese=True):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = N.BertNormalizer(lowercase=lowercase, strip_accents=strip_accents, handle_chinese_chars=chinese)
    t.pre_tokenizer = P.BertPreTokenizer()
    t.decoder = D.WordPiece()
    t.train_from_iterator(training_texts(), trainers.WordPieceTrainer(vocab_size=SIZE, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], limit_alphabet=SIZE // 8, show_progress=False))
    sep, cls = t.token_to_id("[SEP]"), t.token_to_id("[CLS]")
    t.post_processor = processors.TemplateProcessing(single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=[("[CLS]", cls), ("[SEP]", sep)])
    return t


def affixed(model, normalizer, pre, decoder, alphabet=()):
    """BPE whose tokens show where in a word they stand; model: prefix, suffix and others of its options."""
    t = Tokenizer(models.BPE(unk_token="<unk>", **model))
    t.normalizer, t.pre_tokenizer, t.decoder = normalizer, pre, decoder
    affixes = {k: v for k, v in model.items() if k != "fuse_unk"}
    t.train_from_iterator(training_texts(), trainers.BpeTrainer(vocab_size=SIZE, initial_alphabet=list(alphabet), special_tokens=["<unk>"], limit_alphabet=SIZE // 4, show_progress=False, **affixes))
    t.add_tokens([AddedToken("\n", lstrip=True, rstrip=True, normalized=False)])
    return t


def clip():
    words = split(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", "removed", True)
    normalizer = N.Sequence([N.NFC(), N.Replace(Regex(r"\s+"), " "), N.Lowercase()])
    return affixed({"end_of_word_suffix": "</w>"}, normalizer, P.Sequence([words, P.ByteLevel(add_prefix_space=False)]), D.ByteLevel(), LETTERS)


def word_level():
    t = Tokenizer(models.WordLevel(unk_token="<unk>"))
    t.normalizer = N.Sequence([N.NFKD(), N.StripAccents(), N.Lowercase(), N.Strip()])
    t.pre_tokenizer = P.Whitespace()
    t.train_from_iterator(training_texts(), trainers.WordLevelTrainer(vocab_size=SIZE, special_tokens=["<unk>"], show_progress=False))
    return t


def odd_steps(pre, normalizer=None):
    return byte_bpe(P.Sequence([pre, P.ByteLevel(add_prefix_space=False, use_regex=False)]), normalizer)


def flagged():
    t = byte_bpe(P.ByteLevel(add_prefix_space=False), N.Sequence([N.NFC(), N.Lowercase()]))
    t.add_tokens([AddedToken("<L>", lstrip=True, normalized=False), AddedToken("<R>", rstrip=True, normalized=False), AddedToken("<LR>", lstrip=True, rstrip=True, normalized=False),
                  AddedToken("word", single_word=True, normalized=False), AddedToken("Normal", normalized=True), AddedToken("É1", normalized=True), AddedToken("  ", normalized=False),
                  AddedToken("<R>x", normalized=False), AddedToken("ab", normalized=True, single_word=True, lstrip=True)])
    t.add_special_tokens([AddedToken("<S>", normalized=True, special=True), AddedToken("<LS>", lstrip=True, special=True), AddedToken("<|x|>", special=True)])
    return t


def llama2_decoder():
    return D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)])


def families():
    nmt = N.Precompiled(char_map()) if SIZE > 1000 else None
    sp = Regex(" {2,}")
    xlmr = P.Sequence([P.WhitespaceSplit(), P.Metaspace()])
    def roberta():
        t = byte_bpe(P.ByteLevel(add_prefix_space=True), tokens=("<s>", "<pad>", "</s>", "<unk>", "<mask>"))
        t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
        return t
    def llama3():
        t = byte_bpe(cut_and_bytes(LLAMA3 % "{1,3}"), ignore_merges=True, tokens=("<|begin_of_text|>", "<|eot_id|>"))
        t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
            single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1", special_tokens=[("<|begin_of_text|>", 0)])])
        return t
    def phi3():
        t = clear(sentencepiece_bpe(N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")]), None, True, True, llama2_decoder()), "pre_tokenizer")
        t.add_special_tokens([AddedToken("<|endoftext|>", special=True)] + [AddedToken(x, rstrip=True, special=True) for x in ("<|user|>", "<|end|>", "<|assistant|>")])
        return t
    return {
        "gpt2": lambda: byte_bpe(P.ByteLevel(add_prefix_space=False)),
        "roberta": roberta,
        "llama3": llama3,
        "qwen2": lambda: byte_bpe(cut_and_bytes(LLAMA3 % ""), N.NFC()),
        "qwen35": lambda: byte_bpe(cut_and_bytes(check_tokenizers.SPLITS["qwen35"][0]), N.NFC()),
        "deepseek3": lambda: byte_bpe(cut_and_bytes(r"\p{N}{1,3}", CJK, DEEPSEEK_WORD + DEEPSEEK_TAIL)),
        "gpt4o": lambda: byte_bpe(cut_and_bytes(O200K % (ANY_CASE + "?", ANY_CASE + "?", "{1,3}"))),
        "kimi": lambda: byte_bpe(cut_and_bytes(*check_tokenizers.SPLITS["kimi-k2"])),
        "aya": lambda: byte_bpe(cut_and_bytes(*check_tokenizers.SPLITS["tiny_aya"])),
        "deepseek": lambda: byte_bpe(cut_and_bytes(*check_tokenizers.SPLITS["deepseek-llm"])),
        "smollm": lambda: byte_bpe(P.Sequence([P.Digits(individual_digits=True), P.ByteLevel(add_prefix_space=False)])),
        "falcon": lambda: byte_bpe(P.Sequence([P.Punctuation("contiguous"), P.ByteLevel(add_prefix_space=False), P.Digits(individual_digits=False), split("[0-9][0-9][0-9]")])),
        "neox": lambda: byte_bpe(P.ByteLevel(add_prefix_space=False), N.NFC(), tokens=("<|endoftext|>", "<|padding|>", "[MASK]")),
        "bytes_normalizer": lambda: byte_bpe(split(LLAMA3 % "{1,3}"), N.Sequence([N.NFKC(), N.ByteLevel()])),
        "gemma": lambda: sentencepiece_bpe(N.Replace(" ", "▁"), P.Split(" ", "merged_with_previous"), True, True, D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse()])),
        "llama2": lambda: clear(sentencepiece_bpe(N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")]), None, True, True, llama2_decoder()), "pre_tokenizer"),
        "llama2_no_bytes": lambda: clear(sentencepiece_bpe(N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")]), None, False, True, llama2_decoder()), "pre_tokenizer"),
        "llama2_no_fuse": lambda: clear(sentencepiece_bpe(N.Replace(" ", "▁"), None, False, False, llama2_decoder()), "pre_tokenizer"),
        "metaspace_first": lambda: clear(sentencepiece_bpe(None, P.Metaspace(prepend_scheme="first", split=False), True, True, llama2_decoder()), "normalizer"),
        "metaspace_always": lambda: sentencepiece_bpe(N.Strip(), P.Metaspace(prepend_scheme="always", split=True), True, False, D.Metaspace()),
        "metaspace_first_strip": lambda: sentencepiece_bpe(N.Strip(), P.Metaspace(prepend_scheme="first", split=True), True, False, D.Metaspace(prepend_scheme="never")),
        "phi3": phi3,
        "t5": lambda: unigram(N.Sequence([nmt]), xlmr, D.Metaspace()),
        "xlmr": lambda: unigram(N.Sequence([nmt, N.Replace(sp, " ")]), P.Metaspace(), D.Metaspace()),
        "albert": lambda: unigram(N.Sequence([N.Replace("``", '"'), N.NFKD(), N.StripAccents(), N.Lowercase(), nmt]), xlmr, D.Metaspace()),
        "unigram_bytes": lambda: unigram(N.Sequence([N.Nmt(), N.NFKC(), N.Replace(Regex(r"\s+"), " ")]), P.Metaspace(), D.Sequence([D.ByteFallback(), D.Metaspace()]), True),
        "bert": lambda: bert(True),
        "bert_cased": lambda: bert(False),
        "bert_accents": lambda: bert(True, False, False),
        "clip": clip,
        "gpt1": lambda: affixed({"end_of_word_suffix": "</w>"}, N.BertNormalizer(), P.BertPreTokenizer(), D.BPEDecoder()),
        "subwords": lambda: affixed({"continuing_subword_prefix": "##", "end_of_word_suffix": "@@", "fuse_unk": True}, N.NFC(), P.Sequence([P.WhitespaceSplit(), P.FixedLength(7)]), D.BPEDecoder("@@")),
        "mapped_suffix": lambda: affixed({"end_of_word_suffix": "</w>"}, None, P.Sequence([P.ByteLevel(add_prefix_space=False), P.Digits()]), D.ByteLevel(), LETTERS),
        "mapped_marks": lambda: byte_bpe(P.Sequence([P.ByteLevel(add_prefix_space=False), P.Metaspace(prepend_scheme="always", split=True)]), unk="<|endoftext|>"),
        "word_level": word_level,
        "flags": flagged,
        "removed": lambda: odd_steps(split(r"\d+|\s", "removed")),
        "inverted": lambda: odd_steps(split(r"\w+|[^\w\s]+", "removed", True), N.NFD()),
        "contiguous": lambda: odd_steps(split(r"[aeiou\s]", "contiguous")),
        "previous": lambda: odd_steps(split(r"[aeiou\s]", "merged_with_previous")),
        "next": lambda: odd_steps(P.Sequence([split(r"[aeiou\s]", "merged_with_next"), P.CharDelimiterSplit("t")])),
        "look_ahead": lambda: odd_steps(split(r"(?=(\d{3})+(?!\d))|^\s|\bth|.$")),
    }


def write_gguf(path, text):
    writer = GGUFWriter(path, "llama")
    writer.add_tokenizer_model("huggingface")
    writer.add_string("tokenizer.huggingface.json", text)
    close_writer(writer)


def run(program, path, values, *options):
    import subprocess
    with tempfile.TemporaryFile() as lines:
        for value in values:
            lines.write(json.dumps(value).encode() + b"\n")
        lines.seek(0)
        done = subprocess.run([program, "tokenize", path, *options], stdin=lines, stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def with_added(r, tokenizer, texts):
    """Texts with added tokens between and inside of words."""
    names = [t.content for t in tokenizer.get_added_tokens_decoder().values()]
    out = []
    for text in texts:
        parts = [text[:40]]
        for _ in range(r.randint(1, 5)):
            parts.append(r.choice(names + ["Word", "word", "NORMAL", "e\u0301", "É1", "ab"]) if names else "")
            parts.append(r.choice(["", " ", "  ", "x", "\t\u00a0", text[40:60]]))
        out.append("".join(parts))
    return out


def differences(name, what, inputs, expected, got):
    wrong = [i for i in range(len(inputs)) if expected[i] != got[i]]
    for i in wrong[:3]:
        print(f"  {name}, {what}: {ascii(inputs[i])}\n    expected {ascii(expected[i])}\n    got      {ascii(got[i])}")
    return len(wrong)


def compare(program, name, tokenizer, n, seed):
    r = random.Random(seed)
    texts = [random_text(r) for _ in range(n)]
    if os.path.exists("../shared/evals/unicode.jsonl"):
        texts += [json.loads(line) if not isinstance(json.loads(line), dict) else json.loads(line)["text"] for line in open("../shared/evals/unicode.jsonl", encoding="utf-8")]
    texts += ["".join(random_text(r) for _ in range(200)) for _ in range(3)] + ["the quick brown fox " * 2000, "x" * 5000, " " * 3000]
    added = with_added(r, tokenizer, texts[:n // 4])
    pairs = [[texts[i], texts[i + 1]] for i in range(0, min(n, 1000), 2)]
    tokenizer.no_truncation()
    tokenizer.no_padding()
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/t.gguf"
        write_gguf(path, tokenizer.to_str())
        wrong, total = {}, 0
        plain = [tokenizer.encode(t, add_special_tokens=False).ids for t in texts]
        checks = [("plain", texts, plain, ["--special"]), ("special", added, [tokenizer.encode(t).ids for t in added], ["--special", "--bos"]),
                  ("pairs", pairs, [tokenizer.encode(a, b).ids for a, b in pairs], ["--special", "--bos"])]
        ids = [p for p in plain if p] + [e for e in checks[1][2] if e]
        size = tokenizer.get_vocab_size()
        ids += [[r.randrange(size) for _ in range(r.randint(1, 20))] for _ in range(n // 4)]
        checks += [("text", ids, [tokenizer.decode(i, skip_special_tokens=True) for i in ids], []),
                   ("text and special", ids, [tokenizer.decode(i, skip_special_tokens=False) for i in ids], ["--special"])]
        for what, inputs, expected, options in checks:
            wrong[what] = differences(name, what, inputs, expected, run(program, path, inputs, *options))
            total += len(inputs)
    print(f"{name}: {total} compared, different: {sum(wrong.values())} {[k for k, v in wrong.items() if v]}", flush=True)
    return sum(wrong.values())


def record(folder, name, tokenizer):
    """A tokenizer with texts and what the library makes of them, for src/test/unit/hf_tokenizer_test.c."""
    r = random.Random(3)
    texts = ["", " ", "the  quick\n\nfox"] + [random_text(r)[:60] for _ in range(20)]
    texts += with_added(r, tokenizer, texts[3:9])
    cases = [[t, tokenizer.encode(t).ids] for t in texts]
    pairs = [[texts[i], texts[i + 1], tokenizer.encode(texts[i], texts[i + 1]).ids] for i in range(2, 6)]
    decoded = [[ids, tokenizer.decode(ids)] for _, ids in cases if ids]
    with open(f"{folder}/{name}.json", "w", encoding="utf-8") as out:
        json.dump({"tokenizer": json.loads(tokenizer.to_str()), "texts": cases, "pairs": pairs, "decoded": decoded}, out, separators=(",", ":"), ensure_ascii=False)
        out.write("\n")


def from_gguf(path):
    """The tokenizer of a GGUF file as the library has it. A SentencePiece vocabulary has scores, which order its merges."""
    reader = check_tokenizers.GGUFReader(path)
    if check_tokenizers.field(reader, "tokenizer.ggml.model") != "llama":
        return check_tokenizers.reference(path)[0].tokenizer
    tokens = check_tokenizers.field(reader, "tokenizer.ggml.tokens")
    scores = check_tokenizers.field(reader, "tokenizer.ggml.scores")
    vocab = {text: i for i, text in enumerate(tokens)}
    merges = [(t[:k], t[k:]) for t in tokens for k in range(1, len(t)) if t[:k] in vocab and t[k:] in vocab]
    merges.sort(key=lambda m: -scores[vocab[m[0] + m[1]]])
    t = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer, t.decoder = N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")]), llama2_decoder()
    return t


def compare_vocabulary(program, path):
    with open(path + ".inp", encoding="utf-8", newline="") as file:
        texts = file.read().split("\n__ggml_vocab_test__\n")
    with open(path + ".out", encoding="utf-8") as file:
        expected = [[int(i) for i in line.split()] for line in file.read().split("\n")[:len(texts)]]
    with tempfile.TemporaryDirectory() as folder:
        write_gguf(f"{folder}/t.gguf", from_gguf(path).to_str())
        got = run(program, f"{folder}/t.gguf", texts)
    wrong = differences(os.path.basename(path), "ids", texts, expected, got)
    print(f"{os.path.basename(path)}: {len(texts)} compared, different: {wrong}", flush=True)
    return wrong


def speed(program, name, tokenizer, megabytes):
    r = random.Random(7)
    words = check_tokenizers.WORDS + check_tokenizers.CODE + [" the", " a", " house", " was", ", ", ".\n", " 2024"]
    texts, size = [], 0
    while size < megabytes * 1e6:
        texts.append("".join(r.choice(words) for _ in range(400)))
        size += len(texts[-1].encode())
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/t.gguf"
        write_gguf(path, tokenizer.to_str())
        begin = time.perf_counter()
        for t in texts:
            tokenizer.encode(t, add_special_tokens=False)
        library = time.perf_counter() - begin
        begin = time.perf_counter()
        run(program, path, [""])
        start = time.perf_counter() - begin
        begin = time.perf_counter()
        run(program, path, texts)
        own = time.perf_counter() - begin - start
        begin = time.perf_counter()
        run(program, path, ["xq" * 500000])
        long = time.perf_counter() - begin - start
    print(f"{name}: {size / 1e6:.1f} MB: library {size / 1e6 / library:.1f} MB/s, ours {size / 1e6 / own:.1f} MB/s, opening {start * 1000:.0f} ms, a megabyte without spaces {long:.2f} s", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default="build/llm")
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", type=float)
    parser.add_argument("--only")
    parser.add_argument("--record", metavar="FOLDER", help="write the small tokenizers of the unit test")
    parser.add_argument("--vocab", metavar="FOLDER")
    parser.add_argument("files", nargs="*")
    a = parser.parse_args()
    if a.record:
        globals()["SIZE"] = 360
        for name in RECORDED:
            record(a.record, name, families()[name]())
        return 0
    if a.vocab:
        paths = sorted(f"{a.vocab}/{name}" for name in os.listdir(a.vocab) if os.path.exists(f"{a.vocab}/{name}.out"))
        return sum(compare_vocabulary(a.program, path) for path in paths) != 0
    known = {f: (lambda f=f: Tokenizer.from_file(f)) for f in a.files} or families()
    bad = 0
    for name, make in known.items():
        if a.only and name not in a.only.split(","):
            continue
        if a.speed:
            speed(a.program, name, make(), a.speed)
        else:
            bad += compare(a.program, name, make(), a.n, a.seed)
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
