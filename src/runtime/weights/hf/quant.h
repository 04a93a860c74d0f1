/*
 * quant.h: quantized matrices of a Hugging Face folder: which stored tensors make one, and its rows in a type of ours.
 *
 *   FP8      NAME.weight E4M3 or E5M2, NAME.weight_scale or weight_scale_inv: one factor, one for each row, or for each tile
 *   NVFP4    NAME.weight or weight_packed (two codes a byte), NAME.weight_scale (E4M3, each 16 columns), and one factor for
 *            all: NAME.weight_scale_2 (modelopt) or its inverse NAME.weight_global_scale (compressed-tensors)
 *   MXFP4    NAME_blocks, NAME_scales (gpt-oss)
 *   rows     NAME.weight_packed (compressed-tensors: whole numbers in 32-bit words along a row) or NAME.weight of 8-bit integers,
 *            NAME.weight_scale, perhaps NAME.weight_zero_point, weight_g_idx
 *   GPTQ     NAME.qweight, qzeros, scales, perhaps g_idx: words along the columns of the matrix, which is stored transposed
 *   AWQ      NAME.qweight, qzeros, scales: words along the rows, in AWQ's order, transposed as well
 *
 * A matrix is (n_rows, n_cols), a row being an output. The type that rows are given in holds stored values exactly where one
 * does: NVFP4 and MXFP4 as they are; whole numbers of 4 bits as Q4_0 or, with zero points, Q4_1; of 8 bits as Q8_0; FP8 as F16
 * beside a factor for the whole matrix. Where columns of a group are scattered (GPTQ with act-order, g_idx not ascending), where
 * groups are no multiple of 32 columns, and for 8 bits with zero points it is F16: right, but two bytes a weight.
 */
#ifndef LLM_HF_QUANT_H
#define LLM_HF_QUANT_H

#include "weights/hf/safetensors.h"
#include "block_formats.h"

struct json_object;

/* quantization_config of config.json, as far as stored tensors do not tell */
typedef enum LlmHfQuantMethod
{
	LLM_HF_METHOD_PLAIN,		/* none, fp8, modelopt, compressed-tensors, mxfp4: tensors tell the rest */
	LLM_HF_METHOD_GPTQ,
	LLM_HF_METHOD_AWQ
} LlmHfQuantMethod;

typedef struct LlmHfQuantConfig
{
	LlmHfQuantMethod method;
	int			bits;			/* GPTQ, AWQ */
	int			zero_offset;	/* GPTQ: added to stored zero points */
	int64_t		tile_rows;		/* FP8 with tiles */
	int64_t		tile_cols;
} LlmHfQuantConfig;

/* quant_config.c: quantization may be NULL. LLM_E_UNSUPPORTED names the key and value that cannot be computed. */
extern LlmStatus llm_hf_quant_config(struct json_object *quantization, LlmHfQuantConfig *config, LlmError *err);

typedef enum LlmHfQuantKind
{
	LLM_HF_QUANT_FP8,
	LLM_HF_QUANT_NVFP4,
	LLM_HF_QUANT_MXFP4,
	LLM_HF_QUANT_ROWS,
	LLM_HF_QUANT_GPTQ,
	LLM_HF_QUANT_AWQ
} LlmHfQuantKind;

typedef struct LlmHfMatrix
{
	LlmHfQuantKind kind;
	const LlmHfStored *weight;
	const LlmHfStored *scale;
	const LlmHfStored *zero;	/* NULL: none */
	const LlmHfStored *index;	/* group of each column; NULL: ascending */
	int64_t		n_rows;
	int64_t		n_cols;
	int			bits;			/* of whole numbers */
	int64_t		group;			/* columns that share a factor */
	int64_t		tile_rows;		/* rows that share it */
	int64_t		scale_cols;		/* of the tensor of factors */
	int			zero_offset;
	bool		scattered;
	bool		symmetric;		/* every zero point is the middle of the codes */
	LlmType		type;			/* rows are given in */
	float		factor;			/* of the whole matrix, beside the rows */
	bool		as_half;		/* rows are F16 whatever the type, and the factor is in them: where elements are needed one by one */
} LlmHfMatrix;

/* where stored tensors are found and read */
typedef struct LlmHfStore
{
	const LlmHfStored *(*find) (void *ctx, const char *name);
	void	   *ctx;
	const LlmFile *files;		/* by number of the file */
	const LlmAllocator *allocator;
} LlmHfStore;

/*
 * quant_find.c: the quantized matrix of that name ("model.layers.0.mlp.up_proj"); *found false if there is none: then it may be
 * a plain tensor. Reads factors and indices, which are small. Errors: LLM_E_FORMAT naming tensor and shape,
 * LLM_E_UNSUPPORTED for a layout that is not known.
 */
extern LlmStatus llm_hf_matrix_find(const LlmHfStore *store, const LlmHfQuantConfig *config, const char *name,
									LlmHfMatrix *m, bool *found, const LlmStop *stop, LlmError *err);

/* what belongs to quantization and changes no weights: factors of activations and of the key/value cache, shapes */
extern bool llm_hf_quant_ignored(LlmStr name);

/* the stored tensors of a matrix that are in memory whole, because a row is spread over them; of one matrix at a time */
#define LLM_HF_KEPT 4
typedef struct LlmHfKept
{
	const LlmHfStored *stored;
	uint8_t    *bytes;
} LlmHfKept;

typedef struct LlmHfReader
{
	const LlmHfStore *store;
	const LlmHfMatrix *matrix;
	LlmHfKept	kept[LLM_HF_KEPT];
	uint8_t    *rows;			/* stored bytes of a row */
	size_t		rows_bytes;
	uint8_t    *decoded;		/* a row in the matrix's type, and as floats, on the way to F16 */
	size_t		decoded_bytes;
} LlmHfReader;

/* quant_rows.c: rows [first, first + n) to out, in m->type (as_half: F16). LLM_E_FORMAT for values that cannot be (no number, a group beyond the last). */
extern LlmStatus llm_hf_matrix_rows(LlmHfReader *reader, const LlmHfMatrix *m, int64_t first, int64_t n, void *out,
									const LlmStop *stop, LlmError *err);
extern void llm_hf_reader_free(LlmHfReader *reader);

/* one stored number as a float: F64, F32, F16, BF16, F8 types, E8M0 */
extern float llm_hf_number(LlmHfDtype dtype, const uint8_t *bytes);

#endif
