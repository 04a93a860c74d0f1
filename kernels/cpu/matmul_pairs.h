/*
 * matmul_pairs.h: quantized products of several tokens with 16-bit numbers in 256-bit registers; part of matmul_quant.h.
 *
 * A multiply adds two products of 16-bit numbers into a 32-bit lane, so weights of 8 bits need no care for their signs, whole-number
 * scales can be part of a weight, and both terms of a block of activations are one number: a block costs 16 multiplies and 16
 * additions whatever it has. Byte-pair multiplies (matmul_spread.h) take half of that where weights are small and unsigned, and 34
 * for a term where they are not. So here are the types of 8-bit numbers, of tables and of grids.
 *
 * Order of work: a tile of tokens; of its blocks as many as a panel holds; then all groups of rows. A group's block is decoded to
 * memory once for the tile, and multiplied with 4 tokens at a time: weights are loaded once for these, and activations are
 * loaded into all lanes, which takes no vector unit. Everything that a block needs stays in the first-level cache.
 */
#ifndef LLMK_MATMUL_PAIRS_H
#define LLMK_MATMUL_PAIRS_H

#define PAIR_TOKENS 32			/* of a tile */
#define PAIR_ACTS 256			/* blocks of tokens in a panel: 16 KB */
#define PAIR_BLOCKS 16			/* at most; like the least that fits, a multiple of the parts of a super-block */

_Static_assert(VEC_GROUPS == 1, "a vector is one group");
_Static_assert(PAIR_ACTS / PAIR_TOKENS % 8 == 0 && PAIR_BLOCKS % 8 == 0, "panels hold whole super-blocks");

/*
 * One block of a group. The multiply wants pairs of columns side by side; which ones they are is of no matter if activations have
 * them too: pair k is columns 4k and 4k + 2, pair 8 + k columns 4k + 1 and 4k + 3, as quads of bytes become 16-bit numbers so.
 */
typedef struct PairWeights
{
	_Alignas(64) int16_t w[LLM_QK / 2][LLMK_ROWS][2];
	float		d[LLMK_ROWS];
} PairWeights;

/* activations of a tile, of some blocks: first those of the first block of all tokens */
typedef struct PairPanel
{
	_Alignas(64) int16_t a[PAIR_ACTS][LLM_QK];
	float		d[PAIR_ACTS];
	int64_t		first_block;
	int64_t		n_blocks;
	int			n_tokens;
} PairPanel;

/* even and odd bytes of 8 quads as 16-bit numbers */
VEC_INLINE void
pair_split(vec_i quads, vec_i *even, vec_i *odd)
{
	*even = vec_sra16(vec_sll16(quads, 8), 8);
	*odd = vec_sra16(quads, 8);
}

/* block `at` of the activations; without a branch on the second term, which could not be foreseen */
VEC_INLINE void
pair_acts(const LlmkActs *acts, int64_t at, int16_t *a, float *d)
{
	const bool	two = acts->term[1].d[at] != 0.0f;
	const vec_i ratio = vec_set16(two ? LLMK_TERM_RATIO : 1);
	const vec_i has_rest = vec_set16(two ? -1 : 0);
	vec_i		q[2];
	vec_i		rest[2];

	pair_split(vec_load(acts->term[0].q + LLM_QK * at, 0), &q[0], &q[1]);
	pair_split(vec_load(acts->term[1].q + LLM_QK * at, 0), &rest[0], &rest[1]);
	for (int i = 0; i < 2; i++)
		vec_store(a + 16 * i, vec_add16(vec_mul16(q[i], ratio), vec_and(rest[i], has_rest)));
	*d = acts->term[two].d[at];
}

/* lay out the next blocks of tokens [t0, t0 + panel->n_tokens), from panel->first_block on */
static void
fill_pairs(const LlmkActs *acts, int64_t t0, PairPanel *panel)
{
	const int64_t row_blocks = acts->n_cols / LLM_QK;
	const int64_t left = row_blocks - panel->first_block;
	int64_t		n = PAIR_ACTS / panel->n_tokens / 8 * 8;
	int			i = 0;

	n = n < PAIR_BLOCKS ? n : PAIR_BLOCKS;
	panel->n_blocks = left < n ? left : n;
	for (int64_t b = 0; b < panel->n_blocks; b++)
		for (int t = 0; t < panel->n_tokens; t++, i++)
			pair_acts(acts, (t0 + t) * row_blocks + panel->first_block + b, panel->a[i], &panel->d[i]);
}

/* add the products of a block with n tokens to their sums; n is a constant. Empty statements as in spread_nibbles. */
VEC_INLINE void
pair_products(const int n, const PairWeights *weights, const int16_t (*a)[LLM_QK], const float *d, float *sums)
{
	const vec_f w_d = vec_load_acc(weights->d);
	vec_i		sum[4];

	LLMK_UNROLL
	for (int k = 0; k < LLM_QK / 2; k++)
	{
		const vec_i w = vec_load(weights->w[k], 0);

		for (int t = 0; t < n; t++)
		{
			const vec_i product = vec_madd(w, vec_bcast(&a[t][2 * k]));

			sum[t] = k == 0 ? product : vec_add32(sum[t], product);
			__asm__ volatile("":"+x" (sum[t]));
		}
	}
	for (int t = 0; t < n; t++, sums += VEC_LANES)
		vec_store_acc(sums, vec_fma(vec_to_f(sum[t]), vec_mul_f(w_d, vec_bcast_f(&d[t])), vec_load_acc(sums)));
}

