/*
 * hparams_layers.c: sizes of a model, heads and mixers of its layers, latent attention, recurrent layers.
 */
#include "model/hparams_keys.h"

static uint32_t
of_layer(const LlmMetaArray *by_layer, uint32_t layer, uint32_t all)
{
	return by_layer ? (uint32_t) llm_meta_array_int(by_layer, layer) : all;
}

uint32_t
llm_hparams_ff(const LlmHparams *hp, uint32_t layer)
{
	return of_layer(hp->ff_layers, layer, hp->n_ff);
}

uint32_t
llm_hparams_heads(const LlmHparams *hp, uint32_t layer)
{
	return of_layer(hp->head_layers, layer, hp->n_head);
}

uint32_t
llm_hparams_heads_kv(const LlmHparams *hp, uint32_t layer)
{
	return of_layer(hp->kv_layers, layer, hp->n_head_kv);
}

static bool
attends(const LlmHparams *hp, uint32_t layer)
{
	if (hp->recurrent_layers)
		return llm_meta_array_int(hp->recurrent_layers, layer) == 0;
	if (hp->attention_every > 0)
		return (layer + 1) % hp->attention_every == 0;
	return llm_hparams_heads_kv(hp, layer) > 0;
}

LlmMixer
llm_hparams_mixer(const LlmArch *arch, const LlmHparams *hp, uint32_t layer)
{
	if ((arch->traits & LLM_TRAIT_GAPS) && !attends(hp, layer))
		return llm_hparams_heads(hp, layer) > 0 ? LLM_MIXER_LINEAR : LLM_MIXER_NONE;
	if (arch->recurrent == LLM_MIXER_ATTENTION || attends(hp, layer))
		return LLM_MIXER_ATTENTION;
	if ((arch->traits & LLM_TRAIT_ONE_BLOCK) && llm_hparams_ff(hp, layer) > 0)
		return LLM_MIXER_NONE;
	return arch->recurrent;
}

/* layers may have other heads than others, except where something is made for all of them */
static bool
heads_fit(const LlmKeyReader *r, const LlmHparams *hp, LlmMixer mixer, uint32_t n_head, uint32_t n_kv)
{
	const bool	all_alike = llm_key_has_trait(r, LLM_TRAIT_LATENT) || llm_key_has_trait(r, LLM_TRAIT_ALIBI) || llm_key_has_trait(r, LLM_TRAIT_SIDE_BY_SIDE);

	if (all_alike)
		return n_head == hp->n_head && n_kv == hp->n_head_kv;
	/* none at all is refused later */
	return n_kv > 0 || mixer != LLM_MIXER_ATTENTION || hp->n_head_kv == 0;
}

/* a layer has what its architecture asks of it: one block, or a feed-forward behind the mixer */
static bool
blocks_fit(const LlmKeyReader *r, uint32_t n_kv, uint32_t n_ff)
{
	if (llm_key_has_trait(r, LLM_TRAIT_ONE_BLOCK))
		return n_ff == 0 || n_kv == 0;
	return n_ff > 0 || llm_key_has_trait(r, LLM_TRAIT_GAPS);
}

static bool
is_recurrent(LlmMixer mixer)
{
	return mixer != LLM_MIXER_ATTENTION && mixer != LLM_MIXER_NONE && mixer != LLM_MIXER_LINEAR;
}

/* heads and feed-forwards by layer are such as are computed */
static LlmStatus
check_layers(const LlmKeyReader *r, LlmHparams *hp)
{
	for (uint32_t i = 0; i < hp->n_layer; i++)
	{
		uint32_t	n_head = llm_hparams_heads(hp, i);
		uint32_t	n_kv = llm_hparams_heads_kv(hp, i);
		uint32_t	n_ff = llm_hparams_ff(hp, i);
		LlmMixer	mixer = llm_hparams_mixer(r->arch, hp, i);

		if (!heads_fit(r, hp, mixer, n_head, n_kv))
			return llm_fail(r->err, LLM_E_UNSUPPORTED, "layers with %u and with %u key/value heads for %u and %u heads are not "
							"supported for architecture \"%s\"", n_kv, hp->n_head_kv, n_head, hp->n_head, r->arch->name);
		if (n_kv > 0 && (n_head == 0 || n_head % n_kv != 0))
		{
			llm_fail(r->err, LLM_E_FORMAT, "%u attention heads cannot be shared by %u key/value heads", n_head, n_kv);
			llm_error_detail(r->err, "Layer %u has so many.", i);
			return LLM_E_FORMAT;
		}
		if (!blocks_fit(r, n_kv, n_ff))
			return llm_fail(r->err, LLM_E_FORMAT, "layer %u of architecture \"%s\" cannot have %u key/value heads and a "
							"feed-forward of %u", i, r->arch->name, n_kv, n_ff);
		hp->n_layer_attn += mixer == LLM_MIXER_ATTENTION;
		hp->n_layer_recurrent += is_recurrent(mixer) || llm_key_has_trait(r, LLM_TRAIT_SIDE_BY_SIDE);
	}
	return LLM_OK;
}

