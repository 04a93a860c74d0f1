/*
 * attention.c: rotary positions, writing keys and values, and attention over cached pages.
 *
 * Keys and values are rounded to the cache's type when written, and attention reads only the stored form, also for the
 * tokens of the same chunk: so a token's result does not depend on how its prompt was cut into chunks. A query's keys are
 * taken in pages of 64 at absolute positions; spans of 512 keys have a running softmax of their own and are merged in
 * ascending order.
 */
#include <math.h>
#include <string.h>

#include "model/pass.h"

#define SPAN_PAGES 8

/* multiply-adds of a tile at most, so that it takes a few milliseconds */
#define TILE_MACS (32.0 * 1024 * 1024)

void
llm_attention_store(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const LlmModel *m = pass->model;
	const LlmHparams *hp = &m->hp;
	const uint32_t n_pairs = hp->n_rot / 2;
	void		(*rope) (float *, const float *, const float *, int64_t) =
		m->arch->rope == LLM_ROPE_NEOX ? m->kernels->rope_neox : m->kernels->rope_norm;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		const LlmSegment *segment = &pass->segments[pass->row_segment[row]];
		uint32_t	page = pass->row_position[row] / LLMK_PAGE_KEYS;
		int			slot = (int) (pass->row_position[row] % LLMK_PAGE_KEYS);
		float	   *q = pass->q + row * hp->n_head * hp->head_dim_k;
		float	   *k = pass->k + row * hp->n_head_kv * hp->head_dim_k;
		const float *v = pass->v + row * hp->n_head_kv * hp->head_dim_v;
		const float *cosine = pass->cosine + row * n_pairs;
		const float *sine = pass->sine + row * n_pairs;

		for (uint32_t h = 0; h < hp->n_head; h++)
			rope(q + h * hp->head_dim_k, cosine, sine, n_pairs);
		for (uint32_t h = 0; h < hp->n_head_kv; h++)
		{
			rope(k + h * hp->head_dim_k, cosine, sine, n_pairs);
			m->kernels->store_key(k + h * hp->head_dim_k, (int) hp->head_dim_k, pass->kv->type, slot,
								  llm_kv_keys(pass->kv, segment->seq, page, pass->layer, h));
			m->kernels->store_value(v + h * hp->head_dim_v, (int) hp->head_dim_v, pass->kv->type, slot,
									llm_kv_values(pass->kv, segment->seq, page, pass->layer, h));
		}
	}
}

void
llm_attention_plan(LlmPass *pass)
{
	const LlmHparams *hp = &pass->model->hp;
	const uint32_t group = hp->n_head / hp->n_head_kv;
	uint32_t	row = 0;

	pass->tile_heads = group < LLM_TILE_QUERIES ? group : LLM_TILE_QUERIES;
	pass->tile_head_groups = (group + pass->tile_heads - 1) / pass->tile_heads;
	pass->n_tiles = 0;
	for (int s = 0; s < pass->n_segments; s++)
	{
		const LlmSegment *segment = &pass->segments[s];
		double		token_macs = (double) (segment->seq->n_past + segment->n_tokens) * pass->tile_heads *
			(hp->head_dim_k + hp->head_dim_v);
		double		limit = TILE_MACS / token_macs;
		uint32_t	tile_tokens = LLM_TILE_QUERIES / pass->tile_heads;

		if (limit < tile_tokens)
			tile_tokens = limit < 1 ? 1 : (uint32_t) limit;
		for (uint32_t t = 0; t < segment->n_tokens; t += tile_tokens)
		{
			LlmTile    *tile = &pass->tiles[pass->n_tiles++];

			tile->segment = s;
			tile->row = row + t;
			tile->position = segment->seq->n_past + t;
			tile->n_tokens = segment->n_tokens - t < tile_tokens ? segment->n_tokens - t : tile_tokens;
		}
		row += segment->n_tokens;
	}
}

