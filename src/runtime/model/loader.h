/*
 * loader.h: finding a model's weights, inside this folder. Every tensor that was used is marked; one that is left over is
 * refused by name: leaving it out would change the answers silently.
 */
#ifndef LLM_LOADER_H
#define LLM_LOADER_H

#include "model/model.h"

typedef struct LlmLoader
{
	LlmModel   *model;
	bool	   *used;			/* by index of pack.tensors */
	LlmError   *err;
} LlmLoader;

/* weights.c: all of them, into model */
extern LlmStatus llm_load_weights(LlmLoader *ld);

/* a vector of n; *out NULL if absent and not required */
extern LlmStatus llm_load_vector(LlmLoader *ld, const char *name, int64_t n, bool required, const float **out);

/*
 * rows [first, first + out->n_rows) of a matrix, packed again as a matrix of floats of their own; out->n_cols is set.
 * turn_rows: rows of a head whose halves are to come in turn; 0: all stay in order.
 */
extern LlmStatus llm_copy_rows(LlmLoader *ld, const LlmkMatrix *all, int64_t first, int64_t turn_rows, LlmkMatrix *out);

/* rope.c: angles per position */
extern LlmStatus llm_load_rope(LlmLoader *ld);

/* marks the tensor; false if there is none of that name */
extern bool llm_loader_use(LlmLoader *ld, const char *name);

#endif
