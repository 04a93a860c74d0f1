/*
 * vector_levels.h: the levels a test of vector operations and attention compares: generic first, then those that this
 * machine runs, then the AVX-512 files compiled through SIMDe, which needs AVX2.
 */
#ifndef LLM_TEST_VECTOR_LEVELS_H
#define LLM_TEST_VECTOR_LEVELS_H

#include "cpu/levels.h"

#define MAX_TEST_LEVELS 8

#if defined(__x86_64__)
extern void llmk_simde_vector_fill_avx512(LlmKernels *k);
#endif

static LlmKernels test_levels[MAX_TEST_LEVELS];
static int	n_test_levels;

static inline void
find_test_levels(void)
{
	uint32_t	features = llmk_cpu_features();

	for (int i = 0; i < llmk_level_count() && n_test_levels < MAX_TEST_LEVELS - 1; i++)
	{
		const LlmKernels *k = llmk_level(i);

		if ((k->required & features) == k->required)
			test_levels[n_test_levels++] = *k;
	}
#if defined(__x86_64__)
	if (features & LLMK_CPU_AVX2)
	{
		LlmKernels *k = &test_levels[n_test_levels++];

		*k = *llmk_select("avx2", features);
		k->name = "avx512 by SIMDe";
		llmk_simde_vector_fill_avx512(k);
	}
#endif
	for (int i = 0; i < n_test_levels; i++)
		printf("level: %s\n", test_levels[i].name);
}

#endif
