/*
 * attention_tile.h: attention over a page in vectors, for the level whose file includes this one.
 *
 * Up to ATTEND_TILE queries go through the page together, so that each key and value is loaded once for all of them. In
 * the scores a vector lane is a key, in the weighted sum it is a head dimension; both are ascending chains of fused
 * multiply-adds, so that tile and vector width do not show in the result. Keys that only some queries of a tile see are
 * added for those alone: a masked key takes part in nothing.
 *
 * A tile reads the page where it lies, in strips of keys or dimensions as wide as the registers allow, and converts half
 * precision as it loads. How dear that is depends on the processor: beside three multiply-adds it is free on some and as long
 * as one or two of them on others. So where there are many tiles (prompts), a group of up to ATTEND_GROUP queries has each
 * strip converted once, to a buffer that stays in the nearest cache; for few tiles (one token whose heads share keys) that
 * would cost more than it saves anywhere.
 *
 * The including file defines Vec, VEC_LANES (8 or 16), VEC_SUMS (how many accumulators its registers hold), and static
 * inline functions: vec_set1, vec_load, vec_store, vec_load_half (VEC_LANES half-precision numbers), vec_hold (the same
 * value, in a register from here on), vec_fma, vec_mul, vec_div, vec_sub, vec_add, vec_larger (of candidate and maximum,
 * passing over NaN), vec_largest_lane, vec_exp_softmax, vec_tanh and vec_visible (v in the lanes whose key, first + lane,
 * is in [begin, end), other elsewhere).
 */
#include "cpu/attention.h"

#define ATTEND_TILE 3
#define ATTEND_GROUP 64
#define CONVERT_QUERIES 24		/* from so many on a half-precision page is converted first */
#define STRIP (4 * VEC_LANES)	/* keys or head dimensions of a converted strip */
#define STRIP_ROWS 256			/* head dimensions that the buffer of a strip of keys has room for */

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* n_query becomes a constant argument of a function (nq, ...) that is then inlined once for each number */
#define WITH_CONSTANT(n_query, function, ...) \
	switch (n_query) \
	{ \
		case 1: \
			function(1, __VA_ARGS__); \
			break; \
		case 2: \
			function(2, __VA_ARGS__); \
			break; \
		default: \
			function(3, __VA_ARGS__); \
	}

typedef float PageRow[LLMK_PAGE_KEYS];	/* one query's scores or weights, by key */

/*
 * Scores of nq queries for nv * VEC_LANES keys into p[query][key ...]. k: those keys' first dimension; stride: elements
 * to the next dimension.
 */
ALWAYS_INLINE void
score_strip(const int nq, const int nv, const bool half, const LlmkAttend *a, const int *query, PageRow *p, int key,
			const void *k, int64_t stride)
{
	Vec			sum[ATTEND_TILE][VEC_SUMS];
	const float *q[ATTEND_TILE];
	const float *row = k;
	const uint16_t *row_half = k;

	LLMK_UNROLL
	for (int i = 0; i < nq; i++)
	{
		q[i] = a->q[query[i]];
		LLMK_UNROLL
		for (int v = 0; v < nv; v++)
			sum[i][v] = vec_set1(0.0f);
	}
	for (int d = 0; d < a->head_dim_k; d++)
	{
		Vec			q_d[ATTEND_TILE];

		LLMK_UNROLL
		for (int i = 0; i < nq; i++)
			q_d[i] = vec_set1(q[i][d]);
		LLMK_UNROLL
		for (int v = 0; v < nv; v++)
		{
			Vec			x = vec_hold(half ? vec_load_half(row_half + v * VEC_LANES) : vec_load(row + v * VEC_LANES));

			LLMK_UNROLL
			for (int i = 0; i < nq; i++)
				sum[i][v] = vec_fma(q_d[i], x, sum[i][v]);
		}
		row += stride;
		row_half += stride;
	}
	LLMK_UNROLL
	for (int i = 0; i < nq; i++)
	{
		LLMK_UNROLL
		for (int v = 0; v < nv; v++)
			vec_store(p[i] + key + v * VEC_LANES, sum[i][v]);
	}
}

