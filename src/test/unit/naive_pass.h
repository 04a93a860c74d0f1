/*
 * naive_pass.h: the forward pass of one sequence in double precision, as simply as it can be written: no cache, no batch,
 * no tiles. What a model is comes from a test's own description (NaiveModel), not from the tables of src/runtime/model.
 */
#ifndef LLM_TEST_NAIVE_PASS_H
#define LLM_TEST_NAIVE_PASS_H

#include <math.h>

#include "test_model.h"

#define NAIVE_EMBD 64
#define NAIVE_HEAD 4
#define NAIVE_HEAD_DIM 16
#define NAIVE_TOKENS 110
#define NAIVE_SHARED 12			/* layers whose keys and values others may read */

typedef enum NaiveAct
{
	NAIVE_SILU,
	NAIVE_GELU,
	NAIVE_RELU_SQR,
	NAIVE_GELU_PLAIN,			/* without gate */
	NAIVE_GELU_ERF,				/* the same by erf */
	NAIVE_XIELU,				/* without gate too */
	NAIVE_CLAMPED,
	NAIVE_REGLU
} NaiveAct;

typedef struct NaiveModel
{
	const char *arch;
	void		(*change) (const char *name, float *data, int n_cols, int n_rows, int n_stack); /* weights, as they are made */
	int			n_layer;
	int			n_head_kv;
	int			n_rot;
	int			n_ff;
	bool		layer_norm;
	bool		norm_before;
	bool		norm_after;
	const char *attn_norm;		/* names; NULL: the usual ones */
	const char *ffn_norm;
	bool		positions;		/* learned ones */
	bool		embed_norm;
	double		alibi;			/* largest exponent of a slope; 0: none */
	const int32_t *heads;		/* by layer: heads, 0: no attention; key/value heads, 0: a matrix in its place; widths, 0: no feed-forward */
	const int32_t *kvs;
	const int32_t *ffs;
	int			qk_norm;		/* 1: per head, 2: whole, 3: per head with weights of its own, 4: per head without weights, where there is rope */
	bool		qk_norm_late;	/* after rope */
	bool		fused_qkv;
	bool		fused_gate;
	bool		parallel;
	bool		norm_ahead;		/* parallel, with a norm for each block */
	bool		plain_norm;		/* without weights */
	double		clamp_qkv;		/* 0: none */
	bool		biases;			/* on q, k, v */
	NaiveAct	act;
	bool		neox;
	double		rope_base;
	double		norm_eps;		/* 0: 1e-5 */
	double		local_base;
	double		yarn;			/* factor; 0: none */
	double		yarn_local;		/* the same for layers with a window */
	double		yarn_orig;
	double		rope_magnitude; /* beside YaRN's own */
	const char *rope_factors;	/* name of their tensor */
	double		linear;			/* factor, layers without window */
	int			no_rope_every;
	bool		rope_local_only;
	int			window;
	int			window_every;	/* 0: all layers */
	bool		full_first;		/* of them the first has none, not the last */
	bool		chunked;		/* a window begins at a multiple of it */
	double		embed_scale;	/* 0 means 1, in all of these */
	double		residual_scale;
	double		attn_scale;		/* 0: 1 / sqrt(head size) */
	double		logit_scale;
	double		attn_cap;
	double		logit_cap;
	double		query_scale;	/* by floor(position / yarn_orig), or where this is set: */
	double		query_scale_length;	/* by floor((position + 1) / it), in layers without rope */
	bool		sinks;
	int			n_expert;
	int			n_used;
	int			router;			/* 1 softmax, 2 sigmoid, 3 softmax of the chosen, 4 SparseMixer */
	bool		router_early;	/* over the layer's input */
	bool		weigh_input;	/* of experts, not what they give */
	int			moe_step;		/* every so many layers the last has experts; 0: all */
	bool		renorm;
	int			n_groups;
	int			n_groups_used;
	double		expert_scale;
	bool		choice_bias;
	bool		expert_bias;
	int			n_ff_shared;
	bool		shared_plain;	/* the shared expert has no gate of its own */
	int			dense_lead;		/* leading layers without experts */
	int			n_streams;		/* several residual streams (naive_altup.h); 0: one */
	int			active;
	int			n_input;		/* of each layer's own input of a token */
	int			n_shared;		/* last layers that read keys and values of an earlier one */
	int			laurel_rank;
	const float *sparsity;		/* by layer: deviations above the mean; -INFINITY: none */
	int			kv_rank;		/* latent attention; 0: none */
	int			q_rank;			/* 0: queries come directly */
	int			latent_k;		/* sizes of its heads */
	int			latent_v;
	int			scales;			/* of tensors: 1: one value each, 2: of stacks one for each matrix */
	bool		quantized;		/* matrices are Q8_0; too coarse to compare with this pass */
} NaiveModel;

