/*
 * quant_find.c: which stored tensors make a quantized matrix, and what type its rows are given in.
 */
#include "weights/hf/quant.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_NAME 512
#define SMALL_BYTES ((uint64_t) 256 << 20)	/* factors and indices of one matrix at most */

/* ---- stored tensors by name ---- */

static const LlmHfStored *
find(const LlmHfStore *store, const char *name, const char *suffix)
{
	char		full[MAX_NAME];
	int			len = snprintf(full, sizeof(full), "%s%s", name, suffix);

	return len > 0 && (size_t) len < sizeof(full) ? store->find(store->ctx, full) : NULL;
}

static void
shape_text(const LlmHfStored *t, char *out, size_t size)
{
	size_t		len = (size_t) snprintf(out, size, "%s", llm_hf_dtype_name(t->dtype));

	for (int i = 0; i < t->n_dims && len < size; i++)
		len += (size_t) snprintf(out + len, size - len, "%s%" PRId64, i == 0 ? " " : " x ", t->dim[i]);
}

static LlmStatus
bad_shape(const LlmHfStored *t, const LlmHfMatrix *m, const char *expected, LlmError *err)
{
	char		shape[128];

	shape_text(t, shape, sizeof(shape));
	llm_fail(err, LLM_E_FORMAT, "tensor \"%.*s\" does not fit the quantized matrix that it is of",
			 (int) (t->name.len < 200 ? t->name.len : 200), t->name.data);
	llm_error_detail(err, "It is %s; expected %s for a matrix of %" PRId64 " rows and %" PRId64 " columns.", shape, expected,
					 m->n_rows, m->n_cols);
	return LLM_E_FORMAT;
}

static LlmStatus
missing(const char *name, const char *suffix, LlmError *err)
{
	return llm_fail(err, LLM_E_FORMAT, "quantized matrix \"%.200s\" has no tensor \"%s\"", name, suffix);
}

static int64_t
n_values(const LlmHfStored *t)
{
	int64_t		n = 1;

	for (int i = 0; i < t->n_dims; i++)
		n *= t->dim[i];			/* the reader has checked that it fits */
	return n;
}

static bool
is_matrix(const LlmHfStored *t, int64_t rows, int64_t cols)
{
	return (t->n_dims == 2 && t->dim[0] == rows && t->dim[1] == cols) ||
		(t->n_dims == 1 && cols == 1 && t->dim[0] == rows);
}

static bool
is_float(const LlmHfStored *t)
{
	return t->dtype == LLM_HF_F32 || t->dtype == LLM_HF_F16 || t->dtype == LLM_HF_BF16 || t->dtype == LLM_HF_F64;
}

static bool
is_f8(const LlmHfStored *t)
{
	return t->dtype == LLM_HF_F8_E4M3 || t->dtype == LLM_HF_F8_E5M2;
}

/* a whole tensor, the caller's to free */
static LlmStatus
read_small(const LlmHfStore *store, const LlmHfStored *t, uint8_t **out, const LlmStop *stop, LlmError *err)
{
	void	   *bytes;
	LlmStatus	status;

	if (t->n_bytes > SMALL_BYTES)
		return llm_fail(err, LLM_E_LIMIT, "tensor \"%.*s\" is too large for what it is", (int) (t->name.len < 200 ? t->name.len : 200),
						t->name.data);
	LLM_TRY(llm_alloc(store->allocator, 1, (size_t) t->n_bytes, &bytes, err));
	status = llm_file_read(&store->files[t->file], t->offset, bytes, (size_t) t->n_bytes, stop, err);
	if (status != LLM_OK)
	{
		llm_free(store->allocator, bytes);
		return status;
	}
	*out = bytes;
	return LLM_OK;
}

/* ---- numbers ---- */

