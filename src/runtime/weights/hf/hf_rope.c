/*
 * hf_rope.c: positions: rope_parameters of new files, rope_theta and rope_scaling of older ones.
 *
 * Source: transformers 5, modeling_rope_utils.py. What that multiplies cosine and sine by is written as the quotient to what
 * GGUF implies (0.1 ln(factor) + 1 for YaRN); Llama 3's factors and longrope's become tensors, as in GGUF.
 */
#include "weights/hf/hf_params.h"

#include <json-c/json.h>
#include <math.h>
#include <string.h>

#define MAX_ROT 4096

typedef struct Rope
{
	LlmHfParams *p;
	struct json_object *dict;	/* of the layers that see all; NULL: none */
	const char *type;
	double		theta;
	double		factor;
	double		orig_ctx;		/* 0: not said */
	uint64_t	n_rot;
} Rope;

/*
 * Keys of the dictionary that are known for any type; those of one type are read by it, and are harmless in another. Sections are
 * for places in images: text has the same position in all.
 */
static const char *const known_keys[] = {
	"rope_type", "type", "rope_theta", "factor", "original_max_position_embeddings", "partial_rotary_factor", "attention_factor",
	"beta_fast", "beta_slow", "mscale", "mscale_all_dim", "low_freq_factor", "high_freq_factor", "long_factor", "short_factor",
	"truncate", "mrope_section", "mrope_interleaved", "llama_4_scaling_beta", "max_position_embeddings", "full_attention", "sliding_attention",
	"finetuned", "alpha", "short_mscale", "long_mscale",
};

static LlmStatus
number(const Rope *r, const char *key, double *value)
{
	struct json_object *json;

	if (!r->dict || !json_object_object_get_ex(r->dict, key, &json) || !json)
		return LLM_OK;
	return llm_hf_float_of(&r->p->config, json, key, value);
}

static LlmStatus
check_keys(const Rope *r)
{
	if (!r->dict)
		return LLM_OK;
	json_object_object_foreach(r->dict, key, value)
	{
		bool		known = value == NULL;

		for (size_t i = 0; i < sizeof(known_keys) / sizeof(known_keys[0]); i++)
			known = known || strcmp(key, known_keys[i]) == 0;
		if (!known)
			return llm_hf_refuse(&r->p->config, key, value);
	}
	return LLM_OK;
}

/* ---- kinds of scaling ---- */

static LlmStatus
add_given(LlmHfParams *p, const char *name, uint64_t n, float **values)
{
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(&p->folder->arena, n, sizeof(float), &ptr, p->err));
	*values = ptr;
	p->given[p->n_given++] = (LlmHfGiven) {name, ptr, (uint32_t) n};
	return LLM_OK;
}

/* slow pairs are divided by factor, fast ones not, and between there is a ramp over their frequency */
static LlmStatus
write_llama3(const Rope *r)
{
	double		low = 1;
	double		high = 4;
	double		orig_ctx = r->orig_ctx > 0 ? r->orig_ctx : 8192;
	float	   *values;

	LLM_TRY(number(r, "low_freq_factor", &low));
	LLM_TRY(number(r, "high_freq_factor", &high));
	if (!(low > 0 && high > low && r->factor > 0))
		return llm_fail(r->p->err, LLM_E_FORMAT, "rope factors of config.json are not possible: low %g, high %g, factor %g", low, high,
						r->factor);
	LLM_TRY(add_given(r->p, "rope_freqs.weight", r->n_rot / 2, &values));
	for (uint64_t i = 0; i < r->n_rot / 2; i++)
	{
		double		wave = 2 * M_PI * pow(r->theta, 2.0 * (double) i / (double) r->n_rot);
		double		smooth = (orig_ctx / wave - low) / (high - low);

		if (wave < orig_ctx / high)
			values[i] = 1;
		else if (wave > orig_ctx / low)
			values[i] = (float) r->factor;
		else
			values[i] = (float) (1 / ((1 - smooth) / r->factor + smooth));
	}
	return LLM_OK;
}

