/*
 * gguf.c: reading the directory of a GGUF file.
 *
 *   "GGUF" | version u32 | tensors u64 | keys u64 | key/value pairs | tensor entries | padding | tensor data
 *
 * The directory has no length field, so it is read in growing pieces while it is walked: an entry that is not all there
 * asks for more bytes and is started again. Counts are compared with what the rest of the file could hold before
 * anything is allocated for them. When the walk is done, all bytes of the directory are in memory and are checked as a
 * whole: keys and names unique, tensors aligned, inside the file and apart from each other. Source: ggml/docs/gguf.md.
 */
#include "weights/gguf_file.h"

#include "weights/meta_entry.h"
#include "weights/sort_index.h"

#include <inttypes.h>

#define HEADER_BYTES 24
#define FIRST_READ_BYTES ((size_t) 256 << 10)
#define MAX_DIRECTORY_BYTES ((size_t) 256 << 20)	/* the largest public vocabularies need 20 MB */
#define MAX_TENSORS 262144
#define MAX_NAME_BYTES 64		/* of the specification */
#define MIN_TENSOR_ENTRY_BYTES 33	/* name length, one byte of name, dimension count, one dimension, type, offset */
#define DEFAULT_ALIGNMENT 32
#define MIN_ALIGNMENT 8
#define MAX_ALIGNMENT 65536

typedef struct DirectoryReader
{
	LlmGguf    *gguf;
	const LlmAllocator *allocator;
	const LlmStop *stop;
	LlmByteReader r;			/* over gguf->directory */
	size_t		capacity;
	uint64_t	n_keys;
} DirectoryReader;

/* have at least `need` bytes of the file (need <= its size) in memory; more are read ahead, so that calls stay few */
static LlmStatus
fill(DirectoryReader *d, size_t need, LlmError *err)
{
	LlmGguf    *gguf = d->gguf;
	size_t		target = FIRST_READ_BYTES;

	if (need > MAX_DIRECTORY_BYTES)
	{
		llm_fail(err, LLM_E_LIMIT, "directory of model file \"%s\" is too large", gguf->file.path);
		llm_error_detail(err, "At least %zu bytes of metadata and tensor list are needed; the limit is %zu bytes.", need,
						 MAX_DIRECTORY_BYTES);
		return LLM_E_LIMIT;
	}
	while (target < need || (target < 2 * d->r.n_have && target < MAX_DIRECTORY_BYTES))
		target *= 2;
	if (target > gguf->file.size_bytes)
		target = gguf->file.size_bytes;
	if (target > d->capacity)
	{
		void	   *grown;

		LLM_TRY(llm_alloc(d->allocator, target, 1, &grown, err));
		if (d->r.n_have > 0)
			memcpy(grown, gguf->directory, d->r.n_have);
		llm_free(d->allocator, gguf->directory);
		gguf->directory = grown;
		d->capacity = target;
	}
	LLM_TRY(llm_file_read(&gguf->file, d->r.n_have, gguf->directory + d->r.n_have, target - d->r.n_have, d->stop, err));
	d->r.bytes = gguf->directory;
	d->r.n_have = target;
	return LLM_OK;
}

static LlmStatus
wrong_magic(const LlmGguf *gguf, LlmError *err)
{
	const uint8_t *b = gguf->directory;

	llm_fail(err, LLM_E_FORMAT, "\"%s\" is not a GGUF file", gguf->file.path);
	llm_error_detail(err, "It begins with bytes %02x %02x %02x %02x; a GGUF file begins with 47 47 55 46.", b[0], b[1],
					 b[2], b[3]);
	if (memcmp(b, "version https://git-lfs", 23) == 0)
		llm_error_hint(err, "It is a Git LFS pointer; fetch the file itself with \"git lfs pull\".");
	else
		llm_error_hint(err, "Give a model file in GGUF format.");
	return LLM_E_FORMAT;
}

static LlmStatus
check_version(const LlmGguf *gguf, LlmError *err)
{
	uint32_t	version = gguf->version;

	if (version == 2 || version == 3)
		return LLM_OK;
	if (version == 0)
		return llm_fail(err, LLM_E_FORMAT, "model file \"%s\" has GGUF version 0", gguf->file.path);
	if ((version & 0xFFFF) == 0)
	{
		llm_fail(err, LLM_E_UNSUPPORTED, "model file \"%s\" is big-endian", gguf->file.path);
		llm_error_hint(err, "Convert it to little-endian GGUF.");
	}
	else if (version == 1)
	{
		llm_fail(err, LLM_E_UNSUPPORTED, "model file \"%s\" has GGUF version 1", gguf->file.path);
		llm_error_hint(err, "Convert the model again with a current converter; versions 2 and 3 can be read.");
	}
	else
	{
		llm_fail(err, LLM_E_UNSUPPORTED, "model file \"%s\" has GGUF version %u", gguf->file.path, version);
		llm_error_hint(err, "Versions 2 and 3 can be read.");
	}
	return LLM_E_UNSUPPORTED;
}

