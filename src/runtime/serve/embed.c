/*
 * embed.c: what a model is for, requests for vectors, and what is done to an embedding.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "model/pool_head.h"
#include "serve/embed.h"
#include "serve/prompt_parts.h"
#include "serve/request.h"

#define PROMPT_KEY "sentence_transformers.prompt."
#define MAX_PROMPT_NAME 128

LlmModelKind
llm_model_kind_of(const LlmHparams *hp, LlmPooling pooling)
{
	if (pooling == LLM_POOLING_RANK)
		return LLM_MODEL_RERANK;
	return hp->causal && pooling <= LLM_POOLING_NONE ? LLM_MODEL_GENERATE : LLM_MODEL_EMBED;
}

LlmModelKind
llm_model_kind(const LlmModel *model)
{
	return llm_model_kind_of(&model->hp, model->pooling);
}

const char *
llm_model_kind_name(LlmModelKind kind)
{
	return kind == LLM_MODEL_RERANK ? "rerank" : kind == LLM_MODEL_EMBED ? "embed" : "generate";
}

const char *
llm_pooling_name(LlmPooling pooling)
{
	switch (pooling)
	{
		case LLM_POOLING_NONE:
			return "none";
		case LLM_POOLING_MEAN:
			return "mean";
		case LLM_POOLING_CLS:
			return "cls";
		case LLM_POOLING_LAST:
			return "last";
		case LLM_POOLING_RANK:
			return "rank";
		case LLM_POOLING_UNSPECIFIED:
			break;
	}
	return "unspecified";
}

uint32_t
llm_embedding_size(const LlmModel *model)
{
	return model->head.n_embd_out;
}

uint32_t
llm_rank_outputs(const LlmModel *model)
{
	return model->head.n_outputs;
}

/* ---- tokens ---- */

/* the prompt of that name, in the model's metadata; false if there is none */
static bool
find_prompt(const LlmModel *model, LlmStr name, LlmStr *out)
{
	char		key[sizeof(PROMPT_KEY) + MAX_PROMPT_NAME];
	LlmStr		prompt = {NULL, 0};
	LlmError	unused;

	if (name.len > MAX_PROMPT_NAME || memchr(name.data, 0, name.len))
		return false;
	snprintf(key, sizeof(key), "%s%.*s", PROMPT_KEY, (int) name.len, name.data);
	if (llm_meta_string(&model->pack.meta, key, false, &prompt, &unused) != LLM_OK || !prompt.data)
		return false;
	*out = prompt;
	return true;
}

LlmStatus
llm_embed_prefix(const LlmModel *model, LlmStr task, LlmStr *out, LlmError *err)
{
	LlmStr		prefix = {"", 0};
	LlmStatus	status;

	if (task.len == 0)
		LLM_TRY(llm_meta_string(&model->pack.meta, "sentence_transformers.default_prompt_name", false, &task, err));
	if (task.len > 0 && !find_prompt(model, task, &prefix))
	{
		if (llm_str_equals(task, "document"))
			find_prompt(model, (LlmStr) {"passage", 7}, &prefix);	/* its other name */
		else if (!llm_str_equals(task, "query"))
		{
			status = llm_fail(err, LLM_E_ARGUMENT, "the model has no prompt for the task \"%.*s\"",
							  (int) (task.len > 60 ? 60 : task.len), task.data);
			llm_error_hint(err, "The tasks query and document are always known; others are those of the model's own files.");
			return status;
		}
	}
	*out = prefix;
	return LLM_OK;
}

LlmStatus
llm_embed_tokens(const LlmModel *model, LlmStr prefix, LlmStr text, bool truncate, const LlmStop *stop, LlmTokens *out,
				 LlmError *err)
{
	const size_t n_after = llm_tokenizer_n_after(model->tokenizer, false);
	const size_t n_before = out->n;
	LlmParts	parts;
	LlmStatus	status;

	llm_parts_init(&parts, out->allocator);
	status = llm_parts_add(&parts, prefix.data, prefix.len, false, err);
	if (status == LLM_OK)
		status = llm_parts_add(&parts, text.data, text.len, true, err);
	if (status == LLM_OK)
		status = llm_tokenize(model->tokenizer, llm_parts_text(&parts), LLM_TOKENIZE_ADD_SPECIAL | LLM_TOKENIZE_PARSE_SPECIAL,
							  stop, out, err);
	llm_parts_free(&parts);
	LLM_TRY(status);
	if (out->n - n_before <= model->n_ctx)
		return LLM_OK;
	if (truncate && n_after < model->n_ctx)
	{
		llm_tokens_cut(out, n_before + model->n_ctx, n_after);
		return LLM_OK;
	}
	status = llm_fail(err, LLM_E_LIMIT, "the text has %zu tokens, more than the context of %u tokens", out->n - n_before,
					  model->n_ctx);
	llm_error_hint(err, "Cut the text into pieces, or have it truncated.");
	out->n = n_before;
	return status;
}

