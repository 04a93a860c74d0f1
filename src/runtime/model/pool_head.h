/*
 * pool_head.h: from the pooled vector of a text to its embedding, or to the outputs of a classifier.
 */
#ifndef LLM_POOL_HEAD_H
#define LLM_POOL_HEAD_H

#include "model/model.h"

/* bytes of scratch that llm_pool_head_run needs */
extern size_t llm_pool_head_scratch_bytes(const LlmModel *model);

/* numbers that it makes: an embedding, or with pooling RANK the outputs of the classifier */
extern uint32_t llm_pool_head_size(const LlmModel *model);

/* pooled (n_embd) to out (llm_pool_head_size). scratch: aligned to LLMK_ALIGN. Single-threaded: it is one row. */
extern void llm_pool_head_run(const LlmModel *model, const float *pooled, void *scratch, float *out);

#endif