/* the largest factor: what rows are divided by, so that they keep within the range of their type */
static LlmStatus
largest_factor(const LlmHfStore *store, LlmHfMatrix *m, const LlmStop *stop, LlmError *err)
{
	uint8_t    *bytes;
	const int	size = llm_hf_dtype_bytes(m->scale->dtype);
	float		most = 0;
	bool		finite = true;

	LLM_TRY(read_small(store, m->scale, &bytes, stop, err));
	for (int64_t i = 0; i < n_values(m->scale); i++)
	{
		float		x = fabsf(llm_hf_number(m->scale->dtype, bytes + i * size));

		finite = finite && isfinite(x);
		most = x > most ? x : most;
	}
	llm_free(store->allocator, bytes);
	if (!finite)
		return llm_fail(err, LLM_E_FORMAT, "tensor \"%.*s\" has a factor that is no finite number",
						(int) (m->scale->name.len < 200 ? m->scale->name.len : 200), m->scale->name.data);
	m->factor = most > 0 ? most : 1;
	return LLM_OK;
}

/* one number that is a factor of all */
static LlmStatus
read_factor(const LlmHfStore *store, const LlmHfStored *t, bool inverse, LlmHfMatrix *m, const LlmStop *stop, LlmError *err)
{
	uint8_t    *bytes;
	float		x;

	if (n_values(t) != 1 || !is_float(t))
		return bad_shape(t, m, "one float", err);
	LLM_TRY(read_small(store, t, &bytes, stop, err));
	x = llm_hf_number(t->dtype, bytes);
	llm_free(store->allocator, bytes);
	m->factor = inverse ? 1 / x : x;
	if (!isfinite(m->factor))
		return llm_fail(err, LLM_E_FORMAT, "tensor \"%.*s\" is %g, which makes no finite factor",
						(int) (t->name.len < 200 ? t->name.len : 200), t->name.data, (double) x);
	return LLM_OK;
}

/* group of each column: in range, and whether they ascend as groups of equal size do */
static LlmStatus
check_index(const LlmHfStore *store, LlmHfMatrix *m, int64_t n_groups, const LlmStop *stop, LlmError *err)
{
	uint8_t    *bytes;
	int64_t		bad = -1;

	if (m->index == NULL)
		return LLM_OK;
	if (n_values(m->index) != m->n_cols || m->index->dtype != LLM_HF_I32)
		return bad_shape(m->index, m, "an I32 for each column", err);
	LLM_TRY(read_small(store, m->index, &bytes, stop, err));
	for (int64_t c = 0; c < m->n_cols; c++)
	{
		int32_t		g;

		memcpy(&g, bytes + c * 4, 4);
		if (g < 0 || g >= n_groups)
			bad = bad < 0 ? c : bad;
		m->scattered = m->scattered || g != c / m->group;
	}
	llm_free(store->allocator, bytes);
	if (bad >= 0)
	{
		llm_fail(err, LLM_E_FORMAT, "tensor \"%.*s\" names a group that there is not", (int) (m->index->name.len < 200 ? m->index->name.len : 200),
				 m->index->name.data);
		llm_error_detail(err, "Column %" PRId64 " is the first; there are %" PRId64 " groups.", bad, n_groups);
		return LLM_E_FORMAT;
	}
	return LLM_OK;
}

/* whether every zero point (codes packed in 32-bit words, all of their bits) is the middle */
static LlmStatus
check_symmetric(const LlmHfStore *store, LlmHfMatrix *m, const LlmStop *stop, LlmError *err)
{
	uint8_t    *bytes;
	const uint8_t want = (uint8_t) ((1 << (m->bits - 1)) - m->zero_offset);

	m->symmetric = m->zero == NULL;
	if (m->symmetric)
		return LLM_OK;
	if (m->zero->dtype != LLM_HF_I32)
		return LLM_OK;
	LLM_TRY(read_small(store, m->zero, &bytes, stop, err));
	m->symmetric = true;
	for (uint64_t i = 0; i < m->zero->n_bytes && m->symmetric; i++)
		for (int shift = 0; shift < 8; shift += m->bits)
			m->symmetric = m->symmetric && ((bytes[i] >> shift) & ((1 << m->bits) - 1)) == want;
	llm_free(store->allocator, bytes);
	return LLM_OK;
}

/* the type of rows of whole numbers */
static LlmType
type_of_integers(const LlmHfMatrix *m)
{
	if (m->scattered || m->n_cols % LLM_QK != 0 || m->group % LLM_QK != 0)
		return LLM_TYPE_F16;
	if (m->bits == 8)
		return m->symmetric ? LLM_TYPE_Q8_0 : LLM_TYPE_F16;
	return m->symmetric && m->bits == 4 ? LLM_TYPE_Q4_0 : LLM_TYPE_Q4_1;
}

