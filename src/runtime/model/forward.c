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

/* taking a vector may be a product or two, on the main thread */
#define VECTORS_PER_POLL 16

int64_t
llm_rows_per_piece(int64_t width)
{
	return width >= PIECE_ELEMENTS ? 1 : PIECE_ELEMENTS / width;
}

/* ---- embedding ---- */

/* embedding of BERT and GPT-2: token, its type, its position, normalised, as the model has them; row `row` of norm is scratch here */
static void
add_and_norm(const LlmPass *pass, int64_t row, float *x)
{
	const LlmModel *m = pass->model;
	const int64_t n = m->hp.n_embd;
	const uint32_t position = pass->row_position[row];
	const uint32_t second_from = pass->segments[pass->row_segment[row]].second_from;
	const bool	second = second_from > 0 && position >= second_from && m->n_token_types > 1;

	if (m->token_types)
		m->kernels->add(x, m->token_types + (second ? n : 0), n);
	if (m->position_embd.data)
	{
		m->kernels->get_row[m->position_embd.type] (&m->position_embd, position, pass->norm + row * n);
		m->kernels->add(x, pass->norm + row * n, n);
	}
	if (m->embed_norm.weight)
		llm_norm_row(m, &m->embed_norm, x, n, x);
}

static void
embed_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const LlmModel *m = pass->model;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		float	   *x = pass->x + row * m->hp.n_embd;

		m->kernels->get_row[m->token_embd.type] (&m->token_embd, pass->row_token[row], x);
		if (m->hp.embed_scale != 1)
			m->kernels->scale(x, m->hp.n_embd, m->hp.embed_scale);
		if (m->embed_norm.weight || m->position_embd.data)
			add_and_norm(pass, row, x);
	}
}

static void
rope_table_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const LlmModel *m = pass->model;
	const uint32_t n = m->hp.n_rot / 2;

	(void) thread;
	for (int r = 0; r < m->n_ropes; r++)
	{
		const double magnitude = m->hp.rope[r].magnitude;

		for (int64_t i = begin * n; i < end * n; i++)
		{
			double		sine;
			double		cosine;

			llmk_sincos((float) pass->row_position[i / n] * m->rope_freq[r][i % n], &sine, &cosine);
			pass->sine[r][i] = (float) (sine * magnitude);
			pass->cosine[r][i] = (float) (cosine * magnitude);
		}
	}
}

static LlmStatus
embed(LlmPass *pass, const LlmStop *stop)
{
	if (pass->model->n_ropes > 0)
		LLM_TRY(llm_pool_run(pass->pool, rope_table_piece, pass, pass->n_rows, 16, stop));
	LLM_TRY(llm_pool_run(pass->pool, embed_piece, pass, pass->n_rows, llm_rows_per_piece(pass->model->hp.n_embd), stop));
	LLM_TRY(llm_lora_embed(pass, stop));
	return llm_altup_begin(pass, stop);
}

/* ---- rows: norms and residuals; with the quantization that the next product needs ---- */

void
llm_norm_row(const LlmModel *m, const LlmNorm *norm, const float *x, int64_t n, float *out)
{
	if (!norm->weight)
		memcpy(out, x, (size_t) n * sizeof(float));
	else if (m->arch->norm == LLM_NORM_LAYER)
		m->kernels->layer_norm(x, norm->weight, norm->bias, n, m->hp.norm_eps, out);
	else
		m->kernels->rms_norm(x, norm->weight, n, m->hp.norm_eps, out);
}

typedef struct NormJob
{
	const LlmPass *pass;
	const LlmNorm *norm;		/* NULL: rows of pass->norm stay, and are quantized */
	const int32_t *row_index;	/* NULL: row i of x; else the stream of the batch's row row_index[i] */
	bool		quantize;
} NormJob;

static void
norm_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const NormJob *job = arg;
	const LlmPass *pass = job->pass;
	const int64_t n = pass->model->hp.n_embd;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		int64_t		from = job->row_index ? pass->row_x[job->row_index[row]] : row;

		if (job->norm)
			llm_norm_row(pass->model, job->norm, pass->x + from * n, n, pass->norm + row * n);
		if (job->quantize)
			llm_linear_quantize_row(pass, pass->norm, row, n);
	}
}

