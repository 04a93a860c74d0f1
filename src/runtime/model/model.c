/*
 * model.c: opening a model: shape, tokenizer, template, weights.
 */
#include <string.h>

#include "model/adapter.h"

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

/*
 * Positions of a sequence. The trained context is the limit, unless the owner sets rope: then he says how far it goes, and
 * where he does not, YaRN reaches over its original context times the factor (as in llama.cpp).
 */
static uint32_t
context_of(const LlmArch *arch, const LlmHparams *hp, const LlmModelOptions *options)
{
	const bool	own_rope = llm_rope_options_given(&options->rope) && !(arch->traits & LLM_TRAIT_POSITIONS);
	const LlmRopeParams *rope = &hp->rope[LLM_ROPE_GLOBAL];
	double		n = hp->n_ctx_train;

	if (own_rope && rope->extrapolated > 0 && rope->scale < 1)
		n = rope->n_ctx_orig / rope->scale;
	if (options->n_ctx > 0 && (own_rope || options->n_ctx < n))
		n = options->n_ctx;
	return n < LLM_MAX_CONTEXT ? (uint32_t) n : LLM_MAX_CONTEXT;
}

/* an option that could do nothing is a mistake of its owner */
static LlmStatus
check_rope_options(const LlmModel *m, const LlmRopeOptions *rope, LlmError *err)
{
	if (m->n_ropes > 0 || !llm_rope_options_given(rope))
		return LLM_OK;
	llm_fail(err, LLM_E_UNSUPPORTED, "model of architecture \"%s\" has no rope that options could set", m->arch->name);
	llm_error_hint(err, "Leave the options rope_... and yarn_... out.");
	return LLM_E_UNSUPPORTED;
}

static LlmStatus
set_pooling(LlmModel *m, const LlmPooling *override, LlmError *err)
{
	m->pooling = override ? *override : llm_hparams_pooling(m->arch, &m->hp, m->head.n_outputs > 0);
	if (m->pooling != LLM_POOLING_RANK || m->head.n_outputs > 0)
		return LLM_OK;
	llm_fail(err, LLM_E_UNSUPPORTED, "the model cannot rank: it has no classifier");
	llm_error_hint(err, "A model that ranks has a tensor \"cls.output.weight\" or \"cls.weight\".");
	return LLM_E_UNSUPPORTED;
}

static LlmStatus
open_model(LlmModel *m, const uint8_t *base, size_t size, const LlmModelOptions *options, LlmError *err)
{
	LlmLoader	ld = {m, NULL, err};
	void	   *used;
	LlmStatus	status;

	LLM_TRY(llm_pack_open(base, size, m->allocator, &m->pack, err));
	LLM_TRY(llm_hparams_read_with(&m->pack.meta, &options->rope, &m->arch, &m->hp, err));
	LLM_TRY(llm_tokenizer_open(&m->pack.meta, m->pack.tables, m->pack.tables_bytes, m->allocator, options->stop, &m->tokenizer, err));
	m->hp.n_vocab = (uint32_t) llm_tokenizer_vocab_size(m->tokenizer);
	LLM_TRY(load_template(m, options->chat_template, err));

	m->kv_type = m->hp.causal ? options->kv_type : LLM_KV_F32;	/* kept for a layer only, so they need no rounding */
	m->n_ctx = context_of(m->arch, &m->hp, options);

	LLM_TRY(llm_adapters_open(m, options, err));
	LLM_TRY(llm_alloc_zero(m->allocator, m->pack.n_tensors ? m->pack.n_tensors : 1, sizeof(bool), &used, err));
	ld.used = used;
	status = llm_load_weights(&ld);
	if (status == LLM_OK)
		status = llm_adapters_check_used(m, err);
	llm_free(m->allocator, used);
	LLM_TRY(status);
	LLM_TRY(check_rope_options(m, &options->rope, err));
	return set_pooling(m, options->pooling, err);
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
	llm_adapters_close(m);
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
