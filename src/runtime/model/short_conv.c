/*
 * short_conv.c: the causal convolution along a sequence, channel by channel, and the gated short convolution made of it.
 *
 * A layer's state begins with the inputs of the n_conv - 1 last positions. Taps are added in ascending order, those before the
 * first position are left out: a token's result does not depend on how its prompt was cut into batches. States are read in the
 * sequence's present state and written in its next one, so that a step can be run again or given up.
 * The gated short convolution (LFM2): in_proj x = (b, c, x'), out_proj (c * conv(b * x')). Source: transformers' modeling_lfm2.
 */
#include <string.h>

#include "model/pass.h"

LlmStatus
llm_recurrent_in(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmLinear *lin[1] = {&layer->recurrent->in};
	LlmkActs	acts = llm_linear_acts(pass, pass->norm, pass->n_rows, pass->model->hp.n_embd, llm_is_quantized(&lin[0]->w));

	return llm_linear_run(pass, lin, &pass->mix_in, 1, &acts, stop);
}

/* the last n_conv - 1 inputs of a segment, or of the state before it, to its next state; in: its first row */
static void
keep_inputs(const LlmPass *pass, const LlmLayer *layer, const LlmSegment *segment, const float *in, int64_t ld_in)
{
	const LlmRecurrentParams *p = &pass->model->hp.recurrent;
	const int64_t n_kept = p->n_conv - 1;
	const size_t n = p->n_channels;
	const LlmKvSeq *seq = segment->seq;
	const float *from = seq->state ? llm_layer_state(pass, layer, seq->state) : NULL;
	float	   *to = llm_layer_state(pass, layer, seq->next_state);

	for (int64_t i = 0; i < n_kept; i++, to += n)
	{
		int64_t		at = (int64_t) segment->n_tokens - n_kept + i;

		if (at >= 0)
			memcpy(to, in + at * ld_in, n * sizeof(float));
		else if (from)
			memcpy(to, from + (n_kept + at) * (int64_t) n, n * sizeof(float));
		else
			memset(to, 0, n * sizeof(float));
	}
}

void
llm_conv_row(const LlmPass *pass, const LlmLayer *layer, int64_t row, const float *in, int64_t ld_in, float *out)
{
	const LlmRecurrentParams *p = &pass->model->hp.recurrent;
	const LlmSegment *segment = &pass->segments[pass->row_segment[row]];
	const int64_t position = pass->row_position[row];
	const int64_t index = position - segment->seq->n_past;
	const int64_t n_kept = p->n_conv - 1;
	const int64_t n = p->n_channels;

	if (layer->recurrent->conv_bias)
		memcpy(out, layer->recurrent->conv_bias, (size_t) n * sizeof(float));
	else
		memset(out, 0, (size_t) n * sizeof(float));
	for (int64_t k = position < n_kept ? n_kept - position : 0; k <= n_kept; k++)
	{
		const int64_t at = index - n_kept + k;
		const float *w = layer->recurrent->conv + k * n;
		const float *x = at >= 0 ? in + (row - index + at) * ld_in : llm_layer_state(pass, layer, segment->seq->state) + (n_kept + at) * n;

		for (int64_t c = 0; c < n; c++)
			out[c] += w[c] * x[c];
	}
	if (index + 1 == segment->n_tokens)
		keep_inputs(pass, layer, segment, in + (row - index) * ld_in, ld_in);
}

/* ---- the gated short convolution; a row of mix_in is (b, c, x) ---- */

static void
gate_input_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const int64_t n = pass->model->hp.n_embd;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		const float *b = pass->mix_in + row * 3 * n;
		float	   *x = pass->mix_in + row * 3 * n + 2 * n;

		for (int64_t i = 0; i < n; i++)
			x[i] *= b[i];
	}
}

/* multiplies in place, so it does not pause */
static LlmStatus
op_gate_input(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	(void) layer;
	(void) stop;
	return llm_pool_run(pass->pool, gate_input_piece, pass, pass->n_rows, llm_rows_per_piece(pass->model->hp.n_embd), NULL);
}

static void
conv_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const LlmLayer *layer = &pass->model->layers[pass->layer];
	const int64_t n = pass->model->hp.n_embd;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		const float *c = pass->mix_in + row * 3 * n + n;
		float	   *out = pass->attn + row * n;

		llm_conv_row(pass, layer, row, pass->mix_in + 2 * n, 3 * n, out);
		for (int64_t i = 0; i < n; i++)
			out[i] *= c[i];
	}
}

static LlmStatus
op_conv(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	int64_t		work = (int64_t) pass->model->hp.n_embd * pass->model->hp.recurrent.n_conv;

	(void) layer;
	return llm_pool_run(pass->pool, conv_piece, pass, pass->n_rows, llm_rows_per_piece(work), stop);
}

const LlmOpFn llm_short_conv_ops[] = {llm_recurrent_in, op_gate_input, op_conv, NULL};
