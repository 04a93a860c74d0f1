/*
 * vector_levels.h: of the levels of tested_levels.h those with vector operations of their own, generic first.
 */
#ifndef LLM_TEST_VECTOR_LEVELS_H
#define LLM_TEST_VECTOR_LEVELS_H

#include "tested_levels.h"

static void
list_vector_levels(void)
{
	int			n = 1;

	list_tested_levels();
	for (int i = 1; i < n_tested_levels; i++)
	{
		int			known = 0;

		for (int j = 0; j < n; j++)
			known |= tested_levels[j].attend_page == tested_levels[i].attend_page;
		if (!known)
			tested_levels[n++] = tested_levels[i];
	}
	n_tested_levels = n;
}

#endif
