/*
 * hf_weights.c: which stored tensors make which weight, and the decoders of float and of quantized ones.
 */
#include "weights/hf/hf_weight.h"

#include "weights/sort_index.h"

#include <string.h>

/* what training code stored beside the weights; computed here */
static const char *const not_weights[] = {
	".rotary_emb.inv_freq", ".rotary_pos_emb.inv_freq", ".attn.bias", ".attention.bias", ".masked_bias", ".attn.masked_bias",
	"embeddings.position_ids", ".rotary_emb.cos_cached", ".rotary_emb.sin_cached",
};

LlmStr
llm_hf_base_name(LlmStr name)
{
	static const char ending[] = ".weight";
	const size_t len = sizeof(ending) - 1;

	if (name.len > len && memcmp(name.data + name.len - len, ending, len) == 0)
		name.len -= len;
	return name;
}

size_t
llm_hf_row_bytes(const LlmHfWeight *w, int64_t n)
{
	const LlmTypeInfo *info = llmk_type_info(w->type);

	return (size_t) n * (size_t) (w->n_cols / info->block_len) * (size_t) info->block_bytes;
}

/* ---- float weights ---- */

static LlmStatus
read_plain(const LlmHfFolder *folder, const LlmHfWeight *w, int64_t first, int64_t n, void *out, const LlmStop *stop, LlmError *err)
{
	const LlmHfStored *t = w->stored;

	return llm_file_read(&folder->files[t->file], t->offset + llm_hf_row_bytes(w, first), out, llm_hf_row_bytes(w, n), stop, err);
}

static const LlmHfDecoder plain = {"float", read_plain};

/* a double becomes a float: in place, from the front, as the result is the shorter one */
static LlmStatus
read_double(const LlmHfFolder *folder, const LlmHfWeight *w, int64_t first, int64_t n, void *out, const LlmStop *stop, LlmError *err)
{
	const LlmHfStored *t = w->stored;
	double		piece[512];

	for (int64_t at = first * w->n_cols; at < (first + n) * w->n_cols;)
	{
		int64_t		rest = (first + n) * w->n_cols - at;
		int64_t		count = rest < 512 ? rest : 512;

		LLM_TRY(llm_file_read(&folder->files[t->file], t->offset + (uint64_t) at * sizeof(double), piece,
							  (size_t) count * sizeof(double), stop, err));
		for (int64_t i = 0; i < count; i++)
			((float *) out)[at - first * w->n_cols + i] = (float) piece[i];
		at += count;
	}
	return LLM_OK;
}

static const LlmHfDecoder wide = {"float of 64 bits", read_double};

static bool
float_type(const LlmHfStored *t, LlmHfWeight *w)
{
	w->decoder = t->dtype == LLM_HF_F64 ? &wide : &plain;
	switch (t->dtype)
	{
		case LLM_HF_F64:
		case LLM_HF_F32:
			w->type = LLM_TYPE_F32;
			return true;
		case LLM_HF_F16:
			w->type = LLM_TYPE_F16;
			return true;
		case LLM_HF_BF16:
			w->type = LLM_TYPE_BF16;
			return true;
		default:
			return false;
	}
}

static bool
ends_with(LlmStr name, const char *ending)
{
	size_t		len = strlen(ending);

	return name.len >= len && memcmp(name.data + name.len - len, ending, len) == 0;
}

static bool
is_weight(const LlmHfStored *t)
{
	for (size_t i = 0; i < sizeof(not_weights) / sizeof(not_weights[0]); i++)
		if (ends_with(t->name, not_weights[i]))
			return false;
	return !llm_hf_quant_ignored(t->name);
}

static LlmStatus
float_weight(const LlmHfStored *t, LlmHfWeight *w, LlmError *err)
{
	*w = (LlmHfWeight) {.name = t->name, .stored = t, .n_dims = t->n_dims};
	if (!float_type(t, w))
	{
		llm_fail(err, LLM_E_UNSUPPORTED, "tensor \"%.*s\" has dtype %s, which is no weight by itself",
				 (int) (t->name.len < 100 ? t->name.len : 100), t->name.data, llm_hf_dtype_name(t->dtype));
		llm_error_hint(err, "Use the model's files in float32, float16 or bfloat16.");
		return LLM_E_UNSUPPORTED;
	}
	memcpy(w->dim, t->dim, sizeof(w->dim));
	w->n_rows = 1;
	for (int i = 0; i < t->n_dims - 1 || (i == 0 && t->n_dims == 1); i++)
		w->n_rows *= t->dim[i];
	w->n_cols = t->n_dims > 1 ? t->dim[t->n_dims - 1] : 1;
	return LLM_OK;
}

