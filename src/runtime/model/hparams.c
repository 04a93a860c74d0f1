/*
 * hparams.c: reading a model's shape from its metadata. A key that changes results is computed or refused by name.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/arch.h"

/* upper bounds that keep every later product of two of them within 64 bits; far above any known model */
#define MAX_CONTEXT LLM_MAX_CONTEXT
#define MAX_WIDTH	(1u << 20)
#define MAX_LAYERS	4096
#define MAX_HEADS	4096
#define MAX_HEAD	4096
#define MAX_EXPERTS 4096
#define MAX_TAPS	256

typedef struct KeyReader
{
	const LlmMeta *meta;
	const LlmArch *arch;
	LlmError   *err;
} KeyReader;

typedef char KeyName[128];

static const char *
key_name(const KeyReader *r, const char *suffix, KeyName name)
{
	snprintf(name, sizeof(KeyName), "%s.%s", r->arch->name, suffix);
	return name;
}

static bool
has_trait(const KeyReader *r, LlmTrait trait)
{
	return (r->arch->traits & (uint32_t) trait) != 0;
}

static LlmStatus
read_uint(const KeyReader *r, const char *suffix, bool required, uint32_t min, uint32_t max, uint32_t *value)
{
	KeyName		key;
	uint64_t	v = *value;

	LLM_TRY(llm_meta_uint(r->meta, key_name(r, suffix, key), required, max, &v, r->err));
	if (v < min && llm_meta_find(r->meta, key))
		return llm_fail(r->err, LLM_E_FORMAT, "model metadata \"%s\" is %llu, below the least value %u", key,
						(unsigned long long) v, min);
	*value = (uint32_t) v;
	return LLM_OK;
}

static LlmStatus
read_double(const KeyReader *r, const char *suffix, bool required, double min, double max, double *value)
{
	KeyName		key;
	double		v = *value;

	LLM_TRY(llm_meta_float(r->meta, key_name(r, suffix, key), required, &v, r->err));
	if (!(v >= min && v <= max))
		return llm_fail(r->err, LLM_E_FORMAT, "model metadata \"%s\" is %g, outside %g to %g", key, v, min, max);
	*value = v;
	return LLM_OK;
}

/* an optional float; 0 in the file means that it is not set */
static LlmStatus
read_factor(const KeyReader *r, const char *suffix, float *value)
{
	double		v = 0;

	LLM_TRY(read_double(r, suffix, false, 0, 1e6, &v));
	if (v != 0)
		*value = (float) v;
	return LLM_OK;
}

/* a feature that changes results and is not computed: present and not neutral is refused by name */
static LlmStatus
refuse_unless(const KeyReader *r, const char *suffix, double neutral)
{
	KeyName		key;
	double		v = neutral;

	LLM_TRY(llm_meta_float(r->meta, key_name(r, suffix, key), false, &v, r->err));
	if (v != neutral)
		return llm_fail(r->err, LLM_E_UNSUPPORTED, "model feature \"%s\" = %g is not supported for architecture \"%s\"",
						key, v, r->arch->name);
	return LLM_OK;
}

static LlmStatus
refuse_present(const KeyReader *r, const char *suffix)
{
	KeyName		key;

	if (llm_meta_find(r->meta, key_name(r, suffix, key)))
		return llm_fail(r->err, LLM_E_UNSUPPORTED, "model feature \"%s\" is not supported for architecture \"%s\"", key,
						r->arch->name);
	return LLM_OK;
}