/* ---- requests ---- */

/* a request for vectors, with room for its result */
static LlmStatus
make_vector_request(LlmScheduler *s, LlmRequestKind kind, const int32_t *tokens, size_t n_tokens, LlmRequest **out, LlmError *err)
{
	const size_t n_embd = s->model->hp.n_embd;
	const bool	each = s->model->pooling == LLM_POOLING_NONE;
	LlmRequest *r;
	LlmStatus	status;
	void	   *p;

	LLM_TRY(llm_request_make(s, kind, tokens, n_tokens, 0, &r, err));
	*out = r;
	if (r->finish != LLM_FINISH_NONE)
		return LLM_OK;
	r->n_vectors = each ? n_tokens : 1;
	status = llm_alloc(s->allocator, r->n_vectors * llm_pool_head_size(s->model), sizeof(float), &p, err);
	if (status == LLM_OK)
	{
		r->vectors = p;
		status = llm_alloc(s->allocator, n_embd, sizeof(float), &p, err);
	}
	if (status == LLM_OK)
	{
		r->pooled = p;
		status = llm_alloc(s->allocator, n_embd, sizeof(float), &p, err);
	}
	if (status == LLM_OK)
		r->pending = p;
	else
		llm_request_free(r);
	return status;
}

LlmStatus
llm_request_embed(LlmScheduler *s, const int32_t *tokens, size_t n_tokens, LlmRequest **out, LlmError *err)
{
	const LlmPooling pooling = s->model->pooling;
	LlmStatus	status;

	if (pooling == LLM_POOLING_UNSPECIFIED || pooling == LLM_POOLING_RANK)
	{
		status = llm_fail(err, LLM_E_UNSUPPORTED, pooling == LLM_POOLING_RANK ? "the model ranks, it makes no embeddings" :
						  "the model makes no embeddings: it does not say how the vectors of a text's tokens become one");
		llm_error_hint(err, "Use an embedding model, or set the model's option pooling to mean, cls or last.");
		return status;
	}
	return make_vector_request(s, LLM_REQUEST_EMBED, tokens, n_tokens, out, err);
}

LlmStatus
llm_request_rank(LlmScheduler *s, const int32_t *tokens, size_t n_tokens, size_t n_query, LlmRequest **out, LlmError *err)
{
	LlmStatus	status;

	if (s->model->pooling != LLM_POOLING_RANK)
	{
		status = llm_fail(err, LLM_E_UNSUPPORTED, "the model does not rank: it has no classifier");
		llm_error_hint(err, "Use a reranking model.");
		return status;
	}
	LLM_TRY(make_vector_request(s, LLM_REQUEST_RANK, tokens, n_tokens, out, err));
	(*out)->n_query = n_query < n_tokens ? (uint32_t) n_query : 0;
	return LLM_OK;
}

const float *
llm_request_vector(const LlmRequest *r)
{
	return r->vectors;
}

size_t
llm_request_n_vectors(const LlmRequest *r)
{
	return r->n_vectors;
}

/* ---- results ---- */

LlmStatus
llm_embedding_finish(float *vector, uint32_t n, uint32_t dimensions, bool unit_length, uint32_t *n_out, LlmError *err)
{
	double		squares = 0;
	LlmStatus	status;

	if (dimensions > n)
	{
		status = llm_fail(err, LLM_E_ARGUMENT, "the model's embeddings have %u dimensions, fewer than the %u asked for", n,
						  dimensions);
		llm_error_hint(err, "Ask for at most %u dimensions.", n);
		return status;
	}
	if (dimensions > 0)
		n = dimensions;
	*n_out = n;
	if (!unit_length)
		return LLM_OK;
	for (uint32_t i = 0; i < n; i++)
		squares += (double) vector[i] * vector[i];
	for (uint32_t i = 0; i < n && squares > 0; i++)
		vector[i] = (float) (vector[i] / sqrt(squares));
	return LLM_OK;
}

double
llm_cosine(const float *a, const float *b, uint32_t n)
{
	double		dot = 0;
	double		aa = 0;
	double		bb = 0;

	for (uint32_t i = 0; i < n; i++)
	{
		dot += (double) a[i] * b[i];
		aa += (double) a[i] * a[i];
		bb += (double) b[i] * b[i];
	}
	return aa > 0 && bb > 0 ? dot / sqrt(aa * bb) : 0;
}
