/*
 * panel.h: activations of a few tokens laid out for the quantized matrix kernels: block after block, in a block token
 * after token, first terms before second ones.
 *
 * A product makes a panel on its stack for the tokens and columns at hand and uses it for all its groups of rows; one
 * pointer then reaches all that a token brings to a block.
 */
#ifndef LLMK_PANEL_H
#define LLMK_PANEL_H

#include "kernels.h"

typedef struct PanelTerm
{
	int8_t		q[LLM_QK];
	uint32_t	start[2];		/* see dot_start of the level */
	float		d;
	float		m;				/* d times the sum of q */
	uint32_t	token;			/* in the tile */
} PanelTerm;

/* terms of a panel: 26 KB, so that it stays in the first-level cache beside the weights in use */
#define PANEL_TERMS 512

#endif
