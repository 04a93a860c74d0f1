/*
 * selective.h: a step of the selective recurrence (LlmkSelective) in plain C, for channels from `first` on: the generic level, and
 * the last channels of the others. Each operation is one multiplication or addition of a channel, in written order, and the
 * functions are those of math_double.h and math_scalar.h, so all levels give the same bits.
 */
#ifndef LLMK_SELECTIVE_H
#define LLMK_SELECTIVE_H

#include "cpu/math_double.h"
#include "cpu/math_scalar.h"
#include "kernels.h"

static inline void
llmk_selective_step(const LlmkSelective *s, int64_t first)
{
	for (int64_t i = first; i < s->n; i++)
	{
		const float dt = (float) llmk_softplus_inline(s->dt[i]);
		const float in = dt * s->u[i];
		float		sum = 0;

		for (int64_t n = 0; n < s->n_state; n++)
		{
			const int64_t at = n * s->ld + i;
			const float h = s->from[at] * llmk_expf_inline(dt * s->a[at]) + in * s->b[n];

			s->state[at] = h;
			sum += h * s->c[n];
		}
		s->out[i] = sum + s->d[i] * s->u[i];
	}
}

#endif
