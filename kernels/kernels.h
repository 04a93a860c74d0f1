/*
 * kernels.h: the table of computing functions that the runtime calls, and the packed form of matrices.
 *
 * A table is one CPU level. `generic` is complete plain C; each higher level copies the one below and overrides. Every
 * level gives the same bits for the same input (docs/architecture.md, Numbers): integer sums are exact, floats follow
 * one written order with explicit fused multiply-adds. Functions here are pure: no allocation, no failure, no state.
 *
 * Packed matrix (one layout for all levels): rows in groups of LLMK_ROWS = 8, so that a vector lane is an output row.
 * A group holds, block by block along the columns, the 8 rows' quantized bytes interleaved and their 8 half-precision
 * scales (layouts in kernels/cpu/packed_formats.h and codes.h). The last group is filled up with zero rows. Groups have equal size, so group g
 * starts at g * llmk_group_bytes().
 */
#ifndef LLMK_KERNELS_H
#define LLMK_KERNELS_H

#include <stdbool.h>
#include "block_formats.h"

#define LLMK_ROWS 8				/* rows of a packed group */
#define LLMK_PAGE_KEYS 64		/* keys of a cache page, which is also the block of attention */
#define LLMK_ALIGN 64			/* alignment in bytes of packed matrices, activations and pages */

/* numeric version: changes whenever any result may change by a bit; part of caches, digests and trails */
#define LLM_NUMERIC_VERSION 4

/* layout version of packed matrices: changes whenever pack.c writes other bytes */
#define LLMK_PACK_VERSION 2

typedef enum LlmKvType
{
	LLM_KV_F32 = 0,
	LLM_KV_F16 = 1,
	LLM_KV_Q8 = 2				/* 8 bits with a half-precision scale for 32 dimensions; attention reads it by read_keys, read_values */
} LlmKvType;

/* a packed matrix (n_rows outputs, n_cols inputs); borrowed */
typedef struct LlmkMatrix
{
	LlmType		type;
	int64_t		n_rows;
	int64_t		n_cols;
	const uint8_t *data;		/* llmk_group_bytes() for each LLMK_ROWS rows, LLMK_ALIGN aligned */
} LlmkMatrix;

/* rows of 8-bit numbers in blocks of 32 */
typedef struct LlmkTerm
{
	int8_t	   *q;				/* (n_tokens, n_cols) */
	float	   *d;				/* (n_tokens, n_cols / 32) scale of each block */
	int16_t    *s;				/* (n_tokens, n_cols / 16) exact sum of q over each 16 */
} LlmkTerm;

/*
 * Input rows (n_tokens, n_cols) of a product. x is read by F32/F16/BF16 weights, the terms (made by quantize) by
 * quantized weights. Either may be NULL when no weight of that kind reads the rows. A block has one term, d * q; or two, if d of
 * its second is not 0, which together are that d times (LLMK_TERM_RATIO * q of the first + q of the second). Where it is 0, q and
 * s of the second are not defined.
 */
#define LLMK_TERM_RATIO 254		/* what one term leaves is at most half its d, and 127 * 2 steps of d / 254 hold that */

typedef struct LlmkActs
{
	int64_t		n_tokens;
	int64_t		n_cols;
	const float *x;				/* (n_tokens, ld_x) */
	int64_t		ld_x;
	LlmkTerm	term[2];
} LlmkActs;

/*
 * One page of attention for queries that share a key/value head. For query i the visible keys are
 * [key_begin[i], key_end[i]) within the page (0..LLMK_PAGE_KEYS; empty leaves its state as it was). Running state per
 * query: max[i] (start -INFINITY), sum[i] (start 0), acc[i] (head_dim_v, start 0). The result of a query does not
 * depend on n_queries or on its neighbours.
 */
typedef struct LlmkAttend
{
	int			n_queries;
	int			head_dim_k;
	int			head_dim_v;
	LlmKvType	kv_type;		/* F32 or F16 */
	float		scale;			/* scores are (q . k) * scale */
	float		softcap;		/* 0: none; else softcap * tanh(score / softcap) */
	const float *slope;			/* (n_queries): scores fall by it for each key of distance (ALiBi); NULL: none */
	const int  *distance;		/* (n_queries): from the page's first key to the query; read with slope only */
	const float *const *q;		/* n_queries pointers to (head_dim_k,) */
	const void *k_page;			/* (head_dim_k, LLMK_PAGE_KEYS): transposed, so that a lane is a key */
	const void *v_page;			/* (LLMK_PAGE_KEYS, head_dim_v) */
	const int  *key_begin;
	const int  *key_end;
	float	   *max;
	float	   *sum;
	float	   *const *acc;
} LlmkAttend;

/*
 * The state space recurrence of one head over n_tokens tokens. For token t with x (head_dim,), b and c (n_state,), and for each
 * n in ascending order: state[n] = state[n] * decay + (x * dt) * b[n]; out = sum of state[n] * c[n], then + skip * x.
 * state (n_state, head_dim) is written; before the first token it is read from `from`, which may be state itself.
 */
