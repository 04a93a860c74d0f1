/*
 * half.c: conversion between F32 and IEEE half precision, the same bits on every machine.
 */
#include "kernels.h"
#include "cpu/half.h"

/*
 * llmk_half_to_float: exact; a signalling NaN becomes quiet.
 */
float
llmk_half_to_float(uint16_t h)
{
	return llmk_half_inline(h);
}

/*
 * llmk_float_to_half: round to nearest even; overflow gives infinity, results below 2^-14 are denormal or zero.
 */
uint16_t
llmk_float_to_half(float f)
{
	uint32_t	bits = llmk_float_to_bits(f);
	uint16_t	sign = (uint16_t) (bits >> 16 & 0x8000);
	uint32_t	magnitude = bits & 0x7fffffff;
	uint32_t	mantissa;
	uint32_t	half;
	uint32_t	rest;
	uint32_t	tie;
	int			shift;

	if (magnitude > 0x7f800000)
		return (uint16_t) (sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
	if (magnitude >= 0x47800000)	/* 2^16 and above */
		return sign | 0x7c00;
	if (magnitude >= 0x38800000)	/* 2^-14: normal in half precision; a carry may reach infinity, rightly */
	{
		half = (magnitude >> 13) - ((127 - 15) << 10);
		rest = magnitude & 0x1fff;
		tie = 0x1000;
	}
	else if (magnitude >= 0x33000000)	/* 2^-25: a denormal, or half of the least one */
	{
		shift = 126 - (int) (magnitude >> 23);	/* 14 .. 24 */
		mantissa = (magnitude & 0x7fffff) | 0x800000;
		half = mantissa >> shift;
		rest = mantissa & ((1u << shift) - 1);
		tie = 1u << (shift - 1);
	}
	else
		return sign;

	if (rest > tie || (rest == tie && (half & 1)))
		half++;
	return (uint16_t) (sign | half);
}