#define NAIVE_KEPT 1024

/* matrices that were decoded for a token are kept for the next ones */
typedef struct NaiveMatrix
{
	const LlmPackTensor *tensor;
	int			index;
	int			first_row;
	int			n_rows;
	double	   *w;
} NaiveMatrix;

typedef struct NaiveMatrices
{
	NaiveMatrix kept[NAIVE_KEPT];
	int			n;
} NaiveMatrices;

typedef struct Naive
{
	const NaiveModel *d;
	const LlmModel *m;
	NaiveMatrices *matrices;
	int			layer;
} Naive;

static inline double
naive_or_one(double x)
{
	return x != 0 ? x : 1;
}

/* of a tensor of the layer, or of the model */
static inline void
naive_name(const Naive *v, const char *role, char *name, size_t size)
{
	if (v->layer >= 0)
		snprintf(name, size, "blk.%d.%s", v->layer, role);
	else
		snprintf(name, size, "%s", role);
}

/* n numbers of a tensor from row first_row of matrix `index` on, or zeros (NULL if required is false) */
static inline double *
naive_tensor(const Naive *v, const char *role, int index, int first_row, int n_rows, int n_cols, bool required)
{
	char		name[96];
	const LlmPackTensor *t;
	double	   *out;
	float	   *row = calloc((size_t) n_cols, sizeof *row);

	naive_name(v, role, name, sizeof name);
	t = llm_pack_find(&v->m->pack, name);
	if (!t || !row)
	{
		CHECK_MSG(!required, "no tensor %s", name);
		free(row);
		return NULL;
	}
	out = calloc((size_t) n_rows * (size_t) n_cols, sizeof *out);
	for (int r = 0; out && r < n_rows; r++)
	{
		LlmkMatrix	w = {t->type, t->n_rows, t->n_cols, t->data + (size_t) index * (t->n_bytes / (size_t) t->n_stack)};

		if (t->is_vector)
			memcpy(row, (const float *) t->data + first_row, (size_t) n_cols * sizeof *row);
		else
			llmk_level(0)->get_row[t->type] (&w, first_row + r, row);
		for (int c = 0; c < n_cols; c++)
			out[r * n_cols + c] = row[c];
	}
	free(row);
	return out;
}

static inline void
naive_norm_eps(const Naive *v, const char *role, int row, double *x, int n, double eps)
{
	char		name[64];
	double	   *w;
	double	   *b;
	double		mean = 0;
	double		square = 0;

	snprintf(name, sizeof name, "%s.weight", role);
	w = naive_tensor(v, name, 0, row, 1, n, !v->d->plain_norm);
	snprintf(name, sizeof name, "%s.bias", role);
	b = naive_tensor(v, name, 0, 0, 1, n, false);
	for (int i = 0; v->d->layer_norm && i < n; i++)
		mean += x[i] / n;
	for (int i = 0; i < n; i++)
		square += (x[i] - mean) * (x[i] - mean) / n;
	for (int i = 0; i < n; i++)
		x[i] = (x[i] - mean) / sqrt(square + eps) * (w ? w[i] : 1) + (b ? b[i] : 0);
	free(w);
	free(b);
}

static inline void
naive_norm_row(const Naive *v, const char *role, int row, double *x, int n)
{
	naive_norm_eps(v, role, row, x, n, v->d->norm_eps != 0 ? v->d->norm_eps : 1e-5);
}

static inline void
naive_norm(const Naive *v, const char *role, double *x, int n)
{
	naive_norm_row(v, role, 0, x, n);
}

/* as naive_tensor, but not to be freed */
static inline const double *
naive_matrix(const Naive *v, const char *role, int index, int first_row, int n_rows, int n_cols)
{
	NaiveMatrices *m = v->matrices;
	const LlmPackTensor *t;
	double	   *w;
	char		name[96];

	naive_name(v, role, name, sizeof name);
	t = llm_pack_find(&v->m->pack, name);
	for (int i = 0; i < m->n; i++)
	{
		const NaiveMatrix *k = &m->kept[i];

		if (k->tensor == t && k->index == index && k->first_row == first_row && k->n_rows == n_rows)
			return k->w;
	}
	w = naive_tensor(v, role, index, first_row, n_rows, n_cols, true);
	if (!w || m->n == NAIVE_KEPT)
	{
		CHECK_MSG(!w, "more than %d matrices", NAIVE_KEPT);
		free(w);
		return NULL;
	}
	m->kept[m->n++] = (NaiveMatrix) {t, index, first_row, n_rows, w};
	return w;
}

