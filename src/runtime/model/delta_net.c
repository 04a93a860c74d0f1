/*
 * delta_net.c: the gated delta net. Projections of x are u, z and for each head b, a; u = silu(conv(u)) = (q, k, v), where the
 * heads of v share those of q and k. Each head keeps a matrix h (n_state, head_dim), and per token
 *
 *     h = exp(A softplus(a + bias)) h,  h = h + k (sigmoid(b) (v - h'k)),  y = h'q
 *
 * with k of length 1 and q of length 1 / sqrt(n_state); then y = norm(y) silu(z) by head, and out_proj. As in ssm.c the
 * recurrence, token by token, is the only order of computing: heads in parallel, the tokens of a head one after the other.
 * Source: Yang et al. 2024, arXiv 2412.06464; transformers' modeling_qwen3_next.
 */
#include <string.h>

#include "model/pass.h"

/* numbers that a piece of the recurrence changes, about: a millisecond */
#define PIECE_STEPS (512 * 1024)

/* mix_in is one after the other (n_rows of the batch each): u, z, and the projections b and a */
static float *
z_rows(const LlmPass *pass)
{
	return pass->mix_in + (size_t) pass->n_rows * pass->model->hp.recurrent.n_channels;
}

static float *
gate_rows(const LlmPass *pass)
{
	return z_rows(pass) + (size_t) pass->n_rows * pass->model->hp.recurrent.n_inner;
}

static LlmStatus
op_project(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmDeltaLayer *x = layer->recurrent->delta;
	const LlmLinear *wide[2] = {&layer->recurrent->in, &x->z};
	const LlmLinear *narrow[2] = {&x->b, &x->a};
	float	   *wide_out[2] = {pass->mix_in, z_rows(pass)};
	float	   *narrow_out[2] = {gate_rows(pass), gate_rows(pass) + (size_t) pass->n_rows * pass->model->hp.recurrent.n_head};
	const int	n_narrow = x->a.w.data ? 2 : 1;
	const int64_t n_embd = pass->model->hp.n_embd;
	LlmkActs	acts = llm_linear_acts(pass, pass->norm, pass->n_rows, n_embd,
									   llm_is_quantized(&wide[0]->w) || llm_is_quantized(&wide[1]->w));

	LLM_TRY(llm_linear_run(pass, wide, wide_out, 2, &acts, stop));
	acts = llm_linear_acts(pass, pass->norm, pass->n_rows, n_embd, llm_is_quantized(&x->b.w) || llm_is_quantized(&x->a.w));
	return llm_linear_run(pass, narrow, narrow_out, n_narrow, &acts, stop);
}

/* ---- convolution, lengths of queries and keys, and gates ---- */

/* b and a of a head: matrices of their own, or one whose rows are those of b and of a for the heads of each key head */
static void
gates_of_head(const LlmPass *pass, const LlmDeltaLayer *x, int64_t row, uint32_t head, float *b, float *a)
{
	const LlmRecurrentParams *p = &pass->model->hp.recurrent;
	const uint32_t share = p->n_head / p->n_group;
	const float *gates = gate_rows(pass);

	if (x->a.w.data)
	{
		*b = gates[row * p->n_head + head];
		*a = gates[((int64_t) pass->n_rows + row) * p->n_head + head];
	}
	else
	{
		gates += row * 2 * p->n_head + head / share * 2 * share + head % share;
		*b = gates[0];
		*a = gates[share];
	}
}

/* log(1 + exp(x)) */
static double
softplus(double x)
{
	return x > 20 ? x : llmk_log(1 + llmk_exp(x));
}

static void
prepare_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const LlmKernels *k = pass->model->kernels;
	const LlmLayer *layer = &pass->model->layers[pass->layer];
	const LlmRecurrentLayer *x = layer->recurrent;
	const LlmRecurrentParams *p = &pass->model->hp.recurrent;
	const float eps = 1e-6f / (float) p->n_state;	/* of the sum of squares; that of rms_norm is of their mean */

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		float	   *out = pass->mix + row * p->n_channels;

		llm_conv_row(pass, layer, row, pass->mix_in, p->n_channels, out);
		llm_silu(k, out, p->n_channels);
		for (uint32_t g = 0; g < 2 * p->n_group; g++)
			k->rms_norm(out + g * p->n_state, g < p->n_group ? x->delta->q_length : x->delta->k_length, p->n_state, eps,
						out + g * p->n_state);
		for (uint32_t h = 0; h < p->n_head; h++)
		{
			float		a;
			float		b;

			gates_of_head(pass, x->delta, row, h, &b, &a);
			pass->dt[row * p->n_head + h] = 1.0f / (1.0f + llmk_expf(-b));
			pass->decay[row * p->n_head + h] = (float) llmk_exp(softplus((double) a + x->dt_bias[h]) * x->a[h]);
		}
	}
}

