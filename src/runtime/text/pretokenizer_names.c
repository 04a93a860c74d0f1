/*
 * pretokenizer_names.c: the table of pre-tokenizer names with their patterns.
 *
 * Expressions are those of the models' own tokenizer files, written over classes (unicode_class.h). Every one takes time
 * linear in the text: repetitions are of single characters, or possessive; what backtracking can undo is read at most
 * twice more; and what must reach the end of a run is tried at its beginning only. Where a pattern names characters beyond
 * categories, its stage marks them with classes of their own.
 * Source of the names: llama.cpp, src/llama-vocab.cpp.
 */
#include "text/pretokenizer_names.h"
#include "text/unicode_class.h"

#include <string.h>

#define L LLM_SET_L
#define M LLM_SET_M
#define N LLM_SET_N
#define P LLM_SET_P
#define S LLM_SET_S
#define UPPER LLM_SET_UPPER
#define LOWER LLM_SET_LOWER
#define SPACE LLM_SET_SPACE
#define SMALL_S LLM_SET_SMALL_S
#define NEW_DIGIT LLM_SET_NEW_DIGIT

/* the sets of a stage's marks, in tables and in expressions */
#define MARK LLM_CLASS_MARK
#define MARK_1 "\\xA2"
#define MARK_2 "\\xA3"
#define MARK_3 "\\xA4"
#define MARK_4 "\\xA5"

_Static_assert(LLM_CLASS_MARK == 0xA2, "the first mark as expressions have it");

/* ---- parts of expressions ---- */

#define SPACES "[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+"
#define ANY_CASE_CONTRACTION "'(?:[" SMALL_S "tTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])"

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
#define GPT2_CONTRACTION "'(?:[stmd]|re|ve|ll)"
#define GPT2 GPT2_CONTRACTION "| ?[" L "]+| ?[" N "]+| ?[^" SPACE L N "]+|" SPACES

/*
 * (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 * in parts, with the longest run of digits as a parameter
 */
#define WORD "[^\\r\\n" L N "]?[" L "]+"
#define SYMBOLS " ?[^" SPACE L N "]+"
#define LINES "[" SPACE "]*[\\r\\n]+"
#define WORDS_AND_DIGITS(digits) WORD "|[" N "]" digits "|" SYMBOLS "[\\r\\n]*|" LINES "|"
#define LLAMA3(digits) ANY_CASE_CONTRACTION "|" WORDS_AND_DIGITS(digits) SPACES

/*
 * Each digit by itself, then GPT-2's in the parts between: here in one expression, where a digit ends a part. The tokenizers
 * library takes digits from a newer Unicode version than letters, thus NEW_DIGIT.
 */
#define SMOLLM \
	GPT2_CONTRACTION "| ?[" L "]+| ?[^" SPACE L N NEW_DIGIT "]+|[" N NEW_DIGIT "]" \
	"|[" SPACE "]+(?![^" SPACE N NEW_DIGIT "])|[" SPACE "]+"

/*
 * [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+, and the same with * and + exchanged: a word
 * ends where a capital follows a small letter. after: what may follow a word.
 */
#define CASED_WORD(before, after) \
	before "[" UPPER "]*[" LOWER "]+" after "|" before "[" UPPER "]+[" LOWER "]*" after
#define O200K(digits, after) \
	CASED_WORD("[^\\r\\n" L N "]?", after) "|[" N "]" digits "|" SYMBOLS "[\\r\\n/]*|" LINES "|" SPACES
#define GPT4O(digits) O200K(digits, "(?:" ANY_CASE_CONTRACTION ")?")

/* [ASCII punctuation][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+ and a tail */
#define DEEPSEEK_WORD "[!-/:-@\\[-`{-~][A-Za-z]+|[^\\r\\n" L P S "]?[" L M "]+| ?[" P S "]+"
#define DEEPSEEK_V3 DEEPSEEK_WORD "[\\r\\n]*|" LINES "|" SPACES

