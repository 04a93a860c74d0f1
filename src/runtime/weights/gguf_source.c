/*
 * gguf_source.c: reading a GGUF's tensors, those of older files through views.
 */
#include "weights/gguf_source.h"

#include "weights/gguf_views.h"
#include "kernels.h"

#include <string.h>

typedef struct GgufSource
{
	LlmGguf		gguf;
	LlmGgufViews views;
	uint8_t    *matrix;			/* the matrix that is being transposed: that of this view and number */
	size_t		matrix_capacity;
	const LlmGgufView *matrix_view;
	int64_t		matrix_number;
	uint8_t    *blocks;			/* its rows as they are stored, and one of them decoded */
	size_t		blocks_capacity;
	uint8_t    *row;
	size_t		row_capacity;
} GgufSource;

static LlmStatus
make_room(const LlmSource *source, uint8_t **buffer, size_t *capacity, size_t n_bytes, LlmError *err)
{
	void	   *ptr;

	if (n_bytes <= *capacity)
		return LLM_OK;
	LLM_TRY(llm_alloc(source->allocator, n_bytes, 1, &ptr, err));
	llm_free(source->allocator, *buffer);
	*buffer = ptr;
	*capacity = n_bytes;
	return LLM_OK;
}

/* n elements of a stored tensor from element first on */
static LlmStatus
read_stored(const GgufSource *s, const LlmTensor *t, int64_t first, int64_t n, void *out, const LlmStop *stop, LlmError *err)
{
	const LlmTypeInfo *info = llmk_type_info(t->type);
	const uint64_t skipped = (uint64_t) (first / info->block_len) * (uint64_t) info->block_bytes;
	const size_t n_bytes = (size_t) (n / info->block_len) * (size_t) info->block_bytes;

	return llm_file_read(llm_gguf_file(&s->gguf, t->part), t->offset + skipped, out, n_bytes, stop, err);
}

/* rows first .. first + n - 1 of a stack, matrix by matrix */
static LlmStatus
read_rows(const GgufSource *s, const LlmTensor *t, const LlmGgufView *v, int64_t first, int64_t n, uint8_t *out, const LlmStop *stop,
		  LlmError *err)
{
	const int64_t n_cols = t->dim[0];

	for (int64_t done = 0; done < n;)
	{
		int64_t		m = (first + done) / t->dim[1];
		int64_t		r = (first + done) % t->dim[1];
		int64_t		count = t->dim[1] - r < n - done ? t->dim[1] - r : n - done;
		const LlmTensor *from = v->experts ? v->experts[m] : v->stored;
		int64_t		row = v->experts ? r : m * v->matrix_rows + v->row_off + r;

		LLM_TRY(read_stored(s, from, row * n_cols, count * n_cols, out, stop, err));
		out += (uint64_t) count * llm_gguf_row_bytes(from);
		done += count;
	}
	return LLM_OK;
}

/* stored rows of a type with blocks, as half-precision numbers */
static LlmStatus
decode_matrix(const LlmSource *source, const LlmGgufView *v, int64_t first_row, const LlmStop *stop, LlmError *err)
{
	GgufSource *s = source->impl;
	const LlmTensor *from = v->stored;
	const int64_t n_cols = from->dim[0];
	const size_t row_bytes = llm_gguf_row_bytes(from);
	float	   *row;

	LLM_TRY(make_room(source, &s->blocks, &s->blocks_capacity, (size_t) v->n_in * row_bytes, err));
	LLM_TRY(make_room(source, &s->row, &s->row_capacity, (size_t) n_cols * sizeof(float), err));
	LLM_TRY(read_stored(s, from, first_row * n_cols, v->n_in * n_cols, s->blocks, stop, err));
	row = (float *) s->row;
	for (int64_t r = 0; r < v->n_in; r++)
	{
		llmk_dequantize(from->type, s->blocks + (size_t) r * row_bytes, n_cols, row);
		for (int64_t c = 0; c < n_cols; c++)
			((uint16_t *) s->matrix)[r * n_cols + c] = llmk_float_to_half(row[c]);
	}
	return LLM_OK;
}

