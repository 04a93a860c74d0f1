/*
 * arch.c: the table of architectures and the reading of a model's shape from its metadata.
 */
#include <stdio.h>
#include <string.h>

#include "model/arch.h"

static const LlmArch arch_table[] = {
	{"llama", LLM_ROPE_NORM, "Llama 1 to 3, Mistral, SmolLM2 and others of that form: grouped heads, SwiGLU, RMSNorm"},
};

int
llm_arch_count(void)
{
	return (int) (sizeof(arch_table) / sizeof(arch_table[0]));
}

const LlmArch *
llm_arch_get(int i)
{
	return &arch_table[i];
}

const LlmArch *
llm_arch_find(LlmStr name)
{
	for (int i = 0; i < llm_arch_count(); i++)
	{
		if (strlen(arch_table[i].name) == name.len && memcmp(arch_table[i].name, name.data, name.len) == 0)
			return &arch_table[i];
	}
	return NULL;
}

/* upper bounds that keep every later product of two of them within 64 bits; far above any known model */
#define MAX_VOCAB	(1u << 24)
#define MAX_CONTEXT (1u << 26)
#define MAX_WIDTH	(1u << 20)
#define MAX_LAYERS	4096
#define MAX_HEADS	4096
#define MAX_HEAD	4096

typedef struct KeyReader
{
	const LlmMeta *meta;
	const char *arch;
	LlmError   *err;
} KeyReader;

static LlmStatus
read_uint(const KeyReader *r, const char *suffix, bool required, uint32_t min, uint32_t max, uint32_t *value)
{
	char		key[128];
	uint64_t	v = *value;

	snprintf(key, sizeof(key), "%s.%s", r->arch, suffix);
	LLM_TRY(llm_meta_uint(r->meta, key, required, max, &v, r->err));
	if (v < min && llm_meta_find(r->meta, key))
		return llm_fail(r->err, LLM_E_FORMAT, "model metadata \"%s\" is %llu, below the least value %u", key,
						(unsigned long long) v, min);
	*value = (uint32_t) v;
	return LLM_OK;
}

static LlmStatus
read_float(const KeyReader *r, const char *suffix, bool required, double min, double max, double *value)
{
	char		key[128];
	double		v = *value;

	snprintf(key, sizeof(key), "%s.%s", r->arch, suffix);
	LLM_TRY(llm_meta_float(r->meta, key, required, &v, r->err));
	if (!(v >= min && v <= max))
		return llm_fail(r->err, LLM_E_FORMAT, "model metadata \"%s\" is %g, outside %g to %g", key, v, min, max);
	*value = v;
	return LLM_OK;
}

/* features that change results and are not computed: present and not neutral is refused by name */
static const struct
{
	const char *suffix;
	double		neutral;
}			not_computed[] = {
	{"expert_count", 0},
	{"attention.sliding_window", 0},
	{"attention.scale", 0},
	{"attention.clamp_kqv", 0},
	{"attn_logit_softcapping", 0},
	{"final_logit_softcapping", 0},
	{"rope.scaling.attn_factor", 1},
	{"logit_scale", 0},
	{"residual_scale", 0},
	{"embedding_scale", 0},
};

static LlmStatus
refuse_not_computed(const KeyReader *r)
{
	char		key[128];
	bool		causal = true;

	for (size_t i = 0; i < sizeof(not_computed) / sizeof(not_computed[0]); i++)
	{
		double		v = not_computed[i].neutral;

		snprintf(key, sizeof(key), "%s.%s", r->arch, not_computed[i].suffix);
		LLM_TRY(llm_meta_float(r->meta, key, false, &v, r->err));
		if (v != not_computed[i].neutral)
			return llm_fail(r->err, LLM_E_UNSUPPORTED, "model feature \"%s\" = %g is not supported for architecture \"%s\"",
							key, v, r->arch);
	}
	snprintf(key, sizeof(key), "%s.attention.causal", r->arch);
	LLM_TRY(llm_meta_bool(r->meta, key, false, &causal, r->err));
	if (!causal)
		return llm_fail(r->err, LLM_E_UNSUPPORTED, "model feature \"%s\" = false is not supported for architecture \"%s\"",
						key, r->arch);
	return LLM_OK;
}