static LlmStatus
read_header(DirectoryReader *d, LlmError *err)
{
	LlmGguf    *gguf = d->gguf;
	uint64_t	rest;

	d->r.n_total = gguf->file.size_bytes;
	if (gguf->file.size_bytes < HEADER_BYTES)
	{
		llm_fail(err, LLM_E_FORMAT, "\"%s\" is not a GGUF file", gguf->file.path);
		llm_error_detail(err, "It has %" PRIu64 " bytes; the header alone has %d.", gguf->file.size_bytes, HEADER_BYTES);
		return LLM_E_FORMAT;
	}
	LLM_TRY(fill(d, HEADER_BYTES, err));
	if (memcmp(gguf->directory, "GGUF", 4) != 0)
		return wrong_magic(gguf, err);
	gguf->version = llm_load_u32(gguf->directory + 4);
	LLM_TRY(check_version(gguf, err));
	gguf->n_tensors = llm_load_u64(gguf->directory + 8);
	d->n_keys = llm_load_u64(gguf->directory + 16);
	d->r.pos = HEADER_BYTES;

	rest = gguf->file.size_bytes - HEADER_BYTES;
	if (gguf->n_tensors > rest / MIN_TENSOR_ENTRY_BYTES || d->n_keys > rest / LLM_META_MIN_ENTRY_BYTES)
	{
		llm_fail(err, LLM_E_FORMAT, "header of model file \"%s\" is damaged", gguf->file.path);
		llm_error_detail(err, "It claims %" PRIu64 " tensors and %" PRIu64 " metadata keys; the file has %" PRIu64 " bytes.",
						 gguf->n_tensors, d->n_keys, gguf->file.size_bytes);
		return LLM_E_FORMAT;
	}
	if (gguf->n_tensors > MAX_TENSORS || d->n_keys > LLM_META_MAX_ENTRIES)
	{
		llm_fail(err, LLM_E_LIMIT, "model file \"%s\" has too many tensors or metadata keys", gguf->file.path);
		llm_error_detail(err, "It has %" PRIu64 " tensors and %" PRIu64 " keys; the limits are %d and %d.", gguf->n_tensors,
						 d->n_keys, MAX_TENSORS, LLM_META_MAX_ENTRIES);
		return LLM_E_LIMIT;
	}
	return LLM_OK;
}

/* find the end of the key/value pairs, reading as needed; their contents are indexed afterwards */
static LlmStatus
walk_metadata(DirectoryReader *d, LlmError *err)
{
	for (uint64_t i = 0; i < d->n_keys; i++)
	{
		LlmMetaEntry entry;

		for (;;)
		{
			LLM_TRY(llm_meta_read_entry(&d->r, &entry, err));
			if (d->r.need == 0)
				break;
			LLM_TRY(fill(d, d->r.need, err));
		}
	}
	d->gguf->meta_off = HEADER_BYTES;
	d->gguf->meta_len = d->r.pos - HEADER_BYTES;
	return LLM_OK;
}

/* one tensor entry as stored; shape and place are checked later */
static LlmBytes
take_tensor(LlmByteReader *r, LlmTensor *tensor, uint32_t *type)
{
	uint32_t	n_dims;
	LlmBytes	got;

	tensor->n_dims = 0;
	tensor->part = 0;
	tensor->name.data = NULL;
	got = llm_bytes_string(r, &tensor->name);
	if (got != LLM_BYTES_OK || tensor->name.len > MAX_NAME_BYTES)
		return got;
	got = llm_bytes_u32(r, &n_dims);
	if (got != LLM_BYTES_OK)
		return got;
	tensor->n_dims = n_dims <= INT32_MAX ? (int) n_dims : INT32_MAX;
	if (n_dims < 1 || n_dims > LLM_MAX_DIMS)
		return LLM_BYTES_OK;	/* refused by the check */
	for (uint32_t i = 0; i < LLM_MAX_DIMS; i++)
	{
		uint64_t	dim = 1;

		if (i < n_dims)
			got = llm_bytes_u64(r, &dim);
		if (got != LLM_BYTES_OK)
			return got;
		tensor->dim[i] = dim <= INT64_MAX ? (int64_t) dim : -1;
	}
	got = llm_bytes_u32(r, type);
	if (got != LLM_BYTES_OK)
		return got;
	return llm_bytes_u64(r, &tensor->offset);
}

