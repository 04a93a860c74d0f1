/*
 * tested_levels.h: the kernel tables a test can run on this machine: those the processor supports, and, if it has AVX2,
 * the higher ones through SIMDe (kernels/cpu/simd.h). The first is generic, the reference for all.
 */
#ifndef LLM_TEST_TESTED_LEVELS_H
#define LLM_TEST_TESTED_LEVELS_H

#include <stdio.h>

#include "kernels.h"

#if defined(__x86_64__)
extern void llmk_simde_matmul_fill_avxvnni(LlmKernels *k);
extern void llmk_simde_matmul_fill_avx512(LlmKernels *k);
extern void llmk_simde_matmul_fill_avx512vnni(LlmKernels *k);
extern void llmk_simde_vector_fill_avx512(LlmKernels *k);
#endif

#define MAX_TESTED_LEVELS 8

static LlmKernels tested_levels[MAX_TESTED_LEVELS];
static int	n_tested_levels;

static void
list_tested_levels(void)
{
	uint32_t	features = llmk_cpu_features();
	int			i;

	for (i = 0; i < llmk_level_count(); i++)
	{
		const LlmKernels *k = llmk_level(i);

		if ((k->required & features) == k->required)
			tested_levels[n_tested_levels++] = *k;
	}
#if defined(__x86_64__)
	if (features & LLMK_CPU_AVX2)
	{
		const LlmKernels *avx2 = llmk_select("avx2", features);
		LlmKernels *k = &tested_levels[n_tested_levels];

		k[0] = *avx2;
		k[0].name = "avxvnni by SIMDe";
		llmk_simde_matmul_fill_avxvnni(&k[0]);
		k[1] = *avx2;
		k[1].name = "avx512 by SIMDe";
		llmk_simde_matmul_fill_avx512(&k[1]);
		llmk_simde_vector_fill_avx512(&k[1]);
		k[2] = k[1];
		k[2].name = "avx512vnni by SIMDe";
		llmk_simde_matmul_fill_avx512vnni(&k[2]);
		n_tested_levels += 3;
	}
#endif
	printf("levels:");
	for (i = 0; i < n_tested_levels; i++)
		printf(" [%s]", tested_levels[i].name);
	printf("\n");
}

#endif