static void
quantize_attn_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const int64_t n = pass->model->layers[pass->layer].wo.w.n_cols;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
		llm_linear_quantize_row(pass, pass->attn, row, n);
}

typedef struct ResidualJob
{
	const LlmPass *pass;
	const LlmNorm *norm;		/* of the block's output, or of its sum with the residual stream */
	const LlmNorm *second;		/* and then, of the sum of that and the stream as it was; weight NULL: none */
} ResidualJob;

/* x = norm(x + out); with a second norm x = second(norm(x + out) + x). Overwrites out. */
static void
norm_sum(const LlmModel *m, const ResidualJob *job, float *x, float *out, int64_t n)
{
	if (!job->second->weight)
	{
		m->kernels->add(x, out, n);
		llm_norm_row(m, job->norm, x, n, x);
		return;
	}
	m->kernels->add(out, x, n);
	llm_norm_row(m, job->norm, out, n, out);
	m->kernels->add(x, out, n);
	llm_norm_row(m, job->second, x, n, x);
}

static void
residual_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const ResidualJob *job = arg;
	const LlmModel *m = job->pass->model;
	const int64_t n = m->hp.n_embd;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		float	   *out = job->pass->block_out + row * n;

		if (m->arch->norm_place == LLM_NORM_RESIDUAL)
		{
			norm_sum(m, job, job->pass->x + row * n, out, n);
			continue;
		}
		if (job->norm->weight)
			llm_norm_row(m, job->norm, out, n, out);
		if (m->hp.residual_scale != 1)
			m->kernels->scale(out, n, m->hp.residual_scale);
		m->kernels->add(job->pass->x + row * n, out, n);
	}
}

static const LlmNorm no_norm = {NULL, NULL};

/* changes block_out and x in place, so it does not pause */
static LlmStatus
add_block(LlmPass *pass, const LlmNorm *norm, const LlmNorm *second)
{
	ResidualJob job = {pass, norm, second};

	return llm_pool_run(pass->pool, residual_piece, &job, pass->n_rows, llm_rows_per_piece(pass->model->hp.n_embd), NULL);
}

/* ---- operations of a layer ---- */

static LlmStatus
op_attn_norm(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	NormJob		job = {.pass = pass, .norm = &layer->attn_norm};

	job.quantize = llm_is_quantized(&layer->wq.w) || llm_is_quantized(&layer->wk.w) || llm_is_quantized(&layer->wv.w) ||
		(layer->recurrent && llm_recurrent_is_quantized(layer->recurrent));
	return llm_pool_run(pass->pool, norm_piece, &job, pass->n_rows, llm_rows_per_piece(pass->model->hp.n_embd), stop);
}

static bool
has_out_gate(const LlmPass *pass)
{
	return (pass->model->arch->traits & LLM_TRAIT_OUT_GATE) != 0;
}

static LlmStatus
op_qkv(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmLinear *lin[3] = {&layer->wq, &layer->wk, &layer->wv};
	float	   *out[3] = {has_out_gate(pass) ? pass->q_gate : pass->q, pass->k, pass->v};
	bool		quantized = llm_is_quantized(&layer->wq.w) || llm_is_quantized(&layer->wk.w) || llm_is_quantized(&layer->wv.w);
	LlmkActs	acts = llm_linear_acts(pass, pass->norm, pass->n_rows, pass->model->hp.n_embd, quantized);

	return llm_linear_run(pass, lin, out, layer->wk.w.data ? 3 : 1, &acts, stop);
}

/* normalises and rotates in place, so it does not pause */
static LlmStatus
op_store(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	(void) stop;
	return llm_attention_store(pass, layer);
}

static LlmStatus
op_attend(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	return llm_attention_run(pass, layer, stop);
}

