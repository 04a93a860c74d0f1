/*
 * tiny_model.h: a model of any architecture made in memory from its description (NaiveModel), with random weights.
 */
#ifndef LLM_TEST_TINY_MODEL_H
#define LLM_TEST_TINY_MODEL_H

#include "mixed_model.h"
#include "naive_pass.h"

#define TINY_VOCAB MIXED_N_VOCAB
#define TINY_CTX 700

/* a metadata key beside those of every model */
typedef struct TinyKey
{
	const char *suffix;			/* after the architecture's name */
	double		value;
	const char *text;			/* not NULL: a string */
	bool		is_bool;
	const int32_t *by_layer;	/* not NULL: one for each layer, in place of what every model has */
} TinyKey;

typedef struct TinyMaker
{
	GgufWriter	w;
	const NaiveModel *d;
	uint32_t	random;
	int			layer;
} TinyMaker;

static inline float
tiny_random(TinyMaker *k)
{
	k->random = k->random * 1664525u + 1013904223u;
	return (float) (k->random >> 8) / 16777216.0f * 2 - 1;
}

static inline void
tiny_tensor(TinyMaker *k, const char *role, int n_cols, int n_rows, int n_stack, float centre, float spread)
{
	char		name[96];
	uint64_t	dims[3] = {(uint64_t) n_cols, (uint64_t) n_rows, (uint64_t) n_stack};
	size_t		n = (size_t) n_cols * (size_t) (n_rows ? n_rows : 1) * (size_t) (n_stack ? n_stack : 1);
	bool		quantized = k->d->quantized && n_rows && n_cols % 32 == 0;
	float	   *data = gw_grow(NULL, n * sizeof(float));
	uint8_t    *blocks = gw_grow(NULL, n / 32 * 34 + 34);

	if (k->layer >= 0)
		snprintf(name, sizeof name, "blk.%d.%s", k->layer, role);
	else
		snprintf(name, sizeof name, "%s", role);
	for (size_t i = 0; i < n; i++)
		data[i] = centre + spread * tiny_random(k);
	if (k->d->change)
		k->d->change(name, data, n_cols, n_rows, n_stack);
	for (size_t b = 0; quantized && b < n / 32; b++)
	{
		mixed_half(blocks + b * 34, llmk_float_to_half(spread / 127));
		for (int i = 0; i < 32; i++)
			blocks[b * 34 + 2 + (size_t) i] = (uint8_t) (int8_t) (data[b * 32 + (size_t) i] / spread * 127);
	}
	gw_tensor(&k->w, name, quantized ? LLM_TYPE_Q8_0 : LLM_TYPE_F32, n_stack ? 3 : n_rows ? 2 : 1, dims,
			  quantized ? (void *) blocks : (void *) data, quantized ? n / 32 * 34 : n * sizeof(float));
	free(data);
	free(blocks);
}

/* role ends with ".weight" */
static inline void
tiny_matrix(TinyMaker *k, const char *role, int n_cols, int n_rows, int n_stack)
{
	char		name[64];

	tiny_tensor(k, role, n_cols, n_rows, n_stack, 0, 2.5f / sqrtf((float) n_cols));
	snprintf(name, sizeof name, "%.*s.scale", (int) (strlen(role) - strlen(".weight")), role);
	if (k->d->scales)
		tiny_tensor(k, name, k->d->scales == 2 && n_stack ? n_stack : 1, 0, 0, 1, 0.5f);
}

static inline void
tiny_norm(TinyMaker *k, const char *role, int n)
{
	char		name[64];

	if (k->d->plain_norm)
		return;
	snprintf(name, sizeof name, "%s.weight", role);
	tiny_tensor(k, name, n, 0, 0, 1, 0.5f);
	snprintf(name, sizeof name, "%s.bias", role);
	if (k->d->layer_norm)
		tiny_tensor(k, name, n, 0, 0, 0, 0.5f);
}

