/*
 * matmul_test.c: matrix products of every level and type.
 *
 * The generic level is held against sums in double precision, with the error bound that its definition implies; all
 * other levels must equal it bit by bit, for any number of tokens, any split into groups, and at the extremes of
 * weights and activations. Rows that are not asked for must stay untouched.
 */
#include <math.h>

#include "check.h"
#include "tested_levels.h"

#define MAX_TOKENS 110
#define SENTINEL 12345.75f

static uint64_t random_state = 88172645463325252u;

static uint32_t
random_u32(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t) (random_state >> 32);
}

static float
random_float(void)
{
	return (float) (int32_t) random_u32() * 0x1p-31f;
}

static void *
room(size_t bytes)
{
	void	   *p = aligned_alloc(LLMK_ALIGN, (bytes / LLMK_ALIGN + 1) * LLMK_ALIGN);

	if (p == NULL)
	{
		fprintf(stderr, "out of memory\n");
		exit(1);
	}
	return p;
}

static const LlmType tested_types[] = {
	LLM_TYPE_F32, LLM_TYPE_F16, LLM_TYPE_BF16, LLM_TYPE_Q8_0, LLM_TYPE_Q4_0,
	LLM_TYPE_Q4_1, LLM_TYPE_Q5_0, LLM_TYPE_Q5_1, LLM_TYPE_Q6_K, LLM_TYPE_Q2_K, LLM_TYPE_Q3_K, LLM_TYPE_Q4_K, LLM_TYPE_Q5_K,
	LLM_TYPE_IQ4_NL, LLM_TYPE_IQ4_XS, LLM_TYPE_MXFP4, LLM_TYPE_NVFP4, LLM_TYPE_Q1_0, LLM_TYPE_Q2_0, LLM_TYPE_TQ1_0,
	LLM_TYPE_TQ2_0, LLM_TYPE_IQ1_S, LLM_TYPE_IQ1_M, LLM_TYPE_IQ2_XXS, LLM_TYPE_IQ2_XS, LLM_TYPE_IQ2_S, LLM_TYPE_IQ3_XXS,
	LLM_TYPE_IQ3_S
};
#define N_TYPES ((int) (sizeof(tested_types) / sizeof(tested_types[0])))

/* how the numbers of a case are chosen */
typedef enum Mode
{
	MODE_RANDOM,
	MODE_LARGEST,				/* all weights at one end of their range, q = 127 */
	MODE_SMALLEST,				/* the other end, q = -127 */
	MODE_ALTERNATING,			/* random ends of both ranges */
	MODE_SPECIAL,				/* some NaN and infinities in weights and activations */
	N_MODES
} Mode;

/* a matrix in file form and packed, and activations in both forms */
typedef struct Case
{
	LlmType		type;
	int64_t		n_rows;
	int64_t		n_cols;
	uint8_t    *rows;
	LlmkMatrix	w;
	LlmkActs	acts;
} Case;

static uint16_t
random_scale(Mode mode)
{
	if (mode == MODE_SPECIAL && random_u32() % 16 == 0)
		return random_u32() % 2 ? 0x7c00 : 0x7e00;
	if (mode == MODE_RANDOM || mode == MODE_SPECIAL)
		return llmk_float_to_half(random_float() * 0.1f);
	return mode == MODE_SMALLEST ? 0xbc00 : 0x3c00;
}

static uint8_t
random_byte(Mode mode, uint8_t largest, uint8_t smallest)
{
	if (mode == MODE_LARGEST)
		return largest;
	if (mode == MODE_SMALLEST)
		return smallest;
	if (mode == MODE_ALTERNATING)
		return random_u32() % 2 ? largest : smallest;
	return (uint8_t) random_u32();
}

static void
random_bytes(uint8_t *p, size_t n, Mode mode, uint8_t largest, uint8_t smallest)
{
	size_t		i;

	for (i = 0; i < n; i++)
		p[i] = random_byte(mode, largest, smallest);
}