static LlmStatus
op_attn_out(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmLinear *lin[1] = {&layer->wo};
	float	   *out[1] = {pass->block_out};
	int64_t		width = layer->wo.w.n_cols;
	LlmkActs	acts = llm_linear_acts(pass, pass->attn, pass->n_rows, width, llm_is_quantized(&layer->wo.w));

	if (acts.term[0].q)
		LLM_TRY(llm_pool_run(pass->pool, quantize_attn_piece, pass, pass->n_rows, llm_rows_per_piece(width), stop));
	return llm_linear_run(pass, lin, out, 1, &acts, stop);
}

/* in place of attention: what the output matrix reads is the norm */
static LlmStatus
op_take_norm(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	(void) layer;
	(void) stop;
	memcpy(pass->attn, pass->norm, (size_t) pass->n_rows * pass->model->hp.n_embd * sizeof(float));
	return LLM_OK;
}

/* ---- a state beside attention: it reads the same norm, which is still there but for its quantized form ---- */

static LlmStatus
op_side_norm(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	NormJob		job = {.pass = pass, .quantize = llm_recurrent_is_quantized(layer->recurrent)};

	return llm_pool_run(pass->pool, norm_piece, &job, pass->n_rows, llm_rows_per_piece(pass->model->hp.n_embd), stop);
}

static void
quantize_side_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
		llm_linear_quantize_row(pass, pass->attn, row, pass->model->hp.recurrent.n_inner);
}

static LlmStatus
op_side_out(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmLinear *lin[1] = {&layer->recurrent->out};
	const int64_t width = pass->model->hp.recurrent.n_inner;
	LlmkActs	acts = llm_linear_acts(pass, pass->attn, pass->n_rows, width, llm_is_quantized(&lin[0]->w));

	if (acts.term[0].q)
		LLM_TRY(llm_pool_run(pass->pool, quantize_side_piece, pass, pass->n_rows, llm_rows_per_piece(width), stop));
	return llm_linear_run(pass, lin, &pass->side_out, 1, &acts, stop);
}

static void
side_add_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;
	const int64_t n = pass->model->hp.n_embd;

	(void) thread;
	pass->model->kernels->add(pass->block_out + begin * n, pass->side_out + begin * n, (end - begin) * n);
}

/* adds in place, so it does not pause */
static LlmStatus
op_side_add(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	(void) layer;
	(void) stop;
	return llm_pool_run(pass->pool, side_add_piece, pass, pass->n_rows, llm_rows_per_piece(pass->model->hp.n_embd), NULL);
}

static LlmStatus
op_attn_residual(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	(void) stop;
	return add_block(pass, &layer->attn_post_norm, &layer->attn_second_norm);
}

/* blocks in parallel read the norm that attention read, which is still there but for its quantized form */
static LlmStatus
op_ffn_norm(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmExperts *x = layer->experts;
	const LlmFfn *ffn = x ? &x->shared : &layer->ffn;
	NormJob		job = {.pass = pass, .norm = pass->model->arch->traits & LLM_TRAIT_PARALLEL ? NULL : &layer->ffn_norm};

	job.quantize = llm_is_quantized(&ffn->gate.w) || llm_is_quantized(&ffn->up.w) || (x && (llm_is_quantized(&x->router.w) || llm_is_quantized(&x->latent_down.w)));
	return llm_pool_run(pass->pool, norm_piece, &job, pass->n_rows, llm_rows_per_piece(pass->model->hp.n_embd), stop);
}

static LlmStatus
op_ffn_residual(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	(void) stop;
	return add_block(pass, &layer->ffn_post_norm, &no_norm);
}

static const LlmOpFn no_ops[] = {NULL};
static const LlmOpFn mixer_begin_ops[] = {llm_moe_route_early, llm_altup_predict, op_attn_norm, NULL};
static const LlmOpFn attention_ops[] = {op_qkv, op_store, op_attend, llm_attention_gate, NULL};
static const LlmOpFn linear_ops[] = {op_take_norm, NULL};
static const LlmOpFn side_begin_ops[] = {op_attn_out, op_side_norm, NULL};
static const LlmOpFn side_end_ops[] = {op_side_out, op_side_add, op_attn_residual, NULL};
static const LlmOpFn mixer_end_ops[] = {llm_keep_rows, op_attn_out, op_attn_residual, NULL};
static const LlmOpFn mixer_end_ahead_ops[] = {llm_keep_rows, op_attn_out, op_ffn_norm, op_attn_residual, NULL};
static const LlmOpFn latent_end_ops[] = {op_attn_residual, NULL};
static const LlmOpFn ffn_begin_ops[] = {op_ffn_norm, NULL};
static const LlmOpFn ffn_end_ops[] = {op_ffn_residual, NULL};

