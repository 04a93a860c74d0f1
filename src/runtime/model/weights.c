/*
 * weights.c: every weight of a model found, checked and marked, as the architecture's row says.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/adapter.h"

#define MAX_HEAD_ROWS (1 << 20)

typedef char TensorName[128];

static const char *
tensor_name(TensorName name, int layer, const char *role, const char *part)
{
	if (layer < 0)
		snprintf(name, sizeof(TensorName), "%s.%s", role, part);
	else
		snprintf(name, sizeof(TensorName), "blk.%d.%s.%s", layer, role, part);
	return name;
}

bool
llm_loader_use(LlmLoader *ld, const char *name)
{
	const LlmPackTensor *t = llm_pack_find(&ld->model->pack, name);

	if (!t)
		return false;
	ld->used[t - ld->model->pack.tensors] = true;
	return true;
}

LlmStatus
llm_load_vector(LlmLoader *ld, const char *name, int64_t n, bool required, const float **out)
{
	llm_loader_use(ld, name);
	return llm_pack_vector(&ld->model->pack, name, n, required, out, ld->err);
}

/* n numbers, all the same */
static LlmStatus
fill_vector(LlmLoader *ld, uint32_t n, double value, const float **out)
{
	void	   *p;

	LLM_TRY(llm_arena_alloc(&ld->model->arena, n, sizeof(float), &p, ld->err));
	for (uint32_t i = 0; i < n; i++)
		((float *) p)[i] = (float) value;
	*out = p;
	return LLM_OK;
}

static LlmStatus
load_norm(LlmLoader *ld, int layer, const char *role, int64_t n, LlmNorm *out)
{
	TensorName	name;

	if (ld->model->arch->traits & LLM_TRAIT_PLAIN_NORM)
		return fill_vector(ld, (uint32_t) n, 1, &out->weight);
	tensor_name(name, layer, role, "weight");
	if (layer >= 0 && !llm_pack_find(&ld->model->pack, name))
	{
		TensorName	bare;

		/* Falcon H1's converter leaves the ending out */
		snprintf(bare, sizeof(bare), "blk.%d.%s", layer, role);
		if (llm_pack_find(&ld->model->pack, bare))
			memcpy(name, bare, sizeof(bare));
	}
	LLM_TRY(llm_load_vector(ld, name, n, true, &out->weight));
	if (ld->model->arch->norm != LLM_NORM_LAYER)
		return LLM_OK;
	return llm_load_vector(ld, tensor_name(name, layer, role, "bias"), n, false, &out->bias);
}

/* optional: out stays as it is where the file has none */
static LlmStatus
load_norm_if(LlmLoader *ld, int layer, const char *role, int64_t n, bool optional, LlmNorm *out)
{
	TensorName	name;

	if (optional && !llm_pack_find(&ld->model->pack, tensor_name(name, layer, role, "weight")))
		return LLM_OK;
	return load_norm(ld, layer, role, n, out);
}

/* a stack of `depth` matrices; *out: the first */
static LlmStatus
load_matrix(LlmLoader *ld, const char *name, int64_t n_rows, int64_t n_cols, int64_t depth, LlmkMatrix *out)
{
	const LlmPackTensor *t = llm_pack_find(&ld->model->pack, name);

	llm_loader_use(ld, name);
	if (t && t->n_stack != depth)
		return llm_fail(ld->err, LLM_E_FORMAT, "tensor \"%s\" is %lld matrices deep, not %lld", name, (long long) t->n_stack,
						(long long) depth);
	return llm_pack_matrix(&ld->model->pack, name, n_rows, n_cols, 0, out, ld->err);
}

/*
 * Factors of a stack of n products, where the file has a tensor of them: one, or one for each matrix. "input_scale" is for
 * activations of 4 bits, which are not computed with: it changes nothing here.
 */
static LlmStatus
load_scale(LlmLoader *ld, int layer, const char *role, int64_t n, const float **out)
{
	LlmModel   *m = ld->model;
	TensorName	name;
	const LlmPackTensor *t;
	const float *one;
	void	   *p;

	llm_loader_use(ld, tensor_name(name, layer, role, "input_scale"));
	t = llm_pack_find(&m->pack, tensor_name(name, layer, role, "scale"));
	if (!t || t->n_cols != 1 || n == 1)
		return llm_load_vector(ld, name, n, false, out);
	LLM_TRY(llm_load_vector(ld, name, 1, true, &one));
	LLM_TRY(llm_arena_alloc(&m->arena, (size_t) n, sizeof(float), &p, ld->err));
	for (int64_t i = 0; i < n; i++)
		((float *) p)[i] = *one;
	*out = p;
	return LLM_OK;
}

/* "weight" and, where the file has them, "scale" and "bias" */
static LlmStatus
load_linear(LlmLoader *ld, int layer, const char *role, int64_t n_rows, int64_t n_cols, LlmLinear *out)
{
	TensorName	name;

	LLM_TRY(load_matrix(ld, tensor_name(name, layer, role, "weight"), n_rows, n_cols, 1, &out->w));
	LLM_TRY(llm_adapters_find(ld, name, n_rows, n_cols, 1, false, &out->lora));
	LLM_TRY(load_scale(ld, layer, role, 1, &out->scale));
	return llm_load_vector(ld, tensor_name(name, layer, role, "bias"), n_rows, false, &out->bias);
}

typedef struct Part
{
	LlmLinear  *out;
	int64_t		n_rows;
} Part;

/* where row r is if the halves of each head, which follow each other, are to come in turn */
static int64_t
turned(int64_t r, int64_t turn_rows)
{
	int64_t		i = turn_rows ? r % turn_rows : 0;

	return turn_rows ? r - i + i % 2 * (turn_rows / 2) + i / 2 : r;
}

