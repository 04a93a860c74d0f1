/*
 * vector_avx2.c: the vector operations with 256-bit vectors. Lanes 0..7 and 8..15 of a sum are two vectors.
 */
#include "cpu/levels.h"
#include "cpu/math_avx2.h"
#include "cpu/selective.h"
#include "cpu/vector.h"

/* llmk_lane_tree of two vectors */
static inline float
lane_tree(__m256 low, __m256 high)
{
	__m256		s8 = _mm256_add_ps(low, high);
	__m128		s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
	__m128		s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));

	return _mm_cvtss_f32(_mm_add_ss(s2, _mm_shuffle_ps(s2, s2, 1)));
}

static void
rms_norm_avx2(const float *x, const float *w, int64_t n, float eps, float *out)
{
	double		total = 0;
	float		factor;
	__m256		f;
	int64_t		i = 0;

	while (i < n)
	{
		int64_t		end = n - i < LLMK_SUM_BLOCK ? n : i + LLMK_SUM_BLOCK;
		__m256		low = _mm256_setzero_ps();
		__m256		high = _mm256_setzero_ps();
		float		lane[LLMK_LANES];

		for (; i + LLMK_LANES <= end; i += LLMK_LANES)
		{
			__m256		a = _mm256_loadu_ps(x + i);
			__m256		b = _mm256_loadu_ps(x + i + 8);

			low = _mm256_fmadd_ps(a, a, low);
			high = _mm256_fmadd_ps(b, b, high);
		}
		if (i == end)
		{
			total += (double) lane_tree(low, high);
			continue;
		}
		_mm256_storeu_ps(lane, low);
		_mm256_storeu_ps(lane + 8, high);
		for (; i < end; i++)
			lane[i % LLMK_LANES] = __builtin_fmaf(x[i], x[i], lane[i % LLMK_LANES]);
		total += (double) llmk_lane_tree(lane);
	}
	factor = llmk_rms_factor(total, n, eps);
	f = _mm256_set1_ps(factor);
	for (i = 0; i + 8 <= n; i += 8)
		_mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i), f), _mm256_loadu_ps(w + i)));
	for (; i < n; i++)
		out[i] = x[i] * factor * w[i];
}

/* sum over x - mean, or of its squares */
static inline __attribute__((always_inline)) double
centred_sum(const bool squares, const float *x, int64_t n, float mean)
{
	const __m256 m = _mm256_set1_ps(mean);
	double		total = 0;
	int64_t		i = 0;

	while (i < n)
	{
		int64_t		end = n - i < LLMK_SUM_BLOCK ? n : i + LLMK_SUM_BLOCK;
		__m256		low = _mm256_setzero_ps();
		__m256		high = _mm256_setzero_ps();
		float		lane[LLMK_LANES];

		for (; i + LLMK_LANES <= end; i += LLMK_LANES)
		{
			__m256		a = _mm256_loadu_ps(x + i);
			__m256		b = _mm256_loadu_ps(x + i + 8);

			if (squares)
			{
				a = _mm256_sub_ps(a, m);
				b = _mm256_sub_ps(b, m);
				low = _mm256_fmadd_ps(a, a, low);
				high = _mm256_fmadd_ps(b, b, high);
			}
			else
			{
				low = _mm256_add_ps(low, a);
				high = _mm256_add_ps(high, b);
			}
		}
		_mm256_storeu_ps(lane, low);
		_mm256_storeu_ps(lane + 8, high);
		for (; i < end; i++)
			lane[i % LLMK_LANES] = squares ? __builtin_fmaf(x[i] - mean, x[i] - mean, lane[i % LLMK_LANES]) :
				lane[i % LLMK_LANES] + x[i];
		total += (double) llmk_lane_tree(lane);
	}
	return total;
}

static void
layer_norm_avx2(const float *x, const float *w, const float *b, int64_t n, float eps, float *out)
{
	const float mean = llmk_mean(centred_sum(false, x, n, 0), n);
	const float factor = llmk_rms_factor(centred_sum(true, x, n, mean), n, eps);
	const __m256 m = _mm256_set1_ps(mean);
	const __m256 f = _mm256_set1_ps(factor);
	int64_t		i = 0;

	for (; i + 8 <= n; i += 8)
	{
		__m256		v = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(x + i), m), f);

		_mm256_storeu_ps(out + i, _mm256_fmadd_ps(v, _mm256_loadu_ps(w + i), b ? _mm256_loadu_ps(b + i) : _mm256_setzero_ps()));
	}
	for (; i < n; i++)
		out[i] = __builtin_fmaf((x[i] - mean) * factor, w[i], b ? b[i] : 0.0f);
}

