/*
 * matmul_float.h: the matrix product with F32, F16 and BF16 weights, compiled once for each CPU level.
 *
 * The level's file includes a vector width (vec256.h, vec512.h) before this file. The numbers are those of
 * matmul_generic.c: a lane is an output row, every output is one ascending chain of fused multiply-adds over columns.
 *
 * The inner piece is a tile of nv vectors of rows by nt tokens whose sums stay in registers; tokens are shared evenly among
 * tiles, because a small tile has too few sums to hide the latency of a multiply-add. Few tokens (up to one tile) read the
 * packed weights directly, all columns in one go; one or two tokens take four vectors of rows at once. Many tokens go by blocks
 * of BLOCK_TOKENS and chunks of CHUNK_COLS columns: SWEEP_BLOCKS blocks of two vectors of rows take turns with a chunk of the
 * tokens, which comes to the second-level cache once for all of them. 16-bit weights of a chunk are widened once, by the first
 * tile while it multiplies, and stay in the nearest cache; sums of a block of rows are written out after the last chunk.
 * That changes no bit of a chain.
 */
#ifndef LLMK_MATMUL_FLOAT_H
#define LLMK_MATMUL_FLOAT_H

#include <string.h>

#include "kernels.h"

#define BLOCK_TOKENS 48			/* a multiple of VEC_TILE_TOKENS */
#define CHUNK_COLS (3072 / VEC_LANES)
#define MAX_VECTORS 4
#define BLOCK_VECTORS 2
#define BLOCK_ROWS (BLOCK_VECTORS * VEC_LANES)
#define SWEEP_BLOCKS 8			/* their sums are 24 KB */
#define SWEEP_GROUPS (SWEEP_BLOCKS * BLOCK_VECTORS * VEC_GROUPS)
#define SWEEP_SUMS (SWEEP_BLOCKS + 1)	/* the last block may be two of one vector */
#define WIDE_STRIDE (CHUNK_COLS * LLMK_ROWS)	/* floats from group to group of a widened chunk */

/* where a tile finds its weights: vector v covers VEC_GROUPS groups and begins v * vector_stride bytes from the first */
typedef struct TileWeights
{
	const uint8_t *first;
	size_t		vector_stride;
	size_t		group_stride;
} TileWeights;

/* where the sums of a tile rest: n_rows rows of out, never written past */
typedef struct TileOut
{
	float	   *out;			/* first row, first token */
	int64_t		ld;
	int64_t		n_rows;
} TileOut;

/* 8 rows of one column of each group, from c columns after p */
VEC_INLINE vec_f
load_column(const LlmType type, const uint8_t *p, size_t group_stride, int64_t c)
{
	switch (type)
	{
		case LLM_TYPE_F32:
			return vec_load_f32(p + (size_t) c * LLMK_ROWS * 4, group_stride);
		case LLM_TYPE_F16:
			return vec_load_f16(p + (size_t) c * LLMK_ROWS * 2, group_stride);
		default:				/* BF16 */
			return vec_load_bf16(p + (size_t) c * LLMK_ROWS * 2, group_stride);
	}
}

/* the first n lanes (all if n is larger, none if it is not positive); the others are 0, or not written */
static __attribute__((noinline)) vec_f
load_part(const float *p, int64_t n)
{
	_Alignas(64) float lanes[VEC_LANES] = {0};

	if (n > 0)
		memcpy(lanes, p, (size_t) (n < VEC_LANES ? n : VEC_LANES) * sizeof(float));
	return vec_load_acc(lanes);
}

static __attribute__((noinline)) void
store_part(float *p, int64_t n, vec_f a)
{
	_Alignas(64) float lanes[VEC_LANES];

	vec_store_acc(lanes, a);
	if (n > 0)
		memcpy(p, lanes, (size_t) (n < VEC_LANES ? n : VEC_LANES) * sizeof(float));
}

/* sums of vector v and token t; whole: all rows of the tile exist */
VEC_INLINE vec_f
load_sums(const TileOut *o, int v, int t, bool whole)
{
	const float *src = o->out + t * o->ld + v * VEC_LANES;

	return whole ? vec_load_acc(src) : load_part(src, o->n_rows - v * VEC_LANES);
}

