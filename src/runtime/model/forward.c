/*
 * forward.c: the pass in reading order.
 *
 * A layer is a list of operations. Each can be run again from its start (it writes buffers that it does not read), so a
 * pause between or inside operations loses nothing; those that change a buffer in place are short and do not pause.
 */
#include <string.h>

#include "model/pass.h"

/* elements of a row-wise piece: tens of microseconds, so that one token runs on the calling thread alone */
#define PIECE_ELEMENTS (32 * 1024)

static int64_t
rows_per_piece(int64_t width)
{
	return width >= PIECE_ELEMENTS ? 1 : PIECE_ELEMENTS / width;
}

static bool
is_quantized(const LlmLinear *lin)
{
	return llmk_type_info(lin->w.type)->quantized;
}

/* ---- embedding ---- */

static void
embed_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const LlmModel *m = pass->model;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
		m->kernels->get_row[m->token_embd.type] (&m->token_embd, pass->row_token[row], pass->x + row * m->hp.n_embd);
}

static void
rope_table_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const uint32_t n = pass->model->hp.n_rot / 2;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		for (uint32_t i = 0; i < n; i++)
		{
			double		sine;
			double		cosine;

			llmk_sincos(pass->row_position[row] * pass->model->rope_freq[i], &sine, &cosine);
			pass->sine[row * n + i] = (float) sine;
			pass->cosine[row * n + i] = (float) cosine;
		}
	}
}

static LlmStatus
embed(LlmPass *pass, const LlmStop *stop)
{
	LLM_TRY(llm_pool_run(pass->pool, rope_table_piece, pass, pass->n_rows, 16, stop));
	return llm_pool_run(pass->pool, embed_piece, pass, pass->n_rows, rows_per_piece(pass->model->hp.n_embd), stop);
}

/* ---- rows: norm, residual, activation; each with the quantization that the next product needs ---- */

typedef struct RowJob
{
	const LlmPass *pass;
	const float *weight;
	const float *in;			/* rows of n_embd */
	const int32_t *row_index;	/* NULL: row i of in; else row row_index[i] */
	bool		quantize;
} RowJob;

static void
norm_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const RowJob *job = arg;
	const LlmPass *pass = job->pass;
	const LlmModel *m = pass->model;
	const int64_t n = m->hp.n_embd;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		int64_t		from = job->row_index ? job->row_index[row] : row;

		m->kernels->rms_norm(job->in + from * n, job->weight, n, m->hp.norm_eps, pass->norm + row * n);
		if (job->quantize)
			llm_linear_quantize_row(pass, pass->norm, row, n);
	}
}

static void
quantize_attn_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const int64_t n = (int64_t) pass->model->hp.n_head * pass->model->hp.head_dim_v;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
		llm_linear_quantize_row(pass, pass->attn, row, n);
}

static void
residual_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const int64_t n = pass->model->hp.n_embd;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
		pass->model->kernels->add(pass->x + row * n, pass->block_out + row * n, n);
}

static void
activate_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const RowJob *job = arg;
	const LlmPass *pass = job->pass;
	const int64_t n = pass->model->hp.n_ff;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		pass->model->kernels->silu_mul(pass->gate + row * n, pass->up + row * n, n, pass->gate + row * n);
		if (job->quantize)
			llm_linear_quantize_row(pass, pass->gate, row, n);
	}
}

/* ---- operations of a layer ---- */

typedef LlmStatus (*OpFn) (LlmPass *pass, const LlmLayer *layer, const LlmStop *stop);

static LlmStatus
op_attn_norm(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	RowJob		job = {.pass = pass, .weight = layer->attn_norm, .in = pass->x};

	job.quantize = is_quantized(&layer->wq) || is_quantized(&layer->wk) || is_quantized(&layer->wv);
	return llm_pool_run(pass->pool, norm_piece, &job, pass->n_rows, rows_per_piece(pass->model->hp.n_embd), stop);
}

