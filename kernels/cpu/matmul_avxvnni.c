/*
 * matmul_avxvnni.c: products with quantized weights with AVX-VNNI: 8 rows to a vector, integer sums by dpbusd.
 */
#include "cpu/levels.h"
#include "cpu/vec256.h"

VEC_INLINE vec_i
vec_dpbusd(vec_i sum, vec_i a, vec_i b)
{
	return _mm256_dpbusd_avx_epi32(sum, a, b);
}

#include "cpu/dot_vnni.h"
#include "cpu/matmul_quant.h"

/*
 * llmk_matmul_fill_avxvnni: quantized matmul of the avxvnni table; the rest is that of avx2.
 */
void
llmk_matmul_fill_avxvnni(LlmKernels *k)
{
	fill_quant(k);
}
