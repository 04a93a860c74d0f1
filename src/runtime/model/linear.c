/*
 * linear.c: matrix products of a pass, cut into pieces over the packed row groups of up to three matrices at once.
 */
#include "model/pass.h"

#define MAX_TOGETHER 3

/* a piece is about this many multiply-adds: some tenths of a millisecond, so that threads share evenly and stop quickly */
#define PIECE_MACS (4 << 20)

typedef struct LinearJob
{
	const LlmKernels *kernels;
	const LlmLinear *lin[MAX_TOGETHER];
	float	   *out[MAX_TOGETHER];
	int64_t		first_group[MAX_TOGETHER + 1];	/* in the joint index space */
	int			n;
	const LlmkActs *acts;
} LinearJob;

static void
add_bias(const LlmLinear *lin, float *out, int64_t n_tokens, int64_t row_begin, int64_t row_end)
{
	for (int64_t t = 0; t < n_tokens; t++)
	{
		float	   *o = out + t * lin->w.n_rows;

		for (int64_t r = row_begin; r < row_end; r++)
			o[r] += lin->bias[r];
	}
}

static void
linear_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LinearJob *job = arg;

	(void) thread;
	for (int i = 0; i < job->n; i++)
	{
		const LlmLinear *lin = job->lin[i];
		int64_t		from = begin > job->first_group[i] ? begin : job->first_group[i];
		int64_t		to = end < job->first_group[i + 1] ? end : job->first_group[i + 1];

		if (from >= to)
			continue;
		from -= job->first_group[i];
		to -= job->first_group[i];
		job->kernels->matmul[lin->w.type] (&lin->w, job->acts, from, to, job->out[i], lin->w.n_rows);
		if (lin->bias)
		{
			int64_t		row_end = to * LLMK_ROWS < lin->w.n_rows ? to * LLMK_ROWS : lin->w.n_rows;

			add_bias(lin, job->out[i], job->acts->n_tokens, from * LLMK_ROWS, row_end);
		}
	}
}

LlmStatus
llm_linear_run(const LlmPass *pass, const LlmLinear *const *lin, float *const *out, int n, const LlmkActs *acts,
			   const LlmStop *stop)
{
	LinearJob	job = {.kernels = pass->model->kernels, .n = n, .acts = acts};
	int64_t		group_macs = acts->n_tokens * acts->n_cols * LLMK_ROWS;
	int64_t		piece = PIECE_MACS / (group_macs > 0 ? group_macs : 1);
	int64_t		n_groups;

	for (int i = 0; i < n; i++)
	{
		job.lin[i] = lin[i];
		job.out[i] = out[i];
		job.first_group[i + 1] = job.first_group[i] + (lin[i]->w.n_rows + LLMK_ROWS - 1) / LLMK_ROWS;
	}
	n_groups = job.first_group[n];

	/* not fewer than a few pieces for each thread */
	if (piece > n_groups / (4 * llm_pool_threads(pass->pool)))
		piece = n_groups / (4 * llm_pool_threads(pass->pool));
	if (piece < 1)
		piece = 1;
	return llm_pool_run(pass->pool, linear_piece, &job, n_groups, piece, stop);
}

LlmkActs
llm_linear_acts(const LlmPass *pass, const float *x, int n_rows, int64_t n_cols, bool quantized)
{
	LlmkActs	acts = {.n_tokens = n_rows, .n_cols = n_cols, .x = x, .ld_x = n_cols};

	if (quantized)
	{
		acts.term[0] = pass->terms[0];
		acts.term[1] = pass->terms[1];
	}
	return acts;
}

void
llm_linear_quantize_row(const LlmPass *pass, const float *x, int64_t row, int64_t n_cols)
{
	LlmkTerm	terms[2];

	for (int i = 0; i < 2; i++)
		terms[i] = (LlmkTerm) {pass->terms[i].q + row * n_cols, pass->terms[i].d + row * (n_cols / LLM_QK),
		pass->terms[i].s + row * (n_cols / 16)};
	pass->model->kernels->quantize(x + row * n_cols, n_cols, terms);
}