/* the same for all keys [begin, end) of the page and some around */
ALWAYS_INLINE void
score_keys(const int nq, const bool half, const LlmkAttend *a, const int *query, PageRow *p, int begin, int end)
{
	const size_t element = half ? sizeof(uint16_t) : sizeof(float);
	int			key = begin / 16 * 16;

	while (key < end)
	{
		const char *k = (const char *) a->k_page + (size_t) key * element;

		if (nq * 64 / VEC_LANES <= VEC_SUMS && key == 0 && end > 32)
		{
			score_strip(nq, 64 / VEC_LANES, half, a, query, p, key, k, LLMK_PAGE_KEYS);
			key += 64;
		}
		else if (nq * 32 / VEC_LANES <= VEC_SUMS && key % 32 == 0 && end - key > 16)
		{
			score_strip(nq, 32 / VEC_LANES, half, a, query, p, key, k, LLMK_PAGE_KEYS);
			key += 32;
		}
		else
		{
			score_strip(nq, 16 / VEC_LANES, half, a, query, p, key, k, LLMK_PAGE_KEYS);
			key += 16;
		}
	}
}

/*
 * acc += weights * values of the keys [begin, end), for nq queries and the head dimensions [d, d + nv * VEC_LANES).
 * value: those dimensions of key 0; stride: elements to the next key.
 */
ALWAYS_INLINE void
value_strip(const int nq, const int nv, const bool half, const LlmkAttend *a, const int *query, const PageRow *p,
			int begin, int end, int d, const void *value, int64_t stride)
{
	Vec			sum[ATTEND_TILE][VEC_SUMS];
	const float *row = (const float *) value + begin * stride;
	const uint16_t *row_half = (const uint16_t *) value + begin * stride;

	LLMK_UNROLL
	for (int i = 0; i < nq; i++)
	{
		LLMK_UNROLL
		for (int v = 0; v < nv; v++)
			sum[i][v] = vec_load(a->acc[query[i]] + d + v * VEC_LANES);
	}
	for (int key = begin; key < end; key++)
	{
		Vec			weight[ATTEND_TILE];

		LLMK_UNROLL
		for (int i = 0; i < nq; i++)
			weight[i] = vec_set1(p[i][key]);
		LLMK_UNROLL
		for (int v = 0; v < nv; v++)
		{
			Vec			x = vec_hold(half ? vec_load_half(row_half + v * VEC_LANES) : vec_load(row + v * VEC_LANES));

			LLMK_UNROLL
			for (int i = 0; i < nq; i++)
				sum[i][v] = vec_fma(weight[i], x, sum[i][v]);
		}
		row += stride;
		row_half += stride;
	}
	LLMK_UNROLL
	for (int i = 0; i < nq; i++)
	{
		LLMK_UNROLL
		for (int v = 0; v < nv; v++)
			vec_store(a->acc[query[i]] + d + v * VEC_LANES, sum[i][v]);
	}
}

/* the same for all head dimensions from d on, read from the page */
ALWAYS_INLINE void
value_dims(const int nq, const bool half, const LlmkAttend *a, const int *query, const PageRow *p, int begin, int end,
		   int d)
{
	const size_t element = half ? sizeof(uint16_t) : sizeof(float);
	const char *page = a->v_page;
	int			n = a->head_dim_v;

	if (nq * 64 / VEC_LANES <= VEC_SUMS)
	{
		for (; d + 64 <= n; d += 64)
			value_strip(nq, 64 / VEC_LANES, half, a, query, p, begin, end, d, page + (size_t) d * element, n);
	}
	if (nq * 32 / VEC_LANES <= VEC_SUMS)
	{
		for (; d + 32 <= n; d += 32)
			value_strip(nq, 32 / VEC_LANES, half, a, query, p, begin, end, d, page + (size_t) d * element, n);
	}
	for (; d + VEC_LANES <= n; d += VEC_LANES)
		value_strip(nq, 1, half, a, query, p, begin, end, d, page + (size_t) d * element, n);
	for (; d < n; d++)
	{
		for (int i = 0; i < nq; i++)
		{
			float		sum = a->acc[query[i]][d];

			for (int key = begin; key < end; key++)
			{
				int64_t		at = (int64_t) key * n + d;
				float		x = half ? llmk_half_inline(((const uint16_t *) page)[at]) : ((const float *) page)[at];

				sum = __builtin_fmaf(p[i][key], x, sum);
			}
			a->acc[query[i]][d] = sum;
		}
	}
}

/* scores of up to ATTEND_TILE queries from the page */
static void
page_scores(const LlmkAttend *a, const int *query, int n, PageRow *p, int begin, int end)
{
	if (a->kv_type == LLM_KV_F16)
		WITH_CONSTANT(n, score_keys, true, a, query, p, begin, end)
	else
		WITH_CONSTANT(n, score_keys, false, a, query, p, begin, end)
}