/* ---- quantized weights ---- */

static LlmStatus
read_quantized(const LlmHfFolder *folder, const LlmHfWeight *w, int64_t first, int64_t n, void *out, const LlmStop *stop, LlmError *err)
{
	return llm_hf_matrix_rows(folder->reader, w->matrix, first, n, out, stop, err);
}

static const LlmHfDecoder quantized = {"quantized", read_quantized};

/* endings of the tensor that a quantized matrix is known by, of its name then, and of those that belong to it */
static const struct
{
	const char *codes;
	const char *name;
	const char *others[5];
}			layouts[] = {
	{".qweight", ".weight", {".qzeros", ".scales", ".g_idx"}},
	{".weight_packed", ".weight", {".weight_scale", ".weight_zero_point", ".weight_g_idx", ".weight_global_scale"}},
	{"_blocks", "", {"_scales"}},
	{".weight", ".weight", {".weight_scale", ".weight_scale_inv", ".weight_scale_2", ".weight_zero_point"}},
};

#define N_LAYOUTS (sizeof(layouts) / sizeof(layouts[0]))

static const LlmHfStored *
find_stored(void *ctx, const char *name)
{
	const LlmHfFolder *folder = ctx;
	LlmStr		wanted = {name, strlen(name)};
	uint64_t	low = 0;
	uint64_t	high = folder->n_stored;

	while (low < high)
	{
		uint64_t	middle = low + (high - low) / 2;
		const LlmHfStored *t = &folder->stored[folder->by_name[middle]];
		int			order = llm_str_compare(wanted, t->name);

		if (order == 0)
			return t;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static int
compare_stored(const void *ctx, uint32_t a, uint32_t b)
{
	const LlmHfStored *stored = ctx;

	return llm_str_compare(stored[a].name, stored[b].name);
}

static LlmStatus
open_store(LlmHfFolder *folder, LlmError *err)
{
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(&folder->arena, folder->n_stored + 1, sizeof(uint32_t), &ptr, err));
	folder->by_name = ptr;
	llm_sort_index(folder->by_name, (uint32_t) folder->n_stored, compare_stored, folder->stored);
	LLM_TRY(llm_arena_alloc(&folder->arena, 1, sizeof(LlmHfReader) + sizeof(LlmHfStore), &ptr, err));
	folder->reader = ptr;
	memset(folder->reader, 0, sizeof(*folder->reader));
	folder->store = (LlmHfStore *) (folder->reader + 1);
	*folder->store = (LlmHfStore) {.find = find_stored, .ctx = folder, .files = folder->files, .allocator = folder->arena.allocator};
	folder->reader->store = folder->store;
	return LLM_OK;
}

/* the name with its ending taken away and another put there, in the arena and with a zero at its end */
static LlmStatus
change_ending(LlmHfFolder *folder, LlmStr name, const char *ending, const char *other, LlmStr *out, LlmError *err)
{
	size_t		keep = name.len - strlen(ending);
	size_t		add = strlen(other);
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(&folder->arena, keep + add + 1, 1, &ptr, err));
	memcpy(ptr, name.data, keep);
	memcpy((char *) ptr + keep, other, add + 1);
	*out = (LlmStr) {ptr, keep + add};
	return LLM_OK;
}

static bool
is_codes(const LlmHfStored *t, size_t layout)
{
	if (!ends_with(t->name, layouts[layout].codes))
		return false;
	/* a matrix of floats has that ending too */
	return strcmp(layouts[layout].codes, ".weight") != 0 || t->dtype == LLM_HF_F8_E4M3 || t->dtype == LLM_HF_F8_E5M2 ||
		t->dtype == LLM_HF_U8 || t->dtype == LLM_HF_I8;
}

