/*
 * matmul_avx512vnni.c: products with quantized weights with AVX-512 VNNI: 16 rows, two groups, to a vector, integer sums
 * by dpbusd.
 */
#include "cpu/levels.h"
#include "cpu/vec512.h"

VEC_INLINE vec_i
vec_dpbusd(vec_i sum, vec_i a, vec_i b)
{
	return _mm512_dpbusd_epi32(sum, a, b);
}

#include "cpu/dot_vnni.h"
#include "cpu/matmul_quant.h"

/*
 * llmk_matmul_fill_avx512vnni: quantized matmul of the avx512vnni table; the rest is that of avx512.
 */
void
llmk_matmul_fill_avx512vnni(LlmKernels *k)
{
	fill_quant(k);
}