LlmStatus
llm_copy_rows(LlmLoader *ld, const LlmkMatrix *all, int64_t first, int64_t turn_rows, LlmkMatrix *out)
{
	LlmModel   *m = ld->model;
	const size_t group_bytes = llmk_group_bytes(LLM_TYPE_F32, all->n_cols);
	const size_t row_bytes = (size_t) all->n_cols * sizeof(float);
	void	   *rows;
	void	   *groups;

	LLM_TRY(llm_arena_alloc(&m->arena, LLMK_ROWS, row_bytes, &rows, ld->err));
	/* a group more than there are, so that they can begin at an aligned address */
	LLM_TRY(llm_arena_alloc(&m->arena, (size_t) (out->n_rows / LLMK_ROWS) + 2, group_bytes + LLMK_ALIGN, &groups, ld->err));
	groups = (void *) (((uintptr_t) groups + LLMK_ALIGN - 1) / LLMK_ALIGN * LLMK_ALIGN);
	for (int64_t r = 0; r < out->n_rows; r += LLMK_ROWS)
	{
		int64_t		n = out->n_rows - r < LLMK_ROWS ? out->n_rows - r : LLMK_ROWS;

		for (int64_t i = 0; i < n; i++)
			m->kernels->get_row[all->type] (all, first + turned(r + i, turn_rows), (float *) rows + i * all->n_cols);
		llmk_pack_group(LLM_TYPE_F32, all->n_cols, rows, (int) n, (uint8_t *) groups + (size_t) (r / LLMK_ROWS) * group_bytes);
	}
	out->type = LLM_TYPE_F32;
	out->data = groups;
	return LLM_OK;
}

/*
 * One tensor whose rows are those of several matrices, one after the other: each becomes a view of its row groups. Rows that
 * begin inside of a group are copied, as floats: file blocks cannot be had from packed ones.
 */
static LlmStatus
load_fused(LlmLoader *ld, int layer, const char *role, int64_t n_cols, const Part *parts, int n_parts)
{
	LlmLinear	all = {0};
	int64_t		n_rows = 0;

	for (int i = 0; i < n_parts; i++)
		n_rows += parts[i].n_rows;
	LLM_TRY(load_linear(ld, layer, role, n_rows, n_cols, &all));
	n_rows = 0;
	for (int i = 0; i < n_parts; i++)
	{
		LlmLinear  *out = parts[i].out;

		out->w = all.w;
		out->w.n_rows = parts[i].n_rows;
		if (n_rows % LLMK_ROWS == 0)
			out->w.data += (size_t) (n_rows / LLMK_ROWS) * llmk_group_bytes(all.w.type, n_cols);
		else
			LLM_TRY(llm_copy_rows(ld, &all.w, n_rows, 0, &out->w));
		out->scale = all.scale;
		out->bias = all.bias ? all.bias + n_rows : NULL;
		LLM_TRY(llm_adapters_part(ld, all.lora, n_rows, parts[i].n_rows, &out->lora));
		n_rows += parts[i].n_rows;
	}
	return LLM_OK;
}

/* a small tensor as n_rows * n_cols floats; by columns: transposed. A tensor with a dimension of 1 may be a vector. */
static LlmStatus
load_table(LlmLoader *ld, const char *name, int64_t n_rows, int64_t n_cols, bool by_columns, const float **out)
{
	LlmModel   *m = ld->model;
	const LlmPackTensor *t = llm_pack_find(&m->pack, name);
	LlmkMatrix	matrix;
	void	   *row;
	void	   *table;

	if (t && t->is_vector && (n_rows == 1 || n_cols == 1))
		return llm_load_vector(ld, name, n_rows * n_cols, true, out);
	LLM_TRY(load_matrix(ld, name, n_rows, n_cols, 1, &matrix));
	LLM_TRY(llm_arena_alloc(&m->arena, (size_t) n_rows, (size_t) n_cols * sizeof(float), &table, ld->err));
	LLM_TRY(llm_arena_alloc(&m->arena, (size_t) n_cols, sizeof(float), &row, ld->err));
	for (int64_t r = 0; r < n_rows; r++)
	{
		m->kernels->get_row[matrix.type] (&matrix, r, row);
		for (int64_t c = 0; c < n_cols; c++)
			((float *) table)[by_columns ? c * n_rows + r : r * n_cols + c] = ((const float *) row)[c];
	}
	*out = table;
	return LLM_OK;
}

/* ---- attention ---- */

static LlmStatus
load_qkv(LlmLoader *ld, int layer, LlmLayer *l)
{
	const LlmHparams *hp = &ld->model->hp;
	const Part	parts[] = {
		{&l->wq, (int64_t) l->n_head * hp->head_dim_k * (ld->model->arch->traits & LLM_TRAIT_OUT_GATE ? 2 : 1)},
		{&l->wk, (int64_t) l->n_head_kv * hp->head_dim_k},
		{&l->wv, (int64_t) l->n_head_kv * hp->head_dim_v},
	};
	const bool	shares = llm_hparams_kv_source(hp, (uint32_t) layer) != (uint32_t) layer;
	TensorName	name;

	if (!shares && llm_pack_find(&ld->model->pack, tensor_name(name, layer, "attn_qkv", "weight")))
		return load_fused(ld, layer, "attn_qkv", hp->n_embd, parts, 3);
	LLM_TRY(load_linear(ld, layer, "attn_q", parts[0].n_rows, hp->n_embd, &l->wq));
	if (shares)
	{
		/* in the file all the same, and not computed with */
		llm_loader_use(ld, tensor_name(name, layer, "attn_k", "weight"));
		llm_loader_use(ld, tensor_name(name, layer, "attn_v", "weight"));
		llm_loader_use(ld, tensor_name(name, layer, "attn_k_norm", "weight"));
		return LLM_OK;
	}
	LLM_TRY(load_linear(ld, layer, "attn_k", parts[1].n_rows, hp->n_embd, &l->wk));
	return load_linear(ld, layer, "attn_v", parts[2].n_rows, hp->n_embd, &l->wv);
}

/* a stack of matrices with their factors */
static LlmStatus
load_stack(LlmLoader *ld, int layer, const char *role, int64_t n_rows, int64_t n_cols, int64_t depth, LlmExpertLinear *out)
{
	TensorName	name;

	LLM_TRY(load_matrix(ld, tensor_name(name, layer, role, "weight"), n_rows, n_cols, depth, &out->w));
	out->stride = llm_pack_find(&ld->model->pack, name)->n_bytes / (size_t) depth;
	return load_scale(ld, layer, role, depth, &out->scale);
}

