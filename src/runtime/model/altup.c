/*
 * altup.c: several residual streams, of which attention and feed-forward of a layer compute one, the active one.
 *
 * Before a layer all streams are predicted from those that are there, by a small router over the active one; the layer computes on
 * what is predicted for the active one; then all are corrected by how far the outcome lies from the prediction. Beside attention lies
 * a block of low rank (laurel). At its end a layer adds what the token's own input of that layer says, to all streams but the first.
 * After embedding the other streams are made from the first, and after all layers gathered into one, scaled to its size.
 *
 * pass->x is what the layer computes on, as everywhere. Everything here is computed row by row.
 * Source: Baykal et al. 2023, arXiv 2301.13310; transformers' modeling_gemma3n.
 */
#include <math.h>
#include <string.h>

#include "model/pass.h"

#define MAX_STREAMS 16

/* mean squares below this are taken for it when a stream is scaled */
#define LEAST_SQUARE 1e-5

static float *
stream_row(const LlmPass *pass, float *streams, uint32_t stream, int64_t row)
{
	return streams + ((int64_t) stream * pass->max_rows + row) * pass->model->hp.n_embd;
}

/* ---- products of rows that are quantized here where the matrix wants it ---- */

typedef struct QuantizeJob
{
	const LlmPass *pass;
	const float *x;
	int64_t		n;
} QuantizeJob;

static void
quantize_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const QuantizeJob *job = arg;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
		llm_linear_quantize_row(job->pass, job->x, row, job->n);
}

static LlmStatus
product(LlmPass *pass, const LlmLinear *lin, const float *x, float *out, const LlmStop *stop)
{
	QuantizeJob job = {pass, x, lin->w.n_cols};
	LlmkActs	acts = llm_linear_acts(pass, x, pass->n_rows, lin->w.n_cols, llm_is_quantized(&lin->w));

	if (acts.term[0].q)
		LLM_TRY(llm_pool_run(pass->pool, quantize_piece, &job, pass->n_rows, llm_rows_per_piece(job.n), stop));
	return llm_linear_run(pass, &lin, &out, 1, &acts, stop);
}

/* matrix i of a stack */
static LlmLinear
of_stack(const LlmExpertLinear *stack, uint32_t i)
{
	LlmLinear	lin = {.w = stack->w, .scale = stack->scale ? stack->scale + i : NULL};

	lin.w.data += i * stack->stride;
	return lin;
}

/* row-wise work, n_embd wide */
static LlmStatus
run_rows(LlmPass *pass, LlmPieceFn piece, const LlmStop *stop)
{
	const int64_t width = (int64_t) pass->model->hp.n_embd * pass->model->hp.altup.n_streams;

	return llm_pool_run(pass->pool, piece, pass, pass->n_rows, llm_rows_per_piece(width), stop);
}

static double
mean_square(const float *x, int64_t n)
{
	double		sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += (double) x[i] * (double) x[i];
	return sum / (double) n;
}

/* x becomes as large as a row of that mean square */
static void
scale_to(const LlmKernels *k, float *x, int64_t n, double square)
{
	const double own = mean_square(x, n);

	k->scale(x, n, (float) (sqrt(square) / sqrt(own > LEAST_SQUARE ? own : LEAST_SQUARE)));
}

/* ---- after embedding ---- */

static void
spread_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const int64_t n = pass->model->hp.n_embd;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		const float *x = pass->x + row * n;
		const double square = mean_square(x, n);

		memcpy(stream_row(pass, pass->streams, 0, row), x, (size_t) n * sizeof(float));
		for (uint32_t s = 1; s < pass->model->hp.altup.n_streams; s++)
			scale_to(pass->model->kernels, stream_row(pass, pass->streams, s, row), n, square);
	}
}

/* a token's inputs of all layers: from its embedding, normalised, and of its own */
static void
inputs_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const LlmModel *m = pass->model;
	const int64_t n = m->hp.altup.n_input;
	const int64_t width = n * m->hp.n_layer;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		float	   *inputs = pass->layer_inputs + row * width;
		float	   *own = pass->input_rows + row * width;

		m->kernels->get_row[m->altup.input_embd.type] (&m->altup.input_embd, pass->row_token[row], own);
		m->kernels->scale(own, width, sqrtf((float) n));
		m->kernels->scale(inputs, width, 1.0f / sqrtf((float) m->hp.n_embd));
		for (int64_t i = 0; i < width; i += n)
			llm_norm_row(m, &m->altup.input_norm, inputs + i, n, inputs + i);
		m->kernels->add(inputs, own, width);
		m->kernels->scale(inputs, width, 1.0f / sqrtf(2.0f));
	}
}