/* which layers attend, where key/value heads do not tell */
static LlmStatus
read_recurrent_layers(const LlmKeyReader *r, LlmHparams *hp)
{
	LlmKeyName	key;

	hp->attention_every = 4;
	LLM_TRY(llm_key_uint(r, "full_attention_interval", false, 1, LLM_MAX_LAYERS, &hp->attention_every));
	if (!llm_meta_find(r->meta, llm_key_name(r, "attention.recurrent_layers", key)))
		return LLM_OK;
	LLM_TRY(llm_meta_array(r->meta, key, true, LLM_META_BOOL, &hp->recurrent_layers, r->err));
	if (hp->recurrent_layers->count < hp->n_layer)
		return llm_fail(r->err, LLM_E_FORMAT, "model metadata \"%s\" has %llu elements for %u layers", key,
						(unsigned long long) hp->recurrent_layers->count, hp->n_layer);
	return LLM_OK;
}

static LlmStatus
read_heads(const LlmKeyReader *r, LlmHparams *hp)
{
	const uint32_t min = r->arch->recurrent == LLM_MIXER_ATTENTION ? 1 : 0;
	LlmKeyName	key;

	LLM_TRY(llm_key_by_layer(r, "attention.head_count", min > 0, LLM_MAX_HEADS, hp->n_layer, &hp->n_head, &hp->head_layers));
	if (hp->n_head < min)
		return llm_fail(r->err, LLM_E_FORMAT, "model metadata says that there are %u attention heads", hp->n_head);
	hp->n_head_kv = hp->n_head;
	if (!llm_meta_find(r->meta, llm_key_name(r, "attention.head_count_kv", key)))
		hp->kv_layers = hp->head_layers;
	LLM_TRY(llm_key_by_layer(r, "attention.head_count_kv", false, LLM_MAX_HEADS, hp->n_layer, &hp->n_head_kv, &hp->kv_layers));
	if (r->arch->recurrent == LLM_MIXER_DELTA_NET)
		LLM_TRY(read_recurrent_layers(r, hp));
	LLM_TRY(check_layers(r, hp));
	if (hp->n_layer_attn == 0)
	{
		hp->n_head_kv = 0;
		return LLM_OK;
	}
	if (hp->n_head_kv == 0 || hp->n_head == 0)
		return llm_fail(r->err, LLM_E_FORMAT, "%u attention heads cannot be shared by %u key/value heads", hp->n_head,
						hp->n_head_kv);
	hp->head_dim_k = hp->n_embd / hp->n_head;
	LLM_TRY(llm_key_uint(r, "attention.key_length", false, 1, LLM_MAX_HEAD, &hp->head_dim_k));
	hp->head_dim_v = hp->n_embd / hp->n_head;
	LLM_TRY(llm_key_uint(r, "attention.value_length", false, 1, LLM_MAX_HEAD, &hp->head_dim_v));
	if (hp->head_dim_k == 0 || hp->head_dim_k > LLM_MAX_HEAD || hp->head_dim_v == 0 || hp->head_dim_v > LLM_MAX_HEAD)
		return llm_fail(r->err, LLM_E_FORMAT, "%u heads over an embedding of %u give heads of %u and %u dimensions",
						hp->n_head, hp->n_embd, hp->head_dim_k, hp->head_dim_v);
	if (llm_key_has_trait(r, LLM_TRAIT_OUT_GATE) && hp->head_dim_k != hp->head_dim_v)
		return llm_fail(r->err, LLM_E_FORMAT, "heads with a gate of %u dimensions cannot have values of %u", hp->head_dim_k, hp->head_dim_v);
	/* where no layer rotates, heads may have an odd size, and the file may say anything */
	hp->n_rot = r->arch->no_rope_every == 1 ? 0 : hp->head_dim_k;
	if (r->arch->no_rope_every != 1)
		LLM_TRY(llm_key_uint(r, "rope.dimension_count", false, 0, hp->head_dim_k, &hp->n_rot));
	if (hp->n_rot % 2 != 0)
		return llm_fail(r->err, LLM_E_FORMAT, "rotation of %u dimensions of a head is not possible, as they are rotated in pairs",
						hp->n_rot);
	LLM_TRY(llm_key_refuse_unless(r, "attention.key_length_swa", hp->head_dim_k));
	LLM_TRY(llm_key_refuse_unless(r, "attention.value_length_swa", hp->head_dim_v));
	return llm_key_refuse_unless(r, "rope.dimension_count_swa", hp->n_rot);
}