static float
random_number(Mode mode)
{
	if (mode == MODE_SPECIAL && random_u32() % 64 == 0)
		return random_u32() % 2 ? NAN : INFINITY;
	if (mode == MODE_LARGEST)
		return 3.0e4f;
	if (mode == MODE_SMALLEST)
		return -3.0e4f;
	/* outliers, as real activations have */
	return random_u32() % 50 == 0 ? random_float() * 100.0f : random_float();
}

static bool
has_minimum(LlmType type)
{
	return type == LLM_TYPE_Q4_1 || type == LLM_TYPE_Q5_1 || type == LLM_TYPE_Q2_K || type == LLM_TYPE_Q4_K ||
		type == LLM_TYPE_Q5_K;
}

/* where a block has its minimum or the scale of minima, which comes after d */
static size_t
minimum_off(LlmType type)
{
	return type == LLM_TYPE_Q2_K ? offsetof(LlmBlockQ2_K, dmin) : 2;
}

/* the largest number that it is multiplied with */
static double
largest_minimum(LlmType type)
{
	return type == LLM_TYPE_Q2_K ? 15 : type == LLM_TYPE_Q4_K || type == LLM_TYPE_Q5_K ? 63 : 1;
}

static void
random_block(LlmType type, Mode mode, uint8_t *p)
{
	const LlmTypeInfo *info = llmk_type_info(type);
	uint16_t	scale = random_scale(mode);
	float		number = random_number(mode);
	uint16_t	half = llmk_float_to_half(number);
	uint32_t	bits;
	int			i;

	random_bytes(p, (size_t) info->block_bytes, mode, 0xff, 0x00);
	memcpy(&bits, &number, 4);
	switch (type)
	{
		case LLM_TYPE_F32:
			memcpy(p, &number, 4);
			break;
		case LLM_TYPE_F16:
			memcpy(p, &half, 2);
			break;
		case LLM_TYPE_BF16:
			half = (uint16_t) (bits >> 16);
			memcpy(p, &half, 2);
			break;
		case LLM_TYPE_Q8_0:
			random_bytes(p, (size_t) info->block_bytes, mode, 0x7f, 0x80);
			memcpy(p, &scale, 2);
			break;
		case LLM_TYPE_Q6_K:
			random_bytes(p + offsetof(LlmBlockQ6_K, scales), 16, mode, 0x7f, 0x80);
			memcpy(p + offsetof(LlmBlockQ6_K, d), &scale, 2);
			break;
		case LLM_TYPE_Q3_K:
			memcpy(p + offsetof(LlmBlockQ3_K, d), &scale, 2);
			break;
		case LLM_TYPE_TQ1_0:
			memcpy(p + offsetof(LlmBlockTQ1_0, d), &scale, 2);
			break;
		case LLM_TYPE_TQ2_0:
			memcpy(p + offsetof(LlmBlockTQ2_0, d), &scale, 2);
			break;
		case LLM_TYPE_IQ1_M:
			for (i = 0; i < 4; i++)
				p[offsetof(LlmBlockIQ1_M, scales) + 2 * i + 1] = (uint8_t)
					((p[offsetof(LlmBlockIQ1_M, scales) + 2 * i + 1] & 15) | (scale >> (4 * i) & 15) << 4);
			break;
		case LLM_TYPE_MXFP4:	/* the extremes without overflow of a sum; nibbles 7 and 15 are the ends of the range */
			if (mode != MODE_RANDOM && mode != MODE_SPECIAL)
				random_bytes(p + 1, 16, mode, 0x77, 0xff);
			p[0] = mode == MODE_SPECIAL ? (uint8_t) (random_u32() % 200) : (uint8_t) (120 + random_u32() % 16);
			break;
		case LLM_TYPE_NVFP4:
			if (mode != MODE_RANDOM && mode != MODE_SPECIAL)
				random_bytes(p + 4, 32, mode, 0x77, 0xff);
			break;
		default:
			memcpy(p + minimum_off(type) - 2, &scale, 2);
			if (has_minimum(type))
			{
				scale = random_scale(mode);
				memcpy(p + minimum_off(type), &scale, 2);
			}
			break;
	}
}

/* rows from t on */
static LlmkTerm
term_at(const LlmkTerm *term, int64_t t, int64_t n_cols)
{
	return (LlmkTerm) {term->q + t * n_cols, term->d + t * (n_cols / 32), term->s + t * (n_cols / 16)};
}

