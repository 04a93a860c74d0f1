/*
 * quantize_generic.c: activations to 8 bits per block of 32, in plain C: the definition for all levels.
 *
 * For a block x[0 .. 31] with largest magnitude a:
 *     any NaN or infinity: d = NaN, q = 0, so that every product with the block is NaN and none is undefined
 *     d = a / 127 in F32; if that is 0 (all zero, or a below the least denormal that 127 divides): d = 0, q = 0
 *     q = x / d in F32, rounded half to even, limited to -127 .. 127 (the limit acts only where d is denormal)
 * s holds the sums of q over each 16.
 */
#include "cpu/half.h"
#include "cpu/levels.h"

/* round half to even for |x| < 2^22: the sum has no bits below 1 */
static int
round_to_int(float x)
{
	return (int) ((x + 12582912.0f) - 12582912.0f);
}

static int
limit_q(int q)
{
	return q > 127 ? 127 : q < -127 ? -127 : q;
}

/*
 * llmk_quantize_generic: see quantize in kernels.h. x (n,), n a multiple of 32; q (n,), d (n / 32,), s (n / 16,).
 */
void
llmk_quantize_generic(const float *x, int64_t n, int8_t *q, float *d, int16_t *s)
{
	int64_t		b;
	int			i;

	for (b = 0; b < n / LLM_QK; b++, x += LLM_QK, q += LLM_QK, s += 2)
	{
		uint32_t	largest = 0;	/* as bits: magnitudes order like integers, infinities and NaN above all */
		float		scale;

		for (i = 0; i < LLM_QK; i++)
		{
			uint32_t	bits = llmk_float_to_bits(x[i]) & 0x7fffffff;

			largest = bits > largest ? bits : largest;
		}
		scale = largest < 0x7f800000 ? llmk_bits_to_float(largest) / 127.0f : llmk_bits_to_float(0x7fc00000);
		d[b] = scale;
		s[0] = s[1] = 0;
		for (i = 0; i < LLM_QK; i++)
		{
			q[i] = scale > 0.0f ? (int8_t) limit_q(round_to_int(x[i] / scale)) : 0;
			s[i / 16] = (int16_t) (s[i / 16] + q[i]);
		}
	}
}