static LlmStatus
op_qkv(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmLinear *lin[3] = {&layer->wq, &layer->wk, &layer->wv};
	float	   *out[3] = {pass->q, pass->k, pass->v};
	LlmkActs	acts = llm_linear_acts(pass, pass->norm, pass->n_rows, pass->model->hp.n_embd, true);

	return llm_linear_run(pass, lin, out, 3, &acts, stop);
}

/* rotates in place, so it does not pause */
static LlmStatus
op_store(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	int64_t		width = (int64_t) (pass->model->hp.n_head + pass->model->hp.n_head_kv) * pass->model->hp.head_dim_k;

	(void) layer;
	(void) stop;
	return llm_pool_run(pass->pool, llm_attention_store, pass, pass->n_rows, rows_per_piece(width), NULL);
}

static LlmStatus
op_attend(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	(void) layer;
	return llm_attention_run(pass, stop);
}

static LlmStatus
op_attn_out(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmLinear *lin[1] = {&layer->wo};
	float	   *out[1] = {pass->block_out};
	int64_t		width = layer->wo.w.n_cols;
	LlmkActs	acts = llm_linear_acts(pass, pass->attn, pass->n_rows, width, is_quantized(&layer->wo));

	if (acts.term[0].q)
		LLM_TRY(llm_pool_run(pass->pool, quantize_attn_piece, pass, pass->n_rows, rows_per_piece(width), stop));
	return llm_linear_run(pass, lin, out, 1, &acts, stop);
}

/* adds in place, so it does not pause */
static LlmStatus
op_residual(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	(void) layer;
	(void) stop;
	return llm_pool_run(pass->pool, residual_piece, pass, pass->n_rows, rows_per_piece(pass->model->hp.n_embd), NULL);
}

static LlmStatus
op_ffn_norm(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	RowJob		job = {.pass = pass, .weight = layer->ffn_norm, .in = pass->x};

	job.quantize = is_quantized(&layer->ffn_gate) || is_quantized(&layer->ffn_up);
	return llm_pool_run(pass->pool, norm_piece, &job, pass->n_rows, rows_per_piece(pass->model->hp.n_embd), stop);
}

static LlmStatus
op_gate_up(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmLinear *lin[2] = {&layer->ffn_gate, &layer->ffn_up};
	float	   *out[2] = {pass->gate, pass->up};
	LlmkActs	acts = llm_linear_acts(pass, pass->norm, pass->n_rows, pass->model->hp.n_embd, true);

	return llm_linear_run(pass, lin, out, 2, &acts, stop);
}

/* overwrites gate, so it does not pause */
static LlmStatus
op_activate(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	RowJob		job = {.pass = pass, .quantize = is_quantized(&layer->ffn_down)};

	(void) stop;
	return llm_pool_run(pass->pool, activate_piece, &job, pass->n_rows, rows_per_piece(pass->model->hp.n_ff), NULL);
}

static LlmStatus
op_ffn_down(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmLinear *lin[1] = {&layer->ffn_down};
	float	   *out[1] = {pass->block_out};
	LlmkActs	acts = llm_linear_acts(pass, pass->gate, pass->n_rows, pass->model->hp.n_ff, true);

	return llm_linear_run(pass, lin, out, 1, &acts, stop);
}

static const OpFn layer_ops[] = {
	/* attention over grouped heads */
	op_attn_norm, op_qkv, op_store, op_attend, op_attn_out, op_residual,
	/* gated feed-forward */
	op_ffn_norm, op_gate_up, op_activate, op_ffn_down, op_residual,
};

#define N_LAYER_OPS (sizeof(layer_ops) / sizeof(layer_ops[0]))

/* ---- output ---- */