static const LlmOpFn *const mixer_ops[] = {
	[LLM_MIXER_ATTENTION] = attention_ops,
	[LLM_MIXER_MAMBA2] = llm_mamba2_ops,
	[LLM_MIXER_SHORT_CONV] = llm_short_conv_ops,
	[LLM_MIXER_DELTA_NET] = llm_delta_net_ops,
	[LLM_MIXER_MAMBA1] = llm_mamba1_ops,
	[LLM_MIXER_LINEAR] = linear_ops,
	[LLM_MIXER_NONE] = no_ops,
};

/* the rest of the current layer, from operation pass->op of part pass->part on; nothing is left to do where no row is kept */
static LlmStatus
run_layer(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const bool	mixes = layer->mixer != LLM_MIXER_NONE;
	const bool	ahead = pass->model->hp.norm_ahead;
	const bool	side = layer->mixer == LLM_MIXER_ATTENTION && layer->recurrent;
	const LlmOpFn *const parts[] = {
		mixes ? mixer_begin_ops : no_ops, layer->latent ? llm_latent_ops : mixer_ops[layer->mixer],
		side ? side_begin_ops : no_ops, side ? mixer_ops[pass->model->arch->recurrent] : no_ops,
		side ? side_end_ops : layer->latent ? latent_end_ops : ahead ? mixer_end_ahead_ops : mixes ? mixer_end_ops : no_ops,
		layer->altup ? llm_laurel_ops : no_ops, layer->has_ffn && !ahead ? ffn_begin_ops : no_ops, !layer->has_ffn ? no_ops : layer->experts ? llm_moe_ops : llm_ffn_ops,
		layer->has_ffn ? ffn_end_ops : no_ops, layer->altup ? llm_altup_end_ops : no_ops,
	};

	for (; pass->part < (int) (sizeof(parts) / sizeof(parts[0])); pass->part++, pass->op = 0)
	{
		for (; parts[pass->part][pass->op] && pass->n_rows > 0; pass->op++)
			LLM_TRY(parts[pass->part][pass->op] (pass, layer, stop));
	}
	return LLM_OK;
}

/* ---- output ---- */

/* the vectors of rows: normalised where the model has a last norm, else as they are */
static LlmStatus
take_vectors(LlmPass *pass, const LlmStop *stop, LlmError *err)
{
	const LlmModel *m = pass->model;
	const LlmPassOutputs *out = &pass->vectors_out;
	const int64_t n = m->hp.n_embd;
	NormJob		job = {.pass = pass, .norm = &m->output_norm, .row_index = out->rows};

	if (!pass->vectors_ready && m->output_norm.weight)
		LLM_TRY(llm_pool_run(pass->pool, norm_piece, &job, out->n, llm_rows_per_piece(n), stop));
	pass->vectors_ready = true;
	while (pass->n_vectors_taken < out->n)
	{
		const int	i = pass->n_vectors_taken;

		LLM_TRY(out->take(out->ctx, i, m->output_norm.weight ? pass->norm + i * n : pass->x + pass->row_x[out->rows[i]] * n, err));
		if (++pass->n_vectors_taken % VECTORS_PER_POLL == 0 && llm_should_stop(stop))
			return LLM_PAUSED;
	}
	return LLM_OK;
}

