/*
 * hparams_rope.c: positions: how a layer's heads are rotated, and the window that it sees.
 */
#include "base/str.h"
#include "model/hparams_keys.h"

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
read_yarn(const LlmKeyReader *r, double factor, LlmHparams *hp, LlmRopeParams *rope)
{
	double		log_multiplier = 0;
	bool		truncate = true;
	LlmKeyName	key;

	rope->beta_fast = 32;
	rope->beta_slow = 1;
	LLM_TRY(llm_key_double(r, "rope.scaling.yarn_beta_fast", false, 1e-6, 1e6, &rope->beta_fast));
	LLM_TRY(llm_key_double(r, "rope.scaling.yarn_beta_slow", false, 1e-6, 1e6, &rope->beta_slow));
	LLM_TRY(llm_key_double(r, "rope.scaling.yarn_log_multiplier", false, 0, 1e3, &log_multiplier));
	LLM_TRY(llm_meta_bool(r->meta, llm_key_name(r, "rope.scaling.yarn_truncate", key), false, &truncate, r->err));
	rope->yarn_exact = !truncate;
	LLM_TRY(llm_key_refuse_unless(r, "rope.scaling.yarn_ext_factor", 1));
	if (hp->latent.kv_rank > 0 && log_multiplier != 0)
		hp->latent.score_scale = latent_score_scale(factor, log_multiplier);
	else
	{
		rope->magnitude = yarn_magnitude(factor, log_multiplier);
		LLM_TRY(llm_key_double(r, "rope.scaling.yarn_attn_factor", false, 1e-6, 1e6, &rope->magnitude));
	}
	return LLM_OK;
}

/* the kind of scaling that metadata names */
static LlmStatus
read_scaling(const LlmKeyReader *r, LlmRopeScaling *scaling)
{
	static const struct
	{
		const char *name;
		LlmRopeScaling scaling;
	}			known[] = {
		{"none", LLM_ROPE_SCALING_NONE}, {"linear", LLM_ROPE_SCALING_LINEAR}, {"yarn", LLM_ROPE_SCALING_YARN},
		{"longrope", LLM_ROPE_SCALING_FACTORS}, {"llama3", LLM_ROPE_SCALING_FACTORS},
	};
	LlmKeyName	key;
	LlmStr		type = {"linear", 6};

	LLM_TRY(llm_meta_string(r->meta, llm_key_name(r, "rope.scaling.type", key), false, &type, r->err));
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
	{
		*scaling = known[i].scaling;
		if (llm_str_equals(type, known[i].name))
			return LLM_OK;
	}
	return llm_fail(r->err, LLM_E_UNSUPPORTED, "rope scaling type \"%.*s\" is not supported for architecture \"%s\"",
					(int) (type.len > 40 ? 40 : type.len), type.data, r->arch->name);
}

/* scaling: none, linear, yarn, or factors given as a tensor (llama3, longrope); what the options leave out metadata says */
static LlmStatus
read_global_rope(const LlmKeyReader *r, const LlmRopeOptions *o, LlmHparams *hp, LlmRopeParams *rope)
{
	LlmRopeScaling scaling = LLM_ROPE_SCALING_LINEAR;
	double		factor = 1;
	double		attn_factor = 1;

	*rope = (LlmRopeParams) {.base = 10000, .scale = 1, .magnitude = 1};
	hp->latent.score_scale = 1;
	LLM_TRY(llm_key_double(r, "rope.freq_base", false, 1.0, 1e15, &rope->base));
	LLM_TRY(read_scaling(r, &scaling));
	LLM_TRY(llm_key_uint(r, "rope.scaling.original_context_length", false, 1, LLM_MAX_CONTEXT, &hp->n_ctx_orig));
	LLM_TRY(llm_key_double(r, "rope.scale_linear", false, 0, 1e6, &factor));
	LLM_TRY(llm_key_double(r, "rope.scaling.factor", false, 0, 1e6, &factor));
	LLM_TRY(llm_key_double(r, "rope.scaling.attn_factor", false, 1e-6, 1e6, &attn_factor));
	LLM_TRY(llm_key_refuse_unless(r, "rope.scaling.alpha", 0));
	if (scaling == LLM_ROPE_SCALING_FACTORS)
		LLM_TRY(llm_key_refuse_unless(r, "rope.scaling.factor", 1));
	if (hp->latent.kv_rank > 0)
		LLM_TRY(llm_key_refuse_unless(r, "rope.scaling.attn_factor", 1));
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

LlmStatus
llm_hparams_read_rope(const LlmKeyReader *r, const LlmRopeOptions *options, LlmHparams *hp)
{
	static const LlmRopeOptions none = {0};
	const bool	only_local = r->arch->window_every == LLM_WINDOW_ALWAYS || llm_key_has_trait(r, LLM_TRAIT_ROPE_LOCAL_ONLY);
	LlmRopeParams *local = &hp->rope[LLM_ROPE_LOCAL];
	LlmKeyName	key;
	bool		switched = true;

	hp->n_ctx_orig = hp->n_ctx_train;
	LLM_TRY(read_global_rope(r, options && only_local ? options : &none, hp, local));
	if (llm_key_has_trait(r, LLM_TRAIT_LOCAL_PLAIN))
		*local = (LlmRopeParams) {.base = local->base, .scale = 1, .magnitude = 1};
	if (r->arch->local_rope_base != 0)
		local->base = r->arch->local_rope_base;
	if (!only_local || !options || options->freq_base == 0)
		LLM_TRY(llm_key_double(r, "rope.freq_base_swa", false, 1.0, 1e15, &local->base));
	LLM_TRY(read_global_rope(r, options ? options : &none, hp, &hp->rope[LLM_ROPE_GLOBAL]));
	if (llm_key_has_trait(r, LLM_TRAIT_ROPE_SWITCH))
		LLM_TRY(llm_meta_bool(r->meta, llm_key_name(r, "rope.scaling.finetuned", key), false, &switched, r->err));
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
LlmStatus
llm_hparams_read_windows(const LlmKeyReader *r, LlmHparams *hp)
{
	static const char pattern[] = "attention.sliding_window_pattern";
	LlmKeyName	key;
	const LlmMetaEntry *entry;

	if (r->arch->window_every == LLM_WINDOW_NEVER)
		return llm_key_refuse_unless(r, "attention.sliding_window", 0);
	hp->window = r->arch->window;
	hp->window_every = r->arch->window_every;
	hp->window_first_full = llm_key_has_trait(r, LLM_TRAIT_FULL_FIRST);
	LLM_TRY(llm_key_uint(r, "attention.sliding_window", false, 0, LLM_MAX_CONTEXT, &hp->window));
	entry = llm_meta_find(r->meta, llm_key_name(r, pattern, key));
	if (!entry || entry->type != LLM_META_ARRAY)
		return llm_key_uint(r, pattern, false, 0, LLM_MAX_LAYERS, &hp->window_every);
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
