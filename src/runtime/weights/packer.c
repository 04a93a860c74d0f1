/*
 * packer.c: making a pack from a source of weights.
 *
 * begin lays everything out: entries in the order of names, data in the order of the file, so that the source is read
 * from front to back. run then writes part after part, the tensors through bounded buffers (pack_batches.c); its place is
 * (tensor, matrix of the stack, group), which advances only after the sink took a batch. An outline has the
 * short vectors first, and skips all other tensors.
 */
#include "weights/packer.h"

#include <inttypes.h>
#include <string.h>

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
		LlmPackBatch		batch;

		if (!llm_packer_writes(packer, &source->tensors[i]))
			continue;
		batch = llm_pack_batch(&source->tensors[i]);
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
		if (!llm_packer_writes(packer, &source->tensors[i]))
			largest = entry->n_bytes > largest ? entry->n_bytes : largest;
		else if (__builtin_add_overflow(off, entry->n_bytes, &off) || off > INT64_MAX)
			return llm_fail(err, LLM_E_LIMIT, "model file \"%s\" is too large when packed", source->path);
	}
	for (uint64_t i = 0; i < source->n_tensors; i++)
	{
		if (!llm_packer_writes(packer, &source->tensors[i]))
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
	LLM_TRY(make_directory(packer, err));
	LLM_TRY(lay_out(packer, err));
	count_buffers(packer);
	fill_header(packer, digest);
	return llm_packer_make_buffers(packer, 1, err);
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

/* ---- writing ---- */

static LlmStatus
pack_step(LlmPacker *packer, const LlmPackSink *sink, const LlmStop *stop, LlmError *err)
{
	const LlmSource *source = packer->source;
	const LlmPackHeader *header = &packer->header;
	bool		more;

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
			LLM_TRY(llm_packer_run_tensors(packer, sink, stop, &more, err));
			if (more)
				break;
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