static LlmStatus
damaged_tensor(const LlmGguf *gguf, uint64_t i, const LlmTensor *tensor, LlmError *err)
{
	if (tensor->name.data && tensor->name.len <= MAX_NAME_BYTES)
		return llm_fail(err, LLM_E_FORMAT, "tensor \"%.*s\" of model file \"%s\" is damaged", (int) tensor->name.len,
						tensor->name.data, gguf->file.path);
	return llm_fail(err, LLM_E_FORMAT, "tensor %" PRIu64 " of model file \"%s\" is damaged", i, gguf->file.path);
}

/* what can be said of an entry alone: name, type, shape, size */
static LlmStatus
check_tensor(const LlmGguf *gguf, uint64_t i, LlmTensor *tensor, uint32_t type, LlmError *err)
{
	const LlmTypeInfo *info;
	int64_t		elements = 1;
	uint64_t	n_bytes;

	if (tensor->name.len == 0 || tensor->name.len > MAX_NAME_BYTES || memchr(tensor->name.data, '\0', tensor->name.len))
	{
		damaged_tensor(gguf, i, tensor, err);
		llm_error_detail(err, "Its name has %zu bytes; 1 to %d without zero bytes are possible.", tensor->name.len,
						 MAX_NAME_BYTES);
		return LLM_E_FORMAT;
	}
	if (tensor->n_dims < 1 || tensor->n_dims > LLM_MAX_DIMS)
	{
		damaged_tensor(gguf, i, tensor, err);
		llm_error_detail(err, "It has %d dimensions; 1 to %d are possible.", tensor->n_dims, LLM_MAX_DIMS);
		return LLM_E_FORMAT;
	}
	info = llmk_type_info(type);
	if (!info || info->block_bytes <= 0 || info->block_len <= 0)
	{
		llm_fail(err, LLM_E_UNSUPPORTED, "tensor \"%.*s\" of model file \"%s\" has unknown type %u",
				 (int) tensor->name.len, tensor->name.data, gguf->file.path, type);
		if (info)
			llm_error_detail(err, "Type %s is not one that a file holds.", info->name);
		return LLM_E_UNSUPPORTED;
	}
	tensor->type = type;
	for (int k = 0; k < tensor->n_dims; k++)
		if (tensor->dim[k] <= 0 || __builtin_mul_overflow(elements, tensor->dim[k], &elements))
		{
			damaged_tensor(gguf, i, tensor, err);
			llm_error_detail(err, "Dimension %d is %" PRId64 "; dimensions are at least 1 and their product below 2^63.",
							 k, tensor->dim[k]);
			return LLM_E_FORMAT;
		}
	if (tensor->dim[0] % info->block_len != 0)
	{
		damaged_tensor(gguf, i, tensor, err);
		llm_error_detail(err, "Its rows have %" PRId64 " elements; type %s needs a multiple of %d.", tensor->dim[0],
						 info->name, info->block_len);
		return LLM_E_FORMAT;
	}
	if (__builtin_mul_overflow((uint64_t) (elements / info->block_len), (uint64_t) info->block_bytes, &n_bytes))
	{
		damaged_tensor(gguf, i, tensor, err);
		llm_error_detail(err, "It has %" PRId64 " elements of type %s, more bytes than a file can have.", elements,
						 info->name);
		return LLM_E_FORMAT;
	}
	tensor->n_bytes = n_bytes;
	return LLM_OK;
}