/* the loop of all types: block b of the panel, all its tokens; sums (n_tokens, 8) */
static __attribute__((noinline)) void
multiply_pairs(const PairWeights *weights, const PairPanel *panel, int64_t b, float *sums)
{
	const int	n = panel->n_tokens;
	const int16_t (*a)[LLM_QK] = panel->a + b * n;
	const float *d = panel->d + b * n;
	int			t;

	for (t = 0; t + 4 <= n; t += 4)
		pair_products(4, weights, a + t, d + t, sums + t * VEC_LANES);
	switch (n - t)
	{
		case 3:
			pair_products(3, weights, a + t, d + t, sums + t * VEC_LANES);
			break;
		case 2:
			pair_products(2, weights, a + t, d + t, sums + t * VEC_LANES);
			break;
		case 1:
			pair_products(1, weights, a + t, d + t, sums + t * VEC_LANES);
			break;
		default:
			break;
	}
}

/* signed quads to pairs; scale: of each half of the columns, NULL for none */
VEC_INLINE void
pair_weights(const vec_i *quads, const vec_i *scale, vec_f d, PairWeights *to)
{
	LLMK_UNROLL
	for (int k = 0; k < 8; k++)
	{
		vec_i		w[2];

		pair_split(quads[k], &w[0], &w[1]);
		for (int i = 0; i < 2; i++)
			vec_store(to->w[8 * i + k], scale == NULL ? w[i] : vec_mul16(w[i], scale[k / 4]));
	}
	vec_store_acc(to->d, d);
}

/* block b of a group; grid: of the super-block, made with its first block */
VEC_INLINE void
decode_pairs(const LlmType type, const uint8_t *group, int64_t b, GridBlock *grid, PairWeights *to)
{
	DecodedBlock block;
	vec_i		quads[8];
	vec_i		scale[2];

	if (llmk_is_raw(type))
	{
		if (b % 8 == 0)
			open_grid(type, group + (size_t) (b / 8) * grid_block_bytes(type), grid);
		decode_grid(type, grid, (int) (b % 8), quads, scale);
		pair_weights(quads, scale, grid->d, to);
		return;
	}
	decode_block(type, group, 0, b, &block);
	for (int k = 0; k < 8; k++)
		quads[k] = dot_is_iq4(type) ? block.w[8 + k] : vec_load(block.bytes + 32 * k, 0);
	pair_weights(quads, NULL, block.d, to);
}

/* the types that are computed here */
VEC_INLINE bool
pairs_has(const LlmType type)
{
	return type == LLM_TYPE_Q8_0 || dot_is_iq4(type) || llmk_is_raw(type);
}

/* add the panel's blocks of one group to the sums in out, which belong to the panel's first token and the group's first row */
VEC_INLINE void
pairs_group(const LlmType type, const uint8_t *group, size_t group_bytes, size_t block_bytes, const PairPanel *panel, float *out,
			int64_t ld_out, int64_t n_rows)
{
	_Alignas(64) float sums[PAIR_TOKENS * VEC_LANES] = {0};
	PairWeights weights;
	GridBlock	grid;
	const size_t row_bytes = (size_t) n_rows * sizeof(float);

	for (int t = 0; t < panel->n_tokens && panel->first_block > 0; t++)
		if (n_rows == LLMK_ROWS)
			vec_store_acc(sums + t * VEC_LANES, vec_load_acc(out + t * ld_out));
		else
			memcpy(sums + t * VEC_LANES, out + t * ld_out, row_bytes);
	for (int64_t b = 0; b < panel->n_blocks; b++)
	{
		/* steps from group to group are longer than processors foresee; behind the matrix it is in vain */
		prefetch(group + group_bytes + (size_t) (panel->first_block + b) * block_bytes, block_bytes);
		decode_pairs(type, group, panel->first_block + b, &grid, &weights);
		multiply_pairs(&weights, panel, b, sums);
	}
	for (int t = 0; t < panel->n_tokens; t++)
		if (n_rows == LLMK_ROWS)
			vec_store_acc(out + t * ld_out, vec_load_acc(sums + t * VEC_LANES));
		else
			memcpy(out + t * ld_out, sums + t * VEC_LANES, row_bytes);
}

/*
 * matmul_pairs: see LlmkMatmulFn; type is a constant.
 */
VEC_INLINE void
matmul_pairs(const LlmType type, const LlmkMatrix *w, const LlmkActs *acts, int64_t group_begin, int64_t group_end, float *out,
			 int64_t ld_out)
{
	const size_t group_bytes = llmk_group_bytes(type, w->n_cols);
	const int64_t n_blocks = w->n_cols / LLM_QK;
	PairPanel	panel;

	for (int64_t t0 = 0; t0 < acts->n_tokens; t0 += PAIR_TOKENS)
	{
		panel.n_tokens = acts->n_tokens - t0 < PAIR_TOKENS ? (int) (acts->n_tokens - t0) : PAIR_TOKENS;
		for (panel.first_block = 0; panel.first_block < n_blocks; panel.first_block += panel.n_blocks)
		{
			fill_pairs(acts, t0, &panel);
			for (int64_t g = group_begin; g < group_end; g++)
			{
				const int64_t row = g * LLMK_ROWS;
				const int64_t n_rows = w->n_rows - row < LLMK_ROWS ? w->n_rows - row : LLMK_ROWS;

				pairs_group(type, w->data + (size_t) g * group_bytes, group_bytes, group_bytes / (size_t) n_blocks, &panel,
							out + t0 * ld_out + row, ld_out, n_rows);
			}
		}
	}
}

#endif