/* what element i of quantized activations stands for */
static double
act_value(LlmType type, const LlmkActs *acts, int64_t i)
{
	const double d = acts->term[0].d[i / 32];
	const double d2 = acts->term[1].d[i / 32];

	if (d2 == 0.0)
		return d * acts->term[0].q[i];

	/* the first scale of two terms counts only where sums are not joined */
	return d2 * acts->term[1].q[i] + (type == LLM_TYPE_Q6_K ? d : 254.0 * d2) * acts->term[0].q[i];
}

/* n numbers at the ends of their range; a second term in every other block */
static void
extreme_term(const LlmkTerm *term, int64_t n, Mode mode, int which)
{
	random_bytes((uint8_t *) term->q, (size_t) n, mode, 127, (uint8_t) -127);
	for (int64_t i = 0; i < n / 32; i++)
		term->d[i] = which == 0 ? 0.25f : i % 2 ? 0x1p-10f : 0.0f;
	for (int64_t i = 0; i < n / 16; i++)
	{
		term->s[i] = 0;
		for (int j = 0; j < 16; j++)
			term->s[i] = (int16_t) (term->s[i] + term->q[16 * i + j]);
	}
}

static void
make_case(Case *c, LlmType type, int64_t n_rows, int64_t n_cols, int64_t n_tokens, Mode mode)
{
	const LlmTypeInfo *info = llmk_type_info(type);
	int64_t		n_blocks = n_cols / info->block_len;
	size_t		row_bytes = (size_t) (n_blocks * info->block_bytes);
	size_t		group_bytes = llmk_group_bytes(type, n_cols);
	int64_t		n_groups = (n_rows + LLMK_ROWS - 1) / LLMK_ROWS;
	int64_t		ld_x = n_cols + 3;
	uint8_t    *data = room(group_bytes * (size_t) n_groups);
	float	   *x = room((size_t) (n_tokens * ld_x) * sizeof(float));
	LlmkTerm	term[2];
	int64_t		i;
	int64_t		t;
	int			k;

	for (k = 0; k < 2; k++)
		term[k] = (LlmkTerm) {room((size_t) (n_tokens * n_cols)), room((size_t) (n_tokens * n_cols / 32 + 1) * sizeof(float)),
		room((size_t) (n_tokens * n_cols / 16 + 1) * sizeof(int16_t))};

	CHECK(group_bytes == row_bytes * LLMK_ROWS);
	c->type = type;
	c->n_rows = n_rows;
	c->n_cols = n_cols;
	c->rows = room(row_bytes * (size_t) n_rows);
	for (i = 0; i < n_rows * n_blocks; i++)
		random_block(type, mode, c->rows + i * info->block_bytes);
	for (i = 0; i < n_groups; i++)
	{
		int64_t		left = n_rows - i * LLMK_ROWS;

		llmk_pack_group(type, n_cols, c->rows + (size_t) (i * LLMK_ROWS) * row_bytes,
						left < LLMK_ROWS ? (int) left : LLMK_ROWS, data + (size_t) i * group_bytes);
	}

	for (i = 0; i < n_tokens * ld_x; i++)
		x[i] = random_number(mode);
	if (n_cols % 32 == 0)
	{
		for (t = 0; t < n_tokens; t++)
		{
			const LlmkTerm row[2] = {term_at(&term[0], t, n_cols), term_at(&term[1], t, n_cols)};

			llmk_level(0)->quantize(x + t * ld_x, n_cols, row);
		}
		if (mode != MODE_RANDOM && mode != MODE_SPECIAL)
			for (k = 0; k < 2; k++)
				extreme_term(&term[k], n_tokens * n_cols, mode, k);
	}
	c->w = (LlmkMatrix) {type, n_rows, n_cols, data};
	c->acts = (LlmkActs) {n_tokens, n_cols, x, ld_x, {term[0], term[1]}};
}