/* as O200K, but Han (MARK_1 letters, MARK_2 numbers, MARK_3 others) is apart from all words */
#define KIMI_K2 \
	"[" MARK_1 MARK_2 MARK_3 "]+|" CASED_WORD("[^\\r\\n" L N MARK_1 MARK_2 "]?", "(?:" ANY_CASE_CONTRACTION ")?") \
	"|[" N MARK_2 "]{1,3}| ?[^" SPACE L N MARK_1 MARK_2 "]+[\\r\\n]*|" LINES "|" SPACES

/* runs of white space in powers of 2 */
#define END "(?![^" SPACE "])|"
#define RUN(n) "[" SPACE "]{" n "}" END
#define JAIS2_SPACES \
	RUN("512") RUN("256") RUN("128") RUN("64") RUN("32") RUN("16") RUN("8") RUN("4") RUN("1,2") "[" SPACE "]"

/* (?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+: letters with single spaces between */
#define EXAONE_PHRASE "[^\\r\\n" L N "]?[" L "][" M "]*+(?: ?[" L "][" M "]*+)*+"

/* ---- characters beyond categories ---- */

/* letters that have case: Latin, Greek, Cyrillic and some more */
static const LlmMarkedRange cased_letters[] = {
	{0x00B5, 0x00B5, MARK}, {0x00C0, 0x00D6, MARK}, {0x00D8, 0x00F6, MARK}, {0x00F8, 0x01BA, MARK},
	{0x01BC, 0x01BF, MARK}, {0x01C4, 0x0293, MARK}, {0x0295, 0x02AF, MARK}, {0x0370, 0x0373, MARK},
	{0x0376, 0x0376, MARK}, {0x0377, 0x0377, MARK}, {0x037B, 0x037D, MARK}, {0x037F, 0x037F, MARK},
	{0x0386, 0x0386, MARK}, {0x0388, 0x038A, MARK}, {0x038C, 0x038C, MARK}, {0x038E, 0x03A1, MARK},
	{0x03A3, 0x03F5, MARK}, {0x03F7, 0x0481, MARK}, {0x048A, 0x052F, MARK}, {0x0531, 0x0556, MARK},
	{0x10A0, 0x10C5, MARK}, {0x13A0, 0x13F5, MARK}, {0x13F8, 0x13FD, MARK}, {0x1C90, 0x1CBA, MARK},
	{0x1CBD, 0x1CBF, MARK}, {0x1D00, 0x1D2B, MARK}, {0x1D6B, 0x1D77, MARK}, {0x1D79, 0x1D9A, MARK},
	{0x1E00, 0x1F15, MARK}, {0x1F18, 0x1F1D, MARK}, {0x1F20, 0x1F45, MARK}, {0x1F48, 0x1F4D, MARK},
	{0x1F50, 0x1F57, MARK}, {0x1F59, 0x1F59, MARK}, {0x1F5B, 0x1F5B, MARK}, {0x1F5D, 0x1F5D, MARK},
	{0x1F5F, 0x1F7D, MARK}, {0x1F80, 0x1FB4, MARK}, {0x1FB6, 0x1FBC, MARK}, {0x1FBE, 0x1FBE, MARK},
	{0x1FC2, 0x1FC4, MARK}, {0x1FC6, 0x1FCC, MARK}, {0x1FD0, 0x1FD3, MARK}, {0x1FD6, 0x1FDB, MARK},
	{0x1FE0, 0x1FEC, MARK}, {0x1FF2, 0x1FF4, MARK}, {0x1FF6, 0x1FFC, MARK}, {0x2102, 0x2102, MARK},
	{0x2107, 0x2107, MARK}, {0x210A, 0x2113, MARK}, {0x2115, 0x2115, MARK}, {0x2119, 0x211D, MARK},
	{0x2124, 0x2124, MARK}, {0x2126, 0x2126, MARK}, {0x2128, 0x2128, MARK}, {0x212A, 0x212D, MARK},
	{0x212F, 0x2134, MARK}, {0x2139, 0x2139, MARK}, {0x213C, 0x213F, MARK}, {0x2145, 0x2149, MARK},
	{0x214E, 0x214E, MARK}, {0x2183, 0x2183, MARK}, {0x2184, 0x2184, MARK}, {0x2C00, 0x2C7B, MARK},
	{0x2C7E, 0x2CE4, MARK}, {0x2CEB, 0x2CEE, MARK}, {0x2CF2, 0x2CF2, MARK}, {0x2CF3, 0x2CF3, MARK},
	{0xA640, 0xA66D, MARK}, {0xA680, 0xA69B, MARK}, {0xA722, 0xA76F, MARK}, {0xA771, 0xA787, MARK},
	{0xA78B, 0xA78E, MARK}, {0xAB70, 0xABBF, MARK}, {0xFB00, 0xFB06, MARK}, {0xFB13, 0xFB17, MARK},
	{0xFF21, 0xFF3A, MARK}, {0xFF41, 0xFF5A, MARK}, {0x10400, 0x1044F, MARK}, {0x104B0, 0x104D3, MARK},
	{0x104D8, 0x104FB, MARK}, {0x10C80, 0x10CB2, MARK}, {0x10CC0, 0x10CF2, MARK}, {0x118A0, 0x118DF, MARK},
	{0x1E900, 0x1E943, MARK},
	{0, 0, 0}
};

