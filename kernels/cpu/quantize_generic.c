/*
 * quantize_generic.c: activations to 8 bits in plain C: the definition for all levels.
 */
#include "cpu/half.h"
#include "cpu/levels.h"

static inline float
block_scale(const float *x)
{
	uint32_t	largest = 0;	/* as bits: magnitudes order like integers, infinities and NaN above all */
	int			i;

	for (i = 0; i < LLM_QK; i++)
	{
		uint32_t	bits = llmk_float_to_bits(x[i]) & 0x7fffffff;

		largest = bits > largest ? bits : largest;
	}
	return largest < 0x7f800000 ? llmk_bits_to_float(largest) / 127.0f : llmk_bits_to_float(0x7fc00000);
}

/* round half to even for |x| < 2^22: the sum has no bits below 1 */
static inline int
round_to_int(float x)
{
	return (int) ((x + 12582912.0f) - 12582912.0f);
}

static inline int
limit_q(int q)
{
	return q > 127 ? 127 : q < -127 ? -127 : q;
}

static inline void
block_round(const float *x, float d, int8_t *q, int16_t *s)
{
	int			i;

	s[0] = s[1] = 0;
	for (i = 0; i < LLM_QK; i++)
	{
		q[i] = d > 0.0f ? (int8_t) limit_q(round_to_int(x[i] / d)) : 0;
		s[i / 16] = (int16_t) (s[i / 16] + q[i]);
	}
}

static inline void
block_rest(const float *x, const int8_t *q, float d2, float *rest)
{
	int			i;

	for (i = 0; i < LLM_QK; i++)
		rest[i] = __builtin_fmaf(-d2, (float) (LLMK_TERM_RATIO * q[i]), x[i]);
}

#include "cpu/quantize.h"

/*
 * llmk_quantize_generic: see quantize in kernels.h.
 */
void
llmk_quantize_generic(const float *x, int64_t n, const LlmkTerm term[2])
{
	quantize_row(x, n, term);
}
