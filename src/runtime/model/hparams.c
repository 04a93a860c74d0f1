/*
 * hparams.c: reading a model's shape from its metadata. A key that changes results is computed or refused by name. Layers, positions and
 * feed-forwards have files of their own (hparams_keys.h); scales, direction and pooling are here.
 */
#include <math.h>
#include <string.h>

#include "base/str.h"
#include "model/hparams_keys.h"

/* ---- scales ---- */

/* Llama 4 says nothing of it in its files, and has it with its chunks; Ministral 3 counts its original context */
static LlmStatus
read_query_scale(const LlmKeyReader *r, LlmHparams *hp)
{
	LlmKeyName	key;

	hp->qk_norm_unit = r->arch->qk_norm == LLM_QK_NORM_UNIT && hp->router.n_expert != 128;	/* Maverick has none */
	LLM_TRY(llm_meta_bool(r->meta, llm_key_name(r, "attention.qk_norm", key), false, &hp->qk_norm_unit, r->err));
	if (hp->qk_norm_unit && r->arch->qk_norm != LLM_QK_NORM_UNIT)
		return llm_fail(r->err, LLM_E_UNSUPPORTED, "model feature \"%s\" is not supported for architecture \"%s\"", key, r->arch->name);
	if (!llm_key_has_trait(r, LLM_TRAIT_QUERY_SCALE))
		return llm_key_refuse_unless(r, "attention.temperature_scale", 0);
	hp->query_scale_length = hp->n_ctx_orig;
	if (r->arch->chunked)
	{
		hp->query_scale = hp->window > 0 ? 0.1 : 0;
		hp->query_scale_length = 8192;
		hp->query_scale_from = 1;
		hp->query_scale_plain = true;
		LLM_TRY(llm_key_uint(r, "attention.temperature_length", false, 1, LLM_MAX_CONTEXT, &hp->query_scale_length));
	}
	return llm_key_double(r, "attention.temperature_scale", false, 0, 1e3, &hp->query_scale);
}

static LlmStatus
read_alibi(const LlmKeyReader *r, LlmHparams *hp)
{
	double		bias = r->arch->alibi_bias;

	if (!llm_key_has_trait(r, LLM_TRAIT_ALIBI))
		return llm_key_refuse_unless(r, "attention.max_alibi_bias", 0);
	LLM_TRY(llm_key_double(r, "attention.max_alibi_bias", false, 0, 1e3, &bias));
	hp->alibi_bias = (float) bias;
	return LLM_OK;
}