/*
 * Keys and values of all heads come from one latent, which is the only key/value head; attention.key_length and value_length
 * are its sizes. Files from before key_length_mla have there what is now in the keys with that ending.
 */
static LlmStatus
read_latent(const LlmKeyReader *r, LlmHparams *hp)
{
	LlmLatentParams *latent = &hp->latent;
	LlmKeyName	key;
	const bool	older = !llm_meta_find(r->meta, llm_key_name(r, "attention.key_length_mla", key));

	LLM_TRY(llm_key_uint(r, "attention.kv_lora_rank", true, 1, LLM_MAX_HEAD - hp->n_rot, &latent->kv_rank));
	LLM_TRY(llm_key_uint(r, "attention.q_lora_rank", false, 0, LLM_MAX_WIDTH, &latent->q_rank));
	LLM_TRY(llm_key_uint(r, older ? "attention.key_length" : "attention.key_length_mla", true, hp->n_rot + 1, LLM_MAX_HEAD,
						 &latent->head_dim_k));
	LLM_TRY(llm_key_uint(r, older ? "attention.value_length" : "attention.value_length_mla", true, 1, LLM_MAX_HEAD, &latent->head_dim_v));
	latent->score_scale = 1;
	hp->n_head_kv = 1;
	hp->head_dim_k = latent->kv_rank + hp->n_rot;
	hp->head_dim_v = latent->kv_rank;
	hp->stored_dim_v = 0;
	return LLM_OK;
}

LlmStatus
llm_hparams_read_sizes(const LlmKeyReader *r, LlmHparams *hp)
{
	static const char layer_key[] = "attention.layer_norm_epsilon";
	static const char rms_key[] = "attention.layer_norm_rms_epsilon";
	const bool	layer_norm = r->arch->norm == LLM_NORM_LAYER;
	double		eps = 0;

	LLM_TRY(llm_key_uint(r, "block_count", true, 1, LLM_MAX_LAYERS, &hp->n_layer));
	LLM_TRY(llm_key_uint(r, "nextn_predict_layers", false, 0, hp->n_layer - 1, &hp->n_layer_draft));
	hp->n_layer -= hp->n_layer_draft;
	LLM_TRY(llm_key_uint(r, "context_length", true, 1, LLM_MAX_CONTEXT, &hp->n_ctx_train));
	LLM_TRY(llm_key_uint(r, "embedding_length", true, 1, LLM_MAX_WIDTH, &hp->n_embd));
	LLM_TRY(llm_key_by_layer(r, "feed_forward_length", true, LLM_MAX_WIDTH, hp->n_layer, &hp->n_ff, &hp->ff_layers));
	LLM_TRY(read_heads(r, hp));
	hp->stored_dim_v = hp->head_dim_v;
	if (llm_key_has_trait(r, LLM_TRAIT_LATENT))
		LLM_TRY(read_latent(r, hp));
	/* some files have the other name */
	if (llm_key_has_trait(r, LLM_TRAIT_ONE_BLOCK) || r->arch->router == LLM_ROUTER_MIXER)
		LLM_TRY(llm_key_double(r, layer_norm ? rms_key : layer_key, false, 0.0, 1.0, &eps));
	LLM_TRY(llm_key_double(r, layer_norm ? layer_key : rms_key, eps == 0, 0.0, 1.0, &eps));
	hp->norm_eps = (float) eps;
	return LLM_OK;
}

/* ---- recurrent layers ---- */

