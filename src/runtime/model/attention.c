/*
 * attention.c: rotary positions, writing keys and values, and attention over cached pages.
 *
 * Keys and values are rounded to the cache's type when written, and attention reads only the stored form, also for the
 * tokens of the same chunk: so a token's result does not depend on how its prompt was cut into chunks. A query's keys are
 * taken in pages of 64 at absolute positions; spans of 512 keys have a running softmax of their own and are merged in
 * ascending order. A layer with a window reads only the pages in which its window lies; a query's first span is the one
 * where its own window begins, whatever its neighbours in a tile see. Where a token sees those after it, its whole sequence is
 * in the batch, and all keys of a layer are stored before the first query: then pages have room for one layer only.
 */
#include <math.h>
#include <string.h>

#include "model/pass.h"

#define SPAN_PAGES 8

/* multiply-adds of a tile at most, so that it takes a few milliseconds */
#define TILE_MACS (32.0 * 1024 * 1024)

typedef struct AttnJob
{
	const LlmPass *pass;
	const LlmLayer *layer;
} AttnJob;

static void
norm_head(const LlmModel *m, const LlmNorm *norm, float *x, uint32_t head)
{
	const LlmNorm own = {norm->weight + (m->arch->qk_norm == LLM_QK_NORM_EACH ? (size_t) head * m->hp.head_dim_k : 0), NULL};

	llm_norm_row(m, m->arch->qk_norm == LLM_QK_NORM_EACH ? &own : norm, x, m->hp.head_dim_k, x);
}

/* queries or keys of one token: norm, rope, and for queries the scale of their position */
static void
prepare_heads(const LlmModel *m, const LlmNorm *norm, float *x, uint32_t n_head, const float *cosine, const float *sine)
{
	const uint32_t n = m->hp.head_dim_k;
	const uint32_t n_pairs = m->hp.n_rot / 2;
	void		(*rope) (float *, const float *, const float *, int64_t) =
		m->arch->rope == LLM_ROPE_NEOX ? m->kernels->rope_neox : m->kernels->rope_norm;
	const bool	by_head = norm->weight && m->arch->qk_norm != LLM_QK_NORM_WHOLE;
	const bool	late = (m->arch->traits & LLM_TRAIT_QK_NORM_LATE) != 0;

	if (norm->weight && m->arch->qk_norm == LLM_QK_NORM_WHOLE)
		llm_norm_row(m, norm, x, (int64_t) n_head * n, x);
	for (uint32_t h = 0; h < n_head; h++)
	{
		if (by_head && !late)
			norm_head(m, norm, x + h * n, h);
		if (cosine)
			rope(x + h * n, cosine, sine, n_pairs);
		if (by_head && late)
			norm_head(m, norm, x + h * n, h);
	}
}

/* Source: transformers' modeling_llama4; as Ministral 3 has it */
static void
scale_queries(const LlmModel *m, float *q, uint32_t n_head, uint32_t position)
{
	double		steps = (position + m->hp.query_scale_from) / m->hp.query_scale_length;
	double		factor = 1 + m->hp.query_scale * llmk_log(1 + steps);

	m->kernels->scale(q, (int64_t) n_head * m->hp.head_dim_k, (float) factor);
}

/* the queries of a row that has each head's query and gate */
static void
take_queries(const LlmPass *pass, int64_t n_head, int64_t row, float *q)
{
	const int64_t n = pass->model->hp.head_dim_k;

	for (int64_t h = 0; h < n_head; h++)
		memcpy(q + h * n, pass->q_gate + (row * n_head + h) * 2 * n, (size_t) n * sizeof(float));
}

static void
clamp(float *x, int64_t n, float limit)
{
	for (int64_t i = 0; i < n; i++)
		x[i] = x[i] > limit ? limit : x[i] < -limit ? -limit : x[i];
}

