/*
 * hf_tensors.h: the tensors of a folder as GGUF would name and shape them, each a view of one or more weights.
 *
 * A view says for every row of the tensor which row (or column) of which weight it is, and what is done to its values. Nothing
 * is read when it is made.
 */
#ifndef LLM_HF_TENSORS_H
#define LLM_HF_TENSORS_H

#include "weights/hf/hf_params.h"
#include "weights/hf/hf_weight.h"

typedef enum LlmHfValue
{
	LLM_HF_VALUE_AS_IS,
	LLM_HF_VALUE_PLUS_ONE,		/* these give F32 */
	LLM_HF_VALUE_NEG_EXP,
	LLM_HF_VALUE_TIMES
} LlmHfValue;

/* rows of a weight that lie in groups: n of each group, from its row `off` on */
typedef struct LlmHfSpan
{
	int64_t		n;
	int64_t		off;
} LlmHfSpan;

#define LLM_HF_MAX_SPANS 3

/*
 * Row r of matrix m is row m * matrix_rows + row_off + turn(r) * row_step of the weight (m of `weights`, if there are several,
 * and then 0 in the formula); or, transposed, its column col_off + r * col_step over the rows row_off .. row_off + n_in - 1 of
 * matrix m. Elements of a row that is not transposed are columns col_off + i * col_step.
 */
typedef struct LlmHfView
{
	const LlmHfWeight **weights;
	uint32_t	n_weights;
	int64_t		n_rows;			/* of a matrix of the tensor, counted in rows of the weight */
	int64_t		matrix_rows;
	int64_t		row_off;
	int64_t		row_step;
	int64_t		col_off;
	int64_t		col_step;
	bool		transposed;
	int64_t		n_in;
	int64_t		turn_rows;		/* rows of a head whose halves come in turn; 0: none */
	int64_t		group_rows;		/* rows of a group, of which the tensor has the first span of all, then the second …; 0: none */
	LlmHfSpan	spans[LLM_HF_MAX_SPANS];
	LlmHfValue	value;
	float		factor;			/* of LLM_HF_VALUE_TIMES */
	const float *row_factors;	/* beside it, for each row; NULL: none */
	const float *given;			/* not NULL: these are the values, and there is no weight */
} LlmHfView;

typedef struct LlmHfTensors
{
	LlmTensor  *tensors;		/* in the order of the data */
	LlmHfView  *views;			/* of each */
	uint32_t   *by_name;
	uint32_t	n;
} LlmHfTensors;

/*
 * In the arena of params' folder. LLM_E_UNSUPPORTED names a weight that the family does not know; LLM_E_FORMAT one of a shape
 * that is not possible, or experts that are not complete.
 */
extern LlmStatus llm_hf_tensors(const LlmHfParams *params, const LlmHfWeights *weights, LlmHfTensors *tensors, LlmError *err);

#endif
