/*
 * moe.c: the feed-forward by experts. A router gives each row a few of them; their outputs are added with its weights.
 *
 * Slots, one for each row and expert of it, are sorted by expert, so that a product runs over all rows of an expert together
 * and an expert without rows costs nothing. A slot's result does not depend on its neighbours. A row adds its experts in
 * ascending order, the shared expert last; equal scores go to the lower expert: same row, same bytes.
 * Source: Shazeer et al. 2017, arXiv 1701.06538; sigmoid, bias and groups: DeepSeek-V3, arXiv 2412.19437, eqs. 12 to 16.
 */
#include <math.h>
#include <string.h>

#include "model/pass.h"

/* ---- router ---- */

/* the n largest of scores[0 .. n_scores) into chosen, ascending; of equal ones (or NaN) the lower */
static void
choose_largest(const float *scores, uint32_t n_scores, uint32_t n, int32_t *chosen)
{
	for (uint32_t k = 0; k < n; k++)
	{
		int32_t		best = -1;
		uint32_t	passed = 0;
		uint32_t	at = k;

		for (uint32_t e = 0; e < n_scores; e++)
		{
			if (passed < k && chosen[passed] == (int32_t) e)
				passed++;
			else if (best < 0 || scores[e] > scores[best])
				best = (int32_t) e;
		}
		for (; at > 0 && chosen[at - 1] > best; at--)
			chosen[at] = chosen[at - 1];
		chosen[at] = best;
	}
}

/* probabilities in place */
static void
score_experts(const LlmKernels *k, LlmRouterKind kind, float *scores, uint32_t n)
{
	if (kind == LLM_ROUTER_SIGMOID)
	{
		for (uint32_t e = 0; e < n; e++)
			scores[e] = 1.0f / (1.0f + llmk_expf(-scores[e]));
	}
	else
	{
		float		max = k->max(scores, n);
		float		sum = k->sum_exp(scores, n, max, 1.0f);

		for (uint32_t e = 0; e < n; e++)
			scores[e] = llmk_expf(scores[e] - max) / sum;
	}
}

/* the sum of the two largest of n scores */
static float
best_two(const float *scores, uint32_t n)
{
	float		first = -INFINITY;
	float		second = -INFINITY;

	for (uint32_t e = 0; e < n; e++)
	{
		if (scores[e] > first)
		{
			second = first;
			first = scores[e];
		}
		else if (scores[e] > second)
			second = scores[e];
	}
	return n > 1 ? first + second : first;
}

/* what a group is worth: with a sigmoid router its two best scores (DeepSeek-V3), else its best (DeepSeek-V2) */
static float
group_score(LlmRouterKind kind, const LlmKernels *k, const float *scores, uint32_t n)
{
	return kind == LLM_ROUTER_SIGMOID ? best_two(scores, n) : k->max(scores, n);
}

/* scores outside the groups that are worth most become -infinity; sums (n_groups) is scratch */
static void
keep_best_groups(const LlmRouterParams *r, const LlmKernels *k, float *scores, float *sums)
{
	const uint32_t size = r->n_expert / r->n_groups;

	for (uint32_t g = 0; g < r->n_groups; g++)
		sums[g] = group_score(r->kind, k, scores + g * size, size);
	for (uint32_t g = 0; g < r->n_groups; g++)
	{
		uint32_t	n_better = 0;

		for (uint32_t h = 0; h < r->n_groups; h++)
			n_better += sums[h] > sums[g] || (h < g && sums[h] == sums[g]);
		for (uint32_t e = g * size; e < (g + 1) * size && n_better >= r->n_groups_used; e++)
			scores[e] = -INFINITY;
	}
}

/*
 * SparseMixer: each of the experts in turn is the best of those that are left, with its share of a softmax over those of them
 * that are at most 2 * 0.01 of the larger size below it. Chosen come ascending, as all routers give them.
 * Source: Liu et al. 2024, arXiv 2409.12136; transformers' modeling_phimoe.
 */
static void
mix_sparsely(const float *logits, uint32_t n_expert, uint32_t n_used, float *left, int32_t *chosen, float *weight)
{
	memcpy(left, logits, n_expert * sizeof(float));
	for (uint32_t k = 0; k < n_used; k++)
	{
		uint32_t	best = 0;
		uint32_t	at = k;
		float		sum = 0;

		for (uint32_t e = 1; e < n_expert; e++)
			best = left[e] > left[best] ? e : best;
		for (uint32_t e = 0; e < n_expert; e++)
		{
			const float size = fabsf(logits[e]) > left[best] ? fabsf(logits[e]) : left[best];

			if (!((left[best] - logits[e]) / size > 0.02f))
				sum += left[e] == -INFINITY ? 0 : llmk_expf(left[e] - left[best]);
		}
		for (; at > 0 && chosen[at - 1] > (int32_t) best; at--)
		{
			chosen[at] = chosen[at - 1];
			weight[at] = weight[at - 1];
		}
		chosen[at] = (int32_t) best;
		weight[at] = 1.0f / sum;
		left[best] = -INFINITY;
	}
}