/* rows [first_row, first_row + n_rows) of a matrix times x and its scale, plus the bias, where there are such */
static inline void
naive_linear(const Naive *v, const char *role, int index, int first_row, int n_rows, int n_cols, const double *x, double *out)
{
	char		name[64];
	const double *w;
	double	   *b;
	double	   *scale;
	bool		stack = strstr(role, "_exps") != NULL;

	snprintf(name, sizeof name, "%s.weight", role);
	w = naive_matrix(v, name, index, first_row, n_rows, n_cols);
	snprintf(name, sizeof name, "%s.bias", role);
	b = naive_tensor(v, name, 0, stack ? index : first_row, 1, n_rows, false);
	snprintf(name, sizeof name, "%s.scale", role);
	scale = naive_tensor(v, name, 0, v->d->scales == 2 ? index : 0, 1, 1, false);
	for (int r = 0; w && r < n_rows; r++)
	{
		out[r] = 0;
		for (int c = 0; c < n_cols; c++)
			out[r] += w[r * n_cols + c] * x[c];
		out[r] = out[r] * (scale ? scale[0] : 1) + (b ? b[r] : 0);
	}
	free(scale);
	free(b);
}

/* ---- attention ---- */

static inline bool
naive_has_window(const NaiveModel *d, int layer)
{
	return d->window > 0 && (d->window_every == 0 || (layer + (d->full_first ? 0 : 1)) % d->window_every != 0);
}

static inline bool
naive_rotates(const NaiveModel *d, int layer)
{
	return !(d->no_rope_every && (layer + 1) % d->no_rope_every == 0) && !(d->rope_local_only && !naive_has_window(d, layer));
}

static inline int
naive_kv(const NaiveModel *d, int layer)
{
	return d->kvs ? d->kvs[layer] : d->n_head_kv;
}

static inline int
naive_ff(const NaiveModel *d, int layer)
{
	return d->ffs ? d->ffs[layer] : d->n_ff;
}

/* the layer whose keys and values a layer reads */
static inline int
naive_kv_source(const NaiveModel *d, int layer)
{
	int			source = d->n_layer - d->n_shared - 1;

	if (layer <= source)
		return layer;
	while (source > 0 && naive_has_window(d, source) != naive_has_window(d, layer))
		source--;
	return source;
}

static inline bool
naive_has_experts(const NaiveModel *d, int layer)
{
	return d->n_expert > 0 && layer >= d->dense_lead && (d->moe_step == 0 || (layer + 1) % d->moe_step == 0);
}

static inline void
naive_rope(const Naive *v, double *x, int position)
{
	const NaiveModel *d = v->d;
	const bool	local = naive_has_window(d, v->layer);
	const double base = local && d->local_base != 0 ? d->local_base : d->rope_base;
	const double yarn = local ? d->yarn_local : d->yarn;
	double		magnitude = local && yarn == 0 && d->yarn != 0 ? 1 : naive_or_one(d->rope_magnitude);
	Naive		top = {d, v->m, v->matrices, -1};
	double	   *factors;

	if (!naive_rotates(d, v->layer))
		return;
	factors = d->rope_factors ? naive_tensor(&top, d->rope_factors, 0, 0, 1, d->n_rot / 2, true) : NULL;
	for (int i = 0; i < d->n_rot / 2; i++)
	{
		double		freq = pow(base, -2.0 * i / d->n_rot) / (factors ? factors[i] : 1);
		int			a = d->neox ? i : 2 * i;
		int			b = d->neox ? i + d->n_rot / 2 : 2 * i + 1;
		double		xa = x[a];
		double		xb = x[b];

		if (d->linear != 0 && !local)
			freq /= d->linear;
		if (yarn != 0)
		{
			double		low = floor(d->n_rot * log(d->yarn_orig / (32 * 2 * M_PI)) / (2 * log(base)));
			double		high = ceil(d->n_rot * log(d->yarn_orig / (1 * 2 * M_PI)) / (2 * log(base)));
			double		ramp;

			low = fmax(low, 0);
			high = fmin(high, d->n_rot - 1);
			ramp = fmin(1, fmax(0, (i - low) / fmax(0.001, high - low)));
			freq = freq / yarn * ramp + freq * (1 - ramp);
		}
		x[a] = magnitude * (xa * cos(position * freq) - xb * sin(position * freq));
		x[b] = magnitude * (xb * cos(position * freq) + xa * sin(position * freq));
	}
	free(factors);
}

static inline void
naive_unit(double *x, int n)
{
	double		square = 0;

	for (int i = 0; i < n; i++)
		square += x[i] * x[i] / n;
	for (int i = 0; i < n; i++)
		x[i] /= sqrt(square + 1e-5);
}