/* logits of the next outputs, and handing them over */
static LlmStatus
take_some(LlmPass *pass, const LlmStop *stop, LlmError *err)
{
	const LlmModel *m = pass->model;
	const LlmPassOutputs *wanted = &pass->logits_out;
	const LlmLinear *lin[1] = {&m->output};
	float	   *out[1] = {pass->logits};
	int			n = wanted->n - pass->n_taken < LLM_LOGIT_ROWS ? wanted->n - pass->n_taken : LLM_LOGIT_ROWS;
	NormJob		job = {.pass = pass, .norm = &m->output_norm, .quantize = llm_is_quantized(&m->output.w)};
	LlmkActs	acts;

	job.row_index = wanted->rows + pass->n_taken;
	LLM_TRY(llm_pool_run(pass->pool, norm_piece, &job, n, llm_rows_per_piece(m->hp.n_embd), stop));
	acts = llm_linear_acts(pass, pass->norm, n, m->hp.n_embd, job.quantize);
	LLM_TRY(llm_linear_run(pass, lin, out, 1, &acts, stop));
	if (m->hp.logit_scale != 1)
		m->kernels->scale(pass->logits, (int64_t) n * m->hp.n_vocab, m->hp.logit_scale);
	if (m->hp.logit_cap != 0)
		m->kernels->soft_cap(pass->logits, (int64_t) n * m->hp.n_vocab, m->hp.logit_cap);
	for (int i = 0; i < n; i++)
		LLM_TRY(wanted->take(wanted->ctx, pass->n_taken + i, pass->logits + (size_t) i * m->hp.n_vocab, err));
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
	for (; pass->layer < pass->model->hp.n_layer; pass->layer++, pass->part = 0)
		LLM_TRY(run_layer(pass, &pass->model->layers[pass->layer], stop));
	if (!pass->gathered)
		LLM_TRY(llm_altup_gather(pass, stop));
	pass->gathered = true;
	if (pass->n_vectors_taken < pass->vectors_out.n)
		LLM_TRY(take_vectors(pass, stop, err));
	while (pass->n_taken < pass->logits_out.n)
		LLM_TRY(take_some(pass, stop, err));
	return LLM_OK;
}

/* ---- life ---- */

LlmStatus
llm_pass_begin(LlmPass *pass, const LlmSegment *segments, int n_segments, const LlmPassOutputs *logits,
			   const LlmPassOutputs *vectors, LlmError *err)
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
	pass->logits_out = *logits;
	pass->vectors_out = *vectors;
	pass->embedded = false;
	pass->layer = 0;
	pass->part = 0;
	pass->op = 0;
	pass->gathered = false;
	pass->vectors_ready = false;
	pass->n_vectors_taken = 0;
	pass->n_taken = 0;
	llm_keep_rows_plan(pass);
	llm_attention_plan(pass);
	return LLM_OK;
}

static size_t
max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* rows of what adapters add: of a product of rows, of slots of experts, or of logits; and what A makes of them */
static size_t
lora_floats(const LlmModel *m, size_t rows)
{
	size_t		n = max_size(rows * (size_t) m->lora.width, rows * m->hp.router.n_used * (size_t) m->lora.expert_width);

	return m->lora.output ? max_size(n, (size_t) LLM_LOGIT_ROWS * m->hp.n_vocab) : n;
}

static size_t
lora_mid_floats(const LlmModel *m, size_t rows)
{
	size_t		n = rows * (m->lora.expert_width > 0 ? m->hp.router.n_used : 1);

	return max_size(n, LLM_LOGIT_ROWS) * (size_t) m->lora.rank;
}

/*
 * Lay out all buffers of a pass one after the other; with base NULL only their total is computed. Sizes cannot overflow:
 * widths are bounded by llm_hparams_read and max_rows by the caller.
 */
