/*
 * embed.h: vectors of texts (embeddings), and scores of documents for a query (reranking).
 *
 * What a model is for follows from its file (LlmModelKind): how it pools the vectors of a text's tokens into one, and whether
 * a classifier follows. The way of a text: llm_embed_tokens or llm_rank_tokens make tokens; the request runs in the scheduler
 * together with all others; llm_embedding_finish shortens a vector and makes its length 1, llm_rank_score makes one number.
 *
 * A model that sees a text in both directions (BERT and its kin) computes the whole text in one step: the scheduler's batch
 * grows for it as far as the memory limit allows, and the prefix cache is not used. Equal texts give equal bytes whatever
 * else is computed.
 */
#ifndef LLM_EMBED_H
#define LLM_EMBED_H

#include "serve/scheduler.h"

/* what a model is for: the names are "generate", "embed", "rerank" */
typedef enum LlmModelKind
{
	LLM_MODEL_GENERATE,
	LLM_MODEL_EMBED,
	LLM_MODEL_RERANK
} LlmModelKind;

extern LlmModelKind llm_model_kind(const LlmModel *model);
extern LlmModelKind llm_model_kind_of(const LlmHparams *hp, LlmPooling pooling);
extern const char *llm_model_kind_name(LlmModelKind kind);
extern const char *llm_pooling_name(LlmPooling pooling); /* "none", "mean", "cls", "last", "rank", "unspecified" */

/* numbers of a vector that the model makes, and of a rerank result */
extern uint32_t llm_embedding_size(const LlmModel *model);
extern uint32_t llm_rank_outputs(const LlmModel *model);

/*
 * What the model's own files put before a text of a task, such as "query" or "document" (an empty task: the files' default).
 * It is metadata "sentence_transformers.prompt.TASK"; *out is empty where there is none. Errors: LLM_E_ARGUMENT for a task
 * that is none of those, nor "query" or "document".
 */
extern LlmStatus llm_embed_prefix(const LlmModel *model, LlmStr task, LlmStr *out, LlmError *err);

/*
 * Append the tokens of a text to embed: the prefix (written by the model's owner: its special tokens count), the text (data),
 * and what the metadata adds around them. Errors: LLM_E_LIMIT if that is more than the model's context, naming both numbers;
 * with truncate, the text's last tokens are left out instead.
 */
extern LlmStatus llm_embed_tokens(const LlmModel *model, LlmStr prefix, LlmStr text, bool truncate, const LlmStop *stop,
								  LlmTokens *out, LlmError *err);

/*
 * Append the tokens of a query with a document: as a pair for a cross-encoder, through the model's rerank template for a
 * generative one. *n_query: leading tokens that are of the query, for llm_request_rank. instruction: takes the place of the
 * template's own; empty: that. Errors: LLM_E_UNSUPPORTED if the model does not rank or takes no instruction, LLM_E_LIMIT as
 * above; with truncate, the document's last tokens are left out.
 */
extern LlmStatus llm_rank_tokens(const LlmModel *model, LlmStr instruction, LlmStr query, LlmStr document, bool truncate,
								 const LlmStop *stop, LlmTokens *out, size_t *n_query, LlmError *err);

/*
 * The pooled vector of a text; scores of a query with a document. As with other requests, a prompt beyond the context is the
 * request's own error. Errors: LLM_E_UNSUPPORTED if the model has no pooling, or no classifier.
 */
extern LlmStatus llm_request_embed(LlmScheduler *s, const int32_t *tokens, size_t n_tokens, LlmRequest **out, LlmError *err);
extern LlmStatus llm_request_rank(LlmScheduler *s, const int32_t *tokens, size_t n_tokens, size_t n_query, LlmRequest **out,
								  LlmError *err);

/*
 * The result: embed: llm_embedding_size numbers as the model gives them (not normalised); rank: llm_rank_outputs. A model
 * without pooling gives a vector for each token, one after the other. Borrowed until the request is freed.
 */
extern const float *llm_request_vector(const LlmRequest *r);
extern size_t llm_request_n_vectors(const LlmRequest *r);

/*
 * The relevance, 0 to 1, of a rank result: the sigmoid of a single output; of several, which become probabilities, that of
 * the label that says yes.
 */
extern double llm_rank_score(const LlmModel *model, const float *outputs);

/*
 * Keep the first `dimensions` numbers of a vector of n (0: all) and, if unit_length, divide by their Euclidean length (a
 * vector of zeros stays). Returns how many there are. Errors: LLM_E_ARGUMENT if dimensions is above n.
 */
extern LlmStatus llm_embedding_finish(float *vector, uint32_t n, uint32_t dimensions, bool unit_length, uint32_t *n_out,
									  LlmError *err);

/* cosine of the angle between two vectors of n numbers, summed in double precision, ascending; 0 if one is of zeros */
extern double llm_cosine(const float *a, const float *b, uint32_t n);

#endif