static void
free_case(Case *c)
{
	free(c->rows);
	free((void *) c->w.data);
	free((void *) c->acts.x);
	for (int k = 0; k < 2; k++)
	{
		free(c->acts.term[k].q);
		free(c->acts.term[k].d);
		free(c->acts.term[k].s);
	}
}

/* the acts of tokens [t, t + n) */
static LlmkActs
some_tokens(const LlmkActs *a, int64_t t, int64_t n)
{
	LlmkActs	part = *a;

	part.n_tokens = n;
	part.x += t * a->ld_x;
	for (int k = 0; k < 2; k++)
		part.term[k] = term_at(&a->term[k], t, a->n_cols);
	return part;
}

static bool
same_bits(float a, float b)
{
	return memcmp(&a, &b, sizeof(a)) == 0 || (isnan(a) && isnan(b));
}

/* out (n_tokens, n_rows) of the generic level against double precision */
static void
check_generic(const Case *c, const float *out)
{
	const LlmTypeInfo *info = llmk_type_info(c->type);
	int64_t		row_bytes = c->n_cols / info->block_len * info->block_bytes;
	bool		has_min = has_minimum(c->type);
	bool		two_steps = has_min || c->type == LLM_TYPE_NVFP4;
	int64_t		n_steps = (info->quantized ? c->n_cols / 16 * (two_steps ? 2 : 1) : c->n_cols) + 4;
	float	   *row = room((size_t) c->n_cols * sizeof(float));
	int64_t		r;
	int64_t		t;

	for (r = 0; r < c->n_rows; r++)
	{
		const uint8_t *blocks = c->rows + r * row_bytes;

		llmk_dequantize(c->type, blocks, c->n_cols, row);
		for (t = 0; t < c->acts.n_tokens; t++)
		{
			double		sum = 0;
			double		size = 0;	/* sum of the magnitudes that are rounded */
			double		got = out[t * c->n_rows + r];
			int64_t		i;

			for (i = 0; i < c->n_cols; i++)
			{
				double		w = row[i];
				double		a = info->quantized ? act_value(c->type, &c->acts, t * c->n_cols + i)
					: (double) c->acts.x[t * c->acts.ld_x + i];

				sum += w * a;
				size += fabs(w * a);
				if (has_min)
				{
					uint16_t	m;

					/* w = q d + m: both parts may be larger than their sum */
					memcpy(&m, blocks + i / info->block_len * info->block_bytes + minimum_off(c->type), 2);
					size += 2 * largest_minimum(c->type) * fabs((double) llmk_half_to_float(m) * a);
				}
			}
			CHECK_MSG(fabs(got - sum) <= (double) n_steps * 0x1p-24 * size || (!isfinite(sum) && !isfinite(got)),
					  "%s rows %d cols %d row %d token %d: %.9g, reference %.9g, size %g", info->name, (int) c->n_rows,
					  (int) c->n_cols, (int) r, (int) t, got, sum, size);
		}
	}
	free(row);
}

/* tokens [t0, t0 + n) by one level, in pieces of random numbers of groups, against the generic result */
static void
check_level(const LlmKernels *k, const Case *c, int64_t t0, int64_t n, const float *expected)
{
	LlmkActs	acts = some_tokens(&c->acts, t0, n);
	int64_t		n_groups = (c->n_rows + LLMK_ROWS - 1) / LLMK_ROWS;
	int64_t		ld_out = c->n_rows + 5;
	float	   *out = room((size_t) (n * ld_out) * sizeof(float));
	int64_t		g;
	int64_t		t;
	int64_t		i;

	for (i = 0; i < n * ld_out; i++)
		out[i] = SENTINEL;
	for (g = 0; g < n_groups;)
	{
		int64_t		end = g + 1 + random_u32() % (n_groups > 32 ? 40 : 7);

		end = end > n_groups ? n_groups : end;
		k->matmul[c->type] (&c->w, &acts, g, end, out, ld_out);
		for (i = end * LLMK_ROWS; i < ld_out; i++)
			CHECK(out[i] == SENTINEL);
		g = end;
	}
	for (t = 0; t < n; t++)
	{
		for (i = 0; i < c->n_rows; i++)
			CHECK_MSG(same_bits(out[t * ld_out + i], expected[(t0 + t) * c->n_rows + i]),
					  "%s %s rows %d cols %d tokens %d: row %d token %d: %.9g, generic %.9g", k->name,
					  llmk_type_info(c->type)->name, (int) c->n_rows, (int) c->n_cols, (int) n, (int) i, (int) t,
					  (double) out[t * ld_out + i], (double) expected[(t0 + t) * c->n_rows + i]);
		for (i = c->n_rows; i < ld_out; i++)
			CHECK(out[t * ld_out + i] == SENTINEL);
	}
	free(out);
}