/* experts and weights of one row from its logits; scratch (3 * n_expert) */
static void
route_row(const LlmModel *m, const LlmExperts *x, const float *logits, float *scratch, int32_t *chosen, float *weight)
{
	const LlmRouterParams *r = &m->hp.router;
	float	   *scores = scratch;
	float	   *choice = scores + r->n_expert;
	float		sum = 0;

	if (r->kind == LLM_ROUTER_MIXER)
	{
		mix_sparsely(logits, r->n_expert, r->n_used, scratch, chosen, weight);
		return;
	}
	memcpy(scores, logits, r->n_expert * sizeof(float));
	if (r->kind != LLM_ROUTER_SOFTMAX_CHOSEN)
		score_experts(m->kernels, r->kind, scores, r->n_expert);
	for (uint32_t e = 0; e < r->n_expert; e++)
		choice[e] = x->choice_bias ? scores[e] + x->choice_bias[e] : scores[e];
	if (r->n_groups > 1)
		keep_best_groups(r, m->kernels, choice, choice + r->n_expert);
	choose_largest(choice, r->n_expert, r->n_used, chosen);
	for (uint32_t k = 0; k < r->n_used; k++)
		weight[k] = scores[chosen[k]];
	if (r->kind == LLM_ROUTER_SOFTMAX_CHOSEN)
		score_experts(m->kernels, r->kind, weight, r->n_used);
	if (r->renorm)
	{
		for (uint32_t k = 0; k < r->n_used; k++)
			sum += weight[k];
		sum = sum < 0x1p-14f ? 0x1p-14f : sum;	/* the least normal half, as llama.cpp has it */
		for (uint32_t k = 0; k < r->n_used; k++)
			weight[k] /= sum;
	}
	for (uint32_t k = 0; k < r->n_used; k++)
		weight[k] *= r->scale;
}

typedef struct RouteJob
{
	LlmPass    *pass;
	const LlmExperts *experts;
} RouteJob;

static void
route_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const RouteJob *job = arg;
	const LlmPass *pass = job->pass;
	const LlmRouterParams *r = &pass->model->hp.router;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
		route_row(pass->model, job->experts, pass->router + row * r->n_expert, pass->choice + row * 3 * r->n_expert,
				  pass->row_expert + row * r->n_used, pass->row_weight + row * r->n_used);
}

/* give every slot its place, and cut the slots of each expert into tiles */
static void
sort_slots(LlmPass *pass, bool quantized)
{
	const LlmRouterParams *r = &pass->model->hp.router;
	const int32_t n_slots = pass->n_rows * (int32_t) r->n_used;
	const int32_t tile_tokens = llm_linear_tile_tokens(quantized);
	int32_t		first = 0;

	memset(pass->expert_slots, 0, r->n_expert * sizeof(int32_t));
	for (int32_t i = 0; i < n_slots; i++)
		pass->expert_slots[pass->row_expert[i]]++;
	pass->n_expert_tiles = 0;
	for (uint32_t e = 0; e < r->n_expert; e++)
	{
		int32_t		n = pass->expert_slots[e];

		for (int32_t t = 0; t < n; t += tile_tokens)
			pass->expert_tiles[pass->n_expert_tiles++] =
				(LlmExpertTile) {(int32_t) e, first + t, n - t < tile_tokens ? n - t : tile_tokens};
		pass->expert_slots[e] = first;
		first += n;
	}
	for (int32_t i = 0; i < n_slots; i++)
	{
		int32_t		slot = pass->expert_slots[pass->row_expert[i]]++;

		pass->row_slot[i] = slot;
		pass->slot_row[slot] = i / (int32_t) r->n_used;
	}
}

static LlmStatus
op_route(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmExperts *x = layer->experts;
	const LlmLinear *lin[1] = {&x->router};
	RouteJob	job = {pass, x};
	LlmkActs	acts = llm_linear_acts(pass, pass->norm, pass->n_rows, pass->model->hp.n_embd, llm_is_quantized(&x->router.w));
	int64_t		work = (int64_t) pass->model->hp.router.n_expert * pass->model->hp.router.n_used;

	if (!pass->model->arch->router_early)
		LLM_TRY(llm_linear_run(pass, lin, &pass->router, 1, &acts, stop));
	LLM_TRY(llm_pool_run(pass->pool, route_piece, &job, pass->n_rows, llm_rows_per_piece(work), stop));
	sort_slots(pass, llm_is_quantized(&x->up.w));
	return LLM_OK;
}