/* queries or keys of one token */
static inline void
naive_heads(const Naive *v, const char *norm, double *x, int n_head, int position)
{
	if (v->d->qk_norm == 2)
		naive_norm(v, norm, x, n_head * NAIVE_HEAD_DIM);
	for (int h = 0; h < n_head; h++)
	{
		const int	by_head = v->d->qk_norm == 1 || v->d->qk_norm == 3;

		if (by_head && !v->d->qk_norm_late)
			naive_norm_row(v, norm, v->d->qk_norm == 3 ? h : 0, x + h * NAIVE_HEAD_DIM, NAIVE_HEAD_DIM);
		naive_rope(v, x + h * NAIVE_HEAD_DIM, position);
		if (by_head && v->d->qk_norm_late)
			naive_norm_row(v, norm, 0, x + h * NAIVE_HEAD_DIM, NAIVE_HEAD_DIM);
		if (v->d->qk_norm == 4 && naive_rotates(v->d, v->layer))
			naive_unit(x + h * NAIVE_HEAD_DIM, NAIVE_HEAD_DIM);
	}
}

/* one head of one token over keys and values (n_tokens, n_head_kv * head size) of its key/value head */
static inline void
naive_attend(const Naive *v, const double *q, const double *k, const double *values, int t, int head, double *out)
{
	const NaiveModel *d = v->d;
	const int	stride = naive_kv(d, v->layer) * NAIVE_HEAD_DIM;
	const int	windowed = d->chunked ? t / (d->window > 0 ? d->window : 1) * d->window : t + 1 - d->window;
	const int	first = naive_has_window(d, v->layer) && t >= d->window ? windowed : 0;
	double		p[NAIVE_TOKENS];
	double		sum = 0;
	double	   *sinks = d->sinks ? naive_tensor(v, "attn_sinks.weight", 0, 0, 1, NAIVE_HEAD, true) : NULL;

	for (int s = first; s <= t; s++)
	{
		double		score = 0;

		for (int i = 0; i < NAIVE_HEAD_DIM; i++)
			score += q[i] * k[s * stride + i];
		score *= d->attn_scale != 0 ? d->attn_scale : 1 / sqrt(NAIVE_HEAD_DIM);
		if (d->attn_cap != 0)
			score = d->attn_cap * tanh(score / d->attn_cap);
		if (d->alibi != 0)
			score -= pow(2, -d->alibi * (head + 1) / NAIVE_HEAD) * (t - s);
		p[s] = exp(score);
		sum += p[s];
	}
	if (sinks)
		sum += exp(sinks[head]);
	free(sinks);
	for (int i = 0; i < NAIVE_HEAD_DIM; i++)
	{
		out[i] = 0;
		for (int s = first; s <= t; s++)
			out[i] += p[s] / sum * values[s * stride + i];
	}
}

/* of one token: queries of all heads; its latent, made into keys and values of all heads */
static inline void
naive_latent_heads(const Naive *v, const double *x, int position, double *q, double *k, double *values)
{
	const NaiveModel *d = v->d;
	const int	plain = d->latent_k - d->n_rot;
	double		bottleneck[128];
	double		latent[128];

	if (d->q_rank)
	{
		naive_linear(v, "attn_q_a", 0, 0, d->q_rank, NAIVE_EMBD, x, bottleneck);
		naive_norm_eps(v, "attn_q_a_norm", 0, bottleneck, d->q_rank, 1e-6);
		naive_linear(v, "attn_q_b", 0, 0, NAIVE_HEAD * d->latent_k, d->q_rank, bottleneck, q);
	}
	else
		naive_linear(v, "attn_q", 0, 0, NAIVE_HEAD * d->latent_k, NAIVE_EMBD, x, q);
	naive_linear(v, "attn_kv_a_mqa", 0, 0, d->kv_rank + d->n_rot, NAIVE_EMBD, x, latent);
	naive_norm_eps(v, "attn_kv_a_norm", 0, latent, d->kv_rank, 1e-6);
	naive_rope(v, latent + d->kv_rank, position);
	for (int h = 0; h < NAIVE_HEAD; h++)
	{
		double	   *key = k + h * d->latent_k;
		double	   *k_up = naive_tensor(v, "attn_k_b.weight", h, 0, d->kv_rank, plain, true);
		double	   *scale = naive_tensor(v, "attn_k_b.scale", 0, d->scales == 2 ? h : 0, 1, 1, false);

		for (int j = 0; k_up && j < plain; j++)
		{
			key[j] = 0;
			for (int i = 0; i < d->kv_rank; i++)
				key[j] += latent[i] * k_up[i * plain + j] * (scale ? scale[0] : 1);
		}
		memcpy(key + plain, latent + d->kv_rank, (size_t) d->n_rot * sizeof *key);
		naive_rope(v, q + h * d->latent_k + plain, position);
		naive_linear(v, "attn_v_b", h, 0, d->latent_v, d->kv_rank, latent, values + h * d->latent_v);
		free(k_up);
		free(scale);
	}
}

