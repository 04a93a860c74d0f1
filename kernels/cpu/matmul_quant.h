/*
 * matmul_quant.h: the matrix product with quantized weights, compiled once for each CPU level.
 *
 * The level's file includes a vector width (vec256.h, vec512.h) and a way to make integer sums (dot_maddubs.h,
 * dot_vnni.h) before this file. The numbers are those of matmul_generic.c: a lane is an output row, blocks of 32 columns
 * ascend, two terms of a block are joined as integers, every output is one chain of fused multiply-adds.
 *
 * Order of work: a tile of up to TILE_TOKENS tokens; of its blocks as many as a panel holds; then all groups of rows. For
 * each group and block the weights are decoded into 8 registers, and each token's terms are added to its sums, which lie
 * in the first-level cache. So decoding is paid once per tile, and a term costs 8 byte multiplies and little else. One
 * token takes the same way, with its sums in a register and all its columns in one panel, and streams the weights. A level
 * that defines LLMK_SPREAD has other ways for more than one token (matmul_spread.h, matmul_pairs.h), and for one (matmul_one.h).
 */
#ifndef LLMK_MATMUL_QUANT_H
#define LLMK_MATMUL_QUANT_H

#include <string.h>

#include "cpu/matmul_decode.h"

#define TILE_TOKENS 16
#define AHEAD_BYTES 2048

/* integer sums of one token's block */
VEC_INLINE vec_i
dot_block(const LlmType type, const DecodedBlock *block, size_t group_stride, const PanelTerm *p)
{
	if (dot_has_halves(type))
	{
		vec_i		half[2];

		dot_halves(type, block->w, block->scale, p, half);
		return vec_add32(half[0], half[1]);
	}
	if (dot_is_iq4(type))
		return dot_iq4(block->w, p);
	if (type == LLM_TYPE_Q8_0)
		return dot_q8_0(block->w, block->bytes, group_stride, p);
	return dot_nibbles(type, block->w, p);
}

/*
 * Activations of one tile of tokens, of as many blocks as fit. The terms of block b end at end[b], those of tokens with one at
 * end_one[b], as it would be hard to foresee how many terms a token has.
 */
typedef struct Panel
{
	int64_t		first_block;
	int64_t		n_blocks;
	int			end_one[PANEL_TERMS];
	int			end[PANEL_TERMS];
	_Alignas(64) PanelTerm terms[PANEL_TERMS];
} Panel;

/* n_terms terms, p and p + 1 if two, of NVFP4, which has a float scale for each half of the block */
VEC_INLINE vec_f
add_two_scales(const LlmType type, const int n_terms, const DecodedBlock *block, const PanelTerm *p, vec_f sum)
{
	const vec_f a_d = vec_bcast_f(&p[n_terms - 1].d);
	vec_i		half[2];
	vec_i		second[2];

	dot_halves(type, block->w, block->scale, p, half);
	if (n_terms == 2)
		dot_halves(type, block->w, block->scale, p + 1, second);
	for (int h = 0; h < 2; h++)
		sum = vec_fma(vec_to_f(n_terms == 2 ? dot_join(half[h], second[h]) : half[h]),
					  vec_mul_f(h == 0 ? block->d : block->d1, a_d), sum);
	return sum;
}

/* minima of 16 columns times the sums of q over them */
VEC_INLINE vec_i
dot_minima(const DecodedBlock *block, const PanelTerm *p)
{
	return vec_madd(block->min, vec_bcast(&p->start[0]));
}

/* one step of a token's sums: a term, or both terms joined */
VEC_INLINE vec_f
add_step(const LlmType type, const int n_terms, const DecodedBlock *block, size_t group_stride, const PanelTerm *p, vec_f sum)
{
	const PanelTerm *last = p + n_terms - 1;
	const vec_f a_d = vec_bcast_f(&last->d);
	vec_i		isum;

	if (type == LLM_TYPE_NVFP4)
		return add_two_scales(type, n_terms, block, p, sum);
	isum = dot_block(type, block, group_stride, p);
	if (n_terms == 2)
		isum = dot_join(isum, dot_block(type, block, group_stride, last));
	sum = vec_fma(vec_to_f(isum), vec_mul_f(block->d, a_d), sum);
	if (type == LLM_TYPE_Q4_1 || type == LLM_TYPE_Q5_1 || type == LLM_TYPE_Q4_K || type == LLM_TYPE_Q5_K)
		sum = vec_fma(block->m, vec_bcast_f(&last->m), sum);
	if (type == LLM_TYPE_Q2_K)
	{
		isum = n_terms == 2 ? dot_join(dot_minima(block, p), dot_minima(block, last)) : dot_minima(block, p);
		sum = vec_fma(vec_to_f(isum), vec_mul_f(block->m, a_d), sum);
	}
	return sum;
}

