/*
 * pack.c: opening a pack and finding its tensors.
 *
 * Opening reads header, metadata, directory and tables only; nothing in them is believed: the checksums notice damage, and
 * every offset and size is compared with what its shape demands before a pointer is made from it, so that kernels
 * never leave the pack. Tensor data is not read.
 */
#include "weights/pack_layout.h"

#include "weights/sort_index.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static LlmStatus damaged(LlmError *err, const char *format,...) __attribute__((format(printf, 2, 3)));

static LlmStatus
damaged(LlmError *err, const char *format,...)
{
	char		detail[256];
	va_list		args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	llm_fail(err, LLM_E_FORMAT, "packed model is damaged");
	llm_error_detail(err, "%s", detail);
	llm_error_hint(err, "Remove it; it will be made again from the model file.");
	return LLM_E_FORMAT;
}

/* a range that begins aligned at or after `from` and ends at or before `to` */
static bool
range_ok(uint64_t off, uint64_t n_bytes, uint64_t from, uint64_t to)
{
	return off % LLMK_ALIGN == 0 && off >= from && off <= to && n_bytes <= to - off;
}

static LlmStatus
check_header(const uint8_t *base, size_t size, LlmPackHeader *header, LlmError *err)
{
	if ((uintptr_t) base % LLMK_ALIGN != 0)
		return llm_fail(err, LLM_E_ARGUMENT, "packed model is not aligned to %d bytes", LLMK_ALIGN);
	if (size < sizeof(*header))
		return damaged(err, "It has %zu bytes; the header alone has %zu.", size, sizeof(*header));
	memcpy(header, base, sizeof(*header));
	if (memcmp(header->magic, LLM_PACK_MAGIC, sizeof(header->magic)) != 0)
		return damaged(err, "It does not begin with the mark of a packed model.");
	if (header->byte_order != LLM_PACK_BYTE_ORDER || header->format != LLM_PACK_FORMAT ||
		header->pack_version != LLMK_PACK_VERSION)
	{
		llm_fail(err, LLM_E_FORMAT, "packed model was made by another version or machine");
		llm_error_detail(err, "Its versions are %u and %u; %d and %d are expected.", header->format, header->pack_version,
						 LLM_PACK_FORMAT, LLMK_PACK_VERSION);
		llm_error_hint(err, "Remove it; it will be made again from the model file.");
		return LLM_E_FORMAT;
	}
	if (header->header_checksum != llm_pack_checksum(0, header, offsetof(LlmPackHeader, header_checksum)))
		return damaged(err, "The checksum of its header is wrong.");
	if (header->total_bytes != size)
		return damaged(err, "It has %zu bytes; its header says %" PRIu64 ".", size, header->total_bytes);
	if (!range_ok(header->meta_off, header->meta_bytes, sizeof(*header), size) ||
		!range_ok(header->dir_off, header->dir_bytes, header->meta_off + header->meta_bytes, size) ||
		!range_ok(header->tables_off, header->tables_bytes, header->dir_off + header->dir_bytes, size) ||
		!range_ok(header->data_off, 0, header->tables_off + header->tables_bytes, size))
		return damaged(err, "Its metadata, directory, tables or data lie outside of it.");
	if (header->n_tensors > header->dir_bytes / sizeof(LlmPackEntry))
		return damaged(err, "Its directory of %" PRIu64 " bytes is too short for %" PRIu64 " tensors.", header->dir_bytes,
					   header->n_tensors);
	return LLM_OK;
}

static LlmStatus
check_body(const uint8_t *base, const LlmPackHeader *header, LlmError *err)
{
	if (llm_pack_body_checksum(base, header) != header->body_checksum)
		return damaged(err, "The checksum of its metadata, directory and tables is wrong.");
	return LLM_OK;
}

static LlmStatus
read_entry(const uint8_t *base, const LlmPackHeader *header, uint64_t i, LlmPackTensor *tensor, LlmError *err)
{
	LlmPackEntry entry;
	uint64_t	n_bytes;

	memcpy(&entry, base + header->dir_off + i * sizeof(entry), sizeof(entry));
	if (entry.name_off < header->n_tensors * sizeof(entry) || entry.name_off > header->dir_bytes ||
		entry.name_len > header->dir_bytes - entry.name_off)
		return damaged(err, "The name of tensor %" PRIu64 " lies outside of its directory.", i);
	if (!llmk_type_info(entry.type) || !llmk_type_info(entry.source_type) || entry.is_vector > 1 ||
		(entry.is_vector && entry.type != LLM_TYPE_F32))
		return damaged(err, "The type of tensor %" PRIu64 " is %u.", i, entry.type);
	if (!llm_pack_tensor_bytes(&entry, &n_bytes) || n_bytes != entry.n_bytes)
		return damaged(err, "Tensor %" PRIu64 " of %" PRId64 " x %" PRId64 " x %" PRId64 " elements has %" PRIu64 " bytes.", i,
					   entry.n_cols, entry.n_rows, entry.n_stack, entry.n_bytes);
	if (!range_ok(entry.data_off, entry.n_bytes, header->data_off, header->total_bytes))
		return damaged(err, "The data of tensor %" PRIu64 " lies outside of it: %" PRIu64 " bytes at byte %" PRIu64 ".", i,
					   entry.n_bytes, entry.data_off);

	tensor->name.data = (const char *) base + header->dir_off + entry.name_off;
	tensor->name.len = entry.name_len;
	tensor->type = (LlmType) entry.type;
	tensor->source_type = (LlmType) entry.source_type;
	tensor->is_vector = entry.is_vector != 0;
	tensor->n_cols = entry.n_cols;
	tensor->n_rows = entry.n_rows;
	tensor->n_stack = entry.n_stack;
	tensor->data = base + entry.data_off;
	tensor->n_bytes = entry.n_bytes;
	return LLM_OK;
}