/* keys and values of every head are made, where the runtime keeps to the latents */
static inline void
naive_latent_attention(const Naive *v, const double *x, int n_tokens, double *out)
{
	const NaiveModel *d = v->d;
	const int	nk = NAIVE_HEAD * d->latent_k;
	const int	nv = NAIVE_HEAD * d->latent_v;
	double	   *q = calloc((size_t) (n_tokens * nk), sizeof *q);
	double	   *k = calloc((size_t) (n_tokens * nk), sizeof *k);
	double	   *values = calloc((size_t) (n_tokens * nv), sizeof *values);
	double		heads[NAIVE_HEAD * 64];

	for (int t = 0; q && k && values && t < n_tokens; t++)
	{
		naive_latent_heads(v, x + t * NAIVE_EMBD, t, q + t * nk, k + t * nk, values + t * nv);
		memset(heads, 0, sizeof heads);
		for (int h = 0; h < NAIVE_HEAD; h++)
		{
			double		p[NAIVE_TOKENS];
			double		sum = 0;

			for (int s = 0; s <= t; s++)
			{
				double		score = 0;

				for (int i = 0; i < d->latent_k; i++)
					score += q[t * nk + h * d->latent_k + i] * k[s * nk + h * d->latent_k + i];
				p[s] = exp(score * (d->attn_scale != 0 ? d->attn_scale : 1 / sqrt(d->latent_k)));
				sum += p[s];
			}
			for (int s = 0; s <= t; s++)
			{
				for (int i = 0; i < d->latent_v; i++)
					heads[h * d->latent_v + i] += p[s] / sum * values[s * nv + h * d->latent_v + i];
			}
		}
		naive_linear(v, "attn_output", 0, 0, NAIVE_EMBD, nv, heads, out + t * NAIVE_EMBD);
	}
	free(q);
	free(k);
	free(values);
}

/* x (n_tokens, n_embd) normalised; out the same shape */
static inline void
naive_attention(const Naive *v, const double *x, int n_tokens, double *out)
{
	const NaiveModel *d = v->d;
	const int	nq = NAIVE_HEAD * NAIVE_HEAD_DIM;
	const int	nk = naive_kv(d, v->layer) * NAIVE_HEAD_DIM;
	double	   *q = calloc((size_t) (n_tokens * nq), sizeof *q);
	double	   *k = calloc((size_t) (n_tokens * nk), sizeof *k);
	double	   *values = calloc((size_t) (n_tokens * nk), sizeof *values);
	double		heads[NAIVE_HEAD * NAIVE_HEAD_DIM];
	static double kept[NAIVE_SHARED][2][NAIVE_TOKENS * NAIVE_HEAD * NAIVE_HEAD_DIM];
	const int	source = naive_kv_source(d, v->layer);

	for (int t = 0; q && k && values && t < n_tokens; t++)
	{
		const double *row = x + t * NAIVE_EMBD;

		if (source != v->layer)
		{
			memcpy(k + t * nk, kept[source][0] + t * nk, (size_t) nk * sizeof *k);
			memcpy(values + t * nk, kept[source][1] + t * nk, (size_t) nk * sizeof *k);
		}

		naive_linear(v, d->fused_qkv ? "attn_qkv" : "attn_q", 0, 0, nq, NAIVE_EMBD, row, q + t * nq);
		if (source == v->layer)
		{
			naive_linear(v, d->fused_qkv ? "attn_qkv" : "attn_k", 0, d->fused_qkv ? nq : 0, nk, NAIVE_EMBD, row, k + t * nk);
			naive_linear(v, d->fused_qkv ? "attn_qkv" : "attn_v", 0, d->fused_qkv ? nq + nk : 0, nk, NAIVE_EMBD, row, values + t * nk);
		}
		for (int i = 0; d->clamp_qkv != 0 && i < nq; i++)
		{
			q[t * nq + i] = fmax(-d->clamp_qkv, fmin(d->clamp_qkv, q[t * nq + i]));
			k[t * nk + i % nk] = fmax(-d->clamp_qkv, fmin(d->clamp_qkv, k[t * nk + i % nk]));
			values[t * nk + i % nk] = fmax(-d->clamp_qkv, fmin(d->clamp_qkv, values[t * nk + i % nk]));
		}
		naive_heads(v, "attn_q_norm", q + t * nq, NAIVE_HEAD, t);
		if (source == v->layer)
			naive_heads(v, "attn_k_norm", k + t * nk, nk / NAIVE_HEAD_DIM, t);
		for (int h = 0; d->n_streams > 0 && source == v->layer && h < nk; h += NAIVE_HEAD_DIM)
			naive_unit(values + t * nk + h, NAIVE_HEAD_DIM);
		if (v->layer < NAIVE_SHARED)
		{
			memcpy(kept[v->layer][0] + t * nk, k + t * nk, (size_t) nk * sizeof *k);
			memcpy(kept[v->layer][1] + t * nk, values + t * nk, (size_t) nk * sizeof *k);
		}
		for (int i = 0; d->query_scale != 0 && (d->query_scale_length == 0 || !naive_rotates(d, v->layer)) && i < nq; i++)
			q[t * nq + i] *= 1 + d->query_scale * log(1 + floor(d->query_scale_length != 0 ? (t + 1) / d->query_scale_length : t / d->yarn_orig));
		for (int h = 0; h < NAIVE_HEAD; h++)
		{
			int			kv = h / (NAIVE_HEAD * NAIVE_HEAD_DIM / nk) * NAIVE_HEAD_DIM;

			naive_attend(v, q + t * nq + h * NAIVE_HEAD_DIM, k + kv, values + kv, t, h, heads + h * NAIVE_HEAD_DIM);
		}
		naive_linear(v, "attn_output", 0, 0, NAIVE_EMBD, nq, heads, out + t * NAIVE_EMBD);
	}
	free(q);
	free(k);
	free(values);
}