/* the n_terms terms of a block added to the sums of their token; n_terms is a constant */
VEC_INLINE vec_f
add_terms(const LlmType type, const int n_terms, const DecodedBlock *block, size_t group_stride, const PanelTerm *p, vec_f sum)
{
	if (n_terms == 1 || llmk_terms_join(type))
		return add_step(type, n_terms, block, group_stride, p, sum);
	sum = add_step(type, 1, block, group_stride, p, sum);
	return add_step(type, 1, block, group_stride, p + 1, sum);
}

VEC_INLINE void
prefetch(const uint8_t *p, size_t n_bytes)
{
	size_t		i;

	for (i = 0; i < n_bytes; i += 64)
		__builtin_prefetch(p + i);
}

/*
 * One token uses weights as fast as memory gives them. They are read in order, but the processor's own reading ahead ends with
 * a page of 4 KB, so they are asked for AHEAD_BYTES early. Here for block b of n_groups groups that are read together; after
 * the end of a group comes the one that is n_groups further. What lies behind the matrix is asked for in vain.
 */
VEC_INLINE void
prefetch_ahead(const uint8_t *group, size_t group_bytes, int n_groups, int64_t b, size_t block_bytes)
{
	size_t		ahead = (size_t) b * block_bytes + AHEAD_BYTES;
	int			g;

	if (ahead >= group_bytes)
		ahead += group_bytes * (size_t) (n_groups - 1);
	for (g = 0; g < n_groups; g++)
		prefetch(group + (size_t) g * group_bytes + ahead, block_bytes);
}

/* quant_tile for a panel of one token: its sums stay in a register */
VEC_INLINE void
quant_one(const LlmType type, const uint8_t *group, size_t group_bytes, size_t group_stride, size_t block_bytes,
		  const Panel *panel, float *acc)
{
	vec_f		sum = vec_load_acc(acc);
	KScales		scales;
	int			i = 0;
	int64_t		b;

	for (b = 0; b < panel->n_blocks; b++)
	{
		const int64_t at = panel->first_block + b;
		DecodedBlock block;

		prefetch_ahead(group, group_bytes, group_stride == 0 ? 1 : VEC_GROUPS, at, block_bytes);
		decode_block(type, group, group_stride, at, &block);
		if (type == LLM_TYPE_Q4_K || type == LLM_TYPE_Q5_K)
		{
			/* a super-block's scales at once; those of decode_block are not used, so the compiler leaves them out */
			if (b == 0 || at % 8 == 0)
				decode_k_scales(type, group + (size_t) (at / 8) * llmk_code_block_bytes(llmk_code_layout(type)), group_stride,
								&scales);
			use_k_scales(&scales, (int) (at % 8), &block);
		}
		if (i < panel->end_one[b])
			sum = add_terms(type, 1, &block, group_stride, &panel->terms[i], sum);
		else
			sum = add_terms(type, 2, &block, group_stride, &panel->terms[i], sum);
		i = panel->end[b];
	}
	vec_store_acc(acc, sum);
}

/* add n_terms terms to the sums of their token among those of all tokens */
VEC_INLINE void
add_to_token(const LlmType type, const int n_terms, const DecodedBlock *block, size_t group_stride, const PanelTerm *p, float *acc)
{
	float	   *sums = acc + p->token * VEC_LANES;

	vec_store_acc(sums, add_terms(type, n_terms, block, group_stride, p, vec_load_acc(sums)));
}

/* add the panel's blocks of VEC_GROUPS groups to the sums acc (n_tokens, VEC_LANES) */
VEC_INLINE void
quant_tile(const LlmType type, const uint8_t *group, size_t group_stride, const Panel *panel, float *acc)
{
	int			i = 0;
	int64_t		b;

	for (b = 0; b < panel->n_blocks; b++)
	{
		DecodedBlock block;

		decode_block(type, group, group_stride, panel->first_block + b, &block);
		for (; i < panel->end_one[b]; i++)
			add_to_token(type, 1, &block, group_stride, &panel->terms[i], acc);
		for (; i < panel->end[b]; i += 2)
			add_to_token(type, 2, &block, group_stride, &panel->terms[i], acc);
	}
}