VEC_INLINE void
store_sums(const TileOut *o, int v, int t, bool whole, vec_f sums)
{
	float	   *dst = o->out + t * o->ld + v * VEC_LANES;

	if (whole)
		vec_store_acc(dst, sums);
	else
		store_part(dst, o->n_rows - v * VEC_LANES, sums);
}

/*
 * Add n_cols columns to a tile of nv vectors and nt tokens (constants). Weights and x (nt, ld_x) start at the same column.
 * resume: go on from the sums in out, else from 0. wide: where the weights are left as F32 groups, WIDE_STRIDE apart; NULL: not.
 */
VEC_INLINE void
float_tile(const LlmType type, const int nv, const int nt, const TileWeights *w, int64_t n_cols, const float *x,
		   int64_t ld_x, bool resume, const TileOut *o, float *wide)
{
	const bool	whole = o->n_rows >= nv * VEC_LANES;
	vec_f		sum[MAX_VECTORS][VEC_TILE_TOKENS];
	int64_t		c;
	int			v;
	int			t;

	LLMK_UNROLL
	for (v = 0; v < nv; v++)
	{
		LLMK_UNROLL
		for (t = 0; t < nt; t++)
			sum[v][t] = resume ? load_sums(o, v, t, whole) : vec_zero_f();
	}
	for (c = 0; c < n_cols; c++)
	{
		vec_f		column[MAX_VECTORS];

		LLMK_UNROLL
		for (v = 0; v < nv; v++)
		{
			column[v] = load_column(type, w->first + (size_t) v * w->vector_stride, w->group_stride, c);
			if (wide)
				vec_store_groups(wide + v * VEC_GROUPS * WIDE_STRIDE + c * LLMK_ROWS, WIDE_STRIDE * sizeof(float), column[v]);
		}
		LLMK_UNROLL
		for (t = 0; t < nt; t++)
		{
			vec_f		xt = vec_bcast_f(x + t * ld_x + c);

			LLMK_UNROLL
			for (v = 0; v < nv; v++)
				sum[v][t] = vec_fma(column[v], xt, sum[v][t]);
		}
	}
	LLMK_UNROLL
	for (v = 0; v < nv; v++)
	{
		LLMK_UNROLL
		for (t = 0; t < nt; t++)
			store_sums(o, v, t, whole, sum[v][t]);
	}
}

/* float_tile for any nt in 1 .. VEC_TILE_TOKENS and one type and nv, with its own name; float_wide_…: with a chunk left as F32 */
typedef void (*FloatTileFn) (int nt, const TileWeights *w, int64_t n_cols, const float *x, int64_t ld_x, bool resume,
							 const TileOut *o, float *wide);

#define TILE_CASE(type, nv, nt, wide) \
	case nt: \
		float_tile(LLM_TYPE_##type, nv, nt, w, n_cols, x, ld_x, resume, o, wide); \
		break;

#if VEC_TILE_TOKENS == 8
#define TILE_CASES_ABOVE_6(type, nv, wide) TILE_CASE(type, nv, 7, wide) TILE_CASE(type, nv, 8, wide)
#else
#define TILE_CASES_ABOVE_6(type, nv, wide)
#endif

#define TILE_FUNCTION(name, type, nv, to) \
	static void \
	name##_##type##_##nv(int nt, const TileWeights *w, int64_t n_cols, const float *x, int64_t ld_x, bool resume, \
						 const TileOut *o, float *wide) \
	{ \
		(void) wide; \
		switch (nt) \
		{ \
			TILE_CASE(type, nv, 1, to) \
			TILE_CASE(type, nv, 2, to) \
			TILE_CASE(type, nv, 3, to) \
			TILE_CASE(type, nv, 4, to) \
			TILE_CASE(type, nv, 5, to) \
			TILE_CASE(type, nv, 6, to) \
			TILE_CASES_ABOVE_6(type, nv, to) \
			default: \
				break; \
		} \
	}