static LlmStatus
write_factors(const Rope *r, const char *key, const char *name)
{
	struct json_object *list = NULL;
	float	   *values;

	(void) json_object_object_get_ex(r->dict, key, &list);
	if (!json_object_is_type(list, json_type_array) || json_object_array_length(list) != r->n_rot / 2)
		return llm_fail(r->p->err, LLM_E_FORMAT, "key \"%s\" of config.json is not an array of %llu numbers", key,
						(unsigned long long) r->n_rot / 2);
	LLM_TRY(add_given(r->p, name, r->n_rot / 2, &values));
	for (uint64_t i = 0; i < r->n_rot / 2; i++)
	{
		double		value;

		LLM_TRY(llm_hf_float_of(&r->p->config, json_object_array_get_idx(list, i), key, &value));
		values[i] = (float) value;
	}
	return LLM_OK;
}

static LlmStatus
write_longrope(const Rope *r)
{
	double		orig_ctx = r->orig_ctx > 0 ? r->orig_ctx : (double) r->p->n_ctx;
	double		ratio = (double) r->p->n_ctx / orig_ctx;
	double		short_scale = 0;
	double		long_scale = 0;
	double		magnitude = 0;

	LLM_TRY(number(r, "attention_factor", &magnitude));
	LLM_TRY(number(r, "short_mscale", &short_scale));
	LLM_TRY(number(r, "long_mscale", &long_scale));
	if (short_scale != long_scale)
		return llm_fail(r->p->err, LLM_E_UNSUPPORTED, "rope with short_mscale %g and long_mscale %g is not supported", short_scale, long_scale);
	if (short_scale > 0)
		magnitude = short_scale;
	if (magnitude <= 0)
		magnitude = ratio > 1 ? sqrt(1 + log(ratio) / log(orig_ctx)) : 1;
	LLM_TRY(llm_hf_put_string(r->p, "rope.scaling.type", "longrope"));
	LLM_TRY(llm_hf_put_float(r->p, "rope.scaling.attn_factor", magnitude));
	LLM_TRY(llm_hf_put_uint(r->p, "rope.scaling.original_context_length", (uint64_t) orig_ctx));
	LLM_TRY(write_factors(r, "long_factor", "rope_factors_long.weight"));
	return write_factors(r, "short_factor", "rope_factors_short.weight");
}

static double
yarn_magnitude(double factor, double mscale)
{
	return factor > 1 ? 0.1 * mscale * log(factor) + 1 : 1;
}

/* latent attention has its magnitude on the scores: where mscale and mscale_all_dim are equal it is not on cosine and sine */
static LlmStatus
write_yarn_magnitude(const Rope *r)
{
	const bool	latent = strcmp(r->p->arch, "deepseek2") == 0;
	double		magnitude = 0;
	double		mscale = 0;
	double		mscale_all = 0;

	LLM_TRY(number(r, "attention_factor", &magnitude));
	LLM_TRY(number(r, "mscale", &mscale));
	LLM_TRY(number(r, "mscale_all_dim", &mscale_all));
	if (latent && mscale_all != 0)
	{
		if (mscale != mscale_all || magnitude != 0)
			return llm_fail(r->p->err, LLM_E_UNSUPPORTED, "rope with mscale %g, mscale_all_dim %g and attention_factor %g is not supported",
							mscale, mscale_all, magnitude);
		return llm_hf_put_float(r->p, "rope.scaling.yarn_log_multiplier", 0.1 * mscale_all);
	}
	if (magnitude <= 0)
		magnitude = mscale != 0 && mscale_all != 0 ?
			yarn_magnitude(r->factor, mscale) / yarn_magnitude(r->factor, mscale_all) : yarn_magnitude(r->factor, 1);
	if (magnitude == yarn_magnitude(r->factor, 1))
		return LLM_OK;
	return llm_hf_put_float(r->p, "rope.scaling.attn_factor", magnitude / yarn_magnitude(r->factor, 1));
}

