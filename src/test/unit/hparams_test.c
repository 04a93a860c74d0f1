/*
 * hparams_test.c: the shape of a model as its metadata gives it: defaults, values that make no sense, and features that are
 * not computed, each refused by name, as ignoring one would change answers silently.
 */
#include <math.h>

#include "check.h"
#include "gguf_writer.h"
#include "model/rope_options.h"
#include "weights/gguf.h"

typedef enum ValueKind
{
	NOTHING,
	NUMBER_U32,
	NUMBER_F32,
	BOOLEAN,
	STRING
} ValueKind;

/* a key set beside those of a model that is in order, or in place of one of them */
typedef struct Case
{
	const char *key;
	ValueKind	kind;
	double		number;
	const char *string;
	LlmStatus	status;
	const char *says;			/* part of the message */
} Case;

/* keys without the architecture's name */
static const Case required[] = {
	{"block_count", NUMBER_U32, 2, NULL, LLM_OK, NULL},
	{"context_length", NUMBER_U32, 64, NULL, LLM_OK, NULL},
	{"embedding_length", NUMBER_U32, 48, NULL, LLM_OK, NULL},
	{"feed_forward_length", NUMBER_U32, 96, NULL, LLM_OK, NULL},
	{"attention.head_count", NUMBER_U32, 4, NULL, LLM_OK, NULL},
	{"attention.layer_norm_rms_epsilon", NUMBER_F32, 1e-5, NULL, LLM_OK, NULL},
};

#define N_REQUIRED ((int) (sizeof(required) / sizeof(required[0])))

static void
put(GgufWriter *w, const Case *c)
{
	switch (c->kind)
	{
		case NOTHING:
			break;
		case NUMBER_U32:
			gw_u32(w, c->key, (uint32_t) c->number);
			break;
		case NUMBER_F32:
			gw_f32(w, c->key, (float) c->number);
			break;
		case BOOLEAN:
			gw_bool(w, c->key, c->number != 0);
			break;
		case STRING:
			gw_string(w, c->key, c->string);
			break;
	}
}

static const LlmRopeOptions *rope_options = NULL;	/* what the owner says */
static const Case *also = NULL;	/* a second key */

static LlmStatus
read_of(const char *arch_name, const Case *c, LlmHparams *hp, LlmError *err)
{
	GgufWriter	w;
	LlmGguf		gguf;
	const LlmArch *arch;
	LlmStatus	status;
	char		path[64];
	int			fd;

	gw_init(&w);
	gw_string(&w, "general.architecture", arch_name);
	for (int i = 0; i < N_REQUIRED; i++)
	{
		Case		own = required[i];
		char		key[64];

		snprintf(key, sizeof(key), "%s.%s", arch_name, own.key);
		own.key = key;
		if (!c || strcmp(key, c->key) != 0)
			put(&w, &own);
	}
	if (c)
		put(&w, c);
	if (also)
		put(&w, also);
	gw_finish(&w);
	fd = gw_memfd(w.file.data, w.file.len, path);
	status = llm_gguf_open(path, &llm_malloc_allocator, NULL, &gguf, err);
	CHECK_MSG(status == LLM_OK, "%s", status == LLM_OK ? "" : err->message);
	if (status == LLM_OK)
	{
		status = llm_hparams_read_with(&gguf.meta, rope_options, &arch, hp, err);
		llm_gguf_close(&gguf);
	}
	close(fd);
	gw_free(&w);
	return status;
}

static LlmStatus
read_with(const Case *c, LlmHparams *hp, LlmError *err)
{
	return read_of("llama", c, hp, err);
}

static void
test_defaults(void)
{
	LlmHparams	hp;
	LlmError	err;

	CHECK(read_with(NULL, &hp, &err) == LLM_OK);
	CHECK(hp.n_head_kv == 4 && hp.head_dim_k == 12 && hp.head_dim_v == 12 && hp.n_rot == 12);
	CHECK(hp.rope[0].base == 10000 && hp.rope[0].scale == 1 && !hp.rope[0].has_factors);
	CHECK(read_with(&(Case) {"llama.rope.scaling.type", STRING, 0, "llama3", LLM_OK, NULL}, &hp, &err) == LLM_OK);
	CHECK(hp.rope[0].has_factors);
	CHECK(read_with(&(Case) {"llama.rope.scale_linear", NUMBER_F32, 4, NULL, LLM_OK, NULL}, &hp, &err) == LLM_OK);
	CHECK(hp.rope[0].scale == 0.25);
}

