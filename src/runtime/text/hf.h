/*
 * hf.h: a tokenizer as tokenizer.json describes it (the Hugging Face tokenizers library). Internal to text/.
 *
 * The way of a text: added tokens are cut out (hf_added.c), first those that match the text as it is, then, after the
 * normalizer (hf_normalize.c), those that match what it made; the pre-tokenizer (hf_pretokenize.c) cuts what lies between
 * into words, the model (hf_model.c) makes tokens of each, and the post-processor (hf_template.c) puts tokens around the
 * whole. Normalizer, pre-tokenizer and decoder are lists of steps (hf_steps.c): sequences in the file are laid flat.
 * Source: huggingface/tokenizers, version 0.23.
 */
#ifndef LLM_HF_H
#define LLM_HF_H

#include "text/class_regex.h"
#include "text/tokenizer_impl.h"
#include "text/trie.h"

#define LLM_HF_MAX_STEPS 32
#define LLM_HF_BAD_CHAR UINT32_MAX	/* stands for a byte that is no UTF-8 */

typedef enum LlmHfStepKind
{
	/* normalizers */
	LLM_HF_NFC, LLM_HF_NFD, LLM_HF_NFKC, LLM_HF_NFKD, LLM_HF_LOWERCASE, LLM_HF_STRIP_ACCENTS, LLM_HF_STRIP, LLM_HF_REPLACE,
	LLM_HF_PREPEND, LLM_HF_NMT, LLM_HF_PRECOMPILED, LLM_HF_BERT_NORMALIZER, LLM_HF_BYTE_NORMALIZER,
	/* pre-tokenizers */
	LLM_HF_BYTE_LEVEL, LLM_HF_SPLIT, LLM_HF_METASPACE, LLM_HF_BERT_WORDS, LLM_HF_WHITESPACE, LLM_HF_WHITESPACE_SPLIT,
	LLM_HF_DIGITS, LLM_HF_PUNCTUATION, LLM_HF_DELIMITER, LLM_HF_FIXED_LENGTH,
	/* decoders; also LLM_HF_REPLACE, LLM_HF_METASPACE, LLM_HF_BYTE_LEVEL */
	LLM_HF_BYTE_FALLBACK, LLM_HF_FUSE, LLM_HF_WORDPIECE_DECODER, LLM_HF_STRIP_DECODER, LLM_HF_BPE_DECODER
} LlmHfStepKind;

typedef enum LlmHfBehavior
{
	LLM_HF_REMOVED, LLM_HF_ISOLATED, LLM_HF_MERGED_WITH_PREVIOUS, LLM_HF_MERGED_WITH_NEXT, LLM_HF_CONTIGUOUS
} LlmHfBehavior;

typedef enum LlmHfPrepend
{
	LLM_HF_PREPEND_ALWAYS, LLM_HF_PREPEND_FIRST, LLM_HF_PREPEND_NEVER
} LlmHfPrepend;

typedef struct LlmHfStep
{
	LlmHfStepKind kind;
	LlmStr		text;			/* replacement, prefix, suffix, mark of a space, delimiter, stripped character */
	LlmStr		literal;		/* pattern that is a string; regex NULL */
	LlmRegex   *regex;
	LlmHfBehavior behavior;
	LlmHfPrepend prepend;
	LlmCharMap	char_map;
	bool		invert;
	bool		left;			/* strip_left; add_prefix_space; clean_text; cleanup */
	bool		right;			/* strip_right; use_regex; handle_chinese_chars; split; individual_digits */
	bool		lowercase;
	bool		strip_accents;
	size_t		start;			/* characters that a decoder strips; characters of a word of fixed length */
	size_t		stop;
} LlmHfStep;

typedef struct LlmHfSteps
{
	LlmHfStep	step[LLM_HF_MAX_STEPS];
	int			n;
} LlmHfSteps;

typedef enum LlmHfModelKind
{
	LLM_HF_BPE, LLM_HF_WORDPIECE, LLM_HF_UNIGRAM, LLM_HF_WORDLEVEL
} LlmHfModelKind;

typedef struct LlmHfAdded
{
	LlmStr		content;
	LlmStr		pattern;		/* what it matches: the content, or what the normalizer makes of it */
	int32_t		id;
	bool		special;
	bool		normalized;
	bool		single_word;
	bool		lstrip;
	bool		rstrip;
} LlmHfAdded;

