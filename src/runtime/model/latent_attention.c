/*
 * latent_attention.c: multi-head latent attention, whose cache holds one latent a token instead of keys and values by head.
 *
 * Keys and values of head h would be K_h c and V_h c of a token's latent c (kv_rank), beside a rotated key (n_rot) that all
 * heads share. Since (q, K_h c) = (K_h' q, c), queries are taken to latents instead, and V_h is applied to what attention
 * makes of the latents. So all heads share one key, the latent with the rotated part, and one value, the latent: plain
 * attention with a single key/value head, and a cache of kv_rank + n_rot numbers a token, whatever the number of heads.
 *
 * The matrices of the heads work like those of experts, with every row a slot of each. Slots are in the order of heads, then
 * rows. Source: DeepSeek-V2, arXiv 2405.04434, section 2.1.
 */
#include <string.h>

#include "model/pass.h"

/* multiply-adds of a piece at least: tens of microseconds, so that one token of a small model stays on the calling thread */
#define PIECE_MACS (256 * 1024)

/* of the norms of bottlenecks, whatever the model's own is. Source: DeepSeek-V3, inference/model.py; modeling_deepseek_v3 */
#define BOTTLENECK_EPS 1e-6f

/* one product of every head: the leading lin->w.n_cols of head h of a row of x, to head h of the row of out */
typedef struct HeadsJob
{
	const LlmPass *pass;
	const LlmExpertLinear *lin;
	const float *x;				/* (n_rows, n_head, x_width) */
	int64_t		x_width;
	float	   *out;			/* (n_rows, n_head, out_width) */
	int64_t		out_width;
	bool		quantized;
	int64_t		tile_tokens;
	int64_t		n_tiles;
} HeadsJob;

static void
quantize_heads_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const HeadsJob *job = arg;
	const int64_t n_rows = job->pass->n_rows;
	const int64_t n_head = job->pass->model->hp.n_head;

	(void) thread;
	for (int64_t slot = begin; slot < end; slot++)
		llm_linear_quantize_slot(job->pass, job->x + (slot % n_rows * n_head + slot / n_rows) * job->x_width, slot,
								 job->lin->w.n_cols);
}

static void
heads_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const HeadsJob *job = arg;
	const LlmPass *pass = job->pass;
	const int64_t n_head = pass->model->hp.n_head;
	const int64_t n_groups = (job->lin->w.n_rows + LLMK_ROWS - 1) / LLMK_ROWS;

	(void) thread;
	for (int64_t i = begin; i < end; i++)
	{
		const int64_t head = i / job->n_tiles;
		const int64_t first = i % job->n_tiles * job->tile_tokens;
		const int64_t left = pass->n_rows - first;
		LlmkMatrix	w = job->lin->w;
		float	   *out = job->out + (first * n_head + head) * job->out_width;
		LlmkActs	acts = {.n_cols = w.n_cols, .ld_x = n_head * job->x_width};

		acts.n_tokens = left < job->tile_tokens ? left : job->tile_tokens;
		acts.x = job->x + (first * n_head + head) * job->x_width;
		for (int t = 0; job->quantized && t < 2; t++)
			acts.term[t] = llm_term_row(&pass->terms[t], head * pass->n_rows + first, w.n_cols);
		w.data += (size_t) head * job->lin->stride;
		pass->model->kernels->matmul[w.type] (&w, &acts, 0, n_groups, out, n_head * job->out_width);
		llm_linear_finish(pass->model->kernels, job->lin, head, out, acts.n_tokens, n_head * job->out_width, 0, w.n_rows);
	}
}

/* pass, lin, x and out with their widths are set */
static LlmStatus
run_heads(HeadsJob *job, const LlmStop *stop)
{
	const LlmPass *pass = job->pass;
	const int64_t n_head = pass->model->hp.n_head;
	const LlmkMatrix *w = &job->lin->w;
	int64_t		tile_macs;

	job->quantized = llm_is_quantized(w);
	job->tile_tokens = llm_linear_tile_tokens(job->quantized);
	if (job->tile_tokens > pass->n_rows)
		job->tile_tokens = pass->n_rows > 0 ? pass->n_rows : 1;
	job->n_tiles = (pass->n_rows + job->tile_tokens - 1) / job->tile_tokens;
	if (job->quantized)
		LLM_TRY(llm_pool_run(pass->pool, quantize_heads_piece, job, n_head * pass->n_rows, llm_rows_per_piece(w->n_cols), stop));
	tile_macs = job->tile_tokens * w->n_rows * w->n_cols;
	return llm_pool_run(pass->pool, heads_piece, job, n_head * job->n_tiles,
						tile_macs < PIECE_MACS ? PIECE_MACS / tile_macs : 1, stop);
}

/* ---- operations ---- */

/* latents with their rotated keys, and queries or their bottleneck */
static LlmStatus
op_down(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmLinear *lin[2] = {&layer->wq, &layer->wk};
	float	   *out[2] = {layer->latent->q_up.w.data ? pass->q_down : pass->heads, pass->k};
	LlmkActs	acts = llm_linear_acts(pass, pass->norm, pass->n_rows, pass->model->hp.n_embd,
									   llm_is_quantized(&layer->wq.w) || llm_is_quantized(&layer->wk.w));

	return llm_linear_run(pass, lin, out, 2, &acts, stop);
}