/* logits of the next outputs, and handing them over */
static LlmStatus
take_some(LlmPass *pass, const LlmStop *stop, LlmError *err)
{
	const LlmModel *m = pass->model;
	const LlmLinear *lin[1] = {&m->output};
	float	   *out[1] = {pass->logits};
	int			n = pass->n_outputs - pass->n_taken < LLM_LOGIT_ROWS ? pass->n_outputs - pass->n_taken : LLM_LOGIT_ROWS;
	RowJob		job = {.pass = pass, .weight = m->output_norm, .in = pass->x, .quantize = is_quantized(&m->output)};
	LlmkActs	acts;

	job.row_index = pass->outputs + pass->n_taken;
	LLM_TRY(llm_pool_run(pass->pool, norm_piece, &job, n, rows_per_piece(m->hp.n_embd), stop));
	acts = llm_linear_acts(pass, pass->norm, n, m->hp.n_embd, job.quantize);
	LLM_TRY(llm_linear_run(pass, lin, out, 1, &acts, stop));
	for (int i = 0; i < n; i++)
		LLM_TRY(pass->take(pass->take_ctx, pass->n_taken + i, pass->logits + (size_t) i * m->hp.n_vocab, err));
	pass->n_taken += n;
	return LLM_OK;
}

LlmStatus
llm_pass_run(LlmPass *pass, const LlmStop *stop, LlmError *err)
{
	if (!pass->embedded)
	{
		LLM_TRY(embed(pass, stop));
		pass->embedded = true;
	}
	for (; pass->layer < pass->model->hp.n_layer; pass->layer++, pass->op = 0)
	{
		for (; pass->op < N_LAYER_OPS; pass->op++)
			LLM_TRY(layer_ops[pass->op] (pass, &pass->model->layers[pass->layer], stop));
	}
	while (pass->n_taken < pass->n_outputs)
		LLM_TRY(take_some(pass, stop, err));
	return LLM_OK;
}

/* ---- life ---- */

LlmStatus
llm_pass_begin(LlmPass *pass, const LlmSegment *segments, int n_segments, const int32_t *outputs, int n_outputs,
			   LlmTakeLogits take, void *take_ctx, LlmError *err)
{
	int			row = 0;

	for (int s = 0; s < n_segments; s++)
	{
		for (uint32_t i = 0; i < segments[s].n_tokens; i++, row++)
		{
			if (row >= pass->max_rows)
				return llm_fail(err, LLM_E_LIMIT, "a batch holds at most %d tokens", pass->max_rows);
			if (segments[s].tokens[i] < 0 || (uint32_t) segments[s].tokens[i] >= pass->model->hp.n_vocab)
				return llm_fail(err, LLM_E_ARGUMENT, "token %d is outside the vocabulary of %u tokens",
								segments[s].tokens[i], pass->model->hp.n_vocab);
			pass->row_token[row] = segments[s].tokens[i];
			pass->row_segment[row] = s;
			pass->row_position[row] = segments[s].seq->n_past + i;
		}
	}
	pass->segments = segments;
	pass->n_segments = n_segments;
	pass->n_rows = row;
	pass->outputs = outputs;
	pass->n_outputs = n_outputs;
	pass->take = take;
	pass->take_ctx = take_ctx;
	pass->embedded = false;
	pass->layer = 0;
	pass->op = 0;
	pass->n_taken = 0;
	llm_attention_plan(pass);
	return LLM_OK;
}

/*
 * Lay out all buffers of a pass one after the other; with base NULL only their total is computed. Sizes cannot overflow:
 * widths are bounded by llm_hparams_read and max_rows by the caller.
 */