/* one part of a template: a token, or (id -1) the first or second text */
typedef struct LlmHfPiece
{
	int32_t		id;
	bool		second;
	uint32_t	type_id;
} LlmHfPiece;

#define LLM_HF_MAX_PIECES 64

typedef struct LlmHfTemplate
{
	LlmHfPiece	piece[LLM_HF_MAX_PIECES];
	int			n;
} LlmHfTemplate;

typedef struct LlmHf
{
	const LlmAllocator *allocator;
	bool		borrowed;		/* tables lie elsewhere (hf_stored.c) */
	LlmStr		section[3];		/* of the file: normalizer, pre_tokenizer, decoder; data NULL: none */
	int32_t		n_rows;			/* ids that the model has, if it says so: often more than there are tokens */
	LlmArena	arena;			/* strings and added tokens */
	LlmHfSteps	normalizer;
	LlmHfSteps	pre_tokenizer;
	LlmHfSteps	decoder;
	bool		has_decoder;
	LlmHfTemplate single;
	LlmHfTemplate pair;

	LlmHfModelKind model;
	bool		byte_level;		/* the model's words are bytes: its tokens are decoded from GPT-2's alphabet */
	bool		mapped;			/* … and words come in that alphabet, because of what follows the step that maps */
	bool		ignore_merges;
	bool		byte_fallback;
	bool		fuse_unk;
	bool		cut_at_marks;	/* no merge crosses the place before a U+2581 that follows another character */
	int32_t		unk;			/* -1: none */
	LlmStr		prefix;			/* BPE, WordPiece: of tokens that go on with a word */
	LlmStr		suffix;			/* BPE: of tokens that end a word */
	uint64_t	max_word_chars;
	LlmVocab	words;			/* (n_vocab) what the model looks up */
	size_t		max_token_bytes;
	int32_t		char_token[128];
	LlmTrie		trie;			/* unigram */
	double	   *score;			/* (n_score) of the tokens of the model */
	size_t		n_score;
	double		unk_score;

	LlmHfAdded *added;
	size_t		n_added;
	int32_t    *added_of;		/* (n_vocab) index of the added token that has this id, or -1 */
	LlmTrie		raw_added;		/* values are indexes in added */
	LlmTrie		normal_added;
	bool		has_raw;
	bool		has_normal;
	int16_t		byte_of[LLM_BPE_ALPHABET_END];	/* GPT-2's alphabet */
	int16_t		char_of[256];
} LlmHf;

/* a text on its way, with the origin of each byte if that matters */
typedef struct LlmHfText
{
	LlmBuf		bytes;
	LlmBuf		from_data;		/* as long as bytes if has_origin */
	bool		has_origin;
	bool		at_start;		/* its first character is the first of the whole text */
} LlmHfText;

/* memory of one llm_tokenize */
typedef struct LlmHfRun
{
	LlmEncoder *e;
	const LlmHf *hf;
	bool		parse_special;
	LlmHfText	text[2];		/* of the normalizer's steps, by turns */
	LlmBuf		stage[2 * LLM_HF_MAX_STEPS];	/* what a step of the pre-tokenizer made of a part */
	LlmBuf		classes[2 * LLM_HF_MAX_STEPS];
	LlmBuf		word;
	LlmBuf		unit;			/* a character between the prefix and the suffix of BPE */
	LlmBuf		symbols;
	LlmBuf		steps;
	LlmRegexMatch *match;
} LlmHfRun;

/* the character that begins s (len >= 1), LLM_HF_BAD_CHAR if the byte is no UTF-8; its length */
extern size_t llm_hf_char(const char *s, size_t len, uint32_t *c);
extern bool llm_hf_is_space(uint32_t c);	/* White_Space */
extern bool llm_hf_is_word(uint32_t c);		/* \w of Rust's regex: letters, marks, digits, connectors, joiners */
extern bool llm_hf_is_numeric(uint32_t c);	/* Nd, Nl, No */

struct json_object;

