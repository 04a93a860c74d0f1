/*
 * gguf_views.h: tensors of older GGUF files in the form of newer ones.
 *
 * Two layouts have changed since: each expert's matrices were tensors of their own (blk.N.ffn_up.E.weight), which are now
 * matrices of one stack (blk.N.ffn_up_exps.weight); and the keys and values of latent attention came from one matrix,
 * blk.N.attn_kv_b.weight, whose rows for each head are now two stacks, attn_k_b (transposed) and attn_v_b. A view says which
 * stored rows the rows of a tensor are. No data is read for it.
 */
#ifndef LLM_GGUF_VIEWS_H
#define LLM_GGUF_VIEWS_H

#include "weights/gguf.h"

/* matrix m of the tensor has the stored rows m * matrix_rows + row_off and so on; or it is all of experts[m] */
typedef struct LlmGgufView
{
	const LlmTensor *stored;	/* NULL: the tensor is as the file has it */
	const LlmTensor **experts;	/* NULL: all matrices come from stored */
	int64_t		matrix_rows;
	int64_t		row_off;
	bool		transposed;		/* the n_in stored rows become columns; elements of types with blocks become F16 */
	int64_t		n_in;
} LlmGgufView;

typedef struct LlmGgufViews
{
	uint64_t	n;
	const LlmTensor *tensors;	/* in the order of the data */
	const uint32_t *by_name;	/* their numbers, sorted by name */
	const LlmGgufView *views;	/* of each tensor; NULL: all are as the file has them */
} LlmGgufViews;

/*
 * The tensors of a file, which keeps the memory. Errors: LLM_E_FORMAT if an expert is missing, or shapes do not fit each other
 * or the metadata; LLM_E_UNSUPPORTED if experts have different types; LLM_E_LIMIT.
 */
extern LlmStatus llm_gguf_views(LlmGguf *gguf, LlmGgufViews *views, LlmError *err);

/* bytes of a stored row */
extern uint64_t llm_gguf_row_bytes(const LlmTensor *stored);

#endif
