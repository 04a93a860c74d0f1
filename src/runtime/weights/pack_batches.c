/*
 * pack_batches.c: moving tensors from the source into a pack, a batch of row groups (about 1 MB) at a time.
 *
 * With a pool, some batches are read by the caller, who alone may use a source, and then packed and written by all threads. Threads
 * take batches in ascending order and do every one before the first that failed, so which error is reported does not depend on
 * them. A pause or an error repeats at most the batches that were read together.
 */
#include "weights/packer.h"

#include <stdatomic.h>

#define BATCH_BYTES ((uint64_t) 1 << 20)
#define MAX_THREADS 16			/* that pack */
#define BATCHES_PER_THREAD 2	/* that are read together */
#define MAX_JOBS (MAX_THREADS * BATCHES_PER_THREAD)

/* a batch on its way */
typedef struct Job
{
	LlmPackPlace place;
	const LlmTensor *tensor;
	const LlmPackEntry *entry;
	int64_t		count;			/* groups, or elements of a vector */
	int64_t		n_rows;			/* of its groups */
} Job;

/* ---- sizes ---- */

static uint64_t
row_bytes(const LlmTensor *tensor)
{
	const LlmTypeInfo *info = llmk_type_info(tensor->type);

	return (uint64_t) (tensor->dim[0] / info->block_len) * (uint64_t) info->block_bytes;
}

LlmPackBatch
llm_pack_batch(const LlmTensor *tensor)
{
	LlmPackBatch batch;

	if (tensor->n_dims == 1)
	{
		const LlmTypeInfo *info = llmk_type_info(tensor->type);

		batch.count = LLM_PACK_VECTOR_BATCH;
		batch.rows_bytes = (size_t) (LLM_PACK_VECTOR_BATCH / info->block_len) * (size_t) info->block_bytes;
		batch.groups_bytes = (size_t) LLM_PACK_VECTOR_BATCH * sizeof(float);
	}
	else
	{
		uint64_t	in = LLMK_ROWS * row_bytes(tensor);
		uint64_t	out = llmk_group_bytes(tensor->type, tensor->dim[0]);

		batch.count = (int64_t) (BATCH_BYTES / (in > out ? in : out));
		if (batch.count < 1)
			batch.count = 1;
		batch.rows_bytes = (size_t) batch.count * in;
		batch.groups_bytes = (size_t) batch.count * out;
	}
	return batch;
}

LlmStatus
llm_packer_make_buffers(LlmPacker *packer, int max_jobs, LlmError *err)
{
	void	   *rows;
	void	   *groups;
	LlmStatus	status;

	LLM_TRY(llm_alloc_aligned(packer->allocator, packer->rows_capacity, (size_t) max_jobs, &rows, err));
	status = llm_alloc_aligned(packer->allocator, packer->groups_capacity, (size_t) max_jobs, &groups, err);
	if (status != LLM_OK)
	{
		llm_free_aligned(packer->allocator, rows);
		return status;
	}
	llm_free_aligned(packer->allocator, packer->rows);
	llm_free_aligned(packer->allocator, packer->groups);
	packer->rows = rows;
	packer->groups = groups;
	packer->max_jobs = max_jobs;
	return LLM_OK;
}

LlmStatus
llm_packer_share(LlmPacker *packer, LlmPool *pool, LlmError *err)
{
	int			n = llm_pool_threads(pool) < MAX_THREADS ? llm_pool_threads(pool) : MAX_THREADS;

	if (n == 1)
		return LLM_OK;
	LLM_TRY(llm_packer_make_buffers(packer, n * BATCHES_PER_THREAD, err));
	packer->pool = pool;
	return LLM_OK;
}

/* ---- batches ---- */

static Job
vector_job(const LlmPackEntry *entry, LlmPackPlace *place)
{
	const int64_t rest = entry->n_cols - place->done;
	Job			job = {.place = *place, .entry = entry, .count = rest < LLM_PACK_VECTOR_BATCH ? rest : LLM_PACK_VECTOR_BATCH};

	place->done += job.count;
	if (place->done == entry->n_cols)
		*place = (LlmPackPlace) {place->tensor + 1, 0, 0};
	return job;
}

