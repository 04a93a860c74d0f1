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

/* matmul, get_row and quantize */
extern void llmk_matmul_fill_generic(LlmKernels *k);

/* all other entries */
extern void llmk_vector_fill_generic(LlmKernels *k);

#if defined(__x86_64__)
extern void llmk_matmul_fill_avx2(LlmKernels *k);
extern void llmk_matmul_fill_avxvnni(LlmKernels *k);
extern void llmk_matmul_fill_avx512(LlmKernels *k);
extern void llmk_matmul_fill_avx512vnni(LlmKernels *k);

extern void llmk_vector_fill_avx2(LlmKernels *k);
extern void llmk_vector_fill_avx512(LlmKernels *k);
#endif

#endif
