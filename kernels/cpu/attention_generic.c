/*
 * attention_generic.c: attention over one page of keys and values in plain C, the reference of all levels.
 *
 * For each query: scores of its visible keys, each one ascending chain of fused multiply-adds over head_dim_k, then the
 * factor, the cap and what distance takes; the new running maximum; weights exp(score - maximum), summed over LLMK_LANES
 * lanes (key j in lane j mod LLMK_LANES); the old sum and acc are scaled by exp(old maximum - new maximum); then acc[d] is
 * one ascending chain over the keys. A masked key takes part in none of these, whatever its slot holds. A NaN score makes sum
 * and acc NaN, but not the maximum.
 */
#include "cpu/attention.h"
#include "cpu/cache_q8.h"
#include "cpu/half.h"

/* n elements of a page from the given one on, as F32 */
static const float *
page_row(const void *page, LlmKvType type, int64_t first, int n, float *buffer)
{
	const uint16_t *half = (const uint16_t *) page + first;

	if (type == LLM_KV_F32)
		return (const float *) page + first;
	for (int i = 0; i < n; i++)
		buffer[i] = llmk_half_inline(half[i]);
	return buffer;
}

/* acc += p * row of n values from head dimension d on, for the visible keys in ascending order */
static void
add_values(const LlmkAttend *a, int query, const float *p)
{
	float		buffer[LLMK_PAGE_KEYS];
	float	   *acc = a->acc[query];

	for (int key = a->key_begin[query]; key < a->key_end[query]; key++)
	{
		for (int d = 0; d < a->head_dim_v; d += LLMK_PAGE_KEYS)
		{
			int			n = a->head_dim_v - d < LLMK_PAGE_KEYS ? a->head_dim_v - d : LLMK_PAGE_KEYS;
			const float *v = page_row(a->v_page, a->kv_type, (int64_t) key * a->head_dim_v + d, n, buffer);

			for (int i = 0; i < n; i++)
				acc[d + i] = __builtin_fmaf(p[key], v[i], acc[d + i]);
		}
	}
}

static void
attend_query(const LlmkAttend *a, int query)
{
	int			begin = a->key_begin[query];
	int			end = a->key_end[query];
	float		p[LLMK_PAGE_KEYS] = {0};
	float		lane[LLMK_LANES] = {0};
	float		buffer[LLMK_PAGE_KEYS];
	float		max = a->max[query];
	float		base;
	float		factor;

	for (int d = 0; d < a->head_dim_k; d++)
	{
		const float *k = page_row(a->k_page, a->kv_type, (int64_t) d * LLMK_PAGE_KEYS, LLMK_PAGE_KEYS, buffer);

		for (int key = begin; key < end; key++)
			p[key] = __builtin_fmaf(a->q[query][d], k[key], p[key]);
	}
	for (int key = begin; key < end; key++)
	{
		p[key] *= a->scale;
		if (a->softcap != 0)
			p[key] = a->softcap * llmk_tanhf_inline(p[key] / a->softcap);
		if (a->slope)
			p[key] = llmk_distance_score(p[key], a->slope[query], a->distance[query], key);
		max = llmk_larger(p[key], max);
	}
	base = llmk_softmax_base(max);
	for (int key = begin; key < end; key++)
	{
		p[key] = llmk_exp_softmax_inline(p[key] - base);
		lane[key % LLMK_LANES] += p[key];
	}
	factor = llmk_attend_update(a, query, max, llmk_lane_tree(lane));
	for (int d = 0; d < a->head_dim_v; d++)
		a->acc[query][d] *= factor;
	add_values(a, query, p);
}

static void
attend_page_generic(const LlmkAttend *a)
{
	for (int query = 0; query < a->n_queries; query++)
	{
		if (a->key_begin[query] < a->key_end[query])
			attend_query(a, query);
	}
}

static void
attend_merge_generic(float *max, float *sum, float *acc, float max2, float sum2, const float *acc2, int head_dim_v)
{
	float		factor;
	float		factor2;

	if (!llmk_merge_factors(max, sum, max2, sum2, &factor, &factor2))
		return;
	for (int d = 0; d < head_dim_v; d++)
		acc[d] = __builtin_fmaf(acc2[d], factor2, acc[d] * factor);
}

/* write n floats to every stride-th element of a page, from the given one on */
static void
store_strided(const float *x, int n, LlmKvType type, int64_t first, int64_t stride, void *page)
{
	for (int i = 0; i < n; i++)
	{
		if (type == LLM_KV_F32)
			((float *) page)[first + i * stride] = x[i];
		else
			((uint16_t *) page)[first + i * stride] = llmk_float_to_half(x[i]);
	}
}

static void
store_key_generic(const float *k, int head_dim, LlmKvType type, int slot, void *k_page)
{
	if (type == LLM_KV_Q8)
		llmk_q8_store_key(k, head_dim, slot, k_page);
	else
		store_strided(k, head_dim, type, slot, LLMK_PAGE_KEYS, k_page);
}

static void
store_value_generic(const float *v, int head_dim, LlmKvType type, int slot, void *v_page)
{
	if (type == LLM_KV_Q8)
		llmk_q8_store_value(v, head_dim, slot, v_page);
	else
		store_strided(v, head_dim, type, (int64_t) slot * head_dim, 1, v_page);
}

void
llmk_attention_fill_generic(LlmKernels *k)
{
	k->attend_page = attend_page_generic;
	k->attend_merge = attend_merge_generic;
	k->store_key = store_key_generic;
	k->store_value = store_value_generic;
	k->read_keys = llmk_q8_read_keys_generic;
	k->read_values = llmk_q8_read_values_generic;
}