/* ---- layouts ---- */

/* groups of columns by the number of factors that a row has; a last group may be shorter only where the size is known */
static LlmStatus
set_groups(LlmHfMatrix *m, int64_t n_groups, LlmError *err)
{
	if (n_groups < 1 || n_groups > m->n_cols || m->n_cols % n_groups != 0)
		return bad_shape(m->scale, m, "factors of groups of equal size", err);
	m->group = m->n_cols / n_groups;
	m->scale_cols = n_groups;
	return LLM_OK;
}

static LlmStatus
find_fp8(const LlmHfStore *store, const LlmHfQuantConfig *config, const char *name, LlmHfMatrix *m, const LlmStop *stop, LlmError *err)
{
	int64_t		tiles_down;
	int64_t		tiles_across;

	m->kind = LLM_HF_QUANT_FP8;
	m->type = LLM_TYPE_F16;
	m->scale = find(store, name, ".weight_scale");
	if (m->scale == NULL)
		m->scale = find(store, name, ".weight_scale_inv");
	if (m->scale == NULL)
		return missing(name, ".weight_scale", err);
	if (m->weight->n_dims != 2)
		return bad_shape(m->weight, m, "two dimensions", err);
	m->n_rows = m->weight->dim[0];
	m->n_cols = m->weight->dim[1];
	if (!is_float(m->scale) && m->scale->dtype != LLM_HF_F8_E8M0)
		return bad_shape(m->scale, m, "floats", err);
	tiles_down = (m->n_rows - 1) / config->tile_rows + 1;
	tiles_across = (m->n_cols - 1) / config->tile_cols + 1;
	m->group = m->n_cols;
	m->tile_rows = 1;
	m->scale_cols = 1;
	if (n_values(m->scale) == 1)
		m->tile_rows = m->n_rows;
	else if (is_matrix(m->scale, tiles_down, tiles_across))
	{
		m->tile_rows = config->tile_rows;
		m->group = config->tile_cols;
		m->scale_cols = tiles_across;
	}
	else if (!is_matrix(m->scale, m->n_rows, 1))
		return bad_shape(m->scale, m, "one factor, one for each row, or one for each tile", err);
	return largest_factor(store, m, stop, err);
}

static LlmStatus
find_nvfp4(const LlmHfStore *store, const char *name, LlmHfMatrix *m, const LlmStop *stop, LlmError *err)
{
	const LlmHfStored *factor = find(store, name, ".weight_scale_2");
	const LlmHfStored *inverse = find(store, name, ".weight_global_scale");

	m->kind = LLM_HF_QUANT_NVFP4;
	m->type = LLM_TYPE_NVFP4;
	m->scale = find(store, name, ".weight_scale");
	if (m->scale == NULL)
		return missing(name, ".weight_scale", err);
	if (factor == NULL && inverse == NULL)
		return missing(name, ".weight_scale_2", err);
	if (m->weight->n_dims != 2 || m->weight->dim[1] > INT64_MAX / 2)
		return bad_shape(m->weight, m, "two dimensions", err);
	m->n_rows = m->weight->dim[0];
	m->n_cols = m->weight->dim[1] * 2;
	m->group = 16;
	m->tile_rows = 1;
	m->scale_cols = m->n_cols / 16;
	if (m->n_cols % 64 != 0)
		return bad_shape(m->weight, m, "columns that are a multiple of 64", err);
	if (m->scale->dtype != LLM_HF_F8_E4M3 || !is_matrix(m->scale, m->n_rows, m->scale_cols))
		return bad_shape(m->scale, m, "an F8_E4M3 for each 16 columns", err);
	return read_factor(store, factor ? factor : inverse, factor == NULL, m, stop, err);
}

