/*
 * ssm.c: the Mamba2 block. in_proj x = (z, u, dt); u = silu(conv(u)) = (x, B, C), where B and C are shared by the heads of a
 * group. Each head keeps a matrix h (n_state, head_dim), and per token
 *
 *     dt = softplus(dt + bias),  h = exp(a dt) h + B (dt x),  y = C h + d x
 *
 * then y = norm(y * silu(z)) by group (the norm where the model has one), and out_proj. The recurrence, token by token, is the only order of computing, for prompts
 * too: heads are done in parallel, the tokens of a head one after the other, so nothing depends on how a prompt is cut.
 * Source: Dao and Gu 2024, arXiv 2405.21060; transformers' modeling_mamba2.
 */
#include <string.h>

#include "model/pass.h"

/* numbers that a piece of the recurrence changes, about: a millisecond */
#define PIECE_STEPS (512 * 1024)

/* ---- convolution and time steps ---- */

void
llm_silu(const LlmKernels *k, float *x, int64_t n)
{
	float		ones[256];

	for (int i = 0; i < 256; i++)
		ones[i] = 1;
	for (int64_t i = 0; i < n; i += 256)
		k->silu_mul(x + i, ones, n - i < 256 ? n - i : 256, x + i);
}

static void
prepare_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const LlmLayer *layer = &pass->model->layers[pass->layer];
	const LlmRecurrentLayer *x = layer->recurrent;
	const LlmRecurrentParams *p = &pass->model->hp.recurrent;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		const float *dt_in = pass->mix_in + row * p->n_in + p->n_inner + p->n_channels;
		float	   *out = pass->mix + row * p->n_channels;

		llm_conv_row(pass, layer, row, pass->mix_in + p->n_inner, p->n_in, out);
		llm_silu(pass->model->kernels, out, p->n_channels);
		for (uint32_t h = 0; h < p->n_head; h++)
		{
			double		dt = llmk_softplus((double) dt_in[h] + x->dt_bias[h]);

			dt = dt > p->dt_min ? dt : p->dt_min;
			pass->dt[row * p->n_head + h] = (float) dt;
			pass->decay[row * p->n_head + h] = (float) llmk_exp(dt * x->a[h]);
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

typedef struct ScanJob
{
	const LlmPass *pass;
	const LlmLayer *layer;
} ScanJob;

/* one head over the tokens of one segment, whose first row is `row` */
static void
scan_head(const ScanJob *job, const LlmSegment *segment, int64_t row, uint32_t head)
{
	const LlmPass *pass = job->pass;
	const LlmRecurrentParams *p = &pass->model->hp.recurrent;
	const LlmKvSeq *seq = segment->seq;
	const int64_t head_dim = p->n_inner / p->n_head;
	const size_t head_floats = (size_t) head_dim * p->n_state;
	const size_t off = (size_t) (p->n_conv - 1) * p->n_channels + head * head_floats;
	const float *mix = pass->mix + row * p->n_channels;
	const float *group = mix + p->n_inner + (int64_t) (head / (p->n_head / p->n_group)) * p->n_state;
	LlmkScan	scan = {
		.n_tokens = segment->n_tokens,
		.head_dim = head_dim,
		.n_state = p->n_state,
		.x = mix + head * head_dim,
		.b = group,
		.c = group + (int64_t) p->n_group * p->n_state,
		.ld_in = p->n_channels,
		.dt = pass->dt + row * p->n_head + head,
		.decay = pass->decay + row * p->n_head + head,
		.ld_dt = p->n_head,
		.skip = job->layer->recurrent->d[head],
		.state = llm_layer_state(pass, job->layer, seq->next_state) + off,
		.out = pass->attn + row * p->n_inner + head * head_dim,
		.ld_out = p->n_inner,
	};

	if (seq->state)
		scan.from = llm_layer_state(pass, job->layer, seq->state) + off;
	else
		scan.from = memset(scan.state, 0, head_floats * sizeof(float));
	pass->model->kernels->ssm_scan(&scan);
}

/* index: segment and head */
static void
scan_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const ScanJob *job = arg;
	const LlmPass *pass = job->pass;
	const int64_t n_head = pass->model->hp.recurrent.n_head;
	int64_t		row = 0;
	int			s = 0;

	(void) thread;
	for (int64_t i = begin; i < end; i++)
	{
		for (; s < i / n_head; s++)
			row += pass->segments[s].n_tokens;
		scan_head(job, &pass->segments[s], row, (uint32_t) (i % n_head));
	}
}

static LlmStatus
op_scan(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmRecurrentParams *p = &pass->model->hp.recurrent;
	const int64_t n = (int64_t) pass->n_segments * p->n_head;
	const int64_t steps = (int64_t) p->n_inner / p->n_head * p->n_state * (pass->n_rows / pass->n_segments);
	ScanJob		job = {pass, layer};

	return llm_pool_run(pass->pool, scan_piece, &job, n, steps >= PIECE_STEPS ? 1 : PIECE_STEPS / steps, stop);
}

/* ---- gate and norm ---- */

static void
gate_norm_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const LlmModel *m = pass->model;
	const LlmRecurrentParams *p = &m->hp.recurrent;
	const float *weight = m->layers[pass->layer].recurrent->norm;
	const int64_t size = p->n_inner / p->n_group;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		float	   *y = pass->attn + row * p->n_inner;

		m->kernels->silu_mul(pass->mix_in + row * p->n_in, y, p->n_inner, y);
		for (int64_t g = 0; weight && g < p->n_inner; g += size)
			m->kernels->rms_norm(y + g, weight + g, size, m->hp.norm_eps, y + g);
	}
}

/* works in place, so it does not pause */
static LlmStatus
op_gate_norm(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	(void) layer;
	(void) stop;
	return llm_pool_run(pass->pool, gate_norm_piece, pass, pass->n_rows, llm_rows_per_piece(pass->model->hp.recurrent.n_inner), NULL);
}

const LlmOpFn llm_mamba2_ops[] = {llm_recurrent_in, op_prepare, op_scan, op_gate_norm, NULL};