typedef struct LlmkScan
{
	int64_t		n_tokens;
	int64_t		head_dim;
	int64_t		n_state;
	const float *x;				/* rows of x, b and c are ld_in apart */
	const float *b;
	const float *c;
	int64_t		ld_in;
	const float *dt;			/* one number for each token, ld_dt apart */
	const float *decay;
	int64_t		ld_dt;
	float		skip;
	const float *from;
	float	   *state;
	float	   *out;			/* rows are ld_out apart */
	int64_t		ld_out;
} LlmkScan;

/*
 * One token of the selective recurrence, for n channels: dt = softplus(dt), then for each s below n_state in ascending order
 * state[s] = from[s] * exp(dt * a[s]) + (dt * u) * b[s]; out = sum of state[s] * c[s], then + d * u. a, from and state are
 * (n_state, n), rows ld apart; from may be state; all others but b and c (n_state) are (n).
 */
typedef struct LlmkSelective
{
	int64_t		n;
	int64_t		n_state;
	int64_t		ld;
	const float *dt;			/* before softplus */
	const float *u;
	const float *a;
	const float *b;
	const float *c;
	const float *d;
	const float *from;
	float	   *state;
	float	   *out;
} LlmkSelective;

/*
 * The gated delta rule of one head, token by token: h = decay h; h = h + k (beta (v - h'k)); out = h'q.
 * h (n_state, head_dim) is read at `from` before the first token, and is left at `state`, which may be the same.
 */
typedef struct LlmkDelta
{
	int64_t		n_tokens;
	int64_t		head_dim;
	int64_t		n_state;
	const float *q;				/* (n_state); rows of q, k and v are ld_in apart */
	const float *k;
	const float *v;				/* (head_dim) */
	int64_t		ld_in;
	const float *beta;			/* one number for each token, ld_gate apart */
	const float *decay;
	int64_t		ld_gate;
	const float *from;
	float	   *state;
	float	   *out;			/* rows are ld_out apart */
	int64_t		ld_out;
} LlmkDelta;

/*
 * out[t * ld_out + r] = sum over c of w[r][c] * a[t][c], for all tokens t of acts and the rows r of groups
 * [group_begin, group_end) (rows past n_rows are not written). Each output is one ascending chain of fused multiply-adds
 * over columns (float weights) or blocks of 32 columns (quantized weights): the same for one token and for many.
 */
typedef void (*LlmkMatmulFn) (const LlmkMatrix *w, const LlmkActs *acts, int64_t group_begin, int64_t group_end,
							  float *out, int64_t ld_out);

/* out[0 .. n_cols) = row `row` of a packed matrix as F32: exactly the values that the file's blocks stand for */
typedef void (*LlmkGetRowFn) (const LlmkMatrix *w, int64_t row, float *out);

typedef struct LlmKernels
{
	const char *name;			/* generic, avx2, avxvnni, avx512, avx512vnni */
	uint32_t	required;		/* LLMK_CPU_* bits this level needs */

	LlmkMatmulFn matmul[LLM_TYPE_COUNT];	/* NULL: type not computed */
	LlmkGetRowFn get_row[LLM_TYPE_COUNT];

	/*
	 * One row x (n,), n a multiple of 32, in terms as in LlmkActs. First term: d = max|x| / 127, q = x / d rounded half to
	 * even; an all-zero block gives d = 0, q = 0; a block with a NaN or infinity gives d = NaN, q = 0. Second term, of
	 * blocks whose d^2 is above 1.5 times the mean of the row's: what the first leaves, with d2 = d / 254 as scale, that is
	 * fma(-d2, 254 q, x).
	 */
	void		(*quantize) (const float *x, int64_t n, const LlmkTerm term[2]);

	/* out = x / sqrt(mean(x^2) + eps) * w; x may be out. Source: Zhang and Sennrich 2019, arXiv 1910.07467. */
	void		(*rms_norm) (const float *x, const float *w, int64_t n, float eps, float *out);

	/*
	 * out = (x - mean(x)) / sqrt(variance(x) + eps) * w + b; b NULL: none; x may be out. Source: Ba et al. 2016,
	 * arXiv 1607.06450.
	 */
	void		(*layer_norm) (const float *x, const float *w, const float *b, int64_t n, float eps, float *out);

	/* dst += a */
	void		(*add) (float *dst, const float *a, int64_t n);

	/* out = silu(gate) * up; out may be gate or up. Source: Shazeer 2020, arXiv 2002.05202. */
	void		(*silu_mul) (const float *gate, const float *up, int64_t n, float *out);

	/* out = gelu(gate) * up with the approximation by tanh; out may be gate or up. Source: arXiv 1606.08415. */
	void		(*gelu_mul) (const float *gate, const float *up, int64_t n, float *out);

	/* out = gelu(x) by erf, times up; up NULL: gelu(x); out may be x or up */
	void		(*gelu_erf) (const float *x, const float *up, int64_t n, float *out);

	/* x = max(x, 0)^2. Source: So et al. 2021, arXiv 2109.08668. */
	void		(*relu_sqr) (float *x, int64_t n);

	/* x = cap * tanh(x / cap) */
	void		(*soft_cap) (float *x, int64_t n, float cap);

	/*
	 * Rotate n_pairs pairs of x in place by the angles whose cosine and sine are given (n_pairs each). rope_norm pairs
	 * (2i, 2i+1), rope_neox pairs (i, i + n_pairs). Source: Su et al. 2021, arXiv 2104.09864.
	 */
	void		(*rope_norm) (float *x, const float *cosine, const float *sine, int64_t n_pairs);
	void		(*rope_neox) (float *x, const float *cosine, const float *sine, int64_t n_pairs);

	/* largest value (NaN if any element is NaN) */
	float		(*max) (const float *x, int64_t n);

	/* sum of exp((x - max) * inv_temperature), for softmax and log-sum-exp */
	float		(*sum_exp) (const float *x, int64_t n, float max, float inv_temperature);

	/* write one token's key or value head (head_dim,) into slot (0..63) of a page, rounded to the page's type */
	void		(*store_key) (const float *k, int head_dim, LlmKvType type, int slot, void *k_page);
	void		(*store_value) (const float *v, int head_dim, LlmKvType type, int slot, void *v_page);

	/* a whole page of LLM_KV_Q8 as one of F32 with the same layout; exact, so that attention over it is that over the page */
	void		(*read_keys) (const void *k_page, int head_dim, float *out);
	void		(*read_values) (const void *v_page, int head_dim, float *out);

	/* one page of attention, see LlmkAttend. Source: Milakov and Gimelshein 2018, arXiv 1805.02867. */
	void		(*attend_page) (const LlmkAttend *a);

	/* merge the state of a later span of keys into an earlier one: (max, sum, acc) <- (max, sum, acc) + (max2, sum2, acc2) */
	void		(*attend_merge) (float *max, float *sum, float *acc, float max2, float sum2, const float *acc2,
								 int head_dim_v);

	/* x *= factor */
	void		(*scale) (float *x, int64_t n, float factor);

	/* see LlmkScan. Source: Dao and Gu 2024, arXiv 2405.21060. */
	void		(*ssm_scan) (const LlmkScan *scan);

	/* see LlmkSelective. Source: Gu and Dao 2023, arXiv 2312.00752. */
	void		(*selective_step) (const LlmkSelective *step);

	/* see LlmkDelta. Source: Yang et al. 2024, arXiv 2412.06464. */
	void		(*delta_scan) (const LlmkDelta *scan);
} LlmKernels;

