/*
 * hf_loader.h: what reading the model's section of tokenizer.json needs while it lasts.
 */
#ifndef LLM_HF_LOADER_H
#define LLM_HF_LOADER_H

#include "text/hf.h"
#include "text/json_reader.h"

typedef struct LlmHfLoader
{
	LlmTokenizer *t;
	LlmHf	   *hf;
	const LlmStop *stop;
	LlmStr		section;		/* the vocabulary */
	LlmBuf		entries;
	LlmBuf		scratch;		/* of strings with escapes */
	LlmBuf		decoded;		/* of llm_hf_word_of */
	size_t		prefix_len;		/* of continuing_subword_prefix as written */
	uint32_t	max_id;
} LlmHfLoader;

/* hf_vocab.c: what the model looks a token up by, borrowed until the next call; *known false: no word has these characters */
extern LlmStatus llm_hf_word_of(LlmHfLoader *l, LlmStr text, LlmStr *word, bool *known, LlmError *err);

/* hf_merges.c: after the words; section: the list */
extern LlmStatus llm_hf_load_merges(LlmHfLoader *l, LlmStr section, LlmError *err);

#endif