static LlmStatus
write_yarn(const Rope *r)
{
	double		fast = 32;
	double		slow = 1;
	struct json_object *truncate;

	LLM_TRY(number(r, "beta_fast", &fast));
	LLM_TRY(number(r, "beta_slow", &slow));
	LLM_TRY(llm_hf_put_string(r->p, "rope.scaling.type", "yarn"));
	LLM_TRY(llm_hf_put_float(r->p, "rope.scaling.factor", r->factor));
	LLM_TRY(llm_hf_put_uint(r->p, "rope.scaling.original_context_length",
							(uint64_t) (r->orig_ctx > 0 ? r->orig_ctx : (double) r->p->n_ctx)));
	LLM_TRY(llm_hf_put_float(r->p, "rope.scaling.yarn_beta_fast", fast != 0 ? fast : 32));
	LLM_TRY(llm_hf_put_float(r->p, "rope.scaling.yarn_beta_slow", slow != 0 ? slow : 1));
	if (json_object_object_get_ex(r->dict, "truncate", &truncate) && truncate && !json_object_get_boolean(truncate))
		LLM_TRY(llm_hf_put_bool(r->p, "rope.scaling.yarn_truncate", false));
	return write_yarn_magnitude(r);
}

static LlmStatus
write_scaling(const Rope *r)
{
	/* dynamic: the base grows with texts beyond the trained context, where we do not go */
	if (strcmp(r->type, "default") == 0 || strcmp(r->type, "none") == 0 || strcmp(r->type, "mrope") == 0 || strcmp(r->type, "dynamic") == 0)
		return llm_hf_put_string(r->p, "rope.scaling.type", "none");
	if (strcmp(r->type, "linear") == 0)
	{
		LLM_TRY(llm_hf_put_string(r->p, "rope.scaling.type", "linear"));
		return llm_hf_put_float(r->p, "rope.scaling.factor", r->factor);
	}
	if (strcmp(r->type, "llama3") == 0)
		return write_llama3(r);
	if (strcmp(r->type, "longrope") == 0 || strcmp(r->type, "su") == 0)
		return write_longrope(r);
	if (strcmp(r->type, "yarn") == 0)
		return write_yarn(r);
	return llm_fail(r->p->err, LLM_E_UNSUPPORTED, "rope type \"%.40s\" of config.json is not supported", r->type);
}

/* ---- reading ---- */

static const char *
rope_type(struct json_object *dict)
{
	struct json_object *type = NULL;

	if (!dict || (!json_object_object_get_ex(dict, "rope_type", &type) && !json_object_object_get_ex(dict, "type", &type)) ||
		!json_object_is_type(type, json_type_string))
		return "default";
	return json_object_get_string(type);
}

/* layers with a window may turn by a base of their own; they are never scaled here, so that must be what the file says */
static LlmStatus
write_local(LlmHfParams *p, struct json_object *local, double global_theta)
{
	Rope		r = {.p = p, .dict = local};
	double		theta = 0;
	bool		found;

	LLM_TRY(check_keys(&r));
	if (local && strcmp(rope_type(local), "default") != 0)
		return llm_fail(p->err, LLM_E_UNSUPPORTED, "rope type \"%.40s\" in layers with a window is not supported", rope_type(local));
	LLM_TRY(llm_hf_float(&p->config, "rope_local_base_freq|local_rope_theta", &found, &theta));
	LLM_TRY(number(&r, "rope_theta", &theta));
	if (theta == 0)
		return LLM_OK;
	return theta != global_theta || local ? llm_hf_put_float(p, "rope.freq_base_swa", theta) : LLM_OK;
}

/* the dictionaries of layers that see all, and of those with a window */
static LlmStatus
find_dicts(LlmHfParams *p, struct json_object **global, struct json_object **local)
{
	struct json_object *dict = llm_hf_get(&p->config, "rope_parameters|rope_scaling");

	*global = dict;
	*local = NULL;
	if (!dict)
		return LLM_OK;
	if (!json_object_is_type(dict, json_type_object))
		return llm_hf_refuse(&p->config, "rope_parameters", dict);
	(void) json_object_object_get_ex(dict, "sliding_attention", local);
	if (!json_object_object_get_ex(dict, "full_attention", global) && !*local)
		*global = dict;
	if (!json_object_is_type(*global, json_type_object) || (*local && !json_object_is_type(*local, json_type_object)))
		return llm_hf_refuse(&p->config, "rope_parameters", dict);
	return LLM_OK;
}