static void
quantize_x_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
		llm_linear_quantize_row(pass, pass->x, row, pass->model->hp.n_embd);
}

LlmStatus
llm_moe_route_early(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const int64_t n = pass->model->hp.n_embd;
	const LlmLinear *lin[1];
	LlmkActs	acts;

	if (!layer->experts || !pass->model->arch->router_early)
		return LLM_OK;
	lin[0] = &layer->experts->router;
	acts = llm_linear_acts(pass, pass->x, pass->n_rows, n, llm_is_quantized(&lin[0]->w));
	if (acts.term[0].q)
		LLM_TRY(llm_pool_run(pass->pool, quantize_x_piece, pass, pass->n_rows, llm_rows_per_piece(n), stop));
	return llm_linear_run(pass, lin, &pass->router, 1, &acts, stop);
}

/* ---- the shared expert, whose output waits in shared_out ---- */

static LlmStatus
op_shared_gate_up(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	return layer->experts->shared.up.w.data ? llm_ffn_gate_up(pass, &layer->experts->shared, stop) : LLM_OK;
}

static LlmStatus
op_shared_act(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	(void) stop;
	return layer->experts->shared.up.w.data ? llm_ffn_act(pass, &layer->experts->shared) : LLM_OK;
}

static LlmStatus
op_shared_down(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	return layer->experts->shared.up.w.data ? llm_ffn_down(pass, &layer->experts->shared, pass->shared_out, stop) : LLM_OK;
}

/* ---- experts ---- */

typedef struct SlotJob
{
	const LlmPass *pass;
	const LlmExperts *experts;
	bool		quantize;
} SlotJob;

/* width of what experts read and give */
static int64_t
expert_width(const LlmPass *pass)
{
	const LlmHparams *hp = &pass->model->hp;

	return hp->router.n_latent > 0 ? hp->router.n_latent : hp->n_embd;
}

/* of the row's experts that which has the slot */
static float
slot_weight(const LlmPass *pass, int64_t slot)
{
	const int64_t n_used = pass->model->hp.router.n_used;
	int64_t		i = pass->slot_row[slot] * n_used;

	while (pass->row_slot[i] != slot)
		i++;
	return pass->row_weight[i];
}

static void
gather_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const SlotJob *job = arg;
	const LlmPass *pass = job->pass;
	const int64_t n = expert_width(pass);
	const float *in = pass->model->hp.router.n_latent > 0 ? pass->latent : pass->norm;

	(void) thread;
	for (int64_t slot = begin; slot < end; slot++)
	{
		memcpy(pass->slot_x + slot * n, in + pass->slot_row[slot] * n, (size_t) n * sizeof(float));
		if (pass->model->arch->weigh_input)
			pass->model->kernels->scale(pass->slot_x + slot * n, n, slot_weight(pass, slot));
		if (job->quantize)
			llm_linear_quantize_row(pass, pass->slot_x, slot, n);
	}
}

static int64_t
n_slots(const LlmPass *pass)
{
	return (int64_t) pass->n_rows * pass->model->hp.router.n_used;
}

static LlmStatus
op_gather(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmExperts *x = layer->experts;
	SlotJob		job = {pass, x, llm_is_quantized(&x->up.w) || llm_is_quantized(&x->gate.w)};

	return llm_pool_run(pass->pool, gather_piece, &job, n_slots(pass), llm_rows_per_piece(expert_width(pass)), stop);
}

static LlmStatus
op_expert_gate_up(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmExperts *x = layer->experts;
	const LlmExpertLinear *lin[2] = {&x->up, &x->gate};
	float	   *out[2] = {pass->slot_up, pass->slot_gate};
	LlmkActs	acts = llm_linear_acts(pass, pass->slot_x, (int) n_slots(pass), expert_width(pass),
									   llm_is_quantized(&x->up.w) || llm_is_quantized(&x->gate.w));

	return llm_linear_run_experts(pass, lin, out, x->gate.w.data ? 2 : 1, &acts, stop);
}

static float *
activated(const LlmPass *pass, const LlmExperts *experts)
{
	return experts->gate.w.data ? pass->slot_gate : pass->slot_up;
}

static void
expert_act_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const SlotJob *job = arg;
	const LlmPass *pass = job->pass;
	const int64_t n = pass->model->hp.n_ff_expert;

	(void) thread;
	for (int64_t slot = begin; slot < end; slot++)
	{
		llm_ffn_activate(pass, job->experts->gate.w.data ? pass->slot_gate + slot * n : NULL, pass->slot_up + slot * n, n);
		if (job->quantize)
			llm_linear_quantize_row(pass, activated(pass, job->experts), slot, n);
	}
}