/* the pages of one span, for all queries of a tile */
static void
attend_span(const LlmPass *pass, const LlmTile *tile, uint32_t kv_head, uint32_t n_heads, uint32_t first_page,
			uint32_t end_page, LlmTileScratch *s, float *max, float *sum, float *const *acc)
{
	const LlmModel *m = pass->model;
	const LlmKvSeq *seq = pass->segments[tile->segment].seq;
	LlmkAttend	a = {
		.n_queries = (int) (tile->n_tokens * n_heads),
		.head_dim_k = (int) m->hp.head_dim_k,
		.head_dim_v = (int) m->hp.head_dim_v,
		.kv_type = pass->kv->type,
		.scale = 1.0f / sqrtf((float) m->hp.head_dim_k),
		.q = s->q,
		.key_begin = s->key_begin,
		.key_end = s->key_end,
		.max = max,
		.sum = sum,
		.acc = acc,
	};

	for (int i = 0; i < a.n_queries; i++)
	{
		max[i] = -INFINITY;
		sum[i] = 0;
		memset(acc[i], 0, m->hp.head_dim_v * sizeof(float));
		s->key_begin[i] = 0;
	}
	for (uint32_t page = first_page; page < end_page; page++)
	{
		int64_t		page_start = (int64_t) page * LLMK_PAGE_KEYS;

		for (uint32_t t = 0; t < tile->n_tokens; t++)
		{
			int64_t		visible = (int64_t) tile->position + t + 1 - page_start;
			int			end = visible < 0 ? 0 : visible > LLMK_PAGE_KEYS ? LLMK_PAGE_KEYS : (int) visible;

			for (uint32_t h = 0; h < n_heads; h++)
				s->key_end[t * n_heads + h] = end;
		}
		a.k_page = llm_kv_keys(pass->kv, seq, page, pass->layer, kv_head);
		a.v_page = llm_kv_values(pass->kv, seq, page, pass->layer, kv_head);
		m->kernels->attend_page(&a);
	}
}

static void
attend_tile(const LlmPass *pass, const LlmTile *tile, uint32_t kv_head, uint32_t first_head, uint32_t n_heads,
			LlmTileScratch *s)
{
	const LlmModel *m = pass->model;
	const LlmHparams *hp = &m->hp;
	const uint32_t n_queries = tile->n_tokens * n_heads;
	const uint32_t n_pages = (tile->position + tile->n_tokens - 1) / LLMK_PAGE_KEYS + 1;

	for (uint32_t t = 0; t < tile->n_tokens; t++)
	{
		for (uint32_t h = 0; h < n_heads; h++)
		{
			size_t		head = (size_t) (tile->row + t) * hp->n_head + first_head + h;

			s->q[t * n_heads + h] = pass->q + head * hp->head_dim_k;
			s->acc[t * n_heads + h] = pass->attn + head * hp->head_dim_v;
		}
	}
	for (uint32_t page = 0; page < n_pages; page += SPAN_PAGES)
	{
		uint32_t	end_page = n_pages - page < SPAN_PAGES ? n_pages : page + SPAN_PAGES;

		if (page == 0)
		{
			attend_span(pass, tile, kv_head, n_heads, page, end_page, s, s->max, s->sum, s->acc);
			continue;
		}
		attend_span(pass, tile, kv_head, n_heads, page, end_page, s, s->span_max, s->span_sum, s->span_acc);
		for (uint32_t i = 0; i < n_queries; i++)
		{
			/* a query before this span has seen nothing of it */
			if (tile->position + i / n_heads >= page * LLMK_PAGE_KEYS)
				m->kernels->attend_merge(&s->max[i], &s->sum[i], s->acc[i], s->span_max[i], s->span_sum[i], s->span_acc[i],
										 (int) hp->head_dim_v);
		}
	}
	for (uint32_t i = 0; i < n_queries; i++)
		m->kernels->scale(s->acc[i], hp->head_dim_v, 1.0f / s->sum[i]);
}

static void
attend_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const LlmHparams *hp = &pass->model->hp;
	const uint32_t group = hp->n_head / hp->n_head_kv;
	LlmTileScratch *s = &pass->scratch[thread];

	for (uint32_t i = 0; i < LLM_TILE_QUERIES; i++)
		s->span_acc[i] = s->span_data + (size_t) i * hp->head_dim_v;
	for (int64_t index = begin; index < end; index++)
	{
		uint32_t	head_group = (uint32_t) (index % pass->tile_head_groups);
		uint32_t	kv_head = (uint32_t) (index / pass->tile_head_groups % hp->n_head_kv);
		const LlmTile *tile = &pass->tiles[index / pass->tile_head_groups / hp->n_head_kv];
		uint32_t	first = head_group * pass->tile_heads;
		uint32_t	n_heads = group - first < pass->tile_heads ? group - first : pass->tile_heads;

		attend_tile(pass, tile, kv_head, kv_head * group + first, n_heads, s);
	}
}

LlmStatus
llm_attention_run(LlmPass *pass, const LlmStop *stop)
{
	int64_t		n = (int64_t) pass->n_tiles * pass->model->hp.n_head_kv * pass->tile_head_groups;

	return llm_pool_run(pass->pool, attend_piece, pass, n, 1, stop);
}