/* matrix m of a transposed view, in memory as it is stored */
static LlmStatus
load_matrix(const LlmSource *source, const LlmTensor *t, const LlmGgufView *v, int64_t m, const LlmStop *stop, LlmError *err)
{
	GgufSource *s = source->impl;
	const LlmTensor *from = v->stored;
	const int64_t first_row = m * v->matrix_rows + v->row_off;
	const size_t element = (size_t) llmk_type_info(t->type)->block_bytes;

	if (s->matrix_view == v && s->matrix_number == m)
		return LLM_OK;
	s->matrix_view = NULL;
	LLM_TRY(make_room(source, &s->matrix, &s->matrix_capacity, (size_t) (v->n_in * from->dim[0]) * element, err));
	if (t->type != from->type)
		LLM_TRY(decode_matrix(source, v, first_row, stop, err));
	else
		LLM_TRY(read_stored(s, from, first_row * from->dim[0], v->n_in * from->dim[0], s->matrix, stop, err));
	s->matrix_view = v;
	s->matrix_number = m;
	return LLM_OK;
}

static LlmStatus
read_transposed(const LlmSource *source, const LlmTensor *t, const LlmGgufView *v, int64_t first, int64_t n, uint8_t *out,
				const LlmStop *stop, LlmError *err)
{
	GgufSource *s = source->impl;
	const size_t element = (size_t) llmk_type_info(t->type)->block_bytes;

	for (int64_t u = first; u < first + n; u++)
	{
		LLM_TRY(load_matrix(source, t, v, u / t->dim[1], stop, err));
		for (int64_t i = 0; i < v->n_in; i++, out += element)
			memcpy(out, s->matrix + (size_t) (i * t->dim[1] + u % t->dim[1]) * element, element);
	}
	return LLM_OK;
}

static LlmStatus
read_gguf(const LlmSource *source, const LlmTensor *tensor, int64_t first, int64_t n, void *out, const LlmStop *stop, LlmError *err)
{
	const GgufSource *s = source->impl;
	const LlmGgufView *v = s->views.views ? &s->views.views[tensor - s->views.tensors] : NULL;

	if (!v || !v->stored)
		return read_stored(s, tensor, first, n, out, stop, err);
	if (v->transposed)
		return read_transposed(source, tensor, v, first / tensor->dim[0], n / tensor->dim[0], out, stop, err);
	return read_rows(s, tensor, v, first / tensor->dim[0], n / tensor->dim[0], out, stop, err);
}

static uint32_t
n_gguf_files(const LlmSource *source)
{
	return ((const GgufSource *) source->impl)->gguf.n_parts;
}

static const LlmFile *
gguf_file(const LlmSource *source, uint32_t i)
{
	return llm_gguf_file(&((const GgufSource *) source->impl)->gguf, i);
}

static void
free_source(const LlmAllocator *a, GgufSource *s)
{
	llm_free(a, s->matrix);
	llm_free(a, s->blocks);
	llm_free(a, s->row);
	llm_gguf_close(&s->gguf);
	llm_free(a, s);
}

static void
close_gguf(LlmSource *source)
{
	free_source(source->allocator, source->impl);
}

static const LlmSourceKind gguf_kind = {"GGUF", read_gguf, n_gguf_files, gguf_file, close_gguf};

LlmStatus
llm_gguf_source(LlmGguf *opened, const LlmAllocator *a, LlmSource *source, LlmError *err)
{
	GgufSource *s;
	void	   *ptr;
	LlmStatus	status = llm_alloc_zero(a, 1, sizeof(GgufSource), &ptr, err);

	if (status != LLM_OK)
	{
		llm_gguf_close(opened);
		return status;
	}
	s = ptr;
	s->gguf = *opened;
	status = llm_gguf_views(&s->gguf, &s->views, err);
	if (status != LLM_OK)
	{
		free_source(a, s);
		return status;
	}
	*source = (LlmSource) {
		.kind = &gguf_kind,
		.allocator = a,
		.path = s->gguf.file.path,
		.version = s->gguf.version,
		.meta = &s->gguf.meta,
		.n_tensors = s->views.n,
		.tensors = s->views.tensors,
		.by_name = s->views.by_name,
		.impl = s,
	};
	return LLM_OK;
}