static void
add_avx2(float *dst, const float *a, int64_t n)
{
	int64_t		i = 0;

	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(dst + i, _mm256_add_ps(_mm256_loadu_ps(dst + i), _mm256_loadu_ps(a + i)));
	for (; i < n; i++)
		dst[i] += a[i];
}

static void
silu_mul_avx2(const float *gate, const float *up, int64_t n, float *out)
{
	int64_t		i = 0;

	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(out + i, llmk_silu_mul_avx2(_mm256_loadu_ps(gate + i), _mm256_loadu_ps(up + i)));
	for (; i < n; i++)
		out[i] = llmk_silu_mul_inline(gate[i], up[i]);
}

static void
gelu_mul_avx2(const float *gate, const float *up, int64_t n, float *out)
{
	int64_t		i = 0;

	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(out + i, llmk_gelu_mul_avx2(_mm256_loadu_ps(gate + i), _mm256_loadu_ps(up + i)));
	for (; i < n; i++)
		out[i] = llmk_gelu_mul_inline(gate[i], up[i]);
}

static void
gelu_erf_avx2(const float *x, const float *up, int64_t n, float *out)
{
	int64_t		i = 0;

	for (; i + 8 <= n; i += 8)
	{
		__m256		y = llmk_gelu_erf_avx2(_mm256_loadu_ps(x + i));

		_mm256_storeu_ps(out + i, up ? _mm256_mul_ps(y, _mm256_loadu_ps(up + i)) : y);
	}
	for (; i < n; i++)
		out[i] = up ? llmk_gelu_erf_inline(x[i]) * up[i] : llmk_gelu_erf_inline(x[i]);
}

static void
relu_sqr_avx2(float *x, int64_t n)
{
	int64_t		i = 0;

	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(x + i, llmk_relu_sqr_avx2(_mm256_loadu_ps(x + i)));
	for (; i < n; i++)
		x[i] = llmk_relu_sqr_inline(x[i]);
}

static void
soft_cap_avx2(float *x, int64_t n, float cap)
{
	const __m256 c = _mm256_set1_ps(cap);
	int64_t		i = 0;

	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(x + i, llmk_soft_cap_avx2(_mm256_loadu_ps(x + i), c));
	for (; i < n; i++)
		x[i] = llmk_soft_cap_inline(x[i], cap);
}

static void
rope_norm_avx2(float *x, const float *cosine, const float *sine, int64_t n_pairs)
{
	const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
	int64_t		i = 0;

	for (; i + 4 <= n_pairs; i += 4)
	{
		__m256		v = _mm256_loadu_ps(x + 2 * i);
		__m256		c = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(cosine + i)), twice);
		__m256		s = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(sine + i)), twice);
		__m256		swapped = _mm256_permute_ps(v, 0xb1);

		/* even elements: x c - y s, odd: y c + x s */
		_mm256_storeu_ps(x + 2 * i, _mm256_fmaddsub_ps(v, c, _mm256_mul_ps(swapped, s)));
	}
	for (; i < n_pairs; i++)
		llmk_rotate_pair(&x[2 * i], &x[2 * i + 1], cosine[i], sine[i]);
}

static void
rope_neox_avx2(float *x, const float *cosine, const float *sine, int64_t n_pairs)
{
	float	   *y = x + n_pairs;
	int64_t		i = 0;

	for (; i + 8 <= n_pairs; i += 8)
	{
		__m256		a = _mm256_loadu_ps(x + i);
		__m256		b = _mm256_loadu_ps(y + i);
		__m256		c = _mm256_loadu_ps(cosine + i);
		__m256		s = _mm256_loadu_ps(sine + i);

		_mm256_storeu_ps(x + i, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
		_mm256_storeu_ps(y + i, _mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s)));
	}
	for (; i < n_pairs; i++)
		llmk_rotate_pair(&x[i], &y[i], cosine[i], sine[i]);
}