/* ---- feed-forward ---- */

static inline double
naive_activate(NaiveAct act, double g, double u)
{
	switch (act)
	{
		case NAIVE_SILU:
			return g / (1 + exp(-g)) * u;
		case NAIVE_GELU:
			return 0.5 * g * (1 + tanh(sqrt(2 / M_PI) * (g + 0.044715 * g * g * g))) * u;
		case NAIVE_CLAMPED:
			g = fmin(g, 7);
			u = fmax(-7, fmin(u, 7));
			return g / (1 + exp(-1.702 * g)) * (u + 1);
		case NAIVE_REGLU:
			return fmax(g, 0) * u;
		case NAIVE_GELU_PLAIN:
			return naive_activate(NAIVE_GELU, u, 1);
		case NAIVE_GELU_ERF:
			return 0.5 * u * (1 + erf(u / sqrt(2)));
		case NAIVE_RELU_SQR:
		case NAIVE_XIELU:
			break;
	}
	return u > 0 ? u * u : 0;
}

static inline bool
naive_has_gate(const NaiveModel *d)
{
	return d->act != NAIVE_RELU_SQR && d->act != NAIVE_GELU_PLAIN && d->act != NAIVE_GELU_ERF && d->act != NAIVE_XIELU;
}

/* Huang and Schlag 2024, with alphas before softplus */
static inline void
naive_xielu(const Naive *v, double *x, int n)
{
	double	   *p = naive_tensor(v, "ffn_act.alpha_p", 0, 0, 1, 1, true);
	double	   *m = naive_tensor(v, "ffn_act.alpha_n", 0, 0, 1, 1, true);
	double	   *beta = naive_tensor(v, "ffn_act.beta", 0, 0, 1, 1, true);
	double	   *eps = naive_tensor(v, "ffn_act.eps", 0, 0, 1, 1, true);

	for (int i = 0; p && m && beta && eps && i < n; i++)
		x[i] = x[i] > 0 ? log(1 + exp(p[0])) * x[i] * x[i] + beta[0] * x[i] :
			(expm1(fmin(x[i], eps[0])) - x[i]) * (beta[0] + log(1 + exp(m[0]))) + beta[0] * x[i];
	free(p);
	free(m);
	free(beta);
	free(eps);
}

static inline void
naive_keep_largest(double *x, int n, double deviations)
{
	double		mean = 0;
	double		square = 0;

	for (int i = 0; i < n; i++)
		mean += x[i] / n;
	for (int i = 0; i < n; i++)
		square += (x[i] - mean) * (x[i] - mean) / n;
	for (int i = 0; i < n; i++)
		x[i] = fmax(0, x[i] - mean - deviations * sqrt(square));
}

/* suffix: "", "_exps" (of expert `index`) or "_shexp" */
static inline void
naive_ffn(const Naive *v, const char *suffix, int index, int n_ff, const double *x, double *out)
{
	const NaiveModel *d = v->d;
	char		role[32];
	double		gate[512] = {0};
	double		up[512];

	snprintf(role, sizeof role, "ffn_%s%s", d->fused_gate ? "up" : "gate", suffix);
	if (naive_has_gate(d))
		naive_linear(v, role, index, 0, n_ff, NAIVE_EMBD, x, gate);
	snprintf(role, sizeof role, "ffn_up%s", suffix);
	naive_linear(v, role, index, d->fused_gate ? n_ff : 0, n_ff, NAIVE_EMBD, x, up);
	if (d->act == NAIVE_XIELU)
		naive_xielu(v, up, n_ff);
	if (d->sparsity && !isinf(d->sparsity[v->layer]))
		naive_keep_largest(gate, n_ff, d->sparsity[v->layer]);
	for (int i = 0; d->act != NAIVE_XIELU && i < n_ff; i++)
		up[i] = naive_activate(d->act, gate[i], up[i]);
	snprintf(role, sizeof role, "ffn_down%s", suffix);
	naive_linear(v, role, index, 0, NAIVE_EMBD, n_ff, up, out);
}

