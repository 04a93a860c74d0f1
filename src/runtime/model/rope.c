/*
 * rope.c: the angle per position of each rotated pair.
 *
 * Pair i turns by base^(-2i / n_rot) a position, divided by a factor where the file has a tensor of them. Linear scaling
 * multiplies by 1 / factor. YaRN does so for slow pairs only: pairs that turn more than beta_fast times over the original
 * context stay, those that turn less than beta_slow times are scaled, and between there is a ramp over the pair's number.
 * Source: Su et al. 2021, arXiv 2104.09864; Peng et al. 2023, arXiv 2309.00071, with the ramp's ends rounded outwards.
 */
#include <math.h>
#include <stdio.h>

#include "model/loader.h"

#define TWO_PI 6.283185307179586

/* number of the pair that turns `turns` times over the original context */
static double
yarn_pair(const LlmHparams *hp, const LlmRopeParams *rope, double turns)
{
	return hp->n_rot * llmk_log(rope->n_ctx_orig / (turns * TWO_PI)) / (2 * llmk_log(rope->base));
}

/* the share of pair i that is not scaled */
static double
yarn_share(const LlmHparams *hp, const LlmRopeParams *rope, uint32_t i)
{
	double		low = yarn_pair(hp, rope, rope->beta_fast);
	double		high = yarn_pair(hp, rope, rope->beta_slow);
	double		ramp;

	low = rope->yarn_exact ? low : floor(low);
	high = rope->yarn_exact ? high : ceil(high);
	low = low > 0 ? low : 0;
	high = high < hp->n_rot - 1.0 ? high : hp->n_rot - 1.0;
	ramp = (i - low) / (high - low > 0.001 ? high - low : 0.001);
	return 1 - (ramp < 0 ? 0 : ramp > 1 ? 1 : ramp);
}

/*
 * Rounded where transformers rounds (inverse frequencies are float32 tensors there): far into a text the last bit of an angle
 * per position shows in the logits, so the references' own rounding is part of what they compute.
 */
static float
angle(const LlmHparams *hp, const LlmRopeParams *rope, uint32_t i, float factor)
{
	const float exponent = 2.0f * (float) i / (float) hp->n_rot;
	const float power = factor * (float) llmk_exp((double) exponent * llmk_log(rope->base));
	const double plain = 1.0f / power;
	const double scaled = (float) (plain * rope->scale);
	const double share = rope->extrapolated > 0 ? rope->extrapolated * yarn_share(hp, rope, i) : 0;

	return (float) (scaled * (1 - share) + plain * share);
}

/*
 * The tensor of factors: rope_freqs (Llama 3), or the long or short one of longrope. Which of those is chosen by the context
 * that the model is opened with, never by the length of a row: a row's answer must not depend on it.
 */
static LlmStatus
load_factors(LlmLoader *ld, const float **factors)
{
	LlmModel   *m = ld->model;
	const uint32_t n = m->hp.n_rot / 2;
	const char *name = m->n_ctx > m->hp.n_ctx_orig ? "rope_factors_long.weight" : "rope_factors_short.weight";

	llm_loader_use(ld, "rope_factors_long.weight");
	llm_loader_use(ld, "rope_factors_short.weight");
	LLM_TRY(llm_load_vector(ld, name, n, false, factors));
	if (!*factors)
	{
		name = "rope_freqs.weight";
		LLM_TRY(llm_load_vector(ld, name, n, false, factors));
	}
	if (!*factors && m->hp.rope[LLM_ROPE_GLOBAL].has_factors)
	{
		llm_fail(ld->err, LLM_E_FORMAT, "model has no tensor \"%s\", whose factors its rope is to be scaled by", name);
		llm_error_hint(ld->err, "If the option rope_scaling asks for it, give another kind; otherwise the file is incomplete.");
		return LLM_E_FORMAT;
	}
	for (uint32_t i = 0; *factors && i < n; i++)
	{
		if (!((*factors)[i] > 0))
			return llm_fail(ld->err, LLM_E_FORMAT, "rope factor %u of tensor \"%s\" is %g", i, name, (double) (*factors)[i]);
	}
	return LLM_OK;
}

/* some old files repeat rope frequencies per layer; those are computed */
static void
use_old_frequencies(LlmLoader *ld)
{
	for (uint32_t i = 0; i < ld->model->hp.n_layer; i++)
	{
		char		name[128];

		snprintf(name, sizeof(name), "blk.%u.attn_rot_embd.weight", i);
		llm_loader_use(ld, name);
		snprintf(name, sizeof(name), "blk.%u.attn_rot_embd", i);
		llm_loader_use(ld, name);
	}
}

LlmStatus
llm_load_rope(LlmLoader *ld)
{
	LlmModel   *m = ld->model;
	const uint32_t n = m->hp.n_rot / 2;
	const float *factors;
	void	   *p;

	use_old_frequencies(ld);
	LLM_TRY(load_factors(ld, &factors));
	m->n_ropes = 0;
	for (uint32_t i = 0; i < m->hp.n_layer; i++)
	{
		if (m->layers[i].rope + 1 > m->n_ropes)
			m->n_ropes = m->layers[i].rope + 1;
	}
	for (int r = 0; r < m->n_ropes; r++)
	{
		LLM_TRY(llm_arena_alloc(&m->arena, n ? n : 1, sizeof(float), &p, ld->err));
		m->rope_freq[r] = p;
		for (uint32_t i = 0; i < n; i++)
			m->rope_freq[r][i] = angle(&m->hp, &m->hp.rope[r], i, factors ? factors[i] : 1);
	}
	return LLM_OK;
}