/* overwrites slot_gate or slot_up, so it does not pause */
static LlmStatus
op_expert_act(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	SlotJob		job = {pass, layer->experts, llm_is_quantized(&layer->experts->down.w)};

	(void) stop;
	return llm_pool_run(pass->pool, expert_act_piece, &job, n_slots(pass), llm_rows_per_piece(pass->model->hp.n_ff_expert), NULL);
}

static LlmStatus
op_expert_down(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmExpertLinear *lin[1] = {&layer->experts->down};
	LlmkActs	acts = llm_linear_acts(pass, activated(pass, layer->experts), (int) n_slots(pass), pass->model->hp.n_ff_expert,
									   llm_is_quantized(&layer->experts->down.w));

	return llm_linear_run_experts(pass, lin, &pass->slot_x, 1, &acts, stop);
}

/* the factor of the shared expert's output */
static float
shared_weight(const LlmExperts *x, const float *norm, int64_t n)
{
	double		sum = 0;

	if (!x->shared_gate)
		return 1;
	for (int64_t i = 0; i < n; i++)
		sum += (double) x->shared_gate[i] * (double) norm[i];
	return 1.0f / (1.0f + llmk_expf((float) -sum));
}

static void
combine_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const SlotJob *job = arg;
	const LlmPass *pass = job->pass;
	const LlmKernels *k = pass->model->kernels;
	const int64_t n = expert_width(pass);
	const int64_t n_used = pass->model->hp.router.n_used;
	float	   *sums = pass->model->hp.router.n_latent > 0 ? pass->latent_out : pass->block_out;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		float	   *out = sums + row * n;

		memset(out, 0, (size_t) n * sizeof(float));
		for (int64_t i = row * n_used; i < (row + 1) * n_used; i++)
		{
			float	   *expert_out = pass->slot_x + pass->row_slot[i] * n;

			if (!pass->model->arch->weigh_input)
				k->scale(expert_out, n, pass->row_weight[i]);
			k->add(out, expert_out, n);
		}
	}
}

/* scales in place, so it does not pause */
static LlmStatus
op_combine(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	SlotJob		job = {pass, layer->experts, false};
	int64_t		width = expert_width(pass) * pass->model->hp.router.n_used;

	(void) stop;
	return llm_pool_run(pass->pool, combine_piece, &job, pass->n_rows, llm_rows_per_piece(width), NULL);
}

static void
add_shared_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const SlotJob *job = arg;
	const LlmPass *pass = job->pass;
	const LlmKernels *k = pass->model->kernels;
	const int64_t n = pass->model->hp.n_embd;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
	{
		k->scale(pass->shared_out + row * n, n, shared_weight(job->experts, pass->norm + row * n, n));
		k->add(pass->block_out + row * n, pass->shared_out + row * n, n);
	}
}

/* adds in place, so it does not pause */
static LlmStatus
op_add_shared(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	SlotJob		job = {pass, layer->experts, false};

	(void) stop;
	if (!layer->experts->shared.up.w.data)
		return LLM_OK;
	return llm_pool_run(pass->pool, add_shared_piece, &job, pass->n_rows, llm_rows_per_piece(pass->model->hp.n_embd), NULL);
}

/* ---- experts in a latent space: what they read and the sum of what they give are projected ---- */

static LlmStatus
op_latent_down(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmLinear *lin[1] = {&layer->experts->latent_down};
	LlmkActs	acts = llm_linear_acts(pass, pass->norm, pass->n_rows, pass->model->hp.n_embd, llm_is_quantized(&lin[0]->w));

	return lin[0]->w.data ? llm_linear_run(pass, lin, &pass->latent, 1, &acts, stop) : LLM_OK;
}

static void
quantize_latent_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LlmPass *pass = arg;

	(void) thread;
	for (int64_t row = begin; row < end; row++)
		llm_linear_quantize_row(pass, pass->latent_out, row, expert_width(pass));
}

static LlmStatus
op_latent_up(LlmPass *pass, const LlmLayer *layer, const LlmStop *stop)
{
	const LlmLinear *lin[1] = {&layer->experts->latent_up};
	const int64_t n = expert_width(pass);
	LlmkActs	acts;

	if (!lin[0]->w.data)
		return LLM_OK;
	acts = llm_linear_acts(pass, pass->latent_out, pass->n_rows, n, llm_is_quantized(&lin[0]->w));
	if (acts.term[0].q)
		LLM_TRY(llm_pool_run(pass->pool, quantize_latent_piece, pass, pass->n_rows, llm_rows_per_piece(n), stop));
	return llm_linear_run(pass, lin, &pass->block_out, 1, &acts, stop);
}

const LlmOpFn llm_moe_ops[] = {
	op_route, op_latent_down, op_shared_gate_up, op_shared_act, op_shared_down, op_gather, op_expert_gate_up, op_expert_act,
	op_expert_down, op_combine, op_latent_up, op_add_shared, NULL
};