static LlmStatus
load_latent(LlmLoader *ld, int layer, LlmLayer *l)
{
	LlmModel   *m = ld->model;
	const LlmLatentParams *latent = &m->hp.latent;
	const int64_t n_head = m->hp.n_head;
	LlmLatent  *out;
	void	   *p;

	LLM_TRY(llm_arena_alloc(&m->arena, 1, sizeof(LlmLatent), &p, ld->err));
	memset(p, 0, sizeof(LlmLatent));
	out = p;
	if (latent->q_rank > 0)
	{
		LLM_TRY(load_linear(ld, layer, "attn_q_a", latent->q_rank, m->hp.n_embd, &l->wq));
		LLM_TRY(load_norm(ld, layer, "attn_q_a_norm", latent->q_rank, &l->q_norm));
		LLM_TRY(load_linear(ld, layer, "attn_q_b", n_head * latent->head_dim_k, latent->q_rank, &out->q_up));
	}
	else
		LLM_TRY(load_linear(ld, layer, "attn_q", n_head * latent->head_dim_k, m->hp.n_embd, &l->wq));
	LLM_TRY(load_linear(ld, layer, "attn_kv_a_mqa", m->hp.head_dim_k, m->hp.n_embd, &l->wk));
	LLM_TRY(load_norm(ld, layer, "attn_kv_a_norm", latent->kv_rank, &l->k_norm));
	LLM_TRY(load_stack(ld, layer, "attn_k_b", latent->kv_rank, latent->head_dim_k - m->hp.n_rot, n_head, &out->k_up));
	LLM_TRY(load_stack(ld, layer, "attn_v_b", latent->head_dim_v, latent->kv_rank, n_head, &out->v_up));
	l->latent = out;
	return load_linear(ld, layer, "attn_output", m->hp.n_embd, n_head * latent->head_dim_v, &l->wo);
}

/* weights of one head, or of all; each head's own may be the rows of a matrix */
static LlmStatus
load_qk_norm(LlmLoader *ld, int layer, const char *role, uint32_t n_head, bool rotates, LlmNorm *out)
{
	const LlmArch *arch = ld->model->arch;
	const int64_t n = ld->model->hp.head_dim_k;
	TensorName	name;

	if (arch->qk_norm == LLM_QK_NORM_NONE)
		return LLM_OK;
	if (arch->qk_norm == LLM_QK_NORM_UNIT)
		return ld->model->hp.qk_norm_unit && rotates ? fill_vector(ld, (uint32_t) n, 1, &out->weight) : LLM_OK;
	if ((arch->traits & LLM_TRAIT_QK_NORM_SOME) && !llm_pack_find(&ld->model->pack, tensor_name(name, layer, role, "weight")))
		return LLM_OK;
	if (arch->qk_norm == LLM_QK_NORM_EACH)
		return load_table(ld, tensor_name(name, layer, role, "weight"), n_head, n, false, &out->weight);
	return load_norm(ld, layer, role, arch->qk_norm == LLM_QK_NORM_WHOLE ? n * n_head : n, out);
}

static LlmStatus
load_attention(LlmLoader *ld, int layer, LlmLayer *l)
{
	const LlmHparams *hp = &ld->model->hp;
	const LlmArch *arch = ld->model->arch;
	TensorName	name;

	LLM_TRY(load_qkv(ld, layer, l));
	LLM_TRY(load_qk_norm(ld, layer, "attn_q_norm", l->n_head, l->rope >= 0, &l->q_norm));
	if (l->wk.w.data)
		LLM_TRY(load_qk_norm(ld, layer, "attn_k_norm", l->n_head_kv, l->rope >= 0, &l->k_norm));
	if (arch->altup)
		LLM_TRY(fill_vector(ld, hp->head_dim_v, 1, &l->v_norm.weight));
	if (arch->traits & LLM_TRAIT_SINKS)
		LLM_TRY(llm_load_vector(ld, tensor_name(name, layer, "attn_sinks", "weight"), l->n_head, true, &l->sinks));
	return load_linear(ld, layer, "attn_output", hp->n_embd, (int64_t) l->n_head * hp->head_dim_v, &l->wo);
}

/* ---- recurrent layers ---- */

static LlmStatus
load_mamba2(LlmLoader *ld, int layer, LlmRecurrentLayer *x)
{
	const LlmRecurrentParams *p = &ld->model->hp.recurrent;
	TensorName	name;

	LLM_TRY(load_linear(ld, layer, "ssm_in", p->n_in, ld->model->hp.n_embd, &x->in));
	LLM_TRY(load_table(ld, tensor_name(name, layer, "ssm_conv1d", "weight"), p->n_channels, p->n_conv, true, &x->conv));
	LLM_TRY(llm_load_vector(ld, tensor_name(name, layer, "ssm_conv1d", "bias"), p->n_channels, false, &x->conv_bias));
	LLM_TRY(llm_load_vector(ld, tensor_name(name, layer, "ssm_dt", "bias"), p->n_head, true, &x->dt_bias));
	if (!(ld->model->arch->traits & LLM_TRAIT_SIDE_BY_SIDE) || llm_pack_find(&ld->model->pack, tensor_name(name, layer, "ssm_norm", "weight")))
		LLM_TRY(load_table(ld, tensor_name(name, layer, "ssm_norm", "weight"), p->n_group, p->n_inner / p->n_group, false, &x->norm));
	snprintf(name, sizeof(name), "blk.%d.ssm_a", layer);
	LLM_TRY(load_table(ld, name, p->n_head, 1, false, &x->a));
	snprintf(name, sizeof(name), "blk.%d.ssm_d", layer);
	return load_table(ld, name, p->n_head, 1, false, &x->d);
}

/* norms of what makes steps, B and C: with weights, or without where metadata says so */
static LlmStatus
load_selective_norms(LlmLoader *ld, int layer, LlmSelectiveLayer *s)
{
	const LlmRecurrentParams *p = &ld->model->hp.recurrent;
	const struct
	{
		const char *role;
		uint32_t	n;
		const float **out;
	}			norms[] = {{"ssm_dt_norm", p->dt_rank, &s->dt_norm}, {"ssm_b_norm", p->n_state, &s->b_norm}, {"ssm_c_norm", p->n_state, &s->c_norm}};
	TensorName	name;
	const bool	weights = llm_pack_find(&ld->model->pack, tensor_name(name, layer, "ssm_dt_norm", "weight")) != NULL;

	s->norm_eps = weights ? ld->model->hp.norm_eps : p->norm_eps;
	for (size_t i = 0; i < sizeof(norms) / sizeof(norms[0]) && (weights || p->norm_all); i++)
	{
		if (weights)
			LLM_TRY(llm_load_vector(ld, tensor_name(name, layer, norms[i].role, "weight"), norms[i].n, true, norms[i].out));
		else
			LLM_TRY(fill_vector(ld, norms[i].n, 1, norms[i].out));
	}
	return LLM_OK;
}

