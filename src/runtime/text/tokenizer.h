/*
 * tokenizer.h: text to token ids and back, as the model's metadata describes it.
 *
 * Kinds: byte-level BPE (pre-tokenizer patterns run by PCRE2), SentencePiece BPE and unigram, WordPiece. Special tokens are
 * recognised only when asked for, and only where every byte came from the template: row text can never make one. Immutable
 * after creation.
 *
 * A tokenizer.json needs nothing but metadata with tokenizer.ggml.model = "huggingface" and the bytes of the file as the
 * string tokenizer.huggingface.json; ids of special tokens (tokenizer.ggml.eos_token_id and so on) count as elsewhere.
 * Source of formats: ggml/docs/gguf.md; Sennrich et al. 2016, arXiv 1508.07909; Kudo and Richardson 2018.
 */
#ifndef LLM_TOKENIZER_H
#define LLM_TOKENIZER_H

#include "text/value.h"
#include "weights/gguf_meta.h"

typedef struct LlmTokenizer LlmTokenizer;

typedef enum LlmTokenizerKind
{
	LLM_KIND_BPE,
	LLM_KIND_SPM,
	LLM_KIND_WORDPIECE,
	LLM_KIND_UNIGRAM,
	LLM_KIND_HF,				/* tokenizer.json of the Hugging Face tokenizers library */
	LLM_KIND_NONE				/* ids without texts: a model that came without its tokenizer */
} LlmTokenizerKind;

typedef struct LlmTokenizerKindInfo
{
	const char *name;			/* tokenizer.ggml.model */
	const char *note;
	LlmTokenizerKind kind;
} LlmTokenizerKindInfo;

typedef enum LlmTokenizeFlags
{
	LLM_TOKENIZE_ADD_SPECIAL = 1,	/* what the metadata adds: bos before, eos after */
	LLM_TOKENIZE_PARSE_SPECIAL = 2	/* recognise special tokens in template bytes */
} LlmTokenizeFlags;

/* the kinds that are known, *n of them, in order of their names */
extern const LlmTokenizerKindInfo *llm_tokenizer_kinds(int *n);

/*
 * meta must outlive the tokenizer. Errors: LLM_E_UNSUPPORTED naming tokenizer model or pre-tokenizer; LLM_E_FORMAT for a
 * vocabulary that contradicts itself.
 */
extern LlmStatus llm_tokenizer_create(const LlmMeta *meta, const LlmAllocator *a, LlmTokenizer **out, LlmError *err);

/* the same; LLM_PAUSED if stop wants that while a tokenizer.json is read, which may be tens of megabytes: nothing is left then */
extern LlmStatus llm_tokenizer_create_with(const LlmMeta *meta, const LlmAllocator *a, const LlmStop *stop, LlmTokenizer **out, LlmError *err);

/*
 * What it takes long to make of a tokenizer, appended to out; nothing if the metadata has no tokenizer, or one that cannot be made.
 * A tokenizer that is opened with these bytes, which must outlive it and begin at a multiple of 16, is as one that is created, and
 * only borrows them. n_bytes 0: it is created. seed is of hashes; the same one gives the same bytes. It must be one that whoever made the
 * metadata could not choose (a digest of the file), else he could make strings that collide. Errors of open: as above; LLM_E_FORMAT for tables that do not fit together.
 */
extern LlmStatus llm_tokenizer_tables(const LlmMeta *meta, uint64_t seed, const LlmAllocator *a, const LlmStop *stop, LlmBuf *out,
									  LlmError *err);
extern LlmStatus llm_tokenizer_open(const LlmMeta *meta, const void *bytes, size_t n_bytes, const LlmAllocator *a, const LlmStop *stop,
									LlmTokenizer **out, LlmError *err);
extern void llm_tokenizer_free(LlmTokenizer *t);

/*
 * Append the ids of text to out. Bytes that are not UTF-8 are taken as the tokenizer takes unknown bytes (byte tokens);
 * never an error. Time is O(n log n). Errors: LLM_E_NOMEM, LLM_E_LIMIT, LLM_PAUSED (out is as before; call again).
 */
extern LlmStatus llm_tokenize(const LlmTokenizer *t, LlmText text, int flags, const LlmStop *stop, LlmTokens *out, LlmError *err);

/*
 * The same for two texts, as rerankers take them: with LLM_TOKENIZE_ADD_SPECIAL the tokens around and between them are
 * those of tokenizer.json's template for pairs; other kinds have bos, first, eos, separator, second, eos, of which the model's
 * metadata says what there is. types (may be NULL) gets a byte for each id: what the template says, 1 for the second text of
 * WordPiece, else 0.
 */
extern LlmStatus llm_tokenize_pair(const LlmTokenizer *t, LlmText first, LlmText second, int flags, const LlmStop *stop, LlmTokens *out,
								   LlmBuf *types, LlmError *err);

/*
 * Bytes of one token. A special (control) token gives no bytes unless with_special. first: it is the first of a text, so
 * that SentencePiece's leading space is dropped where the model adds one. LLM_E_ARGUMENT if id is outside the vocabulary.
 */
extern LlmStatus llm_detokenize_one(const LlmTokenizer *t, int32_t id, bool first, bool with_special, LlmBuf *out, LlmError *err);

/* a whole sequence: llm_detokenize_one over all, in order */
extern LlmStatus llm_detokenize(const LlmTokenizer *t, const int32_t *ids, size_t n, bool with_special, LlmBuf *out, LlmError *err);

extern int32_t llm_tokenizer_vocab_size(const LlmTokenizer *t);
extern const char *llm_tokenizer_kind(const LlmTokenizer *t);	/* "bpe/smollm", "spm", … */

/* how many tokens LLM_TOKENIZE_ADD_SPECIAL puts behind a text (pair: behind the second), which must stay if it is cut */
extern size_t llm_tokenizer_n_after(const LlmTokenizer *t, bool pair);

/* special ids, -1 if the model has none */
extern int32_t llm_tokenizer_bos(const LlmTokenizer *t);
extern int32_t llm_tokenizer_eos(const LlmTokenizer *t);
extern int32_t llm_tokenizer_eot(const LlmTokenizer *t);	/* end of a turn: eot_token_id, or a token named like the known ones (<|im_end|>, <|eot_id|>, <end_of_turn>, …), else eos */
extern bool llm_tokenizer_is_end(const LlmTokenizer *t, int32_t id);	/* eos, eot, and other tokens that end generation */
extern LlmStr llm_tokenizer_token_text(const LlmTokenizer *t, int32_t id);	/* as in the vocabulary; borrowed */

/* length of the longest prefix of bytes that is whole UTF-8 characters or ill-formed bytes: what may be shown in a stream */
extern size_t llm_utf8_complete_prefix(const char *bytes, size_t len);

/* replace each maximal ill-formed part by U+FFFD and drop NUL bytes, so that the text can be stored */
extern LlmStatus llm_utf8_repair(const char *bytes, size_t len, LlmBuf *out, LlmError *err);

#endif
