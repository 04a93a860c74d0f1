/*
 * vector_avx512.c: the vector operations with 512-bit vectors; the sixteen lanes of a sum are one vector, and a tail is a
 * masked step whose absent lanes stay as they are. Rotary embeddings stay with AVX2: heads are too short to gain.
 */
#include "cpu/levels.h"
#include "cpu/math_avx512.h"
#include "cpu/vector.h"

/* the first n lanes, n = 1 .. 16 or more */
static inline __mmask16
first_lanes(int64_t n)
{
	return n >= 16 ? 0xffff : (__mmask16) ((1u << n) - 1);
}

/* llmk_lane_tree of a vector */
static inline float
lane_tree(__m512 v)
{
	__m256		s8 = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
	__m128		s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
	__m128		s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));

	return _mm_cvtss_f32(_mm_add_ss(s2, _mm_shuffle_ps(s2, s2, 1)));
}

static void
rms_norm_avx512(const float *x, const float *w, int64_t n, float eps, float *out)
{
	double		total = 0;
	__m512		factor;

	for (int64_t begin = 0; begin < n; begin += LLMK_SUM_BLOCK)
	{
		int64_t		end = n - begin < LLMK_SUM_BLOCK ? n : begin + LLMK_SUM_BLOCK;
		__m512		sum = _mm512_setzero_ps();

		for (int64_t i = begin; i < end; i += 16)
		{
			__m512		v = _mm512_maskz_loadu_ps(first_lanes(end - i), x + i);

			sum = _mm512_fmadd_ps(v, v, sum);
		}
		total += (double) lane_tree(sum);
	}
	factor = _mm512_set1_ps(llmk_rms_factor(total, n, eps));
	for (int64_t i = 0; i < n; i += 16)
	{
		__mmask16	lanes = first_lanes(n - i);
		__m512		v = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x + i), factor);

		_mm512_mask_storeu_ps(out + i, lanes, _mm512_mul_ps(v, _mm512_maskz_loadu_ps(lanes, w + i)));
	}
}

static void
layer_norm_avx512(const float *x, const float *w, const float *b, int64_t n, float eps, float *out)
{
	double		total = 0;
	double		squares = 0;
	__m512		mean;
	__m512		factor;

	for (int64_t begin = 0; begin < n; begin += LLMK_SUM_BLOCK)
	{
		int64_t		end = n - begin < LLMK_SUM_BLOCK ? n : begin + LLMK_SUM_BLOCK;
		__m512		sum = _mm512_setzero_ps();

		for (int64_t i = begin; i < end; i += 16)
		{
			__mmask16	lanes = first_lanes(end - i);

			sum = _mm512_mask_add_ps(sum, lanes, sum, _mm512_maskz_loadu_ps(lanes, x + i));
		}
		total += (double) lane_tree(sum);
	}
	mean = _mm512_set1_ps(llmk_mean(total, n));
	for (int64_t begin = 0; begin < n; begin += LLMK_SUM_BLOCK)
	{
		int64_t		end = n - begin < LLMK_SUM_BLOCK ? n : begin + LLMK_SUM_BLOCK;
		__m512		sum = _mm512_setzero_ps();

		for (int64_t i = begin; i < end; i += 16)
		{
			__mmask16	lanes = first_lanes(end - i);
			__m512		v = _mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, x + i), mean);

			sum = _mm512_mask_mov_ps(sum, lanes, _mm512_fmadd_ps(v, v, sum));
		}
		squares += (double) lane_tree(sum);
	}
	factor = _mm512_set1_ps(llmk_rms_factor(squares, n, eps));
	for (int64_t i = 0; i < n; i += 16)
	{
		__mmask16	lanes = first_lanes(n - i);
		__m512		v = _mm512_mul_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, x + i), mean), factor);
		__m512		bias = b ? _mm512_maskz_loadu_ps(lanes, b + i) : _mm512_setzero_ps();

		_mm512_mask_storeu_ps(out + i, lanes, _mm512_fmadd_ps(v, _mm512_maskz_loadu_ps(lanes, w + i), bias));
	}
}

static void
add_avx512(float *dst, const float *a, int64_t n)
{
	for (int64_t i = 0; i < n; i += 16)
	{
		__mmask16	lanes = first_lanes(n - i);

		_mm512_mask_storeu_ps(dst + i, lanes, _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, dst + i),
															_mm512_maskz_loadu_ps(lanes, a + i)));
	}
}