static LlmStatus
load_mamba1(LlmLoader *ld, int layer, LlmRecurrentLayer *x)
{
	const LlmRecurrentParams *p = &ld->model->hp.recurrent;
	LlmSelectiveLayer *s;
	TensorName	name;
	void	   *memory;

	LLM_TRY(llm_arena_alloc(&ld->model->arena, 1, sizeof(LlmSelectiveLayer), &memory, ld->err));
	memset(memory, 0, sizeof(LlmSelectiveLayer));
	s = memory;
	x->selective = s;
	LLM_TRY(load_linear(ld, layer, "ssm_in", p->n_in, ld->model->hp.n_embd, &x->in));
	LLM_TRY(load_table(ld, tensor_name(name, layer, "ssm_conv1d", "weight"), p->n_channels, p->n_conv, true, &x->conv));
	LLM_TRY(llm_load_vector(ld, tensor_name(name, layer, "ssm_conv1d", "bias"), p->n_channels, false, &x->conv_bias));
	LLM_TRY(load_linear(ld, layer, "ssm_x", p->dt_rank + 2 * (int64_t) p->n_state, p->n_inner, &s->x));
	LLM_TRY(load_linear(ld, layer, "ssm_dt", p->n_inner, p->dt_rank, &s->dt));
	LLM_TRY(load_selective_norms(ld, layer, s));
	snprintf(name, sizeof(name), "blk.%d.ssm_a", layer);
	LLM_TRY(load_table(ld, name, p->n_inner, p->n_state, true, &x->a));
	snprintf(name, sizeof(name), "blk.%d.ssm_d", layer);
	return load_table(ld, name, p->n_inner, 1, false, &x->d);
}

static LlmStatus
load_delta_net(LlmLoader *ld, int layer, LlmRecurrentLayer *x)
{
	const LlmRecurrentParams *p = &ld->model->hp.recurrent;
	const int64_t n_embd = ld->model->hp.n_embd;
	LlmDeltaLayer *delta;
	TensorName	name;
	void	   *memory;

	LLM_TRY(llm_arena_alloc(&ld->model->arena, 1, sizeof(LlmDeltaLayer), &memory, ld->err));
	memset(memory, 0, sizeof(LlmDeltaLayer));
	delta = memory;
	x->delta = delta;
	LLM_TRY(load_linear(ld, layer, "attn_qkv", p->n_channels, n_embd, &x->in));
	LLM_TRY(load_linear(ld, layer, "attn_gate", p->n_inner, n_embd, &delta->z));
	if (llm_pack_find(&ld->model->pack, tensor_name(name, layer, "ssm_ba", "weight")))
		LLM_TRY(load_linear(ld, layer, "ssm_ba", 2 * (int64_t) p->n_head, n_embd, &delta->b));
	else
	{
		LLM_TRY(load_linear(ld, layer, "ssm_beta", p->n_head, n_embd, &delta->b));
		LLM_TRY(load_linear(ld, layer, "ssm_alpha", p->n_head, n_embd, &delta->a));
	}
	LLM_TRY(load_table(ld, tensor_name(name, layer, "ssm_conv1d", "weight"), p->n_channels, p->n_conv, true, &x->conv));
	LLM_TRY(llm_load_vector(ld, tensor_name(name, layer, "ssm_dt", "bias"), p->n_head, true, &x->dt_bias));
	LLM_TRY(llm_load_vector(ld, tensor_name(name, layer, "ssm_norm", "weight"), p->n_inner / p->n_head, true, &x->norm));
	LLM_TRY(fill_vector(ld, p->n_state, 1.0 / p->n_state, &delta->q_length));
	LLM_TRY(fill_vector(ld, p->n_state, 1.0 / sqrt((double) p->n_state), &delta->k_length));
	snprintf(name, sizeof(name), "blk.%d.ssm_a", layer);
	return load_table(ld, name, p->n_head, 1, false, &x->a);
}

static LlmStatus
load_short_conv(LlmLoader *ld, int layer, LlmRecurrentLayer *x)
{
	const LlmRecurrentParams *p = &ld->model->hp.recurrent;
	TensorName	name;

	LLM_TRY(load_linear(ld, layer, "shortconv.in_proj", p->n_in, ld->model->hp.n_embd, &x->in));
	LLM_TRY(load_table(ld, tensor_name(name, layer, "shortconv.conv", "weight"), p->n_channels, p->n_conv, true, &x->conv));
	return llm_load_vector(ld, tensor_name(name, layer, "shortconv.conv", "bias"), p->n_channels, false, &x->conv_bias);
}

static LlmStatus
load_recurrent(LlmLoader *ld, int layer, LlmLayer *l)
{
	const LlmHparams *hp = &ld->model->hp;
	const LlmMixer kind = ld->model->arch->recurrent;
	void	   *p;

	LLM_TRY(llm_arena_alloc(&ld->model->arena, 1, sizeof(LlmRecurrentLayer), &p, ld->err));
	memset(p, 0, sizeof(LlmRecurrentLayer));
	l->recurrent = p;
	if (kind == LLM_MIXER_MAMBA2)
		LLM_TRY(load_mamba2(ld, layer, l->recurrent));
	else if (kind == LLM_MIXER_MAMBA1)
		LLM_TRY(load_mamba1(ld, layer, l->recurrent));
	else if (kind == LLM_MIXER_DELTA_NET)
		LLM_TRY(load_delta_net(ld, layer, l->recurrent));
	else
		LLM_TRY(load_short_conv(ld, layer, l->recurrent));
	return load_linear(ld, layer, kind == LLM_MIXER_SHORT_CONV ? "shortconv.out_proj" : "ssm_out", hp->n_embd, hp->recurrent.n_inner,
					   l->mixer == LLM_MIXER_ATTENTION ? &l->recurrent->out : &l->wo);
}

/* ---- feed-forward ---- */

static bool
has_gate(LlmLoader *ld, int layer, const char *role)
{
	TensorName	name;

	switch (ld->model->hp.ffn)
	{
		case LLM_FFN_GELU:
		case LLM_FFN_GELU_TANH:
			return llm_pack_find(&ld->model->pack, tensor_name(name, layer, role, "weight")) != NULL;
		case LLM_FFN_RELU_SQR:
		case LLM_FFN_XIELU:
			return false;
		default:
			return true;
	}
}