static void
store_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const AttnJob *job = arg;
	const LlmPass *pass = job->pass;
	const LlmModel *m = pass->model;
	const LlmHparams *hp = &m->hp;
	const int	rope = job->layer->rope;
	const uint32_t n_head = job->layer->n_head;
	const uint32_t n_head_kv = job->layer->n_head_kv;
	const uint32_t n_pairs = hp->n_rot / 2;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		const LlmSegment *segment = &pass->segments[pass->row_segment[row]];
		uint32_t	page = pass->row_position[row] / LLMK_PAGE_KEYS;
		int			slot = (int) (pass->row_position[row] % LLMK_PAGE_KEYS);
		float	   *q = pass->q + row * n_head * hp->head_dim_k;
		float	   *k = pass->k + row * n_head_kv * hp->head_dim_k;
		float	   *v = pass->v + row * n_head_kv * hp->head_dim_v;
		const float *cosine = rope < 0 ? NULL : pass->cosine[rope] + row * n_pairs;
		const float *sine = rope < 0 ? NULL : pass->sine[rope] + row * n_pairs;

		if (m->arch->traits & LLM_TRAIT_OUT_GATE)
			take_queries(pass, n_head, row, q);
		if (hp->clamp_qkv > 0)
		{
			clamp(q, (int64_t) n_head * hp->head_dim_k, hp->clamp_qkv);
			clamp(k, (int64_t) n_head_kv * hp->head_dim_k, hp->clamp_qkv);
			clamp(v, (int64_t) n_head_kv * hp->head_dim_v, hp->clamp_qkv);
		}
		prepare_heads(m, &job->layer->q_norm, q, n_head, cosine, sine);
		if (job->layer->wk.w.data)
			prepare_heads(m, &job->layer->k_norm, k, n_head_kv, cosine, sine);
		if (hp->query_scale != 0 && (!hp->query_scale_plain || rope < 0))
			scale_queries(m, q, n_head, pass->row_position[row]);
		/* a layer without keys of its own reads those of an earlier one */
		for (uint32_t h = 0; h < n_head_kv && job->layer->wk.w.data; h++)
		{
			if (job->layer->v_norm.weight)
				llm_norm_row(m, &job->layer->v_norm, v + h * hp->head_dim_v, hp->head_dim_v, v + h * hp->head_dim_v);
			m->kernels->store_key(k + h * hp->head_dim_k, (int) hp->head_dim_k, pass->kv->type, slot,
								  llm_kv_keys(pass->kv, segment->seq, page, job->layer->state_index, h));
			m->kernels->store_value(v + h * hp->head_dim_v, (int) hp->head_dim_v, pass->kv->type, slot,
									llm_kv_values(pass->kv, segment->seq, page, job->layer->state_index, h));
		}
	}
}

/* cut the batch into tiles, for `group` heads that share a key/value head */
static void
plan(LlmPass *pass, uint32_t group)
{
	const LlmHparams *hp = &pass->model->hp;
	uint32_t	row = 0;
	int			next_kept = 0;

	pass->tile_group = group;
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
			while (next_kept < pass->n_kept && (uint32_t) pass->kept[next_kept] < tile->row)
				next_kept++;
			tile->wanted = next_kept < pass->n_kept && (uint32_t) pass->kept[next_kept] < tile->row + tile->n_tokens;
		}
		row += segment->n_tokens;
	}
}

void
llm_attention_plan(LlmPass *pass)
{
	const LlmHparams *hp = &pass->model->hp;

	if (hp->n_layer_attn > 0)
		plan(pass, hp->n_head / hp->n_head_kv);
}

LlmStatus
llm_attention_store(LlmPass *pass, const LlmLayer *layer)
{
	AttnJob		job = {pass, layer};
	int64_t		width = (int64_t) (layer->n_head + layer->n_head_kv) * pass->model->hp.head_dim_k;

	if (layer->n_head / layer->n_head_kv != pass->tile_group && !layer->latent)
		plan(pass, layer->n_head / layer->n_head_kv);
	return llm_pool_run(pass->pool, store_piece, &job, pass->n_rows, llm_rows_per_piece(width), NULL);
}

/* the first position that a query sees, and the end of those that it sees */
static uint32_t
first_seen(const LlmLayer *layer, uint32_t position)
{
	if (layer->chunk > 0)
		return position / layer->chunk * layer->chunk;
	return position < layer->see_before ? 0 : position - layer->see_before;
}

static uint32_t
end_seen(const AttnJob *job, const LlmTile *tile, uint32_t position)
{
	const LlmSegment *segment = &job->pass->segments[tile->segment];
	const uint32_t end = segment->seq->n_past + segment->n_tokens;

	return end - position > job->layer->see_after ? position + job->layer->see_after + 1 : end;
}

/* how much of a page lies before an absolute position */
static int
keys_before(uint32_t page, uint32_t position)
{
	int64_t		n = (int64_t) position - (int64_t) page * LLMK_PAGE_KEYS;

	return n < 0 ? 0 : n > LLMK_PAGE_KEYS ? LLMK_PAGE_KEYS : (int) n;
}

/* values that the cache does not hold apart: the leading dimensions of a page's keys, turned */
static const void *
values_of_keys(const LlmModel *m, const void *k_page, LlmKvType type, void *values)
{
	const uint32_t n = m->hp.head_dim_v;

	for (uint32_t i = 0; i < LLMK_PAGE_KEYS; i++)
	{
		for (uint32_t d = 0; d < n; d++)
		{
			if (type == LLM_KV_F32)
				((uint32_t *) values)[i * n + d] = ((const uint32_t *) k_page)[d * LLMK_PAGE_KEYS + i];
			else
				((uint16_t *) values)[i * n + d] = ((const uint16_t *) k_page)[d * LLMK_PAGE_KEYS + i];
		}
	}
	return values;
}

