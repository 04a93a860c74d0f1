/*
 * safetensors.h: the header of a safetensors file: which tensors it holds, and where.
 *
 *   length u64 | JSON of that length: {"NAME": {"dtype": "F32", "shape": [...], "data_offsets": [begin, end]}, ...} | data
 *
 * The file is untrusted: lengths, types, shapes and offsets are checked; the tensors cover the data without holes or overlaps.
 * Source: github.com/huggingface/safetensors, README (format).
 */
#ifndef LLM_SAFETENSORS_H
#define LLM_SAFETENSORS_H

#include "base/file_io.h"

#define LLM_HF_MAX_DIMS 8		/* those of pictures and films; what is computed with has LLM_MAX_DIMS at most */

typedef enum LlmHfDtype
{
	LLM_HF_F64,
	LLM_HF_F32,
	LLM_HF_F16,
	LLM_HF_BF16,
	LLM_HF_F8_E4M3,
	LLM_HF_F8_E5M2,
	LLM_HF_F8_E8M0,
	LLM_HF_I64,
	LLM_HF_I32,
	LLM_HF_I16,
	LLM_HF_I8,
	LLM_HF_U64,
	LLM_HF_U32,
	LLM_HF_U16,
	LLM_HF_U8,
	LLM_HF_BOOL
} LlmHfDtype;

/* a tensor as it is stored */
typedef struct LlmHfStored
{
	LlmStr		name;			/* points into the header's text */
	LlmHfDtype	dtype;
	int			n_dims;			/* 0: a single value */
	int64_t		dim[LLM_HF_MAX_DIMS];	/* as the file says: the last runs fastest; unused are 1 */
	uint32_t	file;			/* which file it is in */
	uint64_t	offset;			/* in that file */
	uint64_t	n_bytes;
} LlmHfStored;

extern const char *llm_hf_dtype_name(LlmHfDtype dtype);
extern int	llm_hf_dtype_bytes(LlmHfDtype dtype);

/*
 * Read the header of file (number `number` of its folder). *tensors (n_tensors), in the order of the data, and the text that
 * names point to are in the arena. Errors: LLM_E_IO, LLM_E_FORMAT with tensor and offset, LLM_E_UNSUPPORTED (dtype, more
 * dimensions), LLM_E_LIMIT, LLM_PAUSED.
 */
extern LlmStatus llm_safetensors_read(const LlmFile *file, uint32_t number, LlmArena *arena, const LlmStop *stop,
									  LlmHfStored **tensors, uint64_t *n_tensors, LlmError *err);

#endif