/* how many of scores[0 .. n) are before number i in descending order */
static inline int
naive_rank(const double *scores, int n, int i)
{
	int			rank = 0;

	for (int j = 0; j < n; j++)
		rank += scores[j] > scores[i] || (scores[j] == scores[i] && j < i);
	return rank;
}

/* SparseMixer of transformers' modeling_phimoe */
static inline void
naive_mix_sparsely(const NaiveModel *d, const double *p, double *weight)
{
	memset(weight, 0, (size_t) d->n_expert * sizeof *weight);
	for (int k = 0; k < d->n_used; k++)
	{
		int			best = -1;
		double		sum = 0;

		for (int e = 0; e < d->n_expert; e++)
			if (weight[e] == 0 && (best < 0 || p[e] > p[best]))
				best = e;
		for (int e = 0; e < d->n_expert; e++)
			if (weight[e] == 0 && (p[best] - p[e]) / fmax(fabs(p[e]), p[best]) <= 0.02)
				sum += exp(p[e] - p[best]);
		weight[best] = 1 / sum;
	}
}

/* weights of all experts; 0: not chosen */
static inline void
naive_route(const Naive *v, const double *x, double *weight)
{
	const NaiveModel *d = v->d;
	const int	size = d->n_expert / (d->n_groups ? d->n_groups : 1);
	double		p[64];
	double		choice[64];
	double		groups[64] = {0};
	double		sum = 0;
	double	   *bias = d->choice_bias ? naive_tensor(v, "exp_probs_b.bias", 0, 0, 1, d->n_expert, true) : NULL;

	naive_linear(v, "ffn_gate_inp", 0, 0, d->n_expert, NAIVE_EMBD, x, p);
	if (d->router == 4)
	{
		naive_mix_sparsely(d, p, weight);
		return;
	}
	for (int e = 0; e < d->n_expert; e++)
		sum += exp(p[e]);
	for (int e = 0; e < d->n_expert; e++)
	{
		p[e] = d->router == 2 ? 1 / (1 + exp(-p[e])) : exp(p[e]) / sum;
		choice[e] = p[e] + (bias ? bias[e] : 0);
	}
	free(bias);
	/* a group counts by its two best with a sigmoid, else by its best */
	for (int e = 0; d->n_groups && e < d->n_expert; e++)
	{
		if (naive_rank(choice + e / size * size, size, e % size) < (d->router == 2 ? 2 : 1))
			groups[e / size] += choice[e];
	}
	for (int e = 0; d->n_groups && e < d->n_expert; e++)
	{
		if (naive_rank(groups, d->n_groups, e / size) >= d->n_groups_used)
			choice[e] = -INFINITY;
	}
	sum = 0;
	for (int e = 0; e < d->n_expert; e++)
	{
		weight[e] = naive_rank(choice, d->n_expert, e) < d->n_used ? p[e] : 0;
		sum += weight[e];
	}
	/* a softmax over the chosen is that over all, made to sum to 1 */
	for (int e = 0; e < d->n_expert; e++)
		weight[e] *= naive_or_one(d->expert_scale) / (d->renorm || d->router == 3 ? sum : 1);
}

/* routed: what the router reads */
static inline void
naive_block(const Naive *v, const double *x, const double *routed, double *out)
{
	const NaiveModel *d = v->d;
	double		weight[64];
	double		part[NAIVE_EMBD];
	double		input[NAIVE_EMBD];
	double	   *gate;
	double		logit = 0;

	if (!naive_has_experts(d, v->layer))
	{
		naive_ffn(v, "", 0, naive_ff(d, v->layer), x, out);
		return;
	}
	naive_route(v, routed, weight);
	memset(out, 0, NAIVE_EMBD * sizeof *out);
	for (int e = 0; e < d->n_expert; e++)
	{
		if (weight[e] == 0)
			continue;
		for (int i = 0; i < NAIVE_EMBD; i++)
			input[i] = d->weigh_input ? weight[e] * x[i] : x[i];
		naive_ffn(v, "_exps", e, d->n_ff, input, part);
		for (int i = 0; i < NAIVE_EMBD; i++)
			out[i] += d->weigh_input ? part[i] : weight[e] * part[i];
	}
	if (d->n_ff_shared == 0)
		return;
	naive_ffn(v, "_shexp", 0, d->n_ff_shared, x, part);
	gate = naive_tensor(v, "ffn_gate_inp_shexp.weight", 0, 0, 1, NAIVE_EMBD, !d->shared_plain);
	for (int i = 0; gate && i < NAIVE_EMBD; i++)
		logit += gate[i] * x[i];
	for (int i = 0; i < NAIVE_EMBD; i++)
		out[i] += gate ? part[i] / (1 + exp(-logit)) : part[i];
	free(gate);
}

