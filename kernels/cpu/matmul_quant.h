/*
 * matmul_quant.h: the matrix product with quantized weights, compiled once for each CPU level.
 *
 * The level's file includes a vector width (vec256.h, vec512.h) and a way to make integer sums (dot_maddubs.h,
 * dot_vnni.h) before this file. The numbers are those of matmul_generic.c: a lane is an output row, blocks of 32 columns
 * ascend, the first term of a block before the second, every output is one chain of fused multiply-adds.
 *
 * Order of work: a tile of up to TILE_TOKENS tokens; of its blocks as many as a panel holds; then all groups of rows. For
 * each group and block the weights are decoded into 8 registers, and each token's terms are added to its sums, which lie
 * in the first-level cache. So decoding is paid once per tile, and a term costs 8 byte multiplies and little else. One
 * token takes the same way, with its sums in a register and all its columns in one panel, and streams the weights.
 */
#ifndef LLMK_MATMUL_QUANT_H
#define LLMK_MATMUL_QUANT_H

#include <string.h>

#include "cpu/packed_formats.h"

#define TILE_TOKENS 16

/* the quads of a block from 4 vectors of nibbles */
VEC_INLINE void
decode_nibbles(const uint8_t *qs, size_t group_stride, vec_i *w)
{
	int			k;

	for (k = 0; k < 4; k++)
	{
		vec_i		both = vec_load(qs + 32 * k, group_stride);

		w[k] = vec_and(both, vec_set8(15));
		w[k + 4] = vec_and(vec_srl16(both, 4), vec_set8(15));
	}
}

/* add the fifth bits: bit k of each byte belongs to quad k and becomes its bit 4 */
VEC_INLINE void
decode_fifth_bits(const uint8_t *qh, size_t group_stride, vec_i *w)
{
	vec_i		bits = vec_load(qh, group_stride);
	int			k;

	for (k = 0; k < 8; k++)
	{
		vec_i		bit = k < 4 ? vec_sll16(bits, 4 - k) : vec_srl16(bits, k - 4);

		w[k] = vec_or(w[k], vec_and(bit, vec_set8(16)));
	}
}

/* add the upper two bits of Q6_K: bits 2i, 2i + 1 of vector v belong to quad 4v + i and become its bits 4 and 5 */
VEC_INLINE void
decode_upper_bits(const uint8_t *qh, size_t group_stride, vec_i *w)
{
	int			k;

	for (k = 0; k < 8; k++)
	{
		vec_i		bits = vec_load(qh + 32 * (k / 4), group_stride);
		int			i = k % 4;

		bits = i < 2 ? vec_sll16(bits, 4 - 2 * i) : vec_srl16(bits, 2 * i - 4);
		w[k] = vec_or(w[k], vec_and(bits, vec_set8(48)));
	}
}

/* one block of VEC_GROUPS groups, decoded; bytes stays in packed form */
typedef struct DecodedBlock
{
	vec_i		w[8];
	vec_i		scale[2];		/* Q6_K */
	vec_f		d;
	vec_f		m;				/* Q4_1, Q5_1 */
	const uint8_t *bytes;
} DecodedBlock;

/* decode block b (32 columns) of the groups at `group` */
VEC_INLINE void
decode_block(const LlmType type, const uint8_t *group, size_t group_stride, int64_t b, DecodedBlock *block)
{
	int			k;

	switch (type)
	{
		case LLM_TYPE_Q4_0:
			block->bytes = group + (size_t) b * sizeof(LlmkPackedQ4_0);
			decode_nibbles(block->bytes, group_stride, block->w);
			block->d = vec_load_f16(block->bytes + offsetof(LlmkPackedQ4_0, d), group_stride);
			break;
		case LLM_TYPE_Q4_1:
			block->bytes = group + (size_t) b * sizeof(LlmkPackedQ4_1);
			decode_nibbles(block->bytes, group_stride, block->w);
			block->d = vec_load_f16(block->bytes + offsetof(LlmkPackedQ4_1, d), group_stride);
			block->m = vec_load_f16(block->bytes + offsetof(LlmkPackedQ4_1, m), group_stride);
			break;
		case LLM_TYPE_Q5_0:
			block->bytes = group + (size_t) b * sizeof(LlmkPackedQ5_0);
			decode_nibbles(block->bytes, group_stride, block->w);
			decode_fifth_bits(block->bytes + offsetof(LlmkPackedQ5_0, qh), group_stride, block->w);
			block->d = vec_load_f16(block->bytes + offsetof(LlmkPackedQ5_0, d), group_stride);
			break;
		case LLM_TYPE_Q5_1:
			block->bytes = group + (size_t) b * sizeof(LlmkPackedQ5_1);
			decode_nibbles(block->bytes, group_stride, block->w);
			decode_fifth_bits(block->bytes + offsetof(LlmkPackedQ5_1, qh), group_stride, block->w);
			block->d = vec_load_f16(block->bytes + offsetof(LlmkPackedQ5_1, d), group_stride);
			block->m = vec_load_f16(block->bytes + offsetof(LlmkPackedQ5_1, m), group_stride);
			break;
		case LLM_TYPE_Q8_0:
			block->bytes = group + (size_t) b * sizeof(LlmkPackedQ8_0);
			for (k = 0; k < 8; k++)
				block->w[k] = dot_q8_0_weight(vec_load(block->bytes + 32 * k, group_stride));
			block->d = vec_load_f16(block->bytes + offsetof(LlmkPackedQ8_0, d), group_stride);
			break;
		default:				/* Q6_K */
			{
				const uint8_t *super = group + (size_t) (b / 8) * sizeof(LlmkPackedQ6_K);
				const uint8_t *scales = super + offsetof(LlmkPackedQ6_K, scales) + (size_t) (b % 8) * 2 * LLMK_ROWS;

				block->bytes = super + (size_t) (b % 8) * sizeof(LlmkPackedQ6_KPart);
				decode_nibbles(block->bytes, group_stride, block->w);
				decode_upper_bits(block->bytes + offsetof(LlmkPackedQ6_KPart, qh), group_stride, block->w);
				for (k = 0; k < 2; k++)
					block->scale[k] = dot_q6_k_scale(vec_load_i8(scales + k * LLMK_ROWS, group_stride));
				block->d = vec_load_f16(super + offsetof(LlmkPackedQ6_K, d), group_stride);
				break;
			}
	}
}

