/*
 * panel.h: activations of a few tokens laid out for the quantized matrix kernels: block after block, in a block first the
 * tokens with one term, then those with two, whose terms follow each other.
 *
 * A product makes a panel on its stack for the tokens and columns at hand and uses it for all its groups of rows; one
 * pointer then reaches all that a token brings to a block.
 */
#ifndef LLMK_PANEL_H
#define LLMK_PANEL_H

#include "cpu/codes.h"

/* what decoded weights are above their values, so that bytes are unsigned; 0 also where a level has its own way */
static inline int
dot_offset(LlmType type)
{
	switch (type)
	{
		case LLM_TYPE_Q4_0:
			return 8;
		case LLM_TYPE_Q5_0:
			return 16;
		case LLM_TYPE_Q6_K:
			return 32;
		case LLM_TYPE_Q3_K:
			return 4;
		case LLM_TYPE_MXFP4:
		case LLM_TYPE_NVFP4:
			return 12;
		case LLM_TYPE_TQ2_0:
		case LLM_TYPE_Q2_0:
		case LLM_TYPE_Q1_0:
			return 1;
		default:
			return 0;
	}
}

/* has the type a scale for each 16 columns, so that sums of a block come in halves? */
static inline bool
dot_has_halves(LlmType type)
{
	return type == LLM_TYPE_Q6_K || type == LLM_TYPE_Q2_K || type == LLM_TYPE_Q3_K || type == LLM_TYPE_NVFP4;
}

/* are the weights taken from the table llmk_iq4_values? */
static inline bool
dot_is_iq4(LlmType type)
{
	return type == LLM_TYPE_IQ4_NL || type == LLM_TYPE_IQ4_XS;
}

/* both sums of 16 as 16-bit numbers in a word, for minima of 16 columns */
static inline uint32_t
dot_both_sums(const int16_t *s)
{
	return (uint32_t) (uint16_t) s[0] | (uint32_t) (uint16_t) s[1] << 16;
}

typedef struct PanelTerm
{
	int8_t		q[LLM_QK];
	uint32_t	start[2];		/* see dot_start of the level */
	float		d;
	float		m;				/* d times the sum of q; for a second term, times that of both terms joined */
	uint32_t	token;			/* in the tile */
} PanelTerm;

/* integer sums of both terms of a block as one */
VEC_INLINE vec_i
dot_join(vec_i first, vec_i second)
{
	return vec_add32(vec_mul32(first, vec_set32(LLMK_TERM_RATIO)), second);
}

/* terms of a panel: 26 KB, so that it stays in the first-level cache beside the weights in use */
#define PANEL_TERMS 512

#endif