/* all experts of a layer, one below the other */
static LlmStatus
find_mxfp4(const LlmHfStore *store, const char *name, LlmHfMatrix *m, LlmError *err)
{
	m->kind = LLM_HF_QUANT_MXFP4;
	m->type = LLM_TYPE_MXFP4;
	m->scale = find(store, name, "_scales");
	if (m->scale == NULL)
		return missing(name, "_scales", err);
	if (m->weight->dtype != LLM_HF_U8 || m->weight->n_dims < 3 || m->weight->dim[m->weight->n_dims - 1] != 16)
		return bad_shape(m->weight, m, "U8 in blocks of 16", err);
	m->n_cols = m->weight->dim[m->weight->n_dims - 2] * 32;
	m->n_rows = n_values(m->weight) / (m->n_cols / 2);
	m->group = 32;
	m->tile_rows = 1;
	m->scale_cols = m->n_cols / 32;
	if ((m->scale->dtype != LLM_HF_U8 && m->scale->dtype != LLM_HF_F8_E8M0) || n_values(m->scale) != m->n_rows * m->scale_cols ||
		m->scale->dim[m->scale->n_dims - 1] != m->scale_cols)
		return bad_shape(m->scale, m, "a U8 for each block of 32 columns", err);
	return LLM_OK;
}

/* zero points of rows are packed down the columns of their tensor, or 8-bit integers */
static LlmStatus
check_row_zeros(const LlmHfMatrix *m, LlmError *err)
{
	const int64_t per_word = 32 / m->bits;

	if (m->zero == NULL)
		return LLM_OK;
	if (m->zero->dtype == LLM_HF_I32 && is_matrix(m->zero, (m->n_rows - 1) / per_word + 1, m->scale_cols))
		return LLM_OK;
	if (m->zero->dtype == LLM_HF_I8 && n_values(m->zero) == n_values(m->scale))
		return LLM_OK;
	return bad_shape(m->zero, m, "a zero point for each factor", err);
}

static LlmStatus
find_rows(const LlmHfStore *store, const char *name, LlmHfMatrix *m, const LlmStop *stop, LlmError *err)
{
	const bool	packed = m->weight->dtype == LLM_HF_I32;
	const LlmHfStored *shape = find(store, name, ".weight_shape");

	m->kind = LLM_HF_QUANT_ROWS;
	m->scale = find(store, name, ".weight_scale");
	m->zero = find(store, name, ".weight_zero_point");
	m->index = find(store, name, ".weight_g_idx");
	if (m->scale == NULL)
		return missing(name, ".weight_scale", err);
	if (m->weight->n_dims != 2)
		return bad_shape(m->weight, m, "two dimensions", err);
	m->n_rows = m->weight->dim[0];
	m->n_cols = m->weight->dim[1];
	m->bits = 8;
	if (packed)
	{
		uint8_t    *bytes;
		int64_t		logical[2];

		if (shape == NULL)
			return missing(name, ".weight_shape", err);
		if (n_values(shape) != 2 || shape->dtype != LLM_HF_I64)
			return bad_shape(shape, m, "two I64", err);
		LLM_TRY(read_small(store, shape, &bytes, stop, err));
		memcpy(logical, bytes, sizeof(logical));
		llm_free(store->allocator, bytes);
		for (m->bits = 2; m->bits <= 8; m->bits *= 2)
			if (logical[0] == m->n_rows && logical[1] > 0 && (logical[1] - 1) / (32 / m->bits) + 1 == m->weight->dim[1])
				break;
		if (m->bits > 8)
			return bad_shape(m->weight, m, "codes of 2, 4 or 8 bits in 32-bit words", err);
		m->n_cols = logical[1];
	}
	m->tile_rows = 1;
	if (!is_float(m->scale))
		return bad_shape(m->scale, m, "floats", err);
	if (n_values(m->scale) == 1)
	{
		m->tile_rows = m->n_rows;
		LLM_TRY(set_groups(m, 1, err));
	}
	else if (m->scale->dim[0] != m->n_rows)
		return bad_shape(m->scale, m, "a row of factors for each row", err);
	else
		LLM_TRY(set_groups(m, n_values(m->scale) / m->n_rows, err));
	LLM_TRY(check_row_zeros(m, err));
	LLM_TRY(check_index(store, m, m->scale_cols, stop, err));
	m->symmetric = m->zero == NULL;
	m->type = type_of_integers(m);
	return LLM_OK;
}