/* the end works in place, so it does not pause */
LlmStatus
llm_altup_begin(LlmPass *pass, const LlmStop *stop)
{
	const LlmModel *m = pass->model;
	const int64_t width = (int64_t) m->hp.altup.n_input * m->hp.n_layer;

	if (m->hp.altup.n_streams == 0)
		return LLM_OK;
	LLM_TRY(product(pass, &m->altup.input_proj, pass->x, pass->layer_inputs, stop));
	for (uint32_t s = 1; s < m->hp.altup.n_streams; s++)
	{
		LlmLinear	lin = of_stack(&m->altup.spread, s - 1);

		LLM_TRY(product(pass, &lin, pass->x, stream_row(pass, pass->streams, s, 0), stop));
	}
	LLM_TRY(llm_pool_run(pass->pool, inputs_piece, pass, pass->n_rows, llm_rows_per_piece(width), NULL));
	return run_rows(pass, spread_piece, NULL);
}

/* ---- a layer ---- */

/* what the router says of a row: a number for each stream; scratch (n_embd) */
static void
route(const LlmModel *m, const LlmAltUpLayer *x, const float *row, float *scratch, float *numbers)
{
	const int64_t n = m->hp.n_embd;

	llm_norm_row(m, &x->router_norm, row, n, scratch);
	for (uint32_t s = 0; s < m->hp.altup.n_streams; s++)
	{
		double		sum = 0;

		for (int64_t i = 0; i < n; i++)
			sum += (double) scratch[i] * (double) x->router[s * n + i];
		sum = 2 * (sum / (double) n);
		numbers[s] = (float) (1 - 2 / (llmk_exp(sum < 80 ? sum : 80) + 1));	/* tanh */
	}
}

static void
predict_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const LlmModel *m = pass->model;
	const LlmAltUpLayer *x = m->layers[pass->layer].altup;
	const uint32_t n_streams = m->hp.altup.n_streams;
	const int64_t n = m->hp.n_embd;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		float		numbers[MAX_STREAMS];

		route(m, x, stream_row(pass, pass->streams, m->hp.altup.active, row), pass->norm + row * n, numbers);
		for (uint32_t to = 0; to < n_streams; to++)
		{
			float	   *out = stream_row(pass, pass->predicted, to, row);

			memcpy(out, stream_row(pass, pass->streams, to, row), (size_t) n * sizeof(float));
			for (uint32_t from = 0; from < n_streams; from++)
			{
				const float *in = stream_row(pass, pass->streams, from, row);
				const float *weights = x->predict + (to * n_streams + from) * n_streams;
				float		c = 0;

				for (uint32_t i = 0; i < n_streams; i++)
					c += weights[i] * numbers[i];
				for (int64_t i = 0; i < n; i++)
					out[i] += c * in[i];
			}
		}
		memcpy(pass->x + row * n, stream_row(pass, pass->predicted, m->hp.altup.active, row), (size_t) n * sizeof(float));
	}
}

LlmStatus
llm_altup_predict(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	return layer->altup ? run_rows(pass, predict_piece, stop) : LLM_OK;
}

/* laurel reads the norm that attention read, which is still there */
static LlmStatus
op_laurel_down(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	return product(pass, &layer->altup->laurel_down, pass->norm, pass->laurel, stop);
}

static LlmStatus
op_laurel_up(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	return product(pass, &layer->altup->laurel_up, pass->laurel, pass->side_out, stop);
}

static void
laurel_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const LlmModel *m = pass->model;
	const int64_t n = m->hp.n_embd;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		float	   *x = pass->x + row * n;
		float	   *out = pass->side_out + row * n;

		llm_norm_row(m, &m->layers[pass->layer].altup->laurel_norm, out, n, out);
		m->kernels->add(out, pass->norm + row * n, n);
		m->kernels->add(x, out, n);
		m->kernels->scale(x, n, 1.0f / sqrtf(2.0f));
	}
}

/* adds in place, so it does not pause */
static LlmStatus
op_laurel_add(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	(void) layer;
	(void) stop;
	return run_rows(pass, laurel_piece, NULL);
}

const LlmOpFn llm_laurel_ops[] = {op_laurel_down, op_laurel_up, op_laurel_add, NULL};

