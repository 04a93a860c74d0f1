/*
 * hf_weights.c: which stored tensors make which weight, and the decoder of float ones.
 */
#include "weights/hf/hf_weight.h"

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
	const LlmHfStored *t = w->stored[0];

	return llm_file_read(&folder->files[t->file], t->offset + llm_hf_row_bytes(w, first), out, llm_hf_row_bytes(w, n), stop, err);
}

static const LlmHfDecoder plain = {"float", read_plain};

/* a double becomes a float: in place, from the front, as the result is the shorter one */
static LlmStatus
read_double(const LlmHfFolder *folder, const LlmHfWeight *w, int64_t first, int64_t n, void *out, const LlmStop *stop, LlmError *err)
{
	const LlmHfStored *t = w->stored[0];
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
	return true;
}

static LlmStatus
float_weight(const LlmHfStored *t, LlmHfWeight *w, LlmError *err)
{
	*w = (LlmHfWeight) {.name = t->name, .stored = {t}, .n_dims = t->n_dims};
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

LlmStatus
llm_hf_weights(LlmHfFolder *folder, LlmHfWeights *weights, LlmError *err)
{
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(&folder->arena, folder->n_stored + 1, sizeof(LlmHfWeight), &ptr, err));
	weights->weights = ptr;
	weights->n = 0;
	for (uint64_t i = 0; i < folder->n_stored; i++)
		if (is_weight(&folder->stored[i]))
			LLM_TRY(float_weight(&folder->stored[i], &weights->weights[weights->n++], err));
	return LLM_OK;
}