/* Mamba2, and the delta net, whose time_step_rank are its value heads and groups its key heads, of state_size each */
static LlmStatus
read_state_space(const LlmKeyReader *r, LlmRecurrentParams *p)
{
	double		dt_min = 0;
	bool		grouped = false;
	LlmKeyName	key;

	p->n_group = 1;
	LLM_TRY(llm_key_uint(r, "ssm.conv_kernel", true, 2, LLM_MAX_TAPS, &p->n_conv));
	LLM_TRY(llm_key_uint(r, "ssm.inner_size", true, 1, LLM_MAX_WIDTH, &p->n_inner));
	LLM_TRY(llm_key_uint(r, "ssm.state_size", true, 1, LLM_MAX_HEAD, &p->n_state));
	LLM_TRY(llm_key_uint(r, "ssm.time_step_rank", true, 1, LLM_MAX_HEADS, &p->n_head));
	LLM_TRY(llm_key_uint(r, "ssm.group_count", false, 1, LLM_MAX_HEADS, &p->n_group));
	LLM_TRY(llm_key_double(r, "ssm.time_step_min", false, 0, 1e6, &dt_min));
	p->dt_min = (float) dt_min;
	if (p->n_inner % p->n_head != 0 || p->n_head % p->n_group != 0)
		return llm_fail(r->err, LLM_E_FORMAT, "a state space of %u cannot be cut into %u heads in %u groups", p->n_inner,
						p->n_head, p->n_group);
	LLM_TRY(llm_meta_bool(r->meta, llm_key_name(r, "ssm.grouped_heads", key), false, &grouped, r->err));
	p->tiled = llm_key_has_trait(r, LLM_TRAIT_TILED_HEADS) && !grouped;
	p->n_channels = p->n_inner + 2 * p->n_group * p->n_state;
	p->n_in = p->n_inner + p->n_channels + (r->arch->recurrent == LLM_MIXER_DELTA_NET ? 2 : 1) * p->n_head;
	return LLM_OK;
}

/* Mamba 1: each channel is a head with steps of its own; norms of what makes them are told, or known by their weights */
static LlmStatus
read_selective(const LlmKeyReader *r, LlmRecurrentParams *p)
{
	double		eps = 1e-6;		/* FalconMamba's, which GGUF files do not say */
	LlmKeyName	key;

	LLM_TRY(llm_key_uint(r, "ssm.conv_kernel", true, 2, LLM_MAX_TAPS, &p->n_conv));
	LLM_TRY(llm_key_uint(r, "ssm.inner_size", true, 1, LLM_MAX_WIDTH, &p->n_inner));
	LLM_TRY(llm_key_uint(r, "ssm.state_size", true, 1, LLM_MAX_HEAD, &p->n_state));
	LLM_TRY(llm_key_uint(r, "ssm.time_step_rank", true, 1, LLM_MAX_WIDTH, &p->dt_rank));
	LLM_TRY(llm_meta_bool(r->meta, llm_key_name(r, "ssm.dt_b_c_rms", key), false, &p->norm_all, r->err));
	LLM_TRY(llm_key_double(r, "ssm.dt_b_c_rms_epsilon", false, 0, 1, &eps));
	p->norm_eps = (float) eps;
	p->n_head = p->n_inner;
	p->n_channels = p->n_inner;
	p->n_in = 2 * p->n_inner;
	return LLM_OK;
}

LlmStatus
llm_hparams_read_recurrent(const LlmKeyReader *r, LlmHparams *hp)
{
	LlmRecurrentParams *p = &hp->recurrent;

	switch (r->arch->recurrent)
	{
		case LLM_MIXER_MAMBA2:
		case LLM_MIXER_DELTA_NET:
			LLM_TRY(read_state_space(r, p));
			break;
		case LLM_MIXER_MAMBA1:
			LLM_TRY(read_selective(r, p));
			break;
		case LLM_MIXER_SHORT_CONV:
			LLM_TRY(llm_key_uint(r, "shortconv.l_cache", true, 2, LLM_MAX_TAPS, &p->n_conv));
			p->n_inner = hp->n_embd;
			p->n_channels = hp->n_embd;
			p->n_in = 3 * hp->n_embd;
			break;
		default:
			return LLM_OK;
	}
	p->state_floats = (size_t) (p->n_conv - 1) * p->n_channels + (size_t) p->n_inner * p->n_state;
	return LLM_OK;
}