/* d times the sum of block `at`, if its last term is term i */
VEC_INLINE float
act_sum(const LlmkActs *acts, int i, int64_t at)
{
	const int16_t *first = acts->term[0].s + 2 * at;
	const int16_t *last = acts->term[i].s + 2 * at;
	const int	sum = last[0] + last[1] + (i > 0 ? LLMK_TERM_RATIO * (first[0] + first[1]) : 0);

	return acts->term[i].d[at] * (float) sum;
}

/* term i of block `at` */
VEC_INLINE void
fill_term(const LlmType type, const LlmkActs *acts, int i, int64_t at, int token, PanelTerm *p)
{
	memcpy(p->q, acts->term[i].q + LLM_QK * at, LLM_QK);
	p->d = acts->term[i].d[at];
	p->m = act_sum(acts, i, at);
	p->token = (uint32_t) token;
	dot_start(type, p->q, acts->term[i].s + 2 * at, p->start);
}

/*
 * Tokens 0 .. n_tokens - 1 from t0 on by how many terms they have in block b: those with one, whose number is returned, then
 * those with two. order has room for one more. Without a branch, which could not be foreseen.
 */
VEC_INLINE int
order_tokens(const LlmkActs *acts, int64_t t0, int n_tokens, int64_t b, int *order)
{
	const int64_t row_blocks = acts->n_cols / LLM_QK;
	int			two[TILE_TOKENS + 1];
	int			n_one = 0;
	int			n_two = 0;

	for (int t = 0; t < n_tokens; t++)
	{
		const bool	second = acts->term[1].d[(t0 + t) * row_blocks + b] != 0.0f;

		order[n_one] = t;
		two[n_two] = t;
		n_one += !second;
		n_two += second;
	}
	memcpy(order + n_one, two, (size_t) n_two * sizeof(int));
	return n_one;
}

/* lay out tokens [t0, t0 + n_tokens) from block b0 on: at least one block, as the panel holds more than two terms a token */
VEC_INLINE void
fill_panel(const LlmType type, const LlmkActs *acts, int64_t t0, int n_tokens, int64_t b0, Panel *panel)
{
	const int64_t row_blocks = acts->n_cols / LLM_QK;
	int			n = 0;
	int64_t		b;

	for (b = b0; b < row_blocks && n + 2 * n_tokens <= PANEL_TERMS; b++)
	{
		int			order[TILE_TOKENS + 1];
		const int	n_one = order_tokens(acts, t0, n_tokens, b, order);

		panel->end_one[b - b0] = n + n_one;
		for (int j = 0; j < n_tokens; j++)
			for (int i = 0; i < (j < n_one ? 1 : 2); i++)
				fill_term(type, acts, i, (t0 + order[j]) * row_blocks + b, order[j], &panel->terms[n++]);
		panel->end[b - b0] = n;
	}
	panel->first_block = b0;
	panel->n_blocks = b - b0;
}

#ifdef LLMK_SPREAD
#include "cpu/matmul_spread.h"
#include "cpu/decode_grids.h"
#include "cpu/matmul_pairs.h"
#include "cpu/matmul_one.h"
#endif

/*
 * matmul_quant: see LlmkMatmulFn. type is a constant, so that a copy is compiled for each.
 */
