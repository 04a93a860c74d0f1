/*
 * tokenizer_impl.h: what the parts of the tokenizer share (tokenizer.c, special_tokens.c, and a file for each kind).
 *
 * The way of a text: special tokens are cut out first (special_tokens.c), the text between them goes to the tokenizer's
 * kind: bpe.c and spm.c cut it into symbols and merge neighbours until no pair has a merge (merge.h), wordpiece.c takes
 * words apart by the longest token, unigram.c finds the most likely tokens.
 */
#ifndef LLM_TOKENIZER_IMPL_H
#define LLM_TOKENIZER_IMPL_H

#include "text/char_map.h"
#include "text/merge.h"
#include "text/pretokenize.h"
#include "text/tokenizer.h"
#include "text/vocab.h"

/* as GGUF numbers them (tokenizer.ggml.token_type); others count as normal */
typedef enum LlmTokenType
{
	LLM_TOKEN_NORMAL = 1,
	LLM_TOKEN_UNKNOWN,
	LLM_TOKEN_CONTROL,
	LLM_TOKEN_USER_DEFINED,
	LLM_TOKEN_UNUSED,
	LLM_TOKEN_BYTE
} LlmTokenType;

typedef struct LlmTokenInfo
{
	uint8_t		type;			/* LlmTokenType */
	bool		is_end;			/* ends generation */
	bool		lstrip;			/* special: takes white space before it, or after it, along */
	bool		rstrip;
	bool		hidden;			/* of tokenizer.json: special there, no text in an answer */
} LlmTokenInfo;

struct LlmTokenizer
{
	const LlmAllocator *allocator;
	bool		borrowed;		/* tables lie elsewhere (stored_tokenizer.c) */
	uint64_t	seed;			/* of hashes, 0: by the addresses of tables */
	LlmTokenizerKind kind;
	char		kind_name[64];
	const LlmMetaArray *tokens; /* texts as in the metadata, borrowed from it */
	int32_t		n_vocab;
	LlmTokenInfo *info;			/* (n_vocab) */
	int32_t		bos;			/* -1: none, as the following */
	int32_t		eos;
	int32_t		eot;
	int32_t		unknown;
	bool		add_bos;
	bool		add_eos;
	int32_t		separator;		/* between the texts of a pair, after eos; -1: none */
	bool		add_space_prefix;	/* SentencePiece */

	/* special tokens in bytewise order; those that begin with byte b are [special_first[b], special_first[b + 1]), and 256 is the end */
	int32_t    *special;
	int32_t		special_first[257];
	bool		has_user_defined;

	/* the first n_vocab symbols are the tokens, with the bytes that they stand for */
	LlmVocab	vocab;
	int32_t		byte_token[256];	/* the token of a byte, or -1 */

	LlmPretokenizer *pretokenizer;	/* BPE */
	LlmMergeTable merges;
	bool		ignore_merges;
	bool		digit_bytes;

	uint32_t   *token_rank;		/* SentencePiece (n_vocab): the order of merges, from scores */
	size_t		max_token_bytes;
	bool		merges_listed;	/* merges are those of a list, and not made from scores */
	bool		cut_at_spaces;	/* no token has a space after another character */

	bool		lowercase;		/* WordPiece */
	bool		strip_accents;

	float	   *token_score;	/* unigram (n_vocab) */
	float		unknown_score;
	LlmCharMap	char_map;
	bool		merge_spaces;

	struct LlmHf *hf;			/* of tokenizer.json (hf.h), else NULL */
};

/* one run of llm_tokenize */
typedef struct LlmEncoder
{
	const LlmTokenizer *t;
	const LlmStop *stop;
	LlmTokens  *out;
	LlmMergeScratch merge;
	size_t		work_bytes;		/* since should_stop was asked */
} LlmEncoder;

#define LLM_TOKENIZE_POLL_BYTES ((size_t) 64 * 1024)

