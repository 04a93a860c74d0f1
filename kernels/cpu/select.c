/*
 * select.c: the tables of all levels in this build, and the choice among them.
 *
 * The tables are filled once per process, by the first caller; after that they are only read, by any thread. A level is
 * possible if the processor has every feature bit that the level requires.
 */
#include <pthread.h>
#include <string.h>

#include "cpu/levels.h"

#if defined(__x86_64__)
#define N_LEVELS 5
#else
#define N_LEVELS 1
#endif

static LlmKernels levels[N_LEVELS];
static pthread_once_t levels_once = PTHREAD_ONCE_INIT;

/*
 * How each level is made: a copy of a lower one, with the functions of its own put over. The fill functions are compiled
 * for their level too, so one must not run on a processor without it: there a level keeps the functions of its base.
 */
static const struct
{
	const char *name;
	uint32_t	required;
	int			base;			/* index of the level it copies */
	void		(*fill_matmul) (LlmKernels *k);
	void		(*fill_vector) (LlmKernels *k);
}			recipes[N_LEVELS] = {
	{"generic", 0, 0, llmk_matmul_fill_generic, llmk_vector_fill_generic},
#if defined(__x86_64__)
	{"avx2", LLMK_CPU_AVX2, 0, llmk_matmul_fill_avx2, llmk_vector_fill_avx2},
	{"avxvnni", LLMK_CPU_AVX2 | LLMK_CPU_AVXVNNI, 1, llmk_matmul_fill_avxvnni, NULL},
	{"avx512", LLMK_CPU_AVX2 | LLMK_CPU_AVX512, 1, llmk_matmul_fill_avx512, llmk_vector_fill_avx512},
	{"avx512vnni", LLMK_CPU_AVX2 | LLMK_CPU_AVX512 | LLMK_CPU_AVX512VNNI, 3, llmk_matmul_fill_avx512vnni, NULL},
#endif
};

static void
fill_levels(void)
{
	uint32_t	features = llmk_cpu_features();

	for (int i = 0; i < N_LEVELS; i++)
	{
		LlmKernels *k = &levels[i];

		if (i > 0)
			*k = levels[recipes[i].base];
		k->name = recipes[i].name;
		k->required = recipes[i].required;
		if ((k->required & features) != k->required)
			continue;
		recipes[i].fill_matmul(k);
		if (recipes[i].fill_vector)
			recipes[i].fill_vector(k);
	}
}

/*
 * llmk_level_count: number of levels in this build, whether or not this processor can run them.
 */
int
llmk_level_count(void)
{
	return N_LEVELS;
}

/*
 * llmk_level: the table of level i, generic first; NULL outside 0 .. llmk_level_count() - 1. Lives as long as the process.
 */
const LlmKernels *
llmk_level(int i)
{
	pthread_once(&levels_once, fill_levels);
	return i >= 0 && i < N_LEVELS ? &levels[i] : NULL;
}

/*
 * llmk_select: the best level that `features` (of llmk_cpu_features(), or fewer) allow, or the one called `name`.
 *
 * name NULL or "auto" means the best. NULL is returned if no level has that name or the features do not allow it.
 */
const LlmKernels *
llmk_select(const char *name, uint32_t features)
{
	int			any = name == NULL || strcmp(name, "auto") == 0;
	int			i;

	for (i = N_LEVELS - 1; i >= 0; i--)
	{
		const LlmKernels *k = llmk_level(i);

		if ((k->required & features) == k->required && (any || strcmp(name, k->name) == 0))
			return k;
	}
	return NULL;
}
