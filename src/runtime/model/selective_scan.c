/*
 * selective_scan.c: the Mamba 1 block. in_proj x = (u, z); u = silu(conv(u)); (s, B, C) = x_proj u, normalised in some models;
 * steps of each channel are made from s. Each channel keeps a vector h (n_state), and per token
 *
 *     dt = softplus(dt_proj s + bias),  h = exp(a dt) h + B (dt u),  y = C h + d u
 *
 * then y * silu(z), and out_proj. Channels are done in parallel, in strips; the tokens of a strip one after the other, so nothing
 * depends on how a prompt is cut.
 * Source: Gu and Dao 2023, arXiv 2312.00752; transformers' modeling_mamba, modeling_jamba.
 */
#include <string.h>

#include "model/pass.h"

/* channels of a strip, whose states stay in the nearest cache over all tokens */
#define STRIP 32

/* numbers that a piece of the recurrence changes, about: a millisecond */
#define PIECE_STEPS (256 * 1024)

/* ---- what the recurrence reads ---- */

static void
conv_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const LlmLayer *layer = &pass->model->layers[pass->layer];
	const LlmRecurrentParams *p = &pass->model->hp.recurrent;
	const bool	quantize = llm_is_quantized(&layer->recurrent->selective->x.w);

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		float	   *out = pass->mix + row * p->n_channels;

		llm_conv_row(pass, layer, row, pass->mix_in, p->n_in, out);
		llm_silu(pass->model->kernels, out, p->n_channels);
		if (quantize)
			llm_linear_quantize_row(pass, pass->mix, row, p->n_channels);
	}
}

static LlmStatus
op_conv(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmRecurrentParams *p = &pass->model->hp.recurrent;

	(void) layer;
	return llm_pool_run(pass->pool, conv_piece, pass, pass->n_rows, llm_rows_per_piece((int64_t) p->n_channels * p->n_conv), stop);
}

static LlmStatus
op_x(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmLinear *lin[1] = {&layer->recurrent->selective->x};
	LlmkActs	acts = llm_linear_acts(pass, pass->mix, pass->n_rows, pass->model->hp.recurrent.n_channels, llm_is_quantized(&lin[0]->w));

	return llm_linear_run(pass, lin, &pass->mix_x, 1, &acts, stop);
}

/* n numbers, normalised where there are weights */
static void
take(const LlmKernels *k, const float *from, const float *weight, int64_t n, float eps, float *out)
{
	if (weight)
		k->rms_norm(from, weight, n, eps, out);
	else
		memcpy(out, from, (size_t) n * sizeof(float));
}

static void
norms_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const LlmKernels *k = pass->model->kernels;
	const LlmSelectiveLayer *s = pass->model->layers[pass->layer].recurrent->selective;
	const LlmRecurrentParams *p = &pass->model->hp.recurrent;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		const float *x = pass->mix_x + row * (p->dt_rank + 2 * (int64_t) p->n_state);
		float	   *bc = pass->bc + row * 2 * p->n_state;

		take(k, x, s->dt_norm, p->dt_rank, s->norm_eps, pass->dt_in + row * p->dt_rank);
		take(k, x + p->dt_rank, s->b_norm, p->n_state, s->norm_eps, bc);
		take(k, x + p->dt_rank + p->n_state, s->c_norm, p->n_state, s->norm_eps, bc + p->n_state);
		if (llm_is_quantized(&s->dt.w))
			llm_linear_quantize_row(pass, pass->dt_in, row, p->dt_rank);
	}
}

static LlmStatus
op_norms(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmRecurrentParams *p = &pass->model->hp.recurrent;

	(void) layer;
	return llm_pool_run(pass->pool, norms_piece, pass, pass->n_rows, llm_rows_per_piece(p->dt_rank + 2 * (int64_t) p->n_state), stop);
}

static LlmStatus
op_dt(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmLinear *lin[1] = {&layer->recurrent->selective->dt};
	LlmkActs	acts = llm_linear_acts(pass, pass->dt_in, pass->n_rows, pass->model->hp.recurrent.dt_rank, llm_is_quantized(&lin[0]->w));

	return llm_linear_run(pass, lin, &pass->dt, 1, &acts, stop);
}

