/*
 * keep_rows.c: after the last layer that mixes rows, only rows whose logits or vectors are wanted go on.
 *
 * Rows meet each other only in mixers (attention, recurrent layers). Once the last of these has stored its keys, values or
 * states, a row without an output changes nothing any more; a prompt has mostly such rows. The wanted rows are moved to the
 * front of the buffers that are still read, and the pass goes on with so many rows. Rows do not depend on their neighbours,
 * so no bit of an output changes.
 */
#include <string.h>

#include "model/pass.h"

/* of two ascending lists: the next row that is in one of them, which is passed over in both; end if there is none */
static int32_t
next_wanted(const LlmPassOutputs *a, int *at_a, const LlmPassOutputs *b, int *at_b, int32_t end)
{
	const int32_t next_a = *at_a < a->n ? a->rows[*at_a] : end;
	const int32_t next_b = *at_b < b->n ? b->rows[*at_b] : end;
	const int32_t next = next_a < next_b ? next_a : next_b;

	while (*at_a < a->n && a->rows[*at_a] <= next)
		++*at_a;
	while (*at_b < b->n && b->rows[*at_b] <= next)
		++*at_b;
	return next;
}

void
llm_keep_rows_plan(LlmPass *pass)
{
	const LlmModel *m = pass->model;
	int			at[2] = {0, 0};
	int32_t		row;

	pass->n_kept = 0;
	while ((row = next_wanted(&pass->logits_out, &at[0], &pass->vectors_out, &at[1], pass->n_rows)) < pass->n_rows)
		pass->kept[pass->n_kept++] = row;
	for (int i = 0; i < pass->n_rows; i++)
		pass->row_x[i] = i;
	pass->last_mixer = m->hp.n_layer;
	while (pass->last_mixer > 0 && m->layers[pass->last_mixer - 1].mixer == LLM_MIXER_NONE)
		pass->last_mixer--;
	pass->last_mixer--;			/* beyond all layers if no layer mixes: then all rows stay */

	/* what lies beside x and norm would have to move too */
	if (m->arch->altup || m->arch->router_early || (m->arch->traits & LLM_TRAIT_SIDE_BY_SIDE))
		pass->last_mixer = m->hp.n_layer;
}

/* kept rows of a buffer to its front: ascending, so none is overwritten before it has moved */
static void
move_rows(const LlmPass *pass, float *rows, int64_t width)
{
	for (int i = 0; i < pass->n_kept; i++)
	{
		if (pass->kept[i] != i)
			memcpy(rows + i * width, rows + pass->kept[i] * width, (size_t) width * sizeof(float));
	}
}

/* moves in place, so it does not pause */
LlmStatus
llm_keep_rows(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmHparams *hp = &pass->model->hp;

	(void) stop;
	if (pass->layer != pass->last_mixer || pass->n_kept == pass->n_rows)
		return LLM_OK;
	move_rows(pass, pass->x, hp->n_embd);
	move_rows(pass, pass->norm, hp->n_embd);
	move_rows(pass, pass->attn, layer->latent ? (int64_t) layer->n_head * hp->head_dim_v : layer->wo.w.n_cols);
	for (int i = 0; i < pass->n_kept; i++)
		pass->row_x[pass->kept[i]] = i;
	pass->n_rows = pass->n_kept;
	return LLM_OK;
}