/* whether the tensor belongs to a quantized matrix whose codes are stored under another name */
static LlmStatus
belongs(LlmHfFolder *folder, const LlmHfStored *t, bool *yes, LlmError *err)
{
	*yes = false;
	for (size_t i = 0; i < N_LAYOUTS && !*yes; i++)
		for (int k = 0; layouts[i].others[k] && !*yes; k++)
		{
			LlmStr		codes;
			const LlmHfStored *found;

			if (!ends_with(t->name, layouts[i].others[k]))
				continue;
			LLM_TRY(change_ending(folder, t->name, layouts[i].others[k], layouts[i].codes, &codes, err));
			found = find_stored(folder, codes.data);
			*yes = found && is_codes(found, i);
		}
	return LLM_OK;
}

static LlmStatus
quantized_weight(LlmHfFolder *folder, const LlmHfQuantConfig *config, const LlmHfStored *t, size_t layout, LlmHfWeight *w,
				 const LlmStop *stop, LlmError *err)
{
	LlmHfMatrix *m;
	LlmStr		base;
	bool		found;
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(&folder->arena, 1, sizeof(LlmHfMatrix), &ptr, err));
	m = ptr;
	LLM_TRY(change_ending(folder, t->name, layouts[layout].codes, "", &base, err));
	LLM_TRY(llm_hf_matrix_find(folder->store, config, base.data, m, &found, stop, err));
	if (!found || m->weight != t)
		return llm_fail(err, LLM_E_UNSUPPORTED, "tensor \"%.*s\" is of no quantized layout that is known",
						(int) (t->name.len < 100 ? t->name.len : 100), t->name.data);
	*w = (LlmHfWeight) {.decoder = &quantized, .stored = t, .matrix = m, .type = m->type, .n_dims = 2, .dim = {m->n_rows, m->n_cols, 1, 1, 1, 1, 1, 1},
	.n_rows = m->n_rows, .n_cols = m->n_cols};
	if (m->kind == LLM_HF_QUANT_MXFP4 && t->n_dims == 4)
	{
		w->n_dims = 3;
		w->dim[0] = t->dim[0];
		w->dim[1] = t->dim[1];
		w->dim[2] = m->n_cols;
		w->out_first = true;
	}
	return change_ending(folder, base, "", layouts[layout].name, &w->name, err);
}

LlmStatus
llm_hf_weight_halves(LlmHfFolder *folder, const LlmHfWeight *w, const LlmHfWeight **out, LlmError *err)
{
	LlmHfWeight *copy;
	LlmHfMatrix *m;
	void	   *ptr;

	*out = w;
	if (w->matrix == NULL)
		return LLM_OK;
	LLM_TRY(llm_arena_alloc(&folder->arena, 1, sizeof(LlmHfWeight) + sizeof(LlmHfMatrix), &ptr, err));
	copy = ptr;
	m = (LlmHfMatrix *) (copy + 1);
	*m = *w->matrix;
	m->as_half = true;
	*copy = *w;
	copy->matrix = m;
	copy->type = LLM_TYPE_F16;
	*out = copy;
	return LLM_OK;
}

LlmStatus
llm_hf_weights(LlmHfFolder *folder, const LlmHfQuantConfig *quantization, LlmHfWeights *weights, const LlmStop *stop, LlmError *err)
{
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(&folder->arena, folder->n_stored + 1, sizeof(LlmHfWeight), &ptr, err));
	weights->weights = ptr;
	weights->n = 0;
	LLM_TRY(open_store(folder, err));
	for (uint64_t i = 0; i < folder->n_stored; i++)
	{
		const LlmHfStored *t = &folder->stored[i];
		LlmHfWeight *w = &weights->weights[weights->n];
		size_t		layout = 0;
		bool		part;

		LLM_TRY(belongs(folder, t, &part, err));
		if (part || !is_weight(t))
			continue;
		while (layout < N_LAYOUTS && !is_codes(t, layout))
			layout++;
		if (layout < N_LAYOUTS)
			LLM_TRY(quantized_weight(folder, quantization, t, layout, w, stop, err));
		else
			LLM_TRY(float_weight(t, w, err));
		weights->n++;
	}
	return LLM_OK;
}