VEC_INLINE void
matmul_quant(const LlmType type, const LlmkMatrix *w, const LlmkActs *acts, int64_t group_begin, int64_t group_end,
			 float *out, int64_t ld_out)
{
	const size_t group_bytes = llmk_group_bytes(type, w->n_cols);
	const int64_t n_blocks = w->n_cols / LLM_QK;
	Panel		panel;
	_Alignas(64) float acc[TILE_TOKENS * VEC_LANES];
	int64_t		t0;

#ifdef LLMK_SPREAD
	if (acts->n_tokens >= SPREAD_MIN_TOKENS)
	{
		if (pairs_has(type, acts->n_tokens))
			matmul_pairs(type, w, acts, group_begin, group_end, out, ld_out);
		else
			matmul_spread(type, w, acts, group_begin, group_end, out, ld_out);
		return;
	}
	if (one_has(type))
	{
		matmul_one(type, w, acts, group_begin, group_end, out);
		return;
	}
#endif
	for (t0 = 0; t0 < acts->n_tokens; t0 += TILE_TOKENS)
	{
		const int	n = acts->n_tokens - t0 < TILE_TOKENS ? (int) (acts->n_tokens - t0) : TILE_TOKENS;
		int64_t		b0;

		for (b0 = 0; b0 < n_blocks; b0 += panel.n_blocks)
		{
			int64_t		g;

			fill_panel(type, acts, t0, n, b0, &panel);
			for (g = group_begin; g < group_end; g += VEC_GROUPS)
			{
				/* a last single group fills all lanes of a wider vector by itself, and only its own are written */
				const bool	whole = g + VEC_GROUPS <= group_end;
				const int64_t row = g * LLMK_ROWS;
				int64_t		n_rows = whole ? VEC_LANES : LLMK_ROWS;
				int			t;

				n_rows = w->n_rows - row < n_rows ? w->n_rows - row : n_rows;
				memset(acc, 0, (size_t) n * VEC_LANES * sizeof(float));
				if (b0 > 0)
					for (t = 0; t < n; t++)
						memcpy(acc + t * VEC_LANES, out + (t0 + t) * ld_out + row, (size_t) n_rows * sizeof(float));
				if (n == 1)
					quant_one(type, w->data + (size_t) g * group_bytes, group_bytes, whole ? group_bytes : 0,
							  group_bytes / (size_t) n_blocks, &panel, acc);
				else
					quant_tile(type, w->data + (size_t) g * group_bytes, whole ? group_bytes : 0, &panel, acc);
				for (t = 0; t < n; t++)
					memcpy(out + (t0 + t) * ld_out + row, acc + t * VEC_LANES, (size_t) n_rows * sizeof(float));
			}
		}
	}
}

/* the functions of the table, and the part of the level's fill function that sets them */
#define QUANT_FUNCTION(type) \
	static void \
	llmk_matmul_##type(const LlmkMatrix *w, const LlmkActs *acts, int64_t group_begin, int64_t group_end, float *out, \
					   int64_t ld_out) \
	{ \
		matmul_quant(LLM_TYPE_##type, w, acts, group_begin, group_end, out, ld_out); \
	}

QUANT_FUNCTION(Q4_0)
QUANT_FUNCTION(Q4_1)
QUANT_FUNCTION(Q5_0)
QUANT_FUNCTION(Q5_1)
QUANT_FUNCTION(Q8_0)
QUANT_FUNCTION(Q6_K)
QUANT_FUNCTION(Q2_K)
QUANT_FUNCTION(Q3_K)
QUANT_FUNCTION(Q4_K)
QUANT_FUNCTION(Q5_K)
QUANT_FUNCTION(IQ4_NL)
QUANT_FUNCTION(IQ4_XS)
QUANT_FUNCTION(MXFP4)
QUANT_FUNCTION(NVFP4)
QUANT_FUNCTION(Q1_0)
QUANT_FUNCTION(Q2_0)
QUANT_FUNCTION(TQ2_0)

static void
fill_quant(LlmKernels *k)
{
	k->matmul[LLM_TYPE_Q4_0] = llmk_matmul_Q4_0;
	k->matmul[LLM_TYPE_Q4_1] = llmk_matmul_Q4_1;
	k->matmul[LLM_TYPE_Q5_0] = llmk_matmul_Q5_0;
	k->matmul[LLM_TYPE_Q5_1] = llmk_matmul_Q5_1;
	k->matmul[LLM_TYPE_Q8_0] = llmk_matmul_Q8_0;
	k->matmul[LLM_TYPE_Q6_K] = llmk_matmul_Q6_K;
	k->matmul[LLM_TYPE_Q2_K] = llmk_matmul_Q2_K;
	k->matmul[LLM_TYPE_Q3_K] = llmk_matmul_Q3_K;
	k->matmul[LLM_TYPE_Q4_K] = llmk_matmul_Q4_K;
	k->matmul[LLM_TYPE_Q5_K] = llmk_matmul_Q5_K;
	k->matmul[LLM_TYPE_IQ4_NL] = llmk_matmul_IQ4_NL;
	k->matmul[LLM_TYPE_IQ4_XS] = llmk_matmul_IQ4_XS;
	k->matmul[LLM_TYPE_MXFP4] = llmk_matmul_MXFP4;
	k->matmul[LLM_TYPE_NVFP4] = llmk_matmul_NVFP4;
	k->matmul[LLM_TYPE_Q1_0] = llmk_matmul_Q1_0;
	k->matmul[LLM_TYPE_Q2_0] = llmk_matmul_Q2_0;
	k->matmul[LLM_TYPE_TQ2_0] = llmk_matmul_TQ2_0;
}

#endif