/* softplus of a number near 0 */
static float
softplus(double x)
{
	return (float) (x > 20 ? x : llmk_log(1 + llmk_exp(x)));
}

/* the numbers of a layer's xIELU: in metadata, or (folders) as tensors of one number; the alphas become what they stand for */
static LlmStatus
load_xielu(LlmLoader *ld, int layer, LlmLayer *l)
{
	static const char *const parts[LLM_XIELU_COUNT] = {"alpha_p", "alpha_n", "beta", "eps"};
	const LlmHparams *hp = &ld->model->hp;
	float	   *numbers;
	TensorName	name;
	void	   *p;

	LLM_TRY(llm_arena_alloc(&ld->model->arena, LLM_XIELU_COUNT, sizeof(float), &p, ld->err));
	numbers = p;
	for (int i = 0; i < LLM_XIELU_COUNT; i++)
	{
		const float *one;

		if (hp->xielu[i])
		{
			numbers[i] = (float) llm_meta_array_float(hp->xielu[i], (uint64_t) (hp->xielu[i]->count > 1 ? layer : 0));
			continue;
		}
		LLM_TRY(llm_load_vector(ld, tensor_name(name, layer, "ffn_act", parts[i]), 1, true, &one));
		numbers[i] = *one;
	}
	numbers[LLM_XIELU_ALPHA_P] = softplus(numbers[LLM_XIELU_ALPHA_P]);
	numbers[LLM_XIELU_ALPHA_N] = numbers[LLM_XIELU_BETA] + softplus(numbers[LLM_XIELU_ALPHA_N]);
	l->xielu = numbers;
	return LLM_OK;
}

static LlmStatus
load_ffn(LlmLoader *ld, int layer, LlmFfn *ffn)
{
	const LlmHparams *hp = &ld->model->hp;
	const LlmArch *arch = ld->model->arch;
	const int64_t n_ff = llm_hparams_ff(hp, (uint32_t) layer);
	const Part	parts[] = {{&ffn->gate, n_ff}, {&ffn->up, n_ff}};
	const LlmPackTensor *up;
	TensorName	name;

	up = llm_pack_find(&ld->model->pack, tensor_name(name, layer, "ffn_up", "weight"));
	if ((arch->traits & LLM_TRAIT_FUSED_GATE) ||
		((hp->ffn == LLM_FFN_GELU || hp->ffn == LLM_FFN_GELU_TANH) && up && up->n_rows == 2 * n_ff))
		LLM_TRY(load_fused(ld, layer, "ffn_up", hp->n_embd, parts, 2));
	else
	{
		if (has_gate(ld, layer, "ffn_gate"))
			LLM_TRY(load_linear(ld, layer, "ffn_gate", n_ff, hp->n_embd, &ffn->gate));
		LLM_TRY(load_linear(ld, layer, "ffn_up", n_ff, hp->n_embd, &ffn->up));
	}
	return load_linear(ld, layer, "ffn_down", hp->n_embd, n_ff, &ffn->down);
}

/* biases of experts come as a matrix, which is packed like one; here they become rows again */
static LlmStatus
load_expert_bias(LlmLoader *ld, const char *name, int64_t n_rows, const float **out)
{
	LlmModel   *m = ld->model;
	const uint32_t n_expert = m->hp.router.n_expert;
	LlmkMatrix	matrix;
	void	   *p;

	if (!llm_pack_find(&m->pack, name))
		return LLM_OK;
	LLM_TRY(load_matrix(ld, name, n_expert, n_rows, 1, &matrix));
	LLM_TRY(llm_arena_alloc(&m->arena, n_expert, (size_t) n_rows * sizeof(float), &p, ld->err));
	for (uint32_t e = 0; e < n_expert; e++)
		m->kernels->get_row[matrix.type] (&matrix, e, (float *) p + e * n_rows);
	*out = p;
	return LLM_OK;
}

static LlmStatus
load_expert_linear(LlmLoader *ld, int layer, const char *role, int64_t n_rows, int64_t n_cols, LlmExpertLinear *out)
{
	TensorName	name;

	LLM_TRY(load_stack(ld, layer, role, n_rows, n_cols, ld->model->hp.router.n_expert, out));
	LLM_TRY(llm_adapters_find(ld, tensor_name(name, layer, role, "weight"), n_rows, n_cols, ld->model->hp.router.n_expert,
							  false, &out->lora));
	return load_expert_bias(ld, tensor_name(name, layer, role, "bias"), n_rows, &out->bias);
}

static LlmStatus
load_shared_expert(LlmLoader *ld, int layer, LlmExperts *x)
{
	const LlmHparams *hp = &ld->model->hp;
	TensorName	name;

	if (hp->n_ff_shared == 0)
		return LLM_OK;
	if (has_gate(ld, layer, "ffn_gate_shexp"))
		LLM_TRY(load_linear(ld, layer, "ffn_gate_shexp", hp->n_ff_shared, hp->n_embd, &x->shared.gate));
	LLM_TRY(load_linear(ld, layer, "ffn_up_shexp", hp->n_ff_shared, hp->n_embd, &x->shared.up));
	LLM_TRY(load_linear(ld, layer, "ffn_down_shexp", hp->n_embd, hp->n_ff_shared, &x->shared.down));
	if (!llm_pack_find(&ld->model->pack, tensor_name(name, layer, "ffn_gate_inp_shexp", "weight")))
		return LLM_OK;
	return load_table(ld, name, 1, hp->n_embd, false, &x->shared_gate);
}

