/*
 * panel.h: activations of a few tokens laid out for the quantized matrix kernels, block after block, tokens together.
 *
 * A product makes a panel on its stack for the tokens and columns at hand and uses it for all its groups of rows; one
 * pointer then reaches all that a token brings to a block.
 */
#ifndef LLMK_PANEL_H
#define LLMK_PANEL_H

#include "kernels.h"

typedef struct PanelBlock
{
	int8_t		q[LLM_QK];
	uint32_t	start[2];		/* see dot_start of the level */
	float		d;
	float		m;				/* d times the sum of q */
} PanelBlock;

/* blocks of a panel: 24 KB, so that it stays in the first-level cache beside the weights in use */
#define PANEL_BLOCKS 512

#endif