static Job
matrix_job(const LlmTensor *tensor, const LlmPackEntry *entry, LlmPackPlace *place)
{
	const int64_t n_groups = (entry->n_rows - 1) / LLMK_ROWS + 1;
	const int64_t most = llm_pack_batch(tensor).count;
	const int64_t first = place->done * LLMK_ROWS;
	Job			job = {.place = *place, .entry = entry};

	job.count = n_groups - place->done < most ? n_groups - place->done : most;
	job.n_rows = entry->n_rows - first < job.count * LLMK_ROWS ? entry->n_rows - first : job.count * LLMK_ROWS;
	place->done += job.count;
	if (place->done == n_groups)
	{
		place->done = 0;
		if (++place->matrix == entry->n_stack)
			*place = (LlmPackPlace) {place->tensor + 1, 0, 0};
	}
	return job;
}

/* the batch at a place, which goes on behind it; false at the end */
static bool
next_job(const LlmPacker *packer, LlmPackPlace *place, Job *job)
{
	const LlmSource *source = packer->source;
	const LlmTensor *tensor;
	const LlmPackEntry *entry;

	while (place->tensor < source->n_tensors && !llm_packer_writes(packer, &source->tensors[place->tensor]))
		place->tensor++;
	if (place->tensor == source->n_tensors)
		return false;
	tensor = &source->tensors[place->tensor];
	entry = &packer->entries[packer->rank[place->tensor]];
	*job = entry->is_vector ? vector_job(entry, place) : matrix_job(tensor, entry, place);
	job->tensor = tensor;
	return true;
}

static LlmStatus
read_job(const LlmPacker *packer, const Job *job, uint8_t *rows, const LlmStop *stop, LlmError *err)
{
	const LlmPackEntry *entry = job->entry;
	const int64_t first_row = job->place.matrix * entry->n_rows + job->place.done * LLMK_ROWS;

	if (entry->is_vector)
		return llm_source_read(packer->source, job->tensor, job->place.done, job->count, rows, stop, err);
	return llm_source_read(packer->source, job->tensor, first_row * entry->n_cols, job->n_rows * entry->n_cols, rows, stop, err);
}

/* from rows by way of groups to the sink */
static LlmStatus
pack_job(const Job *job, const uint8_t *rows, uint8_t *groups, const LlmPackSink *sink, LlmError *err)
{
	const LlmTensor *tensor = job->tensor;
	const LlmPackEntry *entry = job->entry;
	const size_t out_group = llmk_group_bytes(tensor->type, tensor->dim[0]);
	const uint64_t matrix_bytes = entry->n_bytes / (uint64_t) entry->n_stack;

	if (entry->is_vector)
	{
		llmk_dequantize(tensor->type, rows, job->count, (float *) groups);
		return sink->write(sink->ctx, entry->data_off + (uint64_t) job->place.done * sizeof(float), groups,
						   (size_t) job->count * sizeof(float), err);
	}
	for (int64_t g = 0; g < job->count; g++)
	{
		const int64_t rest = job->n_rows - g * LLMK_ROWS;

		llmk_pack_group(tensor->type, tensor->dim[0], rows + (uint64_t) (g * LLMK_ROWS) * row_bytes(tensor),
						(int) (rest < LLMK_ROWS ? rest : LLMK_ROWS), groups + (size_t) g * out_group);
	}
	return sink->write(sink->ctx,
					   entry->data_off + (uint64_t) job->place.matrix * matrix_bytes + (uint64_t) job->place.done * out_group,
					   groups, (size_t) job->count * out_group, err);
}

/* ---- by all threads ---- */

