/*
 * hf_source.c: reading tensors through their views, and opening a folder.
 */
#include "weights/hf/hf_source.h"

#include "weights/hf/hf_adapter.h"
#include "weights/hf/hf_tensors.h"
#include "weights/hf/hf_tokens.h"
#include "kernels.h"

#include <string.h>

#define MAX_MATRIX_BYTES ((size_t) 1 << 30) /* of a matrix that is transposed in memory */

typedef struct HfSource
{
	LlmHfFolder folder;
	LlmHfTensors tensors;
	LlmMetaWriter writer;		/* the bytes that meta points into */
	LlmMeta		meta;
	char		path[1024];
	const LlmAllocator *allocator;
	uint8_t    *scratch;		/* rows before their columns or values are changed */
	size_t		scratch_capacity;
	uint8_t    *matrix;			/* the matrix that is being transposed: that of this view and number */
	size_t		matrix_capacity;
	const LlmHfView *matrix_view;
	int64_t		matrix_number;
} HfSource;

/* ---- buffers ---- */

static LlmStatus
make_room(HfSource *s, uint8_t **buffer, size_t *capacity, size_t n_bytes, LlmError *err)
{
	void	   *ptr;

	if (n_bytes <= *capacity)
		return LLM_OK;
	LLM_TRY(llm_alloc(s->allocator, n_bytes, 1, &ptr, err));
	llm_free(s->allocator, *buffer);
	*buffer = ptr;
	*capacity = n_bytes;
	return LLM_OK;
}

/* ---- rows ---- */

/* row r of those that are taken span by span from all groups */
static int64_t
ungroup(const LlmHfView *v, int64_t r)
{
	const LlmHfSpan *span = v->spans;
	const int64_t n_groups = v->matrix_rows / v->group_rows;

	for (; r >= span->n * n_groups; span++)
		r -= span->n * n_groups;
	return r / span->n * v->group_rows + span->off + r % span->n;
}

/* row r of a matrix, with the halves of each head in turn, or groups undone */
static int64_t
turn(const LlmHfView *v, int64_t r)
{
	int64_t		i;

	if (v->group_rows > 0)
		return ungroup(v, r);
	if (v->turn_rows == 0)
		return r;
	i = r % v->turn_rows;
	return r - i + i % 2 * (v->turn_rows / 2) + i / 2;
}

/* where unit u (a row, or an element of a vector) is: the weight and its row */
static const LlmHfWeight *
place_of(const LlmHfView *v, int64_t u, int64_t *row)
{
	int64_t		m = u / v->n_rows;
	int64_t		r = turn(v, u % v->n_rows);

	if (v->n_weights > 1)
	{
		*row = v->row_off + r * v->row_step;
		return v->weights[m];
	}
	*row = m * v->matrix_rows + v->row_off + r * v->row_step;
	return v->weights[0];
}

/* units first .. first + n - 1, whole rows of the weights; rows that follow each other there are read together */
static LlmStatus
read_rows(const HfSource *s, const LlmHfView *v, int64_t first, int64_t n, uint8_t *out, const LlmStop *stop, LlmError *err)
{
	for (int64_t done = 0; done < n;)
	{
		int64_t		row;
		int64_t		next;
		int64_t		count = 1;
		const LlmHfWeight *w = place_of(v, first + done, &row);

		while (done + count < n && place_of(v, first + done + count, &next) == w && next == row + count)
			count++;
		LLM_TRY(w->decoder->read(&s->folder, w, row, count, out, stop, err));
		out += llm_hf_row_bytes(w, count);
		done += count;
	}
	return LLM_OK;
}

/* n elements of a row that lie `step` elements apart */
static void
gather(const uint8_t *from, int64_t step, size_t element_bytes, int64_t n, uint8_t *out)
{
	for (int64_t i = 0; i < n; i++)
		memcpy(out + (size_t) i * element_bytes, from + (size_t) (i * step) * element_bytes, element_bytes);
}