/* what the owner says about rope goes before metadata; what is not said comes from there */
static void
test_rope_options(void)
{
	static const struct
	{
		const char *name;
		const char *value;
	}			wrong[] = {
		{"rope_scaling", "dynamic"}, {"rope_scaling", ""}, {"rope_freq_base", "1"}, {"rope_freq_base", "1e16"},
		{"rope_freq_scale", "0"}, {"rope_freq_scale", "nan"}, {"rope_freq_scale", "2x"}, {"yarn_orig_ctx", "0"},
		{"yarn_orig_ctx", "3.5"}, {"yarn_ext_factor", "-1"}, {"yarn_ext_factor", "1.5"}, {"yarn_attn_factor", "0"},
		{"yarn_beta_fast", "inf"}, {"yarn_beta_slow", ""},
	};
	const Case	linear = {"llama.rope.scale_linear", NUMBER_F32, 4, NULL, LLM_OK, NULL};
	LlmRopeOptions o = {0};
	LlmHparams	hp;
	LlmError	err;

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
	{
		CHECK(llm_rope_option_known(wrong[i].name));
		CHECK_MSG(llm_rope_option_set(&(LlmRopeOptions) {0}, wrong[i].name, wrong[i].value, &err) == LLM_E_ARGUMENT &&
				  err.hint[0] && strstr(err.message, wrong[i].name), "%s = %s", wrong[i].name, wrong[i].value);
	}
	CHECK(!llm_rope_option_known("rope") && !llm_rope_option_known("context"));
	rope_options = &o;
	CHECK(read_with(&linear, &hp, &err) == LLM_OK && hp.rope[0].scale == 0.25 && !llm_rope_options_given(&o));
	CHECK(llm_rope_option_set(&o, "rope_scaling", "yarn", &err) == LLM_OK && llm_rope_options_given(&o));
	CHECK(read_with(&linear, &hp, &err) == LLM_OK && hp.rope[0].scale == 0.25 && hp.rope[0].extrapolated == 1);
	CHECK(hp.rope[0].n_ctx_orig == 64 && hp.rope[0].beta_fast == 32 && hp.rope[0].beta_slow == 1);
	CHECK(fabs(hp.rope[0].magnitude - (1 + 0.1 * log(4))) < 1e-12 && hp.rope[0].base == 10000);
	CHECK(llm_rope_option_set(&o, "rope_freq_scale", "0.125", &err) == LLM_OK);
	CHECK(llm_rope_option_set(&o, "rope_freq_base", "5e5", &err) == LLM_OK);
	CHECK(llm_rope_option_set(&o, "yarn_orig_ctx", "16", &err) == LLM_OK);
	CHECK(llm_rope_option_set(&o, "yarn_ext_factor", "0.5", &err) == LLM_OK);
	CHECK(llm_rope_option_set(&o, "yarn_attn_factor", "2", &err) == LLM_OK);
	CHECK(llm_rope_option_set(&o, "yarn_beta_fast", "16", &err) == LLM_OK);
	CHECK(llm_rope_option_set(&o, "yarn_beta_slow", "2", &err) == LLM_OK);
	CHECK(read_with(&linear, &hp, &err) == LLM_OK && hp.rope[0].scale == 0.125 && hp.rope[0].extrapolated == 0.5);
	CHECK(hp.rope[0].n_ctx_orig == 16 && hp.rope[0].beta_fast == 16 && hp.rope[0].beta_slow == 2 && hp.rope[0].base == 5e5);
	CHECK(fabs(hp.rope[0].magnitude - 2 * (1 + 0.1 * log(8))) < 1e-12 && hp.n_ctx_orig == 64);
	o = (LlmRopeOptions) {.scaling = LLM_ROPE_SCALING_NONE};
	CHECK(read_with(&linear, &hp, &err) == LLM_OK && hp.rope[0].scale == 1 && hp.rope[0].magnitude == 1);
	rope_options = NULL;
}