static float
max_avx2(const float *x, int64_t n)
{
	__m256		max = _mm256_set1_ps(-__builtin_inff());
	__m256		unordered = _mm256_setzero_ps();
	float		lane[8];
	float		result;
	bool		has_nan;
	int64_t		i = 0;

	for (; i + 8 <= n; i += 8)
	{
		__m256		v = _mm256_loadu_ps(x + i);

		max = _mm256_max_ps(v, max);
		unordered = _mm256_or_ps(unordered, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
	}
	has_nan = _mm256_movemask_ps(unordered) != 0;
	_mm256_storeu_ps(lane, max);
	result = lane[0];
	for (int j = 1; j < 8; j++)
		result = lane[j] > result ? lane[j] : result;
	for (; i < n; i++)
	{
		result = x[i] > result ? x[i] : result;
		has_nan |= x[i] != x[i];
	}
	return has_nan ? __builtin_nanf("") : result + 0.0f;
}

static float
sum_exp_avx2(const float *x, int64_t n, float max, float inv_temperature)
{
	const __m256 base = _mm256_set1_ps(max);
	const __m256 factor = _mm256_set1_ps(inv_temperature);
	double		total = 0;
	int64_t		i = 0;

	while (i < n)
	{
		int64_t		end = n - i < LLMK_SUM_BLOCK ? n : i + LLMK_SUM_BLOCK;
		__m256		low = _mm256_setzero_ps();
		__m256		high = _mm256_setzero_ps();
		float		lane[LLMK_LANES];

		for (; i + LLMK_LANES <= end; i += LLMK_LANES)
		{
			__m256		a = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(x + i), base), factor);
			__m256		b = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(x + i + 8), base), factor);

			low = _mm256_add_ps(low, llmk_expf_avx2(a));
			high = _mm256_add_ps(high, llmk_expf_avx2(b));
		}
		if (i == end)
		{
			total += (double) lane_tree(low, high);
			continue;
		}
		_mm256_storeu_ps(lane, low);
		_mm256_storeu_ps(lane + 8, high);
		for (; i < end; i++)
			lane[i % LLMK_LANES] += llmk_expf_inline((x[i] - max) * inv_temperature);
		total += (double) llmk_lane_tree(lane);
	}
	return (float) total;
}

static void
scale_avx2(float *x, int64_t n, float factor)
{
	const __m256 f = _mm256_set1_ps(factor);
	int64_t		i = 0;

	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(x + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), f));
	for (; i < n; i++)
		x[i] *= factor;
}

/* 8 channels: rounded as in selective.h */
static void
selective_8(const LlmkSelective *s, int64_t i)
{
	const __m256 u = _mm256_loadu_ps(s->u + i);
	__m256		sum = _mm256_setzero_ps();
	__m256		dt;
	__m256		in;
	float		steps[8];

	for (int k = 0; k < 8; k++)
		steps[k] = (float) llmk_softplus_inline(s->dt[i + k]);
	dt = _mm256_loadu_ps(steps);
	in = _mm256_mul_ps(dt, u);
	for (int64_t n = 0; n < s->n_state; n++)
	{
		const int64_t at = n * s->ld + i;
		const __m256 decay = llmk_expf_avx2(_mm256_mul_ps(dt, _mm256_loadu_ps(s->a + at)));
		const __m256 h = _mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(s->from + at), decay), _mm256_mul_ps(in, _mm256_set1_ps(s->b[n])));

		_mm256_storeu_ps(s->state + at, h);
		sum = _mm256_add_ps(sum, _mm256_mul_ps(h, _mm256_set1_ps(s->c[n])));
	}
	_mm256_storeu_ps(s->out + i, _mm256_add_ps(sum, _mm256_mul_ps(_mm256_loadu_ps(s->d + i), u)));
}

static void
selective_step_avx2(const LlmkSelective *step)
{
	int64_t		i = 0;

	for (; i + 8 <= step->n; i += 8)
		selective_8(step, i);
	llmk_selective_step(step, i);
}

void
llmk_vector_fill_avx2(LlmKernels *k)
{
	k->rms_norm = rms_norm_avx2;
	k->layer_norm = layer_norm_avx2;
	k->add = add_avx2;
	k->silu_mul = silu_mul_avx2;
	k->gelu_mul = gelu_mul_avx2;
	k->gelu_erf = gelu_erf_avx2;
	k->relu_sqr = relu_sqr_avx2;
	k->soft_cap = soft_cap_avx2;
	k->rope_norm = rope_norm_avx2;
	k->rope_neox = rope_neox_avx2;
	k->max = max_avx2;
	k->sum_exp = sum_exp_avx2;
	k->scale = scale_avx2;
	k->selective_step = selective_step_avx2;
	llmk_attention_fill_avx2(k);
}
