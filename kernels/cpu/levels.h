/*
 * levels.h: how the tables of kernels.h are put together, inside kernels/cpu only.
 *
 * Each level has one function per subject (matrices, vectors) that writes its entries into a table. select.c starts
 * from generic, which fills everything, and lets each higher level overwrite what it does better:
 *
 *   generic    -> avx2 -> avxvnni (matrices only)
 *                      -> avx512 -> avx512vnni (matrices only)
 *
 * The functions only store pointers: no feature is tested here and no table is freed.
 */
#ifndef LLMK_LEVELS_H
#define LLMK_LEVELS_H

#include "kernels.h"

/* the copies that tests run through SIMDe (simd.h) */
#if defined(LLMK_SIMDE)
#define llmk_matmul_fill_avxvnni llmk_simde_matmul_fill_avxvnni
#define llmk_matmul_fill_avx512 llmk_simde_matmul_fill_avx512
#define llmk_matmul_fill_avx512vnni llmk_simde_matmul_fill_avx512vnni
#define llmk_quantize_avx512 llmk_simde_quantize_avx512
#define llmk_vector_fill_avx512 llmk_simde_vector_fill_avx512
#endif

/* matmul, get_row and quantize */
extern void llmk_matmul_fill_generic(LlmKernels *k);

/* functions of one level that its fill function, in another file, puts into the table; types as in kernels.h */
extern void llmk_quantize_generic(const float *x, int64_t n, const LlmkTerm term[2]);

/* all other entries */
extern void llmk_vector_fill_generic(LlmKernels *k);

#if defined(__x86_64__)
extern void llmk_matmul_fill_avx2(LlmKernels *k);
extern void llmk_matmul_fill_avxvnni(LlmKernels *k);
extern void llmk_matmul_fill_avx512(LlmKernels *k);
extern void llmk_matmul_fill_avx512vnni(LlmKernels *k);

extern void llmk_quantize_avx2(const float *x, int64_t n, const LlmkTerm term[2]);
extern void llmk_quantize_avx512(const float *x, int64_t n, const LlmkTerm term[2]);

extern void llmk_vector_fill_avx2(LlmKernels *k);
extern void llmk_vector_fill_avx512(LlmKernels *k);
#endif

#endif
