/*
 * linear.c: matrix products of a pass, of up to three matrices that share their input rows; with experts, each tile of rows
 * has the matrices of its own expert.
 *
 * A product is cut into pieces of some tokens by some row groups. A kernel lays out its tokens once a piece, so a piece has
 * few tokens and many groups; pieces that follow each other take other tokens of the same groups, whose weights are then in
 * the second-level cache.
 */
#include "model/pass.h"

#define MAX_TOGETHER 3

/* a piece is about this many multiply-adds: some tenths of a millisecond, so that threads share evenly and stop quickly */
#define PIECE_MACS (8 << 20)

/*
 * groups of a piece of several tokens, even if that is more work: the kernels lay out quantized tokens for up to CHUNK_GROUPS
 * groups, and fewer than these would have to pay for it; float ones come from the outer caches for SWEEP_GROUPS groups
 */
#define MIN_GROUPS_QUANTIZED 32
#define MIN_GROUPS_FLOAT 16

/* tokens of a piece: as many as the kernels lay out at once (TILE_TOKENS, BLOCK_TOKENS) */
#define TOKENS_QUANTIZED 16
#define TOKENS_FLOAT 48

/* of types that are multiplied as 16-bit numbers (matmul_pairs.h): decoding grids costs as much as several tokens, bytes less */
#define TOKENS_GRID 64
#define TOKENS_BYTES 32

typedef struct LinearJob
{
	const LlmKernels *kernels;
	LlmExpertLinear lin[MAX_TOGETHER];
	float	   *out[MAX_TOGETHER];
	int64_t		first_group[MAX_TOGETHER + 1];	/* in the joint index space */
	int			n;
	const LlmkActs *acts;
	const LlmExpertTile *tiles; /* NULL: tile_tokens rows each, all of one matrix */
	int64_t		tile_tokens;
	int64_t		n_tiles;
	int64_t		piece_groups;
} LinearJob;

void
llm_linear_finish(const LlmKernels *k, const LlmExpertLinear *lin, int64_t expert, float *out, int64_t n_tokens,
				  int64_t ld_out, int64_t row_begin, int64_t row_end)
{
	const float *bias = lin->bias ? lin->bias + expert * lin->w.n_rows : NULL;

	row_end = row_end < lin->w.n_rows ? row_end : lin->w.n_rows;
	for (int64_t t = 0; t < n_tokens && (bias || lin->scale); t++)
	{
		float	   *o = out + t * ld_out;

		if (lin->scale)
			k->scale(o + row_begin, row_end - row_begin, lin->scale[expert]);
		if (bias)
			k->add(o + row_begin, bias + row_begin, row_end - row_begin);
	}
}

/* rows [t, t + n) of acts */
static LlmkActs
some_tokens(const LlmkActs *acts, int64_t t, int64_t n)
{
	LlmkActs	part = *acts;

	part.n_tokens = n;
	part.x = acts->x + t * acts->ld_x;
	for (int i = 0; i < 2; i++)
	{
		if (acts->term[i].q)
			part.term[i] = llm_term_row(&acts->term[i], t, acts->n_cols);
	}
	return part;
}

static LlmExpertTile
tile_of(const LinearJob *job, int64_t i)
{
	int64_t		left = job->acts->n_tokens - i * job->tile_tokens;

	if (job->tiles)
		return job->tiles[i];
	return (LlmExpertTile) {0, (int32_t) (i * job->tile_tokens), (int32_t) (left < job->tile_tokens ? left : job->tile_tokens)};
}

/* one piece: a tile of tokens by piece_groups groups of the joint index space */
static void
linear_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	const LinearJob *job = arg;
	const LlmExpertTile tile = tile_of(job, begin % job->n_tiles);
	const LlmkActs acts = some_tokens(job->acts, tile.first, tile.n);
	const int64_t group_begin = begin / job->n_tiles * job->piece_groups;

	(void) end;
	(void) thread;
	for (int i = 0; i < job->n; i++)
	{
		const LlmExpertLinear *lin = &job->lin[i];
		const int64_t n_rows = lin->w.n_rows;
		LlmkMatrix	w = lin->w;
		float	   *out = job->out[i] + tile.first * n_rows;
		int64_t		from = group_begin - job->first_group[i];
		int64_t		to = from + job->piece_groups;
		int64_t		n_groups = job->first_group[i + 1] - job->first_group[i];

		from = from > 0 ? from : 0;
		to = to < n_groups ? to : n_groups;
		if (from >= to)
			continue;
		w.data += (size_t) tile.expert * lin->stride;
		job->kernels->matmul[w.type] (&w, &acts, from, to, out, n_rows);
		llm_linear_finish(job->kernels, lin, tile.expert, out, acts.n_tokens, n_rows, from * LLMK_ROWS, to * LLMK_ROWS);
	}
}

