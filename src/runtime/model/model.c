/*
 * model.c: opening a model: shape, tokenizer, template, and every weight found, checked and counted. A tensor that this
 * version does not use is refused by name: leaving one out would change the answers silently.
 */
#include <stdio.h>
#include <string.h>

#include "model/model.h"

/* finds weights and remembers how many were used */
typedef struct Loader
{
	LlmModel   *model;
	bool	   *used;			/* by index of pack.tensors */
	LlmError   *err;
} Loader;

static bool
mark_used(Loader *ld, const char *name)
{
	const LlmPackTensor *t = llm_pack_find(&ld->model->pack, name);

	if (!t)
		return false;
	ld->used[t - ld->model->pack.tensors] = true;
	return true;
}

static LlmStatus
load_vector(Loader *ld, const char *name, int64_t n, bool required, const float **out)
{
	mark_used(ld, name);
	return llm_pack_vector(&ld->model->pack, name, n, required, out, ld->err);
}

/* "<prefix>.weight" and, where the file has it, "<prefix>.bias" */
static LlmStatus
load_linear(Loader *ld, const char *prefix, int64_t n_rows, int64_t n_cols, LlmLinear *out)
{
	char		name[128];

	snprintf(name, sizeof(name), "%s.weight", prefix);
	mark_used(ld, name);
	LLM_TRY(llm_pack_matrix(&ld->model->pack, name, n_rows, n_cols, 0, &out->w, ld->err));
	snprintf(name, sizeof(name), "%s.bias", prefix);
	return load_vector(ld, name, n_rows, false, &out->bias);
}

static LlmStatus
load_layer(Loader *ld, uint32_t index, LlmLayer *layer)
{
	const LlmHparams *hp = &ld->model->hp;
	char		name[128];
	const int64_t n_embd = hp->n_embd;
	const struct
	{
		const char *role;
		int64_t		n_rows;
		int64_t		n_cols;
		LlmLinear  *out;
	}			linears[] = {
		{"attn_q", (int64_t) hp->n_head * hp->head_dim_k, n_embd, &layer->wq},
		{"attn_k", (int64_t) hp->n_head_kv * hp->head_dim_k, n_embd, &layer->wk},
		{"attn_v", (int64_t) hp->n_head_kv * hp->head_dim_v, n_embd, &layer->wv},
		{"attn_output", n_embd, (int64_t) hp->n_head * hp->head_dim_v, &layer->wo},
		{"ffn_gate", hp->n_ff, n_embd, &layer->ffn_gate},
		{"ffn_up", hp->n_ff, n_embd, &layer->ffn_up},
		{"ffn_down", n_embd, hp->n_ff, &layer->ffn_down},
	};

	for (size_t i = 0; i < sizeof(linears) / sizeof(linears[0]); i++)
	{
		snprintf(name, sizeof(name), "blk.%u.%s", index, linears[i].role);
		LLM_TRY(load_linear(ld, name, linears[i].n_rows, linears[i].n_cols, linears[i].out));
	}
	snprintf(name, sizeof(name), "blk.%u.attn_norm.weight", index);
	LLM_TRY(load_vector(ld, name, n_embd, true, &layer->attn_norm));
	snprintf(name, sizeof(name), "blk.%u.ffn_norm.weight", index);
	return load_vector(ld, name, n_embd, true, &layer->ffn_norm);
}

/*
 * Angle per position of each rotated pair: base^(-2i / n_rot), times the linear scale, divided by the factors of
 * rope_freqs.weight where the file has them (Llama 3). Some old files repeat rope frequencies per layer; those are computed.
 */
static LlmStatus
load_rope(Loader *ld)
{
	LlmModel   *m = ld->model;
	const uint32_t n = m->hp.n_rot / 2;
	const float *factors;
	void	   *p;

	LLM_TRY(load_vector(ld, "rope_freqs.weight", n, m->hp.rope_factors, &factors));
	for (uint32_t i = 0; i < m->hp.n_layer; i++)
	{
		char		name[128];

		snprintf(name, sizeof(name), "blk.%u.attn_rot_embd.weight", i);
		mark_used(ld, name);
		snprintf(name, sizeof(name), "blk.%u.attn_rot_embd", i);
		mark_used(ld, name);
	}
	LLM_TRY(llm_arena_alloc(&m->arena, n ? n : 1, sizeof(double), &p, ld->err));
	m->rope_freq = p;
	for (uint32_t i = 0; i < n; i++)
	{
		double		freq = llmk_exp(-2.0 * i / m->hp.n_rot * llmk_log(m->hp.rope_freq_base)) * m->hp.rope_freq_scale;

		if (factors)
		{
			if (!(factors[i] > 0))
				return llm_fail(ld->err, LLM_E_FORMAT, "rope factor %u of tensor \"rope_freqs.weight\" is %g", i,
								(double) factors[i]);
			freq /= factors[i];
		}
		m->rope_freq[i] = freq;
	}
	return LLM_OK;
}