/* weighted values of up to ATTEND_TILE queries from the page, head dimensions from d on */
static void
page_values(const LlmkAttend *a, const int *query, int n, const PageRow *p, int begin, int end, int d)
{
	if (a->kv_type == LLM_KV_F16)
		WITH_CONSTANT(n, value_dims, true, a, query, p, begin, end, d)
	else
		WITH_CONSTANT(n, value_dims, false, a, query, p, begin, end, d)
}

/* scores of up to ATTEND_TILE queries for the STRIP keys from key on, converted to k (head_dim_k, STRIP) */
static void
converted_scores(const LlmkAttend *a, const int *query, int n, PageRow *p, int key, const float *k)
{
	WITH_CONSTANT(n, score_strip, STRIP / VEC_LANES, false, a, query, p, key, k, STRIP)
}

/* weighted values of up to ATTEND_TILE queries, head dimensions [d, d + STRIP), converted to value (LLMK_PAGE_KEYS, STRIP) */
static void
converted_values(const LlmkAttend *a, const int *query, int n, const PageRow *p, int begin, int end, int d,
			  const float *value)
{
	WITH_CONSTANT(n, value_strip, STRIP / VEC_LANES, false, a, query, p, begin, end, d, value, STRIP)
}

/* convert STRIP columns of a half-precision page, from the given one on, of rows [begin, end) of `stride` elements */
static void
convert_strip(const void *page, int column, int64_t stride, int begin, int end, float *out)
{
	for (int row = begin; row < end; row++)
	{
		const uint16_t *in = (const uint16_t *) page + row * stride + column;

		LLMK_UNROLL
		for (int v = 0; v < STRIP; v += VEC_LANES)
			vec_store(out + row * STRIP + v, vec_load_half(in + v));
	}
}

/* scores become weights and are added up in lanes; masked ones become 0. all: every key of the page is visible. */
ALWAYS_INLINE float
weigh_keys(const bool all, int begin, int end, float base, float *p)
{
	Vec			lanes[LLMK_LANES / VEC_LANES];
	float		lane[LLMK_LANES];

	LLMK_UNROLL
	for (int i = 0; i < LLMK_LANES / VEC_LANES; i++)
		lanes[i] = vec_set1(0.0f);
	for (int key = begin / LLMK_LANES * LLMK_LANES; key < end; key += LLMK_LANES)
	{
		LLMK_UNROLL
		for (int i = 0; i < LLMK_LANES / VEC_LANES; i++)
		{
			int			at = key + i * VEC_LANES;
			Vec			weight = vec_exp_softmax(vec_sub(vec_load(p + at), vec_set1(base)));

			if (!all)
				weight = vec_visible(weight, at, begin, end, vec_set1(0.0f));
			lanes[i] = vec_add(lanes[i], weight);
			vec_store(p + at, weight);
		}
	}
	LLMK_UNROLL
	for (int i = 0; i < LLMK_LANES / VEC_LANES; i++)
		vec_store(lane + i * VEC_LANES, lanes[i]);
	return llmk_lane_tree(lane);
}

/* llmk_distance_score of the scores s of the keys from the given one on */
static inline Vec
distance_scores(const LlmkAttend *a, int query, int key, Vec s)
{
	static const float lane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	Vec			keys = vec_add(vec_load(lane), vec_set1((float) key));
	Vec			d = vec_sub(vec_set1((float) a->distance[query]), keys);

	return vec_fma(vec_set1(-a->slope[query]), vec_larger(vec_sub(vec_set1(0.0f), d), d), s);
}

/* products of all keys of the page in p become scores, no more than scaled; returns the largest of them and max */
static inline float
scale_page(float scale, float max, float *p)
{
	Vec			largest[2] = {vec_set1(max), vec_set1(max)};

	LLMK_UNROLL
	for (int i = 0; i < LLMK_PAGE_KEYS / VEC_LANES; i++)
	{
		Vec			s = vec_mul(vec_load(p + i * VEC_LANES), vec_set1(scale));

		vec_store(p + i * VEC_LANES, s);
		largest[i % 2] = vec_larger(s, largest[i % 2]);
	}
	return vec_largest_lane(vec_larger(largest[0], largest[1])) + 0.0f;
}

