/*
 * hf_adapter.c: the configuration of a PEFT folder, and the names of its tensors.
 */
#include "weights/hf/hf_adapter.h"

#include <json-c/json.h>
#include <math.h>
#include <string.h>

#define MAX_ALPHA 1e6
#define SHOWN(name_) (int) ((name_).len < 120 ? (name_).len : 120), (name_).data

/* ---- configuration ---- */

/* what initial weights were; some ways (PiSSA, OLoRA, LoftQ ...) change the model's own weights too, and those are refused */
static LlmStatus
check_initial(LlmHfParams *p)
{
	struct json_object *value = llm_hf_get(&p->config, "init_lora_weights");

	if (!value || json_object_is_type(value, json_type_boolean))
		return LLM_OK;
	return llm_hf_must_be(&p->config, "init_lora_weights", "gaussian|orthogonal|eva");
}

/* a pattern is a module's name or the end of one; what only a regular expression could mean is refused */
static LlmStatus
check_patterns(LlmHfParams *p, const char *key)
{
	struct json_object *patterns = llm_hf_get(&p->config, key);

	if (!patterns)
		return LLM_OK;
	if (!json_object_is_type(patterns, json_type_object))
		return llm_hf_refuse(&p->config, key, patterns);
	json_object_object_foreach(patterns, pattern, value)
	{
		if (strpbrk(pattern, "^$*+?()[]{}|\\") ||
			(!json_object_is_type(value, json_type_int) && !json_object_is_type(value, json_type_double)))
			return llm_hf_refuse(&p->config, key, patterns);
	}
	return LLM_OK;
}

static LlmStatus
check_alpha(LlmHfParams *p, double alpha)
{
	if (alpha > 0 && alpha <= MAX_ALPHA)
		return LLM_OK;
	return llm_fail(p->err, LLM_E_UNSUPPORTED, "adapter's alpha in \"%s\" is %g, not above 0 and up to %g", p->config.file, alpha, MAX_ALPHA);
}

static LlmStatus
read_scale(LlmHfParams *p)
{
	struct json_object *ranks;
	bool		found;

	LLM_TRY(llm_hf_required(&p->config, "r", &p->lora.rank));
	LLM_TRY(llm_hf_float(&p->config, "lora_alpha", &found, &p->lora.alpha));
	if (!found)
		return llm_fail(p->err, LLM_E_FORMAT, "key \"lora_alpha\" is missing in %s", p->config.file);
	LLM_TRY(check_alpha(p, p->lora.alpha));
	LLM_TRY(llm_hf_bool(&p->config, "use_rslora", &found, &p->lora.by_root));
	LLM_TRY(check_patterns(p, "alpha_pattern"));
	p->lora.alphas = llm_hf_get(&p->config, "alpha_pattern");
	ranks = llm_hf_get(&p->config, "rank_pattern");
	if (json_object_is_type(ranks, json_type_object) && json_object_object_length(ranks) > 0)
		p->lora.rank = 0;
	return LLM_OK;
}

LlmStatus
llm_hf_adapter_read(LlmHfParams *p, const LlmStop *stop)
{
	static const char *const texts[][2] = {
		{"general.architecture", LLM_HF_ADAPTER_ARCH}, {"general.type", "adapter"}, {"adapter.type", "lora"},
	};

	p->is_adapter = true;
	LLM_TRY(llm_hf_config_open(p->folder, LLM_HF_ADAPTER_CONFIG, stop, &p->config, p->err));
	p->config.architecture = "PEFT";
	LLM_TRY(llm_hf_must_be(&p->config, "peft_type", "LORA"));
	LLM_TRY(llm_hf_must_be(&p->config, "bias", "none"));
	LLM_TRY(llm_hf_must_equal(&p->config, "fan_in_fan_out", 0));
	LLM_TRY(check_initial(p));
	LLM_TRY(read_scale(p));
	/* of training; what was adapted, the tensors themselves show */
	(void) llm_hf_get(&p->config, "base_model_name_or_path|revision|task_type|inference_mode|lora_dropout|peft_version|auto_mapping");
	(void) llm_hf_get(&p->config, "target_modules|exclude_modules|layers_to_transform|layers_pattern|megatron_core|qalora_group_size");
	(void) llm_hf_get(&p->config, "loftq_config|eva_config|runtime_config");
	LLM_TRY(llm_hf_config_check(&p->config));
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		LLM_TRY(llm_meta_write_string(p->meta, texts[i][0], (LlmStr) {texts[i][1], strlen(texts[i][1])}, p->err));
	return llm_meta_write_float(p->meta, "adapter.lora.alpha", p->lora.alpha, p->err);
}