static LlmStatus
read_scales(const LlmKeyReader *r, LlmHparams *hp)
{
	const bool	wide = r->arch->wide_scale_layers != 0 && hp->n_layer == r->arch->wide_scale_layers;

	hp->embed_scale = llm_key_has_trait(r, LLM_TRAIT_EMBED_SQRT) ? sqrtf((float) hp->n_embd) : 1;
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
	LLM_TRY(llm_key_factor(r, "attention.scale", &hp->attn_scale));
	LLM_TRY(llm_key_factor(r, "attn_logit_softcapping", &hp->attn_cap));
	LLM_TRY(llm_key_factor(r, "final_logit_softcapping", &hp->logit_cap));
	if (llm_key_has_trait(r, LLM_TRAIT_CLAMP_QKV))
		LLM_TRY(llm_key_factor(r, "attention.clamp_kqv", &hp->clamp_qkv));
	else
		LLM_TRY(llm_key_refuse_unless(r, "attention.clamp_kqv", 0));
	LLM_TRY(read_query_scale(r, hp));
	LLM_TRY(read_alibi(r, hp));
	if (llm_key_has_trait(r, LLM_TRAIT_MULTIPLIERS) || llm_key_has_trait(r, LLM_TRAIT_LOGIT_FACTOR))
	{
		LLM_TRY(llm_key_factor(r, "logit_scale", &hp->logit_scale));
		if (llm_key_has_trait(r, LLM_TRAIT_MULTIPLIERS))
			hp->logit_scale = 1.0f / hp->logit_scale;
	}
	else
		LLM_TRY(llm_key_refuse_unless(r, "logit_scale", 0));
	if (llm_key_has_trait(r, LLM_TRAIT_MULTIPLIERS))
	{
		LlmKeyName	key;

		if (r->arch->multipliers_required && !llm_meta_find(r->meta, llm_key_name(r, "embedding_scale", key)))
			return llm_fail(r->err, LLM_E_UNSUPPORTED, "model without \"%s\" in its metadata is not supported for architecture \"%s\"", key,
							r->arch->name);
		LLM_TRY(llm_key_factor(r, "embedding_scale", &hp->embed_scale));
		return llm_key_factor(r, "residual_scale", &hp->residual_scale);
	}
	LLM_TRY(llm_key_refuse_unless(r, "embedding_scale", 0));
	return llm_key_refuse_unless(r, "residual_scale", 0);
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
read_altup(const LlmKeyReader *r, LlmHparams *hp)
{
	LlmAltUpParams *p = &hp->altup;
	LlmKeyName	key;

	if (!r->arch->altup)
		return llm_key_refuse_unless(r, "attention.shared_kv_layers", 0);
	LLM_TRY(llm_key_uint(r, "altup.num_inputs", true, 2, 16, &p->n_streams));
	LLM_TRY(llm_key_uint(r, "altup.active_idx", true, 0, p->n_streams - 1, &p->active));
	LLM_TRY(llm_key_uint(r, "embedding_length_per_layer_input", true, 1, LLM_MAX_WIDTH / hp->n_layer, &p->n_input));
	LLM_TRY(llm_key_uint(r, "attention.shared_kv_layers", true, 0, hp->n_layer - 1, &p->n_shared));
	LLM_TRY(llm_meta_array(r->meta, llm_key_name(r, "activation_sparsity_scale", key), true, LLM_META_FLOAT32, &p->sparsity, r->err));
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
read_direction(const LlmKeyReader *r, LlmHparams *hp)
{
	const bool	encoder = llm_key_has_trait(r, LLM_TRAIT_ENCODER);
	const bool	can = hp->n_layer_recurrent == 0 && hp->latent.kv_rank == 0 && hp->altup.n_streams == 0 &&
		(hp->window == 0 || llm_key_has_trait(r, LLM_TRAIT_WINDOW_SYMMETRIC));
	LlmKeyName	key;

	hp->causal = !encoder;
	LLM_TRY(llm_meta_bool(r->meta, llm_key_name(r, "attention.causal", key), false, &hp->causal, r->err));
	if (encoder ? hp->causal : !hp->causal && !can)
		return llm_fail(r->err, LLM_E_UNSUPPORTED, "model feature \"%s\" = %s is not supported for architecture \"%s\"",
						key, hp->causal ? "true" : "false", r->arch->name);
	hp->n_layer_kept = hp->causal ? hp->n_layer_attn - hp->altup.n_shared : 1;
	return LLM_OK;
}

/* blocks in parallel with a norm each, or in turn */
static LlmStatus
read_parallel(const LlmKeyReader *r, LlmHparams *hp)
{
	LlmKeyName	key;

	if (!llm_key_has_trait(r, LLM_TRAIT_NORM_AHEAD))
		return LLM_OK;
	hp->norm_ahead = true;
	return llm_meta_bool(r->meta, llm_key_name(r, "use_parallel_residual", key), false, &hp->norm_ahead, r->err);
}

static LlmStatus
read_pooling_type(const LlmKeyReader *r, const char *suffix, LlmPooling last, LlmPooling *out)
{
	LlmKeyName	key;
	uint32_t	value = 0;

	if (!llm_meta_find(r->meta, llm_key_name(r, suffix, key)))
		return LLM_OK;
	LLM_TRY(llm_key_uint(r, suffix, false, 0, last, &value));
	*out = (LlmPooling) value;
	return LLM_OK;
}

static LlmStatus
read_pooling(const LlmKeyReader *r, LlmHparams *hp)
{
	hp->pooling = LLM_POOLING_UNSPECIFIED;
	hp->pooling_classifier = LLM_POOLING_UNSPECIFIED;
	LLM_TRY(read_pooling_type(r, "pooling_type", LLM_POOLING_RANK, &hp->pooling));
	LLM_TRY(read_pooling_type(r, "classifier.pooling_type", LLM_POOLING_LAST, &hp->pooling_classifier));

	/* with a prediction head between, and no word about it, the mean: as ModernBERT's converter leaves it */
	if (hp->pooling_classifier <= LLM_POOLING_NONE)
		hp->pooling_classifier = hp->causal ? LLM_POOLING_LAST :
			llm_key_has_trait(r, LLM_TRAIT_FULL_FIRST) ? LLM_POOLING_MEAN : LLM_POOLING_CLS;
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
refuse_others(const LlmKeyReader *r)
{
	if (r->arch->recurrent != LLM_MIXER_MAMBA1)
		LLM_TRY(llm_key_refuse_unless(r, "ssm.dt_b_c_rms", 0));
	if (!llm_key_has_trait(r, LLM_TRAIT_SECTIONS))
		LLM_TRY(llm_key_refuse_present(r, "rope.dimension_sections"));
	LLM_TRY(llm_key_refuse_present(r, "deepstack_mapping"));
	LLM_TRY(llm_key_refuse_present(r, "swiglu_clamp_exp"));
	return llm_key_refuse_present(r, "swiglu_clamp_shexp");
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
	LlmKeyReader	r = {meta, NULL, err};

	LLM_TRY(llm_meta_string(meta, "general.type", false, &type, err));
	if (llm_str_equals(type, "adapter"))
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
	LLM_TRY(llm_hparams_read_sizes(&r, hp));
	LLM_TRY(llm_hparams_read_recurrent(&r, hp));
	LLM_TRY(llm_hparams_read_rope(&r, options, hp));
	LLM_TRY(llm_hparams_read_windows(&r, hp));
	LLM_TRY(llm_hparams_read_experts(&r, hp));
	LLM_TRY(read_scales(&r, hp));
	LLM_TRY(read_altup(&r, hp));
	LLM_TRY(read_direction(&r, hp));
	LLM_TRY(read_parallel(&r, hp));
	LLM_TRY(llm_hparams_read_activation(&r, hp));
	LLM_TRY(llm_hparams_read_xielu(&r, hp));
	LLM_TRY(read_pooling(&r, hp));
	LLM_TRY(refuse_others(&r));
	*arch_out = r.arch;
	return LLM_OK;
}
