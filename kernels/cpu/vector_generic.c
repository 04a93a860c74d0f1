/*
 * vector_generic.c: the vector operations of kernels.h in plain C, complete, and the reference of all levels.
 */
#include "cpu/delta.h"
#include "cpu/levels.h"
#include "cpu/scan.h"
#include "cpu/selective.h"
#include "cpu/vector.h"

static void
rms_norm_generic(const float *x, const float *w, int64_t n, float eps, float *out)
{
	double		total = 0;
	float		factor;

	for (int64_t begin = 0; begin < n; begin += LLMK_SUM_BLOCK)
	{
		int64_t		end = n - begin < LLMK_SUM_BLOCK ? n : begin + LLMK_SUM_BLOCK;
		float		lane[LLMK_LANES] = {0};

		for (int64_t i = begin; i < end; i++)
			lane[i % LLMK_LANES] = __builtin_fmaf(x[i], x[i], lane[i % LLMK_LANES]);
		total += (double) llmk_lane_tree(lane);
	}
	factor = llmk_rms_factor(total, n, eps);
	for (int64_t i = 0; i < n; i++)
		out[i] = x[i] * factor * w[i];
}

static void
layer_norm_generic(const float *x, const float *w, const float *b, int64_t n, float eps, float *out)
{
	double		total = 0;
	double		squares = 0;
	float		mean;
	float		factor;

	for (int64_t begin = 0; begin < n; begin += LLMK_SUM_BLOCK)
	{
		int64_t		end = n - begin < LLMK_SUM_BLOCK ? n : begin + LLMK_SUM_BLOCK;
		float		lane[LLMK_LANES] = {0};

		for (int64_t i = begin; i < end; i++)
			lane[i % LLMK_LANES] += x[i];
		total += (double) llmk_lane_tree(lane);
	}
	mean = llmk_mean(total, n);
	for (int64_t begin = 0; begin < n; begin += LLMK_SUM_BLOCK)
	{
		int64_t		end = n - begin < LLMK_SUM_BLOCK ? n : begin + LLMK_SUM_BLOCK;
		float		lane[LLMK_LANES] = {0};

		for (int64_t i = begin; i < end; i++)
			lane[i % LLMK_LANES] = __builtin_fmaf(x[i] - mean, x[i] - mean, lane[i % LLMK_LANES]);
		squares += (double) llmk_lane_tree(lane);
	}
	factor = llmk_rms_factor(squares, n, eps);
	for (int64_t i = 0; i < n; i++)
		out[i] = __builtin_fmaf((x[i] - mean) * factor, w[i], b ? b[i] : 0.0f);
}

static void
add_generic(float *dst, const float *a, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		dst[i] += a[i];
}

static void
silu_mul_generic(const float *gate, const float *up, int64_t n, float *out)
{
	for (int64_t i = 0; i < n; i++)
		out[i] = llmk_silu_mul_inline(gate[i], up[i]);
}

static void
gelu_mul_generic(const float *gate, const float *up, int64_t n, float *out)
{
	for (int64_t i = 0; i < n; i++)
		out[i] = llmk_gelu_mul_inline(gate[i], up[i]);
}

static void
gelu_erf_generic(const float *x, const float *up, int64_t n, float *out)
{
	for (int64_t i = 0; i < n; i++)
		out[i] = up ? llmk_gelu_erf_inline(x[i]) * up[i] : llmk_gelu_erf_inline(x[i]);
}

static void
relu_sqr_generic(float *x, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		x[i] = llmk_relu_sqr_inline(x[i]);
}

static void
soft_cap_generic(float *x, int64_t n, float cap)
{
	for (int64_t i = 0; i < n; i++)
		x[i] = llmk_soft_cap_inline(x[i], cap);
}

static void
rope_norm_generic(float *x, const float *cosine, const float *sine, int64_t n_pairs)
{
	for (int64_t i = 0; i < n_pairs; i++)
		llmk_rotate_pair(&x[2 * i], &x[2 * i + 1], cosine[i], sine[i]);
}

static void
rope_neox_generic(float *x, const float *cosine, const float *sine, int64_t n_pairs)
{
	for (int64_t i = 0; i < n_pairs; i++)
		llmk_rotate_pair(&x[i], &x[n_pairs + i], cosine[i], sine[i]);
}

static float
max_generic(const float *x, int64_t n)
{
	float		max = -__builtin_inff();
	bool		has_nan = false;

	for (int64_t i = 0; i < n; i++)
	{
		max = x[i] > max ? x[i] : max;
		has_nan |= x[i] != x[i];
	}
	return has_nan ? __builtin_nanf("") : max + 0.0f;
}

static float
sum_exp_generic(const float *x, int64_t n, float max, float inv_temperature)
{
	double		total = 0;

	for (int64_t begin = 0; begin < n; begin += LLMK_SUM_BLOCK)
	{
		int64_t		end = n - begin < LLMK_SUM_BLOCK ? n : begin + LLMK_SUM_BLOCK;
		float		lane[LLMK_LANES] = {0};

		for (int64_t i = begin; i < end; i++)
			lane[i % LLMK_LANES] += llmk_expf_inline((x[i] - max) * inv_temperature);
		total += (double) llmk_lane_tree(lane);
	}
	return (float) total;
}

static void
scale_generic(float *x, int64_t n, float factor)
{
	for (int64_t i = 0; i < n; i++)
		x[i] *= factor;
}

static void
ssm_scan_generic(const LlmkScan *scan)
{
	llmk_scan(scan);
}

static void
selective_step_generic(const LlmkSelective *step)
{
	llmk_selective_step(step, 0);
}

static void
delta_scan_generic(const LlmkDelta *scan)
{
	llmk_delta(scan);
}

void
llmk_vector_fill_generic(LlmKernels *k)
{
	k->rms_norm = rms_norm_generic;
	k->layer_norm = layer_norm_generic;
	k->add = add_generic;
	k->silu_mul = silu_mul_generic;
	k->gelu_mul = gelu_mul_generic;
	k->gelu_erf = gelu_erf_generic;
	k->relu_sqr = relu_sqr_generic;
	k->soft_cap = soft_cap_generic;
	k->rope_norm = rope_norm_generic;
	k->rope_neox = rope_neox_generic;
	k->max = max_generic;
	k->sum_exp = sum_exp_generic;
	k->scale = scale_generic;
	k->ssm_scan = ssm_scan_generic;
	k->selective_step = selective_step_generic;
	k->delta_scan = delta_scan_generic;
	llmk_attention_fill_generic(k);
}
