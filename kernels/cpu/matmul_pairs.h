/*
 * matmul_pairs.h: quantized products of several tokens with 16-bit numbers in 256-bit registers; part of matmul_quant.h.
 *
 * A multiply adds two products of 16-bit numbers into a 32-bit lane, so weights of 8 bits need no care for their signs, whole-number
 * scales can be part of a weight, and both terms of a block of activations are one number: a block costs 16 multiplies and 16
 * additions whatever it has. Byte-pair multiplies (matmul_spread.h) take half of that where weights are small and unsigned, and 34
 * for a term where they are not. So here are the types of 8-bit numbers, of tables and of grids.
 *
 * Order of work: a tile of tokens and a chunk of groups of rows, whose sums lie in the second-level cache; of their blocks as many
 * as a panel holds; then all groups, two at a time. Their blocks are decoded to memory once for the tile, and multiplied with 4
 * tokens at a time: weights are loaded once for these, and activations are loaded into all lanes for both groups, which takes no
 * vector unit. With one group loads would bound (14.7 cycles for a block of a token, 11.5 with two; Zen 3). Tiles are large for
 * the sake of grids, whose decoding costs as much as 10 tokens.
 */
#ifndef LLMK_MATMUL_PAIRS_H
#define LLMK_MATMUL_PAIRS_H

#define PAIR_TOKENS 64			/* of a tile */
#define PAIR_GROUPS 2
#define PAIR_SUMS 2048			/* vectors of sums of a chunk of groups: 64 KB */
#define PAIR_MIN_TOKENS 4		/* fewer do not pay for the decoding of types that have other ways */
#define PAIR_ACTS 512			/* blocks of tokens in a panel: 32 KB */
#define PAIR_BLOCKS 16			/* at most; like the least that fits, a multiple of the parts of a super-block */

_Static_assert(VEC_GROUPS == 1, "a vector is one group");
_Static_assert(PAIR_ACTS / PAIR_TOKENS % GRID_PARTS == 0 && PAIR_BLOCKS % GRID_PARTS == 0, "panels hold whole super-blocks");

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
	int64_t		n = PAIR_ACTS / panel->n_tokens / GRID_PARTS * GRID_PARTS;

	n = n < PAIR_BLOCKS ? n : PAIR_BLOCKS;
	panel->n_blocks = left < n ? left : n;
	for (int t = 0; t < panel->n_tokens; t++)
		for (int64_t b = 0; b < panel->n_blocks; b++)
		{
			const int64_t i = b * panel->n_tokens + t;

			pair_acts(acts, (t0 + t) * row_blocks + panel->first_block + b, panel->a[i], &panel->d[i]);
		}
}

/*
 * Add the products of a block of n_groups groups with n tokens to their sums, those of groups `stride` floats apart; both numbers
 * are constants. Empty statements as in spread_nibbles.
 */
VEC_INLINE void
pair_products(const int n_groups, const int n, const PairWeights *weights, const int16_t (*a)[LLM_QK], const float *d, float *sums,
			  int stride)
{
	vec_i		sum[PAIR_GROUPS][4];

	LLMK_UNROLL
	for (int k = 0; k < LLM_QK / 2; k++)
	{
		vec_i		w[PAIR_GROUPS];

		for (int g = 0; g < n_groups; g++)
			w[g] = vec_load(weights[g].w[k], 0);
		for (int t = 0; t < n; t++)
		{
			const vec_i both = vec_bcast(&a[t][2 * k]);

			for (int g = 0; g < n_groups; g++)
			{
				sum[g][t] = k == 0 ? vec_madd(w[g], both) : vec_add32(sum[g][t], vec_madd(w[g], both));
				__asm__ volatile("":"+x" (sum[g][t]));
			}
		}
	}
	for (int g = 0; g < n_groups; g++)
		for (int t = 0; t < n; t++)
		{
			float	   *to = sums + g * stride + t * VEC_LANES;
			const vec_f scale = vec_mul_f(vec_load_acc(weights[g].d), vec_bcast_f(&d[t]));

			vec_store_acc(to, vec_fma(vec_to_f(sum[g][t]), scale, vec_load_acc(to)));
		}
}

/* all tokens of a panel with its block b; n_groups is a constant */
VEC_INLINE void
pair_tokens(const int n_groups, const PairWeights *weights, const PairPanel *panel, int64_t b, float *sums)
{
	const int	n = panel->n_tokens;
	const int16_t (*a)[LLM_QK] = panel->a + b * n;
	const float *d = panel->d + b * n;
	int			t;

	for (t = 0; t + 4 <= n; t += 4)
		pair_products(n_groups, 4, weights, a + t, d + t, sums + t * VEC_LANES, n * VEC_LANES);
	switch (n - t)
	{
		case 3:
			pair_products(n_groups, 3, weights, a + t, d + t, sums + t * VEC_LANES, n * VEC_LANES);
			break;
		case 2:
			pair_products(n_groups, 2, weights, a + t, d + t, sums + t * VEC_LANES, n * VEC_LANES);
			break;
		case 1:
			pair_products(n_groups, 1, weights, a + t, d + t, sums + t * VEC_LANES, n * VEC_LANES);
			break;
		default:
			break;
	}
}