static inline void
tiny_attention(TinyMaker *k)
{
	const NaiveModel *d = k->d;
	const int	nq = NAIVE_HEAD * NAIVE_HEAD_DIM;
	const int	nk = naive_kv(d, k->layer) * NAIVE_HEAD_DIM;

	if (nk == 0)
		return tiny_matrix(k, "attn_output.weight", NAIVE_EMBD, NAIVE_EMBD, 0);
	if (d->fused_qkv)
		tiny_matrix(k, "attn_qkv.weight", NAIVE_EMBD, nq + 2 * nk, 0);
	else
	{
		tiny_matrix(k, "attn_q.weight", NAIVE_EMBD, nq, 0);
		tiny_matrix(k, "attn_k.weight", NAIVE_EMBD, nk, 0);
		tiny_matrix(k, "attn_v.weight", NAIVE_EMBD, nk, 0);
	}
	if (d->biases)
	{
		tiny_tensor(k, d->fused_qkv ? "attn_qkv.bias" : "attn_q.bias", d->fused_qkv ? nq + 2 * nk : nq, 0, 0, 0, 1);
		if (!d->fused_qkv)
			tiny_tensor(k, "attn_k.bias", nk, 0, 0, 0, 1);
		if (!d->fused_qkv)
			tiny_tensor(k, "attn_v.bias", nk, 0, 0, 0, 1);
	}
	if (d->qk_norm && d->qk_norm != 4)
	{
		if (d->qk_norm == 3)
		{
			tiny_tensor(k, "attn_q_norm.weight", NAIVE_HEAD_DIM, NAIVE_HEAD, 0, 1, 0.5f);
			tiny_tensor(k, "attn_k_norm.weight", NAIVE_HEAD_DIM, d->n_head_kv, 0, 1, 0.5f);
			return tiny_matrix(k, "attn_output.weight", nq, NAIVE_EMBD, 0);
		}
		tiny_norm(k, "attn_q_norm", d->qk_norm == 1 ? NAIVE_HEAD_DIM : nq);
		tiny_norm(k, "attn_k_norm", d->qk_norm == 1 ? NAIVE_HEAD_DIM : nk);
	}
	if (d->sinks)
		tiny_tensor(k, "attn_sinks.weight", NAIVE_HEAD, 0, 0, 1, 2);
	tiny_matrix(k, "attn_output.weight", nq, NAIVE_EMBD, 0);
}

static inline void
tiny_latent_attention(TinyMaker *k)
{
	const NaiveModel *d = k->d;
	const int	nq = NAIVE_HEAD * d->latent_k;

	if (d->q_rank)
	{
		tiny_matrix(k, "attn_q_a.weight", NAIVE_EMBD, d->q_rank, 0);
		tiny_norm(k, "attn_q_a_norm", d->q_rank);
	}
	tiny_matrix(k, d->q_rank ? "attn_q_b.weight" : "attn_q.weight", d->q_rank ? d->q_rank : NAIVE_EMBD, nq, 0);
	tiny_matrix(k, "attn_kv_a_mqa.weight", NAIVE_EMBD, d->kv_rank + d->n_rot, 0);
	tiny_norm(k, "attn_kv_a_norm", d->kv_rank);
	tiny_matrix(k, "attn_k_b.weight", d->latent_k - d->n_rot, d->kv_rank, NAIVE_HEAD);
	tiny_matrix(k, "attn_v_b.weight", d->kv_rank, d->latent_v, NAIVE_HEAD);
	tiny_matrix(k, "attn_output.weight", NAIVE_HEAD * d->latent_v, NAIVE_EMBD, 0);
}

static inline void
tiny_ffn(TinyMaker *k, const char *suffix, int n_ff, int n_stack)
{
	const NaiveModel *d = k->d;
	char		name[48];

	snprintf(name, sizeof name, "ffn_gate%s.weight", suffix);
	if (naive_has_gate(d) && !d->fused_gate)
		tiny_matrix(k, name, NAIVE_EMBD, n_ff, n_stack);
	snprintf(name, sizeof name, "ffn_up%s.weight", suffix);
	tiny_matrix(k, name, NAIVE_EMBD, d->fused_gate ? 2 * n_ff : n_ff, n_stack);
	snprintf(name, sizeof name, "ffn_down%s.weight", suffix);
	tiny_matrix(k, name, n_ff, NAIVE_EMBD, n_stack);
	if (n_stack && d->expert_bias)
	{
		tiny_tensor(k, "ffn_gate_exps.bias", n_ff, n_stack, 0, 0, 1);
		tiny_tensor(k, "ffn_up_exps.bias", n_ff, n_stack, 0, 0, 1);
		tiny_tensor(k, "ffn_down_exps.bias", NAIVE_EMBD, n_stack, 0, 0, 1);
		tiny_tensor(k, "ffn_gate_inp.bias", n_stack, 0, 0, 0, 1);
	}
}

