/*
 * packer.c: making a pack from a source of weights.
 *
 * begin lays everything out: entries in the order of names, data in the order of the file, so that the source is read
 * from front to back. run then moves the tensors through bounded buffers, a batch of row groups (about 1 MB) at a
 * time; its place is (tensor, matrix of the stack, group), which advances only after the sink took the batch. An outline has the
 * short vectors first, and skips all other tensors.
 *
 * With a pool, some batches are read by the caller, who alone may use a source, and then packed and written by all threads. Threads
 * take batches in ascending order and do every one before the first that failed, so which error is reported does not depend on
 * them. A pause or an error repeats at most the batches that were read together.
 */
#include "weights/pack_layout.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#define BATCH_BYTES ((uint64_t) 1 << 20)
#define VECTOR_BATCH ((int64_t) 65536)	/* elements; a multiple of every block length */
#define MAX_THREADS 16			/* that pack */
#define BATCHES_PER_THREAD 2	/* that are read together */
#define MAX_JOBS (MAX_THREADS * BATCHES_PER_THREAD)

typedef enum PackerPhase
{
	PACK_METADATA,
	PACK_DIRECTORY,
	PACK_TABLES,
	PACK_TENSORS,
	PACK_HEADER,
	PACK_DONE
} PackerPhase;

/* where packing is */
typedef struct Place
{
	uint64_t	tensor;			/* of the source, */
	int64_t		matrix;			/* matrix of its stack, */
	int64_t		done;			/* groups of the matrix, or elements of the vector, before it */
} Place;

/* a batch on its way */
typedef struct Job
{
	Place		place;
	const LlmTensor *tensor;
	const LlmPackEntry *entry;
	int64_t		count;			/* groups, or elements of a vector */
	int64_t		n_rows;			/* of its groups */
} Job;

struct LlmPacker
{
	const LlmSource *source;
	const LlmAllocator *allocator;
	bool		outline;
	LlmStr		tables;
	LlmPackHeader header;
	LlmPackEntry *entries;		/* start of the directory's bytes, which are header.dir_bytes long */
	uint32_t   *rank;			/* by tensor of the source: its entry */
	uint8_t    *rows;			/* (max_jobs) batches as the file holds them */
	uint8_t    *groups;			/* (max_jobs) batches as the pack holds them */
	size_t		rows_capacity;	/* of each */
	size_t		groups_capacity;
	LlmPool    *pool;			/* NULL: the caller works alone */
	int			max_jobs;

	PackerPhase phase;
	Place		place;			/* all before it is written */
};

/* what one batch of a tensor is */
typedef struct Batch
{
	int64_t		count;			/* groups, or elements of a vector */
	size_t		rows_bytes;		/* at most, in the file */
	size_t		groups_bytes;	/* at most, in the pack */
} Batch;

static uint64_t
row_bytes(const LlmTensor *tensor)
{
	const LlmTypeInfo *info = llmk_type_info(tensor->type);

	return (uint64_t) (tensor->dim[0] / info->block_len) * (uint64_t) info->block_bytes;
}

