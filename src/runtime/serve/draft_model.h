/*
 * draft_model.h: guesses by a smaller model with the same vocabulary.
 *
 * A drafter belongs to a scheduler and has the model's cache of keys and values and its forward pass. Before a batch is built, the
 * requests that want guesses are served together: one pass feeds what their sequences lack and gives each its first guess,
 * further ones a token at a time. The draft model chooses by the request's own sampling, seed and position, so that it
 * draws what the large one would draw from the same logits. Internal to serve/.
 */
#ifndef LLM_DRAFT_MODEL_H
#define LLM_DRAFT_MODEL_H

#include "serve/draft.h"

/* the scheduler's drafter for a model, made at first use. Errors: LLM_E_ARGUMENT for another vocabulary, LLM_E_LIMIT, LLM_E_NOMEM. */
extern LlmStatus llm_drafter_find(LlmScheduler *s, const LlmModel *model, LlmDrafter **out, LlmError *err);
extern void llm_drafters_free(LlmScheduler *s);

/* guesses for the requests whose draft.n_wanted is set. LLM_PAUSED: call again; requests may be freed meanwhile. */
extern LlmStatus llm_drafters_run(LlmScheduler *s, const LlmStop *stop, LlmError *err);

/* bytes that all drafters of a scheduler take beside their sequences, and that one sequence may take at most */
extern size_t llm_drafters_bytes(const LlmScheduler *s);
extern size_t llm_drafter_request_bytes(const LlmRequest *r);

/* all that they take now */
extern size_t llm_drafters_memory(const LlmScheduler *s);

/* give free memory of sequences back */
extern void llm_drafters_trim(LlmScheduler *s);

/* the draft model's sequence has wrong tokens from position on */
extern void llm_drafter_cut(LlmRequest *r, uint32_t position);

/* a request ends */
extern void llm_drafter_release(LlmRequest *r);

#endif