static void
silu_mul_avx512(const float *gate, const float *up, int64_t n, float *out)
{
	for (int64_t i = 0; i < n; i += 16)
	{
		__mmask16	lanes = first_lanes(n - i);

		_mm512_mask_storeu_ps(out + i, lanes, llmk_silu_mul_avx512(_mm512_maskz_loadu_ps(lanes, gate + i),
																   _mm512_maskz_loadu_ps(lanes, up + i)));
	}
}

static void
gelu_mul_avx512(const float *gate, const float *up, int64_t n, float *out)
{
	for (int64_t i = 0; i < n; i += 16)
	{
		__mmask16	lanes = first_lanes(n - i);

		_mm512_mask_storeu_ps(out + i, lanes, llmk_gelu_mul_avx512(_mm512_maskz_loadu_ps(lanes, gate + i),
																   _mm512_maskz_loadu_ps(lanes, up + i)));
	}
}

static void
gelu_erf_avx512(const float *x, const float *up, int64_t n, float *out)
{
	for (int64_t i = 0; i < n; i += 16)
	{
		__mmask16	lanes = first_lanes(n - i);
		__m512		y = llmk_gelu_erf_avx512(_mm512_maskz_loadu_ps(lanes, x + i));

		_mm512_mask_storeu_ps(out + i, lanes, up ? _mm512_mul_ps(y, _mm512_maskz_loadu_ps(lanes, up + i)) : y);
	}
}

static void
relu_sqr_avx512(float *x, int64_t n)
{
	for (int64_t i = 0; i < n; i += 16)
	{
		__mmask16	lanes = first_lanes(n - i);

		_mm512_mask_storeu_ps(x + i, lanes, llmk_relu_sqr_avx512(_mm512_maskz_loadu_ps(lanes, x + i)));
	}
}

static void
soft_cap_avx512(float *x, int64_t n, float cap)
{
	const __m512 c = _mm512_set1_ps(cap);

	for (int64_t i = 0; i < n; i += 16)
	{
		__mmask16	lanes = first_lanes(n - i);

		_mm512_mask_storeu_ps(x + i, lanes, llmk_soft_cap_avx512(_mm512_maskz_loadu_ps(lanes, x + i), c));
	}
}

static float
max_avx512(const float *x, int64_t n)
{
	const __m512 least = _mm512_set1_ps(-__builtin_inff());
	__m512		max = least;
	__mmask16	unordered = 0;
	float		lane[16];
	float		result;

	for (int64_t i = 0; i < n; i += 16)
	{
		__m512		v = _mm512_mask_loadu_ps(least, first_lanes(n - i), x + i);

		max = _mm512_max_ps(v, max);
		unordered |= _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
	}
	if (unordered)
		return __builtin_nanf("");
	_mm512_storeu_ps(lane, max);
	result = lane[0];
	for (int j = 1; j < 16; j++)
		result = lane[j] > result ? lane[j] : result;
	return result + 0.0f;
}

static float
sum_exp_avx512(const float *x, int64_t n, float max, float inv_temperature)
{
	const __m512 base = _mm512_set1_ps(max);
	const __m512 factor = _mm512_set1_ps(inv_temperature);
	double		total = 0;

	for (int64_t begin = 0; begin < n; begin += LLMK_SUM_BLOCK)
	{
		int64_t		end = n - begin < LLMK_SUM_BLOCK ? n : begin + LLMK_SUM_BLOCK;
		__m512		sum = _mm512_setzero_ps();

		for (int64_t i = begin; i < end; i += 16)
		{
			__mmask16	lanes = first_lanes(end - i);
			__m512		v = _mm512_mul_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, x + i), base), factor);

			sum = _mm512_mask_add_ps(sum, lanes, sum, llmk_expf_avx512(v));
		}
		total += (double) lane_tree(sum);
	}
	return (float) total;
}

static void
scale_avx512(float *x, int64_t n, float factor)
{
	const __m512 f = _mm512_set1_ps(factor);

	for (int64_t i = 0; i < n; i += 16)
	{
		__mmask16	lanes = first_lanes(n - i);

		_mm512_mask_storeu_ps(x + i, lanes, _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x + i), f));
	}
}

void
llmk_vector_fill_avx512(LlmKernels *k)
{
	k->rms_norm = rms_norm_avx512;
	k->layer_norm = layer_norm_avx512;
	k->add = add_avx512;
	k->silu_mul = silu_mul_avx512;
	k->gelu_mul = gelu_mul_avx512;
	k->gelu_erf = gelu_erf_avx512;
	k->relu_sqr = relu_sqr_avx512;
	k->soft_cap = soft_cap_avx512;
	k->max = max_avx512;
	k->sum_exp = sum_exp_avx512;
	k->scale = scale_avx512;
	llmk_attention_fill_avx512(k);
}
