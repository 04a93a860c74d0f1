/*
 * hf_weight.h: the weights of a folder as a float model would name them, whatever they are stored as.
 *
 * A weight is made of one or more stored tensors by a decoder that yields its rows in a declared type. A float weight is one
 * stored tensor, and its rows are what is in the file. Quantized layouts (packed codes, scales, zero points in tensors of their
 * own) are further decoders: hf_weights.c decides by names and dtypes which stored tensors make one weight.
 */
#ifndef LLM_HF_WEIGHT_H
#define LLM_HF_WEIGHT_H

#include "weights/hf/hf_folder.h"
#include "weights/hf/quant.h"

typedef struct LlmHfWeight LlmHfWeight;

typedef struct LlmHfDecoder
{
	const char *name;			/* for people */

	/* rows first .. first + n - 1 as the weight's type lays them out; LLM_PAUSED: call again */
	LlmStatus	(*read) (const LlmHfFolder *folder, const LlmHfWeight *w, int64_t first, int64_t n, void *out,
						 const LlmStop *stop, LlmError *err);
} LlmHfDecoder;

/* rows are all dimensions but the last; a weight of one dimension has rows of one element, so that each can be taken by itself */
struct LlmHfWeight
{
	LlmStr		name;			/* "model.layers.0.self_attn.q_proj.weight" */
	const LlmHfDecoder *decoder;
	const LlmHfStored *stored;	/* what is read of a float weight; of a quantized one its codes */
	const LlmHfMatrix *matrix;	/* NULL: a float weight */
	LlmType		type;			/* of the rows that the decoder yields */
	int			n_dims;
	int64_t		dim[LLM_HF_MAX_DIMS];	/* the last runs fastest; unused are 1 */
	int64_t		n_rows;
	int64_t		n_cols;
	bool		out_first;		/* a stack of matrices with outputs as rows, also where the float form has inputs as rows */
};

typedef struct LlmHfWeights
{
	LlmHfWeight *weights;		/* in the order of the data */
	uint32_t	n;
} LlmHfWeights;

/* in the folder's arena; quantization is that of config.json. LLM_E_UNSUPPORTED names a tensor that is part of no weight. */
extern LlmStatus llm_hf_weights(LlmHfFolder *folder, const LlmHfQuantConfig *quantization, LlmHfWeights *weights, const LlmStop *stop,
								LlmError *err);

/* *out: the same weight with rows in F16, whose elements can be taken one by one; w itself if it is a float weight */
extern LlmStatus llm_hf_weight_halves(LlmHfFolder *folder, const LlmHfWeight *w, const LlmHfWeight **out, LlmError *err);

/* a name without its ending ".weight"; as it is if it has another */
extern LlmStr llm_hf_base_name(LlmStr name);

/* bytes of n rows in the weight's type */
extern size_t llm_hf_row_bytes(const LlmHfWeight *w, int64_t n);

#endif
