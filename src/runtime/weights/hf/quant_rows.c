/*
 * quant_rows.c: rows of a quantized matrix, decoded or re-laid from what is stored.
 *
 * What lies row by row is read row by row. What is spread over a whole tensor (transposed matrices, factors of tiles, zero
 * points packed down the columns) is read once and kept while rows of the same matrix are asked for.
 */
#include "weights/hf/quant.h"

#include "kernels.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- numbers ---- */

static float
bits_to_float(uint32_t bits)
{
	float		x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

/* 8-bit floats; E4M3 has a NaN and no infinity. Source: arXiv 2209.05433 */
static float
f8_number(uint8_t x, int mantissa_bits, int bias)
{
	const int	mantissa = x & ((1 << mantissa_bits) - 1);
	const int	exponent = (x & 127) >> mantissa_bits;
	float		magnitude;

	if (mantissa_bits == 3 ? (x & 127) == 127 : exponent == 31)
		return NAN;
	if (exponent == 0)
		magnitude = ldexpf((float) mantissa, 1 - bias - mantissa_bits);
	else
		magnitude = ldexpf((float) (mantissa + (1 << mantissa_bits)), exponent - bias - mantissa_bits);
	return x & 128 ? -magnitude : magnitude;
}

float
llm_hf_number(LlmHfDtype dtype, const uint8_t *bytes)
{
	uint32_t	u32;
	uint16_t	u16;
	double		f64;

	switch (dtype)
	{
		case LLM_HF_F64:
			memcpy(&f64, bytes, 8);
			return (float) f64;
		case LLM_HF_F32:
			memcpy(&u32, bytes, 4);
			return bits_to_float(u32);
		case LLM_HF_F16:
			memcpy(&u16, bytes, 2);
			return llmk_half_to_float(u16);
		case LLM_HF_BF16:
			memcpy(&u16, bytes, 2);
			return bits_to_float((uint32_t) u16 << 16);
		case LLM_HF_F8_E4M3:
			return f8_number(*bytes, 3, 7);
		case LLM_HF_F8_E5M2:
			return f8_number(*bytes, 2, 15);
		case LLM_HF_F8_E8M0:
			return *bytes == 255 ? NAN : ldexpf(1, (int) *bytes - 127);
		default:
			return NAN;
	}
}

static LlmStatus
bad_value(const LlmHfStored *t, int64_t row, int64_t col, LlmError *err)
{
	llm_fail(err, LLM_E_FORMAT, "tensor \"%.*s\" holds a value that is no number", (int) (t->name.len < 200 ? t->name.len : 200),
			 t->name.data);
	llm_error_detail(err, "It is in row %" PRId64 ", column %" PRId64 ".", row, col);
	return LLM_E_FORMAT;
}

/* ---- reading ---- */

static void
forget(LlmHfReader *r)
{
	for (int i = 0; i < LLM_HF_KEPT; i++)
		llm_free(r->store->allocator, r->kept[i].bytes);
	memset(r->kept, 0, sizeof(r->kept));
}

void
llm_hf_reader_free(LlmHfReader *r)
{
	if (r->store == NULL)
		return;
	forget(r);
	llm_free(r->store->allocator, r->rows);
	llm_free(r->store->allocator, r->decoded);
	r->rows = r->decoded = NULL;
	r->rows_bytes = r->decoded_bytes = 0;
}

/* a whole tensor, kept until another matrix is asked for */
static LlmStatus
keep(LlmHfReader *r, const LlmHfStored *t, const uint8_t **out, const LlmStop *stop, LlmError *err)
{
	LlmHfKept  *kept = r->kept;
	void	   *bytes;
	LlmStatus	status;

	while (kept->stored != NULL && kept->stored != t)
		kept++;					/* a matrix is of four tensors at most */
	if (kept->stored == NULL)
	{
		LLM_TRY(llm_alloc(r->store->allocator, 1, (size_t) t->n_bytes, &bytes, err));
		status = llm_file_read(&r->store->files[t->file], t->offset, bytes, (size_t) t->n_bytes, stop, err);
		if (status != LLM_OK)
		{
			llm_free(r->store->allocator, bytes);
			return status;
		}
		kept->stored = t;
		kept->bytes = bytes;
	}
	*out = kept->bytes;
	return LLM_OK;
}

static LlmStatus
make_room(const LlmHfReader *r, uint8_t **buffer, size_t *capacity, size_t n_bytes, LlmError *err)
{
	void	   *bytes;

	if (*capacity >= n_bytes)
		return LLM_OK;
	LLM_TRY(llm_alloc(r->store->allocator, 1, n_bytes, &bytes, err));
	llm_free(r->store->allocator, *buffer);
	*buffer = bytes;
	*capacity = n_bytes;
	return LLM_OK;
}

/* row `row` of a tensor whose rows have row_bytes */
static LlmStatus
read_row(LlmHfReader *r, const LlmHfStored *t, int64_t row, uint64_t row_bytes, uint8_t **out, const LlmStop *stop, LlmError *err)
{
	LLM_TRY(make_room(r, &r->rows, &r->rows_bytes, (size_t) row_bytes, err));
	*out = r->rows;
	return llm_file_read(&r->store->files[t->file], t->offset + (uint64_t) row * row_bytes, r->rows, (size_t) row_bytes, stop, err);
}

/* ---- floats ---- */

static LlmStatus
fp8_row(LlmHfReader *r, const LlmHfMatrix *m, int64_t row, uint16_t *out, const LlmStop *stop, LlmError *err)
{
	const int	size = llm_hf_dtype_bytes(m->scale->dtype);
	const uint8_t *scales;
	uint8_t    *codes;

	LLM_TRY(keep(r, m->scale, &scales, stop, err));
	LLM_TRY(read_row(r, m->weight, row, (uint64_t) m->n_cols, &codes, stop, err));
	scales += row / m->tile_rows * m->scale_cols * size;
	for (int64_t c = 0; c < m->n_cols; c++)
	{
		float		x = llm_hf_number(m->weight->dtype, codes + c) *
			(llm_hf_number(m->scale->dtype, scales + c / m->group * size) / m->factor);

		if (!isfinite(x))
			return bad_value(m->weight, row, c, err);
		out[c] = llmk_float_to_half(x);
	}
	return LLM_OK;
}

/* codes two a byte, the even column low, to a block's low nibbles for its first half and high ones for the second */
static void
relay_nibbles(const uint8_t *codes, int n, uint8_t *qs)
{
	for (int i = 0; i < n / 2; i++)
	{
		int			low = codes[i / 2] >> (4 * (i % 2)) & 15;
		int			high = codes[(i + n / 2) / 2] >> (4 * (i % 2)) & 15;

		qs[i] = (uint8_t) (low | high << 4);
	}
}

static LlmStatus
nvfp4_row(LlmHfReader *r, const LlmHfMatrix *m, int64_t row, LlmBlockNVFP4 *out, const LlmStop *stop, LlmError *err)
{
	uint8_t    *bytes;

	LLM_TRY(read_row(r, m->scale, row, (uint64_t) m->scale_cols, &bytes, stop, err));
	for (int64_t g = 0; g < m->scale_cols; g++)
	{
		if ((bytes[g] & 127) == 127 || (bytes[g] & 128 && bytes[g] != 128))
			return bad_value(m->scale, row, g, err);
		out[g / 4].d[g % 4] = bytes[g] & 127;
	}
	LLM_TRY(read_row(r, m->weight, row, (uint64_t) (m->n_cols / 2), &bytes, stop, err));
	for (int64_t g = 0; g < m->scale_cols; g++)
		relay_nibbles(bytes + g * 8, 16, out[g / 4].qs + g % 4 * 8);
	return LLM_OK;
}

static LlmStatus
mxfp4_row(LlmHfReader *r, const LlmHfMatrix *m, int64_t row, LlmBlockMXFP4 *out, const LlmStop *stop, LlmError *err)
{
	uint8_t    *bytes;

	LLM_TRY(read_row(r, m->scale, row, (uint64_t) m->scale_cols, &bytes, stop, err));
	for (int64_t g = 0; g < m->scale_cols; g++)
	{
		if (bytes[g] == 255)
			return bad_value(m->scale, row, g, err);
		out[g].e = bytes[g];
	}
	LLM_TRY(read_row(r, m->weight, row, (uint64_t) (m->n_cols / 2), &bytes, stop, err));
	for (int64_t g = 0; g < m->scale_cols; g++)
		relay_nibbles(bytes + g * 16, 32, out[g].qs);
	return LLM_OK;
}

/* ---- whole numbers ---- */

/* where the codes, factors and zero points of a row are */
typedef struct IntegerRow
{
	const LlmHfMatrix *m;
	int64_t		row;
	const uint8_t *codes;		/* of the row, or of the whole tensor where it is transposed */
	const uint8_t *scales;		/* the same */
	const uint8_t *zeros;
	const uint8_t *index;
} IntegerRow;

static uint32_t
word(const uint8_t *bytes, int64_t i)
{
	uint32_t	w;

	memcpy(&w, bytes + i * 4, 4);
	return w;
}

/* code i of codes that lie one after the other in 32-bit words */
static int
packed_code(const uint8_t *bytes, int64_t i, int bits)
{
	const int	per_word = 32 / bits;

	return (int) (word(bytes, i / per_word) >> (i % per_word * bits) & ((1u << bits) - 1));
}

/* AWQ: where in a word of eight the codes of rows 0 to 7 are */
static const int awq_place[8] = {0, 4, 1, 5, 2, 6, 3, 7};

static int
code_at(const IntegerRow *r, int64_t c)
{
	const LlmHfMatrix *m = r->m;
	const int	mask = (1 << m->bits) - 1;

	if (m->kind == LLM_HF_QUANT_GPTQ)
	{
		const int	per_word = 32 / m->bits;

		return (int) (word(r->codes, c / per_word * m->n_rows + r->row) >> (c % per_word * m->bits)) & mask;
	}
	if (m->kind == LLM_HF_QUANT_AWQ)
		return (int) (word(r->codes, c * (m->n_rows / 8) + r->row / 8) >> (4 * awq_place[r->row % 8])) & mask;
	if (m->weight->dtype == LLM_HF_I8)
		return (int8_t) r->codes[c] + 128;
	return packed_code(r->codes, c, m->bits);
}

static int
zero_at(const IntegerRow *r, int64_t group)
{
	const LlmHfMatrix *m = r->m;
	const int	per_word = 32 / m->bits;

	if (m->zero == NULL)
		return 1 << (m->bits - 1);
	switch (m->kind)
	{
		case LLM_HF_QUANT_GPTQ:
			return packed_code(r->zeros + group * ((m->n_rows - 1) / per_word + 1) * 4, r->row, m->bits) + m->zero_offset;
		case LLM_HF_QUANT_AWQ:
			return (int) (word(r->zeros, group * (m->n_rows / 8) + r->row / 8) >> (4 * awq_place[r->row % 8])) & 15;
		default:
			if (m->zero->dtype == LLM_HF_I8)
				return (int8_t) r->zeros[(m->tile_rows > 1 ? 0 : r->row) * m->scale_cols + group] + 128;
			/* packed down the columns */
			return (int) (word(r->zeros, r->row / per_word * m->scale_cols + group) >> (r->row % per_word * m->bits)) &
				((1 << m->bits) - 1);
	}
}

static float
scale_at(const IntegerRow *r, int64_t group)
{
	const LlmHfMatrix *m = r->m;
	const int	size = llm_hf_dtype_bytes(m->scale->dtype);

	if (m->kind == LLM_HF_QUANT_ROWS)
		return llm_hf_number(m->scale->dtype, r->scales + ((m->tile_rows > 1 ? 0 : r->row) * m->scale_cols + group) * size);
	return llm_hf_number(m->scale->dtype, r->scales + (group * m->n_rows + r->row) * size);
}

static int64_t
group_of(const IntegerRow *r, int64_t c)
{
	if (r->m->scattered && r->index)
		return (int64_t) word(r->index, c);
	return c / r->m->group;
}

/* a block of 32 columns of one group, in the type of the matrix; d is its factor, z its zero point */
static void
put_block(const IntegerRow *r, int64_t block, float d, int z, void *out)
{
	int			code[LLM_QK];

	for (int i = 0; i < LLM_QK; i++)
		code[i] = code_at(r, block * LLM_QK + i);
	if (r->m->type == LLM_TYPE_Q8_0)
	{
		LlmBlockQ8_0 *b = (LlmBlockQ8_0 *) out + block;

		b->d = llmk_float_to_half(d);
		for (int i = 0; i < LLM_QK; i++)
			b->qs[i] = (int8_t) (code[i] - z);
	}
	else if (r->m->type == LLM_TYPE_Q4_0)
	{
		LlmBlockQ4_0 *b = (LlmBlockQ4_0 *) out + block;

		b->d = llmk_float_to_half(d);
		for (int i = 0; i < LLM_QK / 2; i++)
			b->qs[i] = (uint8_t) (code[i] | code[i + LLM_QK / 2] << 4);
	}
	else
	{
		LlmBlockQ4_1 *b = (LlmBlockQ4_1 *) out + block;

		b->d = llmk_float_to_half(d);
		b->m = llmk_float_to_half(-d * (float) z);
		for (int i = 0; i < LLM_QK / 2; i++)
			b->qs[i] = (uint8_t) (code[i] | code[i + LLM_QK / 2] << 4);
	}
}

static LlmStatus
integer_row(LlmHfReader *reader, const LlmHfMatrix *m, int64_t row, void *out, const LlmStop *stop, LlmError *err)
{
	IntegerRow	r = {.m = m, .row = row};
	uint8_t    *codes;

	LLM_TRY(keep(reader, m->scale, &r.scales, stop, err));
	if (m->zero)
		LLM_TRY(keep(reader, m->zero, &r.zeros, stop, err));
	if (m->index)
		LLM_TRY(keep(reader, m->index, &r.index, stop, err));
	if (m->kind == LLM_HF_QUANT_ROWS)
	{
		LLM_TRY(read_row(reader, m->weight, row, m->weight->n_bytes / (uint64_t) m->weight->dim[0], &codes, stop, err));
		r.codes = codes;
	}
	else
		LLM_TRY(keep(reader, m->weight, &r.codes, stop, err));
	for (int64_t c = 0; c < m->n_cols; c += m->type == LLM_TYPE_F16 ? 1 : LLM_QK)
	{
		int64_t		group = group_of(&r, c);
		float		d = scale_at(&r, group);
		float		x = d * (float) (1 << m->bits);

		if (!isfinite(x) || fabsf(x) > 65504)
			return bad_value(m->scale, row, group, err);
		if (m->type == LLM_TYPE_F16)
			((uint16_t *) out)[c] = llmk_float_to_half(d * (float) (code_at(&r, c) - zero_at(&r, group)));
		else
			put_block(&r, c / LLM_QK, d, zero_at(&r, group), out);
	}
	return LLM_OK;
}

/* a row in the matrix's type */
static LlmStatus
matrix_row(LlmHfReader *reader, const LlmHfMatrix *m, int64_t row, void *out, const LlmStop *stop, LlmError *err)
{
	switch (m->kind)
	{
		case LLM_HF_QUANT_FP8:
			return fp8_row(reader, m, row, out, stop, err);
		case LLM_HF_QUANT_NVFP4:
			return nvfp4_row(reader, m, row, out, stop, err);
		case LLM_HF_QUANT_MXFP4:
			return mxfp4_row(reader, m, row, out, stop, err);
		default:
			return integer_row(reader, m, row, out, stop, err);
	}
}

static LlmStatus
half_row(LlmHfReader *reader, const LlmHfMatrix *m, int64_t row, uint16_t *out, const LlmStop *stop, LlmError *err)
{
	const size_t n_floats = (size_t) m->n_cols * sizeof(float);
	float	   *floats;

	LLM_TRY(make_room(reader, &reader->decoded, &reader->decoded_bytes, 2 * n_floats, err));
	floats = (float *) (reader->decoded + n_floats);
	LLM_TRY(matrix_row(reader, m, row, reader->decoded, stop, err));
	llmk_dequantize(m->type, reader->decoded, m->n_cols, floats);
	for (int64_t c = 0; c < m->n_cols; c++)
	{
		float		x = floats[c] * m->factor;

		if (!(fabsf(x) <= 65504))
			return bad_value(m->weight, row, c, err);
		out[c] = llmk_float_to_half(x);
	}
	return LLM_OK;
}

LlmStatus
llm_hf_matrix_rows(LlmHfReader *reader, const LlmHfMatrix *m, int64_t first, int64_t n, void *out, const LlmStop *stop, LlmError *err)
{
	const LlmTypeInfo *type = llmk_type_info(m->type);
	const size_t row_bytes = m->as_half ? (size_t) m->n_cols * 2 : (size_t) (m->n_cols / type->block_len) * (size_t) type->block_bytes;

	if (reader->matrix == NULL || reader->matrix->weight != m->weight)
		forget(reader);
	reader->matrix = m;
	for (int64_t i = 0; i < n; i++)
	{
		void	   *to = (uint8_t *) out + (size_t) i * row_bytes;

		if (m->as_half)
			LLM_TRY(half_row(reader, m, first + i, to, stop, err));
		else
			LLM_TRY(matrix_row(reader, m, first + i, to, stop, err));
	}
	return LLM_OK;
}