static inline void
tiny_streams(TinyMaker *k)
{
	const NaiveModel *d = k->d;
	const int	n = d->n_streams;

	if (k->layer < 0)
	{
		tiny_matrix(k, "altup_proj.weight", NAIVE_EMBD, NAIVE_EMBD, n - 1);
		tiny_matrix(k, "altup_unembd_proj.weight", NAIVE_EMBD, NAIVE_EMBD, n - 1);
		tiny_tensor(k, "per_layer_token_embd.weight", d->n_layer * d->n_input, TINY_VOCAB, 0, 0, 1);
		tiny_matrix(k, "per_layer_model_proj.weight", NAIVE_EMBD, d->n_layer * d->n_input, 0);
		return tiny_norm(k, "per_layer_proj_norm", d->n_input);
	}
	tiny_norm(k, "altup_router_norm", NAIVE_EMBD);
	tiny_tensor(k, "altup_router.weight", NAIVE_EMBD, n, 0, 0, 8);
	tiny_tensor(k, "altup_predict_coef.weight", n, n * n, 0, 0, 0.3f);
	tiny_tensor(k, "altup_correct_coef.weight", n, n, 0, 0, 0.5f);
	tiny_tensor(k, "altup_correct_scale.weight", NAIVE_EMBD, 0, 0, 1, 0.5f);
	tiny_matrix(k, "laurel_l.weight", NAIVE_EMBD, d->laurel_rank, 0);
	tiny_matrix(k, "laurel_r.weight", d->laurel_rank, NAIVE_EMBD, 0);
	tiny_norm(k, "laurel_post_norm", NAIVE_EMBD);
	tiny_matrix(k, "inp_gate.weight", NAIVE_EMBD, d->n_input, 0);
	tiny_matrix(k, "proj.weight", d->n_input, NAIVE_EMBD, 0);
	tiny_norm(k, "post_norm", NAIVE_EMBD);
}

static inline void
tiny_layer(TinyMaker *k)
{
	const NaiveModel *d = k->d;
	const char *attn_norm = d->attn_norm ? d->attn_norm : "attn_norm";
	const char *ffn_norm = d->ffn_norm ? d->ffn_norm : "ffn_norm";

	const bool	mixes = !d->heads || d->heads[k->layer] > 0;

	if (d->norm_before && mixes)
		tiny_norm(k, attn_norm, NAIVE_EMBD);
	if (d->norm_before && !d->parallel && strcmp(ffn_norm, attn_norm) != 0 && naive_ff(d, k->layer) > 0)
		tiny_norm(k, ffn_norm, NAIVE_EMBD);
	if (d->act == NAIVE_XIELU)
	{
		tiny_tensor(k, "ffn_act.alpha_p", 1, 0, 0, 0.5f, 0.5f);
		tiny_tensor(k, "ffn_act.alpha_n", 1, 0, 0, 0, 0.5f);
		tiny_tensor(k, "ffn_act.beta", 1, 0, 0, 0.5f, 0.25f);
		tiny_tensor(k, "ffn_act.eps", 1, 0, 0, -1e-6f, 0);
	}
	if (d->norm_after)
	{
		tiny_norm(k, "post_attention_norm", NAIVE_EMBD);
		tiny_norm(k, "post_ffw_norm", NAIVE_EMBD);
	}
	if (d->n_streams)
		tiny_streams(k);
	if (d->kv_rank)
		tiny_latent_attention(k);
	else if (mixes)
		tiny_attention(k);
	if (!naive_has_experts(d, k->layer))
	{
		if (naive_ff(d, k->layer) > 0)
			tiny_ffn(k, "", naive_ff(d, k->layer), 0);
		return;
	}
	tiny_matrix(k, "ffn_gate_inp.weight", NAIVE_EMBD, d->n_expert, 0);
	if (d->choice_bias)
		tiny_tensor(k, "exp_probs_b.bias", d->n_expert, 0, 0, 0, 0.3f);
	tiny_ffn(k, "_exps", d->n_ff, d->n_expert);
	if (d->n_ff_shared)
	{
		tiny_ffn(k, "_shexp", d->n_ff_shared, 0);
		if (!d->shared_plain)
			tiny_tensor(k, "ffn_gate_inp_shexp.weight", NAIVE_EMBD, 0, 0, 0, 0.3f);
	}
}