static LlmStatus
read_columns(HfSource *s, const LlmHfView *v, int64_t n_cols, int64_t first, int64_t n, uint8_t *out, const LlmStop *stop, LlmError *err)
{
	const LlmHfWeight *w = v->weights[0];
	const size_t element = (size_t) llmk_type_info(w->type)->block_bytes;

	LLM_TRY(make_room(s, &s->matrix, &s->matrix_capacity, llm_hf_row_bytes(w, 1), err));
	s->matrix_view = NULL;
	for (int64_t u = first; u < first + n; u++, out += (size_t) n_cols * element)
	{
		LLM_TRY(read_rows(s, v, u, 1, s->matrix, stop, err));
		gather(s->matrix + (size_t) v->col_off * element, v->col_step, element, n_cols, out);
	}
	return LLM_OK;
}

/* matrix m of a transposed view, in memory */
static LlmStatus
load_matrix(HfSource *s, const LlmHfView *v, int64_t m, const LlmStop *stop, LlmError *err)
{
	const LlmHfWeight *w = v->weights[v->n_weights > 1 ? m : 0];
	const int64_t first = (v->n_weights > 1 ? 0 : m * v->matrix_rows) + v->row_off;
	const size_t n_bytes = llm_hf_row_bytes(w, v->n_in);

	if (s->matrix_view == v && s->matrix_number == m)
		return LLM_OK;
	if (n_bytes > MAX_MATRIX_BYTES)
	{
		llm_fail(err, LLM_E_LIMIT, "tensor \"%.*s\" has matrices that are too large to transpose",
				 (int) (w->name.len < 100 ? w->name.len : 100), w->name.data);
		llm_error_detail(err, "They have %zu bytes; the limit is %zu.", n_bytes, MAX_MATRIX_BYTES);
		return LLM_E_LIMIT;
	}
	s->matrix_view = NULL;
	LLM_TRY(make_room(s, &s->matrix, &s->matrix_capacity, n_bytes, err));
	LLM_TRY(w->decoder->read(&s->folder, w, first, v->n_in, s->matrix, stop, err));
	s->matrix_view = v;
	s->matrix_number = m;
	return LLM_OK;
}

static LlmStatus
read_transposed(HfSource *s, const LlmHfView *v, int64_t first, int64_t n, uint8_t *out, const LlmStop *stop, LlmError *err)
{
	const LlmHfWeight *w = v->weights[0];
	const size_t element = (size_t) llmk_type_info(w->type)->block_bytes;

	for (int64_t u = first; u < first + n; u++, out += (size_t) v->n_in * element)
	{
		int64_t		column = v->col_off + u % v->n_rows * v->col_step;

		LLM_TRY(load_matrix(s, v, u / v->n_rows, stop, err));
		gather(s->matrix + (size_t) column * element, w->n_cols, element, v->n_in, out);
	}
	return LLM_OK;
}

/* ---- tensors ---- */

/* elements as their weights have them, in the weights' type */
static LlmStatus
read_elements(HfSource *s, const LlmTensor *t, const LlmHfView *v, int64_t first, int64_t n, uint8_t *out, const LlmStop *stop, LlmError *err)
{
	const LlmHfWeight *w = v->weights[0];
	const int64_t unit = w->n_cols == 1 && !v->transposed ? 1 : t->dim[0];
	const size_t element = (size_t) llmk_type_info(w->type)->block_bytes;

	if (first % unit != 0 || n % unit != 0)
	{
		/* part of a vector that is one row of its weight */
		LLM_TRY(make_room(s, &s->matrix, &s->matrix_capacity, llm_hf_row_bytes(w, 1), err));
		s->matrix_view = NULL;
		LLM_TRY(read_rows(s, v, first / unit, 1, s->matrix, stop, err));
		memcpy(out, s->matrix + (size_t) (first % unit) * element, (size_t) n * element);
		return LLM_OK;
	}
	if (v->transposed)
		return read_transposed(s, v, first / unit, n / unit, out, stop, err);
	if (v->col_step != 1)
		return read_columns(s, v, t->dim[0], first / unit, n / unit, out, stop, err);
	return read_rows(s, v, first / unit, n / unit, out, stop, err);
}