static Batch
batch_of(const LlmTensor *tensor)
{
	Batch		batch;

	if (tensor->n_dims == 1)
	{
		const LlmTypeInfo *info = llmk_type_info(tensor->type);

		batch.count = VECTOR_BATCH;
		batch.rows_bytes = (size_t) (VECTOR_BATCH / info->block_len) * (size_t) info->block_bytes;
		batch.groups_bytes = (size_t) VECTOR_BATCH * sizeof(float);
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

/* whether its data gets a place of its own, and is written */
static bool
is_written(const LlmPacker *packer, const LlmTensor *tensor)
{
	return !packer->outline || (tensor->n_dims == 1 && tensor->dim[0] <= VECTOR_BATCH);
}

/* can this tensor be computed with? */
static LlmStatus
check_tensor(const LlmSource *source, const LlmTensor *tensor, LlmError *err)
{
	const LlmTypeInfo *info = llmk_type_info(tensor->type);

	if (!info->decoded)
	{
		llm_fail(err, LLM_E_UNSUPPORTED, "tensor \"%.*s\" has type %s, which cannot be computed with yet",
				 (int) tensor->name.len, tensor->name.data, info->name);
		llm_error_detail(err, "The model file is \"%s\".", source->path);
		llm_error_hint(err, "Use a file of the model with another quantization, such as Q8_0 or Q4_0.");
		return LLM_E_UNSUPPORTED;
	}
	if (tensor->n_dims > 1 && tensor->dim[0] > LLM_PACK_MAX_COLS)
	{
		llm_fail(err, LLM_E_LIMIT, "tensor \"%.*s\" has too many columns", (int) tensor->name.len, tensor->name.data);
		llm_error_detail(err, "It has %" PRId64 "; the limit is %" PRId64 ".", tensor->dim[0], LLM_PACK_MAX_COLS);
		return LLM_E_LIMIT;
	}
	return LLM_OK;
}

/* entry of a tensor, but for names and offsets */
static LlmStatus
fill_entry(const LlmSource *source, const LlmTensor *tensor, LlmPackEntry *entry, LlmError *err)
{
	LLM_TRY(check_tensor(source, tensor, err));
	entry->is_vector = tensor->n_dims == 1;
	entry->type = entry->is_vector ? LLM_TYPE_F32 : tensor->type;
	entry->source_type = tensor->type;
	entry->n_cols = tensor->dim[0];
	entry->n_rows = tensor->dim[1];
	entry->n_stack = tensor->dim[2] * tensor->dim[3];
	if (!llm_pack_tensor_bytes(entry, &entry->n_bytes))
	{
		llm_fail(err, LLM_E_LIMIT, "tensor \"%.*s\" cannot be packed", (int) tensor->name.len, tensor->name.data);
		llm_error_detail(err, "Its packed size of %" PRId64 " x %" PRId64 " x %" PRId64 " elements of type %s is out of range.",
						 entry->n_cols, entry->n_rows, entry->n_stack, llmk_type_info(tensor->type)->name);
		return LLM_E_LIMIT;
	}
	return LLM_OK;
}

/* entries and names in one run of bytes, in the order of names */
static LlmStatus
make_directory(LlmPacker *packer, LlmError *err)
{
	const LlmSource *source = packer->source;
	size_t		names_bytes = 0;
	size_t		name_off = source->n_tensors * sizeof(LlmPackEntry);
	void	   *ptr;

	/* no overflow: the names are in memory, the entries as many as it could hold */
	for (uint64_t i = 0; i < source->n_tensors; i++)
		names_bytes += source->tensors[i].name.len;
	packer->header.dir_bytes = name_off + names_bytes;
	LLM_TRY(llm_alloc_zero(packer->allocator, packer->header.dir_bytes, 1, &ptr, err));
	packer->entries = ptr;
	LLM_TRY(llm_alloc(packer->allocator, source->n_tensors, sizeof(uint32_t), &ptr, err));
	packer->rank = ptr;
	for (uint32_t k = 0; k < source->n_tensors; k++)
	{
		const LlmTensor *tensor = &source->tensors[source->by_name[k]];
		LlmPackEntry *entry = &packer->entries[k];

		packer->rank[source->by_name[k]] = k;
		LLM_TRY(fill_entry(source, tensor, entry, err));
		entry->name_off = name_off;
		entry->name_len = (uint32_t) tensor->name.len;
		memcpy((uint8_t *) packer->entries + name_off, tensor->name.data, tensor->name.len);
		name_off += tensor->name.len;
	}
	return LLM_OK;
}

/* room for a batch of every tensor that is written */
static void
count_buffers(LlmPacker *packer)
{
	const LlmSource *source = packer->source;

	for (uint64_t i = 0; i < source->n_tensors; i++)
	{
		Batch		batch;

		if (!is_written(packer, &source->tensors[i]))
			continue;
		batch = batch_of(&source->tensors[i]);
		if (batch.rows_bytes > packer->rows_capacity)
			packer->rows_capacity = batch.rows_bytes;
		if (batch.groups_bytes > packer->groups_capacity)
			packer->groups_capacity = batch.groups_bytes;
	}
}

/* give every part its offset; the data follows the order of the source, and what is not written shares the end */
static LlmStatus
lay_out(LlmPacker *packer, LlmError *err)
{
	const LlmSource *source = packer->source;
	LlmPackHeader *header = &packer->header;
	uint64_t	largest = 0;
	uint64_t	off;

	header->meta_off = sizeof(LlmPackHeader);
	header->meta_bytes = source->meta->n_bytes;
	header->dir_off = llm_pack_align(header->meta_off + header->meta_bytes);
	header->tables_off = llm_pack_align(header->dir_off + header->dir_bytes);
	header->tables_bytes = packer->tables.len;
	header->data_off = llm_pack_align(header->tables_off + header->tables_bytes);
	off = header->data_off;
	for (uint64_t i = 0; i < source->n_tensors; i++)
	{
		LlmPackEntry *entry = &packer->entries[packer->rank[i]];

		entry->data_off = off;
		if (!is_written(packer, &source->tensors[i]))
			largest = entry->n_bytes > largest ? entry->n_bytes : largest;
		else if (__builtin_add_overflow(off, entry->n_bytes, &off) || off > INT64_MAX)
			return llm_fail(err, LLM_E_LIMIT, "model file \"%s\" is too large when packed", source->path);
	}
	for (uint64_t i = 0; i < source->n_tensors; i++)
	{
		if (!is_written(packer, &source->tensors[i]))
			packer->entries[packer->rank[i]].data_off = off;
	}
	if (__builtin_add_overflow(off, largest, &header->total_bytes) || header->total_bytes > INT64_MAX)
		return llm_fail(err, LLM_E_LIMIT, "model file \"%s\" is too large when packed", source->path);
	return LLM_OK;
}

static void
fill_header(LlmPacker *packer, const uint8_t *digest)
{
	const LlmSource *source = packer->source;
	LlmPackHeader *header = &packer->header;

	memcpy(header->magic, LLM_PACK_MAGIC, sizeof(header->magic));
	header->byte_order = LLM_PACK_BYTE_ORDER;
	header->format = LLM_PACK_FORMAT;
	header->pack_version = LLMK_PACK_VERSION;
	header->n_meta_entries = (uint32_t) source->meta->n_entries;
	header->source_bytes = llm_source_size_bytes(source);
	header->n_tensors = source->n_tensors;
	if (digest)
		memcpy(header->digest, digest, LLM_DIGEST_BYTES);
	header->body_checksum = llm_pack_checksum(0, source->meta->bytes, source->meta->n_bytes);
	header->body_checksum = llm_pack_checksum(header->body_checksum, packer->entries, header->dir_bytes);
	header->body_checksum = llm_pack_checksum(header->body_checksum, packer->tables.data, header->tables_bytes);
	header->header_checksum = llm_pack_checksum(0, header, offsetof(LlmPackHeader, header_checksum));
}

/* replaces those that there are */
static LlmStatus
make_buffers(LlmPacker *packer, int max_jobs, LlmError *err)
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
	LLM_TRY(make_buffers(packer, n * BATCHES_PER_THREAD, err));
	packer->pool = pool;
	return LLM_OK;
}

static LlmStatus
prepare(LlmPacker *packer, const uint8_t *digest, LlmError *err)
{
	LLM_TRY(make_directory(packer, err));
	LLM_TRY(lay_out(packer, err));
	count_buffers(packer);
	fill_header(packer, digest);
	return make_buffers(packer, 1, err);
}

static LlmStatus
begin(const LlmSource *source, const uint8_t *digest, LlmStr tables, bool outline, const LlmAllocator *a,
	  LlmPacker **out, uint64_t *total_bytes, LlmError *err)
{
	LlmPacker  *packer;
	LlmStatus	status;
	void	   *ptr;

	LLM_TRY(llm_alloc_zero(a, 1, sizeof(LlmPacker), &ptr, err));
	packer = ptr;
	packer->source = source;
	packer->allocator = a;
	packer->outline = outline;
	packer->tables = tables;
	status = prepare(packer, digest, err);
	if (status != LLM_OK)
	{
		llm_packer_free(packer);
		return status;
	}
	*total_bytes = packer->header.total_bytes;
	*out = packer;
	return LLM_OK;
}

LlmStatus
llm_packer_begin(const LlmSource *source, const uint8_t *digest, const LlmAllocator *a,
				 LlmPacker **out, uint64_t *total_bytes, LlmError *err)
{
	return begin(source, digest, (LlmStr) {"", 0}, false, a, out, total_bytes, err);
}

LlmStatus
llm_packer_begin_with(const LlmSource *source, const uint8_t *digest, LlmStr tables, const LlmAllocator *a,
					  LlmPacker **out, uint64_t *total_bytes, LlmError *err)
{
	return begin(source, digest, tables, false, a, out, total_bytes, err);
}

LlmStatus
llm_packer_begin_outline(const LlmSource *source, const LlmAllocator *a, LlmPacker **out, uint64_t *total_bytes, LlmError *err)
{
	return begin(source, NULL, (LlmStr) {"", 0}, true, a, out, total_bytes, err);
}

void
llm_packer_free(LlmPacker *packer)
{
	if (!packer)
		return;
	llm_free(packer->allocator, packer->entries);
	llm_free(packer->allocator, packer->rank);
	llm_free_aligned(packer->allocator, packer->rows);
	llm_free_aligned(packer->allocator, packer->groups);
	llm_free(packer->allocator, packer);
}

/* ---- batches ---- */

static Job
vector_job(const LlmPackEntry *entry, Place *place)
{
	const int64_t rest = entry->n_cols - place->done;
	Job			job = {.place = *place, .entry = entry, .count = rest < VECTOR_BATCH ? rest : VECTOR_BATCH};

	place->done += job.count;
	if (place->done == entry->n_cols)
		*place = (Place) {place->tensor + 1, 0, 0};
	return job;
}

static Job
matrix_job(const LlmTensor *tensor, const LlmPackEntry *entry, Place *place)
{
	const int64_t n_groups = (entry->n_rows - 1) / LLMK_ROWS + 1;
	const int64_t most = batch_of(tensor).count;
	const int64_t first = place->done * LLMK_ROWS;
	Job			job = {.place = *place, .entry = entry};

	job.count = n_groups - place->done < most ? n_groups - place->done : most;
	job.n_rows = entry->n_rows - first < job.count * LLMK_ROWS ? entry->n_rows - first : job.count * LLMK_ROWS;
	place->done += job.count;
	if (place->done == n_groups)
	{
		place->done = 0;
		if (++place->matrix == entry->n_stack)
			*place = (Place) {place->tensor + 1, 0, 0};
	}
	return job;
}

/* the batch at a place, which goes on behind it; false at the end */
static bool
next_job(const LlmPacker *packer, Place *place, Job *job)
{
	const LlmSource *source = packer->source;
	const LlmTensor *tensor;
	const LlmPackEntry *entry;

	while (place->tensor < source->n_tensors && !is_written(packer, &source->tensors[place->tensor]))
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
	Place		next = packer->place;
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

static LlmStatus
pack_step(LlmPacker *packer, const LlmPackSink *sink, const LlmStop *stop, LlmError *err)
{
	const LlmSource *source = packer->source;
	const LlmPackHeader *header = &packer->header;
	Place		next = packer->place;
	Job			job;

	switch (packer->phase)
	{
		case PACK_METADATA:
			LLM_TRY(sink->write(sink->ctx, header->meta_off, source->meta->bytes, source->meta->n_bytes, err));
			packer->phase = PACK_DIRECTORY;
			break;
		case PACK_DIRECTORY:
			LLM_TRY(sink->write(sink->ctx, header->dir_off, packer->entries, header->dir_bytes, err));
			packer->phase = PACK_TABLES;
			break;
		case PACK_TABLES:
			LLM_TRY(sink->write(sink->ctx, header->tables_off, packer->tables.data, packer->tables.len, err));
			packer->phase = PACK_TENSORS;
			break;
		case PACK_TENSORS:
			if (packer->pool)
				LLM_TRY(pack_shared(packer, sink, stop, err));
			else if (next_job(packer, &next, &job))
			{
				LLM_TRY(read_job(packer, &job, packer->rows, NULL, err));
				LLM_TRY(pack_job(&job, packer->rows, packer->groups, sink, err));
				packer->place = next;
				break;
			}
			LLM_TRY(llm_source_check_unchanged(source, err));
			packer->phase = PACK_HEADER;
			break;
		case PACK_HEADER:
			LLM_TRY(sink->write(sink->ctx, 0, header, sizeof(*header), err));
			packer->phase = PACK_DONE;
			break;
		case PACK_DONE:
			break;
	}
	return LLM_OK;
}

LlmStatus
llm_packer_run(LlmPacker *packer, const LlmPackSink *sink, const LlmStop *stop, LlmError *err)
{
	while (packer->phase != PACK_DONE)
	{
		LLM_TRY(pack_step(packer, sink, stop, err));
		if (sink->taken)
			sink->taken(sink->ctx);
		if (packer->phase != PACK_DONE && llm_should_stop(stop))
			return LLM_PAUSED;
	}
	return LLM_OK;
}
