/*
 * packer.c: making a pack from a source of weights.
 *
 * begin lays everything out: entries in the order of names, data in the order of the file, so that the source is read
 * from front to back. run then moves the tensors through two bounded buffers, a batch of row groups (about 1 MB) at a
 * time; its place is (tensor, matrix of the stack, group), which advances only after the sink took the batch, so a pause
 * or a failed write repeats at most one batch. An outline has the short vectors first, and skips all other tensors.
 */
#include "weights/pack_layout.h"

#include <inttypes.h>
#include <string.h>

#define BATCH_BYTES ((uint64_t) 1 << 20)
#define VECTOR_BATCH ((int64_t) 65536)	/* elements; a multiple of every block length */

typedef enum PackerPhase
{
	PACK_METADATA,
	PACK_DIRECTORY,
	PACK_TABLES,
	PACK_TENSORS,
	PACK_HEADER,
	PACK_DONE
} PackerPhase;

struct LlmPacker
{
	const LlmSource *source;
	const LlmAllocator *allocator;
	bool		outline;
	LlmStr		tables;
	LlmPackHeader header;
	LlmPackEntry *entries;		/* start of the directory's bytes, which are header.dir_bytes long */
	uint32_t   *rank;			/* by tensor of the source: its entry */
	uint8_t    *rows;			/* a batch as the file holds it */
	uint8_t    *groups;			/* the same batch as the pack holds it */
	size_t		rows_capacity;
	size_t		groups_capacity;

	PackerPhase phase;
	uint64_t	tensor;			/* the place: tensor of the source, */
	int64_t		matrix;			/* matrix of its stack, */
	int64_t		done;			/* groups of the matrix, or elements of the vector, that are written */
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

static LlmStatus
prepare(LlmPacker *packer, const uint8_t *digest, LlmError *err)
{
	void	   *ptr;

	LLM_TRY(make_directory(packer, err));
	LLM_TRY(lay_out(packer, err));
	count_buffers(packer);
	fill_header(packer, digest);
	LLM_TRY(llm_alloc_aligned(packer->allocator, packer->rows_capacity, 1, &ptr, err));
	packer->rows = ptr;
	LLM_TRY(llm_alloc_aligned(packer->allocator, packer->groups_capacity, 1, &ptr, err));
	packer->groups = ptr;
	return LLM_OK;
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

/* the next batch of a vector */
static LlmStatus
pack_elements(LlmPacker *packer, const LlmTensor *tensor, const LlmPackEntry *entry, const LlmPackSink *sink, LlmError *err)
{
	int64_t		rest = entry->n_cols - packer->done;
	int64_t		count = rest < VECTOR_BATCH ? rest : VECTOR_BATCH;

	LLM_TRY(llm_source_read(packer->source, tensor, packer->done, count, packer->rows, NULL, err));
	llmk_dequantize(tensor->type, packer->rows, count, (float *) packer->groups);
	LLM_TRY(sink->write(sink->ctx, entry->data_off + (uint64_t) packer->done * sizeof(float), packer->groups,
						(size_t) count * sizeof(float), err));
	packer->done += count;
	if (packer->done == entry->n_cols)
	{
		packer->done = 0;
		packer->tensor++;
	}
	return LLM_OK;
}

/* the next batch of groups of a matrix */
static LlmStatus
pack_groups(LlmPacker *packer, const LlmTensor *tensor, const LlmPackEntry *entry, const LlmPackSink *sink, LlmError *err)
{
	const Batch batch = batch_of(tensor);
	const uint64_t in_row = row_bytes(tensor);
	const size_t out_group = llmk_group_bytes(tensor->type, tensor->dim[0]);
	const int64_t n_groups = (entry->n_rows - 1) / LLMK_ROWS + 1;
	const int64_t first = packer->done * LLMK_ROWS;
	int64_t		count = n_groups - packer->done < batch.count ? n_groups - packer->done : batch.count;
	int64_t		n_rows = entry->n_rows - first < count * LLMK_ROWS ? entry->n_rows - first : count * LLMK_ROWS;
	uint64_t	matrix_bytes = entry->n_bytes / (uint64_t) entry->n_stack;
	int64_t		first_row = packer->matrix * entry->n_rows + first;
	uint64_t	out_off = entry->data_off + (uint64_t) packer->matrix * matrix_bytes + (uint64_t) packer->done * out_group;

	LLM_TRY(llm_source_read(packer->source, tensor, first_row * entry->n_cols, n_rows * entry->n_cols, packer->rows, NULL, err));
	for (int64_t g = 0; g < count; g++)
	{
		int64_t		rows = n_rows - g * LLMK_ROWS < LLMK_ROWS ? n_rows - g * LLMK_ROWS : LLMK_ROWS;

		llmk_pack_group(tensor->type, tensor->dim[0], packer->rows + (uint64_t) (g * LLMK_ROWS) * in_row, (int) rows,
						packer->groups + (size_t) g * out_group);
	}
	LLM_TRY(sink->write(sink->ctx, out_off, packer->groups, (size_t) count * out_group, err));
	packer->done += count;
	if (packer->done == n_groups)
	{
		packer->done = 0;
		if (++packer->matrix == entry->n_stack)
		{
			packer->matrix = 0;
			packer->tensor++;
		}
	}
	return LLM_OK;
}

static LlmStatus
pack_step(LlmPacker *packer, const LlmPackSink *sink, LlmError *err)
{
	const LlmSource *source = packer->source;
	const LlmPackHeader *header = &packer->header;

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
			if (packer->tensor < source->n_tensors)
			{
				const LlmTensor *tensor = &source->tensors[packer->tensor];
				const LlmPackEntry *entry = &packer->entries[packer->rank[packer->tensor]];

				if (!is_written(packer, tensor))
				{
					packer->tensor++;
					break;
				}
				return entry->is_vector ? pack_elements(packer, tensor, entry, sink, err) :
					pack_groups(packer, tensor, entry, sink, err);
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
		LLM_TRY(pack_step(packer, sink, err));
		if (packer->phase != PACK_DONE && llm_should_stop(stop))
			return LLM_PAUSED;
	}
	return LLM_OK;
}