static bool
str_is(LlmStr s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

/* ---- sizes ---- */

/* a number, or one for each layer: then *value is the largest, and *by_layer the list */
static LlmStatus
read_by_layer(const KeyReader *r, const char *suffix, bool required, uint32_t max, uint32_t n_layer, uint32_t *value,
			  const LlmMetaArray **by_layer)
{
	KeyName		key;
	const LlmMetaEntry *entry = llm_meta_find(r->meta, key_name(r, suffix, key));

	if (!entry || entry->type != LLM_META_ARRAY || entry->array.type == LLM_META_STRING ||
		entry->array.type == LLM_META_FLOAT32 || entry->array.type == LLM_META_FLOAT64)
		return read_uint(r, suffix, required, 0, max, value);
	if (entry->array.count < n_layer)
		return llm_fail(r->err, LLM_E_FORMAT, "model metadata \"%s\" has %llu elements for %u layers", key,
						(unsigned long long) entry->array.count, n_layer);
	*value = 0;
	for (uint32_t i = 0; i < n_layer; i++)
	{
		int64_t		v = llm_meta_array_int(&entry->array, i);

		if (v < 0 || v > max)
			return llm_fail(r->err, LLM_E_FORMAT, "model metadata \"%s\" is %lld for layer %u, outside 0 to %u", key,
							(long long) v, i, max);
		if (v > *value)
			*value = (uint32_t) v;
	}
	*by_layer = &entry->array;
	return LLM_OK;
}

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
heads_fit(const KeyReader *r, const LlmHparams *hp, uint32_t n_head, uint32_t n_kv)
{
	const bool	all_alike = has_trait(r, LLM_TRAIT_LATENT) || has_trait(r, LLM_TRAIT_ALIBI) || has_trait(r, LLM_TRAIT_SIDE_BY_SIDE);

	if (all_alike)
		return n_head == hp->n_head && n_kv == hp->n_head_kv;
	/* none at all is refused later */
	return n_kv > 0 || r->arch->recurrent != LLM_MIXER_ATTENTION || has_trait(r, LLM_TRAIT_GAPS) || hp->n_head_kv == 0;
}

/* a layer has what its architecture asks of it: one block, or a feed-forward behind the mixer */
static bool
blocks_fit(const KeyReader *r, uint32_t n_kv, uint32_t n_ff)
{
	if (has_trait(r, LLM_TRAIT_ONE_BLOCK))
		return n_ff == 0 || n_kv == 0;
	return n_ff > 0 || has_trait(r, LLM_TRAIT_GAPS);
}

static bool
is_recurrent(LlmMixer mixer)
{
	return mixer != LLM_MIXER_ATTENTION && mixer != LLM_MIXER_NONE && mixer != LLM_MIXER_LINEAR;
}

/* heads and feed-forwards by layer are such as are computed */
static LlmStatus
check_layers(const KeyReader *r, LlmHparams *hp)
{
	for (uint32_t i = 0; i < hp->n_layer; i++)
	{
		uint32_t	n_head = llm_hparams_heads(hp, i);
		uint32_t	n_kv = llm_hparams_heads_kv(hp, i);
		uint32_t	n_ff = llm_hparams_ff(hp, i);
		LlmMixer	mixer = llm_hparams_mixer(r->arch, hp, i);

		if (!heads_fit(r, hp, n_head, n_kv))
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
		hp->n_layer_recurrent += is_recurrent(mixer) || has_trait(r, LLM_TRAIT_SIDE_BY_SIDE);
	}
	return LLM_OK;
}

/* which layers attend, where key/value heads do not tell */
static LlmStatus
read_recurrent_layers(const KeyReader *r, LlmHparams *hp)
{
	KeyName		key;

	hp->attention_every = 4;
	LLM_TRY(read_uint(r, "full_attention_interval", false, 1, MAX_LAYERS, &hp->attention_every));
	if (!llm_meta_find(r->meta, key_name(r, "attention.recurrent_layers", key)))
		return LLM_OK;
	LLM_TRY(llm_meta_array(r->meta, key, true, LLM_META_BOOL, &hp->recurrent_layers, r->err));
	if (hp->recurrent_layers->count < hp->n_layer)
		return llm_fail(r->err, LLM_E_FORMAT, "model metadata \"%s\" has %llu elements for %u layers", key,
						(unsigned long long) hp->recurrent_layers->count, hp->n_layer);
	return LLM_OK;
}

static LlmStatus
read_heads(const KeyReader *r, LlmHparams *hp)
{
	const uint32_t min = r->arch->recurrent == LLM_MIXER_ATTENTION ? 1 : 0;
	KeyName		key;

	LLM_TRY(read_by_layer(r, "attention.head_count", min > 0, MAX_HEADS, hp->n_layer, &hp->n_head, &hp->head_layers));
	if (hp->n_head < min)
		return llm_fail(r->err, LLM_E_FORMAT, "model metadata says that there are %u attention heads", hp->n_head);
	hp->n_head_kv = hp->n_head;
	if (!llm_meta_find(r->meta, key_name(r, "attention.head_count_kv", key)))
		hp->kv_layers = hp->head_layers;
	LLM_TRY(read_by_layer(r, "attention.head_count_kv", false, MAX_HEADS, hp->n_layer, &hp->n_head_kv, &hp->kv_layers));
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
	LLM_TRY(read_uint(r, "attention.key_length", false, 1, MAX_HEAD, &hp->head_dim_k));
	hp->head_dim_v = hp->n_embd / hp->n_head;
	LLM_TRY(read_uint(r, "attention.value_length", false, 1, MAX_HEAD, &hp->head_dim_v));
	if (hp->head_dim_k == 0 || hp->head_dim_k > MAX_HEAD || hp->head_dim_v == 0 || hp->head_dim_v > MAX_HEAD)
		return llm_fail(r->err, LLM_E_FORMAT, "%u heads over an embedding of %u give heads of %u and %u dimensions",
						hp->n_head, hp->n_embd, hp->head_dim_k, hp->head_dim_v);
	if (has_trait(r, LLM_TRAIT_OUT_GATE) && hp->head_dim_k != hp->head_dim_v)
		return llm_fail(r->err, LLM_E_FORMAT, "heads with a gate of %u dimensions cannot have values of %u", hp->head_dim_k, hp->head_dim_v);
	/* where no layer rotates, heads may have an odd size, and the file may say anything */
	hp->n_rot = r->arch->no_rope_every == 1 ? 0 : hp->head_dim_k;
	if (r->arch->no_rope_every != 1)
		LLM_TRY(read_uint(r, "rope.dimension_count", false, 0, hp->head_dim_k, &hp->n_rot));
	if (hp->n_rot % 2 != 0)
		return llm_fail(r->err, LLM_E_FORMAT, "rotation of %u dimensions of a head is not possible, as they are rotated in pairs",
						hp->n_rot);
	LLM_TRY(refuse_unless(r, "attention.key_length_swa", hp->head_dim_k));
	LLM_TRY(refuse_unless(r, "attention.value_length_swa", hp->head_dim_v));
	return refuse_unless(r, "rope.dimension_count_swa", hp->n_rot);
}

/*
 * Keys and values of all heads come from one latent, which is the only key/value head; attention.key_length and value_length
 * are its sizes. Files from before key_length_mla have there what is now in the keys with that ending.
 */
static LlmStatus
read_latent(const KeyReader *r, LlmHparams *hp)
{
	LlmLatentParams *latent = &hp->latent;
	KeyName		key;
	const bool	older = !llm_meta_find(r->meta, key_name(r, "attention.key_length_mla", key));

	LLM_TRY(read_uint(r, "attention.kv_lora_rank", true, 1, MAX_HEAD - hp->n_rot, &latent->kv_rank));
	LLM_TRY(read_uint(r, "attention.q_lora_rank", false, 0, MAX_WIDTH, &latent->q_rank));
	LLM_TRY(read_uint(r, older ? "attention.key_length" : "attention.key_length_mla", true, hp->n_rot + 1, MAX_HEAD,
					 &latent->head_dim_k));
	LLM_TRY(read_uint(r, older ? "attention.value_length" : "attention.value_length_mla", true, 1, MAX_HEAD, &latent->head_dim_v));
	latent->score_scale = 1;
	hp->n_head_kv = 1;
	hp->head_dim_k = latent->kv_rank + hp->n_rot;
	hp->head_dim_v = latent->kv_rank;
	hp->stored_dim_v = 0;
	return LLM_OK;
}

static LlmStatus
read_sizes(const KeyReader *r, LlmHparams *hp)
{
	static const char layer_key[] = "attention.layer_norm_epsilon";
	static const char rms_key[] = "attention.layer_norm_rms_epsilon";
	const bool	layer_norm = r->arch->norm == LLM_NORM_LAYER;
	double		eps = 0;

	LLM_TRY(read_uint(r, "block_count", true, 1, MAX_LAYERS, &hp->n_layer));
	LLM_TRY(read_uint(r, "nextn_predict_layers", false, 0, hp->n_layer - 1, &hp->n_layer_draft));
	hp->n_layer -= hp->n_layer_draft;
	LLM_TRY(read_uint(r, "context_length", true, 1, MAX_CONTEXT, &hp->n_ctx_train));
	LLM_TRY(read_uint(r, "embedding_length", true, 1, MAX_WIDTH, &hp->n_embd));
	LLM_TRY(read_by_layer(r, "feed_forward_length", true, MAX_WIDTH, hp->n_layer, &hp->n_ff, &hp->ff_layers));
	LLM_TRY(read_heads(r, hp));
	hp->stored_dim_v = hp->head_dim_v;
	if (has_trait(r, LLM_TRAIT_LATENT))
		LLM_TRY(read_latent(r, hp));
	/* some files have the other name */
	if (has_trait(r, LLM_TRAIT_ONE_BLOCK) || r->arch->router == LLM_ROUTER_MIXER)
		LLM_TRY(read_double(r, layer_norm ? rms_key : layer_key, false, 0.0, 1.0, &eps));
	LLM_TRY(read_double(r, layer_norm ? layer_key : rms_key, eps == 0, 0.0, 1.0, &eps));
	hp->norm_eps = (float) eps;
	return LLM_OK;
}

/* ---- recurrent layers ---- */

/* Mamba2, and the delta net, whose time_step_rank are its value heads and groups its key heads, of state_size each */
static LlmStatus
read_state_space(const KeyReader *r, LlmRecurrentParams *p)
{
	double		dt_min = 0;
	bool		grouped = false;
	KeyName		key;

	p->n_group = 1;
	LLM_TRY(read_uint(r, "ssm.conv_kernel", true, 2, MAX_TAPS, &p->n_conv));
	LLM_TRY(read_uint(r, "ssm.inner_size", true, 1, MAX_WIDTH, &p->n_inner));
	LLM_TRY(read_uint(r, "ssm.state_size", true, 1, MAX_HEAD, &p->n_state));
	LLM_TRY(read_uint(r, "ssm.time_step_rank", true, 1, MAX_HEADS, &p->n_head));
	LLM_TRY(read_uint(r, "ssm.group_count", false, 1, MAX_HEADS, &p->n_group));
	LLM_TRY(read_double(r, "ssm.time_step_min", false, 0, 1e6, &dt_min));
	p->dt_min = (float) dt_min;
	if (p->n_inner % p->n_head != 0 || p->n_head % p->n_group != 0)
		return llm_fail(r->err, LLM_E_FORMAT, "a state space of %u cannot be cut into %u heads in %u groups", p->n_inner,
						p->n_head, p->n_group);
	LLM_TRY(llm_meta_bool(r->meta, key_name(r, "ssm.grouped_heads", key), false, &grouped, r->err));
	p->tiled = has_trait(r, LLM_TRAIT_TILED_HEADS) && !grouped;
	p->n_channels = p->n_inner + 2 * p->n_group * p->n_state;
	p->n_in = p->n_inner + p->n_channels + (r->arch->recurrent == LLM_MIXER_DELTA_NET ? 2 : 1) * p->n_head;
	return LLM_OK;
}

/* Mamba 1: each channel is a head with steps of its own; norms of what makes them are told, or known by their weights */
static LlmStatus
read_selective(const KeyReader *r, LlmRecurrentParams *p)
{
	double		eps = 1e-6;		/* FalconMamba's, which GGUF files do not say */
	KeyName		key;

	LLM_TRY(read_uint(r, "ssm.conv_kernel", true, 2, MAX_TAPS, &p->n_conv));
	LLM_TRY(read_uint(r, "ssm.inner_size", true, 1, MAX_WIDTH, &p->n_inner));
	LLM_TRY(read_uint(r, "ssm.state_size", true, 1, MAX_HEAD, &p->n_state));
	LLM_TRY(read_uint(r, "ssm.time_step_rank", true, 1, MAX_WIDTH, &p->dt_rank));
	LLM_TRY(llm_meta_bool(r->meta, key_name(r, "ssm.dt_b_c_rms", key), false, &p->norm_all, r->err));
	LLM_TRY(read_double(r, "ssm.dt_b_c_rms_epsilon", false, 0, 1, &eps));
	p->norm_eps = (float) eps;
	p->n_head = p->n_inner;
	p->n_channels = p->n_inner;
	p->n_in = 2 * p->n_inner;
	return LLM_OK;
}

static LlmStatus
read_recurrent(const KeyReader *r, LlmHparams *hp)
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
			LLM_TRY(read_uint(r, "shortconv.l_cache", true, 2, MAX_TAPS, &p->n_conv));
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

/* ---- rope ---- */

/*
 * What YaRN multiplies cosine and sine by: 0.1 ln(factor) + 1, or with a log multiplier its quotient with
 * 0.1 multiplier ln(factor) + 1. Source: Peng et al. 2023, arXiv 2309.00071, eq. 22; transformers' modeling_rope_utils.
 */
static double
yarn_magnitude(double factor, double log_multiplier)
{
	double		log_factor = factor > 1 ? llmk_log(factor) : 0;
	double		magnitude = 0.1 * log_factor + 1;

	return log_multiplier != 0 ? magnitude / (0.1 * log_multiplier * log_factor + 1) : magnitude;
}

/*
 * Latent attention's part of YaRN: scores grow, and cosine and sine stay, since mscale and mscale_all_dim are equal in every
 * model of the kind (the file holds 0.1 times the latter only). Source: DeepSeek-V3, inference/model.py; modeling_deepseek_v3.
 */
static double
latent_score_scale(double factor, double log_multiplier)
{
	double		magnitude = 1 + (factor > 1 ? log_multiplier * llmk_log(factor) : 0);

	return magnitude * magnitude;
}

static LlmStatus
read_yarn(const KeyReader *r, double factor, LlmHparams *hp, LlmRopeParams *rope)
{
	double		log_multiplier = 0;
	bool		truncate = true;
	KeyName		key;

	rope->beta_fast = 32;
	rope->beta_slow = 1;
	LLM_TRY(read_double(r, "rope.scaling.yarn_beta_fast", false, 1e-6, 1e6, &rope->beta_fast));
	LLM_TRY(read_double(r, "rope.scaling.yarn_beta_slow", false, 1e-6, 1e6, &rope->beta_slow));
	LLM_TRY(read_double(r, "rope.scaling.yarn_log_multiplier", false, 0, 1e3, &log_multiplier));
	LLM_TRY(llm_meta_bool(r->meta, key_name(r, "rope.scaling.yarn_truncate", key), false, &truncate, r->err));
	rope->yarn_exact = !truncate;
	LLM_TRY(refuse_unless(r, "rope.scaling.yarn_ext_factor", 1));
	if (hp->latent.kv_rank > 0 && log_multiplier != 0)
		hp->latent.score_scale = latent_score_scale(factor, log_multiplier);
	else
	{
		rope->magnitude = yarn_magnitude(factor, log_multiplier);
		LLM_TRY(read_double(r, "rope.scaling.yarn_attn_factor", false, 1e-6, 1e6, &rope->magnitude));
	}
	return LLM_OK;
}

/* the kind of scaling that metadata names */
static LlmStatus
read_scaling(const KeyReader *r, LlmRopeScaling *scaling)
{
	static const struct
	{
		const char *name;
		LlmRopeScaling scaling;
	}			known[] = {
		{"none", LLM_ROPE_SCALING_NONE}, {"linear", LLM_ROPE_SCALING_LINEAR}, {"yarn", LLM_ROPE_SCALING_YARN},
		{"longrope", LLM_ROPE_SCALING_FACTORS}, {"llama3", LLM_ROPE_SCALING_FACTORS},
	};
	KeyName		key;
	LlmStr		type = {"linear", 6};

	LLM_TRY(llm_meta_string(r->meta, key_name(r, "rope.scaling.type", key), false, &type, r->err));
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
	{
		*scaling = known[i].scaling;
		if (str_is(type, known[i].name))
			return LLM_OK;
	}
	return llm_fail(r->err, LLM_E_UNSUPPORTED, "rope scaling type \"%.*s\" is not supported for architecture \"%s\"",
					(int) (type.len > 40 ? 40 : type.len), type.data, r->arch->name);
}

/* scaling: none, linear, yarn, or factors given as a tensor (llama3, longrope); what the options leave out metadata says */
static LlmStatus
read_global_rope(const KeyReader *r, const LlmRopeOptions *o, LlmHparams *hp, LlmRopeParams *rope)
{
	LlmRopeScaling scaling = LLM_ROPE_SCALING_LINEAR;
	double		factor = 1;
	double		attn_factor = 1;

	*rope = (LlmRopeParams) {.base = 10000, .scale = 1, .magnitude = 1};
	hp->latent.score_scale = 1;
	LLM_TRY(read_double(r, "rope.freq_base", false, 1.0, 1e15, &rope->base));
	LLM_TRY(read_scaling(r, &scaling));
	LLM_TRY(read_uint(r, "rope.scaling.original_context_length", false, 1, MAX_CONTEXT, &hp->n_ctx_orig));
	LLM_TRY(read_double(r, "rope.scale_linear", false, 0, 1e6, &factor));
	LLM_TRY(read_double(r, "rope.scaling.factor", false, 0, 1e6, &factor));
	LLM_TRY(read_double(r, "rope.scaling.attn_factor", false, 1e-6, 1e6, &attn_factor));
	LLM_TRY(refuse_unless(r, "rope.scaling.alpha", 0));
	if (scaling == LLM_ROPE_SCALING_FACTORS)
		LLM_TRY(refuse_unless(r, "rope.scaling.factor", 1));
	if (hp->latent.kv_rank > 0)
		LLM_TRY(refuse_unless(r, "rope.scaling.attn_factor", 1));
	scaling = o->scaling != LLM_ROPE_SCALING_OF_MODEL ? o->scaling : scaling;
	rope->base = o->freq_base > 0 ? o->freq_base : rope->base;
	rope->n_ctx_orig = o->yarn_orig_ctx > 0 ? o->yarn_orig_ctx : hp->n_ctx_orig;
	factor = o->freq_scale > 0 ? 1 / o->freq_scale : factor;
	if (factor == 0 || scaling == LLM_ROPE_SCALING_NONE)
		factor = 1;
	rope->has_factors = scaling == LLM_ROPE_SCALING_FACTORS;
	rope->extrapolated = o->has_ext_factor ? o->yarn_ext_factor : scaling == LLM_ROPE_SCALING_YARN;
	if (rope->extrapolated > 0)
		LLM_TRY(read_yarn(r, factor, hp, rope));
	rope->beta_fast = o->yarn_beta_fast > 0 ? o->yarn_beta_fast : rope->beta_fast;
	rope->beta_slow = o->yarn_beta_slow > 0 ? o->yarn_beta_slow : rope->beta_slow;
	rope->scale = 1.0 / factor;
	rope->magnitude *= attn_factor * (o->yarn_attn_factor > 0 ? o->yarn_attn_factor : 1);
	return LLM_OK;
}

bool
llm_rope_options_given(const LlmRopeOptions *o)
{
	return o->scaling != LLM_ROPE_SCALING_OF_MODEL || o->freq_base > 0 || o->freq_scale > 0 || o->yarn_orig_ctx > 0 ||
		o->has_ext_factor || o->yarn_attn_factor > 0 || o->yarn_beta_fast > 0 || o->yarn_beta_slow > 0;
}

static LlmStatus
read_rope(const KeyReader *r, const LlmRopeOptions *options, LlmHparams *hp)
{
	static const LlmRopeOptions none = {0};
	const bool	only_local = r->arch->window_every == LLM_WINDOW_ALWAYS || has_trait(r, LLM_TRAIT_ROPE_LOCAL_ONLY);
	LlmRopeParams *local = &hp->rope[LLM_ROPE_LOCAL];
	KeyName		key;
	bool		switched = true;

	hp->n_ctx_orig = hp->n_ctx_train;
	LLM_TRY(read_global_rope(r, options && only_local ? options : &none, hp, local));
	if (has_trait(r, LLM_TRAIT_LOCAL_PLAIN))
		*local = (LlmRopeParams) {.base = local->base, .scale = 1, .magnitude = 1};
	if (r->arch->local_rope_base != 0)
		local->base = r->arch->local_rope_base;
	if (!only_local || !options || options->freq_base == 0)
		LLM_TRY(read_double(r, "rope.freq_base_swa", false, 1.0, 1e15, &local->base));
	LLM_TRY(read_global_rope(r, options ? options : &none, hp, &hp->rope[LLM_ROPE_GLOBAL]));
	if (has_trait(r, LLM_TRAIT_ROPE_SWITCH))
		LLM_TRY(llm_meta_bool(r->meta, key_name(r, "rope.scaling.finetuned", key), false, &switched, r->err));
	hp->no_rope = !switched;
	return LLM_OK;
}

int
llm_hparams_rope(const LlmArch *arch, const LlmHparams *hp, uint32_t layer)
{
	bool		local = llm_hparams_window(hp, layer) != 0;

	if (hp->no_rope || (arch->no_rope_every != 0 && (layer + 1) % arch->no_rope_every == 0))
		return LLM_ROPE_ABSENT;
	if ((arch->traits & LLM_TRAIT_ROPE_LOCAL_ONLY) && hp->window != 0 && !local)
		return LLM_ROPE_ABSENT;
	return local ? LLM_ROPE_LOCAL : LLM_ROPE_GLOBAL;
}

/* ---- windows ---- */

/* sliding_window_pattern is a number (every so many layers one sees all) or a list of booleans (does the layer have one?) */
static LlmStatus
read_windows(const KeyReader *r, LlmHparams *hp)
{
	static const char pattern[] = "attention.sliding_window_pattern";
	KeyName		key;
	const LlmMetaEntry *entry;

	if (r->arch->window_every == LLM_WINDOW_NEVER)
		return refuse_unless(r, "attention.sliding_window", 0);
	hp->window = r->arch->window;
	hp->window_every = r->arch->window_every;
	hp->window_first_full = has_trait(r, LLM_TRAIT_FULL_FIRST);
	LLM_TRY(read_uint(r, "attention.sliding_window", false, 0, MAX_CONTEXT, &hp->window));
	entry = llm_meta_find(r->meta, key_name(r, pattern, key));
	if (!entry || entry->type != LLM_META_ARRAY)
		return read_uint(r, pattern, false, 0, MAX_LAYERS, &hp->window_every);
	LLM_TRY(llm_meta_array(r->meta, key, true, LLM_META_BOOL, &hp->window_layers, r->err));
	if (hp->window_layers->count < hp->n_layer)
		return llm_fail(r->err, LLM_E_FORMAT, "model metadata \"%s\" has %llu elements for %u layers", key,
						(unsigned long long) hp->window_layers->count, hp->n_layer);
	return LLM_OK;
}

uint32_t
llm_hparams_window(const LlmHparams *hp, uint32_t layer)
{
	bool		has_window;

	if (hp->window_layers)
		has_window = llm_meta_array_int(hp->window_layers, layer) != 0;
	else if (hp->window_every == 0 || hp->window_every == LLM_WINDOW_ALWAYS)
		has_window = true;
	else if (hp->window_first_full)
		has_window = layer % hp->window_every != 0;
	else
		has_window = layer % hp->window_every < hp->window_every - 1;
	return has_window ? hp->window : 0;
}

/* ---- experts ---- */

static LlmStatus
read_router(const KeyReader *r, LlmHparams *hp)
{
	LlmRouterParams *router = &hp->router;
	uint32_t	kind = r->arch->router;
	KeyName		key;

	*router = (LlmRouterParams) {.renorm = r->arch->router_renorm, .scale = 1, .n_groups = 1, .n_groups_used = 1};
	LLM_TRY(read_uint(r, "expert_count", false, 0, MAX_EXPERTS, &router->n_expert));
	if (router->n_expert == 0)
		return LLM_OK;
	LLM_TRY(read_uint(r, "expert_used_count", true, 1, router->n_expert, &router->n_used));
	LLM_TRY(read_uint(r, "expert_gating_func", false, 1, LLM_ROUTER_SOFTMAX_CHOSEN, &kind));
	router->kind = (LlmRouterKind) kind;
	LLM_TRY(llm_meta_bool(r->meta, key_name(r, "expert_weights_norm", key), false, &router->renorm, r->err));
	LLM_TRY(read_factor(r, "expert_weights_scale", &router->scale));
	LLM_TRY(read_uint(r, "expert_group_count", false, 0, router->n_expert, &router->n_groups));
	router->n_groups = router->n_groups ? router->n_groups : 1;
	router->n_groups_used = router->n_groups;
	LLM_TRY(read_uint(r, "expert_group_used_count", false, 1, router->n_groups, &router->n_groups_used));
	if (router->n_expert % router->n_groups != 0 ||
		router->n_expert / router->n_groups * router->n_groups_used < router->n_used)
		return llm_fail(r->err, LLM_E_FORMAT, "%u experts cannot be chosen from %u of %u groups of %u experts in all",
						router->n_used, router->n_groups_used, router->n_groups, router->n_expert);
	return LLM_OK;
}

static LlmStatus
read_shared_count(const KeyReader *r, LlmHparams *hp)
{
	uint32_t	n = 0;

	LLM_TRY(read_uint(r, "expert_shared_count", true, 0, MAX_EXPERTS, &n));
	if ((uint64_t) n * hp->n_ff_expert > MAX_WIDTH)
		return llm_fail(r->err, LLM_E_FORMAT, "%u shared experts %u wide are more than %u together", n, hp->n_ff_expert, MAX_WIDTH);
	hp->n_ff_shared = n * hp->n_ff_expert;
	return LLM_OK;
}

/* every so many layers one has experts: the last of them, or the second */
static LlmStatus
read_expert_layers(const KeyReader *r, LlmHparams *hp)
{
	if (r->arch->weigh_input)
	{
		LLM_TRY(read_uint(r, "interleave_moe_layer_step", true, 1, MAX_LAYERS, &hp->moe_every));
		hp->moe_at = hp->moe_every - 1;
		return refuse_unless(r, "moe_every_n_layers", 1);
	}
	LLM_TRY(refuse_unless(r, "interleave_moe_layer_step", 1));
	if (!has_trait(r, LLM_TRAIT_ENCODER))
		return refuse_unless(r, "moe_every_n_layers", 1);
	LLM_TRY(read_uint(r, "moe_every_n_layers", false, 0, MAX_LAYERS, &hp->moe_every));
	hp->moe_at = hp->moe_every > 0 ? 1 % hp->moe_every : 0;
	return LLM_OK;
}

static LlmStatus
read_experts(const KeyReader *r, LlmHparams *hp)
{
	if (r->arch->router == LLM_ROUTER_NONE)
		return refuse_unless(r, "expert_count", 0);
	LLM_TRY(read_router(r, hp));
	if (hp->router.n_expert == 0)
		return LLM_OK;
	hp->n_ff_expert = hp->n_ff;
	LLM_TRY(read_uint(r, "expert_feed_forward_length", false, 1, MAX_WIDTH, &hp->n_ff_expert));
	if (r->arch->shared_expert != LLM_SHARED_NONE)
	{
		hp->n_ff_shared = r->arch->shared_expert == LLM_SHARED_ALWAYS ? hp->n_ff :
			r->arch->shared_expert == LLM_SHARED_AS_ONE ? hp->n_ff_expert : 0;
		if (has_trait(r, LLM_TRAIT_DENSE_LEAD))
			LLM_TRY(read_shared_count(r, hp));
		LLM_TRY(read_uint(r, "expert_shared_feed_forward_length", false, 0, MAX_WIDTH, &hp->n_ff_shared));
	}
	else
		LLM_TRY(refuse_unless(r, "expert_shared_feed_forward_length", 0));
	if (has_trait(r, LLM_TRAIT_DENSE_LEAD))
		LLM_TRY(read_uint(r, "leading_dense_block_count", false, 0, MAX_LAYERS, &hp->n_dense_lead));
	else
		LLM_TRY(refuse_unless(r, "leading_dense_block_count", 0));
	if (has_trait(r, LLM_TRAIT_ONE_BLOCK))
		LLM_TRY(read_uint(r, "moe_latent_size", false, 0, MAX_WIDTH, &hp->router.n_latent));
	else
		LLM_TRY(refuse_unless(r, "moe_latent_size", 0));
	return read_expert_layers(r, hp);
}

bool
llm_hparams_has_experts(const LlmHparams *hp, uint32_t layer)
{
	return hp->router.n_expert > 0 && layer >= hp->n_dense_lead && (hp->moe_every == 0 || layer % hp->moe_every == hp->moe_at);
}

/* ---- scales ---- */

/* Llama 4 says nothing of it in its files, and has it with its chunks; Ministral 3 counts its original context */
static LlmStatus
read_query_scale(const KeyReader *r, LlmHparams *hp)
{
	KeyName		key;

	hp->qk_norm_unit = r->arch->qk_norm == LLM_QK_NORM_UNIT && hp->router.n_expert != 128;	/* Maverick has none */
	LLM_TRY(llm_meta_bool(r->meta, key_name(r, "attention.qk_norm", key), false, &hp->qk_norm_unit, r->err));
	if (hp->qk_norm_unit && r->arch->qk_norm != LLM_QK_NORM_UNIT)
		return llm_fail(r->err, LLM_E_UNSUPPORTED, "model feature \"%s\" is not supported for architecture \"%s\"", key, r->arch->name);
	if (!has_trait(r, LLM_TRAIT_QUERY_SCALE))
		return refuse_unless(r, "attention.temperature_scale", 0);
	hp->query_scale_length = hp->n_ctx_orig;
	if (r->arch->chunked)
	{
		hp->query_scale = hp->window > 0 ? 0.1 : 0;
		hp->query_scale_length = 8192;
		hp->query_scale_from = 1;
		hp->query_scale_plain = true;
		LLM_TRY(read_uint(r, "attention.temperature_length", false, 1, MAX_CONTEXT, &hp->query_scale_length));
	}
	return read_double(r, "attention.temperature_scale", false, 0, 1e3, &hp->query_scale);
}

static LlmStatus
read_alibi(const KeyReader *r, LlmHparams *hp)
{
	double		bias = r->arch->alibi_bias;

	if (!has_trait(r, LLM_TRAIT_ALIBI))
		return refuse_unless(r, "attention.max_alibi_bias", 0);
	LLM_TRY(read_double(r, "attention.max_alibi_bias", false, 0, 1e3, &bias));
	hp->alibi_bias = (float) bias;
	return LLM_OK;
}

static LlmStatus
read_scales(const KeyReader *r, LlmHparams *hp)
{
	const bool	wide = r->arch->wide_scale_layers != 0 && hp->n_layer == r->arch->wide_scale_layers;

	hp->embed_scale = has_trait(r, LLM_TRAIT_EMBED_SQRT) ? sqrtf((float) hp->n_embd) : 1;
	hp->residual_scale = 1;
	hp->logit_scale = 1;
	hp->attn_scale = hp->n_head_kv == 0 ? 1 : 1.0f / sqrtf((float) (wide ? hp->n_embd / hp->n_head : hp->head_dim_k));
	if (hp->latent.kv_rank > 0)
		hp->attn_scale = (float) (hp->latent.score_scale / sqrt((double) hp->latent.head_dim_k));
	if (r->arch->attn_scale != 0)
		hp->attn_scale = r->arch->attn_scale;
	if (r->arch->scale_by_dim && hp->n_head_kv > 0)
		hp->attn_scale = 1.0f / (float) hp->head_dim_k;
	hp->attn_cap = r->arch->attn_cap;
	hp->logit_cap = r->arch->logit_cap;
	LLM_TRY(read_factor(r, "attention.scale", &hp->attn_scale));
	LLM_TRY(read_factor(r, "attn_logit_softcapping", &hp->attn_cap));
	LLM_TRY(read_factor(r, "final_logit_softcapping", &hp->logit_cap));
	if (has_trait(r, LLM_TRAIT_CLAMP_QKV))
		LLM_TRY(read_factor(r, "attention.clamp_kqv", &hp->clamp_qkv));
	else
		LLM_TRY(refuse_unless(r, "attention.clamp_kqv", 0));
	LLM_TRY(read_query_scale(r, hp));
	LLM_TRY(read_alibi(r, hp));
	if (has_trait(r, LLM_TRAIT_MULTIPLIERS) || has_trait(r, LLM_TRAIT_LOGIT_FACTOR))
	{
		LLM_TRY(read_factor(r, "logit_scale", &hp->logit_scale));
		if (has_trait(r, LLM_TRAIT_MULTIPLIERS))
			hp->logit_scale = 1.0f / hp->logit_scale;
	}
	else
		LLM_TRY(refuse_unless(r, "logit_scale", 0));
	if (has_trait(r, LLM_TRAIT_MULTIPLIERS))
	{
		KeyName		key;

		if (r->arch->multipliers_required && !llm_meta_find(r->meta, key_name(r, "embedding_scale", key)))
			return llm_fail(r->err, LLM_E_UNSUPPORTED, "model without \"%s\" in its metadata is not supported for architecture \"%s\"", key,
							r->arch->name);
		LLM_TRY(read_factor(r, "embedding_scale", &hp->embed_scale));
		return read_factor(r, "residual_scale", &hp->residual_scale);
	}
	LLM_TRY(refuse_unless(r, "embedding_scale", 0));
	return refuse_unless(r, "residual_scale", 0);
}

/* ---- streams ---- */

uint32_t
llm_hparams_kv_source(const LlmHparams *hp, uint32_t layer)
{
	const uint32_t first = hp->n_layer - hp->altup.n_shared;
	uint32_t	source = layer < first ? layer : first;

	if (layer < first)
		return layer;
	while (source > 0 && llm_hparams_window(hp, source - 1) != llm_hparams_window(hp, layer))
		source--;
	return source > 0 ? source - 1 : layer;
}

static LlmStatus
read_altup(const KeyReader *r, LlmHparams *hp)
{
	LlmAltUpParams *p = &hp->altup;
	KeyName		key;

	if (!r->arch->altup)
		return refuse_unless(r, "attention.shared_kv_layers", 0);
	LLM_TRY(read_uint(r, "altup.num_inputs", true, 2, 16, &p->n_streams));
	LLM_TRY(read_uint(r, "altup.active_idx", true, 0, p->n_streams - 1, &p->active));
	LLM_TRY(read_uint(r, "embedding_length_per_layer_input", true, 1, MAX_WIDTH / hp->n_layer, &p->n_input));
	LLM_TRY(read_uint(r, "attention.shared_kv_layers", true, 0, hp->n_layer - 1, &p->n_shared));
	LLM_TRY(llm_meta_array(r->meta, key_name(r, "activation_sparsity_scale", key), true, LLM_META_FLOAT32, &p->sparsity, r->err));
	if (p->sparsity->count < hp->n_layer)
		return llm_fail(r->err, LLM_E_FORMAT, "model metadata \"%s\" has %llu elements for %u layers", key,
						(unsigned long long) p->sparsity->count, hp->n_layer);
	for (uint32_t i = hp->n_layer - p->n_shared; i < hp->n_layer; i++)
	{
		const uint32_t source = llm_hparams_kv_source(hp, i);

		if (source == i || llm_hparams_heads_kv(hp, i) != llm_hparams_heads_kv(hp, source))
			return llm_fail(r->err, LLM_E_FORMAT, "layer %u shares keys and values, and none of the first %u layers has the same window and "
							"as many key/value heads", i, hp->n_layer - p->n_shared);
	}
	return LLM_OK;
}

/* ---- both directions, pooling ---- */

static LlmStatus
read_direction(const KeyReader *r, LlmHparams *hp)
{
	const bool	encoder = has_trait(r, LLM_TRAIT_ENCODER);
	const bool	can = hp->n_layer_recurrent == 0 && hp->latent.kv_rank == 0 && hp->altup.n_streams == 0 &&
		(hp->window == 0 || has_trait(r, LLM_TRAIT_WINDOW_SYMMETRIC));
	KeyName		key;

	hp->causal = !encoder;
	LLM_TRY(llm_meta_bool(r->meta, key_name(r, "attention.causal", key), false, &hp->causal, r->err));
	if (encoder ? hp->causal : !hp->causal && !can)
		return llm_fail(r->err, LLM_E_UNSUPPORTED, "model feature \"%s\" = %s is not supported for architecture \"%s\"",
						key, hp->causal ? "true" : "false", r->arch->name);
	hp->n_layer_kept = hp->causal ? hp->n_layer_attn - hp->altup.n_shared : 1;
	return LLM_OK;
}

/* blocks in parallel with a norm each, or in turn */
static LlmStatus
read_parallel(const KeyReader *r, LlmHparams *hp)
{
	KeyName		key;

	if (!has_trait(r, LLM_TRAIT_NORM_AHEAD))
		return LLM_OK;
	hp->norm_ahead = true;
	return llm_meta_bool(r->meta, key_name(r, "use_parallel_residual", key), false, &hp->norm_ahead, r->err);
}

/* is a gate beside what goes up? where the row leaves it open (GELU), the tensors say it */
static bool
has_gate(const KeyReader *r)
{
	return r->arch->ffn == LLM_FFN_SWIGLU || r->arch->ffn == LLM_FFN_GEGLU || r->arch->ffn == LLM_FFN_REGLU || has_trait(r, LLM_TRAIT_FUSED_GATE);
}

static bool
is_word(LlmStr name, const char *const *words)
{
	for (; *words; words++)
		if (str_is(name, *words))
			return true;
	return false;
}

/* the activation may be told; only kinds of the row's own form can take its place */
static LlmStatus
read_activation(const KeyReader *r, LlmHparams *hp)
{
	static const char *const tanh_words[] = {"gelu_pytorch_tanh", "gelu_new", "gelu_fast", NULL};
	static const char *const silu_words[] = {"silu", "swish", NULL};
	const bool	any = r->arch->ffn != LLM_FFN_SWIGLU_CLAMPED && r->arch->ffn != LLM_FFN_XIELU;
	const bool	gate = has_gate(r);
	LlmStr		name = {NULL, 0};
	KeyName		key;

	hp->ffn = r->arch->ffn;
	LLM_TRY(llm_meta_string(r->meta, key_name(r, "hidden_activation", key), false, &name, r->err));
	if (!name.data)
		return LLM_OK;
	if (any && str_is(name, "gelu"))
		hp->ffn = LLM_FFN_GELU;
	else if (any && gate && is_word(name, silu_words))
		hp->ffn = LLM_FFN_SWIGLU;
	else if (any && is_word(name, tanh_words))
		hp->ffn = gate ? LLM_FFN_GEGLU : LLM_FFN_GELU_TANH;
	else if (any && !gate && !has_trait(r, LLM_TRAIT_ENCODER) && str_is(name, "relu2"))
		hp->ffn = LLM_FFN_RELU_SQR;
	else
		return llm_fail(r->err, LLM_E_UNSUPPORTED, "model feature \"%s\" = \"%.*s\" is not supported for architecture \"%s\"", key,
						(int) (name.len > 40 ? 40 : name.len), name.data, r->arch->name);
	return LLM_OK;
}

/* numbers of xIELU: one for all layers or one for each; where there are none, tensors must have them */
static LlmStatus
read_xielu(const KeyReader *r, LlmHparams *hp)
{
	static const char *const keys[LLM_XIELU_COUNT] = {"xielu.alpha_p", "xielu.alpha_n", "xielu.beta", "xielu.eps"};

	for (int i = 0; i < LLM_XIELU_COUNT && r->arch->ffn == LLM_FFN_XIELU; i++)
	{
		if (!llm_meta_find(r->meta, keys[i]))
			continue;
		LLM_TRY(llm_meta_array(r->meta, keys[i], true, LLM_META_FLOAT32, &hp->xielu[i], r->err));
		if (hp->xielu[i]->count != 1 && hp->xielu[i]->count < hp->n_layer)
			return llm_fail(r->err, LLM_E_FORMAT, "model metadata \"%s\" has %llu elements for %u layers", keys[i],
							(unsigned long long) hp->xielu[i]->count, hp->n_layer);
	}
	return LLM_OK;
}

static LlmStatus
read_pooling_type(const KeyReader *r, const char *suffix, LlmPooling last, LlmPooling *out)
{
	KeyName		key;
	uint32_t	value = 0;

	if (!llm_meta_find(r->meta, key_name(r, suffix, key)))
		return LLM_OK;
	LLM_TRY(read_uint(r, suffix, false, 0, last, &value));
	*out = (LlmPooling) value;
	return LLM_OK;
}

static LlmStatus
read_pooling(const KeyReader *r, LlmHparams *hp)
{
	hp->pooling = LLM_POOLING_UNSPECIFIED;
	hp->pooling_classifier = LLM_POOLING_UNSPECIFIED;
	LLM_TRY(read_pooling_type(r, "pooling_type", LLM_POOLING_RANK, &hp->pooling));
	LLM_TRY(read_pooling_type(r, "classifier.pooling_type", LLM_POOLING_LAST, &hp->pooling_classifier));

	/* with a prediction head between, and no word about it, the mean: as ModernBERT's converter leaves it */
	if (hp->pooling_classifier <= LLM_POOLING_NONE)
		hp->pooling_classifier = hp->causal ? LLM_POOLING_LAST :
			has_trait(r, LLM_TRAIT_FULL_FIRST) ? LLM_POOLING_MEAN : LLM_POOLING_CLS;
	return LLM_OK;
}

LlmPooling
llm_hparams_pooling(const LlmArch *arch, const LlmHparams *hp, bool has_classifier)
{
	if (hp->pooling != LLM_POOLING_UNSPECIFIED || !(arch->traits & LLM_TRAIT_ENCODER))
		return hp->pooling;
	return has_classifier ? LLM_POOLING_RANK : LLM_POOLING_MEAN;
}

LlmPooling
llm_hparams_pools(const LlmHparams *hp, LlmPooling pooling)
{
	return pooling == LLM_POOLING_RANK ? hp->pooling_classifier : pooling;
}

/* features of other models of these architectures, which are not computed */
static LlmStatus
refuse_others(const KeyReader *r)
{
	if (r->arch->recurrent != LLM_MIXER_MAMBA1)
		LLM_TRY(refuse_unless(r, "ssm.dt_b_c_rms", 0));
	if (!has_trait(r, LLM_TRAIT_SECTIONS))
		LLM_TRY(refuse_present(r, "rope.dimension_sections"));
	LLM_TRY(refuse_present(r, "deepstack_mapping"));
	LLM_TRY(refuse_present(r, "swiglu_clamp_exp"));
	return refuse_present(r, "swiglu_clamp_shexp");
}

LlmStatus
llm_hparams_read(const LlmMeta *meta, const LlmArch **arch, LlmHparams *hp, LlmError *err)
{
	return llm_hparams_read_with(meta, NULL, arch, hp, err);
}

LlmStatus
llm_hparams_read_with(const LlmMeta *meta, const LlmRopeOptions *options, const LlmArch **arch_out, LlmHparams *hp,
					  LlmError *err)
{
	LlmStr		name;
	LlmStr		type = {"model", 5};
	KeyReader	r = {meta, NULL, err};

	LLM_TRY(llm_meta_string(meta, "general.type", false, &type, err));
	if (str_is(type, "adapter"))
	{
		llm_fail(err, LLM_E_UNSUPPORTED, "file is an adapter, not a model");
		llm_error_hint(err, "Give the path of its model, and that of the adapter as the option lora.");
		return LLM_E_UNSUPPORTED;
	}
	LLM_TRY(llm_meta_string(meta, "general.architecture", true, &name, err));
	r.arch = llm_arch_find(name);
	if (!r.arch)
	{
		LlmStatus	status = llm_fail(err, LLM_E_UNSUPPORTED, "model architecture \"%.*s\" is not supported",
									  (int) (name.len > 60 ? 60 : name.len), name.data);

		llm_error_hint(err, "llm_supported() lists the architectures that are known.");
		return status;
	}
	memset(hp, 0, sizeof(*hp));
	LLM_TRY(read_sizes(&r, hp));
	LLM_TRY(read_recurrent(&r, hp));
	LLM_TRY(read_rope(&r, options, hp));
	LLM_TRY(read_windows(&r, hp));
	LLM_TRY(read_experts(&r, hp));
	LLM_TRY(read_scales(&r, hp));
	LLM_TRY(read_altup(&r, hp));
	LLM_TRY(read_direction(&r, hp));
	LLM_TRY(read_parallel(&r, hp));
	LLM_TRY(read_activation(&r, hp));
	LLM_TRY(read_xielu(&r, hp));
	LLM_TRY(read_pooling(&r, hp));
	LLM_TRY(refuse_others(&r));
	*arch_out = r.arch;
	return LLM_OK;
}