typedef struct Window
{
	LlmPacker  *packer;
	const LlmPackSink *sink;
	Job			job[MAX_JOBS];
	int			n;
	LlmStatus	status[MAX_JOBS];	/* written by who did the job */
	atomic_int	first_failed;	/* n: none */
	LlmError	error[MAX_JOBS];
	bool		is_done[MAX_JOBS];
} Window;

static void
pack_piece(void *arg, int64_t begin, int64_t end, int thread)
{
	Window	   *w = arg;
	const LlmPacker *p = w->packer;

	(void) thread;
	for (int64_t i = begin; i < end; i++)
	{
		int			failed = atomic_load(&w->first_failed);

		if (i > failed)
			return;
		w->status[i] = pack_job(&w->job[i], p->rows + (size_t) i * p->rows_capacity, p->groups + (size_t) i * p->groups_capacity,
								w->sink, &w->error[i]);
		w->is_done[i] = w->status[i] == LLM_OK;
		while (!w->is_done[i] && i < failed && !atomic_compare_exchange_weak(&w->first_failed, &failed, (int) i))
			;
	}
}

/* read some batches, pack them together, and go on behind those that are written, up to the first that is not */
static LlmStatus
pack_window(LlmPacker *packer, Window *w, const LlmStop *stop, LlmError *err)
{
	LlmPackPlace next = packer->place;
	LlmStatus	status = LLM_OK;
	LlmStatus	run;
	int			k = 0;

	w->n = 0;
	while (w->n < packer->max_jobs && next_job(packer, &next, &w->job[w->n]))
	{
		/* what has been read is packed first: so a pause comes forward */
		status = read_job(packer, &w->job[w->n], packer->rows + (size_t) w->n * packer->rows_capacity, NULL, err);
		if (status != LLM_OK)
			break;
		w->is_done[w->n] = false;
		w->status[w->n++] = LLM_OK;
		if (llm_should_stop(stop))
			break;
	}
	atomic_store(&w->first_failed, w->n);
	run = llm_pool_run(packer->pool, pack_piece, w, w->n, 1, stop);
	while (k < w->n && w->is_done[k])
		k++;
	next = k > 0 ? w->job[k - 1].place : packer->place;
	if (k > 0)
	{
		Job			skipped;

		(void) next_job(packer, &next, &skipped);
		packer->place = next;
	}
	if (k < w->n && w->status[k] != LLM_OK)
	{
		if (err)
			*err = w->error[k];
		return w->status[k];
	}
	return status != LLM_OK ? status : run;
}

/* all tensors; LLM_PAUSED after one batch at least */
static LlmStatus
pack_shared(LlmPacker *packer, const LlmPackSink *sink, const LlmStop *stop, LlmError *err)
{
	Window	   *w;
	void	   *ptr;
	LlmStatus	status = LLM_OK;

	LLM_TRY(llm_alloc_zero(packer->allocator, 1, sizeof(Window), &ptr, err));
	w = ptr;
	w->packer = packer;
	w->sink = sink;
	while (status == LLM_OK && packer->place.tensor < packer->source->n_tensors)
	{
		status = pack_window(packer, w, stop, err);
		if (status == LLM_OK && sink->taken)
			sink->taken(sink->ctx);
		if (status == LLM_OK && w->n == 0)
			break;				/* no tensor that is written is left */
		if (status == LLM_OK && llm_should_stop(stop))
			status = LLM_PAUSED;
	}
	llm_free(packer->allocator, w);
	return status;
}

LlmStatus
llm_packer_run_tensors(LlmPacker *packer, const LlmPackSink *sink, const LlmStop *stop, bool *more, LlmError *err)
{
	LlmPackPlace next = packer->place;
	Job			job;

	*more = false;
	if (packer->pool)
		return pack_shared(packer, sink, stop, err);
	if (!next_job(packer, &next, &job))
		return LLM_OK;
	LLM_TRY(read_job(packer, &job, packer->rows, NULL, err));
	LLM_TRY(pack_job(&job, packer->rows, packer->groups, sink, err));
	packer->place = next;
	*more = true;
	return LLM_OK;
}