static LlmStatus
read_entries(LlmPack *pack, const LlmPackHeader *header, LlmError *err)
{
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(&pack->arena, header->n_tensors, sizeof(LlmPackTensor), &ptr, err));
	pack->tensors = ptr;
	pack->n_tensors = header->n_tensors;
	for (uint64_t i = 0; i < header->n_tensors; i++)
	{
		LLM_TRY(read_entry(pack->base, header, i, &pack->tensors[i], err));
		if (i > 0 && llm_str_compare(pack->tensors[i - 1].name, pack->tensors[i].name) >= 0)
			return damaged(err, "Tensor %" PRIu64 " is not in the order of names.", i);
	}
	return LLM_OK;
}

static LlmStatus
read_pack(LlmPack *pack, const LlmAllocator *a, LlmError *err)
{
	LlmPackHeader header;
	size_t		used;

	LLM_TRY(check_header(pack->base, pack->size, &header, err));
	LLM_TRY(check_body(pack->base, &header, err));
	LLM_TRY(llm_meta_parse(pack->base + header.meta_off, header.meta_bytes, header.n_meta_entries, a, &pack->meta, &used,
						   err));
	if (used != header.meta_bytes)
		return damaged(err, "Its metadata ends at byte %zu of %" PRIu64 ".", used, header.meta_bytes);
	memcpy(pack->digest, header.digest, LLM_DIGEST_BYTES);
	pack->source_bytes = header.source_bytes;
	pack->tables = pack->base + header.tables_off;
	pack->tables_bytes = header.tables_bytes;
	return read_entries(pack, &header, err);
}

int
llm_pack_format(void)
{
	return LLMK_PACK_VERSION * 100 + LLM_PACK_FORMAT;
}

LlmStatus
llm_pack_check(const uint8_t *base, size_t size, uint8_t *digest, LlmError *err)
{
	LlmPackHeader header;

	LLM_TRY(check_header(base, size, &header, err));
	LLM_TRY(check_body(base, &header, err));
	memcpy(digest, header.digest, LLM_DIGEST_BYTES);
	return LLM_OK;
}

LlmStatus
llm_pack_open(const uint8_t *base, size_t size, const LlmAllocator *a, LlmPack *pack, LlmError *err)
{
	LlmPack		fresh = {.base = base, .size = size};
	LlmStatus	status;

	llm_arena_init(&fresh.arena, a, 0);
	status = read_pack(&fresh, a, err);
	if (status != LLM_OK)
	{
		llm_pack_close(&fresh);
		return status;
	}
	*pack = fresh;
	return LLM_OK;
}

void
llm_pack_close(LlmPack *pack)
{
	llm_meta_free(&pack->meta);
	if (pack->arena.allocator)
		llm_arena_free(&pack->arena);
	memset(pack, 0, sizeof(*pack));
}

const LlmPackTensor *
llm_pack_find(const LlmPack *pack, const char *name)
{
	LlmStr		wanted = {name, strlen(name)};
	uint64_t	low = 0;
	uint64_t	high = pack->n_tensors;

	while (low < high)
	{
		uint64_t	middle = low + (high - low) / 2;
		int			order = llm_str_compare(wanted, pack->tensors[middle].name);

		if (order == 0)
			return &pack->tensors[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static LlmStatus
missing(const char *name, LlmError *err)
{
	llm_fail(err, LLM_E_FORMAT, "model has no tensor \"%s\"", name);
	llm_error_detail(err, "A model of its architecture needs it.");
	return LLM_E_FORMAT;
}

LlmStatus
llm_pack_matrix(const LlmPack *pack, const char *name, int64_t n_rows, int64_t n_cols, int64_t index, LlmkMatrix *out,
				LlmError *err)
{
	const LlmPackTensor *tensor = llm_pack_find(pack, name);

	if (!tensor)
		return missing(name, err);
	if (tensor->is_vector || tensor->n_rows != n_rows || tensor->n_cols != n_cols || index < 0 || index >= tensor->n_stack)
	{
		llm_fail(err, LLM_E_FORMAT, "tensor \"%s\" has the wrong shape", name);
		llm_error_detail(err, "It is a %s of %" PRId64 " columns, %" PRId64 " rows, %" PRId64 " deep; %" PRId64
						 " columns, %" PRId64 " rows, at least %" PRId64 " deep are expected.",
						 tensor->is_vector ? "vector" : "matrix", tensor->n_cols, tensor->n_rows, tensor->n_stack, n_cols,
						 n_rows, index + 1);
		return LLM_E_FORMAT;
	}
	out->type = tensor->type;
	out->n_rows = n_rows;
	out->n_cols = n_cols;
	out->data = tensor->data + (size_t) index * (tensor->n_bytes / (size_t) tensor->n_stack);
	return LLM_OK;
}

LlmStatus
llm_pack_vector(const LlmPack *pack, const char *name, int64_t n, bool required, const float **out, LlmError *err)
{
	const LlmPackTensor *tensor = llm_pack_find(pack, name);

	if (!tensor && required)
		return missing(name, err);
	if (!tensor)
	{
		*out = NULL;
		return LLM_OK;
	}
	if (!tensor->is_vector || tensor->n_cols != n)
	{
		llm_fail(err, LLM_E_FORMAT, "tensor \"%s\" has the wrong shape", name);
		llm_error_detail(err, "It is a %s of %" PRId64 " columns and %" PRId64 " rows; a vector of %" PRId64 " is expected.",
						 tensor->is_vector ? "vector" : "matrix", tensor->n_cols, tensor->n_rows, n);
		return LLM_E_FORMAT;
	}
	*out = (const float *) tensor->data;
	return LLM_OK;
}