/* keys and values of a page, in the form that attention reads */
static void
set_page(const AttnJob *job, const LlmKvSeq *seq, uint32_t page, uint32_t kv_head, LlmTileScratch *s, LlmkAttend *a)
{
	const LlmPass *pass = job->pass;
	const LlmModel *m = pass->model;
	const void *values = NULL;

	a->k_page = llm_kv_keys(pass->kv, seq, page, job->layer->state_index, kv_head);
	if (m->hp.stored_dim_v > 0)
		values = llm_kv_values(pass->kv, seq, page, job->layer->state_index, kv_head);
	if (pass->kv->type == LLM_KV_Q8)
	{
		m->kernels->read_keys(a->k_page, (int) m->hp.head_dim_k, s->keys);
		a->k_page = s->keys;
		if (values)
		{
			m->kernels->read_values(values, (int) m->hp.head_dim_v, s->values);
			values = s->values;
		}
	}
	a->v_page = values ? values : values_of_keys(m, a->k_page, a->kv_type, s->values);
}

/* the pages of one span, for all queries of a tile */
static void
attend_span(const AttnJob *job, const LlmTile *tile, uint32_t kv_head, uint32_t n_heads, uint32_t first_page,
			uint32_t end_page, LlmTileScratch *s, float *max, float *sum, float *const *acc)
{
	const LlmPass *pass = job->pass;
	const LlmModel *m = pass->model;
	const LlmKvSeq *seq = pass->segments[tile->segment].seq;
	LlmkAttend	a = {
		.n_queries = (int) (tile->n_tokens * n_heads),
		.head_dim_k = (int) m->hp.head_dim_k,
		.head_dim_v = (int) m->hp.head_dim_v,
		.kv_type = pass->kv->type == LLM_KV_F16 ? LLM_KV_F16 : LLM_KV_F32,
		.scale = m->hp.attn_scale,
		.softcap = m->hp.attn_cap,
		.slope = m->alibi ? s->slope : NULL,
		.distance = s->distance,
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
	}
	for (uint32_t page = first_page; page < end_page; page++)
	{
		for (uint32_t t = 0; t < tile->n_tokens; t++)
		{
			int			begin = keys_before(page, first_seen(job->layer, tile->position + t));
			int			end = keys_before(page, end_seen(job, tile, tile->position + t));
			int64_t		distance = (int64_t) tile->position + t - (int64_t) page * LLMK_PAGE_KEYS;

			for (uint32_t h = 0; h < n_heads; h++)
			{
				s->distance[t * n_heads + h] = (int) distance;
				s->key_begin[t * n_heads + h] = begin;
				s->key_end[t * n_heads + h] = end;
			}
		}
		set_page(job, seq, page, kv_head, s, &a);
		m->kernels->attend_page(&a);
	}
}

/* take a span's state into that of query i: its first is taken as it is; one that the query does not reach is left out */
static void
merge_span(const AttnJob *job, const LlmTile *tile, uint32_t n_heads, uint32_t span, LlmTileScratch *s, uint32_t i)
{
	const LlmModel *m = job->pass->model;
	const uint32_t position = tile->position + i / n_heads;
	const uint32_t first = first_seen(job->layer, position) / (SPAN_PAGES * LLMK_PAGE_KEYS);
	const uint32_t last = (end_seen(job, tile, position) - 1) / (SPAN_PAGES * LLMK_PAGE_KEYS);

	if (span < first || span > last)
		return;
	if (span > first)
	{
		m->kernels->attend_merge(&s->max[i], &s->sum[i], s->acc[i], s->span_max[i], s->span_sum[i], s->span_acc[i],
								 (int) m->hp.head_dim_v);
		return;
	}
	s->max[i] = s->span_max[i];
	s->sum[i] = s->span_sum[i];
	memcpy(s->acc[i], s->span_acc[i], m->hp.head_dim_v * sizeof(float));
}

/* a sink is a key of its head that every query sees last, whose value is 0 */
static void
add_sink(const LlmModel *m, float sink, LlmTileScratch *s, uint32_t i)
{
	memset(s->span_acc[i], 0, m->hp.head_dim_v * sizeof(float));
	m->kernels->attend_merge(&s->max[i], &s->sum[i], s->acc[i], sink, 1.0f, s->span_acc[i], (int) m->hp.head_dim_v);
}