/* products of the keys [begin, end) in p become scores; returns the largest of them and max */
static float
scale_scores(const LlmkAttend *a, int query, int begin, int end, float max, float *p)
{
	Vec			largest = vec_set1(max);

	for (int key = begin / VEC_LANES * VEC_LANES; key < end; key += VEC_LANES)
	{
		Vec			s = vec_mul(vec_load(p + key), vec_set1(a->scale));

		if (a->softcap != 0)
			s = vec_mul(vec_set1(a->softcap), vec_tanh(vec_div(s, vec_set1(a->softcap))));
		if (a->slope)
			s = distance_scores(a, query, key, s);
		vec_store(p + key, s);
		s = vec_visible(s, key, begin, end, vec_set1(-__builtin_inff()));
		largest = vec_larger(s, largest);
	}
	return vec_largest_lane(largest) + 0.0f;
}

/* does the query see the whole page? */
static inline bool
sees_all(const LlmkAttend *a, int query)
{
	return a->key_begin[query] == 0 && a->key_end[query] == LLMK_PAGE_KEYS;
}

/* take the page's maximum and sum into the state of a query, and scale its acc to it */
static inline void
take_weights(const LlmkAttend *a, int query, float max, float sum)
{
	float		factor = llmk_attend_update(a, query, max, sum);
	int			d = 0;

	if (factor == 1.0f)
		return;
	for (; d + VEC_LANES <= a->head_dim_v; d += VEC_LANES)
		vec_store(a->acc[query] + d, vec_mul(vec_load(a->acc[query] + d), vec_set1(factor)));
	for (; d < a->head_dim_v; d++)
		a->acc[query][d] *= factor;
}

/*
 * The products of n queries in p become weights; maxima, sums and acc are brought up to date but for the new values. Each
 * step is made for all queries before the next: it is a chain of dependent operations, and those of several queries run side
 * by side.
 */
static void
make_weights(const LlmkAttend *a, const int *query, int n, PageRow *p)
{
	const bool	plain = a->softcap == 0 && !a->slope;
	float		max[ATTEND_GROUP];
	float		sum[ATTEND_GROUP];

	for (int i = 0; i < n; i++)
	{
		if (plain && sees_all(a, query[i]))
			max[i] = scale_page(a->scale, a->max[query[i]], p[i]);
		else
			max[i] = scale_scores(a, query[i], a->key_begin[query[i]], a->key_end[query[i]], a->max[query[i]], p[i]);
	}
	for (int i = 0; i < n; i++)
	{
		if (sees_all(a, query[i]))
			sum[i] = weigh_keys(true, 0, LLMK_PAGE_KEYS, llmk_softmax_base(max[i]), p[i]);
		else
			sum[i] = weigh_keys(false, a->key_begin[query[i]], a->key_end[query[i]], llmk_softmax_base(max[i]), p[i]);
	}
	for (int i = 0; i < n; i++)
		take_weights(a, query[i], max[i], sum[i]);
}

/* the keys that any and that all of n queries see */
typedef struct Range
{
	int			begin;
	int			end;
	int			common_begin;
	int			common_end;
} Range;

static Range
range_of(const LlmkAttend *a, const int *query, int n)
{
	Range		r = {LLMK_PAGE_KEYS, 0, 0, LLMK_PAGE_KEYS};

	for (int i = 0; i < n; i++)
	{
		int			begin = a->key_begin[query[i]];
		int			end = a->key_end[query[i]];

		r.begin = begin < r.begin ? begin : r.begin;
		r.end = end > r.end ? end : r.end;
		r.common_begin = begin > r.common_begin ? begin : r.common_begin;
		r.common_end = end < r.common_end ? end : r.common_end;
	}
	if (r.common_begin >= r.common_end)
		r.common_begin = r.common_end = r.end;
	return r;
}

/*
 * Weighted values of a tile, keys ascending for each query: those before the common ones and those after them one query
 * at a time. value NULL: head dimensions from d on, from the page; else those of the converted strip.
 */
static void
tile_values(const LlmkAttend *a, const int *query, int n, const PageRow *p, const Range *r, int d, const float *value)
{
	for (int part = 0; part < 3; part++)
	{
		int			step = part == 1 ? n : 1;

		for (int i = 0; i < n; i += step)
		{
			int			begin = a->key_begin[query[i]];
			int			end = a->key_end[query[i]];

			if (part == 0)
				end = end < r->common_begin ? end : r->common_begin;
			else if (part == 1)
			{
				begin = r->common_begin;
				end = r->common_end;
			}
			else
				begin = begin > r->common_end ? begin : r->common_end;
			if (begin >= end)
				continue;
			if (value)
				converted_values(a, query + i, step, p + i, begin, end, d, value);
			else
				page_values(a, query + i, step, p + i, begin, end, d);
		}
	}
}