static LlmStatus
op_prepare(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmRecurrentParams *p = &pass->model->hp.recurrent;

	(void) layer;
	return llm_pool_run(pass->pool, prepare_piece, pass, pass->n_rows, llm_rows_per_piece((int64_t) p->n_channels * p->n_conv), stop);
}

/* ---- the recurrence ---- */

/* one head over the tokens of one segment, whose first row is `row` */
static void
scan_head(const LlmPass *pass, const LlmSegment *segment, int64_t row, uint32_t head)
{
	const LlmRecurrentParams *p = &pass->model->hp.recurrent;
	const LlmLayer *layer = &pass->model->layers[pass->layer];
	const LlmKvSeq *seq = segment->seq;
	const uint32_t key_head = p->tiled ? head % p->n_group : head / (p->n_head / p->n_group);
	const int64_t head_dim = p->n_inner / p->n_head;
	const size_t head_floats = (size_t) head_dim * p->n_state;
	const size_t off = (size_t) (p->n_conv - 1) * p->n_channels + head * head_floats;
	const float *mix = pass->mix + row * p->n_channels;
	LlmkDelta	delta = {
		.n_tokens = segment->n_tokens,
		.head_dim = head_dim,
		.n_state = p->n_state,
		.q = mix + (int64_t) key_head * p->n_state,
		.k = mix + (int64_t) (p->n_group + key_head) * p->n_state,
		.v = mix + (int64_t) 2 * p->n_group * p->n_state + head * head_dim,
		.ld_in = p->n_channels,
		.beta = pass->dt + row * p->n_head + head,
		.decay = pass->decay + row * p->n_head + head,
		.ld_gate = p->n_head,
		.state = llm_layer_state(pass, layer, seq->next_state) + off,
		.out = pass->attn + row * p->n_inner + head * head_dim,
		.ld_out = p->n_inner,
	};

	if (seq->state)
		delta.from = llm_layer_state(pass, layer, seq->state) + off;
	else
		delta.from = memset(delta.state, 0, head_floats * sizeof(float));
	pass->model->kernels->delta_scan(&delta);
}

/* index: segment and head */
static void
scan_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const int64_t n_head = pass->model->hp.recurrent.n_head;
	int64_t		row = 0;
	int			s = 0;

	(void) thread;
	for (int64_t i = begin; i < end; i++)
	{
		for (; s < i / n_head; s++)
			row += pass->segments[s].n_tokens;
		scan_head(pass, &pass->segments[s], row, (uint32_t) (i % n_head));
	}
}

static LlmStatus
op_scan(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmRecurrentParams *p = &pass->model->hp.recurrent;
	const int64_t n = (int64_t) pass->n_segments * p->n_head;
	const int64_t steps = (int64_t) p->n_inner / p->n_head * p->n_state * (pass->n_rows / pass->n_segments);

	(void) layer;
	return llm_pool_run(pass->pool, scan_piece, pass, n, steps >= PIECE_STEPS ? 1 : PIECE_STEPS / steps, stop);
}

/* ---- norm and gate ---- */

static void
norm_gate_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const LlmModel *m = pass->model;
	const LlmRecurrentParams *p = &m->hp.recurrent;
	const float *weight = m->layers[pass->layer].recurrent->norm;
	const int64_t size = p->n_inner / p->n_head;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		float	   *y = pass->attn + row * p->n_inner;

		for (int64_t h = 0; h < p->n_inner; h += size)
			m->kernels->rms_norm(y + h, weight, size, m->hp.norm_eps, y + h);
		m->kernels->silu_mul(z_rows(pass) + row * p->n_inner, y, p->n_inner, y);
	}
}

/* works in place, so it does not pause */
static LlmStatus
op_norm_gate(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	(void) layer;
	(void) stop;
	return llm_pool_run(pass->pool, norm_gate_piece, pass, pass->n_rows, llm_rows_per_piece(pass->model->hp.recurrent.n_inner), NULL);
}

const LlmOpFn llm_delta_net_ops[] = {op_project, op_prepare, op_scan, op_norm_gate, NULL};