/* the tensor list; names point into gguf->directory, which may move while it grows, so they are taken again at the end */
static LlmStatus
walk_tensors(DirectoryReader *d, LlmError *err)
{
	LlmGguf    *gguf = d->gguf;
	size_t		first = d->r.pos;
	void	   *ptr;

	if (gguf->n_tensors > (d->r.n_total - first) / MIN_TENSOR_ENTRY_BYTES)
	{
		llm_fail(err, LLM_E_FORMAT, "tensor list of model file \"%s\" reaches past its end", gguf->file.path);
		llm_error_detail(err, "%" PRIu64 " tensors from byte %zu on do not fit; the file has %" PRIu64 " bytes.",
						 gguf->n_tensors, first, d->r.n_total);
		return LLM_E_FORMAT;
	}
	LLM_TRY(llm_arena_alloc(&gguf->arena, gguf->n_tensors, sizeof(LlmTensor), &ptr, err));
	gguf->tensors = ptr;
	for (uint64_t i = 0; i < gguf->n_tensors; i++)
	{
		LlmTensor  *tensor = &gguf->tensors[i];
		uint32_t	type = 0;

		for (;;)
		{
			size_t		start = d->r.pos;
			LlmBytes	got = take_tensor(&d->r, tensor, &type);

			if (got == LLM_BYTES_END && tensor->name.len <= MAX_NAME_BYTES)
			{
				damaged_tensor(gguf, i, tensor, err);
				llm_error_detail(err, "Its entry at byte %zu reaches past the end of the file at byte %" PRIu64 ".", start,
								 d->r.n_total);
				return LLM_E_FORMAT;
			}
			if (got != LLM_BYTES_MORE || tensor->name.len > MAX_NAME_BYTES)
				break;
			d->r.pos = start;
			LLM_TRY(fill(d, d->r.need, err));
		}
		LLM_TRY(check_tensor(gguf, i, tensor, type, err));
	}

	/* the buffer has its final place now: read the names again */
	d->r.pos = first;
	for (uint64_t i = 0; i < gguf->n_tensors; i++)
	{
		uint32_t	type;

		(void) take_tensor(&d->r, &gguf->tensors[i], &type);
	}
	return LLM_OK;
}

static LlmStatus
read_alignment(const LlmGguf *gguf, uint64_t *alignment, LlmError *err)
{
	*alignment = DEFAULT_ALIGNMENT;
	LLM_TRY(llm_meta_uint(&gguf->meta, "general.alignment", false, UINT64_MAX, alignment, err));
	if (*alignment < MIN_ALIGNMENT || *alignment > MAX_ALIGNMENT || (*alignment & (*alignment - 1)) != 0)
	{
		llm_fail(err, LLM_E_FORMAT, "metadata key \"general.alignment\" is out of range");
		llm_error_detail(err, "It is %" PRIu64 "; powers of two from %d to %d are possible.", *alignment, MIN_ALIGNMENT,
						 MAX_ALIGNMENT);
		return LLM_E_FORMAT;
	}
	return LLM_OK;
}

/* turn offsets within the data into offsets in the file, and check that the data is there */
static LlmStatus
place_tensors(LlmGguf *gguf, uint64_t directory_end, uint64_t alignment, LlmError *err)
{
	uint64_t	data_off = (directory_end + alignment - 1) & ~(alignment - 1);

	for (uint64_t i = 0; i < gguf->n_tensors; i++)
	{
		LlmTensor  *tensor = &gguf->tensors[i];
		uint64_t	begin;
		uint64_t	end;

		if (tensor->offset % alignment != 0)
		{
			damaged_tensor(gguf, i, tensor, err);
			llm_error_detail(err, "Its offset %" PRIu64 " is not a multiple of the alignment %" PRIu64 ".", tensor->offset,
							 alignment);
			return LLM_E_FORMAT;
		}
		if (__builtin_add_overflow(data_off, tensor->offset, &begin) ||
			__builtin_add_overflow(begin, tensor->n_bytes, &end) || end > gguf->file.size_bytes)
		{
			llm_fail(err, LLM_E_FORMAT, "tensor \"%.*s\" reaches past the end of model file \"%s\"",
					 (int) tensor->name.len, tensor->name.data, gguf->file.path);
			llm_error_detail(err, "It has %" PRIu64 " bytes at offset %" PRIu64 " of the data, which begins at byte %" PRIu64
							 "; the file has %" PRIu64 " bytes.", tensor->n_bytes, tensor->offset, data_off,
							 gguf->file.size_bytes);
			llm_error_hint(err, "The file is incomplete or damaged; fetch it again.");
			return LLM_E_FORMAT;
		}
		tensor->offset = begin;
	}
	return LLM_OK;
}

static int
compare_names(const void *ctx, uint32_t a, uint32_t b)
{
	const LlmTensor *tensors = ctx;

	return llm_str_compare(tensors[a].name, tensors[b].name);
}

static int
compare_offsets(const void *ctx, uint32_t a, uint32_t b)
{
	const LlmTensor *tensors = ctx;

	return (tensors[a].offset > tensors[b].offset) - (tensors[a].offset < tensors[b].offset);
}