/* count work done, and ask should_stop now and then */
static inline LlmStatus
llm_encoder_worked(LlmEncoder *e, size_t n_bytes)
{
	e->work_bytes += n_bytes;
	if (e->work_bytes < LLM_TOKENIZE_POLL_BYTES)
		return LLM_OK;
	e->work_bytes = 0;
	return llm_should_stop(e->stop) ? LLM_PAUSED : LLM_OK;
}

/* tokenizer.c: as llm_tokenizer_create_with; with a seed that is not 0, tables are always the same */
extern LlmStatus llm_tokenizer_create_seeded(const LlmMeta *meta, uint64_t seed, const LlmAllocator *a, const LlmStop *stop, LlmTokenizer **out,
											 LlmError *err);

/* hf_tokenizer.c */
extern LlmStr llm_hf_token_text(const LlmTokenizer *t, int32_t id);

static inline LlmStr
llm_token_string(const LlmTokenizer *t, int32_t id)
{
	return t->hf ? llm_hf_token_text(t, id) : llm_meta_array_string(t->tokens, (uint64_t) id);
}

/* the bytes of a byte token's text "<0x41>", or -1 */
extern int	llm_byte_token_value(LlmStr text);

/* special_tokens.c: ids and types by metadata and name, then the order for searching */
extern LlmStatus llm_special_tokens_load(LlmTokenizer *t, const LlmMeta *meta, LlmError *err);

/* the first n of t->special are the special tokens: fill special_first. LLM_E_FORMAT if they are not in order, or two are alike */
extern LlmStatus llm_special_tokens_index(LlmTokenizer *t, uint32_t n, LlmError *err);

/*
 * The first special token in text at or after from: the longest one that begins there. Where control tokens are not
 * parsed, only user-defined ones. *at is where it begins; returns its id, or -1 and *at = text.len. LLM_PAUSED by worked.
 */
extern LlmStatus llm_special_tokens_find(LlmEncoder *e, LlmText text, size_t from, bool parse_special, size_t *at, int32_t *id);

/* tokenizer.c: the pre-tokenizer that the metadata names, and what goes with it */
extern LlmStatus llm_bpe_load_pretokenizer(LlmTokenizer *t, const LlmMeta *meta, LlmError *err);

/* the kinds: fill vocab (n_vocab symbols) and what the kind needs; then encode text without special tokens */
extern LlmStatus llm_bpe_load(LlmTokenizer *t, const LlmMeta *meta, LlmError *err);
extern LlmStatus llm_bpe_encode(LlmEncoder *e, const char *bytes, size_t len, LlmError *err);

/* what other models of pairs share: GPT-2's alphabet, and merging */
#define LLM_BPE_SHORT_WORD 32	/* symbols; longer words use the heap */
#define LLM_BPE_ALPHABET_END 324	/* first code point above the alphabet */
extern void llm_bpe_alphabet(int16_t byte_of[LLM_BPE_ALPHABET_END]);
extern bool llm_bpe_decode(const int16_t *byte_of, LlmStr text, char *out, size_t *len);
extern size_t llm_bpe_merge_short(const LlmTokenizer *t, int32_t *symbol, size_t n);	/* in place; how many are left */
extern bool llm_bpe_find_merge(const void *ctx, const LlmMergeNode *left, const LlmMergeNode *right, uint32_t *rank, int32_t *merged);

extern LlmStatus llm_spm_load(LlmTokenizer *t, const LlmMeta *meta, LlmError *err);
extern LlmStatus llm_spm_encode(LlmEncoder *e, const char *bytes, size_t len, bool space_prefix, LlmError *err);
extern LlmStatus llm_unigram_load(LlmTokenizer *t, const LlmMeta *meta, LlmError *err);
extern LlmStatus llm_unigram_encode(LlmEncoder *e, const char *bytes, size_t len, bool space_prefix, LlmError *err);
extern LlmStatus llm_wordpiece_load(LlmTokenizer *t, const LlmMeta *meta, LlmError *err);
extern LlmStatus llm_wordpiece_encode(LlmEncoder *e, const char *bytes, size_t len, LlmError *err);

#endif