static LlmStatus
read_tensor(const LlmSource *source, const LlmTensor *tensor, int64_t first, int64_t n, void *out, const LlmStop *stop, LlmError *err)
{
	HfSource   *s = source->impl;
	const LlmHfView *v = &s->tensors.views[tensor - s->tensors.tensors];
	float	   *floats = out;
	LlmType		type;

	if (v->given)
	{
		memcpy(out, v->given + first, (size_t) n * sizeof(float));
		return LLM_OK;
	}
	if (v->value == LLM_HF_VALUE_AS_IS)
		return read_elements(s, tensor, v, first, n, out, stop, err);
	type = v->weights[0]->type;
	LLM_TRY(make_room(s, &s->scratch, &s->scratch_capacity, (size_t) n * (size_t) llmk_type_info(type)->block_bytes, err));
	LLM_TRY(read_elements(s, tensor, v, first, n, s->scratch, stop, err));
	llmk_dequantize(type, s->scratch, n, floats);
	for (int64_t i = 0; i < n; i++)
		floats[i] = v->value == LLM_HF_VALUE_PLUS_ONE ? floats[i] + 1 : v->value == LLM_HF_VALUE_TIMES ? floats[i] * v->factor
			: (float) -llmk_exp(floats[i]);
	for (int64_t i = 0; v->row_factors && i < n; i++)
		floats[i] *= v->row_factors[tensor->n_dims > 1 ? (first + i) / tensor->dim[0] : first + i];
	return LLM_OK;
}

/* ---- files ---- */

static uint32_t
n_folder_files(const LlmSource *source)
{
	return ((const HfSource *) source->impl)->folder.list.n_files;
}

static const LlmFile *
folder_file(const LlmSource *source, uint32_t i)
{
	return &((const HfSource *) source->impl)->folder.files[i];
}

/* ---- opening ---- */

static void
free_source(HfSource *s)
{
	llm_meta_free(&s->meta);
	llm_meta_writer_free(&s->writer);
	llm_free(s->allocator, s->scratch);
	llm_free(s->allocator, s->matrix);
	llm_hf_folder_close(&s->folder);
	llm_free(s->allocator, s);
}

static void
close_folder(LlmSource *source)
{
	free_source(source->impl);
}

static const LlmSourceKind folder_kind = {"Hugging Face folder", read_tensor, n_folder_files, folder_file, close_folder};

/* metadata and tensors from what is in the folder */
static LlmStatus
convert(HfSource *s, LlmHfParams *p, const LlmStop *stop, LlmError *err)
{
	LlmHfWeights weights;
	size_t		used;

	if (llm_hf_is_adapter(&s->folder))
		LLM_TRY(llm_hf_adapter_read(p, stop));
	else
	{
		LLM_TRY(llm_hf_params_read(p, stop));
		LLM_TRY(llm_hf_tokens(&s->folder, p->config.root, p->n_vocab, stop, &s->writer, err));
	}
	LLM_TRY(llm_hf_weights(&s->folder, &p->quantization, &weights, stop, err));
	LLM_TRY(llm_hf_tensors(p, &weights, &s->tensors, err));
	return llm_meta_parse((const uint8_t *) s->writer.buf.data, s->writer.buf.len, s->writer.n_entries, s->allocator, &s->meta, &used,
						  err);
}

static LlmStatus
open_source(const char *path, HfSource *s, const LlmStop *stop, LlmError *err)
{
	LlmHfParams p = {.folder = &s->folder, .meta = &s->writer, .err = err};
	LlmStatus	status;

	LLM_TRY(llm_hf_folder_open(path, s->allocator, stop, &s->folder, err));
	status = convert(s, &p, stop, err);
	llm_hf_params_close(&p);
	return status;
}

LlmStatus
llm_hf_open(const char *path, const LlmAllocator *a, const LlmStop *stop, LlmSource *source, LlmError *err)
{
	HfSource   *s;
	void	   *ptr;
	LlmStatus	status;

	LLM_TRY(llm_alloc_zero(a, 1, sizeof(HfSource), &ptr, err));
	s = ptr;
	s->allocator = a;
	llm_meta_writer_init(&s->writer, a);
	strncpy(s->path, path, sizeof(s->path) - 1);
	status = open_source(path, s, stop, err);
	if (status != LLM_OK)
	{
		free_source(s);
		return status;
	}
	*source = (LlmSource) {
		.kind = &folder_kind,
		.allocator = a,
		.path = s->path,
		.meta = &s->meta,
		.n_tensors = s->tensors.n,
		.tensors = s->tensors.tensors,
		.by_name = s->tensors.by_name,
		.impl = s,
	};
	return LLM_OK;
}