/* ---- tensors ---- */

static bool
ends_with(LlmStr name, const char *ending)
{
	const size_t len = strlen(ending);

	return name.len > len && memcmp(name.data + name.len - len, ending, len) == 0;
}

/* the module's name is the pattern, or ends in a dot and the pattern */
static bool
is_of_pattern(LlmStr module, const char *pattern)
{
	const size_t len = strlen(pattern);

	return (module.len == len && memcmp(module.data, pattern, len) == 0) ||
		(ends_with(module, pattern) && module.data[module.len - len - 1] == '.');
}

/* what B is multiplied by, so that alpha of the file divided by the rank is the scale of all pairs; 0: by nothing */
static LlmStatus
factor_of(const LlmHfParams *p, LlmStr module, int64_t rank, float *factor)
{
	double		alpha = p->lora.alpha;
	double		times;

	if (p->lora.alphas)
	{
		json_object_object_foreach(p->lora.alphas, pattern, value)
		{
			if (!is_of_pattern(module, pattern))
				continue;
			alpha = json_object_get_double(value);
			break;
		}
	}
	LLM_TRY(check_alpha((LlmHfParams *) p, alpha));
	times = alpha / p->lora.alpha * (p->lora.by_root ? sqrt((double) rank) : 1);
	*factor = times == 1 ? 0 : (float) times;
	return LLM_OK;
}

static LlmStatus
wrong_shape(const LlmHfParams *p, const LlmHfWeight *w)
{
	llm_fail(p->err, LLM_E_FORMAT, "adapter's tensor \"%.*s\" has an impossible shape", SHOWN(w->name));
	llm_error_detail(p->err, "It has %d dimensions, %lld x %lld; the key \"r\" of %s is %llu.", w->n_dims, (long long) w->dim[0],
					 (long long) w->dim[1], p->config.file, (unsigned long long) p->lora.rank);
	return LLM_E_FORMAT;
}

LlmStatus
llm_hf_adapter_unknown(const LlmHfParams *p, const LlmHfWeight *w)
{
	llm_fail(p->err, LLM_E_UNSUPPORTED, "adapter's tensor \"%.*s\" belongs to no module that is known", SHOWN(w->name));
	llm_error_hint(p->err, "Only pairs lora_A and lora_B of products and of token embeddings are computed.");
	return LLM_E_UNSUPPORTED;
}

LlmStatus
llm_hf_adapter_side(const LlmHfParams *p, const LlmHfWeight *w, LlmHfSide *side)
{
	static const char prefix[] = "base_model.model.";
	static const struct
	{
		const char *ending;
		const char *to;
		int			rank_dim;
		bool		columns;
	}			sides[] = {
		{".lora_A.weight", ".weight.lora_a", 0, false},
		{".lora_B.weight", ".weight.lora_b", 1, false},
		{".lora_embedding_A", ".weight.lora_a", 0, true},
		{".lora_embedding_B", ".weight.lora_b", 1, false},
	};
	const size_t len = strlen(prefix);
	size_t		i = 0;

	while (i < sizeof(sides) / sizeof(sides[0]) && !ends_with(w->name, sides[i].ending))
		i++;
	if (i == sizeof(sides) / sizeof(sides[0]) || w->name.len <= len + strlen(sides[i].ending) || memcmp(w->name.data, prefix, len) != 0)
		return llm_hf_adapter_unknown(p, w);
	*side = (LlmHfSide) {.columns = sides[i].columns, .ending = {sides[i].to, strlen(sides[i].to)}};
	side->module = (LlmStr) {w->name.data + len, w->name.len - len - strlen(sides[i].ending)};
	if (w->n_dims != 2 || (p->lora.rank > 0 && w->dim[sides[i].rank_dim] != (int64_t) p->lora.rank))
		return wrong_shape(p, w);
	return sides[i].rank_dim == 1 ? factor_of(p, side->module, w->dim[1], &side->factor) : LLM_OK;
}

/* ---- models ---- */

bool
llm_hf_adapter_fits(const char *arch, bool *turn_heads)
{
	const LlmHfFamily *family;
	bool		fits = false;

	*turn_heads = false;
	if (strcmp(arch, "falcon-h1") == 0)
		return false;			/* what an adapter adds would need the multipliers that are part of the matrices here */
	for (size_t i = 0; (family = llm_hf_family_at(i)) != NULL; i++)
	{
		if (strcmp(family->arch, arch) != 0)
			continue;
		fits = true;
		for (int k = 0; k < LLM_HF_MAX_RULES && family->rules[k]; k++)
			*turn_heads = *turn_heads || family->rules[k] == llm_hf_rules_rope_pairs;
	}
	return fits;
}