/* the loop of all types: n_groups 1 or 2; sums (n_groups, tokens, 8) */
static __attribute__((noinline)) void
multiply_pairs(int n_groups, const PairWeights *weights, const PairPanel *panel, int64_t b, float *sums)
{
	if (n_groups == PAIR_GROUPS)
		pair_tokens(PAIR_GROUPS, weights, panel, b, sums);
	else
		pair_tokens(1, weights, panel, b, sums);
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

/* block b of a group; grid: of the super-block, made with the first block that is asked for (is_first) and with its own first one */
VEC_INLINE void
decode_pairs(const LlmType type, const uint8_t *group, int64_t b, bool is_first, GridBlock *grid, PairWeights *to)
{
	DecodedBlock block;
	vec_i		quads[8];
	vec_i		scale[2];

	if (llmk_is_raw(type))
	{
		if (is_first || b % GRID_PARTS == 0)
			open_grid(type, group + (size_t) (b / GRID_PARTS) * grid_block_bytes(type), grid);
		for (int h = 0; h < 2; h++)
			scale[h] = grid_half_scale(type, grid, (int) (b % GRID_PARTS), h);
		for (int i = 0; i < 4; i++)
			decode_grid(type, grid, (int) (b % GRID_PARTS), i, quads + 2 * i);
		pair_weights(quads, scale, grid->d, to);
		return;
	}
	decode_block(type, group, 0, b, &block);
	for (int k = 0; k < 8; k++)
		quads[k] = dot_is_iq4(type) ? block.w[8 + k] : vec_load(block.bytes + 32 * k, 0);
	pair_weights(quads, NULL, block.d, to);
}

/* is a product with so many tokens computed here? */
VEC_INLINE bool
pairs_has(const LlmType type, int64_t n_tokens)
{
	return llmk_is_raw(type) || ((type == LLM_TYPE_Q8_0 || dot_is_iq4(type)) && n_tokens >= PAIR_MIN_TOKENS);
}

/* add the panel's blocks of n_groups groups from g on to their sums */
VEC_INLINE void
pair_groups(const LlmType type, const LlmkMatrix *w, int64_t g, int n_groups, const PairPanel *panel, float *sums)
{
	const size_t group_bytes = llmk_group_bytes(type, w->n_cols);
	const size_t block_bytes = group_bytes / (size_t) (w->n_cols / LLM_QK);
	const uint8_t *group = w->data + (size_t) g * group_bytes;
	PairWeights weights[PAIR_GROUPS];
	GridBlock	grid[PAIR_GROUPS];

	for (int64_t b = 0; b < panel->n_blocks; b++)
	{
		const int64_t at = panel->first_block + b;

		for (int i = 0; i < n_groups; i++)
		{
			/* steps from group to group are longer than processors foresee; behind the matrix it is in vain */
			prefetch(group + (size_t) (i + PAIR_GROUPS) * group_bytes + (size_t) at * block_bytes, block_bytes);
			decode_pairs(type, group + (size_t) i * group_bytes, at, b == 0, &grid[i], &weights[i]);
		}
		multiply_pairs(n_groups, weights, panel, b, sums);
	}
}

/* the sums (tokens, 8) of groups [g0, g1), one after the other in acc, of the panel's tokens from t0 on */
VEC_INLINE void
pair_chunk(const LlmType type, const LlmkMatrix *w, const LlmkActs *acts, int64_t t0, int64_t g0, int64_t g1, PairPanel *panel,
		   float *acc)
{
	const int	group_sums = panel->n_tokens * VEC_LANES;

	memset(acc, 0, (size_t) ((g1 - g0) * group_sums) * sizeof(float));
	for (panel->first_block = 0; panel->first_block < w->n_cols / LLM_QK; panel->first_block += panel->n_blocks)
	{
		fill_pairs(acts, t0, panel);
		for (int64_t g = g0; g < g1; g += PAIR_GROUPS)
			pair_groups(type, w, g, g1 - g < PAIR_GROUPS ? 1 : PAIR_GROUPS, panel, acc + (g - g0) * group_sums);
	}
}

/* the sums of a chunk to out, which begins at their first token; without the rows that only fill up the last group */
static void
store_pair_sums(const LlmkMatrix *w, const float *sums, int64_t g0, int64_t g1, int n_tokens, float *out, int64_t ld_out)
{
	for (int64_t g = g0; g < g1; g++)
	{
		const int64_t row = g * LLMK_ROWS;
		const int64_t n_rows = w->n_rows - row;

		for (int t = 0; t < n_tokens; t++, sums += VEC_LANES)
			if (n_rows >= LLMK_ROWS)
				vec_store_acc(out + t * ld_out + row, vec_load_acc(sums));
			else
				memcpy(out + t * ld_out + row, sums, (size_t) n_rows * sizeof(float));
	}
}

/*
 * matmul_pairs: see LlmkMatmulFn; type is a constant.
 */
VEC_INLINE void
matmul_pairs(const LlmType type, const LlmkMatrix *w, const LlmkActs *acts, int64_t group_begin, int64_t group_end, float *out,
			 int64_t ld_out)
{
	_Alignas(64) float acc[PAIR_SUMS * VEC_LANES];
	PairPanel	panel;

	for (int64_t t0 = 0; t0 < acts->n_tokens; t0 += PAIR_TOKENS)
	{
		int64_t		chunk;

		panel.n_tokens = acts->n_tokens - t0 < PAIR_TOKENS ? (int) (acts->n_tokens - t0) : PAIR_TOKENS;
		chunk = PAIR_SUMS / panel.n_tokens / PAIR_GROUPS * PAIR_GROUPS;
		for (int64_t g0 = group_begin; g0 < group_end; g0 += chunk)
		{
			const int64_t g1 = group_end - g0 < chunk ? group_end : g0 + chunk;

			pair_chunk(type, w, acts, t0, g0, g1, &panel, acc);
			store_pair_sums(w, acc, g0, g1, panel.n_tokens, out + t0 * ld_out, ld_out);
		}
	}
}

#endif