static void
test_cases(void)
{
	static const Case cases[] = {
		{"llama.block_count", NOTHING, 0, NULL, LLM_E_FORMAT, "\"llama.block_count\" is missing"},
		{"llama.block_count", NUMBER_U32, 0, NULL, LLM_E_FORMAT, "\"llama.block_count\" is 0, below the least value 1"},
		{"llama.block_count", NUMBER_U32, 4097, NULL, LLM_E_FORMAT, "\"llama.block_count\" is out of range"},
		{"llama.block_count", STRING, 0, "2", LLM_E_FORMAT, "\"llama.block_count\" has the wrong type"},
		{"llama.attention.head_count_kv", NUMBER_U32, 0, NULL, LLM_E_FORMAT, "cannot be shared by 0"},
		{"llama.attention.head_count_kv", NUMBER_U32, 3, NULL, LLM_E_FORMAT, "4 attention heads cannot be shared by 3"},
		{"llama.attention.head_count", NUMBER_U32, 49, NULL, LLM_E_FORMAT, "49 heads over an embedding of 48"},
		{"llama.embedding_length", NUMBER_U32, 1048576, NULL, LLM_E_FORMAT, "heads of 262144 and 262144 dimensions"},
		{"llama.attention.key_length", NUMBER_U32, 0, NULL, LLM_E_FORMAT, "\"llama.attention.key_length\" is 0"},
		{"llama.attention.head_count", NUMBER_U32, 16, NULL, LLM_E_FORMAT, "rotation of 3 dimensions"},
		{"llama.rope.dimension_count", NUMBER_U32, 5, NULL, LLM_E_FORMAT, "rotation of 5 dimensions"},
		{"llama.rope.dimension_count", NUMBER_U32, 14, NULL, LLM_E_FORMAT, "out of range"},
		{"llama.rope.freq_base", NUMBER_F32, 0.5, NULL, LLM_E_FORMAT, "outside 1 to"},
		{"llama.rope.scaling.type", STRING, 0, "dynamic", LLM_E_UNSUPPORTED, "rope scaling type \"dynamic\""},
		{"llama.rope.scaling.attn_factor", NUMBER_F32, 1, NULL, LLM_OK, NULL},
		{"llama.rope.scaling.attn_factor", NUMBER_F32, -1, NULL, LLM_E_FORMAT, "rope.scaling.attn_factor\" is -1"},
		{"llama.expert_count", NUMBER_U32, 0, NULL, LLM_OK, NULL},
		{"llama.expert_count", NUMBER_U32, 8, NULL, LLM_E_FORMAT, "\"llama.expert_used_count\" is missing"},
		{"llama.attention.sliding_window", NUMBER_U32, 32, NULL, LLM_OK, NULL},
		{"llama.attention.sliding_window", NUMBER_U32, 1u << 27, NULL, LLM_E_FORMAT, "sliding_window"},
		{"llama.attn_logit_softcapping", NUMBER_F32, 50, NULL, LLM_OK, NULL},
		{"llama.attn_logit_softcapping", NUMBER_F32, -50, NULL, LLM_E_FORMAT, "attn_logit_softcapping"},
		{"llama.final_logit_softcapping", NUMBER_F32, NAN, NULL, LLM_E_FORMAT, "final_logit_softcapping"},
		{"llama.attention.clamp_kqv", NUMBER_F32, 8, NULL, LLM_E_UNSUPPORTED, "clamp_kqv"},
		{"llama.attention.causal", BOOLEAN, 1, NULL, LLM_OK, NULL},
		{"llama.attention.causal", BOOLEAN, 0, NULL, LLM_OK, NULL},
		{"llama.pooling_type", NUMBER_U32, 3, NULL, LLM_OK, NULL},
		{"llama.pooling_type", NUMBER_U32, 5, NULL, LLM_E_FORMAT, "\"llama.pooling_type\" is out of range"},
		{"llama.classifier.pooling_type", NUMBER_U32, 4, NULL, LLM_E_FORMAT, "\"llama.classifier.pooling_type\" is out of range"},
		{"llama.attention.causal", NUMBER_U32, 0, NULL, LLM_E_FORMAT, "wrong type"},
		{"llama.logit_scale", NUMBER_F32, 2, NULL, LLM_E_UNSUPPORTED, "logit_scale"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const Case *c = &cases[i];
		LlmHparams	hp;
		LlmError	err = {0};
		LlmStatus	status = read_with(c, &hp, &err);

		CHECK_MSG(status == c->status, "case %zu, %s: status %d, %s", i, c->key, (int) status, err.message);
		CHECK_MSG(!c->says || strstr(err.message, c->says), "case %zu, %s: %s", i, c->key, err.message);
	}
}

/* some converters write a rotation also for architectures that rotate nothing, of a size that fits no head */
static void
test_no_rotation(void)
{
	const Case	wide = {"bert.rope.dimension_count", NUMBER_U32, 14, NULL, LLM_OK, NULL};
	const Case	eps = {"bert.attention.layer_norm_epsilon", NUMBER_F32, 1e-5, NULL, LLM_OK, NULL};
	LlmHparams	hp;
	LlmError	err = {0};

	also = &eps;
	CHECK_MSG(read_of("bert", &wide, &hp, &err) == LLM_OK, "%s", err.message);
	CHECK(hp.head_dim_k == 12 && hp.n_rot == 0);
	also = NULL;
}

int
main(void)
{
	test_defaults();
	test_no_rotation();
	test_rope_options();
	test_cases();
	CHECK_DONE();
}