LlmStatus
llm_gguf_index_names(LlmGguf *gguf, uint32_t *index, LlmError *err)
{
	const LlmTensor *tensors = gguf->tensors;
	const uint32_t n = (uint32_t) gguf->n_tensors;

	llm_sort_index(index, n, compare_names, tensors);
	for (uint32_t i = 1; i < n; i++)
		if (compare_names(tensors, index[i - 1], index[i]) == 0)
			return llm_fail(err, LLM_E_FORMAT, "tensor \"%.*s\" appears more than once in model file \"%s\"",
							(int) tensors[index[i]].name.len, tensors[index[i]].name.data, gguf->file.path);
	gguf->by_name = index;
	return LLM_OK;
}

/* no two tensors share a byte or a name; leaves gguf->by_name sorted by name */
static LlmStatus
check_apart(LlmGguf *gguf, LlmError *err)
{
	const LlmTensor *tensors = gguf->tensors;
	uint32_t	n = (uint32_t) gguf->n_tensors;
	uint32_t   *index;
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(&gguf->arena, n, sizeof(uint32_t), &ptr, err));
	index = ptr;
	llm_sort_index(index, n, compare_offsets, tensors);
	for (uint32_t i = 1; i < n; i++)
	{
		const LlmTensor *before = &tensors[index[i - 1]];
		const LlmTensor *after = &tensors[index[i]];

		if (after->offset - before->offset < before->n_bytes)
		{
			damaged_tensor(gguf, index[i], after, err);
			llm_error_detail(err, "Its data at byte %" PRIu64 " overlaps tensor \"%.*s\", %" PRIu64 " bytes at byte %" PRIu64
							 ".", after->offset, (int) before->name.len, before->name.data, before->n_bytes,
							 before->offset);
			return LLM_E_FORMAT;
		}
	}
	return llm_gguf_index_names(gguf, index, err);
}

static LlmStatus
read_directory(DirectoryReader *d, LlmError *err)
{
	LlmGguf    *gguf = d->gguf;
	uint64_t	directory_end;
	uint64_t	alignment;
	size_t		used;

	LLM_TRY(read_header(d, err));
	LLM_TRY(walk_metadata(d, err));
	LLM_TRY(walk_tensors(d, err));
	directory_end = d->r.pos;
	LLM_TRY(llm_meta_parse(gguf->directory + gguf->meta_off, gguf->meta_len, d->n_keys, d->allocator, &gguf->meta, &used,
						   err));
	LLM_TRY(read_alignment(gguf, &alignment, err));
	LLM_TRY(place_tensors(gguf, directory_end, alignment, err));
	return check_apart(gguf, err);
}

LlmStatus
llm_gguf_open_file(const char *path, const LlmAllocator *a, const LlmStop *stop, LlmGguf *gguf, LlmError *err)
{
	LlmFile		file;

	LLM_TRY(llm_file_open(path, &file, err));
	return llm_gguf_read_file(&file, a, stop, gguf, err);
}

LlmStatus
llm_gguf_read_file(const LlmFile *file, const LlmAllocator *a, const LlmStop *stop, LlmGguf *gguf, LlmError *err)
{
	LlmGguf		fresh;
	DirectoryReader d = {.gguf = &fresh, .allocator = a, .stop = stop};
	LlmStatus	status;

	memset(&fresh, 0, sizeof(fresh));
	fresh.n_parts = 1;
	fresh.file = *file;
	llm_arena_init(&fresh.arena, a, 0);
	status = read_directory(&d, err);
	if (status != LLM_OK)
	{
		llm_gguf_close(&fresh);
		return status;
	}
	*gguf = fresh;
	return LLM_OK;
}

void
llm_gguf_close(LlmGguf *gguf)
{
	const LlmAllocator *a = gguf->arena.allocator;

	if (!a)
		return;
	for (uint32_t i = 0; gguf->others && i + 1 < gguf->n_parts; i++)
		llm_gguf_close(&gguf->others[i]);
	llm_free(a, gguf->others);
	llm_file_close(&gguf->file);
	llm_meta_free(&gguf->meta);
	llm_free(a, gguf->directory);
	llm_arena_free(&gguf->arena);
	memset(gguf, 0, sizeof(*gguf));
	gguf->file.fd = -1;
}

const LlmTensor *
llm_gguf_find(const LlmGguf *gguf, const char *name)
{
	return llm_tensor_find(gguf->tensors, gguf->by_name, gguf->n_tensors, name);
}
