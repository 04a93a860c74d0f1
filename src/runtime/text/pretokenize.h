/*
 * pretokenize.h: cutting text into the words that byte-level BPE merges within.
 *
 * The cut is given by regular expressions, known by a name in the model's metadata (tokenizer.ggml.pre). A pre-tokenizer
 * is the compiled expressions of one name, immutable after creation.
 */
#ifndef LLM_PRETOKENIZE_H
#define LLM_PRETOKENIZE_H

#include "base/arena.h"
#include "text/pretokenizer_names.h"

typedef struct LlmPretokenizer LlmPretokenizer;

/* name empty: "default". a must outlive it. Errors: LLM_E_UNSUPPORTED naming it; LLM_E_NOMEM. */
extern LlmStatus llm_pretokenizer_create(LlmStr name, const LlmAllocator *a, LlmPretokenizer **out,
										 LlmPretokenizerTraits *traits, LlmError *err);
extern void llm_pretokenizer_free(LlmPretokenizer *p);

/* takes one word (1 or more bytes); any status but LLM_OK ends the cutting and is handed on */
typedef LlmStatus (*LlmWordFn) (void *ctx, const char *bytes, size_t len, LlmError *err);

/*
 * Give the words of bytes (len) to take, in order; together they are the whole. Bytes that are not UTF-8 count as one
 * character each, which is no letter, digit or space. Uses some bytes of memory for each of them while it runs. Errors: LLM_E_NOMEM,
 * LLM_PAUSED, those of take.
 */
extern LlmStatus llm_pretokenize(const LlmPretokenizer *p, const char *bytes, size_t len, const LlmStop *stop,
								 LlmWordFn take, void *ctx, LlmError *err);

#endif
