/*
 * types.c: what is known of each tensor type that a GGUF file may name.
 *
 * Types without kernels are listed too, so that a reader can check sizes and refuse by name.
 * Source: type numbers of ggml/include/ggml.h, block sizes of ggml/src/ggml-common.h.
 */
#include "kernels.h"

/* block_len, block_bytes; then decoded, quantized */
#define COMPUTED_FLOAT(name, bytes)		{name, 1, bytes, 1, 0}
#define COMPUTED_QUANT(name, len, bytes)	{name, len, bytes, 1, 1}
#define NUMBER(name, bytes)				{name, 1, bytes, 0, 0}
#define QUANT(name, len, bytes)			{name, len, bytes, 0, 1}

static const LlmTypeInfo type_info[LLM_TYPE_COUNT] = {
	[LLM_TYPE_F32] = COMPUTED_FLOAT("F32", 4),
	[LLM_TYPE_F16] = COMPUTED_FLOAT("F16", 2),
	[LLM_TYPE_BF16] = COMPUTED_FLOAT("BF16", 2),
	[LLM_TYPE_Q4_0] = COMPUTED_QUANT("Q4_0", 32, sizeof(LlmBlockQ4_0)),
	[LLM_TYPE_Q4_1] = COMPUTED_QUANT("Q4_1", 32, sizeof(LlmBlockQ4_1)),
	[LLM_TYPE_Q5_0] = COMPUTED_QUANT("Q5_0", 32, sizeof(LlmBlockQ5_0)),
	[LLM_TYPE_Q5_1] = COMPUTED_QUANT("Q5_1", 32, sizeof(LlmBlockQ5_1)),
	[LLM_TYPE_Q8_0] = COMPUTED_QUANT("Q8_0", 32, sizeof(LlmBlockQ8_0)),
	[LLM_TYPE_Q6_K] = COMPUTED_QUANT("Q6_K", 256, sizeof(LlmBlockQ6_K)),
	[LLM_TYPE_Q2_K] = COMPUTED_QUANT("Q2_K", 256, sizeof(LlmBlockQ2_K)),
	[LLM_TYPE_Q3_K] = COMPUTED_QUANT("Q3_K", 256, sizeof(LlmBlockQ3_K)),
	[LLM_TYPE_Q4_K] = COMPUTED_QUANT("Q4_K", 256, sizeof(LlmBlockQ4_K)),
	[LLM_TYPE_Q5_K] = COMPUTED_QUANT("Q5_K", 256, sizeof(LlmBlockQ5_K)),
	[LLM_TYPE_IQ4_NL] = COMPUTED_QUANT("IQ4_NL", 32, sizeof(LlmBlockIQ4_NL)),
	[LLM_TYPE_IQ4_XS] = COMPUTED_QUANT("IQ4_XS", 256, sizeof(LlmBlockIQ4_XS)),
	[LLM_TYPE_MXFP4] = COMPUTED_QUANT("MXFP4", 32, sizeof(LlmBlockMXFP4)),
	[LLM_TYPE_NVFP4] = COMPUTED_QUANT("NVFP4", 64, sizeof(LlmBlockNVFP4)),
	[LLM_TYPE_Q1_0] = COMPUTED_QUANT("Q1_0", 128, sizeof(LlmBlockQ1_0)),
	[LLM_TYPE_Q2_0] = COMPUTED_QUANT("Q2_0", 64, sizeof(LlmBlockQ2_0)),
	[LLM_TYPE_TQ1_0] = COMPUTED_QUANT("TQ1_0", 256, sizeof(LlmBlockTQ1_0)),
	[LLM_TYPE_TQ2_0] = COMPUTED_QUANT("TQ2_0", 256, sizeof(LlmBlockTQ2_0)),
	[LLM_TYPE_IQ1_S] = COMPUTED_QUANT("IQ1_S", 256, sizeof(LlmBlockIQ1_S)),
	[LLM_TYPE_IQ1_M] = COMPUTED_QUANT("IQ1_M", 256, sizeof(LlmBlockIQ1_M)),
	[LLM_TYPE_IQ2_XXS] = COMPUTED_QUANT("IQ2_XXS", 256, sizeof(LlmBlockIQ2_XXS)),
	[LLM_TYPE_IQ2_XS] = COMPUTED_QUANT("IQ2_XS", 256, sizeof(LlmBlockIQ2_XS)),
	[LLM_TYPE_IQ2_S] = COMPUTED_QUANT("IQ2_S", 256, sizeof(LlmBlockIQ2_S)),
	[LLM_TYPE_IQ3_XXS] = COMPUTED_QUANT("IQ3_XXS", 256, sizeof(LlmBlockIQ3_XXS)),
	[LLM_TYPE_IQ3_S] = COMPUTED_QUANT("IQ3_S", 256, sizeof(LlmBlockIQ3_S)),

	[LLM_TYPE_F64] = NUMBER("F64", 8),
	[LLM_TYPE_I8] = NUMBER("I8", 1),
	[LLM_TYPE_I16] = NUMBER("I16", 2),
	[LLM_TYPE_I32] = NUMBER("I32", 4),
	[LLM_TYPE_I64] = NUMBER("I64", 8),

	[LLM_TYPE_Q8_1] = QUANT("Q8_1", 32, 36),
	[LLM_TYPE_Q8_K] = QUANT("Q8_K", 256, 292),
};

/*
 * llmk_type_info: facts about a type number read from a file; NULL if no type has that number. Constant data.
 */
const LlmTypeInfo *
llmk_type_info(uint32_t type)
{
	if (type >= LLM_TYPE_COUNT || type_info[type].name == NULL)
		return NULL;
	return &type_info[type];
}