/* full-width forms, quotation marks, CJK comma and full stop */
static const LlmMarkedRange deepseek_punctuation[] = {
	{0xFF01, 0xFF0F, MARK}, {0xFF1A, 0xFF5E, MARK}, {0x2018, 0x201F, MARK}, {0x3000, 0x3002, MARK},
	{0, 0, 0}
};

/* most scripts from U+0800 on, as the model file has it */
static const LlmMarkedRange deepseek_cjk[] = {
	{0x4E00, 0x9FA5, MARK}, {0x0800, 0x4E00, MARK}, {0xAC00, 0xD7FF, MARK},
	{0, 0, 0}
};

/* ideographs and kana */
static const LlmMarkedRange cjk[] = {
	{0x4E00, 0x9FA5, MARK}, {0x3040, 0x309F, MARK}, {0x30A0, 0x30FF, MARK},
	{0, 0, 0}
};

/* Hangul, CJK punctuation, Bopomofo, ideographs and kana */
static const LlmMarkedRange youtu_sets[] = {
	{0xAC00, 0xD7A3, MARK}, {0x3131, 0x318E, MARK},
	{0xFF01, 0xFF01, MARK + 1}, {0x2026, 0x2026, MARK + 1}, {0x201C, 0x201C, MARK + 1}, {0x201D, 0x201D, MARK + 1},
	{0x2018, 0x2018, MARK + 1}, {0x2019, 0x2019, MARK + 1}, {0x2014, 0x2014, MARK + 1}, {0xFF1A, 0xFF1A, MARK + 1},
	{0xFF1B, 0xFF1B, MARK + 1}, {0xFF0C, 0xFF0C, MARK + 1}, {0x3001, 0x303F, MARK + 1}, {0xFE30, 0xFE4F, MARK + 1},
	{0x3105, 0x312F, MARK + 2},
	{0x4E00, 0x9FA5, MARK + 3}, {0x3040, 0x309F, MARK + 3}, {0x30A0, 0x30FF, MARK + 3},
	{0, 0, 0}
};

static const LlmMarkedRange bloom_punctuation[] = {
	{0x2026, 0x2026, MARK}, {0x3002, 0x3002, MARK}, {0xFF0C, 0xFF0C, MARK}, {0x3001, 0x3001, MARK},
	{0x0964, 0x0964, MARK}, {0x06D4, 0x06D4, MARK}, {0x060C, 0x060C, MARK},
	{0, 0, 0}
};

/* ideographs, kana, Thai, Lao, Khmer, Myanmar, Hangul */
static const LlmMarkedRange asian_scripts[] = {
	{0x4E00, 0x9FFF, MARK}, {0x3400, 0x4DBF, MARK}, {0xF900, 0xFAFF, MARK}, {0x3040, 0x309F, MARK},
	{0x30A0, 0x30FF, MARK}, {0xFF65, 0xFF9F, MARK}, {0x2F00, 0x2FDF, MARK}, {0x0E40, 0x0E7F, MARK},
	{0x0E80, 0x0EFF, MARK}, {0x1780, 0x17FF, MARK}, {0x1000, 0x109F, MARK}, {0xAA60, 0xAA7F, MARK},
	{0xA9E0, 0xA9FF, MARK}, {0xAC00, 0xD7AF, MARK}, {0x1100, 0x11FF, MARK},
	{0, 0, 0}
};