/* lin, out, n, acts and tiles are set */
static LlmStatus
run_job(const LlmPass *pass, LinearJob *job, const LlmStop *stop)
{
	int64_t		group_macs = job->tile_tokens * job->acts->n_cols * LLMK_ROWS;
	const int64_t least_groups = job->acts->term[0].q ? MIN_GROUPS_QUANTIZED : MIN_GROUPS_FLOAT;
	int64_t		most_groups;

	for (int i = 0; i < job->n; i++)
		job->first_group[i + 1] = job->first_group[i] + (job->lin[i].w.n_rows + LLMK_ROWS - 1) / LLMK_ROWS;
	job->piece_groups = PIECE_MACS / (group_macs > 0 ? group_macs : 1);
	if (job->piece_groups < least_groups && job->tile_tokens > 1)
		job->piece_groups = least_groups;

	/* not fewer than a few pieces for each thread */
	most_groups = job->first_group[job->n] * job->n_tiles / (4 * llm_pool_threads(pass->pool));
	if (job->piece_groups > most_groups)
		job->piece_groups = most_groups;
	if (job->piece_groups > job->first_group[job->n])
		job->piece_groups = job->first_group[job->n];
	if (job->piece_groups < 1)
		job->piece_groups = 1;
	return llm_pool_run(pass->pool, linear_piece, job,
						(job->first_group[job->n] + job->piece_groups - 1) / job->piece_groups * job->n_tiles, 1, stop);
}

static int64_t
piece_tokens(LlmType type, bool quantized)
{
	if (llmk_is_raw(type))
		return TOKENS_GRID;
	if (type == LLM_TYPE_Q8_0 || type == LLM_TYPE_IQ4_NL || type == LLM_TYPE_IQ4_XS)
		return TOKENS_BYTES;
	return quantized ? TOKENS_QUANTIZED : TOKENS_FLOAT;
}

LlmStatus
llm_linear_run(const LlmPass *pass, const LlmLinear *const *lin, float *const *out, int n, const LlmkActs *acts,
			   const LlmStop *stop)
{
	LinearJob	job = {.kernels = pass->model->kernels, .n = n, .acts = acts};

	for (int i = 0; i < n; i++)
	{
		job.lin[i] = (LlmExpertLinear) {.w = lin[i]->w, .scale = lin[i]->scale, .bias = lin[i]->bias};
		job.out[i] = out[i];
	}
	job.tile_tokens = piece_tokens(lin[0]->w.type, acts->term[0].q != NULL);
	if (job.tile_tokens > acts->n_tokens)
		job.tile_tokens = acts->n_tokens > 0 ? acts->n_tokens : 1;
	job.n_tiles = (acts->n_tokens + job.tile_tokens - 1) / job.tile_tokens;

	/* even tiles: a last one of few tokens would read all weights for little */
	if (job.n_tiles > 1)
		job.tile_tokens = (acts->n_tokens + job.n_tiles - 1) / job.n_tiles;
	LLM_TRY(run_job(pass, &job, stop));
	for (int i = 0; i < n; i++)
		LLM_TRY(llm_lora_add(pass, lin[i]->lora, acts, false, out[i], stop));
	return LLM_OK;
}

LlmStatus
llm_linear_run_experts(const LlmPass *pass, const LlmExpertLinear *const *lin, float *const *out, int n, const LlmkActs *acts,
					   const LlmStop *stop)
{
	LinearJob	job = {.kernels = pass->model->kernels, .n = n, .acts = acts};

	for (int i = 0; i < n; i++)
	{
		job.lin[i] = *lin[i];
		job.out[i] = out[i];
	}
	job.tiles = pass->expert_tiles;
	job.n_tiles = pass->n_expert_tiles;
	job.tile_tokens = acts->n_tokens / job.n_tiles + 1;
	LLM_TRY(run_job(pass, &job, stop));
	for (int i = 0; i < n; i++)
		LLM_TRY(llm_lora_add(pass, lin[i]->lora, acts, true, out[i], stop));
	return LLM_OK;
}

int
llm_linear_tile_tokens(bool quantized)
{
	return quantized ? TOKENS_QUANTIZED : TOKENS_FLOAT;
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
llm_linear_quantize_slot(const LlmPass *pass, const float *x, int64_t slot, int64_t n_cols)
{
	const LlmkTerm terms[2] = {llm_term_row(&pass->terms[0], slot, n_cols), llm_term_row(&pass->terms[1], slot, n_cols)};

	pass->model->kernels->quantize(x, n_cols, terms);
}

void
llm_linear_quantize_row(const LlmPass *pass, const float *x, int64_t row, int64_t n_cols)
{
	llm_linear_quantize_slot(pass, x + row * n_cols, row, n_cols);
}