/* ---- the recurrence ---- */

typedef struct ScanJob
{
	const LlmPass *pass;
	const LlmLayer *layer;
} ScanJob;

/* one token: n channels from `first` on, whose states (n_state, n_inner) go from one place to another */
static void
scan_token(const ScanJob *job, int64_t row, int64_t first, int n, const float *from, float *to)
{
	const LlmPass *pass = job->pass;
	const LlmRecurrentParams *p = &pass->model->hp.recurrent;
	const int64_t at = row * p->n_inner + first;
	const float *b = pass->bc + row * 2 * p->n_state;
	const LlmkSelective step = {
		.n = n, .n_state = p->n_state, .ld = p->n_inner, .dt = pass->dt + at, .u = pass->mix + at, .a = job->layer->recurrent->a + first,
		.b = b, .c = b + p->n_state, .d = job->layer->recurrent->d + first, .from = from, .state = to, .out = pass->attn + at,
	};

	pass->model->kernels->selective_step(&step);
}

/* a strip over the tokens of one segment, whose first row is `row` */
static void
scan_strip(const ScanJob *job, const LlmSegment *segment, int64_t row, int64_t first)
{
	const LlmRecurrentParams *p = &job->pass->model->hp.recurrent;
	const LlmKvSeq *seq = segment->seq;
	const int	n = p->n_inner - first < STRIP ? (int) (p->n_inner - first) : STRIP;
	const size_t off = (size_t) (p->n_conv - 1) * p->n_channels + (size_t) first;
	float	   *state = llm_layer_state(job->pass, job->layer, seq->next_state) + off;
	const float *from = seq->state ? llm_layer_state(job->pass, job->layer, seq->state) + off : state;

	for (uint32_t s = 0; !seq->state && s < p->n_state; s++)
		memset(state + (size_t) s * p->n_inner, 0, (size_t) n * sizeof(float));
	for (uint32_t t = 0; t < segment->n_tokens; t++, from = state)
		scan_token(job, row + t, first, n, from, state);
}

/* index: segment and strip */
static void
scan_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const ScanJob *job = arg;
	const LlmPass *pass = job->pass;
	const int64_t n_strips = (pass->model->hp.recurrent.n_inner + STRIP - 1) / STRIP;
	int64_t		row = 0;
	int			s = 0;

	(void) thread;
	for (int64_t i = begin; i < end; i++)
	{
		for (; s < i / n_strips; s++)
			row += pass->segments[s].n_tokens;
		scan_strip(job, &pass->segments[s], row, i % n_strips * STRIP);
	}
}

static LlmStatus
op_scan(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmRecurrentParams *p = &pass->model->hp.recurrent;
	const int64_t n = (int64_t) pass->n_segments * ((p->n_inner + STRIP - 1) / STRIP);
	const int64_t steps = (int64_t) STRIP * p->n_state * ((pass->n_rows + pass->n_segments - 1) / pass->n_segments);
	ScanJob		job = {pass, layer};

	return llm_pool_run(pass->pool, scan_piece, &job, n, steps >= PIECE_STEPS ? 1 : PIECE_STEPS / steps, stop);
}

/* ---- the gate ---- */

static void
gate_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const LlmRecurrentParams *p = &pass->model->hp.recurrent;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		float	   *y = pass->attn + row * p->n_inner;

		pass->model->kernels->silu_mul(pass->mix_in + row * p->n_in + p->n_inner, y, p->n_inner, y);
	}
}

/* works in place, so it does not pause */
static LlmStatus
op_gate(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	(void) layer;
	(void) stop;
	return llm_pool_run(pass->pool, gate_piece, pass, pass->n_rows, llm_rows_per_piece(pass->model->hp.recurrent.n_inner), NULL);
}

const LlmOpFn llm_mamba1_ops[] = {llm_recurrent_in, op_conv, op_x, op_norms, op_dt, op_scan, op_gate, NULL};
