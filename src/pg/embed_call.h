/*
 * embed_call.h: vectors of texts through a model of kind embed: one call, and many together.
 */
#ifndef PGLLM_EMBED_CALL_H
#define PGLLM_EMBED_CALL_H

#include "llm_function.h"
#include "serve/embed.h"

/* what is asked for beside the text */
typedef struct PgLlmEmbedArgs
{
	PgLlmOptions options;		/* truncate, prefix */
	LlmStr		task;			/* "query", "document" or a task of the model's own files */
	uint32_t	dimensions;		/* 0: all */
	bool		unit_length;
} PgLlmEmbedArgs;

/* vectors of documents, whole, of length 1 */
extern void pgllm_embed_args_init(PgLlmEmbedArgs *args);

/* begin to embed a text; raises if the model has no such task or not so many dimensions */
extern PgLlmCall *pgllm_embed_begin(PgLlmModel *model, const PgLlmEmbedArgs *args, LlmStr input);

/* the vector of a call that is done without error: *n numbers in the current memory context */
extern float *pgllm_embed_read(const PgLlmCall *call, const PgLlmEmbedArgs *args, uint32_t *n);

extern ArrayType *pgllm_real_array(const float *numbers, uint32_t n);

/* an error of tokenizing: too long a text is the row's trouble (kept in the call), all else raises */
extern void pgllm_call_tokens_error(PgLlmCall *call, const LlmError *err);

/* ---- many texts (text_batch.c) ---- */

/* what is done with each of many texts */
typedef struct PgLlmTextBatch
{
	PgLlmCall  *(*begin) (void *opaque, LlmStr text);
	void		(*take) (void *opaque, int index, const PgLlmCall *call);	/* the call of inputs[index] is done */
	void	   *opaque;
} PgLlmTextBatch;

/*
 * Begin a call for each text and take its result: texts of like length together, equal texts once, many in the scheduler
 * at a time. Texts without data (NULLs) are left out. take is called in no particular order, once for each other text.
 */
extern void pgllm_text_batch_run(const PgLlmTextBatch *batch, const LlmStr *texts, int n);

#endif
