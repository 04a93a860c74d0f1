/*
 * lora.c: what adapters add to a product: scale * B (A x), see adapter.h. x is the float input of the product, also where its
 * weights are quantized. A and B are products of float weights, so that the result of a row does not depend on the others.
 */
#include <string.h>

#include "model/pass.h"

typedef struct AddJob
{
	const LlmKernels *kernels;
	const float *from;
	float	   *to;
	int64_t		width;
} AddJob;

static void
add_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const AddJob *job = arg;

	(void) thread;
	job->kernels->add(job->to + begin * job->width, job->from + begin * job->width, (end - begin) * job->width);
}

/* changes out in place, so it does not pause; who pauses before it runs the whole product again */
static LlmStatus
add_rows(const LlmPass *pass, int64_t n_rows, int64_t width, float *out)
{
	AddJob		job = {pass->model->kernels, pass->lora_out, out, width};

	return llm_pool_run(pass->pool, add_piece, &job, n_rows, llm_rows_per_piece(width), NULL);
}

/* B of the rows in pass->lora_mid, which are scaled first, added to out */
static LlmStatus
add_b(const LlmPass *pass, const LlmLora *lora, float scale, int64_t n_rows, bool by_expert, float *out, const LlmStop *stop)
{
	LlmkActs	mid = {.n_tokens = n_rows, .n_cols = lora->b.w.n_cols, .x = pass->lora_mid, .ld_x = lora->b.w.n_cols};
	const LlmLinear b = {.w = lora->b.w};
	const LlmLinear *lin[1] = {&b};
	const LlmExpertLinear *expert_lin[1] = {&lora->b};
	float	   *to[1] = {pass->lora_out};

	pass->model->kernels->scale(pass->lora_mid, n_rows * mid.n_cols, scale);
	if (by_expert)
		LLM_TRY(llm_linear_run_experts(pass, expert_lin, to, 1, &mid, stop));
	else
		LLM_TRY(llm_linear_run(pass, lin, to, 1, &mid, stop));
	return add_rows(pass, n_rows, lora->b.w.n_rows, out);
}

LlmStatus
llm_lora_add(const LlmPass *pass, const LlmLora *lora, const LlmkActs *acts, bool by_expert, float *out, const LlmStop *stop)
{
	const LlmkActs floats = {.n_tokens = acts->n_tokens, .n_cols = acts->n_cols, .x = acts->x, .ld_x = acts->ld_x};

	for (; lora; lora = lora->next)
	{
		const LlmLinear a = {.w = lora->a.w};
		const LlmLinear *lin[1] = {&a};
		const LlmExpertLinear *expert_lin[1] = {&lora->a};
		float	   *to[1] = {pass->lora_mid};

		if (by_expert)
			LLM_TRY(llm_linear_run_experts(pass, expert_lin, to, 1, &floats, stop));
		else
			LLM_TRY(llm_linear_run(pass, lin, to, 1, &floats, stop));
		LLM_TRY(add_b(pass, lora, lora->scale, acts->n_tokens, by_expert, out, stop));
	}
	return LLM_OK;
}

LlmStatus
llm_lora_embed(const LlmPass *pass, const LlmStop *stop)
{
	const LlmModel *m = pass->model;

	for (const LlmLora *lora = m->token_embd_lora; lora; lora = lora->next)
	{
		const LlmkMatrix *a = &lora->a.w;

		for (int64_t row = 0; row < pass->n_rows; row++)
			m->kernels->get_row[a->type] (a, pass->row_token[row], pass->lora_mid + row * a->n_cols);
		LLM_TRY(add_b(pass, lora, lora->scale * m->hp.embed_scale, pass->n_rows, false, pass->x, stop));
	}
	return LLM_OK;
}