static LlmStatus
load_experts(LlmLoader *ld, int layer, LlmExperts **out)
{
	const LlmHparams *hp = &ld->model->hp;
	const int64_t n_in = hp->router.n_latent > 0 ? hp->router.n_latent : hp->n_embd;
	LlmExperts *x;
	TensorName	name;
	void	   *p;

	LLM_TRY(llm_arena_alloc(&ld->model->arena, 1, sizeof(LlmExperts), &p, ld->err));
	memset(p, 0, sizeof(LlmExperts));
	x = p;
	LLM_TRY(load_linear(ld, layer, "ffn_gate_inp", hp->router.n_expert, hp->n_embd, &x->router));
	if (llm_pack_find(&ld->model->pack, tensor_name(name, layer, "exp_probs_b", "bias")))
		LLM_TRY(load_table(ld, name, 1, hp->router.n_expert, false, &x->choice_bias));
	if (has_gate(ld, layer, "ffn_gate_exps"))
		LLM_TRY(load_expert_linear(ld, layer, "ffn_gate_exps", hp->n_ff_expert, n_in, &x->gate));
	LLM_TRY(load_expert_linear(ld, layer, "ffn_up_exps", hp->n_ff_expert, n_in, &x->up));
	LLM_TRY(load_expert_linear(ld, layer, "ffn_down_exps", n_in, hp->n_ff_expert, &x->down));
	if (hp->router.n_latent > 0)
	{
		LLM_TRY(load_linear(ld, layer, "ffn_latent_down", n_in, hp->n_embd, &x->latent_down));
		LLM_TRY(load_linear(ld, layer, "ffn_latent_up", hp->n_embd, n_in, &x->latent_up));
	}
	LLM_TRY(load_shared_expert(ld, layer, x));
	*out = x;
	return LLM_OK;
}

/* ---- several streams (altup.c) ---- */

static LlmStatus
load_altup(LlmLoader *ld)
{
	LlmModel   *m = ld->model;
	const LlmAltUpParams *p = &m->hp.altup;
	const int64_t n_embd = m->hp.n_embd;
	const int64_t n_inputs = (int64_t) m->hp.n_layer * p->n_input;

	if (p->n_streams == 0)
		return LLM_OK;
	LLM_TRY(load_stack(ld, -1, "altup_proj", n_embd, n_embd, p->n_streams - 1, &m->altup.spread));
	LLM_TRY(load_stack(ld, -1, "altup_unembd_proj", n_embd, n_embd, p->n_streams - 1, &m->altup.gather));
	LLM_TRY(load_matrix(ld, "per_layer_token_embd.weight", m->hp.n_vocab, n_inputs, 1, &m->altup.input_embd));
	LLM_TRY(load_linear(ld, -1, "per_layer_model_proj", n_inputs, n_embd, &m->altup.input_proj));
	return load_norm(ld, -1, "per_layer_proj_norm", p->n_input, &m->altup.input_norm);
}

/* the laurel block's rank is that of its matrix */
static LlmStatus
load_laurel(LlmLoader *ld, int layer, LlmAltUpLayer *x)
{
	LlmModel   *m = ld->model;
	TensorName	name;
	const LlmPackTensor *t = llm_pack_find(&m->pack, tensor_name(name, layer, "laurel_l", "weight"));
	const int64_t rank = t ? t->n_rows : 1;

	if (rank < 1 || rank > MAX_HEAD_ROWS)
		return llm_fail(ld->err, LLM_E_FORMAT, "tensor \"%s\" has %lld rows, outside 1 to %d", name, (long long) rank, MAX_HEAD_ROWS);
	LLM_TRY(load_linear(ld, layer, "laurel_l", rank, m->hp.n_embd, &x->laurel_down));
	LLM_TRY(load_linear(ld, layer, "laurel_r", m->hp.n_embd, rank, &x->laurel_up));
	if (rank > m->altup.laurel_rank)
		m->altup.laurel_rank = (uint32_t) rank;
	return load_norm(ld, layer, "laurel_post_norm", m->hp.n_embd, &x->laurel_norm);
}

static LlmStatus
load_altup_layer(LlmLoader *ld, int layer, LlmLayer *l)
{
	const LlmHparams *hp = &ld->model->hp;
	const int64_t n = hp->altup.n_streams;
	LlmAltUpLayer *x;
	TensorName	name;
	void	   *p;

	if (n == 0)
		return LLM_OK;
	LLM_TRY(llm_arena_alloc(&ld->model->arena, 1, sizeof(LlmAltUpLayer), &p, ld->err));
	memset(p, 0, sizeof(LlmAltUpLayer));
	x = p;
	l->altup = x;
	x->sparsity = (float) llm_meta_array_float(hp->altup.sparsity, (uint64_t) layer);
	LLM_TRY(load_norm(ld, layer, "altup_router_norm", hp->n_embd, &x->router_norm));
	LLM_TRY(load_table(ld, tensor_name(name, layer, "altup_router", "weight"), n, hp->n_embd, false, &x->router));
	LLM_TRY(load_table(ld, tensor_name(name, layer, "altup_predict_coef", "weight"), n * n, n, false, &x->predict));
	LLM_TRY(load_table(ld, tensor_name(name, layer, "altup_correct_coef", "weight"), n, n, false, &x->correct));
	LLM_TRY(llm_load_vector(ld, tensor_name(name, layer, "altup_correct_scale", "weight"), hp->n_embd, true, &x->correct_scale));
	LLM_TRY(load_laurel(ld, layer, x));
	LLM_TRY(load_linear(ld, layer, "inp_gate", hp->altup.n_input, hp->n_embd, &x->input_gate));
	LLM_TRY(load_linear(ld, layer, "proj", hp->n_embd, hp->altup.n_input, &x->input_up));
	return load_norm(ld, layer, "post_norm", hp->n_embd, &x->input_norm);
}

/* ---- layers ---- */

/* norms before blocks */
static LlmStatus
load_norms_before(LlmLoader *ld, int layer, LlmLayer *l)
{
	const LlmArch *arch = ld->model->arch;
	const int64_t n = ld->model->hp.n_embd;
	const bool	turned = (arch->traits & LLM_TRAIT_NORMS_TURNED) != 0;
	TensorName	name;
	const char *attn_norm = turned && llm_pack_find(&ld->model->pack, tensor_name(name, layer, "attn_norm_2", "weight")) ? "attn_norm_2" : "attn_norm";
	const char *ffn_norm = turned ? "attn_norm" : arch->ffn_norm ? arch->ffn_norm : "ffn_norm";

	/* what comes out of the norm of embeddings need not be normalised again */
	if (l->mixer != LLM_MIXER_NONE)
		LLM_TRY(load_norm_if(ld, layer, attn_norm, n, layer == 0 && (arch->traits & LLM_TRAIT_EMBED_NORM), &l->attn_norm));
	if (!l->has_ffn || (arch->traits & LLM_TRAIT_PARALLEL))
		return LLM_OK;
	return load_norm(ld, layer, ffn_norm, n, &l->ffn_norm);
}