/* how many dimensions of a head turn; most classes turn all of them, whatever the file says */
static LlmStatus
read_rotated(Rope *r)
{
	double		share = 1;
	bool		found;

	LLM_TRY(llm_hf_float(&r->p->config, "partial_rotary_factor|rope_pct|rope_percent|rotary_pct|rotary_emb_fraction", &found, &share));
	LLM_TRY(number(r, "partial_rotary_factor", &share));
	if (!(share >= 0 && share <= 1) || r->p->head_dim > MAX_ROT)
		return llm_fail(r->p->err, LLM_E_FORMAT, "partial_rotary_factor %g of a head of %llu dimensions is not possible", share,
						(unsigned long long) r->p->head_dim);
	if (share != 1 && !llm_hf_has_default(&r->p->config, "partial_rotary_factor"))
		return llm_fail(r->p->err, LLM_E_UNSUPPORTED, "partial_rotary_factor %g of config.json is not supported for \"%.40s\"", share,
						r->p->config.architecture);
	r->n_rot = (uint64_t) (share * (double) r->p->head_dim);
	if (r->p->n_rot > 0 && share != 1 && r->n_rot != r->p->n_rot)
		return llm_fail(r->p->err, LLM_E_FORMAT, "partial_rotary_factor %g of config.json contradicts %llu dimensions that are rotated", share,
						(unsigned long long) r->p->n_rot);
	if (r->p->n_rot > 0)
		r->n_rot = r->p->n_rot;
	return llm_hf_put_uint(r->p, "rope.dimension_count", r->n_rot);
}

/* Hunyuan calls dynamic what is none: a base that is larger from the start, whatever the length of a text */
static LlmStatus
stretch_base(Rope *r)
{
	const double dim = (double) r->p->head_dim;
	double		alpha = 0;

	if (strcmp(r->type, "dynamic") != 0 || strncmp(r->p->arch, "hunyuan", strlen("hunyuan")) != 0)
		return LLM_OK;
	LLM_TRY(number(r, "alpha", &alpha));
	if (!(alpha >= 0) || (alpha > 0 && dim <= 2))
		return llm_fail(r->p->err, LLM_E_FORMAT, "rope of config.json is not possible: alpha %g, heads of %g dimensions", alpha, dim);
	if (alpha > 0)
		r->theta *= pow(alpha, dim / (dim - 2));
	return LLM_OK;
}

LlmStatus
llm_hf_rope(LlmHfParams *p)
{
	Rope		r = {.p = p, .theta = 10000, .factor = 1};
	struct json_object *local;
	bool		found;

	LLM_TRY(find_dicts(p, &r.dict, &local));
	LLM_TRY(check_keys(&r));
	r.type = rope_type(r.dict);
	LLM_TRY(llm_hf_float(&p->config, "rope_theta|global_rope_theta|rotary_emb_base", &found, &r.theta));
	LLM_TRY(number(&r, "rope_theta", &r.theta));
	LLM_TRY(stretch_base(&r));
	LLM_TRY(number(&r, "factor", &r.factor));
	LLM_TRY(llm_hf_float(&p->config, "original_max_position_embeddings", &found, &r.orig_ctx));
	LLM_TRY(number(&r, "original_max_position_embeddings", &r.orig_ctx));
	if (!(r.theta > 0 && r.factor >= 0 && r.orig_ctx >= 0 && r.orig_ctx < 1e9))
		return llm_fail(p->err, LLM_E_FORMAT, "rope of config.json is not possible: base %g, factor %g, original context %g", r.theta,
						r.factor, r.orig_ctx);
	LLM_TRY(llm_hf_put_float(p, "rope.freq_base", r.theta));
	LLM_TRY(read_rotated(&r));
	LLM_TRY(write_scaling(&r));
	return write_local(p, local, r.theta);
}