static bool
str_is(LlmStr s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

/* rope scaling: none, linear, or factors given as a tensor (llama3) */
static LlmStatus
read_rope(const KeyReader *r, LlmHparams *hp)
{
	char		key[128];
	LlmStr		type = {"none", 4};
	double		factor = 1.0;

	hp->rope_freq_base = 10000.0;
	LLM_TRY(read_float(r, "rope.freq_base", false, 1.0, 1e15, &hp->rope_freq_base));
	snprintf(key, sizeof(key), "%s.rope.scaling.type", r->arch);
	LLM_TRY(llm_meta_string(r->meta, key, false, &type, r->err));
	LLM_TRY(read_float(r, "rope.scale_linear", false, 1e-6, 1e6, &factor));
	if (str_is(type, "linear"))
		LLM_TRY(read_float(r, "rope.scaling.factor", false, 1e-6, 1e6, &factor));
	else if (!str_is(type, "none") && !str_is(type, "llama3"))
		return llm_fail(r->err, LLM_E_UNSUPPORTED, "rope scaling type \"%.*s\" is not supported for architecture \"%s\"",
						(int) (type.len > 40 ? 40 : type.len), type.data, r->arch);
	hp->rope_factors = str_is(type, "llama3");
	hp->rope_freq_scale = 1.0 / factor;
	return LLM_OK;
}

LlmStatus
llm_hparams_read(const LlmMeta *meta, const LlmArch **arch_out, LlmHparams *hp, LlmError *err)
{
	LlmStr		name;
	const LlmArch *arch;
	double		eps = 0;
	KeyReader	r = {meta, NULL, err};

	LLM_TRY(llm_meta_string(meta, "general.architecture", true, &name, err));
	arch = llm_arch_find(name);
	if (!arch)
	{
		LlmStatus	status = llm_fail(err, LLM_E_UNSUPPORTED, "model architecture \"%.*s\" is not supported",
									  (int) (name.len > 60 ? 60 : name.len), name.data);

		llm_error_hint(err, "llm_supported() lists the architectures that are known.");
		return status;
	}
	r.arch = arch->name;

	memset(hp, 0, sizeof(*hp));
	LLM_TRY(read_uint(&r, "block_count", true, 1, MAX_LAYERS, &hp->n_layer));
	LLM_TRY(read_uint(&r, "context_length", true, 1, MAX_CONTEXT, &hp->n_ctx_train));
	LLM_TRY(read_uint(&r, "embedding_length", true, 1, MAX_WIDTH, &hp->n_embd));
	LLM_TRY(read_uint(&r, "feed_forward_length", true, 1, MAX_WIDTH, &hp->n_ff));
	LLM_TRY(read_uint(&r, "attention.head_count", true, 1, MAX_HEADS, &hp->n_head));
	hp->n_head_kv = hp->n_head;
	LLM_TRY(read_uint(&r, "attention.head_count_kv", false, 1, MAX_HEADS, &hp->n_head_kv));
	if (hp->n_head % hp->n_head_kv != 0)
		return llm_fail(err, LLM_E_FORMAT, "%u attention heads cannot be shared by %u key/value heads", hp->n_head,
						hp->n_head_kv);
	hp->head_dim_k = hp->n_embd / hp->n_head;
	LLM_TRY(read_uint(&r, "attention.key_length", false, 1, MAX_HEAD, &hp->head_dim_k));
	hp->head_dim_v = hp->n_embd / hp->n_head;
	LLM_TRY(read_uint(&r, "attention.value_length", false, 1, MAX_HEAD, &hp->head_dim_v));
	if (hp->head_dim_k == 0 || hp->head_dim_k > MAX_HEAD || hp->head_dim_v == 0 || hp->head_dim_v > MAX_HEAD)
		return llm_fail(err, LLM_E_FORMAT, "%u heads over an embedding of %u give heads of %u and %u dimensions",
						hp->n_head, hp->n_embd, hp->head_dim_k, hp->head_dim_v);
	hp->n_rot = hp->head_dim_k;
	LLM_TRY(read_uint(&r, "rope.dimension_count", false, 0, hp->head_dim_k, &hp->n_rot));
	if (hp->n_rot % 2 != 0)
		return llm_fail(err, LLM_E_FORMAT, "rotation of %u dimensions of a head is not possible, as they are rotated in pairs",
						hp->n_rot);
	LLM_TRY(read_float(&r, "attention.layer_norm_rms_epsilon", true, 0.0, 1.0, &eps));
	hp->norm_eps = (float) eps;
	LLM_TRY(read_rope(&r, hp));

	LLM_TRY(refuse_not_computed(&r));
	*arch_out = arch;
	return LLM_OK;
}