#include "naive_altup.h"

/* ---- the pass ---- */

static inline void
naive_add(const Naive *v, const char *norm, double *x, double *block)
{
	if (v->d->norm_after)
		naive_norm(v, norm, block, NAIVE_EMBD);
	for (int i = 0; i < NAIVE_EMBD; i++)
		x[i] += block[i] * naive_or_one(v->d->residual_scale);
}

/* logits (n_vocab) after the last of n_tokens tokens */
static inline void
naive_pass(const NaiveModel *d, const LlmModel *m, const int32_t *tokens, int n_tokens, double *logits)
{
	static double x[NAIVE_TOKENS][NAIVE_EMBD];
	static double h[NAIVE_TOKENS][NAIVE_EMBD];
	static double input[NAIVE_TOKENS][NAIVE_EMBD];
	static NaiveStreams streams[NAIVE_TOKENS];
	static double block[NAIVE_TOKENS][NAIVE_EMBD];
	static NaiveMatrices matrices;
	Naive		v = {d, m, &matrices, -1};
	const bool	tied = llm_pack_find(&m->pack, "output.weight") == NULL;

	for (int t = 0; t < n_tokens; t++)
	{
		double	   *row = naive_tensor(&v, "token_embd.weight", 0, tokens[t], 1, NAIVE_EMBD, true);

		for (int i = 0; row && i < NAIVE_EMBD; i++)
			x[t][i] = row[i] * naive_or_one(d->embed_scale);
		free(row);
		row = d->positions ? naive_tensor(&v, "position_embd.weight", 0, t, 1, NAIVE_EMBD, true) : NULL;
		for (int i = 0; row && i < NAIVE_EMBD; i++)
			x[t][i] += row[i];
		free(row);
		if (d->embed_norm)
			naive_norm(&v, "token_embd_norm", x[t], NAIVE_EMBD);
		if (d->n_streams)
			naive_spread(&v, tokens[t], x[t], &streams[t]);
	}
	for (v.layer = 0; v.layer < d->n_layer; v.layer++)
	{
		const bool	mixes = !d->heads || d->heads[v.layer] > 0;

		for (int t = 0; d->n_streams && t < n_tokens; t++)
			naive_predict(&v, &streams[t], x[t]);
		memcpy(h, x, sizeof h);
		memcpy(input, x, sizeof x);
		for (int t = 0; mixes && d->norm_before && t < n_tokens; t++)
			naive_norm(&v, d->attn_norm ? d->attn_norm : "attn_norm", h[t], NAIVE_EMBD);
		for (int t = 0; mixes && naive_kv(d, v.layer) == 0 && t < n_tokens; t++)
			naive_linear(&v, "attn_output", 0, 0, NAIVE_EMBD, NAIVE_EMBD, h[t], block[t]);
		if (mixes && naive_kv(d, v.layer) > 0)
			(d->kv_rank ? naive_latent_attention : naive_attention) (&v, h[0], n_tokens, block[0]);
		for (int t = 0; t < n_tokens; t++)
		{
			double		out[NAIVE_EMBD];

			if (d->norm_ahead)
				memcpy(h[t], x[t], sizeof h[t]);
			if (mixes)
				naive_add(&v, "post_attention_norm", x[t], block[t]);
			if (d->n_streams)
				naive_laurel(&v, h[t], x[t]);
			if (naive_ff(d, v.layer) == 0)
				continue;
			if (!d->parallel && !d->norm_ahead)
				memcpy(h[t], x[t], sizeof h[t]);
			if (!d->parallel && d->norm_before)
				naive_norm(&v, d->ffn_norm ? d->ffn_norm : "ffn_norm", h[t], NAIVE_EMBD);
			naive_block(&v, h[t], d->router_early ? input[t] : h[t], out);
			naive_add(&v, "post_ffw_norm", x[t], out);
			if (d->n_streams)
				naive_correct(&v, &streams[t], x[t]);
		}
	}
	v.layer = -1;
	if (d->n_streams)
		naive_gather(&v, &streams[n_tokens - 1], x[n_tokens - 1]);
	naive_norm(&v, "output_norm", x[n_tokens - 1], NAIVE_EMBD);
	naive_linear(&v, tied ? "token_embd" : "output", 0, 0, (int) m->hp.n_vocab, NAIVE_EMBD, x[n_tokens - 1], logits);
	for (int i = 0; i < matrices.n; i++)
		free(matrices.kept[i].w);
	matrices.n = 0;
	for (uint32_t i = 0; i < m->hp.n_vocab; i++)
	{
		logits[i] *= naive_or_one(d->logit_scale);
		if (d->logit_cap != 0)
			logits[i] = d->logit_cap * tanh(logits[i] / d->logit_cap);
	}
}

#endif