static size_t
lay_out(LlmPass *pass, const LlmModel *m, int max_rows, int n_threads, uint8_t *base)
{
	const LlmHparams *hp = &m->hp;
	const size_t rows = (size_t) max_rows;
	const size_t q_width = (size_t) hp->n_head * hp->head_dim_k;
	const size_t v_width = (size_t) hp->n_head * hp->head_dim_v;
	size_t		widest = hp->n_embd > hp->n_ff ? hp->n_embd : hp->n_ff;
	size_t		used = 0;

	widest = widest > v_width ? widest : v_width;
	const struct
	{
		void	  **slot;
		size_t		bytes;
	}			buffers[] = {
		{(void **) &pass->row_token, rows * sizeof(int32_t)},
		{(void **) &pass->row_segment, rows * sizeof(int32_t)},
		{(void **) &pass->row_position, rows * sizeof(uint32_t)},
		{(void **) &pass->tiles, rows * sizeof(LlmTile)},
		{(void **) &pass->x, rows * hp->n_embd * sizeof(float)},
		{(void **) &pass->norm, rows * hp->n_embd * sizeof(float)},
		{(void **) &pass->q, rows * q_width * sizeof(float)},
		{(void **) &pass->k, rows * hp->n_head_kv * hp->head_dim_k * sizeof(float)},
		{(void **) &pass->v, rows * hp->n_head_kv * hp->head_dim_v * sizeof(float)},
		{(void **) &pass->attn, rows * v_width * sizeof(float)},
		{(void **) &pass->gate, rows * hp->n_ff * sizeof(float)},
		{(void **) &pass->up, rows * hp->n_ff * sizeof(float)},
		{(void **) &pass->block_out, rows * hp->n_embd * sizeof(float)},
		{(void **) &pass->cosine, rows * (hp->n_rot / 2) * sizeof(float)},
		{(void **) &pass->sine, rows * (hp->n_rot / 2) * sizeof(float)},
		{(void **) &pass->logits, (size_t) LLM_LOGIT_ROWS * hp->n_vocab * sizeof(float)},
		{(void **) &pass->terms[0].q, rows * widest},
		{(void **) &pass->terms[0].d, rows * (widest / LLM_QK + 1) * sizeof(float)},
		{(void **) &pass->terms[0].s, rows * (widest / 16 + 1) * sizeof(int16_t)},
		{(void **) &pass->terms[1].q, rows * widest},
		{(void **) &pass->terms[1].d, rows * (widest / LLM_QK + 1) * sizeof(float)},
		{(void **) &pass->terms[1].s, rows * (widest / 16 + 1) * sizeof(int16_t)},
		{(void **) &pass->scratch, (size_t) n_threads * sizeof(LlmTileScratch)},
	};
	const size_t span_bytes = (size_t) LLM_TILE_QUERIES * hp->head_dim_v * sizeof(float);

	for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++)
	{
		if (base)
			*buffers[i].slot = base + used;
		used += (buffers[i].bytes + LLMK_ALIGN - 1) / LLMK_ALIGN * LLMK_ALIGN;
	}
	for (int t = 0; t < n_threads; t++)
	{
		if (base)
			pass->scratch[t].span_data = (float *) (base + used);
		used += (span_bytes + LLMK_ALIGN - 1) / LLMK_ALIGN * LLMK_ALIGN;
	}
	return used;
}

size_t
llm_pass_bytes(const LlmModel *model, int max_rows, int n_threads)
{
	LlmPass		unused;

	return lay_out(&unused, model, max_rows, n_threads, NULL);
}

LlmStatus
llm_pass_create(const LlmModel *model, LlmPool *pool, LlmKvPool *kv, int max_rows, const LlmAllocator *a, LlmPass **out,
				LlmError *err)
{
	const int	n_threads = llm_pool_threads(pool);
	void	   *p;
	LlmPass    *pass;
	LlmStatus	status;

	LLM_TRY(llm_alloc_zero(a, 1, sizeof(LlmPass), &p, err));
	pass = p;
	pass->model = model;
	pass->pool = pool;
	pass->kv = kv;
	pass->allocator = a;
	pass->max_rows = max_rows;
	status = llm_alloc_aligned(a, 1, llm_pass_bytes(model, max_rows, n_threads), &pass->block, err);
	if (status != LLM_OK)
	{
		llm_free(a, pass);
		return status;
	}
	lay_out(pass, model, max_rows, n_threads, pass->block);
	*out = pass;
	return LLM_OK;
}

void
llm_pass_free(LlmPass *pass)
{
	if (!pass)
		return;
	llm_free_aligned(pass->allocator, pass->block);
	llm_free(pass->allocator, pass);
}