/* CPU feature bits; cpu_features.c alone asks the processor */
#define LLMK_CPU_AVX2		(1u << 0)	/* AVX2, FMA, F16C, with the system saving YMM state */
#define LLMK_CPU_AVXVNNI	(1u << 1)
#define LLMK_CPU_AVX512		(1u << 2)	/* F, BW, DQ, VL, with the system saving ZMM state */
#define LLMK_CPU_AVX512VNNI	(1u << 3)

extern uint32_t llmk_cpu_features(void);

/* number of levels this build holds and level i, worst (generic) first */
extern int	llmk_level_count(void);
extern const LlmKernels *llmk_level(int i);

/* the best level for the features; or the one of that name, NULL if unknown or not possible here. name NULL or "auto": best. */
extern const LlmKernels *llmk_select(const char *name, uint32_t features);

/* bytes of a page of keys or values of one head; a multiple of LLMK_ALIGN */
extern size_t llmk_page_bytes(LlmKvType type, int64_t head_dim);

/* is the type packed byte by byte? To decode a block of these types costs as much as to multiply it with several tokens. */
static inline bool
llmk_is_raw(LlmType type)
{
	switch (type)
	{
		case LLM_TYPE_TQ1_0:
		case LLM_TYPE_IQ1_S:
		case LLM_TYPE_IQ1_M:
		case LLM_TYPE_IQ2_XXS:
		case LLM_TYPE_IQ2_XS:
		case LLM_TYPE_IQ2_S:
		case LLM_TYPE_IQ3_XXS:
		case LLM_TYPE_IQ3_S:
			return true;
		default:
			return false;
	}
}

/* bytes of one packed group of 8 rows; 0 if the type is not decoded or n_cols is no multiple of its block length */
extern size_t llmk_group_bytes(LlmType type, int64_t n_cols);

/* pack n_rows (1..8) consecutive rows, as the file holds them, into one group; missing rows become zeros */
extern void llmk_pack_group(LlmType type, int64_t n_cols, const void *rows, int n_rows, void *group);

/* elements of a row in file form to F32 (n a multiple of the block length); the reference for all kernels */
extern void llmk_dequantize(LlmType type, const void *blocks, int64_t n, float *out);

/* own transcendental functions, equal on every machine; errors below 2 units in the last place of the result type */
extern float llmk_expf(float x);
extern float llmk_tanhf(float x);
extern double llmk_exp(double x);
extern double llmk_log(double x);
extern double llmk_softplus(double x);	/* log(1 + exp(x)) */
extern void llmk_sincos(double x, double *sine, double *cosine);

/* IEEE half precision, round to nearest even */
extern float llmk_half_to_float(uint16_t h);
extern uint16_t llmk_float_to_half(float f);

#endif