typedef struct RowsJob
{
	const LlmPass *pass;
	const LlmLayer *layer;
} RowsJob;

static void
q_norm_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const RowsJob *job = arg;
	const LlmPass *pass = job->pass;
	const int64_t n = pass->model->hp.latent.q_rank;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		pass->model->kernels->rms_norm(pass->q_down + row * n, job->layer->q_norm.weight, n, BOTTLENECK_EPS, pass->q_down + row * n);
		if (llm_is_quantized(&job->layer->latent->q_up.w))
			llm_linear_quantize_row(pass, pass->q_down, row, n);
	}
}

/* normalises in place, so it does not pause */
static LlmStatus
op_q_norm(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	RowsJob		job = {pass, layer};

	(void) stop;
	if (!layer->latent->q_up.w.data)
		return LLM_OK;
	return llm_pool_run(pass->pool, q_norm_piece, &job, pass->n_rows, llm_rows_per_piece(pass->model->hp.latent.q_rank), NULL);
}

static LlmStatus
op_q_up(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmLinear *lin[1] = {&layer->latent->q_up};
	LlmkActs	acts = llm_linear_acts(pass, pass->q_down, pass->n_rows, pass->model->hp.latent.q_rank, llm_is_quantized(&lin[0]->w));

	return lin[0]->w.data ? llm_linear_run(pass, lin, &pass->heads, 1, &acts, stop) : LLM_OK;
}

/* queries of heads to queries of latents */
static LlmStatus
op_absorb(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmHparams *hp = &pass->model->hp;
	HeadsJob	job = {.pass = pass, .lin = &layer->latent->k_up, .x = pass->heads, .x_width = hp->latent.head_dim_k,
	.out = pass->q, .out_width = hp->head_dim_k};

	return run_heads(&job, stop);
}

static void
store_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const RowsJob *job = arg;
	const LlmPass *pass = job->pass;
	const LlmModel *m = pass->model;
	const LlmHparams *hp = &m->hp;
	const uint32_t n_pairs = hp->n_rot / 2;
	const uint32_t plain = hp->latent.head_dim_k - hp->n_rot;
	void		(*rope) (float *, const float *, const float *, int64_t) =
		m->arch->rope == LLM_ROPE_NEOX ? m->kernels->rope_neox : m->kernels->rope_norm;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		const LlmSegment *segment = &pass->segments[pass->row_segment[row]];
		const uint32_t position = pass->row_position[row];
		const float *cosine = pass->cosine[LLM_ROPE_GLOBAL] + row * n_pairs;
		const float *sine = pass->sine[LLM_ROPE_GLOBAL] + row * n_pairs;
		float	   *k = pass->k + row * hp->head_dim_k;

		for (uint32_t h = 0; h < hp->n_head; h++)
		{
			int64_t		head = row * hp->n_head + h;
			float	   *q = pass->q + head * hp->head_dim_k + hp->latent.kv_rank;

			memcpy(q, pass->heads + head * hp->latent.head_dim_k + plain, hp->n_rot * sizeof(float));
			rope(q, cosine, sine, n_pairs);
		}
		m->kernels->rms_norm(k, job->layer->k_norm.weight, hp->latent.kv_rank, BOTTLENECK_EPS, k);
		rope(k + hp->latent.kv_rank, cosine, sine, n_pairs);
		m->kernels->store_key(k, (int) hp->head_dim_k, pass->kv->type, (int) (position % LLMK_PAGE_KEYS),
							  llm_kv_keys(pass->kv, segment->seq, position / LLMK_PAGE_KEYS,
										  pass->model->layers[pass->layer].state_index, 0));
	}
}

/* normalises and rotates in place, so it does not pause */
static LlmStatus
op_store(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	RowsJob		job = {pass, layer};
	int64_t		width = (int64_t) pass->model->hp.n_head * pass->model->hp.n_rot + pass->model->hp.head_dim_k;

	(void) stop;
	return llm_pool_run(pass->pool, store_piece, &job, pass->n_rows, llm_rows_per_piece(width), NULL);
}

/* what attention made of the latents, to values of heads */
static LlmStatus
op_values(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmHparams *hp = &pass->model->hp;
	HeadsJob	job = {.pass = pass, .lin = &layer->latent->v_up, .x = pass->attn, .x_width = hp->head_dim_v,
	.out = pass->heads, .out_width = hp->latent.head_dim_v};

	return run_heads(&job, stop);
}

static void
quantize_values_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const RowsJob *job = arg;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
		llm_linear_quantize_row(job->pass, job->pass->heads, row, job->layer->wo.w.n_cols);
}

static LlmStatus
op_out(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmLinear *lin[1] = {&layer->wo};
	const int64_t width = layer->wo.w.n_cols;
	RowsJob		job = {pass, layer};
	LlmkActs	acts = llm_linear_acts(pass, pass->heads, pass->n_rows, width, llm_is_quantized(&layer->wo.w));

	if (acts.term[0].q)
		LLM_TRY(llm_pool_run(pass->pool, quantize_values_piece, &job, pass->n_rows, llm_rows_per_piece(width), stop));
	return llm_linear_run(pass, lin, &pass->block_out, 1, &acts, stop);
}

const LlmOpFn llm_latent_ops[] = {
	op_down, op_q_norm, op_q_up, op_absorb, op_store, llm_attention_run, llm_keep_rows, op_values, op_out, NULL
};