/* integer sums of one token's block */
VEC_INLINE vec_i
dot_block(const LlmType type, const DecodedBlock *block, size_t group_stride, const PanelTerm *p)
{
	if (type == LLM_TYPE_Q6_K)
		return dot_q6_k(block->w, block->scale, p);
	if (type == LLM_TYPE_Q8_0)
		return dot_q8_0(block->w, block->bytes, group_stride, p);
	return dot_nibbles(type, block->w, p);
}

/*
 * Activations of one tile of tokens, of as many blocks as fit. A token has one or two terms in a block; the terms of block b
 * end at end[b].
 */
typedef struct Panel
{
	int64_t		first_block;
	int64_t		n_blocks;
	int			end[PANEL_TERMS];
	_Alignas(64) PanelTerm terms[PANEL_TERMS];
} Panel;

/* a term of a block added to the sums of its token */
VEC_INLINE vec_f
add_term(const LlmType type, const DecodedBlock *block, size_t group_stride, const PanelTerm *p, vec_f sum)
{
	vec_f		isum = vec_to_f(dot_block(type, block, group_stride, p));

	sum = vec_fma(isum, vec_mul_f(block->d, vec_bcast_f(&p->d)), sum);
	if (type == LLM_TYPE_Q4_1 || type == LLM_TYPE_Q5_1)
		sum = vec_fma(block->m, vec_bcast_f(&p->m), sum);
	return sum;
}

/* quant_tile for a panel of one token: its sums stay in a register */
VEC_INLINE void
quant_one(const LlmType type, const uint8_t *group, size_t group_stride, const Panel *panel, float *acc)
{
	vec_f		sum = vec_load_acc(acc);
	int			i = 0;
	int64_t		b;

	for (b = 0; b < panel->n_blocks; b++)
	{
		DecodedBlock block;

		decode_block(type, group, group_stride, panel->first_block + b, &block);
		sum = add_term(type, &block, group_stride, &panel->terms[i++], sum);
		if (i < panel->end[b])
			sum = add_term(type, &block, group_stride, &panel->terms[i++], sum);
	}
	vec_store_acc(acc, sum);
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
		for (; i < panel->end[b]; i++)
		{
			const PanelTerm *p = &panel->terms[i];
			float	   *sums = acc + p->token * VEC_LANES;

			vec_store_acc(sums, add_term(type, &block, group_stride, p, vec_load_acc(sums)));
		}
	}
}

VEC_INLINE void
fill_term(const LlmType type, const LlmkTerm *term, int64_t at, int token, PanelTerm *p)
{
	const int16_t *s = term->s + 2 * at;

	memcpy(p->q, term->q + LLM_QK * at, LLM_QK);
	p->d = term->d[at];
	p->m = p->d * (float) (s[0] + s[1]);
	p->token = (uint32_t) token;
	dot_start(type, p, s);
}

/* lay out tokens [t0, t0 + n_tokens) from block b0 on: at least one block, as the panel holds more than two terms a token */
VEC_INLINE void
fill_panel(const LlmType type, const LlmkActs *acts, int64_t t0, int n_tokens, int64_t b0, Panel *panel)
{
	const int64_t row_blocks = acts->n_cols / LLM_QK;
	int			n = 0;
	int64_t		b;
	int			t;

	for (b = b0; b < row_blocks && n + 2 * n_tokens <= PANEL_TERMS; b++)
	{
		for (t = 0; t < n_tokens; t++)
			fill_term(type, &acts->term[0], (t0 + t) * row_blocks + b, t, &panel->terms[n++]);
		for (t = 0; t < n_tokens; t++)
			if (acts->term[1].d[(t0 + t) * row_blocks + b] != 0.0f)
				fill_term(type, &acts->term[1], (t0 + t) * row_blocks + b, t, &panel->terms[n++]);
		panel->end[b - b0] = n;
	}
	panel->first_block = b0;
	panel->n_blocks = b - b0;
}

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
					quant_one(type, w->data + (size_t) g * group_bytes, whole ? group_bytes : 0, &panel, acc);
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

static void
fill_quant(LlmKernels *k)
{
	k->matmul[LLM_TYPE_Q4_0] = llmk_matmul_Q4_0;
	k->matmul[LLM_TYPE_Q4_1] = llmk_matmul_Q4_1;
	k->matmul[LLM_TYPE_Q5_0] = llmk_matmul_Q5_0;
	k->matmul[LLM_TYPE_Q5_1] = llmk_matmul_Q5_1;
	k->matmul[LLM_TYPE_Q8_0] = llmk_matmul_Q8_0;
	k->matmul[LLM_TYPE_Q6_K] = llmk_matmul_Q6_K;
}

#endif
