/*
 * matmul_avx512.c: matrix products with AVX-512 (F, BW, DQ, VL): 16 rows, two groups, to a vector, integer sums by byte-pair
 * multiplies.
 */
#include "cpu/levels.h"
#include "cpu/vec512.h"
#include "cpu/dot_maddubs.h"
#include "cpu/matmul_quant.h"
#include "cpu/matmul_float.h"

/*
 * llmk_matmul_fill_avx512: matmul and quantize of the avx512 table.
 */
void
llmk_matmul_fill_avx512(LlmKernels *k)
{
	fill_quant(k);
	fill_float(k);
	k->quantize = llmk_quantize_avx512;
}
