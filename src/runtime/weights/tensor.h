/*
 * tensor.h: name, type and shape of a tensor of a weights source.
 */
#ifndef LLM_TENSOR_H
#define LLM_TENSOR_H

#include "base/status.h"
#include "block_formats.h"

#define LLM_MAX_DIMS 4

typedef struct LlmTensor
{
	LlmStr		name;			/* as GGUF names it */
	LlmType		type;
	int			n_dims;
	int64_t		dim[LLM_MAX_DIMS];	/* dim[0] runs fastest (columns); unused are 1 */
	uint64_t	n_bytes;
	uint64_t	offset;			/* where its source finds it: of its data in the file */
	uint32_t	part;			/* and which file that is: 0 is the first */
} LlmTensor;

/* the tensor of that name among n, by_name being their numbers in the order of names; NULL: there is none */
extern const LlmTensor *llm_tensor_find(const LlmTensor *tensors, const uint32_t *by_name, uint64_t n, const char *name);

#endif
