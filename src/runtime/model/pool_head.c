/*
 * pool_head.c: what follows on pooling, for one text at a time.
 *
 * Embeddings go through up to two dense layers without activation (EmbeddingGemma). A classifier is a dense layer with tanh
 * (BERT's pooler, RoBERTa's head) or with gelu and a norm (ModernBERT), then the rows of its labels; each may be missing.
 */
#include <string.h>

#include "model/pass.h"
#include "model/pool_head.h"

/* two vectors that take turns, and the quantized form of one */
typedef struct Scratch
{
	float	   *a;
	float	   *b;
	LlmkTerm	terms[2];
} Scratch;

/* lay out scratch at base, or with base NULL only add up its bytes */
static size_t
lay_out(const LlmModel *m, uint8_t *base, Scratch *s)
{
	const size_t n = ((size_t) m->head.n_widest + LLMK_ALIGN - 1) / LLMK_ALIGN * LLMK_ALIGN;
	size_t		used = 0;
	const struct
	{
		void	  **slot;
		size_t		bytes;
	}			parts[] = {
		{(void **) &s->a, n * sizeof(float)},
		{(void **) &s->b, n * sizeof(float)},
		{(void **) &s->terms[0].q, n},
		{(void **) &s->terms[0].d, n / LLM_QK * sizeof(float)},
		{(void **) &s->terms[0].s, n / 16 * sizeof(int16_t)},
		{(void **) &s->terms[1].q, n},
		{(void **) &s->terms[1].d, n / LLM_QK * sizeof(float)},
		{(void **) &s->terms[1].s, n / 16 * sizeof(int16_t)},
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
	{
		if (base)
			*parts[i].slot = base + used;
		used += (parts[i].bytes + LLMK_ALIGN - 1) / LLMK_ALIGN * LLMK_ALIGN;
	}
	return used;
}

size_t
llm_pool_head_scratch_bytes(const LlmModel *m)
{
	Scratch		unused;

	return lay_out(m, NULL, &unused);
}

uint32_t
llm_pool_head_size(const LlmModel *m)
{
	return m->pooling == LLM_POOLING_RANK ? m->head.n_outputs : m->head.n_embd_out;
}

/* s->a becomes lin s->a, if there is such a product */
static bool
apply(const LlmModel *m, const LlmLinear *lin, Scratch *s)
{
	const LlmExpertLinear as_expert = {.w = lin->w, .scale = lin->scale, .bias = lin->bias};
	LlmkActs	acts = {.n_tokens = 1, .n_cols = lin->w.n_cols, .x = s->a, .ld_x = lin->w.n_cols};
	float	   *out = s->b;

	if (!lin->w.data)
		return false;
	if (llm_is_quantized(&lin->w))
	{
		m->kernels->quantize(s->a, lin->w.n_cols, s->terms);
		acts.term[0] = s->terms[0];
		acts.term[1] = s->terms[1];
	}
	m->kernels->matmul[lin->w.type] (&lin->w, &acts, 0, (lin->w.n_rows + LLMK_ROWS - 1) / LLMK_ROWS, out, lin->w.n_rows);
	llm_linear_finish(m->kernels, &as_expert, 0, out, 1, lin->w.n_rows, 0, lin->w.n_rows);
	s->b = s->a;
	s->a = out;
	return true;
}

void
llm_pool_head_run(const LlmModel *m, const float *pooled, void *scratch, float *out)
{
	const LlmHead *head = &m->head;
	const int64_t n = head->cls.w.n_rows;
	Scratch		s;

	lay_out(m, scratch, &s);
	memcpy(s.a, pooled, m->hp.n_embd * sizeof(float));
	if (m->pooling != LLM_POOLING_RANK)
	{
		apply(m, &head->dense[0], &s);
		apply(m, &head->dense[1], &s);
	}
	else
	{
		if (apply(m, &head->cls, &s))
		{
			if (head->cls_gelu)
				m->kernels->gelu_erf(s.a, NULL, n, s.a);
			for (int64_t i = 0; !head->cls_gelu && i < n; i++)
				s.a[i] = llmk_tanhf(s.a[i]);
			if (head->cls_norm.weight)
				llm_norm_row(m, &head->cls_norm, s.a, n, s.a);
		}
		apply(m, &head->cls_out, &s);
	}
	memcpy(out, s.a, llm_pool_head_size(m) * sizeof(float));
}
