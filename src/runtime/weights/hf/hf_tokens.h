/*
 * hf_tokens.h: the text side of a folder, carried into metadata: tokenizer.json as it is, its configuration, the ids of
 * special tokens, and the chat template.
 */
#ifndef LLM_HF_TOKENS_H
#define LLM_HF_TOKENS_H

#include "weights/hf/hf_folder.h"
#include "weights/meta_writer.h"

/* config: the model's config.json; n_vocab: rows of its embeddings, whose ids are all there is to say without tokenizer.json */
extern LlmStatus llm_hf_tokens(LlmHfFolder *folder, struct json_object *config, uint64_t n_vocab, const LlmStop *stop, LlmMetaWriter *meta, LlmError *err);

#endif
