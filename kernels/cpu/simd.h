/*
 * simd.h: the x86 intrinsics for files that belong to one CPU level.
 *
 * Files of the levels AVX-VNNI, AVX-512 and AVX-512 VNNI are compiled twice: for use, with the compiler's own
 * intrinsics; and for tests, with LLMK_SIMDE defined, where SIMDe stands in for instructions the machine lacks and the
 * fill functions get the names llmk_simde_..., so that both can be linked into one program.
 * Source: SIMD Everywhere, https://github.com/simd-everywhere/simde
 */
#ifndef LLMK_SIMD_H
#define LLMK_SIMD_H

#if defined(LLMK_SIMDE)

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>

#define _mm256_dpbusd_avx_epi32(sum, a, b) simde_mm256_dpbusd_epi32(sum, a, b)

#define llmk_matmul_fill_avxvnni llmk_simde_matmul_fill_avxvnni
#define llmk_matmul_fill_avx512 llmk_simde_matmul_fill_avx512
#define llmk_matmul_fill_avx512vnni llmk_simde_matmul_fill_avx512vnni
#define llmk_vector_fill_avx512 llmk_simde_vector_fill_avx512

#else

#include <immintrin.h>

#endif

#endif