/* hf_steps.c: read the sections; NULL is none */
extern LlmStatus llm_hf_read_normalizer(LlmHf *hf, struct json_object *o, LlmError *err);
extern LlmStatus llm_hf_read_pre_tokenizer(LlmHf *hf, struct json_object *o, LlmError *err);
extern LlmStatus llm_hf_read_decoder(LlmHf *hf, struct json_object *o, LlmError *err);
extern void llm_hf_free_steps(LlmHfSteps *steps);
extern LlmStatus llm_hf_copy(LlmHf *hf, const char *s, size_t len, LlmStr *out, LlmError *err);

/* hf_template.c: after the vocabulary is known */
extern LlmStatus llm_hf_read_template(LlmTokenizer *t, struct json_object *o, LlmError *err);

/* hf_vocab.c: the model's section */
extern LlmStatus llm_hf_read_model(LlmTokenizer *t, LlmStr model, LlmStr added, const LlmStop *stop, LlmError *err);

/* hf_added.c */
extern LlmStatus llm_hf_read_added(LlmTokenizer *t, LlmStr json, int32_t n_ids, size_t n_words, LlmError *err);
extern LlmStatus llm_hf_index_added(LlmTokenizer *t, LlmError *err);
extern LlmStatus llm_hf_cut_added(LlmHfRun *run, LlmText text, bool at_start, bool normalized, LlmError *err);

/* the text between added tokens, before (raw) or after the normalizer */
extern LlmStatus llm_hf_normalize_part(LlmHfRun *run, LlmText text, bool at_start, LlmError *err);
extern LlmStatus llm_hf_normalize(LlmHfRun *run, LlmText text, bool at_start, bool keep_origin, const LlmHfText **out, LlmError *err);
extern LlmStatus llm_hf_run_steps(LlmHfRun *run, const LlmHfStep *steps, int n, LlmText text, bool at_start, bool keep_origin, const LlmHfText **out,
								  LlmError *err);
extern LlmStatus llm_hf_pre_tokenize(LlmHfRun *run, const char *s, size_t len, bool at_start, LlmError *err);
extern LlmStatus llm_hf_encode_word(LlmHfRun *run, const char *s, size_t len, LlmError *err);

/* hf_tokenizer.c */
extern void llm_hf_run_init(LlmHfRun *run, LlmEncoder *e, const LlmAllocator *a, bool parse_special);
extern void llm_hf_run_free(LlmHfRun *run);
#define LLM_HF_JSON_KEY "tokenizer.huggingface.json"
extern LlmStatus llm_hf_begin(LlmTokenizer *t, LlmError *err);	/* makes t->hf, empty */
extern LlmStatus llm_hf_read_steps(LlmHf *hf, LlmError *err);	/* from hf->section */
extern LlmStatus llm_hf_load(LlmTokenizer *t, const LlmMeta *meta, const LlmStop *stop, LlmError *err);
extern void llm_hf_free(LlmHf *hf);
extern LlmStatus llm_hf_encode(LlmEncoder *e, LlmText first, const LlmText *second, int flags, LlmBuf *types, LlmError *err);

/* hf_stored.c: what a tokenizer of this kind has beside that of all kinds (stored_tokenizer.c) */
extern LlmStatus llm_hf_put_tables(const LlmTokenizer *t, const LlmMeta *meta, LlmBuf *out, LlmError *err);
extern LlmStatus llm_hf_get_tables(LlmTokenizer *t, const LlmMeta *meta, LlmTables *tables, LlmError *err);

/* how many tokens the template for one text (pair: for two) has behind the last */
extern size_t llm_hf_n_after(const LlmTokenizer *t, bool pair);

/* hf_decode.c */
extern LlmStatus llm_hf_decode_one(const LlmTokenizer *t, int32_t id, bool first, bool with_special, LlmBuf *out, LlmError *err);
extern LlmStatus llm_hf_decode(const LlmTokenizer *t, const int32_t *ids, size_t n, bool with_special, LlmBuf *out, LlmError *err);

/* hf_unicode.c: a normal form of Unicode; compatibility: NFKC, NFKD; compose: NFC, NFKC */
extern LlmStatus llm_hf_unicode_form(LlmHfRun *run, const LlmHfText *in, LlmHfText *out, bool compatibility, bool compose, LlmError *err);
extern LlmStatus llm_hf_emit(const LlmHfText *in, size_t begin, size_t end, const char *bytes, size_t len, LlmHfText *out, LlmError *err);

#endif