/* what a token sees of its sequence */
static void
set_sight(const LlmModel *m, uint32_t layer, LlmLayer *l)
{
	const uint32_t window = llm_hparams_window(&m->hp, layer);

	l->chunk = m->arch->chunked ? window : 0;
	l->see_before = window == 0 || l->chunk > 0 ? UINT32_MAX : m->hp.causal ? window - 1 : window / 2;
	l->see_after = m->hp.causal ? 0 : window == 0 ? UINT32_MAX : window / 2;
}

static bool
has_router(LlmLoader *ld, int layer)
{
	TensorName	name;

	return llm_pack_find(&ld->model->pack, tensor_name(name, layer, "ffn_gate_inp", "weight")) != NULL;
}

static LlmStatus
load_layer(LlmLoader *ld, int layer, LlmLayer *l)
{
	const LlmHparams *hp = &ld->model->hp;
	const LlmArch *arch = ld->model->arch;

	set_sight(ld->model, (uint32_t) layer, l);
	l->rope = llm_hparams_rope(arch, hp, (uint32_t) layer);
	l->n_head = llm_hparams_heads(hp, (uint32_t) layer);
	l->n_head_kv = llm_hparams_heads_kv(hp, (uint32_t) layer);
	l->mixer = llm_hparams_mixer(arch, hp, (uint32_t) layer);
	l->has_ffn = llm_hparams_ff(hp, (uint32_t) layer) > 0;
	LLM_TRY(load_altup_layer(ld, layer, l));
	if (l->mixer == LLM_MIXER_NONE && (arch->traits & LLM_TRAIT_ONE_BLOCK))
		LLM_TRY(load_norm(ld, layer, "attn_norm", hp->n_embd, &l->ffn_norm));
	else if (arch->norm_place == LLM_NORM_BEFORE || arch->norm_place == LLM_NORM_AROUND)
		LLM_TRY(load_norms_before(ld, layer, l));
	if (arch->norm_place == LLM_NORM_RESIDUAL)
	{
		LLM_TRY(load_norm(ld, layer, "attn_output_norm", hp->n_embd, &l->attn_post_norm));
		LLM_TRY(load_norm_if(ld, layer, "attn_norm_2", hp->n_embd, true, &l->attn_second_norm));
		LLM_TRY(load_norm(ld, layer, "layer_output_norm", hp->n_embd, &l->ffn_post_norm));
	}
	else if (arch->norm_place != LLM_NORM_BEFORE)
	{
		LLM_TRY(load_norm(ld, layer, "post_attention_norm", hp->n_embd, &l->attn_post_norm));
		LLM_TRY(load_norm(ld, layer, "post_ffw_norm", hp->n_embd, &l->ffn_post_norm));
	}
	if (l->mixer == LLM_MIXER_ATTENTION)
		LLM_TRY(arch->traits & LLM_TRAIT_LATENT ? load_latent(ld, layer, l) : load_attention(ld, layer, l));
	else if (l->mixer == LLM_MIXER_LINEAR)
		LLM_TRY(load_linear(ld, layer, "attn_output", hp->n_embd, hp->n_embd, &l->wo));
	if ((arch->traits & LLM_TRAIT_SIDE_BY_SIDE) || (l->mixer != LLM_MIXER_ATTENTION && l->mixer == arch->recurrent))
		LLM_TRY(load_recurrent(ld, layer, l));
	if (!l->has_ffn)
		return LLM_OK;
	if (hp->ffn == LLM_FFN_XIELU)
		LLM_TRY(load_xielu(ld, layer, l));
	if (llm_hparams_has_experts(hp, (uint32_t) layer) && (!arch->experts_some || has_router(ld, layer)))
		return load_experts(ld, layer, &l->experts);
	return load_ffn(ld, layer, &l->ffn);
}

/* layers that guess tokens ahead are not computed: they change no answer */
static void
use_draft_layers(LlmLoader *ld)
{
	const LlmModel *m = ld->model;

	for (uint64_t i = 0; i < m->pack.n_tensors && m->hp.n_layer_draft > 0; i++)
	{
		TensorName	name;
		unsigned	layer;

		snprintf(name, sizeof(name), "%.*s", (int) m->pack.tensors[i].name.len, m->pack.tensors[i].name.data);
		if (sscanf(name, "blk.%u.", &layer) == 1 && layer >= m->hp.n_layer && layer < m->hp.n_layer + m->hp.n_layer_draft)
			ld->used[i] = true;
	}
}

/* ---- before and after the layers ---- */

/*
 * Slopes of ALiBi for n heads: with p the largest power of two in n, 2^(-bias/p) to the powers of 1 to p; for heads beyond, the
 * square root of it to the odd powers. Source: Press et al. 2021, arXiv 2108.12409, and its reference implementation.
 */
static LlmStatus
make_slopes(LlmLoader *ld)
{
	const uint32_t n = ld->model->hp.n_head;
	const double bias = ld->model->hp.alibi_bias;
	const double log2 = 0.69314718055994530942;
	uint32_t	power = 1;
	void	   *p;

	while (power * 2 <= n)
		power *= 2;
	LLM_TRY(llm_arena_alloc(&ld->model->arena, n, sizeof(float), &p, ld->err));
	for (uint32_t h = 0; h < n; h++)
	{
		double		exponent = h < power ? bias * (h + 1) / power : bias / 2 * (2 * (h - power) + 1) / power;

		((float *) p)[h] = (float) llmk_exp(-exponent * log2);
	}
	ld->model->alibi = p;
	return LLM_OK;
}

static LlmStatus
load_embeddings(LlmLoader *ld)
{
	LlmModel   *m = ld->model;
	const uint32_t traits = m->arch->traits;
	const LlmPackTensor *types = llm_pack_find(&m->pack, "token_types.weight");

	LLM_TRY(load_matrix(ld, "token_embd.weight", m->hp.n_vocab, m->hp.n_embd, 1, &m->token_embd));
	/* where there may be ALiBi in their place they may be missing */
	if ((traits & LLM_TRAIT_POSITIONS) && (!(traits & LLM_TRAIT_ALIBI) || llm_pack_find(&m->pack, "position_embd.weight")))
		LLM_TRY(load_matrix(ld, "position_embd.weight", m->hp.n_ctx_train, m->hp.n_embd, 1, &m->position_embd));
	if (m->hp.alibi_bias > 0)
		LLM_TRY(make_slopes(ld));
	/* adapters of embeddings that are normalised are not computed */
	if (!(traits & LLM_TRAIT_EMBED_NORM))
		return llm_adapters_find(ld, "token_embd.weight", m->hp.n_vocab, m->hp.n_embd, 1, true, &m->token_embd_lora);
	if (types)
	{
		LLM_TRY(load_table(ld, "token_types.weight", types->n_rows, m->hp.n_embd, false, &m->token_types));
		m->n_token_types = types->n_rows > UINT32_MAX ? UINT32_MAX : (uint32_t) types->n_rows;
	}
	return load_norm(ld, -1, "token_embd_norm", m->hp.n_embd, &m->embed_norm);
}