/* GPTQ and AWQ: stored transposed */
static LlmStatus
find_columns(const LlmHfStore *store, const LlmHfQuantConfig *config, const char *name, LlmHfMatrix *m, const LlmStop *stop, LlmError *err)
{
	const int64_t per_word = 32 / config->bits;
	const bool	awq = config->method == LLM_HF_METHOD_AWQ;

	m->kind = awq ? LLM_HF_QUANT_AWQ : LLM_HF_QUANT_GPTQ;
	m->bits = config->bits;
	m->zero_offset = config->zero_offset;
	m->scale = find(store, name, ".scales");
	m->zero = find(store, name, ".qzeros");
	m->index = awq ? NULL : find(store, name, ".g_idx");
	if (m->scale == NULL || m->zero == NULL)
		return missing(name, m->scale ? ".qzeros" : ".scales", err);
	if (m->weight->n_dims != 2 || m->weight->dtype != LLM_HF_I32 || m->weight->dim[0] > INT32_MAX || m->weight->dim[1] > INT32_MAX)
		return bad_shape(m->weight, m, "I32 of two dimensions", err);
	m->n_cols = m->weight->dim[0] * (awq ? 1 : per_word);
	m->n_rows = m->weight->dim[1] * (awq ? per_word : 1);
	m->tile_rows = 1;
	if (!is_float(m->scale) || m->scale->n_dims != 2 || m->scale->dim[1] != m->n_rows)
		return bad_shape(m->scale, m, "a factor for each group and row", err);
	/* the last group of GPTQ may be short; then it says so by its index */
	if (m->index && m->n_cols % m->scale->dim[0] != 0)
	{
		m->scale_cols = m->scale->dim[0];
		m->group = 1;
		m->scattered = true;
	}
	else
		LLM_TRY(set_groups(m, m->scale->dim[0], err));
	if (m->zero->dtype != LLM_HF_I32 || !is_matrix(m->zero, m->scale->dim[0], (m->n_rows - 1) / per_word + 1))
		return bad_shape(m->zero, m, "a zero point for each factor", err);
	LLM_TRY(check_index(store, m, m->scale_cols, stop, err));
	LLM_TRY(check_symmetric(store, m, stop, err));
	m->type = type_of_integers(m);
	return LLM_OK;
}

LlmStatus
llm_hf_matrix_find(const LlmHfStore *store, const LlmHfQuantConfig *config, const char *name, LlmHfMatrix *m, bool *found,
				   const LlmStop *stop, LlmError *err)
{
	const LlmHfStored *t;

	memset(m, 0, sizeof(*m));
	m->factor = 1;
	*found = true;
	if ((config->method == LLM_HF_METHOD_GPTQ || config->method == LLM_HF_METHOD_AWQ) && (m->weight = find(store, name, ".qweight")))
		return find_columns(store, config, name, m, stop, err);
	if ((m->weight = find(store, name, "_blocks")))
		return find_mxfp4(store, name, m, err);
	if ((m->weight = find(store, name, ".weight_packed")))
		return m->weight->dtype == LLM_HF_U8 ? find_nvfp4(store, name, m, stop, err) : find_rows(store, name, m, stop, err);
	m->weight = t = find(store, name, ".weight");
	if (t && is_f8(t))
		return find_fp8(store, config, name, m, stop, err);
	if (t && t->dtype == LLM_HF_U8)
		return find_nvfp4(store, name, m, stop, err);
	if (t && t->dtype == LLM_HF_I8)
		return find_rows(store, name, m, stop, err);
	*found = false;
	return LLM_OK;
}

bool
llm_hf_quant_ignored(LlmStr name)
{
	static const char *const suffixes[] = {".input_scale", ".output_scale", ".k_scale", ".v_scale", ".q_scale", ".input_global_scale",
		".weight_shape", ".activation_scale", ".input_zero_point", ".output_zero_point", ".prob_scale",
	".input_scale_ub"};

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
	{
		size_t		len = strlen(suffixes[i]);

		if (name.len > len && memcmp(name.data + name.len - len, suffixes[i], len) == 0)
			return true;
	}
	return false;
}
