/*
 * hparams_ffn.c: feed-forwards: experts and their router, the activation and its numbers.
 */
#include "base/str.h"
#include "model/hparams_keys.h"

/* ---- experts ---- */

static LlmStatus
read_router(const LlmKeyReader *r, LlmHparams *hp)
{
	LlmRouterParams *router = &hp->router;
	uint32_t	kind = r->arch->router;
	LlmKeyName	key;

	*router = (LlmRouterParams) {.renorm = r->arch->router_renorm, .scale = 1, .n_groups = 1, .n_groups_used = 1};
	LLM_TRY(llm_key_uint(r, "expert_count", false, 0, LLM_MAX_EXPERTS, &router->n_expert));
	if (router->n_expert == 0)
		return LLM_OK;
	LLM_TRY(llm_key_uint(r, "expert_used_count", true, 1, router->n_expert, &router->n_used));
	LLM_TRY(llm_key_uint(r, "expert_gating_func", false, 1, LLM_ROUTER_SOFTMAX_CHOSEN, &kind));
	router->kind = (LlmRouterKind) kind;
	LLM_TRY(llm_meta_bool(r->meta, llm_key_name(r, "expert_weights_norm", key), false, &router->renorm, r->err));
	LLM_TRY(llm_key_factor(r, "expert_weights_scale", &router->scale));
	LLM_TRY(llm_key_uint(r, "expert_group_count", false, 0, router->n_expert, &router->n_groups));
	router->n_groups = router->n_groups ? router->n_groups : 1;
	router->n_groups_used = router->n_groups;
	LLM_TRY(llm_key_uint(r, "expert_group_used_count", false, 1, router->n_groups, &router->n_groups_used));
	if (router->n_expert % router->n_groups != 0 ||
		router->n_expert / router->n_groups * router->n_groups_used < router->n_used)
		return llm_fail(r->err, LLM_E_FORMAT, "%u experts cannot be chosen from %u of %u groups of %u experts in all",
						router->n_used, router->n_groups_used, router->n_groups, router->n_expert);
	return LLM_OK;
}

static LlmStatus
read_shared_count(const LlmKeyReader *r, LlmHparams *hp)
{
	uint32_t	n = 0;

	LLM_TRY(llm_key_uint(r, "expert_shared_count", true, 0, LLM_MAX_EXPERTS, &n));
	if ((uint64_t) n * hp->n_ff_expert > LLM_MAX_WIDTH)
		return llm_fail(r->err, LLM_E_FORMAT, "%u shared experts %u wide are more than %u together", n, hp->n_ff_expert, LLM_MAX_WIDTH);
	hp->n_ff_shared = n * hp->n_ff_expert;
	return LLM_OK;
}

/* every so many layers one has experts: the last of them, or the second */
static LlmStatus
read_expert_layers(const LlmKeyReader *r, LlmHparams *hp)
{
	if (r->arch->weigh_input)
	{
		LLM_TRY(llm_key_uint(r, "interleave_moe_layer_step", true, 1, LLM_MAX_LAYERS, &hp->moe_every));
		hp->moe_at = hp->moe_every - 1;
		return llm_key_refuse_unless(r, "moe_every_n_layers", 1);
	}
	LLM_TRY(llm_key_refuse_unless(r, "interleave_moe_layer_step", 1));
	if (!llm_key_has_trait(r, LLM_TRAIT_ENCODER))
		return llm_key_refuse_unless(r, "moe_every_n_layers", 1);
	LLM_TRY(llm_key_uint(r, "moe_every_n_layers", false, 0, LLM_MAX_LAYERS, &hp->moe_every));
	hp->moe_at = hp->moe_every > 0 ? 1 % hp->moe_every : 0;
	return LLM_OK;
}

