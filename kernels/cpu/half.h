/*
 * half.h: IEEE half precision and bfloat16 for the inner loops of kernels/cpu; kernels.h has the same as functions.
 *
 * Plain integer arithmetic, so that every machine gives the same bits: denormals are kept, rounding is to nearest even,
 * a NaN stays a NaN with its upper payload bits (quiet), as the conversion instructions of x86 do.
 */
#ifndef LLMK_HALF_H
#define LLMK_HALF_H

#include <stdint.h>
#include <string.h>

static inline float
llmk_bits_to_float(uint32_t bits)
{
	float		f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

static inline uint32_t
llmk_float_to_bits(float f)
{
	uint32_t	bits;

	memcpy(&bits, &f, sizeof(bits));
	return bits;
}

static inline float
llmk_half_inline(uint16_t h)
{
	uint32_t	sign = (uint32_t) (h & 0x8000) << 16;
	uint32_t	magnitude = h & 0x7fff;

	if (magnitude >= 0x7c00)
	{
		uint32_t	quiet = magnitude > 0x7c00 ? 0x400000 : 0;

		return llmk_bits_to_float(sign | 0x7f800000 | quiet | (magnitude & 0x3ff) << 13);
	}
	if (magnitude < 0x0400)
	{
		/* zero or denormal: magnitude * 2^-24 is exact */
		float		value = (float) (int32_t) magnitude * 0x1p-24f;

		return sign ? -value : value;
	}
	return llmk_bits_to_float(sign | ((magnitude << 13) + ((127 - 15) << 23)));
}

static inline float
llmk_bf16_inline(uint16_t b)
{
	return llmk_bits_to_float((uint32_t) b << 16);
}

#endif
