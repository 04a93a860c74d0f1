/*
 * ffn.c: the dense feed-forward: down(activation(gate x, up x)).
 */
#include <math.h>

#include "model/pass.h"

typedef struct ActJob
{
	const LlmPass *pass;
	bool		gated;
	int64_t		width;
	bool		quantize;
} ActJob;

/*
 * gpt-oss: gate g limited above, up u on both sides; g sigmoid(alpha g) (u + 1). Source: its reference implementation,
 * gpt_oss/torch/model.py.
 */
static void
swiglu_clamped(float *gate, const float *up, int64_t n)
{
	const float alpha = 1.702f;
	const float limit = 7.0f;

	for (int64_t i = 0; i < n; i++)
	{
		float		g = gate[i] > limit ? limit : gate[i];
		float		u = up[i] > limit ? limit : up[i] < -limit ? -limit : up[i];

		gate[i] = g / (1.0f + llmk_expf(-alpha * g)) * (u + 1.0f);
	}
}

/* what lies above the mean by more than so many deviations, less that; the rest becomes 0. Source: transformers' modeling_gemma3n. */
static void
keep_largest(float *x, int64_t n, float deviations)
{
	double		mean = 0;
	double		square = 0;
	float		least;

	if (isinf(deviations))
		return;
	for (int64_t i = 0; i < n; i++)
		mean += x[i];
	mean /= (double) n;
	for (int64_t i = 0; i < n; i++)
		square += (x[i] - mean) * (x[i] - mean);
	least = (float) (mean + sqrt(square / (double) n) * deviations);
	for (int64_t i = 0; i < n; i++)
		x[i] = x[i] > least ? x[i] - least : 0;
}

static void
reglu(float *gate, const float *up, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		gate[i] = gate[i] > 0 ? gate[i] * up[i] : 0 * up[i];
}

static void
gelu_tanh(const LlmKernels *k, float *x, int64_t n)
{
	float		ones[256];

	for (int i = 0; i < 256; i++)
		ones[i] = 1;
	for (int64_t i = 0; i < n; i += 256)
		k->gelu_mul(x + i, ones, n - i < 256 ? n - i : 256, x + i);
}

/*
 * xIELU: for x > 0 alpha_p x^2 + beta x, else alpha_n (e^min(x, eps) - 1 - x) + beta x; numbers are the layer's (LLM_XIELU_*).
 * Source: Huang and Schlag 2024, arXiv 2411.13010; transformers' XIELUActivation.
 */
static void
xielu(const float *numbers, float *x, int64_t n)
{
	const float beta = numbers[LLM_XIELU_BETA];

	for (int64_t i = 0; i < n; i++)
	{
		float		least = x[i] < numbers[LLM_XIELU_EPS] ? x[i] : numbers[LLM_XIELU_EPS];

		if (x[i] > 0)
			x[i] = numbers[LLM_XIELU_ALPHA_P] * x[i] * x[i] + beta * x[i];
		else
			x[i] = ((float) (llmk_exp(least) - 1) - x[i]) * numbers[LLM_XIELU_ALPHA_N] + beta * x[i];
	}
}

float *
llm_ffn_activate(const LlmPass *pass, float *gate, float *up, int64_t n)
{
	const LlmModel *m = pass->model;

	if (gate && m->layers[pass->layer].altup)
		keep_largest(gate, n, m->layers[pass->layer].altup->sparsity);
	switch (m->hp.ffn)
	{
		case LLM_FFN_SWIGLU:
			m->kernels->silu_mul(gate, up, n, gate);
			return gate;
		case LLM_FFN_GEGLU:
			m->kernels->gelu_mul(gate, up, n, gate);
			return gate;
		case LLM_FFN_SWIGLU_CLAMPED:
			swiglu_clamped(gate, up, n);
			return gate;
		case LLM_FFN_GELU:
			m->kernels->gelu_erf(gate ? gate : up, gate ? up : NULL, n, gate ? gate : up);
			return gate ? gate : up;
		case LLM_FFN_GELU_TANH:
			if (gate)
			{
				m->kernels->gelu_mul(gate, up, n, gate);
				return gate;
			}
			gelu_tanh(m->kernels, up, n);
			return up;
		case LLM_FFN_XIELU:
			xielu(m->layers[pass->layer].xielu, up, n);
			return up;
		case LLM_FFN_REGLU:
			reglu(gate, up, n);
			return gate;
		case LLM_FFN_RELU_SQR:
			break;
	}
	m->kernels->relu_sqr(up, n);
	return up;
}

/* where the activations are after act_piece */
static float *
activated(const LlmPass *pass, bool gated)
{
	return gated ? pass->gate : pass->up;
}

static void
act_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const ActJob *job = arg;
	const LlmPass *pass = job->pass;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		llm_ffn_activate(pass, job->gated ? pass->gate + row * job->width : NULL, pass->up + row * job->width, job->width);
		if (job->quantize)
			llm_linear_quantize_row(pass, activated(pass, job->gated), row, job->width);
	}
}

LlmStatus
llm_ffn_gate_up(LlmPass *pass, const LlmFfn *ffn, const LlmStop *stop)
{
	const LlmLinear *lin[2] = {&ffn->up, &ffn->gate};
	float	   *out[2] = {pass->up, pass->gate};
	LlmkActs	acts = llm_linear_acts(pass, pass->norm, pass->n_rows, pass->model->hp.n_embd,
									   llm_is_quantized(&ffn->up.w) || llm_is_quantized(&ffn->gate.w));

	return llm_linear_run(pass, lin, out, ffn->gate.w.data ? 2 : 1, &acts, stop);
}

/* overwrites gate or up, so it does not pause */
LlmStatus
llm_ffn_act(LlmPass *pass, const LlmFfn *ffn)
{
	ActJob		job = {pass, ffn->gate.w.data != NULL, ffn->up.w.n_rows, llm_is_quantized(&ffn->down.w)};

	return llm_pool_run(pass->pool, act_piece, &job, pass->n_rows, llm_rows_per_piece(job.width), NULL);
}

LlmStatus
llm_ffn_down(LlmPass *pass, const LlmFfn *ffn, float *out, const LlmStop *stop)
{
	const LlmLinear *lin[1] = {&ffn->down};
	LlmkActs	acts = llm_linear_acts(pass, activated(pass, ffn->gate.w.data != NULL), pass->n_rows, ffn->up.w.n_rows,
									   llm_is_quantized(&ffn->down.w));

	return llm_linear_run(pass, lin, &out, 1, &acts, stop);
}

static LlmStatus
op_gate_up(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	return llm_ffn_gate_up(pass, &layer->ffn, stop);
}

static LlmStatus
op_act(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	(void) stop;
	return llm_ffn_act(pass, &layer->ffn);
}

static LlmStatus
op_down(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	return llm_ffn_down(pass, &layer->ffn, pass->block_out, stop);
}

const LlmOpFn llm_ffn_ops[] = {op_gate_up, op_act, op_down, NULL};