static LlmStatus
load_weights(Loader *ld)
{
	LlmModel   *m = ld->model;
	void	   *p;

	mark_used(ld, "token_embd.weight");
	LLM_TRY(llm_pack_matrix(&m->pack, "token_embd.weight", m->hp.n_vocab, m->hp.n_embd, 0, &m->token_embd, ld->err));
	LLM_TRY(load_vector(ld, "output_norm.weight", m->hp.n_embd, true, &m->output_norm));
	if (llm_pack_find(&m->pack, "output.weight"))
		LLM_TRY(load_linear(ld, "output", m->hp.n_vocab, m->hp.n_embd, &m->output));
	else
	{
		m->output.w = m->token_embd;
		m->output.bias = NULL;
	}
	LLM_TRY(llm_arena_alloc(&m->arena, m->hp.n_layer, sizeof(LlmLayer), &p, ld->err));
	m->layers = p;
	memset(p, 0, m->hp.n_layer * sizeof(LlmLayer));
	for (uint32_t i = 0; i < m->hp.n_layer; i++)
		LLM_TRY(load_layer(ld, i, &m->layers[i]));
	LLM_TRY(load_rope(ld));

	for (uint64_t i = 0; i < m->pack.n_tensors; i++)
	{
		if (!ld->used[i])
			return llm_fail(ld->err, LLM_E_UNSUPPORTED, "tensor \"%.*s\" is not known for architecture \"%s\"",
							(int) (m->pack.tensors[i].name.len > 64 ? 64 : m->pack.tensors[i].name.len),
							m->pack.tensors[i].name.data, m->arch->name);
	}
	return LLM_OK;
}

static LlmStatus
load_template(LlmModel *m, LlmStr override, LlmError *err)
{
	LlmStr		source = override;

	if (!source.data)
		LLM_TRY(llm_meta_string(&m->pack.meta, "tokenizer.chat_template", false, &source, err));
	if (source.len == 0)		/* an empty one would make empty prompts */
		return LLM_OK;
	return llm_template_compile(source.data, source.len, m->allocator, &m->chat_template, err);
}

static LlmStatus
open_model(LlmModel *m, const uint8_t *base, size_t size, const LlmModelOptions *options, LlmError *err)
{
	Loader		ld = {m, NULL, err};
	void	   *used;
	LlmStatus	status;

	LLM_TRY(llm_pack_open(base, size, m->allocator, &m->pack, err));
	LLM_TRY(llm_hparams_read(&m->pack.meta, &m->arch, &m->hp, err));
	LLM_TRY(llm_tokenizer_create(&m->pack.meta, m->allocator, &m->tokenizer, err));
	m->hp.n_vocab = (uint32_t) llm_tokenizer_vocab_size(m->tokenizer);
	LLM_TRY(load_template(m, options->chat_template, err));

	m->kv_type = options->kv_type;
	m->n_ctx = m->hp.n_ctx_train;
	if (options->n_ctx > 0 && options->n_ctx < m->n_ctx)
		m->n_ctx = options->n_ctx;

	LLM_TRY(llm_alloc_zero(m->allocator, m->pack.n_tensors ? m->pack.n_tensors : 1, sizeof(bool), &used, err));
	ld.used = used;
	status = load_weights(&ld);
	llm_free(m->allocator, used);
	return status;
}

LlmStatus
llm_model_open(const uint8_t *base, size_t size, const LlmModelOptions *options, const LlmKernels *kernels,
			   const LlmAllocator *a, LlmModel **out, LlmError *err)
{
	void	   *p;
	LlmModel   *m;
	LlmStatus	status;

	LLM_TRY(llm_alloc_zero(a, 1, sizeof(LlmModel), &p, err));
	m = p;
	m->allocator = a;
	m->kernels = kernels;
	llm_arena_init(&m->arena, a, 0);
	status = open_model(m, base, size, options, err);
	if (status != LLM_OK)
	{
		llm_model_close(m);
		return status;
	}
	*out = m;
	return LLM_OK;
}

void
llm_model_close(LlmModel *m)
{
	if (!m)
		return;
	llm_template_free(m->chat_template);
	llm_tokenizer_free(m->tokenizer);
	llm_pack_close(&m->pack);
	llm_arena_free(&m->arena);
	llm_free(m->allocator, m);
}

uint64_t
llm_model_parameters(const LlmModel *m)
{
	uint64_t	n = 0;

	for (uint64_t i = 0; i < m->pack.n_tensors; i++)
	{
		const LlmPackTensor *t = &m->pack.tensors[i];

		n += (uint64_t) t->n_cols * (uint64_t) t->n_rows * (uint64_t) t->n_stack;
	}
	return n;
}

const char *
llm_model_quantization(const LlmModel *m)
{
	uint64_t	elements[LLM_TYPE_COUNT] = {0};
	int			best = 0;

	for (uint64_t i = 0; i < m->pack.n_tensors; i++)
	{
		const LlmPackTensor *t = &m->pack.tensors[i];

		if ((unsigned) t->source_type < LLM_TYPE_COUNT)
			elements[t->source_type] += (uint64_t) t->n_cols * (uint64_t) t->n_rows * (uint64_t) t->n_stack;
	}
	for (int i = 1; i < LLM_TYPE_COUNT; i++)
	{
		if (elements[i] > elements[best])
			best = i;
	}
	return llmk_type_info((uint32_t) best)->name;
}