LlmStatus
llm_hparams_read_experts(const LlmKeyReader *r, LlmHparams *hp)
{
	if (r->arch->router == LLM_ROUTER_NONE)
		return llm_key_refuse_unless(r, "expert_count", 0);
	LLM_TRY(read_router(r, hp));
	if (hp->router.n_expert == 0)
		return LLM_OK;
	hp->n_ff_expert = hp->n_ff;
	LLM_TRY(llm_key_uint(r, "expert_feed_forward_length", false, 1, LLM_MAX_WIDTH, &hp->n_ff_expert));
	if (r->arch->shared_expert != LLM_SHARED_NONE)
	{
		hp->n_ff_shared = r->arch->shared_expert == LLM_SHARED_ALWAYS ? hp->n_ff :
			r->arch->shared_expert == LLM_SHARED_AS_ONE ? hp->n_ff_expert : 0;
		if (llm_key_has_trait(r, LLM_TRAIT_DENSE_LEAD))
			LLM_TRY(read_shared_count(r, hp));
		LLM_TRY(llm_key_uint(r, "expert_shared_feed_forward_length", false, 0, LLM_MAX_WIDTH, &hp->n_ff_shared));
	}
	else
		LLM_TRY(llm_key_refuse_unless(r, "expert_shared_feed_forward_length", 0));
	if (llm_key_has_trait(r, LLM_TRAIT_DENSE_LEAD))
		LLM_TRY(llm_key_uint(r, "leading_dense_block_count", false, 0, LLM_MAX_LAYERS, &hp->n_dense_lead));
	else
		LLM_TRY(llm_key_refuse_unless(r, "leading_dense_block_count", 0));
	if (llm_key_has_trait(r, LLM_TRAIT_ONE_BLOCK))
		LLM_TRY(llm_key_uint(r, "moe_latent_size", false, 0, LLM_MAX_WIDTH, &hp->router.n_latent));
	else
		LLM_TRY(llm_key_refuse_unless(r, "moe_latent_size", 0));
	return read_expert_layers(r, hp);
}

bool
llm_hparams_has_experts(const LlmHparams *hp, uint32_t layer)
{
	return hp->router.n_expert > 0 && layer >= hp->n_dense_lead && (hp->moe_every == 0 || layer % hp->moe_every == hp->moe_at);
}

/* ---- activation ---- */

/* is a gate beside what goes up? where the row leaves it open (GELU), the tensors say it */
static bool
has_gate(const LlmKeyReader *r)
{
	return r->arch->ffn == LLM_FFN_SWIGLU || r->arch->ffn == LLM_FFN_GEGLU || r->arch->ffn == LLM_FFN_REGLU || llm_key_has_trait(r, LLM_TRAIT_FUSED_GATE);
}

/* the activation may be told; only kinds of the row's own form can take its place */
LlmStatus
llm_hparams_read_activation(const LlmKeyReader *r, LlmHparams *hp)
{
	static const char *const tanh_words[] = {"gelu_pytorch_tanh", "gelu_new", "gelu_fast", NULL};
	static const char *const silu_words[] = {"silu", "swish", NULL};
	const bool	any = r->arch->ffn != LLM_FFN_SWIGLU_CLAMPED && r->arch->ffn != LLM_FFN_XIELU;
	const bool	gate = has_gate(r);
	LlmStr		name = {NULL, 0};
	LlmKeyName	key;

	hp->ffn = r->arch->ffn;
	LLM_TRY(llm_meta_string(r->meta, llm_key_name(r, "hidden_activation", key), false, &name, r->err));
	if (!name.data)
		return LLM_OK;
	if (any && llm_str_equals(name, "gelu"))
		hp->ffn = LLM_FFN_GELU;
	else if (any && gate && llm_str_is_one_of(name, silu_words))
		hp->ffn = LLM_FFN_SWIGLU;
	else if (any && llm_str_is_one_of(name, tanh_words))
		hp->ffn = gate ? LLM_FFN_GEGLU : LLM_FFN_GELU_TANH;
	else if (any && !gate && !llm_key_has_trait(r, LLM_TRAIT_ENCODER) && llm_str_equals(name, "relu2"))
		hp->ffn = LLM_FFN_RELU_SQR;
	else
		return llm_fail(r->err, LLM_E_UNSUPPORTED, "model feature \"%s\" = \"%.*s\" is not supported for architecture \"%s\"", key,
						(int) (name.len > 40 ? 40 : name.len), name.data, r->arch->name);
	return LLM_OK;
}

/* numbers of xIELU: one for all layers or one for each; where there are none, tensors must have them */
LlmStatus
llm_hparams_read_xielu(const LlmKeyReader *r, LlmHparams *hp)
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