static void
check_get_row(const LlmKernels *k, const Case *c)
{
	const LlmTypeInfo *info = llmk_type_info(c->type);
	int64_t		row_bytes = c->n_cols / info->block_len * info->block_bytes;
	float	   *expected = room((size_t) c->n_cols * sizeof(float));
	float	   *got = room((size_t) c->n_cols * sizeof(float));
	int64_t		r;

	for (r = 0; r < c->n_rows; r++)
	{
		llmk_dequantize(c->type, c->rows + r * row_bytes, c->n_cols, expected);
		k->get_row[c->type] (&c->w, r, got);
		CHECK_MSG(memcmp(expected, got, (size_t) c->n_cols * sizeof(float)) == 0, "%s %s row %d", k->name, info->name,
				  (int) r);
	}
	free(expected);
	free(got);
}

static void
check_case(LlmType type, int64_t n_rows, int64_t n_cols, int64_t n_tokens, Mode mode)
{
	static const int counts[] = {1, 2, 3, 4, 5, 6, 7, 8, 17};
	Case		c;
	float	   *expected = room((size_t) (n_tokens * n_rows) * sizeof(float));
	int64_t		t;
	int			i;
	int			j;

	make_case(&c, type, n_rows, n_cols, n_tokens, mode);
	tested_levels[0].matmul[type] (&c.w, &c.acts, 0, (n_rows + LLMK_ROWS - 1) / LLMK_ROWS, expected, n_rows);
	check_generic(&c, expected);
	for (i = 0; i < n_tested_levels; i++)
	{
		check_level(&tested_levels[i], &c, 0, n_tokens, expected);
		for (t = 0; t < n_tokens && t < 4; t++)
			check_level(&tested_levels[i], &c, t, 1, expected);
		for (j = 0; j < (int) (sizeof(counts) / sizeof(counts[0])); j++)
			if (counts[j] < n_tokens)
				check_level(&tested_levels[i], &c, n_tokens - counts[j], counts[j], expected);
		check_get_row(&tested_levels[i], &c);
	}
	free_case(&c);
	free(expected);
}

int
main(void)
{
	static const int rows[] = {1, 7, 8, 9, 17, 40};
	static const int blocks[] = {1, 2, 3, 8, 35};
	static const int float_cols[] = {1, 3, 31, 64, 129, 400};
	int			i;
	int			r;
	int			j;
	int			mode;

	list_tested_levels();
	for (i = 0; i < N_TYPES; i++)
	{
		LlmType		type = tested_types[i];
		const LlmTypeInfo *info = llmk_type_info(type);
		int			unit = info->block_len;

		for (r = 0; r < 6; r++)
		{
			if (info->quantized)
				for (j = 0; j < (unit >= 128 ? 2 : 5); j++)
					check_case(type, rows[r], blocks[j] * unit, 18, MODE_RANDOM);
			else
				for (j = 0; j < 6; j++)
					check_case(type, rows[r], float_cols[j], 18, MODE_RANDOM);
		}
		for (mode = MODE_LARGEST; mode < N_MODES; mode++)
			check_case(type, 17, 256, 9, (Mode) mode);

		/* past the blocks of tokens, columns and groups that kernels work in */
		check_case(type, 8 * 70 + 3, 256, 19, MODE_RANDOM);
		check_case(type, 17, 256 * 5, MAX_TOKENS, MODE_RANDOM);
		check_case(type, 9, 256 * 65, 2, MODE_RANDOM);
		if (!info->quantized)
			check_case(type, 8 * 31, 450, 52, MODE_RANDOM);
	}
	CHECK_DONE();
}