/* a product of the head, with as many rows as its tensor has; one row may be a vector. *n: its columns, then its rows. */
static LlmStatus
load_head_linear(LlmLoader *ld, const char *role, uint32_t *n, LlmLinear *out)
{
	LlmModel   *m = ld->model;
	TensorName	name;
	const LlmPackTensor *t = llm_pack_find(&m->pack, tensor_name(name, -1, role, "weight"));
	const float *row;
	void	   *group;

	if (!t)
		return LLM_OK;
	if (t->n_rows < 1 || t->n_rows > MAX_HEAD_ROWS)
		return llm_fail(ld->err, LLM_E_FORMAT, "tensor \"%s\" has %lld rows, outside 1 to %d", name, (long long) t->n_rows,
						MAX_HEAD_ROWS);
	if (t->is_vector)
	{
		LLM_TRY(llm_load_vector(ld, name, *n, true, &row));
		LLM_TRY(llm_arena_alloc(&m->arena, 1, llmk_group_bytes(LLM_TYPE_F32, *n) + LLMK_ALIGN, &group, ld->err));
		group = (void *) (((uintptr_t) group + LLMK_ALIGN - 1) / LLMK_ALIGN * LLMK_ALIGN);
		llmk_pack_group(LLM_TYPE_F32, *n, row, 1, group);
		out->w = (LlmkMatrix) {LLM_TYPE_F32, 1, *n, group};
		LLM_TRY(llm_load_vector(ld, tensor_name(name, -1, role, "bias"), 1, false, &out->bias));
	}
	else
		LLM_TRY(load_linear(ld, -1, role, t->n_rows, *n, out));
	*n = (uint32_t) t->n_rows;
	if (*n > m->head.n_widest)
		m->head.n_widest = *n;
	return LLM_OK;
}

static LlmStatus
load_head(LlmLoader *ld)
{
	LlmModel   *m = ld->model;
	LlmHead    *head = &m->head;
	uint32_t	n = m->hp.n_embd;

	head->n_widest = n;
	LLM_TRY(load_head_linear(ld, "dense_2", &n, &head->dense[0]));
	LLM_TRY(load_head_linear(ld, "dense_3", &n, &head->dense[1]));
	head->n_embd_out = n;

	n = m->hp.n_embd;
	LLM_TRY(load_head_linear(ld, "cls", &n, &head->cls));
	head->cls_gelu = (m->arch->traits & LLM_TRAIT_ENCODER) && m->arch->norm_place == LLM_NORM_BEFORE;
	if (head->cls.w.data)
		LLM_TRY(load_norm_if(ld, -1, "cls.norm", n, true, &head->cls_norm));
	LLM_TRY(load_head_linear(ld, "cls.output", &n, &head->cls_out));
	head->n_outputs = head->cls.w.data || head->cls_out.w.data ? n : 0;
	return LLM_OK;
}

LlmStatus
llm_load_weights(LlmLoader *ld)
{
	LlmModel   *m = ld->model;
	uint32_t	n_attn = 0;
	uint32_t	n_recurrent = 0;
	void	   *p;

	LLM_TRY(load_embeddings(ld));
	if (m->arch->norm_place != LLM_NORM_RESIDUAL)
		LLM_TRY(load_norm(ld, -1, m->arch->traits & LLM_TRAIT_OUTPUT_NORM_NAME ? "token_embd_norm" : "output_norm", m->hp.n_embd,
						  &m->output_norm));
	if (!m->hp.causal)
		llm_loader_use(ld, "output.weight");	/* some files have it; there are no logits */
	else if (llm_pack_find(&m->pack, "output.weight"))
		LLM_TRY(load_linear(ld, -1, "output", m->hp.n_vocab, m->hp.n_embd, &m->output));
	else
	{
		m->output = (LlmLinear) {.w = m->token_embd};
		LLM_TRY(llm_load_vector(ld, "output.bias", m->hp.n_vocab, false, &m->output.bias));
		LLM_TRY(llm_adapters_find(ld, "output.weight", m->hp.n_vocab, m->hp.n_embd, 1, false, &m->output.lora));
	}
	LLM_TRY(load_head(ld));
	LLM_TRY(load_altup(ld));
	LLM_TRY(llm_arena_alloc(&m->arena, m->hp.n_layer, sizeof(LlmLayer), &p, ld->err));
	m->layers = p;
	memset(p, 0, m->hp.n_layer * sizeof(LlmLayer));
	for (uint32_t i = 0; i < m->hp.n_layer; i++)
	{
		LLM_TRY(load_layer(ld, (int) i, &m->layers[i]));
		/* a layer that attends and has a state too is one of each kind, as all others are */
		m->layers[i].state_index = m->layers[i].recurrent ? n_recurrent++ : m->layers[i].mixer == LLM_MIXER_ATTENTION ? n_attn++ : 0;
		if (llm_hparams_kv_source(&m->hp, i) != i)
			m->layers[i].state_index = m->layers[llm_hparams_kv_source(&m->hp, i)].state_index;
		if (!m->hp.causal)
			m->layers[i].state_index = 0;
	}
	LLM_TRY(llm_load_rope(ld));

	use_draft_layers(ld);
	for (uint64_t i = 0; i < m->pack.n_tensors; i++)
	{
		if (!ld->used[i])
			return llm_fail(ld->err, LLM_E_UNSUPPORTED, "tensor \"%.*s\" is not known for architecture \"%s\"",
							(int) (m->pack.tensors[i].name.len > 64 ? 64 : m->pack.tensors[i].name.len),
							m->pack.tensors[i].name.data, m->arch->name);
	}
	return LLM_OK;
}