/* the script Han (Unicode 16): letters, numbers, and the rest */
static const LlmMarkedRange han[] = {
	{0x3005, 0x3005, MARK}, {0x303B, 0x303B, MARK}, {0x3400, 0x4DBF, MARK}, {0x4E00, 0x9FFF, MARK},
	{0xF900, 0xFA6D, MARK}, {0xFA70, 0xFAD9, MARK}, {0x16FE3, 0x16FE3, MARK}, {0x20000, 0x2A6DF, MARK},
	{0x2A700, 0x2B739, MARK}, {0x2B740, 0x2B81D, MARK}, {0x2B820, 0x2CEA1, MARK}, {0x2CEB0, 0x2EBE0, MARK},
	{0x2EBF0, 0x2EE5D, MARK}, {0x2F800, 0x2FA1D, MARK}, {0x30000, 0x3134A, MARK}, {0x31350, 0x323AF, MARK},
	{0x3007, 0x3007, MARK + 1}, {0x3021, 0x3029, MARK + 1}, {0x3038, 0x303A, MARK + 1},
	{0x2E80, 0x2E99, MARK + 2}, {0x2E9B, 0x2EF3, MARK + 2}, {0x2F00, 0x2FD5, MARK + 2}, {0x16FE2, 0x16FE2, MARK + 2},
	{0x16FF0, 0x16FF1, MARK + 2},
	{0, 0, 0}
};

/* beside L, M, Nd, Nl and Pc what \w takes in Oniguruma: some Latin-1 numbers and the letters in circles and squares */
static const LlmMarkedRange word_signs[] = {
	{0x00B2, 0x00B3, MARK}, {0x00B9, 0x00B9, MARK}, {0x00BC, 0x00BE, MARK}, {0x24B6, 0x24E9, MARK},
	{0x1F130, 0x1F149, MARK}, {0x1F150, 0x1F169, MARK}, {0x1F170, 0x1F189, MARK},
	{0, 0, 0}
};

/* ---- patterns ---- */

#define STAGES(name) static const LlmPatternStage name[LLM_MAX_STAGES + 1]

/* what llama.cpp does where a model names nothing */
STAGES(fallback) = {{"[" P "$+<=>^~|]+"}, {GPT2}, {"[" N "]+"}, {"[0-9][0-9][0-9]"}};
/* Falcon cuts at digits once words are bytes (trait digit_bytes) */
STAGES(falcon) = {{"[" P "$+<=>^~|`]+"}, {GPT2}};

STAGES(gpt2) = {{GPT2}};
STAGES(smollm) = {{SMOLLM}};
STAGES(llama3) = {{LLAMA3("{1,3}")}};
STAGES(qwen2) = {{LLAMA3("")}};
STAGES(minicpm5) = {{"[" N "]{1,3}"}, {LLAMA3("+")}};
STAGES(laguna) = {{"[^\\n]+|\\n+"}, {LLAMA3("")}};
STAGES(ufakzeka) = {{WORDS_AND_DIGITS("") SPACES}};
STAGES(jais2) = {{ANY_CASE_CONTRACTION "|" WORDS_AND_DIGITS("{1,3}") JAIS2_SPACES}};
STAGES(bailing) = {{ANY_CASE_CONTRACTION "|" WORD "|[" N "]|" SYMBOLS "[\\r\\n]*|[" SPACE "]*[\\r\\n]|" SPACES}};
STAGES(seed_coder) = {
	{ANY_CASE_CONTRACTION "|" WORD "|[" N "]| ?[^" SPACE L N "\\r\\n]+|" LINES "|" SPACES}
};
STAGES(qwen35) = {
	{ANY_CASE_CONTRACTION "|[^\\r\\n" L N "]?[" L M "]+|[" N "]| ?[^" SPACE L M N "]+[\\r\\n]*|" LINES "|" SPACES}
};
STAGES(exaone_moe) = {
	{ANY_CASE_CONTRACTION "|" EXAONE_PHRASE "|[" N "]|" SYMBOLS "[\\r\\n/]?|[" SPACE "]*[\\r\\n]|" SPACES}
};