static inline void
tiny_key(TinyMaker *k, const TinyKey *key)
{
	char		name[96];

	snprintf(name, sizeof name, "%s.%s", k->d->arch, key->suffix);
	if (key->text)
		gw_string(&k->w, name, key->text);
	else if (key->by_layer)
		gw_i32s(&k->w, name, key->by_layer, (uint64_t) k->d->n_layer);
	else if (key->is_bool)
		gw_bool(&k->w, name, key->value != 0);
	else if (key->value == floor(key->value))
		gw_u32(&k->w, name, (uint32_t) key->value);
	else
		gw_f32(&k->w, name, (float) key->value);
}

static inline bool
tiny_has_by_layer(const TinyKey *keys, const char *suffix)
{
	for (; keys->suffix; keys++)
		if (keys->by_layer && strcmp(keys->suffix, suffix) == 0)
			return true;
	return false;
}

/* the file; the caller frees k->w. keys end with a suffix of NULL. */
static inline void
tiny_make(TinyMaker *k, const NaiveModel *d, const TinyKey *keys, bool tied)
{
	const TinyKey common[] = {
		{.suffix = "block_count", .value = d->n_layer}, {.suffix = "context_length", .value = TINY_CTX},
		{.suffix = "embedding_length", .value = NAIVE_EMBD}, {.suffix = "feed_forward_length", .value = d->n_ff},
		{.suffix = "attention.head_count", .value = NAIVE_HEAD}, {.suffix = "attention.head_count_kv", .value = d->n_head_kv},
		{.suffix = d->layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
			.value = d->norm_eps != 0 ? d->norm_eps : 1e-5},
		{.suffix = "rope.freq_base", .value = d->rope_base}, {.suffix = "rope.dimension_count", .value = d->n_rot},
	};

	char		name[96];

	memset(k, 0, sizeof *k);
	gw_init(&k->w);
	k->d = d;
	k->random = 11;
	k->layer = -1;
	gw_string(&k->w, "general.architecture", d->arch);
	for (size_t i = 0; i < sizeof common / sizeof *common; i++)
		if (!tiny_has_by_layer(keys, common[i].suffix))
			tiny_key(k, &common[i]);
	for (; keys->suffix; keys++)
		tiny_key(k, keys);
	mixed_add_vocabulary(&k->w);
	tiny_tensor(k, "token_embd.weight", NAIVE_EMBD, TINY_VOCAB, 0, 0, 1.5f);
	if (d->n_streams)
	{
		tiny_streams(k);
		snprintf(name, sizeof name, "%s.activation_sparsity_scale", d->arch);
		gw_f32s(&k->w, name, d->sparsity, (uint64_t) d->n_layer);
	}
	if (d->positions)
		tiny_tensor(k, "position_embd.weight", NAIVE_EMBD, TINY_CTX, 0, 0, 1);
	if (d->embed_norm)
		tiny_norm(k, "token_embd_norm", NAIVE_EMBD);
	tiny_norm(k, "output_norm", NAIVE_EMBD);
	if (!tied)
		tiny_matrix(k, "output.weight", NAIVE_EMBD, TINY_VOCAB, 0);
	if (d->rope_factors && strcmp(d->rope_factors, "rope_freqs.weight") == 0)
		tiny_tensor(k, "rope_freqs.weight", d->n_rot / 2, 0, 0, 3, 1);
	else if (d->rope_factors)
	{
		tiny_tensor(k, "rope_factors_long.weight", d->n_rot / 2, 0, 0, 3, 1);
		tiny_tensor(k, "rope_factors_short.weight", d->n_rot / 2, 0, 0, 2, 0.5f);
	}
	for (k->layer = 0; k->layer < d->n_layer; k->layer++)
		tiny_layer(k);
	k->layer = -1;
}

#endif