static void
attend_tile(const AttnJob *job, const LlmTile *tile, uint32_t kv_head, uint32_t first_head, uint32_t n_heads,
			LlmTileScratch *s)
{
	const LlmPass *pass = job->pass;
	const LlmModel *m = pass->model;
	const LlmHparams *hp = &m->hp;
	const uint32_t n_queries = tile->n_tokens * n_heads;
	const uint32_t n_pages = (end_seen(job, tile, tile->position + tile->n_tokens - 1) - 1) / LLMK_PAGE_KEYS + 1;
	const uint32_t first_page = first_seen(job->layer, tile->position) / LLMK_PAGE_KEYS;
	const uint32_t first_span = first_page / SPAN_PAGES;
	const uint32_t last_first = first_seen(job->layer, tile->position + tile->n_tokens - 1) / LLMK_PAGE_KEYS / SPAN_PAGES;

	for (uint32_t t = 0; t < tile->n_tokens; t++)
	{
		for (uint32_t h = 0; h < n_heads; h++)
		{
			size_t		head = (size_t) (tile->row + t) * job->layer->n_head + first_head + h;

			s->q[t * n_heads + h] = pass->q + head * hp->head_dim_k;
			s->acc[t * n_heads + h] = pass->attn + head * hp->head_dim_v;
			s->slope[t * n_heads + h] = m->alibi ? m->alibi[first_head + h] : 0;
		}
	}
	for (uint32_t span = first_span; span * SPAN_PAGES < n_pages; span++)
	{
		uint32_t	page = span > first_span ? span * SPAN_PAGES : first_page;
		uint32_t	end_page = (span + 1) * SPAN_PAGES < n_pages ? (span + 1) * SPAN_PAGES : n_pages;

		if (span == first_span && last_first == first_span)
		{
			/* the first of all queries: no merging, no copy */
			attend_span(job, tile, kv_head, n_heads, page, end_page, s, s->max, s->sum, s->acc);
			continue;
		}
		attend_span(job, tile, kv_head, n_heads, page, end_page, s, s->span_max, s->span_sum, s->span_acc);
		for (uint32_t i = 0; i < n_queries; i++)
			merge_span(job, tile, n_heads, span, s, i);
	}
	for (uint32_t i = 0; i < n_queries; i++)
	{
		if (job->layer->sinks)
			add_sink(m, job->layer->sinks[first_head + i % n_heads], s, i);
		m->kernels->scale(s->acc[i], hp->head_dim_v, 1.0f / s->sum[i]);
	}
}

static void
attend_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const AttnJob *job = arg;
	const LlmPass *pass = job->pass;
	const LlmHparams *hp = &pass->model->hp;
	const uint32_t n_head_kv = job->layer->n_head_kv;
	const uint32_t group = job->layer->n_head / n_head_kv;
	LlmTileScratch *s = &pass->scratch[thread];

	for (uint32_t i = 0; i < LLM_TILE_QUERIES; i++)
		s->span_acc[i] = s->span_data + (size_t) i * hp->head_dim_v;
	for (int64_t index = begin; index < end; index++)
	{
		uint32_t	head_group = (uint32_t) (index % pass->tile_head_groups);
		uint32_t	kv_head = (uint32_t) (index / pass->tile_head_groups % n_head_kv);
		const LlmTile *tile = &pass->tiles[index / pass->tile_head_groups / n_head_kv];
		uint32_t	first = head_group * pass->tile_heads;
		uint32_t	n_heads = group - first < pass->tile_heads ? group - first : pass->tile_heads;

		if (tile->wanted || pass->layer != pass->last_mixer)
			attend_tile(job, tile, kv_head, kv_head * group + first, n_heads, s);
	}
}

LlmStatus
llm_attention_run(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	AttnJob		job = {pass, layer};
	int64_t		n = (int64_t) pass->n_tiles * layer->n_head_kv * pass->tile_head_groups;

	return llm_pool_run(pass->pool, attend_piece, &job, n, 1, stop);
}

/* ---- gates: a head's output is times the sigmoid of its gate ---- */

static void
gate_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const AttnJob *job = arg;
	const LlmPass *pass = job->pass;
	const int64_t n = pass->model->hp.head_dim_v;
	const int64_t n_head = job->layer->n_head;

	(void) thread;
	for (int64_t i = begin * n_head; i < end * n_head; i++)
	{
		const float *gate = pass->q_gate + (2 * i + 1) * n;
		float	   *out = pass->attn + i * n;

		for (int64_t d = 0; d < n; d++)
			out[d] *= 1.0f / (1.0f + llmk_expf(-gate[d]));
	}
}

/* multiplies in place, so it does not pause */
LlmStatus
llm_attention_gate(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	AttnJob		job = {pass, layer};
	const int64_t width = (int64_t) layer->n_head * pass->model->hp.head_dim_v;

	(void) stop;
	if (!(pass->model->arch->traits & LLM_TRAIT_OUT_GATE))
		return LLM_OK;
	return llm_pool_run(pass->pool, gate_piece, &job, pass->n_rows, llm_rows_per_piece(width), NULL);
}