STAGES(tekken) = {{O200K("", "")}};
STAGES(gpt4o) = {{GPT4O("{1,3}")}};
STAGES(kimi_k2) = {{KIMI_K2, han}};
STAGES(youtu) = {
	{"[" MARK_1 "]+|[" MARK_2 "]+|[" MARK_3 "]+|[" MARK_4 "]+", youtu_sets}, {GPT4O("")}
};
/* \d{1,3}(?=(?:\d{3})*\b): a run of digits in threes from its end, unless a word goes on there */
STAGES(tiny_aya) = {
	{"(?<![" LLM_SET_ND "])[" LLM_SET_ND "]++(?![" LLM_SET_WORD MARK_1 "])", word_signs, LLM_CLASS_ND}, {GPT4O("{1,3}")}
};
/* (?=(\d{3})+(?!\d)): a cut before every three digits counted from the end of a run */
STAGES(superbpe) = {{"[" N "]+", NULL, LLM_CLASS_ND}};

STAGES(deepseek_llm) = {
	{"[\\r\\n]"}, {"[" SPACE "]?[A-Za-z" MARK_1 "]+", cased_letters},
	{"[" SPACE "]?[!-/:-~" MARK_1 "]+", deepseek_punctuation}, {"(?<![" SPACE "])[" SPACE "]++\\z"},
	{"[" MARK_1 "]+", deepseek_cjk}, {"[" N "]+"}
};
STAGES(deepseek_coder) = {
	{"[\\r\\n]"}, {"[" SPACE "]?[" L "]+"}, {"[" SPACE "]?[" P "]+"},
	{"[" MARK_1 "]+", deepseek_cjk}, {"[" N "]"}
};
STAGES(deepseek_v3) = {{"[" N "]{1,3}"}, {"[" MARK_1 "]+", cjk}, {DEEPSEEK_V3}};
STAGES(spark) = {
	{"[" N "]{1,3}"}, {"[" MARK_1 "]+", cjk}, {DEEPSEEK_WORD "|[\\r\\n]|" SPACES}, {"[" N "]"}
};
STAGES(afmoe) = {{"[" N "]+", NULL, LLM_CLASS_NO}, {"[" MARK_1 "]+", asian_scripts}, {DEEPSEEK_V3}};

/*  ?[^(\s|.,!?…。，、।۔،)]+ */
STAGES(bloom) = {{" ?[^(" SPACE "|.,!?)" MARK_1 "]+", bloom_punctuation}};
STAGES(viking) = {{" ?[^(" SPACE "|.,!?)" MARK_1 "]+", bloom_punctuation}, {"[" N "]"}};
STAGES(chameleon) = {
	{"<sentinel:[0-9]+>"}, {"IMGIMG[A-I]{1,4}Z"}, {"[\\t\\n]|    |  "}, {"[" N "]"},
	{"[" P "!-/:-@\\[-`{-~]"}, {GPT2}
};

/* ---- names ---- */

