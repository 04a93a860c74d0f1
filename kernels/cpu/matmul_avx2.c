/*
 * matmul_avx2.c: matrix products with AVX2, FMA and F16C: 8 rows to a vector, integer sums by byte-pair multiplies.
 */
#include "cpu/levels.h"
#include "cpu/vec256.h"
#include "cpu/dot_maddubs.h"

#define LLMK_SPREAD
#include "cpu/matmul_quant.h"
#include "cpu/matmul_float.h"
#include "cpu/matmul_grids.h"

/*
 * llmk_matmul_fill_avx2: matmul and quantize of the avx2 table.
 */
void
llmk_matmul_fill_avx2(LlmKernels *k)
{
	fill_quant(k);
	fill_float(k);
	fill_grids(k);
	k->quantize = llmk_quantize_avx2;
}
