/*
 * safetensors.c: reading the header of a safetensors file.
 */
#include "weights/hf/safetensors.h"

#include "base/str.h"
#include "weights/byte_reader.h"
#include "weights/hf/json_scan.h"
#include "weights/sort_index.h"

#include <inttypes.h>
#include <string.h>

#define MAX_HEADER_BYTES ((uint64_t) 100 << 20) /* of the format's own reader */
#define MAX_TENSORS 1048576
#define MIN_TENSOR_BYTES 50		/* a name of one character and its facts: bounds the count by the header's length */

static const struct
{
	const char *name;
	int			n_bytes;
}			dtypes[] = {
	[LLM_HF_F64] = {"F64", 8},
	[LLM_HF_F32] = {"F32", 4},
	[LLM_HF_F16] = {"F16", 2},
	[LLM_HF_BF16] = {"BF16", 2},
	[LLM_HF_F8_E4M3] = {"F8_E4M3", 1},
	[LLM_HF_F8_E5M2] = {"F8_E5M2", 1},
	[LLM_HF_F8_E8M0] = {"F8_E8M0", 1},
	[LLM_HF_I64] = {"I64", 8},
	[LLM_HF_I32] = {"I32", 4},
	[LLM_HF_I16] = {"I16", 2},
	[LLM_HF_I8] = {"I8", 1},
	[LLM_HF_U64] = {"U64", 8},
	[LLM_HF_U32] = {"U32", 4},
	[LLM_HF_U16] = {"U16", 2},
	[LLM_HF_U8] = {"U8", 1},
	[LLM_HF_BOOL] = {"BOOL", 1},
};

const char *
llm_hf_dtype_name(LlmHfDtype dtype)
{
	return dtypes[dtype].name;
}

int
llm_hf_dtype_bytes(LlmHfDtype dtype)
{
	return dtypes[dtype].n_bytes;
}

typedef struct HeaderReader
{
	const LlmFile *file;
	uint32_t	number;
	uint64_t	data_off;		/* where the data begins, and how long it is */
	uint64_t	data_bytes;
	LlmJsonScan scan;
	LlmHfStored *tensors;
	uint64_t	n_tensors;
	uint64_t	capacity;
} HeaderReader;

static LlmStatus
damaged(const HeaderReader *r, LlmStr name)
{
	return llm_fail(r->scan.err, LLM_E_FORMAT, "tensor \"%.*s\" of file \"%s\" is damaged", (int) (name.len < 100 ? name.len : 100),
					name.data, r->file->path);
}

static LlmStatus
read_dtype(HeaderReader *r, LlmHfStored *t)
{
	LlmStr		name;

	LLM_TRY(llm_scan_string(&r->scan, &name));
	for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); i++)
		if (llm_str_equals(name, dtypes[i].name))
		{
			t->dtype = (LlmHfDtype) i;
			return LLM_OK;
		}
	return llm_fail(r->scan.err, LLM_E_UNSUPPORTED, "tensor \"%.*s\" of file \"%s\" has unknown dtype \"%.*s\"",
					(int) (t->name.len < 60 ? t->name.len : 60), t->name.data, r->file->path,
					(int) (name.len < 20 ? name.len : 20), name.data);
}

static LlmStatus
read_shape(HeaderReader *r, LlmHfStored *t)
{
	uint64_t	dim;

	t->n_dims = 0;
	LLM_TRY(llm_scan_expect(&r->scan, '['));
	if (llm_scan_take(&r->scan, ']'))
		return LLM_OK;
	do
	{
		LLM_TRY(llm_scan_uint(&r->scan, &dim));
		if (t->n_dims == LLM_HF_MAX_DIMS)
			return llm_fail(r->scan.err, LLM_E_UNSUPPORTED, "tensor \"%.*s\" of file \"%s\" has more than %d dimensions",
							(int) (t->name.len < 60 ? t->name.len : 60), t->name.data, r->file->path, LLM_HF_MAX_DIMS);
		if (dim < 1 || dim > INT64_MAX)
		{
			damaged(r, t->name);
			llm_error_detail(r->scan.err, "Its dimension %d is %" PRIu64 "; dimensions are 1 to 2^63 - 1.", t->n_dims, dim);
			return LLM_E_FORMAT;
		}
		t->dim[t->n_dims++] = (int64_t) dim;
	} while (llm_scan_take(&r->scan, ','));
	return llm_scan_expect(&r->scan, ']');
}