/* queries of the next tile, of `left`: not 3 and 1, which take longer than 2 and 2 */
static inline int
tile_size(int left)
{
	return left == 4 ? 2 : left < ATTEND_TILE ? left : ATTEND_TILE;
}

/* the page for n queries that all see some of it, read where it lies */
static void
attend_in_place(const LlmkAttend *a, const int *query, int n)
{
	PageRow		p[ATTEND_TILE] __attribute__((aligned(LLMK_ALIGN)));
	int			size;

	for (int i = 0; i < n; i += size)
	{
		Range		r = range_of(a, query + i, size = tile_size(n - i));

		page_scores(a, query + i, size, p, r.begin, r.end);
		make_weights(a, query + i, size, p);
		tile_values(a, query + i, size, (const PageRow *) p, &r, 0, NULL);
	}
}

/*
 * A half-precision page for up to ATTEND_GROUP queries that all see some of it, converted strip by strip; head_dim_k is at
 * most STRIP_ROWS.
 */
static void
attend_group(const LlmkAttend *a, const int *query, int n)
{
	PageRow		p[ATTEND_GROUP] __attribute__((aligned(LLMK_ALIGN)));
	float		strip[STRIP_ROWS * STRIP] __attribute__((aligned(LLMK_ALIGN)));
	Range		tile[ATTEND_GROUP];	/* of the tile that begins at that query */
	Range		r = range_of(a, query, n);
	int			d = 0;

	for (int i = 0; i < n; i += tile_size(n - i))
		tile[i] = range_of(a, query + i, tile_size(n - i));
	for (int key = r.begin / STRIP * STRIP; key < r.end; key += STRIP)
	{
		convert_strip(a->k_page, key, LLMK_PAGE_KEYS, 0, a->head_dim_k, strip);
		for (int i = 0; i < n; i += tile_size(n - i))
		{
			if (tile[i].begin < key + STRIP && tile[i].end > key)
				converted_scores(a, query + i, tile_size(n - i), p + i, key, strip);
		}
	}
	make_weights(a, query, n, p);
	for (; d + STRIP <= a->head_dim_v; d += STRIP)
	{
		convert_strip(a->v_page, d, a->head_dim_v, r.begin, r.end, strip);
		for (int i = 0; i < n; i += tile_size(n - i))
			tile_values(a, query + i, tile_size(n - i), (const PageRow *) p + i, &tile[i], d, strip);
	}
	for (int i = 0; d < a->head_dim_v && i < n; i += tile_size(n - i))
		tile_values(a, query + i, tile_size(n - i), (const PageRow *) p + i, &tile[i], d, NULL);
}

/* LlmKernels.attend_page */
static void
attend_page(const LlmkAttend *a)
{
	int			query[ATTEND_GROUP];
	int			n = 0;

	for (int i = 0; i < a->n_queries; i++)
	{
		if (a->key_begin[i] < a->key_end[i])
			query[n++] = i;
		if (n == ATTEND_GROUP || (i == a->n_queries - 1 && n > 0))
		{
			if (n >= CONVERT_QUERIES && a->kv_type == LLM_KV_F16 && a->head_dim_k <= STRIP_ROWS)
				attend_group(a, query, n);
			else
				attend_in_place(a, query, n);
			n = 0;
		}
	}
}

/* LlmKernels.attend_merge */
static void
attend_merge(float *max, float *sum, float *acc, float max2, float sum2, const float *acc2, int head_dim_v)
{
	float		factor;
	float		factor2;
	int			d = 0;

	if (!llmk_merge_factors(max, sum, max2, sum2, &factor, &factor2))
		return;
	for (; d + VEC_LANES <= head_dim_v; d += VEC_LANES)
	{
		Vec			scaled = vec_mul(vec_load(acc + d), vec_set1(factor));

		vec_store(acc + d, vec_fma(vec_load(acc2 + d), vec_set1(factor2), scaled));
	}
	for (; d < head_dim_v; d++)
		acc[d] = __builtin_fmaf(acc2[d], factor2, acc[d] * factor);
}