static size_t
lay_out(LlmPass *pass, const LlmModel *m, int max_rows, int n_threads, uint8_t *base)
{
	const LlmHparams *hp = &m->hp;
	const LlmRouterParams *router = &hp->router;
	const size_t rows = (size_t) max_rows;
	const size_t slots = rows * router->n_used;
	const size_t gate_rows = m->arch->traits & LLM_TRAIT_OUT_GATE ? rows : 0;
	const size_t q_width = (size_t) hp->n_head * hp->head_dim_k;
	const LlmRecurrentParams *recurrent = &hp->recurrent;
	const size_t mixed_width = m->arch->traits & LLM_TRAIT_GAPS ? hp->n_embd : recurrent->n_inner;
	const size_t v_width = max_size((size_t) hp->n_head * hp->head_dim_v, mixed_width);
	const LlmAltUpParams *altup = &hp->altup;
	const size_t side_rows = (m->arch->traits & LLM_TRAIT_SIDE_BY_SIDE) || altup->n_streams > 0 ? rows : 0;
	const size_t stream_rows = rows * altup->n_streams;
	const size_t input_width = (size_t) hp->n_layer * altup->n_input;
	const size_t selective_rows = recurrent->dt_rank > 0 ? rows : 0;
	const size_t expert_width = router->n_latent > 0 ? router->n_latent : hp->n_embd;
	const bool	all_experts = router->n_expert > 0 && hp->n_dense_lead == 0 && hp->moe_every == 0 && !m->arch->experts_some;
	const size_t dense_width = all_experts ? 0 : hp->n_ff;
	const size_t ffn_width = max_size(dense_width, hp->n_ff_shared);
	const size_t heads_width = (size_t) hp->n_head * max_size(hp->latent.head_dim_k, hp->latent.head_dim_v);
	const size_t latent_width = (size_t) hp->n_head * max_size(hp->latent.head_dim_k, hp->latent.kv_rank);
	const size_t rope_width = m->n_ropes > 0 ? hp->n_rot / 2 : 0;
	const size_t local_rows = m->n_ropes > 1 ? rows : 0;
	const size_t shared_rows = hp->n_ff_shared > 0 ? rows : 0;
	const size_t widest = max_size(max_size(hp->n_embd, ffn_width), max_size(v_width, hp->latent.q_rank));
	const size_t row_width = max_size(max_size(widest, max_size(router->n_latent, recurrent->dt_rank)), max_size(altup->n_input, m->altup.laurel_rank));
	const size_t terms = max_size(rows * max_size(row_width, max_size(latent_width, heads_width)),
								  slots * max_size(expert_width, hp->n_ff_expert));
	const size_t term_blocks = terms / LLM_QK + max_size(rows * (hp->latent.kv_rank > 0 ? hp->n_head : 1), slots);
	size_t		used = 0;

	const struct
	{
		void	  **slot;
		size_t		bytes;
	}			buffers[] = {
		{(void **) &pass->row_token, rows * sizeof(int32_t)},
		{(void **) &pass->row_segment, rows * sizeof(int32_t)},
		{(void **) &pass->row_position, rows * sizeof(uint32_t)},
		{(void **) &pass->row_x, rows * sizeof(int32_t)},
		{(void **) &pass->kept, rows * sizeof(int32_t)},
		{(void **) &pass->tiles, rows * sizeof(LlmTile)},
		{(void **) &pass->x, rows * hp->n_embd * sizeof(float)},
		{(void **) &pass->norm, rows * hp->n_embd * sizeof(float)},
		{(void **) &pass->q, rows * q_width * sizeof(float)},
		{(void **) &pass->k, rows * hp->n_head_kv * hp->head_dim_k * sizeof(float)},
		{(void **) &pass->v, rows * hp->n_head_kv * hp->head_dim_v * sizeof(float)},
		{(void **) &pass->attn, rows * v_width * sizeof(float)},
		{(void **) &pass->q_gate, gate_rows * q_width * 2 * sizeof(float)},
		{(void **) &pass->q_down, rows * hp->latent.q_rank * sizeof(float)},
		{(void **) &pass->heads, rows * heads_width * sizeof(float)},
		{(void **) &pass->gate, rows * ffn_width * sizeof(float)},
		{(void **) &pass->up, rows * ffn_width * sizeof(float)},
		{(void **) &pass->block_out, rows * hp->n_embd * sizeof(float)},
		{(void **) &pass->cosine[0], rows * rope_width * sizeof(float)},
		{(void **) &pass->sine[0], rows * rope_width * sizeof(float)},
		{(void **) &pass->cosine[1], local_rows * rope_width * sizeof(float)},
		{(void **) &pass->sine[1], local_rows * rope_width * sizeof(float)},
		{(void **) &pass->logits, m->output.w.data ? (size_t) LLM_LOGIT_ROWS * hp->n_vocab * sizeof(float) : 0},
		{(void **) &pass->terms[0].q, terms},
		{(void **) &pass->terms[0].d, term_blocks * sizeof(float)},
		{(void **) &pass->terms[0].s, 2 * term_blocks * sizeof(int16_t)},
		{(void **) &pass->terms[1].q, terms},
		{(void **) &pass->terms[1].d, term_blocks * sizeof(float)},
		{(void **) &pass->terms[1].s, 2 * term_blocks * sizeof(int16_t)},
		{(void **) &pass->router, rows * router->n_expert * sizeof(float)},
		{(void **) &pass->choice, rows * router->n_expert * 3 * sizeof(float)},
		{(void **) &pass->row_expert, slots * sizeof(int32_t)},
		{(void **) &pass->row_weight, slots * sizeof(float)},
		{(void **) &pass->row_slot, slots * sizeof(int32_t)},
		{(void **) &pass->slot_row, slots * sizeof(int32_t)},
		{(void **) &pass->expert_slots, router->n_expert * sizeof(int32_t)},
		{(void **) &pass->expert_tiles, slots * sizeof(LlmExpertTile)},
		{(void **) &pass->slot_x, slots * expert_width * sizeof(float)},
		{(void **) &pass->slot_gate, slots * hp->n_ff_expert * sizeof(float)},
		{(void **) &pass->slot_up, slots * hp->n_ff_expert * sizeof(float)},
		{(void **) &pass->shared_out, shared_rows * hp->n_embd * sizeof(float)},
		{(void **) &pass->latent, rows * router->n_latent * sizeof(float)},
		{(void **) &pass->latent_out, rows * router->n_latent * sizeof(float)},
		{(void **) &pass->mix_in, rows * recurrent->n_in * sizeof(float)},
		{(void **) &pass->mix, rows * recurrent->n_channels * sizeof(float)},
		{(void **) &pass->dt, rows * recurrent->n_head * sizeof(float)},
		{(void **) &pass->decay, (rows - selective_rows) * recurrent->n_head * sizeof(float)},
		{(void **) &pass->mix_x, selective_rows * (recurrent->dt_rank + 2 * (size_t) recurrent->n_state) * sizeof(float)},
		{(void **) &pass->dt_in, selective_rows * recurrent->dt_rank * sizeof(float)},
		{(void **) &pass->bc, selective_rows * 2 * recurrent->n_state * sizeof(float)},
		{(void **) &pass->side_out, side_rows * hp->n_embd * sizeof(float)},
		{(void **) &pass->streams, stream_rows * hp->n_embd * sizeof(float)},
		{(void **) &pass->predicted, stream_rows * hp->n_embd * sizeof(float)},
		{(void **) &pass->layer_inputs, rows * input_width * sizeof(float)},
		{(void **) &pass->input_rows, rows * input_width * sizeof(float)},
		{(void **) &pass->input_gate, rows * altup->n_input * sizeof(float)},
		{(void **) &pass->laurel, rows * m->altup.laurel_rank * sizeof(float)},
		{(void **) &pass->lora_mid, lora_mid_floats(m, rows) * sizeof(float)},
		{(void **) &pass->lora_out, lora_floats(m, rows) * sizeof(float)},
		{(void **) &pass->scratch, (size_t) n_threads * sizeof(LlmTileScratch)},
	};
	const size_t span_bytes = (size_t) LLM_TILE_QUERIES * hp->head_dim_v * sizeof(float);
	const bool	read = m->kv_type == LLM_KV_Q8;
	const size_t value_bytes = hp->stored_dim_v > 0 && !read ? 0 : (size_t) LLMK_PAGE_KEYS * hp->head_dim_v * sizeof(float);
	const size_t key_bytes = read ? (size_t) LLMK_PAGE_KEYS * hp->head_dim_k * sizeof(float) : 0;

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
		if (base)
			pass->scratch[t].values = base + used;
		used += (value_bytes + LLMK_ALIGN - 1) / LLMK_ALIGN * LLMK_ALIGN;
		if (base)
			pass->scratch[t].keys = (float *) (base + used);
		used += (key_bytes + LLMK_ALIGN - 1) / LLMK_ALIGN * LLMK_ALIGN;
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