static LlmStatus
read_place(HeaderReader *r, LlmHfStored *t)
{
	uint64_t	begin;
	uint64_t	end;

	LLM_TRY(llm_scan_expect(&r->scan, '['));
	LLM_TRY(llm_scan_uint(&r->scan, &begin));
	LLM_TRY(llm_scan_expect(&r->scan, ','));
	LLM_TRY(llm_scan_uint(&r->scan, &end));
	LLM_TRY(llm_scan_expect(&r->scan, ']'));
	if (begin > end || end > r->data_bytes)
	{
		damaged(r, t->name);
		llm_error_detail(r->scan.err, "Its data_offsets are %" PRIu64 " and %" PRIu64 "; the data has %" PRIu64 " bytes.", begin, end,
						 r->data_bytes);
		return LLM_E_FORMAT;
	}
	t->offset = r->data_off + begin;
	t->n_bytes = end - begin;
	return LLM_OK;
}

/* shape and type say how long the data is */
static LlmStatus
check_length(HeaderReader *r, const LlmHfStored *t)
{
	uint64_t	n = (uint64_t) dtypes[t->dtype].n_bytes;
	bool		fits = true;

	for (int i = 0; i < t->n_dims; i++)
		fits = fits && !__builtin_mul_overflow(n, (uint64_t) t->dim[i], &n);
	if (fits && n == t->n_bytes)
		return LLM_OK;
	damaged(r, t->name);
	llm_error_detail(r->scan.err, "Its data has %" PRIu64 " bytes; %d dimensions of dtype %s, the first %" PRId64 ", need %s%" PRIu64 ".",
					 t->n_bytes, t->n_dims, dtypes[t->dtype].name, t->n_dims > 0 ? t->dim[0] : 1, fits ? "" : "more than ",
					 fits ? n : UINT64_MAX);
	return LLM_E_FORMAT;
}

static LlmStatus
read_tensor(HeaderReader *r, LlmStr name)
{
	LlmHfStored *t = &r->tensors[r->n_tensors];
	enum { DTYPE = 1, SHAPE = 2, PLACE = 4 };
	int			have = 0;

	*t = (LlmHfStored) {.name = name, .file = r->number, .dim = {1, 1, 1, 1, 1, 1, 1, 1}};
	LLM_TRY(llm_scan_expect(&r->scan, '{'));
	do
	{
		LlmStr		key;
		int			bit;

		LLM_TRY(llm_scan_string(&r->scan, &key));
		LLM_TRY(llm_scan_expect(&r->scan, ':'));
		bit = llm_str_equals(key, "dtype") ? DTYPE : llm_str_equals(key, "shape") ? SHAPE : llm_str_equals(key, "data_offsets") ? PLACE : 0;
		if (bit == 0 || (have & bit) != 0)
			return llm_scan_fail(&r->scan, "dtype, shape and data_offsets, each once,");
		have |= bit;
		LLM_TRY(bit == DTYPE ? read_dtype(r, t) : bit == SHAPE ? read_shape(r, t) : read_place(r, t));
	} while (llm_scan_take(&r->scan, ','));
	LLM_TRY(llm_scan_expect(&r->scan, '}'));
	if (have != (DTYPE | SHAPE | PLACE))
		return llm_scan_fail(&r->scan, "dtype, shape and data_offsets of a tensor");
	r->n_tensors++;
	return check_length(r, t);
}

static LlmStatus
read_entries(HeaderReader *r)
{
	LLM_TRY(llm_scan_expect(&r->scan, '{'));
	if (llm_scan_take(&r->scan, '}'))
		return llm_scan_end(&r->scan);
	do
	{
		LlmStr		name;

		LLM_TRY(llm_scan_string(&r->scan, &name));
		LLM_TRY(llm_scan_expect(&r->scan, ':'));
		if (llm_str_equals(name, "__metadata__"))
			LLM_TRY(llm_scan_skip(&r->scan));
		else if (r->n_tensors == r->capacity)
			return llm_fail(r->scan.err, LLM_E_LIMIT, "file \"%s\" has more than %" PRIu64 " tensors", r->file->path, r->capacity);
		else
			LLM_TRY(read_tensor(r, name));
	} while (llm_scan_take(&r->scan, ','));
	LLM_TRY(llm_scan_expect(&r->scan, '}'));
	return llm_scan_end(&r->scan);
}

static int
compare_places(const void *ctx, uint32_t a, uint32_t b)
{
	const LlmHfStored *t = ctx;

	if (t[a].offset != t[b].offset)
		return t[a].offset < t[b].offset ? -1 : 1;
	return (t[a].n_bytes > t[b].n_bytes) - (t[a].n_bytes < t[b].n_bytes);
}