/* streams from what was predicted and what came; and what the gate of the layer's input reads, to norm */
static void
correct_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const LlmModel *m = pass->model;
	const LlmAltUpLayer *layer = m->layers[pass->layer].altup;
	const uint32_t n_streams = m->hp.altup.n_streams;
	const int64_t n = m->hp.n_embd;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		const float *x = pass->x + row * n;
		const float *was = stream_row(pass, pass->predicted, m->hp.altup.active, row);
		const float *active = stream_row(pass, pass->streams, m->hp.altup.active, row);
		float	   *gated = pass->norm + row * n;
		float		numbers[MAX_STREAMS];

		route(m, layer, x, gated, numbers);
		for (uint32_t s = 0; s < n_streams; s++)
		{
			const float *in = stream_row(pass, pass->predicted, s, row);
			float	   *out = stream_row(pass, pass->streams, s, row);
			float		c = 1;

			for (uint32_t i = 0; i < n_streams; i++)
				c += layer->correct[s * n_streams + i] * numbers[i];
			for (int64_t i = 0; i < n; i++)
				out[i] = in[i] + c * (x[i] - was[i]);
		}
		for (int64_t i = 0; i < n; i++)
			gated[i] = active[i] * layer->correct_scale[i];
	}
}

static LlmStatus
op_correct(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	(void) layer;
	return run_rows(pass, correct_piece, stop);
}

static LlmStatus
op_input_gate(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	return product(pass, &layer->altup->input_gate, pass->norm, pass->input_gate, stop);
}

static void
input_act_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const int64_t n = pass->model->hp.altup.n_input;
	const int64_t width = n * pass->model->hp.n_layer;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		float	   *gate = pass->input_gate + row * n;

		pass->model->kernels->gelu_mul(gate, pass->layer_inputs + row * width + pass->layer * n, n, gate);
	}
}

/* works in place, so it does not pause */
static LlmStatus
op_input_act(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	(void) layer;
	(void) stop;
	return llm_pool_run(pass->pool, input_act_piece, pass, pass->n_rows, llm_rows_per_piece(pass->model->hp.altup.n_input), NULL);
}

static LlmStatus
op_input_up(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	return product(pass, &layer->altup->input_up, pass->input_gate, pass->block_out, stop);
}

static void
input_add_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const LlmModel *m = pass->model;
	const int64_t n = m->hp.n_embd;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		float	   *out = pass->block_out + row * n;

		llm_norm_row(m, &m->layers[pass->layer].altup->input_norm, out, n, out);
		for (uint32_t s = 1; s < m->hp.altup.n_streams; s++)
			m->kernels->add(stream_row(pass, pass->streams, s, row), out, n);
	}
}

/* adds in place, so it does not pause */
static LlmStatus
op_input_add(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	(void) layer;
	(void) stop;
	return run_rows(pass, input_add_piece, NULL);
}

const LlmOpFn llm_altup_end_ops[] = {op_correct, op_input_gate, op_input_act, op_input_up, op_input_add, NULL};

/* ---- after all layers ---- */

static void
gather_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const LlmKernels *k = pass->model->kernels;
	const uint32_t n_streams = pass->model->hp.altup.n_streams;
	const int64_t n = pass->model->hp.n_embd;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		const float *first = stream_row(pass, pass->streams, 0, row);
		const double square = mean_square(first, n);
		float	   *x = pass->x + row * n;

		memcpy(x, first, (size_t) n * sizeof(float));
		for (uint32_t s = 1; s < n_streams; s++)
		{
			float	   *other = stream_row(pass, pass->predicted, s, row);

			scale_to(k, other, n, square);
			k->add(x, other, n);
		}
		k->scale(x, n, 1.0f / (float) n_streams);
	}
}

/* the end works in place, so it does not pause */
LlmStatus
llm_altup_gather(LlmPass *pass, const LlmStop *stop)
{
	const LlmModel *m = pass->model;

	for (uint32_t s = 1; s < m->hp.altup.n_streams; s++)
	{
		LlmLinear	lin = of_stack(&m->altup.gather, s - 1);

		LLM_TRY(product(pass, &lin, stream_row(pass, pass->streams, s, 0), stream_row(pass, pass->predicted, s, 0), stop));
	}
	return m->hp.altup.n_streams > 0 ? run_rows(pass, gather_piece, NULL) : LLM_OK;
}