/* four vectors: one token or two */
#define TILE_FUNCTIONS(type) \
	TILE_FUNCTION(float_tile, type, 1, NULL) \
	TILE_FUNCTION(float_tile, type, 2, NULL) \
	static void \
	float_tile_##type##_4(int nt, const TileWeights *w, int64_t n_cols, const float *x, int64_t ld_x, bool resume, \
						  const TileOut *o, float *wide) \
	{ \
		(void) wide; \
		if (nt == 1) \
			float_tile(LLM_TYPE_##type, 4, 1, w, n_cols, x, ld_x, resume, o, NULL); \
		else \
			float_tile(LLM_TYPE_##type, 4, 2, w, n_cols, x, ld_x, resume, o, NULL); \
	}

TILE_FUNCTIONS(F32)
TILE_FUNCTIONS(F16)
TILE_FUNCTIONS(BF16)
TILE_FUNCTION(float_wide, F16, 1, wide)
TILE_FUNCTION(float_wide, F16, 2, wide)
TILE_FUNCTION(float_wide, BF16, 1, wide)
TILE_FUNCTION(float_wide, BF16, 2, wide)

/* by type, then by nv 1, 2, 4 */
static const FloatTileFn *
tiles_of(LlmType type)
{
	static const FloatTileFn f32[3] = {float_tile_F32_1, float_tile_F32_2, float_tile_F32_4};
	static const FloatTileFn f16[3] = {float_tile_F16_1, float_tile_F16_2, float_tile_F16_4};
	static const FloatTileFn bf16[3] = {float_tile_BF16_1, float_tile_BF16_2, float_tile_BF16_4};

	return type == LLM_TYPE_F32 ? f32 : type == LLM_TYPE_F16 ? f16 : bf16;
}

/* the first tile of a chunk, by nv 1, 2 */
static const FloatTileFn *
first_tiles_of(LlmType type)
{
	static const FloatTileFn f32[2] = {float_tile_F32_1, float_tile_F32_2};
	static const FloatTileFn f16[2] = {float_wide_F16_1, float_wide_F16_2};
	static const FloatTileFn bf16[2] = {float_wide_BF16_1, float_wide_BF16_2};

	return type == LLM_TYPE_F32 ? f32 : type == LLM_TYPE_F16 ? f16 : bf16;
}

/*
 * The next tile's share of groups [g, group_end): how many vectors (at most most_vectors of 4, 2, 1), and where weights
 * and sums are. A last single group fills all lanes of a wider vector by itself, and only its own rows are written.
 */
static inline int
next_vectors(const LlmkMatrix *w, int64_t g, int64_t group_end, int most_vectors, float *out, int64_t ld_out,
			 TileWeights *weights, TileOut *o)
{
	size_t		group_bytes = llmk_group_bytes(w->type, w->n_cols);
	int64_t		left = group_end - g;
	int64_t		last_row = group_end * LLMK_ROWS < w->n_rows ? group_end * LLMK_ROWS : w->n_rows;
	int			nv = most_vectors;

	while (nv > 1 && (int64_t) nv * VEC_GROUPS > left)
		nv /= 2;
	weights->first = w->data + (size_t) g * group_bytes;
	weights->group_stride = left >= VEC_GROUPS ? group_bytes : 0;
	weights->vector_stride = VEC_GROUPS * group_bytes;
	o->out = out + g * LLMK_ROWS;
	o->ld = ld_out;
	o->n_rows = last_row - g * LLMK_ROWS;
	return nv;
}

/* up to one tile of tokens: straight from the packed weights */
static void
float_few(const LlmkMatrix *w, const LlmkActs *acts, int64_t group_begin, int64_t group_end, float *out, int64_t ld_out)
{
	const FloatTileFn *tiles = tiles_of(w->type);
	const int	nt = (int) acts->n_tokens;
	const int	most_vectors = nt <= 2 ? MAX_VECTORS : BLOCK_VECTORS;
	int64_t		g = group_begin;

	while (g < group_end)
	{
		TileWeights weights;
		TileOut		o;
		int			nv = next_vectors(w, g, group_end, most_vectors, out, ld_out, &weights, &o);

		tiles[nv / 2] (nt, &weights, w->n_cols, acts->x, acts->ld_x, false, &o, NULL);
		g += nv * VEC_GROUPS;
	}
}

/* the n tokens of a block, n_cols columns of nv vectors of rows: x starts at the first column, w too; sums (n, BLOCK_ROWS) */
static void
float_chunk(LlmType type, int nv, const TileWeights *w, int64_t n_cols, const float *x, int64_t ld_x, int n, bool resume,
			float *sums)
{
	_Alignas(64) float wide[BLOCK_ROWS * CHUNK_COLS];
	const TileWeights widened = {(const uint8_t *) wide, VEC_GROUPS * WIDE_STRIDE * sizeof(float), WIDE_STRIDE * sizeof(float)};
	const int	n_tiles = (n + VEC_TILE_TOKENS - 1) / VEC_TILE_TOKENS;
	FloatTileFn tile = first_tiles_of(type)[nv / 2];
	int			t = 0;

	for (int i = 0; i < n_tiles; i++)
	{
		const int	nt = n / n_tiles + (i < n % n_tiles);
		const TileOut o = {sums + t * BLOCK_ROWS, BLOCK_ROWS, BLOCK_ROWS};

		tile(nt, i > 0 && type != LLM_TYPE_F32 ? &widened : w, n_cols, x + t * ld_x, ld_x, resume, &o, wide);
		tile = tiles_of(LLM_TYPE_F32)[nv / 2];
		t += nt;
	}
}

/* more tokens than a tile: by blocks of tokens, some rows, and chunks of columns */
static void
float_many(const LlmkMatrix *w, const LlmkActs *acts, int64_t group_begin, int64_t group_end, float *out, int64_t ld_out)
{
	const size_t column_bytes = LLMK_ROWS * (w->type == LLM_TYPE_F32 ? sizeof(float) : sizeof(uint16_t));
	_Alignas(64) float sums[SWEEP_SUMS][BLOCK_TOKENS * BLOCK_ROWS];

	for (int64_t t0 = 0; t0 < acts->n_tokens; t0 += BLOCK_TOKENS)
	{
		const int	n = acts->n_tokens - t0 < BLOCK_TOKENS ? (int) (acts->n_tokens - t0) : BLOCK_TOKENS;
		const float *x = acts->x + t0 * acts->ld_x;

		for (int64_t sweep = group_begin; sweep < group_end; sweep += SWEEP_GROUPS)
		{
			const int64_t end = sweep + SWEEP_GROUPS < group_end ? sweep + SWEEP_GROUPS : group_end;
			TileWeights weights;
			TileOut		o;
			int			nv;

			for (int64_t c = 0; c < w->n_cols; c += CHUNK_COLS)
			{
				const int64_t n_cols = w->n_cols - c < CHUNK_COLS ? w->n_cols - c : CHUNK_COLS;

				for (int64_t g = sweep, i = 0; g < end; g += nv * VEC_GROUPS, i++)
				{
					nv = next_vectors(w, g, end, BLOCK_VECTORS, out, ld_out, &weights, &o);
					weights.first += (size_t) c * column_bytes;
					float_chunk(w->type, nv, &weights, n_cols, x + c, acts->ld_x, n, c > 0, sums[i]);
				}
			}
			for (int64_t g = sweep, i = 0; g < end; g += nv * VEC_GROUPS, i++)
			{
				nv = next_vectors(w, g, end, BLOCK_VECTORS, out + t0 * ld_out, ld_out, &weights, &o);
				for (int t = 0; t < n; t++)
				{
					for (int v = 0; v < nv; v++)
						store_sums(&o, v, t, o.n_rows >= nv * VEC_LANES, vec_load_acc(sums[i] + t * BLOCK_ROWS + v * VEC_LANES));
				}
			}
		}
	}
}

/*
 * llmk_matmul_float: see LlmkMatmulFn.
 */
static void
llmk_matmul_float(const LlmkMatrix *w, const LlmkActs *acts, int64_t group_begin, int64_t group_end, float *out,
				  int64_t ld_out)
{
	if (acts->n_tokens <= VEC_TILE_TOKENS)
		float_few(w, acts, group_begin, group_end, out, ld_out);
	else
		float_many(w, acts, group_begin, group_end, out, ld_out);
}

static void
fill_float(LlmKernels *k)
{
	k->matmul[LLM_TYPE_F32] = llmk_matmul_float;
	k->matmul[LLM_TYPE_F16] = llmk_matmul_float;
	k->matmul[LLM_TYPE_BF16] = llmk_matmul_float;
}

#endif