/* the data is covered exactly; *sorted (n_tensors) are the tensors in its order */
static LlmStatus
order_tensors(HeaderReader *r, LlmArena *arena, LlmHfStored **sorted)
{
	uint64_t	at = r->data_off;
	uint32_t   *order;
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(arena, r->n_tensors + 1, sizeof(uint32_t), &ptr, r->scan.err));
	order = ptr;
	llm_sort_index(order, (uint32_t) r->n_tensors, compare_places, r->tensors);
	LLM_TRY(llm_arena_alloc(arena, r->n_tensors + 1, sizeof(LlmHfStored), &ptr, r->scan.err));
	*sorted = ptr;
	for (uint64_t i = 0; i < r->n_tensors; i++)
	{
		const LlmHfStored *t = &r->tensors[order[i]];

		if (t->offset != at)
		{
			damaged(r, t->name);
			llm_error_detail(r->scan.err, "Its data begins at byte %" PRIu64 " of the file, but the data before it ends at byte %"
							 PRIu64 ".", t->offset, at);
			return LLM_E_FORMAT;
		}
		at += t->n_bytes;
		(*sorted)[i] = *t;
	}
	if (at == r->data_off + r->data_bytes)
		return LLM_OK;
	llm_fail(r->scan.err, LLM_E_FORMAT, "file \"%s\" has data that belongs to no tensor", r->file->path);
	llm_error_detail(r->scan.err, "The tensors end at byte %" PRIu64 "; the file has %" PRIu64 " bytes.", at,
					 r->data_off + r->data_bytes);
	return LLM_E_FORMAT;
}

/* the length of the header's text, checked */
static LlmStatus
read_length(const LlmFile *file, const LlmStop *stop, uint64_t *len, LlmError *err)
{
	uint8_t		bytes[8];

	if (file->size_bytes < sizeof(bytes))
	{
		llm_fail(err, LLM_E_FORMAT, "\"%s\" is not a safetensors file", file->path);
		llm_error_detail(err, "It has %" PRIu64 " bytes; the length of its header alone has %zu.", file->size_bytes, sizeof(bytes));
		return LLM_E_FORMAT;
	}
	LLM_TRY(llm_file_read(file, 0, bytes, sizeof(bytes), stop, err));
	*len = llm_load_u64(bytes);
	if (*len > file->size_bytes - sizeof(bytes))
	{
		llm_fail(err, LLM_E_FORMAT, "\"%s\" is not a safetensors file, or not complete", file->path);
		llm_error_detail(err, "Its header has %" PRIu64 " bytes by the first 8 bytes; the file has %" PRIu64 ".", *len, file->size_bytes);
		if (memcmp(bytes, "version ", sizeof(bytes)) == 0)
			llm_error_hint(err, "It is a Git LFS pointer; fetch the file itself with \"git lfs pull\".");
		return LLM_E_FORMAT;
	}
	if (*len > MAX_HEADER_BYTES)
	{
		llm_fail(err, LLM_E_LIMIT, "header of file \"%s\" is too large", file->path);
		llm_error_detail(err, "It has %" PRIu64 " bytes; the limit is %" PRIu64 ".", *len, MAX_HEADER_BYTES);
		return LLM_E_LIMIT;
	}
	return LLM_OK;
}

LlmStatus
llm_safetensors_read(const LlmFile *file, uint32_t number, LlmArena *arena, const LlmStop *stop,
					 LlmHfStored **tensors, uint64_t *n_tensors, LlmError *err)
{
	HeaderReader r = {.file = file, .number = number, .scan = {.what = file->path, .err = err}};
	uint64_t	len;
	void	   *ptr;

	LLM_TRY(read_length(file, stop, &len, err));
	r.data_off = 8 + len;
	r.data_bytes = file->size_bytes - r.data_off;
	LLM_TRY(llm_arena_alloc(arena, len + 1, 1, &ptr, err));
	LLM_TRY(llm_file_read(file, 8, ptr, len, stop, err));
	r.scan.text = ptr;
	r.scan.len = len;
	r.capacity = len / MIN_TENSOR_BYTES + 1;
	if (r.capacity > MAX_TENSORS)
		r.capacity = MAX_TENSORS;
	LLM_TRY(llm_arena_alloc(arena, r.capacity, sizeof(LlmHfStored), &ptr, err));
	r.tensors = ptr;
	LLM_TRY(read_entries(&r));
	LLM_TRY(order_tensors(&r, arena, tensors));
	*n_tensors = r.n_tensors;
	return LLM_OK;
}