static const LlmPretokenizerName known[] = {
	{"default", fallback, {0}},
	{"falcon", falcon, {.digit_bytes = true}},
	{"gpt-2", gpt2, {0}},
	{"phi-2", gpt2, {0}},
	{"jina-es", gpt2, {0}},
	{"jina-de", gpt2, {0}},
	{"jina-v2-es", gpt2, {0}},
	{"jina-v2-de", gpt2, {0}},
	{"jina-v1-en", gpt2, {0}},
	{"jina-v2-code", gpt2, {0}},
	{"roberta-bpe", gpt2, {0}},
	{"gigachat", gpt2, {0}},
	{"a.x-4.0", gpt2, {0}},
	{"mellum", gpt2, {0}},
	{"modern-bert", gpt2, {0}},
	{"mpt", gpt2, {0}},
	{"olmo", gpt2, {0}},
	{"jais", gpt2, {0}},
	{"trillion", gpt2, {0}},
	{"granite-docling", gpt2, {0}},
	{"exaone4", gpt2, {0}},
	{"smollm", smollm, {0}},
	{"starcoder", smollm, {0}},
	{"refact", smollm, {0}},
	{"command-r", smollm, {0}},
	{"codeshell", smollm, {0}},
	{"exaone", smollm, {0}},
	{"minerva-7b", smollm, {0}},
	{"mellum2", smollm, {0}},
	{"llama-bpe", llama3, {.ignore_merges = true, .add_bos = true}},
	{"llama3", llama3, {.ignore_merges = true, .add_bos = true}},
	{"llama-v3", llama3, {.ignore_merges = true, .add_bos = true}},
	{"falcon3", llama3, {.ignore_merges = true, .add_bos = true}},
	{"falcon-h1", llama3, {.ignore_merges = true, .add_bos = true}},
	{"pixtral", llama3, {.ignore_merges = true, .add_bos = true}},
	{"midm-2.0", llama3, {.ignore_merges = true, .add_bos = true}},
	{"lfm2", llama3, {.ignore_merges = true, .add_bos = true}},
	{"jina-v5-nano", llama3, {.ignore_merges = true, .add_bos = true}},
	{"dbrx", llama3, {0}},
	{"smaug-bpe", llama3, {0}},
	{"chatglm-bpe", llama3, {0}},
	{"glm4", llama3, {.ignore_merges = true}},
	{"glm5", llama3, {.ignore_merges = true}},
	{"qwen2", qwen2, {0}},
	{"stablelm2", qwen2, {0}},
	{"deepseek-r1-qwen", qwen2, {0}},
	{"kormo", qwen2, {0}},
	{"f2llmv2", qwen2, {0}},
	{"megrez", qwen2, {0}},
	{"hunyuan", qwen2, {0}},
	{"solar-open", qwen2, {0}},
	{"grok-2", qwen2, {0}},
	{"qwen35", qwen35, {0}},
	{"minicpm5", minicpm5, {.ignore_merges = true}},
	{"laguna", laguna, {0}},
	{"ufakzeka", ufakzeka, {0}},
	{"jais-2", jais2, {0}},
	{"bailingmoe", bailing, {0}},
	{"bailingmoe2", bailing, {0}},
	{"llada-moe", bailing, {0}},
	{"seed-coder", seed_coder, {0}},
	{"exaone-moe", exaone_moe, {0}},
	{"tekken", tekken, {.ignore_merges = true, .add_bos = true}},
	{"gpt-4o", gpt4o, {0}},
	{"llama4", gpt4o, {0}},
	{"kanana2", gpt4o, {0}},
	{"talkie", gpt4o, {0}},
	{"minimax-m2", gpt4o, {0}},
	{"granite-embed-multi-97m", gpt4o, {.ignore_merges = true}},
	{"kimi-k2", kimi_k2, {0}},
	{"youtu", youtu, {.ignore_merges = true}},
	{"tiny_aya", tiny_aya, {0}},
	{"cohere2moe", tiny_aya, {0}},
	{"superbpe", superbpe, {0}},
	{"deepseek-llm", deepseek_llm, {0}},
	{"deepseek-coder", deepseek_coder, {0}},
	{"deepseek-v3", deepseek_v3, {0}},
	{"hunyuan-dense", deepseek_v3, {0}},
	{"joyai-llm", deepseek_v3, {0}},
	{"hy_v4", deepseek_v3, {0}},
	{"spark2_5", spark, {0}},
	{"afmoe", afmoe, {0}},
	{"bloom", bloom, {0}},
	{"poro-chat", bloom, {0}},
	{"gpt3-finnish", bloom, {0}},
	{"viking", viking, {0}},
	{"chameleon", chameleon, {.add_bos = true}},
};

const LlmPretokenizerName *
llm_pretokenizer_find(LlmStr name)
{
	for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
		if (strlen(known[k].name) == name.len && memcmp(known[k].name, name.data, name.len) == 0)
			return &known[k];
	return NULL;
}
